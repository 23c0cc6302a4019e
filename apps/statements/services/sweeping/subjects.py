"""What a sweep asks about: the payments and refunds of a day, and what an answer does to one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeVar

from django.db.models import Q

from apps.core.money import Money
from apps.payments.models import Payment, Source
from apps.payments.selectors import payment_ref
from apps.payments.services import ResultMismatch, apply_payment_result
from apps.platforms.gateway import LineKind, Outcome, PaymentResult, RefundResult, StatementLine
from apps.platforms.services import Caller
from apps.platforms.services.asking import query_payment, query_refund
from apps.refunds.models import UNDER_WAY, Refund
from apps.refunds.selectors import refund_ref
from apps.refunds.services import apply_refund_result
from apps.statements.services.sweeping.answers import Answer, keep
from apps.statements.services.sweeping.asking import Question, ask
from apps.statements.services.sweeping.work import Sweep

Asked = TypeVar("Asked", Payment, Refund)
Told = TypeVar("Told", PaymentResult, RefundResult)

#: A payment begun so long before the day may still have been paid on it; a refund may have been under way for days.
_BEFORE: Final = timedelta(days=1)
_REFUNDS_BEFORE: Final = timedelta(days=7)
#: What a platform does not take back.
_FINAL: Final = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CLOSED})


def payment_ids(work: Sweep) -> list[int]:
    """The payments that the platform may have counted on this day, whatever state they are in here."""
    from_at, until = work.period()
    # Begun within the day or just before; not those of which it is known that they were paid before or after it.
    rows = Payment.objects.filter(
        Q(paid_at__gte=from_at, paid_at__lt=until)
        | Q(paid_at__isnull=True, payable_until__gte=from_at),
        account=work.account,
        # Of what began outside, a console's export tells more than asking.
        source=Source.PORTAL,
        created_at__gte=from_at - _BEFORE,
        created_at__lt=until,
    )
    return list(rows.order_by("pk").values_list("pk", flat=True))


def refund_ids(work: Sweep) -> list[int]:
    """The refunds that the platform may have accepted on this day, and those still under way."""
    from_at, until = work.period()
    rows = Refund.objects.filter(
        Q(accepted_at__gte=from_at, accepted_at__lt=until)
        | Q(sent_at__gte=from_at, sent_at__lt=until)
        | Q(state__in=UNDER_WAY, sent_at__gte=from_at - _REFUNDS_BEFORE, sent_at__lt=until),
        account=work.account,
        sent_at__isnull=False,
    )
    return list(rows.order_by("pk").values_list("pk", flat=True))


def ask_payments(work: Sweep, ids: list[int]) -> None:
    """Ask about these payments, apply the answers and keep what they put on the bill."""
    rows = Payment.objects.select_related("account").filter(pk__in=ids)
    payments = list(rows.defer("handover").order_by("pk"))
    questions = [
        Question(
            Caller(work.account, one.terminal_id, one.created_at), query_payment(payment_ref(one))
        )
        for one in payments
    ]
    keep(work, LineKind.PAYMENT, _answers(work, payments, questions, _take_payment))


def ask_refunds(work: Sweep, ids: list[int]) -> None:
    """Ask about these refunds, apply the answers and keep what they put on the bill."""
    rows = Refund.objects.select_related("payment", "account").filter(pk__in=ids)
    refunds = list(rows.defer("payment__handover").order_by("pk"))
    questions = [
        Question(
            Caller(work.account, one.payment.terminal_id, one.payment.created_at),
            query_refund(refund_ref(one)),
        )
        for one in refunds
    ]
    keep(work, LineKind.REFUND, _answers(work, refunds, questions, _take_refund))


def _answers(
    work: Sweep,
    rows: Sequence[Asked],
    questions: Sequence[Question[Told]],
    take: Callable[[Sweep, Asked, Told], StatementLine | None],
) -> list[Answer]:
    """What was answered about the rows; ``take`` applies a result and gives the line that it puts on the bill."""
    answers: list[Answer] = []
    for row, word in zip(rows, ask(work, questions), strict=True):
        if word is None:
            continue
        if word.missing:
            answers.append(Answer(row.pk))
        elif word.result is not None:
            line = take(work, row, word.result)
            answers.append(Answer(row.pk, line, word.result.outcome in _FINAL))
    return answers


def _take_payment(work: Sweep, payment: Payment, answer: PaymentResult) -> StatementLine | None:
    """Apply an answer; the row that it puts on the day's bill."""
    # A mismatch changes nothing here; the file says what the platform says, so the matching shows the difference.
    with suppress(ResultMismatch):
        apply_payment_result(
            payment_id=payment.pk, result=answer, via="bill", now=work.now, actor=work.actor
        )
    if answer.outcome is not Outcome.SUCCEEDED:
        return None
    payment.refresh_from_db()
    # Ours first: of a payment that was refunded the platform tells when its order was opened, which may have been before
    # midnight. And it was ours that chose the day on which it is asked about; another moment would be on no bill at all.
    paid_at = payment.paid_at or answer.paid_at
    if paid_at is None or not work.holds(paid_at):
        return None
    return StatementLine(
        kind=LineKind.PAYMENT,
        row=0,
        order_no=payment.order_no,
        platform_trade_no=answer.platform_trade_no or payment.platform_trade_no,
        amount=answer.amount or Money(payment.amount_minor, payment.currency),
        fee=Money(0),
        fee_known=False,
        occurred_at=paid_at,
        product=answer.wallet or payment.wallet,
    )


def _take_refund(work: Sweep, refund: Refund, answer: RefundResult) -> StatementLine | None:
    """Apply an answer; the row that it puts on the day's bill."""
    with suppress(ResultMismatch):
        apply_refund_result(
            refund_id=refund.pk, result=answer, via="bill", now=work.now, actor=work.actor
        )
    if answer.outcome not in {Outcome.SUCCEEDED, Outcome.PENDING}:
        return None
    refund.refresh_from_db()
    # A refund counts on the day it was accepted, as in the bills that platforms make.
    accepted_at = refund.accepted_at or answer.refunded_at
    if accepted_at is None or not work.holds(accepted_at):
        return None
    return StatementLine(
        kind=LineKind.REFUND,
        row=0,
        order_no=refund.payment.order_no,
        refund_no=refund.refund_no,
        platform_trade_no=refund.payment.platform_trade_no,
        platform_refund_no=answer.platform_refund_no or refund.platform_refund_no,
        amount=answer.amount or Money(refund.amount_minor, refund.currency),
        fee=Money(0),
        fee_known=False,
        occurred_at=accepted_at,
        status="成功" if answer.outcome is Outcome.SUCCEEDED else "已受理",
        product=refund.payment.wallet,
    )
