"""The whole portal as processes over a data folder of its own, and what is done to them while they work."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from apps.core.postgres import keeper
from bench.frame.processes import PROJECT
from bench.frame.result import say
from bench.storm.balancer import Balancer

START_SECONDS = 120
#: The first turns of the trouble come after this part of the usual wait.
EARLY = 0.35
#: What of the surrounding settings must not reach the world.
_OWN = (
    "DATABASE_URL",
    "CELERY_BROKER_URL",
    "REDIS_URL",
    "DJANGO_SETTINGS_MODULE",
    "BENCH_DATABASE",
)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def fetch(url: str, body: dict[str, Any] | None = None, method: str = "") -> Any:
    """JSON from one of our own addresses. GET without a body, POST with one. Raises OSError."""
    request = urllib.request.Request(  # noqa: S310 - our own http address
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method or ("GET" if body is None else "POST"),
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - as above
        return json.load(response)


@dataclass
class World:
    """The processes by name, and how to start each again."""

    data: Path
    port: int
    simulator_port: int
    #: Where each web process listens; where there are several, a balancer stands at ``port``.
    web_ports: tuple[int, ...]
    #: The Redis of broker and cache; "" for the spool and the database.
    redis: str = ""
    balancer: Balancer | None = None
    #: What was done to it, for the result.
    done: Counter[str] = field(default_factory=Counter)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def simulator(self) -> str:
        """The simulator's address."""
        return f"http://localhost:{self.simulator_port}"

    @property
    def address(self) -> str:
        """The portal's address."""
        return f"http://localhost:{self.port}"

    @property
    def webs(self) -> list[str]:
        """The names of the web processes."""
        return [f"web{number + 1}" for number in range(len(self.web_ports))]

    @property
    def connections(self) -> dict[str, int]:
        """How many each of several web processes was given."""
        if self.balancer is None:
            return {}
        served = self.balancer.served
        return {name: served[port] for name, port in zip(self.webs, self.web_ports, strict=True)}

    def environment(self) -> dict[str, str]:
        """What every process of this world is told."""
        found = {name: value for name, value in os.environ.items() if name not in _OWN}
        if self.redis:
            found |= {"CELERY_BROKER_URL": self.redis, "REDIS_URL": self.redis}
        return found | {
            "DJANGO_SETTINGS_MODULE": "merchant_portal.settings.dev",
            "PORTAL_DATA_DIR": str(self.data),
            "PUBLIC_URL": self.address,
            "SIMULATOR_URL": self.simulator,
            "SIMULATOR_REFUND_SECONDS": "1",
            "PLATFORM_HTTP_TIMEOUT": "5",
            "WORKER_CONCURRENCY": "2",
            "LOG_LEVEL": "ERROR",
        }

    def _command(self, name: str) -> list[str]:
        python = sys.executable
        calm = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        celery = [python, "-m", "celery", "-A", "merchant_portal"]
        if name == "simulator":
            ports = ["--port", str(self.simulator_port)]
            for wallet in ("wechat", "alipay", "unionpay"):
                ports += [f"--{wallet}-port", "0"]
            return [python, "-m", "apps.simulator", *ports, "--portal-url", self.address, "--quiet"]
        if name in self.webs:
            port = str(self.web_ports[self.webs.index(name)])
            place = [
                "--host",
                "127.0.0.1",
                "--port",
                port,
                "--log-level",
                "error",
                "--no-access-log",
            ]
            return [python, "-m", "uvicorn", "merchant_portal.asgi:application", *place]
        if name == "beat":
            return [*celery, "beat", "--loglevel", "ERROR"]
        return [*celery, "worker", "-n", f"{name}@%h", *calm, "--loglevel", "ERROR"]

    def start(self, name: str) -> None:
        """Start one process; its output is appended to its log."""
        environment = self.environment()
        if name == "simulator":
            environment["DJANGO_SETTINGS_MODULE"] = "merchant_portal.settings.simulator"
        with (self.data / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                self._command(name),
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """SIGKILL to a process and all of its group, at whatever it is."""
        process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        """The end."""
        for name in list(self._running):
            self.kill(name)

    # What goes wrong

    def lose_worker(self, name: str) -> None:
        """A worker dies in the middle of its work; another takes its place."""
        with self._guard:
            self.kill(name)
            self.start(name)
            self.done["workers killed"] += 1

    def lose_web(self, name: str) -> None:
        """A web process dies; where it is the only one, notices meet a closed door for a moment."""
        with self._guard:
            self.kill(name)
            self.start(name)
            self.done["web processes killed"] += 1

    def lose_database(self) -> None:
        """The database server is told to stop at once, as in a crash, and comes back."""
        with self._guard:
            place = self.data / "pg" / "data" / "postmaster.pid"
            pid = int(place.read_text().splitlines()[0])
            os.kill(pid, signal.SIGQUIT)
            deadline = time.monotonic() + 60
            while True:
                try:
                    keeper.attach(self.data / "pg")
                    break
                except keeper.KeeperError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.5)
            self.done["database restarts"] += 1

    def lose_messages(self) -> None:
        """All that lies in the broker vanishes."""
        with self._guard:
            gone = 0
            if self.redis:
                with redis.Redis.from_url(self.redis) as client:
                    gone = int(client.dbsize())
                    client.flushdb()
            for message in (self.data / "spool").rglob("*.msg"):
                with contextlib.suppress(FileNotFoundError):
                    message.unlink()
                    gone += 1
            self.done["broker wipes"] += 1
            self.done["messages wiped"] += gone


@contextlib.contextmanager
def running_world(data: Path, *, webs: int = 1, redis_url: str = "") -> Iterator[World]:
    """Start everything over an empty data folder; kill everything afterwards."""
    data.mkdir(parents=True, exist_ok=True)
    port, simulator_port, *others = free_ports(2 + (webs if webs > 1 else 0))
    balancer = Balancer(port, others) if others else None
    world = World(data, port, simulator_port, tuple(others) or (port,), redis_url, balancer)
    try:
        if redis_url:
            with redis.Redis.from_url(redis_url) as client:
                client.flushdb()
        world.start("simulator")
        keeper.attach(data / "pg")
        environment = world.environment()
        for arguments in (["migrate", "--noinput", "-v0"], ["createcachetable"]):
            subprocess.run(
                [sys.executable, "manage.py", *arguments], cwd=PROJECT, env=environment, check=True
            )
        for name in (*world.webs, "worker1", "worker2", "beat"):
            world.start(name)
        for url in (f"{world.simulator}/control/api/health", f"{world.address}/healthz"):
            _wait_for(url)
        yield world
    finally:
        world.kill_all()
        if balancer is not None:
            balancer.stop()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own http address
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def trouble(world: World, *, seed: int, stop: threading.Event, mean_seconds: float) -> None:
    """Until ``stop``: at random moments do one of the things above, by a sequence that the seed fixes."""
    dice = random.Random(f"trouble/{seed}")
    kinds = ["worker", "database", "messages", "web", "worker"]
    turn = 0
    # The first turn of each kind comes early, so that even a short run meets all of them.
    while not stop.wait(
        dice.uniform(0.5, 1.5) * mean_seconds * (EARLY if turn < len(kinds) else 1)
    ):
        kind = kinds[turn] if turn < len(kinds) else dice.choice(kinds)
        turn += 1
        say(f"  trouble: {kind}")
        if kind == "worker":
            world.lose_worker(dice.choice(["worker1", "worker2"]))
        elif kind == "database":
            world.lose_database()
        elif kind == "messages":
            world.lose_messages()
        else:
            world.lose_web(dice.choice(world.webs) if len(world.webs) > 1 else world.webs[0])
