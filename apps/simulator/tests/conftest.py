"""Shared by the simulator's tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

import pytest

from apps.simulator import clock, faults, merchants
from apps.simulator.models import Merchant
from apps.simulator.shouqianba import terminals
from apps.simulator.tests.alipay_client import Shop
from apps.simulator.tests.receiver import Receiver, receiving
from apps.simulator.tests.shouqianba_client import ShouClient
from apps.simulator.tests.unionpay_client import UnionClient
from apps.simulator.tests.wechat_client import WechatClient

#: Keys are slow to make; one set serves the whole run.
_CONFIG: dict[str, Any] = {}
_ALIPAY: dict[str, Any] = {}
_UNION: dict[str, Any] = {}
_SHOU: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """Each test has its own database: what the last one's said must not be remembered, nor its schedule run on."""
    faults.end_schedule()
    faults.forget()
    clock.forget()
    yield
    faults.end_schedule()
    faults.forget()
    clock.forget()


@pytest.fixture
def wechat_merchant(db: None) -> Merchant:
    """A WeChat Pay merchant in public-key mode."""
    if not _CONFIG:
        first = merchants.create_merchant(platform="wechatpay", name="一号店", now=clock.now())
        _CONFIG.update(first.config)
        return first
    return Merchant.objects.create(
        platform="wechatpay",
        merchant_no="1600000001",
        app_id="wx1a2b3c4d5e6f7a8b",
        name="一号店",
        config=dict(_CONFIG),
        created_at=clock.now(),
    )


@pytest.fixture
def wechat(wechat_merchant: Merchant) -> WechatClient:
    """Its client."""
    return WechatClient(wechat_merchant)


@pytest.fixture
def shop(db: None) -> Shop:
    """The client of an Alipay merchant in key mode."""
    if not _ALIPAY:
        first = merchants.create_merchant(platform="alipay", name="一号店", now=clock.now())
        _ALIPAY.update(merchant_no=first.merchant_no, app_id=first.app_id, config=first.config)
        return Shop(first)
    made = Merchant.objects.create(
        platform="alipay", name="一号店", created_at=clock.now(), **_ALIPAY
    )
    return Shop(made)


@pytest.fixture
def union_merchant(db: None) -> Merchant:
    """A UnionPay merchant."""
    if not _UNION:
        first = merchants.create_merchant(platform="unionpay", name="一号店", now=clock.now())
        _UNION.update(merchant_no=first.merchant_no, config=first.config)
        return first
    return Merchant.objects.create(
        platform="unionpay", app_id="", name="一号店", created_at=clock.now(), **_UNION
    )


@pytest.fixture
def union(union_merchant: Merchant) -> UnionClient:
    """Its client, which knows the credentials only."""
    return UnionClient(merchants.credentials_of(union_merchant))


@pytest.fixture
def shou_merchant(db: None) -> Merchant:
    """A Shouqianba merchant with an activation code, on a simulated morning: its terminals' keys end at midnight."""
    ten = datetime.combine(clock.beijing_date(clock.real_now()), time(10), tzinfo=clock.BEIJING)
    clock.set_clock(offset_seconds=(ten - clock.real_now()).total_seconds())
    if not _SHOU:
        first = merchants.create_merchant(platform="shouqianba", name="一号店", now=clock.now())
        _SHOU.update(merchant_no=first.merchant_no, app_id=first.app_id, config=first.config)
        return first
    merchant = Merchant.objects.create(
        platform="shouqianba", name="一号店", created_at=clock.now(), **_SHOU
    )
    terminals.new_activation_code(merchant=merchant, now=clock.now(), uses=20)
    return merchant


@pytest.fixture
def device(shou_merchant: Merchant) -> ShouClient:
    """A device that knows the merchant's credentials and is no terminal yet."""
    return ShouClient(merchants.credentials_of(shou_merchant))


@pytest.fixture
def shou(device: ShouClient) -> ShouClient:
    """Its client, as an activated terminal."""
    device.activate()
    return device


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A merchant's server on loopback."""
    with receiving() as running:
        yield running
