"""Whatever a day holds, the differences sum to bill − books, and every row is in exactly one place."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.merchants.tests.factories import inside, make_shop
from apps.payments.models import Payment, PaymentState
from apps.payments.tests.factories import make_account
from apps.reconciliation.models import Difference
from apps.reconciliation.tests.days import DAY, NOON, bill, match, paid, refunded
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
THINGS = st.lists(st.tuples(FAULTS, st.integers(2, 90_000)), min_size=0, max_size=7)


class TheEquation(TestCase):
    """Each example runs in a transaction of its own."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(things=THINGS)
    def test_sums_to_zero(self, things: list[tuple[str, int]]) -> None:
        shop = make_shop()
        with inside(shop):
            account = make_account(shop)
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

            differences = Difference.objects.filter(run=run)
            gap = differences.aggregate(gap=Sum("gap_minor"))["gap"] or 0
            assert gap == run.their_net_minor - run.our_net_minor
            signed = sum(row.minor if row.kind == "payment" else -row.minor for row in rows)
            assert run.their_net_minor == signed
            # Each bill row is matched or named once; a differing fee is a remark on a matched row.
            named = differences.exclude(type="fee").filter(line__isnull=False)
            assert run.matched_count + named.count() == len(rows)
            assert named.values("line_id").distinct().count() == named.count()
            # Each of ours is matched, or named once: with its row, or as absent.
            ours = differences.exclude(type="fee").filter(our_minor__isnull=False)
            matched_net = run.matched_payment_minor - run.matched_refund_minor
            assert matched_net + sum(row.our_minor or 0 for row in ours) == run.our_net_minor
