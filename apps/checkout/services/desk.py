"""Asking for money at the desk by a code on its own screen."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.checkout.selectors import FORM_DOOR, order_of_form
from apps.core.audit import Actor
from apps.core.doors import make_door
from apps.core.money import Money
from apps.core.tenancy import current_merchant_id
from apps.payments.models import Order
from apps.payments.services import open_order


def ask_at_desk(
    *,
    store_id: int,
    terminal_id: int | None,
    amount: Money,
    subject: str,
    nonce: str,
    member: User,
    now: datetime,
    actor: Actor,
) -> Order:
    """An order of ``member`` whose page any wallet opens. One form, sent twice even at the same moment, opens one order.

    Store and terminal are the caller's to check. Raises AmountOutOfRange.
    """
    key = f"desk/{member.pk}/{nonce}/{store_id}/{amount.minor}"
    merchant_id = current_merchant_id()
    earlier = order_of_form(key=key, merchant_id=merchant_id)
    if earlier is not None:
        return earlier
    try:
        with transaction.atomic():
            order = open_order(
                store_id=store_id,
                code_id=None,
                terminal_id=terminal_id,
                taken_by=member,
                amount=amount,
                subject=subject,
                now=now,
                actor=actor,
            )
            make_door(kind=FORM_DOOR, token=key, merchant_id=merchant_id, subject_id=order.pk)
            return order
    except IntegrityError:
        # The same form at the same moment: the door's unique key let the other one through.
        earlier = order_of_form(key=key, merchant_id=merchant_id)
        if earlier is None:
            raise
        return earlier
