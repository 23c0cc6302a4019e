"""Signatures and ciphers against other people's code and published values."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from apps.simulator import clock, keys
from apps.simulator.wechatpay import signing

VECTORS = os.environ.get("PORTAL_VECTORS", "")


@pytest.fixture(scope="module")
def private_pem() -> str:
    return keys.new_private_key()


def test_what_we_sign_openssl_verifies(private_pem: str, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("SKIPPED LOUDLY: no openssl here, so no independent check of RSA signatures")
    (tmp_path / "public.pem").write_text(keys.public_pem(private_pem))
    (tmp_path / "message").write_bytes("POST\n/v3/测试\n".encode())
    subprocess.run(
        [openssl, "base64", "-d", "-A", "-out", str(tmp_path / "signature")],
        input=keys.rsa_sign(private_pem, "POST\n/v3/测试\n".encode()).encode(),
        check=True,
    )
    done = subprocess.run(
        [
            openssl,
            "dgst",
            "-sha256",
            "-verify",
            str(tmp_path / "public.pem"),
            "-signature",
            str(tmp_path / "signature"),
            str(tmp_path / "message"),
        ],
        capture_output=True,
        check=False,
    )
    assert done.stdout.strip() == b"Verified OK"


def test_what_openssl_signs_we_verify(private_pem: str, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("SKIPPED LOUDLY: no openssl here, so no independent check of RSA signatures")
    (tmp_path / "private.pem").write_text(private_pem)
    raw = subprocess.run(
        [openssl, "dgst", "-sha256", "-sign", str(tmp_path / "private.pem")],
        input=b"message",
        capture_output=True,
        check=True,
    ).stdout
    signature = subprocess.run(
        [openssl, "base64", "-A"], input=raw, capture_output=True, check=True
    ).stdout.decode()
    public = keys.public_pem(private_pem)
    assert keys.rsa_verify(public, b"message", signature)
    assert not keys.rsa_verify(public, b"massage", signature)
    assert not keys.rsa_verify(keys.public_pem(keys.stranger_key()), b"message", signature)


@pytest.mark.parametrize("signature", ["", "not base64!", "WECHATPAY/SIGNTEST/abc", "QUJD"])
def test_malformed_signatures_are_just_wrong(private_pem: str, signature: str) -> None:
    assert not keys.rsa_verify(keys.public_pem(private_pem), b"message", signature)


def test_aes_gcm_round_trip_and_tampering() -> None:
    key = "0123456789abcdef0123456789ABCDEF"
    sealed = keys.aes_gcm_encrypt(key, nonce="123456789012", associated_data="", plaintext=b"x")
    opened = keys.aes_gcm_decrypt(key, nonce="123456789012", associated_data="", ciphertext=sealed)
    assert opened == b"x"
    with pytest.raises(InvalidTag):
        keys.aes_gcm_decrypt(
            key, nonce="123456789012", associated_data="transaction", ciphertext=sealed
        )


def test_a_certificate_has_its_serial(private_pem: str) -> None:
    pem, serial = keys.self_signed_certificate(private_pem, name="x", now=clock.real_now())
    assert pem.startswith("-----BEGIN CERTIFICATE-----")
    assert len(serial) == 40
    assert serial == serial.upper()


def _vectors() -> dict[str, dict[str, Any]]:
    if not VECTORS or not Path(VECTORS).is_file():
        pytest.skip("SKIPPED LOUDLY: PORTAL_VECTORS names no file of published vectors")
    found = json.loads(Path(VECTORS).read_text(encoding="utf-8"))["vectors"]
    return {vector["name"]: vector for vector in found}


def test_published_request_signature() -> None:
    vector = _vectors()["wechatpay request signature, POST with body"]
    message = signing.request_message(
        method=vector["method"],
        target=vector["url_path"],
        timestamp=vector["timestamp"],
        nonce=vector["nonce"],
        body=vector["body"].encode(),
    )
    assert keys.rsa_verify(vector["public_key"], message, vector["signature"])


def test_published_pay_sign() -> None:
    vector = _vectors()["wechatpay JSAPI paySign"]
    message = signing.pay_sign_message(
        app_id=vector["appId"],
        timestamp=vector["timeStamp"],
        nonce=vector["nonceStr"],
        package=vector["package"],
    )
    assert keys.rsa_verify(vector["public_key"], message, vector["signature"])


def test_published_response_signature() -> None:
    vector = _vectors()["wechatpay response verification"]
    message = signing.response_message(
        timestamp=vector["timestamp"], nonce=vector["nonce"], body=vector["body"].encode()
    )
    assert keys.rsa_verify(vector["public_key"], message, vector["signature"])


def test_published_aes_gcm() -> None:
    vector = _vectors()["wechatpay AES-256-GCM"]
    names = {"nonce": vector["nonce"], "associated_data": vector["associated_data"]}
    opened = keys.aes_gcm_decrypt(vector["api_v3_key"], ciphertext=vector["ciphertext"], **names)
    assert opened.decode() == vector["plaintext"]
    sealed = keys.aes_gcm_encrypt(
        vector["api_v3_key"], plaintext=vector["plaintext"].encode(), **names
    )
    assert sealed == vector["ciphertext"]
