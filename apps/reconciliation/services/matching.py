"""Matching a day's bill with the books in SQL, so that every fen is matched or has a named difference.

The platform's own day decides (``statements.selectors.bill_period``: UnionPay's runs from 23:00 to 23:00): payments by the
time they were paid, refunds by the time they were accepted. The rows' gaps sum exactly to bill net minus our net.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit, live, outbox
from apps.core.audit import Actor
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import ReconciliationRun
from apps.reconciliation.services.matching_sql import (
    BILL_DIFFERENCES,
    CARRY_OVER,
    FEE_DIFFERENCES,
    JUDGE,
    LINK,
    MATCHES,
    NEIGHBOURS,
    OUR_DIFFERENCES,
    OURS,
    SUMS,
    TWICE,
)
from apps.statements.models import FetchState, StatementDay
from apps.statements.selectors import bill_day_starts, bill_period, current_statement


class NothingToReconcile(Exception):
    """There is no bill of that day yet. ``message`` is a sentence in the reader's language."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class _Outcome:
    matched: int
    payments: int
    refunds: int
    theirs: int
    ours: int
    differences: int
    #: StatementDays to be matched again.
    neighbours: tuple[int, ...]


def _match(run: ReconciliationRun, *, platform: str, earlier_id: int | None) -> _Outcome:
    from_at, until = bill_period(platform, run.day)
    values = {
        "merchant": run.merchant_id,
        "account": run.account_id,
        "statement": run.statement_id,
        "run": run.pk,
        "earlier": earlier_id,
        "day": run.day,
        "from": from_at,
        "until": until,
        "day_starts": bill_day_starts(platform).total_seconds(),
    }
    with connection.cursor() as cursor:
        for statement in (LINK, OURS):
            cursor.execute(statement, values)
        cursor.execute("ANALYZE recon_link; ANALYZE recon_ours")
        steps = (JUDGE, TWICE, MATCHES, BILL_DIFFERENCES, FEE_DIFFERENCES, OUR_DIFFERENCES)
        for statement in steps:
            cursor.execute(statement, values)
        if earlier_id is not None:
            cursor.execute(CARRY_OVER, values)
        cursor.execute(NEIGHBOURS, values)
        neighbours = tuple(int(row[0]) for row in cursor.fetchall())
        cursor.execute(SUMS, values)
        sums = cursor.fetchone()
        cursor.execute("DROP TABLE recon_link, recon_ours, recon_verdict")
    assert sums is not None  # noqa: S101  # an aggregate always gives one row
    matched, payments, refunds, theirs, ours, differences = (int(value) for value in sums)
    return _Outcome(matched, payments, refunds, theirs, ours, differences, neighbours)


def _nothing(account: PlatformAccount, day: date) -> NothingToReconcile:
    return NothingToReconcile(
        _("There is no bill of %(account)s for %(day)s yet.")
        % {"account": account.label, "day": day}
    )


def reconcile(
    *, account_id: int, day: date, run_by: User | None, actor: Actor, now: datetime
) -> ReconciliationRun:
    """Match the current trade bill of one account and day; the new run replaces the day's earlier one.

    What people said of differences that are still there is kept. Raises NothingToReconcile where no bill was imported and
    the platform has not said that the day was empty, PlatformAccount.DoesNotExist.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    with transaction.atomic():
        # One run a day at a time, and no import meanwhile: both hold the day's row.
        expected = (
            StatementDay.objects.select_for_update()
            .filter(account_id=account_id, kind=StatementKind.TRADE.value, day=day)
            .first()
        )
        statement = current_statement(
            account_id=account_id, kind=StatementKind.TRADE.value, day=day
        )
        if expected is None or (statement is None and expected.state != FetchState.EMPTY):
            raise _nothing(account, day)
        # Whatever asked for this until now gets it.
        outbox.forget(
            task="reconciliation.run", merchant_id=account.merchant_id, subject_id=expected.pk
        )
        runs = ReconciliationRun.objects.filter(account_id=account_id, day=day)
        earlier = runs.filter(is_current=True).first()
        runs.filter(is_current=True).update(is_current=False)
        run = ReconciliationRun.objects.create(
            account_id=account_id,
            day=day,
            statement=statement,
            started_at=now,
            finished_at=now,
            run_by=run_by,
        )
        outcome = _match(run, platform=account.platform, earlier_id=earlier.pk if earlier else None)
        run.matched_count = outcome.matched
        run.matched_payment_minor = outcome.payments
        run.matched_refund_minor = outcome.refunds
        run.their_net_minor = outcome.theirs
        run.our_net_minor = outcome.ours
        run.difference_count = outcome.differences
        run.save()
        for day_id in outcome.neighbours:
            outbox.enqueue(
                task="reconciliation.run",
                merchant_id=run.merchant_id,
                subject_id=day_id,
                due_at=now,
            )
        audit.record(
            action="run.finished",
            subject_kind="run",
            subject_id=run.pk,
            actor=actor,
            at=now,
            data={
                "account": account.label,
                "day": day.isoformat(),
                "matched": outcome.matched,
                "differences": outcome.differences,
                "gap_minor": outcome.theirs - outcome.ours,
            },
        )
        live.publish(kind="run", subject_id=run.pk, store_id=None)
    return run
