"""A wrong APIv3 key: no live check finds it, the first genuine notification does, and no forged one can."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.merchants.models import Membership
from apps.platforms import services, wording
from apps.platforms.gateway import API_V3_KEY_WRONG, CheckState, CredentialCheck, RawNotification
from apps.platforms.models import Notification, NotificationState, PlatformAccount, Verdict
from apps.platforms.tests import alipay_server, wechatpay_server
from apps.platforms.tests.alipay_server import AlipayServer
from apps.platforms.tests.conftest import CountingHandler
from apps.platforms.tests.shops import Shop, inside
from apps.platforms.tests.test_intake import TRANSACTION
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer

ACTOR = Actor("owner@tea.test")
WRONG = "x" * 32
RIGHT = wechatpay_server.credentials().keys["api_v3_key"]
LATER = NOW + timedelta(seconds=30)
MARK = CredentialCheck(state=CheckState.BAD, field="api_v3_key", code=API_V3_KEY_WRONG)
GOOD = CredentialCheck(state=CheckState.GOOD)


@pytest.fixture
def account(shop: Shop, wechatpay: WechatpayServer) -> PlatformAccount:
    """Connected with a wrong key, which the platform's answer cannot tell."""
    ours = wechatpay_server.credentials()
    with inside(shop):
        return services.connect_account(
            platform="wechatpay",
            label="总店微信",
            credentials=replace(ours, keys={**ours.keys, "api_v3_key": WRONG}),
            fee_rate_ppm=6000,
            all_stores=True,
            store_ids=[],
            actor=ACTOR,
            now=NOW,
        )


def notice(
    key: str = RIGHT, *, signer: str = "wechat platform", event: str = "TRANSACTION.SUCCESS"
) -> RawNotification:
    ours = wechatpay_server.credentials()
    server = WechatpayServer(
        ours=replace(ours, keys={**ours.keys, "api_v3_key": key}), signer=signer
    )
    return server.notice(event, TRANSACTION)


def receive(
    shop: Shop, account: PlatformAccount, raw: RawNotification, *, at: datetime = NOW
) -> Notification:
    with inside(shop):
        fresh = PlatformAccount.objects.get(pk=account.pk)
        receipt = services.receive(
            account=fresh,
            raw=replace(raw, received_at=at),
            remote_ip="203.0.113.9",
            now=at,
        )
        return Notification.objects.get(pk=receipt.notification_id)


def verdict(shop: Shop, account: PlatformAccount) -> CredentialCheck | None:
    with inside(shop):
        return services.last_check(PlatformAccount.objects.get(pk=account.pk))


def checks(shop: Shop) -> list[tuple[str, str]]:
    """What notifications proved, as the history has it."""
    with inside(shop):
        events = AuditEvent.objects.filter(action="account.checked").order_by("pk")
        return [
            (event.data["check"], event.data["code"])
            for event in events
            if event.data.get("by") == "notification"
        ]


def change(shop: Shop, account: PlatformAccount, **keys: str) -> None:
    with inside(shop):
        services.update_account(
            account_id=account.pk,
            label="总店微信",
            keys=keys,
            fee_rate_ppm=6000,
            all_stores=True,
            store_ids=[],
            actor=ACTOR,
            now=LATER,
        )


class TestVerdict:
    def test_the_first_genuine_notification_marks_the_account(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        assert verdict(shop, account) == GOOD
        row = receive(shop, account, notice())
        assert (row.state, row.verdict) == (NotificationState.REFUSED, Verdict.UNREADABLE)
        assert row.detail == API_V3_KEY_WRONG
        assert verdict(shop, account) == MARK
        assert handler.applied == []
        with inside(shop):
            assert PlatformAccount.objects.get(pk=account.pk).is_active

        receive(shop, account, notice())
        assert checks(shop) == [("bad", API_V3_KEY_WRONG)]

    @pytest.mark.parametrize("key", [RIGHT, WRONG])
    def test_a_forged_notification_neither_sets_nor_lifts_it(
        self, shop: Shop, account: PlatformAccount, key: str
    ) -> None:
        forged = notice(key, signer="somebody")
        row = receive(shop, account, forged)
        assert row.verdict == Verdict.BAD_SIGNATURE
        assert verdict(shop, account) == GOOD

        receive(shop, account, notice())
        receive(shop, account, forged)
        assert verdict(shop, account) == MARK
        assert checks(shop) == [("bad", API_V3_KEY_WRONG)]

    def test_a_signed_notification_that_is_altered_or_old_does_not_set_it(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        raw = notice()
        receive(shop, account, replace(raw, body=raw.body.replace(b"EV-1", b"EV-2")))
        receive(shop, account, raw, at=NOW + timedelta(seconds=301))
        assert verdict(shop, account) == GOOD
        assert checks(shop) == []

    @pytest.mark.parametrize(
        ("old", "new"),
        [(b'"nonce": "0123456789ab"', b'"nonce": "1"'), (b'"ciphertext": "', b'"ciphertext": "!')],
    )
    def test_signed_nonsense_is_not_blamed_on_the_key(
        self, shop: Shop, account: PlatformAccount, old: bytes, new: bytes
    ) -> None:
        body = notice().body
        assert old in body
        row = receive(shop, account, WechatpayServer().signed(body.replace(old, new)))
        assert row.verdict == Verdict.UNREADABLE
        assert row.detail == "the sealed resource is damaged"
        assert verdict(shop, account) == GOOD

    def test_a_later_notification_that_opens_lifts_it(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        receive(shop, account, notice())
        # The merchant sets at the platform what is stored here.
        row = receive(shop, account, notice(WRONG), at=LATER)
        assert row.state == NotificationState.APPLIED
        assert verdict(shop, account) == GOOD
        assert checks(shop) == [("bad", API_V3_KEY_WRONG), ("good", "")]
        assert len(handler.applied) == 1

    def test_one_that_opens_lifts_it_even_if_it_cannot_be_applied(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        receive(shop, account, notice())
        handler.trouble = RuntimeError("later")
        assert receive(shop, account, notice(WRONG), at=LATER).state == NotificationState.FAILED
        assert verdict(shop, account) == GOOD

    def test_one_that_is_not_opened_proves_nothing(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        receive(shop, account, notice())
        row = receive(shop, account, notice(event="COUPON.USE"), at=LATER)
        assert row.state == NotificationState.APPLIED
        assert verdict(shop, account) == MARK

    def test_a_new_key_lifts_it_and_the_stored_notification_can_be_processed(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        row = receive(shop, account, notice())
        change(shop, account, api_v3_key=RIGHT)
        assert verdict(shop, account) == GOOD
        with inside(shop):
            again = services.reprocess_notification(notification_id=row.pk, now=LATER, actor=ACTOR)
        assert again.state == NotificationState.APPLIED
        assert len(handler.applied) == 1

    @pytest.mark.parametrize("keys", [{}, {"app_secret": "s3cret"}, {"api_v3_key": WRONG}])
    def test_a_change_that_leaves_the_key_leaves_the_verdict(
        self, shop: Shop, account: PlatformAccount, keys: dict[str, str]
    ) -> None:
        receive(shop, account, notice())
        change(shop, account, **keys)
        assert verdict(shop, account) == MARK

    def test_a_live_check_does_not_lift_it(self, shop: Shop, account: PlatformAccount) -> None:
        receive(shop, account, notice())
        with inside(shop):
            check = services.recheck_account(account_id=account.pk, actor=ACTOR, now=LATER)
        assert check == MARK
        assert verdict(shop, account) == MARK

    def test_an_old_notification_processed_again_proves_nothing_about_a_new_key(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        sealed_with_a_former_key = receive(shop, account, notice("f" * 32))
        change(shop, account, api_v3_key=RIGHT)
        with inside(shop):
            again = services.reprocess_notification(
                notification_id=sealed_with_a_former_key.pk, now=LATER, actor=ACTOR
            )
        assert again.detail == API_V3_KEY_WRONG
        assert verdict(shop, account) == GOOD

    def test_a_delivery_read_with_keys_that_were_replaced_meanwhile_is_not_counted(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        change(shop, account, api_v3_key=RIGHT)
        with inside(shop):
            services.receive(
                account=account,
                raw=replace(notice(), received_at=LATER),
                remote_ip=None,
                now=LATER,
            )
        assert verdict(shop, account) == GOOD


def enter(shop: Shop, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(shop.members["owner"])
    client.cookies["django_language"] = language
    return client


def page(response: HttpResponse | Any) -> str:
    return str(response.content.decode())


def url(shop: Shop, name: str, *args: Any) -> str:
    return reverse(f"platforms:{name}", args=[shop.slug, *args])


CANNOT_BE_TRIED = "APIv3 key cannot be tried beforehand: the first notification proves it"


class TestPages:
    def test_the_form_and_the_answer_to_it_are_honest(
        self, shop: Shop, wechatpay: WechatpayServer
    ) -> None:
        client = enter(shop)
        address = url(shop, "account_connect", "wechatpay")
        assert CANNOT_BE_TRIED in page(client.get(address))
        ours = wechatpay_server.credentials()
        entries = {
            "label": "总店微信",
            "merchant_no": ours.merchant_no,
            "app_id": ours.app_id,
            **ours.keys,
            "api_v3_key": WRONG,
            "fee_rate": "0.6",
            "serves": "all",
        }
        told = page(client.post(address, entries, follow=True))
        assert "Connected. The platform accepted the credentials." in told
        assert CANNOT_BE_TRIED in told

        with inside(shop):
            (account,) = PlatformAccount.objects.all()
            # Alone in the shop, the owner changes keys at once.
            Membership.objects.exclude(user=shop.members["owner"]).update(is_active=False)
        edit = url(shop, "account_edit", account.pk)
        terms = {"label": "总店微信", "fee_rate": "0.6", "serves": "all"}
        assert CANNOT_BE_TRIED not in page(client.post(edit, terms, follow=True))
        assert CANNOT_BE_TRIED in page(
            client.post(edit, {**terms, "api_v3_key": RIGHT}, follow=True)
        )

    def test_alipay_has_nothing_that_cannot_be_tried(
        self, shop: Shop, alipay: AlipayServer
    ) -> None:
        client = enter(shop)
        address = url(shop, "account_connect", "alipay")
        assert "cannot be tried" not in page(client.get(address))
        ours = alipay_server.credentials()
        entries = {
            "label": "支付宝",
            "merchant_no": ours.merchant_no,
            "app_id": ours.app_id,
            **ours.keys,
            "fee_rate": "0.6",
            "serves": "all",
        }
        told = page(client.post(address, entries, follow=True))
        assert "Connected. The platform accepted the credentials." in told
        assert "cannot be tried" not in told
        assert wording.untried_words("alipay") == ""

    @pytest.mark.parametrize(
        ("platform", "language", "example", "other"),
        [
            ("wechatpay", "en", "Main shop, WeChat Pay", "Main shop, Alipay"),
            ("alipay", "en", "Main shop, Alipay", "Main shop, WeChat Pay"),
            ("wechatpay", "zh-hans", "总店微信支付", "总店支付宝"),
            ("alipay", "zh-hans", "总店支付宝", "总店微信支付"),
        ],
    )
    def test_the_example_of_a_name_is_the_platforms_own(
        self, shop: Shop, platform: str, language: str, example: str, other: str
    ) -> None:
        shown = page(enter(shop, language).get(url(shop, "account_connect", platform)))
        assert example in shown
        assert other not in shown

    def test_every_page_says_what_to_do(self, shop: Shop, account: PlatformAccount) -> None:
        row = receive(shop, account, notice())
        client = enter(shop)
        for address in (
            url(shop, "account_list"),
            url(shop, "account_detail", account.pk),
        ):
            shown = page(client.get(address))
            assert 'data-state="broken"' in shown
            assert "APIv3 key wrong: a genuine notification" in shown
            assert "Copy the key again" in shown
        detail = page(client.get(url(shop, "notification_detail", row.pk)))
        assert "APIv3 key wrong: the signature is good" in detail
        assert API_V3_KEY_WRONG not in detail
        history = page(client.get(url(shop, "account_detail", account.pk)))
        assert "a genuine notification did not open with it" in history
        today = page(client.get(reverse("reports:dashboard", args=[shop.slug])))
        assert "总店微信 did not pass its last check" in today

        checked = page(client.post(url(shop, "account_check", account.pk), follow=True))
        assert 'data-state="broken"' in checked
        assert "The platform accepted the credentials." not in checked.split("history-title")[0]

    def test_nothing_is_red_after_a_forged_one(self, shop: Shop, account: PlatformAccount) -> None:
        receive(shop, account, notice(signer="somebody"))
        shown = page(enter(shop).get(url(shop, "account_list")))
        assert 'data-state="working"' in shown
        assert "APIv3 key wrong" not in shown
