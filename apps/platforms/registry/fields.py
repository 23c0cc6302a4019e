"""What a merchant must enter to connect a platform, and which entries stand in for others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from apps.platforms.gateway import Platform

#: The entry of the connect form that turns into a terminal, where the platform has terminals.
ACTIVATION_CODE = "activation_code"
#: An application at Alipay signs by one of two ways: by public key, or by these three certificates.
ALIPAY_KEY = "alipay_public_key"
ALIPAY_CERTIFICATES = ("app_certificate", "alipay_certificate", "alipay_root_certificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialField:
    """One thing that the connect form asks for. ``secret``: never shown again once stored.

    ``tried`` is False for what no call to the platform proves beforehand; the first notification does. ``file``: what it
    usually comes in is a file with one of these endings (``".pfx,.p12"``), so the form takes the file as well. ``once``:
    it is used up by connecting and never stored. ``way``: the heading of the one of several ways that it belongs to, of
    which a merchant takes one.
    """

    name: str
    label: Promise
    help: Promise
    secret: bool = False
    multiline: bool = False
    required: bool = True
    tried: bool = True
    file: str = ""
    once: bool = False
    way: Promise | None = None


_BY_KEY = gettext_lazy("If the application signs by public key")
_BY_CERTIFICATE = gettext_lazy("If the application signs by certificates")
_FIELDS: dict[Platform, tuple[CredentialField, ...]] = {
    Platform.WECHATPAY: (
        CredentialField(
            name="merchant_no",
            label=gettext_lazy("Merchant number (mchid)"),
            help=gettext_lazy(
                "10 digits, at the top of the WeChat Pay merchant platform under Account center, Merchant information."
            ),
        ),
        CredentialField(
            name="app_id",
            label=gettext_lazy("AppID of the service account"),
            help=gettext_lazy(
                "Begins with wx. The service account must be linked to the merchant number under Product center, AppID account management."
            ),
        ),
        CredentialField(
            name="serial_no",
            label=gettext_lazy("Serial number of the merchant API certificate"),
            help=gettext_lazy(
                "40 letters and digits, under Account center, API security, Merchant API certificate, Manage certificate."
            ),
        ),
        CredentialField(
            name="private_key",
            label=gettext_lazy("Merchant API private key"),
            help=gettext_lazy("The whole content of the file apiclient_key.pem."),
            secret=True,
            multiline=True,
        ),
        CredentialField(
            name="api_v3_key",
            label=gettext_lazy("APIv3 key"),
            help=gettext_lazy(
                "The 32 characters that you set under Account center, API security, APIv3 key. It cannot be tried beforehand: the first notification proves it. Copy it with care, since with a wrong one no notification can be read."
            ),
            secret=True,
            tried=False,
        ),
        CredentialField(
            name="public_key_id",
            label=gettext_lazy("WeChat Pay public key ID"),
            help=gettext_lazy(
                "Begins with PUB_KEY_ID_, under Account center, API security, WeChat Pay public key."
            ),
        ),
        CredentialField(
            name="public_key",
            label=gettext_lazy("WeChat Pay public key"),
            help=gettext_lazy("The whole content of the file pub_key.pem from the same place."),
            multiline=True,
        ),
        CredentialField(
            name="platform_certificates",
            label=gettext_lazy("Platform certificates (older merchants)"),
            help=gettext_lazy(
                "Only for merchants that were opened before 2024 and still have WeChat Pay platform certificates: paste them one after another."
            ),
            multiline=True,
            required=False,
        ),
        CredentialField(
            name="app_secret",
            label=gettext_lazy("AppSecret of the service account"),
            help=gettext_lazy(
                "Needed for payment inside WeChat, to learn who pays. On the WeChat official accounts platform under Settings and development, Basic configuration."
            ),
            secret=True,
            required=False,
        ),
    ),
    Platform.ALIPAY: (
        CredentialField(
            name="merchant_no",
            label=gettext_lazy("Merchant account number (PID)"),
            help=gettext_lazy(
                "16 digits beginning with 2088, in the Alipay merchant center under Account."
            ),
        ),
        CredentialField(
            name="app_id",
            label=gettext_lazy("APPID of the application"),
            help=gettext_lazy(
                "16 digits, in the Alipay open platform console, at the application."
            ),
        ),
        CredentialField(
            name="private_key",
            label=gettext_lazy("Application private key"),
            help=gettext_lazy(
                "RSA2, from Alipay's key tool: the text of the private key file, with or without the BEGIN line."
            ),
            secret=True,
            multiline=True,
        ),
        CredentialField(
            name=ALIPAY_KEY,
            label=gettext_lazy("Alipay public key"),
            help=gettext_lazy(
                "Shown in the console under Interface signing method after you have uploaded your application public key. It is not the application public key itself."
            ),
            multiline=True,
            way=_BY_KEY,
        ),
        CredentialField(
            name="app_certificate",
            label=gettext_lazy("Application certificate"),
            help=gettext_lazy(
                "The file appCertPublicKey_ and the APPID, .crt. All three are downloaded in the console under Interface signing method."
            ),
            multiline=True,
            required=False,
            file=".crt,.cer,.pem",
            way=_BY_CERTIFICATE,
        ),
        CredentialField(
            name="alipay_certificate",
            label=gettext_lazy("Alipay certificate"),
            help=gettext_lazy(
                "The file alipayCertPublicKey_RSA2.crt. When Alipay changes it, the portal fetches the new one by itself."
            ),
            multiline=True,
            required=False,
            file=".crt,.cer,.pem",
            way=_BY_CERTIFICATE,
        ),
        CredentialField(
            name="alipay_root_certificate",
            label=gettext_lazy("Alipay root certificate"),
            help=gettext_lazy("The file alipayRootCert.crt, which holds several certificates."),
            multiline=True,
            required=False,
            file=".crt,.cer,.pem",
            way=_BY_CERTIFICATE,
        ),
    ),
    Platform.UNIONPAY: (
        CredentialField(
            name="merchant_no",
            label=gettext_lazy("Merchant code (merId)"),
            help=gettext_lazy(
                "15 digits, in the notice by which UnionPay or your acquirer opened the account."
            ),
        ),
        CredentialField(
            name="certificate",
            label=gettext_lazy("Merchant certificate (.pfx)"),
            help=gettext_lazy(
                "The certificate that signs your requests, exported together with its private key. Choose the file, drop it here, or paste its content as base64."
            ),
            secret=True,
            multiline=True,
            file=".pfx,.p12",
        ),
        CredentialField(
            name="certificate_password",
            label=gettext_lazy("Password of the merchant certificate"),
            help=gettext_lazy("The password that was set when the .pfx file was exported."),
            secret=True,
        ),
        CredentialField(
            name="root_certificate",
            label=gettext_lazy("UnionPay root certificate"),
            help=gettext_lazy(
                "The file acp_prod_root.cer from UnionPay's development package. By it and the next one the portal tells UnionPay's answers from forged ones."
            ),
            multiline=True,
            file=".cer,.crt,.pem",
        ),
        CredentialField(
            name="middle_certificate",
            label=gettext_lazy("UnionPay middle certificate"),
            help=gettext_lazy(
                "The file acp_prod_middle.cer from the same package. While UnionPay changes it, paste the old and the new one, one after another."
            ),
            multiline=True,
            file=".cer,.crt,.pem",
        ),
    ),
    Platform.SHOUQIANBA: (
        CredentialField(
            name="merchant_no",
            label=gettext_lazy("Merchant number"),
            help=gettext_lazy(
                "In Shouqianba's merchant console under Account. It only tells this account from others."
            ),
        ),
        CredentialField(
            name="app_id",
            label=gettext_lazy("App ID"),
            help=gettext_lazy(
                "From the letter by which Shouqianba opened the interface for you, or from your service provider."
            ),
        ),
        CredentialField(
            name="vendor_sn",
            label=gettext_lazy("Vendor number (vendor_sn)"),
            help=gettext_lazy("Stands next to the app ID. It is used to activate terminals."),
        ),
        CredentialField(
            name="vendor_key",
            label=gettext_lazy("Vendor key (vendor_key)"),
            help=gettext_lazy("The secret that belongs to the vendor number."),
            secret=True,
        ),
        CredentialField(
            name="public_key",
            label=gettext_lazy("Shouqianba public key"),
            help=gettext_lazy(
                "Shouqianba signs its notifications with it; ask your contact there for it. It begins with BEGIN PUBLIC KEY or MII."
            ),
            multiline=True,
            tried=False,
        ),
        CredentialField(
            name=ACTIVATION_CODE,
            label=gettext_lazy("Activation code"),
            help=gettext_lazy(
                "Made in Shouqianba's console at the store, under terminals. The portal turns it into a terminal of its own, by which it takes payments. A code is good for seven days and usually for one terminal; it is used up by connecting and not stored."
            ),
            secret=True,
            once=True,
        ),
    ),
}


def credential_fields(platform: Platform | str) -> tuple[CredentialField, ...]:
    """What the connect form asks for, in order; ``app_id`` and ``merchant_no`` included."""
    return _FIELDS.get(Platform(platform), ())


def once_fields(platform: Platform | str) -> frozenset[str]:
    """The entries that connecting uses up."""
    return frozenset(field.name for field in credential_fields(platform) if field.once)


def untried_fields(platform: Platform | str) -> tuple[CredentialField, ...]:
    """The entries that a live check cannot prove."""
    return tuple(field for field in credential_fields(platform) if not field.tried)


def replaced_fields(platform: Platform | str, given: Collection[str]) -> frozenset[str]:
    """The entries that need not be there since others, ``given``, stand in for them."""
    known = Platform(platform)
    if known is Platform.WECHATPAY and "platform_certificates" in given:
        return frozenset({"public_key", "public_key_id"})
    if known is Platform.ALIPAY and set(given) & {*ALIPAY_CERTIFICATES}:
        return frozenset({ALIPAY_KEY})
    return frozenset()


def displaced_fields(platform: Platform | str, given: Collection[str]) -> frozenset[str]:
    """The stored entries that no longer hold once others are ``given``: an application signs by one way only."""
    if Platform(platform) is not Platform.ALIPAY:
        return frozenset()
    if set(given) & {*ALIPAY_CERTIFICATES}:
        return frozenset({ALIPAY_KEY})
    return frozenset(ALIPAY_CERTIFICATES if ALIPAY_KEY in given else ())
