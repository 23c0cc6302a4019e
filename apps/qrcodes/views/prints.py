"""Files for a print shop: asking for them, watching, downloading the ZIP."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.doors import new_token
from apps.core.htmx import render_page
from apps.core.tenancy import current_scope, enter_scope
from apps.merchants.access import MerchantRequest, merchant_view
from apps.qrcodes.artwork import FORMATS
from apps.qrcodes.batches import MOST_CODES
from apps.qrcodes.bulkwords import refused_sentence, undrawn
from apps.qrcodes.forms import PrintJobForm
from apps.qrcodes.models import ArtworkDesign, PrintJob, PrintState
from apps.qrcodes.selectors import (
    chosen_codes,
    get_print,
    list_designs,
    list_prints,
    used_bytes,
)
from apps.qrcodes.services import (
    MOST_KEPT,
    CodeRefused,
    cancel_print,
    delete_print,
    files_of,
    kept_bytes,
    start_print,
)
from apps.qrcodes.views.lists import chosen_ids
from apps.qrcodes.views.sheets import format_name

#: Names of codes that the page shows before it begins.
SHOWN = 12
_MB = 1024 * 1024


@merchant_view("codes.view")
@require_http_methods(["GET", "HEAD", "POST"])
def print_create(request: MerchantRequest) -> HttpResponse:
    """Which files of the chosen codes; ``sure`` has them drawn."""
    return choose_prints(request)


def choose_prints(request: MerchantRequest) -> HttpResponse:
    """The page of ``print_create``, also where the list's choice arrives."""
    back = reverse("qrcodes:code_list", args=[request.merchant.slug])
    ids = chosen_ids(request) if request.method == "POST" else []
    if not ids or len(ids) > MOST_CODES:
        reason = "too_many" if ids else "missing"
        messages.error(request, refused_sentence("codes", reason))
        return redirect(back)
    sure = "sure" in request.POST
    form = PrintJobForm(request.POST if sure else None, designs=list_designs(), name_of=format_name)
    if sure and form.is_valid():
        try:
            job = start_print(
                ids,
                form.wish(),
                nonce=request.POST.get("nonce", "")[:40] or new_token(20),
                actor=request.actor(),
                now=clock.now(),
                spoken=get_language() or "",
            )
        except CodeRefused as refused:
            form.add_error(None, refused_sentence(refused.field, refused.reason))
        except ArtworkDesign.DoesNotExist:
            form.add_error("design", _("This is not there any more. Choose again."))
        else:
            return redirect("qrcodes:print_detail", request.merchant.slug, job.pk)
    codes = chosen_codes(ids)
    context: dict[str, Any] = {
        "form": form,
        "count": len(codes),
        "first": codes[:SHOWN],
        "more": max(0, len(codes) - SHOWN),
        "ids": ",".join(str(code.pk) for code in codes),
        "nonce": request.POST.get("nonce") or new_token(20),
        "back": back,
    }
    return render(request, "qrcodes/print_create.html", context, status=422 if sure else 200)


def _kept() -> dict[str, int]:
    """How many files are kept, for the sentence that says so."""
    return {"most_mb": kept_bytes() // _MB, "most_jobs": MOST_KEPT}


def _job_or_404(request: MerchantRequest, job_id: int) -> PrintJob:
    try:
        return get_print(job_id, member_id=request.member.pk)
    except PrintJob.DoesNotExist as error:
        raise Http404 from error


def _own_or_404(request: MerchantRequest, job_id: int) -> PrintJob:
    """A job that the member may end: his own, or any for who manages codes. Raises Http404."""
    job = _job_or_404(request, job_id)
    if job.made_by_id != request.member.pk and "codes.manage" not in request.permissions:
        raise Http404
    return job


@merchant_view("codes.view")
@require_safe
def print_list(request: MerchantRequest) -> HttpResponse:
    """Print jobs of the last days."""
    rows = [
        {"job": job, "format": format_name(FORMATS[job.form]), "count": len(job.code_ids)}
        for job in list_prints(member_id=request.member.pk)
    ]
    context = {"rows": rows, "kept": _kept() | {"used_mb": -(-used_bytes() // _MB)}}
    return render(request, "qrcodes/print_list.html", context)


@merchant_view("codes.view")
@require_safe
def print_detail(request: MerchantRequest, job_id: int) -> HttpResponse:
    """How far a print job is; while it goes on, the page looks again by itself."""
    job = _job_or_404(request, job_id)
    form = FORMATS[job.form]
    gone = (clock.now() - job.made_at).total_seconds()
    left = None
    if job.state == PrintState.RUNNING and job.done and gone > 2:
        left = max(1, round(gone / job.done * (len(job.code_ids) - job.done)))
    context = {
        "job": job,
        "total": len(job.code_ids),
        "under_way": job.state == PrintState.RUNNING,
        "may_end": job.made_by_id == request.member.pk or "codes.manage" in request.permissions,
        "left": left,
        "format": format_name(form),
        "piece": form.piece,
        "kept": _kept(),
        "problems": undrawn(job),
        "drawn": len(job.code_ids) - len(job.problems),
    }
    return render_page(request, "qrcodes/print_detail.html", context, partial="progress")


@merchant_view("codes.view")
@require_POST
def print_cancel(request: MerchantRequest, job_id: int) -> HttpResponse:
    """Draw no more."""
    job = _own_or_404(request, job_id)
    if cancel_print(job_id=job.pk, actor=request.actor(), now=clock.now()):
        messages.success(request, _("Cancelled. Nothing of it is kept."))
    else:
        messages.info(request, _("It had ended before it could be cancelled."))
    return redirect("qrcodes:print_detail", request.merchant.slug, job.pk)


@merchant_view("codes.view")
@require_http_methods(["GET", "HEAD", "POST"])
def print_delete(request: MerchantRequest, job_id: int) -> HttpResponse:
    """Delete the files of a job before their week is over, after asking."""
    job = _own_or_404(request, job_id)
    if request.method != "POST":
        return render(request, "qrcodes/print_delete.html", {"job": job})
    delete_print(job_id=job.pk, actor=request.actor(), now=clock.now())
    messages.success(request, _("The files are deleted. The codes stay."))
    return redirect("qrcodes:print_list", request.merchant.slug)


class _Sink:
    """Takes what a ZIP writes, until it is handed on."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep it."""
        self.pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def taken(self) -> bytes:
        """All that was written since the last time."""
        data = b"".join(self.pieces)
        self.pieces.clear()
        return data


@merchant_view("codes.view")
@require_safe
def print_download(request: MerchantRequest, job_id: int) -> HttpResponseBase:
    """The ZIP, put together while it is sent: one file is in memory at a time."""
    job = _job_or_404(request, job_id)
    if job.state != PrintState.READY:
        messages.info(request, _("The files are not ready yet."))
        return redirect("qrcodes:print_detail", request.merchant.slug, job.pk)
    scope = current_scope()
    made = job.made_at.astimezone(clock.CHINA)
    folder = f"{request.merchant.slug}-{job.form}-{made:%Y%m%d-%H%M}"

    def pieces() -> Iterator[bytes]:
        sink = _Sink()
        # Only write() and flush() are asked of it: the ZIP is written without going back.
        with (
            enter_scope(scope),
            zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive,  # type: ignore[call-overload]
        ):
            for name, content in files_of(job):
                entry = zipfile.ZipInfo(f"{folder}/{name}", made.timetuple()[:6])
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content)
                yield sink.taken()
            archive.close()
            yield sink.taken()

    response = StreamingHttpResponse(pieces(), content_type="application/zip")
    response["Content-Disposition"] = content_disposition_header(True, f"{folder}.zip") or ""
    response["Cache-Control"] = "private, no-store"
    return response
