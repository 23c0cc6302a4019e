"""alipay.trade.pay and alipay.trade.cancel: the payer's code at the till, and undoing what is not known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.simulator import books, clock, faults, notifications, paycodes
from apps.simulator.models import Notice, Order, OrderState, Platform, Refund
from apps.simulator.payers import PAYERS
from apps.simulator.tests.alipay_client import Shop
from apps.simulator.tests.receiver import Receiver

pytestmark = pytest.mark.django_db
NOTIFY = "http://localhost:8000/notify/alipay/x"
NUMBER = "P1"


def code(behaviour: str = "pays", payer: str = "hua") -> str:
    return paycodes.issue(
        wallet="alipay", now=clock.now(), behaviour=behaviour, payer_key=payer
    ).digits


def pay(shop: Shop, digits: str, number: str = NUMBER, **more: Any) -> dict[str, Any]:
    biz = {
        "out_trade_no": number,
        "scene": "bar_code",
        "auth_code": digits,
        "subject": "门店消费",
        "total_amount": "25.00",
        **more,
    }
    return shop.call("alipay.trade.pay", biz, notify_url=NOTIFY)


def state(shop: Shop, number: str = NUMBER) -> str:
    told = shop.call("alipay.trade.query", {"out_trade_no": number})
    return str(told.get("trade_status") or told["sub_code"])


def cancel(shop: Shop, number: str = NUMBER) -> dict[str, Any]:
    return shop.call("alipay.trade.cancel", {"out_trade_no": number})


class TestPaying:
    def test_at_once(self, shop: Shop) -> None:
        digits = code()
        told = pay(shop, digits, store_id="S1")
        assert told["code"] == "10000"
        assert told["buyer_user_id"] == PAYERS["hua"].alipay_id
        assert told["total_amount"] == told["buyer_pay_amount"] == "25.00"
        assert told["fund_bill_list"] == [{"amount": "25.00", "fund_channel": "ALIPAYACCOUNT"}]
        assert (len(told["gmt_payment"]), state(shop)) == (19, "TRADE_SUCCESS")
        order = Order.objects.get()
        assert (order.trade_no, digits in str(order.request)) == (told["trade_no"], False)
        assert Notice.objects.get().kind == "PAID"

    def test_with_a_password(self, shop: Shop, receiver: Receiver) -> None:
        digits = code("password")
        for _ in range(2):
            told = pay(shop, digits)
            assert (told["code"], told["msg"]) == ("10003", " order success pay inprocess")
        assert state(shop) == "WAIT_BUYER_PAY"
        Order.objects.update(notify_url=receiver.url)
        paycodes.confirm(digits=digits, now=clock.now())
        assert state(shop) == "TRADE_SUCCESS"
        notifications.deliver_due(now=clock.now())
        assert b"trade_status=TRADE_SUCCESS" in receiver.posts[0][1]
        assert pay(shop, digits)["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"

    def test_a_password_that_comes_too_late(self, shop: Shop) -> None:
        digits = code("password")
        pay(shop, digits, timeout_express="5m")
        clock.set_clock(advance_seconds=61)
        with pytest.raises(books.NotPayable, match="code_expired"):
            paycodes.confirm(digits=digits, now=clock.now())
        assert state(shop) == "WAIT_BUYER_PAY"
        clock.set_clock(advance_seconds=300)
        assert state(shop) == "TRADE_CLOSED"

    def test_without_money(self, shop: Shop) -> None:
        told = pay(shop, code("poor"))
        assert (told["code"], told["sub_code"]) == ("40004", "ACQ.BUYER_BALANCE_NOT_ENOUGH")
        assert state(shop) == "TRADE_CLOSED"
        assert pay(shop, code())["sub_code"] == "ACQ.TRADE_HAS_CLOSE"
        assert Notice.objects.count() == 0

    def test_codes_that_cannot_be_taken_leave_no_trade(self, shop: Shop) -> None:
        used = code()
        pay(shop, used, "P0")
        old = code()
        clock.set_clock(advance_seconds=61)
        for digits in (used, old, "280000000000000000", "139999999999999999"):
            assert pay(shop, digits)["sub_code"] == "ACQ.PAYMENT_AUTH_CODE_INVALID"
        assert state(shop) == "ACQ.TRADE_NOT_EXIST"
        assert pay(shop, code())["code"] == "10000"

    @pytest.mark.parametrize(
        "change",
        [{"scene": "wave_code"}, {"scene": ""}, {"auth_code": ""}, {"product_code": "X"}],
    )
    def test_bad_parameters(self, shop: Shop, change: dict[str, str]) -> None:
        digits = code()
        told = pay(shop, change.pop("auth_code", digits), **change)
        assert told["sub_code"] == "ACQ.INVALID_PARAMETER"
        assert Order.objects.count() == 0

    def test_a_number_that_is_something_else(self, shop: Shop) -> None:
        digits = code("password")
        pay(shop, digits)
        told = pay(shop, digits, total_amount="26.00")
        assert told["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
        shop.call(
            "alipay.trade.precreate",
            {"out_trade_no": "P2", "total_amount": "25.00", "subject": "门店消费"},
        )
        assert pay(shop, code(), "P2")["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
        assert Order.objects.get(out_trade_no="P2").product == "precreate"

    @pytest.mark.parametrize(
        ("paid", "after"), [(True, "TRADE_SUCCESS"), (False, "ACQ.TRADE_NOT_EXIST")]
    )
    def test_not_known(self, shop: Shop, paid: bool, after: str) -> None:
        faults.add_fault(key="pay_unknown", platform="alipay", value={"paid": paid}, uses=1)
        told = pay(shop, code())
        assert (told["code"], told["sub_code"]) == ("20000", "ACQ.SYSTEM_ERROR")
        assert state(shop) == after


class TestCancelling:
    def test_nothing_was_paid(self, shop: Shop) -> None:
        digits = code("password")
        pay(shop, digits)
        for _ in range(2):
            told = cancel(shop)
            assert (told["code"], told["retry_flag"], told["action"]) == ("10000", "N", "close")
        assert state(shop) == "TRADE_CLOSED"
        with pytest.raises(paycodes.NothingToConfirm, match="over"):
            paycodes.confirm(digits=digits, now=clock.now())

    def test_a_paid_one_goes_back_once(self, shop: Shop) -> None:
        pay(shop, code())
        assert [cancel(shop)["action"] for _ in range(2)] == ["refund", "refund"]
        assert Refund.objects.get().amount_fen == 2500
        assert state(shop) == "TRADE_CLOSED"

    def test_call_again(self, shop: Shop) -> None:
        pay(shop, code())
        faults.add_fault(key="cancel_retry", platform="alipay", uses=1)
        told = cancel(shop)
        assert (told["code"], told["retry_flag"]) == ("20000", "Y")
        assert (state(shop), cancel(shop)["retry_flag"]) == ("TRADE_SUCCESS", "N")
        assert state(shop) == "TRADE_CLOSED"

    def test_too_late_or_without_balance(self, shop: Shop) -> None:
        pay(shop, code())
        faults.add_fault(key="not_enough", platform="alipay", uses=1)
        assert cancel(shop)["sub_code"] == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
        clock.set_clock(advance_seconds=86_401)
        assert cancel(shop)["sub_code"] == "ACQ.TRADE_CANCEL_TIME_OUT"
        assert Order.objects.get().state == OrderState.PAID
        assert cancel(shop, "P9")["sub_code"] == "ACQ.TRADE_NOT_EXIST"


class TestWhatIsNotTrue:
    def test_another_amount_and_another_order(self, shop: Shop) -> None:
        pay(shop, code())
        faults.add_fault(key="other_amount", platform="alipay", uses=1)
        told = shop.call("alipay.trade.query", {"out_trade_no": NUMBER})
        assert told["total_amount"] == "25.01"
        faults.add_fault(key="other_merchant", platform="alipay", uses=1)
        told = shop.call("alipay.trade.query", {"out_trade_no": NUMBER})
        assert told["out_trade_no"] != NUMBER
        assert shop.call("alipay.trade.query", {"out_trade_no": NUMBER})["total_amount"] == "25.00"


class TestCreating:
    def test_the_newer_product_names_the_app_it_runs_in(self, shop: Shop) -> None:
        biz = {
            "out_trade_no": NUMBER,
            "total_amount": "1.00",
            "subject": "A",
            "buyer_id": PAYERS["demo"].alipay_id,
            "product_code": "JSAPI_PAY",
        }
        assert shop.call("alipay.trade.create", biz)["sub_code"] == "ACQ.INVALID_PARAMETER"
        named = {**biz, "op_app_id": shop.merchant.app_id}
        assert shop.call("alipay.trade.create", named)["code"] == "10000"

    def test_time_expire_is_so_long_from_true_now(self, shop: Shop) -> None:
        clock.set_clock(offset_seconds=3 * 86400)
        at = clock.beijing_text(clock.real_now() + timedelta(minutes=10))
        biz = {"out_trade_no": NUMBER, "total_amount": "1.00", "subject": "A", "time_expire": at}
        assert shop.call("alipay.trade.precreate", biz)["code"] == "10000"
        left = Order.objects.get(platform=Platform.ALIPAY).expires_at - clock.now()
        assert timedelta(minutes=9, seconds=50) < left <= timedelta(minutes=10)
        past = clock.beijing_text(clock.real_now() - timedelta(seconds=1))
        late = {**biz, "out_trade_no": "P2", "time_expire": past}
        assert shop.call("alipay.trade.precreate", late)["sub_code"] == "ACQ.INVALID_PARAMETER"
