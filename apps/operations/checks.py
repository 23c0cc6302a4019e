"""What ``manage.py check --deploy`` refuses: a portal that would take a simulator's word for money."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error

#: The settings that say where the platforms are.
PLATFORM_URLS = (
    "WECHATPAY_API_URL",
    "WECHATPAY_OAUTH_AUTHORIZE_URL",
    "WECHATPAY_OAUTH_TOKEN_URL",
    "ALIPAY_GATEWAY_URL",
    "ALIPAY_OAUTH_AUTHORIZE_URL",
)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def platform_addresses(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Each platform is asked over https and not on this machine; no simulator is set."""
    found: list[CheckMessage] = []
    if settings.SIMULATOR_URL:
        found.append(Error("SIMULATOR_URL must not be set in production.", id="portal.E001"))
    for name in PLATFORM_URLS:
        parts = urlsplit(getattr(settings, name))
        if parts.scheme != "https" or _is_loopback(parts.hostname or "localhost"):
            found.append(
                Error(f"{name} must be an https address of the platform.", id="portal.E002")
            )
    return found
