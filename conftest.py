"""Safe defaults for every test of the project."""

from __future__ import annotations

import os

import pytest
from django.utils import translation
from hypothesis import HealthCheck, settings

# Whether a machine is slow or busy says nothing about the code.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")

# The simulator is another program with settings of its own; its tests run in a call of their own.
collect_ignore = (
    []
    if os.environ.get("DJANGO_SETTINGS_MODULE") == "merchant_portal.settings.simulator"
    else ["apps/simulator"]
)


@pytest.fixture(autouse=True)
def language_of_the_settings() -> None:
    """Each test begins in the site's own language: a request of an earlier one leaves its language in the thread."""
    translation.deactivate()
