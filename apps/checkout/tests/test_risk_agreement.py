"""Live and tried, the rules say the same of the same payments, and so does a slow count of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.checkout.facts import facts_since
from apps.checkout.services import count_risk, judge
from apps.core.audit import Actor
from apps.core.clock import CHINA, business_date
from apps.core.encryption import keyed_hash
from apps.merchants.models import Merchant
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.qrcodes.models import QRCode
from apps.qrcodes.services import create_code
from apps.refunds.models import Refund, RefundState
from apps.risk.models import RiskAlert, RiskRuleBook
from apps.risk.replaying import replay
from apps.risk.rules import Outcome, RuleKind, Rules, read_rules, write_rules
from apps.risk.services.alerts import latest_of
from apps.risk.tests.oracle import Fact, Row, expected, only
from apps.risk.tests.test_counting import book_of

#: Days with a past, so that rules that look back have something to look at.
FROM = datetime(2026, 11, 1, tzinfo=CHINA)
NOW = FROM + timedelta(days=3, hours=23, minutes=59)
ACTOR = Actor("t")

_made = st.lists(
    st.tuples(
        st.sampled_from(["paid", "paid", "paid", "failed", "refund"]),
        st.integers(0, 4 * 144 - 1),
        st.sampled_from([1, 90, 99, 100, 5000]),
        st.integers(0, 2),  # the code, 2: none
        st.integers(0, 2),  # the payer, 0: unknown
        st.integers(0, 2),  # the cashier, 0: none
    ),
    max_size=30,
)


class Books:
    """A shop whose payments are written straight into its tables."""

    def __init__(self) -> None:
        self.shop: Shop = make_shop()
        with inside(self.shop):
            self.account: PlatformAccount = make_account(self.shop)
            self.codes: list[QRCode] = [
                create_code(
                    store_id=self.shop.store.pk, kind="counter", name=name, actor=ACTOR, now=FROM
                )
                for name in ("前台", "吧台")
            ]
        self.members = [self.shop["cashier"], self.shop["manager"]]
        self.number = 0

    def order(
        self, minor: int, *, at: datetime, code: int, member: int, state: OrderState
    ) -> Order:
        self.number += 1
        made: Order = Order.objects.create(
            store=self.shop.store,
            code=self.codes[code] if code < 2 else None,
            token=f"order-{self.number}",
            amount_minor=minor,
            subject="茶",
            state=state,
            created_at=at,
            expires_at=at + timedelta(minutes=15),
            paid_at=at if state == OrderState.PAID else None,
            taken_by=self.members[member - 1] if member else None,
        )
        return made

    def payer(self, number: int) -> str:
        return (
            keyed_hash(f"payer-{number}", merchant_id=self.shop.merchant.pk, purpose="payer")
            if number
            else ""
        )

    def payment(self, order: Order, *, at: datetime, payer: int, paid: bool) -> Payment:
        made: Payment = Payment.objects.create(
            order=order,
            store=order.store,
            code=order.code,
            account=self.account,
            platform=self.account.platform,
            wallet="wechatpay",
            product="dynamic_qr",
            order_no=f"P{self.number}",
            platform_trade_no=f"T{self.number}" if paid else "",
            amount_minor=order.amount_minor,
            state=PaymentState.SUCCEEDED if paid else PaymentState.FAILED,
            payer_hash=self.payer(payer),
            created_at=at,
            expires_at=at + timedelta(minutes=15),
            payable_until=at + timedelta(minutes=15),
            paid_at=at if paid else None,
            booked_date=business_date(at) if paid else None,
        )
        return made

    def write(self, made: list[tuple[str, int, int, int, int, int]]) -> list[Fact]:
        """The rows of what was made up, and the same as facts."""
        facts = []
        for kind, slot, minor, code, payer, member in made:
            at = FROM + timedelta(minutes=10 * slot)
            paid = kind != "failed"
            # A refund's own payment lies far back, so that nothing else of it is counted.
            paid_at = FROM - timedelta(days=200) if kind == "refund" else at
            order = self.order(
                minor,
                at=paid_at,
                code=code,
                member=member,
                state=OrderState.PAID if paid else OrderState.CLOSED,
            )
            payment = self.payment(order, at=paid_at, payer=payer, paid=paid)
            asker = self.members[member - 1] if member else None
            if kind == "refund":
                Refund.objects.create(
                    payment=payment,
                    store=order.store,
                    account=self.account,
                    refund_no=f"R{self.number}",
                    amount_minor=minor,
                    reason="x",
                    state=RefundState.PROCESSING,
                    requested_by=asker,
                    created_at=at,
                )
            facts.append(
                Fact(
                    kind,
                    at,
                    minor,
                    order.pk,
                    store_id=order.store_id,
                    code_id=order.code_id,
                    payer=payment.payer_hash,
                    member_id=asker.pk if asker else None,
                )
            )
        return facts


class TestTheyAgree(TestCase):
    @given(made=_made, book=st.composite(book_of)(), starts=st.sampled_from([time(0), time(4)]))
    @settings(max_examples=40, deadline=None)
    def test_the_task_raises_what_the_replay_and_the_slow_count_find(
        self, made: list[tuple[str, int, int, int, int, int]], book: Rules, starts: time
    ) -> None:
        books = Books()
        Merchant.objects.filter(pk=books.shop.merchant.pk).update(day_starts_at=starts)
        book = {
            kind: replace(
                rule,
                values={
                    one.name: min(max(rule[one.name], one.least), one.most)
                    for one in rule.watch.thresholds
                },
            )
            for kind, rule in book.items()
        }
        today = business_date(NOW, starts)
        since = today - timedelta(days=1)
        with inside(books.shop):
            facts = books.write(made)
            RiskRuleBook.objects.create(
                version=1, effective_from=FROM.date(), rules=write_rules(book), created_at=FROM
            )
            tried = replay(
                facts_since(FROM.date() - timedelta(days=60), now=NOW),
                today=read_rules({}),
                draft=book,
                since=since,
                day_starts_at=starts,
            )
            found = [one for row in tried for one in row.draft]
            slow = expected(facts, book, since=since, starts=starts)
            assert {
                (
                    one.rule.value,
                    one.subject,
                    one.day,
                    one.count,
                    one.minor,
                    one.base_minor,
                    one.first_at,
                    one.last_at,
                    one.store_id,
                    tuple((fact["order"], fact["minor"]) for fact in one.shown),
                )
                for one in found
            } == slow
            count_risk(now=NOW)
            assert {
                (
                    alert.rule,
                    alert.subject,
                    alert.evidence["count"],
                    alert.evidence["minor"],
                    alert.evidence["base_minor"],
                    alert.last_at,
                    tuple((fact["order"], fact["minor"]) for fact in alert.evidence["shown"]),
                )
                for alert in RiskAlert.objects.all()
            } == {
                (
                    one.rule.value,
                    one.subject,
                    one.count,
                    one.minor,
                    one.base_minor,
                    one.last_at,
                    tuple((fact["order"], fact["minor"]) for fact in one.shown),
                )
                for one in latest_of(sorted(found, key=lambda one: (one.last_at, one.day)))
            }

    @given(
        made=st.lists(
            st.tuples(
                st.integers(1, 60),
                st.sampled_from([100, 200, 300]),
                st.integers(0, 1),
                st.integers(1, 2),
            ),
            min_size=1,
            max_size=12,
        ),
        kind=st.sampled_from([RuleKind.CODE_DAY, RuleKind.PAYER_DAY]),
        limit=st.sampled_from([100, 300, 500]),
        starts=st.sampled_from([time(0), time(4)]),
    )
    @settings(max_examples=40, deadline=None)
    def test_a_day_s_limit_speaks_before_the_payment_that_the_replay_names(
        self,
        made: list[tuple[int, int, int, int]],
        kind: RuleKind,
        limit: int,
        starts: time,
    ) -> None:
        books = Books()
        Merchant.objects.filter(pk=books.shop.merchant.pk).update(day_starts_at=starts)
        rules = only(kind, Outcome.FLAG, minor=limit)
        live: set[tuple[str, object]] = set()
        facts: list[Fact] = []
        with inside(books.shop):
            RiskRuleBook.objects.create(
                version=1,
                effective_from=FROM.date() - timedelta(days=1),
                rules=write_rules(rules),
                created_at=FROM,
            )
            at = FROM
            for hours, minor, code, payer in made:
                at += timedelta(hours=hours)
                order = books.order(minor, at=at, code=code, member=0, state=OrderState.OPEN)
                before = RiskAlert.objects.filter(last_at=at).count()
                judge(order=order, payer_id=f"payer-{payer}", now=at)
                subject = books.payer(payer) if kind is RuleKind.PAYER_DAY else str(order.code_id)
                if RiskAlert.objects.filter(last_at=at).count() > before:
                    live.add((subject, business_date(at, starts)))
                Order.objects.filter(pk=order.pk).update(state=OrderState.PAID, paid_at=at)
                books.payment(order, at=at, payer=payer, paid=True)
                facts.append(
                    Fact(
                        "paid",
                        at,
                        minor,
                        order.pk,
                        store_id=order.store_id,
                        code_id=order.code_id,
                        payer=books.payer(payer),
                    )
                )
            tried = replay(
                facts_since(FROM.date() - timedelta(days=2), now=at),
                today=read_rules({}),
                draft=rules,
                since=FROM.date() - timedelta(days=1),
                day_starts_at=starts,
            )
        found = {(one.subject, one.day) for row in tried for one in row.draft}
        slow: set[Row] = expected(
            facts, rules, since=FROM.date() - timedelta(days=1), starts=starts
        )
        assert live == found == {(row[1], row[2]) for row in slow}
