"""One account's day while it is asked about."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from apps.core.audit import Actor
from apps.platforms.models import PlatformAccount
from apps.platforms.services.asking import Word
from apps.statements.models import StatementDay
from apps.statements.selectors import bill_period


@dataclass(slots=True)
class Sweep:
    """One account's day while it is asked about."""

    expected: StatementDay
    now: datetime
    actor: Actor
    #: When the share's time is up, by the monotonic clock.
    ends_at: float
    #: Questions of the day in all, those that were answered, and those answered by this run.
    questions: int = 0
    answered: int = 0
    fresh: int = 0
    #: Whether questions were left over that nothing stands in the way of.
    left_over: bool = False
    #: Whether the account's breaker is open.
    shut: bool = False
    #: The first reason why a question was not: a code and words.
    code: str = ""
    trouble: str = ""

    @property
    def account(self) -> PlatformAccount:
        """Whose day it is."""
        account: PlatformAccount = self.expected.account
        return account

    @property
    def day(self) -> date:
        """The day asked about."""
        return self.expected.day

    @property
    def is_over(self) -> bool:
        """Whether the share's time is up."""
        return time.monotonic() >= self.ends_at

    def period(self) -> tuple[datetime, datetime]:
        """The platform's own day."""
        return bill_period(self.account.platform, self.day)

    def holds(self, at: datetime) -> bool:
        """Whether the day holds this moment."""
        from_at, until = self.period()
        return from_at <= at < until

    def miss(self, word: Word[Any]) -> None:
        """One question brought no answer."""
        if not self.trouble:
            self.code, self.trouble = word.code, word.trouble
