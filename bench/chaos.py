"""Payments and refunds on all four platforms in a storm: at the end our books must equal the platforms' to the fen.

Notices are lost, doubled, late, out of order and forged; calls time out before and after they took effect, answer 5xx or
carry wrong signatures; workers and the web process are killed, the database is stopped as in a crash, and the broker is
emptied. The seed fixes what the customers do, which faults the simulator draws and what is done to our processes.

There is no floor: nothing can be compared with it. The seconds are those of the work.
"""

from __future__ import annotations

import argparse
import shutil
import threading
from pathlib import Path
from typing import Any

from django.conf import settings

from bench.frame.processes import Process
from bench.frame.result import Options, Result, peak_rss_mb, say
from bench.storm.world import World, fetch, running_world, trouble

#: How likely each fault is each time that it could happen.
RATES = {
    "lost_before_commit": 0.02,
    "lost_after_commit": 0.02,
    "http_500": 0.02,
    "rate_limited": 0.01,
    "wrong_signature": 0.01,
    "truncated_answer": 0.01,
    "proxy_page": 0.005,
    "signtest": 0.005,
    "unclear_answer": 0.02,
    "query_not_found": 0.02,
    "success_with_defect": 0.02,
    "pay_unknown": 0.05,
    "pay_error": 0.02,
    "cancel_retry": 0.1,
    "refund_in_progress": 0.05,
    "not_enough": 0.01,
    "notify_lost": 0.15,
    "notify_twice": 0.1,
    "notify_early": 0.05,
    "notify_late": 0.1,
    "notify_out_of_order": 0.05,
    "notify_forged": 0.03,
}
#: The share of the customers who must have paid in the end.
LEAST_PAID = 0.4
#: Seconds between two things that are done to our processes.
MEAN_SECONDS = 12.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """How many customers, and whether the weather is calm."""
    parser.add_argument("--payments", type=int, default=1000)
    parser.add_argument("--webs", type=int, default=1, help="web processes behind one address")
    parser.add_argument(
        "--redis", default="", metavar="URL", help="a Redis database for broker and cache; emptied"
    )
    parser.add_argument("--calm", action="store_true", help="no faults and no trouble")


def run(options: Options) -> Result:
    """One storm."""
    given = options.given
    count = options.rows or given.payments
    data = Path(settings.DATA_DIR) / f"chaos-{options.seed}-{count}"
    shutil.rmtree(data, ignore_errors=True)
    with running_world(data, webs=given.webs, redis_url=given.redis) as world:
        result = _storm(world, count=count, seed=options.seed, calm=given.calm)
    if not options.keep and not result.wrong:
        shutil.rmtree(data, ignore_errors=True)
    elif result.wrong:
        say(f"  all that was left lies in {data}")
    return result


def _storm(world: World, *, count: int, seed: int, calm: bool) -> Result:
    schedule = f"{world.simulator}/control/api/faults/schedule"
    driver = Process("bench.storm", **world.environment())
    stop = threading.Event()
    monkey = threading.Thread(
        target=trouble,
        args=(world,),
        kwargs={"seed": seed, "stop": stop, "mean_seconds": MEAN_SECONDS},
        daemon=True,
    )
    injected: Any = {}
    try:
        driver.ask(simulator=world.simulator)
        if not calm:
            fetch(schedule, {"seed": seed, "rates": RATES})
            monkey.start()
        worked = driver.ask(payments=count, seed=seed)["worked"]
        say(f"  {count} customers in {worked:.0f} s; now everything must come to rest")
        stop.set()
        if not calm:
            monkey.join()
            injected = fetch(schedule)
            fetch(schedule, {}, "DELETE")
        said = driver.ask(end=True)
    finally:
        stop.set()
        driver.stop()
    world.done.update({f"connections to {name}": n for name, n in world.connections.items()})
    for name, number in sorted({**said["did"], **said["counts"], **world.done}.items()):
        say(f"  {number:>9} {name}")
    return Result(
        name="chaos",
        rows=count,
        floor_s=worked,
        ours_s=worked,
        peak_rss_mb=peak_rss_mb(),
        met=True,
        wrong=[
            *said["wrong"],
            *(f"{name} was given nothing" for name, n in world.connections.items() if not n),
            *_too_quiet(said["counts"], injected, count=count, calm=calm),
        ],
        more={
            "seconds": round(said["seconds"], 1),
            "did": said["did"],
            "books": said["counts"],
            "trouble": dict(world.done),
            "faults": injected,
        },
    )


def _too_quiet(
    books: dict[str, int], injected: dict[str, Any], *, count: int, calm: bool
) -> list[str]:
    """Why equal books would prove nothing: hardly anything was paid, or no fault happened."""
    words = []
    paid = books.get("payments", 0)
    if paid < count * LEAST_PAID:
        words.append(f"only {paid} payments by {count} customers")
    if not calm and not any((injected["schedule"] or {}).get("injected", {}).values()):
        words.append("no fault was injected")
    return words
