"""Whether the platform's notifications would reach us: the address is public, ours, and answers in time."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from apps.operations.doctor.findings import Check, Finding, broken, fine, warning
from apps.platforms import probes, registry
from apps.platforms.gateway import PlatformUnavailable
from apps.platforms.models import PlatformAccount
from apps.platforms.services import notify_url

#: The strictest platform waits for five seconds; what takes this long today takes longer on a busy day.
SLOW_SECONDS: Final = 3.0


def address_finding(account: PlatformAccount) -> Finding:
    """Call the account's notification address as the platform does, with a question that only this portal can answer."""
    url = notify_url(account)
    host = urlsplit(url).hostname or ""
    return _not_public(url, host) or _called(url, host, account.ref)


def _not_public(url: str, host: str) -> Finding | None:
    """What the address itself says. A development machine and its simulator may do without."""
    if settings.NOTIFY_ALLOW_HTTP:
        return None
    if urlsplit(url).scheme != "https":
        return broken(Check.ADDRESS, "address_http", url=settings.PUBLIC_URL)
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return broken(Check.ADDRESS, "address_unresolved", host=host)
    if found and not any(ipaddress.ip_address(one.partition("%")[0]).is_global for one in found):
        return broken(Check.ADDRESS, "address_private", host=host)
    return None


def _called(url: str, host: str, ref: str) -> Finding:
    asked = probes.question(ref)
    began = time.monotonic()
    try:
        answer = registry.shared_http().send("POST", url, headers={probes.HEADER: asked})
    except PlatformUnavailable as error:
        if _by_tls(error):
            return broken(Check.ADDRESS, "address_tls", host=host)
        if error.code == "timeout":
            return broken(Check.ADDRESS, "address_silent", url=url)
        return broken(Check.ADDRESS, "address_unreachable", url=url)
    seconds = max(round(time.monotonic() - began, 1), 0.1)
    if answer.status == 200 and probes.is_answer(asked, answer.body):
        if seconds >= SLOW_SECONDS:
            return warning(Check.ADDRESS, "address_slow", seconds=seconds)
        return fine(Check.ADDRESS, seconds=seconds)
    if 300 <= answer.status < 400:
        return broken(Check.ADDRESS, "address_redirects", url=url, status=answer.status)
    if answer.status >= 500:
        return broken(Check.ADDRESS, "address_trouble", url=url, status=answer.status)
    return broken(Check.ADDRESS, "address_stranger", url=url, status=answer.status)


def _by_tls(error: BaseException | None) -> bool:
    """Whether a connection failed for its certificate."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
