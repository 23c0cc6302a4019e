"""Writing refund rules: a draft, its publication, under four eyes where a second member may confirm it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState
from apps.approvals.selectors import needs_another
from apps.approvals.services import end_approval, request_approval
from apps.core import audit
from apps.core.audit import Actor
from apps.core.money import MAX_AMOUNT_MINOR, InvalidAmount, Money
from apps.core.rules import Problem
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.refunds.models import DraftState, RefundRuleBook, RefundRuleDraft
from apps.refunds.rulefacts import refund_book
from apps.refunds.selectors import book_in_force, current_draft, problems_of, store_names

PUBLISH_PERMISSION = "rules.manage"


class ChangedMeanwhile(Exception):
    """The draft is not the one that the writer saw: changed, published, waiting or dropped by somebody else."""


class NotPublishable(Exception):
    """Rules that never decide, or a date that has passed. ``problems`` are empty where it is the date."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("rules never decide" if problems else "in the past")
        self.problems = problems


def _one_writer() -> None:
    """One writer at a time a merchant: versions are numbered without gaps, and there is one draft."""
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())


def _publish(
    content: Any,
    *,
    effective_at: datetime | None,
    member: User | None,
    approval: Approval | None,
    actor: Actor,
    now: datetime,
) -> RefundRuleBook:
    last = RefundRuleBook.objects.order_by("-number").first()
    book: RefundRuleBook = RefundRuleBook.objects.create(
        number=last.number + 1 if last else 1,
        content=content,
        effective_at=max(effective_at or now, now),
        made_by=member,
        approval=approval,
        published_at=now,
    )
    audit.record(
        action="rule.changed",
        subject_kind="rule",
        subject_id=book.pk,
        actor=actor,
        at=now,
        data={
            "version": book.number,
            "effective_at": book.effective_at.isoformat(),
            "rules": len(content["rules"]),
        },
    )
    return book


@transaction.atomic
def set_rule(
    *, threshold: Money, confirmations: int, member: User | None, actor: Actor, now: datetime
) -> RefundRuleBook:
    """A version with one rule, in force at once: up to the threshold at once, above it with one or two confirmations.

    For programs; people write drafts. Raises InvalidAmount for a threshold below zero or above the largest payment.
    """
    if not 0 <= threshold.minor <= MAX_AMOUNT_MINOR:
        raise InvalidAmount(threshold.to_yuan())
    _one_writer()
    outcome = "one" if confirmations == 1 else "two"
    content = {
        "rules": [{"when": {"total": {"over": threshold.minor}}, "outcome": outcome}],
        "otherwise": "at_once",
    }
    return _publish(content, effective_at=None, member=member, approval=None, actor=actor, now=now)


@transaction.atomic
def write_draft(
    *, content: Any, revision: int, member: User, actor: Actor, now: datetime
) -> RefundRuleDraft:
    """Keep the rules as they are now being written; ``revision`` is the draft's as the writer saw it, 0 where there was none.

    Raises BadBook, ChangedMeanwhile.
    """
    refund_book(content)
    _one_writer()
    draft = current_draft()
    if (draft.revision if draft else 0) != revision:
        raise ChangedMeanwhile
    if draft is None:
        # A revision never comes again, not even in another draft.
        last = RefundRuleDraft.objects.order_by("-revision").first()
        draft = RefundRuleDraft(
            based_on=book_in_force(now).number, revision=last.revision if last else 0
        )
        audit.record(
            action="rule.drafted",
            subject_kind="rule",
            subject_id=0,
            actor=actor,
            at=now,
            data={"based_on": draft.based_on},
        )
    elif draft.state != DraftState.OPEN:
        raise ChangedMeanwhile
    draft.content, draft.changed_by, draft.changed_at = content, member, now
    draft.revision += 1
    draft.save()
    return draft


def _seen(revision: int) -> RefundRuleDraft:
    """The draft as the writer saw it, for whom nobody else writes. Raises ChangedMeanwhile."""
    _one_writer()
    draft = current_draft()
    if draft is None or draft.revision != revision:
        raise ChangedMeanwhile
    return draft


@transaction.atomic
def drop_draft(*, revision: int, actor: Actor, now: datetime) -> None:
    """Throw the draft away; one that waits for confirmation becomes a draft again. Raises ChangedMeanwhile."""
    draft = _seen(revision)
    if draft.state == DraftState.WAITING and draft.approval_id is not None:
        end_approval(
            approval_id=draft.approval_id,
            state=ApprovalState.VOIDED,
            reason="withdrawn",
            actor=actor,
            now=now,
        )
        return
    draft.state, draft.changed_at = DraftState.DROPPED, now
    draft.save(update_fields=["state", "changed_at"])
    audit.record(
        action="rule.dropped",
        subject_kind="rule",
        subject_id=draft.pk,
        actor=actor,
        at=now,
        data={},
    )


def draft_digest(draft: RefundRuleDraft) -> bytes:
    """SHA-256 over what is confirmed: the rules, and from when they hold."""
    signed = {
        "content": draft.content,
        "revision": draft.revision,
        "effective_at": draft.effective_at.isoformat() if draft.effective_at else "",
    }
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).digest()


@transaction.atomic
def publish_draft(
    *, revision: int, effective_at: datetime | None, member: User, actor: Actor, now: datetime
) -> RefundRuleDraft:
    """Let the draft come into force, at once (None) or then; where another member may confirm it, ask for that first.

    Raises ChangedMeanwhile, NotPublishable.
    """
    draft = _seen(revision)
    if draft.state != DraftState.OPEN:
        raise ChangedMeanwhile
    problems = [one for one in problems_of(refund_book(draft.content), store_names()) if one.number]
    if problems or (effective_at is not None and effective_at < now):
        raise NotPublishable(problems)
    draft.effective_at = effective_at
    if needs_another(permission=PUBLISH_PERMISSION, store_id=None, besides=member.pk, now=now):
        draft.state = DraftState.WAITING
        draft.approval = request_approval(
            subject_kind="refund_rules",
            subject_id=draft.pk,
            store_id=None,
            summary={"rules": len(draft.content["rules"])},
            digest=draft_digest(draft),
            permission=PUBLISH_PERMISSION,
            needed=1,
            requested_by=member,
            now=now,
        )
        audit.record(
            action="rule.asked",
            subject_kind="rule",
            subject_id=draft.pk,
            actor=actor,
            at=now,
            data={},
        )
    else:
        draft.state = DraftState.PUBLISHED
        _publish(
            draft.content,
            effective_at=effective_at,
            member=member,
            approval=None,
            actor=actor,
            now=now,
        )
    draft.save()
    return draft


def release_rules(*, approval: Approval, actor: Actor, now: datetime) -> None:
    """Confirmed: the draft becomes a version, in the approval's transaction."""
    draft = RefundRuleDraft.objects.filter(
        pk=approval.subject_id, approval_id=approval.pk, state=DraftState.WAITING
    ).first()
    if draft is None:
        return
    draft.state = DraftState.PUBLISHED
    draft.save(update_fields=["state"])
    _publish(
        draft.content,
        effective_at=draft.effective_at,
        member=approval.requested_by,
        approval=approval,
        actor=actor,
        now=now,
    )


def void_rules(*, approval: Approval, actor: Actor, now: datetime) -> None:
    """Refused, withdrawn, changed or expired: a draft again, in the approval's transaction."""
    RefundRuleDraft.objects.filter(
        pk=approval.subject_id, approval_id=approval.pk, state=DraftState.WAITING
    ).update(state=DraftState.OPEN)
    audit.record(
        action="rule.not_confirmed",
        subject_kind="rule",
        subject_id=approval.subject_id,
        actor=actor,
        at=now,
        data={},
    )


def hold_rules() -> None:
    """What must be held before a rules' approval: whoever writes holds it first."""
    _one_writer()
