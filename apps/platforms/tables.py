"""Bills as tables whose columns somebody named: console exports of a platform that has no bills to download. Free of Django.

Which column holds what is a mapping from our fields to the file's headings, since no such layout is documented (Shouqianba's
is UNVERIFIED) and consoles change it. A file is read whole or refused with the line and the column at fault.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

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
_LONGEST: Final = 64 * 1024 * 1024

_TOTALS = re.compile(r"(合计|总计|小计|共计|总笔数|total\b|sum\b|#)", re.IGNORECASE)
_REWRITTEN = re.compile(r"\d(?:\.\d+)?[Ee]\+?\d+")
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


def look(content: bytes, *, rows: int = 5) -> Sample:
    """The headings of a file and its first rows. Raises StatementUnreadable where there is nothing like a table."""
    reader = _rows(content)
    for number, cells in reader:
        if number > _PREAMBLE:
            break
        named = [cell for cell in cells if cell]
        # Headings are words, all different; a title has one cell, a row of a bill has figures.
        figures = sum(any(letter.isdigit() for letter in cell) for cell in named)
        if len(named) < 3 or len(set(named)) != len(named) or figures * 2 > len(named):
            continue
        found = []
        for line, row in reader:
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
    """Read a table by its column map; rows outside ``period`` are refused. Raises StatementUnreadable."""
    reader = _rows(content)
    headings, places = _find_headings(reader, columns)
    lines: list[StatementLine] = []
    previous: StatementUnreadable | None = None
    for number, cells in reader:
        if previous is not None:
            raise previous
        if _is_total(cells):
            continue
        row = _Row(number, cells, headings, places, columns)
        if len(cells) < 1 + max(places.values()):
            # In the last line it is the end of a file that was cut off.
            previous = row.error("bad_row", "cells are missing", "at")
            continue
        lines.append(row.line(period))
    if previous is not None:
        raise StatementUnreadable("truncated", "the last line is cut off", line=previous.line)
    used = set(places.values())
    return ParsedStatement(
        kind=StatementKind.TRADE,
        business_date=business_date,
        merchant_no=merchant_no,
        lines=lines,
        totals=StatementTotals(),
        unknown_columns=tuple(
            heading for place, heading in enumerate(headings) if heading and place not in used
        ),
    )


def read_rows(sample: Sample, columns: Mapping[str, str]) -> list[StatementLine]:
    """The rows of a sample as the column map reads them, whatever their day. Raises StatementUnreadable."""
    places = _places(sample.headings, sample.line, columns)
    always = (
        datetime.min.replace(tzinfo=CHINA),
        datetime.max.replace(tzinfo=CHINA),
    )
    return [
        _Row(number, list(cells), list(sample.headings), places, columns).line(always)
        for number, cells in sample.rows
    ]


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


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the number of its first line; cells are cleaned."""
    if not content.strip():
        raise StatementUnreadable("truncated", "the file is empty")
    text = _text(_member(content))
    files.refuse_personal(text[:4096])
    first = next((line for line in text.splitlines() if line.count(",") + line.count("\t") > 1), "")
    delimiter = "\t" if first.count("\t") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        for row in reader:
            cells = [clean(cell) for cell in row]
            if any(cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        cut = "end of data" in str(error)
        raise StatementUnreadable(
            "truncated" if cut else "bad_row", "not a row of a table", line=number
        ) from error


def _member(content: bytes) -> files.Member:
    found = [
        one for one in files.members(content) if not one.name or one.name.lower().endswith((".csv", ".txt", ".tsv"))
    ]  # fmt: skip
    if len(found) != 1:
        raise StatementUnreadable("other_format", "not one table but none or several")
    return found[0]


def _text(member: files.Member) -> str:
    with member.open() as stream:
        raw = stream.read(_LONGEST + 1)
    if len(raw) > _LONGEST:
        raise StatementUnreadable("too_large", "the file is too large when unpacked")
    for encoding in files.ENCODINGS:
        try:
            return raw.decode(encoding).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
    raise StatementUnreadable("other_format", "not text")


def _is_total(cells: Sequence[str]) -> bool:
    first = next((cell for cell in cells if cell), "")
    return _TOTALS.match(first) is not None


def _find_headings(
    reader: Iterator[tuple[int, list[str]]], columns: Mapping[str, str]
) -> tuple[list[str], dict[str, int]]:
    wanted = [heading for heading in columns.values() if heading]
    best, line, closest = 0, 0, list[str]()
    for number, cells in reader:
        if number > _PREAMBLE:
            break
        present = sum(heading in cells for heading in wanted)
        if present == len(wanted):
            return cells, _places(cells, number, columns)
        if present > best:
            best, line, closest = present, number, cells
    if not best:
        raise StatementUnreadable("other_format", "no line has the headings of the column map")
    missing = next(heading for heading in wanted if heading not in closest)
    raise StatementUnreadable("column_missing", "no such column", line=line, column=missing)


def _places(headings: Sequence[str], line: int, columns: Mapping[str, str]) -> dict[str, int]:
    places = {}
    for field, heading in columns.items():
        if field not in FIELDS or not heading:
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
        if _REWRITTEN.fullmatch(text):
            raise self.error("bad_row", "a spreadsheet has rewritten this number", field)
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

    def kind(self, amount: Money) -> LineKind:
        if "kind" not in self.places:
            return LineKind.REFUND if amount.minor < 0 else LineKind.PAYMENT
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

    def line(self, period: tuple[datetime, datetime]) -> StatementLine:
        amount = self.money("amount")
        at = self.moment()
        kind = self.kind(amount) if self.happened() else LineKind.OTHER
        if not period[0] <= at < period[1]:
            raise self.error("other_day", "a row of another day", "at")
        if kind is LineKind.PAYMENT and amount.minor < 0:
            raise self.error("bad_row", "a payment below zero", "amount")
        order_no, trade_no = self.identity("order_no"), self.identity("trade_no")
        if not order_no and not trade_no:
            raise self.error("bad_row", "the numbers are missing", "order_no" if "order_no" in self.places else "trade_no")  # fmt: skip
        refund = kind is LineKind.REFUND
        fee_known = bool(self.text("fee"))
        fee = Money(abs(self.money("fee").minor)) if fee_known else Money(0)
        return StatementLine(
            kind=kind,
            row=self.number,
            order_no=order_no,
            refund_no=self.identity("refund_no") if refund else "",
            platform_trade_no=trade_no,
            platform_refund_no=self.identity("refund_trade_no") if refund else "",
            amount=Money(abs(amount.minor)),
            # Consoles show what is kept of a payment with either sign; a refund gives it back.
            fee=-fee if refund else fee,
            fee_known=fee_known,
            occurred_at=at,
            status=self.text("status"),
            product=self.text("product"),
            raw={
                heading: cell
                for heading, cell in zip(self.headings, self.cells, strict=False)
                if heading and cell
            },
        )
