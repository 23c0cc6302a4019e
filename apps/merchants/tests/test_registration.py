"""Beginning a merchant: services, landing, the newcomer's form."""

from __future__ import annotations

from datetime import time

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.models import AuditEvent
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store
from apps.merchants.services import create_merchant, start_first_merchant, update_merchant
from apps.merchants.tests.teams import ACTOR, NOW, make_merchant, make_user

pytestmark = pytest.mark.django_db

FORM = {
    "name": "晨光咖啡",
    "name_en": "Morning Coffee",
    "store_name": "中山路店",
    "store_name_en": "",
    "day_starts_at": "02:00",
}


class TestCreateMerchant:
    def test_writes_merchant_owner_store_and_audit_together(self) -> None:
        owner = make_user("owner@example.com")
        merchant = create_merchant(
            owner=owner, name="晨光咖啡", store_name="中山路店", actor=ACTOR, now=NOW
        )
        membership = Membership.objects.get()
        assert (membership.merchant, membership.user) == (merchant, owner)
        assert (membership.role, membership.store_ids) == (Role.OWNER, None)
        with enter_scope(Scope(merchant.pk)):
            assert [store.name for store in Store.objects.all()] == ["中山路店"]
            actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
            assert list(actions) == ["merchant.created", "member.joined", "store.added"]

    @pytest.mark.parametrize(
        ("name", "name_en", "slug"),
        [("晨光咖啡", "Morning Coffee", "morning-coffee"), ("Tea_House 88", "", "tea-house-88")],
    )
    def test_slug_comes_from_latin_names(self, name: str, name_en: str, slug: str) -> None:
        merchant = create_merchant(
            owner=make_user(), name=name, name_en=name_en, store_name="一店", actor=ACTOR, now=NOW
        )
        assert merchant.slug == slug

    def test_slug_without_latin_letters_is_random(self) -> None:
        merchant = create_merchant(
            owner=make_user(), name="晨光咖啡", store_name="一店", actor=ACTOR, now=NOW
        )
        assert merchant.slug.startswith("m-")
        assert len(merchant.slug) == 10

    def test_taken_slug_gets_an_ending(self) -> None:
        for _ in range(2):
            create_merchant(owner=make_user(), name="Tea", store_name="一店", actor=ACTOR, now=NOW)
        slugs = sorted(Merchant.objects.values_list("slug", flat=True))
        assert slugs[0] == "tea"
        assert slugs[1].startswith("tea-")

    def test_first_merchant_is_made_once(self) -> None:
        owner = make_user()
        first, second = (
            start_first_merchant(owner=owner, name="Tea", store_name="一店", actor=ACTOR, now=NOW)
            for _ in range(2)
        )
        assert first == second
        assert Merchant.objects.count() == 1


class TestUpdateMerchant:
    def test_changes_and_audits_only_what_differs(self) -> None:
        merchant, _, _ = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            update_merchant(
                name=merchant.name, name_en="MC", day_starts_at=time(2), actor=ACTOR, now=NOW
            )
            update_merchant(
                name=merchant.name, name_en="MC", day_starts_at=time(2), actor=ACTOR, now=NOW
            )
            event = AuditEvent.objects.get(action="merchant.changed")
        assert event.data == {
            "name_en": ["Morning Coffee", "MC"],
            "day_starts_at": ["00:00:00", "02:00:00"],
        }
        merchant.refresh_from_db()
        assert (merchant.name_en, merchant.day_starts_at) == ("MC", time(2))


class TestLanding:
    def test_shows_the_way_in_to_strangers(self, client: Client) -> None:
        response = client.get("/")
        assert response.status_code == 200
        assert reverse("account_signup") in response.content.decode()

    def test_sends_signed_in_users_on(self, client: Client) -> None:
        client.force_login(make_user())
        assert client.get("/").headers["Location"] == "/start/"


class TestStart:
    def test_needs_a_log_in(self, client: Client) -> None:
        assert client.get("/start/").status_code == 302

    def test_member_goes_to_the_dashboard(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        assert client.get("/start/").headers["Location"] == f"/m/{merchant.slug}/"

    def test_newcomer_names_merchant_and_store(self, client: Client) -> None:
        user = make_user()
        client.force_login(user)
        assert client.get("/start/").status_code == 200
        response = client.post("/start/", FORM)
        merchant = Merchant.objects.get()
        assert response.headers["Location"] == f"/m/{merchant.slug}/"
        assert (merchant.slug, merchant.day_starts_at) == ("morning-coffee", time(2))
        again = client.post("/start/", FORM)
        assert again.headers["Location"] == f"/m/{merchant.slug}/"
        assert Merchant.objects.count() == 1

    @pytest.mark.parametrize("field", ["name", "store_name"])
    def test_missing_names_are_asked_for(self, client: Client, field: str) -> None:
        client.force_login(make_user())
        response = client.post("/start/", FORM | {field: " "})
        assert response.status_code == 422
        assert field in response.context["form"].errors
        assert not Merchant.objects.exists()


class TestSettings:
    def test_owner_changes_names_and_day(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        url = reverse("merchants:settings", args=[merchant.slug])
        assert client.get(url).status_code == 200
        data = {"name": "新光咖啡", "name_en": "", "day_starts_at": "03:30"}
        assert client.post(url, data).headers["Location"] == url
        merchant.refresh_from_db()
        assert (merchant.name, merchant.day_starts_at) == ("新光咖啡", time(3, 30))

    def test_a_day_start_outside_the_list_is_kept(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        Merchant.objects.update(day_starts_at=time(5, 15))
        client.force_login(owner)
        url = reverse("merchants:settings", args=[merchant.slug])
        assert '<option value="05:15" selected' in client.get(url).content.decode()
        client.post(url, {"name": "新光咖啡", "name_en": "", "day_starts_at": "05:15"})
        merchant.refresh_from_db()
        assert (merchant.name, merchant.day_starts_at) == ("新光咖啡", time(5, 15))
