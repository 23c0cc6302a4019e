"""The ways to pay that a browser can go, from where it runs and what the shop's platforms can do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.checkout.wallets import Wallet
from apps.platforms.gateway import Capability, Platform, Product


@dataclass(frozen=True, slots=True)
class Way:
    """One way to pay. ``extra``: a second way to the same platform, offered in small print."""

    platform: Platform
    product: Product
    extra: bool = False


_CAPABILITY = {
    Product.IN_APP: Capability.IN_APP,
    Product.DYNAMIC_QR: Capability.DYNAMIC_QR,
    Product.BROWSER: Capability.BROWSER,
}
#: Inside a wallet only its own platform can be paid. WeChat invokes its cashier by script; Alipay's is an ordinary page.
_INSIDE = {
    Wallet.WECHATPAY: (Platform.WECHATPAY, Product.IN_APP),
    Wallet.ALIPAY: (Platform.ALIPAY, Product.BROWSER),
}
#: Platforms whose cashier page opens the wallet from any phone's browser. WeChat's H5 product has to be applied for
#: separately and is closed to small merchants, so it is not offered by itself.
_FROM_PHONE = frozenset({Platform.ALIPAY})


def ways_for(
    *, wallet: Wallet, phone: bool, platforms: Mapping[Platform, frozenset[Capability]]
) -> list[Way]:
    """The ways for this browser, best first, in the order of ``platforms`` (those that serve the store)."""
    inside = _INSIDE.get(wallet)
    if inside is not None:
        platform, product = inside
        able = _CAPABILITY[product] in platforms.get(platform, frozenset())
        return [Way(platform, product)] if able else []
    first: list[Way] = []
    extra: list[Way] = []
    for platform, capabilities in platforms.items():
        products = [Product.DYNAMIC_QR]
        if platform in _FROM_PHONE:
            products.insert(0 if phone else 1, Product.BROWSER)
        usable = [product for product in products if _CAPABILITY[product] in capabilities]
        first += [Way(platform, product) for product in usable[:1]]
        # A code on a phone's own screen helps only somebody with a second phone.
        if not phone:
            extra += [Way(platform, product, extra=True) for product in usable[1:]]
    return first + extra


def choose(ways: list[Way], *, platform: str, product: str = "") -> Way | None:
    """The way that a request names by platform and, optionally, product; None when this browser cannot go it."""
    for way in ways:
        if way.platform == platform and product in {"", way.product}:
            return way
    return None
