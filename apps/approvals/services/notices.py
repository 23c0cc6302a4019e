"""Telling members of an approval: at once, again, and higher up; each step at most once, a mail a member."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from apps.approvals.models import (
    Approval,
    ApprovalMail,
    ApprovalNotice,
    ApprovalState,
    Decision,
    NoticeStep,
)
from apps.approvals.selectors import deciders, get_approval
from apps.approvals.subjects import subject_for
from apps.approvals.terms import Terms
from apps.core import audit, live, outbox
from apps.core.audit import Actor
from apps.core.mail import send_in_every_language
from apps.core.names import named
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Membership, Merchant, Role

NOTIFY_TASK: Final = "approvals.notify"
EXPIRE_TASK: Final = "approvals.expire"
REMIND_TASK: Final = "approvals.remind"
ESCALATE_TASK: Final = "approvals.escalate"
COOL_TASK: Final = "approvals.cool"
MAIL_TASK: Final = "approvals.mail"
#: When a mail is looked at again that another worker is sending.
_LATER: Final = timedelta(minutes=2)
_SUBJECTS: Final[dict[str, Promise]] = {
    NoticeStep.REMIND: gettext_lazy("%(merchant)s: your confirmation is still asked for"),
    NoticeStep.ESCALATE: gettext_lazy("%(merchant)s: nobody has confirmed yet"),
    NoticeStep.COOLING: gettext_lazy(
        "%(merchant)s: it will be carried out without a second person"
    ),
    NoticeStep.COOLED: gettext_lazy("%(merchant)s: carried out without a second person"),
}


def plan(approval: Approval, terms: Terms) -> None:
    """What happens to a new approval by itself, in the caller's transaction."""
    _enqueue(EXPIRE_TASK, approval, approval.expires_at)
    _enqueue(NOTIFY_TASK, approval, approval.requested_at)
    for task, hours in (
        (REMIND_TASK, terms.remind_hours),
        (ESCALATE_TASK, terms.escalate_hours),
    ):
        if 0 < hours < terms.expire_hours:
            _enqueue(task, approval, approval.requested_at + timedelta(hours=hours))


def _enqueue(task: str, approval: Approval, at: datetime) -> None:
    outbox.enqueue(task=task, merchant_id=approval.merchant_id, subject_id=approval.pk, due_at=at)


def expire_at(approval: Approval, at: datetime) -> None:
    """Let it expire then, and not before."""
    outbox.forget(task=EXPIRE_TASK, merchant_id=approval.merchant_id, subject_id=approval.pk)
    _enqueue(EXPIRE_TASK, approval, at)


def ask_again(approval: Approval, now: datetime) -> None:
    """Mail those who may confirm, now: somebody may who could not before."""
    _enqueue(NOTIFY_TASK, approval, now)


def forget(approval: Approval) -> None:
    """It is over: nobody is told any more."""
    tasks = (EXPIRE_TASK, REMIND_TASK, ESCALATE_TASK, COOL_TASK)
    outbox.forget_all(dict.fromkeys(tasks, approval.pk), merchant_id=approval.merchant_id)


def _pending(approval_id: int, now: datetime) -> Approval | None:
    approval = get_approval(approval_id)
    waits = (
        approval is not None
        and approval.state == ApprovalState.PENDING
        and now < approval.expires_at
        # Nobody is to hurry: it is carried out by itself, unless somebody else may confirm by then.
        and approval.cools_until is None
    )
    return approval if waits else None


def _who_may(approval: Approval, now: datetime) -> list[Membership]:
    decisions = Decision.objects.filter(approval=approval)
    spoken = {who for pair in decisions.values_list("member_id", "on_behalf_of_id") for who in pair}
    return [
        member
        for member in deciders(
            permission=approval.permission,
            store_id=approval.store_id,
            besides=approval.requested_by_id,
            now=now,
        )
        if member.user_id not in spoken
    ]


def owners() -> list[Membership]:
    """The active owners of the merchant in scope."""
    return list(
        Membership.objects.select_related("user")
        .filter(
            merchant_id=current_merchant_id(),
            role=Role.OWNER,
            is_active=True,
            user__is_active=True,
        )
        .order_by("pk")
    )


def remind(*, approval_id: int, now: datetime) -> None:
    """Tell those who may confirm, once more and once only. Does nothing where it no longer waits."""
    approval = _pending(approval_id, now)
    if approval is not None:
        readers = [member.user_id for member in _who_may(approval, now)]
        tell(approval, NoticeStep.REMIND, readers=readers, now=now)


def escalate(*, approval_id: int, now: datetime) -> None:
    """Tell the owners, and the managers who may confirm, once: nobody has. The requester too, where that is the only owner."""
    approval = _pending(approval_id, now)
    if approval is None:
        return
    managers = {member.user_id for member in _who_may(approval, now) if member.role == Role.MANAGER}
    owning = {member.user_id for member in owners()}
    others = (owning | managers) - {approval.requested_by_id}
    tell(approval, NoticeStep.ESCALATE, readers=sorted(others or owning), now=now)


@transaction.atomic
def tell(approval: Approval, step: NoticeStep, *, readers: Iterable[int], now: datetime) -> None:
    """Write down that these users are told, and mail them by the outbox; nothing where this step was told before."""
    notice, made = ApprovalNotice.objects.get_or_create(
        merchant_id=approval.merchant_id, approval=approval, step=step, defaults={"at": now}
    )
    if not made:
        return
    mails = ApprovalMail.objects.bulk_create(
        ApprovalMail(notice=notice, user_id=user_id) for user_id in dict.fromkeys(readers)
    )
    for mail in mails:
        outbox.enqueue(
            task=MAIL_TASK, merchant_id=approval.merchant_id, subject_id=mail.pk, due_at=now
        )
    audit.record(
        action="approval.told",
        subject_kind="approval",
        subject_id=approval.pk,
        actor=Actor.system("approvals"),
        at=now,
        store_id=approval.store_id,
        data={"step": step.value, "mails": len(mails)},
    )
    live.publish(
        kind="approval",
        subject_id=approval.pk,
        store_id=approval.store_id,
        member_id=approval.requested_by_id,
    )


def send_mail(*, mail_id: int, now: datetime) -> datetime | None:
    """Send one member's mail of a notice, unless it has left or is no longer true; returns when to look again.

    One worker at a time holds a mail. Network call: to be called outside a transaction. Raises what the mail server's client
    raises.
    """
    with outbox.turn(task=f"{MAIL_TASK}/{mail_id}", places=1) as mine:
        if not mine:
            return now + _LATER
        mail = (
            ApprovalMail.objects.select_related("notice__approval__requested_by", "user")
            .filter(pk=mail_id, sent_at=None)
            .first()
        )
        if mail is None:
            return None
        approval = mail.notice.approval
        wanted = (
            ApprovalState.APPROVED
            if mail.notice.step == NoticeStep.COOLED
            else ApprovalState.PENDING
        )
        if approval.state == wanted:
            words = _SUBJECTS[mail.notice.step]
            _mail(
                approval,
                to=[mail.user.email],
                subject=words,
                template=f"approvals/mail/{mail.notice.step}.txt",
            )
        ApprovalMail.objects.filter(pk=mail.pk).update(sent_at=now)
    return None


def deliver_request(*, approval_id: int, now: datetime) -> int:
    """Mail those who may confirm a pending request, in both languages since the readers' are unknown.

    Returns how many mails left: none when it was decided meanwhile. Network call: to be called outside a transaction.
    Raises what the mail server's client raises.
    """
    approval = _pending(approval_id, now)
    if approval is None:
        return 0
    return _mail(
        approval,
        to=[member.user.email for member in _who_may(approval, now)],
        subject=gettext_lazy("%(merchant)s: your confirmation is asked for"),
        template="approvals/mail/request.txt",
    )


def _mail(approval: Approval, *, to: list[str], subject: Promise, template: str) -> int:
    merchant = Merchant.objects.get(pk=approval.merchant_id)
    path = reverse("approvals:approval_detail", args=[merchant.slug, approval.pk])
    return send_in_every_language(
        to=to,
        subject=lambda: str(subject) % {"merchant": named(merchant)},
        template=template,
        context={
            "merchant": merchant,
            "approval": approval,
            "requester": approval.requested_by.display_name,
            "label": subject_for(approval.subject_kind).label,
            "amount_minor": approval.summary.get("amount_minor"),
            "reason": approval.summary.get("reason", ""),
            "link": f"{settings.PUBLIC_URL}{path}",
        },
    )
