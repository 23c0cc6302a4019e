"""Takes the README's pictures: the demo shop, Chinese, light. Run it through ``script/screenshots``."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person, chromium, launched
from merchant_portal.tests.journeys.harness import DEMO_PASSWORD, PROJECT, running_portal

FOLDER = PROJECT / "docs" / "screenshots"
SHOP = "/m/demo/"
#: What a code on a customer's phone looks like; it is typed in and not sent.
PAY_CODE = "284719360052718843"
_COLOURS = 128
#: Enough for full pages and the comparison with a week ago.
_DEMO = ("--days", "15", "--payments", "900", "--wire", "25")


@contextlib.contextmanager
def address() -> Iterator[str]:
    """A running server's address: BASE_URL's, or that of one started for the pictures."""
    if given := os.environ.get("BASE_URL", "").rstrip("/"):
        yield given
        return
    folder = tempfile.TemporaryDirectory(prefix="portal-pictures-", ignore_cleanup_errors=True)
    with folder as data, running_portal(Path(data), *_DEMO) as portal:
        yield portal.address


def take(page: Page, name: str) -> None:
    """Write one picture, with few colours so that the repository stays small."""
    # The chart is drawn in steps, and sums come by a request of their own.
    page.wait_for_timeout(1500)
    shot = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    path = FOLDER / f"{name}.png"
    shot.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    sys.stdout.write(f"{path.relative_to(PROJECT)}  {path.stat().st_size // 1024} KB\n")


def take_all(browser: Browser, base: str) -> None:
    """Today, the list, a code, the till, what is waiting, and the payer's page on a phone."""
    owner = Person(browser, base, language="zh-hans")
    page = owner.page
    pages.log_in(owner, "owner@demo.example", DEMO_PASSWORD)
    page.goto(SHOP)
    take(page, "today")
    page.goto(f"{SHOP}transactions/")
    take(page, "transactions")
    page.goto(f"{SHOP}codes/")
    codes = page.locator('main a[href*="/codes/"]').evaluate_all(
        "links => [...new Set(links.map(link => link.pathname))].filter(path => /\\d+\\/$/.test(path))"
    )
    for path in codes:
        page.goto(path)
        # One where the customer types the amount shows more of the payer's page.
        if not page.locator("dl.facts .money-large").count():
            break
    take(page, "code")
    link = page.locator("[data-copy*='/q/']").first.get_attribute("data-copy")
    assert link
    phone = Person(browser, base, language="zh-hans", phone=True)
    phone.page.goto(link)
    amount = phone.page.locator('input[data-testid="amount"]')
    if amount.count():
        amount.fill("36.00")
    take(phone.page, "checkout")
    page.goto(f"{SHOP}till/")
    pages.fill(page, {"amount": "36.00", "code": PAY_CODE})
    take(page, "till")
    # Two customers who have not paid yet.
    guest = Person(browser, base, language="zh-hans")
    for wallet in ("wechatpay", "alipay"):
        guest.page.goto(link)
        amount = guest.page.locator('input[data-testid="amount"]')
        if amount.count():
            amount.fill("36.00")
        guest.page.get_by_test_id(f"pay-{wallet}").click()
        guest.page.get_by_test_id("qr").wait_for()
    # Until the platforms were asked about both.
    guest.page.wait_for_timeout(8000)
    page.goto(f"{SHOP}waiting/")
    take(page, "waiting")
    people = (owner, phone, guest)
    for person in people:
        person.context.close()
    troubles = [trouble for person in people for trouble in person.troubles]
    assert troubles == [], "the pictures show trouble, do not keep them"


def main() -> int:
    """Take all of them; the exit status."""
    if chromium() is None:
        sys.stderr.write("No Chromium was found. Install it, or set CHROMIUM to its path.\n")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with address() as base, launched() as browser:
        take_all(browser, base)
    return 0


if __name__ == "__main__":
    sys.exit(main())
