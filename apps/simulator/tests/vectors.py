"""The published test vectors, read from beside the project; tests that need them are skipped where they are absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_BESIDE = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "platforms.json"


def vector(name: str) -> dict[str, Any]:
    """One vector by name. Skips the test, saying what to set, when the file is not there."""
    place = Path(os.environ.get("PORTAL_VECTORS") or _BESIDE)
    if not place.is_file():
        pytest.skip(f"PUBLISHED VECTORS NOT CHECKED: set PORTAL_VECTORS; {place} is not there")
    for found in json.loads(place.read_text(encoding="utf-8"))["vectors"]:
        if found["name"] == name:
            return dict(found)
    pytest.fail(f"no vector named {name!r} in {place}")
