"""Keeping some of the takings back for refunds: terms in versions, and one booking an account and business day.

The portal moves no money at the platform. What it keeps back is an account of the books of its own, out of what the platform owes.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, clock, outbox, sql
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose
from apps.ledger.selectors import held_on
from apps.ledger.services import Line, booking_date, post
from apps.merchants.models import Merchant
from apps.platforms.models import PlatformAccount
from apps.statements.models import ReserveMove, ReserveTerms
from apps.statements.reserving import WHOLE_BP
from apps.statements.selectors.reserve import target_on, terms_in_force

TASK: Final = "statements.reserve"
#: How long after a business day's end its reserve is booked: payments of the last minutes have come in.
_AFTER: Final = timedelta(hours=1)
#: Most that may be kept, in fen; most days that a share may count, and how far ahead terms may begin.
MOST_CEILING: Final = 10_000_000_000
MOST_DAYS: Final = 180
MOST_AHEAD: Final = 366

_HOLD: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


class ReserveRefused(ValueError):
    """``reason``: ``"share"`` (0 to 100 %), ``"ceiling"`` (above zero, up to 100 million yuan), ``"days"``, ``"past"``, ``"far"`` (more
    than a year ahead), ``"same"`` (these terms hold already) or ``"changed"`` (by somebody else meanwhile).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def hold_reserve(account_id: int) -> None:
    """One writer an account's reserve at a time, until the transaction ends: what it holds is read before it is moved."""
    sql.run(_HOLD, [f"reserve/{current_merchant_id()}/{account_id}"])


def _today(now: datetime) -> date:
    starts = Merchant.objects.values_list("day_starts_at", flat=True)
    return clock.business_date(now, starts.get(pk=current_merchant_id()))


def _refuse(
    *, share_bp: int, ceiling_minor: int | None, days: int, effective_from: date, today: date
) -> None:
    if not 0 <= share_bp <= WHOLE_BP:
        raise ReserveRefused("share")
    if ceiling_minor is not None and not 0 < ceiling_minor <= MOST_CEILING:
        raise ReserveRefused("ceiling")
    if not 1 <= days <= MOST_DAYS:
        raise ReserveRefused("days")
    if effective_from < today:
        raise ReserveRefused("past")
    if effective_from > today + timedelta(days=MOST_AHEAD):
        raise ReserveRefused("far")


@transaction.atomic
def set_reserve_terms(
    *,
    account_id: int,
    share_bp: int,
    ceiling_minor: int | None,
    days: int,
    effective_from: date,
    expected: int,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> ReserveTerms:
    """The next version of what is kept back of an account's takings, from a business day on, today at the earliest.

    ``expected``: the version that the writer had before the eyes, 0 for none. Raises ReserveRefused,
    PlatformAccount.DoesNotExist.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    _refuse(
        share_bp=share_bp,
        ceiling_minor=ceiling_minor,
        days=days,
        effective_from=effective_from,
        today=_today(now),
    )
    hold_reserve(account_id)
    last = ReserveTerms.objects.filter(account_id=account_id).order_by("-version").first()
    if (last.version if last is not None else 0) != expected:
        raise ReserveRefused("changed")
    asked = (share_bp, ceiling_minor, days)
    if last is not None:
        held = (last.share_bp, last.ceiling_minor, last.days)
        if held == asked and last.effective_from <= effective_from:
            raise ReserveRefused("same")
    elif not share_bp:
        raise ReserveRefused("same")
    terms: ReserveTerms = ReserveTerms.objects.create(
        account_id=account_id,
        version=expected + 1,
        effective_from=effective_from,
        share_bp=share_bp,
        ceiling_minor=ceiling_minor,
        days=days,
        created_by=member,
        created_at=now,
    )
    audit.record(
        action="reserve.terms",
        subject_kind="account",
        subject_id=account_id,
        actor=actor,
        at=now,
        data={
            "account": account.label,
            "version": terms.version,
            "from": effective_from.isoformat(),
            "share_bp": share_bp,
            "ceiling_minor": ceiling_minor,
            "days": days,
        },
    )
    outbox.enqueue(task=TASK, merchant_id=current_merchant_id(), subject_id=account_id, due_at=now)
    return terms


def _next_run(now: datetime) -> datetime:
    merchant = Merchant.objects.get(pk=current_merchant_id())
    starts = merchant.day_starts_at
    soon = clock.business_period(clock.business_date(now, starts), starts)[0] + _AFTER
    return soon if soon > now else soon + timedelta(days=1)


@transaction.atomic
def run_reserve(*, account_id: int, now: datetime) -> datetime | None:
    """Book the reserve of the last finished business day, once; returns when to come again, None for never.

    Days that were missed need nothing of their own: the target counts all takings of the days it covers.
    """
    starts = Merchant.objects.get(pk=current_merchant_id()).day_starts_at
    day = clock.business_date(now, starts) - timedelta(days=1)
    if now < clock.business_period(day, starts)[1] + _AFTER:
        # Not before its time, though somebody may have asked for it.
        day -= timedelta(days=1)
    hold_reserve(account_id)
    terms = terms_in_force(account_id, day=day)
    if (
        terms is not None
        and not ReserveMove.objects.filter(account_id=account_id, day__gte=day).exists()
    ):
        _move(terms, day=day, at=clock.business_period(day, starts)[1], now=now)
    ended = terms is not None and not terms.share_bp
    later = ReserveTerms.objects.filter(account_id=account_id, effective_from__gt=day).exists()
    # Of terms that ended, only what others booked there by hand could still be moved.
    return _next_run(now) if later or not ended or held_on(Purpose.RESERVE, account_id) else None


def _move(terms: ReserveTerms, *, day: date, at: datetime, now: datetime) -> ReserveMove:
    target = target_on(terms, day=day)
    before = held_on(Purpose.RESERVE, terms.account_id)
    delta = target.minor - before
    last = at - timedelta(seconds=1)
    booked = booking_date(at=last) if delta else None
    move: ReserveMove = ReserveMove.objects.create(
        account_id=terms.account_id,
        day=day,
        terms=terms,
        counted_minor=target.counted,
        target_minor=target.minor,
        before_minor=before,
        moved_minor=delta,
        booked_date=booked,
        at=now,
    )
    if booked is not None:
        post(
            kind="reserve",
            subject_kind="reserve",
            subject_id=move.pk,
            at=last,
            booked_date=booked,
            memo=f"{day.isoformat()} v{terms.version}",
            lines=[
                Line(purpose=Purpose.RESERVE, amount=Money(delta), subject_id=terms.account_id),
                Line(purpose=Purpose.RECEIVABLE, amount=Money(-delta), subject_id=terms.account_id),
            ],
        )
    return move
