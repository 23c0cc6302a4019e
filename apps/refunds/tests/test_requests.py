"""Customers who ask for money back: what may be asked, the shop's answer, and many at the same moment."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from apps.core.audit import Actor
from apps.core.encryption import unseal
from apps.core.models import Due
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.models import Membership, Role, Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop, make_user
from apps.payments.models import Order, Payment
from apps.payments.tests.factories import make_account, make_paid, make_payment
from apps.refunds import services, tasks
from apps.refunds.models import Refund, RefundRequest, RefundState, RequestReason, RequestState
from apps.refunds.selectors import contact_of, open_requests
from apps.refunds.services import requests

PAYER = Actor("payer")
DESK = Actor("desk")
THREADS = 8


@pytest.fixture(autouse=True)
def fresh_counts() -> None:
    cache.clear()


def open_terms(shop: Shop, *, days: int = 7) -> None:
    with inside(shop):
        services.set_request_terms(
            is_open=True, days=days, policy="7 天内可退", actor=DESK, now=NOW
        )


def ask(payment: Payment, minor: int = 1_000, **changes: Any) -> RefundRequest:
    given_: dict[str, Any] = {
        "reason": RequestReason.QUALITY,
        "words": "",
        "contact": "",
        "client_ip": "192.0.2.1",
        "now": NOW,
        "actor": PAYER,
    }
    return services.ask_for_refund(payment=payment, amount=Money(minor), **(given_ | changes))


@pytest.fixture
def shop(db: None) -> Shop:
    shop = make_shop()
    open_terms(shop)
    return shop


@pytest.fixture
def payment(shop: Shop) -> Payment:
    with inside(shop):
        return make_paid(shop, make_account(shop), minor=50_000)


class TestAsking:
    def test_a_request_moves_and_reserves_nothing(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            asked = ask(payment, 50_000)
            payment.refresh_from_db()
            assert (asked.state, payment.refund_reserved_minor) == ("asked", 0)
            assert Refund.objects.count() == 0

    def test_one_open_request_a_payment(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            ask(payment)
            with pytest.raises(services.NotAskable, match="open"):
                ask(payment)
            services.withdraw_request(payment=payment, now=NOW, actor=PAYER)
            ask(payment)

    def test_the_database_holds_it_too(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            first = ask(payment)
            first.pk = None
            with pytest.raises(IntegrityError), transaction.atomic():
                first.save(force_insert=True)

    @pytest.mark.parametrize("minor", [0, -1, 50_001, 10**14])
    def test_never_more_than_is_left(self, shop: Shop, payment: Payment, minor: int) -> None:
        with inside(shop), pytest.raises(services.OverRefund):
            ask(payment, minor)

    def test_not_after_the_last_day(self, shop: Shop, payment: Payment) -> None:
        end = NOW + timedelta(days=7)
        with inside(shop):
            with pytest.raises(services.NotAskable, match="late"):
                ask(payment, now=end)
            ask(payment, now=end - timedelta(seconds=1))

    def test_not_where_the_shop_does_not_let_them(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            services.set_request_terms(is_open=False, days=7, policy="", actor=DESK, now=NOW)
            with pytest.raises(services.NotAskable, match="off"):
                ask(payment)

    def test_not_of_what_is_not_paid(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            other = make_payment(shop, payment.account)
            with pytest.raises(services.NotAskable, match="not_paid"):
                ask(other)

    def test_not_again_and_again(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            for _turn in range(5):
                ask(payment)
                services.withdraw_request(payment=payment, now=NOW, actor=PAYER)
            with pytest.raises(services.NotAskable, match="often"):
                ask(payment)

    def test_the_contact_is_sealed_masked_and_forgotten(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            asked = ask(payment, contact="13812345678")
            asked.refresh_from_db()
            assert asked.contact_masked == "138****78"
            sealed = bytes(asked.contact_sealed or b"")
            assert b"13812345678" not in sealed
            opened = unseal(sealed, merchant_id=asked.merchant_id, purpose=requests.CONTACT_PURPOSE)
            assert opened.decode() == contact_of(asked) == "13812345678"
            due = Due.objects.get(task="refunds.forget_contact", subject_id=asked.pk)
            assert due.due_at == NOW + timedelta(days=30)
            tasks.forget_contact(asked.pk, due.due_at)
            asked.refresh_from_db()
            assert (contact_of(asked), asked.contact_masked) == ("", "")

    @given(st.text(max_size=80))
    def test_a_mask_never_shows_a_contact(self, contact: str) -> None:
        shown = requests.masked(contact)
        assert len(shown) <= 60
        assert "****" in shown or "***@" in shown
        # What is nothing but stars and signs may stand in a mask by chance.
        assert not contact.strip("*@") or contact not in shown


class TestAnswering:
    def test_accepting_makes_an_ordinary_refund(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            asked = ask(payment, 1_000)
            done = services.accept_request(
                request_id=asked.pk, member=shop["cashier"], now=NOW, actor=DESK
            )
            payment.refresh_from_db()
            assert done.state == RequestState.ACCEPTED
            assert done.refund.state == RefundState.READY
            assert (done.refund.amount_minor, payment.refund_reserved_minor) == (1_000, 1_000)

    def test_above_the_rule_another_member_confirms(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            asked = ask(payment, 30_000)
            done = services.accept_request(
                request_id=asked.pk, member=shop["cashier"], now=NOW, actor=DESK
            )
            assert done.refund.state == RefundState.WAITING
            assert done.refund.requested_by == shop["cashier"]

    def test_what_was_refunded_meanwhile_is_not_refunded_again(
        self, shop: Shop, payment: Payment
    ) -> None:
        with inside(shop):
            asked = ask(payment, 50_000)
            services.request_refund(
                payment_id=payment.pk,
                amount=Money(1),
                reason="x",
                member=shop["cashier"],
                actor=DESK,
                now=NOW,
            )
            with pytest.raises(services.OverRefund):
                services.accept_request(
                    request_id=asked.pk, member=shop["cashier"], now=NOW, actor=DESK
                )
            asked.refresh_from_db()
            assert asked.state == RequestState.ASKED

    def test_an_answer_is_given_once(self, shop: Shop, payment: Payment) -> None:
        with inside(shop):
            asked = ask(payment)
            services.withdraw_request(payment=payment, now=NOW, actor=PAYER)
            with pytest.raises(services.NotOpen):
                services.accept_request(
                    request_id=asked.pk, member=shop["cashier"], now=NOW, actor=DESK
                )
            with pytest.raises(services.NotOpen):
                services.withdraw_request(payment=payment, now=NOW, actor=PAYER)
            assert Refund.objects.count() == 0


def together(work: Callable[[], object]) -> list[str]:
    """Run ``work`` in all threads at once; the names of what each raised, ``""`` for none."""
    start, outcomes = threading.Barrier(THREADS), []

    def run() -> None:
        try:
            start.wait()
            work()
            outcomes.append("")
        except (services.NotAskable, services.NotOpen, IntegrityError) as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


class TestRaces:
    @pytest.fixture
    def paid(self, transactional_db: None) -> tuple[Shop, Payment]:
        shop = make_shop()
        open_terms(shop)
        with enter_scope(shop.scope):
            return shop, make_paid(shop, make_account(shop), minor=10_000)

    def test_accepted_at_once_by_many_it_is_one_refund(self, paid: tuple[Shop, Payment]) -> None:
        shop, payment = paid
        with enter_scope(shop.scope):
            asked = ask(payment, 4_000)

        def accept() -> None:
            with enter_scope(shop.scope):
                services.accept_request(
                    request_id=asked.pk, member=shop["cashier"], now=NOW, actor=DESK
                )

        assert together(accept) == ["", *["NotOpen"] * (THREADS - 1)]
        with enter_scope(shop.scope):
            payment.refresh_from_db()
            assert (Refund.objects.count(), payment.refund_reserved_minor) == (1, 4_000)

    def test_without_the_lock_one_request_becomes_several_refunds(
        self, paid: tuple[Shop, Payment], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop, payment = paid
        with enter_scope(shop.scope):
            asked = ask(payment, 1_000)
        looked = threading.Barrier(THREADS)

        def unlocked(request_id: int) -> RefundRequest:
            row = RefundRequest.objects.select_related("payment").get(pk=request_id)
            looked.wait()
            assert row.state == RequestState.ASKED
            return row

        monkeypatch.setattr(requests, "_locked", unlocked)

        def accept() -> None:
            with enter_scope(shop.scope):
                services.accept_request(
                    request_id=asked.pk, member=shop["cashier"], now=NOW, actor=DESK
                )

        assert together(accept) == [""] * THREADS
        with enter_scope(shop.scope):
            assert Refund.objects.count() == THREADS

    def test_asked_at_once_by_many_there_is_one_request(self, paid: tuple[Shop, Payment]) -> None:
        shop, payment = paid

        def send() -> None:
            with enter_scope(shop.scope):
                ask(payment)

        outcomes = together(send)
        assert outcomes == ["", *["NotAskable"] * (THREADS - 1)]
        with enter_scope(shop.scope):
            assert RefundRequest.objects.count() == 1

    def test_answered_and_asked_again_at_once_nobody_waits_for_ever(
        self, paid: tuple[Shop, Payment]
    ) -> None:
        shop, payment = paid
        with enter_scope(shop.scope):
            asked = ask(payment)
        turns = iter(range(THREADS))

        def work() -> None:
            with enter_scope(shop.scope):
                if next(turns) % 2:
                    ask(payment)
                else:
                    services.decline_request(
                        request_id=asked.pk,
                        answer="x",
                        member=shop["cashier"],
                        now=NOW,
                        actor=DESK,
                    )

        outcomes = together(work)
        assert outcomes.count("NotOpen") == THREADS // 2 - 1
        assert "IntegrityError" not in outcomes
        with enter_scope(shop.scope):
            assert RefundRequest.objects.filter(state="asked").count() <= 1


def url(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"refunds:{name}", args=[shop.slug, *args])


class TestPages:
    def test_the_queue_and_both_answers(self, client: Client, shop: Shop, payment: Payment) -> None:
        client.force_login(shop["cashier"])
        english: Any = {"headers": {"Accept-Language": "en"}}
        assert (
            "No requests yet" in client.get(url("request_list", shop), **english).content.decode()
        )
        with inside(shop):
            asked = ask(payment, words="<b>冷</b>‮", contact="13812345678")
        page = client.get(url("request_list", shop), **english).content.decode()
        assert "&lt;b&gt;" in page
        assert "13812345678" not in page
        assert ">1<" in client.get(url("refund_list", shop)).content.decode()
        one = url("request_answer", shop, asked.pk)
        assert client.get(one).status_code == 200
        assert client.post(one, {"answering": "decline", "answer": " "}).status_code == 422
        assert client.post(one, {"answering": "decline", "answer": "太久了"}).status_code == 302
        with inside(shop):
            asked.refresh_from_db()
            assert (asked.state, asked.answer) == ("declined", "太久了")
            again = ask(payment, 2_000)
        response = client.post(url("request_answer", shop, again.pk), {"answering": "accept"})
        with inside(shop):
            again.refresh_from_db()
            assert response["Location"] == url("refund_detail", shop, again.refund_id)
        # Pressed twice: told, and nothing more happens.
        client.post(url("request_answer", shop, again.pk), {"answering": "accept"})
        with inside(shop):
            assert Refund.objects.count() == 1

    @pytest.mark.parametrize(
        ("role", "waits"),
        [("owner", 1), ("manager", 1), ("finance", 1), ("cashier", 1), ("auditor", 0)],
    )
    def test_the_bell_and_today_count_who_waits_for_an_answer(
        self, client: Client, shop: Shop, payment: Payment, role: str, waits: int
    ) -> None:
        client.force_login(shop[role])
        english: Any = {"headers": {"Accept-Language": "en"}}
        # A cashier's home is the desk.
        home = f"/m/{shop.slug}/" + ("transactions/" if role == "cashier" else "")
        bell = re.compile(r'shell-waiting" href="([^"]*)" title="([^"]*)"')
        assert not bell.search(client.get(home, **english).content.decode())
        with inside(shop):
            asked = ask(payment)
        page = client.get(home, **english).content.decode()
        found = bell.search(page)
        assert bool(found) == bool(waits)
        assert ('data-need="customers"' in page) == (bool(waits) and role != "cashier")
        if not waits:
            return
        assert found is not None
        assert found[1] == url("request_list", shop)
        assert found[2] == "1 thing waits for you, among them: 1 customer asks for money back"
        listed = client.get(reverse("approvals:approval_list", args=[shop.slug]), **english)
        assert "1 customer asks for money back" in listed.content.decode()
        with inside(shop):
            services.decline_request(
                request_id=asked.pk, answer="x", member=shop["manager"], now=NOW, actor=DESK
            )
        assert not bell.search(client.get(home, **english).content.decode())

    def test_the_bell_opens_a_menu_where_several_kinds_wait(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        client.force_login(shop["owner"])
        english: Any = {"headers": {"Accept-Language": "en"}}
        with inside(shop):
            ask(payment)
        home = f"/m/{shop.slug}/"
        page = client.get(home, **english).content.decode()
        assert "waits for your confirmation" not in page
        with inside(shop):
            services.request_refund(
                payment_id=payment.pk,
                amount=Money(50_000),
                reason="退货",
                member=shop["manager"],
                actor=DESK,
                now=NOW,
            )
        page = client.get(home, **english).content.decode()
        listed = re.findall(r'class="dropdown-item" href="([^"]*)">([^<]*)</a>', page)
        assert (url("request_list", shop), "1 customer asks for money back") in listed
        assert (
            reverse("approvals:approval_list", args=[shop.slug]),
            "1 request waits for your confirmation",
        ) in listed

    def test_the_bell_counts_no_other_stores_and_no_other_cashiers_customers(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        with inside(shop):
            ask(payment)
            Order.objects.filter(pk=payment.order_id).update(taken_by=shop["manager"])
        client.force_login(shop["cashier"])
        home = f"/m/{shop.slug}/transactions/"
        assert "shell-waiting" not in client.get(home).content.decode()
        with inside(shop):
            Order.objects.filter(pk=payment.order_id).update(taken_by=shop["cashier"])
        assert "shell-waiting" in client.get(home).content.decode()
        Membership.objects.filter(user=shop["cashier"]).update(store_ids=[shop.store.pk + 1])
        assert "shell-waiting" not in client.get(home).content.decode()

    def test_another_stores_member_sees_and_answers_nothing(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        with inside(shop):
            asked = ask(payment)
            other = Store.objects.create(name="二号店")
        user = make_user("limited@tea.test")
        Membership.objects.create(
            merchant=shop.merchant, user=user, role=Role.CASHIER, store_ids=[other.pk]
        )
        client.force_login(user)
        assert "data-row-href" not in client.get(url("request_list", shop)).content.decode()
        answer = client.post(url("request_answer", shop, asked.pk), {"answering": "accept"})
        assert answer.status_code == 404

    def test_the_queue_costs_the_same_however_long(
        self, client: Client, shop: Shop, payment: Payment, django_assert_num_queries: Any
    ) -> None:
        client.force_login(shop["owner"])
        counts = []
        for _round in range(2):
            with inside(shop):
                for _one in range(3):
                    ask(make_paid(shop, payment.account))
            with django_assert_num_queries(10) as queries:
                client.get(url("request_list", shop))
            counts.append(len(queries))
        assert counts[0] == counts[1]
        with inside(shop):
            assert len(open_requests()) == 6

    @pytest.mark.parametrize(
        "wrong", [{"days": "0"}, {"days": "366"}, {"days": "x"}, {"policy": "长" * 601}]
    )
    def test_wrong_terms_are_told(self, client: Client, shop: Shop, wrong: dict[str, str]) -> None:
        client.force_login(shop["owner"])
        sent = {"is_open": "on", "days": "7", "policy": "", **wrong}
        assert client.post(url("request_settings", shop), sent).status_code == 422
        sent = {"is_open": "on", "days": "14", "policy": "当天可退"}
        assert client.post(url("request_settings", shop), sent).status_code == 302
        with translation.override("en"):
            page = client.get(url("request_settings", shop)).content.decode()
        assert "当天可退" in page
