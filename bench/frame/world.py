"""The merchants and payments of a benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from apps.core import clock, encryption
from apps.core.doors import make_door, new_token
from apps.core.models import Due
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Store
from apps.payments.models import Order, Payment, PaymentState
from apps.platforms.gateway import Product
from apps.platforms.models import PlatformAccount
from bench.frame import wechat

KEY_ID = "PUB_KEY_ID_0119000001092026112400000000"
APP_ID = "wx1a2b3c4d5e6f7a8b"
SERIAL = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
API_V3_KEY = "0123456789abcdef0123456789ABCDEF"


@dataclass(frozen=True)
class Keys:
    """The merchants' common key pair and the platform's."""

    private: str
    public: str
    platform_private: str
    platform_public: str


def make_keys() -> Keys:
    """New ones."""
    return Keys(*wechat.key_pair(), *wechat.key_pair())


def make_merchant(number: int, keys: Keys) -> Merchant:
    """One with a store and an account at WeChat Pay."""
    merchant = Merchant.objects.create(slug=f"bench-{number}", name=f"测试{number}")
    with enter_scope(Scope(merchant.pk)):
        Store.objects.create(name="一号店")
        secret = {
            "private_key": keys.private,
            "serial_no": SERIAL,
            "api_v3_key": API_V3_KEY,
            "public_key_id": KEY_ID,
            "public_key": keys.platform_public,
        }
        sealed = encryption.seal(
            json.dumps(secret).encode(), merchant_id=merchant.pk, purpose="credentials"
        )
        account = PlatformAccount.objects.create(
            platform="wechatpay",
            label="WeChat",
            ref=new_token(20),
            app_id=APP_ID,
            merchant_no=str(1900000100 + number),
            credentials_sealed=sealed,
        )
        make_door(kind="account", token=account.ref, merchant_id=merchant.pk, subject_id=account.pk)
    return merchant


def order_number(value: int) -> str:
    """Ours at the platform."""
    return f"P{value:024d}"


@contextmanager
def open_payments(merchants: list[Merchant], *, first: int, count: int) -> Iterator[None]:
    """So many open payments, as many of each merchant, whose first look is due; gone afterwards."""
    now = clock.now()
    # Of an age at which the next look is two minutes away: none is due again before all are done.
    created_at = now - timedelta(seconds=60)
    for place, merchant in enumerate(merchants):
        numbers = range(first + place, first + count, len(merchants))
        with enter_scope(Scope(merchant.pk)):
            store = Store.objects.get()
            account = PlatformAccount.objects.get()
            common: dict[str, Any] = {
                "amount_minor": wechat.AMOUNT,
                "created_at": created_at,
                "expires_at": created_at + timedelta(minutes=15),
            }
            opened = Order.objects.bulk_create(
                Order(store=store, token=new_token(16), subject="咖啡", **common) for _ in numbers
            )
            made = Payment.objects.bulk_create(
                Payment(
                    order=order,
                    store=store,
                    account=account,
                    platform="wechatpay",
                    wallet="wechatpay",
                    product=Product.DYNAMIC_QR,
                    order_no=order_number(number),
                    state=PaymentState.PENDING,
                    handover={"qr_content": "weixin://wxpay/bizpayurl?pr=bench"},
                    payable_until=common["expires_at"],
                    **common,
                )
                for order, number in zip(opened, numbers, strict=True)
            )
            Due.objects.bulk_create(
                Due(
                    task="payments.poll",
                    merchant_id=merchant.pk,
                    subject_id=payment.pk,
                    # As customers come: now to this shop, now to that one.
                    due_at=now - timedelta(seconds=1) + timedelta(microseconds=number - first),
                )
                for payment, number in zip(made, numbers, strict=True)
            )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE core_due, payments_payment, payments_order")
    try:
        yield
    finally:
        Due.objects.all().delete()
