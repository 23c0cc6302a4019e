"""Files: choose, see what they will add up to, download."""

from __future__ import annotations

import errno

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import override
from django.views.decorators.http import require_GET

from apps.core import clock
from apps.core.htmx import render_page
from apps.ledger.selectors import Period
from apps.merchants.access import MerchantRequest, merchant_view
from apps.reconciliation.models import DayFile
from apps.reconciliation.services import kept_pieces, record_file_download
from apps.reports import services
from apps.reports.forms import (
    BooksForm,
    ExportForm,
    TransactionFilterForm,
    no_room_words,
    too_many_rows_words,
    too_many_words,
)
from apps.reports.selectors import Sums, TooManyFound, load_names, sum_transactions
from apps.reports.views.transactions import filter_form, query_without

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _forms(request: MerchantRequest) -> tuple[TransactionFilterForm, ExportForm]:
    if "transactions.view" not in request.permissions:
        raise PermissionDenied("transactions.view")
    return filter_form(request, load_names()), ExportForm(ExportForm.completed(request.GET))


def _books_form(request: MerchantRequest) -> BooksForm:
    today = clock.business_date(clock.now(), request.merchant.day_starts_at)
    month = services.month_until(today)
    return BooksForm(request.GET, first=month.first or today, last=month.last or today)


def _render(
    request: MerchantRequest,
    form: TransactionFilterForm,
    how: ExportForm,
    *,
    books: BooksForm | None = None,
    status: int = 200,
) -> HttpResponse:
    sums: Sums | None = None
    if form.is_valid() and how.is_valid() and status == 200:
        try:
            sums = sum_transactions(form.filters())
        except TooManyFound:
            form.add_error("q", too_many_words())
    if form.errors or how.errors:
        status = max(status, 400)
    context = {
        "form": form,
        "how": how,
        "sums": sums,
        "kept": services.kept_export(form.filters(), kind="transactions", **how.cleaned_data)
        if sums
        else None,
        "books": books or _books_form(request),
        "books_asked": books is not None,
        "query": query_without(request, "headers", "encoding").urlencode(),
    }
    return render_page(request, "reports/export.html", context, partial="sums", status=status)


@require_GET
@merchant_view("exports.create")
def export(request: MerchantRequest) -> HttpResponse:
    """Which rows, in which form, and what they add up to before anything is downloaded."""
    form, how = _forms(request)
    return _render(request, form, how)


def _attachment(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _give_kept(request: MerchantRequest, kept: DayFile) -> HttpResponseBase:
    """The file of a closed day as it was written."""
    pieces = kept_pieces(kept)
    record_file_download(file=kept, actor=request.actor(), now=clock.now())
    response = StreamingHttpResponse(pieces, content_type=kept.content_type)
    response["Content-Length"] = str(kept.byte_count)
    return _attachment(response, kept.filename)


@require_GET
@merchant_view("exports.create")
def export_transactions(request: MerchantRequest) -> HttpResponseBase:
    """The rows as CSV, streamed."""
    form, how = _forms(request)
    if not (form.is_valid() and how.is_valid()):
        return _render(request, form, how, status=400)
    now, filters, asked = clock.now(), form.filters(), how.cleaned_data
    kept = services.kept_export(filters, kind="transactions", **asked)
    if kept is not None:
        return _give_kept(request, kept)
    try:
        body = services.export_transactions(
            filters, headers=asked["headers"], encoding=asked["encoding"]
        )
    except TooManyFound:
        form.add_error("q", too_many_words())
        return _render(request, form, how, status=400)
    services.record_download(
        kind="transactions", filters=filters, actor=request.actor(), now=now, **asked
    )
    charset = "gb18030" if asked["encoding"] == "gb18030" else "utf-8"
    response = StreamingHttpResponse(body, content_type=f"text/csv; charset={charset}")
    name = services.file_name(slug=request.merchant.slug, filters=filters, now=now)
    return _attachment(response, name)


@require_GET
@merchant_view("exports.create")
def export_workbook(request: MerchantRequest) -> HttpResponseBase:
    """The rows and what they add up to as an Excel workbook."""
    form, how = _forms(request)
    if not (form.is_valid() and how.is_valid()):
        return _render(request, form, how, status=400)
    now, filters, asked = clock.now(), form.filters(), how.cleaned_data
    with override(services.HEADERS[asked["headers"]] or "en"):
        chosen = form.chosen()
    try:
        file = services.export_workbook(filters, chosen=chosen, headers=asked["headers"], now=now)
    except TooManyFound:
        form.add_error("q", too_many_words())
        return _render(request, form, how, status=400)
    except services.TooManyRows as many:
        how.add_error(None, too_many_rows_words(many.args[0], services.MAX_WORKBOOK_ROWS))
        return _render(request, form, how, status=400)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        how.add_error(None, no_room_words())
        return _render(request, form, how, status=503)
    services.record_download(
        kind="workbook",
        filters=filters,
        headers=asked["headers"],
        encoding="xlsx",
        actor=request.actor(),
        now=now,
    )
    # It closes the file also when nobody reads it.
    response = FileResponse(file, content_type=XLSX)
    name = services.file_name(slug=request.merchant.slug, filters=filters, now=now, ending="xlsx")
    return _attachment(response, name)


@require_GET
@merchant_view("exports.create")
def export_summary(request: MerchantRequest) -> HttpResponseBase:
    """What that file adds up to, as CSV."""
    form, how = _forms(request)
    if not (form.is_valid() and how.is_valid()):
        return _render(request, form, how, status=400)
    now, filters, asked = clock.now(), form.filters(), how.cleaned_data
    kept = services.kept_export(filters, kind="summary", **asked)
    if kept is not None:
        return _give_kept(request, kept)
    try:
        with override(services.HEADERS[asked["headers"]] or "en"):
            chosen = form.chosen()
        body = services.export_summary(filters, chosen=chosen, now=now, **asked)
    except TooManyFound:
        form.add_error("q", too_many_words())
        return _render(request, form, how, status=400)
    services.record_download(
        kind="summary", filters=filters, actor=request.actor(), now=now, **asked
    )
    charset = "gb18030" if asked["encoding"] == "gb18030" else "utf-8"
    name = services.file_name(slug=request.merchant.slug, filters=filters, kind="summary", now=now)
    return _attachment(HttpResponse(body, content_type=f"text/csv; charset={charset}"), name)


@require_GET
@merchant_view("ledger.view")
def export_ledger(request: MerchantRequest) -> HttpResponseBase:
    """The books of a period: postings or trial balance as CSV, or a journal for beancount or hledger."""
    if "exports.create" not in request.permissions:
        raise PermissionDenied("exports.create")
    books = _books_form(request)
    if not books.is_valid():
        form, how = _forms(request)
        return _render(request, form, how, books=books, status=400)
    now, asked = clock.now(), books.cleaned_data
    period = Period(asked["books_from"], asked["books_to"])
    what, how_written = asked["what"], {name: asked[name] for name in ("headers", "encoding")}
    kind = "trial_balance" if what == "trial_balance" else "ledger"
    written_as = "csv" if what == "trial_balance" else what
    if kind == "ledger":
        kept = services.kept_ledger(period, form=written_as, **how_written)
        if kept is not None:
            return _give_kept(request, kept)
    services.record_books_download(
        kind=kind, period=period, form=written_as, actor=request.actor(), now=now
    )
    name = services.books_file_name(
        slug=request.merchant.slug, kind=kind, period=period, form=written_as
    )
    if written_as != "csv":
        body = services.export_ledger(period, form=written_as, now=now)
        content_type = "text/plain; charset=utf-8"
        return _attachment(StreamingHttpResponse(body, content_type=content_type), name)
    charset = "gb18030" if asked["encoding"] == "gb18030" else "utf-8"
    content_type = f"text/csv; charset={charset}"
    if kind == "trial_balance":
        table = services.export_trial_balance(period, **how_written)
        return _attachment(HttpResponse(table, content_type=content_type), name)
    body = services.export_ledger(period, form="csv", now=now, **how_written)
    return _attachment(StreamingHttpResponse(body, content_type=content_type), name)
