"""Files: choose, see what they will add up to, download."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import override
from django.views.decorators.http import require_GET

from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.reports import services
from apps.reports.forms import ExportForm, TransactionFilterForm, too_many_words
from apps.reports.selectors import Sums, TooManyFound, load_names, sum_transactions
from apps.reports.views.transactions import filter_form, query_without


def _forms(request: MerchantRequest) -> tuple[TransactionFilterForm, ExportForm]:
    if "transactions.view" not in request.permissions:
        raise PermissionDenied("transactions.view")
    return filter_form(request, load_names()), ExportForm(ExportForm.completed(request.GET))


def _render(
    request: MerchantRequest, form: TransactionFilterForm, how: ExportForm, *, status: int = 200
) -> HttpResponse:
    sums: Sums | None = None
    if form.is_valid() and how.is_valid() and status == 200:
        try:
            sums = sum_transactions(form.filters())
        except TooManyFound:
            form.add_error("q", too_many_words())
    if form.errors or how.errors:
        status = 400
    context = {
        "form": form,
        "how": how,
        "sums": sums,
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


@require_GET
@merchant_view("exports.create")
def export_transactions(request: MerchantRequest) -> HttpResponseBase:
    """The rows as CSV, streamed."""
    form, how = _forms(request)
    if not (form.is_valid() and how.is_valid()):
        return _render(request, form, how, status=400)
    now, filters, asked = clock.now(), form.filters(), how.cleaned_data
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
def export_summary(request: MerchantRequest) -> HttpResponseBase:
    """What that file adds up to, as CSV."""
    form, how = _forms(request)
    if not (form.is_valid() and how.is_valid()):
        return _render(request, form, how, status=400)
    now, filters, asked = clock.now(), form.filters(), how.cleaned_data
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
