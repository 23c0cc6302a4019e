"""Shared by the simulator's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.simulator import clock, merchants
from apps.simulator.models import Merchant
from apps.simulator.tests.receiver import Receiver, receiving
from apps.simulator.tests.wechat_client import WechatClient

#: Keys are slow to make; one set serves the whole run.
_CONFIG: dict[str, Any] = {}


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
def receiver() -> Iterator[Receiver]:
    """A merchant's server on loopback."""
    with receiving() as running:
        yield running
