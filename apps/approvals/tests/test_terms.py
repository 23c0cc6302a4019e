"""How confirmations run: what tightens holds at once, what loosens a day later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import Error
from django.test import Client
from django.urls import reverse

from apps.approvals.models import ApprovalTerms
from apps.approvals.selectors import terms_in_force
from apps.approvals.services import TermsChanged, change_terms
from apps.approvals.terms import DEFAULTS, Terms
from apps.approvals.tests.factories import ask, choose, paid_in
from apps.core import tasks
from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.merchants.models import Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
STRICT = Terms(
    expire_hours=24,
    remind_hours=1,
    escalate_hours=2,
    cooling_hours=0,
    credentials=True,
    factor=True,
)


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.clock.now", lambda: NOW)


def in_force(shop: Shop, after: timedelta = timedelta()) -> Terms:
    with inside(shop):
        return terms_in_force(NOW + after)


def test_stricter_terms_hold_at_once(shop: Shop) -> None:
    assert in_force(shop) == DEFAULTS
    choose(shop, expire_hours=24, remind_hours=1, escalate_hours=2, factor=True)
    assert in_force(shop) == STRICT
    with inside(shop):
        assert AuditEvent.objects.filter(action="approval_terms.changed").count() == 1
    tasks.drain(now=NOW, task="approvals.terms_mail")
    assert mail.outbox == []


@pytest.mark.parametrize(
    "looser",
    [
        {"cooling_hours": 24},
        {"expire_hours": 168},
        {"remind_hours": 0},
        {"escalate_hours": 48},
        {"credentials": False},
    ],
)
def test_looser_terms_hold_a_day_later_and_owners_are_told(
    shop: Shop, looser: dict[str, Any]
) -> None:
    choose(shop, **looser)
    assert in_force(shop) == in_force(shop, DAY - timedelta(seconds=1)) == DEFAULTS
    assert in_force(shop, DAY) == Terms(**looser)
    tasks.drain(now=NOW, task="approvals.terms_mail")
    assert [message.to for message in mail.outbox] == [["owner@tea.test"]]
    assert reverse("approvals:terms", args=[shop.slug]) in str(mail.outbox[0].body)


def test_a_mixed_change_tightens_now_and_loosens_later(shop: Shop) -> None:
    choose(shop, expire_hours=24, cooling_hours=24)
    assert in_force(shop) == Terms(expire_hours=24)
    assert in_force(shop, DAY) == Terms(expire_hours=24, cooling_hours=24)


def test_what_is_still_to_come_can_be_stopped(shop: Shop) -> None:
    choose(shop, cooling_hours=24)
    choose(shop)
    assert in_force(shop, 3 * DAY) == DEFAULTS
    tasks.drain(now=NOW, task="approvals.terms_mail")
    assert mail.outbox == []


def test_a_shorter_delay_waits_a_longer_one_does_not(shop: Shop) -> None:
    choose(shop, cooling_hours=24)
    later = NOW + 2 * DAY
    choose(shop, now=later, cooling_hours=48)
    with inside(shop):
        assert terms_in_force(later).cooling_hours == 48
    choose(shop, now=later, cooling_hours=12)
    with inside(shop):
        assert terms_in_force(later).cooling_hours == 48
        assert terms_in_force(later + DAY).cooling_hours == 12


def test_of_two_writers_the_second_is_told(shop: Shop) -> None:
    choose(shop, expire_hours=24)
    with inside(shop), pytest.raises(TermsChanged):
        change_terms(terms=STRICT, seen=0, member=None, actor=Actor("x"), now=NOW)


def test_nothing_new_writes_nothing(shop: Shop) -> None:
    choose(shop)
    with inside(shop):
        assert not ApprovalTerms.objects.exists()


def test_saved_once_more_what_is_planned_keeps_its_moment(shop: Shop) -> None:
    choose(shop, cooling_hours=24)
    choose(shop, now=NOW + timedelta(hours=5), cooling_hours=24)
    with inside(shop):
        assert ApprovalTerms.objects.count() == 1
    assert in_force(shop, DAY) == Terms(cooling_hours=24)


def test_a_version_is_never_changed(shop: Shop) -> None:
    choose(shop, expire_hours=24)
    with inside(shop), pytest.raises(Error):
        ApprovalTerms.objects.update(cooling_hours=12)


def test_a_request_waits_as_long_as_the_terms_say(shop: Shop) -> None:
    choose(shop, expire_hours=24, remind_hours=1, escalate_hours=2)
    approval = ask(shop, paid_in(shop))
    assert approval.expires_at == NOW + timedelta(hours=24)


class TestPage:
    def post(self, client: Client, shop: Shop, **values: object) -> object:
        sent = {
            "seen": 0,
            "expire_hours": 72,
            "remind_hours": 12,
            "escalate_hours": 24,
            "cooling_hours": 0,
            "credentials": "on",
            **values,
        }
        return client.post(
            reverse("approvals:terms", args=[shop.slug]), sent, HTTP_ACCEPT_LANGUAGE="en"
        )

    @pytest.mark.parametrize("role", Role.values)
    def test_only_owners(self, client: Client, shop: Shop, role: str) -> None:
        client.force_login(shop[role])
        answer = client.get(reverse("approvals:terms", args=[shop.slug]))
        assert answer.status_code == (200 if role == Role.OWNER else 403)

    def test_it_reads_as_sentences(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["owner"])
        self.post(client, shop, cooling_hours=24)
        page = client.get(
            reverse("approvals:terms", args=[shop.slug]), HTTP_ACCEPT_LANGUAGE="en"
        ).content.decode()
        assert "expires after 3 days" in page
        assert "without a second person." in page
        assert "can have it carried out after 24 hours" in page
        assert in_force(shop, DAY).cooling_hours == 24

    def test_wrong_order_is_refused(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["owner"])
        for wrong in (
            {"expire_hours": 24, "remind_hours": 24},
            {"remind_hours": 24, "escalate_hours": 24},
            {"cooling_hours": 1},
            {"seen": 7},
        ):
            assert self.post(client, shop, **wrong).status_code == 422  # type: ignore[attr-defined]
        assert in_force(shop, 3 * DAY) == DEFAULTS
