"""What people do with bills, differences and closed days, in the words of the journeys."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as clock_time

from playwright.sync_api import Locator, Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Shop

CHINA = timezone(timedelta(hours=8))


def days_ago(days: int) -> date:
    """A day in China, so many days before today."""
    return datetime.now(UTC).astimezone(CHINA).date() - timedelta(days=days)


@dataclass(frozen=True)
class Books:
    """A shop with one account, and what the platform has in its books of it."""

    portal: Portal
    shop: Shop
    account: int
    merchant_no: str

    def sold(
        self, day: date, *amounts: int, product: str = "native", given_back: int = 0
    ) -> list[str]:
        """Sales that the platform has and the shop does not know, at noon of a day; their numbers.

        ``given_back``: so many fen of the first one.
        """
        noon = datetime.combine(day, clock_time(12), tzinfo=CHINA)
        own = f"S{time.time_ns()}"
        sales = [
            {
                "out_trade_no": f"{own}{place:02d}",
                "trade_no": f"4200{int(own[1:]) * 100 + place:024d}",
                "product": product,
                "amount_fen": amount,
                "paid_at": (noon + timedelta(minutes=place)).isoformat(),
                "payer_id": "payer1",
            }
            for place, amount in enumerate(amounts)
        ]
        back = {
            "out_trade_no": sales[0]["out_trade_no"],
            "out_refund_no": f"{own}R",
            "refund_no": f"503{int(own[1:]):025d}",
            "amount_fen": given_back,
            "accepted_at": (noon + timedelta(hours=1)).isoformat(),
            "finished_at": (noon + timedelta(hours=1)).isoformat(),
        }
        self.portal.control(
            "books/bulk",
            {
                "platform": "wechatpay",
                "merchant_no": self.merchant_no,
                "payments": sales,
                "refunds": [back] if given_back else [],
            },
        )
        return [str(sale["out_trade_no"]) for sale in sales]

    def fetch(self, day: date) -> Page:
        """Have the day's bill fetched, and stand on how it matches."""
        page = self.shop.owner.page
        page.goto(self.shop.url("statements/upload/#fetch"))
        form = page.locator('form[action$="/statements/fetch/"]').first
        form.locator('[name="account"]').select_option(str(self.account))
        form.locator('[name="day"]').fill(day.isoformat())
        with page.expect_navigation():
            form.locator("[type=submit]").click()
        assert re.search(r"/reconciliation/\d+/", page.url), page.locator("main").inner_text()
        return page

    def difference(self, person: Person, number: str) -> Locator:
        """A difference in the list of what needs somebody; none where it is settled."""
        person.page.goto(self.shop.url("reconciliation/differences/"))
        return person.page.locator("article.need", has_text=number)

    def open_difference(self, person: Person, number: str) -> Page:
        """Find an open difference, and stand on its page."""
        self.difference(person, number).locator("a[data-open]").click()
        person.page.wait_for_url(re.compile(r"/differences/\d+/"))
        return person.page

    def accept(self, number: str) -> Page:
        """Accept the platform's version of a difference; its page."""
        page = self.open_difference(self.shop.owner, number)
        confirm(page, page.locator('a[href$="?kind=accept"]'))
        assert pages.in_list(self.shop, number) == "succeeded"
        page.go_back()
        return page


def until(page: Page, found: Locator, count: int = 1, within: float = 40) -> None:
    """Load the page again until it shows this: what a worker does needs a moment."""
    end = time.monotonic() + within
    while found.count() != count:
        assert time.monotonic() < end, page.locator("main").inner_text()
        page.wait_for_timeout(500)
        page.reload()


def confirm(page: Page, link: Locator, *, reason: str = "") -> None:
    """Follow a link whose question comes up in a dialog, and answer it with yes."""
    link.click()
    dialog = page.locator("#confirm-dialog")
    expect(dialog.locator("[type=submit]")).to_be_visible()
    if reason:
        dialog.locator('[name="reason"]').fill(reason)
    with page.expect_navigation():
        dialog.locator("[type=submit]").click()
