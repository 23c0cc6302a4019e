"""The ways to pay that a browser can go, from where it runs and what the shop's accounts can do. Pure.

The merchant's order of preference decides which account takes a wallet: the first that can take it from where the payer
stands. On a phone outside the wallets an account that leads into the wallet on this very phone goes before one that could
only show a code, which nobody can scan with the phone it is on. An account that has refused this order goes last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from apps.checkout.wallets import Wallet
from apps.platforms.gateway import Capability, Platform, Product
from apps.platforms.wallets import wallets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """An account that takes a store's money, as far as the ways depend on it.

    ``refuses``: wallets that it does not take, each with the product by which it does not.
    """

    account_id: int
    platform: Platform
    capabilities: frozenset[Capability]
    takes_h5: bool = False
    refuses: frozenset[tuple[Platform, Product]] = frozenset()

    @property
    def aggregates(self) -> bool:
        """Whether one contract takes several wallets."""
        return Capability.AGGREGATES in self.capabilities

    @property
    def wallets(self) -> tuple[Platform, ...]:
        """The wallets it takes."""
        return wallets_of(self.platform, self.capabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to pay: with which wallet, through which account, led there how.

    ``extra``: a second way of the same wallet, offered in small print.
    """

    account_id: int
    platform: Platform
    product: Product
    wallet: Platform
    extra: bool = False

    @property
    def needs_payer(self) -> bool:
        """Whether the platform must be told who pays before the attempt is opened (WeChat's JSAPI)."""
        return self.platform is Platform.WECHATPAY and self.product is Product.IN_APP


#: The wallet's own platform, inside the wallet: WeChat and UnionPay have a product for it, Alipay's is an ordinary page.
_INSIDE = {
    Platform.WECHATPAY: (Product.IN_APP,),
    Platform.ALIPAY: (Product.BROWSER,),
    Platform.UNIONPAY: (Product.IN_APP, Product.BROWSER),
}
#: An aggregator's page works inside any wallet, and only there (WAP2).
_INSIDE_BY_AGGREGATOR = (Product.IN_APP, Product.BROWSER)


def ways_for(
    *,
    wallet: Wallet,
    phone: bool,
    takers: Sequence[Taker],
    refused: Collection[tuple[int, str]] = (),
) -> list[Way]:
    """The ways for this browser, best first. ``takers`` stand in the merchant's order of preference.

    ``refused`` names accounts, each with a wallet, that did not take this order before.
    """
    if wallet is Wallet.QQ:
        return []
    if wallet is not Wallet.NONE:
        payer = Platform(wallet.value)
        return _best(payer, takers, refused, inside=True, phone=phone)[:1]
    ways = [
        way
        for payer in wallets_taken(takers)
        for way in _best(payer, takers, refused, inside=False, phone=phone)
    ]
    return [way for way in ways if not way.extra] + [way for way in ways if way.extra]


def wallets_taken(takers: Sequence[Taker]) -> list[Platform]:
    """All wallets that can pay here, from one browser or another, in the merchant's order of preference."""
    return list(dict.fromkeys(payer for taker in takers for payer in taker.wallets))


def wallets_inside(takers: Sequence[Taker]) -> list[Platform]:
    """The wallets that can pay here from their own browser, which is where scanning the shop's code leads."""
    return [
        payer
        for payer in wallets_taken(takers)
        if any(_products(taker, payer, inside=True, phone=True) for taker in takers)
    ]


def choose(ways: list[Way], *, wallet: str, product: str = "") -> Way | None:
    """The way that a request names by wallet and, optionally, product; None when this browser cannot go it."""
    for way in ways:
        if way.wallet == wallet and product in {"", way.product}:
            return way
    return None


def _best(
    payer: Platform,
    takers: Sequence[Taker],
    refused: Collection[tuple[int, str]],
    *,
    inside: bool,
    phone: bool,
) -> list[Way]:
    """The ways of one wallet: those of the first account that can take it."""
    able = [
        (taker, products)
        for taker in takers
        if (products := _products(taker, payer, inside=inside, phone=phone))
    ]
    if not able:
        return []

    def rank(candidate: tuple[Taker, list[Product]]) -> tuple[bool, bool]:
        taker, products = candidate
        only_a_code = phone and products[0] is Product.DYNAMIC_QR
        return (taker.account_id, payer.value) in refused, only_a_code

    # A stable order: among equals the merchant's preference stays.
    taker, products = min(able, key=rank)
    # A code on a phone's own screen helps only somebody with a second phone.
    shown = products[:1] if phone else products
    return [
        Way(
            account_id=taker.account_id,
            platform=taker.platform,
            product=product,
            wallet=payer,
            extra=place > 0,
        )
        for place, product in enumerate(shown)
    ]


def _products(taker: Taker, payer: Platform, *, inside: bool, phone: bool) -> list[Product]:
    """The products by which an account takes a payer who stands inside the wallet or elsewhere, best first."""
    if payer not in taker.wallets:
        return []
    if inside:
        wanted = list(_INSIDE_BY_AGGREGATOR if taker.aggregates else _INSIDE[taker.platform])
    else:
        wanted = [Product.DYNAMIC_QR]
        if taker.platform is Platform.ALIPAY:
            wanted.insert(0 if phone else 1, Product.BROWSER)
        elif phone and (taker.platform is Platform.UNIONPAY or taker.takes_h5):
            # WeChat's H5 has to be applied for separately and is closed to small merchants.
            wanted.insert(0, Product.BROWSER)
    return [
        product
        for product in wanted
        if Capability(product.value) in taker.capabilities and (payer, product) not in taker.refuses
    ]
