"""The bank's statement is uploaded, the platform's payout is found in it, and the page about the money says that it has arrived."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from playwright.sync_api import Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.bookkeeping import Books, days_ago, until

HEADINGS = "交易日期,交易金额,对方户名,摘要,交易流水号,账户余额"


def part(page: Page, link: str) -> int:
    """One figure of the money page, in fen: of the card that leads to these settlements."""
    card = page.locator(f'.stats a[href$="show={link}"], .stats .stat:has(a[href$="show={link}"])')
    return pages.money(card.first.inner_text())


def test_a_payout_is_found_on_the_banks_statement(books: Books, tmp_path: Path) -> None:
    day = days_ago(12)
    [number] = books.sold(day, 50_000)
    books.fetch(day)
    books.accept(number)
    page = books.shop.owner.page
    place = books.shop.url(f"money/settlements/?date_from={day}&date_to={day}")
    page.goto(place)
    until(page, page.locator("main tr[data-row-href]"))
    cells = page.locator("main tr[data-row-href] td")
    net = pages.money(cells.nth(6).inner_text())
    assert net == 50_000 - 300
    due = date.fromisoformat(re.search(r"\d{4}-\d\d-\d\d", cells.nth(7).inner_text())[0])  # type: ignore[index]  # a day stands there
    expect(cells.nth(2).locator('[data-state="unseen"]')).to_be_visible()
    file = tmp_path / "bank.csv"
    file.write_text(
        f"{HEADINGS}\r\n"
        f"{due},-120.00,物业管理有限公司,房租,B1,9880.00\r\n"
        f"{due},{net / 100:.2f},财付通支付科技有限公司,商户结算款,B2,10377.00\r\n",
        encoding="gb18030",
    )
    page.goto(books.shop.url("money/bank/accounts/new/"))
    pages.fill(page, {"name": "招商银行 尾号 0001"})
    pages.send(page)
    # Its columns, tried on the first rows before they are kept.
    page.locator('main [name="file"]').set_input_files(file)
    pages.send(page)
    with page.expect_navigation():
        page.locator('button[name="try"]').click()
    expect(page.locator("#read")).to_contain_text("财付通支付科技有限公司")
    with page.expect_navigation():
        page.locator('button[name="save"]').click()
    page.locator('main [name="file"]').set_input_files(file)
    pages.send(page)
    assert page.url.rstrip("/").endswith("/money"), page.locator("main").inner_text()
    assert part(page, "arrived") == net
    page.goto(place)
    expect(page.locator("main tr[data-row-href] [data-state]").first).to_have_attribute(
        "data-state", "arrived"
    )
    # The very same file once more changes nothing.
    page.goto(books.shop.url("money/bank/upload/"))
    page.locator('main [name="file"]').set_input_files(file)
    pages.send(page)
    page.goto(books.shop.url("money/"))
    assert part(page, "arrived") == net
