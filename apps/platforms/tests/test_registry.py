"""The registry: gateways, fields of the connect form, and first words about what was entered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import time_machine
from django.utils import translation

from apps.platforms import registry
from apps.platforms.connectors.unionpay.connector import UnionpayGateway
from apps.platforms.gateway import Capability, Credentials, NotSupported, Platform
from apps.platforms.tests import (
    alipay_server,
    shouqianba_server,
    unionpay_server,
    wechatpay_server,
)
from apps.platforms.tests.wechatpay_server import private_pem, public_pem

CREDENTIALS: dict[Platform, Callable[[], Credentials]] = {
    Platform.WECHATPAY: wechatpay_server.credentials,
    Platform.ALIPAY: alipay_server.credentials,
    Platform.UNIONPAY: unionpay_server.credentials,
    Platform.SHOUQIANBA: lambda: shouqianba_server.credentials(activation_code="79958689"),
}
SECRETS = {
    Platform.UNIONPAY: {"certificate", "certificate_password"},
    Platform.SHOUQIANBA: {"vendor_key", "activation_code"},
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
        assert SECRETS.get(platform, {"private_key"}) <= secret
        assert "merchant_no" not in secret


def test_every_platform_has_a_connector() -> None:
    assert registry.connected_platforms() == tuple(CREDENTIALS) == tuple(Platform)
    with pytest.raises(NotSupported):
        registry.gateway_for(platform="nobody", credentials=alipay_server.credentials())


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


CERTIFICATES = ("app_certificate", "alipay_certificate", "alipay_root_certificate")


class TestAlipayByCertificate:
    """Either Alipay's public key or the three certificates."""

    def wrong(self, **changes: str) -> dict[str, str]:
        good = alipay_server.certified()
        ours = replace(good, keys={**good.keys, **changes})
        # The test certificates' own time.
        with translation.override("en"), time_machine.travel(wechatpay_server.NOW):
            return registry.validate_credentials_shape(Platform.ALIPAY, ours)

    def test_good_entries_pass(self) -> None:
        assert self.wrong() == {}

    def test_a_certificate_without_its_issuers_is_left_to_the_live_check(self) -> None:
        assert self.wrong(alipay_certificate=alipay_server.pem("alipay platform")) == {}

    @pytest.mark.parametrize("name", CERTIFICATES)
    def test_all_three_are_needed(self, name: str) -> None:
        assert self.wrong(**{name: " "}) == {name: "Please fill this in."}

    def test_not_both(self) -> None:
        wrong = self.wrong(alipay_public_key=public_pem("alipay platform"))
        assert list(wrong) == ["alipay_public_key"]
        assert "Leave the other empty" in wrong["alipay_public_key"]

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("private_key", "hello", "cannot be read as a key"),
            ("private_key", private_pem("stranger"), "does not belong"),
            ("app_certificate", "hello", "cannot be read as a certificate"),
            ("app_certificate", private_pem("alipay app"), "a private key"),
            ("app_certificate", public_pem("alipay app"), "a public key"),
            ("app_certificate", alipay_server.pem("alipay platform"), "does not belong"),
            ("alipay_certificate", alipay_server.pem("alipay app", "alipay middle"), "your own"),
            ("alipay_certificate", alipay_server.pem("alipay expired"), "ended on 2026-05-01"),
            (
                "alipay_certificate",
                alipay_server.pem("other chain", "other middle"),
                "do not fit each other",
            ),
            ("alipay_root_certificate", alipay_server.pem("alipay platform"), "alipayRootCert.crt"),
            ("alipay_root_certificate", "hello", "cannot be read as a certificate"),
        ],
    )
    def test_mistakes(self, field: str, value: str, words: str) -> None:
        wrong = self.wrong(**{field: value})
        named = "app_certificate" if words == "does not belong" else field
        assert list(wrong) == [named]
        assert words in wrong[named]


@pytest.mark.parametrize(
    ("ids", "keys", "words"),
    [
        (2, 2, ""),
        (2, 1, "as many"),
        (1, 2, "as many"),
    ],
)
def test_wechatpay_public_keys_while_one_is_changed(
    ids: int, keys: int, words: str, english: None
) -> None:
    good = wechatpay_server.credentials()
    ours = replace(
        good,
        keys={
            **good.keys,
            "public_key_id": " ".join(f"PUB_KEY_ID_011900000{n}" for n in range(ids)),
            "public_key": "".join(public_pem(f"wechat {n}") for n in range(keys)),
        },
    )
    wrong = registry.validate_credentials_shape(Platform.WECHATPAY, ours)
    assert list(wrong) == (["public_key_id"] if words else [])
    assert words in wrong.get("public_key_id", "")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("merchant_no", "77729005811004", "this has 14"),
        ("certificate", "hello", "cannot be read"),
        ("certificate", unionpay_server.pem("merchant"), "cannot be read"),
        ("certificate", unionpay_server.pfx("expired"), "ended on 2026-01-01"),
        ("certificate_password", "111111", "does not open"),
        ("root_certificate", private_pem("x"), "a private key"),
        ("root_certificate", "hello", "cannot be read"),
        ("root_certificate", unionpay_server.pem("middle"), "mixed up"),
        ("middle_certificate", unionpay_server.pem("other middle"), "same package"),
        ("middle_certificate", unionpay_server.pem("root"), "same package"),
        ("middle_certificate", unionpay_server.pem("expired"), "ended on 2026-01-01"),
    ],
)
def test_unionpay_mistakes(field: str, value: str, words: str, english: None) -> None:
    assert_mistake(Platform.UNIONPAY, field, value, words)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("merchant_no", "1680 0023", "letters and digits only"),
        ("app_id", "应用编号", "letters and digits only"),
        ("vendor_sn", "9", "at least four"),
        ("vendor_key", "7d3f 0c2b", "without blanks"),
        ("activation_code", "7995 8689", "no blanks"),
        ("public_key", "hello", "cannot be read"),
        ("public_key", private_pem("x"), "a private key"),
    ],
)
def test_shouqianba_mistakes(field: str, value: str, words: str, english: None) -> None:
    assert_mistake(Platform.SHOUQIANBA, field, value, words)


def test_what_is_entered_once_is_not_asked_for_again() -> None:
    assert registry.once_fields(Platform.SHOUQIANBA) == {"activation_code"}
    held = shouqianba_server.credentials()
    shape = registry.validate_credentials_shape
    assert list(shape(Platform.SHOUQIANBA, held)) == ["activation_code"]
    assert shape(Platform.SHOUQIANBA, held, connecting=False) == {}


def test_an_app_id_is_not_asked_for_where_there_is_none() -> None:
    assert "app_id" not in {field.name for field in registry.credential_fields(Platform.UNIONPAY)}


@pytest.mark.parametrize("cancels", [True, False])
def test_what_was_chosen_for_an_account_reaches_the_connector(cancels: bool) -> None:
    gateway = registry.gateway_for(
        platform=Platform.UNIONPAY,
        credentials=unionpay_server.credentials(),
        options=registry.GatewayOptions(cancels_same_day=cancels),
    )
    assert isinstance(gateway, UnionpayGateway)
    assert gateway._cancels_same_day is cancels


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
