"""The platforms' limits are known before anybody asks: until when, how many parts, from when the next."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audit import Actor
from apps.core.clock import CHINA
from apps.core.models import Due
from apps.core.money import Money
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms import registry
from apps.platforms.gateway import Outcome, Platform, RefundLimits, months_later
from apps.platforms.models import PlatformAccount
from apps.platforms.services.agreements import Terms, Tier, enter_agreement
from apps.platforms.tests.fakes import FakeGateway
from apps.refunds import services
from apps.refunds.limitwords import limit_words, refusal_sentence
from apps.refunds.models import Refund, RefundState
from apps.refunds.selectors import refund_allowance
from apps.refunds.services import PastLimits, request_refund, sending

DESK = Actor("desk")
SECOND = timedelta(seconds=1)


def china(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA).astimezone(UTC)


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def account_at(shop: Shop, platform: str) -> PlatformAccount:
    return make_account(shop, platform=platform)


def paid_at(shop: Shop, platform: str, *, now: datetime = NOW) -> Payment:
    """A payment of ¥100 at a platform; an aggregator's as well, whatever the wallet."""
    account = account_at(shop, "wechatpay")
    payment = make_paid(shop, account, minor=10_000, now=now)
    PlatformAccount.objects.filter(pk=account.pk).update(platform=platform)
    Payment.objects.filter(pk=payment.pk).update(platform=platform)
    return Payment.objects.select_related("account").get(pk=payment.pk)


def ask(shop: Shop, payment: Payment, minor: int = 100, *, now: datetime = NOW) -> Refund:
    return request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="x",
        member=shop["cashier"],
        actor=DESK,
        now=now,
    )


def sign(account: PlatformAccount, days: int) -> None:
    enter_agreement(
        account_id=account.pk,
        terms=Terms(service="x", valid_from=date(2020, 1, 1), refund_window_days=days),
        tiers=[Tier(rate_ppm=6_000)],
        effective_from=None,
        expected=0,
        member=None,
        actor=DESK,
        now=NOW,
    )
    account.refresh_from_db()


class TestWindow:
    @pytest.mark.parametrize(
        ("platform", "paid", "ends"),
        [
            # A year is 365 times 24 hours, also over a leap day.
            ("wechatpay", "2026-11-24 12:00:01", "2027-11-24 12:00:01"),
            ("wechatpay", "2027-11-24 12:00:00", "2028-11-23 12:00:00"),
            # Months are the calendar's, in China; the day they end on is taken whole.
            ("unionpay", "2026-03-31 23:59:59", "2027-03-01 00:00:00"),
            ("unionpay", "2026-11-24 00:00:00", "2027-10-25 00:00:00"),
            ("unionpay", "2027-03-29 12:00:00", "2028-03-01 00:00:00"),
            ("unionpay", "2026-03-30 00:00:00", "2027-03-01 00:00:00"),
            ("shouqianba", "2026-11-30 08:00:00", "2027-03-01 00:00:00"),
            ("shouqianba", "2026-11-01 00:00:00", "2027-02-02 00:00:00"),
            ("shouqianba", "2026-10-31 23:59:59", "2027-02-01 00:00:00"),
            ("shouqianba", "2026-12-31 23:59:59", "2027-04-01 00:00:00"),
        ],
    )
    def test_its_last_second(self, shop: Shop, platform: str, paid: str, ends: str) -> None:
        """A second before it ends a refund is taken, at its end it is refused with the day in the sentence."""
        payment = paid_at(shop, platform, now=china(paid))
        end = china(ends)
        assert refund_allowance(payment, now=NOW).ends_at == end
        assert ask(shop, payment, now=end - SECOND).state == RefundState.READY
        with pytest.raises(PastLimits) as refused:
            ask(shop, payment, now=end)
        assert refused.value.reason == "window"
        last = (end - SECOND).astimezone(CHINA).date().isoformat()
        assert last in refusal_sentence(refused.value.allowance, end)
        assert Refund.objects.count() == 1

    def test_of_alipay_only_the_contract_says(self, shop: Shop) -> None:
        account = account_at(shop, "alipay")
        payment = make_paid(shop, account, minor=10_000)
        assert refund_allowance(payment, now=NOW).ends_at is None
        assert limit_words(refund_allowance(payment, now=NOW), NOW) == []
        sign(account, 90)
        payment.refresh_from_db()
        found = refund_allowance(Payment.objects.select_related("account").get(), now=NOW)
        # Paid on 2026-11-24: to the end of 2027-02-22.
        assert (found.ends_at, found.agreed_days) == (china("2027-02-23 00:00:00"), 90)

    @pytest.mark.parametrize(("days", "agreed"), [(30, 30), (400, None), (365, None)])
    def test_what_ends_first_holds(self, shop: Shop, days: int, agreed: int | None) -> None:
        account = account_at(shop, "wechatpay")
        make_paid(shop, account, minor=10_000)
        sign(account, days)
        found = refund_allowance(Payment.objects.select_related("account").get(), now=NOW)
        assert found.agreed_days == agreed
        platform_end = NOW + timedelta(days=365)
        assert found.ends_at == (platform_end if agreed is None else china("2026-12-25 00:00:00"))

    @settings(max_examples=300)
    @given(st.dates(date(2020, 1, 1), date(2040, 12, 31)), st.integers(0, 30))
    def test_months_the_slow_way(self, day: date, months: int) -> None:
        """Going month by month: a shorter month moves the day back only for itself."""
        year, month = day.year, day.month
        for _ in range(months):
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        longest = monthrange(year, month)[1]
        assert months_later(day, months) == date(year, month, min(day.day, longest))

    def test_every_platform_says_its_limits(self) -> None:
        said = {platform: limits.refund_limits for platform, limits in registry.CONNECTORS.items()}
        minute = timedelta(minutes=1)
        assert said[Platform.WECHATPAY] == RefundLimits(days=365, parts=50, gap=minute)
        assert said[Platform.ALIPAY] == RefundLimits()
        assert (said[Platform.UNIONPAY].months, said[Platform.SHOUQIANBA].months) == (11, 3)


class TestParts:
    def test_the_fiftieth_is_taken_and_the_next_is_not(self, shop: Shop) -> None:
        payment = make_paid(shop, account_at(shop, "wechatpay"), minor=100_000)
        for number in range(50):
            now = NOW + timedelta(minutes=number)
            found = refund_allowance(payment, now=now)
            assert (found.parts, found.parts_left) == (50, 50 - number)
            ask(shop, payment, now=now)
        with pytest.raises(PastLimits) as refused:
            ask(shop, payment, now=NOW + timedelta(hours=2))
        assert refused.value.reason == "parts"
        assert "50" in refusal_sentence(refused.value.allowance, NOW)
        payment.refresh_from_db()
        assert payment.refund_reserved_minor == 50 * 100

    def test_what_the_platform_never_took_is_no_part(self, shop: Shop) -> None:
        payment = make_paid(shop, account_at(shop, "wechatpay"), minor=100_000)
        refused, closed = ask(shop, payment), ask(shop, payment)
        rows = Refund.objects.filter(pk__in=[refused.pk, closed.pk])
        rows.update(state=RefundState.FAILED, sent_at=NOW)
        Refund.objects.filter(pk=closed.pk).update(accepted_at=NOW)
        # The one that was accepted and closed afterwards counts.
        assert refund_allowance(payment, now=NOW).parts_left == 49


class TestGap:
    @pytest.fixture
    def platform(self, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
        platform = FakeGateway(refund_outcome=Outcome.PENDING)
        monkeypatch.setattr(sending, "gateway_of", lambda _account, **_caller: platform)
        return platform

    def sent(self, platform: FakeGateway) -> list[str]:
        return [request.refund_no for name, request in platform.calls if name == "refund"]

    def test_the_second_part_waits_for_its_minute_and_is_sent_then(
        self, shop: Shop, platform: FakeGateway
    ) -> None:
        payment = make_paid(shop, account_at(shop, "wechatpay"), minor=10_000)
        first = ask(shop, payment)
        assert services.send_refund(refund_id=first.pk, now=NOW) is None
        later = NOW + timedelta(seconds=20)
        assert refund_allowance(payment, now=later).next_at == NOW + timedelta(minutes=1)
        second = ask(shop, payment, now=later)
        due = Due.objects.get(task="refunds.send", subject_id=second.pk)
        assert due.due_at == NOW + timedelta(minutes=1)
        # Sent too early all the same, as by a worker who was told twice: it says when its turn comes.
        turn = services.send_refund(refund_id=second.pk, now=NOW + timedelta(seconds=59))
        assert turn == NOW + timedelta(minutes=1)
        assert self.sent(platform) == [first.refund_no]
        second.refresh_from_db()
        assert (second.state, second.sent_at) == (RefundState.READY, None)
        services.send_refund(refund_id=second.pk, now=NOW + timedelta(minutes=1))
        assert self.sent(platform) == [first.refund_no, second.refund_no]

    def test_a_third_waits_behind_the_second(self, shop: Shop, platform: FakeGateway) -> None:
        payment = make_paid(shop, account_at(shop, "wechatpay"), minor=10_000)
        services.send_refund(refund_id=ask(shop, payment).pk, now=NOW)
        ask(shop, payment)
        third = ask(shop, payment)
        due = Due.objects.get(task="refunds.send", subject_id=third.pk)
        assert due.due_at == NOW + timedelta(minutes=2)

    def test_another_payment_waits_for_nobody(self, shop: Shop, platform: FakeGateway) -> None:
        account = account_at(shop, "wechatpay")
        for seconds in (0, 10):
            refund = ask(shop, make_paid(shop, account, minor=10_000))
            # Not at the same moment only because an account has its own rate.
            services.send_refund(refund_id=refund.pk, now=NOW + timedelta(seconds=seconds))
        assert len(self.sent(platform)) == 2

    def test_other_platforms_want_no_gap(self, shop: Shop, platform: FakeGateway) -> None:
        payment = paid_at(shop, "shouqianba")
        for seconds in (0, 10):
            refund = ask(shop, payment)
            services.send_refund(refund_id=refund.pk, now=NOW + timedelta(seconds=seconds))
        assert len(self.sent(platform)) == 2


class TestCancelling:
    @pytest.mark.parametrize(
        ("paid", "until"),
        [
            ("2026-11-24 10:00:00", "2026-11-24 22:50:00"),
            ("2026-11-24 23:00:00", "2026-11-25 22:50:00"),
            ("2026-11-24 22:59:59", "2026-11-24 22:50:00"),
        ],
    )
    def test_until_the_settlement_day_ends(self, shop: Shop, paid: str, until: str) -> None:
        account = account_at(shop, "unionpay")
        PlatformAccount.objects.filter(pk=account.pk).update(cancels_same_day=True)
        at = china(paid)
        make_paid(shop, account, minor=10_000, now=at)
        payment = Payment.objects.select_related("account").get()
        end = china(until)
        for now in (at, end - SECOND, end):
            expected = end if now < end else None
            assert refund_allowance(payment, now=now).cancel_until == expected
        ask(shop, payment, now=at)
        payment.refresh_from_db()
        # A part of it can no longer be cancelled.
        assert refund_allowance(payment, now=at).cancel_until is None

    def test_only_where_the_merchant_has_it(self, shop: Shop) -> None:
        payment = make_paid(shop, account_at(shop, "unionpay"), minor=10_000)
        assert refund_allowance(payment, now=NOW).cancel_until is None


@pytest.mark.django_db
class TestPages:
    def test_the_form_and_the_order_say_it_first(self, client: Client) -> None:
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
        with inside(make_shop()) as shop:
            payment = make_paid(shop, account_at(shop, "wechatpay"), minor=10_000)
            refund = ask(shop, payment)
            Refund.objects.filter(pk=refund.pk).update(sent_at=NOW, tried_at=NOW)
        client.force_login(shop["cashier"])
        for page in (
            reverse("refunds:refund_create", args=[shop.slug, payment.pk]),
            reverse("reports:order_detail", args=[shop.slug, payment.order_id]),
        ):
            text = client.get(page).content.decode()
            assert "can be refunded until 2027-11-24 12:00" in text
            assert "49 of 50 parts left" in text

    def test_words(self, shop: Shop) -> None:
        payment = make_paid(shop, account_at(shop, "wechatpay"), minor=10_000)
        Refund.objects.filter(pk=ask(shop, payment).pk).update(sent_at=NOW)
        now = NOW + timedelta(seconds=5)
        with translation.override("en"):
            words = limit_words(refund_allowance(payment, now=now), now)
        assert words == [
            "can be refunded until 2027-11-24 12:00",
            "49 of 50 parts left",
            "next part from 12:01",
        ]

    def test_too_late_leaves_no_form(self, client: Client) -> None:
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
        with inside(make_shop()) as shop:
            paid = NOW - timedelta(days=400)
            payment = make_paid(shop, account_at(shop, "wechatpay"), minor=10_000, now=paid)
        client.force_login(shop["cashier"])
        address = reverse("refunds:refund_create", args=[shop.slug, payment.pk])
        page = client.get(address).content.decode()
        assert "The platform took refunds of this payment until 2026-10-20 12:00" in page
        assert 'name="amount"' not in page
        order = client.get(reverse("reports:order_detail", args=[shop.slug, payment.order_id]))
        assert address not in order.content.decode()
