"""The control API: JSON in, JSON out; errors are ``{"error": text}`` with 400, 404 or 409."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.simulator import books, clock, delivery, faults, merchants, notifications
from apps.simulator.control import payloads
from apps.simulator.control.guard import loopback_only
from apps.simulator.models import Fault, Notice
from apps.simulator.payers import PAYERS, payer_for

Body = dict[str, Any]
Handler = Callable[[HttpRequest], Body]


def _answer(**handlers: Handler) -> Callable[[HttpRequest], HttpResponse]:
    """A view of one handler for each method: its dict as JSON, its exceptions as errors."""

    @loopback_only
    def view(request: HttpRequest) -> HttpResponse:
        handler = handlers.get((request.method or "").lower())
        if handler is None:
            return JsonResponse({"error": "method not allowed"}, status=405)
        try:
            return JsonResponse(handler(request), json_dumps_params={"ensure_ascii": False})
        except payloads.NotFound as error:
            return JsonResponse({"error": str(error)}, status=404)
        except books.BooksError as error:
            return JsonResponse({"error": error.reason}, status=409)
        except (ValueError, TypeError) as error:
            return JsonResponse({"error": str(error)}, status=400)

    return functools.wraps(next(iter(handlers.values())))(view)


def _health(request: HttpRequest) -> Body:
    return {"ok": True, "now": clock.now().isoformat()}


def _list_merchants(request: HttpRequest) -> Body:
    found = merchants.list_merchants(platform=request.GET.get("platform", ""))
    return {"merchants": [merchants.credentials_of(merchant) for merchant in found]}


def _create_merchant(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    merchant = merchants.create_merchant(
        platform=str(body.get("platform", "")),
        name=str(body.get("name", "")) or "SIMULATOR 模拟商户",
        now=clock.now(),
        rate_ppm=int(body.get("rate_ppm", 6000)),
        key_mode=str(body.get("key_mode", "public_key")),
    )
    return merchants.credentials_of(merchant)


def _books(request: HttpRequest) -> Body:
    delivery.tick(now=clock.now())
    merchant = payloads.merchant_of(request.GET.dict())
    return payloads.books_json(merchant, payloads.parse_date(request.GET.get("date", "")))


def _bulk(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    payments, refunds = books.add_history(
        merchant=payloads.merchant_of(body),
        payments=[payloads.past_payment(values) for values in body.get("payments", [])],
        refunds=[payloads.past_refund(values) for values in body.get("refunds", [])],
    )
    return {"payments": payments, "refunds": refunds}


def _pay(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    order = payloads.order_of(body)
    key = str(body.get("payer", "") or _payer_of_openid(order.merchant.app_id, order.payer_id))
    if key and key not in PAYERS:
        raise payloads.BadRequest(f"payer must be one of {', '.join(PAYERS)}")
    paid = books.pay_order(order=order, payer=payer_for(key), now=clock.now())
    return payloads.order_json(paid)


def _payer_of_openid(app_id: str, payer_id: str) -> str:
    """Whose openid or buyer id an order already names: it can be paid by nobody else."""
    for payer in PAYERS.values():
        if payer_id and payer_id in (payer.openid(app_id), payer.alipay_id):
            return payer.key
    return ""


def _cancel(request: HttpRequest) -> Body:
    order = payloads.order_of(payloads.body_of(request))
    return payloads.order_json(books.abandon_order(order=order, now=clock.now()))


def _list_faults(request: HttpRequest) -> Body:
    return {
        "faults": [payloads.fault_json(fault) for fault in Fault.objects.order_by("pk")],
        "keys": {
            key: {"meaning": meaning, "value": value}
            for key, (meaning, value) in faults.KEYS.items()
        },
    }


def _add_fault(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    value = body.get("value") or {}
    uses = body.get("uses")
    if not isinstance(value, dict):
        raise payloads.BadRequest("value must be an object")
    if uses is not None and (not isinstance(uses, int) or uses < 1):
        raise payloads.BadRequest("uses must be a positive whole number or null")
    fault = faults.add_fault(
        key=str(body.get("key", "")),
        platform=str(body.get("platform", "")),
        value=value,
        uses=uses,
    )
    return payloads.fault_json(fault)


def _remove_faults(request: HttpRequest) -> Body:
    values = {**request.GET.dict(), **payloads.body_of(request)}
    removed = faults.remove_faults(
        fault_id=int(values["id"]) if values.get("id") else None,
        key=str(values.get("key", "")),
        platform=str(values.get("platform", "")),
    )
    return {"removed": removed}


def _read_clock(request: HttpRequest) -> Body:
    return clock.read()


def _set_clock(request: HttpRequest) -> Body:
    body = payloads.body_of(request)

    def number(name: str) -> float | None:
        return None if body.get(name) is None else float(body[name])

    clock.set_clock(
        offset_seconds=number("offset_seconds"),
        advance_seconds=number("advance_seconds"),
        factor=number("factor"),
    )
    delivery.tick(now=clock.now())
    return clock.read()


def _list_notices(request: HttpRequest) -> Body:
    found = Notice.objects.select_related("order__merchant", "refund").order_by("-pk")
    for name in ("out_trade_no", "merchant_no"):
        value = request.GET.get(name)
        if value:
            lookup = (
                "order__out_trade_no" if name == "out_trade_no" else "order__merchant__merchant_no"
            )
            found = found.filter(**{lookup: value})
    if request.GET.get("platform"):
        found = found.filter(platform=request.GET["platform"])
    limit = int(request.GET.get("limit", "200"))
    return {"notices": [payloads.notice_json(notice) for notice in found[:limit]]}


def _flush(request: HttpRequest) -> Body:
    now = clock.now()
    delivery.tick(now=now)
    return {"attempts": notifications.deliver_due(now=now, limit=1000)}


health = _answer(get=_health)
merchant_list = _answer(get=_list_merchants, post=_create_merchant)
book_list = _answer(get=_books)
book_bulk = _answer(post=_bulk)
pay = _answer(post=_pay)
cancel = _answer(post=_cancel)
fault_list = _answer(get=_list_faults, post=_add_fault, delete=_remove_faults)
clock_state = _answer(get=_read_clock, post=_set_clock)
notice_list = _answer(get=_list_notices)
notice_flush = _answer(post=_flush)
