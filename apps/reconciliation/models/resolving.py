"""What is done about differences: acts, acts on many, rules that act by themselves, the limit for writing off."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.ledger.models import Adjustment, Purpose
from apps.payments.models import Payment
from apps.platforms.models import PlatformAccount, PlatformChoice
from apps.reconciliation.models.matching import Difference, DifferenceType
from apps.refunds.models import Refund


class ResolutionKind(models.TextChoices):
    """What somebody did about a difference. The last two settle nothing."""

    ACCEPT = "accept", _("Accept the platform's version")
    KEEP = "keep", _("Keep ours")
    ADJUST = "adjust", _("Book a correction")
    LINK = "link", _("Link by hand")
    WRITE_OFF = "write_off", _("Write off")
    ASSIGN = "assign", _("Give to somebody")
    COMMENT = "comment", _("Comment")


#: Kinds after which a difference needs nobody.
SETTLING = (
    ResolutionKind.ACCEPT,
    ResolutionKind.KEEP,
    ResolutionKind.ADJUST,
    ResolutionKind.LINK,
    ResolutionKind.WRITE_OFF,
)


class ResolutionState(models.TextChoices):
    """Where an act stands. ``superseded``: the difference changed, so another act took its place; what it booked stays."""

    WAITING = "waiting", _("Waiting for confirmation")
    DONE = "done", _("Done")
    REFUSED = "refused", _("Refused")
    UNDONE = "undone", _("Undone")
    SUPERSEDED = "superseded", _("Replaced")


#: States in which an act settles its difference.
IN_FORCE = (ResolutionState.WAITING, ResolutionState.DONE)


class WriteOffLimit(MerchantScoped):
    """One version of the merchant's limit: a difference of up to ``limit_minor`` fen may be written off without a second person."""

    version = models.IntegerField()
    limit_minor = models.BigIntegerField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "version"], name="reconciliation_limit_version"
            ),
            models.CheckConstraint(
                condition=models.Q(limit_minor__gte=0), name="reconciliation_limit_sane"
            ),
        ]


class AutoRule(MerchantScoped):
    """One rule by which matching settles differences itself. Rules are tried by ``position``; the first that fits acts.

    Of the conditions, those left empty hold for all. ``amount``: of the row, the larger side; ``max_gap_minor``: what is
    between both sides after fees; both in fen without sign. ``min_age_days``: so many days since it was first seen.
    It acts on days of the platform from ``effective_from`` on.
    """

    number = models.IntegerField()
    position = models.IntegerField()
    is_on = models.BooleanField(default=False)
    effective_from = models.DateField()
    type = models.CharField(max_length=16, choices=DifferenceType, blank=True, default="")
    platform = models.CharField(max_length=12, choices=PlatformChoice, blank=True, default="")
    account = ScopedForeignKey(PlatformAccount, null=True, on_delete=models.CASCADE)
    min_amount_minor = models.BigIntegerField(null=True)
    max_amount_minor = models.BigIntegerField(null=True)
    max_gap_minor = models.BigIntegerField(null=True)
    min_age_days = models.IntegerField(default=0)
    action = models.CharField(max_length=10, choices=ResolutionKind)
    reason = models.CharField(max_length=200)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="reconciliation_auto_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "number"], name="reconciliation_auto_number"
            ),
            models.CheckConstraint(
                condition=models.Q(action__in=["accept", "keep", "write_off"]),
                name="reconciliation_auto_action",
            ),
            models.CheckConstraint(
                condition=models.Q(min_age_days__gte=0)
                & (models.Q(min_amount_minor__isnull=True) | models.Q(min_amount_minor__gte=0))
                & (models.Q(max_amount_minor__isnull=True) | models.Q(max_amount_minor__gte=0))
                & (models.Q(max_gap_minor__isnull=True) | models.Q(max_gap_minor__gte=0)),
                name="reconciliation_auto_sane",
            ),
        ]


class BulkAct(MerchantScoped):
    """One act on many differences, done piece by piece: by a person who chose them, or by a rule.

    ``purpose``: the account of the books that a correction is booked against. ``store_id``: the shop that accepted
    payments are booked in.
    """

    kind = models.CharField(max_length=10, choices=ResolutionKind)
    reason = models.CharField(max_length=1000, default="")
    purpose = models.CharField(max_length=16, choices=Purpose, blank=True, default="")
    store_id = models.BigIntegerField(null=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    rule = ScopedForeignKey(AutoRule, null=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    total = models.IntegerField(default=0)
    done = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="reconciliation_bulk_wall"),
        ]


class BulkRow(MerchantScoped):
    """One difference of a bulk act. ``outcome``: "" until its turn, then ``done``, ``waiting`` or why not, as a code."""

    bulk = ScopedForeignKey(BulkAct, on_delete=models.CASCADE, related_name="rows")
    difference = ScopedForeignKey(Difference, on_delete=models.CASCADE)
    outcome = models.CharField(max_length=24, default="")

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["bulk", "difference"], name="reconciliation_bulk_once"),
        ]
        indexes = [
            models.Index(
                fields=["merchant_id", "bulk", "id"],
                condition=models.Q(outcome=""),
                name="reconciliation_bulk_left",
            ),
        ]


class Resolution(MerchantScoped):
    """One thing that somebody (or a rule: ``member`` None) did about a difference. Never deleted; only its state moves on.

    It is about what stands on a day of an account under ``identity``, whichever run finds it; ``difference_id`` is the row
    it was said of. ``type`` and amounts are those of that moment: it settles a later run's row only while they are the same.
    ``booked_minor``: what its posted booking takes over of the net gap. ``payment``, ``refund``: what was repaired, or what a
    bill row (``line_key``) was linked to.
    """

    account = ScopedForeignKey(PlatformAccount)
    day = models.DateField()
    identity = models.UUIDField()
    difference_id = models.BigIntegerField()
    kind = models.CharField(max_length=10, choices=ResolutionKind)
    state = models.CharField(max_length=12, choices=ResolutionState, default=ResolutionState.DONE)
    type = models.CharField(max_length=16, choices=DifferenceType)
    their_minor = models.BigIntegerField(null=True)
    our_minor = models.BigIntegerField(null=True)
    gap_minor = models.BigIntegerField()
    net_gap_minor = models.BigIntegerField()
    booked_minor = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=1000, default="")
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    rule = ScopedForeignKey(AutoRule, null=True)
    bulk = ScopedForeignKey(BulkAct, null=True)
    adjustment = ScopedForeignKey(Adjustment, null=True)
    payment = ScopedForeignKey(Payment, null=True)
    refund = ScopedForeignKey(Refund, null=True)
    line_key = models.UUIDField(null=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    at = models.DateTimeField()
    #: The reversal of its booking; it may wait for confirmation.
    undo_adjustment = ScopedForeignKey(Adjustment, null=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    undone_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "id"], name="reconciliation_resolution_wall"
            ),
            # Of two people at once one wins, whatever else fails.
            models.UniqueConstraint(
                fields=["merchant_id", "account", "day", "identity"],
                condition=models.Q(kind__in=SETTLING, state__in=IN_FORCE),
                name="reconciliation_settled_once",
            ),
            models.CheckConstraint(
                condition=models.Q(member__isnull=False) | models.Q(rule__isnull=False),
                name="reconciliation_resolution_whose",
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant_id", "account", "day", "identity", "id"],
                name="reconciliation_resolved",
            ),
            models.Index(
                fields=["merchant_id", "account", "line_key"],
                condition=models.Q(kind="link"),
                name="reconciliation_linked",
            ),
            models.Index(
                fields=["merchant_id", "adjustment"],
                condition=models.Q(adjustment__isnull=False),
                name="reconciliation_res_adj",
            ),
        ]
