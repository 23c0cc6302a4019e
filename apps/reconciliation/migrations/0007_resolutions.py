"""Resolutions, rules that settle by themselves, acts on many differences; what was noted before becomes 'keep ours'."""

from typing import Any, ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls

#: Under the wall even the owner sees no rows, so it is lowered for the move. Constraints are checked before it goes up again:
#: a table with checks left to do cannot be altered.
NOTES: list[Any] = [
    "ALTER TABLE reconciliation_difference NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE reconciliation_reconciliationrun NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE reconciliation_resolution NO FORCE ROW LEVEL SECURITY",
    """
    INSERT INTO reconciliation_resolution
        (merchant_id, account_id, day, identity, difference_id, kind, state, type, their_minor, our_minor, gap_minor,
         net_gap_minor, booked_minor, reason, member_id, at)
    SELECT DISTINCT ON (d.merchant_id, r.account_id, r.day, d.identity)
           d.merchant_id, r.account_id, r.day, d.identity, d.id, 'keep', 'done', d.type, d.their_minor, d.our_minor,
           d.gap_minor, d.net_gap_minor, 0, d.note, d.resolved_by_id, d.resolved_at
    FROM reconciliation_difference d
    JOIN reconciliation_reconciliationrun r ON r.merchant_id = d.merchant_id AND r.id = d.run_id
    WHERE d.state = 'resolved' AND d.identity IS NOT NULL AND d.resolved_by_id IS NOT NULL AND r.is_current
    ORDER BY d.merchant_id, r.account_id, r.day, d.identity, d.id DESC
    """,
    """
    UPDATE reconciliation_difference d SET resolution_id = s.id
    FROM reconciliation_resolution s WHERE s.merchant_id = d.merchant_id AND s.difference_id = d.id
    """,
    "SET CONSTRAINTS ALL IMMEDIATE",
    "SET CONSTRAINTS ALL DEFERRED",
    "ALTER TABLE reconciliation_difference FORCE ROW LEVEL SECURITY",
    "ALTER TABLE reconciliation_reconciliationrun FORCE ROW LEVEL SECURITY",
    "ALTER TABLE reconciliation_resolution FORCE ROW LEVEL SECURITY",
]

KEPT = """
CREATE FUNCTION reconciliation_resolution_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'resolution % is kept: DELETE refused', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF (OLD.merchant_id, OLD.account_id, OLD.day, OLD.identity, OLD.difference_id, OLD.kind, OLD.type, OLD.gap_minor,
        OLD.net_gap_minor, OLD.reason, OLD.at) IS DISTINCT FROM
       (NEW.merchant_id, NEW.account_id, NEW.day, NEW.identity, NEW.difference_id, NEW.kind, NEW.type, NEW.gap_minor,
        NEW.net_gap_minor, NEW.reason, NEW.at) OR OLD.member_id IS DISTINCT FROM NEW.member_id
        OR OLD.state IN ('refused', 'undone') THEN
        RAISE EXCEPTION 'resolution % is kept: only its state moves on', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("ledger", "0003_adjustments"),
        ("payments", "0005_outside"),
        ("platforms", "0006_terminals_again"),
        ("reconciliation", "0006_day_closes"),
        ("refunds", "0004_outside"),
        ("statements", "0004_sweeps"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="WriteOffLimit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "merchant_id",
                    models.BigIntegerField(
                        default=apps.core.tenancy.current_merchant_id, editable=False
                    ),
                ),
                ("version", models.IntegerField()),
                ("limit_minor", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="difference",
            name="adjusted_minor",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="difference",
            name="state",
            field=models.CharField(
                choices=[
                    ("open", "Open"),
                    ("waiting", "Waiting for confirmation"),
                    ("explained", "Explained"),
                    ("resolved", "Resolved"),
                ],
                default="open",
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="AutoRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "merchant_id",
                    models.BigIntegerField(
                        default=apps.core.tenancy.current_merchant_id, editable=False
                    ),
                ),
                ("number", models.IntegerField()),
                ("position", models.IntegerField()),
                ("is_on", models.BooleanField(default=False)),
                ("effective_from", models.DateField()),
                (
                    "type",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("missing_here", "Not in our books"),
                            ("missing_there", "Not in the bill"),
                            ("late", "Late"),
                            ("amount", "Amount differs"),
                            ("status", "State differs"),
                            ("fee", "Fee differs"),
                            ("duplicate", "Twice in the bill"),
                            ("unknown_refund", "Refund not in our books"),
                            ("currency", "Currency differs"),
                            ("wrong_account", "At another account"),
                            ("expected", "Expected in the next bill"),
                            ("carry_in", "From another day"),
                            ("carry_out", "In another day's bill"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                (
                    "platform",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("wechatpay", "WeChat Pay"),
                            ("alipay", "Alipay"),
                            ("unionpay", "UnionPay QuickPass"),
                            ("shouqianba", "Shouqianba"),
                        ],
                        default="",
                        max_length=12,
                    ),
                ),
                ("min_amount_minor", models.BigIntegerField(null=True)),
                ("max_amount_minor", models.BigIntegerField(null=True)),
                ("max_gap_minor", models.BigIntegerField(null=True)),
                ("min_age_days", models.IntegerField(default=0)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("accept", "Accept the platform's version"),
                            ("keep", "Keep ours"),
                            ("adjust", "Book a correction"),
                            ("link", "Link by hand"),
                            ("write_off", "Write off"),
                            ("assign", "Give to somebody"),
                            ("comment", "Comment"),
                        ],
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="BulkAct",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "merchant_id",
                    models.BigIntegerField(
                        default=apps.core.tenancy.current_merchant_id, editable=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("accept", "Accept the platform's version"),
                            ("keep", "Keep ours"),
                            ("adjust", "Book a correction"),
                            ("link", "Link by hand"),
                            ("write_off", "Write off"),
                            ("assign", "Give to somebody"),
                            ("comment", "Comment"),
                        ],
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(default="", max_length=1000)),
                (
                    "purpose",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("receivable", "Platform receivable"),
                            ("bank", "Bank"),
                            ("sales", "Sales"),
                            ("refunds", "Refunds"),
                            ("fees", "Fees"),
                            ("suspense", "Suspense"),
                            ("adjustments", "Adjustments"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                ("store_id", models.BigIntegerField(null=True)),
                ("total", models.IntegerField(default=0)),
                ("done", models.IntegerField(default=0)),
                ("failed", models.IntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("cancelled_at", models.DateTimeField(null=True)),
                (
                    "assignee",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rule",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="reconciliation.autorule",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="BulkRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "merchant_id",
                    models.BigIntegerField(
                        default=apps.core.tenancy.current_merchant_id, editable=False
                    ),
                ),
                ("outcome", models.CharField(default="", max_length=24)),
                (
                    "bulk",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="reconciliation.bulkact",
                    ),
                ),
                (
                    "difference",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="reconciliation.difference",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Resolution",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "merchant_id",
                    models.BigIntegerField(
                        default=apps.core.tenancy.current_merchant_id, editable=False
                    ),
                ),
                ("day", models.DateField()),
                ("identity", models.UUIDField()),
                ("difference_id", models.BigIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("accept", "Accept the platform's version"),
                            ("keep", "Keep ours"),
                            ("adjust", "Book a correction"),
                            ("link", "Link by hand"),
                            ("write_off", "Write off"),
                            ("assign", "Give to somebody"),
                            ("comment", "Comment"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting for confirmation"),
                            ("done", "Done"),
                            ("refused", "Refused"),
                            ("undone", "Undone"),
                            ("superseded", "Replaced"),
                        ],
                        default="done",
                        max_length=12,
                    ),
                ),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("missing_here", "Not in our books"),
                            ("missing_there", "Not in the bill"),
                            ("late", "Late"),
                            ("amount", "Amount differs"),
                            ("status", "State differs"),
                            ("fee", "Fee differs"),
                            ("duplicate", "Twice in the bill"),
                            ("unknown_refund", "Refund not in our books"),
                            ("currency", "Currency differs"),
                            ("wrong_account", "At another account"),
                            ("expected", "Expected in the next bill"),
                            ("carry_in", "From another day"),
                            ("carry_out", "In another day's bill"),
                        ],
                        max_length=16,
                    ),
                ),
                ("their_minor", models.BigIntegerField(null=True)),
                ("our_minor", models.BigIntegerField(null=True)),
                ("gap_minor", models.BigIntegerField()),
                ("net_gap_minor", models.BigIntegerField()),
                ("booked_minor", models.BigIntegerField(default=0)),
                ("reason", models.CharField(default="", max_length=1000)),
                ("line_key", models.UUIDField(null=True)),
                ("at", models.DateTimeField()),
                ("undone_at", models.DateTimeField(null=True)),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "adjustment",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="ledger.adjustment",
                    ),
                ),
                (
                    "assignee",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "bulk",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="reconciliation.bulkact",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "payment",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.payment",
                    ),
                ),
                (
                    "refund",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="refunds.refund",
                    ),
                ),
                (
                    "rule",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="reconciliation.autorule",
                    ),
                ),
                (
                    "undo_adjustment",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="ledger.adjustment",
                    ),
                ),
                (
                    "undone_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="difference",
            name="resolution",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="reconciliation.resolution",
            ),
        ),
        migrations.AddConstraint(
            model_name="difference",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="reconciliation_diff_wall"
            ),
        ),
        migrations.AddField(
            model_name="writeofflimit",
            name="created_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="autorule",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="reconciliation_auto_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="autorule",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "number"), name="reconciliation_auto_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="autorule",
            constraint=models.CheckConstraint(
                condition=models.Q(("action__in", ["accept", "keep", "write_off"])),
                name="reconciliation_auto_action",
            ),
        ),
        migrations.AddConstraint(
            model_name="autorule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("min_age_days__gte", 0),
                    models.Q(
                        ("min_amount_minor__isnull", True),
                        ("min_amount_minor__gte", 0),
                        _connector="OR",
                    ),
                    models.Q(
                        ("max_amount_minor__isnull", True),
                        ("max_amount_minor__gte", 0),
                        _connector="OR",
                    ),
                    models.Q(
                        ("max_gap_minor__isnull", True), ("max_gap_minor__gte", 0), _connector="OR"
                    ),
                ),
                name="reconciliation_auto_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="bulkact",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="reconciliation_bulk_wall"
            ),
        ),
        migrations.AddIndex(
            model_name="bulkrow",
            index=models.Index(
                condition=models.Q(("outcome", "")),
                fields=["merchant_id", "bulk", "id"],
                name="reconciliation_bulk_left",
            ),
        ),
        migrations.AddConstraint(
            model_name="bulkrow",
            constraint=models.UniqueConstraint(
                fields=("bulk", "difference"), name="reconciliation_bulk_once"
            ),
        ),
        migrations.AddIndex(
            model_name="resolution",
            index=models.Index(
                fields=["merchant_id", "account", "day", "identity", "id"],
                name="reconciliation_resolved",
            ),
        ),
        migrations.AddIndex(
            model_name="resolution",
            index=models.Index(
                condition=models.Q(("kind", "link")),
                fields=["merchant_id", "account", "line_key"],
                name="reconciliation_linked",
            ),
        ),
        migrations.AddIndex(
            model_name="resolution",
            index=models.Index(
                condition=models.Q(("adjustment__isnull", False)),
                fields=["merchant_id", "adjustment"],
                name="reconciliation_res_adj",
            ),
        ),
        migrations.AddConstraint(
            model_name="resolution",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="reconciliation_resolution_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="resolution",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("kind__in", ("accept", "keep", "adjust", "link", "write_off")),
                    ("state__in", ("waiting", "done")),
                ),
                fields=("merchant_id", "account", "day", "identity"),
                name="reconciliation_settled_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="resolution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("member__isnull", False), ("rule__isnull", False), _connector="OR"
                ),
                name="reconciliation_resolution_whose",
            ),
        ),
        migrations.AddConstraint(
            model_name="writeofflimit",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "version"), name="reconciliation_limit_version"
            ),
        ),
        migrations.AddConstraint(
            model_name="writeofflimit",
            constraint=models.CheckConstraint(
                condition=models.Q(("limit_minor__gte", 0)), name="reconciliation_limit_sane"
            ),
        ),
        *(
            walls.protect(f"reconciliation_{table}", foreign_key=table != "bulkrow")
            for table in ("writeofflimit", "autorule", "bulkact", "bulkrow", "resolution")
        ),
        walls.composite_key("reconciliation_autorule", "account_id", "platforms_platformaccount"),
        walls.composite_key("reconciliation_bulkact", "rule_id", "reconciliation_autorule"),
        walls.composite_key("reconciliation_bulkrow", "bulk_id", "reconciliation_bulkact"),
        walls.composite_key("reconciliation_bulkrow", "difference_id", "reconciliation_difference"),
        walls.composite_key("reconciliation_resolution", "account_id", "platforms_platformaccount"),
        walls.composite_key("reconciliation_resolution", "rule_id", "reconciliation_autorule"),
        walls.composite_key("reconciliation_resolution", "bulk_id", "reconciliation_bulkact"),
        walls.composite_key("reconciliation_resolution", "adjustment_id", "ledger_adjustment"),
        walls.composite_key("reconciliation_resolution", "undo_adjustment_id", "ledger_adjustment"),
        walls.composite_key("reconciliation_resolution", "payment_id", "payments_payment"),
        walls.composite_key("reconciliation_resolution", "refund_id", "refunds_refund"),
        walls.composite_key(
            "reconciliation_difference", "resolution_id", "reconciliation_resolution"
        ),
        migrations.RunSQL(NOTES, migrations.RunSQL.noop),
        migrations.RemoveField(
            model_name="difference",
            name="note",
        ),
        migrations.RemoveField(
            model_name="difference",
            name="resolved_at",
        ),
        migrations.RemoveField(
            model_name="difference",
            name="resolved_by",
        ),
        migrations.RunSQL(
            [
                KEPT,
                "CREATE TRIGGER reconciliation_resolution_kept BEFORE UPDATE OR DELETE ON reconciliation_resolution"
                " FOR EACH ROW EXECUTE FUNCTION reconciliation_resolution_kept()",
            ],
            [
                "DROP TRIGGER reconciliation_resolution_kept ON reconciliation_resolution",
                "DROP FUNCTION reconciliation_resolution_kept",
            ],
        ),
    ]
