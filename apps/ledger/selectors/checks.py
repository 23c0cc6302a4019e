"""What must hold of the books, each asked so that the first bad row is named; "" where all is well."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Count, Q, Sum

from apps.core import sql
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import JournalEntry
from apps.ledger.selectors.balances import Period, period_balances

_SUM = """
SELECT currency, sum(amount_minor)::bigint FROM ledger_posting
WHERE merchant_id = %(merchant)s GROUP BY currency HAVING sum(amount_minor) <> 0 ORDER BY currency LIMIT 1
"""
_STRAY = """
SELECT p.id, p.entry_id, p.account_id, e.id IS NULL
FROM ledger_posting p
LEFT JOIN ledger_journalentry e ON e.merchant_id = p.merchant_id AND e.id = p.entry_id
LEFT JOIN ledger_account a ON a.merchant_id = p.merchant_id AND a.id = p.account_id
WHERE p.merchant_id = %(merchant)s AND (e.id IS NULL OR a.id IS NULL) ORDER BY p.id LIMIT 1
"""
# Lines and postings are compared as sums by account: what an adjustment says is what its entry moved.
_ADJUSTMENTS = """
WITH facts AS (
    SELECT a.id, a.state, a.entry_id, a.amount_minor, a.booked_date, e.id AS found, e.booked_date AS entry_booked,
        (SELECT jsonb_object_agg(account_id, total) FROM (
            SELECT account_id, sum(amount_minor) AS total FROM ledger_adjustmentline
            WHERE merchant_id = a.merchant_id AND adjustment_id = a.id GROUP BY account_id) s) AS asked,
        (SELECT jsonb_object_agg(account_id, total) FROM (
            SELECT account_id, sum(amount_minor) AS total FROM ledger_posting
            WHERE merchant_id = a.merchant_id AND entry_id = e.id GROUP BY account_id) s) AS moved,
        (SELECT COALESCE(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0) FROM ledger_adjustmentline
         WHERE merchant_id = a.merchant_id AND adjustment_id = a.id) AS debits
    FROM ledger_adjustment a
    LEFT JOIN ledger_journalentry e ON e.merchant_id = a.merchant_id AND e.kind = 'adjustment'
          AND e.subject_kind = 'adjustment' AND e.subject_id = a.id
    WHERE a.merchant_id = %(merchant)s
)
SELECT id, CASE
    WHEN state = 'posted' AND found IS NULL THEN 'is posted without an entry'
    WHEN state <> 'posted' AND found IS NOT NULL THEN 'is ' || state || ' and has entry ' || found
    WHEN entry_id IS DISTINCT FROM found THEN 'names entry ' || entry_id || ' instead of ' || found
    WHEN booked_date IS DISTINCT FROM entry_booked THEN 'says it was booked on ' || booked_date || ', its entry on ' || entry_booked
    WHEN debits <> amount_minor THEN 'says ' || amount_minor || ' fen, its lines ' || debits
    ELSE 'has other lines than its entry ' || found END
FROM facts
WHERE (state = 'posted') <> (found IS NOT NULL) OR entry_id IS DISTINCT FROM found
   OR (found IS NOT NULL AND (booked_date IS DISTINCT FROM entry_booked OR asked IS DISTINCT FROM moved))
   OR debits <> amount_minor
ORDER BY id LIMIT 1
"""
_KINDS = "SELECT DISTINCT subject_kind FROM ledger_journalentry WHERE merchant_id = %(merchant)s ORDER BY 1"
_OF_KIND = """
SELECT e.id, e.subject_id FROM ledger_journalentry e
LEFT JOIN {table} s ON s.merchant_id = e.merchant_id AND s.id = e.subject_id
WHERE e.merchant_id = %(merchant)s AND e.subject_kind = %(kind)s AND s.id IS NULL ORDER BY e.id LIMIT 1
"""
_FIRST_OF = """
SELECT id FROM ledger_journalentry WHERE merchant_id = %(merchant)s AND subject_kind = %(kind)s ORDER BY id LIMIT 1
"""


def first_unbalanced() -> str:
    """The first entry whose postings do not balance, in words with the fen over; "" unless something went badly wrong."""
    totals = JournalEntry.objects.annotate(
        sides=Count("postings"), total=Sum("postings__amount_minor")
    )
    bad = totals.filter(Q(sides__lt=2) | ~Q(total=0)).order_by("pk").first()
    return "" if bad is None else f"journal entry {bad.pk}, {bad.total or 0} fen over"


def trial_balance_over() -> str:
    """Whether all postings sum to zero, and the trial balance that people see is made of all of them."""
    bad = sql.first(_SUM, {"merchant": current_merchant_id()})
    if bad is not None:
        return f"all postings in {bad[0]}, {bad[1]} fen over"
    shown = period_balances(Period())
    return "" if shown.holds else f"the trial balance, {shown.closing} fen over"


def first_stray_posting() -> str:
    """The first posting whose entry or account is not this merchant's."""
    bad = sql.first(_STRAY, {"merchant": current_merchant_id()})
    if bad is None:
        return ""
    pk, entry, account, no_entry = bad
    what = f"entry {entry}" if no_entry else f"account {account}"
    return f"posting {pk}, its {what} is not this merchant's"


def adjustment_without_entry() -> str:
    """The first adjustment that does not agree with its entry."""
    bad = sql.first(_ADJUSTMENTS, {"merchant": current_merchant_id()})
    return "" if bad is None else f"adjustment {bad[0]}, {bad[1]}"


def first_without_subject(tables: Mapping[str, str]) -> str:
    """The first entry of something that is not there. ``tables``: the table of each kind of subject that is known."""
    merchant = current_merchant_id()
    for (kind,) in sql.every(_KINDS, {"merchant": merchant}):
        values = {"merchant": merchant, "kind": kind}
        if kind not in tables:
            row = sql.first(_FIRST_OF, values)
            return f"journal entry {row[0] if row else ''}, nobody knows the kind {kind!r}"
        bad = sql.first(_OF_KIND.format(table=tables[kind]), values)
        if bad is not None:
            return f"journal entry {bad[0]}, there is no {kind} {bad[1]}"
    return ""
