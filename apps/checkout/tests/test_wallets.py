"""Which wallet, and which ways to pay from it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from apps.checkout.tests.conftest import ALIPAY, DESK, PHONE, QQ, UNIONPAY, WECHAT
from apps.checkout.wallets import Wallet, is_phone, wallet_of
from apps.checkout.ways import Taker, Way, choose, wallets_taken, ways_for
from apps.platforms.gateway import Capability, Platform, Product

PAGES = frozenset({Capability.IN_APP, Capability.DYNAMIC_QR, Capability.BROWSER})


def taker(
    number: int,
    platform: str,
    capabilities: frozenset[Capability] = PAGES,
    *,
    takes_h5: bool = False,
) -> Taker:
    return Taker(
        account_id=number,
        platform=Platform(platform),
        capabilities=capabilities,
        takes_h5=takes_h5,
    )


ONE_WECHAT, ONE_ALIPAY = taker(1, "wechatpay"), taker(2, "alipay")
ONE_UNIONPAY = taker(3, "unionpay")
#: Pays inside the wallets and by code, as Shouqianba does.
AGGREGATOR = taker(
    9, "shouqianba", frozenset({*PAGES, Capability.AGGREGATES}) - {Capability.IN_APP}
)
BOTH = [ONE_WECHAT, ONE_ALIPAY]


def brief(ways: Sequence[Way]) -> list[tuple[int, str, str]]:
    return [(way.account_id, way.wallet.value, way.product.value) for way in ways]


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
        (UNIONPAY, Wallet.UNIONPAY, True),
        ("Mozilla/5.0 (iPhone) Mobile/15E148 com.unionpay.chsp", Wallet.UNIONPAY, True),
        (
            "Mozilla/5.0 (Linux; Android 12) Mobile JDJR-App CpayJS=UnionPay/1.0 MicroMessenger/8",
            Wallet.UNIONPAY,
            True,
        ),
        # WeChat for companies does not pay.
        (
            "Mozilla/5.0 (iPhone) Mobile/15E148 wxwork/4.1.10 MicroMessenger/7.0.1 Language/zh",
            Wallet.NONE,
            True,
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0.1 WindowsWechat wxwork/4.1",
            Wallet.NONE,
            False,
        ),
        (QQ, Wallet.QQ, True),
        # QQ's browser is a browser, and WeChat for Android runs on its engine.
        ("Mozilla/5.0 (Linux; Android 13) MQQBrowser/13.1 Mobile Safari/537.36", Wallet.NONE, True),
        (
            "Mozilla/5.0 (Linux; Android 13) MQQBrowser/6.2 TBS/046 Mobile MicroMessenger/8.0.49",
            Wallet.WECHATPAY,
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
        (Wallet.WECHATPAY, True, [(1, "wechatpay", "in_app")]),
        (Wallet.WECHATPAY, False, [(1, "wechatpay", "in_app")]),
        (Wallet.ALIPAY, True, [(2, "alipay", "browser")]),
        (Wallet.UNIONPAY, True, [(3, "unionpay", "in_app")]),
        (Wallet.QQ, True, []),
        (
            Wallet.NONE,
            True,
            [
                (1, "wechatpay", "dynamic_qr"),
                (2, "alipay", "browser"),
                (3, "unionpay", "browser"),
            ],
        ),
        (
            Wallet.NONE,
            False,
            [
                (1, "wechatpay", "dynamic_qr"),
                (2, "alipay", "dynamic_qr"),
                (3, "unionpay", "dynamic_qr"),
                (2, "alipay", "browser"),
            ],
        ),
    ],
)
def test_the_ways_fit_the_browser(
    wallet: Wallet, phone: bool, expected: list[tuple[int, str, str]]
) -> None:
    ways = ways_for(wallet=wallet, phone=phone, takers=[*BOTH, ONE_UNIONPAY])
    assert brief(ways) == expected
    assert [way.extra for way in ways] == [False] * min(3, len(expected)) + [True] * (
        len(expected) - 3
    )


def test_a_wallet_pays_only_its_own_platform() -> None:
    assert ways_for(wallet=Wallet.WECHATPAY, phone=True, takers=[ONE_ALIPAY]) == []
    assert ways_for(wallet=Wallet.ALIPAY, phone=True, takers=[ONE_WECHAT, ONE_UNIONPAY]) == []
    assert ways_for(wallet=Wallet.UNIONPAY, phone=True, takers=BOTH) == []


def test_what_a_platform_cannot_do_is_not_offered() -> None:
    code_only = [taker(2, "alipay", frozenset({Capability.DYNAMIC_QR}))]
    code = (2, "alipay", "dynamic_qr")
    assert brief(ways_for(wallet=Wallet.NONE, phone=True, takers=code_only)) == [code]
    assert ways_for(wallet=Wallet.ALIPAY, phone=True, takers=code_only) == []
    mute = [taker(2, "alipay", frozenset())]
    assert ways_for(wallet=Wallet.NONE, phone=False, takers=mute) == []
    # Shouqianba without a connector takes nobody's wallet, and is none itself.
    assert wallets_taken([taker(9, "shouqianba", frozenset())]) == []


def test_wechat_in_a_phone_s_browser_is_for_those_who_have_h5() -> None:
    with_h5 = [taker(1, "wechatpay", takes_h5=True)]
    assert brief(ways_for(wallet=Wallet.NONE, phone=True, takers=with_h5)) == [
        (1, "wechatpay", "browser")
    ]
    assert brief(ways_for(wallet=Wallet.NONE, phone=False, takers=with_h5)) == [
        (1, "wechatpay", "dynamic_qr")
    ]
    assert ways_for(wallet=Wallet.WECHATPAY, phone=True, takers=with_h5)[0].needs_payer


@pytest.mark.parametrize("wallet", [Wallet.WECHATPAY, Wallet.ALIPAY, Wallet.UNIONPAY])
def test_an_aggregator_takes_every_wallet_inside_it(wallet: Wallet) -> None:
    (way,) = ways_for(wallet=wallet, phone=True, takers=[AGGREGATOR])
    assert (way.account_id, way.platform, way.wallet, way.product) == (
        9,
        Platform.SHOUQIANBA,
        Platform(wallet.value),
        Product.BROWSER,
    )
    assert not way.needs_payer


@pytest.mark.parametrize("phone", [True, False])
def test_an_aggregator_shows_a_code_for_each_wallet_elsewhere(phone: bool) -> None:
    assert brief(ways_for(wallet=Wallet.NONE, phone=phone, takers=[AGGREGATOR])) == [
        (9, "wechatpay", "dynamic_qr"),
        (9, "alipay", "dynamic_qr"),
        (9, "unionpay", "dynamic_qr"),
    ]


def test_the_merchant_s_preference_decides_who_takes_a_wallet() -> None:
    for takers, account in (([AGGREGATOR, *BOTH], 9), ([*BOTH, AGGREGATOR], 1)):
        (way,) = ways_for(wallet=Wallet.WECHATPAY, phone=True, takers=takers)
        assert way.account_id == account
        first = ways_for(wallet=Wallet.NONE, phone=False, takers=takers)[0]
        assert (first.account_id, first.wallet) == (account, Platform.WECHATPAY)
    # What only one of them takes is taken by that one wherever it stands.
    (way,) = ways_for(wallet=Wallet.UNIONPAY, phone=True, takers=[*BOTH, AGGREGATOR])
    assert way.account_id == 9
    # Two accounts of one platform: the one preferred.
    twins = [taker(6, "wechatpay"), taker(5, "wechatpay")]
    assert brief(ways_for(wallet=Wallet.NONE, phone=False, takers=twins)) == [
        (6, "wechatpay", "dynamic_qr")
    ]


def test_on_a_phone_who_leads_into_the_wallet_goes_before_who_shows_a_code() -> None:
    ways = ways_for(wallet=Wallet.NONE, phone=True, takers=[AGGREGATOR, *BOTH])
    assert brief(ways) == [
        (9, "wechatpay", "dynamic_qr"),
        (2, "alipay", "browser"),
        (9, "unionpay", "dynamic_qr"),
    ]


def test_an_account_that_refused_the_order_goes_last() -> None:
    takers = [AGGREGATOR, ONE_WECHAT]

    def first(refused: set[tuple[int, str]]) -> int:
        inside = ways_for(wallet=Wallet.WECHATPAY, phone=True, takers=takers, refused=refused)
        return inside[0].account_id

    assert first(set()) == 9
    assert first({(9, "wechatpay")}) == 1
    assert first({(9, "alipay")}) == 9
    assert first({(9, "wechatpay"), (1, "wechatpay")}) == 9


def test_a_way_is_chosen_by_wallet_and_product() -> None:
    ways = ways_for(wallet=Wallet.NONE, phone=False, takers=BOTH)
    code = choose(ways, wallet="alipay")
    assert code is not None
    assert (code.product, code.extra) == (Product.DYNAMIC_QR, False)
    here = choose(ways, wallet="alipay", product="browser")
    assert here is not None
    assert (here.product, here.extra) == (Product.BROWSER, True)
    assert choose(ways, wallet="wechatpay", product="in_app") is None
    assert choose(ways, wallet="unionpay") is None


def test_all_wallets_are_named_once_in_the_order_of_preference() -> None:
    assert wallets_taken([ONE_ALIPAY, AGGREGATOR]) == [
        Platform.ALIPAY,
        Platform.WECHATPAY,
        Platform.UNIONPAY,
    ]
