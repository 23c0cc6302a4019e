"""The rules as sentences, and changing them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.risk.forms import RulesForm
from apps.risk.models import DraftState
from apps.risk.rules import RuleKind, doubts, read_rules
from apps.risk.selectors import (
    Book,
    Quality,
    book_on,
    books,
    latest_book,
    rule_quality,
    waiting_draft,
)
from apps.risk.services import RulesChanged, change_rules, withdraw_draft
from apps.risk.wording import REASONS, change_facts, doubt_words, outcome_words, rule_sentence

#: Over so many days it is told how many alerts were false.
_QUALITY: Final = timedelta(days=90)


def whole_merchant(request: MerchantRequest) -> None:
    """Rules and the assessment have no store: closed to members limited to some. Raises PermissionDenied."""
    if not request.scope.all_stores:
        raise PermissionDenied("risk.view")


def rule_entries(book: Book, quality: dict[RuleKind, Quality]) -> list[dict[str, Any]]:
    """Each rule as the page shows it."""
    return [
        {
            "kind": kind,
            "rule": rule,
            "sentence": rule_sentence(kind, rule.values),
            "why": REASONS[kind],
            "then": outcome_words(kind, rule.outcome),
            "quality": quality.get(kind),
        }
        for kind, rule in book.rules.items()
    ]


@merchant_view("risk.view")
@require_safe
def rule_list(request: MerchantRequest) -> HttpResponse:
    """What holds today, what is to come, what waits for confirmation, and all versions."""
    whole_merchant(request)
    now = clock.now()
    today = clock.business_date(now, request.merchant.day_starts_at)
    book = book_on(today)
    history = list(books()[:20])
    draft = waiting_draft()
    waiting: dict[str, Any] = {}
    if draft is not None:
        waiting = {
            "draft": draft,
            "changes": change_facts(latest_book().rules, read_rules(draft.rules)),
            "may_withdraw": draft.requested_by_id == request.member.pk,
        }
    context = {
        "book": book,
        "entries": rule_entries(book, rule_quality(since=now - _QUALITY)),
        "history": history,
        "planned": [row for row in history if row.effective_from > today],
        "waiting": waiting,
        "may_change": "risk.manage" in request.permissions,
        "doubts": [doubt_words(one) for one in doubts(book.rules)],
    }
    return render(request, "risk/rule_list.html", context)


@merchant_view("risk.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def rule_change(request: MerchantRequest) -> HttpResponse:
    """Change thresholds; what looks contradictory is shown before it is saved, and saved when sent once more."""
    whole_merchant(request)
    now = clock.now()
    today = clock.business_date(now, request.merchant.day_starts_at)
    book = latest_book()
    form = RulesForm(
        request.POST if request.method == "POST" else None,
        rules=book.rules,
        today=today,
        version=book.version,
    )
    note, found = "", []
    # Back from the replay: what was typed there, to be changed further.
    again = request.POST.get("again") == "1"
    if request.method == "POST" and not again and form.is_valid():
        rules = form.written()
        found = [doubt_words(one) for one in doubts(rules)]
        if rules == book.rules:
            messages.info(request, _("Nothing was changed."))
            return redirect("risk:rule_list", request.merchant.slug)
        if not found or request.POST.get("sure") == "1":
            try:
                draft = change_rules(
                    rules=rules,
                    based_on=form.cleaned_data["version"],
                    effective_from=form.cleaned_data["effective_from"],
                    reason=form.cleaned_data["reason"],
                    member=request.member,
                    actor=request.actor(),
                    today=today,
                    now=now,
                )
            except RulesChanged as changed:
                note = (
                    _("Another change waits for confirmation. It must be decided first.")
                    if changed.reason == "waiting"
                    else _(
                        "Somebody has changed the rules meanwhile. Look at them, then begin again."
                    )
                )
            else:
                if draft.state == DraftState.WAITING:
                    messages.success(request, _("Another member must confirm the new rules."))
                else:
                    messages.success(request, _("The new rules are saved."))
                return redirect("risk:rule_list", request.merchant.slug)
    context = {"form": form, "parts": _parts(form), "note": note, "doubts": found}
    status = 200 if again else 409 if note else 422 if form.errors or found else 200
    return render(request, "risk/rule_change.html", context, status=status)


def _parts(form: RulesForm) -> list[dict[str, Any]]:
    return [
        {
            **part,
            "sentence": rule_sentence(part["kind"], part["rule"].values),
            "why": REASONS[part["kind"]],
        }
        for part in form.parts()
    ]


@require_POST
@merchant_view("risk.manage")
def rule_withdraw(request: MerchantRequest) -> HttpResponse:
    """Take back a change of one's own that waits for confirmation."""
    whole_merchant(request)
    draft = waiting_draft()
    if draft is not None and draft.requested_by_id == request.member.pk:
        withdraw_draft(draft_id=draft.pk, actor=request.actor(), now=clock.now())
        messages.success(request, _("Withdrawn. The rules stay as they are."))
    return redirect("risk:rule_list", request.merchant.slug)
