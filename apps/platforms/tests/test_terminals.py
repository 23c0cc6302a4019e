"""Terminals from activation to the key of the day, against Shouqianba's small server on a socket."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import translation
from pytest_django import Settings

from apps.core import clock
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.tenancy import enter_scope
from apps.merchants.models import Terminal
from apps.platforms import services
from apps.platforms.gateway import (
    CheckState,
    Credentials,
    OrderNotFound,
    Outcome,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    TerminalKey,
)
from apps.platforms.models import (
    AccountTerminal,
    NotificationState,
    PlatformAccount,
    TerminalState,
    Verdict,
)
from apps.platforms.services import terminals
from apps.platforms.services.terminals import CheckIn, activation, check_ins
from apps.platforms.services.upkeep import plan_upkeep
from apps.platforms.tests import shouqianba_server
from apps.platforms.tests.conftest import CountingHandler, serving
from apps.platforms.tests.contract import BEGAN_AT, create_request, payment_ref
from apps.platforms.tests.shops import Shop, inside, make_shop
from apps.platforms.tests.shouqianba_server import APP_ID, MERCHANT_NO, ShouqianbaServer
from apps.platforms.tests.wechatpay_server import NOW

ACTOR = Actor("owner@tea.test")
CODE = "ABC123"
TOMORROW = NOW + timedelta(days=1)
CALLERS = 8


@pytest.fixture
def server(settings: Settings) -> Iterator[ShouqianbaServer]:
    server = ShouqianbaServer(codes={CODE: 1})
    server.terminals.clear()
    settings.PLATFORM_HTTP_TIMEOUT = 2
    with (
        serving(server.handle) as url,
        time_machine.travel(NOW, tick=True),
        translation.override("en"),
    ):
        settings.SHOUQIANBA_API_URL = f"{url}/shouqianba"
        yield server


def entered(**changes: str) -> Credentials:
    """What the connect form gives."""
    held = shouqianba_server.credentials().keys
    keys = {name: held[name] for name in ("vendor_sn", "vendor_key", "public_key")}
    return Credentials(
        app_id=APP_ID, merchant_no=MERCHANT_NO, keys={**keys, "activation_code": CODE, **changes}
    )


def connect(**changes: Any) -> PlatformAccount:
    given: dict[str, Any] = {
        "platform": "shouqianba",
        "label": "收钱吧",
        "credentials": entered(),
        "fee_rate_ppm": 3800,
        "all_stores": True,
        "store_ids": [],
        "actor": ACTOR,
        "now": clock.now(),
    }
    return services.connect_account(**(given | changes))


@pytest.fixture
def scoped(shop: Shop) -> Iterator[Shop]:
    with inside(shop):
        yield shop


@pytest.fixture
def account(scoped: Shop, server: ShouqianbaServer) -> PlatformAccount:
    return connect()


def ours(account: PlatformAccount) -> AccountTerminal:
    row = terminals.portal_terminal(account)
    assert row is not None
    return row


def theirs(server: ShouqianbaServer, account: PlatformAccount) -> shouqianba_server.Terminal:
    return server.terminals[ours(account).terminal_sn]


def works(gateway: PlatformGateway) -> None:
    """The platform answers this gateway's calls."""
    with pytest.raises(OrderNotFound):
        gateway.query_payment(payment_ref())


def lost_after(server: ShouqianbaServer) -> Callable[[httpx.Request], httpx.Response]:
    """The call takes effect, and what arrives is not its answer."""

    def lose(request: httpx.Request) -> httpx.Response:
        server.serve(request)
        return httpx.Response(502)

    return lose


def paths(server: ShouqianbaServer) -> list[str]:
    return [request.url.path.rpartition("/")[2] for request in server.requests]


def make_terminal(shop: Shop) -> Terminal:
    terminal: Terminal = Terminal.objects.create(store=shop.store, name="收银台")
    return terminal


class TestConnecting:
    def test_the_code_becomes_a_terminal_and_is_not_kept(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        row = ours(account)
        assert (row.terminal_id, row.state) == (None, TerminalState.ACTIVE)
        assert server.codes[CODE] == 0
        assert server.terminals[row.terminal_sn].device_id == row.device_id
        held = services.credentials_of(account)
        assert set(held.keys) == {"vendor_sn", "vendor_key", "public_key"}
        told = json.dumps([event.data for event in AuditEvent.objects.all()])
        key = terminals.keys_of(row).current
        assert CODE not in told
        assert key not in told
        assert key not in repr(terminals.keys_of(row))
        assert account.check_state == CheckState.GOOD.value
        works(services.gateway_of(account))

    def test_its_next_check_in_is_planned_for_after_midnight(
        self, account: PlatformAccount
    ) -> None:
        due = Due.objects.get(task=terminals.TASK, subject_id=ours(account).pk)
        _since, midnight = clock.business_period(clock.business_date(NOW))
        assert timedelta(0) < due.due_at - midnight < timedelta(minutes=5)

    @pytest.mark.parametrize(
        ("change", "field", "words"),
        [
            ({"activation_code": "WRONG1"}, "activation_code", "usually for one terminal"),
            ({"vendor_key": "another-key"}, "vendor_key", "The code was not used"),
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_is_stored(
        self,
        scoped: Shop,
        server: ShouqianbaServer,
        change: dict[str, str],
        field: str,
        words: str,
    ) -> None:
        with pytest.raises(services.CredentialsRefused) as caught:
            connect(credentials=entered(**change))
        assert caught.value.field == field
        assert words in caught.value.message
        assert server.codes[CODE] == 1
        assert not PlatformAccount.objects.exists()
        assert not AccountTerminal.objects.exists()

    def test_a_refusal_of_the_code_speaks_of_the_code(
        self, scoped: Shop, server: ShouqianbaServer
    ) -> None:
        """The platform's codes have words about payments as well, which do not fit here."""
        server.faults.append(lambda _: server.outer("400", "INVALID_PARAMS", "激活码不存在"))
        with pytest.raises(services.CredentialsRefused) as caught:
            connect()
        assert "did not take the activation code (INVALID_PARAMS)." in caught.value.message
        assert caught.value.message.endswith("“激活码不存在”")
        for word in ("amount", "money", "values sent"):
            assert word not in caught.value.message

    def test_a_lost_answer_and_the_second_try(self, scoped: Shop, server: ShouqianbaServer) -> None:
        server.faults.append(lost_after(server))
        with pytest.raises(services.CredentialsRefused) as caught:
            connect(unchecked=True)
        assert "may be used up all the same" in caught.value.message
        assert not PlatformAccount.objects.exists()
        with pytest.raises(services.CredentialsRefused) as caught:
            connect()
        assert "a try that got no answer may have used it" in caught.value.message
        assert CODE not in caught.value.message
        server.codes["NEW456"] = 1
        works(services.gateway_of(connect(credentials=entered(activation_code="NEW456"))))

    def test_each_try_is_another_device(self, scoped: Shop, server: ShouqianbaServer) -> None:
        server.codes[CODE] = 2
        server.faults.append(lost_after(server))
        with pytest.raises(services.CredentialsRefused):
            connect()
        connect()
        devices = [terminal.device_id for terminal in server.terminals.values()]
        assert len(set(devices)) == 2

    def test_a_code_is_taken_again_only_where_the_terminal_is_lost(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        server.codes["NEW456"] = 1

        def change() -> PlatformAccount:
            return services.update_account(
                account_id=account.pk,
                label="收钱吧",
                keys={"activation_code": "NEW456"},
                fee_rate_ppm=3800,
                all_stores=True,
                store_ids=[],
                actor=ACTOR,
                now=clock.now(),
            )

        with pytest.raises(services.CredentialsRefused) as caught:
            change()
        assert caught.value.field == "activation_code"
        assert server.codes["NEW456"] == 1
        AccountTerminal.objects.update(state=TerminalState.LOST)
        change()
        assert server.codes["NEW456"] == 0
        works(services.gateway_of(account))

    def test_the_form(self, shop: Shop, server: ShouqianbaServer) -> None:
        client = Client(headers={"accept-language": "en"})
        client.force_login(shop.members["owner"])
        url = reverse("platforms:account_connect", args=[shop.slug, "shouqianba"])
        page = client.get(url).content.decode()
        assert "used up by connecting and not stored" in page
        entries = {
            "label": "收钱吧",
            "merchant_no": MERCHANT_NO,
            "app_id": APP_ID,
            **entered(activation_code="WRONG1").keys,
            "fee_rate": "0.38",
            "serves": "all",
        }
        refused = client.post(url, entries).content.decode()
        assert "did not take the activation code" in refused
        # A secret is never shown again, not even one that was refused.
        assert "WRONG1" not in refused
        assert client.post(url, entries | {"activation_code": CODE}).status_code == 302
        with inside(shop):
            assert AccountTerminal.objects.get().state == TerminalState.ACTIVE


class TestKeysOfTheDay:
    def test_today_there_is_nothing_to_check_in(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        works(services.gateway_of(account))
        assert "checkin" not in paths(server)
        assert terminals.check_in(account_terminal_id=ours(account).pk, now=NOW) is CheckIn.FRESH

    def test_the_first_call_of_a_day_checks_in(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        before = terminals.keys_of(ours(account)).current
        with time_machine.travel(TOMORROW, tick=True):
            gateway = services.gateway_of(account)
            works(gateway)
            works(gateway)
            works(services.gateway_of(account))
        assert paths(server)[1:] == ["checkin", "query", "query", "query"]
        keys = terminals.keys_of(ours(account))
        assert (keys.current, keys.previous) == (theirs(server, account).key, before)
        assert ours(account).checking_in_until is None

    def test_the_worker_checks_in_before_the_first_trade(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        row = ours(account)
        with time_machine.travel(TOMORROW, tick=True):
            again = terminals.check_in_due(account_terminal_id=row.pk, now=TOMORROW)
            works(services.gateway_of(account))
        assert again is not None
        assert timedelta(hours=1) < again - TOMORROW < timedelta(days=1)
        assert paths(server)[1:] == ["checkin", "query"]

    def test_a_pollers_call_checks_in_without_blocking(
        self, shop: Shop, server: ShouqianbaServer, transactional_db: None
    ) -> None:
        with enter_scope(shop.scope):
            account = connect()
            with time_machine.travel(TOMORROW, tick=True):
                gateway = services.gateway_of(account)
        # Outside every scope, as the rounds ask.
        with time_machine.travel(TOMORROW, tick=True), pytest.raises(OrderNotFound):
            asyncio.run(gateway.query_payment_async(payment_ref()))
        assert paths(server)[1:] == ["checkin", "query"]

    def test_a_lost_answer_is_asked_for_again_with_the_old_key(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        server.faults.append(lost_after(server))
        with time_machine.travel(TOMORROW, tick=True):
            works(services.gateway_of(account))
        assert theirs(server, account).check_ins == 2
        assert terminals.keys_of(ours(account)).current == theirs(server, account).key

    def test_a_call_that_never_arrived_is_asked_for_again(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        row = ours(account)
        server.faults += [lambda _: httpx.Response(502)] * 2
        at = TOMORROW
        assert terminals.check_in(account_terminal_id=row.pk, now=at) is CheckIn.UNANSWERED
        assert ours(account).detail == terminals.UNANSWERED
        # Not by each call at once: the next tries come in half a minute, or by the due in one.
        assert terminals.check_in(account_terminal_id=row.pk, now=clock.now()) is CheckIn.BUSY
        later = clock.now() + timedelta(minutes=1)
        with time_machine.travel(later, tick=True):
            again = terminals.check_in_due(account_terminal_id=row.pk, now=TOMORROW)
        assert again is not None
        assert ours(account).detail == ""
        assert theirs(server, account).check_ins == 1

    def test_a_key_that_another_worker_has_changed(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        stale = services.gateway_of(account)
        key = terminals.keys_of(ours(account)).current
        with time_machine.travel(NOW + timedelta(minutes=5), tick=True):
            done = terminals.check_in(
                account_terminal_id=ours(account).pk, now=clock.now(), refused=key
            )
            assert done is CheckIn.DONE
            works(stale)
        assert paths(server)[1:] == ["checkin", "query", "query"]

    def test_a_key_that_the_platform_no_longer_takes(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        """A payer's code too is sent again after a refused signature, which took no effect."""
        terminal = theirs(server, account)
        terminal.previous, terminal.key = terminal.key, server.new_key()
        with time_machine.travel(NOW + timedelta(minutes=5), tick=True):
            works(services.gateway_of(account))
        assert paths(server)[1:] == ["query", "checkin", "query"]

    def test_a_terminal_is_lost_when_every_key_is_refused(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        # Two answers in a row are lost, so that the platform holds a key nobody has seen.
        server.faults += [lost_after(server), lost_after(server)]
        row = ours(account)
        assert terminals.check_in(account_terminal_id=row.pk, now=TOMORROW) is CheckIn.UNANSWERED
        later = TOMORROW + timedelta(minutes=2)
        with time_machine.travel(later, tick=True):
            again = terminals.check_in_due(account_terminal_id=row.pk, now=later)
            assert again == later + timedelta(hours=1)
            with pytest.raises(PlatformRejected) as caught:
                services.gateway_of(account).query_payment(payment_ref())
        assert (caught.value.code, caught.value.retry_same) == ("terminal_lost", True)
        assert ours(account).state == TerminalState.LOST
        account.refresh_from_db()
        check = services.last_check(account)
        assert check is not None
        assert (check.state, check.field) == (CheckState.BAD, "activation_code")
        assert services.needs_activation(account)
        asked = len(server.requests)
        with pytest.raises(PlatformRejected):
            services.gateway_of(account).create_payment(create_request(wallet="alipay"))
        assert len(server.requests) == asked
        told = AuditEvent.objects.filter(action="account.terminal_lost")
        assert told.count() == 1

    def lose(self, account: PlatformAccount, server: ShouqianbaServer) -> AccountTerminal:
        """The platform holds a key that we have never seen."""
        row = ours(account)
        theirs(server, account).key = "unseen"
        assert terminals.check_in(account_terminal_id=row.pk, now=TOMORROW) is CheckIn.LOST
        return ours(account)

    def test_a_lost_one_is_tried_again_each_hour_and_found(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        held = terminals.keys_of(ours(account)).current
        row = self.lose(account, server)
        due = Due.objects.get(task=terminals.TASK, subject_id=row.pk)
        next_hour = TOMORROW + timedelta(hours=1)
        assert due.due_at <= next_hour
        # Calls send nothing meanwhile, and trying in vain tells nobody anything new.
        again = terminals.check_in_due(account_terminal_id=row.pk, now=next_hour)
        assert again == next_hour + timedelta(hours=1)
        assert AuditEvent.objects.filter(action="account.terminal_lost").count() == 1
        server.terminals[row.terminal_sn].key = held
        with time_machine.travel(again, tick=True):
            following = terminals.check_in_due(account_terminal_id=row.pk, now=again)
            works(services.gateway_of(account))
        assert following is not None
        assert following - again > timedelta(hours=1)
        row = ours(account)
        assert (row.state, row.detail) == (TerminalState.ACTIVE, "")
        account.refresh_from_db()
        check = services.last_check(account)
        assert check is not None
        assert check.state is CheckState.GOOD

    def test_of_a_lost_one_no_lesser_trouble_is_told(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        row = self.lose(account, server)
        server.faults.append(lambda _: server.outer("400", "INVALID_TERMINAL"))
        terminals.check_in_due(account_terminal_id=row.pk, now=TOMORROW + timedelta(hours=1))
        row = ours(account)
        assert (row.state, row.detail) == (TerminalState.LOST, "terminal_lost")

    def test_a_refusal_that_is_not_about_keys(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        server.faults.append(lambda _: server.outer("400", "INVALID_TERMINAL"))
        row = ours(account)
        again = terminals.check_in_due(account_terminal_id=row.pk, now=TOMORROW)
        assert again == TOMORROW + timedelta(hours=1)
        row = ours(account)
        assert (row.state, row.detail) == (
            TerminalState.ACTIVE,
            "check_in_refused|INVALID_TERMINAL",
        )


class TestWhoCalls:
    @pytest.fixture
    def till(self, scoped: Shop, account: PlatformAccount, server: ShouqianbaServer) -> Terminal:
        server.codes["TILL01"] = 1
        till = make_terminal(scoped)
        terminals.activate(
            account_id=account.pk, terminal_id=till.pk, code="TILL01", actor=ACTOR, now=NOW
        )
        # It begins things a few seconds after it was activated.
        AccountTerminal.objects.filter(terminal=till).update(activated_at=NOW)
        return till

    def caller(self, server: ShouqianbaServer, gateway: PlatformGateway) -> str:
        works(gateway)
        return server.requests[-1].headers["authorization"].partition(" ")[0]

    def test_the_terminal_that_began_it(
        self, account: PlatformAccount, till: Terminal, server: ShouqianbaServer
    ) -> None:
        at_till = AccountTerminal.objects.get(terminal=till)
        by_till = services.gateway_of(account, terminal_id=till.pk)
        assert self.caller(server, by_till) == at_till.terminal_sn
        assert self.caller(server, services.gateway_of(account)) == ours(account).terminal_sn
        # What began before the till was activated was begun by the portal's own.
        before = services.gateway_of(account, terminal_id=till.pk, began_at=BEGAN_AT)
        assert self.caller(server, before) == ours(account).terminal_sn

    def test_after_it_was_switched_off_it_still_asks_about_what_it_began(
        self, account: PlatformAccount, till: Terminal, server: ShouqianbaServer
    ) -> None:
        at_till = AccountTerminal.objects.get(terminal=till)
        off_at = NOW + timedelta(hours=1)
        assert terminals.switch_off(account_terminal_id=at_till.pk, actor=ACTOR, now=off_at)
        # What begins while it is switched off: who began it may have seen it on still.
        for began in (NOW + timedelta(minutes=1), off_at, off_at + timedelta(seconds=4)):
            asking = services.gateway_of(account, terminal_id=till.pk, began_at=began)
            assert self.caller(server, asking) == at_till.terminal_sn
        later = off_at + timedelta(seconds=5)
        new = services.gateway_of(account, terminal_id=till.pk, began_at=later)
        assert self.caller(server, new) == ours(account).terminal_sn

    def test_what_begins_while_a_terminal_is_activated_is_asked_about_by_who_began_it(
        self,
        scoped: Shop,
        account: PlatformAccount,
        server: ShouqianbaServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The call takes its time. Another terminal would be told that there is no such payment, and it would be closed."""
        server.codes["TILL01"] = 1
        till = make_terminal(scoped)
        honest = activation.call_activation
        began_at = []

        def slow(**told: Any) -> terminals.Activated:
            activated = honest(**told)
            began_at.append(clock.now())
            begun = services.gateway_of(account, terminal_id=till.pk, began_at=began_at[0])
            assert self.caller(server, begun) == ours(account).terminal_sn
            return activated

        monkeypatch.setattr(activation, "call_activation", slow)
        row = terminals.activate(
            account_id=account.pk, terminal_id=till.pk, code="TILL01", actor=ACTOR, now=clock.now()
        )
        asking = services.gateway_of(account, terminal_id=till.pk, began_at=began_at[0])
        assert self.caller(server, asking) == ours(account).terminal_sn
        # Nor is it the new one's what began just before its row was there to be seen.
        just_now = services.gateway_of(account, terminal_id=till.pk)
        assert self.caller(server, just_now) == ours(account).terminal_sn
        later = clock.now() + timedelta(seconds=5)
        by_till = services.gateway_of(account, terminal_id=till.pk, began_at=later)
        assert self.caller(server, by_till) == row.terminal_sn

    def test_one_that_nobody_looks_after_is_found(
        self, account: PlatformAccount, till: Terminal
    ) -> None:
        """Of an account connected before check-ins were planned, or whose due was lost."""
        at_till = AccountTerminal.objects.get(terminal=till)
        dues = Due.objects.filter(task=terminals.TASK)
        planned = dict(dues.values_list("subject_id", "due_at"))
        assert plan_upkeep(now=NOW) == 0
        dues.filter(subject_id=at_till.pk).delete()
        assert plan_upkeep(now=NOW) == 1
        assert dues.get(subject_id=at_till.pk).due_at == NOW
        # It has its key of the day, so nothing is sent for it, and it goes on as it would have.
        again = terminals.check_in_due(account_terminal_id=at_till.pk, now=NOW)
        assert again == planned[at_till.pk]
        dues.filter(subject_id=at_till.pk).delete()
        # Lost, it is tried each hour, until a month after it began its last.
        lost = AccountTerminal.objects.filter(pk=at_till.pk)
        lost.update(state=TerminalState.LOST, off_at=NOW)
        assert plan_upkeep(now=NOW + timedelta(days=30)) == 1
        dues.filter(subject_id=at_till.pk).delete()
        assert plan_upkeep(now=NOW + timedelta(days=30, seconds=1)) == 0
        lost.update(state=TerminalState.ACTIVE, off_at=None)
        terminals.switch_off(account_terminal_id=at_till.pk, actor=ACTOR, now=NOW)
        assert plan_upkeep(now=NOW) == 0

    def replace(self, account: PlatformAccount, server: ShouqianbaServer) -> AccountTerminal:
        """The portal's own terminal is lost and another one activated; gives the lost one."""
        row = ours(account)
        AccountTerminal.objects.filter(pk=row.pk).update(state=TerminalState.LOST)
        server.codes["NEW456"] = 1
        terminals.activate(
            account_id=account.pk,
            terminal_id=None,
            code="NEW456",
            actor=ACTOR,
            now=NOW + timedelta(hours=2),
        )
        return row

    def test_what_a_replaced_one_began_nobody_else_asks_about(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        old = self.replace(account, server)
        assert ours(account).terminal_sn != old.terminal_sn
        began = NOW + timedelta(hours=1)
        asked = len(server.requests)
        with pytest.raises(PlatformRejected) as caught:
            services.gateway_of(account, began_at=began).query_payment(payment_ref())
        assert (caught.value.code, caught.value.retry_same) == ("terminal_replaced", True)
        assert len(server.requests) == asked
        new = services.gateway_of(account, began_at=NOW + timedelta(hours=2))
        with time_machine.travel(NOW + timedelta(hours=3), tick=True):
            assert self.caller(server, new) == ours(account).terminal_sn
            # Found again it asks about its own, and begins nothing.
            again = terminals.check_in_due(account_terminal_id=old.pk, now=clock.now())
            assert again is not None
            old.refresh_from_db()
            assert old.state == TerminalState.OFF
            asking = services.gateway_of(account, began_at=began)
            assert self.caller(server, asking) == old.terminal_sn
            assert self.caller(server, services.gateway_of(account)) == ours(account).terminal_sn

    def test_a_replaced_one_is_given_up_after_a_month(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        old = self.replace(account, server)
        long_after = NOW + timedelta(days=31)
        assert terminals.check_in_due(account_terminal_id=old.pk, now=long_after) is None

    def test_its_payment_stays_and_its_notice_counts(
        self, account: PlatformAccount, server: ShouqianbaServer, handler: CountingHandler
    ) -> None:
        begun = create_request(product=Product.DYNAMIC_QR, wallet="wechatpay")
        services.gateway_of(account).create_payment(begun)
        self.replace(account, server)
        server.pay(begun.order_no)
        receipt = services.receive(
            account=account, raw=server.callback(begun.order_no), remote_ip=None, now=clock.now()
        )
        assert receipt.state == NotificationState.APPLIED
        assert len(handler.applied) == 1

    def test_a_code_that_gives_the_same_terminal_back(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        row = ours(account)
        AccountTerminal.objects.update(state=TerminalState.LOST)
        activated = terminals.Activated(
            device_id="portal-2", key=TerminalKey(terminal_sn=row.terminal_sn, terminal_key="k2")
        )
        later = NOW + timedelta(hours=2)
        terminals.keep(account, activated, terminal_id=None, actor=ACTOR, now=later)
        again = ours(account)
        assert (again.pk, again.state, again.activated_at) == (row.pk, "active", row.activated_at)
        assert terminals.keys_of(again).current == "k2"

    def given_back(
        self, account: PlatformAccount, row: AccountTerminal, terminal: Terminal | None
    ) -> AccountTerminal:
        """Activate with a code that gives a terminal back which served here before."""
        key = TerminalKey(terminal_sn=row.terminal_sn, terminal_key="k2")
        return terminals.keep(
            account,
            terminals.Activated(device_id="portal-2", key=key),
            terminal_id=None if terminal is None else terminal.pk,
            actor=ACTOR,
            now=TOMORROW,
        )

    def test_a_shops_lost_terminal_that_is_given_back_stands_again(
        self, account: PlatformAccount, till: Terminal, server: ShouqianbaServer
    ) -> None:
        at_till = AccountTerminal.objects.get(terminal=till)
        lost_at = NOW + timedelta(hours=2)
        server.terminals[at_till.terminal_sn].key = "unseen"
        AccountTerminal.objects.filter(pk=at_till.pk).update(checked_in_at=NOW - timedelta(days=1))
        assert terminals.check_in(account_terminal_id=at_till.pk, now=lost_at) is CheckIn.LOST
        again = self.given_back(account, at_till, till)
        assert (again.pk, again.state, again.off_at) == (at_till.pk, "active", None)
        assert terminals.keys_of(again).current == "k2"
        server.terminals[at_till.terminal_sn].key = "k2"

        def caller_of(began_at: datetime) -> str:
            with time_machine.travel(TOMORROW + timedelta(minutes=1), tick=True):
                gateway = services.gateway_of(account, terminal_id=till.pk, began_at=began_at)
                return self.caller(server, gateway)

        portals_own = ours(account).terminal_sn
        began = {
            lost_at - timedelta(seconds=1): at_till.terminal_sn,
            # What began without it stays with the one that began it.
            lost_at: portals_own,
            TOMORROW + timedelta(seconds=4): portals_own,
            TOMORROW + timedelta(seconds=5): at_till.terminal_sn,
        }
        assert {at: caller_of(at) for at in began} == began
        # Once more, with another gap.
        terminals.switch_off(account_terminal_id=again.pk, actor=ACTOR, now=TOMORROW)
        again.refresh_from_db()
        again.stand_again(TOMORROW + timedelta(hours=1))
        assert len(again.gaps) == 2
        assert not again.calls_at(TOMORROW + timedelta(minutes=30))

    def test_the_portals_own_before_last_that_is_given_back_begins_again(
        self, account: PlatformAccount, server: ShouqianbaServer
    ) -> None:
        first = self.replace(account, server)
        second = ours(account)
        AccountTerminal.objects.filter(pk=second.pk).update(state=TerminalState.LOST)
        first.refresh_from_db()
        assert self.given_back(account, first, None).pk == first.pk
        assert ours(account).pk == first.pk
        for at, row in (
            (NOW + timedelta(hours=1), first),
            (NOW + timedelta(hours=3), second),
            (TOMORROW, first),
        ):
            found = services.terminal_of(services.Caller(account, None, at))
            assert found is not None
            assert found.pk == row.pk

    def test_a_code_of_another_terminal_renews_its_key_and_is_refused(
        self,
        scoped: Shop,
        account: PlatformAccount,
        till: Terminal,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        at_till = AccountTerminal.objects.get(terminal=till)
        bar = Terminal.objects.create(store=scoped.store, name="吧台")
        key = TerminalKey(terminal_sn=at_till.terminal_sn, terminal_key="k2")
        activated = terminals.Activated(device_id="portal-2", key=key)
        monkeypatch.setattr(activation, "call_activation", lambda **_: activated)
        monkeypatch.setattr(terminals, "call_activation", lambda **_: activated)
        with pytest.raises(terminals.ActivationRefused, match="收银台"):
            terminals.activate(
                account_id=account.pk, terminal_id=bar.pk, code="X", actor=ACTOR, now=NOW
            )
        at_till.refresh_from_db()
        assert (at_till.state, at_till.device_id) == ("active", "portal-2")
        assert terminals.keys_of(at_till).current == "k2"
        assert not AccountTerminal.objects.filter(terminal=bar).exists()
        # No more does it become the portal's own.
        AccountTerminal.objects.filter(terminal=None).update(state=TerminalState.LOST)
        with pytest.raises(services.CredentialsRefused, match="收银台"):
            services.update_account(
                account_id=account.pk,
                label="收钱吧",
                keys={"activation_code": "NEW456"},
                fee_rate_ppm=3800,
                all_stores=True,
                store_ids=[],
                actor=ACTOR,
                now=clock.now(),
            )
        assert ours(account).state == TerminalState.LOST

    def test_where_a_shops_terminal_is_lost_the_portals_own_begins(
        self, account: PlatformAccount, till: Terminal, server: ShouqianbaServer
    ) -> None:
        at_till = AccountTerminal.objects.get(terminal=till)
        server.terminals[at_till.terminal_sn].key = "unseen"
        lost_at = TOMORROW
        assert terminals.check_in(account_terminal_id=at_till.pk, now=lost_at) is CheckIn.LOST
        with time_machine.travel(TOMORROW, tick=True):
            new = services.gateway_of(account, terminal_id=till.pk)
            assert self.caller(server, new) == ours(account).terminal_sn
            before = services.gateway_of(account, terminal_id=till.pk, began_at=NOW)
            with pytest.raises(PlatformRejected, match="terminal_replaced"):
                before.query_payment(payment_ref())
        server.codes["TILL02"] = 1
        renewed = terminals.activate(
            account_id=account.pk, terminal_id=till.pk, code="TILL02", actor=ACTOR, now=TOMORROW
        )
        with time_machine.travel(TOMORROW + timedelta(seconds=5), tick=True):
            by_till = services.gateway_of(account, terminal_id=till.pk)
            assert self.caller(server, by_till) == renewed.terminal_sn

    def test_many_at_once_cost_one_query_for_terminals(
        self,
        account: PlatformAccount,
        till: Terminal,
        django_assert_num_queries: Callable[[int], Any],
    ) -> None:
        callers = [
            services.Caller(account, terminal_id, NOW)
            for terminal_id in (None, till.pk, 10**9) * 20
        ]
        with django_assert_num_queries(1):
            assert len(services.gateways_of(callers)) == 60

    def test_any_terminals_notice_is_ours(
        self, account: PlatformAccount, till: Terminal, server: ShouqianbaServer
    ) -> None:
        request = create_request(wallet="wechatpay")
        services.gateway_of(account, terminal_id=till.pk).create_payment(request)
        server.pay(request.order_no)
        notice = services.gateway_of(account).parse_notification(server.callback(request.order_no))
        assert notice.payment is not None
        assert notice.payment.outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize("terminal", [True, False])
    def test_a_terminal_that_works_is_not_activated_twice(
        self, account: PlatformAccount, till: Terminal, server: ShouqianbaServer, terminal: bool
    ) -> None:
        server.codes["MORE01"] = 1
        with pytest.raises(terminals.TerminalInUse):
            terminals.activate(
                account_id=account.pk,
                terminal_id=till.pk if terminal else None,
                code="MORE01",
                actor=ACTOR,
                now=NOW,
            )
        assert server.codes["MORE01"] == 1

    @pytest.fixture
    def foreign(self, db: None) -> Terminal:
        other = make_shop("noodles")
        with enter_scope(other.scope):
            return make_terminal(other)

    def test_another_merchants_terminal_is_not_found(
        self, foreign: Terminal, account: PlatformAccount
    ) -> None:
        with pytest.raises(terminals.TerminalNotFound):
            terminals.activate(
                account_id=account.pk, terminal_id=foreign.pk, code=CODE, actor=ACTOR, now=NOW
            )


# Many callers at the first moment of a day


@pytest.fixture
def shared(
    server: ShouqianbaServer, transactional_db: None
) -> Iterator[tuple[Shop, PlatformAccount]]:
    """An account whose key is of yesterday, committed; a check-in takes a moment."""
    shop = make_shop()
    with enter_scope(shop.scope):
        account = connect()
    server.checking_in = lambda: time.sleep(0.2)
    with time_machine.travel(TOMORROW, tick=True):
        yield shop, account


def all_at_once(shop: Shop, account: PlatformAccount) -> list[str]:
    """Callers that all begin with yesterday's key; what each was told."""
    start = threading.Barrier(CALLERS)
    told: list[str] = []

    def call() -> None:
        try:
            with enter_scope(shop.scope):
                gateway = services.gateway_of(PlatformAccount.objects.get(pk=account.pk))
            start.wait(20)
            gateway.query_payment(payment_ref())
        except (PlatformRejected, PlatformUnavailable) as error:
            told.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_with_the_lease_one_of_them_checks_in(
    shared: tuple[Shop, PlatformAccount], server: ShouqianbaServer
) -> None:
    shop, account = shared
    assert all_at_once(shop, account) == ["UPAY_ORDER_NOT_EXISTS"] * CALLERS
    with enter_scope(shop.scope):
        assert theirs(server, account).check_ins == 1
        assert terminals.keys_of(ours(account)).current == theirs(server, account).key


def test_without_the_lease_they_take_the_key_from_each_other(
    shared: tuple[Shop, PlatformAccount],
    server: ShouqianbaServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The twin: a lease that has ended before it begins."""
    shop, account = shared
    monkeypatch.setattr(check_ins, "_lease", lambda: timedelta(seconds=-1))
    told = all_at_once(shop, account)
    with enter_scope(shop.scope):
        assert theirs(server, account).check_ins > 1
        held = terminals.keys_of(ours(account)).current
        broken = ours(account).state == TerminalState.LOST or held != theirs(server, account).key
    assert broken or told != ["UPAY_ORDER_NOT_EXISTS"] * CALLERS


def test_a_callback_that_could_not_be_applied_is_applied_from_its_stored_copy(
    account: PlatformAccount, server: ShouqianbaServer, handler: CountingHandler
) -> None:
    """Its signature stands in a header that is kept for this platform only."""
    begun = create_request(product=Product.DYNAMIC_QR, wallet="wechatpay")
    services.gateway_of(account).create_payment(begun)
    server.pay(begun.order_no)
    handler.trouble = RuntimeError("our slip")
    receipt = services.receive(
        account=account, raw=server.callback(begun.order_no), remote_ip=None, now=clock.now()
    )
    assert receipt.state == NotificationState.FAILED

    handler.trouble = None
    row = services.reprocess_notification(
        notification_id=receipt.notification_id, now=clock.now(), actor=Actor.system("outbox")
    )
    assert (row.state, row.verdict) == (NotificationState.APPLIED, Verdict.GOOD)
    assert len(handler.applied) == 1
