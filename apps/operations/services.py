"""What people may press on the operations pages."""

from __future__ import annotations

from datetime import datetime

from apps.core import outbox
from apps.core.models import Due
from apps.operations import selectors
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import get_account
from apps.platforms.services import pacing


def ask_now(*, due_id: int, now: datetime) -> Due:
    """Bring a due of the merchant's payments or refunds forward to now. Raises Due.DoesNotExist."""
    due = selectors.get_due(due_id)
    if due.task not in (*selectors.OF_PAYMENTS, *selectors.OF_REFUNDS):
        raise Due.DoesNotExist
    outbox.hasten(due_ids=[due.pk], now=now)
    return due


def try_platform_now(*, account_id: int, now: datetime) -> PlatformAccount:
    """Let a worker ask an account's platform again before the breaker would, and bring forward what waits for that.

    One call is made; the others come a few seconds later and go through if it was answered. Raises
    PlatformAccount.DoesNotExist.
    """
    account = get_account(account_id)
    pacing.half_open(account_id=account.pk, now=now)
    outbox.hasten(due_ids=selectors.held_by_breaker(account), now=now)
    return account
