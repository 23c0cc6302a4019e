"""Sales at a POS device: a rule is tried, kept, and books them; the list of transactions says where they come from."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from merchant_portal.tests.journeys.bookkeeping import Books, days_ago, until
from merchant_portal.tests.journeys.harness import tell


def test_a_rule_is_tried_then_books_what_began_outside(books: Books) -> None:
    sales = books.sold(days_ago(1), 12_000, 3_400, product="barcode", given_back=2_000)
    page = books.fetch(days_ago(1))
    page.goto(books.shop.url(f"reconciliation/outside/new/?account={books.account}"))
    page.locator('[name="scope"]').select_option("product")
    page.locator('[name="value"]').fill("MICROPAY")
    page.locator('[name="valid_from"]').fill(days_ago(1).isoformat())
    with page.expect_navigation():
        page.locator('button[name="try"]').click()
    trial = page.locator(".outside-trial")
    expect(trial).to_contain_text("¥154.00")
    expect(trial).to_contain_text("¥20.00")
    tell(f"the dry run: {' '.join(trial.locator('strong').inner_text().split())}")
    # Nothing is booked yet.
    other = books.shop.owner.new_page()
    other.goto(books.shop.url(f"transactions/?q={sales[0]}"))
    expect(other.locator("#transactions tbody tr")).to_have_count(0)
    with page.expect_navigation():
        page.locator('button[name="save"]').click()
    assert page.url.endswith("/outside/"), page.url
    # The day is matched again by itself; a payment and its refund, each marked as begun outside.
    until(other, other.locator("#transactions tbody tr .outside-mark"), 2)
    amounts = other.locator("#transactions tbody td.money").all_inner_texts()
    assert any("120.00" in text for text in amounts), amounts
    assert any("20.00" in text and re.search("[-−]", text) for text in amounts), amounts
    other.close()
    expect(books.difference(books.shop.owner, sales[0])).to_have_count(0)
    expect(books.difference(books.shop.owner, sales[1])).to_have_count(0)
