"""Whether an account's entries have ever worked, by our own records: what worked before was not entered wrong."""

from __future__ import annotations

from django.db.models import Q

from apps.core.models import AuditEvent
from apps.platforms.gateway import CheckState
from apps.platforms.models import Notification, PlatformAccount, Verdict

#: A change of the account that replaced no key has an empty list.
_ENTERED = Q(action="account.connected") | Q(
    action="account.changed", data__replaced__0__isnull=False
)


def worked_since_entered(account: PlatformAccount) -> bool:
    """Whether the platform's signature was good under the stored keys at any time since one of them was last changed."""
    events = AuditEvent.objects.filter(subject_kind="account", subject_id=account.pk)
    entered = events.filter(_ENTERED).order_by("-pk").first()
    if entered is None:
        return False
    if entered.data.get("check") == CheckState.GOOD.value:
        return True
    if events.filter(
        pk__gt=entered.pk, action="account.checked", data__check=CheckState.GOOD.value
    ).exists():
        return True
    return Notification.objects.filter(
        account_id=account.pk, received_at__gte=entered.at, verdict=Verdict.GOOD
    ).exists()
