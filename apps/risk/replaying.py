"""Trying a draft on past days before it is switched on: the same counting as for live alerts, beside today's rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time

from apps.risk.counting import Finding, find
from apps.risk.facts import Facts
from apps.risk.rules import RuleKind, Rules


@dataclass(frozen=True, slots=True)
class Replayed:
    """One rule over the past days: what it finds now and would find as drafted, one finding a subject and day."""

    kind: RuleKind
    now: list[Finding]
    draft: list[Finding]

    @property
    def new(self) -> list[Finding]:
        """What only the draft finds."""
        known = {(one.subject, one.day) for one in self.now}
        return [one for one in self.draft if (one.subject, one.day) not in known]

    @property
    def gone(self) -> list[Finding]:
        """What the draft no longer finds."""
        kept = {(one.subject, one.day) for one in self.draft}
        return [one for one in self.now if (one.subject, one.day) not in kept]


def replay(
    facts: Facts, *, today: Rules, draft: Rules, since: date, day_starts_at: time = time(0)
) -> list[Replayed]:
    """Both books over the same facts, rule by rule; two statements, one where they are the same."""
    now = find(facts, today, since=since, day_starts_at=day_starts_at)
    then = now if draft == today else find(facts, draft, since=since, day_starts_at=day_starts_at)
    return [
        Replayed(
            kind,
            [one for one in now if one.rule == kind],
            [one for one in then if one.rule == kind],
        )
        for kind in draft
    ]
