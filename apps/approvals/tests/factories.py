"""A refund that waits for confirmation, and shops of one person."""

from __future__ import annotations

from datetime import datetime

from apps.approvals.models import Approval, ApprovalState, Decision
from apps.approvals.selectors import newest_terms
from apps.approvals.services import change_terms, decide
from apps.approvals.terms import Terms
from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.models import Membership
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, inside
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.refunds.services import request_refund

DESK = Actor("cashier@tea.test")


def paid_in(shop: Shop) -> Payment:
    """A payment of ¥9,000.00."""
    with inside(shop):
        return make_paid(shop, make_account(shop), minor=900_000)


def ask(
    shop: Shop, payment: Payment, *, role: str = "cashier", minor: int = 30_000, now: datetime = NOW
) -> Approval:
    """The approval of a refund of ¥300.00 that a member asked for."""
    with inside(shop):
        refund = request_refund(
            payment_id=payment.pk,
            amount=Money(minor),
            reason="茶凉了",
            member=shop[role],
            actor=DESK,
            now=now,
        )
        assert refund.approval is not None
        approval: Approval = refund.approval
        return approval


def vote(
    shop: Shop,
    approval: Approval,
    role: str,
    *,
    approved: bool = True,
    second_factor: bool = False,
    now: datetime = NOW,
) -> Decision:
    """A member's yes or no, as by the page."""
    with inside(shop):
        membership = Membership.objects.get(merchant=shop.merchant, user=shop[role])
        decide(
            approval_id=approval.pk,
            member=shop[role],
            permissions=permissions_of(membership.role, all_stores=True),
            approved=approved,
            digest=bytes(approval.digest),
            reason="x",
            second_factor=second_factor,
            actor=Actor(shop[role].email, shop[role].pk),
            now=now,
        )
        found: Decision = Decision.objects.get(approval=approval, member=shop[role])
        return found


def confirm(approval: Approval, *, now: datetime) -> None:
    """Whoever else may confirm says yes until it is approved; within the scope."""
    members = Membership.objects.filter(merchant_id=approval.merchant_id, is_active=True)
    for membership in members.exclude(user=approval.requested_by).order_by("pk"):
        permissions = permissions_of(membership.role, all_stores=True)
        approval.refresh_from_db()
        if approval.state != ApprovalState.PENDING or approval.permission not in permissions:
            continue
        decide(
            approval_id=approval.pk,
            member=membership.user,
            permissions=permissions,
            approved=True,
            digest=bytes(approval.digest),
            reason="x",
            second_factor=True,
            actor=Actor(membership.user.email, membership.user_id),
            now=now,
        )


def leave_alone(shop: Shop, *staying: str) -> None:
    """Everybody but these roles leaves the team."""
    users = [shop[role] for role in staying]
    Membership.objects.filter(merchant=shop.merchant).exclude(user__in=users).update(
        is_active=False
    )


def choose(shop: Shop, *, now: datetime = NOW, **values: int | bool) -> None:
    """Terms of the merchant, as the owner writes them."""
    with inside(shop):
        newest = newest_terms()
        change_terms(
            terms=Terms(**values),  # type: ignore[arg-type]  # hours and switches by name
            seen=newest.number if newest else 0,
            member=shop["owner"],
            actor=Actor("owner@tea.test"),
            now=now,
        )
