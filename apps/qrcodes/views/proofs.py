"""Whether a design scans, and whose a photographed sticker is."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe
from typing_extensions import override

from apps.core import clock
from apps.core.fields import is_too_long
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.qrcodes.artwork import FORMATS, Design, Placard
from apps.qrcodes.proof import Proof, WouldNotScan, prove_design, require_scannable
from apps.qrcodes.proof.photos import (
    MOST_BYTES,
    PhotoRefused,
    codes_in,
    is_pdf,
    open_photo,
    pdf_pages,
)
from apps.qrcodes.proofwords import (
    degree_words,
    harm_name,
    photo_sentence,
    platform_checks,
    verdict_words,
    would_not_scan,
)
from apps.qrcodes.selectors import dressed_placard, identify
from apps.qrcodes.views.frame import code_or_404
from apps.qrcodes.views.sheets import sheets_of
from apps.qrcodes.views.studio import chosen_look


def _rows(proof: Proof) -> list[dict[str, Any]]:
    return [
        {
            "name": harm_name(key),
            "cells": [{"cell": cell, "degree": degree_words(key, cell.degree)} for cell in cells],
            "failed": key in proof.failed,
        }
        for key, cells in proof.rows.items()
    ]


def _prints(placard: Placard, look: Design, proof: Proof) -> list[dict[str, Any]]:
    """Each format: how wide its code is, from how far it is read, or why it is not printed."""
    rows = []
    for sheet in sheets_of(placard, look):
        problem = sheet.problem
        if not problem:
            try:
                require_scannable(look, placard.link, FORMATS[sheet.key], placard=placard)
            except WouldNotScan as error:
                problem = would_not_scan(error)
        far = 0 if problem else proof.distance_mm(sheet.code_mm) // 10
        rows.append({"sheet": sheet, "problem": problem, "distance_cm": far})
    return rows


@merchant_view("codes.view")
@require_safe
def code_proof(request: MerchantRequest, code_id: int) -> HttpResponse:
    """The scan proof of a code in the design that the address chooses, as the studio's does."""
    code = code_or_404(code_id)
    look = chosen_look(request, code)
    context: dict[str, Any] = {"code": code, "look": look}
    if look is not None:
        placard = dressed_placard(code, merchant=request.merchant, design=look)
        # The studio's form has tried the design on this link: what could be refused here is refused there.
        proof = prove_design(look, placard.link)
        context |= {
            "proof": proof,
            "rows": _rows(proof),
            "checks": platform_checks(look, proof),
            "prints": _prints(placard, look, proof),
        }
    return render_page(request, "qrcodes/code_proof.html", context, partial="proof")


#: The order in which verdicts are shown.
_URGENCY = ("bad", "wait", "info", "quiet", "ok")


class PhotoForm(forms.Form):
    """A photograph of a sticker, taken now or chosen. A field that opens a phone's camera offers no pictures, so there are two."""

    photo = forms.FileField(
        label=gettext_lazy("Take a photograph"),
        required=False,
        allow_empty_file=True,
        max_length=200,
        error_messages={"max_length": gettext_lazy("The file's name is too long.")},
        widget=forms.FileInput(attrs={"accept": "image/*", "capture": "environment"}),
    )
    file = forms.FileField(
        label=gettext_lazy("Or choose a picture or PDF"),
        required=False,
        help_text=gettext_lazy("JPEG, PNG or PDF, up to 15 MB. It is looked at and not kept."),
        allow_empty_file=True,
        max_length=200,
        error_messages={"max_length": gettext_lazy("The file's name is too long.")},
        widget=forms.FileInput(attrs={"accept": "image/*,application/pdf"}),
    )

    @property
    def source(self) -> str:
        """The field that the picture came by."""
        return "file" if self.cleaned_data.get("file") else "photo"

    @override
    def clean(self) -> dict[str, Any]:
        """One of the two."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not (cleaned.get("photo") or cleaned.get("file")):
            self.add_error("photo", _("Take a photograph, or choose a file."))
        return cleaned


def _stickers(request: MerchantRequest, data: bytes) -> list[dict[str, Any]]:
    """What each code in the file is. Raises PhotoRefused."""
    pictures = pdf_pages(data) if is_pdf(data) else [open_photo(data)]
    found: dict[str, dict[str, Any]] = {}
    now = clock.now()
    for picture in pictures:
        for reading in codes_in(picture):
            if reading.text not in found:
                told = identify(reading.text, now=now)
                words = verdict_words(told)
                found[reading.text] = {"told": told, "words": words, "content": reading.text[:300]}
    # What needs somebody to act comes first.
    return sorted(found.values(), key=lambda one: _URGENCY.index(one["words"].tone))


# A body is read as soon as the CSRF check looks for its token, so its length is judged before.
@csrf_exempt
@merchant_view("codes.view")
@require_http_methods(["GET", "HEAD", "POST"])
def code_check(request: MerchantRequest) -> HttpResponse:
    """Look at a photographed sticker: ours, an old one of ours, or foreign."""
    if request.method == "POST" and is_too_long(request, limit=MOST_BYTES):
        form = PhotoForm({})
        form.is_valid()
        form.errors.clear()
        form.add_error("photo", photo_sentence("too_many_bytes"))
        return render(request, "qrcodes/code_check.html", {"form": form}, status=422)
    return _check(request)


@csrf_protect
def _check(request: MerchantRequest) -> HttpResponse:
    posted = request.method == "POST"
    form = PhotoForm(request.POST, request.FILES) if posted else PhotoForm()
    context: dict[str, Any] = {"form": form}
    if posted and form.is_valid():
        try:
            stickers = _stickers(request, form.cleaned_data[form.source].read(MOST_BYTES + 1))
        except PhotoRefused as refused:
            form.add_error(form.source, photo_sentence(refused.key))
        else:
            context |= {"stickers": stickers}
            if not stickers:
                form.add_error(form.source, photo_sentence("no_code"))
    status = 422 if form.errors else 200
    return render(request, "qrcodes/code_check.html", context, status=status)
