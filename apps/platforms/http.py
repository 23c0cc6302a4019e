"""The one door to the platforms' servers: time limits, bounded answers, quiet logs. Free of Django.

Nothing that identifies or authorises (headers, query strings, bodies) is logged: an OAuth exchange carries its secret in
the query, and Alipay its signature.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx

from apps.platforms.gateway import MalformedMessage, PlatformUnavailable

logger = logging.getLogger("apps.platforms.http")

#: httpx logs whole addresses at INFO, httpcore whole headers at DEBUG: both would write secrets into the log.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

#: The largest ordinary answer in bytes; the platforms' own are a few kilobytes.
MAX_ANSWER = 10 * 1024 * 1024
#: The largest bill file in bytes, as transferred.
MAX_FILE = 200 * 1024 * 1024
#: A bill may take this many times the ordinary time limit.
FILE_PATIENCE = 12

USER_AGENT = "merchant-portal/1"

_LOCAL: Mapping[str, None] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer as received: header names lower-cased, the body's bytes untouched."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class PlatformHttp:
    """Sends requests; shared by all gateways of a process, safe in threads and across forks.

    ``timeout`` is in seconds, for connecting, for each read, and (doubled) for the whole exchange. ``transport`` and
    ``async_transport`` stand in for the network in tests.
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._transport = transport
        self._async_transport = async_transport
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._owner = 0
        self._tls: ssl.SSLContext | None = None
        self._session: ContextVar[_Kept | None] = ContextVar(
            f"platform_http_{id(self)}", default=None
        )

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limit: int = MAX_ANSWER,
        patience: int = 1,
    ) -> HttpAnswer:
        """One exchange, whatever the status of the answer.

        Raises PlatformUnavailable with code ``"timeout"``, ``"network"`` or ``"too_large"`` (more than ``limit``
        bytes). ``patience`` multiplies the time limit.
        """
        exchange = _Exchange(method, url, limit, self._timeout * patience)
        client = self._sync_client()
        try:
            with client.stream(
                method,
                url,
                headers=_headers(headers),
                content=body,
                timeout=self._timeout * patience,
            ) as response:
                for chunk in response.iter_bytes():
                    exchange.take(chunk)
            return exchange.finish(response)
        except httpx.TimeoutException as error:
            raise exchange.trouble("timeout", error) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise exchange.trouble("network", error) from error

    async def send_async(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limit: int = MAX_ANSWER,
    ) -> HttpAnswer:
        """As ``send``, without blocking. Inside ``session()`` connections are kept between calls."""
        exchange = _Exchange(method, url, limit, self._timeout)
        kept = self._session.get()
        try:
            async with (
                self._async_client() if kept is None else kept.client(url) as client,
                client.stream(method, url, headers=_headers(headers), content=body) as response,
            ):
                async for chunk in response.aiter_bytes():
                    exchange.take(chunk)
            return exchange.finish(response)
        except httpx.TimeoutException as error:
            raise exchange.trouble("timeout", error) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise exchange.trouble("network", error) from error

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Keep connections for the async calls made inside: one polling round, one event loop."""
        kept = _Kept(self._async_client)
        token = self._session.set(kept)
        try:
            yield
        finally:
            self._session.reset(token)
            await kept.close()

    def close(self) -> None:
        """Drop the kept connections; the next call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and self._owner == os.getpid():
            client.close()

    def _context(self) -> ssl.SSLContext:
        # Building one reads all root certificates, tens of milliseconds: once is enough.
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls

    def _sync_client(self) -> httpx.Client:
        with self._lock:
            # After a fork the parent's sockets must not be used: two processes would read each other's answers.
            if self._client is None or self._owner != os.getpid():
                self._client = httpx.Client(
                    timeout=self._timeout,
                    transport=self._transport,
                    follow_redirects=False,
                    verify=self._context(),
                    mounts=None if self._transport else _LOCAL,
                )
                self._owner = os.getpid()
            return self._client

    def _async_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=self._timeout,
            transport=self._async_transport,
            follow_redirects=False,
            verify=self._context(),
            mounts=None if self._async_transport else _LOCAL,
        )


class _Kept:
    """The connections of one session: a client for each call under way, each with the one connection that it keeps.

    One client for all would look at all its connections for every call, and would close those past its twentieth as soon
    as they are free: a new TLS handshake for nearly each call.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._all: list[httpx.AsyncClient] = []
        self._free: defaultdict[str, list[httpx.AsyncClient]] = defaultdict(list)

    @asynccontextmanager
    async def client(self, url: str) -> AsyncIterator[httpx.AsyncClient]:
        """One that nobody else uses, with an open connection to this server if there is one."""
        free = self._free["/".join(url.split("/", 3)[:3])]
        client = free.pop() if free else self._new()
        try:
            yield client
        finally:
            free.append(client)

    def _new(self) -> httpx.AsyncClient:
        client = self._make()
        self._all.append(client)
        return client

    async def close(self) -> None:
        """Close all connections."""
        for client in self._all:
            await client.aclose()


def unavailable(answer: HttpAnswer, *, code: str = "", message: str = "") -> PlatformUnavailable:
    """The error for an answer that says nothing usable; the code falls back to ``"http_502"`` and the like."""
    return PlatformUnavailable(
        message or f"the platform's server answered {answer.status}",
        code=code or f"http_{answer.status}",
    )


class ReadingAnswer:
    """Around the reading of an answer: what cannot be read is no usable answer, code ``"bad_answer"``."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MalformedMessage):
            raise PlatformUnavailable(str(error), code="bad_answer") from error


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    # Bills are hashed and notices are signed byte for byte: no compression on the way.
    return {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})}


class _Exchange:
    """One request under way: collects the answer within its bounds and writes the log line."""

    def __init__(self, method: str, url: str, limit: int, seconds: float) -> None:
        parts = url.partition("?")[0].partition("#")[0]
        self.what = f"{method} {parts}"
        self.limit = limit
        self.started = time.monotonic()
        self.deadline = self.started + 2 * seconds
        self.size = 0
        self.chunks: list[bytes] = []

    def take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.limit:
            logger.warning("%s: answer of more than %d bytes dropped", self.what, self.limit)
            raise PlatformUnavailable("the answer is too large", code="too_large")
        if time.monotonic() > self.deadline:
            raise httpx.ReadTimeout("the answer takes too long")
        self.chunks.append(chunk)

    def finish(self, response: httpx.Response) -> HttpAnswer:
        logger.debug(
            "%s: %d, %d bytes, %d ms",
            self.what,
            response.status_code,
            self.size,
            (time.monotonic() - self.started) * 1000,
        )
        return HttpAnswer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=b"".join(self.chunks),
        )

    def trouble(self, code: str, error: Exception) -> PlatformUnavailable:
        elapsed = (time.monotonic() - self.started) * 1000
        logger.warning("%s: %s after %d ms (%s)", self.what, code, elapsed, type(error).__name__)
        words = "no answer in time" if code == "timeout" else "the platform could not be reached"
        return PlatformUnavailable(words, code=code)
