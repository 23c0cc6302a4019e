"""Stores: services and pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.core.models import AuditEvent
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Role, Store
from apps.merchants.services import (
    LastStore,
    StoreNameTaken,
    add_store,
    set_store_active,
    update_store,
)
from apps.merchants.tests.teams import ACTOR, NOW, make_member, make_merchant, make_store

pytestmark = pytest.mark.django_db


class TestServices:
    def test_a_name_is_used_once(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            with pytest.raises(StoreNameTaken):
                add_store(name=store.name, actor=ACTOR, now=NOW)
            assert Store.objects.count() == 1
            assert AuditEvent.objects.filter(action="store.added").count() == 1

    def test_two_merchants_may_use_the_same_name(self) -> None:
        make_merchant()
        merchant, _, _ = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            assert Store.objects.count() == 1

    def test_update_audits_the_difference(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            update_store(
                store_id=store.pk,
                name=store.name,
                name_en=store.name_en,
                address="中山路 1 号",
                actor=ACTOR,
                now=NOW,
            )
            event = AuditEvent.objects.get(action="store.changed")
        assert event.data == {"address": ["", "中山路 1 号"]}
        assert event.store_id == store.pk

    def test_the_last_open_store_stays_open(self) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            set_store_active(store_id=store.pk, active=False, actor=ACTOR, now=NOW)
            with pytest.raises(LastStore):
                set_store_active(store_id=other.pk, active=False, actor=ACTOR, now=NOW)
            assert Store.objects.filter(is_active=True).get() == other
            assert AuditEvent.objects.filter(action="store.closed").count() == 1
            set_store_active(store_id=store.pk, active=True, actor=ACTOR, now=NOW)
            set_store_active(store_id=store.pk, active=True, actor=ACTOR, now=NOW)
            assert AuditEvent.objects.filter(action="store.opened").count() == 1


class TestPages:
    @pytest.mark.parametrize(
        ("role", "reads", "writes"),
        [
            (Role.OWNER, 200, 200),
            (Role.MANAGER, 200, 200),
            (Role.FINANCE, 200, 403),
            (Role.AUDITOR, 200, 403),
            (Role.CASHIER, 403, 403),
        ],
    )
    def test_roles(self, client: Client, role: str, reads: int, writes: int) -> None:
        merchant, _, store = make_merchant()
        client.force_login(make_member(merchant, role).user)
        slug = merchant.slug
        assert client.get(reverse("merchants:store_list", args=[slug])).status_code == reads
        pages: list[tuple[str, list[Any]]] = [
            ("store_add", [slug]),
            ("store_edit", [slug, store.pk]),
            ("store_close", [slug, store.pk]),
            ("store_open", [slug, store.pk]),
        ]
        for name, args in pages:
            assert client.get(reverse(f"merchants:{name}", args=args)).status_code == writes

    def test_strangers_and_strange_ids_find_nothing(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        other, _, other_store = make_merchant()
        client.force_login(owner)
        assert client.get(reverse("merchants:store_list", args=[other.slug])).status_code == 404
        url = reverse("merchants:store_edit", args=[merchant.slug, other_store.pk])
        assert client.get(url).status_code == 404
        url = reverse("merchants:store_close", args=[merchant.slug, other_store.pk])
        assert client.post(url).status_code == 404
        with enter_scope(Scope(other.pk)):
            assert Store.objects.get().is_active

    def test_store_limited_manager_sees_own_stores_only(self, client: Client) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant, "五四广场店")
        client.force_login(make_member(merchant, Role.MANAGER, stores=[other]).user)
        page = client.get(reverse("merchants:store_list", args=[merchant.slug])).content.decode()
        assert other.name in page
        assert store.name not in page
        url = reverse("merchants:store_edit", args=[merchant.slug, other.pk])
        assert client.get(url).status_code == 403

    def test_add_edit_close(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        client.force_login(owner)
        slug = merchant.slug
        listing = reverse("merchants:store_list", args=[slug])
        data = {"name": "五四广场\n店", "name_en": "", "address": ""}
        assert client.post(reverse("merchants:store_add", args=[slug]), data).status_code == 302
        taken = client.post(reverse("merchants:store_edit", args=[slug, store.pk]), data)
        assert taken.status_code == 422
        assert "name" in taken.context["form"].errors
        closing = reverse("merchants:store_close", args=[slug, store.pk])
        assert client.get(closing).status_code == 200
        assert client.post(closing).headers["Location"] == listing
        with enter_scope(Scope(merchant.pk)):
            assert dict(Store.objects.values_list("name", "is_active")) == {
                "中山路店": False,
                "五四广场 店": True,
            }

    def test_list_costs_the_same_for_many(
        self, client: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        merchant, owner, _ = make_merchant()
        for _ in range(5):
            make_store(merchant)
        client.force_login(owner)
        # Session, user, membership, scope in and out, stores; the frame: what waits, memberships for the switch.
        with django_assert_num_queries(8):
            client.get(reverse("merchants:store_list", args=[merchant.slug]))
