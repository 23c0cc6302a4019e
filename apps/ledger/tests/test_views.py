"""The pages of the books."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from apps.core import clock
from apps.ledger.models import Account, Adjustment, AdjustmentRule, AdjustmentState, JournalEntry
from apps.ledger.tests.books import DAYS, Drawn, adjust, book
from apps.merchants.models import Membership, Role, Store
from apps.merchants.tests.factories import Shop, inside, make_shop, make_user
from apps.payments.tests.factories import make_account, make_paid

pytestmark = pytest.mark.django_db

WHOLE = {"period": "all"}


@pytest.fixture
def shop() -> Shop:
    return make_shop()


def url(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"ledger:{name}", args=[shop.slug, *args])


def text(response: Any) -> str:
    content: bytes = response.content
    return content.decode()


def receivable() -> Account:
    account: Account = Account.objects.get(purpose="receivable")
    return account


def filled(**changes: str) -> dict[str, str]:
    """A form that is right: debit adjustments ¥12.50, credit suspense, written as people do."""
    return {
        "key": "abcdefgh12345678",
        "reason": "rounding",
        "memo": " 尾差  十一月 ",
        "day": "2026-11-24",
        "lines-TOTAL_FORMS": "4",
        "lines-INITIAL_FORMS": "0",
        "lines-0-account": "adjustments.0",
        "lines-0-debit": "¥１,０12.50".replace("，", ","),
        "lines-1-account": "suspense.0",
        "lines-1-credit": "1012.5",
        **changes,
    }


class TestAccess:
    @pytest.mark.parametrize("role", Role.values)
    def test_each_role(self, client: Client, shop: Shop, role: str) -> None:
        with inside(shop):
            adjustment = adjust(shop)
        client.force_login(shop[role])
        reads = 200 if role in {Role.OWNER, Role.FINANCE, Role.AUDITOR} else 403
        writes = role in {Role.OWNER, Role.FINANCE}
        for name in ("trial_balance", "entry_list", "plan", "adjustment_list"):
            assert client.get(url(name, shop)).status_code == reads, name
        assert client.get(url("adjustment_detail", shop, adjustment.pk)).status_code == reads
        assert client.get(url("adjustment_create", shop)).status_code == (200 if writes else 403)
        assert client.post(url("plan", shop), {}).status_code == (422 if writes else 403)
        limit = client.post(url("limit_edit", shop), {"version": 0, "limit": "10"})
        assert limit.status_code == (302 if role == Role.OWNER else 403)
        withdrawn = client.post(url("adjustment_withdraw", shop, adjustment.pk))
        assert withdrawn.status_code == (302 if writes else 403)

    def test_a_member_of_some_stores_sees_no_books(self, client: Client, shop: Shop) -> None:
        with inside(shop):
            store = Store.objects.create(name="二号店")
        user = make_user("limited@tea.test")
        Membership.objects.create(
            merchant=shop.merchant, user=user, role=Role.FINANCE, store_ids=[store.pk]
        )
        client.force_login(user)
        assert client.get(url("trial_balance", shop)).status_code == 403


class TestBooks:
    def test_nothing_is_booked_yet(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["auditor"])
        for name in ("trial_balance", "entry_list", "adjustment_list"):
            page = client.get(url(name, shop))
            assert 'class="empty"' in text(page), name
        assert "1002" in text(client.get(url("plan", shop)))

    def test_the_trial_balance_and_its_account(self, client: Client, shop: Shop) -> None:
        with inside(shop):
            paid = make_paid(shop, make_account(shop), minor=10_000)
            account = receivable()
        client.force_login(shop["finance"])
        page = client.get(
            url("trial_balance", shop), {"period": "custom", "date_from": "2026-11-24"}
        )
        balance = page.context["balance"]
        assert (balance.debit, balance.credit, balance.closing) == (10_000, 10_000, 0)
        assert [row.account.purpose for row, _owner in page.context["rows"]] == [
            "receivable",
            "sales",
            "fees",
        ]
        assert "¥99.40" in text(page)
        # Called by the platform account that owes it.
        assert page.context["rows"][0][1].endswith("wechatpay")
        later = client.get(url("trial_balance", shop), {"date_from": "2026-11-25"})
        assert [row.opening for row, _owner in later.context["rows"]] == [9_940, -10_000, 60]
        page = client.get(url("account_detail", shop, account.pk), WHOLE)
        (row, kind, link) = page.context["rows"][0]
        assert (row.balance, link.text) == (9_940, paid.order_no)
        assert link.url == reverse("reports:order_detail", args=[shop.slug, paid.order_id])
        assert kind

    def test_an_entry_leads_to_what_it_is_about(self, client: Client, shop: Shop) -> None:
        with inside(shop):
            paid = make_paid(shop, make_account(shop), minor=10_000)
            entry = JournalEntry.objects.get()
        client.force_login(shop["auditor"])
        page = client.get(url("entry_detail", shop, entry.pk))
        assert reverse("reports:order_detail", args=[shop.slug, paid.order_id]) in text(page)
        assert client.get(url("entry_detail", shop, entry.pk + 1)).status_code == 404
        assert client.get(url("account_detail", shop, 10**9)).status_code == 404

    def test_what_people_wrote_is_escaped(self, client: Client, shop: Shop) -> None:
        with inside(shop):
            adjustment = adjust(shop, memo="<b>尾差</b>", confirm=False)
        client.force_login(shop["auditor"])
        for page in (
            client.get(url("entry_list", shop), WHOLE),
            client.get(url("entry_detail", shop, adjustment.entry_id)),
            client.get(url("adjustment_detail", shop, adjustment.pk)),
        ):
            assert escape("<b>尾差</b>") in text(page)
            assert "<b>尾差" not in text(page)

    @pytest.mark.parametrize(
        "asked",
        [
            {"date_from": "2026-11-24", "date_to": "2026-11-23"},
            {"date_from": "1980-01-01"},
            {"date_from": "yesterday"},
            {"period": "nonsense"},
        ],
    )
    def test_a_wrong_period_is_said(
        self, client: Client, shop: Shop, asked: dict[str, str]
    ) -> None:
        with inside(shop):
            adjust(shop, confirm=False)
            account = Account.objects.all()[0]
        client.force_login(shop["auditor"])
        for name, args in (
            ("trial_balance", ()),
            ("entry_list", ()),
            ("account_detail", (account.pk,)),
        ):
            page = client.get(url(name, shop, *args), asked)
            assert page.status_code == 400
            assert "error-summary" in text(page)
            part = client.get(url(name, shop, *args), asked, headers={"HX-Request": "true"})
            assert part.status_code == 422
            assert "<html" not in text(part)

    def test_a_place_in_the_list_that_is_none(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["auditor"])
        assert client.get(url("entry_list", shop), {"after": "x"}).status_code == 400

    @pytest.mark.parametrize("count", [3, 30])
    def test_pages_ask_the_same_however_many_rows(
        self,
        client: Client,
        shop: Shop,
        count: int,
    ) -> None:
        with inside(shop):
            account = make_account(shop)
            for number in range(count):
                make_paid(shop, account, minor=100 + number)
                adjust(shop, number + 1, confirm=False)
            accounts = [receivable()]
        client.force_login(shop["auditor"])
        client.get(url("trial_balance", shop))
        # Session, user, membership, what waits for the member, memberships, scope in and out, beside:
        asked = {}
        for name, args in [
            ("trial_balance", ()),  # sums, accounts, owners
            ("account_detail", (accounts[0].pk,)),  # account, sums, page, payments, owners
            ("entry_list", ()),  # entries, postings, payments, adjustments
            ("adjustment_list", ()),  # reason codes, adjustments
        ]:
            with CaptureQueriesContext(connection) as queries:
                client.get(url(name, shop, *args), WHOLE)
            asked[name] = len(queries)
        assert asked == {
            "trial_balance": 10,
            "account_detail": 13,
            "entry_list": 11,
            "adjustment_list": 9,
        }


class TestPlan:
    def form(self, client: Client, shop: Shop) -> dict[str, Any]:
        page = client.get(url("plan", shop))
        return {name: field.initial for name, field in page.context["form"].fields.items()}

    def test_codes_are_changed(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["finance"])
        data = self.form(client, shop) | {
            "code_sales_0": "５００１.01",
            "name_sales_0": " 茶\t叶 收入 ",
        }
        assert client.post(url("plan", shop), data).status_code == 302
        with inside(shop):
            account = Account.objects.get()
            assert (account.purpose, account.code, account.name) == (
                "sales",
                "5001.01",
                "茶 叶 收入",
            )
        page = client.get(url("plan", shop), {"default": "1"})
        assert page.context["form"].fields["code_sales_0"].initial == "6001"

    @pytest.mark.parametrize("code", ["", "6603", "a b", "=1", "1;2", "x" * 25, "科目"])
    def test_a_wrong_code_is_said_at_its_row(self, client: Client, shop: Shop, code: str) -> None:
        client.force_login(shop["owner"])
        data = self.form(client, shop) | {"code_sales_0": code}
        page = client.post(url("plan", shop), data)
        assert page.status_code == 422
        wrong = set(page.context["form"].errors)
        assert wrong == ({"code_fees_0"} if code == "6603" else {"code_sales_0"})
        with inside(shop):
            assert Account.objects.count() == 0

    def test_the_limit(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["owner"])
        assert (
            client.post(url("limit_edit", shop), {"version": 0, "limit": "-1"}).status_code == 422
        )
        client.post(url("limit_edit", shop), {"version": 0, "limit": "100"})
        stale = client.post(url("limit_edit", shop), {"version": 0, "limit": "999"})
        assert stale.status_code == 409
        with inside(shop):
            assert [rule.limit_minor for rule in AdjustmentRule.objects.all()] == [10_000]


class TestAdjusting:
    @pytest.fixture(autouse=True)
    def _today(self, monkeypatch: pytest.MonkeyPatch) -> None:

        monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 24, 6, 0, tzinfo=UTC))

    def test_it_is_asked_for_and_confirmed(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["finance"])
        answer = client.post(url("adjustment_create", shop), filled())
        assert answer.status_code == 302
        # Sent twice, made once.
        assert client.post(url("adjustment_create", shop), filled()).url == answer.url  # type: ignore[attr-defined]
        with inside(shop):
            adjustment = Adjustment.objects.get()
            assert (adjustment.memo, adjustment.amount_minor) == ("尾差 十一月", 101_250)
            assert adjustment.state == AdjustmentState.WAITING
        page = client.get(url("adjustment_detail", shop, adjustment.pk))
        assert page.context["approvers"] == [shop["owner"].display_name]
        assert not page.context["may_decide"]
        client.force_login(shop["owner"])
        page = client.get(url("adjustment_detail", shop, adjustment.pk))
        assert page.context["may_decide"]
        approval = reverse("approvals:approval_detail", args=[shop.slug, adjustment.approval_id])
        shown = client.get(approval)
        assert "¥1,012.50" in text(shown)
        assert "1901 待处理财产损溢" in text(shown)
        client.post(approval, {"decision": "approve", "digest": shown.context["digest"]})
        page = client.get(url("adjustment_detail", shop, adjustment.pk))
        assert page.context["posted"]
        assert page.context["may_reverse"]
        entry = page.context["adjustment"].entry_id
        shown = client.get(url("entry_detail", shop, entry))
        assert url("adjustment_detail", shop, adjustment.pk) in text(shown)
        # Undone by a new entry, which the other member confirms.
        answer = client.post(url("adjustment_reverse", shop, adjustment.pk), {"memo": "doch nicht"})
        with inside(shop):
            second = Adjustment.objects.get(reverses=adjustment)
        assert answer.url == url("adjustment_detail", shop, second.pk)  # type: ignore[attr-defined]
        assert not client.get(url("adjustment_detail", shop, adjustment.pk)).context["may_reverse"]

    @pytest.mark.parametrize(
        ("changes", "where"),
        [
            ({"lines-1-credit": "1012.51"}, None),
            ({"lines-1-credit": ""}, "lines-1-debit"),
            ({"lines-1-account": ""}, "lines-1-account"),
            ({"lines-1-account": "sales.99"}, "lines-1-account"),
            ({"lines-0-credit": "1"}, "lines-0-credit"),
            ({"lines-0-debit": "-5"}, "lines-0-debit"),
            ({"lines-0-debit": "5.555"}, "lines-0-debit"),
            ({"lines-0-debit": "1e3"}, "lines-0-debit"),
            ({"lines-0-debit": "0"}, "lines-0-debit"),
            ({"lines-0-debit": "99999999999"}, "lines-0-debit"),
            ({"lines-1-account": "", "lines-1-credit": ""}, None),
        ],
    )
    def test_what_is_wrong_is_said_by_line(
        self, client: Client, shop: Shop, changes: dict[str, str], where: str | None
    ) -> None:
        client.force_login(shop["finance"])
        page = client.post(url("adjustment_create", shop), filled(**changes))
        assert page.status_code == 422
        lines = page.context["lines"]
        wrong = [form[name].html_name for form in lines.forms for name in form.errors]
        assert wrong == ([where] if where else [])
        assert bool(lines.non_form_errors()) == (where is None)
        with inside(shop):
            assert Adjustment.objects.count() == 0

    @pytest.mark.parametrize(
        ("changes", "where"),
        [
            ({"memo": "  "}, "memo"),
            ({"reason": "nonsense"}, "reason"),
            ({"day": "2026-11-25"}, "day"),
            ({"day": "1999-01-01"}, "day"),
            ({"key": "x"}, "key"),
        ],
    )
    def test_what_is_wrong_above_the_lines(
        self, client: Client, shop: Shop, changes: dict[str, str], where: str
    ) -> None:
        client.force_login(shop["finance"])
        page = client.post(url("adjustment_create", shop), filled(**changes))
        assert page.status_code == 422
        assert list(page.context["form"].errors) == [where]

    def test_more_lines(self, client: Client, shop: Shop) -> None:
        client.force_login(shop["finance"])
        page = client.post(url("adjustment_create", shop), filled(more="1"))
        assert page.status_code == 200
        assert len(page.context["lines"].forms) == 8
        assert "1012.5" in text(page)
        broken = client.post(
            url("adjustment_create", shop), filled(**{"more": "1", "lines-TOTAL_FORMS": "9999999"})
        )
        assert len(broken.context["lines"].forms) == 8
        broken = client.post(url("adjustment_create", shop), filled(**{"lines-TOTAL_FORMS": "x"}))
        assert broken.status_code == 422

    def test_an_earlier_day_and_one_that_waits_is_withdrawn(
        self, client: Client, shop: Shop
    ) -> None:
        client.force_login(shop["finance"])
        client.post(url("adjustment_create", shop), filled(day="2026-11-20"))
        with inside(shop):
            adjustment = Adjustment.objects.get()
        page = client.get(url("adjustment_detail", shop, adjustment.pk))
        assert page.context["day"] == DAYS[0]
        assert client.get(url("adjustment_withdraw", shop, adjustment.pk)).status_code == 200
        client.post(url("adjustment_withdraw", shop, adjustment.pk))
        with inside(shop):
            assert Adjustment.objects.get().state == AdjustmentState.CANCELLED
        again = client.post(url("adjustment_withdraw", shop, adjustment.pk), follow=True)
        assert again.status_code == 200
        assert (
            client.post(url("adjustment_reverse", shop, adjustment.pk), {"memo": "x"}).status_code
            == 302
        )
        with inside(shop):
            assert Adjustment.objects.count() == 1


def test_numbers_that_nobody_knows_are_shown_bare(client: Client, shop: Shop) -> None:
    with inside(shop):
        book([Drawn(DAYS[0], ((0, 5), (3, -5)), "gone")])
    client.force_login(shop["auditor"])
    page = client.get(url("entry_list", shop), WHOLE)
    assert page.status_code == 200
    assert page.context["rows"][0][2] is None
