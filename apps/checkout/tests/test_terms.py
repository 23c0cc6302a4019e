"""The page behind a code goes by what the code says now: prices, notes, limits, hours, language, wallets, confirmation."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.checkout.models import CheckoutSettings
from apps.checkout.services import LimitReached, limits, open_order_once, room_of
from apps.checkout.tests.conftest import ACTOR, ALIPAY, DESK, WECHAT, Shop, browser
from apps.checkout.tests.conftest import say as said
from apps.core.clock import CHINA
from apps.core.doors import new_token
from apps.core.models import AuditEvent
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.models import Merchant
from apps.merchants.tests.factories import NOW as SHOP_NOW
from apps.merchants.tests.factories import Shop as PlainShop
from apps.merchants.tests.factories import make_shop
from apps.payments.models import Order, OrderState
from apps.platforms.tests.wechatpay_server import NOW
from apps.qrcodes.models import CodeVersion, QRCode
from apps.qrcodes.selectors import version_in_force
from apps.qrcodes.services import create_code, revise_code
from apps.qrcodes.terms import PriceChoice, terms_of

CUPS = (
    PriceChoice(name="小杯", name_en="Small cup", minor=1_200),
    PriceChoice(name="大杯", minor=1_850),
)


def say(shop: Shop, **terms: Any) -> None:
    """Let the shop's code say this from now on."""
    with enter_scope(shop.scope):
        said(shop.code, **terms)


def post(client: Client, shop: Shop, **fields: str) -> Any:
    return client.post(f"/q/{shop.code.token}", {"nonce": new_token(20), **fields})


def page_of(client: Client, shop: Shop) -> str:
    return client.get(f"/q/{shop.code.token}").content.decode()


class TestPrices:
    def test_a_list_is_chosen_from_and_nothing_else_is_paid(self, shop: Shop) -> None:
        say(shop, pricing="list", choices=CUPS)
        client = browser(DESK)
        page = page_of(client, shop)
        assert "Small cup" in page
        assert "大杯" in page
        assert 'name="amount"' not in page
        for fields in ({"amount": "1"}, {"choice": ""}, {"choice": "0-1"}, {"choice": "9-1200"}):
            assert post(client, shop, **fields).status_code == 422
        assert shop.orders() == []
        response = post(client, shop, choice="1-1850", amount="0.01", wallet="alipay")
        assert response.status_code == 303
        (order,) = shop.orders()
        assert order.amount_minor == 1_850

    def test_a_list_that_changed_meanwhile_is_shown_again(self, shop: Shop) -> None:
        say(shop, pricing="list", choices=CUPS)
        client = browser(DESK)
        say(shop, pricing="list", choices=(replace(CUPS[0], minor=1_300), CUPS[1]))
        response = post(client, shop, choice="0-1200")
        assert response.status_code == 422
        assert "price has just been changed" in response.content.decode()
        assert shop.orders() == []

    def test_a_price_changed_between_looking_and_paying_is_never_taken_silently(
        self, shop: Shop
    ) -> None:
        say(shop, pricing="fixed", amount_minor=900)
        client = browser(DESK)
        assert "¥9.00" in page_of(client, shop)
        say(shop, pricing="fixed", amount_minor=1_000)
        response = post(client, shop, shown="900")
        assert response.status_code == 422
        assert "¥10.00" in response.content.decode()
        assert post(client, shop, shown="1000", wallet="alipay").status_code == 303

    def test_the_limits_of_one_payment_are_told(self, shop: Shop) -> None:
        say(shop, least_minor=500, most_minor=20_000)
        client = browser(DESK)
        for amount, words in (("4.99", "at least ¥5.00"), ("200.01", "at most ¥200.00")):
            response = post(client, shop, amount=amount)
            assert response.status_code == 422
            assert words in response.content.decode()
        for amount in ("5", "200"):
            assert post(client, shop, amount=amount, wallet="alipay").status_code == 303


class TestNotes:
    def test_a_note_that_is_needed_is_asked_by_its_name(self, shop: Shop) -> None:
        say(shop, note_mode="required", note_label="订单号")
        client = browser(DESK)
        assert "订单号" in page_of(client, shop)
        response = post(client, shop, amount="5", note="  ")
        assert response.status_code == 422
        assert 'data-testid="note-error"' in response.content.decode()
        assert post(client, shop, amount="5", note="A-17", wallet="alipay").status_code == 303
        assert shop.orders()[0].note == "A-17"

    def test_where_none_is_asked_none_is_kept(self, shop: Shop) -> None:
        say(shop, note_mode="none")
        client = browser(DESK)
        assert 'name="note"' not in page_of(client, shop)
        post(client, shop, amount="5", note="smuggled", wallet="alipay")
        assert shop.orders()[0].note == ""

    @pytest.mark.parametrize("note", ["🍵 tea", "‮backwards", "<b>bold</b>", "x\ty\nz"])
    def test_strange_notes_are_kept_on_one_line_and_escaped(self, shop: Shop, note: str) -> None:
        client = browser(DESK)
        assert post(client, shop, amount="5", note=note, wallet="alipay").status_code == 303
        kept = shop.orders()[0].note
        assert kept.isprintable()
        page = client.get(f"/pay/{shop.orders()[0].token}").content.decode()
        assert "<b>bold" not in page


class TestWalletsAndLanguage:
    def test_only_the_codes_wallets_are_offered_also_on_the_orders_page(self, shop: Shop) -> None:
        say(shop, wallets=("alipay",))
        client = browser(DESK)
        page = page_of(client, shop)
        assert 'data-testid="pay-alipay"' in page
        assert 'data-testid="pay-wechatpay"' not in page
        post(client, shop, amount="5", wallet="wechatpay")
        (order,) = shop.orders()
        assert [one.platform for one in shop.payments()] == ["alipay"]
        client.post(f"/pay/{order.token}/start/wechatpay")
        assert [one.platform for one in shop.payments()] == ["alipay"]

    def test_inside_another_wallet_the_payer_reads_which_ones_pay(self, shop: Shop) -> None:
        say(shop, wallets=("alipay",))
        page = page_of(browser(WECHAT), shop)
        assert "does not take WeChat Pay" in page
        assert "Alipay" in page
        assert 'class="pay ' not in page

    def test_the_codes_language_holds_until_the_payer_chooses(self, shop: Shop) -> None:
        say(shop, language="en")
        client = Client(headers={"User-Agent": DESK, "Accept-Language": "zh-CN"})
        assert '<html lang="en">' in page_of(client, shop)
        post(client, shop, amount="5", wallet="alipay")
        order = shop.orders()[0]
        assert '<html lang="en">' in client.get(f"/pay/{order.token}").content.decode()
        client.post(reverse("set_language"), {"language": "zh-hans", "next": "/"})
        assert 'lang="zh-Hans"' in page_of(client, shop)


class TestCalmPages:
    def test_closed_hours_tell_when_it_opens(self, shop: Shop) -> None:
        # Open for one minute on Sundays alone: closed now.
        say(shop, hours=((), (), (), (), (), (), ((600, 601),)))
        response = browser(DESK).get(f"/q/{shop.code.token}")
        page = response.content.decode()
        assert response.status_code == 403
        assert 'data-state="hours"' in page
        assert "10:00" in page
        assert "Nothing was charged" in page
        assert post(browser(DESK), shop, amount="5").status_code == 403

    def test_a_days_limit_is_told_with_what_is_left_and_then_calmly(self, shop: Shop) -> None:
        say(shop, day_limit_minor=1_000)
        client = browser(DESK)
        assert post(client, shop, amount="6", wallet="alipay").status_code == 303
        response = post(client, shop, amount="5")
        assert response.status_code == 422
        assert "Only ¥4.00 more" in response.content.decode()
        assert post(client, shop, amount="4", wallet="alipay").status_code == 303
        calm = client.get(f"/q/{shop.code.token}")
        assert calm.status_code == 403
        assert 'data-state="limit_day"' in calm.content.decode()
        assert post(client, shop, amount="0.01").status_code == 403
        assert len(shop.orders()) == 2

    def test_a_codes_last_payment_ends_it(self, shop: Shop) -> None:
        say(shop, total_limit_count=1)
        client = browser(DESK)
        assert post(client, shop, amount="6", wallet="alipay").status_code == 303
        page = page_of(client, shop)
        assert 'data-state="limit_total"' in page


class TestConfirmation:
    def test_a_large_amount_is_looked_at_once_more(self, shop: Shop) -> None:
        client = browser(DESK)
        nonce = new_token(20)
        response = post(client, shop, amount="1000.01", wallet="alipay", nonce=nonce)
        page = response.content.decode()
        assert response.status_code == 200
        assert 'data-testid="confirm"' in page
        assert "¥1,000.01" in page
        assert "Morning Coffee" in page
        assert shop.orders() == []
        confirmed = re.findall(r'name="confirmed" value="([^"]+)"', page)[0]
        sent = {"amount": "1000.01", "wallet": "alipay", "nonce": nonce, "confirmed": confirmed}
        assert post(client, shop, **sent).status_code == 303
        assert [order.amount_minor for order in shop.orders()] == [100_001]

    def test_no_other_amount_form_or_code_can_be_put_under_a_confirmation(self, shop: Shop) -> None:
        client = browser(DESK)
        nonce = new_token(20)
        page = post(client, shop, amount="1000.01", nonce=nonce).content.decode()
        confirmed = re.findall(r'name="confirmed" value="([^"]+)"', page)[0]
        for fields in (
            {"amount": "2000", "nonce": nonce, "confirmed": confirmed},
            {"amount": "1000.01", "nonce": new_token(20), "confirmed": confirmed},
            {"amount": "1000.01", "nonce": nonce, "confirmed": confirmed[:-1]},
            {"amount": "1000.01", "nonce": nonce, "confirmed": "1"},
        ):
            assert post(client, shop, **fields).status_code == 200
        assert shop.orders() == []

    @pytest.mark.parametrize(
        ("over", "amount", "asked"),
        [(None, "50000", False), (0, "0.01", True), (500, "5", False), (500, "5.01", True)],
    )
    def test_the_merchant_decides_from_where_on(
        self, shop: Shop, over: int | None, amount: str, asked: bool
    ) -> None:
        with enter_scope(shop.scope):
            CheckoutSettings.objects.create(confirm_over_minor=over, changed_at=NOW)
        response = post(browser(DESK), shop, amount=amount, wallet="alipay")
        assert response.status_code == (200 if asked else 303)

    def test_inside_a_wallet_the_button_has_its_colour(self, shop: Shop) -> None:
        page = post(browser(ALIPAY), shop, amount="1000.01").content.decode()
        assert 'class="pay pay-alipay"' in page


# ---------------------------------------------------------------- limits
@pytest.fixture
def plain(db: None) -> tuple[PlainShop, QRCode]:
    """A shop with one code, without platforms."""
    shop = make_shop()
    with enter_scope(shop.scope):
        code = create_code(
            store_id=shop.store.pk, kind="counter", name="柜台", actor=ACTOR, now=SHOP_NOW
        )
    return shop, code


ORDERS = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.sampled_from([OrderState.OPEN, OrderState.PAID, OrderState.CLOSED]),
        # Hours ago, and hours until it expires.
        st.integers(0, 60),
        st.integers(-2, 2),
    ),
    max_size=12,
)
LIMIT = st.one_of(st.none(), st.integers(1, 1_000))
COUNT = st.one_of(st.none(), st.integers(1, 8))


def test_what_is_left_is_what_a_slow_count_leaves(plain: tuple[PlainShop, QRCode]) -> None:
    shop, code = plain

    @given(orders=ORDERS, day=LIMIT, total=LIMIT, day_count=COUNT, count=COUNT)
    @settings(max_examples=80, deadline=None)
    def holds(
        orders: list[tuple[int, str, int, int]],
        day: int | None,
        total: int | None,
        day_count: int | None,
        count: int | None,
    ) -> None:
        with enter_scope(shop.scope):
            Order.objects.all().delete()
            for minor, state, ago, ends in orders:
                Order.objects.create(
                    store=shop.store,
                    code=code,
                    token=new_token(16),
                    amount_minor=minor,
                    subject="x",
                    state=state,
                    created_at=SHOP_NOW - timedelta(hours=ago),
                    expires_at=SHOP_NOW + timedelta(hours=ends, seconds=1),
                )
            version = CodeVersion(
                code=code,
                day_limit_minor=day,
                day_limit_count=day_count,
                total_limit_minor=total,
                total_limit_count=count,
            )
            room = room_of(version, merchant=shop.merchant, now=SHOP_NOW)
        midnight = SHOP_NOW.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
        left: list[int] = []
        lives = [
            (minor, SHOP_NOW - timedelta(hours=ago) >= midnight)
            for minor, state, ago, ends in orders
            if state == OrderState.PAID or (state == OrderState.OPEN and ends >= 0)
        ]
        today = [minor for minor, is_today in lives if is_today]
        for most, sums in ((day, today), (total, [minor for minor, _today in lives])):
            if most is not None:
                left.append(max(0, most - sum(sums)))
        if day_count is not None and len(today) >= day_count:
            left.append(0)
        if count is not None and len(lives) >= count:
            left.append(0)
        assert (room.left.minor if room.left is not None else None) == (min(left) if left else None)

    holds()


def _at_once(shop: PlainShop, version: CodeVersion) -> int:
    """Eight payers press the button at the same moment, each with a third of the day's limit; how many got an order."""
    start = threading.Barrier(8)
    done: list[int] = []

    def order() -> None:
        try:
            with enter_scope(shop.scope):
                merchant = Merchant.objects.get(pk=shop.merchant.pk)
                start.wait()
                open_order_once(
                    version=version,
                    merchant=merchant,
                    amount=Money(400),
                    subject="x",
                    note="",
                    nonce=new_token(20),
                    client_ip="",
                    now=SHOP_NOW,
                    actor=ACTOR,
                )
            done.append(1)
        except LimitReached:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=order) for _one in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


def _limited(shop: PlainShop) -> CodeVersion:
    with enter_scope(shop.scope):
        code = create_code(
            store_id=shop.store.pk, kind="counter", name="柜台", actor=ACTOR, now=SHOP_NOW
        )
        version = version_in_force(code_id=code.pk, now=SHOP_NOW)
        return revise_code(
            code_id=code.pk,
            terms=replace(terms_of(version), day_limit_minor=1_200),
            expected=1,
            actor=ACTOR,
            now=SHOP_NOW,
        )


@pytest.mark.django_db(transaction=True)
def test_payers_at_once_do_not_pass_a_limit_together() -> None:
    shop = make_shop()
    assert _at_once(shop, _limited(shop)) == 3


@pytest.mark.django_db(transaction=True)
def test_without_the_codes_lock_they_would(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop()
    version = _limited(shop)
    everybody_has_counted = threading.Barrier(8)
    count = limits.room_of

    def counted_together(*args: Any, **kwargs: Any) -> Any:
        room = count(*args, **kwargs)
        everybody_has_counted.wait()
        return room

    monkeypatch.setattr(limits, "_hold", lambda code_id: None)
    monkeypatch.setattr(limits, "room_of", counted_together)
    assert _at_once(shop, version) == 8


class TestSettings:
    def test_the_owner_decides_and_it_is_noted(self, client: Client, plain: Any) -> None:
        shop, _code = plain
        address = f"/m/{shop.merchant.slug}/settings/checkout/"
        client.force_login(shop.members["owner"])
        for fields, over in (
            ({"confirms": "over", "confirm_over": "500"}, 50_000),
            ({"confirms": "over", "confirm_over": "0"}, 0),
            ({"confirms": "never", "confirm_over": "what"}, None),
        ):
            assert client.post(address, fields).status_code == 302
            with enter_scope(shop.scope):
                assert CheckoutSettings.objects.get().confirm_over_minor == over
        with enter_scope(shop.scope):
            assert AuditEvent.objects.filter(action="checkout.changed").count() == 3

    @pytest.mark.parametrize("amount", ["", "-1", "x", "100000000.01"])
    def test_mistakes_change_nothing(self, client: Client, plain: Any, amount: str) -> None:
        shop, _code = plain
        client.force_login(shop.members["owner"])
        fields = {"confirms": "over", "confirm_over": amount}
        response = client.post(f"/m/{shop.merchant.slug}/settings/checkout/", fields)
        assert response.status_code == 422
        with enter_scope(shop.scope):
            assert not CheckoutSettings.objects.exists()
