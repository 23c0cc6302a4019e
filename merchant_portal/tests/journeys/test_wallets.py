"""One code for all wallets: by way of an aggregator, changing one's mind, paying twice, the order of preference."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop


@pytest.mark.parametrize("wallet", ["wechatpay", "alipay"])
def test_an_aggregators_page_opens_inside_the_wallet(
    portal: Portal, aggregated_shop: Shop, aggregated_code: Code, phone: Person, wallet: str
) -> None:
    pages.scan_picture(phone, portal.simulator, wallet, aggregated_code.png)
    page = phone.page
    page.get_by_test_id("amount").fill("21.60")
    page.get_by_test_id("pay-button").click()
    expect(page.get_by_test_id("cashier").get_by_test_id("amount")).to_have_text("¥21.60")
    pages.pay_at_cashier(page)
    pages.expect_state(page, "paid")
    assert pages.in_list(aggregated_shop, pages.paid_number(page)) == "succeeded"


@pytest.mark.parametrize("wallet", ["wechatpay", "alipay", "unionpay"])
def test_an_aggregators_code_is_paid_with_each_wallet(
    portal: Portal,
    aggregated_shop: Shop,
    aggregated_code: Code,
    guest: Person,
    phone: Person,
    wallet: str,
) -> None:
    pages.begin(guest.page, aggregated_code.link, "6.54", wallet)
    pages.scan_text(phone, portal.simulator, wallet, pages.qr_content(guest.page))
    phone.page.get_by_test_id("pay").click()
    expect(phone.page.get_by_test_id("result")).to_be_visible()
    pages.expect_state(guest.page, "paid")
    assert pages.in_list(aggregated_shop, pages.paid_number(guest.page)) == "succeeded"


def test_a_wallet_that_no_account_takes_inside_is_told_which_do(
    portal: Portal, aggregated_code: Code, phone: Person
) -> None:
    pages.scan_picture(phone, portal.simulator, "unionpay", aggregated_code.png)
    page = phone.page
    expect(page.get_by_test_id("pay-button")).to_have_count(0)
    for other in ("WeChat Pay", "Alipay"):
        expect(page.locator("main")).to_contain_text(other)


def test_who_leaves_one_wallet_pays_with_another(
    portal: Portal, shop: Shop, fixed_code: Code, phone: Person
) -> None:
    pages.scan_picture(phone, portal.simulator, "wechatpay", fixed_code.png)
    page = phone.page
    page.get_by_test_id("pay-button").click()
    page.get_by_test_id("wallet-sheet").get_by_test_id("cancel").click()
    pages.expect_state(page, "open")
    expect(page.get_by_test_id("elsewhere")).to_contain_text("UnionPay")
    # The same order, opened in another wallet.
    path = page.url.split("/pay/", 1)[1].split("?")[0].split("#")[0]
    pages.scan_text(phone, portal.simulator, "unionpay", f"{portal.address}/pay/{path}")
    page.get_by_test_id("pay-button").click()
    pages.pay_at_cashier(page)
    pages.expect_state(page, "paid")
    order = pages.order_of(shop, pages.paid_number(page))
    # What was left behind is closed at its platform, so that it cannot be paid as well.
    expect_payments(shop, order, "succeeded", "closed")


def test_at_a_desk_one_code_gives_way_to_another(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, phone: Person
) -> None:
    page = guest.page
    pages.begin(page, open_code.link, "4.02", "wechatpay")
    first = pages.qr_content(page)
    page.get_by_test_id("pay-unionpay").click()
    page.wait_for_url("**with=unionpay**")
    second = pages.qr_content(page)
    assert second != first
    pages.scan_text(phone, portal.simulator, "unionpay", second)
    phone.page.get_by_test_id("pay").click()
    pages.expect_state(page, "paid")
    order = pages.order_of(shop, pages.paid_number(page))
    expect_payments(shop, order, "succeeded", "closed")
    pages.scan_text(phone, portal.simulator, "wechatpay", first)
    expect(phone.page.get_by_test_id("error")).to_be_visible()


def test_what_was_paid_twice_goes_back_by_itself(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, faults: Callable[..., None]
) -> None:
    # Neither platform says anything, so that the second wallet is quicker than our closing of its order.
    faults("notify_off")
    page = guest.page
    pages.begin(page, open_code.link, "19.90", "wechatpay")
    contents = {"wechatpay": pages.qr_content(page)}
    page.get_by_test_id("pay-alipay").click()
    page.wait_for_url("**with=alipay**")
    contents["alipay"] = pages.qr_content(page)
    order_page = page.url
    page.goto("about:blank")
    for platform, content in contents.items():
        portal.control("pay", {"platform": platform, "code": content})
    page.goto(order_page)
    pages.expect_state(page, "paid")
    # WeChat Pay is asked about a refund after a minute only; its notification comes sooner.
    portal.control("faults", {}, "DELETE")
    order = pages.order_of(shop, pages.paid_number(page))
    # The shop's page tells it as it goes on.
    told = shop.owner.page
    told.goto(shop.url(f"orders/{order}/"))
    expect(told.locator("#story")).to_contain_text("¥19.90 went back by itself", timeout=60_000)
    expect(told.locator("#story .refund")).to_have_count(1)
    expect(told.locator("#story .refund")).to_contain_text("Made by the portal")
    expect(told.locator(".order-refunded")).to_have_count(0)
    # And so does the payer's.
    page.reload()
    note = page.get_by_test_id("paid-twice")
    expect(note).to_have_attribute("data-state", "returned")
    expect(note).to_contain_text("¥19.90")


def test_the_order_of_preference_decides_who_takes_the_money(
    portal: Portal, shop: Shop, open_code: Code, guest: Person
) -> None:
    page = shop.owner.page

    def preferred() -> list[str]:
        return page.locator("#preference .preference-item strong").all_inner_texts()

    page.goto(shop.url("platforms/"))
    before = preferred()
    assert before[-1] == "Own shouqianba"
    up = "Move Own shouqianba up"
    while preferred()[0] != "Own shouqianba":
        with page.expect_navigation():
            page.get_by_role("button", name=up).click()
    try:
        pages.begin(guest.page, open_code.link, "7.31", "wechatpay")
        content = pages.qr_content(guest.page)
        portal.control("pay", {"platform": "shouqianba", "code": content})
        pages.expect_state(guest.page, "paid")
        number = pages.paid_number(guest.page)
        order = pages.order_of(shop, number)
        page.goto(shop.url(f"orders/{order}/"))
        facts = page.locator("dl.facts").first
        expect(facts).to_contain_text("Own shouqianba")
        expect(facts).to_contain_text("WeChat Pay")
    finally:
        page.goto(shop.url("platforms/"))
        while preferred() != before:
            with page.expect_navigation():
                page.get_by_role("button", name="Move Own shouqianba down").click()


def expect_payments(shop: Shop, order: int, *states: str) -> None:
    """Until the order's page shows one payment in each of these states, by itself, and no other."""
    page = shop.owner.page
    page.goto(shop.url(f"orders/{order}/"))
    badges = "#story .pay-card > .card-body > .pay-head [data-state]"
    expect(page.locator(badges)).to_have_count(len(states))
    for state in states:
        badge = page.locator(badges.replace("[data-state]", f'[data-state="{state}"]'))
        expect(badge).to_have_count(1, timeout=60_000)
