"""What the merchant decides about the payer's pages."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.checkout.models import CheckoutSettings
from apps.core import audit
from apps.core.audit import Actor
from apps.core.money import MAX_AMOUNT_MINOR, InvalidAmount, Money
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant


@transaction.atomic
def change_settings(*, confirm_over: Money | None, actor: Actor, now: datetime) -> CheckoutSettings:
    """Above ``confirm_over`` the payer confirms shop and amount; None: never. Does nothing where it is so already.

    Raises InvalidAmount.
    """
    if confirm_over is not None and not 0 <= confirm_over.minor <= MAX_AMOUNT_MINOR:
        raise InvalidAmount(confirm_over.to_yuan())
    # The merchant's row is the lock: of two first decisions at once, the second changes the first.
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())
    row = CheckoutSettings.objects.first() or CheckoutSettings(changed_at=now)
    before = row.confirm_over_minor
    wanted = None if confirm_over is None else confirm_over.minor
    if before == wanted:
        return row
    row.confirm_over_minor, row.changed_at = wanted, now
    row.save()
    audit.record(
        action="checkout.changed",
        subject_kind="merchant",
        subject_id=row.merchant_id,
        actor=actor,
        at=now,
        data={"confirm_over_minor": wanted, "before_minor": before},
    )
    return row
