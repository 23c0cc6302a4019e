"""Starts and stops everything that ``script/server`` promises. Run it through ``script/server``."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from apps.core.postgres import keeper  # noqa: E402

DATA_DIR = Path(os.environ.get("PORTAL_DATA_DIR") or PROJECT / ".data").absolute()
LOGS = DATA_DIR / "logs"
#: What this server runs with; gone when it has stopped.
TOLD = DATA_DIR / "server.json"

#: Seconds for all processes together to become healthy, and for each to stop.
START_TIMEOUT = 90
STOP_TIMEOUT = 15


class Trouble(Exception):
    """Something went wrong in a way that is best told in one message."""


class Stopped(BaseException):
    """Ctrl-C or TERM; not an Exception, so that nothing swallows it."""


# ---------------------------------------------------------------- ports
def is_free(port: int) -> bool:
    """True when nothing listens on the port, on either loopback address: browsers try both for ``localhost``."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError:
            if family == socket.AF_INET6 and not socket.has_ipv6:
                continue
            if family == socket.AF_INET6 and not _has_ipv6_loopback():
                continue
            return False
    return True


def _has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def free_ports(first: int, count: int) -> int:
    """The first of ``count`` neighbouring free ports, at or after ``first``."""
    for start in range(first, min(first + 500, 65_500)):
        if all(is_free(port) for port in range(start, start + count)):
            return start
    raise Trouble(f"No free port was found from {first} on. Set PORT to another number.")


def wanted_port() -> int:
    """PORT, or 8000."""
    text = os.environ.get("PORT", "").strip() or "8000"
    if not text.isdecimal() or not 1 <= int(text) <= 65_000:
        raise Trouble(f"PORT must be a number from 1 to 65000, not {text!r}.")
    return int(text)


# ---------------------------------------------------------------- processes
def die_with_parent() -> Callable[[], None] | None:
    """For the child between fork and exec: it gets TERM even when this process is killed outright."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(1, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


@dataclass
class Child:
    """One of the processes; it leads a process group of its own, so Ctrl-C reaches only the supervisor."""

    name: str
    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return LOGS / f"{self.name}.log"

    def start(self) -> None:
        """Start it; the log of the last run is kept as ``.old``."""
        with contextlib.suppress(FileNotFoundError):
            self.log.rename(self.log.with_suffix(".old"))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )

    def kill_group(self) -> None:
        """KILL whatever is left of the group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def tail(self, lines: int = 25) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in text[-lines:])


def stop_all(children: list[Child]) -> None:
    """TERM to all, last started first; KILL to what is still there after STOP_TIMEOUT."""
    for child in reversed(children):
        # Only the leader: a worker brings its own pool to rest, and must not find it killed.
        child.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    for child in reversed(children):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.1, deadline - time.monotonic()))
        # The leader is gone or late: whoever is left of its group goes now.
        child.kill_group()
        child.process.wait()


def check_alive(children: list[Child]) -> None:
    """Raises Trouble when one of them has ended."""
    for child in children:
        status = child.process.poll()
        if status is not None:
            raise Trouble(
                f"The {child.name} process ended with status {status}. The end of {child.log}:\n{child.tail()}"
            )


def answers(url: str) -> str:
    """ "" when ``url`` answers 200, else what it says instead."""
    try:
        with urllib.request.urlopen(url, timeout=3) as response:  # noqa: S310 - our own http address
            return "" if response.status == 200 else f"status {response.status}"
    except urllib.error.HTTPError as error:
        return f"status {error.code}: {error.read(300).decode(errors='replace')}"
    except OSError as error:
        return str(error)


def wait_healthy(url: str, children: list[Child]) -> None:
    """Wait until ``url`` answers 200. Raises Trouble when a process ends meanwhile or time is up."""
    deadline = time.monotonic() + START_TIMEOUT
    while said := answers(url):
        check_alive(children)
        if time.monotonic() > deadline:
            raise Trouble(f"{url} is not well after {START_TIMEOUT} s: {said}\nLogs are in {LOGS}.")
        time.sleep(0.4)


def run(arguments: list[str], environment: dict[str, str], *, quiet: bool = True) -> str:
    """Run a program to its end; its standard output. Raises Trouble with what it said when it fails."""
    done = subprocess.run(
        arguments,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
        preexec_fn=die_with_parent(),
    )
    if done.returncode:
        said = "\n".join(
            filter(None, [done.stdout.strip()[-2000:], (done.stderr or "").strip()[-4000:]])
        )
        raise Trouble(f"{' '.join(arguments[1:])} failed:\n{said}")
    return done.stdout


# ---------------------------------------------------------------- steps
@contextlib.contextmanager
def only_one() -> Iterator[IO[str]]:
    """Two servers on one data folder would take each other's tasks. Raises Trouble for the second."""
    with (DATA_DIR / "server.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Trouble(
                f"A server already runs on {DATA_DIR}: {lock.read().strip() or 'it is starting'}\n"
                "Stop it first, or set PORTAL_DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        yield lock
        lock.truncate(0)


def tell_commands(environment: dict[str, str]) -> None:
    """Let a ``manage.py`` beside this server find its simulator and its address: ``settings.running`` reads it."""
    told = {name: environment[name] for name in ("PUBLIC_URL", "SIMULATOR_URL")}
    fresh = TOLD.with_suffix(".new")
    fresh.write_text(json.dumps(told))
    fresh.replace(TOLD)


@contextlib.contextmanager
def step(words: str) -> Iterator[None]:
    """Say what is being done and how long it took."""
    print(f"{words} …", end=" ", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f"{time.monotonic() - started:.1f} s", flush=True)


def show_welcome(
    address: str, simulator: str, logins: list[dict[str, str]], seconds: float
) -> None:
    """The address and how to get in."""
    print(f"\n  Merchant Portal   {address}   (ready after {seconds:.1f} s)")
    print(f"  Simulator         {simulator}/wallet/   {simulator}/control/")
    if logins:
        print("\n  Demo log-ins:")
        for login in logins:
            print(f"    {login['role']:<10} {login['email']:<24} {login['password']}")
    print(
        f"\n  Mail goes to {DATA_DIR / 'mail'}, logs to {LOGS}. Ctrl-C stops everything.\n",
        flush=True,
    )


def seed(python: str, environment: dict[str, str]) -> None:
    """Make the demo merchant, with this program's own arguments; it says itself how far it is. Raises Trouble."""
    print(flush=True)
    try:
        command = [python, "manage.py", "seed_demo", "--json", *sys.argv[1:]]
        run(command, environment, quiet=False)
    except Trouble as trouble:
        raise Trouble(f"{trouble}\nTo begin anew, delete {DATA_DIR} and start again.") from None


def serve(lock: IO[str], children: list[Child]) -> None:
    """Start everything and watch it. Returns never; raises Stopped or Trouble."""
    started = time.monotonic()
    python = sys.executable
    port = free_ports(wanted_port(), 1)
    if port != wanted_port():
        print(f"Port {wanted_port()} is taken, so {port} it is.")
    sim_port = free_ports(port + 1100, 4)
    address = f"http://localhost:{port}"
    simulator = f"http://localhost:{sim_port}"

    environment = {
        **os.environ,
        "PORTAL_DATA_DIR": str(DATA_DIR),
        "PUBLIC_URL": os.environ.get("PUBLIC_URL") or address,
        "SIMULATOR_URL": simulator,
        "PYTHONUNBUFFERED": "1",
    }
    environment.setdefault("DJANGO_SETTINGS_MODULE", "merchant_portal.settings.dev")
    for_simulator = {
        **environment,
        "DJANGO_SETTINGS_MODULE": "merchant_portal.settings.simulator",
        "PORTAL_URL": address,
    }
    celery = [python, "-m", "celery", "-A", "merchant_portal"]
    tell_commands(environment)

    def start(name: str, command: list[str], its_environment: dict[str, str]) -> None:
        child = Child(name, command, its_environment)
        child.start()
        children.append(child)

    ports = [
        "--port",
        str(sim_port),
        "--wechat-port",
        str(sim_port + 1),
        "--alipay-port",
        str(sim_port + 2),
        "--unionpay-port",
        str(sim_port + 3),
    ]
    start("simulator", [python, "-m", "apps.simulator", *ports], for_simulator)
    if not os.environ.get("DATABASE_URL"):
        with step("Starting the embedded PostgreSQL"):
            # Held by this process, so it does not stop and start between the steps.
            keeper.attach(DATA_DIR / "pg")
    with step("Preparing the database"):
        found = json.loads(run([python, "script/prepare.py"], environment).splitlines()[-1])
    with step("Starting the simulator"):
        wait_healthy(f"{simulator}/control/api/health", children)
    if found["empty"]:
        with step("Making the demo merchant (once; a minute, or a few on a slow machine)"):
            seed(python, environment)
        found["demo"] = True
    with step("Starting web, worker and beat"):
        web = ["merchant_portal.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
        quiet = ["--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "2"]
        start("web", [python, "-m", "uvicorn", *web, *quiet], environment)
        calm = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        start("worker", [*celery, "worker", "-n", "portal@%h", *calm], environment)
        start("beat", [*celery, "beat"], environment)
        wait_healthy(f"{address}/readyz", children)
    lock.write(f"{address}\n")
    lock.flush()
    logins = found["logins"] if found["demo"] else []
    show_welcome(address, simulator, logins, time.monotonic() - started)
    while True:
        check_alive(children)
        time.sleep(0.5)


def main() -> int:
    """Everything, from the first port to the last orphan; the exit status."""

    def ask_to_stop(_signal: int, _frame: object) -> None:
        # A second Ctrl-C must not interrupt the stopping.
        for order in (signal.SIGINT, signal.SIGTERM):
            signal.signal(order, signal.SIG_IGN)
        raise Stopped

    for order in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(order, ask_to_stop)
    children: list[Child] = []
    status = 0
    try:
        LOGS.mkdir(parents=True, exist_ok=True)
        with only_one() as lock:
            try:
                serve(lock, children)
            finally:
                TOLD.unlink(missing_ok=True)
                if children:
                    print("\nStopping …", end=" ", flush=True)
                    stop_all(children)
                    print("done.", flush=True)
    except Stopped:
        pass
    except (Trouble, keeper.KeeperError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
