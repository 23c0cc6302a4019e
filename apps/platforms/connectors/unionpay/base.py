"""What all calls of one merchant to UnionPay have in common."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from apps.platforms import fields, http
from apps.platforms.connectors.unionpay import wire
from apps.platforms.connectors.unionpay.client import UnionpayClient, trouble
from apps.platforms.gateway import (
    Credentials,
    OrderNotFound,
    Platform,
    PlatformGateway,
    PlatformUnavailable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionpayEndpoints:
    """Where the platform lives, and in whose name its certificates are."""

    back_url: str
    front_url: str
    query_url: str
    file_url: str
    certificate_owners: Collection[str]


class UnionpayBase(PlatformGateway):
    """The ground of the gateway's parts.

    ``cancels_same_day``: a refund of a whole payment on its settlement day goes as a cancellation. ``nonce`` gives a
    fresh random text of letters and digits for the check of credentials.
    """

    platform: ClassVar[Platform] = Platform.UNIONPAY

    def __init__(
        self,
        *,
        credentials: Credentials,
        http: http.PlatformHttp,
        endpoints: UnionpayEndpoints,
        clock: Callable[[], datetime],
        cancels_same_day: bool = False,
        nonce: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self._ours = credentials
        self._endpoints = endpoints
        self._clock = clock
        self._cancels_same_day = cancels_same_day
        self._nonce = nonce
        self._client = UnionpayClient(
            credentials=credentials,
            http=http,
            owners=endpoints.certificate_owners,
            clock=clock,
        )


def asked(answer: Mapping[str, str]) -> str:
    """The code of the transaction asked about. Raises OrderNotFound, PlatformUnavailable, PlatformRejected.

    A question that failed says nothing about the transaction.
    """
    code, original = answer["respCode"], answer.get("origRespCode", "")
    if wire.NOT_FOUND in {code, original}:
        raise OrderNotFound(fields.optional(answer, "respMsg"), code=wire.NOT_FOUND)
    if code != wire.ACCEPTED:
        raise trouble(answer, refused=wire.OUR_FAULT.__contains__)
    if not original:
        raise PlatformUnavailable("the answer does not tell the state", code="bad_answer")
    return original
