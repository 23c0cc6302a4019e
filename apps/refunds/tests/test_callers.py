"""Which terminal asks about a payment and about its refund: the one that began it, as of then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.models import Terminal
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.services.polling import Payments
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.services import Caller
from apps.refunds import services
from apps.refunds.services.polling import Refunds


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def test_the_terminal_of_the_payment_at_the_time_of_the_payment(shop: Shop) -> None:
    payment = make_paid(shop, make_account(shop), minor=10_000)
    terminal = Terminal.objects.create(store=payment.store, name="收银台")
    Payment.objects.filter(pk=payment.pk).update(terminal=terminal)
    payment.refresh_from_db()
    refund = services.request_refund(
        payment_id=payment.pk,
        amount=Money(4_000),
        reason="x",
        member=shop["cashier"],
        actor=Actor("desk"),
        now=NOW,
    )
    began = Caller(payment.account, terminal.pk, payment.created_at)
    assert Payments().caller_of(payment) == began
    assert Refunds().caller_of(refund) == began
