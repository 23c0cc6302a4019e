"""Refunds of many payments: the preview says what happens, each payment is refunded once, nothing passes what was confirmed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import NotAllowed, Stale, decide
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Store
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.gateway import (
    Outcome,
    PaymentResult,
    PlatformRejected,
    RefundRequest,
    RefundResult,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.services import pacing, rounds
from apps.platforms.tests.fakes import FakeGateway
from apps.refunds import services
from apps.refunds.models import (
    BatchRowState,
    BatchState,
    Refund,
    RefundBatch,
    RefundBatchRow,
    RefundDecision,
    RefundRuleBook,
    RefundState,
)
from apps.refunds.rulefacts import FACTS
from apps.refunds.selectors import MOST_ROWS, progress_of
from apps.refunds.services import batch_running, sending
from apps.refunds.services.batches import batch_digest
from apps.refunds.tests.batching import look, rows_of, run_dues, start, unguarded, wish


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop, platform="alipay")


class Open(FakeGateway):
    """Knows every payment that a refund names."""

    def refund(self, request: RefundRequest) -> RefundResult:
        paid = PaymentResult(
            outcome=Outcome.SUCCEEDED, order_no=request.order_no, amount=request.order_amount
        )
        self.payments.setdefault(request.order_no, paid)
        return super().refund(request)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    platform = Open(refund_outcome=Outcome.SUCCEEDED)
    monkeypatch.setattr(sending, "gateway_of", lambda _account, **_caller: platform)
    monkeypatch.setattr(rounds, "gateways_of", lambda callers: [platform] * len(callers))
    yes = pacing.Admission(calls=1, starts_at=NOW, interval=timedelta(0), again_at=NOW, reason="")
    monkeypatch.setattr(pacing, "take_one", lambda _account, *, now: yes)
    return platform


def pay(shop: Shop, account: PlatformAccount, *amounts: int) -> list[Payment]:
    """Paid a second apart, so that they have an order."""
    return [
        make_paid(shop, account, minor=minor, now=NOW - timedelta(hours=1, seconds=-number))
        for number, minor in enumerate(amounts)
    ]


def publish(content: dict[str, Any]) -> None:
    RefundRuleBook.objects.create(
        number=RefundRuleBook.objects.count() + 1,
        content=content,
        effective_at=NOW - timedelta(days=1),
        published_at=NOW,
    )


AT_ONCE = {"rules": [], "otherwise": "at_once"}


def refund_one(shop: Shop, payment: Payment, minor: int) -> Refund:
    return services.request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="x",
        member=shop["manager"],
        actor=Actor("t"),
        now=NOW,
    )


def vote(shop: Shop, approval: Approval, role: str, *, approved: bool = True) -> Approval:
    return decide(
        approval_id=approval.pk,
        member=shop[role],
        permissions=permissions_of(role, all_stores=True),
        approved=approved,
        digest=bytes(approval.digest),
        reason="",
        second_factor=False,
        actor=Actor(shop[role].email, shop[role].pk),
        now=NOW,
    )


class TestPreview:
    def test_what_goes_back_and_what_is_left_out(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        publish(AT_ONCE)
        first, second, third = pay(shop, account, 1_000, 2_000, 3_000)
        old = make_paid(shop, make_account(shop), minor=500, now=NOW - timedelta(days=400))
        refund_one(shop, first, 1_000)
        refund_one(shop, second, 500)
        choice = look(shop, wish())
        assert {why: part.count for why, part in choice.left_out.items()} == {
            "refunded": 1,
            "window": 1,
        }
        assert (choice.whole.count, choice.whole.minor) == (2, 1_500 + 3_000)
        assert [(row.payment.pk, row.amount_minor) for row in choice.rows] == [
            (second.pk, 1_500),
            (third.pk, 3_000),
        ]
        assert {row.payment.pk: row.why for row in choice.left_rows} == {
            first.pk: "refunded",
            old.pk: "window",
        }
        assert choice.confirmations == 0

    @pytest.mark.parametrize(
        ("share", "amounts", "left_out"),
        [
            ({"share_kind": "percent", "share_value": 5_000}, [500, 1_000, 2], {}),
            ({"share_kind": "percent", "share_value": 1}, [], {"nothing": 3}),
            ({"share_kind": "percent", "share_value": 10_000}, [1_000, 2_000, 3], {}),
            ({"share_kind": "fixed", "share_value": 1_500}, [1_500], {"left": 2}),
            ({"share_kind": "fixed", "share_value": 3}, [3, 3, 3], {}),
        ],
    )
    def test_how_much_of_each(
        self,
        shop: Shop,
        account: PlatformAccount,
        share: dict[str, Any],
        amounts: list[int],
        left_out: dict[str, int],
    ) -> None:
        pay(shop, account, 1_000, 2_000, 3)
        choice = look(shop, wish(**share))
        assert [row.amount_minor for row in choice.rows] == amounts
        assert {why: part.count for why, part in choice.left_out.items()} == left_out

    def test_what_narrows_it(self, shop: Shop, account: PlatformAccount) -> None:
        payments = pay(shop, account, 1_000, 2_000, 3_000)
        today = NOW.date()
        for narrowed, found in (
            ({"amount_min": 2_000}, payments[1:]),
            ({"amount_max": 2_000}, payments[:2]),
            ({"amount_min": 2_000, "amount_max": 2_000}, payments[1:2]),
            ({"date_from": today, "date_to": today}, payments),
            ({"date_to": today - timedelta(days=1)}, []),
            ({"store_id": shop.store.pk}, payments),
            ({"store_id": shop.store.pk + 999}, []),
            ({"platform": "alipay"}, payments),
            ({"platform": "unionpay"}, []),
            ({"code_kind": "event"}, []),
            ({"code_id": 5}, []),
        ):
            choice = look(shop, wish(**narrowed))
            assert [row.payment.pk for row in choice.rows] == [row.pk for row in found], narrowed

    def test_a_store_limited_member_reaches_only_the_own_stores(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        pay(shop, account, 1_000)
        other = Store.objects.create(name="二号店")
        with enter_scope(Scope(shop.merchant.pk, frozenset({other.pk}))):
            assert look(shop, wish()).whole.count == 0
        batch = start(shop, wish())
        with enter_scope(Scope(shop.merchant.pk, frozenset({other.pk}))):
            assert not RefundBatch.seen().filter(pk=batch.pk).exists()
        with enter_scope(Scope(shop.merchant.pk, frozenset({other.pk, shop.store.pk}))):
            assert RefundBatch.seen().filter(pk=batch.pk).exists()

    @pytest.mark.parametrize("count", [2, 30])
    def test_costs_the_same_however_many(
        self, shop: Shop, account: PlatformAccount, count: int
    ) -> None:
        pay(shop, account, *[1_000] * count)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            look(shop, wish())
        # Two of them are the savepoint's.
        assert len(seen) == 11

    @pytest.mark.parametrize(
        "rules",
        [
            [{"when": {"total": {"over": 1_500}}, "outcome": "one"}],
            [{"when": {"asker_count_1": {"over": 2}}, "outcome": "two_finance"}],
            [{"when": {"payer_sum_7": {"over": 3_000}}, "outcome": "one_finance"}],
            [
                {"when": {"store_count_1": {"over": 3}}, "outcome": "refuse"},
                {"when": {"share": {"up_to": 5_000}}, "outcome": "two"},
            ],
            [{"when": {"age": {"over": 59}, "platform": {"is": ["alipay"]}}, "outcome": "one"}],
            [{"when": {"reason": {"is": ["out_of_stock"]}}, "outcome": "one"}],
        ],
    )
    @pytest.mark.parametrize("percent", [10_000, 4_000])
    def test_the_rules_say_of_each_row_what_they_say_one_by_one(
        self,
        shop: Shop,
        account: PlatformAccount,
        rules: list[dict[str, Any]],
        percent: int,
    ) -> None:
        """The slow, obvious way: each row asked for by itself, one after the other."""
        publish({"rules": rules, "otherwise": "at_once"})
        payments = pay(shop, account, 1_000, 2_000, 500, 4_000, 1_200)
        refund_one(shop, payments[1], 300)
        wanted = wish(
            share_kind="percent", share_value=percent, reason_code="out_of_stock", date_from=None
        )
        choice = look(shop, wanted)
        said = {row.payment.pk: row.outcome for row in choice.rows}
        said |= {row.payment.pk: "refuse" for row in choice.left_rows if row.why == "rules"}
        amounts = {row.payment.pk: row.amount_minor for row in (*choice.rows, *choice.left_rows)}
        slow = {}
        for payment in payments:
            payment.refresh_from_db()
            if amounts[payment.pk] > payment.amount_minor - payment.refund_reserved_minor:
                continue
            refund = services.request_refund(
                payment_id=payment.pk,
                amount=Money(amounts[payment.pk]),
                reason=wanted.reason,
                reason_code=wanted.reason_code,
                member=shop["manager"],
                actor=Actor("t"),
                now=NOW,
            )
            slow[payment.pk] = RefundDecision.objects.get(refund=refund).outcome
        assert said == slow

    def test_too_many_for_one_batch(
        self, shop: Shop, account: PlatformAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert MOST_ROWS == 20_000
        pay(shop, account, 1, 2, 3)
        from apps.refunds.selectors import choosing

        monkeypatch.setattr(choosing, "MOST_ROWS", 2)
        choice = look(shop, wish())
        assert choice.is_too_many
        with pytest.raises(services.BatchChanged):
            start(shop, wish(), shown=choice)


class TestConfirming:
    def test_small_rows_of_a_small_sum_begin_at_once(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        pay(shop, account, 10_000, 10_000)
        batch = start(shop, wish())
        assert (batch.state, batch.confirmations) == (BatchState.RUNNING, 0)
        assert Due.objects.filter(task="refunds.batch", subject_id=batch.pk).count() == 1

    def test_a_sum_over_the_threshold_wants_one_confirmation_for_all(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        """¥200.00 is the portal's own threshold: each row is below it, all together one fen above."""
        pay(shop, account, 10_000, 10_001)
        choice = look(shop, wish())
        assert (choice.confirmations, choice.by_sum) == (1, True)
        batch = start(shop, wish())
        assert batch.state == BatchState.WAITING
        assert Approval.objects.count() == 1
        run_dues()
        assert Refund.objects.count() == 0

    def test_one_row_over_it_is_enough(self, shop: Shop, account: PlatformAccount) -> None:
        pay(shop, account, 100, 20_001)
        choice = look(shop, wish())
        assert (choice.confirmations, choice.by_sum) == (1, False)

    def test_the_strictest_holds(self, shop: Shop, account: PlatformAccount) -> None:
        publish(
            {
                "rules": [
                    {"when": {"amount": {"up_to": 100}}, "outcome": "one_finance"},
                    {"when": {"amount": {"over": 900}}, "outcome": "two"},
                ],
                "otherwise": "at_once",
            }
        )
        pay(shop, account, 50, 500)
        assert look(shop, wish(amount_max=60)).permission == "refunds.approve_finance"
        choice = look(shop, wish())
        assert choice.confirmations == 1
        pay(shop, account, 1_000)
        choice = look(shop, wish())
        assert (choice.confirmations, choice.permission) == (2, "refunds.approve_finance")

    def test_a_sum_that_would_be_refused_wants_the_most(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        publish(
            {
                "rules": [{"when": {"total": {"over": 1_000}}, "outcome": "refuse"}],
                "otherwise": "at_once",
            }
        )
        pay(shop, account, 600, 600, 1_001)
        choice = look(shop, wish())
        assert choice.left_out["rules"].count == 1
        assert (choice.confirmations, choice.permission) == (2, "refunds.approve_finance")

    def test_it_runs_once_another_member_has_confirmed(
        self, shop: Shop, account: PlatformAccount, platform: FakeGateway
    ) -> None:
        payments = pay(shop, account, 30_000, 40_000)
        batch = start(shop, wish())
        with pytest.raises(NotAllowed):
            vote(shop, batch.approval, "manager")
        vote(shop, batch.approval, "finance")
        run_dues()
        batch.refresh_from_db()
        assert batch.state == BatchState.DONE
        assert rows_of(batch) == {payment.pk: "made" for payment in payments}
        refunds = list(Refund.objects.all())
        assert {refund.state for refund in refunds} == {RefundState.SUCCEEDED}
        # Each refund names the confirmation of the whole.
        assert {refund.approval_id for refund in refunds} == {batch.approval_id}
        assert Approval.objects.count() == 1

    def test_a_changed_row_voids_it(self, shop: Shop, account: PlatformAccount) -> None:
        pay(shop, account, 30_000)
        batch = start(shop, wish())
        with unguarded():
            RefundBatchRow.objects.update(amount_minor=29_999)
        with pytest.raises(Stale):
            vote(shop, batch.approval, "finance")
        batch.refresh_from_db()
        assert batch.state == BatchState.CANCELLED
        assert set(rows_of(batch).values()) == {"cancelled"}

    def test_the_digest_covers_list_sum_and_reason(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        pay(shop, account, 30_000, 100)
        batch = start(shop, wish())
        seen = {batch_digest(batch)}
        for name, value in (("reason", "y"), ("total_minor", 5), ("total_count", 5)):
            changed = RefundBatch.objects.get(pk=batch.pk)
            setattr(changed, name, value)
            seen.add(batch_digest(changed))
        row = RefundBatchRow.objects.order_by("pk")[0]
        with unguarded():
            RefundBatchRow.objects.filter(pk=row.pk).update(amount_minor=1)
            seen.add(batch_digest(batch))
            RefundBatchRow.objects.filter(pk=row.pk).delete()
            seen.add(batch_digest(batch))
        assert len(seen) == 6

    def test_refused_nothing_is_done(self, shop: Shop, account: PlatformAccount) -> None:
        pay(shop, account, 30_000)
        batch = start(shop, wish())
        vote(shop, batch.approval, "finance", approved=False)
        run_dues()
        batch.refresh_from_db()
        assert batch.state == BatchState.REFUSED
        assert Refund.objects.count() == 0

    def test_withdrawn_before_it_is_confirmed(self, shop: Shop, account: PlatformAccount) -> None:
        pay(shop, account, 30_000)
        batch = start(shop, wish())
        services.cancel_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        assert Approval.objects.get().state == ApprovalState.VOIDED
        batch.refresh_from_db()
        assert batch.state == BatchState.CANCELLED

    def test_what_was_shown_and_has_changed_is_not_done(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        payments = pay(shop, account, 1_000, 2_000)
        shown = look(shop, wish())
        refund_one(shop, payments[0], 1)
        with pytest.raises(services.BatchChanged):
            start(shop, wish(), shown=shown)
        assert RefundBatch.objects.count() == 0

    def test_sent_twice_it_is_one_batch(self, shop: Shop, account: PlatformAccount) -> None:
        pay(shop, account, 1_000)
        shown = look(shop, wish())
        first = start(shop, wish(), shown=shown)
        assert start(shop, wish(), shown=shown).pk == first.pk
        # What one batch is about to do another leaves alone.
        again = look(shop, wish())
        assert {why: part.count for why, part in again.left_out.items()} == {"in_batch": 1}


class TestRunning:
    @pytest.fixture(autouse=True)
    def _rules(self, shop: Shop) -> None:
        publish(AT_ONCE)

    def test_in_portions_and_each_once(
        self,
        shop: Shop,
        account: PlatformAccount,
        platform: FakeGateway,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(batch_running, "PORTION", 3)
        payments = pay(shop, account, *range(100, 108))
        batch = start(shop, wish())
        assert services.run_batch(batch_id=batch.pk, now=NOW) is not None
        assert Refund.objects.count() == 3
        # Not sent yet: no further ones are made.
        assert services.run_batch(batch_id=batch.pk, now=NOW) is not None
        assert Refund.objects.count() == 3
        run_dues()
        batch.refresh_from_db()
        assert batch.state == BatchState.DONE
        assert progress_of(batch).of("done").minor == sum(range(100, 108))
        for payment in payments:
            payment.refresh_from_db()
            assert payment.refunded_minor == payment.amount_minor
        assert AuditEvent.objects.filter(action="refund_batch.done").count() == 1

    def test_a_worker_killed_after_any_row_leaves_the_rest_to_the_next(
        self,
        shop: Shop,
        account: PlatformAccount,
        platform: FakeGateway,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        class Killed(BaseException):
            pass

        pay(shop, account, 100, 200, 300)
        batch = start(shop, wish())
        make = batch_running._make_next
        done: list[int] = []

        def die(*args: Any, **facts: Any) -> bool:
            if done:
                raise Killed
            done.append(1)
            return make(*args, **facts)

        with monkeypatch.context() as patch:
            patch.setattr(batch_running, "_make_next", die)
            with pytest.raises(Killed):
                services.run_batch(batch_id=batch.pk, now=NOW)
        assert Refund.objects.count() == 1
        run_dues()
        assert Refund.objects.count() == 3
        assert set(rows_of(batch).values()) == {"made"}

    def test_a_row_done_twice_makes_no_second_refund(
        self, shop: Shop, account: PlatformAccount, platform: FakeGateway
    ) -> None:
        """As after a restore that lost the row's state and not the refund: its number finds it."""
        (payment,) = pay(shop, account, 1_000)
        batch = start(shop, wish())
        services.run_batch(batch_id=batch.pk, now=NOW)
        RefundBatchRow.objects.update(state=BatchRowState.PLANNED, refund=None)
        RefundBatch.objects.update(state=BatchState.RUNNING)
        services.run_batch(batch_id=batch.pk, now=NOW)
        assert Refund.objects.count() == 1
        payment.refresh_from_db()
        assert payment.refund_reserved_minor == 1_000
        assert rows_of(batch) == {payment.pk: "made"}

    def test_what_cannot_be_made_says_why(
        self, shop: Shop, account: PlatformAccount, platform: FakeGateway
    ) -> None:
        first, second = pay(shop, account, 1_000, 2_000)
        batch = start(shop, wish())
        refund_one(shop, first, 1)
        run_dues()
        assert rows_of(batch) == {first.pk: "refused:left", second.pk: "made"}

    def test_rules_that_ask_for_more_than_was_confirmed(
        self, shop: Shop, account: PlatformAccount, platform: FakeGateway
    ) -> None:
        first, second = pay(shop, account, 1_000, 2_000)
        batch = start(shop, wish())
        publish(
            {
                "rules": [{"when": {"amount": {"over": 1_500}}, "outcome": "one"}],
                "otherwise": "at_once",
            }
        )
        run_dues()
        assert rows_of(batch) == {first.pk: "made", second.pk: "refused:needs_more"}
        publish({"rules": [], "otherwise": "refuse"})
        services.retry_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        run_dues()
        assert rows_of(batch) == {first.pk: "made", second.pk: "refused:rules"}

    def test_paused_nothing_more_is_made(
        self, shop: Shop, account: PlatformAccount, platform: FakeGateway
    ) -> None:
        pay(shop, account, 100, 200)
        batch = start(shop, wish())
        services.pause_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        assert services.run_batch(batch_id=batch.pk, now=NOW) is None
        assert Refund.objects.count() == 0
        with pytest.raises(services.NotNow):
            services.pause_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        services.resume_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        run_dues()
        assert Refund.objects.count() == 2

    def test_stopped_what_is_not_sent_is_taken_back(
        self,
        shop: Shop,
        account: PlatformAccount,
        platform: FakeGateway,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(batch_running, "PORTION", 2)
        first, second, third = pay(shop, account, 100, 200, 300)
        batch = start(shop, wish())
        services.run_batch(batch_id=batch.pk, now=NOW)
        sent = Refund.objects.get(payment=first)
        services.send_refund(refund_id=sent.pk, now=NOW)
        services.cancel_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        states = {refund.payment_id: refund.state for refund in Refund.objects.all()}
        assert states == {first.pk: RefundState.SUCCEEDED, second.pk: RefundState.CANCELLED}
        assert rows_of(batch)[third.pk] == "cancelled"
        second.refresh_from_db()
        assert second.refund_reserved_minor == 0
        # A worker that was told to send it before finds that it is gone.
        taken = Refund.objects.get(payment=second)
        assert services.send_refund(refund_id=taken.pk, now=NOW) is None
        run_dues()
        assert [name for name, _call in platform.calls].count("refund") == 1
        with pytest.raises(services.NotNow):
            services.resume_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)

    def test_what_failed_is_tried_again_under_a_new_number(
        self, shop: Shop, account: PlatformAccount, platform: FakeGateway
    ) -> None:
        first, second = pay(shop, account, 100, 200)
        batch = start(shop, wish())
        platform.fail_next("refund", PlatformRejected("no", code="INVALID_REQUEST"))
        run_dues()
        assert progress_of(batch).of("failed").count == 1
        failed = Refund.objects.get(state=RefundState.FAILED)
        services.retry_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        run_dues()
        batch.refresh_from_db()
        assert batch.state == BatchState.DONE
        assert progress_of(batch).of("done").count == 2
        again = Refund.objects.get(payment_id=failed.payment_id, state=RefundState.SUCCEEDED)
        assert again.refund_no != failed.refund_no
        for payment in (first, second):
            payment.refresh_from_db()
            assert payment.refunded_minor == payment.amount_minor
        with pytest.raises(services.NotNow):
            services.retry_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)

    def test_a_row_that_cannot_be_made_stops_no_other(
        self,
        shop: Shop,
        account: PlatformAccount,
        platform: FakeGateway,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Its account is of a platform that the portal has never heard of."""
        (first,) = pay(shop, make_account(shop, platform="unionpay"), 100)
        (second,) = pay(shop, account, 200)
        batch = start(shop, wish())
        PlatformAccount.objects.filter(pk=first.account_id).update(platform="nowhere")
        run_dues()
        assert rows_of(batch) == {first.pk: "refused:fault", second.pk: "made"}
        batch.refresh_from_db()
        assert batch.state == BatchState.DONE
        assert "could not be made" in caplog.text

    def test_what_the_platform_took_and_closed_is_tried_again(
        self, shop: Shop, account: PlatformAccount, platform: FakeGateway
    ) -> None:
        (payment,) = pay(shop, account, 200)
        batch = start(shop, wish())
        platform.refund_outcome = Outcome.PENDING
        run_dues()
        refund = Refund.objects.get()
        for outcome in (Outcome.PENDING, Outcome.FAILED):
            self.told(refund, outcome)
        refund.refresh_from_db()
        assert (refund.state, refund.accepted_at) == (RefundState.FAILED, NOW)
        services.retry_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        assert rows_of(batch)[payment.pk] == "planned"
        platform.refund_outcome = Outcome.SUCCEEDED
        run_dues()
        refund.refresh_from_db()
        assert refund.state == RefundState.FAILED
        assert Refund.objects.filter(payment=payment, state=RefundState.SUCCEEDED).count() == 1

    @staticmethod
    def told(refund: Refund, outcome: Outcome) -> None:
        services.apply_refund_result(
            refund_id=refund.pk,
            result=RefundResult(
                outcome=outcome,
                order_no=refund.payment.order_no,
                refund_no=refund.refund_no,
                amount=Money(refund.amount_minor),
                refunded_at=NOW if outcome is Outcome.SUCCEEDED else None,
            ),
            via="notice",
            now=NOW,
            actor=Actor("t"),
        )

    def test_what_went_out_after_all_is_not_paid_a_second_time(
        self, shop: Shop, account: PlatformAccount, platform: FakeGateway
    ) -> None:
        """The platform calls a refund failed, and pays it out between the retry and the next portion."""
        (payment,) = pay(shop, account, 200)
        batch = start(shop, wish(share_kind="percent", share_value=5_000))
        platform.fail_next("refund", PlatformRejected("no", code="INVALID_REQUEST"))
        run_dues()
        refund = Refund.objects.get(state=RefundState.FAILED)
        services.retry_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
        self.told(refund, Outcome.SUCCEEDED)
        run_dues()
        assert [one.pk for one in Refund.objects.filter(payment=payment)] == [refund.pk]
        payment.refresh_from_db()
        assert payment.refunded_minor == 100
        assert progress_of(batch).of("done").count == 1


class TestAtOnce:
    """Workers, and people, at the same moment."""

    THREADS = 8

    @pytest.fixture
    def begun(self, transactional_db: None) -> tuple[Shop, RefundBatch, list[Payment]]:
        shop = make_shop()
        with enter_scope(shop.scope):
            publish(AT_ONCE)
            payments = pay(shop, make_account(shop, platform="alipay"), *[1_000] * 12)
            return shop, start(shop, wish()), payments

    def together(self, work: Any) -> None:
        start_all = threading.Barrier(self.THREADS)

        def run() -> None:
            try:
                start_all.wait()
                work()
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(self.THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def test_many_workers_make_each_refund_once(
        self, begun: tuple[Shop, RefundBatch, list[Payment]]
    ) -> None:
        shop, batch, _payments = begun

        def work() -> None:
            with enter_scope(shop.scope):
                services.run_batch(batch_id=batch.pk, now=NOW)

        self.together(work)
        with enter_scope(shop.scope):
            services.run_batch(batch_id=batch.pk, now=NOW)
            assert Refund.objects.count() == 12
            assert set(rows_of(batch).values()) == {"made"}
            reserved = set(Payment.objects.values_list("refund_reserved_minor", flat=True))
            assert reserved == {1_000}

    def test_without_the_rows_lock_many_would_do_the_same_row(
        self, begun: tuple[Shop, RefundBatch, list[Payment]]
    ) -> None:
        """The same look without it: all see the same row as not yet done. Only the refund's number still holds."""
        shop, batch, _payments = begun
        looked = threading.Barrier(self.THREADS)
        seen: list[int] = []

        def work() -> None:
            with enter_scope(shop.scope):
                row = RefundBatchRow.objects.filter(batch=batch, state="planned").order_by("pk")[0]
                looked.wait()
                seen.append(row.pk)

        self.together(work)
        assert len(seen) == self.THREADS
        assert len(set(seen)) == 1

    def test_two_batches_of_the_same_payments(
        self, begun: tuple[Shop, RefundBatch, list[Payment]]
    ) -> None:
        """Whoever shows both pages at once: one batch takes a payment, the other says that things have changed."""
        shop, batch, _payments = begun
        with enter_scope(shop.scope):
            with unguarded():
                RefundBatchRow.objects.all().delete()
            batch.delete()
            shown = look(shop, wish())
        numbers = iter(range(100))
        made: list[str] = []

        def work() -> None:
            with enter_scope(shop.scope):
                try:
                    start(shop, wish(), shown=shown, nonce=f"n{next(numbers)}")
                    made.append("made")
                except services.BatchChanged:
                    made.append("changed")

        self.together(work)
        assert sorted(made) == ["changed"] * (self.THREADS - 1) + ["made"]

    def test_stopping_while_workers_run_leaves_no_row_in_between(
        self, begun: tuple[Shop, RefundBatch, list[Payment]]
    ) -> None:
        shop, batch, _payments = begun
        first = threading.Lock()
        stopped: list[bool] = []

        def work() -> None:
            with enter_scope(shop.scope):
                if first.acquire(blocking=False):
                    services.cancel_batch(batch_id=batch.pk, actor=Actor("t"), now=NOW)
                    stopped.append(True)
                else:
                    services.run_batch(batch_id=batch.pk, now=NOW)

        self.together(work)
        assert stopped == [True]
        with enter_scope(shop.scope):
            held = Refund.objects.exclude(state=RefundState.CANCELLED).count()
            assert held == 0
            assert set(Payment.objects.values_list("refund_reserved_minor", flat=True)) == {0}
            assert "planned" not in set(rows_of(batch).values())


def test_every_fact_of_the_rules_is_weighed() -> None:
    from apps.refunds.selectors.choosing_sql import COLUMNS

    assert COLUMNS.keys() == FACTS.keys()
