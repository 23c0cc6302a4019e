"""What a list, a sum or a file is narrowed to, as one value that all three are made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, time, timedelta
from enum import StrEnum
from typing import Final

from django.db.models import Q
from django.db.models.functions import Right

from apps.core import clock
from apps.core.tenancy import ScopedQuerySet
from apps.payments.models import Payment, PaymentState
from apps.platforms.models import PlatformAccount
from apps.refunds.models import Refund, RefundState
from apps.reports.models import Transaction, TransactionKind

#: The longest period that may be asked for.
MAX_PERIOD_DAYS: Final = 1_096
#: A search that fits more payments or refunds than this is too vague to be one.
MAX_FOUND: Final = 500
#: The fewest characters that a number may be searched by.
MIN_SEARCH: Final = 4

_NUMBER = re.compile(rf"[0-9A-Za-z_-]{{{MIN_SEARCH},64}}")


class Period(StrEnum):
    """Periods that have a name; ``custom`` is two dates."""

    ANY = ""
    TODAY = "today"
    YESTERDAY = "yesterday"
    WEEK = "7d"
    MONTH_30 = "30d"
    THIS_MONTH = "month"
    CUSTOM = "custom"


class StateGroup(StrEnum):
    """States as people tell them apart; each stands for some states of payments or refunds."""

    PENDING = "pending"
    UNKNOWN = "unknown"
    PAID = "paid"
    FAILED = "failed"
    CLOSED = "closed"
    WAITING = "waiting"
    REFUNDING = "refunding"
    ATTENTION = "attention"
    REFUNDED = "refunded"
    STOPPED = "stopped"


#: The states behind a group: (kind or None for both, states).
STATE_GROUPS: Final[Mapping[StateGroup, tuple[TransactionKind | None, tuple[str, ...]]]] = {
    StateGroup.PENDING: (
        TransactionKind.PAYMENT,
        (PaymentState.CREATED, PaymentState.PENDING),
    ),
    StateGroup.UNKNOWN: (None, (PaymentState.UNKNOWN,)),
    StateGroup.PAID: (TransactionKind.PAYMENT, (PaymentState.SUCCEEDED,)),
    StateGroup.FAILED: (None, (PaymentState.FAILED,)),
    StateGroup.CLOSED: (TransactionKind.PAYMENT, (PaymentState.CLOSED,)),
    StateGroup.WAITING: (TransactionKind.REFUND, (RefundState.WAITING,)),
    StateGroup.REFUNDING: (
        TransactionKind.REFUND,
        (RefundState.READY, RefundState.PROCESSING),
    ),
    StateGroup.ATTENTION: (TransactionKind.REFUND, (RefundState.QUEUED, RefundState.ABNORMAL)),
    StateGroup.REFUNDED: (TransactionKind.REFUND, (RefundState.SUCCEEDED,)),
    StateGroup.STOPPED: (TransactionKind.REFUND, (RefundState.REJECTED, RefundState.CANCELLED)),
}


class TooManyFound(ValueError):
    """A searched number fits more than MAX_FOUND payments or refunds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFilters:
    """What is asked for; empty fields narrow nothing.

    The period is in business days, both ends included, and goes by the booked day of a row; a row that is not booked
    (nothing was paid or given back) counts on the business day it was created. Amounts are fen without sign: a refund
    of ¥5 fits 500. ``q`` is a number of ours or the platform's: whole, its beginning or its last characters.
    """

    date_from: date | None = None
    date_to: date | None = None
    store_id: int | None = None
    platform: str = ""
    kind: str = ""
    state: str = ""
    code_id: int | None = None
    terminal_id: int | None = None
    source: str = ""
    amount_min: int | None = None
    amount_max: int | None = None
    q: str = ""
    #: Leaves out what is not booked: such rows may still change.
    booked_only: bool = False
    #: When the merchant's business day starts.
    day_starts_at: time = time(0)

    @property
    def active(self) -> bool:
        """Whether anything is narrowed."""
        return any(
            getattr(self, field.name) not in (None, "", False)
            for field in fields(self)
            if field.name != "day_starts_at"
        )


def preset_dates(period: Period, *, today: date) -> tuple[date | None, date | None]:
    """First and last business day of a named period that ends with ``today``."""
    match period:
        case Period.TODAY:
            return today, today
        case Period.YESTERDAY:
            return today - timedelta(days=1), today - timedelta(days=1)
        case Period.WEEK:
            return today - timedelta(days=6), today
        case Period.MONTH_30:
            return today - timedelta(days=29), today
        case Period.THIS_MONTH:
            return today.replace(day=1), today
        case _:
            return None, None


def clean_number(text: str) -> str | None:
    """A number as it is stored: without the spaces it is shown with; None if it cannot be one."""
    bare = "".join(text.split())
    if _NUMBER.fullmatch(bare) is None:
        return None
    # Our numbers begin with a capital letter; people type it small.
    return bare[0].upper() + bare[1:] if bare[0] in "pr" and bare[1:].isdigit() else bare


def _period(filters: TransactionFilters) -> Q:
    booked = Q(booked_date__isnull=False)
    created = Q(booked_date__isnull=True)
    if filters.date_from is not None:
        booked &= Q(booked_date__gte=filters.date_from)
        start, _ = clock.business_period(filters.date_from, filters.day_starts_at)
        created &= Q(created_at__gte=start)
    if filters.date_to is not None:
        booked &= Q(booked_date__lte=filters.date_to)
        _, end = clock.business_period(filters.date_to, filters.day_starts_at)
        created &= Q(created_at__lt=end)
    return booked if filters.booked_only else booked | created


def _begins(column: str, text: str) -> Q:
    # Row-level security lets only plain comparisons use an index, so a beginning is a range. Numbers hold digits and
    # letters, after all of which "z" sorts in every collation.
    return Q(**{f"{column}__gte": text, f"{column}__lt": f"{text}zz"})


def _found(q: str) -> Q:
    """The rows that carry a number. Raises TooManyFound."""
    tail = q[::-1]
    payments = list(
        Payment.objects.filter(
            _begins("order_no", q)
            | _begins("order_no_reversed", tail)
            | _begins("platform_trade_no", q)
            | _begins("platform_trade_no_reversed", tail)
        ).values_list("pk", flat=True)[: MAX_FOUND + 1]
    )
    refunds = list(
        Refund.objects.filter(
            _begins("refund_no", q)
            | _begins("refund_no_reversed", tail)
            | _begins("platform_refund_no", q)
            | Q(payment_id__in=payments)
        ).values_list("pk", flat=True)[: MAX_FOUND + 1]
    )
    if len(payments) > MAX_FOUND or len(refunds) > MAX_FOUND:
        raise TooManyFound(q)
    # The end of a platform's refund number has no column to search by; refunds are few beside payments.
    refunds += (
        Refund.objects.annotate(tail=Right("platform_refund_no", len(q)))
        .filter(tail=q)
        .values_list("pk", flat=True)[:MAX_FOUND]
    )
    return Q(kind=TransactionKind.PAYMENT, row_id__in=payments) | Q(
        kind=TransactionKind.REFUND, row_id__in=refunds
    )


def matching(filters: TransactionFilters) -> ScopedQuerySet[Transaction]:
    """The rows that the filters and the scope's stores let through: the one source of lists, sums and files.

    Raises TooManyFound.
    """
    rows: ScopedQuerySet[Transaction] = Transaction.objects.visible()
    if filters.date_from is not None or filters.date_to is not None:
        rows = rows.filter(_period(filters))
    if filters.store_id is not None:
        rows = rows.filter(store_id=filters.store_id)
    if filters.platform:
        # A refund's row knows its account, not its platform.
        accounts = PlatformAccount.objects.filter(platform=filters.platform)
        rows = rows.filter(account_id__in=list(accounts.values_list("pk", flat=True)))
    if filters.kind:
        rows = rows.filter(kind=filters.kind)
    if filters.state:
        kind, states = STATE_GROUPS[StateGroup(filters.state)]
        rows = rows.filter(state__in=states)
        if kind is not None:
            rows = rows.filter(kind=kind)
    if filters.code_id is not None:
        rows = rows.filter(code_id=filters.code_id)
    if filters.terminal_id is not None:
        rows = rows.filter(terminal_id=filters.terminal_id)
    if filters.source:
        rows = rows.filter(source=filters.source)
    if filters.amount_min is not None:
        rows = rows.filter(
            Q(signed_minor__gte=filters.amount_min) | Q(signed_minor__lte=-filters.amount_min)
        )
    if filters.amount_max is not None:
        rows = rows.filter(
            signed_minor__lte=filters.amount_max, signed_minor__gte=-filters.amount_max
        )
    if filters.q:
        rows = rows.filter(_found(filters.q))
    return rows
