"""The control desk: JSON API and page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.simulator import books, keys
from apps.simulator.models import Fault, Merchant, Notice, Order, Refund
from apps.simulator.tests.unionpay_client import UnionClient
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


def test_a_unionpay_merchant_its_history_and_a_payment(db: None) -> None:
    body = call("POST", "merchants", {"platform": "unionpay", "name": "x", "rate_ppm": 3800}).json()
    assert set(body) == {
        *("platform", "merchant_no", "app_id", "name", "rate_ppm", "certificate"),
        *("certificate_password", "root_certificate", "middle_certificate"),
    }
    named = {"platform": "unionpay", "merchant_no": body["merchant_no"]}
    past = {
        "out_trade_no": "P2026000001",
        "trade_no": "512209110416475616528",
        "product": "barcode",
        "amount_fen": 10000,
        "paid_at": "2026-05-01T10:00:00+08:00",
    }
    back = {
        "out_trade_no": "P2026000001",
        "out_refund_no": "R2026000001",
        "refund_no": "512209110416475616529",
        "amount_fen": 4000,
        "accepted_at": "2026-05-01T11:00:00+08:00",
        "finished_at": "2026-05-01T11:00:05+08:00",
    }
    made = call("POST", "books/bulk", {**named, "payments": [past], "refunds": [back]}).json()
    assert made == {"payments": 1, "refunds": 1}
    UnionClient(body).apply_qr("P2026000002", 1234)
    paid = call("POST", "pay", {**named, "out_trade_no": "P2026000002", "payer": "hua"}).json()
    assert (paid["state"], paid["payer_id"]) == ("PAID", "621626*********2222")
    query = f"platform=unionpay&merchant_no={body['merchant_no']}"
    assert call("GET", f"books?{query}&date=2026-05-01").json()["totals"] == {
        "paid_count": 1,
        "paid_fen": 10000,
        "refunded_count": 1,
        "refunded_fen": 4000,
        "fee_fen": 38 - 15,
    }
    assert len(call("GET", f"books?{query}").json()["payments"]) == 2
    page = Client().get("/control/").content.decode()
    assert body["certificate_password"] in page


@pytest.mark.parametrize(
    "body", [{"platform": "paypal"}, {"platform": "wechatpay", "key_mode": "x"}, {}]
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

    def test_many_at_once(self, wechat: WechatClient) -> None:
        for number in ("P00001", "P00002", "P00003"):
            wechat.native(number)
        named = {"platform": "wechatpay", "merchant_no": wechat.merchant.merchant_no}
        call("POST", "pay", {**named, "out_trade_no": "P00002"})
        orders = [
            {"out_trade_no": "P00001"},
            {"out_trade_no": "P00002"},
            {"out_trade_no": "P00003", "payer": "hua"},
            {"out_trade_no": "P00004"},
            {"out_trade_no": "P00003", "payer": "nobody"},
        ]
        body = call("POST", "pay", {**named, "payer": "mei", "orders": orders}).json()
        assert body["paid"] == 2
        assert [(one["out_trade_no"], one["error"][:4]) for one in body["refused"]] == [
            *(("P00002", "paid"), ("P00004", "no s"), ("P00003", "paye")),
        ]
        paid = {order.out_trade_no: order.payer_login for order in Order.objects.all()}
        assert paid["P00001"].startswith("**美")
        assert paid["P00003"].startswith("**华")
        assert call("POST", "pay", {**named, "orders": "P00001"}).status_code == 400

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
            "wallet",
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

    def test_books_cost_as_many_queries_however_long_they_are(
        self, wechat_merchant: Merchant, django_assert_max_num_queries: Any
    ) -> None:
        at = datetime(2026, 5, 1, 4, tzinfo=UTC)
        past = [
            books.PastPayment(
                out_trade_no=f"P{number:08d}",
                trade_no=f"4200{number:024d}",
                product="native",
                amount_fen=100,
                paid_at=at,
            )
            for number in range(3000)
        ]
        back = [
            books.PastRefund(
                out_trade_no=one.out_trade_no,
                out_refund_no=f"R{one.out_trade_no}",
                refund_no=f"5030{one.out_trade_no}",
                amount_fen=100,
                accepted_at=at,
                finished_at=at,
            )
            for one in past
        ]
        books.add_history(merchant=wechat_merchant, payments=past, refunds=back)
        query = f"platform=wechatpay&merchant_no={wechat_merchant.merchant_no}"
        with django_assert_max_num_queries(20):
            body = call("GET", f"books?{query}").json()
        assert (len(body["payments"]), len(body["refunds"])) == (3000, 3000)
        assert {one["refunded_fen"] for one in body["payments"]} == {100}

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


class TestThePages:
    """The same desk for people."""

    @pytest.fixture
    def browser(self, wechat: WechatClient) -> Client:
        """A person's browser, after a payment with a refund and an order that nobody has paid."""
        code = wechat.native("P00001")
        call("POST", "pay", {"platform": "wechatpay", "code": code})
        wechat.refund("P00001", "R00001", 1000)
        wechat.native("P00002")
        return Client()

    def test_merchants_and_their_credentials(self, browser: Client, wechat: WechatClient) -> None:
        page = browser.get("/control/").content.decode()
        for text in ("SIMULATOR", "模拟器", "¥25.00", wechat.config["api_v3_key"], "data-copy="):
            assert text in page
        assert wechat.config["platform_private_key"] not in page
        browser.post(
            "/control/merchants/add",
            {"platform": "alipay", "name": "二号店", "key_mode": "certificate"},
        )
        made = Merchant.objects.get(platform="alipay", name="二号店")
        before = made.config["alipay_certificate"]
        browser.post("/control/merchants/renew", {"id": str(made.pk)})
        made.refresh_from_db()
        assert made.config["alipay_certificate"] != before
        assert browser.get("/").headers["Location"] == "/control/"

    @pytest.mark.parametrize("page", ["", "books/", "faults/", "notices/"])
    def test_no_script_or_style_in_a_page(self, browser: Client, page: str) -> None:
        text = browser.get(f"/control/{page}").content.decode()
        assert "SIMULATOR" in text
        assert "<script>" not in text
        for forbidden in ("style=", " onclick", "<style"):
            assert forbidden not in text

    @pytest.mark.parametrize(
        ("query", "shown"),
        [
            ("", {"P00001", "P00002"}),
            ("state=WAITING", {"P00002"}),
            ("number=R00001", {"P00001"}),
            ("number=0002&platform=wechatpay", {"P00002"}),
            ("platform=alipay", set()),
            ("merchant_no=1", set()),
            ("day=2020-01-01", set()),
            ("day=none&state=none&page=x", {"P00001", "P00002"}),
        ],
    )
    def test_the_books_are_filtered(self, browser: Client, query: str, shown: set[str]) -> None:
        page = browser.get(f"/control/books/?{query}").content.decode()
        assert {no for no in ("P00001", "P00002") if f">{no}<" in page} == shown

    def test_an_order_is_paid_from_the_books(self, browser: Client) -> None:
        order = Order.objects.get(out_trade_no="P00002")
        pressed = {"order": str(order.pk), "back": "state=WAITING&page=1"}
        answer = browser.post("/control/books/pay", pressed)
        assert answer.headers["Location"] == "/control/books/?state=WAITING&page=1"
        order.refresh_from_db()
        assert order.state == "PAID"
        again = browser.post("/control/books/pay", pressed, follow=True)
        assert "没有付成" in again.content.decode()

    def test_a_fault_is_a_switch(self, browser: Client) -> None:
        browser.post("/control/faults/add", {"key": "slow", "platform": "wechatpay"})
        fault = Fault.objects.get()
        assert (fault.key, fault.platform, fault.value, fault.remaining) == (
            *("slow", "wechatpay"),
            *({"seconds": 3}, None),
        )
        page = browser.get("/control/faults/?platform=wechatpay").content.decode()
        assert page.count('aria-checked="true"') == 1
        assert "过 3 秒才应答" in page
        assert 'aria-checked="true"' not in browser.get("/control/faults/").content.decode()
        browser.post("/control/faults/remove", {"id": str(fault.pk)})
        assert not Fault.objects.exists()

    @pytest.mark.parametrize(
        ("form", "value", "uses"),
        [
            ({"key": "slow", "seconds": "0.5", "uses": "3"}, {"seconds": 0.5}, 3),
            ({"key": "refund_slow", "seconds": "", "whole": "1"}, {"seconds": None}, None),
            ({"key": "refund_slow", "seconds": "7", "whole": "1"}, {"seconds": 7}, None),
            ({"key": "pay_unknown", "whole": "1"}, {"paid": False}, None),
            ({"key": "pay_unknown"}, {"paid": True}, None),
            (
                {"key": "lost_after_commit", "mode": "drop", "path": "/refunds", "whole": "1"},
                {"mode": "drop", "path": "/refunds"},
                None,
            ),
        ],
    )
    def test_a_fault_with_settings(
        self, db: None, form: dict[str, str], value: dict[str, Any], uses: int | None
    ) -> None:
        browser = Client()
        for _ in range(2):  # the second replaces the first
            browser.post("/control/faults/add", form)
        fault = Fault.objects.get()
        assert (fault.value, fault.remaining) == (value, uses)

    def test_random_weather(self, db: None) -> None:
        browser = Client()
        browser.post("/control/faults/weather", {"seed": "7", "percent": "50"})
        schedule = call("GET", "faults/schedule").json()["schedule"]
        assert (schedule["seed"], schedule["rates"]["notify_twice"]) == (7, 0.5)
        assert "种子" in browser.get("/control/faults/").content.decode()
        browser.post("/control/faults/weather", {"end": "1"})
        assert call("GET", "faults/schedule").json() == {"schedule": None}

    def test_the_clock_and_the_notices(self, browser: Client) -> None:
        before = call("GET", "clock").json()["offset_seconds"]
        browser.post("/control/clock", {"advance_seconds": "60"})
        assert call("GET", "clock").json()["offset_seconds"] == pytest.approx(before + 60, abs=1)
        notice = Notice.objects.get(kind="PAID")
        assert "还没有发过" in self.said(browser, "replay", notice)
        browser.post("/control/notices/flush")
        notice.refresh_from_db()
        assert notice.attempts == 1
        # Nobody listens there.
        assert "无应答" in self.said(browser, "replay", notice)
        assert "无应答" in self.said(browser, "resend", notice)
        notice.refresh_from_db()
        assert [one["note"] for one in notice.history] == ["refused", "replayed", "sent again"]
        assert "P00001" in browser.get("/control/notices/?number=P00001").content.decode()
        assert ">P00001<" not in browser.get("/control/notices/?state=DROPPED").content.decode()

    @staticmethod
    def said(browser: Client, button: str, notice: Notice) -> str:
        """What the page says after a button was pressed."""
        answer = browser.post(f"/control/notices/{button}", {"id": str(notice.pk)}, follow=True)
        return answer.content.decode()


#: Addresses of the API that take a body, with one that is understood; {} where a merchant or order would be needed first.
_BODIES: dict[str, dict[str, Any]] = {
    "merchants": {"platform": "wechatpay", "name": "x", "rate_ppm": 6000, "key_mode": "public_key"},
    "merchants/renew": {"platform": "wechatpay", "merchant_no": "1"},
    "books/bulk": {
        "platform": "wechatpay",
        "merchant_no": "M",
        "payments": [
            {
                "out_trade_no": "P9",
                "trade_no": "4200000000000000009",
                "product": "native",
                "amount_fen": 100,
                "paid_at": "2026-05-01T10:00:00+08:00",
                "fee_fen": 1,
            }
        ],
        "refunds": [],
    },
    "pay": {"platform": "wechatpay", "merchant_no": "M", "out_trade_no": "P00001", "payer": "demo"},
    "cancel": {"platform": "wechatpay", "merchant_no": "M", "out_trade_no": "P00001"},
    "paycodes": {"wallet": "wechatpay", "payer": "demo", "behaviour": "pays", "seconds": 60},
    "paycodes/confirm": {"digits": "1"},
    "faults": {"key": "slow", "platform": "wechatpay", "value": {"seconds": 1}, "uses": 1},
    "faults/schedule": {
        "seed": 1,
        "rates": {"http_500": 0.1},
        "values": {"http_500": {}},
        "platforms": ["alipay"],
    },
    "clock": {"offset_seconds": 0, "advance_seconds": 0, "factor": 1},
    "notices/forge": {
        "platform": "wechatpay",
        "merchant_no": "M",
        "out_trade_no": "P00001",
        "payer": "demo",
        "amount_fen": 1,
    },
    "notices/replay": {"id": 1, "notice_no": "x"},
    "notices/resend": {"id": 1, "notice_no": "x"},
    "activation-codes": {"merchant_no": "M", "uses": 1},
}
_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e99,
    "abc",
    "",
    [],
    {},
    [1],
    {"a": 1},
    10**30,
    "1e999",
    "nan",
    -5.5,
)


@pytest.mark.parametrize("path", _BODIES)
def test_odd_values_are_refused_in_json(wechat: WechatClient, path: str) -> None:
    """Whatever stands in a field: no page in place of an answer, and no failure of the simulator's own."""
    merchant_no = Merchant.objects.get().merchant_no
    usual = {name: merchant_no if value == "M" else value for name, value in _BODIES[path].items()}
    for name in usual:
        for odd in _ODD:
            answer = call("POST", path, {**usual, name: odd})
            assert answer.status_code in {200, 400, 404, 409}, (name, odd, answer.content[:300])
            if answer.status_code != 200:
                assert answer.json()["error"], (name, odd)


def test_odd_values_inside_the_bulk_are_refused_too(wechat: WechatClient) -> None:
    body = {**_BODIES["books/bulk"], "merchant_no": Merchant.objects.get().merchant_no}
    (payment,) = body["payments"]
    for number, name in enumerate(payment):
        for other, odd in enumerate(_ODD):
            fresh = {
                "out_trade_no": f"P{number}{other}",
                "trade_no": f"42000000000000{number:02}{other:02}",
            }
            answer = call(
                "POST", "books/bulk", {**body, "payments": [{**payment, **fresh, name: odd}]}
            )
            assert answer.status_code in {200, 400, 409}, (name, odd)
            assert answer.status_code == 200 or answer.json()["error"], (name, odd)


def test_infinity_is_no_number(db: None) -> None:
    for text in (b'{"offset_seconds": 1e999}', b'{"factor": Infinity}', b'{"factor": NaN}'):
        answer = Client().post("/control/api/clock", text, content_type="application/json")
        assert answer.status_code == 400
        assert "must be a number" in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"offset_seconds": 1e99},
        {"offset_seconds": 300 * 365 * 86_400},
        {"advance_seconds": -1e12},
        {"factor": -1},
        {"factor": 1e9},
        {"offset_seconds": "soon"},
    ],
)
def test_a_clock_that_cannot_be_is_refused_and_stays(db: None, body: dict[str, Any]) -> None:
    answer = call("POST", "clock", body)
    assert answer.status_code == 400
    assert next(iter(body)) in answer.json()["error"] or "clock" in answer.json()["error"]
    assert call("GET", "clock").json()["offset_seconds"] == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("slow", {"seconds": "abc"}, "seconds must be a number from 0 to 3600, not 'abc'"),
        ("slow", {"seconds": -5}, "not -5"),
        ("slow", {"seconds": None}, "not None"),
        ("slow", {"second": 5}, "slow has no value 'second'; it has seconds, path"),
        ("slow", {"seconds": 1, "path": 7}, "path must be a text"),
        ("lost_after_commit", {"mode": "gone"}, "mode must be one of 504, drop"),
        ("other_amount", {"fen": 0.5}, "fen must be a whole number"),
        ("pay_unknown", {"paid": "yes"}, "paid must be true or false"),
        ("unclear_answer", {"code": "99"}, "code must be one of 03, 04, 05"),
        ("huge_answer", {"megabytes": 10**9}, "megabytes must be a whole number from 0 to 1024"),
        ("key_ramp", {"share": 2}, "share must be a number from 0 to 1"),
    ],
)
def test_a_fault_with_senseless_values_is_refused(
    db: None, key: str, value: dict[str, Any], words: str
) -> None:
    answer = call("POST", "faults", {"key": key, "value": value})
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert not Fault.objects.exists()
    drawn = {"seed": 1, "rates": {key: 0.5}, "values": {key: value}}
    assert call("POST", "faults/schedule", drawn).status_code == 400


@pytest.mark.parametrize("seconds", [None, 0, 0.5, 90])
def test_a_fault_that_may_last_for_ever(db: None, seconds: float | None) -> None:
    added = call("POST", "faults", {"key": "refund_slow", "value": {"seconds": seconds}})
    assert added.json()["value"] == {"seconds": seconds}


def test_the_desk_says_why_a_setting_is_refused(db: None) -> None:
    form = {"key": "slow", "seconds": "-5", "whole": "1"}
    page = Client().post("/control/faults/add", form, follow=True).content.decode()
    assert "seconds must be a number from 0 to 3600" in page
    far = Client().post("/control/clock", {"advance_seconds": "1e99"}, follow=True)
    assert "advance_seconds must be" in far.content.decode()
    assert not Fault.objects.exists()
