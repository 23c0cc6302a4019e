"""The desk's pages: an amount becomes a code, the code becomes money, and each cashier sees their own."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.checkout.selectors.desk import list_given_back, sum_receipts
from apps.checkout.services import ask_at_desk
from apps.core import clock
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.models import Membership, Role, Store, Terminal
from apps.merchants.tests.factories import NOW, Shop, check_now, make_shop, make_user
from apps.payments.models import Order, Payment
from apps.payments.services import apply_payment_result, prepare_payment
from apps.payments.tests.factories import PAYER, make_account, make_paid, paid_result
from apps.platforms import registry
from apps.platforms.gateway import Outcome, PlatformGateway, Product, RefundResult
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.fakes import FakeGateway
from apps.refunds.models import Refund
from apps.refunds.services import apply_refund_result, request_refund
from apps.reports.selectors import day_so_far

ACTOR = Actor("desk")


@dataclass
class Desk:
    """A shop with a cashier at its desk, another cashier, and an account that takes the money."""

    shop: Shop
    account: PlatformAccount
    cashier: Client
    other: User
    clock: time_machine.Traveller

    def url(self, rest: str = "") -> str:
        return f"/m/{self.shop.slug}/desk/{rest}"

    def client(self, user: User) -> Client:
        client = Client(headers={"Accept-Language": "en"})
        client.force_login(user)
        return client

    def post(self, client: Client | None = None, /, **changes: str) -> HttpResponse:
        form = {"store": str(self.shop.store.pk), "amount": "12.50", "nonce": "n" * 20}
        response: HttpResponse = (client or self.cashier).post(self.url(), {**form, **changes})  # type: ignore[assignment]  # the test client's own class
        return response

    def page(self, rest: str = "", client: Client | None = None) -> str:
        response = (client or self.cashier).get(self.url(rest))
        assert response.status_code == 200, rest
        return str(response.content.decode())

    def ask(self, member: User | None = None, *, minor: int = 1_250) -> Order:
        with enter_scope(self.shop.scope):
            return ask_at_desk(
                store_id=self.shop.store.pk,
                terminal_id=None,
                amount=Money(minor),
                subject="x",
                nonce=f"{minor}-{clock.now().timestamp()}",
                member=member or self.shop["cashier"],
                now=clock.now(),
                actor=ACTOR,
            )

    def open_attempt(self, order: Order) -> Payment:
        with enter_scope(self.shop.scope):
            payment = prepare_payment(
                order_id=order.pk,
                account_id=self.account.pk,
                product=Product.DYNAMIC_QR,
                now=clock.now(),
                actor=PAYER,
            )
            Payment.objects.filter(pk=payment.pk).update(
                handover={"qr_content": "https://x"}, last_polled_at=clock.now()
            )
            return payment

    def pay(self, order: Order) -> Payment:
        payment = self.open_attempt(order)
        with enter_scope(self.shop.scope):
            apply_payment_result(
                payment_id=payment.pk,
                result=paid_result(payment, at=clock.now()),
                via="notification",
                now=clock.now(),
                actor=Actor.system("test"),
            )
            payment.refresh_from_db()
        return payment

    def stage(self, order: Order) -> str:
        found = re.search(r'data-stage="(\w+)"', self.page(f"{order.pk}/"))
        assert found is not None
        return found[1]


def make_desk(monkeypatch: pytest.MonkeyPatch, traveller: time_machine.Traveller) -> Desk:
    platform = FakeGateway()

    def gateway_for(**_rest: object) -> PlatformGateway:
        return platform

    monkeypatch.setattr(registry, "gateway_for", gateway_for)
    for name in registry.CONNECTORS:
        monkeypatch.setitem(registry.CONNECTORS, name, FakeGateway)
    shop = make_shop()
    other = make_user("second@tea.test")
    Membership.objects.create(merchant=shop.merchant, user=other, role=Role.CASHIER)
    with enter_scope(shop.scope):
        account = make_account(shop)
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(shop["cashier"])
    return Desk(shop, account, client, other, traveller)


@pytest.fixture
def desk(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with time_machine.travel(NOW, tick=False) as traveller:
        desk = make_desk(monkeypatch, traveller)
        yield desk
        with enter_scope(desk.shop.scope):
            check_now()


# From the amount to the money


def test_an_amount_becomes_an_order_with_a_code_for_every_wallet(desk: Desk) -> None:
    response = desk.post()
    with enter_scope(desk.shop.scope):
        order = Order.objects.get()
    assert (response.status_code, response["Location"]) == (303, desk.url(f"{order.pk}/"))
    assert (order.amount_minor, order.taken_by, order.code_id) == (
        1_250,
        desk.shop["cashier"],
        None,
    )
    page = desk.page(f"{order.pk}/")
    assert f'data-content="{settings.PUBLIC_URL}/pay/{order.token}"' in page
    assert "<svg" in page
    assert "¥12.50" in page
    assert desk.stage(order) == "waiting"
    assert Client().get(f"/pay/{order.token}").status_code == 200


def test_the_same_form_twice_is_one_order(desk: Desk) -> None:
    assert desk.post()["Location"] == desk.post()["Location"]
    assert desk.post(nonce="m" * 20)["Location"] != desk.post()["Location"]
    with enter_scope(desk.shop.scope):
        assert Order.objects.count() == 2


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("", "Enter the amount to pay."),
        ("0", "The amount must be more than zero."),
        ("1.234", "two decimals at most"),
        ("abc", "This is not an amount."),
    ],
)
def test_a_wrong_amount_comes_back(desk: Desk, amount: str, words: str) -> None:
    response = desk.post(amount=amount)
    assert response.status_code == 422
    assert words in response.content.decode()
    with enter_scope(desk.shop.scope):
        assert not Order.objects.exists()


def test_an_unusually_large_amount_is_asked_about_first(desk: Desk) -> None:
    desk.pay(desk.ask(minor=50_000))
    desk.clock.shift(1)
    # Under ¥1,000, and up to ten times what was paid: no question.
    for number, amount in enumerate(("999.99", "1000", "4999.99")):
        assert desk.post(amount=amount, nonce=f"{number}" * 20).status_code == 303, amount
    response = desk.post(amount="5000", nonce="q" * 20)
    page = response.content.decode()
    assert response.status_code == 200
    assert "Is this amount right?" in page
    assert "Yes, ask for ¥5,000.00" in page
    with enter_scope(desk.shop.scope):
        assert Order.objects.filter(amount_minor=500_000).count() == 0
    # A yes to another amount is none; back keeps what was typed.
    assert "Is this amount right?" in desk.post(amount="5000.01", large="500000").content.decode()
    assert 'value="5000.00"' in desk.page("?amount=5000.00")
    # The same yes twice is one order.
    for _press in range(2):
        answer = desk.post(amount="5000", large="500000", nonce="q" * 20)
        assert answer.status_code == 303
    with enter_scope(desk.shop.scope):
        assert Order.objects.filter(amount_minor=500_000).count() == 1


def test_what_is_large_goes_by_the_stores_last_thirty_days(desk: Desk) -> None:
    def asked(amount: str) -> bool:
        return "Is this amount right?" in desk.post(amount=amount).content.decode()

    with enter_scope(desk.shop.scope):
        elsewhere: Store = Store.objects.create(name="二号店")
        far = make_paid(desk.shop, desk.account, minor=900_000, now=clock.now())
        Payment.objects.filter(pk=far.pk).update(store_id=elsewhere.pk)
    # Nothing was paid in this store yet.
    only = {"store": str(desk.shop.store.pk)}
    assert asked("1000")
    assert desk.post(amount="999.99", **only).status_code == 303
    desk.pay(desk.ask(minor=10_001))
    assert not asked("1000.01")
    desk.clock.shift(timedelta(days=31))
    # A log-in does not last so long.
    desk.cashier.force_login(desk.shop["cashier"])
    assert asked("1000.01")


def test_htmx_gets_the_question_alone(desk: Desk) -> None:
    client = desk.cashier
    form = {"store": str(desk.shop.store.pk), "amount": "80000", "nonce": "z" * 20}
    part = client.post(desk.url(), form, headers={"HX-Request": "true"}).content.decode()
    assert "Is this amount right?" in part
    assert "<html" not in part


def test_a_terminal_of_another_store_is_refused(desk: Desk) -> None:
    with enter_scope(desk.shop.scope):
        elsewhere = Store.objects.create(name="二号店")
        terminal = Terminal.objects.create(store=elsewhere, name="别处")
    response = desk.post(terminal=str(terminal.pk))
    assert response.status_code == 422
    assert "does not stand in this store" in response.content.decode()


def test_htmx_gets_the_part_alone(desk: Desk) -> None:
    order = desk.ask()
    for path in ("", f"{order.pk}/", "heard/"):
        page = desk.cashier.get(desk.url(path), headers={"HX-Request": "true"})
        assert "<html" not in page.content.decode()


def test_waiting_paying_paid(desk: Desk) -> None:
    order = desk.ask()
    assert desk.stage(order) == "waiting"
    desk.open_attempt(order)
    assert desk.stage(order) == "paying"
    page = desk.page(f"{order.pk}/")
    assert "data-desk-watch" in page
    assert "The customer is paying" in page
    desk.pay(order)
    assert desk.stage(order) == "paid"
    page = desk.page(f"{order.pk}/")
    assert "data-desk-watch" not in page
    assert "Next customer" in page
    assert 'http-equiv="refresh"' not in page


def test_cancelling_an_order_that_nobody_opened_ends_it(desk: Desk) -> None:
    order = desk.ask()
    response = desk.cashier.post(desk.url(f"{order.pk}/cancel/"))
    assert (response.status_code, response["Location"]) == (303, desk.url())
    assert desk.stage(order) == "closed"


def test_cancelling_while_the_customer_pays_leads_to_how_it_ends(desk: Desk) -> None:
    order = desk.ask()
    payment = desk.open_attempt(order)
    response = desk.cashier.post(desk.url(f"{order.pk}/cancel/"))
    assert response["Location"] == desk.url(f"{order.pk}/")
    assert desk.stage(order) == "asking"
    # The money came in the last moment: it counts.
    with enter_scope(desk.shop.scope):
        apply_payment_result(
            payment_id=payment.pk,
            result=paid_result(payment),
            via="notification",
            now=NOW,
            actor=Actor.system("test"),
        )
    assert desk.stage(order) == "paid"


def test_an_order_past_its_time_is_closed(desk: Desk) -> None:
    order = desk.ask()
    desk.clock.shift(timedelta(minutes=16))
    assert desk.stage(order) == "closed"


def test_the_place_is_remembered_also_at_the_till(desk: Desk) -> None:
    with enter_scope(desk.shop.scope):
        Store.objects.create(name="零号店")
        terminal = Terminal.objects.create(store=desk.shop.store, name="收银台")
    desk.post(terminal=str(terminal.pk))
    for path in (desk.url(), f"/m/{desk.shop.slug}/till/"):
        form = desk.cashier.get(path).context["form"]
        assert (form["store"].value(), form["terminal"].value()) == (
            desk.shop.store.pk,
            terminal.pk,
        )


# What is called out


def test_what_comes_in_is_called_out_in_the_pages_language(desk: Desk) -> None:
    payment = desk.pay(desk.ask())
    heard = desk.page("heard/")
    assert f'data-call="{payment.pk}"' in heard
    assert 'data-minor="1250"' in heard
    assert 'data-say="WeChat Pay: 12.50 yuan received"' in heard
    chinese = desk.cashier.get(desk.url("heard/"), headers={"Accept-Language": "zh-hans"})
    assert 'data-say="微信支付到账 12.50 元"' in chinese.content.decode()
    assert 'data-voice="en-US"' in desk.page()


def test_only_what_is_fresh_and_ones_own_is_called_out(desk: Desk) -> None:
    own = desk.pay(desk.ask())
    others = desk.pay(desk.ask(desk.other, minor=700))
    with enter_scope(desk.shop.scope):
        by_code = make_paid(desk.shop, desk.account, minor=900)
    heard = desk.page("heard/")
    assert re.findall(r'data-call="(\d+)"', heard) == [str(own.pk)]
    for elsewhere in (others, by_code):
        assert f'data-minor="{elsewhere.amount_minor}"' not in heard
    # Not even to those who may see everybody's: it is not their desk.
    assert "data-call" not in desk.page("heard/", desk.client(desk.shop["owner"]))
    desk.clock.shift(timedelta(minutes=11))
    assert "data-call" not in desk.page("heard/")


# Today's receipts


def test_the_queue_of_todays_receipts_adds_up(desk: Desk) -> None:
    desk.pay(desk.ask(minor=1_000))
    desk.pay(desk.ask(minor=250))
    desk.pay(desk.ask(desk.other, minor=9_999))
    desk.ask(minor=55_500)
    page = desk.page("today/")
    main = page.split('id="receipts"')[1]
    assert "¥12.50" in main
    assert "2 payments" in main
    assert "99.99" not in page
    assert "555.00" not in page
    # The cashier cannot ask for more.
    assert "99.99" not in desk.page("today/?who=all")
    owner = desk.client(desk.shop["owner"])
    assert "Nothing taken yet today" in desk.page("today/", owner)
    everybody = desk.page("today/?who=all", owner)
    assert "¥112.49" in everybody
    assert "second@tea.test" in everybody


def test_the_days_sums_go_by_booked_days_as_a_slow_second_count_does(desk: Desk) -> None:
    """Sales and refunds of several days by two cashiers and a printed code, counted again row by row."""
    dice = random.Random(5)
    takers = {"cashier": desk.shop["cashier"], "other": desk.other}
    payments: list[tuple[str, Payment]] = []
    days = []
    for _day in range(4):
        days.append(clock.business_date(clock.now()))
        for _number in range(5):
            who = dice.choice(list(takers))
            payments.append(
                (who, desk.pay(desk.ask(takers[who], minor=dice.randrange(500, 9_000))))
            )
            desk.clock.shift(timedelta(minutes=7))
        for _number in range(3):
            # Of any day: most of what goes back was taken on an earlier one.
            _who, payment = dice.choice(payments)
            give_back(desk, payment, dice.randrange(1, 120))
        desk.clock.shift(timedelta(days=1))
    with enter_scope(desk.shop.scope):
        make_paid(desk.shop, desk.account, minor=777, now=clock.now())
        days.append(clock.business_date(clock.now()))
        slow: dict[tuple[str, date], list[int]] = {}
        for one in Payment.objects.select_related("order"):
            if one.order.taken_by_id is None:
                continue
            for key in (str(one.order.taken_by_id), "all"):
                counted = slow.setdefault((key, one.booked_date), [0, 0, 0, 0])  # type: ignore[arg-type]  # all are booked
                counted[0] += 1
                counted[1] += one.amount_minor
        for row in Refund.objects.select_related("payment__order"):
            for key in (str(row.payment.order.taken_by_id), "all"):
                counted = slow.setdefault((key, row.booked_date), [0, 0, 0, 0])  # type: ignore[arg-type]  # as above
                counted[2] += 1
                counted[3] += row.amount_minor
        for day in days:
            for key, member in (("all", None), *((str(u.pk), u) for u in takers.values())):
                sums = sum_receipts(day, taken_by=member)
                found = [sums.paid_count, sums.paid_minor, sums.refund_count, sums.refund_minor]
                assert found == slow.get((key, day), [0, 0, 0, 0]), (key, day)
                assert len(list_given_back(day, taken_by=member)) == sums.refund_count
        # The page of the whole day, less what a printed code took.
        whole = day_so_far(now=clock.now() - timedelta(days=1), day_starts_at=time(0)).today
        sums = sum_receipts(days[3], taken_by=None)
        assert (whole.payment_minor, whole.refund_count, whole.refund_minor) == (
            sums.paid_minor,
            sums.refund_count,
            sums.refund_minor,
        )


def give_back(desk: Desk, payment: Payment, minor: int) -> None:
    with enter_scope(desk.shop.scope):
        row = request_refund(
            payment_id=payment.pk,
            amount=Money(minor),
            reason="x",
            member=desk.shop["manager"],
            actor=ACTOR,
            now=clock.now(),
        )
        apply_refund_result(
            refund_id=row.pk,
            result=RefundResult(
                outcome=Outcome.SUCCEEDED,
                order_no=row.payment.order_no,
                refund_no=row.refund_no,
                platform_refund_no=f"50{row.pk:026d}",
                amount=Money(minor),
                refunded_at=clock.now(),
            ),
            via="poll",
            now=clock.now(),
            actor=ACTOR,
        )


def test_a_refund_of_an_earlier_sale_stands_on_the_day_it_went_back(desk: Desk) -> None:
    sale = desk.pay(desk.ask(minor=1_000))
    desk.clock.shift(timedelta(days=1))
    give_back(desk, sale, 300)
    page = desk.page("today/")
    main = page.split('id="receipts"')[1]
    assert "−¥3.00" in main
    assert "1 refund" in main
    assert "0 payments" in main
    assert "Given back today" in main
    assert "Nothing taken yet today" not in main
    other = desk.page("today/", desk.client(desk.other))
    assert "3.00" not in other.split('id="receipts"')[1]
    everybody = desk.page("today/?who=all", desk.client(desk.shop["owner"]))
    assert "−¥3.00" in everybody


def test_yesterdays_receipts_are_not_todays(desk: Desk) -> None:
    desk.pay(desk.ask())
    desk.clock.shift(timedelta(days=1))
    assert "Nothing taken yet today" in desk.page("today/")


def test_the_queue_goes_on_page_by_page(desk: Desk) -> None:
    for minor in range(100, 132):
        desk.pay(desk.ask(minor=minor))
    first = desk.page("today/")
    assert "32 payments" in first
    assert first.count("data-key=") == 30
    older = re.search(r'href="[^"]*(\?after=[^"]+)"', first)
    assert older is not None
    second = desk.page(f"today/{older[1]}")
    assert second.count("data-key=") == 2
    assert "data-live-older" in second
    assert desk.cashier.get(desk.url("today/?after=nonsense")).status_code == 400


# Whose money


def test_another_cashiers_order_is_404(desk: Desk) -> None:
    order = desk.ask(desk.other)
    assert desk.cashier.get(desk.url(f"{order.pk}/")).status_code == 404
    assert desk.cashier.post(desk.url(f"{order.pk}/cancel/")).status_code == 404
    assert desk.cashier.get(f"/m/{desk.shop.slug}/till/{order.pk}/").status_code == 404
    assert desk.client(desk.shop["manager"]).get(desk.url(f"{order.pk}/")).status_code == 200
    with enter_scope(desk.shop.scope):
        order.refresh_from_db()
        assert order.state == "open"


def test_an_order_that_no_member_took_has_no_page_here(desk: Desk) -> None:
    with enter_scope(desk.shop.scope):
        paid = make_paid(desk.shop, desk.account)
    for role in ("owner", "cashier"):
        client = desk.client(desk.shop[role])
        assert client.get(desk.url(f"{paid.order_id}/")).status_code == 404


@pytest.mark.parametrize("role", Role.values)
def test_roles(desk: Desk, role: str) -> None:
    may = role in {"owner", "manager", "cashier"}
    client = desk.client(desk.shop[role])
    for path in ("", "heard/", "today/", "shift/"):
        assert client.get(desk.url(path)).status_code == (200 if may else 403), path
    assert desk.post(client).status_code == (303 if may else 403)


def test_a_member_of_one_store_asks_only_there(desk: Desk) -> None:
    with enter_scope(desk.shop.scope):
        mine = Store.objects.create(name="二号店")
    elsewhere = desk.ask()
    Membership.objects.filter(user=desk.shop["cashier"]).update(store_ids=[mine.pk])
    assert desk.post().status_code == 422
    assert desk.cashier.get(desk.url(f"{elsewhere.pk}/")).status_code == 404
    assert desk.post(store=str(mine.pk)).status_code == 303


def test_a_shop_without_an_open_store_says_so(desk: Desk) -> None:
    with enter_scope(desk.shop.scope):
        Store.objects.update(is_active=False)
    assert "None of your stores is open" in desk.page()
    assert desk.post().status_code == 422


# Cost


def test_how_much_the_pages_ask(
    desk: Desk, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    order = desk.ask()
    desk.open_attempt(order)
    for minor in range(300, 305):
        desk.pay(desk.ask(minor=minor))
    # Session, user, membership, scope in and out; stores, terminals, accounts, what is not settled, the shift, what is
    # called out; the frame: memberships, what waits.
    with django_assert_num_queries(14):
        desk.cashier.get(desk.url())
    # The order, its attempts, and what is called out in place of the six.
    with django_assert_num_queries(10):
        desk.cashier.get(desk.url(f"{order.pk}/"))
    # What an open page asks every three seconds: the order's part, and what is called out.
    part = {"HX-Request": "true"}
    with django_assert_num_queries(7):
        desk.cashier.get(desk.url(f"{order.pk}/"), headers=part)
    with django_assert_num_queries(6):
        desk.cashier.get(desk.url("heard/"), headers=part)
    # The rows and the sums of what came and what went back; what went back, where there is any.
    with django_assert_num_queries(8):
        desk.cashier.get(desk.url("today/"), headers=part)
    with enter_scope(desk.shop.scope):
        sale = Payment.objects.filter(state="succeeded").order_by("pk")[0]
    for minor in (3, 4, 5):
        give_back(desk, sale, minor)
    with django_assert_num_queries(9):
        desk.cashier.get(desk.url("today/"), headers=part)


# Two at once


@pytest.mark.django_db(transaction=True)
def test_one_form_sent_at_the_same_moment_is_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop()
    start = threading.Barrier(8)
    orders: list[int] = []

    def press() -> None:
        try:
            with enter_scope(shop.scope):
                start.wait()
                order = ask_at_desk(
                    store_id=shop.store.pk,
                    terminal_id=None,
                    amount=Money(100),
                    subject="x",
                    nonce="n" * 20,
                    member=shop["cashier"],
                    now=NOW,
                    actor=ACTOR,
                )
                orders.append(order.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(orders) == 8
    assert len(set(orders)) == 1
    with enter_scope(shop.scope):
        assert Order.objects.count() == 1
