"""One order: where its money is, what can be done, what happened."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.core import clock
from apps.core.htmx import render_page
from apps.core.logging import redact
from apps.core.templatetags.portal import money, platform_label
from apps.merchants.access import MerchantRequest, merchant_view
from apps.payments import services as payments
from apps.payments.models import OrderState, Payment, PaymentState
from apps.payments.selectors import get_order, get_payment
from apps.platforms.messages import About
from apps.platforms.wording import remark_words
from apps.refunds.limitwords import limit_words, refusal_sentence
from apps.refunds.models import UNDER_WAY, Refund, RefundState
from apps.refunds.path import end_words
from apps.refunds.selectors import answer_of, refund_allowance, rules_of
from apps.reports import timeline, wording
from apps.reports.selectors import OrderStory, PaymentCard, booked_from, order_story
from apps.reports.views.rows import english


def _refund_url(request: MerchantRequest, card: PaymentCard) -> str:
    if "refunds.request" not in request.permissions or card.left_minor <= 0:
        return ""
    try:
        return reverse("refunds:refund_create", args=[request.merchant.slug, card.payment.pk])
    except NoReverseMatch:
        return ""


def _limits(card: PaymentCard) -> tuple[list[str], str]:
    """By what the platform takes refunds of a payment that has something left to refund, and why it takes none any more."""
    if card.left_minor <= 0:
        return [], ""
    now = clock.now()
    allowance = refund_allowance(card.payment, now=now, refunds=card.refunds)
    too_late = refusal_sentence(allowance, now)
    return [] if too_late else limit_words(allowance, now), too_late


def _raw(card: PaymentCard) -> str:
    """The stored facts of a payment, without what would let anybody pay or recognise the payer."""
    row = card.payment
    facts = {
        name: getattr(row, name)
        for name in (
            "order_no",
            "platform_trade_no",
            "platform",
            "product",
            "state",
            "source",
            "amount_minor",
            "currency",
            "fee_minor",
            "refund_reserved_minor",
            "refunded_minor",
            "code_text",
            "message",
            "poll_count",
        )
    }
    for name in ("created_at", "expires_at", "paid_at", "closed_at", "last_polled_at"):
        at = getattr(row, name)
        facts[name] = at.astimezone(clock.CHINA).isoformat() if at else None
    facts["booked_date"] = str(row.booked_date) if row.booked_date else None
    return redact(json.dumps(facts, ensure_ascii=False, indent=2))


def _wallet(card: PaymentCard) -> str:
    """Who paid, where it was not the platform itself."""
    payment = card.payment
    return platform_label(payment.wallet) if payment.wallet not in {"", payment.platform} else ""


def _payment_said(payment: Payment) -> str:
    """What the platform last said about a payment that is not paid, in the reader's words."""
    if payment.state == PaymentState.SUCCEEDED or not payment.message:
        return ""
    return remark_words(payment.platform, payment.code_text, payment.message, about=About.PAYMENT)


def _refund_said(refund: Refund) -> str:
    """The same about a refund, or why it ended before it was sent."""
    if refund.state in {RefundState.REJECTED, RefundState.CANCELLED}:
        return end_words(refund)
    return str(answer_of(refund))


def _card(request: MerchantRequest, card: PaymentCard, rules: dict[int, str]) -> dict[str, Any]:
    limits, too_late = _limits(card)
    return {
        "card": card,
        "payment": card.payment,
        "way": wording.product_words(card.payment.product),
        "wallet": _wallet(card),
        "said": _payment_said(card.payment),
        "refund_url": "" if too_late else _refund_url(request, card),
        "limits": limits,
        "too_late": too_late,
        "refunds": [
            {
                "row": row,
                "stops": timeline.way_of(row),
                "rule": rules[row.pk],
                "said": _refund_said(row),
            }
            for row in card.refunds
        ],
        "raw": _raw(card),
    }


#: States in which a refund is at its end or on its way there.
_GOES_BACK = {RefundState.SUCCEEDED, *UNDER_WAY} - {RefundState.ABNORMAL}


def _too_much(story: OrderStory) -> dict[str, str]:
    """What is said about an order that was paid more than once: ``tone`` and ``text``; empty where there is nothing to say."""
    cards = story.too_much
    if not cards:
        return {}
    words = {"amount": money(sum(card.payment.amount_minor for card in cards))}
    states = {card.automatic.state if card.automatic else "" for card in cards}
    if states == {RefundState.SUCCEEDED}:
        text = _("The customer paid twice. %(amount)s went back by itself.")
        return {"tone": "info", "text": text % words}
    if states <= _GOES_BACK:
        text = _(
            "The customer paid twice. %(amount)s goes back by itself; you need not do anything."
        )
        return {"tone": "info", "text": text % words}
    if "" in states:
        text = _("This order was paid more than once. Please refund what is too much.")
        return {"tone": "bad", "text": text}
    if all(
        (card.automatic and card.automatic.state in _GOES_BACK) or card.is_asked_back_again
        for card in cards
    ):
        text = _(
            "The customer paid twice, and the platform did not give %(amount)s back yet. The portal asks for it again by itself."
        )
        return {"tone": "wait", "text": text % words}
    text = _(
        "The customer paid twice, but the platform did not give %(amount)s back. Please settle it with the customer."
    )
    return {"tone": "bad", "text": text % words}


@require_GET
@merchant_view("transactions.view")
def order_detail(request: MerchantRequest, order_id: int) -> HttpResponse:
    """An order with its payments, their refunds and the timeline."""
    story = order_story(order_id)
    if story is None:
        raise Http404
    order, words = story.order, english()
    rules = rules_of(refund for card in story.payments for refund in card.refunds)
    cards = [_card(request, card, rules) for card in story.payments]
    main = next((c for c in cards if c["card"] is story.paid), cards[-1] if cards else None)
    may_act = "refunds.request" in request.permissions
    context = {
        "story": story,
        "order": order,
        "state": story.state,
        "cards": cards,
        "main": main,
        "store": wording.name_of(order.store, words) if order.store else "",
        "code": wording.code_name(order.code, words) if order.code else "",
        "entries": timeline.timeline_of(
            story.events, platform=main["payment"].platform if main else ""
        ),
        "may_act": may_act,
        "may_close": may_act and order.state == OrderState.OPEN,
        "too_much": _too_much(story),
        "booked_from": booked_from(order),
        "day_starts_at": request.merchant.day_starts_at,
        "live_ids": " ".join(f"payment:{card.payment.pk}" for card in story.payments),
    }
    return render_page(request, "reports/order_detail.html", context, partial="story")


@require_POST
@merchant_view("refunds.request")
def payment_refresh(request: MerchantRequest, order_id: int, payment_id: int) -> HttpResponse:
    """Ask the platform now where a payment stands."""
    payment = get_payment(payment_id)
    if payment is None or payment.order_id != order_id:
        raise Http404
    before = payment.state
    payment = payments.refresh_payment(payment_id=payment_id, now=clock.now())
    if payment.state != before:
        messages.success(request, _("The platform answered: it is up to date now."))
    elif payment.message:
        messages.warning(
            request, _("The platform gave no clear answer. We keep asking; nothing is lost.")
        )
    else:
        messages.info(request, _("The platform has nothing new: it is as shown here."))
    return redirect("reports:order_detail", request.merchant.slug, order_id)


@require_http_methods(["GET", "POST"])
@merchant_view("refunds.request")
def order_close(request: MerchantRequest, order_id: int) -> HttpResponse:
    """Give an open order up, after saying what that means."""
    order = get_order(order_id)
    if order is None:
        raise Http404
    if request.method == "POST":
        order = payments.close_order(order_id=order_id, now=clock.now(), actor=request.actor())
        if order.state == OrderState.PAID:
            messages.warning(request, _("It was paid meanwhile, so it stays."))
        else:
            messages.success(
                request,
                _("The order is being closed. What was paid in the last moment still counts."),
            )
        return redirect("reports:order_detail", request.merchant.slug, order_id)
    if order.state != OrderState.OPEN:
        return redirect("reports:order_detail", request.merchant.slug, order_id)
    return render_page(
        request,
        "reports/order_close.html",
        {"order": order, "store": wording.name_of(order.store, english())},
    )
