"""Trying risk rules on the days that were, before they are switched on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from apps.checkout.facts import facts_since
from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.risk.counting import Finding
from apps.risk.forms import ReplayForm, RulesForm
from apps.risk.replaying import Replayed, replay
from apps.risk.rules import Rules, lookback_days
from apps.risk.selectors import book_on, latest_book
from apps.risk.views.rules import whole_merchant
from apps.risk.wording import rule_words

#: Findings shown of each rule.
_SHOWN: Final = 5


@merchant_view("risk.view")
@require_http_methods(["GET", "HEAD", "POST"])
def replay_rules(request: MerchantRequest) -> HttpResponse:
    """What a draft would have found on the last days beside the rules in force; without a draft those alone."""
    whole_merchant(request)
    now = clock.now()
    starts = request.merchant.day_starts_at
    today = clock.business_date(now, starts)
    book = book_on(today)
    newest = latest_book()
    asked = ReplayForm(request.POST if request.method == "POST" else request.GET)
    days = asked.cleaned_data["days"] if asked.is_valid() else 30
    form = RulesForm(
        request.POST if request.method == "POST" else None,
        rules=newest.rules,
        today=today,
        version=newest.version,
        trying=True,
    )
    draft: Rules = newest.rules
    if request.method == "POST" and form.is_valid():
        draft = form.written()
    since = today - timedelta(days=days - 1)
    facts = facts_since(since - timedelta(days=lookback_days([book.rules, draft])), now=now)
    rows = replay(facts, today=book.rules, draft=draft, since=since, day_starts_at=starts)
    kept = {name: request.POST.getlist(name)[-1] for name in request.POST if name in form.fields}
    context = {
        "asked": ReplayForm(initial={"days": days}),
        "days": days,
        "since": since,
        "entries": [_entry(row, book.rules, draft) for row in rows if row.now or row.draft]
        + [_entry(row, book.rules, draft) for row in rows if not (row.now or row.draft)],
        "sum_now": sum(len(row.now) for row in rows),
        "sum_draft": sum(len(row.draft) for row in rows),
        "is_draft": draft != book.rules,
        "invalid": request.method == "POST" and not form.is_valid(),
        "form": form,
        "kept": kept,
        "may_change": "risk.manage" in request.permissions,
    }
    status = 422 if context["invalid"] else 200
    return render(request, "checkout/replay_rules.html", context, status=status)


def _entry(row: Replayed, now: Rules, draft: Rules) -> dict[str, Any]:
    changed = now[row.kind] != draft[row.kind]
    return {
        "kind": row.kind,
        "before": rule_words(now[row.kind]),
        "after": rule_words(draft[row.kind]),
        "changed": changed,
        "now": len(row.now),
        "draft": len(row.draft),
        "new": [_shown(one) for one in (row.new if changed else row.draft)[-_SHOWN:][::-1]],
        "new_count": len(row.new),
        "gone_count": len(row.gone),
    }


def _shown(one: Finding) -> dict[str, Any]:
    return {
        "day": one.day,
        "count": one.count,
        "minor": one.minor,
        "last_at": one.last_at,
        "orders": [fact["order"] for fact in one.shown[:3]],
    }
