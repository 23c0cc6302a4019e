"""Bills as tables whose columns somebody named: console exports of a platform that has no bills to download. Free of Django.

Which column holds what is a mapping from our fields to the file's headings, since no such layout is documented (Shouqianba's
is UNVERIFIED) and consoles change it. A file is read whole or refused with the line and the column at fault.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, islice
from typing import IO, Final, Self

from apps.core.clock import CHINA
from apps.core.money import InvalidAmount, Money
from apps.platforms import files
from apps.platforms.gateway import (
    BillReader,
    BillRow,
    LineKind,
    ParsedStatement,
    StatementKind,
    StatementLine,
    StatementTotals,
    StatementUnreadable,
)

#: What a row may tell, in the order in which it is asked for; the first two it must tell.
FIELDS: Final = (
    "at",
    "amount",
    "order_no",
    "trade_no",
    "kind",
    "refund_no",
    "refund_trade_no",
    "fee",
    "status",
    "product",
)
REQUIRED: Final = frozenset({"at", "amount"})
#: At least one of these must be there: a row without a number can be matched with nothing.
NUMBERS: Final = frozenset({"order_no", "trade_no"})
#: The columns of the files that the portal writes itself, and the first guess at a console export.
DEFAULT_COLUMNS: Final[Mapping[str, str]] = {
    "at": "交易时间",
    "trade_no": "收钱吧订单号",
    "order_no": "商户订单号",
    "kind": "交易类型",
    "refund_no": "退款单号",
    "refund_trade_no": "退款流水号",
    "product": "支付方式",
    "amount": "订单金额(元)",
    "fee": "手续费(元)",
    "status": "状态",
}
#: Headings of amounts that are not what was paid: what is left after the fee, or a part of it. Never taken by a guess.
_OTHER_AMOUNTS: Final = (
    "实收", "到账", "入账", "结算", "清算", "净", "手续费", "服务费", "佣金", "优惠", "折扣", "补贴", "退款", "余额",
    "net", "settle", "received", "payout", "fee", "discount", "refund", "balance",
)  # fmt: skip
#: Lines above the headings, at most: a title, the period, the shop.
_PREAMBLE: Final = 50

_TOTALS = re.compile(r"(合计|总计|小计|共计|总笔数|total\b|sum\b|#)", re.IGNORECASE)
#: Looked for in this order: a row of type 退款 is a refund though 付款 may stand in it as well.
_KINDS: Final = (
    (LineKind.REFUND, ("退", "撤销", "撤单", "冲正", "refund", "revoke", "cancel")),
    (LineKind.OTHER, ("提现", "充值", "结算", "分账", "转账", "手续费", "withdraw", "settle")),
    (LineKind.PAYMENT, ("收款", "支付", "付款", "消费", "交易", "收银", "销售", "pay", "sale")),
)
#: Looked for in this order: 未支付 is not paid, 退款中 not refunded.
_UNDONE: Final = (
    "失败", "关闭", "取消", "未", "待", "中", "超时", "异常", "撤", "fail", "clos", "cancel", "pending", "progress", "error",
)  # fmt: skip
_DONE: Final = (
    "成功",
    "已",
    "完成",
    "受理",
    "退款",
    "success",
    "paid",
    "refund",
    "done",
    "complete",
)
_TIMES: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H:%M:%S",
    "%Y年%m月%d日 %H:%M:%S",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a table: its headings, the line they stand on, and the first rows with their line numbers."""

    headings: tuple[str, ...]
    line: int
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def clean(cell: str) -> str:
    """A cell without what spreadsheets and consoles put around it: spaces, tabs, ``="…"``, a leading quote or backtick."""
    cell = cell.strip().strip("\ufeff")
    if cell.startswith('="') and cell.endswith('"'):
        cell = cell[2:-1]
    return cell.strip().lstrip("'`").strip()


def look(content: bytes | IO[bytes], *, rows: int = 5, is_bill: bool = True) -> Sample:
    """The headings of a file and its first rows. Raises StatementUnreadable where there is nothing like a table.

    ``is_bill``: a private wallet's bill is refused; other tables may hold the same words.
    """
    reader = _rows(content, is_bill=is_bill)
    for number, cells in reader:
        if number > _PREAMBLE:
            break
        named = [cell for cell in cells if cell]
        # Headings are words, all different; a title has one cell, a row of a bill has figures.
        figures = sum(any(letter.isdigit() for letter in cell) for cell in named)
        if len(named) < 3 or len(set(named)) != len(named) or figures * 2 > len(named):
            continue
        found = []
        # Of a file of nothing but totals no more is looked at than that.
        for line, row in islice(reader, files.MAX_BLANK):
            if _is_total(row):
                continue
            found.append((line, tuple(row)))
            if len(found) == rows:
                break
        return Sample(tuple(cells), number, tuple(found))
    raise StatementUnreadable("other_format", "no line of headings")


def parse(
    content: bytes,
    *,
    columns: Mapping[str, str],
    merchant_no: str,
    business_date: date,
    period: tuple[datetime, datetime],
) -> ParsedStatement:
    """Read a small table whole, see ``Reader``. Raises StatementUnreadable."""
    return Reader(
        content,
        columns=columns,
        merchant_no=merchant_no,
        business_date=business_date,
        period=period,
    ).parsed()


class Reader(BillReader):
    """A table read by its column map; rows outside ``period`` are refused."""

    def __init__(
        self,
        content: bytes | IO[bytes],
        *,
        columns: Mapping[str, str],
        merchant_no: str,
        business_date: date,
        period: tuple[datetime, datetime],
    ) -> None:
        self.kind = StatementKind.TRADE
        self.business_date = business_date
        self.merchant_no = merchant_no
        self._content = content
        self._columns = columns
        self._period = period

    def rows(self) -> Iterator[BillRow]:
        """The rows. Raises StatementUnreadable."""
        reader = _rows(self._content)
        headings, places = _find_headings(reader, self._columns)
        used = set(places.values())
        self.unknown_columns = tuple(
            heading for place, heading in enumerate(headings) if heading and place not in used
        )
        width = 1 + max(places.values())
        short: StatementUnreadable | None = None
        totals = 0
        for number, cells in reader:
            if short is not None:
                raise short
            if _is_total(cells):
                totals += 1
                if totals > files.MAX_BLANK:
                    raise StatementUnreadable("other_format", "nothing but totals", line=number)
                continue
            row = _Row(number, cells, headings, places, self._columns)
            if cells == headings:
                raise row.error("headings_twice", "the headings once more", "")
            if len(cells) < width:
                # In the last line it is the end of a file that was cut off.
                short = row.error("bad_row", "cells are missing", "at")
                continue
            yield row.bill_row(self._period)
        if short is not None:
            raise StatementUnreadable("truncated", "the last line is cut off", line=short.line)

    def totals(self) -> StatementTotals:
        """Nothing that can be relied on: what stands under such a table is not documented."""
        return StatementTotals()


def read_rows(sample: Sample, columns: Mapping[str, str]) -> list[StatementLine]:
    """The rows of a sample as the column map reads them, whatever their day. Raises StatementUnreadable."""
    places = _places(sample.headings, sample.line, columns)
    always = (
        datetime.min.replace(tzinfo=CHINA),
        datetime.max.replace(tzinfo=CHINA),
    )
    return [
        _Row(number, list(cells), list(sample.headings), places, columns).bill_row(always).line()
        for number, cells in sample.rows
    ]


def cells_of(content: bytes, columns: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The cells of a table of any kind, by our names for its columns, each row with its line; rows of totals are left out.

    ``columns``: the heading of each of our names, "" where the file has none. Raises StatementUnreadable.
    """
    reader = _rows(content, is_bill=False)
    _headings, places = _find_headings(reader, columns, fields=frozenset(columns))
    previous: StatementUnreadable | None = None
    for number, cells in reader:
        if previous is not None:
            raise previous
        if _is_total(cells):
            continue
        if len(cells) < 1 + max(places.values()):
            # In the last line it is the end of a file that was cut off.
            previous = StatementUnreadable("bad_row", "cells are missing", line=number)
            continue
        yield number, {field: cells[place] for field, place in places.items()}
    if previous is not None:
        raise StatementUnreadable("truncated", "the last line is cut off", line=previous.line)


def sample_cells(
    sample: Sample, columns: Mapping[str, str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """As ``cells_of``, of a sample. Raises StatementUnreadable."""
    places = _places(sample.headings, sample.line, columns, fields=frozenset(columns))
    for number, cells in sample.rows:
        yield (
            number,
            {field: cells[place] if place < len(cells) else "" for field, place in places.items()},
        )


def guess(headings: Sequence[str]) -> dict[str, str]:
    """A first column map for these headings: those that are named as usual.

    The amount is what the payer paid. A column of what is left of it after the fee is not guessed, be it the only amount.
    """
    words = {
        "at": ("交易时间", "支付时间", "创建时间", "时间", "time"),
        "amount": ("订单金额", "交易金额", "金额", "amount"),
        "order_no": ("商户订单号", "商家订单号", "外部订单号", "client_sn"),
        "trade_no": ("收钱吧订单号", "平台订单号", "交易订单号", "订单号", "流水号"),
        "kind": ("交易类型", "业务类型", "类型", "type"),
        "refund_no": ("退款单号", "退款请求号", "商户退款单号"),
        "refund_trade_no": ("退款流水号",),
        "fee": ("手续费", "fee"),
        "status": ("状态", "status"),
        "product": ("支付方式", "付款方式", "支付渠道"),
    }
    found: dict[str, str] = {}
    taken: set[str] = set()
    for field in FIELDS:
        for word in words[field]:
            fits = [one for one in headings if one and one not in taken and word in one.lower()]
            if field == "amount":
                fits = [
                    one for one in fits if not any(sign in one.lower() for sign in _OTHER_AMOUNTS)
                ]
            if fits:
                found[field] = min(fits, key=len)
                taken.add(found[field])
                break
    return found


def gross_column(sample: Sample, columns: Mapping[str, str]) -> str:
    """The heading of a column that holds amount and fee together in each row; "" where there is none.

    Then the chosen amount is most likely what was left after the fee. The fee's column is taken as chosen or as guessed.
    """
    fee = columns.get("fee") or guess(sample.headings).get("fee", "")
    amount = columns.get("amount", "")
    headings = list(sample.headings)
    if not sample.rows or not {amount, fee} <= {*headings} or not fee:
        return ""
    rows = [dict(zip(headings, cells, strict=False)) for _line, cells in sample.rows]
    wanted = [_sum_of(row, amount, fee) for row in rows]
    if None in wanted or not any(_fen(row.get(fee, "")) for row in rows):
        return ""
    for heading in headings:
        if heading in {"", amount, fee}:
            continue
        if [_fen(row.get(heading, "")) for row in rows] == wanted:
            return heading
    return ""


def _sum_of(row: Mapping[str, str], *headings: str) -> int | None:
    parts = [_fen(row.get(heading, "")) for heading in headings]
    return None if None in parts else sum(part for part in parts if part is not None)


def _fen(text: str) -> int | None:
    """An amount without its sign, in fen; None for what is none."""
    bare = text.replace("¥", "").replace("￥", "").replace("元", "").replace(",", "").strip()
    try:
        return abs(Money.from_yuan(bare).minor)
    except InvalidAmount:
        return None


def write(lines: Iterable[StatementLine]) -> bytes:
    """A table in ``DEFAULT_COLUMNS``: UTF-8 with BOM, amounts in yuan, an unknown fee left empty."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    fields = list(DEFAULT_COLUMNS)
    writer.writerow([DEFAULT_COLUMNS[field] for field in fields])
    for line in lines:
        refund = line.kind is LineKind.REFUND
        amount = -line.amount if refund else line.amount
        cells = {
            "at": f"{line.occurred_at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}",
            "trade_no": line.platform_trade_no,
            "order_no": line.order_no,
            "kind": "退款" if refund else "收款",
            "refund_no": line.refund_no,
            "refund_trade_no": line.platform_refund_no,
            "product": line.product,
            "amount": amount.to_yuan(),
            "fee": line.fee.to_yuan() if line.fee_known else "",
            "status": line.status or "成功",
        }
        writer.writerow([cells[field] for field in fields])
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()


def _rows(content: bytes | IO[bytes], *, is_bill: bool = True) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the number of its first line; cells are cleaned."""
    lines = _Lines(content, is_bill=is_bill)
    delimiter = lines.delimiter()
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [clean(cell) for cell in row]
            if len(cells) > files.MAX_COLUMNS:
                raise StatementUnreadable("other_format", "too many columns", line=lines.began)
            if any(cells):
                yield lines.began, cells
            lines.began = 0
    except csv.Error as error:
        cut = "end of data" in str(error)
        raise StatementUnreadable(
            "truncated" if cut else "bad_row", "not a row of a table", line=lines.began or None
        ) from error


class _Lines:
    """The lines of a table as a CSV reader wants them; ``began`` is the number of the first line of the row being read."""

    def __init__(self, content: bytes | IO[bytes], *, is_bill: bool = True) -> None:
        self._lines = files.text_lines(_member(content))
        self._head = list(islice(self._lines, _PREAMBLE))
        if not self._head:
            raise StatementUnreadable("truncated", "the file is empty")
        for _number, line in self._head if is_bill else ():
            files.refuse_personal(line)
        self._source = chain(self._head, self._lines)
        self.began = 0
        self._length = 0

    def delimiter(self) -> str:
        """What stands between cells, as the first line says that has several."""
        many = (line for _number, line in self._head if line.count(",") + line.count("\t") > 1)
        first = next(many, "")
        return "\t" if first.count("\t") > first.count(",") else ","

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        number, line = next(self._source)
        if not self.began:
            self.began, self._length = number, 0
        self._length += len(line)
        # A quote that is never closed would take the rest of the file for one cell.
        if self._length > files.MAX_LINE:
            raise StatementUnreadable("line_too_long", "a row without end", line=self.began)
        return line + "\n"


def _member(content: bytes | IO[bytes]) -> files.Member:
    found = [
        one for one in files.members(content) if not one.name or one.name.lower().endswith((".csv", ".txt", ".tsv"))
    ]  # fmt: skip
    if len(found) != 1:
        raise StatementUnreadable("other_format", "not one table but none or several")
    return found[0]


def _is_total(cells: Sequence[str]) -> bool:
    first = next((cell for cell in cells if cell), "")
    return _TOTALS.match(first) is not None


def _find_headings(
    reader: Iterator[tuple[int, list[str]]],
    columns: Mapping[str, str],
    *,
    fields: Collection[str] = FIELDS,
) -> tuple[list[str], dict[str, int]]:
    wanted = [heading for heading in columns.values() if heading]
    best, line, closest = 0, 0, list[str]()
    for number, cells in reader:
        if number > _PREAMBLE:
            break
        present = sum(heading in cells for heading in wanted)
        if present == len(wanted):
            return cells, _places(cells, number, columns, fields=fields)
        if present > best:
            best, line, closest = present, number, cells
    if not best:
        raise StatementUnreadable("other_format", "no line has the headings of the column map")
    missing = next(heading for heading in wanted if heading not in closest)
    raise StatementUnreadable("column_missing", "no such column", line=line, column=missing)


def _places(
    headings: Sequence[str],
    line: int,
    columns: Mapping[str, str],
    *,
    fields: Collection[str] = FIELDS,
) -> dict[str, int]:
    places = {}
    for field, heading in columns.items():
        if field not in fields or not heading:
            continue
        if heading not in headings:
            raise StatementUnreadable("column_missing", "no such column", line=line, column=heading)
        if list(headings).count(heading) > 1:
            raise StatementUnreadable("column_twice", "two such columns", line=line, column=heading)
        places[field] = list(headings).index(heading)
    return places


@dataclass(frozen=True, slots=True)
class _Row:
    """One row, cut up; every complaint says where."""

    number: int
    cells: list[str]
    headings: list[str]
    places: Mapping[str, int]
    columns: Mapping[str, str]

    def error(self, reason: str, detail: str, field: str) -> StatementUnreadable:
        return StatementUnreadable(
            reason, detail, line=self.number, column=self.columns.get(field) or None
        )

    def text(self, field: str) -> str:
        place = self.places.get(field)
        return "" if place is None or place >= len(self.cells) else self.cells[place]

    def identity(self, field: str) -> str:
        """A number that names something; a spreadsheet must not have rewritten it (4.2E+27)."""
        text = self.text(field)
        trouble = files.trouble_of_name(text)
        if trouble:
            raise self.error(trouble, "not a number as the platform writes it", field)
        return text

    def money(self, field: str) -> Money:
        text = self.text(field).replace("¥", "").replace("￥", "").replace("元", "")
        if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text.strip()):
            text = text.replace(",", "")
        try:
            return Money.from_yuan(text.strip())
        except InvalidAmount as error:
            raise self.error("bad_row", "not an amount in yuan", field) from error

    def moment(self) -> datetime:
        text = self.text("at").replace("/", "-").replace("T", " ")
        for layout in _TIMES:
            try:
                return datetime.strptime(text, layout).replace(tzinfo=CHINA)
            except ValueError:
                continue
        raise self.error("bad_row", "not a time", "at")

    def kind(self, amount: int) -> LineKind:
        if "kind" not in self.places:
            return LineKind.REFUND if amount < 0 else LineKind.PAYMENT
        word = self.text("kind").lower()
        for kind, words in _KINDS:
            if any(one in word for one in words):
                return kind
        raise self.error("unknown_word", "not a type of transaction that is known", "kind")

    def happened(self) -> bool:
        """Whether money moved. A table without a column for it lists what happened."""
        if "status" not in self.places:
            return True
        word = self.text("status").lower()
        if any(one in word for one in _UNDONE):
            return False
        if any(one in word for one in _DONE):
            return True
        raise self.error("unknown_word", "not a state that is known", "status")

    def bill_row(self, period: tuple[datetime, datetime]) -> BillRow:
        """The row as its columns say. Raises StatementUnreadable."""
        amount = self.money("amount").minor
        at = self.moment()
        kind = self.kind(amount) if self.happened() else LineKind.OTHER
        if not period[0] <= at < period[1]:
            raise self.error("other_day", "a row of another day", "at")
        if kind is LineKind.PAYMENT and amount < 0:
            raise self.error("bad_row", "a payment below zero", "amount")
        order_no, trade_no = self.identity("order_no"), self.identity("trade_no")
        if not order_no and not trade_no:
            raise self.error("bad_row", "the numbers are missing", "order_no" if "order_no" in self.places else "trade_no")  # fmt: skip
        refund = kind is LineKind.REFUND
        fee = abs(self.money("fee").minor) if self.text("fee") else None
        raw = {
            heading: cell
            for heading, cell in zip(self.headings, self.cells, strict=False)
            if heading and cell
        }
        for heading, cell in raw.items():
            if "\0" in cell:
                raise StatementUnreadable("bad_row", "a character that no bill has", line=self.number, column=heading)  # fmt: skip
        return BillRow(
            row=self.number,
            kind=kind.value,
            order_no=order_no,
            refund_no=self.identity("refund_no") if refund else "",
            platform_trade_no=trade_no,
            platform_refund_no=self.identity("refund_trade_no") if refund else "",
            amount_minor=abs(amount),
            # Consoles show what is kept of a payment with either sign; a refund gives it back.
            fee_minor=-fee if refund and fee else fee,
            occurred_at=at.isoformat(sep=" "),
            status=self.text("status"),
            product=self.text("product"),
            flow_no="",
            balance_minor=None,
            raw=json.dumps(raw, ensure_ascii=False),
        )
