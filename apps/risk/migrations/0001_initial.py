"""Books of rules, alerts, what is held, and the assessment of risks."""

from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy


class Migration(migrations.Migration):
    initial = True

    dependencies: ClassVar = [
        ("approvals", "0002_walls"),
        ("merchants", "0003_terminals"),
        ("qrcodes", "0005_designs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="RiskAlert",
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
                    "rule",
                    models.CharField(
                        choices=[
                            ("code_velocity", "Many payments by one code"),
                            ("payer_velocity", "Many payments by one payer"),
                            ("cashier_velocity", "Many payments by one cashier"),
                            ("failed_attempts", "Many failed attempts"),
                            ("odd_amount", "Unusual amount"),
                            ("structuring", "Just below a threshold, again and again"),
                            ("night", "Busy at night"),
                            ("refund_rate", "High share of refunds"),
                            ("cashier_refunds", "Many refunds by one cashier"),
                            ("new_place", "Old code at a new place"),
                            ("payer_day", "Payer's daily limit at codes"),
                            ("code_day", "Code's daily limit"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "subject_kind",
                    models.CharField(
                        choices=[
                            ("code", "Code"),
                            ("payer", "Payer"),
                            ("member", "Cashier"),
                            ("store", "Store"),
                        ],
                        max_length=8,
                    ),
                ),
                ("subject", models.CharField(max_length=64)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("flag", "Alert only"),
                            ("confirm", "Ask the payer to confirm"),
                            ("hold", "Hold for review"),
                            ("freeze", "Freeze the code"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[("watch", "Worth a look"), ("serious", "Look today")], max_length=8
                    ),
                ),
                ("evidence", models.JSONField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("seen", "Being looked at"),
                            ("false_alarm", "False alarm"),
                            ("acted", "Dealt with"),
                        ],
                        default="open",
                        max_length=12,
                    ),
                ),
                ("raised_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("froze_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("quiet_until", models.DateTimeField(null=True)),
                (
                    "code",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="qrcodes.qrcode",
                    ),
                ),
                (
                    "handled_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "store",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="merchants.store",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="RiskDraft",
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
                ("based_on", models.IntegerField()),
                ("effective_from", models.DateField()),
                ("rules", models.JSONField()),
                ("reason", models.CharField(max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting for confirmation"),
                            ("in_force", "Accepted"),
                            ("dropped", "Not accepted"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "approval",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="approvals.approval",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
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
            name="RiskFeedback",
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
                    "verdict",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("seen", "Being looked at"),
                            ("false_alarm", "False alarm"),
                            ("acted", "Dealt with"),
                        ],
                        max_length=12,
                    ),
                ),
                ("note", models.CharField(default="", max_length=200)),
                ("at", models.DateTimeField()),
                (
                    "alert",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="feedback",
                        to="risk.riskalert",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
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
            name="RiskHold",
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
                ("kind", models.CharField(max_length=12)),
                ("subject_id", models.BigIntegerField()),
                (
                    "rule",
                    models.CharField(
                        choices=[
                            ("code_velocity", "Many payments by one code"),
                            ("payer_velocity", "Many payments by one payer"),
                            ("cashier_velocity", "Many payments by one cashier"),
                            ("failed_attempts", "Many failed attempts"),
                            ("odd_amount", "Unusual amount"),
                            ("structuring", "Just below a threshold, again and again"),
                            ("night", "Busy at night"),
                            ("refund_rate", "High share of refunds"),
                            ("cashier_refunds", "Many refunds by one cashier"),
                            ("new_place", "Old code at a new place"),
                            ("payer_day", "Payer's daily limit at codes"),
                            ("code_day", "Code's daily limit"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "asked",
                    models.CharField(
                        choices=[("payer", "The payer"), ("member", "A member")], max_length=8
                    ),
                ),
                ("amount_minor", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("asked", "Waiting for an answer"),
                            ("released", "Released"),
                            ("refused", "Refused"),
                        ],
                        default="asked",
                        max_length=8,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("answered_at", models.DateTimeField(null=True)),
                (
                    "alert",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holds",
                        to="risk.riskalert",
                    ),
                ),
                (
                    "answered_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "store",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="merchants.store",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="RiskReview",
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
                ("version", models.IntegerField()),
                ("what", models.CharField(max_length=200)),
                ("measure", models.CharField(max_length=400)),
                (
                    "likelihood",
                    models.IntegerField(choices=[(1, "Rare"), (2, "Possible"), (3, "Likely")]),
                ),
                (
                    "harm",
                    models.IntegerField(choices=[(1, "Small"), (2, "Noticeable"), (3, "Large")]),
                ),
                ("is_gone", models.BooleanField(default=False)),
                ("reviewed_at", models.DateTimeField()),
                ("next_review_date", models.DateField()),
                (
                    "recorded_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reviewed_by",
                    models.ForeignKey(
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
            name="RiskRuleBook",
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
                ("effective_from", models.DateField()),
                ("rules", models.JSONField()),
                ("reason", models.CharField(default="", max_length=200)),
                ("created_at", models.DateTimeField()),
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
        migrations.AddIndex(
            model_name="riskalert",
            index=models.Index(
                fields=["merchant_id", "-raised_at", "-id"], name="risk_alert_raised"
            ),
        ),
        migrations.AddIndex(
            model_name="riskalert",
            index=models.Index(
                fields=["merchant_id", "subject_kind", "subject"], name="risk_alert_subject"
            ),
        ),
        migrations.AddConstraint(
            model_name="riskalert",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="risk_alert_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="riskalert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["open", "seen"])),
                fields=("merchant_id", "rule", "subject_kind", "subject"),
                name="risk_alert_one_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskalert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("ended_at__isnull", True),
                        ("quiet_until__isnull", True),
                        ("state__in", ["open", "seen"]),
                    ),
                    models.Q(
                        ("ended_at__isnull", False),
                        ("quiet_until__isnull", False),
                        ("state__in", ["false_alarm", "acted"]),
                    ),
                    _connector="OR",
                ),
                name="risk_alert_ended",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskalert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("code__isnull", False), ("subject_kind", "code")),
                    models.Q(
                        models.Q(("subject_kind", "code"), _negated=True), ("code__isnull", True)
                    ),
                    _connector="OR",
                ),
                name="risk_alert_code",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskdraft",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="risk_draft_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="riskdraft",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "waiting")),
                fields=("merchant_id",),
                name="risk_draft_one_waits",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskdraft",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("state", "waiting")),
                    models.Q(
                        models.Q(("state", "waiting"), _negated=True), ("ended_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="risk_draft_ended",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskfeedback",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="risk_feedback_wall"
            ),
        ),
        migrations.AddIndex(
            model_name="riskhold",
            index=models.Index(
                condition=models.Q(("asked", "member"), ("state", "asked")),
                fields=["merchant_id", "expires_at"],
                name="risk_hold_waiting",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskhold",
            constraint=models.UniqueConstraint(fields=("merchant_id", "id"), name="risk_hold_wall"),
        ),
        migrations.AddConstraint(
            model_name="riskhold",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "kind", "subject_id"), name="risk_hold_one"
            ),
        ),
        migrations.AddConstraint(
            model_name="riskhold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("answered_at__isnull", True), ("state", "asked")),
                    models.Q(
                        models.Q(("state", "asked"), _negated=True), ("answered_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="risk_hold_answered",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskreview",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="risk_review_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="riskreview",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "number", "version"), name="risk_review_version"
            ),
        ),
        migrations.AddConstraint(
            model_name="riskrulebook",
            constraint=models.UniqueConstraint(fields=("merchant_id", "id"), name="risk_book_wall"),
        ),
        migrations.AddConstraint(
            model_name="riskrulebook",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "version"), name="risk_book_version"
            ),
        ),
        migrations.AddConstraint(
            model_name="riskrulebook",
            constraint=models.CheckConstraint(
                condition=models.Q(("version__gte", 1)), name="risk_book_version_sane"
            ),
        ),
    ]
