"""Each version of the rule with one threshold becomes the book of the same number, and each refund that one decided gets its decision.

What a refund weighed then is computed from the books as they stand: refunds that were refused, withdrawn or failed since are
not counted in the others'.
"""

from typing import Any, ClassVar

from django.db import migrations

BOOKS = """
INSERT INTO refunds_refundrulebook (merchant_id, number, content, effective_at, made_by_id, published_at)
SELECT merchant_id, version, jsonb_build_object(
           'rules', jsonb_build_array(jsonb_build_object(
               'when', jsonb_build_object('total', jsonb_build_object('over', threshold_minor)),
               'outcome', CASE WHEN confirmations = 1 THEN 'one' ELSE 'two' END)),
           'otherwise', 'at_once'),
       created_at, created_by_id, created_at
FROM refunds_refundrule WHERE merchant_id = %(merchant)s ORDER BY version
"""
#: Of the rows that stand before a refund in a window, those that still hold money count, and the refund itself.
_COUNTED = """
count(*) FILTER (WHERE held) OVER {name} + CASE WHEN held THEN 0 ELSE 1 END"""
_SUMMED = """
(COALESCE(sum(amount_minor) FILTER (WHERE held) OVER {name}, 0) + CASE WHEN held THEN 0 ELSE amount_minor END)::bigint"""
#: By what refunds are counted together, and how far back.
_WINDOWS = [
    ("payer", 1),
    ("payer", 7),
    ("payer", 30),
    ("asker", 1),
    ("asker", 7),
    ("asker", 30),
    ("store", 1),
]
_BY = {"payer": "payer", "asker": "COALESCE(requested_by_id, -id)", "store": "store"}


def _columns(template: str) -> str:
    return ",".join(template.format(name=f"{who}_{days}") for who, days in _WINDOWS)


DECISIONS = f"""
INSERT INTO refunds_refunddecision (merchant_id, refund_id, book_number, rule_number, outcome, decided_at, is_rebuilt, payer,
    asked_by_id, amount, total, share, age, minute, payer_count_1, payer_count_7, payer_count_30, asker_count_1, asker_count_7,
    asker_count_30, store_count_1, payer_sum_1, payer_sum_7, payer_sum_30, asker_sum_1, asker_sum_7, asker_sum_30, store_sum_1,
    store, code, platform, asker, reason, origin)
SELECT merchant_id, id, COALESCE(rule_version, 0), CASE WHEN total > threshold THEN 1 ELSE 0 END,
    CASE WHEN total > threshold THEN confirmed ELSE 'at_once' END, created_at, true, payer, requested_by_id, amount_minor, total,
    (total * 10000 + paid_minor - 1) / paid_minor,
    LEAST(5270400, GREATEST(0, floor(extract(epoch FROM created_at - paid_at) / 60)))::int,
    (extract(hour FROM local) * 60 + extract(minute FROM local))::int, {_columns(_COUNTED)}, {
    _columns(_SUMMED)
},
    store, code, platform, asker, reason, origin
FROM (
    SELECT r.merchant_id, r.id, r.rule_version, r.created_at, r.requested_by_id, r.amount_minor, p.amount_minor AS paid_minor,
        LEAST(p.amount_minor, GREATEST(r.weighed_minor, r.amount_minor)) AS total,
        COALESCE(b.threshold, 20000) AS threshold, COALESCE(b.confirmed, 'one') AS confirmed,
        COALESCE(p.paid_at, r.created_at) AS paid_at, r.created_at AT TIME ZONE 'Asia/Shanghai' AS local,
        COALESCE(NULLIF(p.payer_hash, ''), 'payment:' || p.id) AS payer, COALESCE(p.store_id::text, '') AS store,
        COALESCE(s.kind, '') AS code, p.platform, COALESCE(m.role, '') AS asker,
        COALESCE(NULLIF(r.reason_code, ''), 'other') AS reason, CASE WHEN q.id IS NULL THEN 'member' ELSE 'receipt' END AS origin,
        r.state IN ('waiting', 'ready', 'processing', 'unknown', 'queued', 'abnormal', 'succeeded') AS held
    FROM refunds_refund r
    JOIN payments_payment p ON p.merchant_id = r.merchant_id AND p.id = r.payment_id
    LEFT JOIN (SELECT number, (content #>> '{{rules,0,when,total,over}}')::bigint AS threshold,
                      content #>> '{{rules,0,outcome}}' AS confirmed
               FROM refunds_refundrulebook WHERE merchant_id = %(merchant)s) b ON b.number = r.rule_version
    LEFT JOIN qrcodes_qrcode c ON c.merchant_id = p.merchant_id AND c.id = p.code_id
    LEFT JOIN qrcodes_scenario s ON s.merchant_id = c.merchant_id AND s.id = c.scenario_id
    LEFT JOIN merchants_membership m ON m.merchant_id = r.merchant_id AND m.user_id = r.requested_by_id
    LEFT JOIN refunds_refundrequest q ON q.merchant_id = r.merchant_id AND q.refund_id = r.id
    WHERE r.merchant_id = %(merchant)s AND r.source = 'portal' AND NOT r.is_automatic
) asked
WINDOW {
    ", ".join(
        f"{who}_{days} AS (PARTITION BY {_BY[who]} ORDER BY created_at"
        f" RANGE BETWEEN interval '{days} days' PRECEDING AND CURRENT ROW EXCLUDE TIES)"
        for who, days in _WINDOWS
    )
}
"""  # noqa: S608  # our own text


def bring_over(apps: Any, schema_editor: Any) -> None:
    """Merchant by merchant: outside of a merchant's wall there are no rows to see."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT id FROM merchants_merchant ORDER BY id")
        for (merchant,) in cursor.fetchall():
            cursor.execute("SELECT set_config('app.merchant_id', %s, true)", [str(merchant)])
            cursor.execute(BOOKS, {"merchant": merchant})
            cursor.execute(DECISIONS, {"merchant": merchant})
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("SELECT set_config('app.merchant_id', '', true)")


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("refunds", "0006_rules"),
        ("qrcodes", "0001_initial"),
    ]

    operations: ClassVar = [
        migrations.RunPython(bring_over, migrations.RunPython.noop),
    ]
