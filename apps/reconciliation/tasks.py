"""Matching by itself, as soon as a bill is there, telling the members in the morning, long acts on many differences."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task

from apps.core import clock
from apps.core.audit import Actor
from apps.core.tasks import due_task
from apps.core.tenancy import Scope, enter_scope
from apps.platforms.services import merchants_with_accounts
from apps.reconciliation import services
from apps.reconciliation.models import BulkAct
from apps.statements.models import StatementDay


@due_task("reconciliation.run")
def run(subject_id: int, now: datetime) -> datetime | None:
    """Match the bill of one expected day."""
    expected = StatementDay.objects.get(pk=subject_id)
    services.reconcile(
        account_id=expected.account_id,
        day=expected.day,
        run_by=None,
        actor=Actor.system("reconciliation"),
        now=now,
    )
    return None


@due_task("reconciliation.morning")
def tell_morning(subject_id: int, now: datetime) -> datetime | None:
    """Tell the members how the day was matched, once it is or its deadline has passed."""
    return services.tell_morning(morning_id=subject_id, now=now)


@due_task("reconciliation.morning_mail")
def send_morning_mail(subject_id: int, now: datetime) -> datetime | None:
    """Send one member's mail of a morning."""
    return services.send_mail(mail_id=subject_id, now=now)


@shared_task(name="reconciliation.plan_mornings", ignore_result=True)
def plan_mornings() -> None:
    """Have each merchant told of yesterday by its deadline, also where no bill comes."""
    now = clock.now()
    for merchant_id in merchants_with_accounts():
        with enter_scope(Scope(merchant_id)):
            services.expect_morning(now=now)


@due_task("reconciliation.write_day_files")
def write_day_files(subject_id: int, now: datetime) -> datetime | None:
    """Write the files of a closed day."""
    services.write_day_files(close_id=subject_id, now=now)
    return None


@due_task("reconciliation.bulk")
def bulk(subject_id: int, now: datetime) -> datetime | None:
    """The next piece of an act on many differences; again at once while any is left."""
    act = BulkAct.objects.select_related("requested_by").get(pk=subject_id)
    who = act.requested_by
    actor = Actor(who.email, who.pk) if who else Actor.system("rules")
    done = services.continue_bulk(bulk_id=act.pk, actor=actor, now=now)
    return now if done.finished_at is None else None
