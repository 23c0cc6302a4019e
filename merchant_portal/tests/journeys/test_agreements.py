"""What was signed: entered with its rates, its paper kept, its list gone through; and the platforms compared."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import expect
from reportlab.pdfgen.canvas import Canvas

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.bookkeeping import CHINA, Books
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Code, Shop, fill, money, send


def contract() -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(72, 700, "Agreement")
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def test_an_agreement_from_the_list_before_signing_to_what_ends_soon(
    books: Books, tmp_path: Path
) -> None:
    shop = books.shop
    page = shop.owner.page
    today = datetime.now(CHINA).date()

    page.goto(shop.url("platforms/agreements/before/wechatpay/"))
    rate = page.locator("#item-rate")
    rate.locator('[name="note"]').fill("0.38%")
    with page.expect_navigation():
        rate.locator("button[type=submit]").click()
    expect(page.locator("#item-rate.is-done")).to_contain_text("0.38%")

    page.goto(shop.url(f"platforms/{books.account}/agreement/change/"))
    fill(
        page,
        {
            "service": "Native 支付",
            "valid_from": str(today - timedelta(days=10)),
            "valid_until": str(today + timedelta(days=20)),
            "rates-0-rate": "101",
        },
    )
    send(page)
    expect(page.locator("#id_rates-0-rate")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#id_service")).to_have_value("Native 支付")
    tell("a rate of 101 percent was refused where it stands, and nothing typed was lost")
    fill(
        page,
        {
            "rates-0-rate": "0.38",
            "rates-1-from_amount": "1000.01",
            "rates-1-rate": "0.6",
            "rates-1-cap": "80",
        },
    )
    send(page)
    page.wait_for_url(f"**/platforms/{books.account}/agreement/")
    table = page.locator(".tiers-table").first
    expect(table).to_contain_text("0.38 %")
    expect(table).to_contain_text("¥80.00")

    lying, file = tmp_path / "contract.pdf", tmp_path / "signed.pdf"
    lying.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    file.write_bytes(contract())
    for one, kept in ((lying, 0), (file, 1)):
        page.locator("#papers input[type=file]").set_input_files(one)
        page.locator('#papers [name="title"]').fill("合同")
        with page.expect_navigation():
            page.locator("#papers button[type=submit]").click()
        expect(page.locator(".paper-list > li")).to_have_count(kept)
    with page.expect_download() as coming:
        page.locator(".paper-list a").first.click()
    assert Path(coming.value.path()).read_bytes() == file.read_bytes()
    tell("a file that lies about its kind was refused; the contract came back byte for byte")

    page.goto(shop.url("platforms/agreements/"))
    expect(page.locator("main")).to_contain_text(str(today + timedelta(days=20)))
    page.goto(shop.url())
    expect(page.locator(".needs")).to_contain_text(str(today + timedelta(days=20)))


def test_the_adviser_charges_the_shops_own_payments_anew(
    portal: Portal, shop: Shop, open_code: Code, guest: Person
) -> None:
    pages.paid_over_native(guest, portal, shop, open_code, "33.33")
    page = shop.owner.page
    page.goto(shop.url(f"adviser/?month={datetime.now(CHINA).date():%Y-%m}"))
    answers = page.locator(".adviser-answer")
    # WeChat Pay is connected; Shouqianba is not, and stands here by what is usual.
    expect(answers.first).to_contain_text("0.6 %")
    assert answers.count() == 4
    for answer in answers.all():
        sums = [
            money(text) for text in answer.locator(".adviser-tiers td:last-child").all_inner_texts()
        ]
        told = answer.locator(".adviser-line").all_inner_texts()
        assert not told or money(told[0].split()[0]) == sum(sums)
    tell("the adviser's parts add up to its fees for each of four platforms")
