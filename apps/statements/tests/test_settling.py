"""What should arrive and when: by the bill, by the terms, again when either changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, InternalError, transaction

from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.core.tasks import drain
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import PlatformAccount
from apps.platforms.services.agreements import Terms, Tier, enter_agreement
from apps.statements import services
from apps.statements.models import (
    Settlement,
    SettlementTerms,
    SettlementVersion,
    Statement,
    StatementLine,
    WorkdayException,
)
from apps.statements.selectors.terms import (
    USUAL,
    contradicting,
    cycle_on,
    is_agreed,
    terms_of,
)
from apps.statements.tests.bills import row_of
from apps.statements.tests.money import ACTOR, DAY, at, bill, rows_of, settled_day
from apps.statements.working_days import PUBLISHED, due_date, is_working

FIGURES = ("payment_count", "payment_minor", "refund_minor", "fee_minor", "net_minor", "version")


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


def terms(account: PlatformAccount, **changes: Any) -> SettlementTerms:
    """The account's terms with something changed."""
    values: dict[str, Any] = {
        "basis": "bill",
        "cycle_days": 1,
        "working_days": True,
        "cutoff": None,
        "minimum_minor": 0,
        "fees_deducted": True,
        "bank_words": "财付通",
        "window_days": 5,
        "since": None,
        **changes,
    }
    return services.set_terms(account_id=account.pk, member=None, actor=ACTOR, now=NOW, **values)


def figures(account: PlatformAccount, day: date = DAY) -> list[int]:
    row = Settlement.objects.get(account=account, day=day, is_void=False)
    return [getattr(row, name) for name in FIGURES]


class TestDueDates:
    @pytest.mark.parametrize(
        ("day", "cycle", "working", "due"),
        [
            (date(2026, 11, 19), 1, True, date(2026, 11, 20)),  # Thursday: Friday
            (date(2026, 11, 20), 1, True, date(2026, 11, 23)),  # Friday: Monday
            (date(2026, 11, 21), 1, True, date(2026, 11, 23)),  # Saturday: Monday
            (date(2026, 11, 22), 1, True, date(2026, 11, 23)),  # Sunday: Monday
            (date(2026, 11, 21), 0, True, date(2026, 11, 23)),
            (date(2026, 11, 20), 1, False, date(2026, 11, 21)),
            (date(2026, 11, 20), 3, True, date(2026, 11, 25)),
            (date(2026, 9, 30), 1, True, date(2026, 10, 8)),  # over the National Day
            (date(2026, 9, 19), 0, True, date(2026, 9, 20)),  # a Sunday that is worked
            (date(2026, 2, 13), 1, True, date(2026, 2, 14)),  # a Saturday that is worked
        ],
    )
    def test_money_comes_on_days_when_banks_work(
        self, day: date, cycle: int, working: bool, due: date
    ) -> None:
        assert due_date(day, cycle_days=cycle, working_days=working, exceptions={}) == due

    def test_the_merchants_own_days_win(self) -> None:
        friday, monday = date(2026, 11, 20), date(2026, 11, 23)
        assert not is_working(monday, {monday: False})
        assert due_date(
            friday, cycle_days=1, working_days=True, exceptions={monday: False}
        ) == date(2026, 11, 24)
        saturday = date(2026, 11, 21)
        assert (
            due_date(friday, cycle_days=1, working_days=True, exceptions={saturday: True})
            == saturday
        )

    def test_each_published_day_differs_from_the_plain_week(self) -> None:
        """A weekend is listed only within a holiday, a worked day only on a weekend."""
        assert all(day.weekday() >= 5 for day, works in PUBLISHED.items() if works)


def test_every_platform_has_usual_terms(shop: Shop) -> None:
    accounts = [
        make_account(shop, platform=platform.value, merchant_no=f"{platform}1")
        for platform in USUAL
    ]
    found = terms_of(accounts)
    assert {found[row.pk].basis for row in accounts} == {"bill", "withdrawal"}
    assert all(found[row.pk].pk is None and found[row.pk].bank_words for row in accounts)


class TestFromBills:
    def test_a_bill_makes_the_days_settlement(self, shop: Shop, account: PlatformAccount) -> None:
        row = settled_day(shop, account, DAY, 10_000, 5_000)
        assert figures(account) == [2, 15_000, 0, 90, 14_910, 1]
        assert (row.due_date, row.payout_id, row.is_void) == (date(2026, 11, 20), None, False)
        assert SettlementVersion.objects.count() == 1

    def test_refunds_and_the_fees_they_give_back_are_taken_off(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        one, two = (row_of(make_paid(shop, account, minor=10_000, now=at(DAY))) for _ in range(2))
        back = two.but(kind="refund", minor=4_000, fee=-24, refund_no="R1", platform_refund_no="50")
        bill(account, DAY, [one, two, back])
        assert figures(account) == [2, 20_000, 4_000, 96, 15_904, 1]

    def test_the_same_bill_again_changes_nothing_a_changed_one_makes_a_version(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        paid = make_paid(shop, account, minor=10_000, now=at(DAY))
        bill(account, DAY, rows_of([paid]))
        bill(account, DAY, rows_of([paid]))
        assert SettlementVersion.objects.count() == 1
        bill(account, DAY, [row_of(paid).but(fee=61)])
        assert figures(account) == [1, 10_000, 0, 61, 9_939, 2]
        versions = SettlementVersion.objects.order_by("version")
        assert list(versions.values_list("version", "net_minor", "statement__version")) == [
            (1, 9_940, 1),
            (2, 9_939, 2),
        ]

    def test_versions_are_never_changed(self, shop: Shop, account: PlatformAccount) -> None:
        settled_day(shop, account, DAY, 10_000)
        for change in (
            SettlementVersion.objects.all().delete,
            lambda: SettlementVersion.objects.update(net_minor=1),
        ):
            with pytest.raises((InternalError, IntegrityError)), transaction.atomic():
                change()

    def test_an_empty_day_pays_nothing(self, account: PlatformAccount) -> None:
        bill(account, DAY, [])
        assert figures(account) == [0, 0, 0, 0, 0, 1]

    def test_where_a_bill_names_no_fees_the_accounts_rate_is_taken(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000, 99)
        StatementLine.objects.update(fee_minor=None)
        services.settle(account_id=account.pk, now=NOW)
        row = Settlement.objects.get()
        assert (row.fee_minor, row.net_minor, row.fees_estimated) == (61, 10_038, False)
        # Nothing changed, so no version: the estimate is what the bill said.
        assert row.version == 1


class TestTerms:
    def test_changed_terms_compute_what_is_open_again(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000)
        terms(account, fees_deducted=False, cycle_days=2)
        row = Settlement.objects.get()
        assert (row.net_minor, row.fee_minor, row.due_date, row.version) == (
            10_000,
            60,
            date(2026, 11, 23),
            2,
        )
        assert AuditEvent.objects.filter(action="settlement.terms").count() == 1

    def test_without_terms_the_agreement_of_the_day_says_when(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000)
        usual = Settlement.objects.get().due_date
        enter_agreement(
            account_id=account.pk,
            terms=Terms(service="x", valid_from=DAY, cycle_days=5, working_days=False),
            tiers=(Tier(rate_ppm=6_000),),
            effective_from=None,
            expected=0,
            member=None,
            actor=ACTOR,
            now=NOW,
        )
        account.refresh_from_db()
        drain(now=NOW, task="statements.settle_account")
        assert Settlement.objects.get().due_date == DAY + timedelta(days=5)
        found = terms_of([account])[account.pk]
        assert cycle_on(found, DAY - timedelta(days=1)) == (1, True)
        assert is_agreed(found, DAY)
        assert contradicting(found, DAY) is None
        # What somebody enters holds, and where the two say otherwise it is said.
        terms(account, cycle_days=1, working_days=True)
        assert Settlement.objects.get().due_date == usual
        found = terms_of([account])[account.pk]
        against = contradicting(found, DAY)
        assert against is not None
        assert (against.cycle_days, is_agreed(found, DAY)) == (5, False)
        terms(account, cycle_days=5, working_days=False)
        assert contradicting(terms_of([account])[account.pk], DAY) is None

    def test_what_is_taken_after_the_cut_off_counts_for_the_next_day(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        terms(account, cutoff=time(22))
        early = make_paid(shop, account, minor=1_000, now=at(DAY, 21))
        late = make_paid(shop, account, minor=2_000, now=at(DAY, 22))
        bill(account, DAY, rows_of([early, late]))
        assert figures(account)[:2] == [1, 1_000]
        # The next cycle day begins once its own bill is here.
        next_day = DAY + timedelta(days=1)
        assert not Settlement.objects.filter(day=next_day).exists()
        bill(account, next_day, rows_of([make_paid(shop, account, minor=4_000, now=at(next_day))]))
        assert figures(account, next_day)[:2] == [2, 6_000]
        # A change of the first bill reaches both days.
        bill(account, DAY, [row_of(early), row_of(late).but(minor=2_500)])
        assert figures(account)[:2] == [1, 1_000]
        assert figures(account, next_day)[:2] == [2, 6_500]

    def test_days_before_the_first_followed_one_are_void_and_come_back(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000)
        terms(account, since=DAY + timedelta(days=1))
        assert Settlement.objects.get().is_void
        terms(account, since=DAY)
        row = Settlement.objects.get()
        assert (row.is_void, row.version, row.net_minor) == (False, 2, 9_940)

    def test_figures_that_make_no_sense_are_refused(self, account: PlatformAccount) -> None:
        for wrong in ({"cycle_days": 61}, {"window_days": -1}, {"minimum_minor": -1}):
            with pytest.raises(IntegrityError), transaction.atomic():
                terms(account, **wrong)
        assert not SettlementTerms.objects.exists()

    def test_a_working_day_moves_what_is_due(self, shop: Shop, account: PlatformAccount) -> None:
        settled_day(shop, account, DAY, 10_000)
        friday = DAY + timedelta(days=1)
        services.set_workday(day=friday, is_working=False, name="停电", actor=ACTOR, now=NOW)
        assert Settlement.objects.get().due_date == date(2026, 11, 23)
        services.set_workday(day=friday, is_working=None, name="", actor=ACTOR, now=NOW)
        assert Settlement.objects.get().due_date == friday
        assert not WorkdayException.objects.exists()


class TestWithdrawals:
    def test_what_left_the_balance_for_the_bank_is_to_arrive(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        terms(account, basis="withdrawal", working_days=False)
        bill(account, DAY, [])
        Statement.objects.update(kind="fund")
        statement = Statement.objects.get()
        for row, (status, product, number, minor) in enumerate(
            [
                ("in", "交易", "T1", 10_000),
                ("out", "提现", "W1", 7_000),
                ("out", "提现", "W2", 2_000),
                ("in", "提现退回", "W2", 2_000),
            ]
        ):
            StatementLine.objects.create(
                statement=statement, row=row, kind="other", status=status, product=product,
                platform_trade_no=number, amount_minor=minor, occurred_at=at(DAY),
            )  # fmt: skip
        services.settle(account_id=account.pk, now=NOW)
        rows = Settlement.objects.filter(is_void=False).order_by("key")
        assert list(rows.values_list("key", "net_minor", "due_date")) == [
            ("W1", 7_000, DAY + timedelta(days=1)),
            ("W2", 0, DAY + timedelta(days=1)),
        ]

    def test_another_basis_makes_the_former_settlements_void(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000)
        terms(account, basis="withdrawal")
        assert Settlement.objects.get().is_void


def test_holding_back_says_why_and_is_audited(shop: Shop, account: PlatformAccount) -> None:
    row = settled_day(shop, account, DAY, 10_000)
    hold: dict[str, Any] = {
        "settlement_id": row.pk,
        "member": shop["finance"],
        "actor": Actor("f"),
        "now": NOW,
    }
    assert services.hold_settlement(note="  风控冻结 ", **hold).held_note == "风控冻结"
    assert services.hold_settlement(note="", **hold).held_by_id is None
    actions = AuditEvent.objects.filter(subject_kind="settlement").order_by("pk")
    assert list(actions.values_list("action", flat=True)) == [
        "settlement.held",
        "settlement.expected",
    ]


def test_the_task_of_a_bill_that_is_gone_does_nothing(shop: Shop) -> None:
    assert services.settle_bill(day_id=1, now=NOW) is None
    assert drain(now=NOW, task="statements.settle") == 0
