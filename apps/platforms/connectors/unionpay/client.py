"""Signed calls to UnionPay ACP and what their answers mean, apart from any one operation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from urllib.parse import urlencode

from apps.platforms import fields, http
from apps.platforms.connectors.unionpay import signing, wire
from apps.platforms.gateway import (
    AskedTooOften,
    Credentials,
    PlatformRejected,
    PlatformUnavailable,
)

#: The largest ordinary answer in bytes; UnionPay's own are about four kilobytes, most of it a certificate.
MAX_MESSAGE = 256 * 1024

_FORM = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
_ECHOED = ("merId", "orderId", "txnTime")


class UnionpayClient:
    """Calls with one merchant's credentials. ``owners``: whose certificate answers may be signed with."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        http: http.PlatformHttp,
        owners: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._ours = credentials
        self._http = http
        self._owners = owners
        self._clock = clock

    def signed(self, message: Mapping[str, str]) -> dict[str, str]:
        """A message with what all have in common and its signature. Raises PlatformRejected for an unusable .pfx."""
        keys = self._ours.keys
        try:
            signer = signing.load_signer(
                keys.get("certificate", ""), keys.get("certificate_password", "")
            )
        except signing.UnusableCertificate as error:
            raise PlatformRejected(
                f"the merchant's certificate is unusable: {error.reason}", code="bad_key"
            ) from error
        return signing.sign(
            signer,
            {
                "version": "5.1.0",
                "encoding": "UTF-8",
                "signMethod": "01",
                "accessType": "0",
                "merId": self._ours.merchant_no,
                **message,
            },
        )

    def call(
        self,
        url: str,
        message: Mapping[str, str],
        *,
        limit: int = MAX_MESSAGE,
        patience: int = 1,
    ) -> dict[str, str]:
        """The verified answer, whatever its ``respCode``. Raises PlatformUnavailable, PlatformRejected (code bad_key)."""
        sent = self.signed(message)
        answer = self._http.send(
            "POST",
            url,
            headers=_FORM,
            body=urlencode(sent).encode("ascii"),
            limit=limit,
            patience=patience,
        )
        return self._read(answer, sent)

    async def call_async(self, url: str, message: Mapping[str, str]) -> dict[str, str]:
        """As ``call``, for the pollers."""
        sent = self.signed(message)
        answer = await self._http.send_async(
            "POST", url, headers=_FORM, body=urlencode(sent).encode("ascii"), limit=MAX_MESSAGE
        )
        return self._read(answer, sent)

    def verify(self, message: Mapping[str, str], *, now: datetime, charset: str = "utf-8") -> None:
        """Check a message of the platform. Raises SignatureRefused."""
        signing.verify(
            message,
            root=self._ours.keys.get("root_certificate", ""),
            middle=self._ours.keys.get("middle_certificate", ""),
            owners=self._owners,
            now=now,
            charset=charset,
        )

    def _read(self, answer: http.HttpAnswer, sent: Mapping[str, str]) -> dict[str, str]:
        if answer.status != 200:
            raise http.unavailable(answer)
        try:
            message = signing.read_answer(answer.body)
        except signing.Unreadable as error:
            raise PlatformUnavailable(str(error), code="bad_answer") from error
        code = fields.optional(message, "respCode")
        if "signature" not in message and code and code != wire.ACCEPTED:
            # A complaint that anybody could have made: worth showing, not worth believing.
            raise open_question(fields.optional(message, "respMsg"), code)
        try:
            self.verify(message, now=self._clock())
        except signing.SignatureRefused as error:
            raise PlatformUnavailable(
                f"the answer's signature was refused: {error.reason}", code="bad_signature"
            ) from error
        if not code:
            raise PlatformUnavailable("an answer without a code", code="bad_answer")
        for name in _ECHOED:
            theirs = message.get(name, "")
            # What was refused as a message may come back without its fields; what was done must say to whom.
            must_be_there = code == wire.ACCEPTED and name != "txnTime"
            if theirs != sent.get(name, "") and (theirs or must_be_there):
                raise PlatformUnavailable(f"the answer has another {name}", code="bad_answer")
        return message


def trouble(
    answer: Mapping[str, str], *, refused: Callable[[str], bool]
) -> PlatformUnavailable | PlatformRejected:
    """The error that an answer means which is not a good one; ``refused`` says of which codes that they are final."""
    code, words = answer.get("respCode", ""), answer.get("respMsg", "")
    if "txntime" in words.lower():
        # Numbers begin now: a time that the platform refuses comes from a clock that is wrong.
        return PlatformUnavailable(words, code="clock_skew")
    if code != wire.UNSIGNED and refused(code):
        return PlatformRejected(words, code=code)
    return open_question(words, code)


def open_question(words: str, code: str) -> PlatformUnavailable:
    """The error for an answer that leaves open what was asked."""
    kind = AskedTooOften if code == wire.TOO_OFTEN else PlatformUnavailable
    return kind(words, code=code)
