"""Papers of agreements: judged, sealed in pieces, handed out and deleted, each of it in the audit trail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.encryption import CannotOpen, seal, unseal
from apps.core.names import one_line
from apps.core.papers import PaperRefused, judge_paper
from apps.core.tenancy import current_merchant_id
from apps.platforms.models import AgreementDocument, DocumentPiece, PlatformAccount
from apps.platforms.selectors.agreements import get_document
from apps.platforms.services.accounts import AccountNotFound

PURPOSE: Final = "agreement"
#: Bytes in one piece.
PIECE: Final = 1024 * 1024
#: Most papers of one account.
MOST_PAPERS: Final = 50


def keep_document(
    *,
    account_id: int,
    title: str,
    filename: str,
    content: bytes,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> AgreementDocument:
    """Keep a paper of an account's agreement. Raises AccountNotFound, PaperRefused; then nothing is kept."""
    paper = judge_paper(content, filename=filename)
    account = PlatformAccount.objects.filter(pk=account_id).first()
    if account is None:
        raise AccountNotFound(account_id)
    if AgreementDocument.objects.filter(account=account).count() >= MOST_PAPERS:
        raise PaperRefused(_("This account has %(most)d papers already.") % {"most": MOST_PAPERS})
    digest = hashlib.sha256(content).hexdigest()
    name = one_line(filename)
    try:
        with transaction.atomic():
            document: AgreementDocument = AgreementDocument.objects.create(
                account=account,
                title=one_line(title)[:80] or name[:80],
                filename=name[-160:],
                kind=paper.kind,
                sha256=digest,
                byte_count=len(content),
                page_count=paper.page_count,
                created_at=now,
                created_by=member,
            )
            DocumentPiece.objects.bulk_create(
                DocumentPiece(
                    document=document,
                    number=number,
                    sealed=seal(
                        content[at : at + PIECE], merchant_id=document.merchant_id, purpose=PURPOSE
                    ),
                )
                for number, at in enumerate(range(0, len(content), PIECE))
            )
            _record("agreement.paper_kept", document, actor, now)
    except IntegrityError as error:
        if "platforms_document_once" not in str(error):
            raise
        raise PaperRefused(_("This paper is here already.")) from error
    return document


def read_document(
    *, document_id: int, actor: Actor, now: datetime
) -> tuple[AgreementDocument, Iterator[bytes]]:
    """A paper byte for byte, in pieces of which the first is opened now; the reading is audited.

    Raises AgreementDocument.DoesNotExist, CannotOpen.
    """
    document = get_document(document_id)
    pieces = _pieces(document.pk)
    first = next(pieces, b"")
    _record("agreement.paper_read", document, actor, now)

    def whole() -> Iterator[bytes]:
        yield first
        yield from pieces

    return document, whole()


@transaction.atomic
def delete_document(*, document_id: int, actor: Actor, now: datetime) -> AgreementDocument:
    """Delete a paper for good. Raises AgreementDocument.DoesNotExist."""
    document = get_document(document_id)
    _record("agreement.paper_deleted", document, actor, now)
    DocumentPiece.objects.filter(document=document).delete()
    AgreementDocument.objects.filter(pk=document.pk).delete()
    return document


def _pieces(document_id: int) -> Iterator[bytes]:
    merchant_id = current_merchant_id()
    rows = DocumentPiece.objects.filter(document_id=document_id)
    for number in list(rows.order_by("number").values_list("number", flat=True)):
        piece = rows.get(number=number)
        yield unseal(bytes(piece.sealed), merchant_id=merchant_id, purpose=PURPOSE)


def _record(action: str, document: AgreementDocument, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject_kind="account",
        subject_id=document.account_id,
        actor=actor,
        at=now,
        data={
            "title": document.title,
            "filename": document.filename,
            "kind": document.kind,
            "sha256": document.sha256,
            "bytes": document.byte_count,
        },
    )


__all__ = ["CannotOpen", "delete_document", "keep_document", "read_document"]
