"""What a draft of the refund rules would have done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.rules import Book
from apps.merchants.access import MerchantRequest, merchant_view
from apps.refunds import rulewords
from apps.refunds.models import Refund
from apps.refunds.rulefacts import OUTCOMES, refund_book
from apps.refunds.selectors import (
    DAYS,
    Group,
    Simulation,
    Sums,
    book_in_force,
    current_draft,
    shown_refunds,
    simulate,
    store_names,
)


@dataclass(frozen=True, slots=True)
class _Row:
    """How much of the refunds came out so, today and under the draft."""

    words: str
    today: Sums
    draft: Sums


@merchant_view("rules.manage")
@require_safe
def rule_simulate(request: MerchantRequest) -> HttpResponse:
    """The refunds of the last 90 days under the draft, beside today's rules."""
    now, stores = clock.now(), store_names()
    draft, version = current_draft(), book_in_force(now)
    today = refund_book(version.content)
    wanted = refund_book(draft.content) if draft else today
    result = simulate(draft=wanted, today=today, now=now)
    shown = shown_refunds(result.changed)
    context = {
        "draft": draft,
        "result": result,
        "days": DAYS,
        "rows": _rows(result),
        "changes": [_change(group, today, wanted, stores, shown) for group in result.changed],
        "lines": [
            {"line": line, "sums": result.decided(line.number)}
            for line in rulewords.lines(wanted, stores)
        ],
    }
    return render(request, "refunds/rule_simulate.html", context)


def _rows(result: Simulation) -> list[_Row]:
    waits = [code for code, outcome in OUTCOMES.items() if outcome.confirmations]
    kinds = [
        (_("Sent at once"), ["at_once"]),
        (_("Wait for confirmation"), waits),
        (_("Refused"), ["refuse"]),
    ]
    return [
        _Row(words, result.sums(codes, draft=False), result.sums(codes, draft=True))
        for words, codes in kinds
    ]


def _change(
    group: Group, today: Book, draft: Book, stores: dict[str, str], shown: dict[int, Refund]
) -> dict[str, Any]:
    refunds = [shown[one] for one in group.refund_ids if one in shown]
    return {
        "group": group,
        "today": rulewords.line_of(today, group.today_rule, stores),
        "draft": rulewords.line_of(draft, group.draft_rule, stores),
        "refunds": refunds,
        "more": group.count - len(refunds),
    }
