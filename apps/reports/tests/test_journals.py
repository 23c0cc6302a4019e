"""The books as files: other people's programs accept them and come to our trial balance."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tracemalloc
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.models import AuditEvent
from apps.core.tenancy import NoScope, current_scope, enter_scope
from apps.ledger.models import Account, AdjustmentReason, Purpose
from apps.ledger.selectors import Period, period_balances
from apps.ledger.services import PLAN
from apps.ledger.tests.books import DAYS, Drawn, adjust, book, entries
from apps.merchants.tests.factories import NOW, inside, make_shop
from apps.payments.tests.factories import make_account, make_paid
from apps.reports import services
from apps.reports.services import journals, plaintext
from apps.reports.tests.conftest import Books, signed_in

TODAY = date(2026, 11, 24)
YESTERDAY = date(2026, 11, 23)
#: Text that would break a journal, were it written as it stands.
WILD = '"茶\\" ; | {x}\n2026-11-24 * "x"\r\u2028\t:: ^a #b  @@ = 1 CNY (c) !\ufeff，,'

#: Prints the balance of each account in fen, by beancount's own reading.
_BEANCOUNT_SUMS = """
import json, sys
from beancount import loader
from beancount.core.data import Transaction
entries, errors, options = loader.load_file(sys.argv[1])
sums = {}
for entry in entries:
    if isinstance(entry, Transaction):
        for posting in entry.postings:
            sums[posting.account] = sums.get(posting.account, 0) + posting.units.number
print(json.dumps({"errors": [str(error) for error in errors], "title": options["title"],
    "narrations": [e.narration for e in entries if isinstance(e, Transaction)],
    "sums": {name: str(total) for name, total in sums.items()}}))
"""


def tool(name: str) -> str:
    """A program of plain-text accounting. Loudly skips the test without it; REQUIRE_LEDGER_TOOLS=1 fails it."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found:
        return found
    words = f"{name} IS NOT INSTALLED: nobody checked whether it accepts our journals"
    if os.environ.get("REQUIRE_LEDGER_TOOLS"):
        pytest.fail(words)
    pytest.skip(words)


def journal(folder: Path, period: Period, form: str) -> Path:
    """A file of the books."""
    path = folder / f"books.{services.ENDINGS[form]}"
    path.write_bytes(b"".join(services.export_ledger(period, form=form, now=NOW)))
    return path


def paths(period: Period) -> dict[str, int]:
    """The closing balances of accounts that hold something, by their names in journals."""
    balances = period_balances(period)
    names = journals._names(balances)
    return {names[row.account.pk].path: row.closing for row in balances if row.closing}


def beancount_sums(path: Path) -> dict[str, int]:
    """What beancount makes of a file; bean-check must accept it first."""
    program = tool("bean-check")
    checked = subprocess.run([program, "--no-cache", path], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    python = Path(program).resolve().parent / "python"
    told = subprocess.run(
        [python, "-c", _BEANCOUNT_SUMS, path], capture_output=True, text=True, check=True
    )
    report = json.loads(told.stdout)
    assert report["errors"] == []
    sums = {name: int(Decimal(total) * 100) for name, total in report["sums"].items()}
    return {name: total for name, total in sums.items() if total}


def hledger_sums(path: Path) -> dict[str, int]:
    """What hledger makes of a file; its strict checks must accept it first."""
    program = tool("hledger")
    for checks in (["check", "--strict"], ["check", "ordereddates"]):
        checked = subprocess.run([program, "-f", path, *checks], capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")
    told = subprocess.run(
        [program, "-f", path, "balance", "--flat", "--no-total", "-O", "csv"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = list(csv.reader(io.StringIO(told.stdout)))[1:]
    amounts = {name: re.sub(r"[^0-9.-]", "", amount) for name, amount in rows}
    return {name: int(Decimal(amount) * 100) for name, amount in amounts.items()}


READERS = {"beancount": beancount_sums, "hledger": hledger_sums}


@pytest.mark.parametrize("form", list(READERS))
class TestPrograms:
    """bean-check and hledger check."""

    @pytest.mark.parametrize(
        ("first", "last"),
        [
            (YESTERDAY, TODAY),  # from the beginning
            (TODAY, TODAY),  # opening balances
            (date(2026, 12, 1), date(2026, 12, 31)),  # only opening balances
            (date(2026, 11, 1), date(2026, 11, 2)),  # before the beginning
        ],
    )
    def test_a_shops_books(
        self, books: Books, tmp_path: Path, form: str, first: date, last: date
    ) -> None:
        period = Period(first, last)
        with inside(books.shop):
            adjust(books.shop, 700, confirm=False, memo=WILD, reason=AdjustmentReason.OTHER)
            Account.objects.filter(purpose="sales").update(name=WILD, code="6001.01")
            sums = READERS[form](journal(tmp_path, period, form))
            assert sums == paths(period)
            assert bool(sums) == (last >= YESTERDAY)

    @pytest.mark.parametrize("part", [slice(0, 8), slice(8, None)])
    def test_what_people_wrote(self, books: Books, tmp_path: Path, form: str, part: slice) -> None:
        wild = [
            WILD, "", ";", '"', "\\", "\\\"", "*", "! x", "(7) y", "|", "= 5", "  a  b  ",
            "'", "%%", "2026-11-24", "\x1b[31m", "e" * 160, "\u202e茶", "#tag ^link", "a:b, c:d",
        ][part]  # fmt: skip
        with inside(books.shop):
            book(
                [Drawn(TODAY, ((0, 5), (3, -5)), memo) for memo in wild],
                start=1_000_000,
            )
            period = Period(TODAY, TODAY)
            assert READERS[form](journal(tmp_path, period, form)) == paths(period)

    def test_two_files_fit_together(self, books: Books, tmp_path: Path, form: str) -> None:
        """The first one's end is the second one's beginning, though an account was renamed in between."""
        with inside(books.shop):
            first = journal(tmp_path, Period(YESTERDAY, YESTERDAY), form)
            ends = READERS[form](first)
            Account.objects.update(name="x")
            second = tmp_path / "second"
            second.mkdir()
            text = journal(second, Period(TODAY, TODAY), form).read_text()
        opening = text.partition("Opening balances")[2].partition("\n\n")[0]
        found = dict(re.findall(r"(\S+)  (-?[0-9.]+) CNY", opening))
        assert {name: int(Decimal(amount) * 100) for name, amount in found.items()} == ends

    def test_a_file_that_was_changed_is_not_accepted(
        self, books: Books, tmp_path: Path, form: str
    ) -> None:
        program = tool("bean-check" if form == "beancount" else "hledger")
        with inside(books.shop):
            path = journal(tmp_path, Period(YESTERDAY, TODAY), form)
        lines = path.read_text().splitlines(keepends=True)
        start = next(n for n, line in enumerate(lines) if line.startswith(f"{TODAY} * "))
        end = start + next(n for n, line in enumerate(lines[start:]) if line == "\n")
        path.write_text("".join([*lines[:start], *lines[end:]]))
        options = [str(path)] if form == "beancount" else ["-f", str(path), "check"]
        command = [program, *options]
        assert subprocess.run(command, capture_output=True).returncode != 0

    @settings(
        max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(drawn=st.lists(entries(), max_size=10), days=st.tuples(*[st.sampled_from(DAYS)] * 2))
    def test_any_entries(
        self,
        db: None,
        tmp_path_factory: pytest.TempPathFactory,
        form: str,
        drawn: list[Drawn],
        days: tuple[date, date],
    ) -> None:
        tool("bean-check" if form == "beancount" else "hledger")
        period = Period(*sorted(days))
        point = transaction.savepoint()
        try:
            with inside(make_shop("any")):
                book(drawn)
                path = journal(tmp_path_factory.mktemp("any"), period, form)
                assert READERS[form](path) == paths(period)
        finally:
            transaction.savepoint_rollback(point)


class TestShape:
    """What stands in the files."""

    def test_every_purpose_has_a_place(self) -> None:
        assert set(plaintext._ROOTS) == set(Purpose.values) == set(PLAN)

    def test_beancount(self, books: Books, tmp_path: Path) -> None:
        with inside(books.shop):
            text = journal(tmp_path, Period(TODAY, TODAY), "beancount").read_text()
            account = Account.objects.get(purpose="receivable", subject_id=books.wechat.pk)
        path = f"Assets:Receivable:Wechatpay-{books.wechat.pk}"
        assert 'option "operating_currency" "CNY"' in text
        assert f"{YESTERDAY} commodity CNY" in text
        assert f'{YESTERDAY} open {path} CNY\n  code: "{account.code}"\n' in text
        assert f'{YESTERDAY} * "Opening balances"\n' in text
        assert f"^payment-{books.paid.pk}\n" in text
        assert f'  kind: "refund"\n  subject: "refund-{books.refund.pk}"\n' in text
        assert f"{TODAY + timedelta(days=1)} balance {path}  " in text
        assert " pad " not in text
        assert "\ufeff" not in text

    def test_a_period_from_the_beginning_opens_with_nothing(
        self, books: Books, tmp_path: Path
    ) -> None:
        for form in READERS:
            with inside(books.shop):
                text = journal(tmp_path, Period(YESTERDAY, TODAY), form).read_text()
            assert "Opening" not in text

    def test_csv_adds_up_to_the_trial_balance(self, books: Books) -> None:
        period = Period(TODAY, TODAY)
        with inside(books.shop):
            adjust(books.shop, 700, confirm=False, memo="=1+1\n茶")
            Account.objects.filter(purpose="fees").update(code="6603.10", name="+费")
            content = b"".join(services.export_ledger(period, form="csv", now=NOW))
            for_programs = b"".join(
                services.export_ledger(
                    period, form="csv", headers="machine", encoding="gb18030", now=NOW
                )
            )
            balance = period_balances(period)
            table = services.export_trial_balance(period, headers="machine")
        assert content[:3] == b"\xef\xbb\xbf"
        assert content.count(b"\xef\xbb\xbf") == 1
        rows = list(csv.DictReader(io.StringIO(for_programs.decode("gb18030"), newline="")))
        assert list(rows[0])[:4] == ["entry", "business_date", "at_asia_shanghai", "kind"]
        sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        for row in rows:
            sums[row["account_code"]][0] += Decimal(row["debit_yuan"] or 0)
            sums[row["account_code"]][1] += Decimal(row["credit_yuan"] or 0)
        expected = {
            row.account.code: [Decimal(row.debit) / 100, Decimal(row.credit) / 100]
            for row in balance
            if row.debit or row.credit
        }
        assert dict(sums) == expected
        assert rows[-1]["memo"] == "'=1+1 茶"
        people = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        assert ["6603.10\t", "'+费"] in [row[6:8] for row in people]
        shown = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"), newline="")))
        assert [row["closing_yuan"] for row in shown] == [
            f"{Decimal(row.closing) / 100:.2f}" for row in balance
        ]

    def test_it_needs_both_days_and_a_scope(self, books: Books) -> None:
        with inside(books.shop), pytest.raises(ValueError, match="both days"):
            services.export_ledger(Period(None, TODAY), form="csv", now=NOW)
        with pytest.raises(NoScope):
            services.export_ledger(Period(TODAY, TODAY), form="csv", now=NOW)


def test_the_body_enters_its_scope_by_itself_and_sees_one_moment(transactional_db: None) -> None:
    """What is booked while a file is read stands neither among its entries nor in its assertions."""
    shop = make_shop()
    with inside(shop):
        account = make_account(shop)
        make_paid(shop, account, minor=5_000)
        body = services.export_ledger(Period(TODAY, TODAY), form="beancount", now=NOW)
    lines = body.gi_frame.f_locals["lines"]  # type: ignore[attr-defined]  # the generator behind the pieces
    head = [next(lines)]

    def pay() -> None:
        with enter_scope(shop.scope), transaction.atomic():
            make_paid(shop, account, minor=7_000)
        connections.close_all()

    other = threading.Thread(target=pay)
    other.start()
    other.join()
    text = "".join([*head, *lines])
    assert text.count("^payment-") == 1
    assert "balance Income:Sales  -50.00 CNY" in text
    with pytest.raises(NoScope):
        current_scope()
    assert connection.in_atomic_block is False


def test_memory_does_not_grow_with_the_file(db: None) -> None:
    """A hundred times as many entries, about the same peak."""
    shop = make_shop()
    peaks, sizes = [], []
    with inside(shop):
        for count, start in ((60, 1), (6_000, 1_000)):
            book([Drawn(TODAY, ((0, 1), (3, -1)), "x" * 100)] * count, start=start)
            tracemalloc.start()
            size = 0
            for piece in services.export_ledger(Period(TODAY, TODAY), form="beancount", now=NOW):
                size += len(piece)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            sizes.append(size)
    assert sizes[1] > 40 * sizes[0]
    assert peaks[1] < 4_000_000


class TestPage:
    """Downloads."""

    @pytest.mark.parametrize(
        ("what", "ending", "kind"),
        [
            ("csv", "csv", "text/csv"),
            ("trial_balance", "csv", "text/csv"),
            ("beancount", "beancount", "text/plain"),
            ("hledger", "journal", "text/plain"),
        ],
    )
    def test_each_file(self, books: Books, what: str, ending: str, kind: str) -> None:
        client = signed_in(books, "auditor")
        asked = {"books_from": "2026-11-01", "books_to": "2026-11-24", "what": what}
        answer = client.get(reverse("reports:export_ledger", args=[books.shop.slug]), asked)
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith(kind)
        name = "trial_balance" if what == "trial_balance" else "ledger"
        assert f'"tea-{name}-20261101-20261124.{ending}"' in answer["Content-Disposition"]
        content = answer.content if kind == "x" or what == "trial_balance" else answer.getvalue()
        assert len(content) > 200
        with inside(books.shop):
            event = AuditEvent.objects.get(action="export.downloaded")
        assert event.data["kind"] == name

    def test_who_sees_no_books_gets_none(self, books: Books) -> None:
        address = reverse("reports:export_ledger", args=[books.shop.slug])
        page = reverse("reports:export", args=[books.shop.slug])
        for role, allowed in (("owner", True), ("finance", True), ("auditor", True)):
            client = signed_in(books, role)
            assert client.get(address).status_code == (200 if allowed else 403)
            assert address in client.get(page).content.decode()
        for role in ("manager", "cashier"):
            assert signed_in(books, role).get(address).status_code == 403
        assert address not in signed_in(books, "manager").get(page).content.decode()

    @pytest.mark.parametrize(
        "asked",
        [
            {"books_from": "2026-11-24", "books_to": "2026-11-23"},
            {"books_from": "1900-01-01"},
            {"books_to": "x"},
            {"what": "xlsx"},
        ],
    )
    def test_what_is_wrong_is_said(self, books: Books, asked: dict[str, str]) -> None:
        client = signed_in(books, "finance")
        page = client.get(reverse("reports:export_ledger", args=[books.shop.slug]), asked)
        assert page.status_code == 400
        assert "error-summary" in page.content.decode()


class TestCommand:
    """manage.py export ledger."""

    def run(self, books: Books, path: Path, *options: str) -> dict[str, object]:
        out = io.StringIO()
        call_command(
            "export", *options, "--merchant", books.shop.slug, "--from", "2026-11-24",
            "--to", "2026-11-24", "-o", str(path), "--json", stdout=out,
        )  # fmt: skip
        report: dict[str, object] = json.loads(out.getvalue())
        return report

    @pytest.mark.parametrize("form", services.FORMATS)
    def test_each_format(self, books: Books, tmp_path: Path, form: str) -> None:
        path = tmp_path / "books"
        report = self.run(books, path, "ledger", "--format", form)
        assert (report["entries"], report["debit_yuan"], report["credit_yuan"]) == (
            3,
            report["credit_yuan"],
            report["debit_yuan"],
        )
        assert report["bytes"] == path.stat().st_size
        assert "export.downloaded" in self.actions(books)

    def actions(self, books: Books) -> list[str]:
        with inside(books.shop):
            return list(AuditEvent.objects.values_list("action", flat=True))

    def test_the_trial_balance(self, books: Books, tmp_path: Path) -> None:
        path = tmp_path / "balance.csv"
        report = self.run(books, path, "trial_balance", "--headers", "machine")
        assert report["kind"] == "trial_balance"
        assert path.read_text("utf-8-sig").startswith("account_code,")

    def test_payments_have_no_journal(self, books: Books, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="There is no"):
            self.run(books, tmp_path / "x", "transactions", "--format", "hledger")
        assert list(tmp_path.iterdir()) == []
