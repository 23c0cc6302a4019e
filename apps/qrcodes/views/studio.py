"""The studio of a code: how it looks in a design, how large it prints, and the files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.qrcodes.artwork import (
    FORMATS,
    PLAIN,
    Design,
    DesignRefused,
    Placard,
    picture_facts,
    render_pdf,
    render_picture,
    render_svg,
)
from apps.qrcodes.forms import PrintForm, StudioForm, look_values
from apps.qrcodes.models import ArtworkDesign, QRCode
from apps.qrcodes.proof import WouldNotScan, require_scannable
from apps.qrcodes.proofwords import would_not_scan
from apps.qrcodes.selectors import (
    dressed_placard,
    get_design,
    link_of,
    list_designs,
    logo_of,
)
from apps.qrcodes.views.frame import code_or_404
from apps.qrcodes.views.sheets import (
    Unprintable,
    format_name,
    preview_url,
    problem_words,
    sheets_of,
)

#: What a file system or a mail program may stumble over.
_UNFILED = re.compile(r'[\\/:*?"<>|\x00-\x1f]+')


@dataclass(frozen=True, slots=True)
class _Studio:
    """What the address chooses: the form, already checked, and the designs it offers."""

    form: StudioForm
    designs: list[ArtworkDesign]
    design_id: int | None

    @property
    def query(self) -> str:
        """The choices as they stand, for the files' addresses."""
        values = QueryDict(mutable=True)
        for name in self.form.fields:
            value = self.form[name].value()
            if value not in (None, "", False):
                values[name] = "on" if value is True else str(value)
        values["design"] = str(self.design_id or "")
        return values.urlencode()


def _studio(request: MerchantRequest, code: QRCode) -> _Studio:
    """The choices in the address; where it names only a design, or nothing, those of that design or of the default."""
    given = request.GET
    designs = list_designs()
    wanted = given.get("design")
    if wanted is None:
        row = next((one for one in designs if one.is_default), None)
    else:
        row = next((one for one in designs if str(one.pk) == wanted), None)
    # Its columns, not its look: one that was kept before today's rules is shown with what is wrong at the field.
    base = PLAIN if row is None else get_design(row.pk)
    logo = logo_of(base) if isinstance(base, ArtworkDesign) else None
    chosen = str(row.pk) if row else ""
    values: dict[str, Any] = {
        "format": given.get("format", "A6"),
        "width_mm": given.get("width_mm", "60"),
        "dpi": given.get("dpi", "300"),
    }
    if "level" in given:
        values |= given.dict()
        # A box without a tick is not in the address.
        values.setdefault("with_logo", "")
        values.setdefault("wallet_marks", "")
    else:
        values |= look_values(base) | {"with_logo": "on"}
        values["language"] = given.get("language", values["language"])
    values["design"] = chosen
    form = StudioForm(
        values,
        link=link_of(code),
        logo=logo,
        formats=[(form.key, format_name(form)) for form in FORMATS.values()],
    )
    form.is_valid()
    return _Studio(form, designs, row.pk if row else None)


def chosen_look(request: MerchantRequest, code: QRCode) -> Design | None:
    """The design that the address chooses; None where its choices do not go together."""
    return _studio(request, code).form.look


def _picture(placard: Placard, look: Design, form: StudioForm) -> dict[str, Any]:
    """What the PNG comes to, or why it cannot be."""
    data = form.cleaned_data
    try:
        facts = picture_facts(placard.link, look, width_mm=data["width_mm"], dpi=data["dpi"])
    except DesignRefused as refused:
        return {"problem": problem_words(refused)}
    return {"facts": facts, "width_mm": data["width_mm"], "dpi": data["dpi"]}


@merchant_view("codes.view")
@require_safe
def code_studio(request: MerchantRequest, code_id: int) -> HttpResponse:
    """The code in a design: preview, choices, formats with their measures, files."""
    code = code_or_404(code_id)
    studio = _studio(request, code)
    look = studio.form.look
    context: dict[str, Any] = {
        "code": code,
        "form": studio.form,
        "designs": studio.designs,
        "design_id": studio.design_id,
        "query": studio.query,
        "look": look,
    }
    if look is not None:
        placard = dressed_placard(code, merchant=request.merchant, design=look)
        key = studio.form.cleaned_data["format"]
        context["picture"], context["problem"] = preview_url(placard, look, key=key)
        context["shown_as"] = format_name(FORMATS[key])
        context["sheets"] = sheets_of(placard, look)
        context["png"] = _picture(placard, look, studio.form)
    return render_page(
        request,
        "qrcodes/studio.html",
        context,
        partial="studio",
        status=422 if studio.form.errors else 200,
    )


def _draw(file: str, placard: Placard, look: Design, form: StudioForm) -> tuple[bytes, str, str]:
    """The file's bytes, type and ending. Raises what artwork raises."""
    width = form.cleaned_data["width_mm"]
    if file == "svg":
        return render_svg(placard, width_mm=width, design=look), "image/svg+xml", ".svg"
    if file == "png":
        dpi = form.cleaned_data["dpi"]
        data = render_picture(placard, width_mm=width, dpi=dpi, design=look, captioned=True)
        return data, "image/png", f"-{width}mm-{dpi}dpi.png"
    return render_pdf(placard, paper=file, design=look), "application/pdf", f"-{file}.pdf"


@merchant_view("codes.view")
@require_safe
def code_print(request: MerchantRequest, code_id: int) -> HttpResponse:
    """One file of a code: ``?file=`` a format, png or svg, and the studio's choices."""
    code = code_or_404(code_id)
    wanted = PrintForm(request.GET)
    if not wanted.is_valid():
        raise Http404
    file = str(wanted.cleaned_data["file"])
    studio = _studio(request, code)
    back = f"{reverse('qrcodes:code_studio', args=[request.merchant.slug, code.pk])}?{studio.query}"
    look = studio.form.look
    if look is None:
        why = " ".join(str(error) for errors in studio.form.errors.values() for error in errors)
        messages.error(request, _("These choices do not go together.") + f" {why}")
        return redirect(back)
    placard = dressed_placard(code, merchant=request.merchant, design=look)
    try:
        if file in FORMATS:
            require_scannable(look, placard.link, FORMATS[file], placard=placard)
        else:
            width = studio.form.cleaned_data["width_mm"]
            require_scannable(look, placard.link, width_mm=width)
        content, content_type, ending = _draw(file, placard, look, studio.form)
    except WouldNotScan as error:
        messages.error(request, would_not_scan(error))
        return redirect(back)
    except Unprintable as error:
        messages.error(request, problem_words(error))
        return redirect(back)
    stem = _UNFILED.sub("-", f"{code.store.name}-{code.scenario.name}-{code.token}")
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(True, f"{stem}{ending}") or ""
    response["Cache-Control"] = "private, no-store"
    return response
