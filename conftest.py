"""Safe defaults for every test of the project."""

from __future__ import annotations

import os

# The simulator is another program with settings of its own; its tests run in a call of their own.
collect_ignore = (
    []
    if os.environ.get("DJANGO_SETTINGS_MODULE") == "merchant_portal.settings.simulator"
    else ["apps/simulator"]
)
