"""The Excel workbook, read by another program's reader, says what the list, the CSV and the database say."""

from __future__ import annotations

import errno
import io
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.conf import settings as portal
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core import clock
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.tests.factories import NOW, inside
from apps.payments.models import Order
from apps.reports import services
from apps.reports.selectors import TransactionFilters, sum_transactions
from apps.reports.services import workbooks
from apps.reports.services.exports import COLUMNS, Cell
from apps.reports.tests.conftest import Books, signed_in
from apps.reports.tests.test_exports import table, whole


def opened(filters: TransactionFilters, **how: Any) -> openpyxl.Workbook:
    """A workbook as openpyxl reads it."""
    file = services.export_workbook(filters, now=NOW, **how)
    return openpyxl.load_workbook(io.BytesIO(b"".join(services.read_pieces(file))))


def rows(book: openpyxl.Workbook) -> list[dict[str, Any]]:
    """The rows of all sheets but the summary, by the heading of each."""
    found = []
    for sheet in book.worksheets[:-1]:
        heading, *lines = sheet.iter_rows(values_only=True)
        found += [dict(zip(map(str, heading), line, strict=True)) for line in lines]
    return found


def test_cells_are_what_they_are(books: Books) -> None:
    with inside(books.shop):
        Order.objects.filter(pk=books.second.order_id).update(subject='=1+1 "茶"\n\t热')
        book = opened(TransactionFilters(platform="alipay"), headers="machine")
    sheet = book.worksheets[0]
    assert sheet.freeze_panes == "A2"
    cells = {str(head.value): cell for head, cell in zip(sheet[1], sheet[2], strict=True)}
    assert cells["number"].value == books.second.order_no
    assert cells["platform_number"].value == books.second.platform_trade_no
    assert cells["platform_number"].data_type == "s"
    assert cells["subject"].value == '=1+1 "茶" 热'
    assert cells["subject"].data_type == "s"
    assert cells["amount_yuan"].data_type == "n"
    assert cells["amount_yuan"].number_format == "#,##0.00"
    assert Decimal(str(cells["amount_yuan"].value)) * 100 == books.second.amount_minor
    local = books.second.created_at.astimezone(clock.CHINA).replace(tzinfo=None, microsecond=0)
    assert isinstance(cells["created_at_asia_shanghai"].value, datetime)
    assert abs((cells["created_at_asia_shanghai"].value - local).total_seconds()) < 1
    assert isinstance(cells["business_date"].value, datetime)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(["", "payment", "refund"]),
    platform=st.sampled_from(["", "wechatpay", "alipay"]),
    low=st.sampled_from([None, 1, 1_000, 5_000]),
    headers=st.sampled_from(["zh", "en", "machine"]),
)
def test_it_equals_the_csv_the_sums_and_the_summary(
    books: Books, kind: str, platform: str, low: int | None, headers: str
) -> None:
    filters = TransactionFilters(kind=kind, platform=platform, amount_min=low)
    with inside(books.shop):
        book, sums = opened(filters, headers=headers), sum_transactions(filters)
        text = table(whole(filters, headers=headers))
    typed = rows(book)
    assert [list(row) for row in typed] == [list(row) for row in text]
    for row, line in zip(typed, text, strict=True):
        for column, (title, value) in zip(COLUMNS, row.items(), strict=True):
            written = line[title]
            match column.cell:
                case Cell.YUAN:
                    assert Decimal(str(value)) == Decimal(written)
                case Cell.TIME:
                    assert (f"{value:%Y-%m-%d %H:%M}" if value else "") == written[:16]
                case Cell.DATE:
                    assert (f"{value:%Y-%m-%d}" if value else "") == written
                case Cell.TEXT:
                    assert (value or "") == written.removeprefix("'")
                case Cell.WORD | Cell.NUMBER:
                    assert (value or "") == written.rstrip("\t")
    moved = (
        next(
            title
            for title, column in zip(typed[0], COLUMNS, strict=True)
            if column.name == "moved_yuan"
        )
        if typed
        else ""
    )
    assert sum((Decimal(str(row[moved])) for row in typed), Decimal(0)) * 100 == sums.net_minor
    summary = list(book.worksheets[-1].iter_rows(values_only=True))
    assert [line[1] for line in summary[1:6]] == [
        sums.rows,
        sums.payment_count,
        sums.refund_count,
        sums.moved_count,
        sums.moved_count,
    ]
    assert Decimal(str(summary[4][2])) == Decimal(Money(sums.net_minor).to_yuan())


def test_a_full_sheet_goes_on_in_the_next(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "SHEET_ROWS", 3)
    with inside(books.shop):
        book, all_rows = opened(TransactionFilters()), table(whole(TransactionFilters()))
    assert [sheet.max_row for sheet in book.worksheets[:-1]] == [3, 3, 2]
    assert [list(row.values())[1] for row in rows(book)] == [
        list(row.values())[1].rstrip("\t") for row in all_rows
    ]


def test_no_rows_is_a_sheet_with_titles(books: Books) -> None:
    with enter_scope(Scope(books.shop.merchant.pk, frozenset())):
        book = opened(TransactionFilters(kind="refund"), headers="machine")
    assert [cell.value for cell in book.worksheets[0][1]] == [column.name for column in COLUMNS]
    assert rows(book) == []


def test_a_number_that_nobody_has_is_a_file_with_titles_in_both_forms(books: Books) -> None:
    with inside(books.shop):
        nobody = TransactionFilters(q="99999999999999")
        assert rows(opened(nobody)) == []
        assert table(whole(nobody)) == []


def test_the_page_gives_it_and_the_trail_says_so(books: Books) -> None:
    client = signed_in(books, "finance")
    response = client.get(books.url("exports/transactions.xlsx"), {"platform": "wechatpay"})
    assert response.status_code == 200
    assert response["Content-Disposition"].endswith('.xlsx"')
    book = openpyxl.load_workbook(io.BytesIO(b"".join(response.streaming_content)))  # type: ignore[attr-defined]
    assert rows(book)
    assert (
        signed_in(books, "cashier").get(books.url("exports/transactions.xlsx")).status_code == 403
    )


def test_too_many_rows_are_told_and_nothing_is_made(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MAX_ROWS", 3)
    response = signed_in(books, "finance").get(
        books.url("exports/transactions.xlsx"), HTTP_ACCEPT_LANGUAGE="en"
    )
    assert response.status_code == 400
    assert "Choose a shorter period, or take the CSV" in response.content.decode()
    target = Path(portal.DATA_DIR) / "never.xlsx"
    with pytest.raises(CommandError, match="rows at most"):
        call_command(
            "export", "transactions", "--merchant", books.shop.slug, "--from", "2026-11-01",
            "--to", "2026-11-30", "--format", "xlsx", "-o", str(target),
        )  # fmt: skip
    assert not target.exists()


def test_a_full_disk_is_told(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_how: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    response = signed_in(books, "finance").get(
        books.url("exports/transactions.xlsx"), HTTP_ACCEPT_LANGUAGE="en"
    )
    assert response.status_code == 503
    assert "no room on the portal" in response.content.decode()


def test_the_command_writes_the_same(books: Books, tmp_path: Path) -> None:
    target = tmp_path / "out.xlsx"
    call_command(
        "export", "transactions", "--merchant", books.shop.slug, "--from", "2026-11-01",
        "--to", "2026-11-30", "--format", "xlsx", "-o", str(target),
    )  # fmt: skip
    with inside(books.shop):
        assert (
            len(rows(openpyxl.load_workbook(target))) == sum_transactions(TransactionFilters()).rows
        )
    with pytest.raises(CommandError, match="no summary for xlsx"):
        call_command(
            "export", "summary", "--merchant", books.shop.slug, "--from", "2026-11-01",
            "--to", "2026-11-30", "--format", "xlsx", "-o", str(target),
        )  # fmt: skip
