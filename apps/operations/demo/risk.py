"""The demo shop's risk rules, a little stricter than usual so that its own payments raise a few alerts, and its assessment."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from django.utils import translation

from apps.approvals.services import decide
from apps.checkout.services import count_risk
from apps.core import clock
from apps.core.audit import Actor
from apps.merchants.models import Role
from apps.merchants.roles import PERMISSIONS
from apps.operations.demo.cast import Cast
from apps.risk.models import AlertState, Harm, Likelihood, RiskAlert
from apps.risk.rules import RuleKind, read_rules
from apps.risk.services import change_rules, draft_digest, handle_alert, review_risk
from apps.risk.wording import SUGGESTIONS

#: What differs from the portal's own rules.
STRICTER: Final = {
    RuleKind.REFUND_RATE: {"percent": 2, "count": 2},
    RuleKind.ODD_AMOUNT: {"minor": 50_000, "times": 5},
    RuleKind.CASHIER_REFUNDS: {"count": 3},
}


def watch_risk(cast: Cast, *, now: datetime) -> int:
    """Rules that the owner writes and finance confirms, two reviews, and the last two days counted; how many alerts."""
    owner, finance = cast.users[Role.OWNER.value], cast.users[Role.FINANCE.value]
    actor = Actor(owner.email, owner.pk)
    today = clock.business_date(now, cast.merchant.day_starts_at)
    rules = {
        kind: replace(rule, values={**rule.values, **STRICTER.get(kind, {})})
        for kind, rule in read_rules({}).items()
    }
    draft = change_rules(
        rules=rules,
        based_on=0,
        effective_from=today,
        reason="小店先从严",
        member=owner,
        actor=actor,
        today=today,
        now=now,
    )
    if draft.approval_id is not None:
        decide(
            approval_id=draft.approval_id,
            member=finance,
            permissions=PERMISSIONS[Role.FINANCE.value],
            approved=True,
            digest=draft_digest(draft),
            reason="",
            second_factor=False,
            actor=Actor(finance.email, finance.pk),
            now=now,
        )
    with translation.override("zh-hans"):
        for what, measure, likelihood, harm in SUGGESTIONS[:2]:
            review_risk(
                number=None,
                seen_version=0,
                what=str(what),
                measure=str(measure),
                likelihood=Likelihood(likelihood),
                harm=Harm(harm),
                owner=owner,
                next_review_date=today + timedelta(days=180),
                is_gone=False,
                member=owner,
                actor=actor,
                today=today,
                now=now,
            )
    raised = count_risk(now=now)
    first = RiskAlert.objects.filter(rule=RuleKind.CASHIER_REFUNDS).order_by("pk").first()
    if first is not None:
        handle_alert(
            alert_id=first.pk,
            verdict=AlertState.SEEN,
            note="周末排班只有一位收银员",
            member=finance,
            actor=Actor(finance.email, finance.pk),
            now=now,
        )
    return raised.new
