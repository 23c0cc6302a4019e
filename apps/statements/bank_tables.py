"""Bank statements as tables whose columns somebody named. A file is read whole or refused with the line and column at fault.

No two banks' exports are alike, so which column holds what is a mapping from our fields to the file's headings, as for
console exports (``platforms.tables``, whose reading of files this shares). Free of Django.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from apps.core.clock import EARLIEST, LATEST
from apps.core.money import MAX_AMOUNT_MINOR, InvalidAmount, Money
from apps.platforms import tables
from apps.platforms.gateway import StatementUnreadable

#: What a row may tell, in the order in which it is asked for. The amount stands in one column with its sign, or beside a
#: column that says the direction, or in two columns.
FIELDS: Final = (
    "day",
    "amount",
    "money_in",
    "money_out",
    "direction",
    "counterparty",
    "memo",
    "reference",
    "balance",
)
REQUIRED: Final = frozenset({"day"})
_MOST_ROWS: Final = 200_000

_DAYS: Final = ("%Y-%m-%d", "%Y%m%d", "%Y年%m月%d日")
_IN: Final = frozenset(
    {"贷", "贷方", "收入", "入账", "转入", "来账", "收", "cr", "credit", "c", "in", "+"}
)
_OUT: Final = frozenset(
    {"借", "借方", "支出", "出账", "转出", "往账", "支", "付", "dr", "debit", "d", "out", "-"}
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)
_GUESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "day": ("交易日期", "记账日期", "入账日期", "交易时间", "记账时间", "日期", "时间", "date"),
    "money_in": ("收入金额", "贷方发生额", "贷方金额", "贷方", "收入", "转入金额", "credit"),
    "money_out": ("支出金额", "借方发生额", "借方金额", "借方", "支出", "转出金额", "debit"),
    "amount": ("交易金额", "发生额", "金额", "amount"),
    "direction": ("借贷标志", "借贷方向", "收支类型", "收支标志", "借/贷", "direction"),
    "counterparty": (
        "对方户名",
        "对方名称",
        "对方账户名称",
        "对方单位",
        "户名",
        "counterparty",
        "payer",
    ),
    "memo": ("摘要", "附言", "用途", "备注", "交易说明", "memo", "description"),
    "reference": ("交易流水号", "流水号", "交易序号", "凭证号", "回单编号", "reference"),
    "balance": ("账户余额", "余额", "balance"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BankRow:
    """One movement: positive fen came in. ``digest`` tells it from every other of the account."""

    row: int
    day: date
    amount_minor: int
    balance_minor: int | None
    counterparty: str
    memo: str
    reference: str
    digest: str


def guess(headings: Sequence[str]) -> dict[str, str]:
    """A first column map for these headings: those that are named as usual, each once."""
    found: dict[str, str] = {}
    for field in (
        "day",
        "direction",
        "money_in",
        "money_out",
        "counterparty",
        "reference",
        "balance",
        "memo",
        "amount",
    ):
        if field == "amount" and {"money_in", "money_out"} <= {*found}:
            continue
        for word in _GUESSES[field]:
            free = [one for one in headings if one and one not in found.values()]
            fits = [one for one in free if word in one.lower()]
            if fits:
                found[field] = min(fits, key=len)
                break
    if "money_out" not in found or "money_in" not in found:
        # One of them alone is the heading of something else.
        found.pop("money_in", None)
        found.pop("money_out", None)
    return found


def problem(mapping: Mapping[str, str]) -> tuple[str, str] | None:
    """What is wrong with a column map: the field, and a stable word for why; None where it can be used."""
    if not mapping.get("day"):
        return "day", "missing"
    one, both = (
        bool(mapping.get("amount")),
        [bool(mapping.get(f)) for f in ("money_in", "money_out")],
    )
    if one and any(both):
        return "amount", "either"
    if not one and not all(both):
        return ("money_out" if both[0] else "money_in" if both[1] else "amount"), "no_amount"
    if mapping.get("direction") and not one:
        return "direction", "either"
    seen: set[str] = set()
    for field in FIELDS:
        heading = mapping.get(field)
        if heading and heading in seen:
            return field, "twice"
        if heading:
            seen.add(heading)
    return None


def parse(content: bytes, mapping: Mapping[str, str]) -> list[BankRow]:
    """All rows of a statement. Raises StatementUnreadable."""
    return _number(_rows(tables.cells_of(content, mapping), mapping))


def read_rows(sample: tables.Sample, mapping: Mapping[str, str]) -> list[BankRow]:
    """The rows of a sample as the column map reads them. Raises StatementUnreadable."""
    return _number(_rows(tables.sample_cells(sample, mapping), mapping))


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    cells: Mapping[str, str]
    mapping: Mapping[str, str]

    def error(self, reason: str, detail: str, field: str) -> StatementUnreadable:
        return StatementUnreadable(
            reason, detail, line=self.number, column=self.mapping.get(field) or None
        )

    def text(self, field: str) -> str:
        text = " ".join(self.cells.get(field, "").split())
        if "\0" in text:
            raise self.error("bad_row", "a character that no statement has", field)
        return text

    def day(self) -> date:
        text = self.text("day").replace("/", "-").replace(".", "-").replace("T", " ")
        head = text.split(" ")[0]
        if re.fullmatch(r"\d{14}", head, re.ASCII):
            head = head[:8]
        for layout in _DAYS:
            try:
                day = datetime.strptime(head, layout).date()  # noqa: DTZ007  # a day of the bank's calendar
            except ValueError:
                continue
            if EARLIEST <= day <= LATEST:
                return day
        raise self.error("bad_row", "not a day", "day")

    def money(self, field: str) -> int | None:
        """Fen with their sign; None for an empty cell."""
        text = (
            self.text(field).replace("¥", "").replace("￥", "").replace("元", "").replace("−", "-")
        )
        text = re.sub(r"\s|CNY|RMB|人民币", "", text)
        if not text or text in {"-", "--"}:
            return None
        if _THOUSANDS.fullmatch(text):
            text = text.replace(",", "")
        try:
            minor = Money.from_yuan(text).minor
        except InvalidAmount as error:
            raise self.error("bad_row", "not an amount in yuan", field) from error
        if abs(minor) > 100 * MAX_AMOUNT_MINOR:
            raise self.error("bad_row", "not an amount in yuan", field)
        return minor

    def amount(self) -> int:
        """What came in (positive) or went out, in fen; zero where nothing moved."""
        if self.mapping.get("amount"):
            amount = self.money("amount")
            if amount is None:
                raise self.error("bad_row", "the amount is missing", "amount")
            if not self.mapping.get("direction"):
                return amount
            word = self.text("direction").lower()
            if word in _IN:
                return abs(amount)
            if word in _OUT:
                return -abs(amount)
            raise self.error("unknown_word", "neither in nor out", "direction")
        came, went = self.money("money_in") or 0, self.money("money_out") or 0
        if came and went:
            raise self.error("bad_row", "both in and out", "money_in")
        # What is taken back stands with a minus on its own side; what went out has either sign.
        return came or -abs(went)

    def reference(self) -> str:
        text = self.text("reference")
        if re.fullmatch(r"\d(?:\.\d+)?[Ee]\+?\d+", text):
            raise self.error("bad_row", "a spreadsheet has rewritten this number", "reference")
        return text


def _rows(
    cells: Iterable[tuple[int, Mapping[str, str]]], mapping: Mapping[str, str]
) -> list[BankRow]:
    found: list[BankRow] = []
    for number, named in cells:
        row = _Row(number, named, mapping)
        amount = row.amount()
        day = row.day()
        if len(found) >= _MOST_ROWS:
            raise StatementUnreadable("too_large", "too many rows", line=number)
        if not amount:
            continue
        found.append(
            BankRow(
                row=number,
                day=day,
                amount_minor=amount,
                balance_minor=row.money("balance") if mapping.get("balance") else None,
                counterparty=row.text("counterparty")[:160],
                memo=row.text("memo")[:240],
                reference=row.reference()[:80],
                digest="",
            )
        )
    return found


def _number(rows: Sequence[BankRow]) -> list[BankRow]:
    """With digests: by the bank's own reference, or else by all that the row says; the n-th of identical ones counts."""
    seen: Counter[str] = Counter()
    numbered = []
    for row in rows:
        parts = [row.day.isoformat(), str(row.amount_minor)]
        if row.reference:
            parts.append(row.reference)
        else:
            parts += ["", str(row.balance_minor), row.counterparty, row.memo]
        same = "\x1f".join(parts)
        seen[same] += 1
        digest = hashlib.sha256(f"{same}\x1f{seen[same]}".encode()).hexdigest()
        numbered.append(
            BankRow(
                row=row.row,
                day=row.day,
                amount_minor=row.amount_minor,
                balance_minor=row.balance_minor,
                counterparty=row.counterparty,
                memo=row.memo,
                reference=row.reference,
                digest=digest,
            )
        )
    return numbered
