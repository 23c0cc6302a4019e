"""Whatever a day holds and whatever is done about it, the terms sum to the bill, and every row is in exactly one place."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.core.money import Money
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.payments.models import Payment, PaymentState
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import Difference, ReconciliationRun, Resolution
from apps.reconciliation.services import CannotResolve, set_write_off_limit, undo_resolution
from apps.reconciliation.tests import outside
from apps.reconciliation.tests.acts import decided, do, may_adjust
from apps.reconciliation.tests.checks import assert_whole
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, paid, refunded
from apps.refunds.models import Refund, RefundState
from apps.statements.models import StatementLine
from apps.statements.tests.bills import Row, row_of, row_of_refund

#: What may be wrong with one payment of ours or one row of the bill.
FAULTS = st.sampled_from(
    [
        "none", "none", "absent", "amount", "fee", "twice", "twice_wrong", "closed", "late_here", "late_there",
        "stranger", "currency", "refund", "refund_absent", "refund_failed", "refund_twice", "refund_stranger",
        "refund_amount",
    ]
)  # fmt: skip
ACTS = st.sampled_from(
    [
        "accept", "accept", "keep", "adjust", "adjust", "write_off", "link", "undo", "undo", "undo", "match", "confirm",
        "refuse",
    ]
)  # fmt: skip
THINGS = st.lists(st.tuples(FAULTS, st.integers(2, 90_000)), min_size=0, max_size=7)


class TheEquation(TestCase):
    """Each example runs in a transaction of its own."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(things=THINGS, ruled=st.booleans())
    def test_sums_to_zero(self, things: list[tuple[str, int]], ruled: bool) -> None:
        shop = make_shop()
        with inside(shop):
            account = make_account(shop)
            if ruled:
                outside.rule(account)
            rows: list[Row] = []
            next_day: list[Row] = []
            for number, (fault, minor) in enumerate(things):
                at = NOON - timedelta(days=1) if fault == "late_here" else NOON
                payment = paid(shop, account, minor, at=at)
                row = row_of(payment).but(at=NOON)
                if fault.startswith("refund"):
                    back = refunded(shop, payment, minor // 2, at=NOON)
                    again = row_of_refund(back)
                    rows.append(row)
                    if fault == "refund_failed":
                        Refund.objects.filter(pk=back.pk).update(state=RefundState.FAILED)
                    if fault == "refund_stranger":
                        again = again.but(refund_no=f"R{number}", platform_refund_no=f"5{number}")
                    if fault == "refund_amount":
                        again = again.but(minor=again.minor + 1)
                    copies = {"refund_absent": 0, "refund_twice": 2}.get(fault, 1)
                    rows += [again] * copies
                    continue
                if fault == "closed":
                    Payment.objects.filter(pk=payment.pk).update(state=PaymentState.CLOSED)
                if fault == "absent":
                    continue
                if fault == "late_there":
                    next_day.append(row.but(at=NOON + timedelta(days=1)))
                    continue
                if fault == "stranger":
                    row = row.but(order_no=f"POS{number}", trade_no=f"43{number}")
                if fault == "amount":
                    row = row.but(minor=minor + 1)
                if fault == "fee":
                    row = row.but(fee=row.fee + 1)
                rows.append(row)
                if fault == "twice":
                    rows.append(row)
                if fault == "twice_wrong":
                    rows.insert(0, row.but(minor=minor - 1))
            later = NOON + timedelta(days=2)
            bill(account, next_day, day=DAY + timedelta(days=1), now=later)
            statement = bill(account, rows, now=later)
            if any(fault == "currency" for fault, _ in things):
                StatementLine.objects.filter(statement=statement, row=2).update(currency="HKD")
            run = match(account, now=later)

            signed = sum(row.minor if row.kind == "payment" else -row.minor for row in rows)
            assert run.their_net_minor == signed
            assert run.their_fee_minor == sum(row.fee for row in rows)
            assert_whole(run)
            second = match(account, now=later)
            assert_whole(second)
            assert second.outside_count == run.outside_count

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        faults=st.lists(
            st.sampled_from(["absent", "amount", "fee", "twice", "closed", "stranger"]),
            min_size=1,
            max_size=4,
        ),
        acts=st.lists(st.tuples(ACTS, st.integers(0, 50)), min_size=1, max_size=10),
    )
    def test_whatever_is_done_and_undone(
        self, faults: list[str], acts: list[tuple[str, int]]
    ) -> None:
        shop = make_shop()
        with inside(shop):
            account = make_account(shop)
            may_adjust(500)
            set_write_off_limit(limit=Money(5000), member=shop["owner"], actor=ACTOR, now=NOON)
            rows: list[Row] = []
            for number, fault in enumerate(faults):
                payment = paid(shop, account, 700 + 97 * number)
                row = row_of(payment)
                if fault == "absent":
                    continue
                if fault == "closed":
                    Payment.objects.filter(pk=payment.pk).update(
                        state=PaymentState.CLOSED, ending_at=NOON
                    )
                if fault == "stranger":
                    row = row.but(order_no=f"POS{number}", trade_no=f"43{number}")
                if fault == "amount":
                    row = row.but(minor=row.minor + 3)
                if fault == "fee":
                    row = row.but(fee=row.fee + 1)
                rows += [row] * (2 if fault == "twice" else 1)
            later = NOON + timedelta(days=2)
            bill(account, rows, now=later)
            run = match(account, now=later)
            assert_whole(run)
            for act, pick in acts:
                run = _something(shop, account, run, act, pick)
                run.refresh_from_db()
                assert_whole(run, latest=False)
                _assert_states_follow(run)
            assert_whole(match(account, now=later))


def _something(
    shop: Shop, account: PlatformAccount, run: ReconciliationRun, act: str, pick: int
) -> ReconciliationRun:
    """One random act on what is there; what is refused changes nothing. The run that counts then."""
    later = NOON + timedelta(days=2)
    if act == "match":
        return match(account, now=later)
    if act in {"undo", "confirm", "refuse"}:
        every = list(Resolution.objects.order_by("pk"))
        if not every:
            return run
        made = every[pick % len(every)]
        try:
            if act == "undo":
                undo_resolution(
                    resolution_id=made.pk, member=shop["finance"], actor=ACTOR, now=later
                )
            elif made.state == "waiting":
                decided(shop, made.adjustment, yes=act == "confirm")
        except CannotResolve:
            pass
        return run
    rows = list(Difference.objects.filter(run=run).order_by("pk"))
    if rows:
        row = rows[pick % len(rows)]
        given: dict[str, Any] = {}
        if act == "link":
            theirs = [each.payment_id for each in rows if each.type == "missing_there"]
            given = {"payment_id": theirs[0]} if theirs else {}
        with suppress(CannotResolve):
            do(shop, row, act, now=later, **given)
    return run


def _assert_states_follow(run: ReconciliationRun) -> None:
    """A row is settled exactly while something in force settles it, and what is booked is what its resolutions booked."""
    for row in Difference.objects.filter(run=run).select_related("resolution"):
        if row.resolution is not None:
            assert row.resolution.state in {"done", "waiting"}
            assert row.state in {"resolved", "waiting"}
        booked = Resolution.objects.filter(
            identity=row.identity or "", state__in=["done", "superseded"]
        ).values_list("booked_minor", flat=True)
        assert row.adjusted_minor == sum(booked)
