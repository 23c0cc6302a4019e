"""The keeper's own process: ``python -m apps.core.postgres.service FOLDER LOCK PIPE durable|fast``.

Started by ``apps.core.postgres.keeper``; see there for how the two work together.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.core.postgres import binaries
from apps.core.postgres.keeper import DATABASE, READY, ROLE, START_TIMEOUT, socket_folder

#: Seconds between two looks whether anybody is left.
POLL = 0.5
SUPERUSER = "postgres"
#: Where a server says whose the socket is.
SOCKET_LOCK = ".s.PGSQL.5432.lock"

_SETUP = f"""
SELECT 'CREATE ROLE {ROLE} LOGIN CREATEDB NOSUPERUSER NOBYPASSRLS'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') \\gexec
SELECT 'CREATE DATABASE {DATABASE} OWNER {ROLE}'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
"""  # noqa: S608 - constants


class CannotStart(RuntimeError):
    """Why the server does not run, in words for the person at the terminal."""


@dataclass(frozen=True)
class Runner:
    """As whom PostgreSQL's programs run; it refuses to run as root."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    @property
    def owner(self) -> tuple[int, int]:
        """User and group who must own data and socket."""
        return (
            os.geteuid() if self.uid is None else self.uid,
            os.getegid() if self.gid is None else self.gid,
        )

    def popen(
        self, arguments: list[str], *, preexec: Callable[[], None] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program; its output goes to our log."""
        return subprocess.Popen(
            [*self.prefix, *arguments],
            cwd="/",
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            stdin=subprocess.DEVNULL,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            start_new_session=True,
            preexec_fn=preexec,
        )


def choose_runner(folder: Path) -> Runner:
    """How to run: not as root, and as somebody who has a name. Raises CannotStart when there is no way."""
    nobody = _named("nobody")
    if os.geteuid() != 0:
        if _named(os.geteuid()):
            return Runner()
        trouble = "PostgreSQL wants a user with a name, and this one has none."
    else:
        if nobody and _reachable(folder) and _reachable(binaries.folder()):
            return Runner(uid=nobody.pw_uid, gid=nobody.pw_gid)
        trouble = f"PostgreSQL refuses to run as root, and the user nobody cannot enter {folder} or {binaries.folder()}."
    # Inside a user namespace we appear as nobody, yet own the same files.
    if nobody and shutil.which("unshare"):
        who = (f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
        prefix = ("unshare", "--user", *who, "--")
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return Runner(prefix=prefix)
    raise CannotStart(
        f"{trouble} Work as an ordinary user, move the project to a folder that others may enter, or set DATABASE_URL."
    )


def _named(user: int | str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        return None


def _reachable(path: Path) -> bool:
    """True when a stranger may enter ``path`` and every folder above it."""
    path = path.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))


def _give(path: Path, owner: tuple[int, int]) -> None:
    """Make ``owner`` own the whole tree, unless it does already."""
    if path.stat().st_uid == owner[0]:
        return
    os.chown(path, *owner)
    for root, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(root) / name, *owner, follow_symlinks=False)


def _prepare_socket_folder(path: Path, owner: tuple[int, int]) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), owner[0]}:
        raise CannotStart(f"{path} belongs to somebody else: remove it")
    os.chown(path, *owner)
    path.chmod(0o700)


def _create_data(folder: Path, runner: Runner) -> None:
    """Run initdb beside and rename, so that a kill in the middle leaves nothing half made."""
    draft = folder / "data.new"
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    _give(draft, runner.owner)
    status = runner.popen(
        [
            binaries.program("initdb"),
            f"--pgdata={draft}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
    ).wait()
    if status:
        raise CannotStart("initdb failed")
    draft.rename(folder / "data")


def _is_our_postgres(pid: int, data: Path) -> bool:
    """True when ``pid`` is a living postgres of this data folder, not a stranger that got the same number."""
    if sys.platform == "linux":
        try:
            # Empty for a zombie.
            shown = (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
        except OSError:
            return False
    else:
        ps = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
        shown = subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    return "postgres" in shown and str(data) in shown


def _clear_remains(data: Path, pid_file: Path) -> None:
    """Deal with a server that ran here before: wait for its end, and forget a stale pid file.

    Its keeper was killed, or its folder was deleted and made anew: then it still holds the socket, whose path is the same.
    """
    deadline = time.monotonic() + 20
    asked = False
    while True:
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        except ValueError:
            pid_file.unlink()
            return
        if not _is_our_postgres(pid, data):
            pid_file.unlink(missing_ok=True)
            return
        with contextlib.suppress(ProcessLookupError):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGQUIT)
            elif not asked:
                os.kill(pid, signal.SIGINT)
                asked = True
        time.sleep(0.1)


def _die_with_parent() -> Callable[[], None] | None:
    """A function for the child between fork and exec: when the keeper is killed, postgres shuts down too."""
    if sys.platform != "linux":
        return None
    # Loaded now: after the change of user the child might not be able to read the interpreter's files.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_parent_death_signal = 1

    def ask() -> None:
        prctl(set_parent_death_signal, int(signal.SIGINT), 0, 0, 0)

    return ask


def _start_postgres(
    folder: Path, runner: Runner, sockets: Path, *, durable: bool
) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{sockets}"',
        "max_connections": "200",
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    arguments = [binaries.program("postgres"), "-D", str(folder / "data")]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    return runner.popen(arguments, preexec=_die_with_parent())


def _wait_until_ready(server: subprocess.Popen[bytes], sockets: Path) -> None:
    """Wait for answers and make sure of role and database. Raises CannotStart."""
    deadline = time.monotonic() + START_TIMEOUT - 5
    command = [
        binaries.program("psql"),
        "-X",
        "-q",
        "-h",
        str(sockets),
        "-U",
        SUPERUSER,
        "-d",
        "postgres",
    ]
    command += ["-v", "ON_ERROR_STOP=1"]
    said = ""
    while server.poll() is None and time.monotonic() < deadline:
        setup = subprocess.run(
            command,
            input=_SETUP,
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C.UTF-8"},
        )
        if setup.returncode == 0:
            return
        said = setup.stderr.strip()
        time.sleep(0.03)
    raise CannotStart(said or f"postgres ended with status {server.returncode}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    for order, patience in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if server.poll() is not None:
            return
        server.send_signal(order)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(patience)


def _nobody_left(users: Path) -> Iterator[bool]:
    """Yields, time after time, whether the users are gone; the lock is kept once it was got."""
    file = os.open(users, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            same = os.path.samestat(os.fstat(file), users.stat())
        except FileNotFoundError:
            same = False
        if not same:
            yield True  # the folder was deleted: what we serve has no name any more
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def keep(folder: Path, lock: int, speak: int, *, durable: bool) -> int:
    """Run the server until nobody is left; the exit status."""
    sockets = socket_folder(folder)
    mine = folder.stat()
    stopping = False

    def ask_to_stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    for order in (signal.SIGTERM, signal.SIGINT):
        signal.signal(order, ask_to_stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server = None
    try:
        runner = choose_runner(folder)
        # Before there are data of ours: a server that is ending writes its last state to the path that it was started with.
        _clear_remains(folder / "data", sockets / SOCKET_LOCK)
        if not (folder / "data").exists():
            _create_data(folder, runner)
        _give(folder / "data", runner.owner)
        _clear_remains(folder / "data", folder / "data" / "postmaster.pid")
        _prepare_socket_folder(sockets, runner.owner)
        server = _start_postgres(folder, runner, sockets, durable=durable)
        _wait_until_ready(server, sockets)
    except (CannotStart, binaries.NoBinaries, OSError) as error:
        if server is not None:
            _stop(server)
        os.write(speak, str(error).encode())
        print(error, file=sys.stderr)
        return 1
    os.pwrite(lock, READY, 0)
    os.write(speak, READY)
    os.close(speak)

    status = 0
    for nobody_left in _nobody_left(folder / "users.lock"):
        if nobody_left or stopping:
            break
        if server.poll() is not None:
            print(f"postgres ended by itself with status {server.returncode}", file=sys.stderr)
            status = 1
            break
        time.sleep(POLL)
    with contextlib.suppress(OSError):
        # Whoever comes while we stop must not be told "ready".
        os.ftruncate(lock, 0)
    _stop(server)
    with contextlib.suppress(FileNotFoundError):
        # A folder that was made anew has a new server, and its socket lies where ours lay.
        if os.path.samestat(folder.stat(), mine):
            shutil.rmtree(sockets, ignore_errors=True)
    return status


def main(arguments: list[str]) -> int:
    """Leave the launcher behind and keep the server."""
    folder, lock, speak, mode = arguments
    if os.fork():
        return 0
    return keep(Path(folder), int(lock), int(speak), durable=mode == "durable")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
