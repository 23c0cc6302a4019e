"""Displays on the wall: links that anybody opens, amounts that nobody can read, and an end for good."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.checkout.models import WallDisplay
from apps.checkout.selectors.displays import masked
from apps.checkout.tests.test_desk import ACTOR, Desk, make_desk
from apps.core.models import AuditEvent, Door
from apps.core.tenancy import enter_scope
from apps.merchants.models import Membership, Role, Store, Terminal
from apps.merchants.tests.factories import NOW, check_now, make_shop
from apps.payments.tests.factories import make_paid
from apps.qrcodes.artwork import qr_svg
from apps.qrcodes.models import CodeState, QRCode
from apps.qrcodes.selectors import link_of
from apps.qrcodes.services import create_code


@pytest.fixture
def desk(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with time_machine.travel(NOW, tick=False) as traveller:
        desk = make_desk(monkeypatch, traveller)
        yield desk
        with enter_scope(desk.shop.scope):
            check_now()


def make_wall(desk: Desk, shows: str = "", role: str = "manager") -> WallDisplay:
    response = desk.client(desk.shop[role]).post(
        desk.url("wall/"), {"shows": shows or f"store-{desk.shop.store.pk}", "name": "门口"}
    )
    assert response.status_code == 303
    with enter_scope(desk.shop.scope):
        return WallDisplay.objects.latest("pk")


def make_code(desk: Desk) -> QRCode:
    with enter_scope(desk.shop.scope):
        return create_code(
            store_id=desk.shop.store.pk, kind="counter", name="前台", actor=ACTOR, now=NOW
        )


def stranger(wall: WallDisplay) -> str:
    response = Client(headers={"Accept-Language": "en"}).get(f"/wall/{wall.token}")
    assert response.status_code == 200
    return str(response.content.decode())


def mark_of(wall: WallDisplay) -> str:
    found = re.search(r'data-mark="([^"]+)"', stranger(wall))
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("minor", "text"),
    [
        (1_250, "¥1*.50"),
        (850, "¥*.50"),
        (5, "¥*.05"),
        (123_456, "¥1***.56"),
        (10_000_000_000, "¥1********.00"),
    ],
)
def test_an_amount_is_masked(minor: int, text: str) -> None:
    assert masked(minor) == text


def test_a_display_shows_what_the_desk_asks_for_and_hides_what_was_paid(desk: Desk) -> None:
    wall = make_wall(desk)
    page = stranger(wall)
    assert "First store" in page
    assert "The code appears here" in page
    assert "<svg" not in page.split('id="wall"')[1].split("wall-side")[0]
    order = desk.ask(minor=1_250)
    page = stranger(wall)
    assert qr_svg(f"{settings.PUBLIC_URL}/pay/{order.token}", label="Code to pay with") in page
    desk.pay(order)
    page = stranger(wall)
    assert "The code appears here" in page
    assert "¥1*.50" in page
    assert "12.50" not in page
    # Payments by other codes of the store are shown as well.
    with enter_scope(desk.shop.scope):
        make_paid(desk.shop, desk.account, minor=98_765)
    page = stranger(wall)
    assert "¥9**.65" in page
    assert "987.65" not in page
    assert "no-store" in Client().get(f"/wall/{wall.token}")["Cache-Control"]


def test_a_scanned_customers_amount_is_not_shown_as_a_code(desk: Desk) -> None:
    wall = make_wall(desk)
    desk.cashier.post(
        f"/m/{desk.shop.slug}/till/",
        {
            "store": str(desk.shop.store.pk),
            "amount": "77.00",
            "code": "134567890123456789",
            "nonce": "k" * 20,
        },
    )
    assert "77.00" not in stranger(wall)


def test_a_display_may_show_a_printed_code(desk: Desk) -> None:
    code = make_code(desk)
    wall = make_wall(desk, f"code-{code.pk}")
    desk.ask(minor=4_200)
    page = stranger(wall)
    assert qr_svg(link_of(code), label="Code to pay with") in page
    assert "42.00" not in page
    with enter_scope(desk.shop.scope):
        QRCode.objects.update(state=CodeState.PAUSED)
    assert qr_svg(link_of(code), label="Code to pay with") not in stranger(wall)


def test_a_display_of_one_terminal_shows_what_its_desk_asks_for(desk: Desk) -> None:
    with enter_scope(desk.shop.scope):
        mine = Terminal.objects.create(store=desk.shop.store, name="一号台")
        other = Terminal.objects.create(store=desk.shop.store, name="二号台")
    wall = make_wall(desk, f"terminal-{mine.pk}")
    assert wall.terminal_id == mine.pk
    listed = desk.page("wall/", desk.client(desk.shop["manager"]))
    assert "Shows the amount that the desk with the terminal “一号台” asks for." in listed
    store = {"store": str(desk.shop.store.pk)}
    desk.post(amount="31.00", terminal=str(mine.pk), nonce="a" * 20, **store)
    desk.clock.shift(1)
    # Later, and not this terminal's: another desk's, and one without a terminal.
    desk.post(amount="41.00", terminal=str(other.pk), nonce="b" * 20, **store)
    desk.clock.shift(1)
    desk.post(amount="51.00", nonce="c" * 20, **store)
    assert "¥31.00" in stranger(wall)
    assert "¥51.00" in stranger(make_wall(desk))
    with enter_scope(desk.shop.scope):
        code = make_code(desk)
        with pytest.raises(IntegrityError), transaction.atomic():
            WallDisplay.objects.filter(pk=wall.pk).update(code=code)


def test_a_display_of_another_stores_terminal_is_out_of_reach(desk: Desk) -> None:
    with enter_scope(desk.shop.scope):
        elsewhere: Store = Store.objects.create(name="二号店")
        far = Terminal.objects.create(store=elsewhere, name="别处")
    Membership.objects.filter(user=desk.shop["manager"]).update(store_ids=[desk.shop.store.pk])
    response = desk.client(desk.shop["manager"]).post(
        desk.url("wall/"), {"shows": f"terminal-{far.pk}", "name": ""}
    )
    assert response.status_code == 422


def test_the_page_asks_for_changes_only(desk: Desk) -> None:
    wall = make_wall(desk)
    client = Client(headers={"HX-Request": "true"})
    address = f"/wall/{wall.token}"
    mark = mark_of(wall)
    assert client.get(address, {"mark": mark}).status_code == 204
    order = desk.ask()
    response = client.get(address, {"mark": mark})
    assert response.status_code == 200
    assert "<html" not in response.content.decode()
    later = mark_of(wall)
    assert later != mark
    desk.pay(order)
    assert mark_of(wall) not in {mark, later}


def test_the_page_tells_no_numbers_that_count_up(desk: Desk) -> None:
    """Whoever keeps the link open could else read from them how much the shop sells."""
    wall, other = make_wall(desk), make_wall(desk)
    for minor in (500, 600, 700):
        desk.pay(desk.ask(minor=minor))
    page = stranger(wall)
    names = re.findall(r'data-paid="([^"]+)"', page)
    assert len(set(names)) == 3
    for text in (*names, mark_of(wall)):
        assert re.fullmatch(r"[0-9a-f]{24}", text)
    # The same on the next look, others on another display.
    assert re.findall(r'data-paid="([^"]+)"', stranger(wall)) == names
    assert not set(names) & set(re.findall(r'data-paid="([^"]+)"', stranger(other)))


def test_old_payments_leave_the_wall(desk: Desk) -> None:
    wall = make_wall(desk)
    desk.pay(desk.ask())
    assert "¥1*.50" in stranger(wall)
    desk.clock.shift(timedelta(hours=5))
    assert "¥1*.50" not in stranger(wall)


def test_switched_off_it_leads_nowhere_and_stays_off(desk: Desk) -> None:
    wall = make_wall(desk)
    manager = desk.client(desk.shop["manager"])
    assert wall.token in manager.get(desk.url("wall/")).content.decode()
    for _twice in range(2):
        assert manager.post(desk.url(f"wall/{wall.pk}/off/")).status_code == 303
    response = Client(headers={"Accept-Language": "en"}).get(f"/wall/{wall.token}")
    assert response.status_code == 404
    assert "This display is switched off" in response.content.decode()
    assert wall.token not in manager.get(desk.url("wall/")).content.decode()
    with enter_scope(desk.shop.scope):
        assert not Door.objects.filter(kind="wall").exists()
        actions = AuditEvent.objects.filter(action__startswith="wall.").order_by("pk")
        assert list(actions.values_list("action", flat=True)) == ["wall.made", "wall.revoked"]


@pytest.mark.parametrize("role", Role.values)
def test_roles(desk: Desk, role: str) -> None:
    may = role in {"owner", "manager"}
    client = desk.client(desk.shop[role])
    assert client.get(desk.url("wall/")).status_code == (200 if may else 403)
    wall = make_wall(desk)
    assert client.post(desk.url(f"wall/{wall.pk}/off/")).status_code == (303 if may else 403)


def test_another_stores_display_and_code_are_out_of_reach(desk: Desk) -> None:
    wall = make_wall(desk)
    code = make_code(desk)
    with enter_scope(desk.shop.scope):
        other = Store.objects.create(name="二号店")
    Membership.objects.filter(user=desk.shop["manager"]).update(store_ids=[other.pk])
    manager = desk.client(desk.shop["manager"])
    assert wall.token not in manager.get(desk.url("wall/")).content.decode()
    assert manager.post(desk.url(f"wall/{wall.pk}/off/")).status_code == 404
    for shows in (f"store-{desk.shop.store.pk}", f"code-{code.pk}", "store-x", "x"):
        assert manager.post(desk.url("wall/"), {"shows": shows}).status_code == 422
    bar = make_shop("bar")
    assert desk.client(bar["owner"]).post(desk.url(f"wall/{wall.pk}/off/")).status_code == 404


def test_how_much_the_pages_ask(
    desk: Desk, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    wall = make_wall(desk)
    desk.ask()
    client = Client(headers={"HX-Request": "true"})
    mark = mark_of(wall)
    # What an open display asks every two seconds: the door, scope in and out, the display, its payments, the order.
    with django_assert_num_queries(6):
        assert client.get(f"/wall/{wall.token}", {"mark": mark}).status_code == 204
    # And the merchant's name.
    with django_assert_num_queries(7):
        client.get(f"/wall/{wall.token}")
