"""Ticks of beat."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import DatabaseError

from apps.core import audit, clock
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
