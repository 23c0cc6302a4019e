"""The books hold whatever is settled and taken back, and say where they do not."""

from __future__ import annotations

import pytest

from apps.merchants.tests.factories import inside, make_shop
from apps.operations import books
from apps.payments.tests.factories import make_account
from apps.reconciliation.models import Difference, Resolution
from apps.reconciliation.tests.acts import do, may_adjust, undo
from apps.reconciliation.tests.days import bill, match, paid, refunded
from apps.reconciliation.tests.test_matching import STRANGER
from apps.statements.tests.bills import row_of, row_of_refund

pytestmark = pytest.mark.django_db


def test_books_hold_through_acts_and_their_undoing() -> None:
    with inside(make_shop()) as shop:
        may_adjust()
        account = make_account(shop)
        sold = paid(shop, account)
        back = row_of_refund(refunded(shop, sold, 1000))
        unknown = back.but(refund_no="X", platform_refund_no="Y", minor=500, fee=-3)
        bill(account, [row_of(sold).but(fee=61), back, unknown, STRANGER])
        match(account)
        rows = {row.type: row for row in Difference.objects.filter(run__is_current=True)}
        assert set(rows) == {"fee", "unknown_refund", "missing_here"}
        for round_ in range(2):
            made = [(do(shop, row, "accept"), row) for row in rows.values()]
            assert books.verify() == [], round_
            for act, row in made:
                undo(shop, act, row)
            assert books.verify() == [], round_
        for row in rows.values():
            do(shop, row, "accept")
        assert match(account).matched_count == 3
        assert books.verify() == []


def test_what_does_not_agree_is_named() -> None:
    with inside(make_shop()) as shop:
        may_adjust()
        account = make_account(shop)
        bill(account, [STRANGER])
        match(account)
        row = Difference.objects.get()
        made = do(shop, row, "adjust")
        assert books.verify() == []
        Difference.objects.filter(pk=row.pk).update(adjusted_minor=1)
        Resolution.objects.filter(pk=made.pk).update(booked_minor=2)
        assert [finding.check for finding in books.verify()] == [
            "differences say what was booked for them",
            "resolutions say what their adjustments booked",
        ]
