"""Doors, dues and the audit trail: what every other room stands on."""

from __future__ import annotations

import hashlib

from django.db import models
from django.db.models.functions import Now

from apps.core.tenancy import MerchantScoped


def door_hash(token: str) -> bytes:
    """What is kept of a public token: its SHA-256. Tokens are random, so no salt is needed."""
    return hashlib.sha256(token.encode()).digest()


class Door(models.Model):
    """A public token (of a code, an order, an account, an invitation) and whose scope it opens.

    Outside the wall: it holds the merchant's id and the token's hash, nothing else.
    """

    kind = models.CharField(max_length=24)
    token_hash = models.BinaryField(max_length=32)
    merchant_id = models.BigIntegerField()
    subject_id = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "token_hash"], name="core_door_token"),
            models.UniqueConstraint(
                fields=["kind", "merchant_id", "subject_id"], name="core_door_subject"
            ),
        ]


class Due(models.Model):
    """Work that must be done at a time: outbox and poll schedule in one. Ids only, so it stands outside the wall.

    ``revision`` grows with each enqueue, so that work asked for while a worker is busy with the row is not lost.
    ``last_error``: the kind of the last failure, or a word for why the row waits.
    """

    task = models.CharField(max_length=64)
    merchant_id = models.BigIntegerField()
    subject_id = models.BigIntegerField()
    due_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    revision = models.IntegerField(default=1)
    attempts = models.IntegerField(default=0)
    last_error = models.CharField(max_length=200, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "merchant_id", "subject_id"], name="core_due_subject"
            ),
        ]
        indexes = [
            # What a claimer reads from its beginning, and what the page of one merchant pages through.
            models.Index(fields=["task", "due_at", "id"], name="core_due_of_task"),
            models.Index(fields=["merchant_id", "id"], name="core_due_of_merchant"),
        ]


class AuditEvent(MerchantScoped):
    """What happened, by whom, when, from where. Append-only, split by month on ``at``.

    ``subject_kind`` and ``subject_id`` name the thing; everything about an order, its payments and refunds carries
    the order, so that one look-up gives the whole timeline.
    """

    at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=160)
    action = models.CharField(max_length=64)
    subject_kind = models.CharField(max_length=32)
    subject_id = models.BigIntegerField(null=True)
    store_id = models.BigIntegerField(null=True)
    data = models.JSONField(default=dict)
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, default="")

    class Meta:
        base_manager_name = "objects"


class AuditSeal(MerchantScoped):
    """One link of a merchant's chain: the digest of all audit rows recorded in ``[from_at, to_at)``."""

    sequence = models.IntegerField()
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    row_count = models.IntegerField()
    digest = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "sequence"], name="core_auditseal_sequence"
            ),
        ]
