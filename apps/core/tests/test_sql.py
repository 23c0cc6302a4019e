"""Statements written by hand: what they bring, what is prepared, what Django's log shows."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from psycopg.types.json import Jsonb

from apps.core import sql
from apps.core.models import AuditEvent, Due
from apps.merchants.tests.factories import NOW, inside, make_shop

NEW_DUE = "INSERT INTO core_due (task, merchant_id, subject_id, due_at, revision, attempts) VALUES (%s, 1, %s, %s, 1, 0)"


def test_rows_and_counts(db: None) -> None:
    assert [sql.run(NEW_DUE, ["a.b", subject, NOW]) for subject in (1, 2)] == [1, 1]
    assert sql.every("SELECT subject_id, due_at FROM core_due ORDER BY id", []) == [
        (1, NOW),
        (2, NOW),
    ]
    assert sql.first("SELECT FROM core_due WHERE subject_id = %(it)s", {"it": 2}) == ()
    assert sql.first("SELECT FROM core_due WHERE subject_id = %(it)s", {"it": 3}) is None
    assert sql.run("UPDATE core_due SET attempts = 7", []) == 2


def test_instances_are_as_django_loads_them(db: None) -> None:
    shop = make_shop()
    with inside(shop):
        made = AuditEvent.objects.create(
            at=NOW, actor="x", action="a.b", subject_kind="order", data={"茶": [1]}, ip="::1"
        )
        loading = sql.Loading(AuditEvent, "SELECT {columns} FROM core_auditevent WHERE id = %s")
        found, usual = loading.first([made.pk]), AuditEvent.objects.get(pk=made.pk)
        assert found is not None
        assert found.__dict__ | {"_state": None} == usual.__dict__ | {"_state": None}
        assert (found._state.adding, found._state.db) == (False, "default")
        found.actor = "y"
        assert loading.first([0]) is None


def test_errors_are_django_s(db: None) -> None:
    sql.run(NEW_DUE, ["a.b", 1, NOW])
    with pytest.raises(IntegrityError, match="core_due_subject"):
        sql.run(NEW_DUE, ["a.b", 1, NOW])


def test_the_query_log_shows_the_values(db: None) -> None:
    with CaptureQueriesContext(connection) as log:
        sql.first("SELECT %s::text, %s", ["it's", Jsonb({"a": 1})])
    assert [query["sql"] for query in log] == ["SELECT 'it''s'::text, '{\"a\": 1}'::jsonb"]


def test_what_is_asked_often_is_planned_once(db: None) -> None:
    for number in range(8):
        assert sql.first("SELECT count(*) FROM core_due WHERE subject_id = %s", [number]) == (0,)
    assert Due.objects.count() == 0
    known = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT count(*) FROM core_due WHERE subject_id%%'"
    assert sql.first(known, []) == (1,)
