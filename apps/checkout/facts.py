"""Payments and refunds as facts for the risk rules: ``apps.risk`` counts them and knows no payments."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db.models import CharField, F, Q, Value

from apps.core import clock
from apps.payments.models import Order, OrderState, Payment, PaymentState, Source
from apps.refunds.models import RESERVING, Refund
from apps.risk.facts import COLUMNS, FactKind, Facts, FactsSince

#: A payment that was begun may be paid a little later.
_LATE: Final = timedelta(days=1)


def _kind(kind: FactKind) -> Value:
    return Value(kind.value, output_field=CharField())


def _paid() -> Any:
    return Payment.objects.filter(state=PaymentState.SUCCEEDED).annotate(
        kind=_kind(FactKind.PAID),
        at=F("paid_at"),
        payer=F("payer_hash"),
        member_id=F("order__taken_by"),
    )


def facts_since(day: date, *, now: datetime) -> Facts:
    """What was paid, what came to nothing and what was given back since the day began (China's day) and until now.

    An attempt counts as failed where its order was not paid in another way. Refunds that the portal makes by itself are left out.
    """
    begins, _ends = clock.business_period(day)
    paid = (
        _paid()
        # The booked day has an index; of a closed day's late payment it is a later one.
        .filter(booked_date__gte=day - _LATE, paid_at__gte=begins, paid_at__lte=now)
    )
    failed = (
        Payment.objects.filter(
            state__in=[PaymentState.FAILED, PaymentState.CLOSED],
            source=Source.PORTAL,
            created_at__gte=begins,
            created_at__lte=now,
        )
        .exclude(order__state=OrderState.PAID)
        .annotate(
            kind=_kind(FactKind.FAILED),
            at=F("created_at"),
            payer=F("payer_hash"),
            member_id=F("order__taken_by"),
        )
    )
    refunds = Refund.objects.filter(
        state__in=RESERVING, is_automatic=False, created_at__gte=begins, created_at__lte=now
    ).annotate(
        kind=_kind(FactKind.REFUND),
        at=F("created_at"),
        order_id=F("payment__order_id"),
        code_id=F("payment__code_id"),
        payer=F("payment__payer_hash"),
        member_id=F("requested_by"),
    )
    together: Facts = (
        paid.order_by()
        .values_list(*COLUMNS)
        .union(
            failed.order_by().values_list(*COLUMNS),
            refunds.order_by().values_list(*COLUMNS),
            all=True,
        )
    )
    return together


def facts_of_today(*, code_id: int, payer: str, now: datetime) -> Facts:
    """What this code took lately, and what this payer paid by any code; the day is cut by who counts.

    Of the code the orders are read, by their index; of a payer the day's payments.
    """
    begins = now - 2 * _LATE
    rows = _paid().filter(created_at__gte=begins, code_id__isnull=False)
    mine = Q(order__in=Order.objects.filter(code_id=code_id, created_at__gte=begins).values("pk"))
    if payer:
        mine |= Q(payer_hash=payer)
    found: Facts = rows.filter(mine).order_by().values_list(*COLUMNS)
    return found


def facts_of_member(member_id: int, *, now: datetime) -> FactsSince:
    """What was paid to a cashier from a moment on and until now; of the cashier the orders are read, by their index."""

    def since(moment: datetime) -> Facts:
        orders = Order.objects.filter(taken_by=member_id, created_at__gte=moment - _LATE)
        found: Facts = (
            _paid()
            .filter(order__in=orders.values("pk"), paid_at__gte=moment, paid_at__lte=now)
            .order_by()
            .values_list(*COLUMNS)
        )
        return found

    return since


def facts_of_store(store_id: int, *, now: datetime) -> FactsSince:
    """What was paid in a store from a moment on and until now."""

    def since(moment: datetime) -> Facts:
        found: Facts = (
            _paid()
            .filter(
                store=store_id,
                created_at__gte=moment - _LATE,
                paid_at__gte=moment,
                paid_at__lte=now,
            )
            .order_by()
            .values_list(*COLUMNS)
        )
        return found

    return since
