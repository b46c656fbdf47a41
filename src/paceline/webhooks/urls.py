"""`path("webhooks/", include("paceline.webhooks.urls"))`: all that a host project adds."""

from django.urls import path

from . import views

urlpatterns = [
    path("<str:alias>/<str:kind>", views.receive, name="webhook"),
    path("<str:alias>/<str:kind>/<str:token>", views.receive),
]
