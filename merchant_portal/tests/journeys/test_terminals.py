"""Devices: added, activated at the platform that wants it, named by the payments they take."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop


def added(shop: Shop, name: str, serial_no: str) -> int:
    """Add a terminal through its form; its number in the addresses."""
    page = shop.owner.page
    page.goto(shop.url("terminals/add/"))
    values = {"name": name, "brand": "Sunmi", "model_name": "V2 Pro", "serial_no": serial_no}
    pages.fill(page, values)
    pages.send(page)
    assert "/add/" not in page.url, page.locator("main").inner_text()
    return pages.last_number(page.url)


@pytest.fixture(scope="module")
def terminal(aggregated_shop: Shop) -> int:
    """A terminal of the shop whose platform has terminals."""
    return added(aggregated_shop, "Till 1", "V2PRO-0001")


@pytest.fixture(scope="module")
def activated(
    portal: Portal, aggregated_shop: Shop, aggregator: dict[str, Any], terminal: int
) -> int:
    """The same, once its activation code was typed in."""
    page = aggregated_shop.owner.page
    page.goto(aggregated_shop.url(f"terminals/{terminal}/"))
    use = page.locator(".use-card")
    expect(use.locator("[data-state]")).to_have_attribute("data-state", "none")
    form = use.locator("form.use-form")
    form.locator('[name="code"]').fill("00000000")
    with page.expect_navigation():
        form.locator("button[type=submit]").click()
    words = use.locator(".errorlist li, .invalid-feedback").first.inner_text()
    assert len(words) > 10
    code = portal.control("activation-codes", {"merchant_no": aggregator["merchant_no"]})["code"]
    use.locator('form.use-form [name="code"]').fill(code)
    with page.expect_navigation():
        use.locator("form.use-form button[type=submit]").click()
    expect(use.locator("[data-state]")).to_have_attribute("data-state", "active")
    expect(use.locator("dd.mono")).not_to_be_empty()
    assert code not in page.content()
    return terminal


def test_a_terminal_is_listed_with_where_it_is_activated(
    aggregated_shop: Shop, activated: int
) -> None:
    page = aggregated_shop.owner.page
    page.goto(aggregated_shop.url("terminals/"))
    row = page.locator("main tbody tr", has_text="Till 1")
    expect(row).to_contain_text("V2PRO-0001")
    expect(row).to_contain_text("Activated")


def test_a_payment_at_the_till_carries_its_terminal(
    portal: Portal, aggregated_shop: Shop, activated: int
) -> None:
    digits = pages.pay_code(portal, "wechatpay")
    page = pages.charge(aggregated_shop.owner, aggregated_shop, "33.30", digits, terminal="Till 1")
    pages.expect_stage(page, "paid")
    expect(page.locator("main")).to_contain_text("Till 1")
    with page.expect_navigation():
        page.get_by_role("link", name="Details").click()
    link = page.locator(f'#story dl.facts a[href$="/terminals/{activated}/"]')
    expect(link).to_have_text("Till 1")
    # The platform saw the terminal's own key, not that of the portal.
    terminal_sn = used_terminal(aggregated_shop, activated)
    page.goto(f"{portal.simulator}/control/shouqianba/")
    expect(page.locator("main, body").first).to_contain_text(terminal_sn)
    page.goto(aggregated_shop.url(f"terminals/{activated}/"))
    expect(page.locator("main")).not_to_contain_text("Last seen Never")


def test_a_payment_by_its_code_carries_its_terminal(
    portal: Portal, aggregated_shop: Shop, activated: int, aggregated_code: Code, guest: Person
) -> None:
    page = aggregated_shop.owner.page
    page.goto(aggregated_shop.url(f"terminals/{activated}/"))
    page.locator("#add-code").select_option(value=str(aggregated_code.pk))
    with page.expect_navigation():
        page.locator("form.code-add button[type=submit]").click()
    paid = pages.paid_over_native(
        guest, portal, aggregated_shop, aggregated_code, "14.40", "alipay"
    )
    page.goto(aggregated_shop.url(f"orders/{paid.order_id}/"))
    expect(page.locator(f'#story dl.facts a[href$="/terminals/{activated}/"]')).to_be_visible()
    # Given back through the same terminal.
    pages.refund(aggregated_shop.owner, aggregated_shop, paid, "4.40")
    pages.expect_refund(page, "succeeded")


def test_no_two_terminals_of_a_store_have_one_name(aggregated_shop: Shop, terminal: int) -> None:
    page = aggregated_shop.owner.page
    page.goto(aggregated_shop.url("terminals/add/"))
    pages.fill(page, {"name": "Till 1", "serial_no": "OTHER"})
    pages.send(page)
    assert len(pages.field_errors(page, "name")) > 10


def used_terminal(shop: Shop, terminal: int) -> str:
    """The number that the platform gave a terminal."""
    page = shop.owner.page
    page.goto(shop.url(f"terminals/{terminal}/"))
    return str(page.locator(".use-card dd.mono").first.inner_text())
