"""Taking an order from a scanned code and leading its payer to a platform."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Q

from apps.checkout.selectors import FORM_DOOR, order_of_form, payments_of
from apps.checkout.services.limits import keep_within
from apps.checkout.services.risk import ORDER, judge
from apps.checkout.ways import Way
from apps.core import limits, outbox
from apps.core.audit import Actor
from apps.core.doors import make_door
from apps.core.models import Door, Due
from apps.core.money import Money
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment
from apps.payments.selectors import has_handover
from apps.payments.services import (
    OrderNotPayable,
    close_order,
    expire_order,
    open_order,
    refresh_payment,
    start_payment,
)
from apps.payments.services.charging import CHARGE_DOOR
from apps.payments.services.timing import look_every
from apps.platforms.gateway import Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import accounts_serving
from apps.platforms.services import gateway_of
from apps.platforms.services.asking import TOO_OFTEN
from apps.qrcodes.models import CodeVersion
from apps.risk.services import leave_hold

#: How often one form may open a new order after the one before was closed.
_REOPENINGS = 20
#: What the doors of forms are called: of the customer's, and of the till's.
_FORM_DOORS = (FORM_DOOR, CHARGE_DOOR)
#: A form's door is kept this long after its order's time, since going back and pressing again must find the order.
FORM_KEPT = timedelta(days=1)
#: Doors taken away in one go.
_BATCH = 5_000


class TooManyOrders(Exception):
    """Too many orders are being opened by this code or from this address; ``seconds`` until it may be tried again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


def open_order_once(
    *,
    version: CodeVersion,
    merchant: Merchant,
    amount: Money,
    subject: str,
    note: str,
    nonce: str,
    client_ip: str,
    now: datetime,
    actor: Actor,
) -> Order:
    """The order of one filled-in form: sent twice, even at the same moment, it opens one order.

    ``nonce`` is the form's own random text. Another amount or note is another order, and so is a repeat after the
    first order was closed. A paid order is given back, so that going back and pressing again never pays twice.
    ``version`` is what the code said when the form was filled in: the order keeps its store, terminal, wallets and language.
    Raises AmountOutOfRange, TooManyOrders, LimitReached.
    """
    code_id, merchant_id = version.code_id, version.merchant_id
    words = hashlib.sha256(note.encode()).hexdigest()
    for turn in range(_REOPENINGS):
        key = f"{code_id}/{nonce}/{amount.minor}/{words}/{turn}"
        order = order_of_form(key=key, merchant_id=merchant_id)
        if order is None:
            _keep_pace(code_id=code_id, client_ip=client_ip, now=now)
            try:
                with transaction.atomic():
                    keep_within(version, amount=amount, merchant=merchant, now=now)
                    order = open_order(
                        store_id=version.store_id,
                        code_id=code_id,
                        terminal_id=version.terminal_id,
                        wallets=version.wallets,
                        language=version.language,
                        amount=amount,
                        subject=subject,
                        note=note,
                        now=now,
                        actor=actor,
                    )
                    make_door(
                        kind=FORM_DOOR,
                        token=key,
                        merchant_id=merchant_id,
                        subject_id=order.pk,
                    )
                    return order
            except IntegrityError:
                # The same form at the same moment: the door's unique key let the other one through.
                order = order_of_form(key=key, merchant_id=merchant_id)
                if order is None:
                    raise
        if order.state == OrderState.PAID or (
            order.state == OrderState.OPEN and now < order.expires_at
        ):
            return order
    raise OrderNotPayable("expired")


def _keep_pace(*, code_id: int, client_ip: str, now: datetime) -> None:
    by_code = limits.count(f"orders/code/{code_id}", seconds=60, now=now)
    by_address = limits.count(f"orders/from/{client_ip}", seconds=60, now=now)
    if (
        by_code > settings.ORDERS_PER_MINUTE_BY_CODE
        or by_address > settings.ORDERS_PER_MINUTE_BY_ADDRESS
    ):
        raise TooManyOrders(60 - int(now.timestamp()) % 60)


def merchants_with_old_forms(*, now: datetime) -> list[int]:
    """The merchants that have doors of forms old enough to be looked at."""
    doors = Door.objects.filter(kind__in=_FORM_DOORS, created_at__lt=now - FORM_KEPT)
    return list(doors.order_by().values_list("merchant_id", flat=True).distinct())


def forget_forms(*, now: datetime) -> int:
    """Take away the doors of forms whose order is final and a day past its time, in the merchant's scope; how many."""
    gone = 0
    while True:
        doors = Door.objects.filter(
            kind__in=_FORM_DOORS,
            merchant_id=current_merchant_id(),
            subject_id__in=Order.objects.filter(expires_at__lt=now - FORM_KEPT)
            .exclude(state=OrderState.OPEN)
            .values("pk"),
        ).values_list("pk", flat=True)[:_BATCH]
        batch = list(doors)
        Door.objects.filter(pk__in=batch).delete()
        gone += len(batch)
        if len(batch) < _BATCH:
            return gone


def begin(*, order: Order, way: Way, now: datetime, actor: Actor, client_ip: str) -> Payment:
    """Open an attempt of this order on the way chosen (not one that ``needs_payer``).

    Raises OrderNotPayable, HandoverFailed, PaymentHeld.
    """
    judge(order=order, now=now)
    return start_payment(
        order_id=order.pk,
        account_id=way.account_id,
        product=way.product,
        wallet=way.wallet.value,
        now=now,
        actor=actor,
        client_ip=client_ip,
    )


def authorize_address(*, order: Order, way: Way, redirect_uri: str, state: str) -> str:
    """Where WeChat tells who pays. Raises OrderNotPayable when the way's account serves the store no longer."""
    account = _account(order, way)
    return gateway_of(account).authorize_url(redirect_uri=redirect_uri, state=state)


def _account(order: Order, way: Way) -> PlatformAccount:
    for account in accounts_serving(store_id=order.store_id):
        if account.pk == way.account_id:
            return account
    raise OrderNotPayable("no_account")


def begin_in_wechat(
    *, order: Order, way: Way, code: str, now: datetime, actor: Actor, client_ip: str
) -> Payment:
    """Open an attempt inside WeChat for the payer whom ``code`` (single use) names.

    Raises OrderNotPayable, HandoverFailed, PaymentHeld, PlatformUnavailable, PlatformRejected.
    """
    account = _account(order, way)
    payer_id = gateway_of(account).payer_id_from_code(code=code)
    judge(order=order, payer_id=payer_id, now=now)
    return start_payment(
        order_id=order.pk,
        account_id=account.pk,
        product=way.product,
        wallet=way.wallet.value,
        payer_id=payer_id,
        now=now,
        actor=actor,
        client_ip=client_ip,
    )


def look(*, order: Order, now: datetime) -> list[Payment]:
    """The attempts of an order, those under way asked about at the platform unless that was done a moment ago.

    Waits for the platform, so it is for opening a page and not for watching it. However many open the page at the same
    time, one of them asks; the others are given what is known.
    """
    payments = payments_of(order)
    if not any(_stale(payment, order=order, now=now, watched=False) for payment in payments):
        return payments
    with asking_alone(order_id=order.pk) as mine:
        if not mine:
            return payments
        for payment in payments:
            if _stale(payment, order=order, now=now, watched=False) and _claim(payment, now=now):
                refresh_payment(payment_id=payment.pk, now=now, via="query")
    order.refresh_from_db()
    return payments_of(order)


def watch(*, order: Order, now: datetime) -> list[Payment]:
    """The attempts of an order as they are known, for pages that ask again and again: nothing waits for a platform here.

    Unless the platform was asked lately, a worker is told to ask, once for all who watch.
    """
    payments = payments_of(order)
    for payment in payments:
        if _stale(payment, order=order, now=now, watched=True):
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


def _stale(payment: Payment, *, order: Order, now: datetime, watched: bool) -> bool:
    """Whether the platform's word on an attempt under way is so old that it is asked again."""
    if order.state == OrderState.PAID:
        return False
    if payment.state not in OPEN_STATES or not has_handover(payment):
        return False
    every = look_every(platform=Platform(payment.platform), watched=watched)
    return now - (payment.last_polled_at or payment.created_at) >= every


def _claim(payment: Payment, *, now: datetime) -> bool:
    """Whether it is for us to have the platform asked: whoever moves the time of the last look.

    Nobody, where the platform wants to be asked less often about it: then its next look's own time is waited for.
    """
    resting = Due.objects.filter(
        task="payments.poll",
        merchant_id=payment.merchant_id,
        subject_id=payment.pk,
        last_error=TOO_OFTEN,
        due_at__gt=now,
    )
    return bool(
        Payment.objects.filter(
            ~Exists(resting),
            Q(last_polled_at=payment.last_polled_at)
            if payment.last_polled_at
            else Q(last_polled_at__isnull=True),
            pk=payment.pk,
        ).update(last_polled_at=now)
    )


def give_up(*, order: Order, now: datetime, actor: Actor) -> None:
    """The payer does not want to pay any more. An order without an attempt under way is closed at once; nobody is asked about it."""
    leave_hold(kind=ORDER, subject_id=order.pk, now=now)
    close_order(order_id=order.pk, now=now, actor=actor)
    expire_order(order_id=order.pk, now=now)
