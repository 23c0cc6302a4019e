"""Yesterday's bills of the demo shop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import tell

RECONCILIATION = "/m/demo/reconciliation/"


def open_latest_run(person: Person) -> None:
    """Open the newest matched day; have it fetched when it is not there yet."""
    page = person.page
    page.goto(RECONCILIATION)
    if not page.locator("#days tr[data-row-href]").count():
        page.locator("#days .row-actions button").first.click()
        page.goto(RECONCILIATION)
    page.locator("#days tr[data-row-href] .cell-lead a").first.click()
    page.wait_for_url(re.compile(r"/reconciliation/\d+/"))


def test_every_fen_of_the_bill_is_explained(demo_owner: Person) -> None:
    open_latest_run(demo_owner)
    page = demo_owner.page
    terms = [pages.money(text) for text in page.locator(".term-value").all_inner_texts()]
    bill, books, *differences = terms
    assert bill == books + sum(differences)
    expect(page.locator(".equation-rest")).not_to_have_class(re.compile("is-wrong"))
    matched = int(page.locator(".stat-value").first.inner_text().replace(",", ""))
    tell(f"matched {matched} rows; bill {bill} = books {books} + {differences} fen")
    assert matched > 0


def test_a_difference_is_marked_as_resolved(demo_owner: Person) -> None:
    page = demo_owner.page
    page.goto(RECONCILIATION)
    for href in page.locator("#days tr[data-row-href]").evaluate_all(
        "rows => rows.map(row => row.dataset.rowHref)"
    ):
        page.goto(href)
        if page.locator(".diff .diff-form").count():
            break
    entry = page.locator(".diff", has=page.locator(".diff-form")).first
    name = entry.get_attribute("id")
    entry.locator("details:has(.diff-form) summary").click()
    entry.locator('[name="note"]').fill("平台已确认")
    entry.locator(".diff-form button").click()
    expect(page.locator(f"#{name}")).to_contain_text("平台已确认")


@pytest.mark.parametrize("kind", ["other day", "not a bill", "empty"])
def test_a_wrong_file_is_refused_with_a_sentence(
    demo_owner: Person, tmp_path: Path, kind: str
) -> None:
    open_latest_run(demo_owner)
    page = demo_owner.page
    run = page.url
    file = tmp_path / "bill.csv"
    if kind == "other day":
        with page.expect_download() as waiting:
            page.locator('a[href*="/statements/"][href*="/download/"]').first.click()
        file = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(file)
    else:
        file.write_text("" if kind == "empty" else "a,b,c\n1,2,3\n")
    before = page.locator("main").inner_text()
    page.locator('.page-actions a[href*="/statements/upload/"]').click()
    day = page.locator('main [name="day"]').first
    if kind == "other day":
        day.fill("2026-01-02")
    page.locator('main [name="file"]').set_input_files(file)
    pages.send(page)
    assert "/statements/upload/" in page.url
    words = page.locator("main .errorlist li, main .invalid-feedback").first.inner_text()
    tell(f"{kind}: {words}")
    assert len(words) > 4
    page.goto(run)
    assert page.locator("main").inner_text() == before
