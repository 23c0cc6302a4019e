"""The receipt of a paid order, and asking for money back there."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.checkout import selectors
from apps.checkout.models import Receipt
from apps.checkout.views.frame import payer_page, see_other, shop_facts, speak
from apps.core import clock
from apps.merchants.access import DoorRequest, actor_of, client_ip, door_view
from apps.payments.models import Order, Payment
from apps.refunds.forms import RequestForm, over_refund_sentence
from apps.refunds.models import RequestReason, RequestTerms
from apps.refunds.selectors import (
    left_to_refund,
    may_ask,
    refunds_of,
    request_terms,
    requests_of,
)
from apps.refunds.services import (
    NotAskable,
    NotOpen,
    OverRefund,
    ask_for_refund,
    withdraw_request,
)

#: Where the receipt says why nothing can be asked for.
_WHY: Final = "#refund"


@payer_page
@door_view("receipt")
@require_safe
def receipt(request: DoorRequest) -> HttpResponse:
    """Shop, amount, time, numbers, refunds and requests as they are now; 410 when it is too old."""
    now = clock.now()
    found = _receipt(request)
    if now >= found.expires_at:
        return render(
            request, "checkout/receipt_over.html", _shop(request, found.order), status=410
        )
    return render(request, "checkout/receipt.html", _facts(request, found, now=now))


@payer_page
@door_view("receipt")
@require_http_methods(["GET", "HEAD", "POST"])
def receipt_ask(request: DoorRequest) -> HttpResponse:
    """Ask the shop for money back, where it lets its customers; what cannot be asked leads back to the receipt, which says why."""
    now = clock.now()
    found = _receipt(request)
    payment = _payment(found)
    terms = request_terms()
    if payment is None or now >= found.expires_at or may_ask(payment, now=now, terms=terms):
        return see_other(f"{receipt_address(found)}{_WHY}")
    left = left_to_refund(payment)
    form = RequestForm(
        request.POST if request.method == "POST" else None,
        left=left,
        initial={"amount": left.to_yuan()},
    )
    note = ""
    if request.method == "POST" and form.is_valid():
        try:
            ask_for_refund(
                payment=payment,
                amount=form.cleaned_data["amount"],
                reason=RequestReason(form.cleaned_data["reason"]),
                words=form.cleaned_data["words"],
                contact=form.cleaned_data["contact"],
                client_ip=client_ip(request) or "",
                now=now,
                actor=actor_of(request),
            )
        except OverRefund as refused:
            form.add_error("amount", over_refund_sentence(refused.left))
        except NotAskable as refused:
            if refused.reason != "often":
                return see_other(f"{receipt_address(found)}{_WHY}")
            note = _("You have asked very often today. Please speak to the shop, or try tomorrow.")
        else:
            return see_other(receipt_address(found))
    context = {
        "receipt": found,
        "back": receipt_address(found),
        "form": form,
        "note": note,
        "left": left,
        "terms": terms,
        **_shop(request, found.order),
    }
    status = 429 if note else 422 if form.errors else 200
    return render(request, "checkout/receipt_ask.html", context, status=status)


@payer_page
@door_view("receipt")
@require_POST
def receipt_withdraw(request: DoorRequest) -> HttpResponse:
    """The customer takes the open request back; where there is none, nothing happens."""
    found = _receipt(request)
    payment = _payment(found)
    if payment is not None:
        with contextlib.suppress(NotOpen):
            withdraw_request(payment=payment, now=clock.now(), actor=actor_of(request))
    return see_other(receipt_address(found))


def _why_not(refused: str, *, terms: RequestTerms) -> str:
    """Why the customer cannot ask for money back, by a word of ``may_ask``; "" where they can."""
    match refused:
        case "":
            return ""
        case "open":
            return _("You have asked already. Until the shop answers you cannot ask again.")
        case "late":
            return ngettext(
                "Here a refund could be asked for within %(days)d day of paying. Please speak to the shop.",
                "Here a refund could be asked for within %(days)d days of paying. Please speak to the shop.",
                terms.days,
            ) % {"days": terms.days}
        case "refunded":
            return _("All of it has been given back; nothing is left to ask for.")
        case "under_way":
            return _("All of it is given back or on its way to you; nothing is left to ask for.")
        case "off":
            return _("For a refund, please speak to the shop; it takes no requests on this page.")
        case _:
            return _("For a refund of this payment, please speak to the shop.")


def receipt_address(found: Receipt) -> str:
    """The path of a receipt."""
    return reverse("checkout:receipt", args=[found.token])


def _receipt(request: DoorRequest) -> Receipt:
    found: Receipt = Receipt.objects.select_related("order__store").get(pk=request.door.subject_id)
    speak(request, found.order.language)
    return found


def _payment(found: Receipt) -> Payment | None:
    return selectors.paid(found.order, selectors.payments_of(found.order)).payment


def _shop(request: DoorRequest, order: Order) -> dict[str, str]:
    return shop_facts(request, order.store, None)


def _facts(request: DoorRequest, found: Receipt, *, now: datetime) -> dict[str, Any]:
    order = found.order
    paid = selectors.paid(order, selectors.payments_of(order))
    payment = paid.payment
    facts: dict[str, Any] = {
        "receipt": found,
        "order": order,
        "payment": payment,
        "again": paid.again,
        "link": f"{settings.PUBLIC_URL}{receipt_address(found)}",
        **_shop(request, order),
    }
    if payment is None:
        return facts
    asked = requests_of(payment)
    terms = request_terms()
    refused = may_ask(payment, now=now, terms=terms)
    # The answer to a request that waits, and what was given back, stand above in words of their own.
    return facts | {
        "wallet": selectors.wallet_of(payment),
        "refunds": refunds_of(payment),
        "whole": payment.refunded_minor == payment.amount_minor,
        "requests": asked,
        "may_ask": not refused,
        "why_not": _why_not(refused, terms=terms),
    }
