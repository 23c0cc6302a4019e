"""A merchant's looks for its codes, with small logos."""

from typing import ClassVar

import django.db.models.functions.datetime
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls

#: As much as artwork.MAX_KEPT_BYTES.
LOGO_BYTES = 262_144


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("qrcodes", "0004_versions"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="ArtworkDesign",
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
                ("name", models.CharField(max_length=60)),
                ("level", models.CharField(default="M", max_length=1)),
                ("shape", models.CharField(default="square", max_length=8)),
                ("foreground", models.CharField(default="#000000", max_length=7)),
                ("background", models.CharField(default="#FFFFFF", max_length=7)),
                ("accent", models.CharField(default="#206BC4", max_length=7)),
                ("language", models.CharField(default="both", max_length=8)),
                ("wallet_marks", models.BooleanField(default=True)),
                ("logo", models.BinaryField(null=True)),
                ("logo_width", models.PositiveSmallIntegerField(default=0)),
                ("logo_height", models.PositiveSmallIntegerField(default=0)),
                ("logo_percent", models.PositiveSmallIntegerField(default=20)),
                ("is_default", models.BooleanField(default=False)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="qrcodes_design_wall"
                    ),
                    models.UniqueConstraint(
                        fields=("merchant_id", "name"), name="qrcodes_design_name"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_default", True)),
                        fields=("merchant_id",),
                        name="qrcodes_design_default",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("level__in", ["L", "M", "Q", "H"]),
                            ("shape__in", ["square", "rounded"]),
                            ("language__in", ["both", "zh-hans", "en"]),
                        ),
                        name="qrcodes_design_choices",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("logo__isnull", True), ("level__in", ["Q", "H"]), _connector="OR"
                        ),
                        name="qrcodes_design_logo_level",
                    ),
                ],
            },
        ),
        walls.protect("qrcodes_artworkdesign", foreign_key=False),
        migrations.RunSQL(
            "ALTER TABLE qrcodes_artworkdesign ADD CONSTRAINT qrcodes_design_logo_size"
            f" CHECK (octet_length(logo) <= {LOGO_BYTES})",
            "ALTER TABLE qrcodes_artworkdesign DROP CONSTRAINT qrcodes_design_logo_size",
        ),
    ]
