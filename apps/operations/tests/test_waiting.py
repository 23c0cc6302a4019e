"""What is waiting: said why, paged without gaps, hastened on a press, and only one's own."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from pytest_django import DjangoAssertNumQueries

from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.merchants.models import Terminal
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.operations import wording
from apps.operations.selectors import Waiting, held_by_breaker, other_dues, waiting_page
from apps.payments.models import Payment, PaymentState
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.gateway import Product
from apps.platforms.models import AccountPace, AccountTerminal, PlatformAccount
from apps.platforms.wording import remark_words, trouble_words
from apps.refunds.models import Refund, RefundState
from apps.refunds.services import request_refund


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


def make_waiting(
    shop: Shop, account: PlatformAccount, *, count: int = 1, reason: str = ""
) -> list[Payment]:
    """Payments under way, each with a due that comes in a minute."""
    made = []
    for _number in range(count):
        payment = make_paid(shop, account)
        Payment.objects.filter(pk=payment.pk).update(
            state=PaymentState.PENDING, paid_at=None, booked_date=None, created_at=NOW
        )
        Due.objects.create(
            task="payments.poll",
            merchant_id=shop.merchant.pk,
            subject_id=payment.pk,
            due_at=clock.now() + timedelta(minutes=1),
            last_error=reason,
        )
        made.append(Payment.objects.get(pk=payment.pk))
    return made


def text_of(client: Client, language: str = "en") -> str:
    response = client.get("/m/tea/waiting/", headers={"accept-language": language})
    assert response.status_code == 200
    return response.content.decode()


def test_nothing_waits_and_the_page_says_so(shop: Shop, client: Client) -> None:
    client.force_login(shop["owner"])
    assert "No payment and no refund is waiting" in text_of(client)


def test_it_says_what_waits_and_why(shop: Shop, client: Client) -> None:
    with inside(shop):
        account = make_account(shop)
        (waits,) = make_waiting(shop, account)
        (silent,) = make_waiting(shop, account)
        Payment.objects.filter(pk=silent.pk).update(message="no answer in 10 seconds", poll_count=3)
        Payment.objects.filter(pk=waits.pk).update(expires_at=clock.now() + timedelta(minutes=5))
        paid = make_paid(shop, account)
        refund = request_refund(
            payment_id=paid.pk,
            amount=Money(100),
            reason="x",
            member=shop["owner"],
            actor=Actor("t"),
            now=NOW,
        )
        Refund.objects.filter(pk=refund.pk).update(state=RefundState.QUEUED)
    client.force_login(shop["owner"])
    text = text_of(client)
    assert "The customer has not paid yet." in text
    assert "Last answer: no answer in 10 seconds" in text
    assert "3 times" in text
    assert "holds too little" in text
    assert "Not asked yet" in text


def test_each_row_names_its_payment_and_leads_to_the_order(shop: Shop, client: Client) -> None:
    with inside(shop):
        account = make_account(shop)
        waits = make_waiting(shop, account, count=3)
        paid = make_paid(shop, account)
        refund = request_refund(
            payment_id=paid.pk,
            amount=Money(100),
            reason="x",
            member=shop["owner"],
            actor=Actor("t"),
            now=NOW,
        )
    client.force_login(shop["owner"])
    text = text_of(client)
    numbered = [(one.order_id, one.order_no) for one in waits]
    for order_id, number in [*numbered, (paid.order_id, refund.refund_no)]:
        address = reverse("reports:order_detail", args=["tea", order_id])
        assert f'href="{address}">{number}</a>' in text


@pytest.mark.parametrize("page", ["waiting", "jobs"])
def test_a_check_in_says_of_which_terminal(shop: Shop, client: Client, page: str) -> None:
    with inside(shop):
        account = make_account(shop, platform="shouqianba", merchant_no="1680000000000001")
        place = Terminal.objects.create(store=shop.store, name="前台收银机")
        for terminal, sn in ((place, "100111"), (None, "100222")):
            row = AccountTerminal.objects.create(
                account=account,
                terminal=terminal,
                device_id=sn,
                terminal_sn=sn,
                keys_sealed=b"x",
                activated_at=NOW,
            )
            outbox.enqueue(
                task="platforms.check_in",
                merchant_id=shop.merchant.pk,
                subject_id=row.pk,
                due_at=NOW,
            )
    client.force_login(shop["owner"])
    answer = client.get(f"/m/tea/{page}/", headers={"accept-language": "en"})
    text = html.unescape(answer.content.decode())
    assert "Fetch a terminal's key of the day: 前台收银机, First store (100111)" in text
    assert f"key of the day: the portal's own at {account.label} (100222)" in text


def test_an_open_breaker_is_shown_and_may_be_tried(shop: Shop, client: Client) -> None:
    now = clock.now()
    with inside(shop):
        account = make_account(shop)
        other = make_account(shop, platform="alipay", merchant_no="2088123456789012")
        make_waiting(shop, account, count=2, reason="breaker")
        make_waiting(shop, other, reason="breaker")
        AccountPace.objects.create(
            account=account,
            failures=7,
            openings=1,
            open_until=now + timedelta(minutes=4),
            last_code="timeout",
            last_trouble_at=now,
        )
    client.force_login(shop["owner"])
    text = text_of(client)
    assert "7 calls in a row brought nothing: no answer in time." in text
    assert "Nobody asks it until" in text
    # What the breaker holds cannot be asked about one by one.
    assert text.count("Ask now") == 1
    answer = client.post(reverse("operations:waiting_try", args=["tea", account.pk]))
    assert answer.status_code == 302
    with inside(shop):
        pace = AccountPace.objects.get()
        assert pace.open_until is not None
        assert pace.open_until <= clock.now()
        assert pace.failures == 7
        dues = Due.objects.filter(due_at__lte=clock.now())
        mine = Payment.objects.filter(account=account)
        assert {due.subject_id for due in dues} == set(mine.values_list("pk", flat=True))
        assert len(held_by_breaker(account)) == 2
    assert "Being tried" in text_of(client)


@pytest.mark.parametrize("role", ["manager", "finance", "auditor"])
def test_who_may_only_look_is_offered_nothing_to_press_and_moves_nothing(
    shop: Shop, client: Client, role: str
) -> None:
    until = clock.now() + timedelta(minutes=4)
    with inside(shop):
        silent = make_account(shop)
        other = make_account(shop, platform="alipay", merchant_no="2088123456789012")
        make_waiting(shop, other)
        AccountPace.objects.create(
            account=silent, failures=7, openings=1, open_until=until, last_code="timeout"
        )
    due = Due.objects.get()
    addresses = {
        "Ask now": reverse("operations:waiting_ask", args=["tea", due.pk]),
        "Try the platform now": reverse("operations:waiting_try", args=["tea", silent.pk]),
    }
    client.force_login(shop["owner"])
    for words, address in addresses.items():
        assert words in text_of(client)
        assert address in text_of(client)
    client.force_login(shop[role])
    text = text_of(client)
    assert "7 calls in a row brought nothing: no answer in time." in text
    for words, address in addresses.items():
        assert words not in text
        assert address not in text
        assert client.post(address).status_code == 403
    assert Due.objects.get().due_at == due.due_at
    with inside(shop):
        assert AccountPace.objects.get().open_until == until


def test_one_press_brings_a_look_forward_and_another_changes_nothing_more(
    shop: Shop, client: Client
) -> None:
    with inside(shop):
        make_waiting(shop, make_account(shop))
    due = Due.objects.get()
    client.force_login(shop["owner"])
    address = reverse("operations:waiting_ask", args=["tea", due.pk])
    assert client.post(address).status_code == 302
    first = Due.objects.get()
    assert first.due_at <= clock.now()
    assert client.post(address).status_code == 302
    assert Due.objects.get().due_at == first.due_at
    assert client.get(address).status_code == 405


def test_a_press_while_a_worker_asks_has_it_ask_once_more(shop: Shop, client: Client) -> None:
    with inside(shop):
        make_waiting(shop, make_account(shop))
    now = clock.now() + timedelta(minutes=2)
    (claim,) = outbox.claim(now=now, limit=1)
    client.force_login(shop["owner"])
    client.post(reverse("operations:waiting_ask", args=["tea", claim.due_id]))
    outbox.finish(claim, next_at=None)
    assert Due.objects.get().due_at <= clock.now()


def test_other_work_is_not_hastened(shop: Shop, client: Client) -> None:
    outbox.enqueue(task="statements.fetch", merchant_id=shop.merchant.pk, subject_id=1, due_at=NOW)
    client.force_login(shop["owner"])
    due = Due.objects.get()
    assert client.post(reverse("operations:waiting_ask", args=["tea", due.pk])).status_code == 404
    assert "Fetch a bill" in text_of(client)
    with inside(shop):
        assert [one.pk for one in other_dues()] == [due.pk]


def test_pages_have_no_gaps_and_lead_back(shop: Shop) -> None:
    with inside(shop):
        made = make_waiting(shop, make_account(shop), count=7)
        places: list[int] = []
        page = waiting_page(size=3)
        while True:
            places += [row.due.subject_id for row in page.rows]
            if not page.older:
                break
            page = waiting_page(size=3, after=int(page.older))
        assert places == [payment.pk for payment in reversed(made)]
        back = waiting_page(size=3, before=int(page.newer))
        assert [row.due.subject_id for row in back.rows] == places[3:6]
        assert waiting_page(size=3, before=int(back.newer)).newer == ""


def test_the_page_costs_the_same_however_much_waits(
    shop: Shop, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with inside(shop):
        account = make_account(shop)
        make_waiting(shop, account, count=2)
        # The dues, their payments and no refunds.
        with django_assert_num_queries(2):
            waiting_page()
        make_waiting(shop, account, count=20)
        with django_assert_num_queries(2):
            waiting_page()


@pytest.mark.parametrize(
    ("state", "product", "words"),
    [
        (PaymentState.UNKNOWN, Product.DYNAMIC_QR, "no clear answer"),
        (PaymentState.CLOSED, Product.DYNAMIC_QR, "One last look"),
        (PaymentState.CLOSED, Product.BARCODE, "until that is certain"),
        (PaymentState.SUCCEEDED, Product.DYNAMIC_QR, "paid twice"),
    ],
)
def test_each_state_has_its_sentence(
    shop: Shop, state: PaymentState, product: Product, words: str
) -> None:
    later = NOW + timedelta(minutes=5)
    with inside(shop):
        payment = Payment(state=state, product=product, expires_at=later, payable_until=later)
    waiting = Waiting(Due(task="payments.poll"), payment=payment)
    with translation.override("en"):
        assert words in wording.waiting_words(waiting, pace=None, now=NOW)


def test_what_is_past_its_time_is_said_to_end(shop: Shop) -> None:
    for product, words in ((Product.BARCODE, "undone"), (Product.DYNAMIC_QR, "closed")):
        with inside(shop):
            payment = Payment(state=PaymentState.PENDING, product=product, expires_at=NOW)
        waiting = Waiting(Due(task="payments.poll"), payment=payment)
        with translation.override("en"):
            assert words in wording.waiting_words(waiting, pace=None, now=NOW)


@pytest.mark.parametrize("cursor", ["x", "-1", "1'--1", "9" * 40])
def test_a_tampered_page_link_is_refused(shop: Shop, client: Client, cursor: str) -> None:
    client.force_login(shop["owner"])
    assert client.get("/m/tea/waiting/", {"after": cursor}).status_code == 400


def test_a_connectors_remark_is_said_in_the_readers_language() -> None:
    remark = "the platform's server answered 504"
    with translation.override("en"):
        assert remark_words("alipay", "", remark) == "server trouble (504)"
        assert remark_words("alipay", "", "余额不足") == "The platform's own words: “余额不足”"
        assert trouble_words("http_502") == "server trouble (502)"
