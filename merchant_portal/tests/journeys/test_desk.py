"""The cashier's desk: asked for, paid, seen and heard; a lost network, a shift, a display on the wall."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.conftest import Meet
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Shop

#: Speech of the tests' own, for the browser here has none: what is said is kept over all pages of the tab.
_SPEECH = """
(() => {
  if (!location.protocol.startsWith("http")) return;
  const said = JSON.parse(sessionStorage.getItem("said") || "[]");
  class Utterance { constructor(text) { this.text = text; } }
  const speech = {
    getVoices: () => [{ lang: "en-US" }, { lang: "zh-CN" }],
    speak: words => {
      said.push({ text: words.text, lang: words.lang });
      sessionStorage.setItem("said", JSON.stringify(said));
    },
    cancel: () => {},
  };
  Object.defineProperty(window, "SpeechSynthesisUtterance", { value: Utterance });
  Object.defineProperty(window, "speechSynthesis", { value: speech });
})();
"""
WIDTHS = (360, 1280)


def said(page: Page) -> list[str]:
    """What the page has said so far."""
    words: list[dict[str, str]] = page.evaluate(
        "() => JSON.parse(sessionStorage.getItem('said') || '[]')"
    )
    assert {word["lang"] for word in words} <= {"en-US"}
    return [word["text"] for word in words]


def open_desk(person: Person, shop: Shop) -> list[str]:
    """Open the desk, let it call out what the cashier's other browsers took meanwhile, and give what was said so far."""
    with person.page.expect_response("**/desk/heard/"):
        person.page.goto(shop.url("desk/"))
    person.page.wait_for_timeout(500)
    return said(person.page)


@pytest.fixture(scope="module")
def counters(meet: Meet, shop: Shop, cashier: Person) -> dict[int, Person]:
    """The same cashier, logged in on a phone and on a desk's computer, with the sound switched on."""
    people = {}
    for width in WIDTHS:
        person = meet(phone=width < 600, width=width)
        person.context.add_init_script(_SPEECH)
        pages.log_in(person, "cashier@journey.example")
        person.page.goto(shop.url("desk/"))
        button = person.page.locator("[data-sound]")
        expect(button).to_have_attribute("aria-pressed", "false")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        assert said(person.page) == ["Sound is on."]
        people[width] = person
    return people


@pytest.fixture(params=WIDTHS)
def counter(request: pytest.FixtureRequest, counters: dict[int, Person]) -> Iterator[Person]:
    """A cashier at the desk. Only one of the two browsers is open, so that only one speaks."""
    person = counters[request.param]
    yield person
    person.context.set_offline(False)
    person.page.goto("about:blank")
    # What the browser says of its own about a network that the test took away.
    person.troubles[:] = [trouble for trouble in person.troubles if "net::ERR" not in trouble]


def ask(person: Person, shop: Shop, amount: str) -> str:
    """Type an amount on the desk's own keys, show its code, and give its content."""
    page = person.page
    if not page.url.endswith("/desk/"):
        page.goto(shop.url("desk/"))
    for key in amount:
        page.locator(f'[data-desk-keys] [data-key="{key}"]').click()
    page.locator("[data-desk-pad] .btn-primary").click()
    code, question = page.locator('[data-stage="waiting"]'), page.get_by_test_id("large")
    expect(code.or_(question)).to_be_visible()
    if question.is_visible():
        page.get_by_test_id("sure").click()
    expect(code).to_be_visible()
    assert re.search(r"/desk/\d+/$", page.url)
    return pages.qr_content(page)


def come_to_pay(phone: Person, portal: Portal, content: str, wallet: str = "alipay") -> None:
    """Scan the code and stand before the last tap."""
    pages.scan_text(phone, portal.simulator, wallet, content)
    phone.page.get_by_test_id("pay-button").click()
    expect(phone.page.get_by_test_id("cashier").get_by_test_id("pay")).to_be_visible()


def books(portal: Portal, credentials: dict[str, Any], wallet: str) -> tuple[int, int]:
    """How many fen a platform took for the shop, and how many it gave back."""
    merchant_no = credentials[wallet]["merchant_no"]
    rows = portal.control(f"books?platform={wallet}&merchant_no={merchant_no}")["payments"]
    paid = [row for row in rows if row["paid_at"]]
    return (
        sum(row["amount_fen"] for row in paid),
        sum(row["refunded_fen"] for row in paid),
    )


def fits(page: Page) -> bool:
    """Whether nothing of the page stands beyond the screen's width."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_paid_is_seen_and_heard_at_once(
    portal: Portal, shop: Shop, counter: Person, phone: Person
) -> None:
    page = counter.page
    before = open_desk(counter, shop)
    assert fits(page)
    content = ask(counter, shop, "12.5")
    assert fits(page)
    come_to_pay(phone, portal, content)
    expect(page.locator('[data-stage="paying"]')).to_be_visible()
    phone.page.get_by_test_id("cashier").get_by_test_id("pay").click()
    began = time.monotonic()
    expect(page.locator('[data-stage="paid"] .desk-money')).to_have_text("¥12.50")
    seconds = time.monotonic() - began
    tell(f"desk, {page.viewport_size}: {seconds:.2f} s from the customer's tap to the large amount")
    assert seconds < 3
    page.wait_for_function(
        "count => JSON.parse(sessionStorage.getItem('said')).length > count", arg=len(before)
    )
    # Longer than two of the page's own looks: it is said once.
    page.wait_for_timeout(7_000)
    assert said(page) == [*before, "Alipay: 12.50 yuan received"]
    # Nor is it said again when the page is opened anew.
    page.reload()
    page.wait_for_timeout(1_000)
    assert said(page) == [*before, "Alipay: 12.50 yuan received"]
    page.locator("[data-desk-next]").click()
    expect(page.locator("[data-desk-amount]")).to_have_value("")
    assert page.url.endswith("/desk/")


def test_without_a_voice_it_chimes(
    portal: Portal, shop: Shop, meet: Meet, counters: dict[int, Person]
) -> None:
    person = meet()
    person.context.add_init_script(
        "Object.defineProperty(window, 'speechSynthesis', { value: undefined });"
    )
    pages.log_in(person, "cashier@journey.example")
    page = person.page
    page.goto(shop.url("desk/"))
    page.locator("[data-sound]").click()
    expect(page.locator("[data-calls]")).to_have_attribute("data-chimes", "1")
    pages.charge(person, shop, "3.10", pages.pay_code(portal, "alipay"))
    pages.expect_stage(page, "paid")
    expect(page.locator("[data-calls]")).to_have_attribute("data-chimes", "1")
    page.goto("about:blank")


def test_a_scanner_charges_from_the_keys(portal: Portal, shop: Shop, counter: Person) -> None:
    page = counter.page
    before = open_desk(counter, shop)
    page.keyboard.type("2.2", delay=200)
    with page.expect_navigation():
        page.keyboard.type(pages.pay_code(portal, "alipay"))
        page.keyboard.press("Enter")
    pages.expect_stage(page, "paid")
    expect(page.locator(".charge-amount")).to_have_text("¥2.20")
    page.wait_for_function(
        "count => JSON.parse(sessionStorage.getItem('said')).length > count", arg=len(before)
    )
    assert said(page) == [*before, "Alipay: 2.20 yuan received"]
    page.get_by_role("link", name="Next customer").click()
    expect(page.locator("[data-desk-keys]")).to_be_visible()


def test_a_code_scanned_before_the_amount_is_not_kept(
    portal: Portal, shop: Shop, counter: Person
) -> None:
    page = counter.page
    page.goto(shop.url("desk/"))
    page.keyboard.type(pages.pay_code(portal, "alipay"))
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Enter the amount first")
    expect(page.locator("[data-desk-amount]")).to_have_value("")
    page.locator('[data-desk-keys] [data-key="5"]').click()
    page.locator("[data-desk-scan]").click()
    expect(page.locator("#sheet-code")).to_have_value("")


def test_the_code_is_typed_into_the_sheet(portal: Portal, shop: Shop, counter: Person) -> None:
    page = counter.page
    page.goto(shop.url("desk/"))
    for key in "7":
        page.locator(f'[data-desk-keys] [data-key="{key}"]').click()
    page.locator("[data-desk-scan]").click()
    expect(page.locator("[data-desk-sheet-amount]")).to_have_text("¥7.00")
    page.locator("[data-desk-back]").click()
    expect(page.locator("[data-desk-keys]")).to_be_visible()
    page.locator("[data-desk-scan]").click()
    page.locator("#sheet-code").fill(pages.pay_code(portal, "wechatpay"))
    expect(page.locator("[data-desk-sheet] [data-till-hint]")).to_contain_text("WeChat")
    with page.expect_navigation():
        page.locator("[data-desk-sheet] button[type=submit]").click()
    pages.expect_stage(page, "paid")


def test_a_lost_network_is_caught_up_with(
    portal: Portal, shop: Shop, counter: Person, phone: Person
) -> None:
    page = counter.page
    before = open_desk(counter, shop)
    content = ask(counter, shop, "6")
    come_to_pay(phone, portal, content)
    counter.context.set_offline(True)
    phone.page.get_by_test_id("cashier").get_by_test_id("pay").click()
    expect(page.locator("[data-live-note]")).to_be_visible()
    assert page.locator('[data-stage="paid"]').count() == 0
    assert said(page) == before
    counter.context.set_offline(False)
    began = time.monotonic()
    expect(page.locator('[data-stage="paid"] .desk-money')).to_have_text("¥6.00")
    tell(f"desk: {time.monotonic() - began:.2f} s from the network's return to the large amount")
    expect(page.locator("[data-live-note]")).to_be_hidden()
    page.wait_for_timeout(3_500)
    assert said(page) == [*before, "Alipay: 6.00 yuan received"]


def test_many_at_once_become_one_sentence(
    portal: Portal, shop: Shop, counter: Person, cashier: Person
) -> None:
    page = counter.page
    before = open_desk(counter, shop)
    counter.context.set_offline(True)
    for amount in ("1.10", "2.20", "3.05"):
        till = pages.charge(cashier, shop, amount, pages.pay_code(portal, "alipay"))
        pages.expect_stage(till, "paid")
    counter.context.set_offline(False)
    page.wait_for_function(
        "count => JSON.parse(sessionStorage.getItem('said')).length > count", arg=len(before)
    )
    page.wait_for_timeout(3_500)
    assert said(page) == [*before, "3 payments received, 6.35 yuan in all."]
    cashier.page.goto("about:blank")


def test_back_and_forward_show_what_is_there_now(shop: Shop, counter: Person) -> None:
    """No step in the history breaks the policy (``no_trouble`` holds that) or shows what is over."""
    page = counter.page
    ask(counter, shop, "7")
    page.go_back()
    expect(page.locator("[data-desk-pad]")).to_be_visible()
    expect(page.locator("#desk")).to_contain_text("can still be paid by the code shown before")
    page.go_forward()
    expect(page.locator('[data-stage="waiting"]')).to_be_visible()
    page.get_by_test_id("cancel").click()
    expect(page.locator("[data-desk-pad]")).to_be_visible()
    page.go_back()
    expect(page.locator('[data-stage="closed"]')).to_be_visible()
    page.go_forward()
    expect(page.locator("[data-desk-pad]")).to_be_visible()
    # The keys still work after all that.
    page.locator('[data-desk-keys] [data-key="9"]').click()
    expect(page.locator("[data-desk-amount]")).to_have_value("9")


def test_a_zero_too_many_is_asked_about_and_an_enter_is_no_yes(shop: Shop, counter: Person) -> None:
    page = counter.page
    page.goto(shop.url("desk/"))
    page.locator("[data-desk-amount]").fill("99999.99")
    page.keyboard.press("Enter")
    question = page.get_by_test_id("large")
    expect(question).to_contain_text("¥99,999.99")
    assert fits(page)
    # The key held a moment too long leads back to the amount.
    page.keyboard.press("Enter")
    expect(page.locator("[data-desk-amount]")).to_have_value("99999.99")
    page.keyboard.press("Enter")
    page.get_by_test_id("sure").click()
    expect(page.locator('[data-stage="waiting"]')).to_contain_text("¥99,999.99")
    page.get_by_test_id("cancel").click()
    expect(page.locator("[data-desk-pad]")).to_be_visible()


def test_closing_a_shift_names_what_is_open(shop: Shop, counter: Person) -> None:
    page = counter.page
    page.goto(shop.url("desk/shift/"))
    pages.send(page)
    ask(counter, shop, "3.21")
    page.goto(shop.url("desk/shift/"))
    page.get_by_role("button", name="Close the shift").click()
    expect(page.locator("[data-open]")).to_contain_text("¥3.21")
    assert fits(page)
    page.locator("[data-cancel]").click()
    expect(page.get_by_role("button", name="Close the shift")).to_be_visible()
    page.get_by_role("button", name="Close the shift").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Close all the same").click()
    assert re.search(r"/desk/shifts/\d+/$", page.url)


def test_a_shifts_totals_are_the_simulators_books(
    portal: Portal,
    shop: Shop,
    counter: Person,
    phone: Person,
    credentials: dict[str, dict[str, Any]],
) -> None:
    page = counter.page
    before = {wallet: books(portal, credentials, wallet) for wallet in ("alipay", "wechatpay")}
    page.goto(shop.url("desk/shift/"))
    pages.fill(page, {"note": "200 in the drawer"})
    pages.send(page)
    # Two by codes on the desk's screen, one by the customer's own; of one something goes back.
    for amount in ("10", "8.8"):
        content = ask(counter, shop, amount)
        come_to_pay(phone, portal, content)
        phone.page.get_by_test_id("cashier").get_by_test_id("pay").click()
        expect(page.locator('[data-stage="paid"]')).to_be_visible()
    pages.charge(counter, shop, "4.40", pages.pay_code(portal, "wechatpay"))
    pages.expect_stage(page, "paid")
    order_id = pages.last_number(page.url)
    pages.refund(counter, shop, pages.Paid("", order_id), "1.00")
    pages.expect_refund(page, "succeeded")
    page.goto(shop.url("desk/today/"))
    expect(page.locator("#receipts")).to_contain_text("¥10.00")
    assert fits(page)
    page.goto(shop.url("desk/shift/"))
    assert fits(page)
    with page.expect_navigation():
        page.get_by_role("button", name="Close the shift").click()
    assert re.search(r"/desk/shifts/\d+/$", page.url)
    assert fits(page)
    for wallet, (paid, refunded) in before.items():
        after = books(portal, credentials, wallet)
        cells = page.locator(f'[data-wallet="{wallet}"] td')
        assert pages.money(cells.nth(1).inner_text()) == after[0] - paid
        shown = cells.nth(2).inner_text()
        assert (-pages.money(shown) if "¥" in shown else 0) == after[1] - refunded
    assert pages.money(page.get_by_test_id("paid").inner_text()) == 2_320
    assert pages.money(page.get_by_test_id("refunded").inner_text()) == -100
    assert pages.money(page.get_by_test_id("net").inner_text()) == 2_220


def test_a_display_on_the_wall(
    portal: Portal, shop: Shop, counter: Person, phone: Person, guest: Person
) -> None:
    owner = shop.owner.page
    owner.goto(shop.url("desk/wall/"))
    pages.send(owner)
    link = owner.locator("[data-wall] [data-copy]").first.get_attribute("data-copy")
    assert link
    wall = guest.page
    wall.goto(link)
    # Another journey's order may still be asked for; the newest is shown.
    expect(wall.locator("#wall")).to_be_visible()
    content = ask(counter, shop, "1234.5")
    expect(wall.get_by_test_id("qr")).to_be_visible()
    expect(wall.locator(".wall-amount")).to_have_text("¥1,234.50")
    assert fits(wall)
    pages.scan_text(phone, portal.simulator, "alipay", content)
    phone.page.get_by_test_id("pay-button").click()
    phone.page.get_by_test_id("cashier").get_by_test_id("pay").click()
    flash = wall.locator("[data-wall-flash]")
    expect(flash).to_be_visible()
    expect(flash).to_contain_text("¥1***.50")
    expect(wall.locator("[data-paid]").first).to_contain_text("¥1***.50")
    assert "1,234.50" not in wall.content()
    assert "1234.50" not in wall.content()
    owner.locator("[data-wall] a[data-confirm]").first.click()
    with owner.expect_navigation():
        owner.locator("[data-confirm-body] button[type=submit]").first.click()
    # The screen finds out by itself, and says it calmly.
    expect(wall.get_by_test_id("wall-over")).to_be_visible()
    assert guest.page.request.get(link).status == 404


def test_the_cashiers_menu_and_nobody_elses_money(
    portal: Portal, shop: Shop, counter: Person
) -> None:
    page = counter.page
    # The owner takes a payment at the same store.
    pages.charge(shop.owner, shop, "431.70", pages.pay_code(portal, "alipay"))
    pages.expect_stage(shop.owner.page, "paid")
    order_id = pages.last_number(shop.owner.page.url)
    page.goto(shop.url("desk/today/"))
    nav = "aside.shell-nav nav a" if page.viewport_size["width"] > 992 else ".shell-bottom a"  # type: ignore[index]  # a page here has a size
    assert page.locator(nav).all_inner_texts() == ["Desk", "Today", "Codes"]
    assert "431.70" not in page.content()
    for path in (f"desk/{order_id}/", f"till/{order_id}/"):
        assert page.request.get(shop.url(path), max_redirects=0).status == 404
