"""How far does an opt-out reach, who has said what, and with which key is it found?"""

import hmac
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import SimpleNamespace

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from paceline.messaging import campaigns, hashes, inbox, installation, outbox, reports, suppressions
from paceline.messaging.clock import Clock
from paceline.messaging.models import LedgerEntry, LedgerKey, Suppression, TextMessage
from paceline.messaging.suppressions import ALL, Scope, Way
from paceline.sms.keywords import Keyword
from paceline.sms.messages import DeliveryReport, InboundText
from paceline.sms.status import Status

from . import factories
from .factories import number

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

Reason = suppressions.Reason
US, OTHER = "+12025550100", "+12025550101"
HIM = number(1)


def told(who):
    """What has happened to somebody's entries, in order."""
    return [(line.what, line.scope_key, line.reason) for line in suppressions.history(who)]


# --- scopes ---------------------------------------------------------------------------------------------------


def test_an_entry_forbids_as_far_as_its_scope_reaches():
    """Everywhere, from one sender, or for one list; and the same number in several."""
    guests = factories.audience([])
    suppressions.add(number(1))
    suppressions.add(number(2), scope=Scope(sender=US))
    suppressions.add(number(3), scope=Scope(list_id=guests.pk))

    ways = [
        Way(number(n), sender, list_id) for n in (1, 2, 3) for sender in (US, OTHER) for list_id in (None, guests.pk)
    ]
    forbidden = suppressions.among(ways)

    assert {way for way in ways if way.number == number(1)} <= forbidden
    assert {way.sender for way in forbidden if way.number == number(2)} == {US}
    assert {way.list_id for way in forbidden if way.number == number(3)} == {guests.pk}
    assert suppressions.among([number(n) for n in (1, 2, 3)]) == {number(1)}


def test_a_bare_number_and_what_is_none():
    """What an erasure has left of a number, a name, nothing at all: nobody may be texted there."""
    assert suppressions.among(["", "erased-0123", "Acme", HIM]) == {"", "erased-0123", "Acme"}
    assert not suppressions.add("40404") and not Suppression.objects.exists()


def test_one_look_costs_one_query_whatever_is_asked():
    """A gate of five hundred asks once, the key included."""
    for i in range(20):
        suppressions.add(number(i), scope=Scope(sender=US))

    with CaptureQueriesContext(connection) as asked:
        forbidden = suppressions.among([Way(number(i), US, 7) for i in range(500)])

    assert len(asked) == 1 and len(forbidden) == 20


def test_five_hundred_hashes_are_quick():
    """They are made inside the gate's transaction: under 1.5 ms, in the best of twenty."""
    numbers = [number(i) for i in range(500)]

    def seconds():
        began = time.perf_counter()
        hashes.of_all(numbers)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(20)) < 0.0015


def test_the_gate_knows_scopes(line, clock):
    """Of two texts to one person, the one from the sender that they have stopped does not leave."""
    ours, other = factories.sender(line, mps=None), factories.sender(line, mps=None)
    (stopped,), (wanted,) = _texts(ours), _texts(other)
    suppressions.add(HIM, scope=Scope(sender=ours.number))

    passed = factories.pass_gate(clock, line)

    assert [submission.message.reference for submission in passed] == [wanted.reference]
    stopped.refresh_from_db()
    assert stopped.status == Status.SUPPRESSED


def _texts(lane):
    texts = factories.queued(lane, 1)
    TextMessage.objects.filter(pk=texts[0].pk).update(to=HIM)
    return texts


def test_the_gate_knows_the_campaigns_list(line, lane, clock):
    """Who has left a list between the release and the gate gets no text of its campaigns, and those of others still."""
    left, other = factories.launched(2), factories.launched(2)
    people = list(left.messages.values_list("to", flat=True)) + list(other.messages.values_list("to", flat=True))
    for campaign in (left, other):
        campaigns.release(campaign, clock.now())
    for who in people:
        suppressions.add(who, scope=Scope(list_id=left.list_id))

    passed = factories.pass_gate(clock, line)

    assert {submission.message.number for submission in passed} == set(people[2:])
    assert factories.statuses(left) == {Status.SUPPRESSED: 2}


def test_the_valve_knows_scopes(line, lane, clock):
    """Who is forbidden for the list, or from the sender, is passed by at the release."""
    campaign = factories.launched(3)
    first, second, third = campaign.messages.order_by("pk").values_list("to", flat=True)
    suppressions.add(first, scope=Scope(list_id=campaign.list_id))
    suppressions.add(second, scope=Scope(sender=lane.number))
    suppressions.add(third, scope=Scope(sender=OTHER))

    campaigns.release(campaign, clock.now())

    assert list(campaign.messages.order_by("pk").values_list("status", flat=True)) == ["suppressed"] * 2 + ["queued"]


def test_a_stop_between_claim_and_gate_is_obeyed(line, lane, clock):
    """By the verbs that every webhook takes: claimed, stopped, and not sent."""
    texts = factories.queued(lane, 3)
    leases = outbox.claim(line.pk, clock)
    inbox.obey(InboundText(texts[1].to, lane.number, "Stop"))
    clock.at = max(lease.slot_at for lease in leases)

    passed = outbox.gate(leases, clock)

    assert {submission.message.number for submission in passed} == {texts[0].to, texts[2].to}
    assert TextMessage.objects.get(pk=texts[1].pk).status == Status.SUPPRESSED


def test_a_list_that_somebody_has_left_is_not_deleted():
    """Filled again under the same name it would text them again."""
    guests = factories.audience(factories.people(1))
    suppressions.add(HIM, scope=Scope(list_id=guests.pk))

    with pytest.raises(Exception, match="protected"):
        guests.delete()


# --- what people say ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "forbidden"), [("all", {US, OTHER}), ("sender", {US})])
def test_a_stop_reaches_as_far_as_the_setting_says(settings, setting, forbidden):
    """Everywhere, or to the sender that it was said to; START lifts it again."""
    settings.PACELINE = settings.PACELINE | {"STOP_SCOPE": setting}
    ways = [Way(HIM, sender) for sender in (US, OTHER)]

    inbox.obey(InboundText(HIM, US, "STOP"))
    assert {way.sender for way in suppressions.among(ways)} == forbidden

    inbox.obey(InboundText(HIM, US, "START"))
    assert suppressions.among(ways) == set()


def test_a_start_to_another_sender_lifts_nothing_that_was_said_to_this_one(settings):
    """With STOP_SCOPE "sender" each is asked for by itself; and a list that was left stays left."""
    settings.PACELINE = settings.PACELINE | {"STOP_SCOPE": "sender"}
    guests = factories.audience([])
    inbox.obey(InboundText(HIM, US, "STOP"))
    suppressions.add(HIM, Reason.OPT_OUT, scope=Scope(list_id=guests.pk))

    inbox.obey(InboundText(HIM, OTHER, "START"))
    assert suppressions.among([Way(HIM, US)]) == {Way(HIM, US)}

    inbox.obey(InboundText(HIM, US, "START"))
    assert [entry.scope for entry in suppressions.of(HIM)] == ["list:Guests"]


def test_what_a_provider_refuses_reaches_as_far_as_a_stop(settings, line, lane, clock):
    """Its opt-outs are of a sender, too."""
    settings.PACELINE = settings.PACELINE | {"STOP_SCOPE": "sender"}
    (text,) = factories.queued(lane, 1)
    TextMessage.objects.filter(pk=text.pk).update(status=Status.ACCEPTED)

    reports.take_in(text, DeliveryReport(Status.UNDELIVERED, code="21610", opted_out=True))

    entry = Suppression.objects.get()
    assert (entry.reason, entry.scope) == (Reason.PROVIDER, f"sender:{lane.number}")
    assert "21610" in entry.evidence and lane.number in entry.evidence


MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "suppressed"),
    [
        ([("STOP", 0), ("START", 1)], False),
        ([("STOP", 1), ("START", 0)], True),
        ([("STOP", 0), ("STOP", 2), ("START", 1)], True),
        ([("STOP", 0), ("START", 1), ("STOP", 2), ("START", 1)], True),
        ([("START", 1), ("STOP", 0)], True),
        ([("STOP", 0), ("START", None)], False),
    ],
)
def test_a_late_start_lifts_no_later_stop(said, suppressed):
    """Texts that come in another order than they were said: a START must be the newer one, and a STOP always counts."""
    for word, minute in said:
        at = None if minute is None else MOMENT + timedelta(minutes=minute)
        inbox.obey(InboundText(HIM, US, word, at=at))

    assert (suppressions.among([HIM]) == {HIM}) is suppressed


def test_a_provider_whose_clock_is_ahead_keeps_nobody_from_coming_back():
    """A STOP of tomorrow was said now."""
    inbox.obey(InboundText(HIM, US, "STOP", at=timezone.now() + timedelta(days=1)))

    inbox.obey(InboundText(HIM, US, "START", at=timezone.now() + timedelta(seconds=1)))

    assert suppressions.among([HIM]) == set()


class Certainty(StrEnum):
    EXACT = "exact"
    CLEAR = "clear"
    DOUBTFUL = "doubtful"


def heed(text, intent, certainty):
    """An inbound text, read so, and obeyed."""
    message = TextMessage(direction="incoming", frm=HIM, to=US, text=text, status=Status.RECEIVED)
    return suppressions.heed(message, SimpleNamespace(intent=intent, certainty=certainty))


@pytest.mark.parametrize(("certainty", "waits"), [(Certainty.CLEAR, False), (Certainty.DOUBTFUL, True)])
def test_free_wording_takes_effect_at_once(certainty, waits):
    """What is doubtful is in force as well, and waits for a person."""
    assert heed("please stop texting me", Keyword.STOP, certainty)

    entry = Suppression.objects.get()
    assert (entry.needs_review, entry.reason) == (waits, Reason.OPT_OUT)
    assert "please stop texting me" in entry.evidence and US in entry.evidence
    assert list(suppressions.waiting_for_review()) == [entry] * waits
    assert suppressions.among([HIM]) == {HIM}


@pytest.mark.parametrize("intent", [None, Keyword.START, Keyword.HELP])
def test_nothing_but_an_exact_start_lifts(intent):
    """However clear the words are."""
    inbox.obey(InboundText(HIM, US, "STOP"))

    assert not heed("ok text me again", intent, Certainty.CLEAR)
    assert suppressions.among([HIM]) == {HIM}


def test_doubt_ends_with_a_clear_word_or_a_person():
    """Confirmed it stays, lifted it is gone, and a plain STOP needs nobody; nothing turns doubtful again."""
    heed("enough maybe", Keyword.STOP, Certainty.DOUBTFUL)
    (entry,) = suppressions.waiting_for_review()

    assert [suppressions.confirm(entry, "read by Operator") for _ in range(2)] == [True, False]
    heed("enough maybe", Keyword.STOP, Certainty.DOUBTFUL)
    assert not suppressions.waiting_for_review()
    assert [suppressions.lift(entry, "they meant the song") for _ in range(2)] == [True, False]

    heed("enough maybe", Keyword.STOP, Certainty.DOUBTFUL)
    inbox.obey(InboundText(HIM, US, "STOP"))
    assert not suppressions.waiting_for_review()
    assert [what for what, _, _ in told(HIM)] == ["added", "confirmed", "lifted", "added", "confirmed"]


def test_the_history_says_when_how_and_who():
    """Lifted or not, everything that was done stands there, with its evidence."""
    inbox.obey(InboundText(HIM, US, "STOP"))
    inbox.obey(InboundText(HIM, US, "START"))
    suppressions.add(HIM, evidence="asked by telephone")
    suppressions.remove(HIM, evidence="asked by mail, Operator")

    assert told(HIM) == [
        ("added", "all", "opt-out"),
        ("lifted", "all", "opt-out"),
        ("added", "all", "manual"),
        ("lifted", "all", "manual"),
    ]
    evidence = [line.evidence for line in suppressions.history(HIM)]
    assert evidence == [
        f"replied 'STOP' to {US}",
        f"replied 'START' to {US}",
        "asked by telephone",
        "asked by mail, Operator",
    ]


# --- a provider's list ----------------------------------------------------------------------------------------


def test_a_list_is_taken_in_once():
    """All of it is forbidden, who was already stays as they were, and nothing is written twice."""
    suppressions.add(number(3), Reason.MANUAL, "by hand")
    numbers = [number(i) for i in range(1200)] + [number(5), "nobody"]

    assert [suppressions.add_all(numbers, Reason.PROVIDER, "their list") for _ in range(2)] == [1199, 0]
    assert suppressions.among(numbers[:600]) == set(numbers[:600])
    assert Suppression.objects.count() == LedgerEntry.objects.count() == 1200
    assert suppressions.of(number(3)).get().evidence == "by hand"


# --- the key --------------------------------------------------------------------------------------------------


@pytest.fixture
def other_key(settings):
    """The settings have another key than that of the entries that are there."""
    suppressions.add(HIM, Reason.OPT_OUT, "replied 'STOP'")

    def change(key="another key, long enough"):
        settings.PACELINE = settings.PACELINE | {"OPTOUT_KEY": key}

    change()
    return change


def test_another_key_texts_nobody(other_key, line, lane):
    """Whom the entries forbid cannot be told: nothing is claimed, nothing passes a gate, and it is said why."""
    factories.queued(lane, 1)

    with pytest.raises(suppressions.WrongKey):
        suppressions.among([number(2)])
    assert "another key" in installation.guard()
    assert outbox.claim(line.pk, Clock()) == []
    for verb in (suppressions.of, suppressions.history, suppressions.remove):
        with pytest.raises(suppressions.WrongKey):
            verb(HIM)
    assert [found.id for found in run_checks(tags=["database"], databases=["default"])] == ["paceline.E012"]


def test_the_key_is_looked_at_in_the_gate_itself(line, lane, clock, settings):
    """A lease that was claimed with the right key does not pass with a wrong one."""
    suppressions.add(HIM)
    factories.queued(lane, 1)
    leases = outbox.claim(line.pk, clock)
    settings.PACELINE = settings.PACELINE | {"OPTOUT_KEY": "another key, long enough"}

    with pytest.raises(suppressions.WrongKey):
        outbox.gate(leases, clock)
    assert TextMessage.objects.get().status == Status.LEASED


def test_a_stop_that_is_heard_with_another_key_is_not_lost(other_key):
    """It is kept, everybody stops, and with the right key again it is found."""
    inbox.obey(InboundText(number(2), US, "STOP"))
    other_key("")
    with pytest.raises(suppressions.WrongKey):
        suppressions.among([HIM])

    assert suppressions.rehash() == (1, 0)
    assert suppressions.among([HIM, number(2), number(3)]) == {HIM, number(2)}
    assert LedgerKey.objects.count() == 1


def test_entries_take_a_new_key(other_key):
    """With their history; and who is there under both is one entry, the firmer of the two."""
    suppressions.add(HIM, Reason.MANUAL, "by hand")
    suppressions.add(number(2), scope=Scope(sender=US))

    assert suppressions.rehash() == (1, 0)
    assert suppressions.among([HIM]) == {HIM}
    assert [entry.reason for entry in suppressions.of(HIM)] == [Reason.MANUAL]
    assert len(told(HIM)) >= 2 and not installation.guard()


def test_a_new_key_leaves_nobody_behind_who_was_erased(other_key):
    """Their number is gone, so nothing is moved at all: the old key is needed."""
    other_key("")
    suppressions.forget(HIM)
    suppressions.add(number(2))
    other_key()

    assert suppressions.rehash() == (0, 1)
    other_key("")
    assert suppressions.among([HIM, number(2)]) == {HIM, number(2)}


@pytest.mark.parametrize(
    "key", ["k" * 16, "k" * 64, "a key that is longer than a block of the hash " * 2, "schlüssel " * 3]
)
def test_a_hash_is_the_standards(settings, key):
    """HMAC-SHA256 of the number, as any other program makes it."""
    settings.PACELINE = settings.PACELINE | {"OPTOUT_KEY": key}

    assert hashes.of(HIM) == hmac.new(key.encode(), HIM.encode(), "sha256").hexdigest()


def test_the_key_is_the_secret_keys_until_there_is_one(settings):
    """Another SECRET_KEY is another key then, and with an OPTOUT_KEY it is not."""

    def found(**changed):
        settings.SECRET_KEY = changed.pop("secret", "one")
        settings.PACELINE = settings.PACELINE | {"OPTOUT_KEY": changed.pop("key", "")}
        return hashes.of(HIM), hashes.fingerprint()

    assert found() == found() != found(secret="two")
    assert found(key="k" * 32) == found(key="k" * 32, secret="two") != found()


# --- how the settings are looked at ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "id_"), [({"STOP_SCOPE": "lists"}, "paceline.E011"), ({"OPTOUT_KEY": "short"}, "paceline.W006")]
)
def test_a_wrong_setting_is_found(settings, wrong, id_):
    """With a hint; and a STOP holds everywhere meanwhile."""
    settings.PACELINE = settings.PACELINE | wrong

    assert id_ in [found.id for found in run_checks()]
    assert suppressions.stop_scope(US) == ALL
