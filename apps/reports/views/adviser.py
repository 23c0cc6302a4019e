"""The platform adviser: what each platform would have charged and allowed for a month of the shop's own money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.htmx import render_page
from apps.core.money import Money
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.agreement_wording import cycle_words, fee_back_words, percent, tier_words
from apps.platforms.models import PlatformChoice
from apps.qrcodes.models import ScenarioKind
from apps.reports.selectors.adviser import (
    Advice,
    Answer,
    Option,
    TierSum,
    Volume,
    advise,
    options_on,
)
from apps.statements.months import month_after, month_before, read_month


@require_safe
@merchant_view("platforms.view")
def adviser(request: MerchantRequest) -> HttpResponse:
    """One month (the last whole one by default) under each platform's terms of today."""
    today = clock.business_date(clock.now(), request.merchant.day_starts_at)
    month = read_month(request.GET.get("month", ""), default=month_before(today.replace(day=1)))
    month = min(month, today.replace(day=1))
    advice = advise(month=month, today=today, options=options_on(today))
    context = {
        "advice": advice,
        "today": today,
        "month": month,
        "older": month_before(month),
        "newer": month_after(month) if month < today.replace(day=1) else None,
        "is_running": month == today.replace(day=1),
        "answers": [_answer(answer) for answer in advice.answers],
        "wallets": _table(advice, wallet=True),
        "scenarios": _table(advice, wallet=False),
    }
    return render_page(request, "reports/adviser.html", context)


def exact_yuan(micro: int) -> str:
    """Millionths of a fen as yuan with all the decimals that matter, two at least: ``¥340.7340`` is ``¥340.734``."""
    sign = "\N{MINUS SIGN}" if micro < 0 else ""
    yuan, rest = divmod(abs(micro), 100_000_000)
    digits = f"{rest:08d}".rstrip("0").ljust(2, "0")
    return f"{sign}¥{yuan:,}.{digits}"


def _answer(answer: Answer) -> dict[str, Any]:
    option = answer.option
    per_cent = percent_of(answer.cost_minor, answer.amount_minor) if answer.amount_minor else ""
    return {
        "it": answer,
        "option": option,
        "name": _name(option),
        "tiers": [_tier(tier) for tier in answer.tiers],
        "share": per_cent,
        "cycle": cycle_words(days=option.cycle_days, working=option.working_days),
        "fee_back": fee_back_words(option.fee_back_ppm),
    }


def _name(option: Option) -> str:
    return option.account.label if option.account else str(PlatformChoice(option.platform).label)


def percent_of(part: int, whole: int) -> str:
    """A share in percent with three decimals, rounded half up."""
    return str((Decimal(part) * 100 / whole).quantize(Decimal("0.001")))


def _tier(tier: TierSum) -> dict[str, Any]:
    return {
        "sum": tier,
        "words": tier_words(tier.rule),
        "rate": f"{percent(tier.rule.rate_ppm)} %",
        "exact": exact_yuan(tier.exact_micro),
        "rounding": exact_yuan(tier.rounding_micro),
        "cap": Money(tier.cap_minor).display(),
        "least": Money(tier.least_minor).display(),
    }


def _table(advice: Advice, *, wallet: bool) -> list[dict[str, Any]]:
    """Each wallet, or scenario, with what every option would have charged for it; the least is marked, where it is a choice."""
    found: dict[str, list[Volume]] = {}
    for row in advice.volumes:
        found.setdefault(row.wallet if wallet else row.scenario, []).append(row)
    rows = []
    names = [_name(answer.option) for answer in advice.answers]
    for key, volumes in sorted(found.items(), key=lambda one: -sum(v.amount_minor for v in one[1])):
        costs = [
            (answer.by_wallet if wallet else answer.by_scenario).get(key)
            for answer in advice.answers
        ]
        told = [cost for cost in costs if cost is not None]
        # Of a scenario each option takes another part: the least there is no better.
        best = {min(told)} if told and min(told) < max(told) else set()
        count = sum(row.count for row in volumes)
        amount = sum(row.amount_minor for row in volumes)
        rows.append(
            {
                "name": _wallet_name(key) if wallet else _scenario_name(key),
                "count": count,
                "amount_minor": amount,
                "average_minor": amount // count,
                "costs": [
                    {"name": name, "minor": cost, "best": wallet and cost in best}
                    for name, cost in zip(names, costs, strict=True)
                ],
            }
        )
    return rows


def _wallet_name(key: str) -> str:
    return str(PlatformChoice(key).label) if key in PlatformChoice.values else key


def _scenario_name(key: str) -> str:
    return str(ScenarioKind(key).label) if key else _("At the till, or outside the portal")
