"""A cashier asks; the owner approves on a phone, by the mailed link, with a one-time code."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop

#: Seconds that one code of an app holds; each is taken once.
STEP = 30


def _fresh_code(secret: str, used: set[str], page_wait: Callable[[float], None]) -> str:
    """A code that was not used yet; waits for the next where it must."""
    while (code := pages.totp(secret, time.time())) in used:
        page_wait(500)
    used.add(code)
    return code


def test_the_owner_approves_on_the_phone_with_a_one_time_code(
    portal: Portal,
    shop: Shop,
    open_code: Code,
    guest: Person,
    cashier: Person,
    meet: Callable[..., Person],
) -> None:
    used: set[str] = set()
    phone = meet(phone=True)
    pages.log_in(phone, shop.owner_email)
    page = phone.page
    page.goto("/accounts/2fa/totp/activate/")
    if "reauthenticate" in page.url:
        pages.fill(page, {"password": pages.PASSWORD})
        pages.send(page)
    secret = page.locator("#authenticator_secret, [name=secret]").first.input_value()
    pages.fill(page, {"code": _fresh_code(secret, used, page.wait_for_timeout)})
    pages.send(page)
    try:
        _approve(portal, shop, open_code, guest, cashier, phone, secret, used)
    finally:
        # The owner of the other journeys has none.
        page.goto("/accounts/2fa/totp/deactivate/")
        if "reauthenticate" in page.url:
            pages.fill(page, {"code": _fresh_code(secret, used, page.wait_for_timeout)})
            pages.send(page)
        with page.expect_navigation():
            page.locator("main form button[type=submit]").first.click()


def _approve(
    portal: Portal,
    shop: Shop,
    open_code: Code,
    guest: Person,
    cashier: Person,
    phone: Person,
    secret: str,
    used: set[str],
) -> None:
    page = phone.page
    paid = pages.paid_over_native(guest, portal, shop, open_code, "500.00")
    pages.refund(cashier, shop, paid, "321.00", reason="退货三件")
    pages.expect_refund(cashier.page, "waiting")
    href = cashier.page.locator('#refund a[href*="/approvals/"]').first.get_attribute("href")
    assert href
    link = pages.mailed_link(phone, shop.owner_email, ending=href)
    # A person who is not logged in gets the log-in page, not what is asked.
    stranger = guest.context.browser
    assert stranger is not None
    outside = stranger.new_context(base_url=guest.base)
    other = outside.new_page()
    other.goto(link)
    assert "/accounts/login" in other.url
    outside.close()

    page.goto(link)
    main = page.locator("main")
    # One screen: the amount, the order, the reason, who asks, the rule's sentence; nothing wider than the phone.
    expect(page.locator(".approval-amount")).to_have_text("¥321.00")
    expect(main).to_contain_text("退货三件")
    expect(main).to_contain_text("¥500.00")
    expect(main).to_contain_text("cashier@journey.example")
    expect(main).to_contain_text("Rule")
    wide = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert wide
    hidden = page.locator("main input[type=hidden]").evaluate_all("all => all.map(one => one.name)")
    assert set(hidden) <= {"csrfmiddlewaretoken", "digest"}
    seal = page.locator(".approval-facts .mono").inner_text().replace(" ", "").lower()
    digest = page.locator('[name="digest"]').first.input_value()
    assert digest.startswith(seal)
    # No button before the code.
    assert page.locator('button[value="approve"]').count() == 0
    page.locator('.approval-actions a[href*="reauthenticate"]').click()
    pages.fill(page, {"code": _fresh_code(secret, used, page.wait_for_timeout)})
    pages.send(page)
    page.wait_for_url(re.compile(r"/approvals/\d+/"))
    with page.expect_navigation():
        page.locator('button[value="approve"]').click()
    expect(main).to_contain_text("with second factor")
    # The cashier's page hears of it by itself.
    pages.expect_refund(cashier.page, "succeeded")
    # Opened once more, the link has nothing to press.
    page.goto(link)
    assert page.locator('button[value="approve"]').count() == 0
