"""What others are told of a terminal's life: its shop, its account's page, the audit log."""

from __future__ import annotations

from datetime import datetime

from apps.core import audit
from apps.core.audit import Actor
from apps.merchants.models import Terminal
from apps.platforms.gateway import CredentialCheck
from apps.platforms.models import AccountTerminal, PlatformAccount
from apps.platforms.services import verdicts


def note_seen(row: AccountTerminal, now: datetime) -> None:
    """A shop's terminal was heard of."""
    if row.terminal_id is not None:
        Terminal.objects.filter(pk=row.terminal_id).update(last_seen_at=now)


def note_verdict(account_id: int, check: CredentialCheck, *, now: datetime) -> None:
    """Put a verdict on the account, where its page and the list of accounts show it."""
    account = PlatformAccount.objects.select_for_update().get(pk=account_id)
    verdicts.note(account, check, now)
    account.save(update_fields=["checked_at", "check_state", "check_message"])


def record(row: AccountTerminal, action: str, actor: Actor, now: datetime) -> None:
    """Write into the audit log, under the account, what became of one of its terminals."""
    audit.record(
        action=action,
        subject_kind="account",
        subject_id=row.account_id,
        actor=actor,
        at=now,
        data={"terminal_sn": row.terminal_sn, "terminal_id": row.terminal_id},
    )
