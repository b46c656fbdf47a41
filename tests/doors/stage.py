"""A campaign in mid-flight, as the dashboard's tests find it: "Opening night", 724 guests, 5 senders at 1/s."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db.models import F, Max
from django.utils import timezone

from paceline.messaging import accounts, campaigns, conversations, inbox, senders, suppressions
from paceline.messaging.models import (
    Campaign,
    Contact,
    ContactList,
    Conversation,
    Event,
    Membership,
    Sender,
    TextMessage,
)
from paceline.sms.messages import InboundText
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


# --- the inbox ------------------------------------------------------------------------------------------------

ANSWERS = (  # who, how many minutes ago, what
    ("+12065550101", "Ada", 46, "Running 20 minutes late, can you hold my seat?"),
    ("+12065550102", "Björn", 31, "Is there parking nearby?"),
    ("+12065550103", "Chloé", 24, "Can I bring my sister? She would love to come!"),
    ("+12065550104", "Dmitri", 12, "Thanks, see you at 7"),
    ("+12065550105", "Esra", 9, "Which door is it for wheelchairs?"),
    ("+12065550106", "Femi", 5, "I am at the north door and nobody is here. Which one is open?"),
    ("+12065550107", "Grace", 3, "Sorry, cannot make it tonight. Give my seat to somebody else!"),
    ("+12065550108", "Hugo", 1, "Do you take cards at the bar?"),
)


def answered_night() -> list[Conversation]:
    """Eight guests of a campaign have answered: two are somebody's, one is put off, one has opted out."""
    sender, _ = senders.add(accounts.get(), "+12025550101", mps=1)
    campaign = Campaign.objects.create(name="Opening night", text=TEXT, state="finished", fanned_out=True)
    for name, text in (
        ("late", "No problem, your seat is held until 7:20."),
        ("parking", 'Hi {{ first_name|default("there") }}, there is parking behind the house, on 4th Street.'),
        ("doors", "The north and the south door are open; the south one has a ramp."),
        ("full", "We are fully booked tonight, but there are seats tomorrow."),
    ):
        conversations.save_quick_reply(name, text)
    found = [answer(sender, campaign, *each) for each in ANSWERS]
    conversations.assign(found[1], "operator")
    conversations.assign(found[4], "marta")
    conversations.snooze(found[3], timezone.now() + timedelta(hours=2))
    suppressions.add(found[6].number, suppressions.Reason.OPT_OUT, "replied 'stop'")
    return [Conversation.objects.get(pk=each.pk) for each in found]


def answer(sender: Sender, campaign: Campaign, number: str, name: str, minutes: float, text: str) -> Conversation:
    """Somebody was texted by the campaign and has answered so many minutes ago."""
    person, _ = Contact.objects.get_or_create(number=number, defaults={"fields": {"first_name": name}})
    gone = time.time() - 60 * minutes - 400
    TextMessage.objects.get_or_create(
        campaign=campaign,
        to=number,
        defaults={
            **{"frm": sender.number, "sender": sender, "contact": person, "status": Status.DELIVERED},
            **{"text": TEXT.replace("{{ first_name }}", name), "submitted_at": gone},
        },
    )
    return says(sender, number, text, minutes)


def says(sender: Sender, number: str, text: str, minutes: float = 0) -> Conversation:
    """A text comes in, as the webhook and the dispatcher take it in."""
    at = timezone.now() - timedelta(minutes=minutes)
    key = uuid.uuid4().hex
    event = Event.objects.create(account="default", dedupe_key=key, body=b"[]", received_at=at, next_try_at=None)
    inbox.receive([(event, InboundText(number=number, sender=sender.number, text=text, provider_id=key[:20]))])
    return Conversation.objects.get(number=number, ours=sender.number)
