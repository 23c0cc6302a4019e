"""The pages of differences: the list of what needs somebody, one difference with its acts, many at once, rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.core.money import Money
from apps.ledger.models import Adjustment
from apps.merchants.models import Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import AutoRule, BulkAct, Difference, Resolution, WriteOffLimit
from apps.reconciliation.selectors import PAGE_SIZE
from apps.reconciliation.services import assign_difference, set_write_off_limit
from apps.reconciliation.tests.acts import close_day, do, may_adjust
from apps.reconciliation.tests.days import ACTOR, DAY, bill, match, paid
from apps.reconciliation.tests.test_matching import STRANGER
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


def client_of(shop: Shop, role: str = Role.FINANCE) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop[role])
    return client


def url(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"reconciliation:{name}", args=[shop.slug, *args])


def stranger_row(shop: Shop, account: PlatformAccount) -> Difference:
    with inside(shop):
        bill(account, [STRANGER])
        match(account)
        row: Difference = Difference.objects.get(run__is_current=True)
        return row


# ---------------------------------------------------------------- the list
def test_the_list_asks_the_same_for_one_as_for_many(
    shop: Shop, account: PlatformAccount, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(shop)
    address = url("difference_list", shop)
    assert "Nothing needs you" in client.get(address).text
    for count in (1, PAGE_SIZE + 10):
        with inside(shop):
            bill(
                account,
                [STRANGER.but(order_no=f"P{each}", trade_no=f"4{each}") for each in range(count)],
            )
            match(account)
        with django_assert_num_queries(11):
            response = client.get(address)
        assert response.context["total"] == count
    first = client.get(address).context
    seen = [entry["row"].pk for entry in first["entries"]]
    older = first["page"].older
    rest = client.get(address, {"after": older}).context["entries"]
    seen += [entry["row"].pk for entry in rest]
    assert len(set(seen)) == PAGE_SIZE + 10
    assert seen == sorted(seen, reverse=True)
    back = client.get(address, {"before": rest[0]["row"].pk}).context["entries"]
    assert [entry["row"].pk for entry in back] == seen[:PAGE_SIZE]
    assert client.get(address, {"after": "x"}).status_code == 400


def test_the_list_is_narrowed(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        bill(account, [STRANGER])
        paid(shop, account)
        match(account)
        other = make_account(shop, merchant_no="1900000002")
        row = Difference.objects.get(type="missing_here")
        assign_difference(
            difference_id=row.pk,
            owner_id=shop["owner"].pk,
            member=shop["finance"],
            actor=ACTOR,
            now=NOW,
        )
    client = client_of(shop)

    def total(**query: str | int) -> int:
        context = client.get(url("difference_list", shop), query).context
        return int(context["total"])

    assert total() == 2
    assert total(type="missing_here") == 1
    assert total(owner=shop["owner"].pk) == 1
    assert total(owner=0) == 1
    assert total(account=account.pk) == 2
    assert total(account=other.pk) == 0
    assert total(age="1") == 0
    assert total(type="zz", owner="zz", account="zz", age="zz") == 2
    text = client.get(url("difference_list", shop), {"age": "1"}).text
    assert "No open difference passes these filters" in text
    fragment = client.get(url("difference_list", shop), headers={"hx-request": "true"}).text
    assert "<html" not in fragment
    assert "Not in our books" in fragment


# ---------------------------------------------------------------- one difference
def test_a_difference_says_what_will_happen_before_it_does(
    shop: Shop, account: PlatformAccount
) -> None:
    row = stranger_row(shop, account)
    client = client_of(shop)
    text = client.get(url("difference_detail", shop, row.pk)).text
    assert "A payment of ¥7.00 will be created and booked on 2026-11-23." in text
    assert "another member must confirm it first" in text
    assert "No limit for writing off is set yet." in text
    assert "POS1" in text
    act = url("difference_act", shop, row.pk)
    assert "A payment of ¥7.00 will be created" in client.get(act, {"kind": "accept"}).text
    with inside(shop):
        assert Payment.objects.count() == 0
    response = client.post(act, {"kind": "accept"}, follow=True)
    assert "Your books now say what the bill says." in response.text
    assert "How it was settled" in response.text
    with inside(shop):
        made = Resolution.objects.get()
        assert Payment.objects.count() == 1
    undo = url("resolution_undo", shop, made.pk)
    assert "its entry is undone by a new one on the same day" in client.get(undo).text
    assert "The difference is open again." in client.post(undo, follow=True).text
    text = client.get(url("difference_detail", shop, row.pk)).text
    assert "Undone: Accept the platform&#x27;s version" in text
    with inside(shop):
        assert Payment.objects.get().state == "closed"


def test_a_difference_page_asks_little(
    shop: Shop, account: PlatformAccount, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    row = stranger_row(shop, account)
    client = client_of(shop)
    with django_assert_num_queries(20):
        client.get(url("difference_detail", shop, row.pk))


def test_errors_stay_at_their_field(shop: Shop, account: PlatformAccount) -> None:
    row = stranger_row(shop, account)
    client = client_of(shop)
    act = url("difference_act", shop, row.pk)
    response = client.post(act, {"kind": "keep", "reason": " "})
    assert response.status_code == 422
    assert "Write why, so that it can be understood later." in response.text
    assert client.get(act, {"kind": "zz"}).status_code == 302
    assert client.get(act).status_code == 302
    comment = client.post(url("difference_comment", shop, row.pk), {"text": " "})
    assert comment.status_code == 422
    with inside(shop):
        assert Resolution.objects.count() == 0


def test_a_correction_from_the_page(shop: Shop, account: PlatformAccount) -> None:
    row = stranger_row(shop, account)
    with inside(shop):
        may_adjust()
    client = client_of(shop)
    act = url("difference_act", shop, row.pk)
    client.post(act, {"kind": "adjust", "reason": "补记", "purpose": "sales"})
    with inside(shop):
        adjustment = Adjustment.objects.get()
        sides = adjustment.lines.order_by("pk").values_list("account__purpose", "amount_minor")
        assert list(sides) == [("receivable", 696), ("sales", -696)]
    page = client.get(reverse("ledger:adjustment_detail", args=[shop.slug, adjustment.pk])).text
    assert url("difference_detail", shop, row.pk) in page


def test_a_row_is_linked_from_the_page(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        sold = paid(shop, account, 700)
    row_pk = stranger_row_with(shop, account)
    client = client_of(shop)
    act = url("difference_act", shop, row_pk)
    assert sold.order_no in client.get(act, {"kind": "link"}).text
    assert client.post(act, {"kind": "link", "target": "p999"}).status_code == 422
    client.post(act, {"kind": "link", "target": f"p{sold.pk}"})
    with inside(shop):
        assert Resolution.objects.get().payment_id == sold.pk


def stranger_row_with(shop: Shop, account: PlatformAccount) -> int:
    with inside(shop):
        bill(account, [STRANGER])
        match(account)
        return int(Difference.objects.get(type="missing_here").pk)


def test_thread_and_owner(shop: Shop, account: PlatformAccount) -> None:
    row = stranger_row(shop, account)
    client = client_of(shop)
    client.post(url("difference_comment", shop, row.pk), {"text": "<b>问过</b>"})
    client.post(url("difference_assign", shop, row.pk), {"assignee": shop["owner"].pk})
    text = client.get(url("difference_detail", shop, row.pk)).text
    assert "&lt;b&gt;问过&lt;/b&gt;" in text
    assert "with owner@tea.test" in text
    client.post(url("difference_assign", shop, row.pk), {"assignee": shop["cashier"].pk})
    with inside(shop):
        row.refresh_from_db()
        assert row.assigned_to == shop["owner"]
    client.post(url("difference_assign", shop, row.pk), {"assignee": ""})
    with inside(shop):
        row.refresh_from_db()
        assert row.assigned_to is None


def test_after_closing_the_page_says_why_not_and_what_to_do(
    shop: Shop, account: PlatformAccount
) -> None:
    row = stranger_row(shop, account)
    with inside(shop):
        made = do(shop, row, "keep")
        close_day(row)
    client = client_of(shop)
    text = client.get(url("difference_detail", shop, row.pk)).text
    assert "The business day 2026-11-23 is closed" in text
    assert url("resolution_undo", shop, made.pk) not in text
    response = client.post(url("resolution_undo", shop, made.pk), follow=True)
    assert "Book a correction into an open day instead" in response.text
    with inside(shop):
        made.refresh_from_db()
        assert made.state == "done"


def test_an_older_run_points_to_the_row_that_counts(shop: Shop, account: PlatformAccount) -> None:
    row = stranger_row(shop, account)
    with inside(shop):
        run = match(account)
        newer = Difference.objects.get(run=run)
    client = client_of(shop)
    text = client.get(url("difference_detail", shop, row.pk)).text
    assert url("difference_detail", shop, newer.pk) in text
    with inside(shop):
        do(shop, newer, "accept")
        gone = match(account)
    assert "this difference is gone" in client.get(url("difference_detail", shop, newer.pk)).text
    text = client.get(url("run_detail", shop, gone.pk)).text
    assert "Settled, and gone since" in text


# ---------------------------------------------------------------- who may
@pytest.mark.parametrize("role", [Role.AUDITOR, Role.MANAGER])
def test_those_who_only_look_change_nothing(
    shop: Shop, account: PlatformAccount, role: str
) -> None:
    row = stranger_row(shop, account)
    client = client_of(shop, role)
    text = client.get(url("difference_detail", shop, row.pk)).text
    assert "Your role may not do this." in text
    assert url("difference_act", shop, row.pk) not in text
    for name, args in (
        ("difference_act", [row.pk]),
        ("difference_comment", [row.pk]),
        ("difference_assign", [row.pk]),
        ("bulk_create", []),
        ("auto_rule_create", []),
        ("write_off_limit", []),
    ):
        posted = client.post(url(name, shop, *args), {"kind": "keep", "reason": "x"})
        assert posted.status_code == 403, name
    with inside(shop):
        assert Resolution.objects.count() == 0


def test_only_the_owner_makes_rules(shop: Shop, account: PlatformAccount) -> None:
    client = client_of(shop, Role.FINANCE)
    assert client.get(url("auto_rule_list", shop)).status_code == 200
    assert client.get(url("auto_rule_create", shop)).status_code == 403


# ---------------------------------------------------------------- many at once
def test_many_are_chosen_confirmed_and_told(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        sold = paid(shop, account)
        rows = [STRANGER.but(order_no=f"P{each}", trade_no=f"4{each}") for each in range(3)]
        bill(account, [*rows, row_of(sold).but(fee=61)])
        run = match(account)
        ids = list(Difference.objects.filter(type="missing_here").values_list("pk", flat=True))
    client = client_of(shop)
    address = url("bulk_create", shop)
    assert "Choose rows" in client.post(address, {"kind": "keep"}, follow=True).text
    page = client.post(address, {"kind": "keep", "row": ids[:2]})
    assert page.context["sums"].count == 2
    with inside(shop):
        assert (BulkAct.objects.count(), Resolution.objects.count()) == (0, 0)
    wrong = client.post(address, {"kind": "keep", "row": ids[:2], "sure": "1", "reason": ""})
    assert wrong.status_code == 422
    sure = {"kind": "keep", "row": ids[:2], "sure": "1", "reason": "POS 机"}
    done = client.post(address, sure, follow=True)
    assert "2 of 2 done." in done.text
    # Sent twice, the second finds nothing left to do and says so row by row.
    again = client.post(address, sure, follow=True)
    assert "0 of 2 done." in again.text
    assert "Somebody else settled this difference meanwhile." in again.text
    # All that one run's filter shows.
    every = {"kind": "keep", "all": "1", "run": run.pk, "type": "missing_here", "sure": "1"}
    assert "1 of 1 done." in client.post(address, {**every, "reason": "x"}, follow=True).text
    # All that the list's filter shows.
    every = {"kind": "keep", "all": "1", "type": "fee", "sure": "1", "reason": "x"}
    assert "1 of 1 done." in client.post(address, every, follow=True).text
    with inside(shop):
        assert set(Difference.objects.values_list("state")) == {("resolved",)}


# ---------------------------------------------------------------- rules
def test_a_rule_is_made_tried_and_switched_on(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        sold = paid(shop, account)
        bill(account, [row_of(sold).but(fee=61), STRANGER])
        match(account)
    client = client_of(shop, Role.OWNER)
    facts = {
        "type": "fee",
        "where": f"a-{account.pk}",
        "max_gap_minor": "0.01",
        "action": "keep",
        "reason": "进位",
        "effective_from": DAY.isoformat(),
    }
    wrong = client.post(
        url("auto_rule_create", shop),
        {**facts, "min_amount_minor": "5", "max_amount_minor": "1", "reason": ""},
    )
    assert wrong.status_code == 422
    assert "It is smaller than the amount from." in wrong.text
    page = client.post(url("auto_rule_create", shop), facts, follow=True)
    assert "it would have settled 1 of 2 differences, ¥0.01 in all." in page.text
    with inside(shop):
        rule = AutoRule.objects.get()
        assert (rule.is_on, rule.max_gap_minor, rule.account_id) == (False, 1, account.pk)
        match(account)
        assert Resolution.objects.count() == 0
    client.post(url("auto_rule_switch", shop, rule.pk), {"is_on": "1"})
    with inside(shop):
        run = match(account)
        assert Resolution.objects.get().rule == rule
    assert "by rule 1" in client.get(url("run_detail", shop, run.pk)).text
    listed = client.get(url("auto_rule_list", shop)).text
    assert "gap up to ¥0.01" in listed


def test_the_write_off_limit(shop: Shop, account: PlatformAccount) -> None:
    client = client_of(shop, Role.OWNER)
    address = url("write_off_limit", shop)
    assert client.post(address, {"limit": "20000"}).status_code == 422
    client.post(address, {"limit": "0.50"})
    with inside(shop):
        assert WriteOffLimit.objects.get().limit_minor == 50
        set_write_off_limit(limit=Money(700), member=shop["owner"], actor=ACTOR, now=NOW)
    row = stranger_row(shop, account)
    act = url("difference_act", shop, row.pk)
    text = client.post(act, {"kind": "write_off", "reason": "x"}, follow=True).text
    assert "Booked. It can be undone until the business day is closed." in text
    with inside(shop):
        assert Adjustment.objects.get().amount_minor == 696


def test_all_of_a_filter_are_given_to_somebody(shop: Shop, account: PlatformAccount) -> None:
    stranger_row(shop, account)
    client, address = client_of(shop), url("bulk_create", shop)
    every = {"all": "1", "kind": "assign", "owner": "0"}
    asked = client.post(address, every).text
    assert 'name="assignee"' in asked
    done = client.post(
        address, {**every, "sure": "1", "assignee": shop["owner"].pk}, follow=True
    ).text
    assert "1 of 1 done." in done
    with inside(shop):
        assert Difference.objects.get().assigned_to == shop["owner"]


def test_the_choice_of_many_asked_for_anew_leads_to_the_list(
    shop: Shop, account: PlatformAccount
) -> None:
    answer = client_of(shop).get(url("bulk_create", shop))
    assert (answer.status_code, answer["Location"]) == (302, url("difference_list", shop))


def test_a_correction_for_nothing_is_shown_with_the_way_to_undo_it(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        may_adjust()
        payment = paid(shop, account, 10_000)
        bill(account, [row_of(payment).but(minor=10_003)])
        match(account)
        made = do(shop, Difference.objects.get(), "accept")
        bill(account, [row_of(payment)])
        run = match(account)
        row = Difference.objects.get(run=run)
    client = client_of(shop)
    page = client.get(url("difference_detail", shop, row.pk))
    assert page.status_code == 200
    assert "Corrected, and gone since" in page.text
    assert "A correction was booked for a difference that is no longer there." in page.text
    assert payment.order_no in page.text
    assert url("resolution_undo", shop, made.pk) in page.text
    run_page = client.get(url("run_detail", shop, run.pk))
    assert "Corrected, and gone since" in run_page.text
    assert "-0.03" in run_page.text.replace("−", "-").replace("¥", "")
