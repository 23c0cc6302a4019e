"""Judging a payment at the till before the platform hears of it: at most three statements, none where no rule wants more than an alert.

Only what is known beforehand is judged: the amount, how much the cashier has just taken, the hour. Who pays is known afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from apps.core import live, sql
from apps.core.tenancy import current_merchant_id
from apps.risk.counting import Lately, Since, count_lately, night_began
from apps.risk.facts import FactsSince
from apps.risk.rules import (
    ODD_DAYS,
    ODD_OTHERS,
    Outcome,
    Rule,
    RuleKind,
    Rules,
    Subject,
    read_rules,
)
from apps.risk.services.alerts import RAISE_AND_TELL, alert_row

_STANDING: Final = """
SELECT book.version, book.rules, ARRAY(
        SELECT quiet.rule FROM risk_riskalert AS quiet WHERE quiet.merchant_id = %(merchant)s AND quiet.state = 'false_alarm'
            AND quiet.quiet_until >= %(now)s AND (quiet.subject_kind = 'member' AND quiet.subject = %(member)s::text
                OR quiet.subject_kind = 'store' AND quiet.subject = %(store)s::text)
    )
FROM merchants_merchant AS here
JOIN LATERAL (
    SELECT version, rules FROM risk_riskrulebook WHERE merchant_id = %(merchant)s AND effective_from <= (%(now)s::timestamptz AT TIME ZONE 'Asia/Shanghai' - here.day_starts_at::interval)::date
    ORDER BY version DESC LIMIT 1
) AS book ON true
WHERE here.id = %(merchant)s
"""
#: The further down, the more it stands in the way.
_ORDER: Final = (Outcome.CONFIRM, Outcome.HOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class TillVerdict:
    """Why a payment is not simply taken. ``rule.outcome`` is CONFIRM or HOLD.

    ``count`` and ``minor`` (fen) are what was there before it; ``base_minor`` what is usual, 0 where nothing is compared.
    """

    rule: Rule
    amount_minor: int
    count: int
    minor: int
    base_minor: int = 0


def assess_taking(
    *,
    store_id: int,
    member_id: int,
    amount_minor: int,
    of_member: FactsSince,
    of_store: FactsSince,
    now: datetime,
    tell: bool = True,
) -> TillVerdict | None:
    """Whether a rule wants to be asked before this is taken; of several the one that asks for most. None: it is taken.

    ``of_member`` and ``of_store`` are the cashier's and the store's payments, read only when a rule needs them. ``tell``: an
    alert says that the till stopped it.
    """
    asked = {
        "merchant": current_merchant_id(),
        "member": member_id,
        "store": store_id,
        "now": now,
    }
    row = sql.first(_STANDING, asked)
    if row is None:
        # The portal's own rules only raise alerts.
        return None
    version, kept, quiet = row
    rules = read_rules(json.loads(kept) if isinstance(kept, str) else kept)
    watched = {
        kind: rule
        for kind, rule in rules.items()
        if rule.watch.at_till
        and rule.is_on
        and rule.outcome in _ORDER
        and kind.value not in quiet
        and _may_speak(rule, amount_minor=amount_minor, now=now)
    }
    if not watched:
        return None
    lately = count_lately(
        member_id=member_id,
        store_id=store_id,
        since=_since(watched, now),
        of_member=of_member,
        of_store=of_store,
    )
    found = [
        verdict
        for rule in watched.values()
        if (verdict := _judge(rule, lately, amount_minor=amount_minor)) is not None
    ]
    if not found:
        return None
    worst = max(found, key=lambda verdict: _ORDER.index(verdict.rule.outcome))
    if tell:
        by_member = worst.rule.watch.subject is Subject.MEMBER
        alert = alert_row(
            rule=worst.rule,
            subject_kind=worst.rule.watch.subject,
            subject=str(member_id if by_member else store_id),
            store_id=store_id,
            evidence=_evidence(worst, version=version, now=now),
            last_at=now,
        )
        sql.run(RAISE_AND_TELL, {**asked, "rows": json.dumps([alert]), "channel": live.CHANNEL})
    return worst


def _may_speak(rule: Rule, *, amount_minor: int, now: datetime) -> bool:
    """Whether the rule can speak at all, before anything is counted."""
    if rule.kind is RuleKind.ODD_AMOUNT:
        return amount_minor >= rule["minor"]
    if rule.kind is RuleKind.NIGHT:
        return night_began(rule, now) is not None
    return True


def _since(watched: Mapping[RuleKind, Rule] | Rules, now: datetime) -> Since:
    many, night = watched.get(RuleKind.CASHIER_VELOCITY), watched.get(RuleKind.NIGHT)
    return Since(
        member=now - timedelta(minutes=many["minutes"]) if many else now,
        usual=now - timedelta(days=ODD_DAYS) if RuleKind.ODD_AMOUNT in watched else now,
        night=(night_began(night, now) if night else None) or now,
    )


def _judge(rule: Rule, lately: Lately, *, amount_minor: int) -> TillVerdict | None:
    if rule.kind is RuleKind.ODD_AMOUNT:
        others, total = lately.usual_count, lately.usual_minor
        if others < ODD_OTHERS or amount_minor * others < rule["times"] * total:
            return None
        return TillVerdict(
            rule=rule,
            amount_minor=amount_minor,
            count=1,
            minor=amount_minor,
            base_minor=total // others,
        )
    if rule.kind is RuleKind.NIGHT:
        count, minor = lately.night_count, lately.night_minor
        if count + 1 < rule["count"] or minor + amount_minor < rule["minor"]:
            return None
    else:
        count, minor = lately.member_count, lately.member_minor
        if count + 1 < rule["count"]:
            return None
    return TillVerdict(rule=rule, amount_minor=amount_minor, count=count, minor=minor)


def _evidence(verdict: TillVerdict, *, version: int, now: datetime) -> dict[str, Any]:
    return {
        "count": verdict.count,
        "minor": verdict.minor,
        "base_minor": verdict.base_minor,
        "first_at": now.isoformat(),
        "last_at": now.isoformat(),
        "shown": [],
        "stopped_minor": verdict.amount_minor,
        "version": version,
        "values": dict(verdict.rule.values),
    }
