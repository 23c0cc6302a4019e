"""The lock on business days holds where nobody made the day's row before, and closings are counted upwards only."""

from typing import ClassVar

from django.db import migrations

# As in 0002, but the row is made where it is missing: without one there would be nothing to hold, and a closing at the
# same moment would not wait for the entry.
OPEN_DAY = """
CREATE OR REPLACE FUNCTION ledger_day_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed boolean;
BEGIN
    SELECT is_closed INTO closed FROM ledger_businessday
    WHERE merchant_id = NEW.merchant_id AND day = NEW.booked_date FOR SHARE;
    IF NOT FOUND THEN
        INSERT INTO ledger_businessday (merchant_id, day, is_closed, version)
        VALUES (NEW.merchant_id, NEW.booked_date, false, 0) ON CONFLICT (merchant_id, day) DO NOTHING;
        SELECT is_closed INTO STRICT closed FROM ledger_businessday
        WHERE merchant_id = NEW.merchant_id AND day = NEW.booked_date FOR SHARE;
    END IF;
    IF closed THEN
        RAISE EXCEPTION 'business day % is closed', NEW.booked_date USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
BEFORE = """
CREATE OR REPLACE FUNCTION ledger_day_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
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

# A day keeps its date, its row stays once it was closed, and its closings are only ever counted upwards.
MOVES = """
CREATE FUNCTION ledger_day_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.is_closed OR OLD.version > 0 THEN
            RAISE EXCEPTION 'business day % was closed: DELETE refused', OLD.day USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF NEW.merchant_id <> OLD.merchant_id OR NEW.day <> OLD.day OR NEW.version < OLD.version
       OR (OLD.is_closed AND NEW.version <> OLD.version) THEN
        RAISE EXCEPTION 'business day %: its date stays and its closings are counted upwards', OLD.day
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("ledger", "0004_postings_by_entry")]
    operations: ClassVar = [
        migrations.RunSQL(OPEN_DAY, BEFORE),
        migrations.RunSQL(
            [
                MOVES,
                "CREATE TRIGGER ledger_day_moves BEFORE UPDATE OR DELETE ON ledger_businessday"
                " FOR EACH ROW EXECUTE FUNCTION ledger_day_moves()",
            ],
            [
                "DROP TRIGGER ledger_day_moves ON ledger_businessday",
                "DROP FUNCTION ledger_day_moves",
            ],
        ),
    ]
