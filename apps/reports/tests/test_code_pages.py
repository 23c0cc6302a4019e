"""The pages of statistics: who sees them, what they say, and that their figures are those of the lists they link to."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.merchants.models import Membership, Role, Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.qrcodes.models import AlertKind, QRCode
from apps.qrcodes.selectors import Finding
from apps.qrcodes.services import raise_alerts
from apps.reports.tests.test_code_figures import (
    ACTOR,
    begin,
    buy,
    give_back,
    make_code,
    order,
    scan,
)


@pytest.fixture(autouse=True)
def at_noon() -> Any:
    """The pages ask the clock."""
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop("tea")


@pytest.fixture
def code(shop: Shop) -> QRCode:
    """A code with ten scans, four orders, three payments begun, two of them paid and one given back."""
    with inside(shop):
        account = make_account(shop)
        code = make_code(shop.store)
        for number in range(10):
            scan(code, NOW - timedelta(hours=2, minutes=number), ("alipay", "")[number % 5 == 0])
        order(code, NOW - timedelta(hours=2))
        begin(order(code, NOW - timedelta(hours=2)), account, NOW - timedelta(hours=2))
        buy(code, account, NOW - timedelta(hours=2), minor=12_345, seconds=75)
        back = buy(code, account, NOW - timedelta(days=1), minor=2_000, seconds=9)
        give_back(shop, back, minor=500, at=NOW - timedelta(hours=20))
    return code


def one(shop: Shop, code: QRCode) -> str:
    return f"/m/{shop.slug}/codes/{code.pk}/statistics/"


def every(shop: Shop) -> str:
    return f"/m/{shop.slug}/statistics/codes/"


def page(client: Client, address: str) -> str:
    response = client.get(address, HTTP_ACCEPT_LANGUAGE="en")
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


class TestWalls:
    @pytest.mark.parametrize("role", Role.values)
    def test_every_role_that_sees_everybodys_takings(
        self, client: Client, shop: Shop, code: QRCode, role: str
    ) -> None:
        client.force_login(shop[role])
        expected = 403 if role == "cashier" else 200
        assert client.get(one(shop, code)).status_code == expected
        assert client.get(every(shop)).status_code == expected

    def test_a_stranger_finds_nothing(self, client: Client, shop: Shop, code: QRCode) -> None:
        other = make_shop("other")
        client.force_login(other["owner"])
        assert client.get(one(shop, code)).status_code == 404
        assert client.get(every(shop)).status_code == 404
        assert client.get(one(other, code)).status_code == 404

    def test_a_store_limited_member_sees_only_its_codes(
        self, client: Client, shop: Shop, code: QRCode
    ) -> None:
        with inside(shop):
            other: Store = Store.objects.create(name="二号店", name_en="Second store")
            own = make_code(other, "露台")
        Membership.objects.filter(user=shop["manager"]).update(store_ids=[other.pk])
        client.force_login(shop["manager"])
        assert client.get(one(shop, code)).status_code == 404
        assert client.get(one(shop, own)).status_code == 200
        text = page(client, every(shop))
        assert "露台" in text
        assert "前台" not in text
        assert "123.45" not in text
        # Naming the other store changes nothing.
        assert "123.45" not in page(client, f"{every(shop)}?store={shop.store.pk}")


class TestOneCode:
    def test_the_way_from_the_scan_to_the_payment(
        self, client: Client, shop: Shop, code: QRCode
    ) -> None:
        client.force_login(shop["owner"])
        text = page(client, one(shop, code))
        funnel = words(
            text[text.index('data-testid="funnel"') : text.index('data-testid="median"')]
        )
        assert "Scanned 10" in funnel
        assert "Amount given 4 40.0 % 40.0 %" in funnel
        assert "Payment begun 3 75.0 % 30.0 %" in funnel
        assert "Paid 2 66.6 % 20.0 %" in funnel
        # Of 9 and 75 seconds the lower one.
        assert 'data-testid="median">9 seconds<' in text

    def test_its_money_is_that_of_the_list_it_links_to(
        self, client: Client, shop: Shop, code: QRCode
    ) -> None:
        client.force_login(shop["owner"])
        response = client.get(one(shop, code), HTTP_ACCEPT_LANGUAGE="en")
        total = response.context["total"]
        assert (total.payment_minor, total.refund_minor, total.net_minor) == (14_345, 500, 13_845)
        for name, rows, payments, refunds in (
            ("paid_url", 2, 14_345, 0),
            ("refunded_url", 1, 0, 500),
            ("all_url", 4, 14_345, 500),
        ):
            listed = client.get(f"{response.context[name]}&sum=1")
            assert listed.status_code == 200
            sums = listed.context["sums"]
            assert (sums.rows, sums.payment_minor, sums.refund_minor) == (rows, payments, refunds)
        for day in response.context["days"]:
            sums = client.get(f"{day.url}&sum=1").context["sums"]
            assert (sums.payment_count, sums.payment_minor) == (
                day.money.payment_count,
                day.money.payment_minor,
            )

    def test_hours_and_wallets(self, client: Client, shop: Shop, code: QRCode) -> None:
        client.force_login(shop["owner"])
        response = client.get(one(shop, code), HTTP_ACCEPT_LANGUAGE="en")
        ten = next(row for row in response.context["heat"] if row["hour"] == 10)
        nine = next(row for row in response.context["heat"] if row["hour"] == 9)
        assert ([cell.count for cell in ten["cells"]], ten["sum"]) == ([0, 1, 0, 0, 0, 0, 0], 1)
        assert [cell.count for cell in nine["cells"]] == [0, 9, 0, 0, 0, 0, 0]
        assert [cell.shade for cell in nine["cells"]] == [0, 5, 0, 0, 0, 0, 0]
        wallets = [(wallet["name"], wallet["count"]) for wallet in response.context["wallets"]]
        assert wallets == [("Alipay", 8), ("Another app or browser", 2)]

    def test_the_table_begins_where_the_business_day_does(
        self, client: Client, shop: Shop, code: QRCode
    ) -> None:
        shop.merchant.day_starts_at = shop.merchant.day_starts_at.replace(hour=2)
        shop.merchant.save()
        client.force_login(shop["owner"])
        heat = client.get(one(shop, code)).context["heat"]
        assert [row["hour"] for row in heat] == [*range(2, 24), 0, 1]

    @pytest.mark.parametrize(
        ("query", "scans"),
        [
            ("", 10),
            ("period=7d", 10),
            ("period=90d", 10),
            ("date_from=2026-11-23&date_to=2026-11-23", 0),
            ("period=custom&date_from=2026-11-24", 10),
        ],
    )
    def test_periods(
        self, client: Client, shop: Shop, code: QRCode, query: str, scans: int
    ) -> None:
        client.force_login(shop["owner"])
        assert client.get(f"{one(shop, code)}?{query}").context["total"].scans == scans

    @pytest.mark.parametrize(
        "query",
        [
            "period=custom",
            "period=x",
            "date_from=x",
            "date_from=2026-11-24&date_to=2026-11-01",
            "date_from=2024-01-01&date_to=2026-01-01",
            "date_from=1999-01-01&date_to=1999-01-02",
        ],
    )
    def test_a_period_that_is_none_says_so(
        self, client: Client, shop: Shop, code: QRCode, query: str
    ) -> None:
        client.force_login(shop["owner"])
        for address in (one(shop, code), every(shop)):
            response = client.get(f"{address}?{query}")
            assert response.status_code == 400
            assert "error-summary" in response.content.decode()

    def test_nobody_scanned_it(self, client: Client, shop: Shop) -> None:
        with inside(shop):
            code = make_code(shop.store)
        client.force_login(shop["owner"])
        assert "Nobody scanned it in this period" in page(client, one(shop, code))

    def test_costs_the_same_for_many_rows(
        self,
        client: Client,
        shop: Shop,
        code: QRCode,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        client.force_login(shop["owner"])
        # Session, user, membership, scope in and out, the code, its figures (3), times, days, alerts; the frame: what
        # waits, memberships.
        with django_assert_num_queries(14):
            client.get(one(shop, code))

    def test_it_is_linked_from_the_codes_own_page(
        self, client: Client, shop: Shop, code: QRCode
    ) -> None:
        client.force_login(shop["owner"])
        assert one(shop, code) in page(client, f"/m/{shop.slug}/codes/{code.pk}/")
        assert every(shop) in page(client, f"/m/{shop.slug}/codes/")


class TestAllCodes:
    def test_rows_stores_and_sums(self, client: Client, shop: Shop, code: QRCode) -> None:
        with inside(shop):
            other: Store = Store.objects.create(name="二号店", name_en="Second store")
            scan(make_code(other, "露台"), NOW)
        client.force_login(shop["owner"])
        response = client.get(every(shop), HTTP_ACCEPT_LANGUAGE="en")
        table = response.context["table"]
        assert next(row.code.pk for row in table.rows) == code.pk
        assert (table.total.scans, table.total.payment_minor) == (11, 14_345)
        assert {row.store.name: row.figures.scans for row in table.stores if row.store} == {
            "一号店": 10,
            "二号店": 1,
        }
        only = client.get(f"{every(shop)}?store={other.pk}").context["table"]
        assert (only.count, only.total.scans) == (1, 1)
        # What no form offers is left out rather than answered with an error.
        assert client.get(f"{every(shop)}?store=99&show=odd&after=x").status_code == 200

    @pytest.mark.parametrize(
        ("view", "text"),
        [
            ("quiet", "No code has gone quiet"),
            ("weak", "Too few scans to tell"),
            ("idle", "前台"),
        ],
    )
    def test_each_view(
        self, client: Client, shop: Shop, code: QRCode, view: str, text: str
    ) -> None:
        client.force_login(shop["owner"])
        assert text in page(client, f"{every(shop)}?show={view}")

    def test_no_codes(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["owner"])
        assert "No codes here" in page(client, every(shop))

    def test_the_quiet_ones(self, client: Client, shop: Shop, code: QRCode) -> None:
        with inside(shop):
            for day in range(5, 25):
                for number in range(2):
                    silent_at = NOW - timedelta(days=day, minutes=number)
                    scan(code, silent_at)
            silent = make_code(shop.store, "静")
            for day in range(5, 25):
                for number in range(2):
                    scan(silent, NOW - timedelta(days=day, minutes=number))
        client.force_login(shop["owner"])
        assert "1 code has gone quiet." in page(client, every(shop))
        text = page(client, f"{every(shop)}?show=quiet")
        assert "Not scanned for 4 whole days, last on 2026-11-19" in text
        assert one(shop, silent) in text
        assert one(shop, code) not in text

    def test_costs_the_same_for_many(
        self,
        client: Client,
        shop: Shop,
        code: QRCode,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        with inside(shop):
            for number in range(5):
                scan(make_code(shop.store, f"{number}号桌"), NOW)
        client.force_login(shop["owner"])
        # Session, user, membership, scope in and out, stores, the table (6), alerts; the frame: what waits, memberships.
        with django_assert_num_queries(15):
            client.get(every(shop))


class TestToday:
    def test_an_alert_needs_who_manages_codes(
        self, client: Client, shop: Shop, code: QRCode
    ) -> None:
        with inside(shop):
            raise_alerts([Finding(code.pk, AlertKind.SURGE, NOW)], actor=ACTOR, now=NOW)
        for role, told in (("owner", True), ("manager", True), ("finance", False)):
            client.force_login(shop[role])
            assert ("1 alert about odd use of a code" in page(client, f"/m/{shop.slug}/")) == told
