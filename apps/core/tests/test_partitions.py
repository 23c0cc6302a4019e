"""Months are made ahead, taken out, put back, and found again when nobody made them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from apps.core import audit, clock, partitions
from apps.core.models import AuditEvent
from apps.core.tenancy import enter_scope
from apps.merchants.tests.factories import Shop, make_shop

TABLE = "core_auditevent"
#: A month that no migration made.
FAR = datetime(2031, 3, 15, 4, tzinfo=UTC)


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


def note(at: datetime) -> None:
    audit.record(
        action="store.renamed",
        subject_kind="store",
        subject_id=1,
        actor=audit.Actor.system("test"),
        at=at,
    )


def split() -> partitions.Split:
    return next(one for one in partitions.list_splits() if one.table == TABLE)


def check_now() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def stored_in(at: datetime) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM core_auditevent WHERE at = %s", [at])
        return str(cursor.fetchone()[0])


def test_every_table_split_by_month_is_known(shop: Shop) -> None:
    assert {one.table: (one.column, one.guarded) for one in partitions.list_splits()} == {
        "core_auditevent": ("at", True),
        "platforms_notification": ("received_at", False),
        "qrcodes_scan": ("at", True),
    }


def test_months_are_made_once_and_behind_the_wall(shop: Shop) -> None:
    made = partitions.make_ahead(now=FAR, months=2)
    assert made == [
        f"{table}_2031{month}"
        for table in ("core_auditevent", "platforms_notification", "qrcodes_scan")
        for month in ("03", "04")
    ]
    assert partitions.make_ahead(now=FAR, months=2) == []
    assert split().made_until() == date(2031, 4, 1)
    with enter_scope(shop.scope):
        note(FAR)
    with enter_scope(shop.scope):
        assert stored_in(FAR) == "core_auditevent_203103"
        check_now()
        for statement in (
            "UPDATE core_auditevent_203103 SET actor = 'x'",
            "DELETE FROM core_auditevent_203103",
        ):
            with (
                pytest.raises(DatabaseError, match="append-only"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
    with enter_scope(make_shop("other").scope), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM core_auditevent_203103")
        assert cursor.fetchone() == (0,)


def test_the_month_is_chinas(shop: Shop) -> None:
    """The evening of 30 April in London is May in China."""
    assert partitions.make_ahead(now=datetime(2031, 4, 30, 17, tzinfo=UTC), months=1)[0].endswith(
        "_203105"
    )


def test_rows_of_months_that_nobody_made_are_kept_and_rescued(shop: Shop) -> None:
    later = FAR + timedelta(days=40)
    with enter_scope(shop.scope):
        note(FAR)
        note(later)
        check_now()
        assert stored_in(FAR) == "core_auditevent_default"
    assert split().default_size > 0
    with pytest.raises(DatabaseError, match="default"), transaction.atomic():
        partitions.make_ahead(now=FAR, months=1)
    assert partitions.rescue(TABLE) == {
        "core_auditevent_203103": 1,
        "core_auditevent_203104": 1,
    }
    with enter_scope(shop.scope):
        assert stored_in(FAR) == "core_auditevent_203103"
        assert stored_in(later) == "core_auditevent_203104"
        assert AuditEvent.objects.count() == 2
        with connection.cursor() as cursor:
            cursor.execute("SET app.allow_truncate = 'off'")
        for table in ("core_auditevent", "core_auditevent_default", "core_auditevent_203103"):
            with (
                pytest.raises(DatabaseError, match="append-only"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(f"TRUNCATE {table}")
    with enter_scope(make_shop("other").scope):
        assert AuditEvent.objects.count() == 0
    # The next row without a month finds the DEFAULT partition in its place.
    with enter_scope(shop.scope):
        note(FAR + timedelta(days=90))
        assert AuditEvent.objects.count() == 3


def test_an_old_month_is_taken_out_and_put_back(shop: Shop) -> None:
    partitions.make_ahead(now=FAR, months=1)
    with enter_scope(shop.scope):
        note(FAR)
        check_now()
    with pytest.raises(partitions.PartitionError, match="newest 13"):
        partitions.detach(TABLE, date(2031, 3, 1), now=FAR, keep_months=13)
    with pytest.raises(partitions.PartitionError, match="no month 2055-01"):
        partitions.detach(TABLE, date(2055, 1, 1), now=FAR, keep_months=1)
    with pytest.raises(partitions.PartitionError, match="not split by month"):
        partitions.detach("merchants_store", date(2031, 3, 1), now=FAR, keep_months=1)
    much_later = FAR + timedelta(days=400)
    name = partitions.detach(TABLE, date(2031, 3, 1), now=much_later, keep_months=13)
    assert name == "core_auditevent_203103"
    with enter_scope(shop.scope):
        assert AuditEvent.objects.count() == 0
    with pytest.raises(partitions.PartitionError, match="taken out already"):
        partitions.detach(TABLE, date(2031, 3, 1), now=much_later, keep_months=13)
    assert partitions.detached_periods(TABLE) == [partitions.month_period(date(2031, 3, 1))]
    # The wall stands around a month that is out, too.
    with enter_scope(make_shop("other").scope), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM core_auditevent_203103")
        assert cursor.fetchone() == (0,)
    assert partitions.attach(TABLE, date(2031, 3, 1)) == name
    with pytest.raises(partitions.PartitionError, match="already"):
        partitions.attach(TABLE, date(2031, 3, 1))
    with enter_scope(shop.scope):
        assert AuditEvent.objects.count() == 1


def test_seals_over_a_month_that_is_out_are_left_alone_and_hold_when_it_is_back(shop: Shop) -> None:
    now = clock.now()
    month = now.astimezone(clock.CHINA).date().replace(day=1)
    with enter_scope(shop.scope):
        note(now)
        assert audit.seal(now=now + timedelta(minutes=6)) is not None
        check_now()
        assert list(audit.broken_links()) == []
    partitions.detach(TABLE, month, now=now, keep_months=0)
    with enter_scope(shop.scope):
        assert AuditEvent.objects.count() == 0
        assert list(audit.broken_links()) == []
    partitions.attach(TABLE, month)
    with enter_scope(shop.scope):
        assert AuditEvent.objects.count() == 1
        assert list(audit.broken_links()) == []
