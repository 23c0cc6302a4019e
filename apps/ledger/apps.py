from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "apps.ledger"
    label = "ledger"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not loaded before ready(), so these cannot be imported at the top.
        from apps.approvals import subjects as approval_subjects
        from apps.ledger import subjects
        from apps.ledger.confirming import AdjustmentSubject
        from apps.ledger.entries import AdjustmentEntries

        approval_subjects.register("adjustment", AdjustmentSubject())
        subjects.register("adjustment", AdjustmentEntries())
