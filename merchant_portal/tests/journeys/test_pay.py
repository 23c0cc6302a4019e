"""Paying: the printed code, the wallets' own browsers, any other browser."""

from __future__ import annotations

from pathlib import Path

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.conftest import Meet
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop


def decode(picture: Path) -> str:
    """What a scanner reads from a picture."""
    with Image.open(picture) as image:
        found = zxingcpp.read_barcodes(image.convert("L"))
    assert len(found) == 1
    return str(found[0].text)


def test_the_printed_picture_holds_the_link(open_code: Code, fixed_code: Code) -> None:
    assert decode(open_code.png) == open_code.link
    assert decode(fixed_code.png) == fixed_code.link
    assert open_code.link != fixed_code.link


def test_another_language_keeps_what_was_typed_and_going_back_finds_the_order(
    open_code: Code, phone: Person
) -> None:
    page = phone.page
    page.goto(open_code.link)
    page.get_by_test_id("amount").fill("7.70")
    for _ in range(2):
        before = page.locator("html").get_attribute("lang")
        with page.expect_navigation():
            page.get_by_test_id("language").click()
        assert page.locator("html").get_attribute("lang") != before
        expect(page.get_by_test_id("amount")).to_have_value("7.70")
    page.get_by_test_id("pay-alipay").click()
    expect(page.get_by_test_id("cashier")).to_be_visible()
    page.goto(open_code.link)
    expect(page.get_by_test_id("amount")).to_have_value("")
    expect(page.get_by_test_id("begun")).to_contain_text("¥7.70")
    page.get_by_test_id("go-on").click()
    pages.expect_state(page, "open")
    page.get_by_test_id("give-up").click()
    pages.expect_state(page, "closed")


def test_wechat_pays_the_printed_code(
    portal: Portal, shop: Shop, open_code: Code, phone: Person
) -> None:
    pages.scan_picture(phone, portal.simulator, "wechatpay", open_code.png)
    page = phone.page
    expect(page.get_by_test_id("shop")).to_contain_text("Journey Books")
    page.get_by_test_id("amount").fill("12.34")
    page.get_by_test_id("pay-button").click()
    expect(page.get_by_test_id("wallet-sheet").get_by_test_id("amount")).to_have_text("¥12.34")
    pages.pay_in_sheet(page)
    pages.expect_state(page, "paid")
    assert pages.money(page.get_by_test_id("amount").inner_text()) == 1234
    assert pages.in_list(shop, pages.paid_number(page)) == "succeeded"


def test_alipay_pays_the_printed_code(
    portal: Portal, shop: Shop, fixed_code: Code, phone: Person
) -> None:
    pages.scan_picture(phone, portal.simulator, "alipay", fixed_code.png)
    page = phone.page
    page.get_by_test_id("pay-button").click()
    expect(page.get_by_test_id("cashier")).to_have_attribute("data-step", "confirm")
    page.get_by_test_id("pay").click()
    pages.expect_state(page, "paid")
    assert pages.money(page.get_by_test_id("amount").inner_text()) == 880
    assert pages.in_list(shop, pages.paid_number(page)) == "succeeded"


def test_unionpay_pays_the_printed_code(
    portal: Portal, shop: Shop, open_code: Code, phone: Person
) -> None:
    pages.scan_picture(phone, portal.simulator, "unionpay", open_code.png)
    page = phone.page
    page.get_by_test_id("amount").fill("16.80")
    page.get_by_test_id("pay-button").click()
    # A form that sends itself leads to the cashier, and a form leads back.
    expect(page.get_by_test_id("cashier")).to_have_attribute("data-step", "confirm")
    expect(page.get_by_test_id("cashier").get_by_test_id("amount")).to_have_text("¥16.80")
    pages.pay_at_cashier(page)
    pages.expect_state(page, "paid")
    assert pages.money(page.get_by_test_id("amount").inner_text()) == 1680
    assert pages.in_list(shop, pages.paid_number(page)) == "succeeded"


@pytest.mark.parametrize("wallet", ["wechatpay", "alipay", "unionpay"])
def test_a_code_on_a_desktop_screen_is_paid_with_a_phone(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, phone: Person, wallet: str
) -> None:
    pages.begin(guest.page, open_code.link, "3.21", wallet)
    pages.scan_text(phone, portal.simulator, wallet, pages.qr_content(guest.page))
    expect(phone.page.get_by_test_id("amount")).to_have_text("¥3.21")
    phone.page.get_by_test_id("pay").click()
    expect(phone.page.get_by_test_id("result")).to_be_visible()
    # The page of the desktop changes by itself.
    pages.expect_state(guest.page, "paid")
    assert pages.in_list(shop, pages.paid_number(guest.page)) == "succeeded"


def test_alipay_is_paid_on_the_same_device(shop: Shop, open_code: Code, guest: Person) -> None:
    page = guest.page
    pages.begin(page, open_code.link, "6.06", "alipay")
    page.get_by_test_id("here-alipay").click()
    # Without a wallet's own browser the way leads over the platform's page and back.
    page.get_by_test_id("pay").click()
    pages.expect_state(page, "paid")
    assert pages.in_list(shop, pages.paid_number(page)) == "succeeded"


def test_cancelling_in_wechat_charges_nothing_and_leaves_the_order_open(
    portal: Portal, shop: Shop, fixed_code: Code, phone: Person
) -> None:
    pages.scan_picture(phone, portal.simulator, "wechatpay", fixed_code.png)
    page = phone.page
    page.get_by_test_id("pay-button").click()
    page.get_by_test_id("wallet-sheet").get_by_test_id("cancel").click()
    pages.expect_state(page, "open")
    expect(page.locator("[data-told]")).not_to_be_empty()
    # Then the payer decides not to pay at all.
    page.get_by_test_id("give-up").click()
    pages.expect_state(page, "closed")
    expect(page.get_by_test_id("start-again")).to_be_visible()


def test_cancelling_in_alipay_leads_back_to_the_open_order(
    portal: Portal, fixed_code: Code, phone: Person
) -> None:
    pages.scan_picture(phone, portal.simulator, "alipay", fixed_code.png)
    page = phone.page
    page.get_by_test_id("pay-button").click()
    page.get_by_test_id("cancel").click()
    pages.expect_state(page, "open")
    # And after all it is paid.
    page.get_by_test_id("pay-alipay").click()
    page.get_by_test_id("pay").click()
    pages.expect_state(page, "paid")


def test_giving_up_closes_the_order_at_the_platform_too(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, phone: Person
) -> None:
    page = guest.page
    pages.begin(page, open_code.link, "7.77", "wechatpay")
    content = pages.qr_content(page)
    page.get_by_test_id("give-up").click()
    pages.expect_state(page, "closed")
    pages.scan_text(phone, portal.simulator, "wechatpay", content)
    expect(phone.page.get_by_test_id("error")).to_be_visible()
    page.get_by_test_id("start-again").click()
    expect(page.get_by_test_id("amount")).to_be_visible()


@pytest.mark.parametrize("amount", ["0", "0.001", "-1", "1000000000000", "abc", ""])
def test_an_amount_that_cannot_be_paid_is_refused_where_the_payer_stands(
    open_code: Code, guest: Person, amount: str
) -> None:
    page = guest.page
    page.goto(open_code.link)
    page.get_by_test_id("amount").fill(amount)
    page.get_by_test_id("pay-wechatpay").click()
    expect(page.get_by_test_id("amount-error")).not_to_be_empty()
    assert page.url == open_code.link


def test_a_code_is_paused_resumed_and_retired(shop: Shop, guest: Person) -> None:
    pk = pages.create_code(shop, name="摊位")
    page = shop.owner.page
    link = page.locator("[data-copy*='/q/']").first.get_attribute("data-copy")
    assert link
    for step, state in (("pause", "paused"), ("resume", None), ("retire", "retired")):
        page.goto(shop.url(f"codes/{pk}/{step}/"))
        pages.send(page)
        guest.page.goto(link)
        if state is None:
            expect(guest.page.get_by_test_id("pay-wechatpay")).to_be_visible()
        else:
            expect(guest.page.get_by_test_id("code-state")).to_have_attribute("data-state", state)


def test_a_token_that_nobody_gave_out_is_told_so(portal: Portal, guest: Person) -> None:
    for path in ("/q/AAAAAAAAAAAA", "/pay/AAAAAAAAAAAAAAAA"):
        answer = guest.page.goto(path)
        assert answer is not None
        assert answer.status == 404
        expect(guest.page.get_by_test_id("unknown")).to_be_visible()


def test_the_payers_page_speaks_chinese(open_code: Code, meet: Meet) -> None:
    payer = meet(language="zh-hans", phone=True)
    payer.page.goto(open_code.link)
    expect(payer.page.get_by_test_id("shop")).to_have_text("旅途书店")
    expect(payer.page.get_by_test_id("pay-wechatpay")).to_contain_text("微信")
