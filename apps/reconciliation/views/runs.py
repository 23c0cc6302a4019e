"""Days, runs and their differences."""

from __future__ import annotations

from datetime import timedelta
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
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.selectors import list_accounts
from apps.reconciliation import selectors, services
from apps.reconciliation.forms import FilterForm, ResolveForm
from apps.reconciliation.models import (
    Difference,
    DifferenceType,
    ReconciliationRun,
)
from apps.reconciliation.wording import EXPLANATIONS, remark, when
from apps.statements.models import StatementDay
from apps.statements.months import month_after, month_before, read_month
from apps.statements.selectors import days_known, is_asked, list_versions, other_lines


def _chips(request: MerchantRequest, form: FilterForm) -> list[dict[str, str]]:
    chips = []
    for field in form:
        value = form.cleaned_data.get(field.name)
        if value in {"", None}:
            continue
        rest = request.GET.copy()
        rest.pop(field.name, None)
        words = dict(getattr(field.field, "choices", ())).get(value, value)
        chips.append(
            {"name": str(field.label), "value": str(words), "remove_url": f"?{rest.urlencode()}"}
        )
    return chips


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
        "chips": _chips(request, form),
        "any_days": known is not None,
        "month": month,
        "rows": rows,
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


def _entry(row: Difference) -> dict[str, Any]:
    """One difference as the page shows it: the numbers of both sides under one name each."""
    line, refund = row.line, row.refund
    payment = row.payment or (refund.payment if refund else None)
    is_fee = row.type == DifferenceType.FEE
    return {
        "row": row,
        "line": line,
        "when": when(row),
        "remark": remark(row),
        "is_refund": refund is not None or (line is not None and line.kind == "refund"),
        "order_id": payment.order_id if payment else None,
        "order_no": payment.order_no if payment else (line.order_no if line else ""),
        "trade_no": (line.platform_trade_no if line else "")
        or (payment.platform_trade_no if payment else ""),
        "refund_no": refund.refund_no if refund else (line.refund_no if line else ""),
        "platform_refund_no": (line.platform_refund_no if line else "")
        or (refund.platform_refund_no if refund else ""),
        "gap": (row.their_minor or 0) - (row.our_minor or 0) if is_fee else row.gap_minor,
    }


def _groups(run: ReconciliationRun, chosen: DifferenceType | None) -> list[dict[str, Any]]:
    firsts = {} if chosen else selectors.first_differences(run)
    groups = []
    for total in selectors.sum_types(run):
        if chosen is not None and total.type is not chosen:
            continue
        rows = firsts.get(total.type.value, [])
        groups.append(
            {
                "total": total,
                "words": EXPLANATIONS[total.type],
                "entries": [_entry(row) for row in rows],
                "more": total.count - len(rows),
            }
        )
    return groups


@merchant_view("reconciliation.view")
@require_safe
def run_detail(request: MerchantRequest, run_id: int) -> HttpResponse:
    """One run: the equation, what matches, each difference with its explanation, and the bill behind it."""
    run = _run_or_404(run_id)
    kind = request.GET.get("type", "")
    chosen = DifferenceType(kind) if kind in DifferenceType.values else None
    sums = selectors.sum_types(run)
    groups = _groups(run, chosen)
    page = None
    if chosen is not None and groups:
        page = selectors.page_differences(
            run,
            chosen,
            after=keyset.decode_id(request.GET.get("after", "")),
            before=keyset.decode_id(request.GET.get("before", "")),
        )
        groups[0] |= {"entries": [_entry(row) for row in page.rows], "more": 0}
    gap = run.their_net_minor - run.our_net_minor
    context: dict[str, Any] = {
        "run": run,
        "latest": None
        if run.is_current
        else selectors.current_run(account_id=run.account_id, day=run.day),
        "expected": selectors.expected_day(run),
        "chosen": chosen,
        "sums": sums,
        "groups": groups,
        "page": page,
        "gap": gap,
        "rest": gap - sum(total.gap_minor for total in sums),
        "open_count": sum(total.open_count for total in sums),
        "versions": list_versions(account_id=run.account_id, day=run.day),
        "others": other_lines(run.statement) if run.statement else [],
        "form": ResolveForm(),
        "is_asked": is_asked(run.account.platform),
    }
    return render_page(request, "reconciliation/run_detail.html", context)


@merchant_view("reconciliation.manage")
@require_POST
def day_match(request: MerchantRequest, day_id: int) -> HttpResponse:
    """Match a day again, now."""
    expected = StatementDay.objects.filter(pk=day_id).first()
    if expected is None:
        raise Http404
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


def _difference_or_404(difference_id: int) -> Difference:
    try:
        return selectors.get_difference(difference_id)
    except Difference.DoesNotExist as error:
        raise Http404 from error


def _back(request: MerchantRequest, difference: Difference) -> HttpResponse:
    """To the same row of the page that the person came from."""
    url = reverse("reconciliation:run_detail", args=[request.merchant.slug, difference.run_id])
    place = {}
    if request.POST.get("type", "") in DifferenceType.values:
        place["type"] = request.POST["type"]
        after = request.POST.get("after", "")
        if after.isascii() and after.isdecimal():
            place["after"] = after
    return redirect(f"{url}{'?' if place else ''}{urlencode(place)}#d-{difference.pk}")


@merchant_view("reconciliation.manage")
@require_POST
def difference_resolve(request: MerchantRequest, difference_id: int) -> HttpResponse:
    """A person says what became of a difference."""
    difference = _difference_or_404(difference_id)
    form = ResolveForm(request.POST)
    if not form.is_valid():
        messages.error(request, str(form.errors["note"][0]))
        return _back(request, difference)
    services.resolve_difference(
        difference_id=difference.pk,
        note=form.cleaned_data["note"],
        member=request.member,
        actor=request.actor(),
        now=clock.now(),
    )
    messages.success(
        request, _("Noted. It no longer counts as open; the amounts stay as they are.")
    )
    return _back(request, difference)


@merchant_view("reconciliation.manage")
@require_POST
def difference_reopen(request: MerchantRequest, difference_id: int) -> HttpResponse:
    """Take a resolution back."""
    difference = _difference_or_404(difference_id)
    services.reopen_difference(difference_id=difference.pk, actor=request.actor(), now=clock.now())
    messages.success(request, _("Open again."))
    return _back(request, difference)
