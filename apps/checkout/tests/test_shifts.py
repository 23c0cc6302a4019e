"""Shifts: what they add up to, whose they are, and two closes at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.checkout.models import Shift, ShiftTotal
from apps.checkout.selectors.shifts import add_up, open_shift_of
from apps.checkout.services import close_shift, open_shift
from apps.checkout.services.shifts import write_close
from apps.checkout.tests.test_desk import ACTOR, Desk, make_desk
from apps.core import clock
from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.models import Membership, Role, Store
from apps.merchants.tests.factories import NOW, Shop, check_now, make_shop
from apps.payments.models import Payment
from apps.payments.services import apply_payment_result
from apps.payments.tests.factories import paid_result
from apps.refunds.models import Refund, RefundState
from apps.refunds.services import request_refund


@pytest.fixture
def desk(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with time_machine.travel(NOW, tick=False) as traveller:
        desk = make_desk(monkeypatch, traveller)
        yield desk
        with enter_scope(desk.shop.scope):
            check_now()


def begin(desk: Desk, member: User | None = None) -> Shift:
    with enter_scope(desk.shop.scope):
        return open_shift(
            store_id=desk.shop.store.pk,
            member=member or desk.shop["cashier"],
            note="",
            now=clock.now(),
            actor=ACTOR,
        )


def refund(desk: Desk, payment: Payment, minor: int) -> None:
    """Give something back, done now."""
    with enter_scope(desk.shop.scope):
        row = request_refund(
            payment_id=payment.pk,
            amount=Money(minor),
            reason="x",
            member=desk.shop["cashier"],
            actor=ACTOR,
            now=clock.now(),
        )
        Refund.objects.filter(pk=row.pk).update(
            state=RefundState.SUCCEEDED,
            refunded_at=clock.now(),
            booked_date=clock.business_date(clock.now()),
        )


def test_a_shift_is_opened_looked_at_and_closed_on_its_pages(desk: Desk) -> None:
    assert "No shift open" in desk.page()
    response = desk.cashier.post(
        desk.url("shift/"), {"store": str(desk.shop.store.pk), "note": " 备用金  200 元 "}
    )
    assert response["Location"] == desk.url("shift/")
    assert "Shift since" in desk.page()
    first = desk.pay(desk.ask(minor=1_000))
    desk.pay(desk.ask(minor=250))
    refund(desk, first, 300)
    desk.clock.shift(1)
    page = desk.page("shift/")
    assert "备用金 200 元" in page
    assert "¥12.50" in page
    desk.clock.shift(60)
    with enter_scope(desk.shop.scope):
        shift = Shift.objects.get()
    response = desk.cashier.post(desk.url(f"shift/{shift.pk}/close/"), {"note": "点清"})
    assert response["Location"] == desk.url(f"shifts/{shift.pk}/")
    page = desk.page(f"shifts/{shift.pk}/")
    for words in ("¥12.50", "−¥3.00", "¥9.50", "点清", "data-print"):
        assert words in page, words
    with enter_scope(desk.shop.scope):
        total = ShiftTotal.objects.get()
        actions = list(
            AuditEvent.objects.filter(action__startswith="shift.")
            .order_by("pk")
            .values_list("action", flat=True)
        )
    assert (total.wallet, total.paid_count, total.paid_minor) == ("wechatpay", 2, 1_250)
    assert (total.refund_count, total.refund_minor) == (1, 300)
    assert actions == ["shift.opened", "shift.closed"]
    assert "No shift open" in desk.page()
    assert "¥12.50" in desk.page("shift/")


def test_only_this_members_money_in_this_store_in_this_time_counts(desk: Desk) -> None:
    desk.pay(desk.ask(minor=1))
    desk.clock.shift(1)
    shift = begin(desk)
    # At the first instant of a shift it counts, at the last it does not: the period is half-open.
    desk.pay(desk.ask(minor=10))
    desk.pay(desk.ask(desk.other, minor=100))
    elsewhere = desk.pay(desk.ask(minor=1_000))
    desk.ask(minor=500_000)
    with enter_scope(desk.shop.scope):
        store = Store.objects.create(name="二号店")
        Payment.objects.filter(pk=elsewhere.pk).update(store=store)
    desk.clock.shift(60)
    desk.pay(desk.ask(minor=10_000))
    with enter_scope(desk.shop.scope):
        close_shift(shift_id=shift.pk, note="", now=clock.now(), actor=ACTOR)
        assert list(ShiftTotal.objects.values_list("paid_minor", flat=True)) == [10]
        following = open_shift(
            store_id=desk.shop.store.pk,
            member=desk.shop["cashier"],
            note="",
            now=clock.now(),
            actor=ACTOR,
        )
        sums = add_up(following, until=clock.now() + timedelta(seconds=1))
    assert (sums.paid_count, sums.paid_minor) == (1, 10_000)


def test_a_refund_of_an_earlier_sale_counts_where_it_was_given_back(desk: Desk) -> None:
    earlier = desk.pay(desk.ask(minor=5_000))
    desk.clock.shift(1)
    shift = begin(desk)
    refund(desk, earlier, 2_000)
    desk.clock.shift(1)
    with enter_scope(desk.shop.scope):
        close_shift(shift_id=shift.pk, note="", now=clock.now(), actor=ACTOR)
    assert "−¥20.00" in desk.page(f"shifts/{shift.pk}/")


def test_what_is_heard_of_after_the_close_is_said_and_changes_nothing(desk: Desk) -> None:
    shift = begin(desk)
    payment = desk.open_attempt(desk.ask(minor=800))
    assert "1 payment is still open" in desk.page("shift/")
    paid_at = clock.now()
    desk.clock.shift(60)
    desk.cashier.post(desk.url(f"shift/{shift.pk}/close/"), {"seen": str(payment.order_id)})
    with enter_scope(desk.shop.scope):
        apply_payment_result(
            payment_id=payment.pk,
            result=paid_result(payment, at=paid_at),
            via="poll",
            now=clock.now(),
            actor=Actor.system("poll"),
        )
        assert not ShiftTotal.objects.exists()
    page = desk.page(f"shifts/{shift.pk}/")
    assert "only after the close is not in these sums: ¥8.00" in page


def test_opening_and_closing_twice_changes_nothing(desk: Desk) -> None:
    shift = begin(desk)
    assert begin(desk) == shift
    desk.pay(desk.ask())
    desk.clock.shift(10)
    desk.cashier.post(desk.url(f"shift/{shift.pk}/close/"), {"note": "first"})
    desk.clock.shift(10)
    desk.pay(desk.ask(minor=99))
    desk.cashier.post(desk.url(f"shift/{shift.pk}/close/"), {"note": "second"})
    with enter_scope(desk.shop.scope):
        shift.refresh_from_db()
        assert (shift.closing_note, shift.closed_at) == ("first", NOW + timedelta(seconds=10))
        assert ShiftTotal.objects.get().paid_minor == 1_250


def test_closing_while_something_is_open_asks_first_and_names_it(desk: Desk) -> None:
    desk.ask(minor=77_700)
    desk.clock.shift(1)
    shift = begin(desk)
    waiting = desk.ask(minor=1_234)
    desk.pay(desk.ask(minor=500))
    desk.clock.shift(2)
    tried = desk.ask(minor=4_321)
    desk.open_attempt(tried)
    desk.ask(desk.other, minor=88_800)
    close = desk.url(f"shift/{shift.pk}/close/")
    page = desk.cashier.post(close, {"note": "点清"}).content.decode()
    assert "2 payments are still open" in page
    assert "¥12.34" in page
    assert "¥43.21" in page
    # Neither what was asked for before the shift, nor another cashier's, nor what is paid.
    assert not any(text in page for text in ("777.00", "888.00", "¥5.00"))
    seen = f"{waiting.pk}-{tried.pk}"
    assert f'name="seen" value="{seen}"' in page
    assert 'value="点清"' in page
    with enter_scope(desk.shop.scope):
        shift.refresh_from_db()
        assert shift.closed_at is None
    # What came meanwhile was not named, so it is asked about again; what was paid meanwhile is no trouble.
    desk.pay(tried)
    fresh = desk.ask(minor=99)
    page = desk.cashier.post(close, {"note": "点清", "seen": seen}).content.decode()
    assert "¥0.99" in page
    assert "43.21" not in page
    done = desk.cashier.post(close, {"note": "点清", "seen": f"{waiting.pk}-{fresh.pk}"})
    assert done["Location"] == desk.url(f"shifts/{shift.pk}/")
    with enter_scope(desk.shop.scope):
        shift.refresh_from_db()
        assert shift.closing_note == "点清"
    # Pressed twice.
    assert desk.cashier.post(close, {"note": "x"}).status_code == 303


@pytest.mark.parametrize("seen", ["", "x", "1-²", "9" * 3_000])
def test_a_crafted_yes_is_none(desk: Desk, seen: str) -> None:
    shift = begin(desk)
    desk.ask()
    close = desk.url(f"shift/{shift.pk}/close/")
    assert desk.cashier.post(close, {"note": "", "seen": seen}).status_code == 200


def test_what_is_over_is_not_asked_about(desk: Desk) -> None:
    shift = begin(desk)
    order = desk.ask()
    desk.clock.shift(timedelta(hours=2))
    assert order.expires_at < clock.now()
    close = desk.url(f"shift/{shift.pk}/close/")
    assert desk.cashier.post(close, {"note": ""}).status_code == 303


def test_a_form_without_a_store_comes_back(desk: Desk) -> None:
    response = desk.cashier.post(desk.url("shift/"), {"store": "0"})
    assert response.status_code == 422
    with enter_scope(desk.shop.scope):
        assert not Shift.objects.exists()


def test_another_cashiers_shift_is_404(desk: Desk) -> None:
    shift = begin(desk, desk.other)
    desk.pay(desk.ask(desk.other, minor=4_321))
    desk.clock.shift(1)
    assert desk.cashier.get(desk.url(f"shifts/{shift.pk}/")).status_code == 404
    assert desk.cashier.post(desk.url(f"shift/{shift.pk}/close/")).status_code == 404
    assert "No shift yet" in desk.page("shifts/")
    with enter_scope(desk.shop.scope):
        shift.refresh_from_db()
        assert shift.closed_at is None
    for role in ("owner", "manager", "finance", "auditor"):
        client = desk.client(desk.shop[role])
        assert "¥43.21" in desk.page(f"shifts/{shift.pk}/", client)
        assert "second@tea.test" in desk.page("shifts/", client)


def test_a_manager_closes_a_forgotten_shift_and_an_auditor_cannot(desk: Desk) -> None:
    shift = begin(desk)
    address = desk.url(f"shift/{shift.pk}/close/")
    assert desk.client(desk.shop["auditor"]).post(address).status_code == 403
    assert "Close the shift" in desk.page(f"shifts/{shift.pk}/", desk.client(desk.shop["manager"]))
    assert desk.client(desk.shop["manager"]).post(address).status_code == 303
    with enter_scope(desk.shop.scope):
        shift.refresh_from_db()
        assert shift.closed_at == NOW


def test_a_member_of_other_stores_sees_no_shift_of_this_one(desk: Desk) -> None:
    shift = begin(desk)
    with enter_scope(desk.shop.scope):
        other = Store.objects.create(name="二号店")
    Membership.objects.filter(user=desk.shop["manager"]).update(store_ids=[other.pk])
    manager = desk.client(desk.shop["manager"])
    assert manager.get(desk.url(f"shifts/{shift.pk}/")).status_code == 404
    assert "No shift yet" in desk.page("shifts/", manager)


def test_the_database_keeps_what_was_written_down(desk: Desk) -> None:
    shift = begin(desk)
    desk.pay(desk.ask())
    desk.clock.shift(1)
    with enter_scope(desk.shop.scope):
        close_shift(shift_id=shift.pk, note="", now=clock.now(), actor=ACTOR)
        with pytest.raises(IntegrityError), transaction.atomic():
            ShiftTotal.objects.update(paid_minor=1)
        begin(desk)
        with pytest.raises(IntegrityError), transaction.atomic():
            Shift.objects.create(
                store=desk.shop.store, member=desk.shop["cashier"], opened_at=clock.now()
            )


def test_how_much_the_pages_ask(
    desk: Desk, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    past = []
    for minor in (100, 200, 300):
        shift = begin(desk)
        past.append(shift.pk)
        desk.pay(desk.ask(minor=minor))
        desk.clock.shift(10)
        with enter_scope(desk.shop.scope):
            close_shift(shift_id=shift.pk, note="", now=clock.now(), actor=ACTOR)
        desk.clock.shift(10)
    begin(desk)
    # Session, user, membership, scope in and out; stores, the shift, its payments, refunds and open ones, the last shifts
    # with their sums; the frame: memberships, what waits.
    with django_assert_num_queries(15):
        desk.cashier.get(desk.url("shift/"))
    # The shifts with their sums in place of the seven.
    with django_assert_num_queries(9):
        desk.cashier.get(desk.url("shifts/"))
    # The shift, its payments and refunds as known now, what was written down.
    with django_assert_num_queries(11):
        desk.cashier.get(desk.url(f"shifts/{past[0]}/"))


# Two at the same moment

THREADS = 8


def together(work: Callable[[], None]) -> list[str]:
    """Run ``work`` in all threads at once; the names of what each raised, ``""`` for none."""
    start = threading.Barrier(THREADS)
    outcomes: list[str] = []

    def run() -> None:
        try:
            start.wait()
            work()
            outcomes.append("")
        except IntegrityError as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.fixture
def opened(transactional_db: None) -> tuple[Shop, Shift]:
    """An open shift in which nothing was taken: no unique key of its sums could hide a second close."""
    shop = make_shop()
    with enter_scope(shop.scope):
        shift = open_shift(
            store_id=shop.store.pk, member=shop["cashier"], note="", now=NOW, actor=ACTOR
        )
    return shop, shift


def closes(shop: Shop) -> int:
    with enter_scope(shop.scope):
        return AuditEvent.objects.filter(action="shift.closed").count()


def test_with_the_lock_a_shift_is_closed_once(opened: tuple[Shop, Shift]) -> None:
    shop, shift = opened

    def close() -> None:
        with enter_scope(shop.scope):
            close_shift(shift_id=shift.pk, note="", now=NOW, actor=ACTOR)

    assert together(close) == [""] * THREADS
    assert closes(shop) == 1


def test_without_the_lock_it_is_closed_again_and_again(opened: tuple[Shop, Shift]) -> None:
    shop, shift = opened
    looked = threading.Barrier(THREADS)

    def close() -> None:
        with enter_scope(shop.scope), transaction.atomic():
            row = Shift.objects.get(pk=shift.pk)
            looked.wait()
            if row.closed_at is None:
                write_close(row, note="", now=NOW, actor=ACTOR)

    assert together(close) == [""] * THREADS
    assert closes(shop) == THREADS


def test_however_many_tabs_open_a_shift_there_is_one(opened: tuple[Shop, Shift]) -> None:
    shop, _shift = opened

    def begin_another() -> None:
        with enter_scope(shop.scope):
            open_shift(
                store_id=shop.store.pk, member=shop["manager"], note="", now=NOW, actor=ACTOR
            )

    assert together(begin_another) == [""] * THREADS
    with enter_scope(shop.scope):
        assert Shift.objects.filter(member=shop["manager"]).count() == 1


def test_without_the_partial_key_two_tabs_would_open_two_shifts(
    opened: tuple[Shop, Shift],
) -> None:
    """The twin: whoever looked before writing believed that there was none; only the table's key stops the second."""
    shop, shift = opened
    with enter_scope(shop.scope):
        Shift.objects.filter(pk=shift.pk).update(closed_at=NOW)
    looked = threading.Barrier(THREADS)
    believed: list[bool] = []

    def work() -> None:
        with enter_scope(shop.scope):
            believed.append(open_shift_of(shop["cashier"]) is None)
            looked.wait()
            Shift.objects.create(store=shop.store, member=shop["cashier"], opened_at=NOW)

    outcomes = together(work)
    assert believed == [True] * THREADS
    assert outcomes.count("IntegrityError") == THREADS - 1


def test_roles_of_the_list(desk: Desk) -> None:
    for role in Role.values:
        assert desk.client(desk.shop[role]).get(desk.url("shifts/")).status_code == 200
