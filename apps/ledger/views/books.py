"""Looking at the books: trial balance, one account, the journal, one entry."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.htmx import render_page, wants_fragment
from apps.ledger.forms import JournalForm, PeriodForm
from apps.ledger.models import Account, JournalEntry
from apps.ledger.selectors import (
    AccountPage,
    JournalFilters,
    JournalPage,
    Period,
    TrialBalance,
    get_account,
    get_entry,
    has_entries,
    page_account,
    page_entries,
    period_balances,
)
from apps.ledger.subjects import kind_words, links_of, owner_names
from apps.merchants.access import MerchantRequest, merchant_view


def period_words(period: Period) -> str:
    """A period in words, for headings and paper."""
    if period.first is None and period.last is None:
        return _("From the beginning")
    if period.first is None:
        return _("Until %(last)s") % {"last": period.last}
    if period.last is None:
        return _("From %(first)s on") % {"first": period.first}
    if period.first == period.last:
        return str(period.first)
    return _("%(first)s to %(last)s") % {"first": period.first, "last": period.last}


def _status(request: MerchantRequest, form: PeriodForm) -> int:
    if form.is_valid():
        return 200
    return 422 if wants_fragment(request) else 400


def _today(request: MerchantRequest) -> Any:
    return clock.business_date(clock.now(), request.merchant.day_starts_at)


@merchant_view("ledger.view")
@require_safe
def trial_balance(request: MerchantRequest) -> HttpResponse:
    """All accounts over a period: opening, debit, credit, closing, and whether it balances."""
    form = PeriodForm(request.GET, today=_today(request))
    balance = TrialBalance(Period(), [])
    words = ""
    if form.is_valid():
        balance = period_balances(form.value)
        words = period_words(form.value)
    owners = owner_names(row.account.purpose for row in balance)
    context = {
        "form": form,
        "balance": balance,
        "rows": [
            (row, owners.get((row.account.purpose, row.account.subject_id), "")) for row in balance
        ],
        "words": words,
        "query": urlencode(form.query),
        "days": urlencode(
            {
                name: value
                for name in ("date_from", "date_to")
                if form.is_valid() and (value := form.cleaned_data[name])
            }
        ),
        "any_entries": bool(balance.debit or balance.rows) or has_entries(),
        "made_at": clock.now(),
    }
    status = _status(request, form)
    return render_page(
        request, "ledger/trial_balance.html", context, partial="balance", status=status
    )


@merchant_view("ledger.view")
@require_safe
def account_detail(request: MerchantRequest, ledger_account_id: int) -> HttpResponse:
    """One account's postings of a period, oldest first, each with the balance after it."""
    try:
        account = get_account(ledger_account_id)
    except Account.DoesNotExist as error:
        raise Http404 from error
    form = PeriodForm(request.GET, today=_today(request))
    page, sums = AccountPage(), None
    if form.is_valid():
        sums = period_balances(form.value, account_id=account.pk).rows[0]
        page = page_account(
            account.pk,
            form.value,
            after=request.GET.get("after", ""),
            before=request.GET.get("before", ""),
        )
    links = links_of(
        ((row.subject_kind, row.subject_id) for row in page.rows), slug=request.merchant.slug
    )
    owners = owner_names([account.purpose])
    context = {
        "account": account,
        "owner": owners.get((account.purpose, account.subject_id), ""),
        "form": form,
        "sums": sums,
        "page": page,
        "rows": [
            (row, kind_words(row.subject_kind), links.get((row.subject_kind, row.subject_id)))
            for row in page.rows
        ],
        "words": period_words(form.value) if form.is_valid() else "",
        "query": urlencode(form.query),
        "first_page": not page.earlier,
        "last_page": not page.later,
    }
    status = _status(request, form)
    return render_page(
        request, "ledger/account_detail.html", context, partial="postings", status=status
    )


@merchant_view("ledger.view")
@require_safe
def entry_list(request: MerchantRequest) -> HttpResponse:
    """The journal: entries with their postings, newest first."""
    form = JournalForm(request.GET, today=_today(request))
    page = JournalPage()
    if form.is_valid():
        page = page_entries(
            JournalFilters(form.value, form.cleaned_data["kind"]),
            after=request.GET.get("after", ""),
            before=request.GET.get("before", ""),
        )
    links = links_of(
        ((row.entry.subject_kind, row.entry.subject_id) for row in page.rows),
        slug=request.merchant.slug,
    )
    context = {
        "form": form,
        "page": page,
        "rows": [
            (
                row,
                kind_words(row.entry.subject_kind),
                links.get((row.entry.subject_kind, row.entry.subject_id)),
            )
            for row in page.rows
        ],
        "any_entries": bool(page.rows) or has_entries(),
        "words": period_words(form.value) if form.is_valid() else "",
    }
    status = _status(request, form)
    return render_page(request, "ledger/entry_list.html", context, partial="entries", status=status)


@merchant_view("ledger.view")
@require_safe
def entry_detail(request: MerchantRequest, entry_id: int) -> HttpResponse:
    """One entry: what it is about and what it moved."""
    try:
        row = get_entry(entry_id)
    except JournalEntry.DoesNotExist as error:
        raise Http404 from error
    subject = (row.entry.subject_kind, row.entry.subject_id)
    links = links_of([subject], slug=request.merchant.slug)
    owners = owner_names(posting.account.purpose for posting in row.postings)
    context = {
        "row": row,
        "entry": row.entry,
        "kind": kind_words(row.entry.subject_kind),
        "link": links.get(subject),
        "postings": [
            (posting, owners.get((posting.account.purpose, posting.account.subject_id), ""))
            for posting in row.postings
        ],
    }
    return render_page(request, "ledger/entry_detail.html", context)
