"""Other processes of a benchmark: each writes one JSON object a line, and ends when its standard input does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]


class Lost(RuntimeError):
    """A process ended before it had answered."""


class Process:
    """A Python module that runs beside us and is told what to do line by line."""

    def __init__(self, module: str, *arguments: object, **environment: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=PROJECT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """For signals."""
        return self._process.pid

    def tell(self, **message: Any) -> None:
        """Give it an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for its next answer. Raises Lost."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Lost(f"{self._module} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **message: Any) -> dict[str, Any]:
        """An order and the answer to it."""
        self.tell(**message)
        return self.hear()

    def stop(self) -> None:
        """Let it end by itself; kill it if it does not."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@contextmanager
def running(module: str, *arguments: object, **environment: str) -> Iterator[Process]:
    """A process for as long as the block lasts."""
    process = Process(module, *arguments, **environment)
    try:
        yield process
    finally:
        process.stop()


def orders() -> Iterator[dict[str, Any]]:
    """In such a process: what it is told, until there is nobody any more to tell it."""
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        yield order


def answer(**message: Any) -> None:
    """In such a process: answer."""
    print(json.dumps(message), flush=True)
