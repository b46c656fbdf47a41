"""How Django knows this app."""

from django.apps import AppConfig
from django.core.signals import setting_changed
from django.db.backends.signals import connection_created


class MessagingConfig(AppConfig):
    name = "paceline.messaging"
    label = "paceline"
    verbose_name = "Paceline"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import accounts, checks, turnstile

        checks.register_all()
        connection_created.connect(turnstile.join, dispatch_uid="paceline.turnstile")

        def forget_providers(*, setting: str, **rest: object) -> None:
            if setting == "PACELINE":
                accounts.provider.cache_clear()

        setting_changed.connect(forget_providers, weak=False, dispatch_uid="paceline.providers")
