"""What is kept back of each account's takings, what that would have had to be, and whether balances suffice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.db.models import Q, Sum

from apps.core import sql
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose
from apps.ledger.selectors import held_on, moved_by_day
from apps.platforms.models import PlatformAccount
from apps.refunds.models import UNDER_WAY, Refund, RefundState
from apps.statements.models import (
    BalanceWatch,
    ReserveMove,
    ReserveTerms,
    SettlementBasis,
)
from apps.statements.reserving import (
    SUGGEST_DAYS,
    USUAL_DAYS,
    PastDay,
    Suggestion,
    Target,
    Weighed,
    suggest,
    target_of,
    usual_of,
)
from apps.statements.selectors.money import AccountMoney, money_of

#: How many moves a page shows.
MOST_MOVES: Final = 60
#: How many days a share would count that is suggested where there are no terms.
KEPT_DAYS: Final = 30


def terms_in_force(account_id: int, *, day: date) -> ReserveTerms | None:
    """What holds on a business day: the highest version that has begun. One query."""
    found: ReserveTerms | None = (
        ReserveTerms.objects.filter(account_id=account_id, effective_from__lte=day)
        .order_by("-version")
        .first()
    )
    return found


def versions_of(account_id: int) -> list[ReserveTerms]:
    """All versions of an account, newest first. One query."""
    return list(
        ReserveTerms.objects.filter(account_id=account_id)
        .select_related("created_by")
        .order_by("-version")
    )


def in_force(versions: Sequence[ReserveTerms], day: date) -> ReserveTerms | None:
    """The same as ``terms_in_force`` of versions at hand, newest first."""
    return next((row for row in versions if row.effective_from <= day), None)


def planned(versions: Sequence[ReserveTerms], day: date) -> list[ReserveTerms]:
    """The versions that will come into force after a day, next first: a higher one takes the place of those it precedes."""
    held = in_force(versions, day)
    found: list[ReserveTerms] = []
    for row in versions:
        if held is not None and row.version < held.version:
            break
        if row.effective_from > day and (
            not found or row.effective_from < found[-1].effective_from
        ):
            found.append(row)
    return found[::-1]


def target_on(terms: ReserveTerms, *, day: date) -> Target:
    """What should be kept at the end of a business day, by what is booked so far. One query."""
    first = day - timedelta(days=terms.days - 1)
    moved = moved_by_day(terms.account_id, first=first, last=day)
    return target_of(
        (one.net for one in moved.values()), share_bp=terms.share_bp, ceiling=terms.ceiling_minor
    )


def past_days(account_id: int, *, last: date, count: int) -> list[PastDay]:
    """The ``count`` booked days up to ``last``, in order, those without any money too. One query."""
    first = last - timedelta(days=count - 1)
    moved = moved_by_day(account_id, first=first, last=last)
    days = (first + timedelta(days=ahead) for ahead in range(count))
    return [
        PastDay(day, moved[day].taken, moved[day].refunded) if day in moved else PastDay(day, 0, 0)
        for day in days
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One account's money for refunds, and how it was weighed."""

    money: AccountMoney
    weighed: Weighed
    #: What came in on an average day of the last four weeks, after refunds and fees.
    daily_net: int


def assess(
    account: PlatformAccount, *, watch: BalanceWatch | None, today: date, calendar_day: date
) -> Assessment:
    """Whether an account's balance suffices. ``today``: the business day; ``calendar_day``: by China's calendar. Nine queries.

    Of an account that the platform empties each day by itself, a low balance is usual: there an early warning must have been
    asked for, by a least amount or by terms of a reserve.
    """
    money = money_of(account, today=calendar_day)
    open_ones = Refund.objects.filter(account=account).aggregate(
        under_way=Sum("amount_minor", filter=Q(state__in=UNDER_WAY)),
        waiting=Sum("amount_minor", filter=Q(state=RefundState.WAITING)),
    )
    queued = Refund.objects.filter(account=account, state=RefundState.QUEUED).count()
    days = past_days(account.pk, last=today - timedelta(days=1), count=USUAL_DAYS)
    terms = terms_in_force(account.pk, day=today)
    least = watch.least_minor if watch is not None else None
    early = (
        money.terms.basis == SettlementBasis.WITHDRAWAL
        or least is not None
        or (terms is not None and terms.share_bp > 0)
    )
    return Assessment(
        money=money,
        weighed=Weighed(
            balance=money.at_platform,
            under_way=open_ones["under_way"] or 0,
            waiting=open_ones["waiting"] or 0,
            queued_count=queued,
            usual=usual_of([one.refunded for one in days]),
            least=least,
            early=early,
        ),
        daily_net=sum(one.taken - one.refunded for one in days) // USUAL_DAYS,
    )


def watch_of(account_id: int) -> BalanceWatch | None:
    """What the merchant wants to be warned of, and how it stood last; None before the first look."""
    found: BalanceWatch | None = BalanceWatch.objects.filter(account_id=account_id).first()
    return found


def low_balances() -> list[BalanceWatch]:
    """The accounts whose balance was low when it was looked at last. One query."""
    return list(
        BalanceWatch.objects.filter(low_since__isnull=False, is_on=True, account__is_active=True)
        .select_related("account")
        .order_by("account_id")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRow:
    """One account of the list: what holds today, what is kept."""

    account: PlatformAccount
    terms: ReserveTerms | None
    kept: int
    watch: BalanceWatch | None


def list_reserves(accounts: Sequence[PlatformAccount], *, today: date) -> list[ReserveRow]:
    """What is kept back of each account. Three queries."""
    by_account: dict[int, list[ReserveTerms]] = {}
    for row in ReserveTerms.objects.order_by("-version"):
        by_account.setdefault(row.account_id, []).append(row)
    watches = {row.account_id: row for row in BalanceWatch.objects.all()}
    kept = dict(sql.every(_KEPT, {"merchant": current_merchant_id()}))
    return [
        ReserveRow(
            account=account,
            terms=in_force(by_account.get(account.pk, []), today),
            kept=kept.get(account.pk, 0),
            watch=watches.get(account.pk),
        )
        for account in accounts
    ]


def moves_of(account_id: int) -> list[ReserveMove]:
    """The latest moves of an account's reserve, newest first. One query."""
    rows = ReserveMove.objects.filter(account_id=account_id).select_related("terms")
    return list(rows.order_by("-day")[:MOST_MOVES])


def suggestion_for(account_id: int, *, today: date, kept_days: int) -> Suggestion:
    """What the last 90 finished business days would have needed. One query."""
    days = past_days(account_id, last=today - timedelta(days=1), count=SUGGEST_DAYS)
    return suggest(days, kept_days=kept_days)


def kept_of(account_id: int) -> int:
    """What the books hold in an account's reserve. One query."""
    return held_on(Purpose.RESERVE, account_id)


_KEPT: Final = """
SELECT a.subject_id, sum(p.amount_minor)::bigint FROM ledger_account a
JOIN ledger_posting p ON p.merchant_id = %(merchant)s AND p.account_id = a.id
WHERE a.merchant_id = %(merchant)s AND a.purpose = 'reserve' GROUP BY 1
"""
_MOVES: Final = """
WITH facts AS (
    SELECT m.id, m.account_id, m.moved_minor, m.booked_date, e.id AS entry, e.booked_date AS entry_booked,
           (SELECT COALESCE(sum(p.amount_minor), 0) FROM ledger_posting p
            JOIN ledger_account a ON a.merchant_id = p.merchant_id AND a.id = p.account_id
            WHERE p.merchant_id = m.merchant_id AND p.entry_id = e.id
              AND a.purpose = 'reserve' AND a.subject_id = m.account_id) AS kept,
           (SELECT COALESCE(sum(p.amount_minor), 0) FROM ledger_posting p
            JOIN ledger_account a ON a.merchant_id = p.merchant_id AND a.id = p.account_id
            WHERE p.merchant_id = m.merchant_id AND p.entry_id = e.id
              AND a.purpose = 'receivable' AND a.subject_id = m.account_id) AS owed
    FROM statements_reservemove m
    LEFT JOIN ledger_journalentry e ON e.merchant_id = m.merchant_id AND e.kind = 'reserve'
          AND e.subject_kind = 'reserve' AND e.subject_id = m.id
    WHERE m.merchant_id = %(merchant)s
)
SELECT id, CASE
    WHEN entry IS NULL THEN 'moved ' || moved_minor || ' fen without an entry'
    WHEN moved_minor = 0 THEN 'moved nothing and has entry ' || entry
    WHEN booked_date IS DISTINCT FROM entry_booked THEN 'says it was booked on ' || booked_date || ', its entry on ' || entry_booked
    ELSE 'moved ' || moved_minor || ' fen, its entry ' || kept END
FROM facts
WHERE (moved_minor = 0) <> (entry IS NULL)
   OR (entry IS NOT NULL AND (kept <> moved_minor OR owed <> -moved_minor OR booked_date IS DISTINCT FROM entry_booked))
ORDER BY id LIMIT 1
"""


def reserve_without_entry() -> str:
    """The first move of a reserve that does not agree with its entry; "" where all do."""
    bad = sql.first(_MOVES, {"merchant": current_merchant_id()})
    return "" if bad is None else f"move {bad[0]} of a reserve, {bad[1]}"
