"""A real worker on each broker that we promise: the spool, and Redis where REDIS_URL names one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

PROJECT = Path(__file__).resolve().parents[2]
REDIS_URL = os.environ.get("REDIS_URL", "")

pytestmark = pytest.mark.slow

#: Sends the numbers from its command line, one task each.
SEND = """
import sys
from merchant_portal.tests.broker_app import app
for number in sys.argv[1:]:
    app.send_task("note", args=[int(number)])
"""
PING = """
from merchant_portal.tests.broker_app import app
print(len(app.control.ping(timeout=3)))
"""


class Broker:
    """One broker with one worker on it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.spool = folder / "spool"
        self.done = folder / "done"
        self.done.mkdir()
        self.log = folder / "worker.log"
        self.environment = {
            **os.environ,
            "TEST_BROKER_URL": url,
            "TEST_BROKER_FOLDER": str(self.spool),
            "TEST_DONE_FOLDER": str(self.done),
        }
        self.worker = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "-A", "merchant_portal.tests.broker_app"]
        command += ["worker", "-c", "2", "--loglevel", "INFO", "--without-mingle"]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=PROJECT, env=self.environment, stdout=log, stderr=log
            )

    def run(self, code: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def wipe(self) -> None:
        if self.url.startswith("spool:"):
            # The worker may write to it at this very moment, so once more if need be.
            wait_until(self._spool_is_gone, self.log)
        else:
            with redis.Redis.from_url(self.url) as client:
                client.flushdb()

    def _spool_is_gone(self) -> bool:
        shutil.rmtree(self.spool, ignore_errors=True)
        return not list(self.spool.rglob("*.msg"))

    def finished(self) -> set[str]:
        return {path.name for path in self.done.iterdir()}

    def wait_finished(self, numbers: range) -> None:
        expected = {str(number) for number in numbers}
        wait_until(lambda: expected <= self.finished(), self.log)

    def restart(self, order: signal.Signals) -> None:
        self.worker.send_signal(order)
        self.worker.wait(30)
        self.worker = self._start()


def wait_until(condition: Callable[[], bool], log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def redis_database(number: int) -> str:
    """REDIS_URL with another database number, so that a wipe touches nothing else."""
    return urlunsplit(urlsplit(REDIS_URL)._replace(path=f"/{number}"))


@pytest.fixture(
    params=[
        "spool",
        pytest.param(
            "redis",
            marks=[
                pytest.mark.redis,
                pytest.mark.skipif(not REDIS_URL, reason="REDIS_URL is not set"),
            ],
        ),
    ]
)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    running = Broker("spool://" if request.param == "spool" else redis_database(9), tmp_path)
    try:
        running.wipe() if request.param == "redis" else None
        yield running
    finally:
        running.worker.kill()
        running.worker.wait()


def test_a_worker_survives_a_wiped_broker(broker: Broker) -> None:
    broker.run(SEND, *range(5))
    broker.wait_finished(range(5))
    broker.wipe()
    broker.run(SEND, *range(5, 10))
    broker.wait_finished(range(10))
    assert broker.worker.poll() is None
    assert broker.finished() == {str(number) for number in range(10)}
    assert broker.run(PING) == "1"


def test_a_stopped_worker_leaves_waiting_messages_for_the_next(broker: Broker) -> None:
    broker.run(SEND, 0)
    broker.wait_finished(range(1))
    broker.worker.send_signal(signal.SIGTERM)
    broker.worker.wait(30)
    broker.run(SEND, *range(1, 6))
    broker.worker = broker._start()
    broker.wait_finished(range(6))
    assert broker.finished() == {str(number) for number in range(6)}


def test_broken_files_in_the_spool_do_not_end_the_worker(tmp_path: Path) -> None:
    broker = Broker("spool://", tmp_path)
    try:
        broker.run(SEND, 0)
        broker.wait_finished(range(1))
        queue = broker.spool / "queues" / "celery"
        (queue / "0-empty.msg").touch()
        (queue / "0-broken.msg").write_text("{")
        broker.run(SEND, 1)
        broker.wait_finished(range(2))
        assert broker.worker.poll() is None
    finally:
        broker.worker.kill()
        broker.worker.wait()
