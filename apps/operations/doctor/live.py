"""What the platform itself says: does it answer, does it know us, are our clocks together, may we have bills."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from apps.core import clock
from apps.core.audit import Actor
from apps.operations.doctor import proofs
from apps.operations.doctor.findings import (
    Check,
    Finding,
    State,
    Value,
    broken,
    fine,
    unknown,
    warning,
)
from apps.platforms import registry
from apps.platforms.gateway import (
    API_V3_KEY_WRONG,
    Capability,
    CheckState,
    CredentialCheck,
    NotSupported,
    Platform,
    PlatformRejected,
    PlatformUnavailable,
    StatementEmpty,
    StatementKind,
    StatementNotReady,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.services import credentials_of, gateway_of, recheck_account
from apps.statements.models import FetchState, StatementDay

#: WeChat Pay refuses calls, and we its notices, beyond this; the other platforms publish no limit.
CLOCK_LIMIT: Final = timedelta(minutes=5)
CLOCK_WARNING: Final = timedelta(minutes=1)

_SILENT: Final = frozenset({"timeout", "network"})
#: Codes of answers that are not in the platform's language.
_GARBLED: Final = frozenset({"bad_answer", "too_large"})
#: Codes of answers that nobody should believe. Of some it is never our copy of a key that is to blame: the certificate is
#: in the answer itself. Of the others it may be, unless that copy has proved good since it was entered.
_NEVER_OURS: Final = frozenset({"certificate_owner", "certificate_expired", "answer_altered"})
_PERHAPS_OURS: Final = frozenset({"bad_signature", "unknown_serial", "certificate_chain"})
#: How all connectors begin what they say of them; behind the last colon stands why.
_REFUSED: Final = "the answer's signature was refused"
#: Their diagnosis.
UNTRUSTED: Final = "answer_untrusted"
#: Codes by which platforms say that they are asked too often.
_TOO_OFTEN: Final = frozenset(
    {
        "http_429",
        "FREQUENCY_LIMITED",
        "FREQUENCY_LIMIT_EXCEED",
        "RATELIMIT_EXCEEDED",
        "isv.app-call-limited",
        "isp.call-limited",
        "37",
    }
)
#: What platforms answer when the contract lacks something.
NO_PERMISSION: Final = frozenset(
    {
        "NO_AUTH",
        "NOAUTH",
        "ACQ.ACCESS_FORBIDDEN",
        "isv.insufficient-isv-permissions",
        "isv.insufficient-user-permissions",
        "isp.insufficient-isv-permissions",
        "isp.insufficient-user-permissions",
        "aop.invalid-product-auth",
    }
)
#: Findings that do not keep other calls from telling something.
_HARMLESS: Final = frozenset({"credential.api_v3_key", "clock_drifts", "clock_unread"})
_API: Final = {
    Platform.WECHATPAY: "WECHATPAY_API_URL",
    Platform.ALIPAY: "ALIPAY_GATEWAY_URL",
    Platform.UNIONPAY: "UNIONPAY_QUERY_URL",
    Platform.SHOUQIANBA: "SHOUQIANBA_API_URL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a live call told."""

    platform: Finding
    clock: Finding
    credentials: Finding

    @property
    def obstacle(self) -> Finding | None:
        """What must be mended before another call can tell anything."""
        for finding in (self.platform, self.clock, self.credentials):
            if finding.state is not State.OK and finding.code not in _HARMLESS:
                return finding
        return None


def ask(account: PlatformAccount, *, now: datetime, actor: Actor) -> Heard:
    """Try the account's credentials. Outside every transaction. Raises CannotOpen."""
    check = recheck_account(account_id=account.pk, actor=actor, now=now)
    skewed = _skewed(check)
    if not skewed:
        trouble = _platform_trouble(account, check)
        if trouble is not None:
            return Heard(
                platform=trouble,
                clock=unknown(Check.CLOCK, because=trouble),
                credentials=unknown(Check.CREDENTIALS, because=trouble),
            )
    answers = fine(Check.PLATFORM, host=host_of(account.platform))
    our_clock = clock_finding(offset_of(account.platform), refused=skewed)
    if skewed:
        return Heard(
            platform=answers,
            clock=our_clock,
            credentials=unknown(Check.CREDENTIALS, because=our_clock),
        )
    check = _proved_api_v3_key(account, check)
    return Heard(
        platform=answers,
        clock=our_clock,
        credentials=_credentials(account, check),
    )


def _skewed(check: CredentialCheck) -> bool:
    return check.code == "clock_skew" or "timestamp" in check.code.lower()


def _platform_trouble(account: PlatformAccount, check: CredentialCheck) -> Finding | None:
    """What is wrong with the platform or the way to it; None if it answered."""
    host = host_of(account.platform)
    if check.state is CheckState.BAD:
        # What carries no signature at all was not signed wrongly: something else has answered.
        unsigned = check.code in {"bad_signature", "answer_altered"}
        if unsigned and check.message.endswith(": missing"):
            return broken(Check.PLATFORM, "platform_garbled", host=host)
        return None
    if check.state is CheckState.GOOD:
        return None
    if check.code in _SILENT:
        return broken(Check.PLATFORM, "platform_silent", host=host)
    if check.code in _GARBLED:
        return broken(Check.PLATFORM, "platform_garbled", host=host)
    if check.code in _TOO_OFTEN:
        return warning(Check.PLATFORM, "platform_too_often", host=host, code=check.code)
    return broken(Check.PLATFORM, "platform_trouble", host=host, code=check.code or "-")


def _credentials(account: PlatformAccount, check: CredentialCheck) -> Finding:
    if check.state is CheckState.GOOD:
        return fine(Check.CREDENTIALS)
    values: dict[str, Value] = {
        "platform": account.platform,
        "field": check.field,
        "code": check.code,
        "message": check.message[:200],
    }
    if _is_untrusted(account, check):
        said = check.message.rpartition(": ")[2]
        return broken(
            Check.CREDENTIALS, UNTRUSTED, **values, host=host_of(account.platform), said=said
        )
    code = f"credential.{check.field}" if check.field else "credential"
    return broken(Check.CREDENTIALS, code, **values)


def _is_untrusted(account: PlatformAccount, check: CredentialCheck) -> bool:
    """Whether it is the answer that is wrong, and not one of the entries."""
    if not check.message.startswith(_REFUSED):
        return False
    if account.platform == Platform.UNIONPAY and check.code in _NEVER_OURS:
        return True
    return check.code in _PERHAPS_OURS and proofs.worked_since_entered(account)


def _proved_api_v3_key(account: PlatformAccount, check: CredentialCheck) -> CredentialCheck:
    """Where the platform still hands out certificates, they are sealed with the APIv3 key: opening one proves it."""
    keys = credentials_of(account).keys
    if check.state is not CheckState.GOOD or not keys.get("api_v3_key"):
        return check
    try:
        gateway_of(account).renew_credentials()
    except PlatformRejected as refusal:
        if refusal.code == API_V3_KEY_WRONG:
            return replace(
                check, state=CheckState.BAD, code=API_V3_KEY_WRONG, field="api_v3_key", message=""
            )
    except (PlatformUnavailable, NotSupported):
        # It tells nothing: most merchants have no such certificates.
        return check
    return check


def is_simulated(platform: str) -> bool:
    """Whether calls to a platform go to the simulator of a development machine."""
    simulator = settings.SIMULATOR_URL
    return bool(
        simulator
        and settings.NOTIFY_ALLOW_HTTP
        and address_of(platform).startswith(f"{simulator}/")
    )


# The clock


def address_of(platform: str) -> str:
    """The address that questions to a platform go to."""
    return str(getattr(settings, _API[Platform(platform)]))


def host_of(platform: str) -> str:
    """Its host."""
    return urlsplit(address_of(platform)).hostname or ""


def offset_of(platform: str) -> timedelta | None:
    """How far our clock is ahead of the platform's, by the Date of any answer of its server; None if it has none."""
    asked_at = clock.now()
    try:
        answer = registry.shared_http().send("GET", address_of(platform))
    except PlatformUnavailable:
        return None
    heard_at = clock.now()
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    if theirs.tzinfo is None:
        return None
    # It is cut off to the second, and was written somewhere between question and answer.
    return asked_at + (heard_at - asked_at) / 2 - (theirs + timedelta(milliseconds=500))


def clock_finding(offset: timedelta | None, *, refused: bool) -> Finding:
    """What an offset means. ``refused``: the platform does not take our time."""
    if offset is None:
        if refused:
            return broken(Check.CLOCK, "clock_refused")
        return unknown(Check.CLOCK, code="clock_unread")
    seconds = round(offset.total_seconds())
    if refused or abs(offset) >= CLOCK_LIMIT:
        return broken(Check.CLOCK, "clock_skew", seconds=seconds)
    if abs(offset) >= CLOCK_WARNING:
        return warning(Check.CLOCK, "clock_drifts", seconds=seconds)
    return fine(Check.CLOCK, seconds=max(abs(seconds), 1))


# Bills


def bill_permission(account: PlatformAccount, *, now: datetime) -> Finding:
    """Whether the contract covers bills: yesterday's came already, or is asked for."""
    if Capability.TRADE_STATEMENT not in registry.capabilities_of(account.platform):
        return fine(Check.BILLS, "bills_none")
    day = clock.business_date(now) - timedelta(days=1)
    here = StatementDay.objects.filter(
        account=account,
        kind=StatementKind.TRADE.value,
        day=day,
        state__in=[FetchState.IMPORTED, FetchState.EMPTY],
    )
    if here.exists():
        return fine(Check.BILLS)
    try:
        gateway_of(account).fetch_statement(business_date=day, kind=StatementKind.TRADE)
    except (StatementEmpty, StatementNotReady):
        return fine(Check.BILLS)
    except PlatformRejected as refusal:
        if refusal.code in NO_PERMISSION or "权限" in refusal.message:
            return broken(
                Check.BILLS, "bill_permission", platform=account.platform, code=refusal.code
            )
        return warning(
            Check.BILLS,
            "bill_refused",
            platform=account.platform,
            code=refusal.code,
            message=refusal.message[:200],
        )
    except (PlatformUnavailable, NotSupported):
        return unknown(Check.BILLS)
    return fine(Check.BILLS)
