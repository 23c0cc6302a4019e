"""Customers who ask for money back: asking, withdrawing, the shop's answer.

The payment's row is locked first and the request's after it, as everywhere: an answer and another question never wait for
each other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, limits, live, outbox
from apps.core.audit import Actor
from apps.core.encryption import seal
from apps.core.money import Money
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.payments.models import Payment
from apps.refunds.models import (
    ReasonCode,
    Refund,
    RefundRequest,
    RefundState,
    RequestReason,
    RequestState,
    RequestTerms,
)
from apps.refunds.selectors import may_ask
from apps.refunds.services.requesting import NotRefundable, OverRefund, request_refund

#: How long a customer's contact is kept.
CONTACT_KEPT: Final = timedelta(days=30)
CONTACT_PURPOSE: Final = "refund-contact"
#: How often one payment's customer, and one address, may ask in a day.
_ASKED_A_DAY: Final = 5
_FROM_ONE_ADDRESS: Final = 30
_DAY: Final = 86_400
#: What the platform shows to the payer; our pages show the request itself.
_REASON_THERE: Final = "顾客申请退款 Asked for by the customer"

#: What a customer's reason is to the rules.
_KIND_OF_REASON: Final = {
    RequestReason.WRONG_AMOUNT: ReasonCode.WRONG_AMOUNT,
    RequestReason.PAID_TWICE: ReasonCode.PAID_TWICE,
    RequestReason.NOT_RECEIVED: ReasonCode.NOT_RECEIVED,
    RequestReason.RETURNED: ReasonCode.RETURNED,
    RequestReason.QUALITY: ReasonCode.QUALITY,
    RequestReason.OTHER: ReasonCode.OTHER,
}


class NotAskable(Exception):
    """The shop takes no request for this payment now; ``reason`` is a word of ``may_ask``, or ``"often"``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RefusedByRules(Exception):
    """The refund rules refuse what the customer asks for: ``refund`` says why, and the request stays open."""

    def __init__(self, refund: Refund) -> None:
        super().__init__(f"refund {refund.pk} refused by the rules")
        self.refund = refund


class NotOpen(Exception):
    """The request is answered or withdrawn already, or is not there."""


@transaction.atomic
def set_request_terms(
    *, is_open: bool, days: int, policy: str, actor: Actor, now: datetime
) -> RequestTerms:
    """Whether customers may ask on their receipt, how many days long, and what they read first. Raises ValueError."""
    if not 1 <= days <= 365:
        raise ValueError(days)
    # The merchant's row is the lock: of two first decisions at once, the second changes the first.
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())
    row = RequestTerms.objects.first() or RequestTerms(changed_at=now)
    if row.pk and (row.is_open, row.days, row.policy) == (is_open, days, policy):
        return row
    row.is_open, row.days, row.policy, row.changed_at = is_open, days, policy, now
    row.save()
    audit.record(
        action="refund_requests.changed",
        subject_kind="merchant",
        subject_id=row.merchant_id,
        actor=actor,
        at=now,
        data={"is_open": is_open, "days": days, "policy": policy},
    )
    return row


def masked(contact: str) -> str:
    """A contact of which only its ends can be read."""
    name, _at, host = contact.partition("@")
    if name and host:
        return f"{name[:1]}***@{host[:40]}"
    return f"{contact[:3]}****{contact[-2:]}" if len(contact) > 7 else "****"


def ask_for_refund(
    *,
    payment: Payment,
    amount: Money,
    reason: RequestReason,
    words: str,
    contact: str,
    client_ip: str,
    now: datetime,
    actor: Actor,
) -> RefundRequest:
    """A customer's request, which the shop answers. Raises NotAskable, OverRefund."""
    often = limits.count(f"refund/ask/{payment.pk}", seconds=_DAY, now=now) > _ASKED_A_DAY
    if often or (
        limits.count(f"refund/ask/from/{client_ip}", seconds=_DAY, now=now) > _FROM_ONE_ADDRESS
    ):
        raise NotAskable("often")
    with transaction.atomic():
        locked = (
            Payment.objects.select_related("order")
            .select_for_update(of=("self",))
            .get(pk=payment.pk)
        )
        refused = may_ask(locked, now=now)
        if refused:
            raise NotAskable(refused)
        left = Money(locked.amount_minor - locked.refund_reserved_minor, locked.currency)
        if not 0 < amount.minor <= left.minor:
            raise OverRefund(left)
        asked: RefundRequest = RefundRequest.objects.create(
            payment=locked,
            store_id=locked.store_id,
            amount_minor=amount.minor,
            currency=amount.currency,
            reason=reason,
            words=words,
            contact_sealed=seal(
                contact.encode(), merchant_id=locked.merchant_id, purpose=CONTACT_PURPOSE
            )
            if contact
            else None,
            contact_masked=masked(contact) if contact else "",
            created_at=now,
        )
        if contact:
            outbox.enqueue(
                task="refunds.forget_contact",
                merchant_id=asked.merchant_id,
                subject_id=asked.pk,
                due_at=now + CONTACT_KEPT,
            )
        _record(asked, "refund_request.asked", actor=actor, now=now)
    return asked


@transaction.atomic
def withdraw_request(*, payment: Payment, now: datetime, actor: Actor) -> RefundRequest:
    """The customer takes the open request back. Raises NotOpen."""
    Payment.objects.select_for_update(of=("self",)).get(pk=payment.pk)
    asked = (
        RefundRequest.objects.select_for_update(of=("self",))
        .filter(payment=payment, state=RequestState.ASKED)
        .first()
    )
    if asked is None:
        raise NotOpen
    _decide(asked, RequestState.WITHDRAWN, now=now)
    _record(asked, "refund_request.withdrawn", actor=actor, now=now)
    return asked


def accept_request(*, request_id: int, member: User, now: datetime, actor: Actor) -> RefundRequest:
    """Make the refund that was asked for, under the rules and the member's own right.

    Raises NotOpen, NotRefundable, OverRefund, RefusedByRules, and leaves the request open then.
    """
    asked, refund = _accept(request_id=request_id, member=member, now=now, actor=actor)
    if refund.state == RefundState.REJECTED:
        # Raised when it is written down what the rules said.
        raise RefusedByRules(refund)
    return asked


@transaction.atomic
def _accept(
    *, request_id: int, member: User, now: datetime, actor: Actor
) -> tuple[RefundRequest, Refund]:
    asked = _locked(request_id)
    refund: Refund = request_refund(
        payment_id=asked.payment_id,
        amount=Money(asked.amount_minor, asked.currency),
        reason=_REASON_THERE,
        reason_code=kind_of_reason(asked),
        origin="receipt",
        member=member,
        actor=actor,
        now=now,
    )
    if refund.state == RefundState.REJECTED:
        return asked, refund
    _decide(asked, RequestState.ACCEPTED, now=now, member=member, refund=refund)
    _record(asked, "refund_request.accepted", actor=actor, now=now, refund_no=refund.refund_no)
    return asked, refund


@transaction.atomic
def decline_request(
    *, request_id: int, answer: str, member: User, now: datetime, actor: Actor
) -> RefundRequest:
    """Say no, in words that the customer reads. Raises NotOpen."""
    asked = _locked(request_id)
    _decide(asked, RequestState.DECLINED, now=now, member=member, answer=answer)
    _record(asked, "refund_request.declined", actor=actor, now=now, answer=answer)
    return asked


def forget_contact(*, request_id: int) -> None:
    """Take the customer's contact away."""
    RefundRequest.objects.filter(pk=request_id).update(contact_sealed=None, contact_masked="")


def kind_of_reason(asked: RefundRequest) -> str:
    """What a customer's reason is to the rules."""
    return _KIND_OF_REASON[RequestReason(asked.reason)].value


def _locked(request_id: int) -> RefundRequest:
    """The open request, it and its payment locked. Raises NotOpen."""
    seen = RefundRequest.objects.visible().filter(pk=request_id).first()
    if seen is None:
        raise NotOpen
    Payment.objects.select_for_update(of=("self",)).get(pk=seen.payment_id)
    asked: RefundRequest = (
        RefundRequest.objects.select_for_update(of=("self",))
        .select_related("payment__order")
        .get(pk=request_id)
    )
    if asked.state != RequestState.ASKED:
        raise NotOpen
    return asked


def _decide(
    asked: RefundRequest,
    state: RequestState,
    *,
    now: datetime,
    member: User | None = None,
    refund: Refund | None = None,
    answer: str = "",
) -> None:
    asked.state, asked.decided_at, asked.answer = state, now, answer
    asked.decided_by, asked.refund = member, refund
    asked.save(update_fields=["state", "decided_at", "answer", "decided_by", "refund"])


def _record(
    asked: RefundRequest, action: str, *, actor: Actor, now: datetime, **data: str | int
) -> None:
    audit.record(
        action=action,
        subject_kind="order",
        subject_id=asked.payment.order_id,
        actor=actor,
        at=now,
        store_id=asked.store_id,
        data={"request_id": asked.pk, "amount_minor": asked.amount_minor, **data},
    )
    live.publish(
        kind="refund",
        subject_id=asked.pk,
        store_id=asked.store_id,
        member_id=asked.payment.order.taken_by_id,
    )


__all__ = [
    "CONTACT_KEPT",
    "CONTACT_PURPOSE",
    "NotAskable",
    "NotOpen",
    "NotRefundable",
    "RefusedByRules",
    "accept_request",
    "ask_for_refund",
    "decline_request",
    "forget_contact",
    "kind_of_reason",
    "masked",
    "set_request_terms",
    "withdraw_request",
]
