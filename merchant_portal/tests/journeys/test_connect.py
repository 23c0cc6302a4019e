"""Connecting platform accounts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Shop

SECRETS = (
    *("private_key", "api_v3_key", "app_secret"),
    *("certificate", "certificate_password", "vendor_key", "activation_code"),
)
#: What proves to a platform who calls.
KEYS = {
    "wechatpay": "private_key",
    "alipay": "private_key",
    "unionpay": "certificate",
    "shouqianba": "vendor_key",
}


@pytest.mark.parametrize("platform", KEYS)
def test_a_strangers_key_is_refused_at_its_field(
    portal: Portal, new_shop: Shop, platform: str
) -> None:
    key = KEYS[platform]
    mine, other = (portal.control("merchants", {"platform": platform}) for _ in range(2))
    page = new_shop.owner.page
    page.goto(new_shop.url("platforms/"))
    accounts = page.locator("main table .cell-lead")
    before = accounts.all_inner_texts()
    page.goto(new_shop.url(f"platforms/connect/{platform}/"))
    strange = {name: other[name] for name in (key, "certificate_password") if name in other}
    values = pages.connection_values(mine | strange, "Wrong")
    pages.fill(page, values)
    pages.send(page)
    assert f"/connect/{platform}/" in page.url
    words = pages.field_errors(page, key)
    tell(f"{platform} says: {words}")
    assert len(words) > 15
    assert other[key] not in page.content()
    page.goto(new_shop.url("platforms/"))
    assert accounts.all_inner_texts() == before


@pytest.mark.parametrize("platform", ["wechatpay", "alipay", "unionpay"])
def test_what_is_no_key_at_all_is_refused(portal: Portal, new_shop: Shop, platform: str) -> None:
    page = new_shop.owner.page
    page.goto(new_shop.url(f"platforms/connect/{platform}/"))
    shown = portal.control("merchants", {"platform": platform})
    key = KEYS[platform]
    pages.fill(page, pages.connection_values(shown | {key: "nonsense"}, "Wrong"))
    pages.send(page)
    assert len(pages.field_errors(page, key)) > 15


def test_secrets_are_never_shown_again(shop: Shop, credentials: dict[str, dict[str, Any]]) -> None:
    page = shop.owner.page
    page.goto(shop.url("platforms/"))
    rows = page.locator('main a[href*="/platforms/"]').evaluate_all(
        "links => [...new Set(links.map(link => link.pathname))]"
    )
    accounts = [path for path in rows if path.rstrip("/").rsplit("/", 1)[-1].isdigit()]
    assert len(accounts) == 4
    places = [shop.url("platforms/"), *accounts, *(f"{path}edit/" for path in accounts)]
    for place in [*places, shop.url("audit/"), shop.url("settings/")]:
        page.goto(place)
        content = page.content()
        for shown in credentials.values():
            for name in SECRETS:
                # The middle of the key: its first and last lines are the same for all keys.
                secret = str(shown.get(name, "no such secret"))
                assert secret[40:90] not in content or len(secret) < 90, (place, name)
                assert secret not in content, (place, name)


def test_the_first_step_is_done(shop: Shop) -> None:
    page = shop.owner.page
    page.goto(shop.url("platforms/"))
    for platform in KEYS:
        row = page.locator("main table tbody tr", has_text=f"Own {platform}")
        expect(row.locator('[data-state="working"]')).to_have_count(1)
