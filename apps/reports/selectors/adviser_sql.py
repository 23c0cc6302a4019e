"""The statements of the platform adviser: a month gathered by wallet, way to pay, scenario and amount, and terms laid over it."""

from __future__ import annotations

from typing import Final

from apps.platforms.fees import CAPPED_SQL, FEE_SQL, ROUNDED_SQL, rule_sql

# Outside money may name no wallet; a platform that is itself a wallet then stands for it.
_WALLET: Final = "COALESCE(NULLIF(p.wallet, ''), p.platform)"
PAID: Final = f"""
CREATE TEMPORARY TABLE adviser_paid ON COMMIT DROP AS
SELECT {_WALLET} AS wallet, p.product, COALESCE(s.kind, '') AS scenario, p.amount_minor AS amount,
       count(*)::bigint AS n, sum(p.fee_minor)::bigint AS fee
FROM payments_payment p
LEFT JOIN qrcodes_qrcode c ON c.merchant_id = p.merchant_id AND c.id = p.code_id
LEFT JOIN qrcodes_scenario s ON s.merchant_id = c.merchant_id AND s.id = c.scenario_id
WHERE p.merchant_id = %(merchant)s AND p.state = 'succeeded' AND p.currency = 'CNY'
  AND p.booked_date >= %(first)s AND p.booked_date < %(until)s
GROUP BY 1, 2, 3, 4
"""  # noqa: S608  # our own names
REFUNDED: Final = f"""
CREATE TEMPORARY TABLE adviser_refunded ON COMMIT DROP AS
SELECT {_WALLET} AS wallet, p.product, p.amount_minor AS amount, r.amount_minor AS refunded,
       (COALESCE(r.accepted_at, r.created_at) AT TIME ZONE 'Asia/Shanghai')::date
           - (p.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS age,
       count(*)::bigint AS n, sum(r.fee_minor)::bigint AS fee
FROM refunds_refund r
JOIN payments_payment p ON p.merchant_id = r.merchant_id AND p.id = r.payment_id
WHERE r.merchant_id = %(merchant)s AND r.state = 'succeeded' AND r.currency = 'CNY'
  AND r.booked_date >= %(first)s AND r.booked_date < %(until)s
GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608  # our own names
DAYS: Final = f"""
SELECT {_WALLET} AS wallet, p.booked_date, p.amount_minor > COALESCE(%(limit)s, p.amount_minor), sum(p.amount_minor)::bigint
FROM payments_payment p
WHERE p.merchant_id = %(merchant)s AND p.state = 'succeeded' AND p.currency = 'CNY'
  AND p.booked_date >= %(first)s AND p.booked_date < %(until)s
GROUP BY 1, 2, 3
"""  # noqa: S608  # our own names
SUMS: Final = """
SELECT wallet, scenario, sum(n)::bigint, sum(n * amount)::bigint, sum(fee)::bigint FROM adviser_paid GROUP BY 1, 2 ORDER BY 1, 2
"""
BACK_SUMS: Final = """
SELECT COALESCE(sum(n), 0)::bigint, COALESCE(sum(n * refunded), 0)::bigint, COALESCE(sum(fee), 0)::bigint FROM adviser_refunded
"""
_ROW: Final = {"amount": "v.amount", "day": "%(today)s::date", "wallet": "v.wallet", "product": "v.product"}  # fmt: skip
_CHARGED: Final = rule_sql(
    columns=f"fee.place, {ROUNDED_SQL}::bigint AS rounded, {CAPPED_SQL}::bigint AS capped, {FEE_SQL} AS charged",
    **_ROW,
)
COSTS: Final = f"""
SELECT f.place, v.wallet, v.scenario, sum(v.n)::bigint, sum(v.n * v.amount)::bigint, sum(v.n * f.rounded)::bigint,
       sum(v.n * f.capped)::bigint, sum(v.n * f.charged)::bigint,
       COALESCE(sum(v.n) FILTER (WHERE f.capped < f.rounded), 0)::bigint,
       COALESCE(sum(v.n) FILTER (WHERE f.charged <> f.capped), 0)::bigint
FROM adviser_paid v CROSS JOIN LATERAL {_CHARGED} AS f
WHERE v.wallet = ANY(%(wallets)s) AND v.amount <= COALESCE(%(limit)s, v.amount)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608  # our own names
REFUSED: Final = """
SELECT COALESCE(sum(n) FILTER (WHERE wallet <> ALL(%(wallets)s)), 0)::bigint,
       COALESCE(sum(n * amount) FILTER (WHERE wallet <> ALL(%(wallets)s)), 0)::bigint,
       COALESCE(sum(n) FILTER (WHERE wallet = ANY(%(wallets)s) AND amount > %(limit)s), 0)::bigint,
       COALESCE(sum(n * amount) FILTER (WHERE wallet = ANY(%(wallets)s) AND amount > %(limit)s), 0)::bigint
FROM adviser_paid
"""
BACK: Final = f"""
SELECT v.age > COALESCE(%(window)s, v.age) AS late, sum(v.n)::bigint, sum(v.n * v.refunded)::bigint,
       sum(v.n * div(2 * f.charged::numeric * %(back)s * v.refunded + 1000000 * v.amount::numeric,
                     2000000 * v.amount::numeric))::bigint
FROM adviser_refunded v CROSS JOIN LATERAL {_CHARGED} AS f
WHERE v.wallet = ANY(%(wallets)s) AND v.amount <= COALESCE(%(limit)s, v.amount)
GROUP BY 1
"""  # noqa: S608  # our own names
FORGET: Final = "DROP TABLE adviser_paid, adviser_refunded"
