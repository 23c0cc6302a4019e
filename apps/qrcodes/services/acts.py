"""One thing done to many codes at once, and undone.

Codes are locked in the order of their ids, so that two such acts do not wait for each other. What a code was before is kept with the
act; undoing restores only what nobody changed since.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Max

from apps.core import audit
from apps.core.audit import Actor
from apps.merchants.models import Store, Terminal
from apps.qrcodes.batches import MOST_CODES, MOST_LABELS, label_flaw
from apps.qrcodes.models import (
    ActKind,
    CodeAct,
    CodeFolder,
    CodeState,
    CodeVersion,
    QRCode,
    Scenario,
)
from apps.qrcodes.selectors import against_moving, against_state, planned_ids
from apps.qrcodes.services.codes import CodeRefused
from apps.qrcodes.services.folders import folder_for
from apps.qrcodes.terms import CodeTerms, columns, terms_of

#: Rows of one INSERT.
_ROWS: Final = 500
#: Codes left out whose ids an act keeps, of each reason.
MOST_NAMED: Final = 100


class CannotUndo(Exception):
    """An act that is final, or that was undone already."""


class NothingToUndo(Exception):
    """All of its codes were changed since; the act stays undoable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be done: a folder (None: none; ``new_folder``: one of this name, made with it), labels, a store, or why codes are
    paused or retired."""

    kind: ActKind
    folder_id: int | None = None
    new_folder: str = ""
    store_id: int | None = None
    labels: tuple[str, ...] = ()
    reason: str = ""


@transaction.atomic
def act_on_codes(
    code_ids: Sequence[int], wish: Wish, *, nonce: str, actor: Actor, now: datetime
) -> CodeAct:
    """Do it to all of these codes that it fits; the others are kept by why they were left out. Sent twice, it is done once.

    A fixed number of statements for any number of codes. Raises CodeFolder.DoesNotExist, Store.DoesNotExist, and CodeRefused for too
    many codes, bad labels or a closed store.
    """
    if len(code_ids) > MOST_CODES:
        raise CodeRefused("codes", "too_many")
    act = CodeAct(
        nonce=nonce,
        kind=wish.kind,
        count=0,
        made_at=now,
        made_by_id=actor.user_id,
    )
    CodeAct.objects.bulk_create([act], ignore_conflicts=True)
    act = CodeAct.objects.select_for_update().get(nonce=nonce)
    if act.count or act.left_out:
        return act
    folder = None
    if wish.kind == ActKind.FOLDER:
        # Folders before codes, as everywhere.
        folder = folder_for(
            folder_id=wish.folder_id, new_folder=wish.new_folder, actor=actor, now=now
        )
    codes = _locked(code_ids)
    work = _Work(codes, wish, folder=folder, actor=actor, now=now)
    act.words, act.before = _DOERS[wish.kind](work)
    act.target = wish.store_id if folder is None else folder.pk
    act.left_out = {reason: len(ids) for reason, ids in work.left_out.items()}
    # Enough to name some; what is out of reach is counted, never named.
    act.left_ids = {reason: ids[:MOST_NAMED] for reason, ids in work.left_out.items()}
    if gone := len(set(code_ids)) - len(codes):
        act.left_out["gone"] = gone
    act.count = len(act.before)
    act.save(update_fields=["words", "before", "target", "left_out", "left_ids", "count"])
    changed = {int(code_id) for code_id in act.before}
    audit.record_many(
        action=_ACTIONS[wish.kind],
        subject_kind="code",
        subjects=[
            (code.pk, code.store_id, {"act": act.pk, "to": act.words})
            for code in codes
            if code.pk in changed
        ],
        actor=actor,
        at=now,
    )
    return act


def _locked(code_ids: Sequence[int]) -> list[QRCode]:
    codes = QRCode.objects.visible().filter(pk__in=code_ids).order_by("pk")
    return list(codes.select_for_update(no_key=True))


class _Work:
    """The codes of one act, and what came of those it does not fit."""

    def __init__(
        self,
        codes: Sequence[QRCode],
        wish: Wish,
        *,
        folder: CodeFolder | None,
        actor: Actor,
        now: datetime,
    ) -> None:
        self.codes = codes
        self.wish = wish
        self.folder = folder
        self.actor = actor
        self.now = now
        self.left_out: dict[str, list[int]] = defaultdict(list)

    def fitting(self, reason_against: Callable[[QRCode], str]) -> list[QRCode]:
        """The codes that nothing speaks against; the others are kept by the reason."""
        fit: list[QRCode] = []
        for code in self.codes:
            reason = reason_against(code)
            if reason:
                self.left_out[reason].append(code.pk)
            else:
                fit.append(code)
        return fit


Done = tuple[str, dict[str, Any]]


def _to_folder(work: _Work) -> Done:
    folder = work.folder
    wanted = None if folder is None else folder.pk
    codes = work.fitting(lambda code: "already" if code.folder_id == wanted else "")
    before = {str(code.pk): code.folder_id for code in codes}
    QRCode.objects.filter(pk__in=[code.pk for code in codes]).update(folder=folder)
    return ("" if folder is None else folder.name), before


def _label(work: _Work) -> Done:
    if not work.wish.labels:
        raise CodeRefused("labels", "missing")
    if reason := label_flaw(work.wish.labels):
        raise CodeRefused("labels", reason)
    return _relabel(work, lambda code: list(dict.fromkeys([*code.labels, *work.wish.labels])))


def _unlabel(work: _Work) -> Done:
    if not work.wish.labels:
        raise CodeRefused("labels", "missing")
    away = set(work.wish.labels)
    return _relabel(work, lambda code: [label for label in code.labels if label not in away])


def _relabel(work: _Work, labels_of: Callable[[QRCode], list[str]]) -> Done:
    def against(code: QRCode) -> str:
        labels = labels_of(code)
        if labels == code.labels:
            return "already"
        return "too_many" if len(labels) > MOST_LABELS else ""

    codes = work.fitting(against)
    before = {str(code.pk): list(code.labels) for code in codes}
    for code in codes:
        code.labels = labels_of(code)
    QRCode.objects.bulk_update(codes, ["labels"], batch_size=_ROWS)
    return ", ".join(work.wish.labels), before


def _to_state(state: CodeState) -> Callable[[_Work], Done]:
    def run(work: _Work) -> Done:
        codes = work.fitting(lambda code: against_state(code, state))
        before = {str(code.pk): [code.state, code.state_reason] for code in codes}
        QRCode.objects.filter(pk__in=[code.pk for code in codes]).update(
            state=state, state_changed_at=work.now, state_reason=work.wish.reason
        )
        return work.wish.reason, before

    return run


def _to_store(work: _Work) -> Done:
    wanted = work.wish.store_id
    if wanted is None:
        raise CodeRefused("store", "missing")
    held = _held_stores([wanted])
    if not held:
        raise Store.DoesNotExist(wanted)
    store = held[0]
    if not store.is_active:
        raise CodeRefused("store", "closed")
    planned = planned_ids([code.pk for code in work.codes], now=work.now)

    def against(code: QRCode) -> str:
        reason = against_moving(code, planned)
        return reason or ("already" if code.store_id == store.pk else "")

    codes = work.fitting(against)
    before = _repoint(
        codes,
        lambda terms: replace(terms, store_id=store.pk, terminal_id=None),
        actor=work.actor,
        now=work.now,
    )
    return store.name, before


def _held_stores(store_ids: Iterable[int]) -> list[Store]:
    """The stores in scope, their rows held, so that none is closed meanwhile; after the codes, in the order of their ids."""
    stores = Store.objects.visible("pk").filter(pk__in=set(store_ids)).order_by("pk")
    return list(stores.select_for_update(no_key=True))


def _held_terminals(terminal_ids: Iterable[int]) -> list[Terminal]:
    """These terminals, their rows held, so that none moves to another store meanwhile; after the stores, by their ids."""
    terminals = Terminal.objects.filter(pk__in=set(terminal_ids)).order_by("pk")
    return list(terminals.select_for_update(no_key=True))


def _repoint(
    codes: Sequence[QRCode],
    change: Callable[[CodeTerms], CodeTerms] | Mapping[int, tuple[int, int | None]],
    *,
    actor: Actor,
    now: datetime,
) -> dict[str, Any]:
    """A new version of each code from now on; its store, its terminal and the new version's number, by the code's id."""
    ids = [code.pk for code in codes]
    in_force = {
        version.code_id: version
        for version in CodeVersion.objects.filter(
            code_id__in=ids, starts_at__lte=now, withdrawn_at=None
        )
        .order_by("code_id", "-starts_at", "-number")
        .distinct("code_id")
    }
    last = dict(
        CodeVersion.objects.filter(code_id__in=ids)
        .order_by()
        .values_list("code_id")
        .annotate(last=Max("number"))
    )
    before: dict[str, Any] = {}
    versions: list[CodeVersion] = []
    for code in codes:
        terms = terms_of(in_force[code.pk])
        if callable(change):
            terms = change(terms)
        else:
            store_id, terminal_id = change[code.pk]
            terms = replace(terms, store_id=store_id, terminal_id=terminal_id)
        number = last[code.pk] + 1
        before[str(code.pk)] = [code.store_id, code.terminal_id, number]
        code.store_id, code.terminal_id = terms.store_id, terms.terminal_id
        versions.append(
            CodeVersion(
                code=code,
                number=number,
                starts_at=now,
                made_at=now,
                made_by_id=actor.user_id,
                **columns(terms),
            )
        )
    CodeVersion.objects.bulk_create(versions, batch_size=_ROWS)
    QRCode.objects.bulk_update(codes, ["store", "terminal"], batch_size=_ROWS)
    stores = {code.store_id for code in codes}
    for store_id in stores:
        of_store = [code.scenario_id for code in codes if code.store_id == store_id]
        Scenario.objects.filter(pk__in=of_store).update(store_id=store_id)
    return before


_DOERS: Final[Mapping[str, Callable[[_Work], Done]]] = {
    ActKind.FOLDER: _to_folder,
    ActKind.LABEL: _label,
    ActKind.UNLABEL: _unlabel,
    ActKind.STORE: _to_store,
    ActKind.PAUSE: _to_state(CodeState.PAUSED),
    ActKind.RESUME: _to_state(CodeState.ACTIVE),
    ActKind.RETIRE: _to_state(CodeState.RETIRED),
}
_ACTIONS: Final[Mapping[str, str]] = {
    ActKind.FOLDER: "code.filed",
    ActKind.LABEL: "code.filed",
    ActKind.UNLABEL: "code.filed",
    ActKind.STORE: "code.revised",
    ActKind.PAUSE: "code.paused",
    ActKind.RESUME: "code.resumed",
    ActKind.RETIRE: "code.retired",
}
#: What cannot be undone.
FINAL: Final = frozenset({ActKind.RETIRE.value})


@transaction.atomic
def undo_act(*, act_id: int, actor: Actor, now: datetime) -> CodeAct:
    """Let each code be again what it was before the act, unless somebody changed it since; ``kept`` counts those.

    Raises CodeAct.DoesNotExist, CannotUndo, NothingToUndo.
    """
    act: CodeAct = CodeAct.objects.select_for_update().get(pk=act_id)
    if act.kind in FINAL or act.undone_at is not None:
        raise CannotUndo(act.kind)
    if act.kind == ActKind.FOLDER:
        before = {folder_id for folder_id in act.before.values() if folder_id is not None}
        # Folders before codes, as everywhere; in the order of their ids.
        folders = CodeFolder.objects.filter(pk__in=before).order_by("pk")
        list(folders.select_for_update(no_key=True))
    codes = _locked([int(code_id) for code_id in act.before])
    if len(codes) < len(act.before):
        # Part of them lies in stores that this member does not reach any more.
        raise CannotUndo(act.kind)
    restored = _UNDOERS[act.kind](act, codes, actor, now)
    if not restored:
        raise NothingToUndo(act.kind)
    act.undone_at = now
    act.kept = len(act.before) - len(restored)
    act.save(update_fields=["undone_at", "kept"])
    audit.record_many(
        action="code.restored",
        subject_kind="code",
        subjects=[(code.pk, code.store_id, {"act": act.pk}) for code in restored],
        actor=actor,
        at=now,
    )
    return act


def _from_folder(
    act: CodeAct, codes: Sequence[QRCode], _actor: Actor, _now: datetime
) -> list[QRCode]:
    folders = {None, *CodeFolder.objects.values_list("pk", flat=True)}
    restored = [
        code
        for code in codes
        if code.folder_id == act.target and act.before[str(code.pk)] in folders
    ]
    for code in restored:
        code.folder_id = act.before[str(code.pk)]
    QRCode.objects.bulk_update(restored, ["folder"], batch_size=_ROWS)
    return restored


def _from_labels(
    act: CodeAct, codes: Sequence[QRCode], _actor: Actor, _now: datetime
) -> list[QRCode]:
    given = [label for label in act.words.split(", ") if label]
    restored: list[QRCode] = []
    for code in codes:
        before: list[str] = act.before[str(code.pk)]
        if act.kind == ActKind.LABEL:
            after = list(dict.fromkeys([*before, *given]))
        else:
            after = [label for label in before if label not in given]
        if code.labels == after:
            code.labels = before
            restored.append(code)
    QRCode.objects.bulk_update(restored, ["labels"], batch_size=_ROWS)
    return restored


def _from_state(
    act: CodeAct, codes: Sequence[QRCode], _actor: Actor, now: datetime
) -> list[QRCode]:
    restored = [code for code in codes if code.state_changed_at == act.made_at]
    for code in restored:
        code.state, code.state_reason = act.before[str(code.pk)]
        code.state_changed_at = now
    QRCode.objects.bulk_update(
        restored, ["state", "state_reason", "state_changed_at"], batch_size=_ROWS
    )
    return restored


def _from_store(act: CodeAct, codes: Sequence[QRCode], actor: Actor, now: datetime) -> list[QRCode]:
    last = dict(
        CodeVersion.objects.filter(code__in=codes)
        .order_by()
        .values_list("code_id")
        .annotate(last=Max("number"))
    )
    was = [act.before[str(code.pk)] for code in codes]
    open_stores = {
        store.pk for store in _held_stores(before[0] for before in was) if store.is_active
    }
    restored = [
        code
        for code in codes
        if last[code.pk] == act.before[str(code.pk)][2]
        and code.state != CodeState.RETIRED
        and act.before[str(code.pk)][0] in open_stores
    ]
    # A terminal that went to another store meanwhile is not taken back.
    terminals = _held_terminals(before[1] for before in was if before[1] is not None)
    home = {terminal.pk: terminal.store_id for terminal in terminals}
    back: dict[int, tuple[int, int | None]] = {}
    for code in restored:
        store_id, terminal_id, _number = act.before[str(code.pk)]
        back[code.pk] = (store_id, terminal_id if home.get(terminal_id) == store_id else None)
    _repoint(restored, back, actor=actor, now=now)
    return restored


_UNDOERS: Final[
    Mapping[str, Callable[[CodeAct, Sequence[QRCode], Actor, datetime], list[QRCode]]]
] = {
    ActKind.FOLDER: _from_folder,
    ActKind.LABEL: _from_labels,
    ActKind.UNLABEL: _from_labels,
    ActKind.STORE: _from_store,
    ActKind.PAUSE: _from_state,
    ActKind.RESUME: _from_state,
}
