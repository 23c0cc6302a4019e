"""What the payer's pages show: the code with everything about it, and where an order stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import cast

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, Q

from apps.core.models import Door, door_hash
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.platforms.gateway import Capability, Platform
from apps.platforms.models import AccountStore, PlatformAccount
from apps.platforms.registry import capabilities_of
from apps.platforms.selectors import accounts_serving
from apps.qrcodes.models import QRCode

#: The kind of door that leads from a form's nonce to the order it opened.
FORM_DOOR = "form"

Platforms = dict[Platform, frozenset[Capability]]


@dataclass(frozen=True, slots=True)
class OpenedCode:
    """A scanned code with its store and scenario, and the platforms that serve the store, in order."""

    code: QRCode
    platforms: Platforms


class Standing(StrEnum):
    """Where an order stands for the payer. ASKING: past its time, but an attempt may have been paid at the last moment."""

    OPEN = "open"
    ASKING = "asking"
    PAID = "paid"
    CLOSED = "closed"


def opened_code(door: Door) -> OpenedCode:
    """The code behind a link, in one statement: the page must open at once. Raises QRCode.DoesNotExist.

    The platforms are those of ``platforms.selectors.accounts_serving``.
    """
    served = AccountStore.objects.filter(
        account_id=OuterRef("pk"), store_id=OuterRef(OuterRef("store_id"))
    )
    accounts = PlatformAccount.objects.filter(
        Q(all_stores=True) | Exists(served), is_active=True
    ).order_by("pk")
    code = (
        QRCode.objects.select_related("store", "scenario")
        .annotate(serving=ArraySubquery(accounts.values("platform")))
        .get(pk=door.subject_id)
    )
    return OpenedCode(code=code, platforms=_with_capabilities(code.serving))


def platforms_serving(*, store_id: int) -> Platforms:
    """The platforms that take money for a store, in order, and what each can do."""
    return _with_capabilities([account.platform for account in accounts_serving(store_id=store_id)])


def _with_capabilities(names: list[str]) -> Platforms:
    return {Platform(name): capabilities_of(name) for name in names}


def account_for(*, store_id: int, platform: Platform) -> PlatformAccount | None:
    """The account that takes a store's money on a platform: the oldest active one, or None."""
    for account in accounts_serving(store_id=store_id):
        if account.platform == platform:
            return account
    return None


def payments_of(order: Order) -> list[Payment]:
    """All attempts to pay an order, oldest first."""
    return list(Payment.objects.filter(order_id=order.pk).order_by("pk"))


def order_of_form(*, key: str, merchant_id: int) -> Order | None:
    """The order that a form with this key has opened already, or None."""
    door = Door.objects.filter(
        kind=FORM_DOOR, token_hash=door_hash(key), merchant_id=merchant_id
    ).first()
    return None if door is None else Order.objects.filter(pk=door.subject_id).first()


def standing(order: Order, payments: list[Payment], *, now: datetime) -> Standing:
    """Where an order stands at ``now``. Closed is said only when no attempt can still be paid."""
    if order.state == OrderState.PAID:
        return Standing.PAID
    if order.state == OrderState.OPEN:
        if now < order.expires_at:
            return Standing.OPEN
        if any(payment.state in OPEN_STATES for payment in payments):
            return Standing.ASKING
    return Standing.CLOSED


def mark(order: Order, payments: list[Payment], *, now: datetime) -> str:
    """A short text that changes whenever the order's page would look different."""
    attempts = "".join(f"-{payment.pk}{payment.state}" for payment in payments)
    return f"{standing(order, payments, now=now)}{attempts}"


def paying(payments: list[Payment], platform: str = "") -> Payment | None:
    """The latest attempt under way that the payer was handed over with, on ``platform`` if one is named."""
    for payment in reversed(payments):
        under_way = payment.state in OPEN_STATES and has_handover(payment)
        if under_way and platform in {"", payment.platform}:
            return payment
    return None


def has_handover(payment: Payment) -> bool:
    """Whether the platform has taken an attempt: there is a code, an address or a call to pay it by."""
    return any(payment.handover.get(name) for name in ("qr_content", "redirect_url", "invoke"))


def paid_by(payments: list[Payment]) -> Payment | None:
    """The attempt that paid the order: the first that succeeded."""
    done = [payment for payment in payments if payment.state == PaymentState.SUCCEEDED]
    return min(done, key=lambda payment: cast("datetime", payment.paid_at)) if done else None
