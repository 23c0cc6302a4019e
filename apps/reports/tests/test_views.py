"""The pages: who sees them, what they say, how much they ask of the database."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import translation
from pytest_django import DjangoAssertNumQueries

from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.merchants.models import Membership, Store
from apps.merchants.tests.factories import NOW, inside, make_shop, make_user
from apps.payments.models import Order, Payment, PaymentState
from apps.payments.services import apply_payment_result
from apps.platforms.gateway import Outcome, PaymentResult
from apps.refunds.models import Refund, RefundState
from apps.reports import timeline
from apps.reports.tests.conftest import Books, signed_in

PAGES = ["", "transactions/", "transactions/sums/", "orders/{order}/"]
HTMX: dict[str, Any] = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture(autouse=True)
def at_noon() -> Any:
    """The pages ask the clock."""
    with time_machine.travel(NOW, tick=False):
        yield


def text_of(client: Client, url: str, query: dict[str, str] | None = None, **more: Any) -> str:
    """A page that is there."""
    answer = client.get(url, query or {}, **more)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


class TestWalls:
    def test_every_role_sees_what_it_may(self, books: Books) -> None:
        for role in ("owner", "manager", "finance", "cashier", "auditor"):
            client = signed_in(books, role)
            for page in PAGES:
                url = books.url(page.format(order=books.paid.order_id))
                # A cashier's first page is the desk.
                wanted = 302 if role == "cashier" and page == "" else 200
                assert client.get(url).status_code == wanted, (role, page)

    def test_a_stranger_finds_nothing(self, books: Books) -> None:
        client = Client()
        client.force_login(make_user("sam@stranger.test"))
        for page in [*PAGES, "exports/", "exports/transactions.csv", "exports/summary.csv"]:
            url = books.url(page.format(order=books.paid.order_id))
            assert client.get(url).status_code == 404, page

    def test_another_merchants_ids_are_not_there(self, books: Books) -> None:
        other = make_shop("other")
        client = Client()
        client.force_login(other["owner"])
        order, payment = books.unpaid.order_id, books.unpaid.pk
        for rest in (f"orders/{order}/", f"orders/{order}/close/"):
            assert client.get(f"/m/other/{rest}").status_code == 404
        assert client.post(f"/m/other/orders/{order}/close/").status_code == 404
        assert client.post(f"/m/other/orders/{order}/ask/{payment}/").status_code == 404

    def test_a_store_limited_member_sees_nothing_of_other_stores(
        self, books: Books, other_store: Store
    ) -> None:
        client = signed_in(books, "cashier")
        assert books.paid.order_no not in text_of(client, books.url("transactions/"))
        assert client.get(books.url(f"orders/{books.paid.order_id}/")).status_code == 404
        limited = Membership.objects.filter(user=books.shop["manager"])
        limited.update(store_ids=[other_store.pk])
        assert books.paid.order_no not in text_of(signed_in(books, "manager"), books.url())

    def test_an_auditor_changes_nothing(self, books: Books) -> None:
        client = signed_in(books, "auditor")
        order = books.unpaid.order_id
        assert client.post(books.url(f"orders/{order}/close/")).status_code == 403
        ask = books.url(f"orders/{order}/ask/{books.unpaid.pk}/")
        assert client.post(ask).status_code == 403
        with inside(books.shop):
            assert Order.objects.get(pk=order).state == "open"


class TestQueries:
    """Whatever the number of rows: sessions, user, membership, scope in and out, then the page's own."""

    @pytest.mark.parametrize(
        ("page", "query", "count"),
        [
            ("", {}, 20),
            ("transactions/", {}, 12),
            ("transactions/", {"q": "P2026"}, 15),
            ("transactions/sums/", {}, 12),
            ("orders/{order}/", {}, 12),
            ("exports/", {}, 12),
        ],
    )
    def test_counts(
        self,
        books: Books,
        page: str,
        query: dict[str, str],
        count: int,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        client = signed_in(books, "owner")
        url = books.url(page.format(order=books.paid.order_id))
        with django_assert_num_queries(count):
            assert client.get(url, query).status_code == 200


class TestTransactionList:
    def test_shows_rows_and_their_sums(self, books: Books) -> None:
        page = text_of(signed_in(books, "owner"), books.url("transactions/"), {"sum": "1"})
        for number in (books.paid.order_no, books.unpaid.order_no, books.refund.refund_no):
            assert number in page
        assert "−¥25.00" in page
        assert "¥117.50" in page

    def test_a_fragment_is_a_part_and_a_step_back_the_whole(self, books: Books) -> None:
        client, url = signed_in(books, "owner"), books.url("transactions/")
        assert "<html" in text_of(client, url)
        assert "<html" not in text_of(client, url, **HTMX)
        assert "<html" in text_of(client, url, HTTP_HX_HISTORY_RESTORE_REQUEST="true", **HTMX)

    def test_search_from_the_frame(self, books: Books) -> None:
        client = signed_in(books, "owner")
        page = text_of(client, books.url("transactions/"), {"q": books.paid.order_no[-6:]})
        assert books.paid.order_no in page
        assert books.second.order_no not in page

    @pytest.mark.parametrize(
        "query",
        [
            {"date_from": "2026-05-05", "date_to": "2026-05-01"},
            {"date_from": "1976-01-01", "date_to": "2026-01-01"},
            {"date_to": "9999-12-31"},
            {"date_from": "0001-01-01"},
            {"date_from": "soon"},
            {"amount_min": "12.345"},
            {"amount_min": "-1"},
            {"amount_max": "1e9"},
            {"amount_min": "9", "amount_max": "1"},
            {"q": "12"},
            {"q": "'; DROP TABLE"},
            {"q": "\x00\x001234"},
            {"period": "century"},
            {"state": "nonsense"},
            {"store": "99999999999999999999"},
            {"store": "x"},
            {"code": "-1"},
            {"terminal": "7"},
            {"platform": "paypal"},
        ],
    )
    def test_bad_addresses_are_explained(self, books: Books, query: dict[str, str]) -> None:
        client, url = signed_in(books, "owner"), books.url("transactions/")
        answer = client.get(url, query)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.content.decode()
        assert client.get(url, query, **HTMX).status_code == 422
        assert books.paid.order_no not in answer.content.decode()

    @pytest.mark.parametrize(
        "query",
        [
            {"after": "zz"},
            {"before": "1-"},
            {"after": "9999999999999999-9999999999999999999"},
        ],
    )
    def test_a_tampered_page_link_is_refused(self, books: Books, query: dict[str, str]) -> None:
        answer = signed_in(books, "owner").get(books.url("transactions/"), query)
        assert answer.status_code == 400
        assert books.paid.order_no not in answer.content.decode()

    def test_chips_pages_and_export_keep_the_view(self, books: Books) -> None:
        client = signed_in(books, "owner")
        page = text_of(
            client,
            books.url("transactions/"),
            {"platform": "wechatpay", "period": "30d", "store": ""},
        )
        assert "?period=30d" in page
        assert "?platform=wechatpay" in page
        assert f"{books.url('exports/')}?platform=wechatpay&amp;period=30d" in page
        with inside(books.shop):
            Payment.objects.filter(pk=books.unpaid.pk).update(state=PaymentState.CLOSED)
        for number in range(3):
            with inside(books.shop):
                Order.objects.filter(pk=books.paid.order_id).update(note=str(number))
        assert 'rel="next"' not in page

    def test_empty_lists_say_why(self, books: Books) -> None:
        client = signed_in(books, "owner")
        assert 'class="empty"' in text_of(client, books.url("transactions/"), {"state": "failed"})
        fresh = make_shop("fresh")
        client.force_login(fresh["owner"])
        page = text_of(client, "/m/fresh/transactions/")
        assert "/m/fresh/platforms/" in page


class TestDashboard:
    def test_says_what_came_in(self, books: Books) -> None:
        page = text_of(signed_in(books, "owner"), books.url())
        assert "¥112.50" in page
        assert "−¥25.00" in page
        assert "¥87.50" in page
        assert 'class="steps-list' not in page

    def test_a_new_merchant_is_led(self, books: Books) -> None:
        fresh = make_shop("fresh")
        client = Client()
        client.force_login(fresh["owner"])
        page = text_of(client, "/m/fresh/")
        assert 'class="steps-list' in page
        assert 'data-live-every="10"' in page
        english = text_of(client, "/m/fresh/", headers={"accept-language": "en"})
        assert "WeChat Pay, Alipay, UnionPay or Shouqianba." in english

    def test_says_what_waits(self, books: Books) -> None:
        with inside(books.shop):
            books.alipay.is_active = False
            books.alipay.save(update_fields=["is_active"])
            Refund.objects.filter(pk=books.refund.pk).update(
                state=RefundState.ABNORMAL, refunded_at=None, booked_date=None
            )
        page = text_of(signed_in(books, "owner"), books.url())
        assert page.count('class="need ') == 2
        # Who is limited to a store sees no platform's account.
        limited = Membership.objects.filter(user=books.shop["manager"])
        limited.update(store_ids=[books.shop.store.pk])
        manager = text_of(signed_in(books, "manager"), books.url())
        assert manager.count('class="need ') == 1

    def test_only_the_live_part_for_htmx(self, books: Books) -> None:
        assert "<html" not in text_of(signed_in(books, "owner"), books.url(), **HTMX)


class TestOrderDetail:
    def test_an_order_without_a_clear_answer_is_not_called_unpaid(self, books: Books) -> None:
        url = books.url(f"orders/{books.unpaid.order_id}/")

        def told() -> list[str]:
            """The states of the order and of its payment."""
            return re.findall(r'data-state="(\w+)"', text_of(signed_in(books, "owner"), url))[:2]

        assert told() == ["open", "created"]
        with inside(books.shop):
            Payment.objects.filter(pk=books.unpaid.pk).update(state=PaymentState.UNKNOWN)
        assert told() == ["unknown", "unknown"]

    def test_tells_the_whole_story(self, books: Books) -> None:
        page = text_of(signed_in(books, "owner"), books.url(f"orders/{books.paid.order_id}/"))
        for part in (books.paid.order_no, books.paid.platform_trade_no, books.refund.refund_no):
            assert f'data-copy="{part}"' in page
        assert page.count('class="tl-item"') == 5
        assert page.count("way-stop is-done") == 3
        assert "oPayer" not in page

    @pytest.mark.parametrize(
        ("code", "message", "words"),
        [
            # Stored by a worker as the platform said it; what it means is said in the reader's language.
            ("ORDERNOTEXIST", "订单不存在", "WeChat Pay does not know this order: nothing was charged."),
            ("NOBODY_KNOWS", "系统开小差", "The platform's own words: “系统开小差”"),
            ("", "no answer in time", "no answer in time"),
        ],
    )  # fmt: skip
    def test_what_the_platform_said_is_in_the_readers_language(
        self, books: Books, code: str, message: str, words: str
    ) -> None:
        with inside(books.shop), translation.override("zh-hans"):
            apply_payment_result(
                payment_id=books.unpaid.pk,
                result=PaymentResult(
                    outcome=Outcome.UNKNOWN,
                    order_no=books.unpaid.order_no,
                    code=code,
                    message=message,
                ),
                via="poll",
                now=NOW,
                actor=Actor.system("poll"),
            )
        client = signed_in(books, "owner")
        address = books.url(f"orders/{books.unpaid.order_id}/")
        answer = client.get(address, headers={"accept-language": "en"})
        (card,) = answer.context["cards"]
        assert card["said"] == words
        assert words in html.unescape(answer.text)

    def test_why_a_refund_ended_is_said_and_not_its_code(self, books: Books) -> None:
        with inside(books.shop):
            Refund.objects.update(state=RefundState.CANCELLED, message="expired")
        client = signed_in(books, "owner")
        address = books.url(f"orders/{books.paid.order_id}/")
        answer = client.get(address, headers={"accept-language": "en"})
        (card,) = answer.context["cards"]
        assert [row["said"] for row in card["refunds"]] == ["Nobody confirmed it in time."]

    def test_asks_the_platform_and_comes_back(self, books: Books) -> None:
        client, order = signed_in(books, "cashier"), books.paid.order_id
        # A paid one has nothing to ask; the account of the tests answers nobody.
        answer = client.post(books.url(f"orders/{order}/ask/{books.paid.pk}/"))
        assert answer.status_code == 302
        assert answer["Location"] == books.url(f"orders/{order}/")
        assert client.get(books.url(f"orders/{order}/ask/{books.paid.pk}/")).status_code == 405
        wrong = books.url(f"orders/{books.second.order_id}/ask/{books.paid.pk}/")
        assert client.post(wrong).status_code == 404

    def test_closing_is_confirmed_first(self, books: Books) -> None:
        client, order = signed_in(books, "cashier"), books.unpaid.order_id
        url = books.url(f"orders/{order}/close/")
        assert "¥7.00" in text_of(client, url)
        with inside(books.shop):
            assert not AuditEvent.objects.filter(action="order.given_up").exists()
        assert client.post(url).status_code == 302
        with inside(books.shop):
            event = AuditEvent.objects.get(action="order.given_up")
            assert (event.subject_id, event.actor_id) == (order, books.shop["cashier"].pk)
        assert Due.objects.filter(task="payments.expire_order", subject_id=order).count() == 1

    def test_a_paid_order_cannot_be_closed(self, books: Books) -> None:
        client, order = signed_in(books, "owner"), books.paid.order_id
        assert client.get(books.url(f"orders/{order}/close/")).status_code == 302
        client.post(books.url(f"orders/{order}/close/"))
        with inside(books.shop):
            assert Order.objects.get(pk=order).state == "paid"


class TestTimeline:
    def test_unknown_actions_are_shown_plainly(self, books: Books) -> None:
        with inside(books.shop):
            event = AuditEvent(
                at=NOW, action="moon.landed", actor=Actor.system("poll").label, data={"x": 1}
            )
        entry = timeline.entry_of(event)
        assert (entry.title, entry.tone) == ("moon.landed", "quiet")
        assert '"x": 1' in entry.raw

    def test_every_sentence_is_whole_without_data(self, books: Books) -> None:
        for action in timeline._SENTENCES:
            with inside(books.shop):
                event = AuditEvent(at=NOW, action=action, actor="payer", data={})
            assert "%" not in timeline.entry_of(event).title

    def test_a_refund_that_waits_and_one_that_was_refused(self, books: Books) -> None:
        with inside(books.shop):
            refund = Refund(state=RefundState.WAITING, created_at=NOW)
        assert [stop.state for stop in timeline.way_of(refund)] == ["done", "next", "next"]
        refund.state = RefundState.REJECTED
        assert [stop.state for stop in timeline.way_of(refund)] == ["done", "bad"]
        refund.state, refund.sent_at = RefundState.FAILED, NOW + timedelta(seconds=1)
        assert [stop.state for stop in timeline.way_of(refund)] == ["done", "done", "bad"]
        refund.state = RefundState.PROCESSING
        assert [stop.state for stop in timeline.way_of(refund)] == ["done", "done", "now"]
