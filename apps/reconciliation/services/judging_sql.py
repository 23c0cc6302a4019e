"""The statements that say of each pair and of each row left over what it is, and of the day what it comes to.

Amounts in ``recon_verdict`` and ``recon_difference`` are signed: refunds negative, fees given back negative.
"""

from typing import Final

from apps.platforms.fees import rate_sql

# Both sides have it, with the same amount and fee, on this day; a fee that the bill does not tell is no difference.
_CLEAN = """(
    k.ours IS NOT NULL AND k.same_day AND NOT k.extra AND NOT k.other_currency AND k.their = k.our
    AND (k.their_fee IS NULL OR k.their_fee = k.our_fee)
)"""

MATCHES: Final = f"""
INSERT INTO reconciliation_match
    (merchant_id, run_id, line_id, payment_id, refund_id, rule, is_inferred, amount_minor, fee_minor)
SELECT %(merchant)s, %(run)s, k.line_id, CASE WHEN NOT k.is_refund THEN k.ours END,
       CASE WHEN k.is_refund THEN k.ours END, k.rule, k.is_inferred, k.our, k.our_fee
FROM recon_pair k WHERE {_CLEAN}
"""  # noqa: S608  # our own names

# The others.
ODD: Final = f"""
CREATE TEMPORARY TABLE recon_odd ON COMMIT DROP AS SELECT k.* FROM recon_pair k WHERE {_CLEAN} IS NOT TRUE
"""  # noqa: S608  # our own names

# What is wrong with each of them. A row of ours of another day comes from there; see TWICE and ELSEWHERE.
JUDGE: Final = """
CREATE TEMPORARY TABLE recon_verdict ON COMMIT DROP AS
SELECT k.line_id, k.row, k.is_refund, k.ours, k.rule, k.is_inferred,
       CASE WHEN k.is_refund THEN -k.their ELSE k.their END AS their, k.their_fee,
       CASE WHEN k.is_refund THEN -k.our ELSE k.our END AS our, k.our_fee,
       k.same_day AND NOT k.extra AS counted,
       COALESCE(p.state, r.state) AS our_state,
       (COALESCE(p.paid_at, r.accepted_at) AT TIME ZONE 'Asia/Shanghai'
           - make_interval(secs => %(day_starts)s))::date AS our_day,
       NULL::date AS bill_day, NULL::bigint AS elsewhere, NULL::bigint AS at_account,
       CASE
           WHEN k.ours IS NULL THEN CASE WHEN k.is_refund THEN 'unknown_refund' ELSE 'missing_here' END
           WHEN k.extra THEN 'duplicate'
           WHEN k.other_currency THEN 'currency'
           WHEN p.state <> 'succeeded' OR r.state NOT IN ('succeeded', 'processing', 'abnormal') THEN 'status'
           WHEN k.their <> k.our THEN 'amount'
           WHEN NOT k.same_day THEN 'carry_in'
           ELSE 'fee'
       END AS type
FROM recon_odd k
LEFT JOIN payments_payment p ON p.merchant_id = %(merchant)s AND p.id = k.ours AND NOT k.is_refund
LEFT JOIN refunds_refund r ON r.merchant_id = %(merchant)s AND r.id = k.ours AND k.is_refund
"""

# One that comes from another day counts once: in the bill of its own day, else in the first bill that has it.
TWICE: Final = """
UPDATE recon_verdict v SET type = 'duplicate', bill_day = other.day
FROM (
    SELECT DISTINCT ON (v.line_id) v.line_id, s.day
    FROM recon_verdict v
    JOIN statements_statementline mine ON mine.merchant_id = %(merchant)s AND mine.id = v.line_id
    CROSS JOIN LATERAL (
        SELECT l.statement_id, l.kind, l.refund_no FROM statements_statementline l
        WHERE l.merchant_id = %(merchant)s AND l.order_no = mine.order_no AND l.order_no <> ''
        UNION ALL
        SELECT l.statement_id, l.kind, l.refund_no FROM statements_statementline l
        WHERE l.merchant_id = %(merchant)s AND l.platform_trade_no = mine.platform_trade_no AND l.platform_trade_no <> ''
    ) l
    JOIN statements_statement s ON s.merchant_id = %(merchant)s AND s.id = l.statement_id
    WHERE (v.type = 'carry_in' OR (v.type = 'amount' AND NOT v.counted)) AND s.account_id = %(account)s AND s.is_current AND s.kind = 'trade'
      AND l.kind = mine.kind AND l.refund_no = mine.refund_no
      AND (s.day = v.our_day OR (s.day < %(day)s AND s.day <> v.our_day))
    ORDER BY v.line_id, s.day = v.our_day DESC, s.day
) other
WHERE v.line_id = other.line_id
"""

# A number that is not known at this account may be known at another of the merchant's.
WRONG_ACCOUNT: Final = """
UPDATE recon_verdict v SET type = 'wrong_account', elsewhere = f.id, at_account = f.account_id
FROM (
    SELECT DISTINCT ON (v.line_id) v.line_id, p.id, p.account_id
    FROM recon_verdict v
    JOIN statements_statementline l ON l.merchant_id = %(merchant)s AND l.id = v.line_id
    CROSS JOIN LATERAL (
        SELECT p.id, p.account_id FROM payments_payment p
        WHERE p.merchant_id = %(merchant)s AND p.platform_trade_no = l.platform_trade_no AND l.platform_trade_no <> ''
        UNION ALL
        SELECT p.id, p.account_id FROM payments_payment p
        WHERE p.merchant_id = %(merchant)s AND p.order_no = l.order_no AND l.order_no <> ''
    ) p
    WHERE v.type = 'missing_here' AND p.account_id <> %(account)s
    UNION ALL
    SELECT DISTINCT ON (v.line_id) v.line_id, r.id, r.account_id
    FROM recon_verdict v
    JOIN statements_statementline l ON l.merchant_id = %(merchant)s AND l.id = v.line_id
    CROSS JOIN LATERAL (
        SELECT r.id, r.account_id FROM refunds_refund r
        WHERE r.merchant_id = %(merchant)s AND r.platform_refund_no = l.platform_refund_no
          AND l.platform_refund_no <> ''
        UNION ALL
        SELECT r.id, r.account_id FROM refunds_refund r
        WHERE r.merchant_id = %(merchant)s AND r.refund_no = l.refund_no AND l.refund_no <> ''
    ) r
    WHERE v.type = 'unknown_refund' AND r.account_id <> %(account)s
) f
WHERE v.line_id = f.line_id
"""

# Where ours that this bill does not have stands instead: in another day's bill, or in another account's.
ELSEWHERE: Final = """
CREATE TEMPORARY TABLE recon_elsewhere ON COMMIT DROP AS
SELECT DISTINCT ON (o.is_refund, o.ours) o.is_refund, o.ours, s.day, s.account_id
FROM recon_open o
CROSS JOIN LATERAL (
    SELECT l.statement_id, l.kind, l.refund_no, l.platform_refund_no FROM statements_statementline l
    WHERE l.merchant_id = %(merchant)s AND l.order_no = o.order_no
    UNION ALL
    SELECT l.statement_id, l.kind, l.refund_no, l.platform_refund_no FROM statements_statementline l
    WHERE l.merchant_id = %(merchant)s AND l.platform_trade_no = o.trade_no AND o.trade_no <> ''
) l
JOIN statements_statement s ON s.merchant_id = %(merchant)s AND s.id = l.statement_id
WHERE s.is_current AND s.kind = 'trade' AND (s.account_id <> %(account)s OR s.day <> %(day)s)
  AND CASE WHEN o.is_refund
           THEN l.kind = 'refund' AND (l.refund_no = o.refund_no
                OR (l.platform_refund_no = o.platform_refund_no AND o.platform_refund_no <> ''))
           ELSE l.kind = 'payment' END
ORDER BY o.is_refund, o.ours, s.account_id = %(account)s DESC, s.day
"""

# What was linked by hand to a row of another day's bill has no number in common with it.
ELSEWHERE_BY_HAND: Final = """
INSERT INTO recon_elsewhere (is_refund, ours, day, account_id)
SELECT o.is_refund, o.ours, h.day, h.account_id
FROM recon_open o
JOIN reconciliation_resolution h
  ON h.merchant_id = %(merchant)s AND h.account_id = %(account)s AND h.kind = 'link' AND h.state = 'done'
 AND h.day <> %(day)s AND CASE WHEN o.is_refund THEN h.refund_id ELSE h.payment_id END = o.ours
WHERE NOT EXISTS (SELECT FROM recon_elsewhere e WHERE e.is_refund = o.is_refund AND e.ours = o.ours)
"""

# The rate of the agreement in force when it was paid, else the account's own. Asked for payments with a wrong fee only.
_RATE_OF_PAYMENT = rate_sql(
    amount="p.amount_minor",
    day="(p.paid_at AT TIME ZONE 'Asia/Shanghai')::date",
    wallet="COALESCE(NULLIF(p.wallet, ''), p.platform)",
    product="p.product",
)
_RATE = f"(SELECT {_RATE_OF_PAYMENT} FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.id = v.ours)"  # noqa: S608  # our own names
# The fee that the rate gives, rounded as the account's platform rounds: one fen of rounding needs nobody.
_BY_RATE = f"(abs(v.our) * {_RATE}::numeric / 1000000)"
_EXPECTED_FEE = f"""
    CASE %(rounding)s
        WHEN 'down' THEN floor({_BY_RATE})
        WHEN 'up' THEN ceil({_BY_RATE})
        WHEN 'half_even' THEN CASE WHEN {_BY_RATE} - floor({_BY_RATE}) = 0.5 THEN 2 * round({_BY_RATE} / 2)
                                   ELSE round({_BY_RATE}) END
        ELSE round({_BY_RATE})
    END
"""

# What a row adds to (bill − ours): the whole bill row where ours does not count on this day, else what differs.
DIFFERENCES: Final = f"""
CREATE TEMPORARY TABLE recon_difference ON COMMIT DROP AS
SELECT *, md5(about || '|' || row_number() OVER (PARTITION BY about ORDER BY row))::uuid AS identity FROM (
SELECT v.type,
       CASE WHEN v.type = 'carry_in' OR (v.type = 'fee' AND (
                abs(v.their_fee - v.our_fee) <= %(tolerance)s
                OR (NOT v.is_refund AND abs(v.their_fee - v.our_fee) = 1 AND v.their_fee = {_EXPECTED_FEE})))
            THEN 'explained' ELSE 'open' END AS state,
       v.line_id, CASE WHEN NOT v.is_refund THEN COALESCE(v.ours, v.elsewhere) END AS payment_id,
       CASE WHEN v.is_refund THEN COALESCE(v.ours, v.elsewhere) END AS refund_id,
       v.their, CASE WHEN v.counted THEN v.our END AS our,
       v.their_fee, CASE WHEN v.counted THEN v.our_fee END AS our_fee,
       v.their - CASE WHEN v.counted THEN v.our ELSE 0 END AS gap,
       CASE WHEN v.counted THEN v.our_fee - COALESCE(v.their_fee, v.our_fee)
            ELSE -COALESCE(v.their_fee, 0) END AS fee_gap,
       jsonb_strip_nulls(jsonb_build_object(
           'our_state', CASE v.type WHEN 'status' THEN v.our_state END,
           'bill_day', v.bill_day,
           'our_day', CASE WHEN NOT v.counted AND v.type IN ('carry_in', 'amount', 'currency') THEN v.our_day END,
           'account', v.at_account,
           'inferred', CASE WHEN v.is_inferred THEN true END,
           'rate_ppm', CASE WHEN v.type = 'fee' AND NOT v.is_refund THEN {_RATE} END,
           'rounding', CASE WHEN v.type = 'fee' AND NOT v.is_refund AND abs(v.their_fee - v.our_fee) = 1
                                 AND v.their_fee = {_EXPECTED_FEE} THEN %(rounding)s END
       )) AS detail,
       NULL::timestamptz AS due_at, v.row,
       concat_ws('|', v.is_refund, COALESCE(v.ours, v.elsewhere, 0), l.order_no, l.refund_no, l.platform_trade_no,
                 l.platform_refund_no, extract(epoch FROM l.occurred_at)) AS about
FROM recon_verdict v
JOIN statements_statementline l ON l.merchant_id = %(merchant)s AND l.id = v.line_id
UNION ALL
SELECT f.type,
       CASE WHEN f.type IN ('expected', 'carry_out') THEN 'explained' ELSE 'open' END,
       NULL, CASE WHEN NOT o.is_refund THEN o.ours END, CASE WHEN o.is_refund THEN o.ours END,
       NULL, f.our, NULL, o.our_fee, -f.our, o.our_fee,
       jsonb_strip_nulls(jsonb_build_object(
           'bill_day', e.day, 'account', CASE WHEN e.account_id <> %(account)s THEN e.account_id END)),
       CASE WHEN f.type IN ('expected', 'late') THEN %(phase_ends)s::timestamptz END, 0,
       concat_ws('|', o.is_refund, o.ours)
FROM recon_open o
LEFT JOIN recon_elsewhere e ON e.is_refund = o.is_refund AND e.ours = o.ours
CROSS JOIN LATERAL (
    SELECT CASE WHEN o.is_refund THEN -o.our ELSE o.our END AS our,
           CASE WHEN e.account_id = %(account)s THEN 'carry_out'
                WHEN e.account_id IS NOT NULL THEN 'wrong_account'
                WHEN o.at >= CASE WHEN o.is_refund THEN %(refunds_slip)s ELSE %(payments_slip)s END
                THEN %(phase)s ELSE 'missing_there' END AS type
) f
) each
"""  # noqa: S608  # our own names

# What was booked for something that is there no more: it is in the books for nothing, and says so until it is taken back.
OVERBOOKED: Final = """
INSERT INTO recon_difference (type, state, payment_id, refund_id, gap, fee_gap, detail, row, identity)
SELECT 'overbooked', 'open', e.payment_id, e.refund_id, 0, 0, '{}', 0, b.identity
FROM (
    SELECT identity, max(difference_id) AS difference_id FROM reconciliation_resolution
    WHERE merchant_id = %(merchant)s AND account_id = %(account)s AND day = %(day)s AND state IN ('done', 'superseded')
    GROUP BY identity HAVING sum(booked_minor) <> 0
) b
LEFT JOIN reconciliation_difference e ON e.merchant_id = %(merchant)s AND e.id = b.difference_id
WHERE NOT EXISTS (SELECT FROM recon_difference d WHERE d.identity = b.identity)
"""

# Kept with a difference for as long as it is about the same thing: when it was first seen, whose it is, and what bookings took
# over; and what settled it, while it is of the same type and size.
STORE: Final = """
INSERT INTO reconciliation_difference
    (merchant_id, run_id, type, state, line_id, payment_id, refund_id, their_minor, our_minor, their_fee_minor, our_fee_minor,
     gap_minor, net_gap_minor, detail, due_at, identity, first_seen_at, assigned_to_id, resolution_id, adjusted_minor)
SELECT %(merchant)s, %(run)s, d.type,
       CASE WHEN same.kept AND r.state = 'waiting' THEN 'waiting' WHEN same.kept THEN 'resolved'
            WHEN b.booked IS NOT NULL THEN 'open' ELSE d.state END,
       d.line_id, d.payment_id, d.refund_id, d.their, d.our, d.their_fee, d.our_fee, d.gap, d.gap + d.fee_gap, d.detail,
       d.due_at, d.identity, COALESCE(e.first_seen_at, %(now)s), e.assigned_to_id, CASE WHEN same.kept THEN r.id END,
       COALESCE(b.booked, 0)
FROM recon_difference d
LEFT JOIN reconciliation_difference e
       ON e.merchant_id = %(merchant)s AND e.run_id = %(earlier)s AND e.identity = d.identity
LEFT JOIN reconciliation_resolution r
       ON r.merchant_id = %(merchant)s AND r.account_id = %(account)s AND r.day = %(day)s AND r.identity = d.identity
      AND r.kind IN ('accept', 'keep', 'adjust', 'link', 'write_off') AND r.state IN ('waiting', 'done')
LEFT JOIN (
    SELECT identity, sum(booked_minor) AS booked FROM reconciliation_resolution
    WHERE merchant_id = %(merchant)s AND account_id = %(account)s AND day = %(day)s AND state IN ('done', 'superseded')
    GROUP BY identity HAVING sum(booked_minor) <> 0
) b ON b.identity = d.identity
CROSS JOIN LATERAL (
    SELECT r.id IS NOT NULL AND r.type = d.type AND r.gap_minor = d.gap AND r.net_gap_minor = d.gap + d.fee_gap
           AND r.their_minor IS NOT DISTINCT FROM d.their AND r.our_minor IS NOT DISTINCT FROM d.our AS kept
) same
ORDER BY d.row = 0, d.row, d.payment_id, d.refund_id
"""

# Days whose current run says something that is no longer so, now that this bill is known: they are matched again.
NEIGHBOURS: Final = """
SELECT DISTINCT e.id
FROM reconciliation_reconciliationrun r
JOIN reconciliation_difference d ON d.merchant_id = %(merchant)s AND d.run_id = r.id
 AND (d.type IN ('expected', 'late', 'missing_there', 'carry_in', 'carry_out', 'duplicate', 'wrong_account')
      OR (d.type = 'amount' AND d.our_minor IS NULL))
JOIN statements_statementday e
  ON e.merchant_id = %(merchant)s AND e.account_id = r.account_id AND e.day = r.day AND e.kind = 'trade'
LEFT JOIN recon_pair k
  ON k.ours = COALESCE(d.payment_id, d.refund_id) AND k.is_refund = (d.refund_id IS NOT NULL) AND k.share = 1
LEFT JOIN recon_verdict v
  ON v.elsewhere = COALESCE(d.payment_id, d.refund_id) AND v.is_refund = (d.refund_id IS NOT NULL)
WHERE r.merchant_id = %(merchant)s AND r.is_current AND r.id <> %(run)s
  AND r.day BETWEEN %(day)s::date - 31 AND %(day)s::date + 31
  AND CASE WHEN r.account_id = %(account)s THEN CASE d.type
          WHEN 'expected' THEN k.ours IS NOT NULL OR (r.day = %(day)s::date - 1)
          WHEN 'late' THEN k.ours IS NOT NULL OR (r.day = %(day)s::date - 1 AND d.due_at IS NULL)
          WHEN 'missing_there' THEN k.ours IS NOT NULL
          WHEN 'carry_out' THEN k.ours IS NULL AND d.detail ->> 'bill_day' = %(day)s::date::text
          WHEN 'amount' THEN k.ours IS NOT NULL
               AND (d.detail ->> 'our_day' = %(day)s::date::text OR %(day)s::date < r.day)
          WHEN 'carry_in' THEN k.ours IS NOT NULL
               AND (d.detail ->> 'our_day' = %(day)s::date::text OR %(day)s::date < r.day)
          WHEN 'duplicate' THEN k.ours IS NULL AND d.detail ->> 'bill_day' = %(day)s::date::text
          ELSE false END
      ELSE CASE d.type
          WHEN 'wrong_account' THEN d.line_id IS NULL AND v.elsewhere IS NULL
               AND (d.detail ->> 'account')::bigint = %(account)s AND d.detail ->> 'bill_day' = %(day)s::date::text
          ELSE d.line_id IS NULL AND v.elsewhere IS NOT NULL AND d.type IN ('expected', 'late', 'missing_there') END
      END
"""

SUMS: Final = f"""
SELECT theirs.rows, theirs.outside, theirs.matched_payments, theirs.matched_refunds, theirs.net, theirs.fees, theirs.untold,
       ours.sales, ours.refunds, ours.fees,
       differences.count, differences.lines, differences.due_at
FROM (
    SELECT count(*) FILTER (WHERE k.share = 1) AS rows,
           count(*) FILTER (WHERE k.share = 1 AND k.is_outside AND {_CLEAN}) AS outside,
           COALESCE(sum(k.their) FILTER (WHERE {_CLEAN} AND NOT k.is_refund), 0) AS matched_payments,
           COALESCE(sum(k.their) FILTER (WHERE {_CLEAN} AND k.is_refund), 0) AS matched_refunds,
           COALESCE(sum(CASE WHEN k.is_refund THEN -k.their ELSE k.their END), 0) AS net,
           COALESCE(sum(k.their_fee), 0) AS fees,
           COALESCE(sum(k.our_fee) FILTER (WHERE k.their_fee IS NULL AND k.same_day AND NOT k.extra), 0) AS untold
    FROM recon_pair k
) theirs, (
    SELECT COALESCE(sum(amount) FILTER (WHERE amount > 0), 0) AS sales,
           -COALESCE(sum(amount) FILTER (WHERE amount < 0), 0) AS refunds, COALESCE(sum(fee), 0) AS fees
    FROM (
        SELECT sum(p.amount_minor) AS amount, sum(p.fee_minor) AS fee FROM payments_payment p
        WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s AND p.state = 'succeeded'
          AND p.booked_date >= %(booked_from)s AND p.paid_at >= %(from)s AND p.paid_at < %(until)s
        UNION ALL
        SELECT -sum(r.amount_minor), -sum(r.fee_minor) FROM refunds_refund r
        WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s
          AND r.state IN ('succeeded', 'processing', 'abnormal')
          AND (r.booked_date IS NULL OR r.booked_date >= %(booked_from)s)
          AND r.accepted_at >= %(from)s AND r.accepted_at < %(until)s
    ) each
) ours, (
    SELECT count(*) AS count, count(DISTINCT line_id) AS lines, min(due_at) AS due_at FROM recon_difference
) differences
"""  # noqa: S608  # our own names
