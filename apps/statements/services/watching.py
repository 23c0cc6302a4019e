"""Warning in time that an account's balance will not suffice for refunds: looked at each hour, told at most once a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import members_who_may
from apps.core import audit, clock, outbox
from apps.core.audit import Actor
from apps.core.mail import send_in_every_language
from apps.core.names import named
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.platforms.models import PlatformAccount
from apps.statements.models import BalanceMail, BalanceNotice, BalanceWatch
from apps.statements.selectors.reserve import Assessment, assess, watch_of

TASK: Final = "statements.watch_balance"
MAIL_TASK: Final = "statements.balance_mail"
_PERMISSION: Final = "reconciliation.manage"
_EVERY: Final = timedelta(hours=1)
#: When a mail is looked at again that another worker is sending.
_LATER: Final = timedelta(minutes=2)
#: Largest least amount, in fen.
MOST_LEAST: Final = 10_000_000_000


class WatchRefused(ValueError):
    """The least amount is below zero or beyond 100 million yuan."""


@transaction.atomic
def set_watch(
    *,
    account_id: int,
    is_on: bool,
    least_minor: int | None,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> BalanceWatch:
    """Whether to be warned of a low balance, and below what in any case; looked at anew at once.

    Raises WatchRefused, PlatformAccount.DoesNotExist.
    """
    if least_minor is not None and not 0 <= least_minor <= MOST_LEAST:
        raise WatchRefused(least_minor)
    account = PlatformAccount.objects.get(pk=account_id)
    watch, _made = BalanceWatch.objects.update_or_create(
        merchant_id=current_merchant_id(),
        account_id=account_id,
        defaults={"is_on": is_on, "least_minor": least_minor},
    )
    audit.record(
        action="balance.watch",
        subject_kind="account",
        subject_id=account_id,
        actor=actor,
        at=now,
        data={"account": account.label, "on": is_on, "least_minor": least_minor},
    )
    outbox.enqueue(task=TASK, merchant_id=current_merchant_id(), subject_id=account_id, due_at=now)
    return watch


@transaction.atomic
def plan_watching(*, now: datetime) -> int:
    """See that every active account is looked at; how many were not yet."""
    watched = BalanceWatch.objects.values("account_id")
    accounts = PlatformAccount.objects.filter(is_active=True).exclude(pk__in=watched)
    missing = list(accounts.values_list("pk", flat=True))
    BalanceWatch.objects.bulk_create(
        [BalanceWatch(account_id=pk) for pk in missing], ignore_conflicts=True
    )
    for pk in missing:
        outbox.enqueue(task=TASK, merchant_id=current_merchant_id(), subject_id=pk, due_at=now)
    return len(missing)


def _assess(account: PlatformAccount, watch: BalanceWatch | None, now: datetime) -> Assessment:
    starts = Merchant.objects.get(pk=account.merchant_id).day_starts_at
    return assess(
        account,
        watch=watch,
        today=clock.business_date(now, starts),
        calendar_day=clock.business_date(now),
    )


@transaction.atomic
def watch_balance(*, account_id: int, now: datetime) -> datetime | None:
    """Look at an account's balance and tell the members where it is low, once a day; returns when to look again."""
    account = PlatformAccount.objects.filter(pk=account_id).first()
    if account is None:
        return None
    BalanceWatch.objects.get_or_create(
        merchant_id=account.merchant_id, account_id=account_id, defaults={"is_on": True}
    )
    watch = BalanceWatch.objects.select_for_update().get(account_id=account_id)
    weighed = _assess(account, watch, now).weighed
    low = weighed.is_low and watch.is_on and account.is_active
    watch.checked_at = now
    watch.expected_minor = weighed.expected
    watch.need_minor = weighed.need
    watch.queued_count = weighed.queued_count
    watch.low_since = (watch.low_since or now) if low else None
    watch.save(
        update_fields=["checked_at", "expected_minor", "need_minor", "queued_count", "low_since"]
    )
    if low:
        _tell(watch, account, now)
    return now + _EVERY


def _tell(watch: BalanceWatch, account: PlatformAccount, now: datetime) -> None:
    notice, made = BalanceNotice.objects.get_or_create(
        merchant_id=watch.merchant_id,
        watch=watch,
        day=clock.business_date(now),
        defaults={
            "expected_minor": watch.expected_minor,
            "need_minor": watch.need_minor,
            "at": now,
        },
    )
    if not made:
        return
    readers = members_who_may(permission=_PERMISSION, store_id=None, besides=0)
    mails = BalanceMail.objects.bulk_create(
        BalanceMail(notice=notice, user=member.user) for member in readers
    )
    for mail in mails:
        outbox.enqueue(
            task=MAIL_TASK, merchant_id=watch.merchant_id, subject_id=mail.pk, due_at=now
        )
    audit.record(
        action="balance.low",
        subject_kind="account",
        subject_id=account.pk,
        actor=Actor.system("balances"),
        at=now,
        data={
            "account": account.label,
            "expected_minor": watch.expected_minor,
            "need_minor": watch.need_minor,
            "queued": watch.queued_count,
            "mails": len(mails),
        },
    )


def send_balance_mail(*, mail_id: int, now: datetime) -> datetime | None:
    """Send one member's mail, unless it has left or the balance has recovered; returns when to look again.

    One worker at a time holds a mail. Network call: to be called outside a transaction. Raises what the mail server's client
    raises.
    """
    with outbox.turn(task=f"{MAIL_TASK}/{mail_id}", places=1) as mine:
        if not mine:
            return now + _LATER
        mail = (
            BalanceMail.objects.select_related("notice__watch__account", "user")
            .filter(pk=mail_id, sent_at__isnull=True)
            .first()
        )
        if mail is None:
            return None
        if mail.notice.watch.low_since is not None:
            _send(mail, now)
        BalanceMail.objects.filter(pk=mail.pk).update(sent_at=now)
    return None


def _send(mail: BalanceMail, now: datetime) -> None:
    watch = mail.notice.watch
    merchant = Merchant.objects.get(pk=mail.merchant_id)
    found = _assess(watch.account, watch_of(watch.account_id), now)
    path = reverse("settlements:reserve_detail", args=[merchant.slug, watch.account_id])
    send_in_every_language(
        to=[mail.user.email],
        subject=lambda: (
            gettext("%(merchant)s: too little at %(account)s for refunds")
            % {"merchant": named(merchant), "account": watch.account.label}
        ),
        template="statements/mail/balance_low.txt",
        context={
            "merchant": merchant,
            "account": watch.account,
            "weighed": found.weighed,
            "daily_net": found.daily_net,
            "is_withdrawn": found.money.is_withdrawn,
            "link": f"{settings.PUBLIC_URL}{path}",
        },
    )
