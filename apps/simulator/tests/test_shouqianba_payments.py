"""pay, precreate and query: results, states, the payers' codes, the wallets."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from apps.simulator import books, clock, delivery, faults, merchants, paycodes
from apps.simulator.models import Merchant, Order, OrderState, PayCode
from apps.simulator.payers import PAYERS
from apps.simulator.tests.shouqianba_client import Fields, ShouClient

pytestmark = pytest.mark.django_db


def code(wallet: str = "wechatpay", behaviour: str = "pays") -> str:
    """A payer's code, good for a minute."""
    return paycodes.issue(
        wallet=wallet, payer_key="hua", behaviour=behaviour, now=clock.now()
    ).digits


def wait(seconds: float) -> None:
    """Let simulated time pass, and what is due happen."""
    clock.set_clock(advance_seconds=seconds)
    delivery.tick(now=clock.now())


def strings(data: Fields) -> bool:
    """All values are text, but for payment_list and the amounts within it."""
    funds = data.get("payment_list", [])
    return all(isinstance(v, str) for k, v in data.items() if k != "payment_list") and all(
        isinstance(value, str) for one in funds for value in one.values()
    )


def pay_by_code(content: str, payer: str = "demo") -> Order:
    """The payer's wallet pays a dynamic code."""
    order = Order.objects.get(code_content=content)
    return books.pay_order(order=order, payer=PAYERS[payer], now=clock.now())


class TestPrecreate:
    @pytest.mark.parametrize(
        ("payway", "wallet", "form"),
        [
            ("1", "alipay", r"https://qr\.alipay\.com/bax\w+"),
            ("2", "alipay", r"https://qr\.alipay\.com/bax\w+"),
            ("3", "wechatpay", r"weixin://wxpay/bizpayurl\?pr=\w+"),
            ("17", "unionpay", r"https://qr\.95516\.com/00010000/62\d{30}"),
        ],
    )
    def test_a_code_of_the_payways_wallet(
        self, shou: ShouClient, payway: str, wallet: str, form: str
    ) -> None:
        biz = shou.precreate("P1", payway=payway, reflect='{"tips":"1"}')
        assert biz["result_code"] == "PRECREATE_SUCCESS"
        data = biz["data"]
        assert strings(data)
        assert re.fullmatch(form, data["qr_code"])
        assert (data["status"], data["order_status"]) == ("IN_PROG", "CREATED")
        assert (data["payway"], data["sub_payway"]) == (payway, "2")
        assert (data["total_amount"], data["net_amount"]) == ("2500", "2500")
        assert data["reflect"] == '{"tips":"1"}'
        assert re.fullmatch(r"\d{16}", data["sn"])
        assert re.fullmatch(r"\d{13}", data["ctime"])
        assert "trade_no" not in data
        assert Order.objects.get().charging == wallet

    @pytest.mark.parametrize("payway", ["4", "5", "6", "7", "8", "15", "16", "18"])
    def test_payways_that_nobody_here_has(self, shou: ShouClient, payway: str) -> None:
        biz = shou.precreate("P1", payway=payway)
        assert (biz["result_code"], biz["error_code"]) == ("FAIL", "UNEXPECTED_PROVIDER_ERROR")
        assert Order.objects.count() == 0

    def test_a_number_is_used_once(self, shou: ShouClient) -> None:
        shou.precreate("P1")
        for biz in (shou.precreate("P1"), shou.pay("P1", code())):
            assert (biz["result_code"], biz["error_code"]) == ("FAIL", "CLIENT_SN_CONFLICT")
        wait(241)
        assert shou.query("P1")["order_status"] == "PAY_CANCELED"
        assert shou.precreate("P1")["error_code"] == "CLIENT_SN_CONFLICT"
        assert Order.objects.count() == 1

    def test_it_ends_by_itself_after_four_minutes(self, shou: ShouClient) -> None:
        content = shou.precreate("P1")["data"]["qr_code"]
        wait(235)
        assert shou.query("P1")["order_status"] == "CREATED"
        wait(6)
        biz = shou.call("query", client_sn="P1")
        assert (biz["result_code"], biz["error_code"]) == ("SUCCESS", "TRADE_TIMEOUT")
        assert (biz["data"]["status"], biz["data"]["order_status"]) == (
            "FAIL_CANCELED",
            "PAY_CANCELED",
        )
        with pytest.raises(books.NotPayable, match="expired"):
            pay_by_code(content)

    def test_results_that_say_nothing(self, shou: ShouClient) -> None:
        faults.add_fault(key="precreate_error", uses=1)
        biz = shou.precreate("P1")
        assert biz["result_code"] == "PRECREATE_FAIL_ERROR"
        assert "qr_code" not in biz["data"]
        data = shou.query("P1")
        assert (data["order_status"], "qr_code" in data) == ("CREATED", False)
        value = {"result": "PRECREATE_FAIL_IN_PROGRESS"}
        faults.add_fault(key="precreate_error", uses=1, value=value)
        assert shou.precreate("P2")["result_code"] == "PRECREATE_FAIL_IN_PROGRESS"
        faults.add_fault(key="precreate_error", uses=1, value={"result": "PRECREATE_FAIL"})
        biz = shou.precreate("P3")
        assert (biz["result_code"], biz["data"]["order_status"]) == (
            "PRECREATE_FAIL",
            "PAY_CANCELED",
        )
        assert shou.precreate("P3")["error_code"] == "CLIENT_SN_CONFLICT"


class TestQuery:
    def test_a_paid_order(self, shou: ShouClient) -> None:
        made = shou.precreate("P1")["data"]
        pay_by_code(made["qr_code"])
        data = shou.query("P1")
        assert strings(data)
        assert (data["status"], data["order_status"], data["net_amount"]) == (
            "SUCCESS",
            "PAID",
            "2500",
        )
        order = Order.objects.get()
        assert order.paid_at is not None
        assert data["finish_time"] == str(int(order.paid_at.timestamp() * 1000))
        assert data["channel_finish_time"] == f"{data['finish_time'][:10]}000"
        assert data["trade_no"].startswith("42000025")
        assert data["payer_uid"] == PAYERS["demo"].openid(order.merchant.app_id)
        assert data["payment_list"] == [{"type": "WALLET_WEIXIN", "amount_total": "2500"}]
        assert data["client_tsn"] == "P1"
        assert "qr_code" not in data

    def test_by_sn_by_channel_number_and_sn_wins(self, shou: ShouClient) -> None:
        made = shou.precreate("P1")["data"]
        shou.precreate("P2")
        pay_by_code(made["qr_code"])
        trade_no = shou.query("P1")["trade_no"]
        assert shou.call("query", sn=made["sn"])["data"]["client_sn"] == "P1"
        assert shou.call("query", sn=trade_no)["data"]["client_sn"] == "P1"
        assert shou.call("query", sn=made["sn"], client_sn="P2")["data"]["client_sn"] == "P1"
        biz = shou.call("query", sn="7895000000000000", client_sn="P2")
        assert (biz["result_code"], biz["error_code"]) == ("FAIL", "UPAY_ORDER_NOT_EXISTS")
        assert shou.call("query", client_sn="P9")["error_code"] == "UPAY_ORDER_NOT_EXISTS"
        assert shou.envelope("/upay/v2/query", {"terminal_sn": shou.sn})["result_code"] == "400"

    def test_only_the_terminal_that_made_it(self, shou: ShouClient) -> None:
        shou.precreate("P1")
        other = ShouClient(shou.credentials, device="till-2")
        other.activate()
        assert other.call("query", client_sn="P1")["error_code"] == "UPAY_ORDER_NOT_EXISTS"

    def test_another_merchants_order_does_not_exist(self, shou: ShouClient) -> None:
        shou.precreate("P1")
        stranger = merchants.create_merchant(platform="shouqianba", name="二号店", now=clock.now())
        other = ShouClient(merchants.credentials_of(stranger))
        other.activate()
        assert other.call("query", client_sn="P1")["error_code"] == "UPAY_ORDER_NOT_EXISTS"
        assert other.precreate("P1")["result_code"] == "PRECREATE_SUCCESS"


class TestBarcode:
    @pytest.mark.parametrize(
        ("wallet", "payway", "funds"),
        [
            ("wechatpay", "3", "WALLET_WEIXIN"),
            ("alipay", "2", "WALLET_ALIPAY"),
            ("unionpay", "17", "BANKCARD_DEBIT"),
        ],
    )
    def test_the_wallet_is_told_by_the_digits(
        self, shou: ShouClient, wallet: str, payway: str, funds: str
    ) -> None:
        digits = code(wallet)
        biz = shou.pay("P1", digits)
        assert biz["result_code"] == "PAY_SUCCESS"
        data = biz["data"]
        assert (data["payway"], data["sub_payway"], data["order_status"]) == (payway, "1", "PAID")
        assert data["payment_list"][0]["type"] == funds
        assert data == shou.query("P1")
        order = Order.objects.get()
        assert (order.state, order.wallet, order.fee_fen) == ("PAID", wallet, 15)
        assert digits not in json.dumps(order.request)

    def test_a_code_is_used_once_and_a_failed_number_never_again(self, shou: ShouClient) -> None:
        digits = code()
        shou.pay("P1", digits)
        biz = shou.pay("P2", digits)
        assert (biz["result_code"], biz["error_code"]) == ("PAY_FAIL", "INVALID_BARCODE")
        assert (biz["data"]["status"], biz["data"]["order_status"], biz["data"]["net_amount"]) == (
            "FAIL_CANCELED",
            "PAY_CANCELED",
            "2500",
        )
        assert shou.call("query", client_sn="P2")["error_code"] == "INVALID_BARCODE"
        assert shou.pay("P2", code("alipay"))["error_code"] == "CLIENT_SN_CONFLICT"

    def test_codes_that_cannot_be_used(self, shou: ShouClient) -> None:
        digits = code()
        wait(61)
        assert shou.pay("P1", digits)["error_code"] == "EXPIRED_BARCODE"
        biz = shou.pay("P2", "999")
        assert (biz["result_code"], biz["error_code"]) == ("FAIL", "INVALID_BARCODE")
        assert Order.objects.count() == 1
        biz = shou.pay("P3", code("alipay"), payway="3")  # a payway switches the detection off
        assert (biz["result_code"], biz["error_code"]) == ("PAY_FAIL", "INVALID_BARCODE")

    def test_no_money(self, shou: ShouClient) -> None:
        biz = shou.pay("P1", code(behaviour="poor"))
        assert (biz["result_code"], biz["error_code"]) == ("PAY_FAIL", "INSUFFICIENT_FUND")
        assert Order.objects.get().state == OrderState.CLOSED

    def test_a_password_typed_in_time(self, shou: ShouClient) -> None:
        digits = code(behaviour="password")
        biz = shou.pay("P1", digits)
        assert biz["result_code"] == "PAY_IN_PROGRESS"
        assert (biz["data"]["status"], biz["data"]["order_status"]) == ("IN_PROG", "CREATED")
        wait(30)
        paycodes.confirm(digits=digits, now=clock.now())
        assert shou.query("P1")["order_status"] == "PAID"

    def test_a_password_never_typed(self, shou: ShouClient) -> None:
        shou.pay("P1", code(behaviour="password"))
        wait(41)
        biz = shou.call("query", client_sn="P1")
        assert (biz["error_code"], biz["data"]["order_status"]) == ("TRADE_TIMEOUT", "PAY_CANCELED")

    def test_a_password_for_ever(self, shou: ShouClient) -> None:
        faults.add_fault(key="pay_in_progress", uses=1)
        assert shou.pay("P1", code())["result_code"] == "PAY_IN_PROGRESS"
        assert PayCode.objects.get().used_at is not None
        wait(3600)
        assert shou.query("P1")["order_status"] == "CREATED"
        assert shou.cancel("P1")["result_code"] == "CANCEL_ABORT_SUCCESS"
        faults.add_fault(key="pay_in_progress", uses=1, value={"seconds": 5})
        shou.pay("P2", code("alipay"))
        wait(6)
        assert shou.query("P2")["order_status"] == "PAY_CANCELED"

    @pytest.mark.parametrize(("paid", "end"), [(True, "PAID"), (False, "PAY_CANCELED")])
    def test_an_unclear_end(self, shou: ShouClient, paid: bool, end: str) -> None:
        faults.add_fault(key="pay_error", uses=1, value={"paid": paid, "seconds": 60})
        biz = shou.pay("P1", code())
        assert biz["result_code"] == "PAY_FAIL_ERROR"
        data = shou.query("P1")
        assert (data["status"], data["order_status"]) == ("FAIL_ERROR", "PAY_ERROR")
        assert not {"trade_no", "finish_time", "payer_uid"} & set(data)
        assert (Order.objects.get().state == OrderState.PAID) is paid
        assert shou.refund("P1", "R1", "1")["error_code"] == "UPAY_REFUND_INVALID_ORDER_STATE"
        wait(61)
        assert shou.query("P1")["order_status"] == end

    @pytest.mark.parametrize("paid", [True, False])
    def test_an_unclear_end_is_cancelled(self, shou: ShouClient, paid: bool) -> None:
        faults.add_fault(key="pay_error", uses=1, value={"paid": paid, "seconds": None})
        shou.pay("P1", code())
        wait(3600)
        assert shou.query("P1")["order_status"] == "PAY_ERROR"
        assert shou.cancel("P1")["result_code"] == "CANCEL_SUCCESS"
        order = Order.objects.get()
        assert order.amount_fen * paid == order.refunded_fen
        assert shou.query("P1")["order_status"] == ("CANCELED" if paid else "PAY_CANCELED")

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            *[(f"FAIL_PROTOCOL_{one}", "PAY_ERROR") for one in (1, 2, 3)],
            ("FAIL_IO_1", "PAY_ERROR"),
            ("FAIL_IO_2", "PAY_ERROR"),
            ("IN_PROG", "INVALID_STATUS_CODE"),
        ],
    )
    def test_every_documented_status(self, shou: ShouClient, status: str, state: str) -> None:
        value = {"status": status, "order_status": state, "result": "PAY_FAIL_IN_PROGRESS"}
        faults.add_fault(key="pay_error", uses=1, value=value)
        assert shou.pay("P1", code())["result_code"] == "PAY_FAIL_IN_PROGRESS"
        data = shou.query("P1")
        assert (data["status"], data["order_status"]) == (status, state)

    def test_a_refusal_of_any_kind(self, shou: ShouClient) -> None:
        value = {"result": "PAY_FAIL", "error_code": "BUYER_OVER_DAILY_LIMIT"}
        faults.add_fault(key="pay_error", uses=1, value=value)
        biz = shou.pay("P1", code())
        assert (biz["result_code"], biz["error_code"]) == ("PAY_FAIL", "BUYER_OVER_DAILY_LIMIT")
        assert biz["error_message"] == "付款人当日付款金额超过上限"
        assert shou.call("query", client_sn="P1")["error_code"] == "BUYER_OVER_DAILY_LIMIT"


class TestWallets:
    """An aggregator's codes are the wallets' own, and are paid in them."""

    @pytest.mark.parametrize(
        ("payway", "wallet"), [("1", "alipay"), ("3", "wechatpay"), ("17", "unionpay")]
    )
    def test_scanned_and_paid(self, shou: ShouClient, payway: str, wallet: str) -> None:
        made = shou.precreate("P1", payway=payway)["data"]
        phone = Client()
        phone.post("/wallet/payer", {"payer": "hua"})
        gone = phone.post(f"/wallet/{wallet}/scan", {"code": made["qr_code"]})
        assert gone["Location"] == f"/wallet/{wallet}/cashier/{made['sn']}"
        page = phone.get(gone["Location"]).content.decode()
        assert "¥25.00" in page
        assert f"is-{wallet}" in page
        phone.post(gone["Location"], {"action": "pay"})
        data = shou.query("P1")
        assert (data["order_status"], data["payway"]) == ("PAID", payway)
        order = Order.objects.get()
        assert data["payer_uid"] == PAYERS["hua"].id_in(wallet, order.merchant.app_id)
        assert "-¥25.00" in phone.get(f"/wallet/{wallet}/records").content.decode()
        others = {"alipay", "wechatpay", "unionpay"} - {wallet}
        for other in others:
            assert phone.get(f"/wallet/{other}/cashier/{made['sn']}").status_code == 404
            assert "25.00" not in phone.get(f"/wallet/{other}/records").content.decode()

    def test_the_wrong_wallet_says_which_is_right(self, shou: ShouClient) -> None:
        made = shou.precreate("P1", payway="1")["data"]
        page = Client().post("/wallet/wechatpay/scan", {"code": made["qr_code"]})
        assert page.status_code == 400
        assert "支付宝" in page.content.decode()

    def test_a_page_inside_wechat(self, shou: ShouClient, wechat_merchant: Merchant) -> None:
        """sub_payway 3: the openid is of whatever official account the page belongs to."""
        openid = PAYERS["demo"].openid(wechat_merchant.app_id)
        data = shou.precreate("P1", sub_payway="3", payer_uid=openid)["data"]
        assert "qr_code" not in data
        params = json.loads(data["wap_pay_request"])
        phone = Client()

        def ask(step: str, given: Fields) -> Any:
            path = f"/wallet/inapp/wechatpay/{step}"
            return phone.post(path, json.dumps(given), content_type="application/json").json()

        assert not ask("prepare", {**params, "nonceStr": "x"})["ok"]
        assert ask("prepare", params)["amount"] == "25.00"
        phone.post("/wallet/payer", {"payer": "hua"})
        assert not ask("pay", params)["ok"]
        phone.post("/wallet/payer", {"payer": "demo"})
        assert ask("pay", params)["ok"]
        data = shou.query("P1")
        assert (data["order_status"], data["sub_payway"], data["payer_uid"]) == (
            "PAID",
            "3",
            openid,
        )

    def test_a_page_inside_alipay(self, shou: ShouClient) -> None:
        payer = PAYERS["demo"]
        data = shou.precreate("P1", payway="1", sub_payway="3", payer_uid=payer.alipay_id)["data"]
        number = json.loads(data["wap_pay_request"])["trade_no"]
        phone = Client()
        answer = phone.post(
            "/wallet/inapp/alipay/pay",
            json.dumps({"tradeNO": number}),
            content_type="application/json",
        )
        assert answer.json() == {"ok": True}
        assert shou.query("P1")["trade_no"] == number


def test_control_pays_by_number_and_by_code(shou: ShouClient) -> None:
    made = shou.precreate("P1", payway="17")["data"]
    desk = Client()
    body = {"platform": "shouqianba", "code": made["qr_code"], "payer": "mei"}
    paid = desk.post("/control/api/pay", json.dumps(body), content_type="application/json").json()
    assert (paid["state"], paid["wallet"]) == ("PAID", "unionpay")
    shou.precreate("P2")
    names = {
        "platform": "shouqianba",
        "merchant_no": shou.credentials["merchant_no"],
        "out_trade_no": "P2",
    }
    paid = desk.post("/control/api/pay", json.dumps(names), content_type="application/json").json()
    assert (paid["state"], paid["wallet"]) == ("PAID", "wechatpay")


def test_history_is_paid_and_open_to_any_terminal(
    shou: ShouClient, shou_merchant: Merchant
) -> None:
    at = datetime.fromisoformat("2026-05-01T10:00:00+08:00")
    past = {
        "product": "qr",
        "amount_fen": 10000,
        "paid_at": at.isoformat(),
        "payer_id": "x",
    }
    body = {
        "platform": "shouqianba",
        "merchant_no": shou_merchant.merchant_no,
        "payments": [
            {**past, "out_trade_no": "H1", "trade_no": "7895000000000001", "wallet": "alipay"},
            {
                **past,
                "out_trade_no": "H2",
                "trade_no": "7895000000000002",
                "wallet": "unionpay",
                "product": "barcode",
                "terminal_sn": "100199",
            },
        ],
        "refunds": [
            {
                "out_trade_no": "H1",
                "out_refund_no": "R1",
                "refund_no": "X1",
                "amount_fen": 3000,
                "accepted_at": at.isoformat(),
                "finished_at": at.isoformat(),
            }
        ],
    }
    desk = Client()
    path = "/control/api/books/bulk"
    assert desk.post(path, json.dumps(body), content_type="application/json").json() == {
        "payments": 2,
        "refunds": 1,
    }
    data = shou.query("H1")
    assert (data["order_status"], data["net_amount"], data["payway"]) == (
        "PARTIAL_REFUNDED",
        "7000",
        "2",
    )
    assert data["trade_no"].isdigit()
    assert shou.call("query", client_sn="H2")["error_code"] == "UPAY_ORDER_NOT_EXISTS"
    listed = desk.get(
        f"/control/api/books?platform=shouqianba&merchant_no={shou_merchant.merchant_no}"
    ).json()
    assert [one["wallet"] for one in listed["payments"]] == ["alipay", "unionpay"]
    assert listed["totals"]["fee_fen"] == 60 + 60 - 18
