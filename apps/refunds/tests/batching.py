"""What the tests of batches share: choosing, starting, letting the dues run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import connection

from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.tasks import drain
from apps.merchants.tests.factories import NOW, Shop
from apps.refunds import services
from apps.refunds.models import RefundBatch, RefundBatchRow
from apps.refunds.selectors import BatchWish, Choice, preview


def wish(**changes: object) -> BatchWish:
    """A wish that takes every payment, whole, unless told otherwise."""
    facts: dict[str, object] = {"reason": "活动取消", "amount_min": 1, **changes}
    return BatchWish(**facts)  # type: ignore[arg-type]  # the caller names the fields


@contextmanager
def unguarded() -> Iterator[None]:
    """The database's guard of what a batch is to do is off: what is behind it must hold by itself."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE refunds_refundbatchrow DISABLE TRIGGER four_eyes")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE refunds_refundbatchrow ENABLE TRIGGER four_eyes")


def look(shop: Shop, wanted: BatchWish, *, role: str = "manager", now: datetime = NOW) -> Choice:
    """The preview of a member."""
    return preview(wanted, member_id=shop[role].pk, now=now)


def start(
    shop: Shop,
    wanted: BatchWish,
    *,
    role: str = "manager",
    nonce: str = "n",
    shown: Choice | None = None,
    now: datetime = NOW,
) -> RefundBatch:
    """What a member confirms who saw ``shown``, or what is there now."""
    shown = shown or look(shop, wanted, role=role, now=now)
    return services.start_batch(
        wish=wanted,
        seal=shown.seal,
        cover=(shown.confirmations, shown.permission),
        nonce=nonce,
        member=shop[role],
        actor=Actor(shop[role].email, shop[role].pk),
        now=now,
    )


def run_dues(*, minutes: float = 60, now: datetime = NOW) -> None:
    """Let the refunds' dues of the next minutes come and go."""
    end = now + timedelta(minutes=minutes)
    while now <= end:
        drain(now=now)
        due = Due.objects.filter(task__startswith="refunds.").order_by("due_at").first()
        if due is None:
            return
        now = max(due.due_at, now + timedelta(seconds=1))


def rows_of(batch: RefundBatch) -> dict[int, str]:
    """Each row's state, and its problem after a colon, by payment."""
    return {
        row.payment_id: f"{row.state}:{row.problem}" if row.problem else row.state
        for row in RefundBatchRow.objects.filter(batch=batch)
    }
