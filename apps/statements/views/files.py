"""Handing out bill files."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib import messages
from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.encryption import CannotOpen
from apps.core.tenancy import current_scope, enter_scope
from apps.merchants.access import MerchantRequest, merchant_view
from apps.statements.models import Statement
from apps.statements.services import FileGone, read_file


@merchant_view("reconciliation.view")
@require_safe
def statement_download(request: MerchantRequest, statement_id: int) -> HttpResponseBase:
    """The file byte for byte as it was received."""
    try:
        statement, pieces = read_file(
            statement_id=statement_id, actor=request.actor(), now=clock.now()
        )
    except Statement.DoesNotExist as error:
        raise Http404 from error
    except FileGone:
        messages.error(
            request, _("This file was deleted after its time. What was read from it is still here.")
        )
        return redirect("statements:statement_list", request.merchant.slug)
    except CannotOpen:
        messages.error(
            request,
            _("This file cannot be decrypted: the key that sealed it is not in use any more."),
        )
        return redirect("statements:statement_list", request.merchant.slug)
    return as_file(
        pieces, name=statement.filename or f"bill-{statement.day}.csv", size=statement.byte_count
    )


def as_file(pieces: Iterator[bytes], *, name: str, size: int) -> StreamingHttpResponse:
    """A file from outside for saving, never shown in the browser. The body enters the scope itself."""
    scope = current_scope()

    def body() -> Iterator[bytes]:
        with enter_scope(scope):
            yield from pieces

    response = StreamingHttpResponse(body(), content_type="application/octet-stream")
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Content-Length"] = str(size)
    response["X-Content-Type-Options"] = "nosniff"
    return response
