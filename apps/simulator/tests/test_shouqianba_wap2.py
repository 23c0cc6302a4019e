"""The WAP2 gateway: from a wallet's browser to the cashier and back."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from apps.simulator import faults
from apps.simulator.models import Order
from apps.simulator.payers import BROWSER_COOKIE
from apps.simulator.tests.shouqianba_client import ShouClient
from apps.simulator.tests.test_shouqianba_payments import wait
from apps.simulator.wallet.wallets import WALLETS

pytestmark = pytest.mark.django_db


def phone(wallet: str = "wechatpay") -> Client:
    """A wallet's own browser."""
    return Client(headers={"User-Agent": WALLETS[wallet].user_agent})


def opened(shou: ShouClient, number: str = "P1", wallet: str = "wechatpay", **more: str) -> str:
    """Open a link; the cashier's address."""
    response = phone(wallet).get(shou.link(number, **more))
    assert response.status_code == 302, response.content.decode()
    assert response["Location"].startswith(f"/wallet/{wallet}/cashier/")
    return str(response["Location"])


@pytest.mark.parametrize(
    ("payway", "wallet"),
    [("", "wechatpay"), ("3", "wechatpay"), ("1", "alipay"), ("17", "unionpay")],
)
def test_paid_and_sent_back(shou: ShouClient, payway: str, wallet: str) -> None:
    cashier = opened(shou, wallet=wallet, payway=payway, reflect="桌 7")
    assert "门店消费 &amp; 茶" in phone(wallet).get(cashier).content.decode()
    gone = phone(wallet).post(cashier, {"action": "pay"})
    told = shou.returned(gone["Location"])
    data = shou.query("P1")
    assert told == {
        "is_success": "T",
        "terminal_sn": shou.sn,
        "sn": data["sn"],
        "trade_no": data["trade_no"],
        "client_sn": "P1",
        "status": "SUCCESS",
        "total_amount": "2500",
        "subject": "门店消费 & 茶",
        "operator": "收银员",
        "reflect": "桌 7",
    }
    assert (data["order_status"], data["sub_payway"], data["payway"]) == (
        "PAID",
        "3",
        payway or "3",
    )


def test_the_payer_turns_back(shou: ShouClient) -> None:
    gone = phone().post(opened(shou), {"action": "cancel"})
    told = shou.returned(gone["Location"])
    assert (told["status"], told["result_code"]) == ("FAIL", "get_brand_wcpay_request:cancel")
    assert "trade_no" not in told
    assert shou.query("P1")["order_status"] == "CREATED"


def test_ninety_seconds(shou: ShouClient) -> None:
    cashier = opened(shou)
    wait(91)
    assert phone().post(cashier, {"action": "pay"}).status_code == 409
    assert shou.query("P1")["order_status"] == "PAY_CANCELED"


def test_the_way_back_leads_through_the_wallets_browser(shou: ShouClient, settings: Any) -> None:
    """The in-app browsers are proxies: at the gateway only their cookie says which wallet it is."""
    client = Client()
    client.cookies[BROWSER_COOKIE] = settings.SIMULATOR_UNIONPAY_ORIGIN
    cashier = client.get(shou.link("P1", payway="17"))["Location"]
    assert cashier.startswith("/wallet/unionpay/")
    gone = client.post(cashier, {"action": "pay"})["Location"]
    assert gone.startswith(f"{settings.SIMULATOR_UNIONPAY_ORIGIN}/pay/x?")
    assert shou.returned(gone)["status"] == "SUCCESS"


class TestRefusals:
    def test_another_browser(self, shou: ShouClient) -> None:
        page = Client(headers={"User-Agent": "Mozilla/5.0 Safari"}).get(shou.link("P1"))
        assert page.status_code == 400
        assert "请在微信" in page.content.decode()

    def test_another_wallet(self, shou: ShouClient) -> None:
        page = phone("alipay").get(shou.link("P1", payway="3"))
        assert page.status_code == 400
        assert "请在微信中打开" in page.content.decode()
        assert Order.objects.count() == 0

    @pytest.mark.parametrize(
        "change",
        [
            {"sign": "0" * 32},
            {"total_amount": "1"},
            {"return_url": "http://evil.example/"},
            {"sign": ""},
        ],
    )
    def test_a_link_that_was_changed_is_not_believed(
        self, shou: ShouClient, change: dict[str, str]
    ) -> None:
        sign = shou.link("P1").rpartition("sign=")[2]
        page = phone().get(shou.link("P1", **{"sign": sign, **change}))
        assert page.status_code == 400
        assert "ILLEGAL_SIGN" in page.content.decode()
        assert Order.objects.count() == 0

    def test_a_sign_in_small_letters(self, shou: ShouClient) -> None:
        sign = shou.link("P1").rpartition("sign=")[2]
        assert phone().get(shou.link("P1", sign=sign.lower())).status_code == 400

    def test_an_empty_value_is_not_signed(self, shou: ShouClient) -> None:
        assert phone().get(shou.link("P1", reflect="")).status_code == 302

    def test_yesterdays_key_and_unknown_terminals(self, shou: ShouClient) -> None:
        wait(86400)
        assert "ILLEGAL_SIGN" in phone().get(shou.link("P1")).content.decode()
        shou.sn = "100199"
        assert "INVALID_TERMINAL" in phone().get(shou.link("P1")).content.decode()

    def test_bad_parameters_go_back(self, shou: ShouClient) -> None:
        gone = phone().get(shou.link("P1", total_amount="0"))
        told = shou.returned(gone["Location"])
        assert (told["is_success"], told["error_code"]) == ("F", "INVALID_PARAMS")
        assert urlsplit(gone["Location"]).path == "/pay/x"
        gone = phone().get(shou.link("P1", payway="4"))
        assert shou.returned(gone["Location"])["error_code"] == "UNEXPECTED_PROVIDER_ERROR"

    def test_the_same_link_is_the_same_order_and_a_used_number_is_not(
        self, shou: ShouClient
    ) -> None:
        cashier = opened(shou)
        assert opened(shou) == cashier
        told = shou.returned(phone().get(shou.link("P1", total_amount="1"))["Location"])
        assert told["error_code"] == "CLIENT_SN_CONFLICT"
        phone().post(cashier, {"action": "pay"})
        told = shou.returned(phone().get(shou.link("P1"))["Location"])
        assert (told["is_success"], told["error_code"]) == ("F", "CLIENT_SN_CONFLICT")
        assert Order.objects.count() == 1

    def test_faults(self, shou: ShouClient) -> None:
        faults.add_fault(key="http_500", uses=1)
        assert phone().get(shou.link("P1")).status_code == 500
        faults.add_fault(key="slow", uses=1, value={"seconds": 0.01})
        cashier = opened(shou)
        faults.add_fault(key="wrong_signature", uses=1)
        gone = phone().post(cashier, {"action": "pay"})
        with pytest.raises(AssertionError):
            shou.returned(gone["Location"])
