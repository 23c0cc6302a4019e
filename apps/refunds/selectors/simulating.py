"""What a draft would have said about the refunds of the last days, beside the rules of today; by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.core import sql
from apps.core.rules import Book, compile_case
from apps.core.tenancy import current_merchant_id
from apps.refunds.models import Refund
from apps.refunds.rulefacts import FACTS
from apps.refunds.selectors.refunds import visible_refunds

DAYS: Final = 90
#: So many refunds of each kind of difference are shown.
SHOWN: Final = 20

_COLUMNS: Final = {name: f"d.{name}" for name in FACTS}

_REPLAY: Final = """
SELECT today, draft, count(*), sum(amount)::bigint, count(*) FILTER (WHERE is_rebuilt),
       (array_agg(refund_id ORDER BY decided_at DESC, refund_id DESC))[1:%s]
FROM (SELECT d.refund_id, d.decided_at, d.amount, d.is_rebuilt, {today} AS today, {draft} AS draft
      FROM refunds_refunddecision d
      WHERE d.merchant_id = %s AND d.decided_at >= %s AND d.decided_at < %s OFFSET 0) judged
GROUP BY today, draft ORDER BY today, draft
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Refunds that one rule of today and one rule of the draft decide. ``refund_ids``: the newest of them."""

    today_rule: int
    draft_rule: int
    today: str
    draft: str
    count: int
    sum_minor: int
    rebuilt: int
    refund_ids: tuple[int, ...]

    @property
    def differs(self) -> bool:
        """Whether something else would have followed."""
        return self.today != self.draft


@dataclass(frozen=True, slots=True)
class Sums:
    """How many refunds, of how much together."""

    count: int = 0
    sum_minor: int = 0


@dataclass(frozen=True, slots=True)
class Simulation:
    """What became of the refunds since ``since`` under both books."""

    since: datetime
    until: datetime
    groups: tuple[Group, ...]

    @property
    def count(self) -> int:
        """How many refunds were looked at."""
        return sum(group.count for group in self.groups)

    @property
    def rebuilt(self) -> int:
        """How many of them are from before decisions were kept."""
        return sum(group.rebuilt for group in self.groups)

    @property
    def changed(self) -> list[Group]:
        """Where something else would have followed, the most money first."""
        return sorted(
            (group for group in self.groups if group.differs), key=lambda group: -group.sum_minor
        )

    def sums(self, outcomes: Sequence[str], *, draft: bool) -> Sums:
        """Of the refunds from which one of these outcomes followed, under the draft or today's rules."""
        found = [
            group for group in self.groups if (group.draft if draft else group.today) in outcomes
        ]
        return Sums(sum(group.count for group in found), sum(group.sum_minor for group in found))

    def decided(self, number: int) -> Sums:
        """Of the refunds that this rule of the draft decides."""
        found = [group for group in self.groups if group.draft_rule == number]
        return Sums(sum(group.count for group in found), sum(group.sum_minor for group in found))


def simulate(*, draft: Book, today: Book, now: datetime, days: int = DAYS) -> Simulation:
    """Replay both books over all refunds asked for here in the last ``days``, on what was weighed when they were asked for.

    That is what the live rules would say of the same: whatever a draft had refused, the counts stay as they were.
    """
    since = now - timedelta(days=days)
    today_case, today_values = compile_case(today, _COLUMNS)
    draft_case, draft_values = compile_case(draft, _COLUMNS)
    rows = sql.every(
        _REPLAY.format(today=today_case, draft=draft_case),
        [SHOWN, *today_values, *draft_values, current_merchant_id(), since, now],
    )
    groups = tuple(
        Group(
            old,
            new,
            today.outcome_of(old),
            draft.outcome_of(new),
            count,
            total,
            rebuilt,
            tuple(ids),
        )
        for old, new, count, total, rebuilt, ids in rows
    )
    return Simulation(since, now, groups)


def shown_refunds(groups: Sequence[Group]) -> dict[int, Refund]:
    """The refunds that the groups name, by id; one query."""
    wanted = [refund_id for group in groups for refund_id in group.refund_ids]
    return {refund.pk: refund for refund in visible_refunds().filter(pk__in=wanted)}
