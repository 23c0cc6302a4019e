"""What must hold of every run, whatever its day holds."""

from __future__ import annotations

from collections import Counter

from apps.payments.models import Payment
from apps.platforms.gateway import LineKind
from apps.reconciliation.models import Difference, Match, ReconciliationRun
from apps.reconciliation.selectors import explain
from apps.reconciliation.selectors.equation import parts
from apps.refunds.models import Refund
from apps.statements.models import StatementLine
from apps.statements.selectors import bill_period

#: ``payment`` or ``refund``, and its id.
Place = tuple[str, int]


def places(run: ReconciliationRun) -> tuple[dict[int, str], dict[Place, str]]:
    """Where each bill row and each of ours ended: ``matched``, or the type of its one difference.

    Raises AssertionError where one stands in two differences.
    """
    lines: dict[int, str] = {}
    ours: dict[Place, str] = {}
    for row in Difference.objects.filter(run=run):
        key = ("refund", row.refund_id) if row.refund_id else ("payment", row.payment_id or 0)
        if row.line_id is not None:
            assert row.line_id not in lines
            lines[row.line_id] = row.type
        if row.our_minor is not None:
            assert key not in ours
            ours[key] = row.type
    for pair in Match.objects.filter(run=run):
        key = ("refund", pair.refund_id) if pair.refund_id else ("payment", pair.payment_id or 0)
        lines.setdefault(pair.line_id, "matched")
        ours.setdefault(key, "matched")
    return lines, ours


def counts(run: ReconciliationRun) -> dict[str, int]:
    """Bill rows, and rows of ours without a bill row, by where they ended."""
    lines, _ours = places(run)
    found = Counter(lines.values())
    found.update(
        Difference.objects.filter(run=run, line__isnull=True).values_list("type", flat=True)
    )
    return dict(found)


def _ours_of_the_day(run: ReconciliationRun, ours: dict[Place, str]) -> dict[Place, str]:
    """The same, by the books: each payment and refund of the platform's day, and none besides."""
    from_at, until = bill_period(run.account.platform, run.day)
    payments = Payment.objects.filter(
        account_id=run.account_id, state="succeeded", paid_at__gte=from_at, paid_at__lt=until
    )
    refunds = Refund.objects.filter(
        account_id=run.account_id,
        state__in=["succeeded", "processing", "abnormal"],
        accepted_at__gte=from_at,
        accepted_at__lt=until,
    )
    keys: list[Place] = [("payment", pk) for pk in payments.values_list("pk", flat=True)]
    keys += [("refund", pk) for pk in refunds.values_list("pk", flat=True)]
    return {key: ours.get(key, "nowhere") for key in keys}


def assert_whole(run: ReconciliationRun, *, latest: bool = True) -> None:
    """Each row ended in one place, and every sum of the run is that of its rows.

    ``latest``: nothing was booked since it ran, so that it also has all of ours.
    """
    lines, ours = places(run)
    kinds = [LineKind.PAYMENT.value, LineKind.REFUND.value]
    bill = StatementLine.objects.filter(statement=run.statement_id or 0, kind__in=kinds)
    assert set(lines) == set(bill.values_list("pk", flat=True))
    assert run.matched_count == sum(place == "matched" for place in lines.values())
    assert run.difference_count == Difference.objects.filter(run=run).count()
    rows = list(Difference.objects.filter(run=run))
    assert sum(row.gap_minor for row in rows) == run.their_net_minor - run.our_net_minor
    for row in rows:
        law = parts(
            their=row.their_minor,
            their_fee=row.their_fee_minor,
            our=row.our_minor,
            our_fee=row.our_fee_minor,
        )
        assert law.gap == row.net_gap_minor, row.type
    equation = explain(run)
    assert equation is not None
    assert equation.rest_minor == 0
    for term in equation.every:
        assert term.amount_minor == term.sum_of_rows(), term.name
    assert equation.platform_net_minor == run.their_net_minor - (run.their_fee_minor or 0)
    if latest:
        assert ours == _ours_of_the_day(run, ours)
