"""Finding payments again, and what the books say in the end."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Code, Shop

DEMO = "/m/demo/"
#: How the numbers begin of the refunds by which platforms book what was reversed at the till after it was paid.
REVERSALS = ("reversal_", "cancel_")


def sums(page: Page) -> tuple[int, int, int]:
    """Paid, refunded and net as the list shows them, in fen."""
    shown = page.locator("dl.sums").first
    expect(shown).to_be_visible()
    paid, refunded, net = (pages.money(text) for text in shown.locator("dd").all_inner_texts()[:3])
    return paid, refunded, net


def downloaded(page: Page, folder: Path) -> list[dict[str, str]]:
    """The rows of the file that the export page gives for programs."""
    page.locator("#id_headers").select_option("machine")
    with page.expect_download() as waiting:
        page.locator('button[formaction$="transactions.csv"]').click()
    file = folder / "transactions.csv"
    waiting.value.save_as(file)
    return list(csv.DictReader(io.StringIO(file.read_text("utf-8-sig"))))


def fen(text: str) -> int:
    """Fen of an amount in the file, nothing for an empty cell."""
    return int(Decimal(text) * 100) if text else 0


def test_filters_live_in_the_address_and_the_back_button_works(demo_owner: Person) -> None:
    page = demo_owner.page
    page.goto(f"{DEMO}transactions/")
    rows = page.locator("#transactions tbody tr")
    first_before = rows.first.get_attribute("data-key")
    with page.expect_response(lambda answer: "platform=alipay" in answer.url):
        page.locator('[name="platform"]').select_option("alipay")
    page.wait_for_url("**platform=alipay**")
    expect(page.locator("#transactions tbody")).not_to_contain_text("微信支付")
    assert rows.count() > 5
    page.go_back()
    page.wait_for_url(lambda address: "platform=alipay" not in address)
    expect(rows.first).to_have_attribute("data-key", first_before or "")
    page.go_forward()
    page.wait_for_url("**platform=alipay**")
    expect(page.locator("#transactions tbody")).not_to_contain_text("微信支付")
    # The same address opens the same view in a fresh tab.
    other = demo_owner.new_page()
    other.goto(page.url)
    assert other.locator("#transactions tbody tr").first.get_attribute(
        "data-key"
    ) == rows.first.get_attribute("data-key")
    other.close()


def test_pages_follow_each_other_without_gaps(demo_owner: Person) -> None:
    page = demo_owner.page
    page.goto(f"{DEMO}transactions/?size=25")
    rows = page.locator("#transactions tbody tr")
    first = rows.evaluate_all("rows => rows.map(row => row.dataset.key)")
    page.locator('.pager a[rel="next"]').click()
    expect(page.locator('.pager a[rel="prev"]')).to_be_visible()
    second = rows.evaluate_all("rows => rows.map(row => row.dataset.key)")
    assert second
    assert not set(first) & set(second)
    page.locator('.pager a[rel="prev"]').click()
    expect(rows.first).to_have_attribute("data-key", first[0])


def test_a_payment_is_found_by_its_last_digits(demo_owner: Person) -> None:
    page = demo_owner.page
    page.goto(f"{DEMO}transactions/?kind=payment&state=paid")
    number = page.locator("#transactions tbody tr a.mono").nth(3).inner_text()
    page.locator("#shell-search").fill(number[-8:])
    page.locator("#shell-search").press("Enter")
    page.wait_for_url(f"**q={number[-8:]}*")
    # Its refunds carry its number too.
    found = page.locator("#transactions tbody tr a.mono", has_text=number)
    expect(found).to_have_count(1)
    found.click()
    page.wait_for_url("**/orders/*/")
    expect(page.locator("main")).to_contain_text(re.compile(number[-4:]))
    assert page.locator(".tl-item").count() >= 2


def test_a_timeline_tells_who_when_and_from_where(
    portal: Portal, shop: Shop, open_code: Code, guest: Person
) -> None:
    paid = pages.paid_over_native(guest, portal, shop, open_code, "9.09")
    page = shop.owner.page
    page.goto(shop.url(f"orders/{paid.order_id}/"))
    items = page.locator(".tl-item")
    assert items.count() >= 3
    for meta in page.locator(".tl-item .tl-meta").all_inner_texts():
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", meta), meta


def test_the_file_adds_up_to_what_the_page_shows(demo_owner: Person, tmp_path: Path) -> None:
    page = demo_owner.page
    page.goto(f"{DEMO}transactions/?platform=wechatpay")
    shown = sums(page)
    page.locator("a.list-export").click()
    page.wait_for_url("**/exports/**")
    assert sums(page) == shown
    rows = downloaded(page, tmp_path)
    moved = [fen(row["moved_yuan"]) for row in rows]
    assert {row["platform"] for row in rows} == {"wechatpay"}
    assert sum(amount for amount in moved if amount > 0) == shown[0]
    assert sum(amount for amount in moved if amount < 0) == shown[1]
    assert sum(moved) == shown[2]
    tell(f"export: {len(rows)} rows, paid {shown[0]}, refunded {shown[1]}, net {shown[2]} fen")


def test_the_platforms_books_equal_ours_to_the_fen(
    portal: Portal,
    shop: Shop,
    open_code: Code,
    aggregated_shop: Shop,
    aggregated_code: Code,
    guest: Person,
    credentials: dict[str, dict[str, Any]],
    aggregator: dict[str, Any],
) -> None:
    # At least one payment and refund of each, whatever else ran before.
    refunds = []
    for wallet in pages.DIRECT:
        paid = pages.paid_over_native(guest, portal, shop, open_code, "31.41", wallet)
        pages.refund(shop.owner, shop, paid, "1.59")
        refunds.append((shop.owner.page, shop.owner.page.url))
    paid = pages.paid_over_native(guest, portal, aggregated_shop, aggregated_code, "31.41")
    pages.refund(aggregated_shop.owner, aggregated_shop, paid, "1.59")
    refunds.append((aggregated_shop.owner.page, aggregated_shop.owner.page.url))
    for page, address in refunds:
        page.goto(address)
        pages.expect_refund(page, "succeeded")
    wanted = [(shop, account) for account in credentials.values()]
    for merchant, account in [*wanted, (aggregated_shop, aggregator)]:
        platform = account["platform"]
        page = merchant.owner.page
        page.goto(merchant.url(f"transactions/?platform={platform}"))
        ours = sums(page) if page.locator("#transactions tbody tr").count() else (0, 0, 0)
        theirs = books_of(portal, account)
        tell(
            f"{merchant.name}, {platform}: ours paid {ours[0]} refunded {ours[1]} net {ours[2]} fen;"
            f" theirs paid {theirs[0]} refunded {theirs[1]} fen"
        )
        assert ours[:2] == theirs


def books_of(portal: Portal, account: dict[str, Any]) -> tuple[int, int]:
    """What a platform's own books say was paid and given back, in fen.

    What was reversed at the till was never paid, for us; some platforms book it as a payment and a refund.
    """
    platform, merchant_no = account["platform"], account["merchant_no"]
    books = portal.control(f"books?platform={platform}&merchant_no={merchant_no}")
    done = [row for row in books["refunds"] if row["state"] == "SUCCESS"]
    reversals = [row for row in done if row["out_refund_no"].startswith(REVERSALS)]
    reversed_orders = {row["out_trade_no"] for row in reversals}
    return (
        sum(
            row["amount_fen"]
            for row in books["payments"]
            if row["state"] == "PAID" and row["out_trade_no"] not in reversed_orders
        ),
        -sum(row["amount_fen"] for row in done if row not in reversals),
    )
