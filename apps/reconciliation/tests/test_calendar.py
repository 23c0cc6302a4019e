"""The month of days by state."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.ledger.models import BusinessDay
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import Difference, ReconciliationRun
from apps.reconciliation.selectors import CalendarDay, list_calendar
from apps.reconciliation.tests.days import DAY, bill, match, paid
from apps.reconciliation.tests.test_matching import STRANGER
from apps.statements.models import StatementDay
from apps.statements.tests.bills import row_of

pytestmark = pytest.mark.django_db

MONTH = date(2026, 11, 1)


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def days() -> dict[date, CalendarDay]:
    weeks = list_calendar(month=MONTH, now=NOW)
    assert all(len(week) == 7 for week in weeks)
    return {one.day: one for week in weeks for one in week if one is not None}


def close(day: date, *, version: int, is_closed: bool = True) -> None:
    BusinessDay.objects.update_or_create(
        day=day, defaults={"is_closed": is_closed, "version": version, "closed_at": NOW}
    )


def a_run(account: PlatformAccount, day: date, *, opened: int = 0) -> ReconciliationRun:
    StatementDay.objects.create(account=account, kind="trade", day=day, state="imported")
    run = ReconciliationRun.objects.create(account=account, day=day, started_at=NOW)
    for _ in range(opened):
        Difference.objects.create(run=run, type="missing_here", gap_minor=1)
    return run


def test_each_state_has_its_day(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        bill(account, [row_of(paid(shop, account)), STRANGER])
        match(account)
        back = [DAY - timedelta(days=n) for n in range(8)]
        a_run(account, back[1])
        StatementDay.objects.create(account=account, kind="trade", day=back[2], state="failed")
        StatementDay.objects.create(account=account, kind="trade", day=back[3], state="imported")
        a_run(account, back[4])
        close(back[4], version=1)
        a_run(account, back[5], opened=1)
        close(back[5], version=2)
        a_run(account, back[6])
        close(back[6], version=1, is_closed=False)
        found = days()
    assert len(found) == 30
    assert [found[day].state for day in back] == [
        "needs",
        "matched",
        "waiting",
        "waiting",
        "closed",
        "closed_again",
        "matched",
        "unexpected",
    ]
    assert (found[DAY].matched_count, found[DAY].row_count, found[DAY].open_count) == (1, 2, 1)
    assert found[back[6]].is_reopened
    assert not found[back[5]].is_reopened
    assert found[DAY + timedelta(days=1)].state == "ahead"


def test_yesterday_is_awaited_before_anything_asks_for_it(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        assert days()[DAY].state == "waiting"
        PlatformAccount.objects.update(is_active=False)
        assert days()[DAY].state == "unexpected"


def test_a_runs_successor_alone_counts(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        bill(account, [row_of(paid(shop, account)), STRANGER])
        match(account)
        match(account)
        found = days()[DAY]
        assert (found.run_count, found.open_count, found.row_count) == (1, 1, 2)


def test_five_queries_whatever_the_number_of_accounts_and_days(
    shop: Shop, account: PlatformAccount, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with inside(shop):
        with django_assert_num_queries(5):
            days()
        for number in range(3):
            other = make_account(shop, merchant_no=f"19000007{number:02d}")
            for back in range(20):
                a_run(other, DAY - timedelta(days=back), opened=back % 2)
        with django_assert_num_queries(5):
            found = days()
        assert (found[DAY].bill_count, found[DAY - timedelta(days=1)].open_count) == (3, 3)


def test_another_merchants_days_are_not_in_it(shop: Shop, account: PlatformAccount) -> None:
    other = make_shop("bar")
    with inside(other):
        theirs = make_account(other, merchant_no="1900000777")
        a_run(theirs, DAY - timedelta(days=1), opened=2)
        close(DAY - timedelta(days=2), version=1)
    with inside(shop):
        found = days()
        assert {one.state for one in found.values()} == {"unexpected", "waiting", "ahead"}


def test_the_page_opens_each_day_and_names_its_state_in_words(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        bill(account, [row_of(paid(shop, account)), STRANGER])
        match(account)
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop["owner"])
    with time_machine.travel(NOW, tick=False):
        text = client.get(reverse("reconciliation:run_list", args=[shop.slug])).text
    morning = reverse("reconciliation:morning", args=[shop.slug])
    assert f'href="{morning}?day=2026-11-23"' in text
    assert f'href="{morning}?day=2026-11-24"' not in text
    assert "Needs somebody" in text
    assert text.count('class="cal-day ') == 30
