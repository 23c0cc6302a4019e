"""Reminder and escalation: each once, to the right members, and not after the end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail

from apps.approvals import services
from apps.approvals.models import ApprovalMail, ApprovalNotice
from apps.approvals.tests.factories import ask, choose, leave_alone, paid_in, vote
from apps.core import tasks
from apps.core.models import Due
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def shop() -> Shop:
    return make_shop()


def pass_time(hours: int) -> list[str]:
    """What is due by then is done; who got a mail."""
    mail.outbox.clear()
    for task in ("remind", "escalate", "mail"):
        tasks.drain(now=NOW + hours * HOUR, task=f"approvals.{task}")
    return sorted(message.to[0] for message in mail.outbox)


def test_each_step_is_told_once(shop: Shop) -> None:
    approval = ask(shop, paid_in(shop))
    assert pass_time(11) == []
    assert pass_time(12) == ["finance@tea.test", "manager@tea.test", "owner@tea.test"]
    assert "still" in str(mail.outbox[0].body)
    assert pass_time(23) == []
    # Owners, and managers who may confirm.
    assert pass_time(24) == ["manager@tea.test", "owner@tea.test"]
    with inside(shop):
        # The broker may deliver a task again.
        services.remind(approval_id=approval.pk, now=NOW + 30 * HOUR)
        services.escalate(approval_id=approval.pk, now=NOW + 30 * HOUR)
        assert ApprovalNotice.objects.count() == 2
        assert not ApprovalMail.objects.filter(sent_at=None).exists()
    assert pass_time(48) == []


def test_who_has_spoken_is_left_alone(shop: Shop) -> None:
    payment = paid_in(shop)
    approval = ask(shop, payment, minor=600_000)
    assert approval.needed >= 1
    if approval.needed == 2:
        vote(shop, approval, "finance")
        assert pass_time(12) == ["manager@tea.test", "owner@tea.test"]


def test_not_after_the_end(shop: Shop) -> None:
    approval = ask(shop, paid_in(shop))
    vote(shop, approval, "finance")
    assert not Due.objects.filter(
        task__in=["approvals.remind", "approvals.escalate", "approvals.expire"]
    ).exists()
    with inside(shop):
        services.remind(approval_id=approval.pk, now=NOW + 12 * HOUR)
        assert not ApprovalNotice.objects.exists()


def test_a_mail_that_waits_is_not_sent_after_the_end(shop: Shop) -> None:
    approval = ask(shop, paid_in(shop))
    tasks.drain(now=NOW + 12 * HOUR, task="approvals.remind")
    vote(shop, approval, "finance")
    assert pass_time(12) == []


def test_the_only_owner_hears_that_nobody_confirms(shop: Shop) -> None:
    leave_alone(shop, "owner", "cashier")
    ask(shop, paid_in(shop), role="owner")
    assert pass_time(12) == []
    assert pass_time(24) == ["owner@tea.test"]


def test_switched_off_nobody_is_told(shop: Shop) -> None:
    choose(shop, remind_hours=0, escalate_hours=0, now=NOW - 48 * HOUR)
    ask(shop, paid_in(shop))
    assert pass_time(71) == []
