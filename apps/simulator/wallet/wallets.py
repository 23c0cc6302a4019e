"""The wallets on the simulated phone. No Django here: the in-app browsers run beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_PHONE: Final = (
    "Mozilla/5.0 (Linux; Android 14; Simulator) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/126.0 Mobile Safari/537.36"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """One wallet. ``app`` is its short name, ``name`` that of the way to pay, ``mark`` its sign on the home page.

    ``codes``: how the codes begin that it pays by, in lower case. ``agent``: what its in-app browser adds to the phone's
    User-Agent. ``origin_setting``: the setting with that browser's origin.
    """

    platform: str
    app: str
    name: str
    english: str
    mark: str
    codes: tuple[str, ...]
    agent: str
    origin_setting: str

    @property
    def user_agent(self) -> str:
        """The whole User-Agent of its in-app browser."""
        return f"{_PHONE} {self.agent}"


WALLETS: Final[dict[str, Wallet]] = {
    wallet.platform: wallet
    for wallet in (
        Wallet(
            platform="wechatpay",
            app="微信",
            name="微信支付",
            english="WeChat Pay",
            mark="微",
            codes=("weixin://wxpay/bizpayurl",),
            agent="MicroMessenger/8.0.50 Language/zh_CN",
            origin_setting="SIMULATOR_WECHAT_ORIGIN",
        ),
        Wallet(
            platform="alipay",
            app="支付宝",
            name="支付宝",
            english="Alipay",
            mark="支",
            codes=("https://qr.alipay.com/",),
            agent="AliApp(AP/10.5) AlipayClient/10.5 Language/zh-Hans",
            origin_setting="SIMULATOR_ALIPAY_ORIGIN",
        ),
        Wallet(
            platform="unionpay",
            app="云闪付",
            name="云闪付",
            english="UnionPay QuickPass",
            mark="闪",
            codes=("https://qr.95516.com/",),
            agent="UnionPay/1.0 CloudPay",
            origin_setting="SIMULATOR_UNIONPAY_ORIGIN",
        ),
    )
}
