"""Celery tasks that text: at once, and later without an `eta`. What is to leave later is a row with a due time.

export PACELINE_PROVIDER=vonage://KEY:SECRET@ CELERY_BROKER_URL=redis:// DATABASE_URL=sqlite:///texts.db SECRET_KEY=…
python celery_app.py                                  # makes the tables
celery -A celery_app worker --beat --concurrency 2    # then celery_app.send_now.delay(…), celery_app.remind(…)
"""

import os

import django
from celery import Celery
from django.conf import settings
from django.core.management import call_command

from paceline import messaging
from paceline.messaging import databases

PACELINE = {"PROVIDERS": {"default": os.environ["PACELINE_PROVIDER"]}, "DATA_DIR": "texts"}
TABLES = {"default": databases.from_url(os.environ["DATABASE_URL"])}
OURS = {"INSTALLED_APPS": ["paceline.messaging", "paceline.dispatcher"], "SECRET_KEY": os.environ["SECRET_KEY"]}
settings.configure(**OURS, DATABASES=TABLES, PACELINE=PACELINE)
django.setup()
app = Celery("celery_app", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.beat_schedule = {"due": {"task": "celery_app.send_due", "schedule": 2.0, "options": {"expires": 2}}}


@app.task  # without acks_late and retries: a task that runs again would text again
def send_now(text, frm, to):
    return messaging.send_text(text, frm, to).status  # what went wrong is on the row


def remind(text, frm, to, at):  # an aware datetime; no worker holds it, no restart forgets it
    messaging.queue_text(text, frm, to, at=at)


@app.task
def send_due():
    call_command("dispatch", until_idle=True, seconds=50)
