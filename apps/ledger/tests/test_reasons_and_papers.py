"""Reason codes and papers of adjustments, and undoing one at the same moment."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import translation
from PIL import Image

from apps.approvals.services import Stale, decide
from apps.approvals.subjects import subject_for
from apps.core.models import AuditEvent
from apps.core.money import Money
from apps.core.papers import PaperRefused
from apps.core.tenancy import enter_scope
from apps.ledger import selectors, services
from apps.ledger.models import (
    Adjustment,
    AdjustmentPaper,
    AdjustmentReason,
    AdjustmentState,
    JournalEntry,
    PaperPiece,
    ReasonCode,
)
from apps.ledger.services import HandedIn, NotReversible, ReasonRefused, adjusting, damaged_paper
from apps.ledger.tests.books import DESK, adjust
from apps.ledger.tests.test_views import filled
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop

THREADS = 5


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


def png(width: int = 3) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, 2), "white").save(out, "PNG")
    return out.getvalue()


def url(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"ledger:{name}", args=[shop.slug, *args])


def own(shop: Shop, code: str = "KF-01", name: str = "客诉赔付") -> ReasonCode:
    return services.add_reason(code=code, name=name, member=shop["finance"], actor=DESK, now=NOW)


def offered(shop: Shop, code: str, on: bool) -> None:
    services.offer_reason(code=code, offered=on, member=shop["finance"], actor=DESK, now=NOW)


class TestReasons:
    def test_own_codes_are_used_filtered_by_and_kept(self, shop: Shop) -> None:
        own(shop)
        adjustment = adjust(shop, reason="KF-01")
        adjust(shop)
        offered(shop, "KF-01", False)
        assert selectors.reason_words("KF-01") == "KF-01 · 客诉赔付"
        page = selectors.page_adjustments(selectors.AdjustmentFilters(reason="KF-01"))
        assert [row.pk for row in page.rows] == [adjustment.pk]
        assert [r.is_active for r in selectors.list_reasons() if r.is_own] == [False]

    def test_every_adjustment_needs_a_known_one(self, shop: Shop) -> None:
        for wrong in ("", "nobody", "KF-01"):
            with pytest.raises(ReasonRefused, match="unknown"):
                adjust(shop, reason=wrong)
        assert not Adjustment.objects.exists()

    @pytest.mark.parametrize(
        ("code", "name", "why"),
        [
            ("", "x", "code"),
            ("-a", "x", "code"),
            ("a b", "x", "code"),
            ("码", "x", "code"),
            ("a" * 17, "x", "code"),
            ("Rounding", "x", "taken"),
            ("kf-01", "x", "taken"),
            ("KF-02", "  ", "name"),
        ],
    )
    def test_bad_codes(self, shop: Shop, code: str, name: str, why: str) -> None:
        own(shop)
        with pytest.raises(ReasonRefused, match=why):
            own(shop, code, name)
        assert ReasonCode.objects.count() == 1

    def test_one_stays_offered_and_the_same_twice_changes_nothing(self, shop: Shop) -> None:
        last, *others = [reason.value for reason in AdjustmentReason]
        for code in others:
            offered(shop, code, False)
            offered(shop, code, False)
        with pytest.raises(ReasonRefused, match="last"):
            offered(shop, last, False)
        with pytest.raises(ReasonRefused, match="unknown"):
            offered(shop, "KF-01", False)
        assert AuditEvent.objects.filter(action="reason.changed").count() == len(others)
        # Callers inside the portal still book by them: only people are not offered them.
        assert adjust(shop, reason=others[0]).reason == others[0]


class TestPapers:
    def test_they_are_sealed_signed_and_read(self, shop: Shop) -> None:
        content = png()
        adjustment = adjust(
            shop, papers=[HandedIn("小票.png", content), HandedIn("b.png", content)]
        )
        paper = AdjustmentPaper.objects.get()
        assert (paper.filename, paper.sha256) == ("小票.png", hashlib.sha256(content).hexdigest())
        assert content not in b"".join(bytes(row.sealed) for row in PaperPiece.objects.all())
        _paper, pieces = services.read_paper(
            adjustment_id=adjustment.pk, paper_id=paper.pk, actor=DESK, now=NOW
        )
        assert b"".join(pieces) == content
        assert damaged_paper() == ""

    def test_large_ones_are_in_pieces(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("apps.ledger.services.papers._PIECE", 20)
        adjustment = adjust(shop, papers=[HandedIn("a.png", png())])
        assert PaperPiece.objects.count() > 2
        _paper, pieces = services.read_paper(
            adjustment_id=adjustment.pk,
            paper_id=AdjustmentPaper.objects.get().pk,
            actor=DESK,
            now=NOW,
        )
        assert b"".join(pieces) == png()

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("a.png", b"", "empty"),
            ("a.png", b"MZ\x90\0", "by its content this is none"),
            ("a.pdf", png(), "By its name"),
            ("a.png", png()[:-10], "damaged"),
            ("a.png", png() + b"\0" * (10 * 1024 * 1024), "larger than 10 MB"),
        ],
    )
    def test_refused_ones_leave_nothing(
        self, shop: Shop, name: str, content: bytes, words: str
    ) -> None:
        with translation.override("en"), pytest.raises(PaperRefused, match=f"a\\.p.*{words}"):
            adjust(shop, papers=[HandedIn("ok.png", png()), HandedIn(name, content)])
        assert (Adjustment.objects.count(), AdjustmentPaper.objects.count()) == (0, 0)

    def test_too_many(self, shop: Shop) -> None:
        with translation.override("en"), pytest.raises(PaperRefused, match="At most 5"):
            adjust(shop, papers=[HandedIn("a.png", png(n)) for n in range(1, 7)])

    @pytest.mark.parametrize("waits", [True, False])
    def test_afterwards_the_database_takes_no_other_and_changes_none(
        self, shop: Shop, waits: bool
    ) -> None:
        adjustment = adjust(shop, papers=[HandedIn("a.png", png())], confirm=waits)
        paper = AdjustmentPaper.objects.get()
        for statement in (
            "UPDATE ledger_adjustmentpaper SET filename = 'x'",
            "DELETE FROM ledger_paperpiece",
            "UPDATE ledger_paperpiece SET sealed = ''",
        ):
            with (
                pytest.raises(DatabaseError, match="append-only"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
        with pytest.raises(DatabaseError, match="no more papers"), transaction.atomic():
            AdjustmentPaper.objects.create(
                adjustment=adjustment, filename="b.png", kind="png", sha256="0" * 64,
                byte_count=1, page_count=1, created_at=NOW,
            )  # fmt: skip
        with pytest.raises(DatabaseError, match="no more pieces"), transaction.atomic():
            PaperPiece.objects.create(paper=paper, number=9, sealed=b"x")

    def test_another_paper_voids_the_confirmation(self, shop: Shop) -> None:
        adjustment = adjust(shop, papers=[HandedIn("a.png", png())])
        seen = subject_for("adjustment").digest(adjustment.pk)
        check_now()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ledger_adjustmentpaper DISABLE TRIGGER append_only")
            cursor.execute("UPDATE ledger_adjustmentpaper SET sha256 = repeat('0', 64)")
        assert "its bytes are others" in damaged_paper()
        with pytest.raises(Stale):
            decide(
                approval_id=adjustment.approval_id or 0, member=shop["owner"],
                permissions=permissions_of("owner", all_stores=True), approved=True, digest=seen,
                reason="", second_factor=False, actor=DESK, now=NOW,
            )  # fmt: skip
        adjustment.refresh_from_db()
        assert adjustment.state == AdjustmentState.CANCELLED

    def test_without_papers_the_digest_is_as_before_there_were_any(self, shop: Shop) -> None:
        bare, with_one = adjust(shop), adjust(shop, papers=[HandedIn("a.png", png())])
        AdjustmentPaper.objects.all()
        assert services.adjustment_digest(bare) == subject_for("adjustment").digest(bare.pk)
        assert services.adjustment_digest(with_one) != services.adjustment_digest(bare)


class TestPages:
    def test_an_adjustment_with_a_paper(self, client: Client, shop: Shop) -> None:
        own(shop)
        client.force_login(shop["finance"])
        sent = filled(reason="KF-01") | {
            "papers": [SimpleUploadedFile("收据.png", png()), SimpleUploadedFile("b.png", png(9))]
        }
        answer = client.post(url("adjustment_create", shop), sent)
        adjustment = Adjustment.objects.get()
        assert answer.status_code == 302
        # The same form once more makes nothing.
        client.post(url("adjustment_create", shop), filled(reason="KF-01"))
        assert (Adjustment.objects.count(), AdjustmentPaper.objects.count()) == (1, 2)
        page = client.get(
            url("adjustment_detail", shop, adjustment.pk), HTTP_ACCEPT_LANGUAGE="en"
        ).content.decode()
        assert "KF-01 · 客诉赔付" in page
        assert "收据.png" in page
        paper = AdjustmentPaper.objects.order_by("pk")[0]
        got = client.get(url("paper_download", shop, adjustment.pk, paper.pk))
        assert b"".join(got.streaming_content) == png()  # type: ignore[attr-defined]
        assert got["Content-Disposition"].startswith("attachment")
        assert client.get(url("paper_download", shop, adjustment.pk, 999)).status_code == 404
        assert AuditEvent.objects.filter(action="adjustment.paper_read").count() == 1
        with translation.override("en"):
            facts = dict(
                subject_for("adjustment").describe(adjustment.approval, slug=shop.slug).facts
            )
        assert "SHA-256" in facts["Paper"]

    def test_a_bad_paper_gets_a_sentence(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["finance"])
        answer = client.post(
            url("adjustment_create", shop),
            filled() | {"papers": SimpleUploadedFile("a.pdf", b"<html>")},
            HTTP_ACCEPT_LANGUAGE="en",
        )
        assert answer.status_code == 422
        assert "a.pdf: Only PDF, JPEG and PNG files are kept" in answer.content.decode()
        huge = client.post(url("adjustment_create", shop), filled(), CONTENT_LENGTH=10**9)
        assert huge.status_code == 302
        assert not Adjustment.objects.exists()

    def test_the_list_of_codes(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["finance"])
        page = url("reason_list", shop)
        assert client.post(page, {"code": "KF-01", "name": "赔"}).status_code == 302
        wrong = client.post(page, {"code": "kf-01", "name": "赔"}, HTTP_ACCEPT_LANGUAGE="en")
        assert wrong.status_code == 422
        assert "such a code already" in wrong.content.decode()
        off = client.post(url("reason_offer", shop), {"code": "fee"})
        assert off.status_code == 302
        form = client.get(url("adjustment_create", shop)).content.decode()
        assert 'value="KF-01"' in form
        assert 'value="fee"' not in form
        assert client.post(url("reason_offer", shop), {"code": "nobody"}).status_code == 404
        gone = client.post(url("adjustment_create", shop), filled(reason="fee"))
        assert gone.status_code == 422
        client.force_login(shop["auditor"])
        assert client.get(page).status_code == 200
        assert client.post(page, {"code": "X", "name": "x"}).status_code == 403
        assert client.post(url("reason_offer", shop), {"code": "bank"}).status_code == 403


def together(work: Callable[[], object]) -> list[str]:
    """``work`` in all threads at once; what each raised, "" for none."""
    start = threading.Barrier(THREADS)
    outcomes: list[str] = []

    def run() -> None:
        try:
            start.wait(10)
            work()
            outcomes.append("")
        except NotReversible as error:
            outcomes.append(error.reason)
        except IntegrityError:
            outcomes.append("IntegrityError")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(outcomes)


@pytest.mark.django_db(transaction=True)
class TestUndoingAtOnce:
    @pytest.mark.parametrize("locked", [True, False])
    def test_once(self, locked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the lock one wins and the others read a sentence; without it each believes that it is the first, and only the
        table's key still holds.
        """
        shop = make_shop()
        with enter_scope(shop.scope):
            services.set_limit(limit=Money(1_000), member=None, actor=DESK, now=NOW)
            first = adjust(shop)
        looked = threading.Barrier(THREADS)

        def unlocked(adjustment: Adjustment) -> Adjustment | None:
            found = selectors.reversal_of(adjustment)
            looked.wait(10)
            return found

        def held(pk: int) -> Adjustment:
            return Adjustment.objects.get(pk=pk)

        if not locked:
            monkeypatch.setattr(adjusting, "hold_adjustment", held)
            monkeypatch.setattr(adjusting, "reversal_of", unlocked)

        def undo() -> None:
            with enter_scope(shop.scope):
                services.reverse_adjustment(
                    adjustment_id=first.pk, memo="x", member=shop["owner"], actor=DESK, now=NOW
                )

        others = "reversed" if locked else "IntegrityError"
        assert together(undo) == ["", *[others] * (THREADS - 1)]
        with enter_scope(shop.scope):
            undoing = Adjustment.objects.get(reverses=first)
            assert selectors.reversal_of(first) == undoing
            assert undoing.reverses_id == first.pk
            assert JournalEntry.objects.count() == 2
