"""Asking the platforms for bills, by the clock and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.payments.models import Payment, PaymentState
from apps.platforms import messages
from apps.platforms.gateway import (
    NotSupported,
    PlatformRejected,
    PlatformUnavailable,
    StatementEmpty,
    StatementKind,
    StatementNotReady,
)
from apps.platforms.models import PlatformAccount, PlatformChoice
from apps.platforms.services import gateway_of
from apps.statements.models import FetchState, StatementDay
from apps.statements.services.importing import (
    StatementRefused,
    ask_to_reconcile,
    expect_day,
    import_statement,
    refuse_unfinished,
)

#: When each platform's bill of yesterday may be asked for, China time, with a margin over the platform's own promise.
READY_AT = {
    PlatformChoice.WECHATPAY: time(10, 5),
    PlatformChoice.ALIPAY: time(10, 5),
}
#: Between two tries while the bill is being made or the platform does not answer.
RETRY = timedelta(minutes=30)
#: After this many days without a bill the portal stops asking; it can still be uploaded.
GIVE_UP = timedelta(days=7)
#: How long an empty day that the books hold payments of is taken for a late bill.
PATIENCE = timedelta(days=2)


def _note(expected: StatementDay, state: FetchState, *, now: datetime, detail: str = "") -> None:
    # A bill that is there stays there, whatever asking again for a newer one leads to.
    if expected.state != FetchState.IMPORTED:
        expected.state = state
        expected.detail = detail[:300]
    expected.last_tried_at = now
    expected.attempts += 1
    expected.save(update_fields=["state", "last_tried_at", "detail", "attempts"])


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What one try to fetch a bill led to. ``is_new`` is False where the file was here already."""

    state: FetchState
    detail: str = ""
    is_new: bool = False


def _words(account: PlatformAccount, error: PlatformUnavailable | PlatformRejected) -> str:
    return str(messages.explain(account.platform, error.code, fallback=error.message))


def _empty(expected: StatementDay, *, now: datetime) -> FetchResult:
    """What "nothing on that day" means: Alipay says the same of a bill that is late.

    Where the books hold payments of the day it is taken for late, until PATIENCE has passed and the matching must say
    that they are missing there.
    """
    from_at, until = clock.business_period(expected.day)
    held = Payment.objects.filter(
        account_id=expected.account_id,
        state=PaymentState.SUCCEEDED,
        paid_at__gte=from_at,
        paid_at__lt=until,
    )
    if now < until + PATIENCE and held.exists():
        return FetchResult(
            FetchState.WAITING,
            _(
                "The platform says that nothing happened on this day, but there were payments: its bill is late."
            ),
        )
    return FetchResult(FetchState.EMPTY)


def try_fetch(*, day_id: int, actor: Actor, now: datetime) -> FetchResult:
    """Ask the platform for one expected bill now, also where one is here already, and import it.

    Never inside a transaction: it calls the platform. Raises StatementDay.DoesNotExist.
    """
    expected = StatementDay.objects.select_related("account").get(pk=day_id)
    kind = StatementKind(expected.kind)
    try:
        refuse_unfinished(day=expected.day, now=now)
        file = gateway_of(expected.account).fetch_statement(business_date=expected.day, kind=kind)
        statement = import_statement(
            account_id=expected.account_id,
            kind=kind,
            day=expected.day,
            filename=file.filename,
            content=file.content,
            uploaded_by=None,
            actor=actor,
            now=now,
        )
        return FetchResult(FetchState.IMPORTED, is_new=statement.imported_at == now)
    except StatementEmpty:
        result = _empty(expected, now=now)
    except StatementNotReady as error:
        result = FetchResult(FetchState.WAITING, _words(expected.account, error))
    except (PlatformUnavailable, PlatformRejected) as error:
        result = FetchResult(FetchState.FAILED, _words(expected.account, error))
    except NotSupported as error:
        result = FetchResult(FetchState.FAILED, str(error))
    except StatementRefused as error:
        result = FetchResult(FetchState.FAILED, error.message)
    expected.refresh_from_db()
    _note(expected, result.state, now=now, detail=result.detail)
    if expected.state == FetchState.EMPTY and kind is StatementKind.TRADE:
        ask_to_reconcile(expected, now=now)
    return result


def _given_up(expected: StatementDay, *, now: datetime) -> bool:
    return clock.business_date(now) - expected.day > GIVE_UP


def fetch_statement(*, day_id: int, now: datetime) -> datetime | None:
    """Try to fetch one expected bill; returns when to try again, None when there is no more to do."""
    expected = StatementDay.objects.filter(pk=day_id).first()
    if expected is None or expected.state in {FetchState.IMPORTED, FetchState.EMPTY}:
        return None
    result = try_fetch(day_id=day_id, actor=Actor.system("statements"), now=now)
    if result.state in {FetchState.IMPORTED, FetchState.EMPTY} or _given_up(expected, now=now):
        return None
    return now + RETRY


def fetch_now(
    *, account_id: int, kind: StatementKind, day: date, actor: Actor, now: datetime
) -> FetchResult:
    """A person asks for a bill now; what fails is tried again by itself as long as that makes sense.

    Never inside a transaction. Raises StatementRefused for a day that is not over, PlatformAccount.DoesNotExist.
    """
    PlatformAccount.objects.get(pk=account_id)
    refuse_unfinished(day=day, now=now)
    expected = expect_day(account_id=account_id, kind=kind, day=day)
    result = try_fetch(day_id=expected.pk, actor=actor, now=now)
    expected.refresh_from_db()
    if expected.state in {FetchState.WAITING, FetchState.FAILED} and not _given_up(
        expected, now=now
    ):
        outbox.enqueue(
            task="statements.fetch",
            merchant_id=expected.merchant_id,
            subject_id=expected.pk,
            due_at=now + RETRY,
        )
    return result


def _due_accounts(*, now: datetime) -> Iterator[PlatformAccount]:
    local = now.astimezone(clock.CHINA).time()
    for account in PlatformAccount.objects.filter(is_active=True):
        ready = READY_AT.get(PlatformChoice(account.platform))
        if ready is not None and local >= ready:
            yield account


@transaction.atomic
def _plan(account: PlatformAccount, *, day: date, now: datetime) -> None:
    expected = expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=day)
    if expected.state in {FetchState.WAITING, FetchState.FAILED}:
        outbox.enqueue(
            task="statements.fetch",
            merchant_id=account.merchant_id,
            subject_id=expected.pk,
            due_at=now,
        )


def plan_yesterday(*, now: datetime) -> int:
    """Expect yesterday's trade bill of every active account of the merchant, once it may be ready; how many are new.

    Days that were missed while nothing ran are made up for, back to the account's first day and at most a week.
    """
    today = clock.business_date(now)
    window = [today - timedelta(days=back) for back in range(1, GIVE_UP.days + 1)]
    known = set(
        StatementDay.objects.filter(
            kind=StatementKind.TRADE.value, day__gte=window[-1]
        ).values_list("account_id", "day")
    )
    planned = 0
    for account in _due_accounts(now=now):
        first = min(clock.business_date(account.created_at), window[0])
        for day in window:
            if day >= first and (account.pk, day) not in known:
                _plan(account, day=day, now=now)
                planned += 1
    return planned
