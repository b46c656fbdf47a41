"""Forwards what people answer to a phone, and tells them where to ask; STOP, START and HELP are answered by themselves.

export SMS_URL='vonage://KEY:SECRET@?signature_secret=…' DATABASE_URL=sqlite:///texts.db
export PHONE=+12065550150 SECRET_KEY=…  # fifty random characters; opt-outs are kept by a hash that is made with it
python forward_to_my_phone.py migrate    # then runserver, and beside it dispatch, which sends what is queued
"""

import os

import django
from django.conf import settings
from django.core import management
from django.db.models.signals import post_migrate
from django.urls import include, path

from paceline.messaging import databases

OURS = {"INSTALLED_APPS": ["paceline.messaging", "paceline.dispatcher"], "ROOT_URLCONF": __name__, "DEBUG": True}
OURS["SECRET_KEY"] = os.environ["SECRET_KEY"]
PACELINE = {"PROVIDERS": {"default": os.environ["SMS_URL"]}, "REGION": "US", "PROGRAM_NAME": "Opening Night"}
settings.configure(**OURS, PACELINE=PACELINE, DATABASES={"default": databases.from_url(os.environ["DATABASE_URL"])})
django.setup()


def set_up(**kwargs):
    from paceline.messaging import rules

    answer = {"do": "reply", "text": "Please e-mail us: team@example.org"}
    rules.add("Everything", "any", "", [{"do": "forward", "to": os.environ["PHONE"]}, answer])


post_migrate.connect(set_up)
urlpatterns = [path("webhooks/", include("paceline.webhooks.urls"))]
management.execute_from_command_line()
