"""Finding an order by what its platform, its merchant or a wallet knows of it."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from apps.simulator.models import Merchant, Order, Platform
from apps.simulator.payers import Payer


def orders_for_wallet(wallet: str) -> QuerySet[Order]:
    """What a wallet can pay or has paid: its platform's own orders, and those an aggregator made for it."""
    return Order.objects.filter(Q(platform=wallet) | Q(platform=Platform.SHOUQIANBA, wallet=wallet))


def order_by_code(*, platform: str, code: str) -> Order | None:
    """The order of a code_url, qr_code, prepay_id …, or None; a replaced code finds nothing.

    ``platform`` is whose order it is, or the wallet that pays it.
    """
    owned = Q(platform=platform) | Q(platform=Platform.SHOUQIANBA, wallet=platform)
    return Order.objects.filter(owned, code_content=code).first()


def payer_id_of(*, order: Order, payer: Payer) -> str:
    """What the platform that charges this user calls them.

    An aggregator is told an openid of whatever app the page belongs to, and keeps it if it is this user's.
    """
    app_id = order.merchant.app_id
    if order.platform == Platform.SHOUQIANBA and order.payer_id:
        apps = Merchant.objects.filter(platform=Platform.WECHATPAY).values_list("app_id", flat=True)
        if order.payer_id in {payer.openid(one) for one in (app_id, *apps)}:
            return order.payer_id
    return payer.id_in(order.charging, app_id)


def order_by_no(*, merchant: Merchant, out_trade_no: str) -> Order | None:
    """The merchant's order of that number, or None."""
    return Order.objects.filter(
        platform=merchant.platform, merchant=merchant, out_trade_no=out_trade_no
    ).first()


def order_by_trade_no(*, merchant: Merchant, trade_no: str) -> Order | None:
    """The merchant's order with that platform number, or None."""
    return Order.objects.filter(merchant=merchant, trade_no=trade_no).first()
