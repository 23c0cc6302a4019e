"""What the notification address does with genuine, repeated, forged and broken deliveries."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from threading import Barrier, Thread
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

import apps.platforms.tasks  # noqa: F401  # registers the due task, as a worker does
from apps.core import tasks
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.tenancy import enter_scope
from apps.platforms import intake, services
from apps.platforms.gateway import Credentials, NotificationKind, RawNotification
from apps.platforms.models import Notification, NotificationState, PlatformAccount, Verdict
from apps.platforms.services.notifications import MAX_BODY
from apps.platforms.tests import alipay_server, wechatpay_server
from apps.platforms.tests.conftest import CountingHandler
from apps.platforms.tests.shops import Shop, inside, make_shop
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer, private_pem, rsa_sign

ACTOR = Actor("owner@tea.test")
TRANSACTION = {
    "appid": "wx1a2b3c4d5e6f7a8b",
    "mchid": "1900000109",
    "out_trade_no": "P20260502000001",
    "transaction_id": "4200001",
    "trade_state": "SUCCESS",
    "trade_type": "NATIVE",
    "success_time": "2026-05-02T10:59:58+08:00",
    "amount": {"total": 1250, "currency": "CNY", "payer_total": 1250},
    "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
}


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=True):
        yield


def make_account(
    shop: Shop, credentials: Credentials, platform: str = "wechatpay"
) -> PlatformAccount:
    """An account stored without asking: no platform listens in these tests."""
    with inside(shop):
        return services.connect_account(
            platform=platform,
            label="总店",
            credentials=credentials,
            fee_rate_ppm=6000,
            all_stores=True,
            store_ids=[],
            actor=ACTOR,
            now=NOW,
            unchecked=True,
        )


@pytest.fixture
def nobody_listens(settings: Settings) -> None:
    settings.WECHATPAY_API_URL = "http://127.0.0.1:9/wechatpay"
    settings.ALIPAY_GATEWAY_URL = "http://127.0.0.1:9/gateway.do"


@pytest.fixture
def account(shop: Shop, nobody_listens: None) -> PlatformAccount:
    return make_account(shop, wechatpay_server.credentials())


@pytest.fixture
def paid() -> RawNotification:
    return WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION)


def post(
    account: PlatformAccount,
    raw: RawNotification,
    *,
    content_type: str = "application/json",
    ref: str = "",
    platform: str = "",
    body: bytes | None = None,
) -> HttpResponse:
    client = Client(enforce_csrf_checks=True)
    response: Any = client.post(
        f"/notify/{platform or account.platform}/{ref or account.ref}",
        data=raw.body if body is None else body,
        content_type=content_type,
        headers=dict(raw.headers),
    )
    assert isinstance(response, HttpResponse)
    return response


def rows(shop: Shop) -> list[Notification]:
    with enter_scope(shop.scope):
        return list(Notification.objects.order_by("pk"))


def only_row(shop: Shop) -> Notification:
    (row,) = rows(shop)
    return row


class TestGood:
    def test_it_is_stored_sealed_applied_and_acknowledged(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
    ) -> None:
        response = post(account, paid)

        assert response.status_code == 200
        assert response.json()["code"] == "SUCCESS"  # type: ignore[attr-defined]  # the test client adds it
        row = only_row(shop)
        assert (row.state, row.verdict) == (NotificationState.APPLIED, Verdict.GOOD)
        assert (row.kind, row.order_no) == ("payment", "P20260502000001")
        assert bytes(row.body_sha256) == hashlib.sha256(paid.body).digest()
        assert row.body_sealed is not None
        assert b"ciphertext" not in bytes(row.body_sealed)
        assert row.headers["wechatpay-serial"].startswith("PUB_KEY_ID_")
        assert row.remote_ip == "127.0.0.1"
        (message,) = handler.applied
        assert message.payment is not None
        assert message.payment.amount is not None
        assert message.payment.amount.minor == 1250

    def test_cookies_and_authorizations_are_not_kept(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
    ) -> None:
        secret = {**paid.headers, "authorization": "Bearer x", "cookie": "a=b"}
        post(
            account,
            RawNotification(headers=secret, query="", body=paid.body, received_at=NOW),
        )
        assert {"authorization", "cookie"} & set(only_row(shop).headers) == set()

    def test_a_repeat_has_no_effect_and_is_acknowledged(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
    ) -> None:
        again = WechatpayServer().notice(
            "TRANSACTION.SUCCESS", TRANSACTION, at=NOW + timedelta(seconds=15)
        )
        statuses = [post(account, raw).status_code for raw in (paid, paid, again)]

        assert statuses == [200, 200, 200]
        assert len(handler.applied) == 1
        assert [row.state for row in rows(shop)] == ["applied", "repeated", "repeated"]

    def test_alipay_is_answered_with_its_own_word(
        self, shop: Shop, nobody_listens: None, handler: CountingHandler
    ) -> None:
        account = make_account(shop, alipay_server.credentials(), "alipay")
        response = post(
            account,
            alipay_notice(),
            content_type="application/x-www-form-urlencoded; charset=utf-8",
        )
        assert (response.status_code, response.content) == (200, b"success")
        assert only_row(shop).state == NotificationState.APPLIED
        assert len(handler.applied) == 1

    @pytest.mark.parametrize(
        ("state", "status"),
        [
            (NotificationState.UNMATCHED, 200),
            (NotificationState.REPEATED, 200),
            (NotificationState.REFUSED, 400),
        ],
    )
    def test_the_handlers_word_decides(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
        state: NotificationState,
        status: int,
    ) -> None:
        handler.answer = state
        assert post(account, paid).status_code == status
        assert (only_row(shop).state, only_row(shop).verdict) == (state, Verdict.GOOD)

    def test_a_verified_notice_about_something_else_is_acknowledged(
        self, shop: Shop, account: PlatformAccount, handler: CountingHandler
    ) -> None:
        raw = WechatpayServer().notice("COUPON.USE", {"any": "thing"})
        assert post(account, raw).status_code == 200
        assert only_row(shop).kind == NotificationKind.OTHER.value
        assert handler.applied == []


def alipay_notice(signer: str = "alipay platform", **changes: str) -> RawNotification:
    """A notice as Alipay posts it: every field but sign and sign_type is signed, sorted, unescaped."""
    fields = {
        "app_id": "2021000000000001",
        "auth_app_id": "2021000000000001",
        "buyer_id": "2088000000000001",
        "charset": "utf-8",
        "fund_bill_list": '[{"amount":"12.50","fundChannel":"ALIPAYACCOUNT"}]',
        "gmt_create": "2026-05-02 10:59:00",
        "gmt_payment": "2026-05-02 10:59:58",
        "notify_id": "2026050200222",
        "notify_time": "2026-05-02 11:00:00",
        "notify_type": "trade_status_sync",
        "out_trade_no": "P20260502000001",
        "seller_id": "2088123456789012",
        "subject": "龙井 一杯 + 点心",
        "total_amount": "12.50",
        "trade_no": "2026050222001",
        "trade_status": "TRADE_SUCCESS",
        "version": "1.0",
    } | changes
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
    signed = {**fields, "sign": rsa_sign(signer, text.encode()), "sign_type": "RSA2"}
    return RawNotification(headers={}, query="", body=urlencode(signed).encode(), received_at=NOW)


def forged() -> RawNotification:
    server = WechatpayServer(signer="somebody")
    return server.notice("TRANSACTION.SUCCESS", TRANSACTION)


def altered() -> RawNotification:
    raw = WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION)
    body = raw.body.replace(b"EV-1", b"EV-2")
    assert body != raw.body
    return RawNotification(headers=raw.headers, query="", body=body, received_at=NOW)


def truncated() -> RawNotification:
    raw = WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION)
    return RawNotification(headers=raw.headers, query="", body=raw.body[:-20], received_at=NOW)


def old() -> RawNotification:
    return WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION, at=NOW - timedelta(hours=1))


def unsigned() -> RawNotification:
    raw = WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION)
    return RawNotification(headers={}, query="", body=raw.body, received_at=NOW)


def nonsense() -> RawNotification:
    return WechatpayServer().signed(b"not json")


def of_another_merchant() -> RawNotification:
    """Signed by the platform, sealed with our key, and about somebody else's money."""
    return WechatpayServer().notice("TRANSACTION.SUCCESS", {**TRANSACTION, "mchid": "1900000999"})


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "verdict"),
        [
            (forged, Verdict.BAD_SIGNATURE),
            (altered, Verdict.BAD_SIGNATURE),
            (truncated, Verdict.BAD_SIGNATURE),
            (old, Verdict.BAD_SIGNATURE),
            (unsigned, Verdict.BAD_SIGNATURE),
            (nonsense, Verdict.UNREADABLE),
            (of_another_merchant, Verdict.UNREADABLE),
        ],
    )
    def test_it_is_kept_and_has_no_effect(
        self,
        shop: Shop,
        account: PlatformAccount,
        handler: CountingHandler,
        make: Callable[[], RawNotification],
        verdict: Verdict,
    ) -> None:
        response = post(account, make())

        assert response.status_code == 400
        assert response.json()["code"] == "FAIL"  # type: ignore[attr-defined]  # the test client adds it
        row = only_row(shop)
        assert (row.state, row.verdict) == (NotificationState.REFUSED, verdict)
        assert (row.order_no, row.dedup_key) == ("", "")
        assert handler.applied == []
        assert Due.objects.count() == 0

    def test_alipays_no_is_a_4xx_as_well(
        self, shop: Shop, nobody_listens: None, handler: CountingHandler
    ) -> None:
        account = make_account(shop, alipay_server.credentials(), "alipay")
        form = "application/x-www-form-urlencoded"
        for raw in (
            alipay_notice(signer="somebody"),
            alipay_notice(seller_id="2088999999999999"),
            alipay_notice(app_id="2021000000000999"),
        ):
            response = post(account, raw, content_type=form)
            assert (response.status_code, response.content) == (400, b"fail")
        assert [row.state for row in rows(shop)] == ["refused"] * 3
        assert handler.applied == []

    def test_another_accounts_notice_does_not_verify_here(
        self, shop: Shop, account: PlatformAccount, paid: RawNotification, handler: CountingHandler
    ) -> None:
        ours = wechatpay_server.credentials()
        keys = {**ours.keys, "public_key": wechatpay_server.public_pem("other platform key")}
        rice = make_shop("rice")
        other = make_account(
            rice, Credentials(app_id=ours.app_id, merchant_no="1900000999", keys=keys)
        )
        assert post(other, paid).status_code == 400
        assert only_row(rice).verdict == Verdict.BAD_SIGNATURE
        assert rows(shop) == []
        assert handler.applied == []


class TestTheAddress:
    def test_unknown_references_get_a_machines_404_and_leave_nothing(
        self, shop: Shop, account: PlatformAccount, paid: RawNotification
    ) -> None:
        for response in (
            post(account, paid, ref="nobody"),
            post(account, paid, platform="alipay"),
            post(account, paid, platform="nonsense"),
        ):
            assert response.status_code == 404
            assert response.json()["code"] == "NOT_FOUND"  # type: ignore[attr-defined]  # the test client adds it
        assert rows(shop) == []

    def test_it_is_only_posted_to(self, account: PlatformAccount, client: Client) -> None:
        response = client.get(f"/notify/wechatpay/{account.ref}")
        assert response.status_code == 405

    def test_one_byte_too_many_is_not_read(
        self, shop: Shop, account: PlatformAccount, paid: RawNotification
    ) -> None:
        response = post(account, paid, body=b"x" * (MAX_BODY + 1))
        assert response.status_code == 413
        assert rows(shop) == []
        assert post(account, paid, body=b"x" * MAX_BODY).status_code == 400
        assert only_row(shop).state == NotificationState.REFUSED

    @pytest.mark.parametrize(("length", "status"), [("", 411), ("-1", 411), ("900000", 400)])
    def test_a_body_of_unknown_length_or_cut_short_is_not_stored(
        self, shop: Shop, account: PlatformAccount, client: Client, length: str, status: int
    ) -> None:
        response = client.generic(
            "POST",
            f"/notify/wechatpay/{account.ref}",
            **{"wsgi.input": BytesIO(b"{}"), "CONTENT_LENGTH": length},  # type: ignore[arg-type]  # the stubs know text only
        )
        assert response.status_code == status
        assert rows(shop) == []

    def test_a_paused_account_still_hears(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
    ) -> None:
        with inside(shop):
            services.set_active(account_id=account.pk, active=False, actor=ACTOR, now=NOW)
        assert post(account, paid).status_code == 200
        assert len(handler.applied) == 1


class TestTrouble:
    def test_a_failing_handler_is_tried_again_from_the_stored_body(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        handler.trouble = RuntimeError("api_v3_key=0123456789abcdef")
        response = post(account, paid)

        assert response.status_code == 500
        assert response.json()["code"] == "FAIL"  # type: ignore[attr-defined]  # the test client adds it
        row = only_row(shop)
        assert (row.state, row.verdict) == (NotificationState.FAILED, Verdict.GOOD)
        assert row.order_no == "P20260502000001"
        assert "0123456789abcdef" not in row.detail
        assert caplog.records[0].levelname == "ERROR"
        due = Due.objects.get()
        assert (due.task, due.subject_id) == ("platforms.reprocess_notification", row.pk)

        later = due.due_at
        assert tasks.drain(now=later, task=due.task) == 1
        due.refresh_from_db()
        assert due.due_at > later
        assert only_row(shop).state == NotificationState.FAILED

        # By then the platform's time stamp is old; what counts is when it arrived.
        handler.trouble = None
        with time_machine.travel(NOW + timedelta(hours=2)):
            assert tasks.drain(now=NOW + timedelta(hours=2), task=due.task) == 1
        assert only_row(shop).state == NotificationState.APPLIED
        assert len(handler.applied) == 1
        assert Due.objects.count() == 0

    def test_what_a_killed_process_had_stored_is_applied_a_minute_later(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
    ) -> None:
        class Killed(BaseException):
            """As little to be caught as the end of a process."""

        def die() -> None:
            raise Killed

        handler.before = die
        with pytest.raises(Killed):
            post(account, paid)
        row = only_row(shop)
        assert row.state == NotificationState.RECEIVED
        due = Due.objects.get()
        assert (due.task, due.subject_id) == ("platforms.reprocess_notification", row.pk)
        assert NOW + timedelta(seconds=60) <= due.due_at < NOW + timedelta(seconds=65)
        handler.before = lambda: None
        assert tasks.drain(now=due.due_at - timedelta(seconds=1)) == 0
        assert tasks.drain(now=due.due_at) == 1
        assert only_row(shop).state == NotificationState.APPLIED
        assert len(handler.applied) == 1
        assert Due.objects.count() == 0

    def test_the_platforms_own_repeat_may_come_first(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
    ) -> None:
        handler.trouble = RuntimeError("database away")
        post(account, paid)
        handler.trouble = None
        assert post(account, paid).status_code == 200
        tasks.drain(now=NOW + timedelta(hours=1))
        assert [row.state for row in rows(shop)] == ["repeated", "applied"]
        assert len(handler.applied) == 1

    def test_what_the_handler_did_before_it_failed_is_undone(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
    ) -> None:
        def half() -> None:
            PlatformAccount.objects.filter(pk=account.pk).update(label="half done")
            raise RuntimeError

        handler.before = half
        post(account, paid)
        with inside(shop):
            account.refresh_from_db()
        assert account.label == "总店"

    def test_without_a_handler_nothing_is_lost(
        self, shop: Shop, account: PlatformAccount, paid: RawNotification, handler: CountingHandler
    ) -> None:
        intake.unregister_handler(NotificationKind.PAYMENT)
        try:
            assert post(account, paid).status_code == 500
        finally:
            intake.register_handler(NotificationKind.PAYMENT, handler)
        assert only_row(shop).state == NotificationState.FAILED

    def test_keys_that_do_not_open_lose_nothing(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: RawNotification,
        handler: CountingHandler,
    ) -> None:
        with inside(shop):
            good = bytes(account.credentials_sealed)
            PlatformAccount.objects.update(credentials_sealed=b"\x01\x04gone")
        assert post(account, paid).status_code == 500
        assert only_row(shop).state == NotificationState.FAILED
        with inside(shop):
            PlatformAccount.objects.update(credentials_sealed=good)
        tasks.drain(now=NOW + timedelta(hours=1))
        assert only_row(shop).state == NotificationState.APPLIED

    def test_a_refused_one_can_be_processed_again_after_the_key_was_corrected(
        self, shop: Shop, nobody_listens: None, paid: RawNotification, handler: CountingHandler
    ) -> None:
        ours = wechatpay_server.credentials()
        wrong = {**ours.keys, "public_key": wechatpay_server.public_pem("somebody")}
        account = make_account(
            shop, Credentials(app_id=ours.app_id, merchant_no=ours.merchant_no, keys=wrong)
        )
        assert post(account, paid).status_code == 400
        with inside(shop):
            services.update_account(
                account_id=account.pk,
                label=account.label,
                keys={"public_key": ours.keys["public_key"]},
                fee_rate_ppm=6000,
                all_stores=True,
                store_ids=[],
                actor=ACTOR,
                now=NOW,
                unchecked=True,
            )
            row = services.reprocess_notification(
                notification_id=only_row(shop).pk, now=NOW + timedelta(hours=1), actor=ACTOR
            )
            assert (row.state, row.verdict) == (NotificationState.APPLIED, Verdict.GOOD)
            assert row.detail == ""
            services.reprocess_notification(
                notification_id=row.pk, now=NOW + timedelta(hours=1), actor=ACTOR
            )
        assert len(handler.applied) == 1

    def test_a_stranger_cannot_reprocess_it(
        self, shop: Shop, account: PlatformAccount, paid: RawNotification, handler: CountingHandler
    ) -> None:
        handler.answer = NotificationState.UNMATCHED
        post(account, paid)
        row = only_row(shop)
        with inside(make_shop("rice")), pytest.raises(services.NotificationNotFound):
            services.reprocess_notification(notification_id=row.pk, now=NOW, actor=ACTOR)


def test_bodies_expire_and_rows_stay(
    shop: Shop,
    account: PlatformAccount,
    paid: RawNotification,
    handler: CountingHandler,
    settings: Settings,
) -> None:
    settings.NOTIFICATION_KEEP_DAYS = 30
    handler.answer = NotificationState.UNMATCHED
    post(account, paid)
    with inside(shop):
        assert services.expire_bodies(now=NOW + timedelta(days=29)) == 0
        assert services.expire_bodies(now=NOW + timedelta(days=31)) == 1
        assert services.expire_bodies(now=NOW + timedelta(days=31)) == 0
        row = Notification.objects.get()
        assert row.body_sealed is None
        with pytest.raises(services.BodyExpired):
            services.reprocess_notification(notification_id=row.pk, now=NOW, actor=ACTOR)


class TestTogether:
    """The same notification in many hands at the same moment, over connections of their own."""

    @pytest.fixture
    def account(self, transactional_db: None, nobody_listens: None) -> PlatformAccount:
        with connection.cursor() as cursor:
            # The table of audit events refuses to be emptied after the test otherwise.
            cursor.execute("SET app.allow_truncate = 'on'")
        return make_account(make_shop(), wechatpay_server.credentials())

    def test_it_is_applied_once(
        self, account: PlatformAccount, paid: RawNotification, handler: CountingHandler
    ) -> None:
        threads = 6
        start = Barrier(threads)
        statuses: list[int] = []
        # Long enough that all of them would be inside the handler together, were they not kept apart.
        handler.before = lambda: time.sleep(0.2)

        def deliver() -> None:
            try:
                start.wait()
                statuses.append(post(account, paid).status_code)
            finally:
                connection.close()

        hands = [Thread(target=deliver) for _ in range(threads)]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()

        assert statuses == [200] * threads
        assert len(handler.applied) == 1
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('app.merchant_id', %s, false)", [str(account.merchant_id)]
            )
            cursor.execute("SELECT state, count(*) FROM platforms_notification GROUP BY 1")
            assert dict(cursor.fetchall()) == {"applied": 1, "repeated": threads - 1}
            cursor.execute("SELECT set_config('app.merchant_id', '', false)")


def test_private_keys_stay_out_of_the_logs(
    shop: Shop,
    account: PlatformAccount,
    handler: CountingHandler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    post(account, forged())
    handler.trouble = RuntimeError("no")
    post(account, WechatpayServer().notice("TRANSACTION.SUCCESS", TRANSACTION))
    middle = private_pem("wechat merchant").splitlines()[10]
    assert caplog.records
    assert middle not in caplog.text
    assert "0123456789abcdef0123456789ABCDEF" not in caplog.text
    assert "oUpF8uMuAJO" not in caplog.text
