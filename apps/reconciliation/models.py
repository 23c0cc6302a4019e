"""Matching a day's bill with the books, and what does not match."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.payments.models import Payment
from apps.platforms.models import PlatformAccount
from apps.refunds.models import Refund
from apps.statements.models import Statement, StatementLine


class DifferenceType(models.TextChoices):
    """Why a row does not match."""

    MISSING_HERE = "missing_here", _("Not in our books")
    MISSING_THERE = "missing_there", _("Not in the bill")
    AMOUNT = "amount", _("Amount differs")
    STATUS = "status", _("State differs")
    FEE = "fee", _("Fee differs")
    DUPLICATE = "duplicate", _("Twice in the bill")
    UNKNOWN_REFUND = "unknown_refund", _("Refund not in our books")
    CURRENCY = "currency", _("Currency differs")
    LATE = "late", _("Booked on another day")


class DifferenceState(models.TextChoices):
    """Whether a difference still needs somebody."""

    OPEN = "open", _("Open")
    EXPLAINED = "explained", _("Explained")
    RESOLVED = "resolved", _("Resolved")


class ReconciliationRun(MerchantScoped):
    """One matching of one account's bill of one day. A later run of the same day replaces it as current."""

    account = ScopedForeignKey(PlatformAccount)
    day = models.DateField()
    statement = ScopedForeignKey(Statement, null=True)
    is_current = models.BooleanField(default=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    run_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    matched_count = models.IntegerField(default=0)
    matched_payment_minor = models.BigIntegerField(default=0)
    matched_refund_minor = models.BigIntegerField(default=0)
    difference_count = models.IntegerField(default=0)
    #: Payments − refunds, by the bill and by our books.
    their_net_minor = models.BigIntegerField(default=0)
    our_net_minor = models.BigIntegerField(default=0)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="reconciliation_run_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "day"],
                condition=models.Q(is_current=True),
                name="reconciliation_run_current",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "-day", "-id"], name="reconciliation_run_day"),
        ]


class Match(MerchantScoped):
    """A bill row and the payment or refund it is."""

    run = ScopedForeignKey(ReconciliationRun, on_delete=models.CASCADE, related_name="matches")
    line = ScopedForeignKey(StatementLine, on_delete=models.CASCADE)
    payment = ScopedForeignKey(Payment, null=True)
    refund = ScopedForeignKey(Refund, null=True)
    rule = models.CharField(max_length=16)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["run", "line"], name="reconciliation_match_line"),
            models.CheckConstraint(
                condition=models.Q(payment__isnull=False, refund__isnull=True)
                | models.Q(payment__isnull=True, refund__isnull=False),
                name="reconciliation_match_one",
            ),
        ]


class Difference(MerchantScoped):
    """One thing that does not match. Amounts are signed fen: refunds negative, None where that side has no row."""

    run = ScopedForeignKey(ReconciliationRun, on_delete=models.CASCADE, related_name="differences")
    type = models.CharField(max_length=16, choices=DifferenceType)
    state = models.CharField(max_length=12, choices=DifferenceState, default=DifferenceState.OPEN)
    line = ScopedForeignKey(StatementLine, on_delete=models.CASCADE, null=True)
    payment = ScopedForeignKey(Payment, null=True)
    refund = ScopedForeignKey(Refund, null=True)
    their_minor = models.BigIntegerField(null=True)
    our_minor = models.BigIntegerField(null=True)
    #: What this row adds to (bill net − our net); the rows of a run sum to the gap.
    gap_minor = models.BigIntegerField()
    detail = models.JSONField(default=dict)
    note = models.CharField(max_length=300, default="")
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    resolved_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        indexes = [
            models.Index(fields=["merchant_id", "run", "type"], name="reconciliation_diff_run"),
            models.Index(fields=["merchant_id", "state", "-id"], name="reconciliation_diff_open"),
        ]
