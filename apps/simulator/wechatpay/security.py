"""Platform certificates and the echo by which clients test their signing."""

from __future__ import annotations

import secrets
from typing import Any

from apps.simulator import keys
from apps.simulator.clock import rfc3339
from apps.simulator.wechatpay import fields
from apps.simulator.wechatpay.certificates import PlatformCertificate, certificates_of
from apps.simulator.wechatpay.endpoint import Answer, Call, api
from apps.simulator.wechatpay.errors import ApiError


@api("GET")
def certificates(call: Call) -> Answer:
    """GET /v3/certificates: all that are good; 404 in public-key mode, as new merchants have none.

    The other failure that is documented of that mode, 500 SYSTEM_ERROR, is the fault http_500 for this path.
    """
    merchant = call.merchant
    config = merchant.config
    if config.get("key_mode", "public_key") == "public_key":
        raise ApiError(
            404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台申请使用微信支付公钥"
        )
    good = certificates_of(config, created_at=merchant.created_at)
    return Answer(payload={"data": [_sealed(one, config["api_v3_key"]) for one in good]})


def _sealed(one: PlatformCertificate, api_v3_key: str) -> dict[str, Any]:
    nonce = secrets.token_hex(6)
    return {
        "serial_no": one.serial_no,
        "effective_time": rfc3339(one.made_at),
        "expire_time": rfc3339(one.ends_at),
        "encrypt_certificate": {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": "certificate",
            "ciphertext": keys.aes_gcm_encrypt(
                api_v3_key,
                nonce=nonce,
                associated_data="certificate",
                plaintext=one.certificate.encode(),
            ),
        },
    }


@api("POST")
def echo(call: Call) -> Answer:
    """POST /v3/security/echo: says back what was said, if all signatures are right."""
    fields.check(fields.ECHO, call.body)
    sealed = call.body.get("encrypted_echo_message")
    if sealed:
        call.opened("/encrypted_echo_message", sealed)
    if call.body.get("notify_url"):
        fields.check_notify_url(call.body["notify_url"])
    return Answer(payload={"echo_message": call.body["echo_message"]})
