from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    label = "payments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not loaded before ready(), so these cannot be imported at the top.
        from apps.ledger import subjects
        from apps.payments.entries import PaymentEntries
        from apps.payments.notifications import PaymentNotificationHandler
        from apps.platforms.gateway import NotificationKind
        from apps.platforms.intake import register_handler

        register_handler(NotificationKind.PAYMENT, PaymentNotificationHandler())
        subjects.register("payment", PaymentEntries())
