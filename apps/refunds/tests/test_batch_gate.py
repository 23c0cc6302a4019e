"""What was confirmed of a batch is all that is done, whoever types the SQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import DatabaseError, transaction

from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.refunds import services
from apps.refunds.models import Refund, RefundBatch, RefundBatchRow, RefundState
from apps.refunds.services.batch_running import ChangedAfterYes, run_batch
from apps.refunds.tests.batching import start, unguarded, wish
from apps.refunds.tests.test_batches import pay, publish, vote


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def confirmed(shop: Shop) -> tuple[RefundBatch, Payment]:
    """A batch of ¥10.00 of each of two payments, confirmed and not begun; and the first of them."""
    first, _second = pay(shop, make_account(shop, platform="alipay"), 30_000, 40_000)
    publish({"rules": [], "otherwise": "one_finance"})
    batch = start(shop, wish(share_kind="fixed", share_value=1_000))
    assert batch.approval is not None
    vote(shop, batch.approval, "finance")
    return batch, first


def test_no_row_is_raised_added_or_taken_away(shop: Shop) -> None:
    batch, first = confirmed(shop)
    third = make_paid(shop, first.account, minor=50_000)
    rows = RefundBatchRow.objects.filter(batch=batch)
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        rows.filter(payment=first).update(amount_minor=30_000)
    with pytest.raises(DatabaseError, match="never deleted"), transaction.atomic():
        rows.filter(payment=first).delete()
    with pytest.raises(DatabaseError, match="nothing is added"), transaction.atomic():
        RefundBatchRow.objects.create(
            batch=batch, payment=third, amount_minor=50_000, refund_no="R1", outcome="at_once"
        )
    run_batch(batch_id=batch.pk, now=NOW)
    assert list(Refund.objects.values_list("amount_minor", flat=True)) == [1_000, 1_000]


def test_a_list_that_is_not_the_confirmed_one_is_not_run(shop: Shop) -> None:
    """Without the database's guard the worker finds it out."""
    batch, first = confirmed(shop)
    with unguarded():
        RefundBatchRow.objects.filter(batch=batch, payment=first).update(amount_minor=30_000)
    with pytest.raises(ChangedAfterYes):
        run_batch(batch_id=batch.pk, now=NOW)
    assert not Refund.objects.exists()


def test_its_approval_lets_no_other_refund_through(shop: Shop) -> None:
    batch, first = confirmed(shop)
    run_batch(batch_id=batch.pk, now=NOW)
    other = services.request_refund(
        payment_id=first.pk,
        amount=Money(1_000),
        reason="x",
        member=shop["cashier"],
        actor=Actor("t"),
        now=NOW,
    )
    assert other.state == RefundState.WAITING
    with pytest.raises(DatabaseError, match="not taken away"), transaction.atomic():
        Refund.objects.filter(pk=other.pk).update(approval=batch.approval, state=RefundState.READY)


def test_what_the_platform_says_of_a_refund_made_before_is_still_heard(shop: Shop) -> None:
    """A row that is tried again has another number; the first refund's late answer must find its way."""
    batch, first = confirmed(shop)
    run_batch(batch_id=batch.pk, now=NOW)
    refund = Refund.objects.get(payment=first)
    RefundBatchRow.objects.filter(refund=refund).update(refund_no="R2")
    Refund.objects.filter(pk=refund.pk).update(state=RefundState.PROCESSING)
    Refund.objects.filter(pk=refund.pk).update(state=RefundState.ABNORMAL)
