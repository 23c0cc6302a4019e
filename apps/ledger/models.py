"""Double entry: accounts, entries, postings, adjustments, and the lock on business days."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.approvals.models import Approval
from apps.core.papers import PaperKind
from apps.core.tenancy import MerchantScoped, ScopedForeignKey


class Purpose(models.TextChoices):
    """What an account is for; a merchant's plan has one account a purpose (receivables and reserves: one a platform account)."""

    RECEIVABLE = "receivable", _("Platform receivable")
    #: What of a receivable is kept back for refunds and compensation.
    RESERVE = "reserve", _("Kept back for refunds")
    BANK = "bank", _("Bank")
    SALES = "sales", _("Sales")
    REFUNDS = "refunds", _("Refunds")
    FEES = "fees", _("Fees")
    SUSPENSE = "suspense", _("Suspense")
    ADJUSTMENTS = "adjustments", _("Adjustments")


class Account(MerchantScoped):
    """One account of a merchant's plan. ``subject_id`` names the platform account of a receivable or reserve, else 0."""

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

    entry = ScopedForeignKey(JournalEntry, related_name="postings", db_index=False)
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
            # The balance check of each entry asks for it; with one column alone, a planner that has no statistics yet may
            # read all of a merchant's postings for every entry.
            models.Index(fields=["merchant_id", "entry"], name="ledger_posting_entry"),
        ]


class AdjustmentReason(models.TextChoices):
    """Why somebody books by hand: the codes that every merchant has. ``ReasonCode`` holds a merchant's own."""

    FEE = "fee", _("Fee of a platform or bank")
    ROUNDING = "rounding", _("Rounding")
    FOUND = "found", _("Shortage or surplus")
    CASH = "cash", _("Cash difference")
    COMPENSATION = "compensation", _("Compensation of a customer")
    DISPUTE = "dispute", _("Disputed fee")
    WRITE_OFF = "write_off", _("Written off")
    CORRECTION = "correction", _("Correction of a wrong booking")
    SUSPENSE = "suspense", _("Clearing of suspense")
    BANK = "bank", _("Interest or charge of the bank")
    OTHER = "other", _("Something else")


class ReasonCode(MerchantScoped):
    """A merchant's own reason code, or one of every merchant's (``name`` is "" then) that is not offered any more.

    Codes are never deleted, so that what was booked by them keeps its words; ``is_active`` says whether one is offered.
    """

    code = models.CharField(max_length=16)
    name = models.CharField(max_length=60, default="", blank=True)
    is_active = models.BooleanField(default=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    updated_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "code"], name="ledger_reason_once"),
            models.CheckConstraint(condition=~models.Q(code=""), name="ledger_reason_sane"),
        ]


class AdjustmentState(models.TextChoices):
    """Where an adjustment stands. Every state but ``waiting`` is final."""

    WAITING = "waiting", _("Waiting for confirmation")
    POSTED = "posted", _("Posted")
    REJECTED = "rejected", _("Refused")
    CANCELLED = "cancelled", _("Cancelled")


class AdjustmentRule(MerchantScoped):
    """One version of the merchant's rule: adjustments above ``limit_minor`` fen need another member's confirmation."""

    version = models.IntegerField()
    limit_minor = models.BigIntegerField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="ledger_adjrule_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "version"], name="ledger_adjrule_version"
            ),
            models.CheckConstraint(
                condition=models.Q(limit_minor__gte=0), name="ledger_adjrule_sane"
            ),
        ]


class Adjustment(MerchantScoped):
    """A balanced entry that a person (or a rule of the merchant) asks for. Never edited: ``reverses`` undoes one.

    ``amount_minor`` is the sum of its debits. ``at`` says for which business day it is meant. ``subject_kind`` and
    ``subject_id`` name what it settles, such as a difference; "" and 0 where nothing.
    """

    #: A code of ``AdjustmentReason`` or of the merchant's own ``ReasonCode``.
    reason = models.CharField(max_length=16)
    memo = models.CharField(max_length=160)
    amount_minor = models.BigIntegerField()
    state = models.CharField(
        max_length=12, choices=AdjustmentState, default=AdjustmentState.WAITING
    )
    at = models.DateTimeField()
    subject_kind = models.CharField(max_length=24, default="")
    subject_id = models.BigIntegerField(default=0)
    #: Chosen by the caller, so that asking twice makes one; "" where the caller does not care.
    key = models.CharField(max_length=40, default="")
    reverses = ScopedForeignKey("self", null=True, related_name="reversals")
    #: None: the portal itself, by a rule.
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    approval = ScopedForeignKey(Approval, null=True)
    rule_version = models.IntegerField(null=True)
    #: Why it was refused or withdrawn.
    message = models.CharField(max_length=300, default="")
    entry = ScopedForeignKey(JournalEntry, null=True)
    booked_date = models.DateField(null=True)
    created_at = models.DateTimeField()
    posted_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="ledger_adjustment_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "reverses"],
                condition=models.Q(state__in=["waiting", "posted"]),
                name="ledger_adjustment_reversed_once",
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "key"],
                condition=~models.Q(key=""),
                name="ledger_adjustment_key",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0), name="ledger_adjustment_amount"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state="posted",
                    entry__isnull=False,
                    booked_date__isnull=False,
                    posted_at__isnull=False,
                )
                | (~models.Q(state="posted") & models.Q(entry__isnull=True)),
                name="ledger_adjustment_posted_facts",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "-created_at", "-id"], name="ledger_adj_created"),
            models.Index(
                fields=["merchant_id", "subject_kind", "subject_id"], name="ledger_adj_subject"
            ),
            models.Index(
                fields=["merchant_id", "reason", "-created_at", "-id"], name="ledger_adj_reason"
            ),
        ]


class AdjustmentLine(MerchantScoped):
    """One side of an adjustment, as it is or will be posted: positive fen are a debit. Append-only."""

    adjustment = ScopedForeignKey(Adjustment, related_name="lines")
    account = ScopedForeignKey(Account)
    amount_minor = models.BigIntegerField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(amount_minor=0), name="ledger_adjline_not_zero"
            ),
        ]


class AdjustmentPaper(MerchantScoped):
    """A file that shows why an adjustment is right, byte for byte as handed in, sealed in pieces. Append-only.

    It comes with the adjustment: once that is asked for or posted, the database takes no other. ``kind`` is what its content is.
    """

    adjustment = ScopedForeignKey(Adjustment, related_name="papers")
    filename = models.CharField(max_length=160)
    kind = models.CharField(max_length=8, choices=PaperKind)
    sha256 = models.CharField(max_length=64)
    byte_count = models.BigIntegerField()
    page_count = models.IntegerField()
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="ledger_paper_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "adjustment", "sha256"], name="ledger_paper_once"
            ),
            models.CheckConstraint(
                condition=models.Q(byte_count__gt=0, page_count__gt=0), name="ledger_paper_sane"
            ),
        ]


class PaperPiece(MerchantScoped):
    """The next bytes of a paper, encrypted. Append-only."""

    paper = ScopedForeignKey(AdjustmentPaper, related_name="pieces")
    number = models.IntegerField()
    sealed = models.BinaryField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "paper", "number"], name="ledger_paperpiece_once"
            ),
        ]
