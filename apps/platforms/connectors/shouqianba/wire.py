"""Shouqianba messages to and from our dataclasses: JSON of texts, fen as digits, times as milliseconds since 1970.

Three levels stand in an answer: whether the call was understood (the client's matter), what became of this very action
(``Answer.result``), and where the order stands (``order_status``), which alone decides about money.
Source: Shouqianba Web API documentation (pay, precreate, query, refund, cancel, appendix). Every reader raises
MalformedMessage when a field that decides about money is missing or is not ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.core.money import Money
from apps.platforms.fields import load_object, optional, text
from apps.platforms.gateway import (
    BarcodeRequest,
    CreateRequest,
    MalformedMessage,
    Notification,
    NotificationKind,
    Outcome,
    PaymentResult,
    PlatformRejected,
    RefundRequest,
    RefundResult,
)

#: Who is named as operator where nobody stands at a till.
OPERATOR = "portal"
#: The longest address that Shouqianba calls or leads back to, and the most fen it takes: ten digits.
MAX_URL = 128
MAX_AMOUNT = 9_999_999_999

#: The action was done.
DONE = frozenset(
    {
        "SUCCESS",
        "PAY_SUCCESS",
        "PRECREATE_SUCCESS",
        "REFUND_SUCCESS",
        "CANCEL_SUCCESS",
        "CANCEL_ABORT_SUCCESS",
    }
)
#: The action was not done, or was done and undone: for good. All that is neither here nor above is unknown.
REFUSED = frozenset({"FAIL", "PAY_FAIL", "PRECREATE_FAIL", "REFUND_FAIL"})
#: Under way, nothing wrong so far; as unknown as the rest.
WAITING = frozenset(
    {
        "PAY_IN_PROGRESS",
        "REFUND_IN_PROGRESS",
        "CANCEL_IN_PROGRESS",
        "CANCEL_ABORT_IN_PROGRESS",
    }
)

NOT_FOUND = frozenset({"UPAY_ORDER_NOT_EXISTS", "UPAY_ORDER_NOT_EXIST"})
CONFLICT = "CLIENT_SN_CONFLICT"
#: Already so: the cancellation, this very refund.
CANCELLED_BEFORE = "UPAY_CANCEL_ORDER_NOOP"
REFUNDED_BEFORE = "UPAY_REFUND_ORDER_NOOP"
#: Refusals to cancel that say nothing about where the order stands.
NOT_CANCELLABLE = frozenset(
    {"UPAY_CANCEL_INVALID_ORDER_STATE", "UPAY_TCP_ORDER_NOT_REFUNDABLE", "TRADE_HAS_SUCCESS"}
)
#: Refusals of a refund that its own earlier success may have caused: an order that is refunded in full refuses a repeat
#: in these words (documentation, example of a failed refund).
MAYBE_REFUNDED = frozenset(
    {
        "UPAY_REFUND_INVALID_ORDER_STATE",
        "REFUNDABLE_AMOUNT_NOT_ENOUGH",
        "REFUND_AMT_NOT_EQUAL_TOTAL",
    }
)
#: The merchant's balance is too low: the same refund may be sent again.
BALANCE = frozenset({"SELLER_BALANCE_NOT_ENOUGH", "ACCOUNT_BALANCE_NOT_ENOUGH"})
#: Said as a refusal, and yet no word about what happened.
DOUBTFUL = frozenset(
    {CONFLICT, "EXTERNAL_SERVICE_EXCEPTION", "UNKNOWN_SYSTEM_ERROR", "TRADE_NOT_EXIST"}
)

#: States of an order. What is missing here (PAY_ERROR, CANCEL_ERROR, CANCEL_INPROGRESS, INVALID_STATUS_CODE and whatever
#: may come) is unknown. A refund of unknown result leaves the payment made.
ORDER_OUTCOMES: Mapping[str, Outcome] = {
    "CREATED": Outcome.PENDING,
    "IN_QUEUE": Outcome.PENDING,
    "PAID": Outcome.SUCCEEDED,
    "PARTIAL_REFUNDED": Outcome.SUCCEEDED,
    "REFUNDED": Outcome.SUCCEEDED,
    "REFUND_ERROR": Outcome.SUCCEEDED,
    # Failed and reversed; newer answers say it after a cancellation as well. Either way nothing is left charged.
    "PAY_CANCELED": Outcome.CLOSED,
    "CANCELED": Outcome.CLOSED,
}
REFUNDED = frozenset({"REFUNDED", "PARTIAL_REFUNDED"})
SETTLED = frozenset({"PAID", "CANCELED", "PAY_CANCELED"}) | REFUNDED
#: States of the latest transaction of an order that say nothing about the payer's side.
_TROUBLED = re.compile(
    r"FAIL_PROTOCOL_\d|FAIL_IO_\d|FAIL_ERROR|CANCEL_ERROR|REFUND_ERROR|FAIL_CANCELED"
)
_TRANSACTION_OUTCOMES: Mapping[str, Outcome] = {
    "SUCCESS": Outcome.SUCCEEDED,
    "IN_PROG": Outcome.PENDING,
    "FAIL_CANCELED": Outcome.FAILED,
}
#: Who paid, by ``payway``. 2 is Alipay's present interface, 15 WeChat Pay through an acquirer.
WALLETS: Mapping[str, str] = {
    "1": "alipay",
    "2": "alipay",
    "3": "wechatpay",
    "15": "wechatpay",
    "17": "unionpay",
}

_UNWANTED = re.compile(r"[\ud800-\udfff\x00-\x1f\x7f]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Shouqianba says about one action. ``data`` is the order, empty where it is not told."""

    result: str
    error_code: str = ""
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def code(self) -> str:
        """The word that tells most."""
        return self.error_code or self.result

    @property
    def refused(self) -> bool:
        """Whether the action is known not to have taken effect."""
        return self.result in REFUSED and self.error_code not in DOUBTFUL


# What we send


def clean(words: str, limit: int) -> str:
    """Text as the platform takes it: no control characters, at most ``limit`` characters."""
    return " ".join(_UNWANTED.sub(" ", words).split())[:limit].strip()


def dump(message: Mapping[str, Any]) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def load(body: bytes) -> dict[str, Any]:
    """Read a JSON object; a field that stands there twice makes it unreadable. Raises MalformedMessage."""
    return load_object(body)


def code_order(request: CreateRequest, *, payway: str) -> dict[str, str]:
    """The body of ``precreate``."""
    return {
        "client_sn": request.order_no,
        "total_amount": _amount(request.amount),
        "payway": payway,
        "subject": clean(request.subject, 64) or request.order_no,
        "operator": OPERATOR,
        "notify_url": _address(request.notify_url),
    }


def page_order(request: CreateRequest, *, payway: str) -> dict[str, str]:
    """The parameters of the cashier page's address (WAP2); ``return_url`` is required there."""
    return {**code_order(request, payway=payway), "return_url": _address(request.return_url)}


def barcode_order(request: BarcodeRequest) -> dict[str, str]:
    """The body of ``pay``. The wallet is told by the code itself."""
    return {
        "client_sn": request.order_no,
        "total_amount": _amount(request.amount),
        "dynamic_id": request.auth_code,
        "subject": clean(request.subject, 64) or request.order_no,
        "operator": clean(request.operator, 32) or OPERATOR,
        "notify_url": _address(request.notify_url),
    }


def refund_order(request: RefundRequest) -> dict[str, str]:
    """The body of ``refund``. Always by our order number, so that a repeat is the same to the letter.

    ``client_tsn`` carries our own number of the refund, by which a query's answer tells whose it is.
    """
    return {
        "client_sn": request.order_no,
        "client_tsn": request.refund_no,
        "refund_request_no": request_no(request.refund_no),
        "refund_amount": _amount(request.amount),
        "operator": clean(request.operator, 32) or OPERATOR,
    }


def request_no(refund_no: str) -> str:
    """``refund_request_no``, the idempotency key of a refund: our number, shortened where it has more than 20 characters.

    The same number always gives the same key; 80 bits of SHA-256, so two refunds of one order never share one.
    """
    if len(refund_no) <= 20:
        return refund_no
    return hashlib.sha256(refund_no.encode()).hexdigest()[:20]


def _amount(amount: Money) -> str:
    if not 0 < amount.minor <= MAX_AMOUNT:
        raise PlatformRejected("an amount of more than ten digits", code="amount_out_of_range")
    return str(amount.minor)


def _address(url: str) -> str:
    if not url or len(url) > MAX_URL:
        raise PlatformRejected("an address of ours is too long", code="address_too_long")
    return url


# What we read


def payment(message: Mapping[str, Any], *, order_no: str | None = None) -> PaymentResult:
    """An order, from a query or from a callback. An order that was refunded later is a payment made."""
    number = _number(message, order_no)
    state = text(message, "order_status")
    outcome = ORDER_OUTCOMES.get(state, Outcome.UNKNOWN)
    if outcome is Outcome.PENDING and _TROUBLED.fullmatch(optional(message, "status")):
        outcome = Outcome.UNKNOWN
    made = outcome is Outcome.SUCCEEDED
    total = _fen(message, "total_amount") if made or message.get("total_amount") else None
    login, payer = optional(message, "payer_login"), optional(message, "payer_uid")
    return PaymentResult(
        outcome=outcome,
        order_no=number,
        platform_trade_no=(text if made else optional)(message, "sn") or None,
        amount=total,
        payer_id=payer or None,
        payer_masked=_masked(login) or _masked(payer),
        paid_at=_paid_at(message, state) if made else None,
        refunded=given_back(message) if made and message.get("net_amount") else None,
        wallet=WALLETS.get(optional(message, "payway"), ""),
        code=state,
        payload=_redacted(message),
    )


def code_opened(message: Mapping[str, Any], request: CreateRequest) -> str:
    """The code to show, from the answer that opened the order."""
    _number(message, request.order_no)
    if message.get("total_amount") and _fen(message, "total_amount") != request.amount:
        raise MalformedMessage("total_amount is another one")
    return text(message, "qr_code")


def given_back(message: Mapping[str, Any]) -> Money:
    """What all refunds of an order have given back so far: ``net_amount`` is what is left."""
    total, net = _fen(message, "total_amount"), _fen(message, "net_amount")
    if net > total:
        raise MalformedMessage("more is left than was paid")
    return total - net


def _paid_at(message: Mapping[str, Any], state: str) -> datetime | None:
    # Once something was refunded, these are the times of that; the order was made within minutes of being paid.
    names = ("channel_finish_time", "finish_time") if state == "PAID" else ("ctime",)
    return _time(message, *names)


def callback(message: Mapping[str, Any], *, terminals: Collection[str]) -> Notification:
    """A verified callback. One about a refund names it in ``client_tsn``; without that it only tells how much went back.

    ``terminals``: those of the account. Shouqianba signs for all merchants with one key, so a callback about somebody
    else's order verifies as well.
    """
    if text(message, "terminal_sn") not in terminals:
        raise MalformedMessage("terminal_sn is not ours")
    result = payment(message)
    transaction = optional(message, "client_tsn")
    key = ":".join(
        (
            optional(message, "sn"),
            result.code,
            optional(message, "status"),
            transaction,
            optional(message, "net_amount"),
        )
    )
    refund_no = transaction if transaction != result.order_no else ""
    if result.code not in REFUNDED or not refund_no:
        return Notification(kind=NotificationKind.PAYMENT, dedup_key=key, payment=result)
    status = optional(message, "status") or "SUCCESS"
    refund = RefundResult(
        outcome=_TRANSACTION_OUTCOMES.get(status, Outcome.UNKNOWN),
        order_no=result.order_no,
        refund_no=refund_no,
        # net_amount tells the sum of all refunds, not this one's part.
        amount=None,
        refunded_at=_time(message, "channel_finish_time", "finish_time"),
        code=result.code,
        payload=result.payload,
    )
    return Notification(kind=NotificationKind.REFUND, dedup_key=key, payment=result, refund=refund)


def is_refund(message: Mapping[str, Any], *, order_no: str, refund_no: str) -> bool:
    """Whether the order's latest transaction is this refund.

    Where ``client_tsn`` was not taken over, Shouqianba makes one of the order's number and ``refund_request_no``.
    """
    made_up = f"{order_no}-{request_no(refund_no)}"
    return optional(message, "client_tsn") in {refund_no, made_up}


def refund_shown(
    message: Mapping[str, Any],
    *,
    order_no: str,
    refund_no: str,
    asked: Money | None,
    before: Money | None,
) -> RefundResult:
    """A refund that is the order's latest transaction; ``asked`` is its amount as we sent it, if known.

    ``before``: what the other refunds that we know of have given back, if known.
    """
    state = text(message, "order_status")
    status = optional(message, "status")
    outcome = _TRANSACTION_OUTCOMES.get(status, Outcome.UNKNOWN)
    if not status:
        outcome = Outcome.SUCCEEDED if state in REFUNDED else Outcome.UNKNOWN
    elif outcome is Outcome.SUCCEEDED and state not in REFUNDED:
        outcome = Outcome.UNKNOWN
    amount = None
    if outcome is Outcome.SUCCEEDED and before is not None:
        amount = given_back(message) - before
        if asked is not None and amount > asked:
            # The sums hold somebody else's refunds as well, such as one made in the console; this one's part is not told.
            amount = None
    return RefundResult(
        outcome=outcome,
        order_no=_number(message, order_no),
        refund_no=refund_no,
        amount=amount,
        refunded_at=_time(message, "channel_finish_time", "finish_time")
        if outcome is Outcome.SUCCEEDED
        else None,
        code=state,
        payload=_redacted(message),
    )


def refund_among(
    message: Mapping[str, Any], *, amount: Money | None, before: Money | None
) -> bool | None:
    """Whether a refund that is not the latest transaction was made, told from the order's sums; None: they do not tell.

    Another's refund of the same size fits the sums as well, so they count only where Shouqianba has just refused ours.
    ``before`` is what the payment's other refunds have given back for certain, None while another one is under way: two
    parts of the same size must never be taken for each other.
    """
    state = text(message, "order_status")
    if state not in SETTLED:
        return None
    if state not in REFUNDED:
        return False
    back = given_back(message)
    if amount is not None and back < amount:
        return False
    if before is None:
        return None
    if back == before:
        return False
    return True if amount is not None and back == before + amount else None


def refund_made(message: Mapping[str, Any], request: RefundRequest) -> RefundResult:
    """The result in the answer to a refund that Shouqianba calls a success."""
    if optional(message, "client_tsn") and not is_refund(
        message, order_no=request.order_no, refund_no=request.refund_no
    ):
        raise MalformedMessage("client_tsn is another one")
    result = refund_shown(
        message,
        order_no=request.order_no,
        refund_no=request.refund_no,
        asked=request.amount,
        before=None,
    )
    if _fen(message, "total_amount") != request.order_amount:
        raise MalformedMessage("total_amount is another one")
    if result.outcome is Outcome.SUCCEEDED and given_back(message) < request.amount:
        raise MalformedMessage("less was refunded than asked")
    return RefundResult(
        outcome=result.outcome,
        order_no=result.order_no,
        refund_no=result.refund_no,
        amount=request.amount,
        refunded_at=result.refunded_at,
        code=result.code,
        payload=result.payload,
    )


def _number(message: Mapping[str, Any], order_no: str | None) -> str:
    number = text(message, "client_sn")
    if order_no is not None and number != order_no:
        raise MalformedMessage("client_sn is another one")
    return number


def _fen(message: Mapping[str, Any], name: str) -> Money:
    value = text(message, name)
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise MalformedMessage(f"{name} is no amount in fen")
    return Money(int(value))


def _time(message: Mapping[str, Any], *names: str) -> datetime | None:
    """The first of these times that is told."""
    value = next((optional(message, name) for name in names if optional(message, name)), "")
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{13}", value):
        raise MalformedMessage("a time that is no time")
    return _EPOCH + timedelta(milliseconds=int(value))


def _masked(who: str) -> str:
    """A log-in or id fit to show: as the wallet masks it, else only its ends."""
    if "*" in who:
        return who
    return f"{who[:3]}***{who[-2:]}" if len(who) > 8 else "***" if who else ""


def _redacted(message: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        "sn",
        "client_sn",
        "client_tsn",
        "trade_no",
        "status",
        "order_status",
        "payway",
        "payway_name",
        "sub_payway",
        "total_amount",
        "net_amount",
        "ctime",
        "finish_time",
        "channel_finish_time",
        "terminal_sn",
        "store_id",
        "operator",
        "payment_list",
    }
    return {name: value for name, value in message.items() if name in shown}
