"""The statements of one matching, in the order in which they run, all within one transaction."""

# Each bill row with the payment or refund of ours that it is: by our number first, then by the platform's. Where several
# rows are the same one of ours, the row that fits best counts first. Console exports may give a refund no number at all but
# its payment's: such a row is the refund of that payment with its amount, the first such row the first such refund.
LINK = """
CREATE TEMPORARY TABLE recon_link ON COMMIT DROP AS
WITH bare AS (
    SELECT l.id AS line_id, l.order_no, l.amount_minor,
           row_number() OVER (PARTITION BY l.order_no, l.amount_minor ORDER BY l.occurred_at, l.row) AS place
    FROM statements_statementline l
    WHERE l.merchant_id = %(merchant)s AND l.statement_id = %(statement)s AND l.kind = 'refund'
      AND l.refund_no = '' AND l.platform_refund_no = '' AND l.order_no <> ''
), given AS (
    SELECT r.id, p.order_no, r.amount_minor,
           row_number() OVER (PARTITION BY r.payment_id, r.amount_minor ORDER BY r.accepted_at, r.id) AS place
    FROM refunds_refund r
    JOIN payments_payment p ON p.merchant_id = r.merchant_id AND p.id = r.payment_id
    WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s
      AND r.accepted_at >= %(from)s AND r.accepted_at < %(until)s
      AND EXISTS (SELECT 1 FROM bare)
), linked AS (
    SELECT l.id AS line_id, l.row, l.kind, l.amount_minor, l.fee_minor, l.currency,
           COALESCE(p1.id, p2.id) AS payment_id, NULL::bigint AS refund_id,
           CASE WHEN p1.id IS NOT NULL THEN 'our_number'
                WHEN p2.id IS NOT NULL THEN 'their_number' END AS rule,
           l.amount_minor <> COALESCE(p1.amount_minor, p2.amount_minor) AS differs
    FROM statements_statementline l
    LEFT JOIN payments_payment p1
           ON p1.merchant_id = l.merchant_id AND p1.order_no = l.order_no
          AND p1.account_id = %(account)s AND l.order_no <> ''
    LEFT JOIN payments_payment p2
           ON p1.id IS NULL AND p2.merchant_id = l.merchant_id AND p2.account_id = %(account)s
          AND p2.platform_trade_no = l.platform_trade_no AND l.platform_trade_no <> ''
    WHERE l.merchant_id = %(merchant)s AND l.statement_id = %(statement)s AND l.kind = 'payment'
    UNION ALL
    SELECT l.id, l.row, l.kind, l.amount_minor, l.fee_minor, l.currency, NULL,
           COALESCE(r1.id, r2.id, r3.id),
           CASE WHEN r1.id IS NOT NULL THEN 'our_number'
                WHEN r2.id IS NOT NULL THEN 'their_number'
                WHEN r3.id IS NOT NULL THEN 'payment_amount' END,
           l.amount_minor <> COALESCE(r1.amount_minor, r2.amount_minor, r3.amount_minor)
    FROM statements_statementline l
    LEFT JOIN refunds_refund r1
           ON r1.merchant_id = l.merchant_id AND r1.refund_no = l.refund_no
          AND r1.account_id = %(account)s AND l.refund_no <> ''
    LEFT JOIN LATERAL (
        SELECT r.id, r.amount_minor FROM refunds_refund r
        WHERE r1.id IS NULL AND r.merchant_id = l.merchant_id AND r.account_id = %(account)s
          AND r.platform_refund_no = l.platform_refund_no AND l.platform_refund_no <> ''
        ORDER BY r.id LIMIT 1
    ) r2 ON true
    LEFT JOIN bare b ON b.line_id = l.id
    LEFT JOIN given r3
           ON r3.order_no = b.order_no AND r3.amount_minor = b.amount_minor AND r3.place = b.place
    WHERE l.merchant_id = %(merchant)s AND l.statement_id = %(statement)s AND l.kind = 'refund'
)
SELECT linked.*,
       CASE WHEN payment_id IS NULL AND refund_id IS NULL THEN 1
            ELSE row_number() OVER (
                PARTITION BY kind, payment_id, refund_id ORDER BY rule = 'our_number' DESC, differs, row
            ) END AS nth
FROM linked
"""

# Our rows of the platform's day: succeeded payments by paid_at, refunds the platform accepted by accepted_at.
OURS = """
CREATE TEMPORARY TABLE recon_ours ON COMMIT DROP AS
SELECT 'payment'::text AS kind, p.id AS key, p.id AS payment_id, NULL::bigint AS refund_id, p.order_no AS number,
       p.order_no, p.amount_minor, p.amount_minor AS signed_minor
FROM payments_payment p
WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s AND p.state = 'succeeded'
  AND p.paid_at >= %(from)s AND p.paid_at < %(until)s
UNION ALL
SELECT 'refund', r.id, NULL, r.id, r.refund_no, p.order_no, r.amount_minor, -r.amount_minor
FROM refunds_refund r
JOIN payments_payment p ON p.merchant_id = r.merchant_id AND p.id = r.payment_id
WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s
  AND r.state IN ('succeeded', 'processing', 'abnormal')
  AND r.accepted_at >= %(from)s AND r.accepted_at < %(until)s
"""

# One row for every bill row, with what is wrong with it (if anything) and what that adds to the gap.
JUDGE = """
CREATE TEMPORARY TABLE recon_verdict ON COMMIT DROP AS
SELECT k.line_id, k.kind, k.payment_id, k.refund_id, k.rule, k.fee_minor AS their_fee,
       COALESCE(p.fee_minor, -r.fee_minor) AS our_fee,
       CASE k.kind WHEN 'payment' THEN k.amount_minor ELSE -k.amount_minor END AS their_minor,
       CASE k.kind WHEN 'payment' THEN p.amount_minor ELSE -r.amount_minor END AS our_minor,
       (o.number IS NOT NULL) AS same_day, NULL::date AS bill_day,
       COALESCE(p.state, r.state) AS our_state,
       (COALESCE(p.paid_at, r.accepted_at) AT TIME ZONE 'Asia/Shanghai'
           - make_interval(secs => %(day_starts)s))::date AS our_day,
       CASE
           WHEN k.payment_id IS NULL AND k.kind = 'payment' THEN 'missing_here'
           WHEN k.refund_id IS NULL AND k.kind = 'refund' THEN 'unknown_refund'
           WHEN k.nth > 1 THEN 'duplicate'
           WHEN k.currency <> COALESCE(p.currency, r.currency) THEN 'currency'
           WHEN k.kind = 'payment' AND p.state <> 'succeeded' THEN 'status'
           WHEN k.kind = 'refund' AND r.state NOT IN ('succeeded', 'processing', 'abnormal') THEN 'status'
           WHEN k.amount_minor <> COALESCE(p.amount_minor, r.amount_minor) THEN 'amount'
           WHEN o.number IS NULL THEN 'late'
       END AS type
FROM recon_link k
LEFT JOIN payments_payment p ON p.merchant_id = %(merchant)s AND p.id = k.payment_id
LEFT JOIN refunds_refund r ON r.merchant_id = %(merchant)s AND r.id = k.refund_id
LEFT JOIN recon_ours o ON o.kind = k.kind AND o.key = COALESCE(k.payment_id, k.refund_id)
"""

# A row of ours of another day is late here, unless the bill of its own day has it as well: then it is billed twice.
TWICE = """
UPDATE recon_verdict v SET type = 'duplicate', bill_day = v.our_day
WHERE v.type = 'late' AND EXISTS (
    SELECT 1 FROM statements_statementline l
    JOIN statements_statementline mine ON mine.id = v.line_id AND mine.merchant_id = %(merchant)s
    JOIN statements_statement s ON s.id = l.statement_id AND s.merchant_id = l.merchant_id
    WHERE l.merchant_id = %(merchant)s AND s.account_id = %(account)s AND s.is_current AND s.kind = 'trade'
      AND s.day = v.our_day AND l.kind = mine.kind AND l.order_no = mine.order_no
      AND l.refund_no = mine.refund_no
)
"""

MATCHES = """
INSERT INTO reconciliation_match (merchant_id, run_id, line_id, payment_id, refund_id, rule)
SELECT %(merchant)s, %(run)s, line_id, payment_id, refund_id, rule
FROM recon_verdict WHERE rule IS NOT NULL AND (type IS NULL OR type IN ('amount', 'status', 'currency', 'late'))
"""

# What a row adds to (bill − ours): the whole bill row where ours does not count that day, else the difference.
BILL_DIFFERENCES = """
INSERT INTO reconciliation_difference
    (merchant_id, run_id, type, state, line_id, payment_id, refund_id, their_minor, our_minor, gap_minor, detail, note)
SELECT %(merchant)s, %(run)s, type, CASE type WHEN 'late' THEN 'explained' ELSE 'open' END,
       line_id, payment_id, refund_id, their_minor,
       CASE WHEN same_day AND type <> 'duplicate' THEN our_minor END,
       their_minor - CASE WHEN same_day AND type <> 'duplicate' THEN our_minor ELSE 0 END,
       jsonb_strip_nulls(jsonb_build_object(
           'our_state', our_state, 'bill_day', bill_day, 'our_day', CASE type WHEN 'late' THEN our_day END
       )), ''
FROM recon_verdict WHERE type IS NOT NULL
"""

FEE_DIFFERENCES = """
INSERT INTO reconciliation_difference
    (merchant_id, run_id, type, state, line_id, payment_id, refund_id, their_minor, our_minor, gap_minor, detail, note)
SELECT %(merchant)s, %(run)s, 'fee', 'open', line_id, payment_id, refund_id, their_fee, our_fee, 0, '{}', ''
FROM recon_verdict WHERE type IS NULL AND their_fee <> our_fee
"""

# Ours of the day that no row of this bill is: expected in a neighbouring day's bill if one has it, else missing.
OUR_DIFFERENCES = """
INSERT INTO reconciliation_difference
    (merchant_id, run_id, type, state, line_id, payment_id, refund_id, their_minor, our_minor, gap_minor, detail, note)
SELECT %(merchant)s, %(run)s, CASE WHEN elsewhere.day IS NULL THEN 'missing_there' ELSE 'late' END,
       CASE WHEN elsewhere.day IS NULL THEN 'open' ELSE 'explained' END,
       NULL, o.payment_id, o.refund_id, NULL, o.signed_minor, -o.signed_minor,
       CASE WHEN elsewhere.day IS NULL THEN '{}'::jsonb
            ELSE jsonb_build_object('bill_day', elsewhere.day) END, ''
FROM recon_ours o
LEFT JOIN LATERAL (
    SELECT s.day FROM statements_statementline l
    JOIN statements_statement s ON s.id = l.statement_id AND s.merchant_id = l.merchant_id
    WHERE l.merchant_id = %(merchant)s AND s.account_id = %(account)s AND s.is_current
      AND s.kind = 'trade' AND s.day <> %(day)s AND l.kind = o.kind AND l.order_no = o.order_no
      AND (o.kind = 'payment' OR l.refund_no = o.number)
    ORDER BY s.day LIMIT 1
) elsewhere ON true
WHERE NOT EXISTS (
    SELECT 1 FROM recon_verdict v
    WHERE v.kind = o.kind AND COALESCE(v.payment_id, v.refund_id) = o.key
)
"""

# What a person said of a difference holds for the same difference of the next run.
CARRY_OVER = """
UPDATE reconciliation_difference d
SET state = earlier.state, note = earlier.note, resolved_by_id = earlier.resolved_by_id, resolved_at = earlier.resolved_at
FROM reconciliation_difference earlier
LEFT JOIN statements_statementline old ON old.merchant_id = %(merchant)s AND old.id = earlier.line_id
WHERE d.merchant_id = %(merchant)s AND d.run_id = %(run)s
  AND earlier.merchant_id = %(merchant)s AND earlier.run_id = %(earlier)s AND earlier.state = 'resolved'
  AND d.type = earlier.type AND d.gap_minor = earlier.gap_minor
  AND d.their_minor IS NOT DISTINCT FROM earlier.their_minor
  AND d.our_minor IS NOT DISTINCT FROM earlier.our_minor
  AND d.payment_id IS NOT DISTINCT FROM earlier.payment_id
  AND d.refund_id IS NOT DISTINCT FROM earlier.refund_id
  AND (d.line_id IS NOT DISTINCT FROM earlier.line_id OR EXISTS (
      SELECT 1 FROM statements_statementline l
      WHERE l.merchant_id = %(merchant)s AND l.id = d.line_id AND l.statement_id <> old.statement_id
        AND (l.order_no, l.refund_no, l.platform_trade_no, l.platform_refund_no, l.occurred_at)
          = (old.order_no, old.refund_no, old.platform_trade_no, old.platform_refund_no, old.occurred_at)
  ))
"""

# Days whose current run misses in its bill what this bill has: they are matched again, since now it is known where it is.
NEIGHBOURS = """
SELECT DISTINCT e.id
FROM recon_verdict v
JOIN reconciliation_difference d
  ON d.merchant_id = %(merchant)s AND d.type = 'missing_there'
 AND (d.payment_id = v.payment_id OR d.refund_id = v.refund_id)
JOIN reconciliation_reconciliationrun r
  ON r.merchant_id = %(merchant)s AND r.id = d.run_id AND r.is_current AND r.account_id = %(account)s
JOIN statements_statementday e
  ON e.merchant_id = %(merchant)s AND e.account_id = r.account_id AND e.day = r.day AND e.kind = 'trade'
WHERE v.type = 'late'
"""

SUMS = """
SELECT
    (SELECT count(*) FROM recon_verdict WHERE type IS NULL),
    (SELECT COALESCE(sum(their_minor), 0) FROM recon_verdict WHERE type IS NULL AND kind = 'payment'),
    (SELECT COALESCE(-sum(their_minor), 0) FROM recon_verdict WHERE type IS NULL AND kind = 'refund'),
    (SELECT COALESCE(sum(their_minor), 0) FROM recon_verdict),
    (SELECT COALESCE(sum(signed_minor), 0) FROM recon_ours),
    (SELECT count(*) FROM reconciliation_difference WHERE merchant_id = %(merchant)s AND run_id = %(run)s)
"""
