"""The pages of bills: the list of every kind, and choosing the columns of console exports."""

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
from apps.merchants.models import Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.statements.models import ColumnMap, FetchState, StatementDay
from apps.statements.services import max_bytes
from apps.statements.tests.test_import import DAY
from apps.statements.tests.test_sweeping import EXPORT, MAPPING

pytestmark = pytest.mark.django_db

CONTENT = EXPORT.format(trade_no="7895236110164701", order_no="P1").encode()


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def wechat(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop, platform="shouqianba", merchant_no="1680001234567890")


def client_of(shop: Shop, role: str = Role.FINANCE) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop[role])
    return client


def page(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"statements:{name}", args=[shop.slug, *args])


def test_the_list_has_every_kind_and_says_when_and_why(
    shop: Shop,
    wechat: PlatformAccount,
    account: PlatformAccount,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with inside(shop):
        fund = StatementDay.objects.create(
            account=wechat, kind="fund", day=DAY, state=FetchState.ABSENT, attempts=3, last_tried_at=NOW,
            detail="文件不存在",
        )  # fmt: skip
        StatementDay.objects.create(account=wechat, kind="trade", day=DAY, state=FetchState.WAITING)
        swept = StatementDay.objects.create(
            account=account, kind="trade", day=DAY, state=FetchState.FAILED, attempts=1, last_tried_at=NOW,
            detail="1 of 9 could not be asked about.",
        )  # fmt: skip
        for day, task in ((fund, "statements.fetch"), (swept, "statements.sweep")):
            Due.objects.create(
                task=task, merchant_id=shop.merchant.pk, subject_id=day.pk, due_at=NOW + timedelta(minutes=20)
            )  # fmt: skip
    client = client_of(shop)
    client.get(page("statement_list", shop))
    with django_assert_num_queries(13):
        response = client.get(page("statement_list", shop))
    rows = response.context["bills"]
    assert [(row.expected.account_id, row.expected.kind, row.is_asked) for row in rows] == [
        (wechat.pk, "trade", False),
        (wechat.pk, "fund", False),
        (account.pk, "trade", True),
    ]
    text = response.text
    assert text.count("in 20 minutes") == 2
    assert "文件不存在" in text
    assert "No such bill yet" in text
    assert "movements of the balance, not matched" in text
    assert "made by asking about each payment" in text
    assert page("columns_edit", shop, account.pk) in text
    assert page("columns_edit", shop, wechat.pk) not in text
    one = client.get(page("statement_list", shop), {"account": account.pk})
    assert len(one.context["bills"]) == 1
    for query in ({"account": "x"}, {"account": "99999"}, {"month": "2026-99"}):
        assert len(client.get(page("statement_list", shop), query).context["bills"]) == 3
    assert client.get(page("statement_list", shop), {"month": "2026-10"}).context["bills"] == []


def send(client: Client, shop: Shop, account: PlatformAccount, content: bytes = CONTENT) -> Any:
    return client.post(
        page("columns_edit", shop, account.pk), {"file": SimpleUploadedFile("export.csv", content)}
    )


def choose(
    client: Client, shop: Shop, account: PlatformAccount, first: Any, /, **changes: str
) -> Any:
    data = {**first.context["form"].initial, "sample": first.context["sealed"], **changes}
    return client.post(page("columns_edit", shop, account.pk), data)


def test_columns_are_guessed_tried_and_kept(shop: Shop, account: PlatformAccount) -> None:
    client = client_of(shop)
    assert "No columns were chosen yet" in client.get(page("columns_edit", shop, account.pk)).text
    first = send(client, shop, account)
    assert first.status_code == 200
    assert first.context["form"].initial == {**MAPPING, "product": "支付方式"}
    tried = choose(client, shop, account, first)
    assert [line.order_no for line in tried.context["lines"]] == ["P1", ""]
    assert "¥100.00" in tried.text
    with inside(shop):
        assert not ColumnMap.objects.exists()
    kept = choose(client, shop, account, first, save="1", product="")
    assert kept.status_code == 302
    with inside(shop):
        chosen = ColumnMap.objects.get()
        assert (chosen.account_id, chosen.mapping, chosen.updated_by) == (
            account.pk,
            MAPPING,
            shop["finance"],
        )
        event = AuditEvent.objects.get(action="columns.changed")
        assert (event.subject_id, event.data["columns"]) == (account.pk, MAPPING)
    shown = client.get(page("columns_edit", shop, account.pk)).text
    assert "商户订单号" in shown
    # Chosen anew: there is one map an account, and the next file begins with it.
    again = send(client, shop, account)
    choose(client, shop, account, again, save="1", fee="")
    with inside(shop):
        assert "fee" not in ColumnMap.objects.get().mapping


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": ""}, "Choose the column that holds this."),
        ({"amount": "没有"}, "The file has no such column."),
        ({"amount": "支付方式", "product": ""}, "Line 2, column 支付方式"),
        ({"at": "商户订单号", "order_no": ""}, "Line 2, column 商户订单号"),
        ({"fee": "订单金额(元)"}, "chosen for something else already"),
        ({"order_no": "", "trade_no": ""}, "without one, no row can be matched"),
        ({"status": "支付方式", "product": ""}, "does not know this word"),
    ],
)
@pytest.mark.parametrize("button", ["try", "save"])
def test_columns_that_cannot_be_are_explained_and_not_kept(
    shop: Shop, account: PlatformAccount, changes: dict[str, str], words: str, button: str
) -> None:
    client = client_of(shop)
    response = choose(
        client, shop, account, send(client, shop, account), **{**changes, button: "1"}
    )
    assert response.status_code == 422
    assert words in response.text
    with inside(shop):
        assert not ColumnMap.objects.exists()


#: An export in which what was paid stands under a heading of its own, beside what is left after the fee.
NET = (
    "交易时间,收钱吧订单号,商户订单号,交易类型,消费(元),实收金额(元),手续费(元),状态\n"
    "2026-11-23 12:00:00,7895236110164701,P1,收款,100.00,99.62,0.38,成功\n"
    "2026-11-23 13:00:00,7895236110164799,,退款,-8.00,-7.97,-0.03,成功\n"
).encode()


def test_a_net_amount_is_neither_guessed_nor_kept_unseen(
    shop: Shop, account: PlatformAccount
) -> None:
    client = client_of(shop)
    first = send(client, shop, account, NET)
    assert "实收金额(元)" in first.context["sample"].headings
    assert "amount" not in first.context["form"].initial
    assert (
        "Choose the column that holds this." in choose(client, shop, account, first, save="1").text
    )
    # Chosen all the same: it is shown what that means, and kept only when somebody insists.
    for button in ("try", "save"):
        shown = choose(client, shop, account, first, amount="实收金额(元)", **{button: "1"})
        assert (shown.status_code, shown.context["gross"]) == (200, "消费(元)")
        assert (
            "“实收金额(元)” and the fee together make “消费(元)” in each of these rows."
            in shown.text
        )
        with inside(shop):
            assert not ColumnMap.objects.exists()
    right = choose(client, shop, account, first, amount="消费(元)", **{"try": "1"})
    assert right.context["gross"] == ""
    meant = choose(
        client, shop, account, first, amount="实收金额(元)", net="实收金额(元)", save="1"
    )
    assert meant.status_code == 302


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The file is empty."),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)), "This file is not the bill"),
        (b"1,2,3\n4,5,6\n", "This file is not the bill"),
        (b"PK\x03\x04 half", "incomplete"),
    ],
)
def test_a_file_without_headings_is_refused(
    shop: Shop, account: PlatformAccount, content: bytes, words: str
) -> None:
    response = send(client_of(shop), shop, account, content)
    assert response.status_code == 422
    assert words in response.text


def test_a_forged_or_old_sample_counts_for_nothing(shop: Shop, account: PlatformAccount) -> None:
    client = client_of(shop)
    first = send(client, shop, account)
    forged = choose(client, shop, account, first, save="1", sample=first.context["sealed"] + "x")
    assert forged.status_code == 422
    assert "Choose the file again" in forged.text
    with time_machine.travel(NOW + timedelta(hours=2), tick=False):
        assert choose(client, shop, account, first, save="1").status_code == 422
    with inside(shop):
        assert not ColumnMap.objects.exists()


def test_a_body_that_is_too_long_and_a_missing_token(shop: Shop, account: PlatformAccount) -> None:
    long = client_of(shop).generic(
        "POST", page("columns_edit", shop, account.pk), b"",
        content_type="multipart/form-data; boundary=x", CONTENT_LENGTH=str(max_bytes() * 2),
    )  # fmt: skip
    assert long.status_code == 422
    assert "The file is larger than 64 MB." in long.text
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(shop["finance"])
    assert send(strict, shop, account).status_code == 403


def test_platforms_with_bills_have_no_columns_and_roles_are_kept_apart(
    shop: Shop, wechat: PlatformAccount, account: PlatformAccount
) -> None:
    assert client_of(shop).get(page("columns_edit", shop, wechat.pk)).status_code == 404
    for role in Role.values:
        client = client_of(shop, role)
        seen = client.get(page("statement_list", shop)).status_code
        assert seen == (403 if role == Role.CASHIER else 200), role
        done = client.get(page("columns_edit", shop, account.pk)).status_code
        assert done == (200 if role in {Role.OWNER, Role.FINANCE} else 403), role
    other = make_shop("bar")
    assert client_of(other).get(page("columns_edit", other, account.pk)).status_code == 404
