"""What the desk's pages share: the strip at the top, filters and paging, the way back after a button."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse

from apps.simulator import clock, delivery, faults
from apps.simulator.models import Fault, Platform

SHOWN = 50
#: Chinese and English name of each platform.
PLATFORM_NAMES: dict[str, tuple[str, str]] = {
    Platform.WECHATPAY: ("微信支付", "WeChat Pay"),
    Platform.ALIPAY: ("支付宝", "Alipay"),
    Platform.UNIONPAY: ("银联云闪付", "UnionPay"),
    Platform.SHOUQIANBA: ("收钱吧", "Shouqianba"),
}

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a list was asked for; "" where nothing was."""

    platform: str
    merchant_no: str
    state: str
    number: str
    day: date | None


def choices_of(request: HttpRequest) -> Choices:
    """The filters of the address; what cannot be read counts as not asked for."""
    asked = request.GET
    try:
        day = date.fromisoformat(asked.get("day", ""))
    except ValueError:
        day = None
    platform = asked.get("platform", "")
    return Choices(
        platform=platform if platform in Platform.values else "",
        merchant_no=asked.get("merchant_no", "").strip(),
        state=asked.get("state", ""),
        number=asked.get("number", "").strip(),
        day=day,
    )


def page_of(request: HttpRequest, rows: QuerySet[Row]) -> Page[Row]:
    """The page of a list that the address asks for; the nearest there is."""
    return Paginator(rows, SHOWN).get_page(request.GET.get("page"))


def show(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """One of the desk's pages, with the books brought up to date."""
    without_page = request.GET.copy()
    without_page.pop("page", None)
    schedule = faults.current_schedule()
    around = {
        "clock_now": clock.now(),
        "clock_state": clock.read(),
        "fault_count": Fault.objects.count(),
        "is_scheduled": schedule is not None,
        "platform_names": PLATFORM_NAMES,
        "query": request.GET.urlencode(),
        "query_without_page": without_page.urlencode(),
    }
    return render(request, template, {**around, **context})


def up_to_date() -> None:
    """Expire and settle what is due before a page shows it."""
    delivery.tick(now=clock.now())


def back_to(request: HttpRequest, page: str, *, said: str = "") -> HttpResponseRedirect:
    """Where a button was pressed, with the list's filters kept; ``said`` is shown there."""
    query = QueryDict(request.POST.get("back", ""), mutable=True)
    query.pop("said", None)
    if said:
        query["said"] = said
    text = query.urlencode()
    return HttpResponseRedirect(reverse(page) + (f"?{text}" if text else ""))


def number(request: HttpRequest, name: str) -> float | None:
    """A number of a form, None if it is none, or no finite one."""
    try:
        found = float(request.POST[name])
    except (KeyError, ValueError):
        return None
    return found if math.isfinite(found) else None


def row_id(request: HttpRequest, name: str) -> int:
    """The row that a form names, 0 (which is none) where it does not."""
    found = number(request, name)
    return int(found) if found is not None else 0
