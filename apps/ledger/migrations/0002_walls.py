"""Walls, append-only journal, and the check that every entry balances."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls

# Deferred to COMMIT. It raises when it sees no rows: were the scope cleared too early, row-level security would hide
# the postings and an unbalanced entry would pass.
BALANCE = """
CREATE FUNCTION ledger_entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry bigint;
    sides bigint;
    total numeric;
BEGIN
    IF TG_TABLE_NAME = 'ledger_posting' THEN
        entry := NEW.entry_id;
    ELSE
        entry := NEW.id;
    END IF;
    SELECT count(*), COALESCE(sum(amount_minor), 0) INTO sides, total
    FROM ledger_posting WHERE merchant_id = NEW.merchant_id AND entry_id = entry;
    IF sides < 2 THEN
        RAISE EXCEPTION 'journal entry % has % visible postings, at least 2 are needed', entry, sides
            USING ERRCODE = 'check_violation';
    END IF;
    IF total <> 0 THEN
        RAISE EXCEPTION 'journal entry % does not balance: % fen over', entry, total
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

# The service books into an open day; this holds even for SQL typed by hand. FOR SHARE waits for a closing under way.
OPEN_DAY = """
CREATE FUNCTION ledger_day_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed boolean;
BEGIN
    SELECT is_closed INTO closed FROM ledger_businessday
    WHERE merchant_id = NEW.merchant_id AND day = NEW.booked_date FOR SHARE;
    IF closed THEN
        RAISE EXCEPTION 'business day % is closed', NEW.booked_date USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("ledger", "0001_initial"), ("merchants", "0002_walls")]
    operations: ClassVar = [
        walls.protect("ledger_account"),
        walls.protect("ledger_businessday"),
        walls.protect("ledger_journalentry"),
        walls.protect("ledger_posting", foreign_key=False),
        walls.composite_key("ledger_posting", "entry_id", "ledger_journalentry"),
        walls.composite_key("ledger_posting", "account_id", "ledger_account"),
        migrations.RunSQL(
            [
                BALANCE,
                "CREATE CONSTRAINT TRIGGER ledger_posting_balances AFTER INSERT ON ledger_posting"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_balances()",
                "CREATE CONSTRAINT TRIGGER ledger_entry_balances AFTER INSERT ON ledger_journalentry"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_balances()",
            ],
            [
                "DROP TRIGGER ledger_entry_balances ON ledger_journalentry",
                "DROP TRIGGER ledger_posting_balances ON ledger_posting",
                "DROP FUNCTION ledger_entry_balances",
            ],
        ),
        migrations.RunSQL(
            [
                OPEN_DAY,
                "CREATE TRIGGER ledger_day_is_open BEFORE INSERT ON ledger_journalentry"
                " FOR EACH ROW EXECUTE FUNCTION ledger_day_is_open()",
            ],
            [
                "DROP TRIGGER ledger_day_is_open ON ledger_journalentry",
                "DROP FUNCTION ledger_day_is_open",
            ],
        ),
        walls.append_only("ledger_journalentry"),
        walls.append_only("ledger_posting"),
    ]
