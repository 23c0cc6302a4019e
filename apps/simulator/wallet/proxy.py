"""The wallet's in-app browser: a reverse proxy in front of the portal, one port per wallet.

A page opened through it looks to the portal as if it were opened inside the wallet: the wallet's
User-Agent is sent, and the page finds the wallet's JavaScript bridge. It knows the portal only by
its address; nothing of the product is imported.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

from apps.simulator.payers import BROWSER_COOKIE
from apps.simulator.wallet.wallets import WALLETS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

STATIC = Path(__file__).resolve().parents[3] / "static" / "simulator"
ASSETS = {
    "bridge.js": "text/javascript; charset=utf-8",
    "bridge.css": "text/css; charset=utf-8",
}
# RFC 9110 section 7.6.1: these belong to one connection and are never passed on.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
ADDRESS_HEADERS = frozenset({b"location", b"content-location", b"hx-redirect", b"hx-location"})
HTML_LIMIT = 4 * 1024 * 1024
BODY_LIMIT = 20 * 1024 * 1024
HEAD_TAG = re.compile(rb"<head(?:\s[^>]*)?>", re.IGNORECASE)
TIMEOUT = httpx.Timeout(30.0, read=None)  # server-sent events stay open as long as the page


def make_proxy(platform: str, *, portal_url: str, simulator_url: str) -> ASGIApp:
    """Return the ASGI application that plays the in-app browser of `platform`.

    `platform` names one of ``WALLETS``; the addresses are origins such as
    ``http://localhost:8000``. Paths under ``/__wallet__/`` are the wallet's own and never reach
    the portal. Raises ValueError for another platform.
    """
    if platform not in WALLETS:
        raise ValueError(f"No wallet for platform {platform!r}.")
    return _Proxy(platform, _origin(portal_url), _origin(simulator_url))


def rewrite_address(value: str, *, portal: str, browser: str) -> str:
    """Turn an absolute address on the portal into the same one on the in-app browser."""
    parts = urlsplit(value)
    if not parts.netloc:
        return value
    if (parts.scheme or "http", parts.netloc) not in {
        (urlsplit(name).scheme, urlsplit(name).netloc) for name in same_machine(portal)
    }:
        return value
    return (
        browser
        + (parts.path or "/")
        + (f"?{parts.query}" if parts.query else "")
        + (f"#{parts.fragment}" if parts.fragment else "")
    )


def same_machine(origin: str) -> tuple[str, ...]:
    """Return `origin` and, for a loopback one, its other spelling (localhost, 127.0.0.1)."""
    parts = urlsplit(origin)
    port = f":{parts.port}" if parts.port else ""
    if parts.hostname in {"localhost", "127.0.0.1"}:
        return (f"{parts.scheme}://localhost{port}", f"{parts.scheme}://127.0.0.1{port}")
    return (origin,)


def inject_bridge(html: bytes, platform: str) -> bytes:
    """Put the wallet's script and style sheet at the start of ``<head>``; once, if there is one."""
    tags = (
        b'<link rel="stylesheet" href="/__wallet__/bridge.css">'
        b'<script src="/__wallet__/bridge.js" data-wallet="' + platform.encode() + b'"></script>'
    )
    found = HEAD_TAG.search(html)
    if found is None:
        return html
    return html[: found.end()] + tags + html[found.end() :]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError(f"Not an http address: {url!r}.")
    return f"{parts.scheme}://{parts.netloc}"


class _BodyTooLarge(Exception):
    """The request is larger than the proxy passes on."""


class _Proxy:
    def __init__(self, platform: str, portal: str, simulator: str) -> None:
        self.platform = platform
        self.portal = portal
        self.simulator = simulator
        self.client: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self.client is not None:
                    await self.client.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _client(self) -> httpx.AsyncClient:
        if self.client is None:
            self.client = httpx.AsyncClient(
                timeout=TIMEOUT,
                follow_redirects=False,
                trust_env=False,  # the portal is on this machine; no system proxy in between
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
            )
        return self.client

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("raw_path", b"").decode("ascii") or scope["path"]
        query = scope.get("query_string", b"").decode("ascii")
        name = path.removeprefix("/__wallet__/")
        if name in ASSETS and path != name:
            await _reply(send, 200, (STATIC / name).read_bytes(), ASSETS[name])
            return
        if path.startswith("/__wallet__/"):
            target = f"{self.simulator}/wallet/inapp/{self.platform}/{name}"
            upstream = self.simulator
        else:
            target, upstream = self.portal + path, self.portal
        if query:
            target += f"?{query}"
        browser = self._browser_origin(scope)
        headers = self._request_headers(scope, upstream, browser)
        client = self._client()
        has_body = any(
            key in {b"content-length", b"transfer-encoding"} for key, _ in scope["headers"]
        )
        request = client.build_request(
            scope["method"],
            target,
            headers=headers,
            content=_body(receive) if has_body else None,
        )
        # httpx adds its own for a header that is missing; the wallet sends nothing of the kind.
        request.headers["accept-encoding"] = "identity"
        try:
            response = await client.send(request, stream=True)
        except _BodyTooLarge:
            await _reply(send, 413, "文件太大 This upload is too large.".encode())
            return
        except httpx.HTTPError:
            text = f"网络不可用：连接不上 {upstream}\nNo connection: {upstream} does not answer."
            await _reply(send, 502, text.encode())
            return
        try:
            await self._answer(scope, receive, send, response, upstream, browser)
        except httpx.HTTPError:
            return  # upstream broke off in the middle; closing the connection says so
        finally:
            await response.aclose()

    def _browser_origin(self, scope: Scope) -> str:
        for key, value in scope["headers"]:
            if key == b"host":
                return f"{scope.get('scheme', 'http')}://{value.decode('latin-1')}"
        host, port = scope["server"]
        return f"{scope.get('scheme', 'http')}://{host}:{port}"

    def _request_headers(self, scope: Scope, upstream: str, browser: str) -> Headers:
        kept: Headers = []
        for key, value in scope["headers"]:
            if key in HOP_BY_HOP or key in {b"host", b"user-agent", b"accept-encoding"}:
                continue
            if key == b"origin" and value.decode("latin-1") == browser:
                value = upstream.encode()
            elif key == b"referer" and value.decode("latin-1").startswith(browser):
                value = (upstream + value.decode("latin-1")[len(browser) :]).encode("latin-1")
            kept.append((key, value))
        kept.append((b"host", urlsplit(upstream).netloc.encode()))
        kept.append((b"user-agent", WALLETS[self.platform].user_agent.encode()))
        return kept

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        response: httpx.Response,
        upstream: str,
        browser: str,
    ) -> None:
        headers: Headers = []
        for key, value in response.headers.raw:
            name = key.lower()
            if name in HOP_BY_HOP:
                continue
            if name in ADDRESS_HEADERS:
                value = rewrite_address(
                    value.decode("latin-1"), portal=self.portal, browser=browser
                ).encode("latin-1")
            headers.append((name, value))
        kind = response.headers.get("content-type", "")
        if upstream == self.portal and (kind.startswith("text/html") or response.is_redirect):
            headers += _browser_cookie(scope, browser)
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        if kind.startswith("text/html") and not encoded and scope["method"] != "HEAD":
            body = b""
            chunks = response.aiter_raw()
            async for chunk in chunks:
                body += chunk
                if len(body) > HTML_LIMIT:
                    break
            body = inject_bridge(body, self.platform)
            headers = [(key, value) for key, value in headers if key != b"content-length"]
            await send(
                {"type": "http.response.start", "status": response.status_code, "headers": headers}
            )
            await send({"type": "http.response.body", "body": body, "more_body": True})
            async for chunk in chunks:  # only what is left of a very long page
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        async with anyio.create_task_group() as group:

            async def stop_when_gone() -> None:
                # The page was closed: without this an event stream would be kept open for ever.
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(stop_when_gone)
            try:
                async for chunk in response.aiter_raw():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            except httpx.HTTPError:
                pass  # upstream broke off; the server closes the connection on the short answer
            group.cancel_scope.cancel()


def _browser_cookie(scope: Scope, browser: str) -> Headers:
    """The cookie by which the simulator's other pages find the way back into this browser."""
    sent = b"; ".join(value for key, value in scope["headers"] if key == b"cookie")
    if browser.encode() in sent:
        return []
    cookie = f"{BROWSER_COOKIE}={browser}; Path=/; SameSite=Lax; HttpOnly"
    return [(b"set-cookie", cookie.encode("latin-1"))]


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > BODY_LIMIT:
            raise _BodyTooLarge
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return


async def _reply(
    send: Send, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8"
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
