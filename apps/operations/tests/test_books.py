"""Books that hold are found whole; each kind of damage is found and named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop
from apps.operations import books
from apps.payments.models import Order, Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.gateway import Outcome, RefundResult
from apps.reconciliation.models import ReconciliationRun
from apps.refunds import services as refunds

DESK = Actor("desk")


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        account = make_account(shop)
        make_paid(shop, account, minor=5_000)
        payment = make_paid(shop, account, minor=10_000)
        refund = refunds.request_refund(
            payment_id=payment.pk,
            amount=Money(4_000),
            reason="x",
            member=shop["cashier"],
            actor=DESK,
            now=NOW,
        )
        refunds.apply_refund_result(
            refund_id=refund.pk,
            result=RefundResult(
                outcome=Outcome.SUCCEEDED,
                order_no=payment.order_no,
                refund_no=refund.refund_no,
                refunded_at=NOW,
            ),
            via="poll",
            now=NOW,
            actor=DESK,
        )
        ReconciliationRun.objects.create(account=account, day=NOW.date(), started_at=NOW)
        check_now()
        yield shop


def broken() -> list[str]:
    return [finding.check for finding in books.verify()]


def damage(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_whole_books_have_no_findings(shop: Shop) -> None:
    assert broken() == []


def test_a_payment_changed_by_hand_is_found(shop: Shop) -> None:
    Payment.objects.filter(amount_minor=5_000).update(amount_minor=5_001)
    assert broken() == ["what moved is in the journal, once"]


def test_a_refunded_sum_changed_by_hand_is_found(shop: Shop) -> None:
    Payment.objects.filter(amount_minor=10_000).update(refunded_minor=3_999)
    assert broken() == ["refunds add up on their payment"]


def test_an_order_changed_by_hand_is_found(shop: Shop) -> None:
    Order.objects.filter(amount_minor=5_000).update(state="open")
    assert broken() == ["an order is paid if a payment of it is"]


def test_a_payment_taken_back_by_hand_is_found(shop: Shop) -> None:
    Payment.objects.filter(amount_minor=5_000).update(state="closed")
    assert broken() == ["what is in the journal moved", "an order is paid if a payment of it is"]


def test_a_posting_changed_by_the_owner_of_the_table_is_found(shop: Shop) -> None:
    damage(
        "ALTER TABLE ledger_posting DISABLE TRIGGER append_only",
        "UPDATE ledger_posting SET amount_minor = amount_minor + 1"
        " WHERE id = (SELECT min(id) FROM ledger_posting WHERE amount_minor < 0)",
    )
    assert broken() == ["every journal entry balances"]


def test_a_gap_that_nothing_explains_is_found(shop: Shop) -> None:
    ReconciliationRun.objects.update(their_net_minor=7)
    assert broken() == ["differences explain the gap of their run"]


def test_the_command_names_the_row_and_fails(shop: Shop) -> None:
    out = StringIO()
    call_command("verify_books", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"ok": True, "merchants": {"tea": []}}
    Payment.objects.filter(amount_minor=5_000).update(amount_minor=5_001)
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_books", "--json", stdout=out)
    assert "moved 5001 fen, the journal holds 5000" in out.getvalue()
