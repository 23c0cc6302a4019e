"""Making codes and taking their artwork away."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.pages import Code, Shop

BEGINNINGS = {"png": b"\x89PNG", "svg": b"<", "pdf-a6": b"%PDF", "pdf-a4": b"%PDF"}


@pytest.mark.parametrize("amount", ["0", "0.001", "-1", "1000000000000"])
def test_an_amount_that_cannot_be_paid_makes_no_code(new_shop: Shop, amount: str) -> None:
    page = new_shop.owner.page
    page.goto(new_shop.url("codes/create/"))
    page.get_by_test_id("kind-counter").click()
    page.locator('main [name="pricing"][value="fixed"]').check()
    pages.fill(page, {"name": f"No code {amount}", "amount": amount})
    pages.send(page)
    assert page.url.endswith("/codes/create/")
    assert len(pages.field_errors(page, "amount")) > 10
    page.goto(new_shop.url("codes/?state=all"))
    expect(page.locator("main")).not_to_contain_text(f"No code {amount}")


def test_every_file_of_a_code_can_be_downloaded(
    shop: Shop, fixed_code: Code, tmp_path: Path
) -> None:
    page = shop.owner.page
    page.goto(shop.url(f"codes/{fixed_code.pk}/"))
    for name, beginning in BEGINNINGS.items():
        with page.expect_download() as waiting:
            page.locator(f'button[name="file"][value="{name}"]').click()
        file = tmp_path / name
        waiting.value.save_as(file)
        assert file.read_bytes().startswith(beginning), name
        assert file.stat().st_size > 1000, name
