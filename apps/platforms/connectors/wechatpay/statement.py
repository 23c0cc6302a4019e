"""WeChat Pay bills: trade bills (ALL, SUCCESS, REFUND; today's and the older headings) and fund bills.

Sources: WeChat Pay merchant documentation 4013071202 (trade) and 4013071209 (fund), and bills published by others. Columns
are found by heading, since they differ by bill type, by merchant and by year. Cells begin with a backtick and are not
quoted; a file that went through a spreadsheet has lost the backticks and is read as CSV.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
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
    "微信支付订单号": "微信订单号",
    "微信支付退款单号": "微信退款单号",
    "子商户号": "特约商户号",
    "公众账号id": "公众账号ID",
    "企业红包金额": "代金券金额",
    "企业红包退款金额": "充值券退款金额",
    "代金券或立减优惠金额": "代金券金额",
    "代金券或立减优惠退款金额": "充值券退款金额",
    "收支金额": "收支金额(元)",
    "账户结余": "账户结余(元)",
}
_TRADE_COLUMNS = (
    "交易时间 公众账号ID 商户号 特约商户号 设备号 微信订单号 商户订单号 用户标识 交易类型 交易状态 付款银行 货币种类 "
    "应结订单金额 总金额 代金券金额 退款申请时间 退款成功时间 微信退款单号 商户退款单号 退款金额 充值券退款金额 退款类型 "
    "退款状态 商品名称 商户数据包 手续费 费率 订单金额 申请退款金额 费率备注"
)
_FUND_COLUMNS = (
    "记账时间 微信支付业务单号 资金流水单号 业务名称 业务类型 收支类型 收支金额(元) 账户结余(元) 资金变更提交申请人 备注 "
    "业务凭证号"
)
_KNOWN = {
    StatementKind.TRADE: set(_TRADE_COLUMNS.split()),
    StatementKind.FUND: set(_FUND_COLUMNS.split()),
}
_NEEDED = {
    StatementKind.TRADE: ("交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "手续费"),
    StatementKind.FUND: (
        "记账时间",
        "微信支付业务单号",
        "业务类型",
        "收支类型",
        "收支金额(元)",
        "业务凭证号",
    ),
}
_SUMMARY = {StatementKind.TRADE: "总交易单数", StatementKind.FUND: "资金流水总笔数"}
_APPLICANT = re.compile(r"(\d{8,10})API")
_FIRST = {StatementKind.TRADE: "交易时间", StatementKind.FUND: "记账时间"}


def parse(
    content: bytes, *, merchant_no: str, business_date: date, kind: StatementKind
) -> ParsedStatement:
    """Read a bill: plain, gzip or zip, UTF-8 or GB18030. Raises StatementUnreadable.

    In a fund bill a line's ``status`` is ``"in"`` or ``"out"``, and the totals' payment and refund figures are those of all
    income and all expense. A fund bill says whose it is only in rows of
    refunds.
    """
    members = [one for one in files.members(content) if "汇总" not in one.name]
    if len(members) != 1:
        raise StatementUnreadable("other_format", "the zip file must hold one bill")
    for encoding in files.ENCODINGS:
        reader = _Reader(merchant_no=merchant_no, business_date=business_date, kind=kind)
        try:
            return reader.read(files.text_lines(members[0], encoding))
        except UnicodeDecodeError:
            continue
    raise StatementUnreadable("other_format", "the file is not text in UTF-8 or GB18030")


def _split(row: str) -> list[str]:
    if row.startswith("`"):
        return [cell.strip() for cell in row[1:].split(",`")]
    return _split_plain(row)


def _split_plain(row: str) -> list[str]:
    try:
        cells = next(csv.reader([row]), [])
    except csv.Error:
        return []
    return [cell.strip().lstrip("`") for cell in cells]


def _heading(cell: str) -> str:
    name = cell.strip().lstrip("\ufeff`").strip('"').replace("（", "(").replace("）", ")")
    return _ALIASES.get(name, name)


@dataclass(kw_only=True)
class _Reader:
    merchant_no: str
    business_date: date
    kind: StatementKind

    def read(self, lines: Iterator[str]) -> ParsedStatement:
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
        columns, ending, found = self._head(numbered), "", []
        for number, line in numbered:
            if line.lstrip("`").startswith(_SUMMARY[self.kind]):
                ending = line
                break
            found.append(self._line(columns, number, line, numbered))
        if not ending:
            raise StatementUnreadable("truncated", "the bill's summary is missing at its end")
        totals = self._totals(ending, numbered, len(found))
        unknown = tuple(name for name in columns if name not in _KNOWN[self.kind])
        return ParsedStatement(
            kind=self.kind,
            business_date=self.business_date,
            merchant_no=self.merchant_no,
            lines=found,
            totals=totals,
            unknown_columns=unknown,
        )

    def _line(
        self,
        columns: dict[str, int],
        number: int,
        line: str,
        following: Iterator[tuple[int, str]],
    ) -> StatementLine:
        try:
            return self._row(_Row(columns, line, number, self.kind))
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
            names = [_heading(cell) for cell in line.split(",")]
            if not names or names[0] not in _FIRST.values():
                if (number < 30 and len(names) < 4) or not any(names[1:]):
                    # Perhaps the introduction of a private bill: its headings will tell.
                    continue
                break
            if names[0] != _FIRST[self.kind]:
                other = "fund" if self.kind is StatementKind.TRADE else "trade"
                raise StatementUnreadable("other_format", f"this is the {other} bill", line=number)
            columns = {name: index for index, name in enumerate(names) if name}
            for name in _NEEDED[self.kind]:
                if name not in columns:
                    raise StatementUnreadable(
                        "other_format", "a column is missing", line=number, column=name
                    )
            return columns
        raise StatementUnreadable("other_format", "the headings of a WeChat Pay bill are missing")

    def _row(self, row: _Row) -> StatementLine:
        return self._fund(row) if self.kind is StatementKind.FUND else self._trade(row)

    def _trade(self, row: _Row) -> StatementLine:
        if row["商户号"] != self.merchant_no:
            raise row.error("other_account", "the row is another merchant's", "商户号")
        state = row["交易状态"]
        if state not in {"SUCCESS", "REFUND", "REVOKED"}:
            raise row.error("bad_row", "a state that bills do not have", "交易状态")
        when = next(
            name
            for name in ("退款申请时间", "交易时间")
            if name == "交易时间" or (state != "SUCCESS" and row.get(name))
        )
        occurred_at = row.time(when, self.business_date)
        fee = row.fee("手续费")
        refunded = _ZERO
        if state != "SUCCESS":
            refunded = row.first_amount("申请退款金额", "退款金额")
        if refunded.minor:
            kind, amount, fee, status = LineKind.REFUND, refunded, -fee, row.get("退款状态")
        else:
            amount = row.first_amount("订单金额", "总金额", "应结订单金额")
            # A reversed order without a refund's figures is neither income nor a refund.
            kind = LineKind.PAYMENT if state == "SUCCESS" else LineKind.OTHER
            status = state
        return StatementLine(
            kind=kind,
            row=row.number,
            order_no=row["商户订单号"],
            refund_no=row.identifier("商户退款单号") if state != "SUCCESS" else "",
            platform_trade_no=row.identifier("微信订单号"),
            platform_refund_no=row.identifier("微信退款单号") if state != "SUCCESS" else "",
            amount=amount,
            fee=fee,
            occurred_at=occurred_at,
            status=sys.intern(status or state),
            product=sys.intern(row.get("交易类型")),
            raw=row.raw(),
        )

    def _fund(self, row: _Row) -> StatementLine:
        direction = {"收入": "in", "支出": "out"}.get(row["收支类型"])
        if direction is None:
            raise row.error("bad_row", "neither income nor expense", "收支类型")
        # The file names no merchant, but a refund names who asked for it.
        applicant = _APPLICANT.fullmatch(row.get("资金变更提交申请人"))
        if applicant is not None and applicant.group(1) != self.merchant_no:
            raise row.error("other_account", "another merchant's refund", "资金变更提交申请人")
        business = row["业务类型"]
        kind = LineKind.OTHER
        if "手续费" in business:
            kind = LineKind.FEE
        elif business == "交易" and direction == "in":
            kind = LineKind.PAYMENT
        elif business == "退款" and direction == "out":
            kind = LineKind.REFUND
        voucher, number = row.identifier("业务凭证号"), row.identifier("微信支付业务单号")
        is_refund = kind is LineKind.REFUND
        return StatementLine(
            kind=kind,
            row=row.number,
            order_no="" if is_refund else voucher,
            refund_no=voucher if is_refund else "",
            platform_trade_no="" if is_refund else number,
            platform_refund_no=number if is_refund else "",
            amount=row.amount("收支金额(元)"),
            fee=_ZERO,
            occurred_at=row.time("记账时间", self.business_date),
            status=direction,
            product=sys.intern(business),
            raw=row.raw(),
        )

    def _totals(
        self, ending: str, numbered: Iterator[tuple[int, str]], rows: int
    ) -> StatementTotals:
        number, line = next(numbered, (0, ""))
        names = [_heading(cell) for cell in ending.split(",")]
        if not line:
            raise StatementUnreadable("truncated", "the figures of the summary are missing")
        row = _Row({name: index for index, name in enumerate(names)}, line, number, self.kind)
        if row.count(_SUMMARY[self.kind]) != rows:
            raise row.error(
                "totals", f"the summary does not count {rows} rows", _SUMMARY[self.kind]
            )
        if self.kind is StatementKind.FUND:
            return StatementTotals(
                payment_count=row.count("收入笔数"),
                payment_amount=row.amount("收入金额"),
                refund_count=row.count("支出笔数"),
                refund_amount=row.amount("支出金额"),
            )
        return StatementTotals(
            payment_amount=row.first_amount("订单总金额", "总交易额", "应结订单总金额"),
            refund_amount=row.first_amount("申请退款总金额", "退款总金额", "总退款金额"),
            fee=_fen(row.decimal("手续费总金额")),
        )


class _Row:
    """One row, read by heading; every complaint says where."""

    def __init__(
        self, columns: Mapping[str, int], line: str, number: int, kind: StatementKind
    ) -> None:
        self.columns = columns
        self.line = line
        self.number = number
        self.split = _split if line.startswith("`") else _split_plain
        self.cells = self.split(line)
        if len(self.cells) != len(columns):
            raise self.error(
                "bad_row", f"{len(self.cells)} cells where {len(columns)} are expected", None
            )

    def error(self, reason: str, detail: str, column: str | None) -> StatementUnreadable:
        return StatementUnreadable(reason, detail, line=self.number, column=column)

    def __getitem__(self, name: str) -> str:
        return self.cells[self.columns[name]]

    def get(self, name: str) -> str:
        index = self.columns.get(name)
        return "" if index is None else self.cells[index]

    def raw(self) -> files.Cells:
        return files.Cells(self.columns, self.line, self.split)

    def identifier(self, name: str) -> str:
        """A number that may be absent, which some bills write as 0."""
        value = self.get(name)
        return "" if value == "0" else value

    def decimal(self, name: str) -> Decimal:
        try:
            value = Decimal(self.get(name))
        except InvalidOperation as error:
            raise self.error("bad_row", "not an amount", name) from error
        if not value.is_finite() or value.adjusted() > 13:
            raise self.error("bad_row", "not an amount", name)
        return value

    def amount(self, name: str) -> Money:
        """A positive amount in whole fen."""
        try:
            return Money.from_yuan(abs(self.decimal(name)))
        except InvalidAmount as error:
            raise self.error("bad_row", "finer than one fen", name) from error

    def first_amount(self, *names: str) -> Money:
        """The amount in the first of these columns that the bill has."""
        for name in names:
            if self.get(name):
                return self.amount(name)
        raise self.error("bad_row", "the amount is missing", names[0])

    def fee(self, name: str) -> Money:
        """A fee without its sign; bills show it with five decimals."""
        return _fen(abs(self.decimal(name)))

    def count(self, name: str) -> int:
        value = self.decimal(name)
        if value != value.to_integral_value():
            raise self.error("bad_row", "not a count", name)
        return int(value)

    def time(self, name: str, day: date) -> datetime:
        value = self[name].replace("/", "-")
        try:
            at = datetime.fromisoformat(value)
        except ValueError as error:
            raise self.error("bad_row", "not a time", name) from error
        if at.date() != day:
            raise self.error("other_day", f"the row is of {at.date()}", name)
        return at.replace(tzinfo=CHINA).astimezone(UTC)


def _fen(value: Decimal) -> Money:
    return Money(int(value.scaleb(2).to_integral_value(ROUND_HALF_UP)))
