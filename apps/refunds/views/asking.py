"""Asking for a refund: the form, then its confirmation."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.approvals.selectors import members_who_may
from apps.core import clock
from apps.core.htmx import render_page, wants_fragment
from apps.core.money import Money
from apps.merchants.access import MerchantRequest, merchant_view
from apps.payments.models import Payment, PaymentState
from apps.payments.selectors import get_payment
from apps.payments.services.ordering import new_number
from apps.refunds.forms import (
    RefundForm,
    known_reason,
    not_refundable_sentence,
    over_refund_sentence,
    read_refund_amount,
)
from apps.refunds.limitwords import limit_words, refusal_sentence
from apps.refunds.models import ReasonCode, RefundState
from apps.refunds.selectors import (
    Verdict,
    assess,
    left_to_refund,
    refund_allowance,
    refunds_of,
    verdict_words,
)
from apps.refunds.services import NotRefundable, OverRefund, request_refund

_SALT: Final = "refunds.request"
#: A confirmation page older than this is shown again before anything is done.
_CONFIRM_WITHIN: Final = timedelta(hours=6)
#: What usually stands behind a refund; one click writes it.
_USUAL_REASONS: Final = (
    ReasonCode.RETURNED,
    ReasonCode.WRONG_AMOUNT,
    ReasonCode.PAID_TWICE,
    ReasonCode.MISTAKE,
    ReasonCode.OUT_OF_STOCK,
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a confirmation page repeats, signed into its form. ``outcome``: what the page said would happen."""

    refund_no: str
    payment_id: int
    member_id: int
    amount_minor: int
    reason: str
    reason_code: str
    outcome: str

    def signed(self) -> str:
        """The form's one hidden value."""
        return signing.dumps(list(astuple(self)), salt=_SALT)


def _read_asked(request: MerchantRequest, payment: Payment) -> tuple[_Asked | None, bool]:
    """What the posted form repeats, and whether it is fresh; None when it is not ours."""
    token = request.POST.get("asked", "")
    fresh = True
    try:
        fields = signing.loads(token, salt=_SALT, max_age=_CONFIRM_WITHIN)
    except signing.SignatureExpired:
        fields, fresh = signing.loads(token, salt=_SALT), False
    except signing.BadSignature:
        return None, False
    if len(fields) != len(_Asked.__dataclass_fields__):
        # A page of the version before this one.
        return None, False
    asked = _Asked(*fields)
    if asked.payment_id != payment.pk or asked.member_id != request.member.pk:
        return None, False
    return asked, fresh


def _verdict(
    request: MerchantRequest, payment: Payment, amount: Money, reason_code: str
) -> Verdict:
    return assess(payment, amount, member_id=request.member.pk, reason=reason_code, now=clock.now())


def _approvers(request: MerchantRequest, payment: Payment, permission: str) -> list[str]:
    """The names of those who could confirm this member's refund."""
    members = members_who_may(
        permission=permission, store_id=payment.store_id, besides=request.member.pk
    )
    return [member.user.display_name for member in members]


def _says(
    request: MerchantRequest, payment: Payment, text: str, reason_code: str = ""
) -> dict[str, Any]:
    """What the rules say about the amount in the field, as the live line shows it."""
    try:
        amount = read_refund_amount(text, left=left_to_refund(payment))
    except ValidationError as error:
        return {"problem": error.messages[0]}
    verdict = _verdict(request, payment, amount, reason_code)
    outcome = verdict.outcome
    approvers = _approvers(request, payment, outcome.permission) if verdict.waits else []
    return {
        "amount": amount,
        "code": verdict.code,
        "waits": verdict.waits,
        "refuses": outcome.refuses,
        "sentence": verdict_words(verdict),
        "approvers": approvers,
        "too_few": len(approvers) < outcome.confirmations,
    }


def _render_form(
    request: MerchantRequest, payment: Payment, form: RefundForm, *, note: str = ""
) -> HttpResponse:
    left = left_to_refund(payment)
    now = clock.now()
    refunds = refunds_of(payment)
    allowance = refund_allowance(payment, now=now, refunds=refunds)
    context = {
        "payment": payment,
        "form": form,
        "left": left,
        "paid": payment.state == PaymentState.SUCCEEDED,
        "known_there": payment.is_known_there,
        "limits": limit_words(allowance, now),
        "too_late": refusal_sentence(allowance, now),
        "refunds": refunds,
        # A wrong amount has its sentence at the field already.
        "says": {}
        if form["amount"].errors
        else _says(
            request,
            payment,
            str(form["amount"].value() or ""),
            known_reason(form["reason_code"].value()),
        ),
        "usual_reasons": _USUAL_REASONS,
        "note": note,
    }
    status = 422 if form.errors else 200
    return render_page(
        request, "refunds/refund_create.html", context, partial="says", status=status
    )


def _render_confirm(
    request: MerchantRequest,
    payment: Payment,
    *,
    amount: Money,
    reason: str,
    reason_code: str,
    note: str = "",
) -> HttpResponse:
    says = _says(request, payment, amount.to_yuan(), reason_code)
    asked = _Asked(
        new_number("R", clock.now()),
        payment.pk,
        request.member.pk,
        amount.minor,
        reason,
        reason_code,
        str(says.get("code", "")),
    )
    context = {
        "payment": payment,
        "amount": amount,
        "reason": reason,
        "kind_of_reason": ReasonCode(reason_code).label if reason_code else "",
        "says": says,
        "left_after": left_to_refund(payment) - amount,
        "asked": asked.signed(),
        "note": note,
    }
    return render(request, "refunds/refund_confirm.html", context)


def _typed(payment: Payment, asked: _Asked) -> RefundForm:
    """The form again, with what stood on the confirmation page."""
    amount = Money(asked.amount_minor, payment.currency)
    data = {
        "amount": amount.to_yuan(),
        "reason": asked.reason,
        "reason_code": asked.reason_code,
    }
    return RefundForm(data, left=left_to_refund(payment), initial={})


def _confirmed(request: MerchantRequest, payment: Payment) -> HttpResponse:
    """The confirmation page came back: do it, go back to the form, or show it again where things have changed."""
    asked, fresh = _read_asked(request, payment)
    if asked is None:
        note = _("This page was not complete any more. Please fill it in again.")
        form = _new_form(payment)
        return _render_form(request, payment, form, note=note)
    amount = Money(asked.amount_minor, payment.currency)
    if "change" in request.POST:
        initial = {
            "amount": amount.to_yuan(),
            "reason": asked.reason,
            "reason_code": asked.reason_code,
        }
        form = RefundForm(left=left_to_refund(payment), initial=initial)
        return _render_form(request, payment, form)
    done = next((row for row in refunds_of(payment) if row.refund_no == asked.refund_no), None)
    if done is None and amount <= left_to_refund(payment):
        verdict = _verdict(request, payment, amount, asked.reason_code)
        if verdict.outcome.refuses:
            return _refused(request, payment, _typed(payment, asked), verdict)
        if not fresh or verdict.code != asked.outcome:
            note = _("What follows has changed since this page was opened. Please read it again.")
            return _render_confirm(
                request,
                payment,
                amount=amount,
                reason=asked.reason,
                reason_code=asked.reason_code,
                note=note,
            )
    try:
        refund = request_refund(
            payment_id=payment.pk,
            amount=amount,
            reason=asked.reason,
            reason_code=asked.reason_code,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
            refund_no=asked.refund_no,
        )
    except OverRefund as refused:
        form = _typed(payment, asked)
        form.is_valid()
        if "amount" not in form.errors:
            form.add_error("amount", over_refund_sentence(refused.left))
        return _render_form(request, payment, form)
    except NotRefundable as refused:
        form = _typed(payment, asked)
        form.add_error(None, not_refundable_sentence(refused))
        return _render_form(request, payment, form)
    if refund.state == RefundState.REJECTED:
        messages.error(request, _("The refund rules refuse it. Nothing was sent."))
    elif refund.state == RefundState.WAITING:
        messages.success(request, _("Asked for. Another member must confirm before it is sent."))
    else:
        messages.success(request, _("The refund is on its way to the platform."))
    return redirect("refunds:refund_detail", request.merchant.slug, refund.pk)


def _refused(
    request: MerchantRequest, payment: Payment, form: RefundForm, verdict: Verdict
) -> HttpResponse:
    """The form again: the rules refuse what was typed, so there is nothing to confirm."""
    form.is_valid()
    words = _("The refund rules refuse it. %(why)s") % {"why": verdict_words(verdict)}
    form.add_error(None, words)
    return _render_form(request, payment, form)


def _new_form(payment: Payment, amount: str = "") -> RefundForm:
    left = left_to_refund(payment)
    return RefundForm(left=left, initial={"amount": amount or left.to_yuan()})


@merchant_view("refunds.request")
@require_http_methods(["GET", "HEAD", "POST"])
def refund_create(request: MerchantRequest, payment_id: int) -> HttpResponse:
    """Ask for a refund of one payment: the form, then its confirmation, then the refund."""
    payment = get_payment(payment_id)
    if payment is None:
        raise Http404
    if request.method != "POST":
        amount = request.GET.get("amount", "")[:32]
        if wants_fragment(request):
            kind = known_reason(request.GET.get("reason_code"))
            says = _says(request, payment, amount, kind)
            return render_page(
                request, "refunds/refund_create.html", {"says": says}, partial="says"
            )
        return _render_form(request, payment, _new_form(payment, amount))
    if "asked" in request.POST:
        return _confirmed(request, payment)
    form = RefundForm(request.POST, left=left_to_refund(payment), initial={})
    if payment.state != PaymentState.SUCCEEDED:
        form.add_error(None, _("Only a paid payment can be refunded."))
    if not form.is_valid():
        return _render_form(request, payment, form)
    data = form.cleaned_data
    verdict = _verdict(request, payment, data["amount"], data["reason_code"])
    if verdict.outcome.refuses:
        return _refused(request, payment, form, verdict)
    return _render_confirm(
        request,
        payment,
        amount=data["amount"],
        reason=data["reason"],
        reason_code=data["reason_code"],
    )
