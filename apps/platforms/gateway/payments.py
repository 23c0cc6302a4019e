"""What is asked of a platform about payments and refunds, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from apps.core.money import Money
from apps.platforms.gateway.words import Outcome, Product


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRef:
    """Which payment is meant.

    ``began_at`` is the moment given as ``CreateRequest.began_at`` (UnionPay knows an order by number *and* time).
    ``expires_at`` is the end told to the platform: until then an unpaid code may still be paid, whatever we wish.
    ``platform_trade_no`` is known once it was paid.
    """

    order_no: str
    began_at: datetime
    expires_at: datetime
    product: Product = Product.DYNAMIC_QR
    platform_trade_no: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRef:
    """Which refund is meant. ``began_at`` is the moment given as ``RefundRequest.began_at``.

    ``amount`` and ``refunded_before`` (what the payment's other refunds have given back for certain; None while another
    one is under way) are for a platform that tells an order's sums rather than each refund.
    """

    order_no: str
    refund_no: str
    began_at: datetime
    platform_trade_no: str = ""
    amount: Money | None = None
    refunded_before: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """A payment to be opened at the platform.

    ``subject`` is what the payer reads; ``payer_id`` (openid, buyer id) is needed by IN_APP; ``client_ip`` by H5;
    ``return_url`` by BROWSER. ``began_at`` was committed before the call and stays the same for repeats.
    ``expires_at``: the platform must refuse payment after it. ``wallet``: who pays, for a platform that AGGREGATES.
    """

    product: Product
    order_no: str
    amount: Money
    subject: str
    began_at: datetime
    expires_at: datetime
    notify_url: str
    wallet: str = ""
    return_url: str = ""
    payer_id: str = ""
    client_ip: str = ""
    store_ref: str = ""
    terminal_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarcodeRequest:
    """A payment by the code on the payer's own phone (付款码).

    ``auth_code`` is good for about a minute and for one payment; it is neither stored nor logged, and a call of unknown
    outcome is followed by query, never by a second call. ``expires_at``: afterwards the payment is reversed.
    ``operator`` is who stands at the till.
    """

    order_no: str
    auth_code: str = field(repr=False)
    amount: Money
    subject: str
    began_at: datetime
    expires_at: datetime
    notify_url: str
    store_ref: str = ""
    terminal_ref: str = ""
    operator: str = ""
    client_ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPost:
    """A form that the payer's browser posts to the platform by itself (UnionPay's front transactions)."""

    url: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """How to hand the payer over. Exactly one of the four is set, by product.

    ``qr_content``: draw this as a QR code. ``redirect_url``: send the browser there. ``invoke``: parameters for the
    wallet's own script (WeChat ``getBrandWCPayRequest``), already signed. ``form``: let the browser post it.
    """

    product: Product
    order_no: str
    qr_content: str = ""
    redirect_url: str = ""
    invoke: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: FormPost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentResult:
    """What the platform says about a payment, from any road (answer, query, notification, bill).

    ``amount`` is the order's total, to be compared with ours; None when the platform does not say.
    ``payer_id`` is the platform's id of the payer (kept only as keyed hash), ``payer_masked`` a form fit to show.
    ``refunded`` is the cumulative refunded amount where the platform tells it (Alipay notifications).
    ``wallet`` is who paid, where a platform that AGGREGATES tells it.
    ``unseen``: CLOSED because the platform does not know the number, so nothing was given back by closing it.
    ``payload`` is for support, redacted, never read by business code.
    """

    outcome: Outcome
    order_no: str
    platform_trade_no: str | None = None
    amount: Money | None = None
    payer_id: str | None = field(default=None, repr=False)
    payer_masked: str = ""
    paid_at: datetime | None = None
    refunded: Money | None = None
    wallet: str = ""
    unseen: bool = False
    code: str = ""
    message: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """A refund of ``amount`` out of ``order_amount``; repeating it with the same ``refund_no`` is harmless.

    ``began_at`` is when it was first sent, committed before the call and the same for repeats. ``paid_at`` is when the
    payment was made. ``payment_began_at`` is the payment's own ``began_at``. ``refunded_before`` as in ``RefundRef``.
    ``repeated``: an earlier call may have reached the platform, so that a refusal may be the echo of its success.
    """

    order_no: str
    refund_no: str
    amount: Money
    order_amount: Money
    reason: str
    notify_url: str
    began_at: datetime
    payment_began_at: datetime
    paid_at: datetime | None = None
    platform_trade_no: str | None = None
    operator: str = ""
    refunded_before: Money | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AbnormalRefund:
    """Where to send a refund that the payer's card or wallet could not take (WeChat Pay, 异常退款).

    With ``to_payer`` the three bank fields name the payer's card, else they are empty and the money goes to the
    merchant's own account. They are encrypted on the way and never stored.
    """

    refund_no: str
    platform_refund_no: str
    to_payer: bool
    bank_type: str = ""
    bank_account: str = field(default="", repr=False)
    real_name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundResult:
    """What the platform says about a refund. ``PENDING`` = accepted, money not yet returned.

    ``code`` ``"ABNORMAL"`` with outcome PENDING: the payer's card is dead, a person must act at the platform.
    ``assumes``: told from the order's sums alone, on the word of ``refunded_before``, which must still be true when it is
    applied.
    """

    outcome: Outcome
    order_no: str
    refund_no: str
    platform_refund_no: str | None = None
    amount: Money | None = None
    refunded_at: datetime | None = None
    assumes: Money | None = None
    code: str = ""
    message: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawNotification:
    """An incoming HTTP request as received: header names lower-cased, the body's bytes untouched."""

    headers: Mapping[str, str]
    query: str
    body: bytes = field(repr=False)
    received_at: datetime


class NotificationKind(StrEnum):
    """What a notification is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    #: Verified, but nothing the portal acts on.
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A verified notification. ``dedup_key`` is equal for repeats of the same event.

    A refund told through the payment's notification (Alipay) carries both results.
    """

    kind: NotificationKind
    dedup_key: str
    payment: PaymentResult | None = None
    refund: RefundResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The exact answer the platform expects to a notification."""

    status: int
    content_type: str
    body: bytes
