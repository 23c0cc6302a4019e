"""One simulator for all foreign clients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from merchant_portal.tests.foreign.harness import FOREIGN_PYTHON, Simulator, running_simulator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here talks to a running simulator."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.simulator)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A running simulator; skips, or fails where REQUIRE_BROWSER asks for everything, without the clients."""
    if not FOREIGN_PYTHON.exists():
        words = "the foreign clients are not installed: script/setup --foreign"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(words)
        pytest.skip(words)
    with running_simulator(tmp_path_factory.mktemp("foreign")) as simulator:
        yield simulator
