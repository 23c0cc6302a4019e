"""Spreading what would otherwise happen at the same moment."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from zlib import crc32

#: A wait is made longer or shorter by up to this part of it.
PART: Final = 0.1
_STEPS: Final = 1 << 16


def spread(wait: timedelta, *, key: str) -> timedelta:
    """``wait``, a tenth longer or shorter at most. The same for the same ``key``, even over different keys."""
    step = crc32(key.encode()) % _STEPS
    return wait * (1 + PART * (2 * step / (_STEPS - 1) - 1))
