"""Reading the rules for outside money, and what they could be about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from apps.core import sql
from apps.core.tenancy import current_merchant_id
from apps.reconciliation.cells import STORE_CELL, TERMINAL_CELL
from apps.reconciliation.models import (
    DifferenceType,
    HistoryImport,
    OutsideRule,
    ReconciliationRun,
    RuleScope,
)

#: What the portal does not know of.
UNKNOWN: Final = (DifferenceType.MISSING_HERE, DifferenceType.UNKNOWN_REFUND)
#: So many terminals, stores or products are offered.
OFFERED: Final = 20

_NAMED: Final = f"""
SELECT scope, value, count(*), sum(amount_minor)::bigint
FROM (
    SELECT l.amount_minor, {TERMINAL_CELL} AS terminal, {STORE_CELL} AS shop, l.product
    FROM reconciliation_difference d
    JOIN statements_statementline l ON l.merchant_id = %(merchant)s AND l.id = d.line_id
    WHERE d.merchant_id = %(merchant)s AND d.run_id = %(run)s AND d.type IN ('missing_here', 'unknown_refund')
) f
CROSS JOIN LATERAL (VALUES ('terminal', terminal), ('store', shop), ('product', product)) AS named (scope, value)
WHERE value <> ''
GROUP BY scope, value ORDER BY scope, count(*) DESC, value
"""  # noqa: S608  # our own names
_PLACE: Final = f"""
SELECT s.account_id, s.day, {TERMINAL_CELL}, {STORE_CELL}, l.product
FROM statements_statementline l
JOIN statements_statement s ON s.merchant_id = %(merchant)s AND s.id = l.statement_id
WHERE l.merchant_id = %(merchant)s AND l.id = %(line)s
"""  # noqa: S608  # our own names


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A terminal, store number or product that unknown rows of a bill name: how many rows, of how many fen."""

    value: str
    count: int
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a bill row was taken, as the bill names it; "" where it does not."""

    account_id: int
    day: date
    terminal: str
    store: str
    product: str

    @property
    def narrowest(self) -> tuple[RuleScope, str]:
        """The most specific thing that a rule for this row can be about."""
        if self.terminal:
            return RuleScope.TERMINAL, self.terminal
        if self.store:
            return RuleScope.STORE, self.store
        return RuleScope.ACCOUNT, ""


def rules_on(*, account_id: int, day: date) -> list[OutsideRule]:
    """The rules that hold for an account's bill of one day: of several about the same the latest."""
    rows = OutsideRule.objects.filter(
        account_id=account_id, retired_at__isnull=True, valid_from__lte=day
    )
    latest = {(rule.scope, rule.value): rule for rule in rows.order_by("valid_from", "pk")}
    return list(latest.values())


def list_outside_rules() -> list[OutsideRule]:
    """All rules that are not retired, with store and maker: by account, the general ones first, the later ones last."""
    rank = {scope.value: place for place, scope in enumerate(RuleScope)}
    rows = OutsideRule.objects.filter(retired_at__isnull=True).select_related("store", "created_by")
    return sorted(
        rows, key=lambda row: (row.account_id, rank[row.scope], row.value, row.valid_from)
    )


def get_outside_rule(rule_id: int) -> OutsideRule | None:
    """One rule that is not retired, or None."""
    return (
        OutsideRule.objects.select_related("account", "store")
        .filter(pk=rule_id, retired_at__isnull=True)
        .first()
    )


def last_run(account_id: int) -> ReconciliationRun | None:
    """The matching of the account's latest bill."""
    runs = ReconciliationRun.objects.filter(
        account_id=account_id, is_current=True, statement__isnull=False
    )
    return runs.order_by("-day").first()


def named_in(run: ReconciliationRun | None) -> Mapping[RuleScope, list[Named]]:
    """What the unknown rows of a bill name, the most frequent first."""
    found: dict[RuleScope, list[Named]] = {}
    if run is None:
        return found
    rows = sql.every(_NAMED, {"merchant": current_merchant_id(), "run": run.pk})
    for scope, value, count, minor in rows:
        some = found.setdefault(RuleScope(scope), [])
        if len(some) < OFFERED:
            some.append(Named(value=value, count=count, minor=minor))
    return found


def place_of(line_id: int) -> Place | None:
    """Where a bill row was taken, or None for a row that is not there."""
    row = sql.first(_PLACE, {"merchant": current_merchant_id(), "line": line_id})
    if row is None:
        return None
    account_id, day, terminal, store, product = row
    return Place(account_id=account_id, day=day, terminal=terminal, store=store, product=product)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryProgress:
    """How far the import of a period is, in days; the sums are of what is booked from its bills as outside money."""

    row: HistoryImport
    days: int
    imported: int
    empty: int
    #: Asked in vain, or the platform has no such bill.
    failed: int
    matched: int
    outside_rows: int
    open_differences: int

    @property
    def done(self) -> int:
        """Days about which nothing more comes by itself."""
        return min(self.matched, self.imported + self.empty) + self.failed

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes by itself."""
        return self.done >= self.days


_PROGRESS: Final = """
SELECT h.id, h.until - h.since + 1, COALESCE(d.imported, 0), COALESCE(d.empty, 0), COALESCE(d.failed, 0),
       COALESCE(r.matched, 0), COALESCE(r.outside, 0), COALESCE(r.open, 0)
FROM reconciliation_historyimport h
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE e.state = 'imported') AS imported, count(*) FILTER (WHERE e.state = 'empty') AS empty,
           count(*) FILTER (WHERE e.attempts > 0 AND e.state NOT IN ('imported', 'empty') AND NOT EXISTS (
               SELECT FROM core_due q
               WHERE q.merchant_id = e.merchant_id AND q.task = 'statements.fetch' AND q.subject_id = e.id)) AS failed
    FROM statements_statementday e
    WHERE e.merchant_id = h.merchant_id AND e.account_id = h.account_id AND e.kind = 'trade'
      AND e.day BETWEEN h.since AND h.until
) d
CROSS JOIN LATERAL (
    SELECT count(*) AS matched, sum(r.outside_count) AS outside, sum((
        SELECT count(*) FROM reconciliation_difference x
        WHERE x.merchant_id = r.merchant_id AND x.run_id = r.id AND x.state = 'open')) AS open
    FROM reconciliation_reconciliationrun r
    WHERE r.merchant_id = h.merchant_id AND r.account_id = h.account_id AND r.is_current
      AND r.day BETWEEN h.since AND h.until
) r
WHERE h.merchant_id = %(merchant)s
"""


def list_history() -> list[HistoryProgress]:
    """The periods whose bills were asked for, the latest first, with how far they are. Two queries."""
    rows = {row.pk: row for row in HistoryImport.objects.select_related("account", "asked_by")}
    found = []
    for pk, *figures in sql.every(_PROGRESS, {"merchant": current_merchant_id()}):
        days, imported, empty, failed, matched, outside, still_open = map(int, figures)
        found.append(
            HistoryProgress(
                row=rows[pk],
                days=days,
                imported=imported,
                empty=empty,
                failed=failed,
                matched=matched,
                outside_rows=outside,
                open_differences=still_open,
            )
        )
    return sorted(found, key=lambda one: (one.row.asked_at, one.row.pk), reverse=True)
