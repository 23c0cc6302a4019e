"""The payments of a batch by one statement: what of each goes back, why one is left out, what the rules say of the others.

Everything is weighed as ``selectors.rules.weigh`` weighs one refund, as if the rows were asked for one after the other; a test
compares the two.
"""

from __future__ import annotations

from typing import Final

from apps.payments.models import MADE_UP
from apps.refunds.rulefacts import MOST_AGE, WHOLE

#: Rows of one batch. More is two batches.
MOST_ROWS: Final = 20_000

TABLE: Final = "refunds_chosen"

#: What a batch's row weighs, by fact; ``of_all`` for the question what the rules say of so much as all together.
COLUMNS: Final = {
    "amount": "f.amount",
    "total": "f.total",
    "share": "f.share",
    "age": "f.age",
    "minute": "%(minute)s",
    **{
        f"{who}_{what}_{days}": f"f.{who}_{what}_{days}"
        for who in ("payer", "asker")
        for what in ("count", "sum")
        for days in (1, 7, 30)
    },
    "store_count_1": "f.store_count_1",
    "store_sum_1": "f.store_sum_1",
    "store": "f.store",
    "code": "f.code",
    "platform": "f.platform",
    "asker": "f.asker",
    "reason": "%(reason)s",
    "origin": "'member'",
}

_DAYS: Final = (1, 7, 30)


def _earlier(days: tuple[int, ...]) -> str:
    """Counts and sums of decisions so many days back, as columns."""
    return ", ".join(
        f"count(*) FILTER (WHERE d.decided_at >= %(now)s - interval '{n} days') AS count_{n},"
        f" COALESCE(sum(d.amount) FILTER (WHERE d.decided_at >= %(now)s - interval '{n} days'), 0)::bigint AS sum_{n}"
        for n in days
    )


def _counted(who: str, earlier: str, partition: str, days: tuple[int, ...]) -> str:
    """The same for each row: what was asked for before, the rows of the batch before it, and itself."""
    over = f"OVER ({partition} ORDER BY w.place)"
    return ", ".join(
        f"(COALESCE({earlier}.count_{n}, 0) + row_number() {over})::int AS {who}_count_{n},"
        f" (COALESCE({earlier}.sum_{n}, 0) + sum(w.amount) {over})::bigint AS {who}_sum_{n}"
        for n in days
    )


#: ``{filters}``: conditions on ``p``, with joins of its own; ``{rule}``, ``{rule_of_all}``: the book as CASE.
CHOOSE: Final = f"""
CREATE TEMPORARY TABLE {TABLE} ON COMMIT DROP AS
WITH limits AS (
    SELECT * FROM unnest(%(platforms)s::text[], %(days)s::int[], %(months)s::int[], %(parts)s::int[])
        AS l (platform, days, months, parts)
), agreed AS (
    SELECT * FROM unnest(%(accounts)s::bigint[], %(windows)s::int[]) AS a (account_id, days)
), found AS MATERIALIZED (
    SELECT p.id, p.order_no, p.store_id, p.code_id, p.account_id, p.platform, p.amount_minor AS paid_minor,
        p.refund_reserved_minor AS reserved, p.amount_minor - p.refund_reserved_minor AS left_minor, p.paid_at,
        p.source, p.platform_trade_no, COALESCE(NULLIF(p.payer_hash, ''), 'payment:' || p.id) AS payer,
        (p.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS paid_day,
        row_number() OVER (ORDER BY p.paid_at, p.id)::int AS place
    FROM payments_payment p
    WHERE p.merchant_id = %(merchant)s AND p.state = 'succeeded' AND {{filters}}
    ORDER BY p.paid_at, p.id LIMIT {MOST_ROWS + 1}
), parts AS (
    SELECT r.payment_id, count(*) AS used FROM refunds_refund r
    WHERE r.merchant_id = %(merchant)s AND r.payment_id IN (SELECT id FROM found)
      AND (r.state = ANY(%(held)s) OR r.accepted_at IS NOT NULL)
    GROUP BY r.payment_id
), planned AS (
    SELECT b.payment_id FROM refunds_refundbatchrow b
    WHERE b.merchant_id = %(merchant)s AND b.state = 'planned' AND b.payment_id IN (SELECT id FROM found)
), asked AS (
    SELECT found.*, CASE %(share_kind)s WHEN 'whole' THEN left_minor WHEN 'fixed' THEN %(share_value)s::bigint
        ELSE (paid_minor * %(share_value)s::bigint + {WHOLE // 2}) / {WHOLE} END AS amount,
        LEAST(paid_at + make_interval(hours => 24 * limits.days),
              (paid_day + make_interval(months => limits.months) + interval '1 day') AT TIME ZONE 'Asia/Shanghai',
              (paid_day + make_interval(days => agreed.days + 1)) AT TIME ZONE 'Asia/Shanghai') AS ends_at,
        limits.parts IS NOT NULL AND COALESCE(parts.used, 0) >= limits.parts AS has_all_parts,
        planned.payment_id IS NOT NULL AS is_planned
    FROM found LEFT JOIN limits USING (platform) LEFT JOIN agreed USING (account_id)
    LEFT JOIN parts ON parts.payment_id = found.id LEFT JOIN planned ON planned.payment_id = found.id
), why AS (
    SELECT asked.*, CASE WHEN left_minor = 0 THEN 'refunded' WHEN is_planned THEN 'in_batch'
        WHEN source = 'platform' AND order_no LIKE '{MADE_UP}%%' AND NOT (platform = 'unionpay' AND platform_trade_no <> '')
            THEN 'no_number'
        WHEN ends_at <= %(now)s THEN 'window' WHEN has_all_parts THEN 'parts' WHEN amount < 1 THEN 'nothing'
        WHEN amount > left_minor THEN 'left' ELSE '' END AS why
    FROM asked
), earlier AS MATERIALIZED (
    SELECT d.payer, d.asked_by_id, d.store, d.decided_at, d.amount
    FROM refunds_refunddecision d JOIN refunds_refund r ON r.merchant_id = d.merchant_id AND r.id = d.refund_id
    WHERE d.merchant_id = %(merchant)s AND d.decided_at >= %(now)s - interval '30 days' AND r.state = ANY(%(held)s)
), payers AS (
    SELECT d.payer, {_earlier(_DAYS)} FROM earlier d GROUP BY d.payer
), askers AS (
    SELECT {_earlier(_DAYS)} FROM earlier d WHERE d.asked_by_id = %(member)s
), stores AS (
    SELECT d.store, {_earlier((1,))} FROM earlier d GROUP BY d.store
), facts AS (
    SELECT w.*, w.reserved + w.amount AS total,
        (((w.reserved + w.amount) * {WHOLE} + w.paid_minor - 1) / w.paid_minor)::int AS share,
        LEAST({MOST_AGE}, GREATEST(0, floor(extract(epoch FROM %(now)s - w.paid_at) / 60)))::int AS age,
        COALESCE(w.store_id::text, '') AS store, COALESCE(s.kind, '') AS code,
        {_counted("payer", "payers", "PARTITION BY w.payer", _DAYS)},
        {_counted("asker", "askers", "", _DAYS)},
        {_counted("store", "stores", "PARTITION BY w.store_id", (1,))},
        COALESCE((SELECT m.role FROM merchants_membership m WHERE m.merchant_id = %(merchant)s
                  AND m.user_id = %(member)s AND m.is_active), '') AS asker
    FROM why w
    LEFT JOIN qrcodes_qrcode c ON c.merchant_id = %(merchant)s AND c.id = w.code_id
    LEFT JOIN qrcodes_scenario s ON s.merchant_id = %(merchant)s AND s.id = c.scenario_id
    LEFT JOIN payers USING (payer) LEFT JOIN stores ON stores.store = COALESCE(w.store_id::text, '') CROSS JOIN askers
    WHERE w.why = ''
), judged AS (
    SELECT f.*, {{rule}} AS rule FROM facts f
), summed AS (
    SELECT LEAST(COALESCE(sum(amount), 0), %(most)s)::bigint AS all_minor FROM judged WHERE rule <> ALL(%(refusing)s)
), weighed AS (
    SELECT f.*, {{rule_of_all}} AS rule_of_all FROM judged f CROSS JOIN summed
)
SELECT w.place, w.id AS payment_id, w.order_no, w.store_id, w.account_id, w.paid_minor, w.left_minor, w.amount,
    CASE WHEN f.rule = ANY(%(refusing)s) THEN 'rules' ELSE w.why END AS why,
    COALESCE(f.rule, 0) AS rule, COALESCE(f.rule_of_all, 0) AS rule_of_all
FROM why w LEFT JOIN weighed f ON f.id = w.id
"""  # noqa: S608  # our own text

#: What becomes of the rows, by reason and rules.
GROUPS: Final = f"""
SELECT why, rule, rule_of_all, count(*), COALESCE(sum(amount), 0)::bigint, COALESCE(sum(paid_minor), 0)::bigint
FROM {TABLE} GROUP BY why, rule, rule_of_all ORDER BY why, rule, rule_of_all
"""  # noqa: S608  # our own text

#: One value for all that would be done, to know it again; and the stores of it.
SEAL: Final = f"""
SELECT encode(sha256(convert_to(COALESCE(string_agg(payment_id || ' ' || amount, E'\\n' ORDER BY place), ''), 'UTF8')), 'hex'),
    COALESCE(array_agg(DISTINCT COALESCE(store_id, 0)), '{{}}')
FROM {TABLE} WHERE why = ''
"""  # noqa: S608  # our own text

ROWS: Final = f"""
SELECT payment_id, amount, why, rule, place FROM {TABLE}
WHERE (why <> '') = %(left_out)s AND place > %(after)s ORDER BY place LIMIT %(size)s
"""  # noqa: S608  # our own text
