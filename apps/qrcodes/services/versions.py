"""Changing what a printed code does: now or at a time, undone before it begins, followed when its time comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from django.db import transaction

from apps.core import audit, outbox
from apps.core.audit import Actor
from apps.merchants.models import Terminal
from apps.qrcodes.models import CodeState, CodeVersion, QRCode, Scenario
from apps.qrcodes.selectors import scheduled_versions, version_in_force
from apps.qrcodes.services.codes import CodeRefused, CodeRetired, check_terms
from apps.qrcodes.terms import CodeTerms, columns, plain, terms_of

#: The due task that lets a code's own row follow a version whose time has come.
APPLY: Final = "qrcodes.apply_version"
#: More changes than this are not planned ahead for one code.
MOST_SCHEDULED: Final = 10


class CodeChanged(Exception):
    """Somebody else made another version meanwhile; ``version`` is the last one."""

    def __init__(self, version: CodeVersion) -> None:
        super().__init__(f"version {version.number}")
        self.version = version


class NothingChanged(Exception):
    """The terms are those that hold already."""


def _held(code_id: int) -> QRCode:
    code: QRCode = QRCode.objects.visible().select_for_update(no_key=True).get(pk=code_id)
    return code


@transaction.atomic
def revise_code(
    *,
    code_id: int,
    terms: CodeTerms,
    expected: int,
    actor: Actor,
    now: datetime,
    starts_at: datetime | None = None,
    reason: str = "",
) -> CodeVersion:
    """A new version of what a printed code does: from now on, or from ``starts_at``. Its link stays as it is.

    ``expected`` is the number of the last version that the writer saw. A version for now leaves those alone that are planned for
    later. Raises QRCode.DoesNotExist, CodeRetired, CodeChanged, NothingChanged, and what ``check_terms`` raises.
    """
    code = _held(code_id)
    if code.state == CodeState.RETIRED:
        raise CodeRetired(code.token)
    last: CodeVersion = CodeVersion.objects.filter(code=code).order_by("-number")[0]
    if last.number != expected:
        raise CodeChanged(last)
    terms = plain(terms)
    check_terms(terms, now=now, held=code.store_id)
    later = starts_at is not None and starts_at > now
    planned = scheduled_versions(code_id=code.pk, now=now)
    if later and len(planned) >= MOST_SCHEDULED:
        raise CodeRefused("starts_at", "too_many")
    if later and starts_at in {version.starts_at for version in planned}:
        raise CodeRefused("starts_at", "twice")
    if not later and terms == terms_of(version_in_force(code_id=code.pk, now=now)):
        raise NothingChanged(code.token)
    begins = starts_at if later and starts_at is not None else now
    version = _append(code, last, terms, starts_at=begins, actor=actor, now=now, reason=reason)
    if later:
        outbox.enqueue(
            task=APPLY,
            merchant_id=code.merchant_id,
            subject_id=code.pk,
            due_at=version.starts_at,
        )
    else:
        _follow(code, version)
    _record("code.scheduled" if later else "code.revised", code, version, actor=actor, now=now)
    return version


@transaction.atomic
def withdraw_version(*, code_id: int, number: int, actor: Actor, now: datetime) -> CodeVersion:
    """Take back a version that has not begun. Does nothing when it is withdrawn already.

    Raises QRCode.DoesNotExist, CodeVersion.DoesNotExist, and CodeRefused for one that has begun.
    """
    code = _held(code_id)
    version: CodeVersion = CodeVersion.objects.get(code=code, number=number)
    if version.withdrawn_at is not None:
        return version
    if version.starts_at <= now:
        raise CodeRefused("number", "begun")
    version.withdrawn_at = now
    version.save(update_fields=["withdrawn_at"])
    _record("code.withdrawn", code, version, actor=actor, now=now)
    return version


@transaction.atomic
def apply_version(*, code_id: int, now: datetime) -> datetime | None:
    """Let a code's own row follow the version in force; when the next one begins, None: no other is planned.

    What a code does never waits for this: its row serves lists and the wall between stores.
    """
    code: QRCode | None = QRCode.objects.select_for_update(no_key=True).filter(pk=code_id).first()
    if code is None:
        return None
    _follow(code, version_in_force(code_id=code.pk, now=now))
    planned = scheduled_versions(code_id=code.pk, now=now)
    return planned[0].starts_at if planned else None


@transaction.atomic
def assign_terminal(
    *, code_id: int, terminal_id: int | None, actor: Actor, now: datetime
) -> QRCode:
    """Let a code belong to a terminal of its store, or (None) to none: its later payments carry it, planned changes too.

    Does nothing when it already is so. Raises QRCode.DoesNotExist, Terminal.DoesNotExist, CodeRefused (another store's
    terminal, or one that is switched off), CodeRetired.
    """
    code = _held(code_id)
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
            raise CodeRefused("terminal", "elsewhere")
    holds = terms_of(version_in_force(code_id=code.pk, now=now))
    last: CodeVersion = CodeVersion.objects.filter(code=code).order_by("-number")[0]
    version = _append(
        code, last, replace(holds, terminal_id=terminal_id), starts_at=now, actor=actor, now=now
    )
    _carry_over(code, version, was=holds.terminal_id, actor=actor, now=now)
    _follow(code, version)
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


def _carry_over(
    code: QRCode, version: CodeVersion, *, was: int | None, actor: Actor, now: datetime
) -> None:
    """Let planned changes of the same store that named the terminal before name the new one: they were not about terminals."""
    last = version
    for planned in scheduled_versions(code_id=code.pk, now=now):
        if planned.store_id != version.store_id or planned.terminal_id != was:
            continue
        planned.withdrawn_at = now
        planned.save(update_fields=["withdrawn_at"])
        terms = replace(terms_of(planned), terminal_id=version.terminal_id)
        last = _append(
            code,
            last,
            terms,
            starts_at=planned.starts_at,
            actor=actor,
            now=now,
            reason=planned.reason,
        )


def _append(
    code: QRCode,
    last: CodeVersion,
    terms: CodeTerms,
    *,
    starts_at: datetime,
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> CodeVersion:
    version = CodeVersion(
        code=code,
        number=last.number + 1,
        starts_at=starts_at,
        made_at=now,
        made_by_id=actor.user_id,
        reason=reason,
        **columns(terms),
    )
    version.save(force_insert=True)
    return version


def _follow(code: QRCode, version: CodeVersion) -> None:
    code.store_id = version.store_id
    code.terminal_id = version.terminal_id
    code.amount_minor = version.amount_minor
    code.currency = version.currency
    code.valid_from = version.valid_from
    code.valid_until = version.valid_until
    code.save(
        update_fields=["store", "terminal", "amount_minor", "currency", "valid_from", "valid_until"]
    )
    Scenario.objects.filter(pk=code.scenario_id).update(
        store_id=version.store_id, name=version.name, name_en=version.name_en
    )


def _record(
    action: str, code: QRCode, version: CodeVersion, *, actor: Actor, now: datetime
) -> None:
    audit.record(
        action=action,
        subject_kind="code",
        subject_id=code.pk,
        store_id=version.store_id,
        actor=actor,
        at=now,
        data={
            "version": version.number,
            "starts_at": version.starts_at.isoformat(),
            "reason": version.reason,
        },
    )
