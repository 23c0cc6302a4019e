"""One act on many differences, piece by piece: each piece is a transaction, and what is left goes on after an interruption."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core import audit, live, outbox
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose
from apps.reconciliation.models import (
    AutoRule,
    BulkAct,
    BulkRow,
    Difference,
    ResolutionKind,
    ResolutionState,
)
from apps.reconciliation.selectors.offers import CHOICES
from apps.reconciliation.services.resolving.acts import (
    Act,
    assign_difference,
    current_id,
    resolve_difference,
)
from apps.reconciliation.services.resolving.refusal import CannotResolve

#: Rows that are done at once, before the person sees a page; the rest is a worker's.
AT_ONCE: Final = 50
#: Rows a transaction: each by its service, or all by one set of statements.
PIECE: Final = 100
LARGE_PIECE: Final = 5000

_CHOOSE = """
INSERT INTO reconciliation_bulkrow (merchant_id, bulk_id, difference_id, outcome)
SELECT %s, %s, chosen.id, '' FROM ({rows}) chosen ORDER BY chosen.id
"""

# Keeping ours moves nothing, so a piece of any size takes the same five statements.
_HOLD_DAYS = """
SELECT FROM statements_statementday s
WHERE s.merchant_id = %(merchant)s AND s.kind = 'trade' AND (s.account_id, s.day) IN (
    SELECT r.account_id, r.day
    FROM (SELECT difference_id FROM reconciliation_bulkrow
          WHERE merchant_id = %(merchant)s AND bulk_id = %(bulk)s AND outcome = '' ORDER BY id LIMIT %(size)s) b
    JOIN reconciliation_difference d ON d.merchant_id = %(merchant)s AND d.id = b.difference_id
    JOIN reconciliation_reconciliationrun r ON r.merchant_id = %(merchant)s AND r.id = d.run_id)
ORDER BY s.id FOR SHARE
"""
# Each row with what it is in the run that counts now: a day may have been matched again since it was chosen.
_FIND = """
CREATE TEMPORARY TABLE bulk_chosen ON COMMIT DROP AS
SELECT b.id AS row_id, o.id AS was_id, r.account_id, r.day, CASE WHEN r.is_current THEN o.id ELSE n.id END AS id
FROM (SELECT id, difference_id FROM reconciliation_bulkrow
      WHERE merchant_id = %(merchant)s AND bulk_id = %(bulk)s AND outcome = '' ORDER BY id LIMIT %(size)s) b
JOIN reconciliation_difference o ON o.merchant_id = %(merchant)s AND o.id = b.difference_id
JOIN reconciliation_reconciliationrun r ON r.merchant_id = %(merchant)s AND r.id = o.run_id
LEFT JOIN reconciliation_reconciliationrun c
       ON c.merchant_id = %(merchant)s AND c.account_id = r.account_id AND c.day = r.day AND c.is_current AND NOT r.is_current
LEFT JOIN reconciliation_difference n
       ON n.merchant_id = %(merchant)s AND n.run_id = c.id AND n.identity = o.identity
"""
# What is read after this is not changed by anybody until the end of the transaction.
_LOCK = """
SELECT FROM reconciliation_difference
WHERE merchant_id = %(merchant)s AND id IN (SELECT id FROM bulk_chosen) ORDER BY id FOR UPDATE
"""
_TAKE = """
CREATE TEMPORARY TABLE bulk_piece ON COMMIT DROP AS
SELECT b.row_id, d.id, d.identity, d.type, d.their_minor, d.our_minor, d.gap_minor, d.net_gap_minor, b.account_id, b.day,
       e.id AS earlier_id,
       CASE WHEN d.id IS NULL THEN 'gone'
            WHEN d.identity IS NULL THEN 'old_run'
            WHEN (o.type, o.gap_minor, o.net_gap_minor, o.their_minor, o.our_minor)
                 IS DISTINCT FROM (d.type, d.gap_minor, d.net_gap_minor, d.their_minor, d.our_minor) THEN 'changed'
            WHEN d.state <> 'open' OR row_number() OVER (PARTITION BY d.id ORDER BY b.row_id) > 1 THEN 'settled'
            WHEN d.type <> ALL(%(types)s) THEN 'kind' WHEN e.state = 'waiting' THEN 'waits' ELSE 'done' END AS outcome
FROM bulk_chosen b
JOIN reconciliation_difference o ON o.merchant_id = %(merchant)s AND o.id = b.was_id
LEFT JOIN reconciliation_difference d ON d.merchant_id = %(merchant)s AND d.id = b.id
LEFT JOIN reconciliation_resolution e
       ON e.merchant_id = %(merchant)s AND e.account_id = b.account_id AND e.day = b.day AND e.identity = d.identity
      AND e.kind IN ('accept', 'keep', 'adjust', 'link', 'write_off') AND e.state IN ('waiting', 'done')
"""
_SUPERSEDE = """
UPDATE reconciliation_resolution e SET state = 'superseded'
FROM bulk_piece p WHERE e.merchant_id = %(merchant)s AND e.id = p.earlier_id AND p.outcome = 'done'
"""
_KEEP = """
INSERT INTO reconciliation_resolution
    (merchant_id, account_id, day, identity, difference_id, kind, state, type, their_minor, our_minor, gap_minor,
     net_gap_minor, booked_minor, reason, member_id, rule_id, bulk_id, at)
SELECT %(merchant)s, account_id, day, identity, id, 'keep', 'done', type, their_minor, our_minor, gap_minor, net_gap_minor, 0,
       %(reason)s, %(member)s, %(rule)s, %(bulk)s, %(now)s
FROM bulk_piece WHERE outcome = 'done'
"""
_SHOW = """
UPDATE reconciliation_difference d SET state = 'resolved', resolution_id = s.id
FROM bulk_piece p
JOIN reconciliation_resolution s ON s.merchant_id = %(merchant)s AND s.bulk_id = %(bulk)s AND s.difference_id = p.id
WHERE d.merchant_id = %(merchant)s AND d.id = p.id AND p.outcome = 'done'
"""
_TELL = """
UPDATE reconciliation_bulkrow b SET outcome = p.outcome FROM bulk_piece p WHERE b.merchant_id = %(merchant)s AND b.id = p.row_id
"""


def start_bulk(
    *,
    rows: QuerySet[Difference],
    act: Act,
    member: User | None,
    actor: Actor,
    now: datetime,
    owner_id: int | None = None,
    rule: AutoRule | None = None,
) -> BulkAct:
    """Do one thing about all these differences; the first rows at once, the rest by a worker.

    Each row is done by the service of its kind or tells why not. ``owner_id``: of ``ASSIGN``, None for nobody. What the
    merchant's rule asks for has no member. Nothing chosen makes an act of no rows.
    """
    with transaction.atomic():
        bulk: BulkAct = BulkAct.objects.create(
            kind=act.kind,
            reason=act.reason[:1000],
            purpose=act.purpose or "",
            store_id=act.store_id,
            assignee_id=owner_id,
            rule=rule,
            requested_by=member,
            created_at=now,
        )
        chosen, values = rows.order_by().values("id").query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(_CHOOSE.format(rows=chosen), [current_merchant_id(), bulk.pk, *values])
            bulk.total = cursor.rowcount
        bulk.save(update_fields=["total"])
        audit.record(
            action="differences.chosen",
            subject_kind="bulk",
            subject_id=bulk.pk,
            actor=actor,
            at=now,
            data={
                "kind": bulk.kind,
                "count": bulk.total,
                "reason": bulk.reason[:300],
                "rule": rule.number if rule else None,
            },
        )
    continue_bulk(bulk_id=bulk.pk, actor=actor, now=now, size=None if rule else AT_ONCE)
    bulk.refresh_from_db()
    if bulk.finished_at is None:
        outbox.enqueue(
            task="reconciliation.bulk",
            merchant_id=bulk.merchant_id,
            subject_id=bulk.pk,
            due_at=now,
        )
    return bulk


def continue_bulk(*, bulk_id: int, actor: Actor, now: datetime, size: int | None = None) -> BulkAct:
    """Do the next piece of it, in one transaction; ``finished_at`` says whether any is left. Raises BulkAct.DoesNotExist."""
    with transaction.atomic():
        bulk: BulkAct = BulkAct.objects.select_for_update(of=("self",)).get(pk=bulk_id)
        if bulk.finished_at is not None:
            return bulk
        if bulk.kind == ResolutionKind.KEEP:
            done, failed = _keep(bulk, actor=actor, now=now, size=size or LARGE_PIECE)
        else:
            done, failed = _one_by_one(bulk, actor=actor, now=now, size=size or PIECE)
        bulk.done += done
        bulk.failed += failed
        if not BulkRow.objects.filter(bulk=bulk, outcome="").exists():
            bulk.finished_at = now
        bulk.save(update_fields=["done", "failed", "finished_at"])
        live.publish(kind="bulk", subject_id=bulk.pk, store_id=None)
    return bulk


@transaction.atomic
def cancel_bulk(*, bulk_id: int, actor: Actor, now: datetime) -> BulkAct:
    """Do no more of it; what is done stays and can be undone one by one. Raises BulkAct.DoesNotExist."""
    bulk: BulkAct = BulkAct.objects.select_for_update(of=("self",)).get(pk=bulk_id)
    if bulk.finished_at is None:
        bulk.finished_at = bulk.cancelled_at = now
        bulk.save(update_fields=["finished_at", "cancelled_at"])
        BulkRow.objects.filter(bulk=bulk, outcome="").update(outcome="cancelled")
        outbox.forget(task="reconciliation.bulk", merchant_id=bulk.merchant_id, subject_id=bulk.pk)
        audit.record(
            action="differences.stopped",
            subject_kind="bulk",
            subject_id=bulk.pk,
            actor=actor,
            at=now,
            data={"done": bulk.done, "failed": bulk.failed, "total": bulk.total},
        )
    return bulk


def _keep(bulk: BulkAct, *, actor: Actor, now: datetime, size: int) -> tuple[int, int]:
    """A piece of keeping ours, set-based; how many were done, and how many not."""
    values: dict[str, Any] = {
        "merchant": bulk.merchant_id,
        "bulk": bulk.pk,
        "size": size,
        "types": types_for(ResolutionKind.KEEP),
        "reason": bulk.reason,
        "member": bulk.requested_by_id,
        "rule": bulk.rule_id,
        "now": now,
    }
    with connection.cursor() as cursor:
        for statement in (_HOLD_DAYS, _FIND, _LOCK, _TAKE, _SUPERSEDE, _KEEP):
            cursor.execute(statement, values)
        done = cursor.rowcount
        cursor.execute(_SHOW, values)
        cursor.execute(_TELL, values)
        told = cursor.rowcount
        cursor.execute("DROP TABLE bulk_piece, bulk_chosen")
    if done:
        audit.record(
            action="differences.kept",
            subject_kind="bulk",
            subject_id=bulk.pk,
            actor=actor,
            at=now,
            data={"count": done, "reason": bulk.reason[:300]},
        )
    return done, told - done


def types_for(kind: str) -> list[str]:
    """The types of difference that an act of this kind may settle."""
    return [str(each) for each, kinds in CHOICES.items() if kind in kinds]


def _one_by_one(bulk: BulkAct, *, actor: Actor, now: datetime, size: int) -> tuple[int, int]:
    rows = list(BulkRow.objects.filter(bulk=bulk, outcome="").order_by("pk")[:size])
    act = Act(
        kind=ResolutionKind(bulk.kind),
        reason=bulk.reason,
        purpose=Purpose(bulk.purpose) if bulk.purpose else None,
        store_id=bulk.store_id,
    )
    done = 0
    for row in rows:
        row.outcome = _do(bulk, row, replace(act), actor=actor, now=now)
        done += row.outcome in {ResolutionState.DONE, ResolutionState.WAITING}
    BulkRow.objects.bulk_update(rows, ["outcome"])
    return done, len(rows) - done


def _do(bulk: BulkAct, row: BulkRow, act: Act, *, actor: Actor, now: datetime) -> str:
    """One row in a savepoint of its own; its outcome."""
    try:
        with transaction.atomic():
            difference_id = current_id(row.difference_id, alone=act.kind == ResolutionKind.ACCEPT)
            if act.kind == ResolutionKind.ASSIGN and bulk.requested_by is not None:
                made = assign_difference(
                    difference_id=difference_id,
                    owner_id=bulk.assignee_id,
                    member=bulk.requested_by,
                    actor=actor,
                    now=now,
                    bulk=bulk,
                )
            else:
                made = resolve_difference(
                    difference_id=difference_id,
                    act=act,
                    member=bulk.requested_by,
                    actor=actor,
                    now=now,
                    rule=bulk.rule,
                    bulk=bulk,
                )
    except CannotResolve as error:
        return error.reason
    return str(made.state)


def chosen_rows(ids: Collection[int]) -> QuerySet[Difference]:
    """The differences with these ids, for ``start_bulk``."""
    return Difference.objects.filter(pk__in=ids)
