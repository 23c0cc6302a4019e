"""Proof that a merchant's books hold together; the first bad row is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from apps.core import audit
from apps.core.encryption import CannotOpen
from apps.core.tenancy import current_merchant_id
from apps.ledger.selectors import (
    adjustment_without_entry,
    first_stray_posting,
    first_unbalanced,
    first_without_subject,
    trial_balance_over,
)
from apps.ledger.services import damaged_paper
from apps.ledger.subjects import subjects
from apps.reconciliation.models import DayFile
from apps.reconciliation.services import FileDamaged, verify_file
from apps.statements.selectors.money import money_not_explained, payout_without_money
from apps.statements.selectors.reserve import reserve_without_entry


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant: which, and the first row that breaks it."""

    check: str
    row: str


def _first(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"merchant": current_merchant_id()})
        row = cursor.fetchone()
    return "" if row is None else ", ".join(str(value) for value in row)


REFUND_SUMS = """
SELECT 'payment ' || p.order_no, 'refunded ' || p.refunded_minor || ', its refunds say ' || r.done
FROM payments_payment p JOIN LATERAL (
    SELECT COALESCE(sum(amount_minor) FILTER (WHERE state = 'succeeded'), 0) AS done,
           COALESCE(sum(amount_minor) FILTER (WHERE state NOT IN ('failed', 'rejected', 'cancelled')), 0) AS held
    FROM refunds_refund WHERE merchant_id = p.merchant_id AND payment_id = p.id
) r ON true
WHERE p.merchant_id = %(merchant)s AND (p.refunded_minor <> r.done OR p.refund_reserved_minor <> r.held)
ORDER BY p.id LIMIT 1
"""

UNPOSTED = """
SELECT kind || ' ' || id, 'moved ' || moved || ' fen, the journal holds ' || COALESCE(booked::text, 'nothing')
FROM (
    SELECT 'payment' AS kind, p.id, p.amount_minor AS moved, (
        SELECT sum(CASE WHEN e.kind LIKE '%%.undone%%' THEN -g.amount_minor ELSE g.amount_minor END)
        FROM ledger_journalentry e
        JOIN ledger_posting g ON g.merchant_id = e.merchant_id AND g.entry_id = e.id AND g.amount_minor > 0
        WHERE e.merchant_id = p.merchant_id AND e.subject_kind = 'payment' AND e.subject_id = p.id) AS booked
    FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.state = 'succeeded'
    UNION ALL
    SELECT 'refund', r.id, r.amount_minor, (
        SELECT sum(CASE WHEN e.kind LIKE '%%.undone%%' THEN -g.amount_minor ELSE g.amount_minor END)
        FROM ledger_journalentry e
        JOIN ledger_posting g ON g.merchant_id = e.merchant_id AND g.entry_id = e.id AND g.amount_minor > 0
        WHERE e.merchant_id = r.merchant_id AND e.subject_kind = 'refund' AND e.subject_id = r.id)
    FROM refunds_refund r WHERE r.merchant_id = %(merchant)s AND r.state = 'succeeded'
) facts WHERE booked IS DISTINCT FROM moved ORDER BY kind, id LIMIT 1
"""

# What was taken back has an entry that undoes it; then there is one more of the others only if it happened after all.
STRAY = """
SELECT 'journal entry ' || e.id, e.kind || ' of ' || e.subject_kind || ' ' || e.subject_id || ', which did not happen'
FROM ledger_journalentry e
LEFT JOIN payments_payment p ON e.subject_kind = 'payment' AND p.merchant_id = e.merchant_id AND p.id = e.subject_id
LEFT JOIN refunds_refund r ON e.subject_kind = 'refund' AND r.merchant_id = e.merchant_id AND r.id = e.subject_id
WHERE e.merchant_id = %(merchant)s AND e.subject_kind IN ('payment', 'refund')
  AND (p.state = 'succeeded' AND p.booked_date = e.booked_date) IS NOT TRUE
  AND (r.state = 'succeeded' AND r.booked_date = e.booked_date) IS NOT TRUE
  AND (
    SELECT bool_or(o.kind LIKE '%%.undone%%') AND sum(CASE WHEN o.kind LIKE '%%.undone%%' THEN -1 ELSE 1 END)
           = CASE WHEN COALESCE(p.state, r.state) = 'succeeded' THEN 1 ELSE 0 END
    FROM ledger_journalentry o
    WHERE o.merchant_id = e.merchant_id AND o.subject_kind = e.subject_kind AND o.subject_id = e.subject_id
  ) IS NOT TRUE
ORDER BY e.id LIMIT 1
"""

ORDERS = """
SELECT 'order ' || o.id, 'is ' || o.state || ' with ' || count(p.id) || ' paid payments'
FROM payments_order o
LEFT JOIN payments_payment p ON p.merchant_id = o.merchant_id AND p.order_id = o.id AND p.state = 'succeeded'
WHERE o.merchant_id = %(merchant)s
GROUP BY o.id, o.state HAVING (count(p.id) > 0) <> (o.state = 'paid') ORDER BY o.id LIMIT 1
"""

RUNS = """
SELECT 'reconciliation run ' || r.id, 'gap ' || (r.their_net_minor - r.our_net_minor) || ', its differences say '
       || COALESCE(sum(d.gap_minor), 0)
FROM reconciliation_reconciliationrun r
LEFT JOIN reconciliation_difference d ON d.merchant_id = r.merchant_id AND d.run_id = r.id
WHERE r.merchant_id = %(merchant)s
GROUP BY r.id HAVING COALESCE(sum(d.gap_minor), 0) <> r.their_net_minor - r.our_net_minor
ORDER BY r.id LIMIT 1
"""


CLOSES = """
SELECT 'closing ' || c.day || ' version ' || c.version,
    'kept ' || c.payment_count || ' payments of ' || c.payment_minor || ' fen and ' || c.refund_count || ' refunds of '
    || c.refund_minor || ' fen, the rows say ' || COALESCE(p.rows, 0) || ' of ' || COALESCE(p.minor, 0) || ' and '
    || COALESCE(r.rows, 0) || ' of ' || COALESCE(r.minor, 0) || '; ' || c.entry_count || ' entries of ' || c.debit_minor
    || ' fen, the journal ' || COALESCE(e.rows, 0) || ' of ' || COALESCE(e.debit, 0) || ', fees ' || c.fee_minor || ' and '
    || COALESCE(e.fees, 0)
FROM reconciliation_dayclose c
JOIN ledger_businessday b ON b.merchant_id = c.merchant_id AND b.day = c.day AND b.is_closed AND b.version = c.version
LEFT JOIN (
    SELECT booked_date, count(*) AS rows, sum(amount_minor) AS minor FROM payments_payment
    WHERE merchant_id = %(merchant)s AND state = 'succeeded' GROUP BY booked_date
) p ON p.booked_date = c.day
LEFT JOIN (
    SELECT booked_date, count(*) AS rows, sum(amount_minor) AS minor FROM refunds_refund
    WHERE merchant_id = %(merchant)s AND state = 'succeeded' GROUP BY booked_date
) r ON r.booked_date = c.day
LEFT JOIN (
    SELECT j.booked_date, count(DISTINCT j.id) AS rows, sum(g.amount_minor) FILTER (WHERE g.amount_minor > 0) AS debit,
        sum(g.amount_minor) FILTER (WHERE a.purpose = 'fees') AS fees
    FROM ledger_journalentry j
    JOIN ledger_posting g ON g.merchant_id = j.merchant_id AND g.entry_id = j.id
    JOIN ledger_account a ON a.merchant_id = g.merchant_id AND a.id = g.account_id
    WHERE j.merchant_id = %(merchant)s GROUP BY j.booked_date
) e ON e.booked_date = c.day
WHERE c.merchant_id = %(merchant)s AND (
    (c.payment_count, c.payment_minor) IS DISTINCT FROM (COALESCE(p.rows, 0), COALESCE(p.minor, 0))
    OR (c.refund_count, c.refund_minor) IS DISTINCT FROM (COALESCE(r.rows, 0), COALESCE(r.minor, 0))
    OR (c.entry_count, c.debit_minor) IS DISTINCT FROM (COALESCE(e.rows, 0), COALESCE(e.debit, 0))
    OR c.fee_minor <> COALESCE(e.fees, 0))
ORDER BY c.day LIMIT 1
"""

UNCLOSED = """
SELECT 'business day ' || b.day, 'is closed with version ' || b.version || ', which nobody closed'
FROM ledger_businessday b
LEFT JOIN reconciliation_dayclose c ON c.merchant_id = b.merchant_id AND c.day = b.day AND c.version = b.version
WHERE b.merchant_id = %(merchant)s AND (b.is_closed OR b.version > 0) AND c.id IS NULL ORDER BY b.day LIMIT 1
"""


def _damaged_file() -> str:
    for file in DayFile.objects.order_by("pk").iterator(chunk_size=500):
        try:
            verify_file(file)
        except (CannotOpen, FileDamaged) as error:
            return f"file {file.pk} ({file.filename}), {error}"
    return ""


ADJUSTED = """
SELECT 'difference ' || d.id, 'says that ' || d.adjusted_minor || ' fen were booked for it, its resolutions say ' || s.booked
FROM reconciliation_difference d
JOIN reconciliation_reconciliationrun r ON r.merchant_id = d.merchant_id AND r.id = d.run_id AND r.is_current
JOIN LATERAL (
    SELECT COALESCE(sum(booked_minor), 0) AS booked FROM reconciliation_resolution
    WHERE merchant_id = d.merchant_id AND account_id = r.account_id AND day = r.day AND identity = d.identity
      AND state IN ('done', 'superseded')
) s ON s.booked <> d.adjusted_minor
WHERE d.merchant_id = %(merchant)s ORDER BY d.id LIMIT 1
"""

UNTOLD = """
SELECT 'resolution ' || max(s.id), 'booked ' || sum(s.booked_minor) || ' fen on ' || s.day || ', which the run that counts does not tell'
FROM reconciliation_resolution s
JOIN reconciliation_reconciliationrun r
  ON r.merchant_id = s.merchant_id AND r.account_id = s.account_id AND r.day = s.day AND r.is_current
WHERE s.merchant_id = %(merchant)s AND s.state IN ('done', 'superseded') AND NOT EXISTS (
    SELECT FROM reconciliation_difference d
    WHERE d.merchant_id = s.merchant_id AND d.run_id = r.id AND d.identity = s.identity)
GROUP BY s.account_id, s.day, s.identity HAVING sum(s.booked_minor) <> 0 ORDER BY max(s.id) LIMIT 1
"""

RESOLVED = """
SELECT 'resolution ' || s.id, 'says that ' || s.booked_minor || ' fen were booked, its adjustment says ' || l.booked
FROM reconciliation_resolution s
JOIN ledger_adjustment a ON a.merchant_id = s.merchant_id AND a.id = s.adjustment_id AND a.state = 'posted'
JOIN LATERAL (
    SELECT COALESCE(sum(l.amount_minor), 0) AS booked FROM ledger_adjustmentline l
    JOIN ledger_account c ON c.merchant_id = l.merchant_id AND c.id = l.account_id
    WHERE l.merchant_id = a.merchant_id AND l.adjustment_id = a.id
      AND c.purpose = 'receivable' AND c.subject_id = s.account_id
) l ON l.booked <> s.booked_minor
WHERE s.merchant_id = %(merchant)s ORDER BY s.id LIMIT 1
"""


def _broken_seal() -> str:
    link = next(audit.broken_links(), None)
    return (
        f"audit seal {link.sequence}, rows recorded until {link.to_at.isoformat()}" if link else ""
    )


def _without_subject() -> str:
    return first_without_subject({kind: known.table for kind, known in subjects().items()})


CHECKS: dict[str, Callable[[], str]] = {
    "every journal entry balances": first_unbalanced,
    "the trial balance is zero": trial_balance_over,
    "postings belong to entries and accounts of the merchant": first_stray_posting,
    "entries are about something that is there": _without_subject,
    "adjustments agree with their entries": adjustment_without_entry,
    "papers of adjustments are as they were handed in": damaged_paper,
    "refunds add up on their payment": lambda: _first(REFUND_SUMS),
    "what moved is in the journal, once": lambda: _first(UNPOSTED),
    "what is in the journal moved": lambda: _first(STRAY),
    "an order is paid if a payment of it is": lambda: _first(ORDERS),
    "differences explain the gap of their run": lambda: _first(RUNS),
    "closed days hold what their closing says": lambda: _first(CLOSES),
    "closed days were closed by somebody": lambda: _first(UNCLOSED),
    "files of closed days are as they were written": _damaged_file,
    "differences say what was booked for them": lambda: _first(ADJUSTED),
    "what is booked for a difference is told by its day": lambda: _first(UNTOLD),
    "resolutions say what their adjustments booked": lambda: _first(RESOLVED),
    "payouts agree with their bank lines, settlements and entries": payout_without_money,
    "reserves agree with their entries": reserve_without_entry,
    "where the money is adds up to the receivables": money_not_explained,
    "the audit trail is unchanged since it was sealed": _broken_seal,
}


def verify() -> list[Finding]:
    """All broken invariants of the merchant in scope, each with its first bad row; empty when the books hold."""
    findings = []
    for name, check in CHECKS.items():
        row = check()
        if row:
            findings.append(Finding(name, row))
    return findings
