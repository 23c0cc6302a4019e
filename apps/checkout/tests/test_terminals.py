"""The pages of terminals: devices, their codes, and what platforms know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest
import time_machine
from django.test import Client
from django.utils import translation
from pytest_django import DjangoAssertNumQueries

from apps.checkout.forms import TerminalForm
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.models import Membership, Role, Store, Terminal
from apps.merchants.services import add_terminal
from apps.merchants.tests.factories import NOW, Shop, check_now, make_shop
from apps.payments.models import Payment
from apps.payments.services import open_order, prepare_payment
from apps.payments.tests.factories import make_account
from apps.platforms import registry
from apps.platforms.gateway import (
    Capability,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    TerminalKey,
)
from apps.platforms.models import AccountTerminal, PlatformAccount, TerminalState
from apps.platforms.services.terminals import CheckIn, check_in
from apps.platforms.tests.fakes import FakeGateway
from apps.qrcodes.models import QRCode
from apps.qrcodes.services import assign_terminal, create_code, retire_code

ACTOR = Actor.system("test")


class FakeShouqianba(FakeGateway):
    """Is called by terminals, which an activation code makes."""

    platform: ClassVar[Platform] = Platform.SHOUQIANBA
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.AGGREGATES, Capability.TERMINALS, Capability.BARCODE, Capability.DYNAMIC_QR}
    )

    #: What the next terminal is called there.
    terminal_sn: str = "100001"

    def activate_terminal(self, *, code: str, device_id: str, name: str) -> TerminalKey:
        """A terminal of this name."""
        key = TerminalKey(terminal_sn=self.terminal_sn, terminal_key="k" * 32)
        return self._run("activate_terminal", (code, name), lambda: key)

    def check_in_terminal(self) -> TerminalKey:
        """Another key."""
        key = TerminalKey(terminal_sn="100001", terminal_key="n" * 32)
        return self._run("check_in_terminal", None, lambda: key)


@dataclass
class House:
    """A shop with a WeChat and a Shouqianba account, a terminal and a code."""

    shop: Shop
    terminal: Terminal
    code: QRCode
    wechat: PlatformAccount
    shouqianba: PlatformAccount
    platform: FakeShouqianba
    owner: Client

    def url(self, rest: str = "") -> str:
        return f"/m/{self.shop.slug}/terminals/{rest}"

    def detail(self, rest: str = "") -> str:
        return self.url(f"{self.terminal.pk}/{rest}")

    def signed_in(self, role: str) -> Client:
        client = Client(headers={"Accept-Language": "en"})
        client.force_login(self.shop[role])
        return client

    def read(self, url: str, client: Client | None = None) -> str:
        response = (client or self.owner).get(url)
        assert response.status_code == 200
        return str(response.content.decode().split('id="main"')[1])

    def activate(self, code: str = "A1B2C3") -> Any:
        return self.owner.post(self.detail(f"activate/{self.shouqianba.pk}/"), {"code": code})

    def known_there(self) -> AccountTerminal | None:
        with enter_scope(self.shop.scope):
            return AccountTerminal.objects.filter(terminal=self.terminal).order_by("-pk").first()


@pytest.fixture
def house(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    platform = FakeShouqianba()

    def gateway_for(**_rest: object) -> PlatformGateway:
        return platform

    monkeypatch.setattr(registry, "gateway_for", gateway_for)
    monkeypatch.setitem(registry.CONNECTORS, Platform.WECHATPAY, FakeGateway)
    monkeypatch.setitem(registry.CONNECTORS, Platform.SHOUQIANBA, FakeShouqianba)
    with time_machine.travel(NOW, tick=False):
        shop = make_shop()
        with enter_scope(shop.scope):
            wechat = make_account(shop)
            shouqianba = make_account(shop, platform="shouqianba", merchant_no="1680001")
            terminal = add_terminal(
                store_id=shop.store.pk,
                name="收银台",
                brand="商米",
                model_name="P2",
                serial_no="SN0001",
                actor=ACTOR,
                now=NOW,
            )
            code = create_code(
                store_id=shop.store.pk, kind="counter", name="前台", actor=ACTOR, now=NOW
            )
        client = Client(headers={"Accept-Language": "en"})
        client.force_login(shop["owner"])
        yield House(shop, terminal, code, wechat, shouqianba, platform, client)
        with enter_scope(shop.scope):
            check_now()


# Adding and changing


def facts(house: House, **changes: str) -> dict[str, str]:
    form = {
        "store": str(house.shop.store.pk),
        "name": "吧台",
        "brand": "联迪",
        "model_name": "A8",
        "serial_no": "SN 0002",
        "note": "靠门",
    }
    return {**form, **changes}


def test_add_edit_and_switch(house: House) -> None:
    response = house.owner.post(house.url("add/"), facts(house))
    with enter_scope(house.shop.scope):
        added = Terminal.objects.latest("pk")
    assert response["Location"] == house.url(f"{added.pk}/")
    assert (added.name, added.serial_no) == ("吧台", "SN0002")
    house.owner.post(house.url(f"{added.pk}/edit/"), facts(house, name="吧\n台二"))
    house.owner.post(house.url(f"{added.pk}/off/"))
    added.name, added.is_active = "", True
    with enter_scope(house.shop.scope):
        added.refresh_from_db()
    assert (added.name, added.is_active) == ("吧 台二", False)
    listing = house.read(house.url())
    assert "吧 台二" in listing
    assert 'data-state="disabled"' in listing


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": "收银台"}),
        ("name", {"name": " "}),
        ("serial_no", {"brand": "商米", "serial_no": "sn0001"}),
        ("store", {"store": "987654"}),
    ],
)
def test_mistakes_are_said_at_their_field(
    house: House, field: str, changes: dict[str, str]
) -> None:
    response = house.owner.post(house.url("add/"), facts(house, **changes))
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    with enter_scope(house.shop.scope):
        assert Terminal.objects.count() == 1


def test_brands_are_suggested(house: House) -> None:
    page = house.read(house.url("add/"))
    assert 'list="brands"' in page
    assert '<option value="拉卡拉">' in page


def test_a_terminal_moves_only_without_codes(house: House) -> None:
    with enter_scope(house.shop.scope):
        other: Store = Store.objects.create(name="二号店")
        assign_terminal(code_id=house.code.pk, terminal_id=house.terminal.pk, actor=ACTOR, now=NOW)
    form = facts(house, store=str(other.pk))
    response = house.owner.post(house.detail("edit/"), form)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["store"]
    with enter_scope(house.shop.scope):
        house.terminal.refresh_from_db()
        # Nothing of it is kept, its name and the note of the change neither.
        assert house.terminal.store_id == house.shop.store.pk
        assert not AuditEvent.objects.filter(action="terminal.changed").exists()
    house.owner.post(house.detail("codes/"), {"remove": str(house.code.pk)})
    assert house.owner.post(house.detail("edit/"), form).status_code == 302
    with enter_scope(house.shop.scope):
        house.terminal.refresh_from_db()
    assert house.terminal.store_id == other.pk


# Codes


def test_codes_are_given_and_taken_on_the_terminal_s_page(house: House) -> None:
    assert "前台" in house.read(house.detail())
    house.owner.post(house.detail("codes/"), {"add": str(house.code.pk)})
    with enter_scope(house.shop.scope):
        house.code.refresh_from_db()
        assert house.code.terminal_id == house.terminal.pk
        assert AuditEvent.objects.filter(action="code.assigned").count() == 1
    page = house.read(house.detail())
    assert 'name="remove"' in page
    assert 'name="add"' not in page
    house.owner.post(house.detail("codes/"), {"remove": str(house.code.pk)})
    with enter_scope(house.shop.scope):
        house.code.refresh_from_db()
    assert house.code.terminal_id is None


def test_a_code_of_another_store_or_of_another_terminal_is_not_taken(house: House) -> None:
    with enter_scope(house.shop.scope):
        other: Store = Store.objects.create(name="二号店")
        elsewhere = create_code(store_id=other.pk, kind="table", name="桌", actor=ACTOR, now=NOW)
        second = add_terminal(store_id=house.shop.store.pk, name="B", actor=ACTOR, now=NOW)
        assign_terminal(code_id=house.code.pk, terminal_id=second.pk, actor=ACTOR, now=NOW)
        retired = create_code(
            store_id=house.shop.store.pk, kind="table", name="旧", actor=ACTOR, now=NOW
        )
        retire_code(code_id=retired.pk, actor=ACTOR, now=NOW)
    for form in (
        {"add": str(elsewhere.pk)},
        {"add": str(house.code.pk)},
        {"add": str(retired.pk)},
        {"remove": str(house.code.pk)},
        {"add": "x"},
        {"add": "9" * 30},
        {},
    ):
        assert house.owner.post(house.detail("codes/"), form).status_code == 302
    with enter_scope(house.shop.scope):
        assert dict(QRCode.objects.values_list("pk", "terminal_id")) == {
            elsewhere.pk: None,
            house.code.pk: second.pk,
            retired.pk: None,
        }


def test_a_code_s_page_chooses_its_terminal(house: House) -> None:
    url = f"/m/{house.shop.slug}/codes/{house.code.pk}/"
    assert '<select class="form-select" name="terminal"' in house.read(url)
    house.owner.post(f"{url}terminal/", {"terminal": str(house.terminal.pk)})
    with enter_scope(house.shop.scope):
        house.code.refresh_from_db()
    assert house.code.terminal_id == house.terminal.pk
    # A cashier reads it, and cannot change it.
    cashier = house.signed_in("cashier")
    page = house.read(url, cashier)
    assert "收银台" in page
    assert 'name="terminal"' not in page
    assert cashier.post(f"{url}terminal/", {"terminal": ""}).status_code == 403
    house.owner.post(f"{url}terminal/", {"terminal": ""})
    with enter_scope(house.shop.scope):
        house.code.refresh_from_db()
    assert house.code.terminal_id is None


def test_payments_by_its_codes_carry_the_terminal_everywhere(house: House) -> None:
    with enter_scope(house.shop.scope):
        order = open_order(
            store_id=house.shop.store.pk,
            code_id=house.code.pk,
            terminal_id=house.terminal.pk,
            amount=Money(500),
            subject="茶",
            now=NOW,
            actor=ACTOR,
        )
        prepare_payment(
            order_id=order.pk,
            account_id=house.wechat.pk,
            product=Product.DYNAMIC_QR,
            now=NOW,
            actor=ACTOR,
        )
        assert Payment.objects.get().terminal_id == house.terminal.pk
        house.terminal.refresh_from_db()
    assert house.terminal.last_seen_at == NOW
    page = house.read(house.detail())
    assert f"/transactions/{order.pk}/" in page or f"/orders/{order.pk}/" in page
    assert "¥5.00" in page
    assert "just now" in page
    story = house.read(f"/m/{house.shop.slug}/orders/{order.pk}/")
    assert house.detail() in story


# Activation


def test_activation(house: House) -> None:
    page = house.read(house.detail())
    assert page.count('data-state="none"') == 1
    assert page.count('data-state="ready"') == 1
    assert house.activate(" A1B2C3 ").status_code == 302
    row = house.known_there()
    assert row is not None
    assert (row.terminal_sn, row.state) == ("100001", TerminalState.ACTIVE)
    assert house.platform.calls == [("activate_terminal", ("A1B2C3", "收银台"))]
    with enter_scope(house.shop.scope):
        house.terminal.refresh_from_db()
    assert house.terminal.last_seen_at == NOW
    page = house.read(house.detail())
    assert "100001" in page
    assert "k" * 32 not in page
    assert f"activate/{house.shouqianba.pk}/" not in page
    assert 'data-state="active"' in house.read(house.url())
    # Again: no code is used up.
    assert house.activate().status_code == 302
    assert house.platform.count("activate_terminal") == 1


def test_a_check_in_is_a_sign_of_life(house: House) -> None:
    house.activate()
    tomorrow = NOW + timedelta(days=1)
    row = house.known_there()
    assert row is not None
    with enter_scope(house.shop.scope):
        assert check_in(account_terminal_id=row.pk, now=tomorrow) is CheckIn.DONE
        house.terminal.refresh_from_db()
    assert house.terminal.last_seen_at == tomorrow


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PlatformRejected("bad", code="ACTIVATION_CODE_USED"), "ACTIVATION_CODE_USED"),
        (PlatformUnavailable("silence", code="timeout"), "may be used up"),
    ],
)
def test_a_refused_activation_is_said_at_its_account(
    house: House, error: Exception, words: str
) -> None:
    house.platform.fail_next("activate_terminal", error)
    response = house.activate()
    assert response.status_code == 422
    assert words in response.content.decode()
    assert house.known_there() is None


def test_an_empty_code_calls_nobody(house: House) -> None:
    assert house.activate("").status_code == 422
    assert house.platform.calls == []


def test_only_an_account_with_terminals_that_serves_the_store_activates(house: House) -> None:
    url = house.detail(f"activate/{house.wechat.pk}/")
    assert house.owner.post(url, {"code": "A"}).status_code == 404
    with enter_scope(house.shop.scope):
        PlatformAccount.objects.filter(pk=house.shouqianba.pk).update(all_stores=False)
    assert house.activate().status_code == 404
    assert house.platform.calls == []


def test_a_lost_key_is_said_and_can_be_made_anew(house: House) -> None:
    house.activate()
    with enter_scope(house.shop.scope):
        AccountTerminal.objects.update(state=TerminalState.LOST, detail="terminal_lost")
    page = house.read(house.detail())
    assert 'data-state="lost"' in page
    assert "none of the keys" in page
    assert house.activate("NEW").status_code == 302
    row = house.known_there()
    assert row is not None
    assert row.state == TerminalState.ACTIVE


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("check_in_unanswered", "got no answer"),
        ("check_in_refused|UPAY_TERMINAL_NOT_EXISTS", "refused the last check-in"),
    ],
)
def test_a_check_in_that_failed_is_said(house: House, detail: str, words: str) -> None:
    house.activate()
    with enter_scope(house.shop.scope):
        AccountTerminal.objects.update(detail=detail)
    assert words in house.read(house.detail())


def test_a_terminal_is_no_longer_used_at_an_account(house: House) -> None:
    leave = house.detail(f"leave/{house.shouqianba.pk}/")
    assert leave not in house.read(house.detail())
    assert house.owner.get(leave).status_code == 404
    house.activate()
    assert leave in house.read(house.detail())
    page = house.read(leave)
    assert "100001" in page
    assert "new activation code" in page
    row = house.known_there()
    assert row is not None
    assert row.state == TerminalState.ACTIVE
    assert house.owner.post(leave).status_code == 302
    row = house.known_there()
    assert row is not None
    assert row.state == TerminalState.OFF
    with enter_scope(house.shop.scope):
        event = AuditEvent.objects.get(action="account.terminal_off")
        assert (event.subject_id, event.data["terminal_id"]) == (house.shouqianba.pk, house.terminal.pk)  # fmt: skip
        assert event.actor_id == house.shop["owner"].pk
        assert not Due.objects.filter(task="platforms.check_in", subject_id=row.pk).exists()
    page = house.read(house.detail())
    assert "Terminal no longer used at an account" in page
    assert 'data-state="off"' in page
    assert leave not in page
    # Once more changes nothing; a new code brings it back.
    assert house.owner.post(leave).status_code == 302
    with enter_scope(house.shop.scope):
        assert AuditEvent.objects.filter(action="account.terminal_off").count() == 1
    house.platform.terminal_sn = "100002"
    assert house.activate("NEW").status_code == 302
    page = house.read(house.detail())
    assert leave in page
    assert "100002" in page


# Who may


@pytest.mark.parametrize("role", Role.values)
def test_roles(house: House, role: str) -> None:
    reads = role != "cashier"
    writes = role in {"owner", "manager"}
    client = house.signed_in(role)
    for url in (house.url(), house.detail()):
        assert client.get(url).status_code == (200 if reads else 403)
    for rest in ("edit/", "off/", "on/"):
        assert client.get(house.detail(rest)).status_code == (200 if writes else 403)
    assert client.get(house.url("add/")).status_code == (200 if writes else 403)
    assert client.post(house.detail("codes/"), {}).status_code == (302 if writes else 403)
    leave = client.post(house.detail(f"leave/{house.shouqianba.pk}/"))
    assert leave.status_code == (404 if writes else 403)
    posted = client.post(house.detail(f"activate/{house.shouqianba.pk}/"), {"code": ""})
    assert posted.status_code == (422 if writes else 403)


def test_a_manager_of_one_store_sees_its_terminals_and_no_accounts(house: House) -> None:
    with enter_scope(house.shop.scope):
        other: Store = Store.objects.create(name="二号店")
        theirs = add_terminal(store_id=other.pk, name="那边", actor=ACTOR, now=NOW)
    manager = house.shop["manager"]
    Membership.objects.filter(user=manager).update(store_ids=[other.pk])
    client = house.signed_in("manager")
    page = house.read(house.url(), client)
    assert "那边" in page
    assert "收银台" not in page
    assert client.get(house.detail()).status_code == 404
    detail = house.read(house.url(f"{theirs.pk}/"), client)
    assert "Platform accounts" not in detail
    assert client.get(house.url(f"{theirs.pk}/edit/")).status_code == 403


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("sn-01_2./3 4", "SN-01_2./34"),
        ("ＳＮ０００９", "SN0009"),
        ("序列号", None),
        ("SN#1", None),
        ("SN01é", None),
    ],
)
def test_a_serial_number_is_as_devices_have_it(house: House, typed: str, kept: str | None) -> None:
    form = TerminalForm(
        {"store": str(house.shop.store.pk), "name": "吧台", "serial_no": typed},
        stores=[house.shop.store],
    )
    assert form.is_valid() is (kept is not None)
    if kept is None:
        with translation.override("en"):
            assert "only letters, digits and the signs" in str(form.errors["serial_no"])
    else:
        assert form.cleaned_data["serial_no"] == kept


def test_how_much_the_pages_ask(
    house: House, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with enter_scope(house.shop.scope):
        for number in range(6):
            add_terminal(store_id=house.shop.store.pk, name=f"{number}", actor=ACTOR, now=NOW)
    # Session, user, membership, scope in and out; terminals, stores of accounts, accounts, activations, codes; the frame:
    # memberships, what waits.
    with django_assert_num_queries(12):
        house.owner.get(house.url())
    # The same with the terminal in place of the terminals; free codes, payments, history.
    with django_assert_num_queries(15):
        house.owner.get(house.detail())
