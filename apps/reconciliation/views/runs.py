"""Days, runs and their differences."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from apps.core import clock, keyset
from apps.core.htmx import render_page
from apps.core.templatetags.portal import china_time
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.selectors import list_accounts
from apps.reconciliation import selectors, services
from apps.reconciliation.acts import BULK_KINDS, event_of, refusal_words
from apps.reconciliation.forms import DifferencesForm, FilterForm, ResolveForm
from apps.reconciliation.models import (
    Difference,
    DifferenceState,
    DifferenceType,
    ReconciliationRun,
    ResolutionKind,
)
from apps.reconciliation.views.chips import chips_of
from apps.reconciliation.views.entries import difference_or_404, entry_of
from apps.reconciliation.wording import EXPLANATIONS, TERM_WORDS
from apps.statements.models import StatementDay
from apps.statements.months import month_after, month_before, read_month
from apps.statements.selectors import (
    days_known,
    get_statement_day,
    is_asked,
    list_versions,
    other_lines,
)


@merchant_view("reconciliation.view")
@require_safe
def run_list(request: MerchantRequest) -> HttpResponse:
    """Days by account, newest first, a month a page."""
    now = clock.now()
    accounts = list(list_accounts().defer("credentials_sealed"))
    form = FilterForm(request.GET, accounts=accounts)
    # An address typed by hand may name what does not exist: such a filter is left out, the rest holds.
    form.is_valid()
    known = days_known()
    monday = date(2024, 1, 1)
    yesterday = clock.business_date(now) - timedelta(days=1)
    month = read_month(
        request.GET.get("month", ""), default=min(known[1], yesterday) if known else yesterday
    )
    rows = (
        selectors.list_month(
            month=month,
            account_id=form.cleaned_data.get("account"),
            show=form.cleaned_data.get("show", ""),
        )
        if known
        else []
    )
    context: dict[str, Any] = {
        "form": form,
        "accounts": accounts,
        "chips": chips_of(request, form),
        "any_days": known is not None,
        "month": month,
        "rows": rows,
        "weeks": selectors.list_calendar(month=month, now=now) if known else [],
        "weekdays": [monday + timedelta(days=place) for place in range(7)],
        "matched_count": sum(row.run.matched_count for row in rows if row.run),
        "matched_net": sum(row.matched_net_minor for row in rows),
        "open_count": sum(row.open_count for row in rows),
        "gap": sum(row.gap_minor for row in rows),
        "newer": month_after(month) if known and month < known[1].replace(day=1) else None,
        "older": month_before(month) if known and month > known[0] else None,
        "now": now,
        "yesterday": yesterday,
    }
    return render_page(request, "reconciliation/run_list.html", context, partial="days")


def _run_or_404(run_id: int) -> ReconciliationRun:
    try:
        return selectors.get_run(run_id)
    except ReconciliationRun.DoesNotExist as error:
        raise Http404 from error


def _groups(
    run: ReconciliationRun, chosen: selectors.DifferenceFilter, now: datetime
) -> list[dict[str, Any]]:
    firsts = {} if chosen.type else selectors.first_differences(run, chosen)
    groups = []
    for total in selectors.sum_types(run, chosen):
        rows = firsts.get(total.type.value, [])
        groups.append(
            {
                "total": total,
                "words": EXPLANATIONS[total.type],
                "entries": [entry_of(row, now) for row in rows],
                "more": total.count - len(rows),
            }
        )
    return groups


def run_filter(form: DifferencesForm, now: datetime) -> selectors.DifferenceFilter:
    """What the form asks for; a value typed by hand that does not exist asks for nothing."""
    form.is_valid()
    given = form.cleaned_data
    return selectors.DifferenceFilter(
        type=DifferenceType(given["type"]) if given.get("type") else None,
        state=DifferenceState(given["state"]) if given.get("state") else None,
        seen_before=now - timedelta(days=given["age"]) if given.get("age") else None,
    )


def _equation(run: ReconciliationRun) -> dict[str, Any] | None:
    """The equation for the page: terms in words, those of zero left out but for the usual four."""
    equation = selectors.explain(run)
    if equation is None:
        return None
    usual = {"sales", "refunds", "fees", "differences"}
    terms = [
        {"term": term, "words": TERM_WORDS[term.name]}
        for term in equation.terms
        if term.amount_minor or term.name in usual
    ]
    return {
        "bill": {"term": equation.bill, "words": TERM_WORDS[equation.bill.name]},
        "terms": terms,
        "rest": equation.rest_minor,
    }


@merchant_view("reconciliation.view")
@require_safe
def run_detail(request: MerchantRequest, run_id: int) -> HttpResponse:
    """One run: the equation, what matches, each difference with its explanation, and the bill behind it."""
    run = _run_or_404(run_id)
    now = clock.now()
    form = DifferencesForm(request.GET)
    chosen = run_filter(form, now)
    sums = selectors.sum_types(run)
    groups = _groups(run, chosen, now)
    page = None
    if chosen.type is not None and groups:
        page = selectors.page_differences(
            run,
            chosen,
            after=keyset.decode_id(request.GET.get("after", "")),
            before=keyset.decode_id(request.GET.get("before", "")),
        )
        groups[0] |= {"entries": [entry_of(row, now) for row in page.rows], "more": 0}
    context: dict[str, Any] = {
        "run": run,
        "latest": None
        if run.is_current
        else selectors.current_run(account_id=run.account_id, day=run.day),
        "expected": selectors.expected_day(run),
        "filters": form,
        "chips": chips_of(request, form),
        "chosen": chosen.type,
        "is_narrow": chosen.is_narrow or chosen.type is not None,
        "sums": sums,
        "groups": groups,
        "page": page,
        "gap": run.their_net_minor - run.our_net_minor,
        "equation": _equation(run),
        "open_count": sum(total.open_count for total in sums),
        "shown_open": sum(group["total"].open_count for group in groups),
        "versions": list_versions(account_id=run.account_id, day=run.day),
        "gone": [event_of(row) for row in selectors.gone_resolutions(run)],
        "bulk_kinds": BULK_KINDS,
        "others": other_lines(run.statement) if run.statement else [],
        "form": ResolveForm(),
        "is_asked": is_asked(run.account.platform),
    }
    return render_page(request, "reconciliation/run_detail.html", context)


@merchant_view("reconciliation.view")
@require_safe
def run_term(request: MerchantRequest, run_id: int) -> HttpResponse:
    """The rows of one term of the equation, a page at a time. ``?term=`` names it; the bill's net where none is named."""
    run = _run_or_404(run_id)
    equation = selectors.explain(run)
    if equation is None:
        return redirect("reconciliation:run_detail", request.merchant.slug, run.pk)
    term = selectors.find_term(equation, request.GET.get("term", "bill"))
    if term is None:
        raise Http404
    page = term.page(after=request.GET.get("after", ""))
    context: dict[str, Any] = {
        "run": run,
        "term": term,
        "words": TERM_WORDS[term.name],
        "page": page,
        "rows": [_term_row(row) for row in page.rows],
    }
    return render_page(request, "reconciliation/run_term.html", context)


def _term_row(row: selectors.TermRow) -> dict[str, Any]:
    """A term's row as the page shows it."""
    holder = row.match or row.difference
    line = row.line or (holder.line if holder else None)
    refund = holder.refund if holder else None
    payment = (holder.payment if holder else None) or (refund.payment if refund else None)
    is_refund = refund is not None or (line is not None and line.kind == "refund")
    return {
        "part": row.part_minor,
        "is_refund": is_refund,
        "when": china_time(
            line.occurred_at
            if line is not None
            else (refund.accepted_at if refund else payment.paid_at if payment else None)
        ),
        "number": (line.refund_no if line else "")
        or (refund.refund_no if refund else "")
        or (payment.order_no if payment else "")
        or (line.order_no if line else ""),
        "trade_no": (line.platform_trade_no if line else "")
        or (payment.platform_trade_no if payment else ""),
        "order_id": payment.order_id if payment else None,
        "match": row.match,
        "difference": row.difference,
    }


@merchant_view("reconciliation.manage")
@require_POST
def day_match(request: MerchantRequest, day_id: int) -> HttpResponse:
    """Match a day again, now."""
    try:
        expected = get_statement_day(day_id)
    except StatementDay.DoesNotExist as error:
        raise Http404 from error
    try:
        run = services.reconcile(
            account_id=expected.account_id,
            day=expected.day,
            run_by=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except services.NothingToReconcile as error:
        messages.error(request, error.message)
        month = f"{expected.day:%Y-%m}"
        return redirect(
            f"{reverse('reconciliation:run_list', args=[request.merchant.slug])}?month={month}"
        )
    messages.success(request, matched_sentence(run))
    return redirect("reconciliation:run_detail", request.merchant.slug, run.pk)


def matched_sentence(run: ReconciliationRun) -> str:
    """What a matching came to."""
    matched = ngettext("%(count)d row matches", "%(count)d rows match", run.matched_count) % {
        "count": run.matched_count
    }
    if not run.difference_count:
        return _("%(matched)s. No differences.") % {"matched": matched}
    differences = ngettext(
        "%(count)d difference", "%(count)d differences", run.difference_count
    ) % {"count": run.difference_count}
    return _("%(matched)s, %(differences)s.") % {"matched": matched, "differences": differences}


def _back(request: MerchantRequest, difference: Difference) -> HttpResponse:
    """To the same row of the page that the person came from."""
    url = reverse("reconciliation:run_detail", args=[request.merchant.slug, difference.run_id])
    form = DifferencesForm(request.POST)
    form.is_valid()
    place = {name: value for name, value in form.cleaned_data.items() if value}
    after = request.POST.get("after", "")
    if "type" in place and after.isascii() and after.isdecimal():
        place["after"] = after
    return redirect(f"{url}{'?' if place else ''}{urlencode(place)}#d-{difference.pk}")


@merchant_view("reconciliation.manage")
@require_POST
def difference_resolve(request: MerchantRequest, difference_id: int) -> HttpResponse:
    """A person says what became of a difference."""
    difference = difference_or_404(difference_id)
    form = ResolveForm(request.POST)
    if not form.is_valid():
        messages.error(request, str(form.errors["note"][0]))
        return _back(request, difference)
    try:
        services.resolve_difference(
            difference_id=difference.pk,
            act=services.Act(kind=ResolutionKind.KEEP, reason=form.cleaned_data["note"]),
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except services.CannotResolve as error:
        messages.error(request, refusal_words(error))
    else:
        messages.success(
            request, _("Noted. It no longer counts as open; the amounts stay as they are.")
        )
    return _back(request, difference)
