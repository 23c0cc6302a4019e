"""Building the gateway of an account, with the terminal that calls where the platform has terminals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from apps.core import clock
from apps.platforms import registry
from apps.platforms.gateway import Credentials, Platform, PlatformGateway
from apps.platforms.models import AccountTerminal, PlatformAccount
from apps.platforms.services.credentials import credentials_of
from apps.platforms.services.terminals import (
    StoredKeys,
    called_by,
    has_terminals,
    portal_terminal,
)


class Caller(NamedTuple):
    """Who calls: an account and, for what was begun by one of the shops' terminals, that terminal and when it began."""

    account: PlatformAccount
    terminal_id: int | None = None
    began_at: datetime | None = None


def gateway_of(
    account: PlatformAccount,
    *,
    terminal_id: int | None = None,
    began_at: datetime | None = None,
) -> PlatformGateway:
    """The connector for this account. Raises CannotOpen.

    Where the platform has terminals, ``terminal_id`` calls if it was activated there when the payment began
    (``began_at``, by default now), else the portal's own terminal: so a payment is always asked about by the terminal
    that began it. The terminal is checked in when the first call is made, should today's check-in be missing.
    """
    return gateways_of([Caller(account, terminal_id, began_at)])[0]


def gateways_of(callers: Sequence[Caller]) -> list[PlatformGateway]:
    """As ``gateway_of`` for many, in their order; all terminals are loaded by one query, and those who call alike share a
    gateway. Raises CannotOpen.
    """
    accounts = {caller.account.pk: caller.account for caller in callers}
    known = {pk: credentials_of(account) for pk, account in accounts.items()}
    terminals = _terminals({pk for pk, account in accounts.items() if has_terminals(account)})
    built: dict[tuple[int, int | None], PlatformGateway] = {}
    gateways = []
    now = clock.now()
    for caller in callers:
        account = caller.account
        rows = terminals.get(account.pk, [])
        row = _calling(rows, caller, now=now)
        place = (account.pk, None if row is None else row.pk)
        if place not in built:
            built[place] = _built(account, known[account.pk], row, rows)
        gateways.append(built[place])
    return gateways


def _built(
    account: PlatformAccount,
    credentials: Credentials,
    row: AccountTerminal | None,
    rows: Sequence[AccountTerminal],
) -> PlatformGateway:
    if row is not None:
        sns = [each.terminal_sn for each in rows]
        credentials = called_by(credentials, row, all_sns=sns)
    return registry.gateway_for(
        platform=Platform(account.platform),
        credentials=credentials,
        options=registry.GatewayOptions(cancels_same_day=account.cancels_same_day),
        terminal_keys=None if row is None else StoredKeys(row),
    )


def terminal_of(caller: Caller) -> AccountTerminal | None:
    """The terminal that calls, as ``gateway_of``; None where the platform has none, or the account has none yet."""
    if not has_terminals(caller.account):
        return None
    rows = _terminals({caller.account.pk}).get(caller.account.pk, [])
    return _calling(rows, caller, now=clock.now())


def gateway_with(
    credentials: Credentials, *, platform: Platform, account: PlatformAccount | None
) -> PlatformGateway:
    """A gateway to try credentials by that are not stored, called by the own terminal of ``account`` if there is one."""
    row = portal_terminal(account) if account is not None else None
    if row is None:
        return registry.gateway_for(platform=platform, credentials=credentials)
    return registry.gateway_for(
        platform=platform,
        credentials=called_by(credentials, row),
        terminal_keys=StoredKeys(row),
    )


def _terminals(account_ids: set[int]) -> dict[int, list[AccountTerminal]]:
    found: defaultdict[int, list[AccountTerminal]] = defaultdict(list)
    if account_ids:
        for row in AccountTerminal.objects.filter(account_id__in=account_ids).order_by("pk"):
            found[row.account_id].append(row)
    return found


def _calling(
    rows: Sequence[AccountTerminal], caller: Caller, *, now: datetime
) -> AccountTerminal | None:
    at = caller.began_at or now
    for row in rows:
        if row.terminal_id == caller.terminal_id is not None and row.calls_at(at):
            return row
    ours = [row for row in rows if row.terminal_id is None]
    of_that_time = [row for row in ours if row.calls_at(at)]
    if of_that_time:
        return of_that_time[-1]
    # Clocks that differ a little leave nobody without one.
    return next(
        (row for row in reversed(ours) if row.activated_at <= at), ours[0] if ours else None
    )
