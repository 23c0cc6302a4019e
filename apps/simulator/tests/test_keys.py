"""Signatures and ciphers against other people's code and published values."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from apps.simulator import clock, keys
from apps.simulator.tests.vectors import vector
from apps.simulator.wechatpay import signing


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


def test_published_request_signature() -> None:
    published = vector("wechatpay request signature, POST with body")
    message = signing.request_message(
        method=published["method"],
        target=published["url_path"],
        timestamp=published["timestamp"],
        nonce=published["nonce"],
        body=published["body"].encode(),
    )
    assert keys.rsa_verify(published["public_key"], message, published["signature"])


def test_published_pay_sign() -> None:
    published = vector("wechatpay JSAPI paySign")
    message = signing.pay_sign_message(
        app_id=published["appId"],
        timestamp=published["timeStamp"],
        nonce=published["nonceStr"],
        package=published["package"],
    )
    assert keys.rsa_verify(published["public_key"], message, published["signature"])


def test_published_response_signature() -> None:
    published = vector("wechatpay response verification")
    message = signing.response_message(
        timestamp=published["timestamp"], nonce=published["nonce"], body=published["body"].encode()
    )
    assert keys.rsa_verify(published["public_key"], message, published["signature"])


def test_published_aes_gcm() -> None:
    published = vector("wechatpay AES-256-GCM")
    names = {"nonce": published["nonce"], "associated_data": published["associated_data"]}
    opened = keys.aes_gcm_decrypt(
        published["api_v3_key"], ciphertext=published["ciphertext"], **names
    )
    assert opened.decode() == published["plaintext"]
    sealed = keys.aes_gcm_encrypt(
        published["api_v3_key"], plaintext=published["plaintext"].encode(), **names
    )
    assert sealed == published["ciphertext"]
