"""Server-sent events: one raw ASGI function, one LISTEN connection a process, one queue a client.

A Django async view would hold a thread for each open stream; this holds none. It carries ids only; the page fetches
what it shows through its own permission checks.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from importlib import import_module
from typing import Any

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import DatabaseError, close_old_connections, connection
from django.utils.crypto import constant_time_compare

from apps.accounts.models import User
from apps.core.live import CHANNEL
from apps.core.tenancy import Scope
from apps.merchants.access import membership_of, scope_of
from apps.merchants.roles import permissions_of

logger = logging.getLogger(__name__)

ASGIScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = re.compile(r"^/m/(?P<slug>[-a-z0-9]+)/live$")
#: A comment line this often keeps proxies from closing an idle stream.
HEARTBEAT_SECONDS = 15
#: A client that does not read is let go rather than filling memory.
QUEUE_LIMIT = 200
#: A stream says nothing more once this long has passed since its reader was known to be allowed to listen.
RECHECK_SECONDS = 60
#: What Django adds to its connection parameters for its own connections; they do not suit an asynchronous one.
_DJANGO_ONLY = ("context", "cursor_factory")

#: What a client has still to be told; None ends its stream.
Waiting = asyncio.Queue[str | None]


def _user_of(session_key: str) -> User | None:
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    if store.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = User.objects.filter(pk=store.get(SESSION_KEY, 0), is_active=True).first()
    if user is None or not constant_time_compare(
        store.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()
    ):
        return None
    return user


def _authorise(session_key: str, slug: str) -> Scope | None:
    """The scope of the member whose session this is, or None. Runs in a thread and gives its connection back."""
    try:
        user = _user_of(session_key)
        membership = membership_of(user, slug) if user else None
        if membership is None:
            return None
        scope = scope_of(membership)
        granted = permissions_of(membership.role, all_stores=scope.all_stores)
        return scope if "transactions.view" in granted else None
    finally:
        close_old_connections()
        connection.close()


def _still_allowed(session_key: str, slug: str, scope: Scope) -> bool:
    """Whether the stream's reader may hear what it hears. A database that is away says nothing of it, and tells nothing."""
    try:
        return _authorise(session_key, slug) == scope
    except DatabaseError:
        logger.warning("live events: a stream could not be checked", exc_info=True)
        return True


def listen_params() -> dict[str, Any]:
    """How to connect as Django does: every option of the settings but Django's own (pool, binding, cursors)."""
    params = connection.get_connection_params()
    return {name: value for name, value in params.items() if name not in _DJANGO_ONLY}


class Hub:
    """Hands every NOTIFY to the queues of the clients it concerns; connects while there are clients."""

    def __init__(self) -> None:
        self._clients: dict[Waiting, Scope] = {}
        self._listener: asyncio.Task[None] | None = None

    def join(self, scope: Scope) -> Waiting:
        """A queue that receives this scope's events until ``leave``, or None when it is not emptied in time."""
        queue: Waiting = asyncio.Queue(QUEUE_LIMIT)
        self._clients[queue] = scope
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        return queue

    def leave(self, queue: Waiting) -> None:
        """Stop receiving."""
        self._clients.pop(queue, None)
        if not self._clients and self._listener is not None:
            self._listener.cancel()
            self._listener = None

    def _tell(self, queue: Waiting, text: str) -> None:
        try:
            queue.put_nowait(text)
        except asyncio.QueueFull:
            # Its stream ends; the browser connects again and looks at everything anew.
            self._clients.pop(queue, None)
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)

    def _deliver(self, payload: str) -> None:
        event = json.loads(payload)
        for queue, scope in list(self._clients.items()):
            if event["merchant"] != scope.merchant_id:
                continue
            if scope.store_ids is not None and event["store"] not in scope.store_ids:
                continue
            # As ``visible()``: what another member took does not exist for who sees their own only.
            if scope.member_id is not None and event["member"] not in {None, scope.member_id}:
                continue
            text = json.dumps({"kind": event["kind"], "id": event["id"]})
            self._tell(queue, f"event: {event['kind']}\ndata: {text}\n\n")

    async def _listen(self) -> None:
        while True:
            try:
                params = await sync_to_async(listen_params)()
                async with await psycopg.AsyncConnection.connect(
                    **params, autocommit=True
                ) as listening:
                    await listening.execute(f"LISTEN {CHANNEL}")
                    # What happened while nobody listened is unknown: let every page look again.
                    for queue in list(self._clients):
                        self._tell(queue, "event: refresh\ndata: {}\n\n")
                    async for notify in listening.notifies():
                        self._deliver(notify.payload)
            except (psycopg.Error, OSError):
                logger.warning("live events: database connection lost, trying again", exc_info=True)
                await asyncio.sleep(1)


_hub = Hub()


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def live_stream(asgi: ASGIScope, receive: Receive, send: Send) -> None:
    """``GET /m/<slug>/live``: events for a signed-in member with ``transactions.view``; 404 for anybody else.

    The stream ends when the member may no longer listen, reaches other stores, or does not read.
    """
    match = PATH.match(asgi["path"])
    cookies = SimpleCookie()
    for name, value in asgi["headers"]:
        if name == b"cookie":
            cookies.load(value.decode("latin-1"))
    session = cookies.get(settings.SESSION_COOKIE_NAME)
    if not match or not session:
        await _refuse(send, 404)
        return
    who = (session.value, match["slug"])
    scope = await sync_to_async(_authorise, thread_sensitive=False)(*who)
    if scope is None:
        await _refuse(send, 404)
        return
    still_allowed = sync_to_async(_still_allowed, thread_sensitive=False)
    clock = asyncio.get_running_loop().time
    checked = clock()
    headers = [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    queue = _hub.join(scope)
    gone = asyncio.create_task(_wait_gone(receive))
    try:
        text: str | None = "retry: 2000\n\n"
        while text is not None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            text = await _next(queue, gone)
            if gone.done():
                return
            if clock() - checked >= RECHECK_SECONDS:
                checked = clock()
                if not await still_allowed(*who, scope):
                    break
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        _hub.leave(queue)


async def _next(queue: Waiting, gone: asyncio.Task[None]) -> str | None:
    """What to send next: an event, a heartbeat, or None at the end. Returns early when the client is gone."""
    waiting = asyncio.create_task(queue.get())
    await asyncio.wait(
        {waiting, gone}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    if waiting.done():
        return waiting.result()
    waiting.cancel()
    return ": still here\n\n"


async def _wait_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
