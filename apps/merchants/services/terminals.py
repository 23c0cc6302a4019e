"""The devices that stand in a merchant's stores and take payments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import psycopg
from django.db import IntegrityError, transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.merchants.models import Store, Terminal

#: Makers of devices as they stand in shops, to choose from while typing; others may be typed as well.
BRANDS: Final = (
    "拉卡拉",
    "银联商务",
    "新大陆",
    "商米",
    "联迪",
    "百富",
    "华智融",
    "惠尔丰",
    "升腾",
    "优博讯",
    "通联支付",
    "富友",
    "收钱吧",
)


class TerminalNameTaken(Exception):
    """The store has another terminal of this name."""


class TerminalSerialTaken(Exception):
    """Another terminal of the merchant has this brand and serial number."""


def _save(terminal: Terminal, **how: bool | list[str]) -> None:
    """Raises TerminalNameTaken, TerminalSerialTaken."""
    try:
        with transaction.atomic():
            terminal.save(**how)  # type: ignore[arg-type]  # force_insert or update_fields
    except IntegrityError as error:
        cause = error.__cause__
        broken = cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
        if broken == "merchants_terminal_name":
            raise TerminalNameTaken(terminal.name) from error
        if broken == "merchants_terminal_serial":
            raise TerminalSerialTaken(terminal.serial_no) from error
        raise


@transaction.atomic
def add_terminal(
    *,
    store_id: int,
    name: str,
    actor: Actor,
    now: datetime,
    brand: str = "",
    model_name: str = "",
    serial_no: str = "",
    note: str = "",
) -> Terminal:
    """A device in a store. Raises Store.DoesNotExist, TerminalNameTaken, TerminalSerialTaken."""
    store: Store = Store.objects.visible("pk").get(pk=store_id)
    terminal = Terminal(
        store=store,
        name=name,
        brand=brand,
        model_name=model_name,
        serial_no=serial_no,
        note=note,
        created_at=now,
    )
    _save(terminal, force_insert=True)
    _record(
        "terminal.added",
        terminal,
        {"name": name, "brand": brand, "serial_no": serial_no},
        actor=actor,
        now=now,
    )
    return terminal


@transaction.atomic
def update_terminal(
    *,
    terminal_id: int,
    store_id: int,
    name: str,
    brand: str,
    model_name: str,
    serial_no: str,
    note: str,
    actor: Actor,
    now: datetime,
) -> Terminal:
    """Change what is known of a terminal, or the store it stands in; payments taken before stay where they were taken.

    Raises Terminal.DoesNotExist, Store.DoesNotExist, TerminalNameTaken, TerminalSerialTaken.
    """
    terminal = _lock(terminal_id)
    store: Store = Store.objects.visible("pk").get(pk=store_id)
    wanted = {
        "store_id": store.pk,
        "name": name,
        "brand": brand,
        "model_name": model_name,
        "serial_no": serial_no,
        "note": note,
    }
    changes = {
        field: [getattr(terminal, field), value]
        for field, value in wanted.items()
        if getattr(terminal, field) != value
    }
    if not changes:
        return terminal
    for field in changes:
        setattr(terminal, field, wanted[field])
    _save(terminal, update_fields=list(changes))
    _record("terminal.changed", terminal, changes, actor=actor, now=now)
    return terminal


@transaction.atomic
def set_terminal_active(*, terminal_id: int, active: bool, actor: Actor, now: datetime) -> Terminal:
    """Switch a terminal off, so that the till no longer offers it, or on again; its codes go on working.

    Does nothing when it already is so. Raises Terminal.DoesNotExist.
    """
    terminal = _lock(terminal_id)
    if terminal.is_active == active:
        return terminal
    terminal.is_active = active
    terminal.save(update_fields=["is_active"])
    action = "terminal.switched_on" if active else "terminal.switched_off"
    _record(action, terminal, {"name": terminal.name}, actor=actor, now=now)
    return terminal


def _lock(terminal_id: int) -> Terminal:
    terminal: Terminal = (
        Terminal.objects.visible().select_for_update(no_key=True).get(pk=terminal_id)
    )
    return terminal


def _record(
    action: str, terminal: Terminal, data: Mapping[str, object], *, actor: Actor, now: datetime
) -> None:
    audit.record(
        action=action,
        subject_kind="terminal",
        subject_id=terminal.pk,
        store_id=terminal.store_id,
        actor=actor,
        at=now,
        data=dict(data),
    )
