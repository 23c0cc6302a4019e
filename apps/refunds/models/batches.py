"""Refunds of many payments at once, as when an event is called off."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.approvals.models import Approval
from apps.core.tenancy import MerchantScoped, ScopedForeignKey, ScopedQuerySet, current_scope
from apps.payments.models import Payment
from apps.refunds.models.refunds import ReasonCode, Refund


class ShareKind(models.TextChoices):
    """How much of each payment goes back."""

    WHOLE = "whole", _("All that is left of each")
    PERCENT = "percent", _("A part of each, in percent of what was paid")
    FIXED = "fixed", _("The same amount of each")


class BatchState(models.TextChoices):
    """Where a batch stands; only a running one makes refunds."""

    WAITING = "waiting", _("Waiting for confirmation")
    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")
    DONE = "done", _("All sent")
    REFUSED = "refused", _("Refused")
    CANCELLED = "cancelled", _("Stopped")


class BatchRowState(models.TextChoices):
    """Where a row stands. One that is made has a refund, whose own state tells the rest."""

    PLANNED = "planned", _("Not yet its turn")
    MADE = "made", _("Made")
    REFUSED = "refused", _("Not made")
    CANCELLED = "cancelled", _("Stopped before")


class RefundBatch(MerchantScoped):
    """Refunds of many payments, asked for once. What it is to do never changes: that is what is confirmed.

    ``wish``: by what the payments were chosen, for the reader. ``share_value``: hundredths of a percent, or fen. ``left_out``:
    by reason, how many payments that were chosen are not in it and their amounts in fen. ``store_ids``: of its payments;
    0 stands for none. ``confirmations`` by members with ``permission`` cover whatever the rules ask of a single row, up to so much.
    """

    #: Of the page that asked for it: sent twice, it is one batch.
    nonce = models.CharField(max_length=40)
    wish = models.JSONField()
    share_kind = models.CharField(max_length=8, choices=ShareKind)
    share_value = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=80)
    reason_code = models.CharField(max_length=16, choices=ReasonCode, default="")
    state = models.CharField(max_length=12, choices=BatchState)
    total_count = models.IntegerField()
    total_minor = models.BigIntegerField()
    left_out = models.JSONField(default=dict)
    store_ids = ArrayField(models.BigIntegerField())
    confirmations = models.IntegerField(default=0)
    permission = models.CharField(max_length=40, default="")
    book_number = models.IntegerField()
    approval = ScopedForeignKey(Approval, null=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="refunds_batch_wall"),
            models.UniqueConstraint(fields=["merchant_id", "nonce"], name="refunds_batch_nonce"),
            models.CheckConstraint(
                condition=models.Q(total_count__gte=1, total_minor__gte=1),
                name="refunds_batch_total",
            ),
        ]

    @classmethod
    def seen(cls) -> ScopedQuerySet[Self]:
        """Those of which every payment is of the stores in scope; none for who sees own takings only."""
        rows = cls.objects.get_queryset()
        scope = current_scope()
        if scope.member_id is not None:
            # A batch is other members' money as a rule, and never asked for by such a member.
            return rows.none()
        stores = scope.store_ids
        return rows if stores is None else rows.filter(store_ids__contained_by=sorted(stores))


class RefundBatchRow(MerchantScoped):
    """One payment of a batch, with the number that its refund has or will have.

    ``outcome``: what the rules said when it was chosen, a key of ``rulefacts.OUTCOMES``. ``problem``: why it was not made.
    ``refund``: the last that was made for it; ``made`` is that of the present try.
    """

    batch = ScopedForeignKey(RefundBatch, related_name="rows")
    payment = ScopedForeignKey(Payment)
    amount_minor = models.BigIntegerField()
    refund_no = models.CharField(max_length=32)
    outcome = models.CharField(max_length=16)
    state = models.CharField(max_length=12, choices=BatchRowState, default=BatchRowState.PLANNED)
    refund = ScopedForeignKey(Refund, null=True)
    problem = models.CharField(max_length=24, default="")
    tries = models.IntegerField(default=1)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="refunds_row_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "batch", "payment"], name="refunds_row_once"
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "refund_no"], name="refunds_row_refund_no"
            ),
            # One payment is in one batch at a time that has still to do with it.
            models.UniqueConstraint(
                fields=["merchant_id", "payment"],
                condition=models.Q(state="planned"),
                name="refunds_row_planned",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gte=1), name="refunds_row_amount"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="made") | models.Q(refund__isnull=False),
                name="refunds_row_made",
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant_id", "batch", "id"],
                condition=models.Q(state="planned"),
                name="refunds_row_left",
            ),
            models.Index(fields=["merchant_id", "refund"], name="refunds_row_refund"),
        ]

    @property
    def made(self) -> Refund | None:
        """The refund of this try; a row that is to be tried again keeps the one that failed, which is not its answer."""
        return None if self.state == BatchRowState.PLANNED else self.refund
