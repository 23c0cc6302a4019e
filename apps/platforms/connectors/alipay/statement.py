"""Alipay bills: 业务明细 (each payment and refund) and 账务明细 (each movement of the balance), in their zip or alone.

Source: Alipay's bill download documentation and bills published by others. Encoded in GB18030, headed by comment lines that
name account and period, cells often end in a TAB, parentheses come in both widths. Columns are found by heading.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from apps.core.clock import CHINA
from apps.core.money import InvalidAmount, Money
from apps.platforms import files
from apps.platforms.gateway import (
    LineKind,
    ParsedStatement,
    StatementKind,
    StatementLine,
    StatementTotals,
    StatementUnreadable,
)

_ZERO = Money(0)
_ALIASES = {
    "退款请求号": "退款批次号/请求号",
    "退款批次号": "退款批次号/请求号",
    "收入(元)": "收入金额(+元)",
    "收入金额(元)": "收入金额(+元)",
    "支出(元)": "支出金额(-元)",
    "支出金额(元)": "支出金额(-元)",
    "商家实收金额(元)": "商家实收(元)",
}
_TRADE_COLUMNS = (
    "支付宝交易号 商户订单号 业务类型 商品名称 创建时间 完成时间 门店编号 门店名称 操作员 终端号 对方账户 订单金额(元) "
    "商家实收(元) 支付宝红包(元) 集分宝(元) 支付宝优惠(元) 商家优惠(元) 券核销金额(元) 券名称 商家红包消费金额(元) "
    "卡消费金额(元) 退款批次号/请求号 服务费(元) 分润(元) 备注"
)
_FUND_COLUMNS = (
    "账务流水号 业务流水号 商户订单号 商品名称 发生时间 对方账号 收入金额(+元) 支出金额(-元) 账户余额(元) 交易渠道 业务类型 "
    "备注"
)
_KNOWN = {
    StatementKind.TRADE: set(_TRADE_COLUMNS.split()),
    StatementKind.FUND: set(_FUND_COLUMNS.split()),
}
_NEEDED = {
    StatementKind.TRADE: (
        "支付宝交易号",
        "商户订单号",
        "业务类型",
        "完成时间",
        "订单金额(元)",
        "退款批次号/请求号",
        "服务费(元)",
    ),
    StatementKind.FUND: (
        "账务流水号",
        "业务流水号",
        "商户订单号",
        "发生时间",
        "收入金额(+元)",
        "支出金额(-元)",
        "业务类型",
    ),
}
_TITLES = {StatementKind.TRADE: "业务明细", StatementKind.FUND: "账务明细"}
_FIRST = {StatementKind.TRADE: "支付宝交易号", StatementKind.FUND: "账务流水号"}
_TIMES = {StatementKind.TRADE: "完成时间", StatementKind.FUND: "发生时间"}

_ACCOUNT = re.compile(r"账[号户][:：]?\s*\[?(\d{16,20})")
_PERIOD = re.compile(
    r"起始日期[:：]\s*\[?(\d{4})年(\d{2})月(\d{2})日[^\]]*\]?\s*,*\s*"
    r"终止日期[:：]\s*\[?(\d{4})年(\d{2})月(\d{2})日\s*([\d:]*)"
)
_ENDING = re.compile(r"(交易|退款|收入|支出)合计[:：]\s*(\d+)笔(?:[^共]*共(-?[\d.]+)元)?")


def parse(
    content: bytes, *, merchant_no: str, business_date: date, kind: StatementKind
) -> ParsedStatement:
    """Read a bill: the zip as downloaded, or its detail CSV alone. Raises StatementUnreadable.

    In a fund bill a line's ``status`` is ``"in"`` or ``"out"``, and the totals' payment and refund figures are those of all
    income and all expense. A trade bill states counts only: its own sums are of what the merchant received, and are
    checked here.
    """
    member = _detail(files.members(content), kind)
    for encoding in files.ENCODINGS:
        reader = _Reader(merchant_no=merchant_no, business_date=business_date, kind=kind)
        try:
            return reader.read(files.text_lines(member, encoding))
        except UnicodeDecodeError:
            continue
    raise StatementUnreadable("other_format", "the file is not text in GB18030 or UTF-8")


def _detail(members: list[files.Member], kind: StatementKind) -> files.Member:
    """The detail among a zip's files, which come in any order and sometimes with useless names."""
    if len(members) == 1:
        return members[0]
    named = [one for one in members if "汇总" not in one.name and "明细" in one.name]
    wanted = [one for one in named if _TITLES[kind] in one.name] or named
    if len(wanted) == 1:
        return wanted[0]
    for member in [] if named else members:
        with member.open() as stream:
            head = stream.read(4096)
        if _FIRST[kind].encode("gb18030") in head or _FIRST[kind].encode() in head:
            return member
    raise StatementUnreadable("other_format", "the zip file must hold one bill")


def _split(row: str) -> list[str]:
    try:
        cells = next(csv.reader([row]), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in cells]


def _heading(cell: str) -> str:
    name = "".join(cell.split()).replace("（", "(").replace("）", ")")
    return _ALIASES.get(name, name)


def _comment(line: str) -> str:
    """A comment's text; spreadsheets pad comments with commas and may quote them."""
    return line.strip().strip('",\t ').lstrip("#")


@dataclass(kw_only=True)
class _Reader:
    merchant_no: str
    business_date: date
    kind: StatementKind
    ended: bool = False
    #: What the last comment lines say: count and sum by word.
    stated: dict[str, tuple[int, str]] = field(default_factory=dict)
    received: dict[LineKind, Money] = field(default_factory=dict)

    def read(self, lines: Iterator[str]) -> ParsedStatement:
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip(', \t"'))
        columns = self._head(numbered)
        found = []
        for number, line in numbered:
            if line.lstrip('"').startswith("#") or "列表结束" in line:
                self._ending(line)
            elif not self.ended:
                found.append(self._line(columns, number, line, numbered))
            else:
                self._ending(line)
        if not self.ended:
            raise StatementUnreadable("truncated", "the closing lines of the bill are missing")
        return ParsedStatement(
            kind=self.kind,
            business_date=self.business_date,
            merchant_no=self.merchant_no,
            lines=found,
            totals=self._totals(found),
            unknown_columns=tuple(name for name in columns if name not in _KNOWN[self.kind]),
        )

    def _line(
        self,
        columns: dict[str, int],
        number: int,
        line: str,
        following: Iterator[tuple[int, str]],
    ) -> StatementLine:
        try:
            return self._row(_Row(columns, line, number))
        except StatementUnreadable as error:
            # A file that was cut off ends within a row more often than between two.
            if error.reason == "bad_row" and next(following, None) is None:
                raise StatementUnreadable(
                    "truncated", "the file ends within a row", line=number
                ) from error
            raise

    def _head(self, numbered: Iterator[tuple[int, str]]) -> dict[str, int]:
        for number, line in numbered:
            files.refuse_personal(line)
            if line.startswith("`"):
                raise StatementUnreadable(
                    "other_format",
                    "not Alipay's own bill (an acquirer's, or WeChat Pay's)",
                    line=number,
                )
            names = [_heading(cell) for cell in _split(line)]
            while names and not names[-1]:
                names.pop()
            if len(names) > 5 and not names[0].startswith("#"):
                return self._columns(names, number)
            self._preamble(_comment(line), number)
            if number > 40:
                break
        raise StatementUnreadable("other_format", "the headings of an Alipay bill are missing")

    def _columns(self, names: list[str], number: int) -> dict[str, int]:
        for kind, first in _FIRST.items():
            if kind is not self.kind and names[0] == first:
                raise StatementUnreadable("other_format", f"this is the {kind} bill", line=number)
        columns = {name: index for index, name in enumerate(names) if name}
        for name in _NEEDED[self.kind]:
            if name not in columns:
                raise StatementUnreadable(
                    "other_format", "a column is missing", line=number, column=name
                )
        return columns

    def _preamble(self, text: str, number: int) -> None:
        if "汇总" in text:
            raise StatementUnreadable(
                "other_format", "this is the summary; the detail is needed", line=number
            )
        account = _ACCOUNT.search(text)
        # The account is the merchant's number with four more digits.
        if account is not None and not account.group(1).startswith(self.merchant_no):
            raise StatementUnreadable(
                "other_account", "the bill is another merchant's", line=number
            )
        period = _PERIOD.search(text)
        if period is None:
            return
        try:
            first = date(*map(int, period.groups()[:3]))
            last = date(*map(int, period.groups()[3:6]))
        except ValueError as error:
            raise StatementUnreadable(
                "other_format", "the period is no period", line=number
            ) from error
        if period.group(7) in {"", "00:00:00"} and last > first:
            last -= timedelta(days=1)
        if (first, last) != (self.business_date, self.business_date):
            raise StatementUnreadable(
                "other_day", f"the bill covers {first} to {last}", line=number
            )

    def _ending(self, line: str) -> None:
        text = _comment(line)
        if "列表结束" in text:
            self.ended = True
        match = _ENDING.search(text)
        if match is not None:
            self.stated[match.group(1)] = (int(match.group(2)), match.group(3) or "")

    def _row(self, row: _Row) -> StatementLine:
        return self._fund(row) if self.kind is StatementKind.FUND else self._trade(row)

    def _trade(self, row: _Row) -> StatementLine:
        business = row["业务类型"]
        kind = {"交易": LineKind.PAYMENT, "退款": LineKind.REFUND}.get(business, LineKind.OTHER)
        fee = row.fee("服务费(元)")
        if row.get("商家实收(元)"):
            received = self.received.get(kind, _ZERO)
            self.received[kind] = received + row.amount("商家实收(元)")
        is_refund = kind is LineKind.REFUND
        return StatementLine(
            kind=kind,
            row=row.number,
            order_no=row["商户订单号"],
            refund_no=row["退款批次号/请求号"] if is_refund else "",
            platform_trade_no=row["支付宝交易号"],
            amount=row.amount("订单金额(元)"),
            fee=-fee if is_refund else fee,
            occurred_at=row.time("完成时间", self.business_date),
            product=sys.intern(business),
            raw=row.raw(),
        )

    def _fund(self, row: _Row) -> StatementLine:
        income, expense = row.money("收入金额(+元)"), row.money("支出金额(-元)")
        if income.minor and expense.minor:
            raise row.error("bad_row", "both income and expense", "收入金额(+元)")
        business = row["业务类型"]
        kind = LineKind.OTHER
        if "收费" in business or "服务费" in business or "手续费" in business:
            kind = LineKind.FEE
        elif "退款" in business and expense.minor:
            kind = LineKind.REFUND
        elif business in {"在线支付", "交易付款", "交易"} and income.minor:
            kind = LineKind.PAYMENT
        return StatementLine(
            kind=kind,
            row=row.number,
            order_no=row["商户订单号"],
            platform_trade_no=row["业务流水号"],
            amount=income if income.minor else expense,
            fee=_ZERO,
            occurred_at=row.time("发生时间", self.business_date),
            status="in" if income.minor else "out",
            product=sys.intern(business),
            raw=row.raw(),
        )

    def _totals(self, found: list[StatementLine]) -> StatementTotals:
        if self.kind is StatementKind.FUND:
            counts = {
                "收入": sum(line.status == "in" for line in found),
                "支出": sum(line.status == "out" for line in found),
            }
        else:
            counts = {
                "交易": sum(line.kind is LineKind.PAYMENT for line in found),
                "退款": sum(line.kind is LineKind.REFUND for line in found),
            }
        for word, (count, amount) in self.stated.items():
            if counts.get(word, count) != count:
                raise StatementUnreadable(
                    "totals", f"{counts[word]} rows, the bill says {count} ({word}合计)"
                )
            kind = {"交易": LineKind.PAYMENT, "退款": LineKind.REFUND}.get(word)
            if self.kind is StatementKind.TRADE and kind and kind in self.received:
                said = _stated(amount)
                if said is not None and said != self.received[kind]:
                    raise StatementUnreadable(
                        "totals", f"the rows' sum is not what the bill says ({word}合计)"
                    )
        first, second = counts
        in_sum = out_sum = None
        if self.kind is StatementKind.FUND:
            in_sum = _stated(self.stated.get(first, (0, ""))[1])
            out_sum = _stated(self.stated.get(second, (0, ""))[1])
        return StatementTotals(
            payment_count=self.stated[first][0] if first in self.stated else None,
            payment_amount=in_sum,
            refund_count=self.stated[second][0] if second in self.stated else None,
            refund_amount=out_sum,
        )


class _Row:
    """One row, read by heading; every complaint says where."""

    def __init__(self, columns: Mapping[str, int], line: str, number: int) -> None:
        self.columns = columns
        self.line = line
        self.number = number
        self.cells = _split(line)
        width = max(columns.values()) + 1
        # Spreadsheets add empty cells at the end, and some vintages end each row with a comma.
        if len(self.cells) < width or any(self.cells[width:]):
            raise self.error("bad_row", f"{len(self.cells)} cells where {width} are expected", None)

    def error(self, reason: str, detail: str, column: str | None) -> StatementUnreadable:
        return StatementUnreadable(reason, detail, line=self.number, column=column)

    def __getitem__(self, name: str) -> str:
        return self.cells[self.columns[name]]

    def get(self, name: str) -> str:
        index = self.columns.get(name)
        return "" if index is None else self.cells[index]

    def raw(self) -> files.Cells:
        return files.Cells(self.columns, self.line, _split)

    def decimal(self, name: str) -> Decimal:
        try:
            value = Decimal(self.get(name) or "0")
        except InvalidOperation as error:
            raise self.error("bad_row", "not an amount", name) from error
        if not value.is_finite() or value.adjusted() > 13:
            raise self.error("bad_row", "not an amount", name)
        return value

    def money(self, name: str) -> Money:
        """An amount without its sign, which differs between vintages; empty is nothing."""
        try:
            return Money.from_yuan(abs(self.decimal(name)))
        except InvalidAmount as error:
            raise self.error("bad_row", "finer than one fen", name) from error

    def amount(self, name: str) -> Money:
        """An amount that must be there."""
        if not self.get(name):
            raise self.error("bad_row", "the amount is missing", name)
        return self.money(name)

    def fee(self, name: str) -> Money:
        """A fee without its sign, rounded to whole fen."""
        value = abs(self.decimal(name)).scaleb(2)
        return Money(int(value.to_integral_value(ROUND_HALF_UP)))

    def time(self, name: str, day: date) -> datetime:
        value = self[name].replace("/", "-")
        try:
            at = datetime.fromisoformat(value)
        except ValueError as error:
            raise self.error("bad_row", "not a time", name) from error
        if at.date() != day:
            raise self.error("other_day", f"the row is of {at.date()}", name)
        return at.replace(tzinfo=CHINA).astimezone(UTC)


def _stated(amount: str) -> Money | None:
    try:
        return Money.from_yuan(amount.lstrip("-")) if amount else None
    except InvalidAmount:
        return None
