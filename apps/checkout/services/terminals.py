"""Terminals, as far as more than one room below must agree."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core.audit import Actor
from apps.merchants.models import Terminal
from apps.merchants.services import update_terminal
from apps.qrcodes.selectors import codes_of_terminals, has_plans_elsewhere


class TerminalHasCodes(Exception):
    """Codes of its store belong to the terminal, now or by a planned change, so it cannot move to another."""


@transaction.atomic
def change_terminal(
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
    """As ``merchants.services.update_terminal``; a terminal to which codes belong stays in its store.

    Raises TerminalHasCodes, Terminal.DoesNotExist, Store.DoesNotExist, TerminalNameTaken, TerminalSerialTaken.
    """
    terminal = update_terminal(
        terminal_id=terminal_id,
        store_id=store_id,
        name=name,
        brand=brand,
        model_name=model_name,
        serial_no=serial_no,
        note=note,
        actor=actor,
        now=now,
    )
    # After its row was locked: whoever gives it a code waits for that lock, and then sees where it stands.
    codes = codes_of_terminals([terminal_id]).get(terminal_id, [])
    if any(code.store_id != store_id for code in codes) or has_plans_elsewhere(
        terminal_id=terminal_id, store_id=store_id, now=now
    ):
        raise TerminalHasCodes(terminal_id)
    return terminal
