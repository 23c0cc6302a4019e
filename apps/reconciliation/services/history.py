"""Old bills as history: days before the merchant joined are fetched, matched, and booked as outside money by the rule."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import HistoryImport, OutsideRule, RuleScope
from apps.reconciliation.services.outside_rules import (
    Wanted,
    add_outside_rule,
    match_unknown_again,
)
from apps.statements.selectors import is_asked
from apps.statements.services.history import ask_for_days

#: The longest period of one import, in days.
LONGEST: Final = 400


class NoBillsToFetch(Exception):
    """The platform has no bills to download: its console's exports are uploaded day by day."""


@transaction.atomic
def import_history(
    *,
    account_id: int,
    since: date,
    until: date,
    store_id: int | None,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> HistoryImport:
    """Have the bills of a period (both ends included) fetched and booked as outside money; the oldest comes first.

    Where no rule for the whole account holds on the first day yet, one is made, for ``store_id``. Asking again asks only for
    what is missing, and has days matched again that have unknown rows. Raises NoBillsToFetch, ValueError for a period that
    is not one or longer than LONGEST, StatementRefused where it is not over, PlatformAccount.DoesNotExist.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    if is_asked(account.platform):
        raise NoBillsToFetch(account.platform)
    span = (until - since).days + 1
    if not 1 <= span <= LONGEST:
        raise ValueError(f"{span} days")
    rules = OutsideRule.objects.filter(
        account=account, scope=RuleScope.ACCOUNT, retired_at__isnull=True
    )
    if not rules.filter(valid_from__lte=since).exists():
        wanted = Wanted(
            account_id=account.pk,
            scope=RuleScope.ACCOUNT,
            value="",
            books=True,
            store_id=store_id,
            valid_from=since,
        )
        add_outside_rule(wanted, member=member, actor=actor, now=now)
    made: HistoryImport
    made, _new = HistoryImport.objects.update_or_create(
        merchant_id=current_merchant_id(),
        account=account,
        since=since,
        until=until,
        defaults={"asked_by": member, "asked_at": now},
    )
    days = (since + timedelta(days=place) for place in range(span))
    asked = ask_for_days(account_id=account.pk, days=days, now=now)
    match_unknown_again(account_id=account.pk, since=since, now=now)
    audit.record(
        action="history.asked",
        subject_kind="account",
        subject_id=account.pk,
        actor=actor,
        at=now,
        data={
            "account": account.label,
            "since": since.isoformat(),
            "until": until.isoformat(),
            "days": asked,
        },
    )
    return made
