"""An order's pages: handing over, waiting, the result."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import time_machine
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from apps.checkout.services import asking_alone
from apps.checkout.tests.conftest import ALIPAY, DESK, PHONE, WECHAT, Shop, browser
from apps.core import tasks
from apps.core.doors import new_token
from apps.core.models import AuditEvent, Due
from apps.core.tenancy import enter_scope
from apps.payments.models import Order, Payment
from apps.payments.services import expire_order, poll_payment
from apps.platforms.tests.wechatpay_server import NOW


def begin(
    shop: Shop, client: Client, platform: str = "", amount: str = "12.50"
) -> tuple[Order, Any]:
    """Fill in the form behind the code; the order and the answer."""
    form = {"amount": amount, "nonce": new_token(20), "wallet": platform}
    response = client.post(f"/q/{shop.code.token}", form)
    assert response.status_code == 303
    return shop.orders()[-1], response


def page_of(client: Client, order: Order, query: str = "") -> str:
    response = client.get(f"/pay/{order.token}{query}")
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    return str(response.content.decode())


def state_of(page: str) -> str:
    found = re.findall(r'data-testid="order-state" data-state="(\w+)"', page)
    assert len(found) == 1
    return str(found[0])


def status(client: Client, order: Order) -> dict[str, Any]:
    response = client.get(f"/pay/{order.token}/status")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def authorize(client: Client, order: Order) -> str:
    """Let WeChat's authorization page be shown; the state it was given."""
    page = client.get(f"/pay/{order.token}/wechat").content.decode()
    address = re.findall(r'http-equiv="refresh" content="0;url=([^"]+)"', page)[0].replace(
        "&amp;", "&"
    )
    query = parse_qs(urlsplit(address).query)
    assert query["redirect_uri"] == [f"http://localhost:8000/pay/{order.token}/wechat"]
    assert query["scope"] == ["snsapi_base"]
    return str(query["state"][0])


# Alipay


def test_alipay_s_browser_goes_straight_to_its_cashier_page(shop: Shop) -> None:
    client = browser(ALIPAY)
    order, response = begin(shop, client)
    assert response["Location"] == f"/pay/{order.token}/leave/alipay"
    leave = client.get(response["Location"])
    page = leave.content.decode()
    address = re.findall(r'http-equiv="refresh" content="0;url=([^"]+)"', page)[0].replace(
        "&amp;", "&"
    )
    assert urlsplit(address).path == "/gateway.do"
    query = parse_qs(urlsplit(address).query)
    assert query["method"] == ["alipay.trade.wap.pay"]
    assert query["return_url"] == [f"http://localhost:8000/pay/{order.token}"]
    assert json.loads(query["biz_content"][0])["total_amount"] == "12.50"
    assert leave["Referrer-Policy"] == "strict-origin"
    # Made by our own signature: nothing was asked of the platform yet.
    assert shop.alipay.requests == []


def test_coming_back_from_alipay_drops_what_it_added_to_the_address(shop: Shop) -> None:
    client = browser(ALIPAY)
    order, _ = begin(shop, client)
    response = client.get(f"/pay/{order.token}?out_trade_no=1&sign=abc&total_amount=12.50")
    assert (response.status_code, response["Location"]) == (303, f"/pay/{order.token}")


def test_coming_back_the_truth_is_asked_at_once(shop: Shop, clock: time_machine.Traveller) -> None:
    client = browser(ALIPAY)
    order, _ = begin(shop, client)
    (payment,) = shop.payments()
    shop.alipay.codes[payment.order_no] = {"total_amount": "12.50"}
    shop.alipay.pay(payment.order_no)
    clock.shift(timedelta(seconds=2))
    page = page_of(client, order)
    assert state_of(page) == "paid"
    assert "¥12.50" in page
    assert f'data-number="{payment.order_no}"' in page
    (kept,) = re.findall(r'data-testid="keep-link">http://localhost:8000(/receipt/\w+)<', page)
    assert client.get(kept).status_code == 200
    assert [payment.state for payment in shop.payments()] == ["succeeded"]
    # Paid is the end: no further questions.
    asked = len(shop.alipay.requests)
    clock.shift(timedelta(seconds=60))
    assert state_of(page_of(client, order)) == "paid"
    assert len(shop.alipay.requests) == asked


# Codes for another phone


def test_a_desktop_gets_a_code_and_the_other_ways(shop: Shop) -> None:
    client = browser(DESK)
    order, response = begin(shop, client, "wechatpay")
    assert response["Location"] == f"/pay/{order.token}?with=wechatpay"
    page = page_of(client, order, "?with=wechatpay")
    (payment,) = shop.payments()
    assert state_of(page) == "open"
    assert f'data-content="weixin://wxpay/bizpayurl?pr={payment.order_no}"' in page
    assert page.count("<svg") > 1
    assert 'data-testid="pay-alipay"' in page
    assert 'data-testid="here-alipay"' in page
    assert 'data-testid="give-up"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "15:00" in page


def test_both_wallets_may_be_tried_on_one_order(shop: Shop) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    response = client.post(f"/pay/{order.token}/start/alipay", {"product": "dynamic_qr"})
    assert response["Location"] == f"/pay/{order.token}?with=alipay"
    assert "https://qr.alipay.com/" in page_of(client, order, "?with=alipay")
    assert "weixin://" in page_of(client, order, "?with=wechatpay")
    # The latest without a wish; an unknown wish is no reason to show nothing.
    assert "https://qr.alipay.com/" in page_of(client, order)
    assert "https://qr.alipay.com/" in page_of(client, order, "?with=nobody")
    # Going to and fro opens nothing new.
    client.post(f"/pay/{order.token}/start/wechatpay", {"product": "dynamic_qr"})
    assert [payment.platform for payment in shop.payments()] == ["wechatpay", "alipay"]


def test_a_desktop_may_go_on_with_alipay_on_itself(shop: Shop) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "alipay")
    response = client.post(f"/pay/{order.token}/start/alipay", {"product": "browser"})
    assert response["Location"] == f"/pay/{order.token}/leave/alipay"
    assert client.get(response["Location"]).status_code == 200
    assert [payment.product for payment in shop.payments()] == ["dynamic_qr", "browser"]


def test_a_way_that_this_browser_cannot_go_starts_nothing(shop: Shop) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "alipay")
    for platform, product in (("wechatpay", "in_app"), ("unionpay", ""), ("alipay", "barcode")):
        response = client.post(f"/pay/{order.token}/start/{platform}", {"product": product})
        assert response["Location"] == f"/pay/{order.token}"
    assert len(shop.payments()) == 1


# Inside WeChat


def test_wechat_is_asked_who_pays_and_its_cashier_is_called(shop: Shop) -> None:
    client = browser(WECHAT)
    order, response = begin(shop, client)
    assert response["Location"] == f"/pay/{order.token}/wechat"
    assert shop.payments() == []
    state = authorize(client, order)
    assert re.fullmatch(r"[0-9A-Za-z]{32}", state)
    back = client.get(f"/pay/{order.token}/wechat?code=good&state={state}")
    assert (back.status_code, back["Location"]) == (303, f"/pay/{order.token}#pay")
    page = page_of(client, order)
    invoke = json.loads(
        re.findall(r'<script id="invoke" type="application/json">(.*?)</script>', page)[0]
    )
    (payment,) = shop.payments()
    assert invoke["package"] == f"prepay_id=wx{payment.order_no}"
    assert sorted(invoke) == ["appId", "nonceStr", "package", "paySign", "signType", "timeStamp"]
    assert "oUpF8uMuAJO" not in page
    assert 'data-testid="pay-button"' in page
    # The same address again, as WeChat's back button does: the code is not spent twice.
    asked = len(shop.wechatpay.requests)
    again = client.get(f"/pay/{order.token}/wechat?code=good&state={state}")
    assert again["Location"] == f"/pay/{order.token}#pay"
    assert len(shop.wechatpay.requests) == asked


def test_another_phone_does_not_get_the_first_payer_s_call(shop: Shop) -> None:
    first, second = browser(WECHAT), browser(WECHAT)
    order, _ = begin(shop, first)
    first.get(f"/pay/{order.token}/wechat?code=good&state={authorize(first, order)}")
    page = page_of(second, order)
    assert "paySign" not in page
    assert 'data-testid="pay-button"' in page


def test_a_state_of_another_browser_is_refused(shop: Shop) -> None:
    first, second = browser(WECHAT), browser(WECHAT)
    order, _ = begin(shop, first)
    state = authorize(first, order)
    for attempt in (
        second.get(f"/pay/{order.token}/wechat?code=good&state={state}"),
        first.get(f"/pay/{order.token}/wechat?code=good&state={new_token(32)}"),
        first.get(f"/pay/{order.token}/wechat?code=good"),
    ):
        assert attempt.status_code == 403
        assert "start again" in attempt.content.decode()
    assert shop.payments() == []
    assert shop.wechatpay.requests == []


def test_a_state_of_another_order_or_an_old_one_is_refused(
    shop: Shop, clock: time_machine.Traveller
) -> None:
    client = browser(WECHAT)
    order, _ = begin(shop, client)
    other, _ = begin(shop, client)
    state = authorize(client, order)
    assert client.get(f"/pay/{other.token}/wechat?code=good&state={state}").status_code == 403
    clock.shift(timedelta(seconds=601))
    assert client.get(f"/pay/{order.token}/wechat?code=good&state={state}").status_code == 403
    assert shop.payments() == []


def test_a_code_that_wechat_refuses_charges_nothing_and_may_be_tried_again(shop: Shop) -> None:
    client = browser(WECHAT)
    order, _ = begin(shop, client)
    state = authorize(client, order)
    response = client.get(f"/pay/{order.token}/wechat?code=spent&state={state}")
    assert response.status_code == 502
    assert "did not tell us who pays" in response.content.decode()
    assert shop.payments() == []
    again = client.post(f"/pay/{order.token}/start/wechatpay")
    assert again["Location"] == f"/pay/{order.token}/wechat"


def test_wechat_s_page_is_for_wechat_only(shop: Shop) -> None:
    order, _ = begin(shop, browser(WECHAT))
    response = browser(DESK).get(f"/pay/{order.token}/wechat?code=good&state=x")
    assert (response.status_code, response["Location"]) == (303, f"/pay/{order.token}")


# What goes wrong


def refuse(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(400, json={"code": "PARAM_ERROR", "message": "no"})


def fall(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(502, text="bad gateway")


def test_a_refusal_is_told_in_plain_words(shop: Shop) -> None:
    client = browser(DESK)
    shop.wechatpay.faults.append(refuse)
    order, response = begin(shop, client, "wechatpay")
    assert response["Location"] == f"/pay/{order.token}"
    page = page_of(client, order)
    assert state_of(page) == "open"
    assert "WeChat Pay did not accept this payment. Nothing was charged." in page
    assert "PARAM_ERROR" in page
    assert 'data-testid="pay-alipay"' in page
    # Another try is another attempt.
    client.post(f"/pay/{order.token}/start/wechatpay")
    assert [payment.state for payment in shop.payments()] == ["failed", "pending"]
    assert "did not accept" not in page_of(client, order)


def test_no_answer_is_told_as_such_and_repeated_with_the_same_number(shop: Shop) -> None:
    client = browser(DESK)
    shop.wechatpay.faults.append(fall)
    order, _ = begin(shop, client, "wechatpay")
    page = page_of(client, order)
    assert "WeChat Pay did not answer" in page
    client.post(f"/pay/{order.token}/start/wechatpay")
    assert [payment.state for payment in shop.payments()] == ["pending"]
    assert "weixin://" in page_of(client, order)


def test_an_account_switched_off_meanwhile_leaves_no_way(shop: Shop) -> None:
    client = browser(WECHAT)
    order, _ = begin(shop, client)
    shop.switch_off("wechatpay")
    assert client.get(f"/pay/{order.token}/wechat")["Location"] == f"/pay/{order.token}"
    assert "no way to pay this order" in page_of(client, order)


# Watching


def work(now: datetime) -> int:
    """What a worker does with the polls that are due; how many there were."""
    return tasks.drain(now=now, task="payments.poll")


def test_unionpay_is_asked_less_often_for_those_who_watch(
    shop: Shop, clock: time_machine.Traveller
) -> None:
    """It refuses who asks too often (code 37), and then wants to be left alone about this payment."""
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    (payment,) = shop.payments()
    later = NOW + timedelta(minutes=10)
    with enter_scope(shop.scope):
        Payment.objects.update(platform="unionpay", last_polled_at=NOW)
    Due.objects.filter(task="payments.poll").update(due_at=later)

    def due_at(seconds: int) -> datetime:
        """When the platform is asked next, after somebody looked so long after the last answer."""
        clock.move_to(NOW + timedelta(seconds=seconds))
        assert status(client, order)["state"] == "open"
        return Due.objects.get(task="payments.poll", subject_id=payment.pk).due_at

    assert due_at(14) == later
    Due.objects.filter(task="payments.poll").update(last_error="too_often")
    assert due_at(16) == later
    Due.objects.filter(task="payments.poll").update(last_error="")
    assert due_at(16) == NOW + timedelta(seconds=16)


def test_many_watchers_have_the_platform_asked_once_in_three_seconds_and_never_wait_for_it(
    shop: Shop, clock: time_machine.Traveller
) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    # At an age at which the platform is asked rarely: only those who watch have it asked here.
    began = NOW + timedelta(seconds=70)
    clock.move_to(began)
    assert work(began) == 1
    due = Due.objects.get(task="payments.poll")
    shop.wechatpay.requests.clear()
    first = status(client, order)
    assert first == {"state": "open", "mark": first["mark"], "seconds_left": 830}
    clock.shift(timedelta(seconds=3))
    for _ in range(5):
        assert status(client, order)["mark"] == first["mark"]
    assert shop.wechatpay.requests == []
    revision = due.revision
    due.refresh_from_db()
    # A worker asks now, sooner than planned, and was told so once.
    assert (due.due_at, due.revision) == (began + timedelta(seconds=3), revision + 1)
    assert work(began + timedelta(seconds=3)) == 1
    assert len(shop.wechatpay.requests) == 1
    clock.shift(timedelta(seconds=2))
    status(client, order)
    assert work(began + timedelta(seconds=5)) == 0
    clock.shift(timedelta(seconds=1))
    status(client, order)
    assert work(began + timedelta(seconds=6)) == 1
    assert len(shop.wechatpay.requests) == 2


def test_a_watcher_s_look_is_a_few_statements(
    shop: Shop,
    clock: time_machine.Traveller,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    with django_assert_num_queries(5):
        status(client, order)
    clock.shift(timedelta(seconds=3))
    # The claim and the worker's task, in a transaction.
    with django_assert_num_queries(9):
        status(client, order)
    with django_assert_num_queries(5):
        status(client, order)


def test_opening_the_page_asks_at_once_and_one_at_a_time(
    shop: Shop, clock: time_machine.Traveller
) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    shop.wechatpay.requests.clear()
    clock.shift(timedelta(seconds=3))
    asking, asked = Event(), Event()

    def somebody_else() -> None:
        try:
            with asking_alone(order_id=order.pk) as mine:
                assert mine
                asking.set()
                asked.wait(10)
        finally:
            connection.close()

    other = Thread(target=somebody_else)
    other.start()
    try:
        assert asking.wait(10)
        assert state_of(page_of(client, order)) == "open"
        assert shop.wechatpay.requests == []
    finally:
        asked.set()
        other.join()
    page_of(client, order)
    page_of(client, order)
    assert len(shop.wechatpay.requests) == 1
    clock.shift(timedelta(seconds=2))
    page_of(client, order)
    assert len(shop.wechatpay.requests) == 2


def test_the_page_is_told_when_it_is_paid(shop: Shop, clock: time_machine.Traveller) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    before = status(client, order)
    shop.wechatpay.pay(shop.payments()[0].order_no)
    clock.shift(timedelta(seconds=3))
    assert status(client, order) == {**before, "seconds_left": 897}
    assert work(NOW + timedelta(seconds=3)) == 1
    after = status(client, order)
    assert (after["state"], after["seconds_left"]) == ("paid", 0)
    assert after["mark"] != before["mark"]
    assert state_of(page_of(browser(PHONE), order)) == "paid"


def test_a_platform_that_is_down_does_not_break_the_page(
    shop: Shop, clock: time_machine.Traveller
) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    shop.wechatpay.faults.append(fall)
    clock.shift(timedelta(seconds=5))
    assert state_of(page_of(client, order)) == "open"
    assert status(client, order)["state"] == "open"
    assert [payment.state for payment in shop.payments()] == ["pending"]


# The end without money


def test_giving_up_closes_an_order_without_an_attempt_at_once(shop: Shop) -> None:
    client = browser(WECHAT)
    order, _ = begin(shop, client)
    response = client.post(f"/pay/{order.token}/cancel")
    assert (response.status_code, response["Location"]) == (303, f"/pay/{order.token}")
    page = page_of(client, order)
    assert state_of(page) == "closed"
    assert f"/q/{shop.code.token}" in page
    assert [order.state for order in shop.orders()] == ["closed"]
    with enter_scope(shop.scope):
        assert AuditEvent.objects.filter(action="order.given_up").count() == 1
    # Nothing starts any more.
    client.post(f"/pay/{order.token}/start/wechatpay")
    assert client.get(f"/pay/{order.token}/wechat")["Location"] == f"/pay/{order.token}"
    assert shop.payments() == []


def test_giving_up_with_a_code_out_waits_for_the_platform_s_word(shop: Shop) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    client.post(f"/pay/{order.token}/cancel")
    assert state_of(page_of(client, order)) == "asking"
    assert status(client, order)["state"] == "asking"
    with enter_scope(shop.scope):
        poll_payment(payment_id=shop.payments()[0].pk, now=NOW)
    assert state_of(page_of(client, order)) == "closed"


def test_paid_at_the_last_moment_counts(shop: Shop, clock: time_machine.Traveller) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    shop.wechatpay.pay(shop.payments()[0].order_no)
    clock.shift(timedelta(minutes=1))
    client.post(f"/pay/{order.token}/cancel")
    assert state_of(page_of(client, order)) == "paid"


def test_an_expired_order_is_closed_and_begins_anew_at_its_code(
    shop: Shop, clock: time_machine.Traveller, settings: Settings
) -> None:
    client = browser(PHONE)
    order, _ = begin(shop, client, "alipay")
    with enter_scope(shop.scope):
        Payment.objects.update(state="closed", closed_at=NOW)
    clock.shift(timedelta(minutes=15))
    assert state_of(page_of(client, order)) == "closed"
    assert client.post(f"/pay/{order.token}/start/alipay")["Location"] == f"/pay/{order.token}"
    assert client.get(f"/pay/{order.token}/leave/alipay")["Location"] == f"/pay/{order.token}"
    with enter_scope(shop.scope):
        expire_order(order_id=order.pk, now=order.expires_at)
    assert state_of(page_of(client, order)) == "closed"
    assert len(shop.payments()) == 1


def test_a_paid_order_cannot_be_given_up_or_paid_again(
    shop: Shop, clock: time_machine.Traveller
) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    shop.wechatpay.pay(shop.payments()[0].order_no)
    clock.shift(timedelta(seconds=3))
    assert state_of(page_of(client, order)) == "paid"
    client.post(f"/pay/{order.token}/cancel")
    client.post(f"/pay/{order.token}/start/alipay")
    assert [order.state for order in shop.orders()] == ["paid"]
    assert len(shop.payments()) == 1


def test_sending_the_form_of_a_paid_order_again_shows_the_receipt(
    shop: Shop, clock: time_machine.Traveller
) -> None:
    client = browser(DESK)
    form = {"amount": "5", "nonce": new_token(20), "wallet": "wechatpay"}
    client.post(f"/q/{shop.code.token}", form)
    (order,) = shop.orders()
    shop.wechatpay.pay(shop.payments()[0].order_no)
    clock.shift(timedelta(seconds=3))
    page_of(client, order)
    again = client.post(f"/q/{shop.code.token}", form)
    assert again["Location"] == f"/pay/{order.token}"
    assert len(shop.orders()) == 1


def test_the_receipt_shows_refunds(shop: Shop, clock: time_machine.Traveller) -> None:
    client = browser(DESK)
    order, _ = begin(shop, client, "wechatpay")
    shop.wechatpay.pay(shop.payments()[0].order_no)
    clock.shift(timedelta(seconds=3))
    page_of(client, order)
    with enter_scope(shop.scope):
        Payment.objects.update(refund_reserved_minor=500, refunded_minor=500)
    assert "¥5.00" in page_of(client, order)


# Guards


def test_changes_need_post_and_a_csrf_token(shop: Shop) -> None:
    order, _ = begin(shop, browser(DESK), "alipay")
    strict = Client(enforce_csrf_checks=True, headers={"User-Agent": DESK})
    for step in ("cancel", "start/wechatpay"):
        assert strict.post(f"/pay/{order.token}/{step}").status_code == 403
        assert strict.get(f"/pay/{order.token}/{step}").status_code == 405
    assert [order.state for order in shop.orders()] == ["open"]
    assert len(shop.payments()) == 1


@pytest.mark.parametrize("step", ["", "/status", "/wechat", "/leave/alipay"])
def test_a_stranger_s_token_is_404_everywhere(shop: Shop, step: str) -> None:
    assert browser(WECHAT).get(f"/pay/{new_token(16)}{step}").status_code == 404


def test_pages_of_an_order_hold_no_inline_script_or_style(shop: Shop) -> None:
    client = browser(WECHAT)
    order, _ = begin(shop, client)
    client.get(f"/pay/{order.token}/wechat?code=good&state={authorize(client, order)}")
    for page in (page_of(client, order), page_of(browser(DESK), order)):
        assert "style=" not in page
        assert not re.search(r"<script(?![^>]*(src=|application/json))", page)
        assert not re.search(r"\son\w+=", page)
