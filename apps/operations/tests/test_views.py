"""Health tells the truth; the audit trail is readable and pages without gaps."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import DatabaseError
from django.test import Client
from redis.exceptions import RedisError

from apps.core import audit, clock, outbox
from apps.core.audit import Actor
from apps.core.keyset import BadCursor
from apps.core.models import AuditEvent
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.operations import health
from apps.operations.selectors import PAGE_SIZE, audit_page
from apps.payments.tests.factories import make_account, make_paid


def test_alive_touches_nothing(client: Client) -> None:
    assert client.get("/healthz").json() == {"ok": True}


def test_ready_needs_a_tick_of_beat_through_a_worker(db: None, client: Client) -> None:
    cache.clear()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["beat"] == "no tick of beat has reached a worker yet"
    health.beat_now(now=clock.now())
    assert client.get("/readyz").json() == {
        "ok": True,
        "checks": {"database": "", "migrations": "", "broker": "", "beat": ""},
    }
    health.beat_now(now=clock.now() - timedelta(minutes=2))
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("kind", [DatabaseError, RedisError])
def test_not_being_ready_tells_strangers_no_host_or_role(
    db: None, client: Client, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def broken(now: datetime) -> str:
        raise kind('connection to "10.1.2.3" failed for user "portal_app"')

    monkeypatch.setitem(health.CHECKS, "beat", broken)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["beat"] == f"{kind.__name__}, see the log"


def test_metrics_are_for_this_machine_only(client: Client) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 404


@pytest.fixture
def shop(db: None) -> Shop:
    shop = make_shop()
    with inside(shop):
        make_paid(shop, make_account(shop))
    return shop


def test_the_audit_trail_tells_what_happened(shop: Shop, client: Client) -> None:
    client.force_login(shop["owner"])
    text = client.get("/m/tea/audit/", headers={"accept-language": "en"}).content.decode()
    assert "¥100.00 paid with WeChat Pay" in text
    assert "Order opened for ¥100.00" in text
    assert "payment.succeeded" not in text


def test_pages_of_the_trail_have_no_gaps(shop: Shop) -> None:
    with inside(shop):
        for number in range(2 * PAGE_SIZE):
            audit.record(
                action="store.changed",
                subject_kind="store",
                subject_id=number,
                actor=Actor("a"),
                at=NOW,
            )
        seen: list[int] = []
        cursor = ""
        while True:
            page = audit_page(after=cursor)
            seen += [row.pk for row in page.rows]
            cursor = page.older
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == AuditEvent.objects.count()


@pytest.mark.parametrize("cursor", ["x", "1", "-", "1-2-3", "9" * 40 + "-1", "1'--1"])
def test_a_tampered_page_link_is_refused(shop: Shop, client: Client, cursor: str) -> None:
    with inside(shop), pytest.raises(BadCursor):
        audit_page(after=cursor)
    client.force_login(shop["owner"])
    assert client.get("/m/tea/audit/", {"after": cursor}).status_code == 400


def test_waiting_work_is_listed_in_words(shop: Shop, client: Client) -> None:
    outbox.enqueue(task="refunds.send", merchant_id=shop.merchant.pk, subject_id=5, due_at=NOW)
    client.force_login(shop["owner"])
    text = client.get("/m/tea/jobs/", headers={"accept-language": "en"}).content.decode()
    assert "Send a refund to the platform" in text
