"""What every connector must do, whatever the platform: one test class, subclassed once a connector.

The subclass brings a rig: a platform's server of the test's own making, and the same few acts on it.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from apps.core.money import Money
from apps.platforms.gateway import (
    AbnormalRefund,
    BarcodeRequest,
    Capability,
    CheckState,
    CreateRequest,
    InvalidSignature,
    MalformedMessage,
    NotificationKind,
    NotSupported,
    OrderNotFound,
    Outcome,
    PaymentRef,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    RawNotification,
    RefundRef,
    RefundRequest,
    StatementEmpty,
    StatementKind,
)

ORDER, REFUND = "P20260501102100001", "R20260501154000001"
DAY = date(2026, 5, 1)
BEGAN_AT = datetime(2026, 5, 1, 2, 21, 0, tzinfo=UTC)
EXPIRES_AT = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)
#: A payer's code is waited for no longer than this.
BARCODE_UNTIL = BEGAN_AT + timedelta(seconds=60)
REFUND_BEGAN_AT = datetime(2026, 5, 1, 7, 40, 12, tzinfo=UTC)
PAID_AT = datetime(2026, 5, 1, 2, 21, 33, tzinfo=UTC)
REFUNDED_AT = datetime(2026, 5, 1, 7, 42, tzinfo=UTC)

Fault = Callable[[httpx.Request], httpx.Response]


def create_request(**changes: object) -> CreateRequest:
    request = CreateRequest(
        product=Product.DYNAMIC_QR,
        order_no=ORDER,
        amount=Money(2500),
        subject="一号店 ☕️ 咖啡",
        began_at=BEGAN_AT,
        expires_at=EXPIRES_AT,
        notify_url="https://shop.test/notify/x/abc",
        return_url="https://shop.test/pay/1",
        payer_id="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        client_ip="203.0.113.7",
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def barcode_request(**changes: object) -> BarcodeRequest:
    request = BarcodeRequest(
        order_no=ORDER,
        auth_code="134567890123456789",
        amount=Money(2500),
        subject="一号店 咖啡",
        began_at=BEGAN_AT,
        expires_at=BARCODE_UNTIL,
        notify_url="https://shop.test/notify/x/abc",
        store_ref="S001",
        terminal_ref="T1",
        operator="7",
        client_ip="203.0.113.7",
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def refund_request(**changes: object) -> RefundRequest:
    request = RefundRequest(
        order_no=ORDER,
        refund_no=REFUND,
        amount=Money(1000),
        order_amount=Money(2500),
        reason="顾客退货",
        began_at=REFUND_BEGAN_AT,
        payment_began_at=BEGAN_AT,
        paid_at=PAID_AT,
        notify_url="https://shop.test/notify/x/abc",
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def payment_ref(**changes: object) -> PaymentRef:
    ref = PaymentRef(order_no=ORDER, began_at=BEGAN_AT, expires_at=EXPIRES_AT)
    return replace(ref, **changes)  # type: ignore[arg-type]


def barcode_ref(**changes: object) -> PaymentRef:
    return payment_ref(product=Product.BARCODE, expires_at=BARCODE_UNTIL, **changes)


def refund_ref(**changes: object) -> RefundRef:
    ref = RefundRef(
        order_no=ORDER,
        refund_no=REFUND,
        began_at=REFUND_BEGAN_AT,
        amount=Money(1000),
        refunded_before=Money(0),
    )
    return replace(ref, **changes)  # type: ignore[arg-type]


def lines_of(*texts: str) -> set[str]:
    """The lines of keys and the like, without what only says that a key begins or ends."""
    lines = {line.strip() for text in texts for line in text.splitlines()}
    return {line for line in lines if line and not line.startswith("-----")}


class Rig(ABC):
    """A platform as the contract sees it.

    What a platform cannot do is told by its capabilities, so its rig need not know how. The bad input of every platform is
    the same, so every rig must know ``gateway_with``, ``misstate`` and ``double_a_field``.
    """

    #: The small server behind the rig, with ``ours`` (Credentials) and ``handle`` (request to answer).
    server: Any
    #: False where a platform refunds at once.
    refunds_take_time: bool
    success_ack: bytes
    #: False where a platform does not tell who paid; else the payer's id there.
    tells_payer: bool = True
    payer_id: str = ""
    #: The wallet to ask for, at a platform that takes several.
    wallet: str = ""
    #: A code on the phone of a payer who has money.
    auth_code: str = "134567890123456789"
    #: False where the answer to a payer's code only says that it was received.
    barcodes_pay_at_once: bool = True
    #: Which of our keys signs what we send.
    signing_key: str = "private_key"
    #: Keys that are no secrets.
    open_keys: frozenset[str] = frozenset({"serial_no", "public_key_id"})

    def order(self, **changes: object) -> CreateRequest:
        """An order as this platform wants it."""
        return create_request(**{"wallet": self.wallet, **changes})

    def barcode(self, **changes: object) -> BarcodeRequest:
        """A payment by the payer's code."""
        return barcode_request(**{"auth_code": self.auth_code, **changes})

    @abstractmethod
    def gateway(self) -> PlatformGateway:
        """A gateway with good credentials."""

    @abstractmethod
    def begin(self) -> None:
        """The payer has begun, so that the platform knows the order."""

    @abstractmethod
    def pay(self) -> None:
        """The payer has paid."""

    @abstractmethod
    def finish_refund(self) -> None:
        """The refund has come to its good end."""

    @abstractmethod
    def fault(self, fault: Fault) -> None:
        """Answer the next call by this."""

    @abstractmethod
    def refusal(self, code: str) -> Fault:
        """The platform's refusal with a code."""

    @abstractmethod
    def system_error(self) -> Fault:
        """The platform's own "I do not know"."""

    @abstractmethod
    def balance_short(self) -> Fault:
        """The merchant's balance does not suffice."""

    @abstractmethod
    def spoil(self, change: Callable[[bytes], bytes]) -> None:
        """Change the bytes of answers after they were signed."""

    @abstractmethod
    def sign_with_stranger(self) -> None:
        """Sign answers and notices with another key."""

    @abstractmethod
    def payment_notice(self) -> RawNotification:
        """The notice of the payment."""

    @abstractmethod
    def refund_notice(self) -> RawNotification:
        """The notice of the refund."""

    @abstractmethod
    def add_bills(self) -> None:
        """Bills of DAY: two payments and a refund; the matching fund bill."""

    # For platforms that take payers' codes

    def barcode_waits(self) -> None:  # noqa: B027  # there it has nothing to do
        """The payer of the next code must type a password. Nothing where every code waits."""

    def barcode_refusal(self) -> Fault:
        """The platform's refusal of a payer's code, by which nothing was taken."""
        raise NotImplementedError("a platform with BARCODE must say how it refuses")

    def lost_answer(self) -> Fault:
        """The call takes effect and its answer never arrives."""

        def lose(request: httpx.Request) -> httpx.Response:
            self.server.handle(request)
            return _no_answer(request)

        return lose

    # Bad input

    def gateway_with(
        self, *, keys: dict[str, str] | None = None, fast: timedelta = timedelta(0)
    ) -> PlatformGateway:
        """A gateway with other keys in place of the good ones, and a clock that is ``fast``."""
        raise NotImplementedError("the contract asks for a gateway with bad keys or a bad clock")

    def foreign_key(self) -> str:
        """A good key for ``signing_key`` that the platform does not know as ours."""
        raise NotImplementedError("the contract asks for a key of somebody else's")

    def misstate(self, what: str) -> None:
        """Properly signed answers and notices name another ``"amount"`` (one fen), or another ``"merchant"``."""
        raise NotImplementedError("the contract asks for answers about something else")

    def double_a_field(self) -> None:
        """Properly signed answers, and notices, have a field twice that decides about money."""
        raise NotImplementedError("the contract asks for answers that can be read in two ways")

    def secrets(self) -> set[str]:
        """What may never be written anywhere, a line each."""
        ours = self.server.ours.keys
        texts = [value for name, value in ours.items() if name not in self.open_keys]
        return lines_of(*texts, self.foreign_key(), self.auth_code, self.payer_id)


def _no_answer(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow", request=request)


def _no_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def _broken_off(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("closed in the middle", request=request)


def _bad_gateway(request: httpx.Request) -> httpx.Response:
    return httpx.Response(502, content=b"<html>502</html>")


#: What no platform answers, though its server or something on the way might.
RUBBISH = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html><html><body>Sign in to the network</body></html>",
    "cut off": b'{"code":"SUC',
    "a list": b"[]",
    "null": b"null",
    "a word": b'"SUCCESS"',
    "an empty object": b"{}",
    "no text": b"\xff\xfe\x00\x01",
    "deep": b"[" * 100_000,
    "a form": b"code=10000&respCode=00&trade_state=SUCCESS",
}
#: A little more than the largest answer that is read.
GIANT = b" " * (10 * 1024 * 1024 + 1)


def every_call(rig: Rig, gateway: PlatformGateway) -> dict[str, Callable[[], object]]:
    """Every call that this platform answers, by name; each about what is known to the platform after ``_paid``."""
    able = gateway.capabilities
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: gateway.create_payment(rig.order()),
        "query": lambda: gateway.query_payment(payment_ref()),
        "query async": lambda: asyncio.run(gateway.query_payment_async(payment_ref())),
        "close": lambda: gateway.close_payment(payment_ref()),
        "refund": lambda: gateway.refund(refund_request()),
        "query refund": lambda: gateway.query_refund(refund_ref()),
        "query refund async": lambda: asyncio.run(gateway.query_refund_async(refund_ref())),
    }
    if Capability.BARCODE in able:
        calls["barcode"] = lambda: gateway.pay_barcode(rig.barcode(order_no="P9"))
    if Capability.REVERSE in able:
        calls["reverse"] = lambda: gateway.reverse_payment(barcode_ref())
    if Capability.ABNORMAL_REFUND in able:
        calls["abnormal refund"] = lambda: gateway.settle_abnormal_refund(abnormal_refund())
    if Capability.TRADE_STATEMENT in able:
        calls["statement"] = lambda: gateway.fetch_statement(
            business_date=DAY, kind=StatementKind.TRADE
        )
    return calls


def abnormal_refund() -> AbnormalRefund:
    return AbnormalRefund(
        refund_no=REFUND,
        platform_refund_no=f"50{REFUND}",
        to_payer=True,
        bank_type="ICBC_DEBIT",
        bank_account="6222021234567890123",
        real_name="张三",
    )


@contextmanager
def _truth_or_nothing() -> Iterator[list[bool]]:
    """Either there is no usable answer, or what was noted of it is true."""
    told: list[bool] = []
    try:
        yield told
    except PlatformUnavailable:
        return
    assert told == [True]


class GatewayContract:
    """The promises of ``PlatformGateway``. Subclasses give the fixture ``rig``."""

    def test_it_declares_what_it_can(self, rig: Rig) -> None:
        capabilities = rig.gateway().capabilities
        for place, product in enumerate(Product):
            request = rig.order(product=product, order_no=f"{ORDER}{place}")
            if product is not Product.BARCODE and Capability(product.value) in capabilities:
                handover = rig.gateway().create_payment(request)
                ways = [
                    handover.qr_content,
                    handover.redirect_url,
                    handover.invoke,
                    handover.form,
                ]
                assert sum(map(bool, ways)) == 1
                assert (handover.product, handover.order_no) == (product, request.order_no)
            else:
                with pytest.raises(NotSupported):
                    rig.gateway().create_payment(request)

    def test_what_it_cannot_do_it_says(self, rig: Rig) -> None:
        gateway = rig.gateway()
        calls: dict[Capability, Callable[[], object]] = {
            Capability.BARCODE: lambda: gateway.pay_barcode(rig.barcode()),
            Capability.REVERSE: lambda: gateway.reverse_payment(barcode_ref()),
            Capability.ABNORMAL_REFUND: lambda: gateway.settle_abnormal_refund(abnormal_refund()),
            Capability.RENEWAL: gateway.renew_credentials,
            Capability.TERMINALS: gateway.check_in_terminal,
            Capability.PAYER_IDENTITY: lambda: gateway.payer_id_from_code(code="good"),
            Capability.TRADE_STATEMENT: lambda: gateway.fetch_statement(
                business_date=DAY, kind=StatementKind.TRADE
            ),
            Capability.FUND_STATEMENT: lambda: gateway.fetch_statement(
                business_date=DAY, kind=StatementKind.FUND
            ),
        }
        for capability, call in calls.items():
            if capability not in gateway.capabilities:
                with pytest.raises(NotSupported):
                    call()

    def test_a_code_for_one_order_may_be_asked_for_twice(self, rig: Rig) -> None:
        first = rig.gateway().create_payment(rig.order())
        second = rig.gateway().create_payment(rig.order())
        assert first == second
        assert first.qr_content

    def test_an_order_that_nobody_opened_is_not_found(self, rig: Rig) -> None:
        with pytest.raises(OrderNotFound):
            rig.gateway().query_payment(payment_ref())

    def test_a_payment_from_begin_to_paid(self, rig: Rig) -> None:
        rig.gateway().create_payment(rig.order())
        rig.begin()
        pending = rig.gateway().query_payment(payment_ref())
        assert (pending.outcome, pending.paid_at) == (Outcome.PENDING, None)
        rig.pay()
        paid = rig.gateway().query_payment(payment_ref())
        assert paid.outcome is Outcome.SUCCEEDED
        assert paid.order_no == ORDER
        assert paid.amount == Money(2500)
        assert paid.paid_at == PAID_AT
        assert paid.paid_at.tzinfo is UTC
        assert paid.platform_trade_no
        if rig.tells_payer:
            assert paid.payer_id
            assert "***" in paid.payer_masked
            assert paid.payer_id not in repr(paid)
            assert paid.payer_id not in str(paid.payload)
        assert asyncio.run(rig.gateway().query_payment_async(payment_ref())) == paid

    def test_a_partial_refund_leaves_the_payment_made(self, rig: Rig) -> None:
        self._paid(rig)
        self._refunded(rig)
        assert rig.gateway().query_payment(payment_ref()).outcome is Outcome.SUCCEEDED

    def test_a_full_refund_leaves_the_payment_made(self, rig: Rig) -> None:
        self._paid(rig)
        rig.gateway().refund(refund_request(amount=Money(2500)))
        assert rig.gateway().query_payment(payment_ref()).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            (_no_answer, "timeout"),
            (_no_connection, "network"),
            (_broken_off, "network"),
            (_bad_gateway, "http_502"),
        ],
    )
    def test_no_answer_is_never_a_failure(self, rig: Rig, fault: Fault, code: str) -> None:
        self._paid(rig)
        for call in every_call(rig, rig.gateway()).values():
            rig.fault(fault)
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code == code

    def test_a_redirect_is_not_followed(self, rig: Rig) -> None:
        rig.fault(lambda _: httpx.Response(302, headers={"location": "https://evil.test/"}))
        with pytest.raises(PlatformUnavailable) as caught:
            rig.gateway().query_payment(payment_ref())
        assert caught.value.code == "http_302"

    @pytest.mark.parametrize("status", [200, 403, 502])
    @pytest.mark.parametrize("body", RUBBISH.values(), ids=RUBBISH)
    def test_rubbish_is_no_answer(self, rig: Rig, status: int, body: bytes) -> None:
        self._paid(rig)
        for call in every_call(rig, rig.gateway()).values():
            rig.fault(lambda _: httpx.Response(status, content=body))
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code

    def test_an_answer_cut_off_is_no_answer(self, rig: Rig) -> None:
        self._paid(rig)
        for keep in (1, 20, -1):
            rig.spoil(lambda body, keep=keep: body[:keep])  # type: ignore[misc]
            with pytest.raises(PlatformUnavailable):
                rig.gateway().query_payment(payment_ref())

    def test_a_giant_answer_is_dropped(self, rig: Rig) -> None:
        self._paid(rig)
        for name, call in every_call(rig, rig.gateway()).items():
            rig.fault(lambda _: httpx.Response(200, content=GIANT))
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            # Where a bill comes in the answer itself, so much may be read and is then no bill.
            assert caught.value.code == "too_large" or name == "statement"

    def test_an_answer_that_was_changed_is_not_believed(self, rig: Rig) -> None:
        self._paid(rig)
        rig.spoil(lambda body: body.replace(b"2500", b"9900").replace(b"25.00", b"99.00"))
        with pytest.raises(PlatformUnavailable) as caught:
            rig.gateway().query_payment(payment_ref())
        assert caught.value.code == "bad_signature"

    def test_an_answer_signed_by_a_stranger_is_not_believed(self, rig: Rig) -> None:
        self._paid(rig)
        self._refunded(rig)
        rig.add_bills()
        rig.sign_with_stranger()
        for call in every_call(rig, rig.gateway()).values():
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code == "bad_signature"

    def test_a_wrong_key_of_ours_says_nothing_about_the_money(self, rig: Rig) -> None:
        self._paid(rig)
        self._refunded(rig)
        gateway = rig.gateway_with(keys={rig.signing_key: rig.foreign_key()})
        for call in every_call(rig, gateway).values():
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code
        assert rig.gateway().query_payment(payment_ref()).outcome is Outcome.SUCCEEDED
        assert rig.gateway().query_refund(refund_ref()).outcome is Outcome.SUCCEEDED
        assert gateway.check_credentials().state is CheckState.BAD

    @pytest.mark.parametrize("minutes", [10, -10])
    def test_a_wrong_clock_of_ours_says_nothing_about_the_money(
        self, rig: Rig, minutes: int
    ) -> None:
        """Not every platform minds; what it then says must be true."""
        skewed = rig.gateway_with(fast=timedelta(minutes=minutes))
        rig.gateway().create_payment(rig.order())
        rig.begin()
        with _truth_or_nothing() as told:
            told.append(skewed.query_payment(payment_ref()).outcome is Outcome.PENDING)
        rig.pay()
        with _truth_or_nothing() as told:
            told.append(skewed.query_payment(payment_ref()).outcome is Outcome.SUCCEEDED)
        with _truth_or_nothing() as told:
            told.append(skewed.close_payment(payment_ref()).outcome is Outcome.SUCCEEDED)
        with _truth_or_nothing() as told:
            made = skewed.refund(refund_request())
            told.append(made.outcome in {Outcome.PENDING, Outcome.SUCCEEDED})
        if Capability.BARCODE in skewed.capabilities:
            with _truth_or_nothing() as told:
                made_at_till = skewed.pay_barcode(rig.barcode(order_no="P9"))
                told.append(made_at_till.outcome in {Outcome.PENDING, Outcome.SUCCEEDED})

    def test_another_amount_is_not_taken_for_ours(self, rig: Rig) -> None:
        """A query and a notice tell what they say, so that it can be compared; where we asked for an amount, it must be it."""
        self._paid(rig)
        rig.misstate("amount")
        assert rig.gateway().query_payment(payment_ref()).amount == Money(1)
        notice = rig.gateway().parse_notification(rig.payment_notice())
        assert notice.payment is not None
        assert notice.payment.amount == Money(1)
        if Capability.BARCODE in rig.gateway().capabilities:
            with _truth_or_nothing() as told:
                made = rig.gateway().pay_barcode(rig.barcode(order_no="P9"))
                told.append(made.outcome is Outcome.PENDING)

    def test_another_merchants_notice_is_not_ours(self, rig: Rig) -> None:
        self._paid(rig)
        rig.misstate("merchant")
        with pytest.raises(MalformedMessage):
            rig.gateway().parse_notification(rig.payment_notice())

    def test_what_can_be_read_in_two_ways_is_not_read(self, rig: Rig) -> None:
        self._paid(rig)
        rig.double_a_field()
        queries: list[Callable[[], object]] = [
            lambda: rig.gateway().query_payment(payment_ref()),
            lambda: asyncio.run(rig.gateway().query_payment_async(payment_ref())),
        ]
        for query in queries:
            with pytest.raises(PlatformUnavailable) as caught:
                query()
            assert caught.value.code == "bad_answer"
        with pytest.raises(MalformedMessage):
            rig.gateway().parse_notification(rig.payment_notice())

    def test_secrets_are_written_nowhere(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self._paid(rig)
        written: list[str] = []
        gateway = rig.gateway()

        def note(call: Callable[[], object]) -> None:
            try:
                written.append(repr(call()))
            except Exception as error:  # noqa: BLE001  # whatever it is, it must not tell
                written.extend([repr(error), str(error), *traceback.format_exception(error)])

        bad = rig.gateway_with(keys={rig.signing_key: rig.foreign_key()})
        broken = rig.gateway_with(keys={rig.signing_key: "rubbish"})
        faults: list[Fault] = [
            _no_answer,
            _bad_gateway,
            rig.system_error(),
            rig.refusal("SOMETHING_NEW"),
        ]
        for call in every_call(rig, gateway).values():
            note(call)
            for fault in faults:
                rig.fault(fault)
                note(call)
        for other in (bad, broken):
            for call in every_call(rig, other).values():
                note(call)
            note(other.check_credentials)
        note(gateway.check_credentials)
        note(lambda: gateway.payer_id_from_code(code="used"))
        note(lambda: gateway.parse_notification(rig.payment_notice()))
        rig.sign_with_stranger()
        note(lambda: gateway.query_payment(payment_ref()))
        note(lambda: gateway.parse_notification(rig.payment_notice()))
        for record in caplog.records:
            written.extend([record.getMessage(), repr(record.__dict__)])
        everything = "\n".join(
            [*written, repr(gateway), repr(rig.server.ours), repr(rig.barcode())]
        )
        secrets = rig.secrets()
        assert len(secrets) > 2
        assert [secret for secret in secrets if secret in everything] == []

    def test_a_refusal_is_final(self, rig: Rig) -> None:
        rig.fault(rig.refusal("SOMETHING_NEW"))
        with pytest.raises(PlatformRejected) as caught:
            rig.gateway().create_payment(rig.order())
        assert (caught.value.code, caught.value.retry_same) == ("SOMETHING_NEW", False)

    def test_a_system_error_leaves_the_result_open(self, rig: Rig) -> None:
        self._paid(rig)
        rig.fault(rig.system_error())
        with pytest.raises(PlatformUnavailable):
            rig.gateway().refund(refund_request())

    def test_closing(self, rig: Rig) -> None:
        gateway = rig.gateway()
        assert gateway.close_payment(payment_ref()).outcome is Outcome.CLOSED
        gateway.create_payment(rig.order())
        rig.begin()
        assert gateway.close_payment(payment_ref()).outcome is Outcome.CLOSED
        assert gateway.query_payment(payment_ref()).outcome is Outcome.CLOSED

    def test_closing_what_was_paid_meanwhile_tells_that_it_was_paid(self, rig: Rig) -> None:
        self._paid(rig)
        result = rig.gateway().close_payment(payment_ref())
        assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money(2500))

    def test_a_payers_code(self, rig: Rig) -> None:
        if not self._takes_barcodes(rig):
            return
        result = rig.gateway().pay_barcode(rig.barcode())
        assert result.order_no == ORDER
        if rig.barcodes_pay_at_once:
            assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money(2500))
            assert result.platform_trade_no
        else:
            assert result.outcome is Outcome.PENDING
            rig.pay()
        paid = rig.gateway().query_payment(barcode_ref())
        assert (paid.outcome, paid.amount) == (Outcome.SUCCEEDED, Money(2500))
        assert paid.paid_at == PAID_AT
        assert asyncio.run(rig.gateway().query_payment_async(barcode_ref())) == paid

    def test_a_payers_code_that_waits_for_a_password(self, rig: Rig) -> None:
        if not self._takes_barcodes(rig):
            return
        rig.barcode_waits()
        result = rig.gateway().pay_barcode(rig.barcode())
        assert (result.outcome, result.order_no) == (Outcome.PENDING, ORDER)
        assert rig.gateway().query_payment(barcode_ref()).outcome is Outcome.PENDING
        rig.pay()
        paid = rig.gateway().query_payment(barcode_ref())
        assert (paid.outcome, paid.amount) == (Outcome.SUCCEEDED, Money(2500))

    def test_a_payers_code_that_is_refused(self, rig: Rig) -> None:
        if not self._takes_barcodes(rig):
            return
        rig.fault(rig.barcode_refusal())
        with pytest.raises(PlatformRejected) as caught:
            rig.gateway().pay_barcode(rig.barcode())
        assert not caught.value.retry_same

    def test_a_system_error_leaves_a_payers_code_open(self, rig: Rig) -> None:
        if not self._takes_barcodes(rig):
            return
        rig.fault(rig.system_error())
        with pytest.raises(PlatformUnavailable):
            rig.gateway().pay_barcode(rig.barcode())

    def test_a_payers_code_whose_answer_is_lost_is_asked_about_and_reversed(self, rig: Rig) -> None:
        if not self._takes_barcodes(rig):
            return
        rig.barcode_waits()
        rig.fault(rig.lost_answer())
        with pytest.raises(PlatformUnavailable):
            rig.gateway().pay_barcode(rig.barcode())
        assert rig.gateway().query_payment(barcode_ref()).outcome is Outcome.PENDING
        self._reversed(rig)

    def test_a_payment_made_is_reversed(self, rig: Rig) -> None:
        if not self._takes_barcodes(rig):
            return
        rig.gateway().pay_barcode(rig.barcode())
        rig.pay()
        self._reversed(rig)

    def test_a_reversal_whose_answer_is_lost_is_sent_again(self, rig: Rig) -> None:
        if not self._takes_barcodes(rig):
            return
        rig.gateway().pay_barcode(rig.barcode())
        rig.fault(rig.lost_answer())
        with pytest.raises(PlatformUnavailable):
            rig.gateway().reverse_payment(barcode_ref())
        self._reversed(rig)

    def test_reversing_what_the_platform_never_saw(self, rig: Rig) -> None:
        if not self._takes_barcodes(rig):
            return
        result = rig.gateway().reverse_payment(barcode_ref())
        # The call may still be on its way: a platform that cannot forbid it says "later".
        assert result.outcome in {Outcome.CLOSED, Outcome.PENDING}

    def test_a_refund_from_begin_to_end(self, rig: Rig) -> None:
        self._paid(rig)
        with pytest.raises(OrderNotFound):
            rig.gateway().query_refund(refund_ref())
        first = rig.gateway().refund(refund_request())
        expected = Outcome.PENDING if rig.refunds_take_time else Outcome.SUCCEEDED
        assert (first.outcome, first.amount) == (expected, Money(1000))
        assert (first.order_no, first.refund_no) == (ORDER, REFUND)
        again = rig.gateway().refund(refund_request())
        assert again.outcome is expected
        rig.finish_refund()
        done = rig.gateway().query_refund(refund_ref())
        assert (done.outcome, done.amount) == (Outcome.SUCCEEDED, Money(1000))
        assert done.refunded_at == REFUNDED_AT
        assert done.refunded_at.tzinfo is UTC
        async_done = asyncio.run(rig.gateway().query_refund_async(refund_ref()))
        assert async_done == done

    def test_a_refund_for_want_of_money_is_sent_again_with_the_same_number(self, rig: Rig) -> None:
        self._paid(rig)
        rig.fault(rig.balance_short())
        with pytest.raises(PlatformRejected) as caught:
            rig.gateway().refund(refund_request())
        assert caught.value.retry_same

    def test_a_payment_notice(self, rig: Rig) -> None:
        self._paid(rig)
        notice = rig.gateway().parse_notification(rig.payment_notice())
        assert notice.kind is NotificationKind.PAYMENT
        assert notice.refund is None
        assert notice.payment is not None
        assert notice.payment.outcome is Outcome.SUCCEEDED
        assert (notice.payment.order_no, notice.payment.amount) == (ORDER, Money(2500))
        assert notice.payment.paid_at == PAID_AT
        again = rig.gateway().parse_notification(rig.payment_notice())
        assert again.dedup_key == notice.dedup_key

    def test_a_refund_notice(self, rig: Rig) -> None:
        self._paid(rig)
        self._refunded(rig)
        payment = rig.gateway().parse_notification(rig.payment_notice())
        notice = rig.gateway().parse_notification(rig.refund_notice())
        assert notice.kind is NotificationKind.REFUND
        assert notice.dedup_key != payment.dedup_key
        assert notice.refund is not None
        assert notice.refund.outcome is Outcome.SUCCEEDED
        assert (notice.refund.order_no, notice.refund.refund_no) == (ORDER, REFUND)

    def test_a_notice_with_one_byte_changed_is_refused(self, rig: Rig) -> None:
        self._paid(rig)
        good = rig.payment_notice()
        for place in (10, len(good.body) // 2, len(good.body) - 5):
            body = bytearray(good.body)
            body[place] ^= 1
            with pytest.raises((InvalidSignature, MalformedMessage)):
                rig.gateway().parse_notification(replace(good, body=bytes(body)))

    def test_a_notice_signed_by_a_stranger_is_refused(self, rig: Rig) -> None:
        self._paid(rig)
        rig.sign_with_stranger()
        with pytest.raises(InvalidSignature):
            rig.gateway().parse_notification(rig.payment_notice())

    @pytest.mark.parametrize(
        "body",
        [b"", b"\xff\xfe", b"<xml/>", b"[]", b"{}", b"a=1&a=2", GIANT, b"[" * len(GIANT)],
        ids=lambda body: repr(body[:8]),
    )
    def test_rubbish_is_refused(self, rig: Rig, body: bytes) -> None:
        raw = RawNotification(headers={}, query="", body=body, received_at=PAID_AT)
        with pytest.raises((InvalidSignature, MalformedMessage)):
            rig.gateway().parse_notification(raw)

    def test_the_answer_to_a_notice(self, rig: Rig) -> None:
        good = rig.gateway().acknowledge(accepted=True)
        bad = rig.gateway().acknowledge(accepted=False, reason="later")
        assert (good.status, good.body) == (200, rig.success_ack)
        assert bad.status >= 400 or bad.body != good.body

    def test_a_trade_bill(self, rig: Rig) -> None:
        if Capability.TRADE_STATEMENT not in rig.gateway().capabilities:
            return
        rig.add_bills()
        gateway = rig.gateway()
        file = gateway.fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        bill = gateway.parse_statement(file.content, business_date=DAY, kind=StatementKind.TRADE)
        assert [(line.kind.value, line.amount.minor, line.fee.minor) for line in bill.lines] == [
            ("payment", 2500, 15),
            ("payment", 10000, 59),
            ("refund", 1000, -6),
        ]
        assert bill.lines[0].order_no == bill.lines[2].order_no
        assert bill.lines[2].refund_no
        assert all(line.occurred_at.tzinfo is UTC for line in bill.lines)
        assert bill.unknown_columns == ()

    def test_a_fund_bill(self, rig: Rig) -> None:
        rig.add_bills()
        gateway = rig.gateway()
        if Capability.FUND_STATEMENT not in gateway.capabilities:
            with pytest.raises(NotSupported):
                gateway.parse_statement(b"", business_date=DAY, kind=StatementKind.FUND)
            return
        file = gateway.fetch_statement(business_date=DAY, kind=StatementKind.FUND)
        fund = gateway.parse_statement(file.content, business_date=DAY, kind=StatementKind.FUND)
        assert [line.kind.value for line in fund.lines] == ["payment", "fee", "refund"]
        assert [line.status for line in fund.lines] == ["in", "out", "out"]

    def test_a_day_without_trade(self, rig: Rig) -> None:
        if Capability.TRADE_STATEMENT not in rig.gateway().capabilities:
            return
        with pytest.raises(StatementEmpty):
            rig.gateway().fetch_statement(business_date=DAY, kind=StatementKind.TRADE)

    def test_good_credentials(self, rig: Rig) -> None:
        assert rig.gateway().check_credentials().state is CheckState.GOOD

    def test_a_check_without_network(self, rig: Rig) -> None:
        rig.fault(_no_connection)
        assert rig.gateway().check_credentials().state is CheckState.UNREACHABLE

    def test_who_pays(self, rig: Rig) -> None:
        if Capability.PAYER_IDENTITY not in rig.gateway().capabilities:
            with pytest.raises(NotSupported):
                rig.gateway().authorize_url(redirect_uri="https://shop.test/", state="s1")
            return
        url = httpx.URL(
            rig.gateway().authorize_url(redirect_uri="https://shop.test/a?b=1&c=2", state="s1")
        )
        assert url.params["redirect_uri"] == "https://shop.test/a?b=1&c=2"
        assert url.params["state"] == "s1"
        assert rig.gateway().payer_id_from_code(code="good")
        with pytest.raises(PlatformRejected):
            rig.gateway().payer_id_from_code(code="used")

    @staticmethod
    def _takes_barcodes(rig: Rig) -> bool:
        """Where not, ``test_what_it_cannot_do_it_says`` has proved it."""
        able = rig.gateway().capabilities
        assert (Capability.BARCODE in able) is (Capability.REVERSE in able)
        return Capability.BARCODE in able

    @staticmethod
    def _reversed(rig: Rig) -> None:
        """Reverse, twice, and ask: nothing is left charged."""
        for _ in range(2):
            assert rig.gateway().reverse_payment(barcode_ref()).outcome is Outcome.CLOSED
        after = rig.gateway().query_payment(barcode_ref())
        assert after.outcome in {Outcome.CLOSED, Outcome.FAILED}

    @staticmethod
    def _paid(rig: Rig) -> None:
        rig.gateway().create_payment(rig.order())
        rig.begin()
        rig.pay()

    @staticmethod
    def _refunded(rig: Rig) -> None:
        rig.gateway().refund(refund_request())
        rig.finish_refund()
