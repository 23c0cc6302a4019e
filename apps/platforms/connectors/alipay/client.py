"""Signed calls to Alipay's gateway, and whom to believe: a public key, or certificates that Alipay changes by itself."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from apps.platforms import certificates, fields, http, rsa
from apps.platforms.connectors.alipay import signing, wire
from apps.platforms.gateway import (
    Credentials,
    MalformedMessage,
    OrderNotFound,
    PlatformRejected,
    PlatformUnavailable,
)

DONE = "10000"
_FAILED = "40004"
#: Answers that must carry a signature. Gateway refusals may come without one.
_SIGNED = {DONE, wire.WAITING, _FAILED}
_NOT_FOUND = {"ACQ.TRADE_NOT_EXIST"}
_RETRY_SAME = {"ACQ.SELLER_BALANCE_NOT_ENOUGH"}
#: Refusals of our signature, certificate or clock, whatever was asked.
_ABOUT_US = {
    "isv.invalid-signature",
    "isv.missing-signature",
    "isv.invalid-signature-type",
    "isv.missing-signature-type",
    "isv.missing-signature-config",
    "isv.invalid-timestamp",
    "isv.missing-timestamp",
    "isv.app-cert-sn-not-matched",
    "isv.invalid-app-cert-sn",
    "isv.missing-app-cert-sn",
}
_DOWNLOAD = "alipay.open.app.alipaycert.download"
_FORM = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
#: Certificates that Alipay signs with in place of the stored ones, proved by the root: kept by the process until they are
#: stored, so that each is fetched once. By the root bundle's SN and their own.
_fetched: dict[tuple[str, str], x509.Certificate] = {}
_MOST_FETCHED = 1000


class _UnknownCertificate(Exception):
    """An answer is signed with a certificate that is not here; the text is its SN."""


class AlipayClient:
    """Calls with one merchant's credentials, in key mode or, with an application certificate, in certificate mode."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        http: http.PlatformHttp,
        gateway_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._ours = credentials
        self._http = http
        self._gateway_url = gateway_url
        self._clock = clock

    @property
    def by_certificate(self) -> bool:
        """Whether keys are exchanged as certificates."""
        return bool(self._ours.keys.get("app_certificate", "").strip())

    # Calls

    def call(
        self,
        method: str,
        biz: Mapping[str, Any] | None,
        *,
        good: Collection[str] = (DONE,),
        **parameters: str,
    ) -> dict[str, Any]:
        """The verified content of an answer whose code is ``good``. Raises PlatformUnavailable, PlatformRejected."""
        return self._read(method, self._send(method, biz, **parameters), good)

    async def call_async(self, method: str, biz: Mapping[str, Any]) -> dict[str, Any]:
        """As ``call``, for the pollers."""
        answer = await self._post_async(self.signed(method, biz))
        try:
            return self._content(method, answer, (DONE,))
        except _UnknownCertificate as unknown:
            download = await self._post_async(self.signed(_DOWNLOAD, _wanted(unknown)))
            self._keep(download, sn=str(unknown))
        return self._believed(method, answer, (DONE,))

    def signer(self, method: str, biz: Mapping[str, Any]) -> x509.Certificate | None:
        """The certificate that Alipay signs with today; None when its answer names none. Raises PlatformUnavailable."""
        answer = self._send(method, biz)
        with contextlib.suppress(OrderNotFound):
            self._read(method, answer, (DONE,))
        sn = self._cut(answer).certificate_sn
        return self._known().get(sn)

    def signed(
        self, method: str, biz: Mapping[str, Any] | None, **parameters: str
    ) -> dict[str, str]:
        """All parameters of a call with their signature, empty ones left out. Raises PlatformRejected for unusable keys."""
        filled = {
            "app_id": self._ours.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": wire.to_beijing(self._clock()),
            "version": "1.0",
            **self._certificate_numbers(),
            **{name: value for name, value in parameters.items() if value},
        }
        if biz is not None:
            filled["biz_content"] = wire.dump(biz)
        try:
            key = rsa.load_private_key(self._ours.keys.get("private_key", ""))
        except rsa.UnusableKey as error:
            raise PlatformRejected(
                f"the application's private key is unusable: {error.reason}", code="bad_key"
            ) from error
        return {**filled, "sign": signing.sign_request(key, filled)}

    def _certificate_numbers(self) -> dict[str, str]:
        if not self.by_certificate:
            return {}
        keys = self._ours.keys
        try:
            app = certificates.load_all(keys.get("app_certificate", ""))
            roots = certificates.load_all(keys.get("alipay_root_certificate", ""))
        except rsa.UnusableKey as error:
            raise PlatformRejected(
                f"a certificate is unusable: {error.reason}", code="bad_key"
            ) from error
        return {
            "app_cert_sn": signing.certificate_sn(app[0]),
            "alipay_root_cert_sn": signing.root_sn(roots),
        }

    def _send(
        self, method: str, biz: Mapping[str, Any] | None, **parameters: str
    ) -> http.HttpAnswer:
        url, body = self._request(self.signed(method, biz, **parameters))
        return self._http.send("POST", url, headers=_FORM, body=body)

    async def _post_async(self, parameters: Mapping[str, str]) -> http.HttpAnswer:
        url, body = self._request(parameters)
        return await self._http.send_async("POST", url, headers=_FORM, body=body)

    def _request(self, parameters: Mapping[str, str]) -> tuple[str, bytes]:
        # charset must stand in the address: without it the gateway reads, and later notifies, in GBK.
        biz = {name: value for name, value in parameters.items() if name == "biz_content"}
        rest = {name: value for name, value in parameters.items() if name != "biz_content"}
        return f"{self._gateway_url}?{urlencode(rest)}", urlencode(biz).encode("ascii")

    # Answers

    def _read(self, method: str, answer: http.HttpAnswer, good: Collection[str]) -> dict[str, Any]:
        try:
            return self._content(method, answer, good)
        except _UnknownCertificate as unknown:
            self._keep(self._send(_DOWNLOAD, _wanted(unknown)), sn=str(unknown))
        return self._believed(method, answer, good)

    def _believed(
        self, method: str, answer: http.HttpAnswer, good: Collection[str]
    ) -> dict[str, Any]:
        """The content, once whatever can be fetched was fetched."""
        try:
            return self._content(method, answer, good)
        except _UnknownCertificate as unknown:
            raise _distrusted("serial") from unknown

    def _cut(self, answer: http.HttpAnswer) -> signing.CutAnswer:
        if answer.status != 200:
            raise http.unavailable(answer)
        try:
            return signing.cut_answer(
                answer.body, content_type=answer.headers.get("content-type", "")
            )
        except signing.Unreadable as error:
            raise PlatformUnavailable(str(error), code="bad_answer") from error

    def _content(
        self, method: str, answer: http.HttpAnswer, good: Collection[str]
    ) -> dict[str, Any]:
        """The verified content of a good answer, or the error that a bad one means. Raises _UnknownCertificate."""
        cut = self._cut(answer)
        own = cut.members.get(_member(method))
        inner = own if own is not None else cut.members.get("error_response")
        if inner is None:
            raise PlatformUnavailable("the answer is to another call", code="bad_answer")
        # The code decides who must have signed, so the text is read, and its names must not be twice there, before.
        with http.ReadingAnswer():
            message = wire.load(inner)
        # The token call answers without a code when all is well.
        code = str(message.get("code") or (DONE if own is not None else ""))
        if code in _SIGNED:
            self._verify(cut, inner)
        if code in good and own is not None:
            return message
        raise _refusal(message, code)

    def _verify(self, cut: signing.CutAnswer, inner: str) -> None:
        """Raises PlatformUnavailable, _UnknownCertificate."""
        reason = "wrong"
        for key in self._keys(cut.certificate_sn):
            try:
                signing.verify_answer(key, inner, cut.sign, charset=cut.charset)
            except signing.SignatureRefused as error:
                reason = str(error)
            else:
                return
        raise _distrusted(reason)

    def _keys(self, sn: str) -> list[RSAPublicKey]:
        """The keys that an answer may be signed with."""
        try:
            if not self.by_certificate:
                return [rsa.load_public_key(self._ours.keys.get("alipay_public_key", ""))]
            return [certificates.rsa_key(one) for one in self._trusted(sn, at=self._clock())]
        except (rsa.UnusableKey, signing.SignatureRefused) as error:
            raise _distrusted(str(error)) from error

    def verify_form(
        self, received: Mapping[str, str], charset: str, *, received_at: datetime
    ) -> None:
        """Check a notice. Raises SignatureRefused; asks nobody for a certificate that is not here."""
        try:
            if not self.by_certificate:
                keys = [rsa.load_public_key(self._ours.keys.get("alipay_public_key", ""))]
            else:
                found = self._trusted(received.get("alipay_cert_sn", ""), at=received_at)
                keys = [certificates.rsa_key(one) for one in found]
        except rsa.UnusableKey as error:
            raise signing.SignatureRefused("our copy of the platform's key is unusable") from error
        except _UnknownCertificate as unknown:
            raise signing.SignatureRefused("serial") from unknown
        for key in keys[:-1]:
            try:
                signing.verify_form(key, received, charset)
            except signing.SignatureRefused:
                continue
            return
        signing.verify_form(keys[-1], received, charset)

    # Certificates

    def _trusted(self, sn: str, *, at: datetime) -> list[x509.Certificate]:
        """The one of this SN or, where none is named, all of ours; valid ``at``.

        Raises _UnknownCertificate, SignatureRefused, UnusableKey.
        """
        known = self._known()
        if sn and sn not in known:
            raise _UnknownCertificate(sn)
        found = [known[sn]] if sn else list(known.values())
        valid = [one for one in found if certificates.is_valid(one, at=at)]
        if not valid:
            raise signing.SignatureRefused("expired")
        return valid

    def _known(self) -> dict[str, x509.Certificate]:
        """Alipay's certificates by SN: the stored ones, and those fetched since. Raises UnusableKey."""
        stored = {signing.certificate_sn(one): one for one in stored_certificates(self._ours.keys)}
        root = self._root_sn()
        since = {sn: one for (under, sn), one in _fetched.items() if under == root}
        return {**since, **stored}

    def _root_sn(self) -> str:
        roots = certificates.load_all(self._ours.keys.get("alipay_root_certificate", ""))
        return signing.root_sn(roots)

    def _keep(self, answer: http.HttpAnswer, *, sn: str) -> None:
        """Take a certificate from the answer to its download if the root proves it. Raises PlatformUnavailable."""
        found = self._downloaded(answer, sn=sn)
        if len(_fetched) >= _MOST_FETCHED:
            _fetched.clear()
        _fetched[self._root_sn(), sn] = found

    def _downloaded(self, answer: http.HttpAnswer, *, sn: str) -> x509.Certificate:
        cut = self._cut(answer)
        inner = cut.members.get(_member(_DOWNLOAD))
        # This answer is signed with the certificate that it brings, so only the chain can prove it.
        try:
            message = wire.load(inner or "")
            if message.get("code") != DONE:
                raise _distrusted("serial")
            content = base64.b64decode(fields.text(message, "alipay_cert_content"), validate=True)
            leaf, *between = certificates.load_all(content.decode("ascii"))
            certificates.rsa_key(leaf)
            roots = certificates.load_all(self._ours.keys.get("alipay_root_certificate", ""))
        except (MalformedMessage, ValueError, binascii.Error) as error:
            raise _distrusted("serial") from error
        if signing.certificate_sn(leaf) != sn or not certificates.is_chained(
            leaf, between=between, roots=roots, at=self._clock()
        ):
            raise _distrusted("chain")
        return leaf


def stored_certificates(keys: Mapping[str, str]) -> list[x509.Certificate]:
    """Alipay's own certificates among those stored. Raises UnusableKey."""
    return own_certificates(certificates.load_all(keys.get("alipay_certificate", "")))


def own_certificates(found: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Alipay's own certificates in a file, which also holds its issuers'."""
    return [one for one in found if not certificates.may_issue(one)] or list(found[:1])


def _wanted(unknown: _UnknownCertificate) -> dict[str, str]:
    return {"alipay_cert_sn": str(unknown)}


def _member(method: str) -> str:
    return method.replace(".", "_") + "_response"


def _distrusted(reason: str) -> PlatformUnavailable:
    return PlatformUnavailable(
        f"the answer's signature was refused: {reason}", code="bad_signature"
    )


def _refusal(message: Mapping[str, Any], code: str) -> PlatformUnavailable | PlatformRejected:
    """The error that an answer means which is not a good one."""
    sub_code = fields.optional(message, "sub_code")
    words = fields.optional(message, "sub_msg") or fields.optional(message, "msg")
    if not code or code == DONE:
        return PlatformUnavailable("an answer without a code", code="bad_answer")
    if _transient(code, sub_code) or sub_code in _ABOUT_US:
        return PlatformUnavailable(words, code=sub_code or code)
    if sub_code in _NOT_FOUND:
        return OrderNotFound(words, code=sub_code)
    return PlatformRejected(words, code=sub_code or code, retry_same=sub_code in _RETRY_SAME)


def _transient(code: str, sub_code: str) -> bool:
    """Whether the answer leaves open what happened: 20000, 10003, system errors, throttling."""
    if code in {"20000", wire.WAITING} or not code.startswith("4"):
        return code != "20001"
    name = sub_code.upper()
    return (
        # Both spellings of the prefix are seen on the wire.
        name in {"ACQ.SYSTEM_ERROR", "AQC.SYSTEM_ERROR"}
        or "UNKNOW" in name
        or "CALL-LIMITED" in name
        or (name.startswith("ISP.") and "BILL_NOT_EXIST" not in name)
    )
