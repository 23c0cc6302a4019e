"""Platform certificates and the echo by which clients test their signing."""

from __future__ import annotations

import secrets
from datetime import timedelta

from apps.simulator import keys
from apps.simulator.clock import rfc3339
from apps.simulator.wechatpay import fields
from apps.simulator.wechatpay.endpoint import Answer, Call, api
from apps.simulator.wechatpay.errors import ApiError, param_error


@api("GET")
def certificates(call: Call) -> Answer:
    """GET /v3/certificates: 404 in public-key mode, as new merchants have no certificates."""
    config = call.merchant.config
    if config.get("key_mode", "public_key") == "public_key":
        raise ApiError(
            404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台申请使用微信支付公钥"
        )
    nonce = secrets.token_hex(6)
    created = call.merchant.created_at
    return Answer(
        payload={
            "data": [
                {
                    "serial_no": config["platform_serial_no"],
                    "effective_time": rfc3339(created),
                    "expire_time": rfc3339(created + timedelta(days=5 * 365)),
                    "encrypt_certificate": {
                        "algorithm": "AEAD_AES_256_GCM",
                        "nonce": nonce,
                        "associated_data": "certificate",
                        "ciphertext": keys.aes_gcm_encrypt(
                            config["api_v3_key"],
                            nonce=nonce,
                            associated_data="certificate",
                            plaintext=config["platform_certificate"].encode(),
                        ),
                    },
                }
            ]
        }
    )


@api("POST")
def echo(call: Call) -> Answer:
    """POST /v3/security/echo: says back what was said, if all signatures are right."""
    fields.check(fields.ECHO, call.body)
    sealed = call.body.get("encrypted_echo_message")
    answer = {"echo_message": call.body["echo_message"]}
    if sealed:
        serial = call.request.headers.get("Wechatpay-Serial", "")
        config = call.merchant.config
        by_certificate = serial == config["platform_serial_no"]
        private = "certificate_private_key" if by_certificate else "platform_private_key"
        try:
            keys.rsa_oaep_decrypt(config[private], sealed)
        except ValueError as error:
            raise param_error("/encrypted_echo_message", "解密失败") from error
    if call.body.get("notify_url"):
        fields.check_notify_url(call.body["notify_url"])
    return Answer(payload=answer)
