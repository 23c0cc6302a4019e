"""What all calls of one account to Shouqianba have in common."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from apps.platforms import http
from apps.platforms.connectors.shouqianba import wire
from apps.platforms.connectors.shouqianba.client import ShouqianbaClient, trouble
from apps.platforms.gateway import Credentials, OrderNotFound, Platform, PlatformGateway
from apps.platforms.terminal_keys import FixedKeys, TerminalKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class ShouqianbaEndpoints:
    """Where the platform lives, and what it calls the wallets: ``payway`` for a code and for a page, by wallet.

    A wallet that is missing there cannot be asked for by that way.
    """

    api_url: str
    gateway_url: str
    code_payways: Mapping[str, str]
    page_payways: Mapping[str, str]


class ShouqianbaBase(PlatformGateway):
    """The ground of the gateway's parts.

    ``keys``: where the terminal's key comes from; by default it stands in the credentials.
    """

    platform: ClassVar[Platform] = Platform.SHOUQIANBA

    def __init__(
        self,
        *,
        credentials: Credentials,
        http: http.PlatformHttp,
        endpoints: ShouqianbaEndpoints,
        clock: Callable[[], datetime],
        keys: TerminalKeys | None = None,
        nonce: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self._ours = credentials
        self._endpoints = endpoints
        self._clock = clock
        self._nonce = nonce
        self._client = ShouqianbaClient(
            credentials=credentials,
            http=http,
            api_url=endpoints.api_url,
            keys=keys or FixedKeys(credentials),
        )


def order_in(answer: wire.Answer) -> Mapping[str, object]:
    """The order in the answer to a question. Raises OrderNotFound, PlatformUnavailable, PlatformRejected.

    A question that failed says nothing about the order.
    """
    if answer.error_code in wire.NOT_FOUND:
        raise OrderNotFound(answer.message, code=answer.error_code)
    if answer.result not in wire.DONE:
        raise trouble(answer)
    return answer.data
