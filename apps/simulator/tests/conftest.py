"""Shared by the simulator's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.simulator import clock, merchants
from apps.simulator.models import Merchant
from apps.simulator.tests.receiver import Receiver, receiving
from apps.simulator.tests.wechat_client import WechatClient


@pytest.fixture
def wechat_merchant(db: None) -> Merchant:
    """A fresh WeChat Pay merchant in public-key mode."""
    return merchants.create_merchant(platform="wechatpay", name="一号店", now=clock.now())


@pytest.fixture
def wechat(wechat_merchant: Merchant) -> WechatClient:
    """Its client."""
    return WechatClient(wechat_merchant)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A merchant's server on loopback."""
    with receiving() as running:
        yield running
