"""The control API: JSON in, JSON out; errors are ``{"error": text}`` with 400, 404 or 409."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.simulator import books, clock, delivery, faults, merchants, notifications, paycodes
from apps.simulator.control import payloads
from apps.simulator.control.guard import loopback_only
from apps.simulator.fault_kinds import KINDS
from apps.simulator.fault_values import MOST_USES
from apps.simulator.models import Fault, Notice, Order, Platform
from apps.simulator.payers import PAYERS, payer_for
from apps.simulator.shouqianba import terminals

_LARGE = 2**53

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
        except (books.BooksError, paycodes.NothingToConfirm) as error:
            return JsonResponse({"error": error.reason}, status=409)
        except notifications.NothingToSend as error:
            return JsonResponse({"error": str(error)}, status=409)
        except (ValueError, TypeError, OverflowError) as error:
            return JsonResponse({"error": str(error) or "not understood"}, status=400)

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
        rate_ppm=payloads.whole_of(body.get("rate_ppm", 6000), "rate_ppm", least=0, most=1_000_000),
        key_mode=str(body.get("key_mode", "public_key")),
    )
    return merchants.credentials_of(merchant)


def _renew_certificate(request: HttpRequest) -> Body:
    merchant = payloads.merchant_of(payloads.body_of(request))
    renewed = merchants.renew_certificate(merchant=merchant, now=clock.now())
    return merchants.credentials_of(renewed)


def _books(request: HttpRequest) -> Body:
    delivery.tick(now=clock.now())
    merchant = payloads.merchant_of(request.GET.dict())
    return payloads.books_json(merchant, payloads.parse_date(request.GET.get("date", "")))


def _bulk(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    payments, refunds = books.add_history(
        merchant=payloads.merchant_of(body),
        payments=[
            payloads.past_payment(values) for values in payloads.objects_of(body, "payments")
        ],
        refunds=[payloads.past_refund(values) for values in payloads.objects_of(body, "refunds")],
    )
    return {"payments": payments, "refunds": refunds}


def _pay(request: HttpRequest) -> Body:
    """One order, or with ``orders`` a list of them: each takes what it does not name itself from the body around it."""
    body = payloads.body_of(request)
    if "orders" in body:
        return _pay_all(body)
    return payloads.order_json(_pay_one(body))


def _pay_all(body: Body) -> Body:
    """``{"paid": count, "refused": [{"out_trade_no", "error"}]}``: one that is refused does not stop the others."""
    wanted = payloads.objects_of(body, "orders")
    del body["orders"]
    refused: list[Body] = []
    for one in wanted:
        try:
            _pay_one({**body, **one})
        except (books.BooksError, payloads.NotFound, payloads.BadRequest) as error:
            number = str(one.get("out_trade_no") or one.get("code") or "")
            refused.append({"out_trade_no": number, "error": str(error)})
    return {"paid": len(wanted) - len(refused), "refused": refused}


def _pay_one(body: Body) -> Order:
    order = payloads.order_of(body)
    key = str(body.get("payer", "") or _payer_named(order))
    if key and key not in PAYERS:
        raise payloads.BadRequest(f"payer must be one of {', '.join(PAYERS)}")
    return books.pay_order(order=order, payer=payer_for(key), now=clock.now())


def _payer_named(order: Order) -> str:
    """Whose openid or buyer id an order already names: it can be paid by nobody else."""
    for payer in PAYERS.values():
        if order.payer_id and order.payer_id == books.payer_id_of(order=order, payer=payer):
            return payer.key
    return ""


def _cancel(request: HttpRequest) -> Body:
    order = payloads.order_of(payloads.body_of(request))
    return payloads.order_json(books.abandon_order(order=order, now=clock.now()))


def _issue_pay_code(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    code = paycodes.issue(
        wallet=str(body.get("wallet", "")),
        payer_key=str(body.get("payer") or "demo"),
        behaviour=str(body.get("behaviour") or paycodes.PAYS),
        seconds=payloads.number_of(
            body.get("seconds") or paycodes.LIFE_SECONDS, "seconds", least=0, most=86_400
        ),
        now=clock.now(),
    )
    return {"digits": code.digits, "expires_at": code.expires_at.isoformat()}


def _confirm_pay_code(request: HttpRequest) -> Body:
    digits = str(payloads.body_of(request).get("digits", ""))
    return payloads.order_json(paycodes.confirm(digits=digits, now=clock.now()))


def _list_faults(request: HttpRequest) -> Body:
    return {
        "faults": [payloads.fault_json(fault) for fault in Fault.objects.order_by("pk")],
        "keys": {key: payloads.kind_json(kind) for key, kind in KINDS.items()},
    }


def _add_fault(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    value = body.get("value") or {}
    uses = body.get("uses")
    if not isinstance(value, dict):
        raise payloads.BadRequest("value must be an object")
    if uses is not None and (
        not isinstance(uses, int) or isinstance(uses, bool) or not 1 <= uses <= MOST_USES
    ):
        raise payloads.BadRequest(f"uses must be a whole number from 1 to {MOST_USES}, or null")
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
        fault_id=payloads.whole_of(values["id"], "id") if values.get("id") else None,
        key=str(values.get("key", "")),
        platform=str(values.get("platform", "")),
    )
    return {"removed": removed}


def _read_schedule(request: HttpRequest) -> Body:
    schedule = faults.current_schedule()
    return {"schedule": schedule.report() if schedule is not None else None}


def _set_schedule(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    rates, values = body.get("rates"), body.get("values") or {}
    if not isinstance(rates, dict) or not isinstance(values, dict):
        raise payloads.BadRequest("rates and values must be objects")
    schedule = faults.set_schedule(
        seed=payloads.whole_of(body.get("seed", 0), "seed", least=-_LARGE),
        rates=rates,
        values=values,
        platforms=tuple(str(one) for one in body.get("platforms") or ()),
    )
    return {"schedule": schedule.report()}


def _end_schedule(request: HttpRequest) -> Body:
    schedule = faults.end_schedule()
    return {"schedule": schedule.report() if schedule is not None else None}


def _read_clock(request: HttpRequest) -> Body:
    return clock.read()


def _set_clock(request: HttpRequest) -> Body:
    body = payloads.body_of(request)

    def number(name: str) -> float | None:
        return None if body.get(name) is None else payloads.number_of(body[name], name)

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
    limit = payloads.whole_of(request.GET.get("limit", "200"), "limit", most=100_000)
    return {"notices": [payloads.notice_json(notice) for notice in found[:limit]]}


def _activation_code(request: HttpRequest) -> Body:
    body = {**payloads.body_of(request), "platform": Platform.SHOUQIANBA}
    uses = payloads.whole_of(body.get("uses", 1), "uses", least=1, most=100_000)
    code = terminals.new_activation_code(
        merchant=payloads.merchant_of(body), now=clock.now(), uses=uses
    )
    return {"code": code.code}


def _notice_of(request: HttpRequest) -> Notice:
    """The notice that a body names by ``id`` or ``notice_no``. Raises NotFound."""
    body = payloads.body_of(request)
    found = Notice.objects.select_related("order__merchant", "refund")
    if body.get("id"):
        found = found.filter(pk=payloads.whole_of(body["id"], "id"))
    else:
        found = found.filter(notice_no=str(body.get("notice_no", "")))
    notice = found.first()
    if notice is None:
        raise payloads.NotFound("no such notice")
    return notice


def _forge(request: HttpRequest) -> Body:
    body = payloads.body_of(request)
    amount = body.get("amount_fen")
    now = clock.now()
    notice = notifications.forge(
        order=payloads.order_of(body),
        payer=payer_for(str(body.get("payer", ""))),
        now=now,
        due_at=now,
        amount_fen=None if amount is None else payloads.fen_of(amount, "amount_fen"),
    )
    notifications.attempt(notice_id=notice.pk, now=now)
    notice.refresh_from_db()
    return payloads.notice_json(notice)


def _replay(request: HttpRequest) -> Body:
    notice = _notice_of(request)
    status = notifications.replay(notice=notice, now=clock.now())
    return {**payloads.notice_json(notice), "answered": status}


def _resend(request: HttpRequest) -> Body:
    notice = _notice_of(request)
    status = notifications.resend(notice=notice, now=clock.now())
    return {**payloads.notice_json(notice), "answered": status}


def _flush(request: HttpRequest) -> Body:
    now = clock.now()
    delivery.tick(now=now)
    return {"attempts": notifications.deliver_due(now=now, limit=1000)}


health = _answer(get=_health)
merchant_list = _answer(get=_list_merchants, post=_create_merchant)
merchant_renew = _answer(post=_renew_certificate)
book_list = _answer(get=_books)
book_bulk = _answer(post=_bulk)
pay = _answer(post=_pay)
cancel = _answer(post=_cancel)
pay_code = _answer(post=_issue_pay_code)
pay_code_confirm = _answer(post=_confirm_pay_code)
fault_list = _answer(get=_list_faults, post=_add_fault, delete=_remove_faults)
fault_schedule = _answer(get=_read_schedule, post=_set_schedule, delete=_end_schedule)
clock_state = _answer(get=_read_clock, post=_set_clock)
notice_list = _answer(get=_list_notices)
notice_flush = _answer(post=_flush)
notice_forge = _answer(post=_forge)
notice_replay = _answer(post=_replay)
notice_resend = _answer(post=_resend)
activation_code = _answer(post=_activation_code)
