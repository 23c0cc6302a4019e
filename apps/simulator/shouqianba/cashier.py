"""The wallets' side of sub_payway 3 and 4: what happens when a page calls a wallet's cashier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.simulator import keys
from apps.simulator.models import Order, Platform
from apps.simulator.shouqianba.orders import invocation_text


class BadInvocation(Exception):
    """The page's parameters are wrong. ``args[0]`` says why, in Chinese."""


def order_of_invocation(*, wallet: str, params: Mapping[str, Any]) -> Order | None:
    """The order of a ``wap_pay_request``; None if the parameters are for an order made elsewhere. Raises BadInvocation."""
    orders = Order.objects.filter(platform=Platform.SHOUQIANBA, wallet=wallet)
    if wallet == Platform.ALIPAY:
        number = str(params.get("tradeNO", ""))
        return orders.filter(extra__channel_no=number, product="jsapi").first() if number else None
    prepay = str(params.get("package", "")).removeprefix("prepay_id=")
    order = orders.filter(code_content=prepay, product="jsapi").first() if prepay else None
    if order is None:
        return None
    public_key = str(order.merchant.config["public_key"])
    signed = keys.rsa_verify(public_key, invocation_text(dict(params)), str(params.get("paySign")))
    if params.get("signType") != "RSA" or not signed:
        raise BadInvocation("支付验证签名失败")
    return order
