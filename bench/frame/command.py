"""``script/bench``: which benchmarks there are, and one run of one of them."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
from types import ModuleType

import django

import bench
from bench.frame.result import Options, Result, say


def names() -> list[str]:
    """The benchmarks: the modules beside the frame."""
    found = pkgutil.iter_modules(bench.__path__)
    return sorted(one.name for one in found if not one.ispkg and not one.name.startswith("_"))


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"bench.{name}")


def main(arguments: list[str]) -> int:
    """Run what the command line names; without a name, list them. 0 only for a right result, however fast."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.frame.settings")
    django.setup()
    if not arguments:
        for name in names():
            print(f"{name:<10} {(_module(name).__doc__ or '').strip().splitlines()[0]}")
        return 0
    parser = argparse.ArgumentParser(prog="script/bench", description=bench.__doc__)
    parser.add_argument("name", choices=names())
    parser.add_argument("--rows", type=int, help="how much; each benchmark has a number of its own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--keep", action="store_true", help="leave the database for the next run")
    module = _module(arguments[0]) if arguments[0] in names() else None
    if module is not None and hasattr(module, "arguments"):
        module.arguments(parser)
    given = parser.parse_args(arguments)
    options = Options(rows=given.rows, seed=given.seed, keep=given.keep, given=given)
    result: Result = _module(given.name).run(options)
    for words in result.wrong:
        say(f"WRONG: {words}")
    if given.json:
        print(result.line())
    else:
        print(
            f"{result.name}: {result.rows} rows, floor {result.floor_s:.3f} s, ours {result.ours_s:.3f} s,"
            f" ratio {result.ratio:.2f}, peak {result.peak_rss_mb:.0f} MB,"
            f" {'ok' if result.ok else 'NOT OK'}"
        )
    return 1 if result.wrong else 0
