from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    name = "apps.reconciliation"
    label = "reconciliation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not loaded before ready(), so these cannot be imported at the top.
        from apps.approvals import subjects as approval_subjects
        from apps.ledger import followers, subjects
        from apps.reconciliation.closing_subject import ReopeningSubject
        from apps.reconciliation.following import ResolutionEntries, ResolutionFollower
        from apps.reconciliation.services.reopening import SUBJECT_KIND

        approval_subjects.register(SUBJECT_KIND, ReopeningSubject())
        subjects.register("resolution", ResolutionEntries())
        followers.register("resolution", ResolutionFollower())
