"""Which platforms are connected, how a gateway is built, and what a merchant must enter to connect one.

The only module that knows the connectors, and the only one that gives them settings.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core import clock
from apps.platforms import rsa
from apps.platforms.connectors.alipay.connector import AlipayEndpoints, AlipayGateway
from apps.platforms.connectors.wechatpay.connector import WechatpayEndpoints, WechatpayGateway
from apps.platforms.gateway import Capability, Credentials, NotSupported, Platform, PlatformGateway
from apps.platforms.http import PlatformHttp

CONNECTORS: dict[Platform, type[PlatformGateway]] = {
    Platform.WECHATPAY: WechatpayGateway,
    Platform.ALIPAY: AlipayGateway,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialField:
    """One thing that the connect form asks for. ``secret``: never shown again once stored.

    ``tried`` is False for what no call to the platform proves beforehand; the first notification does.
    """

    name: str
    label: Promise
    help: Promise
    secret: bool = False
    multiline: bool = False
    required: bool = True
    tried: bool = True


@lru_cache(maxsize=8)
def _http(timeout: float) -> PlatformHttp:
    return PlatformHttp(timeout=timeout)


def shared_http() -> PlatformHttp:
    """The process's door to the platforms."""
    return _http(float(settings.PLATFORM_HTTP_TIMEOUT))


@asynccontextmanager
async def polling_session() -> AsyncIterator[None]:
    """Keep connections for the async queries made inside: enter once for a polling round."""
    async with shared_http().session():
        yield


def gateway_for(*, platform: Platform | str, credentials: Credentials) -> PlatformGateway:
    """A gateway for one set of credentials. Cheap: nothing is read or sent until a call is made.

    Raises NotSupported for a platform without a connector.
    """
    try:
        known = Platform(platform)
    except ValueError as error:
        raise NotSupported(str(platform)) from error
    match known:
        case Platform.WECHATPAY:
            return WechatpayGateway(
                credentials=credentials,
                http=shared_http(),
                endpoints=WechatpayEndpoints(
                    api_url=settings.WECHATPAY_API_URL,
                    oauth_authorize_url=settings.WECHATPAY_OAUTH_AUTHORIZE_URL,
                    oauth_token_url=settings.WECHATPAY_OAUTH_TOKEN_URL,
                ),
                clock=clock.now,
            )
        case Platform.ALIPAY:
            return AlipayGateway(
                credentials=credentials,
                http=shared_http(),
                endpoints=AlipayEndpoints(
                    gateway_url=settings.ALIPAY_GATEWAY_URL,
                    oauth_authorize_url=settings.ALIPAY_OAUTH_AUTHORIZE_URL,
                ),
                clock=clock.now,
            )
        case _:
            raise NotSupported(str(platform))


def capabilities_of(platform: Platform | str) -> frozenset[Capability]:
    """What a platform can do; empty for one without a connector."""
    connector = CONNECTORS.get(Platform(platform))
    return frozenset() if connector is None else connector.capabilities


def connected_platforms() -> tuple[Platform, ...]:
    """The platforms that have a connector, in the order shown."""
    return tuple(CONNECTORS)


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
            name="alipay_public_key",
            label=gettext_lazy("Alipay public key"),
            help=gettext_lazy(
                "Shown in the console under Interface signing method after you have uploaded your application public key. It is not the application public key itself."
            ),
            multiline=True,
        ),
    ),
}


def credential_fields(platform: Platform | str) -> tuple[CredentialField, ...]:
    """What the connect form asks for, in order; ``app_id`` and ``merchant_no`` included."""
    return _FIELDS.get(Platform(platform), ())


def untried_fields(platform: Platform | str) -> tuple[CredentialField, ...]:
    """The entries that a live check cannot prove."""
    return tuple(field for field in credential_fields(platform) if not field.tried)


def validate_credentials_shape(
    platform: Platform | str, credentials: Credentials
) -> dict[str, str]:
    """What is wrong with the entries as such, by field, in plain words; empty when a live check is worth trying."""
    values = {
        "app_id": credentials.app_id,
        "merchant_no": credentials.merchant_no,
        **credentials.keys,
    }
    values = {name: value.strip() for name, value in values.items()}
    known = Platform(platform)
    by_certificate = known is Platform.WECHATPAY and values.get("platform_certificates")
    wrong: dict[str, str] = {}
    for field in credential_fields(known):
        optional = by_certificate and field.name in {"public_key", "public_key_id"}
        if field.required and not optional and not values.get(field.name):
            wrong[field.name] = _("Please fill this in.")
    match known:
        case Platform.WECHATPAY:
            found = _wechatpay_shape(values)
        case Platform.ALIPAY:
            found = _alipay_shape(values)
        case _:
            raise NotSupported(str(platform))
    return {**{name: words for name, words in found.items() if values.get(name)}, **wrong}


def _wechatpay_shape(values: Mapping[str, str]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if not re.fullmatch(r"\d{8,10}", values["merchant_no"]):
        wrong["merchant_no"] = _("A merchant number has 8 to 10 digits and nothing else.")
    if not re.fullmatch(r"wx[0-9a-zA-Z]{16}", values["app_id"]):
        wrong["app_id"] = _("An AppID is wx followed by 16 letters and digits.")
    if not re.fullmatch(r"[0-9a-fA-F]{40}", values.get("serial_no", "")):
        wrong["serial_no"] = _(
            "A certificate's serial number has 40 characters, digits and the letters A to F."
        )
    key = values.get("api_v3_key", "")
    if len(key) != 32 or not key.isascii():
        wrong["api_v3_key"] = _("An APIv3 key has exactly 32 characters; this has %(count)d.") % {
            "count": len(key)
        }
    if not re.fullmatch(r"PUB_KEY_ID_\w{10,60}", values.get("public_key_id", "")):
        wrong["public_key_id"] = _(
            "A public key ID begins with PUB_KEY_ID_ and has only digits after it."
        )
    if values.get("public_key") and not values.get("public_key_id"):
        wrong["public_key_id"] = _("Please fill this in.")
    _key_shapes(
        values,
        public="public_key",
        own=_(
            "This is your own public key. Copy the WeChat Pay public key (pub_key.pem) from the merchant platform."
        ),
        wrong=wrong,
    )
    if values.get("platform_certificates"):
        try:
            serials = [
                serial for serial, _key in rsa.load_certificates(values["platform_certificates"])
            ]
        except rsa.UnusableKey as error:
            wrong["platform_certificates"] = _key_words(error.reason)
        else:
            if values.get("serial_no", "").upper() in serials:
                wrong["platform_certificates"] = _(
                    "This is your own certificate (apiclient_cert.pem). WeChat Pay's platform certificate is needed."
                )
    return wrong


def _alipay_shape(values: Mapping[str, str]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if not re.fullmatch(r"2088\d{12}", values["merchant_no"]):
        wrong["merchant_no"] = _("A PID has 16 digits and begins with 2088.")
    if not re.fullmatch(r"\d{16}", values["app_id"]):
        wrong["app_id"] = _("An APPID has 16 digits.")
    elif values["app_id"] == values["merchant_no"]:
        wrong["app_id"] = _("This is the PID. The APPID stands at the application in the console.")
    _key_shapes(
        values,
        public="alipay_public_key",
        own=_(
            "This is your application public key. Copy the Alipay public key, which the console shows next to it."
        ),
        wrong=wrong,
    )
    return wrong


def _key_shapes(values: Mapping[str, str], *, public: str, own: str, wrong: dict[str, str]) -> None:
    """Try both keys, and whether the public one is merely the other half of the private one."""
    loaders: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("private_key", rsa.load_private_key),
        (public, rsa.load_public_key),
    )
    for name, load in loaders:
        try:
            load(values.get(name, ""))
        except rsa.UnusableKey as error:
            wrong[name] = _key_words(error.reason)
    if "private_key" not in wrong and public not in wrong:
        private = rsa.load_private_key(values["private_key"])
        if rsa.same_key(private, rsa.load_public_key(values[public])):
            wrong[public] = own


def _key_words(reason: str) -> str:
    words = {
        "public": _("This is a public key; the private key belongs here."),
        "private": _(
            "This is a private key; the public key belongs here. Keep the private key to yourself."
        ),
        "certificate": _("This is a certificate; a key is needed here."),
        "encrypted": _("This key is protected by a password. Paste it without one."),
        "not_rsa": _("This is not an RSA key."),
        "weak": _("This key is too short; the platform asks for at least 2048 bits."),
    }
    return words.get(
        reason,
        _("This cannot be read as a key. Paste the whole file, from BEGIN to END, unchanged."),
    )
