"""Platform accounts, their terminals and their pace, and every notification that came in."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.merchants.models import Store, Terminal


class PlatformChoice(models.TextChoices):
    """The platforms, as shown to people; the values are ``gateway.Platform``'s."""

    WECHATPAY = "wechatpay", _("WeChat Pay")
    ALIPAY = "alipay", _("Alipay")
    UNIONPAY = "unionpay", _("UnionPay QuickPass")
    SHOUQIANBA = "shouqianba", _("Shouqianba")


class PlatformAccount(MerchantScoped):
    """One merchant's credentials at one platform. ``ref`` is the public part of its notification URL.

    ``credentials_sealed`` is JSON of ``gateway.Credentials.keys`` sealed under purpose ``credentials``; it is never
    shown again.
    """

    platform = models.CharField(max_length=12, choices=PlatformChoice)
    label = models.CharField(max_length=60)
    ref = models.CharField(max_length=24)
    app_id = models.CharField(max_length=40)
    merchant_no = models.CharField(max_length=40)
    credentials_sealed = models.BinaryField()
    #: What the platform charges, in millionths: 6000 is 0.6 %. It holds on days without an agreement.
    fee_rate_ppm = models.IntegerField(default=6000)
    #: Whether any agreement was entered: without one, no payment asks for its terms.
    has_agreement = models.BooleanField(default=False, db_default=False)
    all_stores = models.BooleanField(default=True)
    #: The merchant's order of preference: the lowest number that can take a wallet's payment takes it.
    priority = models.IntegerField(default=100)
    #: Products that a platform switches on by contract; None of them is guessed from the credentials.
    takes_barcodes = models.BooleanField(default=True)
    #: WeChat Pay's H5, for browsers outside WeChat.
    takes_h5 = models.BooleanField(default=False)
    #: UnionPay: a full refund on the payment's own settlement day goes as a cancellation (消费撤销).
    cancels_same_day = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    checked_at = models.DateTimeField(null=True)
    check_state = models.CharField(max_length=12, default="")
    check_message = models.CharField(max_length=300, default="")
    #: When certificates were last fetched from the platform, for a platform that renews them.
    renewed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="platforms_account_wall"),
            models.UniqueConstraint(fields=["merchant_id", "ref"], name="platforms_account_ref"),
            models.UniqueConstraint(
                fields=["merchant_id", "platform", "merchant_no", "app_id"],
                name="platforms_account_once",
            ),
            models.CheckConstraint(
                condition=models.Q(fee_rate_ppm__gte=0, fee_rate_ppm__lte=1_000_000),
                name="platforms_account_rate",
            ),
        ]

    def __str__(self) -> str:
        return self.label


class AccountStore(MerchantScoped):
    """A store that an account with ``all_stores`` off serves."""

    account = ScopedForeignKey(PlatformAccount, on_delete=models.CASCADE, related_name="served")
    store = ScopedForeignKey(Store, on_delete=models.CASCADE)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["account", "store"], name="platforms_account_store"),
        ]


class TerminalState(models.TextChoices):
    """Where a terminal stands at a platform. ``lost``: its key no longer opens anything, support must help."""

    ACTIVE = "active", _("Activated")
    LOST = "lost", _("Key lost")
    OFF = "off", _("Switched off")


class AccountTerminal(MerchantScoped):
    """A terminal as one account's platform knows it (Shouqianba). Without ``terminal`` it is the portal's own, virtual one.

    ``keys_sealed`` is JSON ``{"current": …, "previous": …}`` sealed under purpose ``terminal``: after a check-in whose answer
    was lost the platform may hold the one or the other. ``checking_in_until`` is the lease of the one worker that checks in.

    It calls for what began from ``activated_at`` on and before ``off_at``, both a few seconds after a shop's terminal was
    activated or switched off, so that everybody sees the row by then; ``off_at`` is also when it was lost or replaced. For all
    else, before and after, the virtual one of that time does: what began with one terminal is never asked about by
    another. So a row is never overwritten by a new activation: what it began is asked about by it as long as its key lives.
    Where the platform gives the same terminal back, its row stands again, and ``gaps`` are the times in which it did not.
    """

    account = ScopedForeignKey(PlatformAccount, on_delete=models.CASCADE, related_name="terminals")
    terminal = ScopedForeignKey(Terminal, null=True, related_name="accounts")
    device_id = models.CharField(max_length=128)
    terminal_sn = models.CharField(max_length=32)
    keys_sealed = models.BinaryField()
    state = models.CharField(max_length=8, choices=TerminalState, default=TerminalState.ACTIVE)
    activated_at = models.DateTimeField()
    checked_in_at = models.DateTimeField(null=True)
    checking_in_until = models.DateTimeField(null=True)
    off_at = models.DateTimeField(null=True)
    #: Pairs of ISO times, each from an ``off_at`` to when it stood again.
    gaps = models.JSONField(default=list, db_default=[])
    #: Why its key is lost, or why its last check-in brought none: a code with words in ``messages``.
    detail = models.CharField(max_length=300, default="")

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "id"], name="platforms_accountterminal_wall"
            ),
            models.UniqueConstraint(
                fields=["account", "terminal"],
                condition=models.Q(off_at__isnull=True),
                nulls_distinct=False,
                name="platforms_accountterminal_once",
            ),
            models.UniqueConstraint(
                fields=["merchant_id", "account", "terminal_sn"],
                name="platforms_accountterminal_sn",
            ),
        ]

    def calls_at(self, at: datetime) -> bool:
        """Whether it calls for what began at that moment."""
        if at < self.activated_at or (self.off_at is not None and at >= self.off_at):
            return False
        return not any(
            datetime.fromisoformat(since) <= at < datetime.fromisoformat(until)
            for since, until in self.gaps
        )

    def stand_again(self, since: datetime) -> None:
        """Let it call again for what begins from ``since`` on, as after a new activation; to be saved by the caller."""
        if self.off_at is not None and self.off_at < since:
            self.gaps = [*self.gaps, [self.off_at.isoformat(), since.isoformat()]]
        self.off_at = None


class AccountPace(MerchantScoped):
    """How fast and whether an account's platform may be asked now: shared by all workers.

    ``next_slot_at``: the time of the next free call under the account's rate limit. ``failures``: calls without a usable
    answer in a row. ``open_until``: the circuit breaker is open, nobody asks before that time; afterwards one worker
    probes (``probing_until`` is its lease).
    """

    account = models.OneToOneField(
        PlatformAccount, on_delete=models.CASCADE, db_constraint=False, related_name="pace"
    )
    next_slot_at = models.DateTimeField(null=True)
    failures = models.IntegerField(default=0)
    openings = models.IntegerField(default=0)
    open_until = models.DateTimeField(null=True)
    probing_until = models.DateTimeField(null=True)
    last_ok_at = models.DateTimeField(null=True)
    last_trouble_at = models.DateTimeField(null=True)
    last_code = models.CharField(max_length=64, default="")

    class Meta:
        base_manager_name = "objects"


class Verdict(models.TextChoices):
    """What the signature check said."""

    GOOD = "good", _("Signature good")
    BAD_SIGNATURE = "bad_signature", _("Signature wrong")
    UNREADABLE = "unreadable", _("Unreadable")


class NotificationState(models.TextChoices):
    """What became of a notification."""

    RECEIVED = "received", _("Received")
    APPLIED = "applied", _("Applied")
    REPEATED = "repeated", _("Repeated, no effect")
    UNMATCHED = "unmatched", _("No payment of ours")
    REFUSED = "refused", _("Refused")
    FAILED = "failed", _("Not applied yet")


class Notification(MerchantScoped):
    """A notification as received: raw bytes sealed under purpose ``notification``. Split by month on ``received_at``."""

    account_id = models.BigIntegerField()
    received_at = models.DateTimeField()
    headers = models.JSONField(default=dict)
    body_sealed = models.BinaryField(null=True)
    body_sha256 = models.BinaryField(max_length=32)
    remote_ip = models.GenericIPAddressField(null=True)
    verdict = models.CharField(max_length=16, choices=Verdict, default="")
    dedup_key = models.CharField(max_length=160, default="")
    kind = models.CharField(max_length=12, default="")
    order_no = models.CharField(max_length=64, default="")
    state = models.CharField(
        max_length=12, choices=NotificationState, default=NotificationState.RECEIVED
    )
    detail = models.CharField(max_length=300, default="")
    processed_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
