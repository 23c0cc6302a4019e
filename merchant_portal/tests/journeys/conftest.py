"""One running portal, one Chromium and one shop for all journeys; the tests may run in any order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.bookkeeping import Books
from merchant_portal.tests.journeys.browsing import Person, chromium, launched
from merchant_portal.tests.journeys.harness import (
    DEMO_PASSWORD,
    FIGURES,
    SMALL_DEMO,
    Portal,
    running_portal,
    tell,
)
from merchant_portal.tests.journeys.pages import Code, Shop

Meet = Callable[..., Person]
_everybody: list[Person] = []
_running: list[Portal] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Everything here needs the browser; the books are compared when all is paid and refunded."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
    yield
    items.sort(key=lambda item: item.name == "test_the_platforms_books_equal_ours_to_the_fen")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what the journeys measured."""
    if FIGURES:
        terminalreporter.section("what the journeys measured")
        for line in FIGURES:
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show what the servers wrote and where everybody stood when a journey fails."""
    report = yield
    if report.failed and _running and Path(__file__).parent in item.path.parents:
        places = [
            f"{page.url}: {page.title()}" for person in _everybody for page in person.context.pages
        ]
        report.sections.append(("pages", "\n".join(places)))
        report.sections.append(("logs", _running[0].logs()))
        for number, person in enumerate(_everybody):
            for tab, page in enumerate(person.context.pages):
                if not page.url.startswith("about:"):
                    name = re.sub(r"\W+", "-", f"{item.name}-{number}-{tab}")
                    page.screenshot(path=_running[0].data / f"{name}.png")
        report.sections.append(("pictures", str(_running[0].data)))
    return report


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """The running processes."""
    if chromium() is None:
        pytest.skip("no Chromium")
    with running_portal(tmp_path_factory.mktemp("portal"), *SMALL_DEMO) as portal:
        tell(f"ready after {portal.seconds:.1f} s")
        _running.append(portal)
        yield portal
        _running.clear()


@pytest.fixture(scope="session")
def browser(portal: Portal) -> Iterator[Browser]:
    """Chromium."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def meet(browser: Browser, portal: Portal) -> Iterator[Meet]:
    """Makes people; they leave when the session ends."""

    def make(**options: Any) -> Person:
        person = Person(browser, portal.address, **options)
        _everybody.append(person)
        return person

    yield make
    for person in _everybody:
        person.context.close()
    _everybody.clear()


@pytest.fixture(autouse=True)
def no_trouble(portal: Portal) -> Iterator[None]:
    """No page of any journey breaks the policy, writes an error to the console or answers 5xx."""
    yield
    troubles = [trouble for person in _everybody for trouble in person.troubles]
    for person in _everybody:
        person.troubles.clear()
    assert troubles == []


@pytest.fixture
def faults(portal: Portal) -> Iterator[Callable[[str], None]]:
    """Puts faults of the simulator in force, for this test only."""

    def add(key: str, **more: Any) -> None:
        portal.control("faults", {"key": key, **more})

    yield add
    portal.control("faults", {}, "DELETE")


# ---------------------------------------------------------------- the shop
def _registered(meet: Meet, *, email: str, name: str, name_en: str) -> Shop:
    owner = meet()
    pages.sign_up(owner, email)
    page = owner.page
    assert page.url.endswith("/start/"), page.url
    pages.fill(page, {"name": name, "name_en": name_en, "store_name": "南门店"})
    pages.send(page)
    parts = page.url.rstrip("/").split("/")
    assert parts[-2] == "m", page.url
    return Shop(slug=parts[-1], name=name, owner=owner, owner_email=email)


@pytest.fixture(scope="session")
def new_shop(meet: Meet) -> Shop:
    """A shop that was just registered through the pages: verified address, merchant, first store."""
    email = "owner@journey.example"
    shop = _registered(meet, email=email, name="旅途书店", name_en="Journey Books")
    # The dashboard says what to do next: connect, print, take the first payment.
    page = shop.owner.page
    expect(page.locator(".steps-item")).to_have_count(3)
    expect(page.locator(".steps-item.is-done")).to_have_count(0)
    expect(page.locator(".steps-mark.is-now")).to_have_count(1)
    return shop


@pytest.fixture(scope="session")
def credentials(portal: Portal) -> dict[str, dict[str, Any]]:
    """Fresh merchants at the simulated platforms, as their consoles show them."""
    return {
        platform: portal.control("merchants", {"platform": platform, "name": "旅途书店"})
        for platform in ("wechatpay", "alipay", "unionpay", "shouqianba")
    }


@pytest.fixture(scope="session")
def shop(new_shop: Shop, credentials: dict[str, dict[str, Any]]) -> Shop:
    """The shop, connected to all platforms through the form; the aggregator comes last, so each wallet's own goes first."""
    for platform, shown in credentials.items():
        pages.connect(new_shop, shown, f"Own {platform}")
    return new_shop


@pytest.fixture(scope="session")
def aggregator(portal: Portal) -> dict[str, Any]:
    """What Shouqianba's console shows to the second shop."""
    shown: dict[str, Any] = portal.control(
        "merchants", {"platform": "shouqianba", "name": "合一书店"}
    )
    return shown


@pytest.fixture(scope="session")
def aggregated_shop(meet: Meet, aggregator: dict[str, Any]) -> Shop:
    """A second shop that has one contract for all wallets: only Shouqianba is connected."""
    email = "owner@one-contract.example"
    new = _registered(meet, email=email, name="合一书店", name_en="One Contract Books")
    pages.connect(new, aggregator, "All wallets")
    return replace(new, takes=pages.AGGREGATED)


@pytest.fixture(scope="session")
def books(meet: Meet, portal: Portal) -> Books:
    """A third shop whose books are kept: WeChat Pay alone, whose sales of the last days it only knows from the bills."""
    shop = _registered(
        meet, email="owner@kept-books.example", name="账房书店", name_en="Kept Books"
    )
    shown = portal.control("merchants", {"platform": "wechatpay", "name": shop.name})
    pages.connect(shop, shown, "WeChat")
    return Books(portal, shop, pages.account_id(shop, "WeChat"), shown["merchant_no"])


@pytest.fixture(scope="session")
def books_finance(meet: Meet, books: Books) -> Person:
    """The second member of the third shop."""
    return _joined(meet, books.shop, "finance", "finance@kept-books.example")


def _printed(shop: Shop, folder: Path, name: str, amount: str = "") -> Code:
    pk = pages.create_code(shop, name=name, amount=amount)
    page = shop.owner.page
    with page.expect_download() as waiting:
        page.locator('button[name="file"][value="png"]').click()
    png = folder / f"code-{pk}.png"
    waiting.value.save_as(png)
    link = page.locator("[data-copy*='/q/']").first.get_attribute("data-copy")
    assert link
    return Code(pk, link, png)


@pytest.fixture(scope="session")
def open_code(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Code:
    """A code where the customer types the amount."""
    return _printed(shop, tmp_path_factory.mktemp("codes"), "收银台 1")


@pytest.fixture(scope="session")
def fixed_code(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Code:
    """A code of ¥8.80."""
    return _printed(shop, tmp_path_factory.mktemp("codes"), "明信片", "8.80")


@pytest.fixture(scope="session")
def aggregated_code(aggregated_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Code:
    """A code of the second shop where the customer types the amount."""
    return _printed(aggregated_shop, tmp_path_factory.mktemp("codes"), "合一收银台")


@pytest.fixture(scope="session")
def _customer_with_phone(meet: Meet) -> Person:
    return meet(phone=True)


@pytest.fixture(scope="session")
def _customer_at_desk(meet: Meet) -> Person:
    return meet()


@pytest.fixture
def phone(_customer_with_phone: Person) -> Iterator[Person]:
    """A customer's phone."""
    yield _customer_with_phone
    _customer_with_phone.page.goto("about:blank")


@pytest.fixture
def guest(_customer_at_desk: Person) -> Iterator[Person]:
    """A customer at a desktop browser."""
    yield _customer_at_desk
    _customer_at_desk.page.goto("about:blank")


def _joined(meet: Meet, shop: Shop, role: str, email: str = "") -> Person:
    email = email or f"{role}@journey.example"
    page = shop.owner.page
    page.goto(shop.url("team/invite/"))
    pages.fill(page, {"email": email})
    page.locator(f'main [name="role"][value="{role}"]').check()
    pages.send(page)
    member = meet()
    invitation = pages.mailed_link(member, email)
    member.page.goto(invitation)
    member.page.locator("main a.btn-primary").click()
    pages.sign_up(member, email, start=member.page.url)
    if "/invitations/" not in member.page.url:
        member.page.goto(invitation)
    pages.send(member.page)
    assert f"/m/{shop.slug}/" in member.page.url, member.page.url
    return member


@pytest.fixture(scope="session")
def cashier(meet: Meet, new_shop: Shop) -> Person:
    """Invited by mail, joined in a browser of their own."""
    return _joined(meet, new_shop, "cashier")


@pytest.fixture(scope="session")
def finance(meet: Meet, new_shop: Shop) -> Person:
    """Invited by mail, joined in a browser of their own."""
    return _joined(meet, new_shop, "finance")


@pytest.fixture(scope="session")
def auditor(meet: Meet, new_shop: Shop) -> Person:
    """Invited by mail, joined in a browser of their own."""
    return _joined(meet, new_shop, "auditor")


@pytest.fixture(scope="session")
def demo_owner(meet: Meet) -> Person:
    """The owner of the demo shop, logged in, in Chinese."""
    person = meet(language="zh-hans")
    pages.log_in(person, "owner@demo.example", DEMO_PASSWORD)
    return person
