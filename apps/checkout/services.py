"""Taking an order from a scanned code and leading its payer to a platform."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.checkout.selectors import (
    FORM_DOOR,
    account_for,
    has_handover,
    order_of_form,
    payments_of,
)
from apps.checkout.ways import Way
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

    However many pages watch an order, the platform is asked once: whoever moves the time of the last look asks.
    """
    payments = payments_of(order)
    if order.state == OrderState.PAID:
        return payments
    asked = False
    for payment in payments:
        if payment.state not in OPEN_STATES or not has_handover(payment):
            continue
        last = payment.last_polled_at or payment.created_at
        if now - last < every:
            continue
        mine = Payment.objects.filter(
            Q(last_polled_at=payment.last_polled_at)
            if payment.last_polled_at
            else Q(last_polled_at__isnull=True),
            pk=payment.pk,
        ).update(last_polled_at=now)
        if mine:
            refresh_payment(payment_id=payment.pk, now=now, via="query")
            asked = True
    if not asked:
        return payments
    order.refresh_from_db()
    return payments_of(order)


def give_up(*, order: Order, now: datetime, actor: Actor) -> None:
    """The payer does not want to pay any more. An order without an attempt under way is closed at once."""
    close_order(order_id=order.pk, now=now, actor=actor)
    expire_order(order_id=order.pk, now=now)
