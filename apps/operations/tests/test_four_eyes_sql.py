"""Four eyes against SQL typed with the application's own role, which may write these tables but owns nothing."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from apps.approvals.models import Approval
from apps.approvals.tests.factories import ask, paid_in, vote
from apps.merchants.tests.factories import Shop, inside
from apps.operations.tests.test_privileges import application
from apps.payments.models import Payment
from apps.refunds.models import Refund

__all__ = ["application"]

Session = psycopg.Connection[tuple[object, ...]]
REFUSED = (errors.RestrictViolation, errors.CheckViolation, errors.UniqueViolation)


@pytest.fixture
def typed(application: tuple[Shop, Session]) -> tuple[Shop, Approval, Session]:
    """A shop with a refund that the cashier asked for and nobody has confirmed, and somebody who types SQL."""
    shop, session = application
    approval = ask(shop, paid_in(shop))
    session.execute(f"SET app.merchant_id = '{shop.merchant.pk}'")
    session.execute("SET app.allow_truncate = 'on'")
    return shop, approval, session


DECISION = """
INSERT INTO approvals_decision
    (merchant_id, approval_id, requested_by_id, member_id, approved, digest, reason, second_factor, decided_at)
VALUES (%(merchant)s, %(approval)s, %(requester)s, %(member)s, true, {digest}, '', true, {at})
"""
OURS = "(SELECT digest FROM approvals_approval WHERE id = %(approval)s)"
IN_TIME = (
    "(SELECT requested_at + interval '1 minute' FROM approvals_approval WHERE id = %(approval)s)"
)
LATE = "(SELECT expires_at FROM approvals_approval WHERE id = %(approval)s)"


def names(shop: Shop, approval: Approval, member: str) -> dict[str, object]:
    return {
        "merchant": shop.merchant.pk,
        "approval": approval.pk,
        "requester": approval.requested_by_id,
        "member": shop[member].pk,
    }


def test_nothing_is_approved_or_done_by_hand(typed: tuple[Shop, Approval, Session]) -> None:
    """No statement of these gets anything through, alone or in a row."""
    _shop, _approval, session = typed
    for statement in (
        "UPDATE approvals_approval SET state = 'approved', decided_at = requested_at",
        "UPDATE approvals_approval SET needed = 0",
        "UPDATE approvals_approval SET summary = '{\"amount_minor\": 1}'",
        "UPDATE approvals_approval SET digest = sha256('x')",
        "UPDATE approvals_approval SET permission = 'dashboard.view'",
        "UPDATE approvals_approval SET requested_by_id = (SELECT min(user_id) FROM merchants_membership)",
        "UPDATE approvals_approval SET expires_at = expires_at + interval '9 days'",
        "UPDATE approvals_approval SET cools_from = requested_at, cools_until = requested_at + interval '1 day'",
        "DELETE FROM approvals_approval",
        "UPDATE refunds_refund SET state = 'ready'",
        "UPDATE refunds_refund SET state = 'succeeded'",
        "UPDATE refunds_refund SET approval_id = NULL, state = 'ready'",
    ):
        with pytest.raises(REFUSED):
            session.execute(statement)


def test_self_approval(typed: tuple[Shop, Approval, Session]) -> None:
    shop, approval, session = typed
    with pytest.raises(errors.CheckViolation, match="not_the_requester"):
        session.execute(DECISION.format(digest=OURS, at=IN_TIME), names(shop, approval, "cashier"))
    # Naming another requester does not help: the key to the approval repeats the true one.
    wrong = {**names(shop, approval, "cashier"), "requester": shop["owner"].pk}
    with pytest.raises(errors.ForeignKeyViolation, match="decision_wall"):
        session.execute(DECISION.format(digest=OURS, at=IN_TIME), wrong)


def test_tampered_and_late(typed: tuple[Shop, Approval, Session]) -> None:
    shop, approval, session = typed
    for digest, at in (("sha256('x')", IN_TIME), (OURS, LATE)):
        with pytest.raises(errors.RestrictViolation, match="nothing of this kind"):
            session.execute(DECISION.format(digest=digest, at=at), names(shop, approval, "finance"))


def test_who_left_does_not_decide(typed: tuple[Shop, Approval, Session]) -> None:
    shop, approval, session = typed
    session.execute(
        "UPDATE merchants_membership SET is_active = false WHERE user_id = %s", [shop["finance"].pk]
    )
    with pytest.raises(errors.RestrictViolation, match="only members"):
        session.execute(DECISION.format(digest=OURS, at=IN_TIME), names(shop, approval, "finance"))


def test_replay_and_what_was_confirmed(typed: tuple[Shop, Approval, Session]) -> None:
    """After the true decision: no second one, no other amount, no second life."""
    shop, approval, session = typed
    vote(shop, approval, "finance")
    for statement in (
        "UPDATE approvals_approval SET state = 'pending', decided_at = NULL",
        "UPDATE approvals_approval SET summary = '{}'",
        "UPDATE refunds_refund SET amount_minor = amount_minor + 1",
        "UPDATE refunds_refund SET reason = 'x'",
        "UPDATE refunds_refund SET approval_id = NULL",
    ):
        with pytest.raises(REFUSED):
            session.execute(statement)
    with pytest.raises(errors.RestrictViolation, match="nothing of this kind"):
        session.execute(DECISION.format(digest=OURS, at=IN_TIME), names(shop, approval, "manager"))
    with pytest.raises(errors.InsufficientPrivilege):
        session.execute("UPDATE approvals_decision SET member_id = %s", [shop["owner"].pk])
    with pytest.raises(errors.InsufficientPrivilege):
        session.execute("UPDATE approvals_approvalterms SET cooling_hours = 12")
    # The portal itself goes on with it.
    with inside(shop):
        assert Refund.objects.update(state="processing") == 1


def test_one_approval_serves_nothing_else(typed: tuple[Shop, Approval, Session]) -> None:
    """A refund that waits does not pass by another's approval."""
    shop, approval, session = typed
    vote(shop, approval, "finance")
    with inside(shop):
        payment = Payment.objects.get()
    second = ask(shop, payment)
    with pytest.raises(errors.RestrictViolation, match=r"not taken away|waits for another"):
        session.execute(
            "UPDATE refunds_refund SET approval_id = %s, state = 'ready' WHERE approval_id = %s",
            [approval.pk, second.pk],
        )
