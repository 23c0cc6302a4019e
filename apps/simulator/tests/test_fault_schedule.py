"""Random faults from a schedule: the same seed, the same sequence, and counters to compare with."""

from __future__ import annotations

import hashlib
import threading

import pytest

from apps.simulator import faults
from apps.simulator.tests.test_control import call
from apps.simulator.tests.wechat_client import WechatClient


def drawn(count: int, *, key: str = "http_500", platform: str = "wechatpay") -> list[bool]:
    """Whether each of so many chances was hit."""
    return [faults.take(key, platform=platform) is not None for _ in range(count)]


def start(seed: int = 7, rate: float = 0.3, **more: object) -> None:
    body = {"seed": seed, "rates": {"http_500": rate}, **more}
    assert call("POST", "faults/schedule", body).status_code == 200


def test_the_same_seed_gives_the_same_sequence(db: None) -> None:
    start()
    first = drawn(200)
    start()
    assert drawn(200) == first
    start(seed=8)
    assert drawn(200) != first


def test_the_sequence_is_the_published_rule(db: None) -> None:
    # Put down here a second time, so that a bench can foretell what it will meet.
    def foretold(number: int) -> bool:
        text = "\x1f".join(("7", "http_500", "wechatpay", str(number)))
        first = hashlib.sha256(text.encode()).hexdigest()[:16]
        return int(first, 16) / 2**64 < 0.3

    start()
    assert drawn(200) == [foretold(number) for number in range(1, 201)]


def test_other_places_do_not_disturb_the_sequence(db: None) -> None:
    start()
    alone = drawn(50)
    start()
    mixed = []
    for _ in range(50):
        faults.take("http_500", platform="alipay")
        faults.take("slow", platform="wechatpay")
        mixed += drawn(1)
    assert mixed == alone


def test_counters(db: None) -> None:
    start()
    hits = sum(drawn(100))
    sum(drawn(10, platform="alipay"))
    report = call("GET", "faults/schedule").json()["schedule"]
    assert (report["seed"], report["rates"]) == (7, {"http_500": 0.3})
    assert report["chances"]["http_500"] == {"alipay": 10, "wechatpay": 100}
    assert report["injected"]["http_500"]["wechatpay"] == hits
    assert 15 < hits < 45
    assert call("DELETE", "faults/schedule").json()["schedule"] == report
    assert call("GET", "faults/schedule").json() == {"schedule": None}
    assert not any(drawn(100))


def test_counters_add_up_under_threads(db: None) -> None:
    start(rate=0.5)
    # The table of single faults is read once, here; the threads have no database of their own.
    faults.take("http_500", platform="wechatpay")
    seen: list[bool] = []
    threads = [threading.Thread(target=lambda: seen.extend(drawn(250))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    schedule = faults.current_schedule()
    assert schedule is not None
    report = schedule.report()
    assert report["chances"]["http_500"]["wechatpay"] == 2001
    assert abs(report["injected"]["http_500"]["wechatpay"] - sum(seen)) <= 1
    start(rate=0.5)
    # However the threads took turns, the same chances were hit as one after the other.
    assert sum(drawn(2001)) == report["injected"]["http_500"]["wechatpay"]


def test_values_paths_and_platforms(db: None) -> None:
    start(rate=1.0, values={"http_500": {"path": "/refund"}}, platforms=["wechatpay"])
    assert faults.take("http_500", platform="wechatpay", path="/v3/refund/x") is not None
    assert faults.take("http_500", platform="wechatpay", path="/v3/pay") is None
    assert faults.take("http_500", platform="alipay", path="/v3/refund/x") is None


def test_over_the_wire(wechat: WechatClient) -> None:
    start(rate=1.0)
    assert wechat.get("/v3/certificates").status_code == 500
    start(rate=0.0)
    assert wechat.get("/v3/certificates").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"seed": 1, "rates": []},
        {"seed": 1, "rates": {"none": 0.1}},
        {"seed": 1, "rates": {"slow": 1.5}},
        {"seed": 1, "rates": {"slow": -0.1}},
        {"seed": 1, "rates": {"slow": True}},
        {"seed": 1, "rates": {"slow": "0.1"}},
        {"seed": "x", "rates": {}},
        {"seed": 1, "rates": {}, "platforms": ["none"]},
        {"seed": 1, "rates": {}, "values": {"slow": {}}},
        {"seed": 1, "rates": {"slow": 0.1}, "values": {"slow": 3}},
    ],
)
def test_bad_schedules_leave_the_one_before(db: None, body: dict[str, object]) -> None:
    start()
    assert call("POST", "faults/schedule", body).status_code == 400
    report = call("GET", "faults/schedule").json()["schedule"]
    assert report["rates"] == {"http_500": 0.3}
