"""The receipt of a paid order, and asking for money back there."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client

from apps.checkout.models import Receipt
from apps.checkout.services import RECEIPT_KEPT, receipt_of
from apps.checkout.tests.conftest import ACTOR, DESK, Shop, browser
from apps.core.doors import new_token
from apps.core.models import Door
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.tests.factories import NOW as SHOP_NOW
from apps.merchants.tests.factories import make_shop, make_user
from apps.payments.models import Order
from apps.payments.tests.factories import make_account, make_order, make_paid
from apps.platforms.tests.wechatpay_server import NOW
from apps.refunds.models import Refund, RefundRequest
from apps.refunds.services import accept_request, decline_request, request_refund, set_request_terms


def let_ask(shop: Shop, **terms: Any) -> None:
    with enter_scope(shop.scope):
        set_request_terms(
            **{"is_open": True, "days": 7, "policy": "", "actor": ACTOR, "now": NOW, **terms}
        )


@pytest.fixture
def client(shop: Shop) -> Client:
    return browser(DESK)


@pytest.fixture
def order(shop: Shop, client: Client) -> Order:
    """An order of ¥12.50 that was paid by Alipay and whose page has just been looked at."""
    sent = {"nonce": new_token(20), "amount": "12.50", "note": "<b>7</b>号桌", "wallet": "alipay"}
    assert client.post(f"/q/{shop.code.token}", sent).status_code == 303
    (order,) = shop.orders()
    (payment,) = shop.payments()
    shop.alipay.codes[payment.order_no] = {"total_amount": "12.50"}
    shop.alipay.pay(payment.order_no)
    with time_machine.travel(NOW + timedelta(seconds=2), tick=False):
        client.get(f"/pay/{order.token}")
    with enter_scope(shop.scope):
        order.refresh_from_db()
    assert order.paid_at
    return order


@pytest.fixture
def address(shop: Shop, order: Order) -> str:
    with enter_scope(shop.scope):
        return f"/receipt/{Receipt.objects.get(order=order).token}"


def state(client: Client, address: str) -> str:
    (word,) = re.findall(
        r'data-testid="receipt-state">([^<]*)<', client.get(address).content.decode()
    )
    return str(word)


def test_it_shows_what_was_paid_and_nobody_who_paid(
    shop: Shop, client: Client, order: Order, address: str
) -> None:
    response = browser(DESK).get(address)
    page = response.content.decode()
    (payment,) = shop.payments()
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    for words in ("¥12.50", "Alipay", "China time", "Morning Coffee", "&lt;b&gt;7&lt;/b&gt;号桌"):
        assert words in page
    assert f'data-number="{payment.order_no}"' in page
    groups = re.search(r'data-testid="platform-no">(.*?)</dd>', page)
    assert groups is not None
    assert re.sub(r"<[^>]+>", "", groups[1]) == payment.platform_trade_no
    assert state(client, address) == "Paid"
    # It opens the receipt and nothing else.
    assert order.token not in page
    assert payment.payer_masked == "" or payment.payer_masked not in page
    assert "ask-refund" not in page


def test_it_is_the_same_link_each_time_and_lasts(
    shop: Shop, client: Client, order: Order, address: str, clock: time_machine.Traveller
) -> None:
    assert address in client.get(f"/pay/{order.token}").content.decode()
    assert order.paid_at is not None
    clock.move_to(order.paid_at + RECEIPT_KEPT - timedelta(seconds=1))
    assert client.get(address).status_code == 200
    clock.move_to(order.paid_at + RECEIPT_KEPT)
    response = client.get(address)
    assert response.status_code == 410
    assert "¥12.50" not in response.content.decode()
    assert client.post(f"{address}/refund", {}).status_code == 303


def test_refunds_stand_on_it_as_they_are_now(shop: Shop, client: Client, address: str) -> None:
    (payment,) = shop.payments()
    with enter_scope(shop.scope):
        request_refund(
            payment_id=payment.pk,
            amount=Money(250),
            reason="secret words",
            member=None,
            actor=ACTOR,
            now=NOW,
        )
    page = client.get(address).content.decode()
    assert 'data-testid="refund" data-state="ready"' in page
    assert "On its way back to you" in page
    assert "secret words" not in page
    assert state(client, address) == "Paid"


def test_the_whole_way_of_a_request(shop: Shop, client: Client, address: str) -> None:
    let_ask(shop, policy="7 天内可退 <script>")
    page = client.get(f"{address}/refund").content.decode()
    assert "&lt;script&gt;" in page
    assert 'value="12.50"' in page
    sent = {"reason": "quality", "amount": "２．５", "words": "🍵‮<i>", "contact": "13812345678"}
    assert client.post(f"{address}/refund", sent)["Location"] == address
    page = client.get(address).content.decode()
    assert 'data-testid="request" data-state="asked"' in page
    assert "¥2.50" in page
    assert "13812345678" not in page
    assert "138****" not in page
    assert "ask-refund" not in page
    # Sent again: the open one stays alone.
    assert client.post(f"{address}/refund", sent)["Location"] == f"{address}#refund"
    with enter_scope(shop.scope):
        (asked,) = RefundRequest.objects.all()
        assert asked.words.isprintable()
    assert client.post(f"{address}/withdraw")["Location"] == address
    assert 'data-state="withdrawn"' in client.get(address).content.decode()
    assert client.post(f"{address}/withdraw").status_code == 303


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"amount": "12.51"}, 422),
        ({"amount": "0"}, 422),
        ({"amount": "-1"}, 422),
        ({"amount": "0.001"}, 422),
        ({"amount": "1e9"}, 422),
        ({"amount": "9" * 10_000}, 422),
        ({"reason": ""}, 422),
        ({"reason": "<script>"}, 422),
        ({"words": "长" * 10_000}, 422),
        ({"contact": "1" * 81}, 422),
    ],
)
def test_what_is_wrong_is_told_and_nothing_kept(
    shop: Shop, client: Client, address: str, wrong: dict[str, str], status: int
) -> None:
    let_ask(shop)
    sent = {"reason": "quality", "amount": "1", **wrong}
    response = client.post(f"{address}/refund", sent)
    assert response.status_code == status
    assert 'role="alert"' in response.content.decode()
    with enter_scope(shop.scope):
        assert RefundRequest.objects.count() == 0


def test_the_answers_stand_on_it(shop: Shop, client: Client, address: str) -> None:
    let_ask(shop)
    sent = {"reason": "other", "amount": "1"}
    member = make_shop("other")["owner"]
    client.post(f"{address}/refund", sent)
    with enter_scope(shop.scope):
        asked = RefundRequest.objects.get()
        decline_request(
            request_id=asked.pk, answer="<b>太久</b>", member=member, now=NOW, actor=ACTOR
        )
    page = client.get(address).content.decode()
    assert "&lt;b&gt;太久&lt;/b&gt;" in page
    client.post(f"{address}/refund", sent)
    with enter_scope(shop.scope):
        asked = RefundRequest.objects.get(state="asked")
        accept_request(request_id=asked.pk, member=member, now=NOW, actor=ACTOR)
        assert Refund.objects.count() == 1
    assert 'data-testid="request" data-state="accepted"' in client.get(address).content.decode()


def test_where_the_shop_takes_none_a_crafted_post_makes_none(
    shop: Shop, client: Client, address: str
) -> None:
    sent = {"reason": "other", "amount": "1"}
    assert client.get(f"{address}/refund")["Location"] == f"{address}#refund"
    assert client.post(f"{address}/refund", sent)["Location"] == f"{address}#refund"
    assert "takes no requests" in why_not(client, address)
    with enter_scope(shop.scope):
        assert RefundRequest.objects.count() == 0


def why_not(client: Client, address: str, language: str = "en") -> str:
    """What the receipt says about why nothing can be asked for; "" where it can."""
    page = client.get(address, headers={"Accept-Language": language}).content.decode()
    found = re.search(r'id="refund" data-testid="why-not">([^<]*)<', page)
    assert (found is None) == ('data-testid="ask-refund"' in page)
    return found[1] if found else ""


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("may", ""),
        ("asked", "You have asked already"),
        ("late", "within 7 days of paying"),
        ("asked and late", "You have asked already"),
        ("under way", "on its way to you"),
        ("part", ""),
    ],
)
def test_it_says_why_a_refund_cannot_be_asked_for(
    shop: Shop, client: Client, address: str, case: str, words: str
) -> None:
    let_ask(shop)
    sent = {"reason": "other", "amount": "1"}
    with time_machine.travel(NOW + timedelta(minutes=1), tick=False) as traveller:
        if "asked" in case:
            assert client.post(f"{address}/refund", sent)["Location"] == address
        if case in {"under way", "part"}:
            with enter_scope(shop.scope):
                request_refund(
                    payment_id=shop.payments()[0].pk,
                    amount=Money(1_250 if case == "under way" else 200),
                    reason="x",
                    member=make_user(f"{new_token(8)}@x.test".lower()),
                    actor=ACTOR,
                    now=NOW,
                )
        if "late" in case:
            traveller.shift(timedelta(days=8))
        said = why_not(client, address)
        assert words in said
        assert bool(said) == bool(words)
        if words:
            assert client.get(f"{address}/refund")["Location"] == f"{address}#refund"
            assert client.post(f"{address}/refund", sent)["Location"] == f"{address}#refund"
            with enter_scope(shop.scope):
                assert RefundRequest.objects.count() == int("asked" in case)
        else:
            assert client.get(f"{address}/refund").status_code == 200


def test_an_unpaid_order_has_no_receipt(db: None) -> None:
    shop = make_shop()
    with enter_scope(shop.scope), pytest.raises(ValueError, match="not paid"):
        receipt_of(order=make_order(shop), now=SHOP_NOW)


def test_made_by_many_at_once_there_is_one_with_one_door(transactional_db: None) -> None:
    shop = make_shop()
    with enter_scope(shop.scope):
        paid = make_paid(shop, make_account(shop)).order
        paid.refresh_from_db()
    start, found = threading.Barrier(8), []

    def make() -> None:
        try:
            start.wait()
            with enter_scope(shop.scope):
                found.append(receipt_of(order=paid, now=SHOP_NOW).token)
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert Door.objects.filter(kind="receipt").count() == 1
