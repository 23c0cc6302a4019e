"""One thing done to many codes: done once, counted, undone, and never past a wall."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core.models import AuditEvent
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Role, Store
from apps.merchants.services import add_terminal, set_store_active
from apps.merchants.tests.teams import ACTOR, NOW, make_member, make_merchant, make_store
from apps.qrcodes.batches import Row
from apps.qrcodes.models import ActKind, CodeAct, CodeFolder, CodeState, CodeVersion, QRCode
from apps.qrcodes.selectors import (
    count_folders,
    get_act,
    list_acts,
    list_labels,
    still_undoable,
    version_in_force,
)
from apps.qrcodes.services import (
    CannotUndo,
    CodeRefused,
    NameTaken,
    NothingToUndo,
    Wish,
    act_on_codes,
    assign_terminal,
    delete_folder,
    file_code,
    folder_named,
    make_batch,
    pause_code,
    rename_folder,
    retire_code,
    revise_code,
    undo_act,
)
from apps.qrcodes.terms import CodeTerms, terms_of

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def place() -> Iterator[tuple[Merchant, Store, list[int]]]:
    """A merchant in scope with three codes."""
    merchant, _owner, store = make_merchant()
    with enter_scope(Scope(merchant.pk)):
        yield merchant, store, _codes(store, 3)


def _codes(store: Store, count: int) -> list[int]:
    rows = [
        Row(number, CodeTerms(store_id=store.pk, name=f"{store.pk}/{count}/{number}"), kind="table")
        for number in range(1, count + 1)
    ]
    batch = make_batch(rows, nonce=f"codes-{store.pk}-{count}", actor=ACTOR, now=NOW)
    return list(batch.codes.order_by("pk").values_list("pk", flat=True))


def _act(ids: list[int], kind: ActKind, nonce: str = "n", **wish: Any) -> CodeAct:
    return act_on_codes(ids, Wish(kind=kind, **wish), nonce=nonce, actor=ACTOR, now=LATER)


def _undo(act: CodeAct) -> CodeAct:
    return undo_act(act_id=act.pk, actor=ACTOR, now=LATER + timedelta(minutes=1))


def _all(field: str) -> list[Any]:
    return list(QRCode.objects.order_by("pk").values_list(field, flat=True))


Place = tuple[Merchant, Store, list[int]]


def test_folders_are_moved_to_and_back(place: Place) -> None:
    _merchant, _store, ids = place
    folder = folder_named("露台", actor=ACTOR, now=NOW)
    assert folder_named("露台", actor=ACTOR, now=NOW) == folder
    first = _act(ids[:1], ActKind.FOLDER, "1", folder_id=folder.pk)
    act = _act(ids, ActKind.FOLDER, "2", folder_id=folder.pk)
    assert (first.count, act.count, act.left_out) == (1, 2, {"already": 1})
    assert [row.codes for row in count_folders()] == [3]
    _undo(act)
    assert _all("folder_id") == [folder.pk, None, None]


def test_labels_are_added_and_taken_off_and_undone(place: Place) -> None:
    _merchant, _store, ids = place
    _act(ids, ActKind.LABEL, "1", labels=("夏", "vip"))
    off = _act(ids[:2], ActKind.UNLABEL, "2", labels=("夏",))
    assert _all("labels") == [["vip"], ["vip"], ["夏", "vip"]]
    assert list_labels() == ["vip", "夏"]
    _undo(off)
    assert _all("labels") == [["夏", "vip"]] * 3


def test_undoing_leaves_alone_what_was_changed_since(place: Place) -> None:
    _merchant, _store, ids = place
    act = _act(ids, ActKind.LABEL, labels=("夏",))
    file_code(code_id=ids[0], folder_id=None, labels=("冬",), actor=ACTOR, now=LATER)
    undone = _undo(act)
    assert undone.kept == 1
    assert _all("labels") == [["冬"], [], []]
    with pytest.raises(CannotUndo):
        _undo(act)


def test_pausing_skips_the_retired_and_undoing_resumes_only_its_own(place: Place) -> None:
    _merchant, _store, ids = place
    pause_code(code_id=ids[0], actor=ACTOR, now=NOW, reason="old")
    retire_code(code_id=ids[1], actor=ACTOR, now=NOW)
    act = _act(ids, ActKind.PAUSE, reason="closed")
    assert (act.count, act.left_out) == (1, {"already": 1, "retired": 1})
    assert QRCode.objects.get(pk=ids[2]).state_reason == "closed"
    _undo(act)
    assert _all("state") == [CodeState.PAUSED, CodeState.RETIRED, CodeState.ACTIVE]


def test_retiring_is_final(place: Place) -> None:
    _merchant, _store, ids = place
    act = _act(ids, ActKind.RETIRE)
    assert set(_all("state")) == {CodeState.RETIRED}
    with pytest.raises(CannotUndo):
        _undo(act)
    assert _act(ids, ActKind.RESUME, "2").left_out == {"retired": 3}


def test_moving_to_a_store_is_a_version_and_is_undone_by_another(place: Place) -> None:
    merchant, store, ids = place
    other = make_store(merchant)
    terminal = add_terminal(store_id=store.pk, name="收银台", actor=ACTOR, now=NOW)
    assign_terminal(code_id=ids[0], terminal_id=terminal.pk, actor=ACTOR, now=NOW)
    plan = CodeTerms(store_id=store.pk, name="later")
    revise_code(
        code_id=ids[1],
        terms=plan,
        expected=1,
        actor=ACTOR,
        now=NOW,
        starts_at=LATER + timedelta(days=1),
    )
    act = _act(ids, ActKind.STORE, store_id=other.pk)
    assert (act.count, act.left_out) == (2, {"planned": 1})
    moved = version_in_force(code_id=ids[0], now=LATER)
    assert (moved.store_id, moved.terminal_id, moved.number) == (other.pk, None, 3)
    code = QRCode.objects.select_related("scenario").get(pk=ids[0])
    assert (code.store_id, code.scenario.store_id, code.terminal_id) == (other.pk, other.pk, None)
    before = terms_of(CodeVersion.objects.get(code_id=ids[0], number=2))
    _undo(act)
    back = version_in_force(code_id=ids[0], now=LATER + timedelta(minutes=1))
    assert terms_of(back) == before
    assert _all("store_id") == [store.pk] * 3


def test_sent_twice_it_is_done_once(place: Place) -> None:
    _merchant, _store, ids = place
    first = _act(ids, ActKind.PAUSE)
    again = _act(ids, ActKind.PAUSE)
    assert (first.pk, first.count, again.count) == (again.pk, 3, 3)
    assert AuditEvent.objects.filter(action="code.paused").count() == 3


@pytest.mark.parametrize(
    "kind", [ActKind.FOLDER, ActKind.LABEL, ActKind.STORE, ActKind.PAUSE, ActKind.RETIRE]
)
def test_the_statements_do_not_grow_with_the_codes(place: Place, kind: ActKind) -> None:
    merchant, _store, few = place
    many = _codes(make_store(merchant), 300)
    wishes: dict[ActKind, dict[str, Any]] = {
        ActKind.FOLDER: {"folder_id": folder_named("x", actor=ACTOR, now=NOW).pk},
        ActKind.LABEL: {"labels": ("夏",)},
        ActKind.STORE: {"store_id": make_store(merchant).pk},
    }
    wish = wishes.get(kind, {})
    counts: list[int] = []
    for nonce, ids in (("few", few), ("many", many)):
        with CaptureQueriesContext(connection) as asked:
            assert _act(ids, kind, nonce, **wish).count == len(ids)
        counts.append(len(asked))
    assert counts[0] == counts[1]
    assert counts[1] <= 14


def test_codes_of_other_stores_and_merchants_are_not_touched(place: Place) -> None:
    merchant, store, ids = place
    hidden = _codes(make_store(merchant), 1)
    member = make_member(merchant, Role.MANAGER).user
    act = _act([*ids, 10**12], ActKind.LABEL, labels=("夏",))
    assert (act.count, act.left_out) == (3, {"gone": 1})
    with enter_scope(Scope(merchant.pk, frozenset({store.pk}))):
        narrow = _act([*ids, *hidden], ActKind.PAUSE, "narrow")
        assert (narrow.count, narrow.left_out) == (3, {"gone": 1})
        # What others did may be about stores that this member does not see.
        assert list_acts(member_id=member.pk) == []
        with pytest.raises(CodeAct.DoesNotExist):
            get_act(act.pk, member_id=member.pk)
    assert QRCode.objects.get(pk=hidden[0]).state == CodeState.ACTIVE


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"kind": ActKind.LABEL}, "labels"),
        ({"kind": ActKind.LABEL, "labels": ("x" * 31,)}, "labels"),
        ({"kind": ActKind.STORE}, "store"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(
    place: Place, wish: dict[str, Any], field: str
) -> None:
    _merchant, _store, ids = place
    with pytest.raises(CodeRefused) as refused:
        act_on_codes(ids, Wish(**wish), nonce="n", actor=ACTOR, now=LATER)
    assert refused.value.field == field
    assert not CodeAct.objects.exists()


def test_folders_are_renamed_and_deleted_and_their_codes_stay(place: Place) -> None:
    _merchant, _store, ids = place
    folder = folder_named("a", actor=ACTOR, now=NOW)
    folder_named("b", actor=ACTOR, now=NOW)
    _act(ids, ActKind.FOLDER, folder_id=folder.pk)
    with pytest.raises(NameTaken):
        rename_folder(folder_id=folder.pk, name="b", actor=ACTOR, now=NOW)
    rename_folder(folder_id=folder.pk, name="c", actor=ACTOR, now=NOW)
    assert delete_folder(folder_id=folder.pk, actor=ACTOR, now=NOW) == 3
    assert _all("folder_id") == [None] * 3
    assert list(CodeFolder.objects.values_list("name", flat=True)) == ["b"]


class TestPages:
    @pytest.fixture
    def shop(self, client: Client) -> tuple[Client, Merchant, list[int]]:
        merchant, owner, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            ids = _codes(store, 30)
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
        client.force_login(owner)
        return client, merchant, ids

    def _post(self, client: Client, merchant: Merchant, **data: Any) -> Any:
        return client.post(reverse("qrcodes:act_create", args=[merchant.slug]), data)

    def test_all_that_the_filters_show_are_chosen_on_every_page(
        self, shop: tuple[Client, Merchant, list[int]]
    ) -> None:
        client, merchant, ids = shop
        page = client.get(reverse("qrcodes:code_list", args=[merchant.slug]), {"kind": "table"})
        assert len(page.context["page"].rows) == 24
        assert ("code_kind", "table") in page.context["filters"]
        sent = dict(page.context["filters"])
        confirm = self._post(client, merchant, kind="pause", all="1", **sent)
        assert confirm.context["count"] == 30
        nothing = self._post(client, merchant, kind="pause", all="1", code_kind="event")
        assert nothing.status_code == 302
        done = self._post(
            client, merchant, kind="pause", ids=confirm.context["ids"], nonce="n", sure="1"
        )
        with enter_scope(Scope(merchant.pk)):
            assert set(_all("state")) == {CodeState.PAUSED}
        detail = client.get(done["Location"])
        assert "30 codes paused." in detail.content.decode()
        act = detail.context["act"]
        client.post(reverse("qrcodes:act_undo", args=[merchant.slug, act.pk]))
        with enter_scope(Scope(merchant.pk)):
            assert set(_all("state")) == {CodeState.ACTIVE}
        assert client.get(reverse("qrcodes:act_list", args=[merchant.slug])).status_code == 200
        assert len(ids) == 30

    def test_ticked_ones_go_to_a_new_folder(self, shop: tuple[Client, Merchant, list[int]]) -> None:
        client, merchant, ids = shop
        confirm = self._post(client, merchant, kind="folder", code=ids[:2])
        assert confirm.context["count"] == 2
        self._post(
            client,
            merchant,
            kind="folder",
            ids=confirm.context["ids"],
            nonce="n",
            sure="1",
            new_folder=" 露 台 ",
        )
        with enter_scope(Scope(merchant.pk)):
            folder = CodeFolder.objects.get(name="露 台")
            assert folder.codes.count() == 2
        listed = client.get(
            reverse("qrcodes:code_list", args=[merchant.slug]), {"folder": folder.pk}
        )
        assert len(listed.context["page"].rows) == 2
        others = client.get(reverse("qrcodes:code_list", args=[merchant.slug]), {"folder": 0})
        assert len(others.context["page"].rows) == 24

    def test_without_a_choice_or_with_a_mistake_it_says_so(
        self, shop: tuple[Client, Merchant, list[int]]
    ) -> None:
        client, merchant, ids = shop
        assert self._post(client, merchant, kind="pause").status_code == 302
        assert self._post(client, merchant, kind="nonsense", code=ids[:1]).status_code == 302
        wrong = self._post(client, merchant, kind="label", code=ids[:1], sure="1", labels=" , ")
        assert wrong.status_code == 422
        assert list(wrong.context["form"].errors) == ["labels"]
        with enter_scope(Scope(merchant.pk)):
            assert not CodeAct.objects.exists()

    def test_one_code_is_filed_on_its_own_page(
        self, shop: tuple[Client, Merchant, list[int]]
    ) -> None:
        client, merchant, ids = shop
        url = reverse("qrcodes:code_file", args=[merchant.slug, ids[0]])
        assert client.post(url, {"labels": "a, b"}).status_code == 302
        with enter_scope(Scope(merchant.pk)):
            assert QRCode.objects.get(pk=ids[0]).labels == ["a", "b"]
        assert client.post(url, {}).status_code == 302
        with enter_scope(Scope(merchant.pk)):
            assert QRCode.objects.get(pk=ids[0]).labels == []

    def test_a_cashier_prints_but_changes_nothing(
        self, shop: tuple[Client, Merchant, list[int]]
    ) -> None:
        client, merchant, ids = shop
        client.force_login(make_member(merchant, Role.CASHIER).user)
        assert self._post(client, merchant, kind="pause", code=ids[:1]).status_code == 403
        prints = reverse("qrcodes:print_create", args=[merchant.slug])
        assert client.post(prints, {"code": ids[:1]}).status_code == 200

    def test_confirmation_and_result_name_who_is_left_out_and_why(
        self, shop: tuple[Client, Merchant, list[int]]
    ) -> None:
        client, merchant, ids = shop
        with enter_scope(Scope(merchant.pk)):
            _act(ids[:25], ActKind.PAUSE, "before")
            retire_code(code_id=ids[25], actor=ACTOR, now=NOW)
        confirm = self._post(client, merchant, kind="pause", code=ids)
        page = confirm.content.decode()
        assert "25 were so already." in page
        assert "1 is retired, which is final." in page
        first, second = confirm.context["left_out"]
        assert ([code.pk for code in first.codes], first.more) == (ids[:20], 5)
        assert (list(second.codes), second.more) == ([], 1)
        assert [code.pk for code in confirm.context["first"]] == ids[26:]
        nothing = self._post(client, merchant, kind="pause", code=ids[:3])
        assert "Nothing is left to be done" in nothing.content.decode()
        done = self._post(
            client, merchant, kind="pause", ids=confirm.context["ids"], nonce="n", sure="1"
        )
        detail = client.get(done["Location"])
        told = detail.context["left_out"]
        assert [(line.words, len(line.codes), line.more) for line in told] == [
            ("25 were so already.", 20, 5),
            ("1 is retired, which is final.", 0, 0),
        ]
        assert detail.context["act"].left_out == {"already": 25, "retired": 1}
        assert detail.context["act"].count == 4

    def test_retiring_all_that_the_list_shows_says_by_which_filters(
        self, shop: tuple[Client, Merchant, list[int]]
    ) -> None:
        client, merchant, _ids = shop
        confirm = self._post(
            client, merchant, kind="retire", all="1", code_kind="table", state="active"
        )
        page = confirm.content.decode()
        assert confirm.context["count"] == 30
        assert "30 codes" in page
        assert [(label, said) for _name, _value, label, said in confirm.context["filters"][1:]] == [
            ("Where it hangs", "Table"),
            ("State", "Active"),
        ]
        assert "Where it hangs: Table" in page
        bare = self._post(client, merchant, kind="retire", all="1")
        assert "without a filter" in bare.content.decode()
        ticked = self._post(client, merchant, kind="retire", code=_ids[:1])
        assert ticked.context["filters"] == []

    def test_the_list_says_what_of_each_act_can_still_be_undone(
        self, shop: tuple[Client, Merchant, list[int]]
    ) -> None:
        client, merchant, ids = shop
        with enter_scope(Scope(merchant.pk)):
            _act(ids[:3], ActKind.LABEL, "1", labels=("夏",))
            _act(ids[:2], ActKind.UNLABEL, "2", labels=("夏",))
            _act(ids[:2], ActKind.RESUME, "3")
            _act(ids[:2], ActKind.PAUSE, "4")
            _undo(_act(ids[:1], ActKind.LABEL, "5", labels=("冬",)))
            _act(ids[28:], ActKind.RETIRE, "6")
            file_code(code_id=ids[2], folder_id=None, labels=("x",), actor=ACTOR, now=LATER)
        page = client.get(reverse("qrcodes:act_list", args=[merchant.slug]))
        assert [row["state"] for row in page.context["rows"]] == [
            "Final",
            "Undone",
            "Can be undone",
            "Nothing was changed",
            "Can be undone",
            "All changed since",
        ]
        act = page.context["rows"][-1]["act"]
        detail = client.get(reverse("qrcodes:act_detail", args=[merchant.slug, act.pk]))
        assert "nothing of this act can be undone any more" in detail.content.decode()


@pytest.mark.parametrize("seed", range(12))
def test_what_can_still_be_undone_is_what_undoing_restores(place: Place, seed: int) -> None:
    """Random acts upon acts: the one statement says of each what undoing it does, code by code."""
    merchant, store, _ids = place
    lot = random.Random(seed)
    ids = _codes(store, 8)
    stores = [store.pk, make_store(merchant).pk]
    folders = [
        None,
        folder_named("a", actor=ACTOR, now=NOW).pk,
        folder_named("b", actor=ACTOR, now=NOW).pk,
    ]
    acts: list[CodeAct] = []
    for number in range(14):
        now = LATER + timedelta(minutes=number)
        wish = lot.choice(
            [
                Wish(kind=ActKind.LABEL, labels=tuple(lot.sample(["夏", "冬", "vip"], 2))),
                Wish(kind=ActKind.UNLABEL, labels=(lot.choice(["夏", "冬"]),)),
                Wish(kind=ActKind.FOLDER, folder_id=lot.choice(folders)),
                Wish(kind=ActKind.STORE, store_id=lot.choice(stores)),
                Wish(kind=ActKind.PAUSE),
                Wish(kind=ActKind.RESUME),
            ]
        )
        acts.append(act_on_codes(lot.sample(ids, 4), wish, nonce=f"{number}", actor=ACTOR, now=now))
    retire_code(code_id=ids[0], actor=ACTOR, now=LATER)
    if seed % 3 == 0:
        delete_folder(folder_id=folders[1] or 0, actor=ACTOR, now=LATER)
    if seed % 3 == 1:
        set_store_active(store_id=stores[1], active=False, actor=ACTOR, now=LATER)
    told = still_undoable(acts)
    assert still_undoable([]) == {}
    for act in acts:
        restored = 0
        with transaction.atomic():
            try:
                undone = undo_act(act_id=act.pk, actor=ACTOR, now=LATER + timedelta(hours=1))
                restored = undone.count - undone.kept
            except (CannotUndo, NothingToUndo):
                pass
            transaction.set_rollback(True)
        assert told.get(act.pk, 0) == restored, (act.kind, act.before)


def test_with_codes_out_of_reach_an_act_is_not_called_undoable(place: Place) -> None:
    merchant, store, ids = place
    act = _act([*ids, *_codes(make_store(merchant), 1)], ActKind.LABEL, labels=("夏",))
    assert still_undoable([act]) == {act.pk: 4}
    with enter_scope(Scope(merchant.pk, frozenset({store.pk}))):
        assert still_undoable([act]) == {}
