"""Orders that the risk rules hold before they are paid."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.urls import reverse
from typing_extensions import override

from apps.core.audit import Actor
from apps.payments.models import Order, OrderState
from apps.payments.services import close_order
from apps.risk.holds import Held, HeldThing


class HeldOrder(HeldThing):
    """An order whose payer waits: released it is paid as usual, refused it is closed."""

    @override
    def describe(self, subject_ids: Collection[int], *, slug: str) -> Mapping[int, Held]:
        orders = Order.objects.visible().filter(pk__in=subject_ids)
        return {
            order.pk: Held(
                title=" · ".join(part for part in (order.subject, order.note) if part),
                url=reverse("reports:order_detail", args=[slug, order.pk]),
                is_open=order.state == OrderState.OPEN,
            )
            for order in orders
        }

    @override
    def release(self, subject_id: int, *, actor: Actor, now: datetime) -> None:
        # The payer's page asks again by itself, and the order is paid like any other.
        return

    @override
    def refuse(self, subject_id: int, *, actor: Actor, now: datetime) -> None:
        close_order(order_id=subject_id, now=now, actor=actor)
