"""The order in which accounts are asked to take a wallet's payment, and what a contract includes."""

from __future__ import annotations

import re
import threading

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.core.audit import Actor
from apps.core.encryption import seal
from apps.core.models import AuditEvent
from apps.platforms import registry, selectors, services
from apps.platforms.forms import AccountForm
from apps.platforms.gateway import Capability, Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.fakes import FakeGateway
from apps.platforms.tests.shops import Shop, inside, make_shop
from apps.platforms.tests.test_views import entries
from apps.platforms.tests.wechatpay_server import NOW, WechatpayServer

ACTOR = Actor("owner@tea.test")


def make_account(shop: Shop, label: str, platform: str = "wechatpay") -> PlatformAccount:
    sealed = seal(b"{}", merchant_id=shop.merchant.pk, purpose="credentials")
    account: PlatformAccount = PlatformAccount.objects.create(
        platform=platform, label=label, ref=label, merchant_no=label, credentials_sealed=sealed
    )
    return account


@pytest.fixture
def three(shop: Shop) -> list[PlatformAccount]:
    with inside(shop):
        return [make_account(shop, label) for label in ("a", "b", "c")]


def order(shop: Shop) -> str:
    """The labels in the order of preference, as pages and payments see it."""
    with inside(shop):
        listed = "".join(account.label for account in selectors.list_accounts())
        serving = selectors.accounts_serving(store_id=shop.store.pk)
    assert listed == "".join(account.label for account in serving)
    return listed


def enter(shop: Shop, role: str = "owner") -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.members[role])
    return client


def move(shop: Shop, client: Client, account: PlatformAccount, way: str) -> tuple[int, str]:
    address = reverse("platforms:account_move", args=[shop.slug, account.pk])
    response = client.post(address, {"way": way})
    return response.status_code, response.get("Location", "")


def test_the_oldest_comes_first_until_somebody_says_otherwise(
    shop: Shop, three: list[PlatformAccount]
) -> None:
    a, _b, c = three
    assert order(shop) == "abc"
    client = enter(shop)
    assert move(shop, client, c, "up")[0] == 302
    assert order(shop) == "acb"
    move(shop, client, c, "up")
    assert order(shop) == "cab"
    move(shop, client, a, "down")
    assert order(shop) == "cba"
    # A new one stands last.
    with inside(shop):
        make_account(shop, "d")
    assert order(shop) == "cbad"


def test_beyond_the_ends_nothing_moves_and_nothing_is_written(
    shop: Shop, three: list[PlatformAccount]
) -> None:
    with inside(shop):
        for account, up in ((three[0], True), (three[2], False)):
            assert not services.move_account(account_id=account.pk, up=up, actor=ACTOR, now=NOW)
        assert not AuditEvent.objects.exists()
    assert order(shop) == "abc"


def test_each_move_is_in_the_account_s_history(shop: Shop, three: list[PlatformAccount]) -> None:
    client = enter(shop)
    move(shop, client, three[2], "up")
    with inside(shop):
        event = AuditEvent.objects.get()
    assert (event.action, event.subject_id, event.actor) == (
        "account.moved",
        three[2].pk,
        "owner@tea.test",
    )
    assert event.data["place"] == 2
    detail = reverse("platforms:account_detail", args=[shop.slug, three[2].pk])
    page = client.get(detail).content.decode()
    assert "Moved in the order of preference" in page
    assert "It is now number 2." in page


def test_the_page_has_buttons_that_say_what_they_move_and_keeps_the_place(
    shop: Shop, three: list[PlatformAccount]
) -> None:
    client = enter(shop)
    listing = reverse("platforms:account_list", args=[shop.slug])
    page = client.get(listing).content.decode()
    buttons = re.findall(r'<button[^>]*name="way"[^>]*>', page)
    assert len(buttons) == 6
    assert [" disabled" in button for button in buttons] == [True, *[False] * 4, True]
    assert 'aria-label="Move b up"' in buttons[2]
    assert not [button for button in buttons if "autofocus" in button]
    status, location = move(shop, client, three[1], "up")
    assert (status, location) == (302, f"{listing}?moved={three[1].pk}&way=up#preference")
    page = client.get(location).content.decode()
    focused = re.findall(r"<button[^>]*autofocus[^>]*>", page)
    # It is at the top now, where only the other button can be pressed.
    assert len(focused) == 1
    assert 'aria-label="Move b down"' in focused[0]


def test_a_single_account_needs_no_order(shop: Shop) -> None:
    with inside(shop):
        make_account(shop, "a")
    listing = reverse("platforms:account_list", args=[shop.slug])
    assert "Order of preference" not in enter(shop).get(listing).content.decode()


def test_who_may_only_look_sees_the_order_without_buttons(
    shop: Shop, three: list[PlatformAccount]
) -> None:
    client = enter(shop, "auditor")
    listing = reverse("platforms:account_list", args=[shop.slug])
    page = client.get(listing).content.decode()
    assert "Order of preference" in page
    assert 'name="way"' not in page
    assert move(shop, client, three[0], "down")[0] == 403
    stranger = make_shop("bar")
    assert move(shop, enter(stranger), three[0], "down")[0] == 404
    assert move(stranger, enter(stranger), three[0], "down")[0] == 404
    assert order(shop) == "abc"


@pytest.mark.django_db(transaction=True)
def test_two_who_move_at_once_leave_an_order() -> None:
    shop = make_shop("race")
    with inside(shop):
        rows = [make_account(shop, label) for label in ("a", "b", "c")]
    start = threading.Barrier(8)
    troubles: list[str] = []

    def work(number: int) -> None:
        try:
            start.wait()
            with inside(shop):
                services.move_account(
                    account_id=rows[number % 3].pk, up=number % 2 == 0, actor=ACTOR, now=NOW
                )
        except Exception as error:
            troubles.append(repr(error))
            raise
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert sorted(order(shop)) == ["a", "b", "c"]
    with inside(shop):
        places = PlatformAccount.objects.order_by("priority").values_list("priority", flat=True)
        assert list(places) == [1, 2, 3]


# What a contract includes


@pytest.mark.parametrize(
    ("platform", "names"),
    [
        (Platform.WECHATPAY, ["takes_barcodes", "takes_h5"]),
        (Platform.ALIPAY, ["takes_barcodes"]),
        (Platform.UNIONPAY, ["takes_barcodes", "cancels_same_day"]),
    ],
)
def test_each_platform_is_asked_only_for_what_it_has(
    db: None, platform: Platform, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.CONNECTORS, platform, FakeGateway)
    form = AccountForm(platform=platform, stores=[])
    assert [field.name for field in form.products()] == names
    assert [bool(field.initial) for field in form.products()] == [
        name == "takes_barcodes" for name in names
    ]
    assert all(field.help_text for field in form.products())


def test_switches_are_stored_shown_again_and_changed(
    shop: Shop, wechatpay: WechatpayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wechat = registry.CONNECTORS[Platform.WECHATPAY]
    monkeypatch.setattr(wechat, "capabilities", wechat.capabilities | {Capability.BARCODE})
    client = enter(shop)
    connect = reverse("platforms:account_connect", args=[shop.slug, "wechatpay"])
    assert client.post(connect, entries(takes_h5="on")).status_code == 302
    with inside(shop):
        account = PlatformAccount.objects.get()
        told = AuditEvent.objects.get(action="account.connected").data
    assert (account.takes_barcodes, account.takes_h5) == (False, True)
    assert (told["takes_barcodes"], told["takes_h5"]) == (False, True)
    edit = reverse("platforms:account_edit", args=[shop.slug, account.pk])
    page = client.get(edit).content.decode()
    switches = dict(
        re.findall(r'<input type="checkbox" name="(takes_\w+)"([^>]*)>', page, re.DOTALL)
    )
    assert ["checked" in switches[name] for name in ("takes_barcodes", "takes_h5")] == [False, True]
    change = {
        "label": "x",
        "fee_rate": "0.6",
        "serves": "all",
        "takes_barcodes": "on",
    }
    assert client.post(edit, change).status_code == 302
    with inside(shop):
        account.refresh_from_db()
    assert (account.takes_barcodes, account.takes_h5) == (True, False)
    detail = reverse("platforms:account_detail", args=[shop.slug, account.pk])
    page = client.get(detail).content.decode()
    # The account's page lists what the contract has, not what the platform could do.
    assert "Scan the customer&#x27;s payment code" in page
    assert "Pay from a phone&#x27;s browser" not in page


def test_a_service_that_is_told_nothing_leaves_the_switches(
    shop: Shop, three: list[PlatformAccount]
) -> None:
    with inside(shop):
        PlatformAccount.objects.update(takes_h5=True, takes_barcodes=False)
        account = services.update_account(
            account_id=three[0].pk,
            label="a",
            keys={},
            fee_rate_ppm=6000,
            all_stores=True,
            store_ids=[],
            actor=ACTOR,
            now=NOW,
        )
    assert (account.takes_h5, account.takes_barcodes) == (True, False)
