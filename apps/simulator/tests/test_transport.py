"""What goes wrong on the way: swallowed requests, proxies' pages, answers cut off or blown up."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from apps.simulator import faults
from apps.simulator.models import Order, Terminal
from apps.simulator.tests.alipay_client import Shop, encode
from apps.simulator.tests.shouqianba_client import ShouClient
from apps.simulator.tests.unionpay_client import UnionClient
from apps.simulator.tests.wechat_client import WechatClient

NATIVE = "/v3/pay/transactions/native"


@pytest.mark.parametrize("mode", ["504", "drop"])
def test_lost_before_commit_does_nothing(wechat: WechatClient, mode: str) -> None:
    faults.add_fault(key="lost_before_commit", value={"mode": mode}, uses=1)
    answer = wechat.post(NATIVE, wechat.order("P00001"))
    assert not Order.objects.exists()
    if mode == "504":
        assert answer.status_code == 504
    else:
        assert answer.headers[faults.DROP_HEADER] == "1"
    # The same call is as good as the first.
    wechat.native("P00001")


def test_a_proxys_page_does_nothing(wechat: WechatClient) -> None:
    faults.add_fault(key="proxy_page", value={"status": 200}, uses=1)
    answer = wechat.post(NATIVE, wechat.order("P00001"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<html>" in answer.content
    assert not Order.objects.exists()


def test_a_truncated_answer_comes_after_the_work(wechat: WechatClient) -> None:
    faults.add_fault(key="truncated_answer", uses=1)
    answer = wechat.post(NATIVE, wechat.order("P00001"))
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert Order.objects.count() == 1


def test_a_huge_answer(wechat: WechatClient) -> None:
    faults.add_fault(key="huge_answer", value={"megabytes": 2}, uses=1)
    answer = wechat.post(NATIVE, wechat.order("P00001"))
    assert len(answer.content) > 2 * 1024 * 1024
    assert "code_url" in answer.json()


def test_alipay_is_told_by_its_method(shop: Shop) -> None:
    faults.add_fault(
        key="proxy_page", platform="alipay", value={"path": "alipay.trade.query", "status": 502}
    )
    order = {"out_trade_no": "P1", "total_amount": "1.00", "subject": "x"}
    assert shop.call("alipay.trade.precreate", order)["code"] == "10000"
    query = shop.common("alipay.trade.query", biz_content='{"out_trade_no":"P1"}')
    text = encode(shop.signed(query), "utf-8")
    form = "application/x-www-form-urlencoded"
    # The method may stand in the query or in the form.
    assert shop.http.get(f"/alipay/gateway.do?{text}").status_code == 502
    assert shop.http.post("/alipay/gateway.do", text, content_type=form).status_code == 502


def test_unionpay_and_shouqianba_lose_requests_too(union: UnionClient, shou: ShouClient) -> None:
    key = Terminal.objects.get().current_key
    faults.add_fault(key="lost_before_commit")
    paths = ("/unionpay/gateway/api/backTransReq.do", "/shouqianba/terminal/checkin")
    for path in paths:
        assert Client().post(path, b"", content_type="application/json").status_code == 504
    assert Terminal.objects.get().current_key == key
    faults.remove_faults()
    for path in paths:
        assert Client().post(path, b"", content_type="application/json").status_code != 504


def test_people_and_the_desk_are_left_alone(wechat: WechatClient) -> None:
    faults.add_fault(key="lost_before_commit")
    for path in ("/wallet/", "/control/", "/control/api/health"):
        assert Client().get(path).status_code == 200
