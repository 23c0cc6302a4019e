"""Ticks of beat, and counting payments under the risk rules."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task

from apps.checkout import services
from apps.core import clock
from apps.core.tasks import due_task
from apps.core.tenancy import Scope, enter_scope
from apps.platforms.services import merchants_with_accounts


@shared_task(name="checkout.forget_forms", ignore_result=True)
def forget_forms() -> None:
    """Take away the doors of forms whose orders are long over, merchant by merchant."""
    now = clock.now()
    for merchant_id in services.merchants_with_old_forms(now=now):
        with enter_scope(Scope(merchant_id)):
            services.forget_forms(now=now)


@due_task("checkout.count_risk")
def count_risk(subject_id: int, now: datetime) -> datetime | None:
    """Count a merchant's payments under its risk rules."""
    services.count_risk(now=now)
    return None


@shared_task(name="checkout.plan_risk", ignore_result=True)
def plan_risk() -> None:
    """Have the payments of each merchant that took any lately counted."""
    now = clock.now()
    for merchant_id in merchants_with_accounts():
        with enter_scope(Scope(merchant_id)):
            services.expect_count(now=now)
