"""What an account allows matching to do."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import AccountRule


def set_account_rule(
    *,
    account_id: int,
    fallback_minutes: int,
    fee_rounding: str,
    fee_tolerance_minor: int,
    actor: Actor,
    now: datetime,
) -> AccountRule:
    """Change what matching may do for one account; days matched before stay as they are until they are matched again.

    ``fee_rounding`` is one of ``Rounding`` or "" for the platform's own. Raises PlatformAccount.DoesNotExist, and
    IntegrityError for minutes outside 0 to 1440 or a negative tolerance.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    changes = {
        "fallback_minutes": fallback_minutes,
        "fee_rounding": fee_rounding,
        "fee_tolerance_minor": fee_tolerance_minor,
    }
    with transaction.atomic():
        rule, _made = AccountRule.objects.update_or_create(
            merchant_id=current_merchant_id(),
            account_id=account_id,
            defaults={**changes, "updated_at": now},
        )
        audit.record(
            action="matching.allowed",
            subject_kind="account",
            subject_id=account_id,
            actor=actor,
            at=now,
            data={"account": account.label, **changes},
        )
    return rule
