"""An event is called off: its payments go back together. And what a refund meets at the platform is told beforehand."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Code, Shop


@pytest.fixture(scope="module")
def event(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Code:
    """The code of an event's stall."""
    page = shop.owner.page
    page.goto(shop.url("codes/create/"))
    page.get_by_test_id("kind-event").click()
    pages.fill(page, {"name": "音乐节摊位"})
    pages.send(page)
    pk = pages.last_number(page.url.split("?")[0])
    page.goto(shop.url(f"codes/{pk}/"))
    link = page.locator('.copy-text a, dd a[href*="/q/"]').first.get_attribute("href")
    assert link
    return Code(pk, link, Path())


def preview(page: Page, reason: str = "音乐节取消") -> None:
    """Fill in what is missing and look at what would happen."""
    page.locator('main [name="reason"]').fill(reason)
    with page.expect_navigation():
        page.locator('button[name="preview"]').click()


def expect_batch(page: Page, word: str, within: float = 90) -> None:
    """Wait until the batch's own page shows this state, by itself."""
    badge = page.locator("#batch .refund-head [data-state]")
    expect(badge).to_have_attribute("data-state", word, timeout=within * 1000)


def test_an_event_is_called_off(
    portal: Portal,
    shop: Shop,
    event: Code,
    guest: Person,
    finance: Person,
    faults: Callable[..., None],
) -> None:
    paid = [
        pages.paid_over_native(guest, portal, shop, event, amount, wallet)
        for amount, wallet in (("80.00", "wechatpay"), ("90.00", "alipay"), ("100.00", "wechatpay"))
    ]
    pages.refund(shop.owner, shop, paid[0], "80.00")
    pages.expect_refund(shop.owner.page, "succeeded")
    late = pages.paid_over_native(guest, portal, shop, event, "120.00", "alipay")

    page = shop.owner.page
    page.goto(shop.url(f"codes/{event.pk}/"))
    page.locator(f'a[href$="/refunds/batches/new/?code={event.pk}"]').click()
    expect(page.locator('[name="code"]')).to_have_value(str(event.pk))
    preview(page)
    expect(page.locator(".confirm-amount")).to_have_text("¥310.00")
    expect(page.locator(".batch-left li")).to_have_count(1)
    expect(page.locator(".batch-confirm .tone-wait")).to_be_visible()
    tell("a batch of three payments and one left out: ¥310.00, under four eyes by its sum")
    with page.expect_navigation():
        page.locator(".batch-confirm button[type=submit]").click()
    expect_batch(page, "waiting")

    # One of the three is refused by the platform, and tried again afterwards.
    faults("refund_closed", platform="wechatpay", uses=1)
    href = page.locator('#batch a[href*="/approvals/"]').first.get_attribute("href")
    assert href
    finance.page.goto(href)
    expect(finance.page.locator(".approval-amount")).to_have_text("¥310.00")
    with finance.page.expect_navigation():
        finance.page.locator('button[value="approve"]').click()
    # The owner's page hears of it by itself, and ends with one that failed.
    expect_batch(page, "done")
    retry = page.locator('button[value="retry"]')
    expect(retry).to_be_visible(timeout=90_000)
    page.goto(page.url.split("?")[0] + "?what=failed")
    expect(page.locator("#batch tbody tr")).to_have_count(1)
    page.goto(page.url.split("?")[0])
    with page.expect_navigation():
        page.locator('button[value="retry"]').click()
    done = page.locator('.batch-tiles li:has(a[href*="what=done"]) strong')
    expect(done).to_have_text("3", timeout=90_000)
    with page.expect_download() as coming:
        page.locator('a[href$="/results/"]').click()
    text = Path(coming.value.path()).read_text("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert sorted(row[5] for row in rows[1:]) == ["100.00", "120.00", "90.00"]
    assert len({row[6] for row in rows[1:]}) == 3
    for one in (*paid, late):
        page.goto(shop.url(f"orders/{one.order_id}/"))
        assert page.locator('.order-actions a[href*="/refunds/new/"]').count() == 0
    tell("one of them failed, was tried again under a new number, and every payment went back once")
    page.goto(shop.url(f"refunds/batches/new/?code={event.pk}"))
    preview(page)
    assert page.locator(".batch-confirm").count() == 0


def test_the_platforms_limits_stand_on_the_page_before_asking(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, faults: Callable[..., None]
) -> None:
    faults("refund_gap", platform="wechatpay", value={"seconds": 60})
    paid = pages.paid_over_native(guest, portal, shop, open_code, "30.00")
    page = shop.owner.page
    page.goto(shop.url(f"orders/{paid.order_id}/"))
    limits = page.locator(".refund-limits").first
    expect(limits).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"))
    expect(limits).to_contain_text("50")
    pages.refund(shop.owner, shop, paid, "1.00")
    pages.expect_refund(page, "succeeded")
    page.goto(shop.url(f"orders/{paid.order_id}/"))
    expect(page.locator(".refund-limits").first).to_contain_text("49")
    pages.refund(shop.owner, shop, paid, "2.00")
    # It waits for its minute, says until when, and is then sent by itself; the platform would have refused it before.
    expect(page.locator("#refund .note")).to_contain_text(re.compile(r"\d\d:\d\d"))
    pages.expect_refund(page, "ready", within=10)
    pages.expect_refund(page, "succeeded", within=150)
    tell("a second part waited for the platform's minute and was sent by itself")


def test_too_low_a_balance_waits_and_says_when(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, faults: Callable[..., None]
) -> None:
    paid = pages.paid_over_native(guest, portal, shop, open_code, "6.00", "alipay")
    faults("not_enough", platform="alipay", uses=1)
    pages.refund(shop.owner, shop, paid, "6.00")
    page = shop.owner.page
    pages.expect_refund(page, "queued")
    expect(page.locator("#refund")).to_contain_text(re.compile(r"\d\d:\d\d"))
    # The owner has filled it up and brings the next try forward on the page of what waits.
    refund = page.url
    path = refund.removeprefix(portal.address)
    rows = page.locator("main tr", has=page.locator(f'a[href="{path}"]'))
    for _ in range(3):
        page.goto(shop.url("waiting/"))
        if not rows.locator("form button").count():
            break
        with page.expect_navigation():
            rows.locator("form button").first.click()
    page.goto(refund)
    pages.expect_refund(page, "succeeded", within=90)
    tell(
        "a refund of too low a balance waited, and went under the same number once it was hastened"
    )


def test_an_abnormal_refund_says_what_to_do(
    portal: Portal, shop: Shop, open_code: Code, guest: Person, faults: Callable[..., None]
) -> None:
    paid = pages.paid_over_native(guest, portal, shop, open_code, "7.00")
    faults("refund_abnormal", platform="wechatpay", uses=1)
    pages.refund(shop.owner, shop, paid, "7.00")
    page = shop.owner.page
    pages.expect_refund(page, "abnormal", within=90)
    expect(page.locator(".refund-steps li")).to_have_count(4)
