"""Putting a veil over an order: the platform says that it does not know, and tells nobody meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apps.simulator.models import Notice, NoticeState, Order

#: What was under way when the platform lost sight of it.
PAY, CANCEL = "pay", "cancel"


def cover(*, order: Order, kind: str, value: dict[str, Any], now: datetime) -> None:
    """Hide the order's state for ``value["seconds"]`` (null: for ever) behind ``value``'s order_status and status.

    Callbacks that are due wait until then; under a veil for ever none is sent.
    """
    seconds = value.get("seconds")
    until = None if seconds is None else now + timedelta(seconds=float(seconds))
    with transaction.atomic():
        current = Order.objects.get(pk=order.pk)
        current.extra = {
            **current.extra,
            "veil": {
                "kind": kind,
                "result": value["result"],
                "order_status": value["order_status"],
                "status": value["status"],
                "until": until.isoformat() if until else None,
            },
        }
        current.save(update_fields=["extra"])
        waiting = Notice.objects.filter(order=order, state=NoticeState.PENDING)
        if until is None:
            waiting.update(state=NoticeState.DROPPED, next_at=None)
        else:
            waiting.filter(next_at__lt=until).update(next_at=until)


def lift(*, order: Order, now: datetime) -> None:
    """Take the veil away: from now on the truth is told, and what waited is sent."""
    with transaction.atomic():
        current = Order.objects.get(pk=order.pk)
        current.extra = {name: value for name, value in current.extra.items() if name != "veil"}
        current.save(update_fields=["extra"])
        Notice.objects.filter(order=order, state=NoticeState.PENDING, next_at__gt=now).update(
            next_at=now
        )
