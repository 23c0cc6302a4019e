"""Sums of the books equal what is counted by hand, for every period, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.keyset import BadCursor
from apps.ledger import selectors
from apps.ledger.models import Account, JournalEntry, Posting
from apps.ledger.selectors import JournalFilters, Period
from apps.ledger.tests.books import DAYS, Drawn, book, counted, entries
from apps.merchants.tests.factories import Shop, inside, make_shop

days = st.sampled_from([DAYS[0] - timedelta(days=1), *DAYS, DAYS[-1] + timedelta(days=1)])


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def fixed(count: int) -> list[Drawn]:
    """Entries of growing amounts over the days, two a day in no order."""
    return [
        Drawn(DAYS[(number * 3) % len(DAYS)], ((0, number), (3, -number)), f"M{number}")
        for number in range(1, count + 1)
    ]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=st.lists(entries(), max_size=12), first=days, last=days)
def test_any_entries_any_period(shop: Shop, drawn: list[Drawn], first: date, last: date) -> None:
    point = transaction.savepoint()
    try:
        book(drawn)
        balance = selectors.period_balances(Period(first, last))
        assert balance.holds
        assert balance.closing == 0
        found = {
            (row.account.purpose, row.account.subject_id): [row.opening, row.debit, row.credit]
            for row in balance
            if row.moved
        }
        expected = counted(drawn, first, last)
        assert found == {key: sums for key, sums in expected.items() if any(sums)}
        until = last + timedelta(days=1)
        closings = {row.account.pk: row.closing for row in balance}
        assert {
            row.account.pk: row.amount_minor for row in selectors.trial_balance(until=until)
        } == closings
        for row in balance:
            _walk(row, Period(first, last))
        assert selectors.trial_balance_over() == ""
    finally:
        transaction.savepoint_rollback(point)


def _walk(row: selectors.PeriodBalance, period: Period) -> None:
    """The account's pages, forwards and back: opening, each running balance, closing."""
    running, seen, after = row.opening, [], ""
    for _page in range(100):
        page = selectors.page_account(row.account.pk, period, after=after, size=3)
        for posting in page.rows:
            running += posting.amount
            assert posting.balance == running
            seen.append(posting.pk)
        if not page.later:
            break
        after = page.later
    assert running == row.closing
    assert len(seen) == len(set(seen))
    back: list[int] = []
    before = selectors.page_account(row.account.pk, period, after=after, size=3).earlier
    while before:
        page = selectors.page_account(row.account.pk, period, before=before, size=3)
        back = [posting.pk for posting in page.rows] + back
        before = page.earlier
    assert back == seen[: len(back)]
    assert len(seen) - len(back) <= 3


def test_pages_of_an_account_have_one_statement_each(shop: Shop) -> None:
    book(fixed(20))
    account = Account.objects.get(purpose="receivable")
    period = Period(DAYS[1], DAYS[3])
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = selectors.page_account(account.pk, period, size=5)
    assert len(queries) == 1
    assert [row.booked_date for row in page.rows] == sorted(row.booked_date for row in page.rows)
    assert page.earlier == ""
    with CaptureQueriesContext(connection) as queries:
        selectors.page_account(account.pk, period, after=page.later, size=5)
        selectors.period_balances(period)
    assert len(queries) == 3


def test_a_posting_that_comes_meanwhile_shifts_nothing(shop: Shop) -> None:
    book(fixed(10))
    account = Account.objects.get(purpose="receivable")
    first = selectors.page_account(account.pk, Period(), size=4)
    expected = [row.pk for row in selectors.page_account(account.pk, Period(), size=99).rows][4:8]
    # On the first day, before the place where the next page begins.
    book([Drawn(DAYS[0], ((0, 77), (3, -77)), "late")], start=100)
    second = selectors.page_account(account.pk, Period(), after=first.later, size=4)
    assert [row.pk for row in second.rows] == expected
    # Its balance counts, all the same.
    assert second.rows[0].balance == first.rows[-1].balance + 77 + second.rows[0].amount


def test_the_journal_pages_both_ways(shop: Shop) -> None:
    book(fixed(11))
    whole = [row.entry.pk for row in selectors.page_entries(JournalFilters(), size=99).rows]
    assert len(whole) == 11
    ordered = JournalEntry.objects.order_by("-booked_date", "-pk").values_list("pk", flat=True)
    assert whole == list(ordered)
    seen, after = [], ""
    while True:
        with CaptureQueriesContext(connection) as queries:
            page = selectors.page_entries(JournalFilters(), after=after, size=4)
        assert len(queries) == 2
        seen += [row.entry.pk for row in page.rows]
        if not page.older:
            break
        after = page.older
    assert seen == whole
    back = selectors.page_entries(JournalFilters(), before=page.newer, size=4)
    assert [row.entry.pk for row in back.rows] == whole[4:8]
    some = selectors.page_entries(JournalFilters(Period(DAYS[2], DAYS[2])), size=99)
    assert {row.entry.booked_date for row in some.rows} == {DAYS[2]}
    none = selectors.page_entries(JournalFilters(subject_kind="refund"))
    assert none.rows == []


@pytest.mark.parametrize("text", ["x", "20261124", "20261345-1", "20261124-" + "9" * 25, "-1-2"])
def test_a_place_that_is_none(shop: Shop, text: str) -> None:
    with pytest.raises(BadCursor):
        selectors.page_entries(JournalFilters(), after=text)
    with pytest.raises(BadCursor):
        selectors.page_account(1, Period(), before=text)


def test_another_merchants_books_add_nothing(shop: Shop) -> None:
    book(fixed(3))
    account = Account.objects.get(purpose="receivable")
    mine = selectors.page_account(account.pk, Period(), size=9).rows[-1].balance
    assert mine == sum(
        Posting.objects.filter(account=account).values_list("amount_minor", flat=True)
    )
    assert selectors.page_account(account.pk + 100_000, Period()).rows == []
