"""The examination of one account: every check, and which of them explains the others.

One fault is one diagnosis. What cannot be told because of another fault is *unknown* and names it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from apps.core.audit import Actor
from apps.core.encryption import CannotOpen
from apps.operations.doctor import evidence, live
from apps.operations.doctor.address import address_finding
from apps.operations.doctor.findings import (
    Check,
    Examination,
    Finding,
    State,
    broken,
    examined,
    unknown,
)
from apps.operations.doctor.papers import certificate_findings
from apps.platforms import probes
from apps.platforms.models import PlatformAccount
from apps.platforms.services import credentials_of

#: Nobody answers in the platforms' place on a development machine: no word about the account, and nothing to keep.
SIMULATOR_OFF: Final = "simulator_off"
#: Credentials with which a genuine notification looks forged.
_PLATFORMS_KEYS = frozenset(
    {
        "credential.public_key",
        "credential.public_key_id",
        "credential.platform_certificates",
        "credential.alipay_public_key",
        "credential.alipay_certificate",
        "credential.alipay_root_certificate",
        "credential.root_certificate",
        "credential.middle_certificate",
    }
)


def examine_account(account: PlatformAccount, *, now: datetime, actor: Actor) -> Examination:
    """Every check of one account, in its merchant's scope and outside every transaction: it calls the platform.

    Where that is the simulator and none runs, ``SIMULATOR_OFF`` is all there is to say, and nothing is written.
    """
    if live.is_simulated(account.platform) and (missing := probes.simulator_missing()):
        return examined([broken(Check.PLATFORM, SIMULATOR_OFF, url=missing)], now=now)
    found = [address_finding(account), evidence.product_finding(account, now=now)]
    try:
        papers = certificate_findings(credentials_of(account), platform=account.platform, now=now)
        heard = live.ask(account, now=now, actor=actor)
    except CannotOpen:
        return examined([*found, *_unopened()], now=now)
    # After the call, which checks a terminal in where that is still to do, or finds its key lost.
    terminals = evidence.terminal_findings(account, now=now)
    credentials = _explained(heard.credentials, papers, terminals)
    platform = _platform(account, heard, now=now)
    keys_doubtful = credentials.code in _PLATFORMS_KEYS
    if credentials.code == live.UNTRUSTED:
        # It is about who answers; of our keys nothing can be told by that.
        platform = replace(credentials, check=Check.PLATFORM)
        credentials = unknown(Check.CREDENTIALS, because=platform)
        keys_doubtful = True
    found += [*papers, *terminals, heard.clock, credentials, platform]
    found += evidence.notice_findings(
        account,
        now=now,
        keys_doubtful=keys_doubtful,
        clock_doubtful=heard.clock.code in {"clock_skew", "clock_refused", "clock_drifts"},
    )
    found.append(_bills(account, _cause(heard, credentials, platform), now=now))
    return examined(found, now=now)


def _unopened() -> list[Finding]:
    lost = broken(Check.CREDENTIALS, "keys_lost")
    untold = (Check.PLATFORM, Check.CLOCK, Check.CERTIFICATES, Check.NOTICES, Check.BILLS)
    return [lost, *(unknown(check, because=lost) for check in untold)]


def _explained(credentials: Finding, papers: list[Finding], terminals: list[Finding]) -> Finding:
    """A refusal of the keys, or the finding that explains it."""
    if credentials.state is not State.BROKEN:
        return credentials
    ended = next((one for one in papers if one.state is State.BROKEN), None)
    if ended is not None:
        code, field = str(credentials.values.get("code")), credentials.values.get("field")
        if field == ended.values["field"] or "expired" in code or code == "bad_signature":
            return unknown(Check.CREDENTIALS, because=ended)
    lost = evidence.own_terminal_lost(terminals)
    return credentials if lost is None else unknown(Check.CREDENTIALS, because=lost)


def _platform(account: PlatformAccount, heard: live.Heard, *, now: datetime) -> Finding:
    """A breaker is open because the platform failed: it is the diagnosis only once the platform answers again."""
    if heard.platform.state is not State.OK:
        return heard.platform
    return evidence.breaker_finding(account, now=now) or heard.platform


def _cause(heard: live.Heard, credentials: Finding, platform: Finding) -> Finding | None:
    """Why another call would tell nothing."""
    obstacle = heard.obstacle
    if obstacle is not heard.credentials:
        return obstacle
    return platform if platform.code == live.UNTRUSTED else credentials


def _bills(account: PlatformAccount, obstacle: Finding | None, *, now: datetime) -> Finding:
    if obstacle is not None:
        # Bills are late because of it.
        return unknown(Check.BILLS, because=obstacle)
    permitted = live.bill_permission(account, now=now)
    if permitted.state in {State.BROKEN, State.WARNING}:
        return permitted
    return evidence.late_bill(account, now=now) or permitted
