"""Every row is matched or has a named difference, and the differences add up to the gap."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.db.models import Sum

from apps.core import tasks
from apps.core.models import AuditEvent, Due
from apps.core.tenancy import enter_scope
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment, PaymentState
from apps.payments.tests.factories import make_account, make_payment
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import Difference, Match, ReconciliationRun, ResolutionKind
from apps.reconciliation.services import (
    Act,
    NothingToReconcile,
    resolve_difference,
    undo_resolution,
)
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, paid, refunded
from apps.refunds.models import Refund, RefundState
from apps.statements.models import FetchState, StatementDay, StatementLine
from apps.statements.tests.bills import Row, row_of, row_of_refund

pytestmark = pytest.mark.django_db

NEXT = DAY + timedelta(days=1)
STRANGER = Row(order_no="POS1", trade_no="4200009999", minor=700, fee=4, at=NOON)


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def keep(shop: Shop, row: Difference, reason: str) -> None:
    resolve_difference(
        difference_id=row.pk,
        act=Act(kind=ResolutionKind.KEEP, reason=reason),
        member=shop["finance"],
        actor=ACTOR,
        now=NOW,
    )


Found = tuple[str, str, int | None, int | None, int]


def found(run: ReconciliationRun) -> list[Found]:
    """The run's differences, after checking that they sum to its gap."""
    total = Difference.objects.filter(run=run).aggregate(gap=Sum("gap_minor"))["gap"] or 0
    assert total == run.their_net_minor - run.our_net_minor
    rows = Difference.objects.filter(run=run).order_by("pk")
    assert run.difference_count == len(rows)
    return [(row.type, row.state, row.their_minor, row.our_minor, row.gap_minor) for row in rows]


def test_a_day_that_matches(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        one, two = paid(shop, account, 10_000), paid(shop, account, 2500)
        back = refunded(shop, one, 4000)
        bill(account, [row_of(one), row_of(two), row_of_refund(back)])
        run = match(account)
        assert found(run) == []
        assert run.matched_count == 3
        assert (run.matched_payment_minor, run.matched_refund_minor) == (12_500, 4000)
        assert (run.their_net_minor, run.our_net_minor) == (8500, 8500)
        assert run.is_current
        pairs = Match.objects.filter(run=run).order_by("line__row")
        assert list(pairs.values_list("payment_id", "refund_id", "rule")) == [
            (one.pk, None, "their_number"),
            (two.pk, None, "their_number"),
            (None, back.pk, "their_number"),
        ]
        assert AuditEvent.objects.get(action="run.finished").data["gap_minor"] == 0


@pytest.mark.parametrize("which", ["their_number", "our_number"])
def test_by_either_number_alone(shop: Shop, account: PlatformAccount, which: str) -> None:
    with inside(shop):
        one = paid(shop, account)
        back = refunded(shop, one, 4000)
        if which == "their_number":
            rows = [row_of(one).but(order_no="X1"), row_of_refund(back).but(refund_no="X2")]
        else:
            rows = [
                row_of(one).but(trade_no="42X1"),
                row_of_refund(back).but(platform_refund_no="50X2", trade_no="42X1"),
            ]
        bill(account, rows)
        run = match(account)
        assert found(run) == []
        assert set(Match.objects.values_list("rule", flat=True)) == {which}


def test_the_platforms_number_comes_before_ours(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        one, two = paid(shop, account), paid(shop, account)
        bill(account, [row_of(one).but(order_no=two.order_no)])
        run = match(account)
        assert Match.objects.get(run=run).payment_id == one.pk
        assert found(run) == [("missing_there", "open", None, 10_000, -10_000)]


def test_missing_here_and_missing_there(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        one = paid(shop, account, 10_000)
        paid(shop, account, 300)
        bill(account, [row_of(one), STRANGER])
        assert found(match(account)) == [
            ("missing_here", "open", 700, None, 700),
            ("missing_there", "open", None, 300, -300),
        ]


def test_amount_and_fee(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        one, two = paid(shop, account, 10_000), paid(shop, account, 5000)
        assert (one.fee_minor, two.fee_minor) == (60, 30)
        bill(account, [row_of(one).but(minor=10_001), row_of(two).but(fee=40)])
        run = match(account)
        assert found(run) == [
            ("amount", "open", 10_001, 10_000, 1),
            ("fee", "open", 5000, 5000, 0),
        ]
        fee = Difference.objects.get(type="fee")
        assert (fee.their_fee_minor, fee.our_fee_minor, fee.net_gap_minor) == (40, 30, -10)
        assert fee.detail == {"rate_ppm": 6000}
        # A row is matched or differs.
        assert (run.matched_count, run.matched_payment_minor) == (0, 0)


def test_states_that_differ(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        closed = make_payment(shop, account, minor=900, now=NOON)
        Payment.objects.filter(pk=closed.pk).update(state=PaymentState.CLOSED)
        one = paid(shop, account)
        back = refunded(shop, one, 4000)
        row = row_of_refund(back)
        Refund.objects.filter(pk=back.pk).update(state=RefundState.FAILED)
        rows = [
            Row(order_no=closed.order_no, trade_no="4200008", minor=900, at=NOON),
            row_of(one),
            row,
        ]
        bill(account, rows)
        run = match(account)
        assert found(run) == [
            ("status", "open", 900, None, 900),
            ("status", "open", -4000, None, -4000),
        ]
        said = Difference.objects.order_by("pk").values_list("detail__our_state", flat=True)
        assert list(said) == ["closed", "failed"]


def test_duplicates_keep_the_row_that_fits_best(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        one = paid(shop, account)
        back = refunded(shop, one, 4000)
        wrong = row_of(one).but(minor=9999)
        bill(account, [wrong, row_of(one), row_of(one), row_of_refund(back), row_of_refund(back)])
        run = match(account)
        assert sorted(found(run), key=lambda row: row[4]) == [
            ("duplicate", "open", -4000, None, -4000),
            ("duplicate", "open", 9999, None, 9999),
            ("duplicate", "open", 10_000, None, 10_000),
        ]
        assert run.matched_count == 2


def test_unknown_refunds(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        one = paid(shop, account)
        row = Row(
            kind="refund", order_no=one.order_no, trade_no=one.platform_trade_no, minor=50, at=NOON,
            refund_no="CONSOLE1", platform_refund_no="5031",
        )  # fmt: skip
        bill(account, [row_of(one), row])
        assert found(match(account)) == [("unknown_refund", "open", -50, None, -50)]


def test_another_currency(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        one = paid(shop, account)
        bill(account, [row_of(one)])
        StatementLine.objects.update(currency="HKD")
        assert found(match(account)) == [("currency", "open", 10_000, 10_000, 0)]


def test_a_row_at_midnight_is_carried_and_the_first_day_is_matched_again(
    shop: Shop, account: PlatformAccount
) -> None:
    """Ours at 23:59:59, the bill's at 00:00:01: expected at first, carried over once the next bill is here."""
    evening = NOON + timedelta(hours=11, minutes=59, seconds=59)
    later = NOW + timedelta(days=1)
    with inside(shop):
        one = paid(shop, account, at=evening)
        bill(account, [])
        first = match(account)
        assert found(first) == [("expected", "explained", None, 10_000, -10_000)]
        bill(account, [row_of(one).but(at=evening + timedelta(seconds=2))], day=NEXT, now=later)
        second = match(account, day=NEXT, now=later)
        assert found(second) == [("carry_in", "explained", 10_000, None, 10_000)]
        assert Difference.objects.get(run=second).detail["our_day"] == DAY.isoformat()
        due = Due.objects.get(task="reconciliation.run")
        assert (due.subject_id, due.due_at) == (StatementDay.objects.get(day=DAY).pk, later)
    assert tasks.drain(now=later, task="reconciliation.run") == 1
    with inside(shop):
        again = ReconciliationRun.objects.get(day=DAY, is_current=True)
        assert again.pk != first.pk
        assert found(again) == [("carry_out", "explained", None, 10_000, -10_000)]
        assert Difference.objects.get(run=again).detail == {"bill_day": NEXT.isoformat()}
        # It ends there: the two days do not ask for each other for ever.
        assert not Due.objects.filter(task="reconciliation.run").exists()


def test_a_late_refund(shop: Shop, account: PlatformAccount) -> None:
    evening = NOON + timedelta(hours=11, minutes=59)
    later = NOW + timedelta(days=1)
    with inside(shop):
        one = paid(shop, account)
        back = refunded(shop, one, 4000, at=evening)
        row = row_of_refund(back).but(at=evening + timedelta(minutes=2))
        bill(account, [row], day=NEXT, now=later)
        bill(account, [row_of(one)])
        assert found(match(account)) == [("carry_out", "explained", None, -4000, 4000)]
        run = match(account, day=NEXT, now=later)
        assert found(run) == [("carry_in", "explained", -4000, None, -4000)]


def test_a_row_in_two_days_bills_is_billed_twice_and_not_merely_late(
    shop: Shop, account: PlatformAccount
) -> None:
    later = NOW + timedelta(days=1)
    with inside(shop):
        one = paid(shop, account)
        bill(account, [row_of(one)])
        assert found(match(account)) == []
        bill(account, [row_of(one).but(at=NOON + timedelta(days=1))], day=NEXT, now=later)
        run = match(account, day=NEXT, now=later)
        assert found(run) == [("duplicate", "open", 10_000, None, 10_000)]
        assert Difference.objects.get(run=run).detail["bill_day"] == DAY.isoformat()


def test_a_row_of_another_account(shop: Shop, account: PlatformAccount) -> None:
    """Found by its number there, and told there as well; the pair sums to zero over the two accounts."""
    with inside(shop):
        other = make_account(shop, merchant_no="1900000002")
        one = paid(shop, other)
        back = refunded(shop, one, 4000)
        bill(other, [])
        missing = ("missing_there", "open")
        assert [row[:2] for row in found(match(other))] == [missing, missing]
        bill(account, [row_of(one), row_of_refund(back)])
        assert found(match(account)) == [
            ("wrong_account", "open", 10_000, None, 10_000),
            ("wrong_account", "open", -4000, None, -4000),
        ]
        assert Difference.objects.filter(detail__account=other.pk, payment=one).exists()
        assert Due.objects.get(task="reconciliation.run", subject_id__gt=0).subject_id == (
            StatementDay.objects.get(account=other).pk
        )
        assert found(match(other)) == [
            ("wrong_account", "open", None, 10_000, -10_000),
            ("wrong_account", "open", None, -4000, 4000),
        ]
        # The file was put right: both are told so.
        bill(account, [])
        match(account)
        bill(other, [row_of(one), row_of_refund(back)])
        assert found(match(other)) == []


def test_an_empty_day(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        with pytest.raises(NothingToReconcile):
            match(account)
        StatementDay.objects.create(account=account, kind="trade", day=DAY)
        with pytest.raises(NothingToReconcile):
            match(account)
        assert ReconciliationRun.objects.count() == 0
        StatementDay.objects.update(state=FetchState.EMPTY)
        run = match(account)
        assert (run.statement_id, run.matched_count, found(run)) == (None, 0, [])
        paid(shop, account)
        assert found(match(account)) == [("missing_there", "open", None, 10_000, -10_000)]
        assert ReconciliationRun.objects.filter(is_current=True).count() == 1


def test_matching_takes_away_what_was_due(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        bill(account, [STRANGER])
        assert Due.objects.filter(task="reconciliation.run").count() == 1
        match(account)
        assert Due.objects.filter(task="reconciliation.run").count() == 0


def test_what_a_person_said_outlives_the_next_matching(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        one = paid(shop, account)
        bill(account, [row_of(one), STRANGER])
        run = match(account)
        row = Difference.objects.get(run=run)
        keep(shop, row, "POS 机收款")
        # The same bill again, then a new version in which the row stands elsewhere.
        again = match(account)
        bill(account, [STRANGER, row_of(one), STRANGER.but(order_no="POS2", trade_no="42X")])
        newest = match(account)
        assert found(again) == [("missing_here", "resolved", 700, None, 700)]
        assert sorted(found(newest)) == [
            ("missing_here", "open", 700, None, 700),
            ("missing_here", "resolved", 700, None, 700),
        ]
        kept = Difference.objects.get(run=newest, state="resolved")
        said = kept.resolution
        assert said is not None
        assert (said.reason, said.member, said.at) == ("POS 机收款", shop["finance"], NOW)
        assert kept.line is not None
        assert kept.line.order_no == "POS1"
        undo_resolution(resolution_id=said.pk, member=shop["owner"], actor=ACTOR, now=NOW)
        kept.refresh_from_db()
        assert (kept.state, kept.resolution) == ("open", None)
        actions = AuditEvent.objects.filter(action__startswith="difference.").order_by("pk")
        assert [event.action for event in actions] == ["difference.keep", "difference.undone"]


def test_a_changed_difference_needs_a_new_word(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        bill(account, [STRANGER])
        row = Difference.objects.get(run=match(account))
        keep(shop, row, "x")
        bill(account, [STRANGER.but(minor=701)])
        assert found(match(account)) == [("missing_here", "open", 701, None, 701)]


@pytest.mark.django_db(transaction=True)
def test_two_matchings_at_once_leave_one_that_counts(shop: Shop, account: PlatformAccount) -> None:
    with enter_scope(shop.scope):
        one = paid(shop, account)
        bill(account, [row_of(one), STRANGER])
    barrier = Barrier(2)
    errors: list[Exception] = []

    def work() -> None:
        try:
            with enter_scope(shop.scope):
                barrier.wait(10)
                for _ in range(3):
                    match(account)
        except Exception as error:  # noqa: BLE001  # told by the test itself
            errors.append(error)
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    with enter_scope(shop.scope):
        assert ReconciliationRun.objects.count() == 6
        run = ReconciliationRun.objects.get(is_current=True)
        assert run.pk == max(ReconciliationRun.objects.values_list("pk", flat=True))
        assert found(run) == [("missing_here", "open", 700, None, 700)]
