"""The in-app browser in front of a small portal that really listens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from typing_extensions import override

from apps.simulator.wallet.proxy import inject_bridge, make_proxy, rewrite_address

pytestmark = pytest.mark.enable_socket
BROWSER = "http://localhost:9101"
PAGE = b"<!doctype html><html><HEAD lang='zh'><title>x</title></HEAD><body>hi</body></html>"


@dataclass
class Seen:
    """What the upstream server was asked."""

    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    broken: threading.Event = field(default_factory=threading.Event)
    origin: str = ""


@pytest.fixture
def upstream() -> Iterator[Seen]:
    """A portal (and simulator) on a free port."""
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _reply(self, status: int, kind: str, body: bytes, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def _serve(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            seen.requests.append((self.command, self.path, headers, self._body()))
            if self.path == "/events":
                self._events()
            elif self.path.startswith("/moved"):
                self._reply(302, "text/plain", b"", Location=f"{seen.origin}/q/1?a=b#c")
            elif self.path == "/out":
                self._reply(302, "text/plain", b"", Location="http://localhost:9100/alipay/x")
            elif self.path == "/csv":
                self._reply(200, "text/csv", b"<head>,1\r\n")
            else:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(PAGE)))
                self.send_header("Set-Cookie", "sessionid=1; Path=/; HttpOnly")
                self.send_header("Set-Cookie", "csrftoken=2; Path=/")
                self.end_headers()
                self.wfile.write(PAGE)

        def _events(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: 1\n\n")
            self.wfile.flush()
            seen.release.wait(5)
            try:
                for _ in range(50):
                    self.wfile.write(b"data: 2\n\n")
                    self.wfile.flush()
                    threading.Event().wait(0.02)
            except OSError:
                seen.broken.set()

        do_GET = do_POST = do_HEAD = _serve  # noqa: N815 - http.server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        seen.release.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def ask(
    upstream: Seen, method: str, path: str, *, platform: str = "wechatpay", **more: Any
) -> httpx.Response:
    """One request through the in-app browser."""

    async def run() -> httpx.Response:
        proxy: Any = make_proxy(platform, portal_url=upstream.origin, simulator_url=upstream.origin)
        transport = httpx.ASGITransport(app=proxy)
        async with httpx.AsyncClient(transport=transport, base_url=BROWSER) as client:
            try:
                return await client.request(method, path, **more)
            finally:
                if proxy.client is not None:
                    await proxy.client.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("platform", "token"),
    [
        ("wechatpay", "MicroMessenger/8.0.50"),
        ("alipay", "AlipayClient/10.5"),
        ("unionpay", "UnionPay/1.0 CloudPay"),
    ],
)
def test_pages_are_asked_as_the_wallet_and_get_its_bridge(
    upstream: Seen, platform: str, token: str
) -> None:
    answer = ask(upstream, "GET", "/q/abc?x=%E4%B8%80", platform=platform)
    _, path, headers, _ = upstream.requests[0]
    assert path == "/q/abc?x=%E4%B8%80"
    assert token in headers["user-agent"]
    assert headers["host"] == upstream.origin.removeprefix("http://")
    assert answer.content.count(b"/__wallet__/bridge.js") == 1
    assert b"<HEAD lang='zh'><link" in answer.content
    assert f'data-wallet="{platform}"' in answer.text
    assert answer.headers.get_list("set-cookie") == [
        "sessionid=1; Path=/; HttpOnly",
        "csrftoken=2; Path=/",
        f"sim_wallet_browser={BROWSER}; Path=/; SameSite=Lax; HttpOnly",
    ]
    assert "content-length" not in answer.headers


def test_a_form_keeps_its_body_and_comes_from_the_portals_own_origin(upstream: Seen) -> None:
    ask(
        upstream,
        "POST",
        "/q/abc",
        content=b"amount=12.50",
        headers={
            "Origin": BROWSER,
            "Referer": f"{BROWSER}/q/abc",
            "Cookie": "csrftoken=2",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    _, _, headers, body = upstream.requests[0]
    assert body == b"amount=12.50"
    assert headers["origin"] == upstream.origin
    assert headers["referer"] == f"{upstream.origin}/q/abc"
    assert headers["cookie"] == "csrftoken=2"
    assert "transfer-encoding" not in headers


def test_a_foreign_origin_is_not_made_the_portals(upstream: Seen) -> None:
    headers = {"Origin": "http://evil.example", "Referer": "http://evil.example/"}
    ask(upstream, "POST", "/q/abc", content=b"", headers=headers)
    assert upstream.requests[0][2]["origin"] == "http://evil.example"
    assert upstream.requests[0][2]["referer"] == "http://evil.example/"


def test_redirects_to_the_portal_stay_inside_and_others_pass(upstream: Seen) -> None:
    assert ask(upstream, "GET", "/moved").headers["location"] == f"{BROWSER}/q/1?a=b#c"
    answer = ask(upstream, "GET", "/out")
    assert answer.headers["location"] == "http://localhost:9100/alipay/x"


def test_the_way_back_is_noted_once(upstream: Seen) -> None:
    assert "sim_wallet_browser=" in ask(upstream, "GET", "/moved").headers["set-cookie"]
    known = {"Cookie": f'sim_wallet_browser="{BROWSER}"'}
    assert "set-cookie" not in ask(upstream, "GET", "/moved", headers=known).headers
    assert "set-cookie" not in ask(upstream, "GET", "/csv").headers


def test_only_pages_are_changed(upstream: Seen) -> None:
    assert ask(upstream, "GET", "/csv").content == b"<head>,1\r\n"
    assert ask(upstream, "HEAD", "/q/abc").headers["content-length"] == str(len(PAGE))


def test_the_wallets_own_paths_never_reach_the_portal(upstream: Seen) -> None:
    script = ask(upstream, "GET", "/__wallet__/bridge.js")
    assert "WeixinJSBridge" in script.text
    assert script.headers["content-type"].startswith("text/javascript")
    assert ask(upstream, "GET", "/__wallet__/bridge.css").status_code == 200
    assert upstream.requests == []
    ask(upstream, "POST", "/__wallet__/pay", content=b"{}", platform="alipay")
    assert upstream.requests[0][:2] == ("POST", "/wallet/inapp/alipay/pay")


def test_a_portal_that_is_down_is_told_plainly(upstream: Seen) -> None:
    dead = Seen(origin="http://127.0.0.1:9")
    answer = ask(dead, "GET", "/q/abc")
    assert answer.status_code == 502
    assert "No connection" in answer.text


def test_events_flow_at_once_and_end_when_the_page_is_closed(upstream: Seen) -> None:
    async def run() -> bytes:
        proxy: Any = make_proxy(
            "wechatpay", portal_url=upstream.origin, simulator_url=upstream.origin
        )
        first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        gone = asyncio.Event()
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body") and not first.done():
                first.set_result(message["body"])

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "raw_path": b"/events",
            "query_string": b"",
            "headers": [(b"host", b"localhost:9101")],
            "scheme": "http",
            "server": ("localhost", 9101),
        }
        task = asyncio.create_task(proxy(scope, receive, send))
        chunk = await asyncio.wait_for(first, 3)
        gone.set()
        await asyncio.wait_for(task, 3)
        await proxy.client.aclose()
        return chunk

    assert asyncio.run(run()) == b"data: 1\n\n"
    upstream.release.set()
    assert upstream.broken.wait(3)


@pytest.mark.parametrize(
    ("address", "rewritten"),
    [
        ("/q/abc", "/q/abc"),
        ("http://localhost:8000/q/abc?x=1#y", f"{BROWSER}/q/abc?x=1#y"),
        ("http://127.0.0.1:8000", f"{BROWSER}/"),
        ("//localhost:8000/a", f"{BROWSER}/a"),
        ("https://localhost:8000/q", "https://localhost:8000/q"),
        ("http://localhost:80001/q", "http://localhost:80001/q"),
        ("http://localhost:8000.example.com/", "http://localhost:8000.example.com/"),
    ],
)
def test_addresses_are_rewritten_only_on_the_portal(address: str, rewritten: str) -> None:
    told = rewrite_address(address, portal="http://localhost:8000", browser=BROWSER)
    assert told == rewritten


def test_pages_without_a_head_stay_as_they_are() -> None:
    assert inject_bridge(b"<p>part</p>", "alipay") == b"<p>part</p>"
    assert inject_bridge(b"<header></header>", "alipay") == b"<header></header>"


def test_only_known_wallets_and_addresses() -> None:
    with pytest.raises(ValueError, match="No wallet"):
        make_proxy("paypal", portal_url=BROWSER, simulator_url=BROWSER)
    with pytest.raises(ValueError, match="Not an http address"):
        make_proxy("alipay", portal_url="localhost", simulator_url=BROWSER)
