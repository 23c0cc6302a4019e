"""Transactions as CSV, written by the database and streamed, and the summary that proves the file.

RFC 4180 with CRLF. Amounts are yuan with two decimals, as numbers. Text that a spreadsheet would take for a formula gets
an apostrophe in front; numbers never do. In the variants for people, a number of twelve digits or more is quoted and
ends with a TAB: Excel, WPS and LibreOffice then keep it as text with every digit, and whatever trims its cells reads the
bare number (Alipay's own bills do the same; ``="…"`` would reach accounting programs as it stands). The variant for
programs has fixed titles, codes instead of words and bare numbers.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _

from apps.core import audit, clock
from apps.core.money import Money
from apps.core.sheets import no_formula
from apps.core.tenancy import current_scope, enter_scope
from apps.payments.models import PaymentState, Source
from apps.platforms.models import PlatformChoice
from apps.refunds.models import AUTOMATIC_REASON, AUTOMATIC_WORDS, RefundState
from apps.reports import wording
from apps.reports.models import Transaction, TransactionKind
from apps.reports.selectors import Sums, TransactionFilters, matching, sum_transactions

#: Header variants and the language of their words; None: fixed names for programs.
HEADERS: Final[Mapping[str, str | None]] = {"zh": "zh-hans", "en": "en", "machine": None}
ENCODINGS: Final = ("utf-8-sig", "gb18030")
#: Bytes gathered before they are handed to the web server.
CHUNK: Final = 65_536

_ZONE = "Asia/Shanghai"


class Cell(Enum):
    """What a cell holds, and so how each kind of file writes it."""

    TEXT = auto()
    WORD = auto()
    NUMBER = auto()
    #: bigint × numeric of scale 2: two decimals, exact.
    YUAN = auto()
    #: A time in China; its title names the zone.
    TIME = auto()
    DATE = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its fixed name, its title in words, the SQL of its value, and what the value is.

    A value of ``TEXT`` may come from outside, a ``WORD`` is one of ours, a ``NUMBER`` names something and may be long.
    """

    name: str
    title: Promise
    sql: str
    cell: Cell


def clean_text(expression: str) -> str:
    """Text without control characters and line ends."""
    return f"regexp_replace({expression}, '[\\x01-\\x1f\\x7f\\u2028\\u2029]+', ' ', 'g')"


def text_cell(expression: str) -> str:
    """Clean text, guarded where a spreadsheet would see a formula."""
    return f"regexp_replace({clean_text(expression)}, '^(\\s*[=+\\-@＝＋－＠])', '''\\1')"


def _time(column: str) -> str:
    return f"t.{column} AT TIME ZONE '{_ZONE}'"


def _yuan(column: str) -> str:
    return f"t.{column} * 0.01"


def _word(expression: str, name: str) -> str:
    return f"COALESCE(w.words -> '{name}' ->> ({expression}), {expression})"


#: A reason that the portal itself gave is a code as well.
_SUBJECT = (
    "COALESCE(CASE WHEN t.kind = 'refund' THEN w.words -> 'reason' ->> t.subject END, t.subject)"
)

COLUMNS: Final[tuple[Column, ...]] = (
    Column("kind", _("Kind"), _word("t.kind", "kind"), Cell.WORD),
    Column("number", _("Number"), "t.number", Cell.NUMBER),
    Column("payment_number", _("Payment number"), "t.order_no", Cell.NUMBER),
    Column("platform", _("Platform"), _word("t.platform", "platform"), Cell.WORD),
    Column("account", _("Platform account"), "a.label", Cell.TEXT),
    Column("platform_number", _("Platform number"), "t.platform_number", Cell.NUMBER),
    Column("state", _("State"), _word("t.kind || '.' || t.state", "state"), Cell.WORD),
    Column("amount_yuan", _("Amount (yuan)"), _yuan("signed_minor"), Cell.YUAN),
    Column("moved_yuan", _("Moved amount (yuan)"), _yuan("effective_minor"), Cell.YUAN),
    Column("fee_yuan", _("Estimated fee (yuan)"), _yuan("fee_minor"), Cell.YUAN),
    Column("currency", _("Currency"), "t.currency", Cell.WORD),
    Column("store", _("Store"), "s.name", Cell.TEXT),
    Column("code", _("Payment code"), "n.name", Cell.TEXT),
    Column("subject", _("Subject or reason"), _SUBJECT, Cell.TEXT),
    Column("product", _("Way of paying"), _word("t.product", "product"), Cell.WORD),
    Column("source", _("Began"), _word("t.source", "source"), Cell.WORD),
    Column("created_at_asia_shanghai", _("Created"), _time("created_at"), Cell.TIME),
    Column("done_at_asia_shanghai", _("Paid or refunded"), _time("done_at"), Cell.TIME),
    Column("business_date", _("Business day"), "t.booked_date", Cell.DATE),
    Column("terminal", _("Terminal"), "m.name", Cell.TEXT),
)

_INNER: Final = (
    "key",
    "merchant_id",
    "kind",
    "number",
    "order_no",
    "platform",
    "account_id",
    "platform_number",
    "state",
    "signed_minor",
    "effective_minor",
    "fee_minor",
    "currency",
    "store_id",
    "code_id",
    "subject",
    "product",
    "source",
    "created_at",
    "done_at",
    "booked_date",
    "terminal_id",
)


def _words(headers: str) -> dict[str, dict[str, str]]:
    """The words for codes in the file's language; none for programs."""
    if HEADERS[headers] is None:
        # "payment.succeeded" is how people's words are found; programs get the bare state.
        states = {f"payment.{value}": value for value in PaymentState.values}
        return {"state": states | {f"refund.{value}": value for value in RefundState.values}}
    return {
        "kind": {value: str(label) for value, label in TransactionKind.choices},
        "platform": {value: str(label) for value, label in PlatformChoice.choices},
        "state": {f"payment.{value}": str(label) for value, label in PaymentState.choices}
        | {f"refund.{value}": str(label) for value, label in RefundState.choices},
        "product": {value: str(label) for value, label in wording.PRODUCTS.items()},
        "source": {value: str(label) for value, label in Source.choices},
        "reason": {AUTOMATIC_REASON: str(AUTOMATIC_WORDS)},
    }


def titles(headers: str) -> list[str]:
    """The heading of a file, in the language that is active."""
    if HEADERS[headers] is None:
        return [column.name for column in COLUMNS]
    return [
        f"{column.title}({_ZONE})" if column.cell is Cell.TIME else str(column.title)
        for column in COLUMNS
    ]


def _csv_cell(column: Column, headers: str) -> str:
    """The SQL of one cell of a CSV file; nothing and empty text are both written as nothing."""
    sql = column.sql
    match column.cell:
        case Cell.TEXT:
            sql = text_cell(sql)
        case Cell.TIME:
            sql = f"to_char({sql}, 'YYYY-MM-DD HH24:MI:SS')"
        case Cell.NUMBER:
            sql = text_cell(sql)
            if HEADERS[headers] is not None:
                sql = f"CASE WHEN {sql} ~ '^[0-9]{{12,}}$' THEN {sql} || E'\\t' ELSE {sql} END"
        case Cell.WORD | Cell.YUAN | Cell.DATE:
            pass
    return f"NULLIF(({sql})::text, '') AS {column.name}"


def _typed_cell(column: Column) -> str:
    """The SQL of one cell of a file that knows types: no guard is needed where text is text."""
    if column.cell in (Cell.TEXT, Cell.NUMBER):
        return f"NULLIF({clean_text(column.sql)}, '') AS {column.name}"
    return f"{column.sql} AS {column.name}"


def _rows(filters: TransactionFilters, headers: str, cells: str) -> tuple[str, list[Any]]:
    """The SELECT of a file's rows, oldest first, and its parameters. Raises TooManyFound."""
    try:
        inner, inner_params = matching(filters).values(*_INNER).query.sql_with_params()
    except EmptyResultSet:
        # Django sees that nothing can fit, such as a number that nobody has: a file with titles only.
        nothing = Transaction.objects.filter(key=-1)
        inner, inner_params = nothing.values(*_INNER).query.sql_with_params()
    # Assembled from this module's own fragments and the ORM's SQL; every value is a parameter.
    sql = (
        f"SELECT {cells.replace('%', '%%')} FROM ({inner}) t"  # noqa: S608  # our own names
        " CROSS JOIN (SELECT %s::jsonb AS words) w"
        " LEFT JOIN merchants_store s ON s.id = t.store_id AND s.merchant_id = t.merchant_id"
        " LEFT JOIN platforms_platformaccount a ON a.id = t.account_id AND a.merchant_id = t.merchant_id"
        " LEFT JOIN qrcodes_qrcode c ON c.id = t.code_id AND c.merchant_id = t.merchant_id"
        " LEFT JOIN qrcodes_scenario n ON n.id = c.scenario_id AND n.merchant_id = t.merchant_id"
        " LEFT JOIN merchants_terminal m ON m.id = t.terminal_id AND m.merchant_id = t.merchant_id"
        " ORDER BY t.created_at, t.key"
    )
    return sql, [*inner_params, json.dumps(_words(headers), ensure_ascii=False)]


def typed_rows(filters: TransactionFilters, headers: str) -> tuple[str, list[Any]]:
    """The SELECT of the rows as values: decimals, times of China without a zone, days, text. Raises TooManyFound."""
    return _rows(filters, headers, ",\n".join(_typed_cell(column) for column in COLUMNS))


def _statement(filters: TransactionFilters, headers: str) -> tuple[str, list[Any]]:
    """The COPY that writes the rows, and its parameters. Raises TooManyFound."""
    rows, params = _rows(
        filters, headers, ",\n".join(_csv_cell(column, headers) for column in COLUMNS)
    )
    quoted = ", ".join(column.name for column in COLUMNS if column.cell is Cell.NUMBER)
    return f"COPY ({rows}) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE ({quoted}))", params


def csv_line(cells: Sequence[str]) -> str:
    """One row as RFC 4180 has it, with CRLF."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def export_transactions(
    filters: TransactionFilters, *, headers: str = "zh", encoding: str = "utf-8-sig"
) -> Iterator[bytes]:
    """The file in pieces, oldest row first. It enters the present scope again by itself when it is read.

    Raises TooManyFound at once. Memory does not grow with the file: rows pass from COPY to the client.
    """
    with override(HEADERS[headers] or "en"):
        head = csv_line(titles(headers))
        sql, params = _statement(filters, headers)
    return stream_copy(head, sql, params, encoding=encoding)


def stream_copy(head: str, sql: str, params: Sequence[Any], *, encoding: str) -> Iterator[bytes]:
    """A CSV file in pieces: its heading, then what a COPY statement of CSV rows without line ends in their cells brings.

    It enters the present scope again by itself when it is read. Memory does not grow with the file.
    """
    scope = current_scope()

    def pieces() -> Iterator[bytes]:
        yield head.encode(encoding)
        # Not "utf-8-sig" again: the mark stands once, in front.
        recode = None if encoding == "utf-8-sig" else encoding
        with enter_scope(scope), transaction.atomic(), connection.cursor() as cursor:
            gathered = bytearray()
            with cursor.copy(sql, params) as copy:
                for row in copy:
                    # Cells hold no line ends, so each of these ends a row.
                    gathered += bytes(row).replace(b"\n", b"\r\n")
                    if len(gathered) >= CHUNK:
                        yield gathered.decode().encode(recode) if recode else bytes(gathered)
                        gathered.clear()
            if gathered:
                yield gathered.decode().encode(recode) if recode else bytes(gathered)

    return pieces()


def summary_rows(sums: Sums) -> list[tuple[str, Promise, int, int | None]]:
    return [
        ("rows", _("Rows in the file"), sums.rows, None),
        ("payments", _("Payments that arrived"), sums.payment_count, sums.payment_minor),
        ("refunds", _("Refunds that went out"), sums.refund_count, -sums.refund_minor),
        ("net", _("Net"), sums.moved_count, sums.net_minor),
        ("fees", _("Estimated fees"), sums.moved_count, sums.fee_minor),
    ]


def export_summary(
    filters: TransactionFilters,
    *,
    chosen: Sequence[tuple[str, str, str]] = (),
    headers: str = "zh",
    encoding: str = "utf-8-sig",
    now: datetime,
) -> bytes:
    """What the file of the same filters adds up to. ``chosen``: the filters in words. Raises TooManyFound."""
    sums = sum_transactions(filters)
    machine = HEADERS[headers] is None
    with override(HEADERS[headers] or "en"):
        titles = [gettext("Item"), gettext("Count"), gettext("Amount (yuan)"), gettext("Remark")]
        filter_word, made_word = gettext("Filter"), gettext("Made")
        lines = [["item", "count", "amount_yuan", "note"] if machine else titles]
        for name, title, count, minor in summary_rows(sums):
            amount = "" if minor is None else Money(minor).to_yuan()
            lines.append([name if machine else str(title), str(count), amount, ""])
        lines += [
            [
                f"filter_{name}" if machine else f"{filter_word}: {label}",
                "",
                "",
                guarded(value),
            ]
            for name, label, value in chosen
        ]
        made = f"{now.astimezone(clock.CHINA):%Y-%m-%d %H:%M:%S}"
        made_title = "made_at_asia_shanghai" if machine else f"{made_word}({_ZONE})"
        lines.append([made_title, "", "", made])
    return "".join(csv_line(line) for line in lines).encode(encoding)


def guarded(text: str) -> str:
    """Text for people's spreadsheets: no formula, and long numbers keep their digits."""
    return f"{text}\t" if text.isdigit() and len(text) >= 12 else no_formula(text)


def file_name(
    *,
    slug: str,
    filters: TransactionFilters,
    kind: str = "transactions",
    now: datetime,
    ending: str = "csv",
) -> str:
    """``tea-transactions-20261101-20261130.csv``; without a period the time of making stands there."""
    days = [day for day in (filters.date_from, filters.date_to) if day is not None]
    made = now.astimezone(clock.CHINA)
    when = "-".join(f"{day:%Y%m%d}" for day in days) or f"{made:%Y%m%d-%H%M%S}"
    return f"{slug}-{kind}-{when}.{ending}"


def record_download(
    *,
    kind: str,
    filters: TransactionFilters,
    headers: str,
    encoding: str,
    actor: audit.Actor,
    now: datetime,
) -> None:
    """Who took which rows out of the house."""
    scope = current_scope()
    narrowed = {
        name: str(value)
        for name in TransactionFilters.__dataclass_fields__
        if (value := getattr(filters, name)) not in (None, "", False) and name != "day_starts_at"
    }
    audit.record(
        action="export.downloaded",
        subject_kind="merchant",
        subject_id=scope.merchant_id,
        actor=actor,
        at=now,
        data={"kind": kind, "filters": narrowed, "headers": headers, "encoding": encoding},
    )
