"""Giving money back, alone and with a second person."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop


def test_a_small_refund_is_sent_at_once(
    portal: Portal, shop: Shop, open_code: Code, guest: Person
) -> None:
    paid = pages.paid_over_native(guest, portal, shop, open_code, "20.00")
    pages.refund(shop.owner, shop, paid, "5.00")
    page = shop.owner.page
    pages.expect_refund(page, "succeeded")
    page.goto(shop.url(f"orders/{paid.order_id}/"))
    expect(page.locator(".order-refunded")).to_contain_text("¥5.00")


def test_what_cannot_be_refunded_is_refused(
    portal: Portal, shop: Shop, open_code: Code, guest: Person
) -> None:
    paid = pages.paid_over_native(guest, portal, shop, open_code, "20.00")
    page = shop.owner.page
    for amount in ("0", "-1", "0.001", "20.01", "1000000000000"):
        pages.ask_refund(shop.owner, shop, paid, amount)
        assert len(pages.field_errors(page, "amount")) > 10, amount
    page.goto(shop.url(f"orders/{paid.order_id}/"))
    expect(page.locator(".refund")).to_have_count(0)


def test_a_large_refund_waits_for_another_member(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, cashier: Person, finance: Person
) -> None:
    paid = pages.paid_over_native(guest, portal, shop, open_code, "500.00")
    pages.refund(cashier, shop, paid, "300.00", reason="退一半")
    page = cashier.page
    pages.expect_refund(page, "waiting")
    # What waits is reserved: no second request may go beyond what was paid.
    pages.ask_refund(shop.owner, shop, paid, "200.01")
    assert len(pages.field_errors(shop.owner.page, "amount")) > 10
    # The cashier may look at the confirmation but not decide.
    href = page.locator('#refund a[href*="/approvals/"]').first.get_attribute("href")
    assert href
    answer = page.goto(href)
    assert answer is not None
    if answer.status == 200:
        assert page.locator('button[value="approve"]').count() == 0
    page.go_back()
    finance.page.goto(shop.url("approvals/"))
    finance.page.locator(f'a[href="{href}"]').first.click()
    expect(finance.page.locator(".approval-amount")).to_have_text("¥300.00")
    with finance.page.expect_navigation():
        finance.page.locator('button[value="approve"]').click()
    # The cashier's page hears of it by itself.
    pages.expect_refund(page, "succeeded")


def test_nobody_confirms_their_own_request(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, finance: Person
) -> None:
    paid = pages.paid_over_native(guest, portal, shop, open_code, "450.00")
    pages.refund(shop.owner, shop, paid, "250.00")
    page = shop.owner.page
    pages.expect_refund(page, "waiting")
    refund = page.url
    href = page.locator('#refund a[href*="/approvals/"]').first.get_attribute("href")
    assert href
    page.goto(href)
    assert page.locator('button[value="approve"]').count() == 0
    # Nor by a request that no button sends.
    finance.page.goto(href)
    digest = finance.page.locator('[name="digest"]').first.input_value()
    token = page.locator('[name="csrfmiddlewaretoken"]').first.input_value()
    answer = page.request.post(
        href,
        form={"digest": digest, "decision": "approve", "csrfmiddlewaretoken": token},
        headers={"Referer": page.url},
    )
    assert answer.status < 500
    page.goto(refund)
    pages.expect_refund(page, "waiting")
    # The other member refuses, with a reason; nothing moves.
    finance.page.locator(".approval-refuse summary").click()
    finance.page.locator('.approval-refuse [name="reason"]').fill("收据不对")
    with finance.page.expect_navigation():
        finance.page.locator('button[value="refuse"]').click()
    page.goto(refund)
    expect(page.locator("#refund .refund-head [data-state]")).to_have_attribute(
        "data-state", re.compile("rejected|refused")
    )
    page.goto(shop.url(f"orders/{paid.order_id}/"))
    expect(page.locator(".order-refunded")).to_have_count(0)
