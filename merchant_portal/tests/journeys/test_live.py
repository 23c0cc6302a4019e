"""Learning the truth: at once, without notifications, without the broker's messages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

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
    # Moved away in one step, since the worker goes on writing.
    lost = (portal.data / "spool").rename(portal.data / "spool-lost")
    shutil.rmtree(lost)
    paid = portal.control("pay", {"platform": "wechatpay", "code": content})
    began = time.monotonic()
    wait_for_paid(page, paid["out_trade_no"], 40)
    tell(f"with a wiped broker: {time.monotonic() - began:.1f} s after the wallet's tap")
    page.close()


def test_a_late_live_answer_does_not_undo_a_filter(
    portal: Portal, shop: Shop, open_code: Code, guest: Person
) -> None:
    page = watching(shop)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "x-live" in route.request.headers and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/transactions/*", hold)
    page.route("**/transactions/", hold)
    pages.paid_over_native(guest, portal, shop, open_code, "2.02")
    deadline = time.monotonic() + 10
    while not held:
        assert time.monotonic() < deadline, "the open page was not told"
        page.wait_for_timeout(50)
    page.locator('[name="platform"]').select_option("alipay")
    page.wait_for_url("**platform=alipay**")
    with page.expect_response(lambda answer: "x-live" in answer.request.headers):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect(page.locator("#transactions")).not_to_contain_text("WeChat Pay")
    page.close()
