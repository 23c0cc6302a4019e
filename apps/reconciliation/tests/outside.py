"""Money that began outside, for tests: rules, bills of strangers, and the same booked one by one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from django.db.models import BooleanField, ExpressionWrapper, Q

from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger.models import JournalEntry, Posting
from apps.merchants.tests.factories import NOW
from apps.payments.models import Order, Payment, PaymentState, Source
from apps.payments.services import apply_payment_result
from apps.platforms.gateway import Outcome, PaymentResult, RefundResult
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import OutsideRule, RuleScope
from apps.reconciliation.services import Wanted, add_outside_rule
from apps.reconciliation.tests.days import ACTOR, DAY, NOON
from apps.refunds.models import Refund, RefundState
from apps.refunds.services import apply_refund_result
from apps.refunds.services.requesting import reserve
from apps.statements.tests.bills import Row

SYSTEM = Actor.system("oracle")


def rule(
    account: PlatformAccount,
    *,
    scope: RuleScope = RuleScope.ACCOUNT,
    value: str = "",
    books: bool = True,
    store_id: int | None = None,
    valid_from: date = DAY,
) -> OutsideRule:
    """A rule of the account's."""
    return add_outside_rule(
        Wanted(
            account_id=account.pk,
            scope=scope,
            value=value,
            books=books,
            store_id=store_id,
            valid_from=valid_from,
        ),
        member=None,
        actor=ACTOR,
        now=NOW,
    )


def sale(number: int, minor: int = 10_000, *, fee: int | None = None, at: datetime = NOON) -> Row:
    """A sale that some device made."""
    return Row(
        order_no=f"POS{number:06d}",
        trade_no=f"43{number:020d}",
        minor=minor,
        fee=Money(minor).share(rate_ppm=6000).minor if fee is None else fee,
        at=at,
    )


def back(of: Row, number: int, minor: int, *, fee: int = 0, at: datetime | None = None) -> Row:
    """A refund of a row, made at the platform."""
    return Row(
        kind="refund",
        order_no=of.order_no,
        trade_no=of.trade_no,
        minor=minor,
        fee=-fee,
        at=at or of.at,
        refund_no=f"PB{number:06d}",
        platform_refund_no=f"53{number:020d}",
    )


def book_one_by_one(account: PlatformAccount, rows: Iterable[Row], *, store_id: int | None) -> None:
    """The same bill row after row, by the services that take a platform's word."""
    rows = list(rows)
    for row in rows:
        if row.kind != "payment":
            continue
        order = Order.objects.create(
            store_id=store_id, token=row.trade_no[-20:], amount_minor=row.minor, subject="龙井一杯",
            source=Source.PLATFORM, created_at=row.at, expires_at=row.at,
        )  # fmt: skip
        payment = Payment.objects.create(
            order=order, store_id=store_id, account=account, platform=account.platform, wallet=account.platform,
            product="dynamic_qr", order_no=row.order_no, amount_minor=row.minor, source=Source.PLATFORM,
            created_at=row.at, expires_at=row.at, payable_until=row.at,
        )  # fmt: skip
        apply_payment_result(
            payment_id=payment.pk, via="bill", now=row.at, actor=SYSTEM,
            result=PaymentResult(
                outcome=Outcome.SUCCEEDED, order_no=row.order_no, platform_trade_no=row.trade_no,
                amount=Money(row.minor), paid_at=row.at,
            ),
        )  # fmt: skip
    for row in rows:
        if row.kind != "refund":
            continue
        found: Payment | None = Payment.objects.filter(
            platform_trade_no=row.trade_no, state=PaymentState.SUCCEEDED
        ).first()
        if found is None:
            continue
        payment = found
        if row.minor > payment.amount_minor - payment.refund_reserved_minor:
            continue
        refund = reserve(
            payment, amount=Money(row.minor), refund_no=row.refund_no, reason="", state=RefundState.READY,
            source=Source.PLATFORM, created_at=row.at,
        )  # fmt: skip
        apply_refund_result(
            refund_id=refund.pk, via="bill", now=row.at, actor=SYSTEM,
            result=RefundResult(
                outcome=Outcome.SUCCEEDED, order_no=payment.order_no, refund_no=refund.refund_no,
                platform_refund_no=row.platform_refund_no, amount=Money(row.minor), refunded_at=row.at,
            ),
        )  # fmt: skip


def books() -> dict[str, list[tuple[object, ...]]]:
    """All that the books say of a merchant, without ids and without the numbers that the portal makes up."""
    has_store = ExpressionWrapper(Q(store__isnull=False), output_field=BooleanField())
    entries = {entry.pk: entry for entry in JournalEntry.objects.all()}
    subjects = {
        **{("payment", row.pk): row.platform_trade_no for row in Payment.objects.all()},
        **{("refund", row.pk): row.platform_refund_no for row in Refund.objects.all()},
    }
    receivables = set(
        Posting.objects.filter(account__purpose="receivable").values_list(
            "account__subject_id", flat=True
        )
    )
    assert receivables <= set(Payment.objects.values_list("account_id", flat=True))
    return {
        "orders": sorted(Order.objects.values_list(
            has_store, "amount_minor", "currency", "subject", "state", "source", "paid_at", "closed_at",
        )),
        "payments": sorted(Payment.objects.values_list(
            "order_no", "platform_trade_no", "order__paid_at", has_store, "platform", "wallet", "amount_minor", "fee_minor",
            "refund_reserved_minor", "refunded_minor", "state", "source", "paid_at", "booked_date", "message", "poll_count",
        ), key=str),
        "refunds": sorted(Refund.objects.values_list(
            "payment__platform_trade_no", "platform_refund_no", has_store, "amount_minor", "fee_minor", "state", "source",
            "accepted_at", "refunded_at", "booked_date", "message",
        ), key=str),
        "postings": sorted(
            (
                entries[entry].kind, entries[entry].at, entries[entry].booked_date,
                subjects[entries[entry].subject_kind, entries[entry].subject_id], purpose, minor, currency,
            )
            for entry, purpose, minor, currency in Posting.objects.values_list(
                "entry_id", "account__purpose", "amount_minor", "currency")
        ),
    }  # fmt: skip
