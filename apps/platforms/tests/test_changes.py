"""New keys of an account under four eyes: held back, shown by fingerprints only, put in place by another member."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from apps.approvals.models import Approval, ApprovalState
from apps.approvals.selectors import newest_terms
from apps.approvals.services import NotAllowed, Stale, change_terms, decide, expire, withdraw
from apps.approvals.terms import Terms
from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.merchants.models import Membership, Role
from apps.merchants.roles import permissions_of
from apps.platforms import services
from apps.platforms.models import ChangeState, CredentialChange, PlatformAccount
from apps.platforms.services.credentials import sealed
from apps.platforms.tests.shops import Shop, inside
from apps.platforms.tests.test_services import connect
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer

ACTOR = Actor("owner@tea.test")
#: Another key that a notification opens with; the call that tries the rest does not need it.
NEW_KEY = "fedcba9876543210fedcba9876543210"
DAY = timedelta(days=1)


@pytest.fixture
def scoped(shop: Shop) -> Iterator[Shop]:
    with inside(shop):
        yield shop


@pytest.fixture
def account(scoped: Shop, wechatpay: WechatpayServer) -> PlatformAccount:
    return connect()


def change(shop: Shop, account: PlatformAccount, role: str | None = "owner", **more: Any) -> None:
    services.update_account(
        **{
            "account_id": account.pk,
            "label": "新名字",
            "keys": {"api_v3_key": NEW_KEY},
            "fee_rate_ppm": 6000,
            "all_stores": True,
            "store_ids": [],
            "actor": ACTOR,
            "now": NOW,
            "member": shop.members[role] if role else None,
            **more,
        }
    )


def key_of(account: PlatformAccount) -> str:
    return services.credentials_of(PlatformAccount.objects.get(pk=account.pk)).keys["api_v3_key"]


def vote(shop: Shop, role: str, *, approved: bool = True, now: Any = NOW) -> None:
    approval = Approval.objects.get(state=ApprovalState.PENDING)
    membership = Membership.objects.get(merchant=shop.merchant, user=shop.members[role])
    decide(
        approval_id=approval.pk,
        member=shop.members[role],
        permissions=permissions_of(membership.role, all_stores=True),
        approved=approved,
        digest=bytes(approval.digest),
        reason="x",
        second_factor=False,
        actor=Actor(f"{role}@tea.test"),
        now=now,
    )


def test_another_member_puts_them_in_place(scoped: Shop, account: PlatformAccount) -> None:
    old = key_of(account)
    change(scoped, account)
    # What is no key changes at once.
    account.refresh_from_db()
    assert (account.label, key_of(account)) == ("新名字", old)
    vote(scoped, "manager")
    assert key_of(account) == NEW_KEY
    row = CredentialChange.objects.get()
    assert (row.state, bytes(row.keys_sealed)) == (ChangeState.DONE, b"")
    assert AuditEvent.objects.get(action="account.keys_changed").data["replaced"] == ["api_v3_key"]


def test_other_keys_that_the_portal_renewed_meanwhile_stay(
    scoped: Shop, account: PlatformAccount
) -> None:
    change(scoped, account)
    account.refresh_from_db()
    held = services.credentials_of(account).keys
    account.credentials_sealed = sealed({**held, "extra": "renewed"}, account.merchant_id)
    account.save()
    vote(scoped, "manager")
    now = services.credentials_of(PlatformAccount.objects.get()).keys
    assert (now["extra"], now["api_v3_key"]) == ("renewed", NEW_KEY)


def test_no_secret_is_shown_or_written_anywhere(scoped: Shop, account: PlatformAccount) -> None:
    change(scoped, account)
    approval = Approval.objects.get()
    with connection.cursor() as cursor:
        for table in (
            "platforms_credentialchange",
            "approvals_approval",
            "core_auditevent",
            "core_due",
        ):
            cursor.execute(f"SELECT coalesce(string_agg(to_jsonb(x)::text, ''), '') FROM {table} x")  # noqa: S608  # names of this test
            assert NEW_KEY not in cursor.fetchone()[0]
    row = CredentialChange.objects.get()
    assert NEW_KEY.encode() not in bytes(row.keys_sealed)
    client = Client(headers={"accept-language": "en"})
    client.force_login(scoped.members["manager"])
    place = reverse("approvals:approval_detail", args=[scoped.slug, approval.pk])
    page = client.get(place).content.decode()
    assert NEW_KEY not in page
    for shown in (
        "新名字",
        account.merchant_no,
        f"{row.before['api_v3_key'][:8]} is replaced by {row.after['api_v3_key'][:8]}",
    ):
        assert shown in page


def test_the_requester_and_roles_without_the_right(scoped: Shop, account: PlatformAccount) -> None:
    change(scoped, account)
    for role in ("owner", "finance", "cashier", "auditor"):
        with pytest.raises(NotAllowed):
            vote(scoped, role)
    assert CredentialChange.objects.get().state == ChangeState.WAITING


@pytest.mark.parametrize("how", ["refused", "expired", "withdrawn"])
def test_without_a_yes_they_are_forgotten(scoped: Shop, account: PlatformAccount, how: str) -> None:
    old = key_of(account)
    change(scoped, account)
    approval = Approval.objects.get()
    if how == "refused":
        vote(scoped, "manager", approved=False)
    elif how == "expired":
        expire(approval_id=approval.pk, now=approval.expires_at)
    else:
        withdraw(approval_id=approval.pk, member=scoped.members["owner"], actor=ACTOR, now=NOW)
    row = CredentialChange.objects.get()
    assert (row.state, bytes(row.keys_sealed), key_of(account)) == (ChangeState.DROPPED, b"", old)
    # They can be asked for anew.
    change(scoped, account)


def test_one_at_a_time(scoped: Shop, account: PlatformAccount) -> None:
    change(scoped, account)
    with pytest.raises(services.CredentialsRefused), transaction.atomic():
        change(scoped, account)
    assert CredentialChange.objects.count() == 1


def test_other_keys_written_into_the_row_void_it(scoped: Shop, account: PlatformAccount) -> None:
    change(scoped, account)
    old = key_of(account)
    CredentialChange.objects.update(
        keys_sealed=sealed(
            {"api_v3_key": "0" * 32}, scoped.merchant.pk, purpose="credential-change"
        )
    )
    with pytest.raises(Stale):
        vote(scoped, "manager")
    assert key_of(account) == old
    assert Approval.objects.get().state == ApprovalState.VOIDED


def test_keys_replaced_on_another_road_void_it(scoped: Shop, account: PlatformAccount) -> None:
    change(scoped, account)
    change(scoped, account, None, keys={"api_v3_key": "1" * 32})
    with pytest.raises(Stale):
        vote(scoped, "manager")
    assert key_of(account) == "1" * 32


def test_the_database_keeps_the_gate(scoped: Shop, account: PlatformAccount) -> None:
    change(scoped, account)
    for values in (
        {"state": "done", "keys_sealed": b""},
        {"approval": None},
        {"state": "dropped"},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            CredentialChange.objects.update(**values)


class TestDirect:
    """At once: programs, the first connection, shops of one, and where the merchant chose it."""

    def direct(self, account: PlatformAccount) -> bool:
        return not Approval.objects.exists() and key_of(account) == NEW_KEY

    def test_a_program(self, scoped: Shop, account: PlatformAccount) -> None:
        change(scoped, account, None)
        assert self.direct(account)

    def test_alone(self, scoped: Shop, account: PlatformAccount) -> None:
        Membership.objects.exclude(user=scoped.members["owner"]).update(is_active=False)
        change(scoped, account)
        assert self.direct(account)

    def test_a_manager_of_one_store_is_no_second(
        self, scoped: Shop, account: PlatformAccount
    ) -> None:
        Membership.objects.filter(role=Role.MANAGER).update(store_ids=[scoped.store.pk])
        change(scoped, account)
        assert self.direct(account)

    def test_where_the_merchant_chose_it(self, scoped: Shop, account: PlatformAccount) -> None:
        newest = newest_terms()
        assert newest is None
        change_terms(
            terms=Terms(credentials=False), seen=0, member=None, actor=ACTOR, now=NOW - 2 * DAY
        )
        change(scoped, account)
        assert self.direct(account)

    def test_the_same_keys_again(self, scoped: Shop, account: PlatformAccount) -> None:
        change(scoped, account, keys={"api_v3_key": key_of(account)})
        assert not Approval.objects.exists()

    def test_nothing_but_the_name(self, scoped: Shop, account: PlatformAccount) -> None:
        change(scoped, account, keys={})
        assert not Approval.objects.exists()


def test_refused_by_the_platform_nobody_is_asked(scoped: Shop, account: PlatformAccount) -> None:
    with pytest.raises(services.CredentialsRefused), transaction.atomic():
        change(scoped, account, keys={"api_v3_key": "short"})
    assert not Approval.objects.exists()


def test_the_page_leads_to_the_confirmation(
    scoped: Shop, account: PlatformAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.core.clock.now", lambda: NOW)
    client = Client(headers={"accept-language": "en"})
    client.force_login(scoped.members["owner"])
    answer = client.post(
        reverse("platforms:account_edit", args=[scoped.slug, account.pk]),
        {"label": "x", "fee_rate": "0.6", "serves": "all", "api_v3_key": NEW_KEY},
    )
    approval = Approval.objects.get()
    place = reverse("approvals:approval_detail", args=[scoped.slug, approval.pk])
    assert answer.headers["Location"] == place
    detail = client.get(reverse("platforms:account_detail", args=[scoped.slug, account.pk]))
    assert place in detail.content.decode()
