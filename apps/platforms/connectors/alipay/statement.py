"""Alipay bills: 业务明细 (each payment and refund) and 账务明细 (each movement of the balance), in their zip or alone.

Source: Alipay's bill download documentation and bills published by others. Encoded in GB18030, headed by comment lines that
name account and period, cells often end in a TAB, parentheses come in both widths. Columns are found by heading.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import IO, ClassVar, Final

from apps.core.money import InvalidAmount, Money
from apps.platforms import files
from apps.platforms.gateway import (
    BillReader,
    BillRow,
    LineKind,
    ParsedStatement,
    StatementKind,
    StatementTotals,
    StatementUnreadable,
)

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
_ZONE: Final = "+08:00"
_PAYMENT, _REFUND, _OTHER = LineKind.PAYMENT.value, LineKind.REFUND.value, LineKind.OTHER.value

_ACCOUNT = re.compile(r"账[号户][:：]?\s*\[?(\d{16,20})")
_PERIOD = re.compile(
    r"起始日期[:：]\s*\[?(\d{4})年(\d{2})月(\d{2})日[^\]]*\]?\s*,*\s*"
    r"终止日期[:：]\s*\[?(\d{4})年(\d{2})月(\d{2})日\s*([\d:]*)"
)
_ENDING = re.compile(r"(交易|退款|收入|支出)合计[:：]\s*(\d+)笔(?:[^共]*共(-?[\d.]+)元)?")


#: What the closing lines count, by kind of bill: what came in, what went out.
_WORDS: Final = {StatementKind.TRADE: ("交易", "退款"), StatementKind.FUND: ("收入", "支出")}


def parse(
    content: bytes, *, merchant_no: str, business_date: date, kind: StatementKind
) -> ParsedStatement:
    """Read a small bill whole, see ``Reader``. Raises StatementUnreadable."""
    return Reader(content, merchant_no=merchant_no, business_date=business_date, kind=kind).parsed()


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
    if '"' not in row:
        return [cell.strip() for cell in row.split(",")]
    try:
        cells = next(csv.reader([row], strict=True), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in cells]


def _heading(cell: str) -> str:
    name = "".join(cell.split()).replace("（", "(").replace("）", ")")
    return _ALIASES.get(name, name)


def _comment(line: str) -> str:
    """A comment's text; spreadsheets pad comments with commas and may quote them."""
    return line.strip().strip('",\t ').lstrip("#")


class Reader(BillReader):
    """A bill: the zip as downloaded, or its detail CSV alone.

    In a fund bill a line's ``status`` is ``"in"`` or ``"out"``, and the totals' payment and refund figures are those of all
    income and all expense. A trade bill states counts only: its own sums are of what the merchant received, and are
    checked here.
    """

    flow_column: ClassVar[str] = "账务流水号"

    def __init__(
        self,
        content: bytes | IO[bytes],
        *,
        merchant_no: str,
        business_date: date,
        kind: StatementKind,
    ) -> None:
        self.kind = kind
        self.business_date = business_date
        self.merchant_no = merchant_no
        self._member = _detail(files.members(content), kind)
        self._ended = False
        #: What the last comment lines say: count and sum by word.
        self._stated: dict[str, tuple[int, str]] = {}
        #: Rows and what was received in them, in fen, by what such a line says of them.
        self.counted: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.amounts = files.Fen(_amount)
        self.fees = files.Fen(_fee)
        self._times: dict[str, str] = {}

    def rows(self) -> Iterator[BillRow]:
        """The rows. Raises StatementUnreadable."""
        lines = files.text_lines(self._member)
        headings = self._head(lines)
        self.unknown_columns = tuple(
            name for name in headings.names if name and name not in _KNOWN[self.kind]
        )
        read = (_Trade if self.kind is StatementKind.TRADE else _Fund)(self, headings).read
        remarks = 0
        for number, line in lines:
            if line[0] == "#" or line.lstrip('"')[:1] == "#" or "列表结束" in line or self._ended:
                self._ending(line)
                remarks += 1
                if remarks > files.MAX_BLANK:
                    raise StatementUnreadable("other_format", "nothing but remarks", line=number)
                continue
            try:
                row = read(number, line)
            except StatementUnreadable as error:
                # A file that was cut off ends within a row more often than between two.
                if error.reason == "bad_row" and next(lines, None) is None:
                    raise StatementUnreadable(
                        "truncated", "the file ends within a row", line=number
                    ) from error
                raise
            yield row
        if not self._ended:
            raise StatementUnreadable("truncated", "the closing lines of the bill are missing")
        self._check()

    def _head(self, lines: Iterator[tuple[int, str]]) -> files.Headings:
        for number, line in lines:
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

    def _columns(self, names: list[str], number: int) -> files.Headings:
        for kind, first in _FIRST.items():
            if kind is not self.kind and names[0] == first:
                raise StatementUnreadable("other_format", f"this is the {kind} bill", line=number)
        return files.check_headings(names, needed=_NEEDED[self.kind], line=number)

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
            self._ended = True
        match = _ENDING.search(text)
        if match is not None:
            self._stated[match.group(1)] = (int(match.group(2)), match.group(3) or "")

    def _check(self) -> None:
        """Hold the rows against what the closing lines say of them."""
        for word, (count, amount) in self._stated.items():
            if word not in _WORDS[self.kind]:
                continue
            if self.counted[word] != count:
                raise StatementUnreadable(
                    "totals", f"{self.counted[word]} rows, the bill says {count} ({word}合计)"
                )
            said = _stated(amount)
            wanted = self.received[word] if self.kind is StatementKind.TRADE else None
            if None not in (said, wanted) and word in self.received and said != Money(wanted or 0):
                raise StatementUnreadable(
                    "totals", f"the rows' sum is not what the bill says ({word}合计)"
                )

    def totals(self) -> StatementTotals:
        """What the closing lines say, once all rows are read."""
        first, second = _WORDS[self.kind]
        in_sum = out_sum = None
        if self.kind is StatementKind.FUND:
            in_sum = _stated(self._stated.get(first, (0, ""))[1])
            out_sum = _stated(self._stated.get(second, (0, ""))[1])
        return StatementTotals(
            payment_count=self._stated[first][0] if first in self._stated else None,
            payment_amount=in_sum,
            refund_count=self._stated[second][0] if second in self._stated else None,
            refund_amount=out_sum,
        )

    def time(self, text: str, row: files.Row, name: str) -> str:
        """A time of the bill's day with its zone."""
        known = self._times.get(text)
        if known is not None:
            return known
        try:
            at = datetime.fromisoformat(text.replace("/", "-"))
        except ValueError as error:
            raise row.error("bad_row", "not a time", name) from error
        if at.tzinfo is not None:
            raise row.error("bad_row", "not a time", name)
        if at.date() != self.business_date:
            raise row.error("other_day", f"the row is of {at.date()}", name)
        self._times[text] = made = at.isoformat(sep=" ") + _ZONE
        return made


class _Trade:
    """Reads rows of one trade bill."""

    def __init__(self, bill: Reader, headings: files.Headings) -> None:
        self.bill = bill
        self.headings = headings

    def read(self, number: int, line: str) -> BillRow:
        """One payment or refund. Raises StatementUnreadable."""
        row, cells, safe = _row(self.headings, number, line)
        bill, business = self.bill, row.get("业务类型")
        kind = {"交易": _PAYMENT, "退款": _REFUND}.get(business, _OTHER)
        is_refund = kind == _REFUND
        if not row.get("订单金额(元)"):
            raise row.error("bad_row", "the amount is missing", "订单金额(元)")
        read = row.positive if kind == _PAYMENT else row.fen
        amount = abs(read("订单金额(元)", bill.amounts))
        fee = abs(row.fen("服务费(元)", bill.fees))
        bill.counted[business] += 1
        if row.get("商家实收(元)"):
            bill.received[business] += abs(row.fen("商家实收(元)", bill.amounts))
        return BillRow(
            number, kind, row.name("商户订单号"), row.name("退款批次号/请求号") if is_refund else "",
            row.name("支付宝交易号"), "", amount, -fee if is_refund else fee,
            bill.time(row.get("完成时间"), row, "完成时间"), "", business, "", None, self.headings.json(cells, safe=safe), safe,
        )  # fmt: skip


class _Fund:
    """Reads rows of one fund bill."""

    def __init__(self, bill: Reader, headings: files.Headings) -> None:
        self.bill = bill
        self.headings = headings

    def read(self, number: int, line: str) -> BillRow:
        """One movement. Raises StatementUnreadable."""
        row, cells, safe = _row(self.headings, number, line)
        bill = self.bill
        income = row.positive("收入金额(+元)", bill.amounts)
        # Expenses stand with or without their sign, by vintage.
        expense = abs(row.fen("支出金额(-元)", bill.amounts))
        if income and expense:
            raise row.error("bad_row", "both income and expense", "收入金额(+元)")
        business = row.get("业务类型")
        balance = row.get("账户余额(元)")
        bill.counted["收入" if income else "支出"] += 1
        return BillRow(
            number, _fund_kind(business, is_income=bool(income)).value, row.name("商户订单号"), "", row.name("业务流水号"),
            "", income or expense, 0, bill.time(row.get("发生时间"), row, "发生时间"), "in" if income else "out", business,
            row.name("账务流水号"), row.fen("账户余额(元)", bill.amounts) if balance else None,
            self.headings.json(cells, safe=safe), safe,
        )  # fmt: skip


def _fund_kind(business: str, *, is_income: bool) -> LineKind:
    if "收费" in business or "服务费" in business or "手续费" in business:
        return LineKind.FEE
    if "提现" in business:
        return LineKind.PAYOUT
    if "充值" in business:
        return LineKind.TOP_UP
    if "退款" in business and not is_income:
        return LineKind.REFUND
    if business in {"在线支付", "交易付款", "交易"} and is_income:
        return LineKind.PAYMENT
    return LineKind.OTHER


def _row(headings: files.Headings, number: int, line: str) -> tuple[files.Row, list[str], bool]:
    cells, width = _split(line), headings.width
    row = files.Row(headings, cells, number)
    # Spreadsheets add empty cells at the end, and some vintages end each row with a comma.
    if len(cells) > width and not any(cells[width:]):
        del cells[width:]
    if len(cells) != width or cells[0] == headings.names[0]:
        raise row.misfit() or row.error("bad_row", "not a row of the bill", None)
    # A tab that anti-Excel habits put behind a number is not in the cell any more.
    safe = files.UNSAFE.search(line.replace("\t", "")) is None
    if not safe:
        row.refuse_nul()
        safe = not any(files.UNSAFE.search(cell) for cell in cells)
    elif "\t" in line and any("\t" in cell for cell in cells):
        safe = False
    return row, cells, safe


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text or "0")
    except InvalidOperation as error:
        raise InvalidAmount("not an amount") from error
    if not value.is_finite() or value.adjusted() > 13 or "_" in text or not text.isascii():
        raise InvalidAmount("not an amount")
    return value


def _amount(text: str) -> int:
    """Fen of an amount in yuan, empty is nothing. Raises InvalidAmount."""
    return Money.from_yuan(_decimal(text)).minor


def _fee(text: str) -> int:
    """Fen of a fee, rounded."""
    return int(_decimal(text).scaleb(2).to_integral_value(ROUND_HALF_UP))


def _stated(amount: str) -> Money | None:
    try:
        return Money.from_yuan(amount.lstrip("-")) if amount else None
    except InvalidAmount:
        return None
