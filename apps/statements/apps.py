from django.apps import AppConfig


class StatementsConfig(AppConfig):
    name = "apps.statements"
    label = "statements"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not loaded before ready(), so these cannot be imported at the top.
        from apps.ledger import subjects
        from apps.statements.entries import PayoutEntries, ReserveEntries

        subjects.register("payout", PayoutEntries())
        subjects.register("reserve", ReserveEntries())
