"""Damaged and hostile files: each gets one clear sentence, and leaves nothing behind but itself."""

from __future__ import annotations

import io
import time
import tracemalloc
from collections import Counter

import pytest
from django.db import connection
from django.utils import translation

from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.merchants.tests.factories import NOW, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.gateway import StatementKind
from apps.statements import services, wording
from apps.statements.models import (
    BillFile,
    FilePiece,
    Statement,
    StatementChange,
    StatementDay,
    StatementLine,
    Upload,
    UploadState,
)
from apps.statements.services import hand_in
from apps.statements.tests.hostile import DAY, HOSTILE, MERCHANTS, gigabytes

pytestmark = pytest.mark.django_db


def _books() -> dict[str, object]:
    """Everything of bills but uploads and their files."""
    return {
        "days": list(StatementDay.objects.values()),
        "statements": list(Statement.objects.values()),
        "lines": StatementLine.objects.count(),
        "changes": StatementChange.objects.count(),
        "dues": Counter(Due.objects.values_list("task", flat=True)),
    }


def test_there_are_more_than_forty() -> None:
    assert len(HOSTILE) >= 40


@pytest.mark.parametrize("name", HOSTILE)
def test_one_sentence_and_nothing_but_the_original(name: str) -> None:
    bad = HOSTILE[name]
    shop = make_shop()
    content = bad.make()
    with inside(shop):
        account = make_account(shop, platform=bad.platform, merchant_no=MERCHANTS[bad.platform])
        services.expect_day(account_id=account.pk, kind=StatementKind(bad.kind), day=DAY)
        before = _books()
        upload = hand_in(
            account_id=account.pk,
            kind=StatementKind(bad.kind),
            day=DAY,
            filename="bill.csv",
            content=io.BytesIO(content),
            member=shop["finance"],
            actor=Actor("fiona"),
            now=NOW,
        )
        if upload.state == UploadState.WAITING:
            # As a worker does it.
            services.run_upload(upload_id=upload.pk, now=NOW)
            upload.refresh_from_db()
        assert (name, upload.state) == (name, UploadState.REFUSED)
        said = wording.kept_unreadable(bad.reason, line=bad.line, column=bad.column)
        assert (name, upload.detail) == (name, said)
        with translation.override("en"):
            words = wording.detail_words(bad.platform, upload.detail)
        assert words[0].isupper()
        assert words.endswith(".")
        assert str(bad.line or "") in words
        assert (bad.column or "") in words
        assert _books() == before
        assert (upload.statement_id, upload.expires_at is not None) == (None, True)
        kept = services.read_upload(upload_id=upload.pk, actor=Actor("fiona"), now=NOW)[1]
        assert b"".join(kept) == content
        assert Upload.objects.count() == BillFile.objects.count() == 1
        _no_staging()


def _no_staging() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_temp.staged_line')")
        assert cursor.fetchone() == (None,)


def test_the_day_that_has_a_bill_keeps_it() -> None:
    shop = make_shop()
    good = HOSTILE["a count one off"]
    with inside(shop):
        account = make_account(shop, merchant_no=MERCHANTS["wechatpay"])
        first = hand_in(
            account_id=account.pk,
            kind=StatementKind.TRADE,
            day=DAY,
            filename="good.csv",
            content=io.BytesIO(good.make().replace(b"`4,", b"`3,")),
            member=shop["finance"],
            actor=Actor("fiona"),
            now=NOW,
        )
        assert first.state == UploadState.IMPORTED
        before = _books()
        second = hand_in(
            account_id=account.pk,
            kind=StatementKind.TRADE,
            day=DAY,
            filename="bad.csv",
            content=io.BytesIO(good.make()),
            member=shop["finance"],
            actor=Actor("fiona"),
            now=NOW,
        )
        assert second.state == UploadState.REFUSED
        assert _books() == before
        assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True)) == [
            "statement.uploaded",
            "statement.imported",
            "statement.uploaded",
            "statement.refused",
        ]


def test_gigabytes_cost_neither_memory_nor_time() -> None:
    shop = make_shop()
    content = gigabytes(b" " * 1023 + b"\n")
    with inside(shop):
        account = make_account(shop, merchant_no=MERCHANTS["wechatpay"])
        tracemalloc.start()
        began = time.process_time()
        try:
            with pytest.raises(services.StatementRefused):
                services.import_statement(
                    account_id=account.pk,
                    kind=StatementKind.TRADE,
                    day=DAY,
                    filename="x.gz",
                    content=io.BytesIO(content),
                    uploaded_by=None,
                    actor=Actor("fiona"),
                    now=NOW,
                )
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 32 * 1024 * 1024
        assert time.process_time() - began < 10
        assert FilePiece.objects.count() == 0
