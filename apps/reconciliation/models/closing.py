"""Closings of business days, the files written for them, and opening one again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.approvals.models import Approval
from apps.core.tenancy import MerchantScoped, ScopedForeignKey


class DayClose(MerchantScoped):
    """One closing of a business day: who closed it, what the day held then, and what was said of its warnings. Append-only.

    The days of ``day`` are the merchant's own (``day_starts_at``). A day that was opened again and closed once more has another
    row with the next ``version``; the earlier ones stay as they were. The sums are those of the rows booked on the day.
    """

    day = models.DateField()
    version = models.IntegerField()
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    closed_at = models.DateTimeField()
    zone = models.CharField(max_length=40)
    day_starts_at = models.TimeField()
    payment_count = models.IntegerField()
    payment_minor = models.BigIntegerField()
    refund_count = models.IntegerField()
    refund_minor = models.BigIntegerField()
    #: Fees by the journal: charged less given back.
    fee_minor = models.BigIntegerField()
    entry_count = models.IntegerField()
    debit_minor = models.BigIntegerField()
    matched_count = models.IntegerField()
    difference_count = models.IntegerField()
    #: The runs that counted.
    run_ids = models.JSONField(default=list)
    #: Each item as it stood: ``key``, ``state``, ``count`` and, where a warning was accepted, the ``reason``.
    checklist = models.JSONField(default=list)
    #: The files that are written of this closing, in their order.
    file_names = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="reconciliation_close_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "day", "version"], name="reconciliation_close_version"
            ),
            models.CheckConstraint(
                condition=models.Q(version__gte=1), name="reconciliation_close_counted"
            ),
        ]

    @property
    def net_minor(self) -> int:
        """Paid less given back, in fen."""
        return self.payment_minor - self.refund_minor


class DayFile(MerchantScoped):
    """A file of a closing, written once and given out byte for byte. Append-only.

    ``row_count`` and ``amount_minor`` are the file's control figures; None where it has no rows, or no sum.
    """

    close = ScopedForeignKey(DayClose, related_name="files")
    name = models.CharField(max_length=24)
    filename = models.CharField(max_length=120)
    content_type = models.CharField(max_length=60)
    sha256 = models.CharField(max_length=64)
    byte_count = models.BigIntegerField()
    row_count = models.IntegerField(null=True)
    amount_minor = models.BigIntegerField(null=True)
    made_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "id"], name="reconciliation_dayfile_wall"
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "close", "name"], name="reconciliation_dayfile_once"
            ),
        ]


class DayFilePart(MerchantScoped):
    """A piece of a file, so that neither writing nor giving out needs it whole in memory. Append-only."""

    file = ScopedForeignKey(DayFile, related_name="parts")
    number = models.IntegerField()
    content_sealed = models.BinaryField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "file", "number"], name="reconciliation_filepart_once"
            ),
        ]


class ReopeningState(models.TextChoices):
    """Where the wish to open a closed day again stands. Every state but ``waiting`` is final."""

    WAITING = "waiting", _("Waiting for confirmation")
    DONE = "done", _("Opened again")
    REJECTED = "rejected", _("Refused")
    CANCELLED = "cancelled", _("Cancelled")


class DayReopening(MerchantScoped):
    """Somebody's wish to open a closed day again; done once another member has confirmed it."""

    close = ScopedForeignKey(DayClose, related_name="reopenings")
    reason = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=ReopeningState, default=ReopeningState.WAITING)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    approval = ScopedForeignKey(Approval, null=True)
    #: Why it was refused or withdrawn.
    message = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "id"], name="reconciliation_reopen_wall"
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "close"],
                condition=models.Q(state__in=["waiting", "done"]),
                name="reconciliation_reopen_once",
            ),
            models.CheckConstraint(
                condition=models.Q(state="waiting") | models.Q(ended_at__isnull=False),
                name="reconciliation_reopen_ended",
            ),
        ]
