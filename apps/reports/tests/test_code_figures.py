"""Statistics of codes, counted a second time in plain Python from the rows themselves."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from pytest_django import DjangoAssertNumQueries

from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments import services as payments
from apps.payments.models import Order, Payment
from apps.payments.tests.factories import PAYER, make_account, paid_result
from apps.platforms.gateway import Outcome, Product, RefundResult
from apps.platforms.models import PlatformAccount
from apps.qrcodes.models import QRCode, Scan
from apps.qrcodes.services import create_code
from apps.refunds.models import Refund
from apps.refunds.services import apply_refund_result, request_refund
from apps.reports.selectors import (
    CodeFigures,
    CodePeriod,
    codes_table,
    figures_of,
    money_by_day,
    read_place,
    scan_times,
    share_bp,
    sum_transactions,
)
from apps.reports.selectors import code_figures as module

SHANGHAI = ZoneInfo("Asia/Shanghai")
ACTOR = Actor("t")
TODAY = date(2026, 11, 24)


def make_code(store: Store, name: str = "前台") -> QRCode:
    early = NOW - timedelta(days=200)
    return create_code(store_id=store.pk, kind="counter", name=name, actor=ACTOR, now=early)


def scan(code: QRCode, at: datetime, wallet: str = "wechatpay", store: int | None = None) -> None:
    Scan.objects.create(code_id=code.pk, store_id=store or code.store_id, at=at, wallet=wallet)


def order(code: QRCode, at: datetime, minor: int = 1_000) -> Order:
    return payments.open_order(
        store_id=code.store_id,
        code_id=code.pk,
        amount=Money(minor),
        subject="x",
        now=at,
        actor=PAYER,
    )


def begin(one: Order, account: PlatformAccount, at: datetime) -> Payment:
    return payments.prepare_payment(
        order_id=one.pk,
        account_id=account.pk,
        product=Product.DYNAMIC_QR,
        now=at,
        actor=PAYER,
    )


def pay(payment: Payment, at: datetime) -> None:
    payments.apply_payment_result(
        payment_id=payment.pk,
        result=paid_result(payment, at=at),
        via="poll",
        now=at,
        actor=Actor.system("t"),
    )


def buy(
    code: QRCode, account: PlatformAccount, at: datetime, *, minor: int = 1_000, seconds: int = 20
) -> Payment:
    payment = begin(order(code, at, minor), account, at)
    pay(payment, at + timedelta(seconds=seconds))
    payment.refresh_from_db()
    return payment


def give_back(shop: Shop, payment: Payment, *, minor: int, at: datetime) -> None:
    refund = request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="x",
        member=shop["owner"],
        actor=ACTOR,
        now=at,
    )
    result = RefundResult(
        outcome=Outcome.SUCCEEDED,
        order_no=payment.order_no,
        refund_no=refund.refund_no,
        platform_refund_no=f"50{refund.pk:026d}",
        amount=Money(minor),
        refunded_at=at,
        code="SUCCESS",
    )
    apply_refund_result(refund_id=refund.pk, result=result, via="poll", now=at, actor=ACTOR)


def business_day(at: datetime, starts: time) -> date:
    """A second definition: the China clock, with the hours before the start counted to the day before."""
    here = at.astimezone(SHANGHAI)
    return here.date() - timedelta(days=1 if here.time() < starts else 0)


def plainly(period: CodePeriod, code: QRCode) -> tuple[CodeFigures, int | None]:
    """The figures of one code from its rows, one by one."""

    def within(at: datetime) -> bool:
        return period.first <= business_day(at, period.day_starts_at) <= period.last

    def booked(row: Payment | Refund) -> bool:
        return row.booked_date is not None and period.first <= row.booked_date <= period.last

    scans = [one for one in Scan.objects.filter(code_id=code.pk) if within(one.at)]
    opened = [one for one in Order.objects.filter(code=code) if within(one.created_at)]
    begun = {one.order_id for one in Payment.objects.filter(code=code)}
    paid = [one for one in Payment.objects.filter(code=code, state="succeeded") if booked(one)]
    backs = Refund.objects.filter(state="succeeded", payment__code_id=code.pk)
    refunds = [one for one in backs if booked(one)]
    waits = sorted(
        (one.paid_at - one.created_at) // timedelta(seconds=1) for one in opened if one.paid_at
    )
    figures = CodeFigures(
        scans=len(scans),
        orders=len(opened),
        begun=sum(1 for one in opened if one.pk in begun),
        paid=sum(1 for one in opened if one.state == "paid"),
        payment_count=len(paid),
        payment_minor=sum(one.amount_minor for one in paid),
        refund_count=len(refunds),
        refund_minor=sum(one.amount_minor for one in refunds),
    )
    return figures, waits[(len(waits) - 1) // 2] if waits else None


MINUTES = st.integers(-9 * 1440, 12 * 60 - 60)
THINGS = st.lists(
    st.tuples(
        st.sampled_from(["scan", "scan", "scan", "order", "begun", "paid", "paid", "refunded"]),
        MINUTES,
        st.integers(0, 1),
        st.integers(1, 900),
    ),
    max_size=14,
)


class TheFigures(TestCase):
    """Each example runs in a transaction of its own."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        things=THINGS,
        starts=st.sampled_from([time(0), time(2), time(4, 30)]),
        days=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    )
    def test_are_those_that_the_rows_give(
        self, things: list[tuple[str, int, int, int]], starts: time, days: tuple[int, int]
    ) -> None:
        shop = make_shop()
        shop.merchant.day_starts_at = starts
        shop.merchant.save()
        period = CodePeriod(
            TODAY - timedelta(days=max(days)), TODAY - timedelta(days=min(days)), starts
        )
        with inside(shop):
            account = make_account(shop)
            codes = [make_code(shop.store, f"{number}号桌") for number in range(2)]
            for what, minutes, which, seconds in things:
                at, code = NOW + timedelta(minutes=minutes), codes[which]
                if what == "scan":
                    scan(code, at, wallet=("", "alipay")[seconds % 2])
                elif what == "order":
                    order(code, at)
                elif what == "begun":
                    begin(order(code, at), account, at)
                else:
                    payment = buy(code, account, at, minor=seconds, seconds=seconds)
                    if what == "refunded":
                        give_back(shop, payment, minor=seconds, at=at + timedelta(minutes=40))
            together = figures_of(period)
            for code in codes:
                alone = figures_of(period, code_id=code.pk)
                expected, median = plainly(period, code)
                assert alone.total == expected
                assert alone.median_seconds == median
                assert together.by_code().get(code.pk, CodeFigures()) == expected
                self.check_times(period, code)
                sums = sum_transactions(period.transactions(code_id=code.pk))
                assert (sums.payment_count, sums.payment_minor, sums.refund_minor) == (
                    expected.payment_count,
                    expected.payment_minor,
                    expected.refund_minor,
                )
                money = money_by_day(period, code_id=code.pk)
                assert sum(day.payment_minor for day in money.values()) == expected.payment_minor
            table = codes_table(period, now=NOW)
            assert {row.code.pk: row.figures for row in table.rows} == {
                code.pk: plainly(period, code)[0] for code in codes
            }
            assert table.total == together.total

    def check_times(self, period: CodePeriod, code: QRCode) -> None:
        times = scan_times(period, code_id=code.pk)
        rows = [
            (
                business_day(one.at, period.day_starts_at),
                one.at.astimezone(SHANGHAI).hour,
                one.wallet,
            )
            for one in Scan.objects.filter(code_id=code.pk)
        ]
        rows = [row for row in rows if period.first <= row[0] <= period.last]
        assert times.by_day == Counter(day for day, _hour, _wallet in rows)
        assert times.by_hour == Counter((day.isoweekday(), hour) for day, hour, _w in rows)
        assert times.by_wallet == Counter(wallet for _day, _hour, wallet in rows)


def test_shares_are_whole_basis_points() -> None:
    assert share_bp(1, 3) == 3_333
    assert share_bp(0, 3) == 0
    assert share_bp(2, 0) is None


@pytest.mark.django_db
class TestPeriods:
    def test_the_night_belongs_to_the_day_before(self) -> None:
        """01:59 in China on the 24th is still Monday the 23rd where the day starts at 02:00."""
        shop = make_shop()
        with inside(shop):
            code = make_code(shop.store)
            scan(code, datetime(2026, 11, 23, 17, 59, tzinfo=UTC))
            scan(code, datetime(2026, 11, 23, 18, 0, tzinfo=UTC))
            monday = CodePeriod(date(2026, 11, 23), date(2026, 11, 23), time(2))
            assert figures_of(monday, code_id=code.pk).total.scans == 1
            assert scan_times(monday, code_id=code.pk).by_hour == {(1, 1): 1}
            tuesday = CodePeriod(date(2026, 11, 24), date(2026, 11, 24), time(2))
            assert scan_times(tuesday, code_id=code.pk).by_hour == {(2, 2): 1}

    def test_a_limited_member_counts_what_happened_in_its_stores(self) -> None:
        """Also of a code that was in another store before."""
        shop = make_shop()
        with inside(shop):
            account = make_account(shop)
            other: Store = Store.objects.create(name="二号店")
            code = make_code(shop.store)
            scan(code, NOW)
            scan(code, NOW, store=other.pk)
            buy(code, account, NOW)
        period = CodePeriod(TODAY, TODAY)
        with enter_scope(Scope(shop.merchant.pk, frozenset({other.pk}))):
            assert figures_of(period).total == CodeFigures(scans=1)
            assert sum(scan_times(period, code_id=code.pk).by_day.values()) == 1
            assert codes_table(period, now=NOW).rows == []
        with enter_scope(Scope(shop.merchant.pk, frozenset({shop.store.pk}))):
            total = figures_of(period, code_id=code.pk).total
            assert (total.scans, total.paid, total.payment_minor) == (1, 1, 1_000)

    def test_another_merchants_rows_are_not_there(self) -> None:
        tea, bar = make_shop("tea"), make_shop("bar")
        with inside(bar):
            scan(make_code(bar.store), NOW)
        with inside(tea):
            assert figures_of(CodePeriod(TODAY, TODAY)).by_place == {}


@pytest.mark.django_db
class TestViews:
    def test_each_order_and_its_pages(self) -> None:
        shop = make_shop()
        with inside(shop):
            account = make_account(shop)
            rich, busy, idle = (make_code(shop.store, name) for name in ("甲", "乙", "丙"))
            buy(rich, account, NOW - timedelta(hours=1), minor=9_000)
            for _number in range(25):
                scan(busy, NOW - timedelta(hours=1))
            scan(rich, NOW)
            period = CodePeriod(TODAY, TODAY)

            def names(view: str) -> list[int]:
                return [row.code.pk for row in codes_table(period, now=NOW, view=view).rows]

            assert names("paid") == [rich.pk, busy.pk, idle.pk]
            assert names("scans") == [busy.pk, rich.pk, idle.pk]
            assert names("idle") == [idle.pk, rich.pk, busy.pk]
            assert names("weak") == [busy.pk]
            assert names("quiet") == []
            seen: list[int] = []
            place = None
            table = codes_table(period, now=NOW)
            for _page in range(3):
                table = codes_table(period, now=NOW, view="scans", after=place, size=1)
                seen += [row.code.pk for row in table.rows]
                place = read_place(table.after)
            assert seen == [busy.pk, rich.pk, idle.pk]
            assert table.after == ""
            assert table.count == 3


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1-", "-1", "1-2-3", "1--x", "٣-1", "9" * 20 + "-1"]
)
def test_a_place_that_is_none(text: str) -> None:
    assert read_place(text) is None


@pytest.mark.django_db
def test_statements_do_not_grow_with_the_codes(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    shop = make_shop()
    with inside(shop):
        account = make_account(shop)
        code = make_code(shop.store)
        for number in range(6):
            code = make_code(shop.store, f"{number}号桌")
            scan(code, NOW)
            buy(code, account, NOW - timedelta(hours=1))
        period = CodePeriod(TODAY - timedelta(days=29), TODAY)
        with django_assert_num_queries(3):
            figures_of(period)
        with django_assert_num_queries(6):
            codes_table(period, now=NOW)
        with django_assert_num_queries(1):
            scan_times(period, code_id=code.pk)


@pytest.mark.django_db
def test_one_codes_statistics_go_by_the_partitions_index() -> None:
    """Of the months asked for only, and by merchant, code and time."""
    shop = make_shop()
    rng = random.Random(7)
    with inside(shop):
        codes = [make_code(shop.store, f"{number}号桌") for number in range(40)]
        Scan.objects.bulk_create(
            Scan(
                code_id=rng.choice(codes).pk,
                store_id=shop.store.pk,
                at=NOW - timedelta(minutes=rng.randrange(60 * 1440)),
                wallet="alipay",
            )
            for _number in range(6_000)
        )
        period = CodePeriod(TODAY - timedelta(days=6), TODAY)
        values = module._values(period, codes[0].pk, None) | {"shift": timedelta()}
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE qrcodes_scan")
            for statement in (module._SCANS, module._TIMES):
                text = statement.format(of=module._OF_ONE.format(at="at"))
                cursor.execute(f"EXPLAIN {text}", values)
                plan = "\n".join(row[0] for row in cursor.fetchall())
                assert "qrcodes_scan_202611_merchant_id_code_id_at_idx" in plan
                assert "Seq Scan" not in plan
                assert "202610" not in plan
                assert "default" not in plan
