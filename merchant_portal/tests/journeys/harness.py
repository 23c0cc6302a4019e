"""The portal's real processes for the journeys: ``script/devserver.py`` with a data folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[3]
DEMO_PASSWORD = "portal-demo-2026"

#: A small demo shop: the journeys look at it, but do their own work in a shop of their own.
SMALL_DEMO = ("--payments", "150", "--days", "4", "--wire", "3")
#: What the journeys measured; pytest shows it at the end.
FIGURES: list[str] = []

#: What must not leak in from whoever runs the tests.
_OWN = (
    "DATABASE_URL",
    "CELERY_BROKER_URL",
    "REDIS_URL",
    "SIMULATOR_URL",
    "PUBLIC_URL",
    "DJANGO_SETTINGS_MODULE",
    "DJANGO_ALLOW_ASYNC_UNSAFE",
    "PORTAL_DEBUG",
    "ENCRYPTION_KEYS",
    "SECRET_KEY",
)
_START_SECONDS = 300
_STOP_SECONDS = 40


@dataclass(frozen=True)
class Portal:
    """Where the running portal and its simulator answer, and where their files lie."""

    address: str
    simulator: str
    data: Path
    seconds: float

    def control(self, path: str, body: dict[str, Any] | None = None, method: str = "") -> Any:
        """The simulator's control API: its JSON answer. GET without a body, POST with one."""
        request = urllib.request.Request(  # noqa: S310 - our own http address
            f"{self.simulator}/control/api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method or ("GET" if body is None else "POST"),
        )
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - as above
            return json.load(response)

    def logs(self, lines: int = 40) -> str:
        """The ends of all logs."""
        parts = []
        for path in sorted((self.data / "logs").glob("*.log")):
            text = path.read_text(errors="replace").splitlines()
            parts.append("\n".join([f"--- {path.name}", *text[-lines:]]))
        return "\n".join(parts)


def tell(words: str) -> None:
    """Add a line to what is shown when all journeys are over."""
    FIGURES.append(words)


def free_port() -> int:
    """A port that nobody listens on, below those the system hands out by itself.

    The server takes it only when its database is ready: two runs that begin together must not look at the same ports.
    """
    first = 8700 + os.getpid() * 20 % 600
    for port in chain(range(first, 9300), range(8700, first)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port between 8700 and 9300")


def left_over(data: Path) -> list[str]:
    """Command lines of living processes that belong to this data folder."""
    mark = os.fsencode(data)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if command and (mark in command or mark in (process / "environ").read_bytes()):
                words = command.replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{process.name} {words}")
    return found


def clean_environment() -> dict[str, str]:
    """The environment of the tests without what would lead a process to other databases, brokers and settings."""
    return {name: value for name, value in os.environ.items() if name not in _OWN}


@contextlib.contextmanager
def running_portal(data: Path, *seed_options: str) -> Iterator[Portal]:
    """Start everything, wait for the address, stop with SIGINT. Fails when a process stays behind."""
    environment = clean_environment() | {
        "PORTAL_DATA_DIR": str(data),
        "PORT": str(free_port()),
        # Yesterday's bills are ready at any hour.
        "SIMULATOR_BILL_HOUR": "0",
    }
    output = data / "server.out"
    began = time.monotonic()
    with output.open("wb") as sink:
        server = subprocess.Popen(
            [sys.executable, "script/devserver.py", *seed_options],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            # Ctrl-C at the terminal reaches pytest only, which then stops it in order.
            start_new_session=True,
        )
    try:
        yield _wait_for_welcome(server, output, data, began)
    finally:
        server.send_signal(signal.SIGINT)
        try:
            status = server.wait(_STOP_SECONDS)
        finally:
            server.kill()
    assert status == 0, output.read_text()
    deadline = time.monotonic() + 10
    while (behind := left_over(data)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert behind == [], "processes that outlived the server"


def _wait_for_welcome(
    server: subprocess.Popen[bytes], output: Path, data: Path, began: float
) -> Portal:
    while True:
        said = output.read_text(errors="replace")
        portal = re.search(r"Merchant Portal +(http://\S+)", said)
        simulator = re.search(r"Simulator +(http://\S+?)/wallet/", said)
        if portal and simulator:
            return Portal(portal[1], simulator[1], data, time.monotonic() - began)
        assert server.poll() is None, f"the server did not start:\n{said}"
        assert time.monotonic() - began < _START_SECONDS, f"the server takes too long:\n{said}"
        time.sleep(0.1)
