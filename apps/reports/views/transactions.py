"""Browsing payments and refunds."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpResponse, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.core import clock, keyset
from apps.core.htmx import render_page, wants_fragment
from apps.merchants.access import MerchantRequest, merchant_view
from apps.reports.forms import TransactionFilterForm, too_many_words
from apps.reports.models import Transaction, TransactionKind
from apps.reports.selectors import (
    PAGE_SIZE,
    PAGE_SIZES,
    Names,
    Sums,
    TooManyFound,
    TransactionFilters,
    list_transactions,
    load_names,
    sum_transactions,
)
from apps.reports.views.rows import rows_of

#: What an address may carry besides filters.
PLACE = ("after", "before", "sum")


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter and the address without it."""

    name: str
    value: str
    remove_url: str


def filter_form(
    request: MerchantRequest, names: Names, *, number_elsewhere: bool = False
) -> TransactionFilterForm:
    """The filters that the address asks for."""
    day_starts_at = request.merchant.day_starts_at
    return TransactionFilterForm(
        request.GET,
        names=names,
        today=clock.business_date(clock.now(), day_starts_at),
        day_starts_at=day_starts_at,
        number_elsewhere=number_elsewhere,
    )


def query_without(request: MerchantRequest, *names: str) -> QueryDict:
    """The address's parameters that say something, without some."""
    query = request.GET.copy()
    for name in list(query):
        if name in names or not str(query[name]).strip():
            del query[name]
    return query


def _chips(request: MerchantRequest, form: TransactionFilterForm) -> list[Chip]:
    chips = []
    for name, label, value in form.chosen():
        gone = ("period", "date_from", "date_to") if name == "period" else (name,)
        query = query_without(request, *PLACE, *gone)
        chips.append(Chip(label, value, f"{request.path}?{query.urlencode()}"))
    return chips


def _size(request: MerchantRequest) -> int:
    text = request.GET.get("size", "")
    return int(text) if text in {str(size) for size in PAGE_SIZES} else PAGE_SIZE


def _address(request: MerchantRequest, name: str, place: str) -> str:
    if not place:
        return ""
    query = query_without(request, *PLACE)
    query[name] = place
    return f"{request.path}?{query.urlencode()}"


def _batch_url(request: MerchantRequest, filters: TransactionFilters) -> str:
    """Where all payments of this view may be refunded together; "" where nothing narrows it, or what does is more than that page knows."""
    more = (filters.q, filters.terminal_id, filters.source)
    payments = filters.kind in {"", TransactionKind.PAYMENT} and filters.state in {"", "paid"}
    if "refunds.batch" not in request.permissions or any(more) or not payments:
        return ""
    yuan = {
        name: None if minor is None else f"{minor // 100}.{minor % 100:02d}"
        for name, minor in (("amount_min", filters.amount_min), ("amount_max", filters.amount_max))
    }
    chosen = {
        "code": filters.code_id,
        "store": filters.store_id,
        "platform": filters.platform,
        "date_from": filters.date_from,
        "date_to": filters.date_to,
        **yuan,
    }
    query = {name: str(value) for name, value in chosen.items() if value not in (None, "")}
    address = reverse("refunds:batch_create", args=[request.merchant.slug])
    return f"{address}?{urlencode(query)}" if query else ""


@require_GET
@merchant_view("transactions.view")
def transaction_list(request: MerchantRequest) -> HttpResponse:
    """Payments and refunds, newest first; the address holds the filters and the place in the list."""
    names = load_names()
    form = filter_form(request, names, number_elsewhere=True)
    page, sums = keyset.Page[Transaction](), None
    filters = TransactionFilters()
    if form.is_valid():
        filters = form.filters()
        try:
            page = list_transactions(
                filters,
                after=request.GET.get("after", ""),
                before=request.GET.get("before", ""),
                size=_size(request),
            )
            if request.GET.get("sum"):
                sums = sum_transactions(filters)
        except TooManyFound:
            form.add_error("q", too_many_words())
    failed = bool(form.errors)
    query = query_without(request, *PLACE)
    sized = query_without(request, *PLACE, "size")
    first_page = not (request.GET.get("after") or request.GET.get("before"))
    context = {
        "form": form,
        "rows": rows_of(page.rows, names),
        "newer": _address(request, "before", page.newer),
        "older": _address(request, "after", page.older),
        "chips": [] if form.errors else _chips(request, form),
        "filtered": filters.active,
        "first_page": first_page,
        "failed": failed,
        "sums": sums,
        "query": query.urlencode(),
        "batch_url": "" if failed else _batch_url(request, filters),
        "sized_query": sized.urlencode(),
        "here": f"{request.path}?{query.urlencode()}" if query else request.path,
        "sizes": PAGE_SIZES,
        "size": _size(request),
        "has_accounts": bool(names.accounts),
        "day_starts_at": request.merchant.day_starts_at,
        "many_stores": len(names.stores) > 1,
    }
    status = 200
    if failed:
        status = 422 if wants_fragment(request) else 400
    return render_page(
        request, "reports/transaction_list.html", context, partial="rows", status=status
    )


@require_GET
@merchant_view("transactions.view")
def transaction_sums(request: MerchantRequest) -> HttpResponse:
    """What the filtered list adds up to; the list's page loads it by itself."""
    form = filter_form(request, load_names())
    sums: Sums | None = None
    if form.is_valid():
        try:
            sums = sum_transactions(form.filters())
        except TooManyFound:
            form.add_error("q", too_many_words())
    context = {
        "sums": sums,
        "form": form,
        "list_url": reverse("reports:transaction_list", args=[request.merchant.slug]),
    }
    return render_page(
        request,
        "reports/transaction_sums.html",
        context,
        partial="sums",
        status=400 if sums is None else 200,
    )
