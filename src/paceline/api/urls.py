"""`path("", include("paceline.api.urls"))`: all that a host project adds.

Every address works with and without its last slash: a redirect would turn a POST into a GET.
"""

from django.urls import path

from .views import CampaignVerbView, CampaignView, MessageView

app_name = "api"

_addresses = [
    ("message", MessageView.as_view(), "message"),
    ("api/campaigns/<int:pk>", CampaignView.as_view(), "campaign"),
    *((f"api/campaigns/<int:pk>/{verb}", CampaignVerbView.as_view(verb=verb), verb) for verb in CampaignVerbView.VERBS),
]
urlpatterns = [
    *(path(address, view) for address, view, _ in _addresses),
    *(path(f"{address}/", view, name=name) for address, view, name in _addresses),
]
