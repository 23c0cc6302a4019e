"""Refunds: the list, asking for one, following it, and the rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.approvals.selectors import decisions_of, members_who_may
from apps.core import clock
from apps.core.htmx import render_page, wants_fragment
from apps.core.money import Money
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.selectors import list_stores
from apps.payments.models import Payment, PaymentState
from apps.payments.selectors import get_payment
from apps.payments.services.ordering import new_number
from apps.refunds.forms import (
    RefundFilterForm,
    RefundForm,
    RuleForm,
    over_refund_sentence,
    read_refund_amount,
)
from apps.refunds.models import RESERVING, UNDER_WAY, Refund, RefundState
from apps.refunds.path import path_of
from apps.refunds.selectors import (
    RefundFilters,
    answer_of,
    current_rule,
    get_refund,
    has_refunds,
    left_to_refund,
    must_wait,
    page_refunds,
    refunds_of,
    rule_history,
    rule_of,
    rule_sentence,
    weighed,
)
from apps.refunds.services import (
    NotRefundable,
    OverRefund,
    cancel_refund,
    refresh_refund,
    request_refund,
    set_rule,
)
from apps.refunds.services.requesting import APPROVER_PERMISSION

_SALT: Final = "refunds.request"
#: A confirmation page older than this is shown again before anything is done.
_CONFIRM_WITHIN: Final = timedelta(hours=6)
#: What usually stands behind a refund; one click writes it.
_USUAL_REASONS: Final = (
    gettext_lazy("Returned goods"),
    gettext_lazy("Wrong amount"),
    gettext_lazy("Paid twice"),
    gettext_lazy("Ordered by mistake"),
    gettext_lazy("Out of stock"),
)


def _refund_or_404(refund_id: int) -> Refund:
    refund = get_refund(refund_id)
    if refund is None:
        raise Http404
    return refund


@merchant_view("refunds.view")
@require_safe
def refund_list(request: MerchantRequest) -> HttpResponse:
    """The refunds of the stores that the member reaches."""
    stores = list(list_stores())
    form = RefundFilterForm(request.GET, stores=stores)
    # An address typed by hand may name what does not exist: such a filter is left out, the rest holds.
    form.is_valid()
    filters = RefundFilters(
        state=form.cleaned_data.get("state", ""), store_id=form.cleaned_data.get("store")
    )
    page = page_refunds(
        filters, after=request.GET.get("after", ""), before=request.GET.get("before", "")
    )
    chips = []
    for field in form:
        value = form.cleaned_data.get(field.name)
        if value in ("", None):
            continue
        rest = request.GET.copy()
        for key in (field.name, "after", "before"):
            rest.pop(key, None)
        words = dict(getattr(field.field, "choices", ())).get(value, value)
        chips.append({"name": field.label, "value": words, "remove_url": f"?{rest.urlencode()}"})
    context = {
        "form": form,
        "page": page,
        "chips": chips,
        "any_refunds": bool(page.rows) or has_refunds(),
        "many_stores": len(stores) > 1,
        # Only the newest page changes by itself: what stands on older ones would slide away under the reader.
        "live": not (request.GET.get("after") or request.GET.get("before")),
    }
    return render_page(request, "refunds/refund_list.html", context, partial="refunds")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a confirmation page repeats, signed into its form. ``waits``: what the page said would happen."""

    refund_no: str
    payment_id: int
    member_id: int
    amount_minor: int
    reason: str
    waits: bool

    def signed(self) -> str:
        """The form's one hidden value."""
        fields = [self.refund_no, self.payment_id, self.member_id]
        return signing.dumps([*fields, self.amount_minor, self.reason, self.waits], salt=_SALT)


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
    asked = _Asked(*fields)
    if asked.payment_id != payment.pk or asked.member_id != request.member.pk:
        return None, False
    return asked, fresh


def _approvers(request: MerchantRequest, payment: Payment) -> list[str]:
    """The names of those who could confirm this member's refund."""
    members = members_who_may(
        permission=APPROVER_PERMISSION, store_id=payment.store_id, besides=request.member.pk
    )
    return [member.user.display_name for member in members]


def _says(request: MerchantRequest, payment: Payment, text: str) -> dict[str, Any]:
    """What the rule says about the amount in the field, as the live line shows it."""
    try:
        amount = read_refund_amount(text, left=left_to_refund(payment))
    except ValidationError as error:
        return {"problem": error.messages[0]}
    rule = current_rule()
    total = weighed(payment, amount)
    waits = must_wait(rule, total)
    return {
        "amount": amount,
        "waits": waits,
        "sentence": rule_sentence(rule, total),
        "approvers": _approvers(request, payment) if waits else [],
    }


def _render_form(
    request: MerchantRequest, payment: Payment, form: RefundForm, *, note: str = ""
) -> HttpResponse:
    left = left_to_refund(payment)
    context = {
        "payment": payment,
        "form": form,
        "left": left,
        "paid": payment.state == PaymentState.SUCCEEDED,
        "refunds": refunds_of(payment),
        # A wrong amount has its sentence at the field already.
        "says": {}
        if form["amount"].errors
        else _says(request, payment, str(form["amount"].value() or "")),
        "usual_reasons": _USUAL_REASONS,
        "note": note,
    }
    status = 422 if form.errors else 200
    return render_page(
        request, "refunds/refund_create.html", context, partial="says", status=status
    )


def _render_confirm(
    request: MerchantRequest, payment: Payment, *, amount: Money, reason: str, note: str = ""
) -> HttpResponse:
    says = _says(request, payment, amount.to_yuan())
    asked = _Asked(
        new_number("R", clock.now()),
        payment.pk,
        request.member.pk,
        amount.minor,
        reason,
        bool(says.get("waits")),
    )
    context = {
        "payment": payment,
        "amount": amount,
        "reason": reason,
        "says": says,
        "left_after": left_to_refund(payment) - amount,
        "asked": asked.signed(),
        "note": note,
    }
    return render(request, "refunds/refund_confirm.html", context)


def _typed(payment: Payment, amount: Money, reason: str) -> RefundForm:
    """The form again, with what stood on the confirmation page."""
    data = {"amount": amount.to_yuan(), "reason": reason}
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
        initial = {"amount": amount.to_yuan(), "reason": asked.reason}
        form = RefundForm(left=left_to_refund(payment), initial=initial)
        return _render_form(request, payment, form)
    done = next((row for row in refunds_of(payment) if row.refund_no == asked.refund_no), None)
    waits = must_wait(current_rule(), weighed(payment, amount))
    if done is None and amount <= left_to_refund(payment) and (not fresh or waits != asked.waits):
        note = _("What follows has changed since this page was opened. Please read it again.")
        return _render_confirm(request, payment, amount=amount, reason=asked.reason, note=note)
    try:
        refund = request_refund(
            payment_id=payment.pk,
            amount=amount,
            reason=asked.reason,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
            refund_no=asked.refund_no,
        )
    except OverRefund as refused:
        form = _typed(payment, amount, asked.reason)
        form.is_valid()
        if "amount" not in form.errors:
            form.add_error("amount", over_refund_sentence(refused.left))
        return _render_form(request, payment, form)
    except NotRefundable:
        form = _typed(payment, amount, asked.reason)
        form.add_error(None, _("This payment can no longer be refunded."))
        return _render_form(request, payment, form)
    if refund.state == RefundState.WAITING:
        messages.success(request, _("Asked for. Another member must confirm before it is sent."))
    else:
        messages.success(request, _("The refund is on its way to the platform."))
    return redirect("refunds:refund_detail", request.merchant.slug, refund.pk)


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
            says = _says(request, payment, amount)
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
    return _render_confirm(request, payment, amount=data["amount"], reason=data["reason"])


@merchant_view("refunds.view")
@require_safe
def refund_detail(request: MerchantRequest, refund_id: int) -> HttpResponse:
    """A refund: amount and state, what can be done, its path, its facts."""
    refund = _refund_or_404(refund_id)
    may_request = "refunds.request" in request.permissions
    decisions = decisions_of(refund.approval_id) if refund.approval_id else []
    waiting = refund.state == RefundState.WAITING
    under_way = refund.state in UNDER_WAY
    may_decide = (
        waiting
        and APPROVER_PERMISSION in request.permissions
        and refund.requested_by_id != request.member.pk
        and all(row.member_id != request.member.pk for row in decisions)
    )
    approvers = []
    if waiting and not may_decide and refund.requested_by_id is not None:
        members = members_who_may(
            permission=APPROVER_PERMISSION,
            store_id=refund.store_id,
            besides=refund.requested_by_id,
        )
        approvers = [member.user.display_name for member in members]
    context = {
        "refund": refund,
        "payment": refund.payment,
        "path": path_of(refund, decisions=decisions, rule=rule_of(refund)),
        "answer": answer_of(refund),
        "waiting": waiting,
        "live": waiting or under_way,
        "may_decide": may_decide,
        "approvers": approvers,
        "may_cancel": waiting and refund.approval_id is not None and may_request,
        "may_ask": under_way and refund.sent_at is not None and may_request,
        "may_again": refund.state not in RESERVING and may_request,
    }
    return render_page(request, "refunds/refund_detail.html", context, partial="refund")


@merchant_view("refunds.request")
@require_http_methods(["GET", "HEAD", "POST"])
def refund_cancel(request: MerchantRequest, refund_id: int) -> HttpResponse:
    """Confirm that a refund which still waits is withdrawn."""
    refund = _refund_or_404(refund_id)
    detail = redirect("refunds:refund_detail", request.merchant.slug, refund.pk)
    if request.method != "POST" and refund.state == RefundState.WAITING:
        context = {
            "refund": refund,
            "facts": [
                (_("Store"), refund.store.name),
                (_("Payment number"), refund.payment.order_no),
                (_("Reason"), refund.reason),
            ],
        }
        return render(request, "refunds/refund_cancel.html", context)
    try:
        if request.method != "POST":
            raise NotRefundable("not_waiting")
        cancel_refund(refund_id=refund.pk, actor=request.actor(), now=clock.now())
    except NotRefundable:
        messages.info(request, _("This refund no longer waits, so it cannot be withdrawn."))
    else:
        messages.success(request, _("The refund is withdrawn. No money moved."))
    return detail


@merchant_view("refunds.request")
@require_POST
def refund_ask(request: MerchantRequest, refund_id: int) -> HttpResponse:
    """Ask the platform how a refund stands."""
    refund = _refund_or_404(refund_id)
    before = refund.state
    after = refresh_refund(refund_id=refund.pk, now=clock.now()).state
    if after == before:
        messages.info(request, _("The platform was asked. Nothing has changed yet."))
    else:
        messages.success(request, _("The platform was asked, and this is how it stands now."))
    return redirect("refunds:refund_detail", request.merchant.slug, refund.pk)


@merchant_view("rules.view")
@require_http_methods(["GET", "HEAD", "POST"])
def rule_edit(request: MerchantRequest) -> HttpResponse:
    """The rule in force, its change, and its earlier versions."""
    may_change = "rules.manage" in request.permissions
    rule = current_rule()
    initial = {"version": rule.version, "threshold": Money(rule.threshold_minor).to_yuan()}
    form = RuleForm(request.POST if request.method == "POST" else None, initial=initial)
    note = ""
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied("rules.manage")
        if form.is_valid():
            threshold = form.cleaned_data["threshold"]
            if threshold.minor == rule.threshold_minor:
                # Sent twice, or saved without a change: there is nothing to write.
                messages.success(request, _("This rule is in force."))
                return redirect("refunds:rule_edit", request.merchant.slug)
            if form.cleaned_data["version"] == rule.version:
                set_rule(
                    threshold=threshold,
                    confirmations=rule.confirmations,
                    member=request.member,
                    actor=request.actor(),
                    now=clock.now(),
                )
                messages.success(
                    request, _("The new rule is in force. Refunds already asked for keep theirs.")
                )
                return redirect("refunds:rule_edit", request.merchant.slug)
            note = _("Somebody has changed the rule meanwhile. Look at it, then save again.")
            typed = {"version": rule.version, "threshold": request.POST["threshold"]}
            form = RuleForm(typed, initial=initial)
    over = Money(rule.threshold_minor + 1)
    context = {
        "form": form,
        "rule": rule,
        "sentences": [rule_sentence(rule, Money(rule.threshold_minor)), rule_sentence(rule, over)],
        "everything": rule.threshold_minor == 0,
        "history": rule_history(),
        "may_change": may_change,
        "note": note,
    }
    status = 422 if form.errors else 409 if note else 200
    return render(request, "refunds/rule_edit.html", context, status=status)
