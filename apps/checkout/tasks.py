"""Ticks of beat."""

from __future__ import annotations

from celery import shared_task

from apps.checkout import services
from apps.core import clock
from apps.core.tenancy import Scope, enter_scope


@shared_task(name="checkout.forget_forms", ignore_result=True)
def forget_forms() -> None:
    """Take away the doors of forms whose orders are long over, merchant by merchant."""
    now = clock.now()
    for merchant_id in services.merchants_with_old_forms(now=now):
        with enter_scope(Scope(merchant_id)):
            services.forget_forms(now=now)
