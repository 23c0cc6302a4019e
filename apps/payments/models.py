"""What is to be paid and each attempt to pay it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.merchants.models import Store, Terminal
from apps.platforms.gateway import Platform
from apps.platforms.models import PlatformAccount, PlatformChoice
from apps.qrcodes.models import QRCode


class Source(models.TextChoices):
    """Where a payment or refund began."""

    PORTAL = "portal", _("Here")
    PLATFORM = "platform", _("Outside the portal")


class OrderState(models.TextChoices):
    """Where an order stands."""

    OPEN = "open", _("Pending")
    PAID = "paid", _("Paid")
    CLOSED = "closed", _("Closed")


class PaymentState(models.TextChoices):
    """Where one attempt stands. ``created``: ours, not yet accepted by the platform."""

    CREATED = "created", _("Pending")
    PENDING = "pending", _("Pending")
    UNKNOWN = "unknown", _("Unknown, asking")
    SUCCEEDED = "succeeded", _("Paid")
    FAILED = "failed", _("Failed")
    CLOSED = "closed", _("Closed")


#: How a number begins that the portal made for a payment or refund that began at the platform: no platform knows it.
MADE_UP = "OUT-"

#: States from which a payment may still become paid or closed.
OPEN_STATES = (PaymentState.CREATED, PaymentState.PENDING, PaymentState.UNKNOWN)


class Order(MerchantScoped):
    """What is to be paid. ``token`` is in the checkout's link; its ``Door`` is of kind ``order``.

    One that began at the platform was paid there and has no door; it may belong to no store.
    """

    store = ScopedForeignKey(Store, null=True)
    code = ScopedForeignKey(QRCode, null=True)
    terminal = ScopedForeignKey(Terminal, null=True)
    #: The member who took the order at the till; None where the customer opened it.
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    token = models.CharField(max_length=24)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    subject = models.CharField(max_length=120)
    note = models.CharField(max_length=120, default="")
    #: As the code said when it was opened: the wallets that may pay it ([]: all), and the language of its pages ("": the payer's).
    wallets = ArrayField(models.CharField(max_length=12), default=list, db_default=[])
    language = models.CharField(max_length=10, default="", db_default="")
    state = models.CharField(max_length=8, choices=OrderState, default=OrderState.OPEN)
    source = models.CharField(max_length=8, choices=Source, default=Source.PORTAL)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="payments_order_wall"),
            models.UniqueConstraint(fields=["merchant_id", "token"], name="payments_order_token"),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0), name="payments_order_amount"
            ),
            models.CheckConstraint(
                condition=models.Q(store__isnull=False) | models.Q(source="platform"),
                name="payments_order_has_store",
            ),
        ]
        indexes = [
            # What a code's limits count.
            models.Index(fields=["merchant_id", "code", "created_at"], name="payments_order_code"),
            # What a member took: the desk's queue, shifts.
            models.Index(
                fields=["merchant_id", "taken_by", "-created_at"],
                condition=models.Q(taken_by__isnull=False),
                name="payments_order_taken",
            ),
        ]

    @classmethod
    @override
    def of_member(cls, member_id: int) -> models.Q:
        """Taken by this member or by none."""
        return models.Q(taken_by__isnull=True) | models.Q(taken_by=member_id)


class Payment(MerchantScoped):
    """One attempt on one platform. ``order_no`` is our number there.

    ``refund_reserved_minor`` counts all refunds that are asked for, under way or done; it never passes the amount.
    ``refunded_minor`` counts those done. ``fee_minor`` is our estimate by the agreement in force on its day until the bill says more.
    ``created_at`` is also the ``began_at`` of every call about it. Of one that began at the platform, ``store`` is None unless
    the merchant's rule names one, ``product`` is "" where the bill does not tell it, and ``order_no`` is the number of whoever
    took it, or one that the portal made (see ``is_known_there``). ``order_no_reversed`` and ``platform_trade_no_reversed`` serve search by the last digits: under row-level security only
    plain text ranges may use an index.
    """

    order = ScopedForeignKey(Order, related_name="payments")
    store = ScopedForeignKey(Store, null=True)
    code = ScopedForeignKey(QRCode, null=True)
    terminal = ScopedForeignKey(Terminal, null=True)
    account = ScopedForeignKey(PlatformAccount)
    platform = models.CharField(max_length=12, choices=PlatformChoice)
    #: The wallet that paid or was asked to: differs from ``platform`` where an aggregator stands between.
    wallet = models.CharField(max_length=12, choices=PlatformChoice, default="")
    product = models.CharField(max_length=12)
    order_no = models.CharField(max_length=32)
    order_no_reversed = models.GeneratedField(
        expression=models.Func("order_no", function="REVERSE"),
        output_field=models.CharField(max_length=32),
        db_persist=True,
    )
    platform_trade_no = models.CharField(max_length=64, default="")
    platform_trade_no_reversed = models.GeneratedField(
        expression=models.Func("platform_trade_no", function="REVERSE"),
        output_field=models.CharField(max_length=64),
        db_persist=True,
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    fee_minor = models.BigIntegerField(default=0)
    refund_reserved_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    state = models.CharField(max_length=12, choices=PaymentState, default=PaymentState.CREATED)
    source = models.CharField(max_length=8, choices=Source, default=Source.PORTAL)
    payer_hash = models.CharField(max_length=64, default="")
    payer_masked = models.CharField(max_length=64, default="")
    handover = models.JSONField(default=dict)
    code_text = models.CharField(max_length=64, default="")
    message = models.CharField(max_length=300, default="")
    created_at = models.DateTimeField()
    #: When we close it: earlier than ``payable_until`` once it was given up.
    expires_at = models.DateTimeField()
    #: The end told to the platform: until then it may be paid there whatever we wish.
    payable_until = models.DateTimeField()
    #: When it was asked about for the last time before an ending that gives back what was paid: from then on only the
    #: answer to that ending is believed.
    ending_at = models.DateTimeField(null=True)
    paid_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    booked_date = models.DateField(null=True)
    last_polled_at = models.DateTimeField(null=True)
    poll_count = models.IntegerField(default=0)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="payments_payment_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "order_no"], name="payments_payment_order_no"
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "platform_trade_no"],
                condition=~models.Q(platform_trade_no=""),
                name="payments_payment_trade_no",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0), name="payments_payment_amount"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    refunded_minor__gte=0,
                    refund_reserved_minor__gte=models.F("refunded_minor"),
                    refund_reserved_minor__lte=models.F("amount_minor"),
                ),
                name="payments_payment_refunds_within",
            ),
            models.CheckConstraint(
                condition=models.Q(fee_minor__gte=0), name="payments_payment_fee"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="succeeded")
                | models.Q(paid_at__isnull=False, booked_date__isnull=False),
                name="payments_payment_paid_facts",
            ),
            models.CheckConstraint(
                condition=models.Q(store__isnull=False) | models.Q(source="platform"),
                name="payments_payment_has_store",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "-created_at", "-id"], name="payments_created"),
            models.Index(
                fields=["merchant_id", "store", "-created_at", "-id"], name="payments_store"
            ),
            models.Index(fields=["merchant_id", "booked_date"], name="payments_booked"),
            models.Index(
                fields=["merchant_id", "account", "booked_date"], name="payments_account_booked"
            ),
            models.Index(fields=["merchant_id", "order_no_reversed"], name="payments_no_tail"),
            models.Index(fields=["merchant_id", "platform_trade_no"], name="payments_trade_no"),
            models.Index(
                fields=["merchant_id", "platform_trade_no_reversed"], name="payments_trade_tail"
            ),
            models.Index(fields=["merchant_id", "order"], name="payments_by_order"),
        ]

    @classmethod
    @override
    def of_member(cls, member_id: int) -> models.Q:
        """Of orders taken by this member or by none."""
        return models.Q(order__taken_by__isnull=True) | models.Q(order__taken_by=member_id)

    @property
    def is_known_there(self) -> bool:
        """Whether a refund can name it to the platform: not by a number that the portal made for what the bill names otherwise.

        UnionPay goes by its own number.
        """
        made_up = self.source == Source.PLATFORM and self.order_no.startswith(MADE_UP)
        return not made_up or (self.platform == Platform.UNIONPAY and bool(self.platform_trade_no))
