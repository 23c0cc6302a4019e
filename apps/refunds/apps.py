from django.apps import AppConfig


class RefundsConfig(AppConfig):
    name = "apps.refunds"
    label = "refunds"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not loaded before ready(), so these cannot be imported at the top.
        from apps.approvals import subjects, waiting
        from apps.ledger import subjects as entry_subjects
        from apps.platforms.gateway import NotificationKind
        from apps.platforms.intake import register_handler
        from apps.refunds.entries import RefundEntries
        from apps.refunds.notifications import RefundNotificationHandler
        from apps.refunds.selectors import requests_open
        from apps.refunds.subjects import BatchSubject, RefundSubject, RulesSubject
        from apps.refunds.wording import requests_words

        subjects.register("refund", RefundSubject())
        subjects.register("refund_rules", RulesSubject())
        subjects.register("refund_batch", BatchSubject())
        register_handler(NotificationKind.REFUND, RefundNotificationHandler())
        entry_subjects.register("refund", RefundEntries())
        waiting.register(
            waiting.Waiting(
                permission="refunds.request",
                page="refunds:request_list",
                words=requests_words,
                rows=lambda _now: requests_open(),
            )
        )
