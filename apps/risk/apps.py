from django.apps import AppConfig


class RiskConfig(AppConfig):
    name = "apps.risk"
    label = "risk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not loaded before ready(), so these cannot be imported at the top.
        from apps.approvals import subjects, waiting
        from apps.risk.selectors import holds_asked
        from apps.risk.subjects import BookSubject
        from apps.risk.wording import holds_words

        subjects.register("risk_book", BookSubject())
        waiting.register(
            waiting.Waiting(
                permission="risk.manage",
                page="risk:alert_list",
                words=holds_words,
                rows=holds_asked,
            )
        )
