"""A platform's wrong clock (the fault ``clock_skew``): what its server says in ``Date``, and how old it takes requests to be.

It is apart from the simulated clock (``clock``), which is moved for expiries and bills: a client signs with the true time
whatever that says, and must not be refused for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta

from apps.simulator import clock, faults

#: The platform that answers a request, and its skew: looked for once, so that a counted fault is spent once a request.
_here: ContextVar[tuple[str, timedelta] | None] = ContextVar("clock_skew", default=None)


@contextmanager
def of_request(platform: str, path: str) -> Iterator[timedelta]:
    """While a platform ("" for none) answers a request: how far its clock is ahead of the true time."""
    found = _taken(platform, path) if platform else timedelta(0)
    before = _here.set((platform, found))
    try:
        yield found
    finally:
        _here.reset(before)


def now(platform: str) -> datetime:
    """The true time as this platform's clock has it: for time stamps under signatures, and for judging a client's."""
    return clock.real_now() + ahead(platform)


def ahead(platform: str) -> timedelta:
    """How far this platform's clock is ahead of the true time; negative where it is behind."""
    known = _here.get()
    if known is not None and known[0] == platform:
        return known[1]
    return _taken(platform, "")


def _taken(platform: str, path: str) -> timedelta:
    fault = faults.take("clock_skew", platform=platform, path=path)
    return timedelta(seconds=float(fault["seconds"])) if fault is not None else timedelta(0)
