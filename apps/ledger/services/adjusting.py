"""Adjustments: balanced entries that somebody asks for, under four eyes above the merchant's limit.

An adjustment is never edited. What is wrong is undone by another one with the sides exchanged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import end_approval, hold_approval, request_approval
from apps.core import audit, sql
from apps.core.audit import Actor
from apps.core.money import InvalidAmount, Money
from apps.core.tenancy import current_merchant_id
from apps.ledger import followers
from apps.ledger.models import (
    Adjustment,
    AdjustmentLine,
    AdjustmentPaper,
    AdjustmentRule,
    AdjustmentState,
    Purpose,
)
from apps.ledger.selectors import current_limit, reversal_of
from apps.ledger.services.booking import Line, account_ids, balanced, booking_date, post
from apps.ledger.services.papers import HandedIn, Judged, judge_papers, keep_papers
from apps.ledger.services.reasons import known_reason
from apps.merchants.models import Merchant

ADJUST_PERMISSION = "ledger.adjust"
#: The largest limit that makes sense, in fen.
MOST_LIMIT = 100_000_000_000

_HOLD_KEY = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


class NotReversible(Exception):
    """``reason``: ``"not_posted"``, ``"is_reversal"`` or ``"reversed"`` (already, or asked for already)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotWaiting(Exception):
    """The adjustment no longer waits for confirmation, so it cannot be withdrawn."""


def adjustment_digest(adjustment: Adjustment) -> bytes:
    """SHA-256 over what is confirmed: the lines with their accounts, reason, memo, day, papers and what is reversed."""
    lines = AdjustmentLine.objects.filter(adjustment=adjustment).order_by("pk")
    signed: dict[str, Any] = {
        "id": adjustment.pk,
        "reason": adjustment.reason,
        "memo": adjustment.memo,
        "amount_minor": adjustment.amount_minor,
        "at": adjustment.at.isoformat(),
        "subject": f"{adjustment.subject_kind}:{adjustment.subject_id}",
        "reverses": adjustment.reverses_id,
        "lines": list(lines.values_list("account_id", "amount_minor")),
    }
    papers = AdjustmentPaper.objects.filter(adjustment=adjustment).order_by("pk")
    handed_in = list(papers.values_list("filename", "sha256", "byte_count"))
    # Without papers nothing is added, so that what was asked for before there were any is still what was signed.
    if handed_in:
        signed["papers"] = handed_in
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).digest()


def _record(adjustment: Adjustment, action: str, *, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject_kind="adjustment",
        subject_id=adjustment.pk,
        actor=actor,
        at=now,
        data={
            "amount_minor": adjustment.amount_minor,
            "reason": adjustment.reason,
            "memo": adjustment.memo,
            "reverses": adjustment.reverses_id,
            "entry": adjustment.entry_id,
            **({"why": adjustment.message} if adjustment.message else {}),
        },
    )


@transaction.atomic
def post_adjustment(
    *,
    reason: str,
    memo: str,
    lines: Sequence[Line],
    at: datetime,
    member: User | None,
    actor: Actor,
    now: datetime,
    subject_kind: str = "",
    subject_id: int = 0,
    confirm: bool | None = None,
    key: str = "",
    papers: Sequence[HandedIn] = (),
) -> Adjustment:
    """Book by hand: at once, or when another member has confirmed it; the returned state says which.

    ``at``: an instant of the business day it is for; a closed one gives way to the first open day after it.
    ``member`` None is the portal itself carrying out a rule of the merchant: such a booking is never put before a second
    person. ``confirm`` overrides the merchant's limit for callers with a rule of their own (a write-off limit):
    False books at once, True always asks. ``subject_kind`` and ``subject_id`` name what is settled by it.
    With a ``key`` chosen beforehand (40 characters at most) a second call finds the first one's adjustment and makes none.
    ``reason``: a code of every merchant's or of this one's. ``papers`` go with it and are part of what is confirmed.
    Raises NotBalanced, NoOpenDay, ReasonRefused, PaperRefused.
    """
    if key:
        # Of two calls at once, the second sees what the first has made.
        sql.run(_HOLD_KEY, [f"adjustment/{current_merchant_id()}/{key}"])
        earlier: Adjustment | None = Adjustment.objects.filter(key=key).first()
        if earlier is not None:
            return earlier
    return _ask(
        reason=known_reason(reason),
        papers=judge_papers(papers),
        memo=memo,
        lines=lines,
        at=at,
        member=member,
        actor=actor,
        now=now,
        subject=(subject_kind, subject_id),
        confirm=confirm,
        key=key,
    )


def hold_adjustment(adjustment_id: int) -> Adjustment:
    """The adjustment, held until the transaction ends as whoever decides about it holds it. Raises Adjustment.DoesNotExist.

    What its follower needs comes first, then its approval, then its own row: whoever holds one of them and waits for
    another has them in this order.
    """
    asked: Adjustment = Adjustment.objects.get(pk=adjustment_id)
    followers.hold(asked)
    if asked.approval_id is not None:
        hold_approval(asked.approval_id)
    held: Adjustment = Adjustment.objects.select_for_update().get(pk=adjustment_id)
    return held


@transaction.atomic
def reverse_adjustment(
    *,
    adjustment_id: int,
    memo: str,
    member: User | None,
    actor: Actor,
    now: datetime,
    at: datetime | None = None,
    confirm: bool | None = None,
) -> Adjustment:
    """Undo a posted adjustment by another with the sides exchanged, under the same rule; the first one stays.

    ``at``: the day it is for, by default now. Raises NotReversible, Adjustment.DoesNotExist, NoOpenDay.
    """
    first = hold_adjustment(adjustment_id)
    if first.reverses_id is not None:
        raise NotReversible("is_reversal")
    if first.state != AdjustmentState.POSTED:
        raise NotReversible("not_posted")
    if reversal_of(first) is not None:
        raise NotReversible("reversed")
    lines = [
        Line(
            purpose=Purpose(line.account.purpose),
            subject_id=line.account.subject_id,
            amount=Money(-line.amount_minor),
        )
        for line in first.lines.select_related("account").order_by("pk")
    ]
    return _ask(
        reason=first.reason,
        memo=memo,
        lines=lines,
        at=at or now,
        member=member,
        actor=actor,
        now=now,
        subject=(first.subject_kind, first.subject_id),
        confirm=confirm,
        reverses=first,
    )


def _ask(
    *,
    reason: str,
    memo: str,
    lines: Sequence[Line],
    at: datetime,
    member: User | None,
    actor: Actor,
    now: datetime,
    subject: tuple[str, int],
    confirm: bool | None,
    reverses: Adjustment | None = None,
    key: str = "",
    papers: Sequence[Judged] = (),
) -> Adjustment:
    sides = balanced(lines, what="adjustment")
    amount = sum(line.amount.minor for line in sides if line.amount.minor > 0)
    rule = current_limit()
    waits = member is not None and (amount > rule.limit_minor if confirm is None else confirm)
    accounts = account_ids({(line.purpose, line.subject_id) for line in sides})
    adjustment: Adjustment = Adjustment.objects.create(
        reason=reason,
        memo=memo[:160],
        amount_minor=amount,
        at=at,
        subject_kind=subject[0],
        subject_id=subject[1],
        key=key,
        reverses=reverses,
        requested_by=member,
        rule_version=rule.version,
        created_at=now,
    )
    AdjustmentLine.objects.bulk_create(
        AdjustmentLine(
            adjustment=adjustment,
            account_id=accounts[line.purpose, line.subject_id],
            amount_minor=line.amount.minor,
        )
        for line in sides
    )
    keep_papers(adjustment, papers, now=now)
    if waits and member is not None:
        adjustment.approval = request_approval(
            subject_kind="adjustment",
            subject_id=adjustment.pk,
            store_id=None,
            summary={"amount_minor": amount, "reason": adjustment.memo},
            digest=adjustment_digest(adjustment),
            permission=ADJUST_PERMISSION,
            needed=1,
            requested_by=member,
            now=now,
        )
        adjustment.save(update_fields=["approval"])
        _record(adjustment, "adjustment.requested", actor=actor, now=now)
        followers.tell(adjustment, actor=actor, now=now)
    else:
        _post(adjustment, actor=actor, now=now)
    return adjustment


def _post(adjustment: Adjustment, *, actor: Actor, now: datetime) -> None:
    lines = [
        Line(
            purpose=Purpose(line.account.purpose),
            subject_id=line.account.subject_id,
            amount=Money(line.amount_minor),
        )
        for line in adjustment.lines.select_related("account").order_by("pk")
    ]
    booked = booking_date(at=adjustment.at)
    adjustment.entry_id = post(
        kind="adjustment",
        subject_kind="adjustment",
        subject_id=adjustment.pk,
        at=adjustment.at,
        booked_date=booked,
        memo=adjustment.memo,
        lines=lines,
    )
    adjustment.booked_date = booked
    adjustment.posted_at = now
    adjustment.state = AdjustmentState.POSTED
    adjustment.save(update_fields=["entry", "booked_date", "posted_at", "state"])
    _record(adjustment, "adjustment.posted", actor=actor, now=now)
    followers.tell(adjustment, actor=actor, now=now)


def _waiting(approval: Approval) -> Adjustment | None:
    found: Adjustment | None = (
        Adjustment.objects.select_for_update()
        .filter(pk=approval.subject_id, approval_id=approval.pk, state=AdjustmentState.WAITING)
        .first()
    )
    return found


def release_adjustment(*, approval: Approval, actor: Actor, now: datetime) -> None:
    """Confirmed: post it, in the approval's transaction. Raises NoOpenDay."""
    adjustment = _waiting(approval)
    if adjustment is not None:
        _post(adjustment, actor=actor, now=now)


def void_adjustment(*, approval: Approval, reason: str, actor: Actor, now: datetime) -> None:
    """Refused, withdrawn, changed or expired: nothing is posted, in the approval's transaction."""
    adjustment = _waiting(approval)
    if adjustment is None:
        return
    refused = approval.state == ApprovalState.REJECTED
    adjustment.state = AdjustmentState.REJECTED if refused else AdjustmentState.CANCELLED
    adjustment.message = reason[:300]
    adjustment.save(update_fields=["state", "message"])
    action = "adjustment.refused" if refused else "adjustment.cancelled"
    _record(adjustment, action, actor=actor, now=now)
    followers.tell(adjustment, actor=actor, now=now)


@transaction.atomic
def cancel_adjustment(
    *, adjustment_id: int, actor: Actor, now: datetime, reason: str = "withdrawn"
) -> Adjustment:
    """Withdraw an adjustment that still waits, or void it: ``reason`` is a code of ``endings`` or of its follower.

    Raises NotWaiting, Adjustment.DoesNotExist.
    """
    adjustment: Adjustment = Adjustment.objects.get(pk=adjustment_id)
    if adjustment.approval_id is None or adjustment.state != AdjustmentState.WAITING:
        raise NotWaiting
    end_approval(
        approval_id=adjustment.approval_id,
        state=ApprovalState.VOIDED,
        reason=reason,
        actor=actor,
        now=now,
    )
    adjustment.refresh_from_db()
    return adjustment


@transaction.atomic
def set_limit(*, limit: Money, member: User | None, actor: Actor, now: datetime) -> AdjustmentRule:
    """A new version of the merchant's limit, in force at once; adjustments already asked for keep theirs.

    Raises InvalidAmount for a limit below zero or beyond a billion yuan.
    """
    if not 0 <= limit.minor <= MOST_LIMIT:
        raise InvalidAmount(limit.to_yuan())
    # One writer at a time a merchant: versions are numbered without gaps.
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())
    before = current_limit()
    rule: AdjustmentRule = AdjustmentRule.objects.create(
        version=before.version + 1,
        limit_minor=limit.minor,
        created_by=member,
        created_at=now,
    )
    audit.record(
        action="limit.changed",
        subject_kind="rule",
        subject_id=rule.pk,
        actor=actor,
        at=now,
        data={
            "version": rule.version,
            "limit_minor": limit.minor,
            "before_minor": before.limit_minor,
        },
    )
    return rule
