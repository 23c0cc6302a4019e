"""Ending an attempt where closing gives back what was paid (Shouqianba): the books and the platform always agree."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import pytest
from django.db import connection
from django.utils import translation
from typing_extensions import override

import apps.payments.tasks  # noqa: F401  # registers the batch task, as a worker does
from apps.core import outbox, tasks
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.tenancy import enter_scope
from apps.ledger.models import JournalEntry
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments import services
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.services import polling
from apps.payments.services.timing import LAST_LOOK
from apps.payments.tests.factories import PAYER, make_account, make_order, paid_result
from apps.platforms import registry
from apps.platforms.gateway import (
    Capability,
    Outcome,
    PaymentRef,
    PaymentResult,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
)
from apps.platforms.messages import explain
from apps.platforms.models import PlatformAccount
from apps.platforms.terminal_keys import terminal_replaced
from apps.platforms.tests.fakes import FakeGateway

#: When a code of Shouqianba is past its time, and the order is not.
END = NOW + timedelta(seconds=225)
SECOND = timedelta(seconds=1)
LOST = PlatformUnavailable("no answer", code="timeout")
TASK = "payments.poll"


class GivesBack(FakeGateway):
    """As Shouqianba: cancelling gives back what is paid, and what was never opened is unknown.

    ``before`` runs before a call of that name takes effect.
    """

    platform: ClassVar[Platform] = Platform.SHOUQIANBA
    close_gives_back: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], None]] = {}

    def kept(self, order_no: str) -> bool:
        """Whether the payer's money is with the platform."""
        told = self.payments.get(order_no)
        return told is not None and told.outcome is Outcome.SUCCEEDED

    @override
    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        told = super().query_payment(ref)
        # It changes after the answer was given.
        self.before.get("answer", lambda: None)()
        return told

    @override
    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        return self.query_payment(ref)

    @override
    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        self.before.get("reverse", lambda: None)()
        if ref.order_no not in self.payments:
            self.calls.append(("reverse_payment", ref.order_no))
            return PaymentResult(outcome=Outcome.CLOSED, order_no=ref.order_no, unseen=True)
        return super().reverse_payment(ref)

    @override
    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        raise AssertionError("what gives money back is ended by a reversal")


@dataclass
class Street:
    """A shop and the account that aggregates."""

    shop: Shop
    account: PlatformAccount
    platform: GivesBack
    #: What a notice says that was sent before the end.
    notices: dict[int, PaymentResult] = field(default_factory=dict)

    def begin(self, *, order: Order | None = None, wallet: str = "wechatpay") -> Payment:
        return services.start_payment(
            order_id=(order or make_order(self.shop)).pk,
            account_id=self.account.pk,
            product=Product.DYNAMIC_QR,
            wallet=wallet,
            now=NOW,
            actor=PAYER,
        )

    def pay(self, payment: Payment) -> None:
        """The payer pays; the platform sends a notice of it, which arrives whenever ``tell`` is called."""
        self.platform.pay(payment.order_no)
        self.notices[payment.pk] = paid_result(payment)

    def tell(self, payment: Payment, *, at: datetime = END, via: str = "notification") -> bool:
        told = self.notices.get(payment.pk) or paid_result(payment)
        return services.apply_payment_result(
            payment_id=payment.pk, result=told, via=via, now=at, actor=Actor.system(via)
        )

    def poll(self, payment: Payment, *, at: datetime = END) -> datetime | None:
        again = services.poll_payment(payment_id=payment.pk, now=at)
        payment.refresh_from_db()
        return again

    def agree(self, payment: Payment) -> bool:
        """Whether our books say what is true at the platform."""
        payment.refresh_from_db()
        ours = payment.state == PaymentState.SUCCEEDED
        booked = JournalEntry.objects.filter(subject_id=payment.pk, subject_kind="payment").exists()
        return ours == booked == self.platform.kept(payment.order_no)


def connect(monkeypatch: pytest.MonkeyPatch, platform: GivesBack) -> None:
    def gateway_for(**_rest: object) -> PlatformGateway:
        return platform

    class Aggregator(GivesBack):
        capabilities = FakeGateway.capabilities | {Capability.AGGREGATES}

    monkeypatch.setattr(registry, "gateway_for", gateway_for)
    monkeypatch.setitem(registry.CONNECTORS, Platform.SHOUQIANBA, Aggregator)


@pytest.fixture
def street(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    platform = GivesBack()
    connect(monkeypatch, platform)
    with inside(make_shop()) as shop:
        yield Street(shop, make_account(shop, platform="shouqianba"), platform)


def names(street: Street) -> list[str]:
    return [name for name, _argument in street.platform.calls if name != "create_payment"]


def test_past_its_time_it_is_asked_about_that_is_noted_and_it_is_reversed(street: Street) -> None:
    payment = street.begin()
    assert payment.expires_at == END
    assert street.poll(payment) is None
    assert names(street) == ["query_payment", "reverse_payment"]
    assert (payment.state, payment.ending_at) == (PaymentState.CLOSED, END)
    # Nothing can be paid by it any more: no last look.
    assert not Due.objects.filter(task=TASK, subject_id=payment.pk).exists()
    assert AuditEvent.objects.get(action="payment.closed").data["via"] == "reverse"


def test_in_rounds_it_is_noted_in_one_and_reversed_in_the_next(street: Street) -> None:
    payment = street.begin()

    def look(now: datetime) -> None:
        claims = outbox.claim(now=now, limit=10, task=TASK)
        tasks.run_claims(TASK, claims, now=now)
        payment.refresh_from_db()

    look(END)
    assert (payment.state, payment.ending_at) == (PaymentState.PENDING, END)
    assert names(street) == ["query_payment"]
    street.pay(payment)
    assert not street.tell(payment)
    look(END)
    assert names(street) == ["query_payment", "reverse_payment"]
    assert street.agree(payment)
    assert payment.state == PaymentState.CLOSED


def test_paid_and_told_before_it_is_noted_it_stays_paid(street: Street) -> None:
    """The notice comes while the answer to the last question is on its way."""
    payment = street.begin()

    def pay_and_tell() -> None:
        street.platform.before.clear()
        street.pay(payment)
        assert street.tell(payment)

    street.platform.before["answer"] = pay_and_tell
    assert street.poll(payment) is None
    assert payment.state == PaymentState.SUCCEEDED
    assert payment.ending_at is None
    assert names(street) == ["query_payment"]
    assert street.agree(payment)


@pytest.mark.parametrize("told", ["before the reversal", "after it"])
def test_paid_after_it_was_noted_it_goes_back(street: Street, told: str) -> None:
    payment = street.begin()

    def pay() -> None:
        street.pay(payment)
        if told == "before the reversal":
            assert not street.tell(payment)

    street.platform.before["reverse"] = pay
    street.poll(payment)
    street.platform.before.clear()
    if told == "after it":
        assert not street.tell(payment)
    assert payment.state == PaymentState.CLOSED
    assert AuditEvent.objects.filter(action="payment.doubted").count() == 1
    # The doubt is asked about by another reversal, which finds nothing to give back.
    assert street.poll(payment, at=END + SECOND) is None
    assert street.agree(payment)
    assert payment.state == PaymentState.CLOSED


@pytest.mark.parametrize("via", ["notification", "poll", "query", "bill"])
def test_without_the_note_the_books_would_say_paid(
    street: Street, monkeypatch: pytest.MonkeyPatch, via: str
) -> None:
    """The twin: what is ended like a code that cannot give back."""
    monkeypatch.setattr(registry, "close_gives_back", lambda _platform: False)
    monkeypatch.setattr(street.platform, "close_payment", street.platform.reverse_payment)
    payment = street.begin()
    street.platform.before["reverse"] = lambda: street.pay(payment)
    street.poll(payment)
    assert street.tell(payment, via=via)
    assert not street.agree(payment)


def test_a_lost_answer_to_the_reversal_is_not_made_up_for_by_a_question(street: Street) -> None:
    payment = street.begin()
    street.platform.before["reverse"] = lambda: street.pay(payment)
    street.platform.fail_next("reverse_payment", LOST, after=True)
    again = street.poll(payment)
    street.platform.before.clear()
    assert again is not None
    assert again - END >= timedelta(seconds=13)
    assert payment.state == PaymentState.PENDING
    street.tell(payment)
    services.refresh_payment(payment_id=payment.pk, now=END + SECOND)
    payment.refresh_from_db()
    assert payment.state != PaymentState.SUCCEEDED
    street.poll(payment, at=again)
    assert payment.state == PaymentState.CLOSED
    assert street.agree(payment)


def test_a_success_that_is_doubted_is_not_told_again_at_each_look(street: Street) -> None:
    payment = street.begin()
    street.platform.before["reverse"] = lambda: street.pay(payment)
    street.platform.fail_next("reverse_payment", LOST)
    again = street.poll(payment)
    street.tell(payment)
    street.pay(payment)
    for seconds in range(10):
        services.refresh_payment(payment_id=payment.pk, now=END + seconds * SECOND)
    assert AuditEvent.objects.filter(action="payment.doubted").count() == 1
    assert again is not None
    street.poll(payment, at=again)
    assert street.agree(payment)


def test_what_the_platform_does_not_give_back_is_paid(street: Street) -> None:
    payment = street.begin()
    street.poll(payment)
    street.platform.add_payment(paid_result(payment))
    street.tell(payment)
    street.platform.fail_next("reverse_payment", PlatformRejected("too late", code="YESTERDAY"))
    assert street.poll(payment, at=END + SECOND) is None
    assert payment.state == PaymentState.SUCCEEDED
    assert Order.objects.get().state == OrderState.PAID
    assert street.agree(payment)


@pytest.mark.parametrize("trouble", [LOST, PlatformRejected("no", code="INVALID_TERMINAL")])
def test_nothing_is_given_back_unasked(street: Street, trouble: Exception) -> None:
    """Its notice may be lost: without an answer to the last question nothing is ended."""
    payment = street.begin()
    street.pay(payment)
    street.platform.fail_next("query_payment", trouble)
    again = street.poll(payment)
    assert again is not None
    assert again > END
    assert names(street) == ["query_payment"]
    assert street.poll(payment, at=again) is None
    assert street.agree(payment)
    assert payment.state == PaymentState.SUCCEEDED


def test_what_another_terminal_would_have_to_ask_about_stays_unknown(street: Street) -> None:
    payment = street.begin()
    street.platform.fail_next("query_payment", terminal_replaced())
    assert street.poll(payment) is not None
    assert (payment.state, payment.code_text) == (PaymentState.UNKNOWN, "terminal_replaced")
    with translation.override("en"):
        assert "every hour" in str(explain(Platform.SHOUQIANBA, payment.code_text))
    assert Order.objects.get().state == OrderState.OPEN


def test_what_nobody_opened_may_still_be_paid(street: Street) -> None:
    """A page's address makes its order only once a wallet opens it: closing it touched nothing."""
    payment = street.begin()
    del street.platform.payments[payment.order_no]
    street.poll(payment)
    assert (payment.state, payment.ending_at) == (PaymentState.CLOSED, None)
    due: Due = Due.objects.get(task=TASK, subject_id=payment.pk)
    assert due.due_at == payment.payable_until + LAST_LOOK
    street.platform.add_payment(paid_result(payment))
    assert street.tell(payment)
    assert street.agree(payment)


def test_what_was_cancelled_in_the_console_is_not_paid_by_an_old_notice(street: Street) -> None:
    payment = street.begin()
    street.pay(payment)
    cancelled = PaymentResult(outcome=Outcome.CLOSED, order_no=payment.order_no, code="CANCELED")
    street.platform.add_payment(cancelled)
    street.poll(payment, at=NOW + SECOND)
    assert payment.state == PaymentState.CLOSED
    assert not street.tell(payment)
    assert street.poll(payment) is None
    assert street.agree(payment)


def test_other_attempts_of_a_paid_order_end_now(street: Street) -> None:
    order = make_order(street.shop)
    first, second = street.begin(order=order), street.begin(order=order, wallet="alipay")
    street.pay(first)
    paid_at = NOW + timedelta(seconds=30)
    street.tell(first, at=paid_at)
    second.refresh_from_db()
    assert second.expires_at == paid_at
    street.platform.before["reverse"] = lambda: street.pay(second)
    street.poll(second, at=paid_at)
    assert not street.tell(second, at=paid_at)
    assert street.agree(first)
    assert street.agree(second)
    # What was given back already is not refunded again.
    assert not Due.objects.filter(task="refunds.refund_duplicate").exists()
    assert AuditEvent.objects.filter(action="payment.second").count() == 0


# At the same moment


@pytest.fixture
def crowded(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Street:
    platform = GivesBack()
    connect(monkeypatch, platform)
    shop = make_shop()
    with enter_scope(shop.scope):
        return Street(shop, make_account(shop, platform="shouqianba"), platform)


def both(street: Street, payment: Payment, *, order: str) -> None:
    """A worker ends the payment while a notice of it is applied, in threads of their own, in this order."""
    told = threading.Event()

    def notice() -> None:
        try:
            with enter_scope(street.shop.scope):
                street.tell(payment)
        finally:
            told.set()
            connection.close()

    def end() -> None:
        try:
            with enter_scope(street.shop.scope):
                services.poll_payment(payment_id=payment.pk, now=END)
        finally:
            connection.close()

    with ThreadPoolExecutor() as threads:
        begun: list[Future[None]] = []

        def pay_and_tell() -> None:
            street.platform.before.clear()
            street.pay(payment)
            begun.append(threads.submit(notice))
            if order != "at once":
                told.wait(20)

        street.platform.before["answer" if order == "notice first" else "reverse"] = pay_and_tell
        threads.submit(end).result()
        for one in begun:
            one.result()


@pytest.mark.parametrize(
    ("order", "state"),
    [
        ("notice first", PaymentState.SUCCEEDED),
        ("note first", PaymentState.CLOSED),
        ("at once", PaymentState.CLOSED),
    ],
)
def test_in_either_order_the_books_are_right(
    crowded: Street, order: str, state: PaymentState
) -> None:
    with enter_scope(crowded.shop.scope):
        payment = crowded.begin()
        both(crowded, payment, order=order)
        assert crowded.agree(payment)
        assert payment.state == state


def test_without_the_note_one_order_is_wrong(
    crowded: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: the last question is asked, and nobody notes it."""
    monkeypatch.setattr(
        polling, "_WRITE", polling._WRITE.replace("WHEN mine.last AND", "WHEN false AND")
    )
    monkeypatch.setattr(
        polling,
        "plan",
        lambda payment, now: polling.Plan(polling.Ending.REVERSE, at_once=True),
    )
    with enter_scope(crowded.shop.scope):
        payment = crowded.begin()
        both(crowded, payment, order="note first")
        assert not crowded.agree(payment)


def unseen_at_the_end(street: Street) -> Payment:
    """An attempt whose page nobody has opened yet, ending together with its order."""
    order = make_order(street.shop)
    payment = services.start_payment(
        order_id=order.pk,
        account_id=street.account.pk,
        product=Product.DYNAMIC_QR,
        wallet="wechatpay",
        now=order.expires_at - 60 * SECOND,
        actor=PAYER,
    )
    assert payment.expires_at == payment.payable_until == order.expires_at
    del street.platform.payments[payment.order_no]
    return payment


def test_what_is_opened_and_paid_while_its_ending_is_under_way_is_found(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reversal found nothing; before its answer is applied the payer pays, and the doubted notice must not be the end."""
    payment = unseen_at_the_end(street)
    end = payment.expires_at
    reverse = street.platform.reverse_payment

    def slow(ref: PaymentRef) -> PaymentResult:
        told = reverse(ref)
        street.platform.add_payment(paid_result(payment, at=end))
        street.tell(payment, at=end)
        return told

    monkeypatch.setattr(street.platform, "reverse_payment", slow)
    street.poll(payment, at=end)
    monkeypatch.undo()
    connect(monkeypatch, street.platform)
    due = Due.objects.get(task=TASK, subject_id=payment.pk)
    street.poll(payment, at=due.due_at)
    assert street.agree(payment)
    assert payment.state == PaymentState.SUCCEEDED


def test_what_is_opened_after_the_orders_end_is_found_though_its_notice_is_lost(
    street: Street,
) -> None:
    payment = unseen_at_the_end(street)
    end = payment.expires_at
    street.poll(payment, at=end)
    assert payment.state == PaymentState.CLOSED
    street.platform.add_payment(paid_result(payment, at=end + 5 * SECOND))
    assert Due.objects.get(task=TASK, subject_id=payment.pk).due_at == end + LAST_LOOK
    street.poll(payment, at=end + LAST_LOOK)
    assert street.agree(payment)
