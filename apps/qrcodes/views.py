"""Codes: list, create, detail, files, terminal, pause, resume, retire."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, cast

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock, keyset
from apps.core.htmx import render_page
from apps.core.models import AuditEvent
from apps.core.names import named
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Merchant, Store, Terminal
from apps.merchants.selectors import list_stores, list_terminals
from apps.qrcodes.artwork import (
    Language,
    Paper,
    Placard,
    TextTooLong,
    UnprintableText,
    qr_png,
    render_pdf,
    render_png,
    render_svg,
)
from apps.qrcodes.artwork.fonts import require_printable
from apps.qrcodes.artwork.placard import caption
from apps.qrcodes.forms import ArtworkForm, CodeFilterForm, CodeForm
from apps.qrcodes.models import QRCode, ScenarioKind
from apps.qrcodes.printing import missing_words
from apps.qrcodes.selectors import (
    CodeFilters,
    amount_of,
    display_state,
    get_code,
    has_codes,
    history_of,
    link_of,
    page_codes,
    placard_of,
    scans_today,
    trial_placards,
    usable,
    wallets_of,
)
from apps.qrcodes.services import (
    CodeRefused,
    CodeRetired,
    assign_terminal,
    create_code,
    pause_code,
    resume_code,
    retire_code,
)

File = Literal["png", "svg", "pdf-a6", "pdf-a4"]

_TYPES: dict[File, tuple[str, str]] = {
    "png": ("image/png", ".png"),
    "svg": ("image/svg+xml", ".svg"),
    "pdf-a6": ("application/pdf", "-A6.pdf"),
    "pdf-a4": ("application/pdf", "-A4.pdf"),
}
#: What a file system or a mail program may stumble over.
_UNFILED = re.compile(r'[\\/:*?"<>|\x00-\x1f]+')

_EVENTS = {
    "code.assigned": (gettext_lazy("Given to a terminal"), "device-mobile", "quiet"),
    "code.unassigned": (gettext_lazy("Taken from its terminal"), "device-mobile", "quiet"),
    "code.created": (gettext_lazy("Created"), "plus", "ok"),
    "code.paused": (gettext_lazy("Paused"), "player-pause", "wait"),
    "code.resumed": (gettext_lazy("Resumed"), "player-play", "ok"),
    "code.retired": (gettext_lazy("Retired"), "archive", "quiet"),
}


def _code_or_404(code_id: int) -> QRCode:
    try:
        return get_code(code_id)
    except QRCode.DoesNotExist as error:
        raise Http404 from error


def _chips(request: MerchantRequest, form: CodeFilterForm) -> list[dict[str, str]]:
    chips = []
    for field in form:
        value = form.cleaned_data.get(field.name)
        if value in ("", None):
            continue
        words = dict(getattr(field.field, "choices", ())).get(value, value)
        rest = request.GET.copy()
        for key in (field.name, "after", "before"):
            rest.pop(key, None)
        chips.append(
            {"name": str(field.label), "value": str(words), "remove_url": f"?{rest.urlencode()}"}
        )
    return chips


@merchant_view("codes.view")
@require_safe
def code_list(request: MerchantRequest) -> HttpResponse:
    """The codes of the stores that the member reaches."""
    now = clock.now()
    stores = list(list_stores())
    form = CodeFilterForm(request.GET, stores=stores)
    # An address typed by hand may name what does not exist: such a filter is left out, the rest holds.
    form.is_valid()
    chosen = form.cleaned_data
    filters = CodeFilters(
        store_id=chosen.get("store"),
        kind=chosen.get("kind", ""),
        state=chosen.get("state", ""),
        text=chosen.get("q", "").strip(),
    )
    page = page_codes(
        filters,
        merchant=request.merchant,
        now=now,
        after=keyset.decode_id(request.GET.get("after", "")),
        before=keyset.decode_id(request.GET.get("before", "")),
    )
    chips = _chips(request, form)
    context = {
        "form": form,
        "page": page,
        "chips": chips,
        "any_codes": bool(page.rows) or has_codes(),
        "can_create": any(store.is_active for store in stores),
    }
    return render_page(request, "qrcodes/code_list.html", context, partial="codes")


def _refuse_too_long(form: CodeForm, *, stores: list[Store], merchant: Merchant) -> None:
    """A name that no placard has room for, beside that of the store, is refused while it can still be changed."""
    data = form.cleaned_data
    store = next(store for store in stores if store.pk == data["store"])
    for placard in trial_placards(
        store=store, merchant=merchant, name=data["name"], name_en=data["name_en"]
    ):
        try:
            caption(placard)
        except TextTooLong as error:
            if error.text == placard.place:
                form.add_error("name", _print_problem(error))
                return


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_create(request: MerchantRequest) -> HttpResponse:
    """A new code."""
    stores = list(list_stores(only_active=True))
    initial = {"kind": ScenarioKind.COUNTER.value}
    form = CodeForm(request.POST or None, stores=stores, initial=initial)
    if request.method == "POST" and form.is_valid():
        _refuse_too_long(form, stores=stores, merchant=request.merchant)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            code = create_code(
                store_id=data["store"],
                kind=data["kind"],
                name=data["name"],
                name_en=data["name_en"],
                amount=data["amount"],
                valid_from=data["valid_from"],
                valid_until=data["valid_until"],
                actor=request.actor(),
                now=clock.now(),
            )
        except CodeRefused as refused:
            form.add_error(
                refused.field, _("This does not go together any more. Look at it again.")
            )
        else:
            messages.success(request, _("The code is ready to be printed."))
            return redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    status = 422 if form.errors else 200
    context = {"form": form, "has_stores": bool(stores)}
    return render(request, "qrcodes/code_create.html", context, status=status)


def _print_problem(error: UnprintableText | TextTooLong) -> str:
    if isinstance(error, TextTooLong):
        return _("“%(text)s” is too long to be printed readably. Shorten the name.") % {
            "text": error.text
        }
    return missing_words(error.characters)


def _problem_of(placard: Placard) -> str:
    """Why the placard cannot be printed, found without drawing it; "" when it can."""
    try:
        require_printable(*placard.texts)
        caption(placard)
    except (UnprintableText, TextTooLong) as error:
        return _print_problem(error)
    return ""


def _draw(placard: Placard, file: File) -> bytes:
    if file == "png":
        return render_png(placard, size_px=1024, captioned=True)
    if file == "svg":
        return render_svg(placard)
    paper: Paper = "A6" if file == "pdf-a6" else "A4"
    return render_pdf(placard, paper=paper)


def _placard(request: MerchantRequest, code: QRCode, language: str) -> Placard:
    return placard_of(
        code,
        merchant=request.merchant,
        language=cast("Language", language),
        wallets=wallets_of(code),
    )


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
    code = _code_or_404(code_id)
    artwork = ArtworkForm({"file": "png", "language": request.GET.get("language", "both")})
    language = artwork.cleaned_data["language"] if artwork.is_valid() else "both"
    wallets = wallets_of(code)
    reason = usable(code, now)
    context = {
        "code": code,
        "state": display_state(code, now),
        "store_closed": reason == "store_closed",
        "link": link_of(code),
        "amount": amount_of(code),
        "wallets": wallets,
        # Not "language" and "languages": the frame of every page uses those names for its own.
        "spoken": language,
        "placard_languages": cast("Any", artwork.fields["language"]).choices,
        "terminals": _terminals_for(request, code),
        "scans": scans_today([code.pk], merchant=request.merchant, now=now).get(code.pk, 0),
        "history": [
            _event(event, with_origin="audit.view" in request.permissions)
            for event in history_of(code)
        ],
    }
    placard = placard_of(
        code, merchant=request.merchant, language=cast("Language", language), wallets=wallets
    )
    context["problem"] = _problem_of(placard)
    return render(request, "qrcodes/code_detail.html", context)


@merchant_view("codes.manage")
@require_POST
def code_terminal(request: MerchantRequest, code_id: int) -> HttpResponse:
    """Give a code to a terminal of its store, or (an empty choice) take it away."""
    code = _code_or_404(code_id)
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


@merchant_view("codes.view")
@require_safe
def code_image(request: MerchantRequest, code_id: int) -> HttpResponse:
    """The bare code, small, for lists. It never changes, so browsers may keep it."""
    code = _code_or_404(code_id)
    response = HttpResponse(qr_png(link_of(code), size_px=120, border=2), content_type="image/png")
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


@merchant_view("codes.view")
@require_safe
def code_preview(request: MerchantRequest, code_id: int) -> HttpResponse:
    """The code with its caption, as the detail page shows it."""
    code = _code_or_404(code_id)
    artwork = ArtworkForm({"file": "png", "language": request.GET.get("language", "both")})
    if not artwork.is_valid():
        raise Http404
    placard = _placard(request, code, artwork.cleaned_data["language"])
    try:
        image = render_png(placard, size_px=640, captioned=True)
    except (UnprintableText, TextTooLong):
        image = render_png(placard, size_px=640)
    response = HttpResponse(image, content_type="image/png")
    response["Cache-Control"] = "private, no-cache"
    return response


@merchant_view("codes.view")
@require_safe
def code_download(request: MerchantRequest, code_id: int) -> HttpResponse:
    """One file of a code: ``?file=png|svg|pdf-a6|pdf-a4&language=both|zh-hans|en``."""
    code = _code_or_404(code_id)
    artwork = ArtworkForm(request.GET)
    if not artwork.is_valid():
        raise Http404
    file = cast("File", artwork.cleaned_data["file"])
    language = artwork.cleaned_data["language"]
    try:
        content = _draw(_placard(request, code, language), file)
    except (UnprintableText, TextTooLong) as error:
        messages.error(request, _print_problem(error))
        return redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    content_type, ending = _TYPES[file]
    stem = _UNFILED.sub("-", f"{code.store.name}-{code.scenario.name}-{code.token}-{language}")
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(True, f"{stem}{ending}") or ""
    response["Cache-Control"] = "private, no-store"
    return response


def _confirm(
    request: MerchantRequest,
    code_id: int,
    *,
    step: str,
    service: Callable[..., QRCode],
    done: str,
) -> HttpResponse:
    code = _code_or_404(code_id)
    detail = redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    if request.method == "POST":
        try:
            service(code_id=code.pk, actor=request.actor(), now=clock.now())
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
        "facts": [
            (_("Store"), named(code.store)),
            (_("Where it hangs"), code.scenario.get_kind_display()),
            (_("Code number"), code.token),
        ],
    }
    return render(request, "qrcodes/code_confirm.html", context)


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
