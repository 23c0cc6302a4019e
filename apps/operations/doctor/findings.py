"""What an examination finds: data only, so that it can be kept and told in any language (``words``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

#: What findings are told with. Times are ISO text, so that they can be kept.
Value = str | int | float


class State(StrEnum):
    """How well something is."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    #: Could not be told, as a rule because something else is wrong.
    UNKNOWN = "unknown"


#: The states that are a diagnosis.
TROUBLES = (State.BROKEN, State.WARNING)


class Check(StrEnum):
    """What is looked at: first of an account, then of the portal itself. Shown in this order."""

    PLATFORM = "platform"
    CLOCK = "clock"
    CREDENTIALS = "credentials"
    CERTIFICATES = "certificates"
    TERMINALS = "terminals"
    ADDRESS = "address"
    NOTICES = "notices"
    BILLS = "bills"
    PRODUCTS = "products"

    WORKER = "worker"
    DATABASE = "database"
    DISK = "disk"
    TIME = "time"
    ADDRESSES = "addresses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found. ``code`` is the diagnosis, a key of ``sentences``; ``values`` fill its sentences."""

    check: Check
    state: State
    code: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for keeping."""
        return {
            "check": self.check.value,
            "state": self.state.value,
            "code": self.code,
            "values": dict(self.values),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Finding:
        """The finding that ``as_dict`` wrote. Raises KeyError, ValueError."""
        return cls(
            check=Check(kept["check"]),
            state=State(kept["state"]),
            code=kept["code"],
            values=kept["values"],
        )


def fine(check: Check, code: str = "", /, **values: Value) -> Finding:
    """All is well with it."""
    return Finding(check=check, state=State.OK, code=code or f"{check}_ok", values=values)


def warning(check: Check, code: str, /, **values: Value) -> Finding:
    """Something should be done, but money still moves."""
    return Finding(check=check, state=State.WARNING, code=code, values=values)


def broken(check: Check, code: str, /, **values: Value) -> Finding:
    """It does not work."""
    return Finding(check=check, state=State.BROKEN, code=code, values=values)


def unknown(check: Check, *, because: Finding | None = None, code: str = "untold") -> Finding:
    """Could not be told; ``because`` of another finding, which must be mended first."""
    if because is not None:
        return Finding(
            check=check, state=State.UNKNOWN, code="because", values={"check": because.check.value}
        )
    return Finding(check=check, state=State.UNKNOWN, code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All findings about one account, or about the portal itself, and when they were made."""

    checked_at: datetime
    findings: tuple[Finding, ...]

    @property
    def troubles(self) -> tuple[Finding, ...]:
        """What is wrong, the worst first."""
        return tuple(
            finding for state in TROUBLES for finding in self.findings if finding.state is state
        )

    @property
    def diagnoses(self) -> tuple[str, ...]:
        """The codes of what is wrong."""
        return tuple(finding.code for finding in self.troubles)

    @property
    def is_well(self) -> bool:
        """Whether everything could be told and is well."""
        return all(finding.state is State.OK for finding in self.findings)

    @property
    def state(self) -> State:
        """The worst of all."""
        found = {finding.state for finding in self.findings}
        order = (State.BROKEN, State.WARNING, State.UNKNOWN)
        return next((state for state in order if state in found), State.OK)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for keeping."""
        return {
            "checked_at": self.checked_at.isoformat(),
            "findings": [finding.as_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Examination:
        """The examination that ``as_dict`` wrote. Raises KeyError, ValueError."""
        return cls(
            checked_at=datetime.fromisoformat(kept["checked_at"]),
            findings=tuple(Finding.from_dict(one) for one in kept["findings"]),
        )


def examined(findings: Iterable[Finding], *, now: datetime) -> Examination:
    """An examination, its findings in the order of ``Check``."""
    order = list(Check)
    ordered = sorted(findings, key=lambda finding: order.index(finding.check))
    return Examination(checked_at=now, findings=tuple(ordered))
