"""The control desk: JSON API and page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.simulator import keys
from apps.simulator.models import Fault, Merchant, Notice, Order, Refund
from apps.simulator.tests.wechat_client import WechatClient


def call(method: str, path: str, body: dict[str, Any] | None = None, **extra: Any) -> Any:
    return Client().generic(
        method,
        f"/control/api/{path}",
        b"" if body is None else json.dumps(body).encode(),
        content_type="application/json",
        **extra,
    )


def test_health(db: None) -> None:
    body = call("GET", "health").json()
    assert body["ok"] is True
    assert datetime.fromisoformat(body["now"]).tzinfo is not None


@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.5", 403), ("", 403)]
)
def test_only_loopback_clients(db: None, address: str, status: int) -> None:
    assert call("GET", "merchants", REMOTE_ADDR=address).status_code == status
    assert Client(REMOTE_ADDR=address).get("/control/").status_code == status


def test_other_sites_pages_are_kept_out(db: None) -> None:
    answer = call("POST", "faults", {"key": "notify_off"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert Fault.objects.count() == 0


def test_a_wechat_merchant_gets_its_credentials(db: None) -> None:
    body = call("POST", "merchants", {"platform": "wechatpay", "name": "一号店"}).json()
    assert len(body["merchant_no"]) == 10
    assert body["merchant_no"].isdigit()
    assert body["app_id"].startswith("wx")
    assert (len(body["serial_no"]), len(body["api_v3_key"])) == (40, 32)
    assert body["public_key_id"].startswith("PUB_KEY_ID_")
    assert body["private_key"].startswith("-----BEGIN PRIVATE KEY-----")
    signature = keys.rsa_sign(Merchant.objects.get().config["platform_private_key"], b"x")
    assert keys.rsa_verify(body["public_key"], b"x", signature)
    assert "platform_private_key" not in body
    assert call("GET", "merchants").json() == {"merchants": [body]}


def test_an_alipay_merchant_gets_its_credentials(db: None) -> None:
    body = call("POST", "merchants", {"platform": "alipay", "name": "x", "rate_ppm": 3800}).json()
    assert body["merchant_no"].startswith("2088")
    assert (len(body["merchant_no"]), len(body["app_id"]), body["rate_ppm"]) == (16, 16, 3800)
    signature = keys.rsa_sign(Merchant.objects.get().config["platform_private_key"], b"x")
    assert keys.rsa_verify(body["alipay_public_key"], b"x", signature)


@pytest.mark.parametrize(
    "body", [{"platform": "unionpay"}, {"platform": "wechatpay", "key_mode": "x"}, {}]
)
def test_bad_merchants(db: None, body: dict[str, Any]) -> None:
    assert call("POST", "merchants", body).status_code == 400
    assert Merchant.objects.count() == 0


class TestPaying:
    def test_by_code_and_by_number(self, wechat: WechatClient) -> None:
        code = wechat.native("P00001")
        body = call("POST", "pay", {"platform": "wechatpay", "code": code}).json()
        assert (body["state"], body["amount_fen"], body["fee_fen"]) == ("PAID", 2500, 15)
        wechat.native("P00002")
        names = {
            "platform": "wechatpay",
            "merchant_no": wechat.merchant.merchant_no,
            "out_trade_no": "P00002",
        }
        assert call("POST", "cancel", names).json()["state"] == "WAITING"
        assert call("POST", "pay", {**names, "payer": "hua"}).json()["state"] == "PAID"

    def test_refusals(self, wechat: WechatClient) -> None:
        code = wechat.native("P00001")
        pay = {"platform": "wechatpay", "code": code}
        assert call("POST", "pay", {**pay, "code": "nonsense"}).status_code == 404
        assert call("POST", "pay", {**pay, "payer": "nobody"}).status_code == 400
        assert call("POST", "pay", {**pay, "payer": "poor"}).json() == {"error": "balance"}
        assert call("POST", "pay", pay).status_code == 200
        again = call("POST", "pay", pay)
        assert (again.status_code, again.json()) == (409, {"error": "paid"})
        assert call("GET", "pay").status_code == 405


class TestBooks:
    def test_books_after_a_payment_and_a_refund(self, wechat: WechatClient) -> None:
        code = wechat.native("P00001")
        call("POST", "pay", {"platform": "wechatpay", "code": code})
        wechat.refund("P00001", "R1", 1000)
        query = f"books?platform=wechatpay&merchant_no={wechat.merchant.merchant_no}"
        body = call("GET", query).json()
        assert body["totals"] == {
            "paid_count": 1,
            "paid_fen": 2500,
            "refunded_count": 1,
            "refunded_fen": 1000,
            "fee_fen": 9,
        }
        assert set(body["payments"][0]) == {
            "out_trade_no",
            "trade_no",
            "product",
            "amount_fen",
            "fee_fen",
            "state",
            "paid_at",
            "refunded_fen",
        }
        assert body["payments"][0]["refunded_fen"] == 1000
        assert set(body["refunds"][0]) == {
            "out_trade_no",
            "out_refund_no",
            "refund_no",
            "amount_fen",
            "fee_fen",
            "state",
            "accepted_at",
            "finished_at",
        }
        empty = call("GET", f"{query}&date=2020-01-01").json()
        assert (empty["payments"], empty["totals"]["paid_count"]) == ([], 0)
        assert call("GET", f"{query}&date=x").status_code == 400
        assert call("GET", "books?platform=wechatpay&merchant_no=1").status_code == 404

    def test_bulk(self, wechat_merchant: Merchant) -> None:
        start = datetime(2026, 5, 1, tzinfo=UTC)
        payments = [
            {
                "out_trade_no": f"P{number:06d}",
                "trade_no": f"T{number}",
                "product": "jsapi",
                "amount_fen": 100 + number,
                "paid_at": (start + timedelta(minutes=number)).isoformat(),
            }
            for number in range(3000)
        ]
        refunds = [
            {
                "out_trade_no": f"P{number:06d}",
                "out_refund_no": f"R{number}",
                "refund_no": f"F{number}",
                "amount_fen": 50,
                "accepted_at": start.isoformat(),
                "finished_at": start.isoformat(),
            }
            for number in range(100)
        ]
        body = {
            "platform": "wechatpay",
            "merchant_no": wechat_merchant.merchant_no,
            "payments": payments,
            "refunds": refunds,
        }
        assert call("POST", "books/bulk", body).json() == {"payments": 3000, "refunds": 100}
        assert (Order.objects.count(), Refund.objects.count(), Notice.objects.count()) == (
            3000,
            100,
            0,
        )
        assert call("POST", "books/bulk", body).status_code == 400
        assert Order.objects.count() == 3000
        late = {
            **body,
            "payments": [],
            "refunds": [{**refunds[0], "out_refund_no": "R", "refund_no": "F"}],
        }
        assert call("POST", "books/bulk", late).json() == {"payments": 0, "refunds": 1}

    @pytest.mark.parametrize(
        "change",
        [
            {"amount_fen": 0},
            {"amount_fen": "1"},
            {"paid_at": "2026-05-01T00:00:00"},
            {"paid_at": "x"},
            {"trade_no": None, "amount_fen": 1.5},
        ],
    )
    def test_bad_bulk(self, wechat_merchant: Merchant, change: dict[str, Any]) -> None:
        payment = {
            "out_trade_no": "P1",
            "trade_no": "T1",
            "product": "jsapi",
            "amount_fen": 1,
            "paid_at": "2026-05-01T00:00:00+00:00",
            **change,
        }
        body = {
            "platform": "wechatpay",
            "merchant_no": wechat_merchant.merchant_no,
            "payments": [payment],
        }
        assert call("POST", "books/bulk", body).status_code == 400
        assert Order.objects.count() == 0


def test_faults_come_and_go(db: None) -> None:
    made = call("POST", "faults", {"key": "slow", "value": {"seconds": 9}, "uses": 2}).json()
    assert made == {
        "id": made["id"],
        "key": "slow",
        "platform": "",
        "value": {"seconds": 9},
        "uses": 2,
    }
    call("POST", "faults", {"key": "notify_off", "platform": "wechatpay"})
    listed = call("GET", "faults").json()
    assert [fault["key"] for fault in listed["faults"]] == ["slow", "notify_off"]
    assert "bill_off_by_fen" in listed["keys"]
    assert call("POST", "faults", {"key": "nonsense"}).status_code == 400
    assert call("POST", "faults", {"key": "slow", "uses": 0}).status_code == 400
    assert call("DELETE", f"faults?id={made['id']}").json() == {"removed": 1}
    assert call("DELETE", "faults", {"key": "notify_off"}).json() == {"removed": 1}
    assert Fault.objects.count() == 0


def test_the_clock(db: None) -> None:
    assert call("GET", "clock").json()["factor"] == 1.0
    body = call("POST", "clock", {"advance_seconds": 3600}).json()
    assert body["offset_seconds"] == pytest.approx(3600, abs=1)
    body = call("POST", "clock", {"advance_seconds": 60, "factor": 10}).json()
    assert body["offset_seconds"] == pytest.approx(3660, abs=5)
    assert body["factor"] == 10
    body = call("POST", "clock", {"offset_seconds": 0, "factor": 1}).json()
    assert body["offset_seconds"] == pytest.approx(0, abs=1)
    assert call("POST", "clock", {"factor": -1}).status_code == 400
    assert call("POST", "clock", {"factor": "x"}).status_code == 400


def test_notices_are_listed_and_flushed(wechat: WechatClient) -> None:
    code = wechat.native("P00001")
    call("POST", "pay", {"platform": "wechatpay", "code": code})
    assert call("POST", "notices/flush").json() == {"attempts": 1}
    (notice,) = call("GET", "notices?out_trade_no=P00001").json()["notices"]
    assert (notice["kind"], notice["state"], notice["attempts"]) == ("PAID", "PENDING", 1)
    assert len(notice["history"]) == 1
    assert call("GET", "notices?out_trade_no=P2").json() == {"notices": []}


def test_the_page_shows_everything_and_its_forms_work(wechat: WechatClient) -> None:
    code = wechat.native("P00001")
    call("POST", "pay", {"platform": "wechatpay", "code": code})
    wechat.refund("P00001", "R00001", 1000)
    browser = Client()
    browser.post("/control/faults/add", {"key": "slow", "seconds": "0", "uses": "3"})
    fault = Fault.objects.get()
    assert (fault.key, fault.remaining, fault.value) == ("slow", 3, {"seconds": 0.0})
    page = browser.get("/control/").content.decode()
    for text in (
        "SIMULATOR",
        "模拟器",
        "P00001",
        "R00001",
        "¥25.00",
        "slow",
        wechat.config["api_v3_key"],
    ):
        assert text in page
    assert wechat.config["platform_private_key"] not in page
    for forbidden in ("<script", "style=", " onclick"):
        assert forbidden not in page
    browser.post("/control/faults/remove", {"id": str(fault.pk)})
    browser.post("/control/clock", {"advance_seconds": "60"})
    browser.post("/control/notices/flush")
    browser.post("/control/merchants/add", {"platform": "alipay", "name": "二号店"})
    assert Fault.objects.count() == 0
    assert Notice.objects.get(kind="PAID").attempts == 1
    assert Merchant.objects.filter(platform="alipay", name="二号店").count() == 1
    assert Client().get("/").headers["Location"] == "/control/"
