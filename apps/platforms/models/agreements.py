"""What was signed with a platform for an account: its versions with their fees, its papers, who looked at what before signing."""

from __future__ import annotations

from datetime import date

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.money import MAX_AMOUNT_MINOR
from apps.core.papers import PaperKind
from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.platforms.models.accounts import PlatformAccount, PlatformChoice

#: All of it, in millionths.
WHOLE_PPM = 1_000_000


class FeeRounding(models.TextChoices):
    """How a fee becomes whole fen."""

    HALF_UP = "half_up", _("Half a fen and more upwards")
    DOWN = "down", _("Always downwards")
    UP = "up", _("Always upwards")
    HALF_EVEN = "half_even", _("Half a fen to the even fen")


class Agreement(MerchantScoped):
    """One version of what was signed for an account. Append-only: a change is the next version, in force from its own day.

    In force on a day is the version with the latest ``effective_from`` up to it, the higher version of two of the same day,
    if the day lies within its validity. ``valid_until`` is the last day, None without an end; one that ``renews`` goes on
    after it. Amounts are in fen, None where nothing is agreed. ``fee_back_ppm``: the part of the fee, in millionths, that
    comes back with a refund. ``refund_window_days``: a refund is taken up to so many days after the payment's day.
    ``cycle_days``: the money of a day is paid out so many days later, counted in working days or all days.
    """

    account = ScopedForeignKey(PlatformAccount, related_name="agreements")
    version = models.IntegerField()
    effective_from = models.DateField()
    service = models.CharField(max_length=80)
    number = models.CharField(max_length=64, default="", blank=True)
    signed_on = models.DateField(null=True)
    valid_from = models.DateField()
    valid_until = models.DateField(null=True)
    renews = models.BooleanField(default=False)
    cycle_days = models.IntegerField(default=1)
    working_days = models.BooleanField(default=True)
    refund_window_days = models.IntegerField(null=True)
    fee_back_ppm = models.IntegerField(default=WHOLE_PPM)
    payment_limit_minor = models.BigIntegerField(null=True)
    day_limit_minor = models.BigIntegerField(null=True)
    deposit_minor = models.BigIntegerField(default=0)
    compensation = models.TextField(max_length=2000, default="", blank=True)
    security = models.TextField(max_length=2000, default="", blank=True)
    #: What changed in this version, and why.
    note = models.CharField(max_length=300, default="", blank=True)
    created_at = models.DateTimeField()
    #: None: the portal itself.
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="platforms_agreement_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "version"], name="platforms_agreement_once"
            ),
            models.CheckConstraint(
                condition=models.Q(valid_until__isnull=True)
                | models.Q(valid_until__gte=models.F("valid_from")),
                name="platforms_agreement_validity",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    version__gte=1,
                    cycle_days__gte=0,
                    cycle_days__lte=60,
                    fee_back_ppm__gte=0,
                    fee_back_ppm__lte=WHOLE_PPM,
                    deposit_minor__gte=0,
                )
                & (
                    models.Q(refund_window_days__isnull=True)
                    | models.Q(refund_window_days__gte=0, refund_window_days__lte=3660)
                )
                & (models.Q(payment_limit_minor__isnull=True) | models.Q(payment_limit_minor__gt=0))
                & (models.Q(day_limit_minor__isnull=True) | models.Q(day_limit_minor__gt=0)),
                name="platforms_agreement_sane",
            ),
        ]

    def holds_on(self, day: date) -> bool:
        """Whether the day lies within this version's validity; a later version may be in force all the same."""
        if day < max(self.effective_from, self.valid_from):
            return False
        return self.valid_until is None or self.renews or day <= self.valid_until


class AgreementWithdrawal(MerchantScoped):
    """That a version was taken back before its day came. Append-only; such a version counts nowhere."""

    agreement = ScopedForeignKey(Agreement, related_name="withdrawals")
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "agreement"], name="platforms_withdrawal_once"
            ),
        ]


class FeeTier(MerchantScoped):
    """What one version charges for payments of a wallet and product ("": any) from an amount on. Append-only.

    The whole payment pays the rate of its tier: ``rate_ppm`` millionths, made whole fen by ``rounding``, then at most
    ``cap_minor`` and at least ``least_minor``, and never more than the payment.
    """

    agreement = ScopedForeignKey(Agreement, related_name="tiers")
    wallet = models.CharField(max_length=12, choices=PlatformChoice, default="", blank=True)
    product = models.CharField(max_length=12, default="", blank=True)
    from_minor = models.BigIntegerField(default=0)
    rate_ppm = models.IntegerField()
    cap_minor = models.BigIntegerField(null=True)
    least_minor = models.BigIntegerField(default=0)
    rounding = models.CharField(max_length=10, choices=FeeRounding, default=FeeRounding.HALF_UP)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "agreement", "wallet", "product", "from_minor"],
                name="platforms_feetier_once",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    rate_ppm__gte=0,
                    rate_ppm__lte=WHOLE_PPM,
                    from_minor__gte=0,
                    from_minor__lte=MAX_AMOUNT_MINOR,
                    least_minor__gte=0,
                )
                & (
                    models.Q(cap_minor__isnull=True)
                    | models.Q(cap_minor__gt=0, cap_minor__gte=models.F("least_minor"))
                ),
                name="platforms_feetier_sane",
            ),
        ]


class AgreementDocument(MerchantScoped):
    """A paper of an account's agreement, byte for byte as handed in, sealed in pieces. ``kind`` is what its content is."""

    account = ScopedForeignKey(PlatformAccount, related_name="documents")
    title = models.CharField(max_length=80)
    filename = models.CharField(max_length=160)
    kind = models.CharField(max_length=8, choices=PaperKind)
    sha256 = models.CharField(max_length=64)
    byte_count = models.BigIntegerField()
    page_count = models.IntegerField()
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="platforms_document_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "sha256"], name="platforms_document_once"
            ),
            models.CheckConstraint(
                condition=models.Q(byte_count__gt=0, page_count__gt=0),
                name="platforms_document_sane",
            ),
        ]


class DocumentPiece(MerchantScoped):
    """The next bytes of a paper, encrypted."""

    document = ScopedForeignKey(AgreementDocument, on_delete=models.CASCADE, related_name="pieces")
    number = models.IntegerField()
    sealed = models.BinaryField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "document", "number"], name="platforms_documentpiece_once"
            ),
        ]


class ChecklistTick(MerchantScoped):
    """Somebody ticked an item of what to look at before signing, or took the tick away. Append-only: the latest counts.

    ``account`` None: before there was an account at the platform.
    """

    platform = models.CharField(max_length=12, choices=PlatformChoice)
    account = ScopedForeignKey(PlatformAccount, null=True, related_name="ticks")
    item = models.CharField(max_length=24)
    is_done = models.BooleanField()
    note = models.CharField(max_length=200, default="", blank=True)
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        indexes = [
            models.Index(
                fields=["merchant_id", "platform", "account", "item", "-id"],
                name="platforms_tick_latest",
            ),
        ]


class AgreementReminder(MerchantScoped):
    """That the members were told, once, that an account's agreement ends (or renews) in so many days."""

    account = ScopedForeignKey(PlatformAccount)
    valid_until = models.DateField()
    days_before = models.IntegerField()
    at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="platforms_reminder_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "valid_until", "days_before"],
                name="platforms_reminder_once",
            ),
        ]


class ReminderMail(MerchantScoped):
    """The one mail of a reminder to one member; ``sent_at`` is when the mail server had taken it."""

    reminder = ScopedForeignKey(AgreementReminder, on_delete=models.CASCADE, related_name="mails")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "reminder", "user"], name="platforms_remindermail_once"
            ),
        ]
