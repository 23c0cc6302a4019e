"""WeChat Pay at the till: the payer's code, what comes of it, and undoing it."""

from __future__ import annotations

from typing import Any

import pytest

from apps.simulator import books, clock, delivery, faults, paycodes
from apps.simulator.models import Notice, Order, OrderState, PayCode, Refund
from apps.simulator.payers import PAYERS
from apps.simulator.tests.test_wechat_api import refused
from apps.simulator.tests.wechat_client import WechatClient
from apps.simulator.wechatpay import bill_files

NUMBER = "P00001"
PATH = "/v3/pay/transactions/codepay"


def code(behaviour: str = "pays", payer: str = "hua") -> str:
    return paycodes.issue(
        wallet="wechatpay", now=clock.now(), behaviour=behaviour, payer_key=payer
    ).digits


def body(wechat: WechatClient, digits: str, number: str = NUMBER, **more: Any) -> dict[str, Any]:
    order = wechat.order(number)
    del order["notify_url"]
    return {
        **order,
        "payer": {"auth_code": digits},
        "scene_info": {"device_id": "T1", "store_info": {"out_id": "S1"}},
        **more,
    }


def reverse(wechat: WechatClient, number: str = NUMBER) -> Any:
    merchant = wechat.merchant
    return wechat.post(
        f"/v3/pay/transactions/out-trade-no/{number}/reverse",
        {"appid": merchant.app_id, "mchid": merchant.merchant_no},
    )


class TestPaying:
    def test_at_once(self, wechat: WechatClient) -> None:
        digits = code()
        answer = wechat.post(PATH, body(wechat, digits, attach="till=1"))
        wechat.verify(answer.headers, answer.content)
        told = answer.json()
        assert told == wechat.state(NUMBER)
        assert (told["trade_state"], told["trade_type"]) == ("SUCCESS", "MICROPAY")
        assert told["payer"] == {"openid": PAYERS["hua"].openid(wechat.merchant.app_id)}
        assert told["amount"]["payer_total"] == 2500
        assert told["scene_info"] == {"device_id": "T1"}
        order = Order.objects.get()
        assert told["transaction_id"] == order.trade_no
        assert digits not in str(order.request)
        assert Notice.objects.count() == 0

    def test_with_a_password(self, wechat: WechatClient) -> None:
        digits = code("password")
        answer = wechat.post(PATH, body(wechat, digits))
        assert (answer.status_code, answer.json()) == (200, {"trade_state": "USERPAYING"})
        again = wechat.post(PATH, body(wechat, digits))
        assert again.json() == {"trade_state": "USERPAYING"}
        assert wechat.state(NUMBER)["trade_state"] == "USERPAYING"
        paycodes.confirm(digits=digits, now=clock.now())
        assert wechat.state(NUMBER)["trade_state"] == "SUCCESS"
        refused(wechat.post(PATH, body(wechat, digits)), 400, "INVALID_REQUEST")
        assert Notice.objects.count() == 0

    def test_a_password_that_never_comes(self, wechat: WechatClient) -> None:
        digits = code("password")
        wechat.post(PATH, body(wechat, digits))
        clock.set_clock(advance_seconds=61)
        assert wechat.state(NUMBER)["trade_state"] == "PAYERROR"
        with pytest.raises(paycodes.NothingToConfirm, match="over"):
            paycodes.confirm(digits=digits, now=clock.now())
        refused(wechat.post(PATH, body(wechat, code())), 400, "ORDER_CLOSED")

    @pytest.mark.parametrize(("behaviour", "payer"), [("poor", "hua"), ("pays", "poor")])
    def test_without_money(self, wechat: WechatClient, behaviour: str, payer: str) -> None:
        answer = wechat.post(PATH, body(wechat, code(behaviour, payer)))
        assert (answer.status_code, answer.json()["trade_state"]) == (200, "PAYERROR")
        assert "transaction_id" not in wechat.state(NUMBER)
        assert Order.objects.get().state == OrderState.CLOSED

    def test_codes_that_cannot_be_taken_leave_no_order(self, wechat: WechatClient) -> None:
        used = code()
        wechat.post(PATH, body(wechat, used, "P00000"))
        refused(wechat.post(PATH, body(wechat, used)), 400, "AUTH_CODE_INVALID")
        refused(wechat.post(PATH, body(wechat, "1" + "0" * 17)), 400, "AUTH_CODE_INVALID")
        old = code()
        clock.set_clock(advance_seconds=61)
        refused(wechat.post(PATH, body(wechat, old)), 400, "AUTH_CODE_INVALID")
        refused(wechat.post(PATH, body(wechat, "28" + "0" * 16)), 400, "PARAM_ERROR")
        assert Order.objects.count() == 1
        assert PayCode.objects.get(digits=old).used_at is None
        path = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={wechat.merchant.merchant_no}"
        refused(wechat.get(path), 404, "ORDER_NOT_EXIST")

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"notify_url": "https://shop.example/n"}, "/notify_url"),
            ({"payer": {"openid": "x"}}, "/payer/openid"),
            ({"scene_info": {"store_info": {}}}, "/scene_info/store_info/id"),
            ({"scene_info": {"device_id": "T1"}}, "/scene_info/store_info"),
            ({"mchid": "1900000109"}, "/mchid"),
        ],
    )
    def test_bad_parameters(self, wechat: WechatClient, change: dict[str, Any], field: str) -> None:
        told = refused(wechat.post(PATH, body(wechat, code(), **change)), 400, "PARAM_ERROR")
        assert told["detail"]["field"] == field
        assert Order.objects.count() == 0

    def test_a_number_with_other_facts(self, wechat: WechatClient) -> None:
        wechat.post(PATH, body(wechat, code("password")))
        other = body(wechat, code(), description="另一单")
        refused(wechat.post(PATH, other), 403, "OUT_TRADE_NO_USED")
        wechat.native("P00002")
        refused(wechat.post(PATH, body(wechat, code(), "P00002")), 403, "OUT_TRADE_NO_USED")


class TestReversing:
    def test_nothing_was_paid(self, wechat: WechatClient) -> None:
        digits = code("password")
        wechat.post(PATH, body(wechat, digits))
        for _ in range(2):
            answer = reverse(wechat)
            wechat.verify(answer.headers, answer.content)
            assert answer.json() == {
                "appid": wechat.merchant.app_id,
                "mchid": wechat.merchant.merchant_no,
                "out_trade_no": NUMBER,
            }
        assert wechat.state(NUMBER)["trade_state"] == "REVOKED"
        with pytest.raises(paycodes.NothingToConfirm, match="over"):
            paycodes.confirm(digits=digits, now=clock.now())
        assert Refund.objects.count() == 0

    @pytest.mark.parametrize("behaviour", ["poor", "password"])
    def test_what_failed(self, wechat: WechatClient, behaviour: str) -> None:
        wechat.post(PATH, body(wechat, code(behaviour)))
        clock.set_clock(advance_seconds=61)
        assert wechat.state(NUMBER)["trade_state"] == "PAYERROR"
        assert reverse(wechat).status_code == 200
        assert wechat.state(NUMBER)["trade_state"] == "REVOKED"

    def test_a_paid_one_goes_back_whole(self, wechat: WechatClient) -> None:
        faults.add_fault(key="lost_after_commit", platform="wechatpay", uses=1)
        assert wechat.post(PATH, body(wechat, code())).status_code == 504
        assert wechat.state(NUMBER)["trade_state"] == "SUCCESS"
        assert [reverse(wechat).status_code for _ in range(2)] == [200, 200]
        told = wechat.state(NUMBER)
        assert (told["trade_state"], "transaction_id" in told) == ("REVOKED", True)
        refund = Refund.objects.get()
        assert (refund.amount_fen, refund.fee_fen, refund.state) == (2500, 15, "SUCCESS")
        totals = books.totals_of(wechat.merchant)
        assert (totals.paid_fen, totals.refunded_fen, totals.fee_fen) == (2500, 2500, 0)
        refused(wechat.refund(NUMBER, "R00001", 1), 400, "INVALID_REQUEST")
        assert Notice.objects.count() == 0

    def test_not_after_a_refund(self, wechat: WechatClient) -> None:
        wechat.post(PATH, body(wechat, code()))
        wechat.refund(NUMBER, "R00001", 1)
        refused(reverse(wechat), 400, "INVALID_REQUEST")
        assert wechat.state(NUMBER)["trade_state"] == "REFUND"

    def test_only_barcode_orders_and_not_for_ever(self, wechat: WechatClient) -> None:
        refused(reverse(wechat), 404, "ORDER_NOT_EXIST")
        wechat.native("P00002")
        refused(reverse(wechat, "P00002"), 400, "INVALID_REQUEST")
        wechat.post(PATH, body(wechat, code()))
        clock.set_clock(advance_seconds=8 * 86400)
        refused(reverse(wechat), 400, "INVALID_REQUEST")
        assert wechat.state(NUMBER)["trade_state"] == "SUCCESS"

    def test_closing_is_not_for_barcode_orders(self, wechat: WechatClient) -> None:
        wechat.post(PATH, body(wechat, code("password")))
        answer = wechat.post(
            f"/v3/pay/transactions/out-trade-no/{NUMBER}/close",
            {"mchid": wechat.merchant.merchant_no},
        )
        refused(answer, 400, "INVALID_REQUEST")
        assert wechat.state(NUMBER)["trade_state"] == "USERPAYING"

    def test_in_the_bills(self, wechat: WechatClient) -> None:
        wechat.post(PATH, body(wechat, code()))
        reverse(wechat)
        delivery.tick(now=clock.now())
        day = clock.beijing_date(clock.now())
        trade = bill_files.trade_bill(wechat.merchant, day, "ALL")
        assert trade is not None
        head, paid, back, *_ = [
            line.split(",`") for line in trade.decode("utf-8-sig").split("\r\n")
        ]
        names = head[0].split(",")
        row = dict(zip(names, back, strict=True))
        assert dict(zip(names, paid, strict=True))["交易状态"] == "SUCCESS"
        assert (row["交易状态"], row["微信退款单号"], row["商户退款单号"]) == ("REVOKED", "0", "0")
        assert (row["退款金额"], row["申请退款金额"], row["手续费"]) == (
            "25.00",
            "25.00",
            "-0.15000",
        )
        fund = bill_files.fund_bill(wechat.merchant, day, "BASIC")
        assert fund is not None
        lines = fund.decode("utf-8-sig").split("\r\n")
        assert [line.split(",`")[6] for line in lines[1:4]] == ["25.00", "0.15", "24.85"]
        assert lines[3].endswith(f",`{NUMBER}")
