"""Taking a payment by the code on the payer's own phone (付款码), as a cashier does at the till.

The code is good for one payment and about a minute. It is neither stored nor sent twice: a call whose outcome is unknown is
followed by queries, and past its time by a reversal, both of them the poller's work. What is told of a success after that is
doubted: see ``applying``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from apps.accounts.models import User
from apps.core import outbox
from apps.core.audit import Actor
from apps.core.doors import make_door
from apps.core.models import Door, door_hash
from apps.core.money import Money
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Store, Terminal
from apps.payments.models import Payment, PaymentState
from apps.payments.services.applying import ResultMismatch, apply_payment_result
from apps.payments.services.ordering import (
    OrderNotPayable,
    close_order,
    open_order,
    prepare_payment,
)
from apps.payments.services.polling import expire_order
from apps.payments.services.timing import BARCODE_FIRST_POLL, BARCODE_PATIENCE
from apps.platforms.barcodes import clean_barcode, wallet_of_barcode
from apps.platforms.gateway import (
    BarcodeRequest,
    NotSupported,
    Outcome,
    PaymentResult,
    Platform,
    PlatformRejected,
    PlatformUnavailable,
    Product,
)
from apps.platforms.models import PlatformAccount, PlatformChoice
from apps.platforms.selectors import account_for_barcode
from apps.platforms.services import gateway_of, notify_url

#: Kind of the ``Door`` that makes one sent form one payment.
CHARGE_DOOR: Final = "charge"


class BarcodeRefused(Exception):
    """Nothing was begun. ``reason``: ``"empty"``, ``"not_a_code"``, ``"no_account"``, ``"no_store"``, ``"no_terminal"``.

    ``message`` is a sentence for the cashier.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@sensitive_variables("auth_code", "digits", "key")
def charge_barcode(
    *,
    store_id: int,
    amount: Money,
    subject: str,
    auth_code: str,
    nonce: str,
    now: datetime,
    actor: Actor,
    note: str = "",
    terminal_id: int | None = None,
    member: User | None = None,
    before: Callable[[], None] | None = None,
) -> Payment:
    """Take ``amount`` from the payer whose code was scanned, and return the payment in whatever state it is then.

    ``nonce`` is the form's own random text: the same form with the same amount and code, sent twice, even at the same
    moment, takes one payment. ``before`` is called once it is known that this is a new payment that can be taken. Never
    inside a transaction: it calls the platform. Raises BarcodeRefused, AmountOutOfRange and what ``before`` raises; then
    nothing was begun.
    """
    digits = clean_barcode(auth_code)
    # Only a hash of it is kept; the nonce, which is kept nowhere, makes the code in it unguessable.
    key = f"{nonce}/{store_id}/{amount.minor}/{digits}"
    earlier = _payment_of(key)
    if earlier is not None:
        return earlier
    wallet, account = _recognised(digits, store_id=store_id)
    if terminal_id is not None and not _stands_in(terminal_id, store_id=store_id):
        raise BarcodeRefused("no_terminal", _("This terminal does not stand in this store."))
    if before is not None:
        before()
    try:
        with transaction.atomic():
            payment = _begin(
                store_id=store_id,
                amount=amount,
                subject=subject,
                account=account,
                wallet=wallet,
                note=note,
                key=key,
                terminal_id=terminal_id,
                member=member,
                now=now,
                actor=actor,
            )
    except OrderNotPayable as error:
        # The account was switched off between two looks.
        raise _no_account(wallet) from error
    except IntegrityError:
        # The same form at the same moment: the door's unique key let the other one through.
        earlier = _payment_of(key)
        if earlier is None:
            raise
        return earlier
    _call(payment, digits=digits, now=now, actor=actor)
    payment.refresh_from_db()
    if payment.state == PaymentState.FAILED:
        # The next try needs a fresh code and gets an order of its own.
        close_order(order_id=payment.order_id, now=now, actor=actor)
        expire_order(order_id=payment.order_id, now=now)
    return payment


@sensitive_variables("digits")
def _recognised(digits: str, *, store_id: int) -> tuple[Platform, PlatformAccount]:
    if not digits:
        raise BarcodeRefused("empty", _("Scan or type the code on the customer's phone."))
    wallet = wallet_of_barcode(digits)
    if wallet is None:
        raise BarcodeRefused(
            "not_a_code",
            _(
                "This is no payment code of WeChat Pay, Alipay or UnionPay. Ask the customer to open the payment code, not the collection code."
            ),
        )
    if not Store.objects.visible("pk").filter(pk=store_id, is_active=True).exists():
        raise BarcodeRefused("no_store", _("This store is closed."))
    account = account_for_barcode(store_id=store_id, wallet=wallet)
    if account is None:
        raise _no_account(wallet)
    return wallet, account


def _no_account(wallet: Platform) -> BarcodeRefused:
    words = _("No connected account of this store takes %(wallet)s codes.")
    return BarcodeRefused("no_account", words % {"wallet": PlatformChoice(wallet.value).label})


def _stands_in(terminal_id: int, *, store_id: int) -> bool:
    return Terminal.objects.filter(pk=terminal_id, store_id=store_id, is_active=True).exists()


@sensitive_variables("key")
def _payment_of(key: str) -> Payment | None:
    door = Door.objects.filter(
        kind=CHARGE_DOOR, token_hash=door_hash(key), merchant_id=current_merchant_id()
    ).first()
    if door is None:
        return None
    found: Payment | None = Payment.objects.filter(order_id=door.subject_id).first()
    return found


@sensitive_variables("key")
def _begin(
    *,
    store_id: int,
    amount: Money,
    subject: str,
    note: str,
    account: PlatformAccount,
    wallet: Platform,
    key: str,
    terminal_id: int | None,
    member: User | None,
    now: datetime,
    actor: Actor,
) -> Payment:
    """Order and payment, committed before the platform hears of them."""
    order = open_order(
        store_id=store_id,
        code_id=None,
        amount=amount,
        subject=subject,
        note=note,
        now=now,
        actor=actor,
        lifetime=BARCODE_PATIENCE[Platform(account.platform)],
        terminal_id=terminal_id,
        taken_by=member,
    )
    make_door(kind=CHARGE_DOOR, token=key, merchant_id=order.merchant_id, subject_id=order.pk)
    payment = prepare_payment(
        order_id=order.pk,
        account_id=account.pk,
        product=Product.BARCODE,
        wallet=wallet,
        now=now,
        actor=actor,
    )
    outbox.enqueue(
        task="payments.poll",
        merchant_id=payment.merchant_id,
        subject_id=payment.pk,
        due_at=now + BARCODE_FIRST_POLL,
    )
    return payment


@sensitive_variables("digits", "request")
def _call(payment: Payment, *, digits: str, now: datetime, actor: Actor) -> None:
    """Show the code to the platform, once, and apply what it says."""
    payment = Payment.objects.select_related("order", "account").get(pk=payment.pk)
    request = BarcodeRequest(
        order_no=payment.order_no,
        auth_code=digits,
        amount=Money(payment.amount_minor, payment.currency),
        subject=payment.order.subject,
        began_at=payment.created_at,
        expires_at=payment.payable_until,
        notify_url=notify_url(payment.account),
        store_ref=str(payment.store_id),
        terminal_ref=str(payment.terminal_id or ""),
        operator=str(payment.order.taken_by_id or "1"),
        client_ip=actor.ip or "",
    )
    try:
        result = gateway_of(
            payment.account, terminal_id=payment.terminal_id, began_at=payment.created_at
        ).pay_barcode(request)
    except PlatformUnavailable as error:
        result = _said(payment, Outcome.UNKNOWN, error.code, error.message)
    except PlatformRejected as error:
        result = _said(payment, Outcome.FAILED, error.code, error.message)
    except NotSupported as error:
        result = _said(payment, Outcome.FAILED, "not_supported", str(error))
    # A platform's complaint may repeat what it complains about.
    result = replace(result, message=result.message.replace(digits, "…"))
    try:
        apply_payment_result(
            payment_id=payment.pk, result=result, via="charge", now=now, actor=actor
        )
    except ResultMismatch as error:
        # Whatever was taken, it was not what was asked for: it is asked about, and reversed at its time.
        result = _said(payment, Outcome.UNKNOWN, "bad_answer", str(error))
        apply_payment_result(
            payment_id=payment.pk, result=result, via="charge", now=now, actor=actor
        )


def _said(payment: Payment, outcome: Outcome, code: str, message: str) -> PaymentResult:
    return PaymentResult(outcome=outcome, order_no=payment.order_no, code=code, message=message)
