"""Rules decide what becomes of a refund, and what they decided on is kept; drafts are tried and published."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.approvals.models import Approval
from apps.approvals.selectors import waiting_for
from apps.approvals.services import Stale
from apps.approvals.services import decide as confirm
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.core.rules import BadBook, decide
from apps.core.tenancy import enter_scope
from apps.merchants.models import Membership, Role
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop, make_user
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import PlatformAccount
from apps.refunds import selectors, services
from apps.refunds.models import (
    DraftState,
    Refund,
    RefundDecision,
    RefundRuleBook,
    RefundRuleDraft,
    RefundState,
    RequestReason,
)
from apps.refunds.rulefacts import FACTS, OUTCOMES, refund_book
from apps.refunds.services import requesting
from apps.refunds.services.requests import RefusedByRules
from apps.refunds.services.rules import draft_digest

DESK = Actor("cashier@tea.test")
DAY = timedelta(days=1)


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


def put_in_force(*rules: dict[str, Any], otherwise: str = "at_once", number: int = 1) -> None:
    content = {"rules": list(rules), "otherwise": otherwise}
    refund_book(content)
    RefundRuleBook.objects.create(
        number=number, content=content, effective_at=NOW - 400 * DAY, published_at=NOW - 400 * DAY
    )


def rule(outcome: str, **when: Any) -> dict[str, Any]:
    return {"when": when, "outcome": outcome}


def ask(
    shop: Shop, payment: Payment, minor: int, *, at: Any = NOW, role: str = "cashier", **more: Any
) -> Refund:
    return services.request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="茶凉了",
        member=shop[role],
        actor=DESK,
        now=at,
        **more,
    )


class TestOutcomes:
    def test_what_waits_asks_whom_the_rule_names(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        put_in_force(
            rule("two_finance", total={"over": 500}),
            rule("one_finance", total={"over": 400}),
            rule("two", total={"over": 300}),
            rule("one", total={"over": 200}),
        )
        expected = {100: "", 201: "one", 301: "two", 401: "one_finance", 501: "two_finance"}
        for minor, outcome in expected.items():
            refund = ask(shop, make_paid(shop, account), minor)
            if not outcome:
                assert (refund.state, refund.approval) == (RefundState.READY, None)
                continue
            assert refund.state == RefundState.WAITING
            assert refund.approval.needed == OUTCOMES[outcome].confirmations
            assert refund.approval.permission == OUTCOMES[outcome].permission

    def test_a_manager_cannot_confirm_what_is_kept_for_finance(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        put_in_force(rule("one_finance", total={"over": 500}))
        refund = ask(shop, make_paid(shop, account), 501)
        may = {
            role
            for role in Role.values
            if waiting_for(
                member=shop[role], permissions=permissions_of(role, all_stores=True), now=NOW
            ).exists()
        }
        assert may == {"owner", "finance"}
        with translation.override("en"):
            words = selectors.rule_of(refund)
        assert words == (
            "Over ¥5.00 in all for one payment: another owner or finance member must confirm."
        )

    def test_two_confirmations_send_it_and_one_does_not(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        put_in_force(otherwise="two")
        refund = ask(shop, make_paid(shop, account), 1)
        for role, state in (("manager", RefundState.WAITING), ("finance", RefundState.READY)):
            confirm(
                approval_id=refund.approval_id or 0,
                member=shop[role],
                permissions=permissions_of(role, all_stores=True),
                approved=True,
                digest=requesting.refund_digest(refund),
                reason="",
                second_factor=False,
                actor=DESK,
                now=NOW,
            )
            refund.refresh_from_db()
            assert refund.state == state

    def test_what_is_refused_is_written_down_and_reserves_nothing(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        put_in_force(rule("refuse", age={"over": 7 * 24 * 60}))
        payment = make_paid(shop, account, now=NOW - 8 * DAY)
        refund = ask(shop, payment, 100)
        assert refund.state == RefundState.REJECTED
        payment.refresh_from_db()
        assert payment.refund_reserved_minor == 0
        decision = RefundDecision.objects.get(refund=refund)
        assert (decision.book_number, decision.rule_number, decision.outcome) == (1, 1, "refuse")
        with translation.override("en"):
            words = selectors.rule_of(refund)
        assert words == "More than 7 days after it was paid: refused."
        assert not Due.objects.filter(task="refunds.send").exists()
        assert not Approval.objects.exists()

    def test_a_customers_request_that_the_rules_refuse_stays_open(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        put_in_force(rule("refuse", origin={"is": ["receipt"]}, reason={"is": ["quality"]}))
        payment = make_paid(shop, account)
        services.set_request_terms(is_open=True, days=7, policy="", actor=DESK, now=NOW)
        asked = services.ask_for_refund(
            payment=payment,
            amount=Money(1),
            reason=RequestReason.QUALITY,
            words="",
            contact="",
            client_ip="",
            now=NOW,
            actor=DESK,
        )
        with pytest.raises(RefusedByRules) as refused:
            services.accept_request(
                request_id=asked.pk, member=shop["cashier"], now=NOW, actor=DESK
            )
        asked.refresh_from_db()
        assert asked.state == "asked"
        decision = RefundDecision.objects.get(refund=refused.value.refund)
        assert (decision.origin, decision.reason) == ("receipt", "quality")
        # Asked for at the counter by the same member, it passes.
        assert ask(shop, payment, 1, reason_code="quality").state == RefundState.READY


class TestFacts:
    def test_all_that_is_weighed(self, shop: Shop, account: PlatformAccount) -> None:
        first = make_paid(shop, account, minor=30_000, now=NOW - 20 * DAY)
        other = make_paid(shop, account, minor=10_000, now=NOW - 20 * DAY)
        Payment.objects.filter(pk=other.pk).update(payer_hash="somebody else")
        ask(shop, first, 1_000, at=NOW - 10 * DAY)
        ask(shop, first, 2_000, at=NOW - 3 * DAY, role="owner")
        ask(shop, other, 400, at=NOW - timedelta(hours=3))
        gone = ask(shop, other, 9_600, at=NOW - timedelta(hours=2), role="cashier")
        # It holds nothing any more, so it is counted no more.
        Refund.objects.filter(pk=gone.pk).update(state=RefundState.FAILED)
        requesting.give_back_reserve(gone)
        refund = ask(shop, first, 5_001, reason_code="mistake")
        facts = selectors.facts_of(RefundDecision.objects.get(refund=refund))
        assert facts == {
            "amount": 5_001,
            "total": 8_001,
            # 26.67 %, rounded up.
            "share": 2_667,
            "age": 20 * 24 * 60,
            "minute": 12 * 60,
            "payer_count_1": 1,
            "payer_count_7": 2,
            "payer_count_30": 3,
            "payer_sum_1": 5_001,
            "payer_sum_7": 7_001,
            "payer_sum_30": 8_001,
            "asker_count_1": 2,
            "asker_count_7": 2,
            "asker_count_30": 3,
            "asker_sum_1": 5_401,
            "asker_sum_7": 5_401,
            "asker_sum_30": 6_401,
            "store_count_1": 2,
            "store_sum_1": 5_401,
            "store": str(shop.store.pk),
            "code": "",
            "platform": "wechatpay",
            "asker": "cashier",
            "reason": "mistake",
            "origin": "member",
        }

    def test_an_unknown_payer_is_counted_by_the_payment(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        put_in_force(rule("one", payer_count_7={"over": 1}))
        payments = [make_paid(shop, account) for _one in range(2)]
        Payment.objects.update(payer_hash="")
        assert ask(shop, payments[0], 1).state == RefundState.READY
        assert ask(shop, payments[1], 1).state == RefundState.READY
        assert ask(shop, payments[0], 1).state == RefundState.WAITING

    def test_splitting_does_not_get_around_a_threshold(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        put_in_force(rule("one", total={"over": 500}), rule("two", share={"over": 5_000}))
        payment = make_paid(shop, account, minor=10_000)
        assert ask(shop, payment, 300).state == RefundState.READY
        assert ask(shop, payment, 201).state == RefundState.WAITING

    def test_assessing_costs_at_most_three_statements_more(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        """Before there were books: the rule's version. Now: the version, the counts' lock, the facts, the decision."""
        put_in_force(rule("one", asker_sum_1={"over": 10**6}))
        payment = make_paid(shop, account)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            ask(shop, payment, 1)
        texts = [query["sql"] for query in queries]
        ours = [
            text
            for text in texts
            if any(
                word in text
                for word in (
                    "refunds_refundrule",
                    "refunds_refunddecision",
                    "refund-counts",
                    "pg_advisory",
                )
            )
        ]
        assert len(ours) == 4

    def test_decisions_and_versions_are_append_only(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        put_in_force(otherwise="one")
        ask(shop, make_paid(shop, account), 1)
        for change in (
            lambda: RefundDecision.objects.update(outcome="at_once"),
            lambda: RefundRuleBook.objects.update(effective_at=NOW),
            lambda: RefundDecision.objects.all().delete(),
        ):
            with pytest.raises(DatabaseError), transaction.atomic():
                change()


class TestTwoAtOnce:
    THREADS = 6

    def _together(self, shop: Shop, payments: list[Payment]) -> list[str]:
        start = threading.Barrier(self.THREADS)
        states: list[str] = []

        def run(payment: Payment) -> None:
            try:
                with enter_scope(shop.scope):
                    start.wait()
                    states.append(ask(shop, payment, 100).state)
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=(payment,)) for payment in payments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return states

    @pytest.fixture
    def paid(self, transactional_db: None) -> tuple[Shop, list[Payment]]:
        shop = make_shop()
        with enter_scope(shop.scope):
            put_in_force(rule("one", asker_count_1={"over": 1}))
            account = make_account(shop)
            return shop, [make_paid(shop, account) for _one in range(self.THREADS)]

    def test_one_of_many_at_once_passes(self, paid: tuple[Shop, list[Payment]]) -> None:
        states = self._together(*paid)
        assert sorted(states) == ["ready", *["waiting"] * (self.THREADS - 1)]

    def test_without_the_lock_several_pass(
        self, paid: tuple[Shop, list[Payment]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked = threading.Barrier(self.THREADS)
        weigh = selectors.rules.weigh

        def weigh_together(*args: Any, **kwargs: Any) -> Any:
            facts = weigh(*args, **kwargs)
            looked.wait()
            return facts

        monkeypatch.setattr(requesting, "goes_by_counts", lambda book: False)
        monkeypatch.setattr(selectors.rules, "weigh", weigh_together)
        assert self._together(*paid) == ["ready"] * self.THREADS


def content_of(*rules: dict[str, Any], otherwise: str = "at_once") -> dict[str, Any]:
    return {"rules": list(rules), "otherwise": otherwise}


def write(shop: Shop, content: Any, revision: int = 0) -> RefundRuleDraft:
    return services.write_draft(
        content=content, revision=revision, member=shop["owner"], actor=DESK, now=NOW
    )


def publish(shop: Shop, draft: RefundRuleDraft, at: Any = None) -> RefundRuleDraft:
    return services.publish_draft(
        revision=draft.revision, effective_at=at, member=shop["owner"], actor=DESK, now=NOW
    )


class TestDrafts:
    def test_a_version_holds_from_its_moment_on(self, shop: Shop, account: PlatformAccount) -> None:
        done = publish(shop, write(shop, content_of(otherwise="one")), NOW + DAY)
        assert done.state == DraftState.PUBLISHED
        assert selectors.book_in_force(NOW).number == 0
        assert selectors.planned_book(NOW).number == 1  # type: ignore[union-attr]
        assert selectors.book_in_force(NOW + DAY - timedelta(seconds=1)).number == 0
        assert selectors.book_in_force(NOW + DAY).number == 1
        payment = make_paid(shop, account)
        assert ask(shop, payment, 1).state == RefundState.READY
        assert ask(shop, payment, 1, at=NOW + DAY).state == RefundState.WAITING

    def test_a_newer_version_replaces_what_was_planned(self, shop: Shop) -> None:
        publish(shop, write(shop, content_of(otherwise="one")), NOW + DAY)
        publish(shop, write(shop, content_of(otherwise="two"), revision=0))
        assert selectors.book_in_force(NOW).number == 2
        assert selectors.book_in_force(NOW + 2 * DAY).number == 2
        assert selectors.planned_book(NOW) is None

    def test_of_two_writers_the_second_reads_first(self, shop: Shop) -> None:
        draft = write(shop, content_of(otherwise="one"))
        with pytest.raises(services.ChangedMeanwhile):
            write(shop, content_of(otherwise="two"))
        second = write(shop, content_of(otherwise="two"), draft.revision)
        for seen in (draft.revision - 1, draft.revision):
            with pytest.raises(services.ChangedMeanwhile):
                services.drop_draft(
                    revision=seen if seen != second.revision else 0, actor=DESK, now=NOW
                )
        services.drop_draft(revision=second.revision, actor=DESK, now=NOW)
        assert selectors.current_draft() is None
        # What stood in a form of the first draft fits no later one.
        third = write(shop, content_of())
        assert third.revision > second.revision

    def test_what_is_no_book_is_not_kept(self, shop: Shop) -> None:
        for content in (
            {},
            content_of(rule("fly")),
            content_of(rule("one", share={"over": 10_001})),
        ):
            with pytest.raises(BadBook):
                write(shop, content)
        assert not RefundRuleDraft.objects.exists()

    def test_rules_that_never_decide_are_not_published(self, shop: Shop) -> None:
        draft = write(
            shop,
            content_of(rule("one", total={"over": 100}), rule("refuse", amount={"over": 200})),
        )
        with pytest.raises(services.NotPublishable) as refused:
            publish(shop, draft)
        assert [(one.number, one.code, one.by) for one in refused.value.problems] == [
            (2, "contradicted", (1,))
        ]
        assert not RefundRuleBook.objects.exists()

    def test_a_moment_that_has_passed_is_refused(self, shop: Shop) -> None:
        with pytest.raises(services.NotPublishable):
            publish(shop, write(shop, content_of()), NOW - DAY)


@dataclass
class Owners:
    """A shop with two owners."""

    shop: Shop
    second: Any


@pytest.fixture
def owners(shop: Shop) -> Owners:
    second = make_user("second@tea.test")
    Membership.objects.create(merchant=shop.merchant, user=second, role=Role.OWNER)
    return Owners(shop, second)


class TestFourEyes:
    def _decide(self, approval: Approval, member: Any, *, approved: bool) -> Approval:
        draft = RefundRuleDraft.objects.get(pk=approval.subject_id)
        return confirm(
            approval_id=approval.pk,
            member=member,
            permissions=permissions_of(Role.OWNER, all_stores=True),
            approved=approved,
            digest=draft_digest(draft),
            reason="x",
            second_factor=False,
            actor=DESK,
            now=NOW,
        )

    def test_another_owner_confirms_what_is_published(self, owners: Owners) -> None:
        draft = publish(owners.shop, write(owners.shop, content_of(otherwise="one")))
        assert draft.state == DraftState.WAITING
        assert selectors.book_in_force(NOW).number == 0
        with pytest.raises(services.ChangedMeanwhile):
            write(owners.shop, content_of(), draft.revision)
        self._decide(draft.approval, owners.second, approved=True)
        book = selectors.book_in_force(NOW)
        assert (book.number, book.content, book.made_by) == (1, draft.content, owners.shop["owner"])
        assert book.approval == draft.approval
        assert selectors.current_draft() is None

    def test_what_is_refused_is_a_draft_again(self, owners: Owners) -> None:
        draft = publish(owners.shop, write(owners.shop, content_of(otherwise="one")))
        self._decide(draft.approval, owners.second, approved=False)
        draft.refresh_from_db()
        assert draft.state == DraftState.OPEN
        assert not RefundRuleBook.objects.exists()

    def test_taking_it_back_makes_it_a_draft_again(self, owners: Owners) -> None:
        draft = publish(owners.shop, write(owners.shop, content_of(otherwise="one")))
        services.drop_draft(revision=draft.revision, actor=DESK, now=NOW)
        draft.refresh_from_db()
        assert draft.state == DraftState.OPEN
        assert draft.approval.state == "voided"

    def test_rules_changed_in_between_are_not_confirmed(self, owners: Owners) -> None:
        draft = publish(owners.shop, write(owners.shop, content_of(otherwise="one")))
        signed = draft_digest(draft)
        RefundRuleDraft.objects.filter(pk=draft.pk).update(content=content_of())
        with pytest.raises(Stale):
            confirm(
                approval_id=draft.approval_id or 0,
                member=owners.second,
                permissions=permissions_of(Role.OWNER, all_stores=True),
                approved=True,
                digest=signed,
                reason="",
                second_factor=False,
                actor=DESK,
                now=NOW,
            )
        assert not RefundRuleBook.objects.exists()


NUMBERS = st.sampled_from([50, 100, 150, 200, 300, 500])
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.fixed_dictionaries({"over": NUMBERS}),
        "total": st.fixed_dictionaries({"over": NUMBERS}),
        "share": st.fixed_dictionaries({"up_to": st.sampled_from([1_000, 2_500, 5_000])}),
        "age": st.fixed_dictionaries({"over": st.sampled_from([60, 1_440, 20_000])}),
        "minute": st.fixed_dictionaries({"from": st.just(1_320), "until": st.just(750)}),
        "payer_count_7": st.fixed_dictionaries({"over": st.integers(1, 3)}),
        "asker_sum_1": st.fixed_dictionaries({"over": NUMBERS}),
        "store_count_1": st.fixed_dictionaries({"over": st.integers(1, 4)}),
        "asker": st.sampled_from([{"is": ["cashier"]}, {"is": ["owner", "manager"]}]),
        "reason": st.sampled_from([{"is": ["quality"]}, {"is": ["other", "mistake"]}]),
        "platform": st.sampled_from([{"is": ["wechatpay"]}, {"is": ["alipay"]}]),
    },
)
BOOKS = st.fixed_dictionaries(
    {
        "rules": st.lists(
            st.fixed_dictionaries(
                {"when": CONDITIONS, "outcome": st.sampled_from(sorted(OUTCOMES))}
            ),
            max_size=4,
        ),
        "otherwise": st.sampled_from(sorted(OUTCOMES)),
    }
)
ASKED = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(1, 300),
        st.sampled_from(["cashier", "owner", "manager"]),
        st.sampled_from(["", "quality", "mistake"]),
        st.integers(0, 3_000),
    ),
    min_size=1,
    max_size=8,
)


class TestSimulation:
    @settings(
        max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
    )
    @given(book=BOOKS, other=BOOKS, asked=ASKED)
    def test_it_says_what_the_live_rules_said(
        self, shop: Shop, account: PlatformAccount, book: Any, other: Any, asked: Any
    ) -> None:
        """The same refunds under the same book: asked for one by one, and replayed by one statement."""
        with transaction.atomic():
            point = transaction.savepoint()
            put_in_force(*book["rules"], otherwise=book["otherwise"])
            payments = [make_paid(shop, account, minor=1_000, now=NOW - DAY) for _n in range(3)]
            at = NOW
            for which, minor, role, reason, minutes in asked:
                at += timedelta(minutes=minutes)
                if (
                    minor
                    <= selectors.left_to_refund(Payment.objects.get(pk=payments[which].pk)).minor
                ):
                    ask(shop, payments[which], minor, at=at, role=role, reason_code=reason)
            decisions = list(RefundDecision.objects.order_by("pk"))
            live, draft = refund_book(book), refund_book(other)
            result = selectors.simulate(draft=draft, today=live, now=at + timedelta(seconds=1))
            found = {
                (refund_id, group.today_rule, group.draft_rule)
                for group in result.groups
                for refund_id in group.refund_ids
            }
            assert found == {
                (one.refund_id, one.rule_number, decide(draft, selectors.facts_of(one)))
                for one in decisions
            }
            assert result.count == len(decisions)
            for one in decisions:
                assert one.outcome == live.outcome_of(one.rule_number)
            transaction.savepoint_rollback(point)

    def test_sums_and_differences(self, shop: Shop, account: PlatformAccount) -> None:
        payment = make_paid(shop, account, minor=100_000)
        for minor in (100, 200, 30_000):
            ask(shop, payment, minor)
        draft = refund_book(
            content_of(rule("refuse", amount={"over": 20_000}), rule("one", amount={"over": 150}))
        )
        today = refund_book(selectors.default_book().content)
        result = selectors.simulate(draft=draft, today=today, now=NOW + timedelta(minutes=1))
        assert result.sums(["at_once"], draft=False) == selectors.Sums(2, 300)
        assert result.sums(["one"], draft=False) == selectors.Sums(1, 30_000)
        assert result.sums(["at_once"], draft=True) == selectors.Sums(1, 100)
        assert [(one.today, one.draft, one.sum_minor) for one in result.changed] == [
            ("one", "refuse", 30_000),
            ("at_once", "one", 200),
        ]
        assert result.decided(1) == selectors.Sums(1, 30_000)
        assert selectors.simulate(draft=draft, today=today, now=NOW + 91 * DAY).count == 0

    def test_it_is_one_statement(
        self, shop: Shop, account: PlatformAccount, django_assert_num_queries: Any
    ) -> None:
        book = refund_book(content_of(rule("one", amount={"over": 1})))
        with django_assert_num_queries(1):
            selectors.simulate(draft=book, today=book, now=NOW)


def test_refunds_from_before_get_the_decisions_they_had(
    shop: Shop, account: PlatformAccount
) -> None:
    """What the migration computes from the books is what was weighed when they were asked for."""
    migration = importlib.import_module("apps.refunds.migrations.0007_rules_history")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE refunds_refundrule (merchant_id bigint, version int, threshold_minor bigint,"
            " confirmations int, created_at timestamptz, created_by_id bigint) ON COMMIT DROP"
        )
        cursor.execute(
            "INSERT INTO refunds_refundrule VALUES (%s, 1, 500, 1, %s, NULL), (%s, 2, 0, 2, %s, NULL)",
            [shop.merchant.pk, NOW - 40 * DAY, shop.merchant.pk, NOW - DAY],
        )
        cursor.execute(migration.BOOKS, {"merchant": shop.merchant.pk})
    payments = [make_paid(shop, account, minor=9_000, now=NOW - 40 * DAY) for _one in range(2)]
    Payment.objects.filter(pk=payments[1].pk).update(payer_hash="")
    at = NOW - 39 * DAY
    for number in range(8):
        ask(
            shop,
            payments[number % 2],
            100 + 150 * number,
            at=at,
            role=("cashier", "owner")[number % 3 == 0],
        )
        at += timedelta(days=5, minutes=number * 77)
    check_now()
    names = ("book_number", "rule_number", "outcome", "payer", "asked_by_id", *FACTS)
    before = list(RefundDecision.objects.order_by("refund_id").values(*names))
    assert {row["rule_number"] for row in before} == {0, 1}
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.allow_truncate', 'on', true)")
        cursor.execute("TRUNCATE refunds_refunddecision")
        cursor.execute(migration.DECISIONS, {"merchant": shop.merchant.pk})
    assert list(RefundDecision.objects.order_by("refund_id").values(*names)) == before
    assert RefundDecision.objects.filter(is_rebuilt=True).count() == 8
