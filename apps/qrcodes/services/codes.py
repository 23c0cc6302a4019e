"""Making codes, pausing, resuming and retiring them, giving them to terminals, counting scans."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.core.doors import make_door, new_token
from apps.core.money import Money
from apps.merchants.models import Store, Terminal
from apps.qrcodes.models import (
    CodeState,
    CodeVersion,
    Pricing,
    QRCode,
    Scenario,
    ScenarioKind,
    ScenarioTemplate,
)
from apps.qrcodes.terms import CodeTerms, columns, money_of, plain, problems_of


class CodeRefused(ValueError):
    """A code cannot be like this; ``field`` names what is wrong, ``reason`` why (see ``terms.TermsProblem``)."""

    def __init__(self, field: str, reason: str = "") -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"a code cannot have this {field}: {reason}")


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
    """A scenario with its code, active at once, of the plainest terms. ``amount`` None: the payer types it.

    Raises as ``make_code`` does.
    """
    terms = CodeTerms(
        store_id=store_id,
        name=name,
        name_en=name_en,
        pricing=Pricing.OPEN if amount is None else Pricing.FIXED,
        amount_minor=None if amount is None else amount.minor,
        currency="CNY" if amount is None else amount.currency,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    return make_code(kind=kind, terms=terms, actor=actor, now=now)


@transaction.atomic
def make_code(
    *,
    kind: str,
    terms: CodeTerms,
    actor: Actor,
    now: datetime,
    template_id: int | None = None,
    copied_from: int | None = None,
) -> QRCode:
    """A scenario with its code and version 1, active at once. ``template_id``: the merchant's own template it was made by.

    Raises Store.DoesNotExist for a store out of scope, ScenarioTemplate.DoesNotExist, Terminal.DoesNotExist, and CodeRefused for
    a closed store, an unknown kind, another store's terminal, or terms that do not go together.
    """
    if kind not in ScenarioKind.values:
        raise CodeRefused("kind")
    template = None if template_id is None else ScenarioTemplate.objects.get(pk=template_id)
    terms = plain(terms)
    store, terminal = check_terms(terms, now=now)
    scenario = Scenario(
        store=store,
        kind=kind,
        name=terms.name,
        name_en=terms.name_en,
        template=template,
        created_at=now,
    )
    scenario.save(force_insert=True)
    code = QRCode(
        scenario=scenario,
        store=store,
        terminal=terminal,
        token=new_token(),
        amount_minor=terms.amount_minor,
        currency=terms.currency,
        valid_from=terms.valid_from,
        valid_until=terms.valid_until,
        created_at=now,
    )
    code.save(force_insert=True)
    CodeVersion(
        code=code,
        number=1,
        starts_at=now,
        made_at=now,
        made_by_id=actor.user_id,
        **columns(terms),
    ).save(force_insert=True)
    make_door(kind="qrcode", token=code.token, merchant_id=code.merchant_id, subject_id=code.pk)
    amount = money_of(terms.amount_minor, terms)
    audit.record(
        action="code.created",
        subject_kind="code",
        subject_id=code.pk,
        store_id=store.pk,
        actor=actor,
        at=now,
        data={
            "name": terms.name,
            "kind": kind,
            "amount": None if amount is None else amount.to_yuan(),
            "valid_from": None if terms.valid_from is None else terms.valid_from.isoformat(),
            "valid_until": None if terms.valid_until is None else terms.valid_until.isoformat(),
            **({} if copied_from is None else {"copied_from": copied_from}),
        },
    )
    return code


def check_terms(
    terms: CodeTerms, *, now: datetime, held: int | None = None
) -> tuple[Store, Terminal | None]:
    """The store and terminal of sound terms, both rows held. ``held``: the store that the code is in already.

    Raises Store.DoesNotExist, Terminal.DoesNotExist, CodeRefused.
    """
    for problem in problems_of(terms, now=now):
        raise CodeRefused(problem.field, problem.reason)
    # Its row is held, so that it is not closed meanwhile.
    store: Store = Store.objects.visible("pk").select_for_update(no_key=True).get(pk=terms.store_id)
    if not store.is_active and store.pk != held:
        raise CodeRefused("store", "closed")
    if terms.terminal_id is None:
        return store, None
    # Its row is held, so that it does not move to another store meanwhile.
    terminals = Terminal.objects.visible().select_for_update(no_key=True)
    terminal: Terminal = terminals.get(pk=terms.terminal_id)
    if terminal.store_id != store.pk:
        raise CodeRefused("terminal", "elsewhere")
    return store, terminal


def _move(
    *,
    code_id: int,
    state: CodeState,
    action: str,
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> QRCode:
    code: QRCode = QRCode.objects.visible().select_for_update().get(pk=code_id)
    if code.state == state:
        return code
    if code.state == CodeState.RETIRED:
        raise CodeRetired(code.token)
    code.state = state
    code.state_changed_at = now
    code.state_reason = reason
    code.save(update_fields=["state", "state_changed_at", "state_reason"])
    audit.record(
        action=action,
        subject_kind="code",
        subject_id=code.pk,
        store_id=code.store_id,
        actor=actor,
        at=now,
        data={"reason": reason} if reason else {},
    )
    return code


@transaction.atomic
def pause_code(*, code_id: int, actor: Actor, now: datetime, reason: str = "") -> QRCode:
    """Take no payments until it is resumed. Does nothing when paused. Raises QRCode.DoesNotExist, CodeRetired."""
    return _move(
        code_id=code_id,
        state=CodeState.PAUSED,
        action="code.paused",
        actor=actor,
        now=now,
        reason=reason,
    )


@transaction.atomic
def resume_code(*, code_id: int, actor: Actor, now: datetime) -> QRCode:
    """Take payments again. Does nothing when active. Raises QRCode.DoesNotExist, CodeRetired."""
    return _move(
        code_id=code_id, state=CodeState.ACTIVE, action="code.resumed", actor=actor, now=now
    )


@transaction.atomic
def retire_code(*, code_id: int, actor: Actor, now: datetime, reason: str = "") -> QRCode:
    """Never take payments again: final. Does nothing when retired. Raises QRCode.DoesNotExist."""
    return _move(
        code_id=code_id,
        state=CodeState.RETIRED,
        action="code.retired",
        actor=actor,
        now=now,
        reason=reason,
    )


_SCAN = "INSERT INTO qrcodes_scan (merchant_id, code_id, store_id, at, wallet) VALUES (%s, %s, %s, %s, %s)"
