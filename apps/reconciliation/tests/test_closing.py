"""The checklist, closing, opening again, and what lands where afterwards."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import NotAllowed, Stale, decide, end_approval
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.ledger.models import AdjustmentReason, BusinessDay, JournalEntry, Purpose
from apps.ledger.services import DayClosed, Line, cancel_adjustment, post_adjustment
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment, PaymentState
from apps.payments.services import apply_payment_result
from apps.payments.tests.factories import make_account, make_payment, paid_result
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import (
    DayClose,
    DayReopening,
    Difference,
    DifferenceState,
    ReopeningState,
)
from apps.reconciliation.selectors import (
    Item,
    Mark,
    check_day,
    day_page,
    list_business_days,
    sum_day,
)
from apps.reconciliation.services import (
    NotReady,
    NotReopenable,
    NotWaiting,
    Tick,
    cancel_reopening,
    request_reopening,
    write_day_files,
)
from apps.reconciliation.tests.closes import close, settled
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, paid, refunded
from apps.refunds.services import request_refund
from apps.statements.models import FetchState, StatementDay
from apps.statements.tests.bills import row_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return make_shop()


def marks(day: date = DAY, *, starts: time = time(0)) -> dict[str, tuple[str, int]]:
    """The items that are not fine, with their counts."""
    found = check_day(day, day_starts_at=starts, now=NOW)
    assert [check.item for check in found.checks] == list(Item)
    return {
        check.item.value: (check.mark.value, check.count)
        for check in found.checks
        if check.mark != Mark.FINE
    }


def refused(shop: Shop, *, ticks: dict[Item, Tick] | None = None) -> set[str]:
    """Closing fails and changes nothing; the items that stood in the way."""
    before = (DayClose.objects.count(), AuditEvent.objects.count(), Due.objects.count())
    with pytest.raises(NotReady) as caught:
        close(shop, ticks=ticks)
    assert (DayClose.objects.count(), AuditEvent.objects.count(), Due.objects.count()) == before
    assert not BusinessDay.objects.filter(is_closed=True).exists()
    return {check.item.value for check in caught.value.checks}


class TestChecklist:
    def test_a_settled_day_has_nothing_in_its_way(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            assert marks() == {}

    def test_the_day_must_be_over(self, shop: Shop) -> None:
        with inside(shop):
            today = NOW.date()
            assert marks(today)["over"] == ("blocking", 0)
            # 01:00 of the 24th belongs to the 23rd where the day starts at 14:00, and it is noon now.
            assert "over" in marks(DAY, starts=time(14))

    def test_a_bill_that_is_to_come_keeps_a_day_with_money_open(self, shop: Shop) -> None:
        with inside(shop):
            account = make_account(shop)
            assert marks() == {}, "the account is younger than the day"
            PlatformAccount.objects.update(created_at=NOON)
            assert marks() == {"bills": ("warning", 1)}
            paid(shop, account)
            assert marks() == {"bills": ("blocking", 1)}
            StatementDay.objects.create(
                account=account, kind="trade", day=DAY, state=FetchState.FAILED
            )
            assert marks() == {"bills": ("blocking", 1)}

    def test_a_day_known_to_be_empty_needs_no_matching(self, shop: Shop) -> None:
        with inside(shop):
            account = make_account(shop)
            StatementDay.objects.create(
                account=account, kind="trade", day=DAY, state=FetchState.EMPTY
            )
            assert marks() == {}

    def test_each_bill_must_be_matched_in_its_present_version(self, shop: Shop) -> None:
        with inside(shop):
            account = make_account(shop)
            one, two = paid(shop, account), paid(shop, account, 700)
            bill(account, [row_of(one)])
            assert marks() == {"matched": ("blocking", 1)}
            match(account)
            # The other payment may still come in the next bill, so the row waits.
            bill(account, [row_of(one), row_of(two)])
            assert marks()["matched"] == ("blocking", 1)
            match(account)
            assert marks() == {}

    def test_open_differences_keep_the_day_open_until_each_is_explained(self, shop: Shop) -> None:
        with inside(shop):
            account = make_account(shop)
            one = paid(shop, account)
            bill(account, [row_of(one).but(minor=9_000)])
            match(account)
            assert marks() == {"differences": ("blocking", 1)}
            assert refused(shop) == {"differences"}
            Difference.objects.update(state=DifferenceState.RESOLVED)
            assert marks() == {}

    @pytest.mark.parametrize("state", ["created", "pending", "unknown"])
    def test_a_payment_without_an_end_keeps_its_day_open(self, shop: Shop, state: str) -> None:
        with inside(shop):
            account, _payments = settled(shop)
            payment = make_payment(shop, account, now=NOON)
            Payment.objects.filter(pk=payment.pk).update(state=state)
            assert marks() == {"payments": ("blocking", 1)}
            Payment.objects.filter(pk=payment.pk).update(state=PaymentState.CLOSED)
            assert marks() == {}

    def test_a_refund_under_way_is_a_warning(self, shop: Shop) -> None:
        with inside(shop):
            _account, payments = settled(shop, amounts=(50_000,))
            request_refund(
                payment_id=payments[0].pk,
                amount=Money(30_000),
                reason="x",
                member=shop["cashier"],
                actor=ACTOR,
                now=NOON,
            )
            assert marks() == {"refunds": ("warning", 1)}

    def test_an_adjustment_for_the_day_must_be_decided(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            adjustment = post_adjustment(
                reason=AdjustmentReason.ROUNDING,
                memo="x",
                lines=[
                    Line(purpose=Purpose.ADJUSTMENTS, amount=Money(1)),
                    Line(purpose=Purpose.SUSPENSE, amount=Money(-1)),
                ],
                at=NOON,
                member=shop["finance"],
                actor=ACTOR,
                now=NOW,
                confirm=True,
            )
            assert marks() == {"adjustments": ("blocking", 1)}
            cancel_adjustment(adjustment_id=adjustment.pk, actor=ACTOR, now=NOW)
            assert marks() == {}

    def test_rows_that_the_journal_does_not_know_keep_the_day_open(self, shop: Shop) -> None:
        with inside(shop):
            _account, payments = settled(shop)
            Payment.objects.filter(pk=payments[0].pk).update(amount_minor=10_001)
            assert marks() == {"books": ("blocking", 1)}

    def test_earlier_open_days_are_a_warning_from_the_first_closed_day_on(self, shop: Shop) -> None:
        with inside(shop):
            account, _payments = settled(shop)
            paid(shop, account, at=NOON - timedelta(days=3))
            assert marks() == {"earlier": ("warning", 1)}
            close(shop, ticks={Item.EARLIER: Tick("before we began", 1)})
            paid(shop, account, at=NOON - timedelta(days=1))
            assert "earlier" not in marks(DAY + timedelta(days=1)), "both are before the first"
            paid(shop, account, at=NOON + timedelta(days=1))
            assert marks(DAY + timedelta(days=2))["earlier"] == ("warning", 1)

    @pytest.mark.parametrize("many", [1, 12])
    def test_it_is_six_queries_whatever_the_day_holds(self, shop: Shop, many: int) -> None:
        with inside(shop):
            settled(shop, amounts=(100,) * many)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                check_day(DAY, day_starts_at=time(0), now=NOW)
            assert len(queries) == 6

    def test_another_merchants_day_is_not_seen(self, shop: Shop) -> None:
        bar = make_shop("bar")
        with inside(bar):
            paid(bar, make_account(bar, merchant_no="1900000009"))
        with inside(shop):
            assert marks() == {}
            assert sum_day(DAY).payment_count == 0


class TestClosing:
    def test_what_a_closing_keeps(self, shop: Shop) -> None:
        with inside(shop):
            account, payments = settled(shop)
            refunded(shop, payments[0], 4_000, at=NOON)
            bill(account, [row_of(p) for p in payments])
            match(account)
            Difference.objects.update(state=DifferenceState.RESOLVED)
            done = close(shop)
            assert (done.day, done.version, done.closed_by, done.closed_at) == (
                DAY,
                1,
                shop["finance"],
                NOW,
            )
            assert (done.payment_count, done.payment_minor) == (2, 12_500)
            assert (done.refund_count, done.refund_minor) == (1, 4_000)
            assert (done.entry_count, done.debit_minor) == (3, 16_500)
            assert done.fee_minor == 60 + 15 - 24
            assert done.zone == "Asia/Shanghai"
            assert [row["mark"] for row in done.checklist] == ["fine"] * len(Item)
            day = BusinessDay.objects.get(day=DAY)
            assert (day.is_closed, day.version, day.closed_at) == (True, 1, NOW)
            event = AuditEvent.objects.get(action="day.closed")
            assert event.data["payment_minor"] == 12_500
            due = Due.objects.get(task="reconciliation.write_day_files")
            assert due.subject_id == done.pk

    def test_a_closed_day_is_not_closed_twice(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            close(shop)
            with pytest.raises(DayClosed):
                close(shop)
            assert DayClose.objects.count() == 1

    def test_warnings_need_a_word_as_they_are(self, shop: Shop) -> None:
        with inside(shop):
            _account, payments = settled(shop, amounts=(50_000,))
            request_refund(
                payment_id=payments[0].pk,
                amount=Money(30_000),
                reason="x",
                member=shop["cashier"],
                actor=ACTOR,
                now=NOON,
            )
            assert refused(shop) == {"refunds"}
            assert refused(shop, ticks={Item.REFUNDS: Tick("  ", 1)}) == {"refunds"}
            assert refused(shop, ticks={Item.REFUNDS: Tick("later", 2)}) == {"refunds"}
            done = close(shop, ticks={Item.REFUNDS: Tick("later", 1)})
            kept = next(row for row in done.checklist if row["item"] == "refunds")
            assert kept == {"item": "refunds", "mark": "warning", "count": 1, "reason": "later"}

    def test_what_becomes_known_later_lands_in_an_open_day(self, shop: Shop) -> None:
        with inside(shop):
            account, _payments = settled(shop)
            late = make_payment(shop, account, now=NOON)
            Payment.objects.filter(pk=late.pk).update(state=PaymentState.CLOSED)
            done = close(shop)
            # It was paid after all, on the closed day; a notification tells the next one.
            Payment.objects.filter(pk=late.pk).update(state=PaymentState.PENDING)
            apply_payment_result(
                payment_id=late.pk,
                result=paid_result(late, at=NOON),
                via="notification",
                now=NOW,
                actor=Actor.system("test"),
            )
            late.refresh_from_db()
            assert late.paid_at == NOON
            assert late.booked_date == DAY + timedelta(days=1)
            assert sum_day(DAY).payment_count == done.payment_count
            assert JournalEntry.objects.get(subject_id=late.pk).booked_date == late.booked_date

    @pytest.mark.parametrize("model", ["dayclose", "dayfile", "dayfilepart"])
    @pytest.mark.parametrize("verb", ["UPDATE {} SET merchant_id = merchant_id", "DELETE FROM {}"])
    def test_what_was_closed_is_never_changed(self, shop: Shop, model: str, verb: str) -> None:
        with inside(shop):
            settled(shop)
            done = close(shop)
            write_day_files(close_id=done.pk, now=NOW)
            with (
                pytest.raises(DatabaseError, match="append-only"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(verb.format(f"reconciliation_{model}"))

    def test_the_list_shows_what_the_closing_says(self, shop: Shop) -> None:
        with inside(shop):
            account, _payments = settled(shop)
            paid(shop, account, 300, at=NOON + timedelta(hours=20))
            close(shop)
            lines = list_business_days(since=date(2026, 11, 1), until=date(2026, 12, 1))
            assert [(line.day, line.state, line.payment_minor) for line in lines] == [
                (DAY + timedelta(days=1), "open", 300),
                (DAY, "closed", 12_500),
            ]
            assert lines[1].closed_by == shop["finance"].display_name


def asked(shop: Shop, done: DayClose, *, role: str = "finance") -> DayReopening:
    """A wish to open the day again, its files written."""
    write_day_files(close_id=done.pk, now=NOW)
    return request_reopening(
        close_id=done.pk, reason="a bill was wrong", member=shop[role], actor=ACTOR, now=NOW
    )


def answer(shop: Shop, reopening: DayReopening, *, role: str, approved: bool = True) -> None:
    approval = Approval.objects.get(pk=reopening.approval_id or 0)
    decide(
        approval_id=approval.pk,
        member=shop[role],
        permissions=permissions_of(role, all_stores=True),
        approved=approved,
        digest=bytes(approval.digest),
        reason="no" if not approved else "",
        second_factor=False,
        actor=ACTOR,
        now=NOW,
    )


class TestReopening:
    def test_another_member_opens_it_and_the_next_closing_is_version_two(self, shop: Shop) -> None:
        with inside(shop):
            account, payments = settled(shop)
            first = close(shop)
            reopening = asked(shop, first)
            assert BusinessDay.objects.get(day=DAY).is_closed, "still closed while it waits"
            answer(shop, reopening, role="owner")
            day = BusinessDay.objects.get(day=DAY)
            assert (day.is_closed, day.version) == (False, 1)
            late = paid(shop, account, 700)
            assert late.booked_date == DAY, "open again"
            bill(account, [row_of(p) for p in [*payments, late]])
            match(account)
            second = close(shop)
            write_day_files(close_id=second.pk, now=NOW)
            assert (second.version, second.payment_minor) == (2, 13_200)
            page = day_page(DAY)
            assert [c.close.version for c in page.closings] == [2, 1]
            assert page.current is not None
            assert page.current.close == second
            first.refresh_from_db()
            assert first.payment_minor == 12_500
            assert all(closing.is_written for closing in page.closings)
            assert AuditEvent.objects.filter(action="day.reopened").count() == 1

    def test_the_requester_cannot_confirm(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            reopening = asked(shop, close(shop))
            with pytest.raises(NotAllowed, match="requester"):
                answer(shop, reopening, role="finance")
            with pytest.raises(NotAllowed, match="permission"):
                answer(shop, reopening, role="manager")
            assert BusinessDay.objects.get(day=DAY).is_closed

    def test_a_refusal_leaves_the_day_closed(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            reopening = asked(shop, close(shop))
            answer(shop, reopening, role="owner", approved=False)
            reopening.refresh_from_db()
            assert (reopening.state, reopening.message) == (ReopeningState.REJECTED, "no")
            assert BusinessDay.objects.get(day=DAY).is_closed

    def test_it_can_be_withdrawn_and_asked_for_again(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            done = close(shop)
            reopening = asked(shop, done)
            with pytest.raises(NotReopenable, match="asked"):
                asked(shop, done, role="owner")
            assert (
                cancel_reopening(reopening_id=reopening.pk, actor=ACTOR, now=NOW).state
                == ReopeningState.CANCELLED
            )
            with pytest.raises(NotWaiting):
                cancel_reopening(reopening_id=reopening.pk, actor=ACTOR, now=NOW)
            assert asked(shop, done).state == ReopeningState.WAITING

    def test_a_changed_reason_voids_the_confirmation(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            reopening = asked(shop, close(shop))
            DayReopening.objects.filter(pk=reopening.pk).update(reason="another")
            with pytest.raises(Stale):
                answer(shop, reopening, role="owner")
            reopening.refresh_from_db()
            assert reopening.state == ReopeningState.CANCELLED
            assert BusinessDay.objects.get(day=DAY).is_closed

    def test_it_expires(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            reopening = asked(shop, close(shop))
            end_approval(
                approval_id=reopening.approval_id or 0,
                state=ApprovalState.EXPIRED,
                reason="expired",
                actor=ACTOR,
                now=NOW,
            )
            reopening.refresh_from_db()
            assert reopening.state == ReopeningState.CANCELLED

    def test_an_open_day_and_an_unwritten_closing_cannot_be_opened(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            done = close(shop)
            if done.file_names:
                with pytest.raises(NotReopenable, match="unwritten"):
                    request_reopening(
                        close_id=done.pk, reason="x", member=shop["finance"], actor=ACTOR, now=NOW
                    )
            answer(shop, asked(shop, done), role="owner")
            with pytest.raises(NotReopenable, match="open"):
                asked(shop, done)

    def test_what_was_decided_stays(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            reopening = asked(shop, close(shop))
            answer(shop, reopening, role="owner")
            with pytest.raises(IntegrityError, match="is final"), transaction.atomic():
                DayReopening.objects.filter(pk=reopening.pk).update(state="waiting")

    def test_a_stranger_reaches_nothing(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            done = close(shop)
        bar = make_shop("bar")
        with enter_scope(bar.scope):
            assert day_page(DAY).closings == []
            with pytest.raises(DayClose.DoesNotExist):
                request_reopening(
                    close_id=done.pk, reason="x", member=bar["owner"], actor=ACTOR, now=NOW
                )
