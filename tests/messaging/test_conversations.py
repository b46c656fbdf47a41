"""Who waits, and who sees to it? Texts open conversations, people take them up, answer and close, all on record."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline.dispatcher.chores import Chores
from paceline.messaging import (
    conversation_closed,
    conversation_opened,
    conversations,
    erasure,
    events,
    outbox,
    suppressions,
)
from paceline.messaging.conversations import Backlog, UnknownShortcut
from paceline.messaging.models import Contact, Conversation, QuickReply, Reply, Spell, TextMessage
from paceline.sms import errors
from paceline.sms.status import Status

from .factories import conversation, inbound, number, on_threads, people, running, sender, undone

pytestmark = [pytest.mark.django_db, pytest.mark.contract, pytest.mark.usefixtures("plain_provider")]

State = Conversation.State


@pytest.fixture
def now():
    return time.time()


@pytest.fixture
def talk(lane):
    """An open conversation with one unread text."""
    return conversation(lane)


def says(talk, text, **fields):
    """The same person writes again; answers the conversation as it is then."""
    conversation_of = Conversation.objects.select_related("sender").get(pk=talk.pk)
    return conversation(conversation_of.sender, text, talk.number, **fields)


def last_inbound(talk):
    return talk.replies.latest("pk").message_id


# --- what a text changes --------------------------------------------------------------------------------------


def test_a_text_opens_a_conversation(lane):
    """With its contact and sender, unread, waiting since the webhook came, and with a spell on record."""
    (person,) = people(1)

    talk = conversation(lane, "Is there parking?", person.number)

    reply = talk.replies.get()
    assert (talk.state, talk.contact, talk.sender, talk.unread) == (State.OPEN, person, lane, 1)
    assert talk.waiting_since == talk.opened_at == talk.last_at == reply.received_at
    assert (reply.opens, reply.needs_answer, talk.spells.get().opened_at) == (True, True, talk.opened_at)


def test_a_second_text_waits_no_later_than_the_first(talk):
    """More is unread; who waits waits since their first text, and there is one spell."""
    after = says(talk, "Hello?", received_at=timezone.now() + timedelta(minutes=5))

    assert (after.unread, after.waiting_since) == (2, talk.waiting_since)
    assert after.last_at > talk.last_at
    assert [reply.opens for reply in after.replies.order_by("pk")] == [True, False]
    assert after.spells.count() == 1


def test_one_person_and_two_of_our_numbers(lane, line):
    """Are two conversations: each goes on from the number that it began with."""
    (person,) = people(1)

    first, second = (conversation(to, "Hi", person.number) for to in (lane, sender(line)))

    assert first.pk != second.pk
    assert conversations.backlog().total == 2


@pytest.mark.parametrize("word", ["STOP", "start", "Help!"])
def test_what_nobody_must_answer(lane, word):
    """It is in the thread, and opens nothing; nor is it unread."""
    talk = conversation(lane, word)

    assert (talk.state, talk.unread, talk.waiting_since, talk.opened_at) == (State.CLOSED, 0, None, None)
    assert [entry.message.text for entry in conversations.thread(talk).entries] == [word]
    assert (conversations.backlog().total, Spell.objects.count()) == (0, 0)


def test_a_stop_in_an_open_conversation(talk):
    """What they had asked before is still open."""
    after = says(talk, "STOP")

    assert (after.state, after.unread, after.waiting_since) == (State.OPEN, 1, talk.waiting_since)


@pytest.mark.parametrize("by", ["40404", "AcmeBank"])
def test_nobody_answers_a_machine(lane, by):
    """A short code or a name can be read, and waits for nobody: no text goes there."""
    talk = conversation(lane, "Your parcel is on its way", by)

    assert (talk.state, talk.replies.get().needs_answer) == (State.CLOSED, False)
    with pytest.raises(errors.Refused) as refused:
        conversations.reply(talk, "Thanks")
    assert refused.value.code == "no_number"


@pytest.mark.parametrize("assignee, state", [("", State.OPEN), ("ann", State.ASSIGNED)])
def test_a_text_ends_a_snooze(talk, assignee, state):
    """They write, so it is before the team again, or before whoever has it."""
    if assignee:
        conversations.assign(talk, assignee)
    conversations.snooze(talk, timezone.now() + timedelta(days=1))

    after = says(talk, "Are you there?")

    assert (after.state, after.assignee, after.snoozed_until) == (state, assignee, None)


def test_a_text_reopens_what_was_closed(talk):
    """For everybody, with a spell of its own that does not overlap the one before."""
    conversations.assign(talk, "ann")
    conversations.close(talk, "ann", at=timezone.now() + timedelta(seconds=5))

    after = says(talk, "One more thing")

    first, second = after.spells.order_by("pk")
    assert (after.state, after.assignee, after.unread) == (State.OPEN, "", 1)
    assert first.closed_at <= second.opened_at and second.closed_at is None
    assert after.replies.latest("pk").opens


# --- answering ------------------------------------------------------------------------------------------------


def test_a_reply_goes_out_ahead_of_bulk_from_the_number_they_know(lane, talk):
    """Queued as a direct text; nobody waits, nothing is unread, and who wrote it is known."""
    message = conversations.reply(talk, "Yes, behind the house", "ann")

    assert (message.status, message.frm, message.to) == (Status.QUEUED, lane.number, talk.number)
    assert (message.priority, message.campaign, message.contact) == (outbox.PRIORITY_DIRECT, None, talk.contact)
    assert (talk.waiting_since, talk.unread, talk.state) == (None, 0, State.OPEN)
    assert message.team_reply.author == "ann"


def test_a_reply_to_what_was_seen(talk):
    """What has come since the page was opened still waits and is unread."""
    seen = last_inbound(talk)
    later = says(talk, "And is it free?", received_at=timezone.now() + timedelta(seconds=9))

    conversations.reply(later, "Yes, behind the house", seen=seen)

    assert (later.unread, later.waiting_since) == (1, later.replies.latest("pk").received_at)


def test_a_reply_from_an_old_page_does_not_make_anybody_wait_again(talk):
    """Another has answered meanwhile."""
    seen = last_inbound(talk)
    later = says(talk, "And is it free?")
    conversations.reply(later, "Yes and yes", "ann")

    conversations.reply(later, "Yes", "bob", seen=seen)

    assert (later.unread, later.waiting_since) == (0, None)


@pytest.mark.django_db(transaction=True)
def test_a_double_click_is_one_reply(talk):
    """Four at once with the same token: one message, which all four are told of. Without one, each is a reply."""
    once = "0123456789abcdef" * 2
    told = on_threads(4, lambda _: conversations.reply(talk, "Yes", "ann", once=once).pk)

    assert set(told) == set(TextMessage.objects.filter(text="Yes", reference=once).values_list("pk", flat=True))
    assert len(set(told)) == 1
    assert conversations.reply(talk, "Yes", "ann").pk not in told


def test_what_keeps_a_reply_from_leaving_is_known_before(lane, talk):
    """In the words that the refusal has; nothing does, usually."""
    assert conversations.obstacle(talk) == ""

    suppressions.add(talk.number)
    assert "suppressed" in conversations.obstacle(talk)
    suppressions.remove(talk.number)
    type(lane).objects.filter(pk=lane.pk).update(blocked="number not owned")
    assert conversations.obstacle(talk) == "This sender is blocked: number not owned"


def test_a_stranger_is_answered_too(lane):
    """Who was no contact when they wrote is one when they are answered."""
    talk = conversation(lane, "Hi", number())
    assert talk.contact is None

    conversations.reply(talk, "Hello!")

    assert talk.contact == Contact.objects.get(number=talk.number)


def test_who_has_stopped_is_not_answered(talk):
    """Refused with the reason; nothing is queued and they still wait."""
    suppressions.add(talk.number, suppressions.Reason.OPT_OUT, "replied 'STOP'")

    with pytest.raises(errors.Refused, match="suppressed") as refused:
        conversations.reply(talk, "But wait")

    talk.refresh_from_db()
    assert (refused.value.code, talk.unread) == ("suppressed", 1)
    assert not TextMessage.objects.filter(direction="outgoing").exists()


@pytest.mark.parametrize(
    "error, code, sender_is, account_is",
    [
        (errors.SenderProblem, "sender_removed", {"removed_at": timezone.now()}, {}),
        (errors.SenderProblem, "sender_blocked", {"blocked": "not registered"}, {}),
        (errors.AccountProblem, "account_blocked", {}, {"blocked": "no funds"}),
    ],
)
def test_a_closed_lane_takes_no_reply(line, lane, talk, error, code, sender_is, account_is):
    """Refused at once, with what is wrong, rather than left to wait unseen."""
    type(lane).objects.filter(pk=lane.pk).update(**{"blocked": ""} | sender_is)
    type(line).objects.filter(pk=line.pk).update(**{"blocked": ""} | account_is)

    with pytest.raises(error) as refused:
        conversations.reply(talk, "Hello")

    assert (refused.value.code, conversations.backlog().total) == (code, 1)


def test_a_text_to_a_number_that_is_not_ours(line):
    """It is kept and can be read; there is no lane that an answer could leave by."""
    inbound("Hello?", number(1), "+12125550177")
    events.apply_due(time.time())
    talk = Conversation.objects.get()

    with pytest.raises(errors.SenderProblem) as refused:
        conversations.reply(talk, "Hi")

    assert (talk.sender, talk.state, refused.value.code) == (None, State.OPEN, "unknown_sender")


# --- quick replies --------------------------------------------------------------------------------------------


def test_a_shortcut_is_spelled_out_with_their_fields(talk):
    """At the beginning of a reply, in any case; what follows it stays."""
    Contact.objects.filter(pk=talk.contact_id).update(fields={"name": "Ann"})
    conversations.save_quick_reply("/Hours", 'Hello {{ name|default("there") }}, we are open from 9 to 5')

    message = conversations.reply(talk, "/HOURS, see you!")

    assert message.text == "Hello Ann, we are open from 9 to 5, see you!"


@pytest.mark.parametrize("text", ["Ask and/or call", " /nothing", "/usr/bin", "1/2"])
def test_a_slash_elsewhere_is_a_slash(talk, text):
    """Only a word at the very beginning is a shortcut."""
    assert conversations.expand(talk, text) == text


def test_a_shortcut_that_nobody_made_is_not_sent(talk):
    """A slip of the pen is told with the names that there are."""
    conversations.save_quick_reply("hours", "9 to 5")

    with pytest.raises(UnknownShortcut, match="/hours"):
        conversations.reply(talk, "/huors")

    assert not TextMessage.objects.filter(direction="outgoing").exists()


def test_a_field_that_this_contact_lacks(talk):
    """Is named; nothing is sent."""
    conversations.save_quick_reply("seat", "You have seat {{ seat }}")

    with pytest.raises(errors.TemplateError, match="seat"):
        conversations.reply(talk, "/seat")


@pytest.mark.parametrize(
    "name, text, error",
    [("two words", "x", ValueError), ("", "x", ValueError), ("x", " ", ValueError), ("x", "{{", errors.TemplateError)],
)
def test_a_quick_reply_that_could_not_be_used(name, text, error):
    """Is not saved."""
    with pytest.raises(error):
        conversations.save_quick_reply(name, text)
    assert not QuickReply.objects.exists()


def test_a_quick_reply_is_rewritten_and_removed():
    """One name, one text."""
    conversations.save_quick_reply("hours", "9 to 5")
    conversations.save_quick_reply("HOURS", "9 to 6")

    assert QuickReply.objects.get().text == "9 to 6"
    assert [conversations.remove_quick_reply("/hours") for _ in range(2)] == [True, False]


# --- whose it is ----------------------------------------------------------------------------------------------


def test_assigned_taken_over_and_released(talk):
    """Who has it is a name or a user; another takes it only by saying from whom."""
    ann = get_user_model()(username="ann")

    assert conversations.assign(talk, ann) and conversations.assign(talk, "ann")
    assert (talk.state, talk.assignee) == (State.ASSIGNED, "ann")
    assert not conversations.assign(talk, "bob")
    assert conversations.assign(talk, "bob", taking_from="ann") and talk.assignee == "bob"
    assert [conversations.release(talk) for _ in range(2)] == [True, False]
    assert (talk.state, talk.assignee) == (State.OPEN, "")
    with pytest.raises(ValueError):
        conversations.assign(talk, "")


@pytest.mark.django_db(transaction=True)
def test_two_doors_cannot_both_assign(talk):
    """Of ten that take it up at the same moment, one has it and nine are told no."""

    def door(i):
        return conversations.assign(Conversation.objects.get(pk=talk.pk), f"person {i}")

    answers = on_threads(10, door)

    talk.refresh_from_db()
    assert sorted(answers) == [False] * 9 + [True]
    assert talk.assignee == f"person {answers.index(True)}"


@pytest.mark.django_db(transaction=True)
def test_many_close_at_once(talk):
    """One of them has closed it, and its spell has one end."""
    answers = on_threads(6, lambda i: conversations.close(Conversation.objects.get(pk=talk.pk), f"person {i}"))

    assert sorted(answers) == [False] * 5 + [True]
    assert talk.spells.get().closed_by == f"person {answers.index(True)}"


# --- later, and done ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("assignee, state", [("", State.OPEN), ("ann", State.ASSIGNED)])
def test_snoozed_until_its_moment(line, clock, talk, assignee, state):
    """Not in the waiting list, still in the backlog; the dispatcher's chores bring it back."""
    if assignee:
        conversations.assign(talk, assignee)
    assert conversations.snooze(talk, timezone.now() + timedelta(hours=1))
    Chores(clock).round()
    assert conversations.backlog() == Backlog(snoozed=1) and not conversations.waiting()

    Conversation.objects.update(snoozed_until=timezone.now())
    Chores(clock).round()

    talk.refresh_from_db()
    assert (talk.state, talk.assignee, talk.snoozed_until) == (state, assignee, None)
    assert conversations.waiting().get() == talk


def test_a_snooze_needs_a_moment_to_come(talk):
    """A naive one and one that has passed are told what is wrong."""
    for until in (timezone.now().replace(tzinfo=None) + timedelta(days=1), timezone.now() - timedelta(seconds=1)):
        with pytest.raises(ValueError):
            conversations.snooze(talk, until)
    assert talk.state == State.OPEN


def test_closed_and_reopened(talk):
    """Closed it is nobody's, and nobody waits; what is closed cannot be assigned, snoozed or closed again."""
    conversations.assign(talk, "ann")

    assert conversations.close(talk, "ann")
    assert (talk.state, talk.assignee, talk.unread, talk.waiting_since) == (State.CLOSED, "", 0, None)
    assert not conversations.close(talk) and not conversations.assign(talk, "bob") and not conversations.release(talk)
    assert not conversations.snooze(talk, timezone.now() + timedelta(days=1))
    assert [conversations.reopen(talk, "bob") for _ in range(2)] == [True, False]
    assert (talk.state, talk.spells.count()) == (State.OPEN, 2)


def test_what_came_in_meanwhile_is_not_closed_unseen(talk):
    """A text that its reader has not seen keeps the conversation open."""
    seen = last_inbound(talk)
    later = says(talk, "Wait, one more question")

    assert not conversations.close(later, seen=seen)
    assert (later.state, later.unread) == (State.OPEN, 2)
    assert conversations.close(later, seen=last_inbound(later))


def test_many_are_closed_together(lane):
    """In one transaction for hundreds; what was closed already is not counted."""
    talks = [conversation(lane) for _ in range(5)]
    conversations.close(talks[0])

    assert conversations.close_all([talk.pk for talk in talks], "ann") == 4
    assert conversations.backlog().total == 0
    assert Spell.objects.filter(closed_by="ann").count() == 4


def test_read_up_to_what_was_seen(talk):
    """What came later stays unread; without a word of what was seen, nothing does."""
    seen = last_inbound(talk)
    later = says(talk, "Hello?")

    assert conversations.mark_read(later, seen=seen) == later.unread == 1
    assert conversations.mark_read(later) == later.unread == 0
    assert conversations.mark_read(later, seen=seen) == 0


# --- what there is --------------------------------------------------------------------------------------------


def test_the_waiting_list(lane):
    """Who waits longest comes first, then where the last word is ours; closed and snoozed ones are not in it."""
    start = timezone.now() - timedelta(hours=1)
    second, answered, first, closed, snoozed = (
        conversation(lane, received_at=start + timedelta(minutes=i)) for i in (5, 0, 3, 1, 2)
    )
    conversations.reply(answered, "Yes")
    conversations.close(closed)
    conversations.snooze(snoozed, timezone.now() + timedelta(days=1))
    conversations.assign(first, "ann")

    assert list(conversations.waiting()) == [first, second, answered]
    assert list(conversations.waiting(assignee="ann")) == [first]
    assert list(conversations.waiting(assignee="")) == [second, answered]
    assert list(conversations.recent(State.CLOSED)) == [closed]
    assert conversations.backlog() == Backlog(2, 1, 1, first.waiting_since)
    assert conversations.backlog().total == 4


def test_the_backlog_of_any_moment(lane):
    """Three open, one closes, one opens again: what the record says of every moment, and the most in between."""
    start = timezone.now() - timedelta(hours=1)

    def minute(i):
        return start + timedelta(minutes=i)

    talks = [conversation(lane, received_at=minute(i)) for i in (1, 2, 3)]
    for talk in talks[:2]:
        conversations.close(talk, at=minute(4))
    says(talks[0], "Again", received_at=minute(6))

    assert [conversations.backlog_at(minute(i)) for i in range(8)] == [0, 1, 2, 3, 1, 1, 2, 2]
    assert conversations.highest_backlog(minute(0), minute(7)) == 3
    assert conversations.highest_backlog(minute(4), minute(7)) == 2
    assert conversations.highest_backlog(minute(4), minute(5)) == 1
    assert conversations.backlog().total == conversations.backlog_at(timezone.now())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["text", "stop", "assign", "snooze", "wake", "close", "reopen", "reply"]), st.integers(0, 2)
    )
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_record_agrees_with_the_states_whatever_happens(lane, steps):
    """After any steps as many spells are open as conversations are not closed, one each at most."""
    with undone():
        who = [person.number for person in people(3)]
        talks = [conversation(lane, "STOP", by) for by in who]
        for step, i in steps:
            talk = Conversation.objects.get(pk=talks[i].pk)
            match step:
                case "text" | "stop":
                    conversation(lane, step, who[i])
                case "assign":
                    conversations.assign(talk, "ann", taking_from=talk.assignee)
                case "snooze":
                    conversations.snooze(talk, timezone.now() + timedelta(days=1))
                case "wake":
                    conversations.wake(timezone.now() + timedelta(days=2))
                case "close":
                    conversations.close(talk)
                case "reopen":
                    conversations.reopen(talk)
                case "reply":
                    conversations.reply(talk, "Yes")

        unclosed = set(Conversation.objects.filter(state__in=conversations.UNCLOSED).values_list("pk", flat=True))
        spells = list(Spell.objects.filter(closed_at=None).values_list("conversation", flat=True))
        assert sorted(spells) == sorted(unclosed)
        assert conversations.backlog().total == len(unclosed) == conversations.backlog_at(timezone.now())


# --- the thread -----------------------------------------------------------------------------------------------


def test_a_thread_is_all_that_was_said(lane, now):
    """The campaign's text, what they wrote, our reply and a note, in the order of time, with who wrote it."""
    (person,) = people(1)
    TextMessage.objects.create(
        **{"sender": lane, "frm": lane.number, "to": person.number, "contact": person, "campaign": running()},
        **{"text": "Doors open at 7", "status": Status.DELIVERED, "submitted_at": now - 60},
    )
    talk = conversation(lane, "Is there parking?", person.number)
    conversations.note(talk, "Ask the caretaker", "ann")
    conversations.reply(talk, "Yes, behind the house", "bob")

    said = [(e.message or e.note).text for e in conversations.thread(talk).entries]

    assert said == ["Doors open at 7", "Is there parking?", "Ask the caretaker", "Yes, behind the house"]
    assert [entry.author for entry in conversations.thread(talk).entries] == ["", "", "ann", "bob"]


def test_a_thread_is_of_one_number_of_ours(line, lane):
    """What was said with another one, and what is not released yet, is not in it."""
    (person,) = people(1)
    other = conversation(sender(line), "To another number", person.number)
    conversations.reply(other, "From another number")
    TextMessage.objects.create(
        sender=lane, frm=lane.number, to=person.number, contact=person, campaign=running(), status=Status.HELD
    )

    talk = conversation(lane, "Hi", person.number)

    assert [entry.message.text for entry in conversations.thread(talk).entries] == ["Hi"]


def test_a_thread_outlives_the_contact(talk):
    """Who is no contact any more has their conversation still."""
    conversations.reply(talk, "Yes")
    Contact.objects.all().delete()

    talk.refresh_from_db()

    assert talk.contact is None
    assert [entry.message.text for entry in conversations.thread(talk).entries] == ["Is there parking?", "Yes"]


def test_a_long_thread_is_read_page_by_page(talk):
    """Backwards from the newest, each line once, also when something is said meanwhile."""
    for i in range(7):
        conversations.note(talk, f"note {i}")

    newest = conversations.thread(talk, most=3)
    conversations.note(talk, "meanwhile")
    middle = conversations.thread(talk, before=newest.older, most=3)
    oldest = conversations.thread(talk, before=middle.older, most=3)

    assert [e.note.text for e in newest.entries] == ["note 4", "note 5", "note 6"]
    assert [e.note.text for e in middle.entries] == ["note 1", "note 2", "note 3"]
    assert [(e.message or e.note).text for e in oldest.entries] == ["Is there parking?", "note 0"]
    assert oldest.older == ""


def test_an_empty_note_is_none(talk):
    """The author is told."""
    with pytest.raises(ValueError):
        conversations.note(talk, "  ")


def test_the_same_form_twice_notes_once(talk):
    """A double click; without a token, each is a note of its own."""
    kept = [conversations.note(talk, "Seat 12", "ann", once="a" * 32) for _ in range(2)]
    assert kept[0] == kept[1]

    conversations.note(talk, "Seat 12", "ann")
    conversations.note(talk, "Seat 12", "ann")

    assert talk.notes.count() == 3


# --- who is told ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_host_projects_hear_of_openings_and_closings(line):
    """One event each, after the commit, with the text that opened it and the person who closed it."""
    told = []

    def hear(signal, event, **rest):
        opened = signal is conversation_opened
        told.append((opened, event.conversation.pk, event.message and event.message.text, event.by))

    for signal in (conversation_opened, conversation_closed):
        signal.connect(hear)
    try:
        talk = conversation(sender(line))
        says(talk, "Hello?")
        conversations.close(talk, "ann")
        conversations.close(talk, "bob")
        conversations.reopen(talk, "bob")
    finally:
        for signal in (conversation_opened, conversation_closed):
            signal.disconnect(hear)

    assert told == [
        (True, talk.pk, "Is there parking?", ""),
        (False, talk.pk, None, "ann"),
        (True, talk.pk, None, "bob"),
    ]
    assert Reply.objects.count() == 2


# --- who is forgotten -----------------------------------------------------------------------------------------


def test_an_erased_person_leaves_no_number_and_no_note(lane, talk):
    """Nor if they write again and are erased again; what the backlog was stays on record."""
    number_, opened_at = talk.number, talk.opened_at
    conversations.note(talk, "Lives behind the mill", "ann")

    erasure.erase(number_)
    conversation(lane, "Hello again", number_)
    erasure.erase(number_)

    left = Conversation.objects.get()
    assert (left.state, left.number, left.contact) == (State.CLOSED, erasure.mark(number_), None)
    assert (left.notes.count(), left.spells.count(), conversations.backlog_at(opened_at)) == (0, 2, 1)


def test_who_has_stopped_one_of_our_numbers(line, lane, talk):
    """Is not answered from that one."""
    suppressions.add(talk.number, suppressions.Reason.OPT_OUT, scope=suppressions.Scope(sender=lane.number))

    with pytest.raises(errors.Refused):
        conversations.reply(talk, "But wait")
