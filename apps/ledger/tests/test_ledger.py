"""Entries balance, are append-only and land in open days; each rule is broken once here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.ledger import selectors, services
from apps.ledger.models import BusinessDay, JournalEntry, Posting, Purpose
from apps.ledger.services import Line
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def entry(**changes: object) -> JournalEntry:
    fields: dict[str, object] = {
        "kind": "payment",
        "subject_kind": "payment",
        "subject_id": 1,
        "at": NOW,
        "booked_date": date(2026, 11, 24),
        "memo": "P1",
        "lines": [
            Line(purpose=Purpose.RECEIVABLE, amount=Money(994), subject_id=7),
            Line(purpose=Purpose.FEES, amount=Money(6)),
            Line(purpose=Purpose.SALES, amount=Money(-1000)),
        ],
    }
    posted = services.post(**(fields | changes))  # type: ignore[arg-type]  # the dictionary mixes types on purpose
    return JournalEntry.objects.get(pk=posted)


def test_a_balanced_entry_is_kept_and_summed(shop: Shop) -> None:
    entry()
    balances = {b.account.purpose: b.amount_minor for b in selectors.trial_balance()}
    assert balances == {"receivable": 994, "fees": 6, "sales": -1000}
    assert selectors.first_unbalanced() == ""


def test_an_unbalanced_entry_is_refused_before_it_is_written(shop: Shop) -> None:
    with pytest.raises(services.NotBalanced):
        entry(
            lines=[
                Line(purpose=Purpose.FEES, amount=Money(6)),
                Line(purpose=Purpose.SALES, amount=Money(-5)),
            ]
        )
    assert JournalEntry.objects.count() == 0


def test_the_database_refuses_an_unbalanced_entry_by_itself(shop: Shop) -> None:
    good = entry()
    account_id = Posting.objects.filter(entry=good).values_list("account_id", flat=True)[0]
    point = transaction.savepoint()
    Posting.objects.create(entry=good, account_id=account_id, amount_minor=1)
    with pytest.raises(IntegrityError, match="does not balance"):
        check_now()
    transaction.savepoint_rollback(point)
    assert Posting.objects.count() == 3


def test_the_balance_check_raises_when_it_sees_no_rows(shop: Shop) -> None:
    """Were the scope cleared before COMMIT, the check would sum nothing; it must not take that for balanced."""
    point = transaction.savepoint()
    # An entry that one statement wrote whole is checked there and then; this one is left for COMMIT.
    bare = JournalEntry.objects.create(
        kind="x", subject_kind="x", subject_id=1, at=NOW, booked_date=date(2026, 11, 24), memo=""
    )
    sides = Posting.objects.filter(entry=entry()).values_list("account_id", "amount_minor")
    for account_id, minor in list(sides):
        Posting.objects.create(entry=bare, account_id=account_id, amount_minor=minor)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.merchant_id', '', false)")
    with pytest.raises(IntegrityError, match="0 visible postings"):
        check_now()
    transaction.savepoint_rollback(point)


@pytest.mark.parametrize(
    ("amounts", "refusal"),
    [
        ("(1, 5), (1, -4), (2, 7), (2, -7)", "does not balance: 1 fen over"),
        ("(1, 5), (2, 7), (2, -7)", "1 visible postings"),
        ("(1, 5), (1, -5), (2, 7), (2, -6)", "does not balance: 1 fen over"),
        ("(1, 5), (1, -5)", "0 visible postings"),
        # Wrong in both, though the statement as a whole sums to zero.
        ("(1, 5), (1, -4), (2, 7), (2, -8)", "does not balance"),
        ("(1, 5), (1, -5), (2, 7), (2, -7)", ""),
    ],
)
def test_each_entry_of_a_statement_is_checked(shop: Shop, amounts: str, refusal: str) -> None:
    """Many entries in one statement are summed one by one, and an entry without postings is seen."""
    account_id = Posting.objects.filter(entry=entry()).values_list("account_id", flat=True)[0]
    point = transaction.savepoint()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH made AS (
                INSERT INTO ledger_journalentry (merchant_id, booked_date, at, kind, subject_kind, subject_id, memo)
                SELECT %s, '2026-11-24', now(), 'x', 'x', n, '' FROM generate_series(1, 2) n RETURNING id, subject_id
            )
            INSERT INTO ledger_posting (merchant_id, entry_id, account_id, amount_minor, currency)
            SELECT %s, made.id, %s, v.minor, 'CNY' FROM made JOIN (VALUES {amounts}) v (n, minor) ON v.n = made.subject_id
            """,  # noqa: S608  # the amounts above
            [shop.merchant.pk, shop.merchant.pk, account_id],
        )
    if refusal:
        with pytest.raises(IntegrityError, match=refusal):
            check_now()
        transaction.savepoint_rollback(point)
        assert JournalEntry.objects.count() == 1
    else:
        check_now()
        assert JournalEntry.objects.count() == 3
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM ledger_unchecked")
            assert cursor.fetchone() == (0,)


def test_an_entry_in_several_statements_is_checked_at_the_end(shop: Shop) -> None:
    account_id = Posting.objects.filter(entry=entry()).values_list("account_id", flat=True)[0]
    bare = JournalEntry.objects.create(
        kind="x", subject_kind="x", subject_id=1, at=NOW, booked_date=date(2026, 11, 24), memo=""
    )
    for minor in (5, -5):
        Posting.objects.create(entry=bare, account_id=account_id, amount_minor=minor)
    check_now()
    point = transaction.savepoint()
    Posting.objects.create(entry=bare, account_id=account_id, amount_minor=1)
    with pytest.raises(IntegrityError, match="does not balance"):
        check_now()
    transaction.savepoint_rollback(point)


def test_the_same_fact_cannot_be_posted_twice(shop: Shop) -> None:
    entry()
    with pytest.raises(IntegrityError, match="ledger_entry_once"), transaction.atomic():
        entry()
    assert Posting.objects.count() == 3


@pytest.mark.parametrize("table", ["ledger_journalentry", "ledger_posting"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET merchant_id = merchant_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"],
)
def test_the_journal_is_append_only(shop: Shop, table: str, statement: str) -> None:
    entry()
    check_now()
    with connection.cursor() as cursor:
        cursor.execute("SET app.allow_truncate = 'off'")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table))
    assert JournalEntry.objects.count() == 1
    assert Posting.objects.count() == 3


def test_a_late_fact_lands_in_the_first_open_day(shop: Shop) -> None:
    BusinessDay.objects.create(day=date(2026, 11, 24), is_closed=True)
    BusinessDay.objects.create(day=date(2026, 11, 25), is_closed=True)
    assert services.booking_date(at=NOW) == date(2026, 11, 26)


def test_the_database_refuses_an_entry_in_a_closed_day(shop: Shop) -> None:
    BusinessDay.objects.create(day=date(2026, 11, 24), is_closed=True)
    with pytest.raises(IntegrityError, match="is closed"), transaction.atomic():
        entry()
    assert JournalEntry.objects.count() == 0


def test_the_business_day_starts_when_the_merchant_says(shop: Shop) -> None:
    one_at_night = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
    assert services.booking_date(at=one_at_night) == date(2026, 11, 24)
    shop.merchant.day_starts_at = "02:00"
    shop.merchant.save()
    assert services.booking_date(at=one_at_night) == date(2026, 11, 23)


@pytest.mark.django_db(transaction=True)
def test_booking_needs_a_transaction() -> None:
    shop = make_shop()
    with enter_scope(shop.scope), pytest.raises(transaction.TransactionManagementError):
        services.booking_date(at=NOW)
