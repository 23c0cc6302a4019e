"""Standing in: for a while, never for or by the requester, never further, and only while both may."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from apps.approvals.models import Approval, ApprovalState, Decision, Delegation
from apps.approvals.selectors import deciders, voice_of, waiting_for
from apps.approvals.services import NotAllowed, NotDelegated, delegate, end_delegation
from apps.approvals.tests.factories import ask, paid_in, vote
from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.merchants.models import Membership, Role, Store
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop
from apps.refunds.models import RefundRuleBook

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.clock.now", lambda: NOW)


@pytest.fixture
def shop() -> Shop:
    """A shop where every refund is kept for owners and finance, two of them needed above ¥5,000."""
    shop = make_shop()
    with inside(shop):
        RefundRuleBook.objects.create(
            number=1,
            content={"rules": [], "otherwise": "one_finance"},
            effective_at=NOW - 9 * DAY,
            published_at=NOW - 9 * DAY,
        )
    return shop


@pytest.fixture
def approval(shop: Shop) -> Approval:
    found = ask(shop, paid_in(shop))
    assert found.permission == "refunds.approve_finance"
    return found


def hand_on(shop: Shop, giver: str = "finance", receiver: str = "manager") -> Delegation:
    with inside(shop):
        return delegate(
            giver=shop[giver],
            receiver_id=shop[receiver].pk,
            starts_at=NOW - DAY,
            ends_at=NOW + 7 * DAY,
            reason="休假",
            actor=Actor("x"),
            now=NOW,
        )


def change(shop: Shop, who: str, **values: object) -> None:
    Membership.objects.filter(merchant=shop.merchant, user=shop[who]).update(**values)


def sees(shop: Shop, role: str = "manager", after: timedelta = timedelta()) -> tuple[bool, bool]:
    """Whether the list shows it to the member, and whether the decision would be taken: they must agree."""
    with inside(shop):
        membership = Membership.objects.get(merchant=shop.merchant, user=shop[role])
        permissions = permissions_of(membership.role, all_stores=membership.store_ids is None)
        listed = waiting_for(member=shop[role], permissions=permissions, now=NOW + after).exists()
        approval = Approval.objects.get()
        return listed, voice_of(approval, member=shop[role], now=NOW + after) is not None


YES, NO = (True, True), (False, False)


def test_a_stand_in_confirms_in_the_others_place(shop: Shop, approval: Approval) -> None:
    assert sees(shop) == NO
    row = hand_on(shop)
    assert sees(shop) == YES
    decision = vote(shop, approval, "manager")
    assert (decision.on_behalf_of, decision.delegation_id) == (shop["finance"], row.pk)
    with inside(shop):
        approval.refresh_from_db()
        assert approval.state == ApprovalState.APPROVED
        event = AuditEvent.objects.get(action="approval.confirmed")
        assert event.data["on_behalf_of"] == "finance@tea.test"


def test_those_who_may_are_named_with_their_stand_ins(shop: Shop, approval: Approval) -> None:
    hand_on(shop)
    with inside(shop):
        found = deciders(
            permission=approval.permission,
            store_id=approval.store_id,
            besides=approval.requested_by_id,
            now=NOW,
        )
    assert {row.user.email for row in found} == {
        "owner@tea.test",
        "finance@tea.test",
        "manager@tea.test",
    }


def test_not_before_and_not_after(shop: Shop, approval: Approval) -> None:
    hand_on(shop)
    assert sees(shop, after=-timedelta(seconds=1)) == NO
    assert sees(shop, after=7 * DAY - timedelta(seconds=1)) == YES
    assert sees(shop, after=7 * DAY) == NO


@pytest.mark.parametrize("who", ["finance", "manager", "owner"])
def test_both_and_owners_end_it(shop: Shop, approval: Approval, who: str) -> None:
    row = hand_on(shop)
    with inside(shop):
        assert end_delegation(
            delegation_id=row.pk, member=shop[who], actor=Actor("x"), now=NOW + DAY
        )
        assert not end_delegation(
            delegation_id=row.pk, member=shop[who], actor=Actor("x"), now=NOW + DAY
        )
    assert sees(shop, after=DAY) == NO
    with pytest.raises(NotAllowed, match="permission"):
        vote(shop, approval, "manager", now=NOW + DAY)


@pytest.mark.parametrize(
    ("role", "values"),
    [
        ("finance", {"is_active": False}),
        ("finance", {"role": Role.CASHIER}),
        ("finance", {"role": Role.MANAGER}),
        ("manager", {"role": Role.AUDITOR}),
        ("manager", {"role": Role.CASHIER}),
        ("finance", {"store_ids": [999_999]}),
    ],
)
def test_it_ends_with_a_role(
    shop: Shop, approval: Approval, role: str, values: dict[str, object]
) -> None:
    hand_on(shop)
    change(shop, role, **values)
    assert sees(shop) == NO
    with pytest.raises(NotAllowed, match="permission"):
        vote(shop, approval, "manager")


def test_a_giver_of_one_store_hands_on_that_store(shop: Shop, approval: Approval) -> None:
    hand_on(shop)
    change(shop, "finance", store_ids=[shop.store.pk])
    assert sees(shop) == YES
    with inside(shop):
        other = Store.objects.create(name="二号店")
    change(shop, "finance", store_ids=[other.pk])
    assert sees(shop) == NO


def test_the_requester_has_no_stand_in_and_is_none(shop: Shop) -> None:
    hand_on(shop, "finance", "manager")
    ask(shop, paid_in(shop), role="finance")
    assert sees(shop) == NO
    with inside(shop):
        approval = Approval.objects.get()
    with pytest.raises(NotAllowed, match="permission"):
        vote(shop, approval, "manager")


def test_a_requester_who_stands_in_does_not_confirm_the_own(shop: Shop) -> None:
    hand_on(shop, "finance", "manager")
    approval = ask(shop, paid_in(shop), role="manager")
    assert sees(shop) == NO
    with pytest.raises(NotAllowed, match="requester"):
        vote(shop, approval, "manager")


def test_the_right_goes_no_further(shop: Shop, approval: Approval) -> None:
    """The owner's right does not reach the manager through finance: only what finance holds by role."""
    change(shop, "finance", role=Role.MANAGER)
    hand_on(shop, "owner", "finance")
    hand_on(shop, "finance", "manager")
    assert sees(shop, "finance") == YES
    assert sees(shop, "manager") == NO


def test_one_right_speaks_once(shop: Shop) -> None:
    with inside(shop):
        RefundRuleBook.objects.create(
            number=2,
            content={"rules": [], "otherwise": "two"},
            effective_at=NOW - DAY,
            published_at=NOW - DAY,
        )
    hand_on(shop, "finance", "manager")
    approval = ask(shop, paid_in(shop))
    assert approval.needed == 2
    vote(shop, approval, "finance")
    # The manager still has a voice by role, but none in finance's place.
    with inside(shop):
        voice = voice_of(approval, member=shop["manager"], now=NOW)
        assert voice is not None
        assert voice.delegation is None
        change(shop, "manager", role=Role.AUDITOR)
        assert voice_of(approval, member=shop["manager"], now=NOW) is None


class TestHandingOn:
    @pytest.mark.parametrize(
        ("giver", "receiver", "reason"),
        [
            ("cashier", "manager", "giver"),
            ("auditor", "manager", "giver"),
            ("owner", "cashier", "receiver"),
            ("owner", "auditor", "receiver"),
            ("owner", "owner", "receiver"),
        ],
    )
    def test_who_can(self, shop: Shop, giver: str, receiver: str, reason: str) -> None:
        with pytest.raises(NotDelegated, match=reason):
            hand_on(shop, giver, receiver)

    def test_a_stranger_receives_nothing(self, shop: Shop) -> None:
        other = make_shop("bar")
        shop.members["stranger"] = other["owner"]
        with pytest.raises(NotDelegated, match="receiver"):
            hand_on(shop, "owner", "stranger")

    def test_not_twice_at_a_time(self, shop: Shop) -> None:
        hand_on(shop)
        with pytest.raises(NotDelegated, match="twice"):
            hand_on(shop)


class TestDatabase:
    """Typed past the services."""

    def decide(self, approval: Approval, member: object, **values: object) -> None:
        with transaction.atomic():
            Decision.objects.create(
                **{
                    "approval": approval,
                    "requested_by_id": approval.requested_by_id,
                    "member": member,
                    "approved": True,
                    "digest": approval.digest,
                    "decided_at": NOW,
                    **values,
                }
            )
            check_now()

    def test_on_behalf_of_the_requester(self, shop: Shop) -> None:
        row = hand_on(shop)
        approval = ask(shop, paid_in(shop), role="finance")
        with inside(shop), pytest.raises(IntegrityError, match="not_for_requester"):
            self.decide(approval, shop["manager"], delegation=row, on_behalf_of=shop["finance"])

    def test_by_somebody_elses_delegation(self, shop: Shop, approval: Approval) -> None:
        row = hand_on(shop)
        for giver, member in (("owner", "manager"), ("finance", "auditor")):
            with inside(shop), pytest.raises(IntegrityError, match="delegation_wall"):
                self.decide(approval, shop[member], delegation=row, on_behalf_of=shop[giver])

    def test_without_a_delegation(self, shop: Shop, approval: Approval) -> None:
        with inside(shop), pytest.raises(IntegrityError):
            self.decide(approval, shop["manager"], on_behalf_of=shop["finance"])

    def test_after_its_end(self, shop: Shop, approval: Approval) -> None:
        row = hand_on(shop)
        with inside(shop):
            Delegation.objects.update(ended_at=NOW, ended_by=shop["owner"])
            with pytest.raises(IntegrityError, match="no delegation is in force"):
                self.decide(approval, shop["manager"], delegation=row, on_behalf_of=shop["finance"])

    def test_the_same_right_twice(self, shop: Shop, approval: Approval) -> None:
        row = hand_on(shop)
        with inside(shop):
            self.decide(approval, shop["finance"])
            with pytest.raises(IntegrityError, match="one_voice"):
                self.decide(approval, shop["manager"], delegation=row, on_behalf_of=shop["finance"])

    @pytest.mark.parametrize(
        "change",
        [
            {"ends_at": NOW + 900 * DAY},
            {"receiver_id": 1},
            {"giver_id": 1},
            {"starts_at": NOW - 9 * DAY},
        ],
    )
    def test_it_can_only_be_ended(self, shop: Shop, change: dict[str, object]) -> None:
        hand_on(shop)
        with (
            inside(shop),
            pytest.raises(IntegrityError, match="only be ended"),
            transaction.atomic(),
        ):
            Delegation.objects.update(**change)


class TestPage:
    def url(self, shop: Shop, *end: object) -> str:
        name = "delegation_end" if end else "delegation_list"
        return reverse(f"approvals:{name}", args=[shop.slug, *end])

    @pytest.mark.parametrize("role", Role.values)
    def test_who_sees_it(self, client: Client, shop: Shop, role: str) -> None:
        hand_on(shop)
        client.force_login(shop[role])
        may = role in {Role.OWNER, Role.MANAGER, Role.FINANCE}
        page = client.get(self.url(shop), HTTP_ACCEPT_LANGUAGE="en")
        assert page.status_code == (200 if may else 403)
        if may:
            assert "manager@tea.test for finance@tea.test" in page.content.decode()

    def test_it_is_handed_on_for_whole_days(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["finance"])
        sent = {
            "receiver": shop["manager"].pk,
            "first": "2026-11-25",
            "last": "2026-11-26",
            "reason": " 休 假 ",
        }
        for wrong in (
            {"receiver": shop["cashier"].pk},
            {"first": "2026-11-23"},
            {"last": "2026-11-24"},
            {"last": "2027-11-24"},
            {"reason": " "},
        ):
            assert client.post(self.url(shop), {**sent, **wrong}).status_code == 422
        assert client.post(self.url(shop), sent).status_code == 302
        # A double click makes no second one.
        assert client.post(self.url(shop), sent).status_code == 422
        with inside(shop):
            row = Delegation.objects.get()
            assert row.starts_at.isoformat() == "2026-11-24T16:00:00+00:00"
            assert row.ends_at.isoformat() == "2026-11-26T16:00:00+00:00"
        assert client.post(self.url(shop, row.pk)).status_code == 302
        with inside(shop):
            assert Delegation.objects.get().ended_by == shop["finance"]
            assert AuditEvent.objects.filter(action__startswith="delegation.").count() == 2

    def test_somebody_else_does_not_end_it(self, client: Client, shop: Shop) -> None:
        row = hand_on(shop, "owner", "finance")
        client.force_login(shop["manager"])
        assert client.post(self.url(shop, row.pk)).status_code == 404

    def test_the_screen_says_in_whose_place(
        self, client: Client, shop: Shop, approval: Approval
    ) -> None:
        hand_on(shop)
        client.force_login(shop["manager"])
        place = reverse("approvals:approval_detail", args=[shop.slug, approval.pk])
        page = client.get(place, HTTP_ACCEPT_LANGUAGE="en").content.decode()
        assert "You confirm in the place of finance@tea.test" in page
        assert client.get(reverse("approvals:approval_list", args=[shop.slug])).context["mine"]
        client.post(place, {"decision": "approve", "digest": bytes(approval.digest).hex()})
        page = client.get(place, HTTP_ACCEPT_LANGUAGE="en").content.decode()
        assert "manager@tea.test for finance@tea.test" in page


def test_whose_stand_in_has_spoken_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.clock.now", lambda: NOW)
    shop = make_shop()
    with inside(shop):
        RefundRuleBook.objects.create(
            number=1,
            content={"rules": [], "otherwise": "two_finance"},
            effective_at=NOW - 9 * DAY,
            published_at=NOW - 9 * DAY,
        )
    approval = ask(shop, paid_in(shop))
    assert approval.needed == 2
    hand_on(shop)
    vote(shop, approval, "manager")
    assert sees(shop, "finance") == NO
