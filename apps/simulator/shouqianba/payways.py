"""Payways: which wallet a number means, and what each wallet's codes look like (dossier 2.5)."""

from __future__ import annotations

import secrets

from apps.simulator.models import Platform

#: The payways that the simulated wallets can pay.
WALLETS: dict[str, str] = {
    "1": Platform.ALIPAY,
    "2": Platform.ALIPAY,
    "3": Platform.WECHATPAY,
    "17": Platform.UNIONPAY,
}
#: Documented, but nobody here has such a wallet.
OTHERS = frozenset({"4", "5", "6", "7", "8", "15", "16", "18"})
#: What a payer's code is booked under when the caller names no payway; 2 is Alipay in the newer notes.
DETECTED: dict[str, str] = {
    Platform.ALIPAY: "2",
    Platform.WECHATPAY: "3",
    Platform.UNIONPAY: "17",
}
BARCODE, QR, WAP, MINI_PROGRAM = "1", "2", "3", "4"
#: With what the payer paid, in ``payment_list``.
FUNDS: dict[str, str] = {
    Platform.ALIPAY: "WALLET_ALIPAY",
    Platform.WECHATPAY: "WALLET_WEIXIN",
    Platform.UNIONPAY: "BANKCARD_DEBIT",
}
#: The export's words.
NAMES: dict[str, str] = {
    Platform.ALIPAY: "支付宝",
    Platform.WECHATPAY: "微信",
    Platform.UNIONPAY: "银联二维码",
}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def new_code(wallet: str) -> str:
    """The content of a fresh dynamic code, in the wallet's own form: Shouqianba passes on the channel's."""
    if wallet == Platform.WECHATPAY:
        return "weixin://wxpay/bizpayurl?pr=" + "".join(secrets.choice(_LETTERS) for _ in range(10))
    if wallet == Platform.ALIPAY:
        return f"https://qr.alipay.com/bax{secrets.token_hex(10)}"
    return f"https://qr.95516.com/00010000/62{_digits(30)}"
