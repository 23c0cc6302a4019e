"""``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from apps.core import clock
from apps.merchants.access import client_ip, public
from apps.operations import health


@public
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Alive: this process answers. Touches nothing else."""
    return JsonResponse({"ok": True})


@public
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Ready: database, migrations, broker and the beat's heartbeat; 503 with the trouble in words otherwise."""
    found = health.readiness(now=clock.now())
    well = not any(found.values())
    return JsonResponse({"ok": well, "checks": found}, status=200 if well else 503)


@public
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics of this process, for callers on the same machine only."""
    if client_ip(request) not in {"127.0.0.1", "::1"}:
        return HttpResponse(status=404)
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
