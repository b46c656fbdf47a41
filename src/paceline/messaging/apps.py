"""How Django knows this app."""

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "paceline.messaging"
    label = "paceline"
    verbose_name = "Paceline"
    default_auto_field = "django.db.models.BigAutoField"
