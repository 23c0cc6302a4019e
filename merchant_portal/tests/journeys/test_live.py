"""Learning the truth: at once, without notifications, without the broker's messages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Code, Shop


def watching(shop: Shop) -> Page:
    """The shop's list in a tab of its own, with its live connection open."""
    page = shop.owner.new_page()
    with page.expect_request("**/live"):
        page.goto(shop.url("transactions/"))
    return page


def wait_for_paid(page: Page, number: str, within: float) -> None:
    """Until the open list shows the payment as paid, by itself."""
    row = page.locator("#transactions tbody tr", has_text=number)
    expect(row.locator('[data-state="succeeded"]')).to_be_visible(timeout=within * 1000)


def test_a_payment_appears_on_the_open_page_within_a_second(
    portal: Portal, shop: Shop, open_code: Code, guest: Person
) -> None:
    page = watching(shop)
    pages.begin(guest.page, open_code.link, "4.44", "wechatpay")
    content = pages.qr_content(guest.page)
    began = time.monotonic()
    paid = portal.control("pay", {"platform": "wechatpay", "code": content})
    answered = time.monotonic()
    wait_for_paid(page, paid["out_trade_no"], 5)
    seconds = time.monotonic() - began
    tell(
        f"live: {seconds:.2f} s after the wallet's tap ({answered - began:.2f} s of it the wallet)"
    )
    assert seconds < 3
    page.close()


def test_payments_arrive_without_notifications(
    portal: Portal,
    shop: Shop,
    open_code: Code,
    guest: Person,
    faults: Callable[..., None],
) -> None:
    faults("notify_off")
    page = watching(shop)
    pages.begin(guest.page, open_code.link, "5.55", "wechatpay")
    content = pages.qr_content(guest.page)
    # Nobody looks at the payer's page any more; only the schedule of questions is left.
    guest.page.goto("about:blank")
    paid = portal.control("pay", {"platform": "wechatpay", "code": content})
    began = time.monotonic()
    wait_for_paid(page, paid["out_trade_no"], 25)
    tell(f"without notifications: {time.monotonic() - began:.1f} s after the wallet's tap")
    assert portal.control(f"notices?out_trade_no={paid['out_trade_no']}")["notices"] == []
    page.close()


def test_payments_arrive_though_the_broker_lost_everything(
    portal: Portal,
    shop: Shop,
    open_code: Code,
    guest: Person,
    faults: Callable[..., None],
) -> None:
    faults("notify_off")
    page = watching(shop)
    pages.begin(guest.page, open_code.link, "5.56", "wechatpay")
    content = pages.qr_content(guest.page)
    guest.page.goto("about:blank")
    shutil.rmtree(portal.data / "spool")
    paid = portal.control("pay", {"platform": "wechatpay", "code": content})
    began = time.monotonic()
    wait_for_paid(page, paid["out_trade_no"], 40)
    tell(f"with a wiped broker: {time.monotonic() - began:.1f} s after the wallet's tap")
    page.close()
