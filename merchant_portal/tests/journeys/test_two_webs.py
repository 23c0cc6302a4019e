"""A second web process beside the first, as on a second machine: one portal with two doors."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from merchant_portal.tests.journeys import pages
from merchant_portal.tests.journeys.browsing import Person
from merchant_portal.tests.journeys.harness import (
    PROJECT,
    Portal,
    clean_environment,
    free_port,
    tell,
)
from merchant_portal.tests.journeys.pages import Code, Shop


@pytest.fixture(scope="module")
def other_door(portal: Portal) -> Iterator[str]:
    """The address of another web process with the same database, broker and settings."""
    port = free_port()
    environment = clean_environment() | {
        "DJANGO_SETTINGS_MODULE": "merchant_portal.settings.dev",
        "PORTAL_DATA_DIR": str(portal.data),
        "PUBLIC_URL": portal.address,
        "SIMULATOR_URL": portal.simulator,
    }
    command = ["-m", "uvicorn", "merchant_portal.asgi:application", "--host", "127.0.0.1"]
    with (portal.data / "logs" / "second.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), "--timeout-graceful-shutdown", "2"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://localhost:{port}"
    deadline = time.monotonic() + 60
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/readyz", timeout=5).close()  # noqa: S310 - our own http address
                break
            except OSError:
                assert time.monotonic() < deadline, portal.logs()
                time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_two_web_processes_are_one_portal(
    portal: Portal, other_door: str, shop: Shop, open_code: Code, guest: Person
) -> None:
    # Who has logged in at one is logged in at the other.
    page = shop.owner.new_page()
    with page.expect_request("**/live"):
        page.goto(other_door + shop.url("transactions/").removeprefix(portal.address))
    assert page.url.startswith(other_door)
    expect(page.locator("#transactions")).to_be_visible()

    # What is paid through the first is told to the pages of the second.
    pages.begin(guest.page, open_code.link, "7.31", "wechatpay")
    began = time.monotonic()
    paid = portal.control("pay", {"platform": "wechatpay", "code": pages.qr_content(guest.page)})
    row = page.locator("#transactions tbody tr", has_text=paid["out_trade_no"])
    expect(row.locator('[data-state="succeeded"]')).to_be_visible(timeout=20_000)
    tell(f"live over two web processes: {time.monotonic() - began:.2f} s after the wallet's tap")

    # And the other way round: the order is opened and paid at the second, and seen at the first.
    first = shop.owner.new_page()
    with first.expect_request("**/live"):
        first.goto(shop.url("transactions/"))
    link = open_code.link.replace(portal.address, other_door)
    pages.begin(guest.page, link, "7.32", "alipay")
    assert guest.page.url.startswith(other_door)
    paid = portal.control("pay", {"platform": "alipay", "code": pages.qr_content(guest.page)})
    row = first.locator("#transactions tbody tr", has_text=paid["out_trade_no"])
    expect(row.locator('[data-state="succeeded"]')).to_be_visible(timeout=20_000)
    page.close()
    first.close()
