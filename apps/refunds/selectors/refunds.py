"""Refunds to look at, and customers' requests for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils.functional import Promise

from apps.core import keyset
from apps.core.encryption import unseal
from apps.core.models import Due
from apps.core.money import Money
from apps.core.tenancy import ScopedQuerySet
from apps.payments.models import Payment, PaymentState
from apps.platforms import messages
from apps.platforms.gateway import RefundRef
from apps.platforms.wording import own_words
from apps.refunds.models import (
    Refund,
    RefundRequest,
    RefundState,
    RequestState,
    RequestTerms,
)

#: What the list's state filter offers, and the states behind each word.
STATE_GROUPS: Final[Mapping[str, tuple[RefundState, ...]]] = {
    "waiting": (RefundState.WAITING,),
    "under_way": (
        RefundState.READY,
        RefundState.PROCESSING,
        RefundState.UNKNOWN,
        RefundState.QUEUED,
    ),
    "abnormal": (RefundState.ABNORMAL,),
    "succeeded": (RefundState.SUCCEEDED,),
    "failed": (RefundState.FAILED,),
    "stopped": (RefundState.REJECTED, RefundState.CANCELLED),
}
PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class RefundFilters:
    """What narrows the list: a word of ``STATE_GROUPS`` and a store; empty means all."""

    state: str = ""
    store_id: int | None = None


def refund_by_no(*, refund_no: str, account_id: int) -> Refund | None:
    """The refund that carries this number of ours at this account, or None."""
    return Refund.objects.filter(refund_no=refund_no, account_id=account_id).first()


def visible_refunds() -> ScopedQuerySet[Refund]:
    """Refunds of the stores in scope, with what a page shows of them."""
    return Refund.objects.visible().select_related(
        "payment__order", "store", "account", "requested_by"
    )


def get_refund(refund_id: int) -> Refund | None:
    """One refund of the stores in scope, or None."""
    return visible_refunds().select_related("approval").filter(pk=refund_id).first()


def page_refunds(
    filters: RefundFilters, *, after: str = "", before: str = "", size: int = PAGE_SIZE
) -> keyset.Page[Refund]:
    """One page of the refunds in scope, newest first. Raises BadCursor."""
    refunds = visible_refunds()
    if filters.state:
        refunds = refunds.filter(state__in=STATE_GROUPS[filters.state])
    if filters.store_id is not None:
        refunds = refunds.filter(store_id=filters.store_id)
    return keyset.page(refunds, at="created_at", after=after, before=before, size=size)


def has_refunds() -> bool:
    """Whether the stores in scope have any refund."""
    return bool(Refund.objects.visible().exists())


def refunds_of(payment: Payment) -> list[Refund]:
    """All refunds out of one payment, oldest first."""
    return list(Refund.objects.visible().filter(payment=payment).order_by("created_at", "pk"))


def left_to_refund(payment: Payment) -> Money:
    """What is neither refunded nor reserved."""
    return Money(payment.amount_minor - payment.refund_reserved_minor, payment.currency)


def answer_of(refund: Refund) -> Promise | str:
    """What the platform said, in plain words; "" where it said nothing worth reading."""
    if refund.state in {
        RefundState.WAITING,
        RefundState.SUCCEEDED,
        RefundState.REJECTED,
        RefundState.CANCELLED,
    }:
        return ""
    code, platform = refund.code_text, refund.payment.platform
    if code not in messages.known_codes(platform):
        # Words like "accepted" carry a code too; only what has a sentence is shown.
        return own_words(refund.message)
    return messages.explain(platform, code, fallback=refund.message, about=messages.About.REFUND)


def next_send_at(refund: Refund) -> datetime | None:
    """When a refund goes to the platform, or goes there again; None where nothing of the kind is due. One query."""
    if refund.state not in {RefundState.READY, RefundState.QUEUED}:
        return None
    due = Due.objects.filter(
        task="refunds.send", merchant_id=refund.merchant_id, subject_id=refund.pk
    )
    at: datetime | None = due.values_list("due_at", flat=True).first()
    return at


def refund_ref(refund: Refund) -> RefundRef:
    """How a gateway is told which refund is meant; it must have been sent, or be about to be."""
    return RefundRef(
        order_no=refund.payment.order_no,
        refund_no=refund.refund_no,
        began_at=refund.sent_at or refund.created_at,
        platform_trade_no=refund.payment.platform_trade_no,
        amount=Money(refund.amount_minor, refund.currency),
        refunded_before=refunded_before(refund),
    )


def refunded_before(refund: Refund) -> Money | None:
    """What the payment's other refunds have given back, for a refund under way; None while another one may be under way."""
    payment = refund.payment
    open_minor = payment.refund_reserved_minor - payment.refunded_minor
    if open_minor != refund.amount_minor:
        return None
    return Money(payment.refunded_minor, payment.currency)


def request_terms() -> RequestTerms:
    """What the merchant says about customers' requests; unsaved (nobody may ask) until decided."""
    return RequestTerms.objects.first() or RequestTerms()


def may_ask(payment: Payment, *, now: datetime, terms: RequestTerms | None = None) -> str:
    """Why a customer may not ask for money back now, "" where they may. One query, and one more without ``terms``.

    ``off``: the shop takes no requests; ``not_paid``; ``open``: an earlier request waits for its answer; ``late``; ``refunded``: all
    of it went back; ``under_way``: what has not, is on its way.
    """
    terms = terms or request_terms()
    if not terms.is_open:
        return "off"
    if payment.state != PaymentState.SUCCEEDED or not payment.is_known_there or not payment.paid_at:
        return "not_paid"
    # Before the time: who asked in time is not told that it is over while the shop still owes an answer.
    if RefundRequest.objects.filter(payment=payment, state=RequestState.ASKED).exists():
        return "open"
    if now >= payment.paid_at + timedelta(days=terms.days):
        return "late"
    if payment.refunded_minor >= payment.amount_minor:
        return "refunded"
    if left_to_refund(payment).minor <= 0:
        return "under_way"
    return ""


def requests_of(payment: Payment) -> list[RefundRequest]:
    """A customer's requests about one payment, newest first."""
    rows = RefundRequest.objects.select_related("refund").filter(payment=payment)
    return list(rows.order_by("-pk"))


def visible_requests() -> ScopedQuerySet[RefundRequest]:
    """Customers' requests of the stores in scope, with what a page shows of them."""
    return RefundRequest.objects.visible().select_related("payment__order", "store", "refund")


def open_requests(*, limit: int = PAGE_SIZE) -> list[RefundRequest]:
    """The open requests of the stores in scope, the longest waiting first."""
    rows = visible_requests().filter(state=RequestState.ASKED)
    return list(rows.order_by("created_at", "pk")[:limit])


def answered_requests(*, limit: int = PAGE_SIZE) -> list[RefundRequest]:
    """The latest requests of the stores in scope that are answered or withdrawn."""
    rows = visible_requests().exclude(state=RequestState.ASKED)
    return list(rows.order_by("-decided_at", "-pk")[:limit])


def requests_open() -> ScopedQuerySet[RefundRequest]:
    """The requests of customers of the stores in scope that wait for an answer."""
    return RefundRequest.objects.visible().filter(state=RequestState.ASKED)


def get_request(request_id: int) -> RefundRequest | None:
    """One request of the stores in scope, or None."""
    return visible_requests().select_related("decided_by").filter(pk=request_id).first()


def contact_of(asked: RefundRequest) -> str:
    """How the customer may be reached, in clear; "" where nothing was said or it is forgotten."""
    if asked.contact_sealed is None:
        return ""
    sealed = bytes(asked.contact_sealed)
    return unseal(sealed, merchant_id=asked.merchant_id, purpose="refund-contact").decode()
