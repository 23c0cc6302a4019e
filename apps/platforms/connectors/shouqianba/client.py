"""Signed calls to the Shouqianba Web API and what their answers mean, apart from any one operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from apps.platforms import fields, http
from apps.platforms.connectors.shouqianba import signing, wire
from apps.platforms.gateway import (
    Credentials,
    MalformedMessage,
    PlatformRejected,
    PlatformUnavailable,
    TerminalKey,
)
from apps.platforms.terminal_keys import KeyRefused, TerminalKeys

#: The largest answer in bytes; Shouqianba's own are a few kilobytes.
MAX_MESSAGE = 256 * 1024
ILLEGAL_SIGN = "ILLEGAL_SIGN"
#: Refusals to talk to this terminal or vendor at all: they say nothing about what was asked.
UNHEARD = frozenset(
    {
        ILLEGAL_SIGN,
        "INVALID_TERMINAL",
        "UPAY_TERMINAL_NOT_EXISTS",
        "UPAY_TERMINAL_STATUS_ABNORMAL",
    }
)


class Unheard(PlatformUnavailable):
    """Refused for its signature or its terminal, in the documented form: Shouqianba did not look at what was asked.

    So the call itself took no effect; of what it asked about nothing is known.
    """


class ShouqianbaClient:
    """Calls of one terminal. Its key comes from ``keys``, which is asked for another one when Shouqianba refuses it."""

    def __init__(
        self, *, credentials: Credentials, http: http.PlatformHttp, api_url: str, keys: TerminalKeys
    ) -> None:
        self._ours = credentials
        self._http = http
        self._api_url = api_url.rstrip("/")
        self._keys = keys

    def call(self, path: str, message: Mapping[str, Any], *, hidden: str = "") -> wire.Answer:
        """What became of the action, good or bad. ``hidden`` is taken out of Shouqianba's words, should they repeat it.

        Raises PlatformUnavailable (Unheard where the call surely took no effect), PlatformRejected.
        """
        key = self._keys.today()
        try:
            return self._read(self._http.send(**self._signed(path, message, key)), hidden)
        except Unheard as error:
            another = self._keys.another(key) if error.code == ILLEGAL_SIGN else None
            if another is None:
                raise
        return self._read(self._http.send(**self._signed(path, message, another)), hidden)

    async def call_async(self, path: str, message: Mapping[str, Any]) -> wire.Answer:
        """As ``call``, for the pollers."""
        key = await self._keys.today_async()
        try:
            return self._read(await self._http.send_async(**self._signed(path, message, key)))
        except Unheard as error:
            another = await self._keys.another_async(key) if error.code == ILLEGAL_SIGN else None
            if another is None:
                raise
        return self._read(await self._http.send_async(**self._signed(path, message, another)))

    def page(self, url: str, parameters: Mapping[str, str]) -> str:
        """The signed address of a cashier page. Values are signed as they are and encoded afterwards."""
        key = self._keys.today()
        filled = {"terminal_sn": key.terminal_sn, **parameters}
        signed = {**filled, "sign": signing.page_sign(filled, key.terminal_key)}
        return f"{url}?{urlencode(signed, quote_via=quote, safe='')}"

    def terminal(
        self, path: str, message: Mapping[str, Any], *, sn: str, key: str, hidden: str = ""
    ) -> TerminalKey:
        """Activate or check in, signed with this key and no other.

        Raises PlatformUnavailable, PlatformRejected; of the latter KeyRefused for a key that is not accepted.
        """
        answer = self._http.send(**self._request(path, message, sn=sn, key=key))
        try:
            told = self._understood(answer, hidden)
        except PlatformUnavailable as error:
            if error.code not in UNHEARD:
                raise
            # Here the key is what it is all about.
            refused = KeyRefused if error.code == ILLEGAL_SIGN else PlatformRejected
            raise refused(error.message, code=error.code) from error
        with http.ReadingAnswer():
            failure = fields.optional(told, "error_code")
            if failure:
                raise PlatformRejected(_words(told, hidden), code=failure)
            found = TerminalKey(
                terminal_sn=fields.text(told, "terminal_sn"),
                terminal_key=fields.text(told, "terminal_key"),
            )
            if not re.fullmatch(r"[0-9A-Za-z]{1,32}", found.terminal_sn):
                raise MalformedMessage("terminal_sn is no terminal's number")
        return found

    def _signed(self, path: str, message: Mapping[str, Any], key: TerminalKey) -> dict[str, Any]:
        message = {"terminal_sn": key.terminal_sn, **message}
        return self._request(path, message, sn=key.terminal_sn, key=key.terminal_key)

    def _request(
        self, path: str, message: Mapping[str, Any], *, sn: str, key: str
    ) -> dict[str, Any]:
        body = wire.dump(message)
        return {
            "method": "POST",
            "url": self._api_url + path,
            "headers": {
                "Authorization": signing.authorization(sn=sn, key=key, body=body),
                "Content-Type": "application/json",
            },
            "body": body,
            "limit": MAX_MESSAGE,
        }

    def _read(self, answer: http.HttpAnswer, hidden: str = "") -> wire.Answer:
        told = self._understood(answer, hidden)
        with http.ReadingAnswer():
            data = told.get("data")
            if data is not None and not isinstance(data, Mapping):
                raise MalformedMessage("data is no object")
            found = wire.Answer(
                result=fields.text(told, "result_code"),
                error_code=fields.optional(told, "error_code"),
                message=_words(told, hidden),
                data=data or {},
            )
        if found.result in wire.REFUSED and found.error_code in UNHEARD:
            # With an order beside it, it was looked at after all.
            refused = PlatformUnavailable if found.data.get("order_status") else Unheard
            raise refused(found.message, code=found.error_code)
        return found

    def _understood(self, answer: http.HttpAnswer, hidden: str) -> Mapping[str, Any]:
        """``biz_response`` of a call that was understood; else the error that the outer level means."""
        # What status a refusal has is not documented, so one with the platform's own words is taken in any of these.
        if answer.status != 200 and not 400 <= answer.status < 429:
            raise http.unavailable(answer)
        try:
            message = wire.load(answer.body)
        except MalformedMessage as error:
            code = "bad_answer" if answer.status == 200 else ""
            raise http.unavailable(answer, code=code, message=str(error)) from error
        result, failure = (fields.optional(message, name) for name in ("result_code", "error_code"))
        words = _words(message, hidden)
        if result == "400" and failure in UNHEARD:
            raise Unheard(words, code=failure)
        if result == "400" and failure and failure not in wire.DOUBTFUL:
            raise PlatformRejected(words, code=failure)
        if result != "200" or answer.status != 200:
            code = failure or ("bad_answer" if answer.status == 200 else "")
            raise http.unavailable(answer, code=code, message=words)
        told = message.get("biz_response")
        if not isinstance(told, Mapping):
            raise PlatformUnavailable("an answer without biz_response", code="bad_answer")
        return told


def _words(message: Mapping[str, Any], hidden: str) -> str:
    words = fields.optional(message, "error_message")
    return words.replace(hidden, "…") if hidden else words


def trouble(answer: wire.Answer) -> PlatformUnavailable | PlatformRejected:
    """The error that an answer means which is not a good one."""
    if answer.refused:
        return PlatformRejected(
            answer.message, code=answer.code, retry_same=answer.error_code in wire.BALANCE
        )
    return PlatformUnavailable(answer.message, code=answer.code)
