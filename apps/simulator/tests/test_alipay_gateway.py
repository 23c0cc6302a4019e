"""The gateway and its methods, called as a client would: signed bytes in, signed bytes out."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django.test import Client

from apps.simulator import books, clock, faults, merchants, notifications
from apps.simulator.alipay import signing
from apps.simulator.models import (
    Fault,
    Notice,
    NoticeKind,
    OAuthCode,
    Order,
    OrderState,
    Platform,
    Product,
    Refund,
)
from apps.simulator.payers import DEFAULT_PAYER
from apps.simulator.tests.alipay_client import Shop, encode

pytestmark = pytest.mark.django_db
NOTIFY = "http://localhost:8000/notify/alipay/x"


def paid_trade(shop: Shop, number: str = "P1", amount: str = "25.00") -> dict[str, Any]:
    """A trade created for the demo buyer, and paid."""
    made = shop.call(
        "alipay.trade.create",
        {
            "out_trade_no": number,
            "total_amount": amount,
            "subject": "门店消费",
            "buyer_id": DEFAULT_PAYER.alipay_id,
        },
        notify_url=NOTIFY,
    )
    assert made["code"] == "10000"
    order = Order.objects.get(trade_no=made["trade_no"])
    books.pay_order(order=order, payer=DEFAULT_PAYER, now=clock.now())
    return made


# --- the envelope ---------------------------------------------------------------------------------


def test_answer_is_signed_over_its_raw_text_and_escapes_slashes(shop: Shop) -> None:
    answer = shop.call(
        "alipay.trade.precreate",
        {"out_trade_no": "P1", "total_amount": "0.01", "subject": "测试/A"},
    )
    assert answer["code"] == "10000"
    assert answer["qr_code"].startswith("https://qr.alipay.com/bax")
    assert b'"https:\\/\\/qr.alipay.com\\/bax' in shop.raw
    assert shop.response["Content-Type"] == "text/html;charset=utf-8"


def test_everything_in_the_query_of_a_get_works_too(shop: Shop) -> None:
    params = shop.signed(
        {**shop.common("alipay.trade.query"), "biz_content": '{"out_trade_no":"none"}'}
    )
    answer = json.loads(Client().get("/alipay/gateway.do", params).content)
    assert answer["alipay_trade_query_response"]["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_without_charset_in_the_query_the_gateway_reads_and_answers_gbk(shop: Shop) -> None:
    params = shop.common("alipay.trade.precreate")
    del params["charset"]
    biz = {"out_trade_no": "P1", "total_amount": "1.00", "subject": "门店消费"}
    params["biz_content"] = json.dumps(biz, ensure_ascii=False)
    answer = shop.send(shop.signed(params, "gbk"), "gbk")
    shop.check(shop.raw, "alipay_trade_precreate_response", answer["sign"])
    assert shop.response["Content-Type"] == "text/html;charset=GBK"
    order = Order.objects.get()
    assert (order.description, order.extra["charset"]) == ("门店消费", "GBK")


def test_utf8_text_without_charset_arrives_garbled(shop: Shop) -> None:
    params = shop.common("alipay.trade.precreate")
    del params["charset"]
    biz = {"out_trade_no": "P1", "total_amount": "1.00", "subject": "一号店"}
    params["biz_content"] = json.dumps(biz, ensure_ascii=False)
    query = shop.signed(params, "utf-8")
    shop.http.get("/alipay/gateway.do?" + encode(query, "utf-8"))
    assert Order.objects.get().description != "一号店"


@pytest.mark.parametrize(
    ("change", "sub_code"),
    [
        ({"app_id": "2021000000000000"}, "isv.invalid-app-id"),
        ({"method": "alipay.trade.nothing"}, "isv.invalid-method"),
        ({"version": "2.0"}, "isv.invalid-version"),
        ({"timestamp": "yesterday"}, "isv.invalid-timestamp"),
        ({"sign_type": "RSA"}, "isv.invalid-signature-type"),
        ({"timestamp": ""}, "isv.missing-timestamp"),
        ({"method": ""}, "isv.missing-method"),
        ({"biz_content": "[1]"}, "isv.invalid-parameter"),
        ({"biz_content": "{"}, "isv.invalid-parameter"),
        ({"charset": "latin-1"}, "isv.invalid-charset"),
    ],
)
def test_gateway_refusals_are_unsigned(shop: Shop, change: dict[str, str], sub_code: str) -> None:
    params = {**shop.common("alipay.trade.query"), "biz_content": "{}", **change}
    answer = shop.send(shop.signed(params), "gbk" if "charset" in change else "utf-8")
    assert set(answer) == {"error_response"}
    assert answer["error_response"]["sub_code"] == sub_code


def test_a_changed_amount_breaks_the_signature(shop: Shop) -> None:
    params = shop.signed(
        {
            **shop.common("alipay.trade.precreate"),
            "biz_content": '{"out_trade_no":"P1","total_amount":"1.00","subject":"A"}',
        }
    )
    params["biz_content"] = params["biz_content"].replace("1.00", "0.01")
    answer = shop.send(params)
    assert answer["error_response"]["sub_code"] == "isv.invalid-signature"
    assert Order.objects.count() == 0


def test_another_method_than_get_and_post_is_refused() -> None:
    assert Client().put("/alipay/gateway.do").status_code == 405


# --- precreate: no trade before the scan ----------------------------------------------------------


def test_precreate_makes_no_trade_until_it_is_scanned(shop: Shop) -> None:
    made = shop.call(
        "alipay.trade.precreate", {"out_trade_no": "P1", "total_amount": "9.90", "subject": "A"}
    )
    biz = {"out_trade_no": "P1"}
    for method in ("query", "close", "cancel"):
        assert shop.call(f"alipay.trade.{method}", biz)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    order = books.order_by_code(platform="alipay", code=made["qr_code"])
    assert order is not None
    books.scan_order(order=order, now=clock.now())
    assert shop.call("alipay.trade.query", biz)["trade_status"] == "WAIT_BUYER_PAY"


def test_a_second_precreate_replaces_the_code_while_unscanned(shop: Shop) -> None:
    first = shop.call(
        "alipay.trade.precreate", {"out_trade_no": "P1", "total_amount": "9.90", "subject": "A"}
    )
    second = shop.call(
        "alipay.trade.precreate", {"out_trade_no": "P1", "total_amount": "8.00", "subject": "A"}
    )
    assert first["qr_code"] != second["qr_code"]
    assert books.order_by_code(platform="alipay", code=first["qr_code"]) is None
    assert Order.objects.get().amount_fen == 800


def test_after_the_scan_another_amount_is_inconsistent(shop: Shop) -> None:
    biz = {"out_trade_no": "P1", "total_amount": "9.90", "subject": "A"}
    shop.call("alipay.trade.precreate", biz)
    books.scan_order(order=Order.objects.get(), now=clock.now())
    changed = shop.call("alipay.trade.precreate", {**biz, "total_amount": "9.91"})
    assert changed["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    assert Order.objects.get().amount_fen == 990


@pytest.mark.parametrize("amount", ["0", "0.00", "0.001", "-1", "1e3", "", "abc", None, "01.00"])
def test_bad_amounts_are_refused(shop: Shop, amount: Any) -> None:
    answer = shop.call(
        "alipay.trade.precreate", {"out_trade_no": "P1", "total_amount": amount, "subject": "A"}
    )
    assert answer["sub_code"] == "ACQ.INVALID_PARAMETER"
    assert Order.objects.count() == 0


def test_an_amount_over_the_limit_is_refused(shop: Shop) -> None:
    answer = shop.call(
        "alipay.trade.precreate",
        {"out_trade_no": "P1", "total_amount": "100000000.01", "subject": "A"},
    )
    assert answer["sub_code"] == "ACQ.TOTAL_FEE_EXCEED"


def test_an_unscanned_order_expires_without_a_notice(shop: Shop) -> None:
    shop.call(
        "alipay.trade.precreate",
        {"out_trade_no": "P1", "total_amount": "1.00", "subject": "A", "timeout_express": "5m"},
        notify_url=NOTIFY,
    )
    assert books.expire_due(now=clock.now() + timedelta(minutes=6)) == 1
    assert Notice.objects.count() == 0
    answer = shop.call("alipay.trade.query", {"out_trade_no": "P1"})
    assert answer["sub_code"] == "ACQ.TRADE_NOT_EXIST"


# --- create, query, close, cancel -----------------------------------------------------------------


def test_a_paid_trade_is_told_in_full(shop: Shop) -> None:
    made = paid_trade(shop)
    told = shop.call("alipay.trade.query", {"trade_no": made["trade_no"]})
    assert told["trade_status"] == "TRADE_SUCCESS"
    assert told["out_trade_no"] == "P1"
    assert told["total_amount"] == told["receipt_amount"] == "25.00"
    assert told["buyer_user_id"] == DEFAULT_PAYER.alipay_id
    assert told["fund_bill_list"] == [{"amount": "25.00", "fund_channel": "ALIPAYACCOUNT"}]
    assert len(told["send_pay_date"]) == 19


def test_create_again_finds_the_same_trade_and_refuses_what_differs(shop: Shop) -> None:
    biz = {
        "out_trade_no": "P1",
        "total_amount": "1.00",
        "subject": "A",
        "buyer_id": DEFAULT_PAYER.alipay_id,
    }
    first = shop.call("alipay.trade.create", biz)
    assert shop.call("alipay.trade.create", biz)["trade_no"] == first["trade_no"]
    other = shop.call("alipay.trade.create", {**biz, "buyer_id": "2088000000000000"})
    assert other["sub_code"] == "ACQ.TRADE_BUYER_NOT_MATCH"
    more = shop.call("alipay.trade.create", {**biz, "total_amount": "2.00"})
    assert more["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    none = shop.call("alipay.trade.create", {**biz, "buyer_id": ""})
    assert none["sub_code"] == "ACQ.INVALID_PARAMETER"
    books.pay_order(order=Order.objects.get(), payer=DEFAULT_PAYER, now=clock.now())
    assert shop.call("alipay.trade.create", biz)["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"


def test_query_needs_a_number_and_keeps_to_its_merchant(shop: Shop) -> None:
    assert shop.call("alipay.trade.query", {})["sub_code"] == "ACQ.INVALID_PARAMETER"
    made = paid_trade(shop)
    stranger = Shop(merchants.create_merchant(platform="alipay", name="别家", now=clock.now()))
    told = stranger.call("alipay.trade.query", {"trade_no": made["trade_no"]})
    assert told["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_close_ends_an_unpaid_trade_and_tells_it(shop: Shop) -> None:
    shop.call(
        "alipay.trade.create",
        {"out_trade_no": "P1", "total_amount": "1.00", "subject": "A", "buyer_id": "2088"},
        notify_url=NOTIFY,
    )
    assert shop.call("alipay.trade.close", {"out_trade_no": "P1"})["code"] == "10000"
    told = shop.call("alipay.trade.query", {"out_trade_no": "P1"})
    assert told["trade_status"] == "TRADE_CLOSED"
    assert "send_pay_date" not in told
    again = shop.call("alipay.trade.close", {"out_trade_no": "P1"})
    assert again["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert Notice.objects.get().payload["trade_status"] == "TRADE_CLOSED"


def test_a_paid_trade_cannot_be_closed(shop: Shop) -> None:
    paid_trade(shop)
    answer = shop.call("alipay.trade.close", {"out_trade_no": "P1"})
    assert answer["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert Order.objects.get().state == OrderState.PAID


def test_cancel_closes_or_refunds(shop: Shop) -> None:
    shop.call(
        "alipay.trade.create",
        {"out_trade_no": "P0", "total_amount": "1.00", "subject": "A", "buyer_id": "2088"},
    )
    assert shop.call("alipay.trade.cancel", {"out_trade_no": "P0"})["action"] == "close"
    paid_trade(shop)
    assert shop.call("alipay.trade.cancel", {"out_trade_no": "P1"})["action"] == "refund"
    assert shop.call("alipay.trade.cancel", {"out_trade_no": "P1"})["action"] == "refund"
    assert [refund.amount_fen for refund in Refund.objects.all()] == [2500]


# --- refunds --------------------------------------------------------------------------------------


def refund(shop: Shop, amount: str, number: str = "", trade: str = "P1") -> dict[str, Any]:
    """One refund call."""
    biz = {"out_trade_no": trade, "refund_amount": amount}
    if number:
        biz["out_request_no"] = number
    return shop.call("alipay.trade.refund", biz)


def test_refunds_add_up_and_repeat_without_moving_money(shop: Shop) -> None:
    paid_trade(shop)
    first = refund(shop, "10.00", "R1")
    assert (first["fund_change"], first["refund_fee"]) == ("Y", "10.00")
    again = refund(shop, "10.00", "R1")
    assert (again["fund_change"], again["refund_fee"]) == ("N", "10.00")
    assert refund(shop, "10.01", "R1")["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert refund(shop, "15.01", "R2")["sub_code"] == "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    assert refund(shop, "5.00")["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    last = refund(shop, "15.00", "R2")
    assert (last["fund_change"], last["refund_fee"]) == ("Y", "25.00")
    told = shop.call("alipay.trade.query", {"out_trade_no": "P1"})
    assert told["trade_status"] == "TRADE_CLOSED"
    assert refund(shop, "0.01", "R3")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert refund(shop, "15.00", "R2")["fund_change"] == "N"
    assert sorted(one.amount_fen for one in Refund.objects.all()) == [1000, 1500]
    order = Order.objects.get()
    assert sum(one.fee_fen for one in Refund.objects.all()) == order.fee_fen == 15


def test_a_whole_refund_needs_no_number(shop: Shop) -> None:
    paid_trade(shop)
    assert refund(shop, "25.00")["fund_change"] == "Y"
    assert Refund.objects.get().out_refund_no == "P1"


def test_an_unpaid_trade_cannot_be_refunded(shop: Shop) -> None:
    shop.call(
        "alipay.trade.create",
        {"out_trade_no": "P1", "total_amount": "1.00", "subject": "A", "buyer_id": "2088"},
    )
    assert refund(shop, "1.00")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert refund(shop, "1.00", trade="P2")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert Refund.objects.count() == 0


def test_refund_query_shows_a_status_only_for_a_refund_that_was_made(shop: Shop) -> None:
    paid_trade(shop)
    biz = {"out_trade_no": "P1", "out_request_no": "R1"}
    missing = shop.call("alipay.trade.fastpay.refund.query", biz)
    assert missing["code"] == "10000"
    assert "refund_status" not in missing
    refund(shop, "10.00", "R1")
    found = shop.call(
        "alipay.trade.fastpay.refund.query", {**biz, "query_options": ["gmt_refund_pay"]}
    )
    assert found["refund_status"] == "REFUND_SUCCESS"
    assert (found["refund_amount"], found["total_amount"]) == ("10.00", "25.00")
    assert len(found["gmt_refund_pay"]) == 19


def test_refunds_end_with_the_window(shop: Shop) -> None:
    paid_trade(shop)
    Order.objects.update(paid_at=clock.now() - timedelta(days=366))
    told = shop.call("alipay.trade.query", {"out_trade_no": "P1"})
    assert told["trade_status"] == "TRADE_FINISHED"
    assert refund(shop, "25.00")["sub_code"] == "ACQ.TRADE_NOT_ALLOW_REFUND"


# --- faults ---------------------------------------------------------------------------------------


def test_not_enough_balance_refuses_and_the_same_number_works_later(shop: Shop) -> None:
    paid_trade(shop)
    faults.add_fault(key="not_enough", platform="alipay", uses=1)
    assert refund(shop, "10.00", "R1")["sub_code"] == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    assert Refund.objects.count() == 0
    assert refund(shop, "10.00", "R1")["fund_change"] == "Y"


def test_a_lost_answer_has_done_its_work(shop: Shop) -> None:
    paid_trade(shop)
    value = {"path": "alipay.trade.refund"}
    faults.add_fault(key="lost_after_commit", platform="alipay", value=value, uses=1)
    params = {
        **shop.common("alipay.trade.refund"),
        "biz_content": '{"out_trade_no":"P1","refund_amount":"25.00"}',
    }
    response = shop.http.post("/alipay/gateway.do?" + encode(shop.signed(params), "utf-8"))
    assert response.status_code == 504
    assert Refund.objects.count() == 1
    assert refund(shop, "25.00")["fund_change"] == "N"


def test_http_500_does_nothing(shop: Shop) -> None:
    faults.add_fault(key="http_500", platform="alipay", uses=1)
    params = {
        **shop.common("alipay.trade.precreate"),
        "biz_content": '{"out_trade_no":"P1","total_amount":"1.00","subject":"A"}',
    }
    response = shop.http.get("/alipay/gateway.do", shop.signed(params))
    assert response.status_code == 500
    assert Order.objects.count() == 0
    assert Fault.objects.count() == 0


def test_wrong_signature_answers_with_a_strangers(shop: Shop) -> None:
    faults.add_fault(key="wrong_signature", platform="alipay", uses=1)
    params = {**shop.common("alipay.trade.query"), "biz_content": '{"out_trade_no":"P1"}'}
    answer = shop.send(shop.signed(params))
    with pytest.raises(InvalidSignature):
        shop.check(shop.raw, "alipay_trade_query_response", answer["sign"])


def test_a_failed_refund_changes_no_funds(shop: Shop) -> None:
    paid_trade(shop)
    faults.add_fault(key="refund_closed", platform="alipay", uses=1)
    assert refund(shop, "10.00", "R1")["fund_change"] == "N"
    told = shop.call(
        "alipay.trade.fastpay.refund.query", {"out_trade_no": "P1", "out_request_no": "R1"}
    )
    assert "refund_status" not in told


# --- page products and authorisation --------------------------------------------------------------


def wap(shop: Shop, **more: str) -> Any:
    """The browser's GET of wap.pay."""
    biz = {
        "out_trade_no": "W1",
        "total_amount": "12.50",
        "subject": "外卖",
        "product_code": "QUICK_WAP_WAY",
        "quit_url": "http://localhost:8000/q/abc",
    }
    params = {
        **shop.common("alipay.trade.wap.pay", **more),
        "biz_content": json.dumps(biz, ensure_ascii=False),
    }
    return shop.http.get("/alipay/gateway.do", shop.signed(params))


def test_wap_pay_leads_to_the_cashier_and_back_with_a_signed_result(shop: Shop) -> None:
    back = "http://localhost:8000/pay/result"
    to_cashier = wap(shop, return_url=back, notify_url=NOTIFY)
    assert to_cashier.status_code == 302
    told = shop.call("alipay.trade.query", {"out_trade_no": "W1"})
    assert told["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    page = shop.http.get(to_cashier["Location"])
    assert "¥12.50" in page.content.decode()
    told = shop.call("alipay.trade.query", {"out_trade_no": "W1"})
    assert told["trade_status"] == "WAIT_BUYER_PAY"
    done = shop.http.post(to_cashier["Location"], {"action": "pay", "payer": "demo"})
    assert done.status_code == 302
    assert done["Location"].startswith(back + "?")
    fields = {key: value[0] for key, value in parse_qs(urlsplit(done["Location"]).query).items()}
    assert (fields["out_trade_no"], fields["total_amount"]) == ("W1", "12.50")
    text = "&".join(
        f"{key}={fields[key]}" for key in sorted(fields) if key not in ("sign", "sign_type")
    )
    shop.public.verify(
        base64.b64decode(fields["sign"]), text.encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    told = shop.call("alipay.trade.query", {"out_trade_no": "W1"})
    assert told["trade_status"] == "TRADE_SUCCESS"


def test_from_the_wallets_browser_the_way_back_leads_into_it(shop: Shop) -> None:
    shop.http.cookies["sim_wallet_browser"] = "http://localhost:9102"
    to_cashier = wap(shop, return_url="http://localhost:8000/pay/result")
    gone = shop.http.post(to_cashier["Location"], {"action": "cancel"})
    assert gone["Location"] == "http://localhost:9102/q/abc"
    done = shop.http.post(to_cashier["Location"], {"action": "pay"})
    assert done["Location"].startswith("http://localhost:9102/pay/result?")


def test_wap_pay_cancelled_goes_to_the_quit_url_and_pays_nothing(shop: Shop) -> None:
    to_cashier = wap(shop)
    gone = shop.http.post(to_cashier["Location"], {"action": "cancel"})
    assert gone["Location"] == "http://localhost:8000/q/abc"
    assert Order.objects.get().state == OrderState.WAITING


def test_wap_pay_of_a_paid_order_says_so(shop: Shop) -> None:
    paid_trade(shop, "W1")
    page = wap(shop)
    assert page.status_code == 400
    assert "交易已被支付" in page.content.decode()


def test_wap_pay_with_a_wrong_signature_is_refused(shop: Shop) -> None:
    params = shop.signed({**shop.common("alipay.trade.wap.pay"), "biz_content": "{}"})
    answer = shop.http.get("/alipay/gateway.do", {**params, "biz_content": '{"a":1}'})
    assert b"isv.invalid-signature" in answer.content
    assert Order.objects.count() == 0


def test_the_auth_code_names_the_buyer_once(shop: Shop) -> None:
    query = {
        "app_id": shop.merchant.app_id,
        "scope": "auth_base",
        "redirect_uri": "http://localhost:8000/back?x=1",
        "state": "s&1",
    }
    gone = shop.http.get("/alipay/oauth2/publicAppAuthorize.htm", query)
    fields = parse_qs(urlsplit(gone["Location"]).query)
    assert gone["Location"].startswith("http://localhost:8000/back?x=1&")
    assert (fields["state"], fields["app_id"]) == (["s&1"], [shop.merchant.app_id])
    code = fields["auth_code"][0]
    method = "alipay.system.oauth.token"
    told = shop.call(method, grant_type="authorization_code", code=code)
    assert told["user_id"] == DEFAULT_PAYER.alipay_id
    assert "code" not in told
    used = shop.send(shop.signed(shop.common(method, grant_type="authorization_code", code=code)))
    assert used["error_response"]["sub_code"] == "isv.code-invalid"
    shop.check(shop.raw, "error_response", used["sign"])
    assert OAuthCode.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [{"app_id": "none"}, {"scope": "all"}, {"redirect_uri": "javascript:alert(1)"}],
)
def test_a_bad_authorisation_is_refused(shop: Shop, change: dict[str, str]) -> None:
    query = {
        "app_id": shop.merchant.app_id,
        "scope": "auth_base",
        "redirect_uri": "http://localhost:8000/back",
        **change,
    }
    assert shop.http.get("/alipay/oauth2/publicAppAuthorize.htm", query).status_code == 400
    assert OAuthCode.objects.count() == 0


# --- notices --------------------------------------------------------------------------------------


def parsed(shop: Shop, notice: Notice, *, forged: bool = False) -> dict[str, str]:
    """Build the notice, check its signature independently, return its fields."""
    from_module = notifications.sender_for("alipay")
    assert from_module is not None
    headers, body = from_module.build_notice(notice=notice, now=clock.now(), forged=forged)
    charset = headers["Content-Type"].partition("charset=")[2]
    fields = {
        key: value[0]
        for key, value in parse_qs(
            body.decode("ascii"), encoding=charset, strict_parsing=True
        ).items()
    }
    text = "&".join(
        f"{key}={fields[key]}" for key in sorted(fields) if key not in ("sign", "sign_type")
    )
    shop.public.verify(
        base64.b64decode(fields["sign"]), text.encode(charset), padding.PKCS1v15(), hashes.SHA256()
    )
    return fields


def test_notices_tell_payment_partial_and_full_refund(shop: Shop) -> None:
    paid_trade(shop)
    refund(shop, "10.00", "R1")
    refund(shop, "15.00", "R2")
    paid, part, full = (parsed(shop, notice) for notice in Notice.objects.order_by("pk"))
    assert paid["trade_status"] == "TRADE_SUCCESS"
    assert "refund_fee" not in paid
    assert json.loads(paid["fund_bill_list"]) == [
        {"amount": "25.00", "fundChannel": "ALIPAYACCOUNT"}
    ]
    assert (part["trade_status"], part["refund_fee"], part["out_biz_no"]) == (
        "TRADE_SUCCESS",
        "10.00",
        "R1",
    )
    assert (full["trade_status"], full["refund_fee"], full["out_biz_no"]) == (
        "TRADE_CLOSED",
        "25.00",
        "R2",
    )
    assert "gmt_refund" in full
    assert {notice.url for notice in Notice.objects.all()} == {NOTIFY}


def test_a_forged_notice_does_not_verify(shop: Shop) -> None:
    paid_trade(shop)
    with pytest.raises(InvalidSignature):
        parsed(shop, Notice.objects.get(), forged=True)


def test_a_gbk_order_is_notified_in_gbk(shop: Shop) -> None:
    paid_trade(shop)
    notice = Notice.objects.get()
    notice.payload["charset"] = "GBK"
    assert parsed(shop, notice)["subject"] == "门店消费"


@pytest.mark.parametrize(
    ("status", "body", "taken"),
    [
        (200, b"success", True),
        (200, b"SUCCESS", False),
        (200, b"success\n", False),
        (201, b"success", False),
        (500, b"success", False),
        (200, b"", False),
    ],
)
def test_only_the_exact_word_ends_the_repeats(status: int, body: bytes, taken: bool) -> None:
    sender = notifications.sender_for("alipay")
    assert sender is not None
    assert sender.accepted(status=status, body=body) is taken
    assert sender.RETRY_SECONDS == (240, 600, 600, 3600, 7200, 21600, 54000)


def test_an_order_without_notify_url_gets_no_notice(shop: Shop) -> None:
    order = books.create_order(
        merchant=shop.merchant,
        product=Product.CREATE,
        out_trade_no="P1",
        amount_fen=1,
        now=datetime(2026, 5, 1, tzinfo=UTC),
        expires_at=datetime(2099, 5, 1, tzinfo=UTC),
    )
    books.pay_order(order=order, payer=DEFAULT_PAYER, now=clock.now())
    assert Notice.objects.filter(kind=NoticeKind.PAID).count() == 0
    assert order.platform == Platform.ALIPAY


def test_form_decoding_keeps_the_first_value_and_the_bytes() -> None:
    fields = signing.raw_params(b"a=1%2B1&b=x+y&a=2&c=%D2%BB&d")
    assert fields == {b"a": b"1+1", b"b": b"x y", b"c": b"\xd2\xbb", b"d": b""}
    with pytest.raises(ValueError, match="too many"):
        signing.raw_params(b"a=1&" * 101)
