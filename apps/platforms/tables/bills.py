"""Bills as tables: each row read by its column map, or refused with the line and the column at fault."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Final

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
from apps.platforms.tables.cells import Sample, find_headings, is_total, places_of, rows_of
from apps.platforms.tables.columns import DEFAULT_COLUMNS, FIELDS

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
        reader = rows_of(self._content)
        headings, places = find_headings(reader, self._columns, fields=FIELDS)
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
            if is_total(cells):
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
    places = places_of(sample.headings, sample.line, columns, fields=FIELDS)
    always = (
        datetime.min.replace(tzinfo=CHINA),
        datetime.max.replace(tzinfo=CHINA),
    )
    return [
        _Row(number, list(cells), list(sample.headings), places, columns).bill_row(always).line()
        for number, cells in sample.rows
    ]


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
