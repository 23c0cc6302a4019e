"""What a merchant decides about the payer's pages."""

from __future__ import annotations

from django.db import models

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.payments.models import Order

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
