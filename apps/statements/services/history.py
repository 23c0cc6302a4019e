"""Bills of days long past, asked for one after another."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final

from django.db import transaction

from apps.core import outbox
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.statements.models import AWAITED
from apps.statements.services.importing import expect_day
from apps.statements.services.reading import refuse_unfinished

#: Between two bills of one account, so that its platform is not pressed.
APART: Final = timedelta(seconds=3)


@transaction.atomic
def ask_for_days(*, account_id: int, days: Iterable[date], now: datetime) -> int:
    """Have the trade bills of these days fetched that are not here yet, in the order given; how many are asked for.

    Each is asked for once: old bills come at once or not at all. Days whose bill is here, or that the platform calls empty,
    stay as they are. Raises StatementRefused for a day that is not over, PlatformAccount.DoesNotExist.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    asked = 0
    for day in days:
        refuse_unfinished(day=day, now=now)
        expected = expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=day)
        if expected.state not in AWAITED:
            continue
        outbox.enqueue(
            task="statements.fetch",
            merchant_id=expected.merchant_id,
            subject_id=expected.pk,
            due_at=now + asked * APART,
        )
        asked += 1
    return asked
