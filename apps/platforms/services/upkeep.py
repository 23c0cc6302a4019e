"""Certificates and terminals that nobody looks after: given the due that each should always have.

Whatever begins them enqueues the due as well. This makes up for what was begun before there was one, and for a due that was
lost; whatever has its due is left alone.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.db.models import Q

from apps.core import outbox
from apps.core.encryption import CannotOpen
from apps.core.models import Due
from apps.core.tenancy import current_merchant_id
from apps.platforms import registry
from apps.platforms.gateway import Capability
from apps.platforms.models import AccountTerminal, PlatformAccount, TerminalState
from apps.platforms.services import renewal, terminals
from apps.platforms.services.credentials import credentials_of

logger = logging.getLogger(__name__)


def plan_upkeep(*, now: datetime) -> int:
    """Plan what is missing, in the merchant's scope: renewals of certificates, check-ins of terminals. How many."""
    return _plan_renewals(now=now) + _plan_check_ins(now=now)


def _planned(task: str) -> set[int]:
    dues = Due.objects.filter(task=task, merchant_id=current_merchant_id())
    return set(dues.values_list("subject_id", flat=True))


def _plan_renewals(*, now: datetime) -> int:
    """Of paused accounts as well: they still hear of their old payments."""
    planned = _planned(renewal.TASK)
    count = 0
    for account in PlatformAccount.objects.order_by("pk"):
        renewing = Capability.RENEWAL in registry.capabilities_of(account.platform)
        if not renewing or account.pk in planned:
            continue
        try:
            count += renewal.begin(account, credentials_of(account), now=now)
        except CannotOpen:
            # Said on the account's own page; the others must not wait for it.
            logger.warning("the credentials of account %s do not open", account.pk)
    return count


def _plan_check_ins(*, now: datetime) -> int:
    """The task itself knows whether a terminal has its key of the day."""
    planned = _planned(terminals.TASK)
    given_up = Q(off_at__lt=now - terminals.LOST_FOR)
    rows = AccountTerminal.objects.exclude(state=TerminalState.OFF).exclude(given_up)
    missing = list(rows.exclude(pk__in=planned).order_by("pk").values_list("pk", "merchant_id"))
    for pk, merchant_id in missing:
        outbox.enqueue(task=terminals.TASK, merchant_id=merchant_id, subject_id=pk, due_at=now)
    return len(missing)
