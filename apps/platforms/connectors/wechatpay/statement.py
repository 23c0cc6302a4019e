"""WeChat Pay bills: trade bills (ALL, SUCCESS, REFUND; today's and the older headings) and fund bills.

Sources: WeChat Pay merchant documentation 4013071202 (trade) and 4013071209 (fund), and bills published by others. Columns
are found by heading, since they differ by bill type, by merchant and by year. Cells begin with a backtick and are not
quoted; a file that went through a spreadsheet has lost the backticks and is read as CSV.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import IO, ClassVar, Final

from apps.core.money import Money
from apps.platforms import files
from apps.platforms.connectors.wechatpay.cells import Cells, amount_fen, fee_fen, plain_fee
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
_ZONE: Final = "+08:00"
_PAYMENT, _REFUND, _OTHER = LineKind.PAYMENT.value, LineKind.REFUND.value, LineKind.OTHER.value


def parse(
    content: bytes, *, merchant_no: str, business_date: date, kind: StatementKind
) -> ParsedStatement:
    """Read a small bill whole, see ``Reader``. Raises StatementUnreadable."""
    return Reader(content, merchant_no=merchant_no, business_date=business_date, kind=kind).parsed()


def _split(row: str) -> list[str]:
    if row[0] == "`":
        cells = row[1:].split(",`")
        # Nearly no row has anything to strip.
        if " ,`" in row or "` " in row or "\t" in row or row[-1] == " ":
            return [cell.strip() for cell in cells]
        return cells
    return _split_plain(row)


def _split_plain(row: str) -> list[str]:
    try:
        cells = next(csv.reader([row], strict=True), [])
    except csv.Error:
        return []
    return [cell.strip().lstrip("`") for cell in cells]


def _heading(cell: str) -> str:
    name = cell.strip().lstrip("\ufeff`").strip('"').replace("（", "(").replace("）", ")")
    return _ALIASES.get(name, name)


class Reader(BillReader):
    """A bill: plain, gzip or zip, UTF-8 or GB18030.

    In a fund bill a line's ``status`` is ``"in"`` or ``"out"``, and the totals' payment and refund figures are those of all
    income and all expense. A fund bill says whose it is only in rows of refunds.
    """

    flow_column: ClassVar[str] = "资金流水单号"

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
        self._day = business_date.isoformat()
        self.merchant_no = merchant_no
        members = [one for one in files.members(content) if "汇总" not in one.name]
        if len(members) != 1:
            raise StatementUnreadable("other_format", "the zip file must hold one bill")
        self._member = members[0]
        self._stated: StatementTotals | None = None
        #: Times of this day as they were found, with their zone: a day has few different ones.
        self.times: dict[str, str] = {}
        self.amounts = files.Fen(amount_fen)
        self.fees = files.Fen(fee_fen)

    def rows(self) -> Iterator[BillRow]:
        """The rows. Raises StatementUnreadable."""
        lines = files.text_lines(self._member)
        headings = self._head(lines)
        self.unknown_columns = tuple(
            name for name in headings.names if name and name not in _KNOWN[self.kind]
        )
        read = (_Trade if self.kind is StatementKind.TRADE else _Fund)(self, headings).read
        summary = _SUMMARY[self.kind]
        for count, (number, line) in enumerate(lines):
            try:
                row = read(number, line)
            except StatementUnreadable as error:
                if line.lstrip('`"').startswith(summary):
                    self._stated = self._totals(line, lines, count)
                    return
                # A file that was cut off ends within a row more often than between two.
                if error.reason == "bad_row" and next(lines, None) is None:
                    raise StatementUnreadable(
                        "truncated", "the file ends within a row", line=number
                    ) from error
                raise
            yield row
        raise StatementUnreadable("truncated", "the bill's summary is missing at its end")

    def totals(self) -> StatementTotals:
        """What the summary says, once all rows are read."""
        assert self._stated is not None  # noqa: S101  # rows() ends with it or raises
        return self._stated

    def _head(self, lines: Iterator[tuple[int, str]]) -> files.Headings:
        for number, line in lines:
            files.refuse_personal(line)
            names = [_heading(cell) for cell in line.split(",")]
            if not names or names[0] not in _FIRST.values():
                if number < 30 and (len(names) < 4 or not any(names[1:])):
                    # Perhaps the introduction of a private bill: its headings will tell.
                    continue
                break
            if names[0] != _FIRST[self.kind]:
                other = "fund" if self.kind is StatementKind.TRADE else "trade"
                raise StatementUnreadable("other_format", f"this is the {other} bill", line=number)
            return files.check_headings(names, needed=_NEEDED[self.kind], line=number)
        raise StatementUnreadable("other_format", "the headings of a WeChat Pay bill are missing")

    def _totals(self, ending: str, lines: Iterator[tuple[int, str]], rows: int) -> StatementTotals:
        number, line = next(lines, (0, ""))
        names = [_heading(cell) for cell in ending.split(",")]
        if not line:
            raise StatementUnreadable("truncated", "the figures of the summary are missing")
        row = Cells(files.Headings(names), _split(line), number)
        if len(row.cells) != len(names):
            raise row.error("bad_row", "the summary's figures do not fit its headings", None)
        if next(lines, None) is not None:
            raise StatementUnreadable("bad_row", "something follows the summary", line=number + 1)
        if row.count(_SUMMARY[self.kind]) != rows:
            raise row.error(
                "totals", f"the summary does not count {rows} rows", _SUMMARY[self.kind]
            )
        if self.kind is StatementKind.FUND:
            return StatementTotals(
                payment_count=row.count("收入笔数"),
                payment_amount=Money(row.amount("收入金额")),
                refund_count=row.count("支出笔数"),
                refund_amount=Money(row.amount("支出金额")),
            )
        return StatementTotals(
            payment_amount=Money(row.first_amount("订单总金额", "总交易额", "应结订单总金额")),
            refund_amount=Money(row.first_amount("申请退款总金额", "退款总金额", "总退款金额")),
            fee=Money(fee_fen(row.get("手续费总金额"))),
        )

    def plain_time(self, text: str) -> str:
        """A time of the bill's day as nearly all are written, with its zone; "" for any other text."""
        if text[:10] != self._day or len(text) != 19:
            return ""
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return ""
        made = self.times[text] = text + _ZONE
        return made

    def time(self, text: str, cells: Cells, name: str) -> str:
        """A time of the bill's day with its zone."""
        known = self.times.get(text)
        if known is not None:
            return known
        try:
            at = datetime.fromisoformat(text.replace("/", "-"))
        except ValueError as error:
            raise cells.error("bad_row", "not a time", name) from error
        if at.tzinfo is not None:
            raise cells.error("bad_row", "not a time", name)
        if at.date() != self.business_date:
            raise cells.error("other_day", f"the row is of {at.date()}", name)
        self.times[text] = made = at.isoformat(sep=" ") + _ZONE
        return made


class _Trade:
    """Reads rows of one trade bill, the places of its columns looked up once."""

    def __init__(self, bill: Reader, headings: files.Headings) -> None:
        self.bill = bill
        self.headings = headings
        self.width = headings.width
        place = headings.places
        self.at, self.merchant, self.trade_no = (
            place["交易时间"],
            place["商户号"],
            place["微信订单号"],
        )
        self.order_no, self.state, self.fee = (
            place["商户订单号"],
            place["交易状态"],
            place["手续费"],
        )
        self.product = place.get("交易类型")
        self.amounts = [
            place[name] for name in ("订单金额", "总金额", "应结订单金额") if name in place
        ]

    def read(self, number: int, line: str) -> BillRow:
        """One row. Raises StatementUnreadable."""
        cells = _split(line)
        if len(cells) != self.width or cells[self.merchant] != self.bill.merchant_no:
            raise self._foreign(number, cells)
        state = cells[self.state]
        if state != "SUCCESS":
            return self._back(number, line, cells, state)
        at, amount_text, fee_text = cells[self.at], "", cells[self.fee]
        for place in self.amounts:
            amount_text = cells[place]
            if amount_text:
                break
        bill = self.bill
        occurred_at = bill.times.get(at) or bill.plain_time(at)
        amount = files.plain_fen(amount_text)
        fee = bill.fees.known.get(fee_text)
        if fee is None:
            fee = plain_fee(fee_text)
        order_no, trade_no = cells[self.order_no], cells[self.trade_no]
        if (
            not occurred_at
            or amount is None
            or fee is None
            or not order_no.isalnum()
            or not trade_no.isdecimal()
            or files.UNSAFE.search(line) is not None
            or files.trouble_of_name(order_no)
            or files.trouble_of_name(trade_no)
        ):
            return self._careful(number, cells, safe=files.UNSAFE.search(line) is None)
        return BillRow(
            number, _PAYMENT, order_no, "", "" if trade_no == "0" else trade_no, "", amount, fee, occurred_at, state,
            "" if self.product is None else cells[self.product], "", None, self.headings.plain % tuple(cells), True,
        )  # fmt: skip

    def _careful(self, number: int, cells: list[str], *, safe: bool) -> BillRow:
        """A payment in which something is new, or wrong."""
        row = Cells(self.headings, cells, number)
        row.refuse_nul()
        name = next(
            (one for one in ("订单金额", "总金额", "应结订单金额") if row.get(one)), "订单金额"
        )
        return BillRow(
            row=number,
            kind=_PAYMENT,
            order_no=row.name("商户订单号"),
            refund_no="",
            platform_trade_no=row.identifier("微信订单号"),
            platform_refund_no="",
            amount_minor=row.positive(name, self.bill.amounts),
            fee_minor=row.fen("手续费", self.bill.fees),
            occurred_at=self.bill.time(row.get("交易时间"), row, "交易时间"),
            status=row.get("交易状态"),
            product=row.get("交易类型"),
            flow_no="",
            balance_minor=None,
            raw=self.headings.json(cells, safe=safe),
            safe=safe,
        )

    def _back(self, number: int, line: str, cells: list[str], state: str) -> BillRow:
        row = Cells(self.headings, cells, number)
        row.refuse_nul()
        if state not in {"REFUND", "REVOKED"}:
            raise row.error("bad_row", "a state that bills do not have", "交易状态")
        when = "退款申请时间" if row.get("退款申请时间") else "交易时间"
        occurred_at = self.bill.time(row.get(when), row, when)
        fee = abs(row.fen("手续费", self.bill.fees))
        amount = abs(row.first_amount("申请退款金额", "退款金额"))
        status = state
        if amount:
            kind, fee, status = _REFUND, -fee, row.get("退款状态") or state
        else:
            # A reversed order without a refund's figures is neither income nor a refund.
            kind = _OTHER
            amount = abs(row.first_amount("订单金额", "总金额", "应结订单金额"))
        safe = files.UNSAFE.search(line) is None
        return BillRow(
            row=number,
            kind=kind,
            order_no=row.name("商户订单号"),
            refund_no=row.identifier("商户退款单号"),
            platform_trade_no=row.identifier("微信订单号"),
            platform_refund_no=row.identifier("微信退款单号"),
            amount_minor=amount,
            fee_minor=fee,
            occurred_at=occurred_at,
            status=status,
            product=row.get("交易类型"),
            flow_no="",
            balance_minor=None,
            raw=self.headings.json(cells, safe=safe),
            safe=safe,
        )

    def _foreign(self, number: int, cells: list[str]) -> StatementUnreadable:
        row = Cells(self.headings, cells, number)
        trouble = row.misfit()
        if trouble is not None:
            return trouble
        return row.error("other_account", "the row is another merchant's", "商户号")


class _Fund:
    """Reads rows of one fund bill."""

    def __init__(self, bill: Reader, headings: files.Headings) -> None:
        self.bill = bill
        self.headings = headings
        self.amounts = files.Fen(amount_fen)
        self.balances = files.Fen(amount_fen)

    def read(self, number: int, line: str) -> BillRow:
        """One movement. Raises StatementUnreadable."""
        cells = _split(line)
        row = Cells(self.headings, cells, number)
        trouble = row.misfit()
        if trouble is not None:
            raise trouble
        row.refuse_nul()
        direction = {"收入": "in", "支出": "out"}.get(row.get("收支类型"))
        if direction is None:
            raise row.error("bad_row", "neither income nor expense", "收支类型")
        # The file names no merchant, but a refund names who asked for it.
        applicant = _APPLICANT.fullmatch(row.get("资金变更提交申请人"))
        if applicant is not None and applicant.group(1) != self.bill.merchant_no:
            raise row.error("other_account", "another merchant's refund", "资金变更提交申请人")
        business = row.get("业务类型")
        kind = _fund_kind(business, direction)
        voucher, number_there = row.identifier("业务凭证号"), row.identifier("微信支付业务单号")
        is_refund = kind is LineKind.REFUND
        safe = files.UNSAFE.search(line) is None
        balance = row.get("账户结余(元)")
        return BillRow(
            row=number,
            kind=kind.value,
            order_no="" if is_refund else voucher,
            refund_no=voucher if is_refund else "",
            platform_trade_no="" if is_refund else number_there,
            platform_refund_no=number_there if is_refund else "",
            amount_minor=row.positive("收支金额(元)", self.amounts),
            fee_minor=0,
            occurred_at=self.bill.time(row.get("记账时间"), row, "记账时间"),
            status=direction,
            product=business,
            flow_no=row.identifier("资金流水单号"),
            balance_minor=row.fen("账户结余(元)", self.balances) if balance else None,
            raw=self.headings.json(cells, safe=safe),
            safe=safe,
        )


def _fund_kind(business: str, direction: str) -> LineKind:
    if "手续费" in business:
        return LineKind.FEE
    if "提现" in business:
        return LineKind.PAYOUT
    if "充值" in business:
        return LineKind.TOP_UP
    if business == "交易" and direction == "in":
        return LineKind.PAYMENT
    if business == "退款" and direction == "out":
        return LineKind.REFUND
    return LineKind.OTHER
