"""Alipay's certificate mode: serial numbers, who signs what, and a new certificate in mid-flight."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from apps.simulator import clock, faults, merchants
from apps.simulator.alipay import certificates
from apps.simulator.models import Merchant
from apps.simulator.tests.alipay_client import CertificateShop, chain, serial_number

pytestmark = pytest.mark.django_db
QUERY = "alipay.trade.query"
NODE = "alipay_trade_query_response"


def opened(name: str = "一号店") -> Merchant:
    return merchants.create_merchant(
        platform="alipay", name=name, now=clock.now(), key_mode="certificate"
    )


@pytest.fixture
def merchant() -> Merchant:
    return opened()


@pytest.fixture
def shop(merchant: Merchant) -> CertificateShop:
    return CertificateShop(merchants.credentials_of(merchant))


def test_the_console_hands_out_three_files(merchant: Merchant, shop: CertificateShop) -> None:
    shown = shop.credentials
    assert "alipay_public_key" not in shown
    assert "PRIVATE" not in "".join(shown[name] for name in shown if "certificate" in name)
    leaf, middle = shop.alipay
    root = next(one for one in shop.roots if isinstance(one.public_key(), rsa.RSAPublicKey))
    leaf.verify_directly_issued_by(middle)
    middle.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    shop.app.verify_directly_issued_by(middle)
    assert len(shop.roots) == 2  # one of them elliptic, and not counted
    assert "_" not in shop.root_serial()


def test_serial_numbers_agree_with_another_implementation(shop: CertificateShop) -> None:
    assert certificates.serial_of(shop.credentials["app_certificate"]) == serial_number(shop.app)
    root_file = shop.credentials["alipay_root_certificate"]
    assert certificates.root_serial_of(root_file) == shop.root_serial()


def test_answers_name_the_certificate_and_are_signed_by_it(shop: CertificateShop) -> None:
    answer = shop.send(QUERY, {"out_trade_no": "P1"})
    assert list(answer) == [NODE, "alipay_cert_sn", "sign"]
    assert answer["alipay_cert_sn"] == serial_number(shop.alipay[0])
    shop.signed_by(answer, shop.alipay[0])


@pytest.mark.parametrize(
    ("change", "code", "sub_code"),
    [
        ({"app_cert_sn": ""}, "40001", "isv.missing-app-cert-sn"),
        ({"app_cert_sn": "0" * 32}, "40002", "isv.invalid-app-cert-sn"),
        ({"alipay_root_cert_sn": ""}, "40001", "isv.missing-alipay-root-cert-sn"),
        ({"alipay_root_cert_sn": "0" * 32}, "40002", "isv.invalid-alipay-root-cert-sn"),
    ],
)
def test_both_serial_numbers_are_checked(
    shop: CertificateShop, change: dict[str, str], code: str, sub_code: str
) -> None:
    answer = shop.send(QUERY, {"out_trade_no": "P1"}, **change)
    assert set(answer) == {"error_response"}
    assert (answer["error_response"]["code"], answer["error_response"]["sub_code"]) == (
        code,
        sub_code,
    )


def test_all_merchants_meet_one_authority(shop: CertificateShop) -> None:
    other = CertificateShop(merchants.credentials_of(opened("二号店")))
    for name in ("alipay_certificate", "alipay_root_certificate"):
        assert other.credentials[name] == shop.credentials[name]
    assert other.credentials["app_certificate"] != shop.credentials["app_certificate"]
    key_mode = merchants.create_merchant(platform="alipay", name="三号店", now=clock.now())
    assert "alipay_certificate" not in merchants.credentials_of(key_mode)


def test_a_new_certificate_can_be_fetched_and_the_old_one_too(
    merchant: Merchant, shop: CertificateShop
) -> None:
    other = opened("二号店")
    before = shop.alipay[0]
    answer = Client().post(
        "/control/api/merchants/renew",
        {"platform": "alipay", "merchant_no": merchant.merchant_no},
        content_type="application/json",
    )
    assert chain(answer.json()["alipay_certificate"])[0] != before
    told = shop.send(QUERY, {"out_trade_no": "P1"})
    assert told["alipay_cert_sn"] != serial_number(before)
    with pytest.raises(InvalidSignature):
        shop.signed_by(told, before)
    leaf, middle = shop.download(told["alipay_cert_sn"])
    leaf.verify_directly_issued_by(middle)
    assert middle == shop.alipay[1]
    told = shop.send(QUERY, {"out_trade_no": "P1"})
    shop.signed_by(told, leaf)
    assert shop.download(serial_number(before))[0] == before
    fresh = CertificateShop(merchants.credentials_of(Merchant.objects.get(pk=other.pk)))
    assert fresh.alipay[0] == leaf


def test_unknown_serial_numbers_have_no_certificate(shop: CertificateShop) -> None:
    answer = shop.send("alipay.open.app.alipaycert.download", {"alipay_cert_sn": "0" * 32})
    node = answer["alipay_open_app_alipaycert_download_response"]
    assert (node["code"], "alipay_cert_content" in node) == ("40004", False)


@pytest.mark.parametrize("fault", ["foreign_certificate", "expired_certificate"])
def test_certificates_that_must_not_be_trusted(shop: CertificateShop, fault: str) -> None:
    faults.add_fault(key=fault, platform="alipay", uses=1)
    told = shop.send(QUERY, {"out_trade_no": "P1"})
    leaf, middle = shop.download(told["alipay_cert_sn"])
    leaf.verify_directly_issued_by(middle)
    shop_middle = shop.alipay[1]
    if fault == "foreign_certificate":
        assert (middle.subject, middle == shop_middle) == (shop_middle.subject, False)
        with pytest.raises(InvalidSignature):
            leaf.verify_directly_issued_by(shop_middle)
    else:
        leaf.verify_directly_issued_by(shop_middle)
        assert leaf.not_valid_after_utc < clock.real_now()


def test_a_strangers_signature(shop: CertificateShop) -> None:
    faults.add_fault(key="wrong_signature", platform="alipay", uses=1)
    told = shop.send(QUERY, {"out_trade_no": "P1"})
    assert told["alipay_cert_sn"] == serial_number(shop.alipay[0])
    with pytest.raises(InvalidSignature):
        shop.signed_by(told, shop.alipay[0])


@pytest.mark.parametrize(
    ("platform", "key_mode"),
    [("alipay", "public_key"), ("wechatpay", "public_key"), ("shouqianba", "public_key")],
)
def test_nothing_to_renew(platform: str, key_mode: str) -> None:
    made = merchants.create_merchant(
        platform=platform, name="x", now=clock.now(), key_mode=key_mode
    )
    body: dict[str, Any] = {"platform": platform, "merchant_no": made.merchant_no}
    answer = Client().post("/control/api/merchants/renew", body, content_type="application/json")
    assert answer.status_code == 400
    with pytest.raises(ValueError, match="key_mode"):
        merchants.create_merchant(platform="alipay", name="x", now=clock.now(), key_mode="both")
