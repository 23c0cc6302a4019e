"""A payer gives up at the very moment the platform says "paid"."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from apps.core import outbox
from apps.core.tenancy import enter_scope
from apps.ledger.services import booking_date
from apps.merchants.tests.factories import NOW, make_shop
from apps.payments import services
from apps.payments.models import Order, OrderState
from apps.payments.tests.factories import PAYER, make_account, make_payment, paid_result


@pytest.mark.django_db(transaction=True)
def test_giving_up_and_being_paid_at_once_do_not_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are stopped where each would hold one row and want the other's."""
    shop = make_shop()
    with enter_scope(shop.scope):
        payment = make_payment(shop, make_account(shop))
    holds_order, paying = threading.Event(), threading.Event()
    enqueue = outbox.enqueue

    def slow_enqueue(**fields: Any) -> None:
        if threading.current_thread().name == "close":
            holds_order.set()
            paying.wait(0.5)
            time.sleep(0.3)
        enqueue(**fields)

    def slow_booking(**fields: Any) -> date:
        found = booking_date(**fields)
        holds_order.wait(5)
        paying.set()
        return found

    monkeypatch.setattr(outbox, "enqueue", slow_enqueue)
    monkeypatch.setattr("apps.payments.services.applying.booking_date", slow_booking)
    outcomes: dict[str, str] = {}

    def run(name: str, work: Callable[[], object]) -> None:
        try:
            with enter_scope(shop.scope):
                work()
            outcomes[name] = "ok"
        except OperationalError as error:
            outcomes[name] = str(error)
        finally:
            connection.close()

    def close() -> None:
        services.close_order(order_id=payment.order_id, now=NOW + timedelta(minutes=1), actor=PAYER)

    def apply() -> None:
        services.apply_payment_result(
            payment_id=payment.pk,
            result=paid_result(payment),
            via="notification",
            now=NOW,
            actor=PAYER,
        )

    threads = [
        threading.Thread(target=run, args=(name, work), name=name)
        for name, work in (("close", close), ("apply", apply))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert outcomes == {"close": "ok", "apply": "ok"}
    with enter_scope(shop.scope):
        assert Order.objects.get(pk=payment.order_id).state == OrderState.PAID
