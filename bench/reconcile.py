"""A day's bill against as many payments: from the file to stored rows to matched pairs and differences.

Ours is ``import_statement`` and ``reconcile`` in a process of its own, whose memory is measured. The floor is plain SQL on twins of
the tables with the same indexes and foreign keys, without policies and triggers, from a canonical CSV: COPY into a staging
table, INSERT … SELECT, a full join by the platform's number, and the inserts of pairs and differences. About one row in twenty
differs, in numbers that are known and checked. For comparison the same two files are joined by pandas and DuckDB, where
these are installed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib
import importlib.util
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import django

if __name__ == "__main__":
    django.setup()

from django.db import connection, transaction

from apps.core.audit import Actor
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Store
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import AccountRule, Difference, ReconciliationRun
from apps.reconciliation.selectors import explain
from apps.reconciliation.services import reconcile
from apps.reconciliation.tests.damaged import Day, bill_file, damaged_day, put_books
from apps.statements.models import Statement, StatementDay, StatementLine
from apps.statements.services import import_statement, max_bytes
from bench.frame.database import own_database
from bench.frame.processes import answer, orders, running
from bench.frame.result import Options, Result, middle_pair, peak_rss_mb, say, spread
from bench.frame.twins import COLUMNS, STAGING, TWINS, floor, make_twins, timed
from bench.frame.world import make_keys, make_merchant

#: The targets: times the floor, and MB.
MOST = 1.5
MOST_MEMORY = 300
DAY = date(2026, 11, 23)
NOW = datetime.fromisoformat("2026-11-24T10:30:00+08:00")
PLATFORM = "wechatpay"
#: The tables that ours writes, parents first.
_WRITTEN = ("reconciliation_match", "reconciliation_difference", "reconciliation_reconciliationrun")


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often, and whether the import is part of it."""
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--matching-only",
        action="store_true",
        help="rows are stored beforehand on both sides; the import is left out",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="one pair without a round before it that is not measured: for ten million rows",
    )


def run(options: Options) -> Result:
    """Floor and ours by turns on the same books and the same bill."""
    rows = options.rows or 100_000
    only = bool(options.given.matching_only)
    pairs: list[tuple[float, float]] = []
    parts: list[dict[str, float]] = []
    wrong: list[str] = []
    with own_database("reconcile", options) as found, tempfile.TemporaryDirectory() as folder:
        del found
        merchant = make_merchant(0, make_keys())
        with enter_scope(Scope(merchant.pk)):
            world = _World(merchant.pk, Path(folder), rows=rows, seed=options.seed)
            world.build()
        say(
            f"  {len(world.made.rows)} bill rows, {len(world.made.ours)} of ours, file {world.megabytes:.0f} MB"
        )
        if world.megabytes * 1024 * 1024 > max_bytes() and not only:
            wrong.append(
                f"the file is larger than the {max_bytes() // 1024 // 1024} MB that the import takes"
            )
            return Result(
                name="reconcile",
                rows=rows,
                floor_s=1.0,
                ours_s=1.0,
                peak_rss_mb=0,
                met=False,
                wrong=wrong,
            )
        # The first round, a first look at everything, is not measured, unless it is the only one; the floor's file comes of it.
        first = _first_round(world, only=only)
        once = bool(options.given.once) and first is not None
        if not once:
            _forget(world)
        for turn in range(1, 2 if once else options.given.repeats + 1):
            plain = _run_floor(world, only=only)
            ours = first if once and first is not None else _run_ours(world, only=only)
            with enter_scope(Scope(merchant.pk)):
                wrong += _check(world, plain)
            # The planner and the disk must find each turn as the first.
            _forget(world)
            parts.append(
                {**plain["seconds"], **ours["seconds"], "peak_rss_mb": ours["peak_rss_mb"]}
            )
            pairs.append((sum(plain["seconds"].values()), sum(ours["seconds"].values())))
            say(
                f"  {turn}: floor {pairs[-1][0]:.2f} s, ours {pairs[-1][1]:.2f} s, ratio {pairs[-1][1] / pairs[-1][0]:.2f}; "
                + ", ".join(f"{name} {value:.2f}" for name, value in parts[-1].items())
            )
        compared = _compare(world)
        for name, value in compared.items():
            say(f"  {name.removesuffix('_s')}: a full join of the two files in {value:.2f} s")
    floor_s, ours_s = middle_pair(pairs)
    peak = max(part["peak_rss_mb"] for part in parts)
    say(f"  floor {spread([a for a, _ in pairs])} s, ours {spread([b for _, b in pairs])} s")
    return Result(
        name="reconcile",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak,
        met=ours_s <= MOST * floor_s and peak <= MOST_MEMORY,
        wrong=wrong,
        more={
            "ratios": [round(ours / floor, 3) for floor, ours in pairs],
            "parts": [{name: round(value, 3) for name, value in part.items()} for part in parts],
            "compared": compared,
        },
    )


class _World:
    """One merchant's day: the books, the bill's file, and a canonical CSV of the same rows."""

    def __init__(self, merchant: int, folder: Path, *, rows: int, seed: int) -> None:
        self.merchant = merchant
        self.file = folder / "bill.csv"
        self.canonical = folder / "canonical.csv"
        self.books = folder / "books.csv"
        self.made: Day = damaged_day(PLATFORM, DAY, rows=rows, seed=seed)
        self.account = PlatformAccount.objects.values_list("pk", flat=True).get()

    def build(self) -> None:
        """Write the books and both files."""
        account = PlatformAccount.objects.get(pk=self.account)
        other = PlatformAccount.objects.create(
            platform=PLATFORM,
            label="other",
            ref="other",
            app_id="x",
            merchant_no="1",
            credentials_sealed=b"",
        )
        AccountRule.objects.create(account=account, fallback_minutes=5, fee_rounding="down")
        with transaction.atomic():
            put_books(self.made.ours, account=account, other=other, store_id=Store.objects.get().pk)
        content = bill_file(PLATFORM, self.made.rows, day=DAY, merchant_no=account.merchant_no)
        if len(content) > max_bytes():
            # Packed as the platform hands it over.
            content = gzip.compress(content, compresslevel=6, mtime=0)
        self.file.write_bytes(content)
        self.megabytes = len(content) / 1024 / 1024
        with self.books.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["trade_no", "minor"])
            writer.writerows(
                [one.trade_no, one.minor]
                for one in self.made.ours
                if not one.payment and not one.other_account
            )
        make_twins()

    def write_canonical(self) -> None:
        """The stored rows as a CSV, so that the floor stores the very same."""
        with (
            connection.cursor() as cursor,
            cursor.copy(
                f"COPY (SELECT {COLUMNS} FROM statements_statementline ORDER BY id) TO STDOUT (FORMAT csv)"  # noqa: S608  # our own names
            ) as copy,
            self.canonical.open("wb") as file,
        ):
            for piece in copy:
                file.write(piece)

    def expected(self) -> Counter[str]:
        """Counts by reason. The bill of the next day is not there, and currencies are left as they are."""
        counts = self.made.expected.copy()
        counts["expected"] += counts.pop("carry_out")
        counts["matched"] += counts.pop("currency")
        return counts


# ---------------------------------------------------------------- ours
def _first_round(world: _World, *, only: bool) -> dict[str, Any] | None:
    """Rows stored for the first time, by ours where the import is measured; writes the floor's file from them."""
    with enter_scope(Scope(world.merchant)):
        if only:
            _store_lines(world)
            ours = None
        else:
            ours = _run_ours(world, only=False)
        world.write_canonical()
    return ours


def _run_ours(world: _World, *, only: bool) -> dict[str, Any]:
    """Once, in a process of its own."""
    with running("bench.reconcile", "ours") as process:
        return process.ask(
            merchant=world.merchant, account=world.account, file=str(world.file), only=only
        )


def _ours() -> None:
    """A process that imports and matches."""
    for order in orders():
        seconds: dict[str, float] = {}
        with enter_scope(Scope(order["merchant"])):
            if not order["only"]:
                with timed(seconds, "import"), Path(order["file"]).open("rb") as file:
                    import_statement(
                        account_id=order["account"],
                        kind=StatementKind.TRADE,
                        day=DAY,
                        filename="bill.csv",
                        content=file,
                        uploaded_by=None,
                        actor=Actor.system("bench"),
                        now=NOW,
                    )
            with timed(seconds, "match"):
                reconcile(
                    account_id=order["account"],
                    day=DAY,
                    run_by=None,
                    actor=Actor.system("bench"),
                    now=NOW,
                )
        answer(seconds=seconds, peak_rss_mb=_peak_mb())


def _peak_mb() -> float:
    """The most memory that this process held. Where the system tells, without what it had of its parent's as it was made."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_rss_mb()
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def _forget(world: _World) -> None:
    """Take away what the turn made, on both sides."""
    with enter_scope(Scope(world.merchant)), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL app.allow_truncate = 'on'")
        cursor.execute(
            "TRUNCATE statements_statementday, statements_statement, statements_statementline, statements_sweptanswer, statements_billfile, statements_filepiece,"
            f" {', '.join(_WRITTEN)}, twin.{', twin.'.join(TWINS[2:])} CASCADE"
        )


def _check(world: _World, plain: dict[str, Any]) -> list[str]:
    """What ours found that was not put in, and where the sums or the floor disagree."""
    run = ReconciliationRun.objects.get(is_current=True)
    found = Counter(Difference.objects.filter(run=run).values_list("type", flat=True))
    found["matched"] = run.matched_count
    wrong = [
        f"{name}: {found[name]} instead of {count}"
        for name, count in world.expected().items()
        if found[name] != count
    ]
    equation = explain(run)
    if equation is None or equation.rest_minor:
        wrong.append("the equation leaves a rest")
    elif equation.platform_net_minor != world.made.net_minor():
        wrong.append(
            f"the bill's net is {equation.platform_net_minor} instead of {world.made.net_minor()}"
        )
    else:
        wrong += [
            f"{term.name} is not the sum of its rows"
            for term in equation.every
            if term.sum_of_rows() != term.amount_minor
        ]
    if StatementLine.objects.count() != len(world.made.rows) or plain["rows"] != len(
        world.made.rows
    ):
        wrong.append("a side did not store every row")
    return wrong


# ---------------------------------------------------------------- the floor
def _run_floor(world: _World, *, only: bool) -> dict[str, Any]:
    """Once; with ``only`` both sides' rows are stored and not timed."""
    seconds: dict[str, float] = {}
    with enter_scope(Scope(world.merchant)):
        stored = floor(
            merchant=world.merchant,
            account=world.account,
            day=DAY,
            canonical=world.canonical,
            seconds=seconds,
        )
        if only:
            seconds.pop("floor_store")
            _store_lines(world, source="floor")
    return {"seconds": seconds, "rows": stored}


def _store_lines(world: _World, *, source: str = "plan") -> None:
    """Rows of the bill as an import would leave them: from the plan, or from the floor's own."""
    made = world.made
    payments = sum(row.kind == "payment" for row in made.rows)
    statement = Statement.objects.create(
        account_id=world.account, kind="trade", day=DAY, version=1, filename="bill.csv", sha256="0", byte_count=1,
        imported_at=NOW, payment_count=payments, payment_minor=0, refund_count=len(made.rows) - payments, refund_minor=0,
        fee_minor=0,
    )  # fmt: skip
    StatementDay.objects.create(account_id=world.account, kind="trade", day=DAY, state="imported")
    with transaction.atomic(), connection.cursor() as cursor:
        if source == "plan":
            cursor.execute(STAGING)
            with cursor.copy(f"COPY floor_staging ({COLUMNS}) FROM STDIN") as copy:
                for place, row in enumerate(made.rows, 2):
                    copy.write_row(
                        (
                            place, row.kind, row.order_no, row.refund_no, row.trade_no, row.platform_refund_no, row.minor,
                            row.fee, "CNY", row.at, "SUCCESS", "NATIVE", f'{{"商户订单号": "{row.order_no}"}}',
                        )
                    )  # fmt: skip
        table = "floor_staging" if source == "plan" else "twin.statements_statementline"
        cursor.execute(
            f"INSERT INTO statements_statementline (merchant_id, statement_id, {COLUMNS})"  # noqa: S608  # our own names
            f" SELECT %s, %s, {COLUMNS} FROM {table} ORDER BY row",
            [world.merchant, statement.pk],
        )


# ---------------------------------------------------------------- others
def _compare(world: _World) -> dict[str, float]:
    """Seconds of a full join of the two files by pandas and by DuckDB, as far as they are installed."""
    tools: dict[str, Callable[[], Any]] = {}
    if importlib.util.find_spec("pandas"):
        pandas = importlib.import_module("pandas")

        def by_pandas() -> Any:
            bill = pandas.read_csv(world.canonical, header=None, dtype={4: str})
            books = pandas.read_csv(world.books, dtype={"trade_no": str})
            return len(bill.merge(books, how="outer", left_on=4, right_on="trade_no"))

        tools["pandas_s"] = by_pandas
    if importlib.util.find_spec("duckdb"):
        duckdb = importlib.import_module("duckdb")

        def by_duckdb() -> Any:
            return duckdb.sql(
                f"SELECT count(*) FROM read_csv('{world.canonical}', header=false, all_varchar=true) l"  # noqa: S608  # our own names
                f" FULL JOIN read_csv('{world.books}', all_varchar=true) b ON b.trade_no = l.column04"
            ).fetchall()

        tools["duckdb_s"] = by_duckdb
    seconds: dict[str, float] = {}
    for name, work in tools.items():
        with timed(seconds, name):
            work()
    return {name: round(value, 3) for name, value in seconds.items()}


def main() -> None:
    """The process of ours."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["ours"])
    parser.parse_args()
    _ours()


if __name__ == "__main__":
    main()
