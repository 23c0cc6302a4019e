"""The spool transport under several real processes, and with files that nobody should have left there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import cast

import pytest
from kombu import Connection, Exchange, Queue

from merchant_portal import spool

PROJECT = Path(__file__).resolve().parents[2]

WRITER = """
import sys
from kombu import Connection
from merchant_portal import spool
spool.register()
folder, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Connection("spool://", transport_options={"folder": folder}) as connection:
    queue = connection.SimpleQueue("work")
    for number in range(first, first + count):
        queue.put({"number": number, "ballast": "x" * 20_000})
    queue.close()
"""

READER = """
import sys
from queue import Empty
from kombu import Connection
from merchant_portal import spool
spool.register()
with Connection("spool://", transport_options={"folder": sys.argv[1], "polling_interval": 0.01}) as connection:
    queue = connection.SimpleQueue("work")
    while True:
        try:
            message = queue.get(timeout=3)
        except Empty:
            break
        assert len(message.payload["ballast"]) == 20_000
        print(message.payload["number"], flush=True)
        message.ack()
    queue.close()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "收款 spool"


@pytest.fixture
def connection(folder: Path) -> Iterator[Connection]:
    spool.register()
    spool.Transport.global_state.clear()
    with Connection(
        "spool://", transport_options={"folder": str(folder), "polling_interval": 0.01}
    ) as opened:
        yield opened
    spool.Transport.global_state.clear()


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_each_message_of_many_writers_reaches_exactly_one_of_many_readers(folder: Path) -> None:
    readers = [start(READER, str(folder)) for _ in range(3)]
    writers = [start(WRITER, str(folder), str(first), "300") for first in range(0, 1200, 300)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    received: list[int] = []
    for reader in readers:
        output, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0
        received += [int(line) for line in output.split()]
    assert sorted(received) == list(range(1200))
    assert [path for path in folder.rglob("*") if path.suffix in {".msg", ".part", ".taken"}] == []


def test_an_empty_and_a_broken_file_are_set_aside_and_the_next_message_arrives(
    connection: Connection, folder: Path
) -> None:
    queue = connection.SimpleQueue("work")
    (folder / "queues" / "work" / "0-empty.msg").write_text("")
    (folder / "queues" / "work" / "0-broken.msg").write_text('{"body": "half of')
    queue.put("whole")
    message = queue.get(timeout=20)
    message.ack()
    assert message.payload == "whole"
    assert sorted(path.name for path in (folder / "broken").iterdir()) == [
        "0-broken.taken",
        "0-empty.taken",
    ]
    queue.close()


def test_a_half_written_file_is_not_a_message(connection: Connection, folder: Path) -> None:
    queue = connection.SimpleQueue("work")
    (folder / "queues" / "work" / "0-draft.msg.abc.part").write_text('{"body"')
    with pytest.raises(Empty):
        queue.get(block=False)
    queue.close()


def test_messages_arrive_in_the_order_of_sending(connection: Connection) -> None:
    queue = connection.SimpleQueue("work")
    for number in range(20):
        queue.put(number)
    assert len(queue) == 20
    received = []
    for _ in range(20):
        message = queue.get(timeout=20)
        message.ack()
        received.append(message.payload)
    assert received == list(range(20))
    queue.close()


def test_an_unacknowledged_message_returns_when_its_reader_leaves(
    connection: Connection, folder: Path
) -> None:
    queue = connection.SimpleQueue("work")
    queue.put("once more")
    queue.get(timeout=20)
    queue.close()
    connection.release()
    with Connection("spool://", transport_options={"folder": str(folder)}) as other:
        again = other.SimpleQueue("work")
        message = again.get(timeout=20)
        message.ack()
        assert message.payload == "once more"
        assert message.delivery_info
        again.close()


def test_writer_and_reader_go_on_after_the_folder_was_wiped(
    connection: Connection, folder: Path
) -> None:
    queue = connection.SimpleQueue("work")
    queue.put("lost")
    shutil.rmtree(folder)
    with pytest.raises(Empty):
        queue.get(block=False)
    queue.put("kept")
    message = queue.get(timeout=20)
    message.ack()
    assert message.payload == "kept"
    queue.close()


def test_a_fanout_reaches_every_bound_queue_even_after_a_wipe(
    connection: Connection, folder: Path
) -> None:
    exchange = Exchange("news", type="fanout", durable=False)
    channel = connection.channel()
    queues = [Queue(f"listener-{number}", exchange)(channel) for number in range(3)]
    for queue in queues:
        queue.declare()
    shutil.rmtree(folder)
    assert [queue.get() for queue in queues] == [None, None, None]
    with connection.Producer(channel) as producer:
        producer.publish("hello", exchange=exchange)
    received = [queue.get(no_ack=True) for queue in queues]
    assert [message.payload for message in received if message] == ["hello"] * 3


def test_names_that_are_no_file_names_stay_inside_the_folder(
    connection: Connection, folder: Path
) -> None:
    names = ["../outside", "a/b", "..", "", "celery@host.pidbox", "收款"]
    channel = cast("spool.Channel", connection.default_channel)
    paths = {channel._queue(name) for name in names}
    assert len(paths) == len(names)
    assert {path.parent for path in paths} == {folder / "queues"}
    assert not paths & {folder / "queues" / "..", folder / "queues" / "."}
