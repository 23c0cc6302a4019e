"""Matching a day's bill with the books in SQL, so that every fen is matched or has a named difference.

The platform's own day decides (00:00 to 24:00 China time for WeChat Pay and Alipay): payments by the time they were paid,
refunds by the time they were accepted. The rows' gaps sum exactly to bill net minus our net.
"""

from __future__ import annotations

from datetime import date, datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit, clock, live
from apps.core.audit import Actor
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import Difference, DifferenceState, ReconciliationRun
from apps.statements.models import FetchState, StatementDay
from apps.statements.selectors import current_statement


class NothingToReconcile(Exception):
    """There is no bill of that day yet. ``message`` is a sentence in the reader's language."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# Each bill row with the payment or refund of ours that it is: by our number first, then by the platform's.
LINK = """
CREATE TEMPORARY TABLE recon_link ON COMMIT DROP AS
WITH linked AS (
    SELECT l.id AS line_id, l.row, l.kind, l.amount_minor, l.fee_minor, l.currency,
           COALESCE(p1.id, p2.id) AS payment_id, NULL::bigint AS refund_id,
           CASE WHEN p1.id IS NOT NULL THEN 'our_number'
                WHEN p2.id IS NOT NULL THEN 'their_number' END AS rule
    FROM statements_statementline l
    LEFT JOIN payments_payment p1
           ON p1.merchant_id = l.merchant_id AND p1.order_no = l.order_no
          AND p1.account_id = %(account)s AND l.order_no <> ''
    LEFT JOIN payments_payment p2
           ON p1.id IS NULL AND p2.merchant_id = l.merchant_id AND p2.account_id = %(account)s
          AND p2.platform_trade_no = l.platform_trade_no AND l.platform_trade_no <> ''
    WHERE l.merchant_id = %(merchant)s AND l.statement_id = %(statement)s AND l.kind = 'payment'
    UNION ALL
    SELECT l.id, l.row, l.kind, l.amount_minor, l.fee_minor, l.currency, NULL,
           COALESCE(r1.id, r2.id),
           CASE WHEN r1.id IS NOT NULL THEN 'our_number'
                WHEN r2.id IS NOT NULL THEN 'their_number' END
    FROM statements_statementline l
    LEFT JOIN refunds_refund r1
           ON r1.merchant_id = l.merchant_id AND r1.refund_no = l.refund_no
          AND r1.account_id = %(account)s AND l.refund_no <> ''
    LEFT JOIN refunds_refund r2
           ON r1.id IS NULL AND r2.merchant_id = l.merchant_id AND r2.account_id = %(account)s
          AND r2.platform_refund_no = l.platform_refund_no AND l.platform_refund_no <> ''
    WHERE l.merchant_id = %(merchant)s AND l.statement_id = %(statement)s AND l.kind = 'refund'
)
SELECT linked.*,
       CASE WHEN payment_id IS NULL AND refund_id IS NULL THEN 1
            ELSE row_number() OVER (PARTITION BY kind, payment_id, refund_id ORDER BY row) END AS nth
FROM linked
"""

# Our rows of the platform's day: succeeded payments by paid_at, refunds the platform accepted by accepted_at.
OURS = """
CREATE TEMPORARY TABLE recon_ours ON COMMIT DROP AS
SELECT 'payment'::text AS kind, p.id AS key, p.id AS payment_id, NULL::bigint AS refund_id, p.order_no AS number,
       p.amount_minor, p.amount_minor AS signed_minor
FROM payments_payment p
WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s AND p.state = 'succeeded'
  AND p.paid_at >= %(from)s AND p.paid_at < %(until)s
UNION ALL
SELECT 'refund', r.id, NULL, r.id, r.refund_no, r.amount_minor, -r.amount_minor
FROM refunds_refund r
WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s
  AND r.state IN ('succeeded', 'processing', 'abnormal')
  AND r.accepted_at >= %(from)s AND r.accepted_at < %(until)s
"""

# One row for every bill row, with what is wrong with it (if anything) and what that adds to the gap.
JUDGE = """
CREATE TEMPORARY TABLE recon_verdict ON COMMIT DROP AS
SELECT k.line_id, k.kind, k.payment_id, k.refund_id, k.rule, k.fee_minor AS their_fee,
       COALESCE(p.fee_minor, -r.fee_minor) AS our_fee,
       CASE k.kind WHEN 'payment' THEN k.amount_minor ELSE -k.amount_minor END AS their_minor,
       CASE k.kind WHEN 'payment' THEN p.amount_minor ELSE -r.amount_minor END AS our_minor,
       (o.number IS NOT NULL) AS same_day,
       COALESCE(p.state, r.state) AS our_state,
       CASE
           WHEN k.payment_id IS NULL AND k.kind = 'payment' THEN 'missing_here'
           WHEN k.refund_id IS NULL AND k.kind = 'refund' THEN 'unknown_refund'
           WHEN k.nth > 1 THEN 'duplicate'
           WHEN k.currency <> COALESCE(p.currency, r.currency) THEN 'currency'
           WHEN k.kind = 'payment' AND p.state <> 'succeeded' THEN 'status'
           WHEN k.kind = 'refund' AND r.state NOT IN ('succeeded', 'processing', 'abnormal') THEN 'status'
           WHEN k.amount_minor <> COALESCE(p.amount_minor, r.amount_minor) THEN 'amount'
           WHEN o.number IS NULL THEN 'late'
       END AS type
FROM recon_link k
LEFT JOIN payments_payment p ON p.merchant_id = %(merchant)s AND p.id = k.payment_id
LEFT JOIN refunds_refund r ON r.merchant_id = %(merchant)s AND r.id = k.refund_id
LEFT JOIN recon_ours o ON o.kind = k.kind AND o.key = COALESCE(k.payment_id, k.refund_id)
"""

MATCHES = """
INSERT INTO reconciliation_match (merchant_id, run_id, line_id, payment_id, refund_id, rule)
SELECT %(merchant)s, %(run)s, line_id, payment_id, refund_id, rule
FROM recon_verdict WHERE rule IS NOT NULL AND (type IS NULL OR type IN ('amount', 'status', 'currency', 'late'))
"""

# What a row adds to (bill − ours): the whole bill row where ours does not count that day, else the difference.
BILL_DIFFERENCES = """
INSERT INTO reconciliation_difference
    (merchant_id, run_id, type, state, line_id, payment_id, refund_id, their_minor, our_minor, gap_minor, detail, note)
SELECT %(merchant)s, %(run)s, type, 'open', line_id, payment_id, refund_id, their_minor,
       CASE WHEN same_day AND type <> 'duplicate' THEN our_minor END,
       their_minor - CASE WHEN same_day AND type <> 'duplicate' THEN our_minor ELSE 0 END,
       jsonb_build_object('our_state', our_state), ''
FROM recon_verdict WHERE type IS NOT NULL
"""

FEE_DIFFERENCES = """
INSERT INTO reconciliation_difference
    (merchant_id, run_id, type, state, line_id, payment_id, refund_id, their_minor, our_minor, gap_minor, detail, note)
SELECT %(merchant)s, %(run)s, 'fee', 'open', line_id, payment_id, refund_id, their_fee, our_fee, 0, '{}', ''
FROM recon_verdict WHERE type IS NULL AND their_fee <> our_fee
"""

# Ours of the day that no row of this bill is: expected in a neighbouring day's bill if one has it, else missing.
OUR_DIFFERENCES = """
INSERT INTO reconciliation_difference
    (merchant_id, run_id, type, state, line_id, payment_id, refund_id, their_minor, our_minor, gap_minor, detail, note)
SELECT %(merchant)s, %(run)s, CASE WHEN elsewhere.day IS NULL THEN 'missing_there' ELSE 'late' END, 'open',
       NULL, o.payment_id, o.refund_id, NULL, o.signed_minor, -o.signed_minor,
       CASE WHEN elsewhere.day IS NULL THEN '{}'::jsonb
            ELSE jsonb_build_object('bill_day', elsewhere.day) END, ''
FROM recon_ours o
LEFT JOIN LATERAL (
    SELECT s.day FROM statements_statementline l
    JOIN statements_statement s ON s.id = l.statement_id AND s.merchant_id = l.merchant_id
    WHERE l.merchant_id = %(merchant)s AND s.account_id = %(account)s AND s.is_current
      AND s.kind = 'trade' AND s.day <> %(day)s AND l.kind = o.kind
      AND CASE o.kind WHEN 'payment' THEN l.order_no = o.number ELSE l.refund_no = o.number END
    LIMIT 1
) elsewhere ON true
WHERE NOT EXISTS (
    SELECT 1 FROM recon_verdict v
    WHERE v.kind = o.kind AND COALESCE(v.payment_id, v.refund_id) = o.key
)
"""

SUMS = """
SELECT
    (SELECT count(*) FROM recon_verdict WHERE type IS NULL),
    (SELECT COALESCE(sum(their_minor), 0) FROM recon_verdict WHERE type IS NULL AND kind = 'payment'),
    (SELECT COALESCE(-sum(their_minor), 0) FROM recon_verdict WHERE type IS NULL AND kind = 'refund'),
    (SELECT COALESCE(sum(their_minor), 0) FROM recon_verdict),
    (SELECT COALESCE(sum(signed_minor), 0) FROM recon_ours),
    (SELECT count(*) FROM reconciliation_difference WHERE merchant_id = %(merchant)s AND run_id = %(run)s)
"""


def _match(run: ReconciliationRun, *, from_at: datetime, until: datetime) -> tuple[int, ...]:
    values = {
        "merchant": run.merchant_id,
        "account": run.account_id,
        "statement": run.statement_id,
        "run": run.pk,
        "day": run.day,
        "from": from_at,
        "until": until,
    }
    with connection.cursor() as cursor:
        for statement in (LINK, OURS):
            cursor.execute(statement, values)
        cursor.execute("ANALYZE recon_link; ANALYZE recon_ours")
        for statement in (JUDGE, MATCHES, BILL_DIFFERENCES, FEE_DIFFERENCES, OUR_DIFFERENCES, SUMS):
            cursor.execute(statement, values)
        sums = cursor.fetchone()
        cursor.execute("DROP TABLE recon_link, recon_ours, recon_verdict")
    assert sums is not None  # noqa: S101  # an aggregate always gives one row
    return tuple(int(value) for value in sums)


def reconcile(
    *, account_id: int, day: date, run_by: User | None, actor: Actor, now: datetime
) -> ReconciliationRun:
    """Match the current trade bill of one account and day; the new run replaces the day's earlier one.

    Raises NothingToReconcile where no bill was imported and the platform has not said that the day was empty.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    statement = current_statement(account_id=account_id, kind=StatementKind.TRADE.value, day=day)
    if (
        statement is None
        and not StatementDay.objects.filter(
            account_id=account_id, kind=StatementKind.TRADE.value, day=day, state=FetchState.EMPTY
        ).exists()
    ):
        raise NothingToReconcile(
            _("There is no bill of %(account)s for %(day)s yet.")
            % {"account": account.label, "day": day}
        )
    from_at, until = clock.business_period(day)
    with transaction.atomic():
        # One run a day at a time: the account's row is the lock.
        PlatformAccount.objects.select_for_update().get(pk=account_id)
        ReconciliationRun.objects.filter(account_id=account_id, day=day, is_current=True).update(
            is_current=False
        )
        run = ReconciliationRun.objects.create(
            account_id=account_id,
            day=day,
            statement=statement,
            started_at=now,
            finished_at=now,
            run_by=run_by,
        )
        matched, payments, refunds, theirs, ours, differences = _match(
            run, from_at=from_at, until=until
        )
        run.matched_count = matched
        run.matched_payment_minor = payments
        run.matched_refund_minor = refunds
        run.their_net_minor = theirs
        run.our_net_minor = ours
        run.difference_count = differences
        run.save()
        audit.record(
            action="run.finished",
            subject_kind="run",
            subject_id=run.pk,
            actor=actor,
            at=now,
            data={
                "account": account.label,
                "day": day.isoformat(),
                "matched": matched,
                "differences": differences,
                "gap_minor": theirs - ours,
            },
        )
        live.publish(kind="run", subject_id=run.pk, store_id=None)
    return run


def resolve_difference(
    *, difference_id: int, note: str, member: User, actor: Actor, now: datetime
) -> Difference:
    """Mark a difference as explained by a person. Raises Difference.DoesNotExist."""
    with transaction.atomic():
        difference = Difference.objects.select_for_update().get(pk=difference_id)
        difference.state = DifferenceState.RESOLVED
        difference.note = note[:300]
        difference.resolved_by = member
        difference.resolved_at = now
        difference.save(update_fields=["state", "note", "resolved_by", "resolved_at"])
        audit.record(
            action="difference.resolved",
            subject_kind="run",
            subject_id=difference.run_id,
            actor=actor,
            at=now,
            data={"difference_id": difference.pk, "type": difference.type, "note": note[:300]},
        )
    return difference


def reopen_difference(*, difference_id: int, actor: Actor, now: datetime) -> Difference:
    """Take a resolution back. Raises Difference.DoesNotExist."""
    with transaction.atomic():
        difference = Difference.objects.select_for_update().get(pk=difference_id)
        difference.state = DifferenceState.OPEN
        difference.resolved_by = None
        difference.resolved_at = None
        difference.save(update_fields=["state", "resolved_by", "resolved_at"])
        audit.record(
            action="difference.reopened",
            subject_kind="run",
            subject_id=difference.run_id,
            actor=actor,
            at=now,
            data={"difference_id": difference.pk, "type": difference.type},
        )
    return difference
