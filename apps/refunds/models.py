"""Refunds and the rule that says when a second person must confirm one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

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


class RefundRule(MerchantScoped):
    """One version of the merchant's rule: at or below the threshold at once, above it with confirmation."""

    version = models.IntegerField()
    threshold_minor = models.BigIntegerField()
    confirmations = models.IntegerField(default=1)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="refunds_rule_wall"),
            models.UniqueConstraint(fields=["merchant_id", "version"], name="refunds_rule_version"),
            models.CheckConstraint(
                condition=models.Q(threshold_minor__gte=0, confirmations__gte=1),
                name="refunds_rule_sane",
            ),
        ]


class Refund(MerchantScoped):
    """Money given back out of one payment. ``refund_no`` is our number and never changes between tries."""

    payment = ScopedForeignKey(Payment, related_name="refunds")
    store = ScopedForeignKey(Store)
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
    state = models.CharField(max_length=12, choices=RefundState)
    #: Made by the portal itself, without anybody's asking: the second payment of an order.
    is_automatic = models.BooleanField(default=False)
    source = models.CharField(max_length=8, choices=Source, default=Source.PORTAL)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    approval = ScopedForeignKey(Approval, null=True)
    rule_version = models.IntegerField(null=True)
    #: What the rule weighed, in fen: this refund and those of the same payment that were asked for before it.
    weighed_minor = models.BigIntegerField(default=0)
    code_text = models.CharField(max_length=64, default="")
    message = models.CharField(max_length=300, default="")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
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

    @property
    def shown_reason(self) -> str:
        """Why the money goes back, in the reader's words where the portal itself gave the reason."""
        return str(AUTOMATIC_WORDS) if self.is_automatic else self.reason
