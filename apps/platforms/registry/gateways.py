"""The connectors, what each of them can do, and how a gateway is built for one set of credentials.

The only place that gives connectors their settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from django.conf import settings

from apps.core import clock
from apps.platforms.connectors.alipay.connector import AlipayEndpoints, AlipayGateway
from apps.platforms.connectors.shouqianba.connector import ShouqianbaEndpoints, ShouqianbaGateway
from apps.platforms.connectors.unionpay.connector import UnionpayEndpoints, UnionpayGateway
from apps.platforms.connectors.wechatpay.connector import WechatpayEndpoints, WechatpayGateway
from apps.platforms.gateway import (
    Capability,
    Credentials,
    NotSupported,
    Platform,
    PlatformGateway,
    Product,
    RefundLimits,
)
from apps.platforms.http import PlatformHttp
from apps.platforms.terminal_keys import TerminalKeys
from apps.platforms.wallets import WALLETS

CONNECTORS: dict[Platform, type[PlatformGateway]] = {
    Platform.WECHATPAY: WechatpayGateway,
    Platform.ALIPAY: AlipayGateway,
    Platform.UNIONPAY: UnionpayGateway,
    Platform.SHOUQIANBA: ShouqianbaGateway,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """What a merchant chose for an account besides its credentials; see the fields of the same name there."""

    cancels_same_day: bool = False


_NO_OPTIONS = GatewayOptions()


@lru_cache(maxsize=8)
def _http(timeout: float) -> PlatformHttp:
    return PlatformHttp(timeout=timeout)


def shared_http() -> PlatformHttp:
    """The process's door to the platforms."""
    return _http(float(settings.PLATFORM_HTTP_TIMEOUT))


@asynccontextmanager
async def polling_session() -> AsyncIterator[None]:
    """Keep connections for the async queries made inside: enter once for a polling round."""
    async with shared_http().session():
        yield


def gateway_for(
    *,
    platform: Platform | str,
    credentials: Credentials,
    options: GatewayOptions = _NO_OPTIONS,
    terminal_keys: TerminalKeys | None = None,
) -> PlatformGateway:
    """A gateway for one set of credentials. Cheap: nothing is read or sent until a call is made.

    ``terminal_keys``: where the key of the terminal that calls comes from, at a platform that has terminals; without, it
    stands in the credentials. Raises NotSupported for a platform without a connector.
    """
    try:
        known = Platform(platform)
    except ValueError as error:
        raise NotSupported(str(platform)) from error
    match known:
        case Platform.WECHATPAY:
            return WechatpayGateway(
                credentials=credentials,
                http=shared_http(),
                endpoints=WechatpayEndpoints(
                    api_url=settings.WECHATPAY_API_URL,
                    oauth_authorize_url=settings.WECHATPAY_OAUTH_AUTHORIZE_URL,
                    oauth_token_url=settings.WECHATPAY_OAUTH_TOKEN_URL,
                ),
                clock=clock.now,
            )
        case Platform.ALIPAY:
            return AlipayGateway(
                credentials=credentials,
                http=shared_http(),
                endpoints=AlipayEndpoints(
                    gateway_url=settings.ALIPAY_GATEWAY_URL,
                    oauth_authorize_url=settings.ALIPAY_OAUTH_AUTHORIZE_URL,
                ),
                clock=clock.now,
            )
        case Platform.UNIONPAY:
            return UnionpayGateway(
                credentials=credentials,
                http=shared_http(),
                endpoints=UnionpayEndpoints(
                    back_url=settings.UNIONPAY_BACK_URL,
                    front_url=settings.UNIONPAY_FRONT_URL,
                    query_url=settings.UNIONPAY_QUERY_URL,
                    file_url=settings.UNIONPAY_FILE_URL,
                    certificate_owners=settings.UNIONPAY_CERTIFICATE_OWNERS,
                ),
                clock=clock.now,
                cancels_same_day=options.cancels_same_day,
            )
        case Platform.SHOUQIANBA:
            return ShouqianbaGateway(
                credentials=credentials,
                http=shared_http(),
                endpoints=ShouqianbaEndpoints(
                    api_url=settings.SHOUQIANBA_API_URL,
                    gateway_url=settings.SHOUQIANBA_GATEWAY_URL,
                    code_payways=settings.SHOUQIANBA_CODE_PAYWAYS,
                    page_payways=settings.SHOUQIANBA_PAGE_PAYWAYS,
                ),
                clock=clock.now,
                keys=terminal_keys,
            )
        case _:
            raise NotSupported(str(platform))


def capabilities_of(platform: Platform | str) -> frozenset[Capability]:
    """What a platform can do; empty for one without a connector."""
    connector = CONNECTORS.get(Platform(platform))
    return frozenset() if connector is None else connector.capabilities


def refund_limits_of(platform: Platform | str) -> RefundLimits:
    """By what a platform takes refunds; no limits for one without a connector."""
    connector = CONNECTORS.get(Platform(platform))
    return RefundLimits() if connector is None else connector.refund_limits


def bill_day_starts_of(platform: Platform | str) -> timedelta:
    """When a platform's own day begins, as the port says it."""
    connector = CONNECTORS.get(Platform(platform))
    return timedelta(0) if connector is None else connector.bill_day_starts


def signature_headers_of(platform: Platform | str) -> frozenset[str]:
    """Headers that carry a platform's signature of a notification, beside those named after the platform."""
    connector = CONNECTORS.get(Platform(platform))
    return frozenset() if connector is None else connector.signature_headers


def close_gives_back(platform: Platform | str) -> bool:
    """Whether closing a payment at this platform gives back what was paid a moment before."""
    connector = CONNECTORS.get(Platform(platform))
    return connector is not None and connector.close_gives_back


def not_taken(platform: Platform | str) -> frozenset[tuple[Platform, Product]]:
    """The wallets that a platform which aggregates does not take, each with the product by which it does not."""
    if platform != Platform.SHOUQIANBA:
        return frozenset()
    known = {
        Product.DYNAMIC_QR: settings.SHOUQIANBA_CODE_PAYWAYS,
        Product.IN_APP: settings.SHOUQIANBA_PAGE_PAYWAYS,
        Product.BROWSER: settings.SHOUQIANBA_PAGE_PAYWAYS,
    }
    return frozenset(
        (wallet, product)
        for product, payways in known.items()
        for wallet in WALLETS
        if wallet not in payways
    )


def connected_platforms() -> tuple[Platform, ...]:
    """The platforms that have a connector, in the order shown."""
    return tuple(CONNECTORS)
