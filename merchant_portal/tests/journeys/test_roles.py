"""What each role sees, and what it cannot do even without a button."""

from __future__ import annotations

import pytest

from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.pages import Code, Shop

CASHIER_MAY = (
    *("transactions/", "codes/", "refunds/", "till/"),
    *("desk/", "desk/today/", "desk/shift/", "desk/shifts/"),
)
CASHIER_MAY_NOT = (
    "platforms/",
    "platforms/connect/wechatpay/",
    "platforms/notifications/",
    "doctor/",
    "waiting/",
    "terminals/",
    "terminals/add/",
    "desk/wall/",
    "team/",
    "team/invite/",
    "stores/",
    "settings/",
    "codes/create/",
    "reconciliation/",
    "exports/",
    "exports/transactions.csv",
    "audit/",
    "refunds/rule/",
    "refunds/rules/",
)
AUDITOR_MAY = (
    *("", "transactions/", "codes/", "refunds/", "terminals/"),
    *("platforms/", "team/", "reconciliation/", "exports/", "audit/"),
    *("platforms/notifications/", "doctor/", "waiting/", "desk/shifts/"),
)
AUDITOR_MAY_NOT = (
    "till/",
    "desk/",
    "desk/wall/",
    "terminals/add/",
    "platforms/connect/wechatpay/",
    "team/invite/",
    "codes/create/",
    "settings/",
    "stores/add/",
    "statements/upload/",
)


def status(person: Person, address: str) -> int:
    """How the portal answers this member's own browser."""
    return person.page.request.get(address, max_redirects=0).status


def test_a_cashier_sees_only_the_counter(shop: Shop, cashier: Person) -> None:
    assert {path: status(cashier, shop.url(path)) for path in CASHIER_MAY} == dict.fromkeys(
        CASHIER_MAY, 200
    )
    assert {path: status(cashier, shop.url(path)) for path in CASHIER_MAY_NOT} == dict.fromkeys(
        CASHIER_MAY_NOT, 403
    )
    cashier.page.goto(shop.url())
    assert cashier.page.url.endswith(shop.url("desk/"))
    shown = cashier.page.locator("aside.shell-nav a").evaluate_all(
        "links => links.map(link => link.pathname)"
    )
    for path in ("platforms/", "team/", "settings/", "reconciliation/", "audit/"):
        assert shop.url(path) not in shown


def test_an_auditor_reads_and_cannot_write(shop: Shop, open_code: Code, auditor: Person) -> None:
    assert {path: status(auditor, shop.url(path)) for path in AUDITOR_MAY} == dict.fromkeys(
        AUDITOR_MAY, 200
    )
    assert {path: status(auditor, shop.url(path)) for path in AUDITOR_MAY_NOT} == dict.fromkeys(
        AUDITOR_MAY_NOT, 403
    )
    page = auditor.page
    page.goto(shop.url(f"codes/{open_code.pk}/"))
    token = page.context.cookies()
    csrf = next(cookie["value"] for cookie in token if cookie["name"] == "csrftoken")
    for path in (f"codes/{open_code.pk}/pause/", "team/invite/", "refunds/rules/draft/"):
        answer = page.request.post(
            shop.url(path),
            form={"csrfmiddlewaretoken": csrf, "email": "x@journey.example", "threshold": "1"},
            headers={"Referer": page.url},
        )
        assert answer.status == 403, path


@pytest.mark.parametrize("path", ["", "transactions/", "codes/", "platforms/", "settings/"])
def test_a_strangers_shop_does_not_exist(cashier: Person, path: str) -> None:
    assert status(cashier, f"/m/demo/{path}") == 404
