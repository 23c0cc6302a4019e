"""A notice of a payment, from the platform's bytes to the ledger: what it does and how much it asks of the database."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core.models import AuditEvent, Due
from apps.core.tenancy import enter_scope
from apps.ledger.models import Posting
from apps.merchants.tests.factories import Shop, check_now, make_shop
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.tests.factories import make_account, make_payment
from apps.platforms.models import Notification, NotificationState, PlatformAccount
from apps.platforms.services.credentials import sealed
from apps.platforms.tests import wechatpay_server
from apps.platforms.tests.test_intake import TRANSACTION, post
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer

#: Without BEGIN and COMMIT, or what stands for them inside a test.
STATEMENTS = 21


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=True):
        yield


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    real = wechatpay_server.credentials()
    with enter_scope(shop.scope):
        account = make_account(shop, merchant_no=real.merchant_no)
        account.app_id = real.app_id
        account.credentials_sealed = sealed(real.keys, shop.merchant.pk)
        account.save()
    return account


def _notify(shop: Shop, account: PlatformAccount, number: int) -> tuple[Payment, list[str]]:
    with enter_scope(shop.scope):
        payment = make_payment(shop, account, minor=1250, now=NOW)
    told = {**TRANSACTION, "out_trade_no": payment.order_no, "transaction_id": f"420000{number}"}
    notice = WechatpayServer().notice("TRANSACTION.SUCCESS", told)
    with CaptureQueriesContext(connection) as log:
        assert post(account, notice).status_code == 200
    with enter_scope(shop.scope):
        check_now()
    return payment, [
        one["sql"]
        for one in log
        if not re.match("BEGIN|COMMIT|SAVEPOINT|RELEASE|SELECT 1", one["sql"])
    ]


def test_a_notice_is_applied_with_few_statements(shop: Shop, account: PlatformAccount) -> None:
    _notify(shop, account, 1)  # makes the day and the ledger's accounts
    payment, statements = _notify(shop, account, 2)
    assert len(statements) == STATEMENTS, statements
    with enter_scope(shop.scope):
        payment.refresh_from_db()
        assert (payment.state, payment.platform_trade_no) == (PaymentState.SUCCEEDED, "4200002")
        assert payment.fee_minor == 8
        assert Order.objects.get(pk=payment.order_id).state == OrderState.PAID
        assert Posting.objects.filter(entry__subject_id=payment.pk).count() == 3
        row = Notification.objects.get(order_no=payment.order_no)
        assert (row.state, row.kind) == (NotificationState.APPLIED, "payment")
        event = AuditEvent.objects.get(subject_id=payment.order_id, action="payment.succeeded")
        assert event.data["platform_trade_no"] == "4200002"
    left = set(Due.objects.filter(merchant_id=shop.merchant.pk).values_list("task", flat=True))
    assert left.isdisjoint(
        {"payments.poll", "payments.expire_order", "platforms.reprocess_notification"}
    )


def test_the_statements_name_the_merchant(shop: Shop, account: PlatformAccount) -> None:
    """Row-level security is the last wall, not the only one."""
    _, statements = _notify(shop, account, 1)
    walled = [
        one
        for one in statements
        if re.search("(FROM|INTO|UPDATE) (payments|platforms|ledger)_", one)
        or "core_auditevent" in one
    ]
    assert len(walled) >= 12
    assert [one for one in walled if "merchant_id" not in one] == []
