"""The pages: days, a run, uploading and fetching, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.core.models import AuditEvent, Due
from apps.merchants.models import Membership, Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.connectors.wechatpay.connector import WechatpayGateway
from apps.platforms.gateway import (
    PlatformUnavailable,
    StatementEmpty,
    StatementFile,
    StatementNotReady,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.bills import wechat_fund
from apps.reconciliation.models import (
    AccountRule,
    Difference,
    DifferenceState,
    ReconciliationRun,
)
from apps.reconciliation.selectors import PAGE_SIZE, explain
from apps.reconciliation.selectors.equation import TERM_PAGE
from apps.reconciliation.tests.days import DAY, bill, match, paid, refunded
from apps.reconciliation.tests.test_matching import STRANGER
from apps.statements.models import Statement, StatementDay
from apps.statements.services import max_bytes
from apps.statements.tests.bills import row_of, row_of_refund, wechat_bill, wechat_gzip

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


def page(name: str, shop: Shop, *args: object) -> str:
    return reverse(name, args=[shop.slug, *args])


def upload(
    client: Client, shop: Shop, account: PlatformAccount, content: bytes, /, **changes: Any
) -> Any:
    data = {
        "account": account.pk,
        "day": DAY.isoformat(),
        "kind": "trade",
        "file": SimpleUploadedFile("bill.csv", content),
        **changes,
    }
    return client.post(page("statements:statement_upload", shop), data, follow=True)


def stored() -> tuple[int, int, int, int]:
    return (
        StatementDay.objects.count(),
        Statement.objects.count(),
        ReconciliationRun.objects.count(),
        Due.objects.count(),
    )


def some_day(shop: Shop, account: PlatformAccount) -> ReconciliationRun:
    """A day with a difference of nearly each type."""
    one, two, three = (paid(shop, account, minor) for minor in (10_000, 5000, 2500))
    paid(shop, account, 300)
    back = refunded(shop, one, 4000)
    rows = [
        row_of(one),
        row_of(one),
        row_of(two).but(minor=5001),
        row_of(three).but(fee=99),
        row_of_refund(back),
        row_of_refund(back).but(refund_no="X", platform_refund_no="Y"),
        STRANGER,
    ]
    bill(account, rows)
    return match(account)


# ---------------------------------------------------------------- the list
def test_a_day_without_a_bill_has_room_for_the_reason_and_both_buttons(
    shop: Shop, account: PlatformAccount
) -> None:
    """Stored by a worker that speaks Chinese, read in English."""
    with inside(shop):
        StatementDay.objects.create(
            account=account, kind="trade", day=DAY, state="waiting", attempts=1,
            detail="STATEMENT_CREATING|账单生成中",
        )  # fmt: skip
    text = client_of(shop).get(page("reconciliation:run_list", shop)).text
    assert "WeChat Pay is still preparing the bill." in text
    assert "账单生成中" not in text
    # The columns of figures, of which there are none, are the reason's.
    assert 'class="day-waits" colspan="5"' in text
    assert text.count('class="btn-words"') == 2


def test_the_list_is_empty_and_says_when_bills_come(shop: Shop) -> None:
    client = client_of(shop)
    assert "No platform is connected yet" in client.get(page("reconciliation:run_list", shop)).text
    with inside(shop):
        make_account(shop)
    text = client.get(page("reconciliation:run_list", shop)).text
    assert "10:00 China time" in text
    assert page("statements:statement_upload", shop) in text


def test_the_list_shows_each_days_state(
    shop: Shop, account: PlatformAccount, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with inside(shop):
        run = some_day(shop, account)
        for back, state in ((1, "failed"), (2, "waiting"), (3, "empty"), (40, "imported")):
            StatementDay.objects.create(
                account=account, kind="trade", day=DAY - timedelta(days=back), state=state,
                detail="Reason why" if state == "failed" else "", attempts=1,
            )  # fmt: skip
        failed = StatementDay.objects.get(state="failed")
        Due.objects.create(
            task="statements.fetch", merchant_id=shop.merchant.pk, subject_id=failed.pk,
            due_at=NOW + timedelta(minutes=20),
        )  # fmt: skip
    client = client_of(shop)
    client.get(page("reconciliation:run_list", shop))
    with django_assert_num_queries(18):
        response = client.get(page("reconciliation:run_list", shop))
    text = response.text
    assert [row.state for row in response.context["rows"]] == [
        "has_differences",
        "failed",
        "waiting",
        "empty",
    ]
    assert "Reason why" in text
    assert "in 20 minutes" in text
    assert "The portal no longer asks for it by itself." in text
    assert page("reconciliation:run_detail", shop, run.pk) in text
    assert response.context["older"].isoformat() == "2026-10-01"
    older = client.get(page("reconciliation:run_list", shop), {"month": "2026-10"})
    assert [row.state for row in older.context["rows"]] == ["imported"]
    opened = client.get(page("reconciliation:run_list", shop), {"show": "open"})
    assert len(opened.context["rows"]) == 1
    waiting = client.get(page("reconciliation:run_list", shop), {"show": "waiting"})
    assert [row.state for row in waiting.context["rows"]] == ["failed", "waiting"]


@pytest.mark.parametrize(
    "query", ["month=2026-13", "month=x", "account=abc", "account=999", "show=zz", "month=2099-01"]
)
def test_addresses_typed_by_hand_do_no_harm(
    shop: Shop, account: PlatformAccount, query: str
) -> None:
    with inside(shop):
        some_day(shop, account)
    assert (
        client_of(shop).get(f"{page('reconciliation:run_list', shop)}?{query}").status_code == 200
    )


def test_the_fragment_is_only_the_days(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        some_day(shop, account)
    response = client_of(shop).get(
        page("reconciliation:run_list", shop), headers={"HX-Request": "true"}
    )
    assert "<html" not in response.text
    assert 'id="days"' in response.text


# ---------------------------------------------------------------- a run
def test_a_run_explains_itself(
    shop: Shop, account: PlatformAccount, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with inside(shop):
        run = some_day(shop, account)
    client = client_of(shop)
    client.get(page("reconciliation:run_detail", shop, run.pk))
    with django_assert_num_queries(16):
        response = client.get(page("reconciliation:run_detail", shop, run.pk))
    text = response.text
    assert response.context["equation"]["rest"] == 0
    assert [total.type.value for total in response.context["sums"]] == [
        "missing_here", "missing_there", "amount", "fee", "duplicate", "unknown_refund",
    ]  # fmt: skip
    for words in (
        "Not in our books",
        "Twice in the bill",
        "POS1",
        "¥0.01",
        "The bill has a payment that the portal does not know.",
    ):
        assert words in text
    with inside(shop):
        order_id = Difference.objects.get(type="amount").payment.order_id
        statement = Statement.objects.get()
    assert reverse("reports:order_detail", args=[shop.slug, order_id]) in text
    assert statement.sha256 in text
    assert "龙井一杯" in text


def test_each_term_opens_to_its_rows(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        run = some_day(shop, account)
        equation = explain(run)
        assert equation is not None
        wanted = {term.name: term.amount_minor for term in equation.every}
    client = client_of(shop)
    text = client.get(page("reconciliation:run_detail", shop, run.pk)).text
    url = page("reconciliation:run_term", shop, run.pk)
    for name in ("bill", "sales", "refunds", "fees", "differences"):
        assert f"{url}?term={name}" in text
    for name, amount in wanted.items():
        response = client.get(url, {"term": name})
        assert response.status_code == 200
        assert sum(row["part"] for row in response.context["rows"]) == amount
    sales = client.get(url, {"term": "sales"}).text
    assert "Amount differs" in sales
    assert "Matched" in sales
    assert client.get(url, {"term": "nothing"}).status_code == 404
    with inside(shop):
        ReconciliationRun.objects.update(sales_minor=None)
    old = client.get(url, {"term": "sales"})
    assert old["Location"] == page("reconciliation:run_detail", shop, run.pk)
    assert "Match it again" in client.get(old["Location"]).text


def test_a_terms_rows_come_in_pages(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        payments = [paid(shop, account, 1000 + i) for i in range(TERM_PAGE + 3)]
        bill(account, [row_of(one) for one in payments[: TERM_PAGE - 2]])
        run = match(account)
    client = client_of(shop)
    url = page("reconciliation:run_term", shop, run.pk)
    parts: list[int] = []
    after = ""
    while True:
        context = client.get(url, {"term": "sales", "after": after}).context
        parts += [row["part"] for row in context["rows"]]
        after = context["page"].after
        if not after:
            break
    assert sorted(parts) == [1000 + i for i in range(TERM_PAGE + 3)]
    # Typed by hand: it begins anew.
    for wrong in ("x", "match-", "match-1e9", "line-3", "match-99999999999999999999"):
        context = client.get(url, {"term": "sales", "after": wrong}).context
        assert len(context["rows"]) == TERM_PAGE


def test_differences_by_type_state_and_age(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        run = some_day(shop, account)
        row = Difference.objects.get(type="missing_here")
        Difference.objects.filter(pk=row.pk).update(
            first_seen_at=NOW - timedelta(days=4), state="explained"
        )
    client = client_of(shop)
    url = page("reconciliation:run_detail", shop, run.pk)

    def shown(**query: str) -> list[str]:
        response = client.get(url, query)
        assert response.status_code == 200
        return [
            entry["row"].type for group in response.context["groups"] for entry in group["entries"]
        ]

    assert len(shown()) == 6
    assert shown(state="explained") == ["missing_here"]
    assert shown(age="3") == ["missing_here"]
    assert shown(age="7") == []
    assert shown(type="amount", state="open") == ["amount"]
    assert shown(type="amount", state="resolved") == []
    assert len(shown(type="zz", state="zz", age="zz")) == 6
    text = client.get(url, {"age": "3"}).text
    assert "First seen 4 days ago." in text
    assert "More than 3 days ago" in text
    # Somebody who notes something comes back to the same rows.
    response = client.post(
        page("reconciliation:difference_resolve", shop, row.pk),
        {"note": "x", "age": "3", "state": "explained"},
    )
    assert response["Location"] == f"{url}?state=explained&age=3#d-{row.pk}"


def test_many_rows_come_in_pages(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        rows = [
            STRANGER.but(order_no=f"POS{i}", trade_no=f"42{i}") for i in range(PAGE_SIZE * 2 + 5)
        ]
        bill(account, rows)
        run = match(account)
    client = client_of(shop)
    url = page("reconciliation:run_detail", shop, run.pk)
    first = client.get(url)
    assert len(first.context["groups"][0]["entries"]) == 20
    assert "85 more rows of this type" in first.text
    seen: list[int] = []
    query: dict[str, Any] = {"type": "missing_here"}
    while True:
        context = client.get(url, query).context
        seen += [entry["row"].pk for entry in context["groups"][0]["entries"]]
        if context["page"].older is None:
            break
        query["after"] = context["page"].older
    assert len(seen) == len(set(seen)) == 105
    back = client.get(url, {"type": "missing_here", "before": context["page"].newer}).context
    assert [entry["row"].pk for entry in back["groups"][0]["entries"]] == seen[50:100]


def test_a_replaced_run_points_to_the_one_that_counts(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        old = some_day(shop, account)
        new = match(account)
    text = client_of(shop).get(page("reconciliation:run_detail", shop, old.pk)).text
    assert page("reconciliation:run_detail", shop, new.pk) in text
    assert "Mark as resolved" not in text


def test_resolving_and_reopening(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        run = some_day(shop, account)
        row = Difference.objects.get(type="missing_here")
    client = client_of(shop)
    url = page("reconciliation:difference_resolve", shop, row.pk)
    assert client.post(url, {"note": " "}).status_code == 302
    with inside(shop):
        row.refresh_from_db()
        assert row.state == DifferenceState.OPEN
    response = client.post(url, {"note": "POS 机", "type": "missing_here"})
    assert (
        response["Location"]
        == f"{page('reconciliation:run_detail', shop, run.pk)}?type=missing_here#d-{row.pk}"
    )
    with inside(shop):
        row.refresh_from_db()
        said = row.resolution
        assert said is not None
        assert (row.state, said.reason, said.member) == ("resolved", "POS 机", shop["finance"])
        assert row.gap_minor == 700
    assert "POS 机" in client.get(page("reconciliation:run_detail", shop, run.pk)).text
    client.post(page("reconciliation:resolution_undo", shop, said.pk))
    with inside(shop):
        row.refresh_from_db()
        assert (row.state, row.resolution) == ("open", None)


def test_matching_again(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        some_day(shop, account)
        day = StatementDay.objects.get()
        bare = StatementDay.objects.create(
            account=account, kind="trade", day=DAY - timedelta(days=1)
        )
    client = client_of(shop)
    response = client.post(page("reconciliation:day_match", shop, day.pk), follow=True)
    assert "2 rows match, 6 differences." in response.text
    response = client.post(page("reconciliation:day_match", shop, bare.pk), follow=True)
    assert "There is no bill of wechatpay" in response.text
    with inside(shop):
        assert ReconciliationRun.objects.count() == 2


def test_the_file_comes_back_as_it_was(shop: Shop, account: PlatformAccount) -> None:
    content = wechat_gzip([STRANGER])
    upload(client_of(shop), shop, account, content)
    with inside(shop):
        statement = Statement.objects.get()
    response = client_of(shop, Role.AUDITOR).get(
        page("statements:statement_download", shop, statement.pk)
    )
    assert response.getvalue() == content
    assert response["Content-Disposition"] == 'attachment; filename="bill.csv"'
    assert response["Content-Type"] == "application/octet-stream"
    with inside(shop):
        assert AuditEvent.objects.get(action="statement.downloaded").actor == "auditor@tea.test"
        Statement.objects.update(file=None)
    gone = client_of(shop).get(
        page("statements:statement_download", shop, statement.pk), follow=True
    )
    assert "This file was deleted after its time." in gone.text


# ---------------------------------------------------------------- uploading
def test_an_upload_is_matched_at_once(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        content = wechat_bill([row_of(paid(shop, account)), STRANGER])
    response = upload(client_of(shop), shop, account, content)
    with inside(shop):
        run = ReconciliationRun.objects.get()
        assert response.redirect_chain[-1][0] == page("reconciliation:run_detail", shop, run.pk)
        assert Statement.objects.get().uploaded_by == shop["finance"]
        # The worker has nothing left to do.
        assert not Due.objects.filter(task="reconciliation.run").exists()
    assert "is imported: 2 rows, version 1." in response.text
    assert "1 row matches, 1 difference." in response.text


def test_the_same_file_again_says_so(shop: Shop, account: PlatformAccount) -> None:
    content = wechat_bill([STRANGER])
    upload(client_of(shop), shop, account, content)
    with inside(shop):
        before = stored()
    with time_machine.travel(NOW + timedelta(hours=1), tick=False):
        response = upload(client_of(shop), shop, account, content)
    assert "This very file is here already, as version 1" in response.text
    with inside(shop):
        assert stored() == before


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "truncated": ({"file": SimpleUploadedFile("b.gz", wechat_gzip([STRANGER])[:-20])}, "incomplete"),
    "other account": ({"file": SimpleUploadedFile("b.csv", wechat_bill([STRANGER], merchant_no="19"))}, "Line 2"),
    "other day": ({"day": "2026-11-22"}, "another day"),
    "today": ({"day": "2026-11-24"}, "before the day is over"),
    "no day": ({"day": "yesterday"}, "year-month-day"),
    "no account": ({"account": "99999"}, "no such account"),
    "empty": ({"file": SimpleUploadedFile("b.csv", b"")}, "The file is empty."),
    "no kind": ({"kind": "x"}, "Select a valid choice"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_is_explained_at_the_field(
    shop: Shop, account: PlatformAccount, name: str
) -> None:
    changes, words = BAD[name]
    for value in changes.values():
        if isinstance(value, SimpleUploadedFile):
            value.seek(0)
    response = upload(client_of(shop), shop, account, wechat_bill([STRANGER]), **changes)
    assert response.status_code == 422
    assert words in response.text
    assert 'aria-invalid="true"' in response.text
    with inside(shop):
        assert stored() == (0, 0, 0, 0)


def test_no_file(shop: Shop, account: PlatformAccount) -> None:
    data = {"account": account.pk, "day": DAY.isoformat(), "kind": "trade"}
    response = client_of(shop).post(page("statements:statement_upload", shop), data)
    assert response.status_code == 422
    assert "Choose the file." in response.text


def test_a_body_that_is_too_long_is_not_even_read(shop: Shop, account: PlatformAccount) -> None:
    response = client_of(shop).generic(
        "POST",
        page("statements:statement_upload", shop),
        b"",
        content_type="multipart/form-data; boundary=x",
        CONTENT_LENGTH=str(max_bytes() * 2),
    )
    assert response.status_code == 422
    assert "The file is larger than 64 MB." in response.text


def test_unknown_headings_lead_to_the_choice_of_columns(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        asked = make_account(shop, platform="shouqianba", merchant_no="1680001234567890")
    content = "甲,乙,丙,丁\n子,丑,寅,1\n".encode()
    text = upload(client_of(shop), shop, asked, content).text
    assert "The portal does not know the headings of this file." in text
    columns = reverse("statements:columns_edit", args=[shop.slug, asked.pk])
    assert f'<a href="{columns}">Choose the columns</a>' in text
    # Where a platform's bills have one form only, there is nothing to choose.
    text = upload(client_of(shop), shop, account, content).text
    assert "This file is not the bill" in text
    assert "Choose the columns" not in text


def test_an_upload_needs_its_token(shop: Shop, account: PlatformAccount) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(shop["finance"])
    response = upload(client, shop, account, wechat_bill([STRANGER]))
    assert response.status_code == 403
    with inside(shop):
        assert stored() == (0, 0, 0, 0)


def test_a_fund_bill_is_kept_and_not_matched(shop: Shop) -> None:
    with inside(shop):
        account = make_account(shop, merchant_no="1900000109")
    response = upload(client_of(shop), shop, account, wechat_fund(), day="2026-05-01", kind="fund")
    assert "The bill of 2026-05-01 is imported: 3 rows, version 1." in response.text
    with inside(shop):
        assert ReconciliationRun.objects.count() == 0


# ---------------------------------------------------------------- fetching
@pytest.mark.parametrize(
    ("answer", "words", "runs"),
    [
        (wechat_bill([STRANGER]), "The bill of 2026-11-23 is fetched.", 1),
        (StatementEmpty(), "there was nothing on 2026-11-23", 1),
        (StatementNotReady("生成中", code="STATEMENT_CREATING"), "is not ready yet", 0),
        (PlatformUnavailable("no", code="timeout"), "could not be fetched", 0),
        (wechat_bill([STRANGER], merchant_no="19"), "could not be fetched", 0),
    ],
)
def test_fetching_now_says_what_came_of_it(
    shop: Shop,
    account: PlatformAccount,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes | Exception,
    words: str,
    runs: int,
) -> None:
    def fetch(_self: object, **_day: object) -> StatementFile:
        if isinstance(answer, Exception):
            raise answer
        return StatementFile(filename="f.csv", content=answer)

    monkeypatch.setattr(WechatpayGateway, "fetch_statement", fetch)
    data = {"account": account.pk, "day": DAY.isoformat()}
    response = client_of(shop).post(page("statements:statement_fetch", shop), data, follow=True)
    assert response.status_code == 200
    assert words in response.text
    with inside(shop):
        assert ReconciliationRun.objects.count() == runs


def test_fetching_today_is_refused(shop: Shop, account: PlatformAccount) -> None:
    data = {"account": account.pk, "day": "2026-11-24"}
    response = client_of(shop).post(page("statements:statement_fetch", shop), data)
    assert response.status_code == 422
    assert "before the day is over" in response.text
    with inside(shop):
        assert stored() == (0, 0, 0, 0)


# ---------------------------------------------------------------- who may
def test_each_role(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        run = some_day(shop, account)
        row = Difference.objects.get(type="missing_here")
        statement, day = Statement.objects.get(), StatementDay.objects.get()
    seen = [
        page("reconciliation:run_list", shop),
        page("reconciliation:run_detail", shop, run.pk),
        page("statements:statement_download", shop, statement.pk),
    ]
    done = [
        page("statements:statement_upload", shop),
        page("statements:statement_fetch", shop),
        page("reconciliation:day_match", shop, day.pk),
        page("reconciliation:difference_resolve", shop, row.pk),
    ]
    for role in Role.values:
        client = client_of(shop, role)
        may_see = role != Role.CASHIER
        may_do = role in {Role.OWNER, Role.FINANCE}
        assert {client.get(url).status_code for url in seen} == {200 if may_see else 403}, role
        if not may_do:
            assert {client.post(url).status_code for url in done} == {403}, role
            if may_see:
                text = "".join(client.get(url).text for url in seen[:2])
                assert "Match again" not in text
                assert "Mark as resolved" not in text
    with inside(shop):
        assert ReconciliationRun.objects.count() == 1


def test_a_member_of_one_store_and_a_stranger(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        run = some_day(shop, account)
        statement = Statement.objects.get()
    urls = [
        page("reconciliation:run_list", shop),
        page("reconciliation:run_detail", shop, run.pk),
        page("statements:statement_upload", shop),
        page("statements:statement_download", shop, statement.pk),
    ]
    other = make_shop("bar")
    stranger = client_of(other, Role.OWNER)
    assert {stranger.get(url).status_code for url in urls} == {404}
    assert stranger.get(page("reconciliation:run_detail", other, run.pk)).status_code == 404
    assert (
        stranger.get(page("statements:statement_download", other, statement.pk)).status_code == 404
    )
    Membership.objects.filter(merchant=shop.merchant, user=shop["finance"]).update(
        store_ids=[shop.store.pk]
    )
    limited = client_of(shop)
    assert {limited.get(url).status_code for url in urls} == {403}


# ---------------------------------------------------------------- what matching may do
def test_matching_rules_of_an_account(shop: Shop, account: PlatformAccount) -> None:
    client = client_of(shop)
    url = page("reconciliation:account_rules", shop)
    text = client.get(url).text
    assert "Match by amount and time, minutes apart" in text
    given = {
        "account": account.pk,
        "fallback_minutes": 10,
        "fee_rounding": "down",
        "fee_tolerance_minor": 2,
    }
    assert client.post(url, given)["Location"] == url
    with inside(shop):
        rule = AccountRule.objects.get()
        assert (rule.fallback_minutes, rule.fee_rounding, rule.fee_tolerance_minor) == (
            10,
            "down",
            2,
        )
        assert AuditEvent.objects.get(action="matching.allowed").data["fallback_minutes"] == 10
    assert 'value="10"' in client.get(url).text
    for wrong in ({"fallback_minutes": 1441}, {"fee_tolerance_minor": -1}, {"fee_rounding": "x"}):
        assert client.post(url, given | wrong).status_code == 422
    assert client.post(url, given | {"account": 0}).status_code == 404
    assert client_of(shop, Role.AUDITOR).get(url).status_code == 403
