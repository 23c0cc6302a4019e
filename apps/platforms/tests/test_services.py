"""Connecting, changing and checking accounts, against the platforms' small servers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from apps.core import encryption
from apps.core.audit import Actor
from apps.core.doors import find_door
from apps.core.models import AuditEvent, Door
from apps.merchants.models import Store
from apps.platforms import selectors, services
from apps.platforms.gateway import CheckState, Credentials
from apps.platforms.models import AccountStore, PlatformAccount
from apps.platforms.tests import alipay_server, wechatpay_server
from apps.platforms.tests.alipay_server import AlipayServer
from apps.platforms.tests.shops import Shop, inside, make_shop
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer, private_pem, public_pem

ACTOR = Actor("owner@tea.test")


@pytest.fixture
def scoped(shop: Shop) -> Iterator[Shop]:
    with inside(shop):
        yield shop


def connect(**changes: Any) -> PlatformAccount:
    given: dict[str, Any] = {
        "platform": "wechatpay",
        "label": "总店微信",
        "credentials": wechatpay_server.credentials(),
        "fee_rate_ppm": 6000,
        "all_stores": True,
        "store_ids": [],
        "actor": ACTOR,
        "now": NOW,
    }
    return services.connect_account(**(given | changes))


def with_keys(**keys: str) -> Credentials:
    ours = wechatpay_server.credentials()
    return Credentials(
        app_id=ours.app_id,
        merchant_no=ours.merchant_no,
        keys={name: value.strip() for name, value in {**ours.keys, **keys}.items()},
    )


def nothing_stored() -> bool:
    return not (
        PlatformAccount.objects.exists()
        or AccountStore.objects.exists()
        or Door.objects.filter(kind="account").exists()
        or AuditEvent.objects.exists()
    )


def unreachable() -> str:
    """An address on this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


class TestConnect:
    def test_a_good_account_is_stored_with_its_door_and_its_check(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        account = connect()

        assert account.check_state == CheckState.GOOD.value
        assert account.checked_at == NOW
        door = find_door(kind="account", token=account.ref)
        assert (door.merchant_id, door.subject_id) == (scoped.merchant.pk, account.pk)
        assert services.credentials_of(account) == with_keys()
        assert services.notify_url(account) == (
            f"http://localhost:8000/notify/wechatpay/{account.ref}"
        )
        assert selectors.accounts_serving(store_id=scoped.store.pk) == [account]

    def test_alipay_is_connected_the_same_way(self, scoped: Shop, alipay: AlipayServer) -> None:
        account = connect(platform="alipay", credentials=alipay_server.credentials())
        assert account.check_state == CheckState.GOOD.value

    def test_secrets_stand_encrypted_in_the_table_and_nowhere_in_the_audit_trail(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        account = connect()

        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT credentials_sealed, to_jsonb(a)::text FROM platforms_platformaccount a"
                " WHERE id = %s",
                [account.pk],
            )
            sealed, row = cursor.fetchone()
            cursor.execute("SELECT string_agg(e.data::text, '') FROM core_auditevent e")
            trail = cursor.fetchone()[0]
        secrets = wechatpay_server.credentials().keys
        assert len(secrets) == 6
        for secret in secrets.values():
            # A key is recognised by its middle; its first line is the same for all.
            part = secret.strip().splitlines()[len(secret.splitlines()) // 2]
            assert part.encode() not in bytes(sealed)
            assert part not in row
            assert part not in trail
        assert encryption.key_id_of(bytes(sealed)) == "test2"

    def test_another_merchants_key_does_not_open_it(
        self, shop: Shop, wechatpay: WechatpayServer
    ) -> None:
        with inside(shop):
            account = connect()
        with pytest.raises(encryption.CannotOpen):
            encryption.unseal(
                bytes(account.credentials_sealed),
                merchant_id=make_shop("rice").merchant.pk,
                purpose="credentials",
            )

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"label": "  "}, "label"),
            ({"platform": "qqpay"}, ""),
            ({"platform": "nonsense"}, ""),
            ({"all_stores": False}, "store_ids"),
            ({"all_stores": False, "store_ids": [987654]}, "store_ids"),
            ({"credentials": with_keys(api_v3_key="short")}, "api_v3_key"),
            ({"credentials": with_keys(private_key="")}, "private_key"),
            ({"credentials": with_keys(private_key=public_pem("wechat merchant"))}, "private_key"),
            ({"credentials": with_keys(public_key=public_pem("wechat merchant"))}, "public_key"),
        ],
    )
    def test_what_is_wrong_in_itself_is_refused_without_asking_the_platform(
        self, scoped: Shop, wechatpay: WechatpayServer, changes: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(services.CredentialsRefused) as refusal:
            connect(**changes)
        assert refusal.value.field == field
        assert refusal.value.message
        assert wechatpay.requests == []
        assert nothing_stored()

    @pytest.mark.parametrize(
        ("keys", "field"),
        [
            ({"serial_no": "A" * 40}, "serial_no"),
            ({"private_key": private_pem("somebody")}, "private_key"),
            ({"public_key": public_pem("somebody")}, "public_key"),
            ({"app_secret": "wrong"}, "app_secret"),
        ],
    )
    def test_what_the_platform_refuses_is_not_stored_even_unchecked(
        self, scoped: Shop, wechatpay: WechatpayServer, keys: dict[str, str], field: str
    ) -> None:
        with pytest.raises(services.CredentialsRefused) as refusal:
            connect(credentials=with_keys(**keys), unchecked=True)
        assert refusal.value.field == field
        assert not isinstance(refusal.value, services.PlatformUnreachable)
        assert nothing_stored()

    def test_an_unreachable_platform_stores_nothing_unless_the_caller_insists(
        self, scoped: Shop, settings: Settings
    ) -> None:
        settings.WECHATPAY_API_URL = unreachable()
        with pytest.raises(services.PlatformUnreachable) as refusal:
            connect()
        assert refusal.value.field == ""
        assert nothing_stored()

        account = connect(unchecked=True)
        assert account.check_state == CheckState.UNREACHABLE.value
        check = services.last_check(account)
        assert check is not None
        assert check.code == "network"

    def test_the_same_account_is_connected_once(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        connect()
        with pytest.raises(services.CredentialsRefused) as refusal:
            connect(label="again")
        assert refusal.value.field == "merchant_no"
        assert PlatformAccount.objects.count() == 1

    def test_blanks_around_pasted_values_do_not_matter(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        ours = wechatpay_server.credentials()
        account = connect(
            credentials=Credentials(
                app_id=f" {ours.app_id}\n",
                merchant_no=f"{ours.merchant_no} ",
                keys={name: f"\n{value}\n" for name, value in ours.keys.items()},
            )
        )
        assert account.app_id == ours.app_id
        assert services.credentials_of(account).keys["api_v3_key"] == ours.keys["api_v3_key"]


class TestStores:
    def test_an_account_serves_the_chosen_stores_only(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        second = Store.objects.create(name="二号店")
        account = connect(all_stores=False, store_ids=[second.pk])
        assert selectors.accounts_serving(store_id=second.pk) == [account]
        assert selectors.accounts_serving(store_id=scoped.store.pk) == []

        change(account, all_stores=False, store_ids=[scoped.store.pk])
        assert selectors.accounts_serving(store_id=second.pk) == []
        assert [store.pk for store in selectors.stores_of(account)] == [scoped.store.pk]

        change(account)
        assert AccountStore.objects.count() == 0
        assert selectors.accounts_serving(store_id=second.pk) == [account]

    def test_another_merchants_store_cannot_be_named(
        self, shop: Shop, wechatpay: WechatpayServer
    ) -> None:
        stranger = make_shop("rice")
        with inside(shop), pytest.raises(services.CredentialsRefused):
            connect(all_stores=False, store_ids=[stranger.store.pk])
        with inside(shop):
            assert nothing_stored()


def change(account: PlatformAccount, **changes: Any) -> PlatformAccount:
    given: dict[str, Any] = {
        "account_id": account.pk,
        "label": account.label,
        "keys": {},
        "fee_rate_ppm": 3800,
        "all_stores": True,
        "store_ids": [],
        "actor": ACTOR,
        "now": NOW,
    }
    return services.update_account(**(given | changes))


class TestChange:
    def test_without_new_keys_nothing_is_asked_and_the_keys_stay(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        account = connect()
        wechatpay.requests.clear()
        change(account, label="新名", keys={"private_key": " ", "api_v3_key": ""})

        account.refresh_from_db()
        assert (account.label, account.fee_rate_ppm) == ("新名", 3800)
        assert services.credentials_of(account) == with_keys()
        assert wechatpay.requests == []

    def test_a_new_key_replaces_only_itself(self, scoped: Shop, wechatpay: WechatpayServer) -> None:
        account = connect()
        before = services.fingerprints_of(account)
        change(account, keys={"api_v3_key": "f" * 32})

        account.refresh_from_db()
        after = services.fingerprints_of(account)
        assert {name for name in after if after[name] != before[name]} == {"api_v3_key"}
        event = AuditEvent.objects.get(action="account.changed")
        assert event.data["replaced"] == ["api_v3_key"]
        assert "f" * 32 not in json.dumps(event.data)

    def test_a_refused_key_changes_nothing(self, scoped: Shop, wechatpay: WechatpayServer) -> None:
        account = connect()
        with pytest.raises(services.CredentialsRefused) as refusal:
            change(account, label="新名", keys={"private_key": private_pem("somebody")})
        assert refusal.value.field == "private_key"

        account.refresh_from_db()
        assert (account.label, account.fee_rate_ppm) == ("总店微信", 6000)
        assert services.credentials_of(account) == with_keys()
        assert AuditEvent.objects.filter(action="account.changed").count() == 0

    def test_a_strangers_account_is_not_found(self, shop: Shop, wechatpay: WechatpayServer) -> None:
        with inside(shop):
            account = connect()
        with inside(make_shop("rice")), pytest.raises(services.AccountNotFound):
            change(account)


def test_pausing_and_resuming_is_recorded_once(scoped: Shop, wechatpay: WechatpayServer) -> None:
    account = connect()
    given: dict[str, Any] = {"account_id": account.pk, "actor": ACTOR, "now": NOW}
    assert services.set_active(active=False, **given)
    assert not services.set_active(active=False, **given)
    assert selectors.accounts_serving(store_id=scoped.store.pk) == []
    assert services.set_active(active=True, **given)
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["account.connected", "account.paused", "account.resumed"]


def test_a_recheck_keeps_the_verdict_and_the_account(
    scoped: Shop, wechatpay: WechatpayServer
) -> None:
    account = connect()
    wechatpay.known_secret = "renewed at the platform"
    check = services.recheck_account(account_id=account.pk, actor=ACTOR, now=NOW)
    assert (check.state, check.field) == (CheckState.BAD, "app_secret")
    account.refresh_from_db()
    assert account.check_state == CheckState.BAD.value
    assert account.is_active
    assert services.last_check(account) == check


def test_an_unreachable_platform_leaves_the_earlier_verdict(
    scoped: Shop, wechatpay: WechatpayServer, settings: Settings
) -> None:
    account = connect()
    settings.WECHATPAY_API_URL = unreachable()
    check = services.recheck_account(account_id=account.pk, actor=ACTOR, now=NOW)
    assert check.state is CheckState.UNREACHABLE
    account.refresh_from_db()
    assert account.check_state == CheckState.GOOD.value
    event = AuditEvent.objects.get(action="account.checked")
    assert event.data["check"] == "unreachable"


def test_resealing_moves_the_credentials_to_the_current_key_once(
    scoped: Shop, wechatpay: WechatpayServer, settings: Settings
) -> None:
    account = connect()
    assert not services.reseal_account(account_id=account.pk)
    third = "test3:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="
    settings.ENCRYPTION_KEYS = [third, *settings.ENCRYPTION_KEYS]
    assert services.reseal_account(account_id=account.pk)
    assert not services.reseal_account(account_id=account.pk)

    settings.ENCRYPTION_KEYS = [third]
    account.refresh_from_db()
    assert services.credentials_of(account) == with_keys()
