"""Which wallet opened a page, judged by its User-Agent. A hint for routing and statistics, never a proof of anything."""

from __future__ import annotations

import re
from enum import StrEnum


class Wallet(StrEnum):
    """The app in whose own browser a page was opened; NONE is any other browser. In QQ no wallet can be reached."""

    NONE = ""
    WECHATPAY = "wechatpay"
    ALIPAY = "alipay"
    UNIONPAY = "unionpay"
    QQ = "qq"


#: In this order: bank apps and JD Finance carry UnionPay's token beside those of others, WeChat's own browser names QQ's
#: engine (MQQBrowser). WeChat for companies (wxwork) names WeChat as well, but its payment does not answer there.
_TOKENS = (
    (Wallet.UNIONPAY, re.compile(r"UnionPay/\d|com\.unionpay\.|\bJDJR", re.IGNORECASE)),
    (Wallet.WECHATPAY, re.compile(r"^(?!.*wxwork).*MicroMessenger/", re.IGNORECASE | re.DOTALL)),
    (Wallet.ALIPAY, re.compile(r"AlipayClient/|AliApp\(AP/", re.IGNORECASE)),
    (Wallet.QQ, re.compile(r"(?<![A-Z0-9])QQ/\d", re.IGNORECASE)),
)
_PHONE = re.compile(r"Mobi|Android|iPhone|iPad|iPod|HarmonyOS", re.IGNORECASE)


def wallet_of(user_agent: str) -> Wallet:
    """The wallet that a User-Agent names."""
    for wallet, token in _TOKENS:
        if token.search(user_agent):
            return wallet
    return Wallet.NONE


def is_phone(user_agent: str) -> bool:
    """Whether a User-Agent is that of a phone or tablet, on which a wallet may be installed."""
    return _PHONE.search(user_agent) is not None
