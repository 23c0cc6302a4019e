"""Four eyes: what waits for a second person, and who decided."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.tenancy import MerchantScoped, ScopedForeignKey


class ApprovalState(models.TextChoices):
    """Where an approval stands."""

    PENDING = "pending", _("Waiting for confirmation")
    APPROVED = "approved", _("Confirmed")
    REJECTED = "rejected", _("Refused")
    VOIDED = "voided", _("Void")
    EXPIRED = "expired", _("Expired")


class Approval(MerchantScoped):
    """A request for ``needed`` confirmations by members holding ``permission``.

    ``digest`` is the SHA-256 of what is confirmed (amount, order, reason); any change of it voids the approval.
    """

    subject_kind = models.CharField(max_length=24)
    subject_id = models.BigIntegerField()
    store_id = models.BigIntegerField(null=True)
    summary = models.JSONField(default=dict)
    digest = models.BinaryField(max_length=32)
    permission = models.CharField(max_length=40)
    needed = models.IntegerField(default=1)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=ApprovalState, default=ApprovalState.PENDING)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="approvals_approval_wall"),
            # The decision row repeats the requester through this key, so that one CHECK can compare the two.
            models.UniqueConstraint(
                fields=["merchant_id", "id", "requested_by"], name="approvals_approval_requester"
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "subject_kind", "subject_id"],
                condition=models.Q(state="pending"),
                name="approvals_one_pending",
            ),
            models.CheckConstraint(condition=models.Q(needed__gte=1), name="approvals_needed"),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "state", "-id"], name="approvals_state"),
        ]

    @classmethod
    @override
    def of_member(cls, member_id: int) -> models.Q:
        """Asked for by this member."""
        return models.Q(requested_by=member_id)


class Decision(MerchantScoped):
    """One member's yes or no. Append-only; the database refuses the requester's own."""

    approval = ScopedForeignKey(Approval, related_name="decisions")
    requested_by_id = models.BigIntegerField()
    member = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    approved = models.BooleanField()
    digest = models.BinaryField(max_length=32)
    reason = models.CharField(max_length=200, default="")
    second_factor = models.BooleanField(default=False)
    decided_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(member=models.F("requested_by_id")),
                name="approvals_not_the_requester",
            ),
            models.UniqueConstraint(fields=["approval", "member"], name="approvals_decide_once"),
        ]
