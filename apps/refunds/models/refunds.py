"""Refunds, and customers who ask for them."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.approvals.models import Approval
from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.merchants.models import Store
from apps.payments.models import Payment, Source
from apps.platforms.models import PlatformAccount


class RefundState(models.TextChoices):
    """Where a refund stands. The amount stays reserved in every state but failed, refused and cancelled."""

    WAITING = "waiting", _("Waiting for confirmation")
    READY = "ready", _("Refunding")
    PROCESSING = "processing", _("Refunding")
    UNKNOWN = "unknown", _("Unknown, asking")
    QUEUED = "queued", _("Waiting for platform balance")
    ABNORMAL = "abnormal", _("Needs action at the platform")
    SUCCEEDED = "succeeded", _("Refunded")
    FAILED = "failed", _("Failed")
    REJECTED = "rejected", _("Refused")
    CANCELLED = "cancelled", _("Cancelled")


#: What the platform is told, and the payer there, of the second payment of an order: in both languages, since nobody knows
#: the payer's. Stored as it is sent; our own pages say it in the reader's language, see ``Refund.shown_reason``.
AUTOMATIC_REASON = "重复支付，自动退回 Paid twice"
AUTOMATIC_WORDS = _("Paid twice, given back by itself")
#: What is said of a refund that was made past the portal, whose reason no bill tells.
OUTSIDE_WORDS = _("Refunded outside the portal")

#: States that may still move money.
UNDER_WAY = (
    RefundState.READY,
    RefundState.PROCESSING,
    RefundState.UNKNOWN,
    RefundState.QUEUED,
    RefundState.ABNORMAL,
)
#: States that hold their amount on the payment.
RESERVING = (RefundState.WAITING, *UNDER_WAY, RefundState.SUCCEEDED)


class ReasonCode(models.TextChoices):
    """The kind of reason that a refund has, by which rules may go; the words beside it are the member's own."""

    RETURNED = "returned", _("Returned goods")
    WRONG_AMOUNT = "wrong_amount", _("Wrong amount")
    PAID_TWICE = "paid_twice", _("Paid twice")
    MISTAKE = "mistake", _("Ordered by mistake")
    OUT_OF_STOCK = "out_of_stock", _("Out of stock")
    NOT_RECEIVED = "not_received", _("Not received")
    QUALITY = "quality", _("Something was wrong with it")
    OTHER = "other", _("Another reason")


class Refund(MerchantScoped):
    """Money given back out of one payment. ``refund_no`` is our number and never changes between tries.

    Of one that began at the platform, ``refund_no`` is always a number that the portal made of what the bill names.
    """

    payment = ScopedForeignKey(Payment, related_name="refunds")
    store = ScopedForeignKey(Store, null=True)
    account = ScopedForeignKey(PlatformAccount)
    refund_no = models.CharField(max_length=32)
    refund_no_reversed = models.GeneratedField(
        expression=models.Func("refund_no", function="REVERSE"),
        output_field=models.CharField(max_length=32),
        db_persist=True,
    )
    platform_refund_no = models.CharField(max_length=64, default="")
    platform_refund_no_reversed = models.GeneratedField(
        expression=models.Func("platform_refund_no", function="REVERSE"),
        output_field=models.CharField(max_length=64),
        db_persist=True,
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    fee_minor = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=80)
    #: "" where nobody asked here for it, or before kinds of reasons were asked for.
    reason_code = models.CharField(max_length=16, choices=ReasonCode, default="", db_default="")
    state = models.CharField(max_length=12, choices=RefundState)
    #: Made by the portal itself, without anybody's asking: the second payment of an order.
    is_automatic = models.BooleanField(default=False)
    source = models.CharField(max_length=8, choices=Source, default=Source.PORTAL)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    approval = ScopedForeignKey(Approval, null=True)
    #: The number of the rule book that decided, 0 for the portal's own; see ``RefundDecision``.
    rule_version = models.IntegerField(null=True)
    #: What the rules weighed, in fen: this refund and those of the same payment that were asked for before it.
    weighed_minor = models.BigIntegerField(default=0)
    code_text = models.CharField(max_length=64, default="")
    message = models.CharField(max_length=300, default="")
    created_at = models.DateTimeField()
    #: The first time that it went to the platform, and its time there for all repeats.
    sent_at = models.DateTimeField(null=True)
    #: The latest time.
    tried_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    refunded_at = models.DateTimeField(null=True)
    booked_date = models.DateField(null=True)
    poll_count = models.IntegerField(default=0)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="refunds_refund_wall"),
            models.UniqueConstraint(fields=["merchant_id", "refund_no"], name="refunds_refund_no"),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0), name="refunds_refund_amount"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="succeeded")
                | models.Q(refunded_at__isnull=False, booked_date__isnull=False),
                name="refunds_refund_done_facts",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "-created_at", "-id"], name="refunds_created"),
            models.Index(
                fields=["merchant_id", "store", "-created_at", "-id"], name="refunds_store"
            ),
            models.Index(fields=["merchant_id", "payment"], name="refunds_by_payment"),
            models.Index(
                fields=["merchant_id", "account", "booked_date"], name="refunds_account_booked"
            ),
            models.Index(fields=["merchant_id", "booked_date"], name="refunds_booked"),
            models.Index(fields=["merchant_id", "refund_no_reversed"], name="refunds_no_tail"),
            models.Index(fields=["merchant_id", "platform_refund_no"], name="refunds_platform_no"),
            models.Index(
                fields=["merchant_id", "platform_refund_no_reversed"], name="refunds_platform_tail"
            ),
        ]

    @classmethod
    @override
    def of_member(cls, member_id: int) -> models.Q:
        """Of what this member took or none."""
        taken = "payment__order__taken_by"
        return models.Q(**{f"{taken}__isnull": True}) | models.Q(**{taken: member_id})

    @property
    def last_tried_at(self) -> datetime | None:
        """When it last went to the platform; of one from before that was kept, when it first did."""
        return self.tried_at or self.sent_at

    @property
    def shown_reason(self) -> str:
        """Why the money goes back, in the reader's words where the portal itself gave the reason."""
        if self.source == Source.PLATFORM and not self.reason:
            return str(OUTSIDE_WORDS)
        return str(AUTOMATIC_WORDS) if self.is_automatic else self.reason


class RequestTerms(MerchantScoped):
    """What the merchant says about customers who ask for money back on their receipt; one row, made when first decided.

    ``days``: how long after paying a customer may ask. ``policy``: the shop's own words, shown before asking.
    """

    is_open = models.BooleanField(default=False)
    days = models.IntegerField(default=7)
    policy = models.CharField(max_length=600, default="")
    changed_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="refunds_terms_wall"),
            models.UniqueConstraint(fields=["merchant_id"], name="refunds_terms_one"),
            models.CheckConstraint(
                condition=models.Q(days__gte=1, days__lte=365), name="refunds_terms_days"
            ),
        ]


class RequestState(models.TextChoices):
    """Where a customer's request stands. Only an accepted one has a refund."""

    ASKED = "asked", _("Waiting for an answer")
    ACCEPTED = "accepted", _("Accepted")
    DECLINED = "declined", _("Declined")
    WITHDRAWN = "withdrawn", _("Taken back by the customer")


class RequestReason(models.TextChoices):
    """Why a customer asks."""

    WRONG_AMOUNT = "wrong_amount", _("I paid the wrong amount")
    PAID_TWICE = "paid_twice", _("I paid more than once")
    NOT_RECEIVED = "not_received", _("I did not get what I paid for")
    RETURNED = "returned", _("I gave it back or cancelled it")
    QUALITY = "quality", _("Something was wrong with it")
    OTHER = "other", _("Another reason")


class RefundRequest(MerchantScoped):
    """A customer asks for money back. It moves and reserves nothing: an accepted one becomes an ordinary refund.

    ``contact_sealed`` is how the customer may be reached, encrypted and taken away after a while; pages show the mask.
    """

    payment = ScopedForeignKey(Payment)
    store = ScopedForeignKey(Store, null=True)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    reason = models.CharField(max_length=16, choices=RequestReason)
    words = models.CharField(max_length=200, default="")
    contact_sealed = models.BinaryField(null=True)
    contact_masked = models.CharField(max_length=60, default="")
    state = models.CharField(max_length=12, choices=RequestState, default=RequestState.ASKED)
    #: What the shop says to the customer when it declines.
    answer = models.CharField(max_length=200, default="")
    refund = ScopedForeignKey(Refund, null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="refunds_request_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "payment"],
                condition=models.Q(state="asked"),
                name="refunds_request_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0), name="refunds_request_amount"
            ),
            models.CheckConstraint(
                condition=(models.Q(state="accepted") & models.Q(refund__isnull=False))
                | (~models.Q(state="accepted") & models.Q(refund__isnull=True)),
                name="refunds_request_refund",
            ),
            models.CheckConstraint(
                condition=(models.Q(state="asked") & models.Q(decided_at__isnull=True))
                | (~models.Q(state="asked") & models.Q(decided_at__isnull=False)),
                name="refunds_request_decided",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "payment", "-id"], name="refunds_request_payment"),
            models.Index(
                fields=["merchant_id", "created_at", "id"],
                condition=models.Q(state="asked"),
                name="refunds_request_open",
            ),
        ]

    @classmethod
    @override
    def of_member(cls, member_id: int) -> models.Q:
        """Of what this member took or none."""
        taken = "payment__order__taken_by"
        return models.Q(**{f"{taken}__isnull": True}) | models.Q(**{taken: member_id})
