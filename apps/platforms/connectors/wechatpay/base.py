"""What all calls of one merchant to WeChat Pay have in common."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from apps.platforms import http
from apps.platforms.connectors.wechatpay.client import WechatpayClient
from apps.platforms.gateway import Credentials, Platform, PlatformGateway


@dataclass(frozen=True, slots=True, kw_only=True)
class WechatpayEndpoints:
    """Where the platform lives. ``api_url`` may carry a path prefix, which is never part of what is signed."""

    api_url: str
    oauth_authorize_url: str
    oauth_token_url: str


class WechatpayBase(PlatformGateway):
    """The ground of the gateway's parts. ``nonce`` gives a fresh random text for each signature."""

    platform: ClassVar[Platform] = Platform.WECHATPAY

    def __init__(
        self,
        *,
        credentials: Credentials,
        http: http.PlatformHttp,
        endpoints: WechatpayEndpoints,
        clock: Callable[[], datetime],
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._ours = credentials
        self._http = http
        self._endpoints = endpoints
        self._clock = clock
        self._nonce = nonce
        self._client = WechatpayClient(
            credentials=credentials,
            http=http,
            api_url=endpoints.api_url,
            clock=clock,
            nonce=nonce,
        )
