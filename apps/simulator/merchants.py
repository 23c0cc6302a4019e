"""Opening a merchant's account at a simulated platform, with keys as its console would hand them out."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.simulator import keys
from apps.simulator.models import Merchant, Platform

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

#: What a console shows to the merchant, platform by platform; the rest of ``config`` is the platform's.
CREDENTIALS: dict[str, tuple[str, ...]] = {
    Platform.WECHATPAY: (
        "app_secret",
        "serial_no",
        "private_key",
        "api_v3_key",
        "public_key_id",
        "public_key",
        "platform_serial_no",
        "platform_certificate",
        "key_mode",
    ),
    Platform.ALIPAY: ("private_key", "app_public_key", "alipay_public_key"),
}


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def _text(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def create_merchant(
    *, platform: str, name: str, now: datetime, rate_ppm: int = 6000, key_mode: str = "public_key"
) -> Merchant:
    """Open an account. ``rate_ppm`` is the fee in parts per million (6000 = 0.6 %).

    ``key_mode`` is WeChat Pay's: "public_key" (new merchants), "certificate", or "both". Raises
    ValueError for an unknown platform or mode.
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
        return Merchant.objects.create(
            platform=platform,
            merchant_no=f"2088{_digits(12)}",
            app_id=f"2021{_digits(12)}",
            name=name,
            config={"rate_ppm": rate_ppm, **_alipay_config()},
            created_at=now,
        )
    raise ValueError(f"unknown platform {platform!r}")


def _wechatpay_config(now: datetime, key_mode: str) -> dict[str, Any]:
    merchant_key = keys.new_private_key()
    platform_key = keys.new_private_key()
    certificate_key = keys.new_private_key()
    certificate, certificate_serial = keys.self_signed_certificate(
        certificate_key, name="SIMULATOR WeChat Pay", now=now
    )
    return {
        "app_secret": secrets.token_hex(16),
        "serial_no": f"{secrets.randbits(159) | (1 << 158):040X}",
        "private_key": merchant_key,
        "merchant_public_key": keys.public_pem(merchant_key),
        "api_v3_key": _text(32),
        "public_key_id": f"PUB_KEY_ID_0{_digits(30)}",
        "public_key": keys.public_pem(platform_key),
        "platform_private_key": platform_key,
        "platform_serial_no": certificate_serial,
        "platform_certificate": certificate,
        "certificate_private_key": certificate_key,
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
    }
