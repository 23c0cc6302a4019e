"""A shop with codes, connected to the platforms' small servers on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client
from pytest_django import Settings

from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Store
from apps.payments.models import Order, Payment
from apps.platforms.models import PlatformAccount
from apps.platforms.services import connect_account
from apps.platforms.tests.alipay_server import AlipayServer
from apps.platforms.tests.alipay_server import credentials as alipay_credentials
from apps.platforms.tests.conftest import serving
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer
from apps.platforms.tests.wechatpay_server import credentials as wechatpay_credentials
from apps.qrcodes.models import CodeVersion, QRCode
from apps.qrcodes.selectors import version_in_force
from apps.qrcodes.services import create_code
from apps.qrcodes.terms import columns, terms_of

ACTOR = Actor.system("test")
WECHAT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 "
    "Mobile/15E148 MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN"
)
ALIPAY = (
    "Mozilla/5.0 (Linux; U; Android 13) Chrome/100 Mobile AliApp(AP/10.5.90) AlipayClient/10.5.90"
)
UNIONPAY = (
    "Mozilla/5.0 (Linux; Android 13; V2183A) AppleWebKit/537.36 Version/4.0 Chrome/100.0 "
    "Mobile Safari/537.36/ (com.unionpay.mobilepay) (UnionPay/1.0 CloudPay)"
)
QQ = (
    "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 MQQBrowser/6.2 Mobile Safari/537.36 "
    "V1_AND_SQ_8.9.80 QQ/8.9.80.12440 NetType/WIFI"
)
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36"
)
DESK = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"


@dataclass
class Shop:
    """A merchant with one store and two codes, and both platforms' servers."""

    merchant: Merchant
    store: Store
    code: QRCode
    fixed: QRCode
    wechatpay: WechatpayServer
    alipay: AlipayServer

    @property
    def scope(self) -> Scope:
        return Scope(self.merchant.pk)

    def account(self, platform: str) -> PlatformAccount:
        with enter_scope(self.scope):
            account: PlatformAccount = PlatformAccount.objects.get(platform=platform)
            return account

    def orders(self) -> list[Order]:
        with enter_scope(self.scope):
            return list(Order.objects.order_by("pk"))

    def payments(self) -> list[Payment]:
        with enter_scope(self.scope):
            return list(Payment.objects.order_by("pk"))

    def switch_off(self, *platforms: str) -> None:
        with enter_scope(self.scope):
            PlatformAccount.objects.filter(platform__in=platforms).update(is_active=False)


def make_code(shop_store: Store, *, name: str = "柜台", minor: int | None = None) -> QRCode:
    """An active code; ``minor`` fixes its amount in fen."""
    return create_code(
        store_id=shop_store.pk,
        kind="counter",
        name=name,
        name_en="Counter",
        amount=None if minor is None else Money(minor),
        actor=ACTOR,
        now=NOW,
    )


def say(code: QRCode, **terms: Any) -> CodeVersion:
    """Let a code say this from now on, in its merchant's scope; terms that a member could not choose any more too."""
    version = version_in_force(code_id=code.pk, now=NOW)
    later = CodeVersion(
        code=code,
        number=version.number + 1,
        starts_at=NOW,
        made_at=NOW,
        **columns(replace(terms_of(version), **terms)),
    )
    later.save(force_insert=True)
    return later


def make_merchant(name: str, slug: str) -> tuple[Merchant, Store]:
    """A merchant with one store."""
    merchant = Merchant.objects.create(name=name, name_en="Morning Coffee", slug=slug)
    with enter_scope(Scope(merchant.pk)):
        store = Store.objects.create(name="中山路店", name_en="Zhongshan Road")
    return merchant, store


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The time of the platforms' servers; it stands still until it is moved."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def shop(db: None, settings: Settings, clock: time_machine.Traveller) -> Iterator[Shop]:
    # The time stands still for all tests, and with it the minute in which orders are counted.
    cache.clear()
    wechatpay, alipay = WechatpayServer(), AlipayServer()
    with ExitStack() as stack:
        url = stack.enter_context(serving(wechatpay.handle))
        settings.WECHATPAY_API_URL = f"{url}/wechatpay"
        settings.WECHATPAY_OAUTH_TOKEN_URL = f"{url}/sns/oauth2/access_token"
        settings.ALIPAY_GATEWAY_URL = f"{stack.enter_context(serving(alipay.handle))}/gateway.do"
        merchant, store = make_merchant("晨光咖啡", "morning")
        with enter_scope(Scope(merchant.pk)):
            for platform, credentials in (
                ("wechatpay", wechatpay_credentials()),
                ("alipay", alipay_credentials()),
            ):
                connect_account(
                    platform=platform,
                    label=platform,
                    credentials=credentials,
                    fee_rate_ppm=6000,
                    all_stores=True,
                    store_ids=[],
                    actor=ACTOR,
                    now=NOW,
                )
            code, fixed = make_code(store), make_code(store, name="套餐", minor=1250)
        wechatpay.requests.clear()
        alipay.requests.clear()
        yield Shop(merchant, store, code, fixed, wechatpay, alipay)
        # What is checked at the end of a transaction needs the scope that a test's end no longer has.
        with enter_scope(Scope(merchant.pk)), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def browser(agent: str, **headers: str) -> Client:
    """A browser that names itself ``agent`` and speaks English."""
    return Client(headers={"User-Agent": agent, "Accept-Language": "en", **headers})
