"""Which wallet shows a payer's code (付款码), told from its digits. Free of Django.

Sources: WeChat Pay documentation of code payment (18 digits beginning 10 to 15), Alipay's of trade.pay (16 to 24 digits
beginning 25 to 30), UnionPay's C2B codes (19 digits beginning 62).
"""

from __future__ import annotations

import re

from apps.platforms.gateway import Platform

_SHAPES = (
    (Platform.WECHATPAY, re.compile(r"1[0-5]\d{16}")),
    (Platform.ALIPAY, re.compile(r"(?:2[5-9]|30)\d{14,22}")),
    (Platform.UNIONPAY, re.compile(r"62\d{17}")),
)
#: What scanners and people put between groups of digits.
_FILLING = re.compile(r"[\s\-‐–]+")


def clean_barcode(text: str) -> str:
    """The digits of what was scanned or typed, or the text as it is where there is more than digits in it.

    Full-width digits, which Chinese input methods produce, count as digits.
    """
    bare = _FILLING.sub("", text)
    try:
        return "".join(str(int(character)) for character in bare)
    except ValueError:
        return bare


def shapes() -> dict[str, str]:
    """For each wallet the pattern of its codes, in words that browsers understand as well."""
    return {wallet.value: shape.pattern for wallet, shape in _SHAPES}


def wallet_of_barcode(digits: str) -> Platform | None:
    """The wallet whose codes look like this; None for none of them."""
    for wallet, shape in _SHAPES:
        if shape.fullmatch(digits):
            return wallet
    return None
