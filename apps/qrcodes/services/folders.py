"""Folders and labels: where codes are kept together."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_scope
from apps.qrcodes.batches import label_flaw
from apps.qrcodes.models import CodeFolder, QRCode
from apps.qrcodes.services.codes import CodeRefused

#: More folders than this nobody finds anything in.
MOST_FOLDERS: Final = 200


class NameTaken(ValueError):
    """Another folder has this name."""


class FolderShared(Exception):
    """Codes of stores that the member does not reach lie in the folder."""


def _held(folder_id: int) -> CodeFolder:
    folder: CodeFolder = CodeFolder.objects.select_for_update().get(pk=folder_id)
    stores = current_scope().store_ids
    if stores is not None:
        others = QRCode.objects.filter(folder=folder).exclude(store_id__in=stores)
        if others.exists():
            raise FolderShared(folder.name)
    return folder


def _record(
    folder: CodeFolder, action: str, *, actor: Actor, now: datetime, **more: object
) -> None:
    audit.record(
        action=action,
        subject_kind="folder",
        subject_id=folder.pk,
        actor=actor,
        at=now,
        data={"name": folder.name, **more},
    )


@transaction.atomic
def folder_named(name: str, *, actor: Actor, now: datetime) -> CodeFolder:
    """The folder of this name, made where there is none. Raises CodeRefused when there are too many."""
    found: CodeFolder | None = CodeFolder.objects.filter(name=name).first()
    if found is not None:
        return found
    if CodeFolder.objects.count() >= MOST_FOLDERS:
        raise CodeRefused("folder", "too_many")
    folder = CodeFolder(name=name, created_at=now)
    try:
        with transaction.atomic():
            folder.save(force_insert=True)
    except IntegrityError:
        # Somebody made it at the same moment.
        twin: CodeFolder = CodeFolder.objects.get(name=name)
        return twin
    _record(folder, "folder.created", actor=actor, now=now)
    return folder


def folder_for(
    *, folder_id: int | None, new_folder: str, actor: Actor, now: datetime
) -> CodeFolder | None:
    """The folder that codes go into, its row held, so that nobody deletes it meanwhile: the one of ``new_folder``'s name, made where
    there is none, else that of the id; None for none. Belongs into the caller's transaction, before any code is held.

    Raises CodeFolder.DoesNotExist, and CodeRefused when there are too many.
    """
    if new_folder:
        folder_id = folder_named(new_folder, actor=actor, now=now).pk
    return None if folder_id is None else held_folder(folder_id)


def held_folder(folder_id: int) -> CodeFolder:
    """A folder into which codes may be put until the transaction ends: it can be neither deleted nor renamed. Raises DoesNotExist."""
    folder: CodeFolder = CodeFolder.objects.select_for_update(no_key=True).get(pk=folder_id)
    return folder


@transaction.atomic
def rename_folder(*, folder_id: int, name: str, actor: Actor, now: datetime) -> CodeFolder:
    """Call a folder otherwise. Raises CodeFolder.DoesNotExist, NameTaken, FolderShared."""
    folder = _held(folder_id)
    if folder.name == name:
        return folder
    before, folder.name = folder.name, name
    try:
        with transaction.atomic():
            folder.save(update_fields=["name"])
    except IntegrityError as error:
        raise NameTaken(name) from error
    _record(folder, "folder.renamed", actor=actor, now=now, before=before)
    return folder


@transaction.atomic
def delete_folder(*, folder_id: int, actor: Actor, now: datetime) -> int:
    """Take a folder away; how many codes lay in it: they stay, in no folder. Raises CodeFolder.DoesNotExist, FolderShared."""
    folder = _held(folder_id)
    count: int = QRCode.objects.filter(folder=folder).update(folder=None)
    _record(folder, "folder.deleted", actor=actor, now=now, codes=count)
    folder.delete()
    return count


@transaction.atomic
def file_code(
    *, code_id: int, folder_id: int | None, labels: tuple[str, ...], actor: Actor, now: datetime
) -> QRCode:
    """Put one code into a folder (None: none) and give it these labels. Does nothing when it is so already.

    Raises QRCode.DoesNotExist, CodeFolder.DoesNotExist, CodeRefused for labels that are too long or too many.
    """
    if reason := label_flaw(labels):
        raise CodeRefused("labels", reason)
    folder = None if folder_id is None else held_folder(folder_id)
    code: QRCode = QRCode.objects.visible().select_for_update(no_key=True).get(pk=code_id)
    if code.folder_id == folder_id and code.labels == list(labels):
        return code
    code.folder, code.labels = folder, list(labels)
    code.save(update_fields=["folder", "labels"])
    audit.record(
        action="code.filed",
        subject_kind="code",
        subject_id=code.pk,
        store_id=code.store_id,
        actor=actor,
        at=now,
        data={"folder": folder.name if folder else "", "labels": list(labels)},
    )
    return code
