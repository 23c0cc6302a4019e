"""The Alipay connector: the contract, and what only this platform does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import httpx
import pytest

from apps.core.money import Money
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
from apps.platforms.tests.alipay_server import AlipayServer
from apps.platforms.tests.contract import (
    DAY,
    ORDER,
    REFUND,
    Fault,
    GatewayContract,
    Rig,
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
    refunds_take_time = False
    success_ack = b"success"

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
        return self.server.notice(self.server.fields(ORDER))

    def refund_notice(self) -> RawNotification:
        return self.server.notice(
            self.server.fields(
                ORDER, out_biz_no=REFUND, refund_fee="10.00", gmt_refund="2026-05-01 15:42:00.123"
            )
        )

    def add_bills(self) -> None:
        self.server.bills[f"trade:{DAY}"] = bills.alipay_zip("业务明细", bills.ALIPAY_TRADE)
        self.server.bills[f"signcustomer:{DAY}"] = bills.alipay_zip("账务明细", bills.ALIPAY_FUND)


def _method(request: httpx.Request) -> str:
    return request.url.params["method"]


@pytest.fixture
def server() -> AlipayServer:
    return AlipayServer()


class TestAlipayContract(GatewayContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return AlipayRig()


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
        handover = gateway_at(server).create_payment(create_request(product=product))
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
