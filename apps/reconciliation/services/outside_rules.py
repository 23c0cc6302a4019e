"""What a merchant says of rows that the portal does not know, and what saying so would do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.core import audit, outbox
from apps.core.audit import Actor
from apps.merchants.models import Store
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import (
    Difference,
    DifferenceState,
    OutsideRule,
    ReconciliationRun,
    RuleScope,
)
from apps.reconciliation.selectors.outside import UNKNOWN, last_run, rules_on
from apps.reconciliation.services.outside import Outside, weigh_rows
from apps.statements.models import StatementDay


class RuleExists(Exception):
    """There is a rule about the same from the same day on; it must be retired first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A rule as a person words it; see ``OutsideRule``."""

    account_id: int
    scope: RuleScope
    value: str
    books: bool
    store_id: int | None
    valid_from: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a rule would have done with the unknown rows of the account's last matched bill, of ``day``."""

    day: date
    made: Outside


def try_outside_rule(wanted: Wanted) -> Trial | None:
    """What a rule would do, and store nothing; None where no bill of the account is matched yet.

    Beside the account's other rules, and as if it held for that bill already. Raises PlatformAccount.DoesNotExist.
    """
    account = PlatformAccount.objects.get(pk=wanted.account_id)
    run = last_run(account.pk)
    if run is None:
        return None
    lines = Difference.objects.filter(run=run, type__in=UNKNOWN, line__isnull=False)
    rules = [
        rule
        for rule in rules_on(account_id=account.pk, day=run.day)
        if (rule.scope, rule.value) != (wanted.scope, wanted.value)
    ]
    rules.append(
        OutsideRule(
            scope=wanted.scope, value=wanted.value, books=wanted.books, store_id=wanted.store_id
        )
    )
    made = weigh_rows(
        account=account,
        day=run.day,
        line_ids=list(lines.values_list("line_id", flat=True)),
        rules=rules,
    )
    return Trial(day=run.day, made=made)


@transaction.atomic
def add_outside_rule(
    wanted: Wanted, *, member: User | None, actor: Actor, now: datetime
) -> OutsideRule:
    """Make a rule; days from ``valid_from`` on that have unknown rows are matched again by themselves.

    Raises RuleExists, PlatformAccount.DoesNotExist, Store.DoesNotExist.
    """
    account = PlatformAccount.objects.get(pk=wanted.account_id)
    if wanted.store_id is not None:
        Store.objects.get(pk=wanted.store_id)
    try:
        with transaction.atomic():
            rule: OutsideRule = OutsideRule.objects.create(
                account=account,
                scope=wanted.scope,
                value=wanted.value,
                books=wanted.books,
                store_id=wanted.store_id if wanted.books else None,
                valid_from=wanted.valid_from,
                created_by=member,
                created_at=now,
            )
    except IntegrityError as error:
        raise RuleExists(str(error)) from error
    _note("outside.rule_made", rule, account, actor=actor, now=now)
    if rule.books:
        match_unknown_again(account_id=account.pk, since=wanted.valid_from, now=now)
    return rule


@transaction.atomic
def retire_outside_rule(
    *, rule_id: int, member: User | None, actor: Actor, now: datetime
) -> OutsideRule:
    """Let a rule hold no longer; what it booked stays booked. Raises OutsideRule.DoesNotExist."""
    rule = OutsideRule.objects.select_for_update(of=("self",)).get(
        pk=rule_id, retired_at__isnull=True
    )
    rule.retired_by = member
    rule.retired_at = now
    rule.save(update_fields=["retired_by", "retired_at"])
    _note(
        "outside.rule_retired",
        rule,
        PlatformAccount.objects.get(pk=rule.account_id),
        actor=actor,
        now=now,
    )
    return rule


def match_unknown_again(*, account_id: int, since: date, now: datetime) -> int:
    """Have the account's days matched again that have open rows which the portal does not know; how many there are."""
    runs = ReconciliationRun.objects.filter(
        account_id=account_id,
        is_current=True,
        day__gte=since,
        pk__in=Difference.objects.filter(
            type__in=UNKNOWN, state=DifferenceState.OPEN, line__isnull=False
        ).values("run_id"),
    )
    days = StatementDay.objects.filter(
        account_id=account_id,
        kind=StatementKind.TRADE.value,
        day__in=runs.values("day"),
    ).order_by("day")
    # Oldest first: a refund finds its payment in the books then.
    found = [(day.pk, day.merchant_id) for day in days]
    for day_id, merchant_id in found:
        outbox.enqueue(
            task="reconciliation.run", merchant_id=merchant_id, subject_id=day_id, due_at=now
        )
    return len(found)


def _note(
    action: str, rule: OutsideRule, account: PlatformAccount, *, actor: Actor, now: datetime
) -> None:
    audit.record(
        action=action,
        subject_kind="account",
        subject_id=account.pk,
        actor=actor,
        at=now,
        data={
            "account": account.label,
            "rule": rule.pk,
            "scope": rule.scope,
            "value": rule.value,
            "books": rule.books,
            "store": rule.store_id,
            "valid_from": rule.valid_from.isoformat(),
        },
    )
