"""The plan of accounts: the default one, the merchant's own codes, and payments that never fail for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.core.models import AuditEvent
from apps.core.money import Money
from apps.ledger.models import Account, Purpose
from apps.ledger.selectors import list_plan
from apps.ledger.services import PLAN, AccountWords, CodeTaken, Line, name_accounts
from apps.ledger.tests.books import DESK, adjust
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop

SALES, FEES, BANK = (Purpose.SALES, 0), (Purpose.FEES, 0), (Purpose.BANK, 0)


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def name(words: dict[tuple[Purpose, int], tuple[str, str]]) -> int:
    asked = {key: AccountWords(*pair) for key, pair in words.items()}
    return name_accounts(asked, actor=DESK, now=NOW)


def codes() -> dict[str, str]:
    return {row.key: row.code for row in list_plan()}


def test_the_default_plan_is_shown_before_anything_is_booked(shop: Shop) -> None:
    assert codes() == {
        f"{purpose}.0": code
        for purpose, (code, _name) in PLAN.items()
        if purpose not in {"receivable", "reserve"}
    }
    assert Account.objects.count() == 0
    adjust(
        shop,
        lines=[
            Line(purpose=Purpose.RECEIVABLE, amount=Money(5), subject_id=7),
            Line(purpose=Purpose.SALES, amount=Money(-5)),
        ],
        confirm=False,
    )
    assert codes()["receivable.7"] == "1221.7"
    assert len(codes()) == 7


def test_codes_and_names_of_ones_own(shop: Shop) -> None:
    assert name({SALES: ("500101", "收入"), FEES: ("6603", "支付手续费")}) == 1
    assert Account.objects.count() == 1
    assert codes()["sales.0"] == "500101"
    # The same once more changes nothing and leaves no trace.
    before = AuditEvent.objects.count()
    assert name({SALES: ("500101", "收入")}) == 0
    assert AuditEvent.objects.count() == before
    event = AuditEvent.objects.get(action="plan.changed")
    assert event.data["accounts"][0]["after"] == "500101 收入"


def test_two_accounts_exchange_their_codes(shop: Shop) -> None:
    name({SALES: ("1", "a"), FEES: ("2", "b")})
    name({SALES: ("2", "a"), FEES: ("1", "b")})
    assert (codes()["sales.0"], codes()["fees.0"]) == ("2", "1")


def test_a_code_that_is_taken_changes_nothing(shop: Shop) -> None:
    name({SALES: ("1", "a"), FEES: ("2", "b")})
    with pytest.raises(CodeTaken):
        name({SALES: ("9", "c"), BANK: ("2", "d")})
    assert (codes()["sales.0"], codes()["fees.0"]) == ("1", "2")


def test_no_booking_fails_for_a_code_that_was_given_away(shop: Shop) -> None:
    """The bank's default code was given to sales before the bank's account was opened."""
    name({SALES: (PLAN[Purpose.BANK][0], "收入")})
    assert codes()["bank.0"] == "1002-2"
    adjust(
        shop,
        lines=[
            Line(purpose=Purpose.BANK, amount=Money(5)),
            Line(purpose=Purpose.SALES, amount=Money(-5)),
        ],
        confirm=False,
    )
    assert codes()["bank.0"] == "1002-2"
    assert codes()["sales.0"] == "1002"
