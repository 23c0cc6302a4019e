"""A code opened twice under one number, whose second opener is not told it (Shouqianba's own words, on its small server)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from apps.core.audit import Actor
from apps.ledger.models import JournalEntry
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments import services
from apps.payments.models import Order, Payment
from apps.payments.tests.factories import PAYER, make_account, make_order, paid_result
from apps.platforms import registry
from apps.platforms.gateway import PlatformGateway, Product
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.shouqianba_server import ShouqianbaServer
from apps.platforms.tests.test_shouqianba_connector import gateway_at


@dataclass
class Counter:
    """A shop whose Shouqianba tells a code once only."""

    shop: Shop
    account: PlatformAccount
    order: Order
    server: ShouqianbaServer

    def start(self) -> Payment:
        return services.start_payment(
            order_id=self.order.pk,
            account_id=self.account.pk,
            product=Product.DYNAMIC_QR,
            wallet="wechatpay",
            now=NOW,
            actor=PAYER,
        )

    def poll(self, payment: Payment, *, seconds: int = 0) -> None:
        services.poll_payment(payment_id=payment.pk, now=NOW + timedelta(seconds=seconds))
        payment.refresh_from_db()


@pytest.fixture
def counter(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    server = ShouqianbaServer(tells_code=False)

    def gateway_for(**_rest: object) -> PlatformGateway:
        return gateway_at(server, now=NOW)

    monkeypatch.setattr(registry, "gateway_for", gateway_for)
    with inside(make_shop()) as shop:
        account = make_account(shop, platform="shouqianba")
        yield Counter(shop, account, make_order(shop), server)


def before(server: ShouqianbaServer, path: str, act: Callable[[], None]) -> None:
    """Do something once, just before the next such call takes effect."""
    honest = server.handle

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(path):
            server.handle = honest  # type: ignore[method-assign]  # for the one call
            act()
        return honest(request)

    server.handle = handle  # type: ignore[method-assign]


def test_the_attempt_is_ended_and_the_next_has_its_own_number(counter: Counter) -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        counter.server.serve(request)
        raise httpx.ReadTimeout("slow", request=request)

    counter.server.faults.append(lose)
    for _ in range(2):
        with pytest.raises(services.HandoverFailed) as caught:
            counter.start()
        assert not caught.value.final
    (lost,) = Payment.objects.all()
    assert (lost.state, lost.code_text, lost.expires_at) == ("unknown", "timeout", NOW)
    shown = counter.start()
    assert shown.order_no != lost.order_no
    assert shown.handover["qr_content"].endswith(shown.order_no)
    counter.poll(lost)
    assert lost.state == "closed"
    assert counter.server.orders[lost.order_no]["order_status"] == "CANCELED"


def test_what_another_opener_shows_is_not_given_back_behind_our_books(counter: Counter) -> None:
    """Two taps at the same moment; the payer scans the first one's code while the second is being dealt with."""
    honest = counter.server.serve

    def answer_slowly(request: httpx.Request) -> httpx.Response:
        answer = honest(request)
        with pytest.raises(services.HandoverFailed):
            counter.start()
        return answer

    counter.server.faults.append(answer_slowly)
    before(counter.server, "/cancel", lambda: counter.server.pay(next(iter(counter.server.orders))))
    payment = counter.start()
    counter.poll(payment)
    # The notice of that payment, sent before it was given back.
    services.apply_payment_result(
        payment_id=payment.pk,
        result=paid_result(payment),
        via="notification",
        now=NOW,
        actor=Actor.system("notification"),
    )
    counter.poll(payment, seconds=1)
    kept = counter.server.orders[payment.order_no]["order_status"] == "PAID"
    booked = JournalEntry.objects.filter(subject_kind="payment", subject_id=payment.pk).exists()
    assert (payment.state == "succeeded") == booked == kept
