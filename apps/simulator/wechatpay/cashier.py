"""The wallet's side of JSAPI: what happens when a page calls the cashier (dossier A1, A3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.simulator import books, keys
from apps.simulator.models import Merchant, Order, Platform, Product
from apps.simulator.wechatpay import signing


class BadPayCall(Exception):
    """The page's call of the wallet's cashier is wrong. ``args[0]`` says why, in Chinese."""


def order_of_pay_call(*, params: Mapping[str, Any]) -> Order:
    """The order that a page wants paid by ``getBrandWCPayRequest``: checks paySign and prepay_id.

    Raises BadPayCall. Whether the order can still be paid is for ``books.pay_order`` to say.
    """
    package = str(params.get("package", ""))
    app_id = str(params.get("appId", ""))
    merchant = Merchant.objects.filter(platform=Platform.WECHATPAY, app_id=app_id).first()
    if merchant is None:
        raise BadPayCall("appId不存在")
    if params.get("signType") != "RSA" or not package.startswith("prepay_id="):
        raise BadPayCall("调用参数错误：signType或package")
    message = signing.pay_sign_message(
        app_id=app_id,
        timestamp=str(params.get("timeStamp", "")),
        nonce=str(params.get("nonceStr", "")),
        package=package,
    )
    if not keys.rsa_verify(
        merchant.config["merchant_public_key"], message, str(params.get("paySign", ""))
    ):
        raise BadPayCall("支付验证签名失败")
    order = books.order_by_code(
        platform=Platform.WECHATPAY, code=package.removeprefix("prepay_id=")
    )
    if order is None or order.merchant_id != merchant.pk or order.product != Product.JSAPI:
        raise BadPayCall("prepay_id无效")
    return order
