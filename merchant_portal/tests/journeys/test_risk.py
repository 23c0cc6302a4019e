"""A limit is drafted, tried on past days, taken up again and saved."""

from __future__ import annotations

from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.pages import Shop


def test_rules_are_drafted_tried_and_saved(shop: Shop) -> None:
    page = shop.owner.page
    page.goto(shop.url("risk/rules/change/"))
    page.locator('main [name="code_day-on"]').check()
    page.locator('main [name="code_day-minor"]').fill("100")
    page.locator('main [name="reason"]').fill("试用")
    with page.expect_navigation():
        page.locator("main button[formaction]").click()
    expect(page.get_by_test_id("tried")).to_be_visible()
    with page.expect_navigation():
        page.locator('main [name="again"]').click()
    expect(page.locator('main [name="code_day-minor"]')).to_have_value("100")
    pages.send(page)
    page.goto(shop.url("risk/"))
    expect(page.locator("h1")).to_be_visible()
