"""Watching codes: odd payments, and the task that raises alerts of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.tasks import drain
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.qrcodes.models import AlertKind, CodeAlert, CodeVersion, QRCode, Scan
from apps.qrcodes.selectors import Finding
from apps.qrcodes.services import look_at_alert, raise_alerts
from apps.reports.selectors import odd_payments
from apps.reports.services import WATCH, plan_watching, watch_codes
from apps.reports.tests.test_code_figures import buy, make_code

#: Two in the afternoon of that Tuesday in China; the tests look at six in the evening.
AFTERNOON = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
EVENING = AFTERNOON + timedelta(hours=4)
#: Three at night.
NIGHT = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


@pytest.fixture
def code(shop: Shop) -> QRCode:
    with inside(shop):
        return make_code(shop.store)


def burst(code: QRCode, count: int, at: datetime = AFTERNOON) -> None:
    Scan.objects.bulk_create(
        Scan(code_id=code.pk, store_id=code.store_id, at=at + timedelta(seconds=number))
        for number in range(count)
    )


def found(kind: AlertKind, now: datetime = EVENING) -> list[Finding]:
    return [one for one in odd_payments(now=now) if one.kind == kind]


@pytest.mark.usefixtures("account")
class TestUnpaid:
    def test_thirty_scans_in_an_hour_and_nothing_paid(self, shop: Shop, code: QRCode) -> None:
        with inside(shop):
            burst(code, 29)
            assert found(AlertKind.UNPAID) == []
            burst(code, 1, AFTERNOON + timedelta(minutes=59))
            (one,) = found(AlertKind.UNPAID)
            assert (one.code_id, one.since) == (code.pk, AFTERNOON)
            assert one.facts == {"scans": 30, "hour": AFTERNOON.isoformat()}
            # Once the payers' quarter of an hour is over, and a day later no more.
            assert found(AlertKind.UNPAID, AFTERNOON + timedelta(minutes=73)) == []
            assert found(AlertKind.UNPAID, AFTERNOON + timedelta(minutes=74))
            assert found(AlertKind.UNPAID, AFTERNOON + timedelta(hours=26)) == []

    def test_scans_of_two_hours_do_not_add_up(self, shop: Shop, code: QRCode) -> None:
        with inside(shop):
            burst(code, 20, AFTERNOON - timedelta(minutes=1))
            burst(code, 20)
            assert found(AlertKind.UNPAID) == []

    @pytest.mark.parametrize(
        ("minutes", "odd"), [(-1, True), (0, False), (30, False), (74, False), (75, True)]
    )
    def test_one_payment_in_that_hour_or_the_quarter_after_is_enough(
        self, shop: Shop, account: PlatformAccount, code: QRCode, minutes: int, odd: bool
    ) -> None:
        with inside(shop):
            burst(code, 40)
            paid_at = AFTERNOON + timedelta(minutes=minutes)
            buy(code, account, paid_at - timedelta(seconds=20), seconds=20)
            assert bool(found(AlertKind.UNPAID)) == odd

    def test_another_codes_payment_is_no_excuse(
        self, shop: Shop, account: PlatformAccount, code: QRCode
    ) -> None:
        with inside(shop):
            burst(code, 40)
            buy(make_code(shop.store, "别处"), account, AFTERNOON + timedelta(minutes=5))
            assert len(found(AlertKind.UNPAID)) == 1


class TestOpeningHours:
    @pytest.fixture
    def nine_to_nine(self, shop: Shop, code: QRCode) -> QRCode:
        with inside(shop):
            versions = CodeVersion.objects.filter(code=code)
            # Versions stay as they were made: another one that begins early.
            first = versions.get()
            first.pk, first.number = None, 2
            first.starts_at = NOW - timedelta(days=100)
            first.hours = [[[9 * 60, 21 * 60]]] * 7
            first.save(force_insert=True)
        return code

    def test_paid_at_three_at_night(
        self, shop: Shop, account: PlatformAccount, nine_to_nine: QRCode
    ) -> None:
        with inside(shop):
            first = buy(nine_to_nine, account, NIGHT, minor=700)
            buy(nine_to_nine, account, NIGHT + timedelta(minutes=9), minor=300)
            buy(nine_to_nine, account, AFTERNOON)
            (one,) = found(AlertKind.HOURS)
            assert (one.facts["rule"], one.facts["count"], one.facts["minor"]) == (
                "closed",
                2,
                1000,
            )
            assert one.since == first.paid_at

    @pytest.mark.parametrize(("minutes", "odd"), [(-1, False), (5, False), (29, False), (31, True)])
    def test_an_order_of_before_closing_may_be_paid_after_it(
        self,
        shop: Shop,
        account: PlatformAccount,
        nine_to_nine: QRCode,
        minutes: int,
        odd: bool,
    ) -> None:
        closing = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
        with inside(shop):
            buy(nine_to_nine, account, closing + timedelta(minutes=minutes), seconds=0)
            assert bool(found(AlertKind.HOURS)) == odd

    def test_without_hours_one_payment_at_night_is_not_odd(
        self, shop: Shop, account: PlatformAccount, code: QRCode
    ) -> None:
        with inside(shop):
            buy(code, account, NIGHT)
            assert found(AlertKind.HOURS) == []


class TestUsualHours:
    def habit(self, code: QRCode, account: PlatformAccount, count: int = 40) -> None:
        """Payments from two to six in the afternoon, in the weeks before."""
        for number in range(count):
            at = AFTERNOON - timedelta(days=2 + number % 20) + timedelta(hours=number % 4)
            buy(code, account, at, minor=100)

    def test_three_at_hours_when_nobody_ever_paid(
        self, shop: Shop, account: PlatformAccount, code: QRCode
    ) -> None:
        with inside(shop):
            self.habit(code, account)
            for number in range(2):
                buy(code, account, NIGHT + timedelta(minutes=number))
            assert found(AlertKind.HOURS) == []
            buy(code, account, NIGHT + timedelta(hours=1))
            (one,) = found(AlertKind.HOURS)
            assert (one.facts["rule"], one.facts["count"]) == ("unusual", 3)

    def test_the_hour_beside_a_usual_one_is_usual(
        self, shop: Shop, account: PlatformAccount, code: QRCode
    ) -> None:
        with inside(shop):
            self.habit(code, account)
            for number in range(3):
                buy(code, account, AFTERNOON - timedelta(minutes=30 + number))
            assert found(AlertKind.HOURS) == []

    def test_thirty_nine_payments_are_no_habit(
        self, shop: Shop, account: PlatformAccount, code: QRCode
    ) -> None:
        with inside(shop):
            self.habit(code, account, 39)
            for number in range(3):
                buy(code, account, NIGHT + timedelta(minutes=number))
            assert found(AlertKind.HOURS) == []


class TestAfterALook:
    """What was looked at is told no more; what is odd after the look is told anew, the same day."""

    @pytest.fixture
    def closed_code(self, shop: Shop, code: QRCode) -> QRCode:
        with inside(shop):
            first = CodeVersion.objects.get(code=code)
            first.pk, first.number = None, 2
            first.starts_at = NOW - timedelta(days=100)
            first.hours = [[[9 * 60, 21 * 60]]] * 7
            first.save(force_insert=True)
        return code

    def look(self, shop: Shop, now: datetime) -> CodeAlert:
        alert = CodeAlert.objects.get(looked_at=None)
        return look_at_alert(
            alert_id=alert.pk, note="x", member_id=shop["owner"].pk, actor=Actor("t"), now=now
        )

    def test_outside_the_opening_hours(
        self, shop: Shop, account: PlatformAccount, closed_code: QRCode
    ) -> None:
        minute = timedelta(minutes=1)
        with inside(shop):
            buy(closed_code, account, NIGHT, minor=700)
            assert watch_codes(now=NIGHT + 15 * minute) == 1
            # Nobody was told of this one when somebody looked.
            unread = buy(closed_code, account, NIGHT + 17 * minute, minor=50)
            self.look(shop, NIGHT + 20 * minute)
            assert watch_codes(now=NIGHT + 30 * minute) == 1
            buy(closed_code, account, NIGHT + 40 * minute, minor=300)
            assert watch_codes(now=NIGHT + 45 * minute) == 0
            alert = self.look(shop, NIGHT + 46 * minute)
            assert (alert.facts["count"], alert.facts["minor"]) == (2, 350)
            assert unread.paid_at is not None
            assert alert.facts["first"] == unread.paid_at.isoformat()
            for later in (60, 75, 20 * 60):
                assert watch_codes(now=NIGHT + later * minute) == 0

    def test_at_hours_when_nobody_ever_paid(
        self, shop: Shop, account: PlatformAccount, code: QRCode
    ) -> None:
        minute = timedelta(minutes=1)
        with inside(shop):
            TestUsualHours().habit(code, account)
            for number in range(3):
                buy(code, account, NIGHT + number * minute)
            assert watch_codes(now=NIGHT + 15 * minute) == 1
            self.look(shop, NIGHT + 20 * minute)
            for number in range(2):
                buy(code, account, NIGHT + (22 + number) * minute)
            assert watch_codes(now=NIGHT + 30 * minute) == 0
            buy(code, account, NIGHT + 35 * minute)
            assert watch_codes(now=NIGHT + 45 * minute) == 1
            assert CodeAlert.objects.get(looked_at=None).facts["count"] == 3
            self.look(shop, NIGHT + 50 * minute)
            assert watch_codes(now=NIGHT + 60 * minute) == 0

    def test_another_codes_look_hides_nothing(
        self, shop: Shop, account: PlatformAccount, closed_code: QRCode
    ) -> None:
        with inside(shop):
            other = make_code(shop.store, "别处")
            raise_alerts([Finding(other.pk, AlertKind.HOURS, NIGHT)], actor=Actor("t"), now=EVENING)
            self.look(shop, EVENING)
            buy(closed_code, account, NIGHT)
            assert watch_codes(now=EVENING) == 1


@pytest.mark.usefixtures("account")
class TestTheTask:
    def test_each_merchant_is_looked_at_once_however_often_it_is_planned(
        self, shop: Shop, code: QRCode
    ) -> None:
        other = make_shop("other")
        bare = make_shop("bare")
        with inside(other):
            make_account(other)
            strange = make_code(other.store)
            burst(strange, 40)
        with inside(shop):
            burst(code, 40)
        assert plan_watching(now=EVENING) == 2
        assert plan_watching(now=EVENING) == 2
        dues = Due.objects.filter(task=WATCH)
        assert {due.merchant_id for due in dues} == {shop.merchant.pk, other.merchant.pk}
        assert bare.merchant.pk not in {due.merchant_id for due in dues}
        for _time in range(2):
            plan_watching(now=EVENING)
            assert drain(now=EVENING, task=WATCH) == 2
        assert not Due.objects.filter(task=WATCH).exists()
        for where, which in ((shop, code), (other, strange)):
            with inside(where):
                alert = CodeAlert.objects.get()
                assert (alert.code_id, alert.kind) == (which.pk, AlertKind.UNPAID)

    def test_costs_the_same_for_many(
        self, shop: Shop, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with inside(shop):
            for number in range(5):
                burst(make_code(shop.store, f"{number}号桌"), 40)
            watch_codes(now=EVENING)
            # The merchant, three rules about scans, three about payments; savepoint, the lock, one statement, release.
            with django_assert_num_queries(11):
                assert watch_codes(now=EVENING) == 0

    def test_all_kinds_together(self, shop: Shop, code: QRCode) -> None:
        with inside(shop):
            for day in range(1, 20):
                burst(code, 3, AFTERNOON - timedelta(days=day))
            burst(code, 60)
            assert watch_codes(now=EVENING) == 2
            kinds = CodeAlert.objects.order_by("kind").values_list("kind", flat=True)
            assert list(kinds) == ["surge", "unpaid"]
