"""The fake platform keeps the promises that tests above the port lean on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from apps.core.money import Money
from apps.platforms.gateway import (
    InvalidSignature,
    OrderNotFound,
    Outcome,
    PlatformRejected,
    PlatformUnavailable,
)
from apps.platforms.tests.contract import (
    ORDER,
    REFUND,
    barcode_ref,
    barcode_request,
    create_request,
    payment_ref,
    refund_request,
)
from apps.platforms.tests.fakes import FakeGateway


def test_a_payment_and_its_refund() -> None:
    fake = FakeGateway()
    with pytest.raises(OrderNotFound):
        fake.query_payment(payment_ref())
    assert fake.create_payment(create_request()).qr_content
    with pytest.raises(PlatformRejected):
        fake.create_payment(create_request(amount=Money(1)))
    assert fake.query_payment(payment_ref()).outcome is Outcome.PENDING
    fake.pay(ORDER)
    assert asyncio.run(fake.query_payment_async(payment_ref())).outcome is Outcome.SUCCEEDED
    assert fake.close_payment(payment_ref()).outcome is Outcome.SUCCEEDED
    first = fake.refund(refund_request())
    assert (first.outcome, fake.refund(refund_request())) == (Outcome.PENDING, first)
    fake.settle_refund(REFUND)
    refund = fake.parse_notification(fake.refund_notice(REFUND)).refund
    assert refund is not None
    assert refund.outcome is Outcome.SUCCEEDED
    assert fake.count("refund") == 2


def test_a_lost_answer_still_takes_effect() -> None:
    fake = FakeGateway()
    fake.fail_next("create_payment", PlatformUnavailable("slow", code="timeout"), after=True)
    fake.fail_next("query_payment", PlatformUnavailable("slow", code="timeout"))
    with pytest.raises(PlatformUnavailable):
        fake.create_payment(create_request())
    with pytest.raises(PlatformUnavailable):
        fake.query_payment(payment_ref())
    assert fake.query_payment(payment_ref()).outcome is Outcome.PENDING


def test_a_payers_code() -> None:
    fake = FakeGateway()
    assert fake.pay_barcode(barcode_request()).outcome is Outcome.SUCCEEDED
    assert fake.pay_barcode(barcode_request()) == fake.query_payment(barcode_ref())
    with pytest.raises(PlatformRejected):
        fake.pay_barcode(barcode_request(amount=Money(1)))
    with pytest.raises(PlatformRejected) as caught:
        fake.pay_barcode(barcode_request(order_no="P2"))
    assert caught.value.code == "AUTH_CODE_INVALID"


def test_a_payers_code_of_unknown_outcome_is_reversed() -> None:
    fake = FakeGateway()
    fake.barcode_outcome = Outcome.PENDING
    fake.fail_next("pay_barcode", PlatformUnavailable("slow", code="timeout"), after=True)
    with pytest.raises(PlatformUnavailable):
        fake.pay_barcode(barcode_request())
    assert fake.query_payment(barcode_ref()).outcome is Outcome.PENDING
    fake.reversal_outcome = Outcome.PENDING
    assert fake.reverse_payment(barcode_ref()).outcome is Outcome.PENDING
    assert fake.query_payment(barcode_ref()).code == "USERPAYING"
    fake.reversal_outcome = Outcome.CLOSED
    for _ in range(2):
        assert fake.reverse_payment(barcode_ref()).outcome is Outcome.CLOSED
    assert fake.query_payment(barcode_ref()).outcome is Outcome.CLOSED


def test_a_forged_notice() -> None:
    fake = FakeGateway()
    fake.create_payment(create_request())
    with pytest.raises(InvalidSignature):
        fake.parse_notification(fake.payment_notice(ORDER, signature="bad"))
    raw = fake.payment_notice(ORDER)
    with pytest.raises(InvalidSignature):
        fake.parse_notification(replace(raw, headers={}))
