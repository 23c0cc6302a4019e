"""Files: their shape, their guards, and that they say what the page and the database say."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.core.money import Money
from apps.core.tenancy import NoScope, Scope, current_scope, enter_scope
from apps.merchants.models import Store
from apps.merchants.services import add_terminal
from apps.merchants.tests.factories import NOW, inside, make_shop
from apps.payments.models import Order, Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.refunds.models import AUTOMATIC_REASON, Refund
from apps.reports import services
from apps.reports.selectors import TransactionFilters, sum_transactions
from apps.reports.services.exports import CHUNK, COLUMNS
from apps.reports.tests.conftest import Books, signed_in

TODAY = date(2026, 11, 24)


def whole(filters: TransactionFilters, **how: str) -> bytes:
    """A file in one piece."""
    return b"".join(services.export_transactions(filters, **how))


def table(content: bytes, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    """A file as a program reads it."""
    return list(csv.DictReader(io.StringIO(content.decode(encoding), newline="")))


class TestShape:
    def test_the_file_for_people_byte_by_byte(self, books: Books) -> None:
        with inside(books.shop):
            Order.objects.filter(pk=books.second.order_id).update(subject='+1 "茶", 热\n\t大杯')
            content = whole(TransactionFilters(platform="alipay"), headers="zh")
        number, trade = books.second.order_no, books.second.platform_trade_no
        assert content[:3] == b"\xef\xbb\xbf"
        lines = content[3:].decode().split("\r\n")
        assert len(lines) == 3
        assert lines[2] == ""
        assert "\n" not in content.decode().replace("\r\n", "")
        # Catalogues are merged by the build; whatever the words, the zone stands in the titles.
        assert lines[0].count("(Asia/Shanghai)") == 2
        cells = next(csv.reader([lines[1]]))
        assert cells[1:3] == [number, number]
        assert cells[4] == "alipay"
        assert cells[5] == f"{trade}\t"
        assert f'"{trade}\t"' in lines[1]
        assert cells[7:11] == ["12.50", "12.50", "0.08", "CNY"]
        assert cells[11] == "一号店"
        assert cells[13] == '\'+1 "茶", 热 大杯'
        assert cells[16:] == ["2026-11-24 11:56:00", "2026-11-24 11:56:00", "2026-11-24", ""]

    def test_the_file_for_programs(self, books: Books) -> None:
        with inside(books.shop):
            rows = table(whole(TransactionFilters(), headers="machine"))
        assert list(rows[0]) == [column.name for column in COLUMNS]
        assert [row["number"] for row in rows] == [
            books.yesterday.order_no,
            books.paid.order_no,
            books.second.order_no,
            books.unpaid.order_no,
            books.refund.refund_no,
        ]
        refund, unpaid = rows[4], rows[3]
        assert refund["platform_number"] == books.refund.platform_refund_no
        assert (refund["kind"], refund["state"], refund["platform"]) == (
            "refund",
            "succeeded",
            "wechatpay",
        )
        assert (refund["amount_yuan"], refund["fee_yuan"]) == ("-25.00", "-0.15")
        assert refund["subject"] == "'=cmd|'/c calc'!A1"
        assert refund["payment_number"] == books.paid.order_no
        assert (unpaid["amount_yuan"], unpaid["moved_yuan"]) == ("7.00", "0.00")
        assert (unpaid["done_at_asia_shanghai"], unpaid["business_date"]) == ("", "")

    def test_the_last_column_is_the_terminal_of_a_payment_and_of_its_refund(
        self, books: Books
    ) -> None:
        with inside(books.shop):
            terminal = add_terminal(
                store_id=books.shop.store.pk, name="=1号机", actor=Actor("t"), now=NOW
            )
            Payment.objects.filter(pk=books.paid.pk).update(terminal=terminal)
            rows = table(whole(TransactionFilters(), headers="machine"))
            titles = list(table(whole(TransactionFilters(), headers="en"))[0])
        assert list(rows[0])[-1] == "terminal"
        assert [row["terminal"] for row in rows] == ["", "'=1号机", "", "", "'=1号机"]
        assert titles[-1] == "Terminal"

    def test_a_reason_of_the_portals_own_is_in_the_files_language(self, books: Books) -> None:
        with inside(books.shop):
            Refund.objects.update(is_automatic=True, reason=AUTOMATIC_REASON)
            people = table(whole(TransactionFilters(), headers="en"))[4]
            program = table(whole(TransactionFilters(), headers="machine"))[4]
        assert people["Subject or reason"] == "Paid twice, given back by itself"
        assert program["subject"] == AUTOMATIC_REASON

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "＝", "＋", "－", "＠"])
    def test_no_text_becomes_a_formula(self, books: Books, start: str) -> None:
        with inside(books.shop):
            Order.objects.filter(pk=books.second.order_id).update(subject=f"{start}1+1")
            for headers in services.HEADERS:
                row = table(whole(TransactionFilters(platform="alipay"), headers=headers))[0]
                assert list(row.values())[13][0] == "'"

    def test_gb18030_holds_every_character(self, books: Books) -> None:
        with inside(books.shop):
            Order.objects.filter(pk=books.second.order_id).update(subject="𠮷野家 €")
            content = whole(TransactionFilters(platform="alipay"), encoding="gb18030")
        assert content[:3] != b"\xef\xbb\xbf"
        assert list(table(content, "gb18030")[0].values())[13] == "𠮷野家 €"

    def test_no_rows_is_a_file_with_titles(self, books: Books) -> None:
        with inside(books.shop):
            assert whole(TransactionFilters(state="failed"), headers="machine").count(b"\r\n") == 1


class TestStreaming:
    def test_the_body_enters_the_scope_by_itself_and_leaves_it(self, books: Books) -> None:
        with inside(books.shop):
            body = services.export_transactions(TransactionFilters(), headers="machine")
        with pytest.raises(NoScope):
            current_scope()
        assert len(table(b"".join(body))) == 5
        with pytest.raises(NoScope):
            current_scope()

    def test_a_reader_who_goes_away_leaves_nothing_behind(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("apps.reports.services.exports.CHUNK", 1)
        with inside(books.shop):
            body = services.export_transactions(TransactionFilters())
        assert isinstance(body, Iterator)
        next(body)
        next(body)
        body.close()  # type: ignore[attr-defined]  # a generator
        with pytest.raises(NoScope):
            current_scope()
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('app.merchant_id', true)")
            assert cursor.fetchone() == ("",)

    def test_another_merchants_rows_never_come_along(self, books: Books) -> None:
        other = make_shop("other")
        with inside(other):
            make_paid(other, make_account(other), minor=77_700)
            assert b"777.00" in whole(TransactionFilters())
        with inside(books.shop):
            assert b"777.00" not in whole(TransactionFilters())

    def test_pieces_are_larger_than_rows_and_smaller_than_files(self) -> None:
        assert CHUNK == 65_536


def chosen_filters() -> st.SearchStrategy[TransactionFilters]:
    """Any mixture of filters that a person could choose."""
    days = st.none() | st.sampled_from(
        [TODAY - timedelta(days=1), TODAY, TODAY + timedelta(days=1)]
    )
    minors = st.none() | st.sampled_from([0, 700, 1_250, 2_500, 3_000, 10_000])
    return st.builds(
        TransactionFilters,
        date_from=days,
        date_to=days,
        platform=st.sampled_from(["", "wechatpay", "alipay"]),
        kind=st.sampled_from(["", "payment", "refund"]),
        state=st.sampled_from(["", "paid", "pending", "refunded", "failed"]),
        source=st.sampled_from(["", "portal", "platform"]),
        amount_min=minors,
        amount_max=minors,
    )


@pytest.mark.django_db
class TestTotals:
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(filters=chosen_filters())
    def test_page_file_and_sql_agree(self, books: Books, filters: TransactionFilters) -> None:
        with inside(books.shop):
            rows = table(whole(filters, headers="machine"))
            sums = sum_transactions(filters)
            summary = table(services.export_summary(filters, headers="machine", now=NOW))
            listed = [row["number"] for row in rows]
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT coalesce(sum(amount_minor) FILTER (WHERE state = 'succeeded'), 0)"
                    " FROM payments_payment WHERE order_no = ANY(%s)",
                    [listed],
                )
                paid = int(cursor.fetchone()[0])
                cursor.execute(
                    "SELECT coalesce(sum(amount_minor) FILTER (WHERE state = 'succeeded'), 0)"
                    " FROM refunds_refund WHERE refund_no = ANY(%s)",
                    [listed],
                )
                refunded = int(cursor.fetchone()[0])
        moved = [Money.from_yuan(row["moved_yuan"]).minor for row in rows]
        assert (len(rows), sum(moved)) == (sums.rows, sums.net_minor)
        assert (paid, refunded) == (sums.payment_minor, sums.refund_minor)
        assert sum(minor for minor in moved if minor > 0) == sums.payment_minor
        assert sum(minor > 0 for minor in moved) == sums.payment_count
        assert sum(minor < 0 for minor in moved) == sums.refund_count
        by_item = {row["item"]: row for row in summary}
        assert by_item["rows"]["count"] == str(sums.rows)
        assert by_item["net"]["amount_yuan"] == Money(sums.net_minor).to_yuan()
        assert by_item["payments"]["amount_yuan"] == Money(sums.payment_minor).to_yuan()
        assert by_item["refunds"]["amount_yuan"] == Money(-sums.refund_minor).to_yuan()


class TestDownload:
    def test_streams_what_the_page_shows_and_is_remembered(self, books: Books) -> None:
        client = signed_in(books, "finance")
        answer = client.get(
            books.url("exports/transactions.csv"), {"kind": "refund", "headers": "machine"}
        )
        assert answer.status_code == 200
        assert answer.streaming
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"].startswith('attachment; filename="tea-transactions-')
        rows = table(b"".join(answer))
        assert [row["number"] for row in rows] == [books.refund.refund_no]
        with inside(books.shop):
            event = AuditEvent.objects.get(action="export.downloaded")
            assert event.actor_id == books.shop["finance"].pk
            assert event.data == {
                "kind": "transactions",
                "filters": {"kind": "refund"},
                "headers": "machine",
                "encoding": "utf-8-sig",
            }

    def test_the_summary_says_the_same(self, books: Books) -> None:
        answer = signed_in(books, "auditor").get(
            books.url("exports/summary.csv"), {"headers": "machine", "platform": "wechatpay"}
        )
        rows = {row["item"]: row for row in table(answer.content)}
        assert rows["net"]["amount_yuan"] == "105.00"
        assert rows["filter_platform"]["note"] != ""

    @pytest.mark.parametrize("rest", ["transactions.csv", "summary.csv"])
    def test_bad_choices_are_said_and_nothing_is_recorded(self, books: Books, rest: str) -> None:
        client = signed_in(books, "owner")
        for query in ({"encoding": "latin-1"}, {"date_from": "1970-01-01"}, {"amount_min": "x"}):
            assert client.get(books.url(f"exports/{rest}"), query).status_code == 400
        with inside(books.shop):
            assert not AuditEvent.objects.filter(action="export.downloaded").exists()

    def test_a_cashier_may_not(self, books: Books) -> None:
        client = signed_in(books, "cashier")
        for rest in ("", "transactions.csv", "summary.csv"):
            assert client.get(books.url(f"exports/{rest}")).status_code == 403

    def test_a_store_limited_manager_gets_those_stores_only(
        self, books: Books, other_store: Store
    ) -> None:
        with enter_scope(Scope(books.shop.merchant.pk, frozenset({other_store.pk}))):
            assert whole(TransactionFilters(), headers="machine").count(b"\r\n") == 1


class TestCommand:
    def run(self, target: Path, *more: str) -> dict[str, Any]:
        out = io.StringIO()
        call_command(
            "export", "transactions", "--merchant", "tea", "--from", "2026-11-23",
            "--to", "2026-11-24", "--headers", "machine", "-o", str(target), "--json", *more,
            stdout=out,
        )  # fmt: skip
        return dict(json.loads(out.getvalue()))

    def test_writes_the_same_file(self, books: Books, tmp_path: Path) -> None:
        target = tmp_path / "rows.csv"
        report = self.run(target)
        with inside(books.shop):
            expected = whole(
                TransactionFilters(date_from=TODAY - timedelta(days=1), date_to=TODAY),
                headers="machine",
            )
        assert target.read_bytes() == expected
        assert (report["rows"], report["net_yuan"], report["bytes"]) == (5, "117.50", len(expected))
        assert list(tmp_path.iterdir()) == [target]

    @pytest.mark.parametrize(
        "more",
        [
            ["--merchant", "nobody"],
            ["--to", "2026-11-01"],
            ["--from", "1970-01-01"],
            ["--from", "yesterday"],
        ],
    )
    def test_refuses_what_makes_no_sense(
        self, books: Books, tmp_path: Path, more: list[str]
    ) -> None:
        with pytest.raises(CommandError):
            self.run(tmp_path / "rows.csv", *more)
        assert list(tmp_path.iterdir()) == []
