"""The files of a closed day: written once, kept sealed, given out byte for byte."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Final

from django.db import transaction

from apps.core import audit, live, sql
from apps.core.audit import Actor
from apps.core.encryption import seal, unseal
from apps.core.tenancy import current_scope, enter_scope
from apps.merchants.models import Merchant
from apps.reconciliation import day_files
from apps.reconciliation.day_files import DayFileMaker, MadeFile
from apps.reconciliation.models import DayClose, DayFile, DayFilePart

#: Bytes of a kept piece, before it is sealed.
PART_BYTES: Final = 1 << 20
#: A file up to this size is put together in memory.
_SPOOL_BYTES: Final = 4 << 20
_PURPOSE: Final = "day-file"
_HOLD_CLOSE: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


class FileDamaged(Exception):
    """A kept file is not what it was when it was written."""


def write_day_files(*, close_id: int, now: datetime) -> int:
    """Write the files of a closing that are not there yet, each in a transaction of its own; how many were written.

    Everything in them is booked on a closed day, so a worker that comes after a killed one writes the same bytes. Raises
    DayClose.DoesNotExist, and what a maker raises: the files before it are kept.
    """
    close = DayClose.objects.select_related("closed_by").get(pk=close_id)
    slug = Merchant.objects.values_list("slug", flat=True).get(pk=close.merchant_id)
    there = set(close.files.values_list("name", flat=True))
    written = 0
    for name, maker in day_files.makers().items():
        if name in close.file_names and name not in there:
            written += _write(close, maker, slug=slug, now=now)
    return written


def _write(close: DayClose, maker: DayFileMaker, *, slug: str, now: datetime) -> bool:
    made = maker.make(close)
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        digest, size = _gather(made, spool)
        spool.seek(0)
        with transaction.atomic():
            # Of two workers, the second sees what the first has kept.
            sql.run(_HOLD_CLOSE, [f"day-files/{close.pk}"])
            if close.files.filter(name=maker.name).exists():
                return False
            kept = DayFile.objects.create(
                close=close,
                name=maker.name,
                filename=f"{slug}-{maker.name}-{close.day:%Y%m%d}-v{close.version}.{maker.ending}",
                content_type=maker.content_type,
                sha256=digest,
                byte_count=size,
                row_count=made.rows,
                amount_minor=made.amount_minor,
                made_at=now,
            )
            for number, piece in enumerate(iter(lambda: spool.read(PART_BYTES), b"")):
                DayFilePart.objects.create(
                    file=kept,
                    number=number,
                    content_sealed=seal(piece, merchant_id=close.merchant_id, purpose=_PURPOSE),
                )
            audit.record(
                action="day.file_written",
                subject_kind="day_close",
                subject_id=close.pk,
                actor=Actor.system("reconciliation"),
                at=now,
                data={"file": kept.filename, "sha256": digest, "bytes": size},
            )
            live.publish(kind="day", subject_id=close.pk, store_id=None)
    return True


def _gather(made: MadeFile, spool: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for piece in made.pieces:
        digest.update(piece)
        size += spool.write(piece)
    return digest.hexdigest(), size


def kept_pieces(file: DayFile) -> Iterator[bytes]:
    """The file's bytes, a piece at a time. It enters the present scope again by itself when it is read.

    Raises CannotOpen at once where the file does not open at all.
    """
    scope = current_scope()
    piece = _piece(file, 0)

    def pieces() -> Iterator[bytes]:
        following, number = piece, 0
        with enter_scope(scope):
            while following is not None:
                yield following
                number += 1
                following = _piece(file, number)

    return pieces()


def _piece(file: DayFile, number: int) -> bytes | None:
    rows = DayFilePart.objects.filter(file_id=file.pk, number=number)
    sealed = rows.values_list("content_sealed", flat=True).first()
    if sealed is None:
        return None
    return unseal(bytes(sealed), merchant_id=file.merchant_id, purpose=_PURPOSE)


def verify_file(file: DayFile) -> None:
    """Read a kept file through. Raises FileDamaged where its bytes are not those that were written, CannotOpen."""
    digest, size = hashlib.sha256(), 0
    for piece in kept_pieces(file):
        digest.update(piece)
        size += len(piece)
    if digest.hexdigest() != file.sha256 or size != file.byte_count:
        raise FileDamaged(
            f"{file.filename}: {size} bytes of {file.byte_count}, {digest.hexdigest()}"
        )


def record_file_download(*, file: DayFile, actor: Actor, now: datetime) -> None:
    """Who took which file of a closed day out of the house."""
    audit.record(
        action="export.downloaded",
        subject_kind="day_close",
        subject_id=file.close_id,
        actor=actor,
        at=now,
        data={"kind": file.name, "file": file.filename, "sha256": file.sha256},
    )
