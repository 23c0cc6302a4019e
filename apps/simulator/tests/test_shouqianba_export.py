"""The console: its page, and the export of a day."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client

from apps.simulator import books, clock, faults
from apps.simulator.models import ActivationCode, Merchant, Order
from apps.simulator.payers import PAYERS
from apps.simulator.tests.shouqianba_client import ShouClient
from apps.simulator.tests.test_shouqianba_payments import wait

pytestmark = pytest.mark.django_db
HEADER = (
    "交易时间,收钱吧订单号,商户订单号,支付渠道订单号,交易类型,支付方式,订单金额(元),实收金额(元),"
    "手续费(元),终端号,门店号,状态"
)


def paid(shou: ShouClient, number: str, payway: str, amount: str) -> None:
    """One paid order."""
    shou.precreate(number, payway=payway, amount=amount)
    order = Order.objects.get(out_trade_no=number)
    books.pay_order(order=order, payer=PAYERS["demo"], now=clock.now())


def asked(shou: ShouClient, day: date | None = None) -> Any:
    """The answer of the control API."""
    wanted = day or clock.beijing_date(clock.now())
    number = shou.credentials["merchant_no"]
    return Client().get(f"/control/api/shouqianba-export?merchant_no={number}&date={wanted}")


def rows(content: bytes) -> list[dict[str, str]]:
    """The rows by their headers."""
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_a_day(shou: ShouClient) -> None:
    paid(shou, "P1", "1", "10000")
    wait(60)
    paid(shou, "P2", "3", "2550")
    shou.precreate("P3")
    wait(60)
    shou.refund("P1", "R1", "3000")
    wait(60)
    paid(shou, "P4", "17", "100")
    shou.cancel("P4")
    response = asked(shou)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    name = unquote(response.headers["Content-Disposition"])
    assert f"{shou.credentials['merchant_no']}_{clock.beijing_date(clock.now()):%Y%m%d}.csv" in name
    assert response.content.decode("utf-8-sig").split("\r\n")[0] == HEADER
    table = rows(response.content)
    assert [
        (
            r["商户订单号"],
            r["交易类型"],
            r["支付方式"],
            r["订单金额(元)"],
            r["实收金额(元)"],
            r["手续费(元)"],
        )
        for r in table
    ] == [
        ("P1", "收款", "支付宝", "100.00", "99.40", "0.60"),
        ("P2", "收款", "微信", "25.50", "25.35", "0.15"),
        ("P1", "退款", "支付宝", "-30.00", "-29.82", "-0.18"),
        ("P4", "收款", "银联二维码", "1.00", "0.99", "0.01"),
        ("P4", "退款", "银联二维码", "-1.00", "-0.99", "-0.01"),
    ]
    data = shou.query("P1")
    assert (table[0]["收钱吧订单号"], table[0]["支付渠道订单号"]) == (data["sn"], data["trade_no"])
    assert {r["终端号"] for r in table} == {shou.sn}
    assert {r["状态"] for r in table} == {"成功"}
    moment = clock.beijing_text(Order.objects.get(out_trade_no="P1").paid_at or clock.now())
    assert table[0]["交易时间"] == moment


def test_days_and_merchants(shou: ShouClient) -> None:
    paid(shou, "P1", "1", "100")
    today = clock.beijing_date(clock.now())
    wait(86400)
    shou.check_in()
    shou.refund("P1", "R1", "40")
    assert [r["交易类型"] for r in rows(asked(shou, today).content)] == ["收款"]
    assert [r["交易类型"] for r in rows(asked(shou).content)] == ["退款"]
    assert rows(asked(shou, today - timedelta(days=5)).content) == []
    assert asked(shou, today + timedelta(days=2)).status_code == 409
    shou.credentials = {**shou.credentials, "merchant_no": "1"}
    assert asked(shou).status_code == 404
    assert Client().get("/control/api/shouqianba-export?merchant_no=1").status_code == 404
    assert Client().post("/control/api/shouqianba-export").status_code == 405


def test_a_refund_counts_when_it_is_done(shou: ShouClient) -> None:
    paid(shou, "P1", "1", "100")
    faults.add_fault(key="refund_slow", uses=1, value={"seconds": 86400})
    shou.refund("P1", "R1", "40")
    assert [r["交易类型"] for r in rows(asked(shou).content)] == ["收款"]
    wait(86401)
    assert [r["交易类型"] for r in rows(asked(shou).content)] == ["退款"]


class TestFaults:
    def test_late(self, shou: ShouClient) -> None:
        faults.add_fault(key="bill_late", uses=1)
        assert asked(shou).status_code == 409
        assert asked(shou).status_code == 200

    def test_rows_and_amounts(self, shou: ShouClient) -> None:
        paid(shou, "P1", "1", "10000")
        paid(shou, "P2", "3", "100")
        faults.add_fault(key="bill_off_by_fen", uses=1)
        assert rows(asked(shou).content)[0]["订单金额(元)"] == "100.01"
        faults.add_fault(key="bill_missing_row", uses=1)
        assert [r["商户订单号"] for r in rows(asked(shou).content)] == ["P2"]
        faults.add_fault(key="bill_extra_row", uses=1)
        assert len(rows(asked(shou).content)) == 3
        assert len(rows(asked(shou).content)) == 2

    def test_columns(self, shou: ShouClient) -> None:
        paid(shou, "P1", "1", "10000")
        faults.add_fault(key="bill_changed_columns", uses=1)
        content = asked(shou).content
        assert content.decode("utf-8-sig").startswith("门店名称,状态,")
        assert rows(content)[0]["订单金额(元)"] == "100.00"


def test_the_console_page(shou: ShouClient, shou_merchant: Merchant) -> None:
    page = Client().get("/control/shouqianba/").content.decode()
    assert shou.sn in page
    assert shou.key not in page
    assert "style=" not in page
    Client().post("/control/shouqianba/codes/add", {"merchant_no": shou_merchant.merchant_no})
    assert ActivationCode.objects.count() == 2
    today = clock.beijing_date(clock.now())
    query = f"?merchant_no={shou_merchant.merchant_no}&date={today}"
    assert Client().get(f"/control/shouqianba/{query}").content.startswith(b"\xef\xbb\xbf")
    later = Client().get(f"/control/shouqianba/?merchant_no=1&date={today}")
    assert (later.status_code, "no such merchant" in later.content.decode()) == (409, True)


def test_codes_and_credentials_by_the_control_api(shou_merchant: Merchant) -> None:
    desk = Client()
    path = "/control/api/activation-codes"
    body = {"merchant_no": shou_merchant.merchant_no, "uses": 3}
    made = desk.post(path, body, content_type="application/json").json()
    assert ActivationCode.objects.get(code=made["code"]).uses_left == 3
    assert desk.post(path, {"merchant_no": "1"}, content_type="application/json").status_code == 404
    bad = {**body, "uses": 0}
    assert desk.post(path, bad, content_type="application/json").status_code == 400
    (shown,) = desk.get("/control/api/merchants?platform=shouqianba").json()["merchants"]
    assert set(shown) == {
        "platform",
        "merchant_no",
        "app_id",
        "name",
        "rate_ppm",
        "vendor_sn",
        "vendor_key",
        "public_key",
        "activation_code",
    }
    assert shown["activation_code"] == made["code"]
    new = desk.post(
        "/control/api/merchants", {"platform": "shouqianba"}, content_type="application/json"
    ).json()
    assert ShouClient(new).activate()["result_code"] == "200"
