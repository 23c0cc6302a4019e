"""What waits for whom."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, F, Func, JSONField, OuterRef, Q
from django.db.models.functions import Coalesce

from apps.accounts.models import User
from apps.approvals.models import (
    Approval,
    ApprovalNotice,
    ApprovalState,
    ApprovalTerms,
    Decision,
    Delegation,
)
from apps.approvals.terms import DEFAULTS, Terms
from apps.core.tenancy import ScopedQuerySet, current_merchant_id, current_scope
from apps.merchants.models import Membership
from apps.merchants.roles import ALL_PERMISSIONS, PERMISSIONS, permissions_of

#: How long a decided request stays in the list, and how many at most.
RECENT: Final = timedelta(days=30)
RECENT_LIMIT: Final = 20
#: Who holds this may be handed others' right to confirm: members who see everybody's requests and confirm some themselves.
STANDS_IN: Final = "refunds.approve"


def visible_approvals() -> ScopedQuerySet[Approval]:
    """Approvals that the scope's stores allow to see."""
    return Approval.objects.visible()


def _running(now: datetime) -> Q:
    return Q(starts_at__lte=now, ends_at__gt=now, ended_at=None)


def _handed_to(member: User, permissions: frozenset[str], now: datetime) -> Q:
    """Approvals that a member may decide in the place of another one: within one statement, whatever the delegations."""
    if STANDS_IN not in permissions:
        return Q(pk__in=[])
    spoken = Decision.objects.annotate(voice=Coalesce("on_behalf_of", "member")).filter(
        approval=OuterRef(OuterRef("pk")), voice=OuterRef("giver")
    )
    running = (
        Delegation.objects.filter(_running(now), receiver=member, giver__is_active=True)
        .exclude(giver=OuterRef("requested_by"))
        .filter(~Exists(spoken))
    )
    store = Func(OuterRef("store_id"), function="to_jsonb", output_field=JSONField())
    found = Q(pk__in=[])
    for role in PERMISSIONS:
        theirs: dict[str, object] = {
            "giver__memberships__merchant_id": current_merchant_id(),
            "giver__memberships__is_active": True,
            "giver__memberships__role": role,
        }
        everywhere = running.filter(**theirs, giver__memberships__store_ids__isnull=True)
        limited = running.filter(**theirs, giver__memberships__store_ids__contains=store)
        found |= Q(Exists(everywhere), permission__in=permissions_of(role, all_stores=True))
        found |= Q(Exists(limited), permission__in=permissions_of(role, all_stores=False))
    return found


def waiting_for(
    *, member: User, permissions: frozenset[str], now: datetime
) -> ScopedQuerySet[Approval]:
    """Pending approvals that this member may decide, by role or in another's place: not the requester, has not yet spoken,
    nor has anybody in the member's place."""
    mine = Q(permission__in=permissions) | _handed_to(member, permissions, now)
    return (
        visible_approvals()
        .filter(mine, state=ApprovalState.PENDING)
        .exclude(requested_by=member)
        .exclude(decisions__member=member)
        # A stand-in spoke for the member.
        .exclude(decisions__on_behalf_of=member)
        .order_by("pk")
    )


def seen_through(permissions: frozenset[str]) -> frozenset[str]:
    """The permissions whose requests a member may look at: those held, and those of rooms that the member sees."""
    return frozenset(
        permission
        for permission in ALL_PERMISSIONS
        if permission in permissions or f"{permission.partition('.')[0]}.view" in permissions
    )


def _of_interest(*, member: User, permissions: frozenset[str]) -> ScopedQuerySet[Approval]:
    mine = Q(requested_by=member) | Q(permission__in=seen_through(permissions))
    return visible_approvals().filter(mine).select_related("requested_by")


def waiting_for_others(
    *, member: User, permissions: frozenset[str], now: datetime
) -> ScopedQuerySet[Approval]:
    """Pending approvals that somebody else must decide: the member's own, and others that the member may look at."""
    mine = waiting_for(member=member, permissions=permissions, now=now)
    return (
        _of_interest(member=member, permissions=permissions)
        .filter(state=ApprovalState.PENDING)
        .exclude(pk__in=mine.order_by().values("pk"))
        .order_by("-pk")
    )


def recently_decided(
    *, member: User, permissions: frozenset[str], now: datetime
) -> ScopedQuerySet[Approval]:
    """What was decided or ended in the last 30 days, newest first, with its decisions."""
    return (
        _of_interest(member=member, permissions=permissions)
        .exclude(state=ApprovalState.PENDING)
        .filter(decided_at__gt=now - RECENT)
        .prefetch_related("decisions__member", "decisions__on_behalf_of")
        .order_by("-decided_at", "-pk")[:RECENT_LIMIT]
    )


def decisions_of(approval_id: int) -> list[Decision]:
    """Who said yes or no, in order."""
    return list(
        Decision.objects.filter(approval_id=approval_id)
        .select_related("member", "on_behalf_of")
        .order_by("pk")
    )


def members_who_may(*, permission: str, store_id: int | None, besides: int) -> list[Membership]:
    """Active members who hold the permission and reach the store, without the user ``besides`` (the requester)."""
    members = (
        Membership.objects.select_related("user")
        .filter(merchant_id=current_merchant_id(), is_active=True, user__is_active=True)
        .exclude(user_id=besides)
        .order_by("pk")
    )
    return [member for member in members if _may(member, permission, store_id)]


def _may(member: Membership, permission: str, store_id: int | None) -> bool:
    granted = permissions_of(member.role, all_stores=member.store_ids is None)
    return permission in granted and (member.store_ids is None or store_id in member.store_ids)


def members_now(user_ids: set[int]) -> dict[int, Membership]:
    """The active memberships of these users in the merchant in scope, by user."""
    rows = Membership.objects.select_related("user").filter(
        merchant_id=current_merchant_id(), is_active=True, user__is_active=True, user__in=user_ids
    )
    return {row.user_id: row for row in rows}


def deciders(
    *, permission: str, store_id: int | None, besides: int, now: datetime
) -> list[Membership]:
    """Those who may confirm by role, then those who stand in for one of them, without the user ``besides``."""
    own = members_who_may(permission=permission, store_id=store_id, besides=besides)
    known = {member.user_id for member in own}
    handed = Delegation.objects.filter(_running(now), giver__in=known).exclude(receiver=besides)
    receivers = set(handed.values_list("receiver_id", flat=True)) - known
    stand_ins = members_now(receivers) if receivers else {}
    return own + [
        member for _user, member in sorted(stand_ins.items()) if _may(member, STANDS_IN, store_id)
    ]


@dataclass(frozen=True, slots=True)
class Voice:
    """By what right a member decides: by role (``delegation`` None), or in the place of the delegation's giver."""

    delegation: Delegation | None = None


def voice_of(approval: Approval, *, member: User, now: datetime) -> Voice | None:
    """By what right this member may decide a pending approval as memberships and roles stand now; None where by none.

    The requester has none, nor who has spoken. Nobody stands in for the requester, nor for somebody who has spoken.
    """
    if approval.requested_by_id == member.pk:
        return None
    rows = Decision.objects.filter(approval=approval)
    heard = list(rows.values_list("member_id", "on_behalf_of_id"))
    if any(by == member.pk for by, _for in heard):
        return None
    spoken = {behalf or by for by, behalf in heard}
    handed = list(
        Delegation.objects.filter(_running(now), receiver=member)
        .exclude(giver=approval.requested_by_id)
        .select_related("giver")
        .order_by("pk")
    )
    members = members_now({member.pk, *(row.giver_id for row in handed)})
    own = members.get(member.pk)
    if own is None or not (own.store_ids is None or approval.store_id in own.store_ids):
        return None
    if member.pk not in spoken and _may(own, approval.permission, approval.store_id):
        return Voice()
    if STANDS_IN not in permissions_of(own.role, all_stores=own.store_ids is None):
        return None
    for row in handed:
        giver = members.get(row.giver_id)
        if (
            giver
            and row.giver_id not in spoken
            and _may(giver, approval.permission, approval.store_id)
        ):
            return Voice(row)
    return None


def newest_terms() -> ApprovalTerms | None:
    """The last version that was written, whether its time has come or not; None before the first."""
    found: ApprovalTerms | None = (
        ApprovalTerms.objects.select_related("made_by").order_by("-number").first()
    )
    return found


def terms_of(row: ApprovalTerms | None) -> Terms:
    """A version's values; the portal's own where there is none."""
    if row is None:
        return DEFAULTS
    return Terms(**{field.name: getattr(row, field.name) for field in fields(Terms)})


def terms_in_force(now: datetime) -> Terms:
    """How confirmations run now."""
    return terms_of(ApprovalTerms.objects.filter(effective_at__lte=now).order_by("-number").first())


def needs_another(*, permission: str, store_id: int | None, besides: int, now: datetime) -> bool:
    """Whether what this user does must be confirmed: another member may, or the shop of one person chose to wait instead."""
    others = members_who_may(permission=permission, store_id=store_id, besides=besides)
    return bool(others) or terms_in_force(now).cooling_hours > 0


def cooling_hours_for(approval: Approval, *, now: datetime) -> int:
    """How long the requester would wait before it is carried out without anybody else; 0 where that is not to be had.

    It is not as soon as one other member may confirm, nor where the requester could not confirm such a thing of others.
    """
    hours = terms_in_force(now).cooling_hours
    if not hours or approval.state != ApprovalState.PENDING:
        return 0
    who = members_now({approval.requested_by_id}).get(approval.requested_by_id)
    if who is None or not _may(who, approval.permission, approval.store_id):
        return 0
    others = members_who_may(
        permission=approval.permission,
        store_id=approval.store_id,
        besides=approval.requested_by_id,
    )
    return 0 if others else hours


def notices_of(approval_id: int) -> list[ApprovalNotice]:
    """What members were told of an approval, in order."""
    return list(ApprovalNotice.objects.filter(approval_id=approval_id).order_by("pk"))


def list_delegations(*, now: datetime) -> list[Delegation]:
    """Those running or to come, by their beginning, then what ended in the last 30 days."""
    return list(
        Delegation.objects.filter(ends_at__gt=now - RECENT)
        .filter(Q(ended_at=None) | Q(ended_at__gt=now - RECENT))
        .select_related("giver", "receiver", "ended_by")
        .order_by(F("ended_at").desc(nulls_first=True), "starts_at", "pk")
    )


def possible_stand_ins(*, besides: int) -> list[Membership]:
    """Members to whom the right to confirm may be handed."""
    members = Membership.objects.select_related("user").filter(
        merchant_id=current_merchant_id(), is_active=True, user__is_active=True
    )
    return [
        member
        for member in members.exclude(user_id=besides).order_by("pk")
        if STANDS_IN in permissions_of(member.role, all_stores=member.store_ids is None)
    ]


def get_approval(approval_id: int) -> Approval | None:
    """One approval the scope may see, with its requester, or None."""
    current_scope()
    return visible_approvals().select_related("requested_by").filter(pk=approval_id).first()
