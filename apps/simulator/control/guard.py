"""Who may come to the control desk."""

from __future__ import annotations

import functools
from collections.abc import Callable
from ipaddress import ip_address

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

View = Callable[[HttpRequest], HttpResponse]


def is_loopback(address: str) -> bool:
    """Whether a client's address is this machine's own."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def loopback_only(view: View) -> View:
    """Answer 403 to clients of other machines; no CSRF token, as there is no log-in to ride on."""

    @csrf_exempt
    @functools.wraps(view)
    def wrapper(request: HttpRequest) -> HttpResponse:
        if not is_loopback(request.META.get("REMOTE_ADDR", "")):
            return JsonResponse({"error": "loopback clients only"}, status=403)
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            return JsonResponse({"error": "not from another site's page"}, status=403)
        return view(request)

    return wrapper
