"""The pages of refunds of many payments: who may, what is said, nothing done twice or unseen."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.models import Membership, Role, Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop, make_user
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.qrcodes.services import create_code
from apps.refunds import services
from apps.refunds.models import BatchState, Refund, RefundBatch, RefundBatchRow

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(client: Client) -> Shop:
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    return make_shop()


@pytest.fixture
def payments(shop: Shop) -> list[Payment]:
    with inside(shop):
        account = make_account(shop, platform="alipay")
        return [
            make_paid(shop, account, minor=minor, now=NOW - timedelta(minutes=9 - number))
            for number, minor in enumerate((1_000, 2_000, 3_000))
        ]


def url(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"refunds:{name}", args=[shop.slug, *args])


FORM = {"preview": "1", "amount_min": "0.01", "share_kind": "whole", "reason": "活动取消"}


def shown(client: Client, shop: Shop, **changes: str) -> Any:
    return client.get(url("batch_create", shop), {**FORM, **changes})


def confirm(client: Client, shop: Shop, **changes: str) -> Any:
    page = shown(client, shop, **changes)
    assert page.status_code == 200, page.context["form"].errors
    return client.post(url("batch_create", shop), {"asked": page.context["asked"]})


class TestAccess:
    @pytest.mark.parametrize("role", Role.values)
    def test_each_role(
        self, client: Client, shop: Shop, payments: list[Payment], role: str
    ) -> None:
        client.force_login(shop["owner"])
        confirm(client, shop)
        with inside(shop):
            batch = RefundBatch.objects.get()
        client.force_login(shop[role])
        may = role in {Role.OWNER, Role.MANAGER, Role.FINANCE}
        assert client.get(url("batch_list", shop)).status_code == 200
        # A cashier, who sees own takings only, sees no batch at all.
        seen = 404 if role == Role.CASHIER else 200
        assert client.get(url("batch_detail", shop, batch.pk)).status_code == seen
        assert client.get(url("batch_results", shop, batch.pk)).status_code == seen
        assert client.get(url("batch_create", shop)).status_code == (200 if may else 403)
        act = client.post(url("batch_act", shop, batch.pk), {"act": "pause"}).status_code
        assert act == (302 if may else 403)

    def test_another_store_is_closed(
        self, client: Client, shop: Shop, payments: list[Payment]
    ) -> None:
        with inside(shop):
            other = Store.objects.create(name="二号店")
        user = make_user("limited@tea.test")
        Membership.objects.create(
            merchant=shop.merchant, user=user, role=Role.MANAGER, store_ids=[other.pk]
        )
        client.force_login(shop["owner"])
        confirm(client, shop)
        with inside(shop):
            batch = RefundBatch.objects.get()
        client.force_login(user)
        for name in ("batch_detail", "batch_results", "batch_act"):
            assert client.get(url(name, shop, batch.pk)).status_code == 404
        assert client.get(url("batch_list", shop)).context["rows"] == []
        page = shown(client, shop)
        assert "No paid payment fits this choice." in page.content.decode()
        # The other merchant's page of the same number is not there either.
        stranger = make_shop("bar")
        client.force_login(stranger["owner"])
        assert client.get(url("batch_detail", stranger, batch.pk)).status_code == 404


class TestChoosing:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"reason": "  "}, "reason"),
            ({"share_kind": "percent"}, "percent"),
            ({"share_kind": "percent", "percent": "0"}, "percent"),
            ({"share_kind": "percent", "percent": "100.01"}, "percent"),
            ({"share_kind": "percent", "percent": "1.001"}, "percent"),
            ({"share_kind": "percent", "percent": "NaN"}, "percent"),
            ({"share_kind": "percent", "percent": "Infinity"}, "percent"),
            ({"share_kind": "fixed"}, "fixed"),
            ({"share_kind": "fixed", "fixed": "-3"}, "fixed"),
            ({"amount_min": "5", "amount_max": "4"}, "amount_max"),
            ({"date_from": "2026-11-25", "date_to": "2026-11-24"}, "date_to"),
            ({"date_from": "1900-01-01"}, "date_from"),
            ({"amount_min": ""}, "__all__"),
            ({"code": "999999"}, "code"),
        ],
    )
    def test_mistakes_stand_where_they_were_made(
        self, client: Client, shop: Shop, changes: dict[str, str], field: str
    ) -> None:
        client.force_login(shop["owner"])
        page = shown(client, shop, **changes)
        assert page.status_code == 422
        assert field in page.context["form"].errors

    def test_the_preview_says_it_all_and_does_nothing(
        self, client: Client, shop: Shop, payments: list[Payment]
    ) -> None:
        client.force_login(shop["owner"])
        with inside(shop):
            services.request_refund(
                payment_id=payments[0].pk,
                amount=Money(1_000),
                reason="x",
                member=shop["owner"],
                actor=Actor("t"),
                now=NOW,
            )
        text = shown(client, shop).content.decode()
        for words in (
            "2 payments are refunded",
            "¥50.00",
            "Without a confirmation",
            "1 payment",
            "All of it is refunded or already asked for.",
        ):
            assert words in text
        with inside(shop):
            assert Refund.objects.count() == 1
            assert RefundBatch.objects.count() == 0

    def test_an_event_of_a_code(self, client: Client, shop: Shop) -> None:
        with inside(shop):
            code = create_code(
                store_id=shop.store.pk, kind="event", name="音乐节", actor=Actor("t"), now=NOW
            )
        client.force_login(shop["owner"])
        link = f"{url('batch_create', shop)}?code={code.pk}"
        page = client.get(reverse("qrcodes:code_detail", args=[shop.slug, code.pk]))
        text = page.content.decode()
        assert link in text
        assert "Refund all of this event" in text
        form = client.get(link).context["form"]
        assert str(form["code"].value()) == str(code.pk)

    def test_a_view_of_the_transactions(
        self, client: Client, shop: Shop, payments: list[Payment]
    ) -> None:
        client.force_login(shop["owner"])
        address = reverse("reports:transaction_list", args=[shop.slug])
        narrowed = client.get(address, {"amount_min": "20", "platform": "alipay"})
        link = f"{url('batch_create', shop)}?platform=alipay&amp;amount_min=20.00"
        assert link in narrowed.content.decode()
        for other in ({}, {"q": "1234"}, {"kind": "refund"}, {"state": "failed"}):
            page = client.get(address, other).content.decode()
            assert url("batch_create", shop) not in page, other
        client.force_login(shop["cashier"])
        page = client.get(address, {"amount_min": "20"}).content.decode()
        assert url("batch_create", shop) not in page


class TestConfirming:
    def test_done_once_however_often_it_is_sent(
        self, client: Client, shop: Shop, payments: list[Payment]
    ) -> None:
        client.force_login(shop["owner"])
        asked = shown(client, shop).context["asked"]
        first = client.post(url("batch_create", shop), {"asked": asked})
        again = client.post(url("batch_create", shop), {"asked": asked})
        assert first.headers["Location"] == again.headers["Location"]
        with inside(shop):
            assert RefundBatch.objects.count() == 1
            assert RefundBatchRow.objects.count() == 3

    def test_what_changed_is_shown_before_anything_is_done(
        self, client: Client, shop: Shop, payments: list[Payment]
    ) -> None:
        client.force_login(shop["owner"])
        asked = shown(client, shop, share_kind="percent", percent="50").context["asked"]
        with inside(shop):
            make_paid(shop, payments[0].account, minor=700)
        page = client.post(url("batch_create", shop), {"asked": asked})
        text = page.content.decode()
        assert page.status_code == 409
        assert "What would happen has changed" in text
        assert "4 payments are refunded" in text
        # What was typed is still there, and the new page does it.
        assert page.context["form"]["percent"].value() == "50"
        done = client.post(url("batch_create", shop), {"asked": page.context["asked"]})
        assert done.status_code == 302

    def test_another_members_page_does_nothing(
        self, client: Client, shop: Shop, payments: list[Payment]
    ) -> None:
        client.force_login(shop["owner"])
        asked = shown(client, shop).context["asked"]
        client.force_login(shop["manager"])
        for token in (asked, "x", ""):
            client.post(url("batch_create", shop), {"asked": token})
        with inside(shop):
            assert RefundBatch.objects.count() == 0

    def test_waiting_says_who_may_confirm(
        self, client: Client, shop: Shop, payments: list[Payment]
    ) -> None:
        with inside(shop):
            make_paid(shop, payments[0].account, minor=90_000)
        client.force_login(shop["manager"])
        text = shown(client, shop).content.decode()
        assert "The whole list waits for 1 confirmation." in text
        assert "owner@tea.test" in text
        confirm(client, shop)
        with inside(shop):
            batch = RefundBatch.objects.get()
            approval = batch.approval
        assert batch.state == BatchState.WAITING
        client.force_login(shop["finance"])
        page = client.get(reverse("approvals:approval_detail", args=[shop.slug, approval.pk]))
        text = page.content.decode()
        assert "¥960.00" in text
        assert "4 payments" in text
        assert url("batch_detail", shop, batch.pk) in text


class TestFollowing:
    @pytest.fixture
    def batch(self, client: Client, shop: Shop, payments: list[Payment]) -> RefundBatch:
        client.force_login(shop["owner"])
        confirm(client, shop)
        with inside(shop):
            batch: RefundBatch = RefundBatch.objects.get()
            services.request_refund(
                payment_id=payments[0].pk,
                amount=Money(1),
                reason="x",
                member=shop["owner"],
                actor=Actor("t"),
                now=NOW,
            )
            services.run_batch(batch_id=batch.pk, now=NOW)
        return batch

    def test_each_row_and_why(self, client: Client, shop: Shop, batch: RefundBatch) -> None:
        text = client.get(url("batch_detail", shop, batch.pk)).content.decode()
        assert "Less than that is left of it to refund." in text
        assert 'hx-trigger="every 2s"' in text
        part = client.get(
            url("batch_detail", shop, batch.pk), headers={"HX-Request": "true"}
        ).content.decode()
        assert part.strip().startswith('<div id="batch"')
        failed = client.get(url("batch_detail", shop, batch.pk), {"what": "failed"})
        assert len(failed.context["rows"]) == 1
        with inside(shop):
            refund = Refund.objects.filter(amount_minor=2_000).get()
        detail = client.get(url("refund_detail", shop, refund.pk)).content.decode()
        assert url("batch_detail", shop, batch.pk) in detail

    def test_the_file(self, client: Client, shop: Shop, batch: RefundBatch) -> None:
        with inside(shop):
            Payment.objects.get(amount_minor=2_000).order.__class__.objects.filter(
                payments__amount_minor=2_000
            ).update(subject="=1+1")
        answer = client.get(url("batch_results", shop, batch.pk))
        text = answer.content.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) == 4
        assert rows[0][5:7] == ["Asked for (¥)", "Refunded (¥)"]
        assert [row[5] for row in rows[1:]] == ["10.00", "20.00", "30.00"]
        # Only what went back adds up.
        assert rows[1][6] == "0.00"
        assert rows[1][9] == "Less than that is left of it to refund."
        assert rows[2][1] == "'=1+1"

    def test_stopping_is_asked_first(self, client: Client, shop: Shop, batch: RefundBatch) -> None:
        with inside(shop):
            RefundBatch.objects.update(state=BatchState.RUNNING)
        assert (
            "Stop these refunds?" in client.get(url("batch_act", shop, batch.pk)).content.decode()
        )
        client.post(url("batch_act", shop, batch.pk), {"act": "cancel"})
        with inside(shop):
            assert RefundBatch.objects.get().state == BatchState.CANCELLED
        again = client.post(url("batch_act", shop, batch.pk), {"act": "resume"}, follow=True)
        assert "That is no longer possible" in again.content.decode()

    def test_costs_the_same_however_many_rows(
        self, client: Client, shop: Shop, batch: RefundBatch
    ) -> None:
        address = url("batch_detail", shop, batch.pk)
        client.get(address)
        with CaptureQueriesContext(connection) as few:
            client.get(address)
        with inside(shop):
            account = make_account(shop, platform="alipay", merchant_no="2")
            for number in range(20):
                payment = make_paid(shop, account, minor=5)
                RefundBatchRow.objects.create(
                    batch=batch,
                    payment=payment,
                    amount_minor=5,
                    refund_no=f"R{number}",
                    outcome="at_once",
                )
        with CaptureQueriesContext(connection) as many:
            client.get(address)
        assert len(few) == len(many)


def test_what_to_do_about_an_abnormal_refund(
    client: Client, shop: Shop, payments: list[Payment]
) -> None:
    with inside(shop):
        refund = services.request_refund(
            payment_id=payments[0].pk,
            amount=Money(1_000),
            reason="x",
            member=shop["owner"],
            actor=Actor("t"),
            now=NOW,
        )
        Refund.objects.update(state="abnormal", code_text="ABNORMAL", sent_at=NOW, accepted_at=NOW)
    client.force_login(shop["owner"])
    text = client.get(url("refund_detail", shop, refund.pk)).content.decode()
    for words in ("What to do", "another card", "merchant console", "Ask the platform now"):
        assert words in text


def test_a_queued_refund_says_when_it_is_sent_again(
    client: Client, shop: Shop, payments: list[Payment], monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.core import clock
    from apps.core.models import Due

    now = clock.now()
    with inside(shop):
        refund = services.request_refund(
            payment_id=payments[0].pk,
            amount=Money(1_000),
            reason="x",
            member=shop["owner"],
            actor=Actor("t"),
            now=NOW,
        )
        Refund.objects.update(state="queued", sent_at=NOW)
        Due.objects.filter(task="refunds.send").update(due_at=now + timedelta(minutes=7))
    client.force_login(shop["owner"])
    text = client.get(url("refund_detail", shop, refund.pk)).content.decode()
    at = (now + timedelta(minutes=7)).astimezone(clock.CHINA)
    assert "It is sent again by itself at" in text
    assert f"{at:%H:%M}" in text
