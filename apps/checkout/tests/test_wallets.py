"""Which wallet, and which ways to pay from it."""

from __future__ import annotations

import pytest

from apps.checkout.tests.conftest import ALIPAY, DESK, PHONE, WECHAT
from apps.checkout.wallets import Wallet, is_phone, wallet_of
from apps.checkout.ways import Way, choose, ways_for
from apps.platforms.gateway import Capability, Platform, Product

ALL = frozenset({Capability.IN_APP, Capability.DYNAMIC_QR, Capability.BROWSER})
BOTH = {Platform.WECHATPAY: ALL, Platform.ALIPAY: ALL}


@pytest.mark.parametrize(
    ("agent", "wallet", "phone"),
    [
        (WECHAT, Wallet.WECHATPAY, True),
        (
            "Mozilla/5.0 (Windows NT 10.0) Chrome/39 MicroMessenger/6.5.2 WindowsWechat",
            Wallet.WECHATPAY,
            False,
        ),
        (ALIPAY, Wallet.ALIPAY, True),
        ("Mozilla/5.0 (iPhone) Mobile AliApp(AP/10.5) Language/zh-Hans", Wallet.ALIPAY, True),
        ("Mozilla/5.0 (Linux; Android 13) Mobile UnionPay/1.0 CloudPay", Wallet.UNIONPAY, True),
        (
            "Mozilla/5.0 (Linux; Android 13) Mobile MicroMessenger/7 UnionPay/1.0 ICBCeLife",
            Wallet.UNIONPAY,
            True,
        ),
        # Taobao's own browser is not Alipay.
        ("Mozilla/5.0 (iPhone) Mobile AliApp(TB/10.1)", Wallet.NONE, True),
        (PHONE, Wallet.NONE, True),
        (DESK, Wallet.NONE, False),
        ("MicroMessenger", Wallet.NONE, False),
        ("", Wallet.NONE, False),
    ],
)
def test_the_user_agent_tells_wallet_and_phone(agent: str, wallet: Wallet, phone: bool) -> None:
    assert (wallet_of(agent), is_phone(agent)) == (wallet, phone)


@pytest.mark.parametrize(
    ("wallet", "phone", "expected"),
    [
        (Wallet.WECHATPAY, True, [("wechatpay", "in_app")]),
        (Wallet.ALIPAY, True, [("alipay", "browser")]),
        (Wallet.NONE, True, [("wechatpay", "dynamic_qr"), ("alipay", "browser")]),
        (Wallet.UNIONPAY, True, [("wechatpay", "dynamic_qr"), ("alipay", "browser")]),
        (
            Wallet.NONE,
            False,
            [("wechatpay", "dynamic_qr"), ("alipay", "dynamic_qr"), ("alipay", "browser")],
        ),
    ],
)
def test_the_ways_fit_the_browser(
    wallet: Wallet, phone: bool, expected: list[tuple[str, str]]
) -> None:
    ways = ways_for(wallet=wallet, phone=phone, platforms=BOTH)
    assert [(way.platform, way.product) for way in ways] == expected


def test_a_wallet_pays_only_its_own_platform() -> None:
    assert ways_for(wallet=Wallet.WECHATPAY, phone=True, platforms={Platform.ALIPAY: ALL}) == []
    assert ways_for(wallet=Wallet.ALIPAY, phone=True, platforms={Platform.WECHATPAY: ALL}) == []


def test_what_a_platform_cannot_do_is_not_offered() -> None:
    code_only = {Platform.ALIPAY: frozenset({Capability.DYNAMIC_QR})}
    code = Way(Platform.ALIPAY, Product.DYNAMIC_QR)
    assert ways_for(wallet=Wallet.NONE, phone=True, platforms=code_only) == [code]
    assert ways_for(wallet=Wallet.ALIPAY, phone=True, platforms=code_only) == []
    assert ways_for(wallet=Wallet.NONE, phone=False, platforms={Platform.ALIPAY: frozenset()}) == []


def test_a_way_is_chosen_by_platform_and_product() -> None:
    ways = ways_for(wallet=Wallet.NONE, phone=False, platforms=BOTH)
    assert choose(ways, platform="alipay") == Way(Platform.ALIPAY, Product.DYNAMIC_QR)
    here = choose(ways, platform="alipay", product="browser")
    assert here == Way(Platform.ALIPAY, Product.BROWSER, extra=True)
    assert choose(ways, platform="wechatpay", product="in_app") is None
    assert choose(ways, platform="unionpay") is None
