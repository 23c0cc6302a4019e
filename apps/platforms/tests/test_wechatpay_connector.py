"""The WeChat Pay connector: the contract, and what only this platform does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx
import pytest

from apps.core.money import Money
from apps.platforms.connectors.wechatpay.connector import WechatpayEndpoints, WechatpayGateway
from apps.platforms.gateway import (
    API_V3_KEY_WRONG,
    CheckState,
    Credentials,
    InvalidSignature,
    MalformedMessage,
    NotificationKind,
    Outcome,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    RawNotification,
    StatementKind,
    StatementNotReady,
    WrongKey,
)
from apps.platforms.http import PlatformHttp
from apps.platforms.tests import bills
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
from apps.platforms.tests.wechatpay_server import (
    NOW,
    WechatpayServer,
    certificate,
    credentials,
    private_pem,
    public_pem,
)


def gateway_at(server: WechatpayServer, ours: Credentials | None = None) -> WechatpayGateway:
    transport = httpx.MockTransport(server.handle)
    return WechatpayGateway(
        credentials=ours or server.ours,
        http=PlatformHttp(timeout=60, transport=transport, async_transport=transport),
        endpoints=WechatpayEndpoints(
            api_url="https://pay.test/wechatpay",
            oauth_authorize_url="https://open.test/connect/oauth2/authorize",
            oauth_token_url="https://pay.test/sns/oauth2/access_token",
        ),
        clock=lambda: NOW,
        nonce=lambda: "fixednonce",
    )


@dataclass
class WechatpayRig(Rig):
    server: WechatpayServer = field(default_factory=WechatpayServer)
    refunds_take_time = True
    success_ack = '{"code":"SUCCESS","message":"成功"}'.encode()

    def gateway(self) -> PlatformGateway:
        return gateway_at(self.server)

    def begin(self) -> None:
        pass

    def pay(self) -> None:
        self.server.pay(ORDER)

    def finish_refund(self) -> None:
        self.server.finish_refund(REFUND)

    def fault(self, fault: Fault) -> None:
        self.server.faults.append(fault)

    def refusal(self, code: str) -> Fault:
        return lambda _: self.server.refuse(403, code)

    def system_error(self) -> Fault:
        return lambda _: self.server.refuse(500, "SYSTEM_ERROR")

    def balance_short(self) -> Fault:
        return lambda _: self.server.refuse(403, "NOT_ENOUGH")

    def spoil(self, change: Callable[[bytes], bytes]) -> None:
        self.server.spoil = change

    def sign_with_stranger(self) -> None:
        self.server.signer = "stranger"

    def payment_notice(self) -> RawNotification:
        return self.server.notice("TRANSACTION.SUCCESS", self.server.transaction(ORDER))

    def refund_notice(self) -> RawNotification:
        return refund_notice(self.server, "SUCCESS")

    def add_bills(self) -> None:
        self.server.bills[f"/v3/bill/tradebill:{DAY}"] = bills.wechat_trade()
        self.server.bills[f"/v3/bill/fundflowbill:{DAY}"] = bills.wechat_fund()


def refund_notice(server: WechatpayServer, status: str) -> RawNotification:
    known = server.refunds[REFUND]
    content = {name: value for name, value in known.items() if name != "status"}
    content |= {"mchid": server.ours.merchant_no, "refund_status": status}
    return server.notice(f"REFUND.{status}", content, original="refund")


@pytest.fixture
def server() -> WechatpayServer:
    return WechatpayServer()


class TestWechatpayContract(GatewayContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return WechatpayRig()


class TestOrders:
    def test_the_order_as_sent(self, server: WechatpayServer) -> None:
        gateway_at(server).create_payment(create_request())
        assert server.orders[ORDER]["request"] == {
            "appid": "wx1a2b3c4d5e6f7a8b",
            "mchid": "1900000109",
            "description": "一号店 ☕️ 咖啡",
            "out_trade_no": ORDER,
            "time_expire": "2026-05-01T11:00:00+08:00",
            "notify_url": "https://shop.test/notify/x/abc",
            "amount": {"total": 2500, "currency": "CNY"},
        }

    def test_emoji_and_length(self, server: WechatpayServer) -> None:
        gateway_at(server).create_payment(create_request(subject="🍜面\n馆" + "长" * 200))
        description = server.orders[ORDER]["request"]["description"]
        assert description.startswith("面 馆长")
        assert len(description) == 127

    def test_in_app_parameters_are_signed(self, server: WechatpayServer) -> None:
        handover = gateway_at(server).create_payment(create_request(product=Product.IN_APP))
        assert set(handover.invoke) == {
            "appId",
            "timeStamp",
            "nonceStr",
            "package",
            "signType",
            "paySign",
        }
        assert handover.invoke["package"] == f"prepay_id=wx{ORDER}"
        assert handover.invoke["signType"] == "RSA"
        assert handover.invoke["timeStamp"] == str(int(NOW.timestamp()))

    def test_in_app_needs_the_payer(self, server: WechatpayServer) -> None:
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).create_payment(create_request(product=Product.IN_APP, payer_id=""))
        assert caught.value.code == "payer_missing"
        assert server.requests == []

    def test_browser_returns_to_our_page(self, server: WechatpayServer) -> None:
        handover = gateway_at(server).create_payment(create_request(product=Product.BROWSER))
        assert handover.redirect_url.endswith("&redirect_url=https%3A%2F%2Fshop.test%2Fpay%2F1")

    def test_other_details_under_the_same_number_are_refused(self, server: WechatpayServer) -> None:
        gateway_at(server).create_payment(create_request())
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).create_payment(create_request(amount=Money(1)))
        assert caught.value.code == "OUT_TRADE_NO_USED"

    @pytest.mark.parametrize(
        ("state", "outcome"),
        [
            ("NOTPAY", Outcome.PENDING),
            ("USERPAYING", Outcome.PENDING),
            ("REFUND", Outcome.SUCCEEDED),
            ("CLOSED", Outcome.CLOSED),
            ("REVOKED", Outcome.CLOSED),
            ("PAYERROR", Outcome.FAILED),
            ("SOMETHING_NEW", Outcome.UNKNOWN),
        ],
    )
    def test_states(self, server: WechatpayServer, state: str, outcome: Outcome) -> None:
        gateway_at(server).create_payment(create_request())
        server.orders[ORDER]["state"] = state
        result = gateway_at(server).query_payment(payment_ref())
        assert (result.outcome, result.code) == (outcome, state)

    @pytest.mark.parametrize(
        "change",
        [
            {"mchid": "1900000110"},
            {"appid": "wx0000000000000000"},
            {"out_trade_no": "P2"},
            {"amount": {"total": 25.0}},
            {"amount": {"total": 2500, "currency": "USD"}},
            {"amount": None},
            {"transaction_id": None},
            {"success_time": "yesterday"},
            {"trade_state": None},
        ],
    )
    def test_an_answer_about_something_else_is_no_answer(
        self, server: WechatpayServer, change: dict[str, object]
    ) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        body = {**server.transaction(ORDER), **change}
        server.faults.append(lambda _: server.answer(200, body))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "bad_answer"

    def test_a_refusal_that_is_not_the_platforms(self, server: WechatpayServer) -> None:
        server.faults.append(lambda _: httpx.Response(403, content=b"<html>blocked</html>"))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).refund(refund_request())
        assert caught.value.code == "http_403"

    def test_too_many_requests_leave_a_refund_open(self, server: WechatpayServer) -> None:
        server.faults.append(lambda _: server.refuse(429, "FREQUENCY_LIMITED"))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).refund(refund_request())
        assert caught.value.code == "FREQUENCY_LIMITED"


class TestVerification:
    def test_by_platform_certificate(self, server: WechatpayServer) -> None:
        pem, serial = certificate("wechat certificate")
        server.signer, server.serial = "wechat certificate", serial
        keys = {**server.ours.keys, "platform_certificates": pem}
        both = replace(server.ours, keys=keys)
        assert gateway_at(server, both).create_payment(create_request()).qr_content
        only = replace(
            server.ours,
            keys={name: keys[name] for name in keys if not name.startswith("public_key")},
        )
        assert gateway_at(server, only).create_payment(create_request()).qr_content
        assert "wechatpay-serial" not in server.requests[-1].headers
        server.signer, server.serial = "wechat platform", ""
        assert gateway_at(server, both).create_payment(create_request()).qr_content

    def test_an_unknown_serial(self, server: WechatpayServer) -> None:
        server.serial = "PUB_KEY_ID_OTHER"
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(create_request())
        assert caught.value.code == "unknown_serial"

    @pytest.mark.parametrize(
        ("skew", "good"), [(299, True), (-299, True), (300, False), (-300, False)]
    )
    def test_the_clock_window_of_answers(
        self, server: WechatpayServer, skew: int, good: bool
    ) -> None:
        server.skew = skew
        if good:
            gateway_at(server).create_payment(create_request())
            return
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(create_request())
        assert caught.value.code == "clock_skew"

    def test_probes_are_refused(self, server: WechatpayServer) -> None:
        good = server.answer(200, {"code_url": "weixin://x"})
        good.headers["wechatpay-signature"] = "WECHATPAY/SIGNTEST/" + "a" * 40
        server.faults.append(lambda _: good)
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(create_request())
        assert caught.value.code == "signature_probe"


class TestNotices:
    @pytest.fixture
    def paid(self, server: WechatpayServer) -> WechatpayServer:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        return server

    @pytest.mark.parametrize("seconds", [-300, 300, -86400])
    def test_old_and_future_notices(self, paid: WechatpayServer, seconds: int) -> None:
        raw = paid.notice(
            "TRANSACTION.SUCCESS", paid.transaction(ORDER), at=NOW + timedelta(seconds=seconds)
        )
        with pytest.raises(InvalidSignature):
            gateway_at(paid).parse_notification(raw)

    @pytest.mark.parametrize(
        "signature", ["", "WECHATPAY/SIGNTEST/abcd", "not base64!", "AAAA", "中文"]
    )
    def test_bad_signatures(self, paid: WechatpayServer, signature: str) -> None:
        raw = paid.notice("TRANSACTION.SUCCESS", paid.transaction(ORDER))
        raw = replace(raw, headers={**raw.headers, "wechatpay-signature": signature})
        with pytest.raises(InvalidSignature):
            gateway_at(paid).parse_notification(raw)

    def test_another_merchants_payment(self, paid: WechatpayServer) -> None:
        content = {**paid.transaction(ORDER), "mchid": "1900000110"}
        with pytest.raises(MalformedMessage):
            gateway_at(paid).parse_notification(paid.notice("TRANSACTION.SUCCESS", content))

    def test_a_wrong_api_v3_key(self, paid: WechatpayServer) -> None:
        ours = replace(paid.ours, keys={**paid.ours.keys, "api_v3_key": "x" * 32})
        raw = paid.notice("TRANSACTION.SUCCESS", paid.transaction(ORDER))
        with pytest.raises(WrongKey) as refusal:
            gateway_at(paid, ours).parse_notification(raw)
        assert (refusal.value.field, refusal.value.code) == ("api_v3_key", API_V3_KEY_WRONG)
        # Without the platform's signature nothing is said about the key.
        forged = replace(raw, headers={**raw.headers, "wechatpay-signature": "AAAA"})
        with pytest.raises(InvalidSignature):
            gateway_at(paid, ours).parse_notification(forged)

    def test_a_verified_notice_of_another_sort(self, paid: WechatpayServer) -> None:
        raw = paid.signed(b'{"id":"EV-9","event_type":"COUPON.USE","resource":{}}')
        notice = gateway_at(paid).parse_notification(raw)
        assert (notice.kind, notice.payment, notice.refund) == (NotificationKind.OTHER, None, None)

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [("ABNORMAL", Outcome.PENDING), ("CLOSED", Outcome.CLOSED)],
    )
    def test_refunds_that_do_not_end_well(
        self, paid: WechatpayServer, status: str, outcome: Outcome
    ) -> None:
        gateway_at(paid).refund(refund_request())
        notice = gateway_at(paid).parse_notification(refund_notice(paid, status))
        assert notice.refund is not None
        assert (notice.refund.outcome, notice.refund.code) == (outcome, status)


class TestStatements:
    def test_a_bill_under_way(self, server: WechatpayServer) -> None:
        server.faults.append(lambda _: server.refuse(400, "STATEMENT_CREATING"))
        with pytest.raises(StatementNotReady):
            gateway_at(server).fetch_statement(business_date=DAY, kind=StatementKind.TRADE)

    def test_a_damaged_file(self, server: WechatpayServer) -> None:
        token = f"/v3/bill/tradebill:{DAY}"
        server.bills[token] = bills.wechat_trade()
        gateway = gateway_at(server)
        real = server.handle

        def damaging(request: httpx.Request) -> httpx.Response:
            if "billdownload" in str(request.url):
                server.bills[token] += b"`"
            return real(request)

        server.handle = damaging  # type: ignore[method-assign]
        gateway = gateway_at(server)
        with pytest.raises(PlatformUnavailable) as caught:
            gateway.fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        assert caught.value.code == "bad_hash"

    def test_the_download_is_signed_without_the_prefix(self, server: WechatpayServer) -> None:
        server.bills[f"/v3/bill/tradebill:{DAY}"] = bills.wechat_trade()
        file = gateway_at(server).fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        assert len(server.requests) == 2
        assert file.filename == "1900000109_20260501_trade.csv.gz"


class TestCredentials:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"private_key": private_pem("stranger")}, "private_key"),
            ({"private_key": "rubbish"}, "private_key"),
            ({"serial_no": "0" * 40}, "serial_no"),
            ({"public_key": public_pem("stranger")}, "public_key"),
            ({"public_key": ""}, "public_key"),
            ({"public_key_id": "PUB_KEY_ID_0000000000000"}, "public_key_id"),
            ({"app_secret": "wrong"}, "app_secret"),
        ],
    )
    def test_the_credential_at_fault(
        self, server: WechatpayServer, changes: dict[str, str], field: str
    ) -> None:
        ours = replace(server.ours, keys={**server.ours.keys, **changes})
        verdict = gateway_at(server, ours).check_credentials()
        assert (verdict.state, verdict.field) == (CheckState.BAD, field)

    @pytest.mark.parametrize(
        ("status", "code", "field"),
        [
            (400, "APPID_MCHID_NOT_MATCH", "app_id"),
            (400, "MCH_NOT_EXISTS", "merchant_no"),
            (403, "NO_AUTH", "merchant_no"),
        ],
    )
    def test_refusals(self, server: WechatpayServer, status: int, code: str, field: str) -> None:
        server.faults.append(lambda _: server.refuse(status, code))
        verdict = gateway_at(server).check_credentials()
        assert (verdict.state, verdict.code, verdict.field) == (CheckState.BAD, code, field)

    def test_a_merchant_without_echo(self, server: WechatpayServer) -> None:
        server.faults += [
            lambda _: server.refuse(404, "ORDER_NOT_EXIST"),
            lambda _: httpx.Response(404),
        ]
        assert gateway_at(server).check_credentials().state is CheckState.GOOD

    def test_nothing_secret_is_shown(self) -> None:
        ours = credentials()
        assert all(secret not in repr(ours) for secret in ours.keys.values())
