"""What every connector must do, whatever the platform: one test class, subclassed once a connector.

The subclass brings a rig: a platform's server of the test's own making, and the same few acts on it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import httpx
import pytest

from apps.core.money import Money
from apps.platforms.gateway import (
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


def refund_ref(**changes: object) -> RefundRef:
    ref = RefundRef(order_no=ORDER, refund_no=REFUND, began_at=REFUND_BEGAN_AT)
    return replace(ref, **changes)  # type: ignore[arg-type]


class Rig(ABC):
    """A platform as the contract sees it."""

    #: False where a platform refunds at once.
    refunds_take_time: bool
    success_ack: bytes

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


def _no_answer(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow", request=request)


def _no_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def _bad_gateway(request: httpx.Request) -> httpx.Response:
    return httpx.Response(502, content=b"<html>502</html>")


class GatewayContract:
    """The promises of ``PlatformGateway``. Subclasses give the fixture ``rig``."""

    def test_it_declares_what_it_can(self, rig: Rig) -> None:
        capabilities = rig.gateway().capabilities
        for product in Product:
            request = create_request(product=product)
            if Capability(product.value) in capabilities:
                handover = rig.gateway().create_payment(
                    replace(request, order_no=f"{ORDER}{list(Product).index(product)}")
                )
                ways = [handover.qr_content, handover.redirect_url, handover.invoke]
                assert sum(map(bool, ways)) == 1
            else:
                with pytest.raises(NotSupported):
                    rig.gateway().create_payment(request)

    def test_a_code_for_one_order_may_be_asked_for_twice(self, rig: Rig) -> None:
        first = rig.gateway().create_payment(create_request())
        second = rig.gateway().create_payment(create_request())
        assert first == second
        assert first.qr_content

    def test_an_order_that_nobody_opened_is_not_found(self, rig: Rig) -> None:
        with pytest.raises(OrderNotFound):
            rig.gateway().query_payment(payment_ref())

    def test_a_payment_from_begin_to_paid(self, rig: Rig) -> None:
        rig.gateway().create_payment(create_request())
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
        [(_no_answer, "timeout"), (_no_connection, "network"), (_bad_gateway, "http_502")],
    )
    def test_no_answer_is_never_a_failure(self, rig: Rig, fault: Fault, code: str) -> None:
        self._paid(rig)
        gateway = rig.gateway()
        calls: list[Callable[[], object]] = [
            lambda: gateway.create_payment(create_request()),
            lambda: gateway.query_payment(payment_ref()),
            lambda: asyncio.run(gateway.query_payment_async(payment_ref())),
            lambda: gateway.close_payment(payment_ref()),
            lambda: gateway.refund(refund_request()),
            lambda: gateway.query_refund(refund_ref()),
            lambda: asyncio.run(gateway.query_refund_async(refund_ref())),
            lambda: gateway.fetch_statement(business_date=DAY, kind=StatementKind.TRADE),
        ]
        for call in calls:
            rig.fault(fault)
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code == code

    def test_a_redirect_is_not_followed(self, rig: Rig) -> None:
        rig.fault(lambda _: httpx.Response(302, headers={"location": "https://evil.test/"}))
        with pytest.raises(PlatformUnavailable) as caught:
            rig.gateway().query_payment(payment_ref())
        assert caught.value.code == "http_302"

    def test_a_giant_answer_is_dropped(self, rig: Rig) -> None:
        rig.fault(lambda _: httpx.Response(200, content=b" " * (10 * 1024 * 1024 + 1)))
        with pytest.raises(PlatformUnavailable) as caught:
            rig.gateway().query_payment(payment_ref())
        assert caught.value.code == "too_large"

    def test_an_answer_that_was_changed_is_not_believed(self, rig: Rig) -> None:
        self._paid(rig)
        rig.spoil(lambda body: body.replace(b"2500", b"9900").replace(b"25.00", b"99.00"))
        with pytest.raises(PlatformUnavailable) as caught:
            rig.gateway().query_payment(payment_ref())
        assert caught.value.code == "bad_signature"

    def test_an_answer_signed_by_a_stranger_is_not_believed(self, rig: Rig) -> None:
        self._paid(rig)
        rig.sign_with_stranger()
        with pytest.raises(PlatformUnavailable) as caught:
            rig.gateway().query_payment(payment_ref())
        assert caught.value.code == "bad_signature"

    def test_a_refusal_is_final(self, rig: Rig) -> None:
        rig.fault(rig.refusal("SOMETHING_NEW"))
        with pytest.raises(PlatformRejected) as caught:
            rig.gateway().create_payment(create_request())
        assert (caught.value.code, caught.value.retry_same) == ("SOMETHING_NEW", False)

    def test_a_system_error_leaves_the_result_open(self, rig: Rig) -> None:
        self._paid(rig)
        rig.fault(rig.system_error())
        with pytest.raises(PlatformUnavailable):
            rig.gateway().refund(refund_request())

    def test_closing(self, rig: Rig) -> None:
        gateway = rig.gateway()
        assert gateway.close_payment(payment_ref()).outcome is Outcome.CLOSED
        gateway.create_payment(create_request())
        rig.begin()
        assert gateway.close_payment(payment_ref()).outcome is Outcome.CLOSED
        assert gateway.query_payment(payment_ref()).outcome is Outcome.CLOSED

    def test_closing_what_was_paid_meanwhile_tells_that_it_was_paid(self, rig: Rig) -> None:
        self._paid(rig)
        result = rig.gateway().close_payment(payment_ref())
        assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money(2500))

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

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"<xml/>", b"[]", b"{}", b"a=1&a=2"])
    def test_rubbish_is_refused(self, rig: Rig, body: bytes) -> None:
        raw = RawNotification(headers={}, query="", body=body, received_at=PAID_AT)
        with pytest.raises((InvalidSignature, MalformedMessage)):
            rig.gateway().parse_notification(raw)

    def test_the_answer_to_a_notice(self, rig: Rig) -> None:
        good = rig.gateway().acknowledge(accepted=True)
        bad = rig.gateway().acknowledge(accepted=False, reason="later")
        assert (good.status, good.body) == (200, rig.success_ack)
        assert bad.status >= 400 or bad.body != good.body

    def test_bills_of_both_kinds(self, rig: Rig) -> None:
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
        file = gateway.fetch_statement(business_date=DAY, kind=StatementKind.FUND)
        fund = gateway.parse_statement(file.content, business_date=DAY, kind=StatementKind.FUND)
        assert [line.kind.value for line in fund.lines] == ["payment", "fee", "refund"]
        assert [line.status for line in fund.lines] == ["in", "out", "out"]

    def test_a_day_without_trade(self, rig: Rig) -> None:
        with pytest.raises(StatementEmpty):
            rig.gateway().fetch_statement(business_date=DAY, kind=StatementKind.TRADE)

    def test_good_credentials(self, rig: Rig) -> None:
        assert rig.gateway().check_credentials().state is CheckState.GOOD

    def test_a_check_without_network(self, rig: Rig) -> None:
        rig.fault(_no_connection)
        assert rig.gateway().check_credentials().state is CheckState.UNREACHABLE

    def test_who_pays(self, rig: Rig) -> None:
        url = httpx.URL(
            rig.gateway().authorize_url(redirect_uri="https://shop.test/a?b=1&c=2", state="s1")
        )
        assert url.params["redirect_uri"] == "https://shop.test/a?b=1&c=2"
        assert url.params["state"] == "s1"
        assert rig.gateway().payer_id_from_code(code="good")
        with pytest.raises(PlatformRejected):
            rig.gateway().payer_id_from_code(code="used")

    @staticmethod
    def _paid(rig: Rig) -> None:
        rig.gateway().create_payment(create_request())
        rig.begin()
        rig.pay()

    @staticmethod
    def _refunded(rig: Rig) -> None:
        rig.gateway().refund(refund_request())
        rig.finish_refund()
