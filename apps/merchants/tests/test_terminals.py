"""Terminals: adding, changing, switching off and on."""

from __future__ import annotations

from typing import Any

import pytest

from apps.core.models import AuditEvent
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Store, Terminal
from apps.merchants.selectors import get_terminal, list_terminals
from apps.merchants.services import (
    BRANDS,
    TerminalNameTaken,
    TerminalSerialTaken,
    add_terminal,
    set_terminal_active,
    update_terminal,
)
from apps.merchants.tests.teams import ACTOR, NOW, make_merchant, make_store

pytestmark = pytest.mark.django_db


def add(store: Store, name: str = "收银台", **more: str) -> Terminal:
    return add_terminal(store_id=store.pk, name=name, actor=ACTOR, now=NOW, **more)


def change(terminal: Terminal, **changes: Any) -> Terminal:
    facts = {
        "store_id": terminal.store_id,
        "name": terminal.name,
        "brand": terminal.brand,
        "model_name": terminal.model_name,
        "serial_no": terminal.serial_no,
        "note": terminal.note,
    }
    return update_terminal(terminal_id=terminal.pk, **{**facts, **changes}, actor=ACTOR, now=NOW)


def test_a_name_is_used_once_in_a_store_and_again_in_another() -> None:
    merchant, _, store = make_merchant()
    other = make_store(merchant)
    with enter_scope(Scope(merchant.pk)):
        add(store)
        add(other)
        with pytest.raises(TerminalNameTaken):
            add(store)
        assert Terminal.objects.count() == 2
        assert AuditEvent.objects.filter(action="terminal.added").count() == 2


def test_a_serial_number_is_used_once_for_each_brand() -> None:
    merchant, _, store = make_merchant()
    other = make_store(merchant)
    with enter_scope(Scope(merchant.pk)):
        first = add(store, "A", brand="商米", serial_no="SN1")
        add(store, "B", brand="联迪", serial_no="SN1")
        add(store, "C", brand="商米")
        second = add(store, "D", brand="商米")
        with pytest.raises(TerminalSerialTaken):
            add(other, "E", brand="商米", serial_no="SN1")
        with pytest.raises(TerminalSerialTaken):
            change(second, serial_no="SN1")
        change(first, brand="商米", note="x")
        assert Terminal.objects.count() == 4


def test_two_merchants_may_have_the_same_device() -> None:
    for _ in range(2):
        merchant, _owner, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            add(store, brand="商米", serial_no="SN1")
            assert Terminal.objects.count() == 1


def test_a_change_is_audited_by_its_difference() -> None:
    merchant, _, store = make_merchant()
    other = make_store(merchant)
    with enter_scope(Scope(merchant.pk)):
        terminal = add(store)
        change(terminal)
        assert not AuditEvent.objects.filter(action="terminal.changed").exists()
        change(terminal, store_id=other.pk, brand=BRANDS[0])
        event = AuditEvent.objects.get(action="terminal.changed")
        assert event.data == {"store_id": [store.pk, other.pk], "brand": ["", "拉卡拉"]}
        assert event.store_id == other.pk


def test_switching_off_and_on() -> None:
    merchant, _, store = make_merchant()
    with enter_scope(Scope(merchant.pk)):
        terminal, second = add(store), add(store, "B")
        for active in (False, False, True, True):
            set_terminal_active(terminal_id=terminal.pk, active=active, actor=ACTOR, now=NOW)
            wanted = [second, terminal] if active else [second]
            assert list(list_terminals(only_active=True)) == wanted
        actions = AuditEvent.objects.filter(subject_kind="terminal", subject_id=terminal.pk)
        assert [event.action for event in actions.order_by("pk")] == [
            "terminal.added",
            "terminal.switched_off",
            "terminal.switched_on",
        ]


def test_other_stores_and_other_merchants_are_out_of_reach() -> None:
    merchant, _, store = make_merchant()
    other = make_store(merchant)
    strange, _, strange_store = make_merchant()
    with enter_scope(Scope(strange.pk)):
        strangers = add(strange_store)
    with enter_scope(Scope(merchant.pk)):
        elsewhere = add(other)
        mine = add(store)
        with pytest.raises(Store.DoesNotExist):
            add(strange_store)
    with enter_scope(Scope(merchant.pk, frozenset({store.pk}))):
        assert list(list_terminals()) == [mine]
        for hidden in (elsewhere, strangers):
            with pytest.raises(Terminal.DoesNotExist):
                get_terminal(hidden.pk)
            with pytest.raises(Terminal.DoesNotExist):
                set_terminal_active(terminal_id=hidden.pk, active=False, actor=ACTOR, now=NOW)
        with pytest.raises(Store.DoesNotExist):
            change(mine, store_id=other.pk)
