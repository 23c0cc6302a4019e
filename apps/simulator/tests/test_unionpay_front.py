"""The browser's form, the wallet's cashier, the form back, and 云闪付 as a wallet."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from apps.simulator import books, clock
from apps.simulator.models import Order, OrderState
from apps.simulator.tests.unionpay_client import FRONT, UnionClient, beijing, checked

pytestmark = pytest.mark.django_db
NUMBER = "P2026000001"
RETURN = "http://localhost:8000/pay/abc/return/"


def form(union: UnionClient, **more: str) -> dict[str, str]:
    """The hidden fields of the merchant's page."""
    timeout = beijing(datetime.now(UTC) + timedelta(minutes=15))
    return union.transaction(
        "01",
        "01",
        NUMBER,
        2500,
        **{
            "bizType": "000201",
            "frontUrl": RETURN,
            "payTimeout": timeout,
            "riskRateInfo": "{commodityName=茉莉花茶}",
            **more,
        },
    )


def press(union: UnionClient, fields: dict[str, str]) -> Any:
    """The payer's browser posts the form."""
    return union.post(FRONT, union.sign(fields))


def hidden(page: str) -> tuple[str, dict[str, str]]:
    """Where a page's form goes and its hidden fields, line ends as a browser submits them."""
    action = re.search(r'<form method="post" action="([^"]+)" accept-charset', page)
    assert action is not None
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return unescape(action[1]), {
        name: re.sub(r"\r\n|\r|\n", "\r\n", unescape(value)) for name, value in pairs
    }


def test_pay_by_the_form(union: UnionClient) -> None:
    gone = press(union, form(union))
    order = Order.objects.get()
    assert gone.status_code == 302
    assert gone["Location"] == f"/wallet/unionpay/cashier/{order.trade_no}"
    page = union.http.get(gone["Location"]).content.decode()
    assert "¥25.00" in page
    assert "茉莉花茶" in page
    done = union.http.post(gone["Location"], {"action": "pay", "payer": "hua"})
    page = union.http.get(done["Location"]).content.decode()
    address, fields = hidden(page)
    assert address == RETURN
    assert "data-autopost" in page
    told = checked(fields, union.root, union.middle)
    assert (told["respCode"], told["orderId"], told["txnAmt"]) == ("00", NUMBER, "2500")
    assert (told["txnType"], told["txnSubType"], told["bizType"]) == ("01", "01", "000201")
    assert told["accNo"] == "621626*********2222"
    assert union.open_post(urlencode(fields).encode()) == told
    asked = union.query(NUMBER, told["txnTime"])
    assert (asked["origRespCode"], asked["queryId"]) == ("00", told["queryId"])
    # Somebody who opens the page later is not sent anywhere.
    assert "data-autopost" not in union.http.get(gone["Location"]).content.decode()


def test_cancelled_at_the_cashier_nothing_is_paid(union: UnionClient) -> None:
    gone = press(union, form(union))
    left = union.http.post(gone["Location"], {"action": "cancel"})
    assert left["Location"] == f"{gone['Location']}?done=cancel"
    assert "data-autopost" not in union.http.get(left["Location"]).content.decode()
    assert Order.objects.get().state == OrderState.WAITING


def test_the_same_form_again_is_the_same_order(union: UnionClient) -> None:
    fields = form(union)
    first = press(union, fields)
    assert press(union, fields)["Location"] == first["Location"]
    changed = press(union, {**fields, "txnAmt": "1"})
    assert changed.status_code == 400
    assert "重复交易" in changed.content.decode()
    union.http.post(first["Location"], {"action": "pay"})
    assert press(union, fields).status_code == 400
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"frontUrl": ""}, "13"),
        ({"bizType": "000000"}, "10"),
        ({"txnSubType": "07"}, "10"),
        ({"txnTime": "20200101000000"}, "10"),
        ({"certId": "1"}, "11"),
    ],
)
def test_a_form_that_is_refused_is_a_page(
    union: UnionClient, change: dict[str, str], code: str
) -> None:
    signed = union.sign(form(union, **{k: v for k, v in change.items() if k != "certId"}))
    page = union.post(FRONT, {**signed, **change} if "certId" in change else signed)
    assert page.status_code == 400
    assert f"<code>{code}</code>" in page.content.decode()
    assert Order.objects.count() == 0


def test_from_the_wallets_browser_the_way_back_leads_into_it(union: UnionClient) -> None:
    union.http.cookies["sim_wallet_browser"] = "http://localhost:9103"
    gone = press(union, form(union))
    done = union.http.post(gone["Location"], {"action": "pay"})
    address, _ = hidden(union.http.get(done["Location"]).content.decode())
    assert address == "http://localhost:9103/pay/abc/return/"


def test_a_code_is_scanned_and_paid(union: UnionClient) -> None:
    code = union.apply_qr()
    gone = Client().post("/wallet/unionpay/scan", {"code": code})
    order = books.order_by_code(platform="unionpay", code=code)
    assert order is not None
    assert gone["Location"] == f"/wallet/unionpay/cashier/{order.trade_no}"
    refused = Client().post(gone["Location"], {"action": "pay", "payer": "poor"})
    assert refused.status_code == 409
    client = Client()
    done = client.post(gone["Location"], {"action": "pay", "payer": "mei"})
    page = client.get(done["Location"]).content.decode()
    assert "支付成功" in page
    assert "data-autopost" not in page
    records = client.get("/wallet/unionpay/records").content.decode()
    assert "¥25.00" in records
    assert "一号店" in records
    wrong = Client().post("/wallet/alipay/scan", {"code": code})
    assert "UnionPay QuickPass" in wrong.content.decode()


def test_the_browser_has_no_bridge_to_pay_by(union: UnionClient) -> None:
    answer = (
        Client()
        .post("/wallet/inapp/unionpay/prepare", "{}", content_type="application/json")
        .json()
    )
    assert answer["ok"] is False
    gone = Client().get("/wallet/inapp/unionpay/home")
    assert gone["Location"].endswith("/wallet/unionpay/")
    assert clock.read()["factor"] == 1.0
