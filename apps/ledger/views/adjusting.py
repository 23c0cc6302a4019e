"""Asking for an adjustment, undoing one, withdrawing one that waits."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from apps.approvals.selectors import members_who_may
from apps.core import clock
from apps.core.doors import new_token
from apps.core.fields import is_too_long
from apps.core.money import Money
from apps.core.papers import PaperRefused
from apps.ledger.forms import (
    LINES,
    MOST_LINES,
    AdjustmentForm,
    BaseLines,
    LineFormSet,
    ReverseForm,
)
from apps.ledger.models import Adjustment, AdjustmentState
from apps.ledger.selectors import (
    current_limit,
    lines_of,
    list_plan,
    list_reasons,
    reason_words,
)
from apps.ledger.services import (
    ADJUST_PERMISSION,
    HandedIn,
    NoOpenDay,
    NotReversible,
    NotWaiting,
    cancel_adjustment,
    post_adjustment,
    reverse_adjustment,
)
from apps.ledger.services.papers import MOST_BYTES, MOST_PAPERS
from apps.ledger.subjects import owner_names
from apps.ledger.views.adjustments import adjustment_or_404
from apps.merchants.access import MerchantRequest, merchant_view


def _moment(request: MerchantRequest, day: date, now: datetime) -> datetime:
    """An instant of the business day: now, or the day's last second."""
    starts = request.merchant.day_starts_at
    if day == clock.business_date(now, starts):
        return now
    return clock.business_period(day, starts)[1] - timedelta(seconds=1)


def _accounts() -> list[tuple[str, str]]:
    rows = list_plan()
    owners = owner_names(row.purpose for row in rows)
    found = []
    for row in rows:
        owner = owners.get((row.purpose, row.subject_id), "")
        words = f"{row.code} {row.name}"
        found.append((row.key, f"{words} · {owner}" if owner else words))
    return found


def _more_lines(request: MerchantRequest) -> Any:
    """What was typed, with four lines more, not yet judged."""
    data = request.POST.copy()
    total = data.get("lines-TOTAL_FORMS", "")
    count = int(total) if total.isascii() and total.isdecimal() and len(total) < 4 else LINES
    data["lines-TOTAL_FORMS"] = str(min(count + LINES, MOST_LINES))
    return data


def _say(request: MerchantRequest, adjustment: Adjustment) -> None:
    if adjustment.state == AdjustmentState.WAITING:
        messages.success(request, _("Asked for. Another member must confirm before it is posted."))
    else:
        messages.success(request, _("The adjustment is posted."))


def _nobody_else(request: MerchantRequest) -> bool:
    return not members_who_may(
        permission=ADJUST_PERMISSION, store_id=None, besides=request.member.pk
    )


def _no_open_day() -> str:
    return _("No business day from that one on is open.")


# A body is read as soon as the CSRF check looks for its token, so its length is judged before.
@csrf_exempt
@merchant_view("ledger.adjust")
@require_http_methods(["GET", "HEAD", "POST"])
def adjustment_create(request: MerchantRequest) -> HttpResponse:
    """Book by hand: a reason, a memo, lines that balance, the papers that show why."""
    if is_too_long(request, limit=MOST_PAPERS * MOST_BYTES):
        words = _("The files are too large together: %(most)d MB each, %(count)d at most.")
        size = {"most": MOST_BYTES // (1024 * 1024), "count": MOST_PAPERS}
        # Nothing of the body was read, so nothing that was typed can be shown again.
        messages.error(request, words % size)
        return redirect("ledger:adjustment_create", request.merchant.slug)
    return _create(request)


@csrf_protect
def _create(request: MerchantRequest) -> HttpResponse:
    now = clock.now()
    today = clock.business_date(now, request.merchant.day_starts_at)
    options: dict[str, Any] = {
        "prefix": "lines",
        "form_kwargs": {"accounts": _accounts()},
    }
    reasons = list_reasons()
    more = request.method == "POST" and "more" in request.POST
    lines: BaseLines
    if request.method == "POST":
        data = _more_lines(request) if more else request.POST
        form = AdjustmentForm(data, request.FILES, today=today, initial={}, reasons=reasons)
        lines = LineFormSet(data, **options)
    else:
        form = AdjustmentForm(today=today, initial={"key": new_token(16)}, reasons=reasons)
        lines = LineFormSet(**options)
    # Both are asked, so that all that is wrong is said at once.
    if request.method == "POST" and not more and all([form.is_valid(), lines.is_valid()]):
        asked = form.cleaned_data
        try:
            adjustment = post_adjustment(
                reason=asked["reason"],
                papers=[HandedIn(file.name or "", file.read()) for file in asked["papers"]],
                memo=asked["memo"],
                lines=lines.lines(),
                at=_moment(request, asked["day"], now),
                member=request.member,
                actor=request.actor(),
                now=now,
                key=f"{request.member.pk}.{asked['key']}"[:40],
            )
        except NoOpenDay:
            form.add_error("day", _no_open_day())
        except PaperRefused as refused:
            form.add_error("papers", refused.message)
        else:
            _say(request, adjustment)
            return redirect("ledger:adjustment_detail", request.merchant.slug, adjustment.pk)
    wrong = request.method == "POST" and not more
    rule = current_limit()
    context = {
        "form": form,
        "lines": lines,
        "judged": wrong,
        "limit": Money(rule.limit_minor),
        "nobody_else": _nobody_else(request),
        "may_limit": "rules.manage" in request.permissions,
    }
    return render(request, "ledger/adjustment_create.html", context, status=422 if wrong else 200)


@merchant_view("ledger.adjust")
@require_http_methods(["GET", "HEAD", "POST"])
def adjustment_reverse(request: MerchantRequest, adjustment_id: int) -> HttpResponse:
    """Undo a posted adjustment by another with the sides exchanged."""
    adjustment = adjustment_or_404(adjustment_id)
    initial = {"memo": _("Undoes: %(memo)s") % {"memo": adjustment.memo}}
    initial["memo"] = initial["memo"][:160]
    form = ReverseForm(request.POST if request.method == "POST" else None, initial=initial)
    words = {
        "not_posted": _("Only a posted adjustment can be undone."),
        "is_reversal": _("This one undoes another already. Make a new adjustment instead."),
        "reversed": _("It is undone already, or that waits for confirmation."),
    }
    if request.method == "POST" and form.is_valid():
        try:
            made = reverse_adjustment(
                adjustment_id=adjustment.pk,
                memo=form.cleaned_data["memo"],
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except NotReversible as refused:
            messages.info(request, words[refused.reason])
        except NoOpenDay:
            messages.error(request, _no_open_day())
        else:
            _say(request, made)
            return redirect("ledger:adjustment_detail", request.merchant.slug, made.pk)
        return redirect("ledger:adjustment_detail", request.merchant.slug, adjustment.pk)
    context = {
        "adjustment": adjustment,
        "form": form,
        # Debits first: those that were credits.
        "lines": [(line, -line.amount_minor) for line in reversed(lines_of(adjustment))],
        "waits": adjustment.amount_minor > current_limit().limit_minor,
        "nobody_else": _nobody_else(request),
    }
    status = 422 if form.errors else 200
    return render(request, "ledger/adjustment_reverse.html", context, status=status)


@merchant_view("ledger.adjust")
@require_http_methods(["GET", "HEAD", "POST"])
def adjustment_withdraw(request: MerchantRequest, adjustment_id: int) -> HttpResponse:
    """Confirm that an adjustment which still waits is withdrawn."""
    adjustment = adjustment_or_404(adjustment_id)
    detail = redirect("ledger:adjustment_detail", request.merchant.slug, adjustment.pk)
    if request.method != "POST" and adjustment.state == AdjustmentState.WAITING:
        facts = [
            (_("Kind of reason"), reason_words(adjustment.reason)),
            (_("Memo"), adjustment.memo),
        ]
        context = {"adjustment": adjustment, "facts": facts}
        return render(request, "ledger/adjustment_withdraw.html", context)
    try:
        if request.method != "POST":
            raise NotWaiting
        cancel_adjustment(adjustment_id=adjustment.pk, actor=request.actor(), now=clock.now())
    except NotWaiting:
        messages.info(request, _("This adjustment no longer waits, so it cannot be withdrawn."))
    else:
        messages.success(request, _("The adjustment is withdrawn. Nothing was posted."))
    return detail
