"""The morning after a day: the bills are ready, the worker matches them, and the page and the mail say the same counts."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta, timezone

from playwright.sync_api import expect

from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import tell

SECTION = "/m/demo/reconciliation/"
CHINA = timezone(timedelta(hours=8))
#: "1,284 of 1,286 matched" in either language.
COUNTS = (
    re.compile(r"共 ([\d,]+) 笔，([\d,]+) 笔已匹配"),
    re.compile(r"([\d,]+) of ([\d,]+) matched"),
)


def yesterday() -> date:
    return datetime.now(UTC).astimezone(CHINA).date() - timedelta(days=1)


def counts(text: str) -> tuple[int, int]:
    """Matched rows and all rows, as a sentence has them."""
    for place, pattern in enumerate(COUNTS):
        if found := pattern.search(text):
            one, two = (int(part.replace(",", "")) for part in found.groups())
            return (two, one) if place == 0 else (one, two)
    raise AssertionError(f"no counts in {text!r}")


def bring_the_bills(person: Person, day: date) -> None:
    """What the clock does after ten in the morning: ask each platform for the day's bill."""
    page = person.page
    page.goto("/m/demo/statements/upload/#fetch")
    form = page.locator('form[action$="/statements/fetch/"]').first
    accounts = form.locator('[name="account"] option').evaluate_all(
        "options => options.map(option => option.value).filter(Boolean)"
    )
    for account in accounts:
        page.goto("/m/demo/statements/upload/#fetch")
        form = page.locator('form[action$="/statements/fetch/"]').first
        form.locator('[name="account"]').select_option(account)
        form.locator('[name="day"]').fill(day.isoformat())
        with page.expect_navigation():
            form.locator("[type=submit]").click()


def the_mail(person: Person, day: date, within: float = 60) -> str:
    """The words of the owner's mail about the day."""
    page = person.new_page()
    end = time.monotonic() + within
    try:
        while True:
            page.goto("/dev/mailbox/")
            found = page.locator("article", has_text="owner@demo.example").filter(
                has_text=f"/reconciliation/morning/?day={day}"
            )
            if found.count():
                # Whatever happens to the day later: one mail.
                assert found.count() == 1
                return str(found.first.inner_text())
            assert time.monotonic() < end, "no mail of the morning"
            page.wait_for_timeout(500)
    finally:
        page.close()


def test_the_morning_says_what_matched_on_the_page_and_by_mail(demo_owner: Person) -> None:
    day = yesterday()
    bring_the_bills(demo_owner, day)
    page = demo_owner.page
    page.goto(f"{SECTION}morning/")
    heading = page.locator("#morning-title")
    # No click: it changes by itself when the last bill is matched.
    expect(page.locator(".morning-accounts [data-state=waiting]")).to_have_count(0, timeout=60_000)
    expect(heading).to_have_text(
        re.compile("|".join(one.pattern for one in COUNTS)), timeout=60_000
    )
    matched, rows = counts(heading.inner_text())
    assert 0 < matched <= rows
    mailed = the_mail(demo_owner, day)
    tell(f"the morning: {matched} of {rows} rows matched, on the page and by mail")
    assert counts(mailed) == (matched, rows)


def test_the_calendar_opens_the_day_by_keyboard(demo_owner: Person) -> None:
    day = yesterday()
    page = demo_owner.page
    page.goto(f"{SECTION}?month={day:%Y-%m}")
    link = page.locator(f'[data-calendar] a[href$="?day={day}"]')
    link.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("document.activeElement.closest('[data-calendar]') !== null")
    assert focused
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"/morning/\?day={day}$"))
    expect(page.locator("main h1")).to_be_visible()
