"""A cashier sees what they took and what nobody took, on every page of money; what another cashier took does not exist."""

from __future__ import annotations

import pytest
import time_machine
from django.test import Client

from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.models import Membership, Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop, make_user
from apps.payments.models import Order, Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.refunds.services import request_refund

OWN, OTHERS, NOBODYS = 11_100, 22_200, 33_300


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@pytest.fixture
def payments(shop: Shop) -> dict[int, Payment]:
    """One payment each that the cashier took, another cashier took, and a customer made by a printed code."""
    other = make_user("second@tea.test")
    Membership.objects.create(merchant=shop.merchant, user=other, role=Role.CASHIER)
    takers = {OWN: shop["cashier"], OTHERS: other, NOBODYS: None}
    found = {}
    with inside(shop):
        account = make_account(shop)
        for minor, taker in takers.items():
            found[minor] = make_paid(shop, account, minor=minor)
            Order.objects.filter(pk=found[minor].order_id).update(taken_by=taker)
            request_refund(
                payment_id=found[minor].pk,
                amount=Money(minor // 100),
                reason="x",
                member=taker or shop["manager"],
                actor=Actor("t"),
                now=NOW,
            )
    return found


def signed_in(shop: Shop, role: str) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(shop[role])
    return client


def shown(text: str) -> set[int]:
    """Which of the three amounts a page shows."""
    return {minor for minor in (OWN, OTHERS, NOBODYS) if Money(minor).display() in text}


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("cashier", {OWN, NOBODYS}),
        ("manager", {OWN, OTHERS, NOBODYS}),
        ("finance", {OWN, OTHERS, NOBODYS}),
        ("auditor", {OWN, OTHERS, NOBODYS}),
    ],
)
def test_lists_sums_and_pages(
    shop: Shop, payments: dict[int, Payment], role: str, expected: set[int]
) -> None:
    client = signed_in(shop, role)
    home = f"/m/{shop.slug}/"
    transactions = client.get(f"{home}transactions/").content.decode()
    assert shown(transactions) == expected
    refunds = client.get(f"{home}refunds/").content.decode()
    assert {m for m in payments if Money(m // 100).display() in refunds} == expected
    for minor, payment in payments.items():
        wanted = 200 if minor in expected else 404
        order = client.get(f"{home}orders/{payment.order_id}/")
        assert order.status_code == wanted, minor
        searched = client.get(f"{home}transactions/", {"q": payment.order_no}).content.decode()
        assert (Money(minor).display() in searched) is (minor in expected)
    with time_machine.travel(NOW, tick=False):
        client = signed_in(shop, role)
        page = client.get(home)
        if role == "cashier":
            # A cashier's first page is the desk.
            assert page["Location"] == f"{home}desk/"
        else:
            assert Money(sum(expected)).display() in page.content.decode()


def test_no_refund_of_another_cashiers_sale_can_be_asked_for(
    shop: Shop, payments: dict[int, Payment]
) -> None:
    client = signed_in(shop, "cashier")
    address = f"/m/{shop.slug}/refunds/new/{payments[OTHERS].pk}/"
    assert client.get(address).status_code == 404
    with enter_scope(shop.scope):
        before = payments[OTHERS]
        client.post(address, {"amount": "1.00", "reason": "x"})
        after = Payment.objects.get(pk=before.pk)
        assert after.refund_reserved_minor == before.refund_reserved_minor + OTHERS // 100
