"""Refunds under four eyes."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from typing_extensions import override

from apps.approvals.models import Approval
from apps.approvals.subjects import ApprovalSubject, Description
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.names import named
from apps.core.templatetags.portal import china_time
from apps.refunds import batchwords, rulewords
from apps.refunds.models import Refund, RefundBatch, RefundRuleDraft
from apps.refunds.rulefacts import refund_book
from apps.refunds.selectors import batch_names, outcomes_of, rule_of, store_names, wish_of
from apps.refunds.services import (
    release_batch,
    release_refund,
    release_rules,
    void_batch,
    void_refund,
    void_rules,
)
from apps.refunds.services.batches import batch_digest, hold_batch
from apps.refunds.services.requesting import refund_digest
from apps.refunds.services.rules import draft_digest, hold_rules


class RefundSubject(ApprovalSubject):
    """A refund that the rules put under four eyes."""

    label = gettext_lazy("Refund")

    @override
    def describe(self, approval: Approval, *, slug: str) -> Description:
        refund = Refund.objects.select_related("payment__order", "store").get(
            pk=approval.subject_id
        )
        payment = refund.payment
        paid = Money(payment.amount_minor, payment.currency)
        return Description(
            title=_("Refund"),
            amount_minor=refund.amount_minor,
            facts=[
                (_("Refund number"), refund.refund_no),
                (_("Payment number"), payment.order_no),
                (_("Paid"), paid.display()),
                (_("For"), payment.order.subject),
                (_("Store"), named(refund.store) if refund.store else _("No store")),
                (_("Reason"), refund.reason),
                (_("Rule"), rule_of(refund)),
            ],
            url=reverse("reports:order_detail", args=[slug, payment.order_id]),
        )

    @override
    def digest(self, subject_id: int) -> bytes:
        return refund_digest(Refund.objects.select_related("payment").get(pk=subject_id))

    @override
    def execute(self, approval: Approval, *, actor: Actor, now: datetime) -> None:
        release_refund(approval=approval, actor=actor, now=now)

    @override
    def void(self, approval: Approval, *, reason: str, actor: Actor, now: datetime) -> None:
        void_refund(approval=approval, reason=reason, actor=actor, now=now)


class RulesSubject(ApprovalSubject):
    """A draft of the refund rules that is to come into force."""

    label = gettext_lazy("Refund rules")

    @override
    def describe(self, approval: Approval, *, slug: str) -> Description:
        draft = RefundRuleDraft.objects.get(pk=approval.subject_id)
        book = refund_book(draft.content)
        since = _("As soon as they are confirmed")
        if draft.effective_at is not None:
            since = str(china_time(draft.effective_at, "minutes"))
        facts = [(_("They hold from"), since)]
        for line in rulewords.lines(book, store_names()):
            label = _("Rule %(number)d") % {"number": line.number} if line.number else _("Last")
            facts.append((label, f"{line.sentence} {line.note}".strip()))
        return Description(
            title=_("Refund rules"),
            amount_minor=None,
            facts=facts,
            url=reverse("refunds:rule_draft", args=[slug]),
        )

    @override
    def digest(self, subject_id: int) -> bytes:
        return draft_digest(RefundRuleDraft.objects.get(pk=subject_id))

    @override
    def hold(self, subject_id: int) -> None:
        hold_rules()

    @override
    def execute(self, approval: Approval, *, actor: Actor, now: datetime) -> None:
        release_rules(approval=approval, actor=actor, now=now)

    @override
    def void(self, approval: Approval, *, reason: str, actor: Actor, now: datetime) -> None:
        void_rules(approval=approval, actor=actor, now=now)


class BatchSubject(ApprovalSubject):
    """Refunds of many payments, as one list."""

    label = gettext_lazy("Refunds of many payments")

    @override
    def describe(self, approval: Approval, *, slug: str) -> Description:
        batch = RefundBatch.objects.get(pk=approval.subject_id)
        return Description(
            title=_("Refunds of many payments"),
            amount_minor=batch.total_minor,
            facts=[
                (_("How many"), batchwords.payments_words(batch.total_count)),
                (_("Of each"), batchwords.share_words(batch.share_kind, batch.share_value)),
                (_("Chosen by"), batchwords.wish_words(wish_of(batch.wish), batch_names(batch))),
                (_("Reason"), batch.reason),
                *batchwords.outcome_facts(outcomes_of(batch)),
            ],
            url=reverse("refunds:batch_detail", args=[slug, batch.pk]),
        )

    @override
    def digest(self, subject_id: int) -> bytes:
        return batch_digest(RefundBatch.objects.get(pk=subject_id))

    @override
    def hold(self, subject_id: int) -> None:
        hold_batch(subject_id)

    @override
    def execute(self, approval: Approval, *, actor: Actor, now: datetime) -> None:
        release_batch(approval=approval, actor=actor, now=now)

    @override
    def void(self, approval: Approval, *, reason: str, actor: Actor, now: datetime) -> None:
        void_batch(approval=approval, reason=reason, actor=actor, now=now)
