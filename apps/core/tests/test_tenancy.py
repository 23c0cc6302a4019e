"""Without a scope nothing is read or written; with one, only its merchant's rows, whatever SQL says."""

from __future__ import annotations

import pytest
from django.db import ProgrammingError, connection, transaction

from apps.core.tenancy import NoScope, Scope, current_scope, enter_scope
from apps.merchants.models import Store
from apps.merchants.tests.factories import Shop, make_shop


@pytest.fixture
def shops(db: None) -> tuple[Shop, Shop]:
    return make_shop("tea"), make_shop("bar")


def sql(statement: str, *values: int) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def test_without_a_scope_the_manager_raises(shops: tuple[Shop, Shop]) -> None:
    for read in (Store.objects.all, Store.objects.count, Store._base_manager.all):
        with pytest.raises(NoScope):
            read()


def test_without_a_scope_the_database_shows_nothing(shops: tuple[Shop, Shop]) -> None:
    assert sql("SELECT count(*) FROM merchants_store") == [(0,)]


def test_with_a_scope_raw_sql_sees_one_merchant_only(shops: tuple[Shop, Shop]) -> None:
    tea, bar = shops
    with enter_scope(tea.scope):
        assert sql("SELECT merchant_id FROM merchants_store") == [(tea.merchant.pk,)]
        assert (
            sql("UPDATE merchants_store SET name = 'x' WHERE id = %s RETURNING id", bar.store.pk)
            == []
        )
    with enter_scope(bar.scope):
        assert Store.objects.get().name == "一号店"


def test_a_row_of_another_merchant_cannot_be_written(shops: tuple[Shop, Shop]) -> None:
    tea, bar = shops
    with (
        enter_scope(tea.scope),
        pytest.raises(ProgrammingError, match="row-level security"),
        transaction.atomic(),
    ):
        Store.objects.create(merchant_id=bar.merchant.pk, name="stolen")


def test_leaving_a_scope_clears_it_even_after_an_error(shops: tuple[Shop, Shop]) -> None:
    tea, _ = shops
    with pytest.raises(RuntimeError, match="boom"), enter_scope(tea.scope):
        raise RuntimeError("boom")
    with pytest.raises(NoScope):
        current_scope()
    assert sql("SELECT current_setting('app.merchant_id', true)") == [("",)]


def test_scopes_nest_only_for_the_same_merchant(shops: tuple[Shop, Shop]) -> None:
    tea, bar = shops
    with enter_scope(tea.scope):
        with enter_scope(Scope(tea.merchant.pk, frozenset({1}))):
            assert current_scope().store_ids == frozenset({1})
        assert Store.objects.count() == 1
        with pytest.raises(RuntimeError, match="another merchant"), enter_scope(bar.scope):
            pass


def test_a_scope_of_some_stores_sees_only_those(shops: tuple[Shop, Shop]) -> None:
    tea, _ = shops
    with enter_scope(tea.scope):
        second = Store.objects.create(name="二号店")
    with enter_scope(Scope(tea.merchant.pk, frozenset({second.pk}))):
        assert list(Store.objects.visible("pk")) == [second]
