"""A shop of one person waits instead: asked for with a second factor, told at once, void by any change."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import NoCooling, NotAllowed, Stale, start_cooling, withdraw
from apps.approvals.tests.factories import ask, choose, leave_alone, paid_in, vote
from apps.approvals.tests.test_views import code_of, give_totp
from apps.core import clock, tasks
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.merchants.models import Membership, Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.refunds.models import Refund, RefundState

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def shop() -> Shop:
    """A shop of one owner, who chose to wait a day, some days ago."""
    shop = make_shop()
    choose(shop, cooling_hours=24, now=NOW - 3 * DAY)
    leave_alone(shop, "owner")
    return shop


@pytest.fixture
def payment(shop: Shop) -> Payment:
    return paid_in(shop)


@pytest.fixture
def approval(shop: Shop, payment: Payment) -> Approval:
    return ask(shop, payment, role="owner")


def start(
    shop: Shop, approval: Approval, *, role: str = "owner", factor: bool = True, digest: bytes = b""
) -> Approval:
    with inside(shop):
        return start_cooling(
            approval_id=approval.pk,
            member=shop[role],
            digest=digest or bytes(approval.digest),
            second_factor=factor,
            actor=Actor("owner@tea.test"),
            now=NOW,
        )


def after(shop: Shop, wait: timedelta) -> tuple[str, str]:
    """What became of the approval and its refund."""
    tasks.drain(now=NOW + wait, task="approvals.cool")
    with inside(shop):
        return Approval.objects.get().state, Refund.objects.get().state


WAITS = (ApprovalState.PENDING, RefundState.WAITING)
DONE = (ApprovalState.APPROVED, RefundState.READY)
VOID = (ApprovalState.VOIDED, RefundState.CANCELLED)


def test_it_is_carried_out_after_the_delay(shop: Shop, approval: Approval) -> None:
    started = start(shop, approval)
    assert started.cools_until == NOW + DAY
    assert after(shop, DAY - HOUR) == WAITS
    assert after(shop, DAY) == DONE
    # A worker that comes again finds nothing to do.
    assert after(shop, 2 * DAY) == DONE
    with inside(shop):
        said = list(AuditEvent.objects.values_list("action", flat=True))
        assert said.count("approval.cooled") == 1
    assert not Due.objects.filter(task="approvals.expire").exists()


def test_the_owner_is_told_at_once_and_at_the_end(shop: Shop, approval: Approval) -> None:
    start(shop, approval)
    tasks.drain(now=NOW, task="approvals.mail")
    assert [message.to for message in mail.outbox] == [["owner@tea.test"]]
    body = str(mail.outbox[0].body)
    assert "¥300.00" in body
    assert reverse("approvals:approval_detail", args=[shop.slug, approval.pk]) in body
    after(shop, DAY)
    tasks.drain(now=NOW + DAY, task="approvals.mail")
    assert len(mail.outbox) == 2


def test_without_it_nothing_is_carried_out(shop: Shop, approval: Approval) -> None:
    assert after(shop, 2 * DAY) == WAITS


def test_a_second_factor_is_needed(shop: Shop, approval: Approval) -> None:
    with pytest.raises(NotAllowed, match="factor"):
        start(shop, approval, factor=False)
    assert after(shop, 2 * DAY) == WAITS


def test_it_can_be_cancelled_until_then(shop: Shop, approval: Approval, payment: Payment) -> None:
    start(shop, approval)
    with inside(shop):
        withdraw(
            approval_id=approval.pk, member=shop["owner"], actor=Actor("x"), now=NOW + 23 * HOUR
        )
        payment.refresh_from_db()
        assert payment.refund_reserved_minor == 0
        with pytest.raises(Stale):
            withdraw(approval_id=approval.pk, member=shop["owner"], actor=Actor("x"), now=NOW)
    assert after(shop, DAY) == VOID


def test_any_change_voids_it(shop: Shop, approval: Approval) -> None:
    start(shop, approval)
    with inside(shop):
        Refund.objects.update(amount_minor=29_999)
    assert after(shop, DAY) == VOID


def test_what_was_shown_is_what_is_asked(shop: Shop, approval: Approval) -> None:
    with pytest.raises(Stale):
        start(shop, approval, digest=b"x" * 32)


def test_not_twice(shop: Shop, approval: Approval) -> None:
    start(shop, approval)
    with pytest.raises(NoCooling):
        start(shop, approval)


def test_not_where_the_merchant_did_not_choose_it(shop: Shop, payment: Payment) -> None:
    choose(shop, now=NOW - DAY)
    approval = ask(shop, payment, role="owner")
    with pytest.raises(NoCooling):
        start(shop, approval)


def test_not_on_the_day_on_which_it_was_chosen() -> None:
    """Who stole a session cannot switch it on and use it."""
    shop = make_shop()
    leave_alone(shop, "owner")
    choose(shop, cooling_hours=12, now=NOW - HOUR)
    approval = ask(shop, paid_in(shop), role="owner")
    with pytest.raises(NoCooling):
        start(shop, approval)


def test_not_while_somebody_else_may(shop: Shop, approval: Approval) -> None:
    Membership.objects.filter(user=shop["finance"]).update(is_active=True)
    with pytest.raises(NoCooling):
        start(shop, approval)


def test_not_by_somebody_else(shop: Shop, approval: Approval) -> None:
    with pytest.raises(NotAllowed, match="requester"):
        start(shop, approval, role="cashier")


def test_not_for_whom_the_right_is_missing(shop: Shop, payment: Payment) -> None:
    """A cashier alone on the team could not confirm a colleague's refund either."""
    Membership.objects.filter(user=shop["cashier"]).update(is_active=True)
    approval = ask(shop, payment, role="cashier")
    leave_alone(shop, "cashier")
    with pytest.raises(NoCooling):
        start(shop, approval, role="cashier")


def test_a_second_member_ends_the_delay(shop: Shop, approval: Approval) -> None:
    start(shop, approval)
    Membership.objects.filter(user=shop["finance"]).update(is_active=True)
    assert after(shop, DAY) == WAITS
    with inside(shop):
        assert Approval.objects.get().cools_until is None
    # The new member is asked, and decides.
    tasks.drain(now=NOW + DAY, task="approvals.notify")
    assert [message.to for message in mail.outbox] == [["finance@tea.test"]]
    vote(shop, approval, "finance", now=NOW + DAY + HOUR)
    assert after(shop, DAY) == DONE


def test_a_second_member_may_refuse_during_the_delay(shop: Shop, approval: Approval) -> None:
    start(shop, approval)
    Membership.objects.filter(user=shop["finance"]).update(is_active=True)
    vote(shop, approval, "finance", approved=False, now=NOW + HOUR)
    assert after(shop, DAY) == (ApprovalState.REJECTED, RefundState.REJECTED)


@pytest.mark.parametrize("values", [{"is_active": False}, {"role": Role.CASHIER}])
def test_who_lost_the_right_meanwhile_gets_nothing(
    shop: Shop, approval: Approval, values: dict[str, object]
) -> None:
    start(shop, approval)
    Membership.objects.filter(user=shop["owner"]).update(**values)
    assert after(shop, DAY) == WAITS


def test_switched_off_meanwhile(shop: Shop, approval: Approval) -> None:
    start(shop, approval)
    choose(shop, now=NOW + HOUR)
    assert after(shop, DAY) == WAITS


def test_too_late_it_expires(shop: Shop, approval: Approval) -> None:
    start(shop, approval)
    assert after(shop, 2 * DAY) == WAITS
    tasks.drain(now=NOW + 2 * DAY, task="approvals.expire")
    assert after(shop, 2 * DAY)[0] == ApprovalState.EXPIRED


class TestDatabase:
    @pytest.mark.parametrize(
        ("begun", "until"),
        [
            (NOW, NOW + HOUR),
            (NOW - 2 * DAY, NOW - DAY),
            (NOW, NOW + 12 * HOUR),
            (NOW + 40 * DAY, NOW + 41 * DAY),
        ],
    )
    def test_no_shorter_delay(
        self, shop: Shop, approval: Approval, begun: object, until: object
    ) -> None:
        with inside(shop), pytest.raises(IntegrityError), transaction.atomic():
            Approval.objects.update(cools_from=begun, cools_until=until)

    def test_not_before_the_delay_is_over(self, shop: Shop, approval: Approval) -> None:
        start(shop, approval)
        with inside(shop):
            with pytest.raises(IntegrityError, match="nobody else"), transaction.atomic():
                Approval.objects.update(state="approved", decided_at=NOW + DAY - HOUR)
            with pytest.raises(IntegrityError), transaction.atomic():
                Approval.objects.update(cools_until=NOW + 13 * HOUR)

    def test_not_where_the_merchant_did_not_choose_it(self) -> None:
        shop = make_shop()
        ask(shop, paid_in(shop))
        with inside(shop), pytest.raises(IntegrityError, match="not allowed"), transaction.atomic():
            Approval.objects.update(cools_from=NOW, cools_until=NOW + 3 * DAY)


class TestPage:
    def test_asked_with_the_second_factor_shown_and_cancelled(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        # The session's records carry the true time.
        now = clock.now()
        approval = ask(shop, payment, role="owner", now=now)
        place = reverse("approvals:approval_detail", args=[shop.slug, approval.pk])
        sent = {"decision": "cool", "digest": bytes(approval.digest).hex()}
        client.force_login(shop["owner"])
        page = client.get(place, HTTP_ACCEPT_LANGUAGE="en")
        assert page.context["cooling_hours"] == 24
        assert 'value="cool"' not in page.text
        client.post(place, sent)
        with inside(shop):
            assert Approval.objects.get().cools_until is None

        secret = give_totp(shop["owner"])
        client.force_login(shop["owner"])
        page = client.get(place)
        answer = client.post(page.context["step_up_url"], {"code": code_of(secret)})
        assert answer.headers["Location"] == place
        assert 'value="cool"' in client.get(place).text
        client.post(place, sent)
        page = client.get(place, HTTP_ACCEPT_LANGUAGE="en")
        assert page.context["cools"]
        assert "hours left" in page.text
        client.post(place, {**sent, "decision": "withdraw"})
        with inside(shop):
            assert Approval.objects.get().state == ApprovalState.VOIDED


def test_a_longer_delay_holds_at_once_for_one_that_runs(shop: Shop, approval: Approval) -> None:
    start(shop, approval)
    choose(shop, cooling_hours=72, now=NOW + HOUR)
    assert after(shop, 24 * HOUR) == WAITS
    assert after(shop, 71 * HOUR) == WAITS
