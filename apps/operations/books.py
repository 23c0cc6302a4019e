"""Proof that a merchant's books hold together; the first bad row is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from apps.core import audit
from apps.core.tenancy import current_merchant_id
from apps.ledger.selectors import (
    adjustment_without_entry,
    first_stray_posting,
    first_unbalanced,
    first_without_subject,
    trial_balance_over,
)
from apps.ledger.subjects import subjects


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
        SELECT sum(g.amount_minor) FROM ledger_journalentry e
        JOIN ledger_posting g ON g.merchant_id = e.merchant_id AND g.entry_id = e.id AND g.amount_minor > 0
        WHERE e.merchant_id = p.merchant_id AND e.kind = 'payment'
          AND e.subject_kind = 'payment' AND e.subject_id = p.id) AS booked
    FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.state = 'succeeded'
    UNION ALL
    SELECT 'refund', r.id, r.amount_minor, (
        SELECT sum(g.amount_minor) FROM ledger_journalentry e
        JOIN ledger_posting g ON g.merchant_id = e.merchant_id AND g.entry_id = e.id AND g.amount_minor > 0
        WHERE e.merchant_id = r.merchant_id AND e.kind = 'refund'
          AND e.subject_kind = 'refund' AND e.subject_id = r.id)
    FROM refunds_refund r WHERE r.merchant_id = %(merchant)s AND r.state = 'succeeded'
) facts WHERE booked IS DISTINCT FROM moved ORDER BY kind, id LIMIT 1
"""

STRAY = """
SELECT 'journal entry ' || e.id, e.kind || ' of ' || e.subject_kind || ' ' || e.subject_id || ', which did not happen'
FROM ledger_journalentry e
LEFT JOIN payments_payment p ON e.subject_kind = 'payment' AND p.merchant_id = e.merchant_id
      AND p.id = e.subject_id AND p.state = 'succeeded' AND p.booked_date = e.booked_date
LEFT JOIN refunds_refund r ON e.subject_kind = 'refund' AND r.merchant_id = e.merchant_id
      AND r.id = e.subject_id AND r.state = 'succeeded' AND r.booked_date = e.booked_date
WHERE e.merchant_id = %(merchant)s AND e.kind IN ('payment', 'refund') AND p.id IS NULL AND r.id IS NULL
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
    "refunds add up on their payment": lambda: _first(REFUND_SUMS),
    "what moved is in the journal, once": lambda: _first(UNPOSTED),
    "what is in the journal moved": lambda: _first(STRAY),
    "an order is paid if a payment of it is": lambda: _first(ORDERS),
    "differences explain the gap of their run": lambda: _first(RUNS),
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
