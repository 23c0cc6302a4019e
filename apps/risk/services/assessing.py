"""Judging one payment by a code before it begins: at most three statements, and none of them waits for anybody.

What is paid is never judged here: the platform's word of success is booked whatever this room thinks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apps.core import live, sql
from apps.core.tenancy import current_merchant_id
from apps.qrcodes.models import CodeState
from apps.risk.counting import Today, count_today
from apps.risk.facts import Facts
from apps.risk.models import Asked, HoldState
from apps.risk.rules import Outcome, Rule, RuleKind, Subject, read_rules
from apps.risk.services.alerts import RAISE, RAISE_AND_TELL, TELL, alert_row

#: All that is known before anything is counted, in one row.
_STANDING: Final = """
SELECT code.state, code.state = 'paused' AND EXISTS (
        SELECT FROM risk_riskalert AS frozen WHERE frozen.merchant_id = %(merchant)s AND frozen.subject_kind = 'code'
            AND frozen.subject = %(code)s::text AND frozen.froze_at IS NOT NULL AND frozen.state <> 'false_alarm'
    ),
    ARRAY(
        SELECT quiet.rule FROM risk_riskalert AS quiet WHERE quiet.merchant_id = %(merchant)s AND quiet.state = 'false_alarm'
            AND quiet.quiet_until >= %(now)s AND (quiet.subject_kind = 'code' AND quiet.subject = %(code)s::text
                OR quiet.subject_kind = 'payer' AND quiet.subject = %(payer)s)
    ),
    (SELECT open.rule FROM risk_riskalert AS open WHERE open.merchant_id = %(merchant)s AND open.subject_kind = 'code'
        AND open.subject = %(code)s::text AND open.outcome = 'hold' AND open.state IN ('open', 'seen') ORDER BY open.id LIMIT 1),
    hold.state, hold.asked, hold.rule, book.version, book.rules, here.day_starts_at
FROM merchants_merchant AS here
LEFT JOIN qrcodes_qrcode AS code ON code.merchant_id = %(merchant)s AND code.id = %(code)s
LEFT JOIN risk_riskhold AS hold ON hold.merchant_id = %(merchant)s AND hold.kind = %(kind)s AND hold.subject_id = %(subject)s
LEFT JOIN LATERAL (
    SELECT version, rules FROM risk_riskrulebook WHERE merchant_id = %(merchant)s AND effective_from <= (%(now)s::timestamptz AT TIME ZONE 'Asia/Shanghai' - here.day_starts_at::interval)::date
    ORDER BY version DESC LIMIT 1
) AS book ON true
WHERE here.id = %(merchant)s
"""
_HOLD: Final = """
INSERT INTO risk_riskhold (merchant_id, kind, subject_id, rule, asked, alert_id, store_id, amount_minor, state, created_at, expires_at)
SELECT %(merchant)s, %(kind)s, %(subject)s, %(rule)s, %(asked)s, (SELECT max(id) FROM raised), %(store)s, %(minor)s, 'asked',
    %(now)s, %(until)s
ON CONFLICT (merchant_id, kind, subject_id) DO NOTHING
RETURNING id
"""
_RAISE_AND_HOLD: Final = f"WITH raised AS ({RAISE}), held AS ({_HOLD}) {TELL.format(told='held')}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a payment that is about to begin.

    ``outcome`` None: it begins, and so it does with FLAG. ``refused``: a member has refused it. ``pause``: the code is to be
    paused by the caller, who owns the moment; an alert says why.
    """

    outcome: Outcome | None = None
    rule: RuleKind | None = None
    refused: bool = False
    pause: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether the payment may begin now."""
        return not self.refused and self.outcome in {None, Outcome.FLAG}


def assess(
    *,
    kind: str,
    subject_id: int,
    code_id: int,
    store_id: int | None,
    payer: str,
    amount_minor: int,
    facts: Facts,
    until: datetime,
    now: datetime,
) -> Verdict:
    """Judge the thing ``kind`` / ``subject_id`` (an order), to be paid by a code; ``payer`` is the keyed hash, "" where unknown.

    ``facts`` are today's payments by this code, and by this payer where known: read only when a rule needs them. What
    the payer or a member must answer first is held until ``until``. One statement where no rule is judged at the
    beginning, two where nothing is found, never more than three.
    """
    asked = {
        "merchant": current_merchant_id(),
        "code": code_id,
        "payer": payer,
        "kind": kind,
        "subject": subject_id,
        "now": now,
    }
    row = sql.first(_STANDING, asked)
    if row is None:
        return Verdict()
    state, frozen, quiet, holding, hold_state, hold_asked, hold_rule, version, kept, begins = row
    if hold_state == HoldState.REFUSED:
        return Verdict(refused=True, rule=RuleKind(hold_rule))
    if state == CodeState.PAUSED and frozen:
        return Verdict(Outcome.FREEZE)
    if hold_state == HoldState.RELEASED:
        return Verdict()
    if hold_state == HoldState.ASKED:
        outcome = Outcome.CONFIRM if hold_asked == Asked.PAYER else Outcome.HOLD
        return Verdict(outcome, RuleKind(hold_rule))
    rules = read_rules(json.loads(kept) if isinstance(kept, str) else kept or {})
    values = {
        **asked,
        "store": store_id,
        "minor": amount_minor,
        "until": until,
        "channel": live.CHANNEL,
    }
    if holding:
        return _hold(RuleKind(holding), Outcome.HOLD, rows=[], values=values)
    watched = [
        rules[one]
        for one in (RuleKind.CODE_DAY, RuleKind.PAYER_DAY)
        if rules[one].is_on and one.value not in quiet
    ]
    if not watched:
        return Verdict()
    today = count_today(facts, code_id=code_id, payer=payer, now=now, day_starts_at=begins)
    broken = _broken(watched, today, amount_minor=amount_minor)
    if broken is None:
        return Verdict()
    outcome = broken.outcome
    begun = {"order": subject_id, "at": now.isoformat(), "minor": amount_minor, "kind": "begun"}
    by_payer = broken.kind is RuleKind.PAYER_DAY and bool(payer)
    alert = alert_row(
        rule=broken,
        # Of a payer nobody knows yet it is the code that the alert is about.
        subject_kind=Subject.PAYER if by_payer else Subject.CODE,
        subject=payer if by_payer else str(code_id),
        store_id=store_id,
        evidence=_evidence(broken, today, begun, version=version or 0),
        last_at=now,
        froze_at=now if outcome is Outcome.FREEZE else None,
    )
    if outcome in {Outcome.CONFIRM, Outcome.HOLD}:
        return _hold(broken.kind, outcome, rows=[alert], values=values)
    sql.run(RAISE_AND_TELL, {**values, "rows": json.dumps([alert])})
    return Verdict(outcome, broken.kind, pause=outcome is Outcome.FREEZE)


def _sum(rule: Rule, today: Today) -> int:
    return today.code_minor if rule.kind is RuleKind.CODE_DAY else today.payer_minor


#: The further down, the more it stands in the payer's way.
_ORDER: Final = list(Outcome)


def _broken(watched: list[Rule], today: Today, *, amount_minor: int) -> Rule | None:
    """Of the rules that this payment would break the one that asks for most."""
    broken = [rule for rule in watched if _sum(rule, today) + amount_minor > rule["minor"]]
    return max(broken, key=lambda rule: _ORDER.index(rule.outcome), default=None)


def _evidence(rule: Rule, today: Today, begun: dict[str, Any], *, version: int) -> dict[str, Any]:
    return {
        "count": today.payer_count if rule.kind is RuleKind.PAYER_DAY else today.code_count,
        "minor": _sum(rule, today),
        "base_minor": 0,
        "first_at": begun["at"],
        "last_at": begun["at"],
        "shown": [begun],
        "version": version,
        "values": dict(rule.values),
    }


def _hold(
    rule: RuleKind, outcome: Outcome, *, rows: list[dict[str, Any]], values: dict[str, Any]
) -> Verdict:
    asked = Asked.PAYER if outcome is Outcome.CONFIRM else Asked.MEMBER
    sql.run(
        _RAISE_AND_HOLD,
        {**values, "rows": json.dumps(rows), "rule": rule.value, "asked": asked.value},
    )
    return Verdict(outcome, rule)
