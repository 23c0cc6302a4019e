"""WeChat Pay's signatures and sealed resources, against what the platform publishes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.platforms import rsa
from apps.platforms.connectors.wechatpay import signing
from apps.platforms.tests.vectors import vector
from apps.platforms.tests.wechatpay_server import key


class TestPublished:
    def test_a_request(self) -> None:
        v = vector("wechatpay request signature, POST with body")
        message = signing.request_message(
            method=v["method"],
            target=v["url_path"],
            timestamp=v["timestamp"],
            nonce=v["nonce"],
            body=v["body"],
        )
        public = rsa.load_public_key(v["public_key"])
        assert rsa.verifies(public, message, v["signature"])
        assert not rsa.verifies(public, message + b"\n", v["signature"])

    def test_pay_sign(self) -> None:
        v = vector("wechatpay JSAPI paySign")
        message = signing.pay_message(
            app_id=v["appId"],
            timestamp=v["timeStamp"],
            nonce=v["nonceStr"],
            package=v["package"],
        )
        assert rsa.verifies(rsa.load_public_key(v["public_key"]), message, v["signature"])

    def test_an_answer(self) -> None:
        v = vector("wechatpay response verification")
        headers = {
            "wechatpay-timestamp": v["timestamp"],
            "wechatpay-nonce": v["nonce"],
            "wechatpay-serial": "PUB_KEY_ID_1",
            "wechatpay-signature": v["signature"],
        }
        keys = signing.platform_keys(
            {"public_key_id": "PUB_KEY_ID_1", "public_key": v["public_key"]}
        )
        now = datetime.fromtimestamp(int(v["timestamp"]), UTC)
        body = v["body"].encode()
        signing.verify(headers=headers, body=body, keys=keys, now=now)
        with pytest.raises(signing.SignatureRefused, match="wrong"):
            signing.verify(headers=headers, body=body + b" ", keys=keys, now=now)
        with pytest.raises(signing.SignatureRefused, match="timestamp"):
            signing.verify(headers=headers, body=body, keys=keys, now=now + timedelta(minutes=5))

    def test_a_sealed_resource(self) -> None:
        v = vector("wechatpay AES-256-GCM")
        plain = signing.decrypt(
            api_v3_key=v["api_v3_key"],
            nonce=v["nonce"],
            associated_data=v["associated_data"],
            ciphertext=v["ciphertext"],
        )
        assert plain.decode() == v["plaintext"]
        with pytest.raises(ValueError, match="does not open"):
            signing.decrypt(
                api_v3_key=v["api_v3_key"],
                nonce=v["nonce"],
                associated_data="",
                ciphertext=v["ciphertext"],
            )


# The first example makes the key.
@settings(deadline=None)
@given(body=st.binary(max_size=200), place=st.integers(0, 199), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(body: bytes, place: int, bit: int) -> None:
    message = signing.answer_message(timestamp="1", nonce="n", body=body)
    signature = rsa.sign(key("hypothesis"), message)
    public = key("hypothesis").public_key()
    assert rsa.verifies(public, message, signature)
    changed = bytearray(message)
    changed[place % len(changed)] ^= 1 << bit
    assert not rsa.verifies(public, bytes(changed), signature)


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_as_signature_is_refused_quietly(text: str) -> None:
    assert not rsa.verifies(key("hypothesis").public_key(), b"message", text)
    noise = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    assert not rsa.verifies(key("hypothesis").public_key(), b"message", noise)
