from django.apps import AppConfig


class PlatformsConfig(AppConfig):
    name = "apps.platforms"
    label = "platforms"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """The ledger's receivables are called by the platform accounts that owe them; new keys can be put under four eyes."""
        # Models are not loaded before ready(), so these cannot be imported at the top.
        from apps.approvals import subjects as approval_subjects
        from apps.ledger import subjects
        from apps.ledger.models import Purpose
        from apps.platforms.confirming import CredentialsSubject
        from apps.platforms.entries import account_names
        from apps.platforms.services.changing import SUBJECT_KIND

        subjects.register_owners(Purpose.RECEIVABLE, account_names)
        subjects.register_owners(Purpose.RESERVE, account_names)
        approval_subjects.register(SUBJECT_KIND, CredentialsSubject())
