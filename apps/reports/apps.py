from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "apps.reports"
    label = "reports"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not loaded before ready(), so these cannot be imported at the top.
        from apps.reconciliation import day_files
        from apps.reports.day_files import MAKERS

        for maker in MAKERS:
            day_files.register(maker)
