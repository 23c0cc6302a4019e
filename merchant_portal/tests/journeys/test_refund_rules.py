"""The refund rules change under the hands of a cashier: written, tried, published, and made for a past refund."""

from __future__ import annotations

from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop


def test_an_owner_writes_rules_while_a_cashier_refunds(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, cashier: Person
) -> None:
    paid = pages.paid_over_native(guest, portal, shop, open_code, "90.00")
    pages.refund(cashier, shop, paid, "30.00", reason="茶凉了")
    past = cashier.page.url
    # The cashier has the next confirmation before the eyes …
    pages.ask_refund(cashier, shop, paid, "31.00")
    expect(cashier.page.locator(".confirm-amount")).to_have_text("¥31.00")

    # … while the owner makes a rule of the refund before.
    page = shop.owner.page
    page.goto(past)
    page.locator('a[href*="/rules/draft/new/?refund="]').click()
    expect(page.locator('[name="total_over"]')).to_have_value("29.99")
    page.locator('[name="outcome"][value="refuse"]').check()
    page.locator('[name="total_over"]').fill("90000")
    page.locator('[name="note"]').fill("先问店主")
    with page.expect_navigation():
        page.locator(".rule-form button[type=submit]").click()
    expect(page.locator(".rule-line").first).to_contain_text("先问店主")
    # Nothing of the past would have come to so much.
    page.goto(shop.url("refunds/rules/draft/simulate/"))
    expect(page.locator(".rule-change")).to_have_count(0)
    page.goto(shop.url("refunds/rules/draft/1/"))
    page.locator('[name="total_over"]').fill("20")
    with page.expect_navigation():
        page.locator(".rule-form button[type=submit]").click()
    # Now the refund of the morning shows, with a link.
    page.goto(shop.url("refunds/rules/draft/simulate/"))
    mine = page.locator(f'.rule-change a[href="{past.removeprefix(portal.address)}"]')
    expect(mine).to_have_count(1)
    page.goto(shop.url("refunds/rules/draft/publish/"))
    page.locator('[name="day"]').fill("2020-01-01")
    with page.expect_navigation():
        page.locator("form button[type=submit].btn-primary").click()
    assert len(pages.field_errors(page, "day")) > 5
    page.locator('[name="day"]').fill("")
    with page.expect_navigation():
        page.locator("form button[type=submit].btn-primary").click()
    expect(page.locator(".rule-line").first).to_contain_text("先问店主")

    # What the cashier confirms is looked at once more: nothing is sent, and the page says why.
    with cashier.page.expect_navigation():
        cashier.page.locator(".confirm-form .btn-primary").click()
    expect(cashier.page.locator("main")).to_contain_text("先问店主")
    expect(cashier.page.locator("main")).to_contain_text("¥30.00")
    page.goto(shop.url(f"orders/{paid.order_id}/"))
    expect(page.locator(".refund")).to_have_count(1)

    # Back to the portal's own rules: a version like any other.
    page.goto(shop.url("refunds/rules/0/"))
    for _step in range(2):
        with page.expect_navigation():
            page.locator("main form button[type=submit].btn-primary").click()
        if page.url.endswith("/rules/draft/"):
            page.goto(shop.url("refunds/rules/draft/publish/"))
    expect(page.locator(".rule-line").first).to_contain_text("¥200.00")
