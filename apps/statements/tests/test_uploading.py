"""Files that people hand in: at once or by a worker, cancelled, killed, refused, kept, deleted."""

from __future__ import annotations

import gzip
import io
import os
import signal
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from apps.core import outbox, tasks
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.statements import services
from apps.statements.models import (
    BillFile,
    FetchState,
    FilePiece,
    Statement,
    StatementDay,
    StatementLine,
    Upload,
    UploadState,
)
from apps.statements.services import NotUnderWay, hand_in, staging, uploading
from apps.statements.services.keeping import FileGone
from apps.statements.tests.bills import wechat_bill
from apps.statements.tests.hostile import BACK, DAY, MORE, PAID
from apps.statements.tests.hostile import ROWS as FEW

pytestmark = pytest.mark.django_db

GOOD = wechat_bill(FEW)
BAD = GOOD.replace(b"`3,", b"`4,")
LONG = wechat_bill([PAID.but(order_no=f"P{n}", trade_no=f"42{n:08d}") for n in range(3000)])


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


@pytest.fixture
def background(settings: Settings) -> None:
    """Everything is large."""
    settings.STATEMENT_BACKGROUND_BYTES = 0


def give(shop: Shop, account: PlatformAccount, content: bytes, **changes: Any) -> Upload:
    facts: dict[str, Any] = {
        "account_id": account.pk,
        "kind": StatementKind.TRADE,
        "day": DAY,
        "filename": "bill.csv",
        "content": io.BytesIO(content),
        "member": shop["finance"],
        "actor": Actor("fiona"),
        "now": NOW,
        **changes,
    }
    return hand_in(**facts)


def stored() -> tuple[int, ...]:
    models = (Statement, StatementLine, StatementDay, BillFile, FilePiece)
    return tuple(model.objects.count() for model in models)


def client_of(shop: Shop, role: str = Role.FINANCE) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop[role])
    return client


def page(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"statements:{name}", args=[shop.slug, *args])


# ---------------------------------------------------------------- at once
def test_a_small_file_is_done_at_once(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, GOOD)
        assert upload.state == UploadState.IMPORTED
        assert upload.statement is not None
        # The file changed hands, it was not copied.
        assert (upload.file, upload.statement.file_id) == (None, BillFile.objects.get().pk)
        assert stored() == (1, 3, 1, 1, 1)
        assert not Due.objects.filter(task=uploading.TASK).exists()


def test_the_same_file_stores_nothing(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        give(shop, account, GOOD)
        before, audits = stored(), AuditEvent.objects.count()
        again = give(shop, account, GOOD)
        assert again.state == UploadState.SAME
        assert again._state.adding
        assert (stored(), AuditEvent.objects.count()) == (before, audits)
        assert Upload.objects.count() == 1


def test_too_large_and_too_early_store_nothing(
    shop: Shop, account: PlatformAccount, settings: Settings
) -> None:
    settings.STATEMENT_MAX_BYTES = len(GOOD) - 1
    with inside(shop):
        with pytest.raises(services.StatementRefused):
            give(shop, account, GOOD)
        settings.STATEMENT_MAX_BYTES = len(GOOD)
        with pytest.raises(services.StatementRefused):
            give(shop, account, GOOD, day=DAY + timedelta(days=1))
        assert (stored(), Upload.objects.count()) == ((0, 0, 0, 0, 0), 0)


def test_a_file_of_several_pieces_comes_back_whole(
    shop: Shop, account: PlatformAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.statements.services.keeping.PIECE", 100)
    with inside(shop):
        upload = give(shop, account, GOOD)
        assert FilePiece.objects.count() == -(-len(GOOD) // 100)
        assert upload.statement_id is not None
        read = services.read_file(statement_id=upload.statement_id, actor=Actor("fiona"), now=NOW)[
            1
        ]
        assert b"".join(read) == GOOD


# ---------------------------------------------------------------- by a worker
@pytest.mark.usefixtures("background")
def test_a_worker_imports_a_large_file(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, gzip.compress(LONG, mtime=0))
        assert upload.state == UploadState.WAITING
        assert stored() == (0, 0, 0, 1, 1)
    tasks.drain(now=NOW, task=uploading.TASK)
    with inside(shop):
        upload.refresh_from_db()
        assert upload.state == UploadState.IMPORTED
        assert StatementLine.objects.count() == 3000
        assert Statement.objects.get().uploaded_by == shop["finance"]
        assert StatementDay.objects.get().state == FetchState.IMPORTED
        waiting = Due.objects.order_by("task").values_list("task", flat=True)
        assert list(waiting) == ["reconciliation.run", "statements.settle"]


@pytest.mark.usefixtures("background")
def test_a_worker_refuses_as_well(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, BAD)
    tasks.drain(now=NOW, task=uploading.TASK)
    with inside(shop):
        upload.refresh_from_db()
        assert (upload.state, upload.detail) == (
            UploadState.REFUSED,
            "unreadable:totals:6|总交易单数",
        )
        assert stored() == (0, 0, 0, 1, 1)
        assert not Due.objects.filter(task=uploading.TASK).exists()


@pytest.mark.usefixtures("background")
def test_how_far_it_is_can_be_read_while_it_runs(
    shop: Shop, account: PlatformAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_TOLD_EVERY", 0.0)
    seen: list[tuple[int, int, str]] = []
    tell = uploading._tell  # watched, not replaced

    def watched(upload_id: int, *, rows: int, done: int) -> None:
        tell(upload_id, rows=rows, done=done)
        row = Upload.objects.get(pk=upload_id)
        seen.append((row.done_rows, row.done_bytes, row.state))

    monkeypatch.setattr(uploading, "_tell", watched)
    with inside(shop):
        upload = give(shop, account, LONG)
        services.run_upload(upload_id=upload.pk, now=NOW)
        assert [rows for rows, _done, _state in seen] == [1000, 2000, 3000, 3000]
        assert [state for _rows, _done, state in seen] == [UploadState.RUNNING] * 4
        assert 0 < seen[0][1] < seen[1][1] <= seen[-1][1] == len(LONG)


@pytest.mark.usefixtures("background")
def test_cancelled_while_it_waits(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, GOOD)
        services.cancel_upload(upload_id=upload.pk, actor=Actor("fiona"), now=NOW)
        assert stored() == (0, 0, 0, 0, 0)
        assert Due.objects.count() == 0
        assert services.run_upload(upload_id=upload.pk, now=NOW) is None
        upload.refresh_from_db()
        assert (upload.state, upload.file) == (UploadState.CANCELLED, None)
        with pytest.raises(NotUnderWay):
            services.cancel_upload(upload_id=upload.pk, actor=Actor("fiona"), now=NOW)


@pytest.mark.usefixtures("background")
@pytest.mark.parametrize("moment", ["reading", "storing"])
def test_cancelled_while_it_runs(
    shop: Shop, account: PlatformAccount, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inside(shop):
        upload = give(shop, account, GOOD)

        def cancel(*_arguments: object, **_facts: object) -> None:
            services.cancel_upload(upload_id=upload.pk, actor=Actor("fiona"), now=NOW)

        if moment == "reading":
            tell = uploading._tell  # something happens before it

            def before_telling(upload_id: int, **facts: int) -> None:
                cancel()
                tell(upload_id, **facts)

            monkeypatch.setattr(uploading, "_tell", before_telling)
        else:
            end = uploading._end  # something happens before it

            def before_ending(*arguments: Any, **facts: Any) -> None:
                cancel()
                end(*arguments, **facts)

            monkeypatch.setattr(uploading, "_end", before_ending)
        services.run_upload(upload_id=upload.pk, now=NOW)
        assert StatementLine.objects.count() == Statement.objects.count() == 0
        assert StatementDay.objects.count() == 0
        if moment == "reading":
            assert Upload.objects.get().state == UploadState.CANCELLED
            assert BillFile.objects.count() == 0


@pytest.mark.usefixtures("background")
def test_a_killed_worker_leaves_nothing_and_it_is_begun_anew(
    shop: Shop, account: PlatformAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inside(shop):
        upload = give(shop, account, GOOD)
    # The message is taken, the process ends while rows are read.
    [claim] = outbox.claim(now=NOW, limit=1, task=uploading.TASK)

    def die(*_arguments: object, **_facts: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(uploading, "_tell", die)
        with pytest.raises(KeyboardInterrupt):
            tasks.run_claim(claim, now=NOW)
    with inside(shop):
        upload.refresh_from_db()
        assert upload.state == UploadState.RUNNING
        assert stored() == (0, 0, 0, 1, 1)
    # Its lease ends, and another takes it up.
    assert tasks.drain(now=NOW + timedelta(seconds=60), task=uploading.TASK) == 0
    assert tasks.drain(now=NOW + outbox.LEASE, task=uploading.TASK) == 1
    with inside(shop):
        upload.refresh_from_db()
        assert (upload.state, StatementLine.objects.count()) == (UploadState.IMPORTED, 3)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("background")
def test_a_process_that_is_really_killed_leaves_nothing_and_another_does_it(
    shop: Shop, account: PlatformAccount
) -> None:
    many = [PAID.but(order_no=f"P{n}", trade_no=f"42{n:08d}") for n in range(30_000)]
    with inside(shop):
        upload = give(shop, account, wechat_bill(many))
    worker = os.fork()
    if worker == 0:
        # The parent's connection is the parent's: it is let go unclosed.
        connection.connection = None
        try:
            with enter_scope(Scope(shop.merchant.pk)):
                services.run_upload(upload_id=upload.pk, now=NOW)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 60
    with enter_scope(Scope(shop.merchant.pk)):
        while upload.done_rows == 0:
            assert time.monotonic() < deadline, "it read no row"
            time.sleep(0.02)
            upload.refresh_from_db()
    os.kill(worker, signal.SIGKILL)
    assert os.waitpid(worker, 0)[1] == signal.SIGKILL
    with enter_scope(Scope(shop.merchant.pk)):
        upload.refresh_from_db()
        assert upload.state == UploadState.RUNNING
        assert stored() == (0, 0, 0, 1, FilePiece.objects.count())
        # The server notices that nobody is there any more, and lets go of the turn.
        while services.run_upload(upload_id=upload.pk, now=NOW) is not None:
            assert time.monotonic() < deadline, "the killed one's turn never ended"
            time.sleep(0.1)
        upload.refresh_from_db()
        assert (upload.state, StatementLine.objects.count()) == (UploadState.IMPORTED, len(many))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("background")
def test_two_workers_do_not_import_one_file_at_a_time(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, GOOD)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            key = f"turn/{uploading.TASK}/{upload.pk}/0"
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [key])
        with enter_scope(Scope(shop.merchant.pk)):
            assert services.run_upload(upload_id=upload.pk, now=NOW) is not None
            assert Upload.objects.get().state == UploadState.WAITING
    finally:
        other.close()
    # The other's session is over, killed or done.
    with enter_scope(Scope(shop.merchant.pk)):
        assert services.run_upload(upload_id=upload.pk, now=NOW) is None
        assert Upload.objects.get().state == UploadState.IMPORTED


# ---------------------------------------------------------------- the quarantine
def test_a_refused_file_can_be_read_and_deleted(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, BAD)
        _row, pieces = services.read_upload(upload_id=upload.pk, actor=Actor("fiona"), now=NOW)
        assert b"".join(pieces) == BAD
        services.delete_upload(upload_id=upload.pk, actor=Actor("fiona"), now=NOW)
        assert (stored(), Upload.objects.count()) == ((0, 0, 0, 0, 0), 0)
        assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True)) == [
            "statement.uploaded",
            "statement.refused",
            "statement.refused_downloaded",
            "statement.refused_deleted",
        ]


def test_only_a_refused_file_is_given_out_or_deleted(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, GOOD)
        with pytest.raises(FileGone):
            services.read_upload(upload_id=upload.pk, actor=Actor("fiona"), now=NOW)
        with pytest.raises(NotUnderWay):
            services.delete_upload(upload_id=upload.pk, actor=Actor("fiona"), now=NOW)
        assert stored() == (1, 3, 1, 1, 1)


def test_refused_files_expire(shop: Shop, account: PlatformAccount, settings: Settings) -> None:
    settings.STATEMENT_QUARANTINE_DAYS = 3
    with inside(shop):
        give(shop, account, BAD)
        assert services.expire_uploads(now=NOW + timedelta(days=3, seconds=-1)) == 0
        assert services.expire_uploads(now=NOW + timedelta(days=3)) == 1
        assert (stored(), Upload.objects.count()) == ((0, 0, 0, 0, 0), 0)


# ---------------------------------------------------------------- pages
@pytest.mark.usefixtures("background")
def test_the_page_of_an_import(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, GOOD)
    client = client_of(shop)
    text = client.get(page("upload_detail", shop, upload.pk)).text
    assert "Waiting for a worker" in text
    assert 'hx-trigger="every 1s"' in text
    assert '<meta http-equiv="refresh" content="5">' in text
    part = client.get(page("upload_detail", shop, upload.pk), headers={"hx-request": "true"}).text
    assert "<html" not in part
    assert f'hx-get="{page("upload_detail", shop, upload.pk)}"' in part
    assert "Cancel the import" in part
    tasks.drain(now=NOW, task=uploading.TASK)
    text = client.get(page("upload_detail", shop, upload.pk)).text
    assert "3 rows are stored as version 1." in text
    assert "every 1s" not in text


@pytest.mark.usefixtures("background")
def test_cancelling_on_the_page(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, GOOD)
    client = client_of(shop)
    response = client.post(page("upload_cancel", shop, upload.pk), follow=True)
    assert "The import is cancelled. Nothing of the file was stored." in response.text
    response = client.post(page("upload_cancel", shop, upload.pk), follow=True)
    assert "had come to its end" in response.text
    with inside(shop):
        assert stored() == (0, 0, 0, 0, 0)


def test_refused_files_on_the_bills_page(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        upload = give(shop, account, BAD)
    client = client_of(shop)
    text = client.get(page("statement_list", shop)).text
    assert "Line 6, column 总交易单数" in text
    assert "bill.csv" in text
    assert page("upload_download", shop, upload.pk) in text
    assert client.get(page("upload_download", shop, upload.pk)).getvalue() == BAD
    # Whoever only looks is told why, and gets no file.
    seen = client_of(shop, Role.AUDITOR)
    assert "Line 6, column 总交易单数" in seen.get(page("statement_list", shop)).text
    assert (
        page("upload_download", shop, upload.pk) not in seen.get(page("statement_list", shop)).text
    )
    assert seen.get(page("upload_download", shop, upload.pk)).status_code == 403
    assert "Delete bill.csv?" in client.get(page("upload_delete", shop, upload.pk)).text
    response = client.post(page("upload_delete", shop, upload.pk), follow=True)
    assert "The refused file is deleted." in response.text
    with inside(shop):
        assert Upload.objects.count() == BillFile.objects.count() == 0


# ---------------------------------------------------------------- versions
def test_what_changed_between_versions(shop: Shop, account: PlatformAccount) -> None:
    extra = MORE.but(order_no="P3", trade_no="4200003", minor=500, fee=3)
    with inside(shop):
        give(shop, account, GOOD)
        second = give(
            shop, account, wechat_bill([PAID.but(minor=2600, fee=16), BACK, extra]), now=NOW
        ).statement
        assert second is not None
        changes = second.changes.order_by("pk").values_list(
            "kind",
            "before__order_no",
            "line__order_no",
            "before__amount_minor",
            "line__amount_minor",
        )
        assert list(changes) == [
            ("changed", "P1", "P1", 2500, 2600),
            ("removed", "P2", None, 99_900, None),
            ("added", None, "P3", None, 500),
        ]
    client = client_of(shop)
    response = client.get(page("statement_changes", shop, second.pk))
    text = response.text
    assert [(one.kind.value, one.count, one.effect_minor, one.fee_effect_minor) for one in response.context["sums"]] == [
        ("added", 1, 500, 3),
        ("removed", 1, -99_900, -599),
        ("changed", 1, 100, 1),
    ]  # fmt: skip
    assert (response.context["total"], response.context["effect_minor"]) == (3, -99_300)
    assert "From version 1" in text
    only = client.get(page("statement_changes", shop, second.pk) + "?kind=added").text
    assert "4200003" in only
    assert "4200002" not in only
    assert (
        page("statement_changes", shop, second.pk) in client.get(page("statement_list", shop)).text
    )


def test_a_version_that_only_looks_different(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        give(shop, account, GOOD)
        second = give(shop, account, GOOD.replace("龙井一杯".encode(), "红茶".encode())).statement
        assert second is not None
        assert second.version == 2
    text = client_of(shop).get(page("statement_changes", shop, second.pk)).text
    assert "The same rows" in text


def test_rows_and_changes_come_a_page_at_a_time(
    shop: Shop, account: PlatformAccount, settings: Settings
) -> None:
    settings.STATEMENT_BACKGROUND_BYTES = len(LONG)
    with inside(shop):
        first = give(shop, account, GOOD).statement
        second = give(shop, account, LONG).statement
        assert first is not None
        assert second is not None
    client = client_of(shop)
    for name, count in (("statement_detail", 3000), ("statement_changes", 3003)):
        url, rows, pages = page(name, shop, second.pk), 0, 0
        after = ""
        while True:
            response = client.get(f"{url}?after={after}")
            rows += len(response.context["page"].rows)
            pages += 1
            after = response.context["page"].after
            if not after or pages > 3:
                break
        assert rows == 200
        assert count > rows
        assert client.get(f"{url}?after=x").status_code == 400
