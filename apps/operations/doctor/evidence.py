"""What our own books say about how an account fares: notices that never came, bills that are late, terminals, refusals."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final

from django.db.models import QuerySet

from apps.core import clock
from apps.core.models import AuditEvent
from apps.operations.doctor.findings import Check, Finding, broken, fine, warning
from apps.operations.doctor.live import NO_PERMISSION
from apps.payments.models import Payment, PaymentState, Source
from apps.platforms.gateway import Product
from apps.platforms.models import (
    AccountPace,
    AccountTerminal,
    Notification,
    PlatformAccount,
    TerminalState,
    Verdict,
)
from apps.platforms.selectors import TOO_OLD
from apps.platforms.services.terminals import has_terminals, is_fresh
from apps.statements.models import AWAITED, FetchState, StatementDay
from apps.statements.services.schedule import GIVE_UP, ready_at
from apps.statements.wording import detail_words

#: How far back payments are looked at, and how many at most.
PERIOD: Final = timedelta(days=7)
LATEST: Final = 50
#: A notice may take this long.
SETTLED: Final = timedelta(minutes=2)
#: Fewer than these prove nothing.
ENOUGH: Final = 3
#: Forgeries older than this are history.
FORGED_SINCE: Final = timedelta(days=1)
#: The next day at this hour (China time) a bill that is not there is late, whatever was promised.
LATE_AT: Final = time(12)


# Notifications


def notice_findings(
    account: PlatformAccount, *, now: datetime, keys_doubtful: bool, clock_doubtful: bool = False
) -> list[Finding]:
    """Whether notifications arrive, and whether strangers send some.

    ``keys_doubtful``: our copy of the platform's key is wrong, so that genuine ones look forged. ``clock_doubtful``: so is
    our clock, so that they look old.
    """
    found = []
    lately = now - FORGED_SINCE
    forged = _forged(account, since=lately).count()
    if forged and not keys_doubtful:
        found.append(warning(Check.NOTICES, "notices_forged", count=forged))
    old = _too_old(account, since=lately).count()
    if old and not clock_doubtful:
        found.append(warning(Check.NOTICES, "notices_replayed", count=old))
    arrival = _arrival(account, now=now, keys_doubtful=keys_doubtful, clock_doubtful=clock_doubtful)
    if arrival.code != "notices_ok" or not found:
        found.append(arrival)
    return found


def _refused(
    account: PlatformAccount, verdict: Verdict, *, since: datetime
) -> QuerySet[Notification]:
    return Notification.objects.filter(
        account_id=account.pk, received_at__gte=since, verdict=verdict
    )


def _forged(account: PlatformAccount, *, since: datetime) -> QuerySet[Notification]:
    # WeChat Pay sends wrong signatures on purpose, to see whether they are checked.
    others = ("probe", TOO_OLD)
    return _refused(account, Verdict.BAD_SIGNATURE, since=since).exclude(detail__in=others)


def _too_old(account: PlatformAccount, *, since: datetime) -> QuerySet[Notification]:
    return _refused(account, Verdict.BAD_SIGNATURE, since=since).filter(detail=TOO_OLD)


def _arrival(
    account: PlatformAccount, *, now: datetime, keys_doubtful: bool, clock_doubtful: bool
) -> Finding:
    since = now - PERIOD
    # What is paid by the payer's own code is told by the answer; not every platform sends a notice of it as well.
    paid = dict(
        Payment.objects.filter(
            account=account,
            state=PaymentState.SUCCEEDED,
            source=Source.PORTAL,
            booked_date__gte=clock.business_date(since),
            paid_at__gte=since,
            created_at__lte=now - SETTLED,
        )
        .exclude(product=Product.BARCODE.value)
        .order_by("-booked_date", "-pk")
        .values_list("order_no", "order_id")[:LATEST]
    )
    if not paid:
        return fine(Check.NOTICES, "notices_none_due")
    told = set(
        Notification.objects.filter(
            account_id=account.pk,
            received_at__gte=since - SETTLED,
            verdict=Verdict.GOOD,
            order_no__in=paid,
        ).values_list("order_no", flat=True)
    )
    otherwise = set(
        AuditEvent.objects.filter(
            action__in=["payment.succeeded", "payment.second"],
            subject_kind="order",
            subject_id__in=[order_id for no, order_id in paid.items() if no not in told],
            at__gte=since - SETTLED,
        )
        .exclude(data__via="notification")
        .values_list("subject_id", flat=True)
    )
    missing = sum(order_id in otherwise for no, order_id in paid.items() if no not in told)
    # What came and could not be read was not lost.
    missing -= _refused(account, Verdict.UNREADABLE, since=since).count()
    if keys_doubtful:
        missing -= _forged(account, since=since).count()
    if clock_doubtful:
        missing -= _too_old(account, since=since).count()
    if missing >= ENOUGH and not told:
        return broken(Check.NOTICES, "notices_lost", count=missing)
    if missing >= ENOUGH and missing * 4 >= len(paid):
        return warning(Check.NOTICES, "notices_missing", count=missing, of=len(paid))
    return fine(Check.NOTICES, count=len(paid) - max(missing, 0), of=len(paid))


# Bills


def late_bill(account: PlatformAccount, *, now: datetime) -> Finding | None:
    """The oldest bill of the last days that should be here and is not."""
    today = clock.business_date(now)
    rows = StatementDay.objects.filter(
        account=account, day__gte=today - GIVE_UP, day__lt=today, state__in=AWAITED
    ).order_by("day", "kind")
    for row in rows:
        noon = datetime.combine(row.day + timedelta(days=1), LATE_AT, tzinfo=clock.CHINA)
        if now < max(noon, ready_at(account.platform, day=row.day)):
            continue
        if row.state == FetchState.FAILED:
            return warning(
                Check.BILLS,
                "bill_failed",
                day=row.day.isoformat(),
                message=detail_words(account.platform, row.detail)[:200],
            )
        return warning(Check.BILLS, "bill_late", day=row.day.isoformat(), attempts=row.attempts)
    return None


# Products


def product_finding(account: PlatformAccount, *, now: datetime) -> Finding:
    """Whether the platform lately refused payments because the contract does not cover how they were made."""
    recent = Payment.objects.filter(account=account, created_at__gte=now - PERIOD)
    refused = (
        recent.filter(state=PaymentState.FAILED, code_text__in=NO_PERMISSION)
        .order_by("-created_at")
        .first()
    )
    if refused is None:
        return fine(Check.PRODUCTS)
    since = recent.filter(
        state=PaymentState.SUCCEEDED,
        product=refused.product,
        created_at__gt=refused.created_at,
    )
    if since.exists():
        return fine(Check.PRODUCTS)
    return broken(
        Check.PRODUCTS, "product_refused", product=refused.product, code=refused.code_text
    )


# Terminals


def terminal_findings(account: PlatformAccount, *, now: datetime) -> list[Finding]:
    """The portal's own terminal and the shops' at a platform that has terminals; nothing elsewhere."""
    if not has_terminals(account):
        return []
    known = AccountTerminal.objects.filter(account=account).select_related("terminal")
    # Of each the last one, which replaced those before.
    latest = {row.terminal_id: row for row in known.order_by("pk")}
    rows = [row for row in latest.values() if row.state != TerminalState.OFF]
    found = [finding for row in rows if (finding := _terminal(account, row, now=now)) is not None]
    if not any(row.terminal_id is None for row in rows):
        found.append(broken(Check.TERMINALS, "terminal_missing"))
    return found or [fine(Check.TERMINALS, count=len(rows))]


def _terminal(account: PlatformAccount, row: AccountTerminal, *, now: datetime) -> Finding | None:
    name = row.terminal.name if row.terminal is not None else ""
    if row.state == TerminalState.LOST:
        return broken(
            Check.TERMINALS, "terminal_lost", name=name, sn=row.terminal_sn, code=row.detail[:64]
        )
    today, _end = clock.business_period(clock.business_date(now))
    due = now >= today + timedelta(minutes=15)
    if due and not is_fresh(row.checked_in_at, now) and not is_fresh(row.activated_at, now):
        return warning(
            Check.TERMINALS,
            "terminal_unchecked",
            name=name,
            sn=row.terminal_sn,
            at=row.checked_in_at.isoformat() if row.checked_in_at else "",
            platform=account.platform,
            code=row.detail[:64],
        )
    return None


def own_terminal_lost(findings: list[Finding]) -> Finding | None:
    """The finding by which the portal's own terminal makes every call fail, if there is one."""
    for finding in findings:
        own = finding.code == "terminal_lost" and not finding.values.get("name")
        if own or finding.code == "terminal_missing":
            return finding
    return None


# The breaker


def breaker_finding(account: PlatformAccount, *, now: datetime) -> Finding | None:
    """Whether the portal has stopped asking this account's platform for a while."""
    pace = AccountPace.objects.filter(account=account).first()
    if pace is None or pace.open_until is None or pace.open_until <= now:
        return None
    return warning(
        Check.PLATFORM,
        "breaker_open",
        platform=account.platform,
        code=pace.last_code or "-",
        until=pace.open_until.isoformat(),
        count=pace.failures,
    )
