"""Making many codes at once: all of them or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from apps.core import audit, sql
from apps.core.audit import Actor
from apps.core.doors import make_doors, new_token
from apps.qrcodes.batches import MOST_CODES, Flaw, Row, doubles, label_flaw
from apps.qrcodes.models import (
    CodeBatch,
    CodeState,
    CodeVersion,
    QRCode,
    Scenario,
    ScenarioKind,
    ScenarioTemplate,
)
from apps.qrcodes.selectors import batch_of, chosen_codes, names_taken, terms_in_force
from apps.qrcodes.services.codes import CodeRefused, check_terms
from apps.qrcodes.services.folders import folder_for
from apps.qrcodes.terms import columns, plain, problems_of


class BatchRefused(ValueError):
    """Rows that cannot be made; nothing was. ``flaws`` names each."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__(f"{len(flaws)} flaws")
        self.flaws = list(flaws)


def flaws_of(rows: Sequence[Row], *, now: datetime) -> list[Flaw]:
    """What keeps rows from being made as they stand: terms that do not go together, labels, a name twice; [] where nothing does."""
    flaws = [
        Flaw(row.line, problem.field, problem.reason)
        for row in rows
        for problem in problems_of(plain(row.terms), now=now)
    ]
    flaws += [
        Flaw(row.line, "labels", reason) for row in rows if (reason := label_flaw(row.labels))
    ]
    flaws += doubles(rows)
    return sorted(flaws, key=lambda flaw: flaw.line)


@transaction.atomic
def make_batch(
    rows: Sequence[Row],
    *,
    nonce: str,
    actor: Actor,
    now: datetime,
    folder_id: int | None = None,
    new_folder: str = "",
) -> CodeBatch:
    """Codes with their scenarios and first versions, active at once, all in one store. The same ``nonce`` again makes none.

    ``new_folder`` names a folder that is made with them; neither stays without the other. The store's row is held until all are
    there: of two batches with the same names the second is refused. A dozen statements for any number of rows.

    Raises BatchRefused (also for names that the store has), Store.DoesNotExist, ScenarioTemplate.DoesNotExist,
    CodeFolder.DoesNotExist, and CodeRefused for a closed store, no rows, more than ``MOST_CODES`` or an unknown kind.
    """
    made = CodeBatch(nonce=nonce, count=len(rows), made_at=now, made_by_id=actor.user_id)
    # Whoever sends the form at the same moment waits here for the other to finish.
    CodeBatch.objects.bulk_create([made], ignore_conflicts=True)
    batch: CodeBatch = CodeBatch.objects.select_for_update().get(nonce=nonce)
    if batch.codes.exists():
        return batch
    folder = folder_for(folder_id=folder_id, new_folder=new_folder, actor=actor, now=now)
    _require(rows, now=now)
    terms = [plain(row.terms) for row in rows]
    merchant_id = batch.merchant_id
    scenario_ids = sql.insert_many(
        Scenario,
        [
            {
                "merchant_id": merchant_id,
                "store_id": one.store_id,
                "kind": row.kind,
                "name": one.name,
                "name_en": one.name_en,
                "template_id": row.template_id,
                "created_at": now,
            }
            for row, one in zip(rows, terms, strict=True)
        ],
    )
    tokens = [new_token() for _row in rows]
    code_ids = sql.insert_many(
        QRCode,
        [
            {
                "merchant_id": merchant_id,
                "scenario_id": scenario_id,
                "store_id": one.store_id,
                "token": token,
                "amount_minor": one.amount_minor,
                "currency": one.currency,
                "valid_from": one.valid_from,
                "valid_until": one.valid_until,
                "state": CodeState.ACTIVE,
                "state_reason": "",
                "created_at": now,
                "folder_id": None if folder is None else folder.pk,
                "labels": row.labels,
                "batch_id": batch.pk,
            }
            for row, one, scenario_id, token in zip(rows, terms, scenario_ids, tokens, strict=True)
        ],
    )
    sql.insert_many(
        CodeVersion,
        [
            {
                "merchant_id": merchant_id,
                "code_id": code_id,
                "number": 1,
                "starts_at": now,
                "made_at": now,
                "made_by_id": actor.user_id,
                "reason": "",
                **columns(one),
            }
            for code_id, one in zip(code_ids, terms, strict=True)
        ],
    )
    make_doors(
        kind="qrcode",
        merchant_id=merchant_id,
        tokens=dict(zip(code_ids, tokens, strict=True)),
    )
    audit.record_many(
        action="code.created",
        subject_kind="code",
        subjects=[
            (code_id, one.store_id, {"name": one.name, "kind": row.kind, "batch": batch.pk})
            for code_id, row, one in zip(code_ids, rows, terms, strict=True)
        ],
        actor=actor,
        at=now,
    )
    return batch


def _require(rows: Sequence[Row], *, now: datetime) -> None:
    if not rows:
        raise CodeRefused("rows", "missing")
    if len(rows) > MOST_CODES:
        raise CodeRefused("rows", "too_many")
    if any(row.kind not in ScenarioKind.values for row in rows):
        raise CodeRefused("kind")
    if any(row.terms.terminal_id is not None for row in rows):
        raise CodeRefused("terminal", "elsewhere")
    if len({row.terms.store_id for row in rows}) > 1:
        raise CodeRefused("store", "several")
    templates = {row.template_id for row in rows if row.template_id is not None}
    if ScenarioTemplate.objects.filter(pk__in=templates).count() < len(templates):
        raise ScenarioTemplate.DoesNotExist
    if flaws := flaws_of(rows, now=now):
        raise BatchRefused(flaws)
    store, _terminal = check_terms(plain(rows[0].terms), now=now)
    # Only now, with the store's row held: nobody else adds a name meanwhile.
    if flaws := taken_flaws(rows, store_id=store.pk):
        raise BatchRefused(flaws)


def taken_flaws(rows: Sequence[Row], *, store_id: int) -> list[Flaw]:
    """A flaw for each row whose name a code of the store has already."""
    taken = names_taken([row.terms.name for row in rows], store_id=store_id)
    return [
        Flaw(row.line, "name", "exists", row.terms.name) for row in rows if row.terms.name in taken
    ]


def copy_codes(
    code_ids: Sequence[int],
    *,
    store_id: int,
    folder_id: int | None,
    nonce: str,
    actor: Actor,
    now: datetime,
    new_folder: str = "",
) -> tuple[CodeBatch, list[str]]:
    """New codes in a store with the names, terms and labels of these, and the names that were left out: the store has them already.

    Terminals and planned changes stay behind. Raises as ``make_batch``; a flaw's line counts the codes.
    """
    made_before = batch_of(nonce)
    if made_before is not None:
        return made_before, []
    codes = chosen_codes(code_ids)
    terms = terms_in_force(codes, now=now)
    taken = names_taken([terms[code.pk].name for code in codes], store_id=store_id)
    rows = [
        Row(
            line,
            replace(terms[code.pk], store_id=store_id, terminal_id=None),
            kind=code.scenario.kind,
            template_id=code.scenario.template_id,
            labels=tuple(code.labels),
        )
        for line, code in enumerate(codes, start=1)
        if terms[code.pk].name not in taken
    ]
    left_out = [terms[code.pk].name for code in codes if terms[code.pk].name in taken]
    made = make_batch(
        rows, nonce=nonce, folder_id=folder_id, new_folder=new_folder, actor=actor, now=now
    )
    return made, left_out
