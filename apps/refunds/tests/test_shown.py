"""Refunds at a platform that shows one transaction of an order at a time (Shouqianba, on its small server)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import pytest

import apps.refunds.tasks  # noqa: F401  # registers the batch task, as a worker does
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.core.tasks import drain
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.services import apply_payment_result, prepare_payment
from apps.payments.tests.factories import PAYER, make_account, make_order, paid_result
from apps.platforms.connectors.shouqianba.connector import ShouqianbaGateway
from apps.platforms.gateway import Product
from apps.platforms.services import rounds
from apps.platforms.tests.shouqianba_server import TERMINAL_SN, ShouqianbaServer
from apps.platforms.tests.test_shouqianba_connector import biz, gateway_at
from apps.refunds import services
from apps.refunds.models import Refund
from apps.refunds.services import sending

DESK = Actor("desk")
SECOND = timedelta(seconds=1)


@dataclass
class Counter:
    """A payment of ¥100 by Shouqianba, and its refunds."""

    shop: Shop
    payment: Payment
    server: ShouqianbaServer
    now: datetime = NOW

    def gateway(self) -> ShouqianbaGateway:
        return gateway_at(self.server, now=self.now)

    def ask(self, minor: int) -> Refund:
        return services.request_refund(
            payment_id=self.payment.pk,
            amount=Money(minor),
            reason="x",
            member=self.shop["cashier"],
            actor=DESK,
            now=NOW,
        )

    def send(self, refund: Refund, *, at: datetime = NOW) -> None:
        self.now = at
        services.send_refund(refund_id=refund.pk, now=at)
        refund.refresh_from_db()

    def left(self) -> str:
        """What is left of the payment at the platform, in fen."""
        return self.server.orders[self.payment.order_no]["net_amount"]

    def end(self, refund: Refund) -> str:
        """Let the dues of the next hours come and go; the refund's state then."""
        until = NOW + timedelta(hours=3)
        while self.now <= until:
            drain(now=self.now)
            due = Due.objects.filter(task__startswith="refunds.").order_by("due_at").first()
            if due is None:
                break
            self.now = max(due.due_at, self.now + SECOND)
        refund.refresh_from_db()
        return str(refund.state)


@pytest.fixture
def counter(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    with inside(make_shop()) as shop:
        payment = prepare_payment(
            order_id=make_order(shop).pk,
            account_id=make_account(shop, platform="shouqianba").pk,
            product=Product.DYNAMIC_QR,
            wallet="wechatpay",
            now=NOW,
            actor=PAYER,
        )
        apply_payment_result(
            payment_id=payment.pk, result=paid_result(payment), via="query", now=NOW, actor=PAYER
        )
        server = ShouqianbaServer()
        opened = {"client_sn": payment.order_no, "total_amount": "10000"}
        server.open(TERMINAL_SN, {**opened, "subject": "x", "operator": "x"}, "3", "2")
        server.pay(payment.order_no)
        counter = Counter(shop, payment, server)
        monkeypatch.setattr(sending, "gateway_of", lambda _account, **_caller: counter.gateway())
        monkeypatch.setattr(
            rounds, "gateways_of", lambda callers: [counter.gateway()] * len(callers)
        )
        yield counter


def lost(server: ShouqianbaServer) -> Callable[[httpx.Request], httpx.Response]:
    """The call takes effect, and its answer never comes."""

    def lose(request: httpx.Request) -> httpx.Response:
        server.serve(request)
        raise httpx.ReadTimeout("slow", request=request)

    return lose


def test_one_that_was_accepted_and_is_hidden_by_the_next_is_sent_again(counter: Counter) -> None:
    first, second = counter.ask(3_000), counter.ask(2_000)

    def accept(request: httpx.Request) -> httpx.Response:
        counter.server.serve(request)
        return biz("REFUND_IN_PROGRESS")(request)

    counter.server.faults.append(accept)
    counter.send(first)
    assert first.state == "processing"
    counter.send(second, at=NOW + SECOND)
    assert second.state == "succeeded"
    assert counter.end(first) == "succeeded"
    assert counter.left() == "5000"


def test_one_beside_a_refund_made_in_the_console(counter: Counter) -> None:
    console = {"client_sn": counter.payment.order_no, "refund_request_no": "CONSOLE1"}
    counter.server.refund({**console, "refund_amount": "3000"})
    ours = counter.ask(2_000)
    counter.server.faults.append(lost(counter.server))
    counter.send(ours)
    assert counter.end(ours) == "succeeded"
    assert counter.left() == "5000"


def test_two_workers_send_it_at_once_and_the_first_one_s_answer_is_lost(counter: Counter) -> None:
    """The second asks before the first call takes effect, and is refused since it did: that is no refusal of the refund."""
    counter.server.forgets_refunds = True
    refund = counter.ask(10_000)
    honest = counter.server.handle

    def first(sent: httpx.Request) -> httpx.Response:
        def between(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/refund"):
                honest(sent)
            return honest(request)

        counter.server.handle = between  # type: ignore[method-assign]
        counter.send(refund, at=NOW + SECOND)
        counter.server.handle = honest  # type: ignore[method-assign]
        raise httpx.ReadTimeout("slow", request=sent)

    counter.server.faults.append(first)
    counter.send(refund)
    assert counter.left() == "0"
    assert counter.end(refund) == "succeeded"
