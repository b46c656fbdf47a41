"""How Django knows this app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "paceline.api"
    label = "paceline_api"
    verbose_name = "Paceline API"
    default_auto_field = "django.db.models.BigAutoField"
