"""Which door is where?"""

from django.urls import include, path

urlpatterns = [
    path("webhooks/", include("paceline.webhooks.urls")),
    path("", include("paceline.api.urls")),
    path("", include("paceline.dashboard.urls")),
]
