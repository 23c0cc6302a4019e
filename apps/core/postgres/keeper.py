"""The embedded PostgreSQL: started by whoever needs it first, stopped when nobody needs it any more.

A process that wants the database calls ``attach``. From then on it holds a *shared* lock (flock) on ``users.lock`` for
its life; the kernel drops that lock however the process ends, so nobody can be forgotten. The first one also starts
the keeper (``apps.core.postgres.service``), a detached process that runs the server as its child and stops it when it
can get the lock *exclusively*, which means that nobody is left.

Files in the folder of one server::

    data/        PostgreSQL's own; may belong to another user when we are root
    users.lock   shared by every user
    start.lock   held by the one that is starting a keeper
    keeper.lock  held by the keeper for its life; says "ready" once the server answers
    keeper.log   what keeper and server wrote

Only Python's standard library is imported here: settings use this module.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

#: The plain role everything runs as, and its database. It may create databases (tests do) and nothing else.
ROLE = "portal"
DATABASE = "portal"

#: Seconds that a start may take, crash recovery included.
START_TIMEOUT = 120.0
READY = b"ready"

_PROJECT = Path(__file__).resolve().parents[3]

#: Open users.lock by folder. Children made by fork inherit the lock, programs run by exec do not.
_held: dict[Path, int] = {}
_guard = threading.RLock()


class KeeperError(RuntimeError):
    """The embedded server did not start; the message says why and where its log is."""


def socket_folder(folder: Path) -> Path:
    """Where the server in ``folder`` has its socket: a pure function of the path.

    A socket's path may have 107 bytes only, so it cannot lie beside the data. Always /tmp, whatever TMPDIR or
    XDG_RUNTIME_DIR say: two terminals with different variables must find the same server.
    """
    digest = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
    return Path("/tmp") / f"mp-pg-{digest}"  # noqa: S108 - made with mode 0700 and refused if somebody else owns it


def attach(folder: Path, *, durable: bool = True) -> None:
    """Make sure that the server in ``folder`` runs and goes on running while this process lives.

    ``durable=False`` starts it without fsync, for test data. Cheap when the server runs already (some 50 µs).
    Raises KeeperError.
    """
    folder = folder.absolute()
    with _guard:
        deadline = time.monotonic() + START_TIMEOUT
        _join_users(folder, deadline)
        if _is_ready(folder):
            return
        start = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(start, fcntl.LOCK_EX, deadline, "another process is starting the database")
            _start_unless_running(folder, durable=durable, deadline=deadline)
        finally:
            os.close(start)


def _lock(file: int, kind: int, deadline: float, trouble: str) -> None:
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise KeeperError(f"{trouble}: gave up after {START_TIMEOUT:.0f} s") from None
            time.sleep(0.02)
        else:
            return


def _join_users(folder: Path, deadline: float) -> None:
    path = folder / "users.lock"
    held = _held.get(folder)
    if held is not None:
        try:
            if os.path.samestat(os.fstat(held), path.stat()):
                return
        except FileNotFoundError:
            pass
        # The folder was deleted under us; begin anew.
        os.close(_held.pop(folder))
    folder.mkdir(parents=True, exist_ok=True)
    users = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    # While a keeper is stopping its server it holds this lock exclusively: wait for the end, then start afresh.
    _lock(users, fcntl.LOCK_SH, deadline, "the database is stopping")
    _held[folder] = users


def _is_ready(folder: Path) -> bool:
    """True when a keeper lives and its server answers."""
    try:
        file = os.open(folder / "keeper.lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(file, 16) == READY
    else:
        return False  # nobody holds it: no keeper
    finally:
        os.close(file)


def _start_unless_running(folder: Path, *, durable: bool, deadline: float) -> None:
    lock = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # A keeper lives. Its starter may have died before it was ready.
                if os.pread(lock, 16, 0) == READY:
                    return
                if time.monotonic() > deadline:
                    raise KeeperError(
                        f"the database does not get ready: see {folder}/keeper.log"
                    ) from None
                time.sleep(0.02)
        os.ftruncate(lock, 0)
        _spawn(folder, lock, durable=durable, deadline=deadline)
    finally:
        os.close(lock)


def _spawn(folder: Path, lock: int, *, durable: bool, deadline: float) -> None:
    """Run the keeper and wait for its word. It inherits the lock, so there is no moment without an owner."""
    listen, speak = os.pipe()
    try:
        with (folder / "keeper.log").open("ab") as log:
            # The launcher forks and ends at once: the keeper is nobody's child and leaves no zombie behind.
            launcher = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "apps.core.postgres.service",
                    str(folder),
                    str(lock),
                    str(speak),
                    "durable" if durable else "fast",
                ],
                cwd=_PROJECT,
                env={**os.environ, "PYTHONPATH": str(_PROJECT), "PYTHONWARNINGS": "default"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock, speak),
                start_new_session=True,
                check=False,
            )
    finally:
        os.close(speak)
    try:
        if launcher.returncode:
            raise KeeperError(f"the database's keeper did not start: see {folder}/keeper.log")
        answer = _read_all(listen, deadline)
    finally:
        os.close(listen)
    if answer != READY.decode():
        reason = answer or "its keeper ended early"
        raise KeeperError(
            f"the embedded database did not start: {reason} (log: {folder}/keeper.log)"
        )


def _read_all(pipe: int, deadline: float) -> str:
    os.set_blocking(pipe, False)
    said = b""
    while time.monotonic() < deadline:
        try:
            part = os.read(pipe, 4096)
        except BlockingIOError:
            time.sleep(0.005)
            continue
        if not part:
            return said.decode(errors="replace").strip()
        said += part
    return f"no answer within {START_TIMEOUT:.0f} s"
