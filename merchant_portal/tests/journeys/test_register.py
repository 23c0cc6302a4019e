"""Registering: a new owner, a second factor, the first members."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.conftest import Meet
from merchant_portal.tests.journeys.pages import Shop


def test_a_new_owner_lands_on_a_dashboard_that_says_what_to_do(new_shop: Shop) -> None:
    # The three steps themselves are seen by the fixture, right after the registration.
    page = new_shop.owner.page
    page.goto("/")
    page.wait_for_url(f"**{new_shop.url()}")
    expect(page.locator("h1")).to_be_visible()


def test_a_wrong_password_is_refused(meet: Meet, new_shop: Shop) -> None:
    stranger = meet()
    pages.log_in(stranger, new_shop.owner_email, "not-the-pass-phrase")
    assert "/accounts/login/" in stranger.page.url
    expect(stranger.page.locator("[role=alert]").first).to_be_visible()


def test_a_second_factor_is_switched_on_and_asked_for(meet: Meet) -> None:
    email = "careful@journey.example"
    person = meet()
    pages.sign_up(person, email)
    page = person.page
    page.goto("/accounts/2fa/totp/activate/")
    if "/reauthenticate/" in page.url:
        pages.fill(page, {"password": pages.PASSWORD})
        pages.send(page)
    secret = page.locator("#authenticator_secret").input_value()
    page.locator('main [name="code"]').fill(pages.totp(secret, time.time()))
    pages.send(page)
    if "/totp/activate/" in page.url:
        # The half minute of that code ended meanwhile.
        page.locator('main [name="code"]').fill(pages.totp(secret, time.time()))
        pages.send(page)
    page.goto("/accounts/2fa/")
    expect(page.locator('a[href*="totp/deactivate"]')).to_have_count(1)
    page.goto("/accounts/2fa/recovery-codes/")
    recovery = re.search(r"\b[0-9a-f]{8}\b|\b\d{8}\b", page.locator("main").inner_html())
    assert recovery, page.locator("main").inner_text()
    again = meet()
    pages.log_in(again, email)
    assert "/2fa/authenticate/" in again.page.url
    # An app's code works once, and this one switched it on; a recovery code is taken in its place.
    for code in ("000000", recovery[0]):
        assert "/2fa/authenticate/" in again.page.url
        again.page.locator('main [name="code"]').first.fill(code)
        pages.send(again.page)
    assert again.page.url.endswith("/start/"), again.page.url


def test_an_invited_cashier_joins(cashier: Person, new_shop: Shop) -> None:
    page = new_shop.owner.page
    page.goto(new_shop.url("team/"))
    expect(page.locator("main table").first).to_contain_text("cashier@journey.example")
    cashier.page.goto(new_shop.url())
    # The cashier reads English, and so the shop's English name.
    expect(cashier.page.locator("body")).to_contain_text("Journey Books")
