"""Statistics of codes: one code, and all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.templatetags.portal import platform_label
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.selectors import list_stores
from apps.qrcodes.alertwords import quiet_rule
from apps.qrcodes.models import QRCode
from apps.qrcodes.selectors import count_open_alerts, get_code, open_alerts
from apps.qrcodes.wording import weekday_names
from apps.reports import wording
from apps.reports.forms import CodePeriodForm
from apps.reports.selectors import (
    WEAK_SCANS,
    WHOLE_BP,
    CodeFigures,
    CodePeriod,
    DayMoney,
    ScanTimes,
    codes_table,
    figures_of,
    money_by_day,
    read_place,
    scan_times,
    share_bp,
)

#: How many shades tell busy hours from quiet ones.
SHADES = 5


@dataclass(frozen=True, slots=True)
class Step:
    """A step on the way from a scan to money: how many came so far, of those before and of all, and a bar's length in percent."""

    label: str
    count: int
    of_before: str
    of_all: str
    width: int


@dataclass(frozen=True, slots=True)
class Cell:
    """The scans of one hour of one weekday; ``shade`` 0 to ``SHADES``."""

    count: int
    shade: int


@dataclass(frozen=True, slots=True)
class DayRow:
    """One business day."""

    day: date
    scans: int
    width: int
    money: DayMoney
    url: str


def _steps(figures: CodeFigures) -> list[Step]:
    counts = [
        (_("Scanned"), figures.scans),
        (_("Amount given"), figures.orders),
        (_("Payment begun"), figures.begun),
        (_("Paid"), figures.paid),
    ]
    most = max(count for _label, count in counts)
    steps = []
    before: int | None = None
    for label, count in counts:
        first = before is None
        steps.append(
            Step(
                label,
                count,
                "" if first else wording.percent(share_bp(count, before or 0)),
                "" if first else wording.percent(share_bp(count, figures.scans)),
                _width(count, most),
            )
        )
        before = count
    return steps


def _width(count: int, most: int) -> int:
    return count * 100 // most if most else 0


def _heat(times: ScanTimes, period: CodePeriod) -> list[dict[str, Any]]:
    """Rows of hours, from the one in which the business day starts; each with a cell a weekday and its sum."""
    most = max(times.by_hour.values(), default=0)
    rows: list[dict[str, Any]] = []
    for place in range(24):
        hour = (place + period.day_starts_at.hour) % 24
        counts = [times.by_hour.get((weekday, hour), 0) for weekday in range(1, 8)]
        cells = [Cell(count, -(-count * SHADES // most) if most else 0) for count in counts]
        rows.append({"hour": hour, "cells": cells, "sum": sum(counts)})
    busiest = max(row["sum"] for row in rows)
    for row in rows:
        row["width"] = _width(row["sum"], busiest)
    return rows


def _list_url(request: MerchantRequest, first: date, last: date, **more: object) -> str:
    """The transactions list that shows the same money."""
    query = {
        "period": "custom",
        "date_from": first.isoformat(),
        "date_to": last.isoformat(),
        **more,
    }
    return f"{reverse('reports:transaction_list', args=[request.merchant.slug])}?{urlencode(query)}"


def _days(
    request: MerchantRequest, period: CodePeriod, times: ScanTimes, code: QRCode
) -> list[DayRow]:
    """The days on which anything was, the last first."""
    money = money_by_day(period, code_id=code.pk)
    most = max(times.by_day.values(), default=0)
    return [
        DayRow(
            day,
            scans := times.by_day.get(day, 0),
            _width(scans, most),
            money.get(day, DayMoney()),
            _list_url(request, day, day, code=code.pk, kind="payment", state="paid"),
        )
        for day in reversed(period.days)
        if day in times.by_day or day in money
    ]


def _form(request: MerchantRequest) -> CodePeriodForm:
    starts_at = request.merchant.day_starts_at
    today = clock.business_date(clock.now(), starts_at)
    return CodePeriodForm(request.GET, today=today, day_starts_at=starts_at)


@require_safe
@merchant_view("takings.view")
def code_statistics(request: MerchantRequest, code_id: int) -> HttpResponse:
    """When a code is scanned, how many of those who scan it pay, and the money."""
    try:
        code = get_code(code_id)
    except QRCode.DoesNotExist as error:
        raise Http404 from error
    form = _form(request)
    context: dict[str, Any] = {"code": code, "form": form}
    if not form.is_valid():
        return render(request, "reports/code_statistics.html", context, status=400)
    period = form.chosen()
    figures = figures_of(period, code_id=code.pk)
    times = scan_times(period, code_id=code.pk)
    total = figures.total
    dates = (period.first, period.last)
    most = max(times.by_wallet.values(), default=0)
    context |= {
        "period": period,
        "total": total,
        "steps": _steps(total),
        "more_orders": total.orders > total.scans,
        "median": wording.seconds_words(figures.median_seconds),
        "heat": _heat(times, period) if times.by_hour else [],
        "weekdays": weekday_names(),
        "days": _days(request, period, times, code),
        "wallets": [
            {
                "name": platform_label(wallet) if wallet else _("Another app or browser"),
                "count": count,
                "share": wording.percent(share_bp(count, total.scans)),
                "width": _width(count, most),
            }
            for wallet, count in sorted(times.by_wallet.items(), key=lambda one: (-one[1], one[0]))
        ],
        "paid_url": _list_url(request, *dates, code=code.pk, kind="payment", state="paid"),
        "refunded_url": _list_url(request, *dates, code=code.pk, kind="refund", state="refunded"),
        "all_url": _list_url(request, *dates, code=code.pk),
        "alert_count": len(open_alerts(code_id=code.pk)),
    }
    return render(request, "reports/code_statistics.html", context)


@require_safe
@merchant_view("takings.view")
def codes_statistics(request: MerchantRequest) -> HttpResponse:
    """All codes: the best and the worst, those gone quiet, and the stores."""
    form = _form(request)
    stores = list(list_stores())
    text = request.GET.get("store", "")
    # An address typed by hand may name a store or a view that is none: then all are shown.
    store = next((one for one in stores if str(one.pk) == text), None)
    views = dict(wording.CODE_VIEWS)
    view = request.GET.get("show", "")
    view = view if view in views else "paid"
    context: dict[str, Any] = {
        "form": form,
        "stores": stores,
        "store": store,
        "view": view,
        "views": wording.CODE_VIEWS,
    }
    if not form.is_valid():
        return render(request, "reports/codes_statistics.html", context, status=400)
    period = form.chosen()
    table = codes_table(
        period,
        now=clock.now(),
        view=view,
        store_id=None if store is None else store.pk,
        after=read_place(request.GET.get("after", "")),
    )
    context |= {
        "period": period,
        "table": table,
        "steps": _steps(table.total),
        "median": wording.seconds_words(table.median_seconds),
        "rows": [
            {
                "row": row,
                "share": wording.percent(row.figures.paid_share_bp),
                "width": _share_width(row.figures),
            }
            for row in table.rows
        ],
        "store_rows": [
            {"row": row, "share": wording.percent(row.figures.paid_share_bp)}
            for row in table.stores
        ],
        "quiet_rule": quiet_rule(),
        "weak_scans": WEAK_SCANS,
        "alert_count": count_open_alerts(),
        "first_page": not request.GET.get("after"),
    }
    return render(request, "reports/codes_statistics.html", context)


def _share_width(figures: CodeFigures) -> int:
    return min(100, (figures.paid_share_bp or 0) * 100 // WHOLE_BP)
