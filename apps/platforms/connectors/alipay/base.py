"""What all calls of one merchant to Alipay have in common."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from apps.platforms import http
from apps.platforms.connectors.alipay.client import AlipayClient
from apps.platforms.gateway import Credentials, Platform, PlatformGateway


@dataclass(frozen=True, slots=True, kw_only=True)
class AlipayEndpoints:
    """Where the platform lives."""

    gateway_url: str
    oauth_authorize_url: str


class AlipayBase(PlatformGateway):
    """The ground of the gateway's parts. ``nonce`` gives a fresh random text."""

    platform: ClassVar[Platform] = Platform.ALIPAY

    def __init__(
        self,
        *,
        credentials: Credentials,
        http: http.PlatformHttp,
        endpoints: AlipayEndpoints,
        clock: Callable[[], datetime],
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._ours = credentials
        self._http = http
        self._endpoints = endpoints
        self._clock = clock
        self._nonce = nonce
        self._client = AlipayClient(
            credentials=credentials,
            http=http,
            gateway_url=endpoints.gateway_url,
            clock=clock,
        )
