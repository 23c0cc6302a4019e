"""Members and invitations."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.db import transaction
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.core import audit, outbox
from apps.core.audit import Actor
from apps.core.doors import make_door
from apps.core.mail import send_in_every_language
from apps.core.names import named
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Invitation, Membership, Merchant, Role, Store
from apps.merchants.selectors import (
    get_invitation,
    get_member,
    invitation_link,
    invitation_state,
    invitation_token,
)

#: How long an invitation can be accepted.
INVITATION_LIFETIME = timedelta(days=7)
SEND_TASK = "merchants.send_invitation"


class TeamRefusal(Exception):
    """A change of the team that must not be."""


class LastOwner(TeamRefusal):
    """A merchant keeps at least one active owner."""


class OwnMembership(TeamRefusal):
    """Nobody changes or ends their own membership."""


class UnknownStores(TeamRefusal):
    """Not every store that was named is the merchant's."""


class AlreadyMember(TeamRefusal):
    """The invited person is an active member."""


class AlreadyInvited(TeamRefusal):
    """An invitation to this address still waits."""


class InvitationClosed(TeamRefusal):
    """The invitation was accepted, withdrawn or has expired; ``state`` says which."""

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(state)


class WrongPerson(TeamRefusal):
    """The signed-in person has not verified the address that was invited."""


def _lock_team() -> Merchant:
    # Changes of one team go one after another, so "the last owner" is judged on a settled state. The weaker lock lets
    # rows that point to the merchant be written meanwhile.
    return Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())


def _reach(role: str, store_ids: Collection[int] | None) -> list[int] | None:
    """The stores of a member: owners reach all. Raises UnknownStores."""
    if store_ids is None or role == Role.OWNER:
        return None
    wanted = sorted(set(store_ids))
    if not wanted or Store.objects.filter(pk__in=wanted).count() != len(wanted):
        raise UnknownStores(", ".join(map(str, wanted)))
    return wanted


def _require_other_owner(membership: Membership) -> None:
    owners = Membership.objects.filter(
        merchant_id=membership.merchant_id,
        role=Role.OWNER,
        is_active=True,
        user__is_active=True,
    )
    if not owners.exclude(pk=membership.pk).exists():
        raise LastOwner


@transaction.atomic
def add_member(
    *,
    user: User,
    role: str,
    store_ids: Collection[int] | None,
    actor: Actor,
    now: datetime,
) -> Membership:
    """Make ``user`` an active member of the merchant in scope; a former member comes back with the new role.

    Raises AlreadyMember, UnknownStores.
    """
    merchant = _lock_team()
    reach = _reach(role, store_ids)
    membership = Membership.objects.filter(merchant=merchant, user=user).first()
    if membership is None:
        membership = Membership(merchant=merchant, user=user, created_at=now)
    elif membership.is_active:
        raise AlreadyMember(user.email)
    membership.role = role
    membership.store_ids = reach
    membership.is_active = True
    membership.save()
    audit.record(
        action="member.joined",
        subject_kind="member",
        subject_id=membership.pk,
        actor=actor,
        at=now,
        data={"email": user.email, "role": role, "stores": reach},
    )
    return membership


@transaction.atomic
def change_member(
    *,
    membership_id: int,
    role: str,
    store_ids: Collection[int] | None,
    actor: Actor,
    now: datetime,
) -> Membership:
    """Give a member another role or other stores; it counts from the next request on.

    Raises Membership.DoesNotExist, LastOwner, OwnMembership, UnknownStores.
    """
    _lock_team()
    membership = get_member(membership_id)
    reach = _reach(role, store_ids)
    if (membership.role, membership.store_ids) == (role, reach):
        return membership
    if membership.role == Role.OWNER and role != Role.OWNER and membership.is_active:
        _require_other_owner(membership)
    if membership.user_id == actor.user_id:
        raise OwnMembership
    changes = {
        "role": [membership.role, role],
        "stores": [membership.store_ids, reach],
        "email": membership.user.email,
    }
    membership.role = role
    membership.store_ids = reach
    membership.save(update_fields=["role", "store_ids"])
    audit.record(
        action="member.changed",
        subject_kind="member",
        subject_id=membership.pk,
        actor=actor,
        at=now,
        data=changes,
    )
    return membership


@transaction.atomic
def set_member_active(
    *, membership_id: int, active: bool, actor: Actor, now: datetime
) -> Membership:
    """Close the merchant to a member, from the next request on, or let the member back in.

    Raises Membership.DoesNotExist, LastOwner, OwnMembership.
    """
    _lock_team()
    membership = get_member(membership_id)
    if membership.is_active == active:
        return membership
    if not active and membership.role == Role.OWNER:
        _require_other_owner(membership)
    if membership.user_id == actor.user_id:
        raise OwnMembership
    membership.is_active = active
    membership.save(update_fields=["is_active"])
    audit.record(
        action="member.readmitted" if active else "member.deactivated",
        subject_kind="member",
        subject_id=membership.pk,
        actor=actor,
        at=now,
        data={"email": membership.user.email, "role": membership.role},
    )
    return membership


@transaction.atomic
def invite(
    *,
    email: str,
    role: str,
    store_ids: Collection[int] | None,
    invited_by: User,
    actor: Actor,
    now: datetime,
) -> Invitation:
    """Ask somebody to join. The mail leaves by the outbox; the link works for seven days.

    Raises AlreadyMember, AlreadyInvited, UnknownStores.
    """
    merchant = _lock_team()
    email = email.strip().lower()
    reach = _reach(role, store_ids)
    if Membership.objects.filter(
        merchant=merchant, user__email__iexact=email, is_active=True
    ).exists():
        raise AlreadyMember(email)
    waiting = Invitation.objects.filter(
        email=email, accepted_at__isnull=True, withdrawn_at__isnull=True
    )
    if waiting.filter(expires_at__gt=now).exists():
        raise AlreadyInvited(email)
    # A new invitation takes the place of one that ran out.
    waiting.update(withdrawn_at=now)
    invitation = Invitation(
        email=email,
        role=role,
        store_ids=reach,
        invited_by=invited_by,
        created_at=now,
        expires_at=now + INVITATION_LIFETIME,
    )
    invitation.save(force_insert=True)
    make_door(
        kind="invitation",
        token=invitation_token(invitation),
        merchant_id=merchant.pk,
        subject_id=invitation.pk,
    )
    outbox.enqueue(task=SEND_TASK, merchant_id=merchant.pk, subject_id=invitation.pk, due_at=now)
    _record(invitation, "invitation.created", actor=actor, now=now)
    return invitation


def _record(invitation: Invitation, action: str, *, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject_kind="invitation",
        subject_id=invitation.pk,
        actor=actor,
        at=now,
        data={
            "email": invitation.email,
            "role": invitation.role,
            "stores": invitation.store_ids,
        },
    )


def _lock_invitation(invitation_id: int) -> Invitation:
    invitation: Invitation = Invitation.objects.select_for_update().get(pk=invitation_id)
    return invitation


@transaction.atomic
def resend_invitation(*, invitation_id: int, actor: Actor, now: datetime) -> Invitation:
    """Send the mail again; the same link works for seven days from now.

    Raises Invitation.DoesNotExist, InvitationClosed once it was accepted or withdrawn.
    """
    invitation = _lock_invitation(invitation_id)
    state = invitation_state(invitation, now)
    if state not in {"invited", "expired"}:
        raise InvitationClosed(state)
    invitation.expires_at = now + INVITATION_LIFETIME
    invitation.save(update_fields=["expires_at"])
    outbox.enqueue(
        task=SEND_TASK,
        merchant_id=invitation.merchant_id,
        subject_id=invitation.pk,
        due_at=now,
    )
    _record(invitation, "invitation.resent", actor=actor, now=now)
    return invitation


@transaction.atomic
def withdraw_invitation(*, invitation_id: int, actor: Actor, now: datetime) -> Invitation:
    """Make the link useless. Does nothing when it already is withdrawn.

    Raises Invitation.DoesNotExist, InvitationClosed once it was accepted.
    """
    invitation = _lock_invitation(invitation_id)
    if invitation.accepted_at is not None:
        raise InvitationClosed("accepted")
    if invitation.withdrawn_at is not None:
        return invitation
    invitation.withdrawn_at = now
    invitation.save(update_fields=["withdrawn_at"])
    outbox.forget(task=SEND_TASK, merchant_id=invitation.merchant_id, subject_id=invitation.pk)
    _record(invitation, "invitation.withdrawn", actor=actor, now=now)
    return invitation


@transaction.atomic
def accept_invitation(*, invitation_id: int, user: User, actor: Actor, now: datetime) -> Membership:
    """Join with the invitation's role. Who already is an active member keeps the present role.

    Raises Invitation.DoesNotExist, InvitationClosed, WrongPerson (the address is not one of the user's verified ones).
    """
    merchant = _lock_team()
    invitation = _lock_invitation(invitation_id)
    state = invitation_state(invitation, now)
    if state != "invited":
        raise InvitationClosed(state)
    if not is_address_of(user, invitation.email):
        raise WrongPerson(user.email)
    membership = Membership.objects.filter(merchant=merchant, user=user, is_active=True).first()
    if membership is None:
        # A store of the invitation may have gone since; never widen to all stores because of it.
        membership = add_member(
            user=user,
            role=invitation.role,
            store_ids=invitation.store_ids,
            actor=actor,
            now=now,
        )
    invitation.accepted_at = now
    invitation.save(update_fields=["accepted_at"])
    outbox.forget(task=SEND_TASK, merchant_id=merchant.pk, subject_id=invitation.pk)
    _record(invitation, "invitation.accepted", actor=actor, now=now)
    return membership


def is_address_of(user: User, email: str) -> bool:
    """Whether ``email`` is an address that the user has verified."""
    return bool(EmailAddress.objects.filter(user=user, email__iexact=email, verified=True).exists())


def deliver_invitation(*, invitation_id: int, now: datetime) -> bool:
    """Send the mail, in both languages since the reader's is unknown. False when the invitation no longer waits.

    Network call: to be called outside a transaction. Raises what the mail server's client raises.
    """
    invitation = get_invitation(invitation_id)
    if invitation_state(invitation, now) != "invited":
        return False
    merchant = Merchant.objects.get(pk=invitation.merchant_id)
    context = {
        "merchant": merchant,
        "invitation": invitation,
        "inviter": invitation.invited_by.display_name,
        "link": invitation_link(invitation),
    }
    send_in_every_language(
        to=[invitation.email],
        subject=lambda: gettext("You are invited to %(merchant)s") % {"merchant": named(merchant)},
        template="merchants/mail/invitation.txt",
        context=context,
    )
    return True
