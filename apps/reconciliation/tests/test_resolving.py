"""Settling differences: each kind, what it books, how long it holds, and how it is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.core.models import AuditEvent, Due
from apps.core.money import InvalidAmount, Money
from apps.ledger.models import Adjustment, AdjustmentReason, JournalEntry
from apps.ledger.services import reverse_adjustment
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import OrderState, Payment, PaymentState, Source
from apps.payments.tests.factories import make_account, make_payment
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import (
    Difference,
    DifferenceState,
    Match,
    ReconciliationRun,
    Resolution,
    ResolutionState,
)
from apps.reconciliation.selectors import (
    explain,
    gone_resolutions,
    history_of,
    offer_of,
    open_counts,
)
from apps.reconciliation.services import (
    CannotResolve,
    assign_difference,
    comment_difference,
    set_write_off_limit,
    undo_resolution,
)
from apps.reconciliation.tests.acts import balances, close_day, decided, do, may_adjust, undo
from apps.reconciliation.tests.checks import assert_whole
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, paid, refunded
from apps.reconciliation.tests.test_matching import STRANGER
from apps.refunds.models import Refund, RefundState
from apps.statements.tests.bills import Row, row_of, row_of_refund

pytestmark = pytest.mark.django_db

OPEN, RESOLVED, WAITING = (
    DifferenceState.OPEN,
    DifferenceState.RESOLVED,
    DifferenceState.WAITING,
)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


def one(run: ReconciliationRun, kind: str) -> Difference:
    """The run's only difference of a type."""
    return Difference.objects.get(run=run, type=kind)


def terms(run: ReconciliationRun) -> dict[str, int]:
    assert_whole(run)
    equation = explain(run)
    assert equation is not None
    return {term.name: term.amount_minor for term in equation.terms}


# ---------------------------------------------------------------- accept
def test_an_unknown_payment_is_created_and_posted(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    offer = offer_of(row, "accept", now=NOW)
    assert offer is not None
    assert (offer.refusal, offer.amount_minor, offer.booked_on) == ("", 700, DAY)
    made = do(shop, row, "accept")
    payment = Payment.objects.get()
    assert made.payment_id == payment.pk
    assert (payment.state, payment.source, payment.amount_minor, payment.paid_at) == (
        PaymentState.SUCCEEDED,
        Source.PLATFORM,
        700,
        NOON,
    )
    assert (payment.booked_date, payment.order.state) == (DAY, OrderState.PAID)
    assert balances() == {"receivable": 696, "fees": 4, "sales": -700}
    assert (row.state, made.state) == (RESOLVED, ResolutionState.DONE)
    assert Due.objects.filter(task="reconciliation.run").count() == 1
    again = match(account)
    assert (again.difference_count, again.matched_count) == (0, 1)
    assert terms(again)["sales"] == 700
    assert [each.pk for each in gone_resolutions(again)] == [made.pk]


def test_accepting_is_taken_back_and_done_anew(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    made = do(shop, row, "accept")
    match(account)
    undone = undo(shop, made, row)
    payment = Payment.objects.get()
    assert (payment.state, payment.order.state, payment.booked_date) == (
        PaymentState.CLOSED,
        OrderState.CLOSED,
        None,
    )
    assert balances() == {}
    assert (undone.state, undone.undone_by) == (ResolutionState.UNDONE, shop["finance"])
    # The same row again: now the portal knows its number.
    back = one(match(account), "status")
    # It has another identity, and yet the same story.
    assert back.identity != row.identity
    assert [each.pk for each in history_of(back)] == [made.pk]
    again = do(shop, back, "accept")
    assert [each.pk for each in history_of(back)] == [made.pk, again.pk]
    payment.refresh_from_db()
    assert (payment.state, payment.booked_date) == (PaymentState.SUCCEEDED, DAY)
    kinds = JournalEntry.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["payment", "payment.undone1", "payment.again2"]
    assert balances() == {"receivable": 696, "fees": 4, "sales": -700}
    assert match(account).difference_count == 0


def test_accepting_before_the_next_matching_finds_the_same_payment(
    shop: Shop, account: PlatformAccount
) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    undo(shop, do(shop, row, "accept"), row)
    assert row.state == OPEN
    do(shop, row, "accept")
    assert Payment.objects.get().state == PaymentState.SUCCEEDED


def test_what_began_here_is_believed(shop: Shop, account: PlatformAccount) -> None:
    lost = make_payment(shop, account, now=NOON)
    line = Row(order_no=lost.order_no, trade_no="4200000001", minor=10_000, fee=60, at=NOON)
    assert line.trade_no
    bill(account, [line])
    row = one(match(account), "status")
    made = do(shop, row, "accept")
    lost.refresh_from_db()
    assert (lost.state, lost.platform_trade_no, lost.booked_date) == (
        PaymentState.SUCCEEDED,
        line.trade_no,
        DAY,
    )
    assert made.payment_id == lost.pk
    assert balances() == {"receivable": 9940, "fees": 60, "sales": -10_000}
    assert match(account).difference_count == 0
    undo(shop, made, row)
    assert balances() == {}


def test_a_reversed_payment_is_not_believed(shop: Shop, account: PlatformAccount) -> None:
    lost = paid(shop, account)
    bill(account, [row_of(lost)])
    Payment.objects.filter(pk=lost.pk).update(state=PaymentState.CLOSED, ending_at=NOON)
    row = one(match(account), "status")
    entries = JournalEntry.objects.count()
    with pytest.raises(CannotResolve, match="not_believed"):
        do(shop, row, "accept")
    row.refresh_from_db()
    lost.refresh_from_db()
    assert (row.state, lost.state) == (OPEN, PaymentState.CLOSED)
    assert JournalEntry.objects.count() == entries
    assert Resolution.objects.count() == 0


def test_another_amount_than_ours_is_not_taken_over(shop: Shop, account: PlatformAccount) -> None:
    lost = paid(shop, account)
    bill(account, [row_of(lost).but(minor=9999)])
    Payment.objects.filter(pk=lost.pk).update(state=PaymentState.CLOSED)
    row = one(match(account), "status")
    with pytest.raises(CannotResolve) as refused:
        do(shop, row, "accept")
    assert refused.value.reason == "mismatch"
    assert Resolution.objects.count() == 0


def test_an_unknown_refund_is_created_under_its_payment(
    shop: Shop, account: PlatformAccount
) -> None:
    sold = paid(shop, account)
    back = row_of_refund(refunded(shop, sold, 1000)).but(
        refund_no="X1", platform_refund_no="Y1", minor=2500, fee=-15
    )
    Refund.objects.all().update(state=RefundState.FAILED)
    Payment.objects.update(refund_reserved_minor=0, refunded_minor=0)
    bill(account, [row_of(sold), back])
    row = one(match(account), "unknown_refund")
    made = do(shop, row, "accept")
    refund = Refund.objects.get(source=Source.PLATFORM)
    assert made.refund_id == refund.pk
    assert (refund.payment_id, refund.amount_minor, refund.state) == (sold.pk, 2500, "succeeded")
    sold.refresh_from_db()
    assert (sold.refunded_minor, sold.refund_reserved_minor) == (2500, 2500)
    assert match(account).difference_count == 0
    undo(shop, made, row)
    sold.refresh_from_db()
    refund.refresh_from_db()
    assert (sold.refunded_minor, sold.refund_reserved_minor, refund.state) == (0, 0, "failed")
    # Once more, by the state it has now.
    do(shop, one(match(account), "status"), "accept")
    sold.refresh_from_db()
    assert (sold.refunded_minor, sold.refund_reserved_minor) == (2500, 2500)


def test_a_refund_is_not_taken_over_without_its_payment_or_beyond_it(
    shop: Shop, account: PlatformAccount
) -> None:
    sold = paid(shop, account)
    row = row_of_refund(refunded(shop, sold, 9000))
    nobodys = row.but(order_no="Z", trade_no="Z", refund_no="Z", platform_refund_no="Z")
    bill(account, [row_of(sold), row, row.but(refund_no="X", platform_refund_no="Y"), nobodys])
    rows = {
        each.line.refund_no: each
        for each in Difference.objects.filter(run=match(account), type="unknown_refund")
        if each.line is not None
    }
    before = Refund.objects.count()
    for number, reason in (("X", "over_refund"), ("Z", "no_payment")):
        with pytest.raises(CannotResolve) as refused:
            do(shop, rows[number], "accept")
        assert refused.value.reason == reason
    assert (Refund.objects.count(), Resolution.objects.count()) == (before, 0)
    offer = offer_of(rows["Z"], "accept", now=NOW)
    assert offer is not None
    assert offer.refusal == "no_payment"


def test_a_payment_with_a_refund_is_not_taken_back(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    made = do(shop, row, "accept")
    refunded(shop, Payment.objects.get(), 100)
    with pytest.raises(CannotResolve, match="refunded"):
        undo_resolution(resolution_id=made.pk, member=shop["owner"], actor=ACTOR, now=NOW)
    made.refresh_from_db()
    assert made.state == ResolutionState.DONE
    assert Payment.objects.get().state == PaymentState.SUCCEEDED


@pytest.mark.parametrize("platform_fee", [70, 50])
def test_an_accepted_fee_is_booked_as_a_fee(
    shop: Shop, account: PlatformAccount, platform_fee: int
) -> None:
    may_adjust()
    sold = paid(shop, account)
    bill(account, [row_of(sold).but(fee=platform_fee)])
    row = one(match(account), "fee")
    before = balances()
    made = do(shop, row, "accept")
    more = platform_fee - 60
    assert made.booked_minor == -more
    after = balances()
    assert after["fees"] - before["fees"] == more
    assert after["receivable"] - before["receivable"] == -more
    adjustment = Adjustment.objects.get()
    assert (adjustment.reason, adjustment.booked_date) == (AdjustmentReason.FEE, DAY)
    run = row.run
    assert (terms(run)["adjustments"], terms(run)["differences"]) == (-more, 0)
    again = match(account)
    kept = one(again, "fee")
    assert (kept.state, kept.adjusted_minor, kept.resolution_id) == (RESOLVED, -more, made.pk)
    assert terms(again)["adjustments"] == -more


def test_an_accepted_amount_is_split_into_turnover_and_fee(
    shop: Shop, account: PlatformAccount
) -> None:
    may_adjust()
    sold = paid(shop, account)
    bill(account, [row_of(sold).but(minor=10_100, fee=61)])
    row = one(match(account), "amount")
    before = balances()
    do(shop, row, "accept")
    after = balances()
    moved = {key: after[key] - before[key] for key in after}
    assert moved == {"receivable": 99, "fees": 1, "sales": -100}


# ---------------------------------------------------------------- keep, comment, assign
def test_keeping_moves_nothing(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    run = match(account)
    row = one(run, "missing_here")
    before = (JournalEntry.objects.count(), terms(run))
    made = do(shop, row, "keep", reason="店里的 POS 机")
    assert (JournalEntry.objects.count(), terms(run)) == before
    assert (row.state, row.resolution_id, made.net_gap_minor) == (RESOLVED, made.pk, 696)
    with pytest.raises(CannotResolve, match="settled"):
        do(shop, row, "keep")
    undo(shop, made, row)
    assert (row.state, row.resolution) == (OPEN, None)
    event = AuditEvent.objects.filter(action="difference.keep").get()
    assert event.data["reason"] == "店里的 POS 机"


@pytest.mark.parametrize("kind", ["keep", "adjust", "write_off"])
def test_without_a_reason_nothing_is_settled(
    shop: Shop, account: PlatformAccount, kind: str
) -> None:
    set_write_off_limit(limit=Money(10_000), member=shop["owner"], actor=ACTOR, now=NOW)
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    with pytest.raises(CannotResolve, match="no_reason"):
        do(shop, row, kind, reason="")
    row.refresh_from_db()
    assert (row.state, Resolution.objects.count()) == (OPEN, 0)


def test_a_thread_and_an_owner_outlive_the_next_matching(
    shop: Shop, account: PlatformAccount
) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    comment_difference(
        difference_id=row.pk, text=" 问过店长 ", member=shop["finance"], actor=ACTOR, now=NOW
    )
    assign_difference(
        difference_id=row.pk,
        owner_id=shop["owner"].pk,
        member=shop["finance"],
        actor=ACTOR,
        now=NOW,
    )
    with pytest.raises(CannotResolve, match="no_member"):
        assign_difference(
            difference_id=row.pk,
            owner_id=shop["cashier"].pk,
            member=shop["finance"],
            actor=ACTOR,
            now=NOW,
        )
    again = one(match(account), "missing_here")
    assert (again.assigned_to, again.state) == (shop["owner"], OPEN)
    said = Resolution.objects.order_by("pk").values_list("kind", "reason", "identity")
    assert list(said) == [("comment", "问过店长", row.identity), ("assign", "", row.identity)]


# ---------------------------------------------------------------- adjust, write off
def test_a_correction_waits_and_so_does_its_difference(
    shop: Shop, account: PlatformAccount
) -> None:
    bill(account, [STRANGER])
    run = match(account)
    row = one(run, "missing_here")
    offer = offer_of(row, "adjust", now=NOW)
    assert offer is not None
    assert (offer.waits, offer.amount_minor, offer.booked_on) == (True, 696, DAY)
    made = do(shop, row, "adjust")
    assert (row.state, made.state, row.adjusted_minor) == (WAITING, ResolutionState.WAITING, 0)
    assert open_counts() == []
    assert balances() == {}
    # Matching the day again keeps it waiting.
    again = one(match(account), "missing_here")
    assert (again.state, again.resolution_id) == (WAITING, made.pk)
    decided(shop, made.adjustment)
    again.refresh_from_db()
    made.refresh_from_db()
    assert (again.state, again.adjusted_minor, made.booked_minor) == (RESOLVED, 696, 696)
    assert balances() == {"receivable": 696, "adjustments": -696}
    assert terms(again.run) == {
        "sales": 0,
        "refunds": 0,
        "fees": 0,
        "untold_fees": 0,
        "carry_in": 0,
        "carry_out": 0,
        "adjustments": 696,
        "differences": 0,
    }


def test_a_refused_correction_opens_it_again(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    made = do(shop, row, "adjust")
    decided(shop, made.adjustment, yes=False)
    row.refresh_from_db()
    made.refresh_from_db()
    assert (row.state, row.resolution, made.state) == (OPEN, None, ResolutionState.REFUSED)
    assert balances() == {}
    again = do(shop, row, "adjust")
    assert again.pk != made.pk


def test_a_correction_that_waits_is_withdrawn(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    made = do(shop, row, "adjust")
    undo(shop, made, row)
    assert row.state == OPEN
    assert Adjustment.objects.get().state == "cancelled"


def test_undoing_a_correction_waits_for_the_same_eyes(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    made = do(shop, row, "adjust")
    decided(shop, made.adjustment)
    undo(shop, made, row)
    made.refresh_from_db()
    assert (row.state, made.state) == (RESOLVED, ResolutionState.DONE)
    with pytest.raises(CannotResolve, match="waits"):
        undo(shop, made, row)
    decided(shop, made.undo_adjustment)
    row.refresh_from_db()
    made.refresh_from_db()
    assert (row.state, row.adjusted_minor, made.state) == (OPEN, 0, ResolutionState.UNDONE)
    assert balances() == {}
    assert terms(row.run)["differences"] == 696


def test_a_reversal_in_the_ledger_opens_it_again(shop: Shop, account: PlatformAccount) -> None:
    may_adjust()
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    made = do(shop, row, "adjust", purpose=None)
    reverse_adjustment(
        adjustment_id=made.adjustment_id or 0,
        memo="错了",
        member=shop["owner"],
        actor=ACTOR,
        now=NOW,
    )
    row.refresh_from_db()
    made.refresh_from_db()
    assert (row.state, row.adjusted_minor, made.state) == (OPEN, 0, ResolutionState.UNDONE)
    assert made.undone_by == shop["owner"]


def test_what_changed_needs_another_word_and_keeps_what_was_booked(
    shop: Shop, account: PlatformAccount
) -> None:
    may_adjust()
    sold = paid(shop, account)
    bill(account, [row_of(sold).but(minor=10_100)])
    first = do(shop, one(match(account), "amount"), "adjust")
    assert first.booked_minor == 100
    bill(account, [row_of(sold).but(minor=10_300)])
    run = match(account)
    row = one(run, "amount")
    assert (row.state, row.adjusted_minor, row.rest_minor) == (OPEN, 100, 200)
    assert (terms(run)["adjustments"], terms(run)["differences"]) == (100, 200)
    second = do(shop, row, "adjust")
    first.refresh_from_db()
    assert (first.state, second.booked_minor) == (ResolutionState.SUPERSEDED, 200)
    assert (row.state, row.adjusted_minor) == (RESOLVED, 300)
    assert terms(run)["differences"] == 0


def test_what_was_written_off_and_comes_after_all_is_shown(
    shop: Shop, account: PlatformAccount
) -> None:
    set_write_off_limit(limit=Money(20_000), member=shop["owner"], actor=ACTOR, now=NOW)
    sold = paid(shop, account)
    bill(account, [])
    row = one(match(account), "missing_there")
    made = do(shop, row, "write_off")
    assert made.booked_minor == -9940
    later = NOON + timedelta(days=2)
    bill(account, [row_of(sold).but(at=NOON + timedelta(days=1))], day=DAY + timedelta(days=1))
    match(account, day=DAY + timedelta(days=1), now=later)
    run = match(account, now=later)
    back = one(run, "carry_out")
    assert (back.state, back.adjusted_minor) == (OPEN, -9940)
    assert terms(run)["carry_out"] == 0
    assert terms(run)["adjustments"] == -9940
    undo(shop, made, back, now=later)
    assert terms(run)["carry_out"] == -9940


def test_a_write_off_has_a_limit_and_needs_no_second_person(
    shop: Shop, account: PlatformAccount
) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    with pytest.raises(CannotResolve, match="no_limit"):
        do(shop, row, "write_off")
    set_write_off_limit(limit=Money(695), member=shop["owner"], actor=ACTOR, now=NOW)
    with pytest.raises(CannotResolve, match="above_limit"):
        do(shop, row, "write_off")
    rule = set_write_off_limit(limit=Money(696), member=shop["owner"], actor=ACTOR, now=NOW)
    assert rule.version == 2
    made = do(shop, row, "write_off")
    assert (row.state, made.booked_minor) == (RESOLVED, 696)
    assert Adjustment.objects.get().reason == AdjustmentReason.WRITE_OFF
    assert balances() == {"receivable": 696, "adjustments": -696}
    undo(shop, made, row)
    assert (row.state, balances()) == (OPEN, {})
    with pytest.raises(InvalidAmount):
        set_write_off_limit(limit=Money(10_000_01), member=shop["owner"], actor=ACTOR, now=NOW)


@pytest.mark.parametrize("given", [{"minor": 10_001}, {"fee": 61}])
def test_a_write_off_goes_against_adjustments_whatever_differs(
    shop: Shop, account: PlatformAccount, given: dict[str, int]
) -> None:
    set_write_off_limit(limit=Money(10), member=shop["owner"], actor=ACTOR, now=NOW)
    sold = paid(shop, account)
    before = balances()
    bill(account, [row_of(sold).but(**given)])
    row = one(match(account), "amount" if "minor" in given else "fee")
    made = do(shop, row, "write_off")
    assert balances() == {
        **before,
        "receivable": before["receivable"] + made.booked_minor,
        "adjustments": -made.booked_minor,
    }


@pytest.mark.parametrize("kind", ["accept", "adjust", "write_off"])
def test_of_what_came_from_another_day_only_the_gap_is_booked(
    shop: Shop, account: PlatformAccount, kind: str
) -> None:
    """The row of the next day has another amount: what ours came to is carried, and only the rest is missing."""
    may_adjust()
    set_write_off_limit(limit=Money(10_000), member=shop["owner"], actor=ACTOR, now=NOW)
    sold = paid(shop, account)
    before = balances()["receivable"]
    later, following = NOON + timedelta(days=2), DAY + timedelta(days=1)
    bill(account, [])
    theirs = row_of(sold).but(minor=15_000, fee=90, at=NOON + timedelta(days=1))
    bill(account, [theirs], day=following)
    run = match(account, day=following, now=later)
    first = match(account, now=later)
    row = one(run, "amount")
    assert (row.net_gap_minor, row.carried_minor, row.rest_minor) == (14_910, 9940, 4970)
    assert one(first, "carry_out").net_gap_minor == -9940
    assert (terms(run)["carry_in"], terms(run)["differences"]) == (9940, 4970)
    assert [each.rest_minor for each in open_counts()] == [4970]
    made = do(shop, row, kind, now=later)
    assert made.booked_minor == 4970
    assert balances()["receivable"] - before == 4970
    assert (terms(run)["carry_in"], terms(run)["differences"]) == (9940, 0)
    equation = explain(run)
    assert equation is not None
    assert [term.amount_minor for term in equation.terms] == [
        term.sum_of_rows() for term in equation.terms
    ]
    again = match(account, day=following, now=later)
    assert one(again, "amount").state == RESOLVED


# ---------------------------------------------------------------- link
def test_a_row_is_linked_by_hand(shop: Shop, account: PlatformAccount) -> None:
    sold = paid(shop, account, 700)
    bill(account, [STRANGER])
    run = match(account)
    row, ours = one(run, "missing_here"), one(run, "missing_there")
    made = do(shop, row, "link", payment_id=sold.pk)
    ours.refresh_from_db()
    assert (row.state, ours.state, ours.resolution_id) == (RESOLVED, RESOLVED, made.pk)
    again = match(account)
    assert again.difference_count == 0
    assert Match.objects.get(run=again).rule == "hand"
    terms(again)
    # A new version of the bill has the same row under another id.
    bill(account, [STRANGER, row_of(paid(shop, account, 900))])
    assert match(account).difference_count == 0
    undo(shop, made, row)
    open_again = match(account)
    assert {each.type for each in Difference.objects.filter(run=open_again)} == {
        "missing_here",
        "missing_there",
    }
    terms(open_again)


def test_a_link_across_days_is_carried(shop: Shop, account: PlatformAccount) -> None:
    sold = paid(shop, account, 700)
    next_day = DAY + timedelta(days=1)
    later = NOON + timedelta(days=3)
    bill(account, [], now=later)
    bill(account, [STRANGER.but(at=NOON + timedelta(days=1))], day=next_day, now=later)
    first = match(account, now=later)
    second = match(account, day=next_day, now=later)
    assert one(first, "missing_there").payment_id == sold.pk
    do(shop, one(second, "missing_here"), "link", payment_id=sold.pk, now=later)
    second = match(account, day=next_day, now=later)
    first = match(account, now=later)
    assert (one(first, "carry_out").net_gap_minor, one(second, "carry_in").net_gap_minor) == (
        -696,
        696,
    )
    assert terms(first)["carry_out"] + terms(second)["carry_in"] == 0


def test_only_ours_of_the_same_account_and_kind_is_linked(
    shop: Shop, account: PlatformAccount
) -> None:
    elsewhere = paid(shop, make_account(shop, merchant_no="1900000002"))
    sold = paid(shop, account, 700)
    back = refunded(shop, paid(shop, account, 900), 500)
    bill(account, [STRANGER, STRANGER.but(order_no="POS2", trade_no="43")])
    rows = list(Difference.objects.filter(run=match(account), type="missing_here"))
    wrong: list[dict[str, Any]] = [{"payment_id": elsewhere.pk}, {"refund_id": back.pk}, {}]
    for given in wrong:
        with pytest.raises(CannotResolve, match="no_target"):
            do(shop, rows[0], "link", **given)
    do(shop, rows[0], "link", payment_id=sold.pk)
    with pytest.raises(CannotResolve, match="linked"):
        do(shop, rows[1], "link", payment_id=sold.pk)
    assert Resolution.objects.count() == 1


# ---------------------------------------------------------------- closed days, old runs, kept rows
@pytest.mark.parametrize("kind", ["accept", "keep", "adjust", "write_off"])
def test_after_closing_nothing_is_undone(shop: Shop, account: PlatformAccount, kind: str) -> None:
    may_adjust()
    set_write_off_limit(limit=Money(10_000), member=shop["owner"], actor=ACTOR, now=NOW)
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    made = do(shop, row, kind)
    close_day(row)
    before = (balances(), JournalEntry.objects.count())
    with pytest.raises(CannotResolve) as refused:
        undo(shop, made, row)
    assert (refused.value.reason, refused.value.facts["day"]) == ("closed", DAY)
    made.refresh_from_db()
    row.refresh_from_db()
    assert (made.state, row.state) == (ResolutionState.DONE, RESOLVED)
    assert (balances(), JournalEntry.objects.count()) == before


def test_a_closed_day_books_into_the_next_open_one(shop: Shop, account: PlatformAccount) -> None:
    may_adjust()
    bill(account, [STRANGER, STRANGER.but(order_no="POS2", trade_no="43")])
    first, second = Difference.objects.filter(run=match(account)).order_by("pk")
    close_day(first)
    next_day = DAY + timedelta(days=1)
    offer = offer_of(first, "adjust", now=NOW)
    assert offer is not None
    assert offer.booked_on == next_day
    made = do(shop, first, "adjust")
    assert Adjustment.objects.get().booked_date == next_day
    do(shop, second, "accept")
    assert Payment.objects.get().booked_date == next_day
    # The day of the run is closed, but not the one it was booked on.
    undo(shop, made, first)
    assert first.state == OPEN


def test_an_old_run_settles_nothing(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    match(account)
    with pytest.raises(CannotResolve, match="old_run"):
        do(shop, row, "keep")
    with pytest.raises(CannotResolve, match="kind"):
        do(shop, one(ReconciliationRun.objects.get(is_current=True), "missing_here"), "assign")
    assert Resolution.objects.count() == 0


def test_a_resolution_is_never_edited_or_erased(shop: Shop, account: PlatformAccount) -> None:
    bill(account, [STRANGER])
    row = one(match(account), "missing_here")
    made = do(shop, row, "keep")
    rows = Resolution.objects.filter(pk=made.pk)
    for change in ({"reason": "anders"}, {"net_gap_minor": 0}, {"member": shop["owner"]}):
        with pytest.raises(DatabaseError, match="is kept"), transaction.atomic():
            rows.update(**change)
    with pytest.raises(DatabaseError, match="is kept"), transaction.atomic():
        connection.cursor().execute("DELETE FROM reconciliation_resolution")
    undo(shop, made, row)
    with pytest.raises(DatabaseError, match="is kept"), transaction.atomic():
        rows.update(state="done")
