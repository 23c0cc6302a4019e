"""Migration operations that put a table behind the wall, make it append-only, or split it by month."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db.migrations.operations import RunSQL

POLICY = "merchant_id = (SELECT NULLIF(current_setting('app.merchant_id', true), '')::bigint)"


def protect(table: str, *, foreign_key: bool = True) -> RunSQL:
    """Row-level security, forced, and a foreign key to the merchant."""
    forward: list[Any] = [
        f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
        f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
        f'CREATE POLICY merchant_wall ON "{table}" USING ({POLICY}) WITH CHECK ({POLICY})',
    ]
    backward: list[Any] = [
        f'DROP POLICY merchant_wall ON "{table}"',
        f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY',
        f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY',
    ]
    if foreign_key:
        forward.append(
            f'ALTER TABLE "{table}" ADD CONSTRAINT {table}_merchant_fk FOREIGN KEY (merchant_id)'
            " REFERENCES merchants_merchant (id) DEFERRABLE INITIALLY DEFERRED"
        )
        backward.insert(0, f'ALTER TABLE "{table}" DROP CONSTRAINT {table}_merchant_fk')
    return RunSQL(forward, backward)


def composite_key(table: str, column: str, parent: str) -> RunSQL:
    """Foreign key ``(merchant_id, column)`` to ``parent (merchant_id, id)``: a stranger's row cannot be named."""
    name = f"{table}_{column}_wall"[:63]
    return RunSQL(
        f'ALTER TABLE "{table}" ADD CONSTRAINT {name} FOREIGN KEY (merchant_id, {column})'
        f' REFERENCES "{parent}" (merchant_id, id) DEFERRABLE INITIALLY DEFERRED',
        f'ALTER TABLE "{table}" DROP CONSTRAINT {name}',
    )


REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION portal_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('app.allow_truncate', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$
"""


def append_only(table: str) -> RunSQL:
    """Triggers that refuse UPDATE, DELETE and TRUNCATE (tests set ``app.allow_truncate`` to empty tables)."""
    return RunSQL(
        [
            REFUSE_CHANGE,
            f'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON "{table}"'
            " FOR EACH ROW EXECUTE FUNCTION portal_refuse_change()",
            f'CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "{table}"'
            " FOR EACH STATEMENT EXECUTE FUNCTION portal_refuse_change()",
        ],
        [
            f'DROP TRIGGER append_only_truncate ON "{table}"',
            f'DROP TRIGGER append_only ON "{table}"',
        ],
    )


#: A new partition has neither its parent's policy nor its TRUNCATE guard; this function gives it both.
MAKE_PARTITION = """
CREATE OR REPLACE FUNCTION portal_make_partition(parent text, month date, guarded boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    child text := parent || '_' || CASE WHEN month IS NULL THEN 'default' ELSE to_char(month, 'YYYYMM') END;
    low timestamptz := (date_trunc('month', month)::timestamp) AT TIME ZONE 'Asia/Shanghai';
    high timestamptz := (date_trunc('month', month) + interval '1 month')::timestamp AT TIME ZONE 'Asia/Shanghai';
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN child;
    END IF;
    IF month IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', child, parent);
    ELSE
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent, low, high);
    END IF;
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', child);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', child);
    EXECUTE format('CREATE POLICY merchant_wall ON %I USING ({policy}) WITH CHECK ({policy})', child);
    IF guarded THEN
        EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION portal_refuse_change()', child);
    END IF;
    RETURN child;
END $$
""".replace("{policy}", POLICY.replace("'", "''"))

#: Makes the months that are missing in every table split by month. The application's role may create no table, so
#: this runs with the owner's rights; it can do nothing but add empty months near today.
MAKE_MONTHS = """
CREATE OR REPLACE FUNCTION portal_make_months(first date, months integer) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent record;
    month date;
BEGIN
    IF months NOT BETWEEN 1 AND 36 OR abs(first - current_date) > 3660 THEN
        RAISE EXCEPTION 'months must be 1 to 36, near today' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR parent IN
        SELECT c.relname::text AS name,
               EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'append_only') AS guarded
        FROM pg_partitioned_table p
        JOIN pg_class c ON c.oid = p.partrelid
        JOIN pg_class d ON d.oid = p.partdefid
        WHERE c.relnamespace = 'public'::regnamespace AND d.relname = c.relname || '_default'
        ORDER BY c.relname
    LOOP
        FOR step IN 0 .. months - 1 LOOP
            month := (date_trunc('month', first) + make_interval(months => step))::date;
            IF to_regclass(format('%I', parent.name || '_' || to_char(month, 'YYYYMM'))) IS NULL THEN
                RETURN NEXT portal_make_partition(parent.name, month, parent.guarded);
            END IF;
        END LOOP;
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION portal_make_months(date, integer) FROM PUBLIC;
"""


def partition_by_month(
    table: str, *, column: str, first_month: date, months: int, guarded: bool
) -> RunSQL:
    """Turn an empty table into one split by month (China's months) on ``column``, with a DEFAULT partition.

    Keys and indexes must contain the column, so the primary key becomes ``(id, column)``. Run before ``protect``,
    ``append_only`` and any index.
    """
    make = [f"SELECT portal_make_partition('{table}', NULL, {str(guarded).lower()})"]
    year, month = first_month.year, first_month.month
    for _ in range(months):
        make.append(
            f"SELECT portal_make_partition('{table}', '{year}-{month:02d}-01', {str(guarded).lower()})"
        )
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return RunSQL(
        [
            REFUSE_CHANGE,
            MAKE_PARTITION,
            f'ALTER TABLE "{table}" RENAME TO {table}_flat',
            f'ALTER SEQUENCE IF EXISTS "{table}_id_seq" RENAME TO {table}_flat_id_seq',
            f'CREATE TABLE "{table}" (LIKE {table}_flat INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'
            f" PARTITION BY RANGE ({column})",
            f"DROP TABLE {table}_flat",
            f'ALTER TABLE "{table}" ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY',
            f'ALTER TABLE "{table}" ADD PRIMARY KEY (id, {column})',
            *make,
        ],
        f'DROP TABLE "{table}"',
    )
