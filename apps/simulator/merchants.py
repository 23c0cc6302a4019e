"""Opening a merchant's account at a simulated platform, with keys as its console would hand them out."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.simulator import keys
from apps.simulator.alipay import certificates as alipay_certificates
from apps.simulator.models import Merchant, Platform
from apps.simulator.shouqianba import terminals
from apps.simulator.unionpay import certificates
from apps.simulator.wechatpay import certificates as platform_certificates

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

#: What a console shows to the merchant, platform by platform; the rest of ``config`` is the platform's.
CREDENTIALS: dict[str, tuple[str, ...]] = {
    Platform.WECHATPAY: (
        "app_secret",
        "serial_no",
        "private_key",
        "api_v3_key",
        "api_v2_key",
        "public_key_id",
        "public_key",
        "platform_serial_no",
        "platform_certificate",
        "key_mode",
    ),
    Platform.ALIPAY: (
        "private_key",
        "app_public_key",
        "alipay_public_key",
        "app_certificate",
        "alipay_certificate",
        "alipay_root_certificate",
    ),
    Platform.UNIONPAY: (
        "certificate",
        "certificate_password",
        "root_certificate",
        "middle_certificate",
    ),
    Platform.SHOUQIANBA: ("vendor_sn", "vendor_key", "public_key"),
}
#: So many devices can be activated with the code that comes with a new Shouqianba merchant.
ACTIVATIONS = 20


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def _text(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def create_merchant(
    *, platform: str, name: str, now: datetime, rate_ppm: int = 6000, key_mode: str = "public_key"
) -> Merchant:
    """Open an account. ``rate_ppm`` is the fee in parts per million (6000 = 0.6 %).

    ``key_mode`` is WeChat Pay's: "public_key" (new merchants), "certificate", or "both"; and Alipay's: "public_key" or
    "certificate". Raises ValueError for an unknown platform or mode.
    """
    if platform == Platform.WECHATPAY:
        if key_mode not in ("public_key", "certificate", "both"):
            raise ValueError("key_mode must be public_key, certificate or both")
        return Merchant.objects.create(
            platform=platform,
            merchant_no=f"16{_digits(8)}",
            app_id=f"wx{secrets.token_hex(8)}",
            name=name,
            config={"rate_ppm": rate_ppm, **_wechatpay_config(now, key_mode)},
            created_at=now,
        )
    if platform == Platform.ALIPAY:
        if key_mode not in ("public_key", "certificate"):
            raise ValueError("key_mode must be public_key or certificate")
        app_id = f"2021{_digits(12)}"
        config = (
            _alipay_certificates(app_id, now) if key_mode == "certificate" else _alipay_config()
        )
        return Merchant.objects.create(
            platform=platform,
            merchant_no=f"2088{_digits(12)}",
            app_id=app_id,
            name=name,
            config={"rate_ppm": rate_ppm, **config},
            created_at=now,
        )
    if platform == Platform.UNIONPAY:
        # 898, a region, the restaurants' category and a serial number, as acquirers make them.
        merchant_no = f"898{_digits(4)}5812{_digits(4)}"
        return Merchant.objects.create(
            platform=platform,
            merchant_no=merchant_no,
            app_id="",
            name=name,
            config={"rate_ppm": rate_ppm, **_unionpay_config(merchant_no, now)},
            created_at=now,
        )
    if platform == Platform.SHOUQIANBA:
        merchant = Merchant.objects.create(
            platform=platform,
            merchant_no=f"1680{_digits(11)}",
            app_id=f"2018{_digits(12)}",
            name=name,
            config={"rate_ppm": rate_ppm, **_shouqianba_config()},
            created_at=now,
        )
        terminals.new_activation_code(merchant=merchant, now=now, uses=ACTIVATIONS)
        return merchant
    raise ValueError(f"unknown platform {platform!r}")


def _wechatpay_config(now: datetime, key_mode: str) -> dict[str, Any]:
    merchant_key = keys.new_private_key()
    platform_key = keys.new_private_key()
    return {
        "app_secret": secrets.token_hex(16),
        "serial_no": f"{secrets.randbits(159) | (1 << 158):040X}",
        "private_key": merchant_key,
        "merchant_public_key": keys.public_pem(merchant_key),
        "api_v3_key": _text(32),
        "api_v2_key": _text(32),
        "public_key_id": f"PUB_KEY_ID_0{_digits(30)}",
        "public_key": keys.public_pem(platform_key),
        "platform_private_key": platform_key,
        **platform_certificates.new_certificate(now=now),
        "key_mode": key_mode,
    }


def _alipay_config() -> dict[str, Any]:
    app_key = keys.new_private_key()
    platform_key = keys.new_private_key()
    return {
        "private_key": app_key,
        "app_public_key": keys.public_pem(app_key),
        "alipay_public_key": keys.public_pem(platform_key),
        "platform_private_key": platform_key,
    }


def _alipay_certificates(app_id: str, now: datetime) -> dict[str, Any]:
    """Certificate mode. All merchants meet the same authority: the first one founds it, the others copy it."""
    first = next(
        (
            one
            for one in list_merchants(platform=Platform.ALIPAY)
            if alipay_certificates.in_use(one.config)
        ),
        None,
    )
    authority = (
        {name: first.config[name] for name in alipay_certificates.AUTHORITY}
        if first
        else alipay_certificates.new_authority(now=now)
    )
    app_key = keys.new_private_key()
    return {
        **authority,
        "private_key": app_key,
        "app_public_key": keys.public_pem(app_key),
        "app_certificate": alipay_certificates.app_certificate(
            authority, app_key=app_key, app_id=app_id, now=now
        ),
    }


def renew_certificate(*, merchant: Merchant, now: datetime) -> Merchant:
    """The platform begins to sign with a new certificate; the one so far stays good (WeChat Pay, Alipay).

    At Alipay all merchants meet the same platform, so all of them meet the new one. Raises ValueError without certificates.
    """
    config = merchant.config
    if merchant.platform == Platform.WECHATPAY and config.get("key_mode") != "public_key":
        merchant.config = platform_certificates.renewed(
            config, created_at=merchant.created_at, now=now
        )
        merchant.save(update_fields=["config"])
        return merchant
    if merchant.platform == Platform.ALIPAY and alipay_certificates.in_use(config):
        fresh = alipay_certificates.renewed(config, now=now)
        changes = {name: fresh[name] for name in alipay_certificates.AUTHORITY}
        for one in list_merchants(platform=Platform.ALIPAY):
            if alipay_certificates.in_use(one.config):
                one.config = {**one.config, **changes}
                one.save(update_fields=["config"])
        merchant.refresh_from_db()
        return merchant
    raise ValueError("this merchant has no platform certificate to renew")


def _unionpay_config(merchant_no: str, now: datetime) -> dict[str, Any]:
    """All merchants meet the same platform: the first one founds its authority, the others copy it."""
    first = Merchant.objects.filter(platform=Platform.UNIONPAY).order_by("pk").first()
    authority = (
        {name: first.config[name] for name in certificates.AUTHORITY}
        if first
        else certificates.new_authority(now=now)
    )
    return {
        **authority,
        **certificates.new_merchant_certificate(
            authority=authority, merchant_no=merchant_no, now=now
        ),
    }


def _shouqianba_config() -> dict[str, Any]:
    platform_key = keys.new_private_key()
    return {
        "vendor_sn": f"9180{_digits(8)}",
        "vendor_key": secrets.token_hex(16),
        "public_key": keys.public_pem(platform_key),
        "platform_private_key": platform_key,
        "store_id": str(uuid.uuid4()),
        "store_no": "S0001",
    }


def list_merchants(*, platform: str = "") -> QuerySet[Merchant]:
    """All merchants, oldest first."""
    merchants = Merchant.objects.order_by("pk")
    return merchants.filter(platform=platform) if platform else merchants


def credentials_of(merchant: Merchant) -> dict[str, Any]:
    """What the console shows: numbers and test keys."""
    shown = {
        name: merchant.config[name]
        for name in CREDENTIALS.get(merchant.platform, ())
        if name in merchant.config
    }
    return {
        "platform": merchant.platform,
        "merchant_no": merchant.merchant_no,
        "app_id": merchant.app_id,
        "name": merchant.name,
        "rate_ppm": merchant.rate_ppm,
        **shown,
        **_activation_code(merchant),
    }


def _activation_code(merchant: Merchant) -> dict[str, str]:
    if merchant.platform != Platform.SHOUQIANBA:
        return {}
    return {"activation_code": terminals.newest_activation_code(merchant)}
