"""The simulator as people run it: one process, real HTTP, clean stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from apps.simulator.models import Merchant
from apps.simulator.tests.receiver import Receiver
from apps.simulator.tests.wechat_client import WechatClient

ROOT = Path(__file__).resolve().parents[3]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return found


def start(ports: list[int], data: Path) -> subprocess.Popen[str]:
    """Run ``python -m apps.simulator``."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "apps.simulator",
            "--quiet",
            *("--port", str(ports[0])),
            *("--wechat-port", str(ports[1])),
            *("--alipay-port", str(ports[2])),
            *("--unionpay-port", str(ports[3])),
        ],
        cwd=ROOT,
        env={**os.environ, "PORTAL_DATA_DIR": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running simulator; its stop is part of the test."""
    ports = free_ports(4)
    process = start(ports, tmp_path_factory.mktemp("simulator"))
    url = f"http://localhost:{ports[0]}"
    try:
        for _ in range(150):
            try:
                if httpx.get(f"{url}/control/api/health", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=10)[0]
    assert process.returncode == 0, output
    assert "Traceback" not in output, output


class OverHttp(WechatClient):
    """The tests' client over a real connection."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = httpx.Client(trust_env=False, timeout=10)
        made = self.control("POST", "merchants", {"platform": "wechatpay", "name": "HTTP"})
        super().__init__(
            Merchant(merchant_no=made["merchant_no"], app_id=made["app_id"], config=made)
        )

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A call of the control API."""
        answer = self.http.request(method, f"{self.origin}/control/api/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @override
    def send(self, method: str, target: str, raw: bytes, headers: dict[str, str]) -> Any:
        return self.http.request(
            method,
            f"{self.origin}/wechatpay{target}",
            content=raw or None,
            headers={**headers, "Content-Type": "application/json"},
        )


@pytest.fixture
def client(origin: str) -> Iterator[OverHttp]:
    one = OverHttp(origin)
    yield one
    one.http.close()


def wait_for(posts: list[Any], count: int) -> None:
    deadline = time.monotonic() + 8
    while len(posts) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(posts) == count


def test_order_to_bill_over_http(client: OverHttp, receiver: Receiver) -> None:
    code = client.native("P00001", notify_url=receiver.url)
    client.control("POST", "pay", {"platform": "wechatpay", "code": code})
    wait_for(receiver.posts, 1)
    client.verify(*receiver.posts[0])
    assert client.state("P00001")["trade_state"] == "SUCCESS"
    assert client.refund("P00001", "R1", 1000, notify_url=receiver.url).status_code == 200
    wait_for(receiver.posts, 2)
    body = client.get("/v3/refund/domestic/refunds/R1").json()
    assert body["status"] == "SUCCESS"

    client.control("POST", "clock", {"advance_seconds": 2 * 86400})
    try:
        day = body["create_time"][:10]
        bill = client.get(f"/v3/bill/tradebill?bill_date={day}")
        client.verify(bill.headers, bill.content)
        lines = client.download(bill.json()["download_url"]).content.split(b"\r\n")
        assert lines[-2] == b"`2,`25.00,`10.00,`0.00,`0.09000,`25.00,`10.00"
    finally:
        client.control("POST", "clock", {"offset_seconds": 0})


def test_signed_is_the_path_as_it_was_sent(client: OverHttp) -> None:
    client.native("P|00*01")
    mchid = client.merchant.merchant_no
    for spelling in ("P%7C00*01", "P%7c00%2A01"):
        path = f"/v3/pay/transactions/out-trade-no/{spelling}?mchid={mchid}"
        assert client.get(path).json()["out_trade_no"] == "P|00*01"


def test_a_204_over_http(client: OverHttp) -> None:
    client.native("P00001")
    mchid = client.merchant.merchant_no
    path = "/v3/pay/transactions/out-trade-no/P00001/close"
    answer = client.post(path, {"mchid": mchid})
    assert (answer.status_code, answer.content) == (204, b"")
    client.verify(answer.headers, b"")


def test_a_connection_breaks_after_the_work_is_done(client: OverHttp) -> None:
    client.control(
        "POST", "faults", {"key": "lost_after_commit", "value": {"mode": "drop"}, "uses": 1}
    )
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/v3/pay/transactions/native", client.order("P00001"))
    assert client.state("P00001")["trade_state"] == "NOTPAY"


def test_slow_answers(client: OverHttp) -> None:
    client.control("POST", "faults", {"key": "slow", "value": {"seconds": 1.2}, "uses": 1})
    before = time.monotonic()
    client.native("P00001")
    assert 1.2 <= time.monotonic() - before < 5


def test_a_taken_port_is_said_plainly(tmp_path: Path) -> None:
    ports = free_ports(4)
    with socket.create_server(("127.0.0.1", ports[0])):
        process = start(ports, tmp_path)
        output = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert f"port {ports[0]} on 127.0.0.1 is not free" in output
    assert "Traceback" not in output
