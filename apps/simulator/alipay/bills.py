"""Alipay's bills: a ZIP of GBK CSV files, byte for byte in the shape of dossier B5.

``trade`` (业务明细) has one row a payment and one a refund; ``signcustomer`` (账务明细) has one row a
movement of the balance. Payments count on the day of payment, refunds on the day they were made.
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Sum

from apps.simulator import clock, faults
from apps.simulator.alipay.wire import yuan
from apps.simulator.models import Merchant, Order, OrderState, Refund, RefundState

CHARSET = "gb18030"  # a superset of GBK: rare characters in a shop's texts do not break the file
TAB = "\t"
OPENING_FEN = 1_000_00
TRADE_HEADER = [
    "支付宝交易号",
    "商户订单号",
    "业务类型",
    "商品名称",
    "创建时间",
    "完成时间",
    "门店编号",
    "门店名称",
    "操作员",
    "终端号",
    "对方账户",
    "订单金额（元）",
    "商家实收（元）",
    "支付宝红包（元）",
    "集分宝（元）",
    "支付宝优惠（元）",
    "商家优惠（元）",
    "券核销金额（元）",
    "券名称",
    "商家红包消费金额（元）",
    "卡消费金额（元）",
    "退款批次号/请求号",
    "服务费（元）",
    "分润（元）",
    "备注",
]
TRADE_SUMMARY_HEADER = [
    "门店编号",
    "门店名称",
    "交易订单总笔数",
    "退款订单总笔数",
    "订单金额（元）",
    "商家实收（元）",
    "支付宝优惠（元）",
    "商家优惠（元）",
    "卡消费金额（元）",
    "服务费（元）",
    "分润（元）",
    "实收净额（元）",
]
ACCOUNT_HEADER = [
    "账务流水号",
    "业务流水号",
    "商户订单号",
    "商品名称",
    "发生时间",
    "对方账号",
    "收入金额（+元）",
    "支出金额（-元）",
    "账户余额（元）",
    "交易渠道",
    "业务类型",
    "备注",
]
ACCOUNT_SUMMARY_HEADER = ["业务类型", "收入笔数", "收入金额（+元）", "支出笔数", "支出金额（-元）"]


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

    def cells(self) -> list[str]:
        """The 25 cells, with the TABs that keep spreadsheets from rounding long numbers."""
        amount = yuan(self.amount_fen)
        return [
            self.trade_no + TAB,
            self.out_trade_no + TAB,
            self.kind + TAB,
            self.subject,
            clock.beijing_text(self.created_at),
            clock.beijing_text(self.done_at),
            self.store_id + TAB,
            self.store_name + TAB,
            self.operator + TAB,
            self.terminal + TAB,
            self.login + TAB,
            amount,
            amount,
            "0.00",
            "0.00",
            "0.00",
            "0.00",
            "0.00",
            "",
            "0.00" + TAB,
            "0.00",
            self.request_no + TAB,
            yuan(self.fee_fen),
            "0.00",
            "",
        ]


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

    def cells(self) -> list[str]:
        """The 12 cells."""
        return [
            self.serial + TAB,
            self.trade_no + TAB,
            self.out_trade_no + TAB,
            self.subject + TAB,
            clock.beijing_text(self.at),
            self.login + TAB,
            yuan(max(self.change_fen, 0)),
            yuan(min(self.change_fen, 0)),
            yuan(self.balance_fen),
            "支付宝" + TAB,
            self.kind + TAB,
            self.remark + TAB,
        ]


def bill_zip(*, merchant: Merchant, bill_type: str, period: Period, now: datetime) -> bytes | None:
    """The ZIP of a period's bill, or None when nothing happened in it.

    The bill faults (missing, extra, off by a fen, other columns) strike here.
    """
    account = f"{merchant.merchant_no}0156"
    if bill_type == "trade":
        rows = _with_faults(merchant, trade_rows(merchant, period))
        if not rows:
            return None
        name = "业务明细"
        detail = _trade_detail(rows, account, period, now, merchant)
        summary = _trade_summary(rows, account, period, now)
    else:
        movements = account_rows(merchant, period)
        if not movements:
            return None
        name = "账务明细"
        detail = _account_detail(movements, account, period, now)
        summary = _account_summary(movements, account, period, now)
    # The summary comes first: a reader has to choose by name, not by place.
    return _zip(
        [
            (f"{account}_{period.label}_{name}(汇总).csv", summary),
            (f"{account}_{period.label}_{name}.csv", detail),
        ],
        now,
    )


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


def _with_faults(merchant: Merchant, rows: list[TradeRow]) -> list[TradeRow]:
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


def _frame(title: str, account: str, period: Period) -> list[str]:
    rule = "-" * 41
    return [
        f"#支付宝{title.removesuffix('(汇总)')}查询",
        f"#账号：[{account}]",
        f"#起始日期：[{period.first:%Y年%m月%d日} 00:00:00]   "
        f"终止日期：[{period.after:%Y年%m月%d日} 00:00:00]",
        f"#{rule}{title}列表{rule[1:]}",
    ]


def _file(
    title: str,
    account: str,
    period: Period,
    header: list[str],
    rows: list[list[str]],
    trailer: list[str],
) -> bytes:
    out = io.StringIO(newline="")
    out.writelines(f"{line}\r\n" for line in _frame(title, account, period))
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    out.write(f"#{'-' * 41}{title}列表结束{'-' * 36}\r\n")
    out.writelines(f"{line}\r\n" for line in trailer)
    return out.getvalue().encode(CHARSET)


def _exported(now: datetime) -> str:
    local = now.astimezone(clock.BEIJING)
    return f"#导出时间：[{local:%Y年%m月%d日 %H:%M:%S}]"


def _trade_detail(
    rows: list[TradeRow], account: str, period: Period, now: datetime, merchant: Merchant
) -> bytes:
    header = list(TRADE_HEADER)
    cells = [row.cells() for row in rows]
    if faults.take("bill_changed_columns", platform="alipay") is not None:
        # One more column, and two that have changed places: only readers by name survive.
        header = [header[1], header[0], *header[2:], "业务描述"]
        cells = [[row[1], row[0], *row[2:], ""] for row in cells]
    paid = [row.amount_fen for row in rows if row.kind == "交易"]
    back = [row.amount_fen for row in rows if row.kind == "退款"]
    return _file(
        "业务明细",
        account,
        period,
        header,
        cells,
        [
            f"#交易合计：{len(paid)}笔，商家实收共{yuan(sum(paid))}元，商家优惠共0.00元",
            f"#退款合计：{len(back)}笔，商家实收退款共{yuan(sum(back))}元，商家优惠退款共0.00元",
            _exported(now),
        ],
    )


def _trade_summary(rows: list[TradeRow], account: str, period: Period, now: datetime) -> bytes:
    stores = sorted({(row.store_id, row.store_name) for row in rows})
    cells = [
        [store_id + TAB, name + TAB, *_totals([r for r in rows if r.store_id == store_id])]
        for store_id, name in stores
    ]
    cells.append(["合计" + TAB, TAB, *_totals(rows)])
    return _file("业务明细(汇总)", account, period, TRADE_SUMMARY_HEADER, cells, [_exported(now)])


def _totals(rows: list[TradeRow]) -> list[str]:
    amount = yuan(sum(row.amount_fen for row in rows))
    fee = sum(row.fee_fen for row in rows)
    return [
        str(sum(row.kind == "交易" for row in rows)),
        str(sum(row.kind == "退款" for row in rows)),
        amount,
        amount,
        "0.00",
        "0.00",
        "0.00",
        yuan(fee),
        "0.00",
        yuan(sum(row.amount_fen for row in rows) + fee),
    ]


def _account_detail(rows: list[AccountRow], account: str, period: Period, now: datetime) -> bytes:
    spent = [row.change_fen for row in rows if row.change_fen < 0]
    earned = [row.change_fen for row in rows if row.change_fen > 0]
    return _file(
        "账务明细",
        account,
        period,
        ACCOUNT_HEADER,
        [row.cells() for row in rows],
        [
            f"#支出合计：{len(spent)}笔，共{yuan(sum(spent))}元",
            f"#收入合计：{len(earned)}笔，共{yuan(sum(earned))}元",
            _exported(now),
        ],
    )


def _account_summary(rows: list[AccountRow], account: str, period: Period, now: datetime) -> bytes:
    cells = [
        [kind + TAB, *_movements([row for row in rows if row.kind == kind])]
        for kind in sorted({row.kind for row in rows})
    ]
    cells.append(["合计" + TAB, *_movements(rows)])
    return _file("账务明细(汇总)", account, period, ACCOUNT_SUMMARY_HEADER, cells, [_exported(now)])


def _movements(rows: list[AccountRow]) -> list[str]:
    earned = [row.change_fen for row in rows if row.change_fen > 0]
    spent = [row.change_fen for row in rows if row.change_fen < 0]
    return [str(len(earned)), yuan(sum(earned)), str(len(spent)), yuan(sum(spent))]


class _GbkName(zipfile.ZipInfo):
    """A member whose name is written in GBK without the UTF-8 flag, as Alipay's tools do."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's own name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def _zip(members: list[tuple[str, bytes]], now: datetime) -> bytes:
    local = now.astimezone(UTC).astimezone(clock.BEIJING)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = _GbkName(
                name,
                (local.year, local.month, local.day, local.hour, local.minute, local.second),
            )
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()
