"""The simulator's Django application, guarded against being loaded by the product."""

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from typing_extensions import override


class SimulatorConfig(AppConfig):
    """Refuses to start under any settings but the simulator's own."""

    name = "apps.simulator"
    label = "simulator"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        """Raise ImproperlyConfigured unless the settings say that this process is the simulator."""
        if getattr(settings, "SIMULATOR", False) is not True:
            raise ImproperlyConfigured(
                "apps.simulator imitates payment platforms and runs only under "
                "merchant_portal.settings.simulator"
            )
