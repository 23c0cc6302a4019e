import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("simulator", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="order",
            name="wallet",
            field=models.CharField(blank=True, default="", max_length=16),
        ),
        migrations.AlterField(
            model_name="merchant",
            name="platform",
            field=models.CharField(
                choices=[
                    ("wechatpay", "WeChat Pay"),
                    ("alipay", "Alipay"),
                    ("unionpay", "UnionPay QuickPass"),
                    ("shouqianba", "Shouqianba"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="notice",
            name="platform",
            field=models.CharField(
                choices=[
                    ("wechatpay", "WeChat Pay"),
                    ("alipay", "Alipay"),
                    ("unionpay", "UnionPay QuickPass"),
                    ("shouqianba", "Shouqianba"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="oauthcode",
            name="platform",
            field=models.CharField(
                choices=[
                    ("wechatpay", "WeChat Pay"),
                    ("alipay", "Alipay"),
                    ("unionpay", "UnionPay QuickPass"),
                    ("shouqianba", "Shouqianba"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="order",
            name="platform",
            field=models.CharField(
                choices=[
                    ("wechatpay", "WeChat Pay"),
                    ("alipay", "Alipay"),
                    ("unionpay", "UnionPay QuickPass"),
                    ("shouqianba", "Shouqianba"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="order",
            name="product",
            field=models.CharField(
                choices=[
                    ("jsapi", "JSAPI"),
                    ("native", "Native"),
                    ("h5", "H5"),
                    ("wap", "wap.pay"),
                    ("page", "page.pay"),
                    ("precreate", "precreate"),
                    ("create", "create"),
                    ("barcode", "barcode"),
                    ("qr", "QR"),
                    ("front", "front"),
                    ("wap2", "WAP2"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="ActivationCode",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=32, unique=True)),
                ("uses_left", models.IntegerField(default=1)),
                ("expires_at", models.DateTimeField()),
                (
                    "merchant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="activation_codes",
                        to="simulator.merchant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PayCode",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "wallet",
                    models.CharField(
                        choices=[
                            ("wechatpay", "WeChat Pay"),
                            ("alipay", "Alipay"),
                            ("unionpay", "UnionPay QuickPass"),
                            ("shouqianba", "Shouqianba"),
                        ],
                        max_length=16,
                    ),
                ),
                ("digits", models.CharField(max_length=24, unique=True)),
                ("payer_key", models.CharField(max_length=32)),
                ("behaviour", models.CharField(default="pays", max_length=12)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(default=None, null=True)),
                (
                    "order",
                    models.ForeignKey(
                        default=None,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="pay_codes",
                        to="simulator.order",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Terminal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("device_id", models.CharField(max_length=128)),
                ("terminal_sn", models.CharField(max_length=32, unique=True)),
                ("current_key", models.CharField(max_length=64)),
                ("previous_key", models.CharField(blank=True, default="", max_length=64)),
                ("name", models.CharField(blank=True, default="", max_length=128)),
                ("activated_at", models.DateTimeField()),
                ("checked_in_at", models.DateTimeField()),
                (
                    "merchant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="terminals",
                        to="simulator.merchant",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant", "device_id"), name="sim_terminal_device"
                    )
                ],
            },
        ),
    ]
