"""The payer's codes: issued, taken once, confirmed; and the wallet's page of them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import zxingcpp
from django.db import connection
from django.test import Client
from PIL import Image, ImageDraw

from apps.simulator import books, clock, paycodes
from apps.simulator.models import Merchant, Order, OrderState, PayCode
from apps.simulator.payers import PAYERS
from apps.simulator.wallet import shapes

LENGTHS = {"wechatpay": 18, "alipay": 18, "unionpay": 19}


def order_of(merchant: Merchant, number: str = "P00001") -> Order:
    now = clock.now()
    return books.create_order(
        merchant=merchant,
        product="barcode",
        out_trade_no=number,
        amount_fen=2500,
        now=now,
        expires_at=now + timedelta(minutes=1),
    )


def api(path: str, body: dict[str, Any]) -> Any:
    return Client().post(
        f"/control/api/{path}", json.dumps(body).encode(), content_type="application/json"
    )


@pytest.mark.parametrize("wallet", sorted(LENGTHS))
def test_issued_codes_are_told_by_their_digits(db: None, wallet: str) -> None:
    now = clock.now()
    codes = [paycodes.issue(wallet=wallet, now=now) for _ in range(50)]
    assert {len(code.digits) for code in codes} == {LENGTHS[wallet]}
    assert {paycodes.wallet_of(code.digits) for code in codes} == {wallet}
    assert {code.expires_at for code in codes} == {now + timedelta(seconds=60)}


@pytest.mark.parametrize(
    ("digits", "wallet"),
    [
        ("100000000000000000", "wechatpay"),
        ("159999999999999999", "wechatpay"),
        ("160000000000000000", ""),
        ("1000000000000000000", ""),
        ("2500000000000000", "alipay"),
        ("300000000000000000000000", "alipay"),
        ("3000000000000000000000000", ""),
        ("240000000000000000", ""),
        ("310000000000000000", ""),
        ("6200000000000000000", "unionpay"),
        ("620000000000000000", ""),
        ("6300000000000000000", ""),
        ("62000000000000000x0", ""),
        ("", ""),
    ],
)
def test_the_edges_of_the_digit_rules(digits: str, wallet: str) -> None:
    assert paycodes.wallet_of(digits) == wallet


@pytest.mark.parametrize(
    "change",
    [
        {"wallet": "shouqianba"},
        {"payer_key": "nobody"},
        {"behaviour": "x"},
        {"seconds": 0},
        {"seconds": float("nan")},
    ],
)
def test_codes_that_cannot_be_issued(db: None, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        paycodes.issue(**{"wallet": "wechatpay", "now": clock.now(), **change})
    assert PayCode.objects.count() == 0


class TestTaking:
    def test_once(self, wechat_merchant: Merchant) -> None:
        order, now = order_of(wechat_merchant), clock.now()
        code = paycodes.issue(wallet="wechatpay", now=now, payer_key="hua")
        taken = paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=now)
        assert (taken.order, taken.used_at) == (order, now)
        assert paycodes.payer_of(taken) is PAYERS["hua"]
        with pytest.raises(paycodes.CodeRefused, match="used"):
            paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=now)

    def test_not_after_its_time(self, wechat_merchant: Merchant) -> None:
        order, now = order_of(wechat_merchant), clock.now()
        code = paycodes.issue(wallet="wechatpay", now=now, seconds=5)
        for seconds, works in ((5, False), (4.9, True)):
            at = now + timedelta(seconds=seconds)
            if works:
                paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=at)
            else:
                with pytest.raises(paycodes.CodeRefused, match="expired"):
                    paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=at)

    def test_not_by_another_wallets_till(self, wechat_merchant: Merchant) -> None:
        order, now = order_of(wechat_merchant), clock.now()
        code = paycodes.issue(wallet="alipay", now=now)
        with pytest.raises(paycodes.CodeRefused, match="unknown"):
            paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=now)
        code.refresh_from_db()
        assert code.used_at is None

    @pytest.mark.django_db(transaction=True)
    def test_two_tills_at_once(self, wechat_merchant: Merchant) -> None:
        orders = [order_of(wechat_merchant, f"P0000{n}") for n in range(4)]
        now = clock.now()
        code = paycodes.issue(wallet="wechatpay", now=now)
        gate, won, lost = threading.Barrier(4), [], []

        def scan(order: Order) -> None:
            gate.wait()
            try:
                paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=now)
                won.append(order.pk)
            except paycodes.CodeRefused as refusal:
                lost.append(refusal.reason)
            finally:
                connection.close()

        threads = [threading.Thread(target=scan, args=(order,)) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        code.refresh_from_db()
        assert (won, lost) == ([code.order_id], ["used"] * 3)


class TestConfirming:
    def waiting(self, merchant: Merchant) -> PayCode:
        order, now = order_of(merchant), clock.now()
        code = paycodes.issue(
            wallet="wechatpay", now=now, behaviour=paycodes.PASSWORD, payer_key="mei"
        )
        return paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=now)

    def test_the_password_pays(self, wechat_merchant: Merchant) -> None:
        code = self.waiting(wechat_merchant)
        assert not paycodes.pays_at_once(code)
        assert list(paycodes.waiting(wallet="wechatpay", payer_key="mei")) == [code]
        assert not paycodes.waiting(wallet="wechatpay", payer_key="demo")
        order = paycodes.confirm(digits=code.digits, now=clock.now())
        assert order.state == OrderState.PAID
        assert order.payer_id == PAYERS["mei"].openid(wechat_merchant.app_id)
        assert not paycodes.waiting(wallet="wechatpay", payer_key="mei")
        with pytest.raises(paycodes.NothingToConfirm, match="over"):
            paycodes.confirm(digits=code.digits, now=clock.now())

    def test_too_late(self, wechat_merchant: Merchant) -> None:
        code = self.waiting(wechat_merchant)
        with pytest.raises(paycodes.NothingToConfirm, match="over"):
            paycodes.confirm(digits=code.digits, now=clock.now() + timedelta(seconds=61))
        assert Order.objects.get().state == OrderState.CLOSED

    def test_nothing_was_scanned(self, db: None) -> None:
        code = paycodes.issue(wallet="alipay", now=clock.now(), behaviour=paycodes.PASSWORD)
        with pytest.raises(paycodes.NothingToConfirm, match="unused"):
            paycodes.confirm(digits=code.digits, now=clock.now())
        with pytest.raises(paycodes.NothingToConfirm, match="unknown"):
            paycodes.confirm(digits="1", now=clock.now())


class TestControl:
    def test_issue_and_confirm(self, wechat_merchant: Merchant) -> None:
        body = {"wallet": "wechatpay", "payer": "hua", "behaviour": "password", "seconds": 90}
        made = api("paycodes", body).json()
        code = PayCode.objects.get()
        assert made == {"digits": code.digits, "expires_at": code.expires_at.isoformat()}
        assert code.expires_at - code.created_at == timedelta(seconds=90)
        answer = api("paycodes/confirm", {"digits": code.digits})
        assert (answer.status_code, answer.json()) == (409, {"error": "unused"})
        order = order_of(wechat_merchant)
        paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=clock.now())
        answer = api("paycodes/confirm", {"digits": code.digits}).json()
        assert (answer["out_trade_no"], answer["state"]) == ("P00001", "PAID")

    @pytest.mark.parametrize("body", [{}, {"wallet": "wechatpay", "behaviour": "x"}])
    def test_bad_wishes(self, db: None, body: dict[str, Any]) -> None:
        assert api("paycodes", body).status_code == 400


class TestThePage:
    @pytest.fixture
    def phone(self, db: None) -> Client:
        return Client()

    def code_on(self, phone: Client, wallet: str, behaviour: str = "") -> PayCode:
        wish = f"?behaviour={behaviour}" if behaviour else ""
        answer = phone.get(f"/wallet/{wallet}/paycode{wish}")
        assert answer.status_code == 302
        return PayCode.objects.get(digits=answer.headers["Location"].rpartition("/")[2])

    @pytest.mark.parametrize("wallet", sorted(LENGTHS))
    def test_a_till_can_scan_what_it_shows(self, phone: Client, wallet: str) -> None:
        code = self.code_on(phone, wallet)
        page = phone.get(f"/wallet/{wallet}/paycode/{code.digits}").content.decode()
        for picture, form in zip(drawn(page), ("Code128", "QRCode"), strict=True):
            (found,) = zxingcpp.read_barcodes(picture)
            assert (found.text, found.format.name) == (code.digits, form)
        assert "<script>" not in page
        assert "style=" not in page

    def test_it_stays_while_it_lives(self, phone: Client) -> None:
        code = self.code_on(phone, "alipay")
        assert self.code_on(phone, "alipay") == code
        assert self.code_on(phone, "alipay", "password") != code
        clock.set_clock(advance_seconds=58)
        assert self.code_on(phone, "alipay") != code

    def test_the_password_on_the_page(self, phone: Client, wechat_merchant: Merchant) -> None:
        code = self.code_on(phone, "wechatpay", "password")
        address = f"/wallet/wechatpay/paycode/{code.digits}"
        assert phone.get(f"{address}/state").json() == {"step": "show"}
        assert phone.post(address).status_code == 409
        order = order_of(wechat_merchant)
        paycodes.take(digits=code.digits, wallet="wechatpay", order=order, now=clock.now())
        assert phone.get(f"{address}/state").json() == {"step": "waiting"}
        assert self.code_on(phone, "wechatpay") == code
        page = phone.get(address).content.decode()
        assert "¥25.00" in page
        assert 'data-testid="confirm"' in page
        assert phone.post(address).headers["Location"] == address
        assert phone.get(f"{address}/state").json() == {"step": "paid"}
        order.refresh_from_db()
        assert order.state == OrderState.PAID

    def test_over(self, phone: Client, wechat_merchant: Merchant) -> None:
        code = self.code_on(phone, "wechatpay")
        address = f"/wallet/wechatpay/paycode/{code.digits}"
        clock.set_clock(advance_seconds=61)
        assert phone.get(f"{address}/state").json() == {"step": "expired"}
        assert 'data-testid="again"' in phone.get(address).content.decode()
        assert phone.get("/wallet/alipay/paycode/1").status_code == 404
        assert phone.get("/wallet/shouqianba/paycode").status_code == 404


def drawn(page: str) -> Iterator[Image.Image]:
    """The page's pictures, drawn from their path data as a browser would."""
    for width, height, data in re.findall(
        r'viewBox="0 0 (\d+) (\d+)".*?<path d="([^"]+)"', page, re.DOTALL
    ):
        scale = 4
        picture = Image.new("L", (int(width) * scale, int(height) * scale), 255)
        draw = ImageDraw.Draw(picture)
        for x, y, run, depth in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)", data):
            left, top = int(x) * scale, int(y) * scale
            draw.rectangle(
                (left, top, left + int(run) * scale - 1, top + int(depth) * scale - 1), fill=0
            )
        yield picture


def test_only_digits_become_bars() -> None:
    with pytest.raises(ValueError, match="only digits"):
        shapes.barcode("12x")
