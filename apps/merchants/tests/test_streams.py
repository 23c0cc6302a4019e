"""Live events: a slow page harms nobody else, and who may no longer look hears nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from apps.core.live import publish
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants import streams
from apps.merchants.models import Membership, Role
from apps.merchants.streams import Hub, live_stream
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop, make_user
from apps.payments.services import apply_payment_result, open_order, prepare_payment
from apps.payments.tests.factories import PAYER, make_account, paid_result
from apps.platforms.gateway import Product
from apps.refunds.services import request_refund


@pytest.fixture
def shop(transactional_db: None) -> Shop:
    with connection.cursor() as cursor:
        # The table of audit events refuses to be emptied after the test otherwise.
        cursor.execute("SET app.allow_truncate = 'on'")
    return make_shop()


def say(shop: Shop, subject_id: int = 7) -> None:
    with enter_scope(shop.scope):
        publish(kind="payment", subject_id=subject_id, store_id=shop.store.pk)


def in_thread(work: Callable[[], Any]) -> Coroutine[Any, Any, Any]:
    """Do database work beside the loop, over a connection of its own."""

    def done() -> None:
        try:
            work()
        finally:
            connection.close()

    return asyncio.to_thread(done)


class Page:
    """A browser's end of a stream; it reads while ``reading`` is set."""

    def __init__(self, shop: Shop, role: str = "owner") -> None:
        self.client = Client()
        self.client.force_login(shop[role])
        cookie = f"{settings.SESSION_COOKIE_NAME}={self.client.session.session_key}"
        self.asgi: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": f"/m/{shop.slug}/live",
            "headers": [(b"cookie", cookie.encode())],
        }
        self.heard: list[str] = []
        self.status = 0
        self.ended = False
        self.reading = asyncio.Event()
        self.reading.set()
        self.left = asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        await self.reading.wait()
        self.heard.append(message["body"].decode())
        self.ended = not message.get("more_body", False)

    def open(self) -> asyncio.Task[None]:
        return asyncio.create_task(live_stream(self.asgi, self.receive, self.send))

    async def hears(self, part: str) -> None:
        async with asyncio.timeout(5):
            while not any(part in text for text in self.heard):
                await asyncio.sleep(0.02)


def test_one_full_queue_ends_its_own_stream_and_no_other(shop: Shop) -> None:
    async def story() -> tuple[Any, list[Any]]:
        hub = Hub()
        slow, quick = hub.join(shop.scope), hub.join(shop.scope)
        while not slow.full():
            slow.put_nowait("event: old\n\n")
        heard: list[Any] = []
        async with asyncio.timeout(5):
            # On connecting everybody is told to look again; here that finds no room.
            heard.append(await quick.get())
            await in_thread(lambda: say(shop))
            heard.append(await quick.get())
        first = slow.get_nowait()
        hub.leave(slow)
        hub.leave(quick)
        return first, heard

    first, heard = asyncio.run(story())
    assert first is None
    assert heard[0].startswith("event: refresh\n")
    assert heard[1].startswith("event: payment\n")


def test_a_page_that_does_not_read_is_let_go_so_that_it_connects_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "QUEUE_LIMIT", 3)

    async def story(slow: Page, quick: Page) -> None:
        tasks = [slow.open()]
        # Said once the process listens; who comes later has just looked.
        await slow.hears("refresh")
        tasks.append(quick.open())
        await quick.hears("retry")
        slow.reading.clear()
        for number in range(6):
            await in_thread(partial(say, shop, number))
            await quick.hears(f'"id": {number}')
        slow.reading.set()
        async with asyncio.timeout(5):
            await tasks[0]
        quick.left.set()
        await tasks[1]

    slow, quick = Page(shop), Page(shop)
    asyncio.run(story(slow, quick))
    assert slow.ended
    assert not any('"id": 5' in text for text in slow.heard)
    assert not quick.ended


def remove(shop: Shop, _page: Page) -> None:
    Membership.objects.filter(user=shop["owner"]).update(is_active=False)


def log_out(_shop: Shop, page: Page) -> None:
    page.client.logout()


def close_account(shop: Shop, _page: Page) -> None:
    shop["owner"].is_active = False
    shop["owner"].save()


@pytest.mark.parametrize("lose", [remove, log_out, close_account])
def test_who_may_no_longer_look_is_told_nothing_more(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Shop, Page], None]
) -> None:
    monkeypatch.setattr(streams, "RECHECK_SECONDS", 0.2, raising=False)
    # No heartbeat comes in between: the check must not wait for one.
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 30)

    async def story(page: Page, other: Page) -> None:
        tasks = [page.open()]
        await page.hears("refresh")
        tasks.append(other.open())
        await other.hears("retry")
        await in_thread(lambda: lose(shop, page))
        await asyncio.sleep(0.3)
        await in_thread(lambda: say(shop))
        async with asyncio.timeout(5):
            await tasks[0]
        await other.hears("payment")
        other.left.set()
        await tasks[1]

    page, other = Page(shop), Page(shop, "finance")
    asyncio.run(story(page, other))
    assert page.ended
    assert not any("payment" in text for text in page.heard)
    assert not other.ended


def test_an_idle_stream_of_a_removed_member_ends_at_a_heartbeat(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RECHECK_SECONDS", 0.2, raising=False)
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)

    async def story(page: Page) -> None:
        task = page.open()
        await page.hears("still here")
        await in_thread(lambda: remove(shop, page))
        async with asyncio.timeout(5):
            await task

    page = Page(shop)
    asyncio.run(story(page))
    assert page.ended


def test_a_stranger_is_refused(shop: Shop) -> None:
    async def story(page: Page) -> None:
        page.asgi["path"] = "/m/rice/live"
        await page.open()

    make_shop("rice")
    page = Page(shop)
    asyncio.run(story(page))
    assert page.status == 404


def test_a_cashier_hears_of_no_other_cashiers_money(shop: Shop) -> None:
    """Two cashiers and the owner: each hears of what is theirs and nobody's, the owner of all, whatever happens to it."""
    second = make_user("second@tea.test")
    Membership.objects.create(merchant=shop.merchant, user=second, role=Role.CASHIER)
    shop.members["second"] = second
    takers = {"cashier": shop["cashier"], "second": second, "nobody": None}
    made: dict[str, set[str]] = {}

    def trade() -> None:
        with inside(shop):
            account = make_account(shop)
            for name, taker in takers.items():
                order = open_order(
                    store_id=shop.store.pk,
                    code_id=None,
                    taken_by=taker,
                    amount=Money(5_000),
                    subject="x",
                    now=NOW,
                    actor=PAYER,
                )
                payment = prepare_payment(
                    order_id=order.pk,
                    account_id=account.pk,
                    product=Product.DYNAMIC_QR,
                    now=NOW,
                    actor=PAYER,
                )
                apply_payment_result(
                    payment_id=payment.pk,
                    result=paid_result(payment),
                    via="notification",
                    now=NOW,
                    actor=PAYER,
                )
                refund = request_refund(
                    payment_id=payment.pk,
                    amount=Money(100),
                    reason="x",
                    member=shop["manager"],
                    actor=PAYER,
                    now=NOW,
                )
                made[name] = {told("payment", payment.pk), told("refund", refund.pk)}
            publish(kind="end", subject_id=1, store_id=shop.store.pk)

    def told(kind: str, number: int) -> str:
        return f'event: {kind}\ndata: {{"kind": "{kind}", "id": {number}}}\n\n'

    async def story(pages: list[Page]) -> None:
        tasks = []
        for page in pages:
            tasks.append(page.open())
            await page.hears("retry")
        await pages[0].hears("refresh")
        await in_thread(trade)
        for page in pages:
            await page.hears("event: end")
            page.left.set()
        await asyncio.gather(*tasks)

    pages = {role: Page(shop, role) for role in ("cashier", "second", "owner")}
    asyncio.run(story(list(pages.values())))
    everything = set().union(*made.values())
    for role, page in pages.items():
        heard = {text for text in page.heard if text.startswith(("event: pay", "event: refund"))}
        expected = everything if role == "owner" else made[role] | made["nobody"]
        assert heard == expected, role


def test_the_listener_connects_with_every_option_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {
        "connect_timeout": 7,
        "sslrootcert": "/etc/ssl/own.pem",
        "options": "-c statement_timeout=0",
        "pool": {"min_size": 1},
        "server_side_binding": True,
    }
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    params = streams.listen_params()
    assert {name: params[name] for name in ("connect_timeout", "sslrootcert", "options")} == {
        "connect_timeout": 7,
        "sslrootcert": "/etc/ssl/own.pem",
        "options": "-c statement_timeout=0",
    }
    assert params["dbname"] == connection.settings_dict["NAME"]
    assert not {"pool", "server_side_binding", "cursor_factory", "context"} & params.keys()
