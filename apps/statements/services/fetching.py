"""Asking the platforms for bills, by the clock and by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction

from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.payments.models import Payment, PaymentState
from apps.platforms.gateway import (
    NotSupported,
    PlatformRejected,
    PlatformUnavailable,
    StatementEmpty,
    StatementKind,
    StatementMissing,
    StatementNotReady,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.services import gateway_of
from apps.statements import wording
from apps.statements.models import AWAITED, FetchState, StatementDay, SweptAnswer
from apps.statements.selectors import bill_period, is_asked, kinds_of, next_tries
from apps.statements.services.importing import (
    ask_to_reconcile,
    expect_day,
    forget_answers,
    import_statement,
)
from apps.statements.services.reading import StatementRefused, refuse_unfinished
from apps.statements.services.schedule import GIVE_UP, next_try, ready_at
from apps.statements.services.sweeping import (
    SHARE,
    SHARE_BY_HAND,
    Share,
    SweepGoesOn,
    SweepIncomplete,
    sweep,
)

#: How long an empty day that the books hold payments of is taken for a late bill.
PATIENCE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What one try to fetch a bill led to. ``is_new`` is False where the file was here already.

    ``detail`` is what ``wording.detail_words`` reads. ``again_at`` is when a sweep goes on that has ``answered`` so many of
    its ``questions``.
    """

    state: FetchState
    detail: str = ""
    is_new: bool = False
    again_at: datetime | None = None
    answered: int = 0
    questions: int = 0


def _note(expected: StatementDay, result: FetchResult, *, now: datetime) -> None:
    # A bill that is there stays there, whatever asking again for a newer one leads to.
    if expected.state != FetchState.IMPORTED:
        expected.state = result.state
        expected.detail = result.detail[:300]
    if result.questions or result.again_at is None:
        expected.questions, expected.answered = result.questions, result.answered
    expected.last_tried_at = now
    expected.attempts += 1
    expected.save(
        update_fields=["state", "last_tried_at", "detail", "attempts", "questions", "answered"]
    )


def _refusal(error: PlatformUnavailable | PlatformRejected) -> str:
    return wording.kept(error.code, error.message)


def _empty(expected: StatementDay, *, now: datetime) -> FetchResult:
    """What "nothing on that day" means: Alipay says the same of a bill that is late.

    Where the books hold payments of the platform's day it is taken for late, until PATIENCE has passed and the matching
    must say that they are missing there.
    """
    from_at, until = bill_period(expected.account.platform, expected.day)
    held = Payment.objects.filter(
        account_id=expected.account_id,
        state=PaymentState.SUCCEEDED,
        paid_at__gte=from_at,
        paid_at__lt=until,
    )
    if now < until + PATIENCE and held.exists():
        return FetchResult(FetchState.ABSENT, wording.DOUBTED)
    return FetchResult(FetchState.EMPTY)


def _bring(expected: StatementDay, *, actor: Actor, now: datetime, share: Share) -> FetchResult:
    """The bill by the road that the platform offers: its file, or its answers about each payment."""
    kind = StatementKind(expected.kind)
    refuse_unfinished(day=expected.day, now=now)
    if is_asked(expected.account.platform) and kind is StatementKind.TRADE:
        made = sweep(expected=expected, actor=actor, now=now, share=share)
        return FetchResult(FetchState.IMPORTED, is_new=made.is_asked and made.imported_at == now)
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


def try_fetch(*, day_id: int, actor: Actor, now: datetime, share: Share = SHARE) -> FetchResult:
    """Ask the platform for one expected bill now, also where one is here already, and import it.

    ``share`` bounds what one run asks where the platform has no bills. Never inside a transaction: it calls the platform.
    Raises StatementDay.DoesNotExist.
    """
    expected = StatementDay.objects.select_related("account").get(pk=day_id)
    try:
        return _bring(expected, actor=actor, now=now, share=share)
    except StatementEmpty:
        result = _empty(expected, now=now)
    except StatementMissing as error:
        result = FetchResult(FetchState.ABSENT, _refusal(error))
    except StatementNotReady as error:
        result = FetchResult(FetchState.WAITING, _refusal(error))
    except (PlatformUnavailable, PlatformRejected) as error:
        result = FetchResult(FetchState.FAILED, _refusal(error))
    except NotSupported:
        result = FetchResult(FetchState.FAILED, wording.kept_unreadable(wording.NO_SUCH_KIND))
    except (StatementRefused, SweepIncomplete) as error:
        result = FetchResult(FetchState.FAILED, error.kept)
    except SweepGoesOn as rest:
        result = FetchResult(
            FetchState.WAITING,
            again_at=rest.again_at,
            answered=rest.answered,
            questions=rest.questions,
        )
    expected.refresh_from_db()
    _note(expected, result, now=now)
    if expected.state == FetchState.EMPTY and expected.kind == StatementKind.TRADE:
        ask_to_reconcile(expected, now=now)
    return result


def fetch_statement(*, day_id: int, now: datetime, share: Share = SHARE) -> datetime | None:
    """Try to bring one expected bill; returns when to try again, None when there is no more to do."""
    expected = StatementDay.objects.select_related("account").filter(pk=day_id).first()
    if expected is None or not _is_open(expected):
        return None
    result = try_fetch(day_id=day_id, actor=Actor.system("statements"), now=now, share=share)
    return _next(expected, result, now=now)


def _is_open(expected: StatementDay) -> bool:
    """Whether the bill is still to come, or a person asked about the day once more and that goes on."""
    return expected.state in AWAITED or SweptAnswer.objects.filter(day=expected).exists()


def _next(expected: StatementDay, result: FetchResult, *, now: datetime) -> datetime | None:
    """When the bill is asked for again; where it is not, what a sweep was answered is no longer kept."""
    if result.again_at is not None:
        return result.again_at
    expected.refresh_from_db()
    again = None
    if expected.state in AWAITED:
        again = next_try(expected.account.platform, day=expected.day, now=now)
    if again is None:
        forget_answers(expected)
    return again


def _follow(expected: StatementDay, *, due_at: datetime) -> None:
    """Have the bill brought by the task that fits its platform."""
    asked = is_asked(expected.account.platform) and expected.kind == StatementKind.TRADE
    outbox.enqueue(
        task="statements.sweep" if asked else "statements.fetch",
        merchant_id=expected.merchant_id,
        subject_id=expected.pk,
        due_at=due_at,
    )


def fetch_now(
    *, account_id: int, kind: StatementKind, day: date, actor: Actor, now: datetime
) -> FetchResult:
    """A person asks for a bill now; what fails is tried again by itself as long as that makes sense.

    Never inside a transaction. Raises StatementRefused for a day that is not over, PlatformAccount.DoesNotExist.
    """
    PlatformAccount.objects.get(pk=account_id)
    refuse_unfinished(day=day, now=now)
    expected = expect_day(account_id=account_id, kind=kind, day=day)
    result = try_fetch(day_id=expected.pk, actor=actor, now=now, share=SHARE_BY_HAND)
    again = _next(expected, result, now=now)
    if again is not None:
        _follow(expected, due_at=again)
    return result


@transaction.atomic
def _plan(account: PlatformAccount, *, kind: StatementKind, day: date, now: datetime) -> None:
    expected = expect_day(account_id=account.pk, kind=kind, day=day)
    if expected.state in AWAITED:
        _follow(expected, due_at=now)


def plan_yesterday(*, now: datetime) -> int:
    """Expect yesterday's bills of every active account of the merchant, once they may be ready; how many are planned.

    Each kind that the platform has is expected. Days that were missed while nothing ran are made up for, back to the
    account's first day and at most a week. So is a bill still to come that nothing asks for any more, though it is not
    given up.
    """
    today = clock.business_date(now)
    window = [today - timedelta(days=back) for back in range(1, GIVE_UP.days + 1)]
    days = list(StatementDay.objects.filter(day__gte=window[-1]))
    known = {(row.account_id, row.kind, row.day): row for row in days}
    tries = next_tries([row for row in days if row.state in AWAITED])
    planned = 0
    for account in PlatformAccount.objects.filter(is_active=True):
        if now < ready_at(account.platform, day=window[0]):
            continue
        first = min(clock.business_date(account.created_at), window[0])
        for day in window:
            for kind in kinds_of(account.platform):
                row = known.get((account.pk, kind.value, day))
                if row is None and day >= first:
                    _plan(account, kind=kind, day=day, now=now)
                    planned += 1
                elif row is not None and row.state in AWAITED and row.pk not in tries:
                    planned += _resume(row, account, now=now)
    return planned


def _resume(expected: StatementDay, account: PlatformAccount, *, now: datetime) -> bool:
    """Ask again for a bill that nothing asks for; False where it is given up."""
    again = now
    if expected.attempts:
        later = next_try(account.platform, day=expected.day, now=now)
        if later is None:
            return False
        again = later
    _follow(expected, due_at=again)
    return True
