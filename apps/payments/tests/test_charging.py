"""Taking a payment by the payer's code: one call, then questions, then a reversal; and what is not believed after that."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import translation

from apps.core.audit import Actor
from apps.core.models import AuditEvent, Door, Due
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.ledger.models import JournalEntry
from apps.merchants.models import Store, Terminal
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments import services
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.selectors import payment_ref
from apps.payments.services import charging
from apps.payments.services.polling import Ending, Plan, plan
from apps.payments.tests.factories import make_account, paid_result
from apps.platforms import messages, registry
from apps.platforms.gateway import (
    BarcodeRequest,
    Capability,
    Outcome,
    PaymentRef,
    PaymentResult,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.services import notify_url
from apps.platforms.terminal_keys import terminal_replaced
from apps.platforms.tests.fakes import FakeGateway

CASHIER = Actor("cashier@tea.test", None, "203.0.113.9", "till")
CODE = "134567890123456789"
END = NOW + timedelta(seconds=30)
LOST = PlatformUnavailable("no answer", code="timeout")


class Echoing(FakeGateway):
    """As UnionPay: what was once paid is called a success for ever, reversed or not."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, PaymentResult] = {}

    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        """A success that was reversed is still told as one."""
        return self.taken.get(ref.order_no) or super().query_payment(ref)

    def pay(self, order_no: str, **how: object) -> PaymentResult:
        """The payer pays, which is never forgotten."""
        self.taken[order_no] = super().pay(order_no, **how)  # type: ignore[arg-type]  # as the base class
        return self.taken[order_no]


@dataclass
class Till:
    """A shop, the account that takes WeChat codes, and the platform."""

    shop: Shop
    account: PlatformAccount
    platform: FakeGateway

    def charge(
        self,
        *,
        code: str = CODE,
        minor: int = 1_250,
        nonce: str = "n" * 20,
        now: datetime = NOW,
        terminal_id: int | None = None,
        store_id: int | None = None,
    ) -> Payment:
        return services.charge_barcode(
            store_id=store_id or self.shop.store.pk,
            amount=Money(minor),
            subject="龙井一杯",
            note="靠窗",
            auth_code=code,
            nonce=nonce,
            terminal_id=terminal_id,
            member=self.shop["cashier"],
            now=now,
            actor=CASHIER,
        )

    def poll(self, payment: Payment, *, at: datetime) -> datetime | None:
        again = services.poll_payment(payment_id=payment.pk, now=at)
        payment.refresh_from_db()
        return again

    def tell(self, payment: Payment, *, at: datetime, via: str = "notification") -> bool:
        """The platform says, late or early, that it was paid."""
        changed = services.apply_payment_result(
            payment_id=payment.pk,
            result=paid_result(payment, at=at),
            via=via,
            now=at,
            actor=Actor.system(via),
        )
        payment.refresh_from_db()
        return changed


def connect(monkeypatch: pytest.MonkeyPatch, platform: FakeGateway) -> None:
    def gateway_for(**_rest: object) -> PlatformGateway:
        return platform

    monkeypatch.setattr(registry, "gateway_for", gateway_for)
    for name in registry.CONNECTORS:
        monkeypatch.setitem(registry.CONNECTORS, name, FakeGateway)


@pytest.fixture
def till(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    platform = FakeGateway()
    connect(monkeypatch, platform)
    with inside(make_shop()) as shop:
        yield Till(shop, make_account(shop), platform)


def due_of(payment: Payment) -> datetime:
    due: Due = Due.objects.get(task="payments.poll", subject_id=payment.pk)
    return due.due_at


# Paid, refused, waited for


def test_paid_at_once(till: Till) -> None:
    payment = till.charge()
    order = Order.objects.get()
    assert (payment.state, payment.product, payment.wallet) == ("succeeded", "barcode", "wechatpay")
    assert (order.state, order.taken_by, order.note) == ("paid", till.shop["cashier"], "靠窗")
    assert JournalEntry.objects.count() == 1
    assert not Due.objects.filter(task="payments.poll").exists()
    event = AuditEvent.objects.get(action="payment.succeeded")
    assert (event.data["via"], event.actor) == ("charge", "cashier@tea.test")


def test_the_platform_is_told_what_it_must_know(till: Till) -> None:
    payment = till.charge()
    [(_, request)] = till.platform.calls
    assert request == BarcodeRequest(
        order_no=payment.order_no,
        auth_code=CODE,
        amount=Money(1_250),
        subject="龙井一杯",
        began_at=NOW,
        expires_at=END,
        notify_url=notify_url(till.account),
        store_ref=str(till.shop.store.pk),
        operator=str(till.shop["cashier"].pk),
        client_ip="203.0.113.9",
    )


def test_the_payer_types_a_password_and_the_poller_hears_of_it(till: Till) -> None:
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    assert (payment.state, payment.expires_at) == (PaymentState.PENDING, END)
    assert due_of(payment) == NOW + timedelta(seconds=2)
    again = till.poll(payment, at=NOW + timedelta(seconds=2))
    assert again is not None
    assert again < END
    till.platform.pay(payment.order_no)
    assert till.poll(payment, at=NOW + timedelta(seconds=10)) is None
    assert payment.state == PaymentState.SUCCEEDED
    assert till.platform.count("pay_barcode") == 1
    assert till.platform.count("reverse_payment") == 0


def test_a_refused_code_closes_its_order_and_says_why(till: Till) -> None:
    till.platform.fail_next("pay_barcode", PlatformRejected("raw text", code="NOTENOUGH"))
    payment = till.charge()
    order = Order.objects.get()
    assert (payment.state, payment.code_text, order.state) == ("failed", "NOTENOUGH", "closed")
    assert payment.message
    assert JournalEntry.objects.count() == 0
    # The next code is another order; the platform was not asked again about this one.
    second = till.charge(code="134567890123456788", nonce="m" * 20)
    assert second.state == PaymentState.SUCCEEDED
    assert Order.objects.count() == 2


class Aggregator(FakeGateway):
    """A platform that takes all wallets' codes."""

    capabilities = FakeGateway.capabilities | {Capability.AGGREGATES, Capability.TERMINALS}


@pytest.fixture
def aggregated(till: Till, monkeypatch: pytest.MonkeyPatch) -> Till:
    monkeypatch.setitem(registry.CONNECTORS, Platform.SHOUQIANBA, Aggregator)
    PlatformAccount.objects.update(platform="shouqianba")
    return till


@pytest.mark.parametrize("code", ["key_refused", "terminal_off", "terminal_unknown"])
def test_a_charge_refused_for_its_terminal_has_failed_at_once(aggregated: Till, code: str) -> None:
    """The connector says so only where the platform did not look at it: there is nothing to ask about or to reverse."""
    till = aggregated
    till.platform.fail_next("pay_barcode", PlatformRejected("签名错误", code=code))
    payment = till.charge()
    assert (payment.state, payment.code_text) == (PaymentState.FAILED, code)
    with translation.override("en"):
        assert messages.says_nothing_moved(payment.platform, payment.code_text)
    assert Order.objects.get().state == OrderState.CLOSED
    assert not Due.objects.filter(task="payments.poll").exists()
    assert till.charge(code="134567890123456788", nonce="m" * 20).state == PaymentState.SUCCEEDED


def test_a_charge_of_unknown_end_about_which_nobody_may_ask_stays_unknown(aggregated: Till) -> None:
    till = aggregated
    till.platform.fail_next("pay_barcode", LOST, after=True)
    payment = till.charge()
    till.platform.fail_next("query_payment", PlatformUnavailable("签名错误", code="ILLEGAL_SIGN"))
    till.poll(payment, at=NOW + timedelta(seconds=2))
    assert payment.state == PaymentState.UNKNOWN
    for at in (NOW + timedelta(seconds=9), payment.expires_at, payment.expires_at):
        for name in ("query_payment", "reverse_payment"):
            till.platform.fail_next(name, terminal_replaced())
        assert till.poll(payment, at=at) is not None
        assert payment.state == PaymentState.UNKNOWN
    assert Order.objects.get().state == OrderState.OPEN
    # Its key found again, the truth comes out, and what nobody handed over goes back.
    till.platform._failures.clear()
    till.poll(payment, at=payment.expires_at + timedelta(hours=1))
    assert payment.state == PaymentState.CLOSED


def test_success_after_a_refusal_counts_since_the_money_is_there(till: Till) -> None:
    till.platform.fail_next("pay_barcode", PlatformRejected("no", code="SYSTEMERROR"))
    payment = till.charge()
    assert till.tell(payment, at=NOW + timedelta(minutes=1))
    assert payment.state == PaymentState.SUCCEEDED
    assert Order.objects.get().state == OrderState.PAID


@pytest.mark.parametrize("took_effect", [True, False])
def test_a_lost_answer_is_followed_by_a_question_and_never_by_a_second_call(
    till: Till, took_effect: bool
) -> None:
    till.platform.fail_next("pay_barcode", LOST, after=took_effect)
    payment = till.charge()
    assert payment.state == PaymentState.UNKNOWN
    till.poll(payment, at=NOW + timedelta(seconds=2))
    expected = PaymentState.SUCCEEDED if took_effect else PaymentState.UNKNOWN
    assert payment.state == expected
    assert till.platform.count("pay_barcode") == 1


def test_another_amount_in_the_answer_is_not_believed(till: Till) -> None:
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    till.platform.fail_next("query_payment", LOST)
    till.platform.pay(payment.order_no, amount=Money(1))
    other = replace(till.platform.payments[payment.order_no], order_no="x")
    till.platform.pay_barcode = lambda request: replace(other, order_no=request.order_no)  # type: ignore[method-assign]  # an answer the fake would not give
    second = till.charge(nonce="m" * 20, code="134567890123456788")
    assert (second.state, second.code_text) == (PaymentState.UNKNOWN, "bad_answer")
    assert JournalEntry.objects.count() == 0


# Reversed


def test_past_its_time_it_is_asked_about_once_more_and_then_reversed(till: Till) -> None:
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    assert till.poll(payment, at=END) == END
    assert till.platform.count("reverse_payment") == 0
    assert till.poll(payment, at=END) is None
    assert (payment.state, Order.objects.get().state) == ("closed", "closed")
    names = [name for name, _ in till.platform.calls]
    assert names == ["pay_barcode", "query_payment", "reverse_payment"]
    assert not Due.objects.filter(task="payments.poll", subject_id=payment.pk).exists()


def test_paid_in_the_last_second_is_paid_and_not_reversed(till: Till) -> None:
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    till.platform.pay(payment.order_no)
    assert till.poll(payment, at=END) is None
    assert payment.state == PaymentState.SUCCEEDED
    assert till.platform.count("reverse_payment") == 0


def test_giving_up_reverses_at_once(till: Till) -> None:
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    given_up = NOW + timedelta(seconds=8)
    services.close_order(order_id=payment.order_id, now=given_up, actor=CASHIER)
    assert due_of(payment) == NOW + timedelta(seconds=2)
    till.poll(payment, at=given_up)
    till.poll(payment, at=given_up)
    assert (payment.state, Order.objects.get().state) == ("closed", "closed")
    # A last look serves codes that can still be scanned; this one is dead.
    assert not Due.objects.filter(task="payments.poll", subject_id=payment.pk).exists()


def test_what_is_reversed_again_later_stays_open_until_then(till: Till) -> None:
    till.platform.barcode_outcome = Outcome.PENDING
    till.platform.reversal_outcome = Outcome.PENDING
    payment = till.charge()
    till.poll(payment, at=END)
    again = till.poll(payment, at=END)
    assert again is not None
    assert timedelta(seconds=4) <= again - END <= timedelta(seconds=6)
    assert payment.state == PaymentState.PENDING
    assert Order.objects.get().state == OrderState.OPEN
    till.platform.reversal_outcome = Outcome.CLOSED
    till.poll(payment, at=again)
    assert payment.state == PaymentState.CLOSED


def test_a_reversal_that_is_refused_leaves_the_word_to_a_question(till: Till) -> None:
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    till.poll(payment, at=END)
    till.platform.pay(payment.order_no)
    till.platform.fail_next("reverse_payment", PlatformRejected("too late", code="TRADE_ERROR"))
    assert till.poll(payment, at=END) is None
    assert payment.state == PaymentState.SUCCEEDED
    assert AuditEvent.objects.get(action="payment.succeeded").data["via"] == "reverse"


# What is said after a reversal


def reversed_payment(till: Till) -> Payment:
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    till.poll(payment, at=END)
    till.poll(payment, at=END)
    assert payment.state == PaymentState.CLOSED
    return payment


@pytest.mark.parametrize("via", ["notification", "poll", "query", "bill", "charge"])
def test_an_echo_does_not_pay_what_was_reversed(till: Till, via: str) -> None:
    payment = reversed_payment(till)
    late = END + timedelta(minutes=1)
    assert not till.tell(payment, at=late, via=via)
    assert (payment.state, Order.objects.get().state) == ("closed", "closed")
    assert JournalEntry.objects.count() == 0
    assert AuditEvent.objects.filter(action="payment.doubted").count() == 1
    # The platform is asked by another reversal, and confirms.
    assert due_of(payment) == late
    assert till.poll(payment, at=late) is None
    assert till.platform.count("reverse_payment") == 2
    assert payment.state == PaymentState.CLOSED


def test_money_that_the_platform_does_not_give_back_is_not_lost(till: Till) -> None:
    payment = reversed_payment(till)
    late = END + timedelta(minutes=1)
    till.platform.add_payment(paid_result(payment, at=END))
    till.tell(payment, at=late)
    till.platform.fail_next("reverse_payment", PlatformRejected("settled", code="TRADE_FINISHED"))
    assert till.poll(payment, at=late) is None
    assert payment.state == PaymentState.SUCCEEDED
    assert Order.objects.get().state == OrderState.PAID
    assert JournalEntry.objects.count() == 1


def test_a_doubt_that_nobody_answers_is_asked_about_for_two_days(till: Till) -> None:
    payment = reversed_payment(till)
    till.tell(payment, at=END + timedelta(minutes=1))
    till.platform.fail_next("reverse_payment", LOST)
    assert till.poll(payment, at=END + timedelta(minutes=1)) is not None
    till.platform.fail_next("reverse_payment", LOST)
    assert till.poll(payment, at=END + timedelta(days=2, minutes=1)) is None
    assert payment.state == PaymentState.CLOSED


def test_a_reversal_whose_answer_was_lost_is_not_undone_by_an_echo(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reversal took effect, and the platform still calls the original a success, as UnionPay does."""
    echoing = Echoing()
    connect(monkeypatch, echoing)
    echoing.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    till.poll(payment, at=END)
    echoing.pay(payment.order_no)
    echoing.fail_next("reverse_payment", LOST, after=True)
    again = till.poll(payment, at=END)
    assert again is not None
    assert payment.state == PaymentState.PENDING
    # Every road now brings the echo: a question by a person, a notice. Only the reversal is believed.
    assert echoing.query_payment(payment_ref(payment)).outcome is Outcome.SUCCEEDED
    services.refresh_payment(payment_id=payment.pk, now=END + timedelta(seconds=1))
    till.tell(payment, at=END + timedelta(seconds=2))
    assert payment.state == PaymentState.PENDING
    till.poll(payment, at=again)
    assert payment.state == PaymentState.CLOSED
    assert JournalEntry.objects.count() == 0


def test_without_that_care_the_echo_would_be_booked(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, asking before each reversal: the payment is paid in our books, and the payer has the money back."""
    echoing = Echoing()
    connect(monkeypatch, echoing)
    echoing.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    echoing.pay(payment.order_no)
    echoing.reverse_payment(payment_ref(payment))
    monkeypatch.setattr("apps.payments.services.polling.plan", lambda _payment, now: Plan())
    till.poll(payment, at=END)
    assert echoing.payments[payment.order_no].outcome is Outcome.CLOSED
    assert payment.state == PaymentState.SUCCEEDED


def test_the_plan_of_a_code(till: Till) -> None:
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    reversal = Plan(Ending.REVERSE, at_once=True)
    assert plan(payment, now=END - timedelta(seconds=1)) == Plan()
    assert plan(payment, now=END) == Plan(last=True)
    # That somebody has asked is not enough: it must have been asked about for this.
    payment.last_polled_at = END
    assert plan(payment, now=END) == Plan(last=True)
    payment.ending_at = END
    assert plan(payment, now=END) == reversal
    payment.state = PaymentState.CLOSED
    assert plan(payment, now=END) == reversal


# What is refused before anything begins


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "empty"),
        ("  - ", "empty"),
        ("12345", "not_a_code"),
        ("https://qr.alipay.com/x", "not_a_code"),
        ("6212345678901234567", "no_account"),
    ],
)
def test_what_is_no_code_begins_nothing(till: Till, code: str, reason: str) -> None:
    with pytest.raises(services.BarcodeRefused) as refused:
        till.charge(code=code)
    assert refused.value.reason == reason
    assert refused.value.message
    assert code.strip(" -") == "" or code not in refused.value.message
    assert Order.objects.count() == 0
    assert till.platform.calls == []


def test_full_width_digits_and_gaps_are_the_same_code(till: Till) -> None:
    wide = "１３４５ 6789-0123 4567 89"
    assert till.charge(code=wide).state == PaymentState.SUCCEEDED
    assert till.platform.calls[0][1].auth_code == CODE


@pytest.mark.parametrize("minor", [0, 10_000_000_001])
def test_an_amount_out_of_range_begins_nothing(till: Till, minor: int) -> None:
    with pytest.raises(services.AmountOutOfRange):
        till.charge(minor=minor)
    assert till.platform.calls == []


def test_a_terminal_must_stand_in_the_store_and_be_on(till: Till) -> None:
    other: Store = Store.objects.create(name="二号店")
    elsewhere = Terminal.objects.create(store=other, name="A")
    off = Terminal.objects.create(store=till.shop.store, name="B", is_active=False)
    for terminal in (elsewhere, off):
        with pytest.raises(services.BarcodeRefused) as refused:
            till.charge(terminal_id=terminal.pk)
        assert refused.value.reason == "no_terminal"
    assert Order.objects.count() == 0


def test_a_closed_store_takes_nothing(till: Till) -> None:
    Store.objects.filter(pk=till.shop.store.pk).update(is_active=False)
    with pytest.raises(services.BarcodeRefused) as refused:
        till.charge()
    assert refused.value.reason == "no_store"


def test_the_payment_carries_its_terminal_which_was_seen(till: Till) -> None:
    terminal = Terminal.objects.create(store=till.shop.store, name="收银台")
    payment = till.charge(terminal_id=terminal.pk)
    terminal.refresh_from_db()
    assert (payment.terminal_id, terminal.last_seen_at) == (terminal.pk, NOW)
    assert till.platform.calls[0][1].terminal_ref == str(terminal.pk)


# Once


def test_the_same_form_again_is_the_same_payment(till: Till) -> None:
    first = till.charge()
    assert till.charge().pk == first.pk
    # Another amount or another code is the next customer, though the browser kept the form.
    assert till.charge(minor=900, code="134567890123456788").pk != first.pk
    assert till.charge(code="134567890123456787").pk != first.pk
    assert till.platform.count("pay_barcode") == 3


def test_the_code_is_kept_nowhere(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    till.platform.fail_next("pay_barcode", LOST, after=True)
    till.charge()
    refusals = (PlatformRejected, PlatformUnavailable)
    for nonce, refusal in zip("mo", refusals, strict=True):
        till.platform.fail_next("pay_barcode", refusal(f"no such code: {CODE}", code="AUTH_CODE"))
        assert till.charge(nonce=nonce * 20).message == "no such code: …"
    request = till.platform.calls[0][1]
    assert request.auth_code == CODE
    assert CODE not in repr(request)
    assert CODE not in caplog.text
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{CODE}%"])  # noqa: S608
            assert cursor.fetchone() == (0,), table
    assert Door.objects.filter(kind=charging.CHARGE_DOOR).count() == 3


THREADS = 8


def together(work: Callable[[], None]) -> None:
    start = threading.Barrier(THREADS)

    def run() -> None:
        try:
            start.wait()
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def street(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Till:
    platform = FakeGateway()
    connect(monkeypatch, platform)
    shop = make_shop()
    with enter_scope(shop.scope):
        return Till(shop, make_account(shop), platform)


def charged(till: Till) -> set[int]:
    found: set[int] = set()

    def work() -> None:
        with enter_scope(till.shop.scope):
            found.add(till.charge().pk)

    together(work)
    return found


def test_the_same_form_at_the_same_moment_takes_one_payment(street: Till) -> None:
    found = charged(street)
    with enter_scope(street.shop.scope):
        assert found == {payment.pk for payment in Payment.objects.all()}
        assert (Payment.objects.count(), Order.objects.count()) == (1, 1)
        assert JournalEntry.objects.count() == 1
    assert street.platform.count("pay_barcode") == 1


def test_without_the_door_it_takes_several(street: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charging, "make_door", lambda **_fields: None)
    assert len(charged(street)) == THREADS
    assert street.platform.count("pay_barcode") == THREADS


def test_a_reversal_told_as_a_failure_is_not_undone_by_an_old_notice(till: Till) -> None:
    """UnionPay's query of a payment that was reversed may say 01: a failure, after which the old notice is doubted."""
    till.platform.barcode_outcome = Outcome.PENDING
    payment = till.charge()
    till.poll(payment, at=END)
    till.platform.pay(payment.order_no)
    till.platform.fail_next("reverse_payment", LOST, after=True)
    till.poll(payment, at=END)
    till.platform.add_payment(
        PaymentResult(outcome=Outcome.FAILED, order_no=payment.order_no, code="01")
    )
    services.refresh_payment(payment_id=payment.pk, now=END + timedelta(seconds=1))
    till.tell(payment, at=END + timedelta(seconds=2))
    for second in range(3, 6):
        till.poll(payment, at=END + timedelta(seconds=second))
    assert payment.state != PaymentState.SUCCEEDED
    assert not JournalEntry.objects.exists()
