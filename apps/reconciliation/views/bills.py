"""Handing in a bill, or having it fetched, and seeing at once how it matches."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from apps.core import clock
from apps.core.fields import is_too_long
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import get_account, list_accounts
from apps.reconciliation import services
from apps.reconciliation.forms import FetchForm, UploadForm
from apps.reconciliation.selectors import current_run
from apps.reconciliation.views.runs import matched_sentence
from apps.statements.models import FetchState, Upload, UploadState
from apps.statements.selectors import current_statement, is_asked
from apps.statements.services import (
    FetchResult,
    StatementRefused,
    fetch_now,
    hand_in,
    max_bytes,
    too_large_sentence,
)
from apps.statements.wording import detail_words, place_of, reason_of

#: Reasons of ``StatementRefused`` that other columns may take out of the way, where a platform has a column map.
_COLUMN_TROUBLES = frozenset({"other_format", "column_missing", "column_twice", "unknown_word"})


def _accounts() -> list[PlatformAccount]:
    return list(list_accounts().defer("credentials_sealed"))


def _yesterday() -> date:
    return clock.business_date(clock.now()) - timedelta(days=1)


def _page(
    request: HttpRequest,
    *,
    upload: UploadForm | None = None,
    fetch: FetchForm | None = None,
    trouble: str = "",
    columns_of: PlatformAccount | None = None,
    kept: Upload | None = None,
    status: int = 200,
) -> HttpResponse:
    """``columns_of``: the account whose console exports should be told columns, since a file of it was not understood.

    ``kept``: the refused file, which can be looked at among the bills.
    """
    accounts = _accounts()
    place: dict[str, Any] = {}
    if request.GET.get("account", "").isdecimal():
        place["account"] = request.GET["account"]
    if request.GET.get("day"):
        place["day"] = request.GET["day"][:10]
    fixed: dict[str, Any] = {"accounts": accounts, "yesterday": _yesterday(), "initial": place}
    context = {
        "accounts": accounts,
        "form": upload or UploadForm(**fixed),
        "fetch": fetch or FetchForm(**fixed, prefix="fetch_"),
        "trouble": trouble,
        "columns_of": columns_of,
        "kept": kept,
        "asked": [row for row in accounts if is_asked(row.platform)],
    }
    return render(request, "statements/statement_upload.html", context, status=status)


# A body is read as soon as the CSRF check looks for its token, so its length is judged before.
@csrf_exempt
@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def statement_upload(request: MerchantRequest) -> HttpResponse:
    """A bill file handed in by hand: imported whole or not at all, and matched at once."""
    if is_too_long(request, limit=max_bytes()):
        return _page(request, trouble=too_large_sentence(), status=422)
    return _take_upload(request)


@csrf_protect
def _take_upload(request: MerchantRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request)
    form = UploadForm(request.POST, request.FILES, accounts=_accounts(), yesterday=_yesterday())
    if not form.is_valid():
        return _page(request, upload=form, status=422)
    data = form.cleaned_data
    try:
        upload = hand_in(
            account_id=data["account"],
            kind=StatementKind(data["kind"]),
            day=data["day"],
            filename=data["file"].name,
            content=data["file"],
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except StatementRefused as error:
        form.add_error("file" if error.reason == "too_large" else "day", error.message)
        return _page(request, upload=form, status=422)
    if upload.state == UploadState.REFUSED:
        return _refused(request, form, upload)
    if upload.state not in {UploadState.IMPORTED, UploadState.SAME}:
        return redirect("statements:upload_detail", request.merchant.slug, upload.pk)
    _tell_imported(request, upload)
    if upload.kind == StatementKind.FUND:
        return _to_bills(request, upload.day)
    return _to_run(request, account_id=upload.account_id, day=upload.day)


def _refused(request: MerchantRequest, form: UploadForm, upload: Upload) -> HttpResponse:
    """The form once more, with what is wrong with the file, which is kept for a look."""
    account, reason = upload.account, reason_of(upload.detail)
    columns = reason in _COLUMN_TROUBLES and is_asked(account.platform)
    words = detail_words(account.platform, upload.detail)
    if columns and reason == "other_format":
        words = _("The portal does not know the headings of this file.")
    form.add_error("file" if reason != "other_day" or place_of(upload.detail) else "day", words)
    return _page(
        request, upload=form, columns_of=account if columns else None, kept=upload, status=422
    )


def _tell_imported(request: MerchantRequest, upload: Upload) -> None:
    statement = upload.statement
    assert statement is not None  # noqa: S101  # an upload that came to this end has one
    if upload.state == UploadState.IMPORTED:
        rows = statement.payment_count + statement.refund_count
        counted = ngettext("%(count)d row", "%(count)d rows", rows) % {"count": rows}
        words = _("The bill of %(day)s is imported: %(rows)s, version %(version)d.")
        messages.success(
            request,
            words % {"day": statement.day, "rows": counted, "version": statement.version},
        )
        return
    words = _("This very file is here already, as version %(version)d of %(day)s. Nothing changed.")
    messages.info(request, words % {"version": statement.version, "day": statement.day})


def _to_list(request: MerchantRequest, day: date) -> HttpResponse:
    url = reverse("reconciliation:run_list", args=[request.merchant.slug])
    return redirect(f"{url}?month={day:%Y-%m}")


def _to_bills(request: MerchantRequest, day: date) -> HttpResponse:
    url = reverse("statements:statement_list", args=[request.merchant.slug])
    return redirect(f"{url}?month={day:%Y-%m}")


def _to_run(request: MerchantRequest, *, account_id: int, day: date) -> HttpResponse:
    """To the run that matches the bill as it is now, made if it is missing."""
    bill = current_statement(account_id=account_id, kind=StatementKind.TRADE.value, day=day)
    run = current_run(account_id=account_id, day=day)
    if run is None or run.statement_id != (bill.pk if bill else None):
        run = services.reconcile(
            account_id=account_id,
            day=day,
            run_by=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
        messages.success(request, matched_sentence(run))
    return redirect("reconciliation:run_detail", request.merchant.slug, run.pk)


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def statement_fetch(request: MerchantRequest) -> HttpResponse:
    """Ask the platform for one day's bill now, and match a trade bill. A reload of its answer leads to the form."""
    if request.method != "POST":
        url = reverse("statements:statement_upload", args=[request.merchant.slug])
        return redirect(f"{url}#fetch")
    form = FetchForm(request.POST, accounts=_accounts(), yesterday=_yesterday(), prefix="fetch_")
    if not form.is_valid():
        return _page(request, fetch=form, status=422)
    account_id, day = form.cleaned_data["account"], form.cleaned_data["day"]
    kind: StatementKind = form.cleaned_data["kind"]
    try:
        result = fetch_now(
            account_id=account_id,
            kind=kind,
            day=day,
            actor=request.actor(),
            now=clock.now(),
        )
    except StatementRefused as error:
        form.add_error("day", error.message)
        return _page(request, fetch=form, status=422)
    platform = get_account(account_id).platform
    _tell_fetched(request, result, reason=detail_words(platform, result.detail), day=day)
    if kind is StatementKind.FUND:
        return _to_bills(request, day)
    if result.state in {FetchState.IMPORTED, FetchState.EMPTY}:
        return _to_run(request, account_id=account_id, day=day)
    return _to_list(request, day)


def _tell_fetched(request: MerchantRequest, result: FetchResult, *, reason: str, day: date) -> None:
    if result.state == FetchState.IMPORTED and result.is_new:
        messages.success(request, _("The bill of %(day)s is fetched.") % {"day": day})
    elif result.state == FetchState.IMPORTED:
        words = _(
            "The platform's bill of %(day)s is the one that is here already. Nothing changed."
        )
        messages.info(request, words % {"day": day})
    elif result.state == FetchState.EMPTY:
        words = _("The platform says that there was nothing on %(day)s.")
        messages.info(request, words % {"day": day})
    elif result.state == FetchState.ABSENT:
        words = _("The platform has no bill of %(day)s yet; the portal keeps asking. %(reason)s")
        messages.warning(request, words % {"day": day, "reason": reason})
    elif result.again_at is not None:
        words = _(
            "The bill of %(day)s is made by asking about each payment and refund. Here it says how far that is."
        )
        messages.info(request, words % {"day": day})
    elif result.state == FetchState.WAITING:
        words = _(
            "The bill of %(day)s is not ready yet. Bills come in the morning of the next day; the portal keeps asking."
        )
        messages.warning(request, words % {"day": day})
    else:
        words = _("The bill of %(day)s could not be fetched. %(reason)s")
        messages.error(request, words % {"day": day, "reason": reason})
