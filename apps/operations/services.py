"""What people may press on the operations pages."""

from __future__ import annotations

from datetime import datetime

from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.core.models import Due
from apps.operations import doctor, selectors
from apps.operations.doctor import Examination, notebook
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import get_account, list_accounts
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


def examine_house(*, now: datetime) -> Examination:
    """Examine the portal itself and keep what was found for the merchant's page."""
    found = doctor.examine_house(now=now)
    notebook.keep(notebook.HOUSE, found)
    return found


def examine_account(account: PlatformAccount, *, now: datetime, actor: Actor) -> Examination:
    """Examine an account and keep what was found for its page. It calls the platform, so never inside a transaction.

    Without the simulator that should be there nothing was found out, and nothing is kept.
    """
    found = doctor.examine_account(account, now=now, actor=actor)
    if doctor.SIMULATOR_OFF not in found.diagnoses:
        notebook.keep(account.pk, found)
    return found


def examine_all(*, actor: Actor) -> list[Examination]:
    """Examine the portal and one account after another, each at its own moment. Never inside a transaction."""
    return [
        examine_house(now=clock.now()),
        *(examine_account(one, now=clock.now(), actor=actor) for one in list_accounts()),
    ]
