"""The control API's JSON: reading what comes in, writing what goes out."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from django.db.models import F, Sum
from django.http import HttpRequest

from apps.simulator import books
from apps.simulator.fault_kinds import Kind
from apps.simulator.models import Fault, Merchant, Notice, Order, Refund, RefundState

#: Ten milliards of yuan; the books hold whole numbers of 64 bits.
_MOST_FEN = 10**12


class BadRequest(ValueError):
    """The request cannot be understood; answered 400 with this text."""


class NotFound(LookupError):
    """Nothing of that number; answered 404 with this text."""


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of a request, {} for an empty body. Raises BadRequest."""
    if not request.body.strip():
        return {}
    try:
        body = json.loads(request.body)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    return body


def merchant_of(values: dict[str, Any]) -> Merchant:
    """The merchant that ``platform`` and ``merchant_no`` name. Raises NotFound."""
    merchant = Merchant.objects.filter(
        platform=str(values.get("platform", "")), merchant_no=str(values.get("merchant_no", ""))
    ).first()
    if merchant is None:
        raise NotFound("no such merchant")
    return merchant


def order_of(values: dict[str, Any]) -> Order:
    """The order of ``platform`` and ``code``, or of ``out_trade_no`` and ``merchant_no``. Raises NotFound."""
    if values.get("code"):
        order = books.order_by_code(
            platform=str(values.get("platform", "")), code=str(values["code"])
        )
    else:
        order = books.order_by_no(
            merchant=merchant_of(values), out_trade_no=str(values.get("out_trade_no", ""))
        )
    if order is None:
        raise NotFound("no such order, or the code was replaced")
    return order


def parse_date(text: str) -> date | None:
    """An ISO date, None for "". Raises BadRequest."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"not an ISO date: {text!r}") from error


def _time(value: Any, name: str) -> datetime:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadRequest(f"{name} is not an ISO time: {value!r}") from error
    if at.tzinfo is None:
        raise BadRequest(f"{name} has no zone: {value!r}")
    return at


def past_payment(values: dict[str, Any]) -> books.PastPayment:
    """One payment of the bulk call. Raises BadRequest."""
    try:
        return books.PastPayment(
            out_trade_no=str(values["out_trade_no"]),
            trade_no=str(values["trade_no"]),
            product=str(values["product"]),
            amount_fen=fen_of(values["amount_fen"], "amount_fen"),
            paid_at=_time(values["paid_at"], "paid_at"),
            payer_id=str(values.get("payer_id", "")),
            description=str(values.get("description", "")),
            fee_fen=None
            if values.get("fee_fen") is None
            else whole_of(values["fee_fen"], "fee_fen", most=_MOST_FEN),
            wallet=str(values.get("wallet", "")),
            terminal_sn=str(values.get("terminal_sn", "")),
            store_id=str(values.get("store_id", "")),
            terminal_id=str(values.get("terminal_id", "")),
        )
    except KeyError as error:
        raise BadRequest(f"a payment lacks {error}") from error


def past_refund(values: dict[str, Any]) -> books.PastRefund:
    """One refund of the bulk call. Raises BadRequest."""
    try:
        finished = values.get("finished_at")
        return books.PastRefund(
            out_trade_no=str(values["out_trade_no"]),
            out_refund_no=str(values["out_refund_no"]),
            refund_no=str(values["refund_no"]),
            amount_fen=fen_of(values["amount_fen"], "amount_fen"),
            accepted_at=_time(values["accepted_at"], "accepted_at"),
            finished_at=None if finished is None else _time(finished, "finished_at"),
        )
    except KeyError as error:
        raise BadRequest(f"a refund lacks {error}") from error


def objects_of(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects, empty where there is none. Raises BadRequest."""
    found = body.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadRequest(f"{name} must be a list of objects")
    return found


def fen_of(value: Any, name: str) -> int:
    """A positive whole amount. Raises BadRequest."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MOST_FEN:
        raise BadRequest(f"{name} is not a positive whole number up to {_MOST_FEN}: {value!r}")
    return value


def whole_of(value: Any, name: str, *, least: int = 0, most: int = 2**53) -> int:
    """A whole number, which may also be written as text or as 3.0. Raises BadRequest."""
    found = number_of(value, name, least=least, most=most)
    if found != int(found):
        raise BadRequest(f"{name} must be a whole number, not {value!r}")
    return int(found)


def number_of(value: Any, name: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number, which may also be written as text. Raises BadRequest."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise BadRequest(f"{name} must be a number, not {value!r}")
    if not least <= found <= most:
        raise BadRequest(f"{name} must be from {least} to {most}, not {value!r}")
    return found


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def payment_json(order: Order) -> dict[str, Any]:
    """A payment as the books show it."""
    return {
        "out_trade_no": order.out_trade_no,
        "trade_no": order.trade_no,
        "product": order.product,
        "amount_fen": order.amount_fen,
        "fee_fen": order.fee_fen,
        "state": order.state,
        "paid_at": _iso(order.paid_at),
        "refunded_fen": order.refunded_fen,
        "wallet": order.charging,
    }


def _payment_row(row: dict[str, Any], *, platform: str, refunded: dict[int, int]) -> dict[str, Any]:
    """``payment_json`` of plain values; ``refunded`` holds the sums by the orders' ids."""
    refunded_fen = refunded.get(row.pop("pk"), 0)
    return {
        **row,
        "paid_at": _iso(row["paid_at"]),
        "refunded_fen": refunded_fen,
        "wallet": row["wallet"] or platform,
    }


def books_json(merchant: Merchant, day: date | None) -> dict[str, Any]:
    """A merchant's books of one Beijing day, or all: refunds' ``fee_fen`` is the returned fee, positive.

    Ten thousand rows are common: they are read as plain values, with the refunded sums in one query.
    """
    refunded = dict(
        Refund.objects.filter(merchant=merchant)
        .exclude(state=RefundState.CLOSED)
        .values_list("order_id")
        .annotate(Sum("amount_fen"))
    )
    payments = books.payments_of(merchant, day=day).values(
        *("pk", "out_trade_no", "trade_no", "product", "amount_fen", "fee_fen", "state"),
        *("paid_at", "wallet"),
    )
    refunds = books.refunds_of(merchant, day=day).select_related(None)
    return {
        "payments": [
            _payment_row(row, platform=merchant.platform, refunded=refunded)
            for row in payments.iterator(chunk_size=2000)
        ],
        "refunds": [
            {
                **row,
                "accepted_at": _iso(row["accepted_at"]),
                "finished_at": _iso(row["finished_at"]),
            }
            for row in refunds.values(
                *("out_refund_no", "refund_no", "amount_fen", "fee_fen", "state", "finished_at"),
                out_trade_no=F("order__out_trade_no"),
                accepted_at=F("created_at"),
            ).iterator(chunk_size=2000)
        ],
        "totals": asdict(books.totals_of(merchant, day=day)),
    }


def order_json(order: Order) -> dict[str, Any]:
    """An order after the wallet acted on it."""
    return {
        "platform": order.platform,
        "merchant_no": order.merchant.merchant_no,
        **payment_json(order),
        "payer_id": order.payer_id,
        "return_url": order.return_url,
    }


def kind_json(kind: Kind) -> dict[str, Any]:
    """One kind of fault; ``platforms`` empty is all of them."""
    return {
        "meaning": kind.english,
        "meaning_zh": kind.chinese,
        "topic": kind.topic.name.lower(),
        "platforms": list(kind.platforms),
        "value": kind.value,
    }


def fault_json(fault: Fault) -> dict[str, Any]:
    """A fault in force; ``uses`` null is for ever."""
    return {
        "id": fault.pk,
        "key": fault.key,
        "platform": fault.platform,
        "value": fault.value,
        "uses": fault.remaining,
    }


def notice_json(notice: Notice) -> dict[str, Any]:
    """A notice with all its attempts."""
    return {
        "id": notice.pk,
        "notice_no": notice.notice_no,
        "platform": notice.platform,
        "merchant_no": notice.order.merchant.merchant_no,
        "out_trade_no": notice.order.out_trade_no,
        "out_refund_no": notice.refund.out_refund_no if notice.refund else None,
        "kind": notice.kind,
        "url": notice.url,
        "state": notice.state,
        "attempts": notice.attempts,
        "next_at": _iso(notice.next_at),
        "last_status": notice.last_status,
        "last_body": notice.last_body,
        "forged": notice.forged,
        "held": notice.held,
        "history": notice.history,
    }
