"""Terminals: list, add, change, switch off and on, activate and leave at an account, codes that belong to one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.checkout.forms import ActivationForm, TerminalForm
from apps.checkout.selectors import AccountUse, history_of_terminal, latest_payments, uses_of
from apps.checkout.services import TerminalHasCodes, change_terminal
from apps.core import clock
from apps.core.models import AuditEvent
from apps.core.names import named
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Store, Terminal
from apps.merchants.selectors import get_terminal, list_stores, list_terminals
from apps.merchants.services import (
    BRANDS,
    TerminalNameTaken,
    TerminalSerialTaken,
    add_terminal,
    set_terminal_active,
)
from apps.platforms.messages import explain
from apps.platforms.models import PlatformAccount, TerminalState
from apps.platforms.services.terminals import (
    REFUSED,
    UNANSWERED,
    ActivationRefused,
    TerminalInUse,
    activate,
    switch_off,
)
from apps.platforms.wording import TERMINAL_EVENTS
from apps.qrcodes.models import QRCode
from apps.qrcodes.selectors import codes_of_terminals, unassigned_codes
from apps.qrcodes.services import CodeRefused, CodeRetired, assign_terminal

NAME_TAKEN = gettext_lazy("Another terminal in this store has this name.")
SERIAL_TAKEN = gettext_lazy("Another of your terminals has this brand and serial number.")
_EVENTS = {
    **TERMINAL_EVENTS,
    "terminal.added": (gettext_lazy("Terminal added"), "plus", "ok"),
    "terminal.changed": (gettext_lazy("Terminal changed"), "pencil", "quiet"),
    "terminal.switched_off": (gettext_lazy("Terminal switched off"), "player-pause", "wait"),
    "terminal.switched_on": (gettext_lazy("Terminal switched on"), "player-play", "ok"),
}


def _terminal_or_404(terminal_id: int) -> Terminal:
    try:
        return get_terminal(terminal_id)
    except Terminal.DoesNotExist as error:
        raise Http404 from error


def _to_detail(request: MerchantRequest, terminal_id: int) -> HttpResponse:
    return redirect("till:terminal_detail", request.merchant.slug, terminal_id)


def _use(use: AccountUse) -> dict[str, Any]:
    """An account as the pages show it: its badge, and what is wrong in words."""
    row = use.row
    state = "ready" if not use.has_terminals else "none" if row is None else str(row.state)
    return {
        "account": use.account,
        "row": row,
        "state": state,
        "trouble": _trouble(use),
        "can_activate": use.has_terminals and not use.activated,
        "can_leave": row is not None and row.off_at is None,
    }


def _trouble(use: AccountUse) -> str:
    row = use.row
    if row is None:
        return ""
    if row.state == TerminalState.LOST:
        return _(
            "The platform accepts none of the keys that we hold for this terminal. Make a new activation code in its console and activate the terminal again. Until then the portal's own terminal calls."
        )
    if row.detail == UNANSWERED:
        return _("The last check-in got no answer. It is tried again by itself.")
    name, _bar, code = row.detail.partition("|")
    if name == REFUSED:
        return _(
            "The platform refused the last check-in (%(why)s). Look in its console whether the terminal is blocked there."
        ) % {"why": explain(use.account.platform, code, fallback=code)}
    return ""


@merchant_view("stores.view")
@require_safe
def terminal_list(request: MerchantRequest) -> HttpResponse:
    """The terminals of the stores that the member reaches."""
    terminals = list(list_terminals())
    uses = uses_of(terminals) if "platforms.view" in request.permissions else {}
    codes = codes_of_terminals([terminal.pk for terminal in terminals])
    rows = [
        {
            "terminal": terminal,
            "uses": [_use(use) for use in uses.get(terminal.pk, []) if use.has_terminals],
            "codes": codes.get(terminal.pk, []),
        }
        for terminal in terminals
    ]
    return render(request, "checkout/terminal_list.html", {"rows": rows})


def _form_page(
    request: MerchantRequest, form: TerminalForm, terminal: Terminal | None
) -> HttpResponse:
    context = {"form": form, "terminal": terminal, "brands": BRANDS}
    status = 422 if form.errors else 200
    return render(request, "checkout/terminal_form.html", context, status=status)


def _stores(terminal: Terminal | None = None) -> list[Store]:
    """The stores to choose from: those that sell, and the one where the terminal stands already."""
    stores = list(list_stores(only_active=True))
    if terminal is not None and terminal.store not in stores:
        stores.append(terminal.store)
    return stores


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def terminal_add(request: MerchantRequest) -> HttpResponse:
    """A new terminal."""
    form = TerminalForm(request.POST or None, stores=_stores())
    if request.method == "POST" and form.is_valid():
        wanted = dict(form.cleaned_data)
        try:
            terminal = add_terminal(
                store_id=wanted.pop("store"), **wanted, actor=request.actor(), now=clock.now()
            )
        except TerminalNameTaken:
            form.add_error("name", str(NAME_TAKEN))
        except TerminalSerialTaken:
            form.add_error("serial_no", str(SERIAL_TAKEN))
        else:
            messages.success(request, _("%(name)s was added.") % {"name": terminal.name})
            return _to_detail(request, terminal.pk)
    return _form_page(request, form, None)


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def terminal_edit(request: MerchantRequest, terminal_id: int) -> HttpResponse:
    """What is known of a terminal, and where it stands."""
    terminal = _terminal_or_404(terminal_id)
    initial = {
        "store": terminal.store_id,
        "name": terminal.name,
        "brand": terminal.brand,
        "model_name": terminal.model_name,
        "serial_no": terminal.serial_no,
        "note": terminal.note,
    }
    form = TerminalForm(request.POST or None, stores=_stores(terminal), initial=initial)
    if request.method == "POST" and form.is_valid():
        wanted = dict(form.cleaned_data)
        try:
            change_terminal(
                terminal_id=terminal.pk,
                store_id=wanted.pop("store"),
                **wanted,
                actor=request.actor(),
                now=clock.now(),
            )
        except TerminalHasCodes:
            form.add_error(
                "store",
                _("Codes of this store belong to the terminal. Take them away before it moves."),
            )
        except TerminalNameTaken:
            form.add_error("name", str(NAME_TAKEN))
        except TerminalSerialTaken:
            form.add_error("serial_no", str(SERIAL_TAKEN))
        else:
            messages.success(request, _("Saved."))
            return _to_detail(request, terminal.pk)
    return _form_page(request, form, terminal)


def _event(event: AuditEvent, *, with_origin: bool) -> dict[str, Any]:
    title, icon, tone = _EVENTS.get(event.action, (event.action, "point", "quiet"))
    return {
        "at": event.at,
        "title": title,
        "icon": icon,
        "tone": tone,
        "actor": event.actor,
        "origin": event.ip if with_origin else "",
    }


def _detail_page(
    request: MerchantRequest,
    terminal: Terminal,
    *,
    form: ActivationForm | None = None,
    account_id: int | None = None,
) -> HttpResponse:
    """``form``: an activation form with mistakes, of this account."""
    uses: list[dict[str, Any]] = []
    if "platforms.view" in request.permissions or "stores.manage" in request.permissions:
        uses = [_use(use) for use in uses_of([terminal])[terminal.pk]]
    for use in uses:
        mine = form is not None and use["account"].pk == account_id
        use["form"] = form if mine else ActivationForm(auto_id=f"activate-{use['account'].pk}-%s")
    context = {
        "terminal": terminal,
        "uses": uses,
        "codes": codes_of_terminals([terminal.pk]).get(terminal.pk, []),
        "free_codes": unassigned_codes(store_id=terminal.store_id)
        if "codes.manage" in request.permissions
        else [],
        "payments": latest_payments(terminal) if "transactions.view" in request.permissions else [],
        "history": [
            _event(event, with_origin="audit.view" in request.permissions)
            for event in history_of_terminal(terminal)
        ],
    }
    status = 422 if form is not None else 200
    return render(request, "checkout/terminal_detail.html", context, status=status)


@merchant_view("stores.view")
@require_safe
def terminal_detail(request: MerchantRequest, terminal_id: int) -> HttpResponse:
    """A terminal with its accounts, codes and latest payments."""
    return _detail_page(request, _terminal_or_404(terminal_id))


def _switch(request: MerchantRequest, terminal_id: int, *, active: bool) -> HttpResponse:
    terminal = _terminal_or_404(terminal_id)
    if request.method == "POST":
        set_terminal_active(
            terminal_id=terminal.pk, active=active, actor=request.actor(), now=clock.now()
        )
        done = _("%(name)s is switched on.") if active else _("%(name)s is switched off.")
        messages.success(request, done % {"name": terminal.name})
        return _to_detail(request, terminal.pk)
    context = {
        "terminal": terminal,
        "switching_on": active,
        "facts": [(_("Store"), named(terminal.store)), (_("Serial number"), terminal.serial_no)],
    }
    return render(request, "checkout/terminal_switch.html", context)


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def terminal_off(request: MerchantRequest, terminal_id: int) -> HttpResponse:
    """Confirm that nothing more is taken with a terminal."""
    return _switch(request, terminal_id, active=False)


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def terminal_on(request: MerchantRequest, terminal_id: int) -> HttpResponse:
    """Confirm that a terminal is in use again."""
    return _switch(request, terminal_id, active=True)


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def terminal_leave(request: MerchantRequest, terminal_id: int, account_id: int) -> HttpResponse:
    """Confirm that a terminal begins nothing more at one account."""
    terminal = _terminal_or_404(terminal_id)
    use = next(
        (one for one in uses_of([terminal])[terminal.pk] if one.account.pk == account_id), None
    )
    if use is None or use.row is None:
        raise Http404
    if request.method == "POST":
        if switch_off(account_terminal_id=use.row.pk, actor=request.actor(), now=clock.now()):
            done = _("%(name)s is no longer used at %(account)s.")
            messages.success(request, done % {"name": terminal.name, "account": use.account.label})
        return _to_detail(request, terminal.pk)
    context = {
        "terminal": terminal,
        "account": use.account,
        "facts": [
            (_("Account"), use.account.label),
            (_("Terminal number there"), use.row.terminal_sn),
        ],
    }
    return render(request, "checkout/terminal_leave.html", context)


@sensitive_post_parameters("code")
@merchant_view("stores.manage")
@require_POST
def terminal_activate(request: MerchantRequest, terminal_id: int, account_id: int) -> HttpResponse:
    """Make the terminal known at an account's platform, with an activation code."""
    terminal = _terminal_or_404(terminal_id)
    use = next(
        (use for use in uses_of([terminal])[terminal.pk] if use.account.pk == account_id), None
    )
    if use is None or not use.has_terminals:
        raise Http404
    form = ActivationForm(request.POST, auto_id=f"activate-{account_id}-%s")
    if form.is_valid():
        try:
            _activate(request, terminal, use.account, form.cleaned_data["code"], now=clock.now())
        except ActivationRefused as refused:
            form.add_error("code", refused.message)
        else:
            return _to_detail(request, terminal.pk)
    return _detail_page(request, terminal, form=form, account_id=account_id)


def _activate(
    request: MerchantRequest,
    terminal: Terminal,
    account: PlatformAccount,
    code: str,
    *,
    now: datetime,
) -> None:
    """Raises ActivationRefused."""
    try:
        activate(
            account_id=account.pk,
            terminal_id=terminal.pk,
            code=code,
            actor=request.actor(),
            now=now,
        )
    except TerminalInUse:
        messages.info(request, _("This terminal is activated already."))
    else:
        messages.success(
            request,
            _("%(name)s is activated at %(account)s.")
            % {"name": terminal.name, "account": account.label},
        )


@merchant_view("codes.manage")
@require_POST
def terminal_codes(request: MerchantRequest, terminal_id: int) -> HttpResponse:
    """Give the terminal a code (``add``) or take one away (``remove``)."""
    terminal = _terminal_or_404(terminal_id)
    adds = "add" in request.POST
    text = request.POST.get("add" if adds else "remove", "")
    code_id = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
    try:
        code = _code_of(code_id, terminal=None if adds else terminal)
        assign_terminal(
            code_id=code.pk,
            terminal_id=terminal.pk if adds else None,
            actor=request.actor(),
            now=clock.now(),
        )
    except QRCode.DoesNotExist:
        messages.error(request, _("Choose one of the codes of this store."))
    except (CodeRefused, CodeRetired):
        messages.error(
            request, _("Only a code of the same store that is in use can belong to this terminal.")
        )
    else:
        messages.success(request, _("Saved."))
    return _to_detail(request, terminal.pk)


def _code_of(code_id: int, *, terminal: Terminal | None) -> QRCode:
    """A code that belongs to this terminal, or to none. Raises QRCode.DoesNotExist."""
    code: QRCode = QRCode.objects.visible().get(pk=code_id, terminal=terminal)
    return code
