"""Differences between a bill and the books: settled, taken back, confirmed by a second person."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.bookkeeping import Books, confirm, days_ago, until
from merchant_portal.tests.journeys.browsing import Person


def test_the_platforms_version_is_accepted_and_taken_back(books: Books) -> None:
    [number] = books.sold(days_ago(3), 6_660)
    books.fetch(days_ago(3))
    page = books.open_difference(books.shop.owner, number)
    expect(page.locator(".difference-amount")).to_have_text("¥66.20")  # less the fee of 0.60 %
    place = page.url
    confirm(page, page.locator('a[href$="?kind=accept"]'))
    # It is in the books at once, and the day is matched again by itself.
    assert pages.in_list(books.shop, number) == "succeeded"
    page.goto(books.shop.url("reconciliation/differences/"))
    until(page, page.locator("article.need", has_text=number), 0)
    page.goto(place)
    confirm(page, page.locator('main a[href*="/undo/"]'))
    page.goto(books.shop.url("reconciliation/differences/"))
    until(page, page.locator("article.need", has_text=number), 1)
    assert pages.in_list(books.shop, number) != "succeeded"
    # Both acts stay in its story.
    page = books.open_difference(books.shop.owner, number)
    assert page.locator(".tl-item").count() >= 2


def test_a_correction_above_the_limit_is_confirmed_by_a_second_member(
    books: Books, books_finance: Person
) -> None:
    owner = books.shop.owner.page
    owner.goto(books.shop.url("ledger/plan/"))
    limit = owner.locator('form[action$="/plan/limit/"]')
    limit.locator('[name="limit"]').fill("5.00")
    with owner.expect_navigation():
        limit.locator("[type=submit]").click()
    [number] = books.sold(days_ago(4), 8_880)
    books.fetch(days_ago(4))
    page = books.open_difference(books_finance, number)
    amount = page.locator(".difference-amount").inner_text()
    place = page.url
    confirm(page, page.locator('a[href$="?kind=adjust"]'), reason="台卡收款，小票已找到")
    expect(page.locator('main [data-state="waiting"]').first).to_be_visible()
    # Nobody confirms their own: the button is not there.
    page.goto(books.shop.url("approvals/"))
    page.locator('main a[href*="/approvals/"]', has_text=amount).first.click()
    expect(page.locator(".approval-amount")).to_have_text(amount)
    expect(page.locator('button[value="approve"]')).to_have_count(0)
    owner.goto(page.url)
    expect(owner.locator(".approval-amount")).to_have_text(amount)
    expect(owner.locator("main")).to_contain_text("台卡收款，小票已找到")
    with owner.expect_navigation():
        owner.locator('button[value="approve"]').click()
    page.goto(place)
    expect(page.locator('.diff-title [data-state="resolved"]')).to_be_visible()
    page.locator('main a[href*="/adjustments/"]').first.click()
    page.wait_for_url(re.compile(r"/adjustments/\d+/"))
    expect(page.locator("main")).to_contain_text(amount)
