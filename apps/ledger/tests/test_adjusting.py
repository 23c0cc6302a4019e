"""Adjustments: balanced, under four eyes above the limit, undone by a new entry and never edited."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import NotAllowed, Stale, decide, end_approval
from apps.approvals.subjects import subject_for
from apps.core.models import AuditEvent
from apps.core.money import InvalidAmount, Money
from apps.ledger import selectors, services
from apps.ledger.models import (
    Adjustment,
    AdjustmentLine,
    AdjustmentRule,
    AdjustmentState,
    JournalEntry,
    Posting,
    Purpose,
)
from apps.ledger.services import Line, NotBalanced, NotReversible, NotWaiting
from apps.ledger.tests.books import DESK, adjust, close, sides
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop

WAITING, POSTED = AdjustmentState.WAITING, AdjustmentState.POSTED


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def limit(minor: int) -> None:
    services.set_limit(limit=Money(minor), member=None, actor=DESK, now=NOW)


def decided(shop: Shop, adjustment: Adjustment, role: str = "owner", *, yes: bool = True) -> None:
    """A member's decision on what is there now."""
    decide(
        approval_id=adjustment.approval_id or 0,
        member=shop[role],
        permissions=permissions_of(role, all_stores=True),
        approved=yes,
        digest=subject_for("adjustment").digest(adjustment.pk),
        reason="" if yes else "falsch",
        second_factor=False,
        actor=DESK,
        now=NOW,
    )
    adjustment.refresh_from_db()


def balances() -> dict[str, int]:
    return {
        row.account.purpose: row.amount_minor
        for row in selectors.trial_balance()
        if row.amount_minor
    }


def test_without_a_rule_every_adjustment_waits_for_another_member(shop: Shop) -> None:
    adjustment = adjust(shop, 1)
    assert (adjustment.state, adjustment.entry_id) == (WAITING, None)
    assert balances() == {}
    with pytest.raises(NotAllowed, match="requester"):
        decided(shop, adjustment, "finance")
    decided(shop, adjustment)
    assert adjustment.state == POSTED
    assert adjustment.booked_date == date(2026, 11, 24)
    entry = JournalEntry.objects.get()
    assert entry.pk == adjustment.entry_id
    assert (entry.kind, entry.subject_kind, entry.subject_id) == (
        "adjustment",
        "adjustment",
        adjustment.pk,
    )
    assert balances() == {"adjustments": 1, "suspense": -1}
    assert [event.action for event in AuditEvent.objects.order_by("pk")][-2:] == [
        "approval.confirmed",
        "adjustment.posted",
    ]


@pytest.mark.parametrize("role", ["auditor", "manager", "cashier"])
def test_only_who_may_adjust_confirms(shop: Shop, role: str) -> None:
    adjustment = adjust(shop)
    with pytest.raises(NotAllowed, match="permission"):
        decided(shop, adjustment, role)
    adjustment.refresh_from_db()
    assert adjustment.state == WAITING


def test_up_to_the_limit_it_is_posted_at_once(shop: Shop) -> None:
    limit(500)
    assert adjust(shop, 500).state == POSTED
    assert adjust(shop, 501).state == WAITING
    assert adjust(shop, 500).rule_version == 1


def test_callers_with_a_rule_of_their_own(shop: Shop) -> None:
    assert adjust(shop, 9, confirm=False).state == POSTED
    limit(500)
    assert adjust(shop, 9, confirm=True).state == WAITING
    # The portal itself asks nobody: a rule of the merchant has decided.
    assert adjust(shop, 99_999, member=None).state == POSTED


@pytest.mark.parametrize(
    "lines",
    [
        [],
        sides()[:1],
        [*sides(), Line(purpose=Purpose.BANK, amount=Money(1))],
        [Line(purpose=Purpose.BANK, amount=Money(0)), Line(purpose=Purpose.FEES, amount=Money(0))],
    ],
)
def test_what_does_not_balance_is_refused(shop: Shop, lines: list[Line]) -> None:
    with pytest.raises(NotBalanced):
        adjust(shop, lines=lines)
    assert (Adjustment.objects.count(), Approval.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_adjustment SET memo = 'other'",
        "UPDATE ledger_adjustment SET reason = 'fee'",
        "UPDATE ledger_adjustment SET at = at + interval '1 day'",
        "UPDATE ledger_adjustmentline SET amount_minor = amount_minor * 2",
        "UPDATE ledger_adjustmentline SET account_id ="
        " (SELECT account_id FROM ledger_adjustmentline WHERE amount_minor < 0) WHERE amount_minor > 0",
    ],
)
def test_any_change_voids(shop: Shop, change: str) -> None:
    adjustment = adjust(shop)
    seen = subject_for("adjustment").digest(adjustment.pk)
    check_now()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_adjustmentline DISABLE TRIGGER append_only")
        cursor.execute(change)
        assert cursor.rowcount
    with pytest.raises(Stale):
        decide(
            approval_id=adjustment.approval_id or 0,
            member=shop["owner"],
            permissions=permissions_of("owner", all_stores=True),
            approved=True,
            digest=seen,
            reason="",
            second_factor=False,
            actor=DESK,
            now=NOW,
        )
    adjustment.refresh_from_db()
    assert adjustment.state == AdjustmentState.CANCELLED
    assert Posting.objects.count() == 0


def test_refused_withdrawn_and_expired_post_nothing(shop: Shop) -> None:
    refused, withdrawn, expired = adjust(shop), adjust(shop), adjust(shop)
    decided(shop, refused, yes=False)
    assert (refused.state, refused.message) == (AdjustmentState.REJECTED, "falsch")
    done = services.cancel_adjustment(adjustment_id=withdrawn.pk, actor=DESK, now=NOW)
    assert done.state == AdjustmentState.CANCELLED
    with pytest.raises(NotWaiting):
        services.cancel_adjustment(adjustment_id=withdrawn.pk, actor=DESK, now=NOW)
    end_approval(
        approval_id=expired.approval_id or 0,
        state=ApprovalState.EXPIRED,
        reason="expired",
        actor=DESK,
        now=NOW,
    )
    expired.refresh_from_db()
    assert expired.state == AdjustmentState.CANCELLED
    assert Posting.objects.count() == 0


def test_the_same_key_makes_one(shop: Shop) -> None:
    limit(1_000)
    first = adjust(shop, key="difference-5")
    assert adjust(shop, key="difference-5").pk == first.pk
    assert adjust(shop, key="difference-6").pk != first.pk
    assert JournalEntry.objects.count() == 2


def test_a_closed_day_gives_way_to_the_next_open_one(shop: Shop) -> None:
    limit(1_000)
    close(date(2026, 11, 23))
    adjustment = adjust(shop, at=NOW - timedelta(days=1))
    assert adjustment.booked_date == date(2026, 11, 24)


class TestReversal:
    def test_it_is_a_new_entry_with_the_sides_exchanged(self, shop: Shop) -> None:
        limit(1_000)
        first = adjust(shop, subject_kind="difference", subject_id=5)
        second = services.reverse_adjustment(
            adjustment_id=first.pk, memo="zurück", member=shop["owner"], actor=DESK, now=NOW
        )
        assert (second.state, second.reverses_id) == (POSTED, first.pk)
        assert (second.subject_kind, second.subject_id) == ("difference", 5)
        assert balances() == {}
        assert JournalEntry.objects.count() == 2
        first.refresh_from_db()
        assert first.state == POSTED

    def test_only_once_only_posted_only_first_ones(self, shop: Shop) -> None:
        def reverse(adjustment: Adjustment) -> Adjustment:
            return services.reverse_adjustment(
                adjustment_id=adjustment.pk, memo="x", member=shop["owner"], actor=DESK, now=NOW
            )

        waiting = adjust(shop)
        with pytest.raises(NotReversible, match="not_posted"):
            reverse(waiting)
        decided(shop, waiting)
        # Above the limit undoing waits as well, and nothing may undo it twice meanwhile.
        undoing = reverse(waiting)
        assert undoing.state == WAITING
        with pytest.raises(NotReversible, match="reversed"):
            reverse(waiting)
        decided(shop, undoing, "finance", yes=False)
        again = reverse(waiting)
        decided(shop, again, "finance")
        with pytest.raises(NotReversible, match="is_reversal"):
            reverse(again)
        assert balances() == {}

    def test_the_database_refuses_a_second_one(self, shop: Shop) -> None:
        limit(1_000)
        first = adjust(shop)
        services.reverse_adjustment(
            adjustment_id=first.pk, memo="x", member=None, actor=DESK, now=NOW
        )
        with (
            pytest.raises(IntegrityError, match="ledger_adjustment_reversed_once"),
            transaction.atomic(),
        ):
            Adjustment.objects.create(
                reason="other", memo="x", amount_minor=1, at=NOW, reverses=first, created_at=NOW
            )


class TestDatabase:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE ledger_adjustment SET memo = 'x'",
            "UPDATE ledger_adjustment SET state = 'waiting', entry_id = NULL",
            "DELETE FROM ledger_adjustment",
            "UPDATE ledger_adjustmentline SET amount_minor = 1",
            "DELETE FROM ledger_adjustmentline",
        ],
    )
    def test_what_was_posted_is_final(self, shop: Shop, statement: str) -> None:
        adjust(shop, confirm=False)
        check_now()
        with (
            pytest.raises(DatabaseError, match=r"final|append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)

    def test_an_unbalanced_adjustment_is_refused_at_commit(self, shop: Shop) -> None:
        adjustment = adjust(shop)
        account_id = AdjustmentLine.objects.values_list("account_id", flat=True)[0]
        point = transaction.savepoint()
        AdjustmentLine.objects.create(adjustment=adjustment, account_id=account_id, amount_minor=1)
        with pytest.raises(IntegrityError, match="does not balance"):
            check_now()
        transaction.savepoint_rollback(point)

    def test_posted_without_an_entry_is_refused(self, shop: Shop) -> None:
        adjustment = adjust(shop)
        with (
            pytest.raises(IntegrityError, match="it waits for another member"),
            transaction.atomic(),
        ):
            Adjustment.objects.filter(pk=adjustment.pk).update(state=POSTED)
        with (
            pytest.raises(IntegrityError, match="ledger_adjustment_posted_facts"),
            transaction.atomic(),
        ):
            Adjustment.objects.create(
                reason=adjustment.reason,
                memo="x",
                amount_minor=1,
                state=POSTED,
                at=NOW,
                created_at=NOW,
            )


def test_the_limit_has_versions_and_an_audit_row(shop: Shop) -> None:
    assert (selectors.current_limit().version, selectors.current_limit().limit_minor) == (0, 0)
    limit(100)
    limit(200)
    assert [rule.limit_minor for rule in selectors.limit_history()] == [200, 100]
    assert AuditEvent.objects.filter(action="limit.changed").count() == 2
    for wrong in (-1, 10**12):
        with pytest.raises(InvalidAmount):
            limit(wrong)
    assert AdjustmentRule.objects.count() == 2
