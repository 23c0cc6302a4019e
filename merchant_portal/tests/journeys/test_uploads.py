"""Bills handed in by hand: a large one with its progress, a broken one in quarantine."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from datetime import time as clock_time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from apps.statements.tests.bills import Row, wechat_bill
from merchant_portal.tests.journeys.bookkeeping import CHINA, Books, confirm, days_ago
from merchant_portal.tests.journeys.harness import tell

#: Large enough for a worker instead of the request.
ROWS = 4_000


def large_bill(books: Books, days: int, prefix: str) -> bytes:
    """A day's bill of many rows."""
    morning = datetime.combine(days_ago(days), clock_time(8), tzinfo=CHINA)
    rows = (
        Row(
            order_no=f"{prefix}{number:08d}",
            trade_no=f"4200{days:04d}{number:020d}",
            minor=1_000 + number % 90,
            fee=6,
            at=morning + timedelta(seconds=number * 10),
        )
        for number in range(ROWS)
    )
    return wechat_bill(rows, merchant_no=books.merchant_no)


def hand_in(books: Books, days: int, file: Path) -> Page:
    """Upload a file for a day, and stand on its page."""
    page = books.shop.owner.page
    page.goto(books.shop.url(f"statements/upload/?account={books.account}&day={days_ago(days)}"))
    page.locator('main [name="file"]').first.set_input_files(file)
    with page.expect_navigation():
        page.locator("main form .btn-primary[type=submit]").first.click()
    page.wait_for_url(re.compile(r"/statements/uploads/\d+/"))
    return page


def test_a_large_bill_is_imported_by_a_worker_and_tells_how_far_it_is(
    books: Books, tmp_path: Path
) -> None:
    file = tmp_path / "large.csv"
    file.write_bytes(large_bill(books, 8, "L"))
    page = hand_in(books, 8, file)
    state = page.locator("#progress [data-state]").first
    began = state.get_attribute("data-state")
    # No click: the page follows the worker by itself.
    expect(state).to_have_attribute("data-state", "imported", timeout=60_000)
    tell(f"a bill of {file.stat().st_size:,} bytes went from {began} to imported by itself")
    expect(page.locator("#progress")).to_contain_text(f"{ROWS:,}")
    page.locator('#progress a[href*="/statements/"]:not(.btn-primary)').first.click()
    page.wait_for_url(re.compile(r"/statements/\d+/"))
    expect(page.locator("main")).to_contain_text("L00000000")


def test_a_connection_that_brought_a_large_file_shows_the_shop_afterwards(books: Books) -> None:
    """The browser's next pages come over the same connection; whose they are is found out anew for each."""
    owner, address = books.shop.owner, urlsplit(books.portal.address)
    cookies = "; ".join(
        f"{one.get('name')}={one.get('value')}" for one in owner.context.cookies(owner.base)
    )
    form = books.shop.url("statements/upload/")
    owner.page.goto(form)
    token = owner.page.locator('main [name="csrfmiddlewaretoken"]').first.input_value()
    content = large_bill(books, 10, "K")
    fields = {
        "csrfmiddlewaretoken": token,
        "account": str(books.account),
        "kind": "trade",
        "day": days_ago(10).isoformat(),
    }
    body = b"".join(
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    body += b'--edge\r\nContent-Disposition: form-data; name="file"; filename="k.csv"\r\n\r\n'
    body += content + b"\r\n--edge--\r\n"
    connection = HTTPConnection(address.hostname or "", address.port, timeout=60)
    headers = {"Cookie": cookies, "Referer": f"{owner.base}{form}"}
    connection.request(
        "POST", form, body, {**headers, "Content-Type": "multipart/form-data; boundary=edge"}
    )
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 302
    socket = connection.sock
    place = answer.headers["Location"]
    assert "/statements/uploads/" in place
    connection.request("GET", place, headers=headers)
    shown = connection.getresponse()
    assert (shown.status, connection.sock) == (200, socket)
    assert "k.csv" in shown.read().decode()
    connection.close()


def test_a_broken_bill_waits_in_quarantine_until_somebody_deletes_it(
    books: Books, tmp_path: Path
) -> None:
    whole = large_bill(books, 9, "Q")
    # The download broke off within a row.
    broken = whole[: len(whole) * 3 // 4 + 7]
    file = tmp_path / "broken.csv"
    file.write_bytes(broken)
    page = hand_in(books, 9, file)
    expect(page.locator("#progress [data-state]").first).to_have_attribute(
        "data-state", "refused", timeout=60_000
    )
    words = page.locator("#progress .note, #progress [role=alert]").first.inner_text()
    tell(f"a broken bill: {' '.join(words.split())}")
    assert len(words) > 10
    kept = page.locator('#progress a[href$="/download/"]')
    with page.expect_download() as waiting:
        kept.click()
    again = tmp_path / "again.csv"
    waiting.value.save_as(again)
    assert again.read_bytes() == broken
    # Nothing of it counts: the day has no bill.
    page.goto(books.shop.url(f"statements/?month={days_ago(9):%Y-%m}"))
    row = page.locator("#uploads tbody tr", has_text="broken.csv")
    expect(row).to_have_count(1)
    bills = page.locator("main .table-card:not(#uploads) tbody tr", has_text=str(days_ago(9)))
    expect(bills).to_have_count(0)
    confirm(page, row.locator('a[href$="/delete/"]'))
    page.goto(books.shop.url("statements/"))
    expect(page.locator("#uploads tbody tr", has_text="broken.csv")).to_have_count(0)
