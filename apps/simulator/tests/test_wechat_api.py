"""WeChat Pay's API: authentication, orders, refunds, OAuth."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.test import Client

from apps.simulator import books, clock, faults, merchants
from apps.simulator.models import Merchant, Order, Refund
from apps.simulator.payers import PAYERS
from apps.simulator.tests.wechat_client import WechatClient
from apps.simulator.wechatpay.cashier import BadPayCall, order_of_pay_call

DEMO = PAYERS["demo"]


def refused(response: Any, status: int, code: str) -> dict[str, Any]:
    """Assert an error answer: its code, and that it carries no signature."""
    body: dict[str, Any] = json.loads(response.content)
    assert (response.status_code, body["code"]) == (status, code), body
    assert not [name for name in response.headers if name.lower().startswith("wechatpay-")]
    return body


def pay(code: str) -> Order:
    order = books.order_by_code(platform="wechatpay", code=code)
    assert order is not None
    return books.pay_order(order=order, payer=DEMO, now=clock.now())


class TestAuthentication:
    def test_answers_are_signed(self, wechat: WechatClient) -> None:
        response = wechat.post("/v3/pay/transactions/native", wechat.order("P00001"))
        assert response.status_code == 200
        wechat.verify(response.headers, response.content)
        with pytest.raises(InvalidSignature):
            wechat.verify(response.headers, response.content + b" ")

    def test_204_is_signed_too(self, wechat: WechatClient) -> None:
        wechat.native("P00001")
        response = wechat.post(
            "/v3/pay/transactions/out-trade-no/P00001/close",
            {"mchid": wechat.merchant.merchant_no},
        )
        assert (response.status_code, response.content) == (204, b"")
        wechat.verify(response.headers, b"")

    def test_user_agent_and_accept_come_first(self, wechat: WechatClient) -> None:
        wechat.clock_offset = 10_000
        wechat.user_agent = ""
        refused(wechat.get("/v3/certificates"), 400, "INVALID_REQUEST")
        wechat.user_agent, wechat.accept = "x", "text/html"
        refused(wechat.get("/v3/certificates"), 400, "INVALID_REQUEST")

    @pytest.mark.parametrize("offset", [-310, 310])
    def test_the_time_stamp_is_checked_before_the_signature(
        self, wechat: WechatClient, offset: int
    ) -> None:
        wechat.clock_offset = offset
        header = wechat.authorization("GET", "/v3/other", b"")
        body = refused(
            wechat.call("GET", "/v3/certificates", authorization=header), 401, "SIGN_ERROR"
        )
        assert body["detail"]["issue"] == "timestamp expired"

    def test_a_shifted_simulated_clock_does_not_hurt_signatures(self, wechat: WechatClient) -> None:
        clock.set_clock(offset_seconds=3 * 86400)
        response = wechat.post("/v3/security/echo", {"echo_message": "你好"})
        assert response.json() == {"echo_message": "你好"}
        wechat.verify(response.headers, response.content)

    @pytest.mark.parametrize(
        ("spoil", "issue"),
        [
            (lambda header: "", "authorization is empty"),
            (lambda header: "Bearer x", "authorization is malformed"),
            (lambda header: header.replace('",', '"', 1), "authorization is malformed"),
            (lambda header: header.replace('mchid="1', 'mchid="2'), "unknown mchid"),
            (lambda header: header.replace('serial_no="', 'serial_no="A'), "unknown serial_no"),
            (lambda header: header.replace('signature="', 'signature="A'), "sign not match"),
        ],
    )
    def test_a_wrong_header_is_a_sign_error(
        self, wechat: WechatClient, spoil: Any, issue: str
    ) -> None:
        header = spoil(wechat.authorization("GET", "/v3/certificates", b""))
        # An empty header is not sent at all.
        body = refused(
            wechat.call("GET", "/v3/certificates", authorization=header), 401, "SIGN_ERROR"
        )
        assert body["detail"]["issue"] == issue

    def test_the_signature_covers_body_and_query(self, wechat: WechatClient) -> None:
        order = wechat.order("P00001")
        signed = wechat.authorization(
            "POST", "/v3/pay/transactions/native", json.dumps(order).encode()
        )
        other = wechat.order("P00001", total=1)
        response = wechat.call("POST", "/v3/pay/transactions/native", other, authorization=signed)
        information = refused(response, 401, "SIGN_ERROR")["detail"]["sign_information"]
        assert information["url"] == "/v3/pay/transactions/native"
        assert Order.objects.count() == 0

    def test_the_prefix_is_not_signed(self, wechat: WechatClient) -> None:
        header = wechat.authorization("GET", "/wechatpay/v3/certificates", b"")
        refused(wechat.call("GET", "/v3/certificates", authorization=header), 401, "SIGN_ERROR")

    def test_another_merchants_key_does_not_open_this_one(self, wechat: WechatClient) -> None:
        other = merchants.create_merchant(platform="wechatpay", name="二号店", now=clock.now())
        header = WechatClient(other).authorization("GET", "/v3/certificates", b"")
        header = header.replace(other.merchant_no, wechat.merchant.merchant_no)
        refused(wechat.call("GET", "/v3/certificates", authorization=header), 401, "SIGN_ERROR")

    def test_unknown_paths_and_methods_have_empty_bodies(self, wechat: WechatClient) -> None:
        response = wechat.get("/v3/pay/transactions/unknown")
        assert (response.status_code, response.content) == (404, b"")
        response = wechat.get("/v3/pay/transactions/native")
        assert (response.status_code, response.content) == (405, b"")


class TestKeyModes:
    def test_public_key_mode_has_no_certificates(self, wechat: WechatClient) -> None:
        refused(wechat.get("/v3/certificates"), 404, "RESOURCE_NOT_EXISTS")

    def test_certificate_mode_hands_out_its_certificate(self, db: None) -> None:
        merchant = merchants.create_merchant(
            platform="wechatpay", name="x", now=clock.now(), key_mode="certificate"
        )
        client = WechatClient(merchant)
        response = client.get("/v3/certificates")
        client.verify(response.headers, response.content, certificate=True)
        (found,) = response.json()["data"]
        assert found["serial_no"] == response.headers["Wechatpay-Serial"]
        config = {**found["encrypt_certificate"]}
        assert config.pop("algorithm") == "AEAD_AES_256_GCM"
        with pytest.raises(json.JSONDecodeError):
            client.open_resource(config)  # it opens, and is PEM

    def test_while_switching_the_request_chooses(self, db: None) -> None:
        merchant = merchants.create_merchant(
            platform="wechatpay", name="x", now=clock.now(), key_mode="both"
        )
        client = WechatClient(merchant)
        client.extra = {"Wechatpay-Serial": merchant.config["platform_serial_no"]}
        response = client.post("/v3/security/echo", {"echo_message": "x"})
        client.verify(response.headers, response.content, certificate=True)
        client.extra = {"Wechatpay-Serial": merchant.config["public_key_id"]}
        response = client.post("/v3/security/echo", {"echo_message": "x"})
        client.verify(response.headers, response.content)

    def test_a_new_certificate_stands_beside_the_old(self, db: None) -> None:
        merchant = merchants.create_merchant(
            platform="wechatpay", name="x", now=clock.now(), key_mode="certificate"
        )
        old = merchant.config["platform_serial_no"]
        merchants.renew_certificate(merchant=merchant, now=clock.now())
        client = WechatClient(merchant)
        new = merchant.config["platform_serial_no"]
        response = client.get("/v3/certificates")
        client.verify(response.headers, response.content, certificate=True)
        assert [one["serial_no"] for one in response.json()["data"]] == [new, old]
        # A client that has not fetched the new one yet still names the old one.
        client.extra = {"Wechatpay-Serial": old}
        assert client.post("/v3/security/echo", {"echo_message": "x"}).status_code == 200
        only_key = merchants.create_merchant(platform="wechatpay", name="x", now=clock.now())
        with pytest.raises(ValueError, match="no platform certificate"):
            merchants.renew_certificate(merchant=only_key, now=clock.now())

    def test_the_switch_over_is_gradual(self, db: None) -> None:
        merchant = merchants.create_merchant(
            platform="wechatpay", name="x", now=clock.now(), key_mode="both"
        )
        client = WechatClient(merchant)
        fault = faults.add_fault(key="key_ramp", value={"share": 0.5})
        seen = set()
        for _ in range(40):
            response = client.post("/v3/security/echo", {"echo_message": "x"})
            serial = response.headers["Wechatpay-Serial"]
            seen.add(serial)
            by_certificate = serial == merchant.config["platform_serial_no"]
            client.verify(response.headers, response.content, certificate=by_certificate)
        assert seen == {merchant.config["platform_serial_no"], merchant.config["public_key_id"]}
        faults.remove_faults(fault_id=fault.pk)
        faults.add_fault(key="key_ramp", value={"share": 1})
        response = client.post("/v3/security/echo", {"echo_message": "x"})
        client.verify(response.headers, response.content)

    def test_an_unknown_platform_serial_is_refused(self, wechat: WechatClient) -> None:
        wechat.extra = {"Wechatpay-Serial": "PUB_KEY_ID_0"}
        refused(wechat.post("/v3/security/echo", {"echo_message": "x"}), 400, "PARAM_ERROR")


class TestOrders:
    def test_native_order_to_payment(self, wechat: WechatClient) -> None:
        code = wechat.native("P00001", attach="store=1")
        before = wechat.state("P00001")
        assert before["trade_state"] == "NOTPAY"
        assert "transaction_id" not in before
        order = pay(code)
        after = wechat.state("P00001")
        assert after["trade_state"] == "SUCCESS"
        assert after["amount"] == {
            "total": 2500,
            "currency": "CNY",
            "payer_total": 2500,
            "payer_currency": "CNY",
        }
        assert after["attach"] == "store=1"
        assert after["payer"] == {"openid": DEMO.openid(wechat.merchant.app_id)}
        by_id = wechat.get(
            f"/v3/pay/transactions/id/{order.trade_no}?mchid={wechat.merchant.merchant_no}"
        )
        assert by_id.json() == after

    def test_an_unpaid_order_has_no_number_at_wechat(self, wechat: WechatClient) -> None:
        wechat.native("P00001")
        number = Order.objects.get().trade_no
        path = f"/v3/pay/transactions/id/{number}?mchid={wechat.merchant.merchant_no}"
        refused(wechat.get(path), 404, "ORDER_NOT_EXIST")

    def test_queries_need_the_mchid(self, wechat: WechatClient) -> None:
        wechat.native("P00001")
        path = "/v3/pay/transactions/out-trade-no/P00001"
        refused(wechat.get(path), 400, "PARAM_ERROR")
        refused(wechat.get(f"{path}?mchid=1900000001"), 400, "PARAM_ERROR")

    def test_jsapi_needs_a_true_openid(self, wechat: WechatClient) -> None:
        path = "/v3/pay/transactions/jsapi"
        refused(wechat.post(path, wechat.order("P00001")), 400, "PARAM_ERROR")
        foreign = wechat.order("P00001", payer={"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"})
        refused(wechat.post(path, foreign), 400, "INVALID_REQUEST")
        assert Order.objects.count() == 0
        openid = DEMO.openid(wechat.merchant.app_id)
        response = wechat.post(path, wechat.order("P00001", payer={"openid": openid}))
        assert response.json()["prepay_id"].startswith("wx")

    def test_only_the_named_payer_may_pay_a_jsapi_order(self, wechat: WechatClient) -> None:
        openid = DEMO.openid(wechat.merchant.app_id)
        wechat.post("/v3/pay/transactions/jsapi", wechat.order("P00001", payer={"openid": openid}))
        with pytest.raises(books.NotPayable, match="payer"):
            books.pay_order(order=Order.objects.get(), payer=PAYERS["hua"], now=clock.now())

    def test_h5_needs_its_scene(self, wechat: WechatClient) -> None:
        path = "/v3/pay/transactions/h5"
        refused(wechat.post(path, wechat.order("P00001")), 400, "PARAM_ERROR")
        scene = {"payer_client_ip": "1.2.3.4", "h5_info": {"type": "Wap"}}
        url = wechat.post(path, wechat.order("P00001", scene_info=scene)).json()["h5_url"]
        page = Client().get(url.removeprefix("http://testserver"))
        assert "SIMULATOR" in page.content.decode()
        back = Client().post(
            url.removeprefix("http://testserver") + "&redirect_url=http%3A%2F%2Fx%2Fdone",
            {"action": "pay", "payer": "demo"},
        )
        assert back.headers["Location"] == "http://x/done"
        assert wechat.state("P00001")["trade_type"] == "MWEB"

    def test_h5_codes_die_after_five_minutes(self, wechat: WechatClient) -> None:
        scene = {"payer_client_ip": "1.2.3.4", "h5_info": {"type": "Wap"}}
        wechat.post("/v3/pay/transactions/h5", wechat.order("P00001", scene_info=scene))
        clock.set_clock(advance_seconds=301)
        with pytest.raises(books.NotPayable, match="code_expired"):
            books.pay_order(order=Order.objects.get(), payer=DEMO, now=clock.now())

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"amount": {"total": 0}}, "/amount/total"),
            ({"amount": {"total": -1}}, "/amount/total"),
            ({"amount": {"total": 1.5}}, "/amount/total"),
            ({"amount": {"total": True}}, "/amount/total"),
            ({"amount": {"total": 10**13}}, "/amount/total"),
            ({"amount": {"total": 1, "currency": "USD"}}, "/amount/currency"),
            ({"out_trade_no": "short"}, "/out_trade_no"),
            ({"out_trade_no": "has space"}, "/out_trade_no"),
            ({"description": ""}, "/description"),
            ({"description": "x" * 128}, "/description"),
            ({"description": "☕🍰"}, "/description"),
            ({"attach": None}, "/attach"),
            ({"surprise": "1"}, "/surprise"),
            ({"notify_url": "http://shop.example/n"}, "/notify_url"),
            ({"notify_url": "https://shop.example/n?a=1"}, "/notify_url"),
            ({"time_expire": "tomorrow"}, "/time_expire"),
            ({"time_expire": "2020-01-01T00:00:00+08:00"}, "/time_expire"),
            ({"mchid": "1900000109"}, "/mchid"),
        ],
    )
    def test_bad_parameters_are_named(
        self, wechat: WechatClient, change: dict[str, Any], field: str
    ) -> None:
        body = {**wechat.order("P00001"), **change}
        error = refused(wechat.post("/v3/pay/transactions/native", body), 400, "PARAM_ERROR")
        assert error["detail"]["field"] == field
        assert Order.objects.count() == 0

    def test_zero_names_the_minimum(self, wechat: WechatClient) -> None:
        body = wechat.order("P00001", total=0)
        error = refused(wechat.post("/v3/pay/transactions/native", body), 400, "PARAM_ERROR")
        assert "/body/amount/total" in error["message"]
        assert "1" in error["message"]

    def test_a_foreign_appid_does_not_match(self, wechat: WechatClient) -> None:
        body = wechat.order("P00001", appid="wx0000000000000000")
        refused(wechat.post("/v3/pay/transactions/native", body), 400, "APPID_MCHID_NOT_MATCH")

    def test_the_same_order_again_gets_a_new_code_and_the_old_one_dies(
        self, wechat: WechatClient
    ) -> None:
        first, second = wechat.native("P00001"), wechat.native("P00001")
        assert first != second
        assert books.order_by_code(platform="wechatpay", code=first) is None
        assert pay(second).state == "PAID"
        assert Order.objects.count() == 1

    def test_other_parameters_under_the_same_number_are_refused(self, wechat: WechatClient) -> None:
        code = wechat.native("P00001")
        other = wechat.order("P00001", total=2400)
        refused(wechat.post("/v3/pay/transactions/native", other), 403, "OUT_TRADE_NO_USED")
        assert books.order_by_code(platform="wechatpay", code=code) is not None

    def test_paid_and_closed_orders_are_not_ordered_again(self, wechat: WechatClient) -> None:
        pay(wechat.native("P00001"))
        refused(
            wechat.post("/v3/pay/transactions/native", wechat.order("P00001")),
            400,
            "INVALID_REQUEST",
        )
        wechat.native("P00002")
        close = {"mchid": wechat.merchant.merchant_no}
        wechat.post("/v3/pay/transactions/out-trade-no/P00002/close", close)
        refused(
            wechat.post("/v3/pay/transactions/native", wechat.order("P00002")),
            400,
            "ORDER_CLOSED",
        )

    def test_closing(self, wechat: WechatClient) -> None:
        path = "/v3/pay/transactions/out-trade-no/P00001/close"
        body = {"mchid": wechat.merchant.merchant_no}
        refused(wechat.post(path, body), 404, "ORDER_NOT_EXIST")
        code = wechat.native("P00001")
        refused(wechat.post(path, {"mchid": "1"}), 400, "PARAM_ERROR")
        assert [wechat.post(path, body).status_code for _ in range(2)] == [204, 204]
        assert wechat.state("P00001")["trade_state"] == "CLOSED"
        with pytest.raises(books.NotPayable):
            pay(code)

    def test_a_paid_order_is_not_closed(self, wechat: WechatClient) -> None:
        pay(wechat.native("P00001"))
        path = "/v3/pay/transactions/out-trade-no/P00001/close"
        refused(wechat.post(path, {"mchid": wechat.merchant.merchant_no}), 403, "TRADE_ERROR")
        assert wechat.state("P00001")["trade_state"] == "SUCCESS"

    def test_expiries(self, wechat: WechatClient) -> None:
        expires = (clock.real_now() + timedelta(minutes=10)).isoformat()
        wechat.native("P00001", time_expire=expires)
        wechat.native("P00002")
        clock.set_clock(advance_seconds=601)
        assert wechat.state("P00001")["trade_state"] == "CLOSED"
        assert wechat.state("P00002")["trade_state"] == "NOTPAY"
        clock.set_clock(advance_seconds=7200)
        with pytest.raises(books.NotPayable, match="code_expired"):
            books.pay_order(
                order=Order.objects.get(out_trade_no="P00002"), payer=DEMO, now=clock.now()
            )
        pay(wechat.native("P00002"))  # a fresh code for the same order works
        clock.set_clock(advance_seconds=7 * 86400)
        assert wechat.state("P00002")["trade_state"] == "SUCCESS"

    def test_a_forgotten_order_closes_after_seven_days(self, wechat: WechatClient) -> None:
        wechat.native("P00001")
        clock.set_clock(advance_seconds=7 * 86400 + 60)
        assert wechat.state("P00001")["trade_state"] == "CLOSED"


class TestRefunds:
    @pytest.fixture
    def paid(self, wechat: WechatClient) -> WechatClient:
        pay(wechat.native("P00001"))
        return wechat

    def test_a_refund_from_acceptance_to_success(self, paid: WechatClient) -> None:
        response = paid.refund("P00001", "R1", 1000)
        assert response.status_code == 200
        paid.verify(response.headers, response.content)
        body = response.json()
        assert (body["status"], body["amount"]["refund"], body["amount"]["refund_fee"]) == (
            "PROCESSING",
            1000,
            6,
        )
        assert "success_time" not in body
        assert paid.state("P00001")["trade_state"] == "REFUND"
        clock.set_clock(advance_seconds=3)
        body = paid.get("/v3/refund/domestic/refunds/R1").json()
        assert body["status"] == "SUCCESS"
        assert body["success_time"].endswith("+08:00")

    def test_the_same_number_is_the_same_refund(self, paid: WechatClient) -> None:
        first = paid.refund("P00001", "R1", 1000).json()
        assert paid.refund("P00001", "R1", 1000).json() == first
        refused(paid.refund("P00001", "R1", 999), 400, "INVALID_REQUEST")
        pay(paid.native("P00002"))
        refused(paid.refund("P00002", "R1", 1000), 400, "INVALID_REQUEST")
        assert Refund.objects.count() == 1

    def test_more_than_paid_is_refused(self, paid: WechatClient) -> None:
        refused(paid.refund("P00001", "R1", 2501), 400, "INVALID_REQUEST")
        assert paid.refund("P00001", "R1", 2000).status_code == 200
        refused(paid.refund("P00001", "R2", 501), 400, "INVALID_REQUEST")
        refused(paid.refund("P00001", "R2", 500, total=2400), 400, "INVALID_REQUEST")
        assert Refund.objects.count() == 1

    def test_unpaid_and_unknown_orders_have_no_refunds(self, paid: WechatClient) -> None:
        paid.native("P00002")
        refused(paid.refund("P00002", "R1", 1), 404, "RESOURCE_NOT_EXISTS")
        refused(paid.refund("P00009", "R1", 1), 404, "RESOURCE_NOT_EXISTS")
        refused(paid.get("/v3/refund/domestic/refunds/R1"), 404, "RESOURCE_NOT_EXISTS")

    def test_fifty_refunds_are_the_most(self, paid: WechatClient) -> None:
        order = Order.objects.get()
        for number in range(50):
            books.create_refund(
                order=order, out_refund_no=f"R{number}", amount_fen=1, now=clock.now()
            )
        refused(paid.refund("P00001", "R50", 1), 403, "RULE_LIMIT")

    def test_after_a_year_it_is_too_late(self, paid: WechatClient) -> None:
        clock.set_clock(advance_seconds=366 * 86400)
        refused(paid.refund("P00001", "R1", 1), 403, "RULE_LIMIT")

    def test_by_transaction_id(self, paid: WechatClient) -> None:
        body = {
            "transaction_id": Order.objects.get().trade_no,
            "out_refund_no": "R1",
            "amount": {"refund": 1, "total": 2500, "currency": "CNY"},
        }
        assert paid.post("/v3/refund/domestic/refunds", body).status_code == 200
        del body["transaction_id"]
        refused(paid.post("/v3/refund/domestic/refunds", body), 400, "PARAM_ERROR")

    def test_not_enough_money_then_the_same_number_again(self, paid: WechatClient) -> None:
        faults.add_fault(key="not_enough", platform="wechatpay", uses=1)
        refused(paid.refund("P00001", "R1", 1000), 403, "NOT_ENOUGH")
        assert Refund.objects.count() == 0
        assert paid.refund("P00001", "R1", 1000).status_code == 200

    def test_an_abnormal_refund_is_rescued(self, paid: WechatClient) -> None:
        faults.add_fault(key="refund_abnormal", uses=1)
        refund_id = paid.refund("P00001", "R1", 1000).json()["refund_id"]
        clock.set_clock(advance_seconds=3)
        assert paid.get("/v3/refund/domestic/refunds/R1").json()["status"] == "ABNORMAL"
        path = f"/v3/refund/domestic/refunds/{refund_id}/apply-abnormal-refund"
        body = {"out_refund_no": "R1", "type": "MERCHANT_BANK_CARD"}
        assert paid.post(path, body).json()["status"] == "PROCESSING"
        clock.set_clock(advance_seconds=3)
        assert paid.get("/v3/refund/domestic/refunds/R1").json()["status"] == "SUCCESS"
        refused(paid.post(path, body), 400, "INVALID_REQUEST")

    def test_an_abnormal_refund_to_the_payers_card_is_sealed(self, paid: WechatClient) -> None:
        faults.add_fault(key="refund_abnormal", uses=1)
        refund_id = paid.refund("P00001", "R1", 1000).json()["refund_id"]
        clock.set_clock(advance_seconds=3)
        assert paid.get("/v3/refund/domestic/refunds/R1").json()["status"] == "ABNORMAL"
        path = f"/v3/refund/domestic/refunds/{refund_id}/apply-abnormal-refund"
        key = serialization.load_pem_public_key(paid.config["public_key"].encode())
        assert isinstance(key, rsa.RSAPublicKey)
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - as prescribed

        def sealed(text: str) -> str:
            return base64.b64encode(key.encrypt(text.encode(), oaep)).decode()

        body = {
            "out_refund_no": "R1",
            "type": "USER_BANK_CARD",
            "bank_type": "ICBC_DEBIT",
            "bank_account": sealed("6222021234567890123"),
            "real_name": sealed("王小明"),
        }
        refused(paid.post(path, body), 400, "PARAM_ERROR")  # which key it is sealed for is not said
        paid.extra = {"Wechatpay-Serial": paid.config["public_key_id"]}
        refused(paid.post(path, {**body, "real_name": "王小明"}), 400, "PARAM_ERROR")
        refused(paid.post(path, {**body, "bank_type": ""}), 400, "PARAM_ERROR")
        assert paid.post(path, body).json()["status"] == "PROCESSING"
        clock.set_clock(advance_seconds=3)
        done = paid.get("/v3/refund/domestic/refunds/R1").json()
        assert (done["status"], done["user_received_account"]) == ("SUCCESS", "ICBC_DEBIT0123")

    def test_a_minute_between_partial_refunds(self, paid: WechatClient) -> None:
        assert paid.refund("P00001", "R1", 100).status_code == 200
        assert paid.refund("P00001", "R2", 100).status_code == 200
        faults.add_fault(key="refund_gap")
        refused(paid.refund("P00001", "R3", 100), 429, "FREQUENCY_LIMITED")
        # The same refund again is no second one.
        assert paid.refund("P00001", "R2", 100).status_code == 200
        clock.set_clock(advance_seconds=61)
        assert paid.refund("P00001", "R3", 100).status_code == 200

    def test_a_slow_refund(self, paid: WechatClient) -> None:
        faults.add_fault(key="refund_slow", value={"seconds": 600}, uses=1)
        paid.refund("P00001", "R1", 1000)
        clock.set_clock(advance_seconds=599)
        assert paid.get("/v3/refund/domestic/refunds/R1").json()["status"] == "PROCESSING"
        clock.set_clock(advance_seconds=2)
        assert paid.get("/v3/refund/domestic/refunds/R1").json()["status"] == "SUCCESS"


class TestFaults:
    def test_http_500_does_nothing(self, wechat: WechatClient) -> None:
        faults.add_fault(key="http_500", platform="wechatpay", uses=1)
        body = wechat.order("P00001")
        refused(wechat.post("/v3/pay/transactions/native", body), 500, "SYSTEM_ERROR")
        assert Order.objects.count() == 0
        assert wechat.post("/v3/pay/transactions/native", body).status_code == 200

    def test_rate_limit(self, wechat: WechatClient) -> None:
        faults.add_fault(key="rate_limited", uses=1)
        refused(wechat.get("/v3/certificates"), 429, "FREQUENCY_LIMITED")

    def test_a_fault_of_the_other_platform_does_not_hit(self, wechat: WechatClient) -> None:
        faults.add_fault(key="http_500", platform="alipay")
        wechat.native("P00001")

    def test_a_fault_can_be_limited_to_a_path(self, wechat: WechatClient) -> None:
        faults.add_fault(key="http_500", value={"path": "/refund/"})
        pay(wechat.native("P00001"))
        refused(wechat.refund("P00001", "R1", 1), 500, "SYSTEM_ERROR")

    def test_lost_after_commit(self, wechat: WechatClient) -> None:
        pay(wechat.native("P00001"))
        faults.add_fault(key="lost_after_commit", uses=1)
        response = wechat.refund("P00001", "R1", 1000)
        assert response.status_code == 504
        assert Refund.objects.count() == 1
        assert wechat.refund("P00001", "R1", 1000).status_code == 200
        assert Refund.objects.count() == 1

    @pytest.mark.parametrize("key", ["wrong_signature", "signtest"])
    def test_wrong_signatures(self, wechat: WechatClient, key: str) -> None:
        faults.add_fault(key=key, uses=1)
        response = wechat.post("/v3/security/echo", {"echo_message": "x"})
        assert response.status_code == 200
        probe = response.headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
        assert probe == (key == "signtest")
        with pytest.raises((InvalidSignature, ValueError)):
            wechat.verify(response.headers, response.content)
        response = wechat.post("/v3/security/echo", {"echo_message": "x"})
        wechat.verify(response.headers, response.content)


class TestOAuth:
    @staticmethod
    def authorize(merchant: Merchant, **more: Any) -> Any:
        query = {
            "appid": merchant.app_id,
            "redirect_uri": "https://shop.example/q/abc?x=1",
            "response_type": "code",
            "scope": "snsapi_base",
            "state": "S 1",
        }
        browser = Client(headers={"User-Agent": "x MicroMessenger/8"})
        for name, value in more.pop("cookies", {}).items():
            browser.cookies[name] = value
        return browser.get("/wechatpay/connect/oauth2/authorize", {**query, **more})

    @staticmethod
    def exchange(merchant: Merchant, code: str, **more: str) -> dict[str, Any]:
        query = {
            "appid": merchant.app_id,
            "secret": merchant.config["app_secret"],
            "code": code,
            "grant_type": "authorization_code",
        }
        response = Client().get("/wechatpay/sns/oauth2/access_token", {**query, **more})
        body: dict[str, Any] = json.loads(response.content)
        return body

    def code(self, merchant: Merchant, **more: Any) -> str:
        location = urlsplit(self.authorize(merchant, **more).headers["Location"])
        return str(parse_qs(location.query)["code"][0])

    def test_silent_and_single_use(self, wechat_merchant: Merchant) -> None:
        response = self.authorize(wechat_merchant)
        location = urlsplit(response.headers["Location"])
        assert (location.netloc, location.path) == ("shop.example", "/q/abc")
        query = parse_qs(location.query)
        assert (query["x"], query["state"]) == (["1"], ["S 1"])
        code = query["code"][0]
        answer = self.exchange(wechat_merchant, code)
        assert answer["openid"] == DEMO.openid(wechat_merchant.app_id)
        assert answer["expires_in"] == 7200
        assert self.exchange(wechat_merchant, code)["errcode"] == 40163

    def test_the_wallets_user_is_who_pays(self, wechat_merchant: Merchant) -> None:
        code = self.code(wechat_merchant, cookies={"sim_wallet_user": "hua"})
        openid = self.exchange(wechat_merchant, code)["openid"]
        assert openid == PAYERS["hua"].openid(wechat_merchant.app_id)

    def test_inside_the_wallets_browser_the_way_back_stays_inside(
        self, wechat_merchant: Merchant
    ) -> None:
        cookies = {"sim_wallet_browser": "http://localhost:9101"}
        location = self.authorize(wechat_merchant, cookies=cookies).headers["Location"]
        assert location.startswith("http://localhost:9101/q/abc?x=1&code=")
        foreign = {"sim_wallet_browser": "http://evil.example"}
        location = self.authorize(wechat_merchant, cookies=foreign).headers["Location"]
        assert location.startswith("https://shop.example/q/abc")

    @pytest.mark.parametrize(
        "change",
        [{"appid": "wx0"}, {"scope": ""}, {"response_type": "token"}, {"redirect_uri": "x"}],
    )
    def test_bad_calls_get_a_page_and_no_code(
        self, wechat_merchant: Merchant, change: dict[str, str]
    ) -> None:
        response = self.authorize(wechat_merchant, **change)
        assert response.status_code == 200
        assert "Location" not in response.headers

    def test_outside_wechat_there_is_only_advice(self, wechat_merchant: Merchant) -> None:
        response = Client().get("/wechatpay/connect/oauth2/authorize")
        assert "请在微信客户端打开链接" in response.content.decode()

    def test_errors_of_the_exchange(self, wechat_merchant: Merchant) -> None:
        code = self.code(wechat_merchant)
        assert self.exchange(wechat_merchant, code, secret="x")["errcode"] == 40125
        assert self.exchange(wechat_merchant, code, appid="wx0")["errcode"] == 40013
        assert self.exchange(wechat_merchant, "nonsense")["errcode"] == 40029
        assert self.exchange(wechat_merchant, code, grant_type="x")["errcode"] == 40002
        clock.set_clock(advance_seconds=301)
        assert self.exchange(wechat_merchant, code)["errcode"] == 40029


class TestPayCall:
    def test_a_page_calls_the_cashier(self, wechat: WechatClient) -> None:
        openid = DEMO.openid(wechat.merchant.app_id)
        prepay_id = wechat.post(
            "/v3/pay/transactions/jsapi", wechat.order("P00001", payer={"openid": openid})
        ).json()["prepay_id"]
        key = serialization.load_pem_private_key(wechat.config["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        package = f"prepay_id={prepay_id}"
        message = f"{wechat.merchant.app_id}\n1\nN\n{package}\n".encode()
        params = {
            "appId": wechat.merchant.app_id,
            "timeStamp": "1",
            "nonceStr": "N",
            "package": package,
            "signType": "RSA",
            "paySign": base64.b64encode(
                key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            ).decode(),
        }
        assert order_of_pay_call(params=params).out_trade_no == "P00001"
        for name in params:
            with pytest.raises(BadPayCall):
                order_of_pay_call(params={**params, name: "x"})
