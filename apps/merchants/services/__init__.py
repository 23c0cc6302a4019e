"""Changing merchants, stores, members and invitations."""

from apps.merchants.services.registration import (
    create_merchant,
    start_first_merchant,
    update_merchant,
)
from apps.merchants.services.stores import (
    LastStore,
    StoreNameTaken,
    add_store,
    set_store_active,
    update_store,
)
from apps.merchants.services.team import (
    AlreadyInvited,
    AlreadyMember,
    InvitationClosed,
    LastOwner,
    OwnMembership,
    TeamRefusal,
    UnknownStores,
    WrongPerson,
    accept_invitation,
    add_member,
    change_member,
    deliver_invitation,
    invite,
    resend_invitation,
    set_member_active,
    withdraw_invitation,
)

__all__ = [
    "AlreadyInvited",
    "AlreadyMember",
    "InvitationClosed",
    "LastOwner",
    "LastStore",
    "OwnMembership",
    "StoreNameTaken",
    "TeamRefusal",
    "UnknownStores",
    "WrongPerson",
    "accept_invitation",
    "add_member",
    "add_store",
    "change_member",
    "create_merchant",
    "deliver_invitation",
    "invite",
    "resend_invitation",
    "set_member_active",
    "set_store_active",
    "start_first_merchant",
    "update_merchant",
    "update_store",
    "withdraw_invitation",
]
