"""Changes of the risk rules under four eyes."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from typing_extensions import override

from apps.approvals.models import Approval
from apps.approvals.subjects import ApprovalSubject, Description
from apps.core.audit import Actor
from apps.risk.models import RiskDraft, RiskRuleBook
from apps.risk.rules import read_rules
from apps.risk.services import (
    draft_digest,
    draft_lapsed,
    hold_books,
    release_draft,
    void_draft,
)
from apps.risk.wording import change_facts


class BookSubject(ApprovalSubject):
    """A new version of the risk rules."""

    label = gettext_lazy("Change of the risk rules")

    @override
    def describe(self, approval: Approval, *, slug: str) -> Description:
        draft = RiskDraft.objects.get(pk=approval.subject_id)
        before = RiskRuleBook.objects.filter(version=draft.based_on).first()
        facts = [
            (_("In force from"), draft.effective_from.isoformat()),
            (_("Reason"), draft.reason),
            *change_facts(read_rules(before.rules if before else {}), read_rules(draft.rules)),
        ]
        return Description(
            title=_("Change of the risk rules"),
            amount_minor=None,
            facts=facts,
            url=reverse("risk:rule_list", args=[slug]),
        )

    @override
    def digest(self, subject_id: int) -> bytes:
        return draft_digest(RiskDraft.objects.get(pk=subject_id))

    @override
    def hold(self, subject_id: int) -> None:
        hold_books(subject_id)

    @override
    def lapsed(self, subject_id: int) -> str:
        return draft_lapsed(subject_id)

    @override
    def execute(self, approval: Approval, *, actor: Actor, now: datetime) -> None:
        release_draft(approval=approval, actor=actor, now=now)

    @override
    def void(self, approval: Approval, *, reason: str, actor: Actor, now: datetime) -> None:
        void_draft(approval=approval, reason=reason, actor=actor, now=now)
