"""Which page is where? `path("", include("paceline.dashboard.urls"))`."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from . import inbox, views

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
    path("inbox/", inbox.inbox, name="inbox"),
    path("inbox/bulk/", inbox.bulk, name="inbox-bulk"),
    path("inbox/<int:pk>/", inbox.thread, name="conversation"),
    path("inbox/<int:pk>/reply/", inbox.reply, name="conversation-reply"),
    path("inbox/<int:pk>/count/", inbox.count, name="conversation-count"),
    path("inbox/<int:pk>/note/", inbox.note, name="conversation-note"),
    path("inbox/<int:pk>/read/", inbox.read, name="conversation-read"),
    path("inbox/<int:pk>/assign/", inbox.assign, name="conversation-assign"),
    path("inbox/<int:pk>/release/", inbox.release, name="conversation-release"),
    path("inbox/<int:pk>/snooze/", inbox.snooze, name="conversation-snooze"),
    path("inbox/<int:pk>/close/", inbox.close, name="conversation-close"),
    path("inbox/<int:pk>/reopen/", inbox.reopen, name="conversation-reopen"),
]
