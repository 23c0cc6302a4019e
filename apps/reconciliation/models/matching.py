"""Matching a day's bill with the books, what does not match, and what a merchant allows matching to do."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.merchants.models import Store
from apps.payments.models import Payment
from apps.platforms.models import PlatformAccount
from apps.refunds.models import Refund
from apps.statements.models import Statement, StatementLine


class DifferenceType(models.TextChoices):
    """Why a row does not match."""

    MISSING_HERE = "missing_here", _("Not in our books")
    MISSING_THERE = "missing_there", _("Not in the bill")
    LATE = "late", _("Late")
    AMOUNT = "amount", _("Amount differs")
    STATUS = "status", _("State differs")
    FEE = "fee", _("Fee differs")
    DUPLICATE = "duplicate", _("Twice in the bill")
    UNKNOWN_REFUND = "unknown_refund", _("Refund not in our books")
    CURRENCY = "currency", _("Currency differs")
    WRONG_ACCOUNT = "wrong_account", _("At another account")
    EXPECTED = "expected", _("Expected in the next bill")
    CARRY_IN = "carry_in", _("From another day")
    CARRY_OUT = "carry_out", _("In another day's bill")
    OVERBOOKED = "overbooked", _("Corrected, and gone since")


#: Ours that this bill does not have and another day's has, or still may have.
CARRIED_OUT = (DifferenceType.CARRY_OUT, DifferenceType.EXPECTED, DifferenceType.LATE)


class DifferenceState(models.TextChoices):
    """Whether a difference still needs somebody."""

    OPEN = "open", _("Open")
    WAITING = "waiting", _("Waiting for confirmation")
    EXPLAINED = "explained", _("Explained")
    RESOLVED = "resolved", _("Resolved")


class Rounding(models.TextChoices):
    """How a platform rounds a fee to whole fen."""

    HALF_UP = "half_up", _("Half a fen and more upwards")
    HALF_EVEN = "half_even", _("Half a fen to the even fen")
    DOWN = "down", _("Always downwards")
    UP = "up", _("Always upwards")


class AccountRule(MerchantScoped):
    """What one account allows matching to do; without a row its platform's rules hold (``carrying``).

    ``fallback_minutes``: how far apart two rows without a common number may be in time to be taken for the same by their
    amount; 0 takes none. ``fee_tolerance_minor``: a fee may differ by so many fen and still count as explained.
    """

    account = ScopedForeignKey(PlatformAccount, on_delete=models.CASCADE)
    fallback_minutes = models.IntegerField(default=0)
    fee_rounding = models.CharField(max_length=10, choices=Rounding, blank=True, default="")
    fee_tolerance_minor = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "account"], name="reconciliation_rule_once"
            ),
            models.CheckConstraint(
                condition=models.Q(fallback_minutes__gte=0, fallback_minutes__lte=1440)
                & models.Q(fee_tolerance_minor__gte=0),
                name="reconciliation_rule_sane",
            ),
        ]


class RuleScope(models.TextChoices):
    """What a rule for outside money is about. The later one here is the more specific and wins."""

    ACCOUNT = "account", _("Everything of the account")
    PRODUCT = "product", _("Product")
    STORE = "store", _("Store number")
    TERMINAL = "terminal", _("Terminal number")


class OutsideRule(MerchantScoped):
    """What becomes of bill rows that the portal does not know: booked as outside money, or left as differences.

    ``value`` is the terminal, store number or product as the bill names it, "" for a whole account. Of two rules about the
    same, the one with the later ``valid_from`` (a day of bills) holds from then on. Rules are never edited: they are retired.
    """

    account = ScopedForeignKey(PlatformAccount, on_delete=models.CASCADE)
    scope = models.CharField(max_length=8, choices=RuleScope)
    value = models.CharField(max_length=64, default="")
    books = models.BooleanField()
    #: Whose sales they are; None where no store is said.
    store = ScopedForeignKey(Store, null=True)
    valid_from = models.DateField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()
    retired_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    retired_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "account", "scope", "value", "valid_from"],
                condition=models.Q(retired_at__isnull=True),
                name="reconciliation_outside_once",
            ),
            models.CheckConstraint(
                condition=(models.Q(scope="account") & models.Q(value=""))
                | (~models.Q(scope="account") & ~models.Q(value="")),
                name="reconciliation_outside_value",
            ),
            models.CheckConstraint(
                condition=models.Q(books=True) | models.Q(store__isnull=True),
                name="reconciliation_outside_store",
            ),
        ]


class HistoryImport(MerchantScoped):
    """A period of days before the merchant joined (both ends included) whose bills somebody asked for."""

    account = ScopedForeignKey(PlatformAccount, on_delete=models.CASCADE)
    since = models.DateField()
    until = models.DateField()
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    asked_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "account", "since", "until"],
                name="reconciliation_history_once",
            ),
            models.CheckConstraint(
                condition=models.Q(until__gte=models.F("since")),
                name="reconciliation_history_order",
            ),
        ]


class ReconciliationRun(MerchantScoped):
    """One matching of one account's bill of one day. A later run of the same day replaces it as current.

    The terms of the explanation equation stand here as they were when it ran; the sums of the differences are read from
    their rows. Those of runs made before there was an equation are None.
    """

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
    #: Of them those that began at the platform, see ``OutsideRule``.
    outside_count = models.IntegerField(default=0)
    matched_payment_minor = models.BigIntegerField(default=0)
    matched_refund_minor = models.BigIntegerField(default=0)
    difference_count = models.IntegerField(default=0)
    #: Payments − refunds, by the bill and by our books.
    their_net_minor = models.BigIntegerField(default=0)
    our_net_minor = models.BigIntegerField(default=0)
    #: Fees by the bill, as far as it tells them.
    their_fee_minor = models.BigIntegerField(null=True)
    #: Our payments, refunds and fees (less those given back) of the platform's day.
    sales_minor = models.BigIntegerField(null=True)
    refunds_minor = models.BigIntegerField(null=True)
    fees_minor = models.BigIntegerField(null=True)
    #: The part of our fees whose bill rows tell none.
    untold_fee_minor = models.BigIntegerField(null=True)

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
    """A bill row and the payment or refund that it is, without any difference.

    Several rows may add up to one of ours, and several of ours to one row: then each pair carries its share.
    ``amount_minor`` is the share in positive fen, ``fee_minor`` our fee of it (negative: given back). ``is_inferred``: found
    by amount and time, or by a sum, without a common number.
    """

    run = ScopedForeignKey(ReconciliationRun, on_delete=models.CASCADE, related_name="matches")
    line = ScopedForeignKey(StatementLine, on_delete=models.CASCADE)
    payment = ScopedForeignKey(Payment, null=True)
    refund = ScopedForeignKey(Refund, null=True)
    rule = models.CharField(max_length=16)
    is_inferred = models.BooleanField(default=False)
    amount_minor = models.BigIntegerField(default=0)
    fee_minor = models.BigIntegerField(default=0)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["run", "line", "payment", "refund"],
                nulls_distinct=False,
                name="reconciliation_match_pair",
            ),
            models.CheckConstraint(
                condition=models.Q(payment__isnull=False, refund__isnull=True)
                | models.Q(payment__isnull=True, refund__isnull=False),
                name="reconciliation_match_one",
            ),
        ]


class Difference(MerchantScoped):
    """One thing that does not match. Amounts are signed fen: refunds negative, None where that side has no row.

    Each bill row and each of ours of the day is matched or in exactly one difference; of a row that matches in parts, the
    difference tells. ``our_minor`` is None where ours does not count on this day. Fees: charged positive, given back
    negative; ``their_fee_minor`` is None where the bill does not tell it. Besides these, ``OVERBOOKED`` has no row on either
    side: a booking for what the run no longer finds still stands.
    """

    run = ScopedForeignKey(ReconciliationRun, on_delete=models.CASCADE, related_name="differences")
    type = models.CharField(max_length=16, choices=DifferenceType)
    state = models.CharField(max_length=12, choices=DifferenceState, default=DifferenceState.OPEN)
    line = ScopedForeignKey(StatementLine, on_delete=models.CASCADE, null=True)
    payment = ScopedForeignKey(Payment, null=True)
    refund = ScopedForeignKey(Refund, null=True)
    their_minor = models.BigIntegerField(null=True)
    our_minor = models.BigIntegerField(null=True)
    their_fee_minor = models.BigIntegerField(null=True)
    our_fee_minor = models.BigIntegerField(null=True)
    #: What this row adds to (bill net − our net); the rows of a run sum to the gap.
    gap_minor = models.BigIntegerField()
    #: The same after fees.
    net_gap_minor = models.BigIntegerField(default=0)
    detail = models.JSONField(default=dict)
    #: What it is about, whatever the run: the row's numbers and ours.
    identity = models.UUIDField(null=True)
    #: When a run first found it; kept by the runs that follow, also where its type changes.
    first_seen_at = models.DateTimeField(db_default=Now())
    #: When waiting for it ends by itself and it becomes something else.
    due_at = models.DateTimeField(null=True)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    #: What settled it, or waits for confirmation; ``state`` follows from it.
    resolution = ScopedForeignKey("Resolution", null=True)
    #: The part of ``net_gap_minor`` that bookings have taken over.
    adjusted_minor = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="reconciliation_diff_wall"),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "run", "type"], name="reconciliation_diff_run"),
            models.Index(fields=["merchant_id", "state", "-id"], name="reconciliation_diff_open"),
        ]

    @property
    def carried(self) -> Payment | Refund | None:
        """Ours of another day whose amount is not the bill row's: there it counts, and goes out; here it comes in."""
        if self.type != DifferenceType.AMOUNT or self.our_minor is not None:
            return None
        found: Payment | Refund | None = self.refund or self.payment
        return found

    @property
    def carried_gross_minor(self) -> int:
        """The amount that ``carried`` brings in, in signed fen."""
        row = self.carried
        if row is None:
            return 0
        return -row.amount_minor if self.refund_id else row.amount_minor

    @property
    def carried_minor(self) -> int:
        """The same after its fee."""
        row = self.carried
        if row is None:
            return 0
        return self.carried_gross_minor - (-row.fee_minor if self.refund_id else row.fee_minor)

    @property
    def rest_minor(self) -> int:
        """What is still between both sides, after fees, in signed fen; what was carried here is between two days."""
        return self.net_gap_minor - self.adjusted_minor - self.carried_minor
