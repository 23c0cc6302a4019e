"""How often something may happen, counted in the cache for all processes together.

Meant against floods, not as a lock: a count may fall short when many come at the same moment, and where the cache does not
answer nothing is refused.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime

from django.core.cache import cache

logger = logging.getLogger(__name__)


def count(key: str, *, seconds: int, now: datetime) -> int:
    """How often ``key`` was counted in the present window of ``seconds``, this time included; 0 if nobody can tell.

    The cache holds a hash of the key, so it may name an address.
    """
    window = int(now.timestamp()) // seconds
    name = f"limit/{hashlib.sha256(f'{key}/{seconds}/{window}'.encode()).hexdigest()}"
    try:
        # A little longer than the window, so that a slow clock does not begin it twice.
        if cache.add(name, 1, timeout=2 * seconds):
            return 1
        return int(cache.incr(name))
    except ValueError:
        # It was thrown out between the two calls.
        return 1
    except Exception:
        logger.exception("the cache does not count")
        return 0
