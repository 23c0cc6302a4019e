"""Connecting platform accounts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.harness import Portal, tell
from merchant_portal.tests.journeys.pages import Shop

SECRETS = ("private_key", "api_v3_key", "app_secret")


@pytest.mark.parametrize("platform", ["wechatpay", "alipay"])
def test_a_strangers_key_is_refused_at_its_field(
    portal: Portal, new_shop: Shop, platform: str
) -> None:
    mine, other = (portal.control("merchants", {"platform": platform}) for _ in range(2))
    page = new_shop.owner.page
    page.goto(new_shop.url("platforms/"))
    before = page.locator("main").inner_text()
    page.goto(new_shop.url(f"platforms/connect/{platform}/"))
    values = pages.connection_values(mine | {"private_key": other["private_key"]}, "Wrong")
    pages.fill(page, values)
    pages.send(page)
    assert f"/connect/{platform}/" in page.url
    words = pages.field_errors(page, "private_key")
    tell(f"{platform} says: {words}")
    assert len(words) > 15
    assert other["private_key"] not in page.content()
    page.goto(new_shop.url("platforms/"))
    assert page.locator("main").inner_text() == before


@pytest.mark.parametrize("platform", ["wechatpay", "alipay"])
def test_what_is_no_key_at_all_is_refused(portal: Portal, new_shop: Shop, platform: str) -> None:
    page = new_shop.owner.page
    page.goto(new_shop.url(f"platforms/connect/{platform}/"))
    shown = portal.control("merchants", {"platform": platform})
    pages.fill(page, pages.connection_values(shown | {"private_key": "nonsense"}, "Wrong"))
    pages.send(page)
    assert len(pages.field_errors(page, "private_key")) > 15


def test_secrets_are_never_shown_again(shop: Shop, credentials: dict[str, dict[str, Any]]) -> None:
    page = shop.owner.page
    page.goto(shop.url("platforms/"))
    rows = page.locator('main a[href*="/platforms/"]').evaluate_all(
        "links => [...new Set(links.map(link => link.pathname))]"
    )
    accounts = [path for path in rows if path.rstrip("/").rsplit("/", 1)[-1].isdigit()]
    assert len(accounts) == 2
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
    for platform in ("wechatpay", "alipay"):
        expect(page.locator("main")).to_contain_text(f"Own {platform}")
