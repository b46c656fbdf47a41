"""How Django knows this app: for its command, `manage.py dispatch`."""

from django.apps import AppConfig


class DispatcherConfig(AppConfig):
    name = "paceline.dispatcher"
    label = "paceline_dispatcher"
    verbose_name = "Paceline dispatcher"
    default_auto_field = "django.db.models.BigAutoField"
