"""Where a gateway gets the key that its terminal signs with, at platforms that change it daily. Free of Django."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from apps.platforms.gateway import Credentials, PlatformRejected, TerminalKey

#: Codes of ours for a terminal that cannot sign; nothing was sent.
NO_TERMINAL = "no_terminal"
TERMINAL_LOST = "terminal_lost"
TERMINAL_REPLACED = "terminal_replaced"
KEYLESS = frozenset({NO_TERMINAL, TERMINAL_LOST, TERMINAL_REPLACED})


class KeyRefused(PlatformRejected):
    """The platform does not accept the key that an activation or a check-in was signed with."""


class TerminalKeys(ABC):
    """The keys of one terminal, as whoever built the gateway keeps them."""

    @abstractmethod
    def today(self) -> TerminalKey:
        """The key to sign with, checked in for today where that was not done yet.

        Raises PlatformRejected (one of ``KEYLESS``): there is none, so nothing was sent.
        """

    @abstractmethod
    def another(self, refused: TerminalKey) -> TerminalKey | None:
        """The platform does not accept this key: another one, worth a single try, or None."""

    async def today_async(self) -> TerminalKey:
        """As ``today``, without blocking."""
        return await asyncio.to_thread(self.today)

    async def another_async(self, refused: TerminalKey) -> TerminalKey | None:
        """As ``another``, without blocking."""
        return await asyncio.to_thread(self.another, refused)


class FixedKeys(TerminalKeys):
    """The one key that stands in the credentials themselves."""

    def __init__(self, credentials: Credentials) -> None:
        self._held = TerminalKey(
            terminal_sn=credentials.keys.get("terminal_sn", ""),
            terminal_key=credentials.keys.get("terminal_key", ""),
        )

    def today(self) -> TerminalKey:
        if not self._held.terminal_sn or not self._held.terminal_key:
            raise no_terminal()
        return self._held

    def another(self, refused: TerminalKey) -> TerminalKey | None:
        return None

    async def today_async(self) -> TerminalKey:
        return self.today()

    async def another_async(self, refused: TerminalKey) -> TerminalKey | None:
        return None


def no_terminal() -> PlatformRejected:
    """The account has no terminal. What waits for one may be sent unchanged once there is one."""
    return PlatformRejected(
        "no terminal of this account is activated", code=NO_TERMINAL, retry_same=True
    )


def terminal_lost() -> PlatformRejected:
    """The terminal's key is lost. What waits may be sent unchanged once it was activated anew."""
    return PlatformRejected("the terminal's key is lost", code=TERMINAL_LOST, retry_same=True)


def terminal_replaced() -> PlatformRejected:
    """The key of a terminal that another one has replaced is lost. Nobody else is told of what it began."""
    return PlatformRejected(
        "the key of the terminal that began it is lost", code=TERMINAL_REPLACED, retry_same=True
    )
