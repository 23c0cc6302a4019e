"""The simulator as one process: the platforms, the wallets' browsers, and the delivery loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

import uvicorn
from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application
from typing_extensions import override

from apps.simulator import delivery, faults

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where to listen; 0 starts no wallet browser."""

    main: int
    wechat: int
    alipay: int
    unionpay: int


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us: several of them share this process."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class PortTaken(OSError):
    """A port is in use by another program."""


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(f"port {port} on {host} is not free: {error.strerror}") from error
    return listener


def _breakable(application: ASGIApp) -> ASGIApp:
    """Obey the fault "drop": send the head of the answer only, whereupon uvicorn closes the connection."""
    mark = (faults.DROP_HEADER.lower().encode(), b"1")

    async def wrapper(scope: Scope, receive: Receive, send: Send) -> None:
        broken = False

        async def send_or_break(message: MutableMapping[str, Any]) -> None:
            nonlocal broken
            if message["type"] == "http.response.start":
                broken = mark in message["headers"]
            if message["type"] == "http.response.start" or not broken:
                await send(message)

        await application(scope, receive, send_or_break)

    return wrapper


def _wallet_browser(platform: str, *, portal_url: str, simulator_url: str) -> ASGIApp | None:
    """The reverse proxy that plays a wallet's in-app browser; None if this build has none."""
    name = "apps.simulator.wallet.proxy"
    if find_spec("apps.simulator.wallet") is None or find_spec(name) is None:
        return None
    make_proxy = import_module(name).make_proxy
    application: ASGIApp = make_proxy(platform, portal_url=portal_url, simulator_url=simulator_url)
    return application


def run(*, host: str, ports: Ports, portal_url: str, quiet: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. Raises PortTaken before anything is started."""
    simulator_url = f"http://localhost:{ports.main}"
    django_application = cast(
        ASGIApp, WSGIMiddleware(cast(Any, get_wsgi_application()), workers=THREADS)
    )
    applications = [(_breakable(django_application), ports.main)]
    for platform, port in (
        ("wechatpay", ports.wechat),
        ("alipay", ports.alipay),
        ("unionpay", ports.unionpay),
    ):
        browser = (
            _wallet_browser(platform, portal_url=portal_url, simulator_url=simulator_url)
            if port
            else None
        )
        if browser is not None:
            applications.append((browser, port))
    served: list[tuple[_Server, socket.socket]] = []
    for application, port in applications:
        config = uvicorn.Config(
            application,
            log_level="warning" if quiet else "info",
            access_log=False,
            lifespan="on",
            # Nobody stands in front of us: a forwarded address would only be a lie.
            proxy_headers=False,
            timeout_graceful_shutdown=2,
            # The platforms' own Server and Date headers are not ours to imitate.
            server_header=False,
            # The simulated platforms say by their own clock what time it is: ``transport.ServerDate``.
            date_header=port != ports.main,
        )
        served.append((_Server(config), _bind(host, port)))
    stop = threading.Event()
    loop_thread = threading.Thread(
        target=delivery.run_loop, kwargs={"stop": stop}, name="delivery", daemon=True
    )
    loop_thread.start()
    print(f"SIMULATOR 模拟器: {simulator_url}/control/", flush=True)
    try:
        asyncio.run(_serve(served))
    finally:
        stop.set()
        loop_thread.join(timeout=6)


async def _serve(served: list[tuple[_Server, socket.socket]]) -> None:
    def stop_all() -> None:
        for server, _ in served:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_all)
    await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in served))
