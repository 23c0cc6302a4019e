"""A second, slow and obvious count of the same rules, and facts made up without payments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from django.db.models import BigIntegerField, CharField, DateTimeField, Value
from django.db.models.functions import Cast

from apps.core.clock import CHINA, business_date
from apps.merchants.models import Merchant
from apps.risk.facts import COLUMNS, Facts
from apps.risk.rules import ODD_DAYS, ODD_OTHERS, Outcome, Rule, RuleKind, Rules, read_rules


@dataclass(frozen=True)
class Fact:
    kind: str
    at: datetime
    amount_minor: int
    order_id: int
    store_id: int | None = 1
    code_id: int | None = 1
    payer: str = ""
    member_id: int | None = None


#: Rule, subject, day, count, fen, compared with, first, last, store, orders of the evidence.
Row = tuple[
    str, str, date, int, int, int, datetime, datetime, int | None, tuple[tuple[int, int], ...]
]


def facts_of(merchant: Merchant, facts: Sequence[Fact]) -> Facts:
    """A queryset of just these facts."""
    one = Merchant.objects.filter(pk=merchant.pk)
    rows = [
        one.annotate(
            kind=Value(fact.kind, output_field=CharField()),
            at=Value(fact.at, output_field=DateTimeField()),
            payer=Value(fact.payer, output_field=CharField()),
            **{
                name: Cast(Value(getattr(fact, name)), BigIntegerField())
                for name in ("amount_minor", "order_id", "store_id", "code_id", "member_id")
            },
        ).values_list(*COLUMNS)
        for fact in facts
    ]
    if not rows:
        return facts_of(merchant, [Fact("none", datetime(2000, 1, 1, tzinfo=CHINA), 1, 1)])
    return rows[0].union(*rows[1:], all=True) if len(rows) > 1 else rows[0]


def only(kind: RuleKind, outcome: Outcome = Outcome.FLAG, **values: int) -> dict[RuleKind, Rule]:
    """A book in which just this rule is on."""
    rules = {one: replace(rule, is_on=False) for one, rule in read_rules({}).items()}
    rule = rules[kind]
    rules[kind] = replace(rule, is_on=True, outcome=outcome, values={**rule.values, **values})
    return rules


def expected(facts: Sequence[Fact], rules: Rules, *, since: date, starts: time) -> set[Row]:
    """What the rules find, by going through the facts one by one."""
    found: set[Row] = set()
    for rule in rules.values():
        if rule.is_on:
            found |= {row for row in _count(rule, facts, starts) if row[2] >= since}
    return found


Hit = tuple[Fact, int, int, int, datetime]


def _count(rule: Rule, facts: Sequence[Fact], starts: time) -> set[Row]:
    def day_of(fact: Fact) -> date:
        return business_date(fact.at, starts)

    kind = rule.kind
    paid = [fact for fact in facts if fact.kind == "paid"]
    if kind is RuleKind.CODE_VELOCITY:
        return _windowed(rule, paid, lambda f: f.code_id, day_of)
    if kind is RuleKind.PAYER_VELOCITY:
        return _windowed(rule, paid, lambda f: f.payer or None, day_of)
    if kind is RuleKind.CASHIER_VELOCITY:
        return _windowed(rule, paid, lambda f: f.member_id, day_of)
    if kind is RuleKind.FAILED_ATTEMPTS:
        failed = [fact for fact in facts if fact.kind == "failed"]
        return _windowed(rule, failed, lambda f: f.code_id, day_of)
    if kind is RuleKind.CASHIER_REFUNDS:
        refunds = [fact for fact in facts if fact.kind == "refund"]
        return _windowed(rule, refunds, lambda f: f.member_id, day_of)
    if kind is RuleKind.STRUCTURING:
        below = [
            f
            for f in paid
            if f.amount_minor < rule["minor"]
            and rule["minor"] - f.amount_minor <= rule["minor"] * rule["percent"] / 100
        ]
        return _windowed(rule, below, lambda f: f.payer or None, day_of)
    if kind is RuleKind.NIGHT:
        return _night(rule, paid)
    if kind is RuleKind.PAYER_DAY:
        by_code = [f for f in paid if f.code_id is not None]
        return _daily(rule, by_code, lambda f: f.payer or None, day_of, rule["minor"] + 1, 1)
    if kind is RuleKind.CODE_DAY:
        return _daily(rule, paid, lambda f: f.code_id, day_of, rule["minor"] + 1, 1)
    if kind is RuleKind.ODD_AMOUNT:
        return _odd(rule, paid, day_of)
    if kind is RuleKind.REFUND_RATE:
        return _rate(rule, facts, day_of)
    return _places(rule, [f for f in paid if f.store_id is not None], day_of)


Key = Callable[[Fact], object]
Day = Callable[[Fact], date]


def _row(
    rule: Rule,
    subject: object,
    day: date,
    n: int,
    s: int,
    base: int,
    first: datetime,
    last: datetime,
    pool: Sequence[Fact],
) -> Row:
    mine = [f for f in pool if first <= f.at <= last]
    stores = {f.store_id for f in mine}
    store = stores.pop() if len(stores) == 1 else None
    latest = sorted(mine, key=lambda f: (f.at, f.order_id, f.amount_minor), reverse=True)[:20]
    shown = tuple((f.order_id, f.amount_minor) for f in latest)
    return (rule.kind.value, str(subject), day, n, s, base, first, last, store, shown)


def _subjects(facts: Sequence[Fact], key: Key) -> dict[object, list[Fact]]:
    groups: dict[object, list[Fact]] = {}
    for fact in facts:
        if key(fact) is not None:
            groups.setdefault(key(fact), []).append(fact)
    return groups


def _windowed(rule: Rule, facts: Sequence[Fact], key: Key, day_of: Day) -> set[Row]:
    span = timedelta(minutes=rule["minutes"]) if "minutes" in rule.values else None
    span = span or timedelta(hours=rule["hours"])
    rows = set()
    for subject, mine in _subjects(facts, key).items():
        for day in {day_of(f) for f in mine}:
            hits = []
            for fact in mine:
                if day_of(fact) != day:
                    continue
                near = [f for f in mine if fact.at - span <= f.at <= fact.at]
                if len(near) >= rule["count"]:
                    hits.append((fact, near))
            if hits:
                rows.add(
                    _row(
                        rule,
                        subject,
                        day,
                        max(len(near) for _f, near in hits),
                        max(sum(f.amount_minor for f in near) for _f, near in hits),
                        0,
                        min(f.at for _f, near in hits for f in near),
                        max(f.at for f, _near in hits),
                        mine,
                    )
                )
    return rows


def _daily(
    rule: Rule, facts: Sequence[Fact], key: Key, day_of: Day, least: int, count: int
) -> set[Row]:
    rows = set()
    for subject, mine in _subjects(facts, key).items():
        for day in {day_of(f) for f in mine}:
            today = [f for f in mine if day_of(f) == day]
            total = sum(f.amount_minor for f in today)
            if len(today) >= count and total >= least:
                ats = [f.at for f in today]
                rows.add(_row(rule, subject, day, len(today), total, 0, min(ats), max(ats), mine))
    return rows


def _night(rule: Rule, paid: Sequence[Fact]) -> set[Row]:
    hours = set()
    hour = rule["begins"]
    while hour != rule["ends"]:
        hours.add(hour)
        hour = (hour + 1) % 24
    few = [f for f in paid if f.at.astimezone(CHINA).hour in hours]

    def night_of(fact: Fact) -> date:
        return business_date(fact.at, time(rule["begins"]))

    return _daily(rule, few, lambda f: f.store_id, night_of, rule["minor"], rule["count"])


def _odd(rule: Rule, paid: Sequence[Fact], day_of: Day) -> set[Row]:
    rows = set()
    for subject, mine in _subjects(paid, lambda f: f.store_id).items():
        hits: dict[date, list[tuple[Fact, int]]] = {}
        for fact in mine:
            others = [
                f
                for f in mine
                if f is not fact and fact.at - timedelta(days=ODD_DAYS) <= f.at <= fact.at
            ]
            total = sum(f.amount_minor for f in others)
            if (
                len(others) >= ODD_OTHERS
                and fact.amount_minor >= rule["minor"]
                and fact.amount_minor * len(others) >= rule["times"] * total
            ):
                hits.setdefault(day_of(fact), []).append((fact, total // len(others)))
        for day, some in hits.items():
            top = min(some, key=lambda one: (-one[0].amount_minor, one[0].at, one[1]))
            ats = [f.at for f, _usual in some]
            large = [f for f in mine if f.amount_minor >= rule["minor"]]
            most = max(f.amount_minor for f, _usual in some)
            rows.add(_row(rule, subject, day, len(some), most, top[1], min(ats), max(ats), large))
    return rows


def _rate(rule: Rule, facts: Sequence[Fact], day_of: Day) -> set[Row]:
    rows = set()
    known = [f for f in facts if f.kind in {"paid", "refund"}]
    for subject, mine in _subjects(known, lambda f: f.store_id).items():
        refunds = [f for f in mine if f.kind == "refund"]
        for day in {day_of(f) for f in refunds}:
            days = {day - timedelta(days=back) for back in range(rule["days"])}
            back = [f for f in refunds if day_of(f) in days]
            given = sum(f.amount_minor for f in back)
            taken = sum(f.amount_minor for f in mine if f.kind == "paid" and day_of(f) in days)
            if len(back) >= rule["count"] and given * 100 >= rule["percent"] * taken:
                last = max(f.at for f in refunds if day_of(f) == day)
                first = min(f.at for f in back)
                rows.add(_row(rule, subject, day, len(back), given, taken, first, last, refunds))
    return rows


def _places(rule: Rule, paid: Sequence[Fact], day_of: Day) -> set[Row]:
    rows = set()
    for subject, mine in _subjects(paid, lambda f: f.code_id).items():
        hits: dict[date, list[tuple[Fact, int]]] = {}
        for fact in mine:
            earlier = [f for f in mine if f.at < fact.at]
            if not earlier or any(f.store_id == fact.store_id for f in earlier):
                continue
            old = min(f.at for f in earlier) <= fact.at - timedelta(days=rule["days"])
            if len(earlier) >= rule["count"] and old:
                hits.setdefault(day_of(fact), []).append((fact, len(earlier)))
        for day, some in hits.items():
            ats = [f.at for f, _n in some]
            total = sum(f.amount_minor for f, _n in some)
            before = max(n for _f, n in some)
            rows.add(_row(rule, subject, day, before, total, 0, min(ats), max(ats), mine))
    return rows
