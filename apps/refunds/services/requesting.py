"""From "please refund" to a refund that may be sent: the amount is reserved first, under the payment's lock."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Sum

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import end_approval, request_approval
from apps.core import audit, clock, live, outbox, sql
from apps.core.audit import Actor
from apps.core.money import Money
from apps.payments.models import Payment, PaymentState
from apps.payments.services.ordering import new_number
from apps.platforms.fees import fee_back
from apps.platforms.selectors.agreements import fee_back_ppm
from apps.platforms.selectors.refunding import Allowance
from apps.refunds.models import RESERVING, Refund, RefundDecision, RefundState
from apps.refunds.rulefacts import FINANCE_APPROVER, Outcome, refund_book
from apps.refunds.selectors import (
    Verdict,
    assess,
    book_in_force,
    goes_by_counts,
    refund_allowance,
)

#: The message of a refund that the rules refused; pages say which.
REFUSED_BY_RULES = "rules"


class NotRefundable(Exception):
    """The payment is not paid, not visible to this member, or not known at the platform by a number that the portal has.

    ``reason`` is ``"not_paid"``, ``"not_found"``, ``"no_number"``, or what ``PastLimits`` says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PastLimits(NotRefundable):
    """The platform takes no more refunds of this payment: its time is over (``"window"``) or it has had all its parts
    (``"parts"``), by ``allowance``."""

    def __init__(self, reason: str, allowance: Allowance) -> None:
        super().__init__(reason)
        self.allowance = allowance


class NeedsMore(Exception):
    """The rules ask for more confirmations, or for others, than what the refund is covered by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What was confirmed of a batch as a whole, in place of a confirmation of each of its refunds."""

    batch_id: int
    approval: Approval | None
    confirmations: int
    permission: str

    def covers(self, outcome: Outcome) -> bool:
        """Whether it is enough for what the rules ask for. Those who confirm for finance may confirm anything."""
        return outcome.confirmations <= self.confirmations and (
            outcome.permission == self.permission or self.permission == FINANCE_APPROVER
        )


class OverRefund(Exception):
    """More than what is left to refund; ``left`` is that amount, which may be zero."""

    def __init__(self, left: Money) -> None:
        super().__init__(f"only {left.to_yuan()} is left to refund")
        self.left = left


def refund_digest(refund: Refund) -> bytes:
    """SHA-256 over what an approver confirms: amount, order, payment and reason."""
    signed = {
        "refund_no": refund.refund_no,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "order_no": refund.payment.order_no,
        "paid_minor": refund.payment.amount_minor,
        "reason": refund.reason,
    }
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).digest()


def record_step(
    refund: Refund, action: str, *, actor: Actor, now: datetime, **data: str | int | bool
) -> None:
    """One step of a refund, in the order's timeline and on open pages."""
    audit.record(
        action=action,
        subject_kind="order",
        subject_id=refund.payment.order_id,
        actor=actor,
        at=now,
        store_id=refund.store_id,
        data={
            "refund_no": refund.refund_no,
            "refund_id": refund.pk,
            "amount_minor": refund.amount_minor,
            **data,
        },
    )
    live.publish(
        kind="refund",
        subject_id=refund.pk,
        store_id=refund.store_id,
        member_id=refund.payment.order.taken_by_id,
    )


@transaction.atomic
def request_refund(
    *,
    payment_id: int,
    amount: Money,
    reason: str,
    member: User | None,
    actor: Actor,
    now: datetime,
    refund_no: str = "",
    reason_code: str = "",
    origin: str = "member",
    cover: Cover | None = None,
) -> Refund:
    """Reserve the amount and either send the refund or put it under four eyes, as the rules say.

    Where they refuse it, the refund is written down as refused, with what was decided, and reserves nothing. ``origin`` is one
    of ``rulefacts.ORIGINS``.
    With a ``refund_no`` chosen beforehand (by ``new_number``) a second call finds the first one's refund and makes none.
    With ``cover`` nobody is asked again: it is ready where the cover is enough, else NeedsMore is raised.
    Raises NotRefundable, OverRefund, and leaves nothing behind then.
    """
    payment = (
        Payment.objects.visible()
        .select_related("account", "order")
        .select_for_update(of=("self",))
        .filter(pk=payment_id)
        .first()
    )
    if payment is None:
        raise NotRefundable("not_found")
    if refund_no:
        # Under the payment's lock: of two calls at once, the second sees what the first has made.
        earlier: Refund | None = Refund.objects.filter(payment=payment, refund_no=refund_no).first()
        if earlier is not None:
            return earlier
    if payment.state != PaymentState.SUCCEEDED:
        raise NotRefundable("not_paid")
    if not payment.is_known_there:
        raise NotRefundable("no_number")
    allowance = refund_allowance(payment, now=now)
    past = allowance.refuses(now)
    if past:
        raise PastLimits(past, allowance)
    left = Money(payment.amount_minor - payment.refund_reserved_minor, payment.currency)
    if not 0 < amount.minor <= left.minor:
        raise OverRefund(left)
    verdict = assess_alone(
        payment, amount, member=member, reason=reason_code, origin=origin, now=now
    )
    waits, refuses = verdict.waits, verdict.outcome.refuses
    if cover is not None and waits:
        if not cover.covers(verdict.outcome):
            raise NeedsMore
        waits = False
    if waits and member is None:
        raise NotRefundable("needs_a_member")
    facts: dict[str, Any] = {
        "refund_no": refund_no or new_number("R", now),
        "reason": reason,
        "reason_code": reason_code,
        "requested_by": member,
        "rule_version": verdict.book_number,
        "weighed_minor": verdict.facts["total"],
        "created_at": now,
        "approval": cover.approval if cover is not None else None,
    }
    if refuses:
        refund = _write(
            payment, amount, state=RefundState.REJECTED, message=REFUSED_BY_RULES, **facts
        )
    else:
        state = RefundState.WAITING if waits else RefundState.READY
        refund = reserve(payment, amount=amount, state=state, **facts)
    RefundDecision.objects.create(
        refund=refund,
        book_number=verdict.book_number,
        rule_number=verdict.rule_number,
        outcome=verdict.code,
        decided_at=now,
        payer=verdict.payer,
        asked_by=member,
        **verdict.facts,
    )
    record_step(
        refund,
        "refund.requested",
        actor=actor,
        now=now,
        reason=reason,
        waits=waits,
        rules=verdict.book_number,
        rule=verdict.rule_number,
        **({"batch": cover.batch_id} if cover is not None else {}),
    )
    if refuses:
        record_step(refund, "refund.rejected", actor=actor, now=now)
    elif waits and member is not None:
        refund.approval = request_approval(
            subject_kind="refund",
            subject_id=refund.pk,
            store_id=refund.store_id,
            summary={"amount_minor": amount.minor, "order_no": payment.order_no, "reason": reason},
            digest=refund_digest(refund),
            permission=verdict.outcome.permission,
            needed=verdict.outcome.confirmations,
            requested_by=member,
            now=now,
        )
        refund.save(update_fields=["approval"])
    else:
        # One that must wait for the platform's gap between two parts is sent when its turn comes.
        enqueue_send(refund, due_at=allowance.next_at or now)
    return refund


def assess_alone(
    payment: Payment,
    amount: Money,
    *,
    member: User | None,
    reason: str,
    origin: str,
    now: datetime,
) -> Verdict:
    """What the rules say, counting what every refund of the merchant that was asked for before this one; in a transaction.

    Two at once for two payments would each see the other's count without it. Only rules that count make anybody wait.
    """
    version = book_in_force(now)
    if goes_by_counts(refund_book(version.content)):
        sql.first(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"refund-counts/{payment.merchant_id}"],
        )
    return assess(
        payment,
        amount,
        member_id=member.pk if member else None,
        reason=reason,
        origin=origin,
        now=now,
        version=version,
    )


def reserve(payment: Payment, *, amount: Money, **facts: Any) -> Refund:
    """Hold the amount on the payment, whose row must be locked, and write its refund."""
    fee_minor = _fee_back(payment, amount, day=clock.business_date(facts["created_at"]))
    payment.refund_reserved_minor += amount.minor
    payment.save(update_fields=["refund_reserved_minor"])
    return _write(payment, amount, fee_minor=fee_minor, **facts)


def _write(payment: Payment, amount: Money, **facts: Any) -> Refund:
    refund: Refund = Refund.objects.create(
        payment=payment,
        store_id=payment.store_id,
        account_id=payment.account_id,
        amount_minor=amount.minor,
        currency=amount.currency,
        **facts,
    )
    return refund


def _fee_back(payment: Payment, amount: Money, *, day: date) -> int:
    """The part of the fee that comes back with a refund of that day, in fen; call it before the amount is reserved.

    Pro rata on the running total, rounded half up, so that the parts of a whole refund give back exactly the fee, or the
    part of it that the agreement names.
    """
    held = Refund.objects.filter(payment=payment, state__in=RESERVING)
    before = held.aggregate(total=Sum("fee_minor"))["total"] or 0
    due = fee_back(
        fee_minor=payment.fee_minor,
        back_ppm=fee_back_ppm(payment.account, day),
        amount_minor=payment.amount_minor,
        refunded_minor=payment.refund_reserved_minor + amount.minor,
    )
    return max(0, due - before)


def enqueue_send(refund: Refund, *, due_at: datetime) -> None:
    """Let a worker send the refund at that time."""
    outbox.enqueue(
        task="refunds.send", merchant_id=refund.merchant_id, subject_id=refund.pk, due_at=due_at
    )


def release_refund(*, approval: Approval, actor: Actor, now: datetime) -> None:
    """Confirmed: let the refund be sent, in the approval's transaction."""
    changed = Refund.objects.filter(
        pk=approval.subject_id, approval_id=approval.pk, state=RefundState.WAITING
    ).update(state=RefundState.READY)
    if changed:
        refund = Refund.objects.select_related("payment__order").get(pk=approval.subject_id)
        enqueue_send(refund, due_at=now)
        record_step(refund, "refund.confirmed", actor=actor, now=now)


def void_refund(*, approval: Approval, reason: str, actor: Actor, now: datetime) -> None:
    """Refused, withdrawn, changed or expired: give the reserved amount back, in the approval's transaction."""
    state = (
        RefundState.REJECTED if approval.state == ApprovalState.REJECTED else RefundState.CANCELLED
    )
    changed = Refund.objects.filter(
        pk=approval.subject_id, approval_id=approval.pk, state=RefundState.WAITING
    ).update(state=state, message=reason[:300])
    if changed:
        refund = Refund.objects.select_related("payment__order").get(pk=approval.subject_id)
        give_back_reserve(refund)
        record_step(refund, f"refund.{state}", actor=actor, now=now, reason=reason)


def give_back_reserve(refund: Refund) -> None:
    """The refund will not happen: its amount may be refunded again."""
    Payment.objects.filter(pk=refund.payment_id).update(
        refund_reserved_minor=F("refund_reserved_minor") - refund.amount_minor
    )


@transaction.atomic
def cancel_refund(*, refund_id: int, actor: Actor, now: datetime) -> Refund:
    """Withdraw a refund that still waits for confirmation. Raises NotRefundable when it no longer waits."""
    refund = Refund.objects.visible().select_related("payment__order").filter(pk=refund_id).first()
    if refund is None or refund.approval_id is None or refund.state != RefundState.WAITING:
        raise NotRefundable("not_waiting")
    end_approval(
        approval_id=refund.approval_id,
        state=ApprovalState.VOIDED,
        reason="withdrawn",
        actor=actor,
        now=now,
    )
    refund.refresh_from_db()
    return refund
