"""Codes that are made by kind, say something else later, and are looked at on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import qrcode
from PIL import Image
from playwright.sync_api import Page, expect

from apps.core.clock import CHINA
from apps.qrcodes.proof import Harm, Subject, harmed
from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.conftest import Meet
from merchant_portal.tests.journeys.harness import Portal
from merchant_portal.tests.journeys.pages import Code, Shop


@pytest.fixture(scope="module")
def narrow(meet: Meet) -> Person:
    """A customer with a small phone."""
    return meet(phone=True, width=360)


@pytest.fixture(scope="module")
def without_script(meet: Meet) -> Person:
    """A customer whose browser runs no script."""
    return meet(phone=True, width=360, script=False)


def _make(shop: Shop, kind: str, values: dict[str, str], *chosen: str) -> str:
    """Make a code of a kind; the address of its page."""
    page = shop.owner.page
    page.goto(shop.url("codes/create/"))
    page.get_by_test_id(f"kind-{kind}").click()
    for selector in chosen:
        page.locator(f"main {selector}").check()
    pages.fill(page, values)
    pages.send(page)
    assert page.url.rstrip("/").rsplit("/", 1)[-1].isdecimal(), page.locator("main").inner_text()
    return page.url


def _link(page: Page) -> str:
    link = page.locator("[data-copy*='/q/']").first.get_attribute("data-copy")
    assert link
    return link


def _change(page: Page, address: str, values: dict[str, str], *chosen: str) -> None:
    page.goto(f"{address}change/")
    for selector in chosen:
        page.locator(f"main {selector}").check()
    pages.fill(page, values)
    pages.send(page)


def test_a_price_list_is_chosen_from_and_a_new_price_is_told(shop: Shop, narrow: Person) -> None:
    owner, page = shop.owner.page, narrow.page
    address = _make(
        shop,
        "product",
        {"name": "手冲", "choices": "小杯 12\n大杯 18.50", "asked_sku": "K-1"},
        '[name="pricing"][value="list"]',
    )
    expect(owner.get_by_test_id("terms")).to_contain_text("K-1")
    page.goto(_link(owner))
    page.locator("label.price", has_text="大杯").click()
    _change(owner, address, {"choices": "小杯 13\n大杯 19.50", "reason": "Autumn"})
    page.get_by_test_id("pay-alipay").click()
    expect(page.get_by_test_id("choice-error")).to_contain_text("price has just been changed")
    page.locator("label.price", has_text="大杯").click()
    page.get_by_test_id("pay-alipay").click()
    pages.pay_at_cashier(page)
    pages.expect_state(page, "paid")
    expect(page.get_by_test_id("amount")).to_have_text("¥19.50")
    owner.goto(f"{address}versions/")
    expect(owner.get_by_test_id("version-2")).to_contain_text("Autumn")
    expect(owner.get_by_test_id("version-2")).to_contain_text("大杯 ¥18.50")


def test_without_script_a_large_amount_is_confirmed_and_paid(
    open_code: Code, without_script: Person
) -> None:
    page = without_script.page
    page.goto(open_code.link)
    page.locator('[name="amount"]').fill("1200")
    page.get_by_test_id("pay-alipay").click()
    expect(page.get_by_test_id("confirm-shop")).to_be_visible()
    expect(page.get_by_test_id("amount")).to_have_text("¥1,200.00")
    page.get_by_test_id("confirm-back").click()
    page.locator('[name="amount"]').fill("1001")
    page.get_by_test_id("pay-alipay").click()
    page.get_by_test_id("confirm-button").click()
    page.locator("a, button").first.wait_for()
    assert "/pay/" in page.url or "alipay" in page.url


@pytest.mark.parametrize("wallet", ["wechatpay", "alipay", "unionpay"])
def test_inside_a_wallet_a_large_amount_is_confirmed_and_paid(
    portal: Portal, open_code: Code, phone: Person, wallet: str
) -> None:
    """With the wallet's own user agent: one button, the question, the amount changed once, and paid."""
    pages.scan_text(phone, portal.simulator, wallet, open_code.link)
    page = phone.page
    page.get_by_test_id("amount").fill("1200")
    page.get_by_test_id("pay-button").click()
    expect(page.get_by_test_id("confirm-shop")).to_be_visible()
    page.get_by_test_id("confirm-back").click()
    page.locator('[name="amount"]').fill("1001")
    page.get_by_test_id("pay-button").click()
    expect(page.get_by_test_id("amount")).to_have_text("¥1,001.00")
    page.get_by_test_id("confirm-button").click()
    if wallet == "wechatpay":
        pages.pay_in_sheet(page)
    else:
        pages.pay_at_cashier(page)
    pages.expect_state(page, "paid")
    expect(page.get_by_test_id("amount")).to_have_text("¥1,001.00")


def test_a_change_is_planned_seen_and_withdrawn_on_a_phone(shop: Shop, meet: Meet) -> None:
    address = _make(shop, "table", {"name": "桌号 9", "asked_number": "9"})
    phone = meet(phone=True)
    pages.log_in(phone, shop.owner_email)
    page = phone.page
    later = (datetime.now(UTC) + timedelta(days=3)).astimezone(CHINA)
    page.goto(f"{address}change/")
    page.locator('main [name="when"][value="later"]').check()
    pages.fill(page, {"name": "桌号 10", "starts_at": later.strftime("%Y-%m-%dT%H:%M")})
    pages.send(page)
    expect(page.get_by_test_id("planned")).to_contain_text("桌号 10")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_test_id("planned").get_by_role("link", name="Withdraw").click()
    page.locator("[data-confirm-body] button[type=submit]").click()
    expect(page.get_by_test_id("planned")).to_have_count(0)


def test_two_who_change_a_code_at_once_do_not_lose_what_they_typed(shop: Shop, meet: Meet) -> None:
    address = _make(shop, "counter", {"name": "吧台"})
    other = meet()
    pages.log_in(other, shop.owner_email)
    mine, theirs = shop.owner.page, other.page
    mine.goto(f"{address}change/")
    theirs.goto(f"{address}change/")
    pages.fill(theirs, {"name": "吧台 B"})
    pages.send(theirs)
    pages.fill(mine, {"name": "吧台 A"})
    pages.send(mine)
    expect(mine.get_by_test_id("meanwhile")).to_contain_text("吧台 B")
    expect(mine.locator('main [name="name"]')).to_have_value("吧台 A")
    pages.send(mine)
    expect(mine.get_by_role("heading", level=1)).to_have_text("吧台 A")


def test_a_paused_code_is_calm_and_why_it_was_paused_stays_inside(
    shop: Shop, narrow: Person
) -> None:
    address = _make(shop, "rider", {"name": "骑手 1", "asked_rider": "小周"})
    owner, page = shop.owner.page, narrow.page
    link = _link(owner)
    owner.goto(f"{address}pause/")
    pages.fill(owner, {"reason": "Sticker pasted over"})
    pages.send(owner)
    expect(owner.locator("main")).to_contain_text("Sticker pasted over")
    page.goto(link)
    expect(page.get_by_test_id("code-state")).to_have_attribute("data-state", "paused")
    expect(page.locator("body")).not_to_contain_text("pasted")
    owner.goto(f"{address}resume/")
    pages.send(owner)
    page.goto(link)
    expect(page.get_by_test_id("note")).to_be_visible()


def test_stickers_are_photographed_and_told_apart(
    shop: Shop, open_code: Code, meet: Meet, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.png"
    with foreign.open("wb") as file:
        qrcode.make("https://evil.example/q/abcdefghjkmn").save(file)
    phone = meet(phone=True)
    pages.log_in(phone, shop.owner_email)
    page = phone.page
    page.goto(shop.url("codes/"))
    page.get_by_role("link", name="Check a sticker").click()
    wanted: list[tuple[Any, str]] = [(open_code.png, "ours"), (foreign, "other_link")]
    for picture, verdict in wanted:
        page.locator('main [name="photo"]').set_input_files(picture)
        pages.send(page)
        expect(page.get_by_test_id("sticker")).to_have_attribute("data-verdict", verdict)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_photographs_of_worn_stickers_are_told_apart_without_script(
    shop: Shop, open_code: Code, meet: Meet, tmp_path: Path
) -> None:
    """Slanted, blurred, scratched, as a phone sees them: in force, retired, another merchant's look, a wallet's own; two at once."""
    address = _make(shop, "table", {"name": "旧桌 9"})
    owner = shop.owner.page
    old = _link(owner)
    owner.goto(f"{address}retire/")
    pages.send(owner)
    owner.goto(shop.url(f"codes/{open_code.pk}/"))
    link = _link(owner)
    host = link.split("//")[1].split("/")[0]
    wanted = {
        link: "ours",
        old: "retired",
        link[:-1]: "unknown",
        link.replace(host, f"{host.split(':')[0]}.evil.example"): "look_alike",
        f"{link}?x=1": "altered",
        "https://qr.alipay.com/fkx12345abcdef": "wallet",
        "WIFI:T:WPA;S:shop;P:secret;;": "harmless",
    }
    phone = meet(phone=True, script=False)
    pages.log_in(phone, shop.owner_email)
    page = phone.page
    for seed, (text, verdict) in enumerate(wanted.items()):
        page.goto(shop.url("codes/check/"))
        page.locator('main [name="photo"]').set_input_files(_photo(tmp_path, text, seed))
        pages.send(page)
        expect(page.get_by_test_id("sticker")).to_have_attribute("data-verdict", verdict)
    both = Image.new("L", (1400, 700), 200)
    for place, text in enumerate((link, "https://evil.example/")):
        with Image.open(_photo(tmp_path, text, place)) as one:
            both.paste(one, (700 * place, 20))
    both.save(tmp_path / "both.png")
    page.locator('main [name="file"]').set_input_files(tmp_path / "both.png")
    pages.send(page)
    verdicts = page.get_by_test_id("sticker").evaluate_all("all => all.map(e => e.dataset.verdict)")
    assert verdicts == ["other_link", "ours"]


def _photo(folder: Path, text: str, seed: int) -> Path:
    """A photograph of a worn code."""
    code = qrcode.QRCode(border=4, box_size=8)
    code.add_data(text)
    subject = Subject(code.make_image().get_image().convert("L"), text, code.modules_count, "M")
    harm = Harm(px=7, blur=0.6, rotation=12, tilt=30, wear=0.4, noise=6, jpeg=80, seed=seed)
    path = folder / f"{seed}.jpg"
    harmed(subject, harm).save(path, quality=85)
    return path


def test_the_scan_proof_loads_by_itself_in_the_studio(shop: Shop, open_code: Code) -> None:
    page = shop.owner.page
    page.goto(shop.url(f"codes/{open_code.pk}/studio/"))
    proof = page.get_by_test_id("proof")
    expect(proof).to_have_attribute("data-scans", "yes")
    expect(proof.get_by_test_id("least-width")).to_contain_text("mm")
