"""What ``script/server`` runs with, for commands that are started beside it: it writes the file, ``dev`` reads it."""

from __future__ import annotations

import json
from pathlib import Path

#: Lies in the data folder while the server runs.
NAME = "server.json"
#: Where ``python -m apps.simulator`` answers when it is told no port.
USUAL_SIMULATOR = "http://localhost:9100"


def told(folder: Path) -> dict[str, str]:
    """The settings of the server that runs on this data folder, by name; empty where none does.

    A server that was killed outright leaves its file behind. That does no harm: it names addresses of this machine.
    """
    try:
        found = json.loads((folder / NAME).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): value for name, value in found.items() if isinstance(value, str) and value}
