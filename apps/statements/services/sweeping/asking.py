"""The questions of a sweep put to the platform, at the account's pace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, TypeVar

from apps.core import clock
from apps.platforms.gateway import PlatformGateway
from apps.platforms.services import Caller, gateways_of, pacing
from apps.platforms.services.asking import LATE, Call, Conversation, Talk, Word, talk_all
from apps.platforms.services.pacing import BREAKER, Tally
from apps.statements.services.sweeping.work import Sweep

#: How often one question is asked within a sweep before it counts as unanswered.
TRIES: Final = 3
#: Slots of the account's pace are taken so far ahead.
_AHEAD: Final = timedelta(seconds=10)

R = TypeVar("R")


@dataclass(frozen=True)
class Question(Generic[R]):
    caller: Caller
    call: Call[R]


def _once(call: Call[R]) -> Conversation[R]:
    word = yield call
    return word


def ask(work: Sweep, questions: Sequence[Question[R]]) -> list[Word[R] | None]:
    """The answers to the questions, in their order; None where there is none. "Nothing is known of it" is one too.

    The account's pace is kept and its breaker heard, as by the pollers: a platform that answers nothing is left alone.
    """
    gateways = gateways_of([question.caller for question in questions])
    words: list[Word[R] | None] = [None] * len(questions)
    left = list(range(len(questions)))
    for _try in range(TRIES):
        left = _ask_some(work, questions, gateways, left, words)
        if not left:
            break
    for place, word in enumerate(words):
        if word is not None and not word.missing and word.result is None:
            work.miss(word)
            words[place] = None
    return words


def _ask_some(
    work: Sweep,
    questions: Sequence[Question[R]],
    gateways: Sequence[PlatformGateway],
    wanted: list[int],
    words: list[Word[R] | None],
) -> list[int]:
    """Ask these questions once, as fast as the account's pace allows; those to be asked again."""
    again: list[int] = []
    while wanted:
        if work.is_over:
            work.left_over = True
            return []
        now = clock.now()
        admission = pacing.take({work.account: len(wanted)}, now=now, horizon=_AHEAD)[
            work.account.pk
        ]
        if not admission.calls:
            # The breaker is open; or others hold the account's next turns, and may be let go first.
            work.shut |= admission.reason == BREAKER
            work.left_over |= not work.shut
            return []
        asked, wanted = wanted[: admission.calls], wanted[admission.calls :]
        talks = [
            Talk(
                account_id=work.account.pk,
                gateway=gateways[place],
                conversation=_once(questions[place].call),
                after=(admission.slot(number) - now).total_seconds(),
            )
            for number, place in enumerate(asked)
        ]
        tallies: defaultdict[int, Tally] = defaultdict(Tally)
        for place, word in zip(asked, talk_all(talks, tallies), strict=True):
            if isinstance(word, Word):
                words[place] = word
            elif word.error is not None:
                raise word.error
            else:
                work.left_over |= word.reason == LATE
            if not isinstance(word, Word) or not word.usable:
                again.append(place)
        pacing.report(tallies, now=clock.now())
    return again
