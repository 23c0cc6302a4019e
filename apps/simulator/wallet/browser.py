"""The wallet's in-app browser as seen from the simulator: which origin stands for the portal."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.simulator.payers import BROWSER_COOKIE
from apps.simulator.wallet.proxy import rewrite_address, same_machine
from apps.simulator.wallet.wallets import WALLETS


def origin_of(platform: str) -> str:
    """The origin of a wallet's in-app browser."""
    return str(getattr(settings, WALLETS[platform].origin_setting))


def is_portal(address: str) -> bool:
    """Whether an address lies on the portal, or on a wallet's browser in front of it."""
    parts = urlsplit(address)
    origin = f"{parts.scheme}://{parts.netloc}"
    known = (settings.PORTAL_URL.rstrip("/"), *map(origin_of, WALLETS))
    return any(origin in same_machine(name) for name in known)


def inside(address: str, platform: str) -> str:
    """The same page of the portal, opened in a wallet's in-app browser."""
    parts = urlsplit(address)
    path = parts.path or "/"
    return origin_of(platform) + path + (f"?{parts.query}" if parts.query else "")


def back_through(request: HttpRequest, address: str) -> str:
    """An address on the portal, led through a wallet's in-app browser if the page came from there."""
    browser = request.COOKIES.get(BROWSER_COOKIE, "")
    if browser not in set(map(origin_of, WALLETS)):
        return address
    return rewrite_address(address, portal=settings.PORTAL_URL, browser=browser)


def remember(response: HttpResponse, platform: str) -> None:
    """Note in the answer that from now on the portal is seen through this wallet's browser."""
    response.set_cookie(BROWSER_COOKIE, origin_of(platform), samesite="Lax", httponly=True)
