"""Due work is claimed once at a time, survives lost workers, and keeps what was asked for meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from celery import current_app
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries

from apps.core import outbox, tasks
from apps.core.models import Due
from apps.merchants.tests.factories import NOW, make_shop

MINUTE = timedelta(minutes=1)


def ask(subject_id: int = 1, *, at: datetime = NOW) -> None:
    outbox.enqueue(task="test.job", merchant_id=1, subject_id=subject_id, due_at=at)


def test_what_is_not_due_is_not_claimed(db: None) -> None:
    ask(at=NOW + MINUTE)
    assert outbox.claim(now=NOW, limit=10) == []
    assert len(outbox.claim(now=NOW + MINUTE, limit=10)) == 1


def test_asking_again_moves_a_waiting_row_forward_and_never_back(db: None) -> None:
    ask(at=NOW + MINUTE)
    ask(at=NOW)
    ask(at=NOW + 2 * MINUTE)
    assert Due.objects.get().due_at == NOW


def test_a_claimed_row_is_not_claimed_again_until_its_lease_ends(db: None) -> None:
    ask()
    [claim] = outbox.claim(now=NOW, limit=10)
    assert outbox.claim(now=NOW + MINUTE, limit=10) == []
    [again] = outbox.claim(now=NOW + outbox.LEASE, limit=10)
    assert (again.due_id, again.attempts) == (claim.due_id, 2)


def test_finishing_removes_or_puts_off(db: None) -> None:
    ask(1)
    ask(2)
    first, second = sorted(outbox.claim(now=NOW, limit=10), key=lambda claim: claim.subject_id)
    outbox.finish(first, next_at=None)
    outbox.finish(second, next_at=NOW + MINUTE)
    row = Due.objects.get()
    assert (row.subject_id, row.due_at, row.claimed_until) == (2, NOW + MINUTE, None)


def test_work_asked_for_while_a_worker_is_busy_is_not_lost(db: None) -> None:
    ask()
    [claim] = outbox.claim(now=NOW, limit=10)
    ask()
    outbox.finish(claim, next_at=None)
    assert len(outbox.claim(now=NOW, limit=10)) == 1


def test_failures_wait_longer_each_time_and_keep_the_reason(db: None) -> None:
    ask()
    waits = []
    now = NOW
    for _ in range(8):
        [claim] = outbox.claim(now=now, limit=1)
        outbox.fail(claim, now=now, error="platform down")
        row = Due.objects.get()
        waits.append(int((row.due_at - now).total_seconds()))
        now = row.due_at
    assert waits == [5, 15, 60, 300, 900, 3600, 3600, 3600]
    assert Due.objects.get().last_error == "platform down"


def test_a_good_run_ends_the_series_of_failures(db: None) -> None:
    ask()
    now = NOW
    for _ in range(10):
        [claim] = outbox.claim(now=now, limit=1)
        outbox.finish(claim, next_at=now + MINUTE)
        now += MINUTE
    [claim] = outbox.claim(now=now, limit=1)
    outbox.fail(claim, now=now, error="blip")
    assert Due.objects.get().due_at == now + timedelta(seconds=5)


def test_a_failure_does_not_put_off_what_was_asked_for_meanwhile(db: None) -> None:
    ask()
    [claim] = outbox.claim(now=NOW, limit=1)
    ask()
    outbox.fail(claim, now=NOW, error="blip")
    row = Due.objects.get()
    assert (row.due_at, row.claimed_until, row.last_error) == (NOW, None, "blip")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("skip_locked", [True, False])
def test_two_claimers_at_once(skip_locked: bool) -> None:
    """With SKIP LOCKED nobody gets the same row twice; a claimer that only looks first does (the twin)."""
    for subject_id in range(40):
        ask(subject_id)
    taken: list[int] = []
    together = threading.Barrier(2)

    def careful() -> None:
        with transaction.atomic():
            together.wait()
            claims = outbox.claim(now=NOW, limit=20)
            together.wait()
        taken.extend(claim.due_id for claim in claims)
        connection.close()

    def careless() -> None:
        rows = list(Due.objects.filter(due_at__lte=NOW, claimed_until=None).order_by("pk")[:20])
        together.wait()
        Due.objects.filter(pk__in=[row.pk for row in rows]).update(claimed_until=NOW + MINUTE)
        taken.extend(row.pk for row in rows)
        connection.close()

    threads = [threading.Thread(target=careful if skip_locked else careless) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 40
    assert len(set(taken)) == (40 if skip_locked else 20)


def test_a_handler_that_raises_is_tried_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop()
    seen: list[int] = []

    def handler(subject_id: int, now: datetime) -> datetime | None:
        seen.append(subject_id)
        raise ValueError("broken")

    monkeypatch.setitem(tasks._handlers, "test.job", handler)
    outbox.enqueue(task="test.job", merchant_id=shop.merchant.pk, subject_id=7, due_at=NOW)
    assert tasks.drain(now=NOW) == 1
    assert seen == [7]
    row = Due.objects.get()
    assert (row.due_at, row.last_error) == (NOW + timedelta(seconds=5), "ValueError")


def test_a_claim_of_one_task_leaves_the_others_and_the_relay_leaves_the_batch_tasks(
    db: None,
) -> None:
    for number, task in enumerate(("test.a", "test.b", "test.c", "test.a")):
        outbox.enqueue(task=task, merchant_id=1, subject_id=number, due_at=NOW - number * MINUTE)
    assert [c.subject_id for c in outbox.claim(now=NOW, limit=1, task="test.a")] == [3]
    rest = outbox.claim(now=NOW, limit=9, without=["test.b"])
    assert sorted(claim.subject_id for claim in rest) == [0, 2]
    assert outbox.waits(task="test.b", now=NOW)
    assert not outbox.waits(task="test.a", now=NOW)
    assert not outbox.waits(task="test.b", now=NOW - 2 * MINUTE)


def test_of_all_tasks_the_longest_due_are_claimed_first(db: None) -> None:
    for number in range(6):
        outbox.enqueue(
            task=f"test.{number % 3}",
            merchant_id=1,
            subject_id=number,
            due_at=NOW - number * MINUTE,
        )
    claims = outbox.claim(now=NOW, limit=3)
    assert sorted(claim.subject_id for claim in claims) == [3, 4, 5]


def test_many_ends_cost_as_many_statements_as_few(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (2, 30):
        for subject_id in range(count):
            ask(subject_id)
        claims = outbox.claim(now=NOW, limit=100)
        assert len(claims) == count
        with django_assert_num_queries(2):
            outbox.settle(
                [
                    outbox.Ended(
                        claim=claim, next_at=NOW + MINUTE if claim.subject_id % 2 else None
                    )
                    for claim in claims
                ]
            )
        assert set(Due.objects.values_list("due_at", "claimed_until")) == {(NOW + MINUTE, None)}
        assert Due.objects.count() == count // 2
        Due.objects.all().delete()


def test_a_batch_end_leaves_what_was_asked_for_meanwhile(db: None) -> None:
    for subject_id in range(3):
        ask(subject_id)
    claims = {claim.subject_id: claim for claim in outbox.claim(now=NOW, limit=9)}
    ask(1, at=NOW + MINUTE)
    ask(2, at=NOW + MINUTE)
    later = NOW + 9 * MINUTE
    outbox.settle(
        [
            outbox.Ended(claim=claims[0], next_at=None),
            outbox.Ended(claim=claims[1], next_at=None),
            outbox.Ended(claim=claims[2], next_at=later, reason="breaker"),
        ]
    )
    found = Due.objects.order_by("subject_id").values_list("subject_id", "due_at", "claimed_until")
    assert list(found) == [(1, NOW + MINUTE, None), (2, NOW + MINUTE, None)]


def test_hastening_brings_forward_and_never_back(db: None) -> None:
    ask(1, at=NOW + MINUTE)
    ask(2, at=NOW - MINUTE)
    ask(3, at=NOW + MINUTE)
    outbox.hasten(
        due_ids=list(Due.objects.filter(subject_id__in=[1, 2]).values_list("pk", flat=True)),
        now=NOW,
    )
    assert list(Due.objects.order_by("subject_id").values_list("due_at", flat=True)) == [
        NOW,
        NOW - MINUTE,
        NOW + MINUTE,
    ]


@pytest.fixture
def batch(db: None, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """A batch task; each round's subjects. Subject 13 makes a round raise, 7 is forgotten, 5 comes again in a minute."""
    seen: list[list[int]] = []

    def handler(claims: Sequence[outbox.Claim], now: datetime) -> Iterator[Sequence[outbox.Ended]]:
        seen.append(sorted(claim.subject_id for claim in claims))
        for claim in claims:
            if claim.subject_id == 13:
                raise ValueError("broken")
            if claim.subject_id != 7:
                again = now + MINUTE if claim.subject_id == 5 else None
                yield [outbox.Ended(claim=claim, next_at=again)]

    monkeypatch.setitem(tasks._batches, "test.job", handler)
    return seen


def test_a_batch_is_done_in_rounds_and_what_it_forgot_has_failed(batch: list[list[int]]) -> None:
    for subject_id in (5, 6, 7):
        outbox.enqueue(task="test.job", merchant_id=1, subject_id=subject_id, due_at=NOW)
    assert tasks.drain(now=NOW) == 3
    assert batch == [[5, 6, 7]]
    left = dict(Due.objects.values_list("subject_id", "last_error"))
    assert left == {5: "", 7: "forgotten"}


def test_a_round_that_raises_fails_only_what_it_had_not_ended(batch: list[list[int]]) -> None:
    for number, subject_id in enumerate((6, 13, 8)):
        outbox.enqueue(
            task="test.job",
            merchant_id=1,
            subject_id=subject_id,
            due_at=NOW - (9 - number) * MINUTE,
        )
    claims = sorted(outbox.claim(now=NOW, limit=9), key=lambda claim: claim.subject_id != 6)
    tasks.run_claims("test.job", claims, now=NOW)
    assert set(Due.objects.values_list("subject_id", "last_error")) >= {(13, "ValueError")}
    assert not Due.objects.filter(subject_id=6).exists()


@pytest.mark.django_db(transaction=True)
def test_no_more_workers_than_places_are_busy_with_one_batch_task() -> None:
    inside, leave = threading.Barrier(3), threading.Event()
    turns: list[bool] = []

    def work() -> None:
        with outbox.turn(task="test.job", places=2) as mine:
            turns.append(mine)
            inside.wait(10)
            leave.wait(10)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait(10)
    with outbox.turn(task="test.job", places=2) as third:
        assert not third
    with outbox.turn(task="test.other", places=2) as other:
        assert other
    leave.set()
    for thread in threads:
        thread.join(10)
    assert turns == [True, True]
    with outbox.turn(task="test.job", places=2) as free:
        assert free


def test_the_relay_sends_one_message_for_a_batch_task_however_much_waits(
    batch: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    monkeypatch.setattr(current_app, "send_task", lambda name, **_options: sent.append(name))
    for subject_id in range(20):
        outbox.enqueue(task="test.job", merchant_id=1, subject_id=subject_id, due_at=NOW)
        outbox.enqueue(task="test.single", merchant_id=1, subject_id=subject_id, due_at=NOW)
    assert tasks.relay_dues() == 21
    assert sorted(set(sent)) == ["core.run_batch", "core.run_due"]
    assert sent.count("core.run_batch") == 1
    assert Due.objects.filter(task="test.job", claimed_until=None).count() == 20
