"""The pages of outside money: rules, what they would do, old bills; and how such payments are shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.core.models import AuditEvent, Due
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import MADE_UP, Payment
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import HistoryImport, OutsideRule, RuleScope
from apps.reconciliation.selectors import list_history
from apps.reconciliation.services import NoBillsToFetch, import_history
from apps.reconciliation.tests.checks import counts
from apps.reconciliation.tests.days import ACTOR, DAY, NOON, bill, match, paid
from apps.reconciliation.tests.outside import back, rule, sale
from apps.refunds.models import Refund
from apps.refunds.services import NotRefundable, request_refund, set_rule
from apps.statements.models import FetchState, StatementDay, StatementLine
from apps.statements.tests.bills import row_of

pytestmark = pytest.mark.django_db


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


@pytest.fixture
def client(shop: Shop) -> Client:
    return client_of(shop)


def client_of(shop: Shop, role: str = Role.FINANCE) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop[role])
    return client


def page(name: str, shop: Shop, *args: object) -> str:
    return reverse(name, args=[shop.slug, *args])


def worded(account: PlatformAccount, **changes: str) -> dict[str, str]:
    return {
        "account": str(account.pk),
        "scope": "account",
        "value": "",
        "books": "yes",
        "store": "",
        "valid_from": DAY.isoformat(),
        **changes,
    }


class TestRules:
    def test_without_rules(self, shop: Shop, account: PlatformAccount, client: Client) -> None:
        text = client.get(page("reconciliation:outside_rules", shop)).content.decode()
        assert "each row that the portal does not know becomes a difference" in text

    def test_rules_are_sentences(
        self, shop: Shop, account: PlatformAccount, client: Client
    ) -> None:
        with inside(shop):
            rule(account, store_id=shop.store.pk)
            rule(account, scope=RuleScope.TERMINAL, value="T1", books=False)
        text = client.get(page("reconciliation:outside_rules", shop)).content.decode()
        assert (
            "From 2026-11-23 on, all rows that the portal does not know are booked as outside money of First store."
            in text
        )
        assert (
            "From 2026-11-23 on, unknown rows of terminal T1 stay differences for a person to look at."
            in text
        )

    def test_a_rule_is_tried_before_it_is_saved(
        self, shop: Shop, account: PlatformAccount, client: Client
    ) -> None:
        with inside(shop):
            bill(account, [sale(1), sale(2, 500), back(sale(1), 1, 400), back(sale(9), 2, 300)])
            match(account)
        url = page("reconciliation:outside_rule_create", shop)
        response = client.post(url, {**worded(account), "try": "1"})
        assert response.status_code == 200
        text = response.content.decode()
        assert "book 2 sales of ¥105.00 and 1 refund of ¥4.00." in text
        assert "1 row of ¥3.00: the refunded payment is in no bill so far" in text
        with inside(shop):
            assert OutsideRule.objects.count() == Payment.objects.count() == 0
        response = client.post(url, {**worded(account), "save": "1"})
        assert response.status_code == 302
        with inside(shop):
            made = OutsideRule.objects.get()
            assert (made.scope, made.books, made.valid_from, made.created_by_id) == (
                "account",
                True,
                DAY,
                shop[Role.FINANCE].pk,
            )
            assert AuditEvent.objects.filter(action="outside.rule_made").count() == 1
            assert Due.objects.filter(task="reconciliation.run").count() == 1

    def test_wrong_words_are_refused_and_kept(
        self, shop: Shop, account: PlatformAccount, client: Client
    ) -> None:
        url = page("reconciliation:outside_rule_create", shop)
        response = client.post(url, {**worded(account, scope="terminal"), "save": "1"})
        assert response.status_code == 422
        assert "Write the number or name that the bill gives." in response.content.decode()
        with inside(shop):
            rule(account)
        response = client.post(url, {**worded(account), "save": "1"})
        assert response.status_code == 422
        assert "There is a rule about the same from that day on." in response.content.decode()
        with inside(shop):
            assert OutsideRule.objects.count() == 1

    @pytest.mark.parametrize("query", ["", "?account=0", "?account=x", "?line=0"])
    def test_nothing_of_nobody(self, shop: Shop, client: Client, query: str) -> None:
        url = page("reconciliation:outside_rule_create", shop)
        assert client.get(url + query).status_code == 404

    def test_a_strangers_account_or_row_is_404(self, shop: Shop, client: Client) -> None:
        other = make_shop("soup")
        with inside(other):
            account = make_account(other)
            statement = bill(account, [sale(1)])
            line = StatementLine.objects.get(statement=statement)
        url = page("reconciliation:outside_rule_create", shop)
        assert client.get(f"{url}?account={account.pk}").status_code == 404
        assert client.get(f"{url}?line={line.pk}").status_code == 404
        assert client.post(url, {**worded(account), "save": "1"}).status_code == 404

    def test_a_rule_for_this_names_the_terminal(
        self, shop: Shop, account: PlatformAccount, client: Client
    ) -> None:
        with inside(shop):
            statement = bill(account, [sale(1)])
            line = StatementLine.objects.get(statement=statement)
            line.raw["设备号"] = "`T7"
            line.save(update_fields=["raw"])
            run = match(account)
        text = client.get(page("reconciliation:run_detail", shop, run.pk)).content.decode()
        url = f"{page('reconciliation:outside_rule_create', shop)}?line={line.pk}"
        assert url in text
        form = client.get(url).content.decode()
        assert '<option value="terminal" selected>' in form
        assert 'value="T7"' in form

    def test_retiring_asks_first(
        self, shop: Shop, account: PlatformAccount, client: Client
    ) -> None:
        with inside(shop):
            made = rule(account)
        url = page("reconciliation:outside_rule_retire", shop, made.pk)
        assert "stays booked" in client.get(url).content.decode()
        assert client.post(url).status_code == 302
        assert client.post(url).status_code == 404
        with inside(shop):
            made.refresh_from_db()
            assert made.retired_at == NOW
            assert made.retired_by_id == shop[Role.FINANCE].pk

    def test_queries(
        self,
        shop: Shop,
        account: PlatformAccount,
        client: Client,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        with inside(shop):
            for number in range(30):
                rule(account, scope=RuleScope.TERMINAL, value=f"T{number}")
        client.get(page("reconciliation:outside_rules", shop))
        with django_assert_num_queries(9):
            client.get(page("reconciliation:outside_rules", shop))


class TestShown:
    @pytest.fixture
    def booked(self, shop: Shop, account: PlatformAccount) -> Payment:
        with inside(shop):
            rule(account)
            bill(account, [sale(1), row_of(paid(shop, account))])
            self.run = match(account)
            return Payment.objects.get(source="platform")

    def test_the_run_tells_how_many(self, shop: Shop, booked: Payment, client: Client) -> None:
        text = client.get(page("reconciliation:run_detail", shop, self.run.pk)).content.decode()
        assert "1 of them from outside the portal" in text

    def test_the_list_marks_and_filters(self, shop: Shop, booked: Payment, client: Client) -> None:
        url = page("reports:transaction_list", shop)
        text = client.get(url).content.decode()
        assert text.count("outside-mark") == 1
        assert "outside-mark" not in client.get(f"{url}?source=portal").content.decode()
        only = client.get(f"{url}?source=platform").content.decode()
        assert booked.order_no in only
        assert only.count("data-row-href") == 1

    def test_its_page_has_no_store_and_may_be_refunded(self, shop: Shop, booked: Payment) -> None:
        client = client_of(shop, Role.OWNER)
        text = client.get(page("reports:order_detail", shop, booked.order_id)).content.decode()
        assert "outside-mark" in text
        assert "No store" in text
        assert "the bill of 2026-11-23" in text
        assert page("reconciliation:run_detail", shop, self.run.pk) in text
        refund = page("refunds:refund_create", shop, booked.pk)
        assert refund in text
        assert 'name="amount"' in client.get(refund).content.decode()

    def test_a_number_that_the_portal_made_cannot_be_refunded(
        self, shop: Shop, booked: Payment
    ) -> None:
        with inside(shop):
            Payment.objects.filter(pk=booked.pk).update(order_no=f"{MADE_UP}1")
            with pytest.raises(NotRefundable, match="no_number"):
                request_refund(
                    payment_id=booked.pk,
                    amount=Money(100),
                    reason="x",
                    member=shop[Role.OWNER],
                    actor=ACTOR,
                    now=NOW,
                )
            assert Refund.objects.count() == 0
        client = client_of(shop, Role.OWNER)
        url = page("refunds:refund_create", shop, booked.pk)
        assert (
            url
            not in client.get(page("reports:order_detail", shop, booked.order_id)).content.decode()
        )
        text = client.get(url).content.decode()
        assert "the bill gives no number by which the portal could name it" in text
        assert 'name="amount"' not in text

    def test_pages_of_a_refund_made_outside(
        self, shop: Shop, account: PlatformAccount, booked: Payment
    ) -> None:
        with inside(shop):
            bill(account, [sale(1), back(sale(1), 1, 400)])
            match(account)
            refund = Refund.objects.get()
        client = client_of(shop, Role.OWNER)
        for url in (
            page("refunds:refund_detail", shop, refund.pk),
            page("refunds:refund_list", shop),
            page("reports:order_detail", shop, booked.order_id),
            page("refunds:refund_create", shop, booked.pk),
            page("reports:dashboard", shop),
        ):
            assert client.get(url).status_code == 200, url
        text = client.get(page("refunds:refund_detail", shop, refund.pk)).content.decode()
        assert "Refunded outside the portal" in text

    def test_a_refund_of_it_that_waits_for_confirmation(self, shop: Shop, booked: Payment) -> None:
        with inside(shop):
            set_rule(
                threshold=Money(0), confirmations=1, member=shop[Role.OWNER], actor=ACTOR, now=NOW
            )
            refund = request_refund(
                payment_id=booked.pk,
                amount=Money(100),
                reason="x",
                member=shop[Role.CASHIER],
                actor=ACTOR,
                now=NOW,
            )
            assert (refund.state, refund.store_id) == ("waiting", None)
            approval = refund.approval_id
        client = client_of(shop, Role.OWNER)
        for url in (
            page("refunds:refund_detail", shop, refund.pk),
            page("refunds:refund_cancel", shop, refund.pk),
            page("approvals:approval_detail", shop, approval),
            page("approvals:approval_list", shop),
        ):
            assert client.get(url).status_code == 200, url

    def test_without_a_store_it_is_closed_to_members_of_a_store(
        self, shop: Shop, booked: Payment
    ) -> None:
        with enter_scope(Scope(shop.merchant.pk, frozenset([shop.store.pk]))):
            assert Payment.objects.visible().filter(pk=booked.pk).count() == 0
            assert Payment.objects.visible().count() == 1


class TestHistory:
    def ask(self, account: PlatformAccount, *, days: int = 5) -> HistoryImport:
        return import_history(
            account_id=account.pk,
            since=DAY - timedelta(days=days),
            until=DAY - timedelta(days=1),
            store_id=None,
            member=None,
            actor=ACTOR,
            now=NOW,
        )

    def test_asks_for_each_day_the_oldest_first(self, shop: Shop, account: PlatformAccount) -> None:
        with inside(shop):
            self.ask(account)
            days = StatementDay.objects.order_by("day")
            assert [row.day for row in days] == [DAY - timedelta(days=n) for n in (5, 4, 3, 2, 1)]
            dues = Due.objects.filter(task="statements.fetch").order_by("due_at")
            assert [due.subject_id for due in dues] == [row.pk for row in days]
            made = OutsideRule.objects.get()
            assert (made.scope, made.valid_from) == ("account", DAY - timedelta(days=5))

    def test_again_asks_only_for_what_is_missing(
        self, shop: Shop, account: PlatformAccount
    ) -> None:
        with inside(shop):
            self.ask(account)
            Due.objects.all().delete()
            old = DAY - timedelta(days=3)
            bill(account, [sale(1, at=NOON - timedelta(days=3))], day=old)
            assert counts(match(account, day=old)) == {"matched": 1}
            self.ask(account)
            asked = Due.objects.filter(task="statements.fetch")
            assert asked.count() == 4
            assert OutsideRule.objects.count() == HistoryImport.objects.count() == 1
            assert Payment.objects.get().booked_date == old
            progress = list_history()[0]
            assert (progress.days, progress.imported, progress.matched, progress.outside_rows) == (
                5,
                1,
                1,
                1,
            )
            assert not progress.is_over

    def test_what_came_in_vain_is_told(self, shop: Shop, account: PlatformAccount) -> None:
        with inside(shop):
            self.ask(account, days=1)
            assert not list_history()[0].is_over
            Due.objects.all().delete()
            StatementDay.objects.update(state=FetchState.ABSENT, attempts=1)
            progress = list_history()[0]
            assert (progress.failed, progress.is_over) == (1, True)

    def test_a_platform_without_bills(self, shop: Shop) -> None:
        with inside(shop):
            account = make_account(shop, platform="shouqianba", merchant_no="1")
            with pytest.raises(NoBillsToFetch):
                self.ask(account)
            assert StatementDay.objects.count() == OutsideRule.objects.count() == 0

    def test_the_page(self, shop: Shop, account: PlatformAccount, client: Client) -> None:
        url = page("reconciliation:history_import", shop)
        asked = {
            "account": account.pk,
            "day": (DAY - timedelta(days=2)).isoformat(),
            "until": DAY.isoformat(),
            "store": "",
        }
        assert client.post(url, asked).status_code == 302
        text = client.get(url).content.decode()
        assert "0 / 3" in text
        assert 'hx-trigger="every 5s"' in text
        for wrong in (
            {"until": NOW.date().isoformat()},
            {"until": (DAY - timedelta(days=3)).isoformat()},
            {"day": "2020-01-01"},
        ):
            assert client.post(url, {**asked, **wrong}).status_code == 422
        with inside(shop):
            assert HistoryImport.objects.count() == 1
