from django.apps import AppConfig


class QrcodesConfig(AppConfig):
    name = "apps.qrcodes"
    label = "qrcodes"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Merchants' and stores' names are printed too, so their forms ask here."""
        from apps.merchants import printing
        from apps.qrcodes.printing import unprintable_words

        printing.register(unprintable_words)
