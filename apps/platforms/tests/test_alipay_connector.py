"""The Alipay connector: the contract, and what only this platform does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from apps.core.money import Money
from apps.platforms.connectors.alipay import client
from apps.platforms.connectors.alipay.connector import AlipayEndpoints, AlipayGateway
from apps.platforms.gateway import (
    CheckState,
    Credentials,
    InvalidSignature,
    MalformedMessage,
    NotificationKind,
    OrderNotFound,
    Outcome,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    RawNotification,
    StatementEmpty,
    StatementKind,
    StatementNotReady,
)
from apps.platforms.http import PlatformHttp
from apps.platforms.tests import bills
from apps.platforms.tests.alipay_server import AlipayServer, certified, pem
from apps.platforms.tests.contract import (
    BEGAN_AT,
    DAY,
    ORDER,
    REFUND,
    Fault,
    GatewayContract,
    Rig,
    barcode_ref,
    barcode_request,
    create_request,
    payment_ref,
    refund_request,
)
from apps.platforms.tests.wechatpay_server import NOW, private_pem, public_pem


def gateway_at(
    server: AlipayServer, ours: Credentials | None = None, *, now: datetime = NOW
) -> AlipayGateway:
    transport = httpx.MockTransport(server.handle)
    return AlipayGateway(
        credentials=ours or server.ours,
        http=PlatformHttp(timeout=60, transport=transport, async_transport=transport),
        endpoints=AlipayEndpoints(
            gateway_url="https://alipay.test/gateway.do",
            oauth_authorize_url="https://auth.test/oauth2/publicAppAuthorize.htm",
        ),
        clock=lambda: now,
    )


@dataclass
class AlipayRig(Rig):
    server: AlipayServer = field(default_factory=AlipayServer)
    misstated: dict[str, str] = field(default_factory=dict)
    doubled: bool = False
    refunds_take_time = False
    success_ack = b"success"
    payer_id = "2088000000000007"
    auth_code = "281234567890123456"

    def gateway(self) -> PlatformGateway:
        return gateway_at(self.server)

    def begin(self) -> None:
        self.server.scan(ORDER)

    def pay(self) -> None:
        self.server.pay(ORDER)

    def finish_refund(self) -> None:
        pass

    def fault(self, fault: Fault) -> None:
        self.server.faults.append(fault)

    def refusal(self, code: str) -> Fault:
        return lambda request: self.server.failure(_method(request), "40004", code)

    def system_error(self) -> Fault:
        return lambda request: self.server.failure(_method(request), "20000", "isp.unknow-error")

    def balance_short(self) -> Fault:
        return self.refusal("ACQ.SELLER_BALANCE_NOT_ENOUGH")

    def spoil(self, change: Callable[[bytes], bytes]) -> None:
        self.server.spoil = change

    def sign_with_stranger(self) -> None:
        self.server.signer = "stranger"

    def payment_notice(self) -> RawNotification:
        notice = self.server.notice({**self.server.fields(ORDER), **self.misstated})
        if self.doubled:
            # Whether signed once or twice: two readings are none.
            notice = replace(notice, body=notice.body + b"&trade_status=TRADE_SUCCESS")
        return notice

    def barcode_waits(self) -> None:
        self.server.code_waits = True

    def barcode_refusal(self) -> Fault:
        return self.refusal("ACQ.PAYMENT_AUTH_CODE_INVALID")

    def gateway_with(
        self, *, keys: dict[str, str] | None = None, fast: timedelta = timedelta(0)
    ) -> PlatformGateway:
        return gateway_at(self.server, with_keys(self.server, **(keys or {})), now=NOW + fast)

    def foreign_key(self) -> str:
        return private_pem("stranger")

    def misstate(self, what: str) -> None:
        if what == "merchant":
            self.misstated = {"seller_id": "2088000000000000"}
        else:
            self.misstated = {"total_amount": "0.01"}
            self.server.rewrite = lambda text: text.replace("25.00", "0.01")

    def double_a_field(self) -> None:
        self.doubled = True
        self.server.rewrite = lambda text: text.replace(
            '"trade_status":', '"trade_status": "WAIT_BUYER_PAY", "trade_status":'
        )

    def refund_notice(self) -> RawNotification:
        return self.server.notice(
            self.server.fields(
                ORDER, out_biz_no=REFUND, refund_fee="10.00", gmt_refund="2026-05-01 15:42:00.123"
            )
        )

    def add_bills(self) -> None:
        self.server.bills[f"trade:{DAY}"] = bills.alipay_zip("业务明细", bills.ALIPAY_TRADE)
        self.server.bills[f"signcustomer:{DAY}"] = bills.alipay_zip("账务明细", bills.ALIPAY_FUND)


def with_keys(server: AlipayServer, **keys: str) -> Credentials:
    return replace(server.ours, keys={**server.ours.keys, **keys})


def _method(request: httpx.Request) -> str:
    return request.url.params["method"]


@pytest.fixture
def server() -> AlipayServer:
    return AlipayServer()


class TestAlipayContract(GatewayContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return AlipayRig()


class TestAlipayContractByCertificate(GatewayContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return AlipayRig(server=AlipayServer(ours=certified()))


class TestOrders:
    def test_the_order_as_sent(self, server: AlipayServer) -> None:
        gateway_at(server).create_payment(
            create_request(subject="一号店/二=三&四", store_ref="S001", terminal_ref="T1")
        )
        assert server.codes[ORDER] == {
            "out_trade_no": ORDER,
            "total_amount": "25.00",
            "subject": "一号店 二 三 四",
            "product_code": "FACE_TO_FACE_PAYMENT",
            "time_expire": "2026-05-01 11:00:00",
            "store_id": "S001",
            "terminal_id": "T1",
        }

    @pytest.mark.parametrize("product", [Product.BROWSER, Product.IN_APP])
    def test_the_cashier_page(self, server: AlipayServer, product: Product) -> None:
        handover = gateway_at(server).create_payment(create_request(product=product, payer_id=""))
        assert server.requests == []
        query = httpx.URL(handover.redirect_url).params
        assert query["method"] == "alipay.trade.wap.pay"
        assert query["return_url"] == "https://shop.test/pay/1"
        assert query["notify_url"] == "https://shop.test/notify/x/abc"
        assert query["timestamp"] == "2026-05-02 11:00:00"
        assert json.loads(query["biz_content"])["product_code"] == "QUICK_WAP_WAY"
        # The server checks the signature over all the parameters that the browser would bring.
        with pytest.raises(AssertionError):
            server.handle(httpx.Request("POST", handover.redirect_url.replace("=utf-8", "=gbk")))

    def test_a_code_that_nobody_scanned(self, server: AlipayServer) -> None:
        gateway_at(server).create_payment(create_request())
        with pytest.raises(OrderNotFound) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "ACQ.TRADE_NOT_EXIST"

    @pytest.mark.parametrize(
        ("state", "more", "outcome"),
        [
            ("WAIT_BUYER_PAY", {}, Outcome.PENDING),
            ("TRADE_FINISHED", {"send_pay_date": "2026-05-01 10:21:33"}, Outcome.SUCCEEDED),
            ("TRADE_CLOSED", {}, Outcome.CLOSED),
            ("TRADE_CLOSED", {"send_pay_date": "2026-05-01 10:21:33"}, Outcome.SUCCEEDED),
            ("SOMETHING_NEW", {}, Outcome.UNKNOWN),
        ],
    )
    def test_states(
        self, server: AlipayServer, state: str, more: dict[str, str], outcome: Outcome
    ) -> None:
        gateway_at(server).create_payment(create_request())
        server.scan(ORDER)
        server.trades[ORDER] |= {"trade_status": state, **more}
        assert gateway_at(server).query_payment(payment_ref()).outcome is outcome

    @pytest.mark.parametrize(
        "change",
        [
            {"out_trade_no": "P2"},
            {"total_amount": "25.001"},
            {"total_amount": 25.0},
            {"total_amount": "-25.00"},
            {"trade_no": ""},
            {"trade_status": None},
            {"send_pay_date": "yesterday"},
        ],
    )
    def test_an_answer_about_something_else_is_no_answer(
        self, server: AlipayServer, change: dict[str, object]
    ) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.trades[ORDER] |= change
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "bad_answer"

    @pytest.mark.parametrize(
        "sub_code", ["ACQ.SYSTEM_ERROR", "AQC.SYSTEM_ERROR", "aop.unknow-error"]
    )
    def test_both_spellings_of_a_system_error(self, server: AlipayServer, sub_code: str) -> None:
        server.faults.append(lambda request: server.failure(_method(request), "40004", sub_code))
        with pytest.raises(PlatformUnavailable):
            gateway_at(server).refund(refund_request())

    def test_success_without_signature_is_not_believed(self, server: AlipayServer) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        body = {"code": "10000", **server.trades[ORDER]}
        server.faults.append(lambda _: server.answer("alipay.trade.query", body, signed=False))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "bad_signature"

    def test_success_under_the_name_of_an_error_is_not_believed(self, server: AlipayServer) -> None:
        server.faults.append(lambda _: server.answer("error", {"code": "10000"}))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(create_request())
        assert caught.value.code == "bad_answer"

    def test_the_answer_to_another_call_is_not_believed(self, server: AlipayServer) -> None:
        server.faults.append(lambda _: server.good("alipay.trade.close", {"out_trade_no": ORDER}))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "bad_answer"

    def test_inside_the_wallet_once_it_is_known_who_pays(self, server: AlipayServer) -> None:
        """The wallet's own script opens the trade."""
        request = create_request(product=Product.IN_APP, payer_id="2088000000000007")
        handover = gateway_at(server).create_payment(request)
        assert handover.invoke == {"tradeNO": f"20260501{ORDER}"}
        assert server.codes[ORDER]["buyer_id"] == "2088000000000007"
        assert server.codes[ORDER]["op_app_id"] == server.ours.app_id
        assert server.requests[0].url.params["notify_url"] == request.notify_url
        # A trade that was created is there at once.
        assert gateway_at(server).query_payment(payment_ref()).outcome is Outcome.PENDING
        other = create_request(product=Product.IN_APP, payer_id="074Ya8s", order_no="P2")
        gateway_at(server).create_payment(other)
        assert server.codes["P2"]["buyer_open_id"] == "074Ya8s"

    def test_a_code_is_lazy(self, server: AlipayServer) -> None:
        """Until somebody scans it there is no trade: nothing is found, nothing can be closed, and it may still be paid."""
        gateway = gateway_at(server)
        gateway.create_payment(create_request())
        assert gateway.close_payment(payment_ref()).outcome is Outcome.CLOSED
        server.pay(ORDER)
        assert gateway.query_payment(payment_ref()).outcome is Outcome.SUCCEEDED
        assert gateway.close_payment(payment_ref()).outcome is Outcome.SUCCEEDED

    def test_the_character_set_stands_in_every_address(self, server: AlipayServer) -> None:
        gateway_at(server).create_payment(create_request())
        gateway_at(server).pay_barcode(barcode_request(order_no="P2"))
        handover = gateway_at(server).create_payment(create_request(product=Product.BROWSER))
        urls = [one.url for one in server.requests] + [httpx.URL(handover.redirect_url)]
        assert {url.params["charset"] for url in urls} == {"utf-8"}

    @pytest.mark.parametrize("names_charset", [True, False])
    def test_answers_in_gbk_though_we_asked_otherwise(
        self, server: AlipayServer, names_charset: bool
    ) -> None:
        server.charset, server.names_charset = "gb18030", names_charset
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        # Its second byte is a backslash: cut before it is decoded, it would hide the quote behind it.
        server.trades[ORDER]["subject"] = "诚"
        assert gateway_at(server).query_payment(payment_ref()).outcome is Outcome.SUCCEEDED
        server.spoil = lambda inner: inner.replace(b"25.00", b"99.00")
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "bad_signature"

    @pytest.mark.parametrize(
        "make",
        [
            lambda good, bad: b'{"alipay_trade_query_response":' + bad + b"," + good[1:],
            lambda good, bad: good[:-1] + b',"alipay_trade_query_response":' + bad + b"}",
            lambda good, bad: good + bad,
            lambda good, bad: good[:-1] + b',"sign":"AAAA"}',
        ],
    )
    def test_an_answer_with_a_member_twice(
        self, server: AlipayServer, make: Callable[[bytes, bytes], bytes]
    ) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        real = server.handle
        bad = b'{"code":"10000","trade_status":"TRADE_CLOSED"}'
        server.faults.append(
            lambda request: httpx.Response(200, content=make(real(request).content, bad))
        )
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "bad_answer"


class TestPayersCodes:
    def test_as_sent(self, server: AlipayServer) -> None:
        gateway_at(server).pay_barcode(barcode_request(auth_code="281234567890123456"))
        assert server.codes[ORDER] == {
            "out_trade_no": ORDER,
            "total_amount": "25.00",
            "subject": "一号店 咖啡",
            "product_code": "FACE_TO_FACE_PAYMENT",
            "scene": "bar_code",
            "auth_code": "281234567890123456",
            "time_expire": "2026-05-01 10:22:00",
            "store_id": "S001",
            "terminal_id": "T1",
            "operator_id": "7",
        }
        # A notice that comes late must not call paid what was reversed meanwhile.
        assert "notify_url" not in server.requests[0].url.params

    def test_the_payer_types_a_password(self, server: AlipayServer) -> None:
        server.code_waits = True
        result = gateway_at(server).pay_barcode(barcode_request())
        assert (result.outcome, result.code) == (Outcome.PENDING, "10003")
        # Waiting must be signed as well.
        server.signer = "stranger"
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request(order_no="P2"))
        assert caught.value.code == "bad_signature"

    @pytest.mark.parametrize(
        ("code", "sub_code"),
        [
            ("40004", "ACQ.PAYMENT_AUTH_CODE_INVALID"),
            ("40004", "ACQ.BUYER_BALANCE_NOT_ENOUGH"),
            ("40002", "isv.invalid-parameter"),
            ("40006", "isv.insufficient-isv-permissions"),
        ],
    )
    def test_refusals(self, server: AlipayServer, code: str, sub_code: str) -> None:
        server.faults.append(lambda request: server.failure(_method(request), code, sub_code))
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == sub_code

    @pytest.mark.parametrize(
        ("code", "sub_code"),
        [
            ("20000", "aop.unknow-error"),
            ("40004", "ACQ.SYSTEM_ERROR"),
            ("40004", "ACQ.TRADE_HAS_SUCCESS"),
            ("40004", "ACQ.CONTEXT_INCONSISTENT"),
            ("40004", "ACQ.SOMETHING_NEW"),
        ],
    )
    def test_what_is_not_certainly_a_refusal_is_asked_about(
        self, server: AlipayServer, code: str, sub_code: str
    ) -> None:
        server.faults.append(lambda request: server.failure(_method(request), code, sub_code))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == sub_code

    @pytest.mark.parametrize(
        "change",
        [
            {"out_trade_no": "P2"},
            {"total_amount": "24.99"},
            {"total_amount": ""},
            {"trade_no": ""},
            {"gmt_payment": ""},
            {"gmt_payment": "now"},
        ],
    )
    def test_success_must_be_whole(self, server: AlipayServer, change: dict[str, str]) -> None:
        body = {
            "out_trade_no": ORDER,
            "trade_no": "2026",
            "total_amount": "25.00",
            "gmt_payment": "2026-05-01 10:21:33",
            **change,
        }
        server.faults.append(lambda request: server.good("alipay.trade.pay", body))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == "bad_answer"

    def test_what_a_reversal_did(self, server: AlipayServer) -> None:
        gateway = gateway_at(server)
        server.code_waits = True
        gateway.pay_barcode(barcode_request())
        assert gateway.reverse_payment(barcode_ref()).code == "close"
        after = gateway.query_payment(barcode_ref())
        assert (after.outcome, after.refunded) == (Outcome.CLOSED, None)

        server.code_waits = False
        gateway.pay_barcode(barcode_request(order_no="P2"))
        assert gateway.reverse_payment(barcode_ref(order_no="P2")).code == "refund"
        after = gateway.query_payment(barcode_ref(order_no="P2"))
        assert (after.outcome, after.refunded) == (Outcome.CLOSED, Money(2500))
        # The same words about a code that was scanned mean a payment, refunded.
        made = gateway.query_payment(payment_ref(order_no="P2"))
        assert made.outcome is Outcome.SUCCEEDED

    def test_reverse_again(self, server: AlipayServer) -> None:
        gateway_at(server).pay_barcode(barcode_request())
        again = {"out_trade_no": ORDER, "trade_no": "2026", "retry_flag": "Y", "action": "close"}
        server.faults.append(lambda _: server.good("alipay.trade.cancel", again))
        assert gateway_at(server).reverse_payment(barcode_ref()).outcome is Outcome.PENDING
        server.faults.append(
            lambda request: server.failure(
                _method(request), "40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"
            )
        )
        waits = gateway_at(server).reverse_payment(barcode_ref())
        assert (waits.outcome, waits.code) == (Outcome.PENDING, "ACQ.SELLER_BALANCE_NOT_ENOUGH")

    @pytest.mark.parametrize(
        "sub_code",
        ["ACQ.TRADE_CANCEL_TIME_OUT", "ACQ.CANCEL_NOT_ALLOWED", "ACQ.TRADE_HAS_FINISHED"],
    )
    def test_a_refused_reversal_tells_what_became_of_it(
        self, server: AlipayServer, sub_code: str
    ) -> None:
        gateway_at(server).pay_barcode(barcode_request())
        server.faults.append(lambda request: server.failure(_method(request), "40004", sub_code))
        assert gateway_at(server).reverse_payment(barcode_ref()).outcome is Outcome.SUCCEEDED
        server.trades[ORDER]["trade_status"] = "TRADE_CLOSED"
        server.faults.append(
            lambda request: server.failure(
                _method(request), "40004", "ACQ.REASON_TRADE_REFUND_FEE_ERR"
            )
        )
        assert gateway_at(server).reverse_payment(barcode_ref()).outcome is Outcome.CLOSED

    def test_a_reversal_refused_for_good(self, server: AlipayServer) -> None:
        server.faults.append(
            lambda request: server.failure(_method(request), "40004", "ACQ.SOMETHING_NEW")
        )
        with pytest.raises(PlatformRejected):
            gateway_at(server).reverse_payment(barcode_ref())

    @pytest.mark.parametrize(("seconds", "outcome"), [(30, Outcome.PENDING), (60, Outcome.CLOSED)])
    def test_reversing_what_may_be_on_its_way(
        self, server: AlipayServer, seconds: int, outcome: Outcome
    ) -> None:
        gateway = gateway_at(server, now=BEGAN_AT + timedelta(seconds=seconds))
        assert gateway.reverse_payment(barcode_ref()).outcome is outcome


class TestCertificateMode:
    @pytest.fixture
    def server(self) -> Iterator[AlipayServer]:
        client._fetched.clear()
        yield AlipayServer(ours=certified())
        client._fetched.clear()

    @staticmethod
    def downloads(server: AlipayServer) -> int:
        return sum("alipaycert" in _method(one) for one in server.requests)

    def test_a_new_certificate_is_fetched_once(self, server: AlipayServer) -> None:
        server.signer, server.offered = "alipay renewed", ["alipay renewed", "alipay middle"]
        for _ in range(2):
            assert gateway_at(server).create_payment(create_request()).qr_content
        server.pay(ORDER)
        asked = asyncio.run(gateway_at(server).query_payment_async(payment_ref()))
        assert asked.outcome is Outcome.SUCCEEDED
        notice = server.notice(server.fields(ORDER))
        assert gateway_at(server).parse_notification(notice).payment is not None
        assert self.downloads(server) == 1
        # The old one is good until its end.
        server.signer = "alipay platform"
        assert gateway_at(server).query_payment(payment_ref()).outcome is Outcome.SUCCEEDED

    def test_the_pollers_fetch_it_as_well(self, server: AlipayServer) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.signer, server.offered = "alipay renewed", ["alipay renewed", "alipay middle"]
        for _ in range(2):
            asked = asyncio.run(gateway_at(server).query_payment_async(payment_ref()))
            assert asked.outcome is Outcome.SUCCEEDED
        assert self.downloads(server) == 1

    @pytest.mark.parametrize(
        ("signer", "offered", "reason"),
        [
            ("other chain", ["other chain", "other middle"], "chain"),
            ("other chain", ["other chain", "other middle", "other root"], "chain"),
            ("alipay pretended", ["alipay pretended", "alipay renewed", "alipay middle"], "chain"),
            ("alipay renewed", ["alipay renewed"], "chain"),
            ("alipay expired", ["alipay expired", "alipay middle"], "chain"),
            ("alipay renewed", ["alipay platform", "alipay middle"], "chain"),
            ("alipay renewed", [], "serial"),
        ],
    )
    def test_what_the_root_does_not_prove_is_not_believed(
        self, server: AlipayServer, signer: str, offered: list[str], reason: str
    ) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.signer, server.offered = signer, offered
        calls: list[Callable[[], object]] = [
            lambda: gateway_at(server).query_payment(payment_ref()),
            lambda: asyncio.run(gateway_at(server).query_payment_async(payment_ref())),
        ]
        for call in calls:
            with pytest.raises(PlatformUnavailable, match=reason) as caught:
                call()
            assert caught.value.code == "bad_signature"
        with pytest.raises(InvalidSignature, match="serial"):
            gateway_at(server).parse_notification(server.notice(server.fields(ORDER)))
        assert client._fetched == {}

    def test_a_download_that_is_refused(self, server: AlipayServer) -> None:
        server.signer = "alipay renewed"
        real = server.route

        def route(method: str, biz: dict[str, Any]) -> httpx.Response:
            if "alipaycert" in method:
                return server.failure(method, "40004", "isv.cert-not-found")
            return real(method, biz)

        server.route = route  # type: ignore[method-assign]
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(create_request())
        assert caught.value.code == "bad_signature"

    def test_a_notice_with_a_certificate_that_is_not_here(self, server: AlipayServer) -> None:
        """The intake must answer within seconds, so nobody is asked; the platform sends it again."""
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.signer, server.offered = "alipay renewed", ["alipay renewed", "alipay middle"]
        notice = server.notice(server.fields(ORDER))
        with pytest.raises(InvalidSignature, match="serial"):
            gateway_at(server).parse_notification(notice)
        gateway_at(server).query_payment(payment_ref())
        assert gateway_at(server).parse_notification(notice).payment is not None

    def test_a_stored_certificate_past_its_time(self, server: AlipayServer) -> None:
        ours = with_keys(server, alipay_certificate=pem("alipay expired"))
        server.signer = "alipay expired"
        with pytest.raises(PlatformUnavailable, match="expired") as caught:
            gateway_at(server, ours).create_payment(create_request())
        assert caught.value.code == "bad_signature"

    def test_answers_that_name_no_certificate(self, server: AlipayServer) -> None:
        server.names_certificate = False
        ours = with_keys(server, alipay_certificate=pem("alipay renewed", "alipay platform"))
        assert gateway_at(server, ours).create_payment(create_request()).qr_content
        server.signer = "stranger"
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server, ours).create_payment(create_request())
        assert caught.value.code == "bad_signature"

    def test_renewal(self, server: AlipayServer) -> None:
        assert gateway_at(server).renew_credentials() is None
        server.signer, server.offered = "alipay renewed", ["alipay renewed", "alipay middle"]
        fresh = gateway_at(server).renew_credentials()
        assert fresh is not None
        assert fresh.keys["alipay_certificate"] == pem("alipay platform", "alipay renewed")
        assert {**fresh.keys, "alipay_certificate": ""} == {
            **server.ours.keys,
            "alipay_certificate": "",
        }
        client._fetched.clear()
        assert gateway_at(server, fresh).create_payment(create_request()).qr_content
        assert gateway_at(server, fresh).renew_credentials() is None
        assert self.downloads(server) == 1

    def test_renewal_leaves_behind_what_has_ended(self, server: AlipayServer) -> None:
        ours = with_keys(server, alipay_certificate=pem("alipay expired"))
        server.offered = ["alipay platform", "alipay middle"]
        fresh = gateway_at(server, ours).renew_credentials()
        assert fresh is not None
        assert fresh.keys["alipay_certificate"] == pem("alipay platform")

    def test_keys_are_not_renewed(self) -> None:
        server = AlipayServer()
        assert gateway_at(server).renew_credentials() is None
        assert server.requests == []

    @pytest.mark.parametrize(
        ("keys", "field"),
        [
            ({"app_certificate": pem("alipay platform")}, "app_certificate"),
            ({"alipay_certificate": pem("other chain")}, ""),
            ({"alipay_certificate": "rubbish"}, "alipay_certificate"),
            ({"app_certificate": "rubbish"}, "app_certificate"),
            ({"alipay_root_certificate": "rubbish"}, "alipay_root_certificate"),
            ({"alipay_root_certificate": ""}, "alipay_root_certificate"),
        ],
    )
    def test_the_credential_at_fault(
        self, server: AlipayServer, keys: dict[str, str], field: str
    ) -> None:
        server.offered = ["alipay platform", "alipay middle"]
        verdict = gateway_at(server, with_keys(server, **keys)).check_credentials()
        # A stored certificate that Alipay does not use is harmless: it tells us the right one.
        assert verdict.state is (CheckState.BAD if field else CheckState.GOOD)
        assert verdict.field == field


class TestRefunds:
    def test_a_repeat_moves_no_money_and_tells_the_same(self, server: AlipayServer) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        first = gateway_at(server).refund(refund_request())
        again = gateway_at(server).refund(refund_request())
        assert (again.outcome, again.amount, again.refunded_at) == (
            first.outcome,
            first.amount,
            first.refunded_at,
        )

    def test_accepted_but_not_yet_made(self, server: AlipayServer) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.slow_refunds = True
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).refund(refund_request())
        assert caught.value.code == "fund_change_n"


class TestNotices:
    @pytest.fixture
    def paid(self, server: AlipayServer) -> AlipayServer:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        return server

    @pytest.mark.parametrize("charset", ["utf-8", "gbk"])
    def test_in_either_character_set(self, paid: AlipayServer, charset: str) -> None:
        raw = paid.notice(paid.fields(ORDER, charset=charset), charset=charset)
        notice = gateway_at(paid).parse_notification(raw)
        assert notice.payment is not None
        assert notice.payment.amount == Money(2500)

    def test_unknown_fields_are_signed_too(self, paid: AlipayServer) -> None:
        raw = paid.notice(paid.fields(ORDER, something_new="a+b c"))
        assert gateway_at(paid).parse_notification(raw).payment is not None
        added = replace(raw, body=raw.body + b"&extra=1")
        with pytest.raises(InvalidSignature):
            gateway_at(paid).parse_notification(added)

    @pytest.mark.parametrize(
        "change",
        [{"app_id": "2021000000000009"}, {"seller_id": "2088000000000000"}, {"total_amount": "x"}],
    )
    def test_what_is_not_ours(self, paid: AlipayServer, change: dict[str, str]) -> None:
        raw = paid.notice({**paid.fields(ORDER), **change})
        with pytest.raises(MalformedMessage):
            gateway_at(paid).parse_notification(raw)

    def test_a_field_twice(self, paid: AlipayServer) -> None:
        raw = paid.notice(paid.fields(ORDER))
        with pytest.raises(MalformedMessage):
            gateway_at(paid).parse_notification(replace(raw, body=b"total_amount=0.01&" + raw.body))

    @pytest.mark.parametrize(
        ("state", "more", "outcome"),
        [
            ("WAIT_BUYER_PAY", {"gmt_payment": ""}, Outcome.PENDING),
            ("TRADE_CLOSED", {"gmt_payment": ""}, Outcome.CLOSED),
            ("TRADE_FINISHED", {}, Outcome.SUCCEEDED),
        ],
    )
    def test_states(
        self, paid: AlipayServer, state: str, more: dict[str, str], outcome: Outcome
    ) -> None:
        raw = paid.notice({**paid.fields(ORDER), "trade_status": state, **more})
        notice = gateway_at(paid).parse_notification(raw)
        assert notice.kind is NotificationKind.PAYMENT
        assert notice.payment is not None
        assert notice.payment.outcome is outcome

    def test_a_full_refund_closes_the_trade_but_it_was_paid(self, paid: AlipayServer) -> None:
        raw = paid.notice(
            {
                **paid.fields(ORDER, out_biz_no=REFUND, refund_fee="25.00"),
                "trade_status": "TRADE_CLOSED",
                "gmt_payment": "",
                "gmt_refund": "2026-05-01 15:42:00",
            }
        )
        notice = gateway_at(paid).parse_notification(raw)
        assert notice.kind is NotificationKind.REFUND
        assert notice.payment is not None
        assert notice.refund is not None
        assert notice.payment.outcome is Outcome.SUCCEEDED
        assert notice.payment.refunded == Money(2500)
        assert notice.refund.amount is None
        assert notice.refund.refunded_at == datetime(2026, 5, 1, 7, 42, tzinfo=UTC)

    def test_two_partial_refunds_are_two_events(self, paid: AlipayServer) -> None:
        keys = {
            gateway_at(paid)
            .parse_notification(
                paid.notice(paid.fields(ORDER, out_biz_no=number, refund_fee=total))
            )
            .dedup_key
            for number, total in (("R1", "5.00"), ("R2", "10.00"), ("R2", "10.00"))
        }
        assert len(keys) == 2


class TestStatements:
    @pytest.mark.parametrize(
        ("now", "error"),
        [
            (datetime(2026, 5, 2, 1, 59, tzinfo=UTC), StatementNotReady),
            (datetime(2026, 5, 2, 2, 0, tzinfo=UTC), StatementEmpty),
        ],
    )
    def test_late_or_empty(
        self, server: AlipayServer, now: datetime, error: type[Exception]
    ) -> None:
        gateway = gateway_at(server, now=now)
        with pytest.raises(error):
            gateway.fetch_statement(business_date=DAY, kind=StatementKind.TRADE)

    def test_a_page_in_place_of_the_file(self, server: AlipayServer) -> None:
        server.bills[f"trade:{DAY}"] = b"<html>expired</html>"
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        assert caught.value.code == "bad_file"


class TestCredentials:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"private_key": private_pem("stranger")}, "private_key"),
            ({"private_key": "rubbish"}, "private_key"),
            ({"alipay_public_key": public_pem("alipay app")}, "alipay_public_key"),
            ({"alipay_public_key": ""}, "alipay_public_key"),
        ],
    )
    def test_the_credential_at_fault(
        self, server: AlipayServer, changes: dict[str, str], field: str
    ) -> None:
        ours = replace(server.ours, keys={**server.ours.keys, **changes})
        verdict = gateway_at(server, ours).check_credentials()
        assert (verdict.state, verdict.field) == (CheckState.BAD, field)

    def test_a_wrong_app_id(self, server: AlipayServer) -> None:
        ours = replace(server.ours, app_id="2021000000000099")
        verdict = gateway_at(server, ours).check_credentials()
        assert (verdict.state, verdict.field) == (CheckState.BAD, "app_id")

    def test_bare_base64_keys(self, server: AlipayServer) -> None:
        def bare(pem: str) -> str:
            return "".join(line for line in pem.splitlines() if "-----" not in line)

        keys = {name: bare(value) for name, value in server.ours.keys.items()}
        ours = replace(server.ours, keys=keys)
        assert gateway_at(server, ours).check_credentials().state is CheckState.GOOD

    def test_a_refused_wallet_code(self, server: AlipayServer) -> None:
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).payer_id_from_code(code="used")
        assert caught.value.code == "isv.code-invalid"
