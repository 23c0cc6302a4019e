"""A terminal's keys for the calls of a connector, checked in when a call needs it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import Context
from datetime import timedelta
from typing import Final

from django.db import connection
from typing_extensions import override

from apps.core import clock
from apps.core.tenancy import NoScope, Scope, current_scope, enter_scope
from apps.platforms.gateway import TerminalKey
from apps.platforms.models import AccountTerminal, TerminalState
from apps.platforms.services.terminals.check_ins import UNANSWERED, CheckIn, check_in, is_fresh
from apps.platforms.services.terminals.keys import keys_of
from apps.platforms.terminal_keys import TerminalKeys, terminal_lost, terminal_replaced

#: How long a call waits for a check-in that another worker makes.
_PATIENCE_SECONDS: Final = 3.0
#: A key this young that is refused was not refused for its age.
_YOUNG: Final = timedelta(seconds=30)


class StoredKeys(TerminalKeys):
    """A terminal's keys in the database. Built in the merchant's scope; asked for keys there, outside, or in a thread.

    The database is touched only where today's check-in is missing or the platform refuses the key.
    """

    def __init__(self, row: AccountTerminal) -> None:
        self._pk = row.pk
        self._merchant_id = row.merchant_id
        self._take(row)

    @override
    def today(self) -> TerminalKey:
        if not self._ready():
            self._inside(self._check_in)
        return self._held()

    @override
    def another(self, refused: TerminalKey) -> TerminalKey | None:
        if self._keys.current == refused.terminal_key:
            self._inside(lambda: self._renew(refused.terminal_key))
        if self._lost or self._keys.current == refused.terminal_key:
            return None
        return self._held()

    @override
    async def today_async(self) -> TerminalKey:
        if self._ready():
            return self._held()
        return await asyncio.to_thread(Context().run, self.today)

    @override
    async def another_async(self, refused: TerminalKey) -> TerminalKey | None:
        return await asyncio.to_thread(Context().run, self.another, refused)

    def _take(self, row: AccountTerminal) -> None:
        self._lost = row.state == TerminalState.LOST
        self._over = row.off_at is not None
        self._checked_in_at = row.checked_in_at
        self._terminal_sn = row.terminal_sn
        self._keys = keys_of(row)

    def _ready(self) -> bool:
        return self._lost or is_fresh(self._checked_in_at, clock.now())

    def _held(self) -> TerminalKey:
        if self._lost:
            raise terminal_replaced() if self._over else terminal_lost()
        return TerminalKey(terminal_sn=self._terminal_sn, terminal_key=self._keys.current)

    def _check_in(self, refused: str = "") -> None:
        if check_in(account_terminal_id=self._pk, now=clock.now(), refused=refused) is CheckIn.BUSY:
            self._wait()
        # Whatever came of it: with the key that is there now the platform decides.
        self._take(AccountTerminal.objects.get(pk=self._pk))

    def _renew(self, refused: str) -> None:
        self._take(AccountTerminal.objects.get(pk=self._pk))
        if self._keys.current != refused:
            return
        age = None if self._checked_in_at is None else clock.now() - self._checked_in_at
        if age is None or age > _YOUNG:
            self._check_in(refused)

    def _wait(self) -> None:
        """Until the worker that checks in has ended, but not long."""
        given_up = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < given_up:
            row = AccountTerminal.objects.get(pk=self._pk)
            at_it = row.checking_in_until is not None and row.checking_in_until > clock.now()
            if not at_it or row.detail == UNANSWERED:
                return
            time.sleep(0.05)

    def _inside(self, work: Callable[[], None]) -> None:
        """Do something with the database: in the scope that is active, or else in the terminal's own merchant's."""
        try:
            current_scope()
        except NoScope:
            try:
                with enter_scope(Scope(self._merchant_id)):
                    work()
            finally:
                if threading.current_thread() is not threading.main_thread():
                    # A thread that was lent for this has a connection of its own.
                    connection.close()
        else:
            work()
