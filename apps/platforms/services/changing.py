"""New keys of an account under four eyes: held back, confirmed by another member, then put in place of the old ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.approvals.models import Approval
from apps.approvals.selectors import needs_another, terms_in_force
from apps.approvals.services import request_approval
from apps.core import audit, encryption
from apps.core.audit import Actor
from apps.core.encryption import CannotOpen
from apps.platforms import registry
from apps.platforms.gateway import CheckState, CredentialCheck
from apps.platforms.models import ChangeState, CredentialChange, PlatformAccount
from apps.platforms.services import renewal, verdicts
from apps.platforms.services.credentials import credentials_of, fingerprint, sealed
from apps.platforms.services.trying import CredentialsRefused

#: Who may confirm new keys that another member entered.
APPROVE_PERMISSION: Final = "platforms.approve"
#: Approvals know such a change by this word.
SUBJECT_KIND: Final = "credentials"
_PURPOSE: Final = "credential-change"


def needs_second(member: User | None, *, now: datetime) -> bool:
    """Whether keys that this member enters must be confirmed; never those of a program (None)."""
    return (
        member is not None
        and terms_in_force(now).credentials
        and needs_another(permission=APPROVE_PERMISSION, store_id=None, besides=member.pk, now=now)
    )


def differing(held: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Of the given keys those that are not held already."""
    return {name: value for name, value in given.items() if held.get(name) != value}


def hold_back(
    account: PlatformAccount,
    keys: Mapping[str, str],
    check: CredentialCheck,
    *,
    member: User,
    actor: Actor,
    now: datetime,
) -> CredentialChange:
    """Keep new keys until another member has confirmed them; in the caller's transaction, the account's row locked.

    Raises CredentialsRefused where some wait already.
    """
    if CredentialChange.objects.filter(account=account, state=ChangeState.WAITING).exists():
        raise CredentialsRefused(
            "",
            _("New keys of this account wait for confirmation already. Take them back first."),
        )
    held = credentials_of(account).keys
    gone = registry.displaced_fields(account.platform, keys.keys())
    touched = {name for name in {*gone, *keys} if held.get(name)}
    merchant_id = account.merchant_id
    change: CredentialChange = CredentialChange.objects.create(
        account=account,
        keys_sealed=sealed(keys, merchant_id, purpose=_PURPOSE),
        before={name: fingerprint(name, held[name], merchant_id) for name in sorted(touched)},
        after={name: fingerprint(name, keys[name], merchant_id) for name in sorted(keys)},
        check_state=check.state.value,
        requested_by=member,
        created_at=now,
    )
    change.approval = request_approval(
        subject_kind=SUBJECT_KIND,
        subject_id=change.pk,
        store_id=None,
        summary={"account": account.label},
        digest=change_digest(change),
        permission=APPROVE_PERMISSION,
        needed=1,
        requested_by=member,
        now=now,
    )
    change.save(update_fields=["approval"])
    _record(change, "account.keys_asked", actor=actor, now=now)
    return change


def change_digest(change: CredentialChange) -> bytes:
    """SHA-256 over what is confirmed: the account, what goes and what comes. The new keys themselves are looked at."""
    try:
        keys = _keys(change)
        after = {name: fingerprint(name, keys[name], change.merchant_id) for name in keys}
    except CannotOpen:
        # Somebody wrote something else there, or the server's keys were lost: never what was asked.
        after = {}
    signed = {
        "id": change.pk,
        "account": change.account_id,
        "before": change.before,
        "after": after,
        "shown": change.after,
    }
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).digest()


def _keys(change: CredentialChange) -> dict[str, str]:
    if not bytes(change.keys_sealed):
        return {}
    plain = encryption.unseal(
        bytes(change.keys_sealed), merchant_id=change.merchant_id, purpose=_PURPOSE
    )
    keys: dict[str, str] = json.loads(plain)
    return keys


def hold_account(change_id: int) -> None:
    """Take the account's row, before the approval's own: whoever writes keys holds it first."""
    account_ids = CredentialChange.objects.filter(pk=change_id).values("account_id")
    list(PlatformAccount.objects.select_for_update().filter(pk__in=account_ids))


def change_lapsed(change_id: int) -> str:
    """Why there is nothing to confirm any more: the keys to be replaced were replaced on another road; "" while they stand."""
    change = CredentialChange.objects.select_related("account").get(pk=change_id)
    try:
        held = credentials_of(change.account).keys
    except CannotOpen:
        return "lost"
    names = {*change.before, *change.after}
    now = {
        name: fingerprint(name, held[name], change.merchant_id) for name in names if held.get(name)
    }
    return "" if now == change.before else "changed"


def release_change(*, approval: Approval, actor: Actor, now: datetime) -> None:
    """Confirmed: the new keys hold, in the approval's transaction. Nothing is called."""
    change = _waiting(approval)
    if change is None:
        return
    account: PlatformAccount = PlatformAccount.objects.select_for_update().get(pk=change.account_id)
    given = _keys(change)
    held = credentials_of(account)
    gone = registry.displaced_fields(account.platform, given.keys())
    stays = {name: value for name, value in held.keys.items() if name not in gone}
    credentials = replace(held, keys={**stays, **given})
    account.credentials_sealed = sealed(credentials.keys, account.merchant_id)
    stands = verdicts.standing(account)
    if stands is None or held.keys.get(stands.field) != credentials.keys.get(stands.field):
        verdicts.note(account, CredentialCheck(state=CheckState(change.check_state)), now)
    account.save(update_fields=["credentials_sealed", "checked_at", "check_state", "check_message"])
    renewal.begin(account, credentials, now=now)
    _end(change, ChangeState.DONE, now=now)
    _record(change, "account.keys_changed", actor=actor, now=now)


def void_change(*, approval: Approval, reason: str, actor: Actor, now: datetime) -> None:
    """Refused, withdrawn, changed or expired: the new keys are forgotten, in the approval's transaction."""
    change = _waiting(approval)
    if change is not None:
        _end(change, ChangeState.DROPPED, now=now)
        _record(change, "account.keys_dropped", actor=actor, now=now, reason=reason)


def _waiting(approval: Approval) -> CredentialChange | None:
    found: CredentialChange | None = (
        CredentialChange.objects.select_for_update()
        .filter(pk=approval.subject_id, approval_id=approval.pk, state=ChangeState.WAITING)
        .first()
    )
    return found


def _end(change: CredentialChange, state: ChangeState, *, now: datetime) -> None:
    change.state = state
    change.ended_at = now
    change.keys_sealed = b""
    change.save(update_fields=["state", "ended_at", "keys_sealed"])


def reseal_changes(account: PlatformAccount) -> bool:
    """Seal waiting keys again under the current key; False if they already are. The account's row is locked."""
    changed = False
    for change in CredentialChange.objects.filter(account=account, state=ChangeState.WAITING):
        if encryption.key_id_of(bytes(change.keys_sealed)) != encryption.current_key_id():
            change.keys_sealed = sealed(_keys(change), account.merchant_id, purpose=_PURPOSE)
            change.save(update_fields=["keys_sealed"])
            changed = True
    return changed


def _record(
    change: CredentialChange, action: str, *, actor: Actor, now: datetime, **data: str
) -> None:
    audit.record(
        action=action,
        subject_kind="account",
        subject_id=change.account_id,
        actor=actor,
        at=now,
        data={"replaced": sorted(change.after), "removed": _removed(change), **data},
    )


def _removed(change: CredentialChange) -> list[str]:
    return sorted(change.before.keys() - change.after.keys())
