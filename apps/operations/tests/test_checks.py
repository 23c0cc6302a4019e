"""``check --deploy`` refuses a portal that would believe a simulator."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from apps.operations.checks import platform_addresses


def test_the_platforms_own_addresses_pass(settings: Settings) -> None:
    settings.SIMULATOR_URL = ""
    assert platform_addresses(None) == []


@pytest.mark.parametrize(
    ("name", "url", "code"),
    [
        ("WECHATPAY_API_URL", "http://api.mch.weixin.qq.com", "portal.E002"),
        ("WECHATPAY_API_URL", "https://127.0.0.1:9100/wechatpay", "portal.E002"),
        ("ALIPAY_GATEWAY_URL", "https://localhost/gateway.do", "portal.E002"),
        ("ALIPAY_GATEWAY_URL", "https://[::1]/gateway.do", "portal.E002"),
        ("ALIPAY_GATEWAY_URL", "", "portal.E002"),
        ("SIMULATOR_URL", "http://localhost:9100", "portal.E001"),
    ],
)
def test_others_are_refused(settings: Settings, name: str, url: str, code: str) -> None:
    settings.SIMULATOR_URL = ""
    setattr(settings, name, url)
    assert [error.id for error in platform_addresses(None)] == [code]
