"""The pages of the money: what they say, what they ask of the database, and what a hand may do on them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.ledger.models import BusinessDay
from apps.merchants.models import Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import PlatformAccount
from apps.statements.models import (
    BankAccount,
    BankLine,
    Payout,
    Settlement,
    SettlementTerms,
    WorkdayException,
)
from apps.statements.services import MOST_BYTES
from apps.statements.tests.money import (
    DAY,
    MAPPING,
    TENPAY,
    at,
    bank_csv,
    make_bank,
    settled_day,
    upload,
)
from apps.statements.tests.test_views import client_of

pytestmark = pytest.mark.django_db
FRIDAY = DAY + timedelta(days=1)


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def page(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"settlements:{name}", args=[shop.slug, *args])


def opened(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def file(content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("bank.csv", content)


class TestWhere:
    def test_without_a_platform_or_a_bank_it_says_what_to_do(self, shop: Shop) -> None:
        client = client_of(shop)
        assert "No platform is connected yet" in opened(client, page("money_where", shop))
        with inside(shop):
            make_account(shop)
        text = opened(client, page("money_where", shop))
        assert "No bank statement was uploaded yet" in text
        assert page("bank_account_create", shop) in text

    def test_every_part_is_shown_and_opens_to_its_rows(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            bank = make_bank()
            upload(bank, bank_csv((FRIDAY, 9_940, TENPAY, "A"), (date(2026, 11, 24), -1, "x", "B")))
            settled_day(shop, account, DAY, 10_000)
            settled_day(shop, account, FRIDAY, 20_000)
            settled_day(shop, account, date(2026, 11, 23), 30_000)
            make_paid(shop, account, minor=5_000, now=at(date(2026, 11, 24), 9))
        text = opened(client_of(shop), page("money_where", shop))
        for amount in ("¥546.70", "¥49.70", "¥298.20", "¥198.80", "¥99.40"):
            assert amount in text
        assert "show=overdue" in text
        assert "ask WeChat Pay for the payout of that day" in text
        assert "receivable in the books" in text

    def test_the_number_of_queries_does_not_grow_with_the_days(
        self,
        shop: Shop,
        account: PlatformAccount,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        client = client_of(shop)
        with inside(shop):
            settled_day(shop, account, DAY, 10_000)
        opened(client, page("money_where", shop))
        with django_assert_num_queries(18):
            opened(client, page("money_where", shop))
        with inside(shop):
            settled_day(shop, account, FRIDAY, 10_000)
            upload(make_bank(), bank_csv((FRIDAY, 9_940, TENPAY, "A")))
        with django_assert_num_queries(17):
            opened(client, page("money_where", shop))


class TestLists:
    def test_settlements_are_paged_and_narrowed(
        self,
        shop: Shop,
        account: PlatformAccount,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        with inside(shop):
            Settlement.objects.bulk_create(
                Settlement(
                    account=account, basis="bill", day=DAY - timedelta(days=number), net_minor=100 + number,
                    due_date=DAY, computed_at=NOW,
                )
                for number in range(60)
            )  # fmt: skip
        client = client_of(shop)
        url = page("settlement_list", shop)
        first = opened(client, url)
        with django_assert_num_queries(11):
            opened(client, url)
        assert first.count("data-row-href") == 50
        older = f"{url}?after={DAY - timedelta(days=49):%Y%m%d}-"
        assert older.split("?")[1] in first
        assert (
            opened(client, f"{url}?show=unseen&date_from=2026-11-10").count("data-row-href") == 10
        )
        assert "No settlement fits" in opened(client, f"{url}?show=overdue")
        for wrong in ("after=x", "after=20261399-1", f"before=20261119-{9**30}"):
            assert client.get(f"{url}?{wrong}").status_code == 400
        assert client.get(f"{url}?date_from=2026-11-10&date_to=2026-11-01").status_code == 400

    def test_bank_lines_are_searched_and_never_become_markup(self, shop: Shop) -> None:
        with inside(shop):
            upload(make_bank(), bank_csv((DAY, 9_940, TENPAY, "A"), (DAY, -500, "=1+1<b>", "B")))
        client = client_of(shop)
        url = page("bank_line_list", shop)
        text = opened(client, url)
        assert "=1+1&lt;b&gt;" in text
        assert text.count("data-row-href") == 2
        for query, rows in (
            ("show=free", 1),
            ("show=out", 1),
            ("show=linked", 0),
            ("text=财付", 1),
            ("amount=5", 1),
            ("amount=99.40&show=in", 1),
            ("text=%25", 0),
        ):
            assert opened(client, f"{url}?{query}").count("data-row-href") == rows, query

    def test_an_empty_list_says_what_to_do(self, shop: Shop) -> None:
        client = client_of(shop)
        assert "Add a bank account" in opened(client, page("bank_line_list", shop))
        assert "No settlement yet" in opened(client, page("settlement_list", shop))


class TestUpload:
    def test_from_nothing_to_a_booked_payout(self, shop: Shop, account: PlatformAccount) -> None:
        with inside(shop):
            settled_day(shop, account, DAY, 10_000)
        client = client_of(shop)
        content = bank_csv((FRIDAY, 9_940, TENPAY, "A"))
        made = client.post(page("bank_account_create", shop), {"name": " 招商银行 1234 "})
        with inside(shop):
            bank = BankAccount.objects.get(name="招商银行 1234")
        columns = page("bank_columns", shop, bank.pk)
        assert made.headers["Location"] == columns
        assert (
            client.post(page("bank_account_create", shop), {"name": "招商银行 1234"}).status_code
            == 422
        )
        read = client.post(columns, {"file": file(content)})
        form = read.context["form"]
        assert {name: form.initial[name] for name in MAPPING} == MAPPING
        fields = {**MAPPING, "sample": read.context["sealed"]}
        tried = client.post(columns, {**fields, "try": "1"})
        assert [row.amount_minor for row in tried.context["rows"]] == [9_940]
        wrong = client.post(columns, {**fields, "amount": "摘要", "memo": "", "save": "1"})
        assert wrong.status_code == 422
        assert client.post(columns, {**fields, "save": "1"}).status_code == 302
        url = page("bank_upload", shop)
        sent = client.post(url, {"bank_account": bank.pk, "file": file(content)}, follow=True)
        assert "1 new movement is stored. 1 payout was found and booked." in sent.content.decode()
        again = client.post(url, {"bank_account": bank.pk, "file": file(content)}, follow=True)
        assert "Nothing changed" in again.content.decode()
        with inside(shop):
            assert Payout.objects.get().is_inferred

    def test_a_bad_file_leads_to_its_columns_and_stores_nothing(self, shop: Shop) -> None:
        with inside(shop):
            bank = make_bank()
        client = client_of(shop)
        url = page("bank_upload", shop)
        said = client.post(url, {"bank_account": bank.pk, "file": file(b"a,b,c\n1,2,3\n")})
        assert said.status_code == 422
        assert page("bank_columns", shop, bank.pk) in said.content.decode()
        bad = bank_csv((DAY, 1, "x", "A")).replace(b"0.01", b"0.001", 1)
        said = client.post(url, {"bank_account": bank.pk, "file": file(bad)})
        assert "Line 2, column “交易金额”" in said.content.decode()
        long = client.generic("POST", url, b"", CONTENT_LENGTH=str(MOST_BYTES * 2))
        assert long.status_code == 422
        with inside(shop):
            assert not BankLine.objects.exists()

    def test_a_viewer_changes_nothing(self, shop: Shop, account: PlatformAccount) -> None:
        with inside(shop):
            row = settled_day(shop, account, DAY, 10_000)
            upload(make_bank(), bank_csv((FRIDAY, 9_940, "x", "A")))
            line = BankLine.objects.get()
        client = client_of(shop, Role.AUDITOR)
        ticked = {"lines": [line.pk], "settlements": [row.pk]}
        for url in (
            page("settlement_detail", shop, row.pk),
            page("bank_line_detail", shop, line.pk),
        ):
            assert "Link and book" not in opened(client, url)
            assert client.post(url, ticked).status_code == 403
        with inside(shop):
            assert not Payout.objects.exists()


class TestByHand:
    @pytest.fixture
    def rows(self, shop: Shop, account: PlatformAccount) -> tuple[Settlement, BankLine]:
        with inside(shop):
            row = settled_day(shop, account, DAY, 10_000)
            upload(make_bank(), bank_csv((FRIDAY, 9_900, "x", "A")))
            return row, BankLine.objects.get()

    @pytest.mark.parametrize("side", ["settlement", "line"])
    def test_linking_undoing_and_linking_again(
        self, shop: Shop, rows: tuple[Settlement, BankLine], side: str
    ) -> None:
        row, line = rows
        client = client_of(shop)
        url = (
            page("settlement_detail", shop, row.pk)
            if side == "settlement"
            else page("bank_line_detail", shop, line.pk)
        )
        ticked = {"lines": [line.pk], "settlements": [row.pk]}
        refused = client.post(url, ticked)
        assert refused.status_code == 422
        assert "¥0.40 are missing" in refused.content.decode()
        made = client.post(url, {**ticked, "difference_to": "fees", "note": "转账费"})
        with inside(shop):
            payout = Payout.objects.get()
        detail = page("payout_detail", shop, payout.pk)
        assert made.headers["Location"] == detail
        text = opened(client, detail)
        assert "booked to fees" in text
        assert "转账费" in text
        undo = page("payout_undo", shop, payout.pk)
        assert "Undo this payout?" in opened(client, undo)
        assert client.post(undo, {"reason": ""}).status_code == 422
        assert client.post(undo, {"reason": "选错了"}).status_code == 302
        assert "选错了" in opened(client, detail)
        assert client.get(undo).status_code == 302
        client.post(url, {**ticked, "difference_to": "suspense"})
        with inside(shop):
            assert Payout.objects.count() == 2

    def test_a_closed_day_keeps_its_payout(
        self, shop: Shop, rows: tuple[Settlement, BankLine]
    ) -> None:
        row, line = rows
        client = client_of(shop)
        client.post(
            page("bank_line_detail", shop, line.pk),
            {"lines": [line.pk], "settlements": [row.pk], "difference_to": "fees"},
        )
        with inside(shop):
            payout = Payout.objects.get()
            BusinessDay.objects.filter(day=payout.booked_date).update(is_closed=True)
        assert "Its business day is closed" in opened(
            client, page("payout_detail", shop, payout.pk)
        )
        said = client.post(page("payout_undo", shop, payout.pk), {"reason": "x"}, follow=True)
        assert "is closed, so what was booked on it stays" in said.content.decode()
        with inside(shop):
            payout.refresh_from_db()
            assert payout.undone_at is None

    def test_rows_that_are_not_offered_are_refused(
        self, shop: Shop, rows: tuple[Settlement, BankLine]
    ) -> None:
        row, line = rows
        url = page("bank_line_detail", shop, line.pk)
        said = client_of(shop).post(url, {"lines": [line.pk, 10**9], "settlements": [row.pk, "x"]})
        assert said.status_code == 422
        with inside(shop):
            assert not Payout.objects.exists()

    def test_holding_back_with_a_reason(
        self, shop: Shop, rows: tuple[Settlement, BankLine]
    ) -> None:
        row, _line = rows
        client = client_of(shop)
        client.post(page("settlement_hold", shop, row.pk), {"note": "风控冻结"})
        assert "风控冻结" in opened(client, page("settlement_detail", shop, row.pk))
        client.post(page("settlement_hold", shop, row.pk), {"note": "x" * 201})
        with inside(shop):
            row.refresh_from_db()
            assert row.held_note == "风控冻结"


class TestTerms:
    def test_the_usual_ones_become_the_accounts_own(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        client = client_of(shop)
        assert "usual at this platform, not confirmed" in opened(client, page("terms_list", shop))
        url = page("terms_edit", shop, account.pk)
        values = {
            "basis": "bill", "cycle_days": "2", "working_days": "0", "cutoff": "22:00", "minimum": "1,000",
            "fees_deducted": "0", "bank_words": "财付通", "window_days": "7", "since": "2026-11-01",
        }  # fmt: skip
        for wrong in (
            {"minimum": "-1"},
            {"minimum": "1.005"},
            {"cycle_days": "61"},
            {"since": "1900-01-01"},
            {"cutoff": "25:00"},
        ):
            assert client.post(url, {**values, **wrong}).status_code == 422
        assert client.post(url, values).status_code == 302
        with inside(shop):
            row = SettlementTerms.objects.get()
            assert (row.cycle_days, row.minimum_minor, row.fees_deducted, row.updated_by_id) == (
                2,
                100_000,
                False,
                shop["finance"].pk,
            )
        assert "cut-off 22:00" in opened(client, page("terms_list", shop))

    def test_working_days_are_added_and_taken_out(self, shop: Shop) -> None:
        client = client_of(shop)
        url = page("workday_list", shop)
        assert (
            client.post(url, {"day": "2027-02-17", "works": "0", "name": "春节"}).status_code == 302
        )
        assert "春节" in opened(client, url)
        client.post(url, {"day": "2027-02-17", "works": "0", "take_out": "1"})
        assert client.post(url, {"day": "soon", "works": "0"}).status_code == 422
        with inside(shop):
            assert not WorkdayException.objects.exists()
