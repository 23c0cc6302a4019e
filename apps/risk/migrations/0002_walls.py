"""The wall between merchants; what may never change; what of an alert stays as it was found."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls

TABLES = (
    "risk_riskrulebook",
    "risk_riskdraft",
    "risk_riskalert",
    "risk_riskfeedback",
    "risk_riskhold",
    "risk_riskreview",
)

KEPT = """
CREATE FUNCTION risk_alert_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'alert % is kept: DELETE refused', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF (OLD.merchant_id, OLD.rule, OLD.subject_kind, OLD.subject, OLD.raised_at)
        IS DISTINCT FROM (NEW.merchant_id, NEW.rule, NEW.subject_kind, NEW.subject, NEW.raised_at)
        OR OLD.code_id IS DISTINCT FROM NEW.code_id THEN
        RAISE EXCEPTION 'alert % is kept: whom it is about stays', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.ended_at IS NOT NULL AND (OLD.state, OLD.evidence, OLD.ended_at, OLD.quiet_until)
        IS DISTINCT FROM (NEW.state, NEW.evidence, NEW.ended_at, NEW.quiet_until) THEN
        RAISE EXCEPTION 'alert % is kept: it has ended', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("approvals", "0002_walls"),
        ("merchants", "0003_terminals"),
        ("qrcodes", "0005_designs"),
        ("risk", "0001_initial"),
    ]

    operations: ClassVar = [
        *(walls.protect(table) for table in TABLES),
        walls.composite_key("risk_riskdraft", "approval_id", "approvals_approval"),
        walls.composite_key("risk_riskalert", "code_id", "qrcodes_qrcode"),
        walls.composite_key("risk_riskalert", "store_id", "merchants_store"),
        walls.composite_key("risk_riskfeedback", "alert_id", "risk_riskalert"),
        walls.composite_key("risk_riskhold", "alert_id", "risk_riskalert"),
        walls.composite_key("risk_riskhold", "store_id", "merchants_store"),
        walls.append_only("risk_riskrulebook"),
        walls.append_only("risk_riskfeedback"),
        walls.append_only("risk_riskreview"),
        migrations.RunSQL(
            [
                KEPT,
                "CREATE TRIGGER risk_alert_kept BEFORE UPDATE OR DELETE ON risk_riskalert"
                " FOR EACH ROW EXECUTE FUNCTION risk_alert_kept()",
            ],
            [
                "DROP TRIGGER risk_alert_kept ON risk_riskalert",
                "DROP FUNCTION risk_alert_kept()",
            ],
        ),
    ]
