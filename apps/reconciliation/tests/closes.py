"""Days that can be closed, and makers of files for tests of this room: the real ones stand in a higher one."""

from __future__ import annotations

from datetime import date

from apps.core.audit import Actor
from apps.merchants.tests.factories import NOW, Shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import DayClose
from apps.reconciliation.selectors import Item
from apps.reconciliation.services import Tick, close_day
from apps.reconciliation.tests.days import DAY, bill, match, paid
from apps.statements.tests.bills import row_of

ACTOR = Actor("fiona")


def settled(
    shop: Shop, *, amounts: tuple[int, ...] = (10_000, 2_500), day: date = DAY
) -> tuple[PlatformAccount, list[Payment]]:
    """An account with payments on the day, their bill imported and matched: nothing stands in the way of closing."""
    account = make_account(shop)
    payments = [paid(shop, account, minor) for minor in amounts]
    bill(account, [row_of(payment) for payment in payments], day=day)
    match(account, day=day)
    return account, payments


def close(
    shop: Shop, *, day: date = DAY, ticks: dict[Item, Tick] | None = None, role: str = "finance"
) -> DayClose:
    """The day, closed by a member."""
    return close_day(day=day, ticks=ticks or {}, member=shop[role], actor=ACTOR, now=NOW)
