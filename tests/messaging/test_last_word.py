"""Does the last word hold? STOP, START, import, erasure, launch and gate in any order, on the real verbs."""

import json
import threading
from time import sleep

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from paceline.messaging import campaigns, contacts, engine, erasure, events, inbox, outbox, suppressions
from paceline.messaging.models import Contact, Event, Suppression, TextMessage
from paceline.messaging.sheets import Row
from paceline.sms.messages import InboundText, WebhookRequest

from .factories import Clock, Plain, account, audience, fanned_out, number, on_threads, people, sender, undone

pytestmark = [pytest.mark.django_db, pytest.mark.contract, pytest.mark.usefixtures("plain_provider")]

HIM = number(1)
ACTS = ["stop", "start", "replay", "import", "erase", "launch", "release", "claim", "gate", "apply", "queue"]


class Story:
    """One person, one sender, and all that may happen between them; what was said last is known from outside."""

    def __init__(self, lane):
        self.lane, self.clock = lane, Clock()
        self.guests = audience(people(1))
        self.said, self.campaigns, self.leases = [], [], []
        self.word, self.is_erased = "", False

    @property
    def is_forbidden(self):
        return self.is_erased or self.word == "stop"

    def say(self, word):
        item = {"number": HIM, "sender": self.lane.number, "text": word, "provider_id": f"in-{len(self.said)}"}
        self.said.append(json.dumps([item]).encode())
        self._store(self.said[-1])

    def _store(self, body):
        webhook = WebhookRequest("POST", "", {}, "", body)
        events.store(events.Arrival("default", webhook, Plain().events(webhook)))

    def stop(self):
        self.say("STOP")
        self.word = "stop"

    def start(self):
        self.say("START")
        self.word = "start"

    def replay(self):
        """Every webhook that has come until now comes once more, the newest first."""
        for body in reversed(self.said):
            self._store(body)

    def apply(self):
        events.apply_due(engine.now())

    def import_(self):
        contacts.add([Row(1, HIM, HIM, "ready", "", "", {"name": "Ada"})], self.guests)

    def erase(self):
        erasure.erase(HIM)
        self.is_erased = True

    def launch(self):
        self.campaigns.append(fanned_out(campaigns.launch(campaigns.create("Again", "Hi", list=self.guests))))

    def release(self):
        for campaign in self.campaigns:
            campaigns.release(campaign, self.clock.now())

    def queue(self):
        outbox.queue_text("Hi", self.lane, HIM)

    def claim(self):
        self.leases += outbox.claim(self.lane.account_id, self.clock)

    def gate(self):
        """Nobody who is forbidden passes; answers who has."""
        passed = {submission.message.number for submission in outbox.gate(self.leases, self.clock)}
        self.leases = []
        assert not (self.is_forbidden and HIM in passed)
        return passed

    def end(self):
        """Whatever has happened: imported anew and sent to anew, the last word holds."""
        self.gate()
        self.import_()
        self.launch()
        self.release()
        self.queue()
        self.claim()
        assert (HIM not in self.gate()) == self.is_forbidden
        assert (suppressions.among([HIM]) == {HIM}) == self.is_forbidden


def the_last_word_holds(phases=tuple(Phase), examples=60):
    lane = sender(account(), mps=None)

    @settings(max_examples=examples, deadline=None, phases=phases, suppress_health_check=list(HealthCheck))
    @given(acts=st.lists(st.sampled_from(ACTS), max_size=14))
    def holds(acts):
        with undone():
            story = Story(lane)
            for act in acts:
                getattr(story, "import_" if act == "import" else act)()
            story.end()

    holds()


def test_the_last_word_holds():
    """Any interleaving of STOP, START, import, erase, launch and gate ends suppressed when the last word was STOP, and
    after an erasure for good; a START, and nothing else, opens again. Old webhooks that come again change nothing.
    """
    the_last_word_holds()


FAULTS = {
    "a gate that does not look": (suppressions, "among", lambda sought: set()),
    "an import that lifts": (contacts, "_add", lambda told, *rest: [suppressions.remove(who) for who in told]),
    "an erasure that forgets too much": (suppressions, "forget", lambda who: Suppression.objects.all().delete()),
    "a START that lifts nothing": (suppressions, "lift_opt_out", lambda *given: False),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_property_bites(fault, monkeypatch):
    """With each of these faults the same test finds a text too many, or one too few: it can fail."""
    monkeypatch.setattr(*FAULTS[fault])

    with pytest.raises(Exception):  # noqa: B017 what the fault breaks first
        the_last_word_holds(phases=[Phase.generate], examples=500)


def test_a_thousand_replays_of_a_start_lift_no_stop():
    """Nor does the STOP count again: the history has each word once."""
    story = Story(sender(account(), mps=None))
    story.start()
    story.stop()

    for _ in range(500):
        story.replay()
    story.apply()

    assert suppressions.among([HIM]) == {HIM}
    assert [line.what for line in suppressions.history(HIM)] == ["added"]
    assert Event.objects.count() == TextMessage.objects.count() == 2
    assert not Contact.objects.filter(number=HIM).exists()


@pytest.mark.django_db(transaction=True)
def test_a_stop_that_meets_a_start_is_not_swallowed():
    """Two webhooks at once: the STOP that commits after the START finds no entry any more, and makes one."""
    with engine.write():
        inbox.obey(InboundText(HIM, "+12025550100", "STOP"))
    is_lifting = threading.Event()

    def door(i):
        if i == 1:
            is_lifting.wait()
        with engine.write():
            inbox.obey(InboundText(HIM, "+12025550100", ["START", "STOP"][i]))
            is_lifting.set()
            sleep(0.3 * (i == 0))

    assert on_threads(2, door) == [None, None]
    assert suppressions.among([HIM]) == {HIM}
    assert [line.what for line in suppressions.history(HIM)] == ["added", "lifted", "added"]
