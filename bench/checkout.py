"""The page behind a scanned code: server time of ``/q/<token>``, by WeChat, Alipay and a plain browser by turns.

The floor is a view of the same server, behind the same middleware, that renders the same template from constants: what stood
in the page's own context. Ours finds the door, the code with its version and the accounts, and counts the scan. Both are asked
by turns; every page is looked at, and the statements of one are counted.
"""

from __future__ import annotations

import argparse
import time
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path

from apps.checkout.views import scanned
from apps.core import clock
from apps.core.audit import Actor
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Store
from apps.qrcodes.models import QRCode, Scan
from apps.qrcodes.services import create_code
from bench.frame.database import own_database
from bench.frame.result import Options, Result, peak_rss_mb, say
from bench.frame.world import make_keys, make_merchant

#: The targets: times the floor, and statements besides scope and transaction.
MOST = 2.5
MOST_STATEMENTS = 4
AGENTS = {
    "wechatpay": "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Mobile MicroMessenger/8.0.49 NetType/WIFI",
    "alipay": "Mozilla/5.0 (Linux; Android 13) Chrome/100 Mobile AliApp(AP/10.5.90) AlipayClient/10.5.90",
    "": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36",
}
WARM_UP = 50

_constants: dict[str, dict[str, Any]] = {}


def bare(request: HttpRequest, wallet: str) -> HttpResponse:
    """The floor: the same page from constants."""
    return render(request, "checkout/scan.html", _constants[wallet])


urlpatterns = [
    path("bare/<slug:wallet>/", bare),
    path("", include("merchant_portal.urls")),
]


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--repeats", type=int, default=5)


def run(options: Options) -> Result:
    """Floor and ours by turns, page by page."""
    rows = options.rows or 300
    wrong: list[str] = []
    pairs: list[tuple[float, float]] = []
    settings.ROOT_URLCONF = "bench.checkout"
    with own_database("checkout", options):
        code, merchant_id = _shop()
        address = f"/q/{code.token}"
        clients = {
            wallet: Client(SERVER_NAME="localhost", headers={"User-Agent": agent})
            for wallet, agent in AGENTS.items()
        }
        for wallet, client in clients.items():
            _constants[wallet or "none"] = _context_of(client, address)
        for turn in range(options.given.repeats + 1):
            count = rows if turn else WARM_UP
            floor_s = ours_s = 0.0
            for number in range(count):
                wallet = list(AGENTS)[number % len(AGENTS)]
                floor_s += _timed(clients[wallet], f"/bare/{wallet or 'none'}/", wrong)
                ours_s += _timed(clients[wallet], address, wrong)
            if turn:
                pairs.append((floor_s, ours_s))
                say(
                    f"  {turn}: floor {floor_s / count * 1000:.2f} ms a page, ours {ours_s / count * 1000:.2f} ms,"
                    f" ratio {ours_s / floor_s:.2f}"
                )
        statements = _statements(clients["wechatpay"], address)
        if len(statements) > MOST_STATEMENTS:
            wrong.append(f"{len(statements)} statements: {statements}")
        with enter_scope(Scope(merchant_id)):
            scans = Scan.objects.filter(code_id=code.pk).count()
        asked = len(AGENTS) + WARM_UP + rows * options.given.repeats + 1
        if scans != asked:
            wrong.append(f"{scans} scans instead of {asked}")
    say(f"  {len(statements)} statements besides scope and transaction")
    floor_s, ours_s = sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]
    return Result(
        name="checkout",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak_rss_mb(),
        met=ours_s <= MOST * floor_s,
        wrong=wrong,
        more={
            "ratios": [round(ours / floor, 3) for floor, ours in pairs],
            "statements": len(statements),
        },
    )


def _shop() -> tuple[QRCode, int]:
    merchant = make_merchant(1, make_keys())
    with enter_scope(Scope(merchant.pk)):
        store = Store.objects.get()
        code = create_code(
            store_id=store.pk,
            kind="counter",
            name="柜台",
            actor=Actor.system("bench"),
            now=clock.now(),
        )
    return code, merchant.pk


def _context_of(client: Client, address: str) -> dict[str, Any]:
    """What the real page is rendered from."""
    kept: dict[str, Any] = {}
    rendering = render

    def keep(request: HttpRequest, template: str, context: dict[str, Any], **rest: Any) -> Any:
        kept.update(context)
        return rendering(request, template, context, **rest)

    # For one page the view's own name for ``render`` is another's.
    with patch.object(scanned, "render", keep):
        client.get(address)
    return kept


def _timed(client: Client, address: str, wrong: list[str]) -> float:
    began = time.perf_counter()
    response = client.get(address)
    seconds = time.perf_counter() - began
    if response.status_code != 200 or 'data-testid="shop"' not in response.content.decode():
        wrong.append(f"{address}: {response.status_code}")
    return seconds


def _statements(client: Client, address: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        client.get(address)
    return [
        query["sql"]
        for query in captured.captured_queries
        if not query["sql"].startswith(
            ("SELECT set_config", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
        )
    ]
