"""Days with many kinds of faults in known numbers: every row ends matched or in exactly one named reason, on each platform."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.db import transaction

from apps.ledger.models import JournalEntry
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.platforms.tables import DEFAULT_COLUMNS
from apps.reconciliation.models import AccountRule, Difference, Match
from apps.reconciliation.tests.checks import assert_whole, counts
from apps.reconciliation.tests.damaged import FAULTS, Day, bill_file, damaged_day, put_books
from apps.reconciliation.tests.days import ACTOR, DAY, match
from apps.reconciliation.tests.outside import rule
from apps.refunds.models import Refund
from apps.statements.models import ColumnMap, StatementLine
from apps.statements.services import import_statement

ROWS = 2000
NEXT = DAY + timedelta(days=1)
MERCHANT_NO = "777290058167151"
#: When the day's bill is here and the next is not; and when that is.
MORNING = datetime.fromisoformat("2026-11-24T10:00:00+08:00")
LATER = MORNING + timedelta(days=1)


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def take(account: PlatformAccount, made: Day, *, next_day: bool = False) -> None:
    """Import one of the two bills."""
    rows, day = (made.next_rows, NEXT) if next_day else (made.rows, DAY)
    import_statement(
        account_id=account.pk, kind=StatementKind.TRADE, day=day, filename="bill",
        content=bill_file(account.platform, rows, day=day, merchant_no=account.merchant_no),
        uploaded_by=None, actor=ACTOR, now=LATER if next_day else MORNING,
    )  # fmt: skip
    if not next_day:
        StatementLine.objects.filter(order_no__in=made.foreign).update(currency="HKD")


@pytest.mark.parametrize("platform", ["wechatpay", "alipay", "unionpay", "shouqianba"])
def test_every_row_has_its_reason(shop: Shop, platform: str) -> None:
    number = "2088123456789012" if platform == "alipay" else MERCHANT_NO
    account = make_account(shop, platform=platform, merchant_no=number)
    other = make_account(shop, platform=platform, merchant_no=f"{number}9")
    AccountRule.objects.create(account=account, fallback_minutes=5, fee_rounding="down")
    if platform == "shouqianba":
        ColumnMap.objects.create(account=account, mapping=dict(DEFAULT_COLUMNS), updated_at=MORNING)
    made = damaged_day(platform, DAY, rows=ROWS)
    assert len(made.injected) >= len(FAULTS) >= 12
    with transaction.atomic():
        put_books(made.ours, account=account, other=other, store_id=shop.store.pk)
    take(account, made)
    run = match(account, now=MORNING)
    # What the next bill will have is still expected.
    waiting = made.expected.copy()
    waiting["expected"] += waiting.pop("carry_out")
    assert counts(run) == dict(waiting)
    assert_whole(run)
    assert run.their_net_minor - (run.their_fee_minor or 0) == made.net_minor()
    assert run.matched_count == made.expected["matched"]
    inferred = Match.objects.filter(run=run, is_inferred=True)
    assert inferred.values("line_id").distinct().count() == made.inferred_rows
    fees = Difference.objects.filter(run=run, type="fee")
    assert fees.filter(state="explained").count() == made.injected["rounding"]
    assert fees.filter(state="open").count() == made.injected["fee"]
    # The next bill came: what it has is carried, the rest of what was expected is late, then missing.
    take(account, made, next_day=True)
    second = match(account, day=NEXT, now=LATER)
    assert counts(second) == {"carry_in": made.injected["carry_out"]}
    run = match(account, now=LATER)
    settled = made.expected.copy()
    settled["late"] = settled.pop("expected")
    assert counts(run) == dict(settled)
    assert_whole(run)
    run = match(account, now=LATER + timedelta(days=2))
    settled["missing_there"] += settled.pop("late")
    assert counts(run) == dict(settled)
    assert_whole(run)
    seen = Difference.objects.filter(run=run).values_list("first_seen_at", flat=True).distinct()
    assert list(seen) == [MORNING]


@pytest.mark.parametrize("platform", ["wechatpay", "alipay", "unionpay", "shouqianba"])
def test_a_rule_books_what_is_unknown_and_nothing_else(shop: Shop, platform: str) -> None:
    number = "2088123456789012" if platform == "alipay" else MERCHANT_NO
    account = make_account(shop, platform=platform, merchant_no=number)
    other = make_account(shop, platform=platform, merchant_no=f"{number}9")
    AccountRule.objects.create(account=account, fallback_minutes=5, fee_rounding="down")
    if platform == "shouqianba":
        ColumnMap.objects.create(account=account, mapping=dict(DEFAULT_COLUMNS), updated_at=MORNING)
    made = damaged_day(platform, DAY, rows=600)
    with transaction.atomic():
        put_books(made.ours, account=account, other=other, store_id=shop.store.pk)
    take(account, made)
    rule(account, store_id=shop.store.pk)
    run = match(account, now=MORNING)
    expected = made.expected.copy()
    expected["expected"] += expected.pop("carry_out")
    outside = expected.pop("missing_here") + expected.pop("unknown_refund")
    expected["matched"] += outside
    assert counts(run) == dict(expected)
    assert run.outside_count == outside
    assert_whole(run)
    booked = Payment.objects.filter(source="platform").count()
    booked += Refund.objects.filter(source="platform").count()
    assert booked == outside
    assert JournalEntry.objects.count() == outside
    again = match(account, now=MORNING)
    assert counts(again) == dict(expected)
    assert JournalEntry.objects.count() == outside
