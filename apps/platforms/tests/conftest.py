"""A shop, the platforms' small servers on real sockets, and a handler that counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import httpx
import pytest
import time_machine
from pytest_django import Settings
from typing_extensions import override

from apps.core.audit import Actor
from apps.platforms import gateway, intake
from apps.platforms.models import NotificationState, PlatformAccount
from apps.platforms.tests.alipay_server import AlipayServer
from apps.platforms.tests.shops import Shop, make_shop
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer


@contextmanager
def serving(handle: Callable[[httpx.Request], httpx.Response]) -> Iterator[str]:
    """Put a handler of httpx requests behind a real socket; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = httpx.Request(
                self.command,
                f"http://{self.headers['Host']}{self.path}",
                headers=dict(self.headers.items()),
                content=self.rfile.read(length),
            )
            response = handle(request)
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                if name.lower() not in {"content-length", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = answer  # noqa: N815  # the names that http.server calls

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def wechatpay(settings: Settings) -> Iterator[WechatpayServer]:
    """WeChat Pay's small server; the time is the server's."""
    server = WechatpayServer()
    with serving(server.handle) as url, time_machine.travel(NOW, tick=True):
        settings.WECHATPAY_API_URL = f"{url}/wechatpay"
        settings.WECHATPAY_OAUTH_TOKEN_URL = f"{url}/sns/oauth2/access_token"
        yield server


@pytest.fixture
def alipay(settings: Settings) -> Iterator[AlipayServer]:
    """Alipay's small gateway; the time is the server's."""
    server = AlipayServer()
    with serving(server.handle) as url, time_machine.travel(NOW, tick=True):
        settings.ALIPAY_GATEWAY_URL = f"{url}/gateway.do"
        yield server


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@dataclass
class CountingHandler(intake.NotificationHandler):
    """Notes what it is given; may be told to fail, or to answer something else."""

    answer: NotificationState = NotificationState.APPLIED
    trouble: Exception | None = None
    applied: list[gateway.Notification] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    lock: Any = field(default_factory=Lock)

    @override
    def apply(
        self,
        *,
        account: PlatformAccount,
        notification: gateway.Notification,
        now: datetime,
        actor: Actor,
    ) -> NotificationState:
        self.before()
        if self.trouble is not None:
            raise self.trouble
        with self.lock:
            self.applied.append(notification)
        return self.answer


@pytest.fixture
def handler() -> Iterator[CountingHandler]:
    """The handler of payments for the length of a test."""
    kind = gateway.NotificationKind.PAYMENT
    usual = intake.unregister_handler(kind)
    counting = CountingHandler()
    intake.register_handler(kind, counting)
    yield counting
    intake.unregister_handler(kind)
    if usual is not None:
        intake.register_handler(kind, usual)
