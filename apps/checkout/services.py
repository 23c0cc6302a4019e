"""Taking an order from a scanned code and leading its payer to a platform."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from apps.checkout.selectors import (
    FORM_DOOR,
    account_for,
    has_handover,
    order_of_form,
    payments_of,
)
from apps.checkout.ways import Way
from apps.core import outbox
from apps.core.audit import Actor
from apps.core.doors import make_door
from apps.core.money import Money
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment
from apps.payments.services import (
    OrderNotPayable,
    close_order,
    expire_order,
    open_order,
    refresh_payment,
    start_payment,
)
from apps.platforms.gateway import Platform, Product
from apps.platforms.services import gateway_of
from apps.qrcodes.models import QRCode

#: How often one form may open a new order after the one before was closed.
_REOPENINGS = 20


def open_order_once(
    *,
    code: QRCode,
    amount: Money,
    subject: str,
    note: str,
    nonce: str,
    now: datetime,
    actor: Actor,
) -> Order:
    """The order of one filled-in form: sent twice, even at the same moment, it opens one order.

    ``nonce`` is the form's own random text. Another amount or note is another order, and so is a repeat after the
    first order was closed. A paid order is given back, so that going back and pressing again never pays twice.
    Raises AmountOutOfRange.
    """
    words = hashlib.sha256(note.encode()).hexdigest()
    for turn in range(_REOPENINGS):
        key = f"{code.pk}/{nonce}/{amount.minor}/{words}/{turn}"
        order = order_of_form(key=key, merchant_id=code.merchant_id)
        if order is None:
            try:
                with transaction.atomic():
                    order = open_order(
                        store_id=code.store_id,
                        code_id=code.pk,
                        amount=amount,
                        subject=subject,
                        note=note,
                        now=now,
                        actor=actor,
                    )
                    make_door(
                        kind=FORM_DOOR,
                        token=key,
                        merchant_id=code.merchant_id,
                        subject_id=order.pk,
                    )
                    return order
            except IntegrityError:
                # The same form at the same moment: the door's unique key let the other one through.
                order = order_of_form(key=key, merchant_id=code.merchant_id)
                if order is None:
                    raise
        if order.state == OrderState.PAID or (
            order.state == OrderState.OPEN and now < order.expires_at
        ):
            return order
    raise OrderNotPayable("expired")


def begin(*, order: Order, way: Way, now: datetime, actor: Actor, client_ip: str) -> Payment:
    """Open an attempt of this order on the way chosen (not IN_APP, which must know the payer first).

    Raises OrderNotPayable, HandoverFailed.
    """
    account = account_for(store_id=order.store_id, platform=way.platform)
    if account is None:
        raise OrderNotPayable("no_account")
    return start_payment(
        order_id=order.pk,
        account_id=account.pk,
        product=way.product,
        now=now,
        actor=actor,
        client_ip=client_ip,
    )


def authorize_address(*, order: Order, redirect_uri: str, state: str) -> str:
    """Where WeChat tells who pays. Raises OrderNotPayable when no account of the store takes WeChat Pay."""
    account = account_for(store_id=order.store_id, platform=Platform.WECHATPAY)
    if account is None:
        raise OrderNotPayable("no_account")
    return gateway_of(account).authorize_url(redirect_uri=redirect_uri, state=state)


def begin_in_wechat(
    *, order: Order, code: str, now: datetime, actor: Actor, client_ip: str
) -> Payment:
    """Open an attempt inside WeChat for the payer whom ``code`` (single use) names.

    Raises OrderNotPayable, HandoverFailed, PlatformUnavailable, PlatformRejected.
    """
    account = account_for(store_id=order.store_id, platform=Platform.WECHATPAY)
    if account is None:
        raise OrderNotPayable("no_account")
    payer_id = gateway_of(account).payer_id_from_code(code=code)
    return start_payment(
        order_id=order.pk,
        account_id=account.pk,
        product=Product.IN_APP,
        payer_id=payer_id,
        now=now,
        actor=actor,
        client_ip=client_ip,
    )


def look(*, order: Order, now: datetime, every: timedelta) -> list[Payment]:
    """The attempts of an order, those under way asked about at the platform unless that was done within ``every``.

    Waits for the platform, so it is for opening a page and not for watching it. However many open the page at the same
    time, one of them asks; the others are given what is known.
    """
    payments = payments_of(order)
    if not any(_stale(payment, order=order, now=now, every=every) for payment in payments):
        return payments
    with asking_alone(order_id=order.pk) as mine:
        if not mine:
            return payments
        for payment in payments:
            if _stale(payment, order=order, now=now, every=every) and _claim(payment, now=now):
                refresh_payment(payment_id=payment.pk, now=now, via="query")
    order.refresh_from_db()
    return payments_of(order)


def watch(*, order: Order, now: datetime, every: timedelta) -> list[Payment]:
    """The attempts of an order as they are known, for pages that ask again and again: nothing waits for a platform here.

    Unless the platform was asked within ``every``, a worker is told to ask, once for all who watch.
    """
    payments = payments_of(order)
    for payment in payments:
        if _stale(payment, order=order, now=now, every=every):
            with transaction.atomic():
                if _claim(payment, now=now):
                    outbox.enqueue(
                        task="payments.poll",
                        merchant_id=payment.merchant_id,
                        subject_id=payment.pk,
                        due_at=now,
                    )
    return payments


@contextmanager
def asking_alone(*, order_id: int) -> Iterator[bool]:
    """Whether nobody else is just asking the platform about this order; as long as the block runs nobody else will be told so.

    A lock of the database session: it ends with the connection, should the process be killed.
    """
    key = f"checkout/look/{order_id}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [key])


def _stale(payment: Payment, *, order: Order, now: datetime, every: timedelta) -> bool:
    """Whether the platform's word on an attempt under way is older than ``every``."""
    if order.state == OrderState.PAID:
        return False
    if payment.state not in OPEN_STATES or not has_handover(payment):
        return False
    return now - (payment.last_polled_at or payment.created_at) >= every


def _claim(payment: Payment, *, now: datetime) -> bool:
    """Whether it is for us to have the platform asked: whoever moves the time of the last look."""
    return bool(
        Payment.objects.filter(
            Q(last_polled_at=payment.last_polled_at)
            if payment.last_polled_at
            else Q(last_polled_at__isnull=True),
            pk=payment.pk,
        ).update(last_polled_at=now)
    )


def give_up(*, order: Order, now: datetime, actor: Actor) -> None:
    """The payer does not want to pay any more. An order without an attempt under way is closed at once."""
    close_order(order_id=order.pk, now=now, actor=actor)
    expire_order(order_id=order.pk, now=now)
