"""UnionPay's bill of a settlement day: the ZM file (商户对账文件), in its zip, packed for the wire, or alone.

Records have a fixed width in bytes with a space between columns, in GBK, without heading or ending. Times have no year.
Sources: UnionPay's SDK samples; the widths were checked against the vendor's own sample bill. What is not certain is not
leant on: the sign of a refund's fee follows from the settled amount, and of other files in the zip only a totals report
is used, as a check.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import IO, ClassVar, Final

from apps.core.clock import CHINA
from apps.platforms import files
from apps.platforms.connectors.unionpay import wire
from apps.platforms.gateway import (
    BillReader,
    BillRow,
    LineKind,
    ParsedStatement,
    StatementKind,
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
#: Of what travels in base64 the whole is in memory for a moment; the platform's own stay far below.
_LONGEST_TRAVELLING: Final = 64 * 1024 * 1024
_LONGEST_INFLATED: Final = 64 * 1024 * 1024
_LONGEST_REPORT = 1024 * 1024
#: Rows may be transmitted a little before or after the day in whose bill they are.
_CUT_OVER = timedelta(hours=2)


def inflate(packed: bytes) -> bytes:
    """Undo the form in which bills travel: base64 of a zlib stream. Raises StatementUnreadable."""
    try:
        raw = base64.b64decode(b"".join(packed.split()), validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(raw, _LONGEST_INFLATED)
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
    """Read a small bill whole, see ``Reader``. Raises StatementUnreadable."""
    return Reader(content, merchant_no=merchant_no, business_date=business_date).parsed()


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
    blank = 0
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
                continue
            blank += 1
            if blank > files.MAX_BLANK:
                raise StatementUnreadable("other_format", "hardly anything in it", line=number)


class Reader(BillReader):
    """A bill: the zip, its ZM member alone, or the form in which it travels.

    The day is UnionPay's settlement day, from 23:00 of the day before to 23:00. Adjustments (ZME) are not read; where there
    are any, they are named among ``unknown_columns``.
    """

    refunds_lack_order_no: ClassVar[bool] = True

    def __init__(
        self, content: bytes | IO[bytes], *, merchant_no: str, business_date: date
    ) -> None:
        self.kind = StatementKind.TRADE
        self.business_date = business_date
        self.merchant_no = merchant_no
        source = _unpacked(files.as_stream(content))
        self._found = files.members(source)
        ends = datetime.combine(business_date, time(23), tzinfo=CHINA)
        starts = ends - timedelta(days=1)
        #: Between these, as ISO 8601 in UTC, at least one record must lie.
        self._about = (starts - _CUT_OVER, ends + _CUT_OVER)
        self._first: tuple[int, datetime] | None = None
        self._is_of_day = False
        self._times: dict[str, tuple[str, datetime]] = {}
        self._count = 0
        #: What the merchant gets in all, in fen.
        self._net = 0

    def rows(self) -> Iterator[BillRow]:
        """The rows. Raises StatementUnreadable."""
        found, wanted = self._found, self._found
        alone = len(found) == 1 and not found[0].name
        if not alone:
            wanted = _details(found, merchant_no=self.merchant_no, day=self.business_date)
        for member in wanted:
            yield from self._read(member)
        if self._first is not None and not self._is_of_day:
            number, at = self._first
            raise StatementUnreadable(
                "other_day", f"the records are of about {at:%d %B}", line=number
            )
        if alone:
            return
        for member in found:
            if _REPORT.match(_base(member)):
                self._compare(_text(member))
        self.unknown_columns = _adjustments(found)

    def totals(self) -> StatementTotals:
        """Nothing: a ZM file has no ending. The report beside it is held against the rows as they are read."""
        return StatementTotals()

    def _read(self, member: files.Member) -> Iterator[BillRow]:
        records = _records(member)
        for number, record in records:
            if not self._count and _foreign(record):
                raise StatementUnreadable("other_format", "not a ZM file", line=number)
            try:
                row = self._row(_Record(record, number))
            except StatementUnreadable as error:
                # A file that was cut off ends within a record.
                short = len(record) < _LEAST
                if short and error.reason == "bad_row" and next(records, None) is None:
                    raise StatementUnreadable(
                        "truncated", "the file ends within a record", line=number
                    ) from error
                raise
            self._count += 1
            yield row

    def _row(self, record: _Record) -> BillRow:
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
        trade_no, order_no = record.name("查询流水号"), record.name("商户订单号")
        if not trade_no or not order_no:
            raise record.error("bad_row", "a number is missing", "商户订单号")
        net = record.signed("清算净额")
        self._net += (settled or 0) if net is None else net
        return BillRow(
            row=record.number,
            kind=kind.value,
            # Of a refund the remark that went with it, where the payment itself is not in the bill.
            order_no=_number(record["商户自定义域"]) if is_refund else order_no,
            refund_no=order_no if is_refund else "",
            platform_trade_no=record.name("原交易查询流水号") if is_refund else trade_no,
            platform_refund_no=trade_no if is_refund else "",
            amount_minor=amount,
            fee_minor=record.fee(kind, amount, settled),
            occurred_at=self._time(record),
            status="",
            product=business + record["交易子类"],
            flow_no="",
            balance_minor=None,
            raw=record.raw(),
        )

    def _time(self, record: _Record) -> str:
        """When it was transmitted, in the year that fits the bill's day."""
        digits = record["交易传输时间"]
        known = self._times.get(digits)
        if known is None:
            near = datetime.combine(self.business_date, time(11), tzinfo=CHINA)
            try:
                at = wire.moment(digits, near=near)
            except ValueError as error:
                raise record.error("bad_row", "not a time", "交易传输时间") from error
            known = self._times[digits] = at.isoformat(sep=" "), at
            self._is_of_day = self._is_of_day or self._about[0] <= at < self._about[1]
        if self._first is None:
            self._first = record.number, known[1]
        return known[0]

    def _compare(self, report: str) -> None:
        """Hold the records against the totals that a report (RD…) prints, where it prints any."""
        told: set[int] = set()
        for line in report.splitlines():
            if _SUMS.search(line):
                told.update(_fen(number) for number in _NUMBER.findall(line))
        if len(told) < 2:
            return
        # Counts are printed as they are, amounts in yuan; the layout is not documented, so its order is not relied on.
        if self._count * 100 not in told or abs(self._net) not in told:
            raise StatementUnreadable("totals", "the records do not come to the report's totals")


def _unpacked(source: IO[bytes]) -> IO[bytes]:
    """What was handed over, without the form in which bills travel."""
    source.seek(0)
    head = source.read(4096)
    if not head.strip():
        raise StatementUnreadable("truncated", "the file is empty")
    if not _TRAVELLING.fullmatch(head):
        return source
    content = head + source.read(_LONGEST_TRAVELLING)
    if len(content) > _LONGEST_TRAVELLING:
        raise StatementUnreadable("too_large", "the file is too large")
    return files.as_stream(inflate(content))


def _fen(number: str) -> int:
    return abs(int(Decimal(number.replace(",", "")).scaleb(2)))


def _number(remark: str) -> str:
    return remark if re.fullmatch(r"[0-9A-Za-z]{8,32}", remark) else ""


def _foreign(record: bytes) -> bool:
    """Whether a first line is nothing like a record: another platform's bill, a page, text that somebody wrote."""
    files.refuse_personal(record.decode("gb18030", errors="replace"))
    return _BEGINNING.match(record) is None


class _Record:
    """One record, cut up by bytes before anything is decoded; every complaint says where."""

    __slots__ = ("_record", "number")

    def __init__(self, record: bytes, number: int) -> None:
        self.number = number
        self._record = record
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

    def raw(self) -> str:
        """The row as it stands in the file, without empty columns and with the account masked, as JSON."""
        cells = {name: value for name in _PLACES if (value := self[name])}
        return json.dumps(cells, ensure_ascii=False)

    def name(self, name: str) -> str:
        """A number that names something."""
        value = self[name]
        trouble = files.trouble_of_name(value)
        if trouble:
            raise self.error(trouble, "not a number as the platform writes it", name)
        return value

    def amount(self, name: str) -> int:
        """An amount in fen."""
        value = self[name]
        if not re.fullmatch(r"[0-9]{12}", value):
            raise self.error("bad_row", "not an amount", name)
        return int(value)

    def signed(self, name: str) -> int | None:
        """Fen with ``C`` (to the merchant, positive) or ``D`` before them; None where the column is empty."""
        value = self[name]
        if not value:
            return None
        if not re.fullmatch(r"[CD][0-9]{12}", value):
            raise self.error("bad_row", "not an amount", name)
        return int(value[1:]) * (1 if value[0] == "C" else -1)

    def fee(self, kind: LineKind, amount: int, settled: int | None) -> int:
        """What was charged (positive) or given back.

        The letter alone does not tell with certainty how the fee of a refund is meant; what was settled does.
        """
        said = self.signed("商户手续费") or 0
        gross = amount if kind is LineKind.PAYMENT else -amount
        if settled is not None and abs(gross - settled) == abs(said):
            return gross - settled
        return -said
