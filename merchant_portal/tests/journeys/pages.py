"""What people do on the pages, in the words of the journeys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import FilePayload, Locator, Page, expect

from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal

PASSWORD = "a-long-pass-phrase-7"
#: Each wallet at its own platform.
DIRECT = {wallet: wallet for wallet in ("wechatpay", "alipay", "unionpay")}
#: All wallets at the aggregator.
AGGREGATED = dict.fromkeys(DIRECT, "shouqianba")


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
def mailed_link(person: Person, to: str, within: float = 60, *, ending: str = "") -> str:
    """The link in the newest mail to an address, or the newest link of this end, read in the mailbox of the machine."""
    page = person.new_page()
    deadline = time.monotonic() + within
    wanted = f'a[href^="http"][href$="{ending}"]' if ending else 'a[href^="http"]'
    try:
        while True:
            page.goto("/dev/mailbox/")
            mails = page.locator("article", has_text=to)
            links = mails.filter(has=page.locator(wanted)).first.locator(wanted)
            if links.count():
                href = links.first.get_attribute("href")
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
    """A merchant of the journeys."""

    slug: str
    name: str
    owner: Person
    owner_email: str
    #: The platform that takes a wallet's money here, by the order of preference.
    takes: Mapping[str, str] = field(default_factory=DIRECT.copy)

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
    """What to type into the form of an account, from what the platform's console shows; ``certificate`` is a file there."""
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
        "unionpay": (
            "merchant_no",
            "certificate",
            "certificate_password",
            "root_certificate",
            "middle_certificate",
        ),
        "shouqianba": (
            "merchant_no",
            "app_id",
            "vendor_sn",
            "vendor_key",
            "public_key",
            "activation_code",
        ),
    }[credentials["platform"]]
    return {"label": label, **{name: str(credentials[name]) for name in names}}


def connect(shop: Shop, credentials: Mapping[str, Any], label: str) -> None:
    """Connect an account through its form; UnionPay's certificate is handed over as the file that it is."""
    page = shop.owner.page
    page.goto(shop.url(f"platforms/connect/{credentials['platform']}/"))
    values = connection_values(credentials, label)
    certificate = values.pop("certificate", "")
    fill(page, values)
    if certificate:
        file: FilePayload = {
            "name": "merchant.pfx",
            "mimeType": "application/x-pkcs12",
            "buffer": base64.b64decode(certificate),
        }
        page.locator('main [name="certificate_file"]').set_input_files(files=[file])
    send(page)
    assert "/connect/" not in page.url, page.locator("main").inner_text()


def account_id(shop: Shop, label: str) -> int:
    """An account's number in the addresses, by its name in the list."""
    page = shop.owner.page
    page.goto(shop.url("platforms/"))
    link = page.locator("main table .cell-lead a", has_text=label).first
    return last_number(link.get_attribute("href"))


def last_number(address: str | None) -> int:
    """The number at the end of an address: ``/m/shop/orders/5/`` is 5."""
    assert address
    return int(address.rstrip("/").rsplit("/", 1)[-1])


def create_code(shop: Shop, *, name: str, amount: str = "") -> int:
    """Make a code through its form; its number in the addresses."""
    page = shop.owner.page
    page.goto(shop.url("codes/create/"))
    page.get_by_test_id("kind-counter").click()
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


def expect_state(page: Page, word: str, within: float = 60) -> None:
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


def pay_at_cashier(page: Page) -> None:
    """Press "pay" at a wallet's cashier; one that has to send its browser back does so by itself."""
    page.get_by_test_id("cashier").get_by_test_id("pay").click()


def begin(page: Page, link: str, amount: str, wallet: str) -> None:
    """Open a code in an ordinary browser, type the amount and choose a wallet."""
    page.goto(link)
    page.get_by_test_id("amount").fill(amount)
    page.get_by_test_id(f"pay-{wallet}").click()


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


def order_of(shop: Shop, number: str) -> int:
    """The number in the addresses of the order that a payment belongs to."""
    assert in_list(shop, number) == "succeeded"
    row = shop.owner.page.locator("#transactions tbody tr").first
    return last_number(row.get_attribute("data-row-href"))


def paid_over_native(
    payer: Person, portal: Portal, shop: Shop, code: Code, amount: str, wallet: str = "wechatpay"
) -> Paid:
    """Pay an amount by a code on the screen: the order over the pages, the wallet's part by the control API."""
    begin(payer.page, code.link, amount, wallet)
    portal.control("pay", {"platform": shop.takes[wallet], "code": qr_content(payer.page)})
    expect_state(payer.page, "paid")
    number = paid_number(payer.page)
    return Paid(number, order_of(shop, number))


# ---------------------------------------------------------------- the till
def pay_code(portal: Portal, wallet: str, behaviour: str = "pays") -> str:
    """The digits of a fresh code on a customer's phone."""
    wanted = {"wallet": wallet, "behaviour": behaviour, "seconds": 300}
    return str(portal.control("paycodes", wanted)["digits"])


def charge(person: Person, shop: Shop, amount: str, digits: str, **more: str) -> Page:
    """Take a payment by a customer's code at the till, and stand on the payment's page."""
    page = person.page
    page.goto(shop.url("till/"))
    for name, value in more.items():
        page.locator(f'main select[name="{name}"]').select_option(label=value)
    fill(page, {"amount": amount, "code": digits})
    with page.expect_navigation():
        page.locator("form[data-till] .till-go").click()
    assert re.search(r"/till/\d+/", page.url), page.locator("main").inner_text()
    return page


def expect_stage(page: Page, word: str, within: float = 60) -> None:
    """Wait until the payment's page at the till shows this stage, by itself."""
    section = page.locator("#charge [data-stage]")
    expect(section).to_have_attribute("data-stage", word, timeout=within * 1000)


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


def expect_refund(page: Page, word: str, within: float = 60) -> None:
    """Wait until the refund's own page shows this state, by itself."""
    badge = page.locator("#refund .refund-head [data-state]")
    expect(badge).to_have_attribute("data-state", word, timeout=within * 1000)
