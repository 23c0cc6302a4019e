"""The notification address answers in time while the database does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event, Thread

import pytest
import time_machine
from django.db import OperationalError, connection
from pytest_django import Settings

import apps.platforms.tasks  # noqa: F401  # registers the due task, as a worker does
from apps.core import tasks
from apps.core.deadlines import deadline
from apps.core.tenancy import enter_scope
from apps.platforms.gateway import RawNotification
from apps.platforms.models import Notification, NotificationState, PlatformAccount
from apps.platforms.tests import wechatpay_server
from apps.platforms.tests.conftest import CountingHandler
from apps.platforms.tests.shops import Shop, make_shop
from apps.platforms.tests.test_intake import TRANSACTION, forged, make_account, post
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer

#: Seconds that the tests' platform waits; the database below is held up for longer.
PATIENCE = 1


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=True):
        yield


@pytest.fixture
def shop(transactional_db: None, settings: Settings) -> Shop:
    settings.NOTIFY_ANSWER_SECONDS = PATIENCE
    settings.WECHATPAY_API_URL = "http://127.0.0.1:9/wechatpay"
    with connection.cursor() as cursor:
        # The table of audit events refuses to be emptied after the test otherwise.
        cursor.execute("SET app.allow_truncate = 'on'")
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop, wechatpay_server.credentials())


@pytest.fixture
def paid() -> RawNotification:
    return WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION)


@contextmanager
def locked(statement: str) -> Iterator[None]:
    """Another session holds a lock until the block ends."""
    held, release = Event(), Event()

    def hold() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(statement)
                held.set()
                release.wait(30)
                cursor.execute("ROLLBACK")
        finally:
            connection.close()

    holder = Thread(target=hold)
    holder.start()
    assert held.wait(10)
    try:
        yield
    finally:
        release.set()
        holder.join()


def _state(shop: Shop) -> list[str]:
    with enter_scope(shop.scope):
        return list(Notification.objects.values_list("state", flat=True))


class Slow:
    """What a handler does that runs into a lock of somebody else's."""

    def __init__(self) -> None:
        self.on = True

    def __call__(self) -> None:
        if self.on:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(20)")


class TestSlow:
    def test_a_genuine_notice_is_stored_accepted_and_applied_later(
        self, shop: Shop, account: PlatformAccount, paid: RawNotification, handler: CountingHandler
    ) -> None:
        slow = Slow()
        handler.before = slow
        began = time.monotonic()
        answer = post(account, paid)
        assert time.monotonic() - began < PATIENCE + 2
        assert (answer.status_code, b"SUCCESS" in answer.content) == (200, True)
        assert _state(shop) == [NotificationState.RECEIVED]
        assert handler.applied == []

        slow.on = False
        tasks.drain(now=NOW + timedelta(minutes=2))
        assert _state(shop) == [NotificationState.APPLIED]
        assert len(handler.applied) == 1

    def test_a_forged_notice_is_refused_all_the_same(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        handler.before = Slow()
        assert post(account, forged()).status_code == 400
        assert _state(shop) == [NotificationState.REFUSED]

    def test_what_cannot_be_stored_in_time_is_asked_for_again(
        self, shop: Shop, account: PlatformAccount, paid: RawNotification, handler: CountingHandler
    ) -> None:
        began = time.monotonic()
        with locked("LOCK TABLE platforms_notification IN ACCESS EXCLUSIVE MODE"):
            answer = post(account, paid)
            assert time.monotonic() - began < PATIENCE + 2
        assert answer.status_code == 503
        assert _state(shop) == []
        assert post(account, paid).status_code == 200
        assert _state(shop) == [NotificationState.APPLIED]

    def test_even_the_account_may_be_out_of_reach(
        self, shop: Shop, account: PlatformAccount, paid: RawNotification, handler: CountingHandler
    ) -> None:
        with locked("LOCK TABLE core_door IN ACCESS EXCLUSIVE MODE"):
            answer = post(account, paid)
        assert (answer.status_code, answer["Content-Type"]) == (503, "application/json")


class TestDeadline:
    def _slept(self, seconds: float) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [seconds])

    def test_it_ends_all_statements_together(self, transactional_db: None) -> None:
        began = time.monotonic()
        with deadline(0.5) as limit:
            self._slept(0.3)
            before = limit.passed
            with pytest.raises(OperationalError):
                self._slept(20)
            assert (before, limit.passed) == (False, True)
            # Quick ones still pass, so that what was begun can be cleaned up; slow ones do not.
            self._slept(0)
            with pytest.raises(OperationalError):
                self._slept(20)
        assert time.monotonic() - began < 3

    def test_what_is_quick_is_left_alone(self, transactional_db: None) -> None:
        with deadline(5) as limit:
            self._slept(0)
        assert not limit.passed
        self._slept(0.4)

    @pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1])
    def test_nothing_outside_is_hit(self, transactional_db: None, seconds: float) -> None:
        for _turn in range(10):
            with deadline(seconds), suppress(OperationalError):
                self._slept(seconds)
            self._slept(0.01)
