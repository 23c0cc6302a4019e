"""Ticks of beat."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings
from django.db import DatabaseError

from apps.core import audit, clock, partitions
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant
from apps.operations import health

logger = logging.getLogger(__name__)


@shared_task(name="operations.heartbeat", ignore_result=True)
def heartbeat() -> None:
    """Prove that beat ticks and a worker answers."""
    health.beat_now(now=clock.now())


@shared_task(name="operations.seal_audit", ignore_result=True)
def seal_audit() -> None:
    """Seal each merchant's fresh audit rows into its chain; one merchant's trouble does not stop the others."""
    now = clock.now()
    for merchant_id in Merchant.objects.order_by("pk").values_list("pk", flat=True):
        try:
            with enter_scope(Scope(merchant_id)):
                audit.seal(now=now)
        except DatabaseError:
            logger.exception("the audit trail of merchant %s was not sealed", merchant_id)


@shared_task(name="operations.make_months", ignore_result=True)
def make_months() -> None:
    """Make the coming months of the tables that are split by month; the next tick tries again what did not go."""
    try:
        made = partitions.make_ahead(now=clock.now(), months=settings.PARTITION_MONTHS_AHEAD)
    except DatabaseError:
        # The doctor tells when too few months are left; until then rows of a missing month go into DEFAULT.
        logger.exception("the coming months were not made")
        return
    if made:
        logger.info("months made: %s", ", ".join(made))
