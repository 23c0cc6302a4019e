"""Reading merchants, stores, terminals, members and invitations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.encryption import keyed_hash
from apps.core.names import named
from apps.core.tenancy import ScopedQuerySet, current_merchant_id
from apps.merchants.models import Invitation, Membership, Merchant, Role, Store, Terminal
from apps.merchants.roles import PERMISSIONS

#: What each permission allows, in the words of the team page; by what it is about.
PERMISSION_WORDS: Final[Mapping[str, str | Promise]] = {
    "dashboard.view": _("See the day's takings"),
    "transactions.view": _("See payments and orders"),
    "takings.view": _("See what each member takes at the desk"),
    "payments.take": _("Take payments at the desk"),
    "codes.view": _("See and download codes"),
    "codes.manage": _("Create, pause and retire codes"),
    "refunds.view": _("See refunds"),
    "refunds.request": _("Request refunds"),
    "refunds.approve": _("Confirm other members' refunds"),
    "refunds.batch": _("Refund many payments at once"),
    "refunds.approve_finance": _("Confirm refunds that the rules keep for owners and finance"),
    "rules.view": _("See the refund rules"),
    "risk.view": _("See risk alerts and rules"),
    "rules.manage": _("Change the rules for refunds and differences"),
    "risk.manage": _("Answer risk alerts and change the risk rules"),
    "reconciliation.view": _("See bills and differences"),
    "reconciliation.manage": _("Import bills, reconcile and settle differences"),
    "ledger.view": _("See the books"),
    "ledger.adjust": _("Adjust the books and confirm others' adjustments"),
    "days.close": _("Close business days"),
    "days.reopen": _("Ask for closed days to be opened again, and confirm others' requests"),
    "exports.create": _("Export transactions"),
    "platforms.view": _("See platform accounts"),
    "platforms.manage": _("Connect platforms"),
    "platforms.approve": _("Confirm new keys of platforms that another member entered"),
    "stores.view": _("See stores and terminals"),
    "stores.manage": _("Add and change stores and terminals"),
    "team.view": _("See the team"),
    "team.manage": _("Invite members and change roles"),
    "merchant.manage": _("Change the merchant's settings"),
    "audit.view": _("See the audit trail"),
}


@dataclass(frozen=True, slots=True)
class PermissionRow:
    """One line of the matrix: a permission and, for each role in order, whether it grants it."""

    permission: str
    words: str | Promise
    granted: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A membership as the team page shows it; ``stores`` None means all stores."""

    membership: Membership
    stores: tuple[str, ...] | None
    second_factor: bool


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An invitation that still waits; ``state`` is ``invited`` or ``expired``."""

    invitation: Invitation
    stores: tuple[str, ...] | None
    state: str


def first_merchant_of(user: User) -> Merchant | None:
    """The merchant that a user lands in: the one joined first."""
    membership = (
        Membership.objects.select_related("merchant")
        .filter(user=user, is_active=True, merchant__is_active=True)
        .order_by("pk")
        .first()
    )
    return membership.merchant if membership else None


def list_stores(*, only_active: bool = False) -> ScopedQuerySet[Store]:
    """The stores in scope, those that sell first."""
    stores: ScopedQuerySet[Store] = Store.objects.visible("pk")
    if only_active:
        stores = stores.filter(is_active=True)
    return stores.order_by("-is_active", "pk")


def get_store(store_id: int) -> Store:
    """One store in scope. Raises Store.DoesNotExist."""
    store: Store = Store.objects.visible("pk").get(pk=store_id)
    return store


def list_terminals(*, only_active: bool = False) -> ScopedQuerySet[Terminal]:
    """The terminals of the stores in scope with their stores: those in use first, by store and name."""
    terminals: ScopedQuerySet[Terminal] = Terminal.objects.visible().select_related("store")
    if only_active:
        terminals = terminals.filter(is_active=True, store__is_active=True)
    return terminals.order_by("-is_active", "store_id", "name", "pk")


def get_terminal(terminal_id: int) -> Terminal:
    """One terminal of the stores in scope. Raises Terminal.DoesNotExist."""
    terminal: Terminal = Terminal.objects.visible().select_related("store").get(pk=terminal_id)
    return terminal


def get_member(membership_id: int) -> Membership:
    """A membership of the merchant in scope, active or not. Raises Membership.DoesNotExist."""
    return Membership.objects.select_related("user").get(
        pk=membership_id, merchant_id=current_merchant_id()
    )


def get_invitation(invitation_id: int) -> Invitation:
    """An invitation of the merchant in scope. Raises Invitation.DoesNotExist."""
    invitation: Invitation = Invitation.objects.select_related("invited_by").get(pk=invitation_id)
    return invitation


def store_names() -> dict[int, str]:
    """The names of all stores in scope in the page's language, by id."""
    stores = Store.objects.visible("pk").only("pk", "name", "name_en")
    return {store.pk: named(store) for store in stores}


def _names(store_ids: list[int] | None, names: Mapping[int, str]) -> tuple[str, ...] | None:
    if store_ids is None:
        return None
    return tuple(names[store_id] for store_id in store_ids if store_id in names)


def list_members(*, names: Mapping[int, str]) -> list[MemberRow]:
    """All members, active ones first, in the order of the roles. ``names``: the stores' names by id."""
    memberships = list(
        Membership.objects.select_related("user").filter(merchant_id=current_merchant_id())
    )
    order = {role: place for place, role in enumerate(Role.values)}
    memberships.sort(key=lambda row: (not row.is_active, order[row.role], row.pk))
    secured = set(
        Authenticator.objects.filter(
            user_id__in=[row.user_id for row in memberships],
            type__in=[Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN],
        ).values_list("user_id", flat=True)
    )
    return [
        MemberRow(row, _names(row.store_ids, names), row.user_id in secured) for row in memberships
    ]


def list_invitations(*, names: Mapping[int, str], now: datetime) -> list[InvitationRow]:
    """Invitations neither accepted nor withdrawn, newest first."""
    waiting = Invitation.objects.filter(
        accepted_at__isnull=True, withdrawn_at__isnull=True
    ).order_by("-pk")
    return [
        InvitationRow(row, _names(row.store_ids, names), invitation_state(row, now))
        for row in waiting
    ]


def invitation_state(invitation: Invitation, now: datetime) -> str:
    """``accepted``, ``withdrawn``, ``expired``, or ``invited`` while it can still be accepted."""
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.withdrawn_at is not None:
        return "withdrawn"
    return "invited" if now < invitation.expires_at else "expired"


def invitation_token(invitation: Invitation) -> str:
    """The token in an invitation's link: derived with a secret key, so that it need not be kept anywhere."""
    return keyed_hash(str(invitation.pk), merchant_id=invitation.merchant_id, purpose="invitation")[
        :32
    ]


def invitation_link(invitation: Invitation) -> str:
    """The address that the invited person opens."""
    path = reverse("invitation", args=[invitation_token(invitation)])
    return f"{settings.PUBLIC_URL}{path}"


def role_matrix() -> list[PermissionRow]:
    """What each role may do, one row a permission, the columns in the order of ``Role``."""
    return [
        PermissionRow(
            permission, words, tuple(permission in PERMISSIONS[role] for role in Role.values)
        )
        for permission, words in PERMISSION_WORDS.items()
    ]
