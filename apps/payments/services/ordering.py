"""Opening an order, opening an attempt at a platform, and giving up."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Least

from apps.accounts.models import User
from apps.core import audit, clock, live, outbox
from apps.core.audit import Actor
from apps.core.doors import make_door, new_token
from apps.core.encryption import keyed_hash
from apps.core.money import MAX_AMOUNT_MINOR, Money
from apps.merchants.models import Terminal
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment
from apps.payments.selectors import goes_on, has_handover
from apps.payments.services.applying import apply_payment_result
from apps.payments.services.timing import FIRST_POLL, LIFETIME
from apps.platforms import messages
from apps.platforms.gateway import (
    CODE_LOST,
    CreateRequest,
    Handover,
    NotSupported,
    Outcome,
    PaymentResult,
    Platform,
    PlatformRejected,
    PlatformUnavailable,
    Product,
)
from apps.platforms.registry import capabilities_of
from apps.platforms.selectors import accounts_serving
from apps.platforms.services import gateway_of, notify_url
from apps.platforms.wallets import life_of, wallets_of


class AmountOutOfRange(ValueError):
    """An amount below one fen or above ¥100,000,000."""


class OrderNotPayable(Exception):
    """The order is paid, closed or past its time, or the account does not serve its store. ``reason`` is which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HandoverFailed(Exception):
    """The platform did not take the payment. ``message`` tells the payer what to do; ``final`` if asking again is useless."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.message = message
        self.final = final


def new_number(prefix: str, at: datetime) -> str:
    """One of our numbers: prefix, China time to the second, ten random digits. 25 characters, fit for every platform."""
    stamp = at.astimezone(clock.CHINA).strftime("%Y%m%d%H%M%S")
    return f"{prefix}{stamp}{secrets.randbelow(10**10):010d}"


@transaction.atomic
def open_order(
    *,
    store_id: int,
    code_id: int | None,
    amount: Money,
    subject: str,
    now: datetime,
    actor: Actor,
    note: str = "",
    terminal_id: int | None = None,
    taken_by: User | None = None,
    lifetime: timedelta = LIFETIME,
    wallets: Sequence[str] = (),
    language: str = "",
) -> Order:
    """A new order with its public token; its payments carry its terminal. Raises AmountOutOfRange.

    ``wallets``: those that may pay it, () for all; ``language`` that of its pages, "" for the payer's own. ``taken_by``: the member who takes it at the till; None where the customer opens it.
    """
    if not 1 <= amount.minor <= MAX_AMOUNT_MINOR:
        raise AmountOutOfRange(amount.to_yuan())
    order = Order.objects.create(
        store_id=store_id,
        code_id=code_id,
        terminal_id=terminal_id,
        taken_by=taken_by,
        token=new_token(16),
        amount_minor=amount.minor,
        currency=amount.currency,
        subject=subject[:120],
        note=note[:120],
        wallets=list(wallets),
        language=language,
        created_at=now,
        expires_at=now + lifetime,
    )
    make_door(kind="order", token=order.token, merchant_id=order.merchant_id, subject_id=order.pk)
    audit.record(
        action="order.opened",
        subject_kind="order",
        subject_id=order.pk,
        actor=actor,
        at=now,
        store_id=store_id,
        data={"amount_minor": amount.minor, "code_id": code_id},
    )
    outbox.enqueue(
        task="payments.expire_order",
        merchant_id=order.merchant_id,
        subject_id=order.pk,
        due_at=order.expires_at,
    )
    if terminal_id is not None:
        Terminal.objects.filter(pk=terminal_id).update(last_seen_at=now)
    return order


def _payable(order: Order, *, now: datetime) -> None:
    if order.state == OrderState.PAID:
        raise OrderNotPayable("paid")
    if order.state == OrderState.CLOSED or now >= order.expires_at:
        raise OrderNotPayable("expired")


@transaction.atomic
def prepare_payment(
    *,
    order_id: int,
    account_id: int,
    product: Product,
    now: datetime,
    actor: Actor,
    wallet: str = "",
    payer_id: str = "",
) -> Payment:
    """Our side of an attempt, before the platform is called: the live one of the same kind, or a new row.

    ``wallet``: who pays, which an account that takes several wallets must be told. An attempt whose code, address or form
    is no longer good, or whose code was lost with an answer, is left to the poller, which closes it; the new one has a
    number of its own.
    Raises OrderNotPayable, Order.DoesNotExist.
    """
    order = Order.objects.select_for_update().get(pk=order_id)
    _payable(order, now=now)
    serving = {account.pk: account for account in accounts_serving(store_id=order.store_id or 0)}
    account = serving.get(account_id)
    if account is None:
        raise OrderNotPayable("no_account")
    platform = Platform(account.platform)
    wallet = wallet or platform.value
    if wallet not in wallets_of(platform, capabilities_of(platform)):
        raise OrderNotPayable("wallet")
    alive = Payment.objects.filter(
        order_id=order.pk,
        account_id=account_id,
        product=product,
        wallet=wallet,
        state__in=OPEN_STATES,
    ).order_by("-pk")
    payer = _payer_mark(payer_id, merchant_id=order.merchant_id)
    for payment in alive:
        # A handover inside a wallet is good for the one payer it was signed for.
        if payment.handover.get("payer", "") == payer and goes_on(payment, now=now):
            return payment
    life = life_of(platform, product)
    payment = Payment.objects.create(
        order=order,
        store_id=order.store_id,
        code_id=order.code_id,
        account_id=account_id,
        platform=account.platform,
        wallet=wallet,
        product=product,
        order_no=new_number("P", now),
        amount_minor=order.amount_minor,
        currency=order.currency,
        created_at=now,
        expires_at=order.expires_at if life is None else min(order.expires_at, now + life),
        payable_until=order.expires_at,
        terminal_id=order.terminal_id,
        handover={"payer": payer} if payer else {},
    )
    audit.record(
        action="payment.created",
        subject_kind="order",
        subject_id=order.pk,
        actor=actor,
        at=now,
        store_id=order.store_id,
        data={
            "order_no": payment.order_no,
            "platform": account.platform,
            "wallet": wallet,
            "product": product,
            "amount_minor": order.amount_minor,
        },
    )
    outbox.enqueue(
        task="payments.poll",
        merchant_id=payment.merchant_id,
        subject_id=payment.pk,
        due_at=now + FIRST_POLL,
    )
    live.publish(
        kind="payment",
        subject_id=payment.pk,
        store_id=payment.store_id,
        member_id=order.taken_by_id,
    )
    return payment


def _payer_mark(payer_id: str, *, merchant_id: int) -> str:
    """What is kept of a payer's id: the same keyed hash as in ``Payment.payer_hash``; "" for none."""
    return keyed_hash(payer_id, merchant_id=merchant_id, purpose="payer") if payer_id else ""


def _kept(handover: Handover, payer: str) -> dict[str, Any]:
    form = handover.form
    kept: dict[str, Any] = {
        "qr_content": handover.qr_content,
        "redirect_url": handover.redirect_url,
        "invoke": dict(handover.invoke),
        "form": {"url": form.url, "fields": dict(form.fields)} if form is not None else {},
        "payer": payer,
    }
    return {name: value for name, value in kept.items() if value}


def hand_over(
    *,
    payment_id: int,
    now: datetime,
    actor: Actor,
    payer_id: str = "",
    client_ip: str = "",
    return_url: str = "",
) -> Payment:
    """Open the attempt at the platform, outside any transaction, and keep how the payer gets there.

    Safe to repeat: the same number with the same content. Raises HandoverFailed.
    """
    payment = Payment.objects.select_related("order", "account").get(pk=payment_id)
    if has_handover(payment):
        return payment
    request = CreateRequest(
        product=Product(payment.product),
        order_no=payment.order_no,
        amount=Money(payment.amount_minor, payment.currency),
        subject=payment.order.subject,
        began_at=payment.created_at,
        expires_at=payment.payable_until,
        wallet=payment.wallet,
        notify_url=notify_url(payment.account),
        return_url=return_url or f"{settings.PUBLIC_URL}/pay/{payment.order.token}",
        payer_id=payer_id,
        client_ip=client_ip,
        store_ref=str(payment.store_id),
    )
    result = PaymentResult(outcome=Outcome.PENDING, order_no=payment.order_no)
    try:
        gateway = gateway_of(
            payment.account, terminal_id=payment.terminal_id, began_at=payment.created_at
        )
        handover = gateway.create_payment(request)
    except PlatformUnavailable as error:
        if error.code == CODE_LOST:
            payment.refresh_from_db(fields=["handover"])
            if has_handover(payment):
                # The earlier call was just being answered.
                return payment
            _end(payment, now=now)
        # It may have been opened all the same: the poll asks, and a second try repeats this number.
        unknown = PaymentResult(
            outcome=Outcome.UNKNOWN,
            order_no=payment.order_no,
            code=error.code,
            message=error.message,
        )
        apply_payment_result(
            payment_id=payment.pk, result=unknown, via="start", now=now, actor=actor
        )
        raise HandoverFailed(
            str(messages.explain(payment.platform, error.code, fallback=error.message)), final=False
        ) from error
    except (PlatformRejected, NotSupported) as error:
        code = error.code if isinstance(error, PlatformRejected) else "not_supported"
        failed = PaymentResult(
            outcome=Outcome.FAILED, order_no=payment.order_no, code=code, message=str(error)
        )
        apply_payment_result(
            payment_id=payment.pk, result=failed, via="start", now=now, actor=actor
        )
        raise HandoverFailed(
            str(messages.explain(payment.platform, code, fallback=str(error))), final=True
        ) from error
    payer = _payer_mark(payer_id, merchant_id=payment.merchant_id)
    Payment.objects.filter(pk=payment.pk).update(handover=_kept(handover, payer))
    apply_payment_result(payment_id=payment.pk, result=result, via="start", now=now, actor=actor)
    payment.refresh_from_db()
    return payment


@transaction.atomic
def _end(payment: Payment, *, now: datetime) -> None:
    """Let the poller end an attempt now, so that the next one begins with a number of its own."""
    Payment.objects.filter(pk=payment.pk).update(expires_at=Least("expires_at", Value(now)))
    outbox.enqueue(
        task="payments.poll", merchant_id=payment.merchant_id, subject_id=payment.pk, due_at=now
    )


def start_payment(
    *,
    order_id: int,
    account_id: int,
    product: Product,
    now: datetime,
    actor: Actor,
    wallet: str = "",
    payer_id: str = "",
    client_ip: str = "",
    return_url: str = "",
) -> Payment:
    """Lead the payer to a platform: prepare the attempt, commit it, then open it there.

    ``wallet`` as for ``prepare_payment``. ``payment.handover`` holds ``qr_content``, ``redirect_url``, ``invoke`` or
    ``form`` (``url`` and ``fields``). Raises OrderNotPayable, HandoverFailed.
    """
    payment = prepare_payment(
        order_id=order_id,
        account_id=account_id,
        product=product,
        now=now,
        actor=actor,
        wallet=wallet,
        payer_id=payer_id,
    )
    return hand_over(
        payment_id=payment.pk,
        now=now,
        actor=actor,
        payer_id=payer_id,
        client_ip=client_ip,
        return_url=return_url,
    )


@transaction.atomic
def close_order(*, order_id: int, now: datetime, actor: Actor) -> Order:
    """Give an open order up: nothing new may start, attempts under way are closed at the platform right away.

    An attempt that was paid meanwhile stays paid. Does nothing to an order that is paid or closed.
    """
    order = Order.objects.select_for_update().get(pk=order_id)
    if order.state != OrderState.OPEN:
        return order
    order.expires_at = min(order.expires_at, now)
    order.save(update_fields=["expires_at"])
    open_payments = Payment.objects.filter(order_id=order.pk, state__in=OPEN_STATES)
    for payment in open_payments:
        outbox.enqueue(
            task="payments.poll", merchant_id=order.merchant_id, subject_id=payment.pk, due_at=now
        )
    open_payments.update(expires_at=order.expires_at)
    outbox.enqueue(
        task="payments.expire_order", merchant_id=order.merchant_id, subject_id=order.pk, due_at=now
    )
    audit.record(
        action="order.given_up",
        subject_kind="order",
        subject_id=order.pk,
        actor=actor,
        at=now,
        store_id=order.store_id,
    )
    return order
