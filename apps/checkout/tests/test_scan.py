"""The page behind a code: what it shows, what it takes, what it refuses."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.checkout.forms import read_amount
from apps.checkout.selectors import opened_code
from apps.checkout.tests.conftest import (
    ACTOR,
    ALIPAY,
    DESK,
    PHONE,
    WECHAT,
    Shop,
    browser,
    say,
)
from apps.core.doors import find_door, new_token
from apps.core.models import Door
from apps.core.tenancy import enter_scope
from apps.platforms.models import AccountStore, PlatformAccount
from apps.platforms.selectors import accounts_serving
from apps.platforms.tests.wechatpay_server import NOW
from apps.qrcodes.models import QRCode, Scan
from apps.qrcodes.services import open_code, pause_code, retire_code


def url(code: QRCode) -> str:
    return f"/q/{code.token}"


def post(client: Client, code: QRCode, amount: str = "12.50", **more: str) -> Any:
    return client.post(url(code), {"amount": amount, "nonce": new_token(20), **more})


def scans(shop: Shop) -> list[str]:
    with enter_scope(shop.scope):
        return list(Scan.objects.order_by("pk").values_list("wallet", flat=True))


def test_the_page_shows_the_shop_and_asks_the_amount(shop: Shop) -> None:
    response = browser(DESK).get(url(shop.code))
    page = response.content.decode()
    assert response.status_code == 200
    assert "Morning Coffee" in page
    assert "Zhongshan Road · Counter" in page
    assert 'inputmode="decimal"' in page
    assert 'data-testid="pay-wechatpay"' in page
    assert 'data-testid="pay-alipay"' in page
    assert "sessionid" not in response.cookies
    assert response["Cache-Control"] == "no-store"
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    assert response["Referrer-Policy"] == "same-origin"


def test_chinese_is_the_usual_language(shop: Shop) -> None:
    page = Client().get(url(shop.code)).content.decode()
    assert 'lang="zh-Hans"' in page
    assert "晨光咖啡" in page


@pytest.mark.parametrize(
    ("agent", "wallet", "colour"), [(WECHAT, "wechatpay", "green"), (ALIPAY, "alipay", "blue")]
)
def test_a_wallet_gets_one_button_in_its_colour(
    shop: Shop, agent: str, wallet: str, colour: str
) -> None:
    page = browser(agent).get(url(shop.fixed)).content.decode()
    assert re.findall(r'class="pay (pay-\w+)"', page) == [f"pay-{wallet}"]
    assert 'data-testid="pay-button"' in page
    assert "¥12.50" in page
    assert 'name="amount"' not in page
    assert scans(shop) == [wallet]


def test_pages_weigh_less_than_60_kb_in_all(shop: Shop) -> None:
    client = browser(PHONE)
    page = client.get(url(shop.code)).content.decode()
    total = len(page)
    for asset in set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page)):
        total += len(b"".join(client.get(asset).streaming_content))  # type: ignore[attr-defined]
    assert total < 60_000
    assert "style=" not in page
    assert not re.search(r"<script(?![^>]*(src=|application/json))", page)


def test_opening_a_code_costs_two_statements(shop: Shop) -> None:
    client = browser(WECHAT)
    client.get(url(shop.code))
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url(shop.code)).status_code == 200
    ours = [
        query["sql"]
        for query in captured.captured_queries
        if not query["sql"].startswith(
            ("SELECT set_config", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
        )
    ]
    assert len(ours) == 2, ours


def test_the_one_statement_finds_the_same_platforms_as_the_selector(shop: Shop) -> None:
    door = find_door(kind="qrcode", token=shop.code.token)

    def both() -> tuple[list[str], list[str]]:
        with enter_scope(shop.scope):
            ours = [
                taker.platform.value
                for taker in opened_code(open_code(door=door, now=NOW, wallet=None)).takers
            ]
            serving = accounts_serving(store_id=shop.store.pk)
            return ours, [account.platform for account in serving]

    assert both() == (["wechatpay", "alipay"],) * 2
    with enter_scope(shop.scope):
        PlatformAccount.objects.update(all_stores=False)
        account = PlatformAccount.objects.get(platform="alipay")
        AccountStore.objects.create(account=account, store=shop.store)
    assert both() == (["alipay"],) * 2
    shop.switch_off("alipay")
    assert both() == ([],) * 2


def test_a_scan_is_an_opening_from_outside(shop: Shop) -> None:
    client = browser(ALIPAY)
    client.get(url(shop.code))
    client.head(url(shop.code))
    post(client, shop.code, "x")
    # Another language, or "start again" on an order's page.
    client.get(url(shop.code), headers={"Referer": f"http://testserver{url(shop.code)}"})
    client.get(url(shop.code), headers={"Referer": "http://testserver/pay/abc"})
    client.get(url(shop.code), headers={"Referer": "http://elsewhere.example/q/abc"})
    assert scans(shop) == ["alipay", "alipay"]


def test_an_unknown_token_is_a_calm_404(shop: Shop) -> None:
    order_token = new_token(16)
    for address in ("/q/nothing", f"/q/{order_token}", "/pay/nothing", "/pay/nothing/status"):
        response = browser(WECHAT).get(address)
        assert response.status_code == 404
        assert "This code leads nowhere" in response.content.decode()
        assert response["Cache-Control"] == "no-store"
    assert scans(shop) == []


def test_a_token_of_another_kind_opens_nothing(shop: Shop) -> None:
    assert browser(DESK).get(f"/pay/{shop.code.token}").status_code == 404
    post(browser(PHONE), shop.code, wallet="alipay")
    assert browser(DESK).get(f"/q/{shop.orders()[0].token}").status_code == 404


def spoil(shop: Shop, how: str) -> int:
    with enter_scope(shop.scope):
        match how:
            case "paused":
                pause_code(code_id=shop.code.pk, actor=ACTOR, now=NOW)
            case "retired":
                retire_code(code_id=shop.code.pk, actor=ACTOR, now=NOW)
            case "not_yet":
                say(shop.code, valid_from=NOW + timedelta(seconds=1))
            case "expired":
                say(shop.code, valid_until=NOW)
            case _:
                type(shop.store).objects.filter(pk=shop.store.pk).update(is_active=False)
    return 410 if how in {"retired", "expired"} else 403


@pytest.mark.parametrize("how", ["paused", "retired", "not_yet", "expired", "store_closed"])
def test_a_code_that_takes_no_payments_says_what_to_do(shop: Shop, how: str) -> None:
    status = spoil(shop, how)
    client = browser(WECHAT)
    for response in (client.get(url(shop.code)), post(client, shop.code)):
        page = response.content.decode()
        assert response.status_code == status
        assert f'data-state="{how}"' in page
        assert "Nothing was charged" in page
        assert "Morning Coffee" in page
        assert 'name="amount"' not in page
    assert shop.orders() == []
    assert scans(shop) == ["wechatpay"]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Enter the amount to pay."),
        ("   ", "Enter the amount to pay."),
        ("¥", "Enter the amount to pay."),
        ("0", "more than zero"),
        ("0.00", "more than zero"),
        ("-5", "more than zero"),
        ("－５", "more than zero"),
        ("0.001", "two decimals at most"),
        ("12.345", "two decimals at most"),
        ("1000000000000", "at most ¥100,000,000.00"),
        ("100000000.01", "at most ¥100,000,000.00"),
        ("9" * 40, "at most ¥100,000,000.00"),
        ("9" * 41, "not an amount"),
        ("twelve", "not an amount"),
        ("1e3", "not an amount"),
        ("1,000", "not an amount"),
        ("12.5.0", "not an amount"),
        (".", "not an amount"),
        ("5²", "not an amount"),
        ("٣", "not an amount"),
        ("NaN", "not an amount"),
        ("12.50\x00", "Null characters are not allowed"),
        ("<script>alert(1)</script>", "not an amount"),
    ],
)
def test_a_wrong_amount_gets_a_sentence_and_stays_as_typed(
    shop: Shop, typed: str, sentence: str
) -> None:
    response = post(browser(WECHAT), shop.code, typed, note="桌 5")
    page = response.content.decode()
    assert response.status_code == 422
    assert sentence in page
    assert 'data-testid="amount-error"' in page
    assert "<script>alert" not in page
    assert "桌 5" in page
    if typed.isascii() and typed.strip() == typed and "<" not in typed and "\x00" not in typed:
        assert f'value="{typed}"' in page
    assert shop.orders() == []
    assert Door.objects.filter(kind="form").count() == 0


@pytest.mark.parametrize(
    ("typed", "minor"),
    [
        ("12.5", 1250),
        ("12.50", 1250),
        (" ¥12.50 ", 1250),
        ("￥１２．５０元", 1250),
        ("12。5", 1250),
        (".5", 50),
        ("12.", 1200),
        ("+1", 100),
        ("0.01", 1),
        ("0012", 1200),
        ("3.500", 350),
        ("100000000", 10_000_000_000),
    ],
)
def test_amounts_are_read_as_people_type_them(typed: str, minor: int) -> None:
    assert read_amount(typed).minor == minor


def test_the_order_holds_what_was_typed(shop: Shop) -> None:
    response = post(browser(PHONE), shop.code, "12.50", note=" 桌\u20285\t号 ", wallet="alipay")
    (order,) = shop.orders()
    assert response.status_code == 303
    assert response["Location"] == f"/pay/{order.token}/leave/alipay"
    assert (order.amount_minor, order.note, order.subject) == (1250, "桌 5 号", "晨光咖啡 中山路店")
    assert (order.code_id, order.store_id) == (shop.code.pk, shop.store.pk)


def test_a_note_that_is_too_long_is_refused_at_the_field(shop: Shop) -> None:
    response = post(browser(PHONE), shop.code, "5", note="长" * 61)
    assert response.status_code == 422
    assert "60 characters at most" in response.content.decode()
    assert shop.orders() == []


def test_the_fixed_price_is_the_code_s(shop: Shop) -> None:
    response = post(browser(ALIPAY), shop.fixed, "0.01", shown="1250")
    assert response.status_code == 303
    assert [order.amount_minor for order in shop.orders()] == [1250]


def test_a_price_changed_meanwhile_is_shown_before_it_is_paid(shop: Shop) -> None:
    with enter_scope(shop.scope):
        say(shop.fixed, amount_minor=1500)
    response = post(browser(ALIPAY), shop.fixed, shown="1250")
    page = response.content.decode()
    assert response.status_code == 422
    assert "price has just been changed" in page
    assert "¥15.00" in page
    assert 'value="1500"' in page
    assert shop.orders() == []


def test_the_same_form_sent_twice_is_one_order(shop: Shop) -> None:
    client = browser(PHONE)
    form = {"amount": "12.50", "nonce": new_token(20), "wallet": "alipay"}
    first, second = client.post(url(shop.code), form), client.post(url(shop.code), form)
    assert first["Location"] == second["Location"]
    assert len(shop.orders()) == 1
    assert len(shop.payments()) == 1
    # The payer went back and changed the amount, or the note: that is another order.
    client.post(url(shop.code), {**form, "amount": "13"})
    client.post(url(shop.code), {**form, "note": "x"})
    assert [order.amount_minor for order in shop.orders()] == [1250, 1300, 1250]


@pytest.mark.django_db(transaction=True)
def test_the_same_form_sent_at_the_same_moment_is_one_order(shop: Shop) -> None:
    form = {"amount": "12.50", "nonce": new_token(20), "wallet": "alipay"}
    start = Barrier(4)

    def send(_number: int) -> str:
        start.wait()
        try:
            return str(browser(PHONE).post(url(shop.code), form)["Location"])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        addresses = set(pool.map(send, range(4)))
    (order,) = shop.orders()
    assert addresses == {f"/pay/{order.token}/leave/alipay"}
    assert len(shop.payments()) == 1
    assert Door.objects.filter(kind="form").count() == 1


@pytest.mark.parametrize("nonce", ["", "short", "x" * 65, "12345678901234567890<>"])
def test_a_form_without_a_usable_nonce_still_pays(shop: Shop, nonce: str) -> None:
    form = {"amount": "12.50", "nonce": nonce, "wallet": "alipay"}
    assert browser(PHONE).post(url(shop.code), form).status_code == 303
    assert browser(PHONE).post(url(shop.code), form).status_code == 303
    assert len(shop.orders()) == 2


def test_a_form_of_another_code_is_another_order(shop: Shop) -> None:
    form = {"amount": "12.50", "shown": "1250", "nonce": new_token(20), "wallet": "alipay"}
    for code in (shop.code, shop.fixed):
        browser(PHONE).post(url(code), form)
    assert [order.code_id for order in shop.orders()] == [shop.code.pk, shop.fixed.pk]


def test_after_giving_up_the_same_form_opens_a_new_order(shop: Shop) -> None:
    client = browser(DESK)
    form = {"amount": "12.50", "nonce": new_token(20), "wallet": "unknown"}
    first = client.post(url(shop.code), form)
    (order,) = shop.orders()
    client.post(f"/pay/{order.token}/cancel")
    second = client.post(url(shop.code), form)
    assert first["Location"] != second["Location"]
    assert len(shop.orders()) == 2


def test_coming_back_to_the_form_finds_the_open_order(
    shop: Shop, clock: time_machine.Traveller
) -> None:
    client = browser(PHONE)
    assert 'data-testid="begun"' not in client.get(url(shop.code)).content.decode()
    post(client, shop.code)
    (order,) = shop.orders()
    page = client.get(url(shop.code)).content.decode()
    assert "You have an open order of ¥12.50 here." in page
    assert f'href="/pay/{order.token}"' in page
    # Not to others, and not at another code.
    assert 'data-testid="begun"' not in browser(PHONE).get(url(shop.code)).content.decode()
    assert 'data-testid="begun"' not in client.get(url(shop.fixed)).content.decode()
    # Nor once it was given up or its time is over.
    client.post(f"/pay/{order.token}/cancel")
    assert 'data-testid="begun"' not in client.get(url(shop.code)).content.decode()
    post(client, shop.code, "3")
    assert "¥3.00" in client.get(url(shop.code)).content.decode()
    clock.shift(timedelta(minutes=16))
    assert 'data-testid="begun"' not in client.get(url(shop.code)).content.decode()


def test_the_cookie_of_an_order_is_signed(shop: Shop) -> None:
    client = browser(PHONE)
    post(client, shop.code)
    (order,) = shop.orders()
    other = browser(PHONE)
    other.cookies["pay_opened"] = f"{order.token}:x:y"
    assert 'data-testid="begun"' not in other.get(url(shop.code)).content.decode()


def test_a_shop_without_this_wallet_s_platform_names_the_others(shop: Shop) -> None:
    shop.switch_off("wechatpay")
    client = browser(WECHAT)
    page = client.get(url(shop.code)).content.decode()
    assert "does not take WeChat Pay" in page
    assert "<strong>Alipay</strong>" in page
    assert "<form" in page
    assert 'name="amount"' not in page
    assert post(client, shop.code).status_code == 409
    assert shop.orders() == []


def test_a_shop_without_platforms_says_so(shop: Shop) -> None:
    shop.switch_off("wechatpay", "alipay")
    client = browser(DESK)
    assert "cannot take payments here yet" in client.get(url(shop.code)).content.decode()
    assert post(client, shop.code).status_code == 409
    assert shop.orders() == []


def test_posting_needs_the_form_s_csrf_token(shop: Shop) -> None:
    strict = Client(enforce_csrf_checks=True, headers={"User-Agent": PHONE})
    assert post(strict, shop.code).status_code == 403
    assert shop.orders() == []


def test_other_methods_are_refused(shop: Shop) -> None:
    assert browser(DESK).put(url(shop.code)).status_code == 405
