"""The engine: nothing starts without need, dbshell uses the right psql, and a pool hands on clean connections."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from django.db import DatabaseError, connection, connections, transaction

from apps.core.postgres import binaries, keeper
from apps.core.postgres.engine.base import DatabaseWrapper
from apps.core.postgres.engine.client import DatabaseClient
from apps.core.tenancy import Scope, enter_scope
from merchant_portal.settings import base

PROJECT = Path(__file__).resolve().parents[3]


def test_commands_without_queries_start_no_server(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {
        "PORTAL_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "merchant_portal.settings.dev",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "pg").exists()


def test_dbshell_uses_the_psql_of_the_embedded_server_only(tmp_path: Path) -> None:
    embedded = base.embedded_database(tmp_path / "pg", durable=True)
    arguments, _ = DatabaseClient.settings_to_cmd_args_env(embedded, [])
    assert arguments[0] == binaries.program("psql")
    assert str(keeper.socket_folder(tmp_path / "pg")) in arguments
    arguments, _ = DatabaseClient.settings_to_cmd_args_env(
        {"NAME": "portal", "HOST": "db", "OPTIONS": {}}, ["-c", "SELECT 1"]
    )
    assert arguments[0] == "psql"


@pytest.mark.django_db(transaction=True)
def test_a_connection_knows_whether_it_stands_in_a_scope() -> None:
    wrapper = cast("DatabaseWrapper", connections["default"])
    wrapper.close()
    seen = [wrapper.in_scope]
    with enter_scope(Scope(42)):
        with pytest.raises(RuntimeError, match="boom"), transaction.atomic():
            raise RuntimeError("boom")
        seen.append(wrapper.in_scope)
    seen.append(wrapper.in_scope)
    # A rollback might have brought the merchant back.
    with transaction.atomic(), enter_scope(Scope(42)):
        pass
    seen.append(wrapper.in_scope)
    wrapper.close()
    seen.append(wrapper.in_scope)
    assert seen == [False, True, False, True, False]


@pytest.mark.django_db(transaction=True)
def test_a_pooled_connection_forgets_the_merchant_of_its_last_user() -> None:
    described = copy.deepcopy(connection.settings_dict)
    described["OPTIONS"] = {**described["OPTIONS"], "pool": {"min_size": 1, "max_size": 1}}
    pooled = DatabaseWrapper(described, alias="pooled")
    try:
        with pooled.cursor() as cursor:
            cursor.execute("SELECT set_config('app.merchant_id', '42', false), pg_backend_pid()")
            first = cursor.fetchone()
        pooled.in_scope = True
        pooled.set_autocommit(False)
        with pytest.raises(DatabaseError), pooled.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        pooled.close()
        with pooled.cursor() as cursor:
            cursor.execute("SELECT current_setting('app.merchant_id', true), pg_backend_pid()")
            second = cursor.fetchone()
        assert second == ("", first[1]), "the same server process, without the merchant"
    finally:
        pooled.close()
        pooled.close_pool()


@pytest.mark.django_db
def test_we_are_a_plain_role_everywhere() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, False)
