"""A platform whose clock is wrong: what its answers say, and whom it refuses. A moved simulated clock does neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from django.test import Client

from apps.simulator import clock, faults
from apps.simulator.models import Fault
from apps.simulator.tests.alipay_client import Shop
from apps.simulator.tests.receiver import Receiver
from apps.simulator.tests.shouqianba_client import ShouClient
from apps.simulator.tests.unionpay_client import UnionClient, beijing
from apps.simulator.tests.wechat_client import WechatClient

PLACES = {
    "wechatpay": "/wechatpay",
    "alipay": "/alipay/gateway.do",
    "unionpay": "/unionpay/gateway/api/queryTrans.do",
    "shouqianba": "/shouqianba/upay/v2/query",
}
NATIVE = "/v3/pay/transactions/native"


def ahead(response: Any) -> float:
    """Seconds that an answer's Date is ahead of the true time."""
    said = parsedate_to_datetime(response.headers["Date"])
    return (said - datetime.now(UTC)).total_seconds()


def skewed(platform: str, seconds: float, **more: Any) -> None:
    faults.add_fault(key="clock_skew", platform=platform, value={"seconds": seconds}, **more)


@pytest.mark.parametrize("platform", PLACES)
@pytest.mark.parametrize("seconds", [900, -900])
def test_the_answers_say_it(db: None, platform: str, seconds: int) -> None:
    skewed(platform, seconds)
    for one, path in PLACES.items():
        expected = seconds if one == platform else 0
        assert ahead(Client().get(path)) == pytest.approx(expected, abs=3)
    assert ahead(Client().get("/control/")) == pytest.approx(0, abs=3)


def test_a_moved_clock_is_not_a_wrong_one(wechat: WechatClient, union: UnionClient) -> None:
    clock.set_clock(offset_seconds=86_400)
    assert ahead(wechat.post(NATIVE, wechat.order("P00001"))) == pytest.approx(0, abs=3)
    assert union.apply_qr("P2026000002")


def test_wechat_refuses_what_is_more_than_five_minutes_off(wechat: WechatClient) -> None:
    skewed("wechatpay", 900)
    answer = wechat.post(NATIVE, wechat.order("P00001"))
    assert answer.status_code == 401
    assert "timestamp" in answer.json()["message"]
    wechat.clock_offset = 900
    assert wechat.post(NATIVE, wechat.order("P00001")).status_code == 200
    # Its own time stands under its signatures.
    stamp = int(wechat.post(NATIVE, wechat.order("P00002")).headers["Wechatpay-Timestamp"])
    assert stamp - clock.real_now().timestamp() == pytest.approx(900, abs=3)


def test_alipay_refuses_what_is_too_far_off(shop: Shop) -> None:
    order = {"out_trade_no": "P1", "total_amount": "1.00", "subject": "x"}
    now = clock.beijing_text(clock.real_now())
    assert shop.call("alipay.trade.precreate", order, timestamp=now)["code"] == "10000"
    skewed("alipay", -900)
    refused = shop.send(shop.signed(shop.common("alipay.trade.query", timestamp=now)))
    assert refused["error_response"]["sub_code"] == "isv.invalid-timestamp"
    then = clock.beijing_text(clock.real_now() - timedelta(seconds=900))
    assert shop.call("alipay.trade.query", {"out_trade_no": "P1"}, timestamp=then)["code"]


def test_unionpay_refuses_a_txntime_that_is_too_far_off(union: UnionClient) -> None:
    skewed("unionpay", 900)
    fields = union.transaction("01", "07", "P2026000003")
    answer = union.call("/unionpay/gateway/api/backTransReq.do", fields)
    assert answer["respMsg"].startswith("txnTime无效")
    then = beijing(clock.real_now() + timedelta(seconds=900))
    fields = union.transaction("01", "07", "P2026000003", txnTime=then)
    assert union.call("/unionpay/gateway/api/backTransReq.do", fields)["respCode"] == "00"


def test_shouqianba_looks_at_no_time(shou: ShouClient) -> None:
    skewed("shouqianba", 900)
    assert shou.precreate("P00001")


def test_a_counted_one_is_spent_once_a_request(wechat: WechatClient) -> None:
    skewed("wechatpay", 900, uses=1)
    assert wechat.post(NATIVE, wechat.order("P00001")).status_code == 401
    assert not Fault.objects.exists()
    assert wechat.post(NATIVE, wechat.order("P00001")).status_code == 200


def test_notices_carry_the_platforms_time(wechat: WechatClient, receiver: Receiver) -> None:
    skewed("wechatpay", 900)
    wechat.clock_offset = 900
    named = {"platform": "wechatpay", "merchant_no": wechat.merchant.merchant_no}
    wechat.native("P00001", notify_url=receiver.url)
    json = "application/json"
    desk = Client()
    paid = desk.post("/control/api/pay", {**named, "out_trade_no": "P00001"}, content_type=json)
    assert paid.status_code == 200
    desk.post("/control/api/notices/flush", {}, content_type=json)
    ((headers, _body),) = receiver.posts
    stamp = int(headers["Wechatpay-Timestamp"])
    assert stamp - clock.real_now().timestamp() == pytest.approx(900, abs=3)
