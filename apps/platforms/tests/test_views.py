"""The pages of accounts and notifications: who may open them, what they show and what they never show."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from apps.core.audit import Actor
from apps.merchants.models import Store
from apps.platforms import selectors, services
from apps.platforms.gateway import CheckState, RawNotification
from apps.platforms.models import Notification, NotificationState, PlatformAccount, Verdict
from apps.platforms.tests import alipay_server, wechatpay_server
from apps.platforms.tests.alipay_server import AlipayServer
from apps.platforms.tests.conftest import CountingHandler
from apps.platforms.tests.shops import Shop, inside, make_shop
from apps.platforms.tests.test_intake import TRANSACTION, forged
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer, private_pem

ACTOR = Actor("owner@tea.test")


def enter(shop: Shop, role: str = "owner") -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.members[role])
    return client


def url(shop: Shop, name: str, *args: Any) -> str:
    return reverse(f"platforms:{name}", args=[shop.slug, *args])


def text(response: HttpResponse | Any) -> str:
    return str(response.content.decode())


@pytest.fixture
def account(shop: Shop, wechatpay: WechatpayServer) -> PlatformAccount:
    with inside(shop):
        return services.connect_account(
            platform="wechatpay",
            label="总店微信",
            credentials=wechatpay_server.credentials(),
            fee_rate_ppm=6000,
            all_stores=True,
            store_ids=[],
            actor=ACTOR,
            now=NOW,
        )


def receive(shop: Shop, account: PlatformAccount, raw: RawNotification) -> Notification:
    with inside(shop):
        receipt = services.receive(account=account, raw=raw, remote_ip="203.0.113.9", now=NOW)
        return selectors.get_notification(receipt.notification_id)


def entries(**changes: Any) -> dict[str, Any]:
    ours = wechatpay_server.credentials()
    return {
        "label": "总店微信",
        "merchant_no": ours.merchant_no,
        "app_id": ours.app_id,
        **ours.keys,
        "fee_rate": "0.38",
        "serves": "all",
        **changes,
    }


def accounts(shop: Shop) -> list[PlatformAccount]:
    with inside(shop):
        return list(selectors.list_accounts())


def secret_parts() -> list[str]:
    """A telling piece of each credential that must never be shown."""
    keys = wechatpay_server.credentials().keys
    private = keys["private_key"].splitlines()[5]
    return [private, keys["api_v3_key"], keys["app_secret"]]


class TestAccountList:
    def test_an_empty_list_offers_the_next_step_to_whoever_may_take_it(self, shop: Shop) -> None:
        choose = url(shop, "account_choose")
        assert choose in text(enter(shop).get(url(shop, "account_list")))
        assert choose not in text(enter(shop, "auditor").get(url(shop, "account_list")))

    def test_it_shows_each_account_and_no_secret(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        page = text(enter(shop).get(url(shop, "account_list")))
        assert "总店微信" in page
        assert 'data-state="working"' in page
        assert not [part for part in secret_parts() if part in page]

    def test_what_had_no_effect_today_is_counted(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        receive(shop, account, forged())
        page = text(enter(shop).get(url(shop, "account_list")))
        assert "1 notification without effect today" in page

    @pytest.mark.parametrize(
        ("role", "status"), [("owner", 200), ("finance", 200), ("auditor", 200), ("cashier", 403)]
    )
    def test_who_may_look(self, shop: Shop, role: str, status: int) -> None:
        assert enter(shop, role).get(url(shop, "account_list")).status_code == status


class TestConnect:
    def test_the_form_names_every_entry_and_where_it_is_found(self, shop: Shop) -> None:
        for platform in ("wechatpay", "alipay"):
            page = text(enter(shop).get(url(shop, "account_connect", platform)))
            assert "service providers come later" in page.replace("\n", " ")
            assert 'name="private_key"' in page

    @pytest.mark.parametrize("platform", ["qqpay", "nonsense"])
    def test_platforms_without_a_connector_are_not_found(self, shop: Shop, platform: str) -> None:
        response = enter(shop).get(url(shop, "account_connect", platform))
        assert response.status_code == 404

    def test_the_simulator_is_offered_where_there_is_one(
        self, shop: Shop, settings: Settings
    ) -> None:
        address = url(shop, "account_connect", "wechatpay")
        assert "/control/" not in text(enter(shop).get(address))
        settings.SIMULATOR_URL = "http://127.0.0.1:9100"
        assert "http://127.0.0.1:9100/control/" in text(enter(shop).get(address))

    def test_good_entries_lead_to_the_accounts_page(
        self, shop: Shop, wechatpay: WechatpayServer
    ) -> None:
        response = enter(shop).post(url(shop, "account_connect", "wechatpay"), entries())
        (account,) = accounts(shop)
        assert response.status_code == 302
        assert response["Location"] == url(shop, "account_detail", account.pk)
        assert account.fee_rate_ppm == 3800
        assert account.check_state == CheckState.GOOD.value

    @pytest.mark.parametrize(
        "changes",
        [
            {"label": ""},
            {"merchant_no": "abc"},
            {"fee_rate": "101"},
            {"fee_rate": "0.12345"},
            {"serves": "chosen"},
            {"serves": "chosen", "store_ids": ["999999"]},
            {"serves": "some"},
            {"api_v3_key": "short"},
            {"serial_no": "A" * 40},
            {"private_key": "-----BEGIN PRIVATE KEY-----\nnonsense"},
            {"public_key": ""},
        ],
    )
    def test_a_refusal_stores_nothing_and_gives_no_secret_back(
        self, shop: Shop, wechatpay: WechatpayServer, changes: dict[str, Any]
    ) -> None:
        given = entries(**changes)
        response = enter(shop).post(url(shop, "account_connect", "wechatpay"), given)
        page = text(response)
        assert response.status_code == 422
        assert "data-error-summary" in page
        assert given["app_id"] in page
        assert not [part for part in secret_parts() if part in page]
        assert accounts(shop) == []

    def test_a_key_that_the_platform_refuses_is_named_at_its_field(
        self, shop: Shop, wechatpay: WechatpayServer
    ) -> None:
        given = entries(private_key=private_pem("somebody"))
        response = enter(shop).post(url(shop, "account_connect", "wechatpay"), given)
        assert response.status_code == 422
        assert response.context["form"].errors.keys() == {"private_key"}

    def test_an_unreachable_platform_is_stored_only_when_asked_for(
        self, shop: Shop, settings: Settings
    ) -> None:
        settings.WECHATPAY_API_URL = "http://127.0.0.1:9/wechatpay"
        address = url(shop, "account_connect", "wechatpay")
        assert 'name="unchecked"' not in text(enter(shop).get(address))
        refused = enter(shop).post(address, entries())
        assert refused.status_code == 422
        assert 'name="unchecked"' in text(refused)
        assert accounts(shop) == []

        response = enter(shop).post(address, entries(unchecked="on"))
        assert response.status_code == 302
        assert [row.check_state for row in accounts(shop)] == ["unreachable"]

    def test_chosen_stores_are_served(self, shop: Shop, wechatpay: WechatpayServer) -> None:
        given = entries(serves="chosen", store_ids=[str(shop.store.pk)])
        enter(shop).post(url(shop, "account_connect", "wechatpay"), given)
        (account,) = accounts(shop)
        with inside(shop):
            assert selectors.stores_of(account) == [shop.store]

    def test_alipay_in_the_same_way(self, shop: Shop, alipay: AlipayServer) -> None:
        given = {
            "label": "支付宝",
            "merchant_no": alipay.ours.merchant_no,
            "app_id": alipay.ours.app_id,
            **alipay.ours.keys,
            "fee_rate": "0.6",
            "serves": "all",
        }
        assert enter(shop).post(url(shop, "account_connect", "alipay"), given).status_code == 302
        assert [row.check_state for row in accounts(shop)] == ["good"]

    def test_alipay_by_certificates_as_files(self, shop: Shop, alipay: AlipayServer) -> None:
        alipay.ours = alipay_server.certified()
        given: dict[str, Any] = {
            "label": "支付宝",
            "merchant_no": alipay.ours.merchant_no,
            "app_id": alipay.ours.app_id,
            "private_key": alipay.ours.keys["private_key"],
            "fee_rate": "0.6",
            "serves": "all",
        }
        files = {
            f"{name}_file": SimpleUploadedFile(f"{name}.crt", content.encode())
            for name, content in alipay.ours.keys.items()
            if "certificate" in name
        }
        address = url(shop, "account_connect", "alipay")
        assert enter(shop).post(address, {**given, **files}).status_code == 302
        (account,) = accounts(shop)
        assert account.check_state == "good"

        page = text(enter(shop).get(url(shop, "account_detail", account.pk)))
        assert "Alipay root certificate" in page
        assert page.count("Valid until <time") == 3
        assert page.count(">2026-07-01<") == 3
        assert "not fetched yet" in page
        # Of the two ways only the one in use.
        assert "Alipay public key" not in page
        assert "not stored" not in page

    def test_alipay_by_neither_way_asks_for_one(self, shop: Shop, alipay: AlipayServer) -> None:
        given = {"label": "支付宝", "fee_rate": "0.6", "serves": "all"}
        response = enter(shop).post(url(shop, "account_connect", "alipay"), given)
        assert response.status_code == 422
        wrong = response.context["form"].errors.keys()
        assert wrong == {"merchant_no", "app_id", "private_key", "alipay_public_key"}

    @pytest.mark.parametrize("role", ["manager", "finance", "auditor", "cashier"])
    def test_only_the_owner_connects(
        self, shop: Shop, wechatpay: WechatpayServer, role: str
    ) -> None:
        client = enter(shop, role)
        address = url(shop, "account_connect", "wechatpay")
        assert client.get(address).status_code == 403
        assert client.post(address, entries()).status_code == 403
        assert accounts(shop) == []


class TestAccountDetail:
    def test_it_shows_fingerprints_and_address_but_no_secret(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        page = text(enter(shop).get(url(shop, "account_detail", account.pk)))
        with inside(shop):
            fingerprints = services.fingerprints_of(account)
        assert len(fingerprints) == 6
        assert all(mark in page for mark in fingerprints.values())
        assert f"/notify/wechatpay/{account.ref}" in page
        assert not [part for part in secret_parts() if part in page]
        assert wechatpay_server.credentials().keys["public_key"].splitlines()[2] not in page

    def test_lost_encryption_keys_are_said(self, shop: Shop, account: PlatformAccount) -> None:
        with inside(shop):
            PlatformAccount.objects.update(credentials_sealed=b"\x01\x04gone")
        client = enter(shop)
        assert "cannot be opened" in text(client.get(url(shop, "account_detail", account.pk)))
        response = client.post(url(shop, "account_check", account.pk), follow=True)
        assert "cannot be opened" in text(response)
        address = url(shop, "account_edit", account.pk)
        assert "cannot be opened" in text(client.post(address, entries(), follow=True))

    def test_a_check_says_what_the_platform_says(
        self, shop: Shop, account: PlatformAccount, wechatpay: WechatpayServer
    ) -> None:
        client = enter(shop)
        good = client.post(url(shop, "account_check", account.pk), follow=True)
        assert "The platform accepted the credentials." in text(good)
        wechatpay.known_secret = "renewed"
        bad = client.post(url(shop, "account_check", account.pk), follow=True)
        assert 'data-state="broken"' in text(bad)

    def test_pausing_asks_first(self, shop: Shop, account: PlatformAccount) -> None:
        client = enter(shop)
        assert "data-confirm-body" in text(client.get(url(shop, "account_pause", account.pk)))
        assert [row.is_active for row in accounts(shop)] == [True]
        client.post(url(shop, "account_pause", account.pk))
        assert [row.is_active for row in accounts(shop)] == [False]
        client.post(url(shop, "account_resume", account.pk))
        assert [row.is_active for row in accounts(shop)] == [True]

    def test_a_change_keeps_the_keys_that_are_left_empty(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        client = enter(shop)
        page = text(client.get(url(shop, "account_edit", account.pk)))
        # Both are shown and neither can be changed: payments opened under them still get answers.
        for name, value in (("merchant_no", account.merchant_no), ("app_id", account.app_id)):
            assert f'name="{name}"' not in page
            assert f"<dd>{value}</dd>" in page
        assert not [part for part in secret_parts() if part in page]
        assert wechatpay_server.credentials().keys["serial_no"] not in page

        given = {
            "label": "新名",
            "app_id": "wx0000000000000999",
            "fee_rate": "0.25",
            "serves": "all",
        }
        response = client.post(url(shop, "account_edit", account.pk), given)
        assert response.status_code == 302
        (changed,) = accounts(shop)
        assert changed.app_id == account.app_id
        assert (changed.label, changed.fee_rate_ppm) == ("新名", 2500)
        with inside(shop):
            assert services.credentials_of(changed) == services.credentials_of(account)

    def test_a_closed_store_that_is_served_can_still_be_kept(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            services.update_account(
                account_id=account.pk,
                label=account.label,
                keys={},
                fee_rate_ppm=6000,
                all_stores=False,
                store_ids=[shop.store.pk],
                actor=ACTOR,
                now=NOW,
            )
            Store.objects.update(is_active=False)
        page = text(enter(shop).get(url(shop, "account_edit", account.pk)))
        assert "First store" in page

    def test_a_strangers_account_is_not_found(self, shop: Shop, account: PlatformAccount) -> None:
        rice = make_shop("rice")
        client = enter(rice)
        for name in ("account_detail", "account_edit", "account_pause"):
            assert client.get(url(rice, name, account.pk)).status_code == 404
            assert client.get(url(shop, name, account.pk)).status_code == 404
        for name in ("account_check", "account_resume", "account_pause", "account_edit"):
            assert client.post(url(rice, name, account.pk)).status_code == 404
        assert [row.is_active for row in accounts(shop)] == [True]

    @pytest.mark.parametrize("role", ["finance", "auditor"])
    def test_readers_change_nothing(self, shop: Shop, account: PlatformAccount, role: str) -> None:
        client = enter(shop, role)
        assert client.get(url(shop, "account_detail", account.pk)).status_code == 200
        for name in ("account_check", "account_resume", "account_pause", "account_edit"):
            assert client.post(url(shop, name, account.pk)).status_code == 403
        assert [row.is_active for row in accounts(shop)] == [True]


class TestNotifications:
    def test_the_list_is_filtered_by_its_address(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        receive(shop, account, forged())
        receive(shop, account, WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION))
        client = enter(shop)

        def shown(query: str) -> int:
            return text(client.get(url(shop, "notification_list") + query)).count("data-row-href")

        assert shown("") == 2
        assert shown("?state=refused") == 1
        assert shown("?verdict=good") == 1
        assert shown("?order_no=P20260502000001") == 1
        assert shown(f"?account={account.pk}") == 2
        assert shown("?account=x&state=nonsense") == 2

    def test_what_is_too_old_is_told_apart_from_a_wrong_signature(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        early = NOW - timedelta(minutes=6)
        old = receive(
            shop, account, WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION, at=early)
        )
        client = enter(shop)

        def verdicts(query: str) -> tuple[int, int]:
            page = text(client.get(url(shop, "notification_list") + query))
            rows = page.partition("<tbody>")[2]
            return rows.count("Too old or sent again"), rows.count("Signature wrong")

        assert verdicts("") == (1, 0)
        page = text(client.get(url(shop, "notification_detail", old.pk)))
        assert "Too old or sent again" in page
        assert "too far from our clock" in page
        receive(shop, account, forged())
        assert verdicts("") == (1, 1)
        assert verdicts("?verdict=timestamp") == (1, 0)
        assert verdicts("?verdict=bad_signature") == (0, 1)

    @pytest.mark.parametrize("query", ["after=1-x", "before=x", "after=99999999999999999-1"])
    def test_a_tampered_page_link_is_refused(self, shop: Shop, query: str) -> None:
        assert enter(shop).get(url(shop, "notification_list") + f"?{query}").status_code == 400

    def test_htmx_gets_the_rows_alone(self, shop: Shop, account: PlatformAccount) -> None:
        page = text(enter(shop).get(url(shop, "notification_list"), headers={"hx-request": "true"}))
        assert "<html" not in page

    def test_pages_follow_each_other_without_gap_or_overlap(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            Notification.objects.bulk_create(
                Notification(
                    account_id=account.pk,
                    # Three at each instant: the id must break the tie.
                    received_at=NOW + timedelta(seconds=number // 3),
                    body_sha256=bytes(32),
                )
                for number in range(10)
            )
            everything = selectors.NotificationFilters()
            seen: list[int] = []
            page = selectors.page_notifications(everything, size=4)
            assert page.newer == ""
            seen += [row.pk for row in page.rows]
            while page.older:
                page = selectors.page_notifications(everything, after=page.older, size=4)
                seen += [row.pk for row in page.rows]
            assert len(seen) == 10
            assert seen == sorted(seen, reverse=True)
            back = page
            while back.newer:
                back = selectors.page_notifications(everything, before=back.newer, size=4)
            assert [row.pk for row in back.rows] == seen[:4]

    def test_the_detail_says_what_happened_and_never_shows_the_content(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        raw = forged()
        row = receive(shop, account, raw)
        page = text(enter(shop).get(url(shop, "notification_detail", row.pk)))
        assert "It had no effect." in page
        assert "203.0.113.9" in page
        assert bytes(row.body_sha256).hex() in page
        assert "ciphertext" not in page
        assert raw.headers["wechatpay-signature"] not in page
        assert raw.headers["wechatpay-signature"][:12] in page

    def test_the_owner_may_process_again(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        handler.trouble = RuntimeError("later")
        raw = WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION)
        row = receive(shop, account, raw)
        assert row.state == NotificationState.FAILED
        handler.trouble = None
        again = url(shop, "notification_reprocess", row.pk)
        assert again in text(enter(shop).get(url(shop, "notification_detail", row.pk)))
        assert enter(shop, "auditor").post(again).status_code == 403
        assert handler.applied == []

        response = enter(shop).post(again, follow=True)
        assert "it was applied" in text(response)
        assert again not in text(response)
        assert len(handler.applied) == 1

    def test_an_expired_body_is_said(self, shop: Shop, account: PlatformAccount) -> None:
        row = receive(shop, account, forged())
        with inside(shop):
            services.expire_bodies(now=NOW + timedelta(days=400))
        again = url(shop, "notification_reprocess", row.pk)
        assert "no longer kept" in text(enter(shop).post(again, follow=True))

    def test_a_stranger_finds_nothing(self, shop: Shop, account: PlatformAccount) -> None:
        row = receive(shop, account, forged())
        rice = make_shop("rice")
        client = enter(rice)
        assert client.get(url(rice, "notification_detail", row.pk)).status_code == 404
        assert client.post(url(rice, "notification_reprocess", row.pk)).status_code == 404
        with inside(shop):
            assert selectors.get_notification(row.pk).verdict == Verdict.BAD_SIGNATURE


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_no_page_breaks_the_content_security_policy(
    shop: Shop, account: PlatformAccount, language: str
) -> None:
    row = receive(shop, account, forged())
    client = enter(shop)
    client.cookies["django_language"] = language
    with time_machine.travel(NOW, tick=False):
        pages = [
            client.get(url(shop, name, *args))
            for name, args in (
                ("account_list", []),
                ("account_choose", []),
                ("account_connect", ["wechatpay"]),
                ("account_connect", ["alipay"]),
                ("account_detail", [account.pk]),
                ("account_edit", [account.pk]),
                ("account_pause", [account.pk]),
                ("notification_list", []),
                ("notification_detail", [row.pk]),
            )
        ]
    for page in pages:
        assert page.status_code == 200
        assert " style=" not in text(page)
        assert "<script>" not in text(page)
