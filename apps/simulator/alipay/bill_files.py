"""Alipay's bills as files: a ZIP of GBK CSV files, byte for byte in the shape of dossier B5."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime

from apps.simulator import clock, faults
from apps.simulator.alipay.bills import (
    AccountRow,
    Period,
    TradeRow,
    account_rows,
    trade_rows,
    with_faults,
)
from apps.simulator.alipay.wire import yuan
from apps.simulator.models import Merchant

CHARSET = "gb18030"  # a superset of GBK: rare characters in a shop's texts do not break the file
TAB = "\t"
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


def bill_zip(*, merchant: Merchant, bill_type: str, period: Period, now: datetime) -> bytes | None:
    """The ZIP of a period's bill (``trade`` or ``signcustomer``), or None when nothing happened in it.

    The bill faults (missing, extra, off by a fen, other columns) strike here.
    """
    account = f"{merchant.merchant_no}0156"
    if bill_type == "trade":
        rows = with_faults(merchant, trade_rows(merchant, period))
        if not rows:
            return None
        name = "业务明细"
        detail = _trade_detail(rows, account, period, now)
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


def _trade_cells(row: TradeRow) -> list[str]:
    """The 25 cells, with the TABs that keep spreadsheets from rounding long numbers."""
    amount = yuan(row.amount_fen)
    return [
        row.trade_no + TAB,
        row.out_trade_no + TAB,
        row.kind + TAB,
        row.subject,
        clock.beijing_text(row.created_at),
        clock.beijing_text(row.done_at),
        row.store_id + TAB,
        row.store_name + TAB,
        row.operator + TAB,
        row.terminal + TAB,
        row.login + TAB,
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
        row.request_no + TAB,
        yuan(row.fee_fen),
        "0.00",
        "",
    ]


def _account_cells(row: AccountRow) -> list[str]:
    """The 12 cells."""
    return [
        row.serial + TAB,
        row.trade_no + TAB,
        row.out_trade_no + TAB,
        row.subject + TAB,
        clock.beijing_text(row.at),
        row.login + TAB,
        yuan(max(row.change_fen, 0)),
        yuan(min(row.change_fen, 0)),
        yuan(row.balance_fen),
        "支付宝" + TAB,
        row.kind + TAB,
        row.remark + TAB,
    ]


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


def _trade_detail(rows: list[TradeRow], account: str, period: Period, now: datetime) -> bytes:
    header = list(TRADE_HEADER)
    cells = [_trade_cells(row) for row in rows]
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
        [_account_cells(row) for row in rows],
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
