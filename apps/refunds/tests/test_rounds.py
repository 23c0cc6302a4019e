"""Rounds of questions about refunds: many at once, through the same code as one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

import apps.refunds.tasks  # noqa: F401  # registers the batch task, as a worker does
from apps.core import outbox, tasks
from apps.core.models import Due
from apps.core.money import Money
from apps.ledger.models import JournalEntry
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.gateway import Outcome, RefundResult
from apps.platforms.models import AccountPace, PlatformAccount
from apps.platforms.services import rounds
from apps.platforms.tests.fakes import HAPPENED_AT, FakeGateway
from apps.refunds.models import Refund, RefundState

TASK = "refunds.poll"


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    platform = FakeGateway()
    monkeypatch.setattr(rounds, "gateways_of", lambda callers: [platform] * len(callers))
    return platform


def begin(
    shop: Shop, account: PlatformAccount, platform: FakeGateway, *, count: int
) -> list[Refund]:
    """Refunds that the platform accepted and works on; a look at each is due."""
    made = []
    for _number in range(count):
        payment = make_paid(shop, account)
        refund = Refund.objects.create(
            payment=payment,
            store=payment.store,
            account=account,
            amount_minor=1_000,
            refund_no=f"R{payment.pk:020d}",
            reason="x",
            state=RefundState.PROCESSING,
            created_at=NOW,
            sent_at=NOW,
            accepted_at=NOW,
        )
        Payment.objects.filter(pk=payment.pk).update(refund_reserved_minor=1_000)
        platform.refunds[refund.refund_no] = RefundResult(
            outcome=Outcome.PENDING,
            order_no=payment.order_no,
            refund_no=refund.refund_no,
            amount=Money(1_000),
        )
        outbox.enqueue(task=TASK, merchant_id=shop.merchant.pk, subject_id=refund.pk, due_at=NOW)
        made.append(refund)
    Due.objects.exclude(task=TASK).delete()
    return made


def test_a_round_asks_about_all_and_applies_what_changed(shop: Shop, platform: FakeGateway) -> None:
    with inside(shop):
        refunds = begin(shop, make_account(shop), platform, count=6)
        before = JournalEntry.objects.count()
    platform.settle_refund(refunds[0].refund_no, at=HAPPENED_AT)
    platform.settle_refund(refunds[1].refund_no, Outcome.FAILED, code="REFUND_CLOSED")
    claims = outbox.claim(now=NOW, limit=500, task=TASK)
    tasks.run_claims(TASK, claims, now=NOW)
    assert len(platform.calls) == 6
    with inside(shop):
        found = list(Refund.objects.order_by("pk").values_list("state", "poll_count"))
        assert found == [
            (RefundState.SUCCEEDED, 1),
            (RefundState.FAILED, 1),
            *[(RefundState.PROCESSING, 1)] * 4,
        ]
        assert JournalEntry.objects.count() == before + 1
        reserved = Payment.objects.order_by("pk").values_list("refund_reserved_minor", flat=True)
        assert list(reserved) == [1_000, 0, *[1_000] * 4]
        assert AccountPace.objects.get().failures == 0
    dues = Due.objects.filter(task=TASK)
    assert {due.subject_id for due in dues} == {refund.pk for refund in refunds[2:]}
    # WeChat Pay is asked after a minute, each at a moment of its own.
    assert all(timedelta(seconds=54) < due.due_at - NOW < timedelta(seconds=66) for due in dues)


def test_one_that_never_arrived_is_sent_again(shop: Shop, platform: FakeGateway) -> None:
    with inside(shop):
        (refund,) = begin(shop, make_account(shop), platform, count=1)
        Refund.objects.update(state=RefundState.UNKNOWN)
    platform.refunds.clear()
    tasks.run_claims(TASK, outbox.claim(now=NOW, limit=9, task=TASK), now=NOW)
    assert Due.objects.get(task="refunds.send").subject_id == refund.pk


def test_a_round_costs_the_same_however_many_did_not_change(
    shop: Shop, platform: FakeGateway, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with inside(shop):
        account = make_account(shop)
        begin(shop, account, platform, count=1)
    tasks.run_claims(TASK, outbox.claim(now=NOW, limit=9, task=TASK), now=NOW)
    for count in (3, 30):
        Due.objects.all().delete()
        with inside(shop):
            begin(shop, account, platform, count=count)
        claims = outbox.claim(now=NOW, limit=500, task=TASK)
        assert len(claims) == count
        # As many as a round of payments takes: see there.
        with django_assert_num_queries(15):
            tasks.run_claims(TASK, claims, now=NOW)
        assert Due.objects.count() == count
