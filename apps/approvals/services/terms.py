"""Changing how confirmations run: what tightens holds at once, what loosens a day later."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.models import ApprovalTerms
from apps.approvals.selectors import newest_terms, terms_in_force
from apps.approvals.services.notices import owners
from apps.approvals.terms import LOOSER_AFTER, Terms
from apps.core import audit, outbox
from apps.core.audit import Actor
from apps.core.mail import send_in_every_language
from apps.core.names import named
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant

TERMS_TASK: Final = "approvals.terms_mail"


class TermsChanged(Exception):
    """Somebody else wrote a version after the one that the writer saw."""


@transaction.atomic
def change_terms(
    *, terms: Terms, seen: int, member: User | None, actor: Actor, now: datetime
) -> ApprovalTerms | None:
    """Write new terms; ``seen`` is the number of the newest version that the writer saw, 0 for none.

    Returns the version that holds them, which also replaces one still to come; None where nothing differs. Where some values
    tighten and others loosen, the tightened ones hold at once by a version of their own. Raises TermsChanged.
    """
    # One writer at a time a merchant: versions are numbered without gaps.
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())
    newest = newest_terms()
    number = newest.number if newest else 0
    if number != seen:
        raise TermsChanged
    today = terms_in_force(now)
    planned = newest is not None and newest.effective_at > now
    strict = today.strictest(terms)
    # Saved once more without a change: what is planned keeps its moment.
    last = today if newest is None or not planned else _values(newest)
    if terms == last:
        return None
    row: ApprovalTerms | None = None
    if terms == strict or strict != today:
        row = _write(strict, number + 1, effective_at=now, member=member, actor=actor, now=now)
    if terms != strict:
        number = row.number if row else number
        row = _write(
            terms, number + 1, effective_at=now + LOOSER_AFTER, member=member, actor=actor, now=now
        )
        # A stolen session must not loosen them unseen.
        outbox.enqueue(task=TERMS_TASK, merchant_id=row.merchant_id, subject_id=row.pk, due_at=now)
    return row


def _values(row: ApprovalTerms) -> Terms:
    return Terms(**{field.name: getattr(row, field.name) for field in fields(Terms)})


def _write(
    terms: Terms,
    number: int,
    *,
    effective_at: datetime,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> ApprovalTerms:
    values = asdict(terms)
    row: ApprovalTerms = ApprovalTerms.objects.create(
        number=number, effective_at=effective_at, made_by=member, made_at=now, **values
    )
    audit.record(
        action="approval_terms.changed",
        subject_kind="approval_terms",
        subject_id=row.pk,
        actor=actor,
        at=now,
        data={"version": number, "effective_at": effective_at.isoformat(), **values},
    )
    return row


def deliver_terms(*, terms_id: int, now: datetime) -> int:
    """Mail every owner that looser terms are about to hold; returns how many mails left, none where they were replaced.

    Network call: to be called outside a transaction. Raises what the mail server's client raises.
    """
    row = newest_terms()
    if row is None or row.pk != terms_id or row.effective_at <= now:
        return 0
    merchant = Merchant.objects.get(pk=row.merchant_id)
    path = reverse("approvals:terms", args=[merchant.slug])
    return send_in_every_language(
        to=[owner.user.email for owner in owners()],
        subject=lambda: (
            gettext("%(merchant)s: confirmations are about to be made easier")
            % {"merchant": named(merchant)}
        ),
        template="approvals/mail/terms.txt",
        context={
            "merchant": merchant,
            "terms": row,
            "who": row.made_by.display_name if row.made_by else "",
            "link": f"{settings.PUBLIC_URL}{path}",
        },
    )
