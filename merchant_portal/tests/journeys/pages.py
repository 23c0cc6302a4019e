"""What people do on the pages, in the words of the journeys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal

PASSWORD = "a-long-pass-phrase-7"


def fill(page: Page, values: Mapping[str, str]) -> None:
    """Fill the page's fields by their names."""
    for name, value in values.items():
        page.locator(f'main [name="{name}"]').fill(value)


def send(page: Page) -> None:
    """Press the main button of the page's form and wait for the next page."""
    button = page.locator("main form").locator(
        ".btn-primary[type=submit], .btn-danger[type=submit]"
    )
    with page.expect_navigation():
        button.first.click()


def field_errors(page: Page, name: str) -> str:
    """What the page says at a field."""
    field = page.locator(f'[data-field="{name}"]')
    return field.locator(".errorlist, .invalid-feedback, [id$=_error]").first.inner_text()


def money(text: str) -> int:
    """The fen of an amount as shown: ``−¥1,234.50`` is -123450."""
    found = re.search(r"([-−]?)\s*¥\s*([-−]?)([\d,]+)\.(\d\d)", text)
    assert found, f"no amount in {text!r}"
    fen = int(found[3].replace(",", "") + found[4])
    return -fen if found[1] or found[2] else fen


# ---------------------------------------------------------------- getting in
def mailed_link(person: Person, to: str, within: float = 15) -> str:
    """The link in the newest mail to an address, read in the mailbox of the machine."""
    page = person.new_page()
    deadline = time.monotonic() + within
    try:
        while True:
            page.goto("/dev/mailbox/")
            mail = page.locator("article", has_text=to).first
            if mail.count():
                href = mail.locator('a[href^="http"]').first.get_attribute("href")
                assert href
                return href
            assert time.monotonic() < deadline, f"no mail to {to}"
            page.wait_for_timeout(250)
    finally:
        page.close()


def log_in(person: Person, email: str, password: str = PASSWORD) -> None:
    """Log in with e-mail and password."""
    person.page.goto("/accounts/login/")
    fill(person.page, {"login": email, "password": password})
    send(person.page)


def sign_up(person: Person, email: str, start: str = "/accounts/signup/") -> None:
    """Sign up, confirm the address by the mailed link, and be logged in."""
    page = person.page
    page.goto(start)
    fill(page, {"email": email, "password1": PASSWORD, "password2": PASSWORD})
    send(page)
    page.goto(mailed_link(person, email))
    send(page)
    if "/accounts/login" in page.url:
        fill(page, {"login": email, "password": PASSWORD})
        send(page)


def totp(secret: str, at: float) -> str:
    """The six digits that an authenticator app shows (RFC 6238, SHA-1, 30 s)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, int(at // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


# ---------------------------------------------------------------- setting up
@dataclass(frozen=True)
class Shop:
    """The journeys' own merchant."""

    slug: str
    name: str
    owner: Person
    owner_email: str

    def url(self, path: str = "") -> str:
        """An address of its back office."""
        return f"/m/{self.slug}/{path}"


@dataclass(frozen=True)
class Code:
    """A code that was made through its form."""

    pk: int
    link: str
    png: Path


def connection_values(credentials: Mapping[str, Any], label: str) -> dict[str, str]:
    """What to type into the form of an account, from what the platform's console shows."""
    names = {
        "wechatpay": (
            "merchant_no",
            "app_id",
            "serial_no",
            "private_key",
            "api_v3_key",
            "public_key_id",
            "public_key",
            "app_secret",
        ),
        "alipay": ("merchant_no", "app_id", "private_key", "alipay_public_key"),
    }[credentials["platform"]]
    return {"label": label, **{name: str(credentials[name]) for name in names}}


def create_code(shop: Shop, *, name: str, amount: str = "") -> int:
    """Make a code through its form; its number in the addresses."""
    page = shop.owner.page
    page.goto(shop.url("codes/create/"))
    page.locator('main [name="kind"]').first.check()
    fill(page, {"name": name})
    if amount:
        page.locator('main [name="pricing"][value="fixed"]').check()
        fill(page, {"amount": amount})
    send(page)
    found = re.search(r"/codes/(\d+)/", page.url)
    assert found, page.locator("main").inner_text()
    return int(found[1])


# ---------------------------------------------------------------- paying
def scan_text(phone: Person, simulator: str, wallet: str, text: str) -> None:
    """Paste a code's content into the wallet's scanner."""
    page = phone.page
    page.goto(f"{simulator}/wallet/{wallet}/")
    page.get_by_test_id("scan-input").fill(text)
    page.get_by_test_id("scan-submit").click()


def scan_picture(phone: Person, simulator: str, wallet: str, picture: Path) -> None:
    """Hold the wallet's camera on a picture."""
    page = phone.page
    page.goto(f"{simulator}/wallet/")
    page.get_by_test_id(f"wallet-{wallet}").click()
    page.get_by_test_id("scan-file").set_input_files(picture)
    page.get_by_test_id("scan-submit").click()


def state(page: Page, word: str) -> Locator:
    """The order's state on the payer's page, once it is ``word``."""
    return page.locator(f'[data-testid="order-state"][data-state="{word}"]')


def expect_state(page: Page, word: str, within: float = 15) -> None:
    """Wait until the payer's page shows this state."""
    expect(state(page, word)).to_be_visible(timeout=within * 1000)


def paid_number(page: Page) -> str:
    """The payment's number on the receipt."""
    number = page.get_by_test_id("order-no").get_attribute("data-number")
    assert number
    return number


def pay_in_sheet(page: Page) -> None:
    """Confirm in WeChat's payment sheet."""
    sheet = page.get_by_test_id("wallet-sheet")
    sheet.get_by_test_id("pay").click()
    sheet.get_by_test_id("done").click()


def begin(page: Page, link: str, amount: str, platform: str) -> None:
    """Open a code in an ordinary browser, type the amount and choose a platform."""
    page.goto(link)
    page.get_by_test_id("amount").fill(amount)
    page.get_by_test_id(f"pay-{platform}").click()


def qr_content(page: Page) -> str:
    """The content of the code on the payer's page."""
    content = page.get_by_test_id("qr").get_attribute("data-content")
    assert content
    return content


def in_list(shop: Shop, number: str) -> str:
    """The state of a payment in the shop's list."""
    page = shop.owner.page
    page.goto(shop.url(f"transactions/?q={number}"))
    row = page.locator("#transactions tbody tr").first
    expect(row).to_contain_text(number)
    return str(row.locator("[data-state]").first.get_attribute("data-state"))


@dataclass(frozen=True)
class Paid:
    """A payment that was made: its number, and its order's number in the addresses."""

    number: str
    order_id: int


def paid_over_native(payer: Person, portal: Portal, shop: Shop, code: Code, amount: str) -> Paid:
    """Pay an amount by WeChat Pay: the order over the pages, the wallet's part by the control API."""
    begin(payer.page, code.link, amount, "wechatpay")
    content = qr_content(payer.page)
    portal.control("pay", {"platform": "wechatpay", "code": content})
    expect_state(payer.page, "paid")
    number = paid_number(payer.page)
    assert in_list(shop, number) == "succeeded"
    href = shop.owner.page.locator("#transactions tbody tr").first.get_attribute("data-row-href")
    assert href
    return Paid(number, int(href.rstrip("/").rsplit("/", 1)[-1]))


# ---------------------------------------------------------------- giving back
def ask_refund(person: Person, shop: Shop, paid: Paid, amount: str, reason: str = "退货") -> None:
    """Fill in a refund and press on to the question whether it is right."""
    page = person.page
    page.goto(shop.url(f"orders/{paid.order_id}/"))
    page.locator('.order-actions a[href*="/refunds/new/"]').click()
    fill(page, {"amount": amount, "reason": reason})
    send(page)


def refund(person: Person, shop: Shop, paid: Paid, amount: str, reason: str = "退货") -> None:
    """Refund, and stand on the refund's own page."""
    ask_refund(person, shop, paid, amount, reason)
    page = person.page
    expect(page.locator(".confirm-amount")).to_have_text(f"¥{amount}")
    with page.expect_navigation():
        page.locator('.confirm-form button[type="submit"]').first.click()
    assert re.search(r"/refunds/\d+/", page.url), page.locator("main").inner_text()


def expect_refund(page: Page, word: str, within: float = 25) -> None:
    """Wait until the refund's own page shows this state, by itself."""
    badge = page.locator("#refund .refund-head [data-state]")
    expect(badge).to_have_attribute("data-state", word, timeout=within * 1000)
