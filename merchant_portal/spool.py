"""The broker without a server: kombu's filesystem transport, made safe for several writers and readers.

Broker URL ``spool://``; the transport option ``folder`` says where. What differs from kombu's own:

- a message is written beside and renamed into place, so no reader can take half of it;
- a reader takes a message by renaming it inside the same folder, so exactly one gets it;
- an empty or broken file is set aside instead of ending the worker;
- the folder may be deleted at any moment: it is made again, and what was in it is lost, as with any broker
  (what is due stands in PostgreSQL);
- the table of bound queues is replaced whole, never rewritten in place.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import time
import uuid
from json import JSONDecodeError
from pathlib import Path
from queue import Empty
from typing import Any, cast

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.utils.json import dumps, loads
from typing_extensions import override

logger = logging.getLogger(__name__)

_UNSAFE = re.compile(r"[^A-Za-z0-9_@-]")


class Channel(virtual.Channel):
    """One folder a queue, one file a message; names sort by the time of sending."""

    supports_fanout = True

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        options: Any = cast("Any", self.connection).client.transport_options
        return Path(options["folder"])

    def _queue(self, queue: str) -> Path:
        return self.folder / "queues" / _file_name(queue)

    # ------------------------------------------------------------ messages
    @override
    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        _write_whole(self._queue(queue) / f"{name}.msg", dumps(message))

    @override
    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for path in self._waiting(queue):
            taken = path.with_suffix(".taken")
            try:
                path.rename(taken)
            except FileNotFoundError:
                continue  # another reader was quicker
            try:
                return loads(taken.read_text())
            except (JSONDecodeError, UnicodeDecodeError):
                logger.error("a broken message was set aside: %s", path.name)
                self._set_aside(taken)
            except FileNotFoundError:
                continue  # the folder was wiped
            finally:
                taken.unlink(missing_ok=True)
        raise Empty

    def _set_aside(self, path: Path) -> None:
        broken = self.folder / "broken"
        broken.mkdir(parents=True, exist_ok=True)
        path.rename(broken / path.name)

    def _waiting(self, queue: str) -> list[Path]:
        folder = self._queue(queue)
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(".msg"))  # noqa: PTH208 - hot path
        except FileNotFoundError:
            self._declare_again(queue)
            return []
        return [folder / name for name in names]

    def _declare_again(self, queue: str) -> None:
        """Put queue and bindings back after the folder was deleted under us."""
        self._queue(queue).mkdir(parents=True, exist_ok=True)
        for binding in list(self.state.queue_bindings(queue)):
            meta = self.typeof(binding.exchange).prepare_bind(
                queue, binding.exchange, binding.routing_key, binding.arguments
            )
            routing_key, pattern, bound = cast("Any", meta)
            self._queue_bind(binding.exchange, routing_key, pattern, bound)

    @override
    def _size(self, queue: str) -> int:
        return len(self._waiting(queue))

    @override
    def _purge(self, queue: str) -> int:
        waiting = self._waiting(queue)
        for path in waiting:
            path.unlink(missing_ok=True)
        return len(waiting)

    @override
    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        self._queue(queue).mkdir(parents=True, exist_ok=True)

    # ------------------------------------------------------------ who gets what
    def _bindings(self, exchange: str) -> Path:
        return self.folder / "exchanges" / _file_name(exchange)

    @override
    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """The queues bound to an exchange, by whichever process: (routing key, pattern, queue)."""
        table: set[tuple[str, str, str]] = set()
        if self.typeof(exchange).type == "direct":
            # What this process declared holds even if the folder was wiped meanwhile.
            known = (self.state.exchanges or {}).get(exchange, {}).get("table", [])
            table.update((key or "", pattern or "", queue) for key, pattern, queue in known)
        for path in _files(self._bindings(exchange)):
            try:
                routing_key, pattern, queue = loads(path.read_text())
            except (FileNotFoundError, ValueError):
                continue
            table.add((routing_key, pattern, queue))
        return sorted(table)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        binding = dumps([routing_key or "", pattern or "", queue or ""])
        _write_whole(self._bindings(exchange) / _binding_name(routing_key, pattern, queue), binding)

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **kwargs: Any) -> None:
        for _key, _pattern, queue in self.get_table(exchange):
            self._put(queue, message, **kwargs)

    @override
    def _delete(
        self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any
    ) -> None:
        self._purge(queue)
        binding = self._bindings(exchange) / _binding_name(routing_key, pattern, queue)
        binding.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not there, or somebody has just put something in
            self._queue(queue).rmdir()


class Transport(virtual.Transport):
    """What ``spool://`` stands for."""

    Channel = Channel
    implements = virtual.Transport.implements.extend(
        asynchronous=False, exchange_type=frozenset(["direct", "topic", "fanout"])
    )
    # What was declared is shared by all connections of the process.
    global_state = virtual.BrokerState()
    default_port = 0
    driver_type = "spool"
    driver_name = "spool"

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.state = self.global_state

    @property
    @override
    def default_connection_params(self) -> dict[str, Any]:
        """None: there is no host to fall back to, and so nothing to warn about."""
        return {}

    @override
    def driver_version(self) -> str:
        return "1"


def register() -> None:
    """Make kombu, and so Celery, understand ``spool://``."""
    TRANSPORT_ALIASES["spool"] = f"{__name__}:Transport"


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix != ".part"]
    except FileNotFoundError:
        return []


def _file_name(name: str) -> str:
    """``name`` as one part of a path, whatever it contains, still readable where it was simple."""
    return _UNSAFE.sub(lambda match: f"%{ord(match.group()):x}.", name) or "%"


def _binding_name(*parts: str | None) -> str:
    """A name for one binding; the parts may be long, so only their digest."""
    return hashlib.sha256(dumps([part or "" for part in parts]).encode()).hexdigest()[:32]


def _write_whole(path: Path, text: str) -> None:
    """Write beside and rename: whoever sees ``path`` sees all of it. Makes the folder if it is gone."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    for _attempt in range(3):
        try:
            draft.write_text(text)
            draft.replace(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        else:
            return
    raise ChannelError(f"cannot write {path}")
