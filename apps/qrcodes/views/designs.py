"""Designs: the list, the studio in which one is made or changed, the default, deleting."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.fields import is_too_long
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.qrcodes.artwork import PLAIN, Design, DesignRefused, Logo, LogoRefused, render_svg
from apps.qrcodes.forms import DesignForm, look_values
from apps.qrcodes.forms.designs import LOOK_FIELDS, MOST_BODY
from apps.qrcodes.models import ArtworkDesign
from apps.qrcodes.proof import WouldNotScan
from apps.qrcodes.proofwords import refusal_sentence, would_not_scan
from apps.qrcodes.refusals import design_sentence, logo_sentence
from apps.qrcodes.selectors import (
    get_design,
    list_designs,
    logo_of,
    look_of,
    sample_link,
    sample_placard,
)
from apps.qrcodes.services import change_design, create_design, delete_design, make_default
from apps.qrcodes.views.sheets import preview_url, sheets_of


def _design_or_404(design_id: int) -> ArtworkDesign:
    try:
        return get_design(design_id)
    except ArtworkDesign.DoesNotExist as error:
        raise Http404 from error


@merchant_view("codes.view")
@require_safe
def design_list(request: MerchantRequest) -> HttpResponse:
    """The merchant's designs."""
    return render(request, "qrcodes/design_list.html", {"designs": list_designs()})


@merchant_view("codes.view")
@require_safe
def design_image(request: MerchantRequest, design_id: int) -> HttpResponse:
    """A bare code in the design, for lists."""
    row = _design_or_404(design_id)
    placard = sample_placard(merchant=request.merchant, design=PLAIN)
    try:
        svg = render_svg(placard, captioned=False, design=look_of(row))
    except DesignRefused as refused:
        # It was kept before today's rules; its own page says what to change.
        raise Http404 from refused
    response = HttpResponse(svg, content_type="image/svg+xml")
    response["Cache-Control"] = "private, no-cache"
    return response


def _show(
    request: MerchantRequest,
    form: DesignForm,
    *,
    row: ArtworkDesign | None = None,
    shown: Design | None = None,
    status: int = 200,
) -> HttpResponse:
    """The studio of one design. ``shown`` is drawn; None where the choices do not go together."""
    stored = row is not None and row.logo is not None
    context: dict[str, Any] = {"form": form, "row": row, "stored": stored, "shown": shown}
    if shown is not None:
        placard = sample_placard(merchant=request.merchant, design=shown)
        context["picture"], context["problem"] = preview_url(placard, shown, key="A6")
        context["sheets"] = sheets_of(placard, shown)
    return render_page(
        request, "qrcodes/design_form.html", context, partial="preview", status=status
    )


def _too_long(request: MerchantRequest, *, row: ArtworkDesign | None) -> HttpResponse:
    """A body that is not even read: what was typed is lost with it, and what is stored stays."""
    values = look_values(PLAIN if row is None else row) | {"name": "" if row is None else row.name}
    logo = None if row is None else logo_of(row)
    form = DesignForm(values, link=sample_link(), stored=logo, only_look=True)
    form.is_valid()
    form.add_error("logo", logo_sentence(LogoRefused("too_many_bytes")))
    return _show(request, form, row=row, shown=form.look, status=422)


def _carried_logo(request: MerchantRequest) -> Logo | None:
    """The logo of the design that the choices in the address began from, if it is to be shown."""
    text = request.GET.get("design", "")
    if (
        "with_logo" not in request.GET
        or not text.isascii()
        or not text.isdecimal()
        or len(text) > 18
    ):
        return None
    return logo_of(_design_or_404(int(text)))


@csrf_protect
def _edit(request: MerchantRequest, *, row: ArtworkDesign | None) -> HttpResponse:
    stored = None if row is None else logo_of(row)
    if request.method != "POST":
        initial = look_values(row or PLAIN) | {"name": "" if row is None else row.name}
        carried = None
        if row is None and "level" in request.GET:
            # The code's own page hands its choices over in the address.
            initial |= {field: request.GET.get(field, "") for field in LOOK_FIELDS}
            carried = _carried_logo(request)
        form = DesignForm(link=sample_link(), initial=initial, carried=carried)
        trial = DesignForm(initial, link=sample_link(), stored=carried or stored, only_look=True)
        if trial.is_valid():
            return _show(request, form, row=row, shown=trial.look)
        # What the address or an older rule chose does not go together: the page says so, and shows nothing.
        return _show(request, trial, row=row)
    only_look = "show" in request.POST
    form = DesignForm(
        request.POST,
        request.FILES,
        link=sample_link(),
        stored=stored,
        only_look=only_look,
    )
    if not form.is_valid() or form.look is None:
        return _show(request, form, row=row, status=422)
    if only_look:
        return _show(request, form, row=row, shown=form.look)
    kept = {
        "name": form.cleaned_data["name"],
        "design": form.look,
        "actor": request.actor(),
        "now": clock.now(),
    }
    try:
        if row is None:
            create_design(**kept)
        else:
            change_design(design_id=row.pk, **kept)
    except WouldNotScan as error:
        form.add_error(None, would_not_scan(error))
        return _show(request, form, row=row, shown=form.look, status=422)
    except DesignRefused as refused:
        form.add_error(refused.field, design_sentence(refused))
        return _show(request, form, row=row, shown=form.look, status=422)
    except ArtworkDesign.DoesNotExist as error:
        raise Http404 from error
    messages.success(request, _("The design is saved."))
    return redirect("qrcodes:design_list", request.merchant.slug)


# A body is read as soon as the CSRF check looks for its token, so its length is judged before.
@csrf_exempt
@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def design_create(request: MerchantRequest) -> HttpResponse:
    """Make a design; ``show`` in a POST only draws it."""
    if is_too_long(request, limit=MOST_BODY):
        return _too_long(request, row=None)
    return _edit(request, row=None)


@csrf_exempt
@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def design_change(request: MerchantRequest, design_id: int) -> HttpResponse:
    """Change a design; ``show`` in a POST only draws it."""
    row = _design_or_404(design_id)
    if is_too_long(request, limit=MOST_BODY):
        return _too_long(request, row=row)
    return _edit(request, row=row)


@merchant_view("codes.manage")
@require_POST
def design_default(request: MerchantRequest, design_id: int) -> HttpResponse:
    """Print codes in this design unless another is chosen."""
    try:
        row = make_default(design_id=design_id, actor=request.actor(), now=clock.now())
    except ArtworkDesign.DoesNotExist as error:
        raise Http404 from error
    except (DesignRefused, WouldNotScan) as error:
        messages.error(request, refusal_sentence(error))
        return redirect("qrcodes:design_list", request.merchant.slug)
    messages.success(
        request, _("Codes are now printed in “%(name)s” by default.") % {"name": row.name}
    )
    return redirect("qrcodes:design_list", request.merchant.slug)


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def design_delete(request: MerchantRequest, design_id: int) -> HttpResponse:
    """Confirm that a design is forgotten."""
    row = _design_or_404(design_id)
    if request.method == "POST":
        delete_design(design_id=row.pk, actor=request.actor(), now=clock.now())
        messages.success(request, _("The design is deleted."))
        return redirect("qrcodes:design_list", request.merchant.slug)
    return render(request, "qrcodes/design_delete.html", {"row": row})
