"""Business days: the list, one day with its checklist, closing it, opening it again, its files."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.approvals.selectors import members_who_may
from apps.core import clock
from apps.core.encryption import CannotOpen
from apps.core.htmx import render_page
from apps.ledger.services import DayClosed
from apps.merchants.access import MerchantRequest, merchant_view
from apps.reconciliation import selectors, services
from apps.reconciliation.close_wording import day_words, described, told
from apps.reconciliation.day_files import label_of
from apps.reconciliation.forms import CloseForm, ReopenForm
from apps.reconciliation.models import DayFile, DayReopening, ReopeningState
from apps.statements.months import month_after, month_before, read_month


def _today(request: MerchantRequest) -> date:
    return clock.business_date(clock.now(), request.merchant.day_starts_at)


def _day_or_404(request: MerchantRequest, text: str) -> date:
    """The business day of an address: not before the year 2000, not after today."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Http404 from error
    if text != day.isoformat() or not clock.EARLIEST <= day <= _today(request):
        raise Http404
    return day


def _closing(closing: selectors.Closing) -> dict[str, Any]:
    """One version of a closing as the page shows it."""
    return {
        "closing": closing,
        "close": closing.close,
        "checklist": told(closing.close.checklist),
        "files": [{"file": file, "label": label_of(file.name)} for file in closing.files],
        "reopened": next(
            (row for row in closing.reopenings if row.state == ReopeningState.DONE), None
        ),
        "refused": [
            row
            for row in closing.reopenings
            if row.state in (ReopeningState.REJECTED, ReopeningState.CANCELLED)
        ],
    }


def _approvers(request: MerchantRequest, *, besides: int) -> list[str]:
    members = members_who_may(permission=services.REOPEN_PERMISSION, store_id=None, besides=besides)
    return [member.user.display_name for member in members]


@merchant_view("reconciliation.view")
@require_safe
def close_list(request: MerchantRequest) -> HttpResponse:
    """Business days, newest first, a month a page."""
    today = _today(request)
    month = read_month(request.GET.get("month", ""), default=today)
    rows = selectors.list_business_days(since=month, until=month_after(month))
    first = selectors.first_business_day()
    context = {
        "month": month,
        "rows": rows,
        "any_days": first is not None,
        "newer": month_after(month) if month < today.replace(day=1) else None,
        "older": month_before(month) if first is not None and month > first else None,
        "today": today,
        "net": sum(row.net_minor for row in rows),
        "payment_count": sum(row.payment_count for row in rows),
        "payment_minor": sum(row.payment_minor for row in rows),
        "refund_minor": sum(row.refund_minor for row in rows),
        "refund_count": sum(row.refund_count for row in rows),
        "open_count": sum(not row.is_closed and row.day < today for row in rows),
    }
    return render_page(request, "reconciliation/close_list.html", context)


@merchant_view("reconciliation.view")
@require_safe
def day_detail(request: MerchantRequest, day: str) -> HttpResponse:
    """One business day: what it holds, its checklist while it is open, its closings and their files."""
    which = _day_or_404(request, day)
    page = selectors.day_page(which)
    current = page.current
    found = None
    if not page.row.is_closed:
        found = selectors.check_day(
            which, day_starts_at=request.merchant.day_starts_at, now=clock.now()
        )
    waiting = current.waiting if current else None
    mine = waiting is not None and waiting.requested_by_id == request.member.pk
    context: dict[str, Any] = {
        "day": which,
        "list_url": f"{reverse('reconciliation:close_list', args=[request.merchant.slug])}?month={which:%Y-%m}",
        "state": "closed" if current else "reopened" if page.row.version else "open",
        "day_words": day_words(request.merchant.day_starts_at),
        "sums": current.close if current else found.sums if found else None,
        "found": found,
        "checklist": described(found, request) if found else [],
        "current": _closing(current) if current else None,
        "earlier": [_closing(row) for row in page.closings if row is not current],
        "waiting": waiting,
        "approvers": _approvers(request, besides=waiting.requested_by_id) if waiting else [],
        "may_decide": waiting is not None
        and not mine
        and services.REOPEN_PERMISSION in request.permissions,
    }
    return render_page(request, "reconciliation/day_detail.html", context, partial="files")


def _close_page(
    request: MerchantRequest,
    found: selectors.Checklist,
    form: CloseForm,
    *,
    status: int = 200,
) -> HttpResponse:
    rows = described(found, request)
    context = {
        "day": found.day,
        "found": found,
        "form": form,
        "blocking": [row for row in rows if row["check"] in found.blocking],
        "warnings": [
            row
            | {
                "tick": form[f"tick_{check.item}"],
                "reason": form[f"reason_{check.item}"],
                "seen": form[f"count_{check.item}"],
            }
            for row, check in zip(rows, found.checks, strict=True)
            if check in found.warnings
        ],
    }
    return render_page(request, "reconciliation/day_close.html", context, status=status)


@merchant_view("days.close")
@require_http_methods(["GET", "HEAD", "POST"])
def day_close(request: MerchantRequest, day: str) -> HttpResponse:
    """Close the day: what it comes to, what is still in the way, what must be accepted."""
    which = _day_or_404(request, day)
    now = clock.now()
    found = selectors.check_day(which, day_starts_at=request.merchant.day_starts_at, now=now)
    if request.method != "POST":
        if selectors.day_page(which).row.is_closed:
            return redirect("reconciliation:day_detail", request.merchant.slug, day)
        return _close_page(request, found, CloseForm(warnings=found.warnings))
    form = CloseForm(request.POST, warnings=found.warnings)
    if not form.is_valid():
        return _close_page(request, found, form, status=422)
    try:
        close = services.close_day(
            day=which,
            ticks=form.ticks(),
            member=request.member,
            actor=request.actor(),
            now=now,
        )
    except DayClosed:
        messages.info(request, _("The day is closed already."))
        return redirect("reconciliation:day_detail", request.merchant.slug, day)
    except services.NotReady:
        # Something moved since the page was shown; it is shown as it is now, to be looked at again.
        messages.error(
            request, _("The day is not closed: something changed meanwhile. Please look again.")
        )
        found = selectors.check_day(which, day_starts_at=request.merchant.day_starts_at, now=now)
        return _close_page(request, found, CloseForm(warnings=found.warnings), status=409)
    messages.success(
        request,
        _("%(day)s is closed, version %(version)d. Its files are being written.")
        % {"day": day, "version": close.version},
    )
    return redirect("reconciliation:day_detail", request.merchant.slug, day)


@merchant_view("days.reopen")
@require_http_methods(["GET", "HEAD", "POST"])
def day_reopen(request: MerchantRequest, day: str) -> HttpResponse:
    """Ask for a closed day to be opened again."""
    which = _day_or_404(request, day)
    current = selectors.day_page(which).current
    back = redirect("reconciliation:day_detail", request.merchant.slug, day)
    if current is None or current.waiting is not None or not current.is_written:
        return back
    form = ReopenForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            services.request_reopening(
                close_id=current.close.pk,
                reason=form.cleaned_data["reason"],
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except services.NotReopenable:
            messages.error(
                request, _("The day was opened or asked for by somebody else meanwhile.")
            )
            return back
        messages.success(
            request, _("Asked for. The day stays closed until another member has confirmed it.")
        )
        return back
    context = {
        "day": which,
        "close": current.close,
        "form": form,
        "later": selectors.count_later_closes(which),
        "approvers": _approvers(request, besides=request.member.pk),
    }
    return render_page(
        request,
        "reconciliation/day_reopen.html",
        context,
        status=422 if form.is_bound else 200,
    )


@merchant_view("days.reopen")
@require_http_methods(["GET", "HEAD", "POST"])
def reopening_withdraw(request: MerchantRequest, reopening_id: int) -> HttpResponse:
    """Withdraw a wish to open a day again that still waits."""
    try:
        reopening = selectors.get_reopening(reopening_id)
    except DayReopening.DoesNotExist as error:
        raise Http404 from error
    day = reopening.close.day.isoformat()
    if request.method == "POST":
        try:
            services.cancel_reopening(
                reopening_id=reopening.pk, actor=request.actor(), now=clock.now()
            )
            messages.success(request, _("Withdrawn. The day stays closed."))
        except services.NotWaiting:
            messages.error(request, _("It no longer waits: somebody has decided meanwhile."))
        return redirect("reconciliation:day_detail", request.merchant.slug, day)
    context = {
        "reopening": reopening,
        "day": day,
        "facts": [(_("Business day"), day), (_("Reason"), reopening.reason)],
    }
    return render_page(request, "reconciliation/reopening_withdraw.html", context)


@merchant_view("reconciliation.view")
@require_safe
def day_file(request: MerchantRequest, file_id: int) -> HttpResponseBase:
    """A kept file, byte for byte as it was written."""
    try:
        file = selectors.get_day_file(file_id)
    except DayFile.DoesNotExist as error:
        raise Http404 from error
    try:
        pieces = services.kept_pieces(file)
    except CannotOpen:
        messages.error(
            request,
            _("This file cannot be decrypted: the key that sealed it is not in use any more."),
        )
        return redirect(
            "reconciliation:day_detail", request.merchant.slug, file.close.day.isoformat()
        )
    services.record_file_download(file=file, actor=request.actor(), now=clock.now())
    response = StreamingHttpResponse(pieces, content_type=file.content_type)
    response["Content-Disposition"] = (
        content_disposition_header(True, file.filename) or "attachment"
    )
    response["Content-Length"] = str(file.byte_count)
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Accel-Buffering"] = "no"
    return response
