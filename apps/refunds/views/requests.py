"""Customers' requests: the queue, one request and its answer, what customers may ask for."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.core import clock
from apps.core.money import Money
from apps.merchants.access import MerchantRequest, merchant_view
from apps.refunds.forms import (
    DeclineForm,
    RequestTermsForm,
    not_refundable_sentence,
    over_refund_sentence,
)
from apps.refunds.models import RefundRequest, RefundState, RequestState
from apps.refunds.selectors import (
    answered_requests,
    assess,
    contact_of,
    get_request,
    left_to_refund,
    open_requests,
    request_terms,
    rule_of,
    verdict_words,
)
from apps.refunds.services import (
    NotOpen,
    NotRefundable,
    OverRefund,
    RefusedByRules,
    accept_request,
    decline_request,
    set_request_terms,
)
from apps.refunds.services.requests import kind_of_reason


@merchant_view("refunds.view")
@require_safe
def request_list(request: MerchantRequest) -> HttpResponse:
    """What customers ask for: the open ones, the longest waiting first, and the latest answers."""
    context = {
        "open": open_requests(),
        "answered": answered_requests(),
        "terms": request_terms(),
    }
    return render(request, "refunds/request_list.html", context)


@merchant_view("refunds.request")
@require_http_methods(["GET", "HEAD", "POST"])
def request_answer(request: MerchantRequest, refund_request_id: int) -> HttpResponse:
    """One request; a POST accepts it (an ordinary refund under the rule) or declines it in words."""
    asked = get_request(refund_request_id)
    if asked is None:
        raise Http404
    form = DeclineForm(request.POST if request.POST.get("answering") == "decline" else None)
    if request.method != "POST":
        return _show(request, asked, form)
    try:
        if request.POST.get("answering") == "accept":
            return _accepted(request, asked)
        if not form.is_valid():
            return _show(request, asked, form, status=422)
        decline_request(
            request_id=asked.pk,
            answer=form.cleaned_data["answer"],
            member=request.member,
            now=clock.now(),
            actor=request.actor(),
        )
        messages.success(request, _("Declined. The customer reads your words on the receipt."))
    except NotOpen:
        messages.info(request, _("This request was answered or withdrawn meanwhile."))
    except OverRefund as refused:
        return _show(request, asked, form, note=over_refund_sentence(refused.left), status=409)
    except RefusedByRules as refused:
        note = _("The refund rules refuse it. %(why)s") % {"why": rule_of(refused.refund)}
        return _show(request, asked, form, note=note, status=409)
    except NotRefundable as refused:
        note = not_refundable_sentence(refused)
        return _show(request, asked, form, note=note, status=409)
    return redirect("refunds:request_list", request.merchant.slug)


def _accepted(request: MerchantRequest, asked: RefundRequest) -> HttpResponse:
    done = accept_request(
        request_id=asked.pk, member=request.member, now=clock.now(), actor=request.actor()
    )
    if done.refund.state == RefundState.WAITING:
        messages.success(request, _("Accepted. Another member must confirm before it is sent."))
    else:
        messages.success(request, _("Accepted. The refund is on its way to the platform."))
    return redirect("refunds:refund_detail", request.merchant.slug, done.refund_id)


def _show(
    request: MerchantRequest,
    asked: RefundRequest,
    form: DeclineForm,
    *,
    note: str = "",
    status: int = 200,
) -> HttpResponse:
    amount = Money(asked.amount_minor, asked.currency)
    verdict = assess(
        asked.payment,
        amount,
        member_id=request.member.pk,
        reason=kind_of_reason(asked),
        origin="receipt",
        now=clock.now(),
    )
    context = {
        "asked": asked,
        "payment": asked.payment,
        "left": left_to_refund(asked.payment),
        "contact": contact_of(asked),
        "open": asked.state == RequestState.ASKED,
        "waits": verdict.waits,
        "refuses": verdict.outcome.refuses,
        "sentence": verdict_words(verdict),
        "form": form,
        "note": note,
    }
    return render(request, "refunds/request_answer.html", context, status=status)


@merchant_view("merchant.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def request_settings(request: MerchantRequest) -> HttpResponse:
    """Whether customers may ask for money back on their receipt, for how long, and what they read first."""
    terms = request_terms()
    initial = {"is_open": terms.is_open, "days": terms.days, "policy": terms.policy}
    form = RequestTermsForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        set_request_terms(**form.cleaned_data, actor=request.actor(), now=clock.now())
        messages.success(request, _("Saved."))
        return redirect("refunds:request_settings", request.merchant.slug)
    status = 422 if form.errors else 200
    return render(request, "refunds/request_settings.html", {"form": form}, status=status)
