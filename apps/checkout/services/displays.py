"""Displays on the wall: a page for a screen in the store that anybody with its link may open, until it is taken down."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.checkout.models import WallDisplay
from apps.core import audit
from apps.core.audit import Actor
from apps.core.doors import make_door, new_token
from apps.core.models import Door, door_hash

#: What a display's door is called.
WALL_DOOR: Final = "wall"
#: 20 characters carry about 116 bits.
_TOKEN_LENGTH: Final = 20


@transaction.atomic
def put_up_display(
    *,
    store_id: int,
    code_id: int | None,
    terminal_id: int | None = None,
    name: str,
    member: User,
    now: datetime,
    actor: Actor,
) -> WallDisplay:
    """A new display with its link. Store, and code or terminal (None: what any desk asks for), are the caller's to check."""
    wall: WallDisplay = WallDisplay.objects.create(
        store_id=store_id,
        code_id=code_id,
        terminal_id=terminal_id,
        name=name,
        token=new_token(_TOKEN_LENGTH),
        made_by=member,
        made_at=now,
    )
    make_door(kind=WALL_DOOR, token=wall.token, merchant_id=wall.merchant_id, subject_id=wall.pk)
    audit.record(
        action="wall.made",
        subject_kind="wall",
        subject_id=wall.pk,
        actor=actor,
        at=now,
        store_id=store_id,
        data={"code_id": code_id, "terminal_id": terminal_id},
    )
    return wall


@transaction.atomic
def take_down_display(*, wall_id: int, now: datetime, actor: Actor) -> WallDisplay:
    """End a display's link for good. Ending it again changes nothing. Raises WallDisplay.DoesNotExist."""
    wall: WallDisplay = WallDisplay.objects.select_for_update().get(pk=wall_id)
    if wall.taken_down_at is not None:
        return wall
    wall.taken_down_at = now
    wall.save(update_fields=["taken_down_at"])
    Door.objects.filter(
        kind=WALL_DOOR, token_hash=door_hash(wall.token), merchant_id=wall.merchant_id
    ).delete()
    audit.record(
        action="wall.revoked",
        subject_kind="wall",
        subject_id=wall.pk,
        actor=actor,
        at=now,
        store_id=wall.store_id,
    )
    return wall
