"""Faults on demand: put in force one by one, or drawn at random from a schedule.

A fault is looked for where it would happen (``take``), and used up if it is counted. The catalogue is ``fault_kinds``.
Requests ask for a dozen faults each, so what is in force is kept in memory; this process is the only one that writes it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F
from django.http import HttpResponse

from apps.simulator import fault_values
from apps.simulator.fault_kinds import KINDS
from apps.simulator.models import Fault, Platform

#: Tells the server to break the connection instead of sending the body.
DROP_HEADER = "X-Simulator-Drop"


class UnknownFault(ValueError):
    """The key is not one of ``fault_kinds.KINDS``."""


class BadSchedule(ValueError):
    """A schedule names an unknown fault, or a probability that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _InForce:
    """One row of the table as it is remembered; ``counted`` ones are spent in the table."""

    pk: int
    platform: str
    value: dict[str, Any]
    counted: bool


_remembered: dict[str, list[_InForce]] | None = None


def forget() -> None:
    """Read the table anew at the next look: after it was changed, or the database was."""
    global _remembered
    _remembered = None


def _in_force(key: str) -> list[_InForce]:
    global _remembered
    table = _remembered
    if table is None:
        table = {}
        for fault in Fault.objects.order_by("pk"):
            table.setdefault(fault.key, []).append(
                _InForce(
                    pk=fault.pk,
                    platform=fault.platform,
                    value=fault.value,
                    counted=fault.remaining is not None,
                )
            )
        _remembered = table
    return table.get(key, [])


def add_fault(
    *, key: str, platform: str = "", value: dict[str, Any] | None = None, uses: int | None = None
) -> Fault:
    """Put a fault in force; ``uses`` None means until it is removed.

    Raises UnknownFault; ValueError for a platform that does not exist or cannot have this fault, or for a value that makes no
    sense.
    """
    if key not in KINDS:
        raise UnknownFault(f"no such fault: {key!r}")
    if platform and platform not in Platform.values:
        raise ValueError(f"no such platform: {platform!r}")
    if not KINDS[key].concerns(platform):
        raise ValueError(f"{key} cannot happen at {platform}")
    fault_values.check(key, KINDS[key], value or {})
    made = Fault.objects.create(
        key=key, platform=platform, value={**KINDS[key].value, **(value or {})}, remaining=uses
    )
    _changed()
    return made


def remove_faults(*, fault_id: int | None = None, key: str = "", platform: str = "") -> int:
    """Lift faults: one by id, or all of a key and platform; without arguments, all. Returns how many."""
    faults = Fault.objects.all()
    if fault_id is not None:
        faults = faults.filter(pk=fault_id)
    if key:
        faults = faults.filter(key=key)
    if platform:
        faults = faults.filter(platform=platform)
    removed = faults.delete()[0]
    _changed()
    return removed


def _changed() -> None:
    """Another thread may read between this write and its commit: forget now and then."""
    forget()
    transaction.on_commit(forget)


def take(key: str, *, platform: str, path: str = "") -> dict[str, Any] | None:
    """The value of a fault that hits here, or None; one use of a counted fault is spent.

    ``path`` is the request's path, for faults limited to a path. What is not in force may be drawn from the schedule.
    """
    if key not in KINDS:
        raise UnknownFault(f"no such fault: {key!r}")
    for fault in _in_force(key):
        if fault.platform not in ("", platform) or fault.value.get("path", "") not in path:
            continue
        if not fault.counted or _spend(fault.pk):
            return dict(fault.value)
    return _schedule.draw(key, platform=platform, path=path) if _schedule is not None else None


def _spend(fault_id: int) -> bool:
    """Use a counted fault once; False if another was quicker."""
    with transaction.atomic():
        spent = Fault.objects.filter(pk=fault_id, remaining__gt=0).update(
            remaining=F("remaining") - 1
        )
        used_up = Fault.objects.filter(pk=fault_id, remaining__lte=0).delete()[0]
    if used_up:
        # Not before the commit: should this be undone, the fault is still in force.
        transaction.on_commit(forget)
    return bool(spent)


# --- the schedule ---------------------------------------------------------------------------------


class Schedule:
    """A deterministic source of random faults.

    The n-th time that a fault could happen at a platform, it does if a number drawn from (seed, fault, platform, n) is
    below its probability: two runs of one seed meet the same sequence at each platform and fault. ``values`` overrides the
    catalogue's values; with "path" in it, only requests whose path contains it count at all.
    """

    def __init__(
        self,
        *,
        seed: int,
        rates: Mapping[str, float],
        values: Mapping[str, dict[str, Any]],
        platforms: tuple[str, ...],
    ) -> None:
        self.seed, self.rates, self.platforms = seed, dict(rates), platforms
        self.values = {key: {**KINDS[key].value, **values.get(key, {})} for key in rates}
        self._lock = threading.Lock()
        self._chances: Counter[tuple[str, str]] = Counter()
        self._injected: Counter[tuple[str, str]] = Counter()

    def draw(self, key: str, *, platform: str, path: str) -> dict[str, Any] | None:
        """The fault's value if it happens this time, else None."""
        rate = self.rates.get(key)
        if rate is None or (self.platforms and platform not in self.platforms):
            return None
        value = self.values[key]
        if value.get("path", "") not in path or not KINDS[key].concerns(platform):
            return None
        place = (key, platform)
        with self._lock:
            self._chances[place] += 1
            count = self._chances[place]
        if chance(self.seed, key, platform, count) >= rate:
            return None
        with self._lock:
            self._injected[place] += 1
        return dict(value)

    def report(self) -> dict[str, Any]:
        """``{"seed", "rates", "values", "platforms", "injected", "chances"}``; the counters by fault and platform."""
        with self._lock:
            injected, chances = Counter(self._injected), Counter(self._chances)
        return {
            "seed": self.seed,
            "rates": self.rates,
            "values": self.values,
            "platforms": list(self.platforms),
            "injected": _nested(injected),
            "chances": _nested(chances),
        }


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (key, platform), count in sorted(counts.items()):
        nested.setdefault(key, {})[platform] = count
    return nested


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


_schedule: Schedule | None = None


def set_schedule(
    *,
    seed: int,
    rates: Mapping[str, Any],
    values: Mapping[str, Any] | None = None,
    platforms: tuple[str, ...] = (),
) -> Schedule:
    """Start a schedule with its counters at nought; the one before ends. It lives as long as this process.

    Raises BadSchedule, ValueError for a value that makes no sense, and leaves the one before as it was.
    """
    global _schedule
    for key, rate in rates.items():
        if key not in KINDS:
            raise BadSchedule(f"no such fault: {key!r}")
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise BadSchedule(f"the rate of {key} is not between 0 and 1: {rate!r}")
    wanted = dict(values or {})
    for key, value in wanted.items():
        if key not in rates or not isinstance(value, dict):
            raise BadSchedule(f"values of {key!r}: no rate for it, or no object")
        fault_values.check(key, KINDS[key], value)
    unknown = [name for name in platforms if name not in Platform.values]
    if unknown:
        raise BadSchedule(f"no such platform: {unknown[0]!r}")
    _schedule = Schedule(seed=seed, rates=rates, values=wanted, platforms=platforms)
    return _schedule


def end_schedule() -> Schedule | None:
    """Stop the schedule; returns it, for its counters. None if there was none."""
    global _schedule
    ended, _schedule = _schedule, None
    return ended


def current_schedule() -> Schedule | None:
    """The schedule in force, if any."""
    return _schedule


# --- what the caller sees of a lost answer --------------------------------------------------------


def lost_response(value: dict[str, Any]) -> HttpResponse:
    """What the caller sees in place of the answer that was lost on the way.

    Mode "504" is a gateway's page; with mode "drop" the server breaks the connection after the head of
    the answer, and the caller sees a protocol error.
    """
    if value.get("mode") == "drop":
        response = HttpResponse(b"", content_type="application/json")
        response["Content-Length"] = "4096"
        response[DROP_HEADER] = "1"
        return response
    return HttpResponse(
        b"<html><head><title>504 Gateway Time-out</title></head></html>",
        status=504,
        content_type="text/html",
    )
