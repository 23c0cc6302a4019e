"""Looking after it: what is waiting, the doctor, the notifications."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Code, Shop


# ---------------------------------------------------------------- what is waiting
def test_a_payment_under_way_waits_visibly_and_is_asked_about_now(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, faults: Callable[..., None]
) -> None:
    faults("notify_off")
    faults("lost_before_commit", platform="unionpay", value={"path": "queryTrans"})
    pages.begin(guest.page, open_code.link, "61.61", "unionpay")
    content = pages.qr_content(guest.page)
    guest.page.goto("about:blank")
    paid = portal.control("pay", {"platform": "unionpay", "code": content})
    page = shop.owner.page
    page.goto(shop.url("waiting/"))
    row = page.locator("#waiting tr", has_text="¥61.61")
    reload_until(page, row.locator(".waiting-why", has_text="Last answer"))
    tell(f"waiting: {row.locator('.waiting-why').inner_text()!r}")
    expect(row).to_contain_text("Own unionpay")
    paces = page.locator(".pace", has_text="Own unionpay")
    expect(paces.locator("[data-state]")).not_to_have_attribute("data-state", "answers")
    portal.control("faults", {}, "DELETE")
    portal.control("faults", {"key": "notify_off"})
    began = time.monotonic()
    ask = row.get_by_role("button", name="Ask now")
    with page.expect_navigation():
        ask.click()
    # A question that is still under way holds it, and a platform that was silent five times is first tried alone.
    expect(page.locator("#waiting tr", has_text="¥61.61")).to_have_count(0, timeout=75_000)
    tell(f"waiting: settled {time.monotonic() - began:.1f} s after pressing ask now")
    assert pages.in_list(shop, paid["out_trade_no"]) == "succeeded"


def test_a_silent_platform_is_left_alone_until_it_is_tried(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, faults: Callable[..., None]
) -> None:
    faults("notify_off")
    faults("lost_before_commit", platform="alipay", value={"path": "alipay.trade.query"})
    pages.begin(guest.page, open_code.link, "62.62", "alipay")
    content = pages.qr_content(guest.page)
    # The payer's page asks as well, so that five calls in a row come to nothing soon.
    page = shop.owner.page
    page.goto(shop.url("waiting/"))
    pace = page.locator(".pace", has_text="Own alipay")
    reload_until(page, pace.locator('[data-state="open"]'))
    held = page.locator("#waiting tr", has_text="¥62.62").filter(has_text="does not answer")
    reload_until(page, held)
    portal.control("pay", {"platform": "alipay", "code": content})
    portal.control("faults", {}, "DELETE")
    with page.expect_navigation():
        pace.get_by_role("button", name="Try the platform now").click()
    expect(page.locator("#waiting tr", has_text="¥62.62")).to_have_count(0, timeout=60_000)
    pages.expect_state(guest.page, "paid")


def reload_until(page: Page, wanted: Locator, within: float = 40) -> None:
    """Look again until the page shows something; by itself it does so three times a minute."""
    deadline = time.monotonic() + within
    while not wanted.count():
        assert time.monotonic() < deadline, page.locator("main").inner_text()
        page.wait_for_timeout(500)
        page.reload()


# ---------------------------------------------------------------- the doctor
def examined(page: Page, shop: Shop) -> Locator:
    """Have everything examined; the sheets, once all are there."""
    page.goto(shop.url("doctor/"))
    page.get_by_role("button", name="Examine everything").click()
    sheets = page.locator("#sheets .sheet")
    # The portal itself, and four accounts.
    done = sheets.locator(".sheet-when", has_text="Examined")
    expect(done).to_have_count(5, timeout=60_000)
    expect(page.locator("#sheets .sheet[aria-busy]")).to_have_count(0)
    return sheets


def test_the_doctor_finds_healthy_accounts_well(shop: Shop) -> None:
    page = shop.owner.page
    sheets = examined(page, shop)
    assert not page.locator('.finding[data-state="broken"]').all_inner_texts()
    # One account's rehearsal: a fen there and back.
    sheet = sheets.filter(has_text="Own wechatpay")
    with page.expect_navigation(timeout=60_000):
        sheet.get_by_role("button", name=re.compile("Rehearse")).click()
    assert re.search(r"/orders/\d+/", page.url), page.locator("main").inner_text()
    expect(page.locator("#story .order-refunded")).to_contain_text("¥0.01")


def test_the_doctor_names_the_one_that_is_broken(
    portal: Portal, shop: Shop, faults: Callable[..., None]
) -> None:
    faults("proxy_page", platform="alipay")
    page = shop.owner.page
    sheets = examined(page, shop)
    broken = page.locator('.finding[data-state="broken"]')
    expect(broken).to_have_count(1)
    sick = sheets.filter(has=broken)
    expect(sick).to_contain_text("Own alipay")
    fix = broken.locator(".finding-fix").inner_text()
    tell(f"doctor: {broken.locator('.finding-title').inner_text()} {fix}")
    assert len(fix) > 20
    portal.control("faults", {}, "DELETE")
    sick.get_by_role("button", name="Examine", exact=True).click()
    expect(broken).to_have_count(0, timeout=60_000)


# ---------------------------------------------------------------- notifications
def listed(shop: Shop, number: str) -> Locator:
    """What came about a payment, newest first."""
    page = shop.owner.page
    page.goto(shop.url(f"platforms/notifications/?order_no={number}"))
    return page.locator("#notification-rows tbody tr")


def expect_notices(shop: Shop, number: str, *states: str) -> None:
    """Until the notifications about a payment have these states, newest first."""
    deadline = time.monotonic() + 15
    while True:
        rows = listed(shop, number)
        found = [row.locator("[data-state]").get_attribute("data-state") for row in rows.all()]
        if found == list(states):
            return
        assert time.monotonic() < deadline, (found, states)
        shop.owner.page.wait_for_timeout(300)


def test_a_forged_and_a_replayed_notification_are_seen_and_have_no_effect(
    portal: Portal,
    shop: Shop,
    open_code: Code,
    guest: Person,
    credentials: dict[str, dict[str, Any]],
) -> None:
    pages.begin(guest.page, open_code.link, "71.71", "wechatpay")
    content = pages.qr_content(guest.page)
    # Somebody claims that it was paid.
    order = {"platform": "wechatpay", "code": content}
    portal.control("notices/forge", order)
    page = shop.owner.page
    forged = forged_rows(shop)
    expect(forged.first).to_be_visible()
    count = forged.count()
    with page.expect_navigation():
        forged.first.locator("a").first.click()
    expect(page.locator("main")).to_contain_text("It had no effect.")
    # Asked to process it again, it stays refused.
    again = page.get_by_role("button", name="Process again")
    if again.count():
        with page.expect_navigation():
            again.click()
        expect(page.locator("main")).to_contain_text("It had no effect.")
    pages.expect_state(guest.page, "open")
    paid = portal.control("pay", order)
    pages.expect_state(guest.page, "paid")
    expect_notices(shop, paid["out_trade_no"], "applied")
    # The same bytes once more.
    genuine = portal.control(f"notices?out_trade_no={paid['out_trade_no']}")["notices"]
    true = next(notice for notice in genuine if not notice["forged"])
    portal.control("notices/replay", {"id": true["id"]})
    expect_notices(shop, paid["out_trade_no"], "repeated", "applied")
    assert forged_rows(shop).count() == count
    expect(page.locator("main")).to_contain_text("Own wechatpay")


def forged_rows(shop: Shop) -> Locator:
    """The notifications whose signature is wrong."""
    page = shop.owner.page
    page.goto(shop.url("platforms/notifications/?verdict=bad_signature"))
    return page.locator("#notification-rows tbody tr")


def test_what_a_wrong_key_could_not_open_is_processed_again(
    portal: Portal,
    shop: Shop,
    open_code: Code,
    guest: Person,
    credentials: dict[str, dict[str, Any]],
) -> None:
    page = shop.owner.page
    account = pages.account_id(shop, "Own wechatpay")

    def store_key(key: str) -> None:
        page.goto(shop.url(f"platforms/{account}/edit/"))
        pages.fill(page, {"api_v3_key": key})
        pages.send(page)
        assert "/edit/" not in page.url, page.locator("main").inner_text()

    store_key("x" * 32)
    try:
        paid = pages.paid_over_native(guest, portal, shop, open_code, "72.72")
        rows = listed_unreadable(shop)
        rows.first.locator("a").first.click()
        expect(page.locator("main")).to_contain_text("APIv3 key wrong")
        notice = page.url
    finally:
        store_key(credentials["wechatpay"]["api_v3_key"])
    page.goto(notice)
    with page.expect_navigation():
        page.get_by_role("button", name="Process again").click()
    badge = page.locator("main .two-columns [data-state]").first
    expect(badge).to_have_attribute("data-state", re.compile("applied|repeated"))
    expect(page.locator("main")).to_contain_text(paid.number)
    # The account is well again by that proof.
    page.goto(shop.url("platforms/"))
    row = page.locator("main table tbody tr", has_text="Own wechatpay")
    expect(row.locator("[data-state]").first).to_have_attribute("data-state", "working")


def listed_unreadable(shop: Shop) -> Locator:
    """The notifications that could not be opened."""
    page = shop.owner.page
    page.goto(shop.url("platforms/notifications/?verdict=unreadable"))
    rows = page.locator("#notification-rows tbody tr")
    expect(rows.first).to_be_visible()
    return rows
