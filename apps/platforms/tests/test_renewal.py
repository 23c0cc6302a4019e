"""Certificates are renewed by themselves, and stored without undoing what somebody else has just stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
from django.db import connection
from pytest_django import Settings

from apps.core import encryption
from apps.core.models import AuditEvent, Due
from apps.core.tasks import registered_tasks
from apps.core.tenancy import enter_scope
from apps.platforms import registry, services
from apps.platforms.gateway import API_V3_KEY_WRONG, CheckState, Credentials, Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.services import renewal
from apps.platforms.services.upkeep import plan_upkeep
from apps.platforms.tests import alipay_server, unionpay_server, wechatpay_server
from apps.platforms.tests.alipay_server import AlipayServer
from apps.platforms.tests.shops import Shop, inside, make_shop
from apps.platforms.tests.test_services import ACTOR, change, connect, unreachable
from apps.platforms.tests.wechatpay_server import (
    NOW,
    WechatpayServer,
    certificate,
    private_pem,
    public_pem,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def scoped(shop: Shop) -> Iterator[Shop]:
    with inside(shop):
        yield shop


def held_by_certificate() -> Credentials:
    """A merchant that knows WeChat Pay by its old certificate."""
    ours = wechatpay_server.credentials()
    keys = {name: value for name, value in ours.keys.items() if not name.startswith("public_key")}
    return replace(
        ours, keys={**keys, "platform_certificates": certificate("wechat old", number=7)[0]}
    )


@pytest.fixture
def old_and_new(wechatpay: WechatpayServer) -> WechatpayServer:
    """WeChat Pay signs with the old certificate and has begun to give out the new one."""
    wechatpay.signer, wechatpay.serial = "wechat old", certificate("wechat old", number=7)[1]
    wechatpay.certificates = [certificate("wechat new", number=8, days=(-1, 400))[0]]
    return wechatpay


def due(account: PlatformAccount) -> list[datetime]:
    rows = Due.objects.filter(task=renewal.TASK, subject_id=account.pk)
    return [row.due_at for row in rows]


def renew(account: PlatformAccount, *, now: datetime = NOW) -> datetime | None:
    return renewal.renew_due(account_id=account.pk, now=now)


def test_the_task_is_registered() -> None:
    assert renewal.TASK in registered_tasks()


class TestWhoIsRenewed:
    def test_an_account_with_certificates_from_its_connecting_on(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        account = connect(credentials=held_by_certificate())
        assert due(account) == [NOW]

    def test_an_account_with_public_keys_never(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        account = connect()
        wechatpay.requests.clear()
        assert due(account) == []
        assert renew(account) is None
        assert wechatpay.requests == []

    def test_from_the_change_by_which_it_has_certificates(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        account = connect()
        change(account, label="新名")
        assert due(account) == []
        change(account, keys={"platform_certificates": certificate("wechat certificate")[0]})
        assert due(account) == [NOW]

    def test_a_check_by_hand_asks_for_it_too(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        """So that accounts that are older than this task come to it."""
        account = connect(credentials=held_by_certificate())
        Due.objects.all().delete()
        services.recheck_account(account_id=account.pk, actor=ACTOR, now=NOW)
        assert due(account) == [NOW]

    def test_accounts_that_nobody_looks_after_are_found(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        """Those connected before this work was. What is planned already keeps its time."""
        account = connect(credentials=held_by_certificate())
        Due.objects.all().delete()
        assert plan_upkeep(now=NOW) == 1
        assert due(account) == [NOW]
        assert plan_upkeep(now=NOW - HOUR) == 0
        assert due(account) == [NOW]

    def test_an_account_without_certificates_is_left_alone(
        self, scoped: Shop, wechatpay: WechatpayServer
    ) -> None:
        account = connect()
        assert plan_upkeep(now=NOW) == 0
        assert due(account) == []

    def test_credentials_that_do_not_open_hold_up_nobody(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        broken = connect(credentials=held_by_certificate())
        fine = PlatformAccount.objects.get()
        fine.pk, fine.merchant_no, fine.ref = None, "1900000002", "anotherref"
        fine.save()
        Due.objects.all().delete()
        PlatformAccount.objects.filter(pk=broken.pk).update(credentials_sealed=b"broken")
        assert plan_upkeep(now=NOW) == 1
        assert (due(broken), due(fine)) == ([], [NOW])

    def test_an_account_that_is_gone_or_a_strangers(
        self, shop: Shop, old_and_new: WechatpayServer
    ) -> None:
        with inside(shop):
            account = connect(credentials=held_by_certificate())
            assert renewal.renew_due(account_id=account.pk + 1, now=NOW) is None
        with inside(make_shop("rice")):
            assert renew(account) is None

    @pytest.mark.parametrize(
        ("platform", "ours", "renews"),
        [
            (Platform.WECHATPAY, wechatpay_server.credentials, False),
            (Platform.WECHATPAY, held_by_certificate, True),
            (Platform.ALIPAY, alipay_server.credentials, False),
            (Platform.ALIPAY, alipay_server.certified, True),
            (Platform.UNIONPAY, unionpay_server.credentials, False),
        ],
    )
    def test_by_what_stands_in_the_credentials(
        self, platform: Platform, ours: object, renews: bool
    ) -> None:
        assert callable(ours)
        assert registry.renews(platform, ours()) is renews


class TestRenewal:
    def test_new_certificates_are_stored_sealed_and_recorded(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        account = connect(credentials=held_by_certificate())
        next_at = renew(account)

        account.refresh_from_db()
        held = services.credentials_of(account)
        old, new = certificate("wechat old", number=7)[0], old_and_new.certificates
        assert new is not None
        assert held.keys["platform_certificates"] == old + new[0]
        assert {**held.keys, "platform_certificates": ""} == {
            **{name: text.strip() for name, text in held_by_certificate().keys.items()},
            "platform_certificates": "",
        }
        assert b"CERTIFICATE" not in bytes(account.credentials_sealed)
        assert encryption.key_id_of(bytes(account.credentials_sealed)) == "test2"
        assert account.renewed_at == NOW
        assert next_at is not None
        assert 9 * HOUR <= next_at - NOW <= 11 * HOUR
        event = AuditEvent.objects.get(action="account.renewed")
        assert event.data == {"renewed": ["platform_certificates"]}
        assert (event.actor, event.at) == ("system:renewal", NOW)

        # The day comes on which the platform signs with it.
        old_and_new.signer, old_and_new.serial = (
            "wechat new",
            certificate("wechat new", number=8)[1],
        )
        check = services.recheck_account(account_id=account.pk, actor=ACTOR, now=NOW)
        assert check.state is CheckState.GOOD

    def test_nothing_new_is_noted_and_not_recorded(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        account = connect(credentials=held_by_certificate())
        renew(account)
        account.refresh_from_db()
        sealed = bytes(account.credentials_sealed)
        later = NOW + 2 * timedelta(minutes=1)
        renew(account, now=later)
        account.refresh_from_db()
        assert (account.renewed_at, bytes(account.credentials_sealed)) == (later, sealed)
        assert AuditEvent.objects.filter(action="account.renewed").count() == 1

    def test_a_paused_account_too(self, scoped: Shop, old_and_new: WechatpayServer) -> None:
        account = connect(credentials=held_by_certificate())
        services.set_active(account_id=account.pk, active=False, actor=ACTOR, now=NOW)
        renew(account)
        account.refresh_from_db()
        assert account.renewed_at == NOW

    def test_alipays(self, scoped: Shop, alipay: AlipayServer) -> None:
        alipay.ours = alipay_server.certified()
        account = connect(platform="alipay", credentials=alipay_server.certified())
        assert due(account) == [NOW]
        alipay.signer, alipay.offered = "alipay renewed", ["alipay renewed", "alipay middle"]
        assert renew(account) is not None
        account.refresh_from_db()
        held = services.credentials_of(account).keys["alipay_certificate"]
        assert held == alipay_server.pem("alipay platform", "alipay renewed")

    def test_accounts_do_not_all_ask_at_once(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        account = connect(credentials=held_by_certificate())
        waits = {(renew(account, now=NOW + n * HOUR) or NOW) - n * HOUR for n in range(4)}
        assert len(waits) == 4


class TestHaste:
    """A notification that nobody here can verify may be the first with a new certificate."""

    def receive(self, account: PlatformAccount, server: WechatpayServer, *, now: datetime) -> None:
        raw = server.notice("TRANSACTION.SUCCESS", {"mchid": "x"}, at=now)
        services.receive(
            account=account, raw=replace(raw, received_at=now), remote_ip="203.0.113.9", now=now
        )

    def test_it_is_looked_for_earlier_but_not_often(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        account = connect(credentials=held_by_certificate())
        renew(account)
        account.refresh_from_db()
        Due.objects.all().delete()
        old_and_new.serial = f"{99:040X}"
        for minutes in (1, 2):
            self.receive(account, old_and_new, now=NOW + timedelta(minutes=minutes))
            assert due(account) == [NOW + timedelta(minutes=10)]
        Due.objects.all().delete()
        self.receive(account, old_and_new, now=NOW + HOUR)
        assert due(account) == [NOW + HOUR + timedelta(minutes=1)]

    def test_a_forged_one_hastens_nothing(self, scoped: Shop, old_and_new: WechatpayServer) -> None:
        account = connect(credentials=held_by_certificate())
        Due.objects.all().delete()
        old_and_new.signer = "stranger"
        self.receive(account, old_and_new, now=NOW)
        assert due(account) == []


class TestTrouble:
    def test_without_an_answer_it_is_asked_again_soon(
        self, scoped: Shop, old_and_new: WechatpayServer, settings: Settings
    ) -> None:
        account = connect(credentials=held_by_certificate())
        before = bytes(account.credentials_sealed)
        settings.WECHATPAY_API_URL = unreachable()
        next_at = renew(account)
        assert next_at is not None
        assert timedelta(minutes=15) < next_at - NOW < timedelta(minutes=25)
        account.refresh_from_db()
        assert (account.renewed_at, bytes(account.credentials_sealed)) == (None, before)
        assert account.check_state == CheckState.GOOD.value

    def test_certificates_that_a_stranger_signed_change_nothing(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        account = connect(credentials=held_by_certificate())
        before = bytes(account.credentials_sealed)
        old_and_new.signer = "stranger"
        assert renew(account) is not None
        account.refresh_from_db()
        assert (account.renewed_at, bytes(account.credentials_sealed)) == (None, before)

    def test_a_wrong_api_v3_key_is_shown_at_the_account(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        """The certificates prove it as well as a notification does, and earlier."""
        ours = held_by_certificate()
        account = connect(credentials=replace(ours, keys={**ours.keys, "api_v3_key": "f" * 32}))
        next_at = renew(account)
        assert next_at is not None
        assert next_at > NOW + HOUR
        account.refresh_from_db()
        check = services.last_check(account)
        assert check is not None
        assert (check.state, check.code, check.field) == (
            CheckState.BAD,
            API_V3_KEY_WRONG,
            "api_v3_key",
        )
        assert AuditEvent.objects.filter(action="account.checked").count() == 1
        assert renew(account) is not None
        assert AuditEvent.objects.filter(action="account.checked").count() == 1

    def test_another_refusal_says_nothing_about_the_credentials(
        self, scoped: Shop, old_and_new: WechatpayServer
    ) -> None:
        account = connect(credentials=held_by_certificate())
        old_and_new.faults.append(lambda _: old_and_new.refuse(403, "NO_AUTH"))
        assert renew(account) is not None
        account.refresh_from_db()
        assert (account.check_state, account.renewed_at) == (CheckState.GOOD.value, None)


def test_what_somebody_stored_meanwhile_is_not_undone(
    transactional_db: None, old_and_new: WechatpayServer
) -> None:
    shop = make_shop()
    with enter_scope(shop.scope):
        account = connect(credentials=held_by_certificate())

    def meanwhile(request: httpx.Request) -> httpx.Response:
        """The owner stores another key while the certificates are under way."""
        try:
            with enter_scope(shop.scope):
                change(account, keys={"api_v3_key": "e" * 32})
        finally:
            connection.close()
        return old_and_new.handle(request)

    old_and_new.faults.append(meanwhile)
    with enter_scope(shop.scope):
        assert renew(account) == NOW + timedelta(minutes=1)
        account.refresh_from_db()
        held = services.credentials_of(account)
        assert held.keys["api_v3_key"] == "e" * 32
        assert account.renewed_at is None


class TestAlipaysTwoWays:
    def test_from_key_to_certificates_and_back(self, scoped: Shop, alipay: AlipayServer) -> None:
        account = connect(platform="alipay", credentials=alipay_server.credentials())
        certified = alipay_server.certified()
        alipay.ours = certified
        change(
            account,
            keys={name: text for name, text in certified.keys.items() if "certificate" in name},
        )
        account.refresh_from_db()
        assert services.credentials_of(account).keys.keys() == certified.keys.keys()
        assert due(account) == [NOW]

        alipay.ours = alipay_server.credentials()
        change(account, keys={"alipay_public_key": public_pem("alipay platform")})
        account.refresh_from_db()
        assert services.credentials_of(account).keys.keys() == {"private_key", "alipay_public_key"}
        assert renew(account) is None

    def test_one_certificate_alone_is_not_enough(self, scoped: Shop, alipay: AlipayServer) -> None:
        account = connect(platform="alipay", credentials=alipay_server.credentials())
        with pytest.raises(services.CredentialsRefused) as caught:
            change(account, keys={"app_certificate": alipay_server.pem("alipay app")})
        assert set(caught.value.errors) == {"alipay_certificate", "alipay_root_certificate"}


class TestFacts:
    def test_when_certificates_end(self) -> None:
        both = certificate("wechat old", number=7)[0] + certificate("wechat new", days=(-1, 9))[0]
        ours = replace(held_by_certificate(), keys={"platform_certificates": both})
        assert registry.certificate_facts("wechatpay", ours) == [
            ("platform_certificates", NOW + timedelta(days=9))
        ]
        end = NOW + timedelta(days=60)
        assert registry.certificate_facts("alipay", alipay_server.certified()) == [
            ("app_certificate", end),
            ("alipay_certificate", end),
            ("alipay_root_certificate", end),
        ]
        names = [
            name
            for name, _ in registry.certificate_facts("unionpay", unionpay_server.credentials())
        ]
        assert names == ["certificate", "root_certificate", "middle_certificate"]

    def test_where_there_are_none_or_they_cannot_be_read(self) -> None:
        assert registry.certificate_facts("wechatpay", wechatpay_server.credentials()) == []
        ours = alipay_server.certified()
        broken = {**ours.keys, "app_certificate": private_pem("alipay app")}
        names = [
            name for name, _ in registry.certificate_facts("alipay", replace(ours, keys=broken))
        ]
        assert names == ["alipay_certificate", "alipay_root_certificate"]
