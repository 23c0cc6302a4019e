"""The merchant's bank accounts and the movements on them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.statements.models.settlements import Payout


class BankAccount(MerchantScoped):
    """A bank account of the merchant's, whose statements are uploaded. ``mapping`` is its column map, as in ``ColumnMap``."""

    name = models.CharField(max_length=60)
    mapping = models.JSONField(default=dict)
    mapped_at = models.DateTimeField(null=True)
    mapped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_bankacc_wall"),
            models.UniqueConstraint(fields=["merchant_id", "name"], name="statements_bankacc_name"),
        ]


class BankFile(MerchantScoped):
    """One uploaded bank statement: its hash, its days, how many rows it has and how many of them were new. Append-only."""

    bank_account = ScopedForeignKey(BankAccount)
    filename = models.CharField(max_length=160)
    sha256 = models.CharField(max_length=64)
    byte_count = models.BigIntegerField()
    first_day = models.DateField()
    last_day = models.DateField()
    row_count = models.IntegerField()
    new_count = models.IntegerField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    uploaded_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_bankfile_wall"),
        ]


class BankLine(MerchantScoped):
    """One movement at the bank: positive fen came in, negative went out.

    ``digest`` tells it from every other of the account, so that overlapping statements store it once.
    """

    bank_account = ScopedForeignKey(BankAccount)
    file = ScopedForeignKey(BankFile)
    row = models.IntegerField()
    day = models.DateField()
    amount_minor = models.BigIntegerField()
    balance_minor = models.BigIntegerField(null=True)
    counterparty = models.CharField(max_length=160, default="")
    memo = models.CharField(max_length=240, default="")
    reference = models.CharField(max_length=80, default="")
    digest = models.CharField(max_length=64)
    payout = ScopedForeignKey(Payout, null=True, related_name="lines")

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_bankline_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "bank_account", "digest"], name="statements_bankline_once"
            ),
            models.CheckConstraint(
                condition=~models.Q(amount_minor=0), name="statements_bankline_moves"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "-day", "-id"], name="statements_bankline_day"),
            models.Index(
                fields=["merchant_id", "day"],
                condition=models.Q(payout__isnull=True, amount_minor__gt=0),
                name="statements_bankline_open",
            ),
        ]
