"""Double entry: accounts, entries, postings, and the lock on business days."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey


class Purpose(models.TextChoices):
    """What an account is for; a merchant's plan has one account a purpose (receivables: one a platform account)."""

    RECEIVABLE = "receivable", _("Platform receivable")
    BANK = "bank", _("Bank")
    SALES = "sales", _("Sales")
    REFUNDS = "refunds", _("Refunds")
    FEES = "fees", _("Fees")
    SUSPENSE = "suspense", _("Suspense")
    ADJUSTMENTS = "adjustments", _("Adjustments")


class Account(MerchantScoped):
    """One account of a merchant's plan. ``subject_id`` names the platform account of a receivable, else 0."""

    code = models.CharField(max_length=24)
    name = models.CharField(max_length=80)
    purpose = models.CharField(max_length=16, choices=Purpose)
    subject_id = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="ledger_account_wall"),
            models.UniqueConstraint(fields=["merchant_id", "code"], name="ledger_account_code"),
            models.UniqueConstraint(
                fields=["merchant_id", "purpose", "subject_id"], name="ledger_account_purpose"
            ),
        ]


class BusinessDay(MerchantScoped):
    """One business day of a merchant. Posting takes the row FOR SHARE, closing FOR UPDATE."""

    day = models.DateField()
    is_closed = models.BooleanField(default=False)
    version = models.IntegerField(default=0)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="ledger_businessday_wall"),
            models.UniqueConstraint(fields=["merchant_id", "day"], name="ledger_businessday_day"),
        ]


class JournalEntry(MerchantScoped):
    """A balanced set of postings. Append-only; a correction is a new entry.

    One entry a ``kind`` and subject: posting the same fact twice breaks the unique key.
    """

    booked_date = models.DateField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=32)
    subject_kind = models.CharField(max_length=24)
    subject_id = models.BigIntegerField()
    memo = models.CharField(max_length=160, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="ledger_entry_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "kind", "subject_kind", "subject_id"],
                name="ledger_entry_once",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "booked_date", "id"], name="ledger_entry_booked"),
            models.Index(
                fields=["merchant_id", "subject_kind", "subject_id"], name="ledger_entry_subject"
            ),
        ]


class Posting(MerchantScoped):
    """One side of an entry: positive fen are a debit, negative a credit. Append-only."""

    entry = ScopedForeignKey(JournalEntry, related_name="postings")
    account = ScopedForeignKey(Account)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(amount_minor=0), name="ledger_posting_not_zero"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "account", "id"], name="ledger_posting_account"),
        ]
