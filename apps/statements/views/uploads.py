"""Files that somebody handed in: how far their import is, and those that were refused."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.encryption import CannotOpen
from apps.core.files import as_file
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.statements import selectors, services
from apps.statements.models import UNDER_WAY, Upload, UploadState
from apps.statements.services import FileGone, NotUnderWay
from apps.statements.wording import detail_words


def _upload_or_404(upload_id: int) -> Upload:
    try:
        return selectors.get_upload(upload_id)
    except Upload.DoesNotExist as error:
        raise Http404 from error


@merchant_view("reconciliation.manage")
@require_safe
def upload_detail(request: MerchantRequest, upload_id: int) -> HttpResponse:
    """How far an import is, or how it ended. While it goes on, the page looks again by itself."""
    upload = _upload_or_404(upload_id)
    context = {
        "upload": upload,
        "under_way": upload.state in UNDER_WAY,
        "storing": upload.state == UploadState.RUNNING and upload.done_bytes >= upload.byte_count,
        "left": _left(upload),
        "reason": detail_words(upload.account.platform, upload.detail),
    }
    return render_page(request, "statements/upload_detail.html", context, partial="progress")


def _left(upload: Upload) -> int | None:
    """About how many seconds reading goes on for; None where that cannot be told yet."""
    if upload.state != UploadState.RUNNING or upload.started_at is None or not upload.done_bytes:
        return None
    gone = (clock.now() - upload.started_at).total_seconds()
    if gone < 2:
        return None
    # Storing the rows takes about as long as reading them.
    whole = gone / upload.done_bytes * upload.byte_count * 2
    return max(1, round(whole - gone))


@merchant_view("reconciliation.manage")
@require_POST
def upload_cancel(request: MerchantRequest, upload_id: int) -> HttpResponse:
    """End an import; nothing of the file is stored."""
    try:
        services.cancel_upload(upload_id=upload_id, actor=request.actor(), now=clock.now())
    except Upload.DoesNotExist as error:
        raise Http404 from error
    except NotUnderWay:
        messages.info(request, _("The import had come to its end before it could be cancelled."))
        return redirect("statements:upload_detail", request.merchant.slug, upload_id)
    messages.success(request, _("The import is cancelled. Nothing of the file was stored."))
    return redirect("statements:statement_list", request.merchant.slug)


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def upload_delete(request: MerchantRequest, upload_id: int) -> HttpResponse:
    """Delete a refused file for good, after asking."""
    upload = _upload_or_404(upload_id)
    if request.method != "POST":
        return render_page(request, "statements/upload_delete.html", {"upload": upload})
    try:
        services.delete_upload(upload_id=upload_id, actor=request.actor(), now=clock.now())
    except Upload.DoesNotExist as error:
        raise Http404 from error
    except NotUnderWay:
        messages.info(request, _("Only refused files can be deleted here."))
    else:
        messages.success(request, _("The refused file is deleted."))
    return redirect("statements:statement_list", request.merchant.slug)


@merchant_view("reconciliation.manage")
@require_safe
def upload_download(request: MerchantRequest, upload_id: int) -> HttpResponseBase:
    """A refused file byte for byte as it was handed in."""
    try:
        upload, pieces = services.read_upload(
            upload_id=upload_id, actor=request.actor(), now=clock.now()
        )
    except Upload.DoesNotExist as error:
        raise Http404 from error
    except FileGone:
        messages.error(request, _("Of this upload no file is kept here."))
        return redirect("statements:statement_list", request.merchant.slug)
    except CannotOpen:
        messages.error(
            request,
            _("This file cannot be decrypted: the key that sealed it is not in use any more."),
        )
        return redirect("statements:statement_list", request.merchant.slug)
    return as_file(pieces, name=upload.filename, size=upload.byte_count)
