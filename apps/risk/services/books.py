"""Changing the rules: a version a change, with a second member's confirmation where there is one."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState
from apps.approvals.selectors import needs_another
from apps.approvals.services import end_approval, request_approval
from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.risk.models import DraftState, RiskDraft, RiskRuleBook
from apps.risk.rules import Rules, write_rules
from apps.risk.selectors import latest_version

PERMISSION: Final = "risk.manage"


class RulesChanged(Exception):
    """The rules are no longer those that the writer began with, or another change waits. ``reason`` is which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InThePast(ValueError):
    """Rules cannot begin to hold on a day that is over."""


@transaction.atomic
def change_rules(
    *,
    rules: Rules,
    based_on: int,
    effective_from: date,
    reason: str,
    member: User,
    actor: Actor,
    today: date,
    now: datetime,
) -> RiskDraft:
    """Write new rules, of the version that the writer saw. In force at once, or when another member has confirmed.

    A one-person shop confirms to nobody. Raises BadRules, InThePast, RulesChanged ("version", "waiting").
    """
    book = write_rules(rules)
    if effective_from < today:
        raise InThePast(effective_from.isoformat())
    # One writer at a time a merchant: versions are numbered without gaps.
    Merchant.objects.select_for_update().get(pk=current_merchant_id())
    if RiskDraft.objects.filter(state=DraftState.WAITING).exists():
        raise RulesChanged("waiting")
    if latest_version() != based_on:
        raise RulesChanged("version")
    draft = RiskDraft.objects.create(
        based_on=based_on,
        effective_from=effective_from,
        rules=book,
        reason=reason,
        requested_by=member,
        created_at=now,
    )
    if needs_another(permission=PERMISSION, store_id=None, besides=member.pk, now=now):
        draft.approval = request_approval(
            subject_kind="risk_book",
            subject_id=draft.pk,
            store_id=None,
            summary={"reason": reason},
            digest=draft_digest(draft),
            permission=PERMISSION,
            needed=1,
            requested_by=member,
            now=now,
        )
        draft.save(update_fields=["approval"])
        audit.record(
            action="risk_rules.requested",
            subject_kind="risk_book",
            subject_id=draft.pk,
            actor=actor,
            at=now,
            data={"reason": reason},
        )
    else:
        _put_in_force(draft, actor=actor, now=now)
    return draft


def _put_in_force(draft: RiskDraft, *, actor: Actor, now: datetime) -> RiskRuleBook:
    book = RiskRuleBook.objects.create(
        version=draft.based_on + 1,
        effective_from=draft.effective_from,
        rules=draft.rules,
        reason=draft.reason,
        created_by=draft.requested_by,
        created_at=now,
    )
    draft.state = DraftState.IN_FORCE
    draft.ended_at = now
    draft.save(update_fields=["state", "ended_at"])
    audit.record(
        action="risk_rules.changed",
        subject_kind="risk_book",
        subject_id=book.pk,
        actor=actor,
        at=now,
        data={"version": book.version, "effective_from": book.effective_from.isoformat()},
    )
    return book


def draft_digest(draft: RiskDraft) -> bytes:
    """What is signed: every rule and number, the day, the reason and the version it was made of."""
    signed = [
        draft.pk,
        draft.based_on,
        draft.effective_from.isoformat(),
        draft.reason,
        draft.rules,
    ]
    return hashlib.sha256(json.dumps(signed, ensure_ascii=False, sort_keys=True).encode()).digest()


def hold_books(draft_id: int) -> None:
    """Take the lock under which versions are numbered, before the approval's own."""
    Merchant.objects.select_for_update().get(pk=current_merchant_id())


def draft_lapsed(draft_id: int) -> str:
    """Why a waiting draft can no longer hold: the rules were changed on another road; "" while it can."""
    draft = RiskDraft.objects.get(pk=draft_id)
    return "" if latest_version() == draft.based_on else "changed"


def release_draft(*, approval: Approval, actor: Actor, now: datetime) -> None:
    """Confirmed: the draft becomes the next version."""
    draft = RiskDraft.objects.select_for_update().get(
        pk=approval.subject_id, state=DraftState.WAITING
    )
    _put_in_force(draft, actor=actor, now=now)


def void_draft(*, approval: Approval, reason: str, actor: Actor, now: datetime) -> None:
    """Refused, expired or withdrawn: the rules stay as they are."""
    RiskDraft.objects.filter(pk=approval.subject_id, state=DraftState.WAITING).update(
        state=DraftState.DROPPED, ended_at=now
    )
    audit.record(
        action="risk_rules.dropped",
        subject_kind="risk_book",
        subject_id=approval.subject_id,
        actor=actor,
        at=now,
        data={"reason": reason},
    )


def withdraw_draft(*, draft_id: int, actor: Actor, now: datetime) -> None:
    """Take back a change that waits. Does nothing when it was decided meanwhile. Raises RiskDraft.DoesNotExist."""
    draft = RiskDraft.objects.get(pk=draft_id)
    if draft.approval_id is not None:
        end_approval(
            approval_id=draft.approval_id,
            state=ApprovalState.VOIDED,
            reason="withdrawn",
            actor=actor,
            now=now,
        )
