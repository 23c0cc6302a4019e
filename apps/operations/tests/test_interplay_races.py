"""A correction is confirmed while its day is being matched again, with the day's lock and with the lock taken off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from apps.core.tenancy import enter_scope
from apps.ledger.models import Adjustment
from apps.merchants.tests.factories import Shop, make_shop
from apps.operations import books
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import Difference, Resolution
from apps.reconciliation.services import CannotResolve, matching
from apps.reconciliation.services.resolving import following, lapsing
from apps.reconciliation.tests.acts import decided, do, may_adjust
from apps.reconciliation.tests.days import bill, match, paid
from apps.reconciliation.tests.test_matching import STRANGER


def run(work: Callable[[], None]) -> threading.Thread:
    def guarded() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=guarded)
    thread.start()
    return thread


@pytest.fixture
def town(transactional_db: None) -> tuple[Shop, PlatformAccount]:
    """A correction that waits for the owner."""
    shop = make_shop()
    with enter_scope(shop.scope):
        account = make_account(shop)
        may_adjust(1)
        bill(account, [STRANGER])
        match(account)
        do(shop, Difference.objects.get(), "adjust")
    return shop, account


def confirm_while_matching(
    shop: Shop, account: PlatformAccount, monkeypatch: pytest.MonkeyPatch
) -> Difference:
    """The owner confirms when the matching has read what waits and has not committed; the row that counts in the end."""
    read, told = threading.Event(), threading.Event()

    def slow(*args: Any, **named: Any) -> int:
        read.set()
        told.wait(1.0)
        return 0

    monkeypatch.setattr(matching, "apply_rules", slow)

    def matches() -> None:
        with enter_scope(shop.scope):
            match(account)

    matcher = run(matches)
    assert read.wait(10)

    def confirms() -> None:
        with enter_scope(shop.scope):
            decided(shop, Adjustment.objects.get())
        told.set()

    confirmer = run(confirms)
    matcher.join(30)
    confirmer.join(30)
    with enter_scope(shop.scope):
        return Difference.objects.get(run__is_current=True)


def test_with_the_lock_the_new_row_knows_of_the_booking(
    town: tuple[Shop, PlatformAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, account = town
    row = confirm_while_matching(shop, account, monkeypatch)
    assert (row.state, row.adjusted_minor) == ("resolved", 696)
    with enter_scope(shop.scope):
        assert books.verify() == []


def test_without_the_lock_the_new_row_waits_for_ever(
    town: tuple[Shop, PlatformAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, account = town
    for room in (following, lapsing):
        monkeypatch.setattr(room, "hold_day", lambda **place: None)
    row = confirm_while_matching(shop, account, monkeypatch)
    assert (row.state, row.adjusted_minor) == ("waiting", 0)
    with enter_scope(shop.scope):
        assert [found.check for found in books.verify()] == [
            "differences say what was booked for them"
        ]


def test_two_rows_that_are_linked_to_one_payment_at_once(transactional_db: None) -> None:
    shop = make_shop()
    with enter_scope(shop.scope):
        account = make_account(shop)
        payment = paid(shop, account, 700)
        bill(account, [STRANGER, STRANGER.but(order_no="POS9", trade_no="9" * 28)])
        match(account)
        rows = list(Difference.objects.filter(type="missing_here").order_by("pk"))
    start = threading.Barrier(len(rows))
    outcomes: list[str] = []

    def links(row: Difference) -> None:
        start.wait(10)
        try:
            with enter_scope(shop.scope):
                do(shop, row, "link", payment_id=payment.pk)
            outcomes.append("")
        except CannotResolve as error:
            outcomes.append(error.reason)

    for thread in [run(lambda row=row: links(row)) for row in rows]:  # type: ignore[misc]  # its own row
        thread.join(30)
    assert sorted(outcomes) == ["", "linked"]
    with enter_scope(shop.scope):
        assert Resolution.objects.filter(kind="link", state="done").count() == 1
