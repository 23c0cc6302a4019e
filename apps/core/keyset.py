"""Pages of a long list by place instead of by number: rows that arrive meanwhile shift nothing.

A place is ``<microseconds since 1970>-<id>`` of a row, as an address carries it. The list is ordered by a time and, for
rows of the same instant, by an id; newest first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from django.core.exceptions import BadRequest
from django.db.models import Model, Q, QuerySet

Row = TypeVar("Row", bound=Model)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MICROS: Final = 4_102_444_800_000_000  # the year 2100
_LATEST_ID: Final = 2**63 - 1


class BadCursor(BadRequest):
    """The place in the list that an address names is none. Left alone it becomes the page of status 400."""


@dataclass(frozen=True)  # without slots: with them Page[Row]() fails on Python 3.11
class Page(Generic[Row]):
    """Some rows, newest first; ``newer`` and ``older`` are the places of the neighbouring pages, "" where none is."""

    rows: list[Row] = field(default_factory=list)
    newer: str = ""
    older: str = ""


def encode(at: datetime, key: int) -> str:
    """The place of the row that has this time and id."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}-{key}"


def decode(text: str) -> tuple[datetime, int]:
    """The time and id that a place names. Raises BadCursor."""
    micros, _dash, key = text.partition("-")
    at = _number(micros, most=_LATEST_MICROS)
    return _EPOCH + timedelta(microseconds=at), _number(key, most=_LATEST_ID)


def decode_id(text: str) -> int | None:
    """The place in a list that is ordered by id alone; None for "". Raises BadCursor."""
    return _number(text, most=_LATEST_ID) if text else None


def page(
    rows: QuerySet[Row],
    *,
    at: str,
    key: str = "pk",
    after: str = "",
    before: str = "",
    size: int,
) -> Page[Row]:
    """The rows older than the place ``after``, or newer than the place ``before``, or the newest.

    ``at`` and ``key`` name the fields that order the list. One query. Raises BadCursor.
    """
    backwards = bool(before)
    if before or after:
        moment, number = decode(before or after)
        side = "gt" if backwards else "lt"
        # Written so that the first condition can use an index; the second cuts the ties.
        rows = rows.filter(**{f"{at}__{side}e": moment}).filter(
            Q(**{f"{at}__{side}": moment}) | Q(**{f"{key}__{side}": number})
        )
    order = (at, key) if backwards else (f"-{at}", f"-{key}")
    found = list(rows.order_by(*order)[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    if not found:
        return Page()
    has_newer = more if backwards else bool(after)
    has_older = backwards or more
    return Page(
        rows=found,
        newer=_place(found[0], at, key) if has_newer else "",
        older=_place(found[-1], at, key) if has_older else "",
    )


def _place(row: Model, at: str, key: str) -> str:
    return encode(getattr(row, at), getattr(row, key))


def _number(text: str, *, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20) or int(text) > most:
        raise BadCursor(text[:40])
    return int(text)
