"""Entries are checked by the statement that writes them, all at once; what one statement leaves unfinished is checked at COMMIT.

A row of its own for each posting and entry in the queue of deferred checks was half of what booking a large bill cost.
"""

from typing import ClassVar

from django.db import migrations

from apps.core import walls

# An entry whose new postings are two or more and sum to zero is as balanced as it was before: a new one is balanced, and one
# that was not is in the list of the unchecked already. So nothing has to be read. All others wait there for COMMIT.
POSTINGS = """
CREATE FUNCTION ledger_postings_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_unchecked (merchant_id, entry_id)
    SELECT merchant_id, entry_id FROM made
    GROUP BY merchant_id, entry_id HAVING count(*) < 2 OR sum(amount_minor) <> 0;
    RETURN NULL;
END $$
"""
# An entry that came with postings was checked with them. The settings keep a plan that a large statement made from being
# used for a small one, and the reverse: each entry is looked up by the index.
ENTRIES = """
CREATE FUNCTION ledger_entries_have_postings() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO ledger_unchecked (merchant_id, entry_id)
    SELECT e.merchant_id, e.id FROM made e
    WHERE NOT EXISTS (SELECT FROM ledger_posting p WHERE p.merchant_id = e.merchant_id AND p.entry_id = e.id);
    RETURN NULL;
END $$
"""
# At COMMIT. It raises when it sees no rows: were the scope cleared too early, row-level security would hide the postings
# and an unbalanced entry would pass.
UNCHECKED = """
CREATE FUNCTION ledger_unchecked_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sides bigint;
    total numeric;
BEGIN
    SELECT count(*), COALESCE(sum(amount_minor), 0) INTO sides, total
    FROM ledger_posting WHERE merchant_id = NEW.merchant_id AND entry_id = NEW.entry_id;
    IF sides < 2 THEN
        RAISE EXCEPTION 'journal entry % has % visible postings, at least 2 are needed', NEW.entry_id, sides
            USING ERRCODE = 'check_violation';
    END IF;
    IF total <> 0 THEN
        RAISE EXCEPTION 'journal entry % does not balance: % fen over', NEW.entry_id, total
            USING ERRCODE = 'check_violation';
    END IF;
    DELETE FROM ledger_unchecked WHERE merchant_id = NEW.merchant_id AND entry_id = NEW.entry_id;
    RETURN NULL;
END $$
"""

# As in 0005, for all days of a statement. That it comes after the rows makes no difference: who closes the day holds its row
# FOR UPDATE, so either the closing waits for this transaction, or this one finds the day closed.
OPEN_DAYS = """
CREATE FUNCTION ledger_days_are_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    held record;
    wanted bigint;
    found_days bigint := 0;
BEGIN
    INSERT INTO ledger_businessday (merchant_id, day, is_closed, version)
    SELECT DISTINCT made.merchant_id, made.booked_date, false, 0 FROM made
    WHERE NOT EXISTS (SELECT FROM ledger_businessday d WHERE d.merchant_id = made.merchant_id AND d.day = made.booked_date)
    ON CONFLICT (merchant_id, day) DO NOTHING;
    SELECT count(*) INTO wanted FROM (SELECT DISTINCT merchant_id, booked_date FROM made) days;
    FOR held IN
        SELECT d.day, d.is_closed FROM ledger_businessday d
        WHERE (d.merchant_id, d.day) IN (SELECT merchant_id, booked_date FROM made) ORDER BY d.day FOR SHARE OF d
    LOOP
        IF held.is_closed THEN
            RAISE EXCEPTION 'business day % is closed', held.day USING ERRCODE = 'check_violation';
        END IF;
        found_days := found_days + 1;
    END LOOP;
    IF found_days <> wanted THEN
        RAISE EXCEPTION '% of % business days cannot be held', wanted - found_days, wanted USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

OF_STATEMENT = "REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("ledger", "0005_closed_days")]
    operations: ClassVar = [
        # Of the triggers alone, so no model: it holds rows only while a transaction writes an entry in several statements.
        migrations.RunSQL(
            [
                "CREATE TABLE ledger_unchecked (merchant_id bigint NOT NULL, entry_id bigint NOT NULL)",
                "CREATE INDEX ledger_unchecked_entry ON ledger_unchecked (merchant_id, entry_id)",
            ],
            "DROP TABLE ledger_unchecked",
        ),
        walls.protect("ledger_unchecked", foreign_key=False),
        migrations.RunSQL(
            [
                POSTINGS,
                ENTRIES,
                UNCHECKED,
                OPEN_DAYS,
                "CREATE CONSTRAINT TRIGGER ledger_unchecked_balances AFTER INSERT ON ledger_unchecked"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_unchecked_balances()",
                "DROP TRIGGER ledger_posting_balances ON ledger_posting",
                "DROP TRIGGER ledger_entry_balances ON ledger_journalentry",
                "DROP TRIGGER ledger_day_is_open ON ledger_journalentry",
                f"CREATE TRIGGER ledger_posting_balances AFTER INSERT ON ledger_posting {OF_STATEMENT}"
                " ledger_postings_balance()",
                f"CREATE TRIGGER ledger_entry_balances AFTER INSERT ON ledger_journalentry {OF_STATEMENT}"
                " ledger_entries_have_postings()",
                f"CREATE TRIGGER ledger_day_is_open AFTER INSERT ON ledger_journalentry {OF_STATEMENT}"
                " ledger_days_are_open()",
            ],
            [
                "DROP TRIGGER ledger_day_is_open ON ledger_journalentry",
                "DROP TRIGGER ledger_entry_balances ON ledger_journalentry",
                "DROP TRIGGER ledger_posting_balances ON ledger_posting",
                "CREATE TRIGGER ledger_day_is_open BEFORE INSERT ON ledger_journalentry"
                " FOR EACH ROW EXECUTE FUNCTION ledger_day_is_open()",
                "CREATE CONSTRAINT TRIGGER ledger_entry_balances AFTER INSERT ON ledger_journalentry"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_balances()",
                "CREATE CONSTRAINT TRIGGER ledger_posting_balances AFTER INSERT ON ledger_posting"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_balances()",
                "DROP TRIGGER ledger_unchecked_balances ON ledger_unchecked",
                "DROP FUNCTION ledger_days_are_open",
                "DROP FUNCTION ledger_unchecked_balances",
                "DROP FUNCTION ledger_entries_have_postings",
                "DROP FUNCTION ledger_postings_balance",
            ],
        ),
    ]
