"""New keys of an account that wait for a second member."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.approvals.models import Approval
from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.platforms.models.accounts import PlatformAccount


class ChangeState(models.TextChoices):
    """Where a change stands. Every state but ``waiting`` is final."""

    WAITING = "waiting", _("Waiting for confirmation")
    DONE = "done", _("Confirmed")
    DROPPED = "dropped", _("Dropped")


class CredentialChange(MerchantScoped):
    """New keys of an account, tried at the platform, held back until another member has confirmed; one an account at a time.

    ``keys_sealed`` holds the new keys only, sealed, and nothing once it is over. ``before`` and ``after`` are keyed hashes by
    name of what is replaced and of what replaces it; a name in ``before`` alone goes.
    """

    account = ScopedForeignKey(PlatformAccount, related_name="changes")
    keys_sealed = models.BinaryField()
    before = models.JSONField()
    after = models.JSONField()
    check_state = models.CharField(max_length=12)
    state = models.CharField(max_length=8, choices=ChangeState, default=ChangeState.WAITING)
    approval = ScopedForeignKey(Approval, null=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="platforms_change_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "account"],
                condition=models.Q(state="waiting"),
                name="platforms_change_one_waits",
            ),
            models.CheckConstraint(
                condition=models.Q(state="waiting") | models.Q(keys_sealed=b""),
                name="platforms_change_forgets",
            ),
        ]
