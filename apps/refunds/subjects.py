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
from apps.refunds.models import Refund
from apps.refunds.selectors import rule_of
from apps.refunds.services import release_refund, void_refund
from apps.refunds.services.requesting import refund_digest


class RefundSubject(ApprovalSubject):
    """A refund above the rule's threshold."""

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
