"""Paying: the printed code, the wallets' own browsers, any other browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop


def decode(picture: Path) -> str:
    """What a scanner reads from a picture."""
    with Image.open(picture) as image:
        found = zxingcpp.read_barcodes(image.convert("L"))
    assert len(found) == 1
    return str(found[0].text)


def pay_in_sheet(page: Page) -> None:
    """Confirm in WeChat's payment sheet."""
    sheet = page.get_by_test_id("wallet-sheet")
    sheet.get_by_test_id("pay").click()
    sheet.get_by_test_id("done").click()


def begin(page: Page, link: str, amount: str, platform: str) -> None:
    """Open a code in an ordinary browser, type the amount and choose a platform."""
    page.goto(link)
    page.get_by_test_id("amount").fill(amount)
    page.get_by_test_id(f"pay-{platform}").click()


def qr_content(page: Page) -> str:
    """The content of the code on the payer's page."""
    content = page.get_by_test_id("qr").get_attribute("data-content")
    assert content
    return content


def in_list(shop: Shop, number: str) -> str:
    """The state of a payment in the shop's list."""
    page = shop.owner.page
    page.goto(shop.url(f"transactions/?q={number}"))
    row = page.locator("#transactions tbody tr").first
    expect(row).to_contain_text(number)
    return str(row.locator("[data-state]").first.get_attribute("data-state"))


def test_the_printed_picture_holds_the_link(open_code: Code, fixed_code: Code) -> None:
    assert decode(open_code.png) == open_code.link
    assert decode(fixed_code.png) == fixed_code.link
    assert open_code.link != fixed_code.link


def test_wechat_pays_the_printed_code(
    portal: Portal, shop: Shop, open_code: Code, phone: Person
) -> None:
    pages.scan_picture(phone, portal.simulator, "wechatpay", open_code.png)
    page = phone.page
    expect(page.get_by_test_id("shop")).to_contain_text("旅途书店")
    page.get_by_test_id("amount").fill("12.34")
    page.get_by_test_id("pay-button").click()
    expect(page.get_by_test_id("wallet-sheet").get_by_test_id("amount")).to_have_text("¥12.34")
    pay_in_sheet(page)
    pages.expect_state(page, "paid")
    assert pages.money(page.get_by_test_id("amount").inner_text()) == 1234
    assert in_list(shop, pages.paid_number(page)) == "succeeded"


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
    assert in_list(shop, pages.paid_number(page)) == "succeeded"


@pytest.mark.parametrize("platform", ["wechatpay", "alipay"])
def test_a_code_on_a_desktop_screen_is_paid_with_a_phone(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, phone: Person, platform: str
) -> None:
    begin(guest.page, open_code.link, "3.21", platform)
    pages.scan_text(phone, portal.simulator, platform, qr_content(guest.page))
    expect(phone.page.get_by_test_id("amount")).to_have_text("¥3.21")
    phone.page.get_by_test_id("pay").click()
    expect(phone.page.get_by_test_id("result")).to_be_visible()
    # The page of the desktop changes by itself.
    pages.expect_state(guest.page, "paid")
    assert in_list(shop, pages.paid_number(guest.page)) == "succeeded"
