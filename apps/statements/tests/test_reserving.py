"""The arithmetic of reserves against the obvious way, and the bookings that follow from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.core.models import AuditEvent, Due
from apps.core.money import Money
from apps.core.tasks import drain
from apps.core.tenancy import enter_scope
from apps.ledger.models import AdjustmentReason, BusinessDay, JournalEntry, Purpose
from apps.ledger.selectors import held_on, moved_by_day, trial_balance
from apps.ledger.services import Line, post_adjustment
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.operations.books import verify
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import PlatformAccount
from apps.refunds.models import Refund, RefundState
from apps.statements import services
from apps.statements.models import (
    BalanceMail,
    BalanceNotice,
    BalanceWatch,
    ReserveMove,
    ReserveTerms,
    SettlementTerms,
)
from apps.statements.reserving import PastDay, Weighed, suggest, target_of, usual_of
from apps.statements.selectors import reserve as found
from apps.statements.selectors.money import (
    AccountMoney,
    money_not_explained,
    money_of,
    where_is_money,
)
from apps.statements.services import ReserveRefused, reserves
from apps.statements.tests.money import ACTOR, at

FEN = st.integers(min_value=-5_000_000, max_value=5_000_000)
SUM = st.integers(min_value=0, max_value=5_000_000)
TODAY = date(2026, 11, 24)


class TestArithmetic:
    @given(st.lists(FEN, max_size=40), st.integers(0, 10_000), st.none() | st.integers(1, 10**7))
    def test_target(self, nets: list[int], share: int, ceiling: int | None) -> None:
        parts = [floor(Fraction(net * share, 10_000)) for net in nets if net > 0]
        kept = sum(parts)
        target = target_of(nets, share_bp=share, ceiling=ceiling)
        assert target.minor == (kept if ceiling is None or kept < ceiling else ceiling)
        assert target.counted == sum(filter(lambda net: net > 0, nets))
        # Never more than came in.
        assert 0 <= target.minor <= target.counted

    @given(st.lists(st.tuples(SUM, SUM), max_size=14), st.integers(1, 20))
    def test_suggestion(self, sums: list[tuple[int, int]], kept_days: int) -> None:
        """Every run of days is looked at, one by one."""
        days = [PastDay(TODAY + timedelta(n), *one) for n, one in enumerate(sums)]
        runs = [
            sum(one.refunded - one.taken for one in days[a:b])
            for a in range(len(days))
            for b in range(a + 1, len(days) + 1)
        ]
        said = suggest(days, kept_days=kept_days)
        assert said.run_minor == max([0, *runs])
        if said.run_minor:
            run = [d for d in days if said.run_first <= d.day <= said.run_last]  # type: ignore[operator]
            assert said.run_minor == sum(d.refunded - d.taken for d in run)
            assert (said.run_refunded, said.run_taken) == (
                sum(d.refunded for d in run),
                sum(d.taken for d in run),
            )
        assert said.needed == max([0, *runs, *(d.refunded for d in days)])
        assert said.minor == ceil(Fraction(said.needed, 10_000)) * 10_000
        if said.share_bp is not None:
            assert said.share_bp * said.counted >= said.minor * 10_000
            assert (said.share_bp - 1) * said.counted < said.minor * 10_000

    @given(st.lists(SUM, min_size=1, max_size=60))
    def test_usual(self, refunds: list[int]) -> None:
        """The least amount that 95 of 100 days stay within."""
        fits = [
            minor
            for minor in refunds
            if Fraction(sum(one <= minor for one in refunds), len(refunds)) >= Fraction(95, 100)
        ]
        assert usual_of(refunds) == min(fits)
        assert usual_of([]) == 0

    @given(FEN, SUM, SUM, st.integers(0, 2), SUM, st.none() | SUM, st.booleans())
    def test_weighing(
        self, balance: int, way: int, waiting: int, queued: int, usual: int, least: Any, early: bool
    ) -> None:
        weighed = Weighed(
            balance=balance, under_way=way, waiting=waiting, queued_count=queued, usual=usual,
            least=least, early=early,
        )  # fmt: skip
        need = (usual if least is None or least < usual else least) + waiting
        short = need - (balance - way)
        assert weighed.missing == (max(0, short))
        assert weighed.is_low == bool(queued or (early and short > 0))


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def ago(days: int) -> datetime:
    return at(TODAY - timedelta(days=days))


def keep(
    shop: Shop,
    account: PlatformAccount,
    share: int = 1_000,
    ceiling: int | None = None,
    **more: Any,
) -> ReserveTerms:
    values: dict[str, Any] = {
        "days": 30, "effective_from": TODAY, "expected": ReserveTerms.objects.filter(account=account).count(),
        "now": NOW, **more,
    }  # fmt: skip
    return services.set_reserve_terms(
        account_id=account.pk, share_bp=share, ceiling_minor=ceiling,
        member=shop["finance"], actor=ACTOR, **values,
    )  # fmt: skip


def night(account: PlatformAccount, after: int = 0) -> datetime | None:
    """The run after a business day: that of today, or so many days later."""
    when = at(TODAY + timedelta(days=after + 1), 1)
    return services.run_reserve(account_id=account.pk, now=when)


def give_back(
    account: PlatformAccount, payment: Any, minor: int, state: str, when: datetime
) -> None:
    Refund.objects.create(
        payment=payment, store=payment.store, account=account, refund_no=f"R{Refund.objects.count()}",
        amount_minor=minor, reason="x", state=state, created_at=when,
    )  # fmt: skip


class TestBooking:
    def test_a_share_is_kept_and_released(self, shop: Shop) -> None:
        account = make_account(shop)
        make_paid(shop, account, minor=10_005, now=ago(29))
        make_paid(shop, account, minor=20_000, now=NOW)
        keep(shop, account)
        owed = held_on(Purpose.RECEIVABLE, account.pk)
        night(account)
        move = ReserveMove.objects.get()
        nets = [
            one.net for one in moved_by_day(account.pk, first=date(2026, 1, 1), last=TODAY).values()
        ]
        assert move.target_minor == sum(net // 10 for net in nets)
        assert held_on(Purpose.RESERVE, account.pk) == move.moved_minor == move.target_minor
        assert held_on(Purpose.RECEIVABLE, account.pk) == owed - move.moved_minor
        assert (move.day, move.booked_date) == (TODAY, TODAY)
        assert sum(row.amount_minor for row in trial_balance()) == 0
        # The day after, the oldest day has left the window.
        night(account, 1)
        later = ReserveMove.objects.order_by("-day")[0]
        assert later.moved_minor == -(nets[0] // 10)
        assert verify() == []

    def test_once_a_day_and_not_before_its_time(self, shop: Shop) -> None:
        account = make_account(shop)
        make_paid(shop, account, minor=10_000, now=NOW)
        keep(shop, account)
        early = services.run_reserve(account_id=account.pk, now=NOW)
        assert early == at(TODAY + timedelta(days=1), 1)
        assert services.run_reserve(
            account_id=account.pk, now=at(TODAY + timedelta(days=1), 0) + timedelta(minutes=59)
        )
        assert not ReserveMove.objects.exists()
        assert night(account) == at(TODAY + timedelta(days=2), 1)
        night(account)
        assert (
            ReserveMove.objects.count(),
            JournalEntry.objects.filter(kind="reserve").count(),
        ) == (1, 1)

    def test_an_amount_out_of_the_takings(self, shop: Shop) -> None:
        account = make_account(shop)
        keep(shop, account, 10_000, 5_000)
        night(account)
        assert found.kept_of(account.pk) == 0
        make_paid(shop, account, minor=3_000, now=at(TODAY + timedelta(days=1)))
        night(account, 1)
        kept = found.kept_of(account.pk)
        assert 0 < kept <= 3_000
        make_paid(shop, account, minor=30_000, now=at(TODAY + timedelta(days=2)))
        night(account, 2)
        assert found.kept_of(account.pk) == 5_000
        keep(
            shop,
            account,
            0,
            None,
            effective_from=TODAY + timedelta(days=3),
            now=at(TODAY + timedelta(days=3)),
        )
        assert night(account, 3) is None
        assert found.kept_of(account.pk) == 0
        assert verify() == []

    def test_missed_days_are_made_up_for(self, shop: Shop) -> None:
        account = make_account(shop)
        keep(shop, account)
        for after in range(4):
            make_paid(shop, account, minor=10_000, now=at(TODAY + timedelta(days=after)))
        night(account, 3)
        move = ReserveMove.objects.get()
        assert move.target_minor == found.target_on(move.terms, day=move.day).minor
        assert move.counted_minor > 39_000

    def test_a_closed_day_gives_way(self, shop: Shop) -> None:
        account = make_account(shop)
        make_paid(shop, account, minor=10_000, now=NOW)
        keep(shop, account)
        BusinessDay.objects.update_or_create(day=TODAY, defaults={"is_closed": True})
        night(account)
        assert ReserveMove.objects.get().booked_date == TODAY + timedelta(days=1)
        assert found.reserve_without_entry() == money_not_explained() == ""

    def test_what_was_paid_from_it_by_hand_is_filled_up(self, shop: Shop) -> None:
        account = make_account(shop)
        make_paid(shop, account, minor=10_000, now=NOW)
        keep(shop, account)
        night(account)
        kept = found.kept_of(account.pk)
        post_adjustment(
            reason=AdjustmentReason.COMPENSATION, memo="赔付", at=NOW, member=None, actor=ACTOR, now=NOW,
            lines=[
                Line(purpose=Purpose.ADJUSTMENTS, amount=Money(100)),
                Line(purpose=Purpose.RESERVE, amount=Money(-100), subject_id=account.pk),
            ],
        )  # fmt: skip
        assert money_not_explained() == ""
        night(account, 1)
        assert found.kept_of(account.pk) == kept
        assert verify() == []

    def test_a_tampered_move_is_named(self, shop: Shop) -> None:
        account = make_account(shop)
        make_paid(shop, account, minor=10_000, now=NOW)
        keep(shop, account)
        night(account)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE statements_reservemove DISABLE TRIGGER append_only")
            cursor.execute(
                "UPDATE statements_reservemove SET moved_minor = moved_minor + 1, target_minor = target_minor + 1"
            )
        assert "its entry" in found.reserve_without_entry()


class TestTerms:
    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"share": -1}, "share"),
            ({"share": 10_001}, "share"),
            ({"ceiling": 0}, "ceiling"),
            ({"ceiling": -5}, "ceiling"),
            ({"ceiling": 10**10 + 1}, "ceiling"),
            ({"days": 0}, "days"),
            ({"days": 181}, "days"),
            ({"effective_from": TODAY - timedelta(days=1)}, "past"),
            ({"effective_from": TODAY + timedelta(days=400)}, "far"),
            ({"expected": 1}, "changed"),
            ({"share": 0}, "same"),
        ],
    )
    def test_bad_ones(self, shop: Shop, change: dict[str, Any], why: str) -> None:
        account = make_account(shop)
        with pytest.raises(ReserveRefused, match=why):
            keep(shop, account, **change)
        assert not ReserveTerms.objects.exists()

    def test_versions(self, shop: Shop) -> None:
        account = make_account(shop)
        keep(shop, account)
        with pytest.raises(ReserveRefused, match="same"):
            keep(shop, account)
        keep(shop, account, 500, effective_from=TODAY + timedelta(days=9))
        keep(shop, account, 300, effective_from=TODAY + timedelta(days=4))
        versions = found.versions_of(account.pk)
        assert [row.version for row in found.planned(versions, TODAY)] == [3]
        for ahead, version in ((0, 1), (3, 1), (4, 3), (9, 3)):
            day = TODAY + timedelta(days=ahead)
            by_query, by_hand = (
                found.terms_in_force(account.pk, day=day),
                found.in_force(versions, day),
            )
            assert by_query is not None
            assert by_hand is not None
            assert (by_query.version, by_hand.version) == (version, version)
        assert AuditEvent.objects.filter(action="reserve.terms").count() == 3


class TestWhereIsMyMoney:
    def test_its_own_line_and_the_same_sum(self, shop: Shop) -> None:
        account = make_account(shop)
        make_paid(shop, account, minor=10_000, now=NOW)
        before = where_is_money(today=TODAY).accounts[0]
        keep(shop, account, 5_000)
        night(account)
        one = where_is_money(today=TODAY).accounts[0]
        assert (one.balance, one.shown, one.taken) == (before.balance, before.balance, before.taken)
        assert one.reserve == one.reserve_there == before.taken // 2
        assert one.taken_free + one.by_hand_free + one.reserve_there == one.at_platform
        assert money_of(account, today=TODAY).at_platform == one.at_platform

    @given(taken=FEN, by_hand=FEN, reserve=SUM)
    def test_the_parts_make_the_whole(self, taken: int, by_hand: int, reserve: int) -> None:
        one = AccountMoney(
            account=PlatformAccount(merchant_id=1),
            terms=SettlementTerms(merchant_id=1),
            cycle=(1, False),
            balance=0,
            taken=taken,
            by_hand=by_hand,
            reserve=reserve,
        )
        assert one.taken_free + one.by_hand_free + one.reserve_there == taken + by_hand
        assert one.reserve_there + one.reserve_paid_out == reserve
        assert 0 <= one.reserve_there <= reserve


class TestWatch:
    def look(self, account: PlatformAccount, when: datetime = NOW) -> BalanceWatch:
        services.watch_balance(account_id=account.pk, now=when)
        watch: BalanceWatch = BalanceWatch.objects.get(account=account)
        return watch

    def test_a_queued_refund_is_told_once_a_day_until_it_is_gone(self, shop: Shop) -> None:
        account = make_account(shop)
        paid = make_paid(shop, account, minor=10_000, now=NOW)
        assert self.look(account).low_since is None
        give_back(account, paid, 500, RefundState.QUEUED, NOW)
        for hours in range(3):
            self.look(account, NOW + timedelta(hours=hours))
        assert BalanceWatch.objects.get().low_since == NOW
        assert BalanceNotice.objects.count() == 1
        drain(now=NOW, task="statements.balance_mail")
        assert sorted(one.to[0] for one in mail.outbox) == sorted(
            shop[role].email for role in ("owner", "finance")
        )
        assert "holds too little" in mail.outbox[0].body
        self.look(account, NOW + timedelta(days=1))
        assert BalanceNotice.objects.count() == 2
        Refund.objects.update(state=RefundState.FAILED)
        assert self.look(account, NOW + timedelta(days=1, hours=1)).low_since is None
        # Its mails have not left and are needless now.
        drain(now=NOW + timedelta(days=1, hours=1), task="statements.balance_mail")
        assert len(mail.outbox) == 2
        assert not BalanceMail.objects.filter(sent_at=None).exists()

    def test_only_where_asked_for_is_an_early_warning(self, shop: Shop) -> None:
        account = make_account(shop)
        make_paid(shop, account, minor=10_000, now=NOW)
        services.set_watch(
            account_id=account.pk, is_on=True, least_minor=None, member=None, actor=ACTOR, now=NOW
        )
        assert self.look(account).low_since is None
        services.set_watch(
            account_id=account.pk, is_on=True, least_minor=50_000, member=None, actor=ACTOR, now=NOW
        )
        watch = self.look(account)
        assert watch.low_since == NOW
        assert (watch.need_minor, watch.expected_minor) == (
            50_000,
            money_of(account, today=TODAY).taken,
        )
        assert [row.pk for row in found.low_balances()] == [watch.pk]
        services.set_watch(
            account_id=account.pk,
            is_on=False,
            least_minor=50_000,
            member=None,
            actor=ACTOR,
            now=NOW,
        )
        assert self.look(account).low_since is None
        with pytest.raises(services.WatchRefused):
            services.set_watch(
                account_id=account.pk, is_on=True, least_minor=-1, member=None, actor=ACTOR, now=NOW
            )

    def test_refunds_on_their_way_are_taken_off(self, shop: Shop) -> None:
        account = make_account(shop)
        paid = make_paid(shop, account, minor=10_000, now=NOW)
        give_back(account, paid, 700, RefundState.PROCESSING, NOW)
        give_back(account, paid, 300, RefundState.WAITING, NOW)
        give_back(account, paid, 100, RefundState.FAILED, NOW)
        weighed = found.assess(account, watch=None, today=TODAY, calendar_day=TODAY).weighed
        assert (weighed.under_way, weighed.waiting, weighed.queued_count) == (700, 300, 0)
        assert weighed.expected == weighed.balance - 700

    def test_every_account_is_looked_at(self, shop: Shop) -> None:
        make_account(shop)
        assert services.plan_watching(now=NOW) == 1
        assert services.plan_watching(now=NOW) == 0
        assert Due.objects.filter(task="statements.watch_balance").count() == 1


@pytest.fixture
def frozen() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.mark.usefixtures("frozen")
class TestPages:
    def url(self, name: str, shop: Shop, *args: object) -> str:
        return reverse(f"settlements:{name}", args=[shop.slug, *args])

    def typed(self, **changes: str) -> dict[str, str]:
        return {
            "expected": "0", "kind": "both", "share": "2.5", "ceiling": "500", "days": "30",
            "effective_from": TODAY.isoformat(), **changes,
        }  # fmt: skip

    def test_terms_and_their_sentence(self, client: Client, shop: Shop) -> None:
        account = make_account(shop)
        client.force_login(shop["finance"])
        saved = client.post(self.url("reserve_edit", shop, account.pk), self.typed())
        assert saved.status_code == 302
        terms = ReserveTerms.objects.get()
        assert (terms.share_bp, terms.ceiling_minor, terms.days) == (250, 50_000, 30)
        make_paid(shop, account, minor=10_000, now=NOW)
        night(account)
        page = client.get(self.url("reserve_detail", shop, account.pk), HTTP_ACCEPT_LANGUAGE="en")
        words = page.content.decode()
        assert "2.5 % of each day's takings is kept back for 30 days, ¥500.00 at most." in words
        assert "nothing more" in words
        again = client.post(self.url("reserve_edit", shop, account.pk), self.typed(share="3"))
        assert again.status_code == 409
        assert client.get(self.url("reserve_list", shop)).status_code == 200
        assert client.get(self.url("money_where", shop)).status_code == 200

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"share": "101"}, "cannot be more than 100 percent"),
            ({"share": "-1"}, "more than zero"),
            ({"share": "0"}, "more than zero"),
            ({"share": "five"}, "Write a number"),
            ({"share": ""}, "Say which share"),
            ({"ceiling": ""}, "Say which amount"),
            ({"ceiling": "0"}, "keeping nothing"),
            ({"ceiling": "-5"}, "minus"),
            ({"ceiling": "$5"}, "ceiling"),
            ({"ceiling": "2000000000"}, "That is more than"),
            ({"days": "0"}, "One day at least"),
            ({"days": "999"}, "At most 180 days"),
            ({"effective_from": "2026-11-23"}, "has passed"),
            ({"effective_from": "2028-11-23"}, "A year ahead"),
            ({"kind": "all"}, "kind"),
        ],
    )
    def test_bad_input_gets_a_sentence(
        self, client: Client, shop: Shop, changes: dict[str, str], words: str
    ) -> None:
        account = make_account(shop)
        client.force_login(shop["owner"])
        answer = client.post(
            self.url("reserve_edit", shop, account.pk),
            self.typed(**changes),
            HTTP_ACCEPT_LANGUAGE="en",
        )
        assert answer.status_code == 422
        assert words in answer.content.decode()
        assert not ReserveTerms.objects.exists()

    def test_the_warning(self, client: Client, shop: Shop) -> None:
        account = make_account(shop)
        client.force_login(shop["owner"])
        saved = client.post(
            self.url("watch_edit", shop, account.pk), {"is_on": "on", "least": "100"}
        )
        assert saved.status_code == 302
        assert (
            client.post(self.url("watch_edit", shop, account.pk), {"least": "-1"}).status_code
            == 422
        )
        drain(now=NOW, task="statements.watch_balance")
        today = client.get(
            reverse("reports:dashboard", args=[shop.slug]), HTTP_ACCEPT_LANGUAGE="en"
        )
        assert "holds too little for refunds" in today.content.decode()
        page = client.get(self.url("reserve_detail", shop, account.pk), HTTP_ACCEPT_LANGUAGE="en")
        assert "¥100.00 too little for refunds" in page.content.decode()

    def test_who_may(self, client: Client, shop: Shop) -> None:
        account = make_account(shop)
        reads = {"owner": 200, "finance": 200, "auditor": 200, "manager": 200, "cashier": 403}
        for role, status in reads.items():
            client.force_login(shop[role])
            assert client.get(self.url("reserve_detail", shop, account.pk)).status_code == status, (
                role
            )
            writes = 302 if role in {"owner", "finance"} else 403
            sent = client.post(self.url("watch_edit", shop, account.pk), {"is_on": "on"})
            assert sent.status_code == writes, role


THREADS = 4


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.mark.parametrize("locked", [True, False])
    def test_one_books(self, locked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the lock one books and the others find it done; without it all reckon from the same balance, and only the table's
        key keeps the reserve from being taken several times.
        """
        shop = make_shop()
        with enter_scope(shop.scope):
            account = make_account(shop)
            make_paid(shop, account, minor=10_000, now=NOW)
            keep(shop, account)
        looked = threading.Barrier(THREADS)
        if not locked:
            # In place of the lock: all have read before the first of them writes.
            held = held_on

            def together(purpose: Purpose, account_id: int) -> int:
                before = held(purpose, account_id)
                looked.wait(10)
                return before

            monkeypatch.setattr(reserves, "hold_reserve", lambda account_id: None)
            monkeypatch.setattr(reserves, "held_on", together)
        outcomes = race(lambda: with_scope(shop, lambda: night(account)))
        assert sorted(outcomes) == ["", *(["" if locked else "IntegrityError"] * (THREADS - 1))]
        with enter_scope(shop.scope):
            assert JournalEntry.objects.filter(kind="reserve").count() == 1
            assert found.kept_of(account.pk) == ReserveMove.objects.get().moved_minor

    @pytest.mark.parametrize("locked", [True, False])
    def test_two_days_at_once(self, locked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """A late worker of one day and the next day's: without the lock both take the whole reserve."""
        shop = make_shop()
        with enter_scope(shop.scope):
            account = make_account(shop)
            make_paid(shop, account, minor=10_000, now=NOW)
            keep(shop, account)
        looked = threading.Barrier(2)
        if not locked:
            held = held_on

            def together(purpose: Purpose, account_id: int) -> int:
                before = held(purpose, account_id)
                looked.wait(10)
                return before

            monkeypatch.setattr(reserves, "hold_reserve", lambda account_id: None)
            monkeypatch.setattr(reserves, "held_on", together)
        days = iter([0, 1])
        outcomes = race(lambda: with_scope(shop, lambda: night(account, next(days))), threads=2)
        assert outcomes == ["", ""]
        with enter_scope(shop.scope):
            last = ReserveMove.objects.order_by("-day")[0]
            kept = found.kept_of(account.pk)
            assert kept == (last.target_minor if locked else 2 * last.target_minor)


def with_scope(shop: Shop, work: Callable[[], object]) -> None:
    with enter_scope(shop.scope):
        work()


def race(work: Callable[[], object], *, threads: int = THREADS) -> list[str]:
    """``work`` in all threads at once; what each raised, "" for none."""
    start = threading.Barrier(threads)
    outcomes: list[str] = []

    def run() -> None:
        try:
            start.wait(10)
            work()
            outcomes.append("")
        except IntegrityError:
            outcomes.append("IntegrityError")
        finally:
            connection.close()

    each = [threading.Thread(target=run) for _ in range(threads)]
    for one in each:
        one.start()
    for one in each:
        one.join(60)
    return outcomes
