"""Tables that are split by month: what months there are, making them ahead, taking old ones out and putting them back.

Months are China's. A month that is taken out is an ordinary table of the same name, behind the same wall: it can be
dumped, dropped, or put back later. Everything but ``make_ahead`` needs the owner's rights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from django.db import connection, transaction
from psycopg import sql

from apps.core import clock

#: How long a change of a table's months waits for those who use the table; payments must not queue behind it.
LOCK_TIMEOUT: Final = "3s"

_MONTH = re.compile(r"(?P<parent>.+)_(?P<year>\d{4})(?P<month>\d{2})")

_TABLES = """
SELECT c.relname, a.attname, EXISTS (
    SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'append_only'
), pg_relation_size(d.oid)
FROM pg_partitioned_table p
JOIN pg_class c ON c.oid = p.partrelid
JOIN pg_class d ON d.oid = p.partdefid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
WHERE c.relnamespace = 'public'::regnamespace AND d.relname = c.relname || '_default'
ORDER BY c.relname
"""

_MONTHS = """
SELECT c.relname, c.relispartition, pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname ~ %s
ORDER BY c.relname
"""


class PartitionError(Exception):
    """What was asked cannot be done with this month; the message says why."""


@dataclass(frozen=True, slots=True)
class Month:
    """One month of a table. ``rows`` is the planner's estimate, ``size`` in bytes with indexes."""

    table: str
    first: date
    attached: bool
    size: int
    rows: int

    @property
    def name(self) -> str:
        """The name of the table that holds the month."""
        return f"{self.table}_{self.first:%Y%m}"


@dataclass(frozen=True, slots=True)
class Split:
    """A table that is split by month on ``column``, its months in order, and how large its DEFAULT partition is.

    The DEFAULT partition has 0 bytes unless rows came for a month that was not made (or would have come, and were
    taken back).
    """

    table: str
    column: str
    guarded: bool
    default_size: int
    months: tuple[Month, ...]

    def made_until(self) -> date:
        """The last month that is there and attached; the first of dates when there is none."""
        return max((month.first for month in self.months if month.attached), default=date.min)


def list_splits() -> list[Split]:
    """Every table that is split by month. Two queries of the catalogue."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        tables = cursor.fetchall()
        names = "|".join(re.escape(name) for name, *_rest in tables)
        cursor.execute(_MONTHS, [rf"^({names})_\d{{6}}$"])
        found = cursor.fetchall()
    months: dict[str, list[Month]] = {name: [] for name, *_rest in tables}
    for name, attached, size, rows in found:
        part = _MONTH.fullmatch(name)
        if part is not None:
            first = date(int(part["year"]), int(part["month"]), 1)
            months[part["parent"]].append(Month(part["parent"], first, attached, size, rows))
    return [
        Split(name, column, guarded, default_size, tuple(months[name]))
        for name, column, guarded, default_size in tables
    ]


def detached_periods(table: str) -> list[tuple[datetime, datetime]]:
    """The half-open periods of a table's months that are taken out, in UTC."""
    return [
        month_period(month.first)
        for split in list_splits()
        if split.table == table
        for month in split.months
        if not month.attached
    ]


def month_period(first: date) -> tuple[datetime, datetime]:
    """Half-open bounds of a month in China, in UTC."""
    low = datetime(first.year, first.month, 1, tzinfo=clock.CHINA)
    high = datetime(first.year + first.month // 12, first.month % 12 + 1, 1, tzinfo=clock.CHINA)
    return low.astimezone(UTC), high.astimezone(UTC)


@transaction.atomic
def make_ahead(*, now: datetime, months: int) -> list[str]:
    """Make what is missing from this month on for so many months; the names of the tables made.

    Runs as the application's role too. Raises OperationalError when the tables are too busy (it is tried again by
    the next tick) and IntegrityError when rows of a missing month lie in the DEFAULT partition (see ``rescue``).
    """
    today = now.astimezone(clock.CHINA).date()
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute("SELECT portal_make_months(%s, %s)", [today.replace(day=1), months])
        return [str(name) for (name,) in cursor.fetchall()]


def _split(table: str) -> Split:
    for split in list_splits():
        if split.table == table:
            return split
    known = ", ".join(split.table for split in list_splits())
    raise PartitionError(f"{table} is not split by month. These are: {known}.")


def _month(table: str, first: date) -> tuple[Split, Month]:
    split = _split(table)
    for month in split.months:
        if month.first == first:
            return split, month
    raise PartitionError(f"{table} has no month {first:%Y-%m}.")


@transaction.atomic
def detach(table: str, first: date, *, now: datetime, keep_months: int) -> str:
    """Take an old month out of its table; the name under which it stays. Its rows are then in no page and no check.

    Raises PartitionError for a month that is out already, or is one of the newest ``keep_months`` (this one counted).
    """
    _parent, month = _month(table, first)
    if not month.attached:
        raise PartitionError(f"{month.name} is taken out already.")
    today = now.astimezone(clock.CHINA).date()
    age = (today.year - first.year) * 12 + today.month - first.month
    if age < keep_months:
        raise PartitionError(
            f"{month.name} is one of the newest {keep_months} months, which stay. (--keep says how many.)"
        )
    _execute("ALTER TABLE {} DETACH PARTITION {}", table, month.name)
    return month.name


@transaction.atomic
def attach(table: str, first: date) -> str:
    """Put a month back. The database looks at each of its rows and refuses those of another month.

    Raises PartitionError when it is in the table already; IntegrityError when a row does not belong.
    """
    _parent, month = _month(table, first)
    if month.attached:
        raise PartitionError(f"{month.name} is in the table already.")
    low, high = month_period(first)
    _execute(
        "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})",
        table,
        month.name,
        sql.Literal(low.isoformat()),
        sql.Literal(high.isoformat()),
    )
    return month.name


@transaction.atomic
def rescue(table: str) -> dict[str, int]:
    """Move the rows of the DEFAULT partition into months of their own; how many each month got.

    For the case that nobody made months for a long while. The table is closed to everybody while it runs. Raises
    PartitionError when one of the months is taken out.
    """
    split = _split(table)
    default = f"{table}_default"
    moved: dict[str, int] = {}
    _execute("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table)
    # The wall is forced on the owner too; within this transaction nobody else can look.
    _execute("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", default)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT date_trunc('month', {0} AT TIME ZONE 'Asia/Shanghai')::date, count(*) FROM {1} GROUP BY 1 ORDER BY 1"
            ).format(sql.Identifier(split.column), sql.Identifier(default))
        )
        found = cursor.fetchall()
        away = {month.first for month in split.months if not month.attached}
        if taken := sorted(first for first, _rows in found if first in away):
            raise PartitionError(
                f"Rows of {taken[0]:%Y-%m} would go into a month that is taken out. Attach it first."
            )
        _execute("ALTER TABLE {} DETACH PARTITION {}", table, default)
        for first, rows in found:
            cursor.execute(
                "SELECT portal_make_partition(%s, %s, %s)", [table, first, split.guarded]
            )
            child = str(cursor.fetchone()[0])
            low, high = month_period(first)
            _execute("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", child)
            where: list[str | sql.Composable] = [
                *(split.column, sql.Literal(low.isoformat())),
                *(split.column, sql.Literal(high.isoformat())),
            ]
            _execute(
                "INSERT INTO {} SELECT * FROM {} WHERE {} >= {} AND {} < {}", child, default, *where
            )
            _execute("DELETE FROM {} WHERE {} >= {} AND {} < {}", default, *where)
            _execute("ALTER TABLE {} FORCE ROW LEVEL SECURITY", child)
            moved[child] = int(rows)
    _execute("ALTER TABLE {} ATTACH PARTITION {} DEFAULT", table, default)
    _execute("ALTER TABLE {} FORCE ROW LEVEL SECURITY", default)
    return moved


def _execute(statement: str, *parts: str | sql.Composable) -> None:
    named = [part if isinstance(part, sql.Composable) else sql.Identifier(part) for part in parts]
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(sql.SQL(statement).format(*named))
