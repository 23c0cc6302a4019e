"""Pages by place: no gap, no overlap, and one answer to an address that names no place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core import keyset, outbox
from apps.core.keyset import BadCursor
from apps.core.models import Due

NOW = datetime(2026, 11, 24, 4, 0, 0, 123457, tzinfo=UTC)


@given(
    at=st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)),
    key=st.integers(0, 2**63 - 1),
)
def test_a_place_survives_its_text(at: datetime, key: int) -> None:
    assert keyset.decode(keyset.encode(at, key)) == (at, key)


TAMPERED = [
    "x",
    "1",
    "-",
    "1-",
    "-1",
    "1--2",
    "1-2-3",
    "1'--1",
    "٣-٤",
    "1-" + "9" * 19,
    "9" * 16 + "-1",
    "9" * 40,
    "1-\x00",
]


@pytest.mark.parametrize("text", ["", *TAMPERED])
def test_what_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        keyset.decode(text)


def test_an_id_may_be_a_place_by_itself() -> None:
    assert [keyset.decode_id(text) for text in ("", "0", "17")] == [None, 0, 17]
    for text in ("x", "-1", "1.0", "٣", "9" * 19, "9" * 5000):
        with pytest.raises(BadCursor):
            keyset.decode_id(text)


def _page(**places: str) -> keyset.Page[Due]:
    return keyset.page(Due.objects.all(), at="due_at", size=3, **places)


def _walk(step: Callable[[keyset.Page[Due]], keyset.Page[Due] | None]) -> list[list[int]]:
    found, page = [], _page()
    for _round in range(10):
        found.append([row.pk for row in page.rows])
        following = step(page)
        if following is None:
            break
        page = following
    return found


def test_pages_hold_every_row_once_in_both_directions(db: None) -> None:
    assert _page() == keyset.Page()
    # Some at the same instant: the id must break the tie.
    for number, second in enumerate([0, 1, 1, 2, 1, 1, 0, 3]):
        at = NOW + timedelta(seconds=second)
        outbox.enqueue(task="test.job", merchant_id=1, subject_id=number, due_at=at)
    rows = sorted(Due.objects.all(), key=lambda row: (row.due_at, row.pk), reverse=True)
    ids = [row.pk for row in rows]
    last = _page()
    assert last.newer == ""

    def older(page: keyset.Page[Due]) -> keyset.Page[Due] | None:
        nonlocal last
        last = page
        return _page(after=page.older) if page.older else None

    assert _walk(older) == [ids[:3], ids[3:6], ids[6:]]
    middle = _page(before=last.newer)
    assert [row.pk for row in middle.rows] == ids[3:6]
    first = _page(before=middle.newer)
    assert ([row.pk for row in first.rows], first.newer) == (ids[:3], "")
    assert first.older == _page().older
    # Nothing is newer than the newest.
    assert _page(before=keyset.encode(rows[0].due_at, rows[0].pk)) == keyset.Page()
