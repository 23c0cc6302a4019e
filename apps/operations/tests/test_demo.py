"""The demo shop is the same for the same seed, and its books hold."""

from __future__ import annotations

import pytest

from apps.core.audit import Actor
from apps.merchants.models import Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.operations import books
from apps.operations.demo.cast import Cast, make_codes
from apps.operations.demo.history import write_attempts
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.qrcodes.models import QRCode
from apps.refunds.models import Refund

Row = tuple[object, ...]


def demo(shop: Shop, *, seed: str) -> tuple[list[Row], list[Row]]:
    """What a demo of one seed holds, without its random numbers."""
    with inside(shop):
        stores = [shop.store, Store.objects.create(name="二号店")]
        make_codes(stores, actor=Actor("t"), now=NOW)
        accounts = [make_account(shop), make_account(shop, platform="alipay", merchant_no="2088")]
        codes = list(QRCode.objects.select_related("scenario").order_by("pk"))
        told = write_attempts(
            Cast(shop.merchant, stores, codes, accounts, shop.members),
            seed=seed,
            days=20,
            count=60,
            now=NOW,
        )
        assert books.verify() == []
        paid = Payment.objects.filter(state="succeeded")
        assert sum(len(what.payments) for what in told.values()) == paid.count()
        payments = Payment.objects.order_by("created_at", "amount_minor")
        refunds = Refund.objects.order_by("created_at", "amount_minor")
        return (
            list(
                payments.values_list("created_at", "amount_minor", "platform", "state", "paid_at")
            ),
            list(refunds.values_list("created_at", "amount_minor", "reason", "state")),
        )


@pytest.mark.django_db
def test_the_same_seed_gives_the_same_shop_and_another_seed_another() -> None:
    first = demo(make_shop("tea"), seed="1")
    assert len(first[0]) == 60
    assert demo(make_shop("bar"), seed="1") == first
    assert demo(make_shop("inn"), seed="2") != first
