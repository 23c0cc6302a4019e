"""The rule book by which refunds are decided, its drafts, and each decision with what it weighed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.approvals.models import Approval
from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.refunds.models.refunds import Refund


class RefundRuleBook(MerchantScoped):
    """One version of the merchant's refund rules. Append-only.

    In force is the highest number whose ``effective_at`` has come: a newer version also replaces those still planned before it.
    ``content`` is a book as ``core.rules.read_book`` takes it, over ``rulefacts.SCHEMA``.
    """

    number = models.IntegerField()
    content = models.JSONField()
    effective_at = models.DateTimeField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    approval = ScopedForeignKey(Approval, null=True)
    published_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="refunds_book_wall"),
            models.UniqueConstraint(fields=["merchant_id", "number"], name="refunds_book_number"),
            models.CheckConstraint(condition=models.Q(number__gte=1), name="refunds_book_counted"),
        ]


class DraftState(models.TextChoices):
    """Where a draft stands. One that waits cannot be changed."""

    OPEN = "open", _("Draft")
    WAITING = "waiting", _("Waiting for confirmation")
    PUBLISHED = "published", _("Published")
    DROPPED = "dropped", _("Dropped")


class RefundRuleDraft(MerchantScoped):
    """Rules that are being written; at most one a merchant is open or waiting.

    ``revision`` counts its changes, so that of two writers at once the second reads what the first did. ``based_on``: the
    number of the version that it began with. ``effective_at`` None: at once.
    """

    content = models.JSONField()
    revision = models.IntegerField(default=1)
    based_on = models.IntegerField()
    effective_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=12, choices=DraftState, default=DraftState.OPEN)
    approval = ScopedForeignKey(Approval, null=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    changed_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="refunds_draft_wall"),
            models.UniqueConstraint(
                fields=["merchant_id"],
                condition=models.Q(state__in=["open", "waiting"]),
                name="refunds_draft_one",
            ),
        ]


class RefundDecision(MerchantScoped):
    """What the rules said about one refund when it was asked for, with all that they weighed. Append-only.

    ``book_number`` 0 is the portal's own book, ``rule_number`` 0 what holds otherwise. The facts are those of
    ``rulefacts``; counts and sums are of refunds asked for here that were not refused, withdrawn or failed, this one
    counted in, within so many days (``_1``, ``_7``, ``_30``). ``payer`` is the payment's payer hash, or names the payment where
    the payer is unknown. ``is_rebuilt``: of a refund from before decisions were kept, computed from the books.
    """

    refund = ScopedForeignKey(Refund, related_name="+")
    book_number = models.IntegerField()
    rule_number = models.IntegerField()
    outcome = models.CharField(max_length=16)
    decided_at = models.DateTimeField()
    is_rebuilt = models.BooleanField(default=False)
    payer = models.CharField(max_length=80)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    amount = models.BigIntegerField()
    total = models.BigIntegerField()
    #: Of the payment, in hundredths of a percent, rounded up.
    share = models.IntegerField()
    #: Minutes since it was paid.
    age = models.IntegerField()
    #: Of the day in China.
    minute = models.IntegerField()
    payer_count_1 = models.IntegerField()
    payer_count_7 = models.IntegerField()
    payer_count_30 = models.IntegerField()
    payer_sum_1 = models.BigIntegerField()
    payer_sum_7 = models.BigIntegerField()
    payer_sum_30 = models.BigIntegerField()
    asker_count_1 = models.IntegerField()
    asker_count_7 = models.IntegerField()
    asker_count_30 = models.IntegerField()
    asker_sum_1 = models.BigIntegerField()
    asker_sum_7 = models.BigIntegerField()
    asker_sum_30 = models.BigIntegerField()
    store_count_1 = models.IntegerField()
    store_sum_1 = models.BigIntegerField()
    #: The store's id, "" for none.
    store = models.CharField(max_length=20)
    #: The kind of the code's scenario, "" where no code was used.
    code = models.CharField(max_length=12)
    platform = models.CharField(max_length=12)
    #: The role of who asks, "" where no member does.
    asker = models.CharField(max_length=16)
    reason = models.CharField(max_length=16)
    origin = models.CharField(max_length=8)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "refund"], name="refunds_decided_once"),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "decided_at"], name="refunds_decided"),
            models.Index(fields=["merchant_id", "payer", "decided_at"], name="refunds_by_payer"),
            models.Index(fields=["merchant_id", "asked_by", "decided_at"], name="refunds_by_asker"),
            models.Index(fields=["merchant_id", "store", "decided_at"], name="refunds_by_store"),
        ]
