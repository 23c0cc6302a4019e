"""The Shouqianba connector: the contract, and what only this platform does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from typing_extensions import override

from apps.core.money import Money
from apps.platforms import messages
from apps.platforms.connectors.shouqianba import wire
from apps.platforms.connectors.shouqianba.client import UNHEARD
from apps.platforms.connectors.shouqianba.connector import ShouqianbaEndpoints, ShouqianbaGateway
from apps.platforms.connectors.shouqianba.payments import (
    KEY_REFUSED,
    TERMINAL_OFF,
    TERMINAL_UNKNOWN,
)
from apps.platforms.gateway import (
    CODE_LOST,
    CheckState,
    Credentials,
    InvalidSignature,
    MalformedMessage,
    NotificationKind,
    NotSupported,
    OrderNotFound,
    Outcome,
    ParsedStatement,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    RawNotification,
    RefundResult,
    StatementKind,
    StatementUnreadable,
    TerminalKey,
)
from apps.platforms.http import PlatformHttp
from apps.platforms.services import terminals
from apps.platforms.services.asking import Conversation, query_refund, talk
from apps.platforms.services.pacing import Tally
from apps.platforms.terminal_keys import (
    NO_TERMINAL,
    TERMINAL_LOST,
    KeyRefused,
    TerminalKeys,
)
from apps.platforms.tests.contract import (
    BARCODE_UNTIL,
    DAY,
    ORDER,
    REFUND,
    REFUND_BEGAN_AT,
    REFUNDED_AT,
    Fault,
    GatewayContract,
    Rig,
    barcode_ref,
    barcode_request,
    create_request,
    every_call,
    payment_ref,
    refund_ref,
    refund_request,
)
from apps.platforms.tests.shouqianba_server import (
    FIRST_KEY,
    MERCHANT_NO,
    PAYER,
    TERMINAL_SN,
    VENDOR_SN,
    ShouqianbaServer,
    credentials,
)
from apps.platforms.tests.wechatpay_server import NOW, public_pem

#: As long as the portal's own refund numbers.
LONG, OTHER = "R202605011540000000000001", "R202605011541000000000002"


def gateway_at(
    server: ShouqianbaServer,
    ours: Credentials | None = None,
    *,
    now: datetime = NOW,
    keys: TerminalKeys | None = None,
    **payways: dict[str, str],
) -> ShouqianbaGateway:
    transport = httpx.MockTransport(server.handle)
    endpoints: dict[str, Any] = {
        "code_payways": {"wechatpay": "3", "alipay": "2", "unionpay": "17"},
        "page_payways": {"wechatpay": "3", "alipay": "1"},
        **payways,
    }
    return ShouqianbaGateway(
        credentials=ours or server.ours,
        http=PlatformHttp(timeout=60, transport=transport, async_transport=transport),
        endpoints=ShouqianbaEndpoints(
            api_url="https://sqb.test/shouqianba",
            gateway_url="https://qr.sqb.test/gateway",
            **endpoints,
        ),
        clock=lambda: now,
        keys=keys,
    )


@dataclass
class ShouqianbaRig(Rig):
    server: ShouqianbaServer = field(default_factory=ShouqianbaServer)
    refunds_take_time = False
    success_ack = b"success"
    payer_id = PAYER
    wallet = "wechatpay"
    signing_key = "terminal_key"
    open_keys = frozenset({"vendor_sn", "public_key", "terminal_sn", "terminal_sns", "device_id"})

    def gateway(self) -> PlatformGateway:
        return gateway_at(self.server)

    def begin(self) -> None:
        """Nothing: opening the code made the order."""

    def pay(self) -> None:
        self.server.pay(ORDER)

    def finish_refund(self) -> None:
        """Nothing: refunds are made at once."""

    def fault(self, fault: Fault) -> None:
        self.server.faults.append(fault)

    def refusal(self, code: str) -> Fault:
        return lambda request: self.server.inner(f"{_action(request)}FAIL", code)

    def system_error(self) -> Fault:
        return lambda _: self.server.outer("500", "UNKNOWN_SYSTEM_ERROR")

    def balance_short(self) -> Fault:
        return lambda _: self.server.inner("REFUND_FAIL", "SELLER_BALANCE_NOT_ENOUGH")

    @override
    def barcode_waits(self) -> None:
        self.server.asks_password = True

    @override
    def barcode_refusal(self) -> Fault:
        return lambda _: self.server.inner("PAY_FAIL", "INSUFFICIENT_FUND")

    @override
    def lost_answer(self) -> Fault:
        def lose(request: httpx.Request) -> httpx.Response:
            self.server.serve(request)
            raise httpx.ReadTimeout("slow", request=request)

        return lose

    @override
    def gateway_with(
        self, *, keys: dict[str, str] | None = None, fast: timedelta = timedelta(0)
    ) -> PlatformGateway:
        ours = replace(self.server.ours, keys={**self.server.ours.keys, **(keys or {})})
        return gateway_at(self.server, ours, now=NOW + fast)

    @override
    def foreign_key(self) -> str:
        return "ffffffffffffffffffffffffffffffff"

    @override
    def misstate(self, what: str) -> None:
        self.server.misstated = what

    @override
    def double_a_field(self) -> None:
        self.server.doubled = True

    def spoil(self, change: Callable[[bytes], bytes]) -> None:
        self.server.spoil = change

    def sign_with_stranger(self) -> None:
        self.server.signer = "stranger"

    def payment_notice(self) -> RawNotification:
        paid = {"order_status": "PAID", "client_tsn": "", "net_amount": "2500"}
        return self.server.callback(ORDER, **paid)

    def refund_notice(self) -> RawNotification:
        return self.server.callback(ORDER)

    def add_bills(self) -> None:
        """Nothing: Shouqianba has no bills."""


def _action(request: httpx.Request) -> str:
    name = request.url.path.rpartition("/")[2]
    return "" if name == "query" else f"{name.upper()}_"


class TestShouqianbaContract(GatewayContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return ShouqianbaRig()

    @override
    def test_an_answer_that_was_changed_is_not_believed(self, rig: Rig) -> None:
        """Answers carry no signature, only TLS: what can be told is an answer about something else."""
        self._paid(rig)
        rig.spoil(lambda body: body.replace(ORDER.encode(), b"P9"))
        with pytest.raises(PlatformUnavailable) as caught:
            rig.gateway().query_payment(payment_ref())
        assert caught.value.code == "bad_answer"

    @override
    def test_a_wrong_key_of_ours_says_nothing_about_the_money(self, rig: Rig) -> None:
        """But for a payer's code: it is shown once only, so that what was refused unread has taken nothing."""
        self._paid(rig)
        self._refunded(rig)
        gateway = rig.gateway_with(keys={rig.signing_key: rig.foreign_key()})
        for name, call in every_call(rig, gateway).items():
            error = PlatformRejected if name == "barcode" else PlatformUnavailable
            with pytest.raises(error):
                call()
        assert rig.gateway().query_payment(payment_ref()).outcome is Outcome.SUCCEEDED
        assert gateway.check_credentials().state is CheckState.BAD

    @override
    def test_an_answer_signed_by_a_stranger_is_not_believed(self, rig: Rig) -> None:
        """There is nothing that a stranger could sign."""
        self._paid(rig)
        rig.sign_with_stranger()
        assert rig.gateway().query_payment(payment_ref()).outcome is Outcome.SUCCEEDED


@pytest.fixture
def server() -> ShouqianbaServer:
    return ShouqianbaServer()


@pytest.fixture
def paid(server: ShouqianbaServer) -> ShouqianbaServer:
    gateway_at(server).create_payment(create_request(wallet="wechatpay"))
    server.pay(ORDER)
    return server


def sent(server: ShouqianbaServer, place: int = -1) -> dict[str, str]:
    message: dict[str, str] = json.loads(server.requests[place].content)
    return message


def biz(result: str, code: str = "", **data: str) -> Fault:
    """An answer as told, about the order or not."""
    told: dict[str, Any] = {"result_code": result}
    if code:
        told |= {"error_code": code, "error_message": "原因"}
    if data:
        told["data"] = data
    return lambda _: httpx.Response(200, json={"result_code": "200", "biz_response": told})


class TestOrders:
    def test_the_order_as_sent(self, server: ShouqianbaServer) -> None:
        gateway_at(server).create_payment(
            create_request(wallet="alipay", subject="一号店\n ☕️  咖啡")
        )
        assert sent(server) == {
            "terminal_sn": TERMINAL_SN,
            "client_sn": ORDER,
            "total_amount": "2500",
            "payway": "2",
            "subject": "一号店 ☕️ 咖啡",
            "operator": "portal",
            "notify_url": "https://shop.test/notify/x/abc",
        }

    @pytest.mark.parametrize(
        ("wallet", "payway"), [("wechatpay", "3"), ("alipay", "2"), ("unionpay", "17")]
    )
    def test_each_wallets_code(self, server: ShouqianbaServer, wallet: str, payway: str) -> None:
        gateway_at(server).create_payment(create_request(wallet=wallet))
        assert sent(server)["payway"] == payway
        assert gateway_at(server).query_payment(payment_ref()).wallet == wallet

    def test_payways_are_a_setting(self, server: ShouqianbaServer) -> None:
        gateway = gateway_at(server, code_payways={"alipay": "1"})
        gateway.create_payment(create_request(wallet="alipay"))
        assert sent(server)["payway"] == "1"
        with pytest.raises(NotSupported):
            gateway.create_payment(create_request(wallet="unionpay"))

    def test_the_wallet_must_be_said(self, server: ShouqianbaServer) -> None:
        for product in (Product.DYNAMIC_QR, Product.IN_APP):
            with pytest.raises(PlatformRejected) as caught:
                gateway_at(server).create_payment(create_request(product=product))
            assert caught.value.code == "wallet_missing"
        assert server.requests == []

    @pytest.mark.parametrize("product", [Product.IN_APP, Product.BROWSER])
    def test_the_page_inside_a_wallet(self, server: ShouqianbaServer, product: Product) -> None:
        request = create_request(
            product=product,
            wallet="alipay",
            subject="a&b=c 茶",
            return_url="https://s.test/pay?a=1",
        )
        url = gateway_at(server).create_payment(request).redirect_url
        assert server.requests == []
        assert url.startswith("https://qr.sqb.test/gateway?")
        query = httpx.URL(url).params
        assert query["payway"] == "1"
        assert query["subject"] == "a&b=c 茶"
        assert query["return_url"] == "https://s.test/pay?a=1"
        assert query["sign"].isupper()
        # Nobody has opened the page: Shouqianba knows nothing.
        with pytest.raises(OrderNotFound):
            gateway_at(server).query_payment(payment_ref())
        assert gateway_at(server).close_payment(payment_ref()).outcome is Outcome.CLOSED
        assert (
            server.open_page(url.replace("total_amount=2500", "total_amount=1")) == "ILLEGAL_SIGN"
        )
        assert server.open_page(url) == ORDER
        assert gateway_at(server).query_payment(payment_ref()).outcome is Outcome.PENDING

    def test_no_page_is_documented_for_unionpay(self, server: ShouqianbaServer) -> None:
        request = create_request(product=Product.IN_APP, wallet="unionpay")
        with pytest.raises(NotSupported):
            gateway_at(server).create_payment(request)
        allowed = gateway_at(server, page_payways={"unionpay": "17"}).create_payment(request)
        assert "payway=17" in allowed.redirect_url

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount": Money(10_000_000_000)},
            {"amount": Money(0)},
            {"notify_url": "https://shop.test/" + "n" * 128},
        ],
    )
    def test_what_shouqianba_cannot_take_is_not_sent(
        self, server: ShouqianbaServer, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(PlatformRejected):
            gateway_at(server).create_payment(create_request(wallet="alipay", **changes))
        assert server.requests == []

    def test_a_code_whose_answer_was_lost_and_is_told_again(self, server: ShouqianbaServer) -> None:
        server.faults.append(ShouqianbaRig(server).lost_answer())
        request = create_request(wallet="wechatpay")
        with pytest.raises(PlatformUnavailable):
            gateway_at(server).create_payment(request)
        assert gateway_at(server).create_payment(request).qr_content == f"https://qr.test/{ORDER}"

    @pytest.mark.parametrize("state", ["CREATED", "CANCELED"])
    def test_a_code_whose_answer_was_lost_and_is_not_told_again(
        self, server: ShouqianbaServer, state: str
    ) -> None:
        """It is not cancelled on the way: whoever got the first answer may be showing it."""
        server.tells_code = False
        request = create_request(wallet="wechatpay")
        gateway_at(server).create_payment(request)
        server.orders[ORDER]["order_status"] = state
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(request)
        assert caught.value.code == CODE_LOST
        assert server.orders[ORDER]["order_status"] == state

    def test_a_code_that_was_paid_meanwhile_is_never_called_failed(
        self, paid: ShouqianbaServer
    ) -> None:
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).create_payment(create_request(wallet="wechatpay"))
        assert caught.value.code == "CLIENT_SN_CONFLICT"
        assert paid.orders[ORDER]["order_status"] == "PAID"

    def test_a_number_that_is_taken_by_something_unknown(self, server: ShouqianbaServer) -> None:
        server.faults.append(lambda _: server.outer("400", "CLIENT_SN_CONFLICT"))
        with pytest.raises(PlatformUnavailable):
            gateway_at(server).create_payment(create_request(wallet="wechatpay"))

    @pytest.mark.parametrize(
        "data",
        [
            {"client_sn": "P9", "qr_code": "x"},
            {"client_sn": ORDER},
            {"client_sn": ORDER, "qr_code": "x", "total_amount": "1"},
            {},
        ],
    )
    def test_an_answer_about_something_else(
        self, server: ShouqianbaServer, data: dict[str, str]
    ) -> None:
        server.faults.append(biz("PRECREATE_SUCCESS", **data))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(create_request(wallet="wechatpay"))
        assert caught.value.code == "bad_answer"

    @pytest.mark.parametrize(
        ("result", "error"),
        [
            ("PRECREATE_FAIL", PlatformRejected),
            ("FAIL", PlatformRejected),
            ("PRECREATE_FAIL_ERROR", PlatformUnavailable),
            ("PRECREATE_FAIL_IN_PROGRESS", PlatformUnavailable),
            ("SOMETHING_NEW", PlatformUnavailable),
        ],
    )
    def test_what_became_of_a_code(
        self, server: ShouqianbaServer, result: str, error: type[Exception]
    ) -> None:
        server.faults.append(biz(result, "UNEXPECTED_PROVIDER_ERROR"))
        with pytest.raises(error):
            gateway_at(server).create_payment(create_request(wallet="wechatpay"))


class TestStates:
    @pytest.mark.parametrize(
        ("state", "outcome"),
        [
            ("CREATED", Outcome.PENDING),
            ("IN_QUEUE", Outcome.PENDING),
            ("PAID", Outcome.SUCCEEDED),
            ("PAY_CANCELED", Outcome.CLOSED),
            ("PAY_ERROR", Outcome.UNKNOWN),
            ("REFUNDED", Outcome.SUCCEEDED),
            ("PARTIAL_REFUNDED", Outcome.SUCCEEDED),
            ("REFUND_ERROR", Outcome.SUCCEEDED),
            ("CANCELED", Outcome.CLOSED),
            ("CANCEL_ERROR", Outcome.UNKNOWN),
            ("CANCEL_INPROGRESS", Outcome.UNKNOWN),
            ("INVALID_STATUS_CODE", Outcome.UNKNOWN),
            ("SOMETHING_NEW", Outcome.UNKNOWN),
        ],
    )
    def test_of_an_order(self, paid: ShouqianbaServer, state: str, outcome: Outcome) -> None:
        paid.orders[ORDER]["order_status"] = state
        assert gateway_at(paid).query_payment(payment_ref()).outcome is outcome

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            ("IN_PROG", Outcome.PENDING),
            ("FAIL_PROTOCOL_1", Outcome.UNKNOWN),
            ("FAIL_IO_2", Outcome.UNKNOWN),
            ("FAIL_ERROR", Outcome.UNKNOWN),
            ("CANCEL_ERROR", Outcome.UNKNOWN),
        ],
    )
    def test_of_the_payers_side_while_the_order_is_open(
        self, server: ShouqianbaServer, status: str, outcome: Outcome
    ) -> None:
        gateway_at(server).create_payment(create_request(wallet="wechatpay"))
        server.orders[ORDER]["status"] = status
        assert gateway_at(server).query_payment(payment_ref()).outcome is outcome

    def test_a_refunded_order_was_paid_when_it_was_made(self, paid: ShouqianbaServer) -> None:
        gateway_at(paid).refund(refund_request())
        result = gateway_at(paid).query_payment(payment_ref())
        assert result.refunded == Money(1000)
        assert result.paid_at == datetime(2026, 5, 1, 2, 21, tzinfo=UTC)

    @pytest.mark.parametrize(
        "change",
        [
            {"client_sn": "P9"},
            {"total_amount": "25.00"},
            {"total_amount": ""},
            {"net_amount": "2501"},
            {"sn": ""},
            {"order_status": ""},
            {"channel_finish_time": "yesterday"},
        ],
    )
    def test_an_order_that_cannot_be_read(
        self, paid: ShouqianbaServer, change: dict[str, str]
    ) -> None:
        paid.orders[ORDER] |= change
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).query_payment(payment_ref())
        assert caught.value.code == "bad_answer"

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("UPAY_ORDER_NOT_EXISTS", OrderNotFound),
            # Spelt so in older documents.
            ("UPAY_ORDER_NOT_EXIST", OrderNotFound),
            ("INVALID_PARAMS", PlatformRejected),
            ("EXTERNAL_SERVICE_EXCEPTION", PlatformUnavailable),
            # The wallet does not know a trade that Shouqianba knows.
            ("TRADE_NOT_EXIST", PlatformUnavailable),
        ],
    )
    def test_a_question_that_failed(
        self, paid: ShouqianbaServer, code: str, error: type[Exception]
    ) -> None:
        paid.faults.append(biz("FAIL", code))
        with pytest.raises(error) as caught:
            gateway_at(paid).query_payment(payment_ref())
        assert type(caught.value) is error


class TestPayersCodes:
    def test_as_sent(self, server: ShouqianbaServer) -> None:
        gateway_at(server).pay_barcode(barcode_request(operator="收银员 7"))
        assert sent(server) == {
            "terminal_sn": TERMINAL_SN,
            "client_sn": ORDER,
            "total_amount": "2500",
            "dynamic_id": "134567890123456789",
            "subject": "一号店 咖啡",
            "operator": "收银员 7",
            "notify_url": "https://shop.test/notify/x/abc",
        }

    @pytest.mark.parametrize(
        ("auth_code", "wallet"),
        [
            ("134567890123456789", "wechatpay"),
            ("284567890123456789", "alipay"),
            ("6245678901234567890", "unionpay"),
        ],
    )
    def test_the_wallet_is_told(
        self, server: ShouqianbaServer, auth_code: str, wallet: str
    ) -> None:
        assert gateway_at(server).pay_barcode(barcode_request(auth_code=auth_code)).wallet == wallet

    @pytest.mark.parametrize(
        ("result", "code", "error"),
        [
            ("PAY_FAIL", "INSUFFICIENT_FUND", PlatformRejected),
            ("PAY_FAIL", "TRADE_TIMEOUT", PlatformRejected),
            ("FAIL", "INVALID_BARCODE", PlatformRejected),
            ("PAY_FAIL_ERROR", "UNEXPECTED_PROVIDER_ERROR", PlatformUnavailable),
            ("PAY_FAIL_IN_PROGRESS", "UNEXPECTED_PROVIDER_ERROR", PlatformUnavailable),
            # The number is known: an earlier call may have taken the money.
            ("FAIL", "CLIENT_SN_CONFLICT", PlatformUnavailable),
            ("SOMETHING_NEW", "", PlatformUnavailable),
        ],
    )
    def test_what_became_of_it(
        self, server: ShouqianbaServer, result: str, code: str, error: type[Exception]
    ) -> None:
        server.faults.append(biz(result, code))
        with pytest.raises(error):
            gateway_at(server).pay_barcode(barcode_request())

    @pytest.mark.parametrize(
        ("state", "error"),
        [
            ("PAY_CANCELED", PlatformRejected),
            ("PAY_ERROR", PlatformUnavailable),
            ("PAID", PlatformUnavailable),
        ],
    )
    def test_a_refusal_counts_only_where_the_order_agrees(
        self, paid: ShouqianbaServer, state: str, error: type[Exception]
    ) -> None:
        data = {**paid.orders[ORDER], "order_status": state}
        paid.faults.append(biz("PAY_FAIL", "INSUFFICIENT_FUND", **data))
        with pytest.raises(error):
            gateway_at(paid).pay_barcode(barcode_request())

    @pytest.mark.parametrize(
        ("code", "ours"),
        [
            ("ILLEGAL_SIGN", KEY_REFUSED),
            ("INVALID_TERMINAL", TERMINAL_UNKNOWN),
            ("UPAY_TERMINAL_NOT_EXISTS", TERMINAL_UNKNOWN),
            ("UPAY_TERMINAL_STATUS_ABNORMAL", TERMINAL_OFF),
        ],
    )
    @pytest.mark.parametrize("where", ["outside", "inside"])
    def test_refused_for_its_key_or_terminal_nothing_was_taken(
        self, server: ShouqianbaServer, code: str, ours: str, where: str
    ) -> None:
        inside = biz("FAIL", code)
        server.faults.append(inside if where == "inside" else lambda _: server.outer("400", code))
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert (caught.value.code, caught.value.retry_same) == (ours, False)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            # Not in the documented form.
            httpx.Response(200, json={"result_code": "500", "error_code": "ILLEGAL_SIGN"}),
            httpx.Response(502, json={"result_code": "400", "error_code": "ILLEGAL_SIGN"}),
            httpx.Response(200, json={"error_code": "ILLEGAL_SIGN"}),
            httpx.Response(200, text="ILLEGAL_SIGN"),
            httpx.Response(403, text="<html>ILLEGAL_SIGN</html>"),
            # It was looked at, and nobody knows what came of it.
            biz("PAY_FAIL_ERROR", "ILLEGAL_SIGN")(httpx.Request("POST", "https://sqb.test")),
            biz("PAY_FAIL", "ILLEGAL_SIGN", client_sn=ORDER, order_status="PAID")(
                httpx.Request("POST", "https://sqb.test")
            ),
        ],
    )
    def test_what_only_looks_like_such_a_refusal_is_unknown(
        self, server: ShouqianbaServer, answer: httpx.Response
    ) -> None:
        server.faults.append(lambda _: answer)
        keys = TwoKeys(FIRST_KEY, FIRST_KEY)
        with pytest.raises(PlatformUnavailable):
            gateway_at(server, keys=keys).pay_barcode(barcode_request())
        # And the payer's code is not shown a second time.
        assert len(server.requests) == 1

    def test_a_code_shown_again_with_another_key_whose_answer_is_lost_is_unknown(
        self, server: ShouqianbaServer
    ) -> None:
        server.faults += [
            lambda _: server.outer("400", "ILLEGAL_SIGN"),
            ShouqianbaRig(server).lost_answer(),
        ]
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server, keys=TwoKeys("old", FIRST_KEY)).pay_barcode(barcode_request())
        assert caught.value.code == "timeout"

    def test_the_code_is_taken_out_of_shouqianbas_words(self, server: ShouqianbaServer) -> None:
        request = barcode_request()
        words = {"error_code": "INVALID_PARAMS", "error_message": f"dynamic_id {request.auth_code}"}
        for answer in (
            {"result_code": "400", **words},
            {"result_code": "500", **words},
            {"result_code": "200", "biz_response": {"result_code": "FAIL", **words}},
            {"result_code": "200", "biz_response": {"result_code": "PAY_IN_PROGRESS", **words}},
        ):
            server.faults.append(lambda _, answer=answer: httpx.Response(200, json=answer))  # type: ignore[misc]
            try:
                told = gateway_at(server).pay_barcode(request).message
            except (PlatformRejected, PlatformUnavailable) as error:
                told = str(error)
            assert "dynamic_id …" in told


class TestCancelling:
    @pytest.fixture
    def waiting(self, server: ShouqianbaServer) -> ShouqianbaServer:
        server.asks_password = True
        gateway_at(server).pay_barcode(barcode_request())
        return server

    def test_what_is_paid_is_not_closed_by_giving_it_back(self, paid: ShouqianbaServer) -> None:
        assert gateway_at(paid).close_payment(payment_ref()).outcome is Outcome.SUCCEEDED
        assert not any(request.url.path.endswith("cancel") for request in paid.requests)

    def test_what_is_paid_is_reversed_by_giving_it_back(self, paid: ShouqianbaServer) -> None:
        assert gateway_at(paid).reverse_payment(barcode_ref()).outcome is Outcome.CLOSED
        assert paid.orders[ORDER]["net_amount"] == "0"

    @pytest.mark.parametrize(
        ("result", "code", "outcome"),
        [
            ("CANCEL_SUCCESS", "", Outcome.CLOSED),
            ("CANCEL_ABORT_SUCCESS", "", Outcome.CLOSED),
            ("FAIL", "UPAY_CANCEL_ORDER_NOOP", Outcome.CLOSED),
            ("CANCEL_IN_PROGRESS", "", Outcome.PENDING),
            ("CANCEL_ABORT_IN_PROGRESS", "", Outcome.PENDING),
            # Refused: the order says where it stands.
            ("FAIL", "UPAY_CANCEL_INVALID_ORDER_STATE", Outcome.PENDING),
            ("CANCEL_ERROR", "UPAY_TCP_ORDER_NOT_REFUNDABLE", Outcome.PENDING),
        ],
    )
    def test_what_became_of_it(
        self, waiting: ShouqianbaServer, result: str, code: str, outcome: Outcome
    ) -> None:
        waiting.faults.append(biz(result, code))
        assert gateway_at(waiting).reverse_payment(barcode_ref()).outcome is outcome

    @pytest.mark.parametrize("result", ["CANCEL_ERROR", "CANCEL_ABORT_ERROR", "SOMETHING_NEW"])
    def test_unknown(self, waiting: ShouqianbaServer, result: str) -> None:
        for call in (gateway_at(waiting).reverse_payment, gateway_at(waiting).close_payment):
            if call.__name__ == "close_payment":
                waiting.faults.append(lambda request: waiting.serve(request))
            waiting.faults.append(biz(result))
            with pytest.raises(PlatformUnavailable):
                call(barcode_ref())

    def test_done_and_yet_paid(self, paid: ShouqianbaServer) -> None:
        paid.faults.append(biz("CANCEL_SUCCESS", **paid.orders[ORDER]))
        assert gateway_at(paid).reverse_payment(barcode_ref()).outcome is Outcome.SUCCEEDED

    def test_yesterdays_payment_stays_made(self, paid: ShouqianbaServer) -> None:
        paid.faults.append(biz("FAIL", "UPAY_CANCEL_INVALID_ORDER_STATE"))
        assert gateway_at(paid).reverse_payment(barcode_ref()).outcome is Outcome.SUCCEEDED

    def test_an_order_under_cancellation_is_left_alone(self, waiting: ShouqianbaServer) -> None:
        waiting.orders[ORDER]["order_status"] = "CANCEL_INPROGRESS"
        assert gateway_at(waiting).close_payment(payment_ref()).outcome is Outcome.UNKNOWN
        assert not any(request.url.path.endswith("cancel") for request in waiting.requests)

    def test_a_page_that_nobody_opened_is_not_waited_for(self, server: ShouqianbaServer) -> None:
        """And nothing went back by it, so that what is paid there later counts."""
        for end in (gateway_at(server).reverse_payment, gateway_at(server).close_payment):
            told = end(payment_ref())
            assert (told.outcome, told.unseen) == (Outcome.CLOSED, True)

    def test_what_was_cancelled_was_seen(self, waiting: ShouqianbaServer) -> None:
        told = gateway_at(waiting).reverse_payment(payment_ref())
        assert (told.outcome, told.unseen) == (Outcome.CLOSED, False)

    @pytest.mark.parametrize(("late", "outcome"), [(59, Outcome.PENDING), (60, Outcome.CLOSED)])
    def test_a_call_that_may_still_be_on_its_way(
        self, server: ShouqianbaServer, late: int, outcome: Outcome
    ) -> None:
        gateway = gateway_at(server, now=BARCODE_UNTIL + timedelta(seconds=late))
        assert gateway.reverse_payment(barcode_ref()).outcome is outcome


class TestRefunds:
    def test_as_sent(self, paid: ShouqianbaServer) -> None:
        gateway_at(paid).refund(refund_request(refund_no=LONG))
        assert sent(paid) == {
            "terminal_sn": TERMINAL_SN,
            "client_sn": ORDER,
            "client_tsn": LONG,
            "refund_request_no": wire.request_no(LONG),
            "refund_amount": "1000",
            "operator": "portal",
        }

    def test_the_short_number_is_the_same_each_time_and_tells_refunds_apart(self) -> None:
        assert wire.request_no(REFUND) == REFUND
        # The beginning of sha256sum's word about it: a refund that was begun must keep its key over any release.
        assert wire.request_no(LONG) == "85269921aaf5f9b43bbb"
        assert len({wire.request_no(f"R20260501154000{n:010d}") for n in range(2000)}) == 2000

    @pytest.mark.parametrize(
        ("result", "code", "error"),
        [
            ("REFUND_FAIL", "TRADE_FAILED", PlatformRejected),
            ("FAIL", "UPAY_ORDER_NOT_EXISTS", PlatformRejected),
            ("REFUND_ERROR", "", PlatformUnavailable),
            ("REFUND_ERROR", "UPAY_REFUND_INVALID_ORDER_STATE", PlatformUnavailable),
            ("FAIL", "EXTERNAL_SERVICE_EXCEPTION", PlatformUnavailable),
            ("SOMETHING_NEW", "", PlatformUnavailable),
        ],
    )
    def test_what_became_of_it(
        self, paid: ShouqianbaServer, result: str, code: str, error: type[Exception]
    ) -> None:
        paid.faults.append(biz(result, code))
        with pytest.raises(error):
            gateway_at(paid).refund(refund_request())

    def test_under_way(self, paid: ShouqianbaServer) -> None:
        paid.faults.append(biz("REFUND_IN_PROGRESS"))
        result = gateway_at(paid).refund(refund_request())
        assert (result.outcome, result.amount) == (Outcome.PENDING, Money(1000))

    @pytest.mark.parametrize(
        "change",
        [
            {"client_tsn": OTHER},
            {"client_sn": "P9"},
            {"total_amount": "9900"},
            {"net_amount": "2000"},
        ],
    )
    def test_an_answer_about_something_else(
        self, paid: ShouqianbaServer, change: dict[str, str]
    ) -> None:
        gateway_at(paid).refund(refund_request())
        paid.faults.append(biz("REFUND_SUCCESS", **{**paid.orders[ORDER], **change}))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).refund(refund_request())
        assert caught.value.code == "bad_answer"

    @pytest.mark.parametrize(
        ("status", "state", "outcome"),
        [
            ("SUCCESS", "PARTIAL_REFUNDED", Outcome.SUCCEEDED),
            ("SUCCESS", "REFUNDED", Outcome.SUCCEEDED),
            ("", "REFUNDED", Outcome.SUCCEEDED),
            ("", "REFUND_ERROR", Outcome.UNKNOWN),
            ("IN_PROG", "PAID", Outcome.PENDING),
            ("FAIL_CANCELED", "PAID", Outcome.FAILED),
            ("REFUND_ERROR", "REFUND_ERROR", Outcome.UNKNOWN),
            ("SUCCESS", "REFUND_ERROR", Outcome.UNKNOWN),
            ("FAIL_IO_1", "PAID", Outcome.UNKNOWN),
        ],
    )
    def test_what_a_query_shows(
        self, paid: ShouqianbaServer, status: str, state: str, outcome: Outcome
    ) -> None:
        gateway_at(paid).refund(refund_request())
        paid.orders[ORDER] |= {"status": status, "order_status": state}
        result = gateway_at(paid).query_refund(refund_ref())
        assert result.outcome is outcome
        assert (result.refunded_at is not None) is (outcome is Outcome.SUCCEEDED)

    def test_shouqianbas_own_name_for_a_refund(self, paid: ShouqianbaServer) -> None:
        gateway_at(paid).refund(refund_request(refund_no=LONG))
        paid.orders[ORDER]["client_tsn"] = f"{ORDER}-{wire.request_no(LONG)}"
        result = gateway_at(paid).query_refund(refund_ref(refund_no=LONG))
        assert (result.outcome, result.refund_no) == (Outcome.SUCCEEDED, LONG)
        assert result.assumes is None

    def test_another_refund_is_shown_and_sums_that_fit_tell_nothing(
        self, paid: ShouqianbaServer
    ) -> None:
        """Somebody gave as much back in the console, while ours never arrived."""
        gateway = gateway_at(paid)
        gateway.refund(refund_request(refund_no="CONSOLE1"))
        ref = refund_ref(refund_no=LONG, refunded_before=Money(0))
        with pytest.raises(OrderNotFound):
            gateway.query_refund(ref)
        with pytest.raises(OrderNotFound):
            asyncio.run(gateway.query_refund_async(ref))
        later = gateway_at(paid, now=REFUND_BEGAN_AT + timedelta(minutes=1))
        assert later.refund(refund_request(refund_no=LONG)).outcome is Outcome.SUCCEEDED
        assert paid.orders[ORDER]["net_amount"] == "500"

    @pytest.mark.parametrize("before", [None, Money(1000)])
    def test_another_refund_is_never_taken_for_ours(
        self, paid: ShouqianbaServer, before: Money | None
    ) -> None:
        gateway = gateway_at(paid)
        gateway.refund(refund_request(refund_no=OTHER))
        ref = refund_ref(refund_no=LONG, refunded_before=before)
        with pytest.raises(OrderNotFound):
            gateway.query_refund(ref)

    def test_where_no_sum_tells_the_refund_is_sent_again_and_made_once(
        self, paid: ShouqianbaServer
    ) -> None:
        gateway = gateway_at(paid)
        gateway.refund(refund_request(refund_no=LONG))
        gateway.refund(refund_request(refund_no=OTHER))
        with pytest.raises(OrderNotFound):
            gateway.query_refund(refund_ref(refund_no=LONG, refunded_before=None))
        again = gateway.refund(refund_request(refund_no=LONG))
        assert (again.outcome, again.amount) == (Outcome.SUCCEEDED, Money(1000))
        assert paid.orders[ORDER]["net_amount"] == "500"

    def test_a_query_while_the_order_is_not_settled(self, paid: ShouqianbaServer) -> None:
        gateway_at(paid).refund(refund_request(refund_no=OTHER))
        paid.orders[ORDER]["order_status"] = "REFUND_ERROR"
        ref = refund_ref(refund_no=LONG)
        assert gateway_at(paid).query_refund(ref).outcome is Outcome.UNKNOWN

    def test_a_refund_that_hangs_does_not_open_the_accounts_breaker(
        self, paid: ShouqianbaServer
    ) -> None:
        gateway_at(paid).refund(refund_request(refund_no=OTHER))
        paid.orders[ORDER]["order_status"] = "REFUND_ERROR"
        tally = Tally()

        def ask() -> Conversation[RefundResult]:
            return (yield query_refund(refund_ref(refund_no=LONG)))

        for _ in range(10):
            assert talk(gateway_at(paid), ask(), tally).usable
        assert not tally.hopeless

    @pytest.mark.parametrize("state", ["PAID", "CANCELED"])
    def test_where_nothing_was_refunded(self, paid: ShouqianbaServer, state: str) -> None:
        paid.orders[ORDER]["order_status"] = state
        with pytest.raises(OrderNotFound):
            gateway_at(paid).query_refund(refund_ref())

    @pytest.mark.parametrize(
        ("before", "expected"),
        [
            # The other one is known to be made: what is refunded beyond it is ours.
            (Money(1500), Outcome.SUCCEEDED),
            # Both may be made, or the other one alone and something in the console.
            (None, PlatformUnavailable),
            # All that was refunded is known not to be ours.
            (Money(2500), PlatformRejected),
        ],
    )
    def test_a_repeat_that_is_refused_for_the_orders_state(
        self, paid: ShouqianbaServer, before: Money | None, expected: Any
    ) -> None:
        paid.forgets_refunds = True
        gateway = gateway_at(paid)
        gateway.refund(refund_request(refund_no=LONG))
        gateway.refund(refund_request(refund_no=OTHER, amount=Money(1500)))
        again = refund_request(refund_no=LONG, refunded_before=before, repeated=True)
        if isinstance(expected, Outcome):
            assert gateway.refund(again).outcome is expected
        else:
            with pytest.raises(expected):
                gateway.refund(again)

    def test_a_first_refusal_is_final(self, paid: ShouqianbaServer) -> None:
        """However late it is sent: what the sums say then is another's."""
        gateway_at(paid).refund(refund_request(refund_no=OTHER))
        paid.faults.append(biz("FAIL", "UPAY_REFUND_INVALID_ORDER_STATE"))
        first = gateway_at(paid, now=REFUND_BEGAN_AT + timedelta(hours=1))
        with pytest.raises(PlatformRejected) as caught:
            first.refund(refund_request(refund_no=LONG, refunded_before=Money(0)))
        assert caught.value.code == "UPAY_REFUND_INVALID_ORDER_STATE"

    def test_a_repeat_is_one_however_soon(self, paid: ShouqianbaServer) -> None:
        """The first call took effect a moment ago; its answer was lost."""
        paid.forgets_refunds = True
        whole = refund_request(amount=Money(2500), refunded_before=Money(0))
        at_once = gateway_at(paid, now=REFUND_BEGAN_AT + timedelta(seconds=1))
        at_once.refund(whole)
        again = at_once.refund(replace(whole, repeated=True))
        assert (again.outcome, again.amount) == (Outcome.SUCCEEDED, Money(2500))

    def test_ours_is_shown_beside_one_made_in_the_console(self, paid: ShouqianbaServer) -> None:
        """How much of the sum is ours is not told; that it was made is."""
        gateway = gateway_at(paid)
        gateway.refund(refund_request(refund_no="CONSOLE1"))
        gateway.refund(refund_request(refund_no=LONG))
        ref = refund_ref(refund_no=LONG, amount=Money(1000), refunded_before=Money(0))
        result = gateway.query_refund(ref)
        assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, None)
        # Less than ours went back: that cannot be.
        less = gateway.query_refund(replace(ref, amount=Money(2100)))
        assert less.amount == Money(2000)

    def test_done_before_but_nothing_is_refunded(self, paid: ShouqianbaServer) -> None:
        paid.faults.append(biz("FAIL", "UPAY_REFUND_ORDER_NOOP"))
        with pytest.raises(PlatformUnavailable):
            gateway_at(paid).refund(refund_request())


class TestNotices:
    def test_a_header_without_the_terminals_number(self, paid: ShouqianbaServer) -> None:
        raw = paid.callback(ORDER, header="{sign}")
        assert gateway_at(paid).parse_notification(raw).payment is not None

    @pytest.mark.parametrize("header", ["", "{sn} ", "{sn} AAAA", "{sn}"])
    def test_a_header_without_a_signature(self, paid: ShouqianbaServer, header: str) -> None:
        with pytest.raises(InvalidSignature):
            gateway_at(paid).parse_notification(paid.callback(ORDER, header=header))

    def test_the_same_content_in_other_bytes(self, paid: ShouqianbaServer) -> None:
        raw = paid.callback(ORDER)
        other = json.dumps(json.loads(raw.body), indent=1).encode()
        with pytest.raises(InvalidSignature):
            gateway_at(paid).parse_notification(replace(raw, body=other))

    def test_a_genuine_notice_about_somebody_elses_order(self, paid: ShouqianbaServer) -> None:
        """Shouqianba signs for all merchants with one key: another one could pay himself under our number."""
        raw = paid.callback(ORDER, terminal_sn="100999990000000009")
        with pytest.raises(MalformedMessage):
            gateway_at(paid).parse_notification(raw)

    def test_any_terminal_of_the_account(self, paid: ShouqianbaServer) -> None:
        ours = credentials(terminal_sns=f"100111220000000077 {TERMINAL_SN}")
        raw = paid.callback(ORDER, terminal_sn="100111220000000077")
        assert gateway_at(paid, ours).parse_notification(raw).payment is not None

    def test_a_cancelled_order(self, paid: ShouqianbaServer) -> None:
        raw = paid.callback(ORDER, order_status="PAY_CANCELED")
        notice = gateway_at(paid).parse_notification(raw)
        assert notice.payment is not None
        assert notice.payment.outcome is Outcome.CLOSED

    def test_a_refund_that_is_not_named(self, paid: ShouqianbaServer) -> None:
        gateway_at(paid).refund(refund_request())
        raw = paid.callback(ORDER, client_tsn="")
        notice = gateway_at(paid).parse_notification(raw)
        assert (notice.kind, notice.refund) == (NotificationKind.PAYMENT, None)
        assert notice.payment is not None
        assert notice.payment.refunded == Money(1000)

    def test_a_refund_says_when_but_not_how_much(self, paid: ShouqianbaServer) -> None:
        gateway_at(paid).refund(refund_request())
        notice = gateway_at(paid).parse_notification(paid.callback(ORDER))
        assert notice.refund is not None
        assert notice.refund.amount is None
        assert notice.refund.refunded_at == REFUNDED_AT

    def test_two_partial_refunds_are_two_events(self, paid: ShouqianbaServer) -> None:
        keys = set()
        for number in (LONG, OTHER, OTHER):
            gateway_at(paid).refund(refund_request(refund_no=number))
            keys.add(gateway_at(paid).parse_notification(paid.callback(ORDER)).dedup_key)
        assert len(keys) == 2

    def test_refusing_keeps_the_repeats(self, server: ShouqianbaServer) -> None:
        assert gateway_at(server).acknowledge(accepted=False).status == 403


class TestTransport:
    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_refusal_under_any_status(self, server: ShouqianbaServer, status: int) -> None:
        refusal = {"result_code": "400", "error_code": "INVALID_PARAMS", "error_message": "x"}
        server.faults.append(lambda _: httpx.Response(status, json=refusal))
        with pytest.raises(PlatformRejected):
            gateway_at(server).query_payment(payment_ref())

    @pytest.mark.parametrize(
        "message",
        [
            {"result_code": "200"},
            {"result_code": "200", "biz_response": []},
            {"result_code": "200", "biz_response": {"data": {}}},
            {"result_code": "200", "biz_response": {"result_code": "SUCCESS", "data": []}},
            {"result_code": "200", "biz_response": {"result_code": "SUCCESS"}},
            {"result_code": 200, "biz_response": {"result_code": "SUCCESS"}},
            {"result_code": "400"},
            {"biz_response": {"result_code": "SUCCESS"}},
        ],
    )
    def test_half_an_answer(self, server: ShouqianbaServer, message: dict[str, Any]) -> None:
        server.faults.append(lambda _: httpx.Response(200, json=message))
        with pytest.raises(PlatformUnavailable):
            gateway_at(server).query_payment(payment_ref())

    def test_the_bytes_that_are_signed_are_the_bytes_that_are_sent(
        self, server: ShouqianbaServer
    ) -> None:
        gateway_at(server).create_payment(create_request(wallet="wechatpay", subject='"茶" \\ é'))
        request = server.requests[-1]
        assert request.headers["content-type"] == "application/json"
        assert "茶".encode() in request.content
        sn, sign = request.headers["authorization"].split(" ")
        assert sn == TERMINAL_SN
        assert sign == sign.lower()


class TwoKeys(TerminalKeys):
    """A first key, and another one to be tried after a refusal."""

    def __init__(self, first: str, second: str | None) -> None:
        self.first = first
        self.second = second
        self.refused: list[str] = []

    def today(self) -> TerminalKey:
        return TerminalKey(terminal_sn=TERMINAL_SN, terminal_key=self.first)

    def another(self, refused: TerminalKey) -> TerminalKey | None:
        self.refused.append(refused.terminal_key)
        if self.second is None:
            return None
        return TerminalKey(terminal_sn=TERMINAL_SN, terminal_key=self.second)


class TestKeys:
    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_a_refused_key_is_replaced_once(self, paid: ShouqianbaServer, how: str) -> None:
        for second, calls in ((FIRST_KEY, 2), ("still wrong", 2), (None, 1)):
            keys = TwoKeys("wrong", second)
            gateway = gateway_at(paid, keys=keys)
            paid.requests.clear()

            def ask(gateway: ShouqianbaGateway = gateway) -> object:
                if how == "sync":
                    return gateway.query_payment(payment_ref())
                return asyncio.run(gateway.query_payment_async(payment_ref()))

            if second == FIRST_KEY:
                ask()
            else:
                with pytest.raises(PlatformUnavailable) as caught:
                    ask()
                assert caught.value.code == "ILLEGAL_SIGN"
            assert len(paid.requests) == calls
            assert keys.refused == ["wrong"]

    def test_a_code_that_was_refused_for_its_key_is_sent_again(
        self, server: ShouqianbaServer
    ) -> None:
        """A refused signature took no effect, so that even a payer's code may be shown once more."""
        gateway = gateway_at(server, keys=TwoKeys("wrong", FIRST_KEY))
        assert gateway.pay_barcode(barcode_request()).outcome is Outcome.SUCCEEDED

    def test_without_a_terminal_nothing_is_sent(self, server: ShouqianbaServer) -> None:
        gateway = gateway_at(server, credentials(terminal_sn="", terminal_key=""))
        for call in (
            lambda: gateway.query_payment(payment_ref()),
            lambda: asyncio.run(gateway.query_payment_async(payment_ref())),
            lambda: gateway.create_payment(create_request(wallet="alipay", product=Product.IN_APP)),
        ):
            with pytest.raises(PlatformRejected) as caught:
                call()
            assert (caught.value.code, caught.value.retry_same) == ("no_terminal", True)
        assert server.requests == []


class TestTerminals:
    def test_activation(self, server: ShouqianbaServer) -> None:
        made = gateway_at(server).activate_terminal(
            code="ABC123", device_id="portal-1", name="一号店 收银台"
        )
        assert server.terminals[made.terminal_sn].key == made.terminal_key
        assert server.requests[-1].headers["authorization"].startswith(f"{VENDOR_SN} ")
        assert sent(server)["name"] == "一号店 收银台"
        assert made.terminal_key not in repr(made)

    def test_a_code_that_is_used_up_and_repeated_in_the_answer(
        self, server: ShouqianbaServer
    ) -> None:
        gateway = gateway_at(server)
        gateway.activate_terminal(code="ABC123", device_id="portal-1", name="x")
        with pytest.raises(PlatformRejected) as caught:
            gateway.activate_terminal(code="ABC123", device_id="portal-2", name="x")
        assert caught.value.code == "INVALID_ACTIVATION_CODE"
        assert "ABC123" not in str(caught.value)

    def test_a_wrong_vendor_key(self, server: ShouqianbaServer) -> None:
        gateway = gateway_at(server, credentials(vendor_key="wrong"))
        with pytest.raises(KeyRefused):
            gateway.activate_terminal(code="ABC123", device_id="portal-1", name="x")

    def test_check_in(self, server: ShouqianbaServer) -> None:
        fresh = gateway_at(server).check_in_terminal()
        assert fresh.terminal_sn == TERMINAL_SN
        assert fresh.terminal_key == server.terminals[TERMINAL_SN].key != FIRST_KEY
        with pytest.raises(PlatformUnavailable):
            gateway_at(server).query_payment(payment_ref())

    @pytest.mark.parametrize(
        "told",
        [
            {},
            {"terminal_sn": TERMINAL_SN},
            {"terminal_sn": "1 2", "terminal_key": "k"},
            {"terminal_sn": TERMINAL_SN, "terminal_key": ""},
        ],
    )
    def test_half_an_answer(self, server: ShouqianbaServer, told: dict[str, str]) -> None:
        answer = {"result_code": "200", "biz_response": told}
        server.faults.append(lambda _: httpx.Response(200, json=answer))
        with pytest.raises(PlatformUnavailable):
            gateway_at(server).check_in_terminal()

    def test_a_refusal_inside(self, server: ShouqianbaServer) -> None:
        server.faults.append(biz("FAIL", "TERMINAL_DISABLED"))
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).check_in_terminal()
        assert caught.value.code == "TERMINAL_DISABLED"


class TestCredentials:
    @pytest.mark.parametrize(
        ("keys", "code", "field"),
        [
            ({"terminal_key": "wrong"}, "ILLEGAL_SIGN", ""),
            ({"terminal_sn": "", "terminal_key": ""}, "no_terminal", "activation_code"),
            ({"public_key": "rubbish"}, "garbled", "public_key"),
            ({"public_key": ""}, "empty", "public_key"),
        ],
    )
    def test_what_is_at_fault(
        self, server: ShouqianbaServer, keys: dict[str, str], code: str, field: str
    ) -> None:
        verdict = gateway_at(server, credentials(**keys)).check_credentials()
        assert (verdict.state, verdict.code, verdict.field) == (CheckState.BAD, code, field)

    def test_a_public_key_is_not_tried(self, server: ShouqianbaServer) -> None:
        gateway = gateway_at(server, credentials(public_key=public_pem("stranger")))
        assert gateway.check_credentials().state is CheckState.GOOD

    def test_shouqianba_in_trouble(self, server: ShouqianbaServer) -> None:
        server.faults.append(lambda _: server.outer("500", "UNKNOWN_SYSTEM_ERROR"))
        assert gateway_at(server).check_credentials().state is CheckState.UNREACHABLE


class TestExports:
    """What a person saved in the merchant console, before anybody named its columns."""

    EXPORT = (
        "交易时间,收钱吧订单号,商户订单号,支付渠道订单号,交易类型,支付方式,订单金额(元),实收金额(元),手续费(元),终端号,门店号,状态\n"
        "2026-05-01 10:16:47,7895236110164701,P1,2026050122001456781234567890,收款,支付宝,100.00,99.62,0.38,100111220000000001,S0001,成功\n"
        "2026-05-01 11:30:02,7895236111300202,P2,4200002611202605011234567890,收款,微信,25.50,25.40,0.10,100111220000000001,S0001,失败\n"
        "2026-05-01 15:05:10,7895236110164701,P1,2026050122001456781234567890,退款,支付宝,-30.00,-29.89,-0.11,100111220000000001,S0001,成功\n"
    )

    def read(self, text: str, encoding: str = "utf-8-sig") -> ParsedStatement:
        return gateway_at(ShouqianbaServer()).parse_statement(
            text.encode(encoding), business_date=DAY, kind=StatementKind.TRADE
        )

    def test_there_is_no_bill_to_download(self, server: ShouqianbaServer) -> None:
        with pytest.raises(NotSupported, match="export"):
            gateway_at(server).fetch_statement(business_date=DAY, kind=StatementKind.TRADE)

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "gb18030"])
    def test_the_usual_columns(self, encoding: str) -> None:
        bill = self.read(self.EXPORT, encoding)
        assert bill.merchant_no == MERCHANT_NO
        assert [(one.kind.value, one.amount.minor, one.fee.minor) for one in bill.lines] == [
            ("payment", 10000, 38),
            # What failed moved no money.
            ("other", 2550, 10),
            ("refund", 3000, -11),
        ]
        assert [one.order_no for one in bill.lines] == ["P1", "P2", "P1"]
        assert bill.lines[0].occurred_at == datetime(2026, 5, 1, 2, 16, 47, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("交易时间,商户订单号,交易类型\n2026-05-01 10:00:00,P1,收款\n", "other_format"),
            (EXPORT.replace("2026-05-01 15", "2026-05-02 15"), "other_day"),
            (EXPORT.replace("100.00", "1e2"), "bad_row"),
            ("", "truncated"),
        ],
    )
    def test_what_cannot_be_read(self, text: str, reason: str) -> None:
        with pytest.raises(StatementUnreadable) as caught:
            self.read(text)
        assert caught.value.reason == reason


def test_every_code_that_the_connector_knows_has_words() -> None:
    known = messages.known_codes(Platform.SHOUQIANBA)
    assert known >= UNHEARD | wire.NOT_FOUND | wire.NOT_CANCELLABLE | wire.MAYBE_REFUNDED
    assert known >= wire.BALANCE | wire.DOUBTFUL | wire.REFUSED | wire.WAITING
    assert {wire.CANCELLED_BEFORE, wire.REFUNDED_BEFORE, NO_TERMINAL, TERMINAL_LOST} <= known
    ours = {"code_lost", "wallet_missing", "amount_out_of_range", "address_too_long"}
    assert ours | {"refund_not_shown", terminals.UNANSWERED} <= known
    charges = {KEY_REFUSED, TERMINAL_OFF, TERMINAL_UNKNOWN}
    assert charges <= known
    for code in charges:
        assert messages.says_nothing_moved(Platform.SHOUQIANBA, code)
