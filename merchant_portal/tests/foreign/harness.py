"""A simulator of its own, a merchant's server that keeps what arrives, and other people's clients as processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from merchant_portal.tests.journeys.harness import free_port

PROJECT = Path(__file__).resolve().parents[3]
#: Made by ``script/setup --foreign``.
FOREIGN_PYTHON = PROJECT / ".venv-foreign" / "bin" / "python"


@dataclass
class Simulator:
    """A running simulator."""

    address: str

    def control(self, path: str, body: dict[str, Any] | None = None, method: str = "") -> Any:
        """The control API's JSON answer. GET without a body, POST with one."""
        request = urllib.request.Request(  # noqa: S310 - our own http address
            f"{self.address}/control/api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method or ("GET" if body is None else "POST"),
        )
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - as above
            return json.load(response)


@contextlib.contextmanager
def running_simulator(data: Path) -> Iterator[Simulator]:
    """Start a simulator without wallet browsers, with its books under ``data``."""
    port = free_port()
    environment = {
        **os.environ,
        "PORTAL_DATA_DIR": str(data),
        "SIMULATOR_BILL_HOUR": "0",
        "SIMULATOR_REFUND_SECONDS": "0",
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    ports = ["--port", str(port)]
    for name in ("wechat", "alipay", "unionpay"):
        ports += [f"--{name}-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.simulator", *ports, "--quiet"], cwd=PROJECT, env=environment
    )
    simulator = Simulator(f"http://localhost:{port}")
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, "the simulator did not start"
            assert time.monotonic() < deadline, "the simulator takes too long"
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                simulator.control("health")
                break
            time.sleep(0.1)
        yield simulator
    finally:
        process.terminate()
        process.wait(20)


class ForeignError(Exception):
    """What the client raised, as text."""


class ForeignClient:
    """One client in its own process and environment; ``call`` returns what it returned."""

    def __init__(self, program: str, job: dict[str, Any]) -> None:
        script = Path(__file__).parent / f"{program}_client.py"
        self._process = subprocess.Popen(
            [FOREIGN_PYTHON, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # One of the clients writes its machine's local time where the platform wants Beijing's.
            env={"PATH": os.environ["PATH"], "TZ": "Asia/Shanghai"},
        )
        self._send(job)

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def call(self, call: str, **arguments: Any) -> Any:
        """Do one call. Raises ForeignError."""
        self._send({"call": call, "arguments": arguments})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the client is gone"
        said = json.loads(line)
        if "error" in said:
            raise ForeignError(said["error"])
        return said["answer"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=20)


@dataclass
class Inbox:
    """What a merchant's server received: header names as sent, body bytes."""

    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def find(self, wanted: Callable[[bytes], bool]) -> tuple[dict[str, str], bytes]:
        """The first post whose body is the wanted one, at most ten seconds from now."""
        deadline = time.monotonic() + 10
        while True:
            for headers, body in list(self.posts):
                if wanted(body):
                    return headers, body
            assert time.monotonic() < deadline, f"it is not among the {len(self.posts)} that came"
            time.sleep(0.02)


@contextlib.contextmanager
def receiving(answer: bytes) -> Iterator[Inbox]:
    """A merchant's server on loopback that says ``answer`` to every notice."""
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            inbox.posts.append((dict(self.headers.items()), body))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_port}/notify"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
