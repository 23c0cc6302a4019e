"""Files that people hand in: imported at once or by a worker, cancelled, refused and kept for a look, deleted after their time.

The file is stored first, with who handed it in. What is refused stays here, sealed, and nothing else of it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import IO, Final

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, clock, outbox
from apps.core.audit import Actor
from apps.core.encryption import CannotOpen
from apps.core.tenancy import current_merchant_id
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.statements import wording
from apps.statements.models import UNDER_WAY, Statement, Upload, UploadState
from apps.statements.selectors import current_statement
from apps.statements.services.importing import import_statement
from apps.statements.services.keeping import (
    FileGone,
    delete_file,
    first_opened,
    keep_file,
    measure,
    open_file,
)
from apps.statements.services.reading import (
    StatementRefused,
    max_bytes,
    refuse_large,
    refuse_unfinished,
)

TASK: Final = "statements.import"
#: When to look again while another worker is at it.
_LATER: Final = timedelta(seconds=15)


class UploadCancelled(Exception):
    """Somebody cancelled the import, or deleted the upload, while it ran. Nothing was stored."""


class NotUnderWay(Exception):
    """The upload has come to its end already; ``state`` says which."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


def hand_in(
    *,
    account_id: int,
    kind: StatementKind,
    day: date,
    filename: str,
    content: IO[bytes],
    member: User,
    actor: Actor,
    now: datetime,
) -> Upload:
    """Take in a file. A small one has come to its end when this returns, a larger one is imported by a worker.

    Of a file that is here already nothing is stored: its upload has no id.

    Not inside a transaction. Raises StatementRefused for a day that is not over or a file too large to be kept at all, and
    PlatformAccount.DoesNotExist; then nothing was stored.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    refuse_unfinished(day=day, now=now)
    digest, size = measure(content, limit=max_bytes())
    refuse_large(size)
    same = current_statement(account_id=account_id, kind=kind.value, day=day)
    if same is not None and same.sha256 == digest:
        return Upload(
            account=account, kind=kind.value, day=day, state=UploadState.SAME, statement=same
        )
    large = size > settings.STATEMENT_BACKGROUND_BYTES
    with transaction.atomic():
        upload = Upload.objects.create(
            account=account,
            kind=kind.value,
            day=day,
            file=keep_file(content, filename=filename, sha256=digest, byte_count=size, now=now),
            filename=filename[:160],
            sha256=digest,
            byte_count=size,
            uploaded_by=member,
            created_at=now,
        )
        _audit("statement.uploaded", upload, actor=actor, now=now)
        # A small one as well: should this process end before it is done, a worker does it.
        outbox.enqueue(
            task=TASK,
            merchant_id=upload.merchant_id,
            subject_id=upload.pk,
            due_at=now if large else now + timedelta(minutes=2),
        )
    if not large:
        run_upload(upload_id=upload.pk, actor=actor, now=now)
        upload.refresh_from_db()
    return upload


def run_upload(*, upload_id: int, now: datetime, actor: Actor | None = None) -> datetime | None:
    """Import a file that was handed in, unless that is over; returns when to look again, where somebody else is at it.

    Never inside a transaction: how far it is, is told while it runs. Whatever a killed process left is begun anew.
    """
    with outbox.turn(task=f"{TASK}/{upload_id}", places=1) as mine:
        if not mine:
            return clock.now() + _LATER
        upload = _begin(upload_id, now=now)
        if upload is not None:
            _run(upload, actor=actor or _actor_of(upload), now=now)
    outbox.forget(task=TASK, merchant_id=current_merchant_id(), subject_id=upload_id)
    return None


def _begin(upload_id: int, *, now: datetime) -> Upload | None:
    begun = Upload.objects.filter(pk=upload_id, state__in=UNDER_WAY).update(
        state=UploadState.RUNNING, started_at=now, done_bytes=0, done_rows=0
    )
    if not begun:
        return None
    return Upload.objects.select_related("account", "file", "uploaded_by").get(pk=upload_id)


def _actor_of(upload: Upload) -> Actor:
    member = upload.uploaded_by
    return Actor(member.email, member.pk) if member else Actor.system("upload")


def _run(upload: Upload, *, actor: Actor, now: datetime) -> None:
    assert upload.file is not None  # noqa: S101  # kept as long as it is under way
    try:
        with open_file(upload.file) as source:
            statement = import_statement(
                account_id=upload.account_id,
                kind=StatementKind(upload.kind),
                day=upload.day,
                filename=upload.filename,
                content=source,
                uploaded_by=upload.uploaded_by,
                actor=actor,
                now=now,
                kept=upload.file,
                watch=lambda rows: _tell(upload.pk, rows=rows, done=source.tell()),
                ending=lambda made: _end(
                    upload.pk, UploadState.IMPORTED, now=now, file=None, statement=made
                ),
            )
    except StatementRefused as error:
        _refuse(upload, error.kept, actor=actor, now=now)
    except CannotOpen:
        _refuse(upload, wording.kept_unreadable(wording.LOCKED), actor=actor, now=now)
    except UploadCancelled:
        # Whoever cancelled it has taken the file away as well.
        return
    else:
        if statement.file_id != upload.file_id:
            _same(upload, statement, now=now)


def _tell(upload_id: int, *, rows: int, done: int) -> None:
    """Tell how far it is. Raises UploadCancelled."""
    running = Upload.objects.filter(pk=upload_id, state=UploadState.RUNNING)
    if not running.update(done_rows=rows, done_bytes=done):
        raise UploadCancelled


def _end(upload_id: int, state: UploadState, *, now: datetime, **facts: object) -> None:
    """Bring a running upload to its end in the caller's transaction. Raises UploadCancelled where it runs no more."""
    running = Upload.objects.filter(pk=upload_id, state=UploadState.RUNNING)
    if not running.update(state=state, finished_at=now, **facts):
        raise UploadCancelled


@transaction.atomic
def _refuse(upload: Upload, kept: str, *, actor: Actor, now: datetime) -> None:
    expires_at = now + timedelta(days=settings.STATEMENT_QUARANTINE_DAYS)
    refused = Upload.objects.filter(pk=upload.pk, state=UploadState.RUNNING).update(
        state=UploadState.REFUSED, finished_at=now, detail=kept[:300], expires_at=expires_at
    )
    if refused:
        _audit("statement.refused", upload, actor=actor, now=now, reason=kept)


@transaction.atomic
def _same(upload: Upload, statement: Statement, *, now: datetime) -> None:
    ended = Upload.objects.filter(pk=upload.pk, state=UploadState.RUNNING).update(
        state=UploadState.SAME, finished_at=now, file=None, statement=statement
    )
    if ended and upload.file_id is not None:
        delete_file(upload.file_id)


@transaction.atomic
def cancel_upload(*, upload_id: int, actor: Actor, now: datetime) -> Upload:
    """End an import that waits or runs; nothing of the file is stored. Raises Upload.DoesNotExist, NotUnderWay."""
    upload = (
        Upload.objects.select_related("account").select_for_update(of=("self",)).get(pk=upload_id)
    )
    if upload.state not in UNDER_WAY:
        raise NotUnderWay(upload.state)
    file_id = upload.file_id
    upload.state, upload.file, upload.finished_at = UploadState.CANCELLED, None, now
    upload.save(update_fields=["state", "file", "finished_at"])
    if file_id is not None:
        delete_file(file_id)
    outbox.forget(task=TASK, merchant_id=upload.merchant_id, subject_id=upload.pk)
    _audit("statement.upload_cancelled", upload, actor=actor, now=now)
    return upload


def read_upload(*, upload_id: int, actor: Actor, now: datetime) -> tuple[Upload, Iterator[bytes]]:
    """The original of a refused upload, in pieces; the reading is audited.

    Raises Upload.DoesNotExist, FileGone, encryption.CannotOpen.
    """
    upload = Upload.objects.select_related("account").get(pk=upload_id)
    if upload.state != UploadState.REFUSED or upload.file_id is None:
        raise FileGone(upload_id)
    pieces = first_opened(upload.file_id)
    _audit("statement.refused_downloaded", upload, actor=actor, now=now)
    return upload, pieces


@transaction.atomic
def delete_upload(*, upload_id: int, actor: Actor, now: datetime) -> None:
    """Delete a refused upload for good. Raises Upload.DoesNotExist, NotUnderWay where it is not a refused one."""
    upload = (
        Upload.objects.select_related("account").select_for_update(of=("self",)).get(pk=upload_id)
    )
    if upload.state != UploadState.REFUSED:
        raise NotUnderWay(upload.state)
    _delete(upload)
    _audit("statement.refused_deleted", upload, actor=actor, now=now)


@transaction.atomic
def expire_uploads(*, now: datetime) -> int:
    """Delete the merchant's refused uploads whose time is over; how many."""
    over = Upload.objects.filter(state=UploadState.REFUSED, expires_at__lte=now)
    found = list(over.select_related("account").select_for_update(of=("self",), skip_locked=True))
    for upload in found:
        _delete(upload)
        _audit("statement.refused_expired", upload, actor=Actor.system("statements"), now=now)
    return len(found)


def _delete(upload: Upload) -> None:
    file_id = upload.file_id
    Upload.objects.filter(pk=upload.pk).delete()
    if file_id is not None:
        delete_file(file_id)


def _audit(action: str, upload: Upload, *, actor: Actor, now: datetime, reason: str = "") -> None:
    data = {
        "account": upload.account.label,
        "kind": upload.kind,
        "day": upload.day.isoformat(),
        "filename": upload.filename,
        "sha256": upload.sha256,
    }
    if reason:
        data["reason"] = reason
    audit.record(
        action=action,
        subject_kind="upload",
        subject_id=upload.pk,
        actor=actor,
        at=now,
        data=data,
    )
