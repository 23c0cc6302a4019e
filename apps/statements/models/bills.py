"""Bills by day, their versions and rows, and what changed between two versions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.platforms.models import PlatformAccount
from apps.statements.models.files import BillFile


class FetchState(models.TextChoices):
    """Where the fetching of one day's bill stands."""

    WAITING = "waiting", _("Waiting for the platform")
    ABSENT = "absent", _("No such bill yet")
    IMPORTED = "imported", _("Imported")
    EMPTY = "empty", _("Nothing on that day")
    FAILED = "failed", _("Failed, will try again")


#: States in which a bill is still to come.
AWAITED = (FetchState.WAITING, FetchState.ABSENT, FetchState.FAILED)


class StatementDay(MerchantScoped):
    """One account's bill of one kind and day: expected, fetched or not, and its current version."""

    account = ScopedForeignKey(PlatformAccount)
    kind = models.CharField(max_length=8)
    day = models.DateField()
    state = models.CharField(max_length=12, choices=FetchState, default=FetchState.WAITING)
    attempts = models.IntegerField(default=0)
    last_tried_at = models.DateTimeField(null=True)
    detail = models.CharField(max_length=300, default="")
    #: How far a sweep is that goes on by itself: questions of the day, and those answered. Zero where none is under way.
    questions = models.IntegerField(default=0)
    answered = models.IntegerField(default=0)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_day_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "kind", "day"], name="statements_day_once"
            ),
        ]


class SweptAnswer(MerchantScoped):
    """What a platform without bills answered about one payment or refund of a day, until the day's bill is imported.

    ``kind`` and ``subject_id`` say which one. ``line`` is the row that the answer puts on the bill, None where it puts
    none; ``is_final``: asking again would bring nothing else.
    """

    day = ScopedForeignKey(StatementDay, on_delete=models.CASCADE)
    kind = models.CharField(max_length=8)
    subject_id = models.BigIntegerField()
    line = models.JSONField(null=True)
    is_final = models.BooleanField()
    answered_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "day", "kind", "subject_id"], name="statements_swept_once"
            ),
        ]


class Statement(MerchantScoped):
    """One version of a bill. A changed file becomes a new version; only the latest is current.

    ``is_asked``: the platform has no bills, so the portal wrote down what it answered about each payment and refund of
    ours. Such a file knows nothing of money that was taken elsewhere, nor the fees.
    """

    account = ScopedForeignKey(PlatformAccount)
    kind = models.CharField(max_length=8)
    day = models.DateField()
    version = models.IntegerField()
    is_current = models.BooleanField(default=True)
    is_asked = models.BooleanField(default=False)
    filename = models.CharField(max_length=160)
    #: None where the file was deleted after its time.
    file = ScopedForeignKey(BillFile, on_delete=models.SET_NULL, null=True)
    sha256 = models.CharField(max_length=64)
    byte_count = models.BigIntegerField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    imported_at = models.DateTimeField()
    payment_count = models.IntegerField()
    payment_minor = models.BigIntegerField()
    refund_count = models.IntegerField()
    refund_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    #: False where at least one row does not tell its fee.
    fees_known = models.BooleanField(default=True)
    unknown_columns = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_statement_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "kind", "day", "version"],
                name="statements_statement_version",
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "kind", "day"],
                condition=models.Q(is_current=True),
                name="statements_statement_current",
            ),
        ]


class StatementLine(MerchantScoped):
    """One row of a bill. Amounts are positive fen; ``kind`` says the direction; a returned fee is negative.

    ``fee_minor`` is None where the bill does not tell it. A line of a fund bill is one movement of the balance: ``status`` is
    ``"in"`` or ``"out"``, ``flow_no`` the movement's own number, ``balance_minor`` what the platform says is left after it.
    """

    statement = ScopedForeignKey(Statement, on_delete=models.CASCADE, related_name="lines")
    row = models.IntegerField()
    kind = models.CharField(max_length=8)
    order_no = models.CharField(max_length=64, default="")
    refund_no = models.CharField(max_length=64, default="")
    platform_trade_no = models.CharField(max_length=64, default="")
    platform_refund_no = models.CharField(max_length=64, default="")
    amount_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, default="CNY")
    occurred_at = models.DateTimeField()
    status = models.CharField(max_length=24, default="")
    product = models.CharField(max_length=24, default="")
    flow_no = models.CharField(max_length=64, default="", db_default="")
    balance_minor = models.BigIntegerField(null=True)
    raw = models.JSONField(default=dict)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_line_wall"),
            models.UniqueConstraint(fields=["statement", "row"], name="statements_line_row"),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gte=0), name="statements_line_amount"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "order_no"], name="statements_line_order_no"),
            models.Index(fields=["merchant_id", "platform_trade_no"], name="statements_line_trade"),
        ]


class ChangeKind(models.TextChoices):
    """What became of a row from one version of a bill to the next."""

    ADDED = "added", _("New row")
    REMOVED = "removed", _("Row gone")
    CHANGED = "changed", _("Changed row")


class StatementChange(MerchantScoped):
    """A row in which a version of a bill differs from the version before it.

    ``line`` is the row of this version, ``before`` the one of the version before; one of them is None for what was added or
    removed. Rows are the same where the platform's numbers are; what counts as changed is what the portal reads of a row.
    """

    statement = ScopedForeignKey(Statement, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=8, choices=ChangeKind)
    line = ScopedForeignKey(StatementLine, on_delete=models.CASCADE, null=True)
    before = ScopedForeignKey(StatementLine, on_delete=models.CASCADE, null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="added", line__isnull=False, before__isnull=True)
                | models.Q(kind="removed", line__isnull=True, before__isnull=False)
                | models.Q(kind="changed", line__isnull=False, before__isnull=False),
                name="statements_change_sides",
            ),
        ]


class ColumnMap(MerchantScoped):
    """Which columns of a console export hold what, for an account whose platform has no bills to download.

    ``mapping`` gives for a field of ``platforms.tables`` the heading of its column.
    """

    account = ScopedForeignKey(PlatformAccount, on_delete=models.CASCADE)
    mapping = models.JSONField()
    updated_at = models.DateTimeField()
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "account"], name="statements_columns_once"
            ),
        ]
