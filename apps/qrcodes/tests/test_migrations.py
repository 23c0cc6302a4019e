"""What migrations make of rows that are there already."""

from __future__ import annotations

import importlib
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Store
from apps.merchants.services import add_terminal
from apps.merchants.tests.teams import ACTOR, NOW, make_merchant
from apps.qrcodes.models import CodeVersion, PrintFile, PrintJob, QRCode, Scenario
from apps.qrcodes.selectors import version_in_force
from apps.qrcodes.services import PrintWish, create_code, start_print
from apps.qrcodes.terms import CodeTerms, terms_of

pytestmark = pytest.mark.django_db


def _code(store: Store, name: str, **more: Any) -> QRCode:
    """A code as it was before versions: with a row of its own and nothing else."""
    scenario = Scenario.objects.create(store=store, kind="table", name=name, name_en=f"{name} en")
    return QRCode.objects.create(scenario=scenario, store=store, token=name * 3, **more)


def _run(module: str, name: str) -> None:
    statement = getattr(importlib.import_module(f"apps.qrcodes.migrations.{module}"), name)
    with connection.cursor() as cursor:
        # As in a migration: rows with keys still to be checked keep a table from being altered.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement)


def test_codes_from_before_versions_get_a_first_one_that_says_what_they_did() -> None:
    """Of every merchant at once, with the walls up again afterwards."""
    until: datetime = NOW + timedelta(days=9)
    shops = [make_merchant() for _shop in range(2)]
    plain: list[int] = []
    for merchant, _owner, store in shops:
        with enter_scope(Scope(merchant.pk)):
            terminal = add_terminal(store_id=store.pk, name="台", actor=ACTOR, now=NOW)
            plain.append(_code(store, "开", created_at=NOW).pk)
            _code(
                store,
                "定",
                created_at=NOW,
                amount_minor=1_800,
                valid_from=NOW,
                valid_until=until,
                terminal=terminal,
            )
    _run("0004_versions", "FIRST_VERSIONS")
    for (merchant, _owner, store), open_id in zip(shops, plain, strict=True):
        with enter_scope(Scope(merchant.pk)):
            first = CodeVersion.objects.get(code_id=open_id)
            assert (first.number, first.starts_at, first.made_at) == (1, NOW, NOW)
            assert first.made_by_id is None
            assert terms_of(first) == CodeTerms(store_id=store.pk, name="开", name_en="开 en")
            fixed = QRCode.objects.get(amount_minor=1_800)
            assert terms_of(version_in_force(code_id=fixed.pk, now=NOW)) == CodeTerms(
                store_id=store.pk,
                terminal_id=fixed.terminal_id,
                name="定",
                name_en="定 en",
                pricing="fixed",
                amount_minor=1_800,
                valid_from=NOW,
                valid_until=until,
            )
            assert CodeVersion.objects.count() == 2
    _walls_stand("qrcodes_qrcode", "qrcodes_scenario", "qrcodes_codeversion")


def test_print_jobs_from_before_learn_how_large_their_files_are() -> None:
    merchant, _owner, store = make_merchant()
    with enter_scope(Scope(merchant.pk)):
        code = create_code(store_id=store.pk, kind="table", name="a", actor=ACTOR, now=NOW)
        wish = PrintWish(file="svg", form="A6", language="en")
        jobs = [
            start_print([code.pk], wish, nonce=nonce, actor=ACTOR, now=NOW) for nonce in ("a", "b")
        ]
        for position, size in enumerate((30, 12)):
            PrintFile(job=jobs[0], position=position, name="x", content=b"x" * size).save()
    _run("0008_kept", "_SIZES")
    with enter_scope(Scope(merchant.pk)):
        assert list(PrintJob.objects.order_by("pk").values_list("size", flat=True)) == [42, 0]
    _walls_stand("qrcodes_printjob", "qrcodes_printfile")


def _walls_stand(*tables: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_class WHERE relname = ANY(%s) AND relrowsecurity AND relforcerowsecurity",
            [list(tables)],
        )
        assert cursor.fetchone() == (len(tables),)
