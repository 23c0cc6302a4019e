"""Terminals come into being by an activation code, and are switched off when they have served."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.core import clock, doors, outbox
from apps.core.audit import Actor
from apps.merchants.models import Terminal
from apps.platforms import registry
from apps.platforms.gateway import (
    Capability,
    CheckState,
    CredentialCheck,
    Credentials,
    NotSupported,
    Platform,
    PlatformRejected,
    PlatformUnavailable,
    TerminalKey,
)
from apps.platforms.models import AccountTerminal, PlatformAccount, TerminalState
from apps.platforms.services.credentials import credentials_of
from apps.platforms.services.terminals.check_ins import TASK, next_check_in
from apps.platforms.services.terminals.keys import Keys, sealed_keys
from apps.platforms.services.terminals.notes import note_seen, note_verdict, record
from apps.platforms.terminal_keys import KeyRefused
from apps.platforms.wording import own_words

#: How the portal's own terminal is called at the platform.
OUR_NAME: Final = "Merchant Portal"
#: A shop's terminal takes its place, and leaves it, so long after that was written down. Who calls for a payment follows from
#: when that began, so whoever begins one must see the same terminals as those who ask about it later.
_CHANGEOVER: Final = timedelta(seconds=5)


class TerminalNotFound(LookupError):
    """The merchant in scope has no such terminal."""


class TerminalInUse(Exception):
    """This terminal is activated at this account and works: a new activation would only use up a code."""


class ActivationRefused(Exception):
    """No terminal came of it. ``field`` names the entry at fault ("" where none can be told), ``message`` says why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """A terminal that the platform has just made and that is not stored yet."""

    device_id: str
    key: TerminalKey


def has_terminals(account: PlatformAccount) -> bool:
    """Whether the account's platform is called by terminals."""
    return Capability.TERMINALS in registry.capabilities_of(account.platform)


def portal_terminal(account: PlatformAccount) -> AccountTerminal | None:
    """The portal's own terminal at an account, or None."""
    return _at(account, None).first()


def _at(account: PlatformAccount, terminal_id: int | None) -> QuerySet[AccountTerminal]:
    """The row that begins new things, or would if its key were not lost; those that had their time stand beside it."""
    rows = AccountTerminal.objects.filter(account=account, off_at__isnull=True)
    if terminal_id is None:
        return rows.filter(terminal__isnull=True)
    return rows.filter(terminal_id=terminal_id)


def needs_activation(account: PlatformAccount) -> bool:
    """Whether the portal's own terminal is missing or lost, so that only a new activation code helps."""
    if not has_terminals(account):
        return False
    row = portal_terminal(account)
    return row is None or row.state != TerminalState.ACTIVE


def activate(
    *, account_id: int, terminal_id: int | None, code: str, actor: Actor, now: datetime
) -> AccountTerminal:
    """Activate one of the shops' terminals at an account, or (None) the portal's own; one that was lost is replaced.

    The code is used up by a good answer, and by a lost one as well. Never inside a transaction. Raises
    PlatformAccount.DoesNotExist, TerminalNotFound, TerminalInUse, ActivationRefused, NotSupported, CannotOpen.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    if not has_terminals(account):
        raise NotSupported(f"{account.platform}: terminals")
    terminal = None
    if terminal_id is not None:
        terminal = Terminal.objects.filter(pk=terminal_id).first()
        if terminal is None:
            raise TerminalNotFound(terminal_id)
    before = _at(account, terminal_id).first()
    if before is not None and before.state == TerminalState.ACTIVE:
        raise TerminalInUse(terminal_id)
    activated = call_activation(
        platform=Platform(account.platform),
        credentials=credentials_of(account),
        code=code,
        name=terminal.name if terminal else OUR_NAME,
    )
    # The call took its time, in which the portal's own terminal may have begun payments.
    now = max(now, clock.now())
    refuse_other(account, activated, terminal_id=terminal_id, now=now)
    try:
        with transaction.atomic():
            return keep(account, activated, terminal_id=terminal_id, actor=actor, now=now)
    except IntegrityError as error:
        # Somebody else activated it at the same moment.
        raise TerminalInUse(terminal_id) from error


def call_activation(
    *, platform: Platform, credentials: Credentials, code: str, name: str
) -> Activated:
    """Turn an activation code into a terminal at the platform. Raises ActivationRefused."""
    # Each time another device: whether the platform takes the same one twice is not told, and a terminal whose answer was
    # lost would stand in the way of the next try.
    device_id = f"portal-{doors.new_token(20)}"
    gateway = registry.gateway_for(platform=platform, credentials=credentials)
    try:
        key = gateway.activate_terminal(code=code.strip(), device_id=device_id, name=name)
    except PlatformUnavailable as error:
        raise ActivationRefused(
            registry.ACTIVATION_CODE,
            _(
                "The platform gave no usable answer (%(reason)s), so the code may be used up all the same. Try it once more. If it is then refused, make a new code in the console and delete the terminal that is left over there."
            )
            % {"reason": error.code or "-"},
        ) from error
    except KeyRefused as error:
        raise ActivationRefused(
            "vendor_key",
            _(
                "The platform does not accept this vendor number with this vendor key. Copy both again. The code was not used."
            ),
        ) from error
    except PlatformRejected as error:
        raise ActivationRefused(registry.ACTIVATION_CODE, _not_taken(error)) from error
    return Activated(device_id=device_id, key=key)


def _not_taken(error: PlatformRejected) -> str:
    """Why a code made no terminal. What the platform's codes mean of payments does not fit here, so it speaks for itself."""
    words = _(
        "The platform did not take the activation code (%(code)s). It may be mistyped, used up, or older than seven days; a code is usually for one terminal, and a try that got no answer may have used it. Check the code and the app ID, or make a new code in the console."
    ) % {"code": error.code}
    return f"{words} {own_words(error.message[:120])}".strip()


def refuse_other(
    account: PlatformAccount, activated: Activated, *, terminal_id: int | None, now: datetime
) -> None:
    """Refuse what turned out to be another terminal that the account knows, whose new key is kept. Not in a transaction.

    Raises ActivationRefused.
    """
    with transaction.atomic():
        other = _renew_other(account, activated, terminal_id=terminal_id, now=now)
    if other is not None:
        raise ActivationRefused(
            registry.ACTIVATION_CODE,
            _(
                "This code belongs to a terminal that this account knows already: %(name)s. Its key was renewed and nothing else changed. Make a code for another terminal in the console."
            )
            % {"name": other},
        )


def _renew_other(
    account: PlatformAccount, activated: Activated, *, terminal_id: int | None, now: datetime
) -> str | None:
    """The name of another terminal here that has this number at the platform, its new key stored; None where there is none.

    The platform no longer takes the key before, so it must not be lost, though it is not the one that was meant.
    """
    row = (
        AccountTerminal.objects.select_for_update(of=("self",))
        .select_related("terminal")
        .filter(account=account, terminal_sn=activated.key.terminal_sn)
        .first()
    )
    if row is None or row.terminal_id == terminal_id:
        return None
    if row.state == TerminalState.LOST:
        row.state = TerminalState.OFF if row.off_at is not None else TerminalState.ACTIVE
    _take_key(row, activated, now=now)
    row.save()
    return OUR_NAME if row.terminal is None else str(row.terminal.name)


def _take_key(row: AccountTerminal, activated: Activated, *, now: datetime) -> None:
    row.device_id = activated.device_id
    row.terminal_sn = activated.key.terminal_sn
    row.keys_sealed = sealed_keys(Keys(current=activated.key.terminal_key), row.merchant_id)
    # The key is as fresh as a check-in's.
    row.checked_in_at = now
    row.checking_in_until = None
    row.detail = ""


def keep(
    account: PlatformAccount,
    activated: Activated,
    *,
    terminal_id: int | None,
    actor: Actor,
    now: datetime,
) -> AccountTerminal:
    """Store a terminal that was just activated, in the caller's transaction. Raises TerminalInUse.

    The one that it replaces stays as it is: it is named in notices to come, and what it began is for it alone to ask about.
    Where the platform gives a terminal back that served here before, its row stands again.
    """
    before = _at(account, terminal_id).select_for_update().first()
    begins_at = now if terminal_id is None else now + _CHANGEOVER
    same = AccountTerminal.objects.select_for_update().filter(
        account=account, terminal_sn=activated.key.terminal_sn
    )
    row = same.first()
    if (before is not None and before.state == TerminalState.ACTIVE) or (
        row is not None and row.terminal_id != terminal_id
    ):
        raise TerminalInUse(terminal_id)
    if before is not None and (row is None or row.pk != before.pk):
        before.off_at = now
        before.save(update_fields=["off_at"])
    if row is None:
        row = AccountTerminal(account=account, terminal_id=terminal_id, activated_at=begins_at)
    else:
        # The same terminal, with a key again.
        row.stand_again(begins_at)
    _take_key(row, activated, now=now)
    row.state = TerminalState.ACTIVE
    row.save()
    if terminal_id is None:
        note_verdict(account.pk, CredentialCheck(state=CheckState.GOOD), now=now)
    outbox.enqueue(
        task=TASK,
        merchant_id=account.merchant_id,
        subject_id=row.pk,
        due_at=next_check_in(row, now),
    )
    note_seen(row, now)
    record(row, "account.terminal_activated", actor, now)
    return row


@transaction.atomic
def switch_off(*, account_terminal_id: int, actor: Actor, now: datetime) -> bool:
    """Let a shop's terminal begin nothing more at this account, a few seconds from ``now`` on; what it began it still asks
    about. True if it changed.

    Raises TerminalNotFound.
    """
    row = (
        AccountTerminal.objects.select_for_update()
        .filter(pk=account_terminal_id, terminal__isnull=False)
        .first()
    )
    if row is None:
        raise TerminalNotFound(account_terminal_id)
    if row.state == TerminalState.OFF:
        return False
    row.state, row.off_at = TerminalState.OFF, row.off_at or now + _CHANGEOVER
    row.save(update_fields=["state", "off_at"])
    outbox.forget(task=TASK, merchant_id=row.merchant_id, subject_id=row.pk)
    record(row, "account.terminal_off", actor, now)
    return True
