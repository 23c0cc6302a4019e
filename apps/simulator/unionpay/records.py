"""What UnionPay tells about one transaction: in queries, notices, the browser's return (dossier 1.5, 1.6).

Two levels: ``respCode`` is about the message, ``origRespCode`` about the transaction asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from apps.simulator.models import Order, OrderState, Product, Refund, RefundState
from apps.simulator.unionpay import days

CURRENCY: Final = "156"

#: txnSubType of a payment, by the product that made it.
SUBTYPES: Final = {Product.QR.value: "07", Product.BARCODE.value: "06", Product.FRONT.value: "01"}


def subtype_of(order: Order) -> str:
    """txnSubType; what came into the books as history is a code."""
    return SUBTYPES.get(order.product, "07")


def business_of(order: Order) -> str:
    """bizType: gateway payment for the browser form, else 000000."""
    return "000201" if order.product == Product.FRONT else "000000"


def trace_of(query_id: str) -> str:
    """traceNo, six digits, which the platform's serial number contains."""
    return query_id[14:20].rjust(6, "0")


def payment_code(order: Order) -> str:
    """origRespCode of a payment. Before its time is over, what is not paid is 05 or the last attempt's refusal."""
    if order.state == OrderState.PAID:
        return str(order.extra.get("paid_code", "00"))
    refused = str(order.extra.get("refused_code", ""))
    if order.state == OrderState.WAITING:
        return refused or "05"
    if order.extra.get("closed_by") == "reversal":
        return "01"
    return refused or "69"


def refund_code(refund: Refund) -> str:
    """origRespCode of a refund or cancellation: accepted is not done."""
    if refund.state == RefundState.PROCESSING:
        return "05"
    if refund.state == RefundState.SUCCESS:
        return str(refund.request.get("paid_code", "00"))
    return "01"


def head_of_order(order: Order) -> dict[str, str]:
    """The fields by which a payment is known, as its request had them."""
    return _head(
        merchant_no=order.merchant.merchant_no,
        order_id=order.out_trade_no,
        txn_time=order.request.get("txnTime") or days.write_time(order.created_at),
        amount_fen=order.amount_fen,
        kind=("01", subtype_of(order), business_of(order)),
        encoding=order.request.get("encoding", "UTF-8"),
        reserved=order.attach,
    )


def head_of_refund(refund: Refund) -> dict[str, str]:
    """The same of a refund or cancellation, with the payment it belongs to."""
    return {
        **_head(
            merchant_no=refund.order.merchant.merchant_no,
            order_id=refund.out_refund_no,
            txn_time=refund.request.get("txnTime") or days.write_time(refund.created_at),
            amount_fen=refund.amount_fen,
            kind=(kind_of(refund), "00", refund.request.get("bizType", "000000")),
            encoding=refund.request.get("encoding", "UTF-8"),
            reserved=refund.request.get("reqReserved", ""),
        ),
        "origQryId": refund.order.trade_no,
    }


def kind_of(refund: Refund) -> str:
    """txnType: 31 for a cancellation (消费撤销), else 04."""
    return str(refund.request.get("txnType", "04"))


def settled_order(order: Order) -> dict[str, str]:
    """What is known of a payment once it is made; without the account."""
    return {
        **_settled(
            query_id=order.trade_no,
            at=order.paid_at or order.created_at,
            amount_fen=order.amount_fen,
            settle_date=f"{days.day_of_order(order):%m%d}",
        ),
        "payCardType": "01",
        "payType": "0001",
    }


def settled_refund(refund: Refund) -> dict[str, str]:
    """The same of a refund or cancellation."""
    return _settled(
        query_id=refund.refund_no,
        at=refund.created_at,
        amount_fen=refund.amount_fen,
        settle_date=f"{days.day_of_refund(refund):%m%d}",
    )


def _head(
    *,
    merchant_no: str,
    order_id: str,
    txn_time: str,
    amount_fen: int,
    kind: tuple[str, str, str],
    encoding: str,
    reserved: str,
) -> dict[str, str]:
    fields = {
        "version": "5.1.0",
        "encoding": encoding,
        "signMethod": "01",
        "accessType": "0",
        "merId": merchant_no,
        "orderId": order_id,
        "txnTime": txn_time,
        "txnAmt": str(amount_fen),
        "txnType": kind[0],
        "txnSubType": kind[1],
        "bizType": kind[2],
    }
    return {**fields, "reqReserved": reserved} if reserved else fields


def _settled(*, query_id: str, at: datetime, amount_fen: int, settle_date: str) -> dict[str, str]:
    return {
        "currencyCode": CURRENCY,
        "queryId": query_id,
        "traceNo": trace_of(query_id),
        "traceTime": days.write_trace_time(at),
        "settleDate": settle_date,
        "settleAmt": str(amount_fen),
        "settleCurrencyCode": CURRENCY,
        "issuerIdentifyMode": "0",
    }
