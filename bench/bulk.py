"""Many codes from a table: server time of looking at ``--rows`` of them and of making them, through the pages.

The floor is one INSERT … SELECT a table by hand into the same tables, behind the same walls: scenarios, codes, first versions, doors
and history of the same rows, whose texts, tokens and digests are ready beforehand. Ours reads the CSV twice (once for the preview, once
for the making), weighs every row, tries its name on the placard and renders the pages. Both by turns, each into a store of its own;
afterwards both stores must hold the same codes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import random
import time
from typing import Any, Final

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.core import clock, sql
from apps.core.doors import ALPHABET
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store
from bench.frame.database import own_database
from bench.frame.result import Options, Result, middle_pair, peak_rss_mb, say, spread
from bench.frame.world import make_keys, make_merchant

#: The target: times the floor, which reads nothing, weighs nothing and shows nothing.
MOST = 7.0
AREAS = ("大厅", "露台", "包间")
HEADING = ("名称", "英文名称", "桌号", "区域", "金额", "标签")

_SCENARIOS: Final = """
INSERT INTO qrcodes_scenario (merchant_id, store_id, kind, name, name_en, created_at)
SELECT %(merchant)s, %(store)s, 'table', name, name_en, %(now)s
FROM unnest(%(names)s::text[], %(names_en)s::text[]) WITH ORDINALITY t(name, name_en, place) ORDER BY place
RETURNING id
"""
_CODES: Final = """
INSERT INTO qrcodes_qrcode (merchant_id, scenario_id, store_id, token, amount_minor, currency, state, state_reason, created_at, labels)
SELECT %(merchant)s, scenario, %(store)s, token, amount, 'CNY', 'active', '', %(now)s, ARRAY[label]
FROM unnest(%(scenarios)s::bigint[], %(tokens)s::text[], %(amounts)s::bigint[], %(labels)s::text[])
    WITH ORDINALITY t(scenario, token, amount, label, place) ORDER BY place
RETURNING id
"""
_VERSIONS: Final = """
INSERT INTO qrcodes_codeversion (merchant_id, code_id, number, starts_at, made_at, made_by_id, reason, store_id, name, name_en, details,
    pricing, amount_minor, choices, currency, note_mode, note_label, hours, language, wallets)
SELECT %(merchant)s, code, 1, %(now)s, %(now)s, %(member)s, '', %(store)s, name, name_en, details,
    CASE WHEN amount IS NULL THEN 'open' ELSE 'fixed' END, amount, '[]', 'CNY', %(note_mode)s, '', '[]', '', '{}'
FROM unnest(%(codes)s::bigint[], %(names)s::text[], %(names_en)s::text[], %(details)s::jsonb[], %(amounts)s::bigint[])
    t(code, name, name_en, details, amount)
"""
_DOORS: Final = """
INSERT INTO core_door (kind, token_hash, merchant_id, subject_id)
SELECT 'qrcode', hash, %(merchant)s, code FROM unnest(%(codes)s::bigint[], %(hashes)s::bytea[]) t(code, hash)
"""
_HISTORY: Final = """
INSERT INTO core_auditevent (merchant_id, at, actor_id, actor, action, subject_kind, subject_id, store_id, data, user_agent)
SELECT %(merchant)s, %(now)s, %(member)s, 'bench', 'code.created', 'code', code, %(store)s, jsonb_build_object('name', name, 'kind', 'table'), ''
FROM unnest(%(codes)s::bigint[], %(names)s::text[]) t(code, name)
"""
#: What a code says, but for what is drawn by lot.
_TOLD: Final = """
SELECT s.kind, s.name, s.name_en, c.amount_minor, c.currency, c.state, c.labels, v.number, v.name, v.name_en, v.details, v.pricing,
    v.amount_minor, v.choices, v.note_mode, v.hours, v.wallets, v.starts_at = c.created_at, d.kind,
    (SELECT count(*) FROM core_auditevent e WHERE e.merchant_id = c.merchant_id AND e.subject_kind = 'code' AND e.subject_id = c.id)
FROM qrcodes_qrcode c
JOIN qrcodes_scenario s ON s.id = c.scenario_id
JOIN qrcodes_codeversion v ON v.code_id = c.id
LEFT JOIN core_door d ON d.kind = 'qrcode' AND d.merchant_id = c.merchant_id AND d.subject_id = c.id
WHERE c.store_id = %s ORDER BY c.id
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--repeats", type=int, default=5)


def run(options: Options) -> Result:
    """Floor and ours by turns."""
    rows = options.rows or 2000
    pairs: list[tuple[float, float]] = []
    previews: list[float] = []
    wrong: list[str] = []
    with own_database("bulk", options):
        merchant, owner, theirs = _shop()
        with enter_scope(Scope(merchant.pk)):
            ours = Store.objects.create(name="二号店")
        client = Client(SERVER_NAME="localhost", headers={"Accept-Language": "zh-hans"})
        client.force_login(owner)
        for turn in range(options.given.repeats + 1):
            # The first is for imports, fonts and plans; each has names that no cache knows.
            cells = _cells(options.seed, turn, rows if turn else min(rows, 20))
            bare = _floor(merchant, theirs, owner, cells)
            preview, made = _ours(client, merchant, ours, cells, nonce=f"n{turn}", wrong=wrong)
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE qrcodes_qrcode, qrcodes_scenario, qrcodes_codeversion")
            if turn:
                pairs.append((bare, preview + made))
                previews.append(preview)
                say(
                    f"  {turn}: floor {bare:.3f} s, preview {preview:.3f} s, making {made:.3f} s,"
                    f" ratio {(preview + made) / bare:.2f}"
                )
        with enter_scope(Scope(merchant.pk)):
            told = [sql.every(_TOLD, [store.pk]) for store in (theirs, ours)]
        expected = rows * options.given.repeats + min(rows, 20)
        if len(told[1]) != expected:
            wrong.append(f"{len(told[1])} codes instead of {expected}")
        wrong += [f"{a} is not {b}" for a, b in zip(*told, strict=False) if a != b][:3]
    floor_s, ours_s = middle_pair(pairs)
    say(f"  floor {spread([a for a, _ in pairs])} s, ours {spread([b for _, b in pairs])} s")
    say(f"  of ours the preview {spread(previews)} s")
    return Result(
        name="bulk",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak_rss_mb(),
        met=ours_s <= MOST * floor_s,
        wrong=wrong,
        more={
            "ratios": [round(ours / bare, 3) for bare, ours in pairs],
            "preview_s": round(sorted(previews)[len(previews) // 2], 3),
        },
    )


def _shop() -> tuple[Merchant, User, Store]:
    merchant = make_merchant(1, make_keys())
    owner = User.objects.create_user("owner@example.com", "secret-pass-1", name="bench")
    Membership.objects.create(merchant=merchant, user=owner, role=Role.OWNER)
    with enter_scope(Scope(merchant.pk)):
        return merchant, owner, Store.objects.get()


def _cells(seed: int, turn: int, rows: int) -> list[tuple[str, str, str, str, str, str]]:
    """What the table says of each code."""
    numbers = random.Random(f"{seed}/{turn}")
    return [
        (
            f"{turn} 区 {number} 号桌",
            f"Table {turn}-{number}",
            f"{turn}-{number}",
            numbers.choice(AREAS),
            f"{numbers.randrange(1, 500)}.{numbers.randrange(100):02d}" if number % 3 else "",
            numbers.choice(("夏", "vip")),
        )
        for number in range(rows)
    ]


# ---------------------------------------------------------------- the floor
def _floor(merchant: Merchant, store: Store, owner: User, cells: list[Any]) -> float:
    """The same rows by one who knows that nothing is wrong with them."""
    numbers = random.Random(cells[0][0])
    tokens = ["".join(numbers.choices(ALPHABET, k=12)) for _ in cells]
    values: dict[str, Any] = {
        "merchant": merchant.pk,
        "store": store.pk,
        "member": owner.pk,
        "now": clock.now(),
        "names": [one[0] for one in cells],
        "names_en": [one[1] for one in cells],
        "details": [json.dumps({"number": one[2], "area": one[3]}) for one in cells],
        "amounts": [int(one[4].replace(".", "")) if one[4] else None for one in cells],
        "labels": [one[5] for one in cells],
        "note_mode": "optional",
        "tokens": tokens,
        "hashes": [hashlib.sha256(token.encode()).digest() for token in tokens],
    }
    began = time.perf_counter()
    with enter_scope(Scope(merchant.pk)), transaction.atomic():
        values["scenarios"] = [one for (one,) in sql.every(_SCENARIOS, values)]
        values["codes"] = [one for (one,) in sql.every(_CODES, values)]
        for statement in (_VERSIONS, _DOORS, _HISTORY):
            sql.run(statement, values)
    return time.perf_counter() - began


# ---------------------------------------------------------------- ours
def _ours(
    client: Client,
    merchant: Merchant,
    store: Store,
    cells: list[Any],
    *,
    nonce: str,
    wrong: list[str],
) -> tuple[float, float]:
    """Seconds for looking at them and for making them, as a browser sends it."""
    out = io.StringIO()
    csv.writer(out).writerows([HEADING, *cells])
    content = out.getvalue().encode("utf-8-sig")
    address = reverse("qrcodes:code_bulk", args=[merchant.slug])
    given = {"kind": "table", "store": store.pk, "way": "table", "nonce": nonce}
    began = time.perf_counter()
    page = client.post(address, given | {"file": SimpleUploadedFile("codes.csv", content)})
    looked = time.perf_counter()
    if page.status_code != 200:
        wrong.append(f"the preview is {page.status_code}")
        return 1.0, 1.0
    # The preview carries the table's text on.
    sure = given | {"table": content.decode("utf-8-sig"), "sure": "1"}
    between = time.perf_counter()
    done = client.post(address, sure)
    made = time.perf_counter()
    if done.status_code != 302:
        wrong.append(f"making is {done.status_code}")
    return looked - began, made - between
