"""The one place where facts are counted, for the task, for the replay of a draft and for a payment that is about to begin.

All rules of a book are one statement over the facts, so that their number does not matter and ninety days are counted as one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django.db import connection

from apps.core import clock
from apps.risk.facts import COLUMNS, Facts, FactsSince, facts_sql
from apps.risk.rules import ODD_DAYS, ODD_OTHERS, Rule, RuleKind, Rules, Subject

#: So many facts are kept as evidence, the latest.
EVIDENCE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule found about one subject on one business day (of a night: the day on which it begins).

    ``count`` and ``minor`` (fen) are the most that stood within the rule's window; ``base_minor`` is what they are compared
    with, 0 where nothing. ``store_id`` None where the facts are not of one store. ``shown`` are the latest facts of it.
    """

    rule: RuleKind
    subject: str
    day: date
    count: int
    minor: int
    base_minor: int
    first_at: datetime
    last_at: datetime
    store_id: int | None
    shown: list[dict[str, Any]]


Part = tuple[str, list[Any]]

_SUBJECTS: Final = {
    Subject.CODE: "code_id",
    Subject.PAYER: "payer",
    Subject.MEMBER: "member_id",
    Subject.STORE: "store_id",
}

_FACTS: Final = """
WITH facts ({columns}) AS ({facts}),
days AS MATERIALIZED (
    SELECT *, (at AT TIME ZONE 'Asia/Shanghai')::timestamp AS local,
        ((at AT TIME ZONE 'Asia/Shanghai') - %s::interval)::date AS day
    FROM facts
)
"""
#: The facts that a rule looks at, as ``few``; what it found among them, as ``hits``, which is kept before its evidence is looked for.
_PART: Final = """
SELECT * FROM (WITH hits AS MATERIALIZED (SELECT * FROM ({hits}) AS found WHERE day >= %s)
SELECT %s AS rule, hits.subject, hits.day, hits.n, hits.s, hits.base, hits.first_at, hits.last_at,
    CASE WHEN count(few.store_id) = count(*) AND min(few.store_id) = max(few.store_id) THEN min(few.store_id) END,
    to_jsonb((array_agg(jsonb_build_object('order', few.order_id, 'at', few.at, 'minor', few.amount_minor, 'kind', few.kind)
        ORDER BY few.at DESC, few.order_id DESC, few.amount_minor DESC))[1:{evidence}])
FROM hits JOIN ({few}) AS few ON few.subject = hits.subject AND few.at BETWEEN hits.first_at AND hits.last_at {also}
GROUP BY hits.subject, hits.day, hits.n, hits.s, hits.base, hits.first_at, hits.last_at) AS one
"""
_FEW: Final = (
    "SELECT *, {subject}::text AS subject FROM days WHERE {where} AND {subject} IS NOT NULL"
)
#: No frame leaves rows out in its middle, and nothing is counted in one that cannot be taken away again: PostgreSQL would go
#: through the whole frame anew for each fact.
_WINDOW: Final = """
SELECT subject, day, max(n) AS n, max(s)::bigint AS s, 0::bigint AS base, min(since) AS first_at, max(at) AS last_at
FROM (
    SELECT subject, day, at, count(*) OVER near AS n, sum(amount_minor) OVER near AS s, first_value(at) OVER near AS since
    FROM ({few}) AS few
    WINDOW near AS (PARTITION BY subject ORDER BY at RANGE BETWEEN %s::interval PRECEDING AND CURRENT ROW)
) AS seen
WHERE n >= %s GROUP BY subject, day
"""
#: A day's limits: the facts of a day are its evidence, so that nothing has to be looked for.
_DAY_PART: Final = """
SELECT %s AS rule, subject, key, count(*), sum(amount_minor)::bigint, 0::bigint, min(at), max(at),
    CASE WHEN count(store_id) = count(*) AND min(store_id) = max(store_id) THEN min(store_id) END,
    jsonb_agg(jsonb_build_object('order', order_id, 'at', at, 'minor', amount_minor, 'kind', kind) ORDER BY turn) FILTER (WHERE turn <= {evidence})
FROM (
    SELECT *, row_number() OVER (PARTITION BY subject, key ORDER BY at DESC, order_id DESC, amount_minor DESC) AS turn
    FROM (SELECT few.*, {day} AS key FROM ({few}) AS few) AS keyed WHERE key >= %s
) AS turned
GROUP BY subject, key HAVING count(*) >= %s AND sum(amount_minor) >= %s
"""
#: The average of the days before as running sums, in which each fact comes and later goes again: a frame of thirty days would
#: not fit into memory, and PostgreSQL would read it from disk for each fact.
_ODD: Final = """
SELECT subject, day, count(*) AS n, max(amount_minor)::bigint AS s, (array_agg(usual ORDER BY amount_minor DESC, at, usual))[1] AS base,
    min(at) AS first_at, max(at) AS last_at
FROM (
    SELECT subject, day, at, amount_minor, n - 1 AS others, s - amount_minor AS total, ((s - amount_minor) / NULLIF(n - 1, 0))::bigint AS usual
    FROM (
        SELECT is_own, subject, day, at, amount_minor, sum(one) OVER line AS n, (sum(part) OVER line)::bigint AS s
        FROM (
            SELECT true AS is_own, subject, day, at, amount_minor, at AS moment, 0 AS late, 1 AS one, amount_minor AS part FROM ({few}) AS few
            UNION ALL
            SELECT false, subject, day, at, amount_minor, at + %s::interval, 1, -1, -amount_minor FROM ({few}) AS few
        ) AS moments
        WINDOW line AS (PARTITION BY subject ORDER BY moment, late)
    ) AS summed WHERE is_own
) AS weighed
WHERE others >= %s AND amount_minor >= %s AND amount_minor::numeric * others >= %s::numeric * total
GROUP BY subject, day
"""
_RATE: Final = """
SELECT subject, day, n, s, base, first_at, last_at
FROM (
    SELECT subject, day, last_at, min(first_of_day) OVER near AS first_at, (sum(refunds) OVER near)::bigint AS n,
        (sum(back) OVER near)::bigint AS s, (sum(paid) OVER near)::bigint AS base
    FROM (
        SELECT store_id::text AS subject, day, max(at) FILTER (WHERE kind = 'refund') AS last_at,
            min(at) FILTER (WHERE kind = 'refund') AS first_of_day, count(*) FILTER (WHERE kind = 'refund') AS refunds,
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS back,
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'paid'), 0) AS paid
        FROM days WHERE store_id IS NOT NULL AND kind <> 'failed' GROUP BY store_id, day
    ) AS daily
    WINDOW near AS (PARTITION BY subject ORDER BY day::timestamp RANGE BETWEEN %s::interval PRECEDING AND CURRENT ROW)
) AS rated
WHERE last_at IS NOT NULL AND n >= %s AND s::numeric * 100 >= %s::numeric * base
"""
_PLACE: Final = """
SELECT subject, day, max(before) AS n, sum(amount_minor)::bigint AS s, 0::bigint AS base, min(at) AS first_at, max(at) AS last_at
FROM (
    SELECT subject, day, at, amount_minor, count(*) OVER earlier AS before, min(at) OVER earlier AS since,
        rank() OVER (PARTITION BY subject, store_id ORDER BY at) AS turn
    FROM ({few}) AS few
    WINDOW earlier AS (PARTITION BY subject ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND interval '1 microsecond' PRECEDING)
) AS seen
WHERE turn = 1 AND before >= %s AND since <= at - %s::interval
GROUP BY subject, day
"""

_PAID: Final = "kind = 'paid'"
#: Windows of time that are counted alike: which facts.
_WINDOWED: Final = {
    RuleKind.CODE_VELOCITY: _PAID,
    RuleKind.PAYER_VELOCITY: f"{_PAID} AND payer <> ''",
    RuleKind.CASHIER_VELOCITY: _PAID,
    RuleKind.FAILED_ATTEMPTS: "kind = 'failed'",
    RuleKind.CASHIER_REFUNDS: "kind = 'refund'",
}


def _span(rule: Rule) -> str:
    if "minutes" in rule.values:
        return f"{rule['minutes']} minutes"
    return f"{rule['hours']} hours"


def _few(rule: Rule, where: str) -> str:
    return _FEW.format(subject=_SUBJECTS[rule.watch.subject], where=where)


def _part(rule: Rule, *, few: Part, hits: Part, since: date, also: str = "") -> Part:
    """One rule: ``few`` are the facts it looks at; ``also`` narrows what of them is evidence."""
    text = _PART.format(few=few[0], hits=hits[0].format(few=few[0]), evidence=EVIDENCE, also=also)
    return text, [*hits[1], since, rule.kind.value, *few[1]]


def _day_part(rule: Rule, few: Part, *, day: str, least: list[int], since: date) -> Part:
    """One rule about days: ``day`` is the expression of a fact's day, ``least`` how many and how much there must be."""
    text = _DAY_PART.format(few=few[0], day=day, evidence=EVIDENCE)
    return text, [rule.kind.value, *few[1], since, *least]


def _night(rule: Rule) -> tuple[Part, str]:
    """The facts within the hours, and the day on which each one's night begins, as an expression."""
    begins, ends = rule["begins"], rule["ends"]
    hour = "extract(hour FROM local)"
    within = (
        f"{hour} >= {begins:d} AND {hour} < {ends:d}"
        if begins < ends
        else f"({hour} >= {begins:d} OR {hour} < {ends:d})"
    )
    return (_few(rule, f"{_PAID} AND {within}"), []), f"(local - interval '{begins:d} hours')::date"


def _of(rule: Rule, *, since: date) -> Part:
    kind = rule.kind
    if kind in _WINDOWED:
        few: Part = (_few(rule, _WINDOWED[kind]), [])
        return _part(rule, few=few, hits=(_WINDOW, [_span(rule), rule["count"]]), since=since)
    if kind is RuleKind.STRUCTURING:
        # From the threshold less the share, the threshold itself left out; the bound in hundredths of a fen.
        where = f"{_PAID} AND payer <> '' AND amount_minor < %s AND amount_minor * 100 >= %s"
        bounds = [rule["minor"], rule["minor"] * (100 - rule["percent"])]
        few = (_few(rule, where), bounds)
        hits = (_WINDOW, [*bounds, _span(rule), rule["count"]])
        return _part(rule, few=few, hits=hits, since=since)
    if kind is RuleKind.NIGHT:
        few, day = _night(rule)
        return _day_part(rule, few, day=day, least=[rule["count"], rule["minor"]], since=since)
    if kind in {RuleKind.PAYER_DAY, RuleKind.CODE_DAY}:
        few = (_few(rule, f"{_PAID} AND code_id IS NOT NULL AND payer <> ''"), [])
        if kind is RuleKind.CODE_DAY:
            few = (_few(rule, _PAID), [])
        return _day_part(rule, few, day="day", least=[1, rule["minor"] + 1], since=since)
    if kind is RuleKind.ODD_AMOUNT:
        few = (_few(rule, _PAID), [])
        values = [f"{ODD_DAYS} days", ODD_OTHERS, rule["minor"], rule["times"]]
        # Only the unusual ones themselves are evidence, not the usual ones between them.
        also = f"AND few.amount_minor >= {rule['minor']:d}"
        return _part(rule, few=few, hits=(_ODD, values), since=since, also=also)
    if kind is RuleKind.REFUND_RATE:
        few = (_few(rule, "kind = 'refund'"), [])
        values = [f"{rule['days'] - 1} days", rule["count"], rule["percent"]]
        return _part(rule, few=few, hits=(_RATE, values), since=since)
    few = (_few(rule, f"{_PAID} AND store_id IS NOT NULL"), [])
    values = [rule["count"], f"{rule['days']} days"]
    return _part(rule, few=few, hits=(_PLACE, values), since=since)


def find(
    facts: Facts, rules: Rules, *, since: date, day_starts_at: time = time(0)
) -> list[Finding]:
    """What the rules that are on find on business days from ``since`` on; one statement, none where no rule is on.

    The facts must reach ``lookback_days`` further back than ``since``. Ordered by time.
    """
    parts = [_of(rule, since=since) for rule in rules.values() if rule.is_on]
    if not parts:
        return []
    text, values = facts_sql(facts)
    shift = f"{day_starts_at.hour} hours {day_starts_at.minute} minutes"
    statement = _FACTS.format(columns=", ".join(COLUMNS), facts=text) + " UNION ALL ".join(
        part for part, _values in parts
    )
    with connection.cursor() as cursor:
        cursor.execute(
            statement, [*values, shift, *(value for _text, some in parts for value in some)]
        )
        rows = cursor.fetchall()
    found = [
        Finding(
            rule=RuleKind(rule),
            subject=subject,
            day=day,
            count=count,
            minor=minor,
            base_minor=base or 0,
            first_at=first_at,
            last_at=last_at,
            store_id=store_id,
            shown=json.loads(shown) if isinstance(shown, str) else shown,
        )
        for rule, subject, day, count, minor, base, first_at, last_at, store_id, shown in rows
    ]
    return sorted(found, key=lambda one: (one.last_at, one.rule, one.subject, one.day))


_TODAY: Final = """
SELECT coalesce(sum(amount_minor) FILTER (WHERE code_id = %s), 0)::bigint, count(*) FILTER (WHERE code_id = %s),
    coalesce(sum(amount_minor) FILTER (WHERE payer <> '' AND payer = %s), 0)::bigint,
    count(*) FILTER (WHERE payer <> '' AND payer = %s)
FROM ({facts}) AS facts ({columns}) WHERE kind = 'paid' AND at >= %s
"""


@dataclass(frozen=True, slots=True)
class Today:
    """What a code took and what a payer paid by codes since the business day began; fen and payments."""

    code_minor: int
    code_count: int
    payer_minor: int
    payer_count: int


def count_today(
    facts: Facts, *, code_id: int, payer: str, now: datetime, day_starts_at: time = time(0)
) -> Today:
    """Today's sums so far, from facts of payments by codes; one statement."""
    day = clock.business_date(now, day_starts_at)
    begins, _ends = clock.business_period(day, day_starts_at)
    text, values = facts_sql(facts)
    with connection.cursor() as cursor:
        cursor.execute(
            _TODAY.format(facts=text, columns=", ".join(COLUMNS)),
            [code_id, code_id, payer, payer, *values, begins],
        )
        return Today(*cursor.fetchone())


_LATELY: Final = """
SELECT many.n, many.s, usual.n, usual.s, night.n, night.s
FROM (SELECT count(*) AS n, coalesce(sum(amount_minor), 0)::bigint AS s FROM ({member}) AS facts ({columns})
      WHERE kind = 'paid' AND member_id = %s AND at >= %s) AS many,
     (SELECT count(*) AS n, coalesce(sum(amount_minor), 0)::bigint AS s FROM ({usual}) AS facts ({columns})
      WHERE kind = 'paid' AND store_id = %s AND at >= %s) AS usual,
     (SELECT count(*) AS n, coalesce(sum(amount_minor), 0)::bigint AS s FROM ({night}) AS facts ({columns})
      WHERE kind = 'paid' AND store_id = %s AND at >= %s) AS night
"""


@dataclass(frozen=True, slots=True)
class Lately:
    """What was paid before now: to a cashier, in a store, and in the store tonight; payments and fen, each since its own moment."""

    member_count: int
    member_minor: int
    usual_count: int
    usual_minor: int
    night_count: int
    night_minor: int


@dataclass(frozen=True, slots=True)
class Since:
    """From when on each is counted; what nobody asks about from now on."""

    member: datetime
    usual: datetime
    night: datetime


def count_lately(
    *, member_id: int, store_id: int, since: Since, of_member: FactsSince, of_store: FactsSince
) -> Lately:
    """The counts that rules at the till need; one statement."""
    parts = [
        (facts_sql(of_member(since.member)), member_id, since.member),
        (facts_sql(of_store(since.usual)), store_id, since.usual),
        (facts_sql(of_store(since.night)), store_id, since.night),
    ]
    texts = [text for (text, _values), _subject, _at in parts]
    with connection.cursor() as cursor:
        cursor.execute(
            _LATELY.format(
                member=texts[0], usual=texts[1], night=texts[2], columns=", ".join(COLUMNS)
            ),
            [value for (_text, own), subject, at in parts for value in (*own, subject, at)],
        )
        return Lately(*cursor.fetchone())


def night_began(rule: Rule, now: datetime) -> datetime | None:
    """When the night of this rule began that ``now`` lies in; None by day."""
    local = now.astimezone(clock.CHINA)
    begins, ends = rule["begins"], rule["ends"]
    within = begins <= local.hour < ends if begins < ends else not ends <= local.hour < begins
    if not within:
        return None
    began = local.replace(hour=begins, minute=0, second=0, microsecond=0)
    return began if began <= local else began - timedelta(days=1)
