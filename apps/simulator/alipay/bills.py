"""What stands in Alipay's bills; ``bill_files`` writes it.

``trade`` (业务明细) has one row a payment and one a refund; ``signcustomer`` (账务明细) has one row a
movement of the balance. Payments count on the day of payment, refunds on the day they were made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Sum

from apps.simulator import clock, faults
from apps.simulator.models import Merchant, Order, OrderState, Refund, RefundState

#: Fen on the account before its first movement.
OPENING_FEN = 1_000_00


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The days of one bill, and how file names write them."""

    first: date
    after: date
    label: str

    @property
    def start(self) -> datetime:
        """The first instant, UTC."""
        return clock.beijing_period(self.first)[0]

    @property
    def end(self) -> datetime:
        """The instant after the last, UTC."""
        return clock.beijing_period(self.after)[0]


def period_of(bill_date: str) -> Period:
    """Read ``yyyy-MM-dd`` or ``yyyy-MM``. Raises ValueError for anything else."""
    if len(bill_date) == 10:
        day = date.fromisoformat(bill_date)
        return Period(first=day, after=day + timedelta(days=1), label=day.strftime("%Y%m%d"))
    if len(bill_date) != 7:
        raise ValueError(bill_date)
    first = date.fromisoformat(f"{bill_date}-01")
    after = (first + timedelta(days=32)).replace(day=1)
    return Period(first=first, after=after, label=first.strftime("%Y%m"))


@dataclass(slots=True, kw_only=True)
class TradeRow:
    """A row of the 业务明细; amounts in fen, negative on refunds, the fee negative on payments."""

    trade_no: str
    out_trade_no: str
    kind: str
    subject: str
    created_at: datetime
    done_at: datetime
    login: str
    amount_fen: int
    fee_fen: int
    request_no: str = ""
    store_id: str = ""
    store_name: str = ""
    operator: str = ""
    terminal: str = ""


@dataclass(slots=True, kw_only=True)
class AccountRow:
    """A movement of the balance: income positive, expense negative, in fen."""

    serial: str
    trade_no: str
    out_trade_no: str
    subject: str
    at: datetime
    login: str
    change_fen: int
    kind: str
    remark: str = ""
    balance_fen: int = field(default=0)


def trade_rows(merchant: Merchant, period: Period) -> list[TradeRow]:
    """The payments and refunds of a period, in the order in which they were done."""
    rows = [_payment_row(order) for order in _payments(merchant, period)]
    for refund in _refunds(merchant, period):
        row = _payment_row(refund.order)
        row.kind = "退款"
        row.done_at = _done_at(refund)
        row.amount_fen = -refund.amount_fen
        row.fee_fen = refund.fee_fen
        row.request_no = refund.out_refund_no
        rows.append(row)
    rows.sort(key=lambda row: (row.done_at, row.trade_no, row.request_no))
    return rows


def account_rows(merchant: Merchant, period: Period) -> list[AccountRow]:
    """The movements of the balance in a period, each with the balance after it."""
    rows: list[AccountRow] = []
    for order in _payments(merchant, period):
        paid_at = order.paid_at or order.created_at
        common: dict[str, Any] = {
            "trade_no": order.trade_no,
            "out_trade_no": order.out_trade_no,
            "at": paid_at,
        }
        rows.append(
            AccountRow(
                serial=f"310{order.pk:011d}1",
                subject=order.description,
                login=order.payer_login,
                change_fen=order.amount_fen,
                kind="在线支付",
                **common,
            )
        )
        if order.fee_fen:
            rows.append(
                AccountRow(
                    serial=f"310{order.pk:011d}2",
                    subject="",
                    login="",
                    change_fen=-order.fee_fen,
                    kind="收费",
                    remark=f"服务费[{order.trade_no}]",
                    **common,
                )
            )
    for refund in _refunds(merchant, period):
        common = {
            "trade_no": refund.order.trade_no,
            "out_trade_no": refund.order.out_trade_no,
            "at": _done_at(refund),
        }
        rows.append(
            AccountRow(
                serial=f"320{refund.pk:011d}1",
                subject=refund.order.description,
                login=refund.order.payer_login,
                change_fen=-refund.amount_fen,
                kind="交易退款",
                **common,
            )
        )
        if refund.fee_fen:
            rows.append(
                AccountRow(
                    serial=f"320{refund.pk:011d}2",
                    subject="",
                    login="",
                    change_fen=refund.fee_fen,
                    kind="收费",
                    remark=f"服务费退回[{refund.order.trade_no}]",
                    **common,
                )
            )
    rows.sort(key=lambda row: (row.at, row.serial))
    balance = _balance_before(merchant, period.start)
    for row in rows:
        balance += row.change_fen
        row.balance_fen = balance
    return rows


def _payments(merchant: Merchant, period: Period) -> list[Order]:
    return list(
        Order.objects.filter(
            merchant=merchant,
            state=OrderState.PAID,
            paid_at__gte=period.start,
            paid_at__lt=period.end,
        ).order_by("paid_at", "pk")
    )


def _refunds(merchant: Merchant, period: Period) -> list[Refund]:
    return list(
        Refund.objects.filter(
            merchant=merchant,
            state=RefundState.SUCCESS,
            finished_at__gte=period.start,
            finished_at__lt=period.end,
        )
        .select_related("order")
        .order_by("finished_at", "pk")
    )


def _done_at(refund: Refund) -> datetime:
    return refund.finished_at or refund.created_at


def _balance_before(merchant: Merchant, at: datetime) -> int:
    paid = Order.objects.filter(merchant=merchant, state=OrderState.PAID, paid_at__lt=at).aggregate(
        amount=Sum("amount_fen"), fee=Sum("fee_fen")
    )
    back = Refund.objects.filter(
        merchant=merchant, state=RefundState.SUCCESS, finished_at__lt=at
    ).aggregate(amount=Sum("amount_fen"), fee=Sum("fee_fen"))
    received = (paid["amount"] or 0) - (paid["fee"] or 0)
    returned = (back["amount"] or 0) - (back["fee"] or 0)
    return OPENING_FEN + received - returned


def _payment_row(order: Order) -> TradeRow:
    return TradeRow(
        trade_no=order.trade_no,
        out_trade_no=order.out_trade_no,
        kind="交易",
        subject=order.description,
        created_at=order.created_at,
        done_at=order.paid_at or order.created_at,
        login=order.payer_login,
        amount_fen=order.amount_fen,
        fee_fen=-order.fee_fen,
        store_id=order.extra.get("store_id", ""),
        operator=order.extra.get("operator_id", ""),
        terminal=order.extra.get("terminal_id", ""),
    )


def with_faults(merchant: Merchant, rows: list[TradeRow]) -> list[TradeRow]:
    """The rows after the faults in force: an amount off by fen, a row missing, a row that nobody paid."""
    first = next((row for row in rows if row.kind == "交易"), None)
    if first is not None:
        off = faults.take("bill_off_by_fen", platform="alipay")
        if off is not None:
            first.amount_fen += int(off.get("fen", 1))
        if faults.take("bill_missing_row", platform="alipay") is not None:
            rows.remove(first)
        if faults.take("bill_extra_row", platform="alipay") is not None:
            stamp = clock.beijing_text(first.done_at).translate({45: None, 58: None, 32: None})
            rows.append(
                TradeRow(
                    trade_no=f"{stamp[:8]}22009999{merchant.pk:012d}",
                    out_trade_no=f"EXTRA{stamp}",
                    kind="交易",
                    subject="无主交易",
                    created_at=first.created_at,
                    done_at=first.done_at,
                    login=first.login,
                    amount_fen=first.amount_fen,
                    fee_fen=first.fee_fen,
                )
            )
    return rows
