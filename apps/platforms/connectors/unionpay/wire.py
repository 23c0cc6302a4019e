"""UnionPay messages to and from our dataclasses: fen as digits, times that are Beijing's and partly without a year.

Source: UnionPay's ACP manual 5.1.0 and SDK samples. Every reader raises MalformedMessage when a field that decides about
money is missing or not ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.core.clock import CHINA
from apps.core.money import Money
from apps.platforms.fields import optional, text
from apps.platforms.gateway import (
    BarcodeRequest,
    CreateRequest,
    Credentials,
    MalformedMessage,
    Notification,
    NotificationKind,
    Outcome,
    PaymentResult,
    Product,
    RefundRequest,
    RefundResult,
)

ACCEPTED = "00"
DUPLICATE = "12"
NOT_FOUND = "34"
NO_FILE = "98"
#: "Too many queries, or too frequent": about one transaction.
TOO_OFTEN = "37"
#: Our signature, certificate or key was refused: the call was not looked at, which says nothing about what it asked.
UNSIGNED = "11"
#: Paid; the second with a defect, which the bill confirms.
PAID = frozenset({"00", "A6"})
#: The platform does not know yet.
UNDER_WAY = frozenset({"03", "04", "05"})
#: Nor here: it may come to know the number later, and "general error" says nothing.
UNDECIDED = UNDER_WAY | {"34", "99"}
#: The same of a payment asked about; 42 is "debited, but too late".
UNSETTLED = UNDECIDED | {"42"}
#: Answers to any call that leave open what became of it.
DOUBTFUL = UNSETTLED | {"02", "12", "37", "70", "71", "98"}
#: Answers by which money certainly did not move. A code that is in neither list is asked about by query.
REFUSED = frozenset(
    {"01", "10", "11", "13", "14", "30", "31", "32", "33", "35", "36", "38", "39", "40", "41"}
    | {"60", "61", "62", "63", "64", "65", "66", "67", "68", "69"}
    | {"72", "73", "74", "75", "76", "77", "78", "79", "80"}
)
#: Refusals of a query that are about us, whatever the order: message, signature, field, merchant's state, permission.
OUR_FAULT = frozenset({"10", "11", "13", "31", "32"})

#: What would be read as part of a message's own form.
_UNWANTED = re.compile(r"[&={}\[\]\"'\ud800-\udfff\x00-\x1f\x7f]")
#: Bills and settlement run from 23:00 of the day before (Beijing).
_DAY_STARTS_BEFORE = timedelta(hours=1)
#: A cancellation must arrive on the payment's settlement day; so close to its end it might not.
CANCEL_MARGIN = timedelta(minutes=10)

#: Products of the cashier page are another business at UnionPay than codes are.
_PAGES = {Product.IN_APP, Product.BROWSER}
_CODE_BUSINESS, _PAGE_BUSINESS = "000000", "000201"
PAYMENT = {"01"}
REFUND, CANCEL = "04", "31"
REFUNDS = {REFUND, CANCEL}


def to_beijing(at: datetime) -> str:
    """An aware time as ``20260501093000``."""
    return at.astimezone(CHINA).strftime("%Y%m%d%H%M%S")


def settlement_day(at: datetime) -> str:
    """The settlement day that holds ``at``, as ``20260501``: it runs from 23:00 to 23:00."""
    return (at.astimezone(CHINA) + _DAY_STARTS_BEFORE).strftime("%Y%m%d")


def moment(digits: str, *, near: datetime) -> datetime:
    """``0501093000`` (month to second, Beijing) as UTC, in the year that brings it closest to ``near``.

    Raises ValueError.
    """
    if not re.fullmatch(r"[0-9]{10}", digits):
        raise ValueError("not month, day and time")
    month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(0, 10, 2))
    found = []
    for year in range(near.year - 1, near.year + 2):
        try:
            at = datetime(year, month, day, hour, minute, second, tzinfo=CHINA)
        except ValueError:
            # 29 February is a day in some years only.
            continue
        found.append(at.astimezone(UTC))
    if not found:
        raise ValueError("no such day")
    return min(found, key=lambda at: abs(at - near))


def _clean(words: str, limit: int) -> str:
    return " ".join(_UNWANTED.sub(" ", words).split())[:limit].strip()


def code_order(request: CreateRequest) -> dict[str, str]:
    """An application for a code that the payer scans (申请消费二维码)."""
    return {
        "txnType": "01",
        "txnSubType": "07",
        "bizType": _CODE_BUSINESS,
        "channelType": "08",
        "orderId": request.order_no,
        "txnTime": to_beijing(request.began_at),
        "txnAmt": str(request.amount.minor),
        "currencyCode": "156",
        "backUrl": request.notify_url,
        "payTimeout": to_beijing(request.expires_at),
    }


def page_order(request: CreateRequest) -> dict[str, str]:
    """The cashier page, to which the payer's own browser posts this (手机网页支付)."""
    words = _clean(request.subject, 60)
    return {
        **code_order(request),
        "txnSubType": "01",
        "bizType": _PAGE_BUSINESS,
        "frontUrl": request.return_url,
        "riskRateInfo": f"{{commodityName={words}}}" if words else "",
    }


def barcode_order(request: BarcodeRequest) -> dict[str, str]:
    """A payment by the code on the payer's phone (被扫消费)."""
    terminal = request.terminal_ref
    return {
        "txnType": "01",
        "txnSubType": "06",
        "bizType": _CODE_BUSINESS,
        "channelType": "08",
        "orderId": request.order_no,
        "txnTime": to_beijing(request.began_at),
        "txnAmt": str(request.amount.minor),
        "currencyCode": "156",
        "backUrl": request.notify_url,
        "qrNo": request.auth_code,
        # Numbers that UnionPay gave have eight characters; any other is our own and means nothing there.
        "termId": terminal if re.fullmatch(r"[0-9A-Za-z]{8}", terminal) else "",
    }


def query(*, number: str, began_at: datetime, product: Product | None = None) -> dict[str, str]:
    """A question about a payment or refund, which is known by its number and time together."""
    return {
        "txnType": "00",
        "txnSubType": "00",
        "bizType": _PAGE_BUSINESS if product in _PAGES else _CODE_BUSINESS,
        "orderId": number,
        "txnTime": to_beijing(began_at),
    }


def reversal(*, number: str, began_at: datetime) -> dict[str, str]:
    """The undoing of a payment by code (冲正): number and time are the payment's own."""
    return {
        "txnType": "99",
        "txnSubType": "01",
        "bizType": _CODE_BUSINESS,
        "channelType": "08",
        "orderId": number,
        "txnTime": to_beijing(began_at),
    }


def refund_order(
    request: RefundRequest, *, platform_trade_no: str, cancels_same_day: bool
) -> dict[str, str]:
    """A refund (退货), or a cancellation (消费撤销) where the merchant has it and this is one; the same for every repeat.

    The payment's number goes along as a remark, since the notice and the bill would not name it otherwise.
    """
    return {
        "txnType": CANCEL if cancels_same_day and _may_cancel(request) else REFUND,
        "txnSubType": "00",
        "bizType": _CODE_BUSINESS,
        "channelType": "08",
        "orderId": request.refund_no,
        "txnTime": to_beijing(request.began_at),
        "origQryId": platform_trade_no,
        "txnAmt": str(request.amount.minor),
        "currencyCode": "156",
        "backUrl": request.notify_url,
        "reqReserved": request.order_no,
    }


def _may_cancel(request: RefundRequest) -> bool:
    """Whether all of a payment goes back on its own settlement day. Decided by nothing that changes between repeats."""
    if request.paid_at is None or request.amount != request.order_amount:
        return False
    return settlement_day(request.paid_at) == settlement_day(request.began_at + CANCEL_MARGIN)


def outcome(code: str, *, product: Product, over: bool) -> Outcome:
    """What ``origRespCode`` says about a payment. ``over``: its time to be paid has passed.

    Until then a code that was not scanned, or a card that was refused, may still become a payment; afterwards anything
    but success and "unknown" means that it never will. A payment by the payer's code has one try.
    """
    if code in PAID:
        return Outcome.SUCCEEDED
    if code in UNSETTLED:
        return Outcome.UNKNOWN if over else Outcome.PENDING
    if product is Product.BARCODE:
        if code in REFUSED:
            return Outcome.FAILED
        return Outcome.UNKNOWN if over else Outcome.PENDING
    return Outcome.CLOSED if over else Outcome.PENDING


def payment(
    message: Mapping[str, str], *, outcome: Outcome, code: str, near: datetime
) -> PaymentResult:
    """A payment from an answer or notice whose code was judged. ``near``: about when it was made, for the year."""
    if optional(message, "txnType") not in PAYMENT | {"", "00"}:
        raise MalformedMessage("txnType is not that of a payment")
    paid = outcome is Outcome.SUCCEEDED
    return PaymentResult(
        outcome=outcome,
        order_no=text(message, "orderId"),
        platform_trade_no=(text(message, "queryId") if paid else optional(message, "queryId"))
        or None,
        amount=_fen(message) if paid or optional(message, "txnAmt") else None,
        payer_masked=masked(optional(message, "accNo")),
        paid_at=_made_at(message, near) if paid else None,
        code=code,
        message=optional(message, "origRespMsg") or optional(message, "respMsg"),
        payload=_redacted(message),
    )


def refund(message: Mapping[str, str], *, order_no: str, code: str, near: datetime) -> RefundResult:
    """A refund or cancellation from an answer or notice, judged by ``code``."""
    if optional(message, "txnType") not in REFUNDS | {"", "00"}:
        raise MalformedMessage("txnType is not that of a refund")
    outcome = Outcome.UNKNOWN
    if code in PAID:
        outcome = Outcome.SUCCEEDED
    elif code in UNDER_WAY:
        outcome = Outcome.PENDING
    elif code in REFUSED:
        outcome = Outcome.FAILED
    done = outcome is Outcome.SUCCEEDED
    return RefundResult(
        outcome=outcome,
        order_no=order_no,
        refund_no=text(message, "orderId"),
        platform_refund_no=optional(message, "queryId") or None,
        amount=_fen(message) if done or optional(message, "txnAmt") else None,
        refunded_at=_made_at(message, near) if done else None,
        code=code,
        message=optional(message, "origRespMsg") or optional(message, "respMsg"),
        payload=_redacted(message),
    )


def notification(message: Mapping[str, str], ours: Credentials) -> Notification:
    """A verified notice. UnionPay tells successes only; anything else is not acted upon."""
    if optional(message, "merId") != ours.merchant_no:
        raise MalformedMessage("merId is not ours")
    kind, code = optional(message, "txnType"), optional(message, "respCode")
    near = sent_at(message)
    key = ":".join((kind, text(message, "orderId"), optional(message, "queryId"), code))
    if code in PAID and kind in PAYMENT:
        result = payment(message, outcome=Outcome.SUCCEEDED, code=code, near=near)
        return Notification(kind=NotificationKind.PAYMENT, dedup_key=key, payment=result)
    if code in PAID and kind in REFUNDS:
        # The payment's number comes back as the remark that we sent, if it does.
        order_no = optional(message, "reqReserved")
        return Notification(
            kind=NotificationKind.REFUND,
            dedup_key=key,
            refund=refund(message, order_no=order_no, code=code, near=near),
        )
    return Notification(kind=NotificationKind.OTHER, dedup_key=key)


def sent_at(message: Mapping[str, str]) -> datetime:
    """The transaction's own time. Raises MalformedMessage."""
    value = text(message, "txnTime")
    try:
        if not re.fullmatch(r"[0-9]{14}", value):
            raise ValueError("not fourteen digits")
        return datetime.strptime(value, "%Y%m%d%H%M%S").replace(tzinfo=CHINA).astimezone(UTC)
    except ValueError as error:
        raise MalformedMessage("txnTime is no time") from error


def _fen(message: Mapping[str, str]) -> Money:
    if optional(message, "currencyCode") not in {"", "156"}:
        raise MalformedMessage("currencyCode is not that of the yuan")
    value = text(message, "txnAmt")
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise MalformedMessage("txnAmt is no amount in fen")
    return Money(int(value))


def _made_at(message: Mapping[str, str], near: datetime) -> datetime | None:
    value = optional(message, "traceTime")
    try:
        return moment(value, near=near) if value else None
    except ValueError as error:
        raise MalformedMessage("traceTime is no time") from error


def masked(account: str) -> str:
    """The payer's account as UnionPay masks it; should it come unmasked, only its ends; encrypted, nothing."""
    if "*" in account:
        return account[:30]
    if re.fullmatch(r"[0-9]{12,19}", account):
        return f"{account[:6]}******{account[-4:]}"
    return ""


def _redacted(message: Mapping[str, str]) -> dict[str, Any]:
    shown = {
        "respCode",
        "respMsg",
        "origRespCode",
        "origRespMsg",
        "orderId",
        "txnTime",
        "txnType",
        "txnSubType",
        "bizType",
        "txnAmt",
        "currencyCode",
        "queryId",
        "origQryId",
        "traceNo",
        "traceTime",
        "settleDate",
        "settleAmt",
        "settleCurrencyCode",
        "payCardType",
        "payType",
        "reqReserved",
    }
    return {name: value for name, value in message.items() if name in shown}
