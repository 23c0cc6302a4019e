"""Many conversations at once: within bounds, in order, and none spoils another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from typing import Any

import pytest
from pytest_django import Settings
from typing_extensions import override

from apps.platforms.gateway import (
    OrderNotFound,
    Outcome,
    PaymentRef,
    PaymentResult,
    PlatformRejected,
    PlatformUnavailable,
)
from apps.platforms.services.asking import (
    Conversation,
    Talk,
    Unheld,
    Word,
    close_payment,
    query_payment,
    talk,
    talk_all,
)
from apps.platforms.services.pacing import BREAKER, THRESHOLD, Tally
from apps.platforms.tests.fakes import HAPPENED_AT, FakeGateway


class SlowGateway(FakeGateway):
    """Takes its time, and knows how many ask at once. Numbers that begin with a word of trouble are in trouble."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = 0
        self.most_under_way = 0
        self._lock = threading.Lock()

    def _begin(self) -> None:
        with self._lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)

    def _end(self, ref: PaymentRef) -> PaymentResult:
        with self._lock:
            self.under_way -= 1
        match ref.order_no.split("-")[0]:
            case "silent":
                raise PlatformUnavailable("no answer", code="timeout")
            case "unknown":
                raise OrderNotFound("no such order", code="ORDER_NOT_EXIST")
            case "refused":
                raise PlatformRejected("no", code="SYSTEM")
            case "slip":
                raise ZeroDivisionError
            case _:
                pass
        return PaymentResult(outcome=Outcome.PENDING, order_no=ref.order_no)

    @override
    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        self._begin()
        await asyncio.sleep(0.02)
        return self._end(ref)

    @override
    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        self._begin()
        return self._end(ref)

    @override
    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        self._begin()
        time.sleep(0.05)
        return self._end(ref)


def ref(order_no: str) -> PaymentRef:
    return PaymentRef(order_no=order_no, began_at=HAPPENED_AT, expires_at=HAPPENED_AT)


def ask(order_no: str) -> Conversation[PaymentResult]:
    return (yield query_payment(ref(order_no)))


def close(order_no: str) -> Conversation[PaymentResult]:
    yield query_payment(ref(order_no))
    return (yield close_payment(ref(order_no)))


def hold(
    gateway: SlowGateway, numbers: list[str], *, accounts: int = 1, conversation: Any = ask
) -> tuple[list[Word[PaymentResult] | Unheld], defaultdict[int, Tally]]:
    tallies: defaultdict[int, Tally] = defaultdict(Tally)
    talks = [
        Talk(account_id=place % accounts, gateway=gateway, conversation=conversation(number))
        for place, number in enumerate(numbers)
    ]
    return list(talk_all(talks, tallies)), tallies


def test_answers_come_in_the_order_of_the_questions() -> None:
    numbers = [f"n-{number}" for number in range(100)]
    words, tallies = hold(SlowGateway(), numbers, accounts=4)
    assert [w.result.order_no for w in words if isinstance(w, Word) and w.result] == numbers
    assert [tallies[account].good for account in range(4)] == [25] * 4


@pytest.mark.parametrize(("accounts", "most"), [(8, 64), (1, 32)])
def test_never_more_are_under_way_than_the_settings_say(accounts: int, most: int) -> None:
    gateway = SlowGateway()
    hold(gateway, [f"n-{number}" for number in range(200)], accounts=accounts)
    assert gateway.most_under_way == most


def test_blocking_calls_run_beside_each_other(settings: Settings) -> None:
    settings.ASKING_AT_ONCE = settings.ASKING_AT_ONCE_PER_ACCOUNT = 10
    gateway = SlowGateway()
    hold(gateway, [f"n-{number}" for number in range(20)], conversation=close)
    assert 1 < gateway.most_under_way <= 10


def test_a_silent_account_is_left_alone_and_the_others_are_asked(settings: Settings) -> None:
    settings.ASKING_AT_ONCE_PER_ACCOUNT = 1
    numbers = [("silent" if number % 2 else "n") + f"-{number}" for number in range(40)]
    words, tallies = hold(SlowGateway(), numbers, accounts=2)
    assert tallies[0].good == 20
    assert (tallies[1].failing, tallies[1].code) == (THRESHOLD, "timeout")
    left = [word for word in words if word == Unheld(BREAKER)]
    assert len(left) == 20 - THRESHOLD


def test_a_slip_in_a_connector_costs_one_question() -> None:
    words, _ = hold(SlowGateway(), ["n-1", "slip-2", "n-3"])
    first, second, third = words
    assert isinstance(first, Word)
    assert isinstance(third, Word)
    assert isinstance(second, Unheld)
    assert isinstance(second.error, ZeroDivisionError)


def test_what_a_platform_says_becomes_the_same_word_in_both_manners() -> None:
    numbers = ["n-1", "silent-2", "unknown-3", "refused-4"]
    together, tallies = hold(SlowGateway(), numbers)
    tally = Tally()
    one_by_one = [talk(SlowGateway(), ask(number), tally) for number in numbers]
    assert together == one_by_one
    assert (tallies[0].good, tally.good) == (3, 3)
    _, silent, unknown, refused = one_by_one
    assert (silent.silent, silent.usable) == (True, False)
    assert (unknown.missing, unknown.trouble) == (True, "")
    assert (refused.usable, refused.code) == (True, "SYSTEM")


def test_nobody_to_ask_needs_no_loop() -> None:
    assert hold(SlowGateway(), []) == ([], {})
