"""A campaign in mid-flight, as the dashboard's tests find it: "Opening night", 724 guests, 5 senders at 1/s."""

from __future__ import annotations

import time
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db.models import F, Max
from django.utils import timezone

from paceline.messaging import accounts, campaigns, senders
from paceline.messaging.models import Campaign, Contact, ContactList, Membership, TextMessage
from paceline.sms.status import Status

GUESTS = 724
AREAS = (202, 206, 212, 305, 312, 415, 504, 617)
NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Esra", "Femi", "Grace", "Hugo", "Ines", "Jun")
TEXT = "Hi {{ first_name }}, doors open at 7 tonight. Your seat is held until 7:20. Reply if you are running late!"
STEP = 1.03  # seconds between two texts of one sender, as pacing has it for 1/s
ODD_ONES = {
    7: Status.UNDELIVERED,
    61: Status.REFUSED,
    118: Status.UNCERTAIN,
    205: Status.UNDELIVERED,
    260: Status.FAILED,
}


def operator():
    """Somebody who may log in."""
    return get_user_model().objects.create_user("operator", password="long enough to pass")


def opening_night(guests: int = GUESTS, gone: int = 423, **options) -> Campaign:
    """Launched and running: `gone` texts have left evenly over the senders, the rest waits its turn."""
    draft = opening_night_draft(guests, **options)
    campaign = campaigns.launch(draft)
    while campaigns.fan_out(campaign):
        pass
    while campaigns.release(campaign, time.time()) and campaign.batch_size is None:
        pass
    submit(campaign, gone)
    Campaign.objects.filter(pk=campaign.pk).update(started_at=timezone.now() - timedelta(seconds=gone / 5 * STEP))
    campaign.refresh_from_db()
    return campaign


def opening_night_draft(guests: int = GUESTS, **options) -> Campaign:
    account = accounts.get()
    for last in range(1, 6):
        senders.add(account, f"+1202555010{last}", mps=1)
    audience = ContactList.objects.create(name="Opening night guests")
    people = Contact.objects.bulk_create(
        Contact(number=f"+1{AREAS[i // 100]}55501{i % 100:02}", fields={"first_name": NAMES[i % len(NAMES)]})
        for i in range(guests)
    )
    Membership.objects.bulk_create(Membership(list=audience, contact=person) for person in people)
    return campaigns.create("Opening night", TEXT, list=audience, **options)


def submit(campaign: Campaign, gone: int) -> None:
    """What a dispatcher and a carrier would have written by now."""
    now = time.time()
    texts = list(campaign.messages.filter(status=Status.QUEUED).order_by("pk"))[:gone]
    for i, text in enumerate(texts):
        age = (gone - i) / 5 * STEP + 0.05
        text.submitted_at = now - age
        text.status = ODD_ONES.get(i) or (Status.DELIVERED if age > 5 else Status.SENT if age > 2 else Status.ACCEPTED)
    for text in texts[-2:]:
        text.status = Status.SUBMITTING
    TextMessage.objects.bulk_update(texts, ["status", "submitted_at"], batch_size=200)


def catch_up(campaign: Campaign) -> None:
    """Moves what has left to now: as if the last text had left this moment."""
    gone = campaign.messages.filter(submitted_at__isnull=False)
    late = time.time() - gone.aggregate(last=Max("submitted_at"))["last"]
    gone.update(submitted_at=F("submitted_at") + late)
