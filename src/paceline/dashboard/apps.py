"""How Django knows this app."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "paceline.dashboard"
    label = "paceline_dashboard"
    verbose_name = "Paceline's pages"
