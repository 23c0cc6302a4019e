"""The statements that find out which bill rows are outside money and what must become of each.

``outside_row`` holds the rows that were asked about. Its ``verdict`` is "" until it is decided, ``book`` for what is to be booked,
else why not; see ``outside.LEFT``. A refund's ``target`` is its payment, or minus the line of the row that becomes its payment.
"""

from __future__ import annotations

from typing import Final

from apps.payments.models import MADE_UP
from apps.platforms.fees import fee_sql
from apps.reconciliation.cells import STORE_CELL, SUBJECT_CELL, TERMINAL_CELL

# What the portal calls a payment or refund whose bill's number it cannot take: the same for the same row, whenever it is read.
PAYMENT_NUMBER: Final = f"""
    ('{MADE_UP}' || left(md5(concat_ws('|', %(account)s::text, 'payment',
        COALESCE(NULLIF({{l}}.trade_no, ''), '#' || {{l}}.order_no))), 28))
"""
REFUND_NUMBER: Final = f"""
    ('{MADE_UP}' || left(md5(concat_ws('|', %(account)s::text, 'refund',
        COALESCE(NULLIF({{l}}.trade_no, ''), '#' || {{l}}.order_no), {{l}}.platform_refund_no, {{l}}.refund_no,
        CASE WHEN {{l}}.platform_refund_no = '' AND {{l}}.refund_no = ''
             THEN {{l}}.their || '|' || extract(epoch FROM {{l}}.at) END)), 28))
"""
# A bill names neither the wallet nor our way to pay: what is agreed for the account's own wallet, or for any.
_SHARE = fee_sql(
    amount="l.amount_minor",
    day="(l.occurred_at AT TIME ZONE 'Asia/Shanghai')::date",
    wallet="%(wallet)s",
    product="''",
)


ASKED: Final = "CREATE TEMPORARY TABLE outside_asked (line_id bigint) ON COMMIT DROP"

STAGE: Final = f"""
CREATE TEMPORARY TABLE outside_row ON COMMIT DROP AS
WITH rule AS (
    SELECT * FROM unnest(%(rule_ranks)s::int[], %(rule_values)s::text[], %(rule_books)s::boolean[],
                         %(rule_stores)s::bigint[]) AS rule (rank, value, books, store_id)
), facts AS MATERIALIZED (
    SELECT l.id AS line_id, l.row, l.kind = 'refund' AS is_refund, l.order_no, l.refund_no,
           l.platform_trade_no AS trade_no, l.platform_refund_no, l.amount_minor AS their, l.currency,
           l.occurred_at AS at, l.product AS their_product, {SUBJECT_CELL} AS subject,
           {TERMINAL_CELL} AS terminal, {STORE_CELL} AS shop,
           CASE WHEN l.kind = 'refund' THEN -l.fee_minor ELSE COALESCE(l.fee_minor, {_SHARE}) END AS fee_minor
    FROM outside_asked a
    JOIN statements_statementline l ON l.merchant_id = %(merchant)s AND l.id = a.line_id
    WHERE l.kind IN ('payment', 'refund')
)
SELECT l.*, rule.store_id, CASE WHEN l.is_refund THEN {REFUND_NUMBER.format(l="l")} ELSE {PAYMENT_NUMBER.format(l="l")} END AS key,
       (l.at AT TIME ZONE 'Asia/Shanghai' - %(day_starts_at)s::interval)::date AS day, NULL::date AS booked_date,
       NULL::bigint AS target, ''::text AS number,
       CASE
           WHEN rule.rank IS NULL THEN 'no_rule'
           WHEN NOT rule.books THEN 'left'
           WHEN l.their = 0 THEN 'amount'
           WHEN l.currency <> 'CNY' THEN 'currency'
           WHEN l.fee_minor < 0 OR l.fee_minor > l.their THEN 'fee'
           WHEN l.trade_no = '' AND l.order_no = '' THEN 'no_number'
           ELSE ''
       END AS verdict
FROM facts l
LEFT JOIN LATERAL (
    SELECT rule.* FROM rule
    WHERE CASE rule.rank WHEN 3 THEN rule.value = l.terminal WHEN 2 THEN rule.value = l.shop
                         WHEN 1 THEN rule.value = l.their_product ELSE true END
    ORDER BY rule.rank DESC LIMIT 1
) rule ON true
"""  # noqa: S608  # our own names

# The same payment or refund more than once: the first row is it, and the others will be found to be too many.
TWICE: Final = """
UPDATE outside_row o SET verdict = 'twice'
FROM (
    SELECT line_id, row_number() OVER (PARTITION BY key ORDER BY row) AS place FROM outside_row WHERE verdict = ''
) t
WHERE t.line_id = o.line_id AND t.place > 1
"""

# What is in the books already: matching links it by its number, so that only rows of an older run can be among them.
KNOWN: Final = """
UPDATE outside_row o SET verdict = 'known'
WHERE o.verdict = '' AND CASE WHEN o.is_refund
    THEN EXISTS (SELECT FROM refunds_refund r WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s
                 AND r.platform_refund_no = o.platform_refund_no AND o.platform_refund_no <> '')
      OR EXISTS (SELECT FROM refunds_refund r WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s
                 AND r.refund_no IN (o.refund_no, o.key))
    ELSE EXISTS (SELECT FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s
                 AND p.platform_trade_no = o.trade_no AND o.trade_no <> '')
      OR EXISTS (SELECT FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s
                 AND p.order_no IN (NULLIF(o.order_no, ''), o.key)
                 AND (p.source = 'portal' OR p.platform_trade_no = '' OR o.trade_no = ''
                      OR p.platform_trade_no = o.trade_no)) END
"""

# A number of one of ours at another account is no outside money: it was paid to the wrong account.
ELSEWHERE: Final = """
UPDATE outside_row o SET verdict = 'elsewhere'
WHERE o.verdict = '' AND NOT o.is_refund AND (
    EXISTS (SELECT FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.account_id <> %(account)s
            AND p.platform_trade_no = o.trade_no AND o.trade_no <> '')
    OR EXISTS (SELECT FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.account_id <> %(account)s
               AND p.source = 'portal' AND p.order_no = o.order_no AND o.order_no <> ''))
"""

# The number of whoever took it, where it fits and nothing else has it.
NUMBERS: Final = f"""
UPDATE outside_row o SET number = CASE
    WHEN o.is_refund OR o.order_no = '' OR length(o.order_no) > 32 OR o.order_no LIKE '{MADE_UP}%%' OR t.place > 1
         OR EXISTS (SELECT FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.order_no = o.order_no)
    THEN o.key ELSE o.order_no END
FROM (
    SELECT line_id, row_number() OVER (PARTITION BY is_refund, order_no ORDER BY row) AS place
    FROM outside_row WHERE verdict = ''
) t
WHERE t.line_id = o.line_id
"""  # noqa: S608  # our own names

DAYS: Final = "SELECT DISTINCT day FROM outside_row WHERE verdict = '' ORDER BY day"
BOOKED_DAYS: Final = """
UPDATE outside_row o SET booked_date = d.booked_date, verdict = CASE WHEN d.booked_date IS NULL THEN 'no_day' ELSE '' END
FROM unnest(%(days)s::date[], %(booked)s::date[]) AS d (day, booked_date)
WHERE o.day = d.day AND o.verdict = ''
"""
PAYMENTS_DECIDED: Final = """
UPDATE outside_row SET verdict = 'book' WHERE verdict = '' AND NOT is_refund
"""

# The payment that a refund belongs to: by the platform's number, then by the order number; in the books, then in the bill.
TARGETS: Final = (
    """
    UPDATE outside_row o SET target = p.id
    FROM payments_payment p
    WHERE o.verdict = '' AND p.merchant_id = %(merchant)s AND p.account_id = %(account)s
      AND p.platform_trade_no = o.trade_no AND o.trade_no <> ''
    """,
    """
    UPDATE outside_row o SET target = p.id
    FROM payments_payment p
    WHERE o.verdict = '' AND o.target IS NULL AND p.merchant_id = %(merchant)s AND p.account_id = %(account)s
      AND p.order_no = o.order_no AND o.order_no <> '' AND (o.trade_no = '' OR p.platform_trade_no = '')
    """,
    """
    UPDATE outside_row o SET target = -p.line_id
    FROM outside_row p
    WHERE o.verdict = '' AND o.target IS NULL AND p.verdict = 'book' AND NOT p.is_refund
      AND p.trade_no = o.trade_no AND o.trade_no <> ''
    """,
    """
    UPDATE outside_row o SET target = -p.line_id
    FROM (SELECT order_no, min(line_id) AS line_id FROM outside_row
          WHERE verdict = 'book' AND NOT is_refund AND order_no <> '' GROUP BY order_no) p
    WHERE o.verdict = '' AND o.target IS NULL AND o.trade_no = '' AND p.order_no = o.order_no
    """,
)
# A refund of ours that the platform may show without our number must not be booked a second time.
NO_TARGET: Final = """
UPDATE outside_row o SET verdict = CASE
    WHEN o.target IS NULL THEN 'no_payment'
    WHEN p.state <> 'succeeded' THEN 'not_paid'
    ELSE 'maybe_ours' END
FROM outside_row t LEFT JOIN payments_payment p ON p.merchant_id = %(merchant)s AND p.id = t.target
WHERE t.line_id = o.line_id AND o.verdict = '' AND (
    o.target IS NULL OR p.state <> 'succeeded' OR (o.refund_no = '' AND EXISTS (
        SELECT FROM refunds_refund r
        WHERE r.merchant_id = %(merchant)s AND r.payment_id = o.target AND r.source = 'portal'
          AND r.amount_minor = o.their AND r.state NOT IN ('rejected', 'cancelled')
          AND (r.platform_refund_no = '' OR r.state <> 'succeeded'))))
"""

REFUNDS: Final = """
CREATE TEMPORARY TABLE outside_refund ON COMMIT DROP AS
SELECT o.line_id, o.row, o.target, o.number, COALESCE(NULLIF(o.platform_refund_no, ''), o.refund_no) AS platform_refund_no,
       o.their AS amount_minor, o.fee_minor, o.currency, o.at AS refunded_at, o.booked_date, o.verdict,
       NULL::bigint AS refund_id
FROM outside_row o WHERE o.verdict = '' AND o.is_refund
"""
# What is left of each payment, read once its row is held.
LEFT_OF: Final = """
CREATE TEMPORARY TABLE outside_left ON COMMIT DROP AS
SELECT p.id AS target, p.amount_minor, p.fee_minor, p.refund_reserved_minor AS reserved_minor,
       COALESCE(sum(r.fee_minor), 0)::bigint AS fee_back_minor
FROM payments_payment p
LEFT JOIN refunds_refund r ON r.merchant_id = %(merchant)s AND r.payment_id = p.id
 AND r.state NOT IN ('failed', 'rejected', 'cancelled')
WHERE p.merchant_id = %(merchant)s AND p.id IN (SELECT target FROM outside_refund WHERE target > 0)
GROUP BY p.id
UNION ALL
SELECT -o.line_id, o.their, o.fee_minor, 0, 0 FROM outside_row o
WHERE NOT o.is_refund AND -o.line_id IN (SELECT target FROM outside_refund WHERE target < 0)
"""
WEIGHED: Final = """
UPDATE outside_row o SET verdict = r.verdict FROM outside_refund r WHERE r.line_id = o.line_id
"""

# How each wallet and way of paying is called here; "" where the bill does not tell.
PAYMENTS: Final = """
CREATE TEMPORARY TABLE outside_payment ON COMMIT DROP AS
SELECT o.line_id, o.number, o.trade_no, o.their AS amount_minor, o.fee_minor, o.currency, o.at AS paid_at, o.booked_date,
       o.store_id, o.subject, NULL::bigint AS payment_id,
       CASE WHEN %(platform)s <> 'wechatpay' THEN ''
            ELSE CASE upper(o.their_product) WHEN 'NATIVE' THEN 'dynamic_qr' WHEN 'JSAPI' THEN 'in_app'
                      WHEN 'MWEB' THEN 'browser' WHEN 'H5' THEN 'browser' WHEN 'MICROPAY' THEN 'barcode' ELSE '' END
       END AS product,
       CASE WHEN %(platform)s <> 'shouqianba' THEN %(platform)s
            WHEN o.their_product ~* '微信|wechat|weixin' THEN 'wechatpay'
            WHEN o.their_product ~* '支付宝|alipay' THEN 'alipay'
            WHEN o.their_product ~* '银联|云闪付|union' THEN 'unionpay'
            ELSE '' END AS wallet
FROM outside_row o WHERE o.verdict = 'book' AND NOT o.is_refund
"""
# Payments that another transaction booked a moment ago keep no id here: matching finds them by their number.
BOOKED_TARGETS: Final = """
UPDATE outside_refund r SET target = p.payment_id FROM outside_payment p WHERE r.target = -p.line_id
"""
UNTAKEN: Final = (
    "DELETE FROM outside_refund WHERE verdict <> 'book' OR target IS NULL OR target < 0"
)

# What another transaction booked a moment ago.
UNBOOKED: Final = """
UPDATE outside_row o SET verdict = 'known'
WHERE o.verdict = 'book'
  AND CASE WHEN o.is_refund
      THEN o.line_id NOT IN (SELECT line_id FROM outside_refund WHERE refund_id IS NOT NULL)
      ELSE o.line_id IN (SELECT line_id FROM outside_payment WHERE payment_id IS NULL) END
"""

TALLY: Final = """
SELECT verdict, is_refund, count(*), sum(their) FROM outside_row GROUP BY verdict, is_refund ORDER BY verdict, is_refund
"""
# Days whose bill has a refund of what was booked just now.
WAITING_DAYS: Final = """
SELECT DISTINCT e.id
FROM reconciliation_reconciliationrun r
JOIN reconciliation_difference d
  ON d.merchant_id = %(merchant)s AND d.run_id = r.id AND d.type = 'unknown_refund' AND d.state = 'open'
JOIN statements_statementline l ON l.merchant_id = %(merchant)s AND l.id = d.line_id
JOIN outside_payment p
  ON p.payment_id IS NOT NULL
 AND ((p.trade_no = l.platform_trade_no AND p.trade_no <> '')
      OR (l.platform_trade_no = '' AND p.number = l.order_no AND l.order_no <> ''))
JOIN statements_statementday e
  ON e.merchant_id = %(merchant)s AND e.account_id = r.account_id AND e.day = r.day AND e.kind = 'trade'
WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s AND r.is_current AND r.day <> %(day)s
"""
FORGET: Final = (
    "DROP TABLE IF EXISTS outside_asked, outside_row, outside_refund, outside_left, outside_payment"
)
