"""What can be wrong with the entries for WeChat Pay."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import gettext as _

from apps.platforms import certificates, rsa
from apps.platforms.connectors.wechatpay import signing as wechatpay
from apps.platforms.registry.shapes.words import key_shapes, key_words


def wechatpay_shape(values: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the entries, by field; also with those that are empty."""
    wrong: dict[str, str] = {}
    if not re.fullmatch(r"\d{8,10}", values["merchant_no"]):
        wrong["merchant_no"] = _("A merchant number has 8 to 10 digits and nothing else.")
    if not re.fullmatch(r"wx[0-9a-zA-Z]{16}", values["app_id"]):
        wrong["app_id"] = _("An AppID is wx followed by 16 letters and digits.")
    if not re.fullmatch(r"[0-9a-fA-F]{40}", values.get("serial_no", "")):
        wrong["serial_no"] = _(
            "A certificate's serial number has 40 characters, digits and the letters A to F."
        )
    key = values.get("api_v3_key", "")
    if len(key) != 32 or not key.isascii():
        wrong["api_v3_key"] = _("An APIv3 key has exactly 32 characters; this has %(count)d.") % {
            "count": len(key)
        }
    ids = wechatpay.public_key_ids(values)
    if not ids or not all(re.fullmatch(r"PUB_KEY_ID_\w{10,60}", one) for one in ids):
        wrong["public_key_id"] = _(
            "A public key ID begins with PUB_KEY_ID_ and has only digits after it."
        )
    elif values.get("public_key") and len(ids) != len(wechatpay.public_keys(values)):
        wrong["public_key_id"] = _(
            "There must be as many public key IDs as public keys, in the same order."
        )
    key_shapes(
        values,
        public="public_key",
        own=_(
            "This is your own public key. Copy the WeChat Pay public key (pub_key.pem) from the merchant platform."
        ),
        wrong=wrong,
    )
    if values.get("platform_certificates"):
        try:
            found = certificates.load_all(values["platform_certificates"])
            serials = [certificates.serial_of(one) for one in found]
            for one in found:
                certificates.rsa_key(one)
        except rsa.UnusableKey as error:
            wrong["platform_certificates"] = key_words(error.reason)
        else:
            if values.get("serial_no", "").upper() in serials:
                wrong["platform_certificates"] = _(
                    "This is your own certificate (apiclient_cert.pem). WeChat Pay's platform certificate is needed."
                )
    return wrong
