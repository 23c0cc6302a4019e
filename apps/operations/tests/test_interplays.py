"""What bills, matching, acts, closings and payouts do to each other's work: the books hold after each step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from apps.core.models import Due
from apps.core.money import Money
from apps.ledger.models import BusinessDay
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.operations import books
from apps.payments.models import Payment, PaymentState
from apps.payments.services import apply_payment_result
from apps.payments.tests.factories import make_account, make_payment, paid_result
from apps.platforms.gateway import Product
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import (
    AutoRule,
    Difference,
    DifferenceState,
    ReconciliationRun,
    Resolution,
)
from apps.reconciliation.selectors import explain
from apps.reconciliation.services import (
    CannotResolve,
    save_rule,
    set_write_off_limit,
    switch_rule,
)
from apps.reconciliation.tests.acts import balances, do, may_adjust, undo
from apps.reconciliation.tests.checks import assert_whole
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, paid
from apps.reconciliation.tests.outside import rule, sale
from apps.reconciliation.tests.test_matching import STRANGER
from apps.statements.models import BankLine
from apps.statements.selectors.money import where_is_money
from apps.statements.services import link, settle, unlink
from apps.statements.tests.bills import row_of
from apps.statements.tests.money import TENPAY, bank_csv, make_bank, upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


def one(run: ReconciliationRun) -> Difference:
    """The run's only difference."""
    return Difference.objects.get(run=run)


def holds() -> None:
    """The books, and the runs that count."""
    assert books.verify() == []
    for run in ReconciliationRun.objects.filter(is_current=True):
        assert_whole(run, latest=False)


def auto(shop: Shop, action: str, type: str = "") -> AutoRule:
    """A rule of the merchant's that acts by itself."""
    made = save_rule(
        rule_id=None, effective_from=DAY, type=type, platform="", account_id=None, min_amount_minor=None,
        max_amount_minor=None, max_gap_minor=None, min_age_days=0, action=action, reason="总是这样",
        member=shop["owner"], actor=ACTOR, now=NOW,
    )  # fmt: skip
    return switch_rule(rule_id=made.pk, is_on=True, actor=ACTOR, now=NOW)


class TestNothingIsBookedTwice:
    def test_a_rule_leaves_alone_what_a_correction_has_taken_over(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        may_adjust()
        bill(account, [STRANGER])
        do(shop, one(match(account)), "adjust")
        rule(account)
        again = match(account)
        assert (one(again).state, one(again).adjusted_minor) == (DifferenceState.RESOLVED, 696)
        assert not Payment.objects.exists()
        assert balances() == {"receivable": 696, "adjustments": -696}
        holds()

    def test_a_rule_leaves_alone_what_waits_for_confirmation(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        may_adjust(1)
        bill(account, [STRANGER])
        do(shop, one(match(account)), "adjust")
        rule(account)
        assert one(match(account)).state == DifferenceState.WAITING
        assert not Payment.objects.exists()

    def test_a_correction_taken_back_gives_the_row_to_the_rule(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        may_adjust()
        bill(account, [STRANGER])
        row = one(match(account))
        made = do(shop, row, "adjust")
        rule(account)
        match(account)
        undo(shop, made, row)
        match(account)
        assert Payment.objects.get().amount_minor == 700
        holds()

    def test_what_a_correction_has_taken_over_is_not_accepted_as_well(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        may_adjust()
        payment = make_payment(shop, account, minor=700, now=NOON)
        row = STRANGER.but(order_no=payment.order_no)
        bill(account, [row])
        do(shop, one(match(account)), "adjust")
        bill(account, [row.but(fee=5)])
        changed = one(match(account))
        assert (changed.type, changed.state, changed.rest_minor) == ("status", "open", -1)
        with pytest.raises(CannotResolve) as refused:
            do(shop, changed, "accept")
        assert refused.value.reason == "booked"
        payment.refresh_from_db()
        assert payment.state == PaymentState.CREATED
        holds()

    def test_a_bill_that_has_changed_since_is_not_accepted(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        payment = make_payment(shop, account, minor=700, now=NOON)
        bill(account, [STRANGER, STRANGER.but(order_no=payment.order_no, trade_no="9" * 28)])
        rows = list(Difference.objects.filter(run=match(account)).order_by("pk"))
        bill(account, [])
        for row in rows:
            with pytest.raises(CannotResolve) as refused:
                do(shop, row, "accept")
            assert refused.value.reason == "new_bill"
        assert balances() == {}


class TestWhatWasBookedForNothing:
    def test_a_bill_put_right_leaves_the_correction_open(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        """The correction stands in the books: until it is taken back, the day says so."""
        may_adjust()
        payment = paid(shop, account, 10_000)
        bill(account, [row_of(payment).but(minor=10_003)])
        made = do(shop, one(match(account)), "accept")
        bill(account, [row_of(payment)])
        run = match(account)
        left = one(run)
        assert (left.type, left.state, left.rest_minor) == ("overbooked", "open", -3)
        assert (left.payment_id, left.line_id, left.identity) == (payment.pk, None, made.identity)
        holds()
        undo(shop, made, left)
        assert left.state == "explained"
        holds()
        assert not Difference.objects.filter(run=match(account)).exists()
        assert balances() == {"receivable": 9940, "fees": 60, "sales": -10_000}
        holds()

    def test_what_is_paid_after_all_leaves_the_correction_open(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        may_adjust()
        payment = make_payment(shop, account, minor=700, now=NOON)
        row = STRANGER.but(order_no=payment.order_no)
        bill(account, [row])
        do(shop, one(match(account)), "adjust")
        apply_payment_result(
            payment_id=payment.pk, result=paid_result(payment, at=NOON, trade_no=row.trade_no),
            via="poll", now=NOW, actor=ACTOR,
        )  # fmt: skip
        left = one(match(account))
        assert (left.type, left.state, left.rest_minor) == ("overbooked", "open", -696)
        holds()
        # Another correction takes it over as well; then nothing is left to say.
        do(shop, left, "adjust")
        assert (left.state, left.rest_minor) == ("resolved", 0)
        holds()
        assert not Difference.objects.filter(run=match(account)).exists()
        assert balances() == {"receivable": 696, "fees": 4, "sales": -700}
        holds()

    def test_kept_it_stays_kept(self, shop: Shop, account: PlatformAccount) -> None:
        may_adjust()
        payment = paid(shop, account, 10_000)
        bill(account, [row_of(payment).but(minor=10_003)])
        do(shop, one(match(account)), "accept")
        bill(account, [row_of(payment)])
        do(shop, one(match(account)), "keep")
        again = one(match(account))
        assert (again.type, again.state) == ("overbooked", "resolved")
        holds()
        # The first bill once more: the correction is for something again.
        bill(account, [row_of(payment).but(minor=10_003)])
        back = one(match(account))
        assert (back.type, back.state, back.rest_minor) == ("amount", "open", 0)
        holds()


class TestTakenBack:
    def test_a_payment_by_the_payers_code_is_accepted_anew(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        """Taking it back reversed nothing at the platform, and nothing must be reversed for it."""
        bill(account, [STRANGER])
        row = one(match(account))
        made = do(shop, row, "accept")
        Payment.objects.update(product=Product.BARCODE.value)
        match(account)
        undo(shop, made, row)
        do(shop, one(match(account)), "accept")
        payment = Payment.objects.get()
        assert payment.state == PaymentState.SUCCEEDED
        assert not Due.objects.filter(task="payments.poll", subject_id=payment.pk).exists()
        assert balances() == {"receivable": 696, "fees": 4, "sales": -700}
        holds()

    def test_where_the_money_is_follows(self, shop: Shop, account: PlatformAccount) -> None:
        bill(account, [STRANGER])
        settle(account_id=account.pk, now=NOW)
        row = one(match(account))
        made = do(shop, row, "accept")
        undo(shop, made, row)
        (money,) = where_is_money(today=DAY).accounts
        assert (money.by_hand, money.by_hand_count, money.differs) == (0, 0, -696)
        holds()

    @pytest.mark.parametrize("action", ["keep", "accept", "write_off"])
    def test_a_rule_does_not_settle_again_what_a_person_took_back(
        self, shop: Shop, account: PlatformAccount, action: str
    ) -> None:
        set_write_off_limit(limit=Money(1000), member=shop["owner"], actor=ACTOR, now=NOW)
        auto(shop, action)
        bill(account, [STRANGER])
        row = one(match(account))
        made = Resolution.objects.get()
        assert (made.state, row.state) == ("done", "resolved")
        match(account)
        undo(shop, made, row)
        again = one(match(account))
        assert again.state == "open"
        assert Resolution.objects.count() == 1
        # A person may still do it.
        do(shop, again, action)
        holds()

    def test_a_payout_of_a_day_opened_again_is_undone(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        payment = paid(shop, account)
        bill(account, [row_of(payment)])
        (owed,) = settle(account_id=account.pk, now=NOW)
        BusinessDay.objects.update_or_create(
            day=DAY + timedelta(days=1), defaults={"is_closed": True}
        )
        upload(make_bank(), bank_csv((DAY + timedelta(days=1), 9940, TENPAY, "R1")))
        lines = list(BankLine.objects.values_list("pk", flat=True))
        payout = link(
            line_ids=lines, settlement_ids=[owed.pk],
            member=None, actor=ACTOR, now=NOW,
        )  # fmt: skip
        assert payout.booked_date == DAY + timedelta(days=2)
        BusinessDay.objects.filter(day=DAY + timedelta(days=1)).update(is_closed=False)
        unlink(payout_id=payout.pk, reason="x", member=shop["finance"], actor=ACTOR, now=NOW)
        assert balances() == {"receivable": 9940, "fees": 60, "sales": -10_000}
        holds()


def test_a_fully_paid_account_ends_at_zero(shop: Shop, account: PlatformAccount) -> None:
    may_adjust()
    rule(account)
    payment = paid(shop, account)
    bill(account, [row_of(payment).but(fee=61), sale(1, 5000)])
    do(shop, one(match(account)), "accept")
    (owed,) = settle(account_id=account.pk, now=NOW)
    assert owed.net_minor == 9939 + 4970
    upload(make_bank(), bank_csv((DAY + timedelta(days=1), 14_909, TENPAY, "R1")))
    lines = list(BankLine.objects.values_list("pk", flat=True))
    link(
        line_ids=lines, settlement_ids=[owed.pk],
        member=None, actor=ACTOR, now=NOW,
    )  # fmt: skip
    assert balances() == {"bank": 14_909, "fees": 91, "sales": -15_000}
    holds()
    equation = explain(ReconciliationRun.objects.get(is_current=True))
    assert equation is not None
    assert equation.rest_minor == 0
