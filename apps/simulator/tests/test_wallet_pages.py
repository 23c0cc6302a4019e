"""The wallet: scanning by text and by picture, the cashier, the records, and the bridge's checks."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import qrcode
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from apps.simulator import books, clock, keys, merchants
from apps.simulator.models import Merchant, Order, OrderState, Product
from apps.simulator.payers import PAYERS
from apps.simulator.wallet import scanner

pytestmark = pytest.mark.django_db
WEIXIN = "weixin://wxpay/bizpayurl?pr=AbC123x"
QR_ALIPAY = "https://qr.alipay.com/bax01234567890abc"


@pytest.fixture
def wechat() -> Merchant:
    """A merchant at the simulated WeChat Pay."""
    return merchants.create_merchant(platform="wechatpay", name="一号店", now=clock.now())


@pytest.fixture
def alipay() -> Merchant:
    """A merchant at the simulated Alipay."""
    return merchants.create_merchant(platform="alipay", name="一号店", now=clock.now())


def order_of(
    merchant: Merchant, code: str | None, *, product: str = Product.NATIVE, **more: Any
) -> Order:
    """An unpaid order of 1,234.50 that lives for two hours."""
    now = clock.now()
    facts: dict[str, Any] = {
        "merchant": merchant,
        "product": product,
        "out_trade_no": f"P{Order.objects.count() + 1}",
        "amount_fen": 123450,
        "description": "门店消费",
        "now": now,
        "expires_at": now + timedelta(hours=2),
        "code_content": code,
        "code_expires_at": now + timedelta(hours=2),
        **more,
    }
    return books.create_order(**facts)


def scan(platform: str, code: str = "", picture: bytes | None = None) -> Any:
    """Scan in a fresh wallet."""
    data: dict[str, Any] = {"code": code}
    if picture is not None:
        data["image"] = SimpleUploadedFile("code.png", picture, "image/png")
    return Client().post(f"/wallet/{platform}/scan", data)


def picture_of(text: str, kind: str = "PNG") -> bytes:
    """A QR code as picture bytes."""
    out = io.BytesIO()
    qrcode.make(text).get_image().convert("RGB").save(out, kind)
    return out.getvalue()


# --- pages ----------------------------------------------------------------------------------------


def test_pages_say_simulator_and_carry_no_inline_code() -> None:
    wallets = ("/wallet/wechatpay/", "/wallet/alipay/", "/wallet/unionpay/")
    for path in ("/wallet/", *wallets, "/wallet/alipay/records", "/wallet/unionpay/records"):
        page = Client().get(path).content.decode()
        assert "SIMULATOR 模拟器" in page
        assert "style=" not in page
        assert "onclick" not in page
        assert "<script>" not in page
    assert Client().get("/wallet/paypal/").status_code == 404


def test_the_payer_is_remembered_and_unknown_ones_are_the_demo_user() -> None:
    client = Client()
    gone = client.post("/wallet/payer", {"payer": "hua", "platform": "alipay"})
    assert gone["Location"] == "/wallet/alipay/"
    assert client.cookies["sim_wallet_user"].value == "hua"
    client.post("/wallet/payer", {"payer": "nobody"})
    assert client.cookies["sim_wallet_user"].value == "demo"


# --- scanning -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_of_a_native_code_opens_the_cashier(wechat: Merchant, kind: str) -> None:
    order = order_of(wechat, WEIXIN)
    gone = scan("wechatpay", picture=picture_of(WEIXIN, kind))
    assert gone["Location"] == f"/wallet/wechatpay/cashier/{order.trade_no}"
    page = Client().get(gone["Location"]).content.decode()
    assert "¥1,234.50" in page
    assert "一号店" in page


def test_a_transparent_picture_is_read(wechat: Merchant) -> None:
    order_of(wechat, WEIXIN)
    plain = Image.open(io.BytesIO(picture_of(WEIXIN))).convert("L")
    clear = Image.new("RGBA", plain.size, (0, 0, 0, 0))
    clear.putalpha(plain.point(lambda value: 0 if value > 127 else 255))
    out = io.BytesIO()
    clear.save(out, "PNG")
    assert scan("wechatpay", picture=out.getvalue()).status_code == 302


def test_scanning_an_alipay_code_creates_the_trade(alipay: Merchant) -> None:
    order = order_of(alipay, QR_ALIPAY, product=Product.PRECREATE, trade_exists=False)
    gone = scan("alipay", QR_ALIPAY)
    assert gone["Location"] == f"/wallet/alipay/cashier/{order.trade_no}"
    order.refresh_from_db()
    assert order.trade_exists is True
    assert order.code_expires_at is None


def test_the_wrong_wallet_says_which_is_right(wechat: Merchant) -> None:
    order_of(wechat, WEIXIN)
    page = scan("alipay", WEIXIN)
    assert page.status_code == 400
    assert "This code is for WeChat Pay." in page.content.decode()
    page = scan("wechatpay", QR_ALIPAY)
    assert "This code is for Alipay." in page.content.decode()


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"code_content": "weixin://wxpay/bizpayurl?pr=other"}, 404, "code is unknown"),
        ({"code_expires_at": -1}, 410, "code has expired"),
        ({"expires_at": -1}, 410, "order has expired"),
        ({"state": OrderState.CLOSED}, 410, "order is closed"),
        ({"state": OrderState.PAID}, 410, "has been paid"),
    ],
)
def test_a_dead_code_says_why(
    wechat: Merchant, change: dict[str, Any], status: int, text: str
) -> None:
    order = order_of(wechat, WEIXIN)
    moments = {
        key: clock.now() + timedelta(seconds=value) if key.endswith("_at") else value
        for key, value in change.items()
    }
    Order.objects.filter(pk=order.pk).update(**moments)
    page = scan("wechatpay", WEIXIN)
    assert page.status_code == status
    assert text in page.content.decode()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", "Paste a link"),
        ("hello", "does not know"),
        ("javascript:alert(1)", "does not know"),
        ("http://example.com/q/abc", "only links of the portal"),
        ("x" * 2000, "not the content of a code"),
        ("https://qr.alipay.com.example.com/x", "only links of the portal"),
        ("http://localhost:8000@example.com/q/abc", "only links of the portal"),
    ],
)
def test_what_is_no_code_is_refused(code: str, text: str) -> None:
    page = scan("wechatpay", code)
    assert page.status_code == 400
    assert text in page.content.decode()


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        (b"not a picture", "Only PNG and JPEG"),
        (b"GIF89a" + bytes(50), "Only PNG and JPEG"),
        (picture_of(WEIXIN)[:200], "damaged"),
        (b"", "Paste a link"),
    ],
)
def test_what_is_no_picture_is_refused(picture: bytes, text: str) -> None:
    page = scan("wechatpay", picture=picture)
    assert page.status_code == 400
    assert text in page.content.decode()


def test_a_picture_without_a_code_or_with_two_is_refused() -> None:
    blank = io.BytesIO()
    Image.new("L", (200, 200), 255).save(blank, "PNG")
    assert "No QR code" in scan("wechatpay", picture=blank.getvalue()).content.decode()
    one, two = (Image.open(io.BytesIO(picture_of(text))) for text in ("a", "b"))
    both = Image.new("RGB", (one.width + two.width + 40, one.height), "white")
    both.paste(one, (0, 0))
    both.paste(two, (one.width + 40, 0))
    out = io.BytesIO()
    both.save(out, "PNG")
    assert "several codes" in scan("wechatpay", picture=out.getvalue()).content.decode()


def test_pictures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "MAX_PIXELS", 100)
    assert "too many pixels" in scan("wechatpay", picture=picture_of("a")).content.decode()
    monkeypatch.setattr(scanner, "MAX_BYTES", 10)
    assert "larger than 8 MB" in scan("wechatpay", picture=picture_of("a")).content.decode()


@pytest.mark.parametrize(
    ("platform", "origin"),
    [
        ("wechatpay", "http://localhost:9101"),
        ("alipay", "http://localhost:9102"),
        ("unionpay", "http://localhost:9103"),
    ],
)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_link_of_the_portal_opens_in_the_wallets_browser(
    platform: str, origin: str, host: str
) -> None:
    client = Client()
    link = f"http://{host}:8000/q/AbC-1?lang=en"
    gone = client.post(f"/wallet/{platform}/scan", {"code": f" {link}\n"})
    assert gone["Location"] == f"{origin}/q/AbC-1?lang=en"
    assert client.cookies["sim_wallet_browser"].value == origin
    assert client.cookies["sim_wallet_user"].value == "demo"
    client.get("/wallet/")
    assert client.cookies["sim_wallet_browser"].value == ""


# --- the cashier ----------------------------------------------------------------------------------


def test_paying_and_looking_at_the_record(wechat: Merchant) -> None:
    order = order_of(wechat, WEIXIN)
    client = Client()
    where = f"/wallet/wechatpay/cashier/{order.trade_no}"
    gone = client.post(where, {"action": "pay", "payer": "hua"})
    assert gone["Location"] == f"{where}?done=pay"
    assert "支付成功" in client.get(gone["Location"]).content.decode()
    order.refresh_from_db()
    assert order.state == OrderState.PAID
    assert order.payer_id == PAYERS["hua"].openid(wechat.app_id)
    assert "-¥1,234.50" in client.get("/wallet/wechatpay/records").content.decode()
    assert "Nothing paid" in Client().get("/wallet/wechatpay/records").content.decode()
    again = client.post(where, {"action": "pay"})
    assert again.status_code == 409
    assert "has been paid" in again.content.decode()


def test_cancelling_leaves_the_order_payable(wechat: Merchant) -> None:
    order = order_of(wechat, WEIXIN)
    client = Client()
    where = f"/wallet/wechatpay/cashier/{order.trade_no}"
    gone = client.post(where, {"action": "cancel"})
    assert "已取消支付" in client.get(gone["Location"]).content.decode()
    order.refresh_from_db()
    assert order.state == OrderState.WAITING
    assert client.post(where, {"action": "pay"}).status_code == 302


def test_the_poor_payer_and_a_strangers_order_pay_nothing(wechat: Merchant) -> None:
    order = order_of(wechat, WEIXIN, payer_id=PAYERS["mei"].openid(wechat.app_id))
    where = f"/wallet/wechatpay/cashier/{order.trade_no}"
    other = Client().post(where, {"action": "pay", "payer": "hua"})
    assert "another payer" in other.content.decode()
    Order.objects.update(payer_id="")
    poor = Client().post(where, {"action": "pay", "payer": "poor"})
    assert (poor.status_code, "Not enough money" in poor.content.decode()) == (409, True)
    order.refresh_from_db()
    assert order.state == OrderState.WAITING


def test_an_unknown_trade_has_no_cashier(wechat: Merchant) -> None:
    order = order_of(wechat, WEIXIN)
    assert Client().get(f"/wallet/alipay/cashier/{order.trade_no}").status_code == 404
    assert Client().get("/wallet/alipay/cashier/1").status_code == 404


# --- the bridge -----------------------------------------------------------------------------------


def pay_call(merchant: Merchant, prepay_id: str, **change: str) -> dict[str, str]:
    """Signed getBrandWCPayRequest parameters; ``change`` is applied after signing."""
    params = {
        "appId": merchant.app_id,
        "timeStamp": str(int(datetime.now(clock.BEIJING).timestamp())),
        "nonceStr": "5K8264ILTKCH16CQ2502SI8ZNMTM67VS",
        "package": f"prepay_id={prepay_id}",
        "signType": "RSA",
    }
    text = "".join(f"{params[name]}\n" for name in ("appId", "timeStamp", "nonceStr", "package"))
    params["paySign"] = keys.rsa_sign(merchant.config["private_key"], text.encode())
    return {**params, **change}


def bridge(step: str, params: Any, platform: str = "wechatpay", user: str = "demo") -> Any:
    """What the in-app browser forwards from bridge.js."""
    client = Client()
    client.cookies["sim_wallet_user"] = user
    body = params if isinstance(params, str) else json.dumps(params)
    answer = client.post(f"/wallet/inapp/{platform}/{step}", body, "application/json")
    assert answer.status_code == 200
    return answer.json()


def test_jsapi_is_prepared_and_paid_as_the_wallets_user(wechat: Merchant) -> None:
    payer = PAYERS["mei"]
    order = order_of(wechat, "wx201", product=Product.JSAPI, payer_id=payer.openid(wechat.app_id))
    params = pay_call(wechat, "wx201")
    told = bridge("prepare", params, user="mei")
    assert told == {
        "ok": True,
        "shop": "一号店",
        "amount": "1,234.50",
        "description": "门店消费",
        "payer": "小美",
    }
    assert "another payer" in bridge("pay", params, user="hua")["message"]
    assert bridge("pay", params, user="mei") == {"ok": True}
    order.refresh_from_db()
    assert order.state == OrderState.PAID
    assert bridge("prepare", params)["ok"] is False
    assert bridge("pay", params)["ok"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"paySign": "AAAA"},
        {"nonceStr": "another"},
        {"timeStamp": "1"},
        {"package": "prepay_id=wx999"},
        {"package": "wx201"},
        {"signType": "MD5"},
        {"appId": "wx0000000000000000"},
    ],
)
def test_a_wrong_pay_call_pays_nothing(wechat: Merchant, change: dict[str, str]) -> None:
    order = order_of(wechat, "wx201", product=Product.JSAPI)
    params = pay_call(wechat, "wx201", **change)
    for step in ("prepare", "pay"):
        told = bridge(step, params)
        assert told["ok"] is False
        assert told["message"]
    order.refresh_from_db()
    assert order.state == OrderState.WAITING


@pytest.mark.parametrize("body", ["", "[]", "{", "1", '{"tradeNO": 5}'])
def test_nonsense_for_the_bridge_is_refused(body: str) -> None:
    assert bridge("pay", body, platform="alipay")["ok"] is False
    assert bridge("pay", body)["ok"] is False


def test_trade_pay_in_alipay(alipay: Merchant) -> None:
    order = order_of(alipay, None, product=Product.CREATE, payer_id=PAYERS["demo"].alipay_id)
    params = {"tradeNO": order.trade_no}
    assert bridge("prepare", params, platform="alipay")["amount"] == "1,234.50"
    assert bridge("pay", params, platform="alipay", user="hua")["ok"] is False
    assert bridge("pay", params, platform="alipay") == {"ok": True}
    order.refresh_from_db()
    assert order.state == OrderState.PAID
