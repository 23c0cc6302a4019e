"""What of the takings is kept back for refunds, and whether an account's balance is about to run dry."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.platforms.models import PlatformAccount


class ReserveTerms(MerchantScoped):
    """One version of what is kept back of an account's takings, from a business day on. Append-only.

    ``share_bp`` (hundredths of a percent) of each day's net takings stays in the reserve for ``days`` days, all together
    ``ceiling_minor`` fen at most (None: without one). An amount to keep is a share of 10,000 with a ceiling; a share of 0
    ends it. In force on a day is the highest version that has begun by then.
    """

    account = ScopedForeignKey(PlatformAccount, related_name="reserve_terms")
    version = models.IntegerField()
    effective_from = models.DateField()
    share_bp = models.IntegerField()
    ceiling_minor = models.BigIntegerField(null=True)
    days = models.IntegerField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_reserve_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "version"], name="statements_reserve_version"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    share_bp__gte=0, share_bp__lte=10_000, days__gte=1, days__lte=180
                )
                & (models.Q(ceiling_minor__isnull=True) | models.Q(ceiling_minor__gt=0)),
                name="statements_reserve_sane",
            ),
        ]

    @property
    def share_percent(self) -> str:
        """The share as people write it: 5, 2.5, 0.38."""
        whole, rest = divmod(self.share_bp, 100)
        return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") if rest else str(whole)


class ReserveMove(MerchantScoped):
    """The reserve of one account brought to its target after a business day: once a day, append-only.

    ``moved_minor`` = ``target_minor`` − ``before_minor``; positive was kept back, negative released. ``counted_minor``: the net
    takings that the share was taken of. ``booked_date`` is None where nothing moved; the entry is then missing too.
    """

    account = ScopedForeignKey(PlatformAccount)
    day = models.DateField()
    terms = ScopedForeignKey(ReserveTerms)
    counted_minor = models.BigIntegerField()
    target_minor = models.BigIntegerField()
    before_minor = models.BigIntegerField()
    moved_minor = models.BigIntegerField()
    booked_date = models.DateField(null=True)
    at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_move_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "day"], name="statements_move_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    moved_minor=models.F("target_minor") - models.F("before_minor"),
                    target_minor__gte=0,
                ),
                name="statements_move_sums",
            ),
            models.CheckConstraint(
                condition=models.Q(moved_minor=0, booked_date__isnull=True)
                | (~models.Q(moved_minor=0) & models.Q(booked_date__isnull=False)),
                name="statements_move_booked",
            ),
        ]


class BalanceWatch(MerchantScoped):
    """Whether one account's balance suffices for refunds: what the merchant wants to be warned of, and how it stood last.

    ``least_minor``: warned below this in any case (None: the usual refunds decide). ``low_since`` is set while it is low.
    """

    account = ScopedForeignKey(PlatformAccount)
    is_on = models.BooleanField(default=True)
    least_minor = models.BigIntegerField(null=True)
    checked_at = models.DateTimeField(null=True)
    expected_minor = models.BigIntegerField(default=0)
    need_minor = models.BigIntegerField(default=0)
    queued_count = models.IntegerField(default=0)
    low_since = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_watch_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account"], name="statements_watch_once"
            ),
            models.CheckConstraint(
                condition=models.Q(least_minor__isnull=True) | models.Q(least_minor__gte=0),
                name="statements_watch_sane",
            ),
        ]


class BalanceNotice(MerchantScoped):
    """That the members were told of a low balance, at most once a day."""

    watch = ScopedForeignKey(BalanceWatch)
    day = models.DateField()
    expected_minor = models.BigIntegerField()
    need_minor = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_notice_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "watch", "day"], name="statements_notice_once"
            ),
        ]


class BalanceMail(MerchantScoped):
    """The one mail of a notice to one member; ``sent_at`` is when the mail server had taken it, or it was needless."""

    notice = ScopedForeignKey(BalanceNotice, on_delete=models.CASCADE, related_name="mails")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "notice", "user"], name="statements_balancemail_once"
            ),
        ]
