"""Signed calls to WeChat Pay API v3 and what their answers mean, apart from any one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from apps.platforms import fields, http, rsa
from apps.platforms.connectors.wechatpay import signing, wire
from apps.platforms.gateway import (
    Credentials,
    MalformedMessage,
    OrderNotFound,
    PlatformRejected,
    PlatformUnavailable,
)

_NOT_FOUND = {"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"}
#: Refusals that say nothing about the order: the same call may succeed a moment later.
_TRANSIENT = {
    "SYSTEM_ERROR",
    "SYSTEMERROR",
    "FREQUENCY_LIMITED",
    "FREQUENCY_LIMIT_EXCEED",
    "RATELIMIT_EXCEEDED",
    "SERVICE_UNAVAILABLE",
}
#: Refusals of our signature, whatever was asked.
_ABOUT_US = {"SIGN_ERROR"}
#: Code of an answer with the platform's wrong signature on purpose.
PROBED = "signature_probe"
_RETRY_SAME = {"NOT_ENOUGH", "NOTENOUGH"}
#: Codes for answers that do not verify for a reason other than the signature itself.
_REFUSALS = {
    "serial": "unknown_serial",
    "timestamp": "clock_skew",
    "probe": PROBED,
    "expired": "certificate_expired",
}


class WechatpayClient:
    """Calls with one merchant's credentials. ``api_url`` may carry a path prefix, which is never signed."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        http: http.PlatformHttp,
        api_url: str,
        clock: Callable[[], datetime],
        nonce: Callable[[], str],
    ) -> None:
        self._ours = credentials
        self._http = http
        self._api_url = api_url.rstrip("/")
        self._clock = clock
        self._nonce = nonce

    def call(
        self,
        method: str,
        target: str,
        message: Mapping[str, Any] | None = None,
        *,
        repeats: bool = True,
        sealed_for: str = "",
    ) -> dict[str, Any]:
        """The verified content of the answer; empty where it has none. Raises PlatformUnavailable, PlatformRejected.

        ``repeats``: the same call may be made twice without harm, so one whose answer is a probe is made again at once.
        ``sealed_for``: the serial of the platform's key that fields of ``message`` are encrypted with.
        """
        body = "" if message is None else wire.dump(message)

        def send() -> http.HttpAnswer:
            return self._http.send(
                method,
                self._url(target),
                headers=self._headers(method, target, body, sealed_for=sealed_for),
                body=body.encode(),
            )

        try:
            return self._read(send())
        except PlatformUnavailable as trouble:
            if not repeats or trouble.code != PROBED:
                raise
        return self._read(send())

    async def call_async(self, method: str, target: str) -> dict[str, Any]:
        """As ``call``, without blocking, for questions."""

        async def send() -> http.HttpAnswer:
            return await self._http.send_async(
                method, self._url(target), headers=self._headers(method, target, "")
            )

        try:
            return self._read(await send())
        except PlatformUnavailable as trouble:
            if trouble.code != PROBED:
                raise
        return self._read(await send())

    def fetch_unverified(self, target: str) -> http.HttpAnswer:
        """A good answer as it came, for a caller that must read it before it can be verified; see ``verify``."""
        answer = self._http.send("GET", self._url(target), headers=self._headers("GET", target, ""))
        if answer.status != 200:
            raise _refusal(answer)
        return answer

    def _url(self, target: str) -> str:
        return self._api_url + target

    def _headers(
        self, method: str, target: str, body: str, *, sealed_for: str = ""
    ) -> dict[str, str]:
        headers = {
            "Authorization": signing.authorization(
                key=self.private_key(),
                merchant_no=self._ours.merchant_no,
                serial_no=self._ours.keys.get("serial_no", "").strip(),
                method=method,
                target=target,
                timestamp=self.timestamp(),
                nonce=self._nonce(),
                body=body,
            ),
            "Accept": "application/json",
        }
        if body:
            headers["Content-Type"] = "application/json"
        serial = sealed_for or next(iter(signing.public_key_ids(self._ours.keys)), "")
        if serial:
            headers["Wechatpay-Serial"] = serial
        return headers

    def _read(self, answer: http.HttpAnswer) -> dict[str, Any]:
        """The verified content of a good answer, or the error that a bad one means."""
        if answer.status not in {200, 204}:
            raise _refusal(answer)
        self.verify(answer)
        if answer.status == 204:
            return {}
        with http.ReadingAnswer():
            return wire.load(answer.body)

    def verify(
        self, answer: http.HttpAnswer, *, keys: Mapping[str, signing.PlatformKey] | None = None
    ) -> None:
        """Check who signed an answer: one of our copies of the platform's keys, or ``keys``. Raises PlatformUnavailable."""
        try:
            signing.verify(
                headers=answer.headers,
                body=answer.body,
                keys=signing.platform_keys(self._ours.keys) if keys is None else keys,
                now=self._clock(),
            )
        except rsa.UnusableKey as error:
            raise PlatformUnavailable(
                "our copy of the platform's key is unusable", code="bad_signature"
            ) from error
        except signing.SignatureRefused as error:
            code = _REFUSALS.get(error.reason, "bad_signature")
            raise PlatformUnavailable(
                f"the answer's signature was refused: {error.reason}", code=code
            ) from error

    def seal(self, *texts: str) -> tuple[str, list[str]]:
        """Encrypt texts for the platform: the serial of the key, and the texts sealed.

        Raises PlatformRejected, by which nothing was sent, when there is no key to encrypt with or a text is too long.
        """
        try:
            found = signing.sealing_key(self._ours.keys, now=self._clock())
        except rsa.UnusableKey:
            found = None
        if found is None:
            raise PlatformRejected("there is no key of the platform's", code="no_platform_key")
        serial, key = found
        try:
            return serial, [signing.seal(key, text) for text in texts]
        except ValueError as error:
            raise PlatformRejected("a bank detail is too long", code="PARAM_ERROR") from error

    def private_key(self) -> RSAPrivateKey:
        """The merchant's own. Raises PlatformRejected (code bad_key), by which nothing was sent."""
        try:
            return rsa.load_private_key(self._ours.keys.get("private_key", ""))
        except rsa.UnusableKey as error:
            raise PlatformRejected(
                f"the merchant's private key is unusable: {error.reason}", code="bad_key"
            ) from error

    def timestamp(self) -> str:
        """Now, in seconds since 1970, as it is signed."""
        return str(int(self._clock().timestamp()))

    def download(self, url: str) -> bytes:
        """Fetch a bill file: the request is signed as any other, the answer is not."""
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http"} or not parts.netloc:
            raise PlatformUnavailable("the download address is unusable", code="bad_answer")
        path = parts.path.removeprefix(urlsplit(self._api_url).path)
        target = f"{path}?{parts.query}" if parts.query else path
        answer = self._http.send(
            "GET",
            url,
            headers=self._headers("GET", target, ""),
            limit=http.MAX_FILE,
            patience=http.FILE_PATIENCE,
        )
        if answer.status != 200:
            # The address lives for five minutes only: whatever the reason, the next try begins anew.
            raise http.unavailable(answer, code=_error(answer)[0])
        return answer.body


def _refusal(answer: http.HttpAnswer) -> PlatformUnavailable | PlatformRejected:
    """The error that an answer means which is not a good one."""
    code, words = _error(answer)
    if answer.status < 400 or answer.status >= 500 or answer.status == 429:
        return http.unavailable(answer, code=code, message=words)
    # A refusal without the platform's own code comes from something in between.
    if not code or code in _TRANSIENT:
        return http.unavailable(answer, code=code, message=words)
    if answer.status == 401 or code in _ABOUT_US:
        # It did not look at what was asked, only at who asks.
        skewed = "时间戳" in words or "timestamp" in words.lower()
        return http.unavailable(answer, code="clock_skew" if skewed else code, message=words)
    if code in _NOT_FOUND:
        return OrderNotFound(words, code=code)
    return PlatformRejected(words, code=code, retry_same=code in _RETRY_SAME)


def _error(answer: http.HttpAnswer) -> tuple[str, str]:
    """The platform's code and words in a refusal; empty when it is not the platform that speaks."""
    try:
        message = wire.load(answer.body)
    except MalformedMessage:
        return "", ""
    return fields.optional(message, "code"), fields.optional(message, "message")
