"""The console's export of a day's transactions. Shouqianba has no bill to download; this form is invented (dossier 2.8).

UTF-8 with BOM, yuan with two decimals; a payment counts on the day on which it was paid, a refund or cancellation on
that on which it was done.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from datetime import date, datetime

from apps.simulator import books, clock, faults
from apps.simulator.models import Merchant, Order, Platform, Refund, RefundState
from apps.simulator.shouqianba import objects, payways

HEADER = [
    "交易时间",
    "收钱吧订单号",
    "商户订单号",
    "支付渠道订单号",
    "交易类型",
    "支付方式",
    "订单金额(元)",
    "实收金额(元)",
    "手续费(元)",
    "终端号",
    "门店号",
    "状态",
]


class NotReady(Exception):
    """The export is not to be had: a day that has not begun, or the fault bill_late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; amounts in fen, negative on a refund, as is the fee that came back."""

    at: datetime
    sn: str
    client_sn: str
    channel_no: str
    kind: str
    payway: str
    amount_fen: int
    fee_fen: int
    terminal_sn: str
    store: str

    def cells(self) -> list[str]:
        """The twelve cells."""
        return [
            clock.beijing_text(self.at),
            self.sn,
            self.client_sn,
            self.channel_no,
            self.kind,
            self.payway,
            _yuan(self.amount_fen),
            _yuan(self.amount_fen - self.fee_fen),
            _yuan(self.fee_fen),
            self.terminal_sn,
            self.store,
            "成功",
        ]


def _yuan(fen: int) -> str:
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def day_csv(*, merchant: Merchant, day: date, now: datetime) -> bytes:
    """The file. An empty day has the header alone. Raises NotReady. The bill faults strike here."""
    if day > clock.beijing_date(now):
        raise NotReady("the day has not begun")
    if faults.take("bill_late", platform=Platform.SHOUQIANBA) is not None:
        raise NotReady("not ready: fault bill_late")
    rows = _with_faults(rows_of(merchant, day), merchant=merchant, day=day)
    header = list(HEADER)
    table = [row.cells() for row in rows]
    if faults.take("bill_changed_columns", platform=Platform.SHOUQIANBA) is not None:
        header = ["门店名称", *reversed(header)]
        table = [[merchant.name, *reversed(cells)] for cells in table]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(table)
    return out.getvalue().encode("utf-8-sig")


def rows_of(merchant: Merchant, day: date) -> list[Row]:
    """The day's payments, refunds and cancellations, oldest first."""
    start, end = clock.beijing_period(day)
    rows = [_payment(order) for order in books.payments_of(merchant, day=day)]
    done = Refund.objects.filter(
        merchant=merchant,
        state=RefundState.SUCCESS,
        finished_at__gte=start,
        finished_at__lt=end,
    )
    for refund in done.select_related("order__merchant"):
        paid = _payment(refund.order)
        rows.append(
            replace(
                paid,
                at=refund.finished_at or refund.created_at,
                kind="退款",
                amount_fen=-refund.amount_fen,
                fee_fen=-refund.fee_fen,
            )
        )
    return sorted(rows, key=lambda row: (row.at, row.sn, row.kind))


def _payment(order: Order) -> Row:
    return Row(
        at=order.paid_at or order.created_at,
        sn=order.trade_no,
        client_sn=order.out_trade_no,
        channel_no=objects.channel_no(order),
        kind="收款",
        payway=payways.NAMES.get(order.wallet, "微信"),
        amount_fen=order.amount_fen,
        fee_fen=order.fee_fen,
        terminal_sn=str(order.extra.get("terminal_sn", "")),
        store=str(order.merchant.config.get("store_no", "")),
    )


def _with_faults(rows: list[Row], *, merchant: Merchant, day: date) -> list[Row]:
    def take(key: str) -> dict[str, object] | None:
        return faults.take(key, platform=Platform.SHOUQIANBA)

    first = next((row for row in rows if row.kind == "收款"), None)
    off = take("bill_off_by_fen") if first else None
    if off is not None and first is not None:
        raised = replace(first, amount_fen=first.amount_fen + int(str(off["fen"])))
        rows = [raised if row is first else row for row in rows]
        first = raised
    if first is not None and take("bill_missing_row") is not None:
        rows = [row for row in rows if row is not first]
    if take("bill_extra_row") is not None:
        start, _ = clock.beijing_period(day)
        rows = [
            Row(
                at=start,
                sn=f"7895{day:%Y%m%d}9999",
                client_sn=f"NOBODY{day:%Y%m%d}",
                channel_no=f"{day:%Y%m%d}{'9' * 20}",
                kind="收款",
                payway=payways.NAMES[Platform.ALIPAY],
                amount_fen=1234,
                fee_fen=books.fee_of(1234, merchant.rate_ppm),
                terminal_sn="",
                store=str(merchant.config.get("store_no", "")),
            ),
            *rows,
        ]
    return rows
