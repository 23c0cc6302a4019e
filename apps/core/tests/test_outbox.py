"""Due work is claimed once at a time, survives lost workers, and keeps what was asked for meanwhile."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction

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
