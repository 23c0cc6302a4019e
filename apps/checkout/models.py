"""What a merchant decides about the payer's pages; receipts; cashiers' shifts and the displays on the wall."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.merchants.models import Store, Terminal
from apps.payments.models import Order
from apps.platforms.models import PlatformChoice
from apps.qrcodes.models import QRCode

#: Above this a payer confirms shop and amount, until the merchant says otherwise: ¥1,000.00.
CONFIRM_OVER = 100_000


class CheckoutSettings(MerchantScoped):
    """One row a merchant, made when something is decided first.

    ``confirm_over_minor``: above it (fen) the payer confirms shop and amount; None: never.
    """

    confirm_over_minor = models.BigIntegerField(null=True, default=CONFIRM_OVER)
    changed_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="checkout_settings_wall"),
            models.UniqueConstraint(fields=["merchant_id"], name="checkout_settings_one"),
            models.CheckConstraint(
                condition=models.Q(confirm_over_minor__isnull=True)
                | models.Q(confirm_over_minor__gte=0),
                name="checkout_settings_confirm",
            ),
        ]


class Receipt(MerchantScoped):
    """The lasting link of a paid order; its ``Door`` is of kind ``receipt``. It shows no more than the order's own page did.

    Another token than the order's: whoever is shown a receipt cannot open the page where the order was paid.
    """

    order = ScopedForeignKey(Order)
    token = models.CharField(max_length=24)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="checkout_receipt_wall"),
            models.UniqueConstraint(fields=["merchant_id", "order"], name="checkout_receipt_one"),
        ]


class Shift(MerchantScoped):
    """One member's turn at the desk of one store; a member has one open shift at most.

    It covers ``[opened_at, closed_at)``. What it added up to is written once, at the close, as its ``ShiftTotal`` rows.
    """

    store = ScopedForeignKey(Store)
    member = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    #: What the cashier wrote at the beginning, such as the cash in the drawer, and at the end.
    opening_note = models.CharField(max_length=120, default="")
    closing_note = models.CharField(max_length=120, default="")

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="checkout_shift_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "member"],
                condition=models.Q(closed_at__isnull=True),
                name="checkout_shift_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(closed_at__isnull=True)
                | models.Q(closed_at__gte=models.F("opened_at")),
                name="checkout_shift_period",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "-opened_at", "-id"], name="checkout_shift_list"),
        ]


class ShiftTotal(MerchantScoped):
    """What one wallet brought in during a closed shift; append-only. Amounts in fen.

    ``refund_…``: what went back during the shift of what this member had taken in this store, whenever that was.
    """

    shift = ScopedForeignKey(Shift, related_name="totals")
    wallet = models.CharField(max_length=12, choices=PlatformChoice)
    paid_count = models.IntegerField()
    paid_minor = models.BigIntegerField()
    refund_count = models.IntegerField()
    refund_minor = models.BigIntegerField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="checkout_shifttotal_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "shift", "wallet"], name="checkout_shifttotal_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    paid_count__gte=0, paid_minor__gte=0, refund_count__gte=0, refund_minor__gte=0
                ),
                name="checkout_shifttotal_counts",
            ),
        ]


class WallDisplay(MerchantScoped):
    """A page for a screen in the store, opened without log-in by its ``Door`` of kind ``wall``, which goes when it is taken down.

    ``code``: the code that it shows; None: what a desk of the store asks for at the moment, with ``terminal`` only one that has
    chosen this terminal.
    """

    store = ScopedForeignKey(Store)
    code = ScopedForeignKey(QRCode, null=True)
    terminal = ScopedForeignKey(Terminal, null=True)
    name = models.CharField(max_length=40, default="")
    token = models.CharField(max_length=24)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    made_at = models.DateTimeField()
    taken_down_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="checkout_wall_wall"),
            models.CheckConstraint(
                condition=models.Q(code__isnull=True) | models.Q(terminal__isnull=True),
                name="checkout_wall_shows_one",
            ),
        ]
