"""Later work of this room."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task

from apps.core import clock
from apps.core.audit import Actor
from apps.core.tasks import due_task
from apps.core.tenancy import Scope, enter_scope
from apps.platforms import services
from apps.platforms.models import NotificationState
from apps.platforms.services import reminders, renewal, terminals, upkeep


class NotAppliedYet(Exception):
    """The stored notification still cannot be applied; the outbox tries again later."""


@due_task("platforms.reprocess_notification")
def reprocess_notification(subject_id: int, now: datetime) -> datetime | None:
    """Try a stored notification again, until it is settled or its body has expired."""
    try:
        row = services.reprocess_notification(
            notification_id=subject_id, now=now, actor=Actor.system("notification")
        )
    except (services.BodyExpired, services.NotificationNotFound):
        return None
    if row.state == NotificationState.FAILED:
        raise NotAppliedYet(row.detail)
    return None


@due_task("platforms.check_in")
def check_in(subject_id: int, now: datetime) -> datetime | None:
    """Get a terminal its key of the day, before its first trade."""
    return terminals.check_in_due(account_terminal_id=subject_id, now=now)


@due_task("platforms.renew_credentials")
def renew_credentials(subject_id: int, now: datetime) -> datetime | None:
    """Fetch an account's certificates from its platform, before new ones are signed with."""
    return renewal.renew_due(account_id=subject_id, now=now)


@due_task("platforms.remind_agreement")
def remind_agreement(subject_id: int, now: datetime) -> datetime | None:
    """Tell the members that an account's agreement ends soon; comes again for the next day before the end."""
    return reminders.remind_due(account_id=subject_id, now=now)


@due_task("platforms.agreement_mail")
def send_agreement_mail(subject_id: int, now: datetime) -> datetime | None:
    """Send one member's mail of a reminder."""
    return reminders.send_reminder(mail_id=subject_id, now=now)


@shared_task(name="platforms.plan_upkeep", ignore_result=True)
def plan_upkeep() -> None:
    """See that every account's certificates and every terminal are looked after, merchant by merchant. For an hourly beat."""
    now = clock.now()
    for merchant_id in services.merchants_with_accounts():
        with enter_scope(Scope(merchant_id)):
            upkeep.plan_upkeep(now=now)


@shared_task(name="platforms.expire_bodies", ignore_result=True)
def expire_bodies() -> None:
    """Forget raw notification bodies that were kept long enough, merchant by merchant. For a nightly beat."""
    now = clock.now()
    for merchant_id in services.merchants_with_accounts():
        with enter_scope(Scope(merchant_id)):
            services.expire_bodies(now=now)
