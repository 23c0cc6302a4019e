"""Alerts and what is held."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.selectors import list_stores
from apps.qrcodes.models import CodeState
from apps.qrcodes.services import CodeRetired
from apps.risk.forms import AlertFilterForm, HandleForm
from apps.risk.holds import Held, thing_for
from apps.risk.models import OPEN_ALERTS, AlertState, RiskAlert, RiskHold
from apps.risk.rules import RuleKind, Subject
from apps.risk.selectors import (
    AlertFilters,
    count_due_reviews,
    feedback_on,
    get_alert,
    get_hold,
    has_alerts,
    list_holds,
    member_names,
    page_alerts,
)
from apps.risk.services import (
    AlreadyAnswered,
    NotOpenAnyMore,
    answer_hold,
    freeze_alerted_code,
    handle_alert,
)
from apps.risk.wording import REASONS, alert_entry


@merchant_view("risk.view")
@require_safe
def alert_list(request: MerchantRequest) -> HttpResponse:
    """What waits for somebody, and the alerts that pass the filters, newest first."""
    now = clock.now()
    stores = list(list_stores())
    form = AlertFilterForm(request.GET, stores=stores)
    # An address typed by hand may name what does not exist: such a filter is left out, the rest holds.
    form.is_valid()
    filters = AlertFilters(
        state=form.cleaned_data.get("state", ""),
        rule=form.cleaned_data.get("rule", ""),
        store_id=form.cleaned_data.get("store"),
    )
    page = page_alerts(
        filters, after=request.GET.get("after", ""), before=request.GET.get("before", "")
    )
    names = member_names(page.rows)
    all_stores = request.scope.all_stores
    waiting, missed = _held(request, *list_holds(now=now))
    context = {
        "form": form,
        "page": page,
        "chips": _chips(request, form),
        "entries": [alert_entry(alert, names) for alert in page.rows],
        "holds": waiting,
        "missed": missed,
        "any_alerts": bool(page.rows) or has_alerts(),
        "many_stores": len(stores) > 1,
        "whole": all_stores,
        "due_reviews": count_due_reviews(today=clock.business_date(now)) if all_stores else 0,
    }
    return render_page(request, "risk/alert_list.html", context, partial="alerts")


def _chips(request: MerchantRequest, form: AlertFilterForm) -> list[dict[str, Any]]:
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
    return chips


def _held(
    request: MerchantRequest, waiting: list[RiskHold], missed: list[RiskHold]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is held with the words of the room that it belongs to; what is gone there is left out."""
    words: dict[tuple[str, int], Held] = {}
    every = [*waiting, *missed]
    for kind in sorted({hold.kind for hold in every}):
        mine = [hold.subject_id for hold in every if hold.kind == kind]
        found = thing_for(kind).describe(mine, slug=request.merchant.slug)
        words |= {(kind, pk): held for pk, held in found.items()}

    def shown(holds: list[RiskHold], *, answered: bool) -> list[dict[str, Any]]:
        return [
            {"hold": hold, "thing": thing}
            for hold in holds
            if (thing := words.get((hold.kind, hold.subject_id))) is not None
            and (thing.is_open or not answered)
        ]

    return shown(waiting, answered=True), shown(missed, answered=False)


@merchant_view("risk.view")
@require_http_methods(["GET", "HEAD", "POST"])
def alert_detail(request: MerchantRequest, alert_id: int) -> HttpResponse:
    """One alert with its evidence; a POST says what is done about it."""
    alert = get_alert(alert_id)
    if alert is None:
        raise Http404
    form = HandleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if "risk.manage" not in request.permissions:
            raise PermissionDenied("risk.manage")
        if form.is_valid():
            _handle(request, alert, form)
            return redirect("risk:alert_detail", request.merchant.slug, alert.pk)
    entry = alert_entry(alert, member_names([alert]))
    about_code = alert.subject_kind == Subject.CODE and alert.code is not None
    context = {
        **entry,
        "entry": entry,
        "why": REASONS[RuleKind(alert.rule)],
        "form": form,
        "feedback": feedback_on(alert),
        "open": alert.state in OPEN_ALERTS,
        "may_freeze": about_code
        and alert.code is not None
        and alert.code.state == CodeState.ACTIVE
        and "codes.manage" in request.permissions,
        "about_code": about_code,
    }
    status = 422 if form.errors else 200
    return render(request, "risk/alert_detail.html", context, status=status)


def _handle(request: MerchantRequest, alert: RiskAlert, form: HandleForm) -> None:
    act, note = form.cleaned_data["act"], form.cleaned_data["note"]
    now = clock.now()
    try:
        if act == "freeze":
            if "codes.manage" not in request.permissions:
                raise PermissionDenied("codes.manage")
            freeze_alerted_code(
                alert_id=alert.pk, member=request.member, actor=request.actor(), now=now, note=note
            )
            messages.success(request, _("The code is paused and takes no payments."))
            return
        handle_alert(
            alert_id=alert.pk,
            verdict=AlertState(act),
            note=note,
            member=request.member,
            actor=request.actor(),
            now=now,
        )
    except NotOpenAnyMore:
        messages.info(request, _("Somebody dealt with this alert meanwhile."))
    except CodeRetired:
        messages.info(request, _("This code is retired and takes no payments."))
    except RiskAlert.DoesNotExist:
        raise Http404 from None
    else:
        messages.success(request, _("Noted."))


@require_POST
@merchant_view("risk.manage")
def hold_answer(request: MerchantRequest, hold_id: int) -> HttpResponse:
    """Let a held payment begin, or refuse it."""
    hold = get_hold(hold_id)
    if hold is None:
        raise Http404
    release = request.POST.get("answer") == "release"
    if not release and request.POST.get("answer") != "refuse":
        return redirect("risk:alert_list", request.merchant.slug)
    try:
        answer_hold(
            hold_id=hold.pk,
            release=release,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except (AlreadyAnswered, RiskHold.DoesNotExist):
        messages.info(request, _("It was answered meanwhile, or its time is over."))
    else:
        messages.success(
            request,
            _("The customer can pay now.") if release else _("Refused. The customer is told."),
        )
    return redirect("risk:alert_list", request.merchant.slug)
