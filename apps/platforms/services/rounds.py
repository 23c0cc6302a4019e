"""Rounds of questions to the platforms: many claimed dues of many merchants, asked about at the same time.

Claims are grouped by merchant. In each merchant's scope the things are loaded and it is decided what to say (``Subject.plan``),
how many calls each account may make (``pacing``), and the gateways are built. Then, outside every scope and transaction,
all are asked (``asking``). Back in each scope the words are applied (``Subject.settle``). How many statements a merchant
costs does not depend on how many things are asked about, but for those that changed.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from apps.core import outbox
from apps.core.outbox import Claim, Ended
from apps.core.tenancy import Scope, enter_scope
from apps.platforms.models import PlatformAccount
from apps.platforms.services import pacing
from apps.platforms.services.asking import (
    TOO_OFTEN,
    Conversation,
    Talk,
    Unheld,
    Word,
    talk,
    talk_all,
)
from apps.platforms.services.gateways import Caller, gateways_of
from apps.platforms.services.pacing import Tally

logger = logging.getLogger(__name__)


class Thing(Protocol):
    """What is asked about: a payment or a refund."""

    #: Loaded once for all things of an account.
    account: Any

    @property
    def pk(self) -> Any:
        """Its id."""

    @property
    def account_id(self) -> Any:
        """The account it was begun with."""


Row = TypeVar("Row", bound=Thing)
Plan = TypeVar("Plan")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to say: never again, or not before ``until``."""

    until: datetime | None = None


@dataclass(frozen=True)
class Heard(Generic[Row, Plan, Result]):
    """What the platform said about one thing, and what it had been asked."""

    row: Row
    plan: Plan
    word: Word[Result]


@dataclass(frozen=True, slots=True)
class Note:
    """What is noted on a thing: what went wrong, in words ("" for nothing), and its ``message`` (None: as it is).

    ``last``: it was asked about for the last time before it is ended.
    """

    trouble: str
    message: str | None
    last: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a thing stands after all was applied: its state, and the time at which it is ended if it has one."""

    state: str
    ends_at: datetime | None = None


class Subject(ABC, Generic[Row, Plan, Result]):
    """A kind of thing that platforms are asked about. All but ``plan`` and ``converse`` run in the merchant's scope."""

    @abstractmethod
    def load(self, ids: Collection[int]) -> Sequence[Row]:
        """The things with these ids, in as many statements whatever their number. ``account`` is filled in later."""

    @abstractmethod
    def plan(self, row: Row, *, now: datetime) -> Plan | Rest:
        """What to say about one of them."""

    @abstractmethod
    def converse(self, row: Row, plan: Plan) -> Conversation[Result]:
        """The conversation that the plan leads to."""

    @abstractmethod
    def caller_of(self, row: Row) -> Caller:
        """Who asks: its account, by the terminal that began the payment."""

    @abstractmethod
    def apply(self, heard: Heard[Row, Plan, Result], *, now: datetime) -> Note:
        """Apply what was said about one of them, in a transaction of its own; what is to be noted on it."""

    @abstractmethod
    def write(self, notes: Mapping[int, Note], *, now: datetime) -> Mapping[int, Standing]:
        """Note on them, by their ids, that they were asked about, in as many statements whatever their number.

        Where they stand now; those that somebody else is just changing may be missing.
        """

    @abstractmethod
    def next_look(
        self,
        heard: Heard[Row, Plan, Result],
        *,
        standing: Standing | None,
        trouble: str,
        now: datetime,
    ) -> datetime | None:
        """When to ask about one of them again; None: never."""

    def settle(
        self, heard: Sequence[Heard[Row, Plan, Result]], *, now: datetime
    ) -> Mapping[int, datetime | Exception | None]:
        """Apply what was said; for each thing, by its id, when to ask again, or why it could not be applied.

        What changes is applied one by one, so that one that cannot be applied costs none of the others.
        """
        notes: dict[int, Note] = {}
        again: dict[int, datetime | Exception | None] = {}
        for one in heard:
            try:
                notes[one.row.pk] = self.apply(one, now=now)
            except Exception as error:
                logger.exception("what a platform said about %s was not applied", one.row.pk)
                again[one.row.pk] = error
        standings = self.write(notes, now=now) if notes else {}
        for one in heard:
            note = notes.get(one.row.pk)
            if note is not None:
                again[one.row.pk] = self.next_look(
                    one, standing=standings.get(one.row.pk), trouble=note.trouble, now=now
                )
        return again

    def ask(self, row: Row, plan: Plan, *, now: datetime) -> Heard[Row, Plan, Result]:
        """Ask about one thing here and now, in its merchant's scope and outside any transaction."""
        tally = Tally()
        (gateway,) = gateways_of([self.caller_of(row)])
        word = talk(gateway, self.converse(row, plan), tally)
        pacing.report({row.account_id: tally}, now=now)
        return Heard(row, plan, word)

    def look(self, row: Row, plan: Plan, *, now: datetime) -> datetime | None:
        """Ask about one thing as ``ask`` does and apply what was said; when to ask again, None: never.

        What kept it from being applied is raised.
        """
        again = self.settle([self.ask(row, plan, now=now)], now=now)[row.pk]
        if isinstance(again, Exception):
            raise again
        return again

    def round(self, claims: Sequence[Claim], *, now: datetime) -> Iterator[Sequence[Ended]]:
        """Ask about all that was claimed; yields what became of the claims, merchant by merchant."""
        by_merchant: defaultdict[int, list[Claim]] = defaultdict(list)
        for claim in claims:
            by_merchant[claim.merchant_id].append(claim)
        prepared: list[_Prepared[Row, Plan, Result]] = []
        for merchant_id, mine in by_merchant.items():
            try:
                with enter_scope(Scope(merchant_id)):
                    ready, ends = self._prepare(mine, now=now)
            except Exception as error:
                # One merchant's trouble must not keep the others waiting.
                logger.exception("a round for merchant %s could not be prepared", merchant_id)
                yield _failed(mine, error, now=now)
                continue
            prepared += ready
            if ends:
                yield ends
        tallies: defaultdict[int, Tally] = defaultdict(Tally)
        words = talk_all([one.talk for one in prepared], tallies)
        said: defaultdict[int, list[tuple[_Prepared[Row, Plan, Result], Word[Result] | Unheld]]]
        said = defaultdict(list)
        for one, word in zip(prepared, words, strict=True):
            said[one.claim.merchant_id].append((one, word))
        for merchant_id, theirs in said.items():
            try:
                with enter_scope(Scope(merchant_id)):
                    ends = self._conclude(theirs, tallies, now=now)
            except Exception as error:
                logger.exception("a round for merchant %s could not be applied", merchant_id)
                ends = _failed([one.claim for one, _word in theirs], error, now=now)
            yield ends

    def _prepare(
        self, claims: Sequence[Claim], *, now: datetime
    ) -> tuple[list[_Prepared[Row, Plan, Result]], list[Ended]]:
        rows = {row.pk: row for row in self.load([claim.subject_id for claim in claims])}
        accounts = PlatformAccount.objects.in_bulk({row.account_id for row in rows.values()})
        ends: list[Ended] = []
        wanted: defaultdict[int, list[tuple[Claim, Row, Plan]]] = defaultdict(list)
        for claim in sorted(claims, key=lambda claim: claim.subject_id):
            row = rows.get(claim.subject_id)
            plan = Rest() if row is None else self.plan(row, now=now)
            if row is None or isinstance(plan, Rest):
                until = plan.until if isinstance(plan, Rest) else None
                ends.append(Ended(claim=claim, next_at=until))
                continue
            row.account = accounts[row.account_id]
            wanted[row.account_id].append((claim, row, plan))
        admissions = pacing.take(
            {accounts[pk]: len(several) for pk, several in wanted.items()}, now=now
        )
        ready: list[_Prepared[Row, Plan, Result]] = []
        for account_id, several in wanted.items():
            admission = admissions[account_id]
            for number, (claim, _row, _plan) in enumerate(several[admission.calls :]):
                again_at = admission.put_off(admission.calls + number)
                ends.append(Ended(claim=claim, next_at=again_at, reason=admission.reason))
            now_asked = several[: admission.calls]
            try:
                gateways = gateways_of([self.caller_of(row) for _claim, row, _plan in now_asked])
            except Exception as error:
                # Keys that do not open: the other accounts go on.
                logger.exception("no gateway for account %s", account_id)
                ends += _failed([claim for claim, _row, _plan in now_asked], error, now=now)
                continue
            for number, ((claim, row, plan), gateway) in enumerate(
                zip(now_asked, gateways, strict=True)
            ):
                held = Talk(
                    account_id=account_id,
                    gateway=gateway,
                    conversation=self.converse(row, plan),
                    after=(admission.slot(number) - now).total_seconds(),
                )
                ready.append(_Prepared(claim, row, plan, held))
        return ready, ends

    def _conclude(
        self,
        said: Sequence[tuple[_Prepared[Row, Plan, Result], Word[Result] | Unheld]],
        tallies: Mapping[int, Tally],
        *,
        now: datetime,
    ) -> list[Ended]:
        heard = [
            Heard(one.row, one.plan, word) for one, word in said if not isinstance(word, Unheld)
        ]
        settled = self.settle(heard, now=now)
        ends: list[Ended] = []
        for one, word in said:
            again = word.error if isinstance(word, Unheld) else settled[one.row.pk]
            if isinstance(again, Exception):
                ends += _failed([one.claim], again, now=now)
            elif isinstance(word, Unheld):
                # Once more in the next round, which knows whether the breaker is open.
                ends.append(Ended(claim=one.claim, next_at=now, reason=word.reason))
            else:
                reason = TOO_OFTEN if word.too_often else ""
                ends.append(Ended(claim=one.claim, next_at=again, reason=reason))
        pacing.report(
            {pk: tallies[pk] for pk in {one.row.account_id for one, _word in said}}, now=now
        )
        return ends


@dataclass(frozen=True)
class _Prepared(Generic[Row, Plan, Result]):
    """A claim with all that is needed to ask about it."""

    claim: Claim
    row: Row
    plan: Plan
    talk: Talk[Result]


def _failed(claims: Sequence[Claim], error: Exception, *, now: datetime) -> list[Ended]:
    # The kind of the error only: dues stand outside the wall.
    return [outbox.failed(claim, now=now, error=type(error).__name__) for claim in claims]
