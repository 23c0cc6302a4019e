"""What many codes have in common: folders, labels, batches, print jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from django.db.models import Count, Func, Q, Sum
from django.db.models.functions import Coalesce

from apps.core.tenancy import MerchantScoped, ScopedQuerySet, current_scope
from apps.merchants.models import Merchant, Store
from apps.qrcodes.artwork import Placard, TextTooLong
from apps.qrcodes.artwork.fonts import missing_glyphs, tidy
from apps.qrcodes.artwork.placard import caption, place_fits
from apps.qrcodes.batches import Flaw, Row
from apps.qrcodes.models import (
    CodeBatch,
    CodeFolder,
    CodeState,
    CodeVersion,
    PrintJob,
    QRCode,
)
from apps.qrcodes.selectors.looks import in_language, trial_placards
from apps.qrcodes.terms import CodeTerms, terms_of

M = TypeVar("M", bound=MerchantScoped)

#: Labels that are offered for filtering.
LABELS_OFFERED: Final = 100
#: Acts and print jobs that their lists show.
LIST_LIMIT: Final = 50


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A folder and how many codes of the stores in scope lie in it, retired ones not counted."""

    folder: CodeFolder
    codes: int


def list_folders() -> list[CodeFolder]:
    """The merchant's folders, by name."""
    return list(CodeFolder.objects.order_by("name"))


def count_folders() -> list[FolderRow]:
    """The merchant's folders with their codes, by name."""
    scope = current_scope()
    counted = ~Q(codes__state=CodeState.RETIRED)
    if scope.store_ids is not None:
        counted &= Q(codes__store_id__in=scope.store_ids)
    folders = CodeFolder.objects.order_by("name").annotate(count=Count("codes", filter=counted))
    return [FolderRow(folder, folder.count) for folder in folders]


def get_folder(folder_id: int) -> CodeFolder:
    """Raises CodeFolder.DoesNotExist."""
    folder: CodeFolder = CodeFolder.objects.get(pk=folder_id)
    return folder


def list_labels() -> list[str]:
    """The labels in use at the stores in scope, by name; at most ``LABELS_OFFERED``."""
    used = QRCode.objects.visible().exclude(labels=[]).exclude(state=CodeState.RETIRED)
    each = used.order_by().annotate(each=Func("labels", function="unnest"))
    labels = each.values_list("each", flat=True).distinct().order_by("each")
    return sorted(labels[:LABELS_OFFERED])


def terms_in_force(codes: Sequence[QRCode], *, now: datetime) -> dict[int, CodeTerms]:
    """What each of these codes says at ``now``, by its id."""
    versions = CodeVersion.objects.filter(
        code_id__in=[code.pk for code in codes], starts_at__lte=now, withdrawn_at=None
    )
    newest = versions.order_by("code_id", "-starts_at", "-number").distinct("code_id")
    return {version.code_id: terms_of(version) for version in newest}


def names_taken(names: Iterable[str], *, store_id: int) -> frozenset[str]:
    """Those of these names that a code of the store has already, retired ones not counted."""
    codes = QRCode.objects.visible().filter(store_id=store_id).exclude(state=CodeState.RETIRED)
    taken = codes.filter(scenario__name__in=list(names)).values_list("scenario__name", flat=True)
    return frozenset(taken)


def batch_of(nonce: str) -> CodeBatch | None:
    """The batch that a form made already, None where it made none."""
    found: CodeBatch | None = CodeBatch.objects.filter(nonce=nonce).first()
    return found


def print_flaws(rows: Sequence[Row], *, store: Store, merchant: Merchant) -> list[Flaw]:
    """Rows whose names no placard can show: characters that the font lacks, or too long beside the store's name."""
    flaws: list[Flaw] = []
    # All but the name is the same on every row's placard: it is looked at once.
    bare = trial_placards(store=store, merchant=merchant, name="", name_en="")
    hopeless = not all(_has_room(placard) for placard in bare)
    stores = {placard.language: tidy(placard.store_name) for placard in bare}
    for row in rows:
        name, name_en = row.terms.name, row.terms.name_en
        missing = {"name": missing_glyphs(name), "name_en": missing_glyphs(name_en)}
        found = [
            Flaw(row.line, field, "unprintable", " ".join(characters))
            for field, characters in missing.items()
            if characters
        ]
        if not found:
            places = {
                " · ".join(part for part in (head, tidy(in_language(name, name_en, one))) if part)
                for one, head in stores.items()
            }
            if hopeless or not all(map(place_fits, places)):
                found = [Flaw(row.line, "name", "too_long_to_print", name)]
        flaws += found
    return flaws


def _has_room(placard: Placard) -> bool:
    try:
        caption(placard)
    except TextTooLong:
        return False
    return True


def chosen_codes(code_ids: Sequence[int]) -> list[QRCode]:
    """These codes of the stores in scope with scenario and store, the first to be made first."""
    codes = QRCode.objects.visible().filter(pk__in=code_ids)
    return list(codes.select_related("scenario__template", "store").order_by("pk"))


def own_rows(rows: ScopedQuerySet[M], member_id: int) -> ScopedQuerySet[M]:
    """What covers stores of all sorts: a member limited to some stores sees what he made himself."""
    rows = rows.select_related("made_by")
    return rows if current_scope().store_ids is None else rows.filter(made_by_id=member_id)


def list_prints(*, member_id: int) -> list[PrintJob]:
    """Print jobs, the newest first."""
    rows = own_rows(PrintJob.objects.get_queryset(), member_id)
    return list(rows.order_by("-pk")[:LIST_LIMIT])


def used_bytes() -> int:
    """The bytes of all the merchant's print files."""
    return int(PrintJob.objects.aggregate(used=Coalesce(Sum("size"), 0))["used"])


def get_print(job_id: int, *, member_id: int) -> PrintJob:
    """Raises PrintJob.DoesNotExist."""
    job: PrintJob = own_rows(PrintJob.objects.get_queryset(), member_id).get(pk=job_id)
    return job
