"""The files of a closed day: written once, the same however often they are made, given out byte for byte."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.core.tasks import drain
from apps.merchants.models import Membership
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment, PaymentState
from apps.payments.services import apply_payment_result
from apps.payments.tests.factories import make_payment, paid_result
from apps.platforms.models import PlatformAccount
from apps.reconciliation import day_files
from apps.reconciliation.models import (
    DayClose,
    DayFile,
    DayFilePart,
    Difference,
    ResolutionKind,
)
from apps.reconciliation.services import (
    Act,
    keeping,
    kept_pieces,
    resolve_difference,
    verify_file,
    write_day_files,
)
from apps.reconciliation.tests.closes import close, settled
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, refunded
from apps.statements.tests.bills import row_of

pytestmark = pytest.mark.django_db

NAMES = ["transactions", "refunds", "differences", "ledger", "summary", "report"]


@pytest.fixture
def shop() -> Shop:
    return make_shop()


def closed(shop: Shop, *, write: bool = True) -> tuple[PlatformAccount, list[Payment], DayClose]:
    """A closed day: two payments, a refund, a payment that nobody paid, and a difference that was explained."""
    account, payments = settled(shop)
    refunded(shop, payments[0], 4_000, at=NOON)
    unpaid = make_payment(shop, account, now=NOON)
    Payment.objects.filter(pk=unpaid.pk).update(state=PaymentState.CLOSED)
    bill(account, [row_of(payments[0]).but(minor=9_000), row_of(payments[1])])
    match(account)
    for difference in Difference.objects.filter(state="open"):
        resolve_difference(
            difference_id=difference.pk,
            act=Act(kind=ResolutionKind.KEEP, reason="=1+1"),
            member=shop["finance"],
            actor=ACTOR,
            now=NOW,
        )
    done = close(shop)
    if write:
        assert write_day_files(close_id=done.pk, now=NOW) == len(NAMES)
    return account, payments, done


def content(file: DayFile) -> bytes:
    return b"".join(kept_pieces(file))


def kept(done: DayClose, name: str) -> DayFile:
    return DayFile.objects.get(close=done, name=name)


def table(file: DayFile) -> list[list[str]]:
    text = content(file).decode("utf-8-sig")
    assert text.replace("\r\n", "").count("\n") == 0, "CRLF everywhere"
    return list(csv.reader(io.StringIO(text, newline="")))


class TestWriting:
    def test_the_task_writes_them_all(self, shop: Shop) -> None:
        with inside(shop):
            _account, _payments, done = closed(shop, write=False)
        assert drain(now=NOW, task="reconciliation.write_day_files") == 1
        with inside(shop):
            files = list(DayFile.objects.order_by("pk"))
            assert [file.name for file in files] == NAMES == done.file_names
            for file in files:
                data = content(file)
                assert hashlib.sha256(data).hexdigest() == file.sha256
                assert len(data) == file.byte_count
            assert AuditEvent.objects.filter(action="day.file_written").count() == len(NAMES)

    def test_rows_and_control_sums_are_those_of_the_content(self, shop: Shop) -> None:
        with inside(shop):
            _account, _payments, done = closed(shop)
            rows = table(kept(done, "transactions"))[1:]
            file = kept(done, "transactions")
            assert (file.row_count, file.amount_minor) == (3, 8_500)
            assert len(rows) == 3, "what nobody paid may still change and is left out"
            assert sum(round(float(row[8]) * 100) for row in rows) == 8_500 == done.net_minor
            backs = kept(done, "refunds")
            assert (backs.row_count, backs.amount_minor) == (1, -4_000)
            assert len(table(backs)) == 2
            journal = kept(done, "ledger")
            lines = table(journal)[1:]
            assert journal.row_count == len(lines) == 9
            assert sum(round(float(row[8] or 0) * 100) for row in lines) == journal.amount_minor
            differences = kept(done, "differences")
            found = table(differences)[1:]
            assert differences.row_count == len(found)
            assert sum(round(float(row[10]) * 100) for row in found) == differences.amount_minor
            assert "'=1+1" in {row[-1] for row in found}, "no formula"

    def test_made_twice_they_are_equal(self, shop: Shop) -> None:
        with inside(shop):
            _account, _payments, done = closed(shop)
            first = {file.name: content(file) for file in done.files.all()}
            for name, maker in day_files.makers().items():
                again = b"".join(maker.make(done).pieces)
                assert hashlib.sha256(again).digest() == hashlib.sha256(first[name]).digest(), name

    def test_what_follows_changes_no_file(self, shop: Shop) -> None:
        """Facts of other days, and an attempt of the day that is paid after all, leave the bytes as they are."""
        with inside(shop):
            account, payments, done = closed(shop)
            late = make_payment(shop, account, now=NOON)
            apply_payment_result(
                payment_id=late.pk,
                result=paid_result(late, at=NOON),
                via="poll",
                now=NOW,
                actor=Actor.system("test"),
            )
            refunded(shop, payments[1], 500, at=NOW)
            for name, maker in day_files.makers().items():
                assert b"".join(maker.make(done).pieces) == content(kept(done, name)), name

    def test_a_killed_worker_leaves_the_rest_to_the_next(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with inside(shop):
            _account, _payments, done = closed(shop, write=False)
            sound = keeping._write

            def dies(close: DayClose, maker: day_files.DayFileMaker, **more: object) -> bool:
                if maker.name == "ledger":
                    raise KeyboardInterrupt
                return sound(close, maker, **more)  # type: ignore[arg-type]  # passed on as it came

            monkeypatch.setattr(keeping, "_write", dies)
            with pytest.raises(KeyboardInterrupt):
                write_day_files(close_id=done.pk, now=NOW)
            assert done.files.count() == 3
            monkeypatch.undo()
            assert write_day_files(close_id=done.pk, now=NOW + timedelta(hours=1)) == 3
            assert [file.name for file in done.files.order_by("pk")] == NAMES
            assert write_day_files(close_id=done.pk, now=NOW) == 0

    def test_a_second_worker_keeps_nothing_twice(self, shop: Shop) -> None:
        with inside(shop):
            _account, _payments, done = closed(shop)
            maker = day_files.makers()["transactions"]
            assert keeping._write(done, maker, slug="tea", now=NOW) is False
            assert DayFile.objects.filter(close=done, name="transactions").count() == 1

    def test_large_files_are_kept_in_sealed_pieces(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keeping, "PART_BYTES", 100)
        with inside(shop):
            _account, payments, done = closed(shop)
            file = kept(done, "transactions")
            parts = DayFilePart.objects.filter(file=file)
            assert parts.count() == -(-file.byte_count // 100) > 3
            assert payments[0].order_no.encode() in content(file)
            assert not any(
                payments[0].order_no.encode() in bytes(part.content_sealed) for part in parts
            )
            verify_file(file)

    def test_a_shop_whose_name_the_font_lacks_gets_its_report(self, shop: Shop) -> None:
        shop.merchant.name = "😀 قهوة"
        shop.merchant.save()
        with inside(shop):
            _account, _payments, done = closed(shop)
            assert content(kept(done, "report")).startswith(b"%PDF-")


class TestGivingOut:
    @pytest.fixture
    def day(self, shop: Shop) -> DayClose:
        with inside(shop):
            _account, _payments, done = closed(shop)
        return done

    def get(self, shop: Shop, path: str, *, role: str = "finance") -> tuple[int, bytes, str]:
        client = Client()
        client.force_login(shop[role])
        response = client.get(f"/m/{shop.slug}/{path}")
        body = (
            b"".join(response.streaming_content)  # type: ignore[attr-defined]  # of streamed answers
            if response.streaming
            else response.content
        )
        return response.status_code, body, response.get("Content-Disposition", "")

    @pytest.mark.parametrize("name", NAMES)
    def test_the_days_page_gives_each_file(self, shop: Shop, day: DayClose, name: str) -> None:
        with inside(shop):
            file = kept(day, name)
            expected = content(file)
        status, body, disposition = self.get(shop, f"reconciliation/closes/files/{file.pk}/")
        assert (status, body) == (200, expected)
        assert file.filename in disposition
        with inside(shop):
            event = AuditEvent.objects.get(action="export.downloaded")
            assert event.data["sha256"] == file.sha256

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("exports/transactions.csv?date_from={d}&date_to={d}", "transactions"),
            ("exports/transactions.csv?date_from={d}&date_to={d}&kind=refund", "refunds"),
            ("exports/summary.csv?date_from={d}&date_to={d}", "summary"),
            ("exports/ledger/?books_from={d}&books_to={d}&what=csv", "ledger"),
        ],
    )
    def test_exporting_the_closed_day_gives_the_kept_bytes(
        self, shop: Shop, day: DayClose, path: str, name: str
    ) -> None:
        with inside(shop):
            expected = content(kept(day, name))
        status, body, _disposition = self.get(shop, path.format(d=DAY))
        assert status == 200
        assert body == expected

    @pytest.mark.parametrize(
        "more",
        [
            "&headers=en",
            "&headers=machine",
            "&encoding=gb18030",
            "&kind=payment",
            "&platform=wechatpay",
        ],
    )
    def test_another_form_is_made_anew(self, shop: Shop, day: DayClose, more: str) -> None:
        with inside(shop):
            expected = content(kept(day, "transactions"))
        path = f"exports/transactions.csv?date_from={DAY}&date_to={DAY}{more}"
        status, body, _disposition = self.get(shop, path)
        assert status == 200
        assert body != expected

    def test_a_member_limited_to_stores_never_gets_the_whole_days_file(
        self, shop: Shop, day: DayClose
    ) -> None:
        Membership.objects.filter(user=shop["manager"]).update(store_ids=[shop.store.pk + 1])
        path = f"exports/transactions.csv?date_from={DAY}&date_to={DAY}"
        status, body, _disposition = self.get(shop, path, role="manager")
        assert status == 200
        assert body.count(b"\r\n") == 1, "the heading alone"
        with inside(shop):
            file = kept(day, "transactions")
        path = f"reconciliation/closes/files/{file.pk}/"
        assert self.get(shop, path, role="manager")[0] == 403

    def test_a_stranger_gets_nothing(self, shop: Shop, day: DayClose) -> None:
        bar = make_shop("bar")
        with inside(shop):
            file = kept(day, "report")
        path = f"/reconciliation/closes/files/{file.pk}/"
        client = Client()
        client.force_login(bar["owner"])
        assert client.get(f"/m/bar{path}").status_code == 404
        assert client.get(f"/m/tea{path}").status_code == 404

    def test_the_command_writes_the_kept_bytes(
        self, shop: Shop, day: DayClose, tmp_path: Path
    ) -> None:
        with inside(shop):
            expected = {
                name: content(kept(day, name)) for name in ("transactions", "summary", "ledger")
            }
        for name, bytes_ in expected.items():
            target = tmp_path / name
            call_command(
                "export",
                name,
                "--merchant=tea",
                f"--from={DAY}",
                f"--to={DAY}",
                f"--output={target}",
                "--json",
            )
            assert target.read_bytes() == bytes_, name

    def test_the_page_costs_the_same_however_many_files(self, shop: Shop, day: DayClose) -> None:
        client = Client()
        client.force_login(shop["finance"])
        url = f"/m/tea/reconciliation/closes/{DAY}/"
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            response = client.get(url)
        assert response.status_code == 200
        asked = [q["sql"] for q in queries if "reconciliation_" in q["sql"]]
        assert len(asked) == 3, "closings, files, wishes to open again"
