"""Rules that settle differences by themselves, and the limit up to which one may be written off."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Max

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.money import InvalidAmount, Money
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import (
    AutoRule,
    BulkRow,
    Difference,
    DifferenceState,
    ReconciliationRun,
    Resolution,
    ResolutionKind,
    ResolutionState,
    WriteOffLimit,
)
from apps.reconciliation.selectors.automatic import fitting, rules_for
from apps.reconciliation.selectors.offers import write_off_limit
from apps.reconciliation.services.bulk import start_bulk
from apps.reconciliation.services.resolving.acts import Act

#: What a rule may do.
ACTIONS: Final = (ResolutionKind.KEEP, ResolutionKind.ACCEPT, ResolutionKind.WRITE_OFF)
#: The largest limit that makes sense: what is more is a matter for four eyes.
MOST_LIMIT: Final = 10_000_00


def apply_rules(run: ReconciliationRun, *, now: datetime) -> int:
    """Let the merchant's rules settle what they fit of a run, in the matching's transaction; how many were chosen.

    A row is the first rule's that fits. What a rule cannot settle stays open and says why on the rule's acts.
    """
    chosen = 0
    account = run.account
    taken_back = Resolution.objects.filter(
        account_id=account.pk,
        day=run.day,
        rule__isnull=False,
        state=ResolutionState.UNDONE,
        undone_by__isnull=False,
    )
    for rule in rules_for(account_id=account.pk, platform=account.platform, day=run.day):
        rows = Difference.objects.filter(run=run, state=DifferenceState.OPEN).exclude(
            pk__in=BulkRow.objects.filter(difference__run=run).values("difference_id")
        )
        # What a person took back is a person's from then on, unless a rule is made for it afterwards.
        theirs = taken_back.filter(undone_at__gte=rule.created_at)
        rows = rows.exclude(identity__in=theirs.values("identity"))
        for ours in ("payment_id", "refund_id"):
            known = theirs.filter(**{f"{ours}__isnull": False})
            rows = rows.exclude(**{f"{ours}__in": known.values(ours)})
        fits = fitting(rule, rows, now=now)
        if fits.exists():
            bulk = start_bulk(
                rows=fits,
                act=Act(kind=ResolutionKind(rule.action), reason=rule.reason),
                member=None,
                actor=Actor.system("rules"),
                now=now,
                rule=rule,
            )
            chosen += bulk.total
    return chosen


def _hold() -> None:
    """One writer of rules and limits at a time a merchant."""
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())


def _facts(rule: AutoRule) -> dict[str, Any]:
    return {
        "number": rule.number,
        "is_on": rule.is_on,
        "effective_from": rule.effective_from.isoformat(),
        "type": rule.type,
        "platform": rule.platform,
        "account": rule.account_id,
        "min_amount_minor": rule.min_amount_minor,
        "max_amount_minor": rule.max_amount_minor,
        "max_gap_minor": rule.max_gap_minor,
        "min_age_days": rule.min_age_days,
        "action": rule.action,
        "reason": rule.reason,
    }


def _record(rule: AutoRule, action: str, *, actor: Actor, now: datetime, **data: Any) -> None:
    audit.record(
        action=action,
        subject_kind="matching_rule",
        subject_id=rule.pk,
        actor=actor,
        at=now,
        data={**_facts(rule), **data},
    )


@transaction.atomic
def save_rule(
    *,
    rule_id: int | None,
    effective_from: date,
    type: str,  # the difference's word
    platform: str,
    account_id: int | None,
    min_amount_minor: int | None,
    max_amount_minor: int | None,
    max_gap_minor: int | None,
    min_age_days: int,
    action: str,
    reason: str,
    member: User,
    actor: Actor,
    now: datetime,
) -> AutoRule:
    """Make a rule, switched off, at the end of the order; or change one, which switches it off until it was tried again.

    Raises AutoRule.DoesNotExist, PlatformAccount.DoesNotExist, IntegrityError for another action than ``ACTIONS``.
    """
    _hold()
    if account_id is not None:
        PlatformAccount.objects.only("pk").get(pk=account_id)
    facts: dict[str, Any] = {
        "effective_from": effective_from,
        "type": type,
        "platform": platform,
        "account_id": account_id,
        "min_amount_minor": min_amount_minor,
        "max_amount_minor": max_amount_minor,
        "max_gap_minor": max_gap_minor,
        "min_age_days": min_age_days,
        "action": action,
        "reason": reason[:200],
        "is_on": False,
    }
    if rule_id is None:
        last = AutoRule.objects.aggregate(number=Max("number"), position=Max("position"))
        rule: AutoRule = AutoRule.objects.create(
            number=(last["number"] or 0) + 1,
            position=(last["position"] or 0) + 1,
            created_by=member,
            created_at=now,
            **facts,
        )
        _record(rule, "matching_rule.made", actor=actor, now=now)
        return rule
    rule = AutoRule.objects.get(pk=rule_id)
    before = _facts(rule)
    AutoRule.objects.filter(pk=rule.pk).update(**facts)
    rule.refresh_from_db()
    _record(rule, "matching_rule.changed", actor=actor, now=now, before=before)
    return rule


@transaction.atomic
def switch_rule(*, rule_id: int, is_on: bool, actor: Actor, now: datetime) -> AutoRule:
    """Let a rule act from the next matching on, or no more; what it did stays. Raises AutoRule.DoesNotExist."""
    _hold()
    rule: AutoRule = AutoRule.objects.get(pk=rule_id)
    if rule.is_on != is_on:
        rule.is_on = is_on
        rule.save(update_fields=["is_on"])
        action = "matching_rule.switched_on" if is_on else "matching_rule.switched_off"
        _record(rule, action, actor=actor, now=now)
    return rule


@transaction.atomic
def move_rule(*, rule_id: int, earlier: bool, actor: Actor, now: datetime) -> AutoRule:
    """Let a rule be tried one place earlier or later; at the end of the order nothing happens. Raises AutoRule.DoesNotExist."""
    _hold()
    rules = list(AutoRule.objects.order_by("position", "pk"))
    place = next((at for at, rule in enumerate(rules) if rule.pk == rule_id), None)
    if place is None:
        raise AutoRule.DoesNotExist(rule_id)
    rule = rules.pop(place)
    target = max(0, place - 1) if earlier else place + 1
    rules.insert(target, rule)
    if rules.index(rule) != place:
        for position, each in enumerate(rules, start=1):
            AutoRule.objects.filter(pk=each.pk).update(position=position)
        rule.refresh_from_db()
        _record(rule, "matching_rule.moved", actor=actor, now=now, position=rule.position)
    return rule


@transaction.atomic
def set_write_off_limit(
    *, limit: Money, member: User, actor: Actor, now: datetime
) -> WriteOffLimit:
    """A new version of the merchant's limit for one difference, in force at once; zero: nothing is written off.

    Raises InvalidAmount for a limit below zero or above ``MOST_LIMIT``.
    """
    if not 0 <= limit.minor <= MOST_LIMIT:
        raise InvalidAmount(limit.to_yuan())
    _hold()
    before = write_off_limit()
    made: WriteOffLimit = WriteOffLimit.objects.create(
        version=before.version + 1, limit_minor=limit.minor, created_by=member, created_at=now
    )
    audit.record(
        action="write_off.limited",
        subject_kind="write_off",
        subject_id=made.pk,
        actor=actor,
        at=now,
        data={
            "version": made.version,
            "limit_minor": limit.minor,
            "before_minor": before.limit_minor,
        },
    )
    return made
