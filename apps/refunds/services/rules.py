"""The refund rule: up to a threshold at once, above it with another member's confirmation."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.money import MAX_AMOUNT_MINOR, InvalidAmount, Money
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.refunds.models import RefundRule
from apps.refunds.selectors import DEFAULT_THRESHOLD


@transaction.atomic
def set_rule(
    *, threshold: Money, confirmations: int, member: User | None, actor: Actor, now: datetime
) -> RefundRule:
    """A new version of the merchant's rule, in force at once; refunds already asked for keep theirs.

    Raises InvalidAmount for a threshold below zero or above the largest payment.
    """
    if not 0 <= threshold.minor <= MAX_AMOUNT_MINOR:
        raise InvalidAmount(threshold.to_yuan())
    # One writer at a time a merchant: versions are numbered without gaps.
    Merchant.objects.select_for_update().get(pk=current_merchant_id())
    last = RefundRule.objects.order_by("-version").first()
    rule = RefundRule.objects.create(
        version=last.version + 1 if last else 1,
        threshold_minor=threshold.minor,
        confirmations=confirmations,
        created_by=member,
        created_at=now,
    )
    audit.record(
        action="rule.changed",
        subject_kind="rule",
        subject_id=rule.pk,
        actor=actor,
        at=now,
        data={
            "version": rule.version,
            "threshold_minor": threshold.minor,
            "before_minor": last.threshold_minor if last else DEFAULT_THRESHOLD.minor,
            "confirmations": confirmations,
        },
    )
    return rule
