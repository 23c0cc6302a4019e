"""What goes into a benchmark and what comes out."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says. ``rows`` is None where it says nothing; ``given`` holds a benchmark's own options."""

    rows: int | None
    seed: int
    keep: bool
    given: argparse.Namespace


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured. Seconds are for ``rows``; ``ratio`` is ours to the floor.

    ``wrong`` says what came out wrong, which no speed makes up for; ``met``: the target was met. ``more`` goes into the
    JSON as it is.
    """

    name: str
    rows: int
    floor_s: float
    ours_s: float
    peak_rss_mb: float
    met: bool
    wrong: Sequence[str] = ()
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times the floor ours takes."""
        return self.ours_s / self.floor_s

    @property
    def ok(self) -> bool:
        """Right, and as fast as it should be."""
        return self.met and not self.wrong

    def line(self) -> str:
        """One JSON object."""
        facts = {
            "name": self.name,
            "rows": self.rows,
            "floor_s": round(self.floor_s, 6),
            "ours_s": round(self.ours_s, 6),
            "ratio": round(self.ratio, 3),
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "ok": self.ok,
            "wrong": list(self.wrong),
        }
        return json.dumps({**facts, **self.more}, ensure_ascii=False)


def peak_rss_mb() -> float:
    """The most memory that this process ever held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024 / 1024


def middle_pair(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of (floor, ours) pairs, each measured side by side, the one whose ratio is the median (the lower of two)."""
    by_ratio = sorted(pairs, key=lambda pair: pair[1] / pair[0])
    return by_ratio[(len(by_ratio) - 1) // 2]


def spread(values: Sequence[float]) -> str:
    """``median (least to most)``."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def say(words: str) -> None:
    """Tell whoever waits; the last line of standard output is kept for the result."""
    print(words, file=sys.stderr, flush=True)
