"""Opening a closed day again, under four eyes."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from typing_extensions import override

from apps.approvals.models import Approval
from apps.approvals.subjects import ApprovalSubject, Description
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.templatetags.portal import china_time
from apps.reconciliation.models import DayReopening
from apps.reconciliation.selectors import count_later_closes
from apps.reconciliation.services import release_reopening, reopening_digest, void_reopening


def _reopening(pk: int) -> DayReopening:
    found: DayReopening = DayReopening.objects.select_related("close").get(pk=pk)
    return found


class ReopeningSubject(ApprovalSubject):
    """A closed business day that somebody wants open again."""

    label = gettext_lazy("Opening a closed day again")

    @override
    def describe(self, approval: Approval, *, slug: str) -> Description:
        reopening = _reopening(approval.subject_id)
        close = reopening.close
        facts = [
            (_("Business day"), close.day.isoformat()),
            (_("Closing"), _("Version %(version)d") % {"version": close.version}),
            (pgettext("day", "Closed"), china_time(close.closed_at)),
            (_("Reason"), reopening.reason),
            (_("Payments"), f"{close.payment_count} · {Money(close.payment_minor).display()}"),
            (_("Refunds"), f"{close.refund_count} · {Money(close.refund_minor).display()}"),
        ]
        later = count_later_closes(close.day)
        if later:
            facts.append((_("Later days that are closed"), str(later)))
        return Description(
            title=_("Open the day %(day)s again") % {"day": close.day.isoformat()},
            amount_minor=None,
            facts=facts,
            url=reverse("reconciliation:day_detail", args=[slug, close.day.isoformat()]),
        )

    @override
    def digest(self, subject_id: int) -> bytes:
        return reopening_digest(_reopening(subject_id))

    @override
    def execute(self, approval: Approval, *, actor: Actor, now: datetime) -> None:
        release_reopening(approval=approval, actor=actor, now=now)

    @override
    def void(self, approval: Approval, *, reason: str, actor: Actor, now: datetime) -> None:
        void_reopening(approval=approval, reason=reason, actor=actor, now=now)
