"""The arithmetic of reserves and of balances that run dry. Free of the database; all amounts are whole fen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

#: A whole, in basis points: the share is counted in hundredths of a percent.
WHOLE_BP: Final = 10_000
#: How many days of refunds a suggestion looks at, and how many tell what is usual.
SUGGEST_DAYS: Final = 90
USUAL_DAYS: Final = 28
USUAL_PERCENT: Final = 95
#: Suggestions are rounded up to whole hundreds of yuan.
_ROUND: Final = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """What the share was taken of, and what should be kept."""

    counted: int
    minor: int


def target_of(nets: Iterable[int], *, share_bp: int, ceiling: int | None) -> Target:
    """What is kept of the days' net takings: each day's share rounded down, days below zero give none, the ceiling caps."""
    counted = kept = 0
    for net in nets:
        if net > 0:
            counted += net
            kept += net * share_bp // WHOLE_BP
    return Target(counted, kept if ceiling is None else min(kept, ceiling))


@dataclass(frozen=True, slots=True)
class PastDay:
    """One day of an account: what came in and what was refunded."""

    day: date
    taken: int
    refunded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What would have been needed over some past days, with what it is made of.

    ``run_…``: the run of days over which refunds exceeded takings by most; None where they never did. ``minor``: the larger of
    that and the most that was refunded on one day, rounded up. ``share_bp``: which share of ``counted`` that is, rounded up.
    """

    most_refunded: int
    most_day: date | None
    run_minor: int
    run_first: date | None
    run_last: date | None
    run_taken: int
    run_refunded: int
    refunded: int
    refund_days: int
    needed: int
    minor: int
    counted: int
    share_bp: int | None


def suggest(days: Sequence[PastDay], *, kept_days: int) -> Suggestion:
    """What these days (in order, without gaps) would have needed; ``kept_days`` are those that a share would count."""
    worst = max(days, key=lambda one: one.refunded, default=None)
    best, best_from, best_to = 0, 0, -1
    current, start = 0, 0
    # The largest sum of refunds less takings over neighbouring days: one that has fallen to nothing begins anew.
    for place, one in enumerate(days):
        if current <= 0:
            current, start = 0, place
        current += one.refunded - one.taken
        if current > best:
            best, best_from, best_to = current, start, place
    run = days[best_from : best_to + 1]
    most = worst.refunded if worst is not None else 0
    needed = max(most, best)
    minor = -(-needed // _ROUND) * _ROUND
    counted = sum(max(0, one.taken - one.refunded) for one in days[-kept_days:])
    share = -(-minor * WHOLE_BP // counted) if counted and minor else None
    return Suggestion(
        most_refunded=most,
        most_day=worst.day if worst is not None and most else None,
        run_minor=best,
        run_first=run[0].day if run else None,
        run_last=run[-1].day if run else None,
        run_taken=sum(one.taken for one in run),
        run_refunded=sum(one.refunded for one in run),
        refunded=sum(one.refunded for one in days),
        refund_days=sum(one.refunded > 0 for one in days),
        needed=needed,
        minor=minor,
        counted=counted,
        share_bp=share if share is not None and share <= WHOLE_BP else None,
    )


def usual_of(refunds: Sequence[int]) -> int:
    """What 95 of 100 days stay within: the nearest rank, days without refunds counted in; 0 without any day."""
    if not refunds:
        return 0
    rank = -(-len(refunds) * USUAL_PERCENT // 100)
    return sorted(refunds)[rank - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Whether a balance suffices. ``expected`` = ``balance`` − ``under_way``; ``need`` = the larger of ``usual`` and ``least``, and
    ``waiting`` besides. ``early``: a warning comes before a refund has failed for want of money.
    """

    balance: int
    under_way: int
    waiting: int
    queued_count: int
    usual: int
    least: int | None
    early: bool

    @property
    def expected(self) -> int:
        """What will be there once the refunds on their way have gone."""
        return self.balance - self.under_way

    @property
    def need(self) -> int:
        """What ought to be there."""
        return max(self.usual, self.least or 0) + self.waiting

    @property
    def missing(self) -> int:
        """How much too little there is; 0 where there is enough."""
        return max(0, self.need - self.expected)

    @property
    def is_low(self) -> bool:
        """Whether it should be told."""
        return self.queued_count > 0 or (self.early and self.missing > 0)
