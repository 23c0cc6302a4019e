"""Shouqianba's merchant console: terminals, activation codes and the day's export, for people and for programs."""

from __future__ import annotations

from datetime import date

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_POST

from apps.simulator import clock, delivery, merchants
from apps.simulator.control.guard import loopback_only
from apps.simulator.models import ActivationCode, Merchant, Platform, Terminal
from apps.simulator.shouqianba import export, terminals


def _merchant(number: str) -> Merchant | None:
    return Merchant.objects.filter(platform=Platform.SHOUQIANBA, merchant_no=number).first()


def _export(request: HttpRequest) -> tuple[bytes, str]:
    """The file that a request asks for, and its name. Raises LookupError, ValueError, export.NotReady."""
    merchant = _merchant(request.GET.get("merchant_no", ""))
    if merchant is None:
        raise LookupError("no such merchant")
    day = date.fromisoformat(request.GET.get("date", ""))
    now = clock.now()
    delivery.tick(now=now)
    content = export.day_csv(merchant=merchant, day=day, now=now)
    return content, f"收钱吧交易明细_{merchant.merchant_no}_{day:%Y%m%d}.csv"


def _file(content: bytes, name: str) -> HttpResponse:
    disposition = content_disposition_header(True, name) or ""
    return HttpResponse(
        content,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": disposition},
    )


@loopback_only
def export_api(request: HttpRequest) -> HttpResponse:
    """``GET /control/api/shouqianba-export?merchant_no=&date=``: the CSV; errors as the control API's: 400, 404, 409."""
    if request.method != "GET":
        return JsonResponse({"error": "method not allowed"}, status=405)
    try:
        return _file(*_export(request))
    except LookupError as error:
        return JsonResponse({"error": str(error)}, status=404)
    except export.NotReady as error:
        return JsonResponse({"error": str(error)}, status=409)
    except ValueError as error:
        return JsonResponse({"error": str(error)}, status=400)


@loopback_only
@require_GET
def console(request: HttpRequest) -> HttpResponse:
    """The console's page; with ``merchant_no`` and ``date`` the export, or the page saying why there is none."""
    error = ""
    if request.GET.get("date"):
        try:
            return _file(*_export(request))
        except (LookupError, ValueError, export.NotReady) as problem:
            error = str(problem)
    now = clock.now()
    shops = [
        {
            "merchant": merchant,
            "terminals": Terminal.objects.filter(merchant=merchant).order_by("pk"),
            "codes": ActivationCode.objects.filter(merchant=merchant).order_by("-pk")[:5],
        }
        for merchant in merchants.list_merchants(platform=Platform.SHOUQIANBA)
    ]
    context = {"shops": shops, "error": error, "today": clock.beijing_date(now), "now": now}
    return render(
        request, "simulator/shouqianba_console.html", context, status=409 if error else 200
    )


@loopback_only
@require_POST
def code_add(request: HttpRequest) -> HttpResponse:
    """Make another activation code."""
    merchant = _merchant(request.POST.get("merchant_no", ""))
    if merchant is not None:
        terminals.new_activation_code(merchant=merchant, now=clock.now())
    return HttpResponseRedirect(reverse("shouqianba-console"))
