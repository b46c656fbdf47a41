"""Which page is where? `path("", include("paceline.dashboard.urls"))`."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from . import views

urlpatterns = [
    path("login/", views.Login.as_view(), name="login"),
    path("login/<str:uidb64>/<str:token>/", views.login_link, name="login-link"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", views.campaign_list, name="campaigns"),
    path("campaigns/<int:pk>/", views.campaign_page, name="campaign"),
    path("campaigns/<int:pk>/launch/", views.launch, name="campaign-launch"),
    path("campaigns/<int:pk>/pause/", views.pause, name="campaign-pause"),
    path("campaigns/<int:pk>/resume/", views.resume, name="campaign-resume"),
    path("campaigns/<int:pk>/cancel/", views.cancel, name="campaign-cancel"),
    path("campaigns/<int:pk>/resend/", views.resend, name="campaign-resend"),
    path("campaigns/<int:pk>/pace/", views.set_pace, name="campaign-pace"),
]
