"""Codes in lists, and how often each was opened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

from django.db.models import Count, Q

from apps.core.clock import business_date, business_period
from apps.core.tenancy import ScopedQuerySet
from apps.merchants.models import Merchant
from apps.qrcodes.models import CodeState, QRCode, Scan
from apps.qrcodes.selectors.codes import display_state
from apps.qrcodes.selectors.watching import quiet_ids

PAGE_SIZE: Final = 24


@dataclass(frozen=True, slots=True)
class CodeFilters:
    """What the list shows. ``state``: "" for all but retired, "all", "quiet", or a state as ``display_state`` gives it."""

    store_id: int | None = None
    kind: str = ""
    state: str = ""
    text: str = ""
    #: 0: those in no folder.
    folder_id: int | None = None
    label: str = ""
    batch_id: int | None = None


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A code as the list shows it."""

    code: QRCode
    state: str
    scans_today: int


@dataclass(frozen=True, slots=True)
class CodePage:
    """One page of codes, newest first; ``newer`` and ``older`` are ids to go on from, None at an end."""

    rows: list[CodeRow]
    newer: int | None
    older: int | None


def _in_state(codes: ScopedQuerySet[QRCode], state: str, now: datetime) -> ScopedQuerySet[QRCode]:
    early = Q(valid_from__gt=now)
    late = Q(valid_until__lte=now)
    match state:
        case "":
            return codes.exclude(state=CodeState.RETIRED)
        case "active":
            return codes.filter(state=CodeState.ACTIVE).exclude(early).exclude(late)
        case "not_yet":
            return codes.filter(early, state=CodeState.ACTIVE)
        case "expired":
            return codes.filter(late, state=CodeState.ACTIVE).exclude(early)
        case "paused" | "retired":
            return codes.filter(state=state)
        case _:
            return codes


def list_codes(
    filters: CodeFilters, *, now: datetime, day_starts_at: time = time(0)
) -> ScopedQuerySet[QRCode]:
    """The codes of the stores in scope that pass the filters, newest first."""
    codes: ScopedQuerySet[QRCode] = QRCode.objects.visible().select_related(
        "scenario", "store", "folder"
    )
    if filters.state == "quiet":
        codes = codes.filter(pk__in=quiet_ids(now=now, day_starts_at=day_starts_at))
    else:
        codes = _in_state(codes, filters.state, now)
    if filters.store_id is not None:
        codes = codes.filter(store_id=filters.store_id)
    if filters.kind:
        codes = codes.filter(scenario__kind=filters.kind)
    if filters.folder_id is not None:
        inside = Q(folder_id=filters.folder_id) if filters.folder_id else Q(folder=None)
        codes = codes.filter(inside)
    if filters.label:
        codes = codes.filter(labels__contains=[filters.label])
    if filters.batch_id is not None:
        codes = codes.filter(batch_id=filters.batch_id)
    if filters.text:
        codes = codes.filter(
            Q(scenario__name__icontains=filters.text)
            | Q(scenario__name_en__icontains=filters.text)
            | Q(token__startswith=filters.text)
        )
    return codes.order_by("-pk")


def page_codes(
    filters: CodeFilters,
    *,
    merchant: Merchant,
    now: datetime,
    after: int | None = None,
    before: int | None = None,
    size: int = PAGE_SIZE,
) -> CodePage:
    """One page of ``list_codes``: older than the id ``after``, newer than the id ``before``, or the newest."""
    codes = list_codes(filters, now=now, day_starts_at=merchant.day_starts_at)
    if before is not None:
        found = list(codes.filter(pk__gt=before).order_by("pk")[: size + 1])
        has_newer, has_older = len(found) > size, True
        found = found[:size][::-1]
    else:
        if after is not None:
            codes = codes.filter(pk__lt=after)
        found = list(codes[: size + 1])
        has_newer, has_older = after is not None, len(found) > size
        found = found[:size]
    scans = scans_today((code.pk for code in found), merchant=merchant, now=now)
    return CodePage(
        rows=[CodeRow(code, display_state(code, now), scans.get(code.pk, 0)) for code in found],
        newer=found[0].pk if found and has_newer else None,
        older=found[-1].pk if found and has_older else None,
    )


def scans_today(code_ids: Iterable[int], *, merchant: Merchant, now: datetime) -> dict[int, int]:
    """How often each code was opened since the business day began; codes without a scan are absent."""
    ids = list(code_ids)
    if not ids:
        return {}
    day = business_date(now, merchant.day_starts_at)
    start, end = business_period(day, merchant.day_starts_at)
    counted = (
        Scan.objects.filter(code_id__in=ids, at__gte=start, at__lt=end)
        .order_by()
        .values("code_id")
        .annotate(count=Count("pk"))
    )
    return {row["code_id"]: row["count"] for row in counted}


def has_codes() -> bool:
    """Whether the stores in scope have any code, retired ones too."""
    return bool(QRCode.objects.visible().exists())
