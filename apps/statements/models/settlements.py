"""What platforms pay out, when, and what of it arrived."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.ledger.models import JournalEntry
from apps.platforms.models import Agreement, PlatformAccount
from apps.statements.models.bills import Statement


class SettlementBasis(models.TextChoices):
    """What tells how much a platform pays out."""

    BILL = "bill", _("Each day's net, paid out by the platform itself")
    WITHDRAWAL = "withdrawal", _("What is withdrawn from the balance, by the fund bill")


class SettlementTerms(MerchantScoped):
    """When and how one account is paid out; without a row the cycle of its agreement holds, else what is usual at its platform
    (``selectors.terms``).

    The money of a cycle day is due ``cycle_days`` later, counted in working days or all days. ``cutoff``: what is taken from
    then on (China time) counts for the next cycle day; None where the platform's own bill day decides. Nothing is paid out
    below ``minimum_minor``. ``bank_words``: a bank line is the platform's if its counterparty or memo holds one of these,
    divided by commas. ``window_days``: how late a payout may come and still be matched by itself. ``since``: the first cycle
    day that is followed.
    """

    #: The versions of the account's agreement, as ``selectors.terms.terms_of`` found them.
    agreed: Sequence[Agreement] = ()
    #: Nobody entered them: they are what is usual at the platform, and not stored.
    is_usual = False

    account = ScopedForeignKey(PlatformAccount, on_delete=models.CASCADE)
    basis = models.CharField(max_length=12, choices=SettlementBasis)
    cycle_days = models.IntegerField()
    working_days = models.BooleanField()
    cutoff = models.TimeField(null=True)
    minimum_minor = models.BigIntegerField(default=0)
    fees_deducted = models.BooleanField(default=True)
    bank_words = models.CharField(max_length=300, default="")
    window_days = models.IntegerField(default=5)
    since = models.DateField(null=True)
    updated_at = models.DateTimeField()
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "account"], name="statements_terms_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    cycle_days__gte=0,
                    cycle_days__lte=60,
                    window_days__gte=0,
                    window_days__lte=31,
                    minimum_minor__gte=0,
                ),
                name="statements_terms_sane",
            ),
        ]


class WorkdayException(MerchantScoped):
    """A day on which banks work although it is a weekend, or rest although it is not, beside the published holidays."""

    day = models.DateField()
    is_working = models.BooleanField()
    name = models.CharField(max_length=40, default="")

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "day"], name="statements_workday_once"),
        ]


class Payout(MerchantScoped):
    """Money of one account that arrived: some bank lines and the settlements that they pay, matched with each other.

    ``amount_minor`` is the sum of the bank lines, ``settled_minor`` that of the settlements, ``difference_minor`` what is
    missing of it at the bank (negative: too much), booked to ``difference_purpose``. The rows belong to it by their
    ``payout``; ``line_ids`` and ``settlement_ids`` still tell them after it was undone. ``is_inferred``: found by sum and
    date.
    """

    account = ScopedForeignKey(PlatformAccount)
    is_inferred = models.BooleanField()
    amount_minor = models.BigIntegerField()
    settled_minor = models.BigIntegerField()
    difference_minor = models.BigIntegerField(default=0)
    difference_purpose = models.CharField(max_length=16, default="", blank=True)
    line_ids = models.JSONField()
    settlement_ids = models.JSONField()
    at = models.DateTimeField()
    booked_date = models.DateField()
    entry = ScopedForeignKey(JournalEntry, null=True)
    note = models.CharField(max_length=300, default="")
    #: None: the portal itself.
    linked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    linked_at = models.DateTimeField()
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    undone_at = models.DateTimeField(null=True)
    undo_reason = models.CharField(max_length=300, default="")
    undo_entry = ScopedForeignKey(JournalEntry, null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_payout_wall"),
            models.CheckConstraint(
                condition=models.Q(
                    settled_minor=models.F("amount_minor") + models.F("difference_minor")
                ),
                name="statements_payout_sums",
            ),
            models.CheckConstraint(
                condition=models.Q(difference_minor=0, difference_purpose="")
                | (
                    ~models.Q(difference_minor=0)
                    & models.Q(difference_purpose__in=["fees", "suspense"])
                ),
                name="statements_payout_difference",
            ),
        ]


class Settlement(MerchantScoped):
    """What a platform pays out for one cycle day, by the current bill. A changed bill makes the next ``version``.

    ``net_minor`` is payments − refunds − fees (fees only where they are deducted), or the amount of one withdrawal, whose
    own number is ``key``. ``settled_minor`` is what the payout counted it as. ``is_void``: by the terms or the bill of today
    there is no such settlement. ``held_note``: why a person does not expect it for now.
    """

    account = ScopedForeignKey(PlatformAccount)
    basis = models.CharField(max_length=12, choices=SettlementBasis)
    day = models.DateField()
    key = models.CharField(max_length=64, default="")
    version = models.IntegerField(default=1)
    statement = ScopedForeignKey(Statement, null=True)
    payment_count = models.IntegerField(default=0)
    payment_minor = models.BigIntegerField(default=0)
    refund_count = models.IntegerField(default=0)
    refund_minor = models.BigIntegerField(default=0)
    fee_minor = models.BigIntegerField(default=0)
    #: At least one row of the bill does not tell its fee, so that the account's rate was taken.
    fees_estimated = models.BooleanField(default=False)
    net_minor = models.BigIntegerField()
    due_date = models.DateField()
    computed_at = models.DateTimeField()
    is_void = models.BooleanField(default=False)
    payout = ScopedForeignKey(Payout, null=True, related_name="settlements")
    settled_minor = models.BigIntegerField(null=True)
    held_note = models.CharField(max_length=200, default="")
    held_at = models.DateTimeField(null=True)
    held_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "id"], name="statements_settlement_wall"
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "basis", "day", "key"],
                name="statements_settlement_once",
            ),
            models.CheckConstraint(
                condition=models.Q(payout__isnull=True, settled_minor__isnull=True)
                | models.Q(payout__isnull=False, settled_minor__isnull=False, is_void=False),
                name="statements_settlement_paid",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "-day", "-id"], name="statements_settle_day"),
            models.Index(
                fields=["merchant_id", "account", "day"],
                condition=models.Q(payout__isnull=True, is_void=False),
                name="statements_settle_open",
            ),
        ]


class SettlementVersion(MerchantScoped):
    """What a settlement was computed as, and from which bill. Append-only."""

    settlement = ScopedForeignKey(Settlement, related_name="versions")
    version = models.IntegerField()
    statement = ScopedForeignKey(Statement, null=True)
    payment_minor = models.BigIntegerField()
    refund_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    net_minor = models.BigIntegerField()
    due_date = models.DateField()
    computed_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "settlement", "version"], name="statements_settlever_once"
            ),
        ]
