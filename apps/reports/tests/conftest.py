"""A shop with something to report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.test import Client

from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.models import Membership, Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid, make_payment
from apps.platforms.gateway import Outcome, RefundResult
from apps.platforms.models import PlatformAccount
from apps.refunds.models import Refund
from apps.refunds.services import apply_refund_result, request_refund


@dataclass(frozen=True)
class Books:
    """A shop, its accounts, four payments (one unpaid, one of yesterday) and a refund."""

    shop: Shop
    wechat: PlatformAccount
    alipay: PlatformAccount
    paid: Payment
    second: Payment
    unpaid: Payment
    yesterday: Payment
    refund: Refund

    def url(self, rest: str = "") -> str:
        """An address in the shop's back office."""
        return f"/m/{self.shop.slug}/{rest}"


def give_back(shop: Shop, payment: Payment, *, minor: int) -> Refund:
    """A refund that the platform has paid out."""
    refund = request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="=cmd|'/c calc'!A1",
        member=shop["owner"],
        actor=Actor("owner"),
        now=NOW,
    )
    result = RefundResult(
        outcome=Outcome.SUCCEEDED,
        order_no=payment.order_no,
        refund_no=refund.refund_no,
        platform_refund_no=f"50{refund.pk:026d}",
        amount=Money(minor),
        refunded_at=NOW,
        code="SUCCESS",
    )
    apply_refund_result(
        refund_id=refund.pk, result=result, via="notification", now=NOW, actor=Actor.system("test")
    )
    refund.refresh_from_db()
    return refund


@pytest.fixture
def books(db: None) -> Books:
    """The tea house of the tests, outside its scope."""
    shop = make_shop("tea")
    with inside(shop):
        wechat = make_account(shop)
        alipay = make_account(shop, platform="alipay", merchant_no="2088000000000001")
        yesterday = make_paid(shop, wechat, minor=3_000, now=NOW - timedelta(days=1))
        paid = make_paid(shop, wechat, minor=10_000, now=NOW - timedelta(minutes=5))
        second = make_paid(shop, alipay, minor=1_250, now=NOW - timedelta(minutes=4))
        unpaid = make_payment(shop, wechat, minor=700, now=NOW - timedelta(minutes=3))
        refund = give_back(shop, paid, minor=2_500)
        paid.refresh_from_db()
    return Books(shop, wechat, alipay, paid, second, unpaid, yesterday, refund)


@pytest.fixture
def other_store(books: Books) -> Store:
    """A second store, to which the cashier is limited."""
    with inside(books.shop):
        store: Store = Store.objects.create(name="二号店", name_en="Second store")
    Membership.objects.filter(user=books.shop["cashier"]).update(store_ids=[store.pk])
    return store


def signed_in(books: Books, role: str) -> Client:
    """A browser in which a member of this role is logged in."""
    client = Client()
    client.force_login(books.shop[role])
    return client
