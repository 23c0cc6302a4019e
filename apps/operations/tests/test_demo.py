"""The demo shop is the same for the same seed, and its books hold."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command

from apps.core.audit import Actor
from apps.core.clock import business_date
from apps.core.models import Due
from apps.merchants.models import Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.operations import books
from apps.operations.demo import DemoReport
from apps.operations.demo import seeding as seeding_module
from apps.operations.demo.bookkeeping import keep_books
from apps.operations.demo.cast import ACCOUNTS, Cast, make_codes
from apps.operations.demo.history import PRODUCTS, SHARES, Told, plant_differences, write_attempts
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.connectors.wechatpay.connector import WechatpayGateway
from apps.platforms.gateway import Platform, StatementFile, StatementNotReady
from apps.qrcodes.models import QRCode
from apps.reconciliation import day_files
from apps.reconciliation.models import DayClose, DayFile, Resolution
from apps.reconciliation.selectors import check_day
from apps.reconciliation.tests.days import bill, match, paid
from apps.refunds.models import Refund
from apps.statements.models import FetchState, StatementDay
from apps.statements.selectors import list_bills
from apps.statements.services import fetch_statement, ready_at
from apps.statements.tests.bills import row_of, wechat_bill

Row = tuple[object, ...]


def demo(shop: Shop, *, seed: str) -> tuple[list[Row], list[Row]]:
    """What a demo of one seed holds, without its random numbers."""
    with inside(shop):
        stores = [shop.store, Store.objects.create(name="二号店")]
        make_codes(stores, actor=Actor("t"), now=NOW)
        accounts = [
            make_account(shop, platform=platform.value, merchant_no=f"{platform}1")
            for platform, _label in ACCOUNTS
        ]
        codes = list(QRCode.objects.select_related("scenario").order_by("pk"))
        told = write_attempts(
            Cast(shop.merchant, stores, codes, accounts, shop.members),
            seed=seed,
            days=20,
            count=60,
            now=NOW,
        )
        assert books.verify() == []
        paid = Payment.objects.filter(state="succeeded")
        assert set(paid.values_list("platform", flat=True)) == set(Platform)
        assert sum(len(what.payments) for what in told.values()) == paid.count()
        payments = Payment.objects.order_by("created_at", "amount_minor")
        refunds = Refund.objects.order_by("created_at", "amount_minor")
        # Where a platform has no bills it is asked about each refund that was sent to it.
        assert not refunds.filter(sent_at__isnull=True).exists()
        return (
            list(
                payments.values_list("created_at", "amount_minor", "platform", "state", "paid_at")
            ),
            list(refunds.values_list("created_at", "amount_minor", "reason", "state")),
        )


@pytest.mark.django_db
def test_the_same_seed_gives_the_same_shop_and_another_seed_another() -> None:
    first = demo(make_shop("tea"), seed="1")
    assert len(first[0]) == 60
    assert demo(make_shop("bar"), seed="1") == first
    assert demo(make_shop("inn"), seed="2") != first


@pytest.mark.django_db
def test_every_platform_has_a_share_and_numbers_of_its_own_kind() -> None:
    assert (
        {platform for platform, _label in ACCOUNTS} == set(SHARES) == set(PRODUCTS) == set(Platform)
    )
    assert sum(SHARES.values()) == 100
    shop = make_shop("tea")
    with inside(shop):
        make_codes([shop.store, shop.store], actor=Actor("t"), now=NOW)
        accounts = [
            make_account(shop, platform=one.value, merchant_no=one.value) for one in Platform
        ]
        codes = list(QRCode.objects.select_related("scenario"))
        cast = Cast(shop.merchant, [shop.store], codes, accounts, shop.members)
        told = write_attempts(cast, seed="7", days=20, count=120, now=NOW)
        wallets = Counter(Payment.objects.values_list("platform", "wallet"))
    by_platform = {account.platform: told[account.pk].payments for account in accounts}
    assert all(re.fullmatch(r"\d{21}", one["trade_no"]) for one in by_platform["unionpay"])
    assert all(re.fullmatch(r"7895\d{12}", one["trade_no"]) for one in by_platform["shouqianba"])
    # Only the aggregator is told who paid.
    assert {one["wallet"] for one in by_platform["shouqianba"]} == {"wechatpay", "alipay"}
    assert {one["wallet"] for one in by_platform["wechatpay"]} == {""}
    assert ("shouqianba", "shouqianba") not in wallets


def test_differences_are_planted_on_the_platforms_own_day() -> None:
    """UnionPay's day ends at 23:00."""
    late = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    told = Told(
        payments=[
            {"out_trade_no": f"P{number}", "trade_no": f"{number:021d}", "amount_fen": 1000, "paid_at": at.isoformat()}
            for number, at in enumerate([late] * 4)
        ]
    )  # fmt: skip
    day = late.date()
    assert plant_differences(told, platform=Platform.UNIONPAY, day=day) == 0
    assert plant_differences(told, platform=Platform.UNIONPAY, day=day + timedelta(days=1)) == 4


@pytest.mark.django_db
def test_some_differences_are_settled_and_the_days_that_fit_are_closed() -> None:
    shop = make_shop("tea")
    with inside(shop), time_machine.travel(NOW, tick=False):
        account = make_account(shop)
        today = business_date(NOW)
        rows = {}
        for back in (5, 4, 3, 2, 1):
            at = NOW - timedelta(days=back)
            rows[back] = [row_of(paid(shop, account, 5_000 + minor, at=at)) for minor in range(4)]
        first, _missing, dear, same = rows[2]
        rows[2] = [
            first.but(minor=first.minor + 1),
            dear.but(fee=dear.fee + 10),
            same,
            same.but(order_no="POS1", trade_no="4200000000000000000000000999"),
        ]
        for back, said in rows.items():
            bill(account, said, day=today - timedelta(days=back))
        for back in rows:
            match(account, day=today - timedelta(days=back))
        cast = Cast(shop.merchant, [shop.store], [], [account], shop.members)
        assert keep_books(cast, days=6, now=NOW) == 2
        closes = DayClose.objects.order_by("pk").values_list("day", "version")
        assert list(closes) == [
            (today - timedelta(days=5), 1),
            (today - timedelta(days=4), 1),
            (today - timedelta(days=4), 2),
        ]
        assert DayFile.objects.count() == 3 * len(day_files.makers())
        # The next day could be closed by whoever looks at it.
        assert not check_day(
            today - timedelta(days=3), day_starts_at=shop.merchant.day_starts_at, now=NOW
        ).blocking
        acts = Resolution.objects.order_by("pk").values_list("type", "kind", "state")
        assert list(acts) == [
            ("amount", "write_off", "done"),
            ("fee", "accept", "done"),
            ("missing_there", "adjust", "waiting"),
            ("missing_here", "comment", "done"),
            ("missing_here", "assign", "done"),
        ]
        assert books.verify() == []


@pytest.mark.django_db
@pytest.mark.parametrize("hour", [0, 9, 12, 23])
def test_bills_that_are_not_ready_yet_come_by_themselves(
    monkeypatch: pytest.MonkeyPatch, hour: int
) -> None:
    """Whenever the demo is made: what the platform still owes has its next try, and then comes."""
    said: list[Exception | bytes] = [StatementNotReady("账单生成中", code="STATEMENT_CREATING")]

    def answer(_self: WechatpayGateway, **_day: Any) -> StatementFile:
        if isinstance(said[0], Exception):
            raise said[0]
        return StatementFile(filename="fetched.csv", content=said[0])

    monkeypatch.setattr(WechatpayGateway, "fetch_statement", answer)
    now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC) + timedelta(hours=hour)
    shop = make_shop("tea")
    with inside(shop), time_machine.travel(now, tick=False):
        cast = Cast(shop.merchant, [shop.store], [], [make_account(shop)], shop.members)
        seeding_module._fetch_bills(cast, now=now)
        days = list(StatementDay.objects.order_by("day"))
        assert len(days) == seeding_module.BILL_DAYS
        due = dict(Due.objects.values_list("subject_id", "due_at"))
        assert due.keys() == {day.pk for day in days}
        yesterday = days[-1]
        assert due[yesterday.pk] > now
        if now < ready_at("wechatpay", day=yesterday.day):
            assert due[yesterday.pk] == ready_at("wechatpay", day=yesterday.day)
        # The page tells when, not that nobody asks any more.
        bills = list_bills(since=days[0].day, until=days[-1].day + timedelta(days=1))
        assert all(bill.next_try is not None for bill in bills)
        said[0] = wechat_bill([], merchant_no="1900000001")
        fetch_statement(day_id=yesterday.pk, now=due[yesterday.pk])
        yesterday.refresh_from_db()
        assert yesterday.state == FetchState.IMPORTED


def test_the_command_says_how_far_it_is_beside_its_json(monkeypatch: pytest.MonkeyPatch) -> None:
    def seed(**asked: Any) -> DemoReport:
        asked["say"]("1200 of 3000 payments of 60 days")
        return DemoReport("demo", made=True)

    monkeypatch.setattr("apps.operations.demo.seed", seed)
    out, err = StringIO(), StringIO()
    call_command("seed_demo", "--json", stdout=out, stderr=err)
    assert out.getvalue().startswith('{"merchant": "demo"')
    assert err.getvalue() == "    1200 of 3000 payments of 60 days\n"
