"""The lock of business days, and what the database holds by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.core.tenancy import enter_scope
from apps.ledger import services
from apps.ledger.models import BusinessDay, JournalEntry
from apps.ledger.selectors import get_day, is_closed
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop

DAY = date(2026, 11, 24)
_INSERT = """
INSERT INTO ledger_journalentry (merchant_id, booked_date, at, kind, subject_kind, subject_id, memo)
VALUES (%s, %s, %s, 'test', 'test', 1, '')
"""


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    shop = make_shop()
    with inside(shop):
        yield shop


def enter_by_hand(shop: Shop) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [shop.merchant.pk, DAY, NOW])


def test_closing_counts_versions(shop: Shop) -> None:
    assert get_day(DAY).version == 0
    assert services.hold_day(DAY) == services.HeldDay(DAY, False, 0)
    assert services.close_day(DAY, now=NOW) == 1
    assert is_closed(DAY)
    with pytest.raises(services.DayClosed):
        services.close_day(DAY, now=NOW)
    assert services.open_day(DAY) == 1
    with pytest.raises(services.DayOpen):
        services.open_day(DAY)
    assert services.close_day(DAY, now=NOW) == 2
    day = BusinessDay.objects.get()
    assert (day.is_closed, day.version, day.closed_at) == (True, 2, NOW)


@pytest.mark.django_db(transaction=True)
def test_holding_needs_a_transaction() -> None:
    shop = make_shop()
    with enter_scope(shop.scope), pytest.raises(transaction.TransactionManagementError):
        services.hold_day(DAY)


def test_sql_typed_by_hand_posts_into_no_closed_day(shop: Shop) -> None:
    assert services.claim_day(DAY)
    services.hold_day(DAY)
    services.close_day(DAY, now=NOW)
    assert not services.claim_day(DAY)
    with pytest.raises(IntegrityError, match="is closed"), transaction.atomic():
        enter_by_hand(shop)
    assert JournalEntry.objects.count() == 0


def test_without_the_guard_it_would(shop: Shop) -> None:
    """The law broken once: the guard off, the entry stands in the closed day."""
    services.hold_day(DAY)
    services.close_day(DAY, now=NOW)
    point = transaction.savepoint()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_journalentry DISABLE TRIGGER ledger_day_is_open")
    enter_by_hand(shop)
    assert JournalEntry.objects.filter(booked_date=DAY).count() == 1
    transaction.savepoint_rollback(point)
    with pytest.raises(IntegrityError, match="is closed"), transaction.atomic():
        enter_by_hand(shop)


@pytest.mark.django_db(transaction=True)
def test_an_entry_typed_by_hand_is_waited_for_where_the_day_had_no_row() -> None:
    """Without a row there would be nothing to hold: the guard makes one, so that a closing waits for the entry's end."""
    shop = make_shop()
    typed, closed = threading.Event(), threading.Event()

    def types() -> None:
        try:
            with enter_scope(shop.scope), transaction.atomic():
                enter_by_hand(shop)
                typed.set()
                assert not closed.wait(0.5), "the closing waits"
                transaction.set_rollback(True)
        finally:
            connection.close()

    thread = threading.Thread(target=types)
    thread.start()
    assert typed.wait(10)
    with enter_scope(shop.scope), transaction.atomic():
        services.hold_day(DAY)
        services.close_day(DAY, now=NOW)
    closed.set()
    thread.join()
    with enter_scope(shop.scope):
        assert is_closed(DAY)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger_businessday",
        "UPDATE ledger_businessday SET version = version - 1",
        "UPDATE ledger_businessday SET version = version + 1",
        "UPDATE ledger_businessday SET day = day + 1",
    ],
)
def test_a_closed_day_keeps_its_row_its_date_and_its_count(shop: Shop, statement: str) -> None:
    services.hold_day(DAY)
    services.close_day(DAY, now=NOW)
    with (
        pytest.raises(DatabaseError, match=r"refused|counted upwards"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    day = BusinessDay.objects.get()
    assert (day.day, day.version) == (DAY, 1)


@pytest.mark.django_db
def test_a_day_is_one_merchants_own() -> None:
    tea, bar = make_shop("tea"), make_shop("bar")
    with inside(tea):
        services.hold_day(DAY)
        services.close_day(DAY, now=NOW)
    with inside(bar):
        assert not is_closed(DAY)
        with pytest.raises(services.DayOpen):
            services.open_day(DAY)
    with inside(tea):
        assert is_closed(DAY)
