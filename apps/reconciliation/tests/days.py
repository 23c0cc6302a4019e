"""A shop's day for tests: payments and refunds in the books, and the bill of the same day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from apps.approvals.tests.factories import confirm
from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.tests.factories import NOW, Shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_paid
from apps.platforms.gateway import Outcome, RefundResult, StatementKind
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import ReconciliationRun
from apps.reconciliation.services import reconcile
from apps.refunds.models import Refund
from apps.refunds.services import apply_refund_result, request_refund
from apps.statements.models import Statement
from apps.statements.services import import_statement
from apps.statements.tests.bills import Row, wechat_bill

#: The day before NOW, in China, and its noon.
DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
ACTOR = Actor("fiona")


def paid(
    shop: Shop, account: PlatformAccount, minor: int = 10_000, *, at: datetime = NOON
) -> Payment:
    """A payment in the books."""
    return make_paid(shop, account, minor=minor, now=at)


def refunded(shop: Shop, payment: Payment, minor: int, *, at: datetime = NOON) -> Refund:
    """A refund that the platform accepted and paid out at ``at``."""
    refund = request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="凉了",
        member=shop["owner"],
        actor=ACTOR,
        now=at,
    )
    if refund.approval is not None:
        confirm(refund.approval, now=at)
    apply_refund_result(
        refund_id=refund.pk,
        result=RefundResult(
            outcome=Outcome.SUCCEEDED,
            order_no=payment.order_no,
            refund_no=refund.refund_no,
            platform_refund_no=f"503{refund.pk:020d}",
            refunded_at=at,
        ),
        via="test",
        now=at,
        actor=ACTOR,
    )
    refund.refresh_from_db()
    return refund


def bill(
    account: PlatformAccount, rows: Iterable[Row], *, day: date = DAY, now: datetime | None = None
) -> Statement:
    """The day's bill, imported."""
    return import_statement(
        account_id=account.pk,
        kind=StatementKind.TRADE,
        day=day,
        filename=f"{day}.csv",
        content=wechat_bill(rows, merchant_no=account.merchant_no),
        uploaded_by=None,
        actor=ACTOR,
        now=now or max(NOW, NOON + (day - DAY) + timedelta(days=1)),
    )


def match(account: PlatformAccount, *, day: date = DAY, now: datetime = NOW) -> ReconciliationRun:
    """The day, matched."""
    return reconcile(account_id=account.pk, day=day, run_by=None, actor=ACTOR, now=now)
