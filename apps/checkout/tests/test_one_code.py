"""One code for all wallets: who takes which, a form in place of an address, codes that die early, paying twice."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client
from pytest_django import Settings
from typing_extensions import override

from apps.checkout import services, tasks
from apps.checkout.tests.conftest import ACTOR, ALIPAY, DESK, PHONE, QQ, UNIONPAY, WECHAT, browser
from apps.core.doors import make_door, new_token
from apps.core.models import AuditEvent, Door
from apps.core.tasks import drain
from apps.core.tenancy import enter_scope
from apps.merchants.models import Terminal
from apps.merchants.tests.factories import NOW, Shop, check_now, make_shop
from apps.payments.models import Order, Payment
from apps.payments.services import apply_payment_result, expire_order, poll_payment
from apps.payments.services.charging import CHARGE_DOOR
from apps.payments.tests.factories import make_account, paid_result
from apps.platforms import registry
from apps.platforms.gateway import (
    CODE_LOST,
    Capability,
    CreateRequest,
    FormPost,
    Handover,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.fakes import FakeGateway
from apps.qrcodes.models import QRCode, Scan
from apps.qrcodes.services import assign_terminal, create_code
from apps.refunds.models import Refund
from apps.refunds.services import refund_duplicate
from apps.refunds.services.timing import ASKED_BACK_AGAIN
from apps.reports.timeline import entry_of


class FakeAlipay(FakeGateway):
    """Alipay's pages are ordinary ones."""

    platform: ClassVar[Platform] = Platform.ALIPAY


class FakeUnionpay(FakeGateway):
    """Its cashier's page is reached by a form."""

    platform: ClassVar[Platform] = Platform.UNIONPAY

    @override
    def create_payment(self, request: CreateRequest) -> Handover:
        handover = super().create_payment(request)
        if request.product is Product.DYNAMIC_QR:
            return handover
        fields = {"orderId": request.order_no, "signature": 'a+b/c="<&'}
        form = FormPost(url="https://gateway.fake.test/front.do", fields=fields)
        return replace(handover, invoke={}, redirect_url="", form=form)


class FakeShouqianba(FakeGateway):
    """Takes every wallet: by a page inside it, by a code elsewhere."""

    platform: ClassVar[Platform] = Platform.SHOUQIANBA
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.AGGREGATES,
            Capability.IN_APP,
            Capability.BROWSER,
            Capability.DYNAMIC_QR,
            Capability.CLOSE,
            Capability.REFUND,
        }
    )

    @override
    def create_payment(self, request: CreateRequest) -> Handover:
        handover = super().create_payment(request)
        if request.product is Product.DYNAMIC_QR:
            return handover
        return replace(handover, invoke={}, redirect_url=f"https://fake.test/{request.order_no}")


FAKES: dict[str, type[FakeGateway]] = {
    "wechatpay": FakeGateway,
    "alipay": FakeAlipay,
    "unionpay": FakeUnionpay,
    "shouqianba": FakeShouqianba,
}


@dataclass
class Market:
    """A shop with a printed code and accounts at platforms in memory."""

    shop: Shop
    code: QRCode
    platforms: dict[str, FakeGateway]

    def connect(self, *names: str) -> None:
        """Accounts in this order of preference, which is not the order of their ids."""
        with enter_scope(self.shop.scope):
            for place, name in reversed(list(enumerate(names, start=1))):
                account = make_account(self.shop, platform=name, merchant_no=f"{name}-1")
                PlatformAccount.objects.filter(pk=account.pk).update(priority=place)

    def begin(self, client: Client, wallet: str = "") -> tuple[Order, str]:
        """Fill in the form behind the code; the order, and where it leads."""
        form = {"amount": "12.50", "nonce": new_token(20), "wallet": wallet}
        response = client.post(f"/q/{self.code.token}", form)
        assert response.status_code == 303
        with enter_scope(self.shop.scope):
            return Order.objects.latest("pk"), response["Location"]

    def payments(self) -> list[Payment]:
        with enter_scope(self.shop.scope):
            return list(Payment.objects.order_by("pk"))

    def told(self) -> list[tuple[str, str, str]]:
        """Platform, wallet and product of each attempt."""
        return [(one.platform, one.wallet, one.product) for one in self.payments()]

    def pay(self, payment: Payment, *, at: Any = NOW) -> None:
        """The platform says that it was paid."""
        with enter_scope(self.shop.scope):
            assert apply_payment_result(
                payment_id=payment.pk,
                result=paid_result(payment, at=at),
                via="notification",
                now=at,
                actor=ACTOR,
            )


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def market(
    db: None,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> Iterator[Market]:
    cache.clear()
    settings.SHOUQIANBA_PAGE_PAYWAYS = {"wechatpay": "3", "alipay": "1", "unionpay": "17"}
    shop = make_shop()
    platforms = {name: fake() for name, fake in FAKES.items()}
    for name, fake in FAKES.items():
        monkeypatch.setitem(registry.CONNECTORS, Platform(name), fake)

    def gateway_for(*, platform: Platform, **_rest: object) -> PlatformGateway:
        return platforms[platform.value]

    monkeypatch.setattr(registry, "gateway_for", gateway_for)
    with enter_scope(shop.scope):
        code = create_code(
            store_id=shop.store.pk, kind="counter", name="柜台", amount=None, actor=ACTOR, now=NOW
        )
    yield Market(shop, code, platforms)
    with enter_scope(shop.scope):
        check_now()


def page_of(client: Client, order: Order, query: str = "") -> str:
    response = client.get(f"/pay/{order.token}{query}")
    assert response.status_code == 200
    return str(response.content.decode())


def status(client: Client, order: Order) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/pay/{order.token}/status").json()
    return found


# Who takes which wallet


def test_inside_each_wallet_its_own_platform_is_paid(market: Market) -> None:
    market.connect("wechatpay", "alipay", "unionpay")
    for agent in (ALIPAY, UNIONPAY):
        market.begin(browser(agent))
    order, location = market.begin(browser(WECHAT))
    # WeChat is asked first who pays.
    assert location == f"/pay/{order.token}/wechat"
    assert market.told() == [
        ("alipay", "alipay", "browser"),
        ("unionpay", "unionpay", "in_app"),
    ]


@pytest.mark.parametrize(
    ("agent", "wallet"), [(WECHAT, "wechatpay"), (ALIPAY, "alipay"), (UNIONPAY, "unionpay")]
)
def test_an_aggregator_preferred_takes_every_wallet(
    market: Market, agent: str, wallet: str
) -> None:
    market.connect("shouqianba", "wechatpay", "alipay", "unionpay")
    client = browser(agent)
    order, location = market.begin(client)
    assert location == f"/pay/{order.token}/leave/{wallet}"
    assert market.told() == [("shouqianba", wallet, "in_app")]
    (_method, request) = market.platforms["shouqianba"].calls[-1]
    assert request.wallet == wallet
    page = client.get(location).content.decode()
    assert f'content="0;url=https://fake.test/{market.payments()[0].order_no}"' in page
    # The page names the wallet, which the payer knows, and not who stands between.
    assert "Shouqianba" not in page
    assert "Shouqianba" not in page_of(client, order)


def test_a_wallet_that_the_aggregator_s_page_does_not_take_goes_to_its_own_platform(
    market: Market, settings: Settings
) -> None:
    """Shouqianba's documentation names no UnionPay for its page."""
    settings.SHOUQIANBA_PAGE_PAYWAYS = {"wechatpay": "3", "alipay": "1"}
    market.connect("shouqianba", "unionpay")
    client = browser(UNIONPAY)
    order, _ = market.begin(client)
    assert market.told() == [("unionpay", "unionpay", "in_app")]
    # Elsewhere it shows UnionPay's code all the same.
    browser(DESK).post(f"/pay/{order.token}/start/unionpay", {"product": "dynamic_qr"})
    assert market.told()[1:] == [("shouqianba", "unionpay", "dynamic_qr")]
    with enter_scope(market.shop.scope):
        PlatformAccount.objects.filter(platform="unionpay").update(is_active=False)
    page = client.get(f"/q/{market.code.token}").content.decode()
    assert "This shop does not take UnionPay QuickPass" in page
    assert "<strong>WeChat Pay</strong>, <strong>Alipay</strong>" in page
    # Nobody is sent to a wallet that cannot pay from inside.
    page = browser(QQ).get(f"/q/{market.code.token}").content.decode()
    assert "UnionPay" not in page


def test_inside_wechat_an_aggregator_needs_no_authorization(market: Market) -> None:
    market.connect("shouqianba", "wechatpay")
    order, _ = market.begin(browser(WECHAT))
    response = browser(WECHAT).get(f"/pay/{order.token}/wechat?code=good&state=x")
    assert (response.status_code, response["Location"]) == (303, f"/pay/{order.token}")
    assert market.told() == [("shouqianba", "wechatpay", "in_app")]


def test_on_a_desktop_the_payer_chooses_the_wallet_first(market: Market) -> None:
    market.connect("shouqianba")
    client = browser(DESK)
    page = client.get(f"/q/{market.code.token}").content.decode()
    assert re.findall(r'name="wallet" value="(\w+)"', page) == ["wechatpay", "alipay", "unionpay"]
    order, location = market.begin(client, "alipay")
    assert location == f"/pay/{order.token}?with=alipay"
    page = page_of(client, order, "?with=alipay")
    assert 'class="code code-alipay"' in page
    assert 'data-testid="pay-wechatpay"' in page
    client.post(f"/pay/{order.token}/start/unionpay", {"product": "dynamic_qr"})
    assert market.told() == [
        ("shouqianba", "alipay", "dynamic_qr"),
        ("shouqianba", "unionpay", "dynamic_qr"),
    ]
    # Each wallet has a number of its own, and going to and fro opens nothing new.
    client.post(f"/pay/{order.token}/start/alipay", {"product": "dynamic_qr"})
    assert len({payment.order_no for payment in market.payments()}) == 2


def test_wechat_s_h5_is_offered_where_the_account_has_it(market: Market) -> None:
    market.connect("wechatpay")
    order, _ = market.begin(browser(PHONE), "wechatpay")
    assert market.told() == [("wechatpay", "wechatpay", "dynamic_qr")]
    with enter_scope(market.shop.scope):
        PlatformAccount.objects.update(takes_h5=True)
    response = browser(PHONE).post(f"/pay/{order.token}/start/wechatpay", {"product": "browser"})
    assert response["Location"] == f"/pay/{order.token}/leave/wechatpay"
    assert market.told()[1:] == [("wechatpay", "wechatpay", "browser")]
    assert market.platforms["wechatpay"].calls[-1][1].client_ip == "127.0.0.1"


def test_who_refused_the_order_makes_room_for_the_next(market: Market) -> None:
    market.connect("shouqianba", "alipay")
    no = PlatformRejected("no", code="WAP_NOT_OPEN")
    market.platforms["shouqianba"].fail_next("create_payment", no)
    client = browser(ALIPAY)
    order, location = market.begin(client)
    assert location == f"/pay/{order.token}"
    assert "did not accept this payment" in page_of(client, order)
    client.post(f"/pay/{order.token}/start/alipay")
    assert market.told() == [("shouqianba", "alipay", "in_app"), ("alipay", "alipay", "browser")]


def test_qq_is_told_where_to_go(market: Market) -> None:
    market.connect("wechatpay", "alipay")
    client = browser(QQ)
    page = client.get(f"/q/{market.code.token}").content.decode()
    assert "QQ cannot pay here" in page
    assert "<strong>WeChat Pay</strong>, <strong>Alipay</strong>" in page
    assert 'name="amount"' not in page
    form = {"amount": "12.50", "nonce": new_token(20)}
    assert client.post(f"/q/{market.code.token}", form).status_code == 409
    order, _ = market.begin(browser(DESK), "alipay")
    page = page_of(client, order)
    assert "QQ cannot pay here" in page
    assert "<svg" not in re.findall(r'class="qr".*?</div>', page)
    with enter_scope(market.shop.scope):
        assert list(Scan.objects.values_list("wallet", flat=True)) == ["qq"]


def test_the_code_s_terminal_goes_with_order_and_payment(market: Market) -> None:
    market.connect("alipay")
    with enter_scope(market.shop.scope):
        terminal = Terminal.objects.create(store=market.shop.store, name="一号机")
        assign_terminal(
            code_id=QRCode.objects.get().pk, terminal_id=terminal.pk, actor=ACTOR, now=NOW
        )
    order, _ = market.begin(browser(ALIPAY))
    assert order.terminal_id == terminal.pk
    assert [payment.terminal_id for payment in market.payments()] == [terminal.pk]


# A form in place of an address


def test_unionpay_s_page_is_reached_by_a_form(market: Market) -> None:
    market.connect("unionpay")
    client = browser(UNIONPAY)
    order, location = market.begin(client)
    assert location == f"/pay/{order.token}/leave/unionpay"
    response = client.get(location)
    page = response.content.decode()
    (payment,) = market.payments()
    (tag,) = re.findall(r"<form[^>]*data-leave[^>]*>", page)
    assert 'method="post"' in tag
    assert 'action="https://gateway.fake.test/front.do"' in tag
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    assert {name: html.unescape(value) for name, value in fields.items()} == {
        "orderId": payment.order_no,
        "signature": 'a+b/c="<&',
        # The other form on the page is that of the language.
        "csrfmiddlewaretoken": fields["csrfmiddlewaretoken"],
        "next": f"/pay/{order.token}",
    }
    assert "csrfmiddlewaretoken" not in page[page.index("data-leave") :]
    assert 'data-testid="pay-unionpay"' in page
    assert "http-equiv" not in page
    assert response["Referrer-Policy"] == "strict-origin"
    # This page alone may post there, and to where UnionPay sends the browser on.
    allowed = "https://gateway.fake.test https://*.fake.test"
    assert allowed in response["Content-Security-Policy"]
    for other in (f"/pay/{order.token}", f"/q/{market.code.token}"):
        assert "fake.test" not in client.get(other)["Content-Security-Policy"]
    assert f'href="/pay/{order.token}/leave/unionpay"' in page_of(client, order)
    # The signed form is made once.
    assert market.platforms["unionpay"].count("create_payment") == 1


def test_unionpay_sends_the_payer_back_by_a_foreign_post(market: Market) -> None:
    market.connect("unionpay")
    order, _ = market.begin(browser(UNIONPAY))
    strict = Client(enforce_csrf_checks=True, headers={"User-Agent": UNIONPAY})
    asked = len(market.platforms["unionpay"].calls)
    response = strict.post(f"/pay/{order.token}", {"respCode": "00", "orderId": "x"})
    assert (response.status_code, response["Location"]) == (303, f"/pay/{order.token}")
    assert [payment.state for payment in market.payments()] == ["pending"]
    assert len(market.platforms["unionpay"].calls) == asked


def test_a_signed_form_is_not_posted_for_long(
    market: Market, clock: time_machine.Traveller
) -> None:
    market.connect("unionpay")
    client = browser(UNIONPAY)
    order, location = market.begin(client)
    clock.shift(timedelta(seconds=119))
    assert client.get(location).status_code == 200
    client.post(f"/pay/{order.token}/start/unionpay")
    assert len(market.payments()) == 1
    # UnionPay wants its time to be now: another form has another number, and the first is still watched.
    clock.shift(timedelta(seconds=1))
    assert client.get(location)["Location"] == f"/pay/{order.token}"
    page = page_of(client, order)
    assert "/leave/" not in page
    assert f'action="/pay/{order.token}/start/unionpay"' in page
    again = client.post(f"/pay/{order.token}/start/unionpay")
    assert again["Location"] == location
    first, second = market.payments()
    assert first.order_no != second.order_no
    assert (first.state, second.state) == ("pending", "pending")
    assert second.order_no in client.get(location).content.decode()


def test_the_form_s_page_is_for_open_orders_only(market: Market) -> None:
    market.connect("unionpay")
    client = browser(UNIONPAY)
    order, location = market.begin(client)
    market.pay(market.payments()[0])
    assert client.get(location)["Location"] == f"/pay/{order.token}"


# Codes that die before their order


def test_a_code_that_died_is_replaced_without_losing_the_order(
    market: Market, clock: time_machine.Traveller
) -> None:
    market.connect("shouqianba")
    client = browser(DESK)
    order, _ = market.begin(client, "wechatpay")
    (first,) = market.payments()
    assert first.expires_at == NOW + timedelta(seconds=225)
    assert first.payable_until == order.expires_at
    page = page_of(client, order, "?with=wechatpay")
    assert 'data-code-seconds="225"' in page
    assert "3:45" in page
    before = status(client, order)["mark"]
    clock.shift(timedelta(seconds=225))
    # The watching page is told, though no platform has said anything.
    assert status(client, order)["mark"] != before
    page = page_of(client, order, "?with=wechatpay")
    assert 'data-testid="code-over"' in page
    assert 'class="qr"' not in page
    assert "show a new code" in page
    assert 'data-state="open"' in page
    # Another wallet's code that is still good does not take its place unasked.
    client.post(f"/pay/{order.token}/start/alipay", {"product": "dynamic_qr"})
    assert 'data-testid="code-over"' in page_of(client, order, "?with=wechatpay")
    assert 'class="code code-alipay"' in page_of(client, order)
    response = client.post(f"/pay/{order.token}/start/wechatpay", {"product": "dynamic_qr"})
    assert response["Location"] == f"/pay/{order.token}?with=wechatpay"
    second = market.payments()[-1]
    assert second.order_no != first.order_no
    page = page_of(client, order, "?with=wechatpay")
    assert f'data-content="fake://{second.order_no}"' in page
    # The poller closes the old one at the platform, and the order stays open.
    with enter_scope(market.shop.scope):
        poll_payment(payment_id=first.pk, now=NOW + timedelta(seconds=226))
        first.refresh_from_db()
        order.refresh_from_db()
    assert (first.state, order.state) == ("closed", "open")


def test_an_old_code_paid_at_the_last_moment_counts(
    market: Market, clock: time_machine.Traveller
) -> None:
    market.connect("shouqianba")
    client = browser(DESK)
    order, _ = market.begin(client, "wechatpay")
    (first,) = market.payments()
    market.platforms["shouqianba"].pay(first.order_no)
    clock.shift(timedelta(seconds=226))
    assert 'data-state="paid"' in page_of(client, order)


def test_the_last_code_lives_no_longer_than_its_order(
    market: Market, clock: time_machine.Traveller
) -> None:
    market.connect("shouqianba")
    client = browser(DESK)
    order, _ = market.begin(client, "wechatpay")
    clock.shift(timedelta(minutes=14))
    client.post(f"/pay/{order.token}/start/wechatpay", {"product": "dynamic_qr"})
    assert market.payments()[-1].expires_at == order.expires_at
    assert "data-code-seconds" not in page_of(client, order)


def test_a_unionpay_code_lost_with_its_answer_is_not_asked_for_again(market: Market) -> None:
    """A repeat would be called a duplicate for as long as the order lives."""
    market.connect("unionpay")
    market.platforms["unionpay"].fail_next("create_payment", PlatformUnavailable("silence"))
    client = browser(DESK)
    order, _ = market.begin(client, "unionpay")
    page = page_of(client, order)
    assert "UnionPay QuickPass did not answer" in page
    client.post(f"/pay/{order.token}/start/unionpay", {"product": "dynamic_qr"})
    lost, shown = market.payments()
    assert (lost.state, shown.state) == ("unknown", "pending")
    assert lost.order_no != shown.order_no
    assert f'data-content="fake://{shown.order_no}"' in page_of(client, order)
    # Nor is a second code made as long as there is one.
    client.post(f"/pay/{order.token}/start/unionpay", {"product": "dynamic_qr"})
    assert len(market.payments()) == 2


def test_an_attempt_of_another_platform_is_opened_again_under_its_number(market: Market) -> None:
    market.connect("wechatpay")
    market.platforms["wechatpay"].fail_next("create_payment", PlatformUnavailable("silence"))
    client = browser(DESK)
    order, _ = market.begin(client, "wechatpay")
    client.post(f"/pay/{order.token}/start/wechatpay", {"product": "dynamic_qr"})
    (payment,) = market.payments()
    assert payment.state == "pending"
    assert market.platforms["wechatpay"].count("create_payment") == 2


def test_who_only_lost_a_code_is_asked_for_the_next(market: Market) -> None:
    market.connect("shouqianba", "alipay")
    lost = PlatformUnavailable("lost", code=CODE_LOST)
    market.platforms["shouqianba"].fail_next("create_payment", lost)
    client = browser(DESK)
    order, _ = market.begin(client, "alipay")
    client.post(f"/pay/{order.token}/start/alipay", {"product": "dynamic_qr"})
    assert market.told() == [("shouqianba", "alipay", "dynamic_qr")] * 2


# Another wallet after all


def test_inside_a_wallet_the_way_out_is_shown(market: Market) -> None:
    market.connect("wechatpay", "alipay", "unionpay")
    client = browser(ALIPAY)
    order, _ = market.begin(client)
    page = page_of(client, order)
    (words,) = re.findall(r'data-testid="elsewhere">(.*?)</details>', page, re.DOTALL)
    assert re.findall(r"<strong>([^<]+)</strong>", words) == ["WeChat Pay", "UnionPay QuickPass"]
    assert f'data-copy="http://localhost:8000/pay/{order.token}"' in words
    # The same link in another browser offers the others, and the one begun.
    phone = page_of(browser(PHONE), order)
    assert 'data-testid="elsewhere"' not in phone
    for wallet in ("wechatpay", "alipay", "unionpay"):
        assert f'data-testid="pay-{wallet}"' in phone


def test_the_wallet_abandoned_is_closed_once_another_paid(market: Market) -> None:
    market.connect("wechatpay", "alipay")
    order, _ = market.begin(browser(ALIPAY))
    desk = browser(DESK)
    desk.post(f"/pay/{order.token}/start/wechatpay", {"product": "dynamic_qr"})
    alipay, wechat = market.payments()
    market.pay(wechat)
    assert drain(now=NOW, task="payments.poll") == 1
    assert [payment.state for payment in market.payments()] == ["closed", "succeeded"]
    page = page_of(browser(ALIPAY), order)
    assert 'data-testid="paid-twice"' not in page
    assert "WeChat Pay" in page
    assert alipay.order_no not in page


# Paying twice


def twice(market: Market) -> tuple[Order, Payment, Payment]:
    """An order paid by Alipay and, a minute later, by WeChat."""
    market.connect("wechatpay", "alipay")
    order, _ = market.begin(browser(ALIPAY))
    browser(DESK).post(f"/pay/{order.token}/start/wechatpay", {"product": "dynamic_qr"})
    first, second = market.payments()
    market.platforms["alipay"].pay(first.order_no)
    market.platforms["wechatpay"].pay(second.order_no)
    market.pay(first, at=NOW)
    market.pay(second, at=NOW + timedelta(minutes=1))
    return order, first, second


def told_twice(page: str) -> str:
    (state,) = re.findall(r'data-testid="paid-twice" data-state="(\w+)"', page)
    return str(state)


def test_a_payer_who_paid_twice_is_told_that_it_comes_back(
    market: Market, clock: time_machine.Traveller
) -> None:
    order, first, second = twice(market)
    client = browser(ALIPAY)
    page = page_of(client, order)
    assert told_twice(page) == "deciding"
    assert "One of the two payments of ¥12.50 goes back" in page
    now = NOW + timedelta(minutes=1)
    drain(now=now, task="refunds.refund_duplicate")
    page = page_of(client, order)
    assert told_twice(page) == "returning"
    assert "The second payment of ¥12.50 with WeChat Pay goes back to you" in page
    assert f'data-number="{first.order_no}"' in page
    drain(now=now, task="refunds.send")
    with enter_scope(market.shop.scope):
        refund = Refund.objects.get()
    assert (refund.payment_id, refund.amount_minor) == (second.pk, 1250)
    market.platforms["wechatpay"].settle_refund(refund.refund_no)
    drain(now=now + timedelta(minutes=1), task="refunds.poll")
    page = page_of(client, order)
    assert told_twice(page) == "returned"
    assert "has gone back to you" in page
    assert 'data-testid="refunded"' not in page
    assert market.platforms["wechatpay"].count("refund") == 1
    assert market.platforms["alipay"].count("refund") == 0


def test_a_worker_in_between_does_not_hide_what_comes_back(
    market: Market, clock: time_machine.Traveller
) -> None:
    """The refund is made and the due row taken away while the page is being put together."""
    order, _first, second = twice(market)
    done = False

    def between(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal done
        result = execute(sql, params, many, context)
        if not done and 'FROM "core_due"' in sql:
            done = True
            with connection.cursor() as cursor:
                cursor.execute(
                    "DELETE FROM core_due WHERE task = 'refunds.refund_duplicate' AND subject_id = %s",
                    [second.pk],
                )
            refund_duplicate(payment_id=second.pk, now=NOW + timedelta(minutes=1))
        return result

    with connection.execute_wrapper(between):
        page = page_of(browser(ALIPAY), order)
    assert done
    assert told_twice(page) == "returning"


def test_a_second_payment_that_cannot_go_back_is_for_the_shop(market: Market) -> None:
    order, _first, _second = twice(market)
    now = NOW + timedelta(minutes=1)
    no = PlatformRejected("closed account", code="USER_ACCOUNT_ABNORMAL")
    for wait in ASKED_BACK_AGAIN:
        drain(now=now, task="refunds.refund_duplicate")
        market.platforms["wechatpay"].fail_next("refund", no)
        drain(now=now, task="refunds.send")
        assert told_twice(page_of(browser(ALIPAY), order)) == "returning"
        now += wait
    drain(now=now, task="refunds.refund_duplicate")
    market.platforms["wechatpay"].fail_next("refund", no)
    drain(now=now, task="refunds.send")
    page = page_of(browser(ALIPAY), order)
    assert told_twice(page) == "open"
    assert "show this page to the shop" in page


def test_a_late_word_with_an_earlier_time_is_still_the_second(market: Market) -> None:
    market.connect("wechatpay", "alipay")
    order, _ = market.begin(browser(ALIPAY))
    browser(DESK).post(f"/pay/{order.token}/start/wechatpay", {"product": "dynamic_qr"})
    heard_first, heard_late = market.payments()
    market.pay(heard_first, at=NOW + timedelta(seconds=30))
    market.pay(heard_late, at=NOW + timedelta(seconds=5))
    page = page_of(browser(DESK), order)
    assert f'data-number="{heard_first.order_no}"' in page
    drain(now=NOW + timedelta(minutes=1), task="refunds.refund_duplicate")
    with enter_scope(market.shop.scope):
        assert Refund.objects.get().payment_id == heard_late.pk
    assert f'data-number="{heard_first.order_no}"' in page_of(browser(DESK), order)


# Floods and what forms leave behind


def test_a_flood_of_orders_by_one_code_is_asked_to_wait(
    market: Market, settings: Settings, clock: time_machine.Traveller
) -> None:
    settings.ORDERS_PER_MINUTE_BY_CODE = 2
    market.connect("alipay")
    client = browser(PHONE)
    for _ in range(2):
        market.begin(client, "alipay")
    clock.shift(timedelta(seconds=20))
    nonce = new_token(20)
    form = {"amount": "12.50", "nonce": nonce, "wallet": "alipay", "note": "桌 5"}
    response = client.post(f"/q/{market.code.token}", form)
    page = response.content.decode()
    assert response.status_code == 429
    assert response["Retry-After"] == "40"
    assert "Nothing was charged" in page
    # What was typed is still there: pressing the button again is all it takes.
    assert 'value="12.50"' in page
    assert f'value="{nonce}"' in page
    assert "桌 5" in page
    with enter_scope(market.shop.scope):
        assert Order.objects.count() == 2
    clock.shift(timedelta(seconds=40))
    assert client.post(f"/q/{market.code.token}", form).status_code == 303


def test_a_flood_from_one_address_is_asked_to_wait_and_others_are_not(
    market: Market, settings: Settings
) -> None:
    settings.ORDERS_PER_MINUTE_BY_ADDRESS = 2
    market.connect("alipay")
    for _ in range(2):
        market.begin(browser(PHONE), "alipay")
    form = {"amount": "12.50", "nonce": new_token(20), "wallet": "alipay"}
    assert browser(PHONE).post(f"/q/{market.code.token}", form).status_code == 429
    elsewhere = Client(REMOTE_ADDR="203.0.113.9", headers={"User-Agent": PHONE})
    assert elsewhere.post(f"/q/{market.code.token}", form).status_code == 303


def test_the_same_form_again_is_not_counted(market: Market, settings: Settings) -> None:
    settings.ORDERS_PER_MINUTE_BY_CODE = 1
    market.connect("alipay")
    form = {"amount": "12.50", "nonce": new_token(20), "wallet": "alipay"}
    for _ in range(3):
        assert browser(PHONE).post(f"/q/{market.code.token}", form).status_code == 303


def test_a_form_s_door_goes_a_day_after_its_order(
    market: Market, clock: time_machine.Traveller
) -> None:
    market.connect("alipay")
    over, _ = market.begin(browser(PHONE), "alipay")
    still, _ = market.begin(browser(DESK), "alipay")
    with enter_scope(market.shop.scope):
        Payment.objects.filter(order=over).update(state="closed")
        assert expire_order(order_id=over.pk, now=over.expires_at) is None
        assert services.forget_forms(now=over.expires_at + services.FORM_KEPT) == 0
        # The till's forms have doors of their own.
        tilled = Order.objects.create(
            store=market.shop.store,
            token=new_token(16),
            amount_minor=100,
            created_at=NOW,
            expires_at=over.expires_at,
            state="closed",
        )
        make_door(
            kind=CHARGE_DOOR,
            token=new_token(20),
            merchant_id=tilled.merchant_id,
            subject_id=tilled.pk,
        )
    # The doors' own time is the database's.
    Door.objects.update(created_at=NOW)
    clock.move_to(over.expires_at + services.FORM_KEPT + timedelta(seconds=1))
    tasks.forget_forms()
    # The other order was never closed, whatever the reason: its form still leads to it.
    assert list(Door.objects.filter(kind="form").values_list("subject_id", flat=True)) == [still.pk]
    assert not Door.objects.filter(kind=CHARGE_DOOR).exists()
    assert Door.objects.filter(kind="order").count() == 2
    assert services.merchants_with_old_forms(now=NOW) == []


def test_a_clear_yes_needs_no_explanation_in_the_timeline(market: Market) -> None:
    """Shouqianba's "PAID" has no words of its own, and wants none."""
    market.connect("shouqianba")
    order, _ = market.begin(browser(DESK), "unionpay")
    (payment,) = market.payments()
    with enter_scope(market.shop.scope):
        paid = replace(paid_result(payment), code="PAID", message="")
        apply_payment_result(payment_id=payment.pk, result=paid, via="poll", now=NOW, actor=ACTOR)
        event = AuditEvent.objects.get(action="payment.succeeded")
        assert entry_of(event).text == "Our regular check found out."
        event.action = "payment.failed"
        assert "PAID" in entry_of(event).text
    assert order.pk == event.subject_id


def test_the_timeline_names_the_wallet(market: Market) -> None:
    market.connect("shouqianba")
    market.begin(browser(DESK), "unionpay")
    with enter_scope(market.shop.scope):
        event = AuditEvent.objects.get(action="payment.created")
    assert (event.data["platform"], event.data["wallet"]) == ("shouqianba", "unionpay")
