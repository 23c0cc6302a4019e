"""The desk's first page: the clock, and each platform's merchants with the credentials that its console hands out."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.simulator import books, clock, merchants
from apps.simulator.control import frame
from apps.simulator.control.guard import loopback_only
from apps.simulator.models import Merchant, Platform

#: What a credential is called on the platform's console: (Chinese, English).
CREDENTIAL_NAMES: dict[str, tuple[str, str]] = {
    "merchant_no": ("商户号", "Merchant number"),
    "app_id": ("应用 ID（AppID）", "App ID"),
    "app_secret": ("应用密钥（AppSecret）", "App secret"),
    "serial_no": ("商户证书序列号", "Merchant certificate serial"),
    "private_key": ("商户私钥", "Merchant private key"),
    "api_v3_key": ("APIv3 密钥", "APIv3 key"),
    "api_v2_key": ("APIv2 密钥", "APIv2 key"),
    "public_key_id": ("微信支付公钥 ID", "WeChat Pay public key ID"),
    "public_key": ("平台公钥", "Platform public key"),
    "platform_serial_no": ("平台证书序列号", "Platform certificate serial"),
    "platform_certificate": ("平台证书", "Platform certificate"),
    "key_mode": ("验签方式", "Key mode"),
    "app_public_key": ("应用公钥", "App public key"),
    "alipay_public_key": ("支付宝公钥", "Alipay public key"),
    "app_certificate": ("应用公钥证书", "App certificate"),
    "alipay_certificate": ("支付宝公钥证书", "Alipay certificate"),
    "alipay_root_certificate": ("支付宝根证书", "Alipay root certificate"),
    "certificate": ("商户证书（.pfx，base64）", "Merchant certificate (.pfx, base64)"),
    "certificate_password": ("证书密码", "Certificate password"),
    "root_certificate": ("银联根证书", "UnionPay root certificate"),
    "middle_certificate": ("银联中级证书", "UnionPay middle certificate"),
    "vendor_sn": ("服务商序列号", "Vendor number"),
    "vendor_key": ("服务商密钥", "Vendor key"),
    "activation_code": ("激活码", "Activation code"),
}
#: The ways in which a platform's new merchant may check signatures.
KEY_MODES: dict[str, tuple[tuple[str, str], ...]] = {
    Platform.WECHATPAY: (
        ("public_key", "公钥 public key"),
        ("certificate", "平台证书 certificate"),
        ("both", "切换中 both"),
    ),
    Platform.ALIPAY: (
        ("public_key", "公钥 public key"),
        ("certificate", "公钥证书 certificate"),
    ),
}
#: How far the clock's buttons go, in seconds.
STEPS: tuple[tuple[int, str], ...] = (
    (5 * 60, "+5 分钟 min"),
    (60 * 60, "+1 小时 h"),
    (24 * 60 * 60, "+1 天 day"),
)


def _card(merchant: Merchant) -> dict[str, Any]:
    shown = merchants.credentials_of(merchant)
    rows = [
        (name, *CREDENTIAL_NAMES[name], shown[name])
        for name in CREDENTIAL_NAMES
        if shown.get(name) not in (None, "")
    ]
    return {
        "merchant": merchant,
        "credentials": rows,
        "totals": books.totals_of(merchant),
        "renews": bool(
            merchant.config.get("alipay_certificate")
            or merchant.config.get("key_mode") in ("certificate", "both")
        ),
    }


@loopback_only
@require_GET
def desk(request: HttpRequest) -> HttpResponse:
    """The clock and the merchants, platform by platform."""
    frame.up_to_date()
    sections = [
        {
            "platform": platform,
            "chinese": chinese,
            "english": english,
            "cards": [_card(one) for one in merchants.list_merchants(platform=platform)],
            "key_modes": KEY_MODES.get(platform, ()),
        }
        for platform, (chinese, english) in frame.PLATFORM_NAMES.items()
    ]
    context = {
        "here": "desk",
        "sections": sections,
        "steps": STEPS,
        "said": request.GET.get("said", ""),
    }
    return frame.show(request, "simulator/control.html", context)


@loopback_only
@require_POST
def merchant_add(request: HttpRequest) -> HttpResponse:
    """Open an account."""
    platform = request.POST.get("platform", "")
    modes = [value for value, _ in KEY_MODES.get(platform, ())]
    wanted = request.POST.get("key_mode", "")
    if platform in Platform.values:
        merchants.create_merchant(
            platform=platform,
            name=request.POST.get("name", "").strip() or "模拟商户",
            now=clock.now(),
            key_mode=wanted if wanted in modes else "public_key",
        )
    return frame.back_to(request, "control")


@loopback_only
@require_POST
def merchant_renew(request: HttpRequest) -> HttpResponse:
    """The platform begins to sign with a new certificate."""
    merchant = Merchant.objects.filter(pk=frame.row_id(request, "id")).first()
    try:
        if merchant is not None:
            merchants.renew_certificate(merchant=merchant, now=clock.now())
    except ValueError as error:
        return frame.back_to(request, "control", said=str(error))
    return frame.back_to(request, "control")


@loopback_only
@require_POST
def clock_set(request: HttpRequest) -> HttpResponse:
    """Move the clock."""
    factor = frame.number(request, "factor")
    try:
        clock.set_clock(
            offset_seconds=frame.number(request, "offset_seconds"),
            advance_seconds=frame.number(request, "advance_seconds"),
            factor=None if factor is None or factor < 0 else factor,
        )
    except ValueError as error:
        return frame.back_to(request, "control", said=str(error))
    return frame.back_to(request, "control")


@loopback_only
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The bare address leads to the desk."""
    return HttpResponseRedirect(reverse("control"))
