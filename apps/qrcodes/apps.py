from django.apps import AppConfig


class QrcodesConfig(AppConfig):
    name = "apps.qrcodes"
    label = "qrcodes"
    default_auto_field = "django.db.models.BigAutoField"
