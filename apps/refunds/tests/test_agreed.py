"""What an agreement says of refunds: until when, and how much of the fee comes back."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import PlatformAccount
from apps.platforms.services.agreements import Terms, Tier, enter_agreement
from apps.refunds.models import Refund
from apps.refunds.services import PastLimits, request_refund


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def sign(
    account: PlatformAccount,
    *,
    refund_window_days: int | None = None,
    fee_back_ppm: int = 1_000_000,
) -> None:
    enter_agreement(
        account_id=account.pk,
        terms=Terms(
            service="x",
            valid_from=date(2020, 1, 1),
            refund_window_days=refund_window_days,
            fee_back_ppm=fee_back_ppm,
        ),
        tiers=[Tier(rate_ppm=6_000)],
        effective_from=None,
        expected=0,
        member=None,
        actor=Actor("t"),
        now=NOW,
    )


def refund(shop: Shop, payment: Payment, minor: int, *, days: int = 0) -> Refund:
    return request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="x",
        member=shop["cashier"],
        actor=Actor("t"),
        now=NOW + timedelta(days=days),
    )


def test_the_window_ends_after_its_last_day(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        sign(account, refund_window_days=30)
        payment = make_paid(shop, account, minor=10_000)
        assert refund(shop, payment, 100, days=30).amount_minor == 100
        with pytest.raises(PastLimits) as refused:
            refund(shop, payment, 100, days=31)
        assert refused.value.reason == "window"
        assert refused.value.allowance.agreed_days == 30
        payment.refresh_from_db()
        assert payment.refund_reserved_minor == 100
        assert Refund.objects.count() == 1


def test_without_an_agreement_only_the_platforms_own_limits_hold(shop: Shop) -> None:
    with inside(shop):
        payment = make_paid(shop, make_account(shop, platform="alipay"), minor=10_000)
        assert refund(shop, payment, 100, days=3_000).amount_minor == 100


@pytest.mark.parametrize(
    ("back", "parts"), [(0, [0, 0]), (500_000, [9, 21]), (1_000_000, [18, 42])]
)
def test_how_much_of_the_fee_comes_back(
    shop: Shop, account: PlatformAccount, back: int, parts: list[int]
) -> None:
    with inside(shop):
        sign(account, fee_back_ppm=back)
        payment = make_paid(shop, account, minor=10_000)
        assert payment.fee_minor == 60
        assert [refund(shop, payment, minor).fee_minor for minor in (3_000, 7_000)] == parts
