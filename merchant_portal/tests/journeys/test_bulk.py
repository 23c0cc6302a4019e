"""Two hundred tables: from a range of numbers to a print shop's ZIP, drawn by a real worker, and a table that says what is wrong."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

from apps.qrcodes.tests.artwork_judge import decode, rasterise_pdf
from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.harness import tell
from merchant_portal.tests.journeys.pages import Shop

TABLES = 200


def _choose_all(page: Page, shop: Shop, where: str, what: str) -> None:
    """Everything that the list shows, and what to do with it."""
    page.goto(shop.url(f"codes/?{where}"))
    page.locator("[data-pick-all]").check()
    page.locator("#act-kind").select_option(what)
    page.locator("#acts [type=submit]").click()


def test_two_hundred_tables_are_made_printed_and_paused_and_resumed(
    new_shop: Shop, tmp_path: Path
) -> None:
    page = new_shop.owner.page
    page.goto(new_shop.url("codes/create/many/"))
    page.get_by_test_id("kind-table").click()
    page.locator("main details > summary").first.click()
    pages.fill(page, {"numbers": f"001-{TABLES:03d}", "new_folder": "Tables", "labels": "summer"})
    pages.send(page)
    expect(page.locator("main h1, .page-title").first).to_contain_text(str(TABLES))
    page.locator("button[name=sure]").click()
    page.wait_for_url("**/codes/?batch=*")
    batch = page.url.split("?")[1]

    _choose_all(page, new_shop, batch, "print")
    page.locator('main [name="file"][value="book"]').check()
    pages.send(page)
    expect(page.get_by_test_id("ready")).to_be_visible(timeout=120_000)
    with page.expect_download() as waiting:
        page.locator("main a[download]").click()
    archive_file = tmp_path / "print.zip"
    waiting.value.save_as(archive_file)
    archive = zipfile.ZipFile(archive_file)
    books = [name for name in archive.namelist() if name.endswith(".pdf")]
    listing = next(name for name in archive.namelist() if name.endswith("/list_清单.csv"))
    # The last column is the link, whatever language the page has; the first line says so.
    heading, *rows = csv.reader(io.StringIO(archive.read(listing).decode("utf-8-sig")))
    assert heading[-1] in {"Link", "链接"}
    links = [row[-1] for row in rows]
    read = [
        text
        for name in books
        for sheet in rasterise_pdf(archive.read(name), tmp_path, dpi=100)
        for text in decode(sheet)
    ]
    assert len(rows) == TABLES
    assert read == links
    tell(f"{TABLES} tables in {len(books)} PDFs: every page decodes to its own code, in order")

    _choose_all(page, new_shop, "label=summer", "pause")
    pages.send(page)
    expect(page.get_by_test_id("done")).to_contain_text(str(TABLES))
    page.goto(links[0])
    expect(page.locator("body")).not_to_contain_text("¥")
    page.goto(new_shop.url("codes/acts/"))
    page.locator("td.cell-lead a").first.click()
    page.locator("main form[action$='/undo/'] button").click()
    page.goto(new_shop.url("codes/?state=paused"))
    expect(page.locator(".code-table tbody tr")).to_have_count(0)


def test_a_table_with_mistakes_names_each_and_makes_nothing(new_shop: Shop, tmp_path: Path) -> None:
    page = new_shop.owner.page
    file = tmp_path / "tables.csv"
    file.write_bytes("名称,桌号,金额\n甲,1,0\n甲,2,\n,3,1.234\n".encode("gb18030"))
    page.goto(new_shop.url("codes/create/many/?kind=table"))
    page.locator('main [name="way"][value="table"]').check()
    page.locator('main [name="file"]').set_input_files(file)
    pages.fill(page, {"pattern": "", "pattern_en": ""})
    pages.send(page)
    lines = page.get_by_test_id("flaws").locator("tbody tr td:first-child").all_inner_texts()
    assert lines == ["2", "3", "4", "4"]
    page.goto(new_shop.url("codes/?q=甲&state=all"))
    expect(page.locator(".code-table tbody tr")).to_have_count(0)
