"""Asking platforms about many things at once, outside every scope and transaction.

A *conversation* is what is said to a platform about one thing: it yields calls, is given the word on each, and returns the
last that counts. It knows nothing of how calls are made, so the same one is held directly or together with many others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.conf import settings

from apps.platforms.gateway import (
    AskedTooOften,
    NotSupported,
    OrderNotFound,
    PaymentRef,
    PaymentResult,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    RefundRef,
    RefundResult,
)
from apps.platforms.registry import polling_session
from apps.platforms.services.pacing import BREAKER, Tally

logger = logging.getLogger(__name__)

R = TypeVar("R")

#: Seconds after which no further conversation is begun: what is not settled when the lease ends is asked about twice.
LATEST: Final = 20.0
#: Why something was not asked about though there was room for it.
LATE: Final = "late"
#: Why something asked about waits longer than usual: the platform does not want to be asked about it so often.
TOO_OFTEN: Final = "too_often"
_ANSWERS: Final = (PlatformUnavailable, PlatformRejected, NotSupported)
#: Codes of a call that never reached the platform, or whose answer never came.
_SILENT: Final = frozenset({"timeout", "network"})


@dataclass(
    frozen=True
)  # without slots, as every generic dataclass here: with them Call[…]() fails on Python 3.11
class Call(Generic[R]):
    """One call, in both manners."""

    direct: Callable[[PlatformGateway], R]
    awaited: Callable[[PlatformGateway], Awaitable[R]]


def query_payment(ref: PaymentRef) -> Call[PaymentResult]:
    """Where a payment stands."""
    return Call(lambda it: it.query_payment(ref), lambda it: it.query_payment_async(ref))


def close_payment(ref: PaymentRef) -> Call[PaymentResult]:
    """Close an unpaid payment. The port has it only as a blocking call, which touches no database."""
    return Call(
        lambda it: it.close_payment(ref), lambda it: asyncio.to_thread(it.close_payment, ref)
    )


def reverse_payment(ref: PaymentRef) -> Call[PaymentResult]:
    """Undo a payment, paid or not; as ``close_payment``."""
    return Call(
        lambda it: it.reverse_payment(ref), lambda it: asyncio.to_thread(it.reverse_payment, ref)
    )


def query_refund(ref: RefundRef) -> Call[RefundResult]:
    """Where a refund stands."""
    return Call(lambda it: it.query_refund(ref), lambda it: it.query_refund_async(ref))


@dataclass(frozen=True, kw_only=True)
class Word(Generic[R]):
    """What a call brought: a result, or why there is none.

    ``trouble`` is in words, for people; ``code`` is the platform's or the port's. ``missing``: the platform knows nothing of
    it, which is an answer and no trouble. ``usable``: the platform answered, be it with a refusal. ``too_often``: it wants to be
    asked about this less often, which says nothing about the account. ``step``: which call of a conversation it came from,
    where there are several.
    """

    result: R | None = None
    trouble: str = ""
    code: str = ""
    missing: bool = False
    usable: bool = True
    too_often: bool = False
    step: str = ""

    @property
    def silent(self) -> bool:
        """Whether nothing came back at all."""
        return self.code in _SILENT and not self.usable

    @property
    def well(self) -> bool:
        """Whether it speaks for the account's platform, however little it says about the thing itself."""
        return self.usable or self.too_often


Conversation = Generator[Call[R], Word[R], Word[R]]


def _word_of(error: Exception) -> Word[Any]:
    match error:
        case OrderNotFound():
            return Word(code=error.code, missing=True)
        case AskedTooOften():
            return Word(trouble=error.message, code=error.code, usable=False, too_often=True)
        case PlatformUnavailable():
            return Word(trouble=error.message, code=error.code, usable=False)
        case PlatformRejected():
            return Word(trouble=str(error), code=error.code)
        case _:
            return Word(trouble=str(error), code="not_supported")


def talk(gateway: PlatformGateway, conversation: Conversation[R], tally: Tally) -> Word[R]:
    """Hold a conversation here and now. What the port does not promise to raise is raised."""
    call = next(conversation)
    while True:
        try:
            word: Word[R] = Word(result=call.direct(gateway))
        except _ANSWERS as error:
            word = _word_of(error)
        tally.hear(usable=word.well, code=word.code)
        try:
            call = conversation.send(word)
        except StopIteration as end:
            last: Word[R] = end.value
            return last


async def _talk(gateway: PlatformGateway, conversation: Conversation[R], tally: Tally) -> Word[R]:
    """As ``talk``, while others talk."""
    call = next(conversation)
    while True:
        try:
            word: Word[R] = Word(result=await call.awaited(gateway))
        except _ANSWERS as error:
            word = _word_of(error)
        tally.hear(usable=word.well, code=word.code)
        try:
            call = conversation.send(word)
        except StopIteration as end:
            last: Word[R] = end.value
            return last


@dataclass(frozen=True, kw_only=True)
class Talk(Generic[R]):
    """One conversation to be held: with whom, and not before so many seconds from now."""

    account_id: int
    gateway: PlatformGateway
    conversation: Conversation[R]
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Unheld:
    """A conversation that was not begun: ``BREAKER`` or ``LATE``. Or, with ``error``, one that broke off by our fault."""

    reason: str
    error: Exception | None = None


def talk_all(
    talks: Sequence[Talk[R]], tallies: defaultdict[int, Tally]
) -> Sequence[Word[R] | Unheld]:
    """Hold many conversations at the same time, within the bounds of the settings; the answers in their order.

    ``tallies`` counts the calls by account. After so many without a usable answer that the breaker would open, an account
    is left alone. Blocks until all are answered or given up.
    """
    if not talks:
        return []
    return asyncio.run(_talk_all(talks, tallies))


async def _talk_all(
    talks: Sequence[Talk[R]], tallies: defaultdict[int, Tally]
) -> list[Word[R] | Unheld]:
    began = time.monotonic()
    together = asyncio.Semaphore(settings.ASKING_AT_ONCE)
    of_account: defaultdict[int, asyncio.Semaphore] = defaultdict(
        lambda: asyncio.Semaphore(settings.ASKING_AT_ONCE_PER_ACCOUNT)
    )

    async def hold(one: Talk[R]) -> Word[R] | Unheld:
        if one.after > 0:
            await asyncio.sleep(one.after)
        # The account's place first: those who wait for it must not stand in the others' way.
        async with of_account[one.account_id], together:
            tally = tallies[one.account_id]
            if tally.hopeless:
                return Unheld(BREAKER)
            if time.monotonic() - began > LATEST:
                return Unheld(LATE)
            try:
                return await _talk(one.gateway, one.conversation, tally)
            except Exception as error:
                # A slip in a connector: it costs this one question, not the round.
                logger.exception("a question to account %s broke off", one.account_id)
                return Unheld("error", error)

    # Blocking calls need as many threads as may be under way; the default would be a few only.
    with ThreadPoolExecutor(settings.ASKING_AT_ONCE, thread_name_prefix="asking") as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        async with polling_session():
            return await asyncio.gather(*(hold(one) for one in talks))
