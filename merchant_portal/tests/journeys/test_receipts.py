"""A receipt that is kept, and money that is asked back on it: the customer on a phone, the owner at a desk."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.conftest import Meet
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop


def _let_ask(shop: Shop) -> None:
    page = shop.owner.page
    page.goto(shop.url("refunds/requests/settings/"))
    page.locator('main [name="is_open"]').check()
    pages.fill(page, {"days": "7", "policy": "七天内可以退。"})
    pages.send(page)


def _receipt(guest: Person) -> str:
    with guest.page.expect_navigation():
        guest.page.get_by_test_id("keep-link").click()
    expect(guest.page.get_by_test_id("receipt")).to_be_visible()
    return guest.page.url


def _fits(person: Person) -> bool:
    return bool(
        person.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


@pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
def test_a_customer_asks_on_the_receipt_and_the_owner_answers(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, meet: Meet, script: bool
) -> None:
    _let_ask(shop)
    pages.paid_over_native(guest, portal, shop, open_code, "20.00")
    link = _receipt(guest)
    # Kept, and opened by somebody else: another browser, 360 px wide, nothing of the first one's session.
    customer = meet(phone=True, width=360, script=script)
    page = customer.page
    page.goto(link)
    expect(page.get_by_test_id("amount")).to_have_text("¥20.00")
    assert not script or _fits(customer)
    with page.expect_navigation():
        page.get_by_test_id("ask-refund").click()
    expect(page.get_by_test_id("policy")).to_contain_text("七天内可以退。")
    page.locator('[name="amount"]').fill("20.01")
    page.locator('[name="reason"]').select_option("quality")
    with page.expect_navigation():
        page.get_by_test_id("send").click()
    expect(page.get_by_test_id("amount-error")).to_be_visible()
    assert not script or _fits(customer)
    page.locator('[name="amount"]').fill("5")
    page.locator('[name="words"]').fill("凉了 <b>")
    page.locator('[name="contact"]').fill("13812345678")
    with page.expect_navigation():
        page.get_by_test_id("send").click()
    expect(page.get_by_test_id("request")).to_have_attribute("data-state", "asked")
    # The owner declines the first in words, and accepts the second.
    owner = shop.owner.page
    owner.goto(shop.url("refunds/"))
    with owner.expect_navigation():
        owner.get_by_test_id("requests").click()
    with owner.expect_navigation():
        owner.locator("tr", has_text="凉了 <b>").locator("a").first.click()
    with owner.expect_navigation():
        owner.locator('main [name="answer"]').fill("请先到店里来")
        owner.get_by_test_id("decline").click()
    page.reload()
    expect(page.get_by_test_id("request")).to_have_attribute("data-state", "declined")
    expect(page.get_by_test_id("request")).to_contain_text("请先到店里来")
    with page.expect_navigation():
        page.get_by_test_id("ask-refund").click()
    page.locator('[name="amount"]').fill("20")
    page.locator('[name="reason"]').select_option("returned")
    with page.expect_navigation():
        page.get_by_test_id("send").click()
    owner.goto(shop.url("refunds/requests/"))
    with owner.expect_navigation():
        owner.locator('tr:has([data-request-state="asked"]) a').first.click()
    with owner.expect_navigation():
        owner.get_by_test_id("accept").click()
    pages.expect_refund(owner, "succeeded")
    page.reload()
    expect(page.get_by_test_id("request").first).to_have_attribute("data-state", "accepted")
    expect(page.get_by_test_id("receipt-state")).to_have_text("Paid, and refunded in full")
    expect(page.get_by_test_id("ask-refund")).to_have_count(0)


def test_a_receipt_found_again_after_the_network_was_away(
    portal: Portal, shop: Shop, open_code: Code, meet: Meet
) -> None:
    guest = meet()
    page = guest.page
    pages.begin(page, open_code.link, "7.00", "wechatpay")
    content = pages.qr_content(page)
    guest.context.set_offline(True)
    portal.control("pay", {"platform": shop.takes["wechatpay"], "code": content})
    expect(page.locator("[data-offline]")).to_be_visible()
    guest.context.set_offline(False)
    pages.expect_state(page, "paid")
    link = _receipt(guest)
    assert re.search(r"/receipt/\w{20}$", link)
    guest.troubles[:] = [one for one in guest.troubles if "ERR_INTERNET_DISCONNECTED" not in one]
