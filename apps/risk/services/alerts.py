"""Raising alerts of what was found, and what members do about them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, live, sql
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.qrcodes.models import QRCode
from apps.qrcodes.services import CodeRetired, pause_code
from apps.risk.counting import Finding
from apps.risk.models import OPEN_ALERTS, AlertState, RiskAlert, RiskFeedback, Severity
from apps.risk.rules import WATCHES, Outcome, Rule, RuleKind, Subject
from apps.risk.selectors import Book

#: How long a subject stays quiet under a rule after a false alarm.
QUIET: Final = timedelta(days=7)

#: What is written with an alert, as JSON rows; the same for those found afterwards and those of a payment about to begin.
ROWS: Final = """jsonb_to_recordset(%(rows)s::jsonb) AS row (rule text, subject_kind text, subject text, code_id bigint,
    store_id bigint, outcome text, severity text, evidence jsonb, last_at timestamptz, froze_at timestamptz)"""
#: An open alert takes the newer evidence; one that ended keeps quiet about what happened until it is told to speak again.
RAISE: Final = f"""
INSERT INTO risk_riskalert (merchant_id, rule, subject_kind, subject, code_id, store_id, outcome, severity, evidence, state,
    raised_at, last_at, froze_at)
SELECT %(merchant)s, row.rule, row.subject_kind, row.subject, row.code_id, row.store_id, row.outcome, row.severity, row.evidence,
    'open', %(now)s, row.last_at, row.froze_at
FROM {ROWS}
WHERE NOT EXISTS (
    SELECT FROM risk_riskalert AS done WHERE done.merchant_id = %(merchant)s AND done.rule = row.rule
        AND done.subject_kind = row.subject_kind AND done.subject = row.subject AND done.quiet_until >= row.last_at
)
ON CONFLICT (merchant_id, rule, subject_kind, subject) WHERE state IN ('open', 'seen') DO UPDATE SET
    evidence = excluded.evidence, last_at = excluded.last_at, store_id = excluded.store_id,
    severity = CASE WHEN risk_riskalert.severity = 'serious' THEN 'serious' ELSE excluded.severity END,
    outcome = excluded.outcome, froze_at = coalesce(risk_riskalert.froze_at, excluded.froze_at)
WHERE excluded.last_at >= risk_riskalert.last_at AND risk_riskalert.evidence IS DISTINCT FROM excluded.evidence
RETURNING id, (xmax = 0) AS is_new
"""  # noqa: S608  # put together of constants

#: Whoever has the list open sees at once that somebody waits.
TELL: Final = """SELECT pg_notify(%(channel)s, json_build_object('merchant', %(merchant)s::bigint, 'store', %(store)s::bigint,
    'kind', 'alert', 'id', told.id)::text) FROM {told} AS told"""
RAISE_AND_TELL: Final = f"WITH raised AS ({RAISE}) {TELL.format(told='raised')}"


class NotOpenAnyMore(Exception):
    """The alert was dealt with meanwhile."""


@dataclass(frozen=True, slots=True)
class Raised:
    """What a round of counting led to."""

    new: int
    changed: int
    frozen: int


def alert_row(
    *,
    rule: Rule,
    subject_kind: Subject,
    subject: str,
    store_id: int | None,
    evidence: dict[str, Any],
    last_at: datetime,
    froze_at: datetime | None = None,
) -> dict[str, Any]:
    """One row for ``RAISE``."""
    return {
        "rule": rule.kind.value,
        "subject_kind": subject_kind.value,
        "subject": subject,
        "code_id": int(subject) if subject_kind is Subject.CODE else None,
        "store_id": store_id,
        "outcome": rule.outcome.value,
        "severity": severity_of(rule, evidence).value,
        "evidence": evidence,
        "last_at": last_at.isoformat(),
        "froze_at": froze_at.isoformat() if froze_at else None,
    }


def severity_of(rule: Rule, evidence: dict[str, Any]) -> Severity:
    """Serious where something stands in payers' way, or where it is twice as much as the rule allows."""
    if rule.outcome in {Outcome.HOLD, Outcome.FREEZE}:
        return Severity.SERIOUS
    # Of most rules the number of payments is what they count; the amount where that is all they know.
    name = "count" if "count" in rule.values and rule.kind is not RuleKind.REFUND_RATE else "minor"
    allowed = rule.values.get(name)
    return (
        Severity.SERIOUS
        if allowed is not None and evidence[name] >= 2 * allowed
        else Severity.WATCH
    )


def evidence_of(finding: Finding, rule: Rule, *, version: int) -> dict[str, Any]:
    """What an alert keeps of a finding."""
    return {
        "count": finding.count,
        "minor": finding.minor,
        "base_minor": finding.base_minor,
        "first_at": finding.first_at.isoformat(),
        "last_at": finding.last_at.isoformat(),
        "shown": finding.shown,
        "version": version,
        "values": dict(rule.values),
    }


def latest_of(findings: Iterable[Finding]) -> list[Finding]:
    """Of each rule and subject the latest finding."""
    latest: dict[tuple[str, str], Finding] = {}
    for one in findings:
        key = (one.rule.value, one.subject)
        if key not in latest or latest[key].last_at <= one.last_at:
            latest[key] = one
    return list(latest.values())


def raise_alerts(findings: Sequence[Finding], *, book: Book, actor: Actor, now: datetime) -> Raised:
    """Alerts of what was counted afterwards; where a rule says so, its code is paused.

    Safe to repeat: the same findings change nothing the second time. Findings of rules that the book has switched off are left out.
    """
    rows = []
    for finding in latest_of(findings):
        rule = book.rules[finding.rule]
        if not rule.is_on:
            continue
        kind = WATCHES[finding.rule].subject
        rows.append(
            alert_row(
                rule=rule,
                subject_kind=kind,
                subject=finding.subject,
                store_id=finding.store_id,
                evidence=evidence_of(finding, rule, version=book.version),
                last_at=finding.last_at,
            )
        )
    if not rows:
        return Raised(0, 0, 0)
    with transaction.atomic():
        done = sql.every(
            RAISE,
            {"rows": json.dumps(rows), "merchant": current_merchant_id(), "now": now},
        )
        new = [alert_id for alert_id, is_new in done if is_new]
        frozen = _freeze_found(new, actor=actor, now=now)
        for alert_id in new:
            live.publish(kind="alert", subject_id=alert_id, store_id=None)
    return Raised(len(new), len(done) - len(new), frozen)


def _freeze_found(alert_ids: Sequence[int], *, actor: Actor, now: datetime) -> int:
    """Pause the codes of new alerts whose rule asks for it; how many were."""
    wanted = RiskAlert.objects.filter(
        pk__in=alert_ids, outcome=Outcome.FREEZE, subject_kind=Subject.CODE
    )
    frozen = 0
    for alert in wanted.order_by("code_id", "pk"):
        # One that is retired takes no payments anyhow.
        with contextlib.suppress(CodeRetired):
            _freeze(alert, actor=actor, now=now)
            frozen += 1
    return frozen


def _freeze(alert: RiskAlert, *, actor: Actor, now: datetime) -> None:
    pause_code(
        code_id=int(alert.subject),
        actor=actor,
        now=now,
        reason=str(RuleKind(alert.rule).label)[:200],
    )
    RiskAlert.objects.filter(pk=alert.pk).update(froze_at=now)


@transaction.atomic
def handle_alert(
    *,
    alert_id: int,
    verdict: AlertState,
    note: str,
    member: User,
    actor: Actor,
    now: datetime,
) -> RiskAlert:
    """Say that an alert is being looked at, was a false alarm, or was dealt with.

    After a false alarm the subject stays quiet under that rule for a week. Saying the same again does nothing.
    Raises RiskAlert.DoesNotExist, NotOpenAnyMore.
    """
    alert = RiskAlert.objects.visible().select_for_update().get(pk=alert_id)
    if alert.state == verdict:
        return alert
    if alert.state not in OPEN_ALERTS or verdict is AlertState.OPEN:
        raise NotOpenAnyMore(alert.state)
    alert.state = verdict
    alert.handled_by = member
    if verdict not in OPEN_ALERTS:
        alert.ended_at = now
        false_alarm = verdict is AlertState.FALSE_ALARM
        alert.quiet_until = max(alert.last_at, now + QUIET) if false_alarm else alert.last_at
    alert.save(update_fields=["state", "handled_by", "ended_at", "quiet_until"])
    RiskFeedback.objects.create(alert=alert, verdict=verdict, note=note, member=member, at=now)
    audit.record(
        action="alert.handled",
        subject_kind="alert",
        subject_id=alert.pk,
        actor=actor,
        at=now,
        store_id=alert.store_id,
        data={"rule": alert.rule, "state": verdict.value, "note": note},
    )
    live.publish(kind="alert", subject_id=alert.pk, store_id=alert.store_id)
    return alert


@transaction.atomic
def freeze_alerted_code(
    *, alert_id: int, member: User, actor: Actor, now: datetime, note: str = ""
) -> RiskAlert:
    """Pause the code that an alert is about and mark the alert as dealt with, in one go.

    Raises RiskAlert.DoesNotExist (also where it is about no code), NotOpenAnyMore, CodeRetired.
    """
    alert = RiskAlert.objects.visible().get(pk=alert_id, subject_kind=Subject.CODE)
    # The code's row before the alert's, as everybody does who pauses one.
    QRCode.objects.select_for_update().get(pk=int(alert.subject))
    alert = handle_alert(
        alert_id=alert_id,
        verdict=AlertState.ACTED,
        note=note,
        member=member,
        actor=actor,
        now=now,
    )
    _freeze(alert, actor=actor, now=now)
    alert.froze_at = now
    return alert
