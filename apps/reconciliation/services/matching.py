"""Matching a day's bill with the books in SQL, so that every fen is matched or has a named difference.

The platform's own day decides (``statements.selectors.bill_period``: UnionPay's runs from 23:00 to 23:00): payments by the
time they were paid, refunds by the time they were accepted. The rows' gaps sum exactly to bill net minus our net.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit, live, outbox
from apps.core.audit import Actor
from apps.platforms.gateway import Platform, StatementKind
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors.agreements import fee_book
from apps.reconciliation import carrying
from apps.reconciliation.models import (
    AccountRule,
    ReconciliationRun,
    Resolution,
    ResolutionKind,
    ResolutionState,
)
from apps.reconciliation.services import judging_sql as judging
from apps.reconciliation.services import matching_sql as linking
from apps.reconciliation.services.automatic import apply_rules
from apps.reconciliation.services.mornings import look_again
from apps.reconciliation.services.outside import book_loose_rows, forget_booked
from apps.reconciliation.services.resolving.lapsing import end_lapsed
from apps.statements.models import FetchState, StatementDay
from apps.statements.selectors import bill_day_starts, bill_period, current_statement

#: From so many rows on it is cheaper to read a period's payments once than to look each of them up.
_MANY_ROWS = 10_000
_TABLES = (
    "recon_pair, recon_loose, recon_open, recon_found, recon_many, recon_odd, recon_verdict, recon_elsewhere,"
    " recon_difference"
)


class NothingToReconcile(Exception):
    """There is no bill of that day yet. ``message`` is a sentence in the reader's language."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class _Outcome:
    rows: int
    #: Matched rows that began at the platform.
    outside: int
    matched_payments: int
    matched_refunds: int
    their_net: int
    their_fees: int
    untold: int
    sales: int
    refunds: int
    fees: int
    differences: int
    #: Bill rows with a difference.
    differing: int


def _next_is_here(run: ReconciliationRun) -> bool:
    """Whether the next day's bill was seen, or the platform said that there is none."""
    return StatementDay.objects.filter(
        account_id=run.account_id,
        kind=StatementKind.TRADE.value,
        day=run.day + timedelta(days=1),
        state__in=[FetchState.IMPORTED, FetchState.EMPTY],
    ).exists()


def _values(
    run: ReconciliationRun, account: PlatformAccount, *, earlier_id: int | None, now: datetime
) -> dict[str, Any]:
    platform = Platform(account.platform)
    habits = carrying.RULES[platform]
    allowed = AccountRule.objects.filter(account_id=account.pk).first() or AccountRule()
    from_at, until = bill_period(platform, run.day)
    waiting = carrying.phase(
        habits,
        next_ends=until + timedelta(days=1),
        next_is_here=_next_is_here(run),
        now=now,
    )
    return {
        "merchant": run.merchant_id,
        "account": run.account_id,
        "statement": run.statement_id,
        "run": run.pk,
        "earlier": earlier_id,
        "day": run.day,
        "from": from_at,
        "until": until,
        "booked_from": run.day - timedelta(days=2),
        "booked_until": run.day + timedelta(days=2),
        "day_starts": bill_day_starts(platform).total_seconds(),
        "payments_slip": until - habits.payments_slip,
        "refunds_slip": until - habits.refunds_slip,
        "phase": waiting.type.value,
        "phase_ends": waiting.due_at,
        "seconds": allowed.fallback_minutes * 60,
        **fee_book(account).values(),
        "rounding": allowed.fee_rounding or habits.rounding.value,
        "tolerance": allowed.fee_tolerance_minor,
        "by_hand": Resolution.objects.filter(
            account_id=account.pk, kind=ResolutionKind.LINK, state=ResolutionState.DONE
        ).exists(),
        "corrected": Resolution.objects.filter(
            Q(state=ResolutionState.WAITING)
            | (
                Q(state__in=[ResolutionState.DONE, ResolutionState.SUPERSEDED]) & ~Q(booked_minor=0)
            ),
            account_id=account.pk,
            day=run.day,
        ).exists(),
        "now": now,
    }


def _take_outside(
    cursor: Any, values: dict[str, Any], account: PlatformAccount, *, actor: Actor
) -> list[int]:
    """Book the rows left over that a rule calls outside money, and link them; the StatementDays that wait for them."""
    cursor.execute("SELECT EXISTS (SELECT FROM recon_loose)")
    if not cursor.fetchone()[0]:
        return []
    rows = "recon_loose"
    if values["corrected"]:
        # What a correction has taken over, or is about to, must not be booked as well.
        cursor.execute(linking.FREE, values)
        rows = "recon_free"
    made, waiting = book_loose_rows(
        account=account, day=values["day"], rows=rows, actor=actor, now=values["now"]
    )
    if values["corrected"]:
        cursor.execute("DROP TABLE recon_free")
        if not made.count and not made.left:
            forget_booked()
    if made.count or made.left:
        cursor.execute(linking.LINK_BOOKED, values)
        cursor.execute(linking.LINKED)
        # The other rows of a number, and what another transaction booked meanwhile.
        if not made.left.keys().isdisjoint({"twice", "known"}):
            cursor.execute("ANALYZE recon_loose")
            cursor.execute(linking.LINK_REST, values)
            cursor.execute(linking.LINKED)
        forget_booked()
    return waiting


def _link(cursor: Any, values: dict[str, Any], *, rows: int) -> None:
    """Find what belongs together: ``recon_pair``, and ``recon_open`` for what of ours is left."""
    # A bill that was stored a moment ago is not in the planner's statistics, so it is told what it cannot know.
    cursor.execute(
        "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off;"
        f" SET LOCAL enable_nestloop = {'off' if rows > _MANY_ROWS else 'on'}"
    )
    cursor.execute(linking.LINK, values)
    cursor.execute("SET LOCAL enable_nestloop = on; ANALYZE recon_pair")
    cursor.execute(linking.LOOSE, values)
    cursor.execute("ANALYZE recon_loose")
    cursor.execute(linking.LINK_REST, values)
    cursor.execute(linking.LINKED)
    if values["by_hand"]:
        cursor.execute(linking.BY_HAND, values)
        cursor.execute(linking.LINKED)
    # Nor are payments that were booked a moment ago.
    cursor.execute(f"SET LOCAL enable_nestloop = {'off' if rows > _MANY_ROWS else 'on'}")
    cursor.execute(linking.OPEN, values)
    cursor.execute("SET LOCAL enable_nestloop = on; ANALYZE recon_loose; ANALYZE recon_open")
    cursor.execute(linking.BARE_REFUNDS, values)
    cursor.execute(linking.TAKE_FOUND)
    cursor.execute(linking.TAKEN)
    sums = [linking.REFUND_SUMS]
    if values["seconds"]:
        sums.append(linking.FALLBACK)
    for statement in sums:
        cursor.execute("DELETE FROM recon_found")
        cursor.execute(statement, values)
        cursor.execute(linking.TAKE_FOUND)
        cursor.execute(linking.TAKEN)


def _match(
    values: dict[str, Any], account: PlatformAccount, *, rows: int, actor: Actor
) -> tuple[_Outcome, datetime | None, list[int]]:
    """Fill the run; what it comes to, when waiting for a row ends by itself, and the StatementDays to be matched again."""
    with connection.cursor() as cursor:
        _link(cursor, values, rows=rows)
        waiting = _take_outside(cursor, values, account, actor=actor)
        for statement, made in (
            (linking.MANY, ""),
            (linking.PARTS, ""),
            (linking.EXTRAS, ""),
            (judging.MATCHES, ""),
            (judging.ODD, "recon_odd"),
            (judging.JUDGE, "recon_verdict"),
            (judging.TWICE, ""),
            (judging.WRONG_ACCOUNT, ""),
            (judging.ELSEWHERE, "recon_elsewhere"),
            *([(judging.ELSEWHERE_BY_HAND, "")] if values["by_hand"] else []),
            (judging.DIFFERENCES, "recon_difference"),
            (judging.OVERBOOKED, ""),
            (judging.STORE, ""),
        ):
            cursor.execute(statement, values)
            if made:
                cursor.execute(f"ANALYZE {made}")
        cursor.execute(judging.NEIGHBOURS, values)
        neighbours = sorted({*waiting, *(int(row[0]) for row in cursor.fetchall())})
        cursor.execute(judging.SUMS, values)
        sums = cursor.fetchone()
        cursor.execute(f"DROP TABLE {_TABLES}")
    assert sums is not None  # noqa: S101  # aggregates always give one row
    return _Outcome(*map(int, sums[:-1])), sums[-1], neighbours


def _nothing(account: PlatformAccount, day: date) -> NothingToReconcile:
    return NothingToReconcile(
        _("There is no bill of %(account)s for %(day)s yet.")
        % {"account": account.label, "day": day}
    )


def _ask_again(
    run: ReconciliationRun,
    expected: StatementDay,
    *,
    neighbours: list[int],
    due_at: datetime | None,
    now: datetime,
) -> None:
    """Have the days matched again that this run has news for, and this one when its waiting ends."""
    again = [(day_id, now) for day_id in neighbours]
    if due_at is not None:
        again.append((expected.pk, due_at))
    for day_id, at in again:
        outbox.enqueue(
            task="reconciliation.run",
            merchant_id=run.merchant_id,
            subject_id=day_id,
            due_at=at,
        )


def reconcile(
    *, account_id: int, day: date, run_by: User | None, actor: Actor, now: datetime
) -> ReconciliationRun:
    """Match the current trade bill of one account and day; the new run replaces the day's earlier one.

    What was done about differences that are still there is kept; then the merchant's rules settle what they fit. Raises NothingToReconcile where no bill was imported and
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
        outcome, due_at, neighbours = _match(
            _values(run, account, earlier_id=earlier.pk if earlier else None, now=now),
            account,
            actor=actor,
            rows=statement.payment_count + statement.refund_count if statement else 0,
        )
        run.matched_count = outcome.rows - outcome.differing
        run.outside_count = outcome.outside
        run.matched_payment_minor = outcome.matched_payments
        run.matched_refund_minor = outcome.matched_refunds
        run.their_net_minor = outcome.their_net
        run.our_net_minor = outcome.sales - outcome.refunds
        run.their_fee_minor = outcome.their_fees
        run.sales_minor = outcome.sales
        run.refunds_minor = outcome.refunds
        run.fees_minor = outcome.fees
        run.untold_fee_minor = outcome.untold
        run.difference_count = outcome.differences
        run.save()
        end_lapsed(run, actor=actor, now=now)
        _ask_again(run, expected, neighbours=neighbours, due_at=due_at, now=now)
        audit.record(
            action="run.finished",
            subject_kind="run",
            subject_id=run.pk,
            actor=actor,
            at=now,
            data={
                "account": account.label,
                "day": day.isoformat(),
                "matched": run.matched_count,
                "outside": outcome.outside,
                "differences": outcome.differences,
                "gap_minor": run.their_net_minor - run.our_net_minor,
            },
        )
        apply_rules(run, now=now)
        live.publish(kind="run", subject_id=run.pk, store_id=None)
        look_again(day=day, now=now)
    return run
