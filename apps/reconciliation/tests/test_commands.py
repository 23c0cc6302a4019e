"""``import_statement`` and ``reconcile``: one JSON object, or a clear message and nothing done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command

from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import ReconciliationRun
from apps.reconciliation.tests.days import DAY, paid
from apps.reconciliation.tests.test_matching import STRANGER
from apps.statements.models import Statement, StatementDay
from apps.statements.tests.bills import row_of, wechat_bill

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


@pytest.fixture
def file(shop: Shop, account: PlatformAccount, tmp_path: Path) -> Path:
    with inside(shop):
        content = wechat_bill([row_of(paid(shop, account)), STRANGER])
    path = tmp_path / "账单.csv"
    path.write_bytes(content)
    return path


def run(*args: object) -> dict[str, Any]:
    out = StringIO()
    call_command(*[str(arg) for arg in args], "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def test_a_bill_and_its_matching(shop: Shop, account: PlatformAccount, file: Path) -> None:
    place = ("--account", account.ref, "--date", DAY)
    report = run("import_statement", file, *place)
    assert report["imported"] is True
    assert (report["version"], report["rows"], report["payment_count"]) == (1, 2, 2)
    assert (report["payment_yuan"], report["refund_yuan"], report["fee_yuan"]) == (
        "107.00",
        "0.00",
        "0.64",
    )
    with time_machine.travel(NOW.replace(hour=5), tick=False):
        again = run("import_statement", file, *place)
    assert (again["imported"], again["statement_id"]) == (False, report["statement_id"])
    matched = run("reconcile", *place)
    assert (matched["matched_count"], matched["matched_payment_yuan"]) == (1, "100.00")
    assert (matched["bill_net_yuan"], matched["books_net_yuan"], matched["gap_yuan"]) == (
        "107.00",
        "100.00",
        "7.00",
    )
    assert matched["differences"] == {"missing_here": {"count": 1, "open": 1, "gap_yuan": "7.00"}}
    assert matched["platform_net_yuan"] == "106.36"
    assert matched["equation"] == {
        "sales": "100.00", "refunds": "0.00", "fees": "-0.60", "untold_fees": "0.00", "carry_in": "0.00",
        "carry_out": "0.00", "adjustments": "0.00", "differences": "6.96",
    }  # fmt: skip
    out = StringIO()
    call_command("reconcile", *[str(part) for part in place], stdout=out)
    assert "gap ¥7.00" in out.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ref": "nobody"}, "no account nobody"),
        ({"file": "missing.csv"}, "cannot be read"),
        ({"day": "2026-11-22"}, "Nothing was imported"),
        ({"day": "2026-11-24"}, "Nothing was imported"),
        ({"kind": "fund"}, "Nothing was imported"),
    ],
)
def test_bad_imports(
    shop: Shop, account: PlatformAccount, file: Path, change: dict[str, str], words: str
) -> None:
    path = file.with_name(change["file"]) if "file" in change else file
    with pytest.raises(CommandError, match=words):
        call_command(
            "import_statement", str(path), "--account", change.get("ref", account.ref), "--date",
            change.get("day", str(DAY)), "--kind", change.get("kind", "trade"),
        )  # fmt: skip
    with inside(shop):
        assert (Statement.objects.count(), StatementDay.objects.count()) == (0, 0)


def test_nothing_to_match(shop: Shop, account: PlatformAccount) -> None:
    with pytest.raises(CommandError):
        call_command("reconcile", "--account", account.ref, "--date", str(DAY))
    with pytest.raises(CommandError, match="no account nobody"):
        call_command("reconcile", "--account", "nobody", "--date", str(DAY))
    with inside(shop):
        assert ReconciliationRun.objects.count() == 0
