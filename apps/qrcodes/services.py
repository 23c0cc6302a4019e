"""Making codes, pausing, resuming and retiring them, giving them to terminals, counting scans."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.core.doors import make_door, new_token
from apps.core.money import MAX_AMOUNT_MINOR, Money
from apps.merchants.models import Store, Terminal
from apps.qrcodes.models import CodeState, QRCode, Scan, Scenario, ScenarioKind


class CodeRefused(ValueError):
    """A code cannot be made like this; ``field`` names what is wrong."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"a code cannot have this {field}")


class CodeRetired(Exception):
    """The code is retired, which is final."""


@transaction.atomic
def create_code(
    *,
    store_id: int,
    kind: str,
    name: str,
    actor: Actor,
    now: datetime,
    name_en: str = "",
    amount: Money | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> QRCode:
    """A scenario with its code, active at once. ``amount`` None: the payer types it. The period is half-open.

    Raises Store.DoesNotExist for a store out of scope and CodeRefused for a closed store, an unknown kind, an amount
    that no payment may have, or a period that ends before it begins.
    """
    store: Store = Store.objects.visible("pk").get(pk=store_id)
    if not store.is_active:
        raise CodeRefused("store")
    if kind not in ScenarioKind.values:
        raise CodeRefused("kind")
    if not name:
        raise CodeRefused("name")
    if amount is not None and not 0 < amount.minor <= MAX_AMOUNT_MINOR:
        raise CodeRefused("amount")
    if valid_from is not None and valid_until is not None and valid_until <= valid_from:
        raise CodeRefused("valid_until")
    scenario = Scenario(store=store, kind=kind, name=name, name_en=name_en, created_at=now)
    scenario.save(force_insert=True)
    code = QRCode(
        scenario=scenario,
        store=store,
        token=new_token(),
        amount_minor=None if amount is None else amount.minor,
        currency="CNY" if amount is None else amount.currency,
        valid_from=valid_from,
        valid_until=valid_until,
        created_at=now,
    )
    code.save(force_insert=True)
    make_door(kind="qrcode", token=code.token, merchant_id=code.merchant_id, subject_id=code.pk)
    audit.record(
        action="code.created",
        subject_kind="code",
        subject_id=code.pk,
        store_id=store.pk,
        actor=actor,
        at=now,
        data={
            "name": name,
            "kind": kind,
            "amount": None if amount is None else amount.to_yuan(),
            "valid_from": None if valid_from is None else valid_from.isoformat(),
            "valid_until": None if valid_until is None else valid_until.isoformat(),
        },
    )
    return code


def _move(*, code_id: int, state: CodeState, action: str, actor: Actor, now: datetime) -> QRCode:
    code: QRCode = QRCode.objects.visible().select_for_update().get(pk=code_id)
    if code.state == state:
        return code
    if code.state == CodeState.RETIRED:
        raise CodeRetired(code.token)
    code.state = state
    code.state_changed_at = now
    code.save(update_fields=["state", "state_changed_at"])
    audit.record(
        action=action,
        subject_kind="code",
        subject_id=code.pk,
        store_id=code.store_id,
        actor=actor,
        at=now,
    )
    return code


@transaction.atomic
def pause_code(*, code_id: int, actor: Actor, now: datetime) -> QRCode:
    """Take no payments until it is resumed. Does nothing when paused. Raises QRCode.DoesNotExist, CodeRetired."""
    return _move(
        code_id=code_id, state=CodeState.PAUSED, action="code.paused", actor=actor, now=now
    )


@transaction.atomic
def resume_code(*, code_id: int, actor: Actor, now: datetime) -> QRCode:
    """Take payments again. Does nothing when active. Raises QRCode.DoesNotExist, CodeRetired."""
    return _move(
        code_id=code_id, state=CodeState.ACTIVE, action="code.resumed", actor=actor, now=now
    )


@transaction.atomic
def retire_code(*, code_id: int, actor: Actor, now: datetime) -> QRCode:
    """Never take payments again: final. Does nothing when retired. Raises QRCode.DoesNotExist."""
    return _move(
        code_id=code_id, state=CodeState.RETIRED, action="code.retired", actor=actor, now=now
    )


@transaction.atomic
def assign_terminal(
    *, code_id: int, terminal_id: int | None, actor: Actor, now: datetime
) -> QRCode:
    """Let a code belong to a terminal of its store, or (None) to none: its later payments carry it.

    Does nothing when it already is so. Raises QRCode.DoesNotExist, Terminal.DoesNotExist, CodeRefused (another store's
    terminal, or one that is switched off), CodeRetired.
    """
    code: QRCode = QRCode.objects.visible().select_for_update(no_key=True).get(pk=code_id)
    if code.terminal_id == terminal_id:
        return code
    terminal = None
    if terminal_id is not None:
        if code.state == CodeState.RETIRED:
            raise CodeRetired(code.token)
        # Its row is held, so that it does not move to another store meanwhile.
        terminals = Terminal.objects.visible().select_for_update(no_key=True)
        terminal = terminals.get(pk=terminal_id)
        if terminal.store_id != code.store_id or not terminal.is_active:
            raise CodeRefused("terminal")
    code.terminal = terminal
    code.save(update_fields=["terminal"])
    audit.record(
        action="code.assigned" if terminal else "code.unassigned",
        subject_kind="code",
        subject_id=code.pk,
        store_id=code.store_id,
        actor=actor,
        at=now,
        data={"terminal_id": terminal_id, "terminal": terminal.name if terminal else ""},
    )
    return code


def record_scan(*, code: QRCode, wallet: str, now: datetime) -> Scan:
    """Count one opening of the code. ``wallet``: the platform whose app opened it, "" for another browser."""
    scan = Scan(code_id=code.pk, store_id=code.store_id, at=now, wallet=wallet)
    scan.save(force_insert=True)
    return scan
