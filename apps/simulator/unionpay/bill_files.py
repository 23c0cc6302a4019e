"""UnionPay's reconciliation file (dossier 1.9): a zip of GBK texts of fixed width.

Members: ``INN…ZM_`` (one record a transaction), ``INN…ZME_`` (differences; the simulator has none) and ``RD2010…``, the
printed totals. The layout of a ZM record is the SDK's; that of the printed totals is invented, its figures are not.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from apps.simulator import clock, faults
from apps.simulator.models import Merchant, Order, OrderState, Platform, Refund, RefundState
from apps.simulator.unionpay import days, records

CHARSET: Final = "gbk"
#: Bytes of each of the 42 columns; one space between them makes 607 bytes a record.
WIDTHS: Final = (
    *(3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2),
    *(6, 2, 4, 32, 1, 21, 15, 1, 15, 32, 13, 13, 8, 32, 13, 13, 12, 2, 1, 32, 98),
)
ACQUIRER: Final = "00012900"
#: Trade codes: S22 is documented for payments, the others are invented.
TRADE_CODES: Final = {"01": "S22", "04": "S30", "31": "S31"}


@dataclass(slots=True, kw_only=True)
class Row:
    """One record. ``amount_fen`` is positive; ``sign`` is 1 for money to the merchant, -1 for money back."""

    kind: str
    subtype: str
    business: str
    sign: int
    trace: str
    at: datetime
    card: str
    amount_fen: int
    fee_fen: int
    query_id: str
    order_id: str
    merchant_no: str
    terminal: str = ""
    reserved: str = ""
    original: Order | None = None

    @property
    def net_fen(self) -> int:
        """What changes for the merchant; negative when it pays."""
        return self.sign * (self.amount_fen - self.fee_fen)

    def columns(self) -> list[str]:
        """The 42 columns, unpadded."""
        original = self.original
        fee = signed(-self.sign * self.fee_fen)
        net = signed(self.net_fen)
        paid_at = original.paid_at if original else None
        return [
            TRADE_CODES[self.kind],
            ACQUIRER,
            ACQUIRER,
            self.trace,
            days.write_trace_time(self.at),
            self.card,
            f"{self.amount_fen:012d}",
            "5812",
            "08",
            self.query_id,
            "00",
            self.order_id,
            "01",
            records.trace_of(original.trade_no) if original else "",
            days.write_trace_time(paid_at) if paid_at else "",
            fee,
            net,
            "0001",
            "",
            self.kind,
            self.subtype,
            self.business,
            "01",
            "",
            "",
            "0",
            original.trade_no if original else "",
            self.merchant_no,
            "",
            "",
            "",
            "",
            net,
            self.terminal,
            self.reserved,
            "",
            "",
            "",
            "",
            "1",
            "",
            "",
        ]


def signed(fen: int) -> str:
    """13 bytes: C (credit, to the merchant) or D (debit) and twelve digits."""
    return f"{'D' if fen < 0 else 'C'}{abs(fen):012d}"


def record(columns: list[str], widths: tuple[int, ...] = WIDTHS) -> bytes:
    """One line: columns of fixed width in bytes, a space between, CR LF. Too long ones are cut."""
    cells = []
    for text, width in zip(columns, widths, strict=True):
        raw = text.encode(CHARSET, "replace")[:width]
        cells.append(raw + b" " * (width - len(raw)))
    return b" ".join(cells) + b"\r\n"


def rows_of(merchant: Merchant, day: date) -> list[Row]:
    """What settled on a day, in the order in which it was done."""
    start, end = days.settlement_period(day)
    # A fault may have put a transaction of the day before into this one.
    since = start - timedelta(days=1)
    orders = Order.objects.filter(
        merchant=merchant, state=OrderState.PAID, paid_at__gte=since, paid_at__lt=end
    ).select_related("merchant")
    refunds = Refund.objects.filter(
        merchant=merchant,
        state=RefundState.SUCCESS,
        finished_at__gte=since,
        finished_at__lt=end,
    ).select_related("order__merchant")
    rows = [_payment_row(order) for order in orders if days.day_of_order(order) == day]
    rows += [_refund_row(refund) for refund in refunds if days.day_of_refund(refund) == day]
    return sorted(rows, key=lambda row: (row.at, row.query_id))


def _payment_row(order: Order) -> Row:
    return Row(
        kind="01",
        subtype=records.subtype_of(order),
        business=records.business_of(order),
        sign=1,
        trace=records.trace_of(order.trade_no),
        at=order.paid_at or order.created_at,
        card=order.payer_id,
        amount_fen=order.amount_fen,
        fee_fen=order.fee_fen,
        query_id=order.trade_no,
        order_id=order.out_trade_no,
        merchant_no=order.merchant.merchant_no,
        terminal=order.request.get("termId", ""),
        reserved=order.attach,
    )


def _refund_row(refund: Refund) -> Row:
    return Row(
        kind=records.kind_of(refund),
        subtype="00",
        business=refund.request.get("bizType") or "000000",
        sign=-1,
        trace=records.trace_of(refund.refund_no),
        at=refund.created_at,
        card=refund.order.payer_id,
        amount_fen=refund.amount_fen,
        fee_fen=refund.fee_fen,
        query_id=refund.refund_no,
        order_id=refund.out_refund_no,
        merchant_no=refund.order.merchant.merchant_no,
        reserved=refund.request.get("reqReserved", ""),
        original=refund.order,
    )


def with_faults(rows: list[Row], day: date) -> list[Row]:
    """The rows as a faulty file has them: off by a fen, one missing, one too many."""
    first = next((row for row in rows if row.kind == "01"), None)
    if first is None:
        return rows
    off = _fault("bill_off_by_fen")
    if off is not None:
        first.amount_fen += int(off.get("fen", 1))
    extra = Row(
        kind="01",
        subtype="07",
        business="000000",
        sign=1,
        trace="999999",
        at=first.at,
        card=first.card,
        amount_fen=first.amount_fen,
        fee_fen=first.fee_fen,
        query_id=f"99{first.at.astimezone(clock.BEIJING):%y%m%d%H%M%S}9999998",
        order_id=f"EXTRA{day:%Y%m%d}",
        merchant_no=first.merchant_no,
    )
    if _fault("bill_missing_row") is not None:
        rows.remove(first)
    if _fault("bill_extra_row") is not None:
        rows.append(extra)
    return rows


def _fault(key: str) -> dict[str, Any] | None:
    return faults.take(key, platform=Platform.UNIONPAY)


def archive(merchant: Merchant, day: date, rows: list[Row]) -> bytes:
    """The zip of a day's file."""
    columns = [row.columns() for row in rows]
    widths: tuple[int, ...] = WIDTHS
    if _fault("bill_changed_columns") is not None:
        # A column more, in the middle: a reader by position must refuse records of another length.
        columns = [[*cells[:6], "0" * 12, *cells[6:]] for cells in columns]
        widths = (*WIDTHS[:6], 12, *WIDTHS[6:])
    stem = f"INN{day:%y%m%d}88"
    members = [
        (f"RD2010{day:%y%m%d}88_{merchant.merchant_no}", totals_report(merchant, day, rows)),
        (f"{stem}ZME_{merchant.merchant_no}", b""),
        (
            f"{stem}ZM_{merchant.merchant_no}",
            b"".join(record(cells, widths) for cells in columns),
        ),
    ]
    out = io.BytesIO()
    made = (day.year, day.month, day.day, 23, 30, 0)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members:
            info = zipfile.ZipInfo(name, made)
            info.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(info, content)
    return out.getvalue()


def totals_report(merchant: Merchant, day: date, rows: list[Row]) -> bytes:
    """The printed totals, in yuan: how many, how much, what fee, what net, by kind and in all."""
    shift = 1 if _fault("bill_wrong_totals") is not None else 0
    lines = [
        "                         银联商户清算汇总报表",
        f"商户号：{merchant.merchant_no}        商户名称：{merchant.name}",
        f"清算日期：{day:%Y%m%d}        币种：人民币        单位：元",
        "-" * 76,
        "交易类型              笔数              金额            手续费          清算净额",
        "-" * 76,
    ]
    names = (("01", "消费"), ("04", "退货"), ("31", "消费撤销"))
    for kind, name in names:
        lines.append(_total_line(name, [row for row in rows if row.kind == kind], 0))
    lines += ["-" * 76, _total_line("合计", rows, shift), ""]
    return "\r\n".join(lines).encode(CHARSET, "replace")


def _total_line(name: str, rows: list[Row], shift: int) -> str:
    amount = sum(row.sign * row.amount_fen for row in rows) + shift
    fee = sum(row.sign * row.fee_fen for row in rows)
    net = sum(row.net_fen for row in rows) + shift
    padded = name + " " * (16 - 2 * len(name))
    return f"{padded}{len(rows):>10}{_yuan(amount):>18}{_yuan(fee):>16}{_yuan(net):>16}"


def _yuan(fen: int) -> str:
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"
