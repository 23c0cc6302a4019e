"""Refunds stay within what was paid, follow the rule, and need a second person above its threshold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import IntegrityError, transaction

from apps.approvals.models import Approval, Decision
from apps.approvals.services import NotAllowed, Stale, decide
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.ledger.models import JournalEntry
from apps.ledger.selectors import trial_balance
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop
from apps.payments.models import Payment
from apps.payments.services import ResultMismatch
from apps.payments.tests.factories import make_account, make_paid, make_payment
from apps.platforms.gateway import Outcome, RefundResult
from apps.platforms.models import PlatformAccount
from apps.refunds import selectors, services
from apps.refunds.models import Refund, RefundState
from apps.refunds.services.requesting import refund_digest

DESK = Actor("cashier@tea.test")


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


def ask(shop: Shop, payment: Payment, minor: int) -> Refund:
    return services.request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="茶凉了",
        member=shop["cashier"],
        actor=DESK,
        now=NOW,
    )


def answer(refund: Refund, outcome: Outcome, **changes: object) -> RefundResult:
    fields = {
        "outcome": outcome,
        "order_no": refund.payment.order_no,
        "refund_no": refund.refund_no,
        "platform_refund_no": f"50{refund.pk}",
        "amount": Money(refund.amount_minor),
        "refunded_at": NOW,
    }
    return RefundResult(**(fields | changes))


def apply(refund: Refund, outcome: Outcome, **changes: object) -> bool:
    return services.apply_refund_result(
        refund_id=refund.pk,
        result=answer(refund, outcome, **changes),
        via="poll",
        now=NOW,
        actor=DESK,
    )


def vote(
    shop: Shop, approval: Approval, role: str, *, approved: bool = True, digest: bytes | None = None
) -> Approval:
    return decide(
        approval_id=approval.pk,
        member=shop[role],
        permissions=permissions_of(role, all_stores=True),
        approved=approved,
        digest=bytes(approval.digest) if digest is None else digest,
        reason="",
        second_factor=False,
        actor=Actor(shop[role].email, shop[role].pk),
        now=NOW,
    )


def reserved(payment: Payment) -> tuple[int, int]:
    payment.refresh_from_db()
    return payment.refund_reserved_minor, payment.refunded_minor


def test_at_the_threshold_it_is_sent_at_once(shop: Shop, account: PlatformAccount) -> None:
    payment = make_paid(shop, account, minor=50_000)
    refund = ask(shop, payment, 20_000)
    assert refund.state == RefundState.READY
    assert Due.objects.filter(task="refunds.send", subject_id=refund.pk).count() == 1
    assert Approval.objects.count() == 0
    assert reserved(payment) == (20_000, 0)


def test_one_fen_above_it_waits_for_another_member(shop: Shop, account: PlatformAccount) -> None:
    payment = make_paid(shop, account, minor=50_000)
    refund = ask(shop, payment, 20_001)
    assert refund.state == RefundState.WAITING
    assert not Due.objects.filter(task="refunds.send").exists()
    assert reserved(payment) == (20_001, 0)
    approval = Approval.objects.get()
    vote(shop, approval, "finance")
    refund.refresh_from_db()
    assert refund.state == RefundState.READY
    assert Due.objects.filter(task="refunds.send", subject_id=refund.pk).count() == 1


def test_splitting_a_refund_does_not_get_around_the_threshold(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_paid(shop, account, minor=100_000)
    states = [ask(shop, payment, 10_000).state for _ in range(4)]
    assert states == ["ready", "ready", "waiting", "waiting"]


@pytest.mark.parametrize("parts", [[100, 100], [199, 1], [1] * 200, [200]])
def test_the_parts_of_a_whole_refund_give_back_exactly_the_fee(
    shop: Shop, parts: list[int]
) -> None:
    # Alipay, which takes any number of parts.
    payment = make_paid(shop, make_account(shop, platform="alipay"), minor=200)
    assert payment.fee_minor == 1
    fees = [ask(shop, payment, part).fee_minor for part in parts]
    assert sum(fees) == 1
    assert min(fees) >= 0


@pytest.mark.parametrize("minor", [0, -5, 10_001])
def test_more_than_was_paid_or_nothing_is_refused(
    shop: Shop, account: PlatformAccount, minor: int
) -> None:
    payment = make_paid(shop, account, minor=10_000)
    with pytest.raises(services.OverRefund) as caught:
        ask(shop, payment, minor)
    assert caught.value.left == Money(10_000)
    assert Refund.objects.count() == 0
    assert reserved(payment) == (0, 0)


def test_parts_may_not_add_up_to_more_than_the_whole(shop: Shop, account: PlatformAccount) -> None:
    payment = make_paid(shop, account, minor=10_000)
    ask(shop, payment, 6_000)
    with pytest.raises(services.OverRefund) as caught:
        ask(shop, payment, 4_001)
    assert caught.value.left == Money(4_000)
    ask(shop, payment, 4_000)
    assert reserved(payment) == (10_000, 0)


def test_the_database_refuses_an_over_refund_by_itself(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_paid(shop, account, minor=10_000)
    with pytest.raises(IntegrityError, match="refunds_within"), transaction.atomic():
        Payment.objects.filter(pk=payment.pk).update(refund_reserved_minor=10_001)


def test_an_unpaid_payment_cannot_be_refunded(shop: Shop, account: PlatformAccount) -> None:
    payment = make_payment(shop, account)
    with pytest.raises(services.NotRefundable, match="not_paid"):
        ask(shop, payment, 1)


def test_success_posts_once_and_counts_on_the_payment(shop: Shop, account: PlatformAccount) -> None:
    payment = make_paid(shop, account, minor=10_000)
    refund = ask(shop, payment, 4_000)
    assert apply(refund, Outcome.PENDING)
    assert apply(refund, Outcome.SUCCEEDED)
    assert not apply(refund, Outcome.SUCCEEDED)
    assert reserved(payment) == (4_000, 4_000)
    assert JournalEntry.objects.filter(kind="refund").count() == 1
    assert {b.account.purpose: b.amount_minor for b in trial_balance()} == {
        "receivable": 9_940 - 3_976,
        "fees": 60 - 24,
        "sales": -10_000,
        "refunds": 4_000,
    }


def test_failure_gives_the_reserved_amount_back_once(shop: Shop, account: PlatformAccount) -> None:
    payment = make_paid(shop, account, minor=10_000)
    refund = ask(shop, payment, 4_000)
    assert apply(refund, Outcome.FAILED)
    assert not apply(refund, Outcome.FAILED)
    assert reserved(payment) == (0, 0)
    ask(shop, payment, 10_000)


def test_paid_out_after_it_was_called_failed_still_counts(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_paid(shop, account, minor=10_000)
    refund = ask(shop, payment, 4_000)
    apply(refund, Outcome.FAILED)
    assert apply(refund, Outcome.SUCCEEDED)
    assert reserved(payment) == (4_000, 4_000)


def test_paid_out_though_failed_and_refunded_otherwise_changes_nothing(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_paid(shop, account, minor=10_000)
    refund = ask(shop, payment, 4_000)
    apply(refund, Outcome.FAILED)
    other = ask(shop, payment, 8_000)
    with pytest.raises(ResultMismatch, match="left to refund"):
        apply(refund, Outcome.SUCCEEDED)
    assert reserved(payment) == (8_000, 0)
    assert apply(other, Outcome.SUCCEEDED)


def test_an_abnormal_refund_keeps_its_reserve(shop: Shop, account: PlatformAccount) -> None:
    payment = make_paid(shop, account, minor=10_000)
    refund = ask(shop, payment, 4_000)
    apply(refund, Outcome.PENDING, code="ABNORMAL")
    refund.refresh_from_db()
    assert refund.state == RefundState.ABNORMAL
    assert reserved(payment) == (4_000, 0)


def test_another_amount_from_the_platform_changes_nothing(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_paid(shop, account, minor=10_000)
    refund = ask(shop, payment, 4_000)
    with pytest.raises(ResultMismatch):
        apply(refund, Outcome.SUCCEEDED, amount=Money(1))
    assert reserved(payment) == (4_000, 0)
    assert JournalEntry.objects.filter(kind="refund").count() == 0


def test_a_word_told_from_sums_counts_only_while_they_are_as_they_were(
    shop: Shop, account: PlatformAccount
) -> None:
    """Asked about the first part, while a second one of the same size is made: the sum that grew is the second's."""
    payment = make_paid(shop, account, minor=10_000)
    first = ask(shop, payment, 4_000)
    nothing_else = Money(0)
    second = ask(shop, payment, 4_000)
    assert not apply(first, Outcome.SUCCEEDED, assumes=nothing_else)
    assert apply(second, Outcome.SUCCEEDED)
    assert not apply(first, Outcome.SUCCEEDED, assumes=nothing_else)
    assert reserved(payment) == (8_000, 4_000)
    assert apply(first, Outcome.SUCCEEDED, assumes=Money(4_000))
    assert reserved(payment) == (8_000, 8_000)


class TestFourEyes:
    """Requester ≠ approver, in the service and in the database; what was confirmed is what is sent."""

    @pytest.fixture
    def waiting(self, shop: Shop, account: PlatformAccount) -> Refund:
        payment = make_paid(shop, account, minor=50_000)
        return services.request_refund(
            payment_id=payment.pk,
            amount=Money(30_000),
            reason="订错了",
            member=shop["finance"],
            actor=DESK,
            now=NOW,
        )

    def test_the_requester_may_not_confirm(self, shop: Shop, waiting: Refund) -> None:
        with pytest.raises(NotAllowed, match="requester"):
            vote(shop, Approval.objects.get(), "finance")
        assert Decision.objects.count() == 0

    def test_the_database_refuses_the_requester_by_itself(
        self, shop: Shop, waiting: Refund
    ) -> None:
        approval = Approval.objects.get()
        row = {"approval": approval, "approved": True, "digest": approval.digest, "decided_at": NOW}
        finance = shop["finance"]
        with pytest.raises(IntegrityError, match="not_the_requester"), transaction.atomic():
            Decision.objects.create(member=finance, requested_by_id=finance.pk, **row)
        # Nor does naming another requester help: the key to the approval repeats the true one.
        point = transaction.savepoint()
        Decision.objects.create(member=finance, requested_by_id=shop["owner"].pk, **row)
        with pytest.raises(IntegrityError, match="decision_wall"):
            check_now()
        transaction.savepoint_rollback(point)

    @pytest.mark.parametrize("role", ["cashier", "auditor"])
    def test_a_member_without_the_permission_may_not_confirm(
        self, shop: Shop, waiting: Refund, role: str
    ) -> None:
        with pytest.raises(NotAllowed, match="permission"):
            vote(shop, Approval.objects.get(), role)

    def test_refusing_gives_the_amount_back(self, shop: Shop, waiting: Refund) -> None:
        vote(shop, Approval.objects.get(), "owner", approved=False)
        waiting.refresh_from_db()
        assert waiting.state == RefundState.REJECTED
        assert reserved(waiting.payment) == (0, 0)

    def test_a_changed_amount_voids_the_approval(self, shop: Shop, waiting: Refund) -> None:
        Refund.objects.filter(pk=waiting.pk).update(amount_minor=29_999)
        with pytest.raises(Stale):
            vote(shop, Approval.objects.get(), "owner")
        waiting.refresh_from_db()
        assert waiting.state == RefundState.CANCELLED
        assert not Due.objects.filter(task="refunds.send").exists()

    def test_confirming_something_else_than_was_shown_voids_it(
        self, shop: Shop, waiting: Refund
    ) -> None:
        with pytest.raises(Stale):
            vote(shop, Approval.objects.get(), "owner", digest=b"x" * 32)
        assert Approval.objects.get().state == "voided"

    def test_a_decided_approval_cannot_be_decided_again(self, shop: Shop, waiting: Refund) -> None:
        approval = Approval.objects.get()
        vote(shop, approval, "owner")
        with pytest.raises(Stale):
            vote(shop, approval, "manager")
        assert Due.objects.filter(task="refunds.send").count() == 1

    def test_the_requester_may_withdraw(self, shop: Shop, waiting: Refund) -> None:
        services.cancel_refund(refund_id=waiting.pk, actor=DESK, now=NOW)
        waiting.refresh_from_db()
        assert waiting.state == RefundState.CANCELLED
        assert reserved(waiting.payment) == (0, 0)
        with pytest.raises(services.NotRefundable):
            services.cancel_refund(refund_id=waiting.pk, actor=DESK, now=NOW)

    def test_the_digest_covers_amount_order_and_reason(self, waiting: Refund) -> None:
        before = refund_digest(waiting)
        for field, value in (("amount_minor", 1), ("reason", "x"), ("refund_no", "R0")):
            old = getattr(waiting, field)
            setattr(waiting, field, value)
            assert refund_digest(waiting) != before
            setattr(waiting, field, old)
        assert refund_digest(waiting) == before


def test_a_rule_is_versioned_and_in_force_at_once(shop: Shop, account: PlatformAccount) -> None:
    assert selectors.book_in_force(NOW).number == 0
    for version, yuan in enumerate(("500", "0"), start=1):
        rule = services.set_rule(
            threshold=Money.from_yuan(yuan),
            confirmations=1,
            member=shop["owner"],
            actor=DESK,
            now=NOW,
        )
        assert rule.number == version
    payment = make_paid(shop, account, minor=100)
    assert ask(shop, payment, 1).state == RefundState.WAITING
