"""Handing out bill files."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.encryption import CannotOpen
from apps.core.files import as_file
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
