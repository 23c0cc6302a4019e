"""Money is kept back for refunds, a low balance is told on Today, and a compensation is booked with its paper under four eyes."""

from __future__ import annotations

import io
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.bookkeeping import until
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.pages import Shop


def test_an_owner_keeps_money_back_and_is_warned(shop: Shop) -> None:
    page = shop.owner.page
    page.goto(shop.url("money/reserve/"))
    page.locator('main a[href*="/reserve/"].row-link').first.click()
    page.locator('main a[href$="/change/"]').click()
    pages.fill(page, {"share": "101", "ceiling": "500"})
    page.locator('[name="kind"]').select_option("both")
    with page.expect_navigation():
        page.locator("main form .btn-primary").click()
    assert len(pages.field_errors(page, "share")) > 5
    pages.fill(page, {"share": "2.5"})
    with page.expect_navigation():
        page.locator("main form .btn-primary").click()
    expect(page.locator(".page-lead")).to_contain_text("2.5")
    expect(page.locator(".page-lead")).to_contain_text("¥500.00")
    account = page.url

    # More than there can be: the next look finds too little, and Today says so.
    page.locator('.watch-form [name="least"]').fill("90000")
    with page.expect_navigation():
        page.locator(".watch-form [type=submit]").click()
    expect(page.locator(".note.tone-bad")).to_contain_text("¥")
    page.goto(shop.url())
    until(page, page.locator(f'.needs a[href="{urlsplit(account).path}"]'))

    page.goto(account)
    page.locator('.watch-form [name="least"]').fill("")
    page.locator('.watch-form [name="is_on"]').uncheck()
    with page.expect_navigation():
        page.locator(".watch-form [type=submit]").click()
    page.goto(shop.url())
    until(page, page.locator(f'.needs a[href="{urlsplit(account).path}"]'), 0)


def test_a_compensation_with_its_paper_is_confirmed(shop: Shop, finance: Person) -> None:
    page = finance.page
    page.goto(shop.url("ledger/reasons/"))
    # Each reason in the list has a form of its own with its code.
    for name, value in {"code": "KF-01", "name": "客诉赔付"}.items():
        page.locator(f'main form.card [name="{name}"]').fill(value)
    with page.expect_navigation():
        page.locator("main form.card .btn-primary").click()
    paper = io.BytesIO()
    Image.new("RGB", (60, 40), "white").save(paper, "PNG")
    page.goto(shop.url("ledger/adjustments/new/"))
    page.locator('[name="reason"]').select_option("KF-01")
    pages.fill(
        page,
        {"memo": "顾客衣服弄脏，赔付洗衣费", "lines-0-debit": "66.00", "lines-1-credit": "66.00"},
    )
    page.locator('[name="lines-0-account"]').select_option("adjustments.0")
    page.locator('[name="lines-1-account"]').select_option("bank.0")
    page.locator('[name="papers"]').set_input_files(
        {"name": "洗衣店小票.png", "mimeType": "image/png", "buffer": paper.getvalue()}
    )
    with page.expect_navigation():
        page.locator("main form .btn-primary").click()
    adjustment = page.url
    expect(page.locator(".paper-links")).to_contain_text("洗衣店小票.png")
    with page.expect_download() as given:
        page.locator(".paper-links a").click()
    assert given.value.path().read_bytes() == paper.getvalue()

    owner = shop.owner.page
    owner.goto(adjustment)
    owner.locator('a[href*="/approvals/"].btn-primary').click()
    expect(owner.locator("main")).to_contain_text("KF-01 · 客诉赔付")
    expect(owner.locator("main")).to_contain_text("洗衣店小票.png")
    with owner.expect_navigation():
        owner.locator('button[value="approve"]').click()
    page.goto(adjustment)
    expect(page.locator('[data-state="posted"]')).to_be_visible()
    # What is booked is undone once, by a new entry that names it, and it names the new one.
    page.locator('a[href$="/reverse/"]').click()
    with page.expect_navigation():
        page.locator("main form .btn-primary").click()
    expect(page.locator(f'a[href="{urlsplit(adjustment).path}"]').first).to_be_visible()
    page.goto(adjustment)
    expect(page.locator('a[href$="/reverse/"]')).to_have_count(0)
    page.goto(shop.url("ledger/adjustments/?reason=KF-01"))
    expect(page.locator("#adjustments tbody tr")).to_have_count(2)
