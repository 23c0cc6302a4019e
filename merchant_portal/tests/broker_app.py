"""A tiny Celery application for the broker tests: its task leaves a file for each number it was given."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from merchant_portal import spool

spool.register()

app = Celery("broker_tests", broker=os.environ["TEST_BROKER_URL"], set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_soft_shutdown_timeout=5,
)
if os.environ["TEST_BROKER_URL"].startswith("spool:"):
    app.conf.broker_transport_options = {
        "folder": os.environ["TEST_BROKER_FOLDER"],
        "polling_interval": 0.05,
    }


@app.task(name="note")
def note(number: int) -> None:
    """Leave the file ``number``; a second run of the same number leaves ``number.again``."""
    place = Path(os.environ["TEST_DONE_FOLDER"]) / str(number)
    try:
        place.touch(exist_ok=False)
    except FileExistsError:
        place.with_suffix(".again").touch()
