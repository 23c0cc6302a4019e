"""Scenarios, the codes that hang in them, and every opening of one."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.merchants.models import Store, Terminal


class ScenarioKind(models.TextChoices):
    """Where a code hangs."""

    COUNTER = "counter", _("Store counter")
    TABLE = "table", _("Table")
    EVENT = "event", _("Event stall")
    CASHIER = "cashier", _("Cashier")


class CodeState(models.TextChoices):
    """Whether a code takes payments. Retired is final; the printed code itself never changes."""

    ACTIVE = "active", _("Active")
    PAUSED = "paused", _("Paused")
    RETIRED = "retired", _("Retired")


class Scenario(MerchantScoped):
    """A place or occasion to pay: its store, its kind, its name as printed."""

    store = ScopedForeignKey(Store)
    kind = models.CharField(max_length=12, choices=ScenarioKind)
    name = models.CharField(max_length=60)
    name_en = models.CharField(max_length=80, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_scenario_wall"),
        ]


class QRCode(MerchantScoped):
    """A printed code. ``token`` is in its link and never changes; its ``Door`` is of kind ``qrcode``.

    ``amount_minor`` None: the payer types the amount. The period is half-open, ends may be open.
    """

    scenario = ScopedForeignKey(Scenario, related_name="codes")
    store = ScopedForeignKey(Store)
    #: The device that this code belongs to, if any: its payments carry it.
    terminal = ScopedForeignKey(Terminal, null=True, related_name="codes")
    token = models.CharField(max_length=24)
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, default="CNY")
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=CodeState, default=CodeState.ACTIVE)
    created_at = models.DateTimeField(db_default=Now())
    state_changed_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_code_wall"),
            models.UniqueConstraint(fields=["merchant_id", "token"], name="qrcodes_code_token"),
            models.CheckConstraint(
                condition=models.Q(amount_minor__isnull=True) | models.Q(amount_minor__gt=0),
                name="qrcodes_code_amount",
            ),
            models.CheckConstraint(
                condition=models.Q(valid_from__isnull=True)
                | models.Q(valid_until__isnull=True)
                | models.Q(valid_until__gt=models.F("valid_from")),
                name="qrcodes_code_period",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "store", "-id"], name="qrcodes_code_store"),
        ]


class Scan(MerchantScoped):
    """One opening of a code. Append-only, split by month on ``at``; holds no address and no payer."""

    code_id = models.BigIntegerField()
    store_id = models.BigIntegerField()
    at = models.DateTimeField()
    wallet = models.CharField(max_length=12, default="")

    class Meta:
        base_manager_name = "objects"
