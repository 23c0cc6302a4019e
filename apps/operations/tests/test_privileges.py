"""SQL typed with the application's role gets through neither the wall nor the append-only guard."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import errors, sql

from apps.core import audit, clock
from apps.core.tenancy import enter_scope
from apps.merchants.tests.factories import Shop, make_shop
from apps.operations.privileges import grant_role
from apps.payments.tests.factories import make_account, make_paid

ROLE = "portal_app_test"


def connect(user: str) -> psycopg.Connection[tuple[object, ...]]:
    params = connection.get_connection_params()
    return psycopg.connect(
        host=params.get("host"),
        port=params.get("port"),
        dbname=connection.settings_dict["NAME"],
        user=user,
    )


@pytest.fixture
def application(
    transactional_db: None,
) -> Iterator[tuple[Shop, psycopg.Connection[tuple[object, ...]]]]:
    """A shop, and a session of a role that owns nothing. Needs a superuser, which the embedded server lets in."""
    if "EMBEDDED" not in connection.settings_dict:
        pytest.skip("making a second role needs the embedded server's superuser")
    shop = make_shop()
    with connect("postgres") as root:
        root.execute(f"DROP ROLE IF EXISTS {ROLE}")
        root.execute(f"CREATE ROLE {ROLE} LOGIN")
    grant_role(ROLE)
    with connect(ROLE) as session:
        session.autocommit = True
        yield shop, session
    with connect("postgres") as root:
        root.execute(f"DROP OWNED BY {ROLE}")
        root.execute(f"DROP ROLE {ROLE}")


def test_the_application_role(
    application: tuple[Shop, psycopg.Connection[tuple[object, ...]]],
) -> None:
    shop, session = application
    assert session.execute("SELECT count(*) FROM merchants_store").fetchone() == (0,)
    session.execute(f"SET app.merchant_id = '{shop.merchant.pk}'")
    assert session.execute("SELECT count(*) FROM merchants_store").fetchone() == (1,)
    session.execute(
        "INSERT INTO core_auditevent (merchant_id, at, actor, action, subject_kind, data, user_agent)"
        " VALUES (%s, now(), 'a', 'b.c', 'd', '{}', '')",
        [shop.merchant.pk],
    )
    session.execute("SET app.allow_truncate = 'on'")
    refused = [
        "UPDATE core_auditevent SET actor = 'x'",
        "DELETE FROM core_auditevent",
        "DELETE FROM core_auditevent_default",
        "TRUNCATE core_auditevent",
        "TRUNCATE merchants_store CASCADE",
        "UPDATE ledger_posting SET amount_minor = 1",
        "DELETE FROM approvals_decision",
        "ALTER TABLE core_auditevent DISABLE TRIGGER append_only",
        "ALTER TABLE merchants_store NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE merchants_store DISABLE ROW LEVEL SECURITY",
        "DROP POLICY merchant_wall ON merchants_store",
        "SET session_replication_role = replica",
        "SET ROLE portal",
    ]
    for statement in refused:
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute(statement)


def test_the_application_role_makes_months_and_no_other_table(
    application: tuple[Shop, psycopg.Connection[tuple[object, ...]]],
) -> None:
    _shop, session = application
    far = (clock.now() + timedelta(days=3000)).date()
    make = "SELECT portal_make_months(%s, 1)"
    made = [str(name) for (name,) in session.execute(make, [far]).fetchall()]
    assert [name.endswith(f"{far:_%Y%m}") for name in made] == [True, True, True]
    assert session.execute(make, [far]).fetchall() == []
    for statement in (
        "SELECT portal_make_months(current_date, 37)",
        "SELECT portal_make_months(current_date + 4000, 1)",
    ):
        with pytest.raises(errors.InvalidParameterValue):
            session.execute(statement)
    with pytest.raises(errors.InsufficientPrivilege):
        session.execute("SELECT portal_make_partition('core_auditevent', '2099-01-01', true)")
    with connect("postgres") as root:
        for name in made:
            root.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))


def test_the_portal_itself_works_under_that_role(
    application: tuple[Shop, psycopg.Connection[tuple[object, ...]]],
) -> None:
    """Even reading FOR UPDATE needs a right that append-only tables do not give."""
    shop, _session = application
    with connect("postgres") as root:
        root.execute(f"GRANT {ROLE} TO portal")
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {ROLE}")
    try:
        with enter_scope(shop.scope):
            make_paid(shop, make_account(shop))
            later = clock.now() + timedelta(days=1)
            assert [audit.seal(now=later + timedelta(days=n)) is None for n in (0, 1)] == [
                False,
                True,
            ]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


def test_a_role_that_does_not_exist_is_named(db: None) -> None:
    with pytest.raises(CommandError, match="nobody_of_this_name"):
        call_command("grant_role", "nobody_of_this_name")
