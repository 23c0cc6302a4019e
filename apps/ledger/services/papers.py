"""Papers of adjustments: judged by content, sealed in pieces, kept with the adjustment and never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from apps.core import audit
from apps.core.audit import Actor
from apps.core.encryption import CannotOpen, seal, unseal
from apps.core.names import one_line
from apps.core.papers import Paper, PaperRefused, judge_paper
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Adjustment, AdjustmentPaper, PaperPiece
from apps.ledger.selectors.papers import get_paper

PURPOSE: Final = "adjustment"
#: Largest paper, in bytes, and most papers of one adjustment.
MOST_BYTES: Final = 10 * 1024 * 1024
MOST_PAPERS: Final = 5
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A file as somebody handed it in."""

    filename: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Judged:
    """A file that may be kept: what it is, and the SHA-256 of its bytes."""

    file: HandedIn
    paper: Paper
    sha256: str


def judge_papers(files: Sequence[HandedIn]) -> list[Judged]:
    """What the files are; the same one twice is one. Raises PaperRefused, naming the file."""
    if len(files) > MOST_PAPERS:
        raise PaperRefused(
            _("At most %(most)d files go with one adjustment.") % {"most": MOST_PAPERS}
        )
    judged: dict[str, Judged] = {}
    for file in files:
        try:
            paper = judge_paper(file.content, filename=file.filename, most=MOST_BYTES)
        except PaperRefused as refused:
            raise PaperRefused(f"{one_line(file.filename)[-60:]}: {refused.message}") from refused
        digest = hashlib.sha256(file.content).hexdigest()
        judged.setdefault(digest, Judged(file, paper, digest))
    return list(judged.values())


def keep_papers(adjustment: Adjustment, files: Sequence[Judged], *, now: datetime) -> None:
    """Keep them with an adjustment that was not asked for yet, in the caller's transaction."""
    for judged in files:
        content = judged.file.content
        paper: AdjustmentPaper = AdjustmentPaper.objects.create(
            adjustment=adjustment,
            filename=one_line(judged.file.filename)[-160:],
            kind=judged.paper.kind,
            sha256=judged.sha256,
            byte_count=len(content),
            page_count=judged.paper.page_count,
            created_at=now,
        )
        PaperPiece.objects.bulk_create(
            PaperPiece(
                paper=paper,
                number=number,
                sealed=seal(
                    content[at : at + _PIECE], merchant_id=paper.merchant_id, purpose=PURPOSE
                ),
            )
            for number, at in enumerate(range(0, len(content), _PIECE))
        )


def read_paper(
    *, adjustment_id: int, paper_id: int, actor: Actor, now: datetime
) -> tuple[AdjustmentPaper, Iterator[bytes]]:
    """A paper byte for byte, in pieces of which the first is opened now; the reading is audited.

    Raises AdjustmentPaper.DoesNotExist, CannotOpen.
    """
    paper = get_paper(adjustment_id, paper_id)
    pieces = _pieces(paper.pk)
    first = next(pieces, b"")
    audit.record(
        action="adjustment.paper_read",
        subject_kind="adjustment",
        subject_id=adjustment_id,
        actor=actor,
        at=now,
        data={"filename": paper.filename, "sha256": paper.sha256},
    )

    def whole() -> Iterator[bytes]:
        yield first
        yield from pieces

    return paper, whole()


def damaged_paper() -> str:
    """The first paper that is not, byte for byte, what was handed in; "" where all are."""
    for paper in AdjustmentPaper.objects.order_by("pk").iterator(chunk_size=100):
        digest = hashlib.sha256()
        size = 0
        try:
            for piece in _pieces(paper.pk):
                digest.update(piece)
                size += len(piece)
        except CannotOpen:
            return f"paper {paper.pk} of adjustment {paper.adjustment_id}, it cannot be decrypted"
        if (digest.hexdigest(), size) != (paper.sha256, paper.byte_count):
            return f"paper {paper.pk} of adjustment {paper.adjustment_id}, its bytes are others"
    return ""


def _pieces(paper_id: int) -> Iterator[bytes]:
    merchant_id = current_merchant_id()
    rows = PaperPiece.objects.filter(paper_id=paper_id)
    for number in list(rows.order_by("number").values_list("number", flat=True)):
        piece = rows.get(number=number)
        yield unseal(bytes(piece.sealed), merchant_id=merchant_id, purpose=PURPOSE)
