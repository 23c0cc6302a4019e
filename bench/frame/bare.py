"""A notification of WeChat Pay taken in without us: ``uvicorn bench.frame.bare:application``.

The same server, threads and connections as the portal's, and the same statements in the same transactions, as they were
recorded of it (see ``bench.notify``), written by hand for psycopg. The signature is verified and the content opened. BENCH_FACTS
names a JSON file with the keys.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import django
from django.apps import apps

if not apps.ready:
    django.setup()

import psycopg
from a2wsgi import WSGIMiddleware
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

_FACTS: dict[str, str] = json.loads(Path(os.environ["BENCH_FACTS"]).read_text())
_key = serialization.load_pem_public_key(_FACTS["platform_public"].encode())
assert isinstance(_key, rsa.RSAPublicKey)
_KEY: rsa.RSAPublicKey = _key
_OPENER = AESGCM(_FACTS["api_v3_key"].encode())
_STORE = """
WITH stored AS (
    INSERT INTO platforms_notification (merchant_id, account_id, received_at, headers, body_sealed, body_sha256, remote_ip,
        verdict, dedup_key, kind, order_no, state, detail)
    VALUES (%s, %s, %s, %s, %s, %s, '127.0.0.1', '', '', '', '', 'received', '') RETURNING id, merchant_id
)
INSERT INTO core_due (task, merchant_id, subject_id, due_at, revision, attempts)
SELECT found.*, 1, 0 FROM (SELECT %s, stored.merchant_id, stored.id, %s::timestamptz FROM stored) AS found
ON CONFLICT (task, merchant_id, subject_id) DO UPDATE SET
    due_at = CASE WHEN core_due.claimed_until IS NULL
                  THEN LEAST(core_due.due_at, excluded.due_at) ELSE excluded.due_at END,
    revision = core_due.revision + 1
RETURNING subject_id
"""
_SETTLE = """
WITH settled AS (
    UPDATE platforms_notification SET state = 'applied', verdict = 'good', detail = '', processed_at = %s,
        kind = COALESCE('payment', kind), dedup_key = COALESCE(%s, dedup_key), order_no = COALESCE(%s, order_no)
    WHERE merchant_id = %s AND id = %s AND received_at = %s AND state NOT IN ('applied', 'repeated')
)
DELETE FROM core_due WHERE task = %s AND merchant_id = %s AND subject_id = %s
"""
_FORGET_TWO = """
DELETE FROM core_due WHERE (task = %s AND merchant_id = %s AND subject_id = %s)
    OR (task = %s AND merchant_id = %s AND subject_id = %s)
"""
_POST = """
WITH entry AS (
    INSERT INTO ledger_journalentry (merchant_id, booked_date, at, kind, subject_kind, subject_id, memo)
    VALUES (%s, %s, %s, 'payment', 'payment', %s, %s) RETURNING id
)
INSERT INTO ledger_posting (merchant_id, entry_id, account_id, amount_minor, currency)
SELECT %s, entry.id, line.* FROM entry, unnest(%s::bigint[], %s::bigint[], %s::text[]) AS line RETURNING entry_id
"""
_PAID = """
UPDATE payments_payment SET state = 'succeeded', platform_trade_no = %s, wallet = 'wechatpay', payer_hash = %s,
    payer_masked = %s, fee_minor = %s, paid_at = %s, closed_at = NULL, booked_date = %s, code_text = 'SUCCESS', message = ''
WHERE merchant_id = %s AND id = %s AND state IN ('created', 'pending', 'unknown', 'closed', 'failed')
    AND (%s OR NOT (ending_at IS NOT NULL AND state IN ('created', 'pending', 'unknown', 'closed')
        OR product = 'barcode' AND state = 'closed'))
"""
_threads = threading.local()


def _connection() -> psycopg.Connection[dict[str, Any]]:
    """This thread's own, to the database that Django's settings name."""
    kept: psycopg.Connection[dict[str, Any]] | None = getattr(_threads, "connection", None)
    if kept is None:
        connection.ensure_connection()
        info = connection.connection.info
        kept = psycopg.connect(
            host=info.host,
            port=info.port,
            user=info.user,
            password=info.password or None,
            dbname=info.dbname,
            autocommit=True,
            row_factory=dict_row,
        )
        connection.close()
        _threads.connection = kept
    return kept


def bare(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """One notification, or "are you there?"."""
    if environ["REQUEST_METHOD"] != "POST":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"here"]
    ref = environ["PATH_INFO"].rstrip("/").rsplit("/", 1)[1]
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    now = datetime.now(UTC)
    with _connection().cursor() as cursor:
        _take_in(cursor, ref, body, environ, now)
    said = '{"code":"SUCCESS","message":"成功"}'.encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(said)))]
    )
    return [said]


def _take_in(cursor: Any, ref: str, body: bytes, environ: dict[str, Any], now: datetime) -> None:
    def one(sql: str, *values: Any) -> dict[str, Any]:
        cursor.execute(sql, values)
        row: dict[str, Any] = cursor.fetchone()
        return row

    def do(sql: str, *values: Any) -> None:
        cursor.execute(sql, values)

    door = one(
        "SELECT * FROM core_door WHERE kind = 'account' AND token_hash = %s",
        hashlib.sha256(ref.encode()).digest(),
    )
    merchant = door["merchant_id"]
    do("SELECT set_config('app.merchant_id', %s, false)", str(merchant))
    account = one(
        "SELECT * FROM platforms_platformaccount WHERE merchant_id = %s AND id = %s",
        merchant,
        door["subject_id"],
    )
    headers = {
        name: environ[f"HTTP_WECHATPAY_{name.upper()}"]
        for name in ("timestamp", "nonce", "signature", "serial")
    }
    task = "platforms.reprocess_notification"
    notification = one(
        _STORE,
        merchant,
        account["id"],
        now,
        Jsonb(headers),
        body,
        hashlib.sha256(body).digest(),
        task,
        now + timedelta(seconds=60),
    )["subject_id"]
    signed = f"{headers['timestamp']}\n{headers['nonce']}\n".encode() + body + b"\n"
    _KEY.verify(base64.b64decode(headers["signature"]), signed, padding.PKCS1v15(), hashes.SHA256())
    sealed = json.loads(body)["resource"]
    told = json.loads(
        _OPENER.decrypt(
            sealed["nonce"].encode(),
            base64.b64decode(sealed["ciphertext"]),
            sealed["associated_data"].encode(),
        )
    )
    order_no, trade_no = told["out_trade_no"], told["transaction_id"]
    key = f"TRANSACTION.SUCCESS:{order_no}:{trade_no}"
    paid_at = datetime.fromisoformat(told["success_time"])
    day = date(paid_at.year, paid_at.month, paid_at.day)
    with _connection().transaction():
        do(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            f"notification/{account['id']}/{key}",
        )
        do(
            "SELECT FROM platforms_notification WHERE merchant_id = %s AND account_id = %s AND order_no = %s"
            " AND dedup_key = %s AND state = 'applied' LIMIT 1",
            merchant,
            account["id"],
            order_no,
            key,
        )
        payment = one(
            "SELECT * FROM payments_payment WHERE merchant_id = %s AND order_no = %s AND account_id = %s",
            merchant,
            order_no,
            account["id"],
        )
        _pay(cursor, do, one, payment, account, told, trade_no, paid_at, day, now)
        do(
            _SETTLE,
            now,
            key,
            order_no,
            merchant,
            notification,
            now,
            task,
            merchant,
            notification,
        )
    do("SELECT set_config('app.merchant_id', '', false)")


def _pay(
    cursor: Any,
    do: Callable[..., None],
    one: Callable[..., dict[str, Any]],
    payment: dict[str, Any],
    account: dict[str, Any],
    told: dict[str, Any],
    trade_no: str,
    paid_at: datetime,
    day: date,
    now: datetime,
) -> None:
    merchant, pk, amount = payment["merchant_id"], payment["id"], payment["amount_minor"]
    do(
        "SELECT order_no FROM payments_payment WHERE merchant_id = %s AND account_id = %s AND platform_trade_no = %s",
        merchant,
        account["id"],
        trade_no,
    )
    do(
        "SELECT FROM payments_order WHERE merchant_id = %s AND id = %s FOR NO KEY UPDATE",
        merchant,
        payment["order_id"],
    )
    do("SELECT day_starts_at FROM merchants_merchant WHERE id = %s", merchant)
    do(
        "SELECT is_closed FROM ledger_businessday WHERE merchant_id = %s AND day = %s FOR SHARE",
        merchant,
        day,
    )
    payer = told["payer"]["openid"]
    fee = round(amount * account["fee_rate_ppm"] / 1_000_000)
    do(
        _PAID,
        trade_no,
        hashlib.sha256(payer.encode()).hexdigest(),
        f"{payer[:4]}***{payer[-4:]}",
        fee,
        paid_at,
        day,
        merchant,
        pk,
        False,
    )
    do(
        "UPDATE payments_order SET state = 'paid', paid_at = %s, closed_at = NULL"
        " WHERE merchant_id = %s AND id = %s AND state <> 'paid'",
        paid_at,
        merchant,
        payment["order_id"],
    )
    cursor.execute(
        "SELECT purpose, subject_id, id FROM ledger_account"
        " WHERE merchant_id = %s AND purpose = ANY(%s::text[]) AND subject_id = ANY(%s::bigint[])",
        [merchant, ["receivable", "fees", "sales"], [0, account["id"]]],
    )
    found = {row["purpose"]: row["id"] for row in cursor.fetchall()}
    one(
        _POST,
        merchant,
        day,
        paid_at,
        pk,
        payment["order_no"],
        merchant,
        [found["receivable"], found["fees"], found["sales"]],
        [amount - fee, fee, -amount],
        ["CNY"] * 3,
    )
    do(
        "INSERT INTO core_auditevent (merchant_id, at, actor_id, actor, action, subject_kind, subject_id, store_id, data,"
        " ip, user_agent) VALUES (%s, %s, NULL, 'system:notification', 'payment.succeeded', 'order', %s, %s, %s,"
        " '127.0.0.1', '')",
        merchant,
        now,
        payment["order_id"],
        payment["store_id"],
        Jsonb(
            {
                "via": "notification",
                "order_no": payment["order_no"],
                "platform": "wechatpay",
                "platform_trade_no": trade_no,
                "amount_minor": amount,
                "code": "SUCCESS",
                "message": "",
            }
        ),
    )
    do(
        "UPDATE payments_payment SET expires_at = LEAST(expires_at, %s) WHERE merchant_id = %s AND order_id = %s AND id <> %s"
        " AND state IN ('created', 'pending', 'unknown') RETURNING id",
        now,
        merchant,
        payment["order_id"],
        pk,
    )
    do(
        _FORGET_TWO,
        "payments.poll",
        merchant,
        pk,
        "payments.expire_order",
        merchant,
        payment["order_id"],
    )
    do(
        "SELECT pg_notify('portal_live', %s)",
        json.dumps(
            {"merchant": merchant, "store": payment["store_id"], "kind": "payment", "id": pk}
        ),
    )


application = WSGIMiddleware(cast("Any", bare), workers=settings.WEB_THREADS)
