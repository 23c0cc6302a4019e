"""The registry: gateways, fields of the connect form, and first words about what was entered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.utils import translation

from apps.platforms import registry
from apps.platforms.gateway import Capability, Credentials, NotSupported, Platform
from apps.platforms.tests import alipay_server, wechatpay_server
from apps.platforms.tests.wechatpay_server import private_pem, public_pem

CREDENTIALS = {
    Platform.WECHATPAY: wechatpay_server.credentials,
    Platform.ALIPAY: alipay_server.credentials,
}


@pytest.mark.parametrize("platform", CREDENTIALS)
class TestEachPlatform:
    def test_a_gateway_is_built(self, platform: Platform) -> None:
        gateway = registry.gateway_for(platform=platform.value, credentials=CREDENTIALS[platform]())
        assert gateway.platform is platform
        assert gateway.capabilities == registry.capabilities_of(platform)
        assert Capability.REFUND in gateway.capabilities

    def test_good_entries_pass(self, platform: Platform) -> None:
        assert registry.validate_credentials_shape(platform, CREDENTIALS[platform]()) == {}

    def test_empty_entries_are_named(self, platform: Platform) -> None:
        empty = Credentials(app_id="", merchant_no=" ", keys={})
        required = {field.name for field in registry.credential_fields(platform) if field.required}
        assert set(registry.validate_credentials_shape(platform, empty)) == required

    def test_private_keys_are_secret(self, platform: Platform) -> None:
        secret = {field.name for field in registry.credential_fields(platform) if field.secret}
        assert "private_key" in secret
        assert "merchant_no" not in secret


def test_the_platforms_without_connector() -> None:
    assert registry.connected_platforms() == (Platform.WECHATPAY, Platform.ALIPAY)
    assert registry.capabilities_of("unionpay") == frozenset()
    for name in ("unionpay", "nobody"):
        with pytest.raises(NotSupported):
            registry.gateway_for(platform=name, credentials=alipay_server.credentials())


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("merchant_no", "19000001o9", "8 to 10 digits"),
        ("app_id", "gh_1a2b3c4d5e6f", "wx followed by"),
        ("serial_no", "5157F09E", "40 characters"),
        ("api_v3_key", "short", "this has 5"),
        ("public_key_id", "0119000001", "PUB_KEY_ID_"),
        ("private_key", public_pem("wechat merchant"), "a public key"),
        (
            "private_key",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "cannot be read",
        ),
        ("public_key", private_pem("wechat platform"), "a private key"),
        ("public_key", public_pem("wechat merchant"), "your own public key"),
        (
            "public_key",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "a certificate",
        ),
        ("platform_certificates", "x", "cannot be read"),
    ],
)
def test_wechatpay_mistakes(field: str, value: str, words: str, english: None) -> None:
    assert_mistake(Platform.WECHATPAY, field, value, words)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("merchant_no", "shop@example.com", "begins with 2088"),
        ("app_id", "2021", "16 digits"),
        ("app_id", "2088123456789012", "This is the PID"),
        ("alipay_public_key", public_pem("alipay app"), "application public key"),
        ("private_key", public_pem("alipay app"), "a public key"),
    ],
)
def test_alipay_mistakes(field: str, value: str, words: str, english: None) -> None:
    assert_mistake(Platform.ALIPAY, field, value, words)


@pytest.fixture
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


def assert_mistake(platform: Platform, field: str, value: str, words: str) -> None:
    good = CREDENTIALS[platform]()
    if field in {"app_id", "merchant_no"}:
        ours = replace(good, **{field: value})  # type: ignore[arg-type]
    else:
        ours = replace(good, keys={**good.keys, field: value})
    wrong = registry.validate_credentials_shape(platform, ours)
    assert list(wrong) == [field]
    assert words in wrong[field]


def test_platform_certificates_stand_in_for_the_public_key(wechat_certificate: str) -> None:
    good = wechatpay_server.credentials()
    keys = {name: value for name, value in good.keys.items() if not name.startswith("public_key")}
    ours = replace(good, keys={**keys, "platform_certificates": wechat_certificate})
    assert registry.validate_credentials_shape(Platform.WECHATPAY, ours) == {}


@pytest.fixture
def wechat_certificate() -> str:
    return wechatpay_server.certificate("wechat certificate")[0]
