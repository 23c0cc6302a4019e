"""Codes: create, detail, terminal, pause, resume, retire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.models import AuditEvent
from apps.core.names import named
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Terminal
from apps.merchants.selectors import list_terminals
from apps.qrcodes.alertwords import alert_words
from apps.qrcodes.artwork import (
    Language,
)
from apps.qrcodes.forms import ArtworkForm, StopForm
from apps.qrcodes.models import QRCode
from apps.qrcodes.selectors import (
    display_state,
    history_of,
    link_of,
    open_alerts,
    opening,
    placard_of,
    questions_for,
    scans_today,
    scheduled_versions,
    usable,
    version_in_force,
    wallets_of,
)
from apps.qrcodes.services import (
    CodeRefused,
    CodeRetired,
    assign_terminal,
    pause_code,
    resume_code,
    retire_code,
)
from apps.qrcodes.views.frame import code_or_404, problem_of
from apps.qrcodes.wording import changes_between, facts_of

_EVENTS = {
    "code.alerted": (gettext_lazy("Odd use found"), "bell", "wait"),
    "code.alert_ended": (gettext_lazy("Odd use looked at"), "eye", "quiet"),
    "code.assigned": (gettext_lazy("Given to a terminal"), "device-mobile", "quiet"),
    "code.unassigned": (gettext_lazy("Taken from its terminal"), "device-mobile", "quiet"),
    "code.created": (gettext_lazy("Created"), "plus", "ok"),
    "code.paused": (gettext_lazy("Paused"), "player-pause", "wait"),
    "code.resumed": (gettext_lazy("Resumed"), "player-play", "ok"),
    "code.revised": (gettext_lazy("Changed"), "pencil", "info"),
    "code.scheduled": (gettext_lazy("Change planned"), "calendar-time", "info"),
    "code.withdrawn": (gettext_lazy("Planned change withdrawn"), "arrow-back-up", "quiet"),
    "code.retired": (gettext_lazy("Retired"), "archive", "quiet"),
}


def _event(event: AuditEvent, *, with_origin: bool) -> dict[str, Any]:
    title, icon, tone = _EVENTS.get(event.action, (event.action, "point", "quiet"))
    return {
        "at": event.at,
        "title": title,
        "icon": icon,
        "tone": tone,
        "text": event.data.get("reason", ""),
        "actor": event.actor,
        "origin": event.ip if with_origin else "",
    }


def _terminals_for(request: MerchantRequest, code: QRCode) -> list[Terminal]:
    """The terminals that a code may be given to."""
    if "codes.manage" not in request.permissions or code.state == "retired":
        return []
    terminals = list(list_terminals(only_active=True).filter(store_id=code.store_id))
    # One that was switched off stays with its code until somebody chooses another.
    if code.terminal is not None and code.terminal not in terminals:
        terminals.append(code.terminal)
    return terminals


@merchant_view("codes.view")
@require_safe
def code_detail(request: MerchantRequest, code_id: int) -> HttpResponse:
    """A code: its picture, its link, its files, what was done with it."""
    now = clock.now()
    code = code_or_404(code_id)
    artwork = ArtworkForm({"file": "png", "language": request.GET.get("language", "both")})
    language = artwork.cleaned_data["language"] if artwork.is_valid() else "both"
    wallets = wallets_of(code)
    version = version_in_force(code_id=code.pk, now=now)
    questions = questions_for(code)
    reason = usable(code, now, version=version)
    context = {
        "code": code,
        "state": display_state(code, now),
        "store_closed": reason == "store_closed",
        "link": link_of(code),
        "closed_until": opening(version, now).next_at if reason == "hours" else None,
        "number": version.number,
        "terms": facts_of(version, questions),
        "planned": [
            {"version": one, "changes": changes_between(version, one, questions)}
            for one in scheduled_versions(code_id=code.pk, now=now)
        ],
        "wallets": wallets,
        # Not "language" and "languages": the frame of every page uses those names for its own.
        "spoken": language,
        "placard_languages": cast("Any", artwork.fields["language"]).choices,
        "terminals": _terminals_for(request, code),
        "alerts": [alert_words(alert) for alert in open_alerts(code_id=code.pk)],
        "scans": scans_today([code.pk], merchant=request.merchant, now=now).get(code.pk, 0),
        "history": [
            _event(event, with_origin="audit.view" in request.permissions)
            for event in history_of(code)
        ],
    }
    placard = placard_of(
        code, merchant=request.merchant, language=cast("Language", language), wallets=wallets
    )
    context["problem"] = problem_of(placard)
    return render(request, "qrcodes/code_detail.html", context)


@merchant_view("codes.manage")
@require_POST
def code_terminal(request: MerchantRequest, code_id: int) -> HttpResponse:
    """Give a code to a terminal of its store, or (an empty choice) take it away."""
    code = code_or_404(code_id)
    text = request.POST.get("terminal", "")
    terminal_id = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    try:
        assign_terminal(
            code_id=code.pk, terminal_id=terminal_id, actor=request.actor(), now=clock.now()
        )
    except (Terminal.DoesNotExist, CodeRefused, CodeRetired):
        messages.error(request, _("This terminal cannot have the code. Look at it again."))
    else:
        messages.success(request, _("Saved."))
    return redirect("qrcodes:code_detail", request.merchant.slug, code.pk)


def _confirm(
    request: MerchantRequest,
    code_id: int,
    *,
    step: str,
    service: Callable[..., QRCode],
    done: str,
) -> HttpResponse:
    code = code_or_404(code_id)
    detail = redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    form = (
        None if step == "resume" else StopForm(request.POST if request.method == "POST" else None)
    )
    if request.method == "POST" and (form is None or form.is_valid()):
        why = {} if form is None else {"reason": form.cleaned_data["reason"]}
        try:
            service(code_id=code.pk, actor=request.actor(), now=clock.now(), **why)
        except CodeRetired:
            messages.error(request, _("This code is retired, which is final."))
        else:
            messages.success(request, done)
        return detail
    if code.state == "retired":
        messages.info(request, _("This code is retired, which is final."))
        return detail
    context = {
        "code": code,
        "step": step,
        "form": form,
        "facts": [
            (_("Store"), named(code.store)),
            (_("Where it hangs"), code.scenario.get_kind_display()),
            (_("Code number"), code.token),
        ],
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "qrcodes/code_confirm.html", context, status=status)


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_pause(request: MerchantRequest, code_id: int) -> HttpResponse:
    """Confirm that a code takes no payments for now."""
    return _confirm(
        request, code_id, step="pause", service=pause_code, done=_("The code is paused.")
    )


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_resume(request: MerchantRequest, code_id: int) -> HttpResponse:
    """Confirm that a code takes payments again."""
    return _confirm(
        request,
        code_id,
        step="resume",
        service=resume_code,
        done=_("The code takes payments again."),
    )


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_retire(request: MerchantRequest, code_id: int) -> HttpResponse:
    """Confirm that a code never takes payments again."""
    return _confirm(
        request, code_id, step="retire", service=retire_code, done=_("The code is retired.")
    )
