"""Files as received: sealed in pieces, read again as streams, handed out."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Final

from apps.core import audit
from apps.core.audit import Actor
from apps.core.encryption import CannotOpen, seal, unseal
from apps.core.tenancy import current_merchant_id
from apps.statements.models import BillFile, FilePiece, Statement

#: Bytes in one piece.
PIECE: Final = 1024 * 1024
_PURPOSE: Final = "statement"


class FileGone(Exception):
    """The bill's rows are here, its file was deleted after its time."""


def measure(source: IO[bytes], *, limit: int) -> tuple[str, int]:
    """SHA-256 (hex) and number of bytes of a file; no more than a little over ``limit`` bytes are read."""
    digest, size = hashlib.sha256(), 0
    source.seek(0)
    while size <= limit and (piece := source.read(PIECE)):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def keep_file(
    source: IO[bytes], *, filename: str, sha256: str, byte_count: int, now: datetime
) -> BillFile:
    """Store a file, encrypted piece by piece. Inside the caller's transaction."""
    file = BillFile.objects.create(
        filename=filename[:160], sha256=sha256, byte_count=byte_count, created_at=now
    )
    source.seek(0)
    number = 0
    while piece := source.read(PIECE):
        FilePiece.objects.create(
            file=file,
            number=number,
            sealed=seal(piece, merchant_id=file.merchant_id, purpose=_PURPOSE),
        )
        number += 1
    return file


def delete_file(file_id: int) -> None:
    """Delete a file that nothing names any more."""
    FilePiece.objects.filter(file_id=file_id).delete()
    BillFile.objects.filter(pk=file_id).delete()


def pieces_of(file_id: int) -> Iterator[bytes]:
    """The bytes of a file, piece by piece. Raises CannotOpen."""
    merchant_id = current_merchant_id()
    numbers = FilePiece.objects.filter(file_id=file_id).order_by("number")
    for number in list(numbers.values_list("number", flat=True)):
        piece = FilePiece.objects.get(file_id=file_id, number=number)
        yield unseal(bytes(piece.sealed), merchant_id=merchant_id, purpose=_PURPOSE)


def open_file(file: BillFile) -> IO[bytes]:
    """A stored file for reading, as a temporary file without a name. Raises CannotOpen.

    While its rows are streamed into the database the connection is busy, so its pieces cannot be asked for one by one.
    """
    opened = tempfile.TemporaryFile()  # noqa: SIM115  # whoever asks closes it
    try:
        for piece in pieces_of(file.pk):
            opened.write(piece)
    except BaseException:
        opened.close()
        raise
    opened.seek(0)
    return opened


def read_file(
    *, statement_id: int, actor: Actor, now: datetime
) -> tuple[Statement, Iterator[bytes]]:
    """The bill file byte for byte as received, in pieces; the reading is audited.

    Raises Statement.DoesNotExist, FileGone, encryption.CannotOpen (at once where the first piece does not open).
    """
    statement = Statement.objects.select_related("account").get(pk=statement_id)
    if statement.file_id is None:
        raise FileGone(statement_id)
    pieces = first_opened(statement.file_id)
    audit.record(
        action="statement.downloaded",
        subject_kind="statement",
        subject_id=statement.pk,
        actor=actor,
        at=now,
        data={
            "account": statement.account.label,
            "kind": statement.kind,
            "day": statement.day.isoformat(),
            "version": statement.version,
            "sha256": statement.sha256,
        },
    )
    return statement, pieces


def first_opened(file_id: int) -> Iterator[bytes]:
    """The pieces of a file, of which the first is opened now. Raises CannotOpen."""
    pieces = pieces_of(file_id)
    first = next(pieces, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from pieces

    return rest()


__all__ = [
    "PIECE",
    "CannotOpen",
    "FileGone",
    "delete_file",
    "first_opened",
    "keep_file",
    "measure",
    "open_file",
    "pieces_of",
    "read_file",
]
