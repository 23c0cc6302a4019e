"""Files for a print shop: many codes drawn by a worker, bit by bit, and handed out as one ZIP.

A job's files are rows, each written in a transaction of its own with the job's count, so a worker that dies loses one file's work and
another goes on from there. Every code is proved to scan before it is drawn; one that would not is named in the job and left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

from django.db import IntegrityError, transaction

from apps.core import audit, outbox
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.qrcodes.artwork import (
    FORMATS,
    PLAIN,
    Design,
    DesignRefused,
    Language,
    Placard,
    TextTooLong,
    UnprintableText,
    render_pdf,
    render_svg,
)
from apps.qrcodes.artwork.fonts import require_printable
from apps.qrcodes.batches import MOST_CODES
from apps.qrcodes.models import ArtworkDesign, PrintFile, PrintJob, PrintState, QRCode
from apps.qrcodes.proof import WouldNotScan, require_scannable
from apps.qrcodes.selectors import look_of, placards_of
from apps.qrcodes.services.codes import CodeRefused
from apps.qrcodes.services.print_lists import LIST_NAME, listing
from apps.qrcodes.services.print_room import make_room

#: The due task that draws.
DRAW: Final = "qrcodes.draw_prints"
#: The due task that forgets a job's files.
FORGET: Final = "qrcodes.forget_prints"
FILES: Final = ("pdf", "book", "svg")
LANGUAGES: Final = ("both", "zh-hans", "en")
#: Codes in one file of a book.
BOOK: Final = 100
#: How long files are kept: they can be drawn again at any time.
KEPT: Final = timedelta(days=7)
#: Seconds for which one run of the task draws; then other work has its turn.
_SECONDS: Final = 5
#: Print jobs of one merchant that may be drawn at once.
MOST_RUNNING: Final = 5
#: Languages that the list of files is headed in.
SPOKEN: Final = ("zh-hans", "en")

_UNFILED: Final = re.compile(r'[\\/:*?"<>|\x00-\x1f\s]+')


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintWish:
    """What is to be printed: a kind of file (``FILES``), a key of ``FORMATS``, the placards' language, a design (None: the plain one)."""

    file: str
    form: str
    language: str
    design_id: int | None = None


@transaction.atomic
def start_print(
    code_ids: Sequence[int],
    wish: PrintWish,
    *,
    nonce: str,
    actor: Actor,
    now: datetime,
    spoken: str = "zh-hans",
) -> PrintJob:
    """Have codes drawn for a print shop, in this order; sent twice, it is one job. ``spoken``: the language that its list is headed in.

    Raises ArtworkDesign.DoesNotExist, and CodeRefused for what cannot be printed so, no codes, too many, or too many jobs at once.
    """
    found: PrintJob | None = PrintJob.objects.filter(nonce=nonce).first()
    if found is not None:
        return found
    if wish.file not in FILES or wish.form not in FORMATS or wish.language not in LANGUAGES:
        raise CodeRefused("file", "unknown")
    # One at a time a merchant, so that of several at once none is a sixth.
    _merchant_held()
    if PrintJob.objects.filter(state=PrintState.RUNNING).count() >= MOST_RUNNING:
        raise CodeRefused("codes", "jobs")
    known = set(QRCode.objects.visible().filter(pk__in=code_ids).values_list("pk", flat=True))
    ordered = [code_id for code_id in dict.fromkeys(code_ids) if code_id in known]
    if not ordered:
        raise CodeRefused("codes", "missing")
    if len(ordered) > MOST_CODES:
        raise CodeRefused("codes", "too_many")
    design = None if wish.design_id is None else ArtworkDesign.objects.get(pk=wish.design_id)
    job = PrintJob(
        nonce=nonce,
        file=wish.file,
        form=wish.form,
        design_number=wish.design_id,
        design_changed_at=None if design is None else design.changed_at,
        language=wish.language,
        spoken=spoken if spoken in SPOKEN else SPOKEN[0],
        code_ids=ordered,
        made_at=now,
        made_by_id=actor.user_id,
        expires_at=now + KEPT,
    )
    try:
        with transaction.atomic():
            job.save(force_insert=True)
    except IntegrityError:
        # The same form at the same moment.
        twin: PrintJob = PrintJob.objects.get(nonce=nonce)
        return twin
    outbox.enqueue(task=DRAW, merchant_id=job.merchant_id, subject_id=job.pk, due_at=now)
    outbox.enqueue(
        task=FORGET, merchant_id=job.merchant_id, subject_id=job.pk, due_at=job.expires_at
    )
    audit.record(
        action="print.started",
        subject_kind="print",
        subject_id=job.pk,
        actor=actor,
        at=now,
        data={"codes": len(ordered), "form": wish.form, "file": wish.file},
    )
    return job


def _merchant_held() -> None:
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())


def _held(job_id: int) -> PrintJob:
    """A job whose state and files only this transaction changes. Raises PrintJob.DoesNotExist."""
    job: PrintJob = PrintJob.objects.select_for_update(no_key=True).get(pk=job_id)
    return job


@transaction.atomic
def cancel_print(*, job_id: int, actor: Actor, now: datetime) -> bool:
    """Draw no more and throw away what is drawn; False when it had ended already. Raises PrintJob.DoesNotExist."""
    job = _held(job_id)
    if job.state != PrintState.RUNNING:
        return False
    PrintFile.objects.filter(job=job).delete()
    job.size = 0
    _end(job, PrintState.CANCELLED, now=now)
    audit.record(
        action="print.cancelled", subject_kind="print", subject_id=job.pk, actor=actor, at=now
    )
    return True


@transaction.atomic
def delete_print(*, job_id: int, actor: Actor, now: datetime) -> None:
    """Throw a job away with its files before its week is over. Raises PrintJob.DoesNotExist."""
    job = _held(job_id)
    audit.record(
        action="print.deleted", subject_kind="print", subject_id=job.pk, actor=actor, at=now
    )
    forget_print(job_id=job.pk)


@transaction.atomic
def forget_print(*, job_id: int) -> None:
    """Delete a job with its files; codes and designs stay. Does nothing when it is gone."""
    PrintFile.objects.filter(job_id=job_id).delete()
    PrintJob.objects.filter(pk=job_id).delete()


def _end(job: PrintJob, state: PrintState, *, now: datetime) -> None:
    job.state, job.ended_at = state, now
    job.save(update_fields=["state", "ended_at", "size"])


def draw_prints(*, job_id: int, now: datetime) -> datetime | None:
    """Draw some seconds' worth of a job; when to go on (at once), or None when nothing is left to do. Never inside a transaction."""
    until = time.monotonic() + _SECONDS
    look: Design | None = None
    merchant = Merchant.objects.get(pk=current_merchant_id())
    while True:
        job: PrintJob | None = PrintJob.objects.filter(pk=job_id, state=PrintState.RUNNING).first()
        if job is None:
            return None
        try:
            look = look or _look_of(job)
        except (ArtworkDesign.DoesNotExist, DesignRefused):
            _refuse(job, "design", now=now)
            return None
        if job.done >= len(job.code_ids):
            _finish(job, now=now)
            return None
        _draw_next(job, look, merchant=merchant, now=now)
        if time.monotonic() >= until:
            return now


def _look_of(job: PrintJob) -> Design:
    look = PLAIN
    if job.design_number is not None:
        row: ArtworkDesign = ArtworkDesign.objects.get(pk=job.design_number)
        if row.changed_at != job.design_changed_at:
            raise ArtworkDesign.DoesNotExist(job.design_number)
        look = look_of(row)
    return replace(look, language=cast("Language", job.language))


def _refuse(job: PrintJob, why: str, *, now: datetime) -> None:
    with transaction.atomic():
        held = _held(job.pk)
        if held.state == PrintState.RUNNING:
            _give_up(held, why, now=now)


def _give_up(held: PrintJob, why: str, *, now: datetime) -> None:
    held.problems = [{"code": None, "name": "", "why": why, "facts": {}}]
    held.save(update_fields=["problems"])
    PrintFile.objects.filter(job=held).delete()
    held.size = 0
    _end(held, PrintState.REFUSED, now=now)


def _finish(job: PrintJob, *, now: datetime) -> None:
    with transaction.atomic():
        held = _held(job.pk)
        if held.state != PrintState.RUNNING:
            return
        names = dict(PrintFile.objects.filter(job=held).values_list("position", "name"))
        if names:
            content = listing(held, names, book=BOOK)
            position = len(held.code_ids)
            PrintFile(job=held, position=position, name=LIST_NAME, content=content).save(
                force_insert=True
            )
            held.size += len(content)
        _end(held, PrintState.READY if names else PrintState.REFUSED, now=now)
        make_room(newest=held)


def _draw_next(job: PrintJob, look: Design, *, merchant: Merchant, now: datetime) -> None:
    """Draw the next file, and keep it together with how far the job is."""
    size = BOOK if job.file == "book" else 1
    first = job.done
    ids = job.code_ids[first : first + size]
    placards = placards_of(ids, merchant=merchant, design=look)
    problems: list[dict[str, Any]] = []
    fit: list[tuple[QRCode, Placard]] = []
    for code_id in ids:
        code, placard = placards.get(code_id, (None, None))
        if code is None or placard is None:
            problems.append({"code": code_id, "name": "", "why": "gone", "facts": {}})
            continue
        problem = _problem_of(placard, job, look)
        if problem:
            problems.append({"code": code.pk, "name": code.scenario.name, **problem})
        else:
            fit.append((code, placard))
    content = _content(job, [placard for _code, placard in fit], look)
    with transaction.atomic():
        held = _held(job.pk)
        # Another worker drew this file, or somebody cancelled: what is kept stays as it is.
        if held.state != PrintState.RUNNING or held.done != first:
            return
        held.size += len(content)
        if not make_room(newest=held):
            _give_up(held, "too_large", now=now)
            return
        if content:
            PrintFile(job=held, position=first, name=_name(held, fit, first), content=content).save(
                force_insert=True
            )
        held.problems = [*held.problems, *problems]
        held.done = first + len(ids)
        held.save(update_fields=["problems", "done", "size"])


def _problem_of(placard: Placard, job: PrintJob, look: Design) -> dict[str, Any]:
    """Why a code is not printed, as the job keeps it; {} where it can be."""
    try:
        require_printable(*placard.texts)
        require_scannable(look, placard.link, FORMATS[job.form], placard=placard)
    except UnprintableText as error:
        return {"why": "unprintable", "facts": {"characters": "".join(error.characters)}}
    except TextTooLong as error:
        return {"why": "too_long", "facts": {"text": error.text[:80]}}
    except (DesignRefused, WouldNotScan):
        return {"why": "would_not_scan", "facts": {}}
    return {}


def _content(job: PrintJob, placards: Sequence[Placard], look: Design) -> bytes:
    if not placards:
        return b""
    if job.file == "svg":
        return render_svg(placards[0], design=look)
    if job.file == "book":
        return render_pdf(placards, paper=job.form, design=look)
    # One code alone fills its sheet: fifteen stickers, two tents.
    return render_pdf(placards[0], paper=job.form, design=look)


def _name(job: PrintJob, fit: Sequence[tuple[QRCode, Placard]], first: int) -> str:
    """What a print shop reads: the place in order, what it is, the format with its size."""
    form = FORMATS[job.form]
    width, height = form.piece
    measure = f"{job.form}-{width:g}x{height:g}mm"
    if job.file == "book":
        return (
            f"{first + 1:04d}-{min(first + BOOK, len(job.code_ids)):04d}_{measure}_{len(fit)}.pdf"
        )
    code = fit[0][0]
    words = _UNFILED.sub("-", f"{code.store.name}_{code.scenario.name}").strip("-. ")[:60]
    if job.file == "svg":
        return f"{first + 1:04d}_{words}_{code.token}.svg"
    return f"{first + 1:04d}_{words}_{measure}_{code.token}.pdf"


def files_of(job: PrintJob) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, in order, one in memory at a time."""
    ids = list(job.files.order_by("position").values_list("pk", flat=True))
    for file_id in ids:
        row: PrintFile = PrintFile.objects.get(pk=file_id)
        yield row.name, bytes(row.content)
