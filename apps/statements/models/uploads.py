"""Bill files that somebody handed in."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.platforms.models import PlatformAccount
from apps.statements.models.bills import Statement
from apps.statements.models.files import BillFile


class UploadState(models.TextChoices):
    """Where a file stands that somebody handed in."""

    WAITING = "waiting", _("Waiting its turn")
    RUNNING = "running", _("Being imported")
    IMPORTED = "imported", _("Imported")
    SAME = "same", _("Is here already")
    REFUSED = "refused", _("Refused")
    CANCELLED = "cancelled", _("Cancelled")


#: States in which a file is still to be imported.
UNDER_WAY = (UploadState.WAITING, UploadState.RUNNING)


class Upload(MerchantScoped):
    """A bill file that somebody handed in, and what became of it.

    While it waits and when it is refused, the file is kept here and nowhere else: a refused one until ``expires_at``.
    ``detail`` is what ``wording.detail_words`` reads. ``done_bytes`` of ``byte_count`` are read; when all are, the rows are
    being stored.
    """

    account = ScopedForeignKey(PlatformAccount)
    kind = models.CharField(max_length=8)
    day = models.DateField()
    file = ScopedForeignKey(BillFile, on_delete=models.SET_NULL, null=True)
    filename = models.CharField(max_length=160)
    sha256 = models.CharField(max_length=64)
    byte_count = models.BigIntegerField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    state = models.CharField(max_length=12, choices=UploadState, default=UploadState.WAITING)
    detail = models.CharField(max_length=300, default="")
    done_bytes = models.BigIntegerField(default=0)
    done_rows = models.IntegerField(default=0)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    statement = ScopedForeignKey(Statement, on_delete=models.SET_NULL, null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_upload_wall"),
            models.CheckConstraint(
                condition=~models.Q(state="refused")
                | models.Q(file__isnull=False, expires_at__isnull=False),
                name="statements_upload_refused_kept",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "state"], name="statements_upload_state"),
        ]
