"""Merchants, their stores and who may do what in them."""

from __future__ import annotations

from datetime import time

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey


class Role(models.TextChoices):
    """What a member is in a merchant; ``roles.PERMISSIONS`` says what each may do."""

    OWNER = "owner", _("Owner")
    MANAGER = "manager", _("Manager")
    FINANCE = "finance", _("Finance")
    CASHIER = "cashier", _("Cashier")
    AUDITOR = "auditor", _("Auditor (read-only)")


class Merchant(models.Model):
    """A business that takes payments. Outside the wall: it is what the wall is built from."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=60)
    name_en = models.CharField(max_length=80, blank=True, default="")
    #: When the business day starts, China time; a bar that closes at 02:00 sets 02:00.
    day_starts_at = models.TimeField(default=time(0))
    created_at = models.DateTimeField(db_default=Now())
    is_active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user's role in a merchant. Outside the wall: a request gets its scope from here."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=12, choices=Role)
    #: None: all stores, now and later. A list: these stores only (ids of ``Store``).
    store_ids = models.JSONField(null=True, blank=True, default=None)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "user"], name="merchants_membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.role}"


class Store(MerchantScoped):
    """A place where the merchant sells."""

    name = models.CharField(max_length=60)
    name_en = models.CharField(max_length=80, blank=True, default="")
    address = models.CharField(max_length=160, blank=True, default="")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="merchants_store_wall"),
            models.UniqueConstraint(fields=["merchant_id", "name"], name="merchants_store_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Terminal(MerchantScoped):
    """A device that stands in a store and takes payments: a POS, a scanner box, a till's tablet.

    ``last_seen_at`` is when a payment or check-in last came from it. Whether it is activated at a platform that asks for that
    stands in ``platforms.AccountTerminal``.
    """

    store = ScopedForeignKey(Store)
    name = models.CharField(max_length=60)
    brand = models.CharField(max_length=40, blank=True, default="")
    model_name = models.CharField(max_length=40, blank=True, default="")
    serial_no = models.CharField(max_length=64, blank=True, default="")
    note = models.CharField(max_length=160, blank=True, default="")
    is_active = models.BooleanField(default=True)
    last_seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="merchants_terminal_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "store", "name"], name="merchants_terminal_name"
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "brand", "serial_no"],
                condition=~models.Q(serial_no=""),
                name="merchants_terminal_serial",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Invitation(MerchantScoped):
    """An e-mail asking somebody to join with a role. Its token opens a ``Door`` of kind ``invitation``."""

    email = models.EmailField()
    role = models.CharField(max_length=12, choices=Role)
    store_ids = models.JSONField(null=True, blank=True, default=None)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="merchants_invitation_wall"),
        ]
