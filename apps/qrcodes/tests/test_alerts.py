"""Odd use of codes: what is found, what it raises, and the look that ends it."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from datetime import date, datetime, time, timedelta
from time import sleep
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.core import clock
from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Role, Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.qrcodes import oddities
from apps.qrcodes.alertwords import alert_words, rules_in_words
from apps.qrcodes.models import AlertKind, CodeAlert, CodeState, QRCode, Scan
from apps.qrcodes.selectors import (
    Finding,
    count_open_alerts,
    odd_scans,
    open_alerts,
    quiet_codes,
)
from apps.qrcodes.services import (
    AlreadyLooked,
    alerts,
    create_code,
    look_at_alert,
    pause_code,
    raise_alerts,
    resume_code,
    retire_code,
)

ACTOR = Actor("t")
EARLY = NOW - timedelta(days=200)
TODAY = date(2026, 11, 24)
MIDNIGHT = time(0)


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


def make_code(store: Store, name: str = "前台", **more: Any) -> QRCode:
    return create_code(store_id=store.pk, kind="counter", name=name, actor=ACTOR, now=EARLY, **more)


def scans(code: QRCode, day: int, count: int, *, hour: int = 12, spread: bool = False) -> None:
    """``count`` openings so many days ago, at an hour in China."""
    start, _end = clock.business_period(TODAY - timedelta(days=day))
    Scan.objects.bulk_create(
        Scan(
            code_id=code.pk,
            store_id=code.store_id,
            at=start + timedelta(hours=hour + (number if spread else 0), seconds=number),
        )
        for number in range(count)
    )


def quiet(now: datetime = NOW, starts: time = MIDNIGHT) -> list[int]:
    return [one.code_id for one in quiet_codes(now=now, day_starts_at=starts)]


def found(kind: AlertKind, now: datetime = NOW) -> list[Finding]:
    return [one for one in odd_scans(now=now, day_starts_at=MIDNIGHT) if one.kind == kind]


class TestQuiet:
    def test_a_code_that_is_used_daily_is_missed_after_two_whole_days(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            for day in range(2, 25):
                scans(code, day, 3)
            assert quiet() == []
            assert quiet(NOW + timedelta(days=1)) == [code.pk]
            (one,) = quiet_codes(now=NOW + timedelta(days=1), day_starts_at=MIDNIGHT)
            assert (one.scans, one.open_days, one.pause, one.silent_days) == (69, 23, 1, 2)
            assert one.last_day == TODAY - timedelta(days=2)

    def test_one_that_rests_at_weekends_is_not_missed_on_monday(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            # Tuesday is today; it was opened on the working days up to last Thursday.
            for day in (5, 6, 7, 8, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22):
                scans(code, day, 3)
            assert quiet() == []
            assert quiet(NOW + timedelta(days=2)) == [code.pk]

    def test_without_a_habit_nothing_is_missed(self, shop: Shop) -> None:
        with inside(shop):
            once, rare, thin = (make_code(shop.store, name) for name in ("甲", "乙", "丙"))
            scans(once, 10, 200)
            for day in range(10, 16):
                scans(rare, day, 10)
            for day in range(10, 28):
                scans(thin, day, 1)
            assert quiet() == []
            scans(thin, 20, 2)
            assert quiet() == [thin.pk]

    @pytest.mark.parametrize("how", ["paused", "retired", "expired", "closed", "back"])
    def test_what_takes_no_payments_is_not_missed(self, shop: Shop, how: str) -> None:
        with inside(shop):
            code = make_code(shop.store)
            for day in range(10, 30):
                scans(code, day, 3)
            assert quiet() == [code.pk]
            if how == "paused":
                pause_code(code_id=code.pk, actor=ACTOR, now=NOW)
            elif how == "retired":
                retire_code(code_id=code.pk, actor=ACTOR, now=NOW)
            elif how == "expired":
                QRCode.objects.filter(pk=code.pk).update(valid_until=NOW)
            elif how == "closed":
                Store.objects.update(is_active=False)
            else:
                pause_code(code_id=code.pk, actor=ACTOR, now=NOW - timedelta(days=9))
                resume_code(code_id=code.pk, actor=ACTOR, now=NOW - timedelta(days=1))
            assert quiet() == []
            if how == "back":
                assert quiet(NOW + timedelta(days=2)) == [code.pk]

    def test_one_long_gone_is_forgotten(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            for day in range(10, 30):
                scans(code, day, 3)
            last = oddities.QUIET_FORGOTTEN_DAYS - 11
            assert quiet(NOW + timedelta(days=last)) == [code.pk]
            assert quiet(NOW + timedelta(days=last + 1)) == []

    def test_days_are_business_days(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            for day in range(2, 25):
                # One o'clock at night: the day before where the day starts at two.
                scans(code, day, 3, hour=1)
            assert quiet() == []
            assert quiet(starts=time(2)) == [code.pk]

    @pytest.mark.parametrize("seed", range(6))
    def test_is_what_plain_counting_finds(self, shop: Shop, seed: int) -> None:
        dice = random.Random(seed)
        with inside(shop):
            expected = []
            for number in range(8):
                code = make_code(shop.store, f"{number}号桌")
                used = {
                    day: dice.randrange(1, 6)
                    for day in range(dice.randrange(8), dice.randrange(10, 60))
                    if dice.random() < dice.choice((0.3, 0.6, 0.95))
                }
                for day, count in used.items():
                    scans(code, day, count)
                if self.plainly(used):
                    expected.append(code.pk)
            assert sorted(quiet()) == expected

    def plainly(self, used: dict[int, int]) -> bool:
        """``used``: openings by the number of days ago."""
        if not used:
            return False
        last = min(used)
        habit = sorted(day for day in used if day < last + 28)
        if len(habit) < 8 or sum(used[day] for day in habit) < 20:
            return False
        longest = max(later - earlier for earlier, later in itertools.pairwise(habit))
        return last - 1 >= 2 * longest


class TestSurge:
    def habit(self, shop: Shop, *, busiest: int = 10) -> QRCode:
        code = make_code(shop.store)
        for day in range(2, 12):
            scans(code, day, busiest if day == 5 else 3)
        return code

    def test_five_times_the_busiest_day_and_fifty(self, shop: Shop) -> None:
        with inside(shop):
            code = self.habit(shop)
            scans(code, 0, 49, hour=8)
            assert found(AlertKind.SURGE) == []
            scans(code, 0, 1, hour=9)
            (one,) = found(AlertKind.SURGE)
            assert one.facts == {"day": "2026-11-24", "scans": 50, "busiest": 10}
            assert one.since == clock.business_period(TODAY)[0]

    def test_a_busy_code_is_not_odd(self, shop: Shop) -> None:
        with inside(shop):
            code = self.habit(shop, busiest=40)
            scans(code, 0, 180, hour=8)
            assert found(AlertKind.SURGE) == []

    def test_a_new_code_is_not_odd(self, shop: Shop) -> None:
        with inside(shop):
            scans(make_code(shop.store), 0, 300, hour=8)
            assert found(AlertKind.SURGE) == []

    def test_yesterday_is_told_once_more(self, shop: Shop) -> None:
        """So that a worker that was away at midnight tells it the day after."""
        with inside(shop):
            scans(self.habit(shop), 1, 60)
            (one,) = found(AlertKind.SURGE)
            assert one.facts["day"] == "2026-11-23"
            assert found(AlertKind.SURGE, NOW + timedelta(days=1)) == []


class TestStopped:
    def test_an_old_sticker_is_scanned_in_different_hours(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            retire_code(code_id=code.pk, actor=ACTOR, now=NOW - timedelta(days=20))
            scans(code, 3, 40)
            assert found(AlertKind.STOPPED) == []
            scans(code, 2, 2, spread=True)
            (one,) = found(AlertKind.STOPPED)
            assert (one.facts["state"], one.facts["scans"], one.facts["hours"]) == (
                "retired",
                42,
                3,
            )

    def test_the_first_day_after_it_was_stopped_does_not_count(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            scans(code, 1, 6, hour=13, spread=True)
            scans(code, 0, 6, hour=0, spread=True)
            pause_code(code_id=code.pk, actor=ACTOR, now=NOW - timedelta(hours=23))
            assert found(AlertKind.STOPPED) == []

    def test_an_active_code_is_not_meant(self, shop: Shop) -> None:
        with inside(shop):
            scans(make_code(shop.store), 1, 6, spread=True)
            assert found(AlertKind.STOPPED) == []


def surge(code: QRCode, since: datetime = NOW, **facts: Any) -> Finding:
    return Finding(code.pk, AlertKind.SURGE, since, {"day": "2026-11-24", "scans": 60, **facts})


class TestRaising:
    def test_twice_opens_one(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            assert raise_alerts([surge(code)], actor=ACTOR, now=NOW) == 1
            later = NOW + timedelta(minutes=15)
            assert raise_alerts([surge(code, scans=70)], actor=ACTOR, now=later) == 0
            alert = CodeAlert.objects.get()
            assert (alert.opened_at, alert.seen_at, alert.facts["scans"]) == (NOW, later, 70)
            told = AuditEvent.objects.get(action="code.alerted")
            assert (told.subject_id, told.store_id) == (code.pk, shop.store.pk)
            assert told.data == {"alert": "surge"}

    def test_of_one_kind_the_last_to_begin_is_told(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            other = Finding(code.pk, AlertKind.UNPAID, NOW)
            early = surge(code, NOW - timedelta(days=1), scans=51)
            assert raise_alerts([early, surge(code), other], actor=ACTOR, now=NOW) == 2
            assert CodeAlert.objects.get(kind="surge").facts["scans"] == 60

    def test_what_began_before_a_look_raises_nothing(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            raise_alerts([surge(code)], actor=ACTOR, now=NOW)
            look(shop, CodeAlert.objects.get(), NOW + timedelta(hours=1))
            later = NOW + timedelta(hours=2)
            assert raise_alerts([surge(code)], actor=ACTOR, now=later) == 0
            assert raise_alerts([surge(code, later)], actor=ACTOR, now=later) == 1
            assert CodeAlert.objects.filter(looked_at__isnull=True).count() == 1

    def test_an_hour_after_the_one_that_was_told_raises_anew_though_somebody_looked_within_it(
        self, shop: Shop
    ) -> None:
        def unpaid(hour: datetime) -> Finding:
            return Finding(code.pk, AlertKind.UNPAID, hour, {"scans": 40})

        with inside(shop):
            code = make_code(shop.store)
            raise_alerts([unpaid(NOW)], actor=ACTOR, now=NOW + timedelta(minutes=75))
            look(shop, CodeAlert.objects.get(), NOW + timedelta(minutes=80))
            second = NOW + timedelta(hours=1)
            both = [unpaid(NOW), unpaid(second)]
            assert raise_alerts(both, actor=ACTOR, now=NOW + timedelta(minutes=135)) == 1
            assert raise_alerts(both, actor=ACTOR, now=NOW + timedelta(minutes=150)) == 0
            look(shop, CodeAlert.objects.get(looked_at=None), NOW + timedelta(minutes=160))
            assert raise_alerts(both, actor=ACTOR, now=NOW + timedelta(minutes=165)) == 0

    def test_costs_one_record_for_many_that_are_new(
        self, shop: Shop, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with inside(shop):
            codes = [make_code(shop.store, f"{number}号桌") for number in range(5)]
            with django_assert_num_queries(5):
                raise_alerts([surge(code) for code in codes], actor=ACTOR, now=NOW)
            assert AuditEvent.objects.filter(action="code.alerted").count() == 5

    def test_nothing_and_strangers(self, shop: Shop) -> None:
        other = make_shop("other")
        with inside(other):
            strange = make_code(other.store)
        with inside(shop):
            assert raise_alerts([], actor=ACTOR, now=NOW) == 0
            assert raise_alerts([surge(strange)], actor=ACTOR, now=NOW) == 0
        with inside(other):
            assert not CodeAlert.objects.exists()

    def test_the_table_holds_one_open_alert(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            raise_alerts([surge(code)], actor=ACTOR, now=NOW)
            with pytest.raises(IntegrityError), transaction.atomic():
                CodeAlert.objects.create(
                    code=code, kind="surge", since=NOW, opened_at=NOW, seen_at=NOW
                )
            with pytest.raises(IntegrityError), transaction.atomic():
                CodeAlert.objects.update(looked_at=NOW)

    def test_costs_the_same_for_many(
        self, shop: Shop, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with inside(shop):
            codes = [make_code(shop.store, f"{number}号桌") for number in range(5)]
            raise_alerts([surge(code) for code in codes], actor=ACTOR, now=NOW)
            # Savepoint, the lock, one statement, release.
            with django_assert_num_queries(4):
                raise_alerts([surge(code) for code in codes], actor=ACTOR, now=NOW)
            with django_assert_num_queries(3):
                odd_scans(now=NOW, day_starts_at=MIDNIGHT)


@pytest.mark.django_db(transaction=True)
def test_at_the_same_time_opens_one() -> None:
    shop = make_shop()
    with inside(shop):
        code = make_code(shop.store)
    made: list[int] = []
    gate = threading.Barrier(4)

    def run() -> None:
        try:
            gate.wait()
            with enter_scope(shop.scope):
                made.append(raise_alerts([surge(code)], actor=ACTOR, now=NOW))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(made) == {1: 1, 0: 3}
    with inside(shop):
        assert CodeAlert.objects.count() == 1
        assert AuditEvent.objects.filter(action="code.alerted").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("holds", [True, False])
def test_a_look_at_the_same_moment_is_seen(holds: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody looks while the same finding is raised again. With the lock off the old finding raises another alert."""
    shop = make_shop()
    with inside(shop):
        code = make_code(shop.store)
        raise_alerts([surge(code)], actor=ACTOR, now=NOW)
        alert = CodeAlert.objects.get()
    if not holds:
        monkeypatch.setattr(alerts, "hold_open", lambda _values: None)
    made: list[int] = []

    def again() -> None:
        try:
            with enter_scope(shop.scope):
                made.append(raise_alerts([surge(code)], actor=ACTOR, now=NOW))
        finally:
            connection.close()

    raising = threading.Thread(target=again)
    with inside(shop), transaction.atomic():
        look(shop, alert, NOW + timedelta(minutes=1))
        raising.start()
        wait_until_blocked()
    raising.join()
    assert made == [0 if holds else 1]


def wait_until_blocked() -> None:
    """Return once another connection to this database waits for a lock; five seconds at most."""
    for _try in range(250):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
            )
            (waiting,) = cursor.fetchone()
        if waiting:
            return
        sleep(0.02)
    raise AssertionError("nobody waited")


def look(shop: Shop, alert: CodeAlert, now: datetime = NOW, note: str = "换过贴纸") -> CodeAlert:
    return look_at_alert(
        alert_id=alert.pk, note=note, member_id=shop["owner"].pk, actor=ACTOR, now=now
    )


class TestLooking:
    def test_says_who_and_what(self, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
            raise_alerts([surge(code)], actor=ACTOR, now=NOW)
            done = look(shop, CodeAlert.objects.get())
            assert (done.looked_by_id, done.note) == (shop["owner"].pk, "换过贴纸")
            event = AuditEvent.objects.get(action="code.alert_ended")
            assert event.data == {"alert": "surge", "reason": "换过贴纸"}
            with pytest.raises(AlreadyLooked):
                look(shop, done, note="again")
            done.refresh_from_db()
            assert done.note == "换过贴纸"

    def test_a_limited_member_reaches_its_stores_alerts(self, shop: Shop) -> None:
        with inside(shop):
            other: Store = Store.objects.create(name="二号店")
            code = make_code(shop.store)
            raise_alerts([surge(code)], actor=ACTOR, now=NOW)
            alert = CodeAlert.objects.get()
        with enter_scope(Scope(shop.merchant.pk, frozenset({other.pk}))):
            assert count_open_alerts() == 0
            with pytest.raises(CodeAlert.DoesNotExist):
                look(shop, alert)
        with enter_scope(Scope(shop.merchant.pk, frozenset({shop.store.pk}))):
            assert [one.pk for one in open_alerts()] == [alert.pk]


class TestWords:
    FACTS: tuple[tuple[AlertKind, dict[str, Any]], ...] = (
        (AlertKind.QUIET, {"last_day": "2026-11-20", "silent_days": 3, "scans": 50, "pause": 1}),
        (AlertKind.SURGE, {"day": "2026-11-24", "scans": 60, "busiest": 9}),
        (AlertKind.UNPAID, {"scans": 31, "hour": NOW.isoformat()}),
        (AlertKind.HOURS, {"rule": "closed", "count": 1, "minor": 500, "first": NOW.isoformat()}),
        (AlertKind.HOURS, {"rule": "unusual", "count": 3, "minor": 500, "first": NOW.isoformat()}),
        (AlertKind.STOPPED, {"scans": 9, "hours": 3, "last": NOW.isoformat()}),
    )

    @pytest.mark.parametrize(("kind", "facts"), FACTS)
    def test_each_kind_has_a_sentence_and_advice(
        self, shop: Shop, kind: AlertKind, facts: dict[str, Any]
    ) -> None:
        with inside(shop):
            code = make_code(shop.store)
            words = alert_words(
                CodeAlert(code=code, kind=kind, facts=facts, opened_at=NOW, seen_at=NOW)
            )
            assert words.title
            assert words.text
            assert words.advice
            assert "%" not in words.text
            assert words.may_pause == (kind != AlertKind.QUIET)
            # Facts of an older release never break a page.
            bare = alert_words(CodeAlert(code=code, kind=kind, facts={}))
            assert bare.text

    def test_each_kind_has_its_rule(self) -> None:
        assert [name for name, _rule in rules_in_words()] == [str(kind.label) for kind in AlertKind]


def url(shop: Shop, name: str, *args: object) -> str:
    return reverse(f"qrcodes:{name}", args=[shop.slug, *args])


def page(client: Client, address: str) -> str:
    response = client.get(address, HTTP_ACCEPT_LANGUAGE="en")
    assert response.status_code == 200
    return response.content.decode()


class TestPages:
    @pytest.fixture
    def alert(self, shop: Shop) -> CodeAlert:
        with inside(shop):
            raise_alerts([surge(make_code(shop.store))], actor=ACTOR, now=NOW)
            return CodeAlert.objects.select_related("code").get()

    @pytest.mark.parametrize("role", Role.values)
    def test_roles(self, client: Client, shop: Shop, alert: CodeAlert, role: str) -> None:
        client.force_login(shop[role])
        text = page(client, url(shop, "alert_list"))
        assert "Opened 60 times on 2026-11-24" in text
        manages = role in {Role.OWNER, Role.MANAGER}
        assert ("Looked at it" in text) == manages
        expected = 200 if manages else 403
        assert client.get(url(shop, "alert_look", alert.pk)).status_code == expected
        posted = client.post(url(shop, "alert_look", alert.pk), {"note": "x"}).status_code
        assert posted == (302 if manages else 403)

    def test_a_look_with_a_note_moves_it(
        self, client: Client, shop: Shop, alert: CodeAlert
    ) -> None:
        client.force_login(shop["owner"])
        text = page(client, url(shop, "code_detail", alert.code_id))
        assert "Far more scans than usual" in text
        assert url(shop, "code_pause", alert.code_id) in text
        with time_machine.travel(NOW + timedelta(hours=1), tick=False):
            answer = client.post(
                url(shop, "alert_look", alert.pk), {"note": " tour\n group "}, follow=True
            )
        text = answer.content.decode()
        assert "tour group" in text
        with inside(shop):
            assert count_open_alerts() == 0
        again = client.post(url(shop, "alert_look", alert.pk), {"note": "y"}, follow=True)
        assert "tour group" in again.content.decode()
        assert "Looked at it" not in page(client, url(shop, "code_detail", alert.code_id))
        assert "looked at it," in page(client, url(shop, "alert_look", alert.pk))
        too_long = client.post(url(shop, "alert_look", alert.pk), {"note": "x" * 201})
        assert too_long.status_code == 422

    def test_nothing_odd(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["owner"])
        text = page(client, url(shop, "alert_list"))
        assert "Nothing odd" in text
        assert "at least 30 times within one hour" in text

    def test_limited_members_see_nothing_of_other_stores(
        self, client: Client, shop: Shop, alert: CodeAlert
    ) -> None:
        with inside(shop):
            other: Store = Store.objects.create(name="二号店")
        Membership.objects.filter(user=shop["manager"]).update(store_ids=[other.pk])
        client.force_login(shop["manager"])
        assert "Opened 60 times" not in page(client, url(shop, "alert_list"))
        assert client.get(url(shop, "alert_look", alert.pk)).status_code == 404
        assert client.post(url(shop, "alert_look", alert.pk)).status_code == 404

    def test_the_list_costs_the_same_for_many(
        self,
        client: Client,
        shop: Shop,
        alert: CodeAlert,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        with inside(shop):
            more = [surge(make_code(shop.store, f"{number}号桌")) for number in range(4)]
            raise_alerts(more, actor=ACTOR, now=NOW)
            look(shop, alert)
        client.force_login(shop["owner"])
        # Session, user, membership, scope in and out, open ones, looked at ones; the frame: what waits, memberships.
        with django_assert_num_queries(9):
            client.get(url(shop, "alert_list"))

    def test_the_quiet_ones_in_the_list_of_codes(self, client: Client, shop: Shop) -> None:
        with inside(shop):
            silent, loud = make_code(shop.store, "静"), make_code(shop.store, "闹")
            for day in range(30):
                scans(loud, day, 3, hour=8)
                if day > 4:
                    scans(silent, day, 3)
        client.force_login(shop["owner"])
        with time_machine.travel(NOW, tick=False):
            rows = client.get(f"{url(shop, 'code_list')}?state=quiet").context["page"].rows
        assert [row.code.pk for row in rows] == [silent.pk]
        assert silent.state == CodeState.ACTIVE
