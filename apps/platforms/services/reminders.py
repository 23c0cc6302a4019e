"""Telling the members in time that an agreement ends, or renews by itself: once for each of a few days before."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from apps.approvals.selectors import members_who_may
from apps.core import audit, clock, outbox
from apps.core.audit import Actor
from apps.core.mail import send_in_every_language
from apps.core.names import named
from apps.merchants.models import Merchant
from apps.platforms.models import AgreementReminder, PlatformAccount, ReminderMail
from apps.platforms.selectors.agreements import current_of, next_end, versions_of

#: Days before the end on which the members are told.
DAYS_BEFORE: Final = (60, 30, 7)
#: When on such a day, China time.
AT: Final = time(9)
MAIL_TASK: Final = "platforms.agreement_mail"
_PERMISSION: Final = "platforms.manage"
#: When a mail is looked at again that another worker is sending.
_LATER: Final = timedelta(minutes=2)


def remind_due(*, account_id: int, now: datetime) -> datetime | None:
    """Tell the members where it is time, once for each day before and end; returns when to look again, None for never.

    Of several days that have passed unnoticed only the nearest to the end is told.
    """
    account = PlatformAccount.objects.filter(pk=account_id).first()
    if account is None:
        return None
    today = clock.business_date(now)
    agreement = current_of(versions_of(account_id), today)
    until = next_end(agreement, today) if agreement is not None else None
    if agreement is None or until is None or until < today:
        return None
    left = (until - today).days
    reached = [days for days in DAYS_BEFORE if left <= days]
    if reached and account.is_active:
        _tell(account, until=until, days_before=min(reached), now=now)
    ahead = [days for days in DAYS_BEFORE if days < left]
    if ahead:
        return _at(until - timedelta(days=max(ahead)), now)
    # One that renews has its next end afterwards.
    return _at(until + timedelta(days=1), now) if agreement.renews else None


def _at(day: date, now: datetime) -> datetime:
    at = datetime.combine(day, AT, tzinfo=clock.CHINA).astimezone(UTC)
    return max(at, now + timedelta(minutes=1))


@transaction.atomic
def _tell(account: PlatformAccount, *, until: date, days_before: int, now: datetime) -> None:
    reminder, made = AgreementReminder.objects.get_or_create(
        merchant_id=account.merchant_id,
        account=account,
        valid_until=until,
        days_before=days_before,
        defaults={"at": now},
    )
    if not made:
        return
    readers = members_who_may(permission=_PERMISSION, store_id=None, besides=0)
    mails = ReminderMail.objects.bulk_create(
        ReminderMail(reminder=reminder, user=member.user) for member in readers
    )
    for mail in mails:
        outbox.enqueue(
            task=MAIL_TASK, merchant_id=account.merchant_id, subject_id=mail.pk, due_at=now
        )
    audit.record(
        action="agreement.reminded",
        subject_kind="account",
        subject_id=account.pk,
        actor=Actor.system("agreements"),
        at=now,
        data={"until": until.isoformat(), "days_before": days_before, "mails": len(mails)},
    )


def send_reminder(*, mail_id: int, now: datetime) -> datetime | None:
    """Send one member's mail, unless it has left or the agreement has been changed meanwhile; returns when to look again.

    One worker at a time holds a mail. Network call: to be called outside a transaction. Raises what the mail server's client
    raises.
    """
    with outbox.turn(task=f"{MAIL_TASK}/{mail_id}", places=1) as mine:
        if not mine:
            return now + _LATER
        mail = (
            ReminderMail.objects.select_related("reminder__account", "user")
            .filter(pk=mail_id, sent_at__isnull=True)
            .first()
        )
        if mail is None:
            return None
        if _still_true(mail.reminder, now):
            _send(mail, now)
        ReminderMail.objects.filter(pk=mail.pk).update(sent_at=now)
    return None


def _still_true(reminder: AgreementReminder, now: datetime) -> bool:
    today = clock.business_date(now)
    agreement = current_of(versions_of(reminder.account_id), today)
    return agreement is not None and next_end(agreement, today) == reminder.valid_until


def _send(mail: ReminderMail, now: datetime) -> None:
    reminder = mail.reminder
    merchant = Merchant.objects.get(pk=mail.merchant_id)
    agreement = current_of(versions_of(reminder.account_id), clock.business_date(now))
    path = reverse("platforms:agreement_detail", args=[merchant.slug, reminder.account_id])
    days = (reminder.valid_until - clock.business_date(now)).days
    send_in_every_language(
        to=[mail.user.email],
        subject=lambda: (
            gettext("%(merchant)s: the agreement of %(account)s ends on %(day)s")
            % {
                "merchant": named(merchant),
                "account": reminder.account.label,
                "day": reminder.valid_until.isoformat(),
            }
        ),
        template="platforms/mail/agreement_ends.txt",
        context={
            "merchant": merchant,
            "account": reminder.account,
            "agreement": agreement,
            "until": reminder.valid_until,
            "days": days,
            "link": f"{settings.PUBLIC_URL}{path}",
        },
    )
