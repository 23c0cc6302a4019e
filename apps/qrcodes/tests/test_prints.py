"""Files for a print shop: each decodes to its own code, a worker that dies loses nothing, what would not scan is named."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.translation import override

from apps.core.models import Due
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Role, Store
from apps.merchants.tests.teams import ACTOR, NOW, make_member, make_merchant, make_store
from apps.qrcodes.artwork import FORMATS, PLAIN
from apps.qrcodes.batches import Row
from apps.qrcodes.bulkwords import undrawn
from apps.qrcodes.models import PrintFile, PrintJob, PrintState, QRCode
from apps.qrcodes.selectors import get_print, link_of, list_prints, used_bytes
from apps.qrcodes.services import (
    DRAW,
    FORGET,
    MOST_KEPT,
    CodeRefused,
    PrintWish,
    cancel_print,
    change_design,
    create_design,
    draw_prints,
    files_of,
    forget_print,
    make_batch,
    start_print,
)
from apps.qrcodes.services import prints as service
from apps.qrcodes.services.print_lists import LIST_NAME
from apps.qrcodes.terms import CodeTerms
from apps.qrcodes.tests.artwork_judge import decode, rasterise_pdf

pytestmark = pytest.mark.django_db


def _codes(store: Store, *names: str) -> list[int]:
    rows = [
        Row(line, CodeTerms(store_id=store.pk, name=name), kind="table")
        for line, name in enumerate(names, start=1)
    ]
    batch = make_batch(rows, nonce=f"{store.pk}-{len(names)}", actor=ACTOR, now=NOW)
    return list(batch.codes.order_by("pk").values_list("pk", flat=True))


def _start(ids: list[int], **changes: Any) -> PrintJob:
    wish = {"file": "pdf", "form": "A6", "language": "both"} | changes
    return start_print(
        ids,
        PrintWish(**wish),
        nonce=" ".join(str(value) for value in wish.values()),
        actor=ACTOR,
        now=NOW,
    )


def _drawn(job: PrintJob) -> PrintJob:
    while draw_prints(job_id=job.pk, now=NOW) is not None:
        pass
    return PrintJob.objects.get(pk=job.pk)


def _read_pdf(content: bytes, tmp_path: Path) -> list[str]:
    return [text for page in rasterise_pdf(content, tmp_path, dpi=150) for text in decode(page)]


@pytest.fixture
def place() -> Any:
    merchant, _owner, store = make_merchant()
    with enter_scope(Scope(merchant.pk)):
        yield merchant, store


Place = tuple[Merchant, Store]


def test_each_file_holds_its_own_code_under_a_name_that_says_it(
    place: Place, tmp_path: Path
) -> None:
    _merchant, store = place
    ids = _codes(store, "桌号 1", "VIP/包间: *", "桌号 3")
    job = _drawn(_start(ids))
    assert (job.state, job.done, job.problems) == (PrintState.READY, 3, [])
    codes = {code.pk: code for code in QRCode.objects.all()}
    files = list(files_of(job))
    assert len(files) == 4
    for code_id, (name, content) in zip(ids, files, strict=False):
        assert _read_pdf(content, tmp_path) == [link_of(codes[code_id])]
        assert codes[code_id].token in name
    assert files[0][0].startswith("0001_中山路店_桌号-1_A6-105x148mm_")
    assert files[1][0].startswith("0002_中山路店_VIP-包间_A6-105x148mm_")
    name, listing = files[3]
    rows = list(csv.DictReader(io.StringIO(listing.decode("utf-8-sig"))))
    assert name == LIST_NAME
    assert [row["链接"] for row in rows] == [link_of(codes[code_id]) for code_id in ids]
    assert [row["文件"] for row in rows] == [file for file, _content in files[:3]]


@pytest.mark.parametrize(
    ("spoken", "heading"),
    [
        ("zh-hans", ["序号", "文件", "门店", "名称", "英文名称", "收款码编号", "链接"]),
        ("en", ["No.", "File", "Store", "Name", "English name", "Code number", "Link"]),
        ("xx", ["序号", "文件", "门店", "名称", "英文名称", "收款码编号", "链接"]),
    ],
)
def test_the_list_is_headed_in_the_language_of_whoever_asked(
    place: Place, spoken: str, heading: list[str]
) -> None:
    _merchant, store = place
    wish = PrintWish(file="svg", form="A6", language="both")
    ids = _codes(store, "=1+1")
    job = start_print(ids, wish, nonce="n", actor=ACTOR, now=NOW, spoken=spoken)
    *_drawings, (name, content) = files_of(_drawn(job))
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert name == LIST_NAME
    assert rows[0] == heading
    assert rows[1][3] == "'=1+1"


class TestRoom:
    """What is kept of a merchant's files has a ceiling; the oldest go first."""

    def _finished(self, size: int, *, ids: list[int], nonce: str) -> PrintJob:
        """A job that was drawn, with one file of so many bytes."""
        wish = PrintWish(file="svg", form="A6", language="en")
        job = start_print(ids, wish, nonce=nonce, actor=ACTOR, now=NOW)
        PrintFile(job=job, position=0, name="a.svg", content=b"x" * size).save()
        PrintJob.objects.filter(pk=job.pk).update(state=PrintState.READY, size=size, done=1)
        return PrintJob.objects.get(pk=job.pk)

    def _states(self) -> list[str]:
        return list(PrintJob.objects.order_by("pk").values_list("state", flat=True))

    def test_the_oldest_files_go_when_there_are_too_many_bytes(
        self, place: Place, settings: Any
    ) -> None:
        ids = _codes(place[1], "a")
        settings.PRINT_KEPT_BYTES = 60_000
        old = [self._finished(20_000, ids=ids, nonce=f"{number}") for number in range(3)]
        new = _drawn(_start(ids, file="svg"))
        assert new.state == PrintState.READY
        assert new.size == sum(len(content) for _name, content in files_of(new))
        assert self._states() == ["gone", "ready", "ready", "ready"]
        kept = PrintFile.objects.values_list("job_id", flat=True).distinct()
        assert set(kept) == {old[1].pk, old[2].pk, new.pk}
        assert used_bytes() == sum(len(file.content) for file in PrintFile.objects.all()) <= 60_000

    def test_the_oldest_files_go_when_there_are_too_many_jobs(self, place: Place) -> None:
        ids = _codes(place[1], "a")
        for number in range(MOST_KEPT):
            self._finished(1, ids=ids, nonce=f"{number}")
        _drawn(_start(ids, file="svg"))
        assert self._states() == ["gone", *["ready"] * MOST_KEPT]

    def test_a_job_that_is_too_large_by_itself_is_refused_and_costs_no_other(
        self, place: Place, settings: Any
    ) -> None:
        ids = _codes(place[1], "a", "b")
        old = self._finished(100, ids=ids, nonce="old")
        settings.PRINT_KEPT_BYTES = 1_000
        job = _drawn(_start(ids, file="svg"))
        assert (job.state, job.size) == (PrintState.REFUSED, 0)
        assert [one["why"] for one in job.problems] == ["too_large"]
        with override("en"):
            assert undrawn(job)[0]["words"].startswith("The files would take more than 0 MB")
        assert list(PrintFile.objects.values_list("job_id", flat=True)) == [old.pk]

    def test_what_is_being_drawn_counts_and_is_let_alone(self, place: Place, settings: Any) -> None:
        ids = _codes(place[1], "a")
        drawing = self._finished(50_000, ids=ids, nonce="drawing")
        PrintJob.objects.filter(pk=drawing.pk).update(state=PrintState.RUNNING)
        settings.PRINT_KEPT_BYTES = 50_500
        job = _drawn(_start(ids, file="svg"))
        assert job.state == PrintState.REFUSED
        assert PrintFile.objects.filter(job=drawing).exists()

    def test_it_costs_the_same_statements_whatever_is_kept(self, place: Place) -> None:
        ids = _codes(place[1], "a")
        counts = []
        for many in (0, 15):
            for number in range(many):
                self._finished(1, ids=ids, nonce=f"{number}")
            job = _start(ids, file="svg", language="zh-hans" if many else "en")
            with CaptureQueriesContext(connection) as asked:
                _drawn(job)
            counts.append(len(asked))
        assert counts[0] == counts[1]

    def test_another_merchants_files_do_not_count(self, settings: Any) -> None:
        settings.PRINT_KEPT_BYTES = 50_500
        one, _owner, theirs = make_merchant()
        other, _owner, ours = make_merchant()
        with enter_scope(Scope(one.pk)):
            self._finished(50_000, ids=_codes(theirs, "a"), nonce="theirs")
        with enter_scope(Scope(other.pk)):
            assert _drawn(_start(_codes(ours, "a"), file="svg")).state == PrintState.READY
        with enter_scope(Scope(one.pk)):
            assert self._states() == ["ready"]

    def test_the_pages_say_so(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            job = self._finished(1_500_000, ids=_codes(store, "a"), nonce="n")
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
        client.force_login(owner)
        listed = client.get(reverse("qrcodes:print_list", args=[merchant.slug])).content.decode()
        assert "The newest 20 jobs and 500 MB are kept; older files go first. Now: 2 MB." in listed
        with enter_scope(Scope(merchant.pk)):
            PrintJob.objects.filter(pk=job.pk).update(state=PrintState.GONE, size=0)
        page = client.get(reverse("qrcodes:print_detail", args=[merchant.slug, job.pk]))
        assert "The files made room for newer ones" in page.content.decode()
        zip_url = reverse("qrcodes:print_download", args=[merchant.slug, job.pk])
        assert client.get(zip_url).status_code == 302


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_decodes_in_a_book(place: Place, form: str, tmp_path: Path) -> None:
    _merchant, store = place
    ids = _codes(store, "a", "b", "c")
    job = _drawn(_start(ids, file="book", form=form))
    files = list(files_of(job))
    assert len(files) == 2
    assert files[0][0].endswith("_3.pdf")
    links = {link_of(code) for code in QRCode.objects.all()}
    assert set(_read_pdf(files[0][1], tmp_path)) == links


def test_a_worker_that_dies_loses_no_file_and_draws_none_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _merchant, store = place
    ids = _codes(store, "a", "b", "c")
    job = _start(ids)
    monkeypatch.setattr(service, "_SECONDS", 0)
    assert draw_prints(job_id=job.pk, now=NOW) == NOW
    first = PrintFile.objects.get(job=job)
    job.refresh_from_db()
    assert job.done == 1
    # The same stretch again, as a worker would whose lease ran out while another went on.
    stale = PrintJob.objects.get(pk=job.pk)
    stale.done = 0
    merchant = Merchant.objects.get(pk=job.merchant_id)
    service._draw_next(stale, PLAIN, merchant=merchant, now=NOW)
    assert PrintFile.objects.get(job=job) == first
    job = _drawn(job)
    assert list(job.files.order_by("position").values_list("position", flat=True)) == [0, 1, 2, 3]


def test_what_cannot_be_printed_is_named_and_the_others_are_drawn(place: Place) -> None:
    _merchant, store = place
    ids = _codes(store, "a", "\U0001f600", "长" * 60)
    job = _drawn(_start(ids, form="A6"))
    assert job.state == PrintState.READY
    assert [(one["code"], one["why"]) for one in job.problems] == [
        (ids[1], "unprintable"),
        (ids[2], "too_long"),
    ]
    fine = PLAIN.__class__(level="H")
    design = create_design(name="x", design=fine, actor=ACTOR, now=NOW)
    # Thirty millimetres are too narrow for the densest code with a long link; whatever the reason, each code has one.
    job = _drawn(_start(ids[:1], form="square-30", design_id=design.pk))
    assert job.done == 1
    assert (job.state == PrintState.READY) != bool(job.problems)


def test_a_design_changed_meanwhile_ends_the_job(place: Place) -> None:
    _merchant, store = place
    ids = _codes(store, "a")
    design = create_design(name="x", design=PLAIN, actor=ACTOR, now=NOW)
    job = _start(ids, design_id=design.pk)
    change_design(
        design_id=design.pk,
        name="y",
        design=PLAIN,
        actor=ACTOR,
        now=NOW + timedelta(minutes=1),
    )
    job = _drawn(job)
    assert (job.state, job.problems[0]["why"]) == (PrintState.REFUSED, "design")
    assert not job.files.exists()


def test_cancelling_throws_away_what_was_drawn(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _merchant, store = place
    job = _start(_codes(store, "a", "b"))
    monkeypatch.setattr(service, "_SECONDS", 0)
    draw_prints(job_id=job.pk, now=NOW)
    assert cancel_print(job_id=job.pk, actor=ACTOR, now=NOW)
    assert draw_prints(job_id=job.pk, now=NOW) is None
    assert not PrintFile.objects.exists()
    assert not cancel_print(job_id=job.pk, actor=ACTOR, now=NOW)


def test_it_is_due_work_and_is_forgotten_after_a_week(place: Place) -> None:
    _merchant, store = place
    job = _start(_codes(store, "a"))
    dues = dict(Due.objects.filter(subject_id=job.pk).values_list("task", "due_at"))
    assert dues == {DRAW: NOW, FORGET: NOW + timedelta(days=7)}
    _drawn(job)
    forget_print(job_id=job.pk)
    forget_print(job_id=job.pk)
    assert not PrintJob.objects.exists()
    assert QRCode.objects.count() == 1


def test_sent_twice_it_is_one_job_and_too_many_at_once_are_refused(place: Place) -> None:
    _merchant, store = place
    ids = _codes(store, "a")
    assert _start(ids).pk == _start(ids).pk
    for form in ("A5", "A4", "badge", "tent"):
        _start(ids, form=form)
    with pytest.raises(CodeRefused, match="jobs"):
        _start(ids, form="square-50")
    cancel_print(job_id=_start(ids).pk, actor=ACTOR, now=NOW)
    with pytest.raises(CodeRefused, match="missing"):
        _start([10**12], form="square-40")


def test_a_member_of_some_stores_prints_only_theirs_and_sees_only_his_own_jobs(
    place: Place,
) -> None:
    merchant, store = place
    other = make_store(merchant)
    mine, theirs = _codes(store, "a"), _codes(other, "b", "c")
    job = _start([*mine, *theirs])
    assert job.code_ids == [*mine, *theirs]
    member = make_member(merchant, Role.MANAGER).user
    with enter_scope(Scope(merchant.pk, frozenset({store.pk}))):
        narrow = _start([*mine, *theirs], form="A5")
        assert narrow.code_ids == mine
        assert list_prints(member_id=member.pk) == []
        with pytest.raises(PrintJob.DoesNotExist):
            get_print(job.pk, member_id=member.pk)


class TestPages:
    def test_from_the_list_to_the_zip(self, client: Client, tmp_path: Path) -> None:
        merchant, owner, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            ids = _codes(store, "桌号 1", "桌号 2")
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
        client.force_login(owner)
        acts = reverse("qrcodes:act_create", args=[merchant.slug])
        page = client.post(acts, {"kind": "print", "code": ids})
        assert page.context["count"] == 2
        data = {"paper": "A6", "file": "svg", "language": "en", "design": "", "nonce": "n"}
        prints = reverse("qrcodes:print_create", args=[merchant.slug])
        wrong = client.post(prints, data | {"ids": page.context["ids"], "paper": "A9", "sure": "1"})
        assert wrong.status_code == 422
        done = client.post(prints, data | {"ids": page.context["ids"], "sure": "1"})
        running = client.get(done["Location"])
        assert running.context["under_way"]
        job_id = running.context["job"].pk
        zip_url = reverse("qrcodes:print_download", args=[merchant.slug, job_id])
        assert client.get(zip_url).status_code == 302
        with enter_scope(Scope(merchant.pk)):
            draw_prints(job_id=job_id, now=NOW)
        assert "2 codes are drawn" in client.get(done["Location"]).content.decode()
        response = client.get(zip_url)
        content = b"".join(response.streaming_content)  # type: ignore[attr-defined]
        archive = zipfile.ZipFile(io.BytesIO(content))
        assert archive.testzip() is None
        names = [Path(name).name for name in archive.namelist()]
        assert [name.rsplit("_", 1)[0] for name in names[:2]] == [
            "0001_中山路店_桌号-1",
            "0002_中山路店_桌号-2",
        ]
        assert names[2] == LIST_NAME
        rows = archive.read(archive.namelist()[2]).decode("utf-8-sig")
        assert rows.startswith("No.,File,Store,")
        assert client.get(reverse("qrcodes:print_list", args=[merchant.slug])).status_code == 200
        client.post(reverse("qrcodes:print_delete", args=[merchant.slug, job_id]))
        assert client.get(done["Location"]).status_code == 404

    def test_nothing_chosen_leads_back(self, client: Client) -> None:
        merchant, owner, _store = make_merchant()
        client.force_login(owner)
        prints = reverse("qrcodes:print_create", args=[merchant.slug])
        assert client.post(prints).status_code == 302
        assert client.get(prints).status_code == 302


def test_drawing_holds_no_lock_while_it_draws(place: Place) -> None:
    _merchant, store = place
    job = _start(_codes(store, "a"))
    seen: list[bool] = []
    original = service._content

    def watched(*args: Any) -> bytes:
        seen.append(connection.in_atomic_block and len(connection.savepoint_ids) > 0)
        return original(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "_content", watched)
        _drawn(job)
    assert seen == [False]
