"""Random walks of one day: new versions of its bill, matching, acts, undoing, confirming, rules, refunds, closing, opening
again, payouts. After each step the books hold, and every sum of the run that counts is that of its rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.approvals.models import Approval
from apps.approvals.services import decide
from apps.approvals.subjects import NotNow, subject_for
from apps.core.money import Money
from apps.core.tasks import drain
from apps.ledger import services as ledger
from apps.ledger.models import Purpose
from apps.ledger.selectors import trial_balance
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.operations import books
from apps.payments.models import Payment
from apps.payments.services import apply_payment_result
from apps.payments.tests.factories import make_account, make_payment, paid_result
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import (
    DayClose,
    Difference,
    OutsideRule,
    ReconciliationRun,
    Resolution,
)
from apps.reconciliation.selectors import Mark, check_day
from apps.reconciliation.services import (
    CannotResolve,
    NothingToReconcile,
    NotReady,
    NotReopenable,
    RuleExists,
    Tick,
    close_day,
    request_reopening,
    retire_outside_rule,
    save_rule,
    set_write_off_limit,
    switch_rule,
    undo_resolution,
    write_day_files,
)
from apps.reconciliation.tests.acts import do, may_adjust
from apps.reconciliation.tests.checks import assert_whole
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, paid, refunded
from apps.reconciliation.tests.outside import back, rule, sale
from apps.refunds.services import NotRefundable, OverRefund
from apps.statements.models import BankLine, Payout, Settlement
from apps.statements.services import DayClosed, LinkRefused, link, unlink
from apps.statements.tests.bills import Row, row_of
from apps.statements.tests.money import TENPAY, bank_csv, make_bank, upload

LATER: Final = NOW + timedelta(days=1)
#: What a new version of the bill does to a row.
CHANGES: Final = ("as", "as", "gone", "more", "fee", "twice")
STEPS: Final = st.tuples(
    st.sampled_from(
        [
            "bill", "bill", "match", "match", "keep", "adjust", "adjust", "accept", "accept", "write_off", "link", "undo",
            "undo", "yes", "no", "rule", "retire", "auto", "refund", "paid", "pay", "close", "reopen", "drain", "payout",
            "unlink",
        ]
    ),
    st.integers(0, 999),
)  # fmt: skip


class Walk:
    """One day of one account, and what happens to it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.account: PlatformAccount = make_account(shop)
        self.bank = make_bank()
        may_adjust(500)
        set_write_off_limit(limit=Money(5000), member=shop["owner"], actor=ACTOR, now=NOON)
        self.portal = [paid(shop, self.account, 900), paid(shop, self.account, 1_300)]
        self.attempt: Payment = make_payment(shop, self.account, minor=700, now=NOON)
        sold = sale(1, 2_000)
        self.rows: list[Row] = [
            *(row_of(payment) for payment in self.portal),
            sold, sale(2, 450), back(sold, 1, 300),
            sale(3, 700).but(order_no=self.attempt.order_no),
        ]  # fmt: skip

    def step(self, name: str, pick: int) -> None:
        """One thing that happens; what is refused changes nothing."""
        with suppress(
            CannotResolve, NotReady, NotReopenable, NothingToReconcile, RuleExists, NotRefundable, OverRefund, LinkRefused,
            DayClosed, ledger.DayClosed, ledger.NoOpenDay,
        ):  # fmt: skip
            if name in {"keep", "adjust", "accept", "write_off", "link"}:
                self.act(name, pick)
            else:
                known: Callable[[int], Any] = getattr(self, f"do_{name}")
                known(pick)

    def act(self, kind: str, pick: int) -> None:
        rows = list(Difference.objects.filter(run__is_current=True).order_by("pk"))
        if rows:
            more: dict[str, Any] = (
                {"payment_id": self.portal[pick % 2].pk} if kind == "link" else {}
            )
            do(self.shop, rows[pick % len(rows)], kind, now=LATER, **more)

    def do_bill(self, pick: int) -> None:
        rows: list[Row] = []
        for place, row in enumerate(self.rows):
            change = CHANGES[(pick // 6**place) % 6] if place < 3 else CHANGES[(pick + place) % 6]
            if change == "gone":
                continue
            if change == "more":
                row = row.but(minor=row.minor + 3)
            if change == "fee":
                row = row.but(fee=row.fee + 1)
            rows += [row] * (2 if change == "twice" else 1)
        bill(self.account, rows, now=LATER)

    def do_match(self, pick: int) -> None:
        match(self.account, now=LATER)

    def do_undo(self, pick: int) -> None:
        made = list(Resolution.objects.order_by("pk"))
        if made:
            undo_resolution(
                resolution_id=made[pick % len(made)].pk, member=self.shop["finance"], actor=ACTOR, now=LATER
            )  # fmt: skip

    def do_yes(self, pick: int) -> None:
        waiting = list(Approval.objects.filter(state="pending").order_by("pk"))
        if waiting:
            self.decide(waiting[pick % len(waiting)], yes=True)

    def do_no(self, pick: int) -> None:
        waiting = list(Approval.objects.filter(state="pending").order_by("pk"))
        if waiting:
            self.decide(waiting[pick % len(waiting)], yes=False)

    def decide(self, approval: Approval, *, yes: bool) -> None:
        # A newer bill that nobody has matched yet: the member is told to wait, and nothing changes.
        with suppress(NotNow), transaction.atomic():
            decide(
                approval_id=approval.pk, member=self.shop["owner"], permissions=permissions_of("owner", all_stores=True),
                approved=yes, digest=subject_for(approval.subject_kind).digest(approval.subject_id),
                reason="" if yes else "不对", second_factor=False, actor=ACTOR, now=LATER,
            )  # fmt: skip

    def do_rule(self, pick: int) -> None:
        rule(self.account)

    def do_retire(self, pick: int) -> None:
        for each in OutsideRule.objects.filter(retired_at=None)[:1]:
            retire_outside_rule(rule_id=each.pk, member=self.shop["owner"], actor=ACTOR, now=LATER)

    def do_auto(self, pick: int) -> None:
        made = save_rule(
            rule_id=None, effective_from=DAY, type="", platform="", account_id=None, min_amount_minor=None,
            max_amount_minor=None, max_gap_minor=None, min_age_days=0, action=("keep", "accept", "write_off")[pick % 3],
            reason="总是这样", member=self.shop["owner"], actor=ACTOR, now=LATER,
        )  # fmt: skip
        switch_rule(rule_id=made.pk, is_on=True, actor=ACTOR, now=LATER)

    def do_refund(self, pick: int) -> None:
        done = list(Payment.objects.filter(state="succeeded").order_by("pk"))
        refunded(self.shop, done[pick % len(done)], 100)

    def do_paid(self, pick: int) -> None:
        self.portal.append(paid(self.shop, self.account, 1_000 + pick))
        self.rows.append(row_of(self.portal[-1]))

    def do_pay(self, pick: int) -> None:
        """The platform tells of the attempt after all."""
        apply_payment_result(
            payment_id=self.attempt.pk, result=paid_result(self.attempt, at=NOON, trade_no=self.rows[5].trade_no),
            via="poll", now=LATER, actor=ACTOR,
        )  # fmt: skip

    def do_close(self, pick: int) -> None:
        found = check_day(DAY, day_starts_at=self.shop.merchant.day_starts_at, now=LATER)
        ticks = {
            check.item: Tick("知道", check.count)
            for check in found.checks
            if check.mark == Mark.WARNING
        }
        made = close_day(day=DAY, ticks=ticks, member=self.shop["finance"], actor=ACTOR, now=LATER)
        write_day_files(close_id=made.pk, now=LATER)

    def do_reopen(self, pick: int) -> None:
        for made in DayClose.objects.order_by("-version")[:1]:
            asked = request_reopening(
                close_id=made.pk, reason="漏了", member=self.shop["finance"], actor=ACTOR, now=LATER
            )
            assert asked.approval is not None
            self.decide(asked.approval, yes=True)

    def do_drain(self, pick: int) -> None:
        drain(now=LATER, task="reconciliation.run")
        drain(now=LATER, task="reconciliation.bulk")
        drain(now=LATER, task="statements.settle")

    def do_payout(self, pick: int) -> None:
        drain(now=LATER, task="statements.settle")
        for owed in Settlement.objects.filter(payout=None, is_void=False, net_minor__gt=0)[:1]:
            day = DAY + timedelta(days=1)
            reference = f"R{BankLine.objects.count() + 1}"
            upload(self.bank, bank_csv((day, owed.net_minor, TENPAY, reference)), now=LATER)
            line = BankLine.objects.get(reference=reference)
            if line.payout_id is None:
                link(line_ids=[line.pk], settlement_ids=[owed.pk], member=None, actor=ACTOR, now=LATER)  # fmt: skip

    def do_unlink(self, pick: int) -> None:
        for payout in Payout.objects.filter(undone_at=None)[:1]:
            unlink(payout_id=payout.pk, reason="x", member=self.shop["finance"], actor=ACTOR, now=LATER)  # fmt: skip


def holds() -> None:
    """The books, and the run that counts."""
    assert books.verify() == []
    for run in ReconciliationRun.objects.filter(is_current=True):
        assert_whole(run, latest=False)


def account_for(account: PlatformAccount) -> None:
    """What the platform owes by the ledger is what the run explains, since all is of this one day: nothing is in it twice."""
    run = match(account, now=LATER)
    owed = sum(
        row.amount_minor for row in trial_balance() if row.account.purpose == Purpose.RECEIVABLE
    )
    paid_out = sum(Payout.objects.filter(undone_at=None).values_list("settled_minor", flat=True))
    booked = sum(Difference.objects.filter(run=run).values_list("adjusted_minor", flat=True))
    assert run.sales_minor is not None
    assert run.refunds_minor is not None
    assert run.fees_minor is not None
    assert owed + paid_out == run.sales_minor - run.refunds_minor - run.fees_minor + booked


class TestWalks(TestCase):
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=st.lists(STEPS, min_size=4, max_size=14), first=st.integers(0, 215))
    def test_the_books_hold_after_each_step(self, steps: list[tuple[str, int]], first: int) -> None:
        with inside(make_shop()) as shop:
            walk = Walk(shop)
            walk.step("bill", first)
            walk.step("match", 0)
            for name, pick in steps:
                walk.step(name, pick)
                holds()
            walk.step("drain", 0)
            holds()
            account_for(walk.account)
            # Twice in a row: matching has nothing left to change.
            once = match(walk.account, now=LATER)
            again = match(walk.account, now=LATER)
            assert_whole(again)
            told = ("type", "state", "net_gap_minor", "adjusted_minor", "identity")
            assert sorted(
                Difference.objects.filter(run=once).values_list(*told), key=str
            ) == sorted(Difference.objects.filter(run=again).values_list(*told), key=str)
            holds()
