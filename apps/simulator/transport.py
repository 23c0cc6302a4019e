"""What goes wrong between a client and a platform's API, whatever the platform: a middleware around their addresses.

Faults: lost_before_commit, proxy_page, truncated_answer, huge_answer. People's pages (cashiers, authorisation) and the
control desk are left alone. Another one writes the answers' ``Date``, wrong under the fault clock_skew.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import http_date

from apps.simulator import clock, faults, skew
from apps.simulator.models import Platform

Next = Callable[[HttpRequest], HttpResponseBase]

#: The addresses that programs call, platform by platform.
ADDRESSES: dict[str, re.Pattern[str]] = {
    Platform.WECHATPAY: re.compile(r"/wechatpay/(v3/|sns/)"),
    Platform.ALIPAY: re.compile(r"/alipay/gateway\.do$"),
    Platform.UNIONPAY: re.compile(r"/unionpay/(gateway/api/(back|query)|file/)"),
    Platform.SHOUQIANBA: re.compile(r"/shouqianba/(upay|terminal)/"),
}
_ALIPAY_METHOD = re.compile(rb"(?:^|&)method=([a-z.]+)")
_ALIPAY_PAGES = frozenset({"alipay.trade.wap.pay", "alipay.trade.page.pay"})
_PAGE = (
    "<html><head><title>Please sign in</title></head><body>"
    "<h1>SIMULATOR 模拟器: a proxy's page</h1><p>Welcome to the guest network.</p></body></html>"
)


class ServerDate:
    """Middleware: ``Date`` as the platform's own clock has it, the true time elsewhere."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        first = request.path.split("/", 2)[1]
        platform = first if first in ADDRESSES else ""
        with skew.of_request(platform, place_of(request)[1]) as ahead:
            response = self.get_response(request)
        response["Date"] = http_date((clock.real_now() + ahead).timestamp())
        return response


class Transport:
    """Middleware: hands a request on, or lets it meet a fault of the network."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        platform, path = place_of(request)
        if not platform:
            return self.get_response(request)
        lost = faults.take("lost_before_commit", platform=platform, path=path)
        if lost is not None:
            return faults.lost_response(lost)
        page = faults.take("proxy_page", platform=platform, path=path)
        if page is not None:
            return HttpResponse(_PAGE, status=int(page["status"]))
        response = self.get_response(request)
        if isinstance(response, HttpResponse) and not response.has_header(faults.DROP_HEADER):
            _spoil(response, platform, path)
        return response


def place_of(request: HttpRequest) -> tuple[str, str]:
    """The platform whose API is called, "" for none, and the path that faults are limited to.

    Alipay has one address for everything: its method, given in the query, is added to the path.
    """
    path = request.path
    for platform, pattern in ADDRESSES.items():
        if pattern.match(path):
            if platform == Platform.ALIPAY:
                method = _alipay_method(request)
                # The browser's way to the cashier is a page, not a call.
                return ("", path) if method in _ALIPAY_PAGES else (platform, f"{path}/{method}")
            return platform, path
    return "", path


def _alipay_method(request: HttpRequest) -> str:
    """The method that a call names, in the query or in the form."""
    query = request.META.get("QUERY_STRING", "").encode("latin-1")
    named = _ALIPAY_METHOD.search(query) or _ALIPAY_METHOD.search(request.body)
    return named[1].decode("ascii") if named else ""


def _spoil(response: HttpResponse, platform: str, path: str) -> None:
    if faults.take("truncated_answer", platform=platform, path=path) is not None:
        response.content = response.content[: len(response.content) // 2]
    huge = faults.take("huge_answer", platform=platform, path=path)
    if huge is not None:
        response.content = b" " * (int(huge["megabytes"]) * 1024 * 1024) + response.content
