"""The adviser's sums against exact fractions, payment by payment, and its page."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import PlatformAccount
from apps.platforms.services.agreements import Terms, Tier, enter_agreement
from apps.refunds.models import Refund
from apps.refunds.services import request_refund
from apps.reports.selectors.adviser import Answer, advise, options_on
from apps.reports.views.adviser import exact_yuan

PAID_AT = datetime(2026, 10, 12, 4, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 27, 4, 0, tzinfo=UTC)
TODAY = date(2026, 11, 27)
AMOUNTS = [1, 83, 125, 999, 10_000, 33_333, 100_000, 100_001, 2_000_000, 5_000_001]


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


def sign(account: PlatformAccount, terms: Terms, *tiers: Tier) -> None:
    enter_agreement(
        account_id=account.pk,
        terms=terms,
        tiers=tiers,
        effective_from=None,
        expected=0,
        member=None,
        actor=Actor("t"),
        now=NOW,
    )


@pytest.fixture
def month(shop: Shop) -> dict[str, PlatformAccount]:
    """Ten payments by WeChat and three by Alipay, one of them refunded in part; agreements that came later."""
    with inside(shop):
        wechat = make_account(shop)
        alipay = make_account(shop, platform="alipay", merchant_no="2088000000000001")
        for minor in AMOUNTS:
            make_paid(shop, wechat, minor=minor, now=PAID_AT)
        for minor in (500, 1_500, 60_000):
            make_paid(shop, alipay, minor=minor, now=PAID_AT)
        make_paid(shop, wechat, minor=777, now=NOW)
        payment = Payment.objects.get(account=wechat, amount_minor=100_000)
        refund = request_refund(
            payment_id=payment.pk, amount=Money(5_000), reason="x", member=shop["owner"],
            actor=Actor("t"), now=PAID_AT,
        )  # fmt: skip
        Refund.objects.filter(pk=refund.pk).update(
            state="succeeded", booked_date=date(2026, 10, 12), accepted_at=PAID_AT, refunded_at=PAID_AT
        )  # fmt: skip
        sign(
            wechat,
            Terms(
                service="x",
                valid_from=date(2026, 1, 1),
                fee_back_ppm=500_000,
                payment_limit_minor=5_000_000,
                day_limit_minor=2_000_000,
                refund_window_days=0,
            ),
            Tier(rate_ppm=3_800, rounding="half_even"),
            Tier(rate_ppm=6_000, from_minor=100_001, cap_minor=8_000),
            Tier(rate_ppm=3_800, wallet="alipay", least_minor=1),
        )
    return {"wechatpay": wechat, "alipay": alipay}


def answer_of(answers: list[Answer], platform: str) -> Answer:
    return next(one for one in answers if one.option.platform == platform)


def test_each_fen_is_explained(shop: Shop, month: dict[str, PlatformAccount]) -> None:
    with inside(shop):
        advice = advise(month=date(2026, 10, 1), today=TODAY, options=options_on(TODAY))
    assert advice.count == 13
    assert advice.amount_minor == sum(AMOUNTS) + 62_000
    assert {answer.option.source for answer in advice.answers} == {"agreement", "own_rate", "usual"}
    for answer in advice.answers:
        for tier in answer.tiers:
            explained = (
                tier.exact_micro + tier.rounding_micro + (tier.cap_minor + tier.least_minor) * 10**6
            )
            assert explained == tier.charged_minor * 10**6
        assert sum(answer.by_wallet.values()) == answer.charged_minor
        assert sum(answer.by_scenario.values()) == answer.charged_minor
        assert answer.count + answer.other_wallet_count + answer.over_limit_count == advice.count

    wechat = answer_of(advice.answers, "wechatpay")
    fees = []
    for minor in AMOUNTS:
        if minor > 5_000_000:
            continue
        if minor >= 100_001:
            exact = Fraction(minor * 6, 1000)
            fees.append(min(math.floor(exact + Fraction(1, 2)), 8_000))
        else:
            fees.append(round(Fraction(minor * 38, 10_000)))
    assert wechat.charged_minor == sum(fees)
    assert (wechat.over_limit_count, wechat.over_limit_minor) == (1, 5_000_001)
    assert (wechat.other_wallet_count, wechat.other_wallet_minor) == (3, 62_000)
    day = sum(minor for minor in AMOUNTS if minor <= 5_000_000)
    assert (wechat.over_day_count, wechat.over_day_minor) == (1, day - 2_000_000)
    # ¥3.80 of fee, a twentieth refunded, half of that comes back: 9.5 fen, rounded up.
    assert (wechat.refund_count, wechat.fee_back_minor, wechat.late_count) == (1, 10, 0)
    assert wechat.cost_minor == wechat.charged_minor - 10
    capped = [tier.capped_count for tier in wechat.tiers]
    assert sum(capped) == 1

    aggregator = answer_of(advice.answers, "shouqianba")
    everything = [*AMOUNTS, 500, 1_500, 60_000]
    half = Fraction(1, 2)
    assert aggregator.charged_minor == sum(
        math.floor(Fraction(minor * 38, 10_000) + half) for minor in everything
    )


def test_refunds_that_would_have_come_too_late(
    shop: Shop, month: dict[str, PlatformAccount]
) -> None:
    with inside(shop):
        Refund.objects.update(accepted_at=PAID_AT.replace(day=13))
        advice = advise(month=date(2026, 10, 1), today=TODAY, options=options_on(TODAY))
    wechat = answer_of(advice.answers, "wechatpay")
    assert (wechat.late_count, wechat.late_minor) == (1, 5_000)
    assert (wechat.refund_count, wechat.fee_back_minor) == (0, 0)


def test_the_number_of_queries_does_not_grow(shop: Shop, month: dict[str, PlatformAccount]) -> None:
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            advise(month=date(2026, 10, 1), today=TODAY, options=options)
        return len(seen)

    with inside(shop):
        options = options_on(TODAY)
        before = count()
        for minor in (70, 71, 72):
            make_paid(shop, month["wechatpay"], minor=minor, now=PAID_AT)
        assert count() == before


def test_millionths_as_yuan() -> None:
    assert exact_yuan(0) == "¥0.00"
    assert exact_yuan(34_073_400_000) == "¥340.734"
    assert exact_yuan(-26_600_000) == "−¥0.266"
    assert exact_yuan(1) == "¥0.00000001"


@time_machine.travel(NOW, tick=False)
def test_the_page(shop: Shop, month: dict[str, PlatformAccount]) -> None:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop["owner"])
    address = reverse("reports:adviser", args=[shop.merchant.slug])
    page = client.get(address).content.decode()
    assert "2026-10" in page
    assert "By your agreement" in page
    assert "starting values" in page
    assert (
        "Nothing was paid in this month"
        in client.get(address, {"month": "2026-03"}).content.decode()
    )
    assert "not over" in client.get(address, {"month": "2031-01"}).content.decode()
    client.force_login(shop["cashier"])
    assert client.get(address).status_code == 403


@time_machine.travel(datetime(2026, 12, 20, 4, 0, tzinfo=UTC), tick=False)
def test_what_ends_soon_stands_on_today(shop: Shop, month: dict[str, PlatformAccount]) -> None:
    with inside(shop):
        sign(
            month["alipay"],
            Terms(service="x", valid_from=date(2026, 1, 1), valid_until=date(2026, 12, 31)),
            Tier(rate_ppm=6_000),
        )
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop["owner"])
    page = client.get(reverse("reports:dashboard", args=[shop.merchant.slug])).content.decode()
    assert "The agreement of alipay ends on 2026-12-31" in page
