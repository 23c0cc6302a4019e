"""Whether a fault's values make sense, by the catalogue's own: refused in words before they are put in force."""

from __future__ import annotations

import math
from typing import Any, Final

from apps.simulator.fault_kinds import Kind

_YEAR: Final = 365 * 86_400
#: What numbers may be, by the value's name and, where it differs, by fault and name.
_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "seconds": (0, _YEAR),
    "slow.seconds": (0, 3600),
    "clock_skew.seconds": (-_YEAR, _YEAR),
    "fen": (-1_000_000, 1_000_000),
    "megabytes": (0, 1024),
    "status": (200, 599),
    "http_status": (200, 599),
    "share": (0, 1),
}
_WHOLE: Final = frozenset({"fen", "megabytes", "status", "http_status"})
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "mode": ("504", "drop"),
    "unclear_answer.code": ("03", "04", "05"),
}
_LONGEST: Final = 200
#: How often a counted fault may hit.
MOST_USES: Final = 1_000_000_000


def check(key: str, kind: Kind, value: dict[str, Any]) -> None:
    """Raises ValueError, in a sentence, for a value that this fault does not have or cannot use."""
    known = {**kind.more, **kind.value, "path": ""}
    for name, given in value.items():
        if name not in known:
            has = ", ".join(known)
            raise ValueError(f"{key} has no value {name!r}; it has {has}")
        _check_one(key, name, given, usual=known[name], may_be_null="null" in kind.english)


def _check_one(key: str, name: str, given: Any, *, usual: Any, may_be_null: bool) -> None:
    if given is None and may_be_null and (usual is None or name == "seconds"):
        return
    if isinstance(usual, bool):
        if not isinstance(given, bool):
            raise ValueError(f"{name} must be true or false, not {given!r}")
    elif isinstance(usual, str):
        _check_text(key, name, given)
    else:
        _check_number(key, name, given, may_be_null=may_be_null)


def _check_text(key: str, name: str, given: Any) -> None:
    if not isinstance(given, str) or len(given) > _LONGEST:
        raise ValueError(f"{name} must be a text of at most {_LONGEST} characters, not {given!r}")
    choices = _CHOICES.get(f"{key}.{name}") or _CHOICES.get(name)
    if choices is not None and given not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {given!r}")


def _check_number(key: str, name: str, given: Any, *, may_be_null: bool) -> None:
    least, most = _BOUNDS.get(f"{key}.{name}") or _BOUNDS[name]
    whole = name in _WHOLE
    what = f"a {'whole ' if whole else ''}number from {least} to {most}"
    if may_be_null:
        what += ", or null"
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if (
        not is_number
        or not math.isfinite(given)
        or not least <= given <= most
        or (whole and given != int(given))
    ):
        raise ValueError(f"{name} must be {what}, not {given!r}")
