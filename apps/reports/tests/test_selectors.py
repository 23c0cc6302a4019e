"""Filters, search, pages and sums."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q, Sum

from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Store, Terminal
from apps.merchants.tests.factories import NOW, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.reports.models import Transaction
from apps.reports.selectors import (
    Period,
    StateGroup,
    TooManyFound,
    TransactionFilters,
    clean_number,
    day_so_far,
    first_run,
    list_transactions,
    matching,
    preset_dates,
    sum_transactions,
)
from apps.reports.selectors import filters as filters_module
from apps.reports.tests.conftest import Books

TODAY = date(2026, 11, 24)


def found(**fields: Any) -> set[str]:
    """The numbers that a filter lets through."""
    return {row.number for row in list_transactions(TransactionFilters(**fields)).rows}


def terminal_of(books: Books, payment: Payment) -> Terminal:
    """A terminal with which this payment was taken."""
    terminal: Terminal = Terminal.objects.create(store=books.shop.store, name="收银机 1")
    Payment.objects.filter(pk=payment.pk).update(terminal=terminal)
    return terminal


class TestFilters:
    def test_each_one_narrows_to_exactly_its_rows(self, books: Books) -> None:
        paid, second = books.paid.order_no, books.second.order_no
        unpaid, before = books.unpaid.order_no, books.yesterday.order_no
        refund = books.refund.refund_no
        everything = {paid, second, unpaid, before, refund}
        cases: list[tuple[dict[str, Any], set[str]]] = [
            ({}, everything),
            ({"date_from": TODAY, "date_to": TODAY}, everything - {before}),
            ({"date_to": TODAY - timedelta(days=1)}, {before}),
            ({"date_from": TODAY + timedelta(days=1)}, set()),
            ({"store_id": books.shop.store.pk}, everything),
            ({"store_id": books.shop.store.pk + 1}, set()),
            ({"platform": "alipay"}, {second}),
            ({"platform": "wechatpay"}, everything - {second}),
            ({"kind": "refund"}, {refund}),
            ({"kind": "payment"}, everything - {refund}),
            ({"state": "paid"}, {paid, second, before}),
            ({"state": "pending"}, {unpaid}),
            ({"state": "refunded"}, {refund}),
            ({"state": "failed"}, set()),
            ({"source": "portal"}, everything),
            ({"source": "platform"}, set()),
            ({"code_id": 1}, set()),
            ({"amount_min": 2_500}, {paid, before, refund}),
            ({"amount_max": 2_500}, {second, unpaid, refund}),
            ({"amount_min": 2_500, "amount_max": 2_500}, {refund}),
        ]
        with inside(books.shop):
            for fields, expected in cases:
                assert found(**fields) == expected, fields

    def test_a_terminal_narrows_to_its_payments_and_their_refunds(self, books: Books) -> None:
        with inside(books.shop):
            terminal = terminal_of(books, books.paid)
            assert found(terminal_id=terminal.pk) == {books.paid.order_no, books.refund.refund_no}
            assert found(terminal_id=terminal.pk, kind="refund") == {books.refund.refund_no}
            assert found(terminal_id=terminal.pk + 1) == set()

    def test_every_state_belongs_to_a_group(self) -> None:
        kinds = {kind for kind, _states in filters_module.STATE_GROUPS.values()}
        assert set(filters_module.STATE_GROUPS) == set(StateGroup)
        assert kinds == {None, "payment", "refund"}

    def test_what_was_never_booked_counts_on_the_business_day_it_was_created(
        self, books: Books
    ) -> None:
        # 12:00 China time, with days that start at 13:00: it belongs to the day before.
        with inside(books.shop):
            late = time(13)
            day = {"date_from": TODAY - timedelta(days=1), "date_to": TODAY - timedelta(days=1)}
            assert found(**day, day_starts_at=late) == {
                books.yesterday.order_no,
                books.unpaid.order_no,
            }

    def test_a_store_limited_member_sees_only_those_stores(
        self, books: Books, other_store: Store
    ) -> None:
        with enter_scope(Scope(books.shop.merchant.pk, frozenset({other_store.pk}))):
            assert found() == set()
            assert sum_transactions(TransactionFilters()).rows == 0
        with enter_scope(Scope(books.shop.merchant.pk, frozenset({books.shop.store.pk}))):
            assert len(found()) == 5

    def test_named_periods_end_today(self) -> None:
        assert preset_dates(Period.TODAY, today=TODAY) == (TODAY, TODAY)
        assert preset_dates(Period.YESTERDAY, today=TODAY) == (date(2026, 11, 23),) * 2
        assert preset_dates(Period.WEEK, today=TODAY) == (date(2026, 11, 18), TODAY)
        assert preset_dates(Period.MONTH_30, today=TODAY) == (date(2026, 10, 26), TODAY)
        assert preset_dates(Period.THIS_MONTH, today=TODAY) == (date(2026, 11, 1), TODAY)
        assert preset_dates(Period.ANY, today=TODAY) == (None, None)


class TestSearch:
    def test_every_form_of_every_number_finds_its_rows(self, books: Books) -> None:
        refund, paid = books.refund, books.paid
        with inside(books.shop):
            for number in (paid.order_no, paid.platform_trade_no):
                # A refund is found by its payment's numbers as well.
                for part in (number, number[:-1], number[-11:]):
                    assert found(q=part) >= {paid.order_no, refund.refund_no}, part
                assert found(q=number) == {paid.order_no, refund.refund_no}
            for number in (refund.refund_no, refund.platform_refund_no):
                for part in (number, number[:-1] if number[0] == "R" else number, number[-11:]):
                    assert refund.refund_no in found(q=part), part
                assert found(q=number) == {refund.refund_no}
            assert found(q="99999999") == set()

    def test_the_middle_of_a_number_does_not_find_it(self, books: Books) -> None:
        with inside(books.shop):
            assert books.paid.order_no not in found(q=books.paid.order_no[3:-1])

    def test_typing_habits_are_forgiven(self) -> None:
        assert clean_number(" p2026 1124 ") == "P20261124"
        assert clean_number("420000") == "420000"
        assert clean_number("123") is None
        assert clean_number("茶1234") is None
        assert clean_number("1234'; DROP") is None

    def test_a_vague_number_is_refused(self, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(filters_module, "MAX_FOUND", 3)
        with inside(books.shop), pytest.raises(TooManyFound):
            matching(TransactionFilters(q="P2026"))


class TestPages:
    def walk(self, size: int, filters: TransactionFilters) -> list[int]:
        """All keys, newest first, page by page towards older rows."""
        keys, after = [], ""
        while True:
            page = list_transactions(filters, after=after, size=size)
            keys += [row.key for row in page.rows]
            if not page.older:
                return keys
            after = page.older

    def test_both_ways_without_gaps_or_doubles_while_rows_arrive(self, books: Books) -> None:
        with inside(books.shop):
            # Rows of one instant must be told apart by their key.
            for _ in range(7):
                make_paid(books.shop, books.wechat, now=NOW - timedelta(minutes=5))
            filters = TransactionFilters()
            before = self.walk(100, filters)
            for size in (1, 2, 3, 5):
                assert self.walk(size, filters) == before
            first = list_transactions(filters, size=3)
            second = list_transactions(filters, after=first.older, size=3)
            newcomer = make_paid(books.shop, books.wechat, now=NOW + timedelta(minutes=1))
            assert list_transactions(filters, after=first.older, size=3).rows == second.rows
            assert second.newer
            back = list_transactions(filters, before=second.newer, size=3)
            assert back.rows == first.rows
            assert back.newer
            newest = list_transactions(filters, before=back.newer, size=3)
            assert [row.row_id for row in newest.rows] == [newcomer.pk]
            assert newest.newer == ""
            assert newest.older
            assert sorted(before, reverse=True) != []
            assert len(before) == len(set(before)) == 12


class TestSums:
    def test_only_money_that_moved_counts(self, books: Books) -> None:
        with inside(books.shop):
            sums = sum_transactions(TransactionFilters())
        assert asdict(sums) == {
            "rows": 5,
            "payment_count": 3,
            "payment_minor": 14_250,
            "refund_count": 1,
            "refund_minor": 2_500,
            "fee_minor": 60 + 8 + 18 - 15,
        }
        assert (sums.net_minor, sums.moved_count) == (11_750, 4)

    def test_nothing_adds_up_to_nothing(self, books: Books) -> None:
        with inside(books.shop):
            assert set(asdict(sum_transactions(TransactionFilters(state="failed"))).values()) == {0}


class TestPlans:
    def test_a_page_reads_its_branches_by_their_indexes(self, books: Books) -> None:
        shop = books.shop
        with inside(shop):
            template = Payment.objects.get(pk=books.paid.pk)
            Payment.objects.bulk_create(
                Payment(
                    **{
                        field.attname: getattr(template, field.attname)
                        for field in Payment._meta.concrete_fields
                        if not field.generated
                        and field.attname
                        not in {"id", "order_no", "platform_trade_no", "created_at", "booked_date"}
                    },
                    order_no=f"PX{number:023d}",
                    platform_trade_no=f"43{number:026d}",
                    created_at=NOW - timedelta(minutes=7 * number),
                    booked_date=(NOW - timedelta(minutes=7 * number)).date(),
                )
                for number in range(3_000)
            )
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE payments_payment")
            newest = self.plan(matching(TransactionFilters()).order_by("-created_at", "-key")[:51])
            terminal = TransactionFilters(terminal_id=terminal_of(books, books.second).pk)
            at_terminal = self.plan(matching(terminal).order_by("-created_at", "-key")[:51])
            place = NOW - timedelta(days=3)
            further = self.plan(
                matching(TransactionFilters())
                .filter(created_at__lte=place)
                .filter(Q(created_at__lt=place) | Q(key__lt=99))
                .order_by("-created_at", "-key")[:51]
            )
            day = TransactionFilters(date_from=date(2026, 11, 20), date_to=date(2026, 11, 20))
            one_day = self.plan(matching(day).order_by("-created_at", "-key")[:51])
        for plan in (newest, further):
            assert "Merge Append" in plan
            assert "Index Scan using payments_created" in plan
            assert "Seq Scan on payments_payment p " not in plan
        assert "Seq Scan on payments_payment p " not in one_day
        assert "Seq Scan on payments_payment p " not in at_terminal
        assert "payments_booked" in one_day or "payments_created" in one_day

    @staticmethod
    def plan(rows: Any) -> str:
        """How PostgreSQL means to run a query."""
        sql, params = rows.query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}", params)
            return "\n".join(row[0] for row in cursor.fetchall())


class TestToday:
    def test_today_beside_the_same_weekday_up_to_the_same_time(self, books: Books) -> None:
        shop, week = books.shop, timedelta(days=7)
        with inside(shop):
            make_paid(shop, books.wechat, minor=5_000, now=NOW - week - timedelta(hours=1))
            make_paid(shop, books.wechat, minor=9_900, now=NOW - week + timedelta(hours=1))
            day = day_so_far(now=NOW, day_starts_at=time(0))
        assert (day.day, day.day_before) == (TODAY, TODAY - week)
        assert (day.today.payment_count, day.today.payment_minor) == (2, 11_250)
        assert (day.today.refund_count, day.today.refund_minor) == (1, 2_500)
        assert (day.today.net_minor, day.today.average_minor) == (8_750, 5_625)
        assert (day.before.payment_count, day.before.payment_minor) == (1, 5_000)
        assert day.change_percent == 125
        assert [(s.key, s.today.payment_minor) for s in day.platforms] == [
            ("wechatpay", 10_000),
            ("alipay", 1_250),
        ]
        assert [s.key for s in day.stores] == [shop.store.pk]
        assert [(h.hour, h.today, h.before) for h in day.hours] == [
            (11, 11_250, 5_000),
            (12, 0, 0),
            (13, 0, 9_900),
        ]

    def test_a_new_merchant_has_everything_before_it(self, books: Books) -> None:
        with inside(books.shop):
            assert first_run().done
        fresh = make_shop("fresh")
        with inside(fresh):
            run = first_run()
            assert (run.platform, run.code, run.payment) == (False, False, False)
            make_account(fresh)
            assert first_run().platform
            day = day_so_far(now=NOW, day_starts_at=time(0))
            assert (day.hours, day.change_percent, day.today.average_minor) == ([], None, 0)


def test_the_view_holds_each_row_once(books: Books) -> None:
    with inside(books.shop):
        moved = Transaction.objects.aggregate(sum=Sum("effective_minor"))["sum"]
        assert moved == 11_750
        row = Transaction.objects.get(kind="refund")
        assert (row.order_id, row.payment_id) == (books.paid.order_id, books.paid.pk)
        assert (row.platform, row.order_no) == ("wechatpay", books.paid.order_no)
        assert Transaction.objects.get(key=books.paid.pk * 2).subject == "龙井一杯"
