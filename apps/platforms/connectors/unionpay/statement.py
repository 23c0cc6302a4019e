"""UnionPay's bill of a settlement day: the ZM file (商户对账文件), in its zip, packed for the wire, or alone.

Records have a fixed width in bytes with a space between columns, in GBK, without heading or ending. Times have no year.
Sources: UnionPay's SDK samples; the widths were checked against the vendor's own sample bill. What is not certain is not
leant on: the sign of a refund's fee follows from the settled amount, and of other files in the zip only a totals report
is used, as a check.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate

from apps.core.clock import CHINA
from apps.core.money import Money
from apps.platforms import files
from apps.platforms.connectors.unionpay import wire
from apps.platforms.gateway import (
    LineKind,
    ParsedStatement,
    StatementKind,
    StatementLine,
    StatementTotals,
    StatementUnreadable,
)

#: The columns in the order of the record, with their widths in bytes.
COLUMNS = (
    ("交易代码", 3),
    ("代理机构标识码", 11),
    ("发送机构标识码", 11),
    ("系统跟踪号", 6),
    ("交易传输时间", 10),
    ("账号", 19),
    ("交易金额", 12),
    ("商户类别", 4),
    ("终端类型", 2),
    ("查询流水号", 21),
    ("支付方式（旧）", 2),
    ("商户订单号", 32),
    ("支付卡类型", 2),
    ("原始交易的系统跟踪号", 6),
    ("原始交易日期时间", 10),
    ("商户手续费", 13),
    ("结算金额", 13),
    ("支付方式", 4),
    ("集团商户代码", 15),
    ("交易类型", 2),
    ("交易子类", 2),
    ("业务类型", 6),
    ("账号类型", 2),
    ("账单类型", 4),
    ("账单号码", 32),
    ("交互方式", 1),
    ("原交易查询流水号", 21),
    ("商户代码", 15),
    ("分账入账方式", 1),
    ("二级商户代码", 15),
    ("二级商户简称", 32),
    ("二级商户分账入账金额", 13),
    ("清算净额", 13),
    ("终端号", 8),
    ("商户自定义域", 32),
    ("优惠金额", 13),
    ("发票金额", 13),
    ("分期付款附加手续费", 12),
    ("分期付款期数", 2),
    ("交易介质", 1),
    ("保留使用", 131),
)
_STARTS = tuple(accumulate((width + 1 for _name, width in COLUMNS), initial=0))
_PLACES = {
    name: slice(start, start + width)
    for (name, width), start in zip(COLUMNS, _STARTS, strict=False)
}
#: Spaces stand between columns. The last column was cut up in a later edition, with spaces of its own.
_LAYOUT = re.compile(b" ".join(b".{%d}" % width for _name, width in COLUMNS), re.DOTALL)
#: So much of a first line tells whether this is a ZM file at all.
_BEGINNING = re.compile(b" ".join(b".{%d}" % width for _name, width in COLUMNS[:5]), re.DOTALL)
LENGTH = _STARTS[-1] - 1
#: Spaces at a record's end get lost in editors; up to here a record must go.
_LEAST = _PLACES["清算净额"].stop
#: A line longer than this is no record, whatever follows.
_LONGEST_LINE = 4096

_DETAIL = re.compile(r"INN([0-9]{6})[0-9]{2}ZM_([0-9A-Za-z]{15})(?:\.txt)?", re.IGNORECASE)
_ADJUSTMENTS = re.compile(r"INN[0-9]{8}ZME_", re.IGNORECASE)
_REPORT = re.compile(r"RD[0-9]{4}", re.IGNORECASE)
_SUMS = re.compile(r"[合总]\s*计")
_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]{2})?(?![0-9.])")
_TRAVELLING = re.compile(rb"\s*e[AFJN][0-9A-Za-z+/=\s]+")
_LONGEST_REPORT = 1024 * 1024
#: Rows may be transmitted a little before or after the day in whose bill they are.
_CUT_OVER = timedelta(hours=2)


def inflate(packed: bytes) -> bytes:
    """Undo the form in which bills travel: base64 of a zlib stream. Raises StatementUnreadable."""
    try:
        raw = base64.b64decode(b"".join(packed.split()), validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(raw, files.MAX_UNPACKED)
    except (binascii.Error, ValueError) as error:
        raise StatementUnreadable("truncated", "the packed file is not base64") from error
    except zlib.error as error:
        raise StatementUnreadable("truncated", "the packed file is damaged") from error
    if unpacker.unconsumed_tail:
        raise StatementUnreadable("too_large", "the file is too large when unpacked")
    if not unpacker.eof:
        raise StatementUnreadable("truncated", "the packed file ends too early")
    return content


def names_other_day(filename: str, day: date) -> bool:
    """Whether ``802310048993424_20150905.zip`` says another day; a name that says none does not."""
    match = re.search(r"_(\d{8})(?:\.zip)?$", filename, re.IGNORECASE)
    return match is not None and match.group(1) != f"{day:%Y%m%d}"


def parse(content: bytes, *, merchant_no: str, business_date: date) -> ParsedStatement:
    """Read a bill: the zip, its ZM member alone, or the form in which it travels. Raises StatementUnreadable.

    The day is UnionPay's settlement day, from 23:00 of the day before to 23:00. Adjustments (ZME) are not read; where there
    are any, they are named among ``unknown_columns``.
    """
    if not content.strip():
        raise StatementUnreadable("truncated", "the file is empty")
    if _TRAVELLING.fullmatch(content):
        content = inflate(content)
    found = files.members(content)
    reader = _Reader(merchant_no=merchant_no, day=business_date)
    if len(found) == 1 and not found[0].name:
        reader.read(found[0])
        return reader.bill()
    for member in _details(found, merchant_no=merchant_no, day=business_date):
        reader.read(member)
    for member in found:
        if _REPORT.match(_base(member)):
            reader.compare(_text(member))
    return reader.bill(notes=_adjustments(found))


def _base(member: files.Member) -> str:
    return re.split(r"[/\\]", member.name)[-1]


def _details(found: list[files.Member], *, merchant_no: str, day: date) -> list[files.Member]:
    """The members that hold this merchant's records of this day."""
    named = [(match, one) for one in found if (match := _DETAIL.fullmatch(_base(one)))]
    if not named:
        raise StatementUnreadable("other_format", "the zip file holds no ZM file")
    ours = [(match, one) for match, one in named if match.group(2) == merchant_no]
    if not ours:
        raise StatementUnreadable("other_account", "the bill is another merchant's")
    wanted = [one for match, one in ours if match.group(1) == f"{day:%y%m%d}"]
    if not wanted:
        raise StatementUnreadable("other_day", f"the bill is of {ours[0][0].group(1)}")
    return wanted


def _adjustments(found: list[files.Member]) -> tuple[str, ...]:
    """The files of adjustments that say anything."""
    counted = [
        (member, sum(1 for _ in _records(member)))
        for member in found
        if _ADJUSTMENTS.match(_base(member))
    ]
    return tuple(f"{_base(member)} ({count})" for member, count in counted if count)


def _text(member: files.Member) -> str:
    with member.open() as stream:
        return stream.read(_LONGEST_REPORT).decode("gb18030", errors="replace")


def _records(member: files.Member) -> Iterator[tuple[int, bytes]]:
    """The records with their line numbers; empty lines are left out."""
    with member.open() as stream:
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), 1):
            if len(line) == _LONGEST_LINE:
                raise StatementUnreadable(
                    "other_format", "a line is longer than a record", line=number
                )
            # 0x1A ends a file on old systems.
            record = line.rstrip(b"\r\n\x1a")
            if record.strip():
                yield number, record


@dataclass(kw_only=True)
class _Reader:
    merchant_no: str
    day: date
    lines: list[StatementLine] = field(default_factory=list)
    #: Our number by UnionPay's, for the payments of this bill.
    numbers: dict[str, str] = field(default_factory=dict)
    #: What the merchant gets in all, in fen.
    net: int = 0

    def read(self, member: files.Member) -> None:
        records = _records(member)
        for number, record in records:
            if not self.lines and _foreign(record):
                raise StatementUnreadable("other_format", "not a ZM file", line=number)
            try:
                self._take(_Record(record, number))
            except StatementUnreadable as error:
                # A file that was cut off ends within a record.
                short = len(record) < _LEAST
                if short and error.reason == "bad_row" and next(records, None) is None:
                    raise StatementUnreadable(
                        "truncated", "the file ends within a record", line=number
                    ) from error
                raise

    def _take(self, record: _Record) -> None:
        if record["商户代码"] != self.merchant_no:
            raise record.error("other_account", "the record is another merchant's", "商户代码")
        business = record["交易类型"]
        kind = LineKind.OTHER
        if business in wire.PAYMENT:
            kind = LineKind.PAYMENT
        elif business in wire.REFUNDS:
            kind = LineKind.REFUND
        amount = record.amount("交易金额")
        settled = record.signed("结算金额")
        is_refund = kind is LineKind.REFUND
        trade_no, order_no = record["查询流水号"], record["商户订单号"]
        if not trade_no or not order_no:
            raise record.error("bad_row", "a number is missing", "商户订单号")
        if kind is LineKind.PAYMENT:
            self.numbers[trade_no] = order_no
        net = record.signed("清算净额")
        self.net += (settled or 0) if net is None else net
        self.lines.append(
            StatementLine(
                kind=kind,
                row=record.number,
                # Of a refund the remark that went with it, until the payment itself is found.
                order_no=_number(record["商户自定义域"]) if is_refund else order_no,
                refund_no=order_no if is_refund else "",
                platform_trade_no=record["原交易查询流水号"] if is_refund else trade_no,
                platform_refund_no=trade_no if is_refund else "",
                amount=amount,
                fee=record.fee(kind, amount, settled),
                occurred_at=record.time(self.day),
                product=business + record["交易子类"],
                raw=record,
            )
        )

    def bill(self, *, notes: tuple[str, ...] = ()) -> ParsedStatement:
        """What was read."""
        ends = datetime.combine(self.day, time(23), tzinfo=CHINA)
        starts = ends - timedelta(days=1)
        if self.lines and not any(
            starts - _CUT_OVER <= line.occurred_at < ends + _CUT_OVER for line in self.lines
        ):
            first = self.lines[0]
            raise StatementUnreadable(
                "other_day", f"the records are of about {first.occurred_at:%d %B}", line=first.row
            )
        return ParsedStatement(
            kind=StatementKind.TRADE,
            business_date=self.day,
            merchant_no=self.merchant_no,
            lines=[self._numbered(line) for line in self.lines],
            totals=StatementTotals(),
            unknown_columns=notes,
        )

    def _numbered(self, line: StatementLine) -> StatementLine:
        if line.kind is not LineKind.REFUND or line.platform_trade_no not in self.numbers:
            return line
        return replace(line, order_no=self.numbers[line.platform_trade_no])

    def compare(self, report: str) -> None:
        """Hold the records against the totals that a report (RD…) prints, where it prints any."""
        told: set[int] = set()
        for line in report.splitlines():
            if _SUMS.search(line):
                told.update(_fen(number) for number in _NUMBER.findall(line))
        if len(told) < 2:
            return
        # Counts are printed as they are, amounts in yuan; the layout is not documented, so its order is not relied on.
        if len(self.lines) * 100 not in told or abs(self.net) not in told:
            raise StatementUnreadable("totals", "the records do not come to the report's totals")


def _fen(number: str) -> int:
    return abs(int(Decimal(number.replace(",", "")).scaleb(2)))


def _number(remark: str) -> str:
    return remark if re.fullmatch(r"[0-9A-Za-z]{8,32}", remark) else ""


def _foreign(record: bytes) -> bool:
    """Whether a first line is nothing like a record: another platform's bill, a page, text that somebody wrote."""
    files.refuse_personal(record.decode("gb18030", errors="replace"))
    return _BEGINNING.match(record) is None


class _Record(Mapping[str, str]):
    """One record, cut up by bytes before anything is decoded; every complaint says where.

    As a mapping it is the row as it stands in the file, without empty columns and with the account masked.
    """

    __slots__ = ("_cells", "_record", "number")

    def __init__(self, record: bytes, number: int) -> None:
        self.number = number
        self._record = record
        self._cells: dict[str, str] | None = None
        if len(record) < _LEAST:
            raise self.error("bad_row", f"{len(record)} bytes are too few", None)
        if len(record.rstrip()) > LENGTH:
            raise self.error("bad_row", f"more than {LENGTH} bytes", None)
        if b"\0" in record or not _LAYOUT.match(record.ljust(LENGTH)):
            raise self.error("bad_row", "the columns are not where they should be", None)

    def error(self, reason: str, detail: str, column: str | None) -> StatementUnreadable:
        """A complaint about this record."""
        return StatementUnreadable(reason, detail, line=self.number, column=column)

    def __getitem__(self, name: str) -> str:
        value = self._record[_PLACES[name]].decode("gb18030", errors="replace").strip()
        return wire.masked(value) if name == "账号" else value

    def __iter__(self) -> Iterator[str]:
        return (name for name in _PLACES if self[name])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"_Record({dict(self)!r})"

    def amount(self, name: str) -> Money:
        """An amount in fen."""
        value = self[name]
        if not re.fullmatch(r"[0-9]{12}", value):
            raise self.error("bad_row", "not an amount", name)
        return Money(int(value))

    def signed(self, name: str) -> int | None:
        """Fen with ``C`` (to the merchant, positive) or ``D`` before them; None where the column is empty."""
        value = self[name]
        if not value:
            return None
        if not re.fullmatch(r"[CD][0-9]{12}", value):
            raise self.error("bad_row", "not an amount", name)
        return int(value[1:]) * (1 if value[0] == "C" else -1)

    def fee(self, kind: LineKind, amount: Money, settled: int | None) -> Money:
        """What was charged (positive) or given back.

        The letter alone does not tell with certainty how the fee of a refund is meant; what was settled does.
        """
        said = self.signed("商户手续费") or 0
        gross = amount.minor if kind is LineKind.PAYMENT else -amount.minor
        if settled is not None and abs(gross - settled) == abs(said):
            return Money(gross - settled)
        return Money(-said)

    def time(self, day: date) -> datetime:
        """When it was transmitted, in the year that fits the bill's day."""
        try:
            return wire.moment(
                self["交易传输时间"], near=datetime.combine(day, time(11), tzinfo=CHINA)
            )
        except ValueError as error:
            raise self.error("bad_row", "not a time", "交易传输时间") from error
