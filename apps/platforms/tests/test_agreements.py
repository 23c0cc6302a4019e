"""Agreements: versions and what is in force, refusals, papers that lie, ticks, reminders, and who may see them."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from apps.core import papers, tasks
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.papers import PaperRefused, judge_paper
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import (
    Agreement,
    AgreementDocument,
    AgreementReminder,
    ChecklistTick,
    DocumentPiece,
    FeeTier,
    PlatformAccount,
    ReminderMail,
)
from apps.platforms.selectors import agreements as found
from apps.platforms.services import documents
from apps.platforms.services.agreements import (
    AgreementRefused,
    Terms,
    Tier,
    enter_agreement,
    tick,
    withdraw_agreement,
)
from apps.platforms.services.reminders import remind_due, send_reminder

NOW = datetime(2026, 11, 27, 4, 0, tzinfo=UTC)
TODAY = date(2026, 11, 27)
ACTOR = Actor("owner@tea.test")
TERMS = Terms(service="Native", valid_from=date(2026, 1, 1), valid_until=date(2026, 12, 31))


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def enter(
    account: PlatformAccount,
    terms: Terms = TERMS,
    tiers: tuple[Tier, ...] = (Tier(rate_ppm=3_800),),
    *,
    begins: date | None = None,
    expected: int = 0,
    now: datetime = NOW,
) -> Agreement:
    made = enter_agreement(
        account_id=account.pk,
        terms=terms,
        tiers=tiers,
        effective_from=begins,
        expected=expected,
        member=None,
        actor=ACTOR,
        now=now,
    )
    account.refresh_from_db()
    return made


def pdf(pages: int = 1, extra: bytes = b"") -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    for number in range(pages):
        canvas.drawString(72, 700, f"page {number}")
        canvas.showPage()
    canvas.save()
    content = out.getvalue()
    return content.replace(b"endobj", b"endobj\n" + extra, 1) if extra else content


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(out, kind)
    return out.getvalue()


class TestVersions:
    def test_a_change_holds_from_its_day_and_what_held_stays(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            assert found.fee_book(account).fee(amount_minor=10_000, day=TODAY) == 60
            first = enter(account)
            second = enter(
                account,
                tiers=(Tier(rate_ppm=2_500),),
                begins=TODAY + timedelta(days=4),
                expected=1,
            )
            book = found.fee_book(account)
            fees = {
                day: book.fee(amount_minor=10_000, day=day)
                for day in (
                    date(2025, 12, 31),
                    date(2026, 1, 1),
                    TODAY + timedelta(days=3),
                    TODAY + timedelta(days=4),
                    date(2026, 12, 31),
                    date(2027, 1, 1),
                )
            }
            assert list(fees.values()) == [60, 38, 38, 25, 25, 60]
            versions = found.versions_of(account.pk)
            for day in fees:
                expected = found.in_force(versions, day)
                assert found.agreement_on(account, day) == expected
                held = [row for row, begins, ends in found.spans(versions) if begins <= day < ends]
                assert held == ([expected] if expected else [])
            assert found.in_force(versions, TODAY) == first
            assert found.in_force(versions, date(2026, 12, 1)) == second

    def test_the_higher_version_of_a_day_wins(self, shop: Shop, account: PlatformAccount) -> None:
        with inside(shop):
            enter(account)
            enter(account, tiers=(Tier(rate_ppm=1_000),), begins=TODAY, expected=1)
            enter(account, tiers=(Tier(rate_ppm=2_000),), begins=TODAY, expected=2)
            assert found.fee_book(account).fee(amount_minor=10_000, day=TODAY) == 20
            yesterday = TODAY - timedelta(days=1)
            assert found.fee_book(account).fee(amount_minor=10_000, day=yesterday) == 38

    def withdraw(self, agreement: Agreement, now: datetime = NOW) -> None:
        withdraw_agreement(agreement_id=agreement.pk, member=None, actor=ACTOR, now=now)

    def test_a_planned_version_can_be_withdrawn(self, shop: Shop, account: PlatformAccount) -> None:
        begins = TODAY + timedelta(days=4)
        with inside(shop):
            first = enter(account)
            second = enter(account, tiers=(Tier(rate_ppm=2_500),), begins=begins, expected=1)
            self.withdraw(second)
            self.withdraw(second)
            assert found.versions_of(account.pk) == [first]
            assert found.versions_by_account([account.pk]) == {account.pk: [first]}
            assert [one.agreement for one in found.withdrawn_of(account.pk)] == [second]
            assert found.fee_book(account).fee(amount_minor=10_000, day=begins) == 38
            assert AuditEvent.objects.filter(action="agreement.withdrawn").count() == 1
            # Its number is not given away again.
            with pytest.raises(AgreementRefused):
                enter(account, begins=begins, expected=1)
            third = enter(account, tiers=(Tier(rate_ppm=3_000),), begins=begins, expected=2)
            assert third.version == 3
            assert found.fee_book(account).fee(amount_minor=10_000, day=begins) == 30

    def test_what_has_begun_is_not_withdrawn(self, shop: Shop, account: PlatformAccount) -> None:
        begins = TODAY + timedelta(days=4)
        with inside(shop):
            first = enter(account)
            second = enter(account, begins=begins, expected=1)
            for agreement, now in ((first, NOW), (second, NOW + timedelta(days=4))):
                with pytest.raises(AgreementRefused):
                    self.withdraw(agreement, now)
            assert len(found.versions_of(account.pk)) == 2

    def test_the_only_version_withdrawn_the_next_is_the_first(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        begins = TODAY + timedelta(days=4)
        later = replace(TERMS, valid_from=begins, valid_until=None, renews=False)
        with inside(shop):
            self.withdraw(enter(account, later))
            assert found.fee_book(account).fee(amount_minor=10_000, day=begins) == 60
            again = enter(account, expected=1)
            assert (again.version, again.effective_from) == (2, TERMS.valid_from)

    @pytest.mark.parametrize(
        "table", ["platforms_agreement", "platforms_feetier", "platforms_agreementwithdrawal"]
    )
    def test_the_database_refuses_edits(
        self, shop: Shop, account: PlatformAccount, table: str
    ) -> None:
        with inside(shop):
            enter(account)
            self.withdraw(enter(account, begins=TODAY + timedelta(days=1), expected=1))
            for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"):  # noqa: S608
                with (
                    pytest.raises(DatabaseError, match="append-only"),
                    transaction.atomic(),
                    connection.cursor() as cursor,
                ):
                    cursor.execute(statement)

    @pytest.mark.parametrize(
        ("terms", "begins", "field"),
        [
            (Terms(service="x", valid_from=TODAY, valid_until=TODAY - timedelta(days=1)), None, "valid_until"),
            (Terms(service="x", valid_from=TODAY, signed_on=TODAY + timedelta(days=1)), None, "signed_on"),
            (Terms(service="x", valid_from=TODAY, renews=True), None, "renews"),
            (TERMS, TODAY - timedelta(days=1), "effective_from"),
            (TERMS, date(2027, 1, 1), "effective_from"),
        ],
    )  # fmt: skip
    def test_days_that_contradict(
        self, shop: Shop, account: PlatformAccount, terms: Terms, begins: date | None, field: str
    ) -> None:
        with inside(shop):
            if begins is not None:
                enter(account)
            with pytest.raises(AgreementRefused) as refused:
                enter(account, terms, begins=begins, expected=1 if begins else 0)
            assert refused.value.field == field
            assert Agreement.objects.count() == (1 if begins else 0)

    @pytest.mark.parametrize(
        "tiers",
        [
            (),
            (Tier(rate_ppm=1, from_minor=1),),
            (Tier(rate_ppm=1, wallet="alipay"),),
            (Tier(rate_ppm=1), Tier(rate_ppm=2)),
            (Tier(rate_ppm=1), Tier(rate_ppm=2, wallet="alipay", from_minor=100)),
            (Tier(rate_ppm=1, cap_minor=1, least_minor=2),),
        ],
    )
    def test_rates_that_leave_something_open(
        self, shop: Shop, account: PlatformAccount, tiers: tuple[Tier, ...]
    ) -> None:
        with inside(shop):
            with pytest.raises(AgreementRefused):
                enter(account, tiers=tiers)
            assert (Agreement.objects.count(), FeeTier.objects.count()) == (0, 0)
            assert not account.has_agreement

    def test_a_version_that_somebody_else_entered_meanwhile(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            enter(account)
            with pytest.raises(AgreementRefused):
                enter(account)
            assert Agreement.objects.count() == 1

    def test_payments_are_charged_by_it(self, shop: Shop, account: PlatformAccount) -> None:
        with inside(shop):
            enter(
                account,
                Terms(service="x", valid_from=date(2020, 1, 1)),
                tiers=(
                    Tier(rate_ppm=6_000),
                    Tier(rate_ppm=3_800, wallet="wechatpay", cap_minor=30),
                ),
            )
            assert make_paid(shop, account, minor=5_000).fee_minor == 19
            assert make_paid(shop, account, minor=50_000).fee_minor == 30


class TestPapers:
    @pytest.mark.parametrize(
        ("content", "name", "kind", "pages"),
        [
            (pdf(), "a.pdf", "pdf", 1),
            (pdf(3), "A.PDF", "pdf", 3),
            (picture("PNG"), "a.png", "png", 1),
            (picture("JPEG"), "a.jpeg", "jpeg", 1),
        ],
    )
    def test_what_is_kept(self, content: bytes, name: str, kind: str, pages: int) -> None:
        paper = judge_paper(content, filename=name)
        assert (paper.kind, paper.page_count) == (kind, pages)

    def test_pages_in_packed_objects(self) -> None:
        packed = zlib.compress(b"7 0 8 30 " + b"<</Type /Page /Parent 1 0 R>> <</Type/Page>>")
        content = (
            b"%PDF-1.5\n5 0 obj\n<</Type /ObjStm /N 2 /First 9 /Filter /FlateDecode /Length 1>>\nstream\n"
            + packed + b"\nendstream\nendobj\n%%EOF\n"
        )  # fmt: skip
        assert judge_paper(content, filename="a.pdf").page_count == 2

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"MZ\x90\x00" + b"\0" * 100,
            b"<html><script>alert(1)</script></html>",
            b"%PDF-1.7\n",
            pdf()[:-300],
            pdf() + b"PK\x03\x04 more",
            pdf(extra=b"99 0 obj\n<</S /JavaScript /JS (app.alert)>>\nendobj\n"),
            pdf(extra=b"99 0 obj\n<</S /J#61vaScript>>\nendobj\n"),
            pdf(extra=b"99 0 obj\n<</S /Launch /F (x)>>\nendobj\n"),
            pdf(extra=b"99 0 obj\n<</Type /EmbeddedFile>>\nendobj\n"),
            pdf(extra=b"trailer <</Encrypt 9 0 R>>\n"),
            pdf(extra=b"99 0 obj\n<</Length 9>>\nstream\n<</S /JavaScript>>\nendstream\nendobj\n"),
            pdf(extra=b"99 0 obj\n<</Type /ObjStm /First 4 /Filter /FlateDecode>>\nstream\n" + zlib.compress(b"1 0 <</JS 3 0 R>>") + b"\nendstream\nendobj\n"),
            pdf(extra=b"99 0 obj\n<</Type /ObjStm /First 4 /Filter /LZWDecode>>\nstream\nxx\nendstream\nendobj\n"),
            pdf(extra=b"99 0 obj\n<</Type /ObjStm /First 0 /Filter /FlateDecode>>\nstream\n" + zlib.compress(b" " * (70 * 1024 * 1024)) + b"\nendstream\nendobj\n"),
        ],
    )  # fmt: skip
    def test_what_is_refused_as_pdf(self, content: bytes) -> None:
        with pytest.raises(PaperRefused):
            judge_paper(content, filename="a.pdf")

    @pytest.mark.parametrize(
        ("content", "name"),
        [
            (picture("PNG"), "a.pdf"),
            (pdf(), "a.png"),
            (picture("PNG"), "a.jpg"),
            (pdf(), "a.exe"),
            (picture("PNG")[:-20], "a.png"),
            (picture("JPEG")[:-40], "a.jpg"),
            (picture("PNG") + b"#!/bin/sh", "a.png"),
        ],
    )
    def test_files_that_lie_or_are_not_whole(self, content: bytes, name: str) -> None:
        with pytest.raises(PaperRefused):
            judge_paper(content, filename=name)

    def test_kept_encrypted_read_with_a_trace_and_deleted(
        self, shop: Shop, account: PlatformAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(documents, "PIECE", 500)
        content = pdf(2)
        with inside(shop):
            kept = documents.keep_document(
                account_id=account.pk, title="", filename="合同.pdf", content=content,
                member=None, actor=ACTOR, now=NOW,
            )  # fmt: skip
            pieces = list(DocumentPiece.objects.filter(document=kept))
            assert len(pieces) > 1
            assert all(b"PDF" not in bytes(piece.sealed) for piece in pieces)
            with pytest.raises(PaperRefused):
                documents.keep_document(
                    account_id=account.pk, title="again", filename="b.pdf", content=content,
                    member=None, actor=ACTOR, now=NOW,
                )  # fmt: skip
            _document, read = documents.read_document(document_id=kept.pk, actor=ACTOR, now=NOW)
            assert b"".join(read) == content
            documents.delete_document(document_id=kept.pk, actor=ACTOR, now=NOW)
            assert not DocumentPiece.objects.exists()
            actions = AuditEvent.objects.filter(action__startswith="agreement.").order_by("pk")
            assert list(actions.values_list("action", flat=True)) == [
                "agreement.paper_kept",
                "agreement.paper_read",
                "agreement.paper_deleted",
            ]


class TestReminders:
    def told(self) -> list[tuple[date, int]]:
        rows = AgreementReminder.objects.order_by("pk")
        return list(rows.values_list("valid_until", "days_before"))

    def test_sixty_thirty_seven_days_before_each_once(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            enter(account, now=datetime(2026, 2, 1, tzinfo=UTC))
            at: datetime | None = datetime(2026, 2, 1, 0, 1, tzinfo=UTC)
            looked = []
            while at is not None:
                at = remind_due(account_id=account.pk, now=at)
                if at is not None:
                    looked.append(at)
                    # A second worker at the same moment changes nothing.
                    assert remind_due(account_id=account.pk, now=at) == remind_due(
                        account_id=account.pk, now=at
                    )
            end = date(2026, 12, 31)
            assert self.told() == [(end, 60), (end, 30), (end, 7)]
            assert [moment.date() for moment in looked] == [
                end - timedelta(days=days) for days in (60, 30, 7)
            ]
            assert ReminderMail.objects.count() == 3

    def test_of_days_that_passed_only_the_nearest_is_told(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            enter(account)
            assert remind_due(account_id=account.pk, now=NOW) == datetime(
                2026, 12, 1, 1, tzinfo=UTC
            )
            assert self.told() == [(date(2026, 12, 31), 60)]

    def test_one_that_renews_is_told_each_year(self, shop: Shop, account: PlatformAccount) -> None:
        terms = Terms(
            service="x", valid_from=date(2024, 2, 29), valid_until=date(2025, 12, 31), renews=True
        )
        with inside(shop):
            enter(account, terms)
            at = NOW
            for _step in range(5):
                again = remind_due(account_id=account.pk, now=at)
                assert again is not None
                assert again > at
                at = again
            assert {until for until, _days in self.told()} == {
                date(2026, 12, 31),
                date(2027, 12, 31),
            }

    def test_the_mail_leaves_once_and_not_after_a_change(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            enter(account)
            remind_due(account_id=account.pk, now=NOW)
            (letter,) = ReminderMail.objects.all()
            send_reminder(mail_id=letter.pk, now=NOW)
            send_reminder(mail_id=letter.pk, now=NOW)
            assert [one.to for one in mail.outbox] == [[shop["owner"].email]]
            assert "2026-12-31" in mail.outbox[0].subject
            assert (
                f"/m/{shop.merchant.slug}/platforms/{account.pk}/agreement/" in mail.outbox[0].body
            )
            ReminderMail.objects.update(sent_at=None)
            renewed = Terms(
                service="x", valid_from=date(2026, 1, 1), valid_until=date(2028, 12, 31)
            )
            enter(account, renewed, begins=TODAY, expected=1)
            send_reminder(mail_id=letter.pk, now=NOW)
            assert len(mail.outbox) == 1

    def test_by_the_outbox(self, shop: Shop, account: PlatformAccount) -> None:
        with inside(shop):
            enter(account)
        tasks.drain(now=NOW, task="platforms.remind_agreement")
        tasks.drain(now=NOW, task="platforms.agreement_mail")
        assert len(mail.outbox) == 1
        due = Due.objects.get(task="platforms.remind_agreement")
        assert due.due_at == datetime(2026, 12, 1, 1, tzinfo=UTC)


class TestPages:
    def client(self, shop: Shop, role: str = "owner") -> Client:
        client = Client(headers={"accept-language": "en"})
        client.force_login(shop[role])
        return client

    def url(self, shop: Shop, name: str, *args: Any) -> str:
        return reverse(f"platforms:{name}", args=[shop.merchant.slug, *args])

    def typed(self, **changes: str) -> dict[str, str]:
        rates = {
            "wallet": "", "product": "", "from_amount": "", "rate": "", "cap": "", "least": "", "rounding": "half_up",
        }  # fmt: skip
        data = {f"rates-{row}-{name}": value for row in range(2) for name, value in rates.items()}
        return {
            **data,
            "rates-TOTAL_FORMS": "2",
            "rates-INITIAL_FORMS": "0",
            "expected": "0",
            "service": "Native",
            "valid_from": "2026-01-01",
            "valid_until": "2026-12-31",
            "cycle_days": "1",
            "working_days": "1",
            "refund_window_days": "365",
            "fee_back": "all",
            "rates-0-rate": "0.38",
            **changes,
        }

    @time_machine.travel(NOW, tick=False)
    def test_entering_and_changing(self, shop: Shop, account: PlatformAccount) -> None:
        client = self.client(shop)
        change = self.url(shop, "agreement_change", account.pk)
        assert "starting values" in client.get(change).content.decode()
        data = self.typed(
            **{"rates-1-from_amount": "1000.01", "rates-1-rate": "0.6", "rates-1-cap": "80"}
        )
        assert client.post(change, data).status_code == 302
        with inside(shop):
            tiers = FeeTier.objects.order_by("from_minor")
            assert [(row.from_minor, row.rate_ppm, row.cap_minor) for row in tiers] == [
                (0, 3_800, None),
                (100_001, 6_000, 8_000),
            ]
        page = client.get(self.url(shop, "agreement_detail", account.pk)).content.decode()
        assert "0.38 %" in page
        assert "¥80.00" in page
        again = self.typed(expected="1", effective_from="2026-12-01", note="cheaper")
        assert client.post(change, again).status_code == 302
        page = client.get(self.url(shop, "agreement_detail", account.pk)).content.decode()
        assert "Planned" in page
        assert "in 34 days" in client.get(self.url(shop, "agreement_list")).content.decode()

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"rates-0-rate": "100.01"}, "It cannot be more than 100 percent."),
            ({"rates-0-rate": "-1"}, "Write it without a minus sign."),
            ({"rates-0-rate": "abc"}, "Write a number, such as 0.38."),
            ({"rates-0-rate": ""}, "Enter at least one rate."),
            ({"rates-1-cap": "5"}, "Enter the rate, or empty the row."),
            ({"rates-0-cap": "1", "rates-0-least": "2"}, "The cap is below the least fee."),
            ({"rates-0-from_amount": "5"}, "must begin at ¥0.00"),
            ({"valid_until": "2025-12-31"}, "The last day lies before the first."),
            ({"signed_on": "2099-01-01"}, "This day is still to come."),
            ({"fee_back": "part"}, "Say how much of it comes back."),
            ({"payment_limit": "100", "day_limit": "50"}, "One payment may be more than the whole day."),
            ({"expected": "7"}, "Somebody entered another version meanwhile."),
            ({"service": ""}, "Name what was signed."),
        ],
    )  # fmt: skip
    @time_machine.travel(NOW, tick=False)
    def test_what_is_typed_wrong_is_said_where_it_stands(
        self, shop: Shop, account: PlatformAccount, changes: dict[str, str], words: str
    ) -> None:
        response = self.client(shop).post(
            self.url(shop, "agreement_change", account.pk), self.typed(**changes)
        )
        assert response.status_code == 422
        assert words in response.content.decode()
        with inside(shop):
            assert not Agreement.objects.exists()

    def test_papers(
        self, shop: Shop, account: PlatformAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = self.client(shop)
        upload = self.url(shop, "paper_upload", account.pk)
        lying = SimpleUploadedFile("a.pdf", picture("PNG"))
        response = client.post(upload, {"file": lying})
        assert response.status_code == 422
        assert "By its name this file is not PNG" in response.content.decode()
        content = pdf(2)
        assert (
            client.post(upload, {"file": SimpleUploadedFile("a.pdf", content)}).status_code == 302
        )
        with inside(shop):
            document = AgreementDocument.objects.get()
        file = client.get(self.url(shop, "paper_download", document.pk))
        assert b"".join(file.streaming_content) == content  # type: ignore[attr-defined]
        assert file["Content-Disposition"].startswith("attachment")
        assert file["X-Content-Type-Options"] == "nosniff"
        # Its length is judged before the body is read.
        huge = client.post(
            upload,
            b"",
            content_type="multipart/form-data; boundary=x",
            CONTENT_LENGTH=str(100 * 1024**2),
        )
        assert huge.status_code == 422
        assert "larger than 20 MB" in huge.content.decode()
        monkeypatch.setattr(papers, "MOST_BYTES", 10)
        with pytest.raises(PaperRefused):
            judge_paper(content, filename="a.pdf")

    def test_ticks_keep_who_and_when(self, shop: Shop, account: PlatformAccount) -> None:
        client = self.client(shop)
        before = self.url(shop, "before_tick", "wechatpay")
        assert client.post(before, {"item": "rate", "done": "1", "note": "0.38"}).status_code == 302
        assert client.post(before, {"item": "nothing"}).status_code == 404
        mine = self.url(shop, "agreement_tick", account.pk)
        assert client.post(mine, {"item": "term", "done": "1"}).status_code == 302
        assert client.post(mine, {"item": "term"}).status_code == 302
        with inside(shop):
            own = found.ticks_of(platform="wechatpay", account=account)
            assert own["term"].is_done is False
            assert found.ticks_of(platform="wechatpay", account=None)["rate"].note == "0.38"
            assert ChecklistTick.objects.count() == 3
        assert "0.38" in client.get(self.url(shop, "before_signing", "wechatpay")).content.decode()

    def test_reading_is_not_changing(self, shop: Shop, account: PlatformAccount) -> None:
        reader = self.client(shop, "auditor")
        assert reader.get(self.url(shop, "agreement_detail", account.pk)).status_code == 200
        assert reader.get(self.url(shop, "agreement_change", account.pk)).status_code == 403
        assert reader.post(self.url(shop, "agreement_tick", account.pk)).status_code == 403
        cashier = self.client(shop, "cashier")
        assert cashier.get(self.url(shop, "agreement_list")).status_code == 403


def test_an_unknown_item_is_no_tick(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop), pytest.raises(LookupError):
        tick(
            platform="wechatpay", account_id=None, item="x", is_done=True, note="", member=None,
            actor=ACTOR, now=NOW,
        )  # fmt: skip
