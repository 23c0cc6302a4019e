"""The statements that find what belongs together, in the order in which they run, all within one transaction.

``recon_pair`` has one row for each bill row, or several where it is several of ours: each with its share of the amount and the
fee. ``share`` counts them. ``same_day``: ours counts on this day. ``extra``: another row of the bill is this one already.
"""

from typing import Final

from apps.reconciliation.services.outside_sql import PAYMENT_NUMBER, REFUND_NUMBER

_FACTS = """
    {line}.currency <> {ours}.currency AS other_currency, {ours}.amount_minor AS our, {fee} AS our_fee,
    {ours}.state IN ({done}) AND {at} >= %(from)s AND {at} < %(until)s AS same_day,
    {ours}.source = 'platform' AS is_outside
"""
_PAYMENT = _FACTS.format(
    line="l", ours="p", fee="p.fee_minor", done="'succeeded'", at="p.paid_at"
).strip()
_REFUND = _FACTS.format(
    line="l",
    ours="r",
    fee="-r.fee_minor",
    done="'succeeded', 'processing', 'abnormal'",
    at="r.accepted_at",
).strip()

# By the platform's number. Payments first among those booked about that day, which are nearly all: the index of booked days
# spares reading the account's history.
LINK: Final = f"""
CREATE TEMPORARY TABLE recon_pair ON COMMIT DROP AS
SELECT l.id AS line_id, l.row, false AS is_refund, 1::smallint AS share, p.id AS ours, l.amount_minor AS their,
       l.fee_minor AS their_fee, {_PAYMENT}, 'their_number'::text AS rule, false AS is_inferred, false AS extra
FROM statements_statementline l
LEFT JOIN payments_payment p
       ON p.merchant_id = %(merchant)s AND p.account_id = %(account)s
      AND p.booked_date >= %(booked_from)s AND p.booked_date < %(booked_until)s
      AND p.platform_trade_no = l.platform_trade_no AND p.platform_trade_no <> ''
WHERE l.merchant_id = %(merchant)s AND l.statement_id = %(statement)s AND l.kind = 'payment'
UNION ALL
SELECT l.id, l.row, true, 1::smallint, r.id, l.amount_minor, l.fee_minor, {_REFUND}, 'their_number', false, false
FROM statements_statementline l
LEFT JOIN LATERAL (
    SELECT r.* FROM refunds_refund r
    WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s AND l.platform_refund_no <> ''
      AND r.platform_refund_no = l.platform_refund_no
    ORDER BY r.refund_no = l.refund_no DESC, r.id LIMIT 1
) r ON true
WHERE l.merchant_id = %(merchant)s AND l.statement_id = %(statement)s AND l.kind = 'refund'
"""  # noqa: S608  # our own names

# Bill rows that are nothing of ours so far, with what they can be found by.
LOOSE: Final = """
CREATE TEMPORARY TABLE recon_loose ON COMMIT DROP AS
SELECT k.line_id, k.row, k.is_refund, k.their, l.order_no, l.refund_no, l.platform_trade_no AS trade_no,
       l.platform_refund_no, l.currency, l.occurred_at AS at
FROM recon_pair k
JOIN statements_statementline l ON l.merchant_id = %(merchant)s AND l.id = k.line_id
WHERE k.ours IS NULL
"""

# By the platform's number in all of the account's history, then by ours, then by the number that the portal made for what began
# at the platform; whoever took that may use a number again, as long as the platform's differs. The numbers are made beforehand
# (OFFSET 0): row-level security lets no index be asked for what a function makes of other columns.
LINK_REST: Final = f"""
UPDATE recon_pair k
SET ours = f.id, other_currency = f.other_currency, our = f.our, our_fee = f.our_fee, same_day = f.same_day,
    is_outside = f.is_outside, rule = f.rule
FROM (
    SELECT l.line_id, f.*
    FROM (SELECT l.*, {PAYMENT_NUMBER.format(l="l")} AS made_no FROM recon_loose l WHERE NOT l.is_refund OFFSET 0) l
    CROSS JOIN LATERAL (
        SELECT * FROM (
            SELECT p.id, {_PAYMENT}, 'their_number' AS rule
            FROM payments_payment p
            WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s AND p.platform_trade_no <> ''
              AND p.platform_trade_no = l.trade_no
            UNION ALL
            SELECT p.id, {_PAYMENT}, 'our_number'
            FROM payments_payment p
            WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s AND l.order_no <> ''
              AND p.order_no = l.order_no
              AND (p.source = 'portal' OR p.platform_trade_no = '' OR l.trade_no = '' OR p.platform_trade_no = l.trade_no)
            UNION ALL
            SELECT p.id, {_PAYMENT}, 'our_number'
            FROM payments_payment p
            WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s AND l.trade_no = ''
              AND p.order_no = l.made_no
        ) either
        ORDER BY either.rule = 'their_number' DESC LIMIT 1
    ) f
    UNION ALL
    SELECT l.line_id, f.*
    FROM (SELECT l.*, {REFUND_NUMBER.format(l="l")} AS made_no FROM recon_loose l WHERE l.is_refund OFFSET 0) l
    CROSS JOIN LATERAL (
        SELECT r.id, {_REFUND}, 'our_number' AS rule
        FROM refunds_refund r
        WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s
          AND r.refund_no IN (l.refund_no, l.made_no) AND r.refund_no <> ''
        ORDER BY r.source DESC LIMIT 1
    ) f
) f
WHERE k.line_id = f.line_id
"""  # noqa: S608  # our own names
# Rows left over for which no correction is booked or waits. They are known as ``judging_sql.DIFFERENCES`` knows them.
FREE: Final = """
CREATE TEMPORARY TABLE recon_free ON COMMIT DROP AS
SELECT l.line_id
FROM (
    SELECT line_id, md5(about || '|' || row_number() OVER (PARTITION BY about ORDER BY row))::uuid AS identity
    FROM (
        SELECT line_id, row, concat_ws('|', is_refund, 0, order_no, refund_no, trade_no, platform_refund_no,
                                       extract(epoch FROM at)) AS about
        FROM recon_loose
    ) each
) l
WHERE NOT EXISTS (
    SELECT FROM reconciliation_resolution r
    WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s AND r.day = %(day)s AND r.identity = l.identity
      AND (r.state = 'waiting' OR (r.state IN ('done', 'superseded') AND r.booked_minor <> 0))
)
"""
# What was booked as outside money a moment ago, row for row, see ``services.outside``.
LINK_BOOKED: Final = """
UPDATE recon_pair k
SET ours = b.id, other_currency = false, our = b.our, our_fee = b.our_fee,
    same_day = b.at >= %(from)s AND b.at < %(until)s, is_outside = true, rule = b.rule
FROM (
    SELECT line_id, payment_id AS id, amount_minor AS our, fee_minor AS our_fee, paid_at AS at,
           CASE WHEN trade_no = '' THEN 'our_number' ELSE 'their_number' END AS rule
    FROM outside_payment WHERE payment_id IS NOT NULL
    UNION ALL
    SELECT line_id, refund_id, amount_minor, -fee_minor, refunded_at,
           CASE WHEN platform_refund_no = '' THEN 'our_number' ELSE 'their_number' END
    FROM outside_refund WHERE refund_id IS NOT NULL
) b
WHERE k.line_id = b.line_id
"""
LINKED: Final = """
DELETE FROM recon_loose l USING recon_pair k WHERE k.line_id = l.line_id AND k.ours IS NOT NULL
"""

# What somebody linked by hand, where no number says otherwise. A bill row is known by its numbers and its time, in any version.
BY_HAND: Final = f"""
UPDATE recon_pair k
SET ours = f.id, other_currency = f.other_currency, our = f.our, our_fee = f.our_fee, same_day = f.same_day, rule = 'hand'
FROM (
    WITH linked AS (
        SELECT l.line_id, l.is_refund, l.currency, h.payment_id, h.refund_id
        FROM recon_loose l
        JOIN reconciliation_resolution h
          ON h.merchant_id = %(merchant)s AND h.account_id = %(account)s AND h.kind = 'link' AND h.state = 'done'
         AND h.line_key = md5(concat_ws('|', l.is_refund, l.order_no, l.refund_no, l.trade_no, l.platform_refund_no,
                                        floor(extract(epoch FROM l.at))::bigint))::uuid
    )
    SELECT l.line_id, p.id, {_PAYMENT}
    FROM linked l JOIN payments_payment p ON p.merchant_id = %(merchant)s AND p.id = l.payment_id
    WHERE NOT l.is_refund
    UNION ALL
    SELECT l.line_id, r.id, {_REFUND}
    FROM linked l JOIN refunds_refund r ON r.merchant_id = %(merchant)s AND r.id = l.refund_id
    WHERE l.is_refund
) f
WHERE k.line_id = f.line_id
"""  # noqa: S608  # our own names

# Ours of the platform's day that no row is yet: payments by paid_at, refunds by accepted_at. Nothing is booked before the
# business day on which it happened, and business days begin at most a day after the platform's.
OPEN: Final = """
CREATE TEMPORARY TABLE recon_open ON COMMIT DROP AS
SELECT false AS is_refund, p.id AS ours, p.id AS payment_id, p.order_id, p.amount_minor AS our, p.fee_minor AS our_fee,
       p.currency, p.paid_at AS at, p.order_no, ''::text AS refund_no, p.platform_trade_no AS trade_no,
       ''::text AS platform_refund_no, p.source = 'platform' AS is_outside
FROM payments_payment p
WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s AND p.state = 'succeeded'
  AND p.booked_date >= %(booked_from)s AND p.paid_at >= %(from)s AND p.paid_at < %(until)s
  AND NOT EXISTS (SELECT 1 FROM recon_pair k WHERE k.ours = p.id AND NOT k.is_refund)
UNION ALL
SELECT true, r.id, r.payment_id, p.order_id, r.amount_minor, -r.fee_minor, r.currency, r.accepted_at, p.order_no,
       r.refund_no, p.platform_trade_no, r.platform_refund_no, r.source = 'platform'
FROM refunds_refund r
JOIN payments_payment p ON p.merchant_id = %(merchant)s AND p.id = r.payment_id
WHERE r.merchant_id = %(merchant)s AND r.account_id = %(account)s
  AND r.state IN ('succeeded', 'processing', 'abnormal')
  AND (r.booked_date IS NULL OR r.booked_date >= %(booked_from)s)
  AND r.accepted_at >= %(from)s AND r.accepted_at < %(until)s
  AND NOT EXISTS (SELECT 1 FROM recon_pair k WHERE k.ours = r.id AND k.is_refund)
"""

# Console exports may give a refund no number at all but its payment's.
_BARE = """
    SELECT l.line_id, l.row, l.their, p.id AS payment_id
    FROM recon_loose l
    CROSS JOIN LATERAL (
        SELECT p.id FROM payments_payment p
        WHERE p.merchant_id = %(merchant)s AND p.account_id = %(account)s AND p.order_no = l.order_no
        LIMIT 1
    ) p
    WHERE l.is_refund AND l.refund_no = '' AND l.platform_refund_no = '' AND l.order_no <> ''
"""

# Such a row is the refund of that payment with its amount, the first such row the first such refund.
BARE_REFUNDS: Final = f"""
CREATE TEMPORARY TABLE recon_found ON COMMIT DROP AS
WITH bare AS ({_BARE}), their AS (
    SELECT line_id, payment_id, their,
           row_number() OVER (PARTITION BY payment_id, their ORDER BY row) AS place
    FROM bare
), ours AS (
    SELECT ours, payment_id, our, row_number() OVER (PARTITION BY payment_id, our ORDER BY at, ours) AS place
    FROM recon_open WHERE is_refund
)
SELECT t.line_id, o.ours, true AS is_refund, 'payment_amount'::text AS rule, false AS is_inferred
FROM their t JOIN ours o ON o.payment_id = t.payment_id AND o.our = t.their AND o.place = t.place
"""  # noqa: S608  # our own names

# What is left of one payment may be one refund in several rows, or several in one, where all of it adds up.
REFUND_SUMS: Final = f"""
INSERT INTO recon_found (line_id, ours, is_refund, rule, is_inferred)
WITH bare AS ({_BARE}), sums AS (
    SELECT t.payment_id
    FROM (SELECT payment_id, count(*) AS rows, sum(their) AS total FROM bare GROUP BY payment_id) t
    JOIN (SELECT payment_id, count(*) AS rows, sum(our) AS total FROM recon_open WHERE is_refund GROUP BY payment_id) o
      ON o.payment_id = t.payment_id AND o.total = t.total AND LEAST(o.rows, t.rows) = 1
)
SELECT b.line_id, o.ours, true, 'payment_sum', true
FROM sums s JOIN bare b ON b.payment_id = s.payment_id
JOIN recon_open o ON o.is_refund AND o.payment_id = s.payment_id
"""  # noqa: S608  # our own names

# The last resort, where the account allows it: the same amount within so many minutes. On each side a row stands alone, or
# with those that share its number (theirs) or its order or payment (ours). Whatever has more than one candidate stays open.
FALLBACK: Final = """
INSERT INTO recon_found (line_id, ours, is_refund, rule, is_inferred)
WITH lines AS (
    SELECT line_id, is_refund, their, currency, at,
           COALESCE(NULLIF(platform_refund_no, ''), NULLIF(refund_no, ''), NULLIF(trade_no, ''),
                    NULLIF(order_no, '')) AS key
    FROM recon_loose
), their AS (
    SELECT ARRAY[line_id] AS members, is_refund, their AS total, currency, at AS first, at AS last FROM lines
    UNION ALL
    SELECT array_agg(line_id), is_refund, sum(their), currency, min(at), max(at) FROM lines
    WHERE key IS NOT NULL GROUP BY is_refund, currency, key HAVING count(*) > 1
), ours AS (
    SELECT ARRAY[ours] AS members, is_refund, our AS total, currency, at AS first, at AS last FROM recon_open
    UNION ALL
    SELECT array_agg(ours), is_refund, sum(our), currency, min(at), max(at) FROM recon_open
    GROUP BY is_refund, currency, CASE WHEN is_refund THEN payment_id ELSE order_id END HAVING count(*) > 1
), their_times AS (
    -- Buckets of the window's length, each row in its own and both neighbours, make the join one of equal values.
    SELECT their.*, floor(extract(epoch FROM first) / %(seconds)s) + step AS bucket
    FROM their CROSS JOIN generate_series(-1, 1) AS step
), candidates AS (
    SELECT row_number() OVER () AS place, t.members AS lines, o.members AS ours, t.is_refund
    FROM their_times t
    JOIN ours o ON o.is_refund = t.is_refund AND o.total = t.total AND o.currency = t.currency
     AND floor(extract(epoch FROM o.first) / %(seconds)s) = t.bucket
    WHERE LEAST(cardinality(t.members), cardinality(o.members)) = 1
      AND GREATEST(t.last, o.last) - LEAST(t.first, o.first) <= make_interval(secs => %(seconds)s)
), crowded AS (
    SELECT unnest(lines) AS id, is_refund, 'line' AS side, place FROM candidates
    UNION ALL
    SELECT unnest(ours), is_refund, 'ours', place FROM candidates
), ambiguous AS (
    SELECT place FROM (
        SELECT place, count(*) OVER (PARTITION BY id, is_refund, side) AS times FROM crowded
    ) counted WHERE times > 1
)
SELECT line_id, ours_id, c.is_refund, 'amount_time', true
FROM candidates c CROSS JOIN unnest(c.lines) AS line_id CROSS JOIN unnest(c.ours) AS ours_id
WHERE c.place NOT IN (SELECT place FROM ambiguous)
"""

# What was found becomes pairs. A row that is several of ours is split into their shares; the first takes what the fees leave.
TAKE_FOUND: Final = """
WITH gone AS (
    DELETE FROM recon_pair k USING (SELECT DISTINCT line_id FROM recon_found) f WHERE k.line_id = f.line_id RETURNING k.*
), loose AS (
    DELETE FROM recon_loose l USING (SELECT DISTINCT line_id FROM recon_found) f WHERE l.line_id = f.line_id RETURNING l.*
), shares AS (
    SELECT f.line_id, f.ours, f.rule, f.is_inferred, o.our, o.our_fee, o.currency, o.is_outside,
           row_number() OVER w AS share, count(*) OVER (PARTITION BY f.line_id) AS many,
           sum(o.our_fee) OVER (PARTITION BY f.line_id) AS fees
    FROM recon_found f JOIN recon_open o ON o.is_refund = f.is_refund AND o.ours = f.ours
    WINDOW w AS (PARTITION BY f.line_id ORDER BY f.ours)
)
INSERT INTO recon_pair (line_id, row, is_refund, share, ours, their, their_fee, other_currency, our, our_fee, same_day,
                        is_outside, rule, is_inferred, extra)
SELECT g.line_id, g.row, g.is_refund, s.share, s.ours, CASE WHEN s.many = 1 THEN g.their ELSE s.our END,
       CASE WHEN s.many = 1 OR g.their_fee IS NULL THEN g.their_fee
            WHEN s.share = 1 THEN g.their_fee - s.fees + s.our_fee
            ELSE s.our_fee END,
       l.currency <> s.currency, s.our, s.our_fee, true, s.is_outside, s.rule, s.is_inferred, false
FROM gone g JOIN shares s ON s.line_id = g.line_id JOIN loose l ON l.line_id = g.line_id
"""
TAKEN: Final = """
DELETE FROM recon_open o USING recon_found f WHERE f.is_refund = o.is_refund AND f.ours = o.ours
"""

# One of ours that several rows are: in parts, where none of them is the whole and they add up; else the row that fits best
# counts and the others are too many.
MANY: Final = """
CREATE TEMPORARY TABLE recon_many ON COMMIT DROP AS
SELECT is_refund, ours, NOT bool_or(their = our OR other_currency) AND sum(their) = min(our) AS in_parts
FROM recon_pair WHERE ours IS NOT NULL
GROUP BY is_refund, ours HAVING count(*) > 1
"""
PARTS: Final = """
UPDATE recon_pair k SET our = k.their, our_fee = s.our_fee
FROM (
    SELECT k.line_id, COALESCE(k.their_fee, 0) + CASE
               WHEN row_number() OVER (PARTITION BY k.is_refund, k.ours ORDER BY k.their_fee IS NULL DESC, k.row) = 1
               THEN k.our_fee - sum(COALESCE(k.their_fee, 0)) OVER (PARTITION BY k.is_refund, k.ours)
               ELSE 0 END AS our_fee
    FROM recon_pair k JOIN recon_many m ON m.is_refund = k.is_refund AND m.ours = k.ours
    WHERE m.in_parts
) s
WHERE k.line_id = s.line_id
"""
EXTRAS: Final = """
UPDATE recon_pair k SET extra = true
FROM (
    SELECT k.line_id, row_number() OVER (
               PARTITION BY k.is_refund, k.ours ORDER BY k.rule = 'their_number' DESC, k.their <> k.our, k.row
           ) AS place
    FROM recon_pair k JOIN recon_many m ON m.is_refund = k.is_refund AND m.ours = k.ours
    WHERE NOT m.in_parts
) s
WHERE k.line_id = s.line_id AND s.place > 1
"""
