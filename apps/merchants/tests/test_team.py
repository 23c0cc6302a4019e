"""The team: members, the matrix, invitations from mail to membership."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.core import clock, tasks
from apps.core.models import AuditEvent, Due
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Invitation, Membership, Merchant, Role, Store
from apps.merchants.roles import ALL_PERMISSIONS
from apps.merchants.selectors import PERMISSION_WORDS, invitation_token, role_matrix
from apps.merchants.services import (
    AlreadyInvited,
    AlreadyMember,
    InvitationClosed,
    LastOwner,
    OwnMembership,
    UnknownStores,
    WrongPerson,
    accept_invitation,
    change_member,
    invite,
    resend_invitation,
    set_member_active,
    withdraw_invitation,
)
from apps.merchants.tasks import send_invitation
from apps.merchants.tests.teams import (
    ACTOR,
    NOW,
    make_member,
    make_merchant,
    make_store,
    make_user,
)

pytestmark = pytest.mark.django_db


def _invite(
    merchant: Merchant, email: str = "new@example.com", role: str = Role.FINANCE
) -> Invitation:
    owner = Membership.objects.filter(merchant=merchant, role=Role.OWNER).first()
    assert owner is not None
    with enter_scope(Scope(merchant.pk)):
        return invite(
            email=email,
            role=role,
            store_ids=None,
            invited_by=owner.user,
            actor=ACTOR,
            now=clock.now(),
        )


def test_every_permission_has_words() -> None:
    assert set(PERMISSION_WORDS) == ALL_PERMISSIONS
    rows = {row.permission: row.granted for row in role_matrix()}
    # Owner, manager, finance, cashier, auditor.
    assert rows["team.manage"] == (True, False, False, False, False)
    assert rows["refunds.request"] == (True, True, True, True, False)


class TestMembers:
    def test_the_last_owner_stays_an_owner(self) -> None:
        merchant, owner, _ = make_merchant()
        membership = Membership.objects.get(user=owner)
        with enter_scope(Scope(merchant.pk)):
            with pytest.raises(LastOwner):
                set_member_active(membership_id=membership.pk, active=False, actor=ACTOR, now=NOW)
            with pytest.raises(LastOwner):
                change_member(
                    membership_id=membership.pk,
                    role=Role.MANAGER,
                    store_ids=None,
                    actor=ACTOR,
                    now=NOW,
                )
            assert not AuditEvent.objects.filter(action__startswith="member.chan").exists()
        membership.refresh_from_db()
        assert (membership.role, membership.is_active) == (Role.OWNER, True)

    def test_a_deactivated_owner_does_not_count(self) -> None:
        merchant, owner, _ = make_merchant()
        second = make_member(merchant, Role.OWNER)
        with enter_scope(Scope(merchant.pk)):
            set_member_active(membership_id=second.pk, active=False, actor=ACTOR, now=NOW)
            with pytest.raises(LastOwner):
                set_member_active(
                    membership_id=Membership.objects.get(user=owner).pk,
                    active=False,
                    actor=ACTOR,
                    now=NOW,
                )

    def test_nobody_changes_their_own_membership(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        make_member(merchant, Role.OWNER)
        membership = Membership.objects.get(user=owner)
        client.force_login(owner)
        args = [merchant.slug, membership.pk]
        data = {"role": Role.CASHIER, "reach": "all"}
        assert client.post(reverse("merchants:member_edit", args=args), data).status_code == 422
        client.post(reverse("merchants:member_deactivate", args=args))
        membership.refresh_from_db()
        assert (membership.role, membership.is_active) == (Role.OWNER, True)

    def test_own_membership_is_refused_in_the_service(self) -> None:
        merchant, owner, _ = make_merchant()
        make_member(merchant, Role.OWNER)
        membership = Membership.objects.get(user=owner)
        actor = type(ACTOR)("owner", owner.pk)
        with enter_scope(Scope(merchant.pk)), pytest.raises(OwnMembership):
            set_member_active(membership_id=membership.pk, active=False, actor=actor, now=NOW)

    def test_role_and_stores_change(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        member = make_member(merchant, Role.CASHIER)
        client.force_login(owner)
        url = reverse("merchants:member_edit", args=[merchant.slug, member.pk])
        assert client.get(url).status_code == 200
        none = client.post(url, {"role": Role.MANAGER, "reach": "some"})
        assert none.status_code == 422
        assert list(none.context["form"].errors) == ["stores"]
        data = {"role": Role.MANAGER, "reach": "some", "stores": [store.pk]}
        assert client.post(url, data).status_code == 302
        member.refresh_from_db()
        assert (member.role, member.store_ids) == (Role.MANAGER, [store.pk])
        # Owners reach all stores, whatever was ticked.
        client.post(url, data | {"role": Role.OWNER})
        member.refresh_from_db()
        assert (member.role, member.store_ids) == (Role.OWNER, None)

    def test_another_merchants_store_is_refused(self) -> None:
        merchant, _, _ = make_merchant()
        _, _, strange = make_merchant()
        member = make_member(merchant)
        with enter_scope(Scope(merchant.pk)), pytest.raises(UnknownStores):
            change_member(
                membership_id=member.pk,
                role=Role.CASHIER,
                store_ids=[strange.pk],
                actor=ACTOR,
                now=NOW,
            )
        member.refresh_from_db()
        assert member.store_ids is None

    def test_deactivated_member_is_out_at_once_and_may_return(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        member = make_member(merchant, Role.AUDITOR)
        listing = reverse("merchants:member_list", args=[merchant.slug])
        theirs = Client()
        theirs.force_login(member.user)
        assert theirs.get(listing).status_code == 200
        client.force_login(owner)
        args = [merchant.slug, member.pk]
        assert client.get(reverse("merchants:member_deactivate", args=args)).status_code == 200
        client.post(reverse("merchants:member_deactivate", args=args))
        assert theirs.get(listing).status_code == 404
        assert client.get(listing).status_code == 200
        client.post(reverse("merchants:member_readmit", args=args))
        assert theirs.get(listing).status_code == 200
        with enter_scope(Scope(merchant.pk)):
            actions = AuditEvent.objects.filter(
                subject_kind="member", subject_id=member.pk
            ).order_by("pk")
            assert [event.action for event in actions] == [
                "member.joined",
                "member.deactivated",
                "member.readmitted",
            ]


class TestPages:
    @pytest.mark.parametrize(
        ("role", "reads", "writes"),
        [
            (Role.OWNER, 200, 200),
            (Role.MANAGER, 200, 403),
            (Role.FINANCE, 200, 403),
            (Role.AUDITOR, 200, 403),
            (Role.CASHIER, 403, 403),
        ],
    )
    def test_roles(self, client: Client, role: str, reads: int, writes: int) -> None:
        merchant, _, _ = make_merchant()
        target = make_member(merchant)
        invitation = _invite(merchant)
        client.force_login(make_member(merchant, role).user)
        slug = merchant.slug
        assert client.get(reverse("merchants:member_list", args=[slug])).status_code == reads
        pages: list[tuple[str, list[Any]]] = [
            ("member_invite", [slug]),
            ("member_edit", [slug, target.pk]),
            ("member_deactivate", [slug, target.pk]),
            ("invitation_withdraw", [slug, invitation.pk]),
        ]
        for name, args in pages:
            assert client.get(reverse(f"merchants:{name}", args=args)).status_code == writes
        settings = client.get(reverse("merchants:settings", args=[slug]))
        assert settings.status_code == (200 if role == Role.OWNER else 403)

    def test_store_limited_members_are_shut_out(self, client: Client) -> None:
        merchant, _, store = make_merchant()
        client.force_login(make_member(merchant, Role.MANAGER, stores=[store]).user)
        assert client.get(reverse("merchants:member_list", args=[merchant.slug])).status_code == 403

    def test_another_merchants_members_are_not_found(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        other, _, _ = make_merchant()
        strange = make_member(other)
        invitation = _invite(other)
        client.force_login(owner)
        for name, pk in [
            ("member_edit", strange.pk),
            ("member_deactivate", strange.pk),
            ("member_readmit", strange.pk),
            ("invitation_resend", invitation.pk),
            ("invitation_withdraw", invitation.pk),
        ]:
            url = reverse(f"merchants:{name}", args=[merchant.slug, pk])
            assert client.post(url).status_code == 404
        strange.refresh_from_db()
        assert strange.is_active
        assert client.get(reverse("merchants:member_list", args=[other.slug])).status_code == 404

    def test_list_costs_the_same_for_many(
        self, client: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        merchant, owner, _ = make_merchant()
        store = make_store(merchant)
        for number in range(4):
            make_member(merchant, Role.CASHIER, stores=[store])
            _invite(merchant, f"new{number}@example.com")
        client.force_login(owner)
        # Session, user, membership, scope in and out, stores' names, members, second factors, invitations,
        # what waits, memberships for the switch.
        with django_assert_num_queries(11):
            client.get(reverse("merchants:member_list", args=[merchant.slug]))


class TestInvitations:
    def test_from_mail_to_membership(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        client.force_login(owner)
        data = {
            "email": "New@Example.com",
            "role": Role.CASHIER,
            "reach": "some",
            "stores": [store.pk],
        }
        url = reverse("merchants:member_invite", args=[merchant.slug])
        assert client.post(url, data).status_code == 302
        assert Due.objects.get().task == "merchants.send_invitation"
        assert tasks.drain(now=clock.now()) == 1
        assert not Due.objects.exists()
        (message,) = mail.outbox
        assert message.to == ["new@example.com"]
        link = re.search(r"http://localhost:8000(/invitations/\w+/)", str(message.body))
        assert link is not None

        guest = Client()
        page = guest.get(link[1])
        assert page.status_code == 200
        assert f"next={link[1]}".replace("/", "%2F") in page.content.decode()
        assert guest.post(link[1]).status_code == 200
        assert Membership.objects.count() == 1

        newcomer = make_user("new@example.com")
        guest.force_login(newcomer)
        # The session remembers the invitation: log-in leads back to it and not to "name your merchant".
        assert guest.get("/start/").headers["Location"] == link[1]
        joined = guest.post(link[1])
        assert joined.headers["Location"] == f"/m/{merchant.slug}/"
        membership = Membership.objects.get(user=newcomer)
        assert (membership.role, membership.store_ids) == (Role.CASHIER, [store.pk])
        assert guest.get("/start/").headers["Location"] == f"/m/{merchant.slug}/"
        assert guest.post(link[1]).status_code == 409
        with enter_scope(Scope(merchant.pk)):
            actions = AuditEvent.objects.filter(subject_kind="invitation").order_by("pk")
            assert [event.action for event in actions] == [
                "invitation.created",
                "invitation.accepted",
            ]

    def test_only_the_invited_address_may_join(self, client: Client) -> None:
        merchant, _, _ = make_merchant()
        invitation = _invite(merchant)
        url = reverse("invitation", args=[invitation_token(invitation)])
        client.force_login(make_user("else@example.com"))
        assert client.post(url).status_code == 200
        with enter_scope(Scope(merchant.pk)), pytest.raises(WrongPerson):
            accept_invitation(
                invitation_id=invitation.pk,
                user=make_user("new@example.com", verified=False),
                actor=ACTOR,
                now=clock.now(),
            )
        assert Membership.objects.count() == 1

    def test_withdrawn_and_expired_links_say_so(self, client: Client) -> None:
        merchant, _, _ = make_merchant()
        user = make_user("new@example.com")
        invitation = _invite(merchant)
        with enter_scope(Scope(merchant.pk)):
            with pytest.raises(InvitationClosed):
                accept_invitation(
                    invitation_id=invitation.pk,
                    user=user,
                    actor=ACTOR,
                    now=invitation.expires_at,
                )
            withdraw_invitation(invitation_id=invitation.pk, actor=ACTOR, now=clock.now())
            with pytest.raises(InvitationClosed):
                resend_invitation(invitation_id=invitation.pk, actor=ACTOR, now=clock.now())
        assert not Due.objects.exists()
        client.force_login(user)
        url = reverse("invitation", args=[invitation_token(invitation)])
        assert client.get(url).context["state"] == "withdrawn"
        assert client.post(url).status_code == 409
        assert Membership.objects.count() == 1

    def test_resending_gives_seven_more_days_under_the_same_link(self) -> None:
        merchant, _, _ = make_merchant()
        invitation = _invite(merchant)
        token = invitation_token(invitation)
        tasks.drain(now=clock.now())
        later = clock.now() + timedelta(days=8)
        with enter_scope(Scope(merchant.pk)):
            resend_invitation(invitation_id=invitation.pk, actor=ACTOR, now=later)
            invitation.refresh_from_db()
        assert invitation.expires_at == later + timedelta(days=7)
        tasks.drain(now=later)
        assert len(mail.outbox) == 2
        assert all(token in str(message.body) for message in mail.outbox)

    def test_a_withdrawn_invitation_is_not_sent(self) -> None:
        merchant, _, _ = make_merchant()
        invitation = _invite(merchant)
        with enter_scope(Scope(merchant.pk)):
            Invitation.objects.update(withdrawn_at=NOW)
            assert send_invitation(invitation.pk, clock.now()) is None
        assert not mail.outbox

    def test_members_and_waiting_addresses_are_not_invited_again(self) -> None:
        merchant, owner, _ = make_merchant()
        _invite(merchant)
        with pytest.raises(AlreadyInvited):
            _invite(merchant, "NEW@example.com")
        with pytest.raises(AlreadyMember):
            _invite(merchant, owner.email)
        with enter_scope(Scope(merchant.pk)):
            assert Invitation.objects.count() == 1
            Invitation.objects.update(expires_at=NOW - timedelta(days=999))
        _invite(merchant)
        with enter_scope(Scope(merchant.pk)):
            assert Invitation.objects.filter(withdrawn_at=None).count() == 1

    def test_a_member_who_accepts_keeps_the_role(self) -> None:
        merchant, _, _ = make_merchant()
        user = make_user("new@example.com")
        invitation = _invite(merchant, role=Role.AUDITOR)
        make_member(merchant, Role.MANAGER, user=user)
        with enter_scope(Scope(merchant.pk)):
            membership = accept_invitation(
                invitation_id=invitation.pk, user=user, actor=ACTOR, now=clock.now()
            )
        assert membership.role == Role.MANAGER

    def test_an_invitation_to_a_lost_store_is_not_widened(self) -> None:
        merchant, owner, _ = make_merchant()
        store = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            invitation = invite(
                email="new@example.com",
                role=Role.CASHIER,
                store_ids=[store.pk],
                invited_by=owner,
                actor=ACTOR,
                now=clock.now(),
            )
            Store.objects.filter(pk=store.pk).delete()
            with pytest.raises(UnknownStores):
                accept_invitation(
                    invitation_id=invitation.pk,
                    user=make_user("new@example.com"),
                    actor=ACTOR,
                    now=clock.now(),
                )
        assert Membership.objects.count() == 1

    def test_unknown_token_is_not_found(self, client: Client) -> None:
        assert client.get("/invitations/nothing/").status_code == 404
