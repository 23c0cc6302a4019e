"""Payouts: matched by themselves or by hand, booked once, undone by a new entry; and the books agree with the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.money import Money
from apps.core.tasks import drain
from apps.core.tenancy import enter_scope
from apps.ledger.models import BusinessDay, JournalEntry, Posting, Purpose
from apps.ledger.selectors import first_unbalanced, trial_balance
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import PlatformAccount
from apps.statements import services
from apps.statements.models import BankAccount, BankLine, Payout, Settlement
from apps.statements.selectors.money import (
    money_not_explained,
    payout_without_money,
    where_is_money,
)
from apps.statements.selectors.settlements import Place, places_of
from apps.statements.services import linking
from apps.statements.tests.bills import row_of
from apps.statements.tests.money import (
    ACTOR,
    DAY,
    TENPAY,
    at,
    bank_csv,
    bill,
    make_bank,
    settled_day,
    upload,
)
from apps.statements.tests.test_settling import terms

FRIDAY = DAY + timedelta(days=1)
TODAY = date(2026, 11, 24)
THREADS = 8


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


@pytest.fixture
def bank(shop: Shop) -> BankAccount:
    return make_bank()


def arrived(bank: BankAccount, day: date, minor: int, *, who: str = TENPAY) -> BankLine:
    """One line of the bank."""
    reference = f"R{BankLine.objects.count() + 1}"
    upload(bank, bank_csv((day, minor, who, reference)))
    found: BankLine = BankLine.objects.get(reference=reference)
    return found


def linked(lines: list[BankLine], rows: list[Settlement], **more: Any) -> Payout:
    return services.link(
        line_ids=[row.pk for row in lines],
        settlement_ids=[row.pk for row in rows],
        member=None,
        actor=ACTOR,
        now=NOW,
        **more,
    )


def undo(payout: Payout, shop: Shop) -> Payout:
    return services.unlink(
        payout_id=payout.pk, reason="falsch", member=shop["finance"], actor=Actor("f"), now=NOW
    )


def balances() -> dict[str, int]:
    """What the accounts hold, by purpose, without those at zero."""
    return {row.account.purpose: row.amount_minor for row in trial_balance() if row.amount_minor}


def sides(payout: Payout, kind: str = "payout") -> dict[str, int]:
    rows = Posting.objects.filter(entry__kind=kind, entry__subject_id=payout.pk)
    return dict(rows.values_list("account__purpose", "amount_minor"))


def whole() -> None:
    """The page's parts sum to the ledger, and every payout to its rows."""
    assert money_not_explained() == ""
    assert payout_without_money() == ""
    assert first_unbalanced() == ""


class TestBySelf:
    def test_what_arrived_is_linked_and_booked(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row = settled_day(shop, account, DAY, 10_000)
        line = arrived(bank, FRIDAY, 9_940)
        (payout,) = services.match_bank(now=NOW)
        assert (payout.is_inferred, payout.amount_minor, payout.linked_by_id) == (True, 9_940, None)
        assert sides(payout) == {"bank": 9_940, "receivable": -9_940}
        assert balances() == {"bank": 9_940, "fees": 60, "sales": -10_000}
        row.refresh_from_db()
        line.refresh_from_db()
        assert (row.payout_id, row.settled_minor, line.payout_id) == (payout.pk, 9_940, payout.pk)
        entry = JournalEntry.objects.get(kind="payout")
        assert (entry.booked_date, entry.memo) == (FRIDAY, "2026-11-19")
        assert services.match_bank(now=NOW) == []
        whole()

    def test_a_bill_that_comes_after_the_bank_is_matched_by_its_task(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        arrived(bank, FRIDAY, 9_940)
        row = settled_day(shop, account, DAY, 10_000)
        assert row.payout_id is not None

    def test_a_statement_whose_upload_was_cut_off_is_matched_by_its_task(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000)
        arrived(bank, FRIDAY, 9_940)
        assert Payout.objects.count() == 0
        assert drain(now=NOW, task="statements.match") == 1
        assert Payout.objects.get().amount_minor == 9_940
        assert drain(now=NOW, task="statements.match") == 0

    def test_a_line_that_does_not_name_the_platform_is_nobodys(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000)
        arrived(bank, FRIDAY, 9_940, who="张三")
        assert services.match_bank(now=NOW) == []
        terms(account, bank_words="李四， 张三")
        assert Due.objects.filter(task="statements.match").count() == 1
        assert drain(now=NOW, task="statements.match") == 1
        assert Payout.objects.count() == 1

    def test_a_line_that_two_accounts_may_claim_is_left_to_a_person(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        other = make_account(shop, merchant_no="1900000002")
        settled_day(shop, account, DAY, 10_000)
        paid = make_paid(shop, other, minor=10_000, now=at(DAY))
        Settlement.objects.create(
            account=other, basis="bill", day=DAY, net_minor=paid.amount_minor - paid.fee_minor,
            due_date=FRIDAY, computed_at=NOW,
        )  # fmt: skip
        arrived(bank, FRIDAY, 9_940)
        assert services.match_bank(now=NOW) == []

    def test_a_pair_that_a_person_undid_is_not_made_again(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000)
        arrived(bank, FRIDAY, 9_940)
        (payout,) = services.match_bank(now=NOW)
        undo(payout, shop)
        assert services.match_bank(now=NOW) == []

    def test_what_is_held_back_is_not_matched(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row = settled_day(shop, account, DAY, 10_000)
        services.hold_settlement(
            settlement_id=row.pk, note="x", member=shop["finance"], actor=ACTOR, now=NOW
        )
        arrived(bank, FRIDAY, 9_940)
        assert services.match_bank(now=NOW) == []


class TestByHand:
    def test_one_line_several_settlements(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        rows = [settled_day(shop, account, DAY + timedelta(days=n), 10_000) for n in range(3)]
        payout = linked([arrived(bank, TODAY, 29_820)], rows)
        assert balances()["bank"] == 29_820
        assert JournalEntry.objects.get(kind="payout").memo == "2026-11-19…2026-11-21"
        assert payout.settlement_ids == [row.pk for row in rows]
        whole()

    def test_several_lines_one_settlement(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row = settled_day(shop, account, DAY, 10_000)
        linked([arrived(bank, FRIDAY, 9_000), arrived(bank, TODAY, 940)], [row])
        assert JournalEntry.objects.get(kind="payout").booked_date == TODAY
        whole()

    @pytest.mark.parametrize(("minor", "over"), [(9_900, 40), (9_950, -10)])
    def test_a_difference_is_booked_where_a_person_says(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount, minor: int, over: int
    ) -> None:
        row, line = settled_day(shop, account, DAY, 10_000), arrived(bank, FRIDAY, minor)
        for nowhere in (None, Purpose.SALES):
            with pytest.raises(services.SumsDiffer) as refused:
                linked([line], [row], difference_to=nowhere)
            assert refused.value.difference == Money(over)
        assert not Payout.objects.exists()
        payout = linked([line], [row], difference_to=Purpose.SUSPENSE)
        assert sides(payout) == {"bank": minor, "suspense": over, "receivable": -9_940}
        whole()
        undo(payout, shop)
        assert balances() == {"receivable": 9_940, "fees": 60, "sales": -10_000}
        whole()

    def test_what_is_linked_is_not_linked_again(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row, other = (settled_day(shop, account, day, 10_000) for day in (DAY, FRIDAY))
        line = arrived(bank, FRIDAY, 9_940)
        linked([line], [row])
        for lines, rows in (([line], [other]), ([arrived(bank, TODAY, 9_940)], [row])):
            with pytest.raises(services.LinkRefused):
                linked(lines, rows)
        assert Payout.objects.count() == 1

    def test_rows_that_do_not_go_together_are_refused(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row, line = settled_day(shop, account, DAY, 10_000), arrived(bank, FRIDAY, 9_940)
        other = make_account(shop, merchant_no="1900000002")
        stranger = Settlement.objects.create(
            account=other, basis="bill", day=DAY, net_minor=1, due_date=FRIDAY, computed_at=NOW
        )
        with pytest.raises(services.LinkRefused):
            linked([line], [row, stranger], difference_to=Purpose.FEES)
        with pytest.raises(services.LinkRefused):
            linked([line], [])
        with pytest.raises(services.LinkRefused):
            linked([], [row])
        with pytest.raises(Settlement.DoesNotExist):
            services.link(line_ids=[line.pk], settlement_ids=[0], member=None, actor=ACTOR, now=NOW)
        with pytest.raises(BankLine.DoesNotExist):
            services.link(line_ids=[0], settlement_ids=[row.pk], member=None, actor=ACTOR, now=NOW)
        assert not Payout.objects.exists()


class TestUndo:
    def test_a_new_entry_takes_it_back_and_the_rows_are_free_again(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row, line = settled_day(shop, account, DAY, 10_000), arrived(bank, FRIDAY, 9_940)
        payout = undo(linked([line], [row]), shop)
        assert sides(payout, "payout_undone") == {"bank": -9_940, "receivable": 9_940}
        row.refresh_from_db()
        assert (row.payout_id, row.settled_minor) == (None, None)
        assert undo(payout, shop).undone_at == NOW
        assert JournalEntry.objects.filter(subject_kind="payout").count() == 2
        again = linked([line], [row])
        assert again.pk != payout.pk
        actions = AuditEvent.objects.filter(subject_kind="payout").order_by("pk")
        assert list(actions.values_list("action", flat=True)) == [
            "payout.linked",
            "payout.undone",
            "payout.linked",
        ]
        whole()

    def test_not_once_the_day_is_closed(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row, line = settled_day(shop, account, DAY, 10_000), arrived(bank, FRIDAY, 9_940)
        payout = linked([line], [row])
        BusinessDay.objects.filter(day=FRIDAY).update(is_closed=True)
        with pytest.raises(services.DayClosed):
            undo(payout, shop)
        payout.refresh_from_db()
        assert (payout.undone_at, balances()["bank"]) == (None, 9_940)

    def test_money_of_a_closed_day_is_booked_on_the_next_open_one(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row, line = settled_day(shop, account, DAY, 10_000), arrived(bank, FRIDAY, 9_940)
        BusinessDay.objects.create(day=FRIDAY, is_closed=True)
        payout = linked([line], [row])
        assert payout.booked_date == FRIDAY + timedelta(days=1)
        assert undo(payout, shop).undone_at == NOW


class TestWhere:
    """The page's parts, for an account in every state."""

    def test_each_part_and_the_ledger(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        row = settled_day(shop, account, DAY, 10_000)
        linked([arrived(bank, FRIDAY, 9_940)], [row])
        settled_day(shop, account, FRIDAY, 20_000)
        monday = date(2026, 11, 23)
        settled_day(shop, account, monday, 30_000)
        make_paid(shop, account, minor=5_000, now=at(TODAY, 9))
        (one,) = where_is_money(today=TODAY).accounts
        assert (one.taken, one.on_its_way.minor, one.arrived.minor) == (4_970, 29_820, 9_940)
        # Friday's money was due on Monday; the bank's statement ends on Friday.
        assert (one.unseen.minor, one.overdue.minor, one.differs, one.by_hand) == (19_880, 0, 0, 0)
        assert one.balance == one.shown == balances()["receivable"]
        assert [(day.day, day.due, day.is_late) for day in one.taken_days] == [
            (TODAY, date(2026, 11, 25), False)
        ]
        arrived(bank, TODAY, 1, who="利息")
        (one,) = where_is_money(today=TODAY).accounts
        assert (one.unseen.minor, one.overdue.minor, one.overdue.first_due) == (0, 19_880, monday)
        row = Settlement.objects.get(day=FRIDAY)
        services.hold_settlement(
            settlement_id=row.pk, note="风控", member=shop["finance"], actor=ACTOR, now=NOW
        )
        (one,) = where_is_money(today=TODAY).accounts
        assert (one.overdue.count, one.held.minor) == (0, 19_880)
        found = places_of(list(Settlement.objects.order_by("day")), today=TODAY)
        assert list(found.values()) == [Place.ARRIVED, Place.HELD, Place.ON_ITS_WAY]
        whole()

    def test_below_the_minimum_it_waits_for_more(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        terms(account, minimum_minor=15_000)
        for number, minor in enumerate((6_000, 8_000, 5_000)):
            settled_day(shop, account, DAY + timedelta(days=number), minor)
        rows = list(Settlement.objects.order_by("day"))
        assert list(places_of(rows, today=DAY).values()) == [
            Place.HELD,
            Place.HELD,
            Place.ON_ITS_WAY,
        ]

    def test_what_the_bill_says_otherwise_stays_and_is_named(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        paid = make_paid(shop, account, minor=10_000, now=at(DAY))
        bill(account, DAY, [row_of(paid).but(fee=63)])
        linked([arrived(bank, FRIDAY, 9_937)], [Settlement.objects.get()])
        (one,) = where_is_money(today=TODAY).accounts
        assert [(gap.day, gap.ours, gap.settled, gap.minor) for gap in one.gaps] == [
            (DAY, 9_940, 9_937, 3)
        ]
        assert (one.balance, one.differs) == (3, 3)
        whole()

    def test_a_bill_changed_after_its_money_arrived_leaves_the_payout(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        paid = make_paid(shop, account, minor=10_000, now=at(DAY))
        bill(account, DAY, [row_of(paid)])
        linked([arrived(bank, FRIDAY, 9_940)], [Settlement.objects.get()])
        bill(account, DAY, [row_of(paid).but(fee=50)])
        row = Settlement.objects.get()
        assert (row.net_minor, row.settled_minor, row.version) == (9_950, 9_940, 2)
        assert where_is_money(today=TODAY).balance == 0
        whole()

    def test_fees_that_are_not_deducted_are_what_remains(
        self, shop: Shop, account: PlatformAccount, bank: BankAccount
    ) -> None:
        terms(account, fees_deducted=False)
        row = settled_day(shop, account, DAY, 10_000)
        linked([arrived(bank, FRIDAY, 10_000)], [row])
        (one,) = where_is_money(today=TODAY).accounts
        assert (one.balance, one.differs) == (-60, -60)
        whole()

    def test_a_balance_that_is_withdrawn_has_no_days(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        settled_day(shop, account, DAY, 10_000)
        terms(account, basis="withdrawal")
        Settlement.objects.create(
            account=account, basis="withdrawal", day=DAY, key="W1", net_minor=9_000,
            due_date=FRIDAY, computed_at=NOW,
        )  # fmt: skip
        (one,) = where_is_money(today=DAY).accounts
        assert (one.taken, one.on_its_way.minor, one.taken_days, one.gaps) == (940, 9_000, [], [])
        whole()

    def test_the_platforms_own_day_and_the_cut_off_decide_what_is_taken(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        union = make_account(shop, platform="unionpay", merchant_no="777290058110048")
        make_paid(shop, union, minor=1_000, now=at(DAY, 22))
        make_paid(shop, union, minor=2_000, now=at(DAY, 23))
        found = {one.account.pk: one for one in where_is_money(today=TODAY).accounts}
        assert [day.day for day in found[union.pk].taken_days] == [FRIDAY, DAY]


def test_each_bad_payout_is_named(shop: Shop, account: PlatformAccount, bank: BankAccount) -> None:
    row, line = settled_day(shop, account, DAY, 10_000), arrived(bank, FRIDAY, 9_940)
    payout = linked([line], [row])
    whole()
    damages: list[tuple[Callable[[], int], str]] = [
        (lambda: BankLine.objects.update(payout=None), "its bank lines make 0"),
        (lambda: Settlement.objects.update(settled_minor=1), "they make 1"),
        (lambda: Payout.objects.update(amount_minor=1, settled_minor=1), "its entry 9940"),
        (lambda: Payout.objects.update(undone_at=NOW), "undone without a reversing entry"),
    ]
    for damage, words in damages:
        with transaction.atomic():
            damage()
            assert f"payout {payout.pk}, " in payout_without_money()
            assert words in payout_without_money()
            transaction.set_rollback(True)
    with transaction.atomic():
        Settlement.objects.update(settled_minor=1)
        assert "other than their settlements" in money_not_explained()
        transaction.set_rollback(True)
    whole()


class TestRace:
    """Two people, one line."""

    @pytest.fixture
    def street(self, transactional_db: None) -> tuple[Shop, int, list[int]]:
        shop = make_shop()
        with enter_scope(shop.scope):
            account, bank = make_account(shop), make_bank()
            rows = [
                settled_day(shop, account, DAY - timedelta(days=n), 10_000) for n in range(THREADS)
            ]
            line = arrived(bank, TODAY, 9_940)
            return shop, line.pk, [row.pk for row in rows]

    def together(self, shop: Shop, line: int, rows: list[int]) -> list[str]:
        start = threading.Barrier(len(rows))
        outcomes: list[str] = []

        def work(row: int) -> None:
            try:
                with enter_scope(shop.scope):
                    start.wait()
                    services.link(
                        line_ids=[line], settlement_ids=[row], member=None, actor=ACTOR, now=NOW
                    )
                outcomes.append("")
            except (services.LinkRefused, IntegrityError) as error:
                outcomes.append(type(error).__name__)
            finally:
                connection.close()

        threads = [threading.Thread(target=work, args=(row,)) for row in rows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(outcomes)

    def test_with_the_lock_one_of_them_links_it(self, street: tuple[Shop, int, list[int]]) -> None:
        shop, line, rows = street
        assert self.together(shop, line, rows) == ["", *["LinkRefused"] * (THREADS - 1)]
        with enter_scope(shop.scope):
            assert balances()["bank"] == 9_940
            whole()

    def test_without_the_lock_the_race_is_real(
        self, street: tuple[Shop, int, list[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop, line, rows = street
        looked = threading.Barrier(THREADS)

        def unlocked(found: Any) -> list[Any]:
            seen = list(found.order_by("pk"))
            if found.model is BankLine:
                looked.wait()
            return seen

        monkeypatch.setattr(linking, "_held", unlocked)
        assert self.together(shop, line, rows) == [""] * THREADS
        with enter_scope(shop.scope):
            assert balances()["bank"] == THREADS * 9_940
            assert "its bank lines make 0" in payout_without_money()
