"""A limit is drafted, tried on past days, taken up again and saved; a customer waits while the owner answers."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.conftest import Meet
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Shop


def test_rules_are_drafted_tried_and_saved(shop: Shop) -> None:
    page = shop.owner.page
    page.goto(shop.url("risk/rules/change/"))
    page.locator('main [name="code_day-on"]').check()
    page.locator('main [name="code_day-minor"]').fill("100")
    page.locator('main [name="reason"]').fill("试用")
    with page.expect_navigation():
        page.locator("main button[formaction]").click()
    expect(page.get_by_test_id("tried")).to_be_visible()
    with page.expect_navigation():
        page.locator('main [name="again"]').click()
    expect(page.locator('main [name="code_day-minor"]')).to_have_value("100")
    pages.send(page)
    page.goto(shop.url("risk/"))
    expect(page.locator("h1")).to_be_visible()


@pytest.fixture(scope="module")
def careful(meet: Meet, portal: Portal) -> tuple[Shop, str]:
    """A shop of one, whose rules hold what goes beyond ¥100 a day at a code and ask the till's cashier at once; and its code."""
    owner = meet()
    email = "owner@careful.example"
    pages.sign_up(owner, email)
    page = owner.page
    pages.fill(page, {"name": "谨慎书店", "name_en": "Careful Books", "store_name": "总店"})
    pages.send(page)
    slug = page.url.rstrip("/").split("/")[-1]
    shop = Shop(slug=slug, name="谨慎书店", owner=owner, owner_email=email)
    shown = portal.control("merchants", {"platform": "alipay", "name": shop.name})
    pages.connect(shop, shown, "Alipay")
    pages.create_code(shop, name="收银台")
    link = page.locator("[data-copy*='/q/']").first.get_attribute("data-copy")
    assert link
    page.goto(shop.url("risk/rules/change/"))
    for rule, outcome, values in (
        ("code_day", "hold", {"minor": "100"}),
        ("cashier_velocity", "confirm", {"count": "2", "minutes": "60"}),
    ):
        page.locator(f'main [name="{rule}-on"]').check()
        for name, value in values.items():
            page.locator(f'main [name="{rule}-{name}"]').fill(value)
        page.locator(f'main [name="{rule}-outcome"]').select_option(outcome)
    page.locator('main [name="reason"]').fill("大额先看一眼")
    pages.send(page)
    return shop, link


def _waits(phone: Person, link: str, amount: str) -> Page:
    page = phone.page
    pages.begin(page, link, amount, "alipay")
    expect(page.locator('[data-testid="check"][data-stage="member"]')).to_be_visible()
    return page


def test_the_customer_waits_while_the_owner_answers(
    careful: tuple[Shop, str], phone: Person
) -> None:
    shop, link = careful
    owner = shop.owner.page
    # The list is open before anybody waits, and shows who comes by itself.
    owner.goto(shop.url("risk/"))
    holds = owner.get_by_test_id("hold")
    expect(holds).to_have_count(0)
    customer = _waits(phone, link, "150.00")
    expect(holds).to_have_count(1, timeout=20_000)
    expect(holds.first).to_contain_text("¥150.00")
    expect(owner.locator(".shell-waiting")).to_have_count(0)
    owner.goto(shop.url("codes/"))
    owner.locator(".shell-waiting").click()
    owner.wait_for_url("**/risk/")
    with owner.expect_navigation():
        holds.first.locator('[name="answer"][value="release"]').click()
    expect(holds).to_have_count(0)
    # The customer's page goes on by itself, and the order is paid like any other.
    pages.expect_state(customer, "open", within=20)
    customer.get_by_test_id("pay-alipay").click()
    expect(customer.get_by_test_id("cashier")).to_be_visible()


def test_the_owner_refuses_and_the_customer_is_told(
    careful: tuple[Shop, str], phone: Person
) -> None:
    shop, link = careful
    owner = shop.owner.page
    customer = _waits(phone, link, "160.00")
    owner.goto(shop.url("risk/"))
    with owner.expect_navigation():
        owner.get_by_test_id("hold").first.locator('[name="answer"][value="refuse"]').click()
    refused = customer.locator('[data-testid="check"][data-stage="refused"]')
    expect(refused).to_be_visible(timeout=20_000)


def test_the_customer_gives_up_and_nobody_is_asked(
    careful: tuple[Shop, str], phone: Person
) -> None:
    shop, link = careful
    owner = shop.owner.page
    owner.goto(shop.url("risk/"))
    customer = _waits(phone, link, "170.00")
    holds = owner.get_by_test_id("hold")
    expect(holds).to_have_count(1, timeout=20_000)
    customer.get_by_test_id("give-up").click()
    pages.expect_state(customer, "closed")
    expect(holds).to_have_count(0, timeout=20_000)


def test_the_till_asks_once_more(careful: tuple[Shop, str], portal: Portal) -> None:
    shop, _link = careful
    page = pages.charge(shop.owner, shop, "8.00", pages.pay_code(portal, "alipay"))
    pages.expect_stage(page, "paid")
    page.goto(shop.url("till/"))
    pages.fill(page, {"amount": "9.00", "code": pages.pay_code(portal, "alipay")})
    with page.expect_navigation():
        page.locator("form[data-till] .till-go").click()
    expect(page.get_by_test_id("till-held")).to_contain_text("Nothing was charged")
    expect(page.locator('main [name="code"]')).to_have_value("")
    pages.fill(page, {"code": pages.pay_code(portal, "alipay")})
    with page.expect_navigation():
        page.locator("form[data-till] .till-go").click()
    pages.expect_stage(page, "paid")
