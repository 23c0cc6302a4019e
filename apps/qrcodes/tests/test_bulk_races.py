"""Two at the same moment, with the lock and with the lock taken off: acts, undoing, batches, prints, folders, stores that close."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet as _QuerySet

from apps.core.models import AuditEvent
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Store, Terminal
from apps.merchants.services import (
    add_terminal,
    set_store_active,
    terminals,
    update_terminal,
)
from apps.merchants.tests.teams import ACTOR, NOW, make_merchant, make_store
from apps.qrcodes.batches import Row
from apps.qrcodes.models import (
    ActKind,
    CodeAct,
    CodeBatch,
    CodeFolder,
    PrintFile,
    PrintJob,
    PrintState,
    QRCode,
    Scenario,
)
from apps.qrcodes.services import (
    PrintWish,
    Wish,
    act_on_codes,
    acts,
    assign_terminal,
    batches,
    cancel_print,
    delete_folder,
    draw_prints,
    file_code,
    folder_named,
    folders,
    make_batch,
    print_room,
    prints,
    rename_folder,
    start_print,
    undo_act,
)
from apps.qrcodes.terms import CodeTerms

pytestmark = pytest.mark.django_db(transaction=True)
LATER = NOW + timedelta(hours=1)
#: Seconds that one waits for the other where a lock may keep the other away.
PATIENCE = 0.4

Place = tuple[Merchant, Store, list[int]]
Work = Callable[[], object]


class Meeting:
    """Where two that have looked wait for each other before they write. With the lock held the second never comes, and the first
    goes on after a while; without it both have seen the same."""

    def __init__(self, parties: int = 2) -> None:
        self._barrier = threading.Barrier(parties)
        self.met = 0

    def __call__(self) -> None:
        try:
            self._barrier.wait(PATIENCE)
            self.met += 1
        except threading.BrokenBarrierError:
            pass


def together(merchant: Merchant, *works: Work) -> list[str]:
    """Run these at once, each on a connection of its own; the name of what each raised, "" for none."""
    told = [""] * len(works)
    start = threading.Barrier(len(works))

    def run(place: int, work: Work) -> None:
        try:
            start.wait()
            with enter_scope(Scope(merchant.pk)):
                work()
        except Exception as error:  # noqa: BLE001  # what it was is what is asked
            told[place] = type(error).__name__
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=one) for one in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


@contextmanager
def after(module: Any, name: str, then: Callable[[], None]) -> Iterator[None]:
    """Let each caller of a function wait once it has its answer."""
    original = getattr(module, name)

    def waiting(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        then()
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, waiting)
        yield


@contextmanager
def unlocked() -> Iterator[None]:
    """No row is held any more: ``select_for_update`` only reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_QuerySet, "select_for_update", lambda self, **_how: self.all())
        yield


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _codes(store: Store, count: int, **more: Any) -> list[int]:
    batch = make_batch(_rows(store, count), nonce=f"codes-{store.pk}", actor=ACTOR, now=NOW, **more)
    return list(batch.codes.order_by("pk").values_list("pk", flat=True))


def _rows(store: Store, count: int) -> list[Row]:
    return [
        Row(number, CodeTerms(store_id=store.pk, name=f"桌号 {number}"), kind="table")
        for number in range(1, count + 1)
    ]


@pytest.fixture
def place() -> Place:
    merchant, _owner, store = make_merchant()
    with enter_scope(Scope(merchant.pk)):
        return merchant, store, _codes(store, 3)


def _act(ids: list[int], kind: ActKind, nonce: str, **wish: Any) -> CodeAct:
    return act_on_codes(ids, Wish(kind=kind, **wish), nonce=nonce, actor=ACTOR, now=LATER)


def _undo(act: CodeAct) -> CodeAct:
    return undo_act(act_id=act.pk, actor=ACTOR, now=LATER + timedelta(minutes=1))


class TestActs:
    def _two_labels(self, place: Place) -> list[set[str]]:
        merchant, _store, ids = place
        meet = Meeting()
        with after(acts, "_locked", meet):
            told = together(
                merchant,
                lambda: _act(ids, ActKind.LABEL, "1", labels=("夏",)),
                lambda: _act(ids[::-1], ActKind.LABEL, "2", labels=("冬",)),
            )
        assert told == ["", ""]
        with enter_scope(Scope(merchant.pk)):
            return [set(code.labels) for code in QRCode.objects.order_by("pk")]

    def test_two_acts_on_the_same_codes_lose_nothing_of_each_other(self, place: Place) -> None:
        assert self._two_labels(place) == [{"夏", "冬"}] * 3

    def test_without_the_lock_one_acts_labels_are_lost(self, place: Place) -> None:
        with unlocked():
            assert all(len(labels) == 1 for labels in self._two_labels(place))

    def _two_moves(self, place: Place) -> tuple[list[str], int]:
        merchant, _store, ids = place
        there, yonder = make_store(merchant), make_store(merchant)
        meet = Meeting()
        with after(acts, "_locked", meet):
            told = together(
                merchant,
                lambda: _act(ids, ActKind.STORE, "1", store_id=there.pk),
                lambda: _act(ids, ActKind.STORE, "2", store_id=yonder.pk),
            )
        with enter_scope(Scope(merchant.pk)):
            stores = set(QRCode.objects.values_list("store_id", flat=True))
            assert set(Scenario.objects.values_list("store_id", flat=True)) == stores
        return sorted(told), len(stores)

    def test_two_moves_at_once_go_one_after_the_other(self, place: Place) -> None:
        assert self._two_moves(place) == (["", ""], 1)

    def test_without_the_lock_both_make_the_same_version(self, place: Place) -> None:
        with unlocked():
            told, _stores = self._two_moves(place)
        assert told == ["", "IntegrityError"]

    def _act_while_undoing(self, place: Place) -> list[list[str]]:
        merchant, _store, ids = place
        with enter_scope(Scope(merchant.pk)):
            first = _act(ids, ActKind.LABEL, "1", labels=("夏",))
        meet = Meeting()
        with after(acts, "_locked", meet):
            together(
                merchant,
                lambda: _undo(first),
                lambda: _act(ids, ActKind.LABEL, "2", labels=("冬",)),
            )
        with enter_scope(Scope(merchant.pk)):
            second = CodeAct.objects.get(nonce="2")
            assert second.count == 3
            return [code.labels for code in QRCode.objects.order_by("pk")]

    def test_undoing_while_another_acts_takes_nothing_of_it_away(self, place: Place) -> None:
        """Undone first, only the later label is there; undone last, nothing is as the first act left it and both stay."""
        assert self._act_while_undoing(place) in ([["冬"]] * 3, [["夏", "冬"]] * 3)

    def test_without_the_lock_undoing_and_acting_overwrite_each_other(self, place: Place) -> None:
        with unlocked():
            labels = self._act_while_undoing(place)
        # The second act counts three codes as labelled and one of the two was overwritten: it lost its label, or the undone one is back.
        assert labels in ([[]] * 3, [["夏", "冬"]] * 3)
        with enter_scope(Scope(place[0].pk)):
            assert CodeAct.objects.get(nonce="1").undone_at is not None

    def _two_undos(self, place: Place) -> tuple[list[str], int]:
        merchant, _store, ids = place
        with enter_scope(Scope(merchant.pk)):
            act = _act(ids, ActKind.LABEL, "1", labels=("夏",))
        meet = Meeting()
        with after(acts, "_locked", meet):
            told = together(merchant, lambda: _undo(act), lambda: _undo(act))
        with enter_scope(Scope(merchant.pk)):
            return sorted(told), AuditEvent.objects.filter(action="code.restored").count()

    def test_undone_twice_at_once_it_is_undone_once(self, place: Place) -> None:
        assert self._two_undos(place) == (["", "CannotUndo"], 3)

    def test_without_the_lock_it_is_undone_and_told_twice(self, place: Place) -> None:
        with unlocked():
            assert self._two_undos(place) == (["", ""], 6)

    def test_one_form_sent_twice_at_once_is_one_act(self, place: Place) -> None:
        merchant, _store, ids = place
        pause = lambda: _act(ids, ActKind.PAUSE, "n", reason="x")  # noqa: E731  # said twice below
        assert together(merchant, pause, pause) == ["", ""]
        with enter_scope(Scope(merchant.pk)):
            assert CodeAct.objects.get().count == 3
            assert AuditEvent.objects.filter(action="code.paused").count() == 3

    def test_without_its_number_it_is_done_twice(self, place: Place) -> None:
        merchant, _store, ids = place
        with unlocked(), after(acts, "_locked", Meeting()):
            told = together(
                merchant,
                lambda: _act(ids, ActKind.PAUSE, "1"),
                lambda: _act(ids, ActKind.PAUSE, "2"),
            )
        assert told == ["", ""]
        with enter_scope(Scope(merchant.pk)):
            assert AuditEvent.objects.filter(action="code.paused").count() == 6


class TestStoresThatClose:
    def _close_meanwhile(
        self, place: Place, work: Work, module: Any, name: str
    ) -> tuple[str, bool]:
        """What the work says, and whether the store closed before the work was through."""
        merchant, store, _ids = place
        other = make_store(merchant)
        del store
        looked, closed = threading.Event(), threading.Event()
        before: list[bool] = []

        def wait() -> None:
            looked.set()
            before.append(closed.wait(PATIENCE))

        def close() -> None:
            looked.wait(5)
            set_store_active(store_id=other.pk, active=False, actor=ACTOR, now=NOW)
            closed.set()

        self.other = other
        with after(module, name, wait):
            told = together(merchant, work, close)
        assert told[1] == ""
        return told[0], any(before)

    def _move(self, place: Place) -> tuple[str, bool]:
        ids = place[2]
        return self._close_meanwhile(
            place,
            lambda: _act(ids, ActKind.STORE, "n", store_id=self.other.pk),
            acts,
            "_held_stores",
        )

    def test_a_store_waits_to_close_until_the_codes_are_there(self, place: Place) -> None:
        assert self._move(place) == ("", False)

    def test_without_the_lock_codes_move_into_a_closed_store(self, place: Place) -> None:
        with unlocked():
            assert self._move(place) == ("", True)

    def test_a_store_that_closed_first_takes_no_codes(self, place: Place) -> None:
        """The move waits for the closing, and then reads the row as it is."""
        merchant, store, ids = place
        other = make_store(merchant)
        holds = threading.Event()
        told: list[str] = []

        def move() -> None:
            holds.wait(5)
            _act(ids, ActKind.STORE, "n", store_id=other.pk)

        def close() -> None:
            with transaction.atomic():
                set_store_active(store_id=other.pk, active=False, actor=ACTOR, now=NOW)
                holds.set()
                threading.Event().wait(PATIENCE)

        told = together(merchant, move, close)
        assert told == ["CodeRefused", ""]
        with enter_scope(Scope(merchant.pk)):
            assert set(QRCode.objects.values_list("store_id", flat=True)) == {store.pk}
            assert not CodeAct.objects.exists()

    def _make(self, place: Place) -> tuple[str, bool]:
        return self._close_meanwhile(
            place,
            lambda: make_batch(_rows(self.other, 2), nonce="late", actor=ACTOR, now=NOW),
            batches,
            "check_terms",
        )

    def test_a_store_waits_to_close_until_a_batch_is_made(self, place: Place) -> None:
        assert self._make(place) == ("", False)

    def test_without_the_lock_a_batch_is_made_in_a_closed_store(self, place: Place) -> None:
        with unlocked():
            assert self._make(place) == ("", True)

    def _move_terminal_while_undoing(self, place: Place) -> list[str]:
        """Which of the two had written first."""
        merchant, store, ids = place
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            terminal = add_terminal(store_id=store.pk, name="收银台", actor=ACTOR, now=NOW)
            assign_terminal(code_id=ids[0], terminal_id=terminal.pk, actor=ACTOR, now=NOW)
            act = _act(ids, ActKind.STORE, "n", store_id=other.pk)
        looked, moved = threading.Event(), threading.Event()
        order: list[str] = []

        def wait() -> None:
            looked.set()
            moved.wait(PATIENCE)

        def move() -> None:
            looked.wait(5)
            known = {"name": "收银台", "brand": "", "model_name": "", "serial_no": "", "note": ""}
            update_terminal(
                terminal_id=terminal.pk, store_id=other.pk, **known, actor=ACTOR, now=NOW
            )
            moved.set()

        with (
            after(acts, "_held_terminals", wait),
            after(acts, "_repoint", lambda: order.append("back")),
            after(terminals, "_save", lambda: order.append("moved")),
        ):
            assert together(merchant, lambda: _undo(act), move) == ["", ""]
        return order

    def test_a_terminal_waits_to_move_until_its_code_is_back(self, place: Place) -> None:
        """What a moved terminal means for codes that it has is said by ``checkout.change_terminal``, which then sees the code."""
        assert self._move_terminal_while_undoing(place) == ["back", "moved"]

    def test_without_the_lock_a_code_comes_back_with_a_terminal_that_is_gone(
        self, place: Place
    ) -> None:
        with unlocked():
            assert self._move_terminal_while_undoing(place) == ["moved", "back"]
        with enter_scope(Scope(place[0].pk)):
            code = QRCode.objects.get(terminal__isnull=False)
            home = Terminal.objects.values_list("store_id", flat=True).get()
            assert home != code.store_id


class TestBatches:
    def test_confirmed_twice_at_once_a_batch_is_made_once(self, place: Place) -> None:
        merchant, _store, _ids = place
        other = make_store(merchant)
        make = lambda: make_batch(_rows(other, 20), nonce="n", actor=ACTOR, now=NOW)  # noqa: E731  # said twice below
        assert together(merchant, make, make) == ["", ""]
        with enter_scope(Scope(merchant.pk)):
            assert QRCode.objects.filter(store=other).count() == 20

    def _same_names(self, place: Place, *, new_folder: str = "") -> tuple[list[str], int]:
        merchant, _store, _ids = place
        other = make_store(merchant)
        with after(batches, "taken_flaws", Meeting()):
            told = together(
                merchant,
                *(
                    lambda nonce=nonce: make_batch(
                        _rows(other, 5), nonce=nonce, new_folder=new_folder, actor=ACTOR, now=NOW
                    )
                    for nonce in ("a", "b")
                ),
            )
        with enter_scope(Scope(merchant.pk)):
            assert CodeFolder.objects.count() == bool(new_folder)
            return sorted(told), QRCode.objects.filter(store=other).count()

    def test_two_batches_with_the_same_names_make_each_name_once(self, place: Place) -> None:
        assert self._same_names(place) == (["", "BatchRefused"], 5)
        with enter_scope(Scope(place[0].pk)):
            assert CodeBatch.objects.count() == 2

    def test_two_batches_into_one_new_folder_share_it(self, place: Place) -> None:
        assert self._same_names(place, new_folder="露台") == (["", "BatchRefused"], 5)

    def test_without_the_lock_every_name_is_there_twice(self, place: Place) -> None:
        with unlocked():
            assert self._same_names(place) == (["", ""], 10)


class TestFolders:
    def _deleted_meanwhile(self, place: Place, put: Callable[[int], object]) -> list[str]:
        merchant, _store, _ids = place
        with enter_scope(Scope(merchant.pk)):
            folder = folder_named("露台", actor=ACTOR, now=NOW)
        looked, deleted = threading.Event(), threading.Event()

        def wait() -> None:
            looked.set()
            deleted.wait(PATIENCE)

        def delete() -> None:
            looked.wait(5)
            delete_folder(folder_id=folder.pk, actor=ACTOR, now=NOW)
            deleted.set()

        with after(folders, "held_folder", wait):
            told = together(merchant, lambda: put(folder.pk), delete)
        with enter_scope(Scope(merchant.pk)):
            assert not CodeFolder.objects.exists()
            assert set(QRCode.objects.values_list("folder_id", flat=True)) == {None}
        return told

    def _puts(self, place: Place) -> dict[str, Callable[[int], object]]:
        _merchant, store, ids = place
        rows = [Row(1, CodeTerms(store_id=store.pk, name="新"), kind="table")]
        return {
            "act": lambda folder: _act(ids, ActKind.FOLDER, "n", folder_id=folder),
            "batch": lambda folder: make_batch(
                rows, nonce="n", folder_id=folder, actor=ACTOR, now=NOW
            ),
            "code": lambda folder: file_code(
                code_id=ids[0], folder_id=folder, labels=(), actor=ACTOR, now=NOW
            ),
        }

    @pytest.mark.parametrize("way", ["act", "batch", "code"])
    def test_a_folder_is_deleted_only_once_the_codes_are_in_it(
        self, place: Place, way: str
    ) -> None:
        assert self._deleted_meanwhile(place, self._puts(place)[way]) == ["", ""]

    @pytest.mark.parametrize("way", ["act", "batch", "code"])
    def test_without_the_lock_codes_go_into_a_folder_that_is_gone(
        self, place: Place, way: str
    ) -> None:
        with unlocked():
            told = self._deleted_meanwhile(place, self._puts(place)[way])
        assert told == ["IntegrityError", ""]

    def test_one_name_for_two_at_once_is_one_folder(self, place: Place) -> None:
        merchant, _store, _ids = place
        name = lambda: folder_named("夏", actor=ACTOR, now=NOW)  # noqa: E731  # said twice below
        assert together(merchant, name, name) == ["", ""]
        with enter_scope(Scope(merchant.pk)):
            assert CodeFolder.objects.count() == 1
            assert AuditEvent.objects.filter(action="folder.created").count() == 1

    def _renamed_twice(self, place: Place) -> list[str]:
        """What the history says each name was changed from."""
        merchant, _store, _ids = place
        with enter_scope(Scope(merchant.pk)):
            folder = folder_named("a", actor=ACTOR, now=NOW)
        with after(folders, "_held", Meeting()):
            told = together(
                merchant,
                lambda: rename_folder(folder_id=folder.pk, name="b", actor=ACTOR, now=NOW),
                lambda: rename_folder(folder_id=folder.pk, name="c", actor=ACTOR, now=NOW),
            )
        assert told == ["", ""]
        with enter_scope(Scope(merchant.pk)):
            events = AuditEvent.objects.filter(action="folder.renamed").order_by("pk")
            return [event.data["before"] for event in events]

    def test_renamed_by_two_the_history_follows_one_after_the_other(self, place: Place) -> None:
        before = self._renamed_twice(place)
        assert before[0] == "a"
        assert before[1] in {"b", "c"}

    def test_without_the_lock_the_history_says_the_same_name_was_changed_twice(
        self, place: Place
    ) -> None:
        with unlocked():
            assert self._renamed_twice(place) == ["a", "a"]


def _start(ids: list[int], nonce: str = "n") -> PrintJob:
    wish = PrintWish(file="svg", form="A6", language="en")
    return start_print(ids, wish, nonce=nonce, actor=ACTOR, now=NOW)


class TestPrints:
    def _cancelled_meanwhile(self, place: Place) -> tuple[list[str], str, int]:
        merchant, _store, ids = place
        with enter_scope(Scope(merchant.pk)):
            job = _start(ids)
        looked, cancelled = threading.Event(), threading.Event()

        def wait() -> None:
            looked.set()
            cancelled.wait(PATIENCE)

        def cancel() -> None:
            looked.wait(5)
            assert cancel_print(job_id=job.pk, actor=ACTOR, now=NOW)
            cancelled.set()

        with after(print_room, "kept_bytes", wait):
            told = together(merchant, lambda: draw_prints(job_id=job.pk, now=NOW), cancel)
        with enter_scope(Scope(merchant.pk)):
            job.refresh_from_db()
            return told, job.state, PrintFile.objects.count()

    def test_cancelled_while_a_file_is_written_nothing_is_kept(self, place: Place) -> None:
        told, state, files = self._cancelled_meanwhile(place)
        assert (told, state, files) == (["", ""], PrintState.CANCELLED, 0)

    def test_without_the_lock_a_cancelled_job_keeps_a_file(self, place: Place) -> None:
        with unlocked():
            told, _state, files = self._cancelled_meanwhile(place)
        assert told == ["", ""]
        assert files > 0

    def test_cancelled_while_it_is_drawn_what_is_drawn_is_thrown_away(self, place: Place) -> None:
        merchant, _store, ids = place
        with enter_scope(Scope(merchant.pk)):
            job = _start(ids)
        drawing, cancelled = threading.Event(), threading.Event()

        def wait() -> None:
            drawing.set()
            assert cancelled.wait(5), "drawing keeps nobody from cancelling"

        def cancel() -> None:
            drawing.wait(5)
            cancel_print(job_id=job.pk, actor=ACTOR, now=NOW)
            cancelled.set()

        with after(prints, "_content", wait):
            assert together(merchant, lambda: draw_prints(job_id=job.pk, now=NOW), cancel) == [
                "",
                "",
            ]
        with enter_scope(Scope(merchant.pk)):
            job.refresh_from_db()
            assert (job.state, job.size, job.done) == (PrintState.CANCELLED, 0, 0)
            assert not PrintFile.objects.exists()

    def _two_workers(self, place: Place) -> tuple[list[str], list[int]]:
        merchant, _store, ids = place
        with enter_scope(Scope(merchant.pk)):
            job = _start(ids)

        def draw() -> None:
            while draw_prints(job_id=job.pk, now=NOW) is not None:
                pass

        with after(prints, "_held", Meeting()):
            told = together(merchant, draw, draw)
        with enter_scope(Scope(merchant.pk)):
            files = PrintFile.objects.order_by("position", "pk")
            return sorted(told), list(files.values_list("position", flat=True))

    def test_two_workers_with_one_job_write_each_file_once(self, place: Place) -> None:
        assert self._two_workers(place) == (["", ""], [0, 1, 2, 3])
        with enter_scope(Scope(place[0].pk)):
            job = PrintJob.objects.get()
            assert (job.state, job.done) == (PrintState.READY, 3)
            assert job.size == sum(len(file.content) for file in PrintFile.objects.all())

    def test_without_the_lock_two_workers_write_the_same_file(self, place: Place) -> None:
        with unlocked():
            told, _files = self._two_workers(place)
        assert "IntegrityError" in told

    def _many_started(self, place: Place) -> int:
        merchant, _store, ids = place
        with enter_scope(Scope(merchant.pk)):
            for number in range(prints.MOST_RUNNING - 1):
                _start(ids, f"before {number}")
        with after(prints, "_merchant_held", Meeting()):
            together(merchant, lambda: _start(ids, "a"), lambda: _start(ids, "b"))
        with enter_scope(Scope(merchant.pk)):
            return PrintJob.objects.count() - prints.MOST_RUNNING

    def test_of_two_at_once_none_is_one_too_many(self, place: Place) -> None:
        assert self._many_started(place) == 0

    def test_without_the_lock_there_are_more_than_may_be(self, place: Place) -> None:
        with unlocked():
            assert self._many_started(place) == 1
