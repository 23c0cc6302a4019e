"""A business day is closed: its files never change; two people open it again, and it is closed as its second version."""

from __future__ import annotations

import hashlib
import re
from datetime import date

from playwright.sync_api import Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.bookkeeping import Books, days_ago, until
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import tell


def close(books: Books, day: date) -> Page:
    """Close a day that is ready, with a reason for each warning; its page, once all files are written."""
    page = books.shop.owner.page
    page.goto(books.shop.url(f"reconciliation/closes/{day}/"))
    ready = page.locator(f'.page-actions a[href$="/closes/{day}/close/"]')
    until(page, ready)
    ready.click()
    page.wait_for_url(re.compile("/close/$"))
    for box in page.locator('main [name^="tick_"]').all():
        box.check()
    for reason in page.locator('main [name^="reason_"]').all():
        reason.fill("逐笔看过")
    pages.send(page)
    assert page.url.endswith(f"/closes/{day}/"), page.locator("main").inner_text()
    # The page follows the worker by itself.
    expect(page.locator("#closing")).not_to_have_attribute(
        "hx-get", re.compile("."), timeout=60_000
    )
    return page


def files(page: Page, within: str = "#closing") -> dict[str, bytes]:
    """The files of a closing by name, each downloaded twice, with the bytes that its SHA-256 on the page promises."""
    found = {}
    for row in page.locator(f"{within} .files-table tbody tr").all():
        name = row.locator(".sub").first.inner_text()
        address = row.locator("a[href*='/closes/files/']").get_attribute("href")
        assert address
        first, second = (page.request.get(address) for _time in range(2))
        assert first.status == second.status == 200
        assert first.body() == second.body()
        digest = row.locator(".hash").inner_text().strip()
        assert hashlib.sha256(first.body()).hexdigest() == digest
        found[name] = first.body()
    return found


def test_a_day_is_closed_opened_by_two_people_and_closed_again(
    books: Books, books_finance: Person
) -> None:
    day = days_ago(5)
    [number] = books.sold(day, 23_400)
    books.fetch(day)
    books.accept(number)
    page = close(books, day)
    first = files(page)
    tell(f"a closed day has {len(first)} files of {sum(map(len, first.values())):,} bytes")
    assert len(first) >= 5
    assert all(name.find("-v1.") > 0 for name in first)
    # Asked for by one, confirmed by the other.
    other = books_finance.page
    other.goto(books.shop.url(f"reconciliation/closes/{day}/reopen/"))
    pages.fill(other, {"reason": "漏记一张凭证"})
    pages.send(other)
    asked = books.shop.url(f"reconciliation/closes/{day}/")
    other.goto(asked)
    expect(other.locator('main a[href*="/approvals/"]')).to_have_count(0)
    page.goto(asked)
    page.locator('main a[href*="/approvals/"]').first.click()
    page.wait_for_url(re.compile(r"/approvals/\d+/"))
    expect(page.locator("main")).to_contain_text("漏记一张凭证")
    with page.expect_navigation():
        page.locator('button[value="approve"]').click()
    page.goto(asked)
    expect(page.locator('.day-head [data-state="reopened"]')).to_be_visible()
    page = close(books, day)
    second = files(page)
    assert {name.replace("-v2.", "-v1.") for name in second} == set(first)
    # The first version is still there to the byte.
    page.locator("main details.fold summary").first.click()
    assert files(page, "main details.fold") == first
