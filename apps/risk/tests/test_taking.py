"""What the till judges beforehand is what the count says of the same payment afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.core.clock import CHINA
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant
from apps.risk.facts import Facts
from apps.risk.models import RiskAlert, RiskRuleBook
from apps.risk.rules import Outcome, Rule, RuleKind, read_rules, write_rules
from apps.risk.services import assess_taking
from apps.risk.tests.oracle import Fact, expected, facts_of

FROM = datetime(2026, 11, 1, tzinfo=CHINA)
STORE, MEMBER = 1, 7

_facts = st.lists(
    st.builds(
        Fact,
        kind=st.sampled_from(["paid", "paid", "paid", "failed", "refund"]),
        at=st.builds(
            lambda day, minute: FROM + timedelta(days=day, minutes=10 * minute),
            st.integers(0, 2),
            st.integers(0, 143),
        ),
        amount_minor=st.sampled_from([1, 99, 100, 101, 1000]),
        order_id=st.integers(1, 10_000),
        store_id=st.sampled_from([STORE, STORE, 2, None]),
        code_id=st.none(),
        member_id=st.sampled_from([None, MEMBER, MEMBER, 8]),
    ),
    max_size=40,
)


def _book(draw: st.DrawFn) -> dict[RuleKind, Rule]:
    small = {
        "count": st.integers(2, 5),
        "minutes": st.sampled_from([1, 20, 600, 1440]),
        "minor": st.sampled_from([1, 100, 2000]),
        "times": st.integers(2, 5),
        "begins": st.sampled_from([22, 1, 0]),
        "ends": st.sampled_from([5, 23, 8]),
    }
    book = {}
    for kind, rule in read_rules({}).items():
        on = rule.watch.at_till and draw(st.booleans())
        values = {**rule.values, **{n: draw(small[n]) for n in rule.values if on and n in small}}
        outcome = draw(st.sampled_from([Outcome.CONFIRM, Outcome.HOLD])) if on else Outcome.FLAG
        book[kind] = replace(rule, is_on=on, outcome=outcome, values=values)
    return book


class TestAgainstTheCount(TestCase):
    @given(
        facts=_facts,
        usual=st.integers(0, 25),
        book=st.composite(_book)(),
        amount=st.sampled_from([1, 100, 201, 1000, 5000]),
        hour=st.integers(0, 23),
        second=st.sampled_from([0, 1, 59]),
    )
    @settings(max_examples=120, deadline=None)
    def test_it_is_stopped_where_the_count_would_find_it(
        self,
        facts: list[Fact],
        usual: int,
        book: dict[RuleKind, Rule],
        amount: int,
        hour: int,
        second: int,
    ) -> None:
        merchant = Merchant.objects.create(slug="m", name="m")
        now = FROM + timedelta(days=2, hours=hour, seconds=second)
        many = [Fact("paid", FROM + timedelta(minutes=n), 100, n + 1) for n in range(usual)]
        before = [fact for fact in [*facts, *many] if fact.at < now]

        def since(moment: datetime) -> Facts:
            return facts_of(merchant, [fact for fact in before if fact.at >= moment])

        this = Fact("paid", now, amount, 99_999, store_id=STORE, code_id=None, member_id=MEMBER)
        rows = expected([*before, this], book, since=now.date() - timedelta(days=1), starts=time(0))
        subjects = {RuleKind.CASHIER_VELOCITY.value: str(MEMBER)}
        spoken = {
            RuleKind(row[0])
            for row in rows
            if row[7] == now and row[1] == subjects.get(row[0], str(STORE))
        }
        with enter_scope(Scope(merchant.pk)):
            RiskRuleBook.objects.create(
                version=1, effective_from=FROM.date(), rules=write_rules(book), created_at=FROM
            )
            verdict = assess_taking(
                store_id=STORE,
                member_id=MEMBER,
                amount_minor=amount,
                of_member=since,
                of_store=since,
                now=now,
                tell=False,
            )
            assert not RiskAlert.objects.exists()
        if verdict is None:
            assert spoken == set()
        else:
            assert verdict.rule.kind in spoken
            worst = Outcome.HOLD in {book[kind].outcome for kind in spoken}
            assert (verdict.rule.outcome is Outcome.HOLD) is worst
