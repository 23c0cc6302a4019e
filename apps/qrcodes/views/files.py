"""The pictures and files of one code."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal, cast

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from apps.merchants.access import MerchantRequest, merchant_view
from apps.qrcodes.artwork import (
    FORMATS,
    Design,
    DesignRefused,
    Format,
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
from apps.qrcodes.forms import ArtworkForm
from apps.qrcodes.models import QRCode
from apps.qrcodes.proof import WouldNotScan, require_scannable
from apps.qrcodes.proofwords import refusal_sentence
from apps.qrcodes.selectors import (
    default_look,
    dressed_placard,
    link_of,
)
from apps.qrcodes.views.frame import code_or_404, print_problem

File = Literal["png", "svg", "pdf-a6", "pdf-a4"]


_TYPES: dict[File, tuple[str, str]] = {
    "png": ("image/png", ".png"),
    "svg": ("image/svg+xml", ".svg"),
    "pdf-a6": ("application/pdf", "-A6.pdf"),
    "pdf-a4": ("application/pdf", "-A4.pdf"),
}


#: The pages that are printed.
_PAGES: dict[File, Format] = {"pdf-a6": FORMATS["A6"], "pdf-a4": FORMATS["A4"]}


#: What a file system or a mail program may stumble over.
_UNFILED = re.compile(r'[\\/:*?"<>|\x00-\x1f]+')


def _draw(placard: Placard, file: File, look: Design) -> bytes:
    if file == "png":
        return render_png(placard, size_px=1024, captioned=True, design=look)
    if file == "svg":
        return render_svg(placard, design=look)
    paper: Paper = "A6" if file == "pdf-a6" else "A4"
    return render_pdf(placard, paper=paper, design=look)


def _dressed(request: MerchantRequest, code: QRCode, language: str) -> tuple[Placard, Design]:
    """The placard in the merchant's default design, in this language."""
    look = replace(default_look(), language=cast("Language", language))
    return dressed_placard(code, merchant=request.merchant, design=look), look


@merchant_view("codes.view")
@require_safe
def code_image(request: MerchantRequest, code_id: int) -> HttpResponse:
    """The bare code, small, for lists. It never changes, so browsers may keep it."""
    code = code_or_404(code_id)
    response = HttpResponse(qr_png(link_of(code), size_px=120, border=2), content_type="image/png")
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


@merchant_view("codes.view")
@require_safe
def code_preview(request: MerchantRequest, code_id: int) -> HttpResponse:
    """The code with its caption, as the detail page shows it."""
    code = code_or_404(code_id)
    artwork = ArtworkForm({"file": "png", "language": request.GET.get("language", "both")})
    if not artwork.is_valid():
        raise Http404
    language = artwork.cleaned_data["language"]
    try:
        placard, look = _dressed(request, code, language)
        try:
            image = render_png(placard, size_px=640, captioned=True, design=look)
        except (UnprintableText, TextTooLong):
            image = render_png(placard, size_px=640, design=look)
    except DesignRefused:
        # It was kept before today's rules, or the portal's address became longer since: the files say so.
        image = qr_png(link_of(code), size_px=640)
    response = HttpResponse(image, content_type="image/png")
    response["Cache-Control"] = "private, no-cache"
    return response


@merchant_view("codes.view")
@require_safe
def code_download(request: MerchantRequest, code_id: int) -> HttpResponse:
    """One file of a code: ``?file=png|svg|pdf-a6|pdf-a4&language=both|zh-hans|en``."""
    code = code_or_404(code_id)
    artwork = ArtworkForm(request.GET)
    if not artwork.is_valid():
        raise Http404
    file = cast("File", artwork.cleaned_data["file"])
    language = artwork.cleaned_data["language"]
    try:
        placard, look = _dressed(request, code, language)
        form = _PAGES.get(file)
        require_scannable(look, placard.link, form, placard=placard)
        content = _draw(placard, file, look)
    except (DesignRefused, WouldNotScan) as error:
        messages.error(request, refusal_sentence(error))
        return redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    except (UnprintableText, TextTooLong) as error:
        messages.error(request, print_problem(error))
        return redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    content_type, ending = _TYPES[file]
    stem = _UNFILED.sub("-", f"{code.store.name}-{code.scenario.name}-{code.token}-{language}")
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(True, f"{stem}{ending}") or ""
    response["Cache-Control"] = "private, no-store"
    return response
