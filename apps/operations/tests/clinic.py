"""A shop with an account at a running simulator, a portal that its notices reach, and ways to make both ill."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pytest_django import Settings

from apps.core import audit, clock
from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.tests.factories import Shop
from apps.operations.doctor import Examination, examine_account
from apps.payments import services as payments
from apps.payments.models import Payment
from apps.platforms.gateway import Credentials, Platform, Product
from apps.platforms.models import Notification, PlatformAccount
from apps.platforms.registry import capabilities_of
from apps.platforms.services import connect_account, credentials_of
from apps.platforms.services.credentials import sealed
from apps.platforms.wallets import wallets_of
from merchant_portal.tests.foreign.harness import Simulator

ACTOR = Actor.system("test")
#: Settings that hold the platforms' addresses, and where the simulator has them.
_PLACES = {
    "WECHATPAY_API_URL": "/wechatpay",
    "WECHATPAY_OAUTH_TOKEN_URL": "/wechatpay/sns/oauth2/access_token",
    "ALIPAY_GATEWAY_URL": "/alipay/gateway.do",
    "UNIONPAY_BACK_URL": "/unionpay/gateway/api/backTransReq.do",
    "UNIONPAY_FRONT_URL": "/unionpay/gateway/api/frontTransReq.do",
    "UNIONPAY_QUERY_URL": "/unionpay/gateway/api/queryTrans.do",
    "UNIONPAY_FILE_URL": "/unionpay/file/",
    "SHOUQIANBA_API_URL": "/shouqianba",
    "SHOUQIANBA_GATEWAY_URL": "/shouqianba/qr/gateway",
}
_NOT_KEYS = frozenset({"platform", "merchant_no", "app_id", "name", "rate_ppm", "key_mode"})


@dataclass
class Clinic:
    """What a test needs to make an account ill and have it examined, in the shop's scope."""

    shop: Shop
    simulator: Simulator
    settings: Settings
    account: PlatformAccount = field(init=False)
    #: What ends with the test.
    rooms: ExitStack = field(default_factory=ExitStack)
    told: int = 0

    def point(self, address: str, *, simulated: bool = True) -> None:
        """Let every call to a platform go to ``address``; ``simulated``, as a development machine's calls do."""
        self.settings.SIMULATOR_URL = address if simulated else ""
        for name, path in _PLACES.items():
            setattr(self.settings, name, f"{address}{path}")

    def given(self, platform: str, **options: Any) -> dict[str, Any]:
        """A new merchant of the simulator, as its console shows it."""
        body = {"platform": platform, "name": "茶铺", **options}
        return dict(self.simulator.control("merchants", body))

    def connect(self, platform: str, **options: Any) -> PlatformAccount:
        """An account that works. ``options`` are the simulator's for a new merchant."""
        return self.enter(self.given(platform, **options))

    def enter(self, given: dict[str, Any], *, unchecked: bool = False) -> PlatformAccount:
        """Connect the account of a merchant of the simulator."""
        mode = given.get("key_mode")
        keys = {name: str(value) for name, value in given.items() if name not in _NOT_KEYS}
        if mode == "certificate":
            keys["platform_certificates"] = keys["platform_certificate"]
            for name in ("public_key", "public_key_id"):
                keys.pop(name)
        credentials = Credentials(
            app_id=given["app_id"], merchant_no=given["merchant_no"], keys=keys
        )
        self.account = connect_account(
            platform=given["platform"],
            label=given["platform"],
            credentials=credentials,
            fee_rate_ppm=6000,
            all_stores=True,
            store_ids=[],
            actor=ACTOR,
            now=clock.now(),
            unchecked=unchecked,
        )
        return self.account

    def change(self, **keys: str) -> None:
        """Put other keys into the account, as if they had been entered wrong while the platform could not be asked."""
        held = dict(credentials_of(self.account).keys)
        self.account.credentials_sealed = sealed({**held, **keys}, self.account.merchant_id)
        self.account.save(update_fields=["credentials_sealed"])
        audit.record(
            action="account.changed",
            subject_kind="account",
            subject_id=self.account.pk,
            actor=ACTOR,
            at=clock.now(),
            data={"replaced": sorted(keys), "check": "unreachable"},
        )

    def fault(self, key: str, **options: Any) -> None:
        """Put a fault of the simulator in force at the account's platform."""
        body = {"key": key, "platform": self.account.platform, **options}
        self.simulator.control("faults", body)

    def between(self, path: str, answer: Answer) -> None:
        """Put somebody between portal and platform who gives ``answer`` wherever ``path`` occurs in the address."""
        host = urlsplit(self.simulator.address).netloc

        def handle(handler: BaseHTTPRequestHandler, body: bytes) -> None:
            if path in handler.path:
                return answer(handler, body)
            onward = http.client.HTTPConnection(host, timeout=20)
            onward.request(handler.command, handler.path, body, dict(handler.headers.items()))
            said = onward.getresponse()
            headers = {name.replace("-", "_"): value for name, value in said.getheaders()}
            for name in ("Content_Length", "content_length", "Transfer_Encoding", "Date", "date"):
                headers.pop(name, None)
            saying(said.status, said.read(), **headers)(handler, body)
            onward.close()
            return None

        self.point(self.rooms.enter_context(answering(handle)))

    def pay(self) -> Payment:
        """Open an order and let the simulated wallet pay it."""
        self.told = self._told()
        now = clock.now()
        order = payments.open_order(
            store_id=self.shop.store.pk,
            code_id=None,
            amount=Money(1200),
            subject="龙井",
            now=now,
            actor=ACTOR,
        )
        platform = Platform(self.account.platform)
        payment = payments.start_payment(
            order_id=order.pk,
            account_id=self.account.pk,
            product=Product.DYNAMIC_QR,
            wallet=wallets_of(platform, capabilities_of(platform))[0].value,
            now=now,
            actor=ACTOR,
        )
        self.simulator.control(
            "pay",
            {
                "platform": self.account.platform,
                "merchant_no": self.account.merchant_no,
                "out_trade_no": payment.order_no,
                "code": payment.handover["qr_content"],
            },
        )
        return payment

    def deliver(self) -> None:
        """Have the simulator send the notice of what was paid last, and wait until it was taken in."""
        self.simulator.control("notices/flush", {})
        deadline = time.monotonic() + 10
        while self._told() == self.told:
            assert time.monotonic() < deadline, "no notice came"
            time.sleep(0.05)

    def _told(self) -> int:
        return Notification.objects.filter(processed_at__isnull=False).count()

    def examine(self, *, later: timedelta = timedelta(0)) -> Examination:
        """What the doctor finds; ``later`` than now, for what is judged by its age."""
        self.account.refresh_from_db()
        return examine_account(self.account, now=clock.now() + later, actor=ACTOR)


#: What a server does with a request and its body.
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server on this machine that answers everything alike; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            answer(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        do_GET = do_POST = respond  # noqa: N815  # the names that http.server calls

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def saying(status: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer for ``answering``; names of headers with underscores for hyphens."""

    def answer(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer
