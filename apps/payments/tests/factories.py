"""Accounts, orders and payments for tests, made through the services wherever there is one."""

from __future__ import annotations

import json
from datetime import datetime

from apps.core.audit import Actor
from apps.core.doors import make_door, new_token
from apps.core.encryption import seal
from apps.core.money import Money
from apps.merchants.tests.factories import NOW, Shop
from apps.payments import services
from apps.payments.models import Order, Payment
from apps.platforms.gateway import Outcome, PaymentResult, Product
from apps.platforms.models import PlatformAccount

PAYER = Actor("payer")


def make_account(
    shop: Shop, *, platform: str = "wechatpay", merchant_no: str = "1900000001"
) -> PlatformAccount:
    """An account at 0.6 % whose credentials fit no real platform."""
    sealed = seal(json.dumps({}).encode(), merchant_id=shop.merchant.pk, purpose="credentials")
    account: PlatformAccount = PlatformAccount.objects.create(
        platform=platform,
        label=platform,
        ref=new_token(16),
        app_id="wx1234567890123456",
        merchant_no=merchant_no,
        credentials_sealed=sealed,
    )
    make_door(
        kind="account", token=account.ref, merchant_id=shop.merchant.pk, subject_id=account.pk
    )
    return account


def make_order(shop: Shop, *, minor: int = 10_000, now: datetime = NOW) -> Order:
    """An open order of the shop's store."""
    return services.open_order(
        store_id=shop.store.pk,
        code_id=None,
        amount=Money(minor),
        subject="龙井一杯",
        now=now,
        actor=PAYER,
    )


def make_payment(
    shop: Shop, account: PlatformAccount, *, minor: int = 10_000, now: datetime = NOW
) -> Payment:
    """An attempt that the platform has not been asked about yet."""
    order = make_order(shop, minor=minor, now=now)
    return services.prepare_payment(
        order_id=order.pk, account_id=account.pk, product=Product.DYNAMIC_QR, now=now, actor=PAYER
    )


def paid_result(payment: Payment, *, at: datetime = NOW, trade_no: str = "") -> PaymentResult:
    """What a platform says of a paid payment."""
    return PaymentResult(
        outcome=Outcome.SUCCEEDED,
        order_no=payment.order_no,
        platform_trade_no=trade_no or f"42{payment.pk:026d}",
        amount=Money(payment.amount_minor),
        payer_id="oPayer",
        paid_at=at,
        code="SUCCESS",
    )


def make_paid(
    shop: Shop, account: PlatformAccount, *, minor: int = 10_000, now: datetime = NOW
) -> Payment:
    """A payment that succeeded at ``now``."""
    payment = make_payment(shop, account, minor=minor, now=now)
    services.apply_payment_result(
        payment_id=payment.pk,
        result=paid_result(payment, at=now),
        via="notification",
        now=now,
        actor=Actor.system("test"),
    )
    payment.refresh_from_db()
    return payment
