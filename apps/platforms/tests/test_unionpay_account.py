"""Connecting UnionPay by its certificate file, and a notification through the whole intake."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from apps.core.audit import Actor
from apps.merchants.models import Membership
from apps.platforms import selectors, services
from apps.platforms.gateway import CheckState, RawNotification
from apps.platforms.models import NotificationState, PlatformAccount, Verdict
from apps.platforms.tests.conftest import CountingHandler, serving
from apps.platforms.tests.contract import ORDER, create_request
from apps.platforms.tests.shops import Shop, inside
from apps.platforms.tests.unionpay_server import (
    MERCHANT_NO,
    OWNER,
    UnionpayServer,
    certificate,
    credentials,
    pem,
    pfx,
)
from apps.platforms.tests.wechatpay_server import NOW

ACTOR = Actor("owner@tea.test")


@pytest.fixture
def unionpay(settings: Settings) -> Iterator[UnionpayServer]:
    server = UnionpayServer()
    with serving(server.handle) as url, time_machine.travel(NOW, tick=True):
        settings.UNIONPAY_BACK_URL = f"{url}/gateway/api/backTransReq.do"
        settings.UNIONPAY_QUERY_URL = f"{url}/gateway/api/queryTrans.do"
        settings.UNIONPAY_CERTIFICATE_OWNERS = [OWNER]
        yield server


@pytest.fixture
def account(shop: Shop, unionpay: UnionpayServer) -> PlatformAccount:
    with inside(shop):
        return services.connect_account(
            platform="unionpay",
            label="总店银联",
            credentials=credentials(),
            fee_rate_ppm=3800,
            all_stores=True,
            store_ids=[],
            actor=ACTOR,
            now=NOW,
        )


def enter(shop: Shop) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.members["owner"])
    return client


def address(shop: Shop, name: str, *args: Any) -> str:
    return reverse(f"platforms:{name}", args=[shop.slug, *args])


def entries(**changes: Any) -> dict[str, Any]:
    keys = credentials().keys
    return {
        "label": "总店银联",
        "merchant_no": MERCHANT_NO,
        **keys,
        "fee_rate": "0.38",
        "serves": "all",
        **changes,
    }


def as_file(content: bytes, name: str = "acp_prod_sign.pfx") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def accounts(shop: Shop) -> list[PlatformAccount]:
    with inside(shop):
        return list(selectors.list_accounts())


class TestConnect:
    def test_by_files(self, shop: Shop, unionpay: UnionpayServer) -> None:
        form = entries(
            certificate="",
            root_certificate="",
            middle_certificate="",
            certificate_file=as_file(base64.b64decode(pfx())),
            root_certificate_file=as_file(
                certificate("root").public_bytes(Encoding.DER), "acp_prod_root.cer"
            ),
            middle_certificate_file=as_file(
                "说明\r\n".encode() + pem("middle").encode(), "acp_prod_middle.cer"
            ),
        )
        response = enter(shop).post(address(shop, "account_connect", "unionpay"), form)
        assert response.status_code == 302
        (account,) = accounts(shop)
        assert (account.merchant_no, account.app_id) == (MERCHANT_NO, "")
        assert account.check_state == CheckState.GOOD.value
        with inside(shop):
            held = services.credentials_of(account).keys
        assert held["certificate"] == pfx()
        assert "BEGIN CERTIFICATE" in held["middle_certificate"]

    def test_by_pasting(self, shop: Shop, unionpay: UnionpayServer) -> None:
        response = enter(shop).post(address(shop, "account_connect", "unionpay"), entries())
        assert response.status_code == 302
        page = enter(shop).get(response.headers["location"]).content.decode()
        assert MERCHANT_NO in page
        assert "App ID" not in page
        assert pfx()[200:240] not in page

    @pytest.mark.parametrize("content", [b"", b"x" * 20_000])
    def test_a_file_that_is_none(
        self, shop: Shop, unionpay: UnionpayServer, content: bytes
    ) -> None:
        form = entries(certificate_file=as_file(content))
        response = enter(shop).post(address(shop, "account_connect", "unionpay"), form)
        assert response.status_code == 422
        assert "holds no key or certificate" in response.content.decode()
        assert accounts(shop) == []

    def test_a_wrong_password_is_said_before_anything_is_sent(
        self, shop: Shop, unionpay: UnionpayServer
    ) -> None:
        form = entries(certificate_password="111111")
        response = enter(shop).post(address(shop, "account_connect", "unionpay"), form)
        page = response.content.decode()
        assert response.status_code == 422
        assert "does not open with this password" in page
        assert pfx()[200:240] not in page
        assert "111111" not in page
        assert unionpay.requests == []

    def test_what_the_platform_refuses(self, shop: Shop, unionpay: UnionpayServer) -> None:
        form = entries(merchant_no="777290058110049")
        response = enter(shop).post(address(shop, "account_connect", "unionpay"), form)
        assert response.status_code == 422
        assert accounts(shop) == []

    def test_an_answer_that_is_not_the_platforms(
        self, shop: Shop, unionpay: UnionpayServer
    ) -> None:
        unionpay.signer = "other owner"
        response = enter(shop).post(address(shop, "account_connect", "unionpay"), entries())
        assert response.status_code == 422
        assert "UnionPay&#x27;s. It was not trusted" in response.content.decode()


class TestAccount:
    def test_a_new_certificate_by_file_keeps_the_rest(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        form = {
            "label": "总店银联",
            "fee_rate": "0.38",
            "serves": "all",
            "certificate_password": "secret-2",
            "certificate_file": as_file(base64.b64decode(pfx("merchant", "secret-2"))),
        }
        with inside(shop):
            # Alone in the shop, the owner changes keys at once.
            Membership.objects.exclude(user=shop.members["owner"]).update(is_active=False)
        client = enter(shop)
        page = client.get(address(shop, "account_edit", account.pk)).content.decode()
        assert "It stays as it was connected" in page
        response = client.post(address(shop, "account_edit", account.pk), form)
        assert response.status_code == 302
        with inside(shop):
            held = services.credentials_of(accounts(shop)[0]).keys
        assert held["certificate_password"] == "secret-2"
        assert held["root_certificate"] == credentials().keys["root_certificate"].strip()

    def test_the_choice_of_cancellations_reaches_the_connector(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        for cancels in (True, False):
            account.cancels_same_day = cancels
            with inside(shop):
                assert services.gateway_of(account)._cancels_same_day is cancels  # type: ignore[attr-defined]


class TestIntake:
    def receive(
        self, shop: Shop, account: PlatformAccount, raw: RawNotification
    ) -> tuple[str, str, str, int]:
        with inside(shop):
            receipt = services.receive(account=account, raw=raw, remote_ip=None, now=NOW)
            row = selectors.get_notification(receipt.notification_id)
        return row.state, row.verdict, row.detail, receipt.ack.status

    @pytest.fixture
    def paid(
        self, shop: Shop, account: PlatformAccount, unionpay: UnionpayServer
    ) -> UnionpayServer:
        with inside(shop):
            services.gateway_of(account).create_payment(create_request(began_at=NOW))
        unionpay.pay(ORDER, at="0502110030")
        return unionpay

    def test_a_good_one_and_its_repeat(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: UnionpayServer,
        handler: CountingHandler,
    ) -> None:
        raw = paid.notice(paid.fields(ORDER))
        assert self.receive(shop, account, raw) == (
            NotificationState.APPLIED,
            Verdict.GOOD,
            "",
            200,
        )
        assert self.receive(shop, account, raw)[0] == NotificationState.REPEATED
        assert len(handler.applied) == 1

    @pytest.mark.parametrize(
        ("signer", "reason"),
        [("self-signed", "chain"), ("other owner", "owner"), ("expired", "expired")],
    )
    def test_a_forged_one_has_no_effect(
        self,
        shop: Shop,
        account: PlatformAccount,
        paid: UnionpayServer,
        handler: CountingHandler,
        signer: str,
        reason: str,
    ) -> None:
        paid.signer = signer
        raw = paid.notice(paid.fields(ORDER))
        assert self.receive(shop, account, raw) == (
            NotificationState.REFUSED,
            Verdict.BAD_SIGNATURE,
            reason,
            400,
        )
        assert handler.applied == []
        page = enter(shop).get(address(shop, "notification_list")).content.decode()
        assert "It was signed with a certificate" in page
