"""Activation, check-in, the keys' rotation, and what stands around every call."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from datetime import timedelta
from typing import Any

import pytest

from apps.simulator import clock, faults, merchants
from apps.simulator.models import ActivationCode, Merchant, Order, Terminal
from apps.simulator.shouqianba import fields, signing, terminals
from apps.simulator.tests.shouqianba_client import ShouClient

pytestmark = pytest.mark.django_db


def code_of(answer: dict[str, Any]) -> str:
    """How an envelope refuses, "200" if it does not."""
    return str(answer.get("error_code", answer["result_code"]))


class TestActivation:
    def test_a_code_makes_a_terminal(self, device: ShouClient) -> None:
        answer = device.activate(name="一号收银台")
        assert set(answer) == {"result_code", "biz_response"}
        assert set(answer["biz_response"]) == {"terminal_sn", "terminal_key"}
        terminal = Terminal.objects.get()
        assert terminal.name == "一号收银台"
        assert device.sn.isdigit()
        assert len(device.key) == 32
        assert ActivationCode.objects.get().uses_left == merchants.ACTIVATIONS - 1

    def test_every_device_is_another_terminal(self, device: ShouClient) -> None:
        other = ShouClient(device.credentials, device="till-2")
        device.activate()
        other.activate()
        assert device.sn != other.sn

    def test_uses_and_days_of_a_code_run_out(
        self, device: ShouClient, shou_merchant: Merchant
    ) -> None:
        code = terminals.new_activation_code(merchant=shou_merchant, now=clock.now())
        assert device.activate(code.code)["result_code"] == "200"
        other = ShouClient(device.credentials, device="till-2")
        assert other.activate(code.code)["error_message"] == "激活码已经被使用"
        code = terminals.new_activation_code(merchant=shou_merchant, now=clock.now())
        clock.set_clock(advance_seconds=timedelta(days=7).total_seconds() + 1)
        assert other.activate(code.code)["error_message"] == "激活码已过期"
        assert code_of(other.activate("00000000")) == "INVALID_PARAMS"
        assert Terminal.objects.count() == 1

    def test_the_same_device_again_gets_a_new_key_or_a_refusal(self, device: ShouClient) -> None:
        device.activate()
        before = (device.sn, device.key)
        device.activate()
        assert device.sn == before[0]
        assert device.key != before[1]
        faults.add_fault(key="duplicate_device")
        assert device.activate()["error_message"] == "设备号重复"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"app_id": "x"}, "INVALID_PARAMS"),
            ({"device_id": ""}, "INVALID_PARAMS"),
            ({"device_id": "x" * 129}, "INVALID_PARAMS"),
            ({"os_info": "x" * 46}, "INVALID_PARAMS"),
            ({"name": 7}, "INVALID_PARAMS"),
        ],
    )
    def test_bad_parameters(self, device: ShouClient, change: dict[str, Any], code: str) -> None:
        assert code_of(device.activate(**change)) == code
        assert Terminal.objects.count() == 0

    def test_a_foreign_vendor_or_key_signs_nothing(self, device: ShouClient) -> None:
        device.credentials = {**device.credentials, "vendor_key": "0" * 32}
        assert code_of(device.activate()) == "ILLEGAL_SIGN"
        device.credentials = {**device.credentials, "vendor_sn": "91800000000000"}
        assert code_of(device.activate()) == "ILLEGAL_SIGN"


class TestCheckIn:
    def test_the_new_key_works_and_the_old_one_is_dead(self, shou: ShouClient) -> None:
        old = shou.key
        assert shou.check_in()["result_code"] == "200"
        new, shou.key = shou.key, old
        assert code_of(shou.envelope("/upay/v2/query", {"terminal_sn": shou.sn})) == "ILLEGAL_SIGN"
        assert new != old

    def test_a_lost_answer_is_asked_for_again_with_the_old_key(self, shou: ShouClient) -> None:
        old = shou.key
        faults.add_fault(key="checkin_lost", uses=1)
        assert shou.check_in() == {"lost": 504}
        assert Terminal.objects.get().current_key != old
        assert shou.check_in(key=old)["result_code"] == "200"
        assert shou.key == Terminal.objects.get().current_key
        assert shou.precreate("P1")["result_code"] == "PRECREATE_SUCCESS"

    def test_two_lost_answers_cost_the_terminal_until_it_is_activated_anew(
        self, shou: ShouClient
    ) -> None:
        old = shou.key
        faults.add_fault(key="checkin_lost", uses=2)
        assert shou.check_in() == {"lost": 504}
        assert shou.check_in(key=old) == {"lost": 504}
        assert code_of(shou.check_in(key=old)) == "ILLEGAL_SIGN"
        assert shou.activate()["result_code"] == "200"
        assert shou.precreate("P1")["result_code"] == "PRECREATE_SUCCESS"

    def test_the_old_key_is_dead_once_the_new_one_was_used(self, shou: ShouClient) -> None:
        old = shou.key
        shou.check_in()
        shou.precreate("P1")
        assert code_of(shou.check_in(key=old, keep=False)) == "ILLEGAL_SIGN"

    def test_a_key_ends_with_the_day_but_still_checks_in(
        self, shou: ShouClient, settings: Any
    ) -> None:
        shou.precreate("P1")
        clock.set_clock(advance_seconds=86400)
        query = {"terminal_sn": shou.sn, "client_sn": "P1"}
        answer = shou.envelope("/upay/v2/query", query)
        assert code_of(answer) == "ILLEGAL_SIGN"
        assert "请签到" in answer["error_message"]
        settings.SIMULATOR_TERMINAL_KEYS_EXPIRE = False
        assert shou.envelope("/upay/v2/query", query)["result_code"] == "200"
        settings.SIMULATOR_TERMINAL_KEYS_EXPIRE = True
        shou.check_in()
        assert shou.query("P1")["order_status"] == "PAY_CANCELED"

    def test_another_device_may_not_check_in(self, shou: ShouClient) -> None:
        shou.device = "stolen"
        assert code_of(shou.check_in()) == "INVALID_TERMINAL"

    def test_revoked_keys(self, shou: ShouClient) -> None:
        faults.add_fault(key="key_revoked", uses=1)
        query = {"terminal_sn": shou.sn, "client_sn": "P1"}
        assert code_of(shou.envelope("/upay/v2/query", query)) == "ILLEGAL_SIGN"
        assert code_of(shou.check_in()) == "ILLEGAL_SIGN"
        assert code_of(shou.check_in(key="")) == "ILLEGAL_SIGN"


class TestEnvelope:
    def test_signatures(self, shou: ShouClient) -> None:
        body = {"terminal_sn": shou.sn, "client_sn": "P1"}
        raw = json.dumps(body).encode()
        good = hashlib.md5(raw + shou.key.encode(), usedforsecurity=False).hexdigest()
        for header, code in (
            (f"{shou.sn} {good}", "200"),
            (f"{shou.sn} {good.upper()}", "200"),
            (f"{shou.sn} {'0' * 32}", "ILLEGAL_SIGN"),
            (f"{shou.sn}  {good}", "ILLEGAL_SIGN"),
            (good, "ILLEGAL_SIGN"),
            (f"100199 {good}", "INVALID_TERMINAL"),
        ):
            answer = shou.http.post(
                "/shouqianba/upay/v2/query",
                data=raw,
                content_type="application/json",
                headers={"Authorization": header},
            ).json()
            assert code_of(answer) == code, header
        assert code_of(shou.http.post("/shouqianba/upay/v2/query").json()) == "ILLEGAL_SIGN"
        assert shou.http.get("/shouqianba/upay/v2/query").status_code == 405

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
    def test_what_is_no_json_object(self, shou: ShouClient, body: bytes) -> None:
        assert code_of(shou.envelope("/upay/v2/query", body)) == "INVALID_PARAMS"

    def test_another_terminal_in_the_body(self, shou: ShouClient) -> None:
        other = ShouClient(shou.credentials, device="till-2")
        other.activate()
        named = {"terminal_sn": other.sn, "client_sn": "P1"}
        assert code_of(shou.envelope("/upay/v2/query", named)) == "INVALID_TERMINAL"
        answer = shou.envelope("/upay/v2/query", {**named, "terminal_sn": "100100000000000000"})
        assert answer["biz_response"]["error_code"] == "UPAY_TERMINAL_NOT_EXISTS"

    def test_faults_of_the_way(self, shou: ShouClient) -> None:
        body = {**shou.trade("P1", "100", payway="3"), "terminal_sn": shou.sn}

        def sent() -> Any:
            return shou.post("/upay/v2/precreate", body, sn=shou.sn, key=shou.key)

        faults.add_fault(key="http_500", uses=1)
        broken = sent()
        assert broken.status_code == 500
        assert broken.json()["error_code"] == "UNKNOWN_SYSTEM_ERROR"
        faults.add_fault(key="http_500", uses=1, value={"http_status": 200})
        assert (sent().json()["result_code"], Order.objects.count()) == ("500", 0)
        faults.add_fault(key="rate_limited", uses=1)
        assert (sent().status_code, Order.objects.count()) == (429, 0)
        faults.add_fault(
            key="biz_refused", uses=1, value={"error_code": "UPAY_STORE_OVER_DAILY_LIMIT"}
        )
        refused = sent().json()["biz_response"]
        assert (refused["result_code"], refused["error_code"], Order.objects.count()) == (
            "FAIL",
            "UPAY_STORE_OVER_DAILY_LIMIT",
            0,
        )
        faults.add_fault(key="slow", uses=1, value={"seconds": 0.01})
        faults.add_fault(key="lost_after_commit", uses=1)
        assert (sent().status_code, Order.objects.count()) == (504, 1)
        assert sent().json()["biz_response"]["error_code"] == "CLIENT_SN_CONFLICT"

    def test_faults_keep_to_their_platform_and_path(self, shou: ShouClient) -> None:
        faults.add_fault(key="http_500", platform="alipay")
        faults.add_fault(key="http_500", value={"path": "/refund"})
        assert shou.precreate("P1")["result_code"] == "PRECREATE_SUCCESS"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"client_sn": ""}, "client_sn"),
        ({"client_sn": "码" * 11}, "client_sn"),  # 33 bytes
        ({"total_amount": 100}, "total_amount"),
        ({"total_amount": "0"}, "total_amount"),
        ({"total_amount": "1.00"}, "total_amount"),
        ({"total_amount": "-1"}, "total_amount"),
        ({"total_amount": "12345678901"}, "total_amount"),
        ({"subject": "x" * 65}, "subject"),
        ({"operator": "x" * 33}, "operator"),
        ({"reflect": {"tips": "1"}}, "reflect"),
        ({"reflect": "x" * 65}, "reflect"),
        ({"notify_url": "http://x/" + "y" * 120}, "notify_url"),
        ({"longitude": "121.6"}, "经纬度"),
        ({"extended": {str(one): "x" for one in range(25)}}, "extended"),
        ({"extended": {"x": "y" * 257}}, "extended"),
        ({"extended": "x"}, "extended"),
        ({"goods_details": [{"goods_id": "1"}]}, "goods_details"),
        ({"payway": "99"}, "payway"),
        ({"payway": ""}, "payway"),
        ({"sub_payway": "9"}, "sub_payway"),
        ({"sub_payway": "3"}, "payer_uid"),
    ],
)
def test_fields_of_a_precreate(shou: ShouClient, change: dict[str, Any], named: str) -> None:
    body = {"terminal_sn": shou.sn, **shou.trade("P1", "100", payway="3"), **change}
    answer = shou.envelope("/upay/v2/precreate", body)
    assert (answer["result_code"], answer["error_code"]) == ("400", "INVALID_PARAMS")
    assert named in answer["error_message"]
    assert Order.objects.count() == 0


def test_the_longest_fields_pass(shou: ShouClient) -> None:
    goods = {
        "goods_id": "wx001",
        "goods_name": "苹果笔记本电脑",
        "quantity": 1,
        "price": 2,
        "promotion_type": 0,
    }
    biz = shou.call(
        "precreate",
        **shou.trade("码" * 10 + "ab", "9" * 10, payway="3"),
        longitude="121.6",
        latitude="31.4",
        extended={"goods_tag": "beijing"},
        goods_details=[goods],
        reflect="r" * 64,
        unknown="ignored",
    )
    assert biz["result_code"] == "PRECREATE_SUCCESS"
    assert biz["data"]["reflect"] == "r" * 64


def test_all_faults_at_once_are_named(shou: ShouClient) -> None:
    answer = shou.envelope("/upay/v2/query", {"sn": 1, "client_sn": 2})
    assert answer["error_message"].count("；") == 2
    assert set(fields.QUERY) == {"terminal_sn", "sn", "client_sn"}


# --- signatures against other people's code ---------------------------------------------------------


def test_md5_as_the_command_line_has_it() -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("SKIPPED LOUDLY: no openssl here, so no independent check of MD5 signatures")

    def digest(text: bytes) -> str:
        done = subprocess.run([openssl, "md5", "-r"], input=text, capture_output=True, check=True)
        return done.stdout.split()[0].decode()

    body = '{"subject":"门店消费"}'.encode()
    assert signing.request_sign(body, "secret") == digest(body + b"secret")
    # The example text of the platform's WAP2 documentation; an empty value does not count.
    given = {
        "terminal_sn": "123",
        "client_sn": "123",
        "total_amount": "1",
        "sign": "x",
        "reflect": "",
    }
    text = b"client_sn=123&terminal_sn=123&total_amount=1&key=19b820737ace6937a7808c"
    assert signing.gateway_sign(given, "19b820737ace6937a7808c") == digest(text).upper()


def test_no_key_signs_nothing() -> None:
    assert not signing.request_is_signed(b"x", key="", sign=signing.request_sign(b"x", ""))
