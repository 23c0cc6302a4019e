"""Which wallets a platform takes, and how long its ways to pay one order stay good. Free of Django."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from apps.platforms.gateway import Capability, Platform, Product

#: Those who pay: the platforms that are wallets themselves.
WALLETS = (Platform.WECHATPAY, Platform.ALIPAY, Platform.UNIONPAY)

#: Ways that end before their order does; the others last as long as the order. Shouqianba cancels an unpaid code after
#: about four minutes and a page inside a wallet after 90 seconds, and its own advice is to watch the latter for up to 120
#: (its documentation of precreate and WAP2); WeChat's H5 address is good for five minutes (its H5 guide). A little is taken
#: off, so that nobody is shown what dies while it is being scanned.
_LIVES: Mapping[tuple[Platform, Product], timedelta] = {
    (Platform.SHOUQIANBA, Product.DYNAMIC_QR): timedelta(seconds=225),
    (Platform.SHOUQIANBA, Product.IN_APP): timedelta(seconds=120),
    (Platform.SHOUQIANBA, Product.BROWSER): timedelta(seconds=120),
    (Platform.WECHATPAY, Product.BROWSER): timedelta(seconds=285),
}

#: UnionPay wants a transaction's time to be now and does not say how far off it may be, so a form signed longer ago than
#: this is not posted again.
_FORM_LIFE = timedelta(minutes=2)


def wallets_of(platform: Platform, capabilities: Collection[Capability]) -> tuple[Platform, ...]:
    """The wallets that an account of ``platform`` takes: all of them where it aggregates, else its own."""
    if Capability.AGGREGATES in capabilities:
        return WALLETS
    return (platform,) if platform in WALLETS else ()


def life_of(platform: Platform, product: Product) -> timedelta | None:
    """How long after an attempt began its code or address may be used; None where the order's own end decides."""
    return _LIVES.get((platform, product))


def form_is_fresh(*, age: timedelta) -> bool:
    """Whether a signed form of this age may still be posted; after that it takes a new attempt."""
    return age < _FORM_LIFE


def opens_again(platform: Platform, product: Product) -> bool:
    """Whether an attempt whose answer was lost may be opened again under its number.

    UnionPay calls a repeated request for a code a duplicate (12) and never tells the code (ACP manual, response codes).
    """
    return (platform, product) != (Platform.UNIONPAY, Product.DYNAMIC_QR)
