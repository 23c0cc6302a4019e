"""One run of a sweep: a share of the day's questions, and the bill once all are answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.platforms import tables
from apps.platforms.gateway import LineKind, StatementKind
from apps.statements import wording
from apps.statements.models import Statement, StatementDay
from apps.statements.services.importing import forget_answers, import_statement
from apps.statements.services.sweeping.answers import answered, lines_of
from apps.statements.services.sweeping.subjects import (
    ask_payments,
    ask_refunds,
    payment_ids,
    refund_ids,
)
from apps.statements.services.sweeping.work import Sweep

#: Questions loaded at once.
BATCH: Final = 200
#: When a run is followed by the next that could not ask anything: others had the account's turns, or are sweeping the day.
_LATER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one run may ask at most: so many questions, for so many seconds. It may end half a minute later."""

    questions: int = 2_000
    seconds: float = 300


#: Of a worker, well within a task's time, and of a person who waits for the page.
SHARE: Final = Share()
SHARE_BY_HAND: Final = Share(questions=100, seconds=10)


class SweepIncomplete(Exception):
    """Not every question was answered, so nothing was imported. ``kept`` is what ``wording.detail_words`` reads."""

    def __init__(self, kept: str) -> None:
        super().__init__(kept)
        self.kept = kept


class SweepGoesOn(Exception):
    """The share of one run is used up, and its answers are kept. ``again_at`` is when to go on.

    ``answered`` of ``questions`` are told; both are 0 where another worker is at it.
    """

    def __init__(self, *, answered: int, questions: int, again_at: datetime) -> None:
        super().__init__(f"{answered} of {questions}")
        self.answered = answered
        self.questions = questions
        self.again_at = again_at


def sweep(
    *, expected: StatementDay, actor: Actor, now: datetime, share: Share = SHARE
) -> Statement:
    """Ask about the payments and refunds of a day, apply the answers and, once all are there, import them as its bill.

    Where a file of the platform itself is here it stays, since it knows more, and is returned. Never inside a transaction:
    it calls the platform. Raises SweepGoesOn, SweepIncomplete, StatementRefused, encryption.CannotOpen.
    """
    with outbox.turn(task=f"statements.sweep/{expected.pk}", places=1) as mine:
        if not mine:
            raise SweepGoesOn(answered=0, questions=0, again_at=now + _LATER)
        work = Sweep(expected, now, actor, ends_at=time.monotonic() + share.seconds)
        _ask_share(work, share)
        if work.answered < work.questions:
            raise _unfinished(work)
        statement = import_statement(
            account_id=expected.account_id,
            kind=StatementKind.TRADE,
            day=expected.day,
            filename=f"{expected.account.merchant_no}_{expected.day:%Y%m%d}_asked.csv",
            content=tables.write(lines_of(work)),
            uploaded_by=None,
            actor=actor,
            now=now,
            asked=True,
        )
        forget_answers(expected)
        return statement


def _ask_share(work: Sweep, share: Share) -> None:
    """Ask what is not answered yet, as much of it as one run may."""
    left = share.questions
    for kind, ids, ask in (
        (LineKind.PAYMENT, payment_ids(work), ask_payments),
        (LineKind.REFUND, refund_ids(work), ask_refunds),
    ):
        known = answered(work, kind)
        work.questions += len(ids)
        work.answered += len(known.intersection(ids))
        # From where the run before broke off: what brings no answer must not stand in the way of all behind it.
        last = max(known, default=0)
        wanted = sorted(set(ids) - known, key=lambda pk: (pk < last, pk))
        work.left_over |= len(wanted) > left
        for batch in _batches(wanted[:left]):
            if work.is_over:
                work.left_over = True
            if work.is_over or work.shut:
                break
            ask(work, batch)
        left -= min(left, len(wanted))


def _batches(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _unfinished(work: Sweep) -> SweepGoesOn | SweepIncomplete:
    """Whether the rest only needs another run, or something is in its way."""
    if work.left_over and not work.shut and (work.fresh or not work.trouble):
        return SweepGoesOn(
            answered=work.answered,
            questions=work.questions,
            again_at=work.now if work.fresh else clock.now() + _LATER,
        )
    return SweepIncomplete(
        wording.kept_unasked(
            unanswered=work.questions - work.answered,
            questions=work.questions,
            code=work.code,
            said=work.trouble,
        )
    )
