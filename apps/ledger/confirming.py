"""Adjustments under four eyes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from typing_extensions import override

from apps.approvals.models import Approval
from apps.approvals.subjects import ApprovalSubject, Description
from apps.core import clock
from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger import followers
from apps.ledger.endings import ending_words
from apps.ledger.models import Adjustment
from apps.ledger.selectors import get_adjustment, lines_of, papers_of, reason_words
from apps.ledger.services import adjustment_digest, release_adjustment, void_adjustment
from apps.merchants.models import Merchant


class AdjustmentSubject(ApprovalSubject):
    """An adjustment above the merchant's limit."""

    label = gettext_lazy("Adjustment")

    @override
    def describe(self, approval: Approval, *, slug: str) -> Description:
        adjustment = get_adjustment(approval.subject_id)
        merchant = Merchant.objects.get(pk=approval.merchant_id)
        day = clock.business_date(adjustment.at, merchant.day_starts_at)
        facts = [
            (_("Kind of reason"), reason_words(adjustment.reason)),
            (_("Memo"), adjustment.memo),
            (_("For the business day"), day.isoformat()),
        ]
        if adjustment.reverses_id is not None:
            facts.append((_("Undoes adjustment"), f"#{adjustment.reverses_id}"))
        for line in lines_of(adjustment):
            side = _("Debit") if line.amount_minor > 0 else _("Credit")
            amount = Money(abs(line.amount_minor)).display()
            facts.append((side, f"{line.account.code} {line.account.name}: {amount}"))
        for paper in papers_of(adjustment):
            size = f"{paper.get_kind_display()}, {filesizeformat(paper.byte_count)}"
            facts.append((_("Paper"), f"{paper.filename} ({size}, SHA-256 {paper.sha256[:12]}…)"))
        return Description(
            title=_("Adjustment"),
            amount_minor=adjustment.amount_minor,
            facts=facts,
            url=reverse("ledger:adjustment_detail", args=[slug, adjustment.pk]),
        )

    @override
    def digest(self, subject_id: int) -> bytes:
        return adjustment_digest(Adjustment.objects.get(pk=subject_id))

    @override
    def hold(self, subject_id: int) -> None:
        followers.hold(Adjustment.objects.get(pk=subject_id))

    @override
    def lapsed(self, subject_id: int) -> str:
        return followers.lapsed(Adjustment.objects.get(pk=subject_id))

    @override
    def endings(self, approvals: Collection[Approval]) -> Mapping[int, str]:
        rows = Adjustment.objects.filter(approval_id__in=[each.pk for each in approvals])
        found = {row.approval_id or 0: ending_words(row) for row in rows}
        return {pk: said for pk, said in found.items() if said}

    @override
    def execute(self, approval: Approval, *, actor: Actor, now: datetime) -> None:
        release_adjustment(approval=approval, actor=actor, now=now)

    @override
    def void(self, approval: Approval, *, reason: str, actor: Actor, now: datetime) -> None:
        void_adjustment(approval=approval, reason=reason, actor=actor, now=now)
