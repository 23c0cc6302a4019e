"""The pages of business days."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.approvals.models import Approval
from apps.core.money import Money
from apps.ledger.models import BusinessDay
from apps.merchants.models import Membership
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.reconciliation.models import DayClose, DayReopening, ReopeningState
from apps.reconciliation.services import write_day_files
from apps.reconciliation.tests.closes import close, settled
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, paid
from apps.refunds.services import request_refund

pytestmark = pytest.mark.django_db

LIST = "/m/tea/reconciliation/closes/"
PAGE = f"{LIST}{DAY}/"


@pytest.fixture(autouse=True)
def _english(settings: object) -> None:
    settings.LANGUAGE_CODE = "en"  # type: ignore[attr-defined]  # pytest-django's settings


@pytest.fixture
def shop() -> Shop:
    return make_shop()


def as_(shop: Shop, role: str = "finance") -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop[role])
    return client


def text_of(client: Client, url: str, *, status: int = 200) -> str:
    response = client.get(url)
    assert response.status_code == status, url
    return response.content.decode()


class TestList:
    def test_it_is_empty_before_the_first_payment(self, shop: Shop) -> None:
        assert "Nothing to close yet" in text_of(as_(shop), LIST)

    def test_days_with_their_state_and_sums(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            close(shop)
        text = text_of(as_(shop), f"{LIST}?month=2026-11")
        assert 'data-state="closed"' in text
        assert "¥125.00" in text
        assert shop["finance"].display_name in text

    @pytest.mark.parametrize("days", [1, 5])
    def test_it_costs_the_same_however_many_days(self, shop: Shop, days: int) -> None:
        with inside(shop):
            account = make_account(shop)
            for n in range(days):
                paid(shop, account, at=NOON - timedelta(days=n))
        client = as_(shop)
        client.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            client.get(f"{LIST}?month=2026-11")
        asked = [q["sql"] for q in queries if "businessday" in q["sql"]]
        assert len(asked) == 2, "the month, and the first day"

    def test_a_cashier_and_a_member_of_one_store_are_kept_out(self, shop: Shop) -> None:
        text_of(as_(shop, "cashier"), LIST, status=403)
        Membership.objects.filter(user=shop["manager"]).update(store_ids=[shop.store.pk])
        text_of(as_(shop, "manager"), LIST, status=403)


class TestDay:
    @pytest.mark.parametrize("day", ["2026-11-31", "1999-12-31", "2099-01-01", "20261123", "x"])
    def test_what_is_no_day_is_404(self, shop: Shop, day: str) -> None:
        text_of(as_(shop), f"{LIST}{day}/", status=404)

    def test_what_stands_in_the_way_links_to_where_it_is_mended(self, shop: Shop) -> None:
        with inside(shop):
            account = make_account(shop)
            paid(shop, account)
        text = text_of(as_(shop), PAGE)
        assert "1 thing keeps the day open." in text
        assert f"/m/tea/statements/upload/?account={account.pk}&amp;day={DAY}" in text
        assert "/close/" not in text, "no button while something is in the way"
        auditor = text_of(as_(shop, "auditor"), PAGE)
        assert "/statements/upload/" not in auditor
        assert "/m/tea/reconciliation/?month=2026-11" in auditor

    def test_a_settled_day_offers_the_closing_to_those_who_may(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
        assert f"{PAGE}close/" in text_of(as_(shop), PAGE)
        assert f"{PAGE}close/" not in text_of(as_(shop, "manager"), PAGE)

    def test_files_being_written_and_written(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
            done = close(shop)
        client = as_(shop)
        text = text_of(client, PAGE)
        assert "The files are being written" in text
        assert 'hx-trigger="every 3s"' in text
        fragment = client.get(PAGE, headers={"hx-request": "true"}).content.decode()
        assert fragment.lstrip().startswith("<section")
        with inside(shop):
            write_day_files(close_id=done.pk, now=NOW)
            files = list(done.files.all())
        text = text_of(client, PAGE)
        assert "every 3s" not in text
        assert all(file.sha256 in text for file in files)
        assert f"{PAGE}reopen/" in text


class TestClose:
    def test_a_day_is_closed(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
        client = as_(shop)
        assert "¥125.00" in text_of(client, f"{PAGE}close/")
        response = client.post(f"{PAGE}close/")
        assert (response.status_code, response["Location"]) == (302, PAGE)
        with inside(shop):
            assert DayClose.objects.get().closed_by == shop["finance"]
        # A second click, and the page once more, lead to the closed day.
        assert client.post(f"{PAGE}close/")["Location"] == PAGE
        assert client.get(f"{PAGE}close/")["Location"] == PAGE
        with inside(shop):
            assert DayClose.objects.count() == 1

    def test_what_blocks_is_said_and_nothing_is_closed(self, shop: Shop) -> None:
        with inside(shop):
            paid(shop, make_account(shop))
        client = as_(shop)
        assert "cannot be closed yet" in text_of(client, f"{PAGE}close/")
        response = client.post(f"{PAGE}close/")
        assert response.status_code == 409
        with inside(shop):
            assert not DayClose.objects.exists()

    def test_a_warning_needs_its_tick_and_its_reason(self, shop: Shop) -> None:
        with inside(shop):
            _account, payments = settled(shop, amounts=(50_000,))
            request_refund(
                payment_id=payments[0].pk,
                amount=Money(30_000),
                reason="x",
                member=shop["cashier"],
                actor=ACTOR,
                now=NOON,
            )
        client = as_(shop)
        assert 'name="tick_refunds"' in text_of(client, f"{PAGE}close/")
        response = client.post(f"{PAGE}close/", {"count_refunds": "1"})
        assert response.status_code == 422
        text = response.content.decode()
        assert "Tick it, or settle it first." in text
        assert "Say why; it stays with the closing." in text
        given = {
            "tick_refunds": "on",
            "reason_refunds": "waits for the guest",
            "count_refunds": "2",
        }
        assert client.post(f"{PAGE}close/", given).status_code == 409, "it warned of another count"
        with inside(shop):
            assert not DayClose.objects.exists()
        assert client.post(f"{PAGE}close/", given | {"count_refunds": "1"}).status_code == 302
        assert "waits for the guest" in text_of(client, PAGE)

    def test_only_those_who_may(self, shop: Shop) -> None:
        with inside(shop):
            settled(shop)
        for role in ("manager", "cashier", "auditor"):
            assert as_(shop, role).post(f"{PAGE}close/").status_code == 403
        with inside(shop):
            assert not DayClose.objects.exists()


class TestReopen:
    @pytest.fixture
    def closed(self, shop: Shop) -> DayClose:
        with inside(shop):
            settled(shop)
            done = close(shop)
            write_day_files(close_id=done.pk, now=NOW)
        return done

    def test_asking_confirming_and_closing_again(self, shop: Shop, closed: DayClose) -> None:
        client = as_(shop)
        assert "Another member must confirm it" in text_of(client, f"{PAGE}reopen/")
        assert client.post(f"{PAGE}reopen/", {"reason": " "}).status_code == 422
        response = client.post(f"{PAGE}reopen/", {"reason": "a bill was wrong"})
        assert response["Location"] == PAGE
        with inside(shop):
            approval = Approval.objects.get(subject_kind="day_reopening")
        mine = text_of(client, PAGE)
        assert "a bill was wrong" in mine
        assert f"/approvals/{approval.pk}/" not in mine
        owner = as_(shop, "owner")
        assert f"/approvals/{approval.pk}/" in text_of(owner, PAGE)
        page = text_of(owner, f"/m/tea/approvals/{approval.pk}/")
        assert "a bill was wrong" in page
        assert "Version 1" in page
        owner.post(
            f"/m/tea/approvals/{approval.pk}/",
            {"digest": bytes(approval.digest).hex(), "decision": "approve"},
        )
        with inside(shop):
            assert not BusinessDay.objects.get(day=DAY).is_closed
        text = text_of(client, PAGE)
        assert "Earlier versions" in text
        assert 'data-state="reopened"' in text
        assert "Version 1, closed" in text
        assert client.post(f"{PAGE}close/").status_code == 302
        text = text_of(client, PAGE)
        assert "Closing, version 2" in text
        assert "Version 1, closed" in text

    def test_a_shop_of_one_is_told_plainly(self, shop: Shop, closed: DayClose) -> None:
        Membership.objects.exclude(user=shop["finance"]).delete()
        text = text_of(as_(shop), f"{PAGE}reopen/")
        assert "at present nobody else in the team may" in text
        assert "book an adjustment on an open day" in text

    def test_withdrawing(self, shop: Shop, closed: DayClose) -> None:
        client = as_(shop)
        client.post(f"{PAGE}reopen/", {"reason": "x"})
        with inside(shop):
            reopening = DayReopening.objects.get()
        url = f"{LIST}reopenings/{reopening.pk}/withdraw/"
        assert "Withdraw" in text_of(client, url)
        assert client.post(url)["Location"] == PAGE
        with inside(shop):
            reopening.refresh_from_db()
            assert reopening.state == ReopeningState.CANCELLED
            assert BusinessDay.objects.get(day=DAY).is_closed

    def test_an_open_day_leads_back(self, shop: Shop) -> None:
        assert as_(shop).get(f"{PAGE}reopen/")["Location"] == PAGE
