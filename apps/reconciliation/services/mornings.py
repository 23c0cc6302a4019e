"""Telling the members once, in the morning, how yesterday was matched."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.core import audit, clock, live, outbox
from apps.core.audit import Actor
from apps.core.mail import Letter, send_letter
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.reconciliation import morning_wording as words
from apps.reconciliation.models import Morning, MorningMail, MorningReader
from apps.reconciliation.selectors.mornings import (
    MAILED_ROWS,
    day_morning,
    get_mail,
    last_day,
    mail_readers,
)

#: When the members are told although a bill is missing, China time; later where the portal began to look only then.
DEADLINE: Final = time(12)
_GRACE: Final = timedelta(hours=1)
TELL_TASK: Final = "reconciliation.morning"
MAIL_TASK: Final = "reconciliation.morning_mail"
#: When a mail is looked at again that another worker is sending.
_LATER: Final = timedelta(minutes=2)


def _deadline(day: date, *, now: datetime) -> datetime:
    noon = datetime.combine(day + timedelta(days=1), DEADLINE, tzinfo=clock.CHINA).astimezone(UTC)
    return max(noon, now + _GRACE)


def _ask(morning: Morning, *, due_at: datetime) -> None:
    outbox.enqueue(
        task=TELL_TASK,
        merchant_id=morning.merchant_id,
        subject_id=morning.pk,
        due_at=due_at,
    )


def _expect(day: date, *, now: datetime) -> tuple[Morning, bool]:
    return Morning.objects.get_or_create(
        merchant_id=current_merchant_id(),
        day=day,
        defaults={"deadline_at": _deadline(day, now=now)},
    )


def expect_morning(*, now: datetime) -> Morning:
    """The row that follows this morning, made if it is missing, and its deadline as a due. Asking again changes nothing."""
    with transaction.atomic():
        morning, made = _expect(last_day(now), now=now)
        if made:
            _ask(morning, due_at=morning.deadline_at)
    return morning


def look_again(*, day: date, now: datetime) -> None:
    """A day was matched: where it is this morning's and was not told yet, see whether all of it is ready.

    To be called in the transaction that matched it, as its last statement.
    """
    if day != last_day(now):
        return
    morning, _made = _expect(day, now=now)
    if morning.told_at is None:
        _ask(morning, due_at=now)


def tell_morning(*, morning_id: int, now: datetime) -> datetime | None:
    """Tell the members of a day that is ready, or whose deadline has passed; returns when to look again, None when told.

    Whoever wants the mail gets a row, once, and the mails leave after this commits. A day without anything to say and one
    that is over since long are told without mails.
    """
    with transaction.atomic():
        morning = Morning.objects.select_for_update().filter(pk=morning_id).first()
        if morning is None or morning.told_at is not None:
            return None
        found = day_morning(day=morning.day, now=now)
        if not found.is_settled and now < morning.deadline_at:
            return morning.deadline_at
        morning.told_at = now
        morning.was_ready = found.is_settled
        morning.save(update_fields=["told_at", "was_ready"])
        is_news = morning.day == last_day(now) and not found.is_quiet
        readers = mail_readers() if is_news else []
        mails = MorningMail.objects.bulk_create(
            MorningMail(morning=morning, user=user) for user, _language in readers
        )
        for mail in mails:
            outbox.enqueue(
                task=MAIL_TASK, merchant_id=morning.merchant_id, subject_id=mail.pk, due_at=now
            )
        audit.record(
            action="morning.told",
            subject_kind="morning",
            subject_id=morning.pk,
            actor=Actor.system("reconciliation"),
            at=now,
            data={
                "day": morning.day.isoformat(),
                "ready": found.is_settled,
                "rows": found.row_count,
                "matched": found.matched_count,
                "open": found.open_count,
                "missing": [one.account.label for one in found.awaited],
                "mails": len(mails),
            },
        )
        live.publish(kind="morning", subject_id=morning.pk, store_id=None)
    return None


def send_mail(*, mail_id: int, now: datetime) -> datetime | None:
    """Send one member's mail of a morning, unless it has left or is no longer wanted; returns when to look again.

    One worker at a time holds a mail. Should a process be killed between the mail server's word and our note of it, the mail
    goes out again under the same Message-ID. Network call: to be called outside a transaction. Raises
    MorningMail.DoesNotExist and what the mail server's client raises.
    """
    with outbox.turn(task=f"{MAIL_TASK}/{mail_id}", places=1) as mine:
        if not mine:
            return now + _LATER
        mail = get_mail(mail_id)
        languages = {user.pk: language for user, language in mail_readers()}
        if mail.sent_at is not None or mail.user_id not in languages:
            return None
        _send(mail, language=languages[mail.user_id], now=now)
        MorningMail.objects.filter(pk=mail.pk).update(sent_at=now)
    return None


def _send(mail: MorningMail, *, language: str, now: datetime) -> None:
    merchant = Merchant.objects.get(pk=mail.merchant_id)
    day = mail.morning.day
    found = day_morning(day=day, now=now)
    page = reverse("reconciliation:morning", args=[merchant.slug])
    wish = reverse("reconciliation:morning_mail", args=[merchant.slug])
    context = {
        "merchant": merchant,
        "found": found,
        "now": now,
        "link": f"{settings.PUBLIC_URL}{page}?day={day}",
        "wish_link": f"{settings.PUBLIC_URL}{wish}",
        "runs_link": f"{settings.PUBLIC_URL}/m/{merchant.slug}/reconciliation/",
    }
    known = [code for code, _name in settings.LANGUAGES]
    send_letter(
        to=mail.user.email,
        languages=[language] if language in known else known,
        letter=lambda: Letter(
            subject=words.subject(found, merchant),
            context={**context, "told": words.tell(found, now=now, size=MAILED_ROWS)},
        ),
        template="reconciliation/mail/morning",
        message_id=f"<morning-{mail.merchant_id}-{mail.pk}@{urlsplit(settings.PUBLIC_URL).hostname}>",
        headers={
            "List-Unsubscribe": f"<{context['wish_link']}>",
            "Auto-Submitted": "auto-generated",
        },
    )


def set_mail_wish(
    *, member: User, is_wanted: bool, language: str, actor: Actor, now: datetime
) -> None:
    """A member wants the morning's mail or not, and in which language ("": each of the portal's)."""
    with transaction.atomic():
        MorningReader.objects.update_or_create(
            merchant_id=current_merchant_id(),
            user=member,
            defaults={"is_wanted": is_wanted, "language": language, "updated_at": now},
        )
        audit.record(
            action="morning.mail_chosen",
            subject_kind="member",
            subject_id=member.pk,
            actor=actor,
            at=now,
            data={"wanted": is_wanted, "language": language},
        )
