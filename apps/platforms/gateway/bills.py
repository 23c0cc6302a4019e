"""Bills as readers give them: files, rows, totals."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import ClassVar, NamedTuple

from apps.core.money import Money
from apps.platforms.gateway.words import LineKind, StatementKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFile:
    """A bill as fetched, byte for byte, after the platform's hash (if it gives one) was checked."""

    filename: str
    content: bytes = field(repr=False)
    platform_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One row of a bill. Amounts are positive fen; ``kind`` says the direction.

    ``fee`` is what the platform charged for a payment (positive) or gave back with a refund (negative); where the file
    does not tell it, ``fee_known`` is False and ``fee`` is zero. ``row`` is the line number in the decoded file, for error
    messages and for "show me the row".

    A fund bill's line is one movement of the balance: ``status`` is ``"in"`` or ``"out"``, ``balance`` what the platform says
    is left after it (None where it does not say), ``flow_no`` the movement's own number.
    """

    kind: LineKind
    row: int
    order_no: str
    refund_no: str = ""
    platform_trade_no: str = ""
    platform_refund_no: str = ""
    amount: Money
    fee: Money
    occurred_at: datetime
    status: str = ""
    product: str = ""
    raw: Mapping[str, str] = field(default_factory=dict, repr=False)
    fee_known: bool = True
    flow_no: str = ""
    balance: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTotals:
    """What the bill's own summary says, to be checked against its rows; None where the bill does not say."""

    payment_count: int | None = None
    payment_amount: Money | None = None
    refund_count: int | None = None
    refund_amount: Money | None = None
    fee: Money | None = None


class BillRow(NamedTuple):
    """One row of a bill as it is read, made for millions of them: as ``StatementLine``, with amounts in fen.

    ``fee_minor`` is None where it is not told; ``occurred_at`` is ISO 8601 with its zone; ``raw`` is the row as it stands in
    the file, a JSON object. ``safe``: no field needs an escape in JSON or in PostgreSQL's COPY.
    """

    row: int
    kind: str
    order_no: str
    refund_no: str
    platform_trade_no: str
    platform_refund_no: str
    amount_minor: int
    fee_minor: int | None
    occurred_at: str
    status: str
    product: str
    flow_no: str
    balance_minor: int | None
    raw: str
    safe: bool = False

    def line(self) -> StatementLine:
        """The same for those who look at single rows."""
        return StatementLine(
            kind=LineKind(self.kind),
            row=self.row,
            order_no=self.order_no,
            refund_no=self.refund_no,
            platform_trade_no=self.platform_trade_no,
            platform_refund_no=self.platform_refund_no,
            amount=Money(self.amount_minor),
            fee=Money(self.fee_minor or 0),
            fee_known=self.fee_minor is not None,
            occurred_at=datetime.fromisoformat(self.occurred_at).astimezone(UTC),
            status=self.status,
            product=self.product,
            flow_no=self.flow_no,
            balance=None if self.balance_minor is None else Money(self.balance_minor),
            raw=json.loads(self.raw),
        )


class BillReader(ABC):
    """A bill being read: first its rows, once and in file order; then what the file says of itself.

    Memory does not grow with the file. ``merchant_no`` is "" where the file is of an account by other means.
    """

    #: Refunds tell the payment's number at the platform only: ours stands in the payment's own row, if the bill has it.
    refunds_lack_order_no: ClassVar[bool] = False
    #: The heading of the column behind ``flow_no``, whose numbers the platform gives once each.
    flow_column: ClassVar[str] = ""

    kind: StatementKind
    business_date: date
    merchant_no: str
    unknown_columns: tuple[str, ...] = ()

    @abstractmethod
    def rows(self) -> Iterator[BillRow]:
        """The rows. Raises StatementUnreadable at whatever is wrong, at the latest when the file ends."""

    @abstractmethod
    def totals(self) -> StatementTotals:
        """What the bill's summary says, once all rows are read."""

    def parsed(self) -> ParsedStatement:
        """The whole bill in memory. Raises StatementUnreadable."""
        lines = [row.line() for row in self.rows()]
        if self.refunds_lack_order_no:
            numbers = {
                line.platform_trade_no: line.order_no
                for line in lines
                if line.kind is LineKind.PAYMENT
            }
            lines = [
                replace(line, order_no=numbers.get(line.platform_trade_no, line.order_no))
                if line.kind is LineKind.REFUND
                else line
                for line in lines
            ]
        return ParsedStatement(
            kind=self.kind,
            business_date=self.business_date,
            merchant_no=self.merchant_no,
            lines=lines,
            totals=self.totals(),
            unknown_columns=self.unknown_columns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedStatement:
    """A readable bill: lines in file order, the totals it states, and columns we did not know (kept in ``raw``)."""

    kind: StatementKind
    business_date: date
    merchant_no: str
    lines: Sequence[StatementLine]
    totals: StatementTotals
    unknown_columns: tuple[str, ...] = ()
