"""Four eyes: what waits for a second person, and who decided."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce, Now
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

    ``digest`` is the SHA-256 of what is confirmed (amount, order, reason); any change of it voids the approval. What was
    asked, and an approval that has ended, never change: a trigger holds that, and lets none be approved without its decisions.
    ``cools_from`` and ``cools_until``: the member asked to do it alone; it is carried out then, unless cancelled.
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
    cools_from = models.DateTimeField(null=True)
    cools_until = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="approvals_approval_wall"),
            models.CheckConstraint(
                condition=models.Q(cools_from=None, cools_until=None)
                | models.Q(cools_until__gte=models.F("cools_from") + timedelta(hours=12)),
                name="approvals_cooling",
            ),
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


class Delegation(MerchantScoped):
    """``giver`` hands the right to confirm to ``receiver`` from ``starts_at`` until ``ends_at``, or ``ended_at`` where sooner.

    Only what the giver may confirm by role at that moment is handed on, never what others handed to the giver.
    """

    giver = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    receiver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=120)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="approvals_delegation_wall"),
            # A decision repeats both through this key: it cannot name a delegation of other members.
            models.UniqueConstraint(
                fields=["merchant_id", "id", "giver", "receiver"], name="approvals_delegation_both"
            ),
            models.CheckConstraint(
                condition=~models.Q(giver=models.F("receiver")),
                name="approvals_delegated_to_another",
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")),
                name="approvals_delegation_period",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "receiver", "ends_at"], name="approvals_handed_to"),
        ]


class Decision(MerchantScoped):
    """One member's yes or no. Append-only; the database refuses the requester's own.

    ``on_behalf_of``: the member whose right it was, by ``delegation``; None where it was the member's own. No right speaks twice.
    """

    approval = ScopedForeignKey(Approval, related_name="decisions")
    requested_by_id = models.BigIntegerField()
    delegation = ScopedForeignKey(Delegation, null=True, related_name="+")
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
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
            models.CheckConstraint(
                condition=~models.Q(on_behalf_of=models.F("requested_by_id"))
                | models.Q(on_behalf_of=None),
                name="approvals_not_for_requester",
            ),
            models.CheckConstraint(
                condition=models.Q(on_behalf_of=None, delegation=None)
                | models.Q(on_behalf_of__isnull=False, delegation__isnull=False)
                & ~models.Q(on_behalf_of=models.F("member")),
                name="approvals_by_delegation",
            ),
            models.UniqueConstraint(fields=["approval", "member"], name="approvals_decide_once"),
            models.UniqueConstraint(
                "approval", Coalesce("on_behalf_of", "member"), name="approvals_one_voice"
            ),
        ]


class ApprovalTerms(MerchantScoped):
    """One version of how confirmations run in a merchant. Append-only; in force is the highest number whose time has come.

    Hours since the request; 0 switches a reminder, the escalation or cooling-off off. ``credentials``: new keys of a platform
    account wait for a second member. ``factor``: whoever confirms must have a second factor.
    """

    number = models.IntegerField()
    expire_hours = models.IntegerField()
    remind_hours = models.IntegerField()
    escalate_hours = models.IntegerField()
    cooling_hours = models.IntegerField()
    credentials = models.BooleanField()
    factor = models.BooleanField()
    effective_at = models.DateTimeField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    made_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="approvals_terms_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "number"], name="approvals_terms_number"
            ),
            models.CheckConstraint(
                condition=models.Q(number__gte=1, effective_at__gte=models.F("made_at"))
                & models.Q(expire_hours__gte=1, expire_hours__lte=720)
                & models.Q(remind_hours__gte=0, escalate_hours__gte=0)
                & (models.Q(cooling_hours=0) | models.Q(cooling_hours__gte=12)),
                name="approvals_terms_hours",
            ),
        ]


class NoticeStep(models.TextChoices):
    """What members are told of an approval, each at most once."""

    REMIND = "remind", _("Reminder")
    ESCALATE = "escalate", _("Escalation")
    COOLING = "cooling", _("Cooling-off began")
    COOLED = "cooled", _("Carried out after cooling-off")


class ApprovalNotice(MerchantScoped):
    """That members were told: once an approval and step, however often the task runs."""

    approval = ScopedForeignKey(Approval, related_name="notices")
    step = models.CharField(max_length=8, choices=NoticeStep)
    at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="approvals_notice_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "approval", "step"], name="approvals_notice_once"
            ),
        ]


class ApprovalMail(MerchantScoped):
    """One member's mail of a notice, so that one that fails is sent again alone."""

    notice = ScopedForeignKey(ApprovalNotice, related_name="mails")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "notice", "user"], name="approvals_mail_once"
            ),
        ]
