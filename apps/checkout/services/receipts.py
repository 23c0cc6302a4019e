"""The lasting link of a paid order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction

from apps.checkout.models import Receipt
from apps.core.doors import make_door, new_token
from apps.payments.models import Order

#: What a receipt's door is called, and how long it opens: as long as a trader must be able to show a sale (three years).
RECEIPT_DOOR: Final = "receipt"
RECEIPT_KEPT: Final = timedelta(days=3 * 365 + 1)
#: 20 characters carry about 116 bits.
_TOKEN_LENGTH: Final = 20


def receipt_of(*, order: Order, now: datetime) -> Receipt:
    """The receipt of a paid order, made when it is asked for first. However many ask at once, there is one."""
    made: Receipt | None = Receipt.objects.filter(order=order).first()
    if made is not None:
        return made
    if order.paid_at is None:
        raise ValueError("an order that is not paid has no receipt")
    token = new_token(_TOKEN_LENGTH)
    try:
        with transaction.atomic():
            made = Receipt.objects.create(
                order=order, token=token, made_at=now, expires_at=order.paid_at + RECEIPT_KEPT
            )
            make_door(
                kind=RECEIPT_DOOR, token=token, merchant_id=made.merchant_id, subject_id=made.pk
            )
    except IntegrityError:
        # At the same moment somebody else made it.
        made = Receipt.objects.get(order=order)
    return made
