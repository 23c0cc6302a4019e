"""What stands in front of several web processes: each connection goes to the next one that answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from itertools import count

#: Bytes passed on at once.
_PIECE = 65_536


class Balancer:
    """Passes connections on to ports of this machine in turn, in a thread of its own; ``served`` counts them by port."""

    def __init__(self, port: int, targets: list[int]) -> None:
        self.served: Counter[int] = Counter()
        self._port = port
        self._targets = targets
        self._turn = count()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self._port)
        )
        ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()

    def stop(self) -> None:
        """Take no more connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turn)
        for place in range(len(self._targets)):
            target = self._targets[(first + place) % len(self._targets)]
            try:
                there, back = await asyncio.open_connection("127.0.0.1", target)
            except OSError:
                # It is down: the next one takes the connection, as a load balancer's health check would have it.
                continue
            self.served[target] += 1
            await asyncio.gather(_pass(reader, back), _pass(there, writer))
            return
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
