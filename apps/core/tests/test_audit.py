"""The audit trail only grows, and a later change of it is found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from apps.core import audit, clock
from apps.core.audit import Actor
from apps.core.models import AuditEvent, AuditSeal
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def note(text: str) -> None:
    audit.record(
        action="store.changed",
        subject_kind="store",
        subject_id=1,
        actor=Actor("a"),
        at=NOW,
        data={"to": text},
    )


@pytest.mark.parametrize(
    "statement", ["UPDATE core_auditevent SET actor = 'x'", "DELETE FROM core_auditevent"]
)
def test_it_refuses_changes(shop: Shop, statement: str) -> None:
    note("one")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEvent.objects.count() == 1


def this_month() -> str:
    return f"core_auditevent_{clock.now().astimezone(clock.CHINA):%Y%m}"


def test_truncate_is_refused_on_partitions_too(shop: Shop) -> None:
    note("one")
    check_now()
    with connection.cursor() as cursor:
        cursor.execute("SET app.allow_truncate = 'off'")
    for table in ("core_auditevent", this_month(), "core_auditevent_default"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"TRUNCATE {table}")


def test_fresh_rows_wait_until_no_transaction_can_still_add_any(shop: Shop) -> None:
    note("one")
    assert audit.seal(now=clock.now()) is None
    assert AuditSeal.objects.count() == 0


def test_links_follow_each_other_and_hold(shop: Shop) -> None:
    note("one")
    later = clock.now() + timedelta(minutes=6)
    first = audit.seal(now=later)
    assert first is not None
    assert (first.sequence, first.row_count) == (1, 1)
    assert audit.seal(now=later + timedelta(minutes=1)) is None
    assert list(audit.broken_links()) == []


def test_a_changed_row_breaks_its_link(shop: Shop) -> None:
    note("one")
    audit.seal(now=clock.now() + timedelta(minutes=6))
    check_now()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditevent DISABLE TRIGGER append_only")
        cursor.execute(f"ALTER TABLE {this_month()} DISABLE TRIGGER append_only")
        cursor.execute('UPDATE core_auditevent SET data = \'{"to": "two"}\'')
    assert [link.sequence for link in audit.broken_links()] == [1]
