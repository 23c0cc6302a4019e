"""The platform's own day decides, and bills made by asking accuse nobody of what they cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from apps.core.clock import CHINA
from apps.core.money import Money
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.gateway import LineKind, StatementKind, StatementLine
from apps.platforms.models import PlatformAccount
from apps.platforms.tables import write
from apps.platforms.tests.unionpay_bills import SAMPLE, file, record
from apps.reconciliation.models import Difference, ReconciliationRun
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, paid, refunded
from apps.refunds.models import Refund
from apps.statements.models import StatementLine as Line
from apps.statements.services import import_statement
from apps.statements.tests.bills import row_of

MERCHANT_NO = "777290058167151"
NEXT = DAY + timedelta(days=1)
#: 23:00 of DAY in China: UnionPay's settlement day DAY ends here.
CUT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def unionpay(shop: Shop) -> PlatformAccount:
    return make_account(shop, platform="unionpay", merchant_no=MERCHANT_NO)


def settled(account: PlatformAccount, payments: list[Payment], *, day: date) -> None:
    """UnionPay's bill of a settlement day with these payments."""
    records = []
    for payment in payments:
        assert payment.paid_at is not None
        fee = payment.fee_minor
        records.append(
            record(
                SAMPLE[0],
                at35=f"{payment.paid_at.astimezone(CHINA):%m%d%H%M%S}",
                at66=f"{payment.amount_minor:012d}",
                at87=f"{payment.pk:021d}",
                at112=f"{payment.order_no:32}",
                at166=f"D{fee:012d}",
                at180=f"C{payment.amount_minor - fee:012d}",
                at374=f"C{payment.amount_minor - fee:012d}",
            )
        )
    import_statement(
        account_id=account.pk, kind=StatementKind.TRADE, day=day, filename="ZM", content=file(*records),
        uploaded_by=None, actor=ACTOR, now=LATER,
    )  # fmt: skip


def types(run: ReconciliationRun) -> list[tuple[str, str]]:
    return list(Difference.objects.filter(run=run).order_by("pk").values_list("type", "state"))


def test_a_payment_at_half_past_eleven_is_in_the_bill_of_the_next_day(
    shop: Shop, unionpay: PlatformAccount
) -> None:
    noon = paid(shop, unionpay, 10_000)
    late = paid(shop, unionpay, 2500, at=CUT + timedelta(minutes=30))
    settled(unionpay, [noon], day=DAY)
    settled(unionpay, [late], day=NEXT)
    today, tomorrow = (match(unionpay, day=day, now=LATER) for day in (DAY, NEXT))
    assert (types(today), types(tomorrow)) == ([], [])
    assert (today.our_net_minor, today.matched_count) == (10_000, 1)
    assert (tomorrow.our_net_minor, tomorrow.matched_count) == (2500, 1)


@pytest.mark.parametrize("seconds", [-1, 0])
def test_both_sides_of_eleven(shop: Shop, unionpay: PlatformAccount, seconds: int) -> None:
    payment = paid(shop, unionpay, at=CUT + timedelta(seconds=seconds))
    mine = DAY if seconds < 0 else NEXT
    settled(unionpay, [payment], day=mine)
    run = match(unionpay, day=mine, now=LATER)
    assert types(run) == []
    assert run.matched_count == 1


def test_the_next_bill_names_the_platforms_own_day_of_a_late_row(
    shop: Shop, unionpay: PlatformAccount
) -> None:
    """Paid at 22:59 by our clock, counted by UnionPay after its cut."""
    payment = paid(shop, unionpay, at=CUT - timedelta(seconds=30))
    settled(unionpay, [payment], day=NEXT)
    run = match(unionpay, day=NEXT, now=LATER)
    assert types(run) == [("carry_in", "explained")]
    assert Difference.objects.get(run=run).detail["our_day"] == DAY.isoformat()
    after = paid(shop, unionpay, at=CUT + timedelta(minutes=30))
    settled(unionpay, [after], day=DAY)
    run = match(unionpay, day=DAY, now=LATER)
    late = Difference.objects.get(run=run, payment=after)
    assert (late.type, late.detail["our_day"]) == ("carry_in", NEXT.isoformat())


def test_the_others_keep_to_midnight(shop: Shop) -> None:
    account = make_account(shop)
    late = paid(shop, account, at=CUT + timedelta(minutes=30))
    bill(account, [row_of(late)])
    assert types(match(account)) == []


# Bills made by asking, and console exports
@pytest.fixture
def aggregator(shop: Shop) -> PlatformAccount:
    return make_account(shop, platform="wechatpay", merchant_no="1900000003")


def told(payment: Payment, refund: Refund | None = None, *, number: bool = True) -> StatementLine:
    """What the platform answered about a payment or a refund; it never tells a fee."""
    at = refund.accepted_at if refund else payment.paid_at
    assert at is not None
    return StatementLine(
        kind=LineKind.REFUND if refund else LineKind.PAYMENT,
        row=0,
        order_no=payment.order_no,
        refund_no=refund.refund_no if refund and number else "",
        platform_trade_no=payment.platform_trade_no,
        amount=Money(refund.amount_minor if refund else payment.amount_minor),
        fee=Money(0),
        fee_known=False,
        occurred_at=at,
    )


def asked(account: PlatformAccount, lines: list[StatementLine]) -> None:
    # The road by which a sweep imports; an account of a platform without bills.
    PlatformAccount.objects.filter(pk=account.pk).update(platform="shouqianba")
    import_statement(
        account_id=account.pk, kind=StatementKind.TRADE, day=DAY, filename="asked.csv", content=write(lines),
        uploaded_by=None, actor=ACTOR, now=LATER, asked=True,
    )  # fmt: skip


def test_a_fee_that_nobody_told_is_no_difference(shop: Shop, aggregator: PlatformAccount) -> None:
    payment = paid(shop, aggregator)
    assert payment.fee_minor == 60
    asked(aggregator, [told(payment)])
    run = match(aggregator, now=LATER)
    assert types(run) == []
    assert run.matched_count == 1
    # Known fees are still compared.
    Line.objects.update(fee_minor=59)
    assert types(match(aggregator, now=LATER)) == [("fee", "open")]


def test_what_the_platform_did_not_confirm_is_missing_there(
    shop: Shop, aggregator: PlatformAccount
) -> None:
    one, other = paid(shop, aggregator, 10_000), paid(shop, aggregator, 300)
    asked(aggregator, [told(one)])
    assert types(match(aggregator, now=LATER)) == [("missing_there", "open")]
    assert Difference.objects.get().payment_id == other.pk


def test_refunds_without_a_number_are_found_by_payment_and_amount(
    shop: Shop, aggregator: PlatformAccount
) -> None:
    one = paid(shop, aggregator, 10_000)
    backs = [
        refunded(shop, one, minor, at=NOON + timedelta(minutes=number))
        for number, minor in enumerate((300, 300, 700))
    ]
    lines = [told(one)] + [told(one, back, number=False) for back in backs]
    asked(aggregator, lines)
    run = match(aggregator, now=LATER)
    assert types(run) == []
    assert run.matched_refund_minor == 1300
    found = run.matches.filter(refund__isnull=False).order_by("line__row")
    assert list(found.values_list("refund_id", "rule")) == [
        (back.pk, "payment_amount") for back in backs
    ]
    # One more than was given back, and one of another amount.
    extra = [told(one, backs[0], number=False), told(one, backs[2], number=False)]
    asked(aggregator, lines + extra)
    assert types(match(aggregator, now=LATER)) == [("unknown_refund", "open")] * 2
