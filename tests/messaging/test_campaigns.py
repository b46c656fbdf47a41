"""What happens to a campaign between its draft and its end? Nobody twice, nobody lost, whatever is done to it."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from paceline.dispatcher.chores import Chores
from paceline.messaging import campaigns, engine, outbox, senders, suppressions
from paceline.messaging.campaigns import CampaignError
from paceline.messaging.models import Campaign, Contact, TextMessage
from paceline.sms import errors
from paceline.sms.status import Status

from .factories import (
    account,
    audience,
    draft,
    fanned_out,
    launched,
    number,
    on_threads,
    pass_gate,
    people,
    send,
    sender,
    settle,
    statuses,
)

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

State = Campaign.State


def numbers_of(campaign):
    return sorted(campaign.messages.values_list("to", flat=True))


def again(campaign):
    """The campaign as another process finds it."""
    return Campaign.objects.get(pk=campaign.pk)


# --- drafting -------------------------------------------------------------------------------------------------

BAD_DRAFTS = {
    "text is empty": {"text": " \n"},
    "{{": {"text": "Hi {{ first name }}"},
    "batch_size": {"text": "Hi", "batch_size": 0},
    "delay_period": {"text": "Hi", "delay_period": -1.0},
    "delay_period is in seconds": {"text": "Hi", "delay_period": float("nan")},
    "scheduled_at has no time zone": {"text": "Hi", "scheduled_at": datetime(2030, 1, 1, 9)},  # noqa: DTZ001
    "expires_at has no time zone": {"text": "Hi", "expires_at": datetime(2030, 1, 1, 9)},  # noqa: DTZ001
}


@pytest.mark.parametrize("says", BAD_DRAFTS)
def test_a_draft_that_cannot_work_is_not_made(says):
    """A wrong text, pace or moment is refused with a sentence about it, and leaves nothing behind."""
    with pytest.raises(errors.PacelineError) as raised:
        campaigns.create("Opening night", numbers=[number(1)], **BAD_DRAFTS[says])

    assert says in str(raised.value)
    assert not Campaign.objects.exists()


# --- launch ---------------------------------------------------------------------------------------------------


def test_launched_and_on_its_way_to_everybody(line, lane, clock):
    """Launch, fan out, release, send, finish: each recipient gets one text, from the campaign's text."""
    campaign = launched(3, text="Doors open at 7")
    assert statuses(campaign) == {Status.HELD: 3}

    assert campaigns.release(campaign, clock.now()) == 3
    sent = send(clock, line)

    assert {s.message.text for s in sent} == {"Doors open at 7"}
    assert sorted(s.message.number for s in sent) == numbers_of(campaign)
    assert campaigns.finish(again(campaign))
    assert again(campaign).state == State.FINISHED


def test_launched_twice_is_once(lane):
    """The second launch is told that it runs already, and changes nothing."""
    campaign = launched(3)
    started_at = campaign.started_at

    with pytest.raises(CampaignError, match="is running; only a draft"):
        campaigns.launch(again(campaign))

    fanned_out(again(campaign))
    assert again(campaign).started_at == started_at
    assert campaign.messages.count() == 3


@pytest.mark.django_db(transaction=True)
def test_launched_by_twenty_at_once_is_once():
    """Twenty doors that launch one draft at the same moment: one does, and each recipient has one row."""
    sender(account())
    campaign = draft(5)

    answers = on_threads(20, lambda i: campaigns.launch(again(campaign)))

    assert [type(answer) for answer in answers].count(CampaignError) == 19
    assert fanned_out(again(campaign)).messages.count() == 5


def test_missing_fields_are_named_and_counted(lane):
    """A text whose field some recipients lack, or have blank, is not launched: which field and how many is said."""
    guests = audience([*people(2, first_name="Ada"), *people(3), *people(1, first_name="")])
    campaign = campaigns.create("Opening night", "Hi {{ first_name }}", list=guests)

    with pytest.raises(CampaignError, match=r'4 recipients have no "first_name"'):
        campaigns.launch(campaign)

    assert again(campaign).state == State.DRAFT
    assert not TextMessage.objects.exists()


def test_numbers_have_no_fields(lane):
    """Numbers given with a campaign have nothing to fill a field with: they count as lacking it."""
    campaign = campaigns.create("Opening night", "Hi {{ first_name }}", numbers=[number(1), number(2)])

    assert "2 recipients" in campaigns.check(campaign)[0]


def test_a_default_is_no_missing_field(lane):
    """With a default in the text everybody can be texted."""
    campaign = launched(2, text='Hi {{ first_name|default("there") }}')

    campaigns.release(campaign, 0)

    assert {text.text for text in campaign.messages.all()} == {"Hi there"}


def test_without_anybody_or_any_sender():
    """A launch without recipients or senders says so, with what to do, and changes nothing."""
    nobody = campaigns.create("Opening night", "Hi", list=audience([]))

    with pytest.raises(CampaignError) as raised:
        campaigns.launch(nobody)

    assert "Nobody is in the audience" in str(raised.value)
    assert "paceline sender add" in str(raised.value)
    assert again(nobody).state == State.DRAFT


def test_a_removed_sender_cannot_be_chosen(line, lane):
    """A campaign of one sender does not start when that has been removed."""
    gone = sender(line)
    campaign = draft(sender=gone)
    senders.remove(gone)
    campaign.sender.refresh_from_db()

    with pytest.raises(CampaignError, match="has been removed"):
        campaigns.launch(campaign)


def test_a_campaign_of_one_sender(line, lane):
    """A campaign may name its sender: all leave from there, and the contacts keep theirs."""
    chosen = sender(line)
    campaign = launched(4, sender=chosen)

    assert set(campaign.messages.values_list("sender", "frm")) == {(chosen.pk, chosen.number)}
    assert not Contact.objects.exclude(sender=None).exists()


# --- scheduled ------------------------------------------------------------------------------------------------


def test_scheduled_starts_when_due(lane):
    """A launch with a moment in the future waits for it, and starts by itself."""
    campaign = campaigns.launch(draft(scheduled_at=timezone.now() + timedelta(hours=1)))
    assert (campaign.state, campaigns.start_scheduled(), campaigns.due()) == (State.SCHEDULED, 0, [])

    Campaign.objects.update(scheduled_at=timezone.now())

    assert (campaigns.start_scheduled(), campaigns.start_scheduled()) == (1, 0)
    assert again(campaign).state == State.RUNNING
    assert again(campaign).started_at is not None


def test_scheduled_in_the_past_starts_at_once(lane):
    """A moment that has passed is now."""
    assert campaigns.launch(draft(scheduled_at=timezone.now() - timedelta(hours=1))).state == State.RUNNING


# --- fan-out --------------------------------------------------------------------------------------------------


def test_killed_between_chunks(lane):
    """The fan-out goes on where it was killed; each recipient has exactly one row."""
    campaign = campaigns.launch(draft(450))

    while campaigns.fan_out(again(campaign)):  # nothing is remembered but what was committed
        pass

    assert again(campaign).fanned_out
    assert numbers_of(campaign) == sorted(Contact.objects.values_list("number", flat=True))


def test_killed_within_a_chunk(lane, monkeypatch):
    """A chunk and its bookmark commit together: a kill between them loses both, and nobody."""
    campaign = campaigns.launch(draft(250))

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "insert_select", killed)
        campaigns.fan_out(again(campaign))

    assert fanned_out(again(campaign)).messages.count() == 250


@pytest.mark.django_db(transaction=True)
def test_fanned_out_by_four_at_once():
    """Dispatchers in one another's way write each recipient once, and none of them fails."""
    sender(account())
    campaign = campaigns.launch(draft(900))

    problems = [a for a in on_threads(4, lambda i: fanned_out(again(campaign))) if isinstance(a, Exception)]

    assert not problems
    assert campaign.messages.count() == 900


@pytest.mark.parametrize("state", [State.RUNNING, State.SCHEDULED])
def test_the_list_is_frozen_at_the_launch(lane, state):
    """Who comes onto the list after the launch is not in the campaign, though it is not fanned out or started yet."""
    later = timezone.now() + timedelta(hours=1) if state == State.SCHEDULED else None
    campaign = campaigns.launch(draft(3, scheduled_at=later))
    audience(people(2), name=campaign.list.name)
    Campaign.objects.update(state=State.RUNNING)

    assert fanned_out(again(campaign)).messages.count() == 3


def test_fields_are_frozen_at_the_fan_out(lane):
    """A contact that is changed afterwards still gets the text of the launch; odd characters pass through."""
    name = 'Zoë "O\'Neil" \\ {{ x }} 🎭\n%s'
    guests = audience(people(1, first_name=name, seat="12"))
    campaign = campaigns.create("Opening night", "Hi {{ first_name }}", list=guests)
    fanned_out(campaigns.launch(campaign))
    Contact.objects.update(fields={"first_name": "Somebody else"})

    campaigns.release(campaign, 0)

    text = campaign.messages.get()
    assert text.text == f"Hi {name}"
    assert text.fields == {"first_name": name}  # only what the text needs is copied


def test_what_was_released_keeps_its_text(lane):
    """A text that has been rendered does not change any more."""
    campaign = launched(2, text="Doors open at 7", batch_size=1)
    campaigns.release(campaign, 0)

    Campaign.objects.update(text="Cancelled!")

    assert campaign.messages.get(status=Status.QUEUED).text == "Doors open at 7"


def test_numbers_become_contacts_once(lane):
    """Numbers given with a campaign join its list's people: known ones are not doubled, new ones become contacts."""
    guests = people(2)
    known = people(1)[0]
    given = [number(i) for i in range(450)]
    overlap = [guests[0].number, known.number, given[0], given[0]]
    campaign = campaigns.create("Opening night", "Hi", list=audience(guests), numbers=[*given, *overlap])

    fanned_out(campaigns.launch(campaign))

    everybody = sorted({*given, *overlap, guests[1].number})
    assert numbers_of(campaign) == everybody
    assert sorted(Contact.objects.values_list("number", flat=True)) == everybody
    assert not again(campaign).intakes.exists()


def test_every_row_has_a_reference_of_its_own(lane):
    """The database makes 128 random bits for each recipient."""
    references = set(launched(300).messages.values_list("reference", flat=True))

    assert len(references) == 300
    assert all(len(bytes.fromhex(reference)) == 16 for reference in references)


def test_one_recipient_who_cannot_be_rendered_holds_up_nobody(lane):
    """A field of nothing but blanks is found when the text is rendered: refused with the reason, the others leave."""
    guests = audience([*people(1, first_name="Ada"), *people(1, first_name="\t"), *people(1, first_name="Bo")])
    campaign = fanned_out(campaigns.launch(campaigns.create("Opening night", "Hi {{ first_name }}", list=guests)))

    campaigns.release(campaign, 0)

    assert statuses(campaign) == {Status.QUEUED: 2, Status.REFUSED: 1}
    assert "first_name" in campaign.messages.get(status=Status.REFUSED).reason


# --- pause, resume, cancel ------------------------------------------------------------------------------------

VERBS = {"launch": campaigns.launch, "pause": campaigns.pause, "resume": campaigns.resume, "cancel": campaigns.cancel}
ALLOWED = {
    ("launch", State.DRAFT),
    ("pause", State.RUNNING),
    ("resume", State.PAUSED),
    *(("cancel", state) for state in (State.DRAFT, State.SCHEDULED, State.RUNNING, State.PAUSED)),
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("verb", VERBS)
def test_what_a_campaign_can_do(lane, verb, state):
    """From each state only its own ways lead on; the others say where it stands and from where they start."""
    campaign = draft()
    Campaign.objects.update(state=state)

    if (verb, state) in ALLOWED:
        assert VERBS[verb](campaign).state != state
        return
    with pytest.raises(CampaignError, match=f"is {state}; only a .* can be {verb[:4]}"):
        VERBS[verb](campaign)
    assert again(campaign).state == state


def test_a_paused_campaign_releases_nothing(lane):
    """The valve is shut while a campaign is paused, and opens where it stood."""
    campaign = launched(3)
    campaigns.pause(campaign)
    assert campaigns.release(campaign, 0) == 0

    campaigns.resume(campaign)

    assert campaigns.release(campaign, 0) == 3


def test_cancelled_the_account_is_exact(line, lane, clock):
    """Who was sent to stays so; everybody else is cancelled, those too who had no row yet."""
    guests = audience(people(250))
    campaign = campaigns.create("Opening night", "Hi", list=guests, numbers=[number(i) for i in range(450)])
    campaigns.launch(campaign)
    campaigns.fan_out(campaign)
    campaigns.release(campaign, clock.now())
    sent = len(send(clock, line))

    campaigns.cancel(campaign)

    assert statuses(campaign) == {Status.ACCEPTED: sent, Status.CANCELLED: 700 - sent}
    assert again(campaign).finished_at is not None
    assert not Contact.objects.filter(messages=None).exists()


def test_a_large_campaign_is_cancelled_in_steps(lane, clock, monkeypatch):
    """What the request that cancels cannot do in time, or was killed before, the dispatcher's chores do."""
    monkeypatch.setattr(campaigns, "CHUNKS_AT_ONCE", 2)
    campaign = campaigns.launch(draft(900))

    campaigns.cancel(campaign)
    assert again(campaign).finished_at is None
    chores = Chores(clock)
    while chores.round().more:
        pass

    assert statuses(campaign) == {Status.CANCELLED: 900}
    assert again(campaign).finished_at is not None
    assert campaigns.due() == []


def test_what_comes_back_after_a_cancel_is_cancelled(line, lane, clock):
    """A text that was on the wire at the cancel and is definitely not sent does not wait for ever."""
    campaign = launched(2)
    campaigns.release(campaign, clock.now())
    first, second = pass_gate(clock, line)
    campaigns.cancel(campaign)
    settle(first.lease, errors.Throttled("slow down"), clock)
    settle(second.lease, errors.Uncertain("timed out"), clock)

    Chores(clock).round()

    assert statuses(campaign) == {Status.CANCELLED: 1, Status.UNCERTAIN: 1}


def test_cancelling_between_claim_and_gate(line, lane, clock):
    """A cancel obeys the gate: what was only leased is cancelled there, and then the campaign is over."""
    campaign = launched(2)
    campaigns.release(campaign, clock.now())
    leases = outbox.claim(line.pk, clock)
    campaigns.cancel(campaign)

    assert outbox.gate(leases, clock) == []
    Chores(clock).round()

    assert statuses(campaign) == {Status.CANCELLED: 2}
    assert again(campaign).finished_at is not None


# --- the end --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.RECEIVED])
def test_finished_only_when_nothing_waits(lane, status):
    """One text that is held, queued, leased or submitting keeps a campaign running; any other lets it finish."""
    campaign = launched(2)
    first, second = campaign.messages.all()
    TextMessage.objects.filter(pk=first.pk).update(status=Status.DELIVERED)
    TextMessage.objects.filter(pk=second.pk).update(status=status)

    waits = status in (Status.HELD, Status.QUEUED, Status.LEASED, Status.SUBMITTING)
    assert campaigns.finish(again(campaign)) is not waits
    assert again(campaign).state == (State.RUNNING if waits else State.FINISHED)


def test_not_finished_before_everybody_has_a_row(lane):
    """A campaign whose fan-out has not ended is not finished, though nothing of it waits."""
    campaign = campaigns.launch(draft(300))
    campaigns.fan_out(campaign)
    TextMessage.objects.update(status=Status.DELIVERED)

    assert not campaigns.finish(again(campaign))


def test_everybody_suppressed_is_an_end(lane, clock):
    """A campaign whose recipients may all not be texted ends without a submit."""
    campaign = launched(3)
    for person in Contact.objects.all():
        suppressions.add(person.number)

    chores = Chores(clock)
    while chores.round().more:
        pass

    assert statuses(campaign) == {Status.SUPPRESSED: 3}
    assert again(campaign).state == State.FINISHED


def test_long_fan_out_counts_the_senders_loads_once(line, monkeypatch):
    """A count per chunk would make it slower with every chunk; carried on, the senders are still served evenly."""
    lines = [sender(line) for _ in range(3)]
    counted, count = [], senders.loads
    monkeypatch.setattr(senders, "loads", lambda: counted.append(1) or count())
    monkeypatch.setattr(campaigns, "LOADS_SECONDS", 1000.0)
    monkeypatch.setattr(campaigns, "CHUNK", 10)

    launched(100)

    assert counted == [1]
    assert sorted(Contact.objects.filter(sender=each).count() for each in lines) == [33, 33, 34]


def test_sender_added_during_a_fan_out_gets_the_rest(line, monkeypatch):
    """What was counted before is not carried on over a change of the senders."""
    sender(line)
    monkeypatch.setattr(campaigns, "CHUNK", 10)
    campaign = campaigns.launch(draft(30))
    campaigns.fan_out(campaign)

    late = sender(line)
    fanned_out(campaign)

    assert Contact.objects.filter(sender=late).count() == 15


def test_texts_are_released_while_the_fan_out_goes_on(lane, clock):
    """The first of a million leave when the first chunk is written, not when the last is."""
    campaign = campaigns.launch(draft(3 * campaigns.CHUNK))

    step = Chores(clock).round()

    assert step.released == campaigns.CHUNK
    assert not again(campaign).fanned_out
    assert statuses(campaign) == {Status.QUEUED: campaigns.CHUNK}
