"""The morning after a day: when the members are told, the mails of it, and who wants them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.core.tenancy import MerchantScoped, ScopedForeignKey


class Morning(MerchantScoped):
    """The morning after one day: when its bills are matched, or late, the members are told, once.

    ``day`` is the bills' day. ``deadline_at``: from then on it is told although a bill is missing. ``was_ready``: whether
    every bill was matched when it was told. What came of the day later stands on its page, which goes on by itself.
    """

    day = models.DateField()
    deadline_at = models.DateTimeField()
    told_at = models.DateTimeField(null=True)
    was_ready = models.BooleanField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "id"], name="reconciliation_morning_wall"
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "day"], name="reconciliation_morning_day"
            ),
            models.CheckConstraint(
                condition=models.Q(told_at__isnull=True, was_ready__isnull=True)
                | models.Q(told_at__isnull=False, was_ready__isnull=False),
                name="reconciliation_morning_told",
            ),
        ]


class MorningMail(MerchantScoped):
    """The one mail of a morning to one member; ``sent_at`` is when the mail server had taken it."""

    morning = ScopedForeignKey(Morning, on_delete=models.CASCADE, related_name="mails")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    sent_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "morning", "user"], name="reconciliation_morning_mail_once"
            ),
        ]


class MorningReader(MerchantScoped):
    """What one member said about the morning's mail. Without a row the role decides, and it speaks each language."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    is_wanted = models.BooleanField()
    #: One of the portal's languages; empty for each of them.
    language = models.CharField(max_length=10, blank=True, default="")
    updated_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "user"], name="reconciliation_morning_reader_once"
            ),
        ]
