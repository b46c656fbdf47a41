"""Which door is where?"""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("webhooks/", include("paceline.webhooks.urls")),
    path("admin/", admin.site.urls),
    path("", include("paceline.api.urls")),
    path("", include("paceline.dashboard.urls")),
]
