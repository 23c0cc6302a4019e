"""The embedded server with real processes: who starts it, who keeps it, what survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from apps.core.postgres import keeper

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[3]

#: A user of the database: attaches, says so, and stays until its standard input is closed.
USER = """
import sys
from pathlib import Path
from apps.core.postgres import keeper
keeper.attach(Path(sys.argv[1]), durable=False)
print("attached", flush=True)
sys.stdin.read()
"""


class User:
    """Another process that uses the server in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "keeper.log"
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(folder)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_attached(self) -> None:
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "attached\n":
            _, said = self.process.communicate()
            pytest.fail(f"{said}\n{self.log.read_text() if self.log.exists() else 'no log'}")

    def end(self, order: signal.Signals | None = None) -> None:
        if order is not None:
            self.process.send_signal(order)
        if self.process.stdin and not self.process.stdin.closed:
            self.process.communicate()


def connect(folder: Path) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(keeper.socket_folder(folder)),
        user=keeper.ROLE,
        dbname=keeper.DATABASE,
        autocommit=True,
    )


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_stopped(folder: Path) -> bool:
    return (
        not (folder / "data" / "postmaster.pid").exists()
        and not keeper.socket_folder(folder).exists()
    )


@pytest.fixture
def users(tmp_path: Path) -> Iterator[list[User]]:
    """Users started by the test; all are ended afterwards."""
    started: list[User] = []
    yield started
    for user in started:
        user.end()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A server's folder with everything in its name that a shell or a socket may dislike."""
    # pytest makes its folders for the owner only, and as root the server runs as nobody or in a namespace of its own.
    place = tmp_path / "it's 收款 portal" / ("long " * 20) / "pg"
    yield place
    if (place / "data").exists():
        wait_until(lambda: is_stopped(place))


def test_four_at_once_share_one_server_which_ends_with_the_last(
    folder: Path, users: list[User]
) -> None:
    users += [User(folder) for _ in range(4)]
    for user in users:
        user.wait_attached()
    with connect(folder) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == (False, False, True)
    first = server_pid(folder)
    for user in users[:3]:
        user.end()
    time.sleep(1.2)  # two looks of the keeper
    assert server_pid(folder) == first
    users[3].end()
    wait_until(lambda: is_stopped(folder))


def test_a_killed_user_is_not_waited_for(folder: Path, users: list[User]) -> None:
    users.append(User(folder))
    users[0].wait_attached()
    users[0].end(signal.SIGKILL)
    wait_until(lambda: is_stopped(folder))


def test_data_survive_a_killed_keeper_and_the_next_user_gets_a_new_server(
    folder: Path, users: list[User]
) -> None:
    users.append(User(folder))
    users[0].wait_attached()
    with connect(folder) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    old_server = server_pid(folder)
    keeper_pid = int(
        subprocess.run(
            ["ps", "-o", "ppid=", "-p", str(old_server)], capture_output=True, text=True, check=True
        ).stdout
    )
    os.kill(keeper_pid, signal.SIGKILL)
    users.append(User(folder))
    users[1].wait_attached()
    assert server_pid(folder) != old_server
    with connect(folder) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_killed_server_is_started_again_for_the_same_user(folder: Path) -> None:
    keeper.attach(folder, durable=False)
    try:
        first = server_pid(folder)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not keeper._is_ready(folder))
        keeper.attach(folder, durable=False)
        assert server_pid(folder) != first
        with connect(folder) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        os.close(keeper._held.pop(folder))


def test_a_stale_pid_file_with_a_living_strangers_number_is_forgotten(
    folder: Path, users: list[User]
) -> None:
    users.append(User(folder))
    users[0].wait_attached()
    users[0].end()
    wait_until(lambda: is_stopped(folder))
    (folder / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder / 'data'}\n")
    users.append(User(folder))
    users[1].wait_attached()
    assert server_pid(folder) != os.getpid()


def test_an_interrupted_initialisation_leaves_nothing_half_made(
    folder: Path, users: list[User]
) -> None:
    (folder / "data.new" / "base").mkdir(parents=True)
    users.append(User(folder))
    users[0].wait_attached()
    assert not (folder / "data.new").exists()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    sockets = keeper.socket_folder(folder)
    sockets.write_text("somebody else's")
    try:
        with pytest.raises(keeper.KeeperError, match=str(sockets)):
            keeper.attach(folder, durable=False)
    finally:
        sockets.unlink()
        os.close(keeper._held.pop(folder))


def test_deleting_the_folder_under_a_running_server_ends_it_and_lets_a_new_one_start(
    folder: Path, users: list[User]
) -> None:
    users.append(User(folder))
    users[0].wait_attached()
    first = server_pid(folder)
    folder.rename(folder.with_name("gone"))
    users.append(User(folder))
    users[1].wait_attached()
    assert server_pid(folder) != first


def test_the_socket_path_fits_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / ("收款" * 60)
    socket = keeper.socket_folder(folder) / ".s.PGSQL.5432"
    assert len(os.fsencode(socket)) < 107
    assert keeper.socket_folder(folder) != keeper.socket_folder(tmp_path)
