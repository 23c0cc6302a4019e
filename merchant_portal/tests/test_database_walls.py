"""Every table that belongs to a merchant stands behind the wall, and nothing else does without being named here."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection, models

from apps.core.tenancy import MerchantScoped, ScopedManager

#: All that stands outside the wall with a merchant's id on it: ids and hashes only.
OUTSIDE = {"core_door", "core_due", "merchants_membership"}
#: Tables without a merchant's id, by the start of their name: people, sessions, the framework's own, and Merchant.
NOT_A_MERCHANTS = (
    "accounts_",
    "account_",
    "auth_",
    "django_",
    "mfa_",
    "merchants_merchant",
    "portal_cache",
)
APPEND_ONLY = {
    "refunds_refunddecision",
    "refunds_refundrulebook",
    "checkout_shifttotal",
    "approvals_approvalterms",
    "approvals_decision",
    "core_auditevent",
    "core_auditseal",
    "ledger_adjustmentline",
    "ledger_adjustmentpaper",
    "ledger_paperpiece",
    "ledger_journalentry",
    "ledger_posting",
    "platforms_agreement",
    "platforms_agreementwithdrawal",
    "platforms_checklisttick",
    "platforms_feetier",
    "qrcodes_scan",
    "reconciliation_dayclose",
    "reconciliation_dayfile",
    "reconciliation_dayfilepart",
    "risk_riskfeedback",
    "risk_riskreview",
    "risk_riskrulebook",
    "statements_bankfile",
    "statements_balancenotice",
    "statements_reservemove",
    "statements_reserveterms",
    "statements_settlementversion",
}
CLAUSE = "(merchant_id = ( SELECT (NULLIF(current_setting('app.merchant_id'::text, true), ''::text))::bigint AS \"nullif\"))"

pytestmark = pytest.mark.django_db


def rows(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def tables() -> dict[str, bool]:
    """Every table (partitions included) and whether it has a merchant_id column."""
    found = rows(
        """
        SELECT c.relname, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid
                                  AND a.attname = 'merchant_id' AND NOT a.attisdropped)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
        """
    )
    return {str(name): bool(has) for name, has in found}


def test_every_merchants_table_has_the_forced_policy_partitions_included() -> None:
    walled = {name for name, has in tables().items() if has} - OUTSIDE
    assert len(walled) > 50
    policies = {
        str(name): (forced, using, check)
        for name, forced, using, check in rows(
            """
            SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
                   pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
            FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE p.polcmd = '*'
            """
        )
    }
    wrong = {
        name: policies.get(name) for name in walled if policies.get(name) != (True, CLAUSE, CLAUSE)
    }
    assert wrong == {}


def test_only_what_is_named_stands_outside() -> None:
    bare = {name for name, has in tables().items() if not has}
    assert {name for name in bare if not name.startswith(NOT_A_MERCHANTS)} == set()
    assert {name for name, has in tables().items() if has} >= OUTSIDE


def test_the_role_can_not_walk_around_the_wall() -> None:
    assert rows("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user") == [
        (False, False)
    ]


def scoped_models() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if issubclass(model, MerchantScoped)]


def test_every_protected_model_uses_the_manager_that_insists_on_a_scope() -> None:
    for model in scoped_models():
        assert isinstance(model._default_manager, ScopedManager), model
        assert isinstance(model._base_manager, ScopedManager), model


def test_every_key_between_protected_rows_is_composite() -> None:
    keys: set[tuple[str, tuple[str, ...]]] = {
        (str(table), tuple(columns))  # type: ignore[arg-type]
        for table, columns in rows(
            """
            SELECT c.conrelid::regclass::text, ARRAY(
                SELECT a.attname FROM unnest(c.conkey) WITH ORDINALITY k(n, i)
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY k.i)
            FROM pg_constraint c WHERE c.contype = 'f'
            """
        )
    }
    missing = []
    for model in scoped_models():
        for field in model._meta.local_fields:
            if not isinstance(field, models.ForeignKey) or not issubclass(
                field.related_model, MerchantScoped
            ):
                continue
            table, column = model._meta.db_table, field.column
            if (table, (column,)) in keys:
                missing.append(f"{table}.{column} has a plain key as well")
            if not any(t == table and c[:2] == ("merchant_id", column) for t, c in keys):
                missing.append(f"{table}.{column}")
    assert missing == []


def test_append_only_tables_are_guarded() -> None:
    guarded = {
        str(name)
        for (name,) in rows(
            """
            SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname LIKE 'append_only%') = 2
            """
        )
    }
    assert guarded == APPEND_ONLY


def test_money_columns_are_whole_numbers() -> None:
    for model in apps.get_models():
        for field in model._meta.local_fields:
            assert not isinstance(field, models.FloatField | models.DecimalField), field
            if field.name.endswith("_minor"):
                assert isinstance(field, models.BigIntegerField), field
