"""Rounds of questions about payments: many at once, of many merchants, and none spoils another."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings
from typing_extensions import override

import apps.payments.tasks  # noqa: F401  # registers the batch task, as a worker does
from apps.core import outbox, tasks
from apps.core.models import Due
from apps.core.money import Money
from apps.ledger.models import JournalEntry
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.services import poll_payment, poll_payments
from apps.payments.services.timing import LAST_LOOK, TOO_OFTEN_REST
from apps.payments.tests.factories import make_account, make_payment
from apps.platforms.gateway import (
    AskedTooOften,
    Outcome,
    PaymentRef,
    PaymentResult,
    PlatformGateway,
    PlatformUnavailable,
    Product,
)
from apps.platforms.models import AccountPace, PlatformAccount
from apps.platforms.services import rounds
from apps.platforms.services.asking import TOO_OFTEN
from apps.platforms.services.gateways import Caller
from apps.platforms.services.pacing import BREAKER, RATE_LIMIT, THRESHOLD
from apps.platforms.tests.fakes import FakeGateway

TASK = "payments.poll"
#: What a round calls.
ASKED = "query_payment_async"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class Annoyed(FakeGateway):
    """Was asked too often."""

    @override
    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        raise AskedTooOften("已超过最大查询次数或操作过于频繁", code="37")


class Mute(FakeGateway):
    """Never answers."""

    @override
    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        raise PlatformUnavailable("no answer in 10 seconds", code="timeout")


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    """The platform of every account whose label is no gateway's below."""
    return use(monkeypatch, {})


def use(monkeypatch: pytest.MonkeyPatch, others: dict[str, PlatformGateway]) -> FakeGateway:
    """Let accounts be served by the gateway of their label, all others by one that is returned."""
    common = FakeGateway()

    def gateways_of(callers: Sequence[Caller]) -> list[PlatformGateway]:
        return [others.get(caller.account.label, common) for caller in callers]

    monkeypatch.setattr(rounds, "gateways_of", gateways_of)
    return common


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


def begin(
    shop: Shop, account: PlatformAccount, platform: FakeGateway, *, count: int = 1
) -> list[Payment]:
    """Payments that the platform knows and nobody has paid; their first look is due after five seconds."""
    made = []
    for _number in range(count):
        payment = make_payment(shop, account)
        Payment.objects.filter(pk=payment.pk).update(state=PaymentState.PENDING)
        platform.add_payment(
            PaymentResult(
                outcome=Outcome.PENDING,
                order_no=payment.order_no,
                amount=Money(payment.amount_minor),
                code="NOTPAY",
            )
        )
        made.append(payment)
    Due.objects.exclude(task=TASK).delete()
    return made


def look(now: datetime) -> int:
    """One round over all that is due."""
    claims = outbox.claim(now=now, limit=500, task=TASK)
    tasks.run_claims(TASK, claims, now=now)
    return len(claims)


def states(payments: Collection[Payment]) -> list[str]:
    found = Payment.objects.in_bulk([payment.pk for payment in payments])
    return [found[payment.pk].state for payment in payments]


def test_a_round_asks_about_all_and_applies_what_changed(shop: Shop, platform: FakeGateway) -> None:
    with inside(shop):
        payments = begin(shop, make_account(shop), platform, count=20)
        for payment in payments[::4]:
            platform.pay(payment.order_no)
    now = NOW + 6 * SECOND
    assert look(now) == 20
    assert platform.count(ASKED) == 20
    with inside(shop):
        assert states(payments) == [
            PaymentState.PENDING if place % 4 else PaymentState.SUCCEEDED for place in range(20)
        ]
        assert Order.objects.filter(state=OrderState.PAID).count() == 5
        assert JournalEntry.objects.count() == 5
        assert set(Payment.objects.values_list("poll_count", "last_polled_at")) == {(1, now)}
    # Those that are over are asked about no more; the others at the next age, each at a moment of its own.
    dues = list(Due.objects.filter(task=TASK))
    assert len(dues) == 15
    assert len({due.due_at for due in dues}) > 10
    assert all(now + 3 * SECOND < due.due_at < now + 5 * SECOND for due in dues)
    assert {(due.attempts, due.claimed_until, due.last_error) for due in dues} == {(0, None, "")}


def test_one_look_and_a_round_end_alike(shop: Shop, platform: FakeGateway) -> None:
    now = NOW + 6 * SECOND
    with inside(shop):
        account = make_account(shop)
        one, other = begin(shop, account, platform, count=2)
        for payment in (one, other):
            platform.pay(payment.order_no)
        assert poll_payment(payment_id=one.pk, now=now) is None
    assert look(now) == 1
    with inside(shop):
        facts = ("state", "poll_count", "last_polled_at", "message", "code_text", "paid_at")
        first, second = Payment.objects.order_by("pk").values(*facts)
        assert first == second


def test_a_round_costs_the_same_however_many_did_not_change(
    shop: Shop, platform: FakeGateway, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with inside(shop):
        account = make_account(shop)
        begin(shop, account, platform, count=2)
    look(NOW + 6 * SECOND)
    counts = []
    for count, later in ((3, 30), (40, 60)):
        with inside(shop):
            Due.objects.all().delete()
            begin(shop, account, platform, count=count)
        now = NOW + later * SECOND
        claims = outbox.claim(now=now, limit=500, task=TASK)
        assert len(claims) == count
        with django_assert_num_queries(ROUND_STATEMENTS):
            tasks.run_claims(TASK, claims, now=now)
        counts.append(Due.objects.count())
    assert counts == [3, 40]


#: Two scopes entered and left (4), payments, accounts, slots (begin, lock, store, end), what was noted, the account's
#: report (update, begin, end), and the dues put off.
ROUND_STATEMENTS = 15


def test_merchants_do_not_mix_and_one_s_trouble_is_its_own(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = use(monkeypatch, {"broken": Mute()})
    tea, bar = make_shop("tea"), make_shop("bar")
    made = {}
    for shop in (tea, bar):
        with inside(shop):
            account = make_account(shop, merchant_no=f"19{shop.merchant.pk:08d}")
            made[shop.merchant.pk] = begin(shop, account, platform, count=3)
    with inside(bar):
        PlatformAccount.objects.update(label="broken")
    for payment in made[tea.merchant.pk]:
        platform.pay(payment.order_no)
    assert look(NOW + 6 * SECOND) == 6
    with inside(tea):
        assert states(made[tea.merchant.pk]) == [PaymentState.SUCCEEDED] * 3
    with inside(bar):
        assert states(made[bar.merchant.pk]) == [PaymentState.PENDING] * 3
        assert set(Payment.objects.values_list("message", flat=True)) == {"no answer in 10 seconds"}
        assert AccountPace.objects.get().failures == 3


def test_asked_too_often_slows_down_the_payment_and_not_the_account(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = use(monkeypatch, {"wechatpay": Annoyed()})
    with inside(shop):
        begin(shop, make_account(shop), platform, count=THRESHOLD + 1)
    now = NOW + 6 * SECOND
    assert look(now) == THRESHOLD + 1
    with inside(shop):
        pace = AccountPace.objects.get()
        assert (pace.failures, pace.open_until) == (0, None)
        dues = Due.objects.filter(task=TASK)
        assert {due.last_error for due in dues} == {TOO_OFTEN}
        assert min(due.due_at for due in dues) >= now + TOO_OFTEN_REST * 0.9
        assert set(Payment.objects.values_list("state", flat=True)) == {PaymentState.PENDING}


def test_one_that_cannot_be_applied_costs_none_of_the_others(
    shop: Shop, platform: FakeGateway
) -> None:
    with inside(shop):
        good, bad, fine = begin(shop, make_account(shop), platform, count=3)
        for payment in (good, bad, fine):
            platform.pay(payment.order_no)
        # Another amount than was asked for: refused, and noted.
        said = platform.payments[bad.order_no]
        platform.payments[bad.order_no] = replace(said, amount=Money(1))
    look(NOW + 6 * SECOND)
    with inside(shop):
        assert states([good, bad, fine]) == [
            PaymentState.SUCCEEDED,
            PaymentState.PENDING,
            PaymentState.SUCCEEDED,
        ]
        bad.refresh_from_db()
        assert "amount" in bad.message
    assert Due.objects.get(task=TASK).subject_id == bad.pk


def test_the_breaker_stops_a_silent_platform_and_one_answer_lets_all_through(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent: dict[str, PlatformGateway] = {"wechatpay": Mute()}
    platform = use(monkeypatch, silent)
    with inside(shop):
        begin(shop, make_account(shop), platform, count=60)
    look(NOW + 6 * SECOND)
    with inside(shop):
        pace = AccountPace.objects.get()
        assert pace.failures >= THRESHOLD
        assert pace.open_until is not None
        opens_at = pace.open_until
    # Those whose turn had not come are not asked about; while it is open nobody is.
    Due.objects.update(due_at=NOW + 7 * SECOND)
    assert look(NOW + 7 * SECOND) == 60
    assert set(Due.objects.values_list("last_error", flat=True)) == {BREAKER}
    assert set(Due.objects.values_list("due_at", flat=True)) >= {opens_at}
    del silent["wechatpay"]
    Due.objects.update(due_at=opens_at)
    assert look(opens_at) == 60
    assert platform.count(ASKED) == 1
    with inside(shop):
        assert AccountPace.objects.get().open_until is None
    Due.objects.update(due_at=opens_at + SECOND)
    look(opens_at + SECOND)
    assert platform.count(ASKED) == 61


def test_what_the_rate_leaves_over_comes_later_each_at_its_own_slot(
    shop: Shop, platform: FakeGateway, settings: Settings
) -> None:
    settings.PLATFORM_CALLS_PER_SECOND = {"wechatpay": 200}
    settings.PLATFORM_CALLS_PER_SECOND_FAILING = {"wechatpay": 5}
    with inside(shop):
        account = make_account(shop)
        begin(shop, account, platform, count=10)
        # All slots of the next five seconds but four are taken.
        now = NOW + 6 * SECOND
        AccountPace.objects.create(account=account, next_slot_at=now + timedelta(seconds=4.985))
        AccountPace.objects.update(failures=0)
    claims = outbox.claim(now=now, limit=500, task=TASK)
    first = next(iter(poll_payments(claims, now=now)))
    assert [end.reason for end in first] == [RATE_LIMIT] * 6
    moments = [end.next_at for end in first]
    assert moments == [now + timedelta(milliseconds=5005 + 5 * place) for place in range(6)]


def test_what_a_killed_worker_held_comes_back(shop: Shop, platform: FakeGateway) -> None:
    with inside(shop):
        begin(shop, make_account(shop), platform, count=5)
    now = NOW + 6 * SECOND
    held = outbox.claim(now=now, limit=500, task=TASK)
    # It began and said nothing more.
    next(iter(poll_payments(held[:0], now=now)), None)
    assert outbox.claim(now=now + MINUTE, limit=500, task=TASK) == []
    again = now + outbox.LEASE
    assert look(again) == 5
    assert platform.count(ASKED) == 5
    # Should it be alive after all, its end does no harm.
    outbox.settle([outbox.Ended(claim=claim, next_at=None) for claim in held])
    assert Due.objects.filter(task=TASK).count() == 0


@pytest.mark.django_db(transaction=True)
def test_two_workers_in_a_round_each_ask_about_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform = use(monkeypatch, {})
    shop = make_shop()
    with inside(shop):
        payments = begin(shop, make_account(shop), platform, count=30)
        for payment in payments:
            platform.pay(payment.order_no)
    together = threading.Barrier(2)
    now = NOW + 6 * SECOND

    def work() -> None:
        together.wait(5)
        while claims := outbox.claim(now=now, limit=5, task=TASK):
            tasks.run_claims(TASK, claims, now=now)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(order_no for method, order_no in platform.calls) == sorted(
        payment.order_no for payment in payments
    )
    with inside(shop):
        assert set(states(payments)) == {PaymentState.SUCCEEDED}
        assert JournalEntry.objects.count() == 30


def test_what_is_past_its_time_is_asked_about_and_closed(shop: Shop, platform: FakeGateway) -> None:
    with inside(shop):
        late, paid = begin(shop, make_account(shop), platform, count=2)
        platform.pay(paid.order_no)
    now = late.expires_at
    look(now)
    assert [method for method, _ in platform.calls].count("close_payment") == 1
    with inside(shop):
        assert states([late, paid]) == [PaymentState.CLOSED, PaymentState.SUCCEEDED]


def test_one_closed_early_is_looked_at_once_more_after_its_time(
    shop: Shop, platform: FakeGateway
) -> None:
    with inside(shop):
        (payment,) = begin(shop, make_account(shop), platform)
        Payment.objects.update(expires_at=NOW + MINUTE)
        payable_until = payment.payable_until
    look(NOW + MINUTE)
    with inside(shop):
        assert states([payment]) == [PaymentState.CLOSED]
    due = Due.objects.get(task=TASK)
    assert due.due_at == payable_until + LAST_LOOK
    # It was scanned and paid after all.
    platform.payments[payment.order_no] = replace(
        platform.payments[payment.order_no], outcome=Outcome.PENDING
    )
    platform.pay(payment.order_no)
    look(due.due_at)
    with inside(shop):
        assert states([payment]) == [PaymentState.SUCCEEDED]
    assert Due.objects.filter(task=TASK).count() == 0


def test_a_last_look_that_the_platform_never_answers_ends_after_two_days(
    shop: Shop, platform: FakeGateway
) -> None:
    """UnionPay may stay undecided for ever; its bill tells."""
    with inside(shop):
        (payment,) = begin(shop, make_account(shop), platform)
        Payment.objects.update(expires_at=NOW + MINUTE)
    look(NOW + MINUTE)
    platform.payments[payment.order_no] = replace(
        platform.payments[payment.order_no], outcome=Outcome.UNKNOWN, code="04"
    )
    end = payment.payable_until + timedelta(days=2)
    while Due.objects.filter(task=TASK, due_at__lt=end).exists():
        look(Due.objects.get(task=TASK).due_at)
    assert len(platform.calls) > 48
    due: Due = Due.objects.get(task=TASK)
    assert due.due_at < end + timedelta(hours=2)
    look(due.due_at)
    assert not Due.objects.filter(task=TASK).exists()


def test_a_payer_s_code_past_its_time_is_reversed_until_that_is_certain(
    shop: Shop, platform: FakeGateway
) -> None:
    with inside(shop):
        (payment,) = begin(shop, make_account(shop), platform)
        Payment.objects.update(product=Product.BARCODE, expires_at=NOW + 30 * SECOND)
    platform.reversal_outcome = Outcome.PENDING
    now = NOW + 30 * SECOND
    for _look in range(4):
        look(now)
        now = Due.objects.get(task=TASK).due_at
    # One last question, then reversals only, again and again.
    methods = [method for method, _ in platform.calls]
    assert methods[0] == ASKED
    assert methods.count("reverse_payment") == 3
    assert "close_payment" not in methods
    platform.reversal_outcome = Outcome.CLOSED
    look(now)
    with inside(shop):
        assert states([payment]) == [PaymentState.CLOSED]
    assert Due.objects.filter(task=TASK).count() == 0
