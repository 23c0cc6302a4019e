"""The till: the code on the customer's phone, a password, a refusal, no answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Shop


@pytest.fixture(scope="module")
def failing(portal: Portal, aggregated_shop: Shop, aggregator: dict[str, Any]) -> list[str]:
    """Terminals whose keys are to be lost, activated long enough ago that a refusal is not put down to a race."""
    page = aggregated_shop.owner.page
    names = ["First to fail", "Second to fail"]
    for name in names:
        page.goto(aggregated_shop.url("terminals/add/"))
        pages.fill(page, {"name": name})
        pages.send(page)
        wanted = {"merchant_no": aggregator["merchant_no"]}
        code = portal.control("activation-codes", wanted)["code"]
        page.locator('form.use-form [name="code"]').fill(code)
        with page.expect_navigation():
            page.locator("form.use-form button[type=submit]").click()
        expect(page.locator(".use-card [data-state]")).to_have_attribute("data-state", "active")
    page.wait_for_timeout(31_000)
    return names


@pytest.mark.parametrize("wallet", ["wechatpay", "alipay", "unionpay"])
def test_a_customers_code_is_paid_at_once(
    portal: Portal, shop: Shop, cashier: Person, wallet: str
) -> None:
    digits = pages.pay_code(portal, wallet)
    began = time.monotonic()
    page = pages.charge(cashier, shop, "15.60", digits)
    pages.expect_stage(page, "paid")
    tell(f"till, {wallet}: {time.monotonic() - began:.2f} s from opening the till to the money")
    expect(page.locator(".charge-amount")).to_have_text("¥15.60")
    assert digits not in page.content()
    with page.expect_navigation():
        page.get_by_role("link", name="Details").click()
    expect(page.locator("#story .order-top [data-state]")).to_have_attribute("data-state", "paid")
    expect(page.locator("#story dl.facts").first).to_contain_text("Taken at the till by")


@pytest.mark.parametrize("wallet", ["wechatpay", "alipay", "unionpay"])
def test_an_aggregator_takes_the_codes_of_all_wallets(
    portal: Portal, aggregated_shop: Shop, wallet: str
) -> None:
    page = pages.charge(
        aggregated_shop.owner, aggregated_shop, "3.60", pages.pay_code(portal, wallet)
    )
    pages.expect_stage(page, "paid")


def test_the_wallet_is_named_before_anything_is_sent(
    portal: Portal, shop: Shop, cashier: Person
) -> None:
    page = cashier.page
    page.goto(shop.url("till/"))
    hint = page.locator("[data-till-hint]")
    code = page.locator('main [name="code"]')
    for wallet, name in (("alipay", "Alipay"), ("unionpay", "UnionPay"), ("wechatpay", "WeChat")):
        code.fill(pages.pay_code(portal, wallet))
        expect(hint).to_contain_text(name)
    code.fill("990000000000000000")
    pages.fill(page, {"amount": "1.00"})
    with page.expect_navigation():
        page.locator("form[data-till] .till-go").click()
    assert len(pages.field_errors(page, "code")) > 10
    expect(page.locator('main [name="amount"]')).to_have_value("1.00")


def test_a_scanner_types_into_whatever_field_has_the_cursor(
    portal: Portal, shop: Shop, cashier: Person
) -> None:
    page = cashier.page
    page.goto(shop.url("till/"))
    amount = page.locator('main [name="amount"]')
    amount.fill("2.20")
    amount.focus()
    with page.expect_navigation():
        page.keyboard.type(pages.pay_code(portal, "alipay"))
        page.keyboard.press("Enter")
    pages.expect_stage(page, "paid")
    expect(page.locator(".charge-amount")).to_have_text("¥2.20")


@pytest.mark.parametrize("wallet", ["wechatpay", "alipay"])
def test_a_password_is_waited_for_live(
    portal: Portal, shop: Shop, cashier: Person, phone: Person, wallet: str
) -> None:
    # The customer's phone shows its code; the customer will have to type a password.
    page = phone.page
    page.goto(f"{portal.simulator}/wallet/{wallet}/paycode")
    with page.expect_navigation():
        page.get_by_test_id("behaviour-password").click()
    digits = page.get_by_test_id("paycode").get_attribute("data-digits")
    assert digits
    till = pages.charge(cashier, shop, "88.00", digits)
    pages.expect_stage(till, "confirming")
    expect(till.locator("[data-seconds]")).to_be_visible()
    confirm = page.get_by_test_id("confirm")
    expect(confirm).to_be_visible(timeout=60_000)
    confirm.click()
    began = time.monotonic()
    pages.expect_stage(till, "paid")
    tell(f"till, {wallet}: {time.monotonic() - began:.1f} s after the customer's password")


def test_a_refusal_is_said_and_another_code_is_tried(
    portal: Portal, shop: Shop, cashier: Person
) -> None:
    page = pages.charge(cashier, shop, "45.00", pages.pay_code(portal, "wechatpay", "poor"))
    pages.expect_stage(page, "refused")
    reason = page.locator(".charge-say strong").inner_text()
    tell(f"till, refused: {reason}")
    assert "balance" in reason
    assert page.locator("#charge").inner_text().count("othing was charged") == 1
    page.locator("#again").fill(pages.pay_code(portal, "alipay"))
    with page.expect_navigation():
        page.locator(".charge-again button[type=submit]").click()
    pages.expect_stage(page, "paid")
    expect(page.locator(".charge-amount")).to_have_text("¥45.00")


def test_what_nobody_knows_is_taken_back(
    portal: Portal,
    shop: Shop,
    cashier: Person,
    faults: Callable[..., None],
    credentials: dict[str, dict[str, Any]],
) -> None:
    # The customer's money was taken, but the platform tells nobody.
    faults("pay_unknown", platform="alipay", uses=1)
    faults("lost_before_commit", platform="alipay", value={"path": "alipay.trade.query"})
    faults("notify_off")
    page = pages.charge(cashier, shop, "27.50", pages.pay_code(portal, "alipay"))
    pages.expect_stage(page, "unknown")
    with page.expect_navigation():
        page.locator(".charge-give-up").click()
    pages.expect_stage(page, "reversed")
    found = re.search(r"/till/(\d+)/", page.url)
    assert found
    page.goto(shop.url(f"orders/{found[1]}/"))
    number = page.locator("#story .pay-number [data-copy]").first.get_attribute("data-copy")
    assert number
    # The platform took the money, and gave it back.
    merchant_no = credentials["alipay"]["merchant_no"]
    books = portal.control(f"books?platform=alipay&merchant_no={merchant_no}")
    theirs = next(row for row in books["payments"] if row["out_trade_no"] == number)
    assert (theirs["amount_fen"], theirs["refunded_fen"]) == (2750, 2750)


def test_a_lost_key_ends_the_payment_and_the_next_scan_is_taken(
    portal: Portal, aggregated_shop: Shop, failing: list[str], faults: Callable[..., None]
) -> None:
    faults("key_revoked", platform="shouqianba", value={"path": "/upay/v2/pay"}, uses=1)
    digits = pages.pay_code(portal, "wechatpay")
    person, shop = aggregated_shop.owner, aggregated_shop
    page = pages.charge(person, shop, "18.80", digits, terminal=failing[0])
    pages.expect_stage(page, "refused")
    said = page.locator("#charge").inner_text()
    assert "no longer accepts the terminal's key" in said
    assert said.count("othing was charged") == 1
    page.locator("#again").fill(digits)
    with page.expect_navigation():
        page.locator(".charge-again button[type=submit]").click()
    pages.expect_stage(page, "paid")


def test_where_nobody_can_be_told_the_cashier_goes_on_with_a_warning(
    portal: Portal, aggregated_shop: Shop, failing: list[str], faults: Callable[..., None]
) -> None:
    faults("lost_before_commit", platform="shouqianba", value={"path": "/upay/v2/pay"}, uses=1)
    faults("key_revoked", platform="shouqianba", value={"path": "/upay/v2/query"}, uses=1)
    digits = pages.pay_code(portal, "wechatpay")
    person, shop = aggregated_shop.owner, aggregated_shop
    page = pages.charge(person, shop, "19.90", digits, terminal=failing[1])
    pages.expect_stage(page, "unknown")
    word = page.locator(".charge-word")
    expect(word).to_have_text("Nobody knows whether it was paid", timeout=60_000)
    expect(page.locator("#charge")).to_contain_text("Look in Shouqianba's console")
    story = page.url.replace("/till/", "/orders/")
    with page.expect_navigation():
        page.get_by_role("link", name="Next customer").click()
    expect(page.locator("main .note")).to_contain_text("¥19.90")
    page.goto(story)
    expect(page.locator("#story .order-top")).not_to_contain_text("has not paid yet")


def test_a_payment_in_doubt_turns_out_to_be_paid(
    portal: Portal, shop: Shop, cashier: Person, faults: Callable[..., None]
) -> None:
    faults("lost_after_commit", platform="wechatpay", value={"path": "/codepay"}, uses=1)
    faults("notify_off")
    page = pages.charge(cashier, shop, "12.00", pages.pay_code(portal, "wechatpay"))
    pages.expect_stage(page, "paid")
