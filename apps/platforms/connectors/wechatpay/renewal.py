"""Platform certificates: fetched, opened, trusted.

Source: WeChat Pay merchant documentation 4012551764 (GET /v3/certificates); the rules of trust are those of the platform's own
downloaders. Only the platform and the merchant hold the APIv3 key, so what opens with it comes from the platform; the
answer must besides be signed by a key that is known already or by a certificate that it brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cryptography import x509

from apps.platforms import certificates, fields, http, rsa
from apps.platforms.connectors.wechatpay import client, signing, wire
from apps.platforms.connectors.wechatpay.base import WechatpayBase
from apps.platforms.gateway import (
    API_V3_KEY_WRONG,
    Credentials,
    MalformedMessage,
    PlatformRejected,
    PlatformUnavailable,
)

_TARGET = "/v3/certificates"
#: What is answered to merchants that have public keys only.
_HAS_NONE = {"RESOURCE_NOT_EXISTS", "SYSTEM_ERROR"}


class RenewalCalls(WechatpayBase):
    """The part of the gateway that keeps the platform's certificates up to date."""

    def renew_credentials(self) -> Credentials | None:
        """The platform's certificates of today, with those of ours that are still valid; None if that is what we hold."""
        held = self._held()
        try:
            fetched = self._fetched()
        except (PlatformUnavailable, PlatformRejected) as trouble:
            by_public_key = bool(signing.public_keys(self._ours.keys))
            if by_public_key and not held and trouble.code in _HAS_NONE:
                return None
            if by_public_key and trouble.code == "RESOURCE_NOT_EXISTS":
                # The change to public keys is complete.
                return None
            raise
        now = self._clock()
        union = {certificates.serial_of(one): one for one in [*held, *fetched]}
        valid = [one for one in union.values() if one.not_valid_after_utc > now]
        if {*valid} == {*held} or not valid:
            return None
        newest = sorted(valid, key=lambda one: one.not_valid_before_utc)
        keys = {**self._ours.keys, "platform_certificates": certificates.pem_of(newest)}
        return replace(self._ours, keys=keys)

    def _held(self) -> list[x509.Certificate]:
        try:
            return list(certificates.load_all(self._ours.keys.get("platform_certificates", "")))
        except rsa.UnusableKey:
            return []

    def _fetched(self) -> list[x509.Certificate]:
        try:
            return self._trusted(self._client.fetch_unverified(_TARGET))
        except PlatformUnavailable as trouble:
            if trouble.code != client.PROBED:
                raise
        return self._trusted(self._client.fetch_unverified(_TARGET))

    def _trusted(self, answer: http.HttpAnswer) -> list[x509.Certificate]:
        """The certificates in an answer, once it is proved to be the platform's."""
        with http.ReadingAnswer():
            entries = _entries(wire.load(answer.body))
        try:
            found = [self._certificate(entry) for entry in entries]
        except signing.DoesNotOpen as error:
            # If the signature is good, it is our key that is at fault; if not, nobody knows who spoke.
            self._client.verify(answer)
            raise PlatformRejected(
                "the certificates do not open with the APIv3 key", code=API_V3_KEY_WRONG
            ) from error
        self._client.verify(answer, keys=self._known_and(found))
        return found

    def _certificate(self, entry: Mapping[str, Any]) -> x509.Certificate:
        with http.ReadingAnswer():
            sealed = entry.get("encrypt_certificate")
            if not isinstance(sealed, Mapping):
                raise MalformedMessage("encrypt_certificate is missing")
            if fields.text(sealed, "algorithm") != "AEAD_AES_256_GCM":
                raise MalformedMessage("an unknown algorithm")
            try:
                plain = signing.decrypt(
                    api_v3_key=self._ours.keys.get("api_v3_key", ""),
                    nonce=fields.text(sealed, "nonce"),
                    associated_data=fields.optional(sealed, "associated_data"),
                    ciphertext=fields.text(sealed, "ciphertext"),
                )
            except signing.DoesNotOpen:
                raise
            except ValueError as error:
                raise MalformedMessage("the sealed certificate is damaged") from error
            try:
                (found,) = certificates.load_all(plain.decode("ascii"))
                certificates.rsa_key(found)
            except (ValueError, rsa.UnusableKey) as error:
                raise MalformedMessage("not one RSA certificate") from error
            if certificates.serial_of(found) != fields.text(entry, "serial_no").upper().zfill(40):
                raise MalformedMessage("serial_no is another one")
        return found

    def _known_and(self, found: Iterable[x509.Certificate]) -> dict[str, signing.PlatformKey]:
        try:
            known = signing.platform_keys(self._ours.keys)
        except rsa.UnusableKey:
            known = {}
        fetched = signing.platform_keys({"platform_certificates": certificates.pem_of(found)})
        return {**known, **fetched}


def _entries(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = message.get("data")
    if not isinstance(data, list) or not data:
        raise MalformedMessage("data is missing")
    if not all(isinstance(entry, Mapping) for entry in data):
        raise MalformedMessage("an entry is no object")
    return data
