"""The WeChat Pay connector: the contract, and what only this platform does."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
    BEGAN_AT,
    DAY,
    ORDER,
    REFUND,
    Fault,
    GatewayContract,
    Rig,
    abnormal_refund,
    barcode_ref,
    barcode_request,
    create_request,
    payment_ref,
    refund_ref,
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


def gateway_at(
    server: WechatpayServer, ours: Credentials | None = None, *, now: datetime = NOW
) -> WechatpayGateway:
    transport = httpx.MockTransport(server.handle)
    return WechatpayGateway(
        credentials=ours or server.ours,
        http=PlatformHttp(timeout=60, transport=transport, async_transport=transport),
        endpoints=WechatpayEndpoints(
            api_url="https://pay.test/wechatpay",
            oauth_authorize_url="https://open.test/connect/oauth2/authorize",
            oauth_token_url="https://pay.test/sns/oauth2/access_token",
        ),
        clock=lambda: now,
        nonce=lambda: "fixednonce",
    )


@dataclass
class WechatpayRig(Rig):
    server: WechatpayServer = field(default_factory=WechatpayServer)
    refunds_take_time = True
    success_ack = '{"code":"SUCCESS","message":"成功"}'.encode()
    payer_id = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"

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

    def barcode_waits(self) -> None:
        self.server.code_state = "USERPAYING"

    def barcode_refusal(self) -> Fault:
        return lambda _: self.server.refuse(400, "AUTH_CODE_INVALID")

    def gateway_with(
        self, *, keys: dict[str, str] | None = None, fast: timedelta = timedelta(0)
    ) -> PlatformGateway:
        return gateway_at(self.server, with_keys(self.server, **(keys or {})), now=NOW + fast)

    def foreign_key(self) -> str:
        return private_pem("stranger")

    def misstate(self, what: str) -> None:
        old, new = {"amount": (b"2500", b"1"), "merchant": (b"1900000109", b"1900000110")}[what]
        self.server.rewrite = lambda raw: raw.replace(old, new)

    def double_a_field(self) -> None:
        self.server.rewrite = lambda raw: raw.replace(
            b'"trade_state":', b'"trade_state": "NOTPAY", "trade_state":'
        )

    def add_bills(self) -> None:
        self.server.bills[f"/v3/bill/tradebill:{DAY}"] = bills.wechat_trade()
        self.server.bills[f"/v3/bill/fundflowbill:{DAY}"] = bills.wechat_fund()


def with_keys(server: WechatpayServer, **keys: str) -> Credentials:
    return replace(server.ours, keys={**server.ours.keys, **keys})


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

    def test_several_public_keys_while_one_is_changed(self, server: WechatpayServer) -> None:
        new = "PUB_KEY_ID_0119000001092026060100000000"
        old = server.ours.keys["public_key_id"]
        both = with_keys(
            server,
            public_key_id=f"{new} {old}",
            public_key=public_pem("wechat new") + public_pem("wechat platform"),
        )
        for signer, serial in (("wechat platform", old), ("wechat new", new)):
            server.signer, server.serial = signer, serial
            assert gateway_at(server, both).create_payment(create_request()).qr_content
        assert server.requests[-1].headers["wechatpay-serial"] == new
        server.signer, server.serial = "wechat new", old
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server, both).create_payment(create_request())
        assert caught.value.code == "bad_signature"

    @pytest.mark.parametrize("days", [(-30, -1), (1, 30)])
    def test_a_certificate_outside_its_time(
        self, server: WechatpayServer, days: tuple[int, int]
    ) -> None:
        pem, serial = certificate("wechat certificate", days=days)
        server.signer, server.serial = "wechat certificate", serial
        ours = with_keys(server, platform_certificates=pem)
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server, ours).create_payment(create_request())
        assert caught.value.code == "certificate_expired"
        verdict = gateway_at(server, ours).check_credentials()
        assert (verdict.state, verdict.field) == (CheckState.BAD, "platform_certificates")
        server.orders[ORDER] = {"request": {"amount": {"total": 2500}}, "state": "SUCCESS"}
        raw = server.notice("TRANSACTION.SUCCESS", server.transaction(ORDER))
        with pytest.raises(InvalidSignature, match="expired"):
            gateway_at(server, ours).parse_notification(raw)


class TestProbes:
    """WeChat Pay signs wrongly on purpose, now and then, to see whether anybody looks."""

    @staticmethod
    def probe(server: WechatpayServer) -> Fault:
        def answer(request: httpx.Request) -> httpx.Response:
            good = server.handle(request)
            good.headers["wechatpay-signature"] = "WECHATPAY/SIGNTEST/" + "a" * 40
            return good

        return answer

    @pytest.fixture
    def paid(self, server: WechatpayServer) -> WechatpayServer:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        gateway_at(server).refund(refund_request())
        server.certificates = [certificate("wechat certificate")[0]]
        return server

    def test_a_call_is_made_again_at_once(self, paid: WechatpayServer) -> None:
        gateway = gateway_at(paid)
        paid.bills[f"/v3/bill/tradebill:{DAY}"] = bills.wechat_trade()
        calls: list[Callable[[], object]] = [
            lambda: gateway.create_payment(create_request()),
            lambda: gateway.query_payment(payment_ref()),
            lambda: asyncio.run(gateway.query_payment_async(payment_ref())),
            lambda: gateway.close_payment(payment_ref()),
            lambda: gateway.refund(refund_request()),
            lambda: gateway.query_refund(refund_ref()),
            lambda: asyncio.run(gateway.query_refund_async(refund_ref())),
            lambda: gateway.fetch_statement(business_date=DAY, kind=StatementKind.TRADE),
            gateway.renew_credentials,
        ]
        for call in calls:
            paid.faults.append(self.probe(paid))
            call()
            assert paid.faults == []

    def test_twice_in_a_row_is_no_answer(self, paid: WechatpayServer) -> None:
        bad = paid.answer(200, paid.transaction(ORDER))
        bad.headers["wechatpay-signature"] = "WECHATPAY/SIGNTEST/" + "a" * 40
        paid.faults += [lambda _: bad] * 2
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).query_payment(payment_ref())
        assert caught.value.code == "signature_probe"
        assert paid.faults == []

    def test_a_payers_code_is_never_shown_twice(self, server: WechatpayServer) -> None:
        server.faults.append(self.probe(server))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == "signature_probe"
        assert len([one for one in server.requests if "codepay" in str(one.url)]) == 2
        assert gateway_at(server).query_payment(barcode_ref()).outcome is Outcome.SUCCEEDED

    def test_an_abnormal_refund_is_not_sent_twice(self, paid: WechatpayServer) -> None:
        paid.finish_refund(REFUND, "ABNORMAL")
        paid.faults.append(self.probe(paid))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).settle_abnormal_refund(abnormal_refund())
        assert caught.value.code == "signature_probe"
        assert gateway_at(paid).query_refund(refund_ref()).code == "PROCESSING"

    def test_a_notice_is_refused(self, paid: WechatpayServer) -> None:
        """The intake answers a refused signature with 4xx, as the platform wants it: see test_intake."""
        raw = paid.notice("TRANSACTION.SUCCESS", paid.transaction(ORDER))
        headers = {**raw.headers, "wechatpay-signature": "WECHATPAY/SIGNTEST/" + "a" * 40}
        with pytest.raises(InvalidSignature, match="probe"):
            gateway_at(paid).parse_notification(replace(raw, headers=headers))
        assert gateway_at(paid).acknowledge(accepted=False).status == 400


class TestPayersCodes:
    def test_as_sent(self, server: WechatpayServer) -> None:
        gateway_at(server).pay_barcode(barcode_request())
        assert json.loads(server.requests[0].content) == {
            "appid": "wx1a2b3c4d5e6f7a8b",
            "mchid": "1900000109",
            "description": "一号店 咖啡",
            "out_trade_no": ORDER,
            "payer": {"auth_code": "134567890123456789"},
            "amount": {"total": 2500, "currency": "CNY"},
            "scene_info": {
                "store_info": {"out_id": "S001"},
                "device_id": "T1",
                "device_ip": "203.0.113.7",
            },
        }

    @pytest.mark.parametrize("status", [200, 202, 400, 403])
    def test_the_payer_types_a_password(self, server: WechatpayServer, status: int) -> None:
        """Told as a state, or in the way of older interfaces as an error."""
        if status == 200:
            server.code_state = "USERPAYING"
        else:
            server.faults.append(lambda _: server.refuse(status, "USERPAYING"))
        result = gateway_at(server).pay_barcode(barcode_request())
        assert (result.outcome, result.code) == (Outcome.PENDING, "USERPAYING")

    def test_a_state_and_nothing_else(self, server: WechatpayServer) -> None:
        """So merchants report it. Any other state needs the whole transaction."""
        server.faults.append(lambda _: server.answer(200, {"trade_state": "USERPAYING"}))
        result = gateway_at(server).pay_barcode(barcode_request())
        assert (result.outcome, result.order_no) == (Outcome.PENDING, ORDER)
        server.faults.append(lambda _: server.answer(200, {"trade_state": "SUCCESS"}))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == "bad_answer"

    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("AUTH_CODE_INVALID", "AUTH_CODE_INVALID"),
            ("NO_AUTH", "NO_AUTH"),
            ("PARAM_ERROR", "PARAM_ERROR"),
            # The word for a refund that our own balance does not suffice for means the payer's here.
            ("NOTENOUGH", "payer_balance"),
            ("NOT_ENOUGH", "payer_balance"),
        ],
    )
    def test_refusals(self, server: WechatpayServer, code: str, told: str) -> None:
        server.faults.append(lambda _: server.refuse(400, code))
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert (caught.value.code, caught.value.retry_same) == (told, False)

    @pytest.mark.parametrize(
        ("status", "code"),
        [(500, "SYSTEM_ERROR"), (400, "BANKERROR"), (403, "OUT_TRADE_NO_USED"), (403, "NEW_CODE")],
    )
    def test_what_is_not_certainly_a_refusal_is_asked_about(
        self, server: WechatpayServer, status: int, code: str
    ) -> None:
        server.faults.append(lambda _: server.refuse(status, code))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == code

    def test_another_amount_is_no_answer(self, server: WechatpayServer) -> None:
        server.rewrite = lambda raw: raw.replace(b"2500", b"2400")
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == "bad_answer"

    def test_closing_one_is_refused(self, server: WechatpayServer) -> None:
        server.code_state = "USERPAYING"
        gateway_at(server).pay_barcode(barcode_request())
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).close_payment(barcode_ref())
        assert caught.value.code == "INVALID_REQUEST"
        server.pay(ORDER)
        assert gateway_at(server).close_payment(barcode_ref()).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize(
        ("state", "outcome"),
        [
            ("USERPAYING", Outcome.PENDING),
            ("NOTPAY", Outcome.PENDING),
            ("SUCCESS", Outcome.SUCCEEDED),
            ("REVOKED", Outcome.CLOSED),
            ("CLOSED", Outcome.CLOSED),
            ("PAYERROR", Outcome.CLOSED),
        ],
    )
    def test_a_refused_reversal_tells_what_became_of_it(
        self, server: WechatpayServer, state: str, outcome: Outcome
    ) -> None:
        gateway_at(server).pay_barcode(barcode_request())
        server.orders[ORDER]["state"] = state
        server.faults.append(lambda _: server.refuse(403, "TRADE_ERROR"))
        assert gateway_at(server).reverse_payment(barcode_ref()).outcome is outcome

    def test_a_reversal_refused_for_good(self, server: WechatpayServer) -> None:
        server.faults.append(lambda _: server.refuse(403, "NO_AUTH"))
        with pytest.raises(PlatformRejected):
            gateway_at(server).reverse_payment(barcode_ref())

    @pytest.mark.parametrize(("seconds", "outcome"), [(30, Outcome.PENDING), (60, Outcome.CLOSED)])
    def test_reversing_what_may_be_on_its_way(
        self, server: WechatpayServer, seconds: int, outcome: Outcome
    ) -> None:
        gateway = gateway_at(server, now=BEGAN_AT + timedelta(seconds=seconds))
        assert gateway.reverse_payment(barcode_ref()).outcome is outcome

    def test_a_reversal_answered_about_another_order(self, server: WechatpayServer) -> None:
        gateway_at(server).pay_barcode(barcode_request())
        server.rewrite = lambda raw: raw.replace(ORDER.encode(), b"P2")
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).reverse_payment(barcode_ref())
        assert caught.value.code == "bad_answer"


class TestAbnormalRefunds:
    @pytest.fixture
    def dead(self, server: WechatpayServer) -> WechatpayServer:
        """A refund that the payer's card could not take."""
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        gateway_at(server).refund(refund_request())
        server.finish_refund(REFUND, "ABNORMAL")
        return server

    def test_to_the_payers_card(self, dead: WechatpayServer) -> None:
        result = gateway_at(dead).settle_abnormal_refund(abnormal_refund())
        assert (result.outcome, result.refund_no) == (Outcome.PENDING, REFUND)
        assert dead.opened == {"bank_account": "6222021234567890123", "real_name": "张三"}
        sent = dead.requests[-1]
        assert json.loads(sent.content)["type"] == "USER_BANK_CARD"
        assert sent.headers["wechatpay-serial"] == dead.ours.keys["public_key_id"]
        assert b"6222" not in sent.content

    def test_with_a_platform_certificate(self, dead: WechatpayServer) -> None:
        old, _ = certificate("wechat old", number=7, days=(-9, 1))
        new, serial = certificate("wechat certificate", number=8, days=(-2, 1))
        ended, _ = certificate("wechat ended", number=9, days=(-30, -1))
        dead.signer, dead.serial = "wechat certificate", serial
        dead.keys[serial] = "wechat certificate"
        ours = with_keys(
            dead, platform_certificates=old + new + ended, public_key="", public_key_id=""
        )
        gateway_at(dead, ours).settle_abnormal_refund(abnormal_refund())
        assert dead.opened["real_name"] == "张三"
        assert dead.requests[-1].headers["wechatpay-serial"] == serial

    def test_to_our_own_account(self, dead: WechatpayServer) -> None:
        request = replace(
            abnormal_refund(), to_payer=False, bank_type="", bank_account="", real_name=""
        )
        gateway_at(dead).settle_abnormal_refund(request)
        assert json.loads(dead.requests[-1].content) == {
            "out_refund_no": REFUND,
            "type": "MERCHANT_BANK_CARD",
        }

    def test_nothing_is_sent_without_card_or_key(self, dead: WechatpayServer) -> None:
        sent = len(dead.requests)
        without = with_keys(dead, public_key="")
        for ours, request, code in (
            (dead.ours, replace(abnormal_refund(), real_name=""), "card_missing"),
            (without, abnormal_refund(), "no_platform_key"),
            (dead.ours, replace(abnormal_refund(), real_name="张" * 200), "PARAM_ERROR"),
        ):
            with pytest.raises(PlatformRejected) as caught:
                gateway_at(dead, ours).settle_abnormal_refund(request)
            assert caught.value.code == code
        assert len(dead.requests) == sent

    def test_an_answer_about_another_refund(self, dead: WechatpayServer) -> None:
        dead.rewrite = lambda raw: raw.replace(REFUND.encode(), b"R2")
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(dead).settle_abnormal_refund(abnormal_refund())
        assert caught.value.code == "bad_answer"


class TestRenewal:
    """GET /v3/certificates, and whom to believe."""

    def certified(self, server: WechatpayServer, *held: str) -> Credentials:
        """A merchant without public keys."""
        return with_keys(
            server, public_key="", public_key_id="", platform_certificates="".join(held)
        )

    def test_the_first_ones_are_trusted_by_the_api_v3_key(self, server: WechatpayServer) -> None:
        pem, serial = certificate("wechat certificate")
        server.certificates = [pem]
        server.signer, server.serial = "wechat certificate", serial
        fresh = gateway_at(server, self.certified(server)).renew_credentials()
        assert fresh is not None
        assert fresh.keys["platform_certificates"] == pem
        assert {**fresh.keys, "platform_certificates": ""} == self.certified(server).keys
        gateway = gateway_at(server, fresh)
        assert gateway.create_payment(create_request()).qr_content
        assert gateway.renew_credentials() is None

    def test_old_and_new_live_side_by_side(self, server: WechatpayServer) -> None:
        ended, _ = certificate("wechat ended", number=9, days=(-30, -1))
        old, old_serial = certificate("wechat old", number=7, days=(-9, 1))
        new, new_serial = certificate("wechat certificate", number=8, days=(-1, 400))
        # The platform has begun to give out the new one, and still signs with the old one.
        server.certificates = [new]
        server.signer, server.serial = "wechat old", old_serial
        fresh = gateway_at(server, self.certified(server, ended, old)).renew_credentials()
        assert fresh is not None
        assert fresh.keys["platform_certificates"] == old + new
        for signer, serial in (("wechat old", old_serial), ("wechat certificate", new_serial)):
            server.signer, server.serial = signer, serial
            assert gateway_at(server, fresh).create_payment(create_request()).qr_content

    def test_by_public_key_while_the_certificates_are_fetched(
        self, server: WechatpayServer
    ) -> None:
        pem, _ = certificate("wechat certificate")
        server.certificates = [pem]
        fresh = gateway_at(server).renew_credentials()
        assert fresh is not None
        assert fresh.keys["platform_certificates"] == pem
        assert fresh.keys["public_key"] == server.ours.keys["public_key"]

    @pytest.mark.parametrize(
        ("status", "code"), [(404, "RESOURCE_NOT_EXISTS"), (500, "SYSTEM_ERROR")]
    )
    def test_a_merchant_with_public_keys_only(
        self, server: WechatpayServer, status: int, code: str
    ) -> None:
        refusal = server.refuse(
            status, code, "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥"
        )
        server.faults.append(lambda _: refusal)
        assert gateway_at(server).renew_credentials() is None
        # One that lives by certificates has nothing new, and nothing good either.
        server.faults.append(lambda _: refusal)
        pem, _ = certificate("wechat certificate")
        lone = gateway_at(server, self.certified(server, pem))
        kind = PlatformRejected if status < 500 else PlatformUnavailable
        with pytest.raises(kind) as caught:
            lone.renew_credentials()
        assert getattr(caught.value, "code", "") == code

    def test_the_end_of_the_change_to_public_keys(self, server: WechatpayServer) -> None:
        pem, _ = certificate("wechat certificate")
        ours = with_keys(server, platform_certificates=pem)
        assert gateway_at(server, ours).renew_credentials() is None
        server.faults.append(lambda _: server.refuse(500, "SYSTEM_ERROR"))
        with pytest.raises(PlatformUnavailable):
            gateway_at(server, ours).renew_credentials()

    def test_a_strangers_certificate_is_not_taken(self, server: WechatpayServer) -> None:
        """Sealed with another key, as somebody on the way would have to."""
        pem, serial = certificate("stranger")
        server.certificates = [pem]
        server.signer, server.serial = "stranger", serial
        ours = self.certified(server)
        wrong = replace(ours, keys={**ours.keys, "api_v3_key": "x" * 32})
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server, wrong).renew_credentials()
        assert caught.value.code == "unknown_serial"

    def test_a_wrong_api_v3_key_is_found_out(self, server: WechatpayServer) -> None:
        server.certificates = [certificate("wechat certificate")[0]]
        wrong = with_keys(server, api_v3_key="x" * 32)
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server, wrong).renew_credentials()
        assert caught.value.code == API_V3_KEY_WRONG

    def test_a_good_certificate_signed_by_a_stranger(self, server: WechatpayServer) -> None:
        pem, serial = certificate("wechat certificate")
        server.certificates = [pem]
        server.signer, server.serial = "stranger", serial
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).renew_credentials()
        assert caught.value.code == "bad_signature"

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"serial_no", b"serial"),
            (b"0102030405060708090A0B0C0D0E0F1011121314", b"01"),
            (b"AEAD_AES_256_GCM", b"AES"),
            (b'"ciphertext": "', b'"ciphertext": "?'),
            (b"encrypt_certificate", b"certificate"),
            (b'{"data": [', b'{"other": ['),
            (b'{"data": [', b'{"data": [1, '),
        ],
    )
    def test_what_cannot_be_read(self, server: WechatpayServer, old: bytes, new: bytes) -> None:
        server.certificates = [certificate("wechat certificate")[0]]
        server.rewrite = lambda raw: raw.replace(old, new)
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).renew_credentials()
        assert caught.value.code == "bad_answer"

    def test_what_is_sealed_must_be_a_certificate(self, server: WechatpayServer) -> None:
        real = server.answer

        def answer(status: int, body: Any = None) -> httpx.Response:
            sealed = AESGCM(server.ours.keys["api_v3_key"].encode()).encrypt(
                b"abcdef012345", public_pem("wechat platform").encode(), b"certificate"
            )
            body["data"][0]["encrypt_certificate"]["ciphertext"] = base64.b64encode(sealed).decode()
            return real(status, body)

        server.certificates = [certificate("wechat certificate")[0]]
        server.answer = answer  # type: ignore[method-assign]
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).renew_credentials()
        assert caught.value.code == "bad_answer"


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

    @pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\r\n"])
    def test_a_notice_of_the_older_interface(self, paid: WechatpayServer, before: bytes) -> None:
        """A refund made on the merchant platform, in XML: survived, and called by its name."""
        body = before + (
            b"<xml><return_code>SUCCESS</return_code><appid>wx1a2b3c4d5e6f7a8b</appid>"
            b"<mch_id>1900000109</mch_id><req_info>T87GAHG17TGAHG1TGHAHAHA1Y1CIOA</req_info></xml>"
        )
        raw = RawNotification(headers={}, query="", body=body, received_at=NOW)
        with pytest.raises(MalformedMessage, match="XML notice of the older interface"):
            gateway_at(paid).parse_notification(raw)

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

    @pytest.mark.parametrize(
        ("signer", "number", "held"),
        [("stranger", 7, True), ("wechat certificate", 9, True), ("wechat certificate", 7, False)],
        ids=["wrong", "unknown", "unreadable"],
    )
    def test_the_certificates_at_fault(
        self, server: WechatpayServer, signer: str, number: int, held: bool
    ) -> None:
        pem, _ = certificate("wechat certificate", number=7)
        server.signer, server.serial = signer, f"{number:040X}"
        ours = with_keys(
            server,
            public_key="",
            public_key_id="",
            platform_certificates=pem if held else "rubbish",
        )
        verdict = gateway_at(server, ours).check_credentials()
        assert (verdict.state, verdict.field) == (CheckState.BAD, "platform_certificates")

    def test_a_merchant_without_echo(self, server: WechatpayServer) -> None:
        server.faults += [
            lambda _: server.refuse(404, "ORDER_NOT_EXIST"),
            lambda _: httpx.Response(404),
        ]
        assert gateway_at(server).check_credentials().state is CheckState.GOOD

    def test_nothing_secret_is_shown(self) -> None:
        ours = credentials()
        assert all(secret not in repr(ours) for secret in ours.keys.values())
