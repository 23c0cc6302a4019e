from django.apps import AppConfig
from django.core.checks import Tags, register


class OperationsConfig(AppConfig):
    name = "apps.operations"
    label = "operations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Settings are complete only now.
        from apps.operations.checks import platform_addresses

        register(platform_addresses, Tags.security, deploy=True)
