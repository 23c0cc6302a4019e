"""The pages of confirmations, with a refund as what is confirmed."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState, Decision
from apps.approvals.services import deliver_request
from apps.core import clock, tasks
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.merchants.models import Membership, Role, Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop, make_user
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.refunds import services
from apps.refunds.models import Refund, RefundState

pytestmark = pytest.mark.django_db

DESK = Actor("cashier@tea.test")
APPROVERS = {Role.OWNER, Role.MANAGER, Role.FINANCE}


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages see the day on which the requests were made."""
    monkeypatch.setattr("apps.core.clock.now", lambda: NOW)


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def payment(shop: Shop) -> Payment:
    with inside(shop):
        return make_paid(shop, make_account(shop), minor=900_000)


def ask(shop: Shop, payment: Payment, *, role: str = "cashier", now: datetime = NOW) -> Approval:
    with inside(shop):
        refund = services.request_refund(
            payment_id=payment.pk,
            amount=Money(30_000),
            reason="茶凉了",
            member=shop[role],
            actor=DESK,
            now=now,
        )
        assert refund.approval is not None
        approval: Approval = refund.approval
        return approval


def url(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"approvals:{name}", args=[shop.slug, *args])


def decide(
    client: Client, shop: Shop, approval: Approval, decision: str = "approve", **changes: str
) -> Any:
    data = {"decision": decision, "digest": bytes(approval.digest).hex(), "reason": "", **changes}
    return client.post(url("approval_detail", shop, approval.pk), data)


def standing(shop: Shop) -> tuple[str, str, int]:
    """The only approval's and refund's states, and how many decisions there are."""
    with inside(shop):
        return (
            Approval.objects.get().state,
            Refund.objects.get().state,
            Decision.objects.count(),
        )


PENDING = (ApprovalState.PENDING, RefundState.WAITING, 0)


def give_totp(user: User) -> str:
    """Switch a one-time code on for ``user``; returns its secret."""
    secret = str(generate_totp_secret())
    TOTP.activate(user, secret)
    return secret


def code_of(secret: str) -> str:
    counter = next(iter(yield_hotp_counters_from_time()))
    return str(format_hotp_value(hotp_value(secret, counter)))


class TestAccess:
    @pytest.mark.parametrize("role", Role.values)
    def test_each_role(self, client: Client, shop: Shop, payment: Payment, role: str) -> None:
        # The one who asks is another member with the same role.
        asker = make_user("asker@tea.test")
        Membership.objects.create(merchant=shop.merchant, user=asker, role=Role.CASHIER)
        shop.members["asker"] = asker
        approval = ask(shop, payment, role="asker")
        client.force_login(shop[role])
        listed = client.get(url("approval_list", shop))
        assert len(listed.context["mine"]) == (1 if role in APPROVERS else 0)
        # A cashier sees what they asked for themselves.
        expected = 0 if role in APPROVERS or role == Role.CASHIER else 1
        assert len(listed.context["others"]) == expected
        page = client.get(url("approval_detail", shop, approval.pk))
        if role == Role.CASHIER:
            assert page.status_code == 404
            decide(client, shop, approval)
            assert standing(shop) == PENDING
            return
        assert page.context["may_decide"] is (role in APPROVERS)
        assert len(page.context["others"]) == (0 if role in APPROVERS else 3)
        assert listed.context["waiting_count"]() == (1 if role in APPROVERS else 0)
        decide(client, shop, approval)
        if role in APPROVERS:
            assert standing(shop) == (ApprovalState.APPROVED, RefundState.READY, 1)
        else:
            assert standing(shop) == PENDING

    def test_a_stranger_finds_nothing(self, client: Client, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment)
        other = make_shop("bar")
        client.force_login(other["owner"])
        for place in (shop, other):
            assert client.get(url("approval_detail", place, approval.pk)).status_code == 404
            assert decide(client, place, approval).status_code == 404
        assert client.get(url("approval_list", shop)).status_code == 404
        assert client.get(url("approval_list", other)).context["mine"] == []
        assert standing(shop) == PENDING

    def test_another_store_is_closed(self, client: Client, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment)
        with inside(shop):
            other = Store.objects.create(name="二号店")
        user = make_user("limited@tea.test")
        Membership.objects.create(
            merchant=shop.merchant, user=user, role=Role.MANAGER, store_ids=[other.pk]
        )
        client.force_login(user)
        page = client.get(url("approval_list", shop))
        assert (page.context["mine"], page.context["others"]) == ([], [])
        assert page.context["waiting_count"]() == 0
        assert client.get(url("approval_detail", shop, approval.pk)).status_code == 404
        assert decide(client, shop, approval).status_code == 404
        assert standing(shop) == PENDING

    def test_an_error_page_counts_nothing(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["owner"])
        assert client.get(url("approval_detail", shop, 999)).status_code == 404


class TestDeciding:
    def test_the_page_shows_what_the_digest_covers(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        approval = ask(shop, payment)
        client.force_login(shop["finance"])
        page = client.get(url("approval_detail", shop, approval.pk))
        assert page.context["digest"] == bytes(approval.digest).hex()
        text = page.content.decode()
        for shown in ("¥300.00", "茶凉了", payment.order_no, "¥9,000.00", "cashier@tea.test"):
            assert shown in text

    def test_nobody_confirms_their_own(self, client: Client, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment, role="owner")
        client.force_login(shop["owner"])
        page = client.get(url("approval_detail", shop, approval.pk))
        assert page.context["is_requester"]
        assert not page.context["may_decide"]
        # Manager and finance.
        assert len(page.context["others"]) == 2
        for decision in ("approve", "refuse"):
            assert decide(client, shop, approval, decision, reason="x").status_code == 302
        assert standing(shop) == PENDING

    def test_without_a_second_factor(self, client: Client, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment)
        client.force_login(shop["finance"])
        response = decide(client, shop, approval)
        assert response.headers["Location"] == url("approval_detail", shop, approval.pk)
        assert standing(shop) == (ApprovalState.APPROVED, RefundState.READY, 1)
        with inside(shop):
            assert not Decision.objects.get().second_factor

    def test_a_refusal_says_why(self, client: Client, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment)
        client.force_login(shop["finance"])
        response = decide(client, shop, approval, "refuse", reason="  ")
        assert response.status_code == 422
        assert list(response.context["form"].errors) == ["reason"]
        assert standing(shop) == PENDING
        assert decide(client, shop, approval, "refuse", reason="没有小票").status_code == 302
        assert standing(shop) == (ApprovalState.REJECTED, RefundState.REJECTED, 1)
        with inside(shop):
            payment.refresh_from_db()
            assert payment.refund_reserved_minor == 0
            assert Decision.objects.get().reason == "没有小票"

    def test_another_digest_than_shown_ends_it(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        approval = ask(shop, payment)
        client.force_login(shop["finance"])
        response = decide(client, shop, approval, digest="0" * 64)
        assert response.status_code == 302
        assert standing(shop) == (ApprovalState.VOIDED, RefundState.CANCELLED, 0)

    def test_a_changed_subject_ends_it(self, client: Client, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment)
        with inside(shop):
            Refund.objects.update(reason="别的理由")
        client.force_login(shop["finance"])
        page = client.get(url("approval_detail", shop, approval.pk))
        assert page.context["changed"]
        decide(client, shop, approval, digest=page.context["digest"])
        assert standing(shop) == (ApprovalState.VOIDED, RefundState.CANCELLED, 0)

    @pytest.mark.parametrize("digest", ["", "xyz", "0" * 63])
    def test_a_broken_digest_decides_nothing(
        self, client: Client, shop: Shop, payment: Payment, digest: str
    ) -> None:
        approval = ask(shop, payment)
        client.force_login(shop["finance"])
        assert decide(client, shop, approval, digest=digest).status_code == 422
        assert standing(shop) == PENDING

    def test_twice_and_after_the_end(self, client: Client, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment)
        client.force_login(shop["finance"])
        decide(client, shop, approval)
        client.force_login(shop["manager"])
        for decision in ("approve", "refuse"):
            decide(client, shop, approval, decision, reason="x")
        assert standing(shop) == (ApprovalState.APPROVED, RefundState.READY, 1)
        page = client.get(url("approval_list", shop))
        assert len(page.context["decided"]) == 1
        assert page.context["decided"][0]["deciders"] == "finance@tea.test"


class TestSecondFactor:
    @pytest.fixture(autouse=True)
    def _now(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The session's records carry the true time.
        monkeypatch.undo()

    @pytest.fixture
    def approval(self, shop: Shop, payment: Payment) -> Approval:
        return ask(shop, payment, now=clock.now())

    def test_it_is_asked_for_before_the_button(
        self, client: Client, shop: Shop, approval: Approval
    ) -> None:
        secret = give_totp(shop["finance"])
        client.force_login(shop["finance"])
        page = client.get(url("approval_detail", shop, approval.pk))
        assert not page.context["has_factor"]
        assert 'value="approve"' not in page.content.decode()
        # Posted all the same: nothing happens.
        assert decide(client, shop, approval).status_code == 302
        assert standing(shop) == PENDING

        step_up = page.context["step_up_url"]
        place = url("approval_detail", shop, approval.pk)
        assert client.get(step_up).status_code == 200
        answer = client.post(step_up, {"code": code_of(secret)})
        assert answer.headers["Location"] == place
        page = client.get(place)
        assert page.context["has_factor"]
        decide(client, shop, approval)
        assert standing(shop) == (ApprovalState.APPROVED, RefundState.READY, 1)
        with inside(shop):
            assert Decision.objects.get().second_factor

    def test_a_password_is_none(self, client: Client, shop: Shop, approval: Approval) -> None:
        give_totp(shop["finance"])
        client.force_login(shop["finance"])
        answer = client.post(reverse("account_reauthenticate"), {"password": "secret"})
        assert answer.status_code == 302
        assert not client.get(url("approval_detail", shop, approval.pk)).context["has_factor"]
        decide(client, shop, approval)
        assert standing(shop) == PENDING

    @pytest.mark.parametrize("age", [299, 301])
    def test_it_ages(self, client: Client, shop: Shop, approval: Approval, age: int) -> None:
        give_totp(shop["finance"])
        client.force_login(shop["finance"])
        session = client.session
        session["account_authentication_methods"] = [
            {"method": "mfa", "type": "totp", "at": time.time() - age}
        ]
        session["account_authentication_methods_user"] = str(shop["finance"].pk)
        session.save()
        decide(client, shop, approval)
        assert standing(shop)[0] == (ApprovalState.APPROVED if age < 300 else ApprovalState.PENDING)

    def test_a_refusal_needs_none(self, client: Client, shop: Shop, approval: Approval) -> None:
        give_totp(shop["finance"])
        client.force_login(shop["finance"])
        decide(client, shop, approval, "refuse", reason="没有小票")
        assert standing(shop)[0] == ApprovalState.REJECTED

    def test_a_passkey_is_asked_for_first(
        self, client: Client, shop: Shop, approval: Approval
    ) -> None:
        give_totp(shop["finance"])
        Authenticator.objects.create(user=shop["finance"], type="webauthn", data={"name": "key"})
        client.force_login(shop["finance"])
        page = client.get(url("approval_detail", shop, approval.pk))
        assert page.context["step_up_url"].startswith(reverse("mfa_reauthenticate_webauthn"))


class TestMail:
    def test_those_who_may_confirm_are_told(self, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment, role="manager")
        assert tasks.drain(now=NOW, task="approvals.notify") == 1
        assert not Due.objects.filter(task="approvals.notify").exists()
        assert sorted(message.to[0] for message in mail.outbox) == [
            "finance@tea.test",
            "owner@tea.test",
        ]
        body = str(mail.outbox[0].body)
        assert f"http://localhost:8000{url('approval_detail', shop, approval.pk)}" in body
        assert "¥300.00" in body
        assert "manager@tea.test" in body

    def test_not_after_the_end(self, shop: Shop, payment: Payment) -> None:
        approval = ask(shop, payment)
        with inside(shop):
            services.cancel_refund(refund_id=approval.subject_id, actor=DESK, now=NOW)
            assert deliver_request(approval_id=approval.pk, now=NOW) == 0
        assert mail.outbox == []


class TestQueries:
    def test_the_list_does_not_grow(
        self,
        client: Client,
        shop: Shop,
        payment: Payment,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        client.force_login(shop["owner"])
        for _round in range(2):
            for role in ("cashier", "owner", "manager"):
                decided = ask(shop, payment, role=role)
                ask(shop, payment, role=role)
                with inside(shop):
                    Decision.objects.create(
                        approval=decided,
                        requested_by_id=decided.requested_by_id,
                        member=shop["finance"],
                        approved=False,
                        digest=decided.digest,
                        decided_at=NOW,
                    )
                    Approval.objects.filter(pk=decided.pk).update(
                        state=ApprovalState.REJECTED, decided_at=NOW
                    )
            with django_assert_num_queries(12):
                client.get(url("approval_list", shop))
