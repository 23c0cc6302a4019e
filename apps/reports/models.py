"""What pages and files list: one row a payment or refund, read from a database view over both tables."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.tenancy import MerchantScoped
from apps.payments.models import Order


class TransactionKind(models.TextChoices):
    """Which way the money went."""

    PAYMENT = "payment", _("Payment")
    REFUND = "refund", _("Refund")


class Transaction(MerchantScoped):
    """A payment or a refund as lists, sums and exports see it. Read-only.

    ``key`` is unique over both kinds and orders rows of one instant: payments ``2·id``, refunds ``2·id+1``.
    ``signed_minor`` is negative for refunds; ``effective_minor`` is it where the money really moved, else 0.
    """

    key = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=8, choices=TransactionKind)
    row_id = models.BigIntegerField()
    order_id = models.BigIntegerField()
    payment_id = models.BigIntegerField()
    #: None for what was taken outside the portal and belongs to no store.
    store_id = models.BigIntegerField(null=True)
    code_id = models.BigIntegerField(null=True)
    account_id = models.BigIntegerField()
    platform = models.CharField(max_length=12)
    product = models.CharField(max_length=12)
    number = models.CharField(max_length=32)
    number_reversed = models.CharField(max_length=32)
    order_no = models.CharField(max_length=32)
    platform_number = models.CharField(max_length=64)
    platform_number_reversed = models.CharField(max_length=64)
    signed_minor = models.BigIntegerField()
    effective_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    refunded_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=12)
    source = models.CharField(max_length=8)
    subject = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    booked_date = models.DateField(null=True)
    #: The terminal of the payment, also for a refund.
    terminal_id = models.BigIntegerField(null=True)

    class Meta:
        managed = False
        db_table = "reports_transaction"
        base_manager_name = "objects"

    @classmethod
    @override
    def of_member(cls, member_id: int) -> models.Q:
        """Of orders taken by this member or by none."""
        others = Order.objects.filter(pk=models.OuterRef("order_id"), taken_by__isnull=False)
        return ~models.Q(models.Exists(others.exclude(taken_by=member_id)))
