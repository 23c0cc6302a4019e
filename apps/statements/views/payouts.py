"""One settlement, one bank line, one payout: what it is, linking it by hand, undoing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.money import Money
from apps.ledger.selectors import is_closed
from apps.ledger.services import NoOpenDay
from apps.merchants.access import MerchantRequest, merchant_view
from apps.statements.forms import HoldForm, LinkForm, UndoForm
from apps.statements.models import BankLine, Payout, Settlement
from apps.statements.selectors.settlements import (
    accounts_with_terms,
    free_lines,
    free_settlements,
    get_bank_line,
    get_payout,
    get_settlement,
    names_platform,
    parts_of,
    places_of,
    versions_of,
)
from apps.statements.services import (
    DayClosed,
    LinkRefused,
    SumsDiffer,
    hold_settlement,
    link,
    unlink,
)


def _settlement_or_404(pk: int) -> Settlement:
    try:
        return get_settlement(pk)
    except Settlement.DoesNotExist as error:
        raise Http404 from error


def _line_or_404(pk: int) -> BankLine:
    try:
        return get_bank_line(pk)
    except BankLine.DoesNotExist as error:
        raise Http404 from error


def _payout_or_404(pk: int) -> Payout:
    try:
        return get_payout(pk)
    except Payout.DoesNotExist as error:
        raise Http404 from error


def _link(request: MerchantRequest, form: LinkForm) -> Payout | None:
    """The payout that was made; None where the form says what is wrong."""
    if not form.is_valid():
        return None
    try:
        return link(
            line_ids=form.cleaned_data["lines"],
            settlement_ids=form.cleaned_data["settlements"],
            difference_to=form.purpose,
            note=form.cleaned_data["note"],
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except SumsDiffer as refused:
        form.add_error("difference_to", refused.message)
    except LinkRefused as refused:
        form.add_error(None, refused.message)
    except (Settlement.DoesNotExist, BankLine.DoesNotExist):
        form.add_error(None, _("One of these rows is not there any more. Look at the page again."))
    except NoOpenDay:
        form.add_error(
            None, _("No business day is open to book it. Reopen a day, or wait for tomorrow.")
        )
    return None


def _linked(request: MerchantRequest, payout: Payout) -> HttpResponse:
    words = _("Linked and booked: %(amount)s arrived.")
    messages.success(request, words % {"amount": Money(payout.amount_minor).display()})
    return redirect("settlements:payout_detail", request.merchant.slug, payout.pk)


def _refuse_to_change(request: MerchantRequest) -> None:
    if request.method == "POST" and "reconciliation.manage" not in request.permissions:
        raise PermissionDenied


def _choosable(
    lines: Sequence[BankLine], settlements: Sequence[Settlement], form: LinkForm
) -> dict[str, Any]:
    """The rows of both sides with whether they are ticked."""
    terms = {account.pk: terms for account, terms in accounts_with_terms()}
    of_lines, of_settlements = form.chosen("lines"), form.chosen("settlements")
    return {
        "lines": [
            (row, str(row.pk) in of_lines, any(names_platform(row, one) for one in terms.values()))
            for row in lines
        ],
        "settlements": [(row, str(row.pk) in of_settlements) for row in settlements],
    }


@merchant_view("reconciliation.view")
@require_http_methods(["GET", "HEAD", "POST"])
def bank_line_detail(request: MerchantRequest, bank_line_id: int) -> HttpResponse:
    """One bank line: what it pays, or what it may pay."""
    _refuse_to_change(request)
    line = _line_or_404(bank_line_id)
    context: dict[str, Any] = {"line": line}
    form = None
    if line.payout_id is None:
        lines = [line, *(row for row in free_lines(around=line.day) if row.pk != line.pk)]
        settlements = free_settlements(around=line.day)
        fits = [row.pk for row in settlements if row.net_minor == line.amount_minor]
        form = LinkForm(
            request.POST if request.method == "POST" else None,
            lines=[row.pk for row in lines],
            settlements=[row.pk for row in settlements],
            initial={"lines": [line.pk], "settlements": fits if len(fits) == 1 else []},
        )
        if request.method == "POST":
            payout = _link(request, form)
            if payout is not None:
                return _linked(request, payout)
        context |= {"form": form, "same": set(fits), **_choosable(lines, settlements, form)}
    status = 422 if form is not None and form.errors else 200
    return render(request, "statements/bank_line_detail.html", context, status=status)


@merchant_view("reconciliation.view")
@require_http_methods(["GET", "HEAD", "POST"])
def settlement_detail(request: MerchantRequest, settlement_id: int) -> HttpResponse:
    """One settlement: how it was computed, where its money is, and which bank lines may pay it."""
    _refuse_to_change(request)
    row = _settlement_or_404(settlement_id)
    today = clock.business_date(clock.now())
    context: dict[str, Any] = {
        "row": row,
        "place": places_of([row], today=today)[row.pk],
        "versions": versions_of(row),
        "hold": HoldForm(initial={"note": row.held_note}),
        "days_late": (today - row.due_date).days,
    }
    form = None
    if row.payout_id is None and not row.is_void and row.net_minor:
        lines = free_lines(around=row.due_date)
        others = [
            one
            for one in free_settlements(around=row.due_date)
            if one.pk != row.pk and one.account_id == row.account_id
        ]
        fits = [one.pk for one in lines if one.amount_minor == row.net_minor]
        form = LinkForm(
            request.POST if request.method == "POST" else None,
            lines=[one.pk for one in lines],
            settlements=[row.pk, *(one.pk for one in others)],
            initial={"settlements": [row.pk], "lines": fits if len(fits) == 1 else []},
        )
        if request.method == "POST":
            payout = _link(request, form)
            if payout is not None:
                return _linked(request, payout)
        context |= {"form": form, "same": set(fits), **_choosable(lines, [row, *others], form)}
    status = 422 if form is not None and form.errors else 200
    return render(request, "statements/settlement_detail.html", context, status=status)


@merchant_view("reconciliation.manage")
@require_POST
def settlement_hold(request: MerchantRequest, settlement_id: int) -> HttpResponse:
    """Say why a settlement is not expected for now, or expect it again."""
    row = _settlement_or_404(settlement_id)
    form = HoldForm(request.POST)
    if form.is_valid():
        held = hold_settlement(
            settlement_id=row.pk,
            note=form.cleaned_data["note"],
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
        words = (
            _("Held back: it is not expected for now.")
            if held.held_note
            else _("It is expected again.")
        )
        messages.success(request, words)
    else:
        messages.error(request, _("The reason is too long: 200 characters at most."))
    return redirect("settlements:settlement_detail", request.merchant.slug, row.pk)


@merchant_view("reconciliation.view")
@require_safe
def payout_detail(request: MerchantRequest, payout_id: int) -> HttpResponse:
    """One payout: its bank lines, its settlements, its entries."""
    payout = _payout_or_404(payout_id)
    lines, settlements = parts_of(payout)
    context = {
        "payout": payout,
        "lines": lines,
        "settlements": settlements,
        "closed": is_closed(payout.booked_date),
    }
    return render(request, "statements/payout_detail.html", context)


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def payout_undo(request: MerchantRequest, payout_id: int) -> HttpResponse:
    """Confirm that a payout is undone by a reversing entry."""
    payout = _payout_or_404(payout_id)
    detail = redirect("settlements:payout_detail", request.merchant.slug, payout.pk)
    form = UndoForm(request.POST if request.method == "POST" else None)
    if payout.undone_at is not None:
        messages.info(request, _("This payout is undone already."))
        return detail
    if request.method == "POST" and form.is_valid():
        try:
            unlink(
                payout_id=payout.pk,
                reason=form.cleaned_data["reason"],
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except DayClosed as closed:
            words = _(
                "%(day)s is closed, so what was booked on it stays. Reopen the day first, or book an adjustment."
            )
            messages.error(request, words % {"day": closed.day})
        else:
            messages.success(
                request, _("Undone by a reversing entry. Its rows can be linked again.")
            )
        return detail
    context = {
        "payout": payout,
        "form": form,
        "facts": [
            (_("Account"), payout.account.label),
            (_("Business day"), payout.booked_date.isoformat()),
        ],
    }
    return render(
        request, "statements/payout_undo.html", context, status=422 if form.errors else 200
    )
