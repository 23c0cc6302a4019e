"""Keeping a merchant's designs: made, changed, taken as the default, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.qrcodes.artwork import Design, DesignRefused
from apps.qrcodes.models import ArtworkDesign
from apps.qrcodes.proof import require_scannable
from apps.qrcodes.selectors import look_of, sample_link

#: More looks than this nobody keeps apart.
MOST_DESIGNS: Final = 50


def _columns(design: Design) -> dict[str, Any]:
    logo = design.logo
    return {
        "level": design.level,
        "shape": design.shape,
        "foreground": design.foreground.upper(),
        "background": design.background.upper(),
        "accent": design.accent.upper(),
        "language": design.language,
        "wallet_marks": design.wallet_marks,
        "logo": None if logo is None else logo.data,
        "logo_width": 0 if logo is None else logo.width,
        "logo_height": 0 if logo is None else logo.height,
        "logo_percent": design.logo_percent,
    }


def _told(design: Design) -> dict[str, Any]:
    """What the audit trail keeps: everything but the logo's bytes."""
    facts = _columns(design)
    del facts["logo"]
    return facts | {"has_logo": design.logo is not None}


def _record(
    row: ArtworkDesign, action: str, *, actor: Actor, now: datetime, **more: object
) -> None:
    audit.record(
        action=action,
        subject_kind="design",
        subject_id=row.pk,
        actor=actor,
        at=now,
        data={"name": row.name, **more},
    )


def _require_free_name(name: str, *, but: int = 0) -> None:
    if ArtworkDesign.objects.filter(name=name).exclude(pk=but).exists():
        raise DesignRefused("name", "name_taken")


@contextmanager
def _name_taken() -> Iterator[None]:
    """Of two members who save the same name at once, the second meets the table's constraint: he is told the same."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "qrcodes_design_name" in str(error):
            raise DesignRefused("name", "name_taken") from error
        raise


@transaction.atomic
def create_design(
    *, name: str, design: Design, actor: Actor, now: datetime, default: bool = False
) -> ArtworkDesign:
    """Keep a look under a name; the merchant's first becomes the default by itself.

    Raises DesignRefused: a name that is taken, too many designs, a logo larger than this merchant's codes bear; WouldNotScan.
    """
    require_scannable(design, sample_link())
    _require_free_name(name)
    count = ArtworkDesign.objects.count()
    if count >= MOST_DESIGNS:
        raise DesignRefused("name", "too_many", most=MOST_DESIGNS)
    row = ArtworkDesign(name=name, created_at=now, changed_at=now, **_columns(design))
    with _name_taken():
        row.save(force_insert=True)
    _record(row, "design.created", actor=actor, now=now, **_told(design))
    if default or not count:
        _take_as_default(row, actor=actor, now=now)
    return row


@transaction.atomic
def change_design(
    *, design_id: int, name: str, design: Design, actor: Actor, now: datetime
) -> ArtworkDesign:
    """Give a design another name or look. What is printed already stays as it is, and scans as before.

    Raises ArtworkDesign.DoesNotExist and what ``create_design`` raises.
    """
    require_scannable(design, sample_link())
    row: ArtworkDesign = ArtworkDesign.objects.select_for_update().get(pk=design_id)
    _require_free_name(name, but=row.pk)
    row.name = name
    for column, value in _columns(design).items():
        setattr(row, column, value)
    row.changed_at = now
    with _name_taken():
        row.save()
    _record(row, "design.changed", actor=actor, now=now, **_told(design))
    return row


def _take_as_default(row: ArtworkDesign, *, actor: Actor, now: datetime) -> None:
    ArtworkDesign.objects.filter(is_default=True).exclude(pk=row.pk).update(is_default=False)
    row.is_default = True
    row.save(update_fields=["is_default"])
    _record(row, "design.default", actor=actor, now=now)


@transaction.atomic
def make_default(*, design_id: int, actor: Actor, now: datetime) -> ArtworkDesign:
    """Let codes be printed in this design unless another is chosen. Does nothing when it is so.

    Raises DoesNotExist, and for a design from before today's rules DesignRefused and WouldNotScan.
    """
    # All rows, in one order: two members who choose at the same moment come one after the other.
    rows = {row.pk: row for row in ArtworkDesign.objects.select_for_update().order_by("pk")}
    if design_id not in rows:
        raise ArtworkDesign.DoesNotExist
    row: ArtworkDesign = rows[design_id]
    if not row.is_default:
        require_scannable(look_of(row), sample_link())
        _take_as_default(row, actor=actor, now=now)
    return row


@transaction.atomic
def delete_design(*, design_id: int, actor: Actor, now: datetime) -> None:
    """Forget a design. Codes go on in the house's plain look if it was the default. Raises ArtworkDesign.DoesNotExist."""
    row: ArtworkDesign = ArtworkDesign.objects.select_for_update().get(pk=design_id)
    _record(row, "design.deleted", actor=actor, now=now)
    row.delete()
