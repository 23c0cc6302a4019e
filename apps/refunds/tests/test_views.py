"""The pages of refunds and of their rule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.approvals.models import Approval, ApprovalState
from apps.core.audit import Actor
from apps.core.keyset import Page
from apps.core.models import Due
from apps.core.money import Money
from apps.merchants.models import Membership, Role, Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop, make_user
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid, make_payment
from apps.platforms.gateway import Outcome, RefundResult
from apps.refunds import services
from apps.refunds.models import Refund, RefundState
from apps.refunds.selectors import RefundFilters, page_refunds

pytestmark = pytest.mark.django_db

DESK = Actor("cashier@tea.test")
REQUESTERS = {Role.OWNER, Role.MANAGER, Role.FINANCE, Role.CASHIER}


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def payment(shop: Shop) -> Payment:
    with inside(shop):
        return make_paid(shop, make_account(shop), minor=50_000)


def url(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"refunds:{name}", args=[shop.slug, *args])


def ask(shop: Shop, payment: Payment, minor: int, **changes: Any) -> Refund:
    given: dict[str, Any] = {"reason": "茶凉了", "member": shop["cashier"], "now": NOW}
    with inside(shop):
        return services.request_refund(
            payment_id=payment.pk, amount=Money(minor), actor=DESK, **(given | changes)
        )


def limited(shop: Shop, role: str = Role.CASHIER) -> Membership:
    """A member who reaches another store only."""
    with inside(shop):
        other = Store.objects.create(name="二号店")
    user = make_user(f"limited-{role}@tea.test")
    return Membership.objects.create(
        merchant=shop.merchant, user=user, role=role, store_ids=[other.pk]
    )


def reserved(shop: Shop, payment: Payment) -> tuple[int, int]:
    """What the payment holds back, and how many refunds there are."""
    with inside(shop):
        payment.refresh_from_db()
        return payment.refund_reserved_minor, Refund.objects.count()


def confirm_page(client: Client, shop: Shop, payment: Payment, amount: str) -> HttpResponse:
    response = client.post(
        url("refund_create", shop, payment.pk), {"amount": amount, "reason": " 茶  凉了 "}
    )
    assert response.status_code == 200
    return response  # type: ignore[return-value]  # the test client's own class of response


def send(client: Client, shop: Shop, payment: Payment, amount: str) -> HttpResponse:
    page: Any = confirm_page(client, shop, payment, amount)
    data = {"asked": page.context["asked"]}
    return client.post(url("refund_create", shop, payment.pk), data)  # type: ignore[return-value]


class TestAccess:
    @pytest.mark.parametrize("role", Role.values)
    def test_each_role(self, client: Client, shop: Shop, payment: Payment, role: str) -> None:
        refund = ask(shop, payment, 30_000)
        client.force_login(shop[role])
        writes = 200 if role in REQUESTERS else 403
        assert client.get(url("refund_list", shop)).status_code == 200
        assert client.get(url("refund_detail", shop, refund.pk)).status_code == 200
        assert client.get(url("refund_create", shop, payment.pk)).status_code == writes
        assert client.get(url("refund_cancel", shop, refund.pk)).status_code == writes
        asked = client.post(url("refund_ask", shop, refund.pk)).status_code
        assert asked == (302 if role in REQUESTERS else 403)
        rule = client.get(url("rule_book", shop)).status_code
        assert rule == (403 if role == Role.CASHIER else 200)
        form = {"revision": 0, "otherwise": "one", "act": "otherwise"}
        saved = client.post(url("rule_draft", shop), form).status_code
        assert saved == (302 if role == Role.OWNER else 403)

    def test_a_stranger_finds_nothing(self, client: Client, shop: Shop, payment: Payment) -> None:
        refund = ask(shop, payment, 30_000)
        other = make_shop("bar")
        client.force_login(other["owner"])
        for name, args in [
            ("refund_list", ()),
            ("refund_create", (payment.pk,)),
            ("refund_detail", (refund.pk,)),
            ("refund_cancel", (refund.pk,)),
            ("rule_book", ()),
            ("rule_draft", ()),
        ]:
            assert client.get(url(name, shop, *args)).status_code == 404
        assert client.get(url("refund_detail", other, refund.pk)).status_code == 404
        assert client.get(url("refund_create", other, payment.pk)).status_code == 404
        assert client.post(url("refund_cancel", other, refund.pk)).status_code == 404
        assert reserved(shop, payment) == (30_000, 1)

    def test_another_store_is_closed(self, client: Client, shop: Shop, payment: Payment) -> None:
        refund = ask(shop, payment, 30_000)
        client.force_login(limited(shop).user)
        page = client.get(url("refund_list", shop))
        assert page.context["page"].rows == []
        assert not page.context["any_refunds"]
        for name in ("refund_detail", "refund_cancel"):
            assert client.get(url(name, shop, refund.pk)).status_code == 404
        assert client.post(url("refund_cancel", shop, refund.pk)).status_code == 404
        form = {"amount": "1", "reason": "x"}
        assert client.post(url("refund_create", shop, payment.pk), form).status_code == 404
        assert reserved(shop, payment) == (30_000, 1)


class TestList:
    def test_filters(self, client: Client, shop: Shop, payment: Payment) -> None:
        ready = ask(shop, payment, 100)
        waiting = ask(shop, payment, 30_000)
        client.force_login(shop["owner"])
        rows = {
            state: [
                row.pk for row in client.get(url("refund_list", shop), query).context["page"].rows
            ]
            for state, query in {
                "": {},
                "waiting": {"state": "waiting"},
                "under_way": {"state": "under_way"},
                "succeeded": {"state": "succeeded"},
                "nonsense": {"state": "nonsense", "store": "x"},
            }.items()
        }
        assert rows == {
            "": [waiting.pk, ready.pk],
            "waiting": [waiting.pk],
            "under_way": [ready.pk],
            "succeeded": [],
            "nonsense": [waiting.pk, ready.pk],
        }

    def test_pages_hold_every_refund_once(self, shop: Shop, payment: Payment) -> None:
        # Two were made at the same instant, one was written down later than its time.
        moments = [0, 1, 1, 2, 0, 3, 4]
        made = [ask(shop, payment, 100, now=NOW + timedelta(seconds=s)) for s in moments]
        order = [row.pk for row in sorted(made, key=lambda r: (r.created_at, r.pk), reverse=True)]
        with inside(shop):
            found, after = [], ""
            for _round in range(4):
                page = _page(after=after)
                found.append([row.pk for row in page.rows])
                after = page.older
                if not after:
                    break
            back = _page(before=_page(after=_page().older).newer)
        assert found == [order[:3], order[3:6], order[6:]]
        assert [row.pk for row in back.rows] == order[:3]
        assert back.newer == ""
        assert back.older

    @pytest.mark.parametrize("query", ["?after=x", "?before=1-", "?after=9999999999999999-1"])
    def test_a_tampered_page_link_is_refused(self, client: Client, shop: Shop, query: str) -> None:
        client.force_login(shop["owner"])
        assert client.get(url("refund_list", shop) + query).status_code == 400

    def test_number_of_queries_does_not_grow(
        self,
        client: Client,
        shop: Shop,
        payment: Payment,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        client.force_login(shop["owner"])
        counts = []
        for _round in range(2):
            for _refund in range(3):
                ask(shop, payment, 100)
            with django_assert_num_queries(10) as queries:
                client.get(url("refund_list", shop))
            counts.append(len(queries))
        assert counts[0] == counts[1]

    def test_htmx_gets_the_part(self, client: Client, shop: Shop, payment: Payment) -> None:
        ask(shop, payment, 100)
        client.force_login(shop["owner"])
        part = client.get(url("refund_list", shop), headers={"HX-Request": "true"}).content.decode()
        assert part.strip().startswith('<div id="refunds"')


def _page(**places: str) -> Page[Refund]:
    return page_refunds(RefundFilters(), size=3, **places)


class TestAsking:
    def test_the_form_offers_what_is_left(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        ask(shop, payment, 30_000)
        client.force_login(shop["cashier"])
        page = client.get(url("refund_create", shop, payment.pk))
        assert page.context["form"]["amount"].value() == "200.00"
        assert page.context["left"] == Money(20_000)
        # All refunds of a payment are weighed together.
        assert page.context["says"]["waits"]

    @pytest.mark.parametrize(
        ("amount", "waits"), [("200", False), ("200.01", True), ("0.01", False)]
    )
    def test_the_rule_is_said_while_typing(
        self, client: Client, shop: Shop, payment: Payment, amount: str, waits: bool
    ) -> None:
        client.force_login(shop["cashier"])
        address = url("refund_create", shop, payment.pk)
        part = client.get(address, {"amount": amount}, headers={"HX-Request": "true"})
        text = part.content.decode().strip()
        assert text.startswith('<div class="refund-says"')
        assert ("tone-wait" in text) is waits
        # Owner, manager and finance may confirm what the cashier asks for.
        for role in REQUESTERS - {Role.CASHIER}:
            assert (f"{role.value}@tea.test" in text) is waits

    @pytest.mark.parametrize(
        "amount", ["", "0", "0.00", "0.001", "-5", "1000000000000", "500.01", "abc", "1e2", "NaN"]
    )
    def test_wrong_amounts_stand_at_the_field(
        self, client: Client, shop: Shop, payment: Payment, amount: str
    ) -> None:
        client.force_login(shop["cashier"])
        form = {"amount": amount, "reason": "茶凉了"}
        response = client.post(url("refund_create", shop, payment.pk), form)
        assert response.status_code == 422
        assert list(response.context["form"].errors) == ["amount"]
        assert response.context["form"]["reason"].value() == "茶凉了"
        assert response.context["form"]["amount"].value() == amount
        assert reserved(shop, payment) == (0, 0)

    @pytest.mark.parametrize("reason", ["", "   ", "长" * 81])
    def test_a_reason_is_needed(
        self, client: Client, shop: Shop, payment: Payment, reason: str
    ) -> None:
        client.force_login(shop["cashier"])
        form = {"amount": "12.50", "reason": reason}
        response = client.post(url("refund_create", shop, payment.pk), form)
        assert response.status_code == 422
        assert list(response.context["form"].errors) == ["reason"]
        assert response.context["form"]["amount"].value() == "12.50"
        assert reserved(shop, payment) == (0, 0)

    def test_the_confirmation_repeats_and_moves_nothing(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        client.force_login(shop["cashier"])
        page = confirm_page(client, shop, payment, "300").content.decode()
        for text in ("¥300.00", "一号店", "茶 凉了", payment.order_no[:4]):
            assert text in page
        assert reserved(shop, payment) == (0, 0)

    def test_at_once(self, client: Client, shop: Shop, payment: Payment) -> None:
        client.force_login(shop["cashier"])
        response = send(client, shop, payment, "200")
        with inside(shop):
            refund = Refund.objects.get()
        assert response.headers["Location"] == url("refund_detail", shop, refund.pk)
        assert (refund.state, refund.amount_minor) == (RefundState.READY, 20_000)
        assert (refund.reason, refund.requested_by) == ("茶 凉了", shop["cashier"])
        assert Due.objects.filter(task="refunds.send", subject_id=refund.pk).count() == 1

    def test_under_four_eyes(self, client: Client, shop: Shop, payment: Payment) -> None:
        client.force_login(shop["cashier"])
        send(client, shop, payment, "200.01")
        with inside(shop):
            assert Refund.objects.get().state == RefundState.WAITING
            assert Approval.objects.get().state == ApprovalState.PENDING
        assert not Due.objects.filter(task="refunds.send").exists()
        assert Due.objects.filter(task="approvals.notify").count() == 1

    def test_sent_twice_is_one_refund(self, client: Client, shop: Shop, payment: Payment) -> None:
        client.force_login(shop["cashier"])
        page: Any = confirm_page(client, shop, payment, "300")
        data = {"asked": page.context["asked"]}
        places = {
            client.post(url("refund_create", shop, payment.pk), data).headers["Location"]
            for _round in range(3)
        }
        assert len(places) == 1
        assert reserved(shop, payment) == (30_000, 1)

    def test_all_of_it_sent_twice(self, client: Client, shop: Shop, payment: Payment) -> None:
        client.force_login(shop["cashier"])
        page: Any = confirm_page(client, shop, payment, "500")
        data = {"asked": page.context["asked"]}
        for _round in range(2):
            assert client.post(url("refund_create", shop, payment.pk), data).status_code == 302
        assert reserved(shop, payment) == (50_000, 1)

    def test_too_late_keeps_what_was_typed(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        client.force_login(shop["cashier"])
        page: Any = confirm_page(client, shop, payment, "300")
        ask(shop, payment, 25_000)
        data = {"asked": page.context["asked"]}
        response = client.post(url("refund_create", shop, payment.pk), data)
        assert response.status_code == 422
        assert list(response.context["form"].errors) == ["amount"]
        assert response.context["form"]["amount"].value() == "300.00"
        assert response.context["form"]["reason"].value() == "茶 凉了"
        assert reserved(shop, payment) == (25_000, 1)

    def test_a_changed_rule_is_shown_before_anything_happens(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        client.force_login(shop["cashier"])
        page: Any = confirm_page(client, shop, payment, "150")
        with inside(shop):
            services.set_rule(
                threshold=Money(0), confirmations=1, member=shop["owner"], actor=DESK, now=NOW
            )
        data = {"asked": page.context["asked"]}
        again = client.post(url("refund_create", shop, payment.pk), data)
        assert again.status_code == 200
        assert again.context["note"]
        assert again.context["says"]["waits"]
        assert reserved(shop, payment) == (0, 0)

    def test_change_goes_back_with_what_was_typed(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        client.force_login(shop["cashier"])
        page: Any = confirm_page(client, shop, payment, "150")
        data = {"asked": page.context["asked"], "change": "1"}
        form = client.post(url("refund_create", shop, payment.pk), data).context["form"]
        assert (form["amount"].value(), form["reason"].value()) == ("150.00", "茶 凉了")
        assert reserved(shop, payment) == (0, 0)

    def test_a_forged_or_borrowed_confirmation_does_nothing(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        client.force_login(shop["cashier"])
        page: Any = confirm_page(client, shop, payment, "150")
        asked = page.context["asked"]
        client.force_login(shop["owner"])
        for token in ("", "x", asked[:-1], asked):
            response = client.post(url("refund_create", shop, payment.pk), {"asked": token})
            assert response.status_code == 200
            assert response.context["note"]
        assert reserved(shop, payment) == (0, 0)

    def test_unpaid_payments_cannot_be_refunded(self, client: Client, shop: Shop) -> None:
        with inside(shop):
            payment = make_payment(shop, make_account(shop))
        client.force_login(shop["cashier"])
        page = client.get(url("refund_create", shop, payment.pk))
        assert not page.context["paid"]
        form = {"amount": "1", "reason": "x"}
        assert client.post(url("refund_create", shop, payment.pk), form).status_code == 422
        assert reserved(shop, payment) == (0, 0)


class TestDetail:
    def test_the_path_of_a_waiting_refund(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        refund = ask(shop, payment, 30_000)
        client.force_login(shop["finance"])
        page = client.get(url("refund_detail", shop, refund.pk))
        assert [step.mark for step in page.context["path"]] == [
            "done",
            "now",
            "ahead",
            "ahead",
            "ahead",
        ]
        assert page.context["may_decide"]
        client.force_login(shop["cashier"])
        page = client.get(url("refund_detail", shop, refund.pk))
        assert not page.context["may_decide"]
        assert len(page.context["approvers"]) == 3

    @pytest.mark.parametrize(
        ("outcome", "code", "marks"),
        [
            (Outcome.SUCCEEDED, "", ["done"] * 5),
            (Outcome.PENDING, "PROCESSING", ["done", "done", "done", "done", "now"]),
            (Outcome.PENDING, "ABNORMAL", ["done", "done", "done", "done", "stopped"]),
            (Outcome.UNKNOWN, "timeout", ["done", "done", "done", "now", "ahead"]),
            (Outcome.FAILED, "NOT_ENOUGH", ["done", "done", "done", "stopped"]),
        ],
    )
    def test_the_path_at_the_platform(
        self,
        client: Client,
        shop: Shop,
        payment: Payment,
        outcome: Outcome,
        code: str,
        marks: list[str],
    ) -> None:
        refund = ask(shop, payment, 10_000)
        with inside(shop):
            Refund.objects.filter(pk=refund.pk).update(sent_at=NOW)
            result = RefundResult(
                outcome=outcome,
                order_no=payment.order_no,
                refund_no=refund.refund_no,
                platform_refund_no="50",
                amount=Money(10_000),
                refunded_at=NOW,
                code=code,
            )
            services.apply_refund_result(
                refund_id=refund.pk, result=result, via="poll", now=NOW, actor=DESK
            )
        client.force_login(shop["owner"])
        page = client.get(url("refund_detail", shop, refund.pk))
        assert [step.mark for step in page.context["path"]] == marks
        assert bool(str(page.context["answer"])) is bool(code)

    def test_withdrawing_gives_the_amount_back(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        refund = ask(shop, payment, 30_000)
        client.force_login(shop["cashier"])
        assert client.get(url("refund_cancel", shop, refund.pk)).status_code == 200
        assert reserved(shop, payment) == (30_000, 1)
        for _round in range(2):
            response = client.post(url("refund_cancel", shop, refund.pk))
            assert response.headers["Location"] == url("refund_detail", shop, refund.pk)
            assert reserved(shop, payment) == (0, 1)
        page = client.get(url("refund_detail", shop, refund.pk))
        assert [step.mark for step in page.context["path"]] == ["done", "stopped"]
        with inside(shop):
            assert Approval.objects.get().state == ApprovalState.VOIDED

    def test_what_was_sent_cannot_be_withdrawn(
        self, client: Client, shop: Shop, payment: Payment
    ) -> None:
        refund = ask(shop, payment, 100)
        client.force_login(shop["cashier"])
        assert client.get(url("refund_cancel", shop, refund.pk)).status_code == 302
        assert client.post(url("refund_cancel", shop, refund.pk)).status_code == 302
        assert reserved(shop, payment) == (100, 1)
