"""Fetching bills by the clock or asking them together, and following what they say will be paid out."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task

from apps.core import clock
from apps.core.tasks import due_task
from apps.core.tenancy import Scope, enter_scope
from apps.platforms.services import merchants_with_accounts
from apps.statements import services


@due_task("statements.fetch")
def fetch(subject_id: int, now: datetime) -> datetime | None:
    """Try to fetch one expected bill."""
    return services.fetch_statement(day_id=subject_id, now=now)


@due_task("statements.sweep")
def sweep(subject_id: int, now: datetime) -> datetime | None:
    """Ask about each payment of a day whose platform has no bills."""
    return services.fetch_statement(day_id=subject_id, now=now)


@due_task("statements.settle")
def settle(subject_id: int, now: datetime) -> None:
    """Compute what one bill says will be paid out, and match it with the bank."""
    services.follow_bill(day_id=subject_id, now=now)


@due_task("statements.settle_account")
def settle_account(subject_id: int, now: datetime) -> None:
    """Compute what an account pays out anew, since what was signed for it has changed."""
    services.follow_account(account_id=subject_id, now=now)


@due_task("statements.match")
def match(subject_id: int, now: datetime) -> None:  # all accounts are matched together
    """Match what is to be paid out with the bank."""
    services.match_bank(now=now)


@due_task("statements.import")
def import_upload(subject_id: int, now: datetime) -> datetime | None:
    """Import a file that somebody handed in."""
    return services.run_upload(upload_id=subject_id, now=now)


@due_task("statements.reserve")
def reserve(subject_id: int, now: datetime) -> datetime | None:
    """Book what is kept back of an account's takings, once a business day."""
    return services.run_reserve(account_id=subject_id, now=now)


@due_task("statements.watch_balance")
def watch_balance(subject_id: int, now: datetime) -> datetime | None:
    """Look whether an account's balance suffices for refunds, each hour."""
    return services.watch_balance(account_id=subject_id, now=now)


@due_task("statements.balance_mail")
def send_balance_mail(subject_id: int, now: datetime) -> datetime | None:
    """Send one member's mail about a low balance."""
    return services.send_balance_mail(mail_id=subject_id, now=now)


@shared_task(name="statements.plan_watching", ignore_result=True)
def plan_watching() -> None:
    """See that the balance of every merchant's accounts is looked at. For an hourly beat."""
    now = clock.now()
    for merchant_id in merchants_with_accounts():
        with enter_scope(Scope(merchant_id)):
            services.plan_watching(now=now)


@shared_task(name="statements.expire_uploads", ignore_result=True)
def expire_uploads() -> None:
    """Delete refused uploads whose time is over."""
    now = clock.now()
    for merchant_id in merchants_with_accounts():
        with enter_scope(Scope(merchant_id)):
            services.expire_uploads(now=now)


@shared_task(name="statements.plan_yesterday", ignore_result=True)
def plan_yesterday() -> None:
    """Expect yesterday's bills of every merchant."""
    now = clock.now()
    for merchant_id in merchants_with_accounts():
        with enter_scope(Scope(merchant_id)):
            services.plan_yesterday(now=now)
